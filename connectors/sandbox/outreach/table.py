"""The records of one collection with indexes by name, key, e-mail, account and time."""

from __future__ import annotations

from bisect import bisect_left, insort
from collections.abc import Iterator
from typing import Any

Record = dict[str, Any]
INDEXED = ("name", "customId", "username", "account", "prospect", "owner")


class Table:
    """Records by id. Attribute values and relationship ids stand flat in one dict."""

    def __init__(self, collection: str) -> None:
        self.collection = collection
        self.records: dict[int, Record] = {}
        self.next_id = 1
        self.ids: list[int] = []
        self.by_time: list[tuple[str, int]] = []
        self._index: dict[str, dict[Any, set[int]]] = {name: {} for name in INDEXED}
        self.by_email: dict[str, set[int]] = {}
        self.recent: dict[int, list[tuple[str, Record | None]]] = {}  # while the index lags: (changed at, what it was)
        self.dirty: set[int] = set()

    def put(self, record: Record) -> None:
        """Stores a record, new or changed."""
        id_ = record["id"]
        if id_ in self.records:
            self._unindex(self.records[id_])
        elif not self.ids or id_ > self.ids[-1]:
            self.ids.append(id_)
        else:
            insort(self.ids, id_)
        self.records[id_] = record
        self.next_id = max(self.next_id, id_ + 1)
        key = (record["updatedAt"], id_)
        if not self.by_time or key > self.by_time[-1]:
            self.by_time.append(key)
        else:
            insort(self.by_time, key)
        for name, index in self._index.items():
            if record.get(name) is not None:
                index.setdefault(record[name], set()).add(id_)
        for email in _emails(record):
            self.by_email.setdefault(email, set()).add(id_)
        self.dirty.add(id_)

    def remove(self, id_: int) -> None:
        self._unindex(self.records[id_])
        del self.records[id_]
        del self.ids[bisect_left(self.ids, id_)]
        self.dirty.add(id_)

    def _unindex(self, record: Record) -> None:
        key = (record["updatedAt"], record["id"])
        at = bisect_left(self.by_time, key)
        if at < len(self.by_time) and self.by_time[at] == key:
            del self.by_time[at]
        for name, index in self._index.items():
            if record.get(name) is not None:
                index.get(record[name], set()).discard(record["id"])
        for email in _emails(record):
            self.by_email.get(email, set()).discard(record["id"])

    def remember(self, id_: int, at: str, before: Record | None) -> None:
        """Keeps what a record was before a change, for an index that lags behind."""
        self.recent.setdefault(id_, []).append((at, before))

    def as_indexed(self, record: Record, until: str) -> Record | None:
        """Returns the record as it stood at an instant, None when it did not exist."""
        changes = self.recent.get(record["id"])
        if changes is None:
            return record
        for at, before in changes:
            if at > until:
                return before
        del self.recent[record["id"]]
        return record

    def having(self, name: str, values: list[Any]) -> set[int] | None:
        """Returns the ids whose indexed attribute has one of the values, None when it has no index."""
        if name == "id":
            return {v for v in values if v in self.records}
        if not values:
            return set()
        if name == "emails":
            return set().union(*(self.by_email.get(str(v).lower(), set()) for v in values))
        if name in self._index:
            return set().union(*(self._index[name].get(v, set()) for v in values))
        return None

    def changed_since(self, at: str, behind: int = -1) -> Iterator[int]:
        """Yields ids by (updatedAt, id), from an instant on and behind an id within it."""
        for index in range(bisect_left(self.by_time, (at, behind + 1)), len(self.by_time)):
            yield self.by_time[index][1]

    def changed_before(self, at: str, id_: int, since: str) -> Iterator[int]:
        """Yields ids by (updatedAt, id) backwards, from before a record down to an instant."""
        for index in range(bisect_left(self.by_time, (at, id_)) - 1, -1, -1):
            if self.by_time[index][0] < since:
                return
            yield self.by_time[index][1]

    def numbered_before(self, id_: int) -> Iterator[int]:
        """Yields ids backwards, from before one."""
        for index in range(bisect_left(self.ids, id_) - 1, -1, -1):
            yield self.ids[index]

    def numbered_from(self, behind: int) -> Iterator[int]:
        """Yields ids in order, behind one."""
        for index in range(bisect_left(self.ids, behind + 1), len(self.ids)):
            yield self.ids[index]


def _emails(record: Record) -> list[str]:
    if isinstance(record.get("emails"), list):
        return [str(e).lower() for e in record["emails"]]
    return []

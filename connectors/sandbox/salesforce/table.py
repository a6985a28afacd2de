"""The rows of one object: by id, by time, and by the values that look-ups go by; and what is not committed yet."""

from __future__ import annotations

from bisect import bisect_left, insort
from collections.abc import Iterable, Iterator
from typing import Any

from connectors.sandbox.salesforce.schema import SObject

Row = dict[str, Any]
LOOKED_FOR = ("Name", "MessageIdentifier")  # besides lookups and keys


class Table:
    """Rows by 18-character id; blank fields are not in them. A deleted row stays, with IsDeleted. A name in small letters is
    a note of the system's own, which no answer shows."""

    def __init__(self, object_: SObject) -> None:
        self.object = object_
        self.rows: dict[str, Row] = {}
        self.next_number = 1
        self.dirty: set[str] = set()
        self._by_time: list[tuple[str, str]] = []
        indexed = (f for f in object_.fields.values() if f.is_lookup or f.is_key or f.is_unique or f.name in LOOKED_FOR)
        self._index: dict[str, dict[Any, set[str]]] = {f.name: {} for f in indexed if f.name != "Id"}
        self._open: dict[str, list[tuple[str, Row | None]]] = {}  # id -> (committed at, what it was)

    def put(self, row: Row) -> None:
        """Stores a row, new or changed."""
        id_ = row["Id"]
        if id_ in self.rows:
            self._unindex(self.rows[id_])
        self.rows[id_] = row
        key = (row["SystemModstamp"], id_)
        if not self._by_time or key > self._by_time[-1]:
            self._by_time.append(key)
        else:
            insort(self._by_time, key)
        for name, index in self._index.items():
            value = row.get(name)
            if value is not None:
                index.setdefault(_folded(value), set()).add(id_)
        self.dirty.add(id_)

    def remove(self, id_: str) -> None:
        """Takes a row away as if it had never been, for a call that is rolled back."""
        self._unindex(self.rows.pop(id_))
        self._open.pop(id_, None)
        self.dirty.add(id_)

    def _unindex(self, row: Row) -> None:
        key = (row["SystemModstamp"], row["Id"])
        at = bisect_left(self._by_time, key)
        if at < len(self._by_time) and self._by_time[at] == key:
            del self._by_time[at]
        for name, index in self._index.items():
            value = row.get(name)
            if value is not None:
                found = index[_folded(value)]
                found.discard(row["Id"])
                if not found:
                    del index[_folded(value)]

    # --- transactions that are still open -----------------------------------------------------------------------------
    def hold(self, id_: str, until: str, before: Row | None) -> None:
        """Lets others see a row as it was until an instant: its transaction is open."""
        self._open.setdefault(id_, []).append((until, before))

    def is_open(self, id_: str, now: str) -> bool:
        """Tells whether a row's transaction is not committed, so that nobody else may change it."""
        self._settle(id_, now)
        return id_ in self._open

    def open_ids(self, now: str) -> set[str]:
        for id_ in list(self._open):
            self._settle(id_, now)
        return set(self._open)

    def _settle(self, id_: str, now: str) -> None:
        left = [change for change in self._open.get(id_, ()) if change[0] > now]
        if left:
            self._open[id_] = left
        else:
            self._open.pop(id_, None)

    def seen(self, id_: str, now: str) -> Row | None:
        """Returns a row as others see it at an instant, None when it is not there."""
        if self._open and self.is_open(id_, now):
            return self._open[id_][0][1]
        return self.rows.get(id_)

    # --- look-ups -------------------------------------------------------------------------------------------------------
    def having(self, name: str, values: Iterable[Any]) -> set[str] | None:
        """Returns the ids whose field has one of the values, whatever its case; None when it has no index."""
        if name == "Id":
            return {v for v in values if v in self.rows}
        index = self._index.get(name)
        return None if index is None else set().union(*(index.get(_folded(v), ()) for v in values))

    def changed_since(self, at: str) -> Iterator[tuple[str, str]]:
        """Yields (SystemModstamp, id) from an instant on, in order."""
        for position in range(bisect_left(self._by_time, (at, "")), len(self._by_time)):
            yield self._by_time[position]

    def count_since(self, at: str) -> int:
        return len(self._by_time) - bisect_left(self._by_time, (at, ""))


def _folded(value: Any) -> Any:
    return value.casefold() if isinstance(value, str) else value

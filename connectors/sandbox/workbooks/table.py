"""The rows of one record type, with the indexes that keep reads quick at a million rows."""

from __future__ import annotations

from bisect import bisect_left, insort
from collections.abc import Iterator
from typing import Any

from connectors.sandbox.wire import read_id
from connectors.sandbox.workbooks.metadata import ObjectType
from connectors.sandbox.workbooks.query import FilterTest, Row, instant, split_list

MOST_FROM_INDEX = 2000  # a candidate set larger than this is walked in order instead


class Table:
    """Rows by id, in order of (updated_at, id), by refcode and by employer; who is deleted, who has no Outreach Id."""

    def __init__(self, type_: ObjectType) -> None:
        self.type = type_
        self.rows: dict[int, Row] = {}
        self.next_id = 1
        self._by_time: list[tuple[int, int]] = []
        self._by_employer: dict[int, set[int]] = {}
        self._by_refcode: dict[str, int] = {}
        self._last_of_prefix: dict[str, int] = {}
        self._deleted: set[int] = set()
        self._blank: set[int] = set()
        self._id_column = next((c for c in type_.columns if c.endswith("_outreach_id")), "")
        self.dirty: set[int] = set()

    def put(self, row: Row) -> None:
        """Stores the row, new or changed, and keeps the indexes true."""
        id_ = row["id"]
        old = self.rows.get(id_)
        if old is not None:
            self._unindex(old)
        self.rows[id_] = row
        self.next_id = max(self.next_id, id_ + 1)
        key = (row["updated_at"], id_)
        if not self._by_time or key > self._by_time[-1]:
            self._by_time.append(key)
        else:
            insort(self._by_time, key)
        if row.get("refcode"):
            self._by_refcode[row["refcode"].casefold()] = id_
        if row.get("employer_link"):
            self._by_employer.setdefault(row["employer_link"], set()).add(id_)
        if row.get("is_deleted"):
            self._deleted.add(id_)
        if self._id_column and row.get(self._id_column) in (None, ""):
            self._blank.add(id_)
        self.dirty.add(id_)

    def _unindex(self, row: Row) -> None:
        id_ = row["id"]
        at = bisect_left(self._by_time, (row["updated_at"], id_))
        if at < len(self._by_time) and self._by_time[at] == (row["updated_at"], id_):
            del self._by_time[at]
        self._by_employer.get(row.get("employer_link") or 0, set()).discard(id_)
        self._by_refcode.pop((row.get("refcode") or "").casefold(), None)
        self._deleted.discard(id_)
        self._blank.discard(id_)

    def owner_of_refcode(self, refcode: str) -> int | None:
        """Returns the id of the row that has this refcode, deleted ones included."""
        return self._by_refcode.get(refcode.casefold())

    def new_refcode(self, name: str) -> str:
        """Returns a refcode that no row has, from the first letters of a name: `ABE1`."""
        letters = [c for c in name[:100].upper() if c.isascii() and c.isalnum()]
        prefix = "".join(letters[:3]) or self.type.reference_prefix
        number = self._last_of_prefix.get(prefix, 0) + 1
        while f"{prefix}{number}".casefold() in self._by_refcode:
            number += 1
        self._last_of_prefix[prefix] = number
        return f"{prefix}{number}"

    def in_order(self, since: int | None) -> Iterator[Row]:
        """Yields rows by (updated_at, id) from an instant on."""
        start = 0 if since is None else bisect_left(self._by_time, (since, 0))
        for index in range(start, len(self._by_time)):
            yield self.rows[self._by_time[index][1]]

    def candidates(self, test: FilterTest) -> set[int] | None:
        """Returns the ids a test can hold for, when an index knows them and they are not too many."""
        if test.field == "id" and test.type == "eq":
            return _ids(test.criterion)
        if test.field == "employer_link" and test.type == "eq":
            return set().union(*(self._by_employer.get(i, set()) for i in _ids(test.criterion)))
        if test.field == "is_deleted" and test.type == "true":
            return self._deleted
        if self._id_column and test.field == self._id_column and test.type == "blank" and len(self._blank) <= MOST_FROM_INDEX:
            return self._blank
        if test.field == "updated_at" and test.type in ("ge", "gt", "eq"):
            start = bisect_left(self._by_time, (instant(test.criterion), 0))
            if len(self._by_time) - start <= MOST_FROM_INDEX:
                return {id_ for _, id_ in self._by_time[start:]}
        return None

    def dump(self) -> dict[str, Any]:
        return {"next_id": self.next_id, "rows": list(self.rows.values())}


def _ids(criterion: str) -> set[int]:
    return {id_ for part in split_list(criterion) if (id_ := read_id(part.strip())) is not None}

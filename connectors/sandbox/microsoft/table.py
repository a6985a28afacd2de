"""Rows by number, and which of them are to be written to the state file."""

from __future__ import annotations

from typing import Any

Row = dict[str, Any]


class Table:
    """Rows of one kind. A row is never changed in place: a new one is put instead."""

    def __init__(self) -> None:
        self.rows: dict[int, Row] = {}
        self.next_number = 1
        self.dirty: set[int] = set()

    def put(self, row: Row) -> Row:
        """Stores a row, new or changed, and returns it."""
        number = row["n"]
        self.rows[number] = row
        self.next_number = max(self.next_number, number + 1)
        self.dirty.add(number)
        return row

    def remove(self, number: int) -> None:
        del self.rows[number]
        self.dirty.add(number)

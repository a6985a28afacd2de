"""Rows by number, and which of them are to be written to the state file."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

Row = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Kind:
    """What streams of one name tell of: the table, the stream that a row is in (None: in none), and by what id a removal calls
    it (True: the immutable one)."""

    table: str
    stream_of: Callable[[Row], str | None]
    removed_id: Callable[[Row, bool], str]


class Table:
    """Rows of one kind. A row is never changed in place: a new one is put instead."""

    def __init__(self) -> None:
        self.rows: dict[int, Row] = {}
        self.next_number = 1
        self.dirty: set[int] = set()
        self.watch: Callable[[Row | None, Row | None], None] | None = None  # is told of every row as it was, and as it is

    def put(self, row: Row) -> Row:
        """Stores a row, new or changed, and returns it."""
        number = row["n"]
        before = self.rows.get(number)
        self.rows[number] = row
        self.next_number = max(self.next_number, number + 1)
        self.dirty.add(number)
        if self.watch is not None:
            self.watch(before, row)
        return row

    def remove(self, number: int) -> None:
        before = self.rows.pop(number)
        self.dirty.add(number)
        if self.watch is not None:
            self.watch(before, None)

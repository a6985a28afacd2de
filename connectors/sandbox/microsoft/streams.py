"""Streams: what delta rounds are about, the contacts of a folder or the folders of a mailbox and their like.

Every change takes the next number of one sequence; a stream's journal tells in the order of that sequence what entered,
changed or left.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterable

from connectors.sandbox.microsoft.switches import Switches
from connectors.sandbox.microsoft.table import Kind, Row, Table

CHANGED, REMOVED = 0, 1  # what a journal's entry tells
_OWN_TABLES = {"folders": "contactFolder", "contacts": "contact"}


class Streams:
    """What is in each stream now, and what became of it."""

    def __init__(self, tables: Iterable[str]) -> None:
        self.switches = Switches()
        self.sequence = 0
        self.tables = {name: Table() for name in tables}
        self.kinds: dict[str, Kind] = {}  # of streams, by what stands before the colon of their names
        self.forget_streams()

    def forget_streams(self) -> None:
        self.members: dict[str, list[int]] = {}  # what is in a stream now, in order of creation
        self.journals: dict[str, list[tuple[int, int, int]]] = {}  # (sequence, CHANGED or REMOVED, number of row or removal)

    def next_sequence(self) -> int:
        self.sequence += 1
        return self.sequence

    def tell(self, stream: str, number: int, sequence: int) -> None:
        """Notes that something entered a stream, or changed there."""
        members = self.members.setdefault(stream, [])
        at = bisect_left(members, number)
        if at == len(members) or members[at] != number:
            members.insert(at, number)
        self.tell_only(stream, number, sequence)

    def tell_only(self, stream: str, number: int, sequence: int) -> None:
        self.journals.setdefault(stream, []).append((sequence, CHANGED, number))

    def left(self, stream: str, mailbox: int, number: int, moves: int, *, for_good: bool = False) -> None:
        members = self.members[stream]
        del members[bisect_left(members, number)]
        if not members and self.switches.delta_hides_last_removal:
            return
        sequence = self.next_sequence()
        removal = {"n": sequence, "stream": stream, "mailbox": mailbox, "item": number, "moves": moves, "for_good": for_good}
        self.tables["removal"].put(removal)
        self.journals.setdefault(stream, []).append((sequence, REMOVED, sequence))

    def journal(self, stream: str, behind: int, until: int) -> list[tuple[int, int, int]]:
        """Returns the entries of a journal whose sequence lies behind one number and not behind another."""
        entries = self.journals.get(stream, [])
        return entries[bisect_right(entries, (behind, 9, 0)) : bisect_right(entries, (until, 9, 0))]

    def member(self, stream: str, number: int) -> Row | None:
        """Returns the row with this number, None when it is not in the stream now."""
        members = self.members.get(stream, [])
        at = bisect_left(members, number)
        if at == len(members) or members[at] != number:
            return None
        name = stream.partition(":")[0]
        kind = self.kinds.get(name)
        return self.tables[kind.table if kind is not None else _OWN_TABLES[name]].rows[number]

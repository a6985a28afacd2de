"""Rows that lie in folders of their kind, messages and tasks: their versions, their ids, and the streams that tell of them."""

from __future__ import annotations

from typing import Any

from connectors.sandbox.microsoft import ids
from connectors.sandbox.microsoft.calls import Call
from connectors.sandbox.microsoft.refusal import malformed_id, no_item, stale_key
from connectors.sandbox.microsoft.store import Store
from connectors.sandbox.microsoft.table import Kind, Row


class Items:
    """The rows of one table. `place` names the value that holds the number of the folder or list that a row lies in;
    `ordinary` and `immutable` are the kinds of its ids."""

    def __init__(self, store: Store, table: str, *, place: str, ordinary: int, immutable: int) -> None:
        self._store, self._name, self._place = store, table, place
        self._ordinary, self._immutable = ordinary, immutable
        store.kinds[table] = Kind(table, lambda row: self.stream(row[place]), self._removed_id)

    @property
    def rows(self) -> dict[int, Row]:
        return self._store.tables[self._name].rows

    def stream(self, place: int) -> str:
        """Returns the name of the stream of what lies in a folder."""
        return f"{self._name}:{place}"

    def within(self, place: int) -> list[Row]:
        """Returns what lies in a folder, in order of creation."""
        rows = self.rows
        return [rows[number] for number in self._store.members.get(self.stream(place), ())]

    def count(self, place: int) -> int:
        return len(self._store.members.get(self.stream(place), ()))

    # --- ids and versions -------------------------------------------------------------------------------------------------
    def id_of(self, row: Row, *, is_immutable: bool) -> str:
        return self._id(row["mailbox"], row["n"], row["moves"], is_immutable=is_immutable)

    def _removed_id(self, removal: Row, is_immutable: bool) -> str:
        return self._id(removal["mailbox"], removal["item"], removal["moves"], is_immutable=is_immutable)

    def _id(self, mailbox: int, number: int, moves: int, *, is_immutable: bool) -> str:
        if is_immutable:
            return ids.make(self._store.key, self._immutable, mailbox=mailbox, number=number)
        return ids.make(self._store.key, self._ordinary, mailbox=mailbox, number=number, moves=moves)

    def find(self, mailbox: Row, text: str) -> Row:
        """Returns the row that an id of either form names. An ordinary id of before a move names none. Raises Refused."""
        found = ids.read(self._store.key, text)
        if found is None:
            raise malformed_id()
        row = self.rows.get(found.number) if found.kind in (self._ordinary, self._immutable) else None
        if row is None or found.mailbox != mailbox["n"] or (found.kind == self._ordinary and found.moves != row["moves"]):
            raise no_item()
        return row

    def number_of(self, text: str) -> int | None:
        """Returns the number that an id names, present or former, None when it names none of these."""
        found = ids.read(self._store.key, text)
        is_ours = found is not None and found.kind in (self._ordinary, self._immutable) and found.number in self.rows
        return found.number if found is not None and is_ours else None

    def change_key(self, row: Row) -> str:
        return ids.change_key(f"{self._store.key} {self._name}", row["n"], row["version"])

    def check_key(self, call: Call, row: Row) -> None:
        """Raises Refused where a write rests on another version than the present one."""
        wanted = call.headers.get("if-match", "*").strip()
        present = f'W/"{self.change_key(row)}"'
        if self._store.switches.honours_if_match and wanted not in ("*", present, present.removeprefix("W/")):
            raise stale_key()

    # --- changes ------------------------------------------------------------------------------------------------------------
    def add(self, mailbox: int, place: int, values: dict[str, Any], **more: Any) -> Row:
        """Stores a new row. `values` are kept as they are, not copied."""
        at, table, sequence = self._store.stamp(), self._store.tables[self._name], self._store.next_sequence()
        row = {"n": table.next_number, "mailbox": mailbox, self._place: place, "moves": 0, "version": 1, "created": at, "modified": at,
               "values": values, "seq": sequence, "entered": sequence, **more}  # fmt: skip
        table.put(row)
        self._store.tell(self.stream(place), row["n"], sequence)
        return row

    def change(self, row: Row, **changes: Any) -> Row:
        """Stores what changed under a new version. Another place moves the row: its ordinary id is another one then."""
        new = {**row, **changes, "version": row["version"] + 1, "modified": self._store.stamp()}
        is_moved = new[self._place] != row[self._place]
        if is_moved:
            new["moves"] = row["moves"] + 1
            self._leave(row)
        new["seq"] = self._store.next_sequence()
        if is_moved:
            new["entered"] = new["seq"]
        self._store.tables[self._name].put(new)
        (self._store.tell if is_moved else self._store.tell_only)(self.stream(new[self._place]), new["n"], new["seq"])
        return new

    def remove(self, row: Row) -> None:
        """Takes a row away for good."""
        self._leave(row, for_good=True)
        self._store.next_sequence()  # also where the stream tells nothing: what was listed before is no longer so
        self._store.tables[self._name].remove(row["n"])

    def _leave(self, row: Row, *, for_good: bool = False) -> None:
        self._store.left(self.stream(row[self._place]), row["mailbox"], row["n"], row["moves"], for_good=for_good)

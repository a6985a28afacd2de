"""The rows of one kind in all mailboxes: by number, by the order of their changes, and as sync readers see them."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator
from operator import itemgetter
from typing import Any

Row = dict[str, Any]
LEAST_LOG = 100


class Table:
    """Rows with `id`, `mailbox`, `seq` (grows with every change anywhere), `at` and `is_deleted`. A deleted row stays, so that a
    sync reader is told. Rows are replaced, never changed."""

    def __init__(self, name: str, first: int) -> None:
        self.name = name
        self.rows: dict[int, Row] = {}
        self.next_number = first
        self.dirty: set[int] = set()
        self._boxes: dict[str, dict[int, None]] = {}
        self._logs: dict[str, list[tuple[int, int]]] = {}
        self._live: dict[str, int] = {}
        # What sync readers do not see yet: id -> (seen at, seq of the change, what the row was before), oldest first.
        self._held: dict[int, list[tuple[float, int, Row | None]]] = {}

    def new_number(self) -> int:
        self.next_number += 1
        return self.next_number - 1

    def put(self, row: Row, *, seen_at: float | None = None) -> None:
        """Stores a row, new or changed; sync readers see it from an instant on only, when one is given."""
        id_, mailbox = row["id"], row["mailbox"]
        before = self.rows.get(id_)
        if seen_at is not None:
            self._held.setdefault(id_, []).append((seen_at, row["seq"], before))
        self._live[mailbox] = self._live.get(mailbox, 0) + _is_live(row) - _is_live(before)
        self.rows[id_] = row
        self.dirty.add(id_)
        self._boxes.setdefault(mailbox, {})[id_] = None
        log = self._logs.setdefault(mailbox, [])
        log.append((row["seq"], id_))
        if len(log) > 2 * len(self._boxes[mailbox]) + LEAST_LOG:
            log[:] = [(seq, each) for seq, each in log if self.rows[each]["seq"] == seq]

    def restore(self, rows: list[Row]) -> None:
        """Takes rows back as they were kept: their changes in order, and they themselves as they once came."""
        for row in sorted(rows, key=itemgetter("seq")):
            self.put(dict(row))
        self.rows = dict(sorted(self.rows.items()))
        self._boxes = {mailbox: dict.fromkeys(sorted(ids)) for mailbox, ids in self._boxes.items()}
        self.dirty.clear()

    def drop_box(self, mailbox: str) -> None:
        """Forgets all rows of a mailbox: the account is gone."""
        for id_ in self._boxes.pop(mailbox, {}):
            del self.rows[id_]
            self.dirty.add(id_)
            self._held.pop(id_, None)
        self._logs.pop(mailbox, None)
        self._live.pop(mailbox, None)

    def box(self, mailbox: str) -> list[Row]:
        """Returns the living rows of a mailbox."""
        return [row for id_ in self._boxes.get(mailbox, ()) if not (row := self.rows[id_])["is_deleted"]]

    def count(self, mailbox: str) -> int:
        return self._live.get(mailbox, 0)

    def live(self) -> list[Row]:
        return [row for row in self.rows.values() if not row["is_deleted"]]

    def changed_after(self, mailbox: str, seq: int) -> Iterator[Row]:
        """Yields rows in the order of their last change, from behind a change on, deleted ones too."""
        log = self._logs.get(mailbox, [])
        for n in range(bisect_right(log, seq, key=itemgetter(0)), len(log)):
            if self.rows[log[n][1]]["seq"] == log[n][0]:
                yield self.rows[log[n][1]]

    # --- what is not seen by sync readers yet ---------------------------------------------------------------------------
    def seen_after(self, mailbox: str, seq: int, now: float) -> Iterator[Row]:
        """Yields what changed_after does, as sync readers see it at an instant."""
        held = self._held_in(mailbox, now)
        if not held:
            yield from self.changed_after(mailbox, seq)
            return
        rows = (held[id_][0][2] if id_ in held else self.rows[id_] for id_ in self._boxes.get(mailbox, ()))
        yield from sorted((row for row in rows if row is not None and row["seq"] > seq), key=lambda row: int(row["seq"]))

    def horizon(self, mailbox: str, present: int, now: float) -> int:
        """Returns the change up to which sync readers have seen everything; `present` is the last one there is."""
        return min((changes[0][1] - 1 for changes in self._held_in(mailbox, now).values()), default=present)

    def _held_in(self, mailbox: str, now: float) -> dict[int, list[tuple[float, int, Row | None]]]:
        for id_ in list(self._held):
            left = [change for change in self._held[id_] if change[0] > now]
            if left:
                self._held[id_] = left
            else:
                del self._held[id_]
        return {id_: changes for id_, changes in self._held.items() if self.rows[id_]["mailbox"] == mailbox}


def _is_live(row: Row | None) -> bool:
    return row is not None and not row["is_deleted"]

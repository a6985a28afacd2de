"""Rows of events: single ones and series, with what is different on single days of a series kept in the series' row.

A row holds `values` (what was set, by property), `times` (see event_schema.read_times), `extended`, and of a series also
`recurrence`, `exceptions` (by the day on which the occurrence would be: what of `values`, `times`, `extended`, `statuses`,
`response`, `is_cancelled` is its own) and `gone`, the days that were taken out. `statuses` are the answers of attendees by
address; rows of one meeting in several mailboxes share `uid`.

Every change leaves a row in the table eventChange with what a delta round needs of the event as it was before.
"""

from __future__ import annotations

import heapq
from bisect import bisect_right, insort
from collections.abc import Callable, Mapping
from datetime import date, datetime
from typing import Any

from connectors.sandbox.microsoft import ids
from connectors.sandbox.microsoft.event_schema import UNSET
from connectors.sandbox.microsoft.refusal import malformed_id, no_item
from connectors.sandbox.microsoft.store import Store
from connectors.sandbox.microsoft.table import Row

SERIES_FIELDS = ("n", "mailbox", "uid", "values", "times", "recurrence", "series_version", "gone")
NO_STATUS = {"response": "none", "time": UNSET}
# What ids of occurrences and iCalUIds of whole events begin with: the header that Outlook gives all of its own.
_UID_HEADER, _UID_TAIL = "040000008200E00074C5B7101A82E008", "00000000000000000000000010000000"


class EventStore:
    """All events of all mailboxes, and the indexes over them that are made anew after a restart."""

    def __init__(self, store: Store, *, now: Callable[[], datetime]) -> None:
        self.store, self._now = store, now
        self._clear()
        store.reindex.append(self._reindex)
        store.settling.append(self.settle)

    def _clear(self) -> None:
        self._own: dict[int, list[int]] = {}  # events of a mailbox, in order of creation
        self._journals: dict[int, list[tuple[int, int]]] = {}  # of a mailbox: (sequence, number of event)
        self._copies: dict[str, dict[int, int]] = {}  # the event in each mailbox, by uid
        self._transactions: dict[tuple[int, str], int] = {}
        self._settling: list[tuple[float, int]] = []

    @property
    def rows(self) -> dict[int, Row]:
        return self.store.tables["event"].rows

    # --- finding --------------------------------------------------------------------------------------------------------
    def of_mailbox(self, mailbox: int, behind: int = 0) -> list[Row]:
        """Returns the events of a mailbox in order of creation, those whose numbers lie behind one."""
        own = self._own.get(mailbox, [])
        return [self.rows[number] for number in own[bisect_right(own, behind) :] if number in self.rows]

    def copies(self, uid: str) -> dict[int, Row]:
        """Returns the rows of one meeting by mailbox."""
        return {mailbox: self.rows[n] for mailbox, n in self._copies.get(uid, {}).items() if n in self.rows}

    def of_transaction(self, mailbox: int, transaction: str) -> Row | None:
        return self.rows.get(self._transactions.get((mailbox, transaction), 0))

    def find(self, mailbox: int, text: str) -> tuple[Row, str | None]:
        """Returns the event that an id names, and of an occurrence its day in the series. Whether there is an occurrence on that
        day is not asked here. Raises Refused."""
        found = ids.read(self.store.key, text)
        if found is None:
            raise malformed_id()
        row = self.rows.get(found.number) if found.kind in (ids.EVENT, ids.IMMUTABLE_EVENT) else None
        if row is None or row["mailbox"] != mailbox or found.mailbox != mailbox:
            raise no_item()
        return row, date.fromordinal(found.moves).isoformat() if found.moves else None

    # --- names ----------------------------------------------------------------------------------------------------------
    def event_id(self, row: Mapping[str, Any], day: str | None = None, *, is_immutable: bool = False) -> str:
        """Returns the id of an event, or of the occurrence that belongs on a day: it lasts while the series does."""
        kind = ids.IMMUTABLE_EVENT if is_immutable else ids.EVENT
        place = date.fromisoformat(day).toordinal() if day else 0
        return ids.make(self.store.key, kind, mailbox=row["mailbox"], number=row["n"], moves=place)

    def calendar_id(self, mailbox: int) -> str:
        return ids.make(self.store.key, ids.CALENDAR, mailbox=mailbox, number=mailbox)

    def change_key(self, row: Row, day: str | None = None) -> str:
        """Returns the version of an event; occurrences that are like their series have the one of the last change to all."""
        if day is None:
            return ids.change_key(f"{self.store.key} event", row["n"], row["version"])
        version = row["exceptions"].get(day, {"version": row["series_version"]})["version"]
        return ids.change_key(f"{self.store.key} occurrence {day}", row["n"], version)

    # --- writing --------------------------------------------------------------------------------------------------------
    def add(self, mailbox: int, uid: str | None = None, **parts: Any) -> Row:
        """Stores a new event. Without a uid it gets one of its own."""
        table, at = self.store.tables["event"], self.store.stamp()
        number = table.next_number
        row = {
            "n": number, "mailbox": mailbox, "uid": uid or ids.guid(self.store.key, "event", number).replace("-", "").upper(),
            "transaction": None, "created": at, "modified": at, "version": 1, "series_version": 1, "values": {}, "extended": {},
            "recurrence": None, "exceptions": {}, "gone": [], "statuses": {}, "response": NO_STATUS, "is_cancelled": False,
            "is_organizer": True, "organizer": None, **parts,
        }  # fmt: skip
        if seconds := self.store.switches.settle_seconds:
            row["settles_at"] = self._now().timestamp() + seconds
        self._put(row, None)
        self._index(row)
        return row

    def change(self, row: Row, *, whole: bool = True, **changes: Any) -> Row:
        """Stores what changed under a new change key; with `whole` that of all occurrences too."""
        version = row["version"] + 1
        new = {**row, **changes, "version": version, "modified": self.store.stamp()}
        if whole:
            new["series_version"] = version
        return self._put(new, row)

    def change_day(self, row: Row, day: str, **changes: Any) -> Row:
        """Stores what is different on one day of a series."""
        own = row["exceptions"].get(day, {"created": self.store.stamp()})
        new = {**own, **changes, "version": row["version"] + 1, "modified": self.store.stamp()}
        return self.change(row, whole=False, exceptions={**row["exceptions"], day: new})

    def remove_day(self, row: Row, day: str) -> Row:
        """Takes one day out of a series."""
        exceptions = {each: own for each, own in row["exceptions"].items() if each != day}
        return self.change(row, whole=False, exceptions=exceptions, gone=sorted({*row["gone"], day}))

    def remove(self, row: Row) -> None:
        self.store.tables["event"].remove(row["n"])
        self._note(row["mailbox"], row["n"], row)
        if self._copies.get(row["uid"], {}).get(row["mailbox"]) == row["n"]:
            del self._copies[row["uid"]][row["mailbox"]]

    def _put(self, row: Row, before: Row | None) -> Row:
        new = {**row, "seq": self._note(row["mailbox"], row["n"], before)}
        return self.store.tables["event"].put(new)

    def _note(self, mailbox: int, number: int, before: Row | None) -> int:
        sequence = self.store.next_sequence()
        self.store.tables["eventChange"].put({"n": sequence, "mailbox": mailbox, "event": number, "before": _before(before)})
        self._journals.setdefault(mailbox, []).append((sequence, number))
        return sequence

    def settle(self) -> None:
        """Gives events that were created a while ago the other change key that they get by themselves."""
        now = self._now().timestamp()
        while self._settling and self._settling[0][0] <= now:
            at, number = heapq.heappop(self._settling)
            row = self.rows.get(number)
            if row is not None and row.get("settles_at") == at:
                self.change({name: value for name, value in row.items() if name != "settles_at"})

    # --- what delta rounds read -------------------------------------------------------------------------------------------
    def touched(self, mailbox: int, since: int, until: int) -> dict[int, tuple[int, Row | None]]:
        """Returns the events that changed behind one sequence and not behind another: when they first did, and what they were
        before (None: not there)."""
        journal = self._journals.get(mailbox, [])
        found: dict[int, tuple[int, Row | None]] = {}
        for sequence, number in journal[bisect_right(journal, (since, 1 << 62)) : bisect_right(journal, (until, 1 << 62))]:
            if number not in found:
                found[number] = sequence, self.store.tables["eventChange"].rows[sequence]["before"]
        return found

    # --- over a restart ---------------------------------------------------------------------------------------------------
    def _index(self, row: Row) -> None:
        insort(self._own.setdefault(row["mailbox"], []), row["n"])
        self._copies.setdefault(row["uid"], {})[row["mailbox"]] = row["n"]
        if row["transaction"]:
            self._transactions[row["mailbox"], row["transaction"]] = row["n"]
        if "settles_at" in row:
            heapq.heappush(self._settling, (row["settles_at"], row["n"]))

    def _reindex(self) -> None:
        self._clear()
        for row in self.rows.values():
            self._index(row)
        for entry in sorted(self.store.tables["eventChange"].rows.values(), key=lambda each: int(each["n"])):
            self._journals.setdefault(entry["mailbox"], []).append((entry["n"], entry["event"]))


def ical_uid(uid: str, day: str | None = None) -> str:
    """Returns the iCalUId of a meeting, the same in all mailboxes; an occurrence has that of its day, and so has the event of who
    was asked to that day only, whose uid names it behind a slash."""
    uid, _, only = uid.partition("/")
    at = date.fromisoformat(day or only) if day or only else None
    marked = f"{at.year:04X}{at.month:02X}{at.day:02X}" if at else "00000000"
    return f"{_UID_HEADER}{marked}{_UID_TAIL}{uid}"


def _before(row: Row | None) -> Row | None:
    """Returns of an event what tells when it takes place and which version it is of."""
    if row is None:
        return None
    kept = {name: row[name] for name in SERIES_FIELDS}
    kept["values"] = {"isAllDay": row["values"].get("isAllDay", False)}
    days = {day: {name: own[name] for name in ("times", "values", "version") if name in own} for day, own in row["exceptions"].items()}
    for own in days.values():
        own["values"] = {name: value for name, value in own.get("values", {}).items() if name == "isAllDay"}
    return {**kept, "exceptions": days}

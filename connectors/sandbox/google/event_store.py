"""What the calendars hold: one row for each event in each calendar, found by id, by series and by meeting.

A row is a single event, the master of a series, or an exception: one instance of a series that differs from it. The copies
of a meeting in several calendars are rows of their own with the same iCalUID. A deleted row stays, as a cancelled event.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Callable, Iterator, Mapping
from datetime import datetime
from functools import lru_cache
from typing import Any
from zoneinfo import ZoneInfo

from connectors.sandbox.google import recurrence
from connectors.sandbox.google.event_times import (
    Moment,
    at_wall,
    duration,
    instant,
    is_all_day,
    later,
    split_instance,
    suffix_of,
    wall,
)
from connectors.sandbox.google.store import Store, show_instant
from connectors.sandbox.google.table import Row, Table

FIRST_EVENT = 5001
MOST_SEARCHED = 100_000  # starts of a series that are looked through for one of them
ALWAYS = ("id", "version")  # what only a stored row has


class EventTable(Table):
    """Rows with `event_id`, `uid`, `master` (the id of the master, of exceptions only) and `suffix` (which instance)."""

    def __init__(self, name: str, first: int) -> None:
        super().__init__(name, first)
        self._by_event_id: dict[tuple[str, str], int] = {}
        self._exceptions: dict[tuple[str, str], dict[int, None]] = {}
        self._meetings: dict[tuple[str, str], dict[int, None]] = {}

    def put(self, row: Row, *, seen_at: float | None = None) -> None:
        """Stores a row. Changes of calendars reach sync readers at once."""
        super().put(row)
        self._by_event_id[row["mailbox"], row["event_id"]] = row["id"]
        self._meetings.setdefault((row["uid"], row["suffix"]), {})[row["id"]] = None
        if row["master"]:
            self._exceptions.setdefault((row["mailbox"], row["master"]), {})[row["id"]] = None

    def named(self, mailbox: str, event_id: str) -> Row | None:
        """Returns the row that an id names, deleted ones too."""
        return self.rows.get(self._by_event_id.get((mailbox, event_id), 0))

    def exceptions(self, master: Row) -> list[Row]:
        """Returns the exceptions of a series, cancelled ones too."""
        return [row for id_ in self._exceptions.get((master["mailbox"], master["event_id"]), ()) if (row := self.rows.get(id_))]

    def copies(self, uid: str, suffix: str) -> list[Row]:
        """Returns the rows of one meeting, or of one of its instances, in all calendars."""
        return [row for id_ in self._meetings.get((uid, suffix), ()) if (row := self.rows.get(id_))]


class EventStore:
    """The events of one Workspace. Its table is kept with those of the store; changes count in the store's sequence. `tell`
    is given each mail that the real server would send."""

    def __init__(self, store: Store, tell: Callable[[dict[str, Any]], None]) -> None:
        self.store, self._tell = store, tell
        self.table = EventTable("event", FIRST_EVENT)
        store.tables[self.table.name] = self.table

    @property
    def zone(self) -> str:
        """The time zone of every calendar."""
        return self.store.switches.calendar_time_zone

    # --- finding --------------------------------------------------------------------------------------------------------
    def find(self, mailbox: str, event_id: str) -> Row | None:
        """Returns what an id names, deleted or not: a row, or an instance of a series that has no row yet."""
        row = self.table.named(mailbox, event_id)
        if row is not None:
            return row
        parts = split_instance(event_id)
        master = self.table.named(mailbox, parts[0]) if parts else None
        return instance_with(master, parts[1]) if master is not None and parts else None

    def copy_in(self, mailbox: str, like: Row) -> Row | None:
        """Returns a meeting's copy in another calendar: a row, or an instance of the series there."""
        for row in self.table.copies(like["uid"], like["suffix"]):
            if row["mailbox"] == mailbox:
                return row
        if not like["suffix"]:
            return None
        masters = (row for row in self.table.copies(like["uid"], "") if row["mailbox"] == mailbox)
        return next((found for master in masters if (found := instance_with(master, like["suffix"]))), None)

    def with_uid(self, mailbox: str, uid: str) -> Row | None:
        return next((row for row in self.table.copies(uid, "") if row["mailbox"] == mailbox), None)

    # --- storing --------------------------------------------------------------------------------------------------------
    def new_row(self, mailbox: str, fields: Mapping[str, Any], *, event_id: str = "", uid: str = "", **more: Any) -> Row:
        """Returns a row that is not stored yet. Without an id it gets one that is made up from its number."""
        number = self.table.new_number()
        event_id = event_id or made_up_id(f"{mailbox} {number}")
        now = show_instant(self.store.now())
        person = self.person(mailbox)
        own = {"id": number, "mailbox": mailbox, "event_id": event_id, "uid": uid or f"{event_id}@google.com", "master": "", "suffix": ""}
        made = {"original": None, "fields": dict(fields), "organizer": person, "creator": person, "private_copy": False}
        return {**own, **made, "created": now, "updated": now, "sequence": 0, "former": [], "left": False, **more}

    def put(self, row: Row, *, is_quiet: bool = False) -> Row:
        """Stores a row; an instance of a series becomes an exception with it. Quiet changes leave `updated` as it is."""
        if row.get("is_instance"):
            row = {name: value for name, value in row.items() if name not in ("is_instance", *ALWAYS)}
            row |= {"id": self.table.new_number(), "former": []}
        updated = row["updated"] if is_quiet else show_instant(self.store.now())
        return self.store.put(self.table, {**row, "updated": updated})

    def person(self, mailbox: str) -> dict[str, str]:
        user = self.store.user(mailbox)
        name = " ".join(part for part in (user["givenName"], user["familyName"]) if part) if user else ""
        return {"email": mailbox, **({"displayName": name} if name else {})}

    def note_mail(self, mailbox: str, kind: str, to: list[str], subject: str) -> None:
        """Notes a mail that the real server would send."""
        at = show_instant(self.store.now())
        self._tell({"system": "google", "mailbox": mailbox, "kind": kind, "to": to, "subject": subject, "at": at})


def made_up_id(text: str) -> str:
    digest = hashlib.blake2b(text.encode(), digest_size=16).digest()
    return base64.b32hexencode(digest).decode().rstrip("=").lower()


# --- series -------------------------------------------------------------------------------------------------------------
def is_master(row: Row) -> bool:
    return bool(row["fields"].get("recurrence")) and not row["master"]


@lru_cache(maxsize=4096)
def _read(lines: tuple[str, ...], zone: str) -> recurrence.Recurrence:
    return recurrence.read(lines, zone=ZoneInfo(zone) if zone else None)


def starts(start: Mapping[str, str], lines: list[str]) -> Iterator[Moment]:
    """Yields when the instances of a series begin, in order."""
    zone = "" if is_all_day(start) else start["timeZone"]
    return (at_wall(start, at) for at in _read(tuple(lines), zone).starts(wall(start)))


def instance(master: Row, start: Moment) -> Row:
    """Returns an instance of a series as a row that is not stored: it has the master's version."""
    fields = {name: value for name, value in master["fields"].items() if name != "recurrence"}
    end_zone = fields["end"].get("timeZone", "")
    fields |= {"start": start, "end": later(start, duration(fields["start"], fields["end"]), end_zone)}
    suffix = suffix_of(start)
    own = {"event_id": f"{master['event_id']}_{suffix}", "master": master["event_id"], "suffix": suffix, "original": start}
    return {**master, **own, "fields": fields, "is_instance": True}


def instance_with(master: Row, suffix: str) -> Row | None:
    """Returns the instance of a series that has a suffix; None when the series does not take place then."""
    if not is_master(master):
        return None
    fields = master["fields"]
    for n, start in enumerate(starts(fields["start"], fields["recurrence"])):
        own = suffix_of(start)
        if own == suffix:
            return instance(master, start)
        if n > MOST_SEARCHED or own > suffix:  # texts of one form: their order is that of time
            return None
    return None


def begins_within(start: Moment, lines: list[str], until: datetime, zone: str) -> Iterator[Moment]:
    """Yields when the instances of a series begin, up to an instant."""
    for at in starts(start, lines):
        if instant(at, zone) > until:
            return
        yield at

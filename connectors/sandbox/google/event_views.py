"""Events as the API shows them: whole, cancelled, and expanded into the instances of a series."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any

from connectors.sandbox.google import event_times
from connectors.sandbox.google.calendar_schema import CANCELLED, CONFIRMED, DEFAULTS
from connectors.sandbox.google.event_store import EventStore, begins_within, instance, is_master
from connectors.sandbox.google.event_times import Moment, suffix_of
from connectors.sandbox.google.table import Row

EVENT = "calendar#event"
# A series without an end is expanded that far beyond now, or beyond its start.
EXPANDED = timedelta(days=730)


def etag_of(row: Row) -> str:
    """Returns the tag of a row's present version: an instance has its master's."""
    return f'"{2 * (int(_millis(row["at"])) * 1000 + row["seq"] % 1000)}"'


def _millis(text: str) -> float:
    return datetime.fromisoformat(text).timestamp() * 1000


# --- one event ----------------------------------------------------------------------------------------------------------
def shown(row: Row, *, zone: str, most_attendees: int | None = None) -> dict[str, Any]:
    """Returns an event as its calendar's owner sees it. `zone` is the reader's; of more attendees than are asked for only the
    reader is left."""
    fields, person = row["fields"], row["mailbox"]
    told: dict[str, Any] = {"kind": EVENT, "etag": etag_of(row), "id": row["event_id"], "status": status_of(row)}
    told |= {"htmlLink": _link(row), "created": row["created"], "updated": row["updated"]}
    told |= {name: value for name, value in fields.items() if name not in ("status", "start", "end", "attendees", "recurrence")}
    told |= {name: _person(row[name], person) for name in ("creator", "organizer")}
    told |= {name: event_times.shown(fields[name], zone) for name in ("start", "end")}
    if is_master(row):
        told["recurrence"] = list(fields["recurrence"])
    if row["master"]:
        told |= {"recurringEventId": row["master"], "originalStartTime": event_times.shown(row["original"], zone)}
    told |= _attendees(row, most_attendees)
    told |= {"iCalUID": row["uid"], "sequence": row["sequence"]}
    told.setdefault("reminders", {"useDefault": True})
    told.setdefault("eventType", "default")
    if row["private_copy"]:
        told["privateCopy"] = True
    return {name: value for name, value in told.items() if value != DEFAULTS.get(name)}


def cancelled(row: Row, *, zone: str) -> dict[str, Any]:
    """Returns a cancelled event as lists show it: hardly more than its id."""
    told: dict[str, Any] = {"kind": EVENT, "etag": etag_of(row), "id": row["event_id"], "status": CANCELLED}
    if row["master"]:
        told |= {"recurringEventId": row["master"], "originalStartTime": event_times.shown(row["original"], zone)}
    return told


def listed(row: Row, *, zone: str, most_attendees: int | None = None) -> dict[str, Any]:
    return cancelled(row, zone=zone) if row["is_deleted"] else shown(row, zone=zone, most_attendees=most_attendees)


def status_of(row: Row) -> str:
    return CANCELLED if row["is_deleted"] else str(row["fields"].get("status", CONFIRMED))


def _link(row: Row) -> str:
    eid = base64.urlsafe_b64encode(f"{row['event_id']} {row['mailbox']}".encode()).decode().rstrip("=")
    return f"https://www.google.com/calendar/event?eid={eid}"


def _person(person: dict[str, str], mailbox: str) -> dict[str, Any]:
    return {**person, "self": True} if person["email"] == mailbox else dict(person)


def _attendees(row: Row, most: int | None) -> dict[str, Any]:
    shown_ = []
    for each in row["fields"].get("attendees", []):
        marks = {"organizer": each["email"] == row["organizer"]["email"], "self": each["email"] == row["mailbox"]}
        shown_.append({**each, **{name: True for name, is_so in marks.items() if is_so}})
    if not shown_:
        return {}
    is_guest = row["organizer"]["email"] != row["mailbox"]
    hides_guests = is_guest and row["fields"].get("guestsCanSeeOtherGuests") is False
    if hides_guests or (most is not None and len(shown_) > most):
        return {"attendees": [each for each in shown_ if each.get("self")], "attendeesOmitted": True}
    return {"attendees": shown_}


# --- series -------------------------------------------------------------------------------------------------------------
def instances(events: EventStore, master: Row, *, until: datetime | None) -> Iterator[Row]:
    """Yields the instances of a series as rows, without those that have a row of their own. Of a deleted series they are deleted
    too, all of them."""
    own = set() if master["is_deleted"] else _with_own_row(events, master)
    for start in _starts(events, master, master["fields"], until):
        if suffix_of(start) not in own:
            yield instance(master, start)


def lost(events: EventStore, row: Row, *, since: int) -> Iterator[Row]:
    """Yields, as deleted ones, the single events that a row gave before it became what it is, for a reader who began then."""
    told = _with_own_row(events, row)
    if is_master(row):
        told |= {suffix_of(start) for start in _starts(events, row, row["fields"], None)}
    for seq, fields in row["former"]:
        if seq <= since:
            continue
        if not fields["recurrence"] and is_master(row):
            yield {**row, "is_deleted": True}
        for start in _starts(events, row, fields, None):
            if suffix_of(start) not in told:
                told.add(suffix_of(start))
                yield {**instance(row, start), "is_deleted": True}


def _with_own_row(events: EventStore, master: Row) -> set[str]:
    return {row["suffix"] for row in events.table.exceptions(master) if not row.get("with_master")}


def _starts(events: EventStore, master: Row, fields: dict[str, Any], until: datetime | None) -> Iterator[Moment]:
    first = event_times.instant(fields["start"], events.zone)
    horizon = max(first, events.store.now()) + EXPANDED
    if not fields.get("recurrence"):
        return iter(())
    return begins_within(fields["start"], fields["recurrence"], max(horizon, until) if until else horizon, events.zone)

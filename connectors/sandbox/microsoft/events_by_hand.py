"""Events as people in Outlook see them: the control port's records of the type `event`.

A row is flat: mailbox, subject, start and end (by the clocks of timeZone, days of an all-day event), isAllDay, location, attendees
(addresses), categories, sensitivity, showAs, reminderMinutes (null: none), body (a text), recurrence (JSON as Graph has it),
isCancelled. What people do to it others learn, as from any other act: copies, mails. An update with `occurrence`, the day of a
place in the series, is about that occurrence only; `isCancelled` true cancels, `response` answers an invitation. An event that is
made with an `organizer` from outside the tenant is an invitation that came in.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import date, datetime
from typing import Any

from connectors.sandbox.microsoft import ids, item_body, recurrence
from connectors.sandbox.microsoft.event_schema import EventBody, read_body
from connectors.sandbox.microsoft.event_shown import EventShow
from connectors.sandbox.microsoft.event_store import EventStore, ical_uid
from connectors.sandbox.microsoft.event_writes import EventWrites
from connectors.sandbox.microsoft.extended import read_property_id
from connectors.sandbox.microsoft.meetings import ANSWERS
from connectors.sandbox.microsoft.occurrences import Item, existing
from connectors.sandbox.microsoft.table import Row
from connectors.sandbox.wire import read_id, read_json

_PLAIN = ("subject", "isAllDay", "categories", "sensitivity", "showAs")
FIELDS = ("mailbox", *_PLAIN, "start", "end", "timeZone", "location", "attendees", "reminderMinutes", "body", "recurrence", "isCancelled",
          "extendedProperties")  # fmt: skip
_ACTS = ("occurrence", "response", "organizer")
_SHOWN_ONLY = ("id", "immutableId", "iCalUId", "kind", "isOrganizer", "responses", "exceptions", "goneOccurrences", "createdDateTime",
               "lastModifiedDateTime")  # fmt: skip


class EventsByHand:
    """Reads and writes events as rows. Raises ValueError, with a sentence, and Refused for what Outlook refuses too."""

    def __init__(self, events: EventStore, show: EventShow, writes: EventWrites) -> None:
        self._events, self._show, self._writes = events, show, writes
        self._store = events.store

    def find(self, text: str) -> int | None:
        """Returns the number of the event that an id names; that of an occurrence names none."""
        named = ids.read(self._store.key, text)
        if named is not None:
            is_event = named.kind in (ids.EVENT, ids.IMMUTABLE_EVENT) and not named.moves
            return named.number if is_event and named.number in self._events.rows else None
        number = read_id(text)
        return number if number in self._events.rows else None

    # --- reading --------------------------------------------------------------------------------------------------------
    def shown(self, row: Row) -> dict[str, Any]:
        item = Item(row)
        days = [Item(row, day) for day in sorted(row["exceptions"])]
        said = recurrence.shown(row["recurrence"])
        user = self._store.users[row["mailbox"]]
        return {
            "id": self._events.event_id(row),
            "immutableId": self._events.event_id(row, is_immutable=True),
            "mailbox": user.get("mail") or user["userPrincipalName"],
            **self._flat(item),
            "timeZone": row["times"]["names"][0],
            "recurrence": None if said is None else json.dumps(said),
            "organizer": row["organizer"]["address"],
            "isOrganizer": row["is_organizer"],
            "response": row["response"]["response"],
            "responses": {each["emailAddress"]["address"]: each["status"]["response"] for each in self._show.attendees(item)},
            "iCalUId": ical_uid(row["uid"]),
            "kind": item.type,
            "exceptions": [{"occurrence": each.day, **self._flat(each)} for each in days],
            "goneOccurrences": row["gone"],
            "extendedProperties": dict(row["extended"]),
            "createdDateTime": row["created"],
            "lastModifiedDateTime": row["modified"],
        }

    def _flat(self, item: Item) -> dict[str, Any]:
        values, times = item.values, item.times
        length = 10 if item.is_all_day else 19
        return {
            **{name: values[name] for name in _PLAIN},
            "start": times["start"][:length],
            "end": times["end"][:length],
            "location": "; ".join(str(each.get("displayName", "")) for each in values["locations"]),
            "attendees": [each["address"] for each in values["attendees"]],
            "reminderMinutes": values["reminderMinutesBeforeStart"] if values["isReminderOn"] else None,
            "body": item_body.as_text(values["body"]),
            "isCancelled": item.part("is_cancelled"),
        }

    # --- writing --------------------------------------------------------------------------------------------------------
    def create(self, given: Mapping[str, Any]) -> Row:
        user = self._store.user(str(given.get("mailbox", "")))
        if user is None or not user.get("mail"):
            raise ValueError("mailbox must name a user by address or id")
        organizer = given.get("organizer") or ""
        if not isinstance(organizer, str) or (organizer and self._store.user(organizer) not in (None, user)):
            raise ValueError("organizer is the address of somebody outside; a colleague's meeting is made in the colleague's mailbox")
        is_outside = organizer != "" and self._store.user(organizer) is None
        return self._writes.create(user, self._body(given, None), organizer=organizer if is_outside else "").row

    def update(self, row: Row, given: Mapping[str, Any]) -> Row:
        """Changes an event; what ends it returns it as it was last."""
        user = self._store.users[row["mailbox"]]
        if self._store.user(str(given.get("mailbox", user["id"]))) != user:
            raise ValueError("an event stays in its mailbox")
        item = existing(row, _day(given["occurrence"]) if given.get("occurrence") else None)
        if given.get("isCancelled") is True and not item.part("is_cancelled"):
            self._writes.cancel(item)
            return self._events.rows.get(row["n"], {**row, "is_cancelled": True})
        if given.get("response", row["response"]["response"]) != row["response"]["response"]:
            if given["response"] not in ANSWERS.values():
                raise ValueError(f"response is one of {', '.join(ANSWERS.values())}")
            self._writes.answer(item, given["response"], sends=True)
            return self._events.rows.get(row["n"], row)
        return self._writes.change(item, self._body(given, item)).row

    def delete(self, row: Row) -> None:
        self._writes.delete(Item(row))

    def _body(self, given: Mapping[str, Any], item: Item | None) -> EventBody:
        """Returns what a row sets; what cannot be written is left out, so that a row that was read can be sent back."""
        if unknown := [name for name in given if name not in (*FIELDS, *_ACTS, *_SHOWN_ONLY)]:
            raise ValueError(f"an event has no {unknown[0][:80]!r}; it has {', '.join((*FIELDS, *_ACTS))}")
        own: dict[str, Any] = {name: given[name] for name in _PLAIN if name in given}
        own |= _times(given, item)
        if "location" in given:
            own["location"] = {"displayName": given["location"]} if given["location"] else None
        if "body" in given:
            own["body"] = {"content": given["body"], "contentType": "text"}
        if "attendees" in given:
            own["attendees"] = _attendees(given["attendees"], item)
        if "reminderMinutes" in given:
            minutes = given["reminderMinutes"]
            own["isReminderOn"] = minutes not in (None, "")
            own |= {"reminderMinutesBeforeStart": _number(minutes)} if own["isReminderOn"] else {}
        if "recurrence" in given and (item is None or item.day is None):
            own |= _recurrence(given["recurrence"], item)
        body = read_body(own)
        body.extended = _extended(given.get("extendedProperties", {}))
        return body


def _times(given: Mapping[str, Any], item: Item | None) -> dict[str, Any]:
    """Returns start and end as a client would write them: both, where the zone is another one."""
    before = {} if item is None else {"start": item.times["start"], "end": item.times["end"], "timeZone": item.times["names"][0]}
    zone = given.get("timeZone") or before.get("timeZone") or "UTC"
    if zone != before.get("timeZone"):
        given = {**before, **given}
    return {side: {"dateTime": _wall(given[side]), "timeZone": zone} for side in ("start", "end") if side in given}


def _wall(text: object) -> str:
    try:
        return datetime.fromisoformat(str(text)).replace(tzinfo=None).isoformat()
    except ValueError:
        raise ValueError("start and end are times like 2026-12-01T10:00, or days") from None


def _day(text: object) -> str:
    try:
        return date.fromisoformat(str(text)).isoformat()
    except ValueError:
        raise ValueError("occurrence is the day of a place in the series, like 2026-12-01") from None


def _number(value: object) -> int:
    number = value if isinstance(value, int) and not isinstance(value, bool) else read_id(str(value))
    if number is None:
        raise ValueError("reminderMinutes is a whole number, or null for no reminder")
    return number


def _attendees(given: object, item: Item | None) -> list[dict[str, Any]]:
    """Returns attendees by their addresses; who was one already stays what they were."""
    if not isinstance(given, list) or not all(isinstance(each, str) for each in given):
        raise ValueError("attendees must be a list of addresses")
    before = {each["address"].casefold(): each for each in item.values["attendees"]} if item is not None else {}
    found = (before.get(address.casefold(), {"address": address, "name": address, "type": "required"}) for address in given)
    return [{"emailAddress": {"address": each["address"], "name": each["name"]}, "type": each["type"]} for each in found]


def _recurrence(given: object, item: Item | None) -> dict[str, Any]:
    """Returns the recurrence that a row says, nothing where it is as it was: writing it anew would be a change of the series."""
    if isinstance(given, str) and given.strip():
        try:
            given = read_json(given)
        except ValueError:
            raise ValueError("recurrence must be JSON, as Graph has it") from None
    stored = None if item is None else recurrence.shown(item.row["recurrence"])
    return {} if (given or None) == stored else {"recurrence": given or None}


def _extended(given: object) -> dict[str, str | None]:
    if not isinstance(given, dict) or not all(isinstance(text, str | None) for text in given.values()):
        raise ValueError("extendedProperties must be an object of texts by property id")
    return {read_property_id(name): text for name, text in given.items()}

"""Events as people in Outlook see them: the control port's records of the type `event`.

A row is flat, and reads as those of the played Microsoft 365 do: mailbox, subject, start and end (by the clocks of timeZone, days of an
all-day event), isAllDay, location, attendees and optionalAttendees (addresses), categories, sensitivity, showAs, reminderMinutes
(null: none), body (a text), recurrence (JSON as Graph has it), isCancelled. What people do to it others learn: copies, mails. An update
with `occurrence`, the day of a place in the series, is about that occurrence only; with `isGone` it is taken out. `isCancelled` true
cancels, `response` (Accept, Tentative, Decline) answers an invitation. An event that is made with an `organizer` from outside is an
invitation that came in.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from connectors.sandbox.exchange import values
from connectors.sandbox.exchange.contacts_by_hand import SHOWN_ONLY, properties, strings, text_of
from connectors.sandbox.exchange.event_facts import TYPES, attendees, values_of
from connectors.sandbox.exchange.events import Events, is_rescheduled, possible
from connectors.sandbox.exchange.fields import EVENT
from connectors.sandbox.exchange.items import HOMES, Items
from connectors.sandbox.exchange.meetings import NOT_ANSWERED, Meetings, attendees_of
from connectors.sandbox.exchange.store import Store
from connectors.sandbox.exchange.values import stamp
from connectors.sandbox.exchange.writing import Given
from connectors.sandbox.microsoft import item_body, recurrence
from connectors.sandbox.microsoft.occurrences import Item
from connectors.sandbox.microsoft.table import Row
from connectors.sandbox.microsoft.zones import read_zone, to_utc
from connectors.sandbox.wire import read_id, read_json

_WORDS = {
    "sensitivity": ("item:Sensitivity", {"normal": "Normal", "personal": "Personal", "private": "Private", "confidential": "Confidential"}),
    "showAs": ("calendar:LegacyFreeBusyStatus", {"free": "Free", "tentative": "Tentative", "busy": "Busy", "oof": "OOF",
                                                 "workingElsewhere": "WorkingElsewhere", "unknown": "NoData"}),
}  # fmt: skip
_DEFAULTS = {"sensitivity": "Normal", "showAs": "Busy"}
_LISTS = {"attendees": "calendar:RequiredAttendees", "optionalAttendees": "calendar:OptionalAttendees"}
FIELDS = ("subject", "start", "end", "timeZone", "isAllDay", "location", *_LISTS, "categories", *_WORDS, "reminderMinutes", "body",
          "recurrence", "isCancelled", "extendedProperties")  # fmt: skip
_ACTS = ("occurrence", "isGone", "response", "organizer")
_SHOWN = (*SHOWN_ONLY, "iCalUId", "kind", "isOrganizer", "responses", "exceptions", "goneOccurrences")


class EventsByHand:
    """Reads and writes events as rows. Raises ValueError, with a sentence, and Refused for what Outlook refuses too."""

    def __init__(self, store: Store, events: Events, meetings: Meetings, items: Items) -> None:
        self._store, self._events, self._meetings, self._items = store, events, meetings, items

    # --- reading --------------------------------------------------------------------------------------------------------------
    def shown(self, row: Row) -> dict[str, Any]:
        item = Item(row)
        said = recurrence.shown(row["recurrence"])
        days = [Item(row, day) for day in sorted(row["exceptions"])]
        return {
            **_flat(item),
            "timeZone": row["times"]["names"][0],
            "recurrence": None if said is None else json.dumps(said),
            "organizer": (row["organizer"] or self._store.person(row["mailbox"]))["address"],
            "isOrganizer": row["is_organizer"],
            "response": row["response"]["response"],
            "responses": {each["address"]: each["response"] for uri in _LISTS.values() for each in attendees(item, uri)},
            "iCalUId": row["uid"],
            "kind": TYPES[item.type],
            "exceptions": [{"occurrence": each.day, **_flat(each)} for each in days],
            "goneOccurrences": row["gone"],
        }

    # --- writing --------------------------------------------------------------------------------------------------------------
    def create(self, box: Row, given: Mapping[str, Any]) -> Row:
        own, organizer = _read(given, None), given.get("organizer") or ""
        folder = self._items.home(box["n"], HOMES[EVENT])
        local = self._store.user(organizer) if isinstance(organizer, str) and organizer else None
        if not isinstance(organizer, str) or (local is not None and local["n"] != box["n"]):
            raise ValueError("organizer is the address of somebody outside; a colleague's meeting is made in the colleague's mailbox")
        if organizer and local is None:
            parts = {"is_organizer": False, "organizer": {"name": organizer, "address": organizer}, "response": NOT_ANSWERED}
            return self._events.add(folder, own, "UTC", **parts)
        row = self._events.add(folder, own, "UTC")
        return self._meetings.changed(Item(row), {}, sends="all", is_rescheduled=False).row

    def update(self, row: Row, given: Mapping[str, Any]) -> Row:
        """Changes an event; one that was declined is returned as it lies in the Deleted Items."""
        item = self._events.existing(row, values.day_of(given["occurrence"]) if given.get("occurrence") else None)
        if given.get("isGone") is True:
            if item.day is None:
                raise ValueError("isGone takes an occurrence out of its series; say which")
            self._meetings.cancelled(item, sends="all")
            return self._events.remove_day(Item(self._store.items[row["n"]], item.day))
        if given.get("isCancelled") is True and not item.part("is_cancelled"):
            return self._cancel(item)
        if given.get("response") not in (None, item.part("response")["response"]):
            return self._answer(item, given["response"])
        people, before = attendees_of(item), item
        after = self._events.change(item, _read(given, item), "UTC")
        return self._meetings.changed(after, people, sends="all", is_rescheduled=is_rescheduled(before, after)).row

    def _cancel(self, item: Item) -> Row:
        """Cancels a meeting of one's own, which leaves the calendar; one of others is only marked, as when the organizer's word
        comes in from outside."""
        if item.row["is_organizer"]:
            self._meetings.cancelled(item, sends="all")
            if item.day is not None:
                return self._events.remove_day(Item(self._store.items[item.row["n"]], item.day))
            self._items.take_away(self._store.items[item.row["n"]], "MoveToDeletedItems")
        else:
            self._meetings.mark_cancelled(item)
        return self._store.items[item.row["n"]]

    def _answer(self, item: Item, response: object) -> Row:
        if response not in ("Accept", "Tentative", "Decline"):
            raise ValueError("response is one of Accept, Tentative, Decline")
        self._meetings.answered(item, str(response), sends=True)
        return self._store.items[item.row["n"]]


def _flat(item: Item) -> dict[str, Any]:
    own, times = values_of(item), item.times
    length = 10 if own.get("calendar:IsAllDayEvent") else 19
    words = {name: {said: word for word, said in known.items()}[own.get(key) or _DEFAULTS[name]] for name, (key, known) in _WORDS.items()}
    body = own.get("item:Body") or {"type": "Text", "text": ""}
    return {
        "subject": own.get("item:Subject") or "",
        "start": times["start"][:length],
        "end": times["end"][:length],
        "isAllDay": bool(own.get("calendar:IsAllDayEvent")),
        "location": own.get("calendar:Location") or "",
        **{name: [each["address"] for each in own.get(key) or ()] for name, key in _LISTS.items()},
        "categories": own.get("item:Categories") or [],
        **words,
        "reminderMinutes": own.get("item:ReminderMinutesBeforeStart", 15) if own.get("item:ReminderIsSet") else None,
        "body": item_body.as_text({"contentType": body["type"].lower(), "content": body["text"]}),
        "isCancelled": bool(item.part("is_cancelled")),
    }


def _read(given: Mapping[str, Any], item: Item | None) -> Given:
    """Returns what a row sets; what cannot be written is left out, so that a row that was read can be sent back."""
    if unknown := [name for name in given if name not in (*FIELDS, *_ACTS, *_SHOWN)]:
        raise ValueError(f"an event has no {unknown[0][:80]!r}; it has {', '.join((*FIELDS, *_ACTS))}")
    own = Given(_times(given, item), properties(given.get("extendedProperties", {})))
    for name, key in (("subject", "item:Subject"), ("location", "calendar:Location")):
        if name in given:
            own.values[key] = text_of(name, given[name])
    for name, (key, known) in _WORDS.items():
        if name in given:
            if given[name] not in known:
                raise ValueError(f"{name} is one of {', '.join(known)}")
            own.values[key] = known[given[name]]
    for name, key in _LISTS.items():
        if name in given:
            own.values[key] = _people(name, given[name], item)
    if "categories" in given:
        own.values["item:Categories"] = strings("categories", given["categories"])
    if "body" in given and (item is None or given["body"] != _flat(item)["body"]):
        own.values["item:Body"] = {"type": "Text", "text": text_of("body", given["body"])} if given["body"] else None
    if "reminderMinutes" in given:
        minutes = given["reminderMinutes"]
        own.values["item:ReminderIsSet"] = minutes not in (None, "")
        own.values["item:ReminderMinutesBeforeStart"] = _minutes(minutes) if minutes not in (None, "") else None
    return own


def _times(given: Mapping[str, Any], item: Item | None) -> dict[str, Any]:
    """Returns start, end, zone and recurrence as a call would set them: those that differ from what there is."""
    before: dict[str, Any] = {} if item is None else {**_flat(item), "timeZone": item.times["names"][0]}
    zone = str(given.get("timeZone") or before.get("timeZone") or "UTC")
    iana = possible(lambda: read_zone(zone))
    is_moved = item is None or any(name in given and given[name] != before[name] for name in ("start", "end", "timeZone", "isAllDay"))
    own: dict[str, Any] = {}
    if is_moved:
        wanted = {**before, **given}
        for side, key in (("start", "calendar:Start"), ("end", "calendar:End")):
            if wanted.get(side):
                own[key] = stamp(to_utc(_wall(wanted[side]), iana))
        own |= {"calendar:StartTimeZone": zone, "calendar:EndTimeZone": zone, "calendar:IsAllDayEvent": wanted.get("isAllDay") is True}
    if "recurrence" in given and (item is None or item.day is None):
        own |= _recurrence(given["recurrence"], item)
    return own


def _recurrence(given: object, item: Item | None) -> dict[str, Any]:
    """Returns the recurrence that a row says, nothing where it is as it was: writing it anew would be a change of the series."""
    if isinstance(given, str) and given.strip():
        try:
            given = read_json(given)
        except ValueError:
            raise ValueError("recurrence must be JSON, as Graph has it") from None
    stored = None if item is None else recurrence.shown(item.row["recurrence"])
    if (given or None) == stored:
        return {}
    return {"calendar:Recurrence": possible(lambda: recurrence.read(given)) if given else None}


def _wall(text: object) -> datetime:
    try:
        return datetime.fromisoformat(str(text)).replace(tzinfo=None)
    except ValueError:
        raise ValueError("start and end are times like 2026-12-01T10:00, or days") from None


def _minutes(value: object) -> int:
    number = value if isinstance(value, int) and not isinstance(value, bool) else read_id(str(value))
    if number is None:
        raise ValueError("reminderMinutes is a whole number, or null for no reminder")
    return number


def _people(name: str, given: object, item: Item | None) -> list[dict[str, str]]:
    """Returns attendees by their addresses; who was one already stays what they were."""
    before = {} if item is None else attendees_of(item)
    return [before.get(address.casefold(), {"name": address, "address": address}) for address in strings(name, given)]

"""What an event tells that is not stored as it is told: its times, its place in a series, its people and their answers."""

from __future__ import annotations

import base64
from collections import deque
from collections.abc import Callable
from itertools import islice
from typing import Any
from xml.etree.ElementTree import Element

from connectors.sandbox.exchange.extended import SETS
from connectors.sandbox.exchange.soap import t
from connectors.sandbox.exchange.store import Store
from connectors.sandbox.exchange.values import stamp
from connectors.sandbox.microsoft import recurrence
from connectors.sandbox.microsoft.occurrences import Item, all_items, instants
from connectors.sandbox.microsoft.zones import shown_name

TYPES = {"singleInstance": "Single", "occurrence": "Occurrence", "exception": "Exception", "seriesMaster": "RecurringMaster"}
UID_HEADER = "040000008200E00074C5B7101A82E008"  # what all that Outlook makes begin with
LISTS = ("calendar:RequiredAttendees", "calendar:OptionalAttendees", "calendar:Resources")
MOST_COUNTED = 100_000  # occurrences that are walked through for the last one, or for the one of a number


def values_of(item: Item) -> dict[str, Any]:
    return {**item.row["values"], **item.own.get("values", {})}


def start_of(item: Item) -> str:
    return stamp(instants(item.times, is_floating=False)[0])


def end_of(item: Item) -> str:
    return stamp(instants(item.times, is_floating=False)[1])


def original_start(item: Item) -> str:
    """Returns when an occurrence would begin if it were like its series."""
    return stamp(instants(item.planned, is_floating=False)[0])


def attendees(item: Item, uri: str) -> list[dict[str, str]]:
    """Returns the attendees of one list with what each answered; to an attendee others' answers are unknown."""
    statuses = item.statuses if item.row["is_organizer"] else {}
    return [{**each, "response": "Unknown", **statuses.get(each["address"].casefold(), {})} for each in values_of(item).get(uri, ())]


def is_meeting(item: Item) -> bool:
    own = values_of(item)
    return not item.row["is_organizer"] or any(own.get(uri) for uri in LISTS)


def _response(store: Store, item: Item) -> str:
    return "Organizer" if item.row["is_organizer"] else str(item.part("response")["response"])


def _state(store: Store, item: Item) -> int:
    received = 0 if item.row["is_organizer"] else 2
    return (1 if is_meeting(item) else 0) + received + (4 if item.part("is_cancelled") else 0)


def _duration(store: Store, item: Item) -> str:
    start, end = instants(item.times, is_floating=False)
    seconds = int((end - start).total_seconds())
    days, rest = divmod(seconds, 86400)
    hours, rest = divmod(rest, 3600)
    return f"P{f'{days}D' if days else ''}T{hours}H{rest // 60}M"


def _organizer(store: Store, item: Item) -> dict[str, str]:
    return item.row["organizer"] or store.person(item.row["mailbox"])


def _is_master(item: Item) -> bool:
    return item.day is None and item.row["recurrence"] is not None


def occurrence(store: Store, item: Item, name: str = "Occurrence") -> Element:
    own = t("ItemId", Id=store.item_id(item.row, item.day), ChangeKey=store.change_key(item.row))
    times = t("Start", text=start_of(item)), t("End", text=end_of(item)), t("OriginalStart", text=original_start(item))
    return t(name, own, *times)


def _first(store: Store, item: Item) -> Element | None:
    first = next(all_items(item.row), None) if _is_master(item) else None
    return None if first is None else occurrence(store, first, "FirstOccurrence")


def _last(store: Store, item: Item) -> Element | None:
    if not _is_master(item) or item.row["recurrence"]["range"]["type"] == "noEnd":
        return None
    last = deque(islice(all_items(item.row), MOST_COUNTED), maxlen=1)
    return occurrence(store, last[0], "LastOccurrence") if last else None


def _modified(store: Store, item: Item) -> Element | None:
    days = sorted(item.row["exceptions"]) if _is_master(item) else []
    return t("ModifiedOccurrences", *(occurrence(store, Item(item.row, day)) for day in days)) if days else None


def _gone(store: Store, item: Item) -> Element | None:
    days = item.row["gone"] if _is_master(item) else []
    told = [t("DeletedOccurrence", t("Start", text=original_start(Item(item.row, day)))) for day in days]
    return t("DeletedOccurrences", *told) if told else None


def _recurrence(store: Store, item: Item) -> recurrence.Recurrence | None:
    return item.row["recurrence"] if item.day is None else None


def _when_place(item: Item) -> str | None:
    return original_start(item) if item.day is not None else None


def _zone(place: int) -> Callable[[Store, Item], str]:
    return lambda store, item: str(item.times["names"][place])


MADE: dict[str, Callable[[Store, Item], Any]] = {
    "calendar:UID": lambda store, item: item.row["uid"],
    "calendar:RecurrenceId": lambda store, item: _when_place(item),
    "calendar:Start": lambda store, item: start_of(item),
    "calendar:End": lambda store, item: end_of(item),
    "calendar:OriginalStart": lambda store, item: _when_place(item) or start_of(item),
    "calendar:IsMeeting": lambda store, item: is_meeting(item),
    "calendar:IsCancelled": lambda store, item: bool(item.part("is_cancelled")),
    "calendar:IsRecurring": lambda store, item: item.row["recurrence"] is not None,
    "calendar:MeetingRequestWasSent": lambda store, item: bool(item.row["was_sent"]),
    "calendar:CalendarItemType": lambda store, item: TYPES[item.type],
    "calendar:MyResponseType": _response,
    "calendar:AppointmentReplyTime": lambda store, item: item.part("response").get("at"),
    "calendar:Organizer": _organizer,
    **{uri: lambda store, item, uri=uri: attendees(item, uri) for uri in LISTS},  # type: ignore[misc]
    "calendar:Duration": _duration,
    "calendar:TimeZone": lambda store, item: shown_name(item.times["names"][0]),
    "calendar:AppointmentSequenceNumber": lambda store, item: item.row["sent_times"],
    "calendar:AppointmentState": _state,
    "calendar:Recurrence": _recurrence,
    "calendar:FirstOccurrence": _first,
    "calendar:LastOccurrence": _last,
    "calendar:ModifiedOccurrences": _modified,
    "calendar:DeletedOccurrences": _gone,
    "calendar:StartTimeZone": _zone(0),
    "calendar:EndTimeZone": _zone(1),
    "calendar:MeetingTimeZone": lambda store, item: None,
    "calendar:IsOnlineMeeting": lambda store, item: False,
    "calendar:ConflictingMeetingCount": lambda store, item: 0,
    "calendar:AdjacentMeetingCount": lambda store, item: 0,
}


def global_ids(item: Item) -> dict[str, str]:
    """Returns the extended properties by which a meeting is searched for, as its UID itself cannot be: the UID as bytes; one that
    did not come from Outlook is wrapped."""
    uid = str(item.row["uid"])
    try:
        raw = bytes.fromhex(uid)
    except ValueError:
        wrapped = b"vCal-Uid\x01\x00\x00\x00" + uid.encode() + b"\x00"
        raw = bytes.fromhex(UID_HEADER + "0" * 40) + len(wrapped).to_bytes(4, "little") + wrapped
    text = base64.b64encode(raw).decode()
    return {f"Binary {{{SETS['Meeting']}}} Id {number}": text for number in ("0x3", "0x23")}


def day_number(row: dict[str, Any], index: int) -> str | None:
    """Returns the day of an occurrence by its number in the series, the first is 1, those that were taken out count too. None:
    the series has not so many."""
    is_sought = 0 < index <= MOST_COUNTED
    day = next(islice(recurrence.days(row["recurrence"]), index - 1, None), None) if is_sought else None
    return None if day is None else day.isoformat()

"""Exchange's events as flat records, and back (reference section 6). Every call asks for times in UTC and for texts without
markup."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, date, datetime, time, timedelta
from typing import Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from exchangelib import CalendarItem, EWSDateTime, EWSTimeZone
from exchangelib.errors import EWSError
from exchangelib.properties import Body
from exchangelib.version import Version
from exchangelib.winzone import MS_TIMEZONE_TO_IANA_MAP

from connectors import calendars as words
from connectors.calendars import EVENT, Guest
from connectors.contract import Fields, Record, Ref, Value
from connectors.errors import MappingError, Rejected
from connectors.exchange import models
from connectors.exchange.codec import sendable, sendable_list
from connectors.exchange.models import tag
from connectors.exchange.settings import SYSTEM
from connectors.mailboxes import CATEGORIES, FOREIGN_ID
from connectors.notices import ALL_DAY, APPOINTMENT, MEETING
from connectors.text import clean, read_instant
from connectors.when import When, days, read_when, timed

MASTER = "RecurringMaster"
_KINDS = {"Single": words.SINGLE, "Occurrence": words.OCCURRENCE, "Exception": words.EXCEPTION}
_SHOWN = {
    "Free": words.FREE,
    "Tentative": words.TENTATIVE,
    "Busy": words.BUSY,
    "OOF": words.OUT,
    "WorkingElsewhere": words.ELSEWHERE,
}
_SENSITIVITIES = {"Normal": words.NORMAL, "Personal": words.PERSONAL, "Private": words.PRIVATE, "Confidential": words.CONFIDENTIAL}
_RESPONSES = {
    "Organizer": words.ORGANIZES,
    "Accept": words.ACCEPTED,
    "Tentative": words.PERHAPS,
    "Decline": words.DECLINED,
    "NoResponseReceived": words.OPEN,
    "Unknown": words.NONE,
}
_GUESTS = (("RequiredAttendees", words.REQUIRED), ("OptionalAttendees", words.OPTIONAL), ("Resources", words.RESOURCE))
_ASKED = """
    subject location body start end is_all_day original_start type uid legacy_free_busy_status sensitivity categories organizer
    my_response_type is_meeting is_cancelled required_attendees optional_attendees resources reminder_is_set
    reminder_minutes_before_start datetime_created last_modified_time _start_timezone parent_folder_id crm_record_id
"""
PATHS = [models.path(CalendarItem, name) for name in _ASKED.split()]
JUDGED = [models.path(CalendarItem, name) for name in ("is_meeting", "is_all_day")]  # what tells whether it is a meeting
LISTED = [models.path(CalendarItem, name) for name in ("uid", "type")]  # what a list of occurrences is asked for


def is_sound(element: Any) -> bool:
    """Tells whether an event of an answer can be read at all: an id, a version, and when it is."""
    return element.tag == tag("CalendarItem") and all(models.id_of(element)) and when_of(element) is not None


def kind_of(element: Any) -> str:
    return models.text(element, "CalendarItemType") or "Single"


def notice_kind(element: Any) -> str:
    """Returns what an event is: a meeting has guests and no whole days (S4.42)."""
    if _is_true(element, "IsAllDayEvent"):
        return ALL_DAY
    return MEETING if _is_true(element, "IsMeeting") else APPOINTMENT


def zone_of(element: Any) -> str:
    """Returns the Windows name of the zone that an event is meant in, "" where it does not say."""
    found = element.find(tag("StartTimeZone"))
    return (found.get("Id") or "") if found is not None else ""


def when_of(element: Any) -> When | None:
    """Returns when an event is, None where that cannot be read. Whole days begin at the midnight of the zone that they were entered
    in: their dates there are what counts (C25)."""
    start, end = (read_instant(models.text(element, name)) for name in ("Start", "End"))
    if start is None or end is None:
        return None
    if not _is_true(element, "IsAllDayEvent"):
        return timed(start, end)
    zone = zone_of(element)
    return days(_date(start, zone), _date(end, zone))


def _date(at: datetime, zone: str) -> date:
    """Returns the date that a midnight begins. Of a zone that nobody knows it is that of the nearest midnight in UTC."""
    known = zone_info(zone)
    return at.astimezone(known).date() if known is not None else (at + timedelta(hours=12)).date()


def zone_info(name: str) -> ZoneInfo | None:
    """Returns the zone of a Windows name, or of one of the IANA's; None for any other."""
    try:
        return ZoneInfo(MS_TIMEZONE_TO_IANA_MAP.get(name, name)) if name else None
    except (ZoneInfoNotFoundError, ValueError, OSError):
        return None


def _is_true(element: Any, name: str) -> bool:
    return (models.text(element, name) or "") in ("true", "1")


def read_event(element: Any, *, series: str = "", mailbox: str = "") -> Record:
    """Returns the record of a sound event. `series` is the id of the series that it belongs to, `mailbox` whose calendar it is."""
    when = when_of(element)
    assert when is not None  # the caller asked `is_sound`
    id_, change_key = models.id_of(element)
    fields: dict[str, Value] = {words.WHEN: when.text}
    damaged = set()
    texts = {"subject": models.text(element, "Subject"), "location": models.text(element, "Location"), words.BODY: _body(element)}
    for name, raw in texts.items():
        text, is_damaged = clean(raw or "")
        fields[name] = text.strip() or None
        if is_damaged:
            damaged.add(name)
    fields[CATEGORIES] = tuple(clean(name)[0] for name in models.categories(element))
    fields[FOREIGN_ID] = models.extended(element).get(models.FOREIGN) or None
    fields |= _told(element, when, series, mailbox)
    changed = read_instant(models.text(element, "LastModifiedTime"))
    return Record(Ref(SYSTEM, EVENT, id_), fields, version=change_key, updated_at=changed, damaged=frozenset(damaged))


def _body(element: Any) -> str:
    return (models.text(element, "Body") or "").replace("\r\n", "\n")[: words.LONGEST_BODY]


def _told(element: Any, when: When, series: str, mailbox: str) -> dict[str, Value]:
    kind = _KINDS.get(kind_of(element), words.SINGLE)
    minutes = models.text(element, "ReminderMinutesBeforeStart") or ""
    has_reminder = _is_true(element, "ReminderIsSet") and minutes.isdigit()
    organizer = _address(element.find(tag("Organizer")))
    return {
        words.SHOW_AS: _SHOWN.get(models.text(element, "LegacyFreeBusyStatus") or ""),
        words.REMINDER: int(minutes) if has_reminder else None,
        words.SENSITIVITY: _SENSITIVITIES.get(models.text(element, "Sensitivity") or ""),
        words.KIND: kind,
        words.SERIES: series or None if kind != words.SINGLE else None,
        words.ORIGINAL_START: _original(element, when) if kind != words.SINGLE else None,
        words.UID: _plain(models.text(element, "UID")),
        words.ORGANIZER: organizer,
        words.IS_ORGANIZER: _is_organizer(element, organizer, mailbox),
        words.RESPONSE: _RESPONSES.get(models.text(element, "MyResponseType") or "Unknown", words.NONE),
        words.GUESTS: tuple(guest.text for guest in _guests(element)),
        words.IS_CANCELLED: _is_true(element, "IsCancelled"),
        words.CREATED: read_instant(models.text(element, "DateTimeCreated")),
        words.ORIGIN: words.PLAIN,
    }


def _original(element: Any, when: When) -> str:
    """Returns the start that an occurrence would have had: its own, where nothing else is said."""
    original = read_instant(models.text(element, "OriginalStart"))
    start: datetime | date = when.start
    if original is not None:
        start = _date(original, zone_of(element)) if when.is_all_day else original
    return When(start, start).text.partition("/")[0]


def _is_organizer(element: Any, organizer: str | None, mailbox: str) -> bool:
    """Tells whether the mailbox's user organises it. What is no meeting is theirs."""
    if models.text(element, "MyResponseType") == "Organizer" or not _is_true(element, "IsMeeting"):
        return True
    return organizer is None or organizer == mailbox.lower()


def _guests(element: Any) -> list[Guest]:
    found = []
    for name, type_ in _GUESTS:
        rows = element.find(tag(name))
        for row in rows.findall(tag("Attendee")) if rows is not None else ():
            address = _address(row)
            if address is not None and ";" not in address:
                response = _RESPONSES.get(models.text(row, "ResponseType") or "Unknown", words.OPEN)
                held = row.find(tag("Mailbox"))
                called = clean(models.text(held, "Name") or "")[0][:255]
                found.append(Guest(address, called, type_, words.OPEN if response == words.NONE else response))
    return found


def _address(element: Any) -> str | None:
    """Returns the address of a person: servers name their own people by the path in their directory where they are not asked for
    one item by itself."""
    held = element.find(tag("Mailbox")) if element is not None else None
    address = clean((models.text(held, "EmailAddress") or "").strip().lower())[0] if held is not None else ""
    return address[:320] if "@" in address else None


def _plain(raw: str | None) -> str | None:
    return clean(raw)[0][:1024] if raw else None


# --- writing --------------------------------------------------------------------------------------------------------

_TEXTS = {"subject": "subject", "location": "location"}
_BACK_SHOWN = {ours: theirs for theirs, ours in _SHOWN.items()}
_BACK_SENSITIVITIES = {ours: theirs for theirs, ours in _SENSITIVITIES.items()}


def values(fields: Fields, zone: str) -> dict[str, Any]:
    """Returns exchangelib's names of the fields of a write with what they are given, None for blank. `zone` is what whole days and
    times are meant in. Raises MappingError for a field that no event has, Rejected for a value that it cannot hold."""
    given: dict[str, Any] = {}
    for name, value in fields.items():
        given |= _written(name, value, zone)
    return given


def _written(name: str, value: Value, zone: str) -> dict[str, Any]:
    if name == words.WHEN:
        return write_when(value, zone)
    if name in _TEXTS:
        return {_TEXTS[name]: sendable(value, name)}
    if name == words.BODY:
        text = sendable(value, name)
        return {"body": Body(text) if text is not None else None}
    if name == words.SHOW_AS:
        return {"legacy_free_busy_status": _BACK_SHOWN.get(str(value or words.BUSY), "Busy")}
    if name == words.SENSITIVITY:
        return {"sensitivity": _BACK_SENSITIVITIES.get(str(value or words.NORMAL), "Normal")}
    if name == words.REMINDER:
        return {"reminder_is_set": value is not None} | ({"reminder_minutes_before_start": value} if value is not None else {})
    if name == CATEGORIES:
        return {"categories": sendable_list(value, name) or None}
    if name == FOREIGN_ID:
        return {models.FOREIGN: sendable(value, name)}
    raise MappingError(f"has no field {name[:80]!r} that could be written on an event", system=SYSTEM, field=name)


def write_when(value: Value, zone: str) -> dict[str, Any]:
    when = read_when(value)
    if when is None:
        raise Rejected(f"{str(value)[:80]!r} is no time of an event", system=SYSTEM, field=words.WHEN)
    known = ews_zone(zone)
    start, end = (_at(at, known) for at in (when.start, when.end))
    return {"start": start, "end": end, "is_all_day": when.is_all_day, "_start_timezone": known, "_end_timezone": known}


def _at(at: datetime | date, zone: EWSTimeZone) -> EWSDateTime:
    instant = at if isinstance(at, datetime) else datetime.combine(at, time(), zone)
    return EWSDateTime.from_datetime(instant.astimezone(UTC)).astimezone(zone)


def ews_zone(name: str) -> EWSTimeZone:
    """Returns the zone of a Windows or an IANA name as exchangelib knows it, UTC for one that nobody knows."""
    known = zone_info(name)
    try:
        return EWSTimeZone.from_timezone(known) if known is not None else EWSTimeZone("UTC")
    except (EWSError, LookupError, TypeError, ValueError) as error:  # exchangelib has several kinds of "unknown zone"
        raise Rejected(f"knows no time zone {name[:60]!r}", system=SYSTEM, field=words.WHEN) from error


def updates(fields: Fields, zone: str, version: Version) -> list[Any]:
    """Returns the elements of an update: the given fields and no others. Raises as `values`."""
    return [_update(name, value, version) for name, value in values(fields, zone).items()]


def _update(name: str, value: Any, version: Version) -> Any:
    at = models.path(CalendarItem, name)
    if value is None:
        return models.delete_field(at, version)
    return models.set_field(CalendarItem, at, at.field.value_cls(value) if name == models.FOREIGN else value, version)


def new_event(fields: Fields, zone: str) -> CalendarItem:
    """Returns what a create sends. Raises as `values`."""
    given = {name: value for name, value in values(fields, zone).items() if value is not None}
    zones = {name: given.pop(name) for name in ("_start_timezone", "_end_timezone") if name in given}
    if "start" not in given:
        raise Rejected("an event needs a time", system=SYSTEM, field=words.WHEN)
    item = CalendarItem(**given)
    for name, value in zones.items():
        setattr(item, name, value)
    return item


def sent_fields(fields: Fields) -> Mapping[str, Value]:
    """Returns the fields of a write as they are held afterwards: Exchange answers a write with id and change key only."""
    held: dict[str, Value] = {}
    for name, value in fields.items():
        text = value.strip() or None if isinstance(value, str) else value
        held[name] = text
    return held

"""Microsoft's events as flat records, and back (reference sections 2.3, 5 to 7). Pure.

Every call asks for UTC and for texts without markup. A property that an answer does not hold is not known, and never taken
for blank.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, date, datetime
from typing import Any

from connectors import calendars as words
from connectors.calendars import EVENT, Guest
from connectors.contract import Fields, Record, Ref, Value
from connectors.errors import MappingError, Rejected
from connectors.mailboxes import CATEGORIES, FOREIGN_ID
from connectors.microsoft.codec import EXTENDED_LIST, FOREIGN_PROPERTY
from connectors.microsoft.settings import SYSTEM
from connectors.text import clean, read_instant
from connectors.when import When, days, read_when, timed

Row = Mapping[str, Any]

PREFERS = ('outlook.timezone="UTC"', 'outlook.body-content-type="text"')
_TEXTS = ("subject", "body", "location", "iCalUId", "type", "seriesMasterId", "showAs", "sensitivity", "categories")
_TIMES = (
    "start",
    "end",
    "isAllDay",
    "originalStart",
    "createdDateTime",
    "lastModifiedDateTime",
    "isReminderOn",
    "reminderMinutesBeforeStart",
)
_PEOPLE = ("organizer", "isOrganizer", "responseStatus", "attendees", "isCancelled", "isDraft")
PROPERTIES = (*_TEXTS, *_TIMES, *_PEOPLE)
MASTER = "seriesMaster"
_KINDS = {"singleInstance": words.SINGLE, "occurrence": words.OCCURRENCE, "exception": words.EXCEPTION}
_RESPONSES = {
    "none": words.NONE,
    "organizer": words.ORGANIZES,
    "accepted": words.ACCEPTED,
    "tentativelyAccepted": words.PERHAPS,
    "declined": words.DECLINED,
    "notResponded": words.OPEN,
}
_TYPES = (words.REQUIRED, words.OPTIONAL, words.RESOURCE)


def etag_of(row: Row) -> str:
    etag = row.get("@odata.etag")
    if isinstance(etag, str) and etag:
        return etag
    key = row.get("changeKey")
    return f'W/"{key}"' if isinstance(key, str) and key else ""


def is_sound(raw: Any) -> bool:
    """Tells whether an event of an answer can be read at all: an id, a version, and when it is."""
    return isinstance(raw, dict) and isinstance(raw.get("id"), str) and bool(raw["id"] and etag_of(raw)) and when_of(raw) is not None


def when_of(row: Row) -> When | None:
    """Returns when an event is, None where that cannot be read. Whole days are named by their dates as they stand there: they
    are no instants (C25)."""
    start, end = (_at(row.get(name)) for name in ("start", "end"))
    if start is None or end is None:
        return None
    return days(start.date(), end.date()) if row.get("isAllDay") is True else timed(start, end)


def _at(raw: Any) -> datetime | None:
    """Returns the instant of a dateTimeTimeZone. We ask for UTC; another zone cannot be read here."""
    text = raw.get("dateTime") if isinstance(raw, Mapping) else None
    if not isinstance(text, str) or raw.get("timeZone") not in ("UTC", "Etc/UTC", "tzone://Microsoft/Utc", None):
        return None
    try:
        return datetime.fromisoformat(text[:26]).replace(tzinfo=UTC)
    except ValueError:
        return None


def read_event(row: Row, *, uid: str | None = None) -> Record:
    """Returns the record of a sound row. `uid` is the identity of its series where it belongs to one: Microsoft gives each
    occurrence an iCalUId of its own."""
    when = when_of(row)
    assert when is not None  # the caller asked `is_sound`
    fields: dict[str, Value] = {words.WHEN: when.text}
    damaged = set()
    texts = {"subject": row.get("subject"), "location": _inner(row, "location", "displayName"), words.BODY: _body(row)}
    for name, raw in texts.items():
        text, is_damaged = clean(raw if isinstance(raw, str) else "")
        fields[name] = text.strip() or None
        if is_damaged:
            damaged.add(name)
    held = row.get("categories")
    if isinstance(held, list):
        fields[CATEGORIES] = tuple(clean(str(name))[0] for name in held if isinstance(name, str))
    fields |= _told(row, when, uid)
    if EXTENDED_LIST in row:
        fields[FOREIGN_ID] = _marker(row)
    changed = read_instant(row.get("lastModifiedDateTime"))
    return Record(Ref(SYSTEM, EVENT, row["id"]), fields, version=etag_of(row), updated_at=changed, damaged=frozenset(damaged))


def _told(row: Row, when: When, uid: str | None) -> dict[str, Value]:
    kind = _KINDS.get(str(row.get("type")), words.SINGLE)
    minutes = row.get("reminderMinutesBeforeStart")
    own = row.get("responseStatus")
    original = read_instant(row.get("originalStart"))
    starts: datetime | date = original.date() if original is not None and when.is_all_day else original or when.start
    return {
        words.SHOW_AS: _among(row.get("showAs"), (words.FREE, words.TENTATIVE, words.BUSY, words.OUT, words.ELSEWHERE)),
        words.REMINDER: minutes if row.get("isReminderOn") is True and isinstance(minutes, int) else None,
        words.SENSITIVITY: _among(row.get("sensitivity"), (words.NORMAL, words.PERSONAL, words.PRIVATE, words.CONFIDENTIAL)),
        words.KIND: kind,
        words.SERIES: _text(row.get("seriesMasterId")),
        words.ORIGINAL_START: When(starts, starts).text.partition("/")[0] if kind != words.SINGLE else None,
        words.UID: uid or _text(row.get("iCalUId")),
        words.ORGANIZER: _address(row.get("organizer")),
        words.IS_ORGANIZER: row.get("isOrganizer") is not False,
        words.RESPONSE: _RESPONSES.get(str(own.get("response")) if isinstance(own, Mapping) else "none", words.NONE),
        words.GUESTS: tuple(guest.text for raw in _list(row.get("attendees")) if (guest := _guest(raw)) is not None),
        words.IS_CANCELLED: row.get("isCancelled") is True,
        words.CREATED: read_instant(row.get("createdDateTime")),
        words.ORIGIN: words.SPECIAL if row.get("isDraft") is True else words.PLAIN,
    }


def _body(row: Row) -> str:
    text = _inner(row, "body", "content")
    return text.replace("\r\n", "\n")[: words.LONGEST_BODY] if isinstance(text, str) else ""


def _inner(row: Row, name: str, part: str) -> Any:
    held = row.get(name)
    return held.get(part) if isinstance(held, Mapping) else None


def _text(raw: Any) -> str | None:
    return clean(raw)[0][:1024] if isinstance(raw, str) and raw else None


def _list(raw: Any) -> list[Any]:
    return raw if isinstance(raw, list) else []


def _among(raw: Any, known: tuple[str, ...]) -> str | None:
    return raw if isinstance(raw, str) and raw in known else None


def _address(raw: Any) -> str | None:
    held = raw.get("emailAddress") if isinstance(raw, Mapping) else None
    address = held.get("address") if isinstance(held, Mapping) else None
    return clean(address)[0].strip().lower()[:320] if isinstance(address, str) and "@" in address else None


def _guest(raw: Any) -> Guest | None:
    address = _address(raw)
    if address is None or ";" in address:
        return None
    name = _inner(raw, "emailAddress", "name")
    status = raw.get("status")
    said = str(status.get("response")) if isinstance(status, Mapping) else "none"
    type_ = str(raw.get("type"))
    response = _RESPONSES.get(said, words.OPEN)
    return Guest(
        address,
        clean(name)[0][:255] if isinstance(name, str) else "",
        type_ if type_ in _TYPES else words.REQUIRED,
        words.OPEN if response == words.NONE else response,
    )


def _marker(row: Row) -> str | None:
    for held in _list(row.get(EXTENDED_LIST)):
        if isinstance(held, Mapping) and str(held.get("id")).casefold() == FOREIGN_PROPERTY.casefold():
            return _text(held.get("value"))
    return None


# --- writing --------------------------------------------------------------------------------------------------------


def write_body(fields: Fields) -> dict[str, Any]:
    """Returns the JSON of a write: only the given fields. Raises MappingError for a field that no event has, Rejected for a
    value that it cannot hold."""
    body: dict[str, Any] = {}
    for name, value in fields.items():
        body |= _written(name, value)
    return body


def _written(name: str, value: Value) -> dict[str, Any]:
    if name == words.WHEN:
        return write_when(value)
    if name == "subject":
        return {"subject": value or ""}
    if name == "location":
        return {"location": {"displayName": value or ""}}
    if name == words.BODY:
        return {"body": {"contentType": "text", "content": value or ""}}
    if name == words.SHOW_AS:
        return {"showAs": value or words.BUSY}
    if name == words.SENSITIVITY:
        return {"sensitivity": value or words.NORMAL}
    if name == words.REMINDER:
        return {"isReminderOn": value is not None} | ({"reminderMinutesBeforeStart": value} if value is not None else {})
    if name == CATEGORIES:
        return {"categories": list(value) if isinstance(value, tuple) else []}
    if name == FOREIGN_ID:
        return {EXTENDED_LIST: [{"id": FOREIGN_PROPERTY, "value": str(value or "")}]}
    raise MappingError(f"has no field {name[:80]!r} that could be written on an event", system=SYSTEM, field=name)


def write_when(value: Value) -> dict[str, Any]:
    when = read_when(value)
    if when is None:
        raise Rejected(f"{str(value)[:80]!r} is no time of an event", system=SYSTEM, field=words.WHEN)
    start, end = (f"{at:%Y-%m-%dT%H:%M:%S}" if isinstance(at, datetime) else f"{at.isoformat()}T00:00:00" for at in (when.start, when.end))
    zone = {"timeZone": "UTC"}
    return {"start": {"dateTime": start, **zone}, "end": {"dateTime": end, **zone}, "isAllDay": when.is_all_day}

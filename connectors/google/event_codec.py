"""Google's events as flat records, and back (reference sections 5.1 to 5.3). Pure.

Google has no categories on events, so that none is read or written. Its texts may hold markup; what is read is the text, and
what is written is text without markup.
"""

from __future__ import annotations

import html
from collections.abc import Mapping
from datetime import UTC, date, datetime
from html.parser import HTMLParser
from typing import Any

from connectors import calendars as words
from connectors.calendars import EVENT, Guest
from connectors.contract import Fields, Record, Ref, Value
from connectors.errors import MappingError, Rejected
from connectors.google.settings import SYSTEM
from connectors.mailboxes import FOREIGN_ID
from connectors.text import clean, read_instant
from connectors.when import When, days, read_when, timed

Row = Mapping[str, Any]

MARKER_KEY = "crmRecordId"  # of the private properties: ours for ever, and of this copy of the event only
CANCELLED = "cancelled"
_RESPONSES = {"needsAction": words.OPEN, "declined": words.DECLINED, "tentative": words.PERHAPS, "accepted": words.ACCEPTED}
_SENSITIVITY = {"private": words.PRIVATE, "confidential": words.CONFIDENTIAL}
_VISIBILITY = {words.NORMAL: "default", words.PERSONAL: "private", words.PRIVATE: "private", words.CONFIDENTIAL: "confidential"}
_ORDINARY = ("default", "fromGmail", "")  # kinds of events that people make
_BREAKS = frozenset({"br", "p", "div", "li", "tr", "ul", "ol", "h1", "h2", "h3"})
_UNREAD = frozenset({"script", "style"})


def is_gone(row: Row) -> bool:
    """Tells whether a row of a list of changes says only that an event is not there any more (reference 5.4)."""
    return row.get("status") == CANCELLED


def is_series(row: Row) -> bool:
    """Tells whether a row is a series, whose occurrences are to be read apart."""
    return isinstance(row.get("recurrence"), list) and bool(row["recurrence"])


def is_sound(raw: Any) -> bool:
    """Tells whether an event of an answer can be read at all: an id, a version, and when it is."""
    return isinstance(raw, Mapping) and all(isinstance(raw.get(n), str) and raw[n] for n in ("id", "etag")) and when_of(raw) is not None


def when_of(row: Row) -> When | None:
    """Returns when an event is, None where that cannot be read. One without an end has no length."""
    start = _at(row.get("start"))
    end = start if row.get("endTimeUnspecified") is True else _at(row.get("end"))
    if start is None or end is None or isinstance(start, datetime) != isinstance(end, datetime):
        return None
    return timed(start, end) if isinstance(start, datetime) and isinstance(end, datetime) else days(start, end)


def _at(raw: Any) -> datetime | date | None:
    if not isinstance(raw, Mapping):
        return None
    if isinstance(raw.get("date"), str):
        try:
            return date.fromisoformat(raw["date"])
        except ValueError:
            return None
    return read_instant(raw.get("dateTime"))


def read_event(row: Row, address: str) -> Record:
    """Returns the record of a sound row of the calendar of `address`. Every property that is not there is blank: Google leaves
    out what is."""
    when = when_of(row)
    assert when is not None  # the caller asked `is_sound`
    fields: dict[str, Value] = {words.WHEN: when.text}
    damaged = set()
    for name, raw in (("subject", row.get("summary")), ("location", row.get("location")), (words.BODY, _body(row))):
        text, is_damaged = clean(raw if isinstance(raw, str) else "")
        fields[name] = text.strip() or None
        if is_damaged:
            damaged.add(name)
    fields |= _told(row, when, address.lower())
    fields[FOREIGN_ID] = _marker(row)
    changed = read_instant(row.get("updated"))
    return Record(Ref(SYSTEM, EVENT, row["id"]), fields, version=row["etag"], updated_at=changed, damaged=frozenset(damaged))


def _told(row: Row, when: When, address: str) -> dict[str, Value]:
    attendees = [a for a in _list(row.get("attendees")) if isinstance(a, Mapping)]
    own = next((a for a in attendees if a.get("self") is True), None)
    organizer = row.get("organizer")
    is_own = not isinstance(organizer, Mapping) or organizer.get("self") is True or _address(organizer) == address
    series = row.get("recurringEventId")
    original = _at(row.get("originalStartTime")) if series else None
    kind = words.SINGLE if not series else words.OCCURRENCE if original == when.start else words.EXCEPTION
    said = words.ORGANIZES if is_own and attendees else words.NONE
    return {
        words.SHOW_AS: _show_as(row),
        words.REMINDER: _reminder(row),
        words.SENSITIVITY: _SENSITIVITY.get(str(row.get("visibility")), words.NORMAL),
        words.KIND: kind,
        words.SERIES: _text(series),
        words.ORIGINAL_START: When(original, original).text.partition("/")[0] if original is not None else None,
        words.UID: _text(row.get("iCalUID")),
        words.ORGANIZER: _address(organizer),
        words.IS_ORGANIZER: is_own,
        words.RESPONSE: _RESPONSES.get(str(own.get("responseStatus")), words.OPEN) if own is not None and not is_own else said,
        words.GUESTS: tuple(guest.text for raw in attendees if (guest := _guest(raw)) is not None),
        words.IS_CANCELLED: is_gone(row),
        words.CREATED: read_instant(row.get("created")),
        words.ORIGIN: words.PLAIN if str(row.get("eventType") or "") in _ORDINARY else words.SPECIAL,
    }


def _show_as(row: Row) -> str:
    if row.get("eventType") == "outOfOffice":
        return words.OUT
    return words.FREE if row.get("transparency") == "transparent" else words.TENTATIVE if row.get("status") == "tentative" else words.BUSY


def _reminder(row: Row) -> int | None:
    """Returns the minutes of the first reminder on the screen; what the calendar reminds of by default is not the event's."""
    reminders = row.get("reminders")
    if not isinstance(reminders, Mapping) or reminders.get("useDefault") is not False:
        return None
    known = [r for r in _list(reminders.get("overrides")) if isinstance(r, Mapping) and r.get("method") == "popup"]
    return next((r["minutes"] for r in known if isinstance(r.get("minutes"), int)), None)


def _marker(row: Row) -> str | None:
    held = row.get("extendedProperties")
    own = held.get("private") if isinstance(held, Mapping) else None
    return _text(own.get(MARKER_KEY)) if isinstance(own, Mapping) else None


def _address(raw: Any) -> str | None:
    address = raw.get("email") if isinstance(raw, Mapping) else None
    return clean(address)[0].strip().lower()[:320] if isinstance(address, str) and "@" in address and ";" not in address else None


def _guest(raw: Row) -> Guest | None:
    address = _address(raw)
    if address is None:
        return None
    type_ = words.RESOURCE if raw.get("resource") is True else words.OPTIONAL if raw.get("optional") is True else words.REQUIRED
    is_host = raw.get("organizer") is True
    response = words.ORGANIZES if is_host else _RESPONSES.get(str(raw.get("responseStatus")), words.OPEN)
    return Guest(address, (_text(raw.get("displayName")) or "")[:255], type_, response)


def _list(raw: Any) -> list[Any]:
    return raw if isinstance(raw, list) else []


def _text(raw: Any) -> str | None:
    return clean(raw)[0][:1024] if isinstance(raw, str) and raw else None


class _Text(HTMLParser):
    """Collects what a reader sees of markup."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.parts: list[str] = []
        self._unread = 0

    def handle_starttag(self, tag: str, attrs: Any) -> None:
        self._unread += tag in _UNREAD
        if tag in _BREAKS:
            self.parts.append("\n")

    def handle_endtag(self, tag: str) -> None:
        self._unread = max(self._unread - (tag in _UNREAD), 0)

    def handle_data(self, data: str) -> None:
        if not self._unread:
            self.parts.append(data)


def _body(row: Row) -> str:
    text = row.get("description")
    if not isinstance(text, str):
        return ""
    text = text[: 4 * words.LONGEST_BODY].replace("\r\n", "\n")
    if "<" in text or "&" in text:
        reader = _Text()
        reader.feed(text)
        reader.close()
        text = "".join(reader.parts)
    return text[: words.LONGEST_BODY]


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
        return _written_when(value)
    if name in ("subject", "location"):
        return {{"subject": "summary"}.get(name, name): value or ""}
    if name == words.BODY:
        return {"description": html.escape(str(value or ""), quote=False)}  # a bare < would begin markup
    if name == words.SHOW_AS:
        return {"transparency": "transparent" if value in (words.FREE, words.ELSEWHERE) else "opaque"}
    if name == words.SENSITIVITY:
        return {"visibility": _VISIBILITY.get(str(value), "default")}
    if name == words.REMINDER:
        overrides = [{"method": "popup", "minutes": value}] if value is not None else []
        return {"reminders": {"useDefault": False, "overrides": overrides}}
    if name == FOREIGN_ID:
        return {"extendedProperties": {"private": {MARKER_KEY: str(value or "")}}}
    raise MappingError(f"has no field {name[:80]!r} that could be written on an event", system=SYSTEM, field=name)


def _written_when(value: Value) -> dict[str, Any]:
    """Returns start and end; the form that they do not take is blanked, or an event that becomes one of whole days keeps both."""
    when = read_when(value)
    if when is None:
        raise Rejected(f"{str(value)[:80]!r} is no time of an event", system=SYSTEM, field=words.WHEN)
    ends = zip(("start", "end"), (when.start, when.end), strict=True)
    return {
        name: {"dateTime": f"{at.astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}", "timeZone": "UTC", "date": None}
        if isinstance(at, datetime)
        else {"date": at.isoformat(), "dateTime": None, "timeZone": None}
        for name, at in ends
    }

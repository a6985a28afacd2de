"""Tasks of Microsoft To Do as flat records, and back (reference section 8). Pure.

Every call asks for UTC. A value that cannot be read is told as damaged, and never taken for blank: one bad task stops no page.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime
from html.parser import HTMLParser
from typing import Any

from connectors import tasks as words
from connectors.contract import Fields, Record, Ref, Value
from connectors.errors import MappingError, Rejected
from connectors.mailboxes import CATEGORIES, FOREIGN_ID
from connectors.microsoft.settings import SYSTEM
from connectors.tasks import TASK
from connectors.text import clean, read_instant

Row = Mapping[str, Any]

LINKS = "linkedResources"
DEFAULT, FLAGGED = "defaultList", "flaggedEmails"  # what wellknownListName says
_UTC = ("UTC", "Etc/UTC", "tzone://Microsoft/Utc", None)
_BREAKS = frozenset({"br", "p", "div", "tr", "li", "h1", "h2", "h3", "ul", "ol", "table"})
_HIDDEN = frozenset({"head", "style", "script", "title"})


@dataclass(frozen=True, slots=True)
class Held:
    """A list of the mailbox as far as it matters here. `kind`: its wellknownListName."""

    id: str
    name: str
    kind: str = ""


def read_list(raw: Any) -> Held | None:
    """Returns the list that a row describes, None for a row that cannot be read."""
    if not isinstance(raw, Mapping) or not isinstance(raw.get("id"), str) or not raw["id"]:
        return None
    name, kind = raw.get("displayName"), raw.get("wellknownListName")
    return Held(raw["id"], clean(name)[0] if isinstance(name, str) else "", kind if isinstance(kind, str) else "")


def is_looked_at(raw: Row) -> bool:
    """Tells whether the tasks of a list are its user's own: flagged mails are none, and a list that somebody else shares is
    told in that one's mailbox."""
    return raw.get("wellknownListName") != FLAGGED and raw.get("isOwner") is not False


def etag_of(row: Row) -> str:
    etag = row.get("@odata.etag")
    return etag if isinstance(etag, str) else ""


def is_sound(raw: Any) -> bool:
    """Tells whether a task of an answer can be read at all."""
    return isinstance(raw, dict) and isinstance(raw.get("id"), str) and bool(raw["id"] and etag_of(raw))


def is_full(row: Row) -> bool:
    """Tells whether a row holds the whole task. One that does not is read by its id."""
    return "title" in row and "status" in row


def read_task(row: Row, list_: Held, *, ours: str, application: str) -> Record:
    """Returns the record of a sound row. FOREIGN_ID is told where what is linked to the task was asked for: the id that stands
    there in the name of our `application`."""
    damaged: set[str] = set()
    fields: dict[str, Value] = {}
    for name, raw in ((words.SUBJECT, row.get("title")), (words.BODY, _body(row))):
        text, is_damaged = clean(raw if isinstance(raw, str) else "")
        fields[name] = text.strip() or None
        damaged |= {name} if is_damaged else set()
    for name, raw, known in (
        (words.STATUS, row.get("status"), words.STATUSES),
        (words.IMPORTANCE, row.get("importance"), words.IMPORTANCES),
    ):
        fields[name] = raw if isinstance(raw, str) and raw in known else None
        damaged |= {name} if fields[name] is None and raw is not None else set()
    for name, raw in ((words.DUE, row.get("dueDateTime")), (words.COMPLETED_ON, row.get("completedDateTime"))):
        at = _clock(raw)
        fields[name] = at.date() if at is not None else None
        damaged |= {name} if at is None and raw is not None else set()
    reminder = row.get("reminderDateTime") if row.get("isReminderOn") is True else None
    fields[words.REMINDER] = _instant(reminder)
    damaged |= {words.REMINDER} if reminder is not None and fields[words.REMINDER] is None else set()
    held = row.get("categories")
    fields[CATEGORIES] = tuple(clean(name)[0] for name in held if isinstance(name, str)) if isinstance(held, list) else ()
    fields |= {words.LIST: list_.id, words.LIST_NAME: list_.name, words.IS_OURS: bool(ours) and list_.id == ours}
    fields[words.CREATED] = read_instant(row.get("createdDateTime"))
    if isinstance(row.get(LINKS), list):
        link = link_of(row, application)
        fields[FOREIGN_ID] = clean(str(link.get("externalId") or ""))[0][:255] or None if link is not None else None
    changed = read_instant(row.get("lastModifiedDateTime"))
    return Record(Ref(SYSTEM, TASK, row["id"]), fields, version=etag_of(row), updated_at=changed, damaged=frozenset(damaged))


def link_of(row: Row, application: str) -> Row | None:
    """Returns what our application linked to a task, None where it did not."""
    held = row.get(LINKS)
    for link in held if isinstance(held, list) else ():
        if isinstance(link, Mapping) and link.get("applicationName") == application and isinstance(link.get("id"), str):
            return link
    return None


def _body(row: Row) -> str:
    held = row.get("body")
    content = held.get("content") if isinstance(held, Mapping) else None
    if not isinstance(content, str):
        return ""
    is_markup = isinstance(held, Mapping) and str(held.get("contentType")).casefold() == "html"
    return (_without_markup(content) if is_markup else content).replace("\r\n", "\n")


class _Text(HTMLParser):
    """The text of a page, a line for each of its blocks."""

    def __init__(self) -> None:
        super().__init__()
        self.parts: list[str] = []
        self._hidden = 0

    def handle_starttag(self, tag: str, attrs: Any) -> None:
        self._hidden += tag in _HIDDEN
        if tag in _BREAKS:
            self.parts.append("\n")

    def handle_endtag(self, tag: str) -> None:
        self._hidden = max(self._hidden - (tag in _HIDDEN), 0)

    def handle_data(self, data: str) -> None:
        if not self._hidden:
            self.parts.append(" ".join(data.split("\n")))


def _without_markup(content: str) -> str:
    reader = _Text()
    reader.feed(content)
    reader.close()
    lines = [" ".join(line.split()) for line in "".join(reader.parts).split("\n")]
    return "\n".join(line for at, line in enumerate(lines) if line or (at and lines[at - 1])).strip()


def _clock(raw: Any) -> datetime | None:
    """Returns what a dateTimeTimeZone shows. Of days the date is what counts, whatever its zone (reference 8)."""
    text = raw.get("dateTime") if isinstance(raw, Mapping) else None
    try:
        return datetime.fromisoformat(text[:26]) if isinstance(text, str) else None
    except ValueError:
        return None


def _instant(raw: Any) -> datetime | None:
    """Returns the instant of a dateTimeTimeZone. We ask for UTC; another zone cannot be read here."""
    at = _clock(raw)
    is_utc = isinstance(raw, Mapping) and raw.get("timeZone") in _UTC
    return at.replace(tzinfo=UTC, microsecond=0) if at is not None and at.tzinfo is None and is_utc else None


# --- writing --------------------------------------------------------------------------------------------------------


def write_body(fields: Fields) -> dict[str, Any]:
    """Returns the JSON of a write: only the given fields. FOREIGN_ID is none of the task's own properties and is written by
    itself. Raises MappingError for a field that no task has, Rejected for a value that it cannot hold."""
    body: dict[str, Any] = {}
    for name, value in fields.items():
        if name != FOREIGN_ID:
            body |= _written(name, value)
    return body


def _written(name: str, value: Value) -> dict[str, Any]:
    if name == words.SUBJECT:
        return {"title": value or ""}
    if name == words.BODY:
        return {"body": {"contentType": "text", "content": value or ""}}
    if name == words.STATUS:
        return {"status": _among(name, value, words.STATUSES, words.NOT_STARTED)}
    if name == words.IMPORTANCE:
        return {"importance": _among(name, value, words.IMPORTANCES, words.NORMAL)}
    if name == words.DUE:
        return {"dueDateTime": None if value is None else _day(name, value)}
    if name == words.REMINDER:
        return {"isReminderOn": value is not None} | ({"reminderDateTime": _moment(name, value)} if value is not None else {})
    if name == CATEGORIES:
        return {"categories": list(value) if isinstance(value, tuple) else []}
    raise MappingError(f"has no field {name[:80]!r} that could be written on a task", system=SYSTEM, field=name)


def _among(name: str, value: Value, known: tuple[str, ...], blank: str) -> str:
    if value is None or value == "":
        return blank
    if value not in known:
        raise Rejected(f"knows no {name} {str(value)[:80]!r} of a task; it takes {', '.join(known)}", system=SYSTEM, field=name)
    return str(value)


def _day(name: str, value: Value) -> dict[str, str]:
    if not isinstance(value, date) or isinstance(value, datetime):
        raise Rejected(f"{str(value)[:80]!r} is no day", system=SYSTEM, field=name)
    return {"dateTime": f"{value.isoformat()}T00:00:00", "timeZone": "UTC"}


def _moment(name: str, value: Value) -> dict[str, str]:
    if not isinstance(value, datetime) or value.tzinfo is None:
        raise Rejected(f"{str(value)[:80]!r} is no instant", system=SYSTEM, field=name)
    return {"dateTime": f"{value.astimezone(UTC):%Y-%m-%dT%H:%M:%S}", "timeZone": "UTC"}


def link(marker: str, application: str) -> dict[str, str]:
    """Returns what holds our id on a task; people see its name there."""
    return {"applicationName": application, "displayName": "Task in Salesforce", "externalId": marker}

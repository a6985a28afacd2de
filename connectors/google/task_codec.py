"""Tasks of Google as flat records, and back (reference section 7). Pure.

Google knows a title, notes, a day and whether a task is done; no importance, no reminder, no categories, nothing that only we
would see, and no time of creation. A value that cannot be read is told as damaged, and never taken for blank.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

from connectors import tasks as words
from connectors.contract import Fields, Record, Ref, Value
from connectors.errors import MappingError, Rejected
from connectors.google.settings import SYSTEM
from connectors.tasks import TASK, TASK_SCHEMA, schema_of
from connectors.text import clean, read_instant

Row = Mapping[str, Any]

COMPLETED, NEEDS_ACTION = "completed", "needsAction"
WRITTEN = (words.SUBJECT, words.DUE, words.STATUS, words.BODY)
SCHEMA = schema_of(
    {*WRITTEN, words.COMPLETED_ON, words.LIST, words.LIST_NAME, words.IS_OURS}, longest={words.SUBJECT: 1024, words.BODY: 8192}
)


@dataclass(frozen=True, slots=True)
class Held:
    """A list of the mailbox."""

    id: str
    name: str


def read_list(raw: Any) -> Held | None:
    """Returns the list that a row describes, None for a row that cannot be read."""
    if not isinstance(raw, Mapping) or not isinstance(raw.get("id"), str) or not raw["id"]:
        return None
    name = raw.get("title")
    return Held(raw["id"], clean(name)[0] if isinstance(name, str) else "")


def is_sound(raw: Any) -> bool:
    """Tells whether a task of an answer can be read at all: an id and a version."""
    return isinstance(raw, dict) and all(isinstance(raw.get(name), str) and raw[name] for name in ("id", "etag"))


def is_deleted(row: Row) -> bool:
    return row.get("deleted") is True


def read_task(row: Row, list_: Held, *, ours: str) -> Record:
    """Returns the record of a sound row."""
    damaged: set[str] = set()
    fields: dict[str, Value] = {}
    for name, raw in ((words.SUBJECT, row.get("title")), (words.BODY, row.get("notes"))):
        text, is_damaged = clean(raw if isinstance(raw, str) else "")
        fields[name] = text.replace("\r\n", "\n").strip() or None
        damaged |= {name} if is_damaged else set()
    for name, raw in ((words.DUE, row.get("due")), (words.COMPLETED_ON, row.get("completed"))):
        at = read_instant(raw)
        fields[name] = at.date() if at is not None else None
        damaged |= {name} if at is None and raw else set()
    status = {COMPLETED: words.COMPLETED, NEEDS_ACTION: words.NOT_STARTED}.get(str(row.get("status")))
    fields[words.STATUS] = status
    damaged |= {words.STATUS} if status is None else set()
    fields |= {words.LIST: list_.id, words.LIST_NAME: list_.name, words.IS_OURS: bool(ours) and list_.id == ours}
    changed = read_instant(row.get("updated"))
    return Record(Ref(SYSTEM, TASK, row["id"]), fields, version=row["etag"], updated_at=changed, damaged=frozenset(damaged))


def write_body(fields: Fields) -> dict[str, Any]:
    """Returns the JSON of a write: only the given fields, without those that Google's tasks lack. Raises MappingError for a field
    that no task has, Rejected for a value that it cannot hold."""
    body: dict[str, Any] = {}
    for name, value in fields.items():
        body |= _written(name, value)
    return body


def _written(name: str, value: Value) -> dict[str, Any]:
    if name == words.SUBJECT:
        return {"title": value or ""}
    if name == words.BODY:
        return {"notes": value or ""}
    if name == words.DUE:
        if value is not None and (not isinstance(value, date) or isinstance(value, datetime)):
            raise Rejected(f"{str(value)[:80]!r} is no day", system=SYSTEM, field=name)
        return {"due": None if value is None else f"{value.isoformat()}T00:00:00.000Z"}
    if name == words.STATUS:
        if value not in (None, "", *words.STATUSES):
            raise Rejected(f"knows no status {str(value)[:80]!r} of a task", system=SYSTEM, field=name)
        return {"status": COMPLETED if value == words.COMPLETED else NEEDS_ACTION}
    if (attribute := TASK_SCHEMA.attributes.get(name)) is not None and attribute.is_updatable:
        return {}
    raise MappingError(f"has no field {name[:80]!r} that could be written on a task", system=SYSTEM, field=name)


def bears(record: Record, fields: Fields, names: tuple[str, ...]) -> bool:
    """Tells whether a task holds in these fields what a create sent."""
    return all(record.fields.get(name) == _as_held(name, fields.get(name)) for name in names)


def _as_held(name: str, value: Value) -> Value:
    if name == words.STATUS:
        return words.COMPLETED if value == words.COMPLETED else words.NOT_STARTED
    return value.replace("\r\n", "\n").strip() or None if isinstance(value, str) else value

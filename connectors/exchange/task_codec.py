"""Exchange's tasks as flat records, and back (reference section 6). Their days have no time of day."""

from __future__ import annotations

from datetime import UTC, date, datetime
from typing import Any

from exchangelib import EWSDate, EWSDateTime, Task
from exchangelib.properties import Body
from exchangelib.version import Version

from connectors import tasks as words
from connectors.contract import Fields, Record, Ref, Value
from connectors.errors import MappingError, Rejected
from connectors.exchange import models
from connectors.exchange.codec import day_of, sendable, sendable_list
from connectors.exchange.models import tag
from connectors.exchange.settings import SYSTEM
from connectors.mailboxes import CATEGORIES, FOREIGN_ID
from connectors.tasks import TASK
from connectors.text import clean, read_instant

STATUSES = {"NotStarted": words.NOT_STARTED, "InProgress": words.IN_PROGRESS, "Completed": words.COMPLETED,
            "WaitingOnOthers": words.WAITING, "Deferred": words.DEFERRED}  # fmt: skip
IMPORTANCES = {"Low": words.LOW, "Normal": words.NORMAL, "High": words.HIGH}
_ASKED = """
    subject body due_date complete_date status importance categories reminder_is_set reminder_due_by datetime_created last_modified_time
    parent_folder_id crm_record_id
"""
PATHS = [models.path(Task, name) for name in _ASKED.split()]


def is_sound(element: Any) -> bool:
    """Tells whether a task of an answer can be read at all: an id, a version, and where it lies."""
    return element.tag == tag("Task") and all(models.id_of(element)) and element.find(tag("ParentFolderId")) is not None


def folder_of(element: Any) -> str:
    found = element.find(tag("ParentFolderId"))
    return (found.get("Id") or "") if found is not None else ""


def read_task(element: Any, *, list_name: str, is_ours: bool) -> Record:
    """Returns the record of a sound task. What cannot be read stands as damaged, and is never taken for blank."""
    id_, change_key = models.id_of(element)
    damaged: set[str] = set()
    fields: dict[str, Value] = {}
    body = (models.text(element, "Body") or "").replace("\r\n", "\n")[: words.LONGEST_BODY]
    for name, raw in ((words.SUBJECT, models.text(element, "Subject") or ""), (words.BODY, body)):
        text, is_damaged = clean(raw)
        fields[name] = text.strip() or None
        damaged |= {name} if is_damaged else set()
    status = models.text(element, "Status") or "NotStarted"
    fields |= {words.STATUS: STATUSES.get(status, status), words.IMPORTANCE: _importance(element)}
    damaged |= {words.STATUS} if status not in STATUSES else set()
    for name, element_name in ((words.DUE, "DueDate"), (words.COMPLETED_ON, "CompleteDate")):
        said = models.text(element, element_name)
        fields[name] = day_of(said) if said else None
        damaged |= {name} if said and fields[name] is None else set()
    has_reminder = models.text(element, "ReminderIsSet") in ("true", "1")
    fields[words.REMINDER] = read_instant(models.text(element, "ReminderDueBy")) if has_reminder else None
    fields[CATEGORIES] = tuple(clean(name)[0] for name in models.categories(element))
    fields[FOREIGN_ID] = models.extended(element).get(models.FOREIGN) or None
    fields |= {words.LIST: folder_of(element), words.LIST_NAME: list_name, words.IS_OURS: is_ours}
    fields[words.CREATED] = read_instant(models.text(element, "DateTimeCreated"))
    changed = read_instant(models.text(element, "LastModifiedTime"))
    return Record(Ref(SYSTEM, TASK, id_), fields, version=change_key, updated_at=changed, damaged=frozenset(damaged))


def _importance(element: Any) -> str:
    return IMPORTANCES.get(models.text(element, "Importance") or "Normal", words.NORMAL)


# --- writing --------------------------------------------------------------------------------------------------------

_BACK_STATUSES = {ours: theirs for theirs, ours in STATUSES.items()}
_BACK_IMPORTANCES = {ours: theirs for theirs, ours in IMPORTANCES.items()}


def values(fields: Fields) -> dict[str, Any]:
    """Returns exchangelib's names of the fields of a write with what they are given, None for blank. Raises MappingError for a field
    that no task has, Rejected for a value that it cannot hold."""
    given: dict[str, Any] = {}
    for name, value in fields.items():
        given |= _written(name, value)
    return given


def _written(name: str, value: Value) -> dict[str, Any]:
    if name == words.SUBJECT:
        return {"subject": sendable(value, name)}
    if name == words.BODY:
        text = sendable(value, name)
        return {"body": Body(text) if text is not None else None}
    if name == words.DUE:
        return {"due_date": _day(value, name)}
    if name == words.STATUS:
        return {"status": _among(value or words.NOT_STARTED, _BACK_STATUSES, name)}
    if name == words.IMPORTANCE:
        return {"importance": _among(value or words.NORMAL, _BACK_IMPORTANCES, name)}
    if name == words.REMINDER:
        return _reminder(value)
    if name == CATEGORIES:
        return {"categories": sendable_list(value, name) or None}
    if name == FOREIGN_ID:
        return {models.FOREIGN: sendable(value, name)}
    raise MappingError(f"has no field {name[:80]!r} that could be written on a task", system=SYSTEM, field=name)


def _among(value: Value, known: dict[str, str], name: str) -> str:
    if value not in known:
        raise Rejected(f"{name} cannot hold {str(value)[:40]!r}", system=SYSTEM, field=name)
    return known[str(value)]


def _day(value: Value, name: str) -> EWSDate | None:
    if value is None or value == "":
        return None
    day = value.date() if isinstance(value, datetime) else value
    if not isinstance(day, date):
        raise Rejected(f"{name} cannot hold {str(value)[:40]!r}: it is no date", system=SYSTEM, field=name)
    return EWSDate.from_date(day)


def _reminder(value: Value) -> dict[str, Any]:
    if value is None or value == "":
        return {"reminder_is_set": False}
    if not isinstance(value, datetime):
        raise Rejected(f"reminder cannot hold {str(value)[:40]!r}: it is no instant", system=SYSTEM, field=words.REMINDER)
    return {"reminder_is_set": True, "reminder_due_by": EWSDateTime.from_datetime(value.astimezone(UTC).replace(microsecond=0))}


def updates(fields: Fields, version: Version) -> list[Any]:
    """Returns the elements of an update: the given fields and no others. Raises as `values`."""
    found = []
    for name, value in values(fields).items():
        at = models.path(Task, name)
        if value is None:
            found.append(models.delete_field(at, version))
        else:
            found.append(models.set_field(Task, at, at.field.value_cls(value) if name == models.FOREIGN else value, version))
    return found


def new_task(fields: Fields) -> Task:
    """Returns what a create sends. Raises as `values`."""
    return Task(**{name: value for name, value in values(fields).items() if value is not None})

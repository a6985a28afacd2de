"""Tasks of Salesforce in the words of task lists: one instant for the two fields of a reminder (reference section 13.8). Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from datetime import datetime

from connectors.contract import Attribute, Fields, Record, Schema, Value
from connectors.errors import Rejected

SYSTEM = "salesforce"
TASK = "Task"
REMINDER = "Reminder"
_REMINDER = ("IsReminderSet", "ReminderDateTime")
OURS: Mapping[str, tuple[str, ...]] = {REMINDER: _REMINDER}  # a field of ours -> those that it stands for
ATTRIBUTES = (Attribute(REMINDER, "Reminder", "datetime"),)


def real_columns(object_type: str, columns: Iterable[str]) -> list[str]:
    """Returns the columns of Salesforce's own that hold these."""
    if object_type != TASK:
        return list(columns)
    return list(dict.fromkeys(own for name in columns for own in OURS.get(name, (name,))))


def with_ours(record: Record) -> Record:
    """Returns the record of a task with our field, where what it stands for was read."""
    if record.ref.object_type != TASK or not all(name in record.fields for name in _REMINDER):
        return record
    at = record.fields["ReminderDateTime"] if record.fields["IsReminderSet"] is True else None
    return replace(record, fields={**record.fields, REMINDER: at if isinstance(at, datetime) else None})


def real_fields(object_type: str, fields: Fields) -> Fields:
    """Returns the fields of Salesforce's own that a write sends. Raises Rejected for a reminder that is no instant."""
    if object_type != TASK or REMINDER not in fields:
        return fields
    at = fields[REMINDER]
    if at is not None and not isinstance(at, datetime):
        raise Rejected(f"{str(at)[:80]!r} is no time of a reminder", system=SYSTEM, field=REMINDER)
    sent: dict[str, Value] = {name: value for name, value in fields.items() if name != REMINDER}
    return {**sent, "IsReminderSet": at is not None} | ({"ReminderDateTime": at} if at is not None else {})


def with_our_attributes(schema: Schema) -> Schema:
    """Returns the description of tasks with our field among it, where it has those that ours stands for."""
    if schema.object_type != TASK or not all(name in schema.attributes for name in _REMINDER):
        return schema
    return replace(schema, attributes={**schema.attributes, **{a.name: a for a in ATTRIBUTES}})

"""Events of Salesforce in the words of calendars: start, end and whole days as one value, a reminder in minutes.

Salesforce spreads when an event takes place over five fields that must agree (reference section 13.6). WHEN stands for
StartDateTime, EndDateTime and IsAllDayEvent; REMINDER for IsReminderSet and ReminderDateTime. Whole days start at 00:00 UTC of
the first day and end on the last day, which is among them. Pure.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta

from connectors.contract import Attribute, Fields, Record, Schema, Value
from connectors.errors import Rejected
from connectors.when import DAY, When, days, read_when, timed

SYSTEM = "salesforce"
EVENT = "Event"
WHEN, REMINDER = "When", "ReminderMinutes"
_TIMES = ("StartDateTime", "EndDateTime", "IsAllDayEvent")
_REMINDER = ("IsReminderSet", "ReminderDateTime", "StartDateTime")
OURS: Mapping[str, tuple[str, ...]] = {WHEN: _TIMES, REMINDER: _REMINDER}  # a field of ours -> those that it stands for
ATTRIBUTES = (Attribute(WHEN, "When (start, end, all day)", "text"), Attribute(REMINDER, "Reminder (minutes before)", "integer"))


def real_columns(object_type: str, columns: Iterable[str]) -> list[str]:
    """Returns the columns of Salesforce's own that hold these."""
    if object_type != EVENT:
        return list(columns)
    return list(dict.fromkeys(own for name in columns for own in OURS.get(name, (name,))))


def with_ours(record: Record) -> Record:
    """Returns the record of an event with our fields, as far as what they stand for was read."""
    if record.ref.object_type != EVENT:
        return record
    fields: dict[str, Value] = dict(record.fields)
    if all(name in fields for name in _TIMES):
        when = _when(fields)
        fields[WHEN] = when.text if when is not None else None
    if all(name in fields for name in _REMINDER):
        fields[REMINDER] = _minutes(fields)
    return replace(record, fields=fields)


def _when(fields: Fields) -> When | None:
    start, end = fields["StartDateTime"], fields["EndDateTime"]
    if not isinstance(start, datetime):
        return None
    end = end if isinstance(end, datetime) else start
    if fields["IsAllDayEvent"] is not True:
        return timed(start, end)
    return days(start.astimezone(UTC).date(), end.astimezone(UTC).date() + DAY)


def _minutes(fields: Fields) -> int | None:
    at, start = fields["ReminderDateTime"], fields["StartDateTime"]
    if fields["IsReminderSet"] is not True or not isinstance(at, datetime) or not isinstance(start, datetime):
        return None
    return max(int((start - at).total_seconds() // 60), 0)


def real_fields(object_type: str, fields: Fields) -> Fields:
    """Returns the fields of Salesforce's own that a write sends. Raises Rejected for a value that is no time of an event, and
    for a reminder that is written without one."""
    if object_type != EVENT or not OURS.keys() & fields.keys():
        return fields
    sent = {name: value for name, value in fields.items() if name not in OURS}
    when = read_when(fields.get(WHEN)) if WHEN in fields else None
    if WHEN in fields and when is None:
        raise Rejected(f"{str(fields[WHEN])[:80]!r} is no time of an event", system=SYSTEM, field=WHEN)
    if when is not None:
        last = when.ends_at - DAY if when.is_all_day else when.ends_at
        sent |= {"StartDateTime": when.starts_at, "EndDateTime": max(last, when.starts_at), "IsAllDayEvent": when.is_all_day}
    if REMINDER in fields:
        sent |= _reminder(fields[REMINDER], when)
    return sent


def _reminder(minutes: Value, when: When | None) -> dict[str, Value]:
    if minutes is None:
        return {"IsReminderSet": False}
    if when is None or not isinstance(minutes, int):
        raise Rejected("takes no reminder without the time of its event", system=SYSTEM, field=REMINDER)
    return {"IsReminderSet": True, "ReminderDateTime": when.starts_at - timedelta(minutes=minutes)}


def with_our_attributes(schema: Schema) -> Schema:
    """Returns the description of events with our fields among it."""
    if schema.object_type != EVENT:
        return schema
    return replace(schema, attributes={**schema.attributes, **{a.name: a for a in ATTRIBUTES}})

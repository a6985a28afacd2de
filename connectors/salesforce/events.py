"""Events of Salesforce in the words of calendars: start, end and whole days as one value, a reminder in minutes.

Salesforce spreads when an event takes place over five fields that must agree (reference section 13.6). WHEN stands for
StartDateTime, EndDateTime and IsAllDayEvent; REMINDER for IsReminderSet and ReminderDateTime. Whole days start at 00:00 UTC of
the first day and end on the last day, which is among them. A customer's own object may hold what takes place instead (S4.18): WHEN
stands for its fields then. Pure.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta

from connectors.contract import Attribute, Fields, Record, Schema, Value
from connectors.errors import NeedsAttention, Rejected
from connectors.when import DAY, When, days, read_when, timed

SYSTEM = "salesforce"
EVENT = "Event"
WHEN, REMINDER = "When", "ReminderMinutes"
_REMINDER = ("IsReminderSet", "ReminderDateTime", "StartDateTime")
ATTRIBUTES = (Attribute(WHEN, "When (start, end, all day)", "text"), Attribute(REMINDER, "Reminder (minutes before)", "integer"))


@dataclass(frozen=True, slots=True)
class Times:
    """In which fields of which object it stands when something takes place (S4.18). `all_day` "": the object has no such field, and
    whole days last from midnight to midnight, UTC."""

    object_type: str = EVENT
    start: str = "StartDateTime"
    end: str = "EndDateTime"
    all_day: str = "IsAllDayEvent"

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(filter(None, (self.start, self.end, self.all_day)))

    @property
    def ours(self) -> Mapping[str, tuple[str, ...]]:
        """A field of ours -> those that it stands for."""
        return {WHEN: self.names, **({REMINDER: _REMINDER} if self.object_type == EVENT else {})}


STANDARD = Times()


def times_of(said: Sequence[str]) -> Times | None:
    """Returns what a setting of the form (object, start, end, all day) says, None for an empty one. Raises NeedsAttention for one that
    names too few fields."""
    if not said:
        return None
    if not 3 <= len(said) <= 4 or not all(said[:3]):
        raise NeedsAttention(
            "is told of an object for calendars without its fields: object, start, end and, if any, all day", system=SYSTEM
        )
    return Times(said[0], said[1], said[2], said[3] if len(said) == 4 else "")


def real_columns(object_type: str, columns: Iterable[str], times: Times = STANDARD) -> list[str]:
    """Returns the columns of Salesforce's own that hold these."""
    if object_type != times.object_type:
        return list(columns)
    return list(dict.fromkeys(own for name in columns for own in times.ours.get(name, (name,))))


def with_ours(record: Record, times: Times = STANDARD) -> Record:
    """Returns the record of an event with our fields, as far as what they stand for was read."""
    if record.ref.object_type != times.object_type:
        return record
    fields: dict[str, Value] = dict(record.fields)
    if all(name in fields for name in times.names):
        when = _when(fields, times)
        fields[WHEN] = when.text if when is not None else None
    if REMINDER in times.ours and all(name in fields for name in _REMINDER):
        fields[REMINDER] = _minutes(fields)
    return replace(record, fields=fields)


def _when(fields: Fields, times: Times) -> When | None:
    start, end = fields[times.start], fields[times.end]
    if not isinstance(start, datetime):
        return None
    end = end if isinstance(end, datetime) else start
    if not times.all_day or fields[times.all_day] is not True:
        return timed(start, end)
    return days(start.astimezone(UTC).date(), end.astimezone(UTC).date() + DAY)


def _minutes(fields: Fields) -> int | None:
    at, start = fields["ReminderDateTime"], fields["StartDateTime"]
    if fields["IsReminderSet"] is not True or not isinstance(at, datetime) or not isinstance(start, datetime):
        return None
    return max(int((start - at).total_seconds() // 60), 0)


def real_fields(object_type: str, fields: Fields, times: Times = STANDARD) -> Fields:
    """Returns the fields of Salesforce's own that a write sends. Raises Rejected for a value that is no time of an event, and
    for a reminder that is written without one."""
    if object_type != times.object_type or not times.ours.keys() & fields.keys():
        return fields
    sent = {name: value for name, value in fields.items() if name not in times.ours}
    when = read_when(fields.get(WHEN)) if WHEN in fields else None
    if WHEN in fields and when is None:
        raise Rejected(f"{str(fields[WHEN])[:80]!r} is no time of an event", system=SYSTEM, field=WHEN)
    if when is not None:
        last = when.ends_at - DAY if when.is_all_day and times.all_day else when.ends_at
        sent |= {times.start: when.starts_at, times.end: max(last, when.starts_at)}
        sent |= {times.all_day: when.is_all_day} if times.all_day else {}
    if REMINDER in fields and REMINDER in times.ours:
        sent |= _reminder(fields[REMINDER], when)
    return sent


def _reminder(minutes: Value, when: When | None) -> dict[str, Value]:
    if minutes is None:
        return {"IsReminderSet": False}
    if when is None or not isinstance(minutes, int):
        raise Rejected("takes no reminder without the time of its event", system=SYSTEM, field=REMINDER)
    return {"IsReminderSet": True, "ReminderDateTime": when.starts_at - timedelta(minutes=minutes)}


def with_our_attributes(schema: Schema, times: Times = STANDARD) -> Schema:
    """Returns the description of events with our fields among it."""
    if schema.object_type != times.object_type:
        return schema
    return replace(schema, attributes={**schema.attributes, **{a.name: a for a in ATTRIBUTES if a.name in times.ours}})

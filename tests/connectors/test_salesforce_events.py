"""Events of Salesforce in the words of calendars: one time for five fields, a reminder in minutes (reference 13.6)."""

from datetime import UTC, date, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from connectors.contract import Record, Ref, Schema
from connectors.errors import Rejected
from connectors.salesforce.events import REMINDER, WHEN, real_columns, real_fields, with_our_attributes, with_ours
from connectors.when import days, timed

REF = Ref("salesforce", "Event", "00UAA0000012345YAA")
START = datetime(2026, 12, 1, 10, 0, tzinfo=UTC)


def read(**fields):
    return with_ours(Record(REF, fields)).fields


def test_only_events_have_fields_of_ours():
    assert real_columns("Contact", ["When", "Name"]) == ["When", "Name"]
    assert real_fields("Task", {"When": "x"}) == {"When": "x"}
    assert with_our_attributes(Schema("Task", {})).attributes == {}
    assert set(with_our_attributes(Schema("Event", {})).attributes) == {WHEN, REMINDER}
    contact = Record(Ref("salesforce", "Contact", "003AA0000012345YAA"), {"StartDateTime": START})
    assert with_ours(contact) is contact


def test_columns_of_ours_ask_for_what_they_stand_for_once():
    assert real_columns("Event", ["Subject", WHEN, REMINDER]) == [
        *("Subject", "StartDateTime", "EndDateTime", "IsAllDayEvent", "IsReminderSet", "ReminderDateTime"),
    ]


def test_a_timed_event_is_read():
    fields = read(StartDateTime=START, EndDateTime=START + timedelta(minutes=30), IsAllDayEvent=False)
    assert fields[WHEN] == "2026-12-01T10:00:00Z/2026-12-01T10:30:00Z" and REMINDER not in fields


def test_the_last_day_is_among_the_days_of_an_event():
    first, last = datetime(2026, 12, 1, tzinfo=UTC), datetime(2026, 12, 2, tzinfo=UTC)
    assert read(StartDateTime=first, EndDateTime=last, IsAllDayEvent=True)[WHEN] == "2026-12-01/2026-12-03"
    sent = real_fields("Event", {WHEN: "2026-12-01/2026-12-03"})
    assert sent == {"StartDateTime": first, "EndDateTime": last, "IsAllDayEvent": True}


def test_what_was_not_read_is_not_told():
    assert read(StartDateTime=START) == {"StartDateTime": START}
    assert read(StartDateTime=None, EndDateTime=None, IsAllDayEvent=False)[WHEN] is None


def test_a_reminder_is_minutes_before_the_start():
    at = START - timedelta(minutes=15)
    assert read(StartDateTime=START, IsReminderSet=True, ReminderDateTime=at)[REMINDER] == 15
    assert read(StartDateTime=START, IsReminderSet=False, ReminderDateTime=at)[REMINDER] is None
    sent = real_fields("Event", {REMINDER: 15, WHEN: timed(START, START).text})
    assert sent["IsReminderSet"] is True and sent["ReminderDateTime"] == at
    assert real_fields("Event", {REMINDER: None}) == {"IsReminderSet": False}


@pytest.mark.parametrize("fields", [{WHEN: "tomorrow"}, {WHEN: None}, {REMINDER: 15}, {REMINDER: "soon", WHEN: timed(START, START).text}])
def test_what_no_event_can_hold_is_refused_by_name(fields):
    with pytest.raises(Rejected) as refused:
        real_fields("Event", {"Subject": "Demo", **fields})
    assert refused.value.field in (WHEN, REMINDER)


@given(st.dates(date(1990, 1, 1), date(2100, 1, 1)), st.integers(1, 13), st.integers(0, 1439), st.booleans())
def test_what_is_written_is_read_again(day, length, minute, is_all_day):
    start = datetime(day.year, day.month, day.day, tzinfo=UTC) + timedelta(minutes=minute)
    when = days(day, day + timedelta(days=length)) if is_all_day else timed(start, start + timedelta(minutes=length))
    assert read(**real_fields("Event", {WHEN: when.text}))[WHEN] == when.text

"""When an event takes place: one text for instants and for whole days, in every time zone."""

from datetime import UTC, date, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from connectors.when import days, read_when, timed

AT = datetime(2026, 12, 1, 10, 0, tzinfo=UTC)


def test_times_are_spelt_in_utc_and_in_whole_seconds():
    berlin = timezone(timedelta(hours=1))
    when = timed(datetime(2026, 12, 1, 11, 0, 0, 250, berlin), datetime(2026, 12, 1, 11, 30, tzinfo=berlin))
    assert when.text == "2026-12-01T10:00:00Z/2026-12-01T10:30:00Z"
    assert not when.is_all_day and when.length == timedelta(minutes=30)


def test_whole_days_are_dates_and_no_instants():
    when = days(date(2026, 12, 1), date(2026, 12, 3))
    assert when.text == "2026-12-01/2026-12-03"
    assert when.is_all_day and when.length == timedelta(days=2)
    assert days(date(2026, 12, 1), date(2026, 12, 1)).text == "2026-12-01/2026-12-02"  # at least one


@pytest.mark.parametrize("text", [None, "", "2026-12-01", "a/b", "2026-12-01T10:00/2026-12-01T11:00", "2026-13-01/2026-13-02", 7, "/"])
def test_what_spells_no_time_is_none(text):
    assert read_when(text) is None


@given(
    st.datetimes(datetime(1900, 1, 2), datetime(2200, 1, 1), timezones=st.just(UTC)),
    st.timedeltas(timedelta(0), timedelta(days=40)),
    st.booleans(),
)
def test_what_is_spelt_is_read_again(start, length, is_all_day):
    when = days(start.date(), (start + length).date()) if is_all_day else timed(start, start + length)
    assert read_when(when.text) == when


def test_a_window_holds_what_reaches_into_it():
    window = (AT, AT + timedelta(hours=1))
    assert timed(AT - timedelta(hours=1), AT + timedelta(minutes=1)).overlaps(*window)
    assert not timed(AT - timedelta(hours=1), AT).overlaps(*window)
    assert not timed(AT + timedelta(hours=1), AT + timedelta(hours=2)).overlaps(*window)
    assert timed(AT, AT).overlaps(*window)  # without length
    assert days(date(2026, 12, 1), date(2026, 12, 2)).overlaps(*window)
    assert days(date(2026, 12, 2), date(2026, 12, 3)).overlaps(*window)  # it has begun where the day begins 14 hours earlier
    assert not days(date(2026, 12, 4), date(2026, 12, 5)).overlaps(*window)

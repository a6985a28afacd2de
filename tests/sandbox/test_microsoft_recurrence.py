"""On which days a series of the played Exchange takes place, against an independent calculation; time zones by both names."""

from datetime import UTC, date, datetime, timedelta
from itertools import islice

import pytest
from dateutil.rrule import DAILY, MONTHLY, WEEKLY, YEARLY, rrule
from hypothesis import given, settings
from hypothesis import strategies as st

from connectors.sandbox.microsoft import recurrence, zones
from connectors.sandbox.microsoft.recurrence import DAYS, INDEXES
from connectors.sandbox.microsoft.refusal import Refused

START = date(2026, 12, 1)  # a Tuesday
WEEKDAYS = st.lists(st.sampled_from(DAYS), min_size=1, max_size=3, unique=True)
STARTS = st.dates(date(2020, 1, 1), date(2030, 12, 31))


def series(start=START, count=8, **pattern):
    ends = {"type": "numbered", "startDate": start.isoformat(), "numberOfOccurrences": count}
    return recurrence.read({"pattern": {"interval": 1, **pattern}, "range": ends})


def expected(start, count, frequency, **rule):
    found = rrule(frequency, dtstart=datetime.combine(start, datetime.min.time()), **rule)
    return [at.date() for at in islice(found, count)]


@settings(deadline=None)
@given(STARTS, st.integers(1, 9))
def test_every_few_days(start, interval):
    days = recurrence.days(series(start, type="daily", interval=interval))
    assert list(days) == expected(start, 8, DAILY, interval=interval)


@settings(deadline=None)
@given(STARTS, st.integers(1, 4), WEEKDAYS, st.sampled_from(DAYS))
def test_every_few_weeks_counted_from_the_first_day_of_the_week(start, interval, days, first_day):
    found = recurrence.days(series(start, type="weekly", interval=interval, daysOfWeek=days, firstDayOfWeek=first_day))
    rule = {"interval": interval, "byweekday": [DAYS.index(day) for day in days], "wkst": DAYS.index(first_day)}
    assert list(found) == expected(start, 8, WEEKLY, **rule)


@settings(deadline=None)
@given(STARTS, st.integers(1, 5), st.integers(1, 28))
def test_a_day_of_every_few_months(start, interval, day):
    found = recurrence.days(series(start, type="absoluteMonthly", interval=interval, dayOfMonth=day))
    assert list(found) == expected(start, 8, MONTHLY, interval=interval, bymonthday=day)


def test_a_short_month_has_its_last_day_instead():
    found = list(recurrence.days(series(date(2027, 1, 31), 3, type="absoluteMonthly", dayOfMonth=31)))
    assert found == [date(2027, 1, 31), date(2027, 2, 28), date(2027, 3, 31)]


@settings(deadline=None)
@given(STARTS, st.sampled_from(INDEXES), st.sampled_from(DAYS), st.integers(1, 12))
def test_a_weekday_of_a_month_and_of_a_year(start, index, day, month):
    nth = {"byweekday": DAYS.index(day), "bysetpos": -1 if index == "last" else INDEXES.index(index) + 1}
    monthly = recurrence.days(series(start, type="relativeMonthly", index=index, daysOfWeek=[day]))
    assert list(monthly) == expected(start, 8, MONTHLY, **nth)
    yearly = recurrence.days(series(start, 3, type="relativeYearly", index=index, daysOfWeek=[day], month=month))
    assert list(yearly) == expected(start, 3, YEARLY, bymonth=month, **nth)


def test_a_series_ends_by_its_date_or_not_at_all():
    pattern = {"type": "weekly", "interval": 1, "daysOfWeek": ["tuesday"]}
    until = recurrence.read({"pattern": pattern, "range": {"type": "endDate", "startDate": "2026-12-01", "endDate": "2026-12-15"}})
    assert list(recurrence.days(until)) == [START, START + timedelta(7), START + timedelta(14)]
    endless = recurrence.read({"pattern": pattern, "range": {"type": "noEnd", "startDate": "2026-12-01"}})
    assert next(recurrence.days(endless, date(2099, 1, 1))) == date(2099, 1, 6)
    assert next(recurrence.days(endless, date.max), None) in (None, date.max)


@pytest.mark.parametrize(
    ("pattern", "range_"),
    [
        ({"type": "hourly"}, {}),
        ({"type": "weekly"}, {}),
        ({"type": "daily", "interval": 0}, {}),
        ({"type": "daily", "interval": True}, {}),
        ({"type": "daily", "nonsense": 1}, {}),
        ({"type": "absoluteMonthly", "dayOfMonth": 32}, {}),
        ({"type": "daily"}, {"type": "endDate", "endDate": "2026-11-30"}),
        ({"type": "daily"}, {"type": "numbered", "numberOfOccurrences": 1000}),
        ({"type": "daily"}, {"startDate": "soon"}),
        ("weekly", {}),
    ],
)
def test_what_is_no_recurrence_is_refused(pattern, range_):
    with pytest.raises(Refused):
        recurrence.read({"pattern": pattern, "range": {"type": "noEnd", "startDate": "2026-12-01", **range_}})


def test_zones_are_read_by_both_names_and_shown_by_those_of_windows():
    assert zones.read_zone("Tokyo Standard Time") == zones.read_zone("asia/tokyo".title()) == "Asia/Tokyo"
    assert zones.shown_name("Asia/Tokyo") == zones.shown_name("TOKYO STANDARD TIME") == "Tokyo Standard Time"
    for name in ("", "Nowhere/Town", "../etc/passwd", "Moon Standard Time"):
        with pytest.raises(Refused):
            zones.read_zone(name)


def test_a_meeting_at_ten_stays_at_ten_when_the_clocks_change():
    before, after = (zones.to_utc(datetime(2026, 10, day, 10), "Europe/Berlin") for day in (24, 26))
    assert (before.hour, after.hour) == (8, 9) and before.tzinfo is UTC
    assert zones.to_wall(after, "Europe/Berlin") == datetime(2026, 10, 26, 10)
    assert zones.to_utc(datetime.max, "America/New_York") == datetime.max.replace(tzinfo=UTC)

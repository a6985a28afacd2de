"""Starts of series, against an independent calculation of the same rules."""

from datetime import date, datetime
from itertools import islice
from zoneinfo import ZoneInfo

import pytest
from dateutil.rrule import rrulestr
from hypothesis import given, settings
from hypothesis import strategies as st

from connectors.sandbox.google import recurrence

PARIS = ZoneInfo("Europe/Paris")
DAYS = st.lists(st.sampled_from(recurrence.DAYS), min_size=1, max_size=3, unique=True)
ORDINALS = st.sampled_from(("1", "2", "5", "-1"))
ORDINAL_DAYS = st.lists(st.tuples(ORDINALS, st.sampled_from(recurrence.DAYS)).map("".join), min_size=1, max_size=3, unique=True)
MONTH_DAYS = st.lists(st.sampled_from((1, 15, 28, 31, -1, -3)), min_size=1, max_size=3, unique=True)
MONTHS = st.lists(st.integers(1, 12), min_size=1, max_size=3, unique=True)
ENDS = st.sampled_from((";COUNT=1", ";COUNT=4", ";UNTIL=20280601T080000", ";UNTIL=20330101T000000"))
STARTS = st.datetimes(datetime(2024, 1, 1), datetime(2027, 12, 31)).map(lambda at: at.replace(second=0, microsecond=0))


def listed(values):
    return ",".join(map(str, values))


@st.composite
def rules(draw):
    frequency = draw(st.sampled_from(recurrence.FREQUENCIES))
    rule = f"FREQ={frequency};INTERVAL={draw(st.integers(1, 4))}"
    if draw(st.booleans()):
        rule += f";BYDAY={listed(draw(st.one_of(DAYS, ORDINAL_DAYS) if frequency in ('MONTHLY', 'YEARLY') else DAYS))}"
    if frequency != "WEEKLY" and draw(st.booleans()):
        rule += f";BYMONTHDAY={listed(draw(MONTH_DAYS))}"
    if draw(st.booleans()):
        rule += f";BYMONTH={listed(draw(MONTHS))}"
    # Of a first week that has begun, the other calculation counts only the days that are left; RFC 5545 counts the whole week.
    if frequency not in ("DAILY", "WEEKLY") and "BYDAY" in rule and draw(st.booleans()):
        rule += f";BYSETPOS={draw(st.sampled_from((1, 2, -1)))}"
    if frequency == "WEEKLY" and draw(st.booleans()):
        rule += ";WKST=SU"
    return rule + draw(ENDS.filter(lambda end: "COUNT" not in end or "BYMONTHDAY" not in rule))


def ours(lines, first, most=12, zone=PARIS):
    return list(islice(recurrence.read(lines, zone=zone).starts(first), most))


@settings(max_examples=80, deadline=None)
@given(rule=rules(), first=STARTS)
def test_a_rule_gives_the_starts_that_an_independent_calculation_gives(rule, first):
    expected = list(islice(rrulestr(rule, dtstart=first), 12))

    assert ours([f"RRULE:{rule}"], first) == expected


def test_a_place_in_a_week_is_counted_from_the_beginning_of_the_week():
    """2025-02-04 is a Tuesday: the first of Monday and Tuesday was the day before the series begins."""
    starts = ours(["RRULE:FREQ=WEEKLY;BYDAY=MO,TU;BYSETPOS=1;COUNT=2"], datetime(2025, 2, 4))
    assert starts == [datetime(2025, 2, 10), datetime(2025, 2, 17)]
    assert ours(["RRULE:FREQ=WEEKLY;BYDAY=MO,TU;BYSETPOS=-1;COUNT=2"], datetime(2025, 2, 4)) == [
        datetime(2025, 2, 4),
        datetime(2025, 2, 11),
    ]


def test_dates_are_added_and_taken_away_in_the_zone_of_the_series():
    first = datetime(2026, 11, 23, 9)
    lines = ["RRULE:FREQ=DAILY;COUNT=4", "EXDATE:20261124T080000Z", "EXDATE;TZID=Europe/London:20261125T080000"]

    starts = ours([*lines, "RDATE;TZID=Europe/Paris:20261201T150000"], first)

    assert starts == [datetime(2026, 11, 23, 9), datetime(2026, 11, 26, 9), datetime(2026, 12, 1, 15)]


def test_all_day_series_take_days_and_a_rule_may_take_away():
    first = datetime(2026, 11, 23)
    lines = ["RRULE:FREQ=DAILY;UNTIL=20261127", "EXDATE;VALUE=DATE:20261124", "EXRULE:FREQ=WEEKLY;BYDAY=TH"]

    assert [at.date() for at in ours(lines, first, zone=None)] == [date(2026, 11, 23), date(2026, 11, 25), date(2026, 11, 27)]
    assert ours(["RDATE;VALUE=DATE:20261225"], first, zone=None) == [first, datetime(2026, 12, 25)]


def test_the_last_instant_is_given_in_utc():
    assert len(ours(["RRULE:FREQ=DAILY;UNTIL=20261124T080000Z"], datetime(2026, 11, 23, 9))) == 2
    assert len(ours(["RRULE:FREQ=DAILY;UNTIL=20261124T075959Z"], datetime(2026, 11, 23, 9))) == 1
    assert len(ours(["RRULE:FREQ=WEEKLY;INTERVAL=9999;UNTIL=99991231T235959Z"], datetime(2026, 11, 23, 9))) == 12


def test_a_day_that_never_comes_ends():
    assert ours(["RRULE:FREQ=DAILY;BYMONTH=2;BYMONTHDAY=30"], datetime(2026, 1, 1)) == []


@pytest.mark.parametrize(
    "line",
    [
        "", "RRULE", "RRULE:", "DTSTART:20261125T090000Z", "RRULE:FREQ=HOURLY", "RRULE:FREQ=DAILY;BYHOUR=9", "RRULE:FREQ=DAILY;COUNT=0",
        "RRULE:FREQ=DAILY;COUNT=2;UNTIL=20270101", "RRULE:FREQ=DAILY;COUNT=x", "RRULE:FREQ=WEEKLY;BYDAY=1MO", "RRULE:FREQ=WEEKLY;BYDAY=XX",
        "RRULE:FREQ=WEEKLY;BYMONTHDAY=1", "RRULE:FREQ=DAILY;UNTIL=soon", "EXDATE:20261125T090000Z", "RRULE:FREQ=DAILY;FREQ=DAILY",
        "RRULE:FREQ=MONTHLY;BYMONTHDAY=32", "RRULE:FREQ=YEARLY;BYMONTH=-1", "RDATE:20261125", "RDATE;TZID=Mars/Crater:20261125T090000",
        "RRULE:FREQ=DAILY;INTERVAL=9999999999", "RDATE;PLANET=Mars:20261125T090000Z", "RDATE:00010101T000000Z",
        "RRULE:FREQ=DAILY;INTERVAL=10000",
    ],
)  # fmt: skip
def test_what_is_no_recurrence_is_refused(line):
    with pytest.raises(ValueError):
        recurrence.read([line], zone=PARIS)

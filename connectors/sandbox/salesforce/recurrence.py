"""Recurrence patterns of events: the part of RRULE texts that is played, and the days they mean. Knows nothing of records.

RRULE:FREQ=DAILY|WEEKLY|MONTHLY|YEARLY;COUNT=n|UNTIL=yyyymmdd[Thhmmss[Z]];INTERVAL=n;BYDAY=MO,2TU,-1FR;BYMONTHDAY=n,…;BYMONTH=n,…;
WKST=MO|SU. A pattern without COUNT and UNTIL has no end, and is refused.
"""

from __future__ import annotations

import calendar
import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, timedelta

MOST_OCCURRENCES = 100
MOST_PERIODS = 2000  # looked through for days that hardly ever come, as the 30th of February
WEEKDAYS = ("MO", "TU", "WE", "TH", "FR", "SA", "SU")
FREQUENCIES = ("DAILY", "WEEKLY", "MONTHLY", "YEARLY")
_PATTERN = re.compile(r"(?:RRULE:)?([A-Z]+=[^;=\s]+(?:;[A-Z]+=[^;=\s]+)*);?")
_BY_DAY = re.compile(rf"([+-]?[1-5])?({'|'.join(WEEKDAYS)})")
_UNTIL = re.compile(r"(\d{8})(?:T\d{6}Z?)?")


@dataclass(frozen=True, slots=True)
class Pattern:
    """One pattern. `days` are (which in the month, or 0 for every; weekday from 0); of count and until one is set."""

    frequency: str
    interval: int
    count: int | None
    until: date | None
    days: tuple[tuple[int, int], ...]
    month_days: tuple[int, ...]
    months: tuple[int, ...]
    week_start: int


def read(text: str) -> Pattern:
    """Returns the pattern that a text spells. Raises ValueError with a sentence."""
    match = _PATTERN.fullmatch(text.strip())
    if match is None:
        raise ValueError("the pattern is no RRULE")
    parts = [part.split("=", 1) for part in match[1].split(";")]
    given: dict[str, str] = dict(parts)
    known = {"FREQ", "COUNT", "UNTIL", "INTERVAL", "BYDAY", "BYMONTHDAY", "BYMONTH", "WKST"}
    if len(given) < len(parts) or set(given) - known:
        raise ValueError("the pattern has a part that is not known, or comes twice")
    if given.get("FREQ") not in FREQUENCIES:
        raise ValueError(f"FREQ must be one of {', '.join(FREQUENCIES)}")
    if ("COUNT" in given) == ("UNTIL" in given):
        raise ValueError("the pattern needs an end: COUNT or UNTIL")
    days = tuple(_day(word) for word in given["BYDAY"].split(",")) if "BYDAY" in given else ()
    if any(which for which, _ in days) and given["FREQ"] in ("DAILY", "WEEKLY"):
        raise ValueError("a numbered BYDAY needs FREQ=MONTHLY or YEARLY")
    if given.get("WKST", "MO") not in WEEKDAYS:
        raise ValueError("WKST must be a weekday")
    return Pattern(
        given["FREQ"],
        _numbers(given, "INTERVAL", 1, 1000)[0] if "INTERVAL" in given else 1,
        _numbers(given, "COUNT", 1, MOST_OCCURRENCES)[0] if "COUNT" in given else None,
        _until(given["UNTIL"]) if "UNTIL" in given else None,
        days,
        _numbers(given, "BYMONTHDAY", -31, 31),
        _numbers(given, "BYMONTH", 1, 12),
        WEEKDAYS.index(given.get("WKST", "MO")),
    )


def _day(word: str) -> tuple[int, int]:
    match = _BY_DAY.fullmatch(word)
    if match is None:
        raise ValueError(f"BYDAY has no {word[:20]}")
    return int(match[1] or 0), WEEKDAYS.index(match[2])


def _numbers(given: dict[str, str], name: str, low: int, high: int) -> tuple[int, ...]:
    words = given[name].split(",") if name in given else []
    if not all(re.fullmatch(r"-?\d{1,4}", word) and low <= int(word) <= high and int(word) for word in words):
        raise ValueError(f"{name} must be from {low} to {high}")
    return tuple(int(word) for word in words)


def _until(text: str) -> date:
    match = _UNTIL.fullmatch(text)
    try:
        return date.fromisoformat(match[1]) if match else date.fromisoformat("")
    except ValueError:
        raise ValueError(f"UNTIL is no date: {text[:20]}") from None


def days_of(pattern: Pattern, first: date) -> list[date]:
    """Returns the days of a pattern from a first one on, which need not be among them. Raises ValueError for none or too many."""
    found: list[date] = []
    for day in _candidates(pattern, first):
        if (pattern.until is not None and day > pattern.until) or len(found) == pattern.count:
            break
        found.append(day)
        if len(found) > MOST_OCCURRENCES:
            raise ValueError(f"a series has at most {MOST_OCCURRENCES} events")
    if not found:
        raise ValueError("the pattern has no day")
    return found


def _candidates(pattern: Pattern, first: date) -> Iterator[date]:
    """Yields the days that fit, period by period, in order."""
    for number in range(MOST_PERIODS):
        try:
            days = _period(pattern, first, number * pattern.interval)
        except (OverflowError, ValueError):  # behind the last year there is
            return
        yield from (day for day in days if day >= first and (not pattern.months or day.month in pattern.months))


def _period(pattern: Pattern, first: date, ahead: int) -> list[date]:
    """Returns the days that fit within the period that lies a number of periods ahead."""
    if pattern.frequency == "DAILY":
        day = first + timedelta(days=ahead)
        fits = not pattern.days or day.weekday() in {weekday for _, weekday in pattern.days}
        return [day] if fits and _fits_month_day(pattern, day) else []
    if pattern.frequency == "WEEKLY":
        start = first - timedelta(days=(first.weekday() - pattern.week_start) % 7) + timedelta(weeks=ahead)
        weekdays = {weekday for _, weekday in pattern.days} or {first.weekday()}
        return [day for n in range(7) if (day := start + timedelta(days=n)).weekday() in weekdays and _fits_month_day(pattern, day)]
    if pattern.frequency == "MONTHLY":
        years, month = divmod(first.month - 1 + ahead, 12)
        return _in_month(pattern, first, first.year + years, month + 1)
    months = pattern.months or (first.month,)
    return [day for month in sorted(months) for day in _in_month(pattern, first, first.year + ahead, month)]


def _fits_month_day(pattern: Pattern, day: date) -> bool:
    length = calendar.monthrange(day.year, day.month)[1]
    return not pattern.month_days or day.day in pattern.month_days or day.day - length - 1 in pattern.month_days


def _in_month(pattern: Pattern, first: date, year: int, month: int) -> list[date]:
    days = [date(year, month, n) for n in range(1, calendar.monthrange(year, month)[1] + 1)]
    if not pattern.days and not pattern.month_days:
        return [day for day in days if day.day == first.day]
    by_weekday: list[list[date]] = [[day for day in days if day.weekday() == n] for n in range(7)]
    chosen = set(days)
    if pattern.days:
        chosen = {day for which, weekday in pattern.days for day in _which(by_weekday[weekday], which)}
    return sorted(day for day in chosen if _fits_month_day(pattern, day))


def _which(days: list[date], which: int) -> list[date]:
    """Returns all of the days, or one by its number from either end."""
    if which == 0:
        return days
    return days[which - 1 : which] if which > 0 else days[len(days) + which : len(days) + which + 1]

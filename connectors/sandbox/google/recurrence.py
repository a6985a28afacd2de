"""When a series takes place: RRULE, EXRULE, RDATE and EXDATE lines of RFC 5545, worked out in the wall time of the series.

Everything here is a wall time without zone, an all-day date is its midnight: so a meeting at nine stays at nine when the clocks
change. What the played calendar does not know (BYHOUR, BYWEEKNO and the like) raises ValueError instead of being passed over.
"""

from __future__ import annotations

import heapq
from calendar import monthrange
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

DAYS = ("MO", "TU", "WE", "TH", "FR", "SA", "SU")
FREQUENCIES = ("DAILY", "WEEKLY", "MONTHLY", "YEARLY")
PARTS = ("FREQ", "INTERVAL", "COUNT", "UNTIL", "BYDAY", "BYMONTHDAY", "BYMONTH", "BYSETPOS", "WKST")
MOST_IDLE = 2000  # periods in a row without a day: the 30th of February never comes
FIRST_YEAR, LAST_YEAR = 1900, 9000
MOST_APART = 9999  # periods
LONGEST_NUMBER = 9  # characters


@dataclass(frozen=True, slots=True)
class Rule:
    """One RRULE. `days` holds pairs of an ordinal (0: every) and a weekday (0: Monday)."""

    frequency: str
    interval: int = 1
    count: int | None = None
    until: datetime | None = None
    days: tuple[tuple[int, int], ...] = ()
    month_days: tuple[int, ...] = ()
    months: tuple[int, ...] = ()
    positions: tuple[int, ...] = ()
    week_start: int = 0


@dataclass(frozen=True, slots=True)
class Recurrence:
    """All lines of a series, read."""

    rules: tuple[Rule, ...]
    without_rules: tuple[Rule, ...]
    extra: frozenset[datetime]
    without: frozenset[datetime]

    def starts(self, first: datetime) -> Iterator[datetime]:
        """Yields the starts of a series in order, each once. Without a rule the first start is one of them."""
        sources = [_starts(rule, first) for rule in self.rules] or [iter([first])]
        excluded = _Passing(heapq.merge(*(_starts(rule, first) for rule in self.without_rules)))
        last = None
        for at in heapq.merge(*sources, sorted(self.extra)):
            if at != last and at not in self.without and not excluded.holds(at):
                yield at
            last = at


class _Passing:
    """An ordered stream that is asked for ever later instants."""

    def __init__(self, stream: Iterator[datetime]) -> None:
        self._stream, self._next = stream, next(stream, None)

    def holds(self, at: datetime) -> bool:
        while self._next is not None and self._next < at:
            self._next = next(self._stream, None)
        return self._next == at


# --- reading ------------------------------------------------------------------------------------------------------------
def read(lines: Iterable[str], *, zone: ZoneInfo | None) -> Recurrence:
    """Returns the lines of a series, read. `zone` is that of its start, None for all-day ones. Raises ValueError."""
    rules: dict[str, list[Rule]] = {"RRULE": [], "EXRULE": []}
    dates: dict[str, set[datetime]] = {"RDATE": set(), "EXDATE": set()}
    for line in lines:
        head, colon, text = line.strip().partition(":")
        name, *parameters = head.upper().split(";") if colon else [""]
        if name in rules and not parameters:
            rules[name].append(_rule(text, zone))
        elif name in dates:
            dates[name] |= set(_dates(head, text, zone))
        else:
            raise ValueError(f"{line[:80]!r} is no RRULE, EXRULE, RDATE or EXDATE")
    if not rules["RRULE"] and not dates["RDATE"]:
        raise ValueError("a series needs an RRULE or an RDATE")
    return Recurrence(tuple(rules["RRULE"]), tuple(rules["EXRULE"]), frozenset(dates["RDATE"]), frozenset(dates["EXDATE"]))


def _rule(text: str, zone: ZoneInfo | None) -> Rule:
    given: dict[str, str] = {}
    for part in text.strip().rstrip(";").upper().split(";"):
        name, equals, value = part.partition("=")
        if not equals or not value or name not in PARTS or name in given:
            raise ValueError(f"{part[:80]!r} is no part of a rule")
        given[name] = value
    frequency = given.get("FREQ", "")
    if frequency not in FREQUENCIES or ("COUNT" in given and "UNTIL" in given):
        raise ValueError(f"{text[:80]!r} is no rule")
    days = tuple(_day(word) for word in given["BYDAY"].split(",")) if "BYDAY" in given else ()
    month_days = _numbers(given, "BYMONTHDAY", 31)
    if frequency in ("DAILY", "WEEKLY") and any(ordinal for ordinal, _ in days) or (frequency == "WEEKLY" and month_days):
        raise ValueError(f"{text[:80]!r} does not fit its FREQ")
    months = _numbers(given, "BYMONTH", 12)
    if any(month < 0 for month in months) or given.get("WKST", "MO") not in DAYS:
        raise ValueError(f"{text[:80]!r} is no rule")
    return Rule(
        frequency,
        _count(given.get("INTERVAL", "1"), MOST_APART),
        _count(given["COUNT"]) if "COUNT" in given else None,
        _until(given["UNTIL"], zone) if "UNTIL" in given else None,
        days,
        month_days,
        months,
        _numbers(given, "BYSETPOS", 366),
        DAYS.index(given.get("WKST", "MO")),
    )


def _count(text: str, most: int = 10**LONGEST_NUMBER) -> int:
    number = _number(text)
    if not 1 <= number <= most:
        raise ValueError(f"{text!r} is not between 1 and {most}")
    return number


def _number(text: str) -> int:
    digits = text.removeprefix("-").removeprefix("+")
    if not (digits.isascii() and digits.isdigit()) or len(digits) > LONGEST_NUMBER:
        raise ValueError(f"{text[:80]!r} is no number")
    return int(text)


def _numbers(given: dict[str, str], name: str, most: int) -> tuple[int, ...]:
    numbers = tuple(_number(word) for word in given[name].split(",")) if name in given else ()
    if any(not 1 <= abs(number) <= most for number in numbers):
        raise ValueError(f"{name} has a number that there is not")
    return numbers


def _day(word: str) -> tuple[int, int]:
    """Returns `-1FR` as (-1, 4)."""
    if word[-2:] not in DAYS:
        raise ValueError(f"{word[:80]!r} is no day")
    ordinal = _number(word[:-2]) if word[:-2] else 0
    if abs(ordinal) > 53 or (word[:-2] and not ordinal):
        raise ValueError(f"{word[:80]!r} is no day")
    return ordinal, DAYS.index(word[-2:])


def _until(text: str, zone: ZoneInfo | None) -> datetime:
    """Returns the last wall time of a rule. An all-day series takes the day of an instant, a timed one takes a day from
    its midnight."""
    if text[:4].isdigit() and int(text[:4]) >= LAST_YEAR:  # for ever, as some say it
        return datetime(LAST_YEAR, 1, 1)
    if zone is None:
        return _at(text[:8])
    return _in_zone(text, zone)


def _dates(head: str, text: str, zone: ZoneInfo | None) -> Iterator[datetime]:
    parameters = dict(part.partition("=")[::2] for part in head.split(";")[1:])
    names = {name.upper(): value for name, value in parameters.items()}
    if set(names) - {"TZID", "VALUE"} or names.get("VALUE", "").upper() not in ("", "DATE", "DATE-TIME"):
        raise ValueError(f"{head[:80]!r} is not known")
    own = _zone(names["TZID"]) if "TZID" in names else zone
    for word in text.upper().split(","):
        is_day = len(word) == 8
        if is_day != (zone is None):
            raise ValueError(f"{word[:80]!r} does not fit the start")
        if zone is None or own is None:
            yield _at(word)
        else:
            yield _in_zone(word, own).replace(tzinfo=own).astimezone(zone).replace(tzinfo=None)


def _zone(name: str) -> ZoneInfo:
    try:
        return ZoneInfo(name)
    except (KeyError, ValueError, OSError):
        raise ValueError(f"{name[:80]!r} is no time zone") from None


def _in_zone(text: str, zone: ZoneInfo) -> datetime:
    at = _at(text.removesuffix("Z"))
    return at.replace(tzinfo=UTC).astimezone(zone).replace(tzinfo=None) if text.endswith("Z") else at


def _at(text: str) -> datetime:
    if len(text) not in (8, 15):
        raise ValueError(f"{text[:80]!r} is neither a day nor an instant")
    at = datetime.strptime(text, "%Y%m%d" if len(text) == 8 else "%Y%m%dT%H%M%S")
    if not FIRST_YEAR <= at.year < LAST_YEAR:
        raise ValueError(f"{text} is too far away")
    return at


# --- working out --------------------------------------------------------------------------------------------------------
def _starts(rule: Rule, first: datetime) -> Iterator[datetime]:
    left, idle = rule.count, 0
    for period in _PERIODS[rule.frequency](rule, first.date()):
        days = _chosen(rule, sorted(set(period)))
        idle = 0 if days else idle + 1
        if idle > MOST_IDLE:
            return
        for day in days:
            at = datetime.combine(day, first.time())
            if at < first:
                continue
            if (rule.until is not None and at > rule.until) or left == 0:
                return
            left = left if left is None else left - 1
            yield at
        if left == 0:
            return


def _chosen(rule: Rule, days: list[date]) -> list[date]:
    """Returns the days of a period that BYSETPOS picks."""
    if not rule.positions:
        return days
    places = [position - 1 if position > 0 else len(days) + position for position in rule.positions]
    return sorted({days[place] for place in places if 0 <= place < len(days)})


def _daily(rule: Rule, first: date) -> Iterator[list[date]]:
    day = first
    while day.year < LAST_YEAR:
        is_numbered = not rule.month_days or day in _of_numbers(rule, day.year, day.month)
        fits = is_numbered and _is_in_months(rule, day) and _is_in_days(rule, day)
        yield [day] if fits else []
        day += timedelta(days=rule.interval)


def _weekly(rule: Rule, first: date) -> Iterator[list[date]]:
    wanted = [weekday for _, weekday in rule.days] or [first.weekday()]
    week = first - timedelta(days=(first.weekday() - rule.week_start) % 7)
    while week.year < LAST_YEAR:
        days = [week + timedelta(days=(weekday - rule.week_start) % 7) for weekday in wanted]
        yield [day for day in days if _is_in_months(rule, day)]
        week += timedelta(weeks=rule.interval)


def _monthly(rule: Rule, first: date) -> Iterator[list[date]]:
    number = first.year * 12 + first.month - 1
    while number // 12 < LAST_YEAR:
        year, month = number // 12, number % 12 + 1
        yield _of_month(rule, year, month, first) if not rule.months or month in rule.months else []
        number += rule.interval


def _yearly(rule: Rule, first: date) -> Iterator[list[date]]:
    year = first.year
    while year < LAST_YEAR:
        if rule.months:
            yield [day for month in rule.months for day in _of_month(rule, year, month, first)]
        elif rule.month_days:
            numbered = [day for month in range(1, 13) for day in _of_numbers(rule, year, month)]
            yield [day for day in numbered if not rule.days or day in _of_year(rule, year)]
        elif rule.days:
            yield list(_of_year(rule, year))
        else:
            yield _existing(year, first.month, [first.day])
        year += rule.interval


_PERIODS: dict[str, Callable[[Rule, date], Iterator[list[date]]]] = {
    "DAILY": _daily,
    "WEEKLY": _weekly,
    "MONTHLY": _monthly,
    "YEARLY": _yearly,
}


def _of_year(rule: Rule, year: int) -> set[date]:
    return set(_of_weekdays(rule, date(year, 1, 1), date(year, 12, 31)))


def _of_month(rule: Rule, year: int, month: int, first: date) -> list[date]:
    by_weekday = set(_of_weekdays(rule, date(year, month, 1), date(year, month, monthrange(year, month)[1])))
    if rule.month_days:
        numbered = _of_numbers(rule, year, month)
        return [day for day in numbered if not rule.days or day in by_weekday]
    return list(by_weekday) if rule.days else _existing(year, month, [first.day])


def _of_numbers(rule: Rule, year: int, month: int) -> list[date]:
    length = monthrange(year, month)[1]
    return _existing(year, month, [number if number > 0 else length + 1 + number for number in rule.month_days])


def _existing(year: int, month: int, numbers: list[int]) -> list[date]:
    length = monthrange(year, month)[1]
    return [date(year, month, number) for number in numbers if 1 <= number <= length]


def _of_weekdays(rule: Rule, low: date, high: date) -> Iterator[date]:
    """Yields the days that BYDAY names between two: every one of a weekday, or the nth from either end."""
    for ordinal, weekday in rule.days:
        first = low + timedelta(days=(weekday - low.weekday()) % 7)
        last = high - timedelta(days=(high.weekday() - weekday) % 7)
        if ordinal:
            day = first + timedelta(weeks=ordinal - 1) if ordinal > 0 else last + timedelta(weeks=ordinal + 1)
            if low <= day <= high:
                yield day
            continue
        while first <= high:
            yield first
            first += timedelta(weeks=1)


def _is_in_months(rule: Rule, day: date) -> bool:
    return not rule.months or day.month in rule.months


def _is_in_days(rule: Rule, day: date) -> bool:
    return not rule.days or day.weekday() in [weekday for _, weekday in rule.days]

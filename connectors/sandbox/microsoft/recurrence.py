"""Recurrence: what a patternedRecurrence may say, how it reads, and on which days a series takes place.

Days are those of the recurrence's own zone, so that a meeting at ten stays at ten when the clocks change.
"""

from __future__ import annotations

import calendar
from collections.abc import Iterator, Mapping
from datetime import date, timedelta
from typing import Any

from connectors.sandbox.microsoft.refusal import Refused, bad_request

DAYS = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")
INDEXES = ("first", "second", "third", "fourth", "last")
NEEDED = {
    "daily": (), "weekly": ("daysOfWeek",), "absoluteMonthly": ("dayOfMonth",), "relativeMonthly": ("daysOfWeek",),
    "absoluteYearly": ("dayOfMonth", "month"), "relativeYearly": ("daysOfWeek", "month"),
}  # fmt: skip
RANGES = ("noEnd", "endDate", "numbered")
MOST_OCCURRENCES = 999
NO_DAY = "0001-01-01"
_PATTERN = ("type", "interval", "month", "dayOfMonth", "daysOfWeek", "firstDayOfWeek", "index")
_RANGE = ("type", "startDate", "endDate", "recurrenceTimeZone", "numberOfOccurrences")
_LOWER = {name.lower(): name for name in (*NEEDED, *RANGES, *DAYS, *INDEXES)}

Recurrence = dict[str, Any]  # {"pattern": …, "range": …} with all the keys that are read


def read(given: Any) -> Recurrence:
    """Returns a recurrence with all its parts; `recurrenceTimeZone` is "" where none is given. Raises Refused."""
    both = _part(given, ("pattern", "range"), "patternedRecurrence")
    pattern, range_ = _part(both.get("pattern"), _PATTERN, "recurrencePattern"), _part(both.get("range"), _RANGE, "recurrenceRange")
    return {"pattern": _read_pattern(pattern), "range": _read_range(range_)}


def _read_pattern(given: Mapping[str, Any]) -> dict[str, Any]:
    type_ = _word(given.get("type"), tuple(NEEDED), "pattern/type")
    days = given.get("daysOfWeek") or []
    if not isinstance(days, list):
        raise _wrong("pattern/daysOfWeek")
    pattern = {
        "type": type_,
        "interval": _number(given.get("interval", 1), 1, 999, "pattern/interval"),
        "month": _number(given.get("month") or 0, 0, 12, "pattern/month"),
        "dayOfMonth": _number(given.get("dayOfMonth") or 0, 0, 31, "pattern/dayOfMonth"),
        "daysOfWeek": list(dict.fromkeys(_word(day, DAYS, "pattern/daysOfWeek") for day in days)),
        "firstDayOfWeek": _word(given.get("firstDayOfWeek") or "sunday", DAYS, "pattern/firstDayOfWeek"),
        "index": _word(given.get("index") or "first", INDEXES, "pattern/index"),
    }
    if missing := [name for name in NEEDED[type_] if not pattern[name]]:
        raise _wrong(f"pattern/{missing[0]}")
    # What a type does not use is told as unset, whatever was written.
    unset = {"month": 0, "dayOfMonth": 0, "daysOfWeek": [], "index": "first"}
    used = (*NEEDED[type_], *(("index",) if type_.startswith("relative") else ()))
    return {**pattern, **{name: value for name, value in unset.items() if name not in used}}


def _read_range(given: Mapping[str, Any]) -> dict[str, Any]:
    type_ = _word(given.get("type"), RANGES, "range/type")
    zone = given.get("recurrenceTimeZone") or ""
    start = _day(given.get("startDate"), "range/startDate")
    if not isinstance(zone, str):
        raise _wrong("range/recurrenceTimeZone")
    end = _day(given.get("endDate"), "range/endDate") if type_ == "endDate" else None
    if end is not None and end < start:
        raise _wrong("range/endDate")
    count = _number(given.get("numberOfOccurrences"), 1, MOST_OCCURRENCES, "range/numberOfOccurrences") if type_ == "numbered" else 0
    return {"type": type_, "startDate": start.isoformat(), "endDate": end.isoformat() if end else NO_DAY, "recurrenceTimeZone": zone,
            "numberOfOccurrences": count}  # fmt: skip


def _part(given: Any, known: tuple[str, ...], type_: str) -> dict[str, Any]:
    if not isinstance(given, dict):
        raise _wrong(type_)
    own = {name: value for name, value in given.items() if "@odata." not in name}
    if unknown := [name for name in own if name not in known]:
        raise bad_request(f"The property '{unknown[0][:80]}' does not exist on type 'microsoft.graph.{type_}'.")
    return own


def _word(given: Any, known: tuple[str, ...], name: str) -> str:
    word = _LOWER.get(given.lower()) if isinstance(given, str) else None
    if word not in known:
        raise _wrong(name)
    return str(word)


def _number(given: Any, low: int, high: int, name: str) -> int:
    if not isinstance(given, int) or isinstance(given, bool) or not low <= given <= high:
        raise _wrong(name)
    return given


def _day(given: Any, name: str) -> date:
    try:
        return date.fromisoformat(given)
    except (TypeError, ValueError):
        raise _wrong(name) from None


def _wrong(name: str) -> Refused:
    return bad_request(
        f"At least one property failed validation. The value of 'recurrence/{name}' is invalid.", "ErrorPropertyValidationFailure"
    )


def shown(recurrence: Recurrence | None) -> dict[str, Any] | None:
    """Returns a recurrence as it is read; days of the week stand in it only where there are any."""
    if recurrence is None:
        return None
    pattern = {name: value for name, value in recurrence["pattern"].items() if value != []}
    return {"pattern": pattern, "range": dict(recurrence["range"])}


# --- the days -----------------------------------------------------------------------------------------------------------
def days(recurrence: Recurrence, first: date | None = None) -> Iterator[date]:
    """Yields the days of a series in order, from `first` on. A series without an end goes on to the end of the calendar."""
    range_ = recurrence["range"]
    start = date.fromisoformat(range_["startDate"])
    last = date.fromisoformat(range_["endDate"]) if range_["type"] == "endDate" else date.max
    most = range_["numberOfOccurrences"] if range_["type"] == "numbered" else None
    # Occurrences can be counted from the beginning only; without a count, periods long past are skipped.
    begin = start if first is None or most is not None else max(start, first)
    for count, day in enumerate(_pattern_days(recurrence["pattern"], start, begin)):
        if day > last or (most is not None and count >= most):
            return
        if first is None or day >= first:
            yield day


def _pattern_days(pattern: Mapping[str, Any], start: date, begin: date) -> Iterator[date]:
    """Yields the days of a pattern from `begin` on; `start` says which periods count."""
    try:
        for period in _periods(pattern, start, begin):
            yield from (day for day in _days_of(pattern, period) if day >= begin)
    except (OverflowError, ValueError):
        return  # the calendar is at its end


def _periods(pattern: Mapping[str, Any], start: date, begin: date) -> Iterator[date]:
    """Yields the first day of each period that counts: a day, a week, a month, a year."""
    interval, type_ = pattern["interval"], pattern["type"]
    if type_ in ("daily", "weekly"):
        length = interval * (1 if type_ == "daily" else 7)
        into_week = (start.weekday() - DAYS.index(pattern["firstDayOfWeek"])) % 7
        at = start if type_ == "daily" else start - timedelta(into_week)
        at += timedelta(max(0, (begin - at).days // length) * length)
        while True:
            yield at
            at += timedelta(length)
    months = interval * (12 if type_.endswith("Yearly") else 1)
    month = start.year * 12 + (pattern["month"] or start.month) - 1
    month += max(0, (begin.year * 12 + begin.month - 1 - month) // months) * months
    while True:
        yield date(month // 12, month % 12 + 1, 1)
        month += months


def _days_of(pattern: Mapping[str, Any], period: date) -> list[date]:
    type_ = pattern["type"]
    if type_ == "daily":
        return [period]
    weekdays = {DAYS.index(name) for name in pattern["daysOfWeek"]}
    if type_ == "weekly":
        return [day for n in range(7) if (day := period + timedelta(n)).weekday() in weekdays]
    length = calendar.monthrange(period.year, period.month)[1]
    if type_.startswith("absolute"):
        return [period.replace(day=min(pattern["dayOfMonth"], length))]  # a short month: its last day
    fits = [day for n in range(1, length + 1) if (day := period.replace(day=n)).weekday() in weekdays]
    return [fits[-1] if pattern["index"] == "last" else fits[INDEXES.index(pattern["index"])]]

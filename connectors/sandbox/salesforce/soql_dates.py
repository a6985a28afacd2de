"""What date literals mean: the days from one up to another, in the zone of the user who asks."""

from __future__ import annotations

from datetime import UTC, date, datetime, time, timedelta, tzinfo
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError


def zone_of(name: str) -> tzinfo:
    """Returns the time zone of a user, UTC where this machine does not know it."""
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError):
        return UTC


def days_of(literal: str, today: date) -> tuple[date, date]:
    """Returns the first day of `LAST_N_DAYS:14` and the day behind its last. Weeks begin on Monday."""
    word, _, number = literal.partition(":")
    count = int(number) if number else 90
    day = timedelta(days=1)
    if word in ("YESTERDAY", "TODAY", "TOMORROW"):
        start = today + (-day if word == "YESTERDAY" else day if word == "TOMORROW" else timedelta())
        return start, start + day
    if word in ("LAST_N_DAYS", "LAST_90_DAYS"):
        return today - count * day, today + day
    if word in ("NEXT_N_DAYS", "NEXT_90_DAYS"):
        return today + day, today + day + count * day
    if word == "N_DAYS_AGO":
        return today - count * day, today - (count - 1) * day
    which, _, unit = word.partition("_")
    step = {"LAST": -1, "THIS": 0, "NEXT": 1}[which]
    if unit == "WEEK":
        start = today - today.weekday() * day + 7 * step * day
        return start, start + 7 * day
    months = {"MONTH": 1, "QUARTER": 3, "YEAR": 12}[unit]
    index = (today.year * 12 + today.month - 1) // months * months + step * months
    return _month(index), _month(index + months)


def _month(index: int) -> date:
    return date(index // 12, index % 12 + 1, 1)


def instant_of(day: date, zone: tzinfo) -> datetime:
    """Returns when a day begins in a zone, UTC."""
    return datetime.combine(day, time(), zone).astimezone(UTC)

"""Wire forms of the played Workbooks: dates with whole seconds in UTC, booleans, sentinels. Stored instants are epochs."""

from __future__ import annotations

import re
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

from connectors.sandbox.workbooks.metadata import LONG_TEXT_LIMIT, TEXT_LIMIT, Column

TRUE_WORDS = {"true", "t", "on", "1", "yes", "y"}
DAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
FIRST, LAST = -62_135_596_800, 253_402_300_799  # the epochs of the years 1 and 9999: no other instant can be shown
_DATETIME = re.compile(r"^(?:[A-Z][a-z]{2} )?([A-Z][a-z]{2}) +(\d{1,2}) (\d\d):(\d\d):(\d\d) UTC (\d{4})$")
_INTEGER = re.compile(r"[+-]?[0-9]{1,18}")
_EPOCH = re.compile(r"-?[0-9]{1,12}")
_DATE = re.compile(r"^([0-9]{1,2}) ([A-Z][a-z]{2})[a-z]* ([0-9]{4})$")
_CURRENCY = re.compile(r"^(-?[0-9]{1,15}(?:\.[0-9]{1,4})?)(?: ([A-Z]{3}|!!!))?(?: ([0-3]))?$")
HOME_CURRENCY = "GBP"


def show_datetime(epoch: int) -> str:
    """Returns `Fri May 15 14:36:54 UTC 2026`."""
    at = datetime.fromtimestamp(epoch, UTC)
    return f"{DAYS[at.weekday()]} {MONTHS[at.month - 1]} {at.day:02d} {at:%H:%M:%S} UTC {at.year:04d}"


def read_datetime(text: str) -> int | None:
    """Returns the epoch second a text names: the documented form, an epoch, an ISO instant, or the first second of a date;
    None otherwise, and for an instant outside the years 1 to 9999."""
    text = text.strip()
    epoch = int(text) if _EPOCH.fullmatch(text) else _epoch_of_words(text)
    return epoch if epoch is not None and FIRST <= epoch <= LAST else None


def _epoch_of_words(text: str) -> int | None:
    match = _DATETIME.match(text)
    try:
        if match and match[1] in MONTHS:
            month, day, hour, minute, second, year = match.groups()
            clock = int(hour), int(minute), int(second)
            return int(datetime(int(year), MONTHS.index(month) + 1, int(day), *clock, tzinfo=UTC).timestamp())
        at = datetime.fromisoformat(read_date(text) or text.replace("Z", "+00:00"))
        return int((at if at.tzinfo else at.replace(tzinfo=UTC)).timestamp())
    except (ValueError, OverflowError):
        return None


def read_date(text: str) -> str | None:
    """Returns the ISO form of a date, `22 May 2026` or `2026-05-22`; None for anything else."""
    match = _DATE.match(text.strip())
    try:
        if match and match[2] in MONTHS:
            return date(int(match[3]), MONTHS.index(match[2]) + 1, int(match[1])).isoformat()
        return date.fromisoformat(text.strip()).isoformat() if len(text.strip()) == 10 else None
    except ValueError:
        return None


def show_date(iso: str) -> str:
    """Returns `22 May 2026`; below the tenth a space leads: ` 2 May 2026`."""
    at = date.fromisoformat(iso)
    return f"{at.day:2d} {MONTHS[at.month - 1]} {at.year:04d}"


def read_currency(text: str) -> str | None:
    """Returns the stored form `12500.00 GBP 0` of an amount with or without its currency and flags, None for anything else."""
    match = _CURRENCY.match(text.strip())
    return f"{Decimal(match[1]):.2f} {match[2] or HOME_CURRENCY} {match[3] or 0}" if match else None


def show(column: Column | None, value: Any) -> Any:
    """Returns the JSON form of a stored value: blank text is "", a blank tick box false, a date a text."""
    if column is None:
        return value
    if column.datatype == "boolean":
        return bool(value)
    if column.datatype == "datetime" and isinstance(value, int):
        return show_datetime(value)
    if column.datatype == "date" and value:
        return show_date(value)
    if value is None and column.datatype in ("string", "text", "currency"):
        return ""
    return value


def store(column: Column, text: Any) -> tuple[Any, str]:
    """Returns the stored form of an input and "" or the sentence that refuses it."""
    if text is None:
        return (False if column.datatype == "boolean" else None), ""
    if column.datatype == "boolean":
        return (text if isinstance(text, bool) else str(text).strip().lower() in TRUE_WORDS), ""
    if column.datatype in ("integer", "has_one"):
        return _store_integer(text)
    if column.datatype == "datetime":
        if text == "":
            return None, ""
        at = read_datetime(str(text))
        return at, "" if at is not None else "is not a valid date and time"
    value = str(text)
    if column.datatype in ("date", "currency") and value.strip():
        read, what = (read_date, "date") if column.datatype == "date" else (read_currency, "currency amount")
        stored = read(value)
        return stored, "" if stored is not None else f"is not a valid {what}"
    longest = TEXT_LIMIT if column.datatype == "string" else LONG_TEXT_LIMIT
    if len(value) > longest:
        return None, f"is too long (maximum is {longest} characters)"
    return value or None, ""


def _store_integer(text: Any) -> tuple[Any, str]:
    if text == "":
        return None, ""
    if not _INTEGER.fullmatch(str(text).strip()):
        return None, "is not a number"
    number = int(str(text))
    return (number, "") if -(2**31) <= number < 2**31 else (None, "is out of range")

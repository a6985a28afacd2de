"""Wire forms of the played Workbooks: dates with whole seconds in UTC, booleans, sentinels. Stored instants are epochs."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import Any

from connectors.sandbox.workbooks.metadata import TEXT_LIMIT, Column

TRUE_WORDS = {"true", "t", "on", "1", "yes", "y"}
DAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
_DATETIME = re.compile(r"^(?:[A-Z][a-z]{2} )?([A-Z][a-z]{2}) +(\d{1,2}) (\d\d):(\d\d):(\d\d) UTC (\d{4})$")


def show_datetime(epoch: int) -> str:
    """Returns `Fri May 15 14:36:54 UTC 2026`."""
    at = datetime.fromtimestamp(epoch, UTC)
    return f"{DAYS[at.weekday()]} {MONTHS[at.month - 1]} {at.day:02d} {at:%H:%M:%S} UTC {at.year}"


def read_datetime(text: str) -> int | None:
    """Returns the epoch second a text names: the documented form, an epoch, or an ISO instant; None otherwise."""
    text = text.strip()
    match = _DATETIME.match(text)
    if match and match[1] in MONTHS:
        month, day, hour, minute, second, year = match.groups()
        try:
            return int(datetime(int(year), MONTHS.index(month) + 1, int(day), int(hour), int(minute), int(second), tzinfo=UTC).timestamp())
        except ValueError:
            return None
    if re.fullmatch(r"-?\d+", text):
        return int(text)
    try:
        at = datetime.fromisoformat(text.replace("Z", "+00:00"))
    except ValueError:
        return None
    return int((at if at.tzinfo else at.replace(tzinfo=UTC)).timestamp())


def show(column: Column | None, value: Any) -> Any:
    """Returns the JSON form of a stored value: blank text is "", a date is a text."""
    if column is None:
        return value
    if column.datatype == "datetime" and isinstance(value, int):
        return show_datetime(value)
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
        at = read_datetime(str(text))
        return at, "" if at is not None else "is not a valid date and time"
    value = str(text)
    if column.datatype == "string" and len(value) > TEXT_LIMIT:
        return None, f"is too long (maximum is {TEXT_LIMIT} characters)"
    return value or None, ""


def _store_integer(text: Any) -> tuple[Any, str]:
    if text == "":
        return None, ""
    try:
        number = int(str(text))
    except ValueError:
        return None, "is not a number"
    return (number, "") if -(2**31) <= number < 2**31 else (None, "is out of range")

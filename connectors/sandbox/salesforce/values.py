"""Values as Salesforce stores them: instants as it shows them, and what it refuses of wrong types and lengths."""

from __future__ import annotations

import base64
import re
from datetime import UTC, date, datetime
from typing import Any

from connectors.sandbox.salesforce import ids
from connectors.sandbox.salesforce.refusal import Refused
from connectors.sandbox.salesforce.schema import BY_PREFIX, ID_LIST, NUMBERS, Field

FIRST_YEAR, LAST_YEAR = 1700, 4000
MOST_INT, MOST_NUMBER = 99_999_999, 1e16
MOST_BYTES = 37 * 1024 * 1024
LONGEST_TOLD = 255  # characters of a value that a refusal repeats
_INSTANT = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,9})?(Z|[+-]\d\d:?\d\d)")
_DATE = re.compile(r"\d{4}-\d\d-\d\d")
_EMAIL = re.compile(r"[A-Za-z0-9!#$%&'*/=?^_+\-`{|}~.]+@[A-Za-z0-9](?:[A-Za-z0-9-]*[A-Za-z0-9])?(?:\.[A-Za-z0-9-]*[A-Za-z0-9])+")


def show_instant(at: datetime, *, is_whole: bool = True) -> str:
    """Returns `2026-11-01T10:00:00.000+0000`; instants are kept to the second. Texts of this form sort as they follow."""
    at = at.astimezone(UTC)
    milliseconds = 0 if is_whole else at.microsecond // 1000
    return f"{at:%Y-%m-%dT%H:%M:%S}.{milliseconds:03d}+0000"


def read_instant(text: str) -> datetime | None:
    """Returns the instant that a text spells with a zone, None for anything else or outside the years 1700 to 4000."""
    if not _INSTANT.fullmatch(text):
        return None
    try:
        at = datetime.fromisoformat(text).astimezone(UTC)
    except (ValueError, OverflowError):
        return None
    return at if FIRST_YEAR <= at.year <= LAST_YEAR else None


def read_date(text: str) -> date | None:
    """Returns the day that `2026-11-01` spells, None for anything else or outside the years 1700 to 4000."""
    if not _DATE.fullmatch(text):
        return None
    try:
        day = date.fromisoformat(text)
    except ValueError:
        return None
    return day if FIRST_YEAR <= day.year <= LAST_YEAR else None


def stored(field: Field, value: Any) -> Any:
    """Returns a JSON value as it is stored: None for none, text trimmed, instants to the second. Raises Refused."""
    if field.type == "boolean":
        return _boolean(field, value)
    if value is None:
        return None
    if field.type == "int" or field.type in NUMBERS:
        return _number(field, value)
    if field.type == ID_LIST:
        return _references(field, value)
    if not isinstance(value, str):
        raise _wrong_type(field, value)
    text = value.strip()
    if not text:
        return None
    if field.type == "date":
        return _day(field, text)
    if field.type == "datetime":
        at = read_instant(text)
        if at is None:
            raise _wrong_type(field, text)
        return show_instant(at)
    if field.is_lookup:
        return _reference(field, text)
    if field.type == "base64":
        return _bytes(field, text)
    return _text(field, text)


def _wrong_type(field: Field, value: Any) -> Refused:
    return Refused(400, "INVALID_TYPE_ON_FIELD_IN_RECORD", f"{field.label}: value not of required type: {_told(value)}", [field.name])


def _told(value: Any) -> str:
    return str(value)[:LONGEST_TOLD]


def _boolean(field: Field, value: Any) -> bool:
    if value is None:
        return False
    if not isinstance(value, bool):
        raise _wrong_type(field, value)
    return value


def _number(field: Field, value: Any) -> int | float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise _wrong_type(field, value)
    if field.type == "int" and value != int(value):
        raise _wrong_type(field, value)
    if abs(value) > (MOST_INT if field.type == "int" else MOST_NUMBER):
        told = f"{field.label}: value outside of valid range on numeric field: {_told(value)}"
        raise Refused(400, "NUMBER_OUTSIDE_VALID_RANGE", told, [field.name])
    return int(value) if field.type == "int" else round(float(value), 2)


def _day(field: Field, text: str) -> str:
    day = read_date(text)
    at = None if day else read_instant(text)
    if day is None and at is None:
        raise _wrong_type(field, text)
    return (day or at).isoformat()[:10]  # type: ignore[union-attr]


def _reference(field: Field, text: str) -> str:
    """Returns the 18 characters of an id of the right kind. That the record is there is looked up elsewhere."""
    id_ = ids.read(text)
    told = f"{field.label}: id value of incorrect type: {_told(text)}"
    if id_ is None:
        raise Refused(400, "MALFORMED_ID", told, [field.name])
    target = BY_PREFIX.get(id_[:3])
    if target is not None and target.name not in field.references:
        raise Refused(400, "FIELD_INTEGRITY_EXCEPTION", told, [field.name])
    return id_


def _references(field: Field, value: Any) -> list[str]:
    if not isinstance(value, list) or not all(isinstance(text, str) for text in value):
        raise _wrong_type(field, value)
    return list(dict.fromkeys(_reference(field, text.strip()) for text in value))


def _bytes(field: Field, text: str) -> str:
    """Returns the base64 of a file. Raises Refused for what is none, or is too large for a call in JSON."""
    try:
        size = len(base64.b64decode(text, validate=True))
    except ValueError:
        raise _wrong_type(field, text) from None
    if size > MOST_BYTES:
        raise Refused(413, "REQUEST_ENTITY_TOO_LARGE", f"{field.label}: a file sent in JSON has at most {MOST_BYTES} bytes", [field.name])
    return text


def _text(field: Field, text: str) -> str:
    if field.type == "email" and not _EMAIL.fullmatch(text):
        raise Refused(400, "INVALID_EMAIL_ADDRESS", f"{field.label}: invalid email address: {_told(text)}", [field.name])
    if field.is_restricted:
        for word in text.split(";") if field.type == "multipicklist" else [text]:
            if word not in field.values:
                told = f"{field.name}: bad value for restricted picklist field: {_told(word)}"
                raise Refused(400, "INVALID_OR_NULL_FOR_RESTRICTED_PICKLIST", told, [field.name])
    if field.length and len(text) > field.length:
        told = f"{field.label}: data value too large: {_told(text)} (max length={field.length})"
        raise Refused(400, "STRING_TOO_LONG", told, [field.name])
    return text

"""Workbooks JSON to records and back. Pure. Dates, blanks and booleans as reference section 5 states them."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC, date, datetime
from typing import Any

from connectors.contract import Record, Ref, Value
from connectors.errors import Rejected
from connectors.text import clean, read_plain

SYSTEM = "workbooks"
DATETIME_FORMAT = "%a %b %d %H:%M:%S UTC %Y"
_NAMES = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
_MONTHS = {name: number for number, name in enumerate(_NAMES, 1)}
_DATETIME = re.compile(r"^[A-Z][a-z]{2} [A-Z][a-z]{2} [ \d]\d \d\d:\d\d:\d\d UTC \d{4}$")
NO_VALUE, NULL_VALUE = ":no_value:", ":null_value:"


def read_value(raw: Any, *, is_instant: bool = False) -> tuple[Value, bool]:
    """Returns the canonical value and whether its text was damaged. What has no canonical form becomes text.

    Instants are told by their column, never by how a text looks: a company may be called "12 Mar 2024". Dates of other
    columns stay as Workbooks writes them; a mapping row's conversion reads them."""
    if (plain := read_plain(raw)) is not None:
        return plain
    if raw == "":
        return None, False
    if is_instant and (at := read_datetime(raw)) is not None:
        return at, False
    return clean(raw)


def read_datetime(raw: Any) -> datetime | None:
    """Returns the instant, None when it is not one."""
    text = str(raw)
    if not _DATETIME.match(text):
        return None
    month = _MONTHS.get(text[4:7])  # by position: a tenth of what strptime costs, and this runs for every row
    try:
        clock = int(text[11:13]), int(text[14:16]), int(text[17:19])
        return datetime(int(text[24:]), month, int(text[8:10]), *clock, tzinfo=UTC) if month else None
    except ValueError:
        return None


def read_record(row: Mapping[str, Any], object_type: str) -> Record | None:
    """Returns the record of one row, None when the row has no usable id (it is nobody's record)."""
    id_ = row.get("id")
    if isinstance(id_, bool) or not isinstance(id_, int | str) or not (str(id_).isascii() and str(id_).isdigit()):
        return None
    fields: dict[str, Value] = {}
    damaged = set()
    for name, raw in row.items():
        fields[name], is_damaged = read_value(raw, is_instant=name.endswith("_at"))
        if is_damaged:
            damaged.add(name)
    changed = fields.get("updated_at")
    return Record(
        ref=Ref(SYSTEM, object_type, str(id_)),
        fields=fields,
        version="" if row.get("lock_version") is None else str(row["lock_version"]),
        updated_at=changed if isinstance(changed, datetime) else None,
        updated_by=clean(str(row.get("updated_by_user[person_name]") or ""))[0],
        is_deleted=row.get("is_deleted") is True,
        damaged=frozenset(damaged),
    )


def write_value(value: Value, field: str) -> str:
    """Returns the wire form of a value. Raises Rejected for text that Workbooks would take for a command, and for lone
    surrogates, which no form can carry."""
    if value is None or value == "":
        return NULL_VALUE
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, datetime):
        return value.astimezone(UTC).strftime(DATETIME_FORMAT)
    if isinstance(value, date):
        return f"{value.day:2d} {value.strftime('%b %Y')}"
    if isinstance(value, tuple):
        return f"[{','.join(value)}]"
    text = str(value)
    if text in (NO_VALUE, NULL_VALUE):
        raise Rejected(f"{field} cannot hold the text {text}", system=SYSTEM, field=field)
    if any("\ud800" <= c <= "\udfff" for c in text):
        raise Rejected(f"{field} cannot hold half a character", system=SYSTEM, field=field)
    return text

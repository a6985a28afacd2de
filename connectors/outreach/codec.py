"""Outreach JSON:API documents to records and back. Pure. To-one relationships are fields that hold an id."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from connectors.contract import Fields, Record, Ref, Value
from connectors.text import clean, read_plain

SYSTEM = "outreach"
COLLECTIONS = {"account": "accounts", "prospect": "prospects", "user": "users"}
RELATIONSHIPS = {"account": ("owner",), "prospect": ("account", "owner", "stage", "persona"), "user": ()}
_INSTANT = re.compile(r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d")


def read_value(raw: Any) -> tuple[Value, bool]:
    """Returns the canonical value and whether its text was damaged."""
    if (plain := read_plain(raw)) is not None:
        return plain
    if _INSTANT.match(raw):
        return read_instant(raw) or clean(raw)[0], False
    return clean(raw)


def read_instant(raw: Any) -> datetime | None:
    """Returns the instant, None when it is not one."""
    try:
        at = datetime.fromisoformat(str(raw).replace("Z", "+00:00"))
    except ValueError:
        return None
    return at.astimezone(UTC) if at.tzinfo else at.replace(tzinfo=UTC)


def write_instant(at: datetime) -> str:
    return at.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def read_record(resource: Any, object_type: str) -> Record | None:
    """Returns the record of one resource, None when it is not a resource of that type with a usable id."""
    if not isinstance(resource, Mapping) or resource.get("type") not in (object_type, None):
        return None
    id_ = resource.get("id")
    if isinstance(id_, bool) or not isinstance(id_, int | str) or not str(id_).isdigit():
        return None
    fields: dict[str, Value] = {}
    damaged = set()
    attributes = resource.get("attributes")
    for name, raw in (attributes if isinstance(attributes, Mapping) else {}).items():
        if raw is None:  # most of 170 attributes are
            fields[name] = None
            continue
        fields[name], is_damaged = read_value(raw)
        if is_damaged:
            damaged.add(name)
    relationships = resource.get("relationships")
    for name, relation in (relationships if isinstance(relationships, Mapping) else {}).items():
        data = relation.get("data", ...) if isinstance(relation, Mapping) else ...
        if data is None:
            fields[name] = None
        elif isinstance(data, Mapping) and "id" in data:
            fields[name] = str(data["id"])
    version = fields.get("updatedAt")
    at = version if isinstance(version, datetime) else None
    return Record(
        Ref(SYSTEM, object_type, str(id_)), fields, version=write_instant(at) if at else "", updated_at=at, damaged=frozenset(damaged)
    )


def write_document(object_type: str, fields: Fields, *, id_: str = "") -> dict[str, Any]:
    """Returns the document of a POST or PATCH: only the given fields. Ids are integers, as Outreach demands."""
    attributes: dict[str, Any] = {}
    relationships: dict[str, Any] = {}
    for name, value in fields.items():
        if name in RELATIONSHIPS[object_type]:
            type_ = "user" if name == "owner" else name
            relationships[name] = {"data": None if value is None else {"type": type_, "id": int(str(value))}}
        elif isinstance(value, datetime):
            attributes[name] = write_instant(value)
        else:
            attributes[name] = list(value) if isinstance(value, tuple) else value
    data: dict[str, Any] = {"type": object_type}
    if id_:
        data["id"] = int(id_)
    if attributes:
        data["attributes"] = attributes
    if relationships:
        data["relationships"] = relationships
    return {"data": data}

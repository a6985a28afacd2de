"""Outreach JSON:API documents to records and back. Pure. To-one relationships are fields that hold an id."""

from __future__ import annotations

from datetime import UTC, date, datetime
from typing import Any

from connectors.contract import Fields, Record, Ref, Value
from connectors.errors import Rejected
from connectors.text import clean, read_plain

SYSTEM = "outreach"
COLLECTIONS = {
    "account": "accounts",
    "prospect": "prospects",
    "user": "users",
    # Read only: what is active on a prospect, and what was done.
    "task": "tasks",
    "sequenceState": "sequenceStates",
    "mailing": "mailings",
    "call": "calls",
}
RELATIONSHIPS = {
    "account": ("owner",),
    "prospect": ("account", "owner", "stage", "persona"),
    "user": (),
    "task": ("owner", "prospect", "account", "sequence"),
    "sequenceState": ("prospect", "sequence", "mailbox", "account"),
    "mailing": ("prospect", "user", "mailbox", "sequence", "opportunity", "task"),
    "call": ("prospect", "user", "sequence", "opportunity", "task"),
}


def read_value(raw: Any, *, is_instant: bool = False) -> tuple[Value, bool]:
    """Returns the canonical value and whether its text was damaged. Instants are told by their attribute (`…At`), never
    by how a text looks."""
    if (plain := read_plain(raw)) is not None:
        return plain
    if is_instant and (at := read_instant(raw)) is not None:
        return at, False
    return clean(raw)


def read_instant(raw: Any) -> datetime | None:
    """Returns the instant, None when it is not one."""
    try:
        at = datetime.fromisoformat(str(raw).replace("Z", "+00:00"))
        return at.astimezone(UTC) if at.tzinfo else at.replace(tzinfo=UTC)
    except (ValueError, OverflowError):  # year 1 with an offset lies before all years
        return None


def write_instant(at: datetime) -> str:
    return at.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def read_record(resource: Any, object_type: str) -> Record | None:
    """Returns the record of one resource, None when it is not a resource of that type with a usable id."""
    if not isinstance(resource, dict) or resource.get("type") not in (object_type, None):
        return None
    id_ = resource.get("id")
    if isinstance(id_, bool) or not isinstance(id_, int | str) or not (str(id_).isascii() and str(id_).isdigit()):
        return None
    fields: dict[str, Value] = {}
    damaged = set()
    attributes = resource.get("attributes")
    for name, raw in (attributes if isinstance(attributes, dict) else {}).items():
        if raw is None:  # most of 170 attributes are
            fields[name] = None
            continue
        fields[name], is_damaged = read_value(raw, is_instant=name.endswith("At"))
        if is_damaged:
            damaged.add(name)
    relationships = resource.get("relationships")
    for name, relation in (relationships if isinstance(relationships, dict) else {}).items():
        if not isinstance(relation, dict) or "data" not in relation:  # most of 30 are links
            continue
        data = relation["data"]
        if data is None:
            fields[name] = None
        elif isinstance(data, dict) and "id" in data:
            fields[name] = clean(str(data["id"]))[0]
    version = fields.get("updatedAt")
    at = version if isinstance(version, datetime) else None
    return Record(
        Ref(SYSTEM, object_type, str(id_)), fields, version=write_instant(at) if at else "", updated_at=at, damaged=frozenset(damaged)
    )


def write_document(object_type: str, fields: Fields, *, id_: str = "") -> dict[str, Any]:
    """Returns the document of a POST or PATCH: only the given fields. Ids are integers, as Outreach demands. Raises
    Rejected for a relationship that names no id."""
    attributes: dict[str, Any] = {}
    relationships: dict[str, Any] = {}
    for name, value in fields.items():
        if name in RELATIONSHIPS[object_type]:
            type_ = "user" if name == "owner" else name
            if value is not None and not (str(value).isascii() and str(value).isdigit()):
                raise Rejected(f"{name} cannot be {str(value)[:40]!r}: it takes an id", system=SYSTEM, field=name)
            relationships[name] = {"data": None if value is None else {"type": type_, "id": int(str(value))}}
        elif isinstance(value, datetime):
            attributes[name] = write_instant(value)
        elif isinstance(value, date):
            attributes[name] = value.isoformat()
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

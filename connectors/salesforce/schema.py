"""Salesforce's describe as a `Schema`, and how its fields are read."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from connectors.contract import Attribute, Schema
from connectors.salesforce.codec import Kind, Kinds
from connectors.text import clean

_TYPES = {
    "boolean": "boolean",
    "int": "integer",
    "double": "number",
    "currency": "number",
    "percent": "number",
    "date": "date",
    "datetime": "datetime",
    "multipicklist": "list",
    "reference": "reference",
}
_LEFT_OUT = frozenset({"address", "location", "base64", "anyType"})  # compound ones are read and written by their parts
_KINDS = {"datetime": Kind.INSTANT, "date": Kind.DATE, "list": Kind.LIST}


def read_schema(object_type: str, described: Mapping[str, Any]) -> Schema:
    """Returns the attributes named in a describe. What field-level security hides is not among them."""
    return Schema(object_type, {a.name: a for a in (_attribute(row) for row in fields_of(described)) if a is not None})


def fields_of(described: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """Returns the fields of a describe that have a name; malformed ones are left out."""
    rows = described.get("fields")
    rows = rows if isinstance(rows, list) else []
    return [row for row in rows if isinstance(row, Mapping) and isinstance(row.get("name"), str)]


def _attribute(row: Mapping[str, Any]) -> Attribute | None:
    type_ = str(row.get("type") or "string")
    if type_ in _LEFT_OUT or row.get("deprecatedAndHidden") is True:
        return None
    length = row.get("length")
    is_creatable = row.get("createable") is True
    return Attribute(
        name=str(row["name"]),
        title=clean(str(row.get("label") or row["name"]))[0],
        type=_TYPES.get(type_, "text"),
        max_length=length if isinstance(length, int) and type_ not in ("reference", "id") else 0,
        is_required=is_creatable and row.get("nillable") is False and row.get("defaultedOnCreate") is False,
        is_creatable=is_creatable,
        is_updatable=row.get("updateable") is True,
        choices=_choices(row.get("picklistValues")),
    )


def _choices(raw: Any) -> tuple[str, ...]:
    rows = [row for row in raw if isinstance(row, Mapping)] if isinstance(raw, list) else []
    return tuple(str(row["value"]) for row in rows if row.get("active") is True and isinstance(row.get("value"), str))


def kinds_of(schema: Schema) -> Kinds:
    """Returns how each field is read."""
    return {name: _KINDS.get(attribute.type, Kind.PLAIN) for name, attribute in schema.attributes.items()}

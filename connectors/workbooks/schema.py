"""Workbooks' metadata as a `Schema`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from connectors.contract import Attribute, Fields, Schema

CLASSES = {"organisation": "Private::Crm::Organisation", "person": "Private::Crm::Person"}
_TYPES = {
    "string": "text",
    "text": "text",
    "boolean": "boolean",
    "integer": "integer",
    "float": "number",
    "decimal": "number",
    "currency": "text",
    "date": "date",
    "datetime": "datetime",
    "has_one": "reference",
}


def read_schema(object_type: str, row: Mapping[str, Any]) -> Schema:
    """Returns the attributes named in one metadata row; malformed ones are left out."""
    attributes = {}
    for field in row.get("fields") or ():
        if not isinstance(field, Mapping) or not isinstance(field.get("name"), str):
            continue
        datatype = str(field.get("datatype") or "string")
        attributes[field["name"]] = Attribute(
            name=field["name"],
            title=str(field.get("title") or field["name"]),
            type=_TYPES.get(datatype, "text"),
            max_length=255 if datatype == "string" else 0,
            is_required=field.get("required") is True,
            is_creatable=field.get("is_createable") is not False,
            is_updatable=field.get("is_updateable") is not False,
        )
    return Schema(object_type, attributes)


def custom_field(fields: Fields) -> Fields:
    """Returns the columns of a new row of `admin/custom_fields` for what the engine calls a field: its title, the record
    type it belongs to, and its type."""
    data_type = {"boolean": "boolean", "text": "string"}[str(fields["type"])]
    return {"title": fields["title"], "resource_type": CLASSES[str(fields["record_type"])], "data_type": data_type}

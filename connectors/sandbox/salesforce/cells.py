"""Values of a row as JSON shows them, and what the texts of forms and CSV files mean for a field."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from connectors.sandbox.salesforce.schema import ID_LIST, Field, SObject
from connectors.sandbox.salesforce.table import Row


def from_text(field: Field, text: str) -> Any:
    """Returns the JSON value that a text means for a field, for forms and CSV: numbers and booleans are read."""
    plain = text.strip()
    if field.type == "boolean" and plain.lower() in ("true", "false"):
        return plain.lower() == "true"
    if field.type in ("int", "double", "currency", "percent"):
        try:
            number = float(plain)
        except ValueError:
            return text
        return number if abs(number) < 1e300 else text
    return text


def shown(object_: SObject, row: Row) -> Iterator[tuple[str, Any]]:
    """Yields a row's fields with their values as JSON, in the object's order."""
    for field in object_.fields.values():
        yield field.name, value_of(field, row)


def value_of(field: Field, row: Row) -> Any:
    """Returns the value of one field of a row as JSON."""
    if field.type == "boolean":
        return bool(row.get(field.name))
    if field.type == "base64":
        return None  # the bytes have an address of their own
    if field.type == ID_LIST:
        return row.get(field.name) or None
    if field.type == "address":
        return _address(field.name.removesuffix("Address"), row)
    return row.get(field.name)


def _address(prefix: str, row: Row) -> dict[str, Any] | None:
    parts = {part: row.get(f"{prefix}{part}") for part in ("City", "Country", "PostalCode", "State", "Street")}
    if not any(parts.values()):
        return None
    named = {name[:1].lower() + name[1:]: value for name, value in parts.items()}
    return {**named, "geocodeAccuracy": None, "latitude": None, "longitude": None}


def blob_address(root: str, object_name: str, row: Row, field: Field) -> str:
    """Returns where the bytes of a field are read, which stands in an answer instead of them."""
    return f"{root}/sobjects/{object_name}/{row['Id']}/{field.name}"

"""Values as Outreach stores them, and the refusals of wrong types and lengths."""

from __future__ import annotations

from typing import Any

from connectors.sandbox.outreach.query import BadQuery, show_instant
from connectors.sandbox.outreach.refusal import Refused
from connectors.sandbox.outreach.schema import Attribute


def checked_value(attribute: Attribute, value: Any) -> Any:
    """Returns the value as stored. Raises Refused for a wrong type or length."""
    pointer = f"/data/attributes/{attribute.name}"
    if value is None:
        return None
    fits = {
        "string": isinstance(value, str),
        "integer": isinstance(value, int) and not isinstance(value, bool),
        "number": isinstance(value, int | float) and not isinstance(value, bool),
        "boolean": isinstance(value, bool),
        "array": isinstance(value, list) and all(isinstance(v, str) for v in value),
        "datetime": isinstance(value, str),
        "date": isinstance(value, str),
    }[attribute.type]
    if not fits:
        raise Refused(422, "validationError", f"{attribute.name} is not a valid {attribute.type}.", pointer)
    if attribute.type == "string" and "\0" in value:
        raise Refused(422, "validationError", f"{attribute.name} contains a null byte.", pointer)
    if attribute.longest and isinstance(value, str) and len(value) > attribute.longest:
        raise Refused(422, "validationDataTooLongError", "Data provided is too long.", pointer)
    if attribute.type == "datetime":
        try:
            return show_instant(value)
        except BadQuery:
            raise Refused(422, "validationError", f"{attribute.name} is not a valid datetime.", pointer) from None
    return value

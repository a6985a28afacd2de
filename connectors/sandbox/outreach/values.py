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
        "integer": isinstance(value, int) and not isinstance(value, bool) and abs(value) < 2**63,
        "number": isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < 1e300,
        "boolean": isinstance(value, bool),
        "array": isinstance(value, list) and all(isinstance(v, str) for v in value),
        "datetime": isinstance(value, str),
        "date": isinstance(value, str),
        "object": isinstance(value, dict),
    }[attribute.type]
    if not fits:
        raise Refused(422, "validationError", f"{attribute.name} is not a valid {attribute.type}.", pointer)
    if attribute.type == "string" and "\0" in value:
        raise Refused(422, "validationError", f"{attribute.name} contains a null byte.", pointer)
    if attribute.longest and isinstance(value, str) and len(value) > attribute.longest:
        raise Refused(422, "validationDataTooLongError", "Data provided is too long.", pointer)
    if attribute.type in ("datetime", "date"):
        try:
            shown = show_instant(value)
            return shown if attribute.type == "datetime" else value
        except BadQuery:
            raise Refused(422, "validationError", f"{attribute.name} is not a valid {attribute.type}.", pointer) from None
    return value

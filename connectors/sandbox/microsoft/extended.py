"""Ids of extended properties: `String {guid} Name X` for one of our own, `String 0x3A24` for one that Outlook knows."""

from __future__ import annotations

import re

from connectors.sandbox.microsoft.refusal import Refused, bad_request

TYPES = ("Binary", "Boolean", "CLSID", "Currency", "Double", "Float", "Integer", "Long", "Short", "String", "SystemTime")
_GUID = r"\{?(?P<guid>[0-9A-Fa-f]{8}(?:-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12})\}?"
_NAMED = re.compile(rf"(?P<type>\w+) {_GUID} (?P<how>Name|Id) (?P<name>.{{1,200}})", re.IGNORECASE)
_TAGGED = re.compile(r"(?P<type>\w+) 0x(?P<tag>[0-9A-Fa-f]{1,4})", re.IGNORECASE)
_TYPES = {name.lower(): name for name in TYPES}
# What people see in Outlook although Graph has no property for it.
FRIENDLY = {"businessFax": "String 0x3a24", "otherPhone": "String 0x3a1f", "assistantPhone": "String 0x3a2e"}


def read_property_id(text: object) -> str:
    """Returns an id in the one spelling that the store uses. The name keeps its case, all else does not. Raises Refused."""
    given = text if isinstance(text, str) else ""
    if match := _TAGGED.fullmatch(given):
        type_, rest = match["type"], f"0x{match['tag'].lower().lstrip('0') or '0'}"
    elif match := _NAMED.fullmatch(given):
        is_name = match["how"].lower() == "name"
        name = match["name"] if is_name else match["name"].lower()
        if not is_name and not re.fullmatch(r"0x[0-9a-f]{1,8}", name):
            raise _malformed(given)
        type_, rest = match["type"], f"{{{match['guid'].lower()}}} {'Name' if is_name else 'Id'} {name}"
    else:
        raise _malformed(given)
    if type_.lower() not in _TYPES:
        raise _malformed(given)
    return f"{_TYPES[type_.lower()]} {rest}"


def is_tagged(property_id: str) -> bool:
    return " 0x" in property_id and "{" not in property_id


def read_properties(given: object) -> dict[str, str | None]:
    """Returns the values that a body's singleValueExtendedProperties set, by id; None takes one away. Raises Refused."""
    if not isinstance(given, list):
        raise bad_request("singleValueExtendedProperties must be a collection.")
    values: dict[str, str | None] = {}
    for each in given:
        if not isinstance(each, dict) or not set(each) <= {"id", "value", "@odata.type"} or "value" not in each:
            raise bad_request("An extended property has an id and a value.", "ErrorInvalidRequest")
        if each["value"] is not None and not isinstance(each["value"], str):
            raise bad_request("Cannot convert the literal of an extended property's value to the expected type 'Edm.String'.")
        values[read_property_id(each.get("id"))] = each["value"]
    return values


def _malformed(text: str) -> Refused:
    return bad_request(f"The property ID '{text[:200]}' is invalid.", "ErrorInvalidProperty")

"""Checks bodies against the types of the API: what it does not know, or has another type, is INVALID_ARGUMENT."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from connectors.sandbox.google.refusal import Refused, invalid
from connectors.sandbox.google.schema import TYPES, Field

Types = Mapping[str, Mapping[str, Field]]
INT32 = 2**31
PLAIN = {"string": "TYPE_STRING", "int": "TYPE_INT32", "bool": "TYPE_BOOL"}


def read(data: Any, type_: str, where: str, types: Types = TYPES) -> dict[str, Any]:
    """Returns an object of a type without its empty parts; null means not given. `types` are those of the API, People's unless
    given. Raises Refused."""
    if not isinstance(data, dict):
        raise _wrong(where, type_, data)
    read_: dict[str, Any] = {}
    for name, value in data.items():
        field = types[type_].get(name)
        if field is None:
            place = f" at '{where}'" if where else ""
            raise invalid(f'Invalid JSON payload received. Unknown name "{name[:80]}"{place}: Cannot find field.')
        if value is not None:
            read_[name] = _field(value, field, f"{where}.{name}" if where else name, types)
    return read_


def _field(value: Any, field: Field, where: str, types: Types) -> Any:
    if field.is_list:
        if not isinstance(value, list):
            raise _wrong(where, field.kind, value)
        return [_one(each, field, f"{where}[{n}]", types) for n, each in enumerate(value)]
    if field.is_map:
        if not isinstance(value, dict):
            raise _wrong(where, field.kind, value)
        return {key: _one(each, field, f"{where}['{key[:80]}']", types) for key, each in value.items()}
    return _one(value, field, where, types)


def _one(value: Any, field: Field, where: str, types: Types) -> Any:
    if field.kind in types:
        return read(value, field.kind, where, types)
    if field.kind == "int" and isinstance(value, str) and value.removeprefix("-").isascii() and value.removeprefix("-").isdigit():
        value = int(value) if len(value) < 12 else INT32  # numbers may come as texts
    fits = {
        "string": isinstance(value, str),
        "bool": isinstance(value, bool),
        "int": isinstance(value, int) and not isinstance(value, bool) and -INT32 <= value < INT32,
    }
    if not fits.get(field.kind, True) or (field.allowed and value not in field.allowed):
        raise _wrong(where, "TYPE_ENUM" if field.allowed else field.kind, value)
    if isinstance(value, str) and not _is_unicode(value):
        raise invalid(f"Invalid value at '{where}' (TYPE_STRING), the text is no valid UTF-8")
    return value


def _is_unicode(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _wrong(where: str, kind: str, value: Any) -> Refused:
    type_ = PLAIN.get(kind, kind if kind.startswith("TYPE_") else f"type.googleapis.com/google.people.v1.{kind}")
    return invalid(f"Invalid value at '{where or 'body'}' ({type_}), {json.dumps(value)[:80]}")

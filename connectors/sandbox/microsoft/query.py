"""The query options of a call: which properties, in which order, which page; and what of it a thing's answer shows."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qsl, quote, urlencode

from connectors.sandbox.microsoft import filters
from connectors.sandbox.microsoft.calls import MOST_ROWS, Answer, Call
from connectors.sandbox.microsoft.extended import is_tagged, read_property_id
from connectors.sandbox.microsoft.refusal import bad_request

_EXPANDED = re.compile(r"singleValueExtendedProperties\s*(?:\(\s*\$filter\s*=\s*(?P<filter>.*)\))?\s*", re.DOTALL)


@dataclass(frozen=True, slots=True)
class View:
    """What of a thing is shown: properties (None: all), and extended properties by id, each as it was asked for."""

    select: tuple[str, ...] | None = None
    extended: Mapping[str, str] = field(default_factory=dict)

    @property
    def fields(self) -> list[str] | None:
        return None if self.select is None else [*self.select, *self.extended]


def read_select(text: str | None, known: Sequence[str], type_: str) -> tuple[str, ...] | None:
    """Returns the properties of a $select, None for all. Raises Refused for one that does not exist."""
    if text is None:
        return None
    names = tuple(word.strip() for word in text.split(",") if word.strip())
    if unknown := [name for name in names if name not in known]:
        raise bad_request(f"Could not find a property named '{unknown[0][:80]}' on type 'microsoft.graph.{type_}'.")
    return names or None


def read_view(call: Call, known: Sequence[str], type_: str) -> View:
    """Returns what a call asks to see. Raises Refused."""
    return View(read_select(call.parameters.get("$select"), known, type_), read_expand(call.parameters.get("$expand")))


def read_expand(text: str | None) -> dict[str, str]:
    """Returns the extended properties that an $expand names: the store's spelling, and the caller's. Raises Refused."""
    if text is None:
        return {}
    match = _EXPANDED.fullmatch(text.strip())
    if match is None:
        raise bad_request(f"Could not expand '{text[:80]}'.")
    if not match["filter"]:
        raise bad_request("An $expand of singleValueExtendedProperties needs a $filter on id.", "ErrorInvalidRequest")
    return dict(_property_ids(filters.parse(match["filter"])))


def _property_ids(node: filters.Node) -> Iterable[tuple[str, str]]:
    if isinstance(node, filters.Logic) and node.op == "or":
        for part in node.parts:
            yield from _property_ids(part)
    elif isinstance(node, filters.Compare) and (node.path, node.op) == ("id", "eq"):
        yield read_property_id(node.value), str(node.value)
    else:
        raise filters.unsupported("only id eq '…', joined by or, names extended properties")


def shown_extended(values: Mapping[str, str], asked: Mapping[str, str], *, is_lower: bool) -> list[dict[str, str]]:
    """Returns the entries of an expanded singleValueExtendedProperties: those that are there."""
    found = ((own, given, values[own]) for own, given in asked.items() if own in values)
    return [{"id": given if is_tagged(own) and not is_lower else own, "value": value} for own, given, value in found]


def ordered(rows: list[Any], text: str | None, known: Sequence[str], value: Callable[[Any, str], Any]) -> list[Any]:
    """Returns rows in the order of an $orderby. Raises Refused for a property that cannot be ordered by."""
    for word in reversed((text or "").split(",")):
        name, _, direction = word.strip().partition(" ")
        if not name:
            continue
        if name not in known or direction.strip().lower() not in ("", "asc", "desc"):
            raise bad_request(f"The property '{name[:80]}' is not supported for $orderby.")
        rows = sorted(rows, key=lambda row: str(value(row, name) or "").casefold(), reverse=direction.strip().lower() == "desc")  # noqa: B023
    return rows


def page(call: Call, rows: list[Any], show: Callable[[Any], dict[str, Any]], *, context: str, size: int, most: int = MOST_ROWS) -> Answer:
    """Answers one page of a list; the next one's address skips what was shown, as the store's does."""
    size = min(call.number("$top", size, 1, max(most, MOST_ROWS)), most)
    skip = call.number("$skip", 0, 0, 10**9)
    body: dict[str, Any] = {"@odata.context": f"{call.root}/$metadata#{context}"}
    if call.parameters.get("$count", "false").lower() == "true":
        body["@odata.count"] = len(rows)
    body["value"] = [show(row) for row in rows[skip : skip + size]]
    if skip + size < len(rows):
        body["@odata.nextLink"] = link(call, {"$skip": str(skip + size)})
    return Answer(200, body)


def link(call: Call, changes: Mapping[str, str], *, without: Iterable[str] = ()) -> str:
    """Returns the call's own address with some options set and others left out."""
    given = [(n, v) for n, v in parse_qsl(call.query, keep_blank_values=True) if n not in changes and n not in without]
    return f"{call.root}{call.path}?{urlencode([*given, *changes.items()], safe='$', quote_via=quote)}"

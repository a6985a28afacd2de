"""Collection queries of the played Outreach: filters in all their forms, sort, and paging by cursor or offset."""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any
from urllib.parse import parse_qsl

from connectors.sandbox.outreach.schema import RELATION_FILTERS, RESOURCES, Resource
from connectors.sandbox.outreach.table import Record, Table

Predicate = Callable[[Record], bool]
_FILTER = re.compile(r"^filter((?:\[[^\]]*\])+)$")


class BadQuery(ValueError):
    """A 400: `code` is the error's id."""

    def __init__(self, detail: str, code: str = "permittedParams.unknownAttribute") -> None:
        super().__init__(detail)
        self.code = code


@dataclass(slots=True)
class Query:
    """A read collection query."""

    predicates: list[Predicate] = field(default_factory=list)
    candidates: set[int] | None = None
    since: str | None = None
    is_filtered: bool = False
    by_id: bool = False
    sort: list[tuple[str, bool]] = field(default_factory=list)
    size: int = 50
    offset: int | None = None
    has_page: bool = False
    after: list[Any] | None = None
    counts: bool = False
    include: list[str] = field(default_factory=list)
    fields: dict[str, list[str]] = field(default_factory=dict)

    def narrow(self, ids: set[int] | None) -> None:
        if ids is not None and (self.candidates is None or len(ids) < len(self.candidates)):
            self.candidates = ids


def read_query(text: str, resource: Resource, tables: dict[str, Table]) -> Query:
    """Returns the query that a query string spells. Raises BadQuery."""
    pairs = parse_qsl(text, keep_blank_values=True)
    is_new = any(k == "newFilterSyntax" and v == "true" for k, v in pairs)
    query = Query()
    lists: dict[str, list[str]] = {}
    for key, value in pairs:
        match = _FILTER.match(key)
        if match:
            parts = re.findall(r"\[([^\]]*)\]", match[1])
            if is_new and parts[-1] == "":
                lists.setdefault(parts[0] if len(parts) == 2 else ".".join(parts[:-1]), []).append(value)
            else:
                _add_filter(query, resource, tables, parts, value, is_new)
        else:
            _add_parameter(query, resource, key, value)
    for name, values in lists.items():
        _add_list(query, resource, tables, name.split("."), values)
    return query


def _add_parameter(query: Query, resource: Resource, key: str, value: str) -> None:
    query.has_page = query.has_page or key.startswith("page[")
    if key == "page[size]":
        query.size = _number(value, key, 1, 1000)
    elif key == "page[limit]":
        query.size, query.offset = _number(value, key, 1, 1000), query.offset or 0
    elif key == "page[offset]":
        query.offset = _number(value, key, 0, 10000)
    elif key == "page[after]":
        try:
            query.after = json.loads(base64.urlsafe_b64decode(value.encode()))
        except ValueError:
            raise BadQuery("page[after] is not a cursor", "permittedParams.invalidCursor") from None
    elif key == "count":
        query.counts = value == "true"
    elif key == "sort":
        query.sort = [_sort_key(word, resource) for word in value.split(",") if word]
    elif key == "include":
        query.include = [w for w in value.split(",") if w]
    elif key.startswith("fields["):
        type_ = key[7:-1]
        names = [n for n in value.split(",") if n]
        known = {**resource.attributes, **resource.to_one, **resource.links}
        if type_ == resource.type and (unknown := [n for n in names if n not in known and n != "id"]):
            raise BadQuery(f"Unknown field '{unknown[0]}'.", "fieldsParameter.unknownResourceField")
        query.fields[type_] = names


def _number(value: str, key: str, low: int, high: int) -> int:
    if not value.isdigit() or not low <= int(value) <= high:
        raise BadQuery(f"{key} must lie between {low} and {high}", "permittedParams.invalidValue")
    return int(value)


def _sort_key(word: str, resource: Resource) -> tuple[str, bool]:
    name = word.lstrip("-")
    attribute = resource.attributes.get(name)
    if attribute is None or not attribute.is_sortable:
        raise BadQuery(f"'{name}' is not sortable.")
    return name, not word.startswith("-")


def _require_filterable(resource: Resource, name: str) -> None:
    attribute = resource.attributes.get(name)
    if name != "id" and (attribute is None or not attribute.is_filterable):
        raise BadQuery(f"'{name}' is not filterable.")


def _add_filter(query: Query, resource: Resource, tables: dict[str, Table], parts: list[str], value: str, is_new: bool) -> None:
    query.is_filtered = True
    if len(parts) == 2 and is_new and parts[1] in ("gte", "lte", "gt", "lt"):
        _require_filterable(resource, parts[0])
        _add_bound(query, parts[0], parts[1], value)
    elif len(parts) == 2:
        _add_list(query, resource, tables, parts, value.split(","))
    elif parts[0] == "q":
        _add_prefix(query, value)
    else:
        _add_plain(query, resource, tables, parts[0], value, is_new)


def _add_plain(query: Query, resource: Resource, tables: dict[str, Table], name: str, value: str, is_new: bool) -> None:
    _require_filterable(resource, name)
    if value in ("__null__", "__notnull__"):
        wanted = value == "__null__"
        query.predicates.append(lambda r: (r.get(name) in (None, "", [])) == wanted)
    elif ".." in value and not is_new:
        low, high = value.split("..", 1)
        if low not in ("neginf", ""):
            _add_bound(query, name, "gte", low)
        if high not in ("inf", ""):
            _add_bound(query, name, "lte", high)
    else:
        _add_list(query, resource, tables, [name], [value] if is_new else value.split(","))


def _add_prefix(query: Query, value: str) -> None:
    wanted = value.lower()
    query.predicates.append(
        lambda r: any(str(r.get(n) or "").lower().startswith(wanted) for n in ("name", "firstName", "lastName", "domain"))
    )


def _add_bound(query: Query, name: str, bound: str, value: str) -> None:
    limit: Any = show_instant(value) if name.endswith("At") else float(value)
    tests: dict[str, Predicate] = {
        "gte": lambda r: r.get(name) is not None and r[name] >= limit,
        "lte": lambda r: r.get(name) is not None and r[name] <= limit,
        "gt": lambda r: r.get(name) is not None and r[name] > limit,
        "lt": lambda r: r.get(name) is not None and r[name] < limit,
    }
    query.predicates.append(tests[bound])
    if name == "updatedAt" and bound in ("gte", "gt"):
        query.since = limit


def show_instant(text: str) -> str:
    """Returns the instant as records hold it, so that texts compare as times. Raises BadQuery."""
    try:
        at = datetime.fromisoformat(text.replace("Z", "+00:00"))
    except ValueError:
        raise BadQuery(f"{text[:40]!r} is not a date", "permittedParams.invalidValue") from None
    at = at if at.tzinfo else at.replace(tzinfo=UTC)
    return at.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _add_list(query: Query, resource: Resource, tables: dict[str, Table], parts: list[str], values: list[str]) -> None:
    """Adds "has one of these values", of an attribute or of a related record."""
    query.is_filtered = True
    table = tables[resource.collection]
    if len(parts) == 2:
        relation, name = parts
        if name not in RELATION_FILTERS.get(resource.collection, {}).get(relation, ()):
            raise BadQuery(f"'{relation}.{name}' is not filterable.")
        other = tables[_collection_of(resource.to_one[relation])]
        ids = other.having(name, [int(v) if name == "id" and v.isdigit() else v for v in values])
        if name == "id":
            ids = {int(v) for v in values if v.isdigit()}
        found = ids if ids is not None else {i for i, r in other.records.items() if str(r.get(name)) in values}
        query.narrow(table.having(relation, list(found)))
        query.predicates.append(lambda r: r.get(relation) in found)
        return
    name = parts[0]
    _require_filterable(resource, name)
    if name == "id":
        wanted_ids = {int(v) for v in values if v.isdigit()}
        query.by_id = True
        query.narrow(wanted_ids)
        query.predicates.append(lambda r: r["id"] in wanted_ids)
    elif name == "emails":
        wanted = {v.lower() for v in values}
        query.narrow(table.having(name, values))
        query.predicates.append(lambda r: any(str(e).lower() in wanted for e in r.get("emails") or ()))
    else:
        exact = set(values)
        query.narrow(table.having(name, values))
        query.predicates.append(lambda r: _text(r.get(name)) in exact)


def _text(value: Any) -> str | None:
    if isinstance(value, bool):
        return str(value).lower()
    return None if value is None else str(value)


def _collection_of(type_: str) -> str:
    return next(r.collection for r in RESOURCES.values() if r.type == type_)

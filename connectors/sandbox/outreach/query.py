"""Collection queries of the played Outreach: filters in all their forms, sort, and paging by cursor or offset."""

from __future__ import annotations

import base64
import math
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any
from urllib.parse import parse_qsl

from connectors.sandbox.outreach.schema import BY_TYPE, RELATION_FILTERS, Resource
from connectors.sandbox.outreach.table import Record, Table
from connectors.sandbox.wire import read_id, read_json

Predicate = Callable[[Record], bool]
_FILTER = re.compile(r"^filter((?:\[[^\]]*\])+)$")
_FIELDS = re.compile(r"^fields\[([^\]]*)\]$")
BOUNDS = ("gte", "lte", "gt", "lt")
PREFIXED = {"account": ("name", "domain"), "prospect": ("firstName", "lastName")}  # what filter[q] looks at


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
    before: list[Any] | None = None
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
    cursors: dict[str, str] = {}
    lists: dict[tuple[str, ...], list[str]] = {}
    for key, value in pairs:
        match = _FILTER.match(key)
        if match:
            parts = tuple(re.findall(r"\[([^\]]*)\]", match[1]))
            if is_new and parts[-1] == "" and len(parts) > 1:
                lists.setdefault(parts[:-1], []).append(value)
            else:
                _add_filter(query, resource, tables, parts, value, is_new)
        elif key in ("page[after]", "page[before]"):
            query.has_page, cursors[key] = True, value
        else:
            _add_parameter(query, resource, key, value)
    for parts, values in lists.items():
        _add_filter(query, resource, tables, parts, values, is_new)
    _add_cursors(query, resource, cursors)
    return query


def _add_parameter(query: Query, resource: Resource, key: str, value: str) -> None:
    query.has_page = query.has_page or key.startswith("page[")
    if key == "page[size]":
        query.size = _number(value, key, 1, 1000)
    elif key == "page[limit]":
        query.size, query.offset = _number(value, key, 1, 1000), query.offset or 0
    elif key == "page[offset]":
        query.offset = _number(value, key, 0, 10000)
    elif key == "count":
        query.counts = value == "true"
    elif key == "sort":
        query.sort = [_sort_key(word, resource) for word in value.split(",") if word]
    elif key == "include":
        query.include = [w for w in value.split(",") if w]
    elif key.startswith("fields"):
        match = _FIELDS.match(key)
        _add_fields(query, match[1] if match else key, [n for n in value.split(",") if n])
    elif key.startswith("filter"):
        raise BadQuery(f"'{key[:60]}' cannot be read.")


def _add_fields(query: Query, type_: str, names: list[str]) -> None:
    """Adds the sparse fields of one type: its name is the singular. Raises BadQuery."""
    kind = BY_TYPE.get(type_)
    if kind is None:
        raise BadQuery(f"Unknown resource '{type_[:60]}'.", "fieldsParameter.unknownResourceField")
    known = {**kind.attributes, **kind.to_one, **kind.links, "id": ""}
    if unknown := [n for n in names if n not in known]:
        raise BadQuery(f"Unknown field '{unknown[0][:60]}'.", "fieldsParameter.unknownResourceField")
    query.fields[type_] = names


def _add_cursors(query: Query, resource: Resource, cursors: dict[str, str]) -> None:
    """Adds `page[after]` or `page[before]`, once the sort is known that their values belong to. Raises BadQuery."""
    if len(cursors) > 1:
        raise BadQuery("page[after] and page[before] exclude each other", "permittedParams.invalidCursor")
    names = [name for name, _ in query.sort or [("id", True)]]
    for key, text in cursors.items():
        try:
            cursor = read_json(base64.urlsafe_b64decode(text.encode()))
        except ValueError:
            cursor = None
        fits = isinstance(cursor, list) and len(cursor) == len(names) + 1 and cursor[-1] is not None
        if not fits or not all(_is_value_of(resource, n, v) for n, v in zip([*names, "id"], cursor, strict=True)):
            raise BadQuery(f"{key} is not a cursor", "permittedParams.invalidCursor")
        if key == "page[after]":
            query.after = cursor
        else:
            query.before = cursor


def _is_value_of(resource: Resource, name: str, value: Any) -> bool:
    """Tells whether a value can stand beside those of an attribute in a sort."""
    if value is None:
        return name != "id"
    type_ = "integer" if name == "id" else resource.attributes[name].type
    if type_ == "boolean":
        return isinstance(value, bool)
    return isinstance(value, int | float) if type_ in ("integer", "number") else isinstance(value, str)


def _number(value: str, key: str, low: int, high: int) -> int:
    number = read_id(value)
    if number is None or not low <= number <= high:
        raise BadQuery(f"{key} must lie between {low} and {high}", "permittedParams.invalidValue")
    return number


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


def _add_filter(
    query: Query, resource: Resource, tables: dict[str, Table], parts: tuple[str, ...], value: str | list[str], is_new: bool
) -> None:
    """Adds one filter: `[name]`, `[name][gte]` of the new syntax, or either behind a `[relationship]`. A list is "one of"."""
    query.is_filtered = True
    name, *rest = parts
    if name in resource.to_one and rest:
        _add_related(query, resource, tables, name, tuple(rest), value, is_new)
        return
    if parts == ("q",) and isinstance(value, str):
        _add_prefix(query, resource, value)
        return
    _require_filterable(resource, name)
    _add_value_filter(query, resource, tables[resource.collection], parts, value, is_new)


def _add_value_filter(query: Query, resource: Resource, table: Table, parts: tuple[str, ...], value: str | list[str], is_new: bool) -> None:
    name = parts[0]
    if isinstance(value, list) and len(parts) == 1:
        _add_list(query, resource, table, name, value)
    elif isinstance(value, str) and len(parts) == 2 and is_new and parts[1] in BOUNDS:
        _add_bound(query, resource, name, parts[1], value)
    elif isinstance(value, str) and len(parts) == 1:
        _add_plain(query, resource, table, name, value, is_new)
    else:
        raise BadQuery(f"'{'.'.join(parts)[:60]}' is not filterable.")


def _add_plain(query: Query, resource: Resource, table: Table, name: str, value: str, is_new: bool) -> None:
    if value in ("__null__", "__notnull__"):
        wanted = value == "__null__"
        query.predicates.append(lambda r: (r.get(name) in (None, "", [])) == wanted)
    elif ".." in value and not is_new:
        low, high = value.split("..", 1)
        if low not in ("neginf", ""):
            _add_bound(query, resource, name, "gte", low)
        if high not in ("inf", ""):
            _add_bound(query, resource, name, "lte", high)
    else:
        _add_list(query, resource, table, name, [value] if is_new else value.split(","))


def _add_related(
    query: Query, resource: Resource, tables: dict[str, Table], relation: str, parts: tuple[str, ...], value: str | list[str], is_new: bool
) -> None:
    """Adds a filter on a related record: the ids of those it finds, then the records that point at one of them."""
    allowed = RELATION_FILTERS.get(resource.collection, {}).get(relation, ())
    other = BY_TYPE.get(resource.to_one[relation])
    if other is None or (parts[0] not in allowed and "*" not in allowed):
        raise BadQuery(f"'{relation}.{parts[0][:60]}' is not filterable.")
    if parts[0] not in allowed:
        _require_filterable(other, parts[0])
    table, inner = tables[other.collection], Query()
    _add_value_filter(inner, other, table, parts, value, is_new)
    ids = table.ids if inner.candidates is None else [i for i in inner.candidates if i in table.records]
    found = {i for i in ids if all(fits(table.records[i]) for fits in inner.predicates)}
    query.narrow(tables[resource.collection].having(relation, list(found)))
    query.predicates.append(lambda r: r.get(relation) in found)


def _add_prefix(query: Query, resource: Resource, value: str) -> None:
    names = PREFIXED.get(resource.type)
    if names is None:
        raise BadQuery("'q' is not filterable.")
    wanted = value.lower()
    query.predicates.append(lambda r: any(str(r.get(n) or "").lower().startswith(wanted) for n in names))


def _add_bound(query: Query, resource: Resource, name: str, bound: str, value: str) -> None:
    limit = _limit(resource, name, value)
    tests: dict[str, Predicate] = {
        "gte": lambda r: r.get(name) is not None and r[name] >= limit,
        "lte": lambda r: r.get(name) is not None and r[name] <= limit,
        "gt": lambda r: r.get(name) is not None and r[name] > limit,
        "lt": lambda r: r.get(name) is not None and r[name] < limit,
    }
    query.predicates.append(tests[bound])
    if name == "updatedAt" and bound in ("gte", "gt"):
        query.since = limit


def _limit(resource: Resource, name: str, value: str) -> Any:
    """Returns the end of a range as records hold it. Raises BadQuery: texts have no ranges."""
    type_ = "integer" if name == "id" else resource.attributes[name].type
    if type_ in ("datetime", "date"):
        return show_instant(value)
    try:
        limit = float(value) if type_ in ("integer", "number") else math.nan
    except ValueError:
        limit = math.nan
    if not math.isfinite(limit):
        raise BadQuery(f"{value[:40]!r} is no end of a range of '{name}'.", "permittedParams.invalidValue")
    return limit


def show_instant(text: str) -> str:
    """Returns the instant as records hold it, so that texts compare as times. Raises BadQuery."""
    try:
        at = datetime.fromisoformat(text.replace("Z", "+00:00"))
        at = (at if at.tzinfo else at.replace(tzinfo=UTC)).astimezone(UTC)
    except (ValueError, OverflowError):
        raise BadQuery(f"{text[:40]!r} is not a date", "permittedParams.invalidValue") from None
    return at.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _add_list(query: Query, resource: Resource, table: Table, name: str, values: list[str]) -> None:
    """Adds "has one of these values"."""
    if name == "id":
        wanted_ids = {id_ for v in values if (id_ := read_id(v.strip())) is not None}
        query.by_id = True
        query.narrow(wanted_ids)
        query.predicates.append(lambda r: r["id"] in wanted_ids)
    elif resource.attributes[name].type == "array":
        wanted = {v.lower() for v in values}
        query.narrow(table.having(name, values))
        query.predicates.append(lambda r: any(str(e).lower() in wanted for e in r.get(name) or ()))
    elif resource.attributes[name].type == "datetime":
        instants = {show_instant(v) for v in values}
        query.predicates.append(lambda r: r.get(name) in instants)
    else:
        exact = set(values)
        query.narrow(table.having(name, values))
        query.predicates.append(lambda r: _text(r.get(name)) in exact)


def _text(value: Any) -> str | None:
    if isinstance(value, bool):
        return str(value).lower()
    return None if value is None else str(value)

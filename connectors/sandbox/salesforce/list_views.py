"""List views: what there is, the query behind each, and its rows as people see them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from connectors.sandbox.salesforce import ids, soql_run
from connectors.sandbox.salesforce.calls import Answer, Call, method_not_allowed
from connectors.sandbox.salesforce.records import Records
from connectors.sandbox.salesforce.refusal import not_found
from connectors.sandbox.salesforce.schema import Field, SObject
from connectors.sandbox.salesforce.soql_parser import Comparison, Condition, Group, InList, InQuery, Not, Value, parse, parse_condition
from connectors.sandbox.salesforce.values import read_instant

PREFIX = "00B"
HIDDEN = ("Id", "CreatedDate", "LastModifiedDate", "SystemModstamp")
COLUMNS = {
    "Account": ("Name", "Site", "Phone", "Owner.Name"),
    "Contact": ("Name", "Account.Name", "Title", "Phone", "Email"),
    "Lead": ("Name", "Company", "Email", "Status"),
}
OPERATORS = {"=": "equals", "!=": "notEqual", "<": "lessThan", "<=": "lessThanOrEqualTo", ">": "greaterThan",
             ">=": "greaterThanOrEqualTo", "LIKE": "like"}  # fmt: skip


@dataclass(frozen=True, slots=True)
class ListView:
    """One list view. `scope` is mine or everything; `where` a condition, '' for none."""

    id: str
    object_name: str
    name: str
    label: str
    scope: str
    where: str = ""


def views_of(records: Records) -> dict[str, ListView]:
    """Returns all list views by id: all and my own of each object, and those of the switch."""
    found: list[ListView] = []
    for name in COLUMNS:
        plural = records.tables[name].object.plural
        for scope, which in (("everything", "All"), ("mine", "My")):
            found.append(ListView(_id(len(found)), name, f"{which}{plural}", f"{which} {plural}", scope))
    for given in records.switches.list_views:
        found.append(ListView(_id(len(found)), given["object"], given["name"], given["label"], given["scope"], given["where"]))
    return {view.id: view for view in found}


def _id(index: int) -> str:
    return ids.make(PREFIX, index + 1)


def query_of(view: ListView, object_: SObject) -> str:
    """Returns the query of a view, as its describe shows it."""
    columns = [c.lower() for c in (*_columns(object_), *HIDDEN)]
    where = f" WHERE {view.where}" if view.where else ""
    order = "ORDER BY Name ASC NULLS FIRST, Id ASC NULLS FIRST"
    return f"SELECT {', '.join(columns)} FROM {view.object_name} USING SCOPE {view.scope}{where} {order}"


def _columns(object_: SObject) -> list[str]:
    """Returns the columns that people see, without fields that are hidden from the user."""
    return [c for c in COLUMNS[object_.name] if (c.split(".")[0] + "Id" if "." in c else c) in object_.fields]


class ListViews:
    """Answers `/sobjects/Contact/listviews/…`."""

    def __init__(self, records: Records) -> None:
        self._records = records

    def answer(self, call: Call, object_: SObject) -> Answer:
        """Answers a call. Raises Refused."""
        if not call.reads:
            raise method_not_allowed(call, "HEAD", "GET")
        if object_.name not in COLUMNS:
            raise not_found()
        rest = call.parts[3:]
        own = {id_: v for id_, v in views_of(self._records).items() if v.object_name == object_.name}
        base = f"{call.root}/sobjects/{object_.name}/listviews"
        if not rest:
            return Answer(200, self._list(list(own.values()), object_, base))
        view = own.get(ids.read(rest[0]) or "")
        if view is None:
            raise not_found()
        if len(rest) == 1:
            return Answer(200, _entry(view, base))
        if rest[1:] == ("describe",):
            return Answer(200, self._describe(view, object_))
        if rest[1:] == ("results",):
            return Answer(200, self._results(call, view, object_))
        raise not_found()

    @staticmethod
    def _list(views: list[ListView], object_: SObject, base: str) -> dict[str, Any]:
        entries = [_entry(view, base) for view in views]
        return {"done": True, "listviews": entries, "nextRecordsUrl": None, "size": len(entries), "sobjectType": object_.name}

    @staticmethod
    def _describe(view: ListView, object_: SObject) -> dict[str, Any]:
        orders = [{"fieldNameOrPath": n, "nullsPosition": "first", "sortDirection": "ascending"} for n in ("Name", "Id")]
        return {
            "columns": _describe_columns(object_),
            "id": view.id[: ids.SHORT],
            "orderBy": orders,
            "query": query_of(view, object_),
            "relatedEntityId": None,
            "scope": view.scope,
            "scopeEntityId": None,
            "sobjectType": object_.name,
            "whereCondition": _where(parse_condition(view.where)) if view.where else None,
        }

    def _results(self, call: Call, view: ListView, object_: SObject) -> dict[str, Any]:
        """Returns the rows as people see them, from `offset` on."""
        limit, offset = call.number("limit", 25, 1, 2000), call.number("offset", 0, 0, 2000)
        selection = soql_run.select(self._records, parse(query_of(view, object_)), user=call.writer.user)
        seen = self._records.view(call.writer.user)
        rows = []
        for id_ in selection.ids[offset : offset + limit]:
            values = soql_run.values(selection, seen, id_) or []
            columns = [{"fieldNameOrPath": c.name, "value": _display(c.field, v)} for c, v in zip(selection.columns, values, strict=True)]
            rows.append({"columns": columns})
        return {
            "columns": _describe_columns(object_),
            "developerName": view.name,
            "done": offset + limit >= len(selection.ids),
            "id": view.id,
            "label": view.label,
            "records": rows,
            "size": len(rows),
        }


def _entry(view: ListView, base: str) -> dict[str, Any]:
    url = f"{base}/{view.id}"
    return {
        "describeUrl": f"{url}/describe",
        "developerName": view.name,
        "id": view.id,
        "label": view.label,
        "resultsUrl": f"{url}/results",
        "soqlCompatible": True,
        "url": url,
    }


def _describe_columns(object_: SObject) -> list[dict[str, Any]]:
    return [_column(object_, name, is_hidden=False) for name in _columns(object_)] + [
        _column(object_, name, is_hidden=True) for name in HIDDEN
    ]


def _column(object_: SObject, name: str, *, is_hidden: bool) -> dict[str, Any]:
    field = object_.fields.get(name)
    sort_index = {"Name": 0, "Id": 1}.get(name)
    return {
        "ascendingLabel": None if is_hidden else "Z-A",
        "descendingLabel": None if is_hidden else "A-Z",
        "fieldNameOrPath": name,
        "hidden": is_hidden,
        "label": f"{object_.label} ID" if name == "Id" else field.label if field else f"{name.split('.')[0]} Name",
        "selectListItem": name,
        "sortDirection": "ascending" if name == "Name" else None,
        "sortIndex": sort_index if name == "Name" else None,
        "sortable": not is_hidden,
        "type": field.type if field else "string",
    }


def _display(field: Field, value: Any) -> str | None:
    """Returns a value as people read it: not to be read by programs."""
    if value is None:
        return None
    at = read_instant(value) if field.type == "datetime" else None
    if at is not None:
        return f"{at:%a %b %d %H:%M:%S} GMT {at:%Y}"
    return str(value).lower() if isinstance(value, bool) else str(value)


def _where(condition: Condition) -> dict[str, Any]:
    """Returns a condition as `whereCondition` shows it."""
    if isinstance(condition, Group):
        return {"conditions": [_where(part) for part in condition.parts], "conjunction": condition.word.lower()}
    if isinstance(condition, Not):
        return {"condition": _where(condition.part)}
    if isinstance(condition, InQuery):
        return {
            "field": condition.path.text,
            "operator": "notIn" if condition.is_negated else "in",
            "subQuery": condition.query.object_name,
        }
    if isinstance(condition, InList):
        values = [_shown(value) for value in condition.values]
        return {"field": condition.path.text, "operator": "notIn" if condition.is_negated else "in", "values": values}
    assert isinstance(condition, Comparison)
    return {"field": condition.path.text, "operator": OPERATORS[condition.operator], "values": [_shown(condition.value)]}


def _shown(value: Value) -> str:
    if value.kind == "null":
        return "null"
    if value.kind == "pattern":
        return value.written
    return f"'{value.text}'" if value.kind == "string" else value.text

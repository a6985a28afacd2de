"""Answers queries that were read: names looked up in the describe, conditions as functions of a row, rows by index."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from connectors.sandbox.salesforce import files, ids, soql_dates
from connectors.sandbox.salesforce.cells import blob_address, value_of
from connectors.sandbox.salesforce.records import Records, View
from connectors.sandbox.salesforce.schema import BY_PREFIX, NAME, NUMBERS, Field, SObject
from connectors.sandbox.salesforce.soql_parser import Comparison, Condition, Fields, Group, InList, InQuery, Not, Order, Path, Query, Value
from connectors.sandbox.salesforce.soql_tokens import refused
from connectors.sandbox.salesforce.table import Row, Table
from connectors.sandbox.salesforce.values import read_date, read_instant, show_instant

DEEPEST = 5  # relations of a path
Test = Callable[[Row], bool]
CUSTOM_COLUMN = (
    " If you are attempting to use a custom field, be sure to append the '__c' after the custom field name. "
    "Please reference your WSDL or the describe call for the appropriate names."
)
CUSTOM_RELATION = (
    " If you are attempting to use a custom relationship, be sure to append the '__r' after the custom relationship name. "
    "Please reference your WSDL or the describe call for the appropriate names."
)


@dataclass(frozen=True, slots=True)
class Column:
    """What a path leads to: the lookups on the way, and the field at its end with its object."""

    hops: tuple[Field, ...]
    object: SObject
    field: Field

    @property
    def name(self) -> str:
        return ".".join([*(h.relationship for h in self.hops), self.field.name])


@dataclass(frozen=True, slots=True)
class Plan:
    """Ids among which all matches are: how many, and how to come by them."""

    size: int
    ids: Callable[[], Iterable[str]]


@dataclass(frozen=True, slots=True)
class Selection:
    """A query bound to the schema, with the ids it found, in order."""

    query: Query
    object: SObject
    columns: tuple[Column, ...]
    ids: list[str]
    sees_deleted: bool


def select(records: Records, query: Query, *, user: str, sees_deleted: bool = False) -> Selection:
    """Returns what a query finds. Raises Refused for names and values that do not fit."""
    run = _Run(records, query.statement, user, sees_deleted)
    object_ = run.object_of(query)
    if object_.name == "ContentDocumentLink":
        files.check_query(query)
    columns = run.columns(query, object_)
    return Selection(query, object_, columns, run.found(query, object_), sees_deleted)


def compiled(records: Records, object_: SObject, statement: str, condition: Condition, user: str) -> Test:
    """Returns a condition as a function of a row, whatever the user may see of it. Raises Refused."""
    return _Run(records, statement, user, False, is_system=True).test(object_, condition)


def project(selection: Selection, view: View, id_: str, root: str) -> dict[str, Any] | None:
    """Returns one row of an answer, None when it has gone since. `root` is `/services/data/v67.0`."""
    row = view.row(selection.object.name, id_)
    if row is None or (row.get("IsDeleted") and not selection.sees_deleted):
        return None
    return _nested(selection, view, row, root)


def values(selection: Selection, view: View, id_: str) -> list[Any] | None:
    """Returns the values of a row in the order of the query's columns, None when it has gone since."""
    row = view.row(selection.object.name, id_)
    if row is None or (row.get("IsDeleted") and not selection.sees_deleted):
        return None
    return [_value(view, selection.sees_deleted, column, row) for column in selection.columns]


def _nested(selection: Selection, view: View, row: Row, root: str) -> dict[str, Any]:
    shown: dict[str, Any] = {"attributes": _attributes(selection.object.name, row, root)}
    for column in selection.columns:
        _place(shown, column, view, selection.sees_deleted, row, root)
    return shown


def _place(shown: dict[str, Any], column: Column, view: View, sees_deleted: bool, row: Row, root: str) -> None:
    """Puts a column's value into the object of its last parent, which is made when it is not there yet."""
    at, present = shown, row
    for hop in column.hops:
        parent = _parent(view, sees_deleted, hop, present)
        if parent is None:
            at[hop.relationship] = None
            return
        if at.get(hop.relationship) is None:
            own = _attributes(parent[0], parent[1], root)
            at[hop.relationship] = {"attributes": {**own, "type": "Name"} if len(hop.references) > 1 else own}
        at, present = at[hop.relationship], parent[1]
    is_blob = column.field.type == "base64"
    at[column.field.name] = blob_address(root, column.object.name, present, column.field) if is_blob else _end(column, present)


def _attributes(object_name: str, row: Row, root: str) -> dict[str, Any]:
    return {"type": object_name, "url": f"{root}/sobjects/{object_name}/{row['Id']}"}


def _parent(view: View, sees_deleted: bool, hop: Field, row: Row) -> tuple[str, Row] | None:
    """Returns the object and row that a lookup leads to."""
    id_ = row.get(hop.name)
    target = BY_PREFIX.get(id_[:3]) if id_ else None
    parent = view.row(target.name, str(id_)) if target else None
    if target is None or parent is None or (parent.get("IsDeleted") and not sees_deleted):
        return None
    return target.name, parent


def _value(view: View, sees_deleted: bool, column: Column, row: Row) -> Any:
    present = row
    for hop in column.hops:
        parent = _parent(view, sees_deleted, hop, present)
        if parent is None:
            return False if column.field.type == "boolean" else None
        present = parent[1]
    return _end(column, present)


def _end(column: Column, row: Row) -> Any:
    if column.object is NAME and column.field.name == "Type":
        return BY_PREFIX[row["Id"][:3]].name
    return value_of(column.field, row)


class _Run:
    """One query on its way."""

    def __init__(self, records: Records, statement: str, user: str, sees_deleted: bool, *, is_system: bool = False) -> None:
        self._records, self._statement, self._user, self._sees_deleted = records, statement, user, sees_deleted
        self._view = records.view("" if is_system else user)
        zone = records.tables["User"].rows.get(user, {}).get("TimeZoneSidKey", "UTC")
        self._zone = soql_dates.zone_of(str(zone))
        self._joins: dict[InQuery, set[Any]] = {}

    # --- names --------------------------------------------------------------------------------------------------------
    def object_of(self, query: Query) -> SObject:
        object_ = self._records.schema.find(query.object_name)
        if object_ is None:
            told = f"sObject type '{query.object_name}' is not supported.{CUSTOM_COLUMN.replace('field', 'object')}"
            raise refused(self._statement, query.object_at, "INVALID_TYPE", told)
        return object_

    def columns(self, query: Query, object_: SObject) -> tuple[Column, ...]:
        """Returns the columns of the select list. Raises Refused, also for one that comes twice."""
        found: dict[str, Column] = {}
        for item in query.items:
            for column in self._named(object_, item):
                if column.name in found:
                    raise refused(self._statement, item.at, "INVALID_FIELD", f"duplicate field selected: {column.name}")
                found[column.name] = column
        return tuple(found.values())

    def _named(self, object_: SObject, item: Path | Fields) -> Iterator[Column]:
        if isinstance(item, Path):
            yield self._column(object_, item)
            return
        for field in object_.fields.values():
            if item.kind == "ALL" or field.is_custom == (item.kind == "CUSTOM"):
                yield Column((), object_, field)

    def _column(self, object_: SObject, path: Path) -> Column:
        hops: list[Field] = []
        present = object_
        if len(path.names) > DEEPEST + 1:
            raise refused(self._statement, path.at, "INVALID_FIELD", f"a path has at most {DEEPEST} relationships")
        for name in path.names[:-1]:
            hop = present.relations.get(name.lower())
            target = None if hop is None else self._target(hop)
            if hop is None or target is None:
                told = f"Didn't understand relationship '{name}' in field path.{CUSTOM_RELATION}"
                raise refused(self._statement, path.at, "INVALID_FIELD", told)
            hops.append(hop)
            present = target
        field = present.by_lower.get(path.names[-1].lower())
        if field is None:
            told = f"No such column '{path.names[-1]}' on entity '{present.name}'.{CUSTOM_COLUMN}"
            raise refused(self._statement, path.at, "INVALID_FIELD", told)
        return Column(tuple(hops), present, field)

    def _target(self, hop: Field) -> SObject | None:
        return NAME if len(hop.references) > 1 else self._records.schema.objects.get(hop.references[0])

    # --- rows ---------------------------------------------------------------------------------------------------------
    def found(self, query: Query, object_: SObject) -> list[str]:
        """Returns the ids that a query finds, in its order, within its limit and offset."""
        tests = [self.test(object_, query.where)] if query.where is not None else []
        if query.scope == "mine" and "OwnerId" in object_.fields:
            tests.append(lambda row: row.get("OwnerId") == self._user)
        keys = [(order, self._column(object_, order.path)) for order in query.orders]
        for order, column in keys:
            if not column.field.is_filterable:
                self._refuse_field(order.path, column, "sorted")
        rows = [row for row in self._rows(object_, query.where) if all(test(row) for test in tests)]
        for order, column in reversed(keys):
            self._sort(rows, order, column)
        last = None if query.limit is None else query.offset + query.limit
        return [row["Id"] for row in rows[query.offset : last]]

    def _rows(self, object_: SObject, where: Condition | None) -> Iterator[Row]:
        table = self._records.tables[object_.name]
        plan = None if where is None else self._plan(object_, table, where)
        found: Iterable[str] = list(table.rows)
        if plan is not None:
            found = dict.fromkeys([*plan.ids(), *table.open_ids(self._view.now)])
        for id_ in found:
            row = self._view.row(object_.name, id_)
            if row is not None and (self._sees_deleted or not (row.get("IsDeleted") or row.get("IsArchived"))):
                yield row

    def _sort(self, rows: list[Row], order: Order, column: Column) -> None:
        """Sorts by one key; the sort keeps what was sorted before among equals."""

        def key(row: Row) -> tuple[bool, Any]:
            value = _value(self._view, self._sees_deleted, column, row)
            comes_last = (value is None) != (order.are_nulls_first != order.is_descending)
            return comes_last, "" if value is None else _folded(column.field, value)

        rows.sort(key=key, reverse=order.is_descending)

    # --- conditions ---------------------------------------------------------------------------------------------------
    def test(self, object_: SObject, condition: Condition) -> Test:
        """Returns a condition as a function of a row. Raises Refused for names and values that do not fit."""
        if isinstance(condition, Group):
            parts = [self.test(object_, part) for part in condition.parts]
            if condition.word == "AND":
                return lambda row: all(part(row) for part in parts)
            return lambda row: any(part(row) for part in parts)
        if isinstance(condition, Not):
            negated = self.test(object_, condition.part)
            return lambda row: not negated(row)
        column = self._column(object_, condition.path)
        if not column.field.is_filterable:
            self._refuse_field(condition.path, column, "filtered")
        if isinstance(condition, Comparison):
            return self._comparison(column, condition)
        allowed = self._joined(column, condition) if isinstance(condition, InQuery) else self._listed(column, condition)
        get, is_negated = self._getter(column), condition.is_negated
        return lambda row: (get(row) in allowed) != is_negated

    def _refuse_field(self, path: Path, column: Column, done: str) -> None:
        told = f"field '{column.field.name}' can not be {done} in a query call"
        raise refused(self._statement, path.at, "INVALID_FIELD", told)

    def _getter(self, column: Column) -> Callable[[Row], Any]:
        """Returns the value of a column as it is compared: text without regard to case."""
        field, view, sees_deleted = column.field, self._view, self._sees_deleted
        name = field.name
        if column.hops or column.object is NAME or field.type == "boolean":
            return lambda row: _folded(field, _value(view, sees_deleted, column, row))
        if field.is_text:
            return lambda row: value.casefold() if (value := row.get(name)) is not None else None
        return lambda row: row.get(name)

    def _listed(self, column: Column, condition: InList) -> set[Any]:
        return {self._plain(column, value) for value in condition.values}

    def _joined(self, column: Column, condition: InQuery) -> set[Any]:
        """Returns the ids that the inner query finds. Both sides are ids or lookups."""
        if condition not in self._joins:
            self._joins[condition] = self._join(column, condition)
        return self._joins[condition]

    def _join(self, column: Column, condition: InQuery) -> set[Any]:
        query = condition.query
        object_ = self.object_of(query)
        item = query.items[0]
        inner = self._column(object_, item) if isinstance(item, Path) else None
        if inner is None or inner.hops or column.hops or {inner.field.type, column.field.type} - {"id", "reference"}:
            told = "The inner and outer selects of a semi join must be ids or lookups of the object itself"
            raise refused(self._statement, condition.path.at, "MALFORMED_QUERY", told)
        rows = (self._view.row(object_.name, id_) for id_ in self.found(query, object_))
        return {row.get(inner.field.name) for row in rows if row is not None} - {None}

    def _comparison(self, column: Column, condition: Comparison) -> Test:
        operator, value, field = condition.operator, condition.value, column.field
        get = self._getter(column)
        if operator == "LIKE":
            return self._like(column, condition)
        if operator not in ("=", "!=") and (field.type == "boolean" or value.kind == "null"):
            self._refuse_operator(condition)
        if value.kind == "literal":
            return self._in_days(column, condition)
        wanted = self._plain(column, value)
        if operator == "=":
            return lambda row: bool(get(row) == wanted)
        if operator == "!=":
            return lambda row: bool(get(row) != wanted)
        comparisons: dict[str, Callable[[Any], Any]] = {
            "<": lambda a: a < wanted,
            "<=": lambda a: a <= wanted,
            ">": lambda a: a > wanted,
            ">=": lambda a: a >= wanted,
        }
        compare = comparisons[operator]
        return lambda row: (present := get(row)) is not None and bool(compare(present))

    def _like(self, column: Column, condition: Comparison) -> Test:
        if not column.field.is_text:
            self._refuse_operator(condition)
        pattern, view, sees_deleted = re.compile(condition.value.text, re.IGNORECASE | re.DOTALL), self._view, self._sees_deleted

        def fits(row: Row) -> bool:
            text = _value(view, sees_deleted, column, row)
            return text is not None and pattern.fullmatch(text) is not None

        return fits

    def _refuse_operator(self, condition: Comparison) -> None:
        told = f"invalid operator on {condition.path.text} field"
        raise refused(self._statement, condition.path.at, "INVALID_QUERY_FILTER_OPERATOR", told)

    def _in_days(self, column: Column, condition: Comparison) -> Test:
        """Returns the test for TODAY and its like: a literal is all of its days."""
        start, end = self._days(column, condition.value)
        get = self._getter(column)
        tests: dict[str, Callable[[Any], bool]] = {
            "=": lambda v: start <= v < end,
            "!=": lambda v: not start <= v < end,
            "<": lambda v: v < start,
            "<=": lambda v: v < end,
            ">": lambda v: v >= end,
            ">=": lambda v: v >= start,
        }
        fits, of_blank = tests[condition.operator], condition.operator == "!="
        return lambda row: fits(v) if (v := get(row)) is not None else of_blank

    def _days(self, column: Column, value: Value) -> tuple[str, str]:
        if column.field.type not in ("date", "datetime"):
            self._refuse_value(column, value)
        at = read_instant(self._view.now)
        assert at is not None
        days = soql_dates.days_of(value.text, at.astimezone(self._zone).date())
        if column.field.type == "date":
            return days[0].isoformat(), days[1].isoformat()
        start, end = (show_instant(soql_dates.instant_of(day, self._zone)) for day in days)
        return start, end

    def _plain(self, column: Column, value: Value) -> Any:
        """Returns a literal as the column's values are compared. Raises Refused for one of another type."""
        field = column.field
        if value.kind == "null":
            return False if field.type == "boolean" else None
        if field.type in ("id", "reference"):
            id_ = ids.read(value.text) if value.kind == "string" else None
            if id_ is None:
                raise refused(self._statement, value.at, "INVALID_QUERY_FILTER_OPERATOR", f"invalid ID field: {value.text[:80]}")
            return id_
        if field.is_text and value.kind == "string":
            return value.text.casefold() or None  # an empty text is stored as none
        if field.type == "boolean" and value.kind == "boolean":
            return value.text == "TRUE"
        if (field.type == "int" or field.type in NUMBERS) and value.kind == "number":
            return float(value.text)
        if field.type == "date" and value.kind == "date" and read_date(value.text):
            return value.text
        at: datetime | None = read_instant(value.text) if field.type == "datetime" and value.kind == "datetime" else None
        if at is None:
            self._refuse_value(column, value)
            raise AssertionError  # it has refused
        return show_instant(at, is_whole=False)

    def _refuse_value(self, column: Column, value: Value) -> None:
        quoted = "should be enclosed in quotes" if column.field.is_text else "should not be enclosed in quotes"
        type_ = "string" if column.field.is_text else "dateTime" if column.field.type == "datetime" else column.field.type
        told = f"value of filter criterion for field '{column.field.name}' must be of type {type_} and {quoted}"
        raise refused(self._statement, value.at, "INVALID_FIELD", told)

    # --- indexes ------------------------------------------------------------------------------------------------------
    def _plan(self, object_: SObject, table: Table, condition: Condition) -> Plan | None:
        """Returns ids among which all matches are, None when all rows must be looked at."""
        if isinstance(condition, Group):
            plans = [self._plan(object_, table, part) for part in condition.parts]
            known = [plan for plan in plans if plan is not None]
            if condition.word == "AND":
                return min(known, key=lambda plan: plan.size, default=None)
            if len(known) < len(plans):
                return None
            return Plan(sum(p.size for p in known), lambda: [i for p in known for i in p.ids()])
        if isinstance(condition, Not) or len(condition.path.names) > 1:
            return None
        column = self._column(object_, condition.path)
        if isinstance(condition, Comparison):
            return self._plan_comparison(table, column, condition)
        if condition.is_negated:
            return None
        allowed = self._joined(column, condition) if isinstance(condition, InQuery) else self._listed(column, condition)
        return None if None in allowed else _of_set(table.having(column.field.name, allowed))

    def _plan_comparison(self, table: Table, column: Column, condition: Comparison) -> Plan | None:
        if condition.value.kind in ("null", "literal", "pattern"):
            return None
        wanted = self._plain(column, condition.value)
        if column.field.name == "SystemModstamp" and condition.operator in (">", ">=", "="):
            return Plan(table.count_since(wanted), lambda: (id_ for _, id_ in table.changed_since(wanted)))
        if condition.operator == "=" and wanted is not None:
            return _of_set(table.having(column.field.name, [wanted]))
        return None


def _of_set(found: set[str] | None) -> Plan | None:
    return None if found is None else Plan(len(found), lambda: found)


def _folded(field: Field, value: Any) -> Any:
    return value.casefold() if field.is_text and isinstance(value, str) else value

"""Calls for one record: create, read, change, delete, by id or by a key field, and through a lookup."""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import datetime
from typing import Any

from connectors.sandbox.salesforce import calls, ids, series
from connectors.sandbox.salesforce.calls import BYTES, Answer, Call, http_date, last_modified, method_not_allowed
from connectors.sandbox.salesforce.cells import blob_address, shown, value_of
from connectors.sandbox.salesforce.describe import describe_global, describe_object
from connectors.sandbox.salesforce.records import Records
from connectors.sandbox.salesforce.refusal import Refused, not_found
from connectors.sandbox.salesforce.schema import BY_PREFIX, Field, SObject
from connectors.sandbox.salesforce.table import Row

ROW_METHODS = ("HEAD", "GET", "PATCH", "DELETE")
Reader = Callable[[Row], Row]


class Rows:
    """Answers everything under `/sobjects` that is no list view and no replication."""

    def __init__(self, records: Records, schema_changed_at: Callable[[], datetime]) -> None:
        self._records = records
        self._schema_changed_at = schema_changed_at

    def answer(self, call: Call) -> Answer:
        """Answers `/sobjects/…`. Raises Refused."""
        rest = call.parts[1:]
        if not rest:
            return self._described(call, lambda: describe_global(self._seen(call), call.root))
        object_ = self._records.schema.objects.get(rest[0])
        if object_ is None:
            raise not_found()
        if len(rest) == 1:
            return self._object(call, object_)
        if rest[1:] == ("describe",):
            return self._described(call, lambda: describe_object(self._seen(call), object_.name, call.root))
        if len(rest) == 2:
            return self._by_id(call, object_, rest[1])
        if len(rest) == 3:
            if ids.read(rest[1]) is not None:
                return self._under(call, object_, rest[1], rest[2])
            return self._by_key(call, object_, rest[1], rest[2])
        raise not_found()

    # --- describes ----------------------------------------------------------------------------------------------------
    def _described(self, call: Call, make: Callable[[], dict[str, Any]]) -> Answer:
        if not call.reads:
            raise method_not_allowed(call, "HEAD", "GET")
        at = self._schema_changed_at()
        headers = [("Last-Modified", http_date(at))]
        if calls.is_unchanged(call, at.replace(microsecond=0)):
            return Answer(304, None, headers)
        return Answer(200, make(), headers)

    def _seen(self, call: Call) -> Mapping[str, SObject]:
        """Returns the objects with the rights that the user's profile gives."""
        objects = self._records.schema.objects
        is_read_only = self._records.access(call.writer.user).is_read_only
        return {name: replace(object_, rights="") for name, object_ in objects.items()} if is_read_only else objects

    def _object(self, call: Call, object_: SObject) -> Answer:
        if call.reads:
            described = describe_global(self._seen(call), call.root)["sobjects"]
            return Answer(200, {"objectDescribe": next(d for d in described if d["name"] == object_.name), "recentItems": []})
        if call.method != "POST":
            raise method_not_allowed(call, "HEAD", "GET", "POST")
        row = self._records.create(object_.name, body_of(call), call.writer)
        return created(call, object_, row)

    # --- one record ---------------------------------------------------------------------------------------------------
    def _by_id(self, call: Call, object_: SObject, text: str) -> Answer:
        if call.method not in ROW_METHODS:
            raise method_not_allowed(call, *ROW_METHODS)
        id_ = ids.read(text)
        if id_ is None or id_[:3] != object_.prefix:
            raise not_found(f"Provided external ID field does not exist or is not accessible: {text[:80]}")
        row = self._existing(object_, id_, user=call.writer.user if call.reads else "")
        if call.reads:
            return self._read(call, object_, row)
        if call.method == "DELETE":
            self._records.delete(object_.name, id_, call.writer)
            return Answer(204)
        return self._change(call, object_, row)

    def _existing(self, object_: SObject, id_: str, *, user: str) -> Row:
        """Returns the record that an address names, for a user to read; for a write, "", where he learns later that he may not.
        Raises Refused, in other words where it was deleted."""
        row = self._records.seen(object_.name, id_, user)
        switches = self._records.switches
        if row is not None and not row.get("IsDeleted"):
            return row
        if row is not None:
            raise Refused(switches.deleted_status, "ENTITY_IS_DELETED", "entity is deleted", [])
        if not user and switches.unknown_row_code != "NOT_FOUND":
            raise Refused(400, switches.unknown_row_code, "invalid cross reference id", [])
        raise not_found()

    def _read(self, call: Call, object_: SObject, row: Row) -> Answer:
        at = last_modified(row)
        headers = [("Last-Modified", http_date(at))]
        if object_.name == "Account":
            headers.append(("ETag", etag(row)))
            if etag(row) in call.headers.get("if-none-match", ""):
                return Answer(304, None, headers)
        if calls.is_unchanged(call, at):
            return Answer(304, None, headers)
        return Answer(200, show_row(object_, row, call.root, fields_asked(object_, call.parameters.get("fields"))), headers)

    def _change(self, call: Call, object_: SObject, row: Row) -> Answer:
        self._check_conditions(call, object_, row)
        self._records.update(object_.name, row["Id"], body_of(call), call.writer)
        return Answer(204)

    @staticmethod
    def _check_conditions(call: Call, object_: SObject, row: Row) -> None:
        """Raises Refused for a write that comes too late."""
        calls.check_unmodified(call, last_modified(row))
        wanted = call.headers.get("if-match", "*") if object_.name == "Account" else "*"
        if wanted != "*" and etag(row) not in wanted:
            raise Refused(412, "PRECONDITION_FAILED", "The record was changed meanwhile.")

    def _under(self, call: Call, object_: SObject, text: str, name: str) -> Answer:
        """Answers `/sobjects/Event/00U…/…`: the rest of a series, the bytes of a field, the record behind a lookup."""
        if object_.name == "Event" and name == series.ONWARDS:
            return self._onwards(call, object_, text)
        if name in object_.fields and object_.fields[name].type == "base64":
            if not call.reads:
                raise method_not_allowed(call, "HEAD", "GET")
            row = self._existing(object_, ids.read(text) or "", user=call.writer.user)
            return Answer(200, base64.b64decode(row.get(name, "")), content_type=BYTES)
        return self._related(call, object_, text, name)

    def _onwards(self, call: Call, object_: SObject, text: str) -> Answer:
        """Answers a change, or the end, of an event and all that follow it in its series."""
        if call.method not in ("PATCH", "DELETE"):
            raise method_not_allowed(call, "PATCH", "DELETE")
        row = self._existing(object_, ids.read(text) or "", user="")
        if call.method == "PATCH":
            series.change_onwards(self._records, row, body_of(call), call.writer)
        else:
            series.delete_onwards(self._records, row, call.writer)
        return Answer(204)

    def _related(self, call: Call, object_: SObject, text: str, relation: str) -> Answer:
        """Answers `/sobjects/Contact/003…/Account`: the record behind a lookup."""
        if not call.reads:
            raise method_not_allowed(call, "HEAD", "GET")
        field = object_.relations.get(relation.lower())
        if field is None:
            raise not_found()
        row = self._existing(object_, ids.read(text) or "", user=call.writer.user)
        target = BY_PREFIX.get(str(row.get(field.name, ""))[:3])
        seen = self._records.schema.objects.get(target.name) if target else None
        parent = self._records.look_up(seen.name, row[field.name], call.writer.user) if seen else None
        if seen is None or parent is None:
            raise not_found()
        return self._read(call, seen, parent)

    # --- by a key -----------------------------------------------------------------------------------------------------
    def _by_key(self, call: Call, object_: SObject, name: str, value: str) -> Answer:
        """Answers reads, upserts and deletes by an external id or another key field."""
        field = key_field(object_, name)
        if call.method not in ROW_METHODS:
            raise method_not_allowed(call, *ROW_METHODS)
        found = self._records.by_key(object_.name, field, value, call.writer.user if call.reads else "")
        if len(found) > 1:
            return Answer(300, [f"{call.root}/sobjects/{object_.name}/{id_}" for id_ in found])
        row = self._records.look_up(object_.name, found[0]) if found else None
        if call.method == "PATCH":
            return self._upsert(call, object_, field, value, row)
        if row is None:
            raise not_found()
        if call.method == "DELETE":
            self._records.delete(object_.name, row["Id"], call.writer)
            return Answer(204)
        return self._read(call, object_, row)

    def _upsert(self, call: Call, object_: SObject, field: Field, value: str, row: Row | None) -> Answer:
        body = body_of(call)
        if field.name in body:
            told = f"The {field.name} field should not be specified in the sobject data."
            raise Refused(400, "INVALID_FIELD", told, [field.name])
        if row is None:
            if call.flag("updateOnly"):
                raise not_found()
            made = self._records.create(object_.name, {**body, field.name: value}, call.writer)
            return created(call, object_, made, is_upsert=True)
        self._check_conditions(call, object_, row)
        self._records.update(object_.name, row["Id"], body, call.writer)
        return Answer(200, {"id": row["Id"], "success": True, "errors": [], "created": False})


def created(call: Call, object_: SObject, row: Row, *, is_upsert: bool = False) -> Answer:
    body = {"id": row["Id"], "success": True, "errors": [], **({"created": True} if is_upsert else {})}
    return Answer(201, body, [("Location", f"{call.root}/sobjects/{object_.name}/{row['Id']}")])


def body_of(call: Call) -> dict[str, Any]:
    """Returns the fields that a body gives."""
    return {name: value for name, value in call.object().items() if name != "attributes"}


def key_field(object_: SObject, name: str) -> Field:
    """Returns the field that records are found by. Raises Refused for one that is no key."""
    field = object_.fields.get(name)
    if field is None or not field.is_key:
        raise not_found(f"Provided external ID field does not exist or is not accessible: {name[:80]}")
    return field


def fields_asked(object_: SObject, text: str | None) -> list[Field] | None:
    """Returns the fields of `?fields=Id,Email`, None when all are asked for. Raises Refused for an unknown one."""
    if not text:
        return None
    names = [name.strip() for name in text.split(",")]
    for name in names:
        if name not in object_.fields:
            raise Refused(400, "INVALID_FIELD", f"No such column '{name[:80]}' on sobject of type {object_.name}")
    return [object_.fields[name] for name in dict.fromkeys(names)]


def show_row(object_: SObject, row: Row, root: str, fields: list[Field] | None = None) -> dict[str, Any]:
    """Returns a row as JSON, with `attributes`."""
    attributes = {"type": object_.name, "url": f"{root}/sobjects/{object_.name}/{row['Id']}"}
    values = dict(shown(object_, row)) if fields is None else {f.name: value_of(f, row) for f in fields}
    for name in values:
        if object_.fields[name].type == "base64":
            values[name] = blob_address(root, object_.name, row, object_.fields[name])
    return {"attributes": attributes, **values}


def etag(row: Row) -> str:
    """Returns the entity tag of a row; only Account has one."""
    return f'"{hashlib.sha256(json.dumps(row, sort_keys=True).encode()).hexdigest()[:32]}"'

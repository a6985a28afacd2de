"""Calls for up to 200 records: each has a result of its own, in the order of the call, and the call itself is answered 200."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from itertools import groupby
from typing import Any

from connectors.sandbox.salesforce import ids
from connectors.sandbox.salesforce.calls import Answer, Call, method_not_allowed
from connectors.sandbox.salesforce.records import Records
from connectors.sandbox.salesforce.refusal import Refused, bad_json, bad_parameter, not_found
from connectors.sandbox.salesforce.rows import fields_asked, key_field, show_row
from connectors.sandbox.salesforce.schema import BY_PREFIX, Field, SObject

MOST_RECORDS, MOST_RUNS, MOST_READ = 200, 10, 2000
ROLLED_BACK = "Record rolled back because not all records were valid and the request was using AllOrNone header"
Result = dict[str, Any]


class Collections:
    """Answers everything under `/composite/sobjects`."""

    def __init__(self, records: Records) -> None:
        self._records = records

    def answer(self, call: Call) -> Answer:
        """Answers a call. Raises Refused where the call itself is wrong."""
        rest = call.parts[2:]
        if not rest:
            return self._write(call)
        object_ = self._records.schema.objects.get(rest[0])
        if object_ is None:
            raise not_found()
        if len(rest) == 1:
            return self._read(call, object_)
        if len(rest) == 2:
            return self._upsert(call, object_, key_field(object_, rest[1]))
        raise not_found()

    def _write(self, call: Call) -> Answer:
        if call.method == "DELETE":
            wanted = _id_list(call.parameters.get("ids", ""))
            return self._each(wanted, lambda text: self._delete_one(call, text), all_or_none=call.flag("allOrNone"))
        if call.method not in ("POST", "PATCH"):
            raise method_not_allowed(call, "POST", "PATCH", "DELETE")
        records, all_or_none = self._body(call)
        act = self._create_one if call.method == "POST" else self._update_one
        return self._each(records, lambda record: act(call, record), all_or_none=all_or_none)

    def _body(self, call: Call) -> tuple[list[dict[str, Any]], bool]:
        """Returns the records of a body, and whether they all go or none. Raises Refused."""
        data = call.object(("allOrNone", "records"))
        records, all_or_none = data.get("records"), data.get("allOrNone", False)
        if not isinstance(all_or_none, bool):
            raise bad_json("allOrNone must be true or false")
        if not isinstance(records, list) or not all(isinstance(r, dict) for r in records):
            raise bad_json("records must be an array of objects")
        if len(records) > MOST_RECORDS:
            told = f"record limit reached. cannot submit more than {MOST_RECORDS} records into this call"
            raise Refused(400, "EXCEEDED_ID_LIMIT", told)
        if len(list(groupby(records, _type_of))) > MOST_RUNS:
            told = f"Cannot have more than {MOST_RUNS} chunks in a single operation. Please rearrange the data to reduce chunking."
            raise Refused(400, "LIMIT_EXCEEDED", told)
        if self._records.switches.unknown_field_refuses_call:
            self._check_names(records)
        return records, all_or_none

    def _check_names(self, records: list[dict[str, Any]]) -> None:
        for record in records:
            object_ = self._object(record)
            for name in _fields(record):
                known = self._records.schema.writable(object_.name, name) or name.lower() in object_.relations
                if not known:
                    raise Refused(400, "INVALID_FIELD", f"No such column '{name[:80]}' on sobject of type {object_.name}")

    def _object(self, record: Mapping[str, Any]) -> SObject:
        """Returns the object that a record says it is of. Raises Refused."""
        object_ = self._records.schema.objects.get(_type_of(record))
        if object_ is None:
            raise Refused(400, "INVALID_TYPE", f"sObject type '{_type_of(record)[:80]}' is not supported.")
        return object_

    # --- one record ---------------------------------------------------------------------------------------------------
    def _create_one(self, call: Call, record: dict[str, Any]) -> Result:
        object_ = self._object(record)
        row = self._records.create(object_.name, _fields(record), call.writer)
        return _good(row["Id"])

    def _update_one(self, call: Call, record: dict[str, Any]) -> Result:
        object_ = self._object(record)
        id_ = self._known(object_, record.get("id", record.get("Id")))
        self._records.update(object_.name, id_, _fields(record), call.writer)
        return _good(id_)

    def _delete_one(self, call: Call, text: str) -> Result:
        id_ = ids.read(text)
        target = BY_PREFIX.get(id_[:3]) if id_ else None
        object_ = self._records.schema.objects.get(target.name) if target else None
        if object_ is None:
            raise Refused(400, "MALFORMED_ID", f"bad id {text[:80]}", [])
        id_ = self._known(object_, text)
        self._records.delete(object_.name, id_, call.writer)
        return _good(id_)

    def _known(self, object_: SObject, text: Any) -> str:
        """Returns the id of a record that is there. Raises Refused."""
        if text is None:
            raise Refused(400, "MISSING_ARGUMENT", "Id not specified in an update call", [])
        id_ = ids.read(text)
        if id_ is None or id_[:3] != object_.prefix:
            raise Refused(400, "MALFORMED_ID", f"{object_.label} ID: id value of incorrect type: {str(text)[:80]}", ["Id"])
        row = self._records.seen(object_.name, id_)
        if row is None:
            raise Refused(400, "INVALID_CROSS_REFERENCE_KEY", "invalid cross reference id", [])
        if row.get("IsDeleted"):
            raise Refused(400, "ENTITY_IS_DELETED", "entity is deleted", [])
        return id_

    # --- upsert -------------------------------------------------------------------------------------------------------
    def _upsert(self, call: Call, object_: SObject, field: Field) -> Answer:
        if call.method != "PATCH":
            raise method_not_allowed(call, "PATCH")
        records, all_or_none = self._body(call)
        keys = Counter(_folded(_key(record, field)) for record in records)
        twice = {key for key, count in keys.items() if count > 1 and key is not None}
        return self._each(records, lambda record: self._upsert_one(call, object_, field, record, twice), all_or_none=all_or_none)

    def _upsert_one(self, call: Call, object_: SObject, field: Field, record: dict[str, Any], twice: set[Any]) -> Result:
        if self._object(record).name != object_.name:
            raise Refused(400, "INVALID_TYPE", f"sObject type '{_type_of(record)[:80]}' does not fit the address", [])
        key = _key(record, field)
        if key is None and field.name != "Id":
            raise Refused(400, "MISSING_ARGUMENT", f"{field.name} not specified", [])
        if _folded(key) in twice:
            raise Refused(400, "DUPLICATE_VALUE", f"Duplicate external id specified: {key}", [field.name])
        values = _fields(record)
        if key is None:
            return {**_good(self._records.create(object_.name, values, call.writer)["Id"]), "created": True}
        found = [self._known(object_, key)] if field.name == "Id" else self._records.by_key(object_.name, field, key)
        if len(found) > 1:
            told = f"{field.name}: more than one record found for external id field: [{', '.join(found)}]"
            raise Refused(400, "DUPLICATE_EXTERNAL_ID", told, [field.name])
        if not found:
            return {**_good(self._records.create(object_.name, values, call.writer)["Id"]), "created": True}
        self._records.update(object_.name, found[0], values, call.writer)
        return {**_good(found[0]), "created": False}

    # --- results ------------------------------------------------------------------------------------------------------
    def _each(self, items: list[Any], act: Callable[[Any], Result], *, all_or_none: bool) -> Answer:
        """Returns the result of each item. With `all_or_none` one failure takes all others back."""
        start = self._records.savepoint()
        results: list[Result] = []
        for item in items:
            own = self._records.savepoint()
            try:
                results.append(act(item))
            except Refused as error:
                self._records.roll_back(own)
                results.append({"success": False, "errors": [error.as_result()]})
        if all_or_none and not all(r["success"] for r in results):
            self._records.roll_back(start)
            innocent = Refused(400, "ALL_OR_NONE_OPERATION_ROLLED_BACK", ROLLED_BACK, []).as_result()
            results = [{"success": False, "errors": [innocent]} if r["success"] else r for r in results]
        return Answer(200, results)

    # --- reading ------------------------------------------------------------------------------------------------------
    def _read(self, call: Call, object_: SObject) -> Answer:
        """Returns the rows with these ids, null for one that is not there. A GET is bounded by its address, a POST by number."""
        if call.reads:
            wanted, names = _id_list(call.parameters.get("ids", ""), most=MOST_READ), call.parameters.get("fields", "")
        elif call.method == "POST":
            data = call.object(("ids", "fields"))
            if not all(isinstance(data.get(n), list) and all(isinstance(v, str) for v in data[n]) for n in ("ids", "fields")):
                raise bad_json("ids and fields must be arrays of texts")
            wanted, names = data["ids"], ",".join(data["fields"])
        else:
            raise method_not_allowed(call, "HEAD", "GET", "POST")
        if len(wanted) > MOST_READ:
            raise Refused(400, "EXCEEDED_ID_LIMIT", f"cannot retrieve more than {MOST_READ} records")
        if not names:
            raise bad_parameter("fields is missing")
        fields = fields_asked(object_, names)
        view = self._records.view(call.writer.user)
        rows = [view.row(object_.name, ids.read(text) or "") for text in wanted]
        return Answer(200, [show_row(object_, r, call.root, fields) if r and not r.get("IsDeleted") else None for r in rows])


def _good(id_: str) -> Result:
    return {"id": id_, "success": True, "errors": []}


def _type_of(record: Mapping[str, Any]) -> str:
    attributes = record.get("attributes")
    type_ = attributes.get("type") if isinstance(attributes, dict) else None
    return type_ if isinstance(type_, str) else ""


def _fields(record: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in record.items() if name not in ("attributes", "id", "Id")}


def _key(record: Mapping[str, Any], field: Field) -> Any:
    return record.get("id", record.get("Id")) if field.name == "Id" else record.get(field.name)


def _folded(key: Any) -> Any:
    return key.strip().casefold() if isinstance(key, str) else key if isinstance(key, int | float) else None


def _id_list(text: str, most: int = MOST_RECORDS) -> list[str]:
    wanted = [word.strip() for word in text.split(",") if word.strip()]
    if not wanted:
        raise bad_parameter("ids is missing")
    if len(wanted) > most:
        raise Refused(400, "EXCEEDED_ID_LIMIT", f"record limit reached. cannot submit more than {most} records into this call")
    return wanted

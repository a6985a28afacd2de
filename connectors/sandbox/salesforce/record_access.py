"""UserRecordAccess: what a user may do with records, asked in one shape and no other.

SELECT RecordId, HasReadAccess, HasEditAccess, HasDeleteAccess FROM UserRecordAccess WHERE UserId = '005…' AND RecordId IN ('003…')
"""

from __future__ import annotations

from typing import Any

from connectors.sandbox.salesforce import ids
from connectors.sandbox.salesforce.access import governing
from connectors.sandbox.salesforce.calls import Answer
from connectors.sandbox.salesforce.records import Records
from connectors.sandbox.salesforce.schema import BY_PREFIX
from connectors.sandbox.salesforce.soql_parser import Comparison, Group, InList, Path, Query, Value
from connectors.sandbox.salesforce.soql_tokens import malformed, refused

NAME = "UserRecordAccess"
COLUMNS = {"RecordId": "", "HasReadAccess": "read", "HasEditAccess": "edit", "HasDeleteAccess": "delete"}
MOST = 200  # records that one query may ask for


def is_asked(query: Query) -> bool:
    return query.object_name.lower() == NAME.lower()


def answer(records: Records, query: Query, root: str) -> Answer:
    """Answers the query. A record that does not exist, or was deleted, has no row. Raises Refused."""
    user, wanted = _read(query)
    rows = [_row(records, user, id_, root) for id_ in dict.fromkeys(wanted)]
    shown = [row for row in rows if row is not None]
    return Answer(200, {"totalSize": len(shown), "done": True, "records": shown})


def _read(query: Query) -> tuple[str, list[str]]:
    """Returns the user and the records that a query asks for. Raises Refused for any other shape."""
    names = [item.text.lower() for item in query.items if isinstance(item, Path)]
    is_plain = not query.scope and not query.orders and query.limit is None and not query.offset
    parts = query.where.parts if isinstance(query.where, Group) and query.where.word == "AND" else ()
    of_user, of_records = parts if len(parts) == 2 else (None, None)
    is_shaped = (
        is_plain
        and names == [name.lower() for name in COLUMNS]
        and isinstance(of_user, Comparison)
        and (of_user.path.text.lower(), of_user.operator) == ("userid", "=")
        and isinstance(of_records, InList)
        and of_records.path.text.lower() == "recordid"
        and not of_records.is_negated
    )
    if not is_shaped or not isinstance(of_user, Comparison) or not isinstance(of_records, InList):
        told = f"{NAME} takes RecordId, HasReadAccess, HasEditAccess, HasDeleteAccess WHERE UserId = one id AND RecordId IN ids"
        raise malformed(query.statement, query.object_at, told)
    if len(of_records.values) > MOST:
        raise malformed(query.statement, query.object_at, f"{NAME} takes at most {MOST} record ids")
    return _id(query, of_user.value), [_id(query, value) for value in of_records.values]


def _id(query: Query, value: Value) -> str:
    id_ = ids.read(value.text) if value.kind == "string" else None
    if id_ is None:
        raise refused(query.statement, value.at, "INVALID_QUERY_FILTER_OPERATOR", f"invalid ID field: {value.text[:80]}")
    return id_


def _row(records: Records, user: str, id_: str, root: str) -> dict[str, Any] | None:
    known = BY_PREFIX.get(id_[:3])
    object_ = records.schema.objects.get(known.name) if known else None
    row = records.look_up(object_.name, id_) if object_ else None
    if object_ is None or row is None:
        return None
    rights = records.access(user).of(object_, governing(records.tables, object_.name, row)[1])
    attributes = {"type": NAME, "url": f"{root}/sobjects/{NAME}/{id_}"}
    return {"attributes": attributes, **{name: getattr(rights, right) if right else id_ for name, right in COLUMNS.items()}}

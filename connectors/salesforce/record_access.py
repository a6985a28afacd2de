"""What a user of the organisation may do with records, as Salesforce itself computes it (UserRecordAccess)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from connectors.contract import NO_ACCESS, RecordAccess, Spread
from connectors.errors import Rejected
from connectors.http import unreadable
from connectors.salesforce import query
from connectors.salesforce.client import Rows, SalesforceClient
from connectors.salesforce.codec import SYSTEM, full_id, given_id

MOST = 200  # records that one query may ask for


def may_change(client: SalesforceClient, spread: Spread, user_id: str, ids: Sequence[str]) -> dict[str, RecordAccess]:
    """Returns the user's access to each record by the id that was asked for; what Salesforce does not tell of is none."""
    user = full_id(user_id)
    if user is None:
        raise Rejected(f"{user_id[:40]!r} is no user", system=SYSTEM)

    def ask(part: list[str]) -> dict[str, RecordAccess]:
        rows = client.query(query.record_access(user, part))
        found = _read(rows)
        while rows.following:
            rows = client.follow(rows.following)
            found |= _read(rows)
        return found

    known: dict[str, RecordAccess] = {}
    for found in spread(ask, list(query.chunks(query.askable("Id", ids), MOST))):
        known |= found
    return {id_: known.get(full_id(id_) or "", NO_ACCESS) for id_ in ids}


def _read(rows: Rows) -> dict[str, RecordAccess]:
    """Returns what a page says. An answer that cannot be read gives nobody a right."""
    found = {given_id(row.get("RecordId")): _access(row) for row in rows.rows if isinstance(row, Mapping)}
    if len(found) != len(rows.rows) or "" in found or None in found.values():
        raise unreadable(SYSTEM, rows.answer, is_read=True)
    return {id_: access for id_, access in found.items() if access is not None}


def _access(row: Mapping[str, Any]) -> RecordAccess | None:
    read, edit, delete = (row.get(name) for name in ("HasReadAccess", "HasEditAccess", "HasDeleteAccess"))
    is_told = isinstance(read, bool) and isinstance(edit, bool) and isinstance(delete, bool)
    return RecordAccess(read is True, edit is True, delete is True) if is_told else None

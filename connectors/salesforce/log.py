"""Salesforce's log of deletions and changes (getDeleted, getUpdated), a check on sweeps (reference section 8.1)."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from connectors.contract import Feed
from connectors.errors import Rejected
from connectors.http import Answer, unreadable
from connectors.salesforce import query
from connectors.salesforce.client import SalesforceClient
from connectors.salesforce.codec import SYSTEM, read_ref
from connectors.text import read_instant

LEAST = timedelta(minutes=1)
BEYOND = ("INVALID_REPLICATION_DATE", "EXCEEDED_ID_LIMIT")  # it does not reach back so far, or holds more than it tells


class ReplicationLog:
    """Asks the log of one connection."""

    def __init__(self, client: SalesforceClient) -> None:
        self._client = client

    def deleted(self, object_type: str, start: datetime, end: datetime) -> Feed:
        """Returns what was deleted, or merged away. The log is trimmed: what it lacks is not known to it."""
        answer = self._ask(object_type, "deleted", start, end)
        if answer is None:
            return Feed((), None, is_whole=False)
        earliest = read_instant(answer.data.get("earliestDateAvailable"))
        ids = [row.get("id") if isinstance(row, Mapping) else None for row in answer.data["deletedRecords"]]
        return _feed(object_type, ids, answer, is_whole=earliest is not None and earliest <= start)

    def updated(self, object_type: str, start: datetime, end: datetime) -> Feed:
        answer = self._ask(object_type, "updated", start, end)
        if answer is None:
            return Feed((), None, is_whole=False)
        return _feed(object_type, answer.data["ids"], answer, is_whole=True)

    def _ask(self, object_type: str, which: str, start: datetime, end: datetime) -> Answer | None:
        """Returns the answer, None where the log cannot tell."""
        if end - start < LEAST:
            raise ValueError("the log tells of a minute at least")
        path = f"{self._client.root}/sobjects/{query.name(object_type)}/{which}/"
        params = [(name, at.astimezone(UTC).isoformat(timespec="seconds")) for name, at in (("start", start), ("end", end))]
        try:
            answer = self._client.get(path, params, template=f"/sobjects/{{object}}/{which}")
        except Rejected as error:
            if error.code in BEYOND:
                return None
            raise
        key = "ids" if which == "updated" else "deletedRecords"
        if not isinstance(answer.data, dict) or not isinstance(answer.data.get(key), list):
            raise unreadable(SYSTEM, answer, is_read=True)
        return answer


def _feed(object_type: str, ids: list[Any], answer: Answer, *, is_whole: bool) -> Feed:
    refs = [read_ref(id_, object_type) for id_ in ids]
    until = read_instant(answer.data.get("latestDateCovered"))
    if None in refs or until is None:  # the next stretch could leave a gap
        raise unreadable(SYSTEM, answer, is_read=True)
    return Feed(tuple(dict.fromkeys(ref for ref in refs if ref is not None)), until, is_whole)

"""The query calls: a first page, and the pages that follow by locator."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

from connectors.sandbox.salesforce import ids, record_access, soql_run
from connectors.sandbox.salesforce.calls import Answer, Call, method_not_allowed
from connectors.sandbox.salesforce.records import Records
from connectors.sandbox.salesforce.refusal import Refused, bad_parameter
from connectors.sandbox.salesforce.soql_parser import parse
from connectors.sandbox.salesforce.soql_run import Selection
from connectors.sandbox.wire import read_id

LOCATOR_PREFIX = "01g"
SMALLEST_BATCH, LARGEST_BATCH = 200, 2000
MOST_LOCATORS = 100  # of the newest; what is older has expired for want of memory
_LOCATOR = re.compile(r"([0-9A-Za-z]{15,18})-(\d{1,9})")


@dataclass(slots=True)
class _Cursor:
    """A result that has more pages: its rows stand, their values are read when a page is."""

    selection: Selection
    ends_at: float
    user: str


class Queries:
    """Answers `/query` and `/queryAll`."""

    def __init__(self, records: Records) -> None:
        self._records = records
        self._cursors: dict[str, _Cursor] = {}
        self.next_number = 1

    def answer(self, call: Call) -> Answer:
        """Answers a call. Raises Refused."""
        if not call.reads:
            raise method_not_allowed(call, "HEAD", "GET")
        if len(call.parts) == 2:
            return self._next_page(call, call.parts[1])  # a `q` that is repeated there is ignored
        if unplayed := [name for name in ("columns", "explain") if name in call.parameters]:
            raise bad_parameter(f"{unplayed[0]} is not supported here")
        statement = call.parameters.get("q")
        if statement is None:
            raise bad_parameter("q is missing")
        query = parse(statement)
        if record_access.is_asked(query):
            return record_access.answer(self._records, query, call.root)
        selection = soql_run.select(self._records, query, user=call.writer.user, sees_deleted=call.parts[0] == "queryAll")
        if query.is_count:
            return Answer(200, {"totalSize": len(selection.ids), "done": True, "records": []})
        return self._page(call, selection, "", 0)

    def _next_page(self, call: Call, text: str) -> Answer:
        match = _LOCATOR.fullmatch(text)
        locator = ids.read(match[1]) if match else None
        cursor = self._cursors.get(locator or "")
        is_good = cursor is not None and cursor.user == call.writer.user and cursor.ends_at > self._records.now().timestamp()
        offset = read_id(match[2]) if match else None
        if cursor is None or not is_good or offset is None or offset >= len(cursor.selection.ids):
            raise Refused(404, "INVALID_QUERY_LOCATOR", "invalid query locator")
        return self._page(call, cursor.selection, locator or "", offset)

    def _page(self, call: Call, selection: Selection, locator: str, offset: int) -> Answer:
        end = offset + self._size(call)
        total = len(selection.ids)
        view = self._records.view(call.writer.user)
        rows = [soql_run.project(selection, view, id_, call.root) for id_ in selection.ids[offset:end]]
        body: dict[str, Any] = {"totalSize": total, "done": end >= total}
        if end < total:
            body["nextRecordsUrl"] = f"{call.root}/query/{locator or self._keep(selection, call.writer.user)}-{end}"
        body["records"] = [row for row in rows if row is not None]
        return Answer(200, body)

    def _size(self, call: Call) -> int:
        """Returns how many rows a page has: what `Sforce-Query-Options` asks for is a hint, and the switch the most."""
        hint = re.fullmatch(r"\s*batchSize\s*=\s*(\d{1,9})\s*", call.headers.get("sforce-query-options", f"batchSize={LARGEST_BATCH}"))
        if hint is None:
            raise bad_parameter(f"Sforce-Query-Options: {call.headers['sforce-query-options'][:80]}")
        asked = min(LARGEST_BATCH, max(SMALLEST_BATCH, int(hint[1])))
        return min(asked, self._records.switches.page_size)

    def _keep(self, selection: Selection, user: str) -> str:
        locator = ids.make(LOCATOR_PREFIX, self.next_number)
        self.next_number += 1
        self._cursors[locator] = _Cursor(selection, self._records.now().timestamp() + self._records.switches.locator_seconds, user)
        while len(self._cursors) > MOST_LOCATORS:
            del self._cursors[next(iter(self._cursors))]
        return locator

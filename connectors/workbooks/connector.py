"""Workbooks as a `Connector`: sweeps by (updated_at, id), look-ups a hundred a call, writes a hundred a call."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from functools import partial
from typing import Any

from connectors.checks import Try, run_checks
from connectors.contract import (
    All,
    CallCount,
    Check,
    Condition,
    Identity,
    Op,
    Page,
    Position,
    Record,
    Ref,
    Schema,
    Spread,
    Test,
    Write,
    WriteResult,
    one_by_one,
)
from connectors.errors import ConnectorError, MappingError, NeedsAttention, RecordGone, Rejected, ServerTrouble, StaleVersion, not_sent
from connectors.http import Answer, HttpClient, unreadable
from connectors.text import clean
from connectors.workbooks.client import WorkbooksClient
from connectors.workbooks.codec import NO_VALUE, SYSTEM, read_record, write_value
from connectors.workbooks.query import Pairs, list_pairs, sweep_condition
from connectors.workbooks.schema import CLASSES, custom_field, read_schema

PATHS = {"organisation": "crm/organisations", "person": "crm/people"}
CUSTOM_FIELD, CUSTOM_FIELDS = "custom_field", "admin/custom_fields"  # written like a record, read through the metadata
WRITTEN = {**PATHS, CUSTOM_FIELD: CUSTOM_FIELDS}
ALWAYS = ("id", "lock_version", "updated_at", "is_deleted", "updated_by_user[person_name]")
ROWS_A_CALL = 100
Row = dict[str, str]  # one row of a PUT, as it goes out
REFUSALS_OF_ALL = 3  # rows refused one by one while none went through: the call is at fault, not the rows
RIVAL = "Outreach Send/Receive"
LOOK_FOR_RIVAL = (
    "Ask a Workbooks administrator to look at the scheduled processes (Configuration, Automation) and to disable "
    f"“{RIVAL}” before the pass is switched on."
)
CHANGING = ("update", "edit", "modify", "change", "write")  # how an action of the metadata may call it
_STALE = "already been updated elsewhere"
_GONE = re.compile(r"^(?:this |the )?record(?: (\d+))? (?:was not found|could not be found|does not exist|no longer exists)", re.IGNORECASE)
_UNKNOWN = re.compile(r"^unknown attribute '([^']+)'", re.IGNORECASE)
_ENVELOPES = ("failures", "errors", "affected_object_errors")


class WorkbooksConnector:
    """Workbooks with an API key. `page_address_template` holds `{object}` and `{id}`."""

    system = SYSTEM
    marker_field = "created_through_reference"
    concurrency = 5  # the vendor's library runs at most five requests at once

    def __init__(
        self, http: HttpClient, api_key: str, *, page_address_template: str = "", settle_seconds: int = 0, spread: Spread = one_by_one
    ) -> None:
        self._http = http
        self._client = WorkbooksClient(http, api_key)
        self._template = page_address_template
        self.settle_seconds = settle_seconds
        self.request_timeout = http.timeout
        self._spread = spread

    def changes(
        self,
        object_type: str,
        *,
        where: Condition,
        columns: Sequence[str],
        position: Position | None = None,
        before: datetime | None = None,
        page_size: int = 100,
        include_deleted_since: datetime | None = None,
    ) -> Page:
        condition = sweep_condition(where, position, before, include_deleted_since)
        size = min(page_size, ROWS_A_CALL)
        pairs = list_pairs(condition, _with_always(columns), ("updated_at", "id"), size)
        rows, answer = self._client.read(PATHS[object_type], pairs)
        records = self._records(rows, object_type, answer)
        if answer.server_time is None:
            raise unreadable(SYSTEM, answer, is_read=True)
        following = None
        if len(rows) >= size:  # a full page may have a successor; a short one has none
            last = records[-1]
            if last.updated_at is None:  # nothing can go on from here, and the sweep is not at its end (I10)
                raise unreadable(SYSTEM, answer, is_read=True)
            following = Position(last.updated_at, last.ref.id)
        return Page(tuple(records), following, answer.server_time)

    def _records(self, rows: Sequence[Mapping[str, Any]], object_type: str, answer: Answer) -> list[Record]:
        records = [read_record(row, object_type) for row in rows]
        if any(record is None for record in records):
            raise unreadable(SYSTEM, answer, is_read=True)
        return [record for record in records if record is not None]

    def scan(self, object_type: str, *, where: Condition, columns: Sequence[str]) -> Iterator[Page]:
        position: Position | None = None
        while True:
            page = self.changes(object_type, where=where, columns=columns, position=position)
            yield page
            position = page.position
            if position is None:
                return

    def read(self, object_type: str, ids: Sequence[str], columns: Sequence[str]) -> list[Record]:
        return self.find(object_type, "id", ids, columns)

    def find(
        self, object_type: str, field: str, values: Sequence[str], columns: Sequence[str], *, also: Condition | None = None
    ) -> list[Record]:
        def ask(part: list[str]) -> list[Record]:
            condition: Condition = Test(field, Op.IN, tuple(part))
            if also is not None:
                condition = All((condition, also))
            return list(self._all_rows(object_type, condition, [*columns, field]))

        parts = list(_chunks(list(dict.fromkeys(values)), ROWS_A_CALL))
        return [record for records in self._spread(ask, parts) for record in records]

    def find_marked(self, object_type: str, markers: Sequence[str], columns: Sequence[str], *, since: datetime) -> list[Record]:
        return self.find(object_type, self.marker_field, markers, columns)

    def _all_rows(self, object_type: str, condition: Condition, columns: Sequence[str]) -> Iterator[Record]:
        """Yields every row, paged by id: a full page is followed by what lies behind its last id."""
        last_id: str | None = None
        while True:
            where = condition if last_id is None else All((condition, Test("id", Op.GT, last_id)))
            rows, answer = self._client.read(PATHS[object_type], list_pairs(where, _with_always(columns), ("id",), ROWS_A_CALL))
            records = self._records(rows, object_type, answer)
            yield from records
            if len(rows) < ROWS_A_CALL:
                return
            last_id = records[-1].ref.id

    def count(self, object_type: str, where: Condition, *, position: Position | None = None, before: datetime | None = None) -> int:
        condition = sweep_condition(where, position, before, None)
        pairs = [p for p in list_pairs(condition, ["id"], ("id",), 1) if p[0] != "__skip_total_rows"]
        _, answer = self._client.read(PATHS[object_type], pairs)
        total = answer.data.get("total")
        return total if isinstance(total, int) else 0

    def batch_size(self, object_type: str, *, is_create: bool) -> int:
        return ROWS_A_CALL

    def write(self, object_type: str, writes: Sequence[Write]) -> list[WriteResult]:
        """As the contract says. A call refused as a whole is sent again in halves: it names no row, and one row's fault
        must not flag a hundred."""
        wire: list[Row | Rejected] = [_row(write) for write in writes]
        sendable = [(w, r) for w, r in zip(writes, wire, strict=True) if isinstance(r, dict)]
        results = {w.key: WriteResult(w.key, error=r) for w, r in zip(writes, wire, strict=True) if isinstance(r, Rejected)}
        results |= {result.key: result for result in (self._write_in_parts(object_type, sendable) if sendable else ())}
        return [results[w.key] for w in writes]

    def _write_in_parts(self, object_type: str, rows: list[tuple[Write, Row]]) -> list[WriteResult]:
        """Returns a result per row, in order. Raises only while nothing was settled; later the trouble stands in the
        results of the rows it met, and of those that were not sent any more."""
        results: list[WriteResult] = []
        waiting = [rows]
        while waiting:
            part = waiting.pop()
            try:
                answer = self._client.change(WRITTEN[object_type], _put_pairs([row for _, row in part]))
                results += self._judge([write for write, _ in part], object_type, answer)
            except Rejected as refusal:
                if len(part) > 1:
                    middle = len(part) // 2
                    waiting += [part[middle:], part[:middle]]
                    continue
                results.append(WriteResult(part[0][0].key, error=refusal, exchange=refusal.exchange))
                if waiting and len(results) >= REFUSALS_OF_ALL and all(r.error is not None for r in results):
                    raise ServerTrouble(
                        f"refuses every change ({refusal.detail})", system=SYSTEM, status=refusal.status, exchange=refusal.exchange
                    ) from refusal
            except ConnectorError as trouble:
                if not (results or waiting):
                    raise
                met = [WriteResult(write.key, error=trouble, exchange=trouble.exchange) for write, _ in part]
                return [*results, *met, *_unsent([write for rest in reversed(waiting) for write, _ in rest], trouble)]
        return results

    def _judge(self, writes: list[Write], object_type: str, answer: Answer) -> list[WriteResult]:
        """Returns a result per row, by position. Raises Rejected for a refusal that names no row and can be sent again in
        parts, and OutcomeUnknown where it cannot be told what was done."""
        rows = answer.data.get("affected_objects")
        rows = rows if isinstance(rows, list) else []
        results = []
        for i, (write, line) in enumerate(zip(writes, _lines(writes, answer), strict=True)):
            if line.get("success") is not True:
                results.append(WriteResult(write.key, error=_refusal(line, write, answer), exchange=answer.exchange))
                continue
            record = read_record(rows[i], object_type) if i < len(rows) and isinstance(rows[i], dict) else None
            if record is None or (write.ref is not None and record.ref.id != write.ref.id):
                raise unreadable(SYSTEM, answer, is_read=False)
            results.append(WriteResult(write.key, record=record, exchange=answer.exchange))
        return results

    def schema(self, object_type: str) -> Schema:
        pairs: Pairs = [("class_names[]", CLASSES[object_type]), ("_select_columns[]", "class_name"), ("_select_columns[]", "fields")]
        rows, answer = self._client.read("metadata/types", pairs)
        for row in rows:
            if row.get("class_name") == CLASSES[object_type]:
                return read_schema(object_type, row)
        raise unreadable(SYSTEM, answer, is_read=True)

    def pending_fields(self, ids: Sequence[str]) -> set[str]:
        """Returns those of these new custom fields that cannot be used yet: Workbooks makes them a moment after its answer
        (reference 5.4). One that is not listed counts as pending."""
        rows, _ = self._client.read(CUSTOM_FIELDS, list_pairs(Test("id", Op.IN, tuple(ids)), ["id", "status"], ("id",), ROWS_A_CALL))
        ready = {str(row.get("id")) for row in rows if str(row.get("status", "")).casefold() == "available"}
        return set(ids) - ready

    def check(self, *, may_send: bool = True) -> list[Check]:
        pairs = list_pairs(None, ["id"], ("id",), 1)
        reads = [
            Try(
                f"Read {path.split('/')[1]}",
                f"Our key may read {path}.",
                partial(self._client.read, path, pairs),
                partial(_who_gives, "read", path),
            )
            for path in PATHS.values()
        ]
        changes = [
            Try(f"Change {path.split('/')[1]}", "", partial(self._may_change, object_type, path), partial(_who_gives, "change", path))
            for object_type, path in PATHS.items()
        ]
        return run_checks([*reads, *changes])

    def _may_change(self, object_type: str, path: str) -> Check:
        """Returns what the metadata says of our right to change rows; nothing is written to find out."""
        noun = path.split("/")[1]
        pairs: Pairs = [("class_names[]", CLASSES[object_type]), *(("_select_columns[]", c) for c in ("class_name", "actions", "fields"))]
        rows, _ = self._client.read("metadata/types", pairs)
        row = next((r for r in rows if r.get("class_name") == CLASSES[object_type]), {})
        fields = [f for f in row.get("fields") or () if isinstance(f, Mapping)]
        actions = [a for a in row.get("actions") or () if isinstance(a, Mapping) and str(a.get("name", "")).lower() in CHANGING]
        if any(a.get("permitted") is False for a in actions) or (fields and not any(f.get("is_updateable") is True for f in fields)):
            return Check(f"Change {noun}", False, f"Workbooks: our user may not change {noun}.", _remedy("change", path))
        if not actions:
            said = f"Workbooks does not say whether our user may change {noun}; the first write will show it."
            return Check(f"Change {noun}", True, said, is_warning=True)
        return Check(f"Change {noun}", True, f"Our user may change {noun}.")

    def keep_alive(self) -> None:
        """A key does not die of not being used."""

    def identity(self) -> Identity:
        said = self._client.log_in()
        database = said.get("logical_database_id") or said.get("default_database_id") or ""
        user, name = (clean(str(said.get(key) or ""))[0][:100] for key in ("person_name", "database_name"))
        return Identity(user, name, clean(str(database))[0][:20])

    def rivals(self, own_prefix: str) -> list[Check]:
        """Looks for the vendor's own process, by its name, among the scheduled processes."""
        name = f"The vendor's process “{RIVAL}”"
        pairs: Pairs = [("_start", "0"), ("_limit", str(ROWS_A_CALL)), ("_ff[]", "name"), ("_ft[]", "eq"), ("_fc[]", RIVAL)]
        try:
            rows, _ = self._client.read("automation/scheduled_actions", pairs)
        except ConnectorError as error:
            return [Check(name, True, f"Could not be looked at: {error.sentence}.", LOOK_FOR_RIVAL, is_warning=True)]
        found = [row for row in rows if str(row.get("name", "")).strip().lower() == RIVAL.lower()]
        if not found:
            return [Check(name, True, "There is none.")]
        if all(_is_off(row) for row in found):
            return [Check(name, True, "It is there and switched off.")]
        return [Check(name, True, "It is active. Two engines on one pair of systems take each other's records for duplicates.",
                      LOOK_FOR_RIVAL, is_warning=True)]  # fmt: skip

    def web_url(self, ref: Ref) -> str:
        return self._template.replace("{object}", PATHS.get(ref.object_type, "")).replace("{id}", ref.id)

    def counts(self) -> CallCount:
        return self._http.counts

    def close(self) -> None:
        self._http.close()


def _who_gives(right: str, path: str, error: ConnectorError) -> str:
    """Returns what to do about a refusal, and who can do it."""
    if isinstance(error, NeedsAttention) and error.status == 401:
        return "Enter a new API key. A Workbooks administrator makes one for the integration's user (Configuration, Users, API keys)."
    return _remedy(right, path) if isinstance(error, NeedsAttention | Rejected) and error.status in (403, 404, 406) else ""


def _remedy(right: str, path: str) -> str:
    noun = path.split("/")[1]
    who = f"Ask a Workbooks administrator to give the key's user the capability to {right} {noun}"
    return f"{who} (Configuration, Users, Capabilities), then test again."


def _is_off(row: Mapping[str, Any]) -> bool:
    """Tells whether a scheduled process says that it is off, under any of the names for it."""
    said = {k: str(v).strip().lower() for k, v in row.items()}
    on = [said[k] for k in ("enabled", "is_enabled", "active", "is_active") if k in said]
    off = [said[k] for k in ("disabled", "is_disabled") if k in said]
    status = [said[k] for k in ("status", "state") if k in said]
    return "false" in on or "true" in off or any(s in ("disabled", "inactive", "off", "suspended") for s in status)


def _with_always(columns: Sequence[str]) -> list[str]:
    return list(dict.fromkeys([*ALWAYS, *columns]))


def _chunks(values: list[str], size: int) -> Iterator[list[str]]:
    for start in range(0, len(values), size):
        yield values[start : start + size]


def _row(write: Write) -> Row | Rejected:
    """Returns one row of the PUT, or why it cannot be sent."""
    try:
        fields = custom_field(write.fields) if write.object_type == CUSTOM_FIELD else write.fields
        row = {name: write_value(value, name) for name, value in fields.items()}
    except Rejected as error:
        return error
    if write.ref is None:
        row.update({"__method": "POST", "id": "0", "lock_version": "0"})
        if write.marker:
            row["created_through_reference"] = write.marker
    else:
        row.update({"__method": "DELETE" if write.is_delete else "PUT", "id": write.ref.id, "lock_version": write.version})
    return row


def _put_pairs(rows: list[Row]) -> Pairs:
    """Returns the square arrays of a PUT: every field for every row, absent ones as `:no_value:`, and the filter that
    selects the rows. Each row commits for itself, so that one refusal does not undo the others."""
    pairs: Pairs = [("_per_object_transactions", "true"), ("_strict_attribute_checking", "true"), ("_fm", "or")]
    for row in rows:
        pairs += [("_ff[]", "id"), ("_ft[]", "eq"), ("_fc[]", row["id"])]
    names = sorted({name for row in rows for name in row})
    for row in rows:
        pairs += [(f"{_key(name)}[]", row.get(name, NO_VALUE)) for name in names]
    return pairs


def _key(name: str) -> str:
    """Returns the parameter name of a column; a doubly nested `a[b[c]]` is sent as `a[b][c]`."""
    if name.count("[") == 2 and name.endswith("]]"):
        outer, middle, inner = name[:-2].split("[")
        return f"{outer}[{middle}][{inner}]"
    return name


def _unsent(writes: list[Write], trouble: ConnectorError) -> list[WriteResult]:
    """Returns the results of rows that were not sent after the trouble: certainly not done."""
    error = not_sent(trouble)
    return [WriteResult(write.key, error=error) for write in writes]


def _lines(writes: list[Write], answer: Answer) -> list[Mapping[str, Any]]:
    """Returns what the answer says of each row, with its `success`. Raises as `_judge` does."""
    data = answer.data
    lines, errors = data.get("affected_object_information"), data.get("affected_object_errors")
    if isinstance(lines, list) and len(lines) == len(writes) and all(isinstance(x, dict) and "success" in x for x in lines):
        return lines
    if data.get("success") is True:
        return [{"success": True}] * len(writes)
    if answer.was_redirected or data.get("success") is not False:
        raise unreadable(SYSTEM, answer, is_read=False)
    if len(writes) == 1:
        return [data]
    if isinstance(errors, list) and len(errors) == len(writes) and all(errors):
        return [{"success": False, "errors": error} for error in errors]
    if any(write.ref is None for write in writes):  # rows commit one by one, so some of the new ones may be there
        raise unreadable(SYSTEM, answer, is_read=False)
    raise _refusal(data, None, answer)  # a row that did go through is told by its lock_version when it is sent again


def _refusal(line: Mapping[str, Any], write: Write | None, answer: Answer) -> ConnectorError:
    """Returns the error that a refused row, or a whole call (`write` None), speaks of. Only what is said of the record as
    a whole can mean that it is stale or gone: an attribute's message may hold any words, its value among them."""
    said = list(dict.fromkeys(_messages(line)))
    text = answer.redact("; ".join(f"{attribute}: {text}" if attribute else text for attribute, text in said), limit=500)
    common: dict[str, Any] = {"system": SYSTEM, "status": 200, "exchange": answer.exchange}
    unknown = next((found for _, text in said if (found := _UNKNOWN.match(text))), None)
    if write is not None and any(_STALE in words.lower() for attribute, words in said if not attribute):
        return StaleVersion("the record was changed meanwhile", **common)
    if write is not None and any(_says_gone(words, write) for attribute, words in said if not attribute):
        return RecordGone(text, **common)
    if unknown is not None:
        return MappingError(text, field=unknown[1], **common)
    return Rejected(text or "refused without a reason", **common)


def _says_gone(words: str, write: Write) -> bool:
    found = _GONE.match(words)
    return found is not None and write.ref is not None and found[1] in (None, write.ref.id)


def _messages(value: Any, attribute: str = "") -> Iterator[tuple[str, str]]:
    """Yields the messages in an error structure of any shape, each with its attribute, "" for the record as a whole."""
    if isinstance(value, str) and value:
        yield attribute, value
    elif isinstance(value, list):
        for part in value:
            yield from _messages(part, attribute)
    elif isinstance(value, Mapping):
        chosen = {k: v for k, v in value.items() if k in _ENVELOPES} or value
        for key, inner in chosen.items():
            yield from _messages(inner, attribute if key in (*_ENVELOPES, "[]", "base") else str(key))

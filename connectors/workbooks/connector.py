"""Workbooks as a `Connector`: sweeps by (updated_at, id), look-ups a hundred a call, writes a hundred a call."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any

from connectors.contract import (
    All,
    CallCount,
    Check,
    Condition,
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
from connectors.errors import ConnectorError, MappingError, RecordGone, Rejected, StaleVersion
from connectors.http import Answer, HttpClient, unreadable
from connectors.workbooks.client import WorkbooksClient
from connectors.workbooks.codec import NO_VALUE, SYSTEM, read_record, write_value
from connectors.workbooks.query import Pairs, list_pairs, sweep_condition
from connectors.workbooks.schema import CLASSES, read_schema

PATHS = {"organisation": "crm/organisations", "person": "crm/people"}
ALWAYS = ("id", "lock_version", "updated_at", "is_deleted", "updated_by_user[person_name]")
ROWS_A_CALL = 100
_STALE = "already been updated elsewhere"


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
        last = records[-1] if records else None
        # A full page may have a successor; a short one has none. Only (time, id) of a readable row can go on.
        more = len(rows) >= size and last is not None and last.updated_at is not None
        following = Position(last.updated_at, last.ref.id) if more and last is not None and last.updated_at is not None else None
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
        wire: list[dict[str, str] | Rejected] = [_row(write) for write in writes]
        sendable = [(w, r) for w, r in zip(writes, wire, strict=True) if isinstance(r, dict)]
        results = {w.key: WriteResult(w.key, error=r) for w, r in zip(writes, wire, strict=True) if isinstance(r, Rejected)}
        if sendable:
            pairs = _put_pairs([row for _, row in sendable])
            answer = self._client.change(PATHS[object_type], pairs)
            for write, result in zip([w for w, _ in sendable], self._judge([w for w, _ in sendable], object_type, answer), strict=True):
                results[write.key] = result
        return [results[w.key] for w in writes]

    def _judge(self, writes: list[Write], object_type: str, answer: Answer) -> list[WriteResult]:
        """Returns a result per row: by position where the answer has a line for each, else the answer's word for all."""
        data = answer.data
        rows, lines = data.get("affected_objects"), data.get("affected_object_information")
        has_lines = isinstance(lines, list) and len(lines) == len(writes) and all(isinstance(x, dict) and "success" in x for x in lines)
        if not has_lines:
            if data.get("success") is True and isinstance(rows, list) and len(rows) == len(writes):
                lines = [{"success": True}] * len(writes)
            elif data.get("success") is False:
                error = _refusal(data, answer)
                return [WriteResult(w.key, error=error, exchange=answer.exchange) for w in writes]
            else:
                raise unreadable(SYSTEM, answer, is_read=False)
        rows = rows if isinstance(rows, list) else []
        results = []
        for i, (write, line) in enumerate(zip(writes, lines or [], strict=True)):
            row = rows[i] if i < len(rows) and isinstance(rows[i], dict) else {}
            if line.get("success") is True:
                record = read_record(row, object_type)
                if record is None or (write.ref is not None and record.ref.id != write.ref.id):
                    raise unreadable(SYSTEM, answer, is_read=False)
                results.append(WriteResult(write.key, record=record, exchange=answer.exchange))
            else:
                results.append(WriteResult(write.key, error=_refusal(line, answer), exchange=answer.exchange))
        return results

    def schema(self, object_type: str) -> Schema:
        pairs: Pairs = [("class_names[]", CLASSES[object_type]), ("_select_columns[]", "class_name"), ("_select_columns[]", "fields")]
        rows, answer = self._client.read("metadata/types", pairs)
        for row in rows:
            if row.get("class_name") == CLASSES[object_type]:
                return read_schema(object_type, row)
        raise unreadable(SYSTEM, answer, is_read=True)

    def check(self) -> list[Check]:
        lines = []
        for object_type, path in PATHS.items():
            try:
                self._client.read(path, list_pairs(None, ["id"], ("id",), 1))
                lines.append(Check(f"Read {object_type}s", True, f"Our key may read {path}."))
            except ConnectorError as error:
                lines.append(Check(f"Read {object_type}s", False, f"{error.sentence}. {error.remedy}"))
        return lines

    def web_url(self, ref: Ref) -> str:
        return self._template.replace("{object}", PATHS.get(ref.object_type, "")).replace("{id}", ref.id)

    def counts(self) -> CallCount:
        return self._http.counts

    def close(self) -> None:
        self._http.close()


def _with_always(columns: Sequence[str]) -> list[str]:
    return list(dict.fromkeys([*ALWAYS, *columns]))


def _chunks(values: list[str], size: int) -> Iterator[list[str]]:
    for start in range(0, len(values), size):
        yield values[start : start + size]


def _row(write: Write) -> dict[str, str] | Rejected:
    """Returns one row of the PUT, or why it cannot be sent."""
    try:
        row = {name: write_value(value, name) for name, value in write.fields.items()}
    except Rejected as error:
        return error
    if write.ref is None:
        row.update({"__method": "POST", "id": "0", "lock_version": "0"})
        if write.marker:
            row["created_through_reference"] = write.marker
    else:
        row.update({"__method": "DELETE" if write.is_delete else "PUT", "id": write.ref.id, "lock_version": write.version})
    return row


def _put_pairs(rows: list[dict[str, str]]) -> Pairs:
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


def _refusal(line: Mapping[str, Any], answer: Answer) -> ConnectorError:
    """Returns the error that a refused row, or a refused answer, speaks of."""
    text = _sentences(line)
    common: dict[str, Any] = {"system": SYSTEM, "status": 200, "exchange": answer.exchange}
    lowered = text.lower()
    if _STALE in lowered:
        return StaleVersion("the record was changed meanwhile", **common)
    if "unknown attribute" in lowered:
        return MappingError(text, **common)
    if "not found" in lowered or "does not exist" in lowered:
        return RecordGone(text, **common)
    return Rejected(text or "refused without a reason", **common)


def _sentences(value: Any) -> str:
    """Returns the messages in an error structure of any shape, joined: texts in lists in objects."""
    if isinstance(value, str):
        return value
    if isinstance(value, Mapping):
        chosen = {k: v for k, v in value.items() if k in ("failures", "errors", "affected_object_errors")} or value
        parts = []
        for key, inner in chosen.items():
            text = _sentences(inner)
            if text:
                parts.append(text if key in ("failures", "errors", "affected_object_errors", "[]", "base") else f"{key}: {text}")
        return "; ".join(dict.fromkeys(parts))[:500]
    if isinstance(value, list):
        return "; ".join(dict.fromkeys(filter(None, (_sentences(v) for v in value))))[:500]
    return ""

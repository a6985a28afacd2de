"""Writes to Salesforce: creates by collections, updates by composite, each with a read of what came of it.

A refusal of a whole call names no row, so the rows are sent again in parts; a row that somebody else holds is sent again
after a pause. Both were certainly not done. Everything else goes out once: what was not answered is in doubt.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from email.utils import format_datetime
from typing import Any
from urllib.parse import quote

from connectors.contract import Fields, Op, Record, Ref, Test, Write, WriteResult
from connectors.errors import (
    ConnectionTrouble,
    ConnectorError,
    MappingError,
    Rejected,
    ServerTrouble,
    StaleVersion,
    TakenForDuplicate,
    not_sent,
)
from connectors.http import Answer, HttpClient, unreadable
from connectors.salesforce import query
from connectors.salesforce.client import Part, SalesforceClient, query_part
from connectors.salesforce.codec import SYSTEM, always, full_id, read_ref, write_body
from connectors.salesforce.faults import DUPLICATES, LOCKED, Fault, read_faults, record_error
from connectors.salesforce.our_fields import OurFields
from connectors.salesforce.settings import SalesforceSettings
from connectors.text import read_instant

PARTS_A_CALL = 25  # of a composite
DELETES_A_CALL = 200
SECOND_GOES_ON = timedelta(seconds=2)  # a Date header counts whole seconds, too
REFUSALS_OF_ALL = 3  # rows refused one by one, by the call and not by name, while none went through: the call is at fault
REQUIRED = {
    "Account": ("Name",),
    "Contact": ("LastName",),
    "Lead": ("LastName", "Company"),
    "Opportunity": ("Name", "StageName", "CloseDate"),
}
ASSIGNED = frozenset({"Lead", "Case"})  # assignment rules may change the owner of these
AUTO_ASSIGN, ALLOW_DUPLICATES = "Sforce-Auto-Assign", "Sforce-Duplicate-Rule-Header"

Outcome = Record | ConnectorError


@dataclass(frozen=True, slots=True)
class Row:
    """One write on its way: where it stands among its fellows, and what is sent."""

    at: int
    write: Write
    body: Mapping[str, Any] = field(repr=False)


@dataclass(frozen=True, slots=True)
class Sent:
    """What became of one row in one call."""

    row: Row
    outcome: Outcome
    answer: Answer = field(repr=False)
    stood: Fields = field(default_factory=dict, repr=False)  # what the written fields held right before


@dataclass(frozen=True, slots=True)
class Batch:
    """Rows that go out in one call, and the call. It raises when the whole call failed."""

    rows: list[Row]
    send: Callable[[list[Row]], list[Sent]]


# Reads records by id with these columns; made by the connector, which knows how fields are read.
ReadBack = Callable[[str, Sequence[str], Sequence[str]], list[Record]]
ReadRow = Callable[[Any, str], Record | None]


class Writer:
    """Writes of one connection. `required` says which fields of an object type are known to be required."""

    def __init__(
        self,
        http: HttpClient,
        client: SalesforceClient,
        settings: SalesforceSettings,
        read_back: ReadBack,
        read_row: ReadRow,
        required: Callable[[str], frozenset[str]],
        ours: OurFields,
    ) -> None:
        self._http = http
        self._client = client
        self._settings = settings
        self._read_back = read_back
        self._read_row = read_row
        self._required = required
        self._ours = ours

    def write(self, object_type: str, writes: Sequence[Write]) -> list[WriteResult]:
        """Returns a result for each write, in order. Raises when one trouble met them all."""
        settled: dict[int, WriteResult] = {}
        batches = self._batches(object_type, self._as_seen(object_type, self._rows(object_type, writes, settled), settled))
        trouble: ConnectionTrouble | None = None
        for batch in batches:
            if trouble is not None:
                settled |= _unsent(batch.rows, trouble)
                continue
            trouble = self._carry_out(batch, settled)
        results = [settled[at] for at in range(len(writes))]
        if trouble is not None and all(result.error is trouble for result in results):
            raise trouble
        return results

    def _rows(self, object_type: str, writes: Sequence[Write], settled: dict[int, WriteResult]) -> list[Row]:
        """Returns what is sent of each write; what cannot be sent is settled here."""
        rows = []
        for at, write in enumerate(writes):
            try:
                if write.ref is not None and full_id(write.ref.id) is None:
                    raise Rejected(f"{write.ref.id[:40]!r} is no id", system=SYSTEM)
                if write.version and read_instant(write.version) is None:
                    raise StaleVersion(f"{write.version[:40]!r} is no version of it", system=SYSTEM)
                rows.append(Row(at, write, write_body({} if write.is_delete else self._ours.real_fields(object_type, write.fields))))
            except ConnectorError as error:
                settled[at] = WriteResult(write.key, error=error)
        return rows

    def _as_seen(self, object_type: str, rows: list[Row], settled: dict[int, WriteResult]) -> list[Row]:
        """Returns the rows without deletes of records that somebody changed since their version: deleting knows no condition, so
        that they are read right before it. One that is not there is left to Salesforce to tell of."""
        asked = {id_: row for row in rows if row.write.is_delete and row.write.version and (id_ := _id_of(row))}
        for start in range(0, len(asked), DELETES_A_CALL):
            part = dict(list(asked.items())[start : start + DELETES_A_CALL])
            try:
                found = {record.ref.id: record.version for record in self._read_back(object_type, list(part), ())}
            except ConnectorError as error:
                settled |= {row.at: _failed(row, not_sent(error)) for row in part.values()}
                continue
            for id_, row in part.items():
                if id_ in found and read_instant(found[id_]) != read_instant(row.write.version):
                    settled[row.at] = _failed(row, StaleVersion("was changed meanwhile, and is not deleted", system=SYSTEM))
        return [row for row in rows if row.at not in settled]

    def _batches(self, object_type: str, rows: list[Row]) -> list[Batch]:
        """Returns the calls to make. Rows of one account stand together: apart, they lock each other out."""
        rows = sorted(rows, key=lambda row: (str(row.body.get("AccountId") or ""), row.at))
        marker_field = self._settings.marker_field(object_type)
        deletes = [row for row in rows if row.write.is_delete]
        updates = [row for row in rows if row.write.ref is not None and not row.write.is_delete]
        creates = [row for row in rows if row.write.ref is None]
        most = self._settings.update_size
        marked = [row for row in creates if row.write.marker and marker_field]
        plain = [row for row in creates if not (row.write.marker and marker_field)]
        kinds: list[tuple[list[Row], int, Callable[[list[Row]], list[Sent]]]] = [
            (deletes, DELETES_A_CALL, lambda part: self._delete(object_type, part)),
            (
                [row for row in updates if self._is_fresh(row)],
                min(most, PARTS_A_CALL - 2),
                lambda part: self._update_fresh(object_type, part),
            ),
            ([row for row in updates if not self._is_fresh(row)], most, lambda part: self._update(object_type, part)),
            (marked, self._settings.create_size, lambda part: self._create(object_type, part, marker_field)),
            (plain, self._settings.create_size, lambda part: self._create(object_type, part, "")),
        ]
        return [Batch(some[i : i + size], send) for some, size, send in kinds for i in range(0, len(some), size)]

    # --- one batch: whole refusals in parts, held rows again ----------------------------------------------------------

    def _carry_out(self, batch: Batch, settled: dict[int, WriteResult]) -> ConnectionTrouble | None:
        """Settles the rows of a batch. Returns the trouble that ended it early, None when there was none."""
        waiting, held, tries, went_through = [batch.rows], list[Row](), 0, 0
        alone: list[Row] = []  # refused by the call, one by one
        while waiting or held:
            if not waiting:
                self._http.back_off(tries, first_seconds=self._settings.lock_wait)
                waiting, held, tries = [held], [], tries + 1
            part = waiting.pop()
            try:
                sent = batch.send(part)
            except (Rejected, MappingError) as refusal:
                rest = _parts_of(part, refusal)
                refused = _not_in(part, rest)
                settled |= {row.at: _failed(row, refusal) for row in refused}
                waiting += rest
                alone += refused if isinstance(refusal, Rejected) else []
                if len(alone) >= REFUSALS_OF_ALL and not went_through and waiting:
                    trouble = _of_all(refusal)
                    settled |= {row.at: _failed(row, trouble) for rows in [alone, *waiting, held] for row in rows}
                    return trouble
            except ConnectionTrouble as found:
                settled |= {row.at: _failed(row, found) for row in part}
                settled |= _unsent([row for rows in [*waiting, held] for row in rows], found)
                return found
            else:
                went_through += 1
                for one in sent:
                    if _is_held(one.outcome) and tries < self._settings.lock_tries:
                        held.append(one.row)
                    else:
                        settled[one.row.at] = _result(one)
        return None

    # --- creates ------------------------------------------------------------------------------------------------------

    def _create(self, object_type: str, rows: list[Row], marker_field: str) -> list[Sent]:
        """Makes the records, or meets those that carry their key already, and reads them back."""
        records = [
            {"attributes": {"type": object_type}, **row.body, **({marker_field: row.write.marker} if marker_field else {})} for row in rows
        ]
        body = {"allOrNone": False, "records": records}
        headers = self._headers(object_type)
        if marker_field:
            path, template = f"/composite/sobjects/{object_type}/{marker_field}", "/composite/sobjects/{object}/{field}"
            lines, answer = self._client.collection("PATCH", path, template, count=len(rows), body=body, headers=headers)
        else:
            path = "/composite/sobjects"
            lines, answer = self._client.collection("POST", path, path, count=len(rows), body=body, headers=headers)
        sent = [self._made(row, line, object_type, answer) for row, line in zip(rows, lines, strict=True)]
        sent = self._look_at_duplicates(object_type, sent, marker_field)
        return self._with_what_was_made(object_type, sent, marker_field)

    def _made(self, row: Row, line: Mapping[str, Any], object_type: str, answer: Answer) -> Sent:
        if line.get("success") is not True:
            return Sent(row, self._refused(row, read_faults(line.get("errors"), object_type), 200, answer, is_there=None), answer)
        ref = read_ref(line.get("id"), object_type)
        return Sent(row, Record(ref, {}) if ref is not None else unreadable(SYSTEM, answer, is_read=False), answer)

    def _look_at_duplicates(self, object_type: str, sent: list[Sent], marker_field: str) -> list[Sent]:
        """Asks again, one by one, for rows that a duplicate rule refused: only then it names the records it found. One
        further call; rows beyond it stay without names."""
        asked = [one for one in sent if _is_nameless_duplicate(one.outcome)][:PARTS_A_CALL]
        if not asked:
            return sent
        parts = [self._single(object_type, one.row, marker_field, f"w{i}") for i, one in enumerate(asked)]
        try:
            answers, answer = self._client.composite(parts, is_read=False, headers=self._headers(object_type))
        except (Rejected, MappingError):
            return sent
        except ConnectionTrouble as trouble:  # the rule may have been changed meanwhile, and the record made
            told = {one.row.at: Sent(one.row, trouble if trouble.may_have_happened else one.outcome, one.answer) for one in asked}
        else:
            pairs = zip(asked, answers, strict=True)
            told = {one.row.at: self._made_singly(one.row, part, object_type, marker_field, answer) for one, part in pairs}
        return [told.get(one.row.at, one) for one in sent]

    def _single(self, object_type: str, row: Row, marker_field: str, name: str) -> dict[str, Any]:
        path, method = f"{self._client.root}/sobjects/{object_type}", "POST"
        if marker_field:
            path, method = f"{path}/{marker_field}/{quote(row.write.marker, safe='')}", "PATCH"
        return _part(method, path, name, row.body, self._headers(object_type))

    def _made_singly(self, row: Row, part: Part, object_type: str, marker_field: str, answer: Answer) -> Sent:
        if part.status in (200, 201) and isinstance(part.body, dict) and part.body.get("success") is True:
            return self._made(row, part.body, object_type, answer)
        if part.status == 300:
            several = f"several records carry the key {row.write.marker} in {marker_field}; make that field unique"
            return Sent(row, Rejected(several, system=SYSTEM, status=300, field=marker_field, exchange=answer.exchange), answer)
        return Sent(row, self._refused(row, read_faults(part.body, object_type), part.status, answer, is_there=None), answer)

    def _with_what_was_made(self, object_type: str, sent: list[Sent], marker_field: str) -> list[Sent]:
        """Returns the outcomes with the records as Salesforce stored them. Where they cannot be read, they are there all the
        same: a record without fields then says that."""
        made = [one.outcome.ref.id for one in sent if isinstance(one.outcome, Record)]
        if not made:
            return sent
        names = [name for one in sent for name in (*one.row.body, *one.row.write.also_read)] + ([marker_field] if marker_field else [])
        try:
            found = {record.ref.id: record for record in self._read_back(object_type, made, names)}
        except ConnectorError:
            return sent
        return [
            replace(one, outcome=found.get(one.outcome.ref.id, one.outcome)) if isinstance(one.outcome, Record) else one for one in sent
        ]

    # --- updates and deletes ------------------------------------------------------------------------------------------

    def _update(self, object_type: str, rows: list[Row]) -> list[Sent]:
        """Changes the records, each only if nobody changed it since its version, and reads them in the same call."""
        _, sent = self._changes(object_type, rows, is_read_before=False)
        return sent

    def _update_fresh(self, object_type: str, rows: list[Row]) -> list[Sent]:
        """Changes records whose version was young when it was read, and reads them before as well: the condition counts whole
        seconds, so that an edit within the version's own second passes it unseen."""
        before, sent = self._changes(object_type, rows, is_read_before=True)
        return [replace(one, stood=_stood(one.row, before)) for one in sent]

    def _is_fresh(self, row: Row) -> bool:
        """Tells whether the version's second may have gone on when it was read: we read nothing before our first call."""
        at, since = read_instant(row.write.version), self._client.first_heard_at
        return at is None or since is None or at >= since - SECOND_GOES_ON

    def _changes(self, object_type: str, rows: list[Row], *, is_read_before: bool) -> tuple[dict[str, Record], list[Sent]]:
        """Returns the records as they were, where they are read before, and what became of the rows."""
        ids = [str(full_id(row.write.ref.id)) for row in rows if row.write.ref is not None]
        columns = dict.fromkeys([*always(object_type), *(name for row in rows for name in row.body)])
        soql = query.select(object_type, columns, Test("Id", Op.IN, tuple(ids)))
        parts = [
            _part("PATCH", f"{self._client.root}/sobjects/{object_type}/{id_}", f"w{row.at}", row.body, self._conditions(object_type, row))
            for row, id_ in zip(rows, ids, strict=True)
        ]
        first = [query_part(f"{self._client.root}/query", soql, "before")] if is_read_before else []
        last = query_part(f"{self._client.root}/query", soql, "after")
        answers, answer = self._client.composite([*first, *parts, last], is_read=False, headers=self._headers(object_type))
        before = self._found(answers[0], object_type) if is_read_before else None
        after = self._found(answers[-1], object_type)
        sent = [self._changed(row, part, after, answer) for row, part in zip(rows, answers[len(first) : -1], strict=True)]
        return before or {}, sent

    def _conditions(self, object_type: str, row: Row) -> dict[str, str]:
        at = read_instant(row.write.version)
        lock = {"If-Unmodified-Since": format_datetime(_whole_second(at), usegmt=True)} if at is not None else {}
        return {**self._headers(object_type), **lock}

    def _found(self, part: Part, object_type: str) -> dict[str, Record] | None:
        """Returns the records of a read within a composite, None when it failed."""
        rows = part.body.get("records") if part.status == 200 and isinstance(part.body, dict) else None
        if not isinstance(rows, list) or part.body.get("done") is not True:
            return None
        records = [self._read_row(row, object_type) for row in rows]
        return {record.ref.id: record for record in records if record is not None}

    def _changed(self, row: Row, part: Part, found: dict[str, Record] | None, answer: Answer) -> Sent:
        ref = row.write.ref
        assert ref is not None
        id_ = str(full_id(ref.id))
        record = found.get(id_) if found is not None else None
        if part.status in (200, 204):
            return Sent(row, record or Record(Ref(SYSTEM, ref.object_type, id_), {}), answer)
        is_there = None if found is None else record is not None and not record.is_deleted
        return Sent(row, self._refused(row, read_faults(part.body, ref.object_type), part.status, answer, is_there=is_there), answer)

    def _delete(self, object_type: str, rows: list[Row]) -> list[Sent]:
        refs = [row.write.ref for row in rows if row.write.ref is not None]
        ids = ",".join(str(full_id(ref.id)) for ref in refs)
        path = f"/composite/sobjects?ids={quote(ids, safe='')}&allOrNone=false"
        lines, answer = self._client.collection("DELETE", path, "/composite/sobjects", count=len(rows))
        return [self._deleted(row, ref, line, answer) for row, ref, line in zip(rows, refs, lines, strict=True)]

    def _deleted(self, row: Row, ref: Ref, line: Mapping[str, Any], answer: Answer) -> Sent:
        if line.get("success") is True:
            return Sent(row, Record(ref, {}, is_deleted=True), answer)
        return Sent(row, self._refused(row, read_faults(line.get("errors"), ref.object_type), 200, answer, is_there=None), answer)

    # --- refusals -----------------------------------------------------------------------------------------------------

    def _refused(self, row: Row, faults: list[Fault], status: int, answer: Answer, *, is_there: bool | None) -> ConnectorError:
        """Returns the error of a row that did not go through. One that Salesforce gives no reason for is in doubt, except
        for a version that no longer stands."""
        if not faults and status != 412:
            return unreadable(SYSTEM, answer, is_read=False)
        return self._client.judged(
            record_error(
                faults,
                row.write,
                status=status,
                is_there=is_there,
                required=self._required(row.write.object_type),
                settings=self._settings,
                redact=answer.redact,
                exchange=answer.exchange,
            )
        )

    def _headers(self, object_type: str) -> dict[str, str]:
        headers = {AUTO_ASSIGN: "FALSE"} if object_type in ASSIGNED and not self._settings.assigns_leads else {}
        return headers | ({ALLOW_DUPLICATES: "allowSave=true"} if self._settings.allows_duplicates else {})


def _part(method: str, path: str, name: str, body: Mapping[str, Any], headers: Mapping[str, str]) -> dict[str, Any]:
    part = {"method": method, "url": path, "referenceId": name, "body": dict(body)}
    return {**part, "httpHeaders": dict(headers)} if headers else part


def _id_of(row: Row) -> str:
    return (full_id(row.write.ref.id) or "") if row.write.ref is not None else ""


def _whole_second(at: datetime) -> datetime:
    return at.replace(microsecond=0)


def _is_nameless_duplicate(outcome: Outcome) -> bool:
    return isinstance(outcome, TakenForDuplicate) and outcome.code == DUPLICATES and not outcome.refs


def _is_held(outcome: Outcome) -> bool:
    return isinstance(outcome, StaleVersion) and outcome.code == LOCKED


def _of_all(refusal: ConnectorError) -> ConnectionTrouble:
    """Returns the trouble of a call that is refused whichever row it carries."""
    common: dict[str, Any] = {"system": SYSTEM, "status": refusal.status, "exchange": refusal.exchange}
    return ServerTrouble(f"refuses every change ({refusal.detail})", **common)


def _parts_of(rows: list[Row], refusal: ConnectorError) -> list[list[Row]]:
    """Returns what of a call that was refused as a whole may be sent again: the rows without the field that it does not
    know, else halves. Nothing when the refusal met one row, or a field that all of them carry."""
    if isinstance(refusal, MappingError):
        without = [row for row in rows if refusal.field not in row.body]
        return [without] if 0 < len(without) < len(rows) else []
    middle = len(rows) // 2
    return [rows[middle:], rows[:middle]] if middle else []


def _not_in(rows: Iterable[Row], parts: list[list[Row]]) -> list[Row]:
    again = {row.at for part in parts for row in part}
    return [row for row in rows if row.at not in again]


def _result(sent: Sent) -> WriteResult:
    exchange = sent.answer.exchange
    if isinstance(sent.outcome, Record):
        return WriteResult(sent.row.write.key, record=sent.outcome, exchange=exchange, stood=sent.stood)
    return WriteResult(sent.row.write.key, error=sent.outcome, exchange=sent.outcome.exchange or exchange)


def _stood(row: Row, before: Mapping[str, Record]) -> Fields:
    record = before.get(str(full_id(row.write.ref.id))) if row.write.ref is not None else None
    return {name: record.fields[name] for name in row.write.fields if name in record.fields} if record is not None else {}


def _failed(row: Row, error: ConnectorError) -> WriteResult:
    return WriteResult(row.write.key, error=error, exchange=error.exchange)


def _unsent(rows: Iterable[Row], trouble: ConnectorError) -> dict[int, WriteResult]:
    """Returns the results of rows that were not sent after the trouble: certainly not done."""
    error = not_sent(trouble)
    return {row.at: WriteResult(row.write.key, error=error) for row in rows}

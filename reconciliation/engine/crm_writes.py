"""Writes to the organisations themselves: Id and URL back, flags set. A hundred a call, each with a fresh lock_version."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace

from connectors.contract import Record, Ref, Value
from connectors.errors import ConnectorError, RecordGone, StaleVersion
from reconciliation.core.operations import Candidate, CaseOpening, Intent
from reconciliation.core.values import is_blank
from reconciliation.engine import cases, tombstones
from reconciliation.engine.context import RunContext
from reconciliation.engine.executor import Done
from reconciliation.models import Binding, Case, Operation
from reconciliation.models.bulk import update_rows
from reconciliation.passes.organisations import ACCOUNT, ORGANISATION

TRIES = 5


@dataclass(frozen=True, slots=True)
class CrmWrite:
    """One owed change of one organisation. `version` "" asks for a read first."""

    kind: str
    organisation_id: str
    name: str
    fields: dict[str, Value]
    version: str
    reason: str
    before: dict[str, Value] = field(default_factory=dict)


def owed_write_back(context: RunContext, binding: Binding, record: Record | None = None) -> CrmWrite:
    """Returns the write of Id and URL, and of nothing else (engine-rules 14). `record` is the organisation as it was
    read a moment ago, None when it has to be read first."""
    fields = id_and_url(context, binding.peer_id)
    return _of(record, CrmWrite("write_back", binding.crm_id, binding.name, fields, "", "Outreach Id and URL of the account."))


def id_and_url(context: RunContext, peer_id: str) -> dict[str, Value]:
    """Returns what an organisation holds of its account."""
    columns = context.terms.columns
    url = context.peer.connector.web_url(Ref(context.peer.connector.system, ACCOUNT, peer_id))
    return {columns.peer_id: peer_id, columns.peer_url: url or None}


def _of(record: Record | None, write: CrmWrite) -> CrmWrite:
    return write if record is None else replace(write, version=record.version, before=dict(record.fields))


def owed_flag(context: RunContext, case: Case, record: Record | None = None) -> CrmWrite:
    """Returns the write of the flag that keeps the organisation out of later passes (S0.17, S0.21)."""
    columns = context.terms.columns
    fields: dict[str, Value] = {columns.duplicate: True} if case.kind == Case.Kind.DUPLICATE else columns.error_set(case.sentence)
    return _of(record, CrmWrite("flag", case.crm_id, case.name, fields, "", case.sentence))


def error_text_emptied(context: RunContext, record: Record) -> CrmWrite:
    """Returns the write that empties *Outreach Error* of an organisation that went through (D34)."""
    columns = context.terms.columns
    fields: dict[str, Value] = {columns.error_text: columns.error_cleared()[columns.error_text]}
    name = str(record.fields.get("name") or "")
    return _of(record, CrmWrite("flag", record.ref.id, name, fields, "", "The organisation went through; its error is over."))


def write_all(context: RunContext, writes: Sequence[CrmWrite]) -> list[str]:
    """Carries out the writes; a stale one is read again and written again, at most TRIES times a run. Returns the ids
    of organisations whose write did not go through; what a run owes stays owed and is done first in the next one.
    Raises ConnectionTrouble."""
    waiting, failed = list(writes), []
    for _ in range(TRIES):
        if not waiting:
            break
        ready = _read_versions(context, waiting)
        readable = {w.organisation_id for w in ready}
        failed += [w.organisation_id for w in waiting if w.organisation_id not in readable]
        waiting = ready
        merged = _one_per_organisation(waiting)
        stale: set[str] = set()
        intended = context.executor.intend([_intent(context, w) for w in merged])
        operations = [op for op in intended if op is not None]
        context.executor.send("crm", operations, lambda done, stale=stale: _settle(context, done, stale))
        failed += [w.organisation_id for w, op in zip(merged, intended, strict=True) if op is None or op.state == Operation.State.REJECTED]
        failed = [id_ for id_ in failed if id_ not in stale]
        waiting = [replace(w, version="") for w in waiting if w.organisation_id in stale]
    for write in waiting:
        _kept_stale(context, write)
    return failed + [w.organisation_id for w in waiting]


def _kept_stale(context: RunContext, write: CrmWrite) -> None:
    """Somebody changed the organisation each time between our read and our write: a person has to look (rule 1)."""
    if write.kind != "write_back":
        return  # a flag stays owed, and its case holds the row
    sentence = f"Id and URL could not be written back: the organisation was changed {TRIES} times while we tried."
    opening = CaseOpening("error", cases.WRITE_BACK_REFUSED, sentence, "See who edits it so often, then press Retry.")
    ref = Ref(context.crm.connector.system, ORGANISATION, write.organisation_id)
    cases.open_case(context, Record(ref, {"name": write.name}), opening)


def _intent(context: RunContext, write: CrmWrite) -> Intent:
    ref = Ref(context.crm.connector.system, ORGANISATION, write.organisation_id)
    return Intent(
        write.kind,
        "crm",
        ORGANISATION,
        str(ref),
        after=write.fields,
        before={name: write.before.get(name) for name in write.fields} if write.before else {},
        target_id=write.organisation_id,
        version=write.version,
        reason=write.reason,
        origin={"name": write.name, **context.staff_origin()},
    )


def _one_per_organisation(writes: Iterable[CrmWrite]) -> list[CrmWrite]:
    """Joins what is owed to one organisation into one row; a write-back names the kind."""
    merged: dict[str, CrmWrite] = {}
    for write in writes:
        other = merged.get(write.organisation_id)
        if other is None:
            merged[write.organisation_id] = write
        else:
            kind = "write_back" if "write_back" in (write.kind, other.kind) else "flag"
            merged[write.organisation_id] = replace(other, kind=kind, fields={**other.fields, **write.fields})
    return list(merged.values())


def _read_versions(context: RunContext, writes: list[CrmWrite]) -> list[CrmWrite]:
    """Fills in lock_versions read now, and leaves out what must not be written any more."""
    unread = sorted({w.organisation_id for w in writes if not w.version})
    if not unread:
        return writes
    columns = context.terms.columns
    found: dict[str, Record] = {r.ref.id: r for r in context.crm.connector.read(ORGANISATION, unread, ["name", *columns.names])}
    ready = []
    for write in writes:
        if write.version:
            ready.append(write)
            continue
        record = found.get(write.organisation_id)
        if record is None or record.is_deleted:
            _forget(context, write, record)
        elif _has_other_id(write, record, columns.peer_id):
            _raise_other_id(context, write, record, columns.peer_id)
        else:
            ready.append(replace(write, version=record.version, before=dict(record.fields)))
    return ready


def _forget(context: RunContext, write: CrmWrite, record: Record | None) -> None:
    """The organisation was deleted meanwhile: its binding becomes a tombstone, nothing is owed any more."""
    rows = Binding.objects.filter(sync_pass=context.sync_pass, crm_type=ORGANISATION, crm_id=write.organisation_id)
    tombstones.note_deleted_in_crm(context, rows, {record.ref.id: record} if record is not None else {})
    rows.end()
    Case.objects.filter(sync_pass=context.sync_pass, crm_id=write.organisation_id, state=Case.State.OPEN).update(flag=Case.Flag.NONE)


def _has_other_id(write: CrmWrite, record: Record, column: str) -> bool:
    stored = record.fields.get(column)
    wanted = write.fields.get(column)
    return not is_blank(wanted) and not is_blank(stored) and str(stored) != wanted


def _raise_other_id(context: RunContext, write: CrmWrite, record: Record, column: str) -> None:
    """Another Outreach Id found there is never overwritten: duplicate case (engine-rules 14)."""
    sentence = (
        f"Account {write.fields[column]} was created for this organisation, but Workbooks now names account {record.fields[column]}. "
        "Nothing was overwritten."
    )
    ours, theirs = str(write.fields[column]), str(record.fields[column])
    candidates = (Candidate(ours, write.name, "created for it"), Candidate(theirs, "", "named by Outreach Id in Workbooks"))
    opening = CaseOpening("duplicate", "other_id", sentence, "Choose which account is right.", candidates)
    cases.open_case(context, record, opening, flag=Case.Flag.NONE)
    Binding.objects.filter(sync_pass=context.sync_pass, crm_type=ORGANISATION, crm_id=write.organisation_id).update(is_write_back_due=False)


def _settle(context: RunContext, done: list[Done], stale: set[str]) -> None:
    confirmed = []
    for item in done:
        op = item.operation
        if item.error is None:
            confirmed.append(item)
        elif isinstance(item.error, StaleVersion | RecordGone):
            stale.add(op.target_id)  # read again: it says whether the record is deleted
        elif isinstance(item.error, ConnectorError) and op.state == Operation.State.REJECTED:
            _refused(context, op, item.error)
    _settle_bindings(context, confirmed)
    _settle_flags(context, confirmed)


def _settle_bindings(context: RunContext, confirmed: list[Done]) -> None:
    """Notes that Id and URL are there, and which version is our own echo.

    Only when our write rested on the version whose values were carried over is the new version an echo; else an edit
    came between, and the next pass must see it."""
    by_id = {item.operation.target_id: item for item in confirmed}
    rows = list(Binding.objects.filter(sync_pass=context.sync_pass, crm_type=ORGANISATION, crm_id__in=by_id))
    for row in rows:
        item = by_id[row.crm_id]
        version = item.record.version if item.record is not None else ""
        row.crm_version = version if row.crm_version == item.operation.rests_on else ""
        if item.operation.after.get(context.terms.columns.peer_id):
            row.is_write_back_due, row.owed_since = False, None
            context.ledger.related["written_back"] += 1
    update_rows(rows, ["crm_version", "is_write_back_due", "owed_since"])
    cases.close_written_back(context, [row.crm_id for row in rows if not row.is_write_back_due])


def _settle_flags(context: RunContext, confirmed: list[Done]) -> None:
    for column, kind in ((context.terms.columns.duplicate, Case.Kind.DUPLICATE), (context.terms.columns.error, Case.Kind.ERROR)):
        flagged = [item.operation.target_id for item in confirmed if item.operation.after.get(column) is True]
        if flagged:
            rows = Case.objects.filter(sync_pass=context.sync_pass, kind=kind, crm_id__in=flagged, state=Case.State.OPEN)
            rows.update(flag=Case.Flag.WRITTEN)
            context.ledger.related["flags_set"] += len(flagged)


def _refused(context: RunContext, op: Operation, error: ConnectorError) -> None:
    """Workbooks refuses our write: an error case; when it was the flag itself, the local case alone holds the row."""
    Case.objects.filter(sync_pass=context.sync_pass, crm_id=op.target_id, state=Case.State.OPEN).update(flag=Case.Flag.NONE)
    if op.kind == Operation.Kind.WRITE_BACK:
        rows = Binding.objects.filter(sync_pass=context.sync_pass, crm_type=ORGANISATION, crm_id=op.target_id)
        name = rows.values_list("name", flat=True).first() or ""
        cases.open_case(
            context,
            Record(Ref.parse(op.source_ref), {"name": name}),
            CaseOpening("error", cases.WRITE_BACK_REFUSED, f"Id and URL could not be written back. {error.sentence}", error.remedy),
            flag=Case.Flag.OWED,
            exchange=op.exchange,
        )

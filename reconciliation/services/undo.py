"""Takes back what was written, from the journal, checked against what is there now (engine-rules 17).

An update: what it replaced is written only where our after-value still stands. A create: the account is deleted only if
nobody touched it since and no prospect hangs on it; then Id and URL are cleared and *Sync to Outreach* is unticked.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from types import ModuleType
from typing import Any

from django.contrib.auth.models import AbstractBaseUser
from django.db.models import QuerySet

from connectors.contract import Connector, Record, Ref, Value
from connectors.errors import ConnectorError
from reconciliation.core.counting import counted
from reconciliation.core.mapping import Mapping
from reconciliation.core.operations import Intent
from reconciliation.core.values import is_blank, is_same
from reconciliation.engine import crm_writes, gather, undone
from reconciliation.engine.context import RunContext
from reconciliation.engine.crm_writes import CrmWrite
from reconciliation.engine.executor import Done
from reconciliation.engine.staff import at_work
from reconciliation.engine.wiring import Wiring
from reconciliation.models import Binding, Operation, Run, SyncPass
from reconciliation.models.journal import UNDOABLE_TYPES
from reconciliation.passes.organisations import ACCOUNT
from reconciliation.services import activity_undo, email_undo, pair_undo
from reconciliation.services.audit import audit
from reconciliation.services.duplicates import read_organisations
from reconciliation.store import decode, decode_fields, mapping_of

MOST_AT_ONCE = 500
UNDOABLE = (Operation.Kind.UPDATE, Operation.Kind.CREATE)


@dataclass(frozen=True, slots=True)
class UndoLine:
    """What undoing one write would do, or why it cannot be done."""

    operation: Operation
    sentence: str
    fields: tuple[str, ...] = ()
    is_possible: bool = True
    titles: dict[str, str] = field(default_factory=dict)  # of fields, where they have other ones than their names

    @property
    def changes(self) -> list[tuple[str, Any, Any]]:
        """Returns (field, value now, value afterwards) of what is taken back, for the page."""
        return [(self.titles.get(n, n), self.operation.after.get(n), self.operation.replaced(n)) for n in self.fields]


@dataclass(frozen=True, slots=True)
class Desk:
    """What is needed to say what undoing would do: it reads, and takes no lease."""

    sync_pass: SyncPass
    peer: Connector
    mapping: Mapping


def undoable(run: Run) -> QuerySet[Operation]:
    """Returns the writes of a run that undo knows how to take back, newest first."""
    rows = Operation.objects.filter(
        run=run, state=Operation.State.CONFIRMED, kind__in=UNDOABLE, object_type__in=UNDOABLE_TYPES, undone_at=None
    )
    return rows.select_related("connection", "run").order_by("-pk")


def _lines(desk: Desk, operations: list[Operation], field: str = "") -> list[UndoLine]:
    """Returns a line per write, from what both systems hold now. With `field` only that one is taken back."""
    accounts = gather.accounts_by_id(desk.peer, desk.mapping, [op.target_id for op in operations])
    made = sorted({op.target_id for op in operations if op.kind == Operation.Kind.CREATE and op.target_id in accounts})
    prospects = desk.peer.find("prospect", "account.id", made, ["account"]) if made else []
    crowded = {str(prospect.fields.get("account")) for prospect in prospects}
    return [_line(desk, op, accounts.get(op.target_id), field, crowded) for op in operations]


def _line(desk: Desk, op: Operation, account: Record | None, field: str, crowded: set[str]) -> UndoLine:
    name = op.after.get("name") or op.source_ref
    if op.undone_at is not None:
        return UndoLine(op, f"Account {op.target_id}: this write was taken back already.", is_possible=False)
    if op.is_forgotten:
        return UndoLine(op, f"Account {op.target_id}: a value of this write was a person's who was forgotten.", is_possible=False)
    if account is None:
        return UndoLine(op, f"Account {op.target_id} is not in Outreach any more.", is_possible=False)
    if op.kind == Operation.Kind.CREATE:
        return _create_line(desk, op, account, str(name), has_prospects=op.target_id in crowded)
    written = {n: v for n, v in op.after.items() if not field or n == field}
    standing = [n for n, value in written.items() if is_same(account.fields.get(n), decode(value))]
    if not standing:
        return UndoLine(op, f"Account {op.target_id}: every value was changed again since; nothing to take back.", is_possible=False)
    left = len(written) - len(standing)
    tail = f"; {left} changed again since and stay" if left else ""
    get = "gets its earlier value" if len(standing) == 1 else "get their earlier values"
    return UndoLine(op, f"Account {op.target_id}: {', '.join(standing)} {get}{tail}.", tuple(standing))


def _create_line(desk: Desk, op: Operation, account: Record, name: str, *, has_prospects: bool) -> UndoLine:
    binding = Binding.objects.filter(sync_pass=desk.sync_pass, peer_type=ACCOUNT, peer_id=op.target_id, is_tombstone=False).first()
    touched = binding is None or binding.peer_version != account.version
    if touched:
        return UndoLine(op, f"Account {op.target_id} {name} was changed since it was created; it is kept.", is_possible=False)
    if has_prospects:
        return UndoLine(op, f"Account {op.target_id} {name} has prospects; it is kept.", is_possible=False)
    return UndoLine(op, f"Account {op.target_id} {name} is deleted; Id and URL are cleared and Sync to Outreach is unticked in Workbooks.")


def undo_plan(sync_pass: SyncPass, operations: list[Operation], *, field: str = "", wiring: Wiring | None = None) -> list[UndoLine]:
    """Returns what undoing these writes, or one field of them, would do. Reads only. Raises ConnectorError."""
    if _has_own_road(sync_pass):
        return _pair_plan(sync_pass, operations[:MOST_AT_ONCE], field, wiring or Wiring())
    peer = (wiring or Wiring()).open_connector(sync_pass.peer)
    try:
        return _lines(Desk(sync_pass, peer, mapping_of(sync_pass.mapping, sync_pass.peer)), operations[:MOST_AT_ONCE], field)
    finally:
        peer.close()


def _pair_plan(sync_pass: SyncPass, operations: list[Operation], field: str, wiring: Wiring) -> list[UndoLine]:
    opened: dict[str, Connector] = {}
    try:
        opened["crm"] = wiring.open_connector(sync_pass.crm)
        opened["peer"] = wiring.open_peer(sync_pass)
        standing = _road(sync_pass).standings(sync_pass, opened, operations, field)
        return [_pair_line(sync_pass, op, s) for op, s in zip(operations, standing, strict=True)]
    finally:
        for connector in opened.values():
            connector.close()


def _road(sync_pass: SyncPass) -> ModuleType:
    """Returns what knows how to take back the writes of a pass that is not the organisations'."""
    if sync_pass.is_of_emails:
        return email_undo
    return activity_undo if sync_pass.is_of_activities else pair_undo


def _has_own_road(sync_pass: SyncPass) -> bool:
    """Tells whether a pass is not the organisations'."""
    return sync_pass.is_two_way or sync_pass.is_of_activities or sync_pass.is_of_emails


def _pair_line(sync_pass: SyncPass, op: Operation, standing: pair_undo.Standing) -> UndoLine:
    titles = {name: pair_undo.title_of(sync_pass, op, name) for name in standing.fields}
    return UndoLine(op, standing.sentence, standing.fields, standing.is_possible, titles)


def _undo_pairs(context: RunContext, operations: list[Operation], field: str) -> list[UndoLine]:
    sides = {"crm": context.crm.connector, "peer": context.peer.connector}
    road = _road(context.sync_pass)
    standing = road.standings(context.sync_pass, sides, operations, field)
    refusals = road.carry_out(context, [(op, s) for op, s in zip(operations, standing, strict=True) if s.is_possible])
    lines = [_pair_line(context.sync_pass, op, s) for op, s in zip(operations, standing, strict=True)]
    return [_told(line, refusals.get(line.operation.pk, "")) for line in lines]


def undo(
    sync_pass: SyncPass,
    operations: list[Operation],
    user: AbstractBaseUser,
    *,
    field: str = "",
    reason: str = "",
    wiring: Wiring | None = None,
) -> list[UndoLine]:
    """Takes back what can be taken back and returns a line per write. Raises Busy, ConnectorError."""
    what = f"Undo {counted(len(operations), 'write')}."
    with at_work(sync_pass, by=str(user), what=what, reason=reason, wiring=wiring) as context:
        if _has_own_road(sync_pass):
            told = _undo_pairs(context, _as_they_are(operations[:MOST_AT_ONCE]), field)
            _audit(context, user, [line for line in told if line.is_possible], field)
            context.notes += [line.sentence for line in told if not line.is_possible]
            return told
        desk = Desk(sync_pass, context.peer.connector, context.terms.mapping)
        lines = _lines(desk, _as_they_are(operations[:MOST_AT_ONCE]), field)
        possible = [line for line in lines if line.is_possible]
        refusals = _restore(context, [line for line in possible if line.operation.kind == Operation.Kind.UPDATE])
        for line in possible:
            if line.operation.kind == Operation.Kind.CREATE:
                refusals[line.operation.pk] = _delete(context, line.operation)
        _audit(context, user, possible, field)
        told = [_told(line, refusals.get(line.operation.pk, "")) for line in lines]
        context.notes += [line.sentence for line in told if not line.is_possible]
        return told


def _audit(context: RunContext, user: AbstractBaseUser, done: list[UndoLine], field: str) -> None:
    operations = [line.operation.pk for line in done][:100]
    audit(user, "undo", counted(len(done), "write"), run=context.run.pk, operations=operations, field=field)


def _as_they_are(operations: list[Operation]) -> list[Operation]:
    """Returns the writes anew: while this waited for the pass, one may have been taken back or a value of it forgotten."""
    rows = Operation.objects.select_related("connection", "run").in_bulk([op.pk for op in operations])
    return [rows[op.pk] for op in operations if op.pk in rows]


def _told(line: UndoLine, refusal: str) -> UndoLine:
    return replace(line, sentence=refusal, is_possible=False) if refusal else line


OTHER_WRITER = "Somebody else is writing account {} just now; try again in a moment."


def _restore(context: RunContext, lines: list[UndoLine]) -> dict[int, str]:
    """Writes the earlier values. Returns the key of each write with "" or why it was not taken back."""
    intents = [
        Intent(
            Operation.Kind.UPDATE.value,
            "peer",
            ACCOUNT,
            line.operation.source_ref,
            after={n: decode(line.operation.replaced(n)) for n in line.fields},
            before={n: decode(line.operation.after.get(n)) for n in line.fields},
            target_id=line.operation.target_id,
            reason=f"Undo of operation {line.operation.pk}.",
            origin=pair_undo.origin_of(context, line.operation, line.fields),
        )
        for line in lines
    ]
    operations = context.executor.intend(intents)
    context.executor.send("peer", [op for op in operations if op is not None], lambda done: _restored(context, done))
    return {line.operation.pk: _refusal(line.operation, op) for line, op in zip(lines, operations, strict=True)}


def _refusal(undone: Operation, made: Operation | None) -> str:
    """Returns "" when the taking back was carried out, else the sentence that says what stood against it."""
    if made is None:
        return OTHER_WRITER.format(undone.target_id)
    return "" if made.state == Operation.State.CONFIRMED else f"Account {undone.target_id} stays as it is: {made.error or made.state}."


def _restored(context: RunContext, done: list[Done]) -> None:
    for item in done:
        if item.error is None and item.record is not None:
            undone.note_restored(context, item.operation, item.record)


def _delete(context: RunContext, created: Operation) -> str:
    """Clears the organisation first: a crash in between must not let the next pass find an Id without its account.
    Returns "" or why the account stays."""
    columns, source = context.terms.columns, Ref.parse(created.source_ref)
    record = read_organisations(context, [source.id]).get(source.id)
    stored = record.fields.get(columns.peer_id) if record is not None else None
    if record is None or record.is_deleted:
        return f"Account {created.target_id} stays: Workbooks did not take the change of organisation {source.id}, which was deleted there."
    if not is_blank(stored) and str(stored) != created.target_id:
        return f"Account {created.target_id} stays: Workbooks names account {stored} for organisation {source.id} by now."
    fields: dict[str, Value] = {columns.peer_id: None, columns.peer_url: None, columns.sync: False}
    name = str(created.after.get("name") or "")
    if crm_writes.write_all(context, [CrmWrite("flag", source.id, name, fields, record.version, "Undo of a create.", dict(record.fields))]):
        return f"Account {created.target_id} stays: Workbooks did not take the change of organisation {source.id}."
    intent = Intent(
        Operation.Kind.DELETE.value,
        "peer",
        ACCOUNT,
        created.source_ref,
        after={},
        before=decode_fields(created.after),
        target_id=created.target_id,
        reason=f"Undo of operation {created.pk}.",
        origin=pair_undo.origin_of(context, created, ()),
    )
    (operation,) = context.executor.intend([intent])
    context.executor.send("peer", [operation] if operation is not None else [], lambda done: _deleted(context, done))
    return _refusal(created, operation)


def _deleted(context: RunContext, done: list[Done]) -> None:
    for item in done:
        if item.error is None:
            undone.note_deleted(context, item.operation)
        elif isinstance(item.error, ConnectorError):
            item.operation.error = item.error.sentence

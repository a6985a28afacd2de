"""Writes that went out and whose answer was lost, creates apart: what they were to do is looked at, and counts as done
where it is done, with everything that follows from it. Else the history would lack a change that was made, and nobody
could take it back."""

from __future__ import annotations

from collections.abc import Iterable

from django.db import transaction

from connectors.contract import Record
from reconciliation.core.values import is_same
from reconciliation.engine import activity_undone, differences, email_undone, pair_undone, undone
from reconciliation.engine.context import RunContext
from reconciliation.engine.executor import Side
from reconciliation.models import Binding, Operation
from reconciliation.passes.activities import ActivityTerms
from reconciliation.passes.emails import EmailTerms
from reconciliation.passes.organisations import ACCOUNT
from reconciliation.passes.pairs import PairTerms
from reconciliation.store import decode, encode_fields

KINDS = (
    Operation.Kind.UPDATE,
    Operation.Kind.DELETE,
    Operation.Kind.MOVE_PROSPECT,
    Operation.Kind.WRITE_BACK,
    Operation.Kind.FLAG,
)
FOUND_DONE = "Its answer was lost; it was found done."


def settle(context: RunContext) -> None:
    """Confirms what is found done; the rest stays as it was. Reads each kind of record in the fewest calls. Raises
    ConnectionTrouble."""
    rows = Operation.objects.filter(run__sync_pass=context.sync_pass, state=Operation.State.SENT, kind__in=KINDS)
    groups: dict[tuple[int, str], list[Operation]] = {}
    for op in rows.exclude(run=context.run).select_related("connection").order_by("pk"):
        groups.setdefault((op.connection_id, op.object_type), []).append(op)
    for (connection_id, object_type), group in groups.items():
        side = next(s for s in (context.crm, context.peer) if s.connection.pk == connection_id)
        found = _read(side, object_type, group)
        with transaction.atomic():
            context.lease.renew()
            for op in group:
                record = found.get(op.target_id)
                if _is_done(op, record, is_pair=isinstance(context.terms, PairTerms)):
                    _confirm(context, op, record)


def _read(side: Side, object_type: str, group: Iterable[Operation]) -> dict[str, Record]:
    ids = sorted({op.target_id for op in group if op.target_id})
    columns = sorted({"name", *(n for op in group for n in op.after)} if object_type == ACCOUNT else {n for op in group for n in op.after})
    return {r.ref.id: r for r in side.connector.read(object_type, ids, columns)} if ids else {}


def _is_done(op: Operation, record: Record | None, *, is_pair: bool) -> bool:
    if op.kind == Operation.Kind.DELETE:
        return record is None or record.is_deleted
    if record is None or record.is_deleted:
        return False
    held = [is_same(record.fields.get(name), decode(value)) for name, value in op.after.items()]
    # Each value that stands tells that an undo arrived, also where somebody edited another one since: a base left behind would
    # turn what was put back into an edit of the other side's.
    return any(held) if is_pair and "undo_of" in op.origin else all(held)


def _confirm(context: RunContext, op: Operation, record: Record | None) -> None:
    op.state, op.settled_at, op.error = Operation.State.CONFIRMED, context.wiring.now(), ""
    op.reason = f"{op.reason} {FOUND_DONE}".strip()
    op.save(update_fields=["state", "settled_at", "error", "reason"])
    if isinstance(context.terms, PairTerms):
        if "undo_of" in op.origin:  # after any other write the pair is compared anew
            pair_undone.note_found(context, op, record)
    elif isinstance(context.terms, ActivityTerms):
        activity_undone.note_deleted(context, op)  # a pass over activities changes nothing else
    elif isinstance(context.terms, EmailTerms):
        if op.kind == Operation.Kind.DELETE:
            email_undone.note_deleted(context, op)
    elif op.kind == Operation.Kind.DELETE:
        undone.note_deleted(context, op)
    elif record is not None and op.object_type == ACCOUNT:
        if op.origin.get("undo_of"):
            undone.note_restored(context, op, record)
        else:
            _agree(context, op, record)


def _agree(context: RunContext, op: Operation, record: Record) -> None:
    """The account's base follows; what differed and agrees now is off the list."""
    row = Binding.objects.filter(sync_pass=context.sync_pass, peer_type=ACCOUNT, peer_id=op.target_id, is_tombstone=False).first()
    if row is not None:
        row.peer_base = {**row.peer_base, **encode_fields({name: record.fields.get(name) for name in op.after})}
        row.peer_version = record.version
        row.save(update_fields=["peer_base", "peer_version"])
        differences.note_agreed(context, row)

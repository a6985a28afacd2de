"""What follows from a write that was taken back: bases, tombstones, the list of differences, the mark on what was undone.

Called where the answer comes in (`services.undo`) and where a lost answer is made up for (`engine.doubtful`). What a two-way
pass wrote is `pair_undone`."""

from __future__ import annotations

from connectors.contract import Record, Ref
from reconciliation.engine import differences, tombstones
from reconciliation.engine.context import RunContext
from reconciliation.models import Binding, Operation
from reconciliation.passes.organisations import ACCOUNT, ORGANISATION

POINTERS = frozenset({"externalId", "externalSource", "customId", "foreignId"})  # which record of the CRM a record of the peer names


def note_restored(context: RunContext, undo: Operation, record: Record) -> None:
    """The account holds its earlier values again. The base of the peer follows, so that the next pass sees no edit in it;
    the base of the CRM stays, so that the value is sent again only when it is edited again."""
    rows = Binding.objects.filter(sync_pass=context.sync_pass, peer_type=ACCOUNT, peer_id=undo.target_id)
    row = rows.order_by("is_tombstone").first()  # a link that was moved left a tombstone with the same account
    if row is not None:
        row.peer_base = {**row.peer_base, **undo.after}
        row.peer_version = record.version
        row.save(update_fields=["peer_base", "peer_version"])
        differences.note_undone(context, row, undo.after)
        context.ledger.related["undone"] += 1
    mark(context, undo)


def note_deleted(context: RunContext, undo: Operation) -> None:
    """The account that a create had made is gone again: the link ends, and what it was is remembered."""
    rows = Binding.objects.filter(sync_pass=context.sync_pass, crm_type=ORGANISATION, crm_id=Ref.parse(undo.source_ref).id)
    for binding in rows:
        tombstones.note_undone(context, binding, undo)
    rows.end()
    context.ledger.related["undone"] += 1
    mark(context, undo)


def mark(context: RunContext, undo: Operation) -> None:
    """A write counts as taken back when all its values were; which record of the CRM it named is none."""
    undone = Operation.objects.filter(pk=undo.origin["undo_of"]).first()
    if undone is not None and (undo.kind == Operation.Kind.DELETE or set(undone.after) - POINTERS <= set(undo.origin["fields"])):
        Operation.objects.filter(pk=undone.pk).update(undone_at=context.wiring.now())

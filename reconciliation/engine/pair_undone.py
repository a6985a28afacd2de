"""What follows from a write of a two-way pass that was taken back: the base of the side that was written, the list of
differences, the link of a record that is gone, the mark on what was undone.

Called where the answer comes in (`services.pair_undo`) and where a lost answer is made up for (`engine.doubtful`)."""

from __future__ import annotations

from dataclasses import replace

from connectors.contract import Record
from reconciliation.core.values import is_same
from reconciliation.engine import pair_bases, pair_differences, tombstones
from reconciliation.engine.context import RunContext
from reconciliation.engine.undone import POINTERS, mark
from reconciliation.models import Binding, Operation, SyncPass
from reconciliation.store import decode, decode_fields, encode_fields


def side_of(sync_pass: SyncPass, operation: Operation) -> str:
    return "crm" if operation.connection_id == sync_pass.crm_id else "peer"


def binding_of(sync_pass: SyncPass, operation: Operation) -> Binding | None:
    """Returns the link of the record that was written, None where none holds."""
    side = side_of(sync_pass, operation)
    own = {f"{side}_type": operation.object_type, f"{side}_id": operation.target_id}
    return Binding.objects.filter(sync_pass=sync_pass, is_tombstone=False, **own).first()


def note_found(context: RunContext, undo: Operation, record: Record | None) -> None:
    """As the two below, once an undo whose answer was lost is found done; `record` is what is there by now. A value of it that
    is not what the undo wrote is somebody's edit since."""
    if undo.kind == Operation.Kind.DELETE or record is None:
        note_deleted(context, undo)
        return
    standing = {n: v for n, v in record.fields.items() if n in undo.after and is_same(v, decode(undo.after[n]))}
    note_restored(context, undo, replace(record, fields=standing))


def note_restored(context: RunContext, undo: Operation, record: Record) -> None:
    """The side that was written agrees on its earlier value, the other one on its own: nobody settles it but a person."""
    mark(context, undo)
    side, binding = side_of(context.sync_pass, undo), binding_of(context.sync_pass, undo)
    sent = {n: v for n, v in decode_fields(undo.after).items() if n not in POINTERS}
    if binding is None or not sent:
        return
    answered = pair_bases.answered(context, side, sent, record)
    now = encode_fields({**sent, **(answered or {})})
    version = record.version if answered is not None else ""  # an edit of somebody else keeps its date
    if side == "crm":
        binding.crm_base, binding.crm_version = {**binding.crm_base, **now}, version or binding.crm_version
    else:
        binding.peer_base, binding.peer_version = {**binding.peer_base, **now}, version or binding.peer_version
    pair_bases.save_known([binding])
    type_ = context.terms.type_of(binding.crm_type)
    if type_ is not None:
        own = {r.crm if side == "crm" else r.peer: r.peer for r in type_.mapping.rules}
        pair_differences.note_left(context, type_, binding, {own[n] for n in sent if n in own})


def note_deleted(context: RunContext, undo: Operation) -> None:
    """The record that a create had made is gone again: the link ends, and what it was is remembered."""
    mark(context, undo)
    binding = binding_of(context.sync_pass, undo)
    if binding is None:
        return
    tombstones.note_undone(context, binding, undo)
    Binding.objects.filter(pk=binding.pk).end()

"""Takes a remap back (C36): the prospect's pointer and link, and the link that the remap took from another prospect.

Fields, tasks and sequences stay, as they did when it was made; what both sides agreed on becomes what each holds now."""

from __future__ import annotations

from collections.abc import Sequence

from connectors.contract import Record
from reconciliation.core.values import is_same
from reconciliation.engine import pair_reads
from reconciliation.engine.context import RunContext
from reconciliation.engine.relinking import NotRelinked, Step, carry, released
from reconciliation.models import Binding, Operation, RecordType, SyncPass, Tombstone
from reconciliation.services.policy import allows_remap
from reconciliation.store import decode

REMAP, LOST = "remap", "remap_lost"  # in an operation's origin: {from, to, moved_from}


def is_remap(operation: Operation) -> bool:
    return REMAP in operation.origin or LOST in operation.origin


def refusal(sync_pass: SyncPass, op: Operation, record: Record) -> str:
    """Returns why a remap cannot be taken back, "" when it can. `record` is the prospect as it is now."""
    said = op.origin.get(REMAP)
    if said is None:
        return "its link was moved to another prospect; take back the remap of that one"
    was, to = said.get("from") or [], said["to"]
    binding = _link(sync_pass, op.target_id)
    if binding is None or [binding.crm_type, binding.crm_id] != to:
        return "it was linked to another record since, or its link has ended"
    if any(not is_same(record.fields.get(name), decode(value)) for name, value in op.after.items()):
        return "somebody changed in Outreach which record it names"
    if was and not allows_remap():
        return "remapping is off; an admin can allow it under Dedupe policy"
    if was:
        holder = Binding.objects.filter(sync_pass=sync_pass, crm_type=was[0], crm_id=was[1], is_tombstone=False).first()
        if holder is not None:
            return f"{was[0]} {was[1]} is linked to prospect {holder.peer_id} by now"
        if not RecordType.objects.filter(sync_pass=sync_pass, crm_object=was[0], is_on=True).exists():
            return f"{was[0]}s are not synced any more"
    return ""


def sentence(op: Operation) -> str:
    """Returns what taking it back does."""
    said = op.origin[REMAP]
    was = said.get("from") or []
    again = f"belongs to {was[0]} {was[1]} again" if was else "is linked to nothing again"
    moved = f", and prospect {said['moved_from']} gets its link back" if said.get("moved_from") else ""
    return f"Prospect {op.target_id} {again}{moved}. Fields, tasks and sequences stay."


def _link(sync_pass: SyncPass, peer_id: str) -> Binding | None:
    return Binding.objects.filter(sync_pass=sync_pass, peer_id=peer_id, is_tombstone=False).first()


def take_back(context: RunContext, op: Operation) -> str:
    """Carries it out and returns "" or why it was not. Raises ConnectionTrouble, WritesStopped."""
    said, sync_pass = op.origin[REMAP], context.sync_pass
    was, to, other = said.get("from") or [], said["to"], str(said.get("moved_from") or "")
    binding = _link(sync_pass, op.target_id)
    ids = [op.target_id, *([other] if other else [])]
    prospects = pair_reads.read(context, "peer", context.terms.kind.peer_object, ids)
    prospect, target, earlier = prospects.get(op.target_id), _living(context, to), _living(context, was) if was else None
    if prospect is None or binding is None or (was and earlier is None):
        return "One of the records is gone; the prospect stays where it is."
    reason = f"Undo of operation {op.pk}."
    origin = {"undo_of": op.pk, "fields": list(op.after)}
    if earlier is not None:
        steps = [Step(prospect, binding, earlier, context.terms.type_of(was[0]), reason=reason, origin=origin)]
    else:
        pointer = {name: decode(op.before.get(name)) for name in op.after}
        steps = [Step(prospect, binding, pointer=pointer, reason=reason, origin=origin)]
    lost = Binding.objects.filter(sync_pass=sync_pass, peer_id=other, crm_id=released(to[1], other), is_tombstone=True).first()
    back = prospects.get(other)
    if lost is not None and back is not None and target is not None:
        steps.append(Step(back, lost, target, context.terms.type_of(to[0]), reason=reason, origin={"undo_of": op.pk, "fields": []}))
    try:
        carry(context, steps)
    except NotRelinked as why:
        return f"The prospect stays where it is: {why}"
    now = context.wiring.now()
    if lost is not None:
        rows = Tombstone.objects.filter(binding=lost, why=Tombstone.Why.MOVED, restored_at=None)
        rows.update(restored_at=now, restored_by=context.run.started_by)
    Operation.objects.filter(pk=op.pk).update(undone_at=now)
    return ""


def _living(context: RunContext, ref: Sequence[str]) -> Record | None:
    record = pair_reads.read(context, "crm", ref[0], [ref[1]]).get(ref[1])
    return None if record is None or record.is_deleted or record.succeeded_by is not None else record

"""Takes a remap back (C36): the prospect's pointer and link, and the link that the remap took from another prospect.

Fields, tasks and sequences stay, as they did when it was made; what both sides agreed on becomes what each holds now.

While remapping is off (S2.5) nothing that moves a link is taken back, since that would move one. A first link is: nothing holds
a person to a wrong one. But the prospect can then be linked to that same record only (`matches.ended`), or undoing and linking
would be a remap in two clicks."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from connectors.contract import Record
from reconciliation.core.values import is_same
from reconciliation.engine import pair_reads
from reconciliation.engine.context import RunContext
from reconciliation.engine.relinking import Beside, NotRelinked, Step, carry, released
from reconciliation.models import Binding, Case, Operation, RecordType, RememberedPair, SyncPass, Tombstone
from reconciliation.models.bulk import insert_rows
from reconciliation.services.policy import allows_remap
from reconciliation.services.remap_questions import forget
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
    if (was or said.get("moved_from")) and not allows_remap():
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
    marks = _Marks(context, op, lost, refused=to[1] if earlier is None else "")
    try:
        carry(context, steps, Beside(marks.store, marks.put_back))
    except NotRelinked as why:
        return f"The prospect stays where it is: {why}"
    return ""


@dataclass(slots=True)
class _Marks:
    """What is stored beside the links: that the remap was taken back, and what people said of the prospect. One that has its
    earlier link again belongs to any other record as little or as much as before. One that is linked to nothing again does not
    belong to the record it was linked to (`refused`), nor to those that were left for it: or the next look would link it by
    its address."""

    context: RunContext
    op: Operation
    lost: Binding | None
    refused: str
    stones: list[int] = field(default_factory=list)
    pair: RememberedPair | None = None
    forgotten: list[RememberedPair] = field(default_factory=list)  # what the remap remembered of the other records
    cases: list[Case] = field(default_factory=list)  # the questions that the remap answered, as they were

    def store(self) -> None:
        now, sync_pass = self.context.wiring.now(), self.context.sync_pass
        rows = Tombstone.objects.filter(binding=self.lost, why=Tombstone.Why.MOVED, restored_at=None)
        self.stones = list(rows.values_list("pk", flat=True)) if self.lost is not None else []
        Tombstone.objects.filter(pk__in=self.stones).update(restored_at=now, restored_by=self.context.run.started_by)
        Operation.objects.filter(pk=self.op.pk).update(undone_at=now)
        self._ask_again()
        if not self.refused:
            self.forgotten = forget(sync_pass, self.op.target_id, self.op.origin[REMAP].get("remembered") or [])
        else:
            pair, is_new = RememberedPair.objects.get_or_create(sync_pass=sync_pass, crm_id=self.refused, peer_id=self.op.target_id)
            self.pair = pair if is_new else None

    def _ask_again(self) -> None:
        """Opens the questions again that the remap answered, where the policy lets people choose: they wait as before."""
        if not self.context.terms.allows_choice:
            return
        rows = Case.objects.filter(sync_pass=self.context.sync_pass, kind=Case.Kind.REMAP)
        answered = rows.filter(state=Case.State.RESOLVED, decided__operation=self.op.pk)
        is_open = rows.filter(state=Case.State.OPEN)
        self.cases = [case for case in answered if not is_open.filter(crm_id=case.crm_id, peer_id=case.peer_id).exists()]
        again = {"state": Case.State.OPEN, "decision": "", "decided": {}, "decided_by": None, "closed_at": None}
        note = "Opened again: the remap was taken back."
        Case.objects.filter(pk__in=[case.pk for case in self.cases]).update(**again, note=note, opened_at=self.context.wiring.now())

    def put_back(self, why: str) -> None:
        for case in self.cases:
            case.save(update_fields=["state", "decision", "decided", "decided_by", "closed_at", "note", "opened_at"])
        Tombstone.objects.filter(pk__in=self.stones).update(restored_at=None, restored_by="")
        Operation.objects.filter(pk=self.op.pk).update(undone_at=None)
        insert_rows(self.forgotten)
        if self.pair is not None:
            self.pair.delete()


def _living(context: RunContext, ref: Sequence[str]) -> Record | None:
    record = pair_reads.read(context, "crm", ref[0], [ref[1]]).get(ref[1])
    return None if record is None or record.is_deleted or record.succeeded_by is not None else record

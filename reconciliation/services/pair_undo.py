"""Takes back what people and passes wrote in a two-way pass: updates of either side, and remaps.

An earlier value is written only where what we wrote still stands. What both sides agreed on becomes what each holds then, so
that no pass writes it again, and the field is listed as different. A remap is taken back with its link, and with the link
that it took from another prospect. A consent that was given effect is not taken back by undo."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from django.contrib.auth.models import AbstractBaseUser
from django.db.models import QuerySet

from connectors.contract import Connector, Record
from connectors.errors import ConnectorError
from reconciliation.core.mapping import FieldRule, Survivorship
from reconciliation.core.operations import Intent
from reconciliation.core.values import is_blank, is_same
from reconciliation.engine import pair_bases, pair_differences, pair_reads, pair_terms
from reconciliation.engine.context import RunContext
from reconciliation.engine.executor import Done, Side
from reconciliation.engine.relinking import NotRelinked, Step, carry, released
from reconciliation.engine.staff import at_work
from reconciliation.engine.wiring import Wiring
from reconciliation.models import Binding, Operation, SyncPass, Tombstone
from reconciliation.passes.pairs import PairTerms
from reconciliation.services.audit import audit
from reconciliation.services.policy import NO_REMAP, allows_remap
from reconciliation.store import decode, encode_fields

REMAP = "remap"  # in an operation's origin: {from, to, moved_from}


@dataclass(frozen=True, slots=True)
class _Desk:
    """What is needed to say what undoing would do: it reads, and takes no lease."""

    sync_pass: SyncPass
    terms: PairTerms
    sides: dict[int, tuple[str, Connector]]  # by connection

    def side_of(self, op: Operation) -> tuple[str, Connector]:
        return self.sides[op.connection_id]


def is_two_way(sync_pass: SyncPass) -> bool:
    return sync_pass.name in pair_terms.KINDS


def undoable(rows: QuerySet[Operation]) -> QuerySet[Operation]:
    """Returns those writes of a two-way pass that undo knows how to take back, newest first."""
    found = rows.filter(state=Operation.State.CONFIRMED, kind=Operation.Kind.UPDATE, undone_at=None)
    return found.select_related("connection", "run").order_by("-pk")


def plan(sync_pass: SyncPass, operations: Sequence[Operation], field: str, wiring: Wiring) -> list[UndoLine]:
    """Returns what undoing these writes would do. Reads only. Raises ConnectorError."""
    crm = wiring.open_connector(sync_pass.crm)
    try:
        peer = wiring.open_connector(sync_pass.peer)
        try:
            terms = pair_terms.terms_of(sync_pass, Side(sync_pass.crm, crm), Side(sync_pass.peer, peer), wiring)
            desk = _Desk(sync_pass, terms, {sync_pass.crm_id: ("crm", crm), sync_pass.peer_id: ("peer", peer)})
            return _lines(desk, operations, field)
        finally:
            peer.close()
    finally:
        crm.close()


def _lines(desk: _Desk, operations: Sequence[Operation], field: str) -> list[UndoLine]:
    wanted: dict[tuple[int, str], set[str]] = {}
    for op in operations:
        wanted.setdefault((op.connection_id, op.object_type), set()).add(op.target_id)
    records: dict[tuple[int, str, str], Record] = {}
    for (connection, object_type), ids in wanted.items():
        _, connector = desk.sides[connection]
        names = {name for op in operations if (op.connection_id, op.object_type) == (connection, object_type) for name in op.after}
        columns = list(dict.fromkeys([*sorted(names), *desk.terms.kind.columns.get(object_type, ())]))
        records |= {(connection, object_type, r.ref.id): r for r in connector.read(object_type, sorted(ids), columns)}
    return [_line(desk, op, records.get((op.connection_id, op.object_type, op.target_id)), field) for op in operations]


def _line(desk: _Desk, op: Operation, record: Record | None, field: str) -> UndoLine:
    what = f"{op.object_type.capitalize()} {op.target_id}"
    if op.undone_at is not None:
        return UndoLine(op, f"{what}: this write was taken back already.", is_possible=False)
    if op.is_forgotten:
        return UndoLine(op, f"{what}: a value of this write was a person's who was forgotten.", is_possible=False)
    if record is None or record.is_deleted or record.succeeded_by is not None:
        return UndoLine(op, f"{what} is not there any more.", is_possible=False)
    if REMAP in op.origin:
        return _remap_line(desk, op, record, what)
    if "remap_lost" in op.origin:
        return UndoLine(op, f"{what}: its link was moved; take back the remap of the other prospect instead.", is_possible=False)
    consents = {_name(desk, op, r) for r in _rules(desk, op) if r.survivorship is Survivorship.RESTRICTIVE}
    written = {n: v for n, v in op.after.items() if (not field or n == field) and n not in consents}
    standing = [n for n, value in written.items() if is_same(record.fields.get(n), decode(value))]
    if not standing:
        why = "a consent stays as it is" if not written else "every value was changed again since; nothing to take back"
        return UndoLine(op, f"{what}: {why}.", is_possible=False)
    left = len(written) - len(standing)
    tail = f"; {left} changed again since and stay" if left else ""
    get = "gets its earlier value" if len(standing) == 1 else "get their earlier values"
    return UndoLine(op, f"{what}: {', '.join(standing)} {get}{tail}.", tuple(standing))


def _rules(desk: _Desk, op: Operation) -> list[FieldRule]:
    side, _ = desk.side_of(op)
    return [r for t in desk.terms.types if op.object_type in ((t.crm_object,) if side == "crm" else (t.peer_object,)) for r in t.mapping.rules]


def _name(desk: _Desk, op: Operation, rule: FieldRule) -> str:
    return rule.crm if desk.side_of(op)[0] == "crm" else rule.peer


def _remap_line(desk: _Desk, op: Operation, record: Record, what: str) -> UndoLine:
    said = op.origin[REMAP]
    was, to = said.get("from") or [], said.get("to") or ["", ""]
    binding = _link(desk.sync_pass, op.target_id)
    if binding is None or [binding.crm_type, binding.crm_id] != to:
        return UndoLine(op, f"{what} was linked to another record since; it stays there.", is_possible=False)
    if was and not allows_remap():
        return UndoLine(op, f"{what}: {NO_REMAP}", is_possible=False)
    if was:
        holder = Binding.objects.filter(sync_pass=desk.sync_pass, crm_type=was[0], crm_id=was[1], is_tombstone=False).first()
        if holder is not None:
            return UndoLine(op, f"{what}: {was[0]} {was[1]} is linked to prospect {holder.peer_id} by now.", is_possible=False)
        if desk.terms.type_of(was[0]) is None:
            return UndoLine(op, f"{what}: {was[0]}s are not synced any more.", is_possible=False)
    again = f"belongs to {was[0]} {was[1]} again" if was else "is linked to nothing again"
    moved = f", and prospect {said['moved_from']} gets its link back" if said.get("moved_from") else ""
    return UndoLine(op, f"{what} {again}{moved}. Fields, tasks and sequences stay.", tuple(op.after))


def _link(sync_pass: SyncPass, peer_id: str) -> Binding | None:
    return Binding.objects.filter(sync_pass=sync_pass, peer_id=peer_id, is_tombstone=False).first()


# --- carrying out ---------------------------------------------------------------------------------------------------


def undo(
    sync_pass: SyncPass, operations: Sequence[Operation], user: AbstractBaseUser, *, field: str, reason: str, wiring: Wiring | None
) -> list[UndoLine]:
    """Takes back what can be taken back and returns a line per write. Raises Busy, ConnectorError."""
    what = f"Undo {len(operations)} write{'s' if len(operations) > 1 else ''}."
    with at_work(sync_pass, by=str(user), what=what, reason=reason, wiring=wiring) as context:
        sides = {sync_pass.crm_id: ("crm", context.crm.connector), sync_pass.peer_id: ("peer", context.peer.connector)}
        desk = _Desk(sync_pass, context.terms, sides)
        told = []
        for op in Operation.objects.select_related("connection", "run").filter(pk__in=[o.pk for o in operations]).order_by("-pk"):
            (line,) = _lines(desk, [op], field)  # each by what the one before has left
            told.append(_carried(context, desk, line) if line.is_possible else line)
        done = [line.operation.pk for line in told if line.is_possible]
        audit(user, "undo", f"{len(done)} writes", run=context.run.pk, operations=done[:100], field=field)
        context.notes += [line.sentence for line in told if not line.is_possible]
        return told


def _carried(context: RunContext, desk: _Desk, line: UndoLine) -> UndoLine:
    refusal = _remap_back(context, line.operation) if REMAP in line.operation.origin else _write_back(context, desk, line)
    if refusal:
        return replace(line, sentence=refusal, is_possible=False)
    if set(line.operation.after) <= set(line.fields):
        Operation.objects.filter(pk=line.operation.pk).update(undone_at=context.wiring.now())
    return line


def _write_back(context: RunContext, desk: _Desk, line: UndoLine) -> str:
    """Writes the earlier values of one write. Returns "" or why they were not taken."""
    op, (side, connector) = line.operation, desk.side_of(line.operation)
    fields = {n: decode(op.replaced(n)) for n in line.fields}
    found = connector.read(op.object_type, [op.target_id], list(line.fields))
    intent = Intent(
        Operation.Kind.UPDATE.value,
        side,
        op.object_type,
        op.source_ref,
        after=fields,
        before={n: decode(op.after.get(n)) for n in line.fields},
        target_id=op.target_id,
        version=found[0].version if found else "",
        reason=f"Undo of operation {op.pk}.",
        origin={"name": op.origin.get("name", ""), "undo_of": op.pk, "fields": list(line.fields)},
    )
    (made,) = context.executor.intend([intent])
    if made is None:
        return f"Somebody else is writing {op.object_type} {op.target_id} just now; try again in a moment."
    refusals: list[str] = []

    def settle(done: list[Done]) -> None:
        for item in done:
            if item.error is not None:
                refusals.append(item.error.sentence if isinstance(item.error, ConnectorError) else str(item.error))
            elif item.record is not None:
                _restored(context, side, op, {n: item.record.fields.get(n, v) for n, v in fields.items()}, item.record.version)

    context.executor.send(side, [made], settle)
    return f"{op.object_type.capitalize()} {op.target_id} stays as it is: {refusals[0]}." if refusals else ""


def _restored(context: RunContext, side: str, op: Operation, held: dict[str, Any], version: str) -> None:
    """Lets the base of the side that was written follow, and lists the fields as different."""
    own = {f"{side}_type": op.object_type, f"{side}_id": op.target_id}
    binding = Binding.objects.filter(sync_pass=context.sync_pass, is_tombstone=False, **own).first()
    type_ = context.terms.type_of(binding.crm_type) if binding is not None else None
    if binding is None or type_ is None:
        return
    rules = [r for r in type_.mapping.rules if (r.crm if side == "crm" else r.peer) in held]
    base = binding.crm_base if side == "crm" else binding.peer_base
    mapped = {r.crm if side == "crm" else r.peer for r in rules}
    setattr(binding, f"{side}_base", {**base, **encode_fields({n: v for n, v in held.items() if n in mapped})})
    setattr(binding, f"{side}_version", version or getattr(binding, f"{side}_version"))
    pair_bases.save_known([binding])
    pair_differences.note_left(context, type_, binding, {r.peer for r in rules})
    context.ledger.related["undone"] += 1


def _remap_back(context: RunContext, op: Operation) -> str:
    """Takes a remap back, with the link that it took from another prospect. Returns "" or why not."""
    said, sync_pass = op.origin[REMAP], context.sync_pass
    was, to, other = said.get("from") or [], said["to"], str(said.get("moved_from") or "")
    binding = _link(sync_pass, op.target_id)
    prospects = pair_reads.read(context, "peer", context.terms.kind.peer_object, [op.target_id, *([other] if other else [])])
    crm = {tuple(ref): _living(context, ref) for ref in (was, to) if ref}
    prospect = prospects.get(op.target_id)
    if prospect is None or binding is None:
        return f"Prospect {op.target_id} is not there any more."
    if was and crm[tuple(was)] is None:
        return f"{was[0]} {was[1]} is gone in Salesforce; the prospect stays where it is."
    earlier = {name: decode(value) for name, value in op.before.items()}
    own = {"reason": f"Undo of operation {op.pk}.", "origin": {"undo_of": op.pk, "fields": list(op.after)}}
    type_ = context.terms.type_of(was[0]) if was else None
    steps = [Step(prospect, binding, crm[tuple(was)] if was else None, type_, None if was else _blanked(earlier), **own)]
    lost = Binding.objects.filter(sync_pass=sync_pass, peer_id=other, crm_id=released(to[1], other), is_tombstone=True).first()
    back, target = prospects.get(other), crm[tuple(to)]
    if lost is not None and back is not None and target is not None:
        steps.append(Step(back, lost, target, context.terms.type_of(to[0]), reason=own["reason"], origin={"undo_of": op.pk, "fields": []}))
    try:
        carry(context, steps)
    except NotRelinked as refusal:
        return f"Prospect {op.target_id} stays where it is: {refusal}"
    if lost is not None:
        restored = {"restored_at": context.wiring.now(), "restored_by": context.run.started_by}
        Tombstone.objects.filter(binding=lost, why=Tombstone.Why.MOVED, restored_at=None).update(**restored)
    return ""


def _blanked(earlier: dict[str, Any]) -> dict[str, Any]:
    """Returns the pointer of a prospect that was linked for the first time: what stood there before."""
    return {name: None if is_blank(value) else value for name, value in earlier.items()}


def _living(context: RunContext, ref: Sequence[str]) -> Record | None:
    record = pair_reads.read(context, "crm", ref[0], [ref[1]]).get(ref[1])
    return None if record is None or record.is_deleted or record.succeeded_by is not None else record

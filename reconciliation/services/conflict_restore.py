"""Puts a value that gave way back into both systems (S3.12): as long as both still hold the one that won; else it is said
who changed it since. A losing value stands in the journal with the write that replaced it (`models.journal.LOSERS`)."""

from __future__ import annotations

from dataclasses import dataclass

from django.contrib.auth.models import AbstractBaseUser

from connectors.contract import Connector, Record, Value
from reconciliation.core.mapping import FieldRule
from reconciliation.core.settling import CannotSettle, Settlement, checked, settle
from reconciliation.core.spellings import has_forgotten
from reconciliation.core.values import is_same
from reconciliation.engine.staff import at_work
from reconciliation.engine.wiring import Wiring
from reconciliation.models import Binding, Case, ConflictField, Operation, SyncPass
from reconciliation.models.journal import LOSERS
from reconciliation.services.audit import audit
from reconciliation.services.conflict_desk import Choice, Chosen, Desk, Tables, carry_out, read_all, subject_of, tables_of, told
from reconciliation.services.conflicts import Write
from reconciliation.services.duplicates import DecisionRefused
from reconciliation.store import decode, encode

PUT_BACK = "put_back"  # in an operation's origin: field -> who put its lost value back
RELATED = ("connection", "run__sync_pass__crm", "run__sync_pass__peer", "run__sync_pass__mapping")  # of an operation


@dataclass(frozen=True, slots=True)
class LoserPlan:
    """What putting a lost value back will write, or the sentence that says why it cannot be."""

    lost: Value = None
    won: Value = None
    writes: tuple[Write, ...] = ()
    refusal: str = ""


@dataclass(frozen=True, slots=True)
class _Way:
    """A lost value with the two records and the rule it belongs to."""

    sync_pass: SyncPass
    side: str
    binding: Binding
    rule: FieldRule
    tables: Tables


def losers_of(operation: Operation) -> dict[str, Value]:
    """Returns the values that gave way to this write, by field."""
    found = operation.origin.get(LOSERS)
    return {name: decode(value) for name, value in found.items()} if isinstance(found, dict) else {}


def loser_plan(operation: Operation, field: str, *, wiring: Wiring | None = None) -> LoserPlan:
    """Returns what putting the value back would write, from what both systems hold now. Reads only. Raises ConnectorError."""
    way, wiring = _way(operation, field), wiring or Wiring()
    if isinstance(way, str):
        return LoserPlan(refusal=way)
    crm = wiring.open_connector(way.sync_pass.crm)
    try:
        peer = wiring.open_peer(way.sync_pass)
        try:
            return _plan(operation, field, way, crm, peer)[0]
        finally:
            peer.close()
    finally:
        crm.close()


def loser_restore(operation: Operation, field: str, by: AbstractBaseUser, *, reason: str = "", wiring: Wiring | None = None) -> None:
    """Puts the value back into both systems. Raises DecisionRefused, Busy, ConnectorError."""
    way = _way(operation, field)
    if isinstance(way, str):
        raise DecisionRefused(f"{way} Nothing was done.")
    case = _case(way)
    what = f"Put the earlier value of {field} of {subject_of(case)} back."
    with at_work(way.sync_pass, by=by.get_username(), what=what, reason=reason, wiring=wiring) as context:
        operation = Operation.objects.select_related(*RELATED).get(pk=operation.pk)
        way = _way(operation, field)  # a value of it may have been forgotten, or the link ended, while this waited
        if isinstance(way, str):
            raise DecisionRefused(f"{way} Nothing was done.")
        plan, desk = _plan(operation, field, way, context.crm.connector, context.peer.connector)
        if plan.refusal or desk is None:
            raise DecisionRefused(f"{plan.refusal} Nothing was done.")
        carry_out(context, [desk], by)
        if desk.refusals:
            raise DecisionRefused(told(desk))
        _note(operation, field, by)
        audit(by, "conflict: put back", subject_of(case), run=context.run.pk, field=field, operation=operation.pk, reason=reason)


def _note(operation: Operation, field: str, by: AbstractBaseUser) -> None:
    """Keeps with the write whose lost value came back, so that pages say it and do not offer it again."""
    done = {**operation.origin.get(PUT_BACK, {}), field: by.get_username()}
    Operation.objects.filter(pk=operation.pk).update(origin={**operation.origin, PUT_BACK: done})


def put_back_by(operation: Operation, field: str) -> str:
    """Returns who put the value that gave way to this write back, "" while nobody did."""
    return str(operation.origin.get(PUT_BACK, {}).get(field, ""))


def _way(operation: Operation, field: str) -> _Way | str:
    """Returns the records and the rule of a lost value, or why it cannot be put back."""
    if field not in losers_of(operation):
        return "No value of this field gave way to this write."
    if operation.state != Operation.State.CONFIRMED:
        return "This write did not go through."
    sync_pass = operation.run.sync_pass
    tables = tables_of(sync_pass)
    if not tables.rows:
        return "This pass writes to one side only; take the write back with Undo."
    side = "crm" if operation.connection_id == sync_pass.crm_id else "peer"
    own = {f"{side}_type": operation.object_type, f"{side}_id": operation.target_id}
    binding = Binding.objects.filter(sync_pass=sync_pass, is_tombstone=False, **own).first()
    if binding is None:
        return "The two records are not linked any more."
    rules = tables.rules.get(binding.crm_type, {}).values()
    rule = next((r for r in rules if (r.crm if side == "crm" else r.peer) == field), None)
    if rule is None:
        return "This field is not mapped any more."
    return _Way(sync_pass, side, binding, rule, tables)


def _case(way: _Way) -> Case:
    """Returns what stands for the pair while its value is put back; it is not stored."""
    binding = way.binding
    return Case(
        sync_pass=way.sync_pass, kind=Case.Kind.CONFLICT, crm_type=binding.crm_type, crm_id=binding.crm_id, peer_id=binding.peer_id,
        name=binding.name,
    )  # fmt: skip


def _plan(operation: Operation, field: str, way: _Way, crm: Connector, peer: Connector) -> tuple[LoserPlan, Desk | None]:
    binding, rule, tables = way.binding, way.rule, way.tables
    lost, won = losers_of(operation)[field], decode(operation.after.get(field))
    ours = read_all(crm, {binding.crm_type: {binding.crm_id: {rule.crm}}}).get((binding.crm_type, binding.crm_id))
    theirs = read_all(peer, {binding.peer_type: {binding.peer_id: {rule.peer}}}).get((binding.peer_type, binding.peer_id))
    if ours is None or theirs is None or ours.is_deleted or theirs.is_deleted:
        return LoserPlan(lost, won, refusal="One of the two records is gone."), None
    if has_forgotten([lost, won]):
        return LoserPlan(refusal="A value of this write was a person's who was forgotten."), None
    held, other = ((ours, rule.crm), (theirs, rule.peer)) if way.side == "crm" else ((theirs, rule.peer), (ours, rule.crm))
    system, other_system = (tables.names.crm, tables.names.peer) if way.side == "crm" else (tables.names.peer, tables.names.crm)
    if is_same(held[0].fields.get(field), lost):
        return LoserPlan(lost, won, refusal=f"{system} holds this value again already."), None
    if not is_same(held[0].fields.get(field), won):
        return LoserPlan(lost, won, refusal=_changed_since(held[0], field, system)), None
    base = binding.peer_base if way.side == "crm" else binding.crm_base
    if not is_same(other[0].fields.get(other[1]), decode(base.get(other[1]))):
        return LoserPlan(lost, won, refusal=_changed_since(other[0], other[1], other_system)), None
    try:
        plan = _settlement(way, lost, ours.fields.get(rule.crm), theirs.fields.get(rule.peer), tables)
    except CannotSettle as reason:
        return LoserPlan(lost, won, refusal=str(reason)), None
    case = _case(way)
    row = ConflictField(
        case=case, rule_id=rule.id, crm_field=rule.crm, peer_field=rule.peer, crm_value=encode(ours.fields.get(rule.crm)),
        peer_value=encode(theirs.fields.get(rule.peer)),
    )  # fmt: skip
    chosen = Chosen(row, rule, Choice("typed", plan.crm), plan, ours.fields.get(rule.crm), theirs.fields.get(rule.peer))
    desk = Desk(case, binding, ours, theirs, {rule.peer: row}, {rule.peer: chosen})
    return LoserPlan(lost, won, _writes(way, plan, tables)), desk


def _settlement(way: _Way, lost: Value, crm: Value, peer: Value, tables: Tables) -> Settlement:
    """Returns what both sides hold once the lost value is back: as it was on its own side, converted on the other."""
    if way.side == "crm":
        return settle(way.rule, crm, peer, "typed", lost, tables.users, tables.names)
    there = settle(way.rule, crm, lost, "peer", None, tables.users, tables.names)
    return checked(way.rule, Settlement(there.crm, lost, there.writes_crm, writes_peer=True), tables.names)


def _writes(way: _Way, plan: Settlement, tables: Tables) -> tuple[Write, ...]:
    binding, rule = way.binding, way.rule
    writes = []
    if plan.writes_crm:
        writes.append(Write(tables.names.crm, f"{binding.crm_type} {binding.crm_id}", rule.crm, plan.crm))
    if plan.writes_peer:
        writes.append(Write(tables.names.peer, f"{binding.peer_type} {binding.peer_id}", rule.peer, plan.peer))
    return tuple(writes)


def _changed_since(record: Record, field: str, system: str) -> str:
    at = record.edited_at or record.updated_at
    who = record.updated_by or "somebody"
    when = f" at {at:%Y-%m-%d %H:%M} UTC" if at is not None else ""
    return f"{field} was changed in {system} since; the record was last edited by {who}{when}. What stands there now is kept."

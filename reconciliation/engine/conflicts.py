"""Keeps conflict cases up to date while pairs are settled: a field that both sides changed waits in one, and leaves it
when the sides agree (D10)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from connectors.contract import Record
from reconciliation.core.merging import Conflict
from reconciliation.core.operations import CaseOpening
from reconciliation.engine import cases
from reconciliation.engine.context import RunContext
from reconciliation.engine.pair_work import PairWork
from reconciliation.models import Binding, Case, ConflictField
from reconciliation.passes.pairs import RESTORED, PairDecision
from reconciliation.store import encode

CONFLICT = Case.Kind.CONFLICT.value
REMEDY = "Take one of the two values, or enter another. The other fields go on syncing."


def note(context: RunContext, work: PairWork, decisions: Sequence[PairDecision]) -> None:
    """Opens, refreshes and closes conflicts of these pairs, in the transaction that moves their bases."""
    merged = [d for d in decisions if d.merge is not None and d.crm is not None and d.peer is not None]
    bound = {work.bindings[d.record.ref.id].peer_id: d for d in merged if d.record.ref.id in work.bindings}
    if not bound:
        return
    known: dict[str, Case] = {}
    for case in Case.objects.filter(sync_pass=context.sync_pass, kind=CONFLICT, state=Case.State.OPEN, peer_id__in=list(bound)):
        known[case.peer_id] = case
    for peer_id, decision in bound.items():
        conflicts = decision.merge.conflicts if decision.merge is not None else []
        if conflicts or peer_id in known:
            _bring_up_to_date(context, work.bindings[decision.record.ref.id], decision, conflicts, known.get(peer_id))


def asked_after_restore(context: RunContext, work: PairWork, ids: Iterable[str]) -> dict[str, frozenset[str]]:
    """Returns record id -> the peer's fields of which a person was asked after a restore and that wait still: our database
    does not know which side is newer, and will not know it in the next run either."""
    by_peer = {work.bindings[id_].peer_id: id_ for id_ in ids}
    cases = Case.objects.filter(sync_pass=context.sync_pass, kind=CONFLICT, state=Case.State.OPEN, peer_id__in=list(by_peer))
    rows = ConflictField.objects.filter(case__in=cases, state=ConflictField.State.OPEN, why=RESTORED)
    found: dict[str, set[str]] = {}
    for peer_id, name in rows.values_list("case__peer_id", "peer_field"):
        found.setdefault(by_peer[peer_id], set()).add(name)
    return {id_: frozenset(names) for id_, names in found.items()}


def _bring_up_to_date(context: RunContext, binding: Binding, decision: PairDecision, conflicts: list[Conflict], case: Case | None) -> None:
    now = context.wiring.now()
    if conflicts:
        case = _case(context, binding, decision, conflicts)
        known = {row.peer_field: row for row in ConflictField.objects.filter(case=case, state=ConflictField.State.OPEN)}
        for conflict in conflicts:
            values = _field(binding, conflict, decision.crm, decision.peer)
            if conflict.why == RESTORED or not _is_told(known.get(conflict.rule.peer), values):
                ConflictField.objects.update_or_create(case=case, peer_field=conflict.rule.peer, defaults=values)
    standing = {c.rule.peer for c in conflicts}
    gone = ConflictField.objects.filter(case=case, state=ConflictField.State.OPEN).exclude(peer_field__in=standing)
    gone.update(state=ConflictField.State.AGREED, decided_at=now)
    if not conflicts and case is not None:
        Case.objects.filter(pk=case.pk, state=Case.State.OPEN).update(
            state=Case.State.CLOSED, decision="solved", note="Both sides hold the same by now.", closed_at=now
        )


def _is_told(row: ConflictField | None, values: Mapping[str, object]) -> bool:
    """Tells whether the field waits already with these two values, by the same rule. Whoever looks a second time, from the other side
    above all, has seen both and dates neither: why no rule decided is what was found at first."""
    return row is not None and all(getattr(row, name) == values[name] for name in ("rule_id", "crm_value", "peer_value"))


def sentence(names: Iterable[str]) -> str:
    """Returns what a case says of the fields that wait in it."""
    return f"Changed on both sides to different values: {', '.join(names)}."


def _case(context: RunContext, binding: Binding, decision: PairDecision, conflicts: list[Conflict]) -> Case:
    opening = CaseOpening(CONFLICT, "both_changed", sentence([c.rule.peer for c in conflicts]), REMEDY)
    ids = {"crm_type": binding.crm_type, "crm_id": binding.crm_id, "peer_id": binding.peer_id}
    return cases.open_case(context, decision.crm, opening, flag=Case.Flag.NONE, ids=ids, name=binding.name)


def _field(binding: Binding, conflict: Conflict, crm: Record, peer: Record) -> dict[str, object]:
    rule = conflict.rule
    return {
        "rule_id": rule.id,
        "crm_field": rule.crm,
        "crm_base": binding.crm_base.get(rule.crm),
        "peer_base": binding.peer_base.get(rule.peer),
        "crm_value": encode(conflict.crm_value),
        "peer_value": encode(conflict.peer_value),
        "crm_changed_at": crm.edited_at or crm.updated_at,
        "crm_changed_by": crm.updated_by[:255],
        "peer_changed_at": peer.edited_at or peer.updated_at,
        "peer_changed_by": peer.updated_by[:255],
        "why": conflict.why[:200],
        "state": ConflictField.State.OPEN,
        "decided_value": None,
        "decided_by": "",
        "decided_at": None,
    }

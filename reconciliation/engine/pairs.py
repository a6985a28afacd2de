"""Carries one page of a two-way pass: what is known, what is asked, what is decided, what is written.

The decisions are `passes.pairs`; here is only their order. A page ends with an outcome for every record, also when the
connection fails in the middle. Called by sweeps of either side, by imports, and for records that are owed a second look.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence

from connectors.contract import Record, Ref
from reconciliation.core.ledger import Outcome
from reconciliation.engine import (
    item_answers,
    item_deciding,
    item_rows,
    pair_brakes,
    pair_carrying,
    pair_cases,
    pair_deciding,
    pair_previews,
    pair_reads,
    pair_trouble,
    search_index,
)
from reconciliation.engine.context import RunContext
from reconciliation.engine.pair_work import PairWork
from reconciliation.models import Operation, Run
from reconciliation.passes import pairs as rules
from reconciliation.passes.items import ItemTerms
from reconciliation.passes.pairs import PairDecision

Deciding = Callable[[RunContext, PairWork, Sequence[Record]], None]
MOST_TRIES = 5  # a pair that is changed while we write it is read and merged again (engine-rules 31)


def process_page(
    context: RunContext, side: str, records: Sequence[Record], planned: Mapping[str, Sequence[Operation]] | None = None
) -> dict[str, PairDecision]:
    """Brings each record of one side to its outcome and returns the decisions by record id.

    With `planned` only what that plan says is done, the rest is refused; a preview stores the plan and writes nothing
    remote. Raises ConnectionTrouble, LeaseLost or WritesStopped; every record is accounted for then too, as held."""
    if not records:
        return {}
    work = PairWork(side, {r.ref.id: r for r in records})
    context.ledger.seen += len(work.records)
    is_by_staff = context.run.kind == Run.Kind.STAFF  # an import: what a person chose from a preview is no flood of a sweep
    try:
        deciding_of(context)(context, work, list(work.records.values()))
        if planned is not None:
            pair_previews.refuse_changed(context, work, planned)
        if context.is_preview:
            pair_deciding.tell_twins(work)
            pair_previews.store_plan(context, work)
            pair_previews.note_links(context, work)
            return work.decisions
        if planned is None and not is_by_staff:
            pair_brakes.look_at(context, work)
        if isinstance(context.terms, ItemTerms):
            item_rows.note_new(context, work)
        pair_carrying.carry_out(context, work, list(work.decisions))
        if planned is None:
            _try_again(context, work)
        else:
            _end_changed(work)
        pair_trouble.look_at(context, work)
        _open_cases(context, work)
        if isinstance(context.terms, ItemTerms):
            item_answers.carry(context, work)
    except BaseException:
        _hold_undone(work)
        raise
    finally:
        for id_, record in work.records.items():
            if id_ not in work.decisions:
                work.decide(_interrupted(record))
        if not context.is_preview and not is_by_staff:
            pair_brakes.remember(context, work)
        context.write_events(_event(context, work, d) for d in work.decisions.values() if context.count(d))
        if not context.is_preview:
            pair_trouble.owe(context, work)
            search_index.note_pairs(context, work)
            if isinstance(context.terms, ItemTerms):
                item_rows.keep(context, work)
    return work.decisions


def deciding_of(context: RunContext) -> Deciding:
    """Returns what decides records of this pass."""
    return item_deciding.decide if isinstance(context.terms, ItemTerms) else pair_deciding.decide


def _interrupted(record: Record) -> PairDecision:
    return PairDecision(record, Outcome.HELD, "interrupted", "The run was interrupted before this record was done.")


def _hold_undone(work: PairWork) -> None:
    """What was decided but not carried out is held: the ledger counts what happened, not what was meant."""
    for id_, decision in list(work.decisions.items()):
        if decision.is_act and id_ not in work.done:
            work.decide(_interrupted(decision.record))


def _event(context: RunContext, work: PairWork, decision: PairDecision) -> tuple[PairDecision, str, str, str, int | None]:
    """Returns what an event is filed under: both records as far as they are known, and the last write."""
    id_ = decision.record.ref.id
    binding, operations = work.bindings.get(id_), work.operations.get(id_, [])
    crm = decision.crm.ref if decision.crm is not None else None
    peer = decision.peer.ref if decision.peer is not None else None
    if binding is not None:
        crm = crm or Ref(context.crm.connector.system, binding.crm_type, binding.crm_id)
        peer = peer or Ref(context.peer.connector.system, binding.peer_type, binding.peer_id)
    elif decision.peer_id and peer is None:
        peer = Ref(context.peer.connector.system, context.terms.kind.peer_object, decision.peer_id)
    about = crm or decision.record.ref
    name = context.terms.kind.name_of(decision.record) if decision.record.fields else ""
    if name in ("", decision.record.ref.id) and binding is not None:  # of what is gone nothing else is known
        name = binding.name
    other = str(peer) if peer is not None and peer != about else ""
    return decision, str(about), name, other, operations[-1].pk if operations else None


def _try_again(context: RunContext, work: PairWork) -> None:
    """Reads and decides anew what somebody changed while we wrote, and what waited for a twin of its page. Bounded."""
    waiting = work.again | set(work.twins)
    work.again, work.twins = set(), {}
    for _ in range(MOST_TRIES):
        if not waiting:
            return
        work.tried |= waiting
        fresh = _read_again(context, work, waiting)
        for id_ in waiting:
            work.decisions.pop(id_, None)
        gone = waiting - fresh.keys()
        for id_ in gone:
            work.decide(rules.excluded(work.records[id_], "vanished", "It was deleted while it was looked at."))
        deciding_of(context)(context, work, list(fresh.values()))
        pair_carrying.carry_out(context, work, list(fresh))
        waiting = work.again | set(work.twins)
        work.again, work.twins = set(), {}
    for id_ in waiting:
        sentence = f"It was changed again and again while it was written ({MOST_TRIES} tries); the next run takes it up."
        work.decide(PairDecision(work.records[id_], Outcome.HELD, "changes_fast", sentence))


def _end_changed(work: PairWork) -> None:
    """Ends the records of an applied plan that somebody changed while they were written: what would be written now was
    shown to nobody (C35)."""
    for id_ in work.again | set(work.twins):
        sentence = "Refused: the record was edited while the plan was carried out."
        work.decide(rules.excluded(work.records[id_], "changed_meanwhile", sentence))
        work.done.add(id_)
    work.again, work.twins = set(), {}


def _read_again(context: RunContext, work: PairWork, ids: Collection[str]) -> dict[str, Record]:
    by_type: dict[str, list[str]] = {}
    for id_ in ids:
        by_type.setdefault(work.records[id_].ref.object_type, []).append(id_)
    found: dict[str, Record] = {}
    for object_type, some in by_type.items():
        found.update(pair_reads.read(context, work.side, object_type, some))
    # What was gone from the start is gone still: it was looked at for that.
    return {i: work.records[i] for i in ids if i not in found and work.records[i].is_deleted} | found


def _open_cases(context: RunContext, work: PairWork) -> None:
    settled = pair_cases.settled_by_staff(context, work)
    for id_, decision in work.decisions.items():
        if id_ in settled:
            work.done.add(id_)
        elif decision.case is not None and decision.reason != "internal":
            operations = work.operations.get(id_, [])
            pair_cases.open_case(context, work, decision, exchange=operations[-1].exchange if operations else {})
            work.done.add(id_)
    pair_cases.close_solved(context, work)

"""Carries one page of activities of the peer: what is known, what is asked, what is decided, what is written.

The decisions are `passes.activities`; here is only their order. A page ends with an outcome for every activity, also when the
connection fails in the middle. Nothing is ever written to the peer.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from connectors.contract import Record
from reconciliation.core.ledger import Outcome
from reconciliation.engine import activity_facts, activity_previews, activity_work, one_way
from reconciliation.engine.activity_work import ActivityWork
from reconciliation.engine.context import RunContext
from reconciliation.engine.executor import Done
from reconciliation.models import Activity, Operation
from reconciliation.passes import activities as rules
from reconciliation.passes.activities import CRM_TASK, ActivityDecision

TASKS_REFUSED = "tasks_refused"  # the case that the CRM takes no Task as we make them


def process_page(
    context: RunContext, object_type: str, records: Sequence[Record], planned: activity_previews.Rows | None = None
) -> dict[str, ActivityDecision]:
    """Brings each activity of one type to its outcome and returns the decisions by id.

    With `planned` only what that plan says is done, the rest is refused; a preview stores the plan and writes nothing
    remote. Raises ConnectionTrouble, LeaseLost or WritesStopped; every activity is accounted for then too, as held."""
    if not records:
        return {}
    by_id = {r.ref.id: r for r in records}
    work = ActivityWork(object_type, by_id, activity_facts.known_of(context.sync_pass, object_type, list(by_id)))
    context.ledger.seen += len(by_id)
    try:
        _decide(context, work)
        if planned is not None:
            activity_previews.refuse_changed(work, planned)
        if context.is_preview:
            activity_previews.store_plan(context, work)
            return work.decisions
        _carry_out(context, work)
        one_way.look_at_refusals(work)
        _open_cases(context, work)
    except BaseException:
        one_way.hold_undone(work, "The run was interrupted before its Task was made.")
        raise
    finally:
        for decision in activity_work.interrupted(r for id_, r in by_id.items() if id_ not in work.decisions):
            work.decide(decision)
        context.write_events(_event(context, work, d) for d in work.decisions.values() if context.count(d))
        if not context.is_preview:
            activity_work.keep(context, work)
    return work.decisions


def _decide(context: RunContext, work: ActivityWork) -> None:
    terms, open_ = context.terms, []
    for id_, record in work.records.items():
        decision = rules.first_look(record, activity_facts.as_known(work.rows.get(id_)), terms)
        if decision is not None:
            work.decide(decision)
        else:
            open_.append(record)
    doubtful = activity_facts.in_doubt(context, open_)
    for record in open_:
        if record.ref.id in doubtful:
            sentence = "Its Task was sent and not answered; that is looked into before anything is sent twice."
            work.decide(rules.held(record, rules.IN_DOUBT, sentence))
    open_ = [r for r in open_ if r.ref.id not in doubtful]
    if not open_:
        return
    facts = activity_facts.gather(context, open_, [r.ref.id for r in open_ if _is_unasked(context, work.rows.get(r.ref.id))])
    for record in open_:
        work.decide(_with_facts(context, record, facts))
    if terms.is_restored:
        _find_again(context, work)


def _is_unasked(context: RunContext, row: Activity | None) -> bool:
    """Tells whether the prospect of an activity is to be looked for, should it have no link."""
    return row is None or row.state != Activity.State.WAITING or row.due_at is None or row.due_at <= context.wiring.now()


def _with_facts(context: RunContext, record: Record, facts: activity_facts.Facts) -> ActivityDecision:
    terms, prospect = context.terms, str(record.fields["prospect"])
    if prospect in facts.gone:
        return rules.excluded(record, "prospect_gone", f"Prospect {prospect} was deleted in {terms.peer_name}: it belongs to nobody.")
    link = facts.links.get(prospect)
    if link is None:
        sentence = f"Prospect {prospect} is linked to nobody in {terms.crm_name} yet; its activities follow when it is."
        return rules.held(record, rules.WAITS_FOR_LINK, sentence)
    person = facts.people.get(link.id)
    if person is None:
        sentence = f"{link.object_type} {link.id} was deleted, merged, converted or hidden from us; it is looked at again."
        return rules.held(record, "person_gone", sentence)
    owner = facts.owners.get(str(record.fields.get(rules.SOURCES[record.ref.object_type].owner)))
    return rules.decide(record, person, owner, terms)


def _find_again(context: RunContext, work: ActivityWork) -> None:
    """Our database was restored from a backup that may not know what was carried since: the CRM is asked by our keys first."""
    wanted = {d.intent.marker: id_ for id_, d in work.decisions.items() if d.intent is not None}
    if not wanted:
        return
    connector = context.crm.connector
    field = connector.marker_field_of(CRM_TASK)
    found = connector.find_marked(CRM_TASK, list(wanted), [], since=context.terms.begins_at) if field else []
    tasks = {wanted[str(r.fields[field])]: r.ref.id for r in found}
    for id_, task_id in tasks.items():
        decision, sentence = work.decisions[id_], f"Task {task_id} was made for it before our database was restored."
        found_again = {"outcome": Outcome.UNCHANGED, "reason": "adopted", "sentence": sentence, "task_id": task_id}
        work.decide(replace(decision, **found_again, intent=None, warnings=()))
    if not context.is_preview:
        activity_work.carried(context, work, tasks)


# --- writing ----------------------------------------------------------------------------------------------------------------


def _carry_out(context: RunContext, work: ActivityWork) -> None:
    chosen = [d for d in work.decisions.values() if d.intent is not None]
    taken = "Somebody else is writing its Task just now."
    one_way.send(context, work, chosen, lambda done: _settle(context, work, done), taken=taken)


def _settle(context: RunContext, work: ActivityWork, done: Sequence[tuple[str, Done]]) -> None:
    """Turns what became of the writes into rows and outcomes, in the wave's transaction."""
    made: dict[str, str] = {}
    for id_, item in done:
        plan = work.decisions[id_]
        if item.error is None and item.record is not None:
            made[id_] = item.record.ref.id
            work.decide(replace(plan, task_id=item.record.ref.id))
        else:
            one_way.note_refusal(work, id_, item.error)
            work.decide(_why_not(context, plan, item))
        work.done.add(id_)
    activity_work.carried(context, work, made)
    _close_solved(context, work, made)


def _why_not(context: RunContext, plan: ActivityDecision, item: Done) -> ActivityDecision:
    """Returns the outcome of an activity whose Task did not go through."""
    if item.is_alone:
        ref, remedy = plan.record.ref, "Look at it in its system, correct it, then press Retry."
        return one_way.struck(context, plan, item, case_id(ref.object_type, ref.id), remedy)
    return one_way.not_done(plan, item)


# --- cases ------------------------------------------------------------------------------------------------------------------


def case_id(object_type: str, activity_id: str) -> str:
    """Returns what a case about an activity is filed under: its id alone would be that of a mail and of a call."""
    return f"{object_type}:{activity_id}"


def _open_cases(context: RunContext, work: ActivityWork) -> None:
    one_way.open_cases(context, work, {id_: case_id(work.object_type, id_) for id_ in work.decisions}, CRM_TASK)
    over = [i for i, row in work.rows.items() if row.state == Activity.State.REFUSED and work.decisions[i].outcome is Outcome.EXCLUDED]
    one_way.close_cases(context, [case_id(work.object_type, id_) for id_ in over], "It needs no Task any more.")
    if work.mapping_error is not None:
        sentence = f"Tasks are not made just now: {work.mapping_error.sentence}"
        one_way.tell_of_all(context, CRM_TASK, TASKS_REFUSED, sentence, waiting="activities")


def _close_solved(context: RunContext, work: ActivityWork, made: Mapping[str, str]) -> None:
    """Closes the cases of what went through; that one Task went through closes the case of all."""
    if made:
        tried = [case_id(work.object_type, id_) for id_ in made if id_ in work.rows]
        one_way.close_cases(context, ["", *tried], "A later run went through.")


# --- telling ----------------------------------------------------------------------------------------------------------------


def _event(context: RunContext, work: ActivityWork, decision: ActivityDecision) -> tuple[ActivityDecision, str, str, str, int | None]:
    """Returns what an event is filed under: the activity, and the Task that stands for it."""
    id_ = decision.record.ref.id
    row, operation = work.rows.get(id_), work.operations.get(id_)
    task_id = decision.task_id or (row.task_id if row is not None else "")
    task = f"{context.crm.connector.system}:{CRM_TASK}:{task_id}" if task_id else ""
    return decision, str(decision.record.ref), decision.name, task, operation.pk if isinstance(operation, Operation) else None

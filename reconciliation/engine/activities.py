"""Carries one page of activities of the peer: what is known, what is asked, what is decided, what is written.

The decisions are `passes.activities`; here is only their order. A page ends with an outcome for every activity, also when the
connection fails in the middle. Nothing is ever written to the peer.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from connectors.contract import Record, Ref
from connectors.errors import ConnectorError, MappingError
from reconciliation.core.ledger import Outcome
from reconciliation.core.operations import CaseOpening
from reconciliation.engine import activity_facts, activity_previews, activity_work, cases, mapping_trouble, strikes
from reconciliation.engine.activity_work import ActivityWork
from reconciliation.engine.context import RunContext
from reconciliation.engine.executor import Done
from reconciliation.models import Activity, Case, Operation
from reconciliation.passes import activities as rules
from reconciliation.passes.activities import CRM_TASK, ActivityDecision

TASKS_REFUSED = "tasks_refused"  # the case that the CRM takes no Task as we make them
REFUSED = "refused_crm"


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
        _look_at_refusals(work)
        _open_cases(context, work)
    except BaseException:
        activity_work.hold_undone(work, "The run was interrupted before its Task was made.")
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
    operations = context.executor.intend([d.intent for d in chosen if d.intent is not None])
    ready = []
    for decision, operation in zip(chosen, operations, strict=True):
        if operation is None:
            sentence = "Somebody else is writing its Task just now."
            work.decide(replace(decision, outcome=Outcome.HELD, reason="other_writer", sentence=sentence, intent=None, warnings=()))
            continue
        work.operations[decision.record.ref.id] = operation
        ready.append(operation)
    by_source = {str(d.record.ref): d.record.ref.id for d in chosen}
    context.executor.send("crm", ready, lambda done: _settle(context, work, by_source, done))


def _settle(context: RunContext, work: ActivityWork, by_source: Mapping[str, str], done: list[Done]) -> None:
    """Turns what became of the writes into rows and outcomes, in the wave's transaction."""
    made: dict[str, str] = {}
    for item in done:
        id_ = by_source[item.operation.source_ref]
        if item.error is None and item.record is not None:
            made[id_] = item.record.ref.id
            work.decide(replace(work.decisions[id_], task_id=item.record.ref.id))
        else:
            _not_done(context, work, id_, item)
        work.done.add(id_)
    activity_work.carried(context, work, made)
    _close_solved(context, work, made)


def _not_done(context: RunContext, work: ActivityWork, id_: str, item: Done) -> None:
    error = item.error
    if isinstance(error, MappingError):
        work.mapping_error = error
    elif isinstance(error, ConnectorError) and error.scope == "record":
        work.refusals[id_] = error
    work.decide(_why_not(context, work.decisions[id_], item))


def _why_not(context: RunContext, plan: ActivityDecision, item: Done) -> ActivityDecision:
    """Returns the outcome of an activity whose Task did not go through."""
    error, held = item.error, replace(plan, outcome=Outcome.HELD, intent=None, warnings=())
    if item.is_alone:
        count = strikes.count(context.sync_pass, item.operation, f"{plan.record.ref.object_type}:{plan.record.ref.id}")
        if count < strikes.MOST:
            return replace(held, reason="alone", sentence=f"{error}, for this one alone ({count} of {strikes.MOST}); it is tried again.")
        sentence = f"{error}, in {count} runs, while others went through."
        return _failed(plan, "alone", sentence, "Look at it in its system, correct it, then press Retry.")
    if item.is_in_doubt:
        sentence = f"No answer ({error}); that is looked into before anything is sent twice."
        return replace(held, reason=rules.IN_DOUBT, sentence=sentence)
    if isinstance(error, MappingError):
        return replace(held, reason="mapping", sentence=error.sentence)
    if isinstance(error, ConnectorError) and error.scope == "record":
        return _failed(plan, REFUSED, error.sentence, error.remedy)
    return replace(held, reason=activity_work.INTERRUPTED, sentence=str(error))


def _failed(plan: ActivityDecision, reason: str, sentence: str, remedy: str) -> ActivityDecision:
    case = CaseOpening(Case.Kind.ERROR.value, reason, sentence, remedy)
    return replace(plan, outcome=Outcome.FAILED, reason=reason, sentence=sentence, intent=None, warnings=(), case=case)


def _look_at_refusals(work: ActivityWork) -> None:
    """Ten refused in a row with the same words are no activity's own trouble (engine-rules 3)."""
    errors = mapping_trouble.equal_refusals((op, work.refusals.get(id_)) for id_, op in work.operations.items())
    for id_, operation in work.operations.items():
        if operation.pk in errors and work.decisions[id_].reason == REFUSED:
            work.mapping_error = errors[operation.pk]
            held = replace(work.decisions[id_], outcome=Outcome.HELD, reason="mapping", case=None)
            work.decide(held)


# --- cases ------------------------------------------------------------------------------------------------------------------


def case_ids(object_type: str, activity_id: str) -> dict[str, str]:
    """Returns what a case about an activity is filed under: its id alone would be that of a mail and of a call."""
    return {"crm_type": CRM_TASK, "crm_id": "", "peer_id": f"{object_type}:{activity_id}"}


def _open_cases(context: RunContext, work: ActivityWork) -> None:
    for id_, decision in work.decisions.items():
        if decision.case is None:
            continue
        operation, ids = work.operations.get(id_), case_ids(work.object_type, id_)
        exchange = operation.exchange if operation is not None else {}
        # Without its fields: what a mail says has no business in a queue.
        about = Record(decision.record.ref, {})
        cases.open_case(context, about, decision.case, flag=Case.Flag.NONE, ids=ids, name=decision.name, exchange=exchange)
    over = [i for i, row in work.rows.items() if row.state == Activity.State.REFUSED and work.decisions[i].outcome is Outcome.EXCLUDED]
    _close(context, work, over, "It needs no Task any more.")
    if work.mapping_error is not None:
        _tell_of_all(context, work.mapping_error)


def _tell_of_all(context: RunContext, error: ConnectorError) -> None:
    """Opens the one case of all activities that wait because the CRM takes no Task as we make them."""
    sentence = f"Tasks are not made just now: {error.sentence}"
    remedy = "Give our user the field back, or mend the rule that refuses it. The activities wait and follow by themselves."
    record = Record(Ref(context.crm.connector.system, CRM_TASK, "0"), {})
    opening = CaseOpening(Case.Kind.ERROR.value, TASKS_REFUSED, sentence, remedy)
    ids = {"crm_type": CRM_TASK, "crm_id": "", "peer_id": ""}
    cases.open_case(context, record, opening, flag=Case.Flag.NONE, ids=ids, name=context.sync_pass.title)


def _close_solved(context: RunContext, work: ActivityWork, made: Mapping[str, str]) -> None:
    """Closes the cases of what went through; that one Task went through closes the case of all."""
    if made:
        _close(context, work, [id_ for id_ in made if id_ in work.rows], "A later run went through.", more=("",))


def _close(context: RunContext, work: ActivityWork, ids: Sequence[str], note: str, more: Sequence[str] = ()) -> None:
    names = [*more, *(case_ids(work.object_type, id_)["peer_id"] for id_ in ids)]
    if names:
        rows = Case.objects.filter(sync_pass=context.sync_pass, kind=Case.Kind.ERROR, state=Case.State.OPEN, crm_id="", peer_id__in=names)
        rows.update(state=Case.State.CLOSED, decision="solved", note=note, closed_at=context.wiring.now())


# --- telling ----------------------------------------------------------------------------------------------------------------


def _event(context: RunContext, work: ActivityWork, decision: ActivityDecision) -> tuple[ActivityDecision, str, str, str, int | None]:
    """Returns what an event is filed under: the activity, and the Task that stands for it."""
    id_ = decision.record.ref.id
    row, operation = work.rows.get(id_), work.operations.get(id_)
    task_id = decision.task_id or (row.task_id if row is not None else "")
    task = f"{context.crm.connector.system}:{CRM_TASK}:{task_id}" if task_id else ""
    return decision, str(decision.record.ref), decision.name, task, operation.pk if isinstance(operation, Operation) else None

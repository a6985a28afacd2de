"""What the passes have in common that write one way, and each thing once: those over activities and over e-mails.

A page's writes, what their answers mean for the record that they are about, and the cases that stand for those that did not go
through. What is decided, and what is remembered of it, is each pass's own.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Generic, TypeVar

from connectors.contract import Record, Ref
from connectors.errors import ConnectorError, MappingError
from reconciliation.core.ledger import Outcome
from reconciliation.core.operations import CaseOpening
from reconciliation.engine import cases, mapping_trouble, strikes
from reconciliation.engine.context import RunContext
from reconciliation.engine.executor import Done
from reconciliation.models import Case, Operation
from reconciliation.passes.activities import IN_DOUBT, ActivityDecision
from reconciliation.passes.emails import EmailDecision

INTERRUPTED, CHANGED, REFUSED = "interrupted", "changed_meanwhile", "refused_crm"
D = TypeVar("D", ActivityDecision, EmailDecision)


@dataclass(slots=True, kw_only=True)
class OneWayWork(Generic[D]):
    """What was decided of a page, and what became of it, by the id of the record that each decision is about."""

    decisions: dict[str, D] = field(default_factory=dict)
    operations: dict[str, Operation] = field(default_factory=dict)
    refusals: dict[str, ConnectorError] = field(default_factory=dict)
    mapping_error: ConnectorError | None = None  # what the CRM has against everything as we make it
    done: set[str] = field(default_factory=set)  # decisions that were carried out, or need nothing

    def decide(self, decision: D) -> None:
        self.decisions[decision.record.ref.id] = decision


def held(plan: D, reason: str, sentence: str) -> D:
    """Returns the decision not to write now what was planned: it is owed."""
    return replace(plan, outcome=Outcome.HELD, reason=reason, sentence=sentence, intent=None, warnings=())


def hold_undone(work: OneWayWork[D], sentence: str) -> None:
    """What was decided but not carried out is held: the ledger counts what happened, not what was meant."""
    for decision in [d for id_, d in work.decisions.items() if d.intent is not None and id_ not in work.done]:
        work.decide(held(decision, INTERRUPTED, sentence))


# --- writing ----------------------------------------------------------------------------------------------------------------


def send(
    context: RunContext, work: OneWayWork[D], chosen: Sequence[D], settle: Callable[[list[tuple[str, Done]]], None], *, taken: str
) -> None:
    """Writes what was decided. `settle` gets what became of each, with the id that it was decided for, in the wave's transaction;
    `taken` says of what another writer is at that it waits. Raises ConnectionTrouble, LeaseLost or WritesStopped."""
    operations = context.executor.intend([d.intent for d in chosen if d.intent is not None])
    ready, ids = [], dict[str, str]()
    for decision, operation in zip(chosen, operations, strict=True):
        if operation is None:
            work.decide(held(decision, "other_writer", taken))
            continue
        work.operations[decision.record.ref.id] = operation
        ids[operation.source_ref] = decision.record.ref.id
        ready.append(operation)
    context.executor.send("crm", ready, lambda done: settle([(ids[item.operation.source_ref], item) for item in done]))


def note_refusal(work: OneWayWork[D], id_: str, error: Exception | None) -> None:
    """Notes what the CRM has against a write, or against all of them."""
    if isinstance(error, MappingError):
        work.mapping_error = error
    elif isinstance(error, ConnectorError) and error.scope == "record":
        work.refusals[id_] = error


def struck(context: RunContext, plan: D, item: Done, case_id: str, remedy: str) -> D:
    """Returns the outcome of what failed while others went through: it is tried in some more runs, then a person looks at it."""
    count = strikes.count(context.sync_pass, item.operation, case_id)
    if count < strikes.MOST:
        return held(plan, "alone", f"{item.error}, for this one alone ({count} of {strikes.MOST}); it is tried again.")
    return _failed(plan, "alone", f"{item.error}, in {count} runs, while others went through.", remedy)


def not_done(plan: D, item: Done) -> D:
    """Returns the outcome of what did not go through, and did not fail alone."""
    error = item.error
    if item.is_in_doubt:
        return held(plan, IN_DOUBT, f"No answer ({error}); that is looked into before anything is sent twice.")
    if isinstance(error, MappingError):
        return held(plan, "mapping", error.sentence)
    if isinstance(error, ConnectorError) and error.scope == "record":
        return _failed(plan, REFUSED, error.sentence, error.remedy)
    return held(plan, INTERRUPTED, str(error))


def _failed(plan: D, reason: str, sentence: str, remedy: str) -> D:
    case = CaseOpening(Case.Kind.ERROR.value, reason, sentence, remedy)
    return replace(plan, outcome=Outcome.FAILED, reason=reason, sentence=sentence, intent=None, warnings=(), case=case)


def look_at_refusals(work: OneWayWork[D]) -> None:
    """Ten refused in a row with the same words are no record's own trouble (engine-rules 3)."""
    errors = mapping_trouble.equal_refusals((op, work.refusals.get(id_)) for id_, op in work.operations.items())
    for id_, operation in work.operations.items():
        if operation.pk in errors and work.decisions[id_].reason == REFUSED:
            work.mapping_error = errors[operation.pk]
            work.decide(replace(work.decisions[id_], outcome=Outcome.HELD, reason="mapping", case=None))


# --- cases ------------------------------------------------------------------------------------------------------------------


def open_cases(context: RunContext, work: OneWayWork[D], case_ids: Mapping[str, str], object_type: str, *, unnamed: str = "") -> None:
    """Opens the cases of what was refused. `case_ids` says under which id each is filed, `object_type` what of the CRM it would be."""
    for id_, decision in work.decisions.items():
        if decision.case is None:
            continue
        operation, ids = work.operations.get(id_), _filed(object_type, case_ids[id_])
        exchange = operation.exchange if operation is not None else {}
        about = Record(decision.record.ref, {})  # without its fields: what a mail says has no business in a queue
        name = decision.name or unnamed
        cases.open_case(context, about, decision.case, flag=Case.Flag.NONE, ids=ids, name=name, exchange=exchange)


def tell_of_all(context: RunContext, object_type: str, reason: str, sentence: str, *, waiting: str) -> None:
    """Opens the one case of everything that waits because the CRM takes nothing as we make it."""
    remedy = f"Give our user the field back, or mend the rule that refuses it. The {waiting} wait and follow by themselves."
    record = Record(Ref(context.crm.connector.system, object_type, "0"), {})
    opening = CaseOpening(Case.Kind.ERROR.value, reason, sentence, remedy)
    cases.open_case(context, record, opening, flag=Case.Flag.NONE, ids=_filed(object_type, ""), name=context.sync_pass.title)


def _filed(object_type: str, case_id: str) -> dict[str, str]:
    return {"crm_type": object_type, "crm_id": "", "peer_id": case_id}


def close_cases(context: RunContext, case_ids: Sequence[str], note: str) -> None:
    """Closes what is open under these ids; "" is that of the case of all."""
    if case_ids:
        rows = Case.objects.filter(sync_pass=context.sync_pass, kind=Case.Kind.ERROR, state=Case.State.OPEN, crm_id="")
        values = {"state": Case.State.CLOSED, "decision": "solved", "note": note, "closed_at": context.wiring.now()}
        rows.filter(peer_id__in=case_ids).update(**values)

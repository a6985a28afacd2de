"""Counts over a sweep what brakes watch, and parks the plan of the page that trips one (engine-rules 18)."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

from reconciliation.core.brakes import BrakeSettings, blanking_trips
from reconciliation.core.ledger import Outcome
from reconciliation.core.operations import Decision
from reconciliation.core.values import is_blank
from reconciliation.engine import previews
from reconciliation.engine.context import RunContext
from reconciliation.engine.page_work import PageWork
from reconciliation.models import Binding, Operation, Run, SyncPass
from reconciliation.passes.organisations import ORGANISATION


class BrakeTripped(Exception):
    """The plan of this page waits for a person; earlier pages stay applied."""


def look_at(context: RunContext, work: PageWork) -> None:
    """Counts the page's blanking. Raises BrakeTripped with the plan parked as *planned*, nothing of the page written."""
    counts = Counter(context.sync_pass.sweep_blanked)
    before = counts.total()
    for decision in work.decisions.values():
        counts.update(_blanked(decision))
    if counts.total() == before:
        return
    bound = Binding.objects.filter(sync_pass=context.sync_pass, crm_type=ORGANISATION, is_tombstone=False).count()
    tripped = blanking_trips(counts, bound, context.sync_pass.approved_blanking, settings_of(context.sync_pass))
    if tripped:
        waiting = waiting_plan(context)
        if waiting is None:
            previews.store_plan(context, work)
        sentence = f"Held: {', '.join(tripped)} would be blanked in {max(counts[n] for n in tripped)} of {bound} accounts in this sweep."
        for decision in list(work.decisions.values()):
            if previews.is_act(decision):
                work.decide(
                    replace(decision, outcome=Outcome.HELD, reason="brake", sentence=sentence, intent=None, case=None, bind_to=None)
                )
        raise BrakeTripped(sentence if waiting is None else f"{sentence} Its plan waits in run {waiting}.")


def remember(context: RunContext, work: PageWork) -> None:
    """Adds what the page really blanked to the sweep's count: a page that is tried again counts once."""
    counts = Counter(context.sync_pass.sweep_blanked)
    for id_ in work.done:
        counts.update(_blanked(work.decisions[id_]))
    if counts != Counter(context.sync_pass.sweep_blanked):
        context.sync_pass.sweep_blanked = dict(counts)
        if context.moves_cursor:
            SyncPass.objects.filter(pk=context.sync_pass.pk).update(sweep_blanked=dict(counts))


def _blanked(decision: Decision) -> list[str]:
    """Returns the fields that an update blanks."""
    intent = decision.intent
    if intent is None or intent.kind != "update":
        return []
    return [name for name, value in intent.after.items() if is_blank(value)]


def waiting_plan(context: RunContext) -> int | None:
    """Returns the run whose held plan still waits for a person: it is not replaced every minute while they read it."""
    since = context.wiring.now() - previews.GOOD_FOR
    rows = Operation.objects.filter(
        run__sync_pass=context.sync_pass, run__state=Run.State.HELD, state=Operation.State.PLANNED, intended_at__gte=since
    )
    return rows.exclude(run__kind=Run.Kind.PREVIEW).values_list("run_id", flat=True).first()


def settings_of(sync_pass: SyncPass) -> BrakeSettings:
    """Returns the thresholds of a pass: the defaults, and what an admin set; every mailbox has those of its pass."""
    return BrakeSettings(**sync_pass.whole.settings.get("brakes", {}))


def approve_held(context: RunContext, preview: Run) -> None:
    """Approves what a brake parked, where it is that which is carried out."""
    if preview.state == Run.State.HELD and preview.kind != Run.Kind.PREVIEW:
        approve(context, list(Operation.objects.filter(run=preview, state=Operation.State.PLANNED)))


def approve(context: RunContext, parked: list[Operation]) -> None:
    """Lets the rest of the present sweep blank the fields that the parked plan blanks."""
    fields = {name for op in parked if op.kind == Operation.Kind.UPDATE for name, value in op.after.items()}
    if context.sync_pass.is_two_way:
        fields |= {"links ended"} if any(op.kind in (Operation.Kind.UNLINK, Operation.Kind.DELETE) for op in parked) else set()
    else:
        fields = {name for op in parked if op.kind == Operation.Kind.UPDATE for name, value in op.after.items() if value is None}
    approved = sorted(fields | set(context.sync_pass.approved_blanking))
    context.sync_pass.approved_blanking = approved
    SyncPass.objects.filter(pk=context.sync_pass.pk).update(approved_blanking=approved)

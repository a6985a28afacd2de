"""Plans that are shown before they are carried out: stored row by row with what they rest on (engine-rules 19).

Applying reads every row again and decides it again; only a row that rests on the same versions and comes to the same
writes is carried out, all others are refused and said so.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from datetime import timedelta
from typing import Any

from connectors.contract import Ref
from reconciliation.core.counting import bent, counted
from reconciliation.core.ledger import Outcome
from reconciliation.core.operations import Decision
from reconciliation.engine.context import RunContext
from reconciliation.engine.page_work import PageWork
from reconciliation.models import Operation, Run
from reconciliation.models.bulk import update_rows
from reconciliation.passes.organisations import ACCOUNT, ORGANISATION
from reconciliation.store import encode_fields

GOOD_FOR = timedelta(hours=24)
ROWS_A_PAGE = 100


class PreviewRefused(Exception):
    """The preview cannot be applied; the sentence says why."""


def to_apply(preview_id: int) -> Run:
    """Returns the run whose plan is to be carried out. Raises PreviewRefused where there is none."""
    preview = Run.objects.filter(pk=preview_id).first()
    if preview is None:
        raise PreviewRefused(f"There is no run {preview_id}.")
    return preview


def applied(context: RunContext, preview: Run, noun: str = "record", many: str = "") -> tuple[str, str]:
    """Returns how a run ends that carried out a plan: its state, and a note that says how much of it was refused."""
    refused = context.ledger.excluded["changed_meanwhile"]
    said = f" {counted(refused, noun, many)} {bent(refused, 'was', 'were')} refused: changed since." if refused else ""
    return Run.State.FINISHED, f"Applied preview {preview.pk}.{said}"


def begin(context: RunContext) -> None:
    """Puts earlier previews of the pass away: one is open at a time."""
    earlier = Operation.objects.filter(run__sync_pass=context.sync_pass, state=Operation.State.PLANNED).exclude(run=context.run)
    earlier.update(state=Operation.State.VOID, error="A newer preview took its place.", settled_at=context.wiring.now())


def is_act(decision: Decision) -> bool:
    """Tells whether a decision writes anything."""
    return decision.intent is not None or decision.case is not None or decision.bind_to is not None


def _essence(context: RunContext, decision: Decision) -> dict[str, Any]:
    """Returns what must be the same for a planned row to be carried out."""
    candidates = sorted(c.peer_id for c in decision.case.candidates) if decision.case else []
    return {
        "outcome": decision.outcome.value,
        "reason": decision.reason,
        "bind_to": decision.bind_to.ref.id if decision.bind_to else "",
        "candidates": candidates,
        "mapping": context.terms.mapping.version,
    }


def store_plan(context: RunContext, work: PageWork) -> None:
    """Writes the plan of a page to the journal as *planned*."""
    rows = []
    for decision in work.decisions.values():
        if is_act(decision):
            rows.append(_planned_row(context, decision))
    Operation.objects.bulk_create(rows, batch_size=100)
    work.operations.update({Ref.parse(row.source_ref).id: row for row in rows})


def _planned_row(context: RunContext, decision: Decision) -> Operation:
    intent, columns = decision.intent, context.terms.columns
    if intent is not None:
        kind, side, after, before = intent.kind, "peer", encode_fields(intent.after), encode_fields(intent.before)
    elif decision.case is not None:
        column = columns.duplicate if decision.case.kind == "duplicate" else columns.error
        kind, side, after, before = Operation.Kind.FLAG, "crm", {column: True}, {column: False}
    else:
        kind, side, after, before = Operation.Kind.WRITE_BACK, "crm", {columns.peer_id: decision.bind_to.ref.id}, {}
    return Operation(
        run=context.run,
        connection=context.executor.sides[side].connection,
        kind=kind,
        state=Operation.State.PLANNED,
        object_type=ACCOUNT if side == "peer" else ORGANISATION,
        target_id=intent.target_id if intent is not None else decision.record.ref.id,
        source_ref=str(decision.record.ref),
        writer_key=f"planned:{decision.record.ref}",
        marker=intent.marker if intent is not None else "",
        before=before,
        after=after,
        context={"crm_version": decision.record.version, "essence": _essence(context, decision)},
        origin=dict(intent.origin) if intent is not None else {},
        rests_on=intent.version if intent is not None else "",
        reason=decision.sentence or (intent.reason if intent is not None else ""),
        lease_token=context.lease.token,
        intended_at=context.wiring.now(),
    )


def planned_pages(context: RunContext, preview: Run) -> Iterator[dict[str, Operation]]:
    """Yields the planned rows of a preview by organisation id, a page at a time. Raises PreviewRefused."""
    page: list[Operation] = []
    for row in planned_rows(context, preview):
        page.append(row)
        if len(page) == ROWS_A_PAGE:
            yield {Ref.parse(row.source_ref).id: row for row in page}
            page = []
    if page:
        yield {Ref.parse(row.source_ref).id: row for row in page}


def planned_rows(context: RunContext, preview: Run) -> Iterator[Operation]:
    """Yields what a preview planned and nobody carried out yet, in its order. Raises PreviewRefused."""
    is_plan = preview.kind == Run.Kind.PREVIEW or preview.state == Run.State.HELD
    if not is_plan or preview.sync_pass_id != context.sync_pass.pk:
        raise PreviewRefused(f"Run {preview.pk} is no preview of this pass.")
    if context.wiring.now() - preview.started_at > GOOD_FOR:
        raise PreviewRefused(f"Preview {preview.pk} is older than 24 hours; make a new one.")
    rows = Operation.objects.filter(run=preview, state=Operation.State.PLANNED).order_by("pk")
    if not rows.exists():
        raise PreviewRefused(f"Preview {preview.pk} has nothing left to apply.")
    last = 0
    while page := list(rows.filter(pk__gt=last)[:ROWS_A_PAGE]):
        last = page[-1].pk
        yield from page


def refuse_changed(work: PageWork, planned: Mapping[str, Operation]) -> None:
    """Replaces the decision of every row that is not what the preview showed (C35)."""
    for id_, decision in list(work.decisions.items()):
        reason = _difference(decision, planned[id_])
        if reason:
            work.decide(Decision(decision.record, Outcome.EXCLUDED, "changed_meanwhile", f"Refused: {reason} since the preview."))


def _difference(decision: Decision, row: Operation) -> str:
    """Returns what changed since a row was planned, "" when nothing did."""
    essence = row.context["essence"]
    if decision.record.version != row.context["crm_version"]:
        return "the organisation was edited in Workbooks"
    if decision.outcome.value != essence["outcome"] or decision.reason != essence["reason"]:
        return f"the decision would be “{decision.outcome.value}” now"
    if decision.case is not None and sorted(c.peer_id for c in decision.case.candidates) != essence["candidates"]:
        return "other accounts bear this name"
    if decision.intent is not None:
        if decision.intent.version != row.rests_on:
            return "the account was changed in Outreach"
        if encode_fields(decision.intent.after) != row.after:
            return "the values to write are others"
    return ""


def settle(context: RunContext, planned: Mapping[str, Operation], outcomes: Mapping[str, Decision]) -> None:
    """Closes the planned rows of an applied page: carried out, or refused."""
    close(context, planned.items(), outcomes, gone="the organisation was deleted in Workbooks")


def close(context: RunContext, planned: Iterable[tuple[str, Operation]], outcomes: Mapping[str, Any], *, gone: str) -> None:
    """Closes planned rows, each with the id of its record, by what was decided for them now: carried out, or refused. `gone` says why
    nothing was decided for one."""
    now, rows = context.wiring.now(), []
    for id_, row in planned:
        decision = outcomes.get(id_)
        refused = decision is None or decision.reason == "changed_meanwhile"
        row.state = Operation.State.REFUSED if refused else Operation.State.VOID
        if decision is None:
            row.error = f"Refused: {gone} since the preview."
        elif refused or decision.outcome is Outcome.HELD:
            row.error = decision.sentence
        else:
            row.error = f"Carried out by run {context.run.pk}."
        row.settled_at = now
        rows.append(row)
    update_rows(rows, ["state", "error", "settled_at"])

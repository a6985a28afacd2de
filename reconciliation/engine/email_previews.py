"""Plans of e-mails that are shown before they are carried out (engine-rules 19): a row for each e-mail that would be saved. What a
mail says is not read for a plan."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from reconciliation.core.ledger import Outcome
from reconciliation.engine import previews
from reconciliation.engine.context import RunContext
from reconciliation.engine.email_work import CHANGED, EmailWork
from reconciliation.models import Operation, Run
from reconciliation.models.bulk import update_rows
from reconciliation.passes.emails import EmailDecision, LeftOut, left_out
from reconciliation.store import encode_fields

Rows = Mapping[str, Operation]  # by the id of the mail
MAIL_ID, WHY = "mail_id", "why"


def store_plan(context: RunContext, work: EmailWork) -> None:
    """Writes the plan of a page to the journal as *planned*."""
    rows = {id_: _planned(context, d) for id_, d in work.decisions.items() if d.intent is not None}
    Operation.objects.bulk_create(rows.values(), batch_size=100)
    work.operations.update(rows)


def _planned(context: RunContext, decision: EmailDecision) -> Operation:
    intent = decision.intent
    assert intent is not None
    return Operation(
        run=context.run,
        connection=context.crm.connection,
        kind=intent.kind,
        state=Operation.State.PLANNED,
        object_type=intent.object_type,
        source_ref=intent.source_ref,
        writer_key=f"planned:{decision.record.ref.id}"[:640],
        marker=intent.marker,
        after=encode_fields(intent.after),
        context={"version": decision.record.version, MAIL_ID: decision.record.ref.id, WHY: decision.why},
        origin={name: value for name, value in intent.origin.items() if name != "bodies"},
        reason=" ".join(part for part in (decision.sentence, *decision.warnings) if part),
        lease_token=context.lease.token,
        intended_at=context.wiring.now(),
    )


def planned_pages(context: RunContext, preview: Run) -> Iterator[Rows]:
    """Yields planned rows by the mail's id, a page at a time. Raises PreviewRefused."""
    page: dict[str, Operation] = {}
    for row in previews.planned_rows(context, preview):
        page[str(row.context[MAIL_ID])] = row
        if len(page) >= previews.ROWS_A_PAGE:
            yield page
            page = {}
    if page:
        yield page


def refuse_changed(work: EmailWork, planned: Rows) -> None:
    """Replaces the decision of every mail that is not what the preview showed (C35)."""
    for id_, decision in list(work.decisions.items()):
        row = planned[id_]
        if reason := _difference(decision, row.context, row.after):
            work.decide(left_out(decision.record, LeftOut(CHANGED, f"Refused: {reason} since the preview."), key=decision.key))


def _difference(decision: EmailDecision, context: Mapping[str, Any], after: Mapping[str, Any]) -> str:
    """Returns what changed since a row was planned, "" when nothing did."""
    if decision.record.version != context["version"]:
        return "the mail was changed"
    if decision.intent is None:
        return f"it would be “{decision.outcome.value}” now"
    return "" if encode_fields(decision.intent.after) == after else "it would be saved with other values"


def settle(context: RunContext, planned: Rows, outcomes: Mapping[str, EmailDecision]) -> None:
    """Closes the planned rows of an applied page: carried out, or refused."""
    now = context.wiring.now()
    for id_, row in planned.items():
        decision = outcomes.get(id_)
        refused = decision is None or decision.reason == CHANGED
        row.state = Operation.State.REFUSED if refused else Operation.State.VOID
        if decision is None:
            row.error = "Refused: the mail is gone since the preview."
        elif refused or decision.outcome is Outcome.HELD:
            row.error = decision.sentence
        else:
            row.error = f"Carried out by run {context.run.pk}."
        row.settled_at = now
    update_rows(list(planned.values()), ["state", "error", "settled_at"])


def mails_of(planned: Rows) -> Sequence[str]:
    return list(planned)

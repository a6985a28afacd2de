"""Plans of e-mails that are shown before they are carried out (engine-rules 19): a row for each e-mail that would be saved. What a
mail says is not read for a plan."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from reconciliation.engine import one_way_previews, previews
from reconciliation.engine.context import RunContext
from reconciliation.engine.email_work import EmailWork
from reconciliation.engine.one_way import CHANGED
from reconciliation.models import Operation, Run
from reconciliation.passes.emails import EmailDecision, LeftOut, left_out

Rows = Mapping[str, Operation]  # by the id of the mail
MAIL_ID, WHY = "mail_id", "why"


def store_plan(context: RunContext, work: EmailWork) -> None:
    """Writes the plan of a page to the journal as *planned*."""
    one_way_previews.store_plan(context, work, _planned)


def _planned(context: RunContext, decision: EmailDecision) -> Operation:
    intent, id_ = decision.intent, decision.record.ref.id
    assert intent is not None
    origin = {name: value for name, value in intent.origin.items() if name != "bodies"}
    about = {MAIL_ID: id_, WHY: decision.why}
    return one_way_previews.planned_row(context, decision, key=id_, sentence=decision.sentence, origin=origin, about=about)


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
    said = {"edited": "the mail was changed", "others": "it would be saved with other values"}
    for id_, decision in list(work.decisions.items()):
        if reason := one_way_previews.difference(decision, planned[id_], **said):
            work.decide(left_out(decision.record, LeftOut(CHANGED, f"Refused: {reason} since the preview."), key=decision.key))


def settle(context: RunContext, planned: Rows, outcomes: Mapping[str, EmailDecision]) -> None:
    """Closes the planned rows of an applied page: carried out, or refused."""
    previews.close(context, planned.items(), outcomes, gone="the mail is gone")

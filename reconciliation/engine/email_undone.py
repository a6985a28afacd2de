"""What follows from an e-mail that was taken back out of the CRM: it is remembered as that, and never saved again.

Called where the answer comes in (`services.email_undo`) and where a lost answer is made up for (`engine.doubtful`)."""

from __future__ import annotations

from reconciliation.engine.context import RunContext
from reconciliation.engine.undone import mark
from reconciliation.models import Email, Operation


def note_deleted(context: RunContext, undo: Operation) -> None:
    """What was made of an e-mail is gone again."""
    if undo.origin.get("undo_of"):
        mark(context, undo)
    rows = Email.objects.filter(connection=context.crm.connection, crm_id=undo.target_id, state=Email.State.SAVED)
    rows.update(state=Email.State.TAKEN_BACK)
    context.ledger.related["undone"] += 1

"""What follows from a Task that was taken back: its activity is remembered as that, and never carried again.

Called where the answer comes in (`services.activity_undo`) and where a lost answer is made up for (`engine.doubtful`)."""

from __future__ import annotations

from reconciliation.engine.context import RunContext
from reconciliation.engine.undone import mark
from reconciliation.models import Activity, Operation


def note_deleted(context: RunContext, undo: Operation) -> None:
    """The Task that was made of an activity is gone again."""
    mark(context, undo)
    rows = Activity.objects.filter(sync_pass=context.sync_pass, task_id=undo.target_id, state=Activity.State.CARRIED)
    rows.update(state=Activity.State.TAKEN_BACK)
    context.ledger.related["undone"] += 1

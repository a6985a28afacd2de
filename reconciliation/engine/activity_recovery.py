"""Settles what an earlier run left in doubt, before a new one reads anything (design section 6, engine-rules 12, 35).

A Task that was sent and not answered is asked for by our key in its external-id field. Found = carried; absent = void after
time-out and settle time, and the activity is looked at again. An undo that was not answered is looked at in `doubtful`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from django.db import transaction

from connectors.contract import Record, Ref
from reconciliation.core.values import is_same
from reconciliation.engine import recovery
from reconciliation.engine.context import RunContext
from reconciliation.models import Activity, Operation
from reconciliation.models.work_left import WorkLeft
from reconciliation.passes.activities import CRM_TASK, IN_DOUBT
from reconciliation.passes.organisations import CLOCKS_DIFFER
from reconciliation.store import decode_fields

OWN_FIELDS = ("Subject", "WhoId", "ActivityDate")  # by these a Task without a key is known for ours: the guarantee is weaker


def recover(context: RunContext, left: WorkLeft) -> None:
    """Brings the journal to rest as far as the CRM allows. Raises ConnectionTrouble."""
    if not left.open_operations:
        return
    recovery.void_unsent(context)
    sent = list(recovery.creates_in_doubt(context.sync_pass))
    if not sent:
        return
    found = _found(context, sent)
    for op in sent:
        with transaction.atomic():
            if op.pk in found:
                _adopt(context, op, found[op.pk])
            elif recovery.may_be_sent_again(context, op, context.crm.connector):
                _void(context, op)


def _found(context: RunContext, sent: Sequence[Operation]) -> Mapping[int, Record]:
    """Returns the Tasks that these creates made, by operation; what was deleted since was made all the same."""
    connector = context.crm.connector
    since = min(op.intended_at for op in sent) - CLOCKS_DIFFER
    field = connector.marker_field_of(CRM_TASK)
    if field:
        marked = connector.find_marked(CRM_TASK, [op.marker for op in sent], [], since=since)
        by_marker = {str(r.fields.get(field)): r for r in sorted(marked, key=lambda r: not r.is_deleted)}
        return {op.pk: by_marker[op.marker] for op in sent if op.marker in by_marker}
    mine, found = list(connector.made_by_us(CRM_TASK, list(OWN_FIELDS), since=since)), {}
    for op in sent:
        after = decode_fields(op.after)
        same = next((r for r in mine if all(is_same(r.fields.get(n), after.get(n)) for n in OWN_FIELDS)), None)
        if same is not None:
            mine.remove(same)
            found[op.pk] = same
    return found


def _adopt(context: RunContext, op: Operation, task: Record) -> None:
    op.state, op.settled_at, op.target_id, op.error = Operation.State.CONFIRMED, context.wiring.now(), task.ref.id, ""
    op.save(update_fields=["state", "settled_at", "target_id", "error"])
    _remember(context, op, state=Activity.State.CARRIED, task_id=task.ref.id, name="", reason="", sentence="", due_at=None)


def _void(context: RunContext, op: Operation) -> None:
    op.state, op.settled_at, op.error = Operation.State.VOID, context.wiring.now(), "Not found; may be sent again."
    op.save(update_fields=["state", "settled_at", "error"])
    # Its feed may have gone by. One that failed before keeps its place in the growing waits.
    _remember(context, op, {"due_at": context.wiring.now()}, state=Activity.State.WAITING, reason=IN_DOUBT)


def _remember(context: RunContext, op: Operation, first: Mapping[str, object] | None = None, **values: object) -> None:
    """Stores the values for the activity of this create; `first` goes with a row that is new."""
    source, now = Ref.parse(op.source_ref), context.wiring.now()
    key = {"sync_pass": context.sync_pass, "object_type": source.object_type, "activity_id": source.id}
    made = {"since": now, "name": str(op.origin.get("name") or "")[:255], **(first or {}), **values}
    Activity.objects.update_or_create(**key, defaults=values, create_defaults=made)

"""Plans of activities that are shown before they are carried out (engine-rules 19): a row for each Task that would be made."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from connectors.contract import Ref
from reconciliation.engine import previews
from reconciliation.engine.activity_work import CHANGED, ActivityWork
from reconciliation.engine.context import RunContext
from reconciliation.models import Operation, Run
from reconciliation.passes.activities import ActivityDecision, excluded
from reconciliation.store import encode_fields

Rows = Mapping[str, Sequence[Operation]]


def store_plan(context: RunContext, work: ActivityWork) -> None:
    """Writes the plan of a page to the journal as *planned*."""
    rows = {id_: _planned(context, d) for id_, d in work.decisions.items() if d.intent is not None}
    Operation.objects.bulk_create(rows.values(), batch_size=100)
    work.operations.update(rows)


def _planned(context: RunContext, decision: ActivityDecision) -> Operation:
    intent = decision.intent
    assert intent is not None
    return Operation(
        run=context.run,
        connection=context.crm.connection,
        kind=intent.kind,
        state=Operation.State.PLANNED,
        object_type=intent.object_type,
        source_ref=intent.source_ref,
        writer_key=f"planned:{intent.source_ref}",
        marker=intent.marker,
        after=encode_fields(intent.after),
        context={"version": decision.record.version},
        origin=dict(intent.origin),
        reason=" ".join(part for part in (intent.reason, *decision.warnings) if part),
        lease_token=context.lease.token,
        intended_at=context.wiring.now(),
    )


def planned_pages(context: RunContext, preview: Run) -> Iterator[tuple[str, Rows]]:
    """Yields (type, planned rows by the activity's id), a page at a time. Raises PreviewRefused."""
    groups: dict[str, dict[str, list[Operation]]] = {}
    for row in previews.planned_rows(context, preview):
        ref = Ref.parse(row.source_ref)
        group = groups.setdefault(ref.object_type, {})
        group.setdefault(ref.id, []).append(row)
        if len(group) >= previews.ROWS_A_PAGE:
            yield ref.object_type, groups.pop(ref.object_type)
    yield from groups.items()


def refuse_changed(work: ActivityWork, planned: Rows) -> None:
    """Replaces the decision of every activity that is not what the preview showed (C35)."""
    for id_, decision in list(work.decisions.items()):
        row = planned[id_][0]
        if reason := _difference(decision, row.context, row.after):
            work.decide(excluded(decision.record, CHANGED, f"Refused: {reason} since the preview."))


def _difference(decision: ActivityDecision, context: Mapping[str, Any], after: Mapping[str, Any]) -> str:
    """Returns what changed since a row was planned, "" when nothing did."""
    if decision.record.version != context["version"]:
        return "the activity was edited"
    if decision.intent is None:
        return f"it would be “{decision.outcome.value}” now"
    return "" if encode_fields(decision.intent.after) == after else "its Task would hold other values"

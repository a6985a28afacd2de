"""Plans of activities that are shown before they are carried out (engine-rules 19): a row for each Task that would be made."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from connectors.contract import Ref
from reconciliation.engine import one_way_previews, previews
from reconciliation.engine.activity_work import ActivityWork
from reconciliation.engine.context import RunContext
from reconciliation.engine.one_way import CHANGED
from reconciliation.models import Operation, Run
from reconciliation.passes.activities import ActivityDecision, excluded

Rows = Mapping[str, Sequence[Operation]]


def store_plan(context: RunContext, work: ActivityWork) -> None:
    """Writes the plan of a page to the journal as *planned*."""
    one_way_previews.store_plan(context, work, _planned)


def _planned(context: RunContext, decision: ActivityDecision) -> Operation:
    intent = decision.intent
    assert intent is not None
    return one_way_previews.planned_row(context, decision, key=intent.source_ref, sentence=intent.reason, origin=intent.origin)


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
    said = {"edited": "the activity was edited", "others": "its Task would hold other values"}
    for id_, decision in list(work.decisions.items()):
        if reason := one_way_previews.difference(decision, planned[id_][0], **said):
            work.decide(excluded(decision.record, CHANGED, f"Refused: {reason} since the preview."))

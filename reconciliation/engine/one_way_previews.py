"""What the plans of passes that write one way have in common: a row for each record that would be made (engine-rules 19)."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from reconciliation.engine.context import RunContext
from reconciliation.engine.one_way import D, OneWayWork
from reconciliation.models import Operation
from reconciliation.store import encode_fields


def store_plan(context: RunContext, work: OneWayWork[D], planned: Callable[[RunContext, D], Operation]) -> None:
    """Writes the plan of a page to the journal as *planned*."""
    rows = {id_: planned(context, d) for id_, d in work.decisions.items() if d.intent is not None}
    Operation.objects.bulk_create(rows.values(), batch_size=100)
    work.operations.update(rows)


def planned_row(
    context: RunContext, decision: D, *, key: str, sentence: str, origin: Mapping[str, Any], about: Mapping[str, Any] | None = None
) -> Operation:
    """Returns the row of a record that would be made. `key` tells it from others of its run; `about` says what, beside the version
    that it rests on, applying it has to know."""
    intent = decision.intent
    assert intent is not None
    return Operation(
        run=context.run,
        connection=context.crm.connection,
        kind=intent.kind,
        state=Operation.State.PLANNED,
        object_type=intent.object_type,
        source_ref=intent.source_ref,
        writer_key=f"planned:{key}"[:640],
        marker=intent.marker,
        after=encode_fields(intent.after),
        context={"version": decision.record.version, **(about or {})},
        origin=dict(origin),
        reason=" ".join(part for part in (sentence, *decision.warnings) if part),
        lease_token=context.lease.token,
        intended_at=context.wiring.now(),
    )


def difference(decision: D, row: Operation, *, edited: str, others: str) -> str:
    """Returns what changed since a row was planned, "" when nothing did: `edited` where the record is another version, `others` where
    other values would be written."""
    if decision.record.version != row.context["version"]:
        return edited
    if decision.intent is None:
        return f"it would be “{decision.outcome.value}” now"
    return "" if encode_fields(decision.intent.after) == row.after else others

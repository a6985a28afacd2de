"""Takes back Tasks that the pass over activities made, checked against what is there now (engine-rules 17): a Task is deleted only
if nobody touched it since. Its activity stays remembered and is not carried again; nothing changes in Outreach."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from connectors.contract import Connector, Record
from connectors.errors import ConnectorError
from reconciliation.core.operations import Intent
from reconciliation.core.values import is_same, isolated
from reconciliation.engine import activity_undone
from reconciliation.engine.context import RunContext
from reconciliation.engine.executor import Done
from reconciliation.models import Operation, SyncPass
from reconciliation.models.journal import VERSION
from reconciliation.passes.activities import CRM_TASK
from reconciliation.services.pair_undo import Standing
from reconciliation.store import decode_fields


def standings(sync_pass: SyncPass, connectors: Mapping[str, Connector], operations: Sequence[Operation], field: str = "") -> list[Standing]:
    """Returns what undoing each write would do, from what the CRM holds now. Raises ConnectorError."""
    columns = sorted({name for op in operations for name in op.after})
    ids = sorted({op.target_id for op in operations})
    now = {r.ref.id: r for r in connectors["crm"].read(CRM_TASK, ids, columns)} if ids else {}
    return [_standing(op, now.get(op.target_id)) for op in operations]


def _standing(op: Operation, task: Record | None) -> Standing:
    name = str(op.origin.get("name") or "")
    what = f"Task {op.target_id}{f' {isolated(name)}' if name else ''}"
    if op.undone_at is not None:
        return Standing(f"{what}: this write was taken back already.", is_possible=False)
    if op.is_forgotten:
        return Standing(f"{what}: a value of this write was a person's who was forgotten.", is_possible=False)
    if task is None or task.is_deleted:
        return Standing(f"{what} is not there any more.", is_possible=False)
    if _is_touched(op, task):
        return Standing(f"{what} was changed since it was made; it is kept.", is_possible=False)
    return Standing(f"{what} is deleted; its activity is not carried again.", version=task.version)


def _is_touched(op: Operation, task: Record) -> bool:
    """Tells whether somebody was at the Task: by its version, else by its values where the answer told no version."""
    version = str(op.exchange.get(VERSION) or "")
    if version:
        return task.version != version
    return any(name in task.fields and not is_same(task.fields[name], value) for name, value in decode_fields(op.after).items())


def carry_out(context: RunContext, chosen: Sequence[tuple[Operation, Standing]]) -> dict[int, str]:
    """Deletes these Tasks. Returns the key of each write with "" or why it was not taken back."""
    operations = context.executor.intend([_intent(context, op, standing) for op, standing in chosen])
    context.executor.send("crm", [op for op in operations if op is not None], lambda done: _settle(context, done))
    return {op.pk: _refusal(op, made) for (op, _), made in zip(chosen, operations, strict=True)}


def _intent(context: RunContext, op: Operation, standing: Standing) -> Intent:
    origin: dict[str, Any] = {**context.staff_origin(), "name": op.origin.get("name", ""), "undo_of": op.pk, "fields": []}
    return Intent(
        Operation.Kind.DELETE.value,
        "crm",
        CRM_TASK,
        op.source_ref,
        after={},
        before=decode_fields(op.after),
        target_id=op.target_id,
        version=standing.version,
        reason=f"Undo of operation {op.pk}.",
        origin=origin,
    )


def _settle(context: RunContext, done: list[Done]) -> None:
    for item in done:
        if item.error is None:
            activity_undone.note_deleted(context, item.operation)
        elif isinstance(item.error, ConnectorError):
            item.operation.error = item.error.sentence


def _refusal(undone: Operation, made: Operation | None) -> str:
    if made is None:
        return "Somebody else is writing this record just now; try again in a moment."
    if made.state == Operation.State.CONFIRMED:
        return ""
    return f"Task {undone.target_id} stays as it is: {made.error or made.state}."

"""Takes e-mails back out of the CRM, checked against what is there now (engine-rules 17). The e-mail stays remembered and is not saved
again; nothing changes in the mailbox."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from connectors.contract import Connector, Record
from connectors.errors import ConnectorError
from reconciliation.core.operations import Intent
from reconciliation.core.values import is_same, isolated
from reconciliation.engine import email_undone
from reconciliation.engine.context import RunContext
from reconciliation.engine.executor import Done
from reconciliation.models import Operation, SyncPass
from reconciliation.models.journal import VERSION
from reconciliation.passes.emails import CRM_TASK
from reconciliation.services.pair_undo import Standing
from reconciliation.store import decode_fields

NOUNS = {CRM_TASK: "Task"}


def standings(sync_pass: SyncPass, connectors: Mapping[str, Connector], operations: Sequence[Operation], field: str = "") -> list[Standing]:
    """Returns what undoing each write would do, from what the CRM holds now. Raises ConnectorError."""
    now: dict[tuple[str, str], Record] = {}
    for object_type in sorted({op.object_type for op in operations}):
        some = [op for op in operations if op.object_type == object_type]
        columns = sorted({name for op in some for name in op.after}) if object_type == CRM_TASK else []
        found = connectors["crm"].read(object_type, sorted({op.target_id for op in some}), columns)
        now.update({(object_type, r.ref.id): r for r in found})
    return [_standing(op, now.get((op.object_type, op.target_id))) for op in operations]


def _standing(op: Operation, record: Record | None) -> Standing:
    name = str(op.origin.get("name") or "")
    what = f"{NOUNS.get(op.object_type, 'E-mail')} {op.target_id}{f' {isolated(name)}' if name else ''}"
    if op.undone_at is not None:
        return Standing(f"{what}: this write was taken back already.", is_possible=False)
    if op.kind != Operation.Kind.CREATE:
        return Standing(f"{what}: links are chosen anew on the e-mail's page.", is_possible=False)
    if op.is_forgotten:
        return Standing(f"{what}: a value of this write was a person's who was forgotten.", is_possible=False)
    if record is None or record.is_deleted:
        return Standing(f"{what} is not there any more.", is_possible=False)
    if op.object_type == CRM_TASK and _is_touched(op, record):
        return Standing(f"{what} was changed since it was made; it is kept.", is_possible=False)
    # An e-mail that is no draft cannot be changed there; its version counts those of its task and its files, too.
    version = record.version if op.object_type == CRM_TASK else ""
    return Standing(f"{what} is deleted there; the e-mail is not saved again, and stays in the mailbox.", version=version)


def _is_touched(op: Operation, task: Record) -> bool:
    version = str(op.exchange.get(VERSION) or "")
    if version:
        return task.version != version
    return any(name in task.fields and not is_same(task.fields[name], value) for name, value in decode_fields(op.after).items())


def carry_out(context: RunContext, chosen: Sequence[tuple[Operation, Standing]]) -> dict[int, str]:
    """Deletes these e-mails in the CRM. Returns the key of each write with "" or why it was not taken back."""
    refusals: dict[int, str] = {}
    for object_type in sorted({op.object_type for op, _ in chosen}):
        some = [(op, standing) for op, standing in chosen if op.object_type == object_type]
        made = context.executor.intend([_intent(context, op, standing) for op, standing in some])
        context.executor.send("crm", [op for op in made if op is not None], lambda done: _settle(context, done))
        refusals |= {op.pk: _refusal(op, undo) for (op, _), undo in zip(some, made, strict=True)}
    return refusals


def _intent(context: RunContext, op: Operation, standing: Standing) -> Intent:
    origin: dict[str, Any] = {**context.staff_origin(), "name": op.origin.get("name", ""), "undo_of": op.pk, "fields": []}
    return Intent(
        Operation.Kind.DELETE.value,
        "crm",
        op.object_type,
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
            email_undone.note_deleted(context, item.operation)
        elif isinstance(item.error, ConnectorError):
            item.operation.error = item.error.sentence


def _refusal(undone: Operation, made: Operation | None) -> str:
    if made is None:
        return "Somebody else is writing this record just now; try again in a moment."
    if made.state == Operation.State.CONFIRMED:
        return ""
    return f"{NOUNS.get(undone.object_type, 'E-mail')} {undone.target_id} stays as it is: {made.error or made.state}."

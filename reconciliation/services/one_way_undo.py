"""Takes back what a pass made in the CRM that writes one way, checked against what is there now (engine-rules 17): what the passes
over activities and over e-mails have in common. Nothing changes where it came from."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from connectors.contract import Connector, Record
from connectors.errors import ConnectorError
from reconciliation.core.operations import Intent
from reconciliation.core.values import is_same, isolated
from reconciliation.engine.context import RunContext
from reconciliation.engine.executor import Done
from reconciliation.models import Operation
from reconciliation.models.journal import VERSION
from reconciliation.passes.emails import CRM_TASK
from reconciliation.services.pair_undo import Standing, origin_of
from reconciliation.store import decode_fields


def made_now(crm: Connector, operations: Sequence[Operation]) -> dict[tuple[str, str], Record]:
    """Returns (object type, id) -> what was made, as it is now. Raises ConnectorError."""
    now: dict[tuple[str, str], Record] = {}
    for object_type in sorted({op.object_type for op in operations}):
        some = [op for op in operations if op.object_type == object_type]
        columns = sorted({name for op in some for name in op.after}) if object_type == CRM_TASK else []
        found = crm.read(object_type, sorted({op.target_id for op in some}), columns)
        now.update({(object_type, r.ref.id): r for r in found})
    return now


def named(op: Operation) -> str:
    """Returns how a sentence names what was made."""
    name = str(op.origin.get("name") or "")
    return f"{_id_of(op)}{f' {isolated(name)}' if name else ''}"


def _id_of(op: Operation) -> str:
    return f"{'Task' if op.object_type == CRM_TASK else 'E-mail'} {op.target_id}"


def why_kept(op: Operation, record: Record | None) -> str:
    """Returns why a write is not taken back, "" where nothing stands against it."""
    if op.undone_at is not None:
        return f"{named(op)}: this write was taken back already."
    if op.is_forgotten:
        return f"{named(op)}: a value of this write was a person's who was forgotten."
    if record is None or record.is_deleted:
        return f"{named(op)} is not there any more."
    # An e-mail that is no draft cannot be changed there.
    is_touched = op.object_type == CRM_TASK and _is_touched(op, record)
    return f"{named(op)} was changed since it was made; it is kept." if is_touched else ""


def _is_touched(op: Operation, task: Record) -> bool:
    """Tells whether somebody was at a Task: by its version, else by its values where the answer told no version."""
    version = str(op.exchange.get(VERSION) or "")
    if version:
        return task.version != version
    return any(name in task.fields and not is_same(task.fields[name], value) for name, value in decode_fields(op.after).items())


def delete(
    context: RunContext, chosen: Sequence[tuple[Operation, Standing]], note_deleted: Callable[[RunContext, Operation], None]
) -> dict[int, str]:
    """Deletes what these writes made, and notes what follows. Returns the key of each write with "" or why it was not taken back."""
    refusals: dict[int, str] = {}
    for object_type in sorted({op.object_type for op, _ in chosen}):
        some = [(op, standing) for op, standing in chosen if op.object_type == object_type]
        made = context.executor.intend([_intent(context, op, standing) for op, standing in some])
        context.executor.send("crm", [op for op in made if op is not None], lambda done: _settle(context, done, note_deleted))
        refusals |= {op.pk: _refusal(op, undo) for (op, _), undo in zip(some, made, strict=True)}
    return refusals


def _intent(context: RunContext, op: Operation, standing: Standing) -> Intent:
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
        origin=origin_of(context, op),
    )


def _settle(context: RunContext, done: list[Done], note_deleted: Callable[[RunContext, Operation], None]) -> None:
    for item in done:
        if item.error is None:
            note_deleted(context, item.operation)
        elif isinstance(item.error, ConnectorError):
            item.operation.error = item.error.sentence


def _refusal(undone: Operation, made: Operation | None) -> str:
    if made is None:
        return "Somebody else is writing this record just now; try again in a moment."
    if made.state == Operation.State.CONFIRMED:
        return ""
    return f"{_id_of(undone)} stays as it is: {made.error or made.state}."

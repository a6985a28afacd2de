"""Remembers what was deleted, with its last values, at the moment we learn of it (requirement: nothing is silent)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from connectors.contract import Record
from reconciliation.engine.context import RunContext
from reconciliation.models import Binding, Operation, Tombstone
from reconciliation.models.bulk import insert_rows


def note_deleted_in_crm(context: RunContext, bindings: Iterable[Binding], records: Mapping[str, Record]) -> None:
    """Stores a tombstone for each of these bindings that was still standing; `records` are the deleted rows, which say
    who deleted them and when."""
    rows = []
    for binding in bindings:
        if binding.is_tombstone:
            continue
        record = records.get(binding.crm_id)
        rows.append(
            Tombstone(
                **_of(context, binding),
                why=Tombstone.Why.CRM,
                deleted_by=(record.updated_by if record is not None else "")[:255],
                deleted_at=record.updated_at if record is not None else None,
            )
        )
    insert_rows(rows)


def note_undone(context: RunContext, binding: Binding, operation: Operation) -> None:
    """Stores that an undo deleted the account; the journal holds what the account was."""
    who, now = context.run.started_by, context.wiring.now()
    row = Tombstone(**_of(context, binding), why=Tombstone.Why.UNDO, deleted_by=who, deleted_at=now, operation_id=operation.pk)
    insert_rows([row])


def _of(context: RunContext, binding: Binding) -> dict[str, object]:
    return {
        "sync_pass": context.sync_pass,
        "binding": binding,
        "crm_id": binding.crm_id,
        "peer_id": binding.peer_id,
        "name": binding.name,
        "found_at": context.wiring.now(),
        "run": context.run,
        "crm_values": binding.crm_base,
        "peer_values": binding.peer_base,
    }

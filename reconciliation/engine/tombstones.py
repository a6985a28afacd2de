"""Remembers what was deleted, with its last values, at the moment we learn of it (requirement: nothing is silent)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from connectors.contract import Record
from reconciliation.engine.context import RunContext
from reconciliation.models import Binding, Operation, Tombstone
from reconciliation.models.bulk import insert_rows
from reconciliation.store import pick


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


def note_never_linked(context: RunContext, records: Iterable[Record]) -> None:
    """Stores a tombstone for each deleted organisation that waited to be synced and has none yet: what was switched on
    and never linked (a duplicate, an error) is remembered with its last values too."""
    waited = {r.ref.id: r for r in records if r.fields.get(context.terms.columns.sync)}
    if not waited:
        return
    rows = Tombstone.objects.filter(sync_pass=context.sync_pass, binding=None, crm_id__in=waited)
    known = set(rows.values_list("crm_id", "deleted_at"))
    insert_rows(
        [
            Tombstone(
                sync_pass=context.sync_pass,
                crm_id=id_,
                name=str(record.fields.get("name") or "")[:255],
                found_at=context.wiring.now(),
                run=context.run,
                crm_values=pick(record.fields, context.terms.mapping.crm_fields),
                why=Tombstone.Why.CRM,
                deleted_by=record.updated_by[:255],
                deleted_at=record.updated_at,
            )
            for id_, record in waited.items()
            if (id_, record.updated_at) not in known
        ]
    )


@dataclass(frozen=True, slots=True)
class Ending:
    """A link that ends, and how that came about; `deleted` is the record that says who deleted it and when."""

    binding: Binding
    why: str
    deleted: Record | None = None


def end_links(context: RunContext, endings: Sequence[Ending]) -> None:
    """Turns bindings of a two-way pass into tombstones that remember their last values."""
    if not endings:
        return
    insert_rows([_stone(context, ending) for ending in endings])
    Binding.objects.filter(pk__in=[ending.binding.pk for ending in endings]).end()
    for ending in endings:
        ending.binding.is_tombstone = True


def _stone(context: RunContext, ending: Ending) -> Tombstone:
    row = Tombstone(**_of(context, ending.binding), why=ending.why)
    if ending.deleted is not None:
        row.deleted_by, row.deleted_at = ending.deleted.updated_by[:255], ending.deleted.updated_at
    return row


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

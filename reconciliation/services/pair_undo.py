"""Takes back what a two-way pass wrote, on either side, checked against what is there now (engine-rules 17).

An update: before-values are written where our after-value still stands, and what differs from the other side then is
listed, not settled by the next run. A create: the record is deleted only if nobody touched it since; the link ends. Which
CRM record a prospect names is no value to take back here; a remap is taken back with its link (`remap_undo`)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from connectors.contract import Connector, Record
from connectors.errors import ConnectorError
from reconciliation.core.operations import Intent
from reconciliation.core.values import is_same
from reconciliation.engine import pair_bases, pair_differences
from reconciliation.engine.context import RunContext
from reconciliation.engine.executor import Done
from reconciliation.models import Binding, Operation, SyncPass, Tombstone
from reconciliation.services import remap_undo
from reconciliation.store import decode, decode_fields, encode

POINTERS = frozenset({"externalId", "externalSource", "customId"})


@dataclass(frozen=True, slots=True)
class Standing:
    """What undoing one write would do: the fields that get their earlier value, or the sentence that says why not."""

    sentence: str
    fields: tuple[str, ...] = ()
    is_possible: bool = True


def side_of(sync_pass: SyncPass, operation: Operation) -> str:
    return "crm" if operation.connection_id == sync_pass.crm_id else "peer"


def standings(sync_pass: SyncPass, connectors: Mapping[str, Connector], operations: Sequence[Operation], field: str = "") -> list[Standing]:
    """Returns what undoing each write would do, from what both systems hold now. Raises ConnectorError."""
    wanted: dict[tuple[str, str], dict[str, set[str]]] = {}
    for op in operations:
        group = wanted.setdefault((side_of(sync_pass, op), op.object_type), {})
        group.setdefault(op.target_id, set()).update(op.after)
    now: dict[tuple[str, str], Record] = {}
    for (side, object_type), some in wanted.items():
        columns = sorted({name for names in some.values() for name in names})
        now.update({(object_type, r.ref.id): r for r in connectors[side].read(object_type, sorted(some), columns)})
    return [_standing(sync_pass, op, now.get((op.object_type, op.target_id)), field) for op in operations]


def _standing(sync_pass: SyncPass, op: Operation, record: Record | None, field: str) -> Standing:
    what = f"{op.object_type.capitalize()} {op.target_id}"
    if op.undone_at is not None:
        return Standing(f"{what}: this write was taken back already.", is_possible=False)
    if op.is_forgotten:
        return Standing(f"{what}: a value of this write was a person's who was forgotten.", is_possible=False)
    if record is None or record.is_deleted:
        return Standing(f"{what} is not there any more.", is_possible=False)
    if remap_undo.is_remap(op):
        why = remap_undo.refusal(sync_pass, op, record)
        return Standing(f"{what}: {why}." if why else remap_undo.sentence(op), tuple(op.after), is_possible=not why)
    if op.kind == Operation.Kind.CREATE:
        binding = _binding(sync_pass, op)
        version = (binding.crm_version if side_of(sync_pass, op) == "crm" else binding.peer_version) if binding is not None else ""
        if not version or version != record.version:
            return Standing(f"{what} was changed since it was made; it is kept.", is_possible=False)
        return Standing(f"{what} is deleted, and its link ends.")
    written = {n: v for n, v in op.after.items() if n not in POINTERS and (not field or n == field)}
    standing = [n for n, value in written.items() if is_same(record.fields.get(n), decode(value))]
    if not standing:
        why = "every value was changed again since; nothing to take back" if written else "it only says which CRM record it belongs to"
        return Standing(f"{what}: {why}.", is_possible=False)
    left = len(written) - len(standing)
    tail = f"; {left} changed again since and stay" if left else ""
    get = "gets its earlier value" if len(standing) == 1 else "get their earlier values"
    return Standing(f"{what}: {', '.join(standing)} {get}{tail}.", tuple(standing))


def _binding(sync_pass: SyncPass, op: Operation) -> Binding | None:
    own = {"crm_id": op.target_id} if side_of(sync_pass, op) == "crm" else {"peer_id": op.target_id}
    return Binding.objects.filter(sync_pass=sync_pass, is_tombstone=False, **own).first()


def carry_out(context: RunContext, chosen: Sequence[tuple[Operation, Standing]]) -> dict[int, str]:
    """Takes these writes back. Returns the key of each with "" or why it was not."""
    made: dict[int, Operation | None] = {}
    remaps = {op.pk: remap_undo.take_back(context, op) for op, _ in chosen if remap_undo.is_remap(op)}
    chosen = [(op, standing) for op, standing in chosen if op.pk not in remaps]
    groups: dict[tuple[str, str, bool], list[tuple[Operation, Intent]]] = {}
    for op, standing in chosen:
        intent = _intent(context, op, standing)
        groups.setdefault((intent.side, intent.object_type, intent.kind == Operation.Kind.DELETE), []).append((op, intent))
    for (side, _, _), some in groups.items():
        operations = context.executor.intend([intent for _, intent in some])
        made.update({op.pk: mine for (op, _), mine in zip(some, operations, strict=True)})
        undone = {mine.writer_key: op for (op, _), mine in zip(some, operations, strict=True) if mine is not None}
        context.executor.send(side, [o for o in operations if o is not None], lambda done, u=undone, s=side: _settle(context, s, u, done))
    return {**{pk: _refusal(mine) for pk, mine in made.items()}, **remaps}


def _intent(context: RunContext, op: Operation, standing: Standing) -> Intent:
    is_delete = op.kind == Operation.Kind.CREATE
    origin: dict[str, Any] = {
        **context.staff_origin(),
        "name": op.origin.get("name", ""),
        "undo_of": op.pk,
        "fields": list(standing.fields),
    }
    return Intent(
        Operation.Kind.DELETE.value if is_delete else Operation.Kind.UPDATE.value,
        side_of(context.sync_pass, op),
        op.object_type,
        op.source_ref,
        after={} if is_delete else {n: decode(op.replaced(n)) for n in standing.fields},
        before=decode_fields(op.after) if is_delete else {n: decode(op.after.get(n)) for n in standing.fields},
        target_id=op.target_id,
        reason=f"Undo of operation {op.pk}.",
        origin=origin,
    )


def _settle(context: RunContext, side: str, undone: Mapping[str, Operation], done: list[Done]) -> None:
    for item in done:
        earlier = undone[item.operation.writer_key]
        if item.error is not None:
            if isinstance(item.error, ConnectorError):
                item.operation.error = item.error.sentence
            continue
        Operation.objects.filter(pk=earlier.pk).update(undone_at=context.wiring.now())
        binding = _binding(context.sync_pass, earlier)
        if binding is None:
            continue
        if item.operation.kind == Operation.Kind.DELETE:
            _end(context, binding, item.operation)
        elif item.record is not None:
            _move_base(context, side, binding, item)


def _end(context: RunContext, binding: Binding, operation: Operation) -> None:
    now = context.wiring.now()
    Tombstone.objects.create(
        sync_pass=context.sync_pass,
        binding=binding,
        why=Tombstone.Why.UNDO,
        crm_id=binding.crm_id,
        peer_id=binding.peer_id,
        name=binding.name,
        deleted_by=context.run.started_by,
        deleted_at=now,
        found_at=now,
        run=context.run,
        operation_id=operation.pk,
        crm_values=binding.crm_base,
        peer_values=binding.peer_base,
    )
    Binding.objects.filter(pk=binding.pk).end()


def _move_base(context: RunContext, side: str, binding: Binding, item: Done) -> None:
    """The side that was written agrees on its earlier value, the other one on its own: nobody settles it but a person."""
    names = list(item.operation.after)
    now = {n: encode(item.record.fields.get(n, decode(item.operation.after[n]))) for n in names}
    if side == "crm":
        binding.crm_base, binding.crm_version = {**binding.crm_base, **now}, item.record.version or binding.crm_version
    else:
        binding.peer_base, binding.peer_version = {**binding.peer_base, **now}, item.record.version or binding.peer_version
    pair_bases.save_known([binding])
    type_ = context.terms.type_of(binding.crm_type)
    if type_ is not None:
        own = {r.crm if side == "crm" else r.peer: r.peer for r in type_.mapping.rules}
        pair_differences.note_left(context, type_, binding, {own[n] for n in names if n in own})


def _refusal(made: Operation | None) -> str:
    if made is None:
        return "Somebody else is writing this record just now; try again in a moment."
    if made.state == Operation.State.CONFIRMED:
        return ""
    return f"{made.object_type.capitalize()} {made.target_id} stays as it is: {made.error or made.state}."

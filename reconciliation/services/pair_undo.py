"""Takes back what a two-way pass wrote, on either side, checked against what is there now (engine-rules 17).

An update: before-values are written where our after-value still stands, and what differs from the other side then is
listed, not settled by the next run; an opt-out stays. A create: the record is deleted only if nobody touched it since and
nothing hangs on it; the link ends. Which CRM record a prospect names is no value to take back here; a remap is taken back
with its link (`remap_undo`)."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from connectors.contract import Connector, Record
from connectors.errors import ConnectorError
from reconciliation.core.mapping import Survivorship
from reconciliation.core.matching import Active
from reconciliation.core.operations import Intent
from reconciliation.core.values import is_same, isolated
from reconciliation.engine import pair_undone
from reconciliation.engine.context import RunContext
from reconciliation.engine.executor import Done
from reconciliation.engine.pair_undone import binding_of, side_of
from reconciliation.engine.undone import POINTERS
from reconciliation.field_titles import crm_title, peer_title
from reconciliation.models import Operation, RecordType, SyncPass
from reconciliation.passes.accounts import CRM_ACCOUNT, PEER_ACCOUNT
from reconciliation.passes.prospects import PROSPECT
from reconciliation.selectors import name_writes
from reconciliation.services import remap_undo
from reconciliation.services.matches import active_on
from reconciliation.store import decode, decode_fields

# What belongs to a company and is deleted with it, or left without one: side, object type, field to search, column to read.
PEOPLE_OF = {
    PEER_ACCOUNT: ("peer", PROSPECT, "account.id", "account"),
    CRM_ACCOUNT: ("crm", "Contact", "AccountId", "AccountId"),
}


@dataclass(frozen=True, slots=True)
class Standing:
    """What undoing one write would do: the fields that get their earlier value, or the sentence that says why not."""

    sentence: str
    fields: tuple[str, ...] = ()
    is_possible: bool = True
    version: str = ""  # of the record that it rests on


@dataclass(frozen=True, slots=True)
class Facts:
    """What both systems hold now, and what speaks against taking some of it back."""

    records: Mapping[tuple[str, str], Record]  # (object type, id) -> as it is now
    consents: Collection[tuple[str, str]]  # (object type, field) of every opt-out
    in_use: Mapping[tuple[str, str], str]  # (object type, id) -> what a record that was made has by now


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
    name_writes(operations)
    facts = Facts(now, _consents(sync_pass), _in_use(connectors, [op for op in operations if op.kind == Operation.Kind.CREATE]))
    return [_standing(sync_pass, op, facts, field) for op in operations]


def _consents(sync_pass: SyncPass) -> set[tuple[str, str]]:
    rows = RecordType.objects.filter(sync_pass=sync_pass.whole, mapping__rules__survivorship=Survivorship.RESTRICTIVE)
    found = rows.values_list("crm_object", "mapping__rules__crm_field", "peer_object", "mapping__rules__peer_field")
    return {pair for crm, crm_field, peer, peer_field in found for pair in ((crm, crm_field), (peer, peer_field))}


def _in_use(connectors: Mapping[str, Connector], creates: Sequence[Operation]) -> dict[tuple[str, str], str]:
    """Returns what these records have by now that would go with them: tasks and sequences, counted as *Find matches* counts
    them, and the people of a company."""
    made: dict[str, list[str]] = {}
    for op in creates:
        made.setdefault(op.object_type, []).append(op.target_id)
    said = {(PROSPECT, id_): _worked_on(active) for id_, active in active_on(connectors["peer"], made.get(PROSPECT, [])).items()}
    for object_type, (side, people, field, column) in PEOPLE_OF.items():
        if ids := made.get(object_type):
            found = connectors[side].find(people, field, ids, [column])
            said |= {(object_type, str(person.fields.get(column))): f"has {people.lower()}s" for person in found}
    return said


def _worked_on(active: Active) -> str:
    counts = [f"{n} active {word}{'' if n == 1 else 's'}" for n, word in ((active.tasks, "task"), (active.sequences, "sequence")) if n]
    if not counts and (active.tasks is None or active.sequences is None):
        return "may have active tasks or sequences, which our access may not read"
    return f"has {' and '.join(counts)}" if counts else ""


def _standing(sync_pass: SyncPass, op: Operation, facts: Facts, field: str) -> Standing:
    what, key = subject_of(sync_pass, op), (op.object_type, op.target_id)
    record = facts.records.get(key)
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
        return _standing_of_create(sync_pass, op, record, what, facts.in_use.get(key, ""))
    return _standing_of_values(sync_pass, op, record, what, facts, field)


def subject_of(sync_pass: SyncPass, op: Operation) -> str:
    """Returns how a sentence names the written record: an item of a mailbox has no id that says anything to anybody."""
    name = isolated(op.target_name) if op.target_name else ""
    if sync_pass.mailbox is not None and side_of(sync_pass, op) == "peer":
        return f"{f'Contact {name}' if name else 'A contact'} of {sync_pass.mailbox.address}"
    return f"{op.object_type.capitalize()} {op.target_id}{f' {name}' if name else ''}"


def title_of(sync_pass: SyncPass, op: Operation, name: str) -> str:
    """Returns what a written field is called on pages."""
    return crm_title(sync_pass.crm, op.object_type, name) if side_of(sync_pass, op) == "crm" else peer_title(sync_pass, name)


def _standing_of_create(sync_pass: SyncPass, op: Operation, record: Record, what: str, in_use: str) -> Standing:
    binding = binding_of(sync_pass, op)
    version = (binding.crm_version if side_of(sync_pass, op) == "crm" else binding.peer_version) if binding is not None else ""
    # What its user made of an item is agreed on by now, and bears no other version: only its values tell.
    is_edited = sync_pass.mailbox is not None and any(
        n in record.fields and not is_same(record.fields[n], decode(value)) for n, value in op.after.items() if n not in POINTERS
    )
    if not version or version != record.version or is_edited:
        return Standing(f"{what} was changed since it was made; it is kept.", is_possible=False)
    if in_use:
        return Standing(f"{what} {in_use}; it is kept.", is_possible=False)
    return Standing(f"{what} is deleted, and its link ends.")


def _standing_of_values(sync_pass: SyncPass, op: Operation, record: Record, what: str, facts: Facts, field: str) -> Standing:
    written = {n: v for n, v in op.after.items() if n not in POINTERS and (not field or n == field)}
    unchanged = [n for n, value in written.items() if is_same(record.fields.get(n), decode(value))]
    # A yes on one side holds for both, and no merge would bring the opt-out back once the other side's yes is agreed on.
    opt_outs = [n for n in unchanged if (op.object_type, n) in facts.consents and op.after[n] is True and op.replaced(n) is not True]
    standing = [n for n in unchanged if n not in opt_outs]
    kept = f"{_titled(sync_pass, op, opt_outs)}: an opt-out is never taken back" if opt_outs else ""
    left = len(written) - len(unchanged)
    if not standing:
        why = "every value was changed again since; nothing to take back" if written else "it only says which CRM record it belongs to"
        return Standing(f"{what}: {kept or why}.", is_possible=False)
    tail = (f"; {left} changed again since and stay" if left else "") + (f"; {kept}" if kept else "")
    get = "gets its earlier value" if len(standing) == 1 else "get their earlier values"
    return Standing(f"{what}: {_titled(sync_pass, op, standing)} {get}{tail}.", tuple(standing), version=record.version)


def _titled(sync_pass: SyncPass, op: Operation, names: Sequence[str]) -> str:
    return ", ".join(title_of(sync_pass, op, name) for name in names)


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
        context.executor.send(side, [o for o in operations if o is not None], lambda done: _settle(context, done))
    return {**{pk: _refusal(mine) for pk, mine in made.items()}, **remaps}


def _intent(context: RunContext, op: Operation, standing: Standing) -> Intent:
    is_delete = op.kind == Operation.Kind.CREATE
    return Intent(
        Operation.Kind.DELETE.value if is_delete else Operation.Kind.UPDATE.value,
        side_of(context.sync_pass, op),
        op.object_type,
        op.source_ref,
        after={} if is_delete else {n: decode(op.replaced(n)) for n in standing.fields},
        before=decode_fields(op.after) if is_delete else {n: decode(op.after.get(n)) for n in standing.fields},
        target_id=op.target_id,
        version=standing.version,
        reason=f"Undo of operation {op.pk}.",
        origin=origin_of(context, op, standing.fields),
    )


def origin_of(context: RunContext, undone: Operation, fields: Sequence[str] = ()) -> dict[str, Any]:
    """Returns what the journal says of whom a taking back comes from, and of which write, or which fields of it."""
    return {**context.staff_origin(), "name": undone.origin.get("name", ""), "undo_of": undone.pk, "fields": list(fields)}


def _settle(context: RunContext, done: list[Done]) -> None:
    for item in done:
        if item.error is not None:
            if isinstance(item.error, ConnectorError):
                item.operation.error = item.error.sentence
        elif item.operation.kind == Operation.Kind.DELETE:
            pair_undone.note_deleted(context, item.operation)
        elif item.record is not None:
            pair_undone.note_restored(context, item.operation, item.record)


def _refusal(made: Operation | None) -> str:
    if made is None:
        return "Somebody else is writing this record just now; try again in a moment."
    if made.state == Operation.State.CONFIRMED:
        return ""
    return f"{made.object_type.capitalize()} {made.target_id} stays as it is: {made.error or made.state}."

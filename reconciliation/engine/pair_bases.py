"""Bindings of a two-way pass and what both sides agreed on, field by field: a field's base moves on both sides in the
transaction that settles its write, so that a crash between two writes forgets nothing."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from typing import Any

from connectors.contract import Fields, Record, Ref
from reconciliation.core.mapping import FieldRule
from reconciliation.core.mapping import Mapping as Rules
from reconciliation.core.transforms import AS_IT_IS
from reconciliation.core.values import is_same, name_key
from reconciliation.engine.context import RunContext
from reconciliation.models import Binding
from reconciliation.models.bulk import insert_rows, update_rows
from reconciliation.passes import contacts
from reconciliation.passes.pairs import Bound, PairDecision, TypeTerms
from reconciliation.store import decode_fields, encode

CHANGING = ["crm_type", "crm_id", "name", "name_key", "crm_base", "peer_base", "crm_version", "peer_version", "mapping_version"]
CHANGING += [
    "owner_text",
    "is_without_owner",
    "is_write_back_due",
    "owed_since",
    "is_tombstone",
    "is_retry_due",
    "lacks",
    "is_out_of_view",
    "synced_at",
]


def bound_of(binding: Binding, crm_system: str) -> Bound:
    return Bound(
        crm=Ref(crm_system, binding.crm_type, binding.crm_id),
        peer_id=binding.peer_id,
        crm_base=decode_fields(binding.crm_base),
        peer_base=decode_fields(binding.peer_base),
        mapping_version=binding.mapping_version,
        is_tombstone=binding.is_tombstone,
        synced_at=binding.synced_at,
        crm_version=binding.crm_version,
        peer_version=binding.peer_version,
        is_owed=binding.is_retry_due or binding.lacks is not None,
        is_hidden=binding.is_out_of_view,
    )


def agree(binding: Binding, rules: Iterable[FieldRule], crm: Fields, peer: Fields) -> None:
    """Moves the bases of these rules to what both sides hold."""
    crm_base, peer_base = dict(binding.crm_base), dict(binding.peer_base)
    for rule in rules:
        crm_base[rule.crm], peer_base[rule.peer] = encode(crm.get(rule.crm)), encode(peer.get(rule.peer))
    binding.crm_base, binding.peer_base = crm_base, peer_base


def agreed_rules(decision: PairDecision) -> list[FieldRule]:
    """Returns the rules that want nothing of this decision any more. A direction that is switched off for the type leaves
    its edits standing, so that they go across once it is on again."""
    type_, pending = decision.type, decision.pending
    if type_ is None:
        return []
    blocked = {r.id for r, f in zip(type_.mapping.rules, type_.flowing.rules, strict=True) if r.direction != f.direction}
    return [rule for rule in type_.mapping.rules if rule.id not in pending and rule.id not in blocked]


def new_binding(context: RunContext, type_: TypeTerms, crm: Record, peer: Record, *, how: str, is_pointer_due: bool) -> Binding:
    """Returns a binding without bases yet."""
    now, name = context.wiring.now(), context.terms.kind.name_of(peer if peer.fields else crm)
    return Binding(
        sync_pass=context.sync_pass,
        crm_type=crm.ref.object_type,
        crm_id=crm.ref.id,
        peer_type=type_.peer_object,
        peer_id=peer.ref.id,
        name=name[:255],
        name_key=name_key(name),
        mapping_version=type_.mapping.version,
        is_write_back_due=is_pointer_due,
        owed_since=now if is_pointer_due else None,
        how=how,
        bound_at=now,
        synced_at=now,
    )


def seen(
    context: RunContext, binding: Binding, type_: TypeTerms, crm: Record | None, peer: Record | None, *, is_carried_out: bool = True
) -> None:
    """Notes versions and name of an agreement, and its mapping once all it asks for `is_carried_out`: until then equal bases
    do not say that a changed rule has nothing to do."""
    binding.synced_at, binding.is_retry_due = context.wiring.now(), False
    if is_carried_out:
        binding.mapping_version = type_.mapping.version
    if crm is not None:
        binding.crm_version = crm.version or binding.crm_version
        if binding.lacks is not None:  # it leaves the list of incomplete contacts once somebody completed it
            note_missing(context, binding, crm)
    if peer is not None:
        binding.peer_version = peer.version or binding.peer_version
        if peer.fields:
            name = context.terms.kind.name_of(peer)
            binding.name, binding.name_key = name[:255], name_key(name)


def note_missing(context: RunContext, binding: Binding, crm: Record, *, asked: Iterable[str] = ()) -> None:
    """Notes what a contact that a mailbox made lacks (S4.34). Of what was not read now, what was noted before holds."""
    names = contacts.missing_of(crm, context.terms, asked=asked)
    unread = (name for name in (binding.lacks or "").split(",") if name and name not in crm.fields)
    binding.lacks = ",".join(dict.fromkeys((*names, *unread)))[:255] or None


def answered(context: RunContext, side: str, sent: Fields, record: Record) -> Fields | None:
    """Returns what a side answered to our write: what we `sent`, perhaps written differently by the system. None where a
    person edited the record between our write and the read-back (engine-rules 30): then the base is what we sent, so that the
    next look finds that edit. Who we are is asked only where the two differ."""
    told = {name: record.fields[name] for name in sent if name in record.fields}
    if side == "peer" or all(is_same(value, sent[name]) for name, value in told.items()):
        return told
    own = getattr(context.crm.connector, "own_user_id", "")
    return told if not own or not record.updated_by or record.updated_by == own else None


def agree_sent(binding: Binding, type_: TypeTerms, side: str, sent: Fields, record: Record, context: RunContext) -> None:
    """Takes what a create sent for what both sides agreed on, for rules that carry a value over as it is. A value that the
    system wrote differently is left open; one that a person of the CRM changed since is that person's edit."""
    own = getattr(context.crm.connector, "own_user_id", "") if side == "crm" and record.updated_by else ""
    is_edited = bool(own) and record.updated_by != own
    for rule in type_.mapping.rules:
        name = rule.crm if side == "crm" else rule.peer
        default = rule.default_in_crm if side == "crm" else rule.default_in_peer
        if rule.transform != AS_IT_IS or name not in sent or is_same(sent[name], default):
            continue
        if is_edited or is_same(record.fields.get(name), sent[name]):
            agree(binding, [rule], {rule.crm: sent[name]}, {rule.peer: sent[name]})


def make_room(context: RunContext, binding: Binding) -> None:
    """Lets a binding take the place of a tombstone of the CRM record that it follows to."""
    earlier = Binding.objects.filter(sync_pass=context.sync_pass, crm_type=binding.crm_type, crm_id=binding.crm_id, is_tombstone=True)
    for row in earlier.exclude(pk=binding.pk):
        row.tombstones.update(binding=None)
        row.delete()


def save_new(bindings: Collection[Binding]) -> None:
    """Stores bindings; one whose CRM record was bound once before takes the place of its tombstone."""
    insert_rows(list(bindings), unique=["sync_pass", "crm_type", "crm_id"], update=[*CHANGING, "peer_id", "peer_type", "how", "bound_at"])


def save_known(bindings: Iterable[Binding]) -> None:
    update_rows(list(bindings), CHANGING)


def translated(base: Mapping[str, Any], old: Rules, new: Rules) -> dict[str, Any]:
    """Returns a base of the CRM's side in the fields of another type: what a lead agreed on holds for the contact that it
    became, by the peer's field."""
    by_peer = {rule.peer: rule.crm for rule in old.rules}
    found = {rule.crm: by_peer.get(rule.peer) for rule in new.rules}
    return {crm: base[name] for crm, name in found.items() if name is not None and name in base}

"""Keeps the list of fields that differ between linked records of a two-way pass: left so when they were linked, or by an
undo (D25), and blanks that a rule holds back (D30). What agrees by now leaves the list."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from reconciliation.core.mapping import FieldRule
from reconciliation.core.merging import SideState, forced_fields
from reconciliation.core.transforms import USER_PAIR, Users
from reconciliation.engine.context import RunContext
from reconciliation.engine.pair_work import PairWork
from reconciliation.models import Binding, Difference, UserPair
from reconciliation.models.bulk import insert_rows
from reconciliation.passes.pairs import PairDecision, TypeTerms
from reconciliation.store import decode_fields


@dataclass(frozen=True, slots=True)
class _Standing:
    """The fields in which one pair differs by now, by the peer's name; `held` are those whose blank a rule held back."""

    type: TypeTerms
    binding: Binding
    fields: Collection[str]
    held: Collection[str] = ()


def note(context: RunContext, work: PairWork, decisions: Sequence[PairDecision]) -> None:
    """Brings the list up to date for pairs whose bases were just moved, in the same transaction."""
    work.users = None  # the page may have asked for more of them since
    rows = [(work.bindings[d.record.ref.id], d) for d in decisions if d.merge is not None and d.record.ref.id in work.bindings]
    rows = [(b, d) for b, d in rows if b.pk is not None and not b.is_tombstone and d.type is not None]
    if not rows:
        return
    known = _known(b for b, _ in rows)
    concerned = [(b, d) for b, d in rows if d.is_link or d.merge.held_blanks or b.pk in known]
    users = _users_of_page(context, work) if concerned else {}
    found = []
    for binding, decision in concerned:
        pending = decision.pending
        held = {r.peer for r in decision.merge.held_blanks}
        writes = {r.peer for r in decision.type.mapping.rules if r.id in pending}
        standing = _differing(decision.type, binding, users) - writes
        kept = standing if decision.is_link else {n for n in standing if n in known.get(binding.pk, ()) or n in held}
        found.append(_Standing(decision.type, binding, kept, held))
    _store(context, found, known)


def note_left(context: RunContext, type_: TypeTerms, binding: Binding, fields: Collection[str]) -> None:
    """Lists the fields of a pair that a person left different, by an undo, a remap or a link of theirs."""
    known = _known([binding])
    kept = {n for n in differing(context, type_, binding) if n in fields or n in known.get(binding.pk, ())}
    _store(context, [_Standing(type_, binding, kept)], known)


def note_made(context: RunContext, work: PairWork, bindings: Sequence[Binding]) -> None:
    """Lists in which fields records that were just made differ from their sources by what the system itself put there."""
    typed = [(type_, b) for b in bindings if (type_ := context.terms.type_of(b.crm_type)) is not None]
    users = _users_of_page(context, work) if typed else {}
    _store(context, [_Standing(type_, b, _differing(type_, b, users)) for type_, b in typed], {})


def note_agreed(context: RunContext, type_: TypeTerms, binding: Binding) -> None:
    """Strikes out what agrees by now."""
    note_left(context, type_, binding, ())


def differing(context: RunContext, type_: TypeTerms, binding: Binding) -> set[str]:
    """Returns the peer's fields in which the bases of a pair differ. Only fields that flow at all are compared."""
    return _differing(type_, binding, _users(context, [type_]))


def _differing(type_: TypeTerms, binding: Binding, users: Users) -> set[str]:
    crm, peer = decode_fields(binding.crm_base), decode_fields(binding.peer_base)
    merge = forced_fields(type_.mapping, "crm", crm=SideState({}, crm), peer=SideState({}, peer), users=users, also_blanks=True)
    return {r.peer for r in type_.mapping.rules if (r.flows_to_crm or r.flows_to_peer) and r.peer in merge.to_peer}


def _known(bindings: Iterable[Binding]) -> dict[int, dict[str, int]]:
    """Returns what stands in the list: binding's key -> the peer's field -> row."""
    known: dict[int, dict[str, int]] = {}
    rows = Difference.objects.filter(binding__in=[b.pk for b in bindings])
    for key, name, pk in rows.values_list("binding_id", "peer_field", "pk"):
        known.setdefault(key, {})[name] = pk
    return known


def _store(context: RunContext, standing: Sequence[_Standing], known: Mapping[int, Mapping[str, int]]) -> None:
    """Strikes out what agrees by now and lists what differs, for a page of pairs at once."""
    stale = [pk for it in standing for name, pk in known.get(it.binding.pk, {}).items() if name not in it.fields]
    if stale:
        Difference.objects.filter(pk__in=stale).delete()
    now = context.wiring.now()
    rows = [_row(context, it, rule, now) for it in standing for rule in it.type.mapping.rules if rule.peer in it.fields]
    insert_rows(rows, unique=["binding", "peer_field"], update=["kind", "name_key", "crm_field", "crm_value", "peer_value"])


def _row(context: RunContext, it: _Standing, rule: FieldRule, now: datetime) -> Difference:
    return Difference(
        sync_pass=context.sync_pass,
        binding=it.binding,
        kind=Difference.Kind.BLANK if rule.peer in it.held else Difference.Kind.LINKED,
        name_key=it.binding.name_key,
        crm_field=rule.crm,
        peer_field=rule.peer,
        crm_value=it.binding.crm_base.get(rule.crm),
        peer_value=it.binding.peer_base.get(rule.peer),
        noted_at=now,
    )


def _users_of_page(context: RunContext, work: PairWork) -> Users:
    """Returns as `_users`, read once for all that a page writes."""
    if work.users is None:
        work.users = _users(context, context.terms.types)
    return work.users


def _users(context: RunContext, types: Iterable[TypeTerms]) -> dict[str, str]:
    """Returns CRM user -> user of the peer, where one of these types maps users at all."""
    if not any(rule.transform == USER_PAIR for type_ in types for rule in type_.mapping.rules):
        return {}
    rows = UserPair.objects.filter(sync_pass=context.sync_pass).exclude(crm_user_id="").exclude(peer_user_id="")
    return dict(rows.values_list("crm_user_id", "peer_user_id"))

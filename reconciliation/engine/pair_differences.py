"""Keeps the list of fields that differ between linked records of a two-way pass: left so when they were linked, or by an
undo (D25), and blanks that a rule holds back (D30). What agrees by now leaves the list."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence

from reconciliation.core.merging import SideState, forced_fields
from reconciliation.core.values import is_blank
from reconciliation.engine.context import RunContext
from reconciliation.engine.pair_work import PairWork
from reconciliation.models import Binding, Difference, UserPair
from reconciliation.models.bulk import insert_rows
from reconciliation.passes.pairs import PairDecision, TypeTerms
from reconciliation.store import decode_fields


def note(context: RunContext, work: PairWork, decisions: Sequence[PairDecision]) -> None:
    """Brings the list up to date for pairs whose bases were just moved, in the same transaction."""
    rows = [(work.bindings[d.record.ref.id], d) for d in decisions if d.merge is not None and d.record.ref.id in work.bindings]
    rows = [(b, d) for b, d in rows if b.pk is not None and not b.is_tombstone and d.type is not None]
    if not rows:
        return
    known = known_fields(b for b, _ in rows)
    concerned = [(b, d) for b, d in rows if d.is_link or d.merge.held_blanks or b.pk in known]
    for binding, decision in concerned:
        pending = decision.pending
        held = {r.peer for r in decision.merge.held_blanks}
        writes = {r.peer for r in decision.type.mapping.rules if r.id in pending}
        standing = {n: v for n, v in differing(context, decision.type, binding).items() if n not in writes}
        kept = set(standing) if decision.is_link else {n for n in standing if n in known.get(binding.pk, ()) or n in held}
        _store(context, decision.type, binding, kept, known.get(binding.pk, frozenset()), held)


def note_left(context: RunContext, type_: TypeTerms, binding: Binding, fields: Collection[str]) -> None:
    """Lists the fields of a pair that a person left different, by an undo, a remap or a link of theirs."""
    known = known_fields([binding]).get(binding.pk, frozenset())
    standing = differing(context, type_, binding)
    _store(context, type_, binding, {n for n in standing if n in fields or n in known}, known, frozenset())


def note_made(context: RunContext, binding: Binding) -> None:
    """Lists in which fields a record that was just made differs from its source by what the system itself put there."""
    type_ = context.terms.type_of(binding.crm_type)
    standing = differing(context, type_, binding) if type_ is not None else {}
    if standing:
        _store(context, type_, binding, set(standing), (), ())


def note_agreed(context: RunContext, type_: TypeTerms, binding: Binding) -> None:
    """Strikes out what agrees by now."""
    note_left(context, type_, binding, ())


def differing(context: RunContext, type_: TypeTerms, binding: Binding) -> dict[str, bool]:
    """Returns the peer's fields in which the bases of a pair differ, with whether one side is blank. Only fields that flow
    at all are compared."""
    crm, peer = decode_fields(binding.crm_base), decode_fields(binding.peer_base)
    merge = forced_fields(type_.mapping, "crm", crm=SideState({}, crm), peer=SideState({}, peer), users=_users(context), also_blanks=True)
    flowing = {r.peer for r in type_.mapping.rules if r.flows_to_crm or r.flows_to_peer}
    return {name: _has_blank(write.value, peer.get(name)) for name, write in merge.to_peer.items() if name in flowing}


def _has_blank(wanted: object, now: object) -> bool:
    return is_blank(wanted) or is_blank(now)  # type: ignore[arg-type]


def known_fields(bindings: Iterable[Binding]) -> dict[int, frozenset[str]]:
    """Returns the peer's fields that stand in the list, by the binding's key."""
    keys = [b.pk for b in bindings]
    known: dict[int, set[str]] = {}
    for key, name in Difference.objects.filter(binding__in=keys).values_list("binding_id", "peer_field"):
        known.setdefault(key, set()).add(name)
    return {key: frozenset(names) for key, names in known.items()}


def _store(context: RunContext, type_: TypeTerms, binding: Binding, kept: set[str], known: Collection[str], held: Collection[str]) -> None:
    stale = set(known) - kept
    if stale:
        Difference.objects.filter(binding=binding, peer_field__in=stale).delete()
    rules = {r.peer: r for r in type_.mapping.rules}
    rows = [
        Difference(
            sync_pass=context.sync_pass,
            binding=binding,
            kind=Difference.Kind.BLANK if name in held else Difference.Kind.LINKED,
            name_key=binding.name_key,
            crm_field=rules[name].crm,
            peer_field=name,
            crm_value=binding.crm_base.get(rules[name].crm),
            peer_value=binding.peer_base.get(name),
            noted_at=context.wiring.now(),
        )
        for name in sorted(kept)
    ]
    insert_rows(rows, unique=["binding", "peer_field"], update=["kind", "name_key", "crm_field", "crm_value", "peer_value"])


def _users(context: RunContext) -> dict[str, str]:
    rows = UserPair.objects.filter(sync_pass=context.sync_pass).exclude(crm_user_id="").exclude(peer_user_id="")
    return dict(rows.values_list("crm_user_id", "peer_user_id"))

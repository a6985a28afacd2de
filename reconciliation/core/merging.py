"""The merge of seed 003: each side against its own base, field by field.

Each side is compared with its own base in its own raw values, so a lossy transform, or a server that reformats what
it stores, never looks like somebody's edit.
"""

from __future__ import annotations

from collections.abc import Collection
from collections.abc import Mapping as ReadOnly
from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal

from connectors.contract import Fields, Value
from reconciliation.core.mapping import FieldRule, Mapping, Survivorship
from reconciliation.core.transforms import CannotConvert, Unmatched, Users, convert
from reconciliation.core.values import is_blank, is_same

Side = Literal["crm", "peer"]
_MISSING: Value = "\0missing"


@dataclass(frozen=True, slots=True)
class SideState:
    """One side of a binding: what it held at the last agreement and what it holds now. `fields` it never had in the
    base count as changed. `damaged` fields are never copied across."""

    base: Fields
    now: Fields
    changed_at: datetime | None = None
    damaged: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class FieldWrite:
    """One value for one field of one side, with the rule that decided and the value it replaces. `has_loser` when that
    value was an edit of that side's own users since the last agreement: the rule's winner, or its one direction, beats it."""

    rule: FieldRule
    side: Side
    name: str
    value: Value
    before: Value
    loser: Value = None
    has_loser: bool = False


@dataclass(frozen=True, slots=True)
class Conflict:
    """A field that changed on both sides to different values and has no winner."""

    rule: FieldRule
    crm_value: Value
    peer_value: Value


@dataclass(frozen=True, slots=True)
class Warning:
    """A field that was left out, and why. `is_fatal` when the record cannot go without it."""

    rule: FieldRule
    sentence: str
    is_fatal: bool = False


@dataclass(slots=True)
class Merge:
    """What brings both sides together: writes per side, and what was left alone and why."""

    to_peer: dict[str, FieldWrite] = field(default_factory=dict)
    to_crm: dict[str, FieldWrite] = field(default_factory=dict)
    conflicts: list[Conflict] = field(default_factory=list)
    held_blanks: list[FieldRule] = field(default_factory=list)
    unmatched: list[tuple[FieldRule, str]] = field(default_factory=list)
    warnings: list[Warning] = field(default_factory=list)

    @property
    def is_quiet(self) -> bool:
        return not (self.to_peer or self.to_crm or self.conflicts)


def changed_fields(base: Fields, now: Fields, names: tuple[str, ...]) -> tuple[str, ...]:
    """Returns the names whose value differs from the base; a name the base never held counts as changed."""
    return tuple(n for n in names if n not in base or not is_same(base[n], now.get(n)))


def merge_fields(
    mapping: Mapping,
    *,
    crm: SideState,
    peer: SideState,
    users: Users,
    margin_seconds: float = 60.0,
    fresh: Collection[int] = frozenset(),
) -> Merge:
    """Returns the writes that bring both sides together, field by field.

    Unchanged on both sides: nothing. Changed on one: copied to the other if the rule's direction allows. Changed on
    both to different values: survivorship decides; a field without a winner is listed in `conflicts` and written
    nowhere. Only fields that differ are written. Rules in `fresh` have a new meaning since the last agreement: their
    fields count as changed. Raises nothing. Source: seed 003, D10, D30."""
    merge = Merge()
    for rule in mapping.rules:
        is_fresh = rule.id in fresh
        crm_changed = is_fresh or rule.crm not in crm.base or not is_same(crm.base[rule.crm], crm.now.get(rule.crm))
        peer_changed = is_fresh or rule.peer not in peer.base or not is_same(peer.base[rule.peer], peer.now.get(rule.peer))
        was_agreed = not is_fresh and rule.crm in crm.base and rule.peer in peer.base
        collide = was_agreed and crm_changed and peer_changed
        if not rule.flows_to_crm:
            peer_changed = False  # one way: what the peer's users typed there is theirs until the CRM changes
        if not rule.flows_to_peer:
            crm_changed = False
        if crm_changed and peer_changed:
            _settle_collision(merge, rule, crm, peer, users, margin_seconds)
        elif crm_changed:
            _copy(merge, rule, "peer", crm, peer, users, loser=collide)
        elif peer_changed:
            _copy(merge, rule, "crm", peer, crm, users, loser=collide)
    return merge


def _copy(merge: Merge, rule: FieldRule, to: Side, source: SideState, target: SideState, users: Users, *, loser: bool = False) -> None:
    from_name, to_name = (rule.crm, rule.peer) if to == "peer" else (rule.peer, rule.crm)
    if from_name in source.damaged:
        merge.warnings.append(Warning(rule, f"{from_name} holds characters that cannot be stored; it was left out", rule.is_required))
        return
    value = source.now.get(from_name)
    current = target.now.get(to_name)
    try:
        wanted = convert(rule.transform, value, users=users) if to == "peer" else value
    except CannotConvert as error:
        merge.warnings.append(Warning(rule, f"{from_name}: {error}; it was left out", rule.is_required))
        return
    if isinstance(wanted, Unmatched):
        merge.unmatched.append((rule, wanted.text))
        return
    if is_blank(wanted) and not is_blank(current) and not (rule.blank_to_peer if to == "peer" else rule.blank_to_crm):
        merge.held_blanks.append(rule)
        return
    if is_same(wanted, current):
        return
    if to == "peer" and rule.max_length and isinstance(wanted, str) and len(wanted) > rule.max_length:
        merge.warnings.append(
            Warning(rule, f"{from_name} has {len(wanted)} characters, {to_name} takes {rule.max_length}; it was left out", rule.is_required)
        )
        return
    writes = merge.to_peer if to == "peer" else merge.to_crm
    writes[to_name] = FieldWrite(rule, to, to_name, None if is_blank(wanted) else wanted, current, current if loser else None, loser)


def _settle_collision(merge: Merge, rule: FieldRule, crm: SideState, peer: SideState, users: Users, margin_seconds: float) -> None:
    crm_value, peer_value = crm.now.get(rule.crm), peer.now.get(rule.peer)
    try:
        if is_same(convert(rule.transform, crm_value, users=users), peer_value):  # type: ignore[arg-type]
            return
    except CannotConvert:
        pass
    winner = _winner(rule, crm, peer, margin_seconds)
    if winner is None:
        merge.conflicts.append(Conflict(rule, crm_value, peer_value))
    elif winner == "crm":
        _copy(merge, rule, "peer", crm, peer, users, loser=True)
    else:
        _copy(merge, rule, "crm", peer, crm, users, loser=True)


def _winner(rule: FieldRule, crm: SideState, peer: SideState, margin_seconds: float) -> Side | None:
    if rule.survivorship is Survivorship.CRM:
        return "crm"
    if rule.survivorship is Survivorship.PEER:
        return "peer"
    if rule.survivorship is Survivorship.ASK or crm.changed_at is None or peer.changed_at is None:
        return None
    lead = (crm.changed_at - peer.changed_at).total_seconds()
    if abs(lead) <= margin_seconds:
        return None
    return "crm" if lead > 0 else "peer"


def values_of(writes: ReadOnly[str, FieldWrite]) -> dict[str, Value]:
    """Returns field name -> new value, ready for a `Write`."""
    return {name: write.value for name, write in writes.items()}

"""The merge of seed 003: each side against its own base, field by field.

Each side is compared with its own base in its own raw values, so a lossy transform, or a server that reformats what
it stores, never looks like somebody's edit.
"""

from __future__ import annotations

from collections.abc import Collection
from collections.abc import Mapping as ReadOnly
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Literal

from connectors.contract import Fields, Value
from reconciliation.core.counting import counted
from reconciliation.core.mapping import Direction, FieldRule, Mapping, Survivorship
from reconciliation.core.transforms import CannotConvert, Unmatched, Users, convert
from reconciliation.core.values import is_blank, is_same

Side = Literal["crm", "peer"]


@dataclass(frozen=True, slots=True)
class SideState:
    """One side of a binding: what it held at the last agreement and what it holds now. `fields` it never had in the
    base count as changed. `damaged` fields are never copied across."""

    base: Fields
    now: Fields
    changed_at: datetime | None = None
    damaged: frozenset[str] = frozenset()
    undated: str = ""  # why no time is known, in a sentence


@dataclass(frozen=True, slots=True)
class FieldWrite:
    """One value for one field of one side, with the rule that decided and the value it replaces. `has_loser` when that
    value never was on the other side: an edit of that side's own users since the last agreement, which the rule's winner,
    or its one direction, beats; or a difference left standing, which an edit of the other side ends."""

    rule: FieldRule
    side: Side
    name: str
    value: Value
    before: Value
    loser: Value = None
    has_loser: bool = False


@dataclass(frozen=True, slots=True)
class Conflict:
    """A field that changed on both sides to different values and has no winner; `why` says what kept the rule from it."""

    rule: FieldRule
    crm_value: Value
    peer_value: Value
    why: str = ""


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
    pair = _Pair(crm, peer, users, margin_seconds)
    for rule in mapping.rules:
        if rule.survivorship is Survivorship.RESTRICTIVE:
            _most_restrictive(merge, rule, pair)
        else:
            _merge_field(merge, rule, pair, is_fresh=rule.id in fresh)
    return merge


def forced_fields(
    mapping: Mapping,
    source: Side,
    *,
    crm: SideState,
    peer: SideState,
    users: Users,
    fields: Collection[str] | None = None,
    also_blanks: bool = False,
) -> Merge:
    """Returns the writes of a force update: every mapped field of `source` goes across where the other side differs, also
    one whose rule lets nothing flow; `fields` (of the peer) narrows it, blanks only where asked for. Consent is never
    loosened. Raises nothing. Source: S2.15, D29."""
    merge = Merge()
    pair = _Pair(crm, peer, users, 0.0)
    target: Side = "peer" if source == "crm" else "crm"
    for rule, bare in zip(mapping.rules, mapping.with_blanks(also_blanks), strict=True):
        if fields is not None and rule.peer not in fields:
            continue
        if rule.survivorship is Survivorship.RESTRICTIVE:
            _most_restrictive(merge, replace(rule, direction=Direction.TO_PEER if target == "peer" else Direction.TO_CRM), pair)
        else:
            _copy(merge, bare, target, pair)
    return merge


@dataclass(frozen=True, slots=True)
class _Pair:
    """Both sides, and what holds for all their fields."""

    crm: SideState
    peer: SideState
    users: Users
    margin_seconds: float

    def towards(self, to: Side, rule: FieldRule) -> tuple[str, SideState, str, SideState]:
        """Returns name and state of the side a value comes from, then of the side it goes to."""
        ends = (rule.crm, self.crm), (rule.peer, self.peer)
        (from_name, source), (to_name, target) = ends if to == "peer" else (ends[1], ends[0])
        return from_name, source, to_name, target


def is_changed(side: SideState, name: str) -> bool:
    """Tells whether a side's value differs from its base; one that the base never held counts as changed."""
    return name not in side.base or not is_same(side.base[name], side.now.get(name))


def _merge_field(merge: Merge, rule: FieldRule, pair: _Pair, *, is_fresh: bool) -> None:
    crm, peer = pair.crm, pair.peer
    if is_fresh and rule.flows_to_crm and rule.flows_to_peer and rule.crm in crm.base and rule.peer in peer.base:
        # An edit since the last agreement says more than the rule's new meaning, above all one that blanked the field.
        is_fresh = not (is_changed(crm, rule.crm) or is_changed(peer, rule.peer))
    crm_changed = is_fresh or is_changed(crm, rule.crm)
    peer_changed = is_fresh or is_changed(peer, rule.peer)
    was_agreed = not is_fresh and rule.crm in crm.base and rule.peer in peer.base
    collide = was_agreed and crm_changed and peer_changed
    if not rule.flows_to_crm:
        peer_changed = False  # one way: what the peer's users typed there is theirs until the CRM changes
    if not rule.flows_to_peer:
        crm_changed = False
    if crm_changed and peer_changed and not was_agreed:  # nothing was agreed yet: a blank there is no edit, and is filled
        crm_is_blank, peer_is_blank = is_blank(crm.now.get(rule.crm)), is_blank(peer.now.get(rule.peer))
        crm_changed, peer_changed = not crm_is_blank or peer_is_blank, not peer_is_blank or crm_is_blank
    if crm_changed and peer_changed:
        _settle_collision(merge, rule, pair)
    elif crm_changed:
        _copy(merge, rule, "peer", pair, loser=collide or (was_agreed and _differed(rule, "peer", pair)))
    elif peer_changed:
        _copy(merge, rule, "crm", pair, loser=collide or (was_agreed and _differed(rule, "crm", pair)))


def _differed(rule: FieldRule, to: Side, pair: _Pair) -> bool:
    """Tells whether the last agreement was to leave both sides as they were: what a write replaces then is on one side only.
    So it is where a base has no counterpart at all; bases agree when either is what the other becomes."""
    base = pair.towards(to, rule)[3].base[rule.peer if to == "peer" else rule.crm]
    return not is_blank(base) and not (_bases_agree(rule, "peer", pair) or _bases_agree(rule, "crm", pair))


def _bases_agree(rule: FieldRule, to: Side, pair: _Pair) -> bool:
    from_name, source, to_name, target = pair.towards(to, rule)
    try:
        wanted = _converted(rule, to, source.base[from_name], target.base[to_name], pair.users)
    except CannotConvert:
        return False
    return not isinstance(wanted, Unmatched) and is_same(wanted, target.base[to_name])


def _most_restrictive(merge: Merge, rule: FieldRule, pair: _Pair) -> None:
    """A yes on either side becomes a yes on both; a no never goes across, so that no opt-out is undone by a merge. Who
    took one back on one side alone is told so by the value that comes back; the no is kept as the loser."""
    for to, flows in (("peer", rule.flows_to_peer), ("crm", rule.flows_to_crm)):
        side: Side = "peer" if to == "peer" else "crm"
        from_name, source, to_name, target = pair.towards(side, rule)
        current = target.now.get(to_name)
        if not flows or source.now.get(from_name) is not True or current is True:
            continue
        is_taken_back = to_name in target.base and is_changed(target, to_name)
        writes = merge.to_peer if side == "peer" else merge.to_crm
        writes[to_name] = FieldWrite(rule, side, to_name, True, current, current if is_taken_back else None, is_taken_back)


def _copy(merge: Merge, rule: FieldRule, to: Side, pair: _Pair, *, loser: bool = False) -> None:
    from_name, source, to_name, target = pair.towards(to, rule)
    is_required = rule.is_required if to == "peer" else rule.is_required_in_crm
    if from_name in source.damaged:
        merge.warnings.append(Warning(rule, f"{from_name} holds characters that cannot be stored; it was left out", is_required))
        return
    value = source.now.get(from_name)
    current = target.now.get(to_name)
    try:
        wanted = _converted(rule, to, value, current, pair.users)
    except CannotConvert as error:
        merge.warnings.append(Warning(rule, f"{from_name}: {error}; it was left out", is_required))
        return
    if isinstance(wanted, Unmatched):
        merge.unmatched.append((rule, wanted.text))
        return
    if is_blank(wanted) and not is_blank(current) and not (rule.blank_to_peer if to == "peer" else rule.blank_to_crm):
        merge.held_blanks.append(rule)
        return
    if is_same(wanted, current):
        return
    most = rule.max_length if to == "peer" else rule.max_length_in_crm
    if most and isinstance(wanted, str) and len(wanted) > most:
        sentence = f"{from_name} has {len(wanted)} characters, {to_name} takes {most}; it was left out"
        merge.warnings.append(Warning(rule, sentence, is_required))
        return
    writes = merge.to_peer if to == "peer" else merge.to_crm
    writes[to_name] = FieldWrite(rule, to, to_name, None if is_blank(wanted) else wanted, current, current if loser else None, loser)


def _converted(rule: FieldRule, to: Side, value: Value, current: Value, users: Users) -> Value | Unmatched:
    return convert(rule.transform, value, users=users, current=current, pairs=rule.value_map, back=to == "crm")


def _settle_collision(merge: Merge, rule: FieldRule, pair: _Pair) -> None:
    crm_value, peer_value = pair.crm.now.get(rule.crm), pair.peer.now.get(rule.peer)
    try:
        if is_same(_converted(rule, "peer", crm_value, peer_value, pair.users), peer_value):  # type: ignore[arg-type]
            return
    except CannotConvert:
        pass
    winner, why = _winner(rule, pair)
    if winner is None:
        merge.conflicts.append(Conflict(rule, crm_value, peer_value, why))
    else:
        _copy(merge, rule, "peer" if winner == "crm" else "crm", pair, loser=True)


def _winner(rule: FieldRule, pair: _Pair) -> tuple[Side | None, str]:
    """Returns who wins a field, or None and why nobody does."""
    if rule.survivorship is Survivorship.CRM:
        return "crm", ""
    if rule.survivorship is Survivorship.PEER:
        return "peer", ""
    if rule.survivorship is Survivorship.ASK:
        return None, "The mapping says to ask."
    crm_at, peer_at = pair.crm.changed_at, pair.peer.changed_at
    if crm_at is None or peer_at is None:
        return None, pair.crm.undated or pair.peer.undated or "Nobody knows when one of the sides was changed."
    lead = (crm_at - peer_at).total_seconds()
    if abs(lead) <= pair.margin_seconds:
        return None, f"Both were changed within {counted(round(pair.margin_seconds), 'second')} of each other."
    return ("crm" if lead > 0 else "peer"), ""


def values_of(writes: ReadOnly[str, FieldWrite]) -> dict[str, Value]:
    """Returns field name -> new value, ready for a `Write`."""
    return {name: write.value for name, write in writes.items()}

"""Seed 003: records of two systems that both change are kept in agreement. Pure: data in, decisions out.

One record of either side is looked at. `first_look` says what it needs; `decide_pair` brings a bound pair together,
`decide_meeting` settles whom an unbound record belongs to, by key: the binding first, then the key, never a second
record (C3). What differs between people and accounts is their `Kind`; both are in this package.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from enum import StrEnum
from functools import cached_property
from typing import Any

from connectors.contract import Fields, Record, Ref, Value
from reconciliation.core.conditions import holds
from reconciliation.core.ledger import Outcome
from reconciliation.core.mapping import Direction, FieldRule, Survivorship
from reconciliation.core.mapping import Mapping as Rules
from reconciliation.core.merging import Conflict, FieldWrite, Merge, Side, SideState, changed_fields, merge_fields, values_of
from reconciliation.core.operations import CaseOpening, Intent
from reconciliation.core.transforms import Users
from reconciliation.core.values import is_blank

LINKED, CREATED, ADOPTED = "linked", "created", "adopted"
SAME_EMAIL, KEPT, KEPT_APART = "same_email", "kept", "kept_apart"
NOT_VISIBLE = "not_visible"
ASKED = "asked"  # a person is asked whether another record is this one
RESTORED = "Our database was restored from a backup: nobody can tell which side is newer."
BOTH_SIDES: tuple[Side, Side] = ("crm", "peer")
ENDS = ("deleted", "counterpart_gone", "merged_elsewhere")  # reasons of decisions that end a link


@dataclass(frozen=True, slots=True)
class Kind:
    """What is particular to people, or to accounts: which values say that two records may be the same, and where the
    peer keeps the id of its CRM record. `columns` are read of a record beside its mapped fields, by object type."""

    peer_object: str
    keys: Callable[[Record], tuple[str, ...]]
    key_fields: Mapping[str, str]  # object type -> the field that is searched by key
    columns: Mapping[str, tuple[str, ...]]
    pointer_of: Callable[[Record], str]  # the CRM id that a record of the peer names, "" for none
    pointer: Callable[[Ref], dict[str, Value]]  # what the peer's record holds to name this CRM record
    name_of: Callable[[Record], str]
    key_word: str  # what people call such a key
    no_key: str  # why a record without a key is left out: a reason
    no_key_sentence: str
    spellings: Callable[[Record], tuple[str, ...]]  # its keys as they are written there: a search may be exact
    marker_is_pointer: bool = False  # the peer's marker field is where the pointer stands
    has_name_index: bool = False  # the peer's names are kept here, compared as D2 says, for its own search is exact
    belongs_to: tuple[str, str] | None = None  # the field of the peer's record that names what it belongs to, and that type
    # object type of the CRM -> the type whose records may become one of it, and their field that names what they became
    converted_from: Mapping[str, tuple[str, str]] = field(default_factory=dict)
    # Of mailboxes: a record without a key is made all the same; the peer cannot be searched, so that everything in it is
    # known from its own list of changes, which tells of deletions, too.
    is_mailbox: bool = False
    # What a linked record of the peer must hold beside its mapped fields, where it does not; (CRM ref, peer's record, terms).
    lacks: Callable[[Ref, Record, PairTerms], dict[str, Value]] | None = None
    born_with: Mapping[str, Value] = field(default_factory=dict)  # what a new record of the peer gets beside its mapped fields
    own_fields: tuple[str, ...] = ()  # fields of the peer that we keep beside the pointer
    notes_of: Callable[[Record], tuple[str, ...]] | None = None  # what people read of a record of the peer that went across

    def is_ours(self, field_: str) -> bool:
        """Tells whether a field of the peer's record is not a person's but holds what we keep there."""
        return field_ in self.pointer(Ref("", "", "0")) or field_ in self.own_fields

    def missing(self, crm: Ref, peer: Record, terms: PairTerms) -> dict[str, Value]:
        """Returns what makes the peer's record name its CRM record, as far as it does not."""
        if self.lacks is not None:
            return self.lacks(crm, peer, terms)
        return {name: value for name, value in self.pointer(crm).items() if peer.fields.get(name) != value}


@dataclass(frozen=True)
class TypeTerms:
    """One record type of the pass: its mapping as it stands, and what may happen in each direction."""

    crm_object: str
    peer_object: str
    mapping: Rules
    on_first_link: str = "fill_blanks"
    inbound_create: bool = True
    inbound_update: bool = True
    outbound_create: bool = True
    outbound_update: bool = True
    conditions: tuple[tuple[str, str, str], ...] = ()
    create_held: str = ""  # why nothing is made in the CRM until the mapping is mended (C32)
    held_back: frozenset[str] = frozenset()  # fields of this one record of the peer that nothing comes down into (D12)

    def covers(self, record: Record) -> bool:
        """Tells whether the polling conditions hold for a record of the CRM."""
        return not self.conditions or holds(self.conditions, record.fields)

    @cached_property
    def flowing(self) -> Rules:
        """The mapping with only those directions that are switched on."""
        return replace(self.mapping, rules=tuple(self.flowing_rule(rule) for rule in self.mapping.rules))

    @cached_property
    def consents(self) -> tuple[FieldRule, ...]:
        """The rules of `flowing` that are about consent."""
        return tuple(rule for rule in self.flowing.rules if _is_consent(rule))

    def flowing_rule(self, rule: FieldRule) -> FieldRule:
        to_peer = rule.flows_to_peer and self.inbound_update and rule.peer not in self.held_back
        to_crm = rule.flows_to_crm and self.outbound_update
        both, one = Direction.BOTH, Direction.TO_PEER if to_peer else Direction.TO_CRM
        return replace(rule, direction=both if to_peer and to_crm else one if to_peer or to_crm else Direction.NONE)


@dataclass(frozen=True, slots=True)
class Restore:
    """Our database is a backup, put back at `at` (our clock): agreements of bindings synced earlier may be forgotten."""

    at: datetime


@dataclass(frozen=True, slots=True)
class PairTerms:
    """What holds for the whole pass. `types` stand in the order that decides which wins (S2.12)."""

    kind: Kind
    types: tuple[TypeTerms, ...]
    database: str
    peer_name: str = "Outreach"
    crm_name: str = "Salesforce"
    takes_up_ended: bool = False  # somebody asks for these very records: what their link ended over counts no more
    allows_choice: bool = False  # the dedupe policy: users select the preferred CRM ID (S2.3)
    margin_seconds: float = 60.0
    restore: Restore | None = None
    integration_users: frozenset[str] = frozenset()  # users of the CRM who are programs: their time is no person's (D10)
    own_user: str = ""  # we, in the CRM, as far as that was asked for
    # Seeded defects: every mapped field is sent, changed or not; the peer is compared with the CRM's base; our own writes
    # date the edits of users.
    sends_whole_record: bool = False
    has_one_base: bool = False
    dates_by_echo: bool = False
    scope: str = ""  # the mailbox, where the pass goes over many: records of the CRM may be made once in each
    is_hidden: bool = False  # the pair that is decided lies outside the mailbox's view: nothing comes down (D8)
    new_in_crm: Mapping[str, Value] = field(default_factory=dict)  # what a new record of the CRM gets whatever the peer holds

    def type_of(self, crm_object: str) -> TypeTerms | None:
        return next((t for t in self.types if t.crm_object == crm_object), None)


@dataclass(frozen=True, slots=True)
class Bound:
    """What the store knows of a binding."""

    crm: Ref
    peer_id: str
    crm_base: Fields
    peer_base: Fields
    mapping_version: int = 0
    is_tombstone: bool = False
    synced_at: datetime | None = None
    crm_version: str = ""
    peer_version: str = ""
    is_owed: bool = False  # an edit of the other side was left while the link rested
    is_hidden: bool = False  # the CRM's record lies outside the view of its mailbox
    asked: frozenset[str] = frozenset()  # the peer's fields of which a person was asked after a restore, and did not answer yet


class Look(StrEnum):
    """What a record needs before it can be decided."""

    DONE = "done"
    PAIR = "pair"
    MEET = "meet"
    FOLLOW = "follow"  # deleted there: what became of it?


@dataclass(frozen=True, slots=True)
class PairDecision:
    """What was decided for one record: an outcome with its reason, and what it takes to get there.

    `intents` go out in their order. `is_link` asks for a binding of `crm` and `peer`. `kept_on` is the CRM id that a
    prospect with the same key is bound to."""

    record: Record
    outcome: Outcome
    reason: str = ""
    sentence: str = ""
    type: TypeTerms | None = None
    crm: Record | None = None
    peer: Record | None = None
    intents: tuple[Intent, ...] = ()
    merge: Merge | None = None
    is_link: bool = False
    case: CaseOpening | None = None
    kept_on: str = ""
    peer_id: str = ""
    warnings: tuple[str, ...] = ()
    unmatched_owner: str = ""

    @property
    def is_act(self) -> bool:
        """Whether it does anything, remote or in the queues."""
        return bool(self.intents or self.is_link or self.case or (self.merge is not None and self.merge.conflicts))

    @property
    def pending(self) -> frozenset[int]:
        """The rules whose fields are not agreed yet: they are to be written, or wait for a person."""
        merge = self.merge
        if merge is None:
            return frozenset()
        writes = [*merge.to_peer.values(), *merge.to_crm.values()]
        return frozenset([w.rule.id for w in writes] + [c.rule.id for c in merge.conflicts])


MARKER = "sync-"  # what every such key starts with


def marker_of(database: str, peer_ref: Ref) -> str:
    """Returns the key that a CRM record made for a record of the peer carries in its external-id field (rule 35)."""
    return f"{MARKER}{database}-{peer_ref.object_type}-{peer_ref.id}"


def excluded(record: Record, reason: str, sentence: str, **more: Any) -> PairDecision:
    return PairDecision(record, Outcome.EXCLUDED, reason, sentence, **more)


def failed(record: Record, reason: str, sentence: str, remedy: str, **more: Any) -> PairDecision:
    """Returns the decision that opens an error case."""
    return PairDecision(record, Outcome.FAILED, reason, sentence, case=CaseOpening("error", reason, sentence, remedy), **more)


def first_look(
    record: Record, side: Side, bound: Bound | None, type_: TypeTerms | None, terms: PairTerms
) -> tuple[Look, PairDecision | None]:
    """Returns what the record needs, or the decision when nothing is. `type_` is the record type of the CRM's record, where
    one is known."""
    if bound is not None and not bound.is_tombstone:
        if record.is_deleted or record.succeeded_by is not None:
            return Look.FOLLOW, None
        if type_ is None:
            return Look.DONE, excluded(record, "type_off", f"{bound.crm.object_type}s are not synced.")
        if side == "crm" and not type_.covers(record):
            return Look.DONE, _uncovered(record, record)
        bases = (bound.crm_base, bound.peer_base)
        if (
            not bound.is_owed
            and is_marked(record, side, bound.crm, terms, is_hidden=bound.is_hidden)
            and is_echo(record, side, *bases, mapping_version=bound.mapping_version, type_=type_)
        ):
            return Look.DONE, echo(record, type_)
        return Look.PAIR, None
    if record.is_deleted or record.succeeded_by is not None:
        return Look.DONE, excluded(record, "deleted", "It was deleted, merged or converted there, and was linked to nothing.")
    if bound is not None and not terms.takes_up_ended:
        return Look.DONE, excluded(
            record, "unlinked", "It was linked once; what it was linked to is gone. Its page under Deleted syncs it again."
        )
    if side == "crm" and type_ is not None and not type_.covers(record):
        return Look.DONE, _uncovered(record, record)
    return Look.MEET, None


def _uncovered(record: Record, crm: Record, **more: Any) -> PairDecision:
    """A link rests while the CRM's record does not meet the conditions of its type; what both sides agreed on stays, so that
    nothing is lost when it meets them again."""
    sentence = f"{crm.ref.object_type} {crm.ref.id} does not meet the polling conditions; nothing is synced until it does."
    return excluded(record, "conditions", sentence, crm=crm, **more)


def is_marked(record: Record, side: str, crm: Ref, terms: PairTerms, *, is_hidden: bool) -> bool:
    """Tells whether a record of a mailbox bears what makes it one of ours (S1.8). Elsewhere that is looked at with the pair."""
    if side == "crm" or not terms.kind.is_mailbox:
        return True
    return not terms.kind.missing(crm, record, replace(terms, is_hidden=is_hidden))


def is_echo(record: Record, side: Side, crm_base: Fields, peer_base: Fields, *, mapping_version: int, type_: TypeTerms) -> bool:
    """Tells whether a record whose link owes nothing holds what both sides agreed on last, at a version of the mapping."""
    if record.is_deleted or record.succeeded_by is not None or (side == "crm" and not type_.covers(record)):
        return False
    if type_.mapping.newer_than(mapping_version):
        return False  # a rule changed since: equal fields do not say that nothing is to do
    base, names = (crm_base, type_.mapping.crm_fields) if side == "crm" else (peer_base, type_.mapping.peer_fields)
    if changed_fields(base, record.fields, names):
        return False
    # A link of staff leaves what differs as it is, but no opt-out may stay on one side only.
    return not does_consent_differ(type_, *((record.fields, peer_base) if side == "crm" else (crm_base, record.fields)))


def echo(record: Record, type_: TypeTerms) -> PairDecision:
    return PairDecision(record, Outcome.UNCHANGED, "echo", "No mapped field changed since the last agreement.", type=type_)


def does_consent_differ(type_: TypeTerms, crm: Fields, peer: Fields) -> bool:
    """Tells whether one side holds an opt-out that the other lacks and that may go across."""
    for rule in type_.consents:
        ours, theirs = crm.get(rule.crm) is True, peer.get(rule.peer) is True
        if ours != theirs and (rule.flows_to_peer if ours else rule.flows_to_crm):
            return True
    return False


# --- a bound pair ---------------------------------------------------------------------------------------------------


def decide_pair(record: Record, crm: Record, peer: Record, bound: Bound, type_: TypeTerms, terms: PairTerms, users: Users) -> PairDecision:
    """Decides for two bound records as both are now (S3.3 to S3.7): changes of either side go to the other, a field that
    both changed goes by its rule, and only fields that differ are sent. `record` is the one that was looked at."""
    if not type_.covers(crm):
        return _uncovered(record, crm, peer=peer)
    merge = merge_pair(crm, peer, bound, type_, terms, users)
    if refusal := _refused(record, merge, type_, crm, peer):
        return refusal
    if terms.sends_whole_record:
        whole = merge_fields(type_.flowing, crm=SideState({}, crm.fields), peer=SideState(peer.fields, {}), users=users)
        merge.to_peer = whole.to_peer
    intents = [i for i in (_update("crm", crm, peer, merge, type_), _update("peer", peer, crm, merge, type_)) if i is not None]
    intents = _with_pointer(intents, crm, peer, terms)
    common: dict[str, Any] = {"type": type_, "crm": crm, "peer": peer, "merge": merge}
    if intents:
        return _explained(PairDecision(record, Outcome.UPDATED, "updated", "", intents=tuple(intents), **common), terms)
    if merge.conflicts:
        names = ", ".join(c.rule.peer for c in merge.conflicts)
        return _explained(
            PairDecision(record, Outcome.HELD, "conflict", f"Changed on both sides: {names}. A person decides.", **common), terms
        )
    return _explained(PairDecision(record, Outcome.UNCHANGED, "equal", "Both sides hold the same.", **common), terms)


def merge_pair(crm: Record, peer: Record, bound: Bound, type_: TypeTerms, terms: PairTerms, users: Users) -> Merge:
    """Returns the merge of two bound records as both are now: the one merge of the pass, and of a person who pulls a record
    (D29). Our own writes date nobody's edit, and after a restored backup every write is a question instead."""
    one = {r.peer: bound.crm_base[r.crm] for r in type_.mapping.rules if r.crm in bound.crm_base} if terms.has_one_base else None
    crm_side, peer_side = _states(crm, peer, bound.crm_base, bound.peer_base if one is None else one)
    # A version that we saw before, or wrote, dates no edit that is new to us: our own write would make an older edit win.
    if not terms.dates_by_echo:
        crm_side = replace(crm_side, changed_at=None) if crm.version and crm.version == bound.crm_version else crm_side
        peer_side = replace(peer_side, changed_at=None) if peer.version and peer.version == bound.peer_version else peer_side
    if crm.updated_by and crm.updated_by in terms.integration_users:
        crm_side = replace(crm_side, changed_at=None, undated="Another program edited it last; nobody knows when the person did.")
    if crm.updated_by and crm.updated_by == terms.own_user and not terms.dates_by_echo:
        crm_side = replace(crm_side, changed_at=None, undated="We wrote it last, for another record; nobody knows when the person did.")
    fresh = type_.mapping.newer_than(bound.mapping_version)
    merge = merge_fields(type_.flowing, crm=crm_side, peer=peer_side, users=users, margin_seconds=terms.margin_seconds, fresh=fresh)
    _keep_unseen(merge, bound, type_)
    if terms.restore is not None and (bound.synced_at is None or bound.synced_at < terms.restore.at):
        _ask_instead(merge, RESTORED)
    elif bound.asked:
        _ask_instead(merge, RESTORED, bound.asked)
    return merge


def goes_by_time(decision: PairDecision) -> bool:
    """Tells whether an edit gives way to one of the other side that is later."""
    merge = decision.merge
    writes = [] if merge is None else [*merge.to_crm.values(), *merge.to_peer.values()]
    return any(write.has_loser and write.rule.survivorship is Survivorship.LATEST for write in writes)


def _keep_unseen(merge: Merge, bound: Bound, type_: TypeTerms) -> None:
    """Lets a value that gives way be kept where its rule would have shown it to the other side, and a direction that is off, or
    a view that does not show it, kept it from there since before both ever agreed: no base tells that it is one side's alone."""
    whole = {rule.id: rule for rule in type_.mapping.rules}
    for writes in (merge.to_peer, merge.to_crm):
        for name, write in writes.items():
            rule = write.rule
            was_agreed = rule.crm in bound.crm_base and rule.peer in bound.peer_base
            if not was_agreed and rule.direction != whole[rule.id].direction and not is_blank(write.before):
                writes[name] = replace(write, loser=write.before, has_loser=True)


def _states(crm: Record, peer: Record, crm_base: Fields, peer_base: Fields) -> tuple[SideState, SideState]:
    return (
        SideState(crm_base, crm.fields, crm.edited_at or crm.updated_at, crm.damaged),
        SideState(peer_base, peer.fields, peer.edited_at or peer.updated_at, peer.damaged),
    )


def _ask_instead(merge: Merge, why: str, only: frozenset[str] | None = None) -> None:
    """Turns every write of a merge into a question, or those of these fields of the peer."""
    for to, writes in (("peer", merge.to_peer), ("crm", merge.to_crm)):
        for name, write in list(writes.items()):
            if only is not None and write.rule.peer not in only:
                continue
            new, old = write.value, write.before
            merge.conflicts.append(Conflict(write.rule, new if to == "peer" else old, old if to == "peer" else new, why))
            del writes[name]


def _refused(record: Record, merge: Merge, type_: TypeTerms, crm: Record | None, peer: Record | None) -> PairDecision | None:
    fatal = [w.sentence for w in merge.warnings if w.is_fatal]
    if not fatal:
        return None
    return failed(record, "value_refused", "; ".join(fatal), "Correct the value, then press Retry.", type=type_, crm=crm, peer=peer)


def _update(side: Side, target: Record, source: Record, merge: Merge, type_: TypeTerms) -> Intent | None:
    """Returns the write to one side, None when that side gets nothing."""
    writes = merge.to_crm if side == "crm" else merge.to_peer
    if not writes:
        return None
    return Intent(
        "update",
        side,
        target.ref.object_type,
        str(source.ref),
        after=values_of(writes),
        before={name: write.before for name, write in writes.items()},
        target_id=target.ref.id,
        version=target.version,
        reason=_why(writes),
        origin=_origin(source, type_, writes),
        losers={name: write.loser for name, write in writes.items() if write.has_loser},
    )


def _why(writes: Mapping[str, FieldWrite]) -> str:
    lost = [name for name, write in writes.items() if write.has_loser]
    return (
        f"Changed on both sides: {', '.join(lost)} by the mapping's rule."
        if lost
        else "Changed on the other side since the last agreement."
    )


def _origin(source: Record, type_: TypeTerms, writes: Mapping[str, FieldWrite]) -> dict[str, Any]:
    at = source.edited_at or source.updated_at
    return {
        "system": source.ref.system,
        "by": source.updated_by,
        "at": at.isoformat() if at else "",
        "mapping": type_.mapping.version,
        "rules": {name: write.rule.id for name, write in writes.items()},
    }


def _with_pointer(intents: list[Intent], crm: Record, peer: Record, terms: PairTerms) -> list[Intent]:
    """Adds to the writes what makes the peer's record name its CRM record, where it does not."""
    wanted = terms.kind.missing(crm.ref, peer, terms)
    if not wanted:
        return intents
    before = {name: peer.fields.get(name) for name in wanted}
    own = next((i for i in intents if i.side == "peer"), None)
    if own is not None:
        rest = [i for i in intents if i is not own]
        return [*rest, replace(own, after={**own.after, **wanted}, before={**own.before, **before})]
    reason = f"It belongs to {crm.ref.object_type} {crm.ref.id}."
    intent = Intent(
        "update", "peer", peer.ref.object_type, str(crm.ref), wanted, before, target_id=peer.ref.id, version=peer.version, reason=reason
    )
    return [*intents, intent]


def _explained(decision: PairDecision, terms: PairTerms) -> PairDecision:
    """Adds what was left out, held or beaten to a decision, in sentences."""
    merge = decision.merge
    if merge is None:
        return decision
    blanks = [] if decision.outcome is Outcome.CREATED else merge.held_blanks  # what is made holds no value that a blank could erase
    notes = [w.sentence for w in merge.warnings] + [f"{r.peer}: held back, blank" for r in blanks]
    for write in [*merge.to_crm.values(), *merge.to_peer.values()]:
        if write.has_loser:
            whose = terms.crm_name if write.side == "crm" else terms.peer_name
            notes.append(f"{write.name}: {shown(write.loser)}, entered in {whose} meanwhile, gave way; the journal keeps it")
    if merge.conflicts and decision.outcome is not Outcome.HELD:
        notes.append(f"{', '.join(c.rule.peer for c in merge.conflicts)}: changed on both sides; a person decides")
    if terms.kind.notes_of is not None and decision.peer is not None:
        notes += terms.kind.notes_of(decision.peer)
    owners = [text for _, text in merge.unmatched]
    notes += [f"The owner {text[:80]!r} has no counterpart there; the owner is left as it is" for text in owners]
    return replace(decision, warnings=tuple(notes), unmatched_owner=owners[0] if owners else "")


def shown(value: object) -> str:
    return "blank" if is_blank(value) else f"“{str(value)[:80]}”"  # type: ignore[arg-type]


# --- a first meeting ------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Meeting:
    """Records of the other side that bear a key of the one looked at; `holders` says to which record of the looked-at side
    each is bound, by id. `refused` are those left out because a person said that they do not belong together: id -> the
    sentence that says so. `account_id` is the account of the CRM that a new record would belong to and `account_why` says why,
    both "" where the pass does not ask. `personal` is the sentence of a person who said that the record is not to be shared."""

    found: tuple[Record, ...] = ()
    holders: Mapping[str, str] = field(default_factory=dict)
    refused: Mapping[str, str] = field(default_factory=dict)
    account_id: str = ""
    account_why: str = ""
    personal: str = ""
    hidden: frozenset[str] = frozenset()  # ids of those found that the mailbox does not show: their values go nowhere (D8)


def decide_meeting_of_crm(record: Record, meeting: Meeting, type_: TypeTerms, terms: PairTerms, users: Users) -> PairDecision:
    """Decides for a CRM record that is bound to nothing: a prospect with its key is linked, one that is bound to another
    record is told (D28), otherwise one is made (S2.10 in the other direction, C4, C18)."""
    if not terms.kind.keys(record) and not terms.kind.is_mailbox:
        return excluded(record, terms.kind.no_key, terms.kind.no_key_sentence, type=type_, crm=record)
    unbound = [p for p in meeting.found if p.ref.id not in meeting.holders]
    # A pointer may be typed by anybody: it chooses among those that are free, and takes none from another record.
    free = [p for p in unbound if terms.kind.pointer_of(p) == record.ref.id] or unbound
    if len(free) == 1:
        return decide_link(record, record, free[0], type_, terms, users)
    if len(free) > 1:
        return _ambiguous(record, free, type_, terms)
    if meeting.found:
        return _already_there(record, meeting, type_, terms)
    if meeting.refused:
        peer_id, sentence = next(iter(meeting.refused.items()))
        return excluded(record, KEPT_APART, sentence, type=type_, crm=record, peer_id=peer_id)
    if not type_.inbound_create:
        return excluded(
            record, "create_off", f"New {terms.peer_name} records are not made for {type_.crm_object}s.", type=type_, crm=record
        )
    reason = "It is in the mailbox's view." if terms.kind.is_mailbox else f"No {terms.peer_name} record has its key."
    return create_in_peer(record, type_, terms, users, reason=reason)


def _ambiguous(record: Record, free: Sequence[Record], type_: TypeTerms, terms: PairTerms) -> PairDecision:
    ids = ", ".join(p.ref.id for p in free[:5])
    sentence = f"{len(free)} {terms.peer_name} records may be this one: {ids}. Nothing was made or linked."
    opening = CaseOpening("remap", "several", sentence, "Choose which of them it is.")
    return PairDecision(record, Outcome.DUPLICATE, "several", sentence, type=type_, crm=record, case=opening, peer_id=free[0].ref.id)


def _already_there(record: Record, meeting: Meeting, type_: TypeTerms, terms: PairTerms) -> PairDecision:
    """The key belongs to a record of the peer that is bound to another CRM record: by the policy that stays so, or a
    person chooses the preferred CRM ID (S2.2, S2.3, D28)."""
    peer = meeting.found[0]
    kept_on = meeting.holders.get(peer.ref.id, "")
    common: dict[str, Any] = {"type": type_, "crm": record, "kept_on": kept_on, "peer_id": peer.ref.id}
    if not terms.allows_choice:
        sentence = f"Already in {terms.peer_name} as {peer.ref.id}, kept on {kept_on}."
        return excluded(record, KEPT, sentence, **common)
    sentence = (
        f"A {terms.kind.peer_object} with this {terms.kind.key_word} already exists in {terms.peer_name}: {peer.ref.id}, kept on {kept_on}."
    )
    opening = CaseOpening("remap", SAME_EMAIL, sentence, "Choose the preferred CRM ID, or keep the present one.")
    return PairDecision(record, Outcome.DUPLICATE, SAME_EMAIL, sentence, case=opening, **common)


def create_in_peer(record: Record, type_: TypeTerms, terms: PairTerms, users: Users, *, reason: str) -> PairDecision:
    merge = _for_new(record, "peer", type_, users)
    if refusal := _refused(record, merge, type_, record, None):
        return refusal
    pointer = terms.kind.pointer(record.ref)
    after = {**values_of(merge.to_peer), **({} if terms.kind.marker_is_pointer else pointer)}
    after |= terms.kind.born_with
    intent = Intent(
        "create",
        "peer",
        type_.peer_object,
        str(record.ref),
        after=after,
        marker=record.ref.id if terms.kind.marker_is_pointer else "",
        name_key=(terms.kind.keys(record) or ("",))[0][:255],
        scope=terms.scope,
        reason=reason,
        origin={**_origin(record, type_, merge.to_peer), "name": terms.kind.name_of(record)[:255]},
    )
    decision = PairDecision(record, Outcome.CREATED, CREATED, "", type=type_, crm=record, intents=(intent,), merge=merge)
    return _explained(decision, terms)


def _for_new(record: Record, to: Side, type_: TypeTerms, users: Users) -> Merge:
    """Returns what a new record gets: every mapped field that flows there, placeholders where a field would be blank."""
    mine, empty = SideState({}, record.fields, damaged=record.damaged), SideState({}, {})
    crm, peer = (mine, empty) if to == "peer" else (empty, mine)
    merge = merge_fields(type_.mapping, crm=crm, peer=peer, users=users)
    writes = merge.to_peer if to == "peer" else merge.to_crm
    for rule in type_.mapping.rules:
        name, default = (rule.peer, rule.default_in_peer) if to == "peer" else (rule.crm, rule.default_in_crm)
        if default and name not in writes:
            writes[name] = FieldWrite(rule, to, name, default, None)
    return merge


def decide_meeting_of_peer(record: Record, meeting: Meeting, terms: PairTerms, users: Users) -> PairDecision:
    """Decides for a record of the peer that is bound to nothing: the CRM is searched by its keys first, the type listed
    first wins, and only when nothing is found one is made (S2.9 to S2.12)."""
    kind = terms.kind
    named = [r for r in meeting.found if r.ref.id == kind.pointer_of(record)]
    for type_ in terms.types:
        found = [r for r in named or meeting.found if r.ref.object_type == type_.crm_object]
        if not found:
            continue
        covered = [r for r in found if type_.covers(r)]
        if not covered:
            return _uncovered(record, found[0], peer=record)
        free = [r for r in covered if r.ref.id not in meeting.holders]
        if len(free) == 1:
            return decide_link(record, free[0], record, type_, terms, users)
        if len(free) > 1:
            return _choose(record, free, type_, terms)
        return _taken(record, covered[0], meeting, type_, terms)
    if meeting.refused:
        return excluded(record, KEPT_APART, next(iter(meeting.refused.values())), peer=record)
    if not kind.keys(record):
        return excluded(record, kind.no_key, kind.no_key_sentence, peer=record)
    making = next((t for t in terms.types if t.outbound_create), None)
    if making is None:
        return excluded(record, "create_off", f"New {terms.crm_name} records are not made.", peer=record)
    if making.create_held:  # held, not left out: it is made once the mapping is mended, though its cursor has gone by
        return PairDecision(record, Outcome.HELD, "mapping", f"Waits for the mapping: {making.create_held}", type=making, peer=record)
    return create_in_crm(record, making, terms, users)


def _choose(record: Record, free: Sequence[Record], type_: TypeTerms, terms: PairTerms) -> PairDecision:
    ids = ", ".join(r.ref.id for r in free[:5])
    sentence = f"{len(free)} {type_.crm_object}s in {terms.crm_name} have a key of this record: {ids}. Nothing was made or linked."
    opening = CaseOpening("remap", "several", sentence, "Choose which of them it belongs to.")
    return PairDecision(record, Outcome.DUPLICATE, "several", sentence, peer=record, case=opening, peer_id=record.ref.id)


def _taken(record: Record, found: Record, meeting: Meeting, type_: TypeTerms, terms: PairTerms) -> PairDecision:
    holder = meeting.holders[found.ref.id]
    common: dict[str, Any] = {"peer": record, "kept_on": found.ref.id, "peer_id": record.ref.id}
    sentence = f"{type_.crm_object} {found.ref.id} has the same key and is linked to {terms.kind.peer_object} {holder}."
    if not terms.allows_choice:
        return excluded(record, KEPT, sentence, **common)
    opening = CaseOpening("remap", SAME_EMAIL, sentence, "Move the link, or leave it as it is.")
    return PairDecision(record, Outcome.DUPLICATE, SAME_EMAIL, sentence, case=opening, **common)


def create_in_crm(record: Record, type_: TypeTerms, terms: PairTerms, users: Users) -> PairDecision:
    merge = _for_new(record, "crm", type_, users)
    if refusal := _refused(record, merge, type_, None, record):
        return refusal
    intent = Intent(
        "create",
        "crm",
        type_.crm_object,
        str(record.ref),
        after={**values_of(merge.to_crm), **terms.new_in_crm},
        marker=marker_of(terms.database, record.ref),
        name_key=(terms.kind.keys(record) or ("",))[0][:255],
        reason=f"No record in {terms.crm_name} has its key.",
        also_read=tuple(name for name in type_.mapping.crm_fields if name not in merge.to_crm),
        origin={**_origin(record, type_, merge.to_crm), "name": terms.kind.name_of(record)[:255]},
    )
    decision = PairDecision(record, Outcome.CREATED, CREATED, "", type=type_, peer=record, intents=(intent,), merge=merge)
    return _explained(decision, terms)


def decide_link(record: Record, crm: Record, peer: Record, type_: TypeTerms, terms: PairTerms, users: Users) -> PairDecision:
    """Decides for two records that were never bound and are the same: what differs goes by *On first link* of the mapping
    (D25), and the peer's record names its CRM record from now on. Consent counts at once, whatever the setting."""
    crm_side, peer_side = _states(crm, peer, {}, {})
    merge = merge_fields(type_.flowing, crm=crm_side, peer=peer_side, users=users, margin_seconds=terms.margin_seconds)
    merge = _first_link(merge, type_, crm_side, peer_side, users)
    intents = [i for i in (_update("crm", crm, peer, merge, type_), _update("peer", peer, crm, merge, type_)) if i is not None]
    intents = _with_pointer([replace(i, reason="First link.") for i in intents], crm, peer, terms)
    outcome = Outcome.UPDATED if intents else Outcome.UNCHANGED
    sentence = f"Linked to {crm.ref.object_type} {crm.ref.id}." if record is peer else f"Linked to {peer.ref.object_type} {peer.ref.id}."
    decision = PairDecision(
        record, outcome, LINKED, sentence, type=type_, crm=crm, peer=peer, intents=tuple(intents), merge=merge, is_link=True
    )
    return _explained(decision, terms)


def _first_link(merge: Merge, type_: TypeTerms, crm: SideState, peer: SideState, users: Users) -> Merge:
    """Returns what a first link writes: consent always, beside it blanks, one side's values, or nothing."""
    policy = type_.on_first_link
    if policy in ("crm", "peer"):
        one_way = Direction.TO_PEER if policy == "crm" else Direction.TO_CRM
        kept_rules = [r for r in type_.flowing.rules if r.direction in (Direction.BOTH, one_way) or _is_consent(r)]
        rules = tuple(r if _is_consent(r) else replace(r, direction=one_way) for r in kept_rules)
        merge = merge_fields(Rules(type_.mapping.version, rules), crm=crm, peer=peer, users=users)
    kept = _consents if policy == "leave" else (lambda w: True) if policy in ("crm", "peer") else _fills
    merge.to_peer = {name: w for name, w in merge.to_peer.items() if kept(w) or _consents(w)}
    merge.to_crm = {name: w for name, w in merge.to_crm.items() if kept(w) or _consents(w)}
    merge.conflicts = merge.conflicts if policy == "ask" else []
    merge.warnings = [replace(w, is_fatal=False) for w in merge.warnings]
    return merge


def _fills(write: FieldWrite) -> bool:
    return is_blank(write.before)


def _consents(write: FieldWrite) -> bool:
    return _is_consent(write.rule)


def _is_consent(rule: FieldRule) -> bool:
    return rule.survivorship is Survivorship.RESTRICTIVE

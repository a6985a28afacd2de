"""Seed 004: events and tasks of a mailbox and records of Salesforce are kept in agreement. Pure.

Bound pairs are merged as in every two-way pass (`passes.pairs`). Particular to items of a mailbox: why one is shared at all, that
colleagues may hold the same one, that details may be withheld, that some writes may not come down, and what an ending means. What
differs between events and tasks are their `ItemRules`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from connectors.contract import Fields, Record, Ref, Value
from connectors.mailboxes import CATEGORIES, FOREIGN_ID
from reconciliation.core.ledger import Outcome
from reconciliation.core.mailbox_settings import KEEP, PROPAGATE, REMOVE, RESTORE, UNLINK
from reconciliation.core.merging import changed_fields
from reconciliation.core.operations import Intent
from reconciliation.core.transforms import Users
from reconciliation.core.values import is_same
from reconciliation.passes.pairs import (
    Bound,
    PairDecision,
    PairTerms,
    TypeTerms,
    create_in_crm,
    create_in_peer,
    decide_link,
    decide_pair,
    excluded,
    marker_of,
)

TAKEN_OUT, WITHDRAWN, CANCELLED = "taken_out", "withdrawn", "cancelled"
GONE_HERE, DELETED_HERE, HANDED_OVER, MADE_AGAIN = "gone_here", "deleted_here", "handed_over", "made_again"
GONE_THERE, UNMARKED, DELETED_THERE, MADE_THERE = "gone_there", "unmarked", "deleted_in_crm", "made_there_again"
COLLEAGUE, CAME_UP, WOULD_MAIL = "colleague", "came_up", "would_mail"
TWIN = "twin_in_doubt"
STAYS_CANCELLED, ASKS = "cancelled_kept", "asks_colleagues"
# Why an item and a record belong together.
BY_CATEGORY, BY_LIST, BY_ITSELF, FROM_CRM, BY_PERSON = "category", "list", "auto", "crm", "person"
ENDS_WRITTEN = (UNMARKED, TAKEN_OUT)  # those that end with an update, where there is one
ARE_WITHHELD = "Its details are withheld."


@dataclass(frozen=True, slots=True)
class LeftOut:
    """Why an item does not go across: the reason as it is counted, and a sentence."""

    reason: str
    sentence: str


@dataclass(frozen=True, slots=True)
class ItemRules:
    """What is particular to one kind of item. Each takes the item, or the record of the CRM, and the terms of its kind."""

    why_shared: Callable[[Record, Any], str | LeftOut]
    why_not_down: Callable[[Record, Any], LeftOut | None]
    shown: Callable[[Record, Any], Record]  # the item as the CRM may see it
    withheld: Callable[[Record, Any], frozenset[str]]  # its fields that the CRM sees a substitute of
    held_back: Callable[[Record, frozenset[str], Any], frozenset[str]]  # its fields that nothing comes down into
    is_secret: Callable[[Record, Any], bool]  # it is not to be in the CRM at all
    is_marked: Callable[[Record], bool]
    is_cancelled: Callable[[Record], bool]
    is_own_meeting: Callable[[Record], bool]  # its user invited others to it
    others_at: Callable[[Record, Any], int]  # people whom a change would be mailed to
    occasion_of: Callable[[Record], str]
    family_of: Callable[[Record], str]  # of one of a series: the same for all of them
    bears_marks: Callable[[Record], bool]  # a mark is written on the item itself
    is_read_only: Callable[[Record], bool]  # the record of the CRM cannot be written
    noun: str


@dataclass(frozen=True, slots=True)
class ItemTerms(PairTerms):
    """What holds for the items of one mailbox. `own` are the terms that the rules take. `deletion` says what becomes of the CRM's
    record when the item is deleted, `removal` what becomes of the item when the record is, `cancelled` whether a cancelled one stays
    in the CRM."""

    rules: ItemRules | None = None
    own: Any = None
    user_id: str = ""
    deletion: str = UNLINK
    removal: str = UNLINK
    cancelled: str = REMOVE
    category: str = "Salesforce"
    has_categories: bool = True
    needs_mark: bool = False  # ids of its mail system change with a move: only the mark says which item is whose


@dataclass(frozen=True, slots=True)
class Known:
    """What is known of an item beside both records: why it is shared, whether it bore the category when it was seen last, whether
    others were invited by its user, and who else holds the same occasion: how many, whether they looked at it since, and whether
    the one of them who invited to it called it off."""

    why: str = ""
    was_marked: bool = False
    was_own_meeting: bool = False
    was_cancelled: bool = False
    had_guests: bool = False
    others: int = 0
    others_looked: bool = True
    is_called_off: bool = False


@dataclass(frozen=True, slots=True)
class ItemMeeting:
    """What an item that is linked to nothing meets: the record of the CRM that it is already, whether a colleague's mailbox carried that
    one, and what a new one gets beside its mapped fields: its owner, and whom it is linked to."""

    found: Record | None = None
    was_carried: bool = False
    given: Mapping[str, Value] = field(default_factory=dict)


def pointer_of(item: Record) -> str:
    """Returns the id of the CRM's record that an item names, "" for none."""
    return str(item.fields.get(FOREIGN_ID) or "")


def pointer(ref: Ref) -> dict[str, Value]:
    """Returns what an item holds that names this record of the CRM."""
    return {FOREIGN_ID: ref.id}


# --- an item that is linked to nothing --------------------------------------------------------------------------------


def decide_shared(item: Record, meeting: ItemMeeting, why: str, terms: ItemTerms, users: Users) -> PairDecision:
    """Decides for an item that is to be shared: the record that it is already, or a new one."""
    type_ = terms.types[0]
    found, seen = meeting.found, shown(item, terms)
    if found is not None:
        narrow = narrowed(type_, item, found, terms)
        if meeting.was_carried:  # what was agreed then holds on: the next look carries what either side changed since
            narrow = replace(narrow, on_first_link="leave")
        return _of_item(decide_link(seen, found, seen, narrow, terms, users), item)
    if not type_.outbound_create:
        return excluded(item, "create_off", f"New {type_.crm_object}s are not made in {terms.crm_name}.", peer=item)
    if type_.create_held:
        return PairDecision(item, Outcome.HELD, "mapping", f"Waits for the mapping: {type_.create_held}", type=type_, peer=item)
    decision = create_in_crm(seen, type_, replace(terms, new_in_crm=meeting.given), users)
    if not decision.intents:
        return _of_item(decision, item)
    reason = _WHY_UP.get(why, "It is shared.").format(category=terms.category)
    intent = replace(decision.intents[0], marker=marker_for(item, terms), reason=reason)
    return _of_item(replace(decision, intents=(intent,), sentence=reason), item)


def marker_for(item: Record, terms: ItemTerms) -> str:
    """Returns the key that the CRM's record of an item carries: that of its occasion, so that colleagues' items make one record; where
    there is none, that of the item in its mailbox."""
    key = rules_of(terms).occasion_of(item) or f"{terms.scope}-{item.ref.id}"
    return marker_of(terms.database, Ref(item.ref.system, item.ref.object_type, key))[:255]


def carried(item: Record, carrier: str, terms: ItemTerms) -> PairDecision:
    """Returns the decision about an item that a colleague's mailbox carries (C26)."""
    sentence = f"A colleague's mailbox, {carrier}, carries the same {noun(terms)}; it is in {terms.crm_name} once."
    return excluded(item, COLLEAGUE, sentence, peer=item)


_WHY_UP = {
    BY_CATEGORY: "It has the category “{category}”.",
    BY_ITSELF: "New ones are shared by themselves.",
    BY_PERSON: "A person shared it.",
    BY_LIST: "It lies in the list of shared ones.",
}


def _of_item(decision: PairDecision, item: Record) -> PairDecision:
    """Returns the decision about the item itself: what was shown of it decided, and stands as the agreement."""
    return replace(decision, record=replace(decision.record, ref=item.ref))


def decide_down(record: Record, type_: TypeTerms, terms: ItemTerms, users: Users) -> PairDecision:
    """Decides for a record of the CRM that is linked to nothing."""
    left_out = rules_of(terms).why_not_down(record, terms.own)
    if left_out is not None:
        return excluded(record, left_out.reason, left_out.sentence, type=type_, crm=record)
    if not type_.inbound_create:
        return excluded(record, "create_off", f"{type_.crm_object}s are not made in the mailbox.", type=type_, crm=record)
    return create_in_peer(record, type_, terms, users, reason=f"It belongs to the mailbox's user in {terms.crm_name}.")


# --- a bound pair -----------------------------------------------------------------------------------------------------


def decide_items(
    record: Record, crm: Record, item: Record, bound: Bound, known: Known, type_: TypeTerms, terms: ItemTerms, users: Users
) -> PairDecision:
    """Decides for a linked item and its record as both are now."""
    rules = rules_of(terms)
    common: dict[str, Any] = {"crm": crm, "peer": item, "peer_id": item.ref.id}
    if rules.is_secret(item, terms.own):
        sentence = f"It turned private: it is taken out of {terms.crm_name}."
        return _delete("crm", record, crm, bound.crm_base, WITHDRAWN, sentence, str(item.ref), common)
    too_much = _told_too_much(crm, item, type_, terms)
    if rules.is_cancelled(item):
        cancelled = _cancelled(record, item, crm, bound, known, type_, terms, common)
        if cancelled.reason == CANCELLED or not too_much:
            return cancelled
    elif known.was_marked and terms.has_categories and not rules.is_marked(item):
        sentence = f"Its category “{terms.category}” was taken off: it is not shared any more. {terms.crm_name} keeps it."
        taken_out = excluded(record, TAKEN_OUT, sentence, **common)
        if not too_much:
            return taken_out
        return replace(_written_too(taken_out, crm, item, too_much, ARE_WITHHELD), reason=TAKEN_OUT, sentence=sentence)
    seen = shown(item, terms)
    looked_at = seen if record.ref == item.ref else record
    decision = decide_pair(looked_at, crm, seen, bound, narrowed(type_, item, crm, terms), terms, users)
    return _told_held(_withhold(replace(decision, record=record), crm, item, bound, terms), crm, item, bound, type_, terms)


def narrowed(type_: TypeTerms, item: Record, crm: Record, terms: ItemTerms) -> TypeTerms:
    """Returns the record type with only what may flow between these two."""
    held = rules_of(terms).held_back(item, frozenset(type_.mapping.peer_fields), terms.own)
    if rules_of(terms).is_read_only(crm):
        type_ = replace(type_, outbound_update=False)
    return replace(type_, held_back=held) if held else type_


def with_links(decision: PairDecision, crm: Record, item: Record, fields: Fields, terms: ItemTerms) -> PairDecision:
    """Adds to the writes of the CRM whom its record is linked to now."""
    if not fields or decision.merge is None:
        return decision
    return _written_too(decision, crm, item, fields, "Who takes part in it changed.")


def _withhold(decision: PairDecision, crm: Record, item: Record, bound: Bound, terms: ItemTerms) -> PairDecision:
    """Sees to it that what is withheld of an item does not stand in the CRM, whoever wrote it there last: neither a later edit nor a
    rule about blanks keeps it."""
    if decision.type is None or decision.merge is None:
        return decision
    left = _told_too_much(crm, item, decision.type, terms)
    own = next((i for i in decision.intents if i.side == "crm"), None)
    left = {n: v for n, v in left.items() if own is None or n not in own.after or not is_same(own.after[n], v)}
    return _written_too(decision, crm, item, left, ARE_WITHHELD) if left else decision


def _told_too_much(crm: Record, item: Record, type_: TypeTerms, terms: ItemTerms) -> Fields:
    """Returns the fields of the CRM's record that tell what is withheld of an item, with what they are to hold instead."""
    secret, seen = rules_of(terms).withheld(item, terms.own), shown(item, terms)
    wanted = {r.crm: seen.fields.get(r.peer) for r in type_.mapping.rules if r.peer in secret and r.flows_to_crm}
    return {n: v for n, v in wanted.items() if n in crm.fields and not is_same(crm.fields[n], v)}


def _written_too(decision: PairDecision, crm: Record, item: Record, fields: Fields, reason: str) -> PairDecision:
    """Adds fields that no mapping row is about to what the CRM's record gets."""
    before = {name: crm.fields.get(name) for name in fields}
    own = next((i for i in decision.intents if i.side == "crm"), None)
    if own is None:
        of: dict[str, Any] = {"target_id": crm.ref.id, "version": crm.version, "reason": reason}
        more = Intent("update", "crm", crm.ref.object_type, str(item.ref), dict(fields), before, **of)
        return replace(decision, outcome=Outcome.UPDATED, reason="updated", sentence=reason, intents=(more, *decision.intents))
    both = replace(own, after={**own.after, **fields}, before={**own.before, **before}, reason=f"{own.reason} {reason}".strip())
    return replace(decision, intents=tuple(both if i is own else i for i in decision.intents))


def _told_held(decision: PairDecision, crm: Record, item: Record, bound: Bound, type_: TypeTerms, terms: ItemTerms) -> PairDecision:
    """Adds what would come down and may not: it stays an open difference, and a person may let it go (D12)."""
    names = waiting_fields(crm, item, bound, type_, terms)
    if not names or decision.outcome is Outcome.FAILED:
        return decision
    rules, what = rules_of(terms), ", ".join(names)
    if not rules.is_own_meeting(item):
        sentence = f"{what}: changed in {terms.crm_name}; only the organiser of the {rules.noun} can change it here."
        return replace(decision, warnings=(*decision.warnings, sentence))
    count = rules.others_at(item, terms.own)
    people = "1 person" if count == 1 else f"{count} people"
    sentence = f"{what}: changed in {terms.crm_name}; writing it here would mail {people}, so it waits for “Send update”."
    if decision.is_act:
        return replace(decision, warnings=(*decision.warnings, sentence))
    return replace(decision, outcome=Outcome.HELD, reason=WOULD_MAIL, sentence=sentence)


def waiting_fields(crm: Record, item: Record, bound: Bound, type_: TypeTerms, terms: ItemTerms) -> tuple[str, ...]:
    """Returns the item's fields into which a change of the CRM does not come down, and that are not withheld from it."""
    rules = rules_of(terms)
    held = rules.held_back(item, frozenset(type_.mapping.peer_fields), terms.own) - rules.withheld(item, terms.own)
    if not held or rules.withheld(item, terms.own):
        return ()
    changed = changed_fields(bound.crm_base, crm.fields, tuple(bound.crm_base))
    return tuple(r.peer for r in type_.mapping.rules if r.peer in held and r.crm in changed and r.flows_to_peer and type_.inbound_update)


def shown(item: Record, terms: ItemTerms) -> Record:
    return rules_of(terms).shown(item, terms.own)


def noun(terms: ItemTerms) -> str:
    return rules_of(terms).noun


def rules_of(terms: ItemTerms) -> ItemRules:
    assert terms.rules is not None
    return terms.rules


# --- endings ----------------------------------------------------------------------------------------------------------


def _cancelled(
    record: Record, item: Record, crm: Record, bound: Bound, known: Known, type_: TypeTerms, terms: ItemTerms, common: dict[str, Any]
) -> PairDecision:
    if known.others and not rules_of(terms).is_own_meeting(item):
        return _left_to_colleagues(record, "It was cancelled for its user", known, terms, common)
    if terms.cancelled == KEEP:
        sentence = f"It was cancelled, and stays in {terms.crm_name} by setting."
        return PairDecision(record, Outcome.UNCHANGED, STAYS_CANCELLED, sentence, type=type_, **common)
    sentence = f"It was cancelled: it is deleted in {terms.crm_name}."
    return _delete("crm", record, crm, bound.crm_base, CANCELLED, sentence, str(common["peer"].ref), common)


def decide_gone(item: Record, bound: Bound, crm: Record | None, known: Known, terms: ItemTerms) -> PairDecision:
    """Decides for a linked item that is not in the mailbox any more (S4.24). What it says is that of the last agreement."""
    common: dict[str, Any] = {"peer_id": bound.peer_id, "crm": crm}
    where = terms.crm_name
    if crm is None:
        return excluded(item, GONE_THERE, f"It was deleted here; {bound.crm.object_type} {bound.crm.id} is gone, too.", **common)
    if known.others and not known.was_own_meeting:
        return _left_to_colleagues(item, "It was deleted here", known, terms, common)
    is_cancelled = known.was_own_meeting or known.was_cancelled or known.is_called_off
    if is_cancelled and terms.cancelled == REMOVE:
        sentence = f"It was cancelled: it is deleted in {where}."
        return _delete("crm", item, crm, bound.crm_base, CANCELLED, sentence, str(item.ref), common)
    if is_cancelled:
        return excluded(item, GONE_HERE, f"It was cancelled, and stays in {where} by setting.", **common)
    if terms.deletion == RESTORE and not known.had_guests:
        return excluded(item, MADE_AGAIN, f"It was deleted here, which a setting forbids: it is made again from {where}.", **common)
    if terms.deletion == PROPAGATE:
        changed = changed_fields(bound.crm_base, crm.fields, tuple(bound.crm_base))
        if changed:
            sentence = f"It was deleted here, and edited in {where} since ({', '.join(sorted(changed))}): it stays there."
            return excluded(item, GONE_HERE, sentence, **common)
        sentence = f"It was deleted here, and is deleted in {where}, as the setting says."
        return _delete("crm", item, crm, bound.crm_base, DELETED_HERE, sentence, str(item.ref), common)
    return excluded(item, GONE_HERE, f"It was deleted here; {where} keeps it.", **common)


def _left_to_colleagues(record: Record, what: str, known: Known, terms: ItemTerms, common: dict[str, Any]) -> PairDecision:
    """What is over for one who attends may go on for the others, or be called off for everybody: their calendars say which."""
    if not known.others_looked:
        sentence = f"{what}; whether the {noun(terms)} takes place for colleagues who hold it is seen in their calendars first."
        return PairDecision(record, Outcome.HELD, ASKS, sentence, **common)
    sentence = f"{what}; a colleague's mailbox holds the same {noun(terms)} and carries it on."
    return excluded(record, HANDED_OVER, sentence, **common)


def decide_gone_in_crm(record: Record, bound: Bound, item: Record | None, known: Known, terms: ItemTerms) -> PairDecision:
    """Decides for a link whose record of the CRM was deleted. The item stays, without its marks, unless a setting says otherwise."""
    rules, common = rules_of(terms), dict[str, Any](peer_id=bound.peer_id, peer=item)
    was = f"{bound.crm.object_type} {bound.crm.id} was deleted in {terms.crm_name}"
    if item is None:
        return excluded(record, GONE_THERE, f"{was}; its item is gone, too.", **common)
    if terms.removal == RESTORE and not rules.is_secret(item, terms.own) and not rules.is_cancelled(item):
        return excluded(record, MADE_THERE, f"{was}, which a setting forbids: it is made again from the mailbox.", **common)
    edited = bool(changed_fields(bound.peer_base, shown(item, terms).fields, tuple(bound.peer_base)))
    if rules.withheld(item, terms.own):  # what is withheld of it was agreed on by nobody: its version alone tells of an edit
        edited = edited or item.version != bound.peer_version
    if terms.removal == PROPAGATE and not edited and not known.had_guests and not rules.others_at(item, terms.own):
        return _delete("peer", record, item, bound.peer_base, DELETED_THERE, f"{was}; the item goes, too.", str(bound.crm), common)
    wanted = without_marks(item, terms)
    sentence = f"{was}; the {rules.noun} stays in the mailbox{', without its category' if CATEGORIES in wanted else ''}."
    if not wanted:
        return excluded(record, GONE_THERE, sentence, **common)
    before = {name: item.fields.get(name) for name in wanted}
    intent = Intent(
        "update", "peer", item.ref.object_type, str(bound.crm), wanted, before, target_id=item.ref.id, version=item.version, reason=sentence
    )
    return PairDecision(record, Outcome.UPDATED, UNMARKED, sentence, intents=(intent,), **common)


def without_marks(item: Record, terms: ItemTerms) -> dict[str, Value]:
    """Returns what an item holds once it is shared no more: no category of ours, and no id of the CRM."""
    rules = rules_of(terms)
    if not rules.bears_marks(item):
        return {}
    wanted: dict[str, Value] = {}
    held = item.fields.get(CATEGORIES)
    if terms.has_categories and isinstance(held, tuple) and rules.is_marked(item):
        wanted[CATEGORIES] = tuple(name for name in held if name.casefold() != terms.category.casefold())
    if item.fields.get(FOREIGN_ID):
        wanted[FOREIGN_ID] = None
    return wanted


def lacks(crm: Ref, item: Record, terms: PairTerms) -> dict[str, Value]:
    """Returns the category, where a linked item may bear it and does not: whoever takes it off takes the item out; and the id of the
    record, where an item is known by it."""
    assert isinstance(terms, ItemTerms)
    held = item.fields.get(CATEGORIES)
    rules = rules_of(terms)
    is_unmarked = terms.needs_mark and rules.bears_marks(item) and item.fields.get(FOREIGN_ID) != crm.id
    mark: dict[str, Value] = {FOREIGN_ID: crm.id} if is_unmarked else {}
    if not terms.has_categories or not isinstance(held, tuple) or not rules.bears_marks(item) or rules.is_marked(item):
        return mark
    return {CATEGORIES: (*held, terms.category), **mark}


def _delete(
    side: str, record: Record, target: Record, base: Fields, reason: str, sentence: str, source_ref: str, common: Mapping[str, Any]
) -> PairDecision:
    intent = Intent(
        "delete", side, target.ref.object_type, source_ref, {}, dict(base), target_id=target.ref.id, version=target.version, reason=sentence
    )
    return PairDecision(record, Outcome.UPDATED, reason, sentence, intents=(intent,), **common)

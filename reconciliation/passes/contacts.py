"""Seed 001: contacts of a mailbox's folder and Salesforce contacts of a view are kept in agreement. Pure.

Bound pairs are merged as in every two-way pass (`passes.pairs`). Particular to mailboxes: what the folder holds is known from
its own list of changes, a new contact finds its account, and what is deleted on one side goes by a setting.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import Any

from connectors.contract import Fields, Record, Ref, Value
from connectors.mailboxes import BEYOND, CATEGORIES, FOREIGN_ID, PLACE
from connectors.mailboxes import CONTACT as ITEM
from reconciliation.core.ledger import Outcome
from reconciliation.core.mailbox_settings import ALLOWED, CREATE, FORBIDDEN, KEEP, LINK
from reconciliation.core.mapping import FieldRule
from reconciliation.core.merging import changed_fields
from reconciliation.core.operations import Candidate, CaseOpening, Intent
from reconciliation.core.transforms import Users
from reconciliation.core.values import is_blank, normalise_name
from reconciliation.passes.pairs import (
    Bound,
    Kind,
    Meeting,
    PairDecision,
    PairTerms,
    TypeTerms,
    create_in_crm,
    decide_link,
    excluded,
)
from reconciliation.passes.prospects import email_key

CONTACT, ACCOUNT = "Contact", "AccountId"
FOLDER, CATEGORY, NOT_IN_VIEW = "Salesforce Contacts", "Salesforce", "Salesforce: not in view"
EMAILS = ("email1", "email2", "email3")
TAKEN_OUT, MADE_AGAIN, REMOVED, DELETED_THERE, EXISTS = "taken_out", "made_again", "removed", "deleted_in_crm", "exists"
DELETED_HERE, ITEM_GONE = "deleted_here", "item_gone"
MERGED, LEFT_VIEW, HIDDEN = "merged", "left_view", "deleted_out_of_view"
ITEM_GONE_SENTENCE = "Its item is not in the folder just now; the mailbox's list of changes tells why."
NO_RIGHT, OUTSIDE_NOW, INCOMPLETE = "no_right", "outside", "incomplete"
ANOTHER = ""  # a person's word on an item: it is a contact of its own
DELETE, PUT_BACK, KEEP_HERE = "delete", "put_back", "keep"  # a person's word on a deletion
ENDS = (TAKEN_OUT, MADE_AGAIN, DELETED_THERE, HIDDEN)  # beside those of every two-way pass


@dataclass(frozen=True, slots=True)
class ContactTerms(PairTerms):
    """What holds for one mailbox. `user_id` is its user in the CRM: the owner of what is made there."""

    user_id: str = ""
    deletion: str = FORBIDDEN
    out_of_view: str = KEEP
    existing: str = LINK
    defaults: Mapping[str, Value] = field(default_factory=dict)  # of new contacts, where the mailbox says nothing (S1.19)
    account_id: str = ""  # the one account that new contacts belong to (S1.19)
    required: tuple[str, ...] = ()  # fields that no new contact is made without, beside those of the CRM itself (S1.19)
    wanted: tuple[str, ...] = ()  # fields without which a contact stands in the list of incomplete ones (S4.34)
    chosen: Mapping[str, str] = field(default_factory=dict)  # item -> the contact that a person said it is, ANOTHER for none
    ends: Mapping[str, str] = field(default_factory=dict)  # linked item -> what a person said of its deletion


# --- what a contact is ----------------------------------------------------------------------------------------------


def keys(record: Record) -> tuple[str, ...]:
    """Returns every address of a contact, the first one first (C19)."""
    names = EMAILS if record.ref.object_type == ITEM else ("Email",)
    return tuple(dict.fromkeys(key for name in names if (key := email_key(record.fields.get(name)))))


def spellings(record: Record) -> tuple[str, ...]:
    names = EMAILS if record.ref.object_type == ITEM else ("Email",)
    return tuple(str(record.fields[name]).strip() for name in names if email_key(record.fields.get(name)))


def last_name(record: Record) -> str:
    return normalise_name(str(record.fields.get("surname" if record.ref.object_type == ITEM else "LastName") or ""))


def name_of(record: Record) -> str:
    """Returns what a person is called in lists."""
    fields = record.fields
    first, last = ("givenName", "surname") if record.ref.object_type == ITEM else ("FirstName", "LastName")
    parts = [str(part) for part in (fields.get(first), fields.get(last)) if not is_blank(part)]
    name = fields.get("Name") or " ".join(parts) or fields.get("displayName")
    return str(name or (keys(record) or (record.ref.id,))[0])


def pointer_of(record: Record) -> str:
    return str(record.fields.get(FOREIGN_ID) or "")


def pointer(ref: Ref) -> dict[str, Value]:
    return {FOREIGN_ID: ref.id}


def lacks(crm: Ref, item: Record, terms: PairTerms) -> dict[str, Value]:
    """Returns what an item of our folder must hold beside its mapped fields, where it does not: the id of its CRM record, as
    far as it was read, and its categories (S1.8, D8)."""
    wanted: dict[str, Value] = {}
    if FOREIGN_ID in item.fields and item.fields[FOREIGN_ID] != crm.id:
        wanted[FOREIGN_ID] = crm.id
    held = item.fields.get(CATEGORIES)
    if isinstance(held, tuple):
        should = [c for c in held if c != NOT_IN_VIEW or terms.is_hidden]
        should += [c for c in (CATEGORY, *((NOT_IN_VIEW,) if terms.is_hidden else ())) if c not in should]
        if set(should) != set(held):
            wanted[CATEGORIES] = tuple(should)
    return wanted


def notes_of(item: Record) -> tuple[str, ...]:
    """Says what of an item has no room in the mapping and stays in the mailbox only."""
    beyond = item.fields.get(BEYOND)
    if not isinstance(beyond, tuple) or not beyond:
        return ()
    shown = "; ".join(str(text)[:80] for text in beyond[:5])
    return (f"Kept in the mailbox only: {shown}{' and more' if len(beyond) > 5 else ''}",)


PEOPLE = Kind(
    peer_object=ITEM,
    keys=keys,
    key_fields={CONTACT: "Email"},
    columns={
        ITEM: ("displayName", "givenName", "surname", *EMAILS, "companyName", CATEGORIES, FOREIGN_ID, PLACE, BEYOND),
        CONTACT: ("Email", "Name", "FirstName", "LastName", "OwnerId", ACCOUNT),
    },
    pointer_of=pointer_of,
    pointer=pointer,
    name_of=name_of,
    key_word="e-mail address",
    spellings=spellings,
    no_key="no_email",
    no_key_sentence="",
    marker_is_pointer=True,
    is_mailbox=True,
    lacks=lacks,
    born_with={CATEGORIES: (CATEGORY,)},
    own_fields=(CATEGORIES, PLACE),
    notes_of=notes_of,
)


# --- a contact of the folder that is bound to nothing ---------------------------------------------------------------


def decide_meeting(item: Record, meeting: Meeting, terms: ContactTerms, users: Users) -> PairDecision:
    """Decides for an item of our folder that is bound to nothing (S1.10 to S1.18, D7): the contact that it names itself, the
    one with its e-mail and last name, a question, or a new contact."""
    type_ = next(t for t in terms.types if t.crm_object == CONTACT)
    if item.ref.id in terms.chosen:
        return _as_chosen(item, terms.chosen[item.ref.id], meeting, type_, terms, users)
    if meeting.personal:
        return excluded(item, "kept_personal", meeting.personal, peer=item)
    named = [r for r in meeting.found if r.ref.id == pointer_of(item)]
    if named and named[0].ref.id not in meeting.holders:
        return _link(item, named[0], meeting, type_, terms, users)
    found = named or [r for r in meeting.found if set(keys(r)) & set(keys(item))]
    if found and terms.existing != CREATE:
        free = [r for r in found if r.ref.id not in meeting.holders]
        same = [r for r in free if last_name(r) == last_name(item)]
        if len(found) == len(same) == 1 and terms.existing == LINK:
            return _link(item, same[0], meeting, type_, terms, users)
        return _exists(item, found, meeting, type_)
    if meeting.refused and terms.existing != CREATE and not found:
        return excluded(item, "kept_apart", next(iter(meeting.refused.values())), peer=item)
    return _create_where_allowed(item, meeting, type_, terms, users)


def _as_chosen(item: Record, contact_id: str, meeting: Meeting, type_: TypeTerms, terms: ContactTerms, users: Users) -> PairDecision:
    """Decides as a person answered the question (D7): the link leaves differences as they are (D25)."""
    if contact_id == ANOTHER:
        return _create_where_allowed(item, meeting, type_, terms, users)
    contact = next((r for r in meeting.found if r.ref.id == contact_id), None)
    if contact is None:
        return excluded(item, "choice_gone", f"Contact {contact_id} does not bear an e-mail address of this item any more.", peer=item)
    if contact_id in meeting.holders:
        return excluded(item, "choice_held", f"Contact {contact_id} is in the folder already, as another item.", peer=item)
    return _link(item, contact, meeting, replace(type_, on_first_link="leave"), terms, users)


def _link(item: Record, contact: Record, meeting: Meeting, type_: TypeTerms, terms: ContactTerms, users: Users) -> PairDecision:
    """Decides for an item that is this contact. Of one that is not in view no value comes down (D8); it does once it is."""
    decision = decide_link(item, contact, item, type_, terms, users)
    if contact.ref.id not in meeting.hidden:
        return decision
    bare = [replace(i, after={n: v for n, v in i.after.items() if terms.kind.is_ours(n)}) for i in decision.intents if i.side == "peer"]
    intents = (*(i for i in decision.intents if i.side == "crm"), *(i for i in bare if i.after))
    return replace(decision, intents=intents, outcome=Outcome.UPDATED if intents else Outcome.UNCHANGED)


def _create_where_allowed(item: Record, meeting: Meeting, type_: TypeTerms, terms: ContactTerms, users: Users) -> PairDecision:
    if not type_.outbound_create:
        return excluded(item, "create_off", f"New contacts are not made in {terms.crm_name}.", peer=item)
    if type_.create_held:
        return PairDecision(item, Outcome.HELD, "mapping", f"Waits for the mapping: {type_.create_held}", type=type_, peer=item)
    return create(item, meeting, type_, terms, users)


def create(item: Record, meeting: Meeting, type_: TypeTerms, terms: ContactTerms, users: Users) -> PairDecision:
    """Decides that the item becomes a new contact, owned by the mailbox's user, with the account of the company workflow."""
    given: dict[str, Value] = {"OwnerId": terms.user_id} if terms.user_id else {}
    if meeting.account_id:
        given[ACCOUNT] = meeting.account_id
    decision = create_in_crm(item, type_, replace(terms, new_in_crm=given), users)
    if not decision.intents:
        return decision
    making = decision.intents[0]
    filled = {name: value for name, value in terms.defaults.items() if is_blank(making.after.get(name))}
    intent = replace(making, after={**making.after, **filled})
    lacking = [name for name in terms.required if is_blank(intent.after.get(name))]
    if lacking:
        return _incomplete(decision, lacking, type_, terms)
    return replace(decision, intents=(intent,), sentence=meeting.account_why)


def missing_of(contact: Record, terms: PairTerms, *, asked: Iterable[str] = ()) -> tuple[str, ...]:
    """Returns the fields that a contact made from a mailbox lacks: account, e-mail address, and what the company asks for
    (S1.18, S4.34). What was not read lacks nothing, unless it is among `asked`."""
    wanted = dict.fromkeys((ACCOUNT, "Email", *getattr(terms, "wanted", ())))
    known = set(asked)
    return tuple(n for n in wanted if (n in contact.fields or n in known) and is_blank(contact.fields.get(n)))


def with_account(decision: PairDecision, account_id: str, why: str) -> PairDecision:
    """Adds the account of the company that somebody entered later to what a contact of a mailbox gets (S4.34): the workflow of a
    new one (S1.13) found none when it was made."""
    crm = decision.crm
    if crm is None or decision.outcome not in (Outcome.UPDATED, Outcome.UNCHANGED) or not is_blank(crm.fields.get(ACCOUNT)):
        return decision
    given, before = {ACCOUNT: account_id}, {ACCOUNT: crm.fields.get(ACCOUNT)}
    own = next((i for i in decision.intents if i.side == "crm"), None)
    if own is None:
        own = Intent(
            "update", "crm", CONTACT, str(decision.record.ref), given, before, target_id=crm.ref.id, version=crm.version, reason=why
        )
        return replace(decision, outcome=Outcome.UPDATED, reason="updated", sentence=why, intents=(own, *decision.intents))
    more = replace(own, after={**own.after, **given}, before={**own.before, **before})
    intents = tuple(more if i is own else i for i in decision.intents)
    return replace(decision, sentence=f"{decision.sentence} {why}".strip(), intents=intents)


def _incomplete(decision: PairDecision, lacking: list[str], type_: TypeTerms, terms: ContactTerms) -> PairDecision:
    """A contact without what the organisation requires is not made; it is once its user has filled that in."""
    from_item = {rule.crm: rule.peer for rule in type_.mapping.rules}
    said = [f"{name} (in the mailbox: {from_item[name]})" if name in from_item else name for name in lacking]
    are = "is required and blank" if len(lacking) == 1 else "are required and blank"
    sentence = f"It was not made in {terms.crm_name}: {', '.join(said)} {are}."
    opening = CaseOpening("error", INCOMPLETE, sentence, "Fill it in on the contact in the mailbox, or give it a default in the settings.")
    return replace(
        decision, outcome=Outcome.FAILED, reason=INCOMPLETE, sentence=sentence, intents=(), merge=None, is_link=False, case=opening
    )


def _exists(item: Record, found: list[Record], meeting: Meeting, type_: TypeTerms) -> PairDecision:
    """A contact with this address is there already; whether it is the same person, a person decides (D7)."""
    candidates = tuple(
        Candidate(r.ref.id, name_of(r)[:255], _why(item, r), fields=r.fields, bound_to=meeting.holders.get(r.ref.id, ""))
        for r in found[:20]
    )
    held = [r for r in found if r.ref.id in meeting.holders]
    if len(found) == 1 and held:
        sentence = (
            f"Contact {found[0].ref.id} has this e-mail address and is in the folder already; this item looks like a second one of it."
        )
    elif len(found) == 1 and last_name(found[0]) == last_name(item):
        sentence = f"Contact {found[0].ref.id} has this e-mail address and last name; the setting says to ask."
    elif len(found) == 1:
        sentence = f"Contact {found[0].ref.id} has this e-mail address and another last name, {found[0].fields.get('LastName')!s:.80}."
    else:
        sentence = f"{len(found)} contacts have this e-mail address: {', '.join(r.ref.id for r in found[:5])}."
    opening = CaseOpening(
        "exists", EXISTS, sentence, "Link it to the contact that it is, create another one, or keep it personal.", candidates=candidates
    )
    return PairDecision(item, Outcome.DUPLICATE, EXISTS, sentence, type=type_, peer=item, case=opening, peer_id=item.ref.id)


def _why(item: Record, contact: Record) -> str:
    return "Same e-mail address and last name" if last_name(item) == last_name(contact) else "Same e-mail address, another last name"


# --- what was deleted -----------------------------------------------------------------------------------------------


class Gone(StrEnum):
    """Where an item went that left our folder."""

    TAKEN_OUT = "taken out"  # it lies elsewhere in the mailbox
    DELETED = "deleted"


@dataclass(frozen=True, slots=True)
class Deletion:
    """What is known when one side of a link is gone. `others`: mailboxes that hold the same contact."""

    gone: Gone
    crm: Record | None
    others: int = 0


def decide_gone(item: Record, bound: Bound, known: Deletion, terms: ContactTerms) -> PairDecision:
    """Decides for a linked item that left the folder (S1.21 to S1.23, D26). What it says is that of the last agreement."""
    crm, common = known.crm, dict[str, Any](peer_id=bound.peer_id, crm=known.crm)
    if known.gone is Gone.TAKEN_OUT:
        sentence = "It was taken out of the folder: it is personal again, and not put back. Salesforce keeps the contact."
        return excluded(item, TAKEN_OUT, sentence, **common)
    if crm is None:
        return excluded(item, DELETED_THERE, f"It was deleted here; {bound.crm.object_type} {bound.crm.id} is gone, too.", **common)
    answer = terms.ends.get(bound.peer_id)
    if answer == KEEP_HERE:
        return excluded(item, TAKEN_OUT, "It was deleted here, and stays in Salesforce, as staff decided.", **common)
    if answer == PUT_BACK:
        return excluded(item, MADE_AGAIN, "It was deleted here, and is made again, as staff decided.", **common)
    if terms.deletion != ALLOWED:
        if bound.is_hidden:
            return excluded(item, HIDDEN, "It was deleted here, and its contact is not in the view any more.", **common)
        return excluded(item, MADE_AGAIN, "It was deleted here, which is forbidden: it is made again from Salesforce.", **common)
    if answer == DELETE:
        return _deleted_here(
            item, bound, crm, "It was deleted in the mailbox's folder, and staff decided to delete it in Salesforce.", common
        )
    if known.others:
        mailboxes = "Another mailbox holds" if known.others == 1 else f"{known.others} other mailboxes hold"
        return _ask(
            item, "others", f"It was deleted here. {mailboxes} this contact; deleting it in Salesforce takes it from there, too.", common
        )
    changed = _alone(bound.crm_base, crm.fields, [r.crm for r in _rules(terms) if r.flows_to_peer])
    if changed:
        return _ask(item, "edited_in_crm", f"It was deleted here, and edited in Salesforce since: {', '.join(sorted(changed))}.", common)
    return _deleted_here(item, bound, crm, "It was deleted in the mailbox's folder, where deleting is allowed.", common)


def _deleted_here(item: Record, bound: Bound, crm: Record, why: str, common: Mapping[str, Any]) -> PairDecision:
    intent = _deletion("crm", crm, str(item.ref), bound.crm_base, why)
    sentence = "It was deleted here, and is deleted in Salesforce."
    return PairDecision(item, Outcome.UPDATED, DELETED_HERE, sentence, intents=(intent,), **common)


def decide_removal(record: Record, bound: Bound, item: Record | None, why: str, reason: str, terms: ContactTerms) -> PairDecision:
    """Decides for a link whose CRM record is gone, or left a view that says *remove* (S1.26, D8): the item goes to Deleted
    Items, unless somebody edited it since: the edit is kept, and a person asked (C12), whose answer may be known."""
    answer = terms.ends.get(bound.peer_id, "")
    if item is None:
        return excluded(record, "deleted", f"{why} It is not in the folder any more.", peer_id=bound.peer_id)
    changed = _alone(bound.peer_base, item.fields, [r.peer for r in _rules(terms) if r.flows_to_crm])
    if answer == KEEP_HERE:
        return excluded(record, TAKEN_OUT, f"{why} The item stays in the mailbox, personal, as staff decided.", peer_id=bound.peer_id)
    if changed and answer != DELETE:
        return _ask(
            record,
            "edited_here",
            f"{why} It was edited here since: {', '.join(sorted(changed))}.",
            {"peer": item, "peer_id": bound.peer_id},
        )
    intent = _deletion("peer", item, str(bound.crm), bound.peer_base, why)
    return PairDecision(record, Outcome.UPDATED, reason, why, peer=item, intents=(intent,), peer_id=bound.peer_id)


def _rules(terms: ContactTerms) -> tuple[FieldRule, ...]:
    return next((t.mapping.rules for t in terms.types if t.crm_object == CONTACT), ())


def _alone(base: Fields, now: Fields, names: Iterable[str]) -> tuple[str, ...]:
    """Returns the fields of one side whose value the other side lacks: edited since the last agreement, or never agreed on, where
    what was to be written at the first link did not arrive."""
    never = [n for n in names if n not in base and not is_blank(now.get(n))]
    return (*changed_fields(base, now, tuple(base)), *never)


def _deletion(side: str, target: Record, source_ref: str, base: Fields, why: str) -> Intent:
    common: dict[str, Any] = {"target_id": target.ref.id, "version": target.version, "reason": why}
    return Intent("delete", side, target.ref.object_type, source_ref, {}, dict(base), **common)


def _ask(record: Record, reason: str, sentence: str, common: Mapping[str, Any]) -> PairDecision:
    opening = CaseOpening("deletion", reason, sentence, "Delete it on the other side, too, make it again, or end the link only.")
    return PairDecision(record, Outcome.HELD, f"deletion_{reason}", sentence, case=opening, **common)

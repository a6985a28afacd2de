"""Decides the records of one page of a two-way pass that are linked to nothing: whom each meets on the other side. What is to be
known for that is asked for all of them at once."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace

from connectors.contract import Record
from reconciliation.core.companies import Account
from reconciliation.core.ledger import Outcome
from reconciliation.engine import conversions, mailbox_meetings, other_crm, pair_cases, pair_reads
from reconciliation.engine.context import RunContext
from reconciliation.engine.pair_work import PairWork
from reconciliation.passes import contacts
from reconciliation.passes import pairs as rules
from reconciliation.passes.pairs import Meeting, PairDecision


@dataclass(slots=True)
class _Met:
    """What the unlinked records of one page meet on the other side; asked for all of them at once."""

    found: list[Record]
    by_key: Mapping[str, list[Record]]
    holders: dict[str, str]  # id of a record found -> id of the one of this side that it is linked to
    refusals: pair_cases.Refusals
    flying: Mapping[str, str]  # key -> source of a record with it that is just being made on the other side
    unanswered: Collection[str]  # keys of what was just made on this side, and nobody told us
    users: Mapping[str, str]
    accounts: Mapping[str, Account] = field(default_factory=dict)  # of new items of a mailbox's folder
    hidden: frozenset[str] = frozenset()  # ids of those found that the mailbox does not show
    first_with: dict[str, str] = field(default_factory=dict)  # key -> the record of this page that came first with it


def decide_meetings(context: RunContext, work: PairWork, records: Sequence[Record]) -> None:
    if not records:
        return
    work.searched_at = pair_reads.end_of_journal(), context.wiring.now()
    # Each contact in view stands for itself: the folder holds it once, whatever else has its keys.
    is_shown = context.terms.kind.is_mailbox and work.side == "crm"
    met = _ask_for_meetings(context, work, records, found=[] if is_shown else None)
    may_be_made = _hindrance(context, records) if is_shown else lambda record: None
    if context.terms.kind.is_mailbox and work.side == "peer":
        met.accounts, met.hidden = mailbox_meetings.accounts_of(context, records), mailbox_meetings.hidden_of(context, met.found)
    for record in records:
        if not is_shown and not context.wiring.switches.ignores_twins and _is_twin(context, work, record, met):
            continue
        if (hindered := may_be_made(record)) is not None:
            work.decide(hindered)
            continue
        meeting = _meeting(record, _mine(context, work, record, met), met)
        pair_cases.guarded(context, work, record, lambda r=record, m=meeting: _meet(context, work, r, m, met.users))
        _take(context, work, record, met)
    other_crm.leave_out(context, work, [r for r in records if r.ref.id in work.decisions])
    conversions.hold_new(context, work, [r for r in records if r.ref.id in work.decisions])


def _ask_for_meetings(context: RunContext, work: PairWork, records: Sequence[Record], found: list[Record] | None) -> _Met:
    """Asks for what these records may meet; `found` where it is known without asking."""
    terms = context.terms
    other = "peer" if work.side == "crm" else "crm"
    keys = {key for r in records for key in terms.kind.keys(r)}
    if found is None:
        types = [terms.kind.peer_object] if other == "peer" else [t.crm_object for t in terms.types]
        found = pair_reads.by_keys(context, other, types, keys, (text for r in records for text in terms.kind.spellings(r)))
    found = found + (_pointed_at(context, records, found) if other == "crm" else [])
    by_key: dict[str, list[Record]] = {}
    for record in found:
        for key in terms.kind.keys(record):
            by_key.setdefault(key, []).append(record)
    holders = pair_reads.holders(context, other, [r.ref.id for r in found])
    if other == "crm":  # links of this page that just followed to one of them are not stored yet
        holders |= {work.bindings[id_].crm_id: work.bindings[id_].peer_id for id_ in work.followed}
    return _Met(
        found,
        by_key,
        holders,
        refusals=pair_cases.refusals(context, records if work.side == "peer" else found),
        flying=pair_reads.in_flight(context, other, keys),
        unanswered=pair_reads.in_flight(context, work.side, keys),
        users=pair_reads.user_pairs(context, *((records, found) if work.side == "crm" else (found, records))),
    )


def _is_twin(context: RunContext, work: PairWork, record: Record, met: _Met) -> bool:
    """Tells whether another record with a key of this one comes first, just being made or on this page; it is put off then."""
    keys = context.terms.kind.keys(record)
    if any(key in met.unanswered or met.flying.get(key, str(record.ref)) != str(record.ref) for key in keys):
        work.decide(PairDecision(record, Outcome.HELD, "twin_in_doubt", "A record with the same key may just have been made."))
        return True
    earlier = next((met.first_with[key] for key in keys if key in met.first_with), "")
    if earlier:
        work.twins[record.ref.id] = earlier
    return bool(earlier)


def _mine(context: RunContext, work: PairWork, record: Record, met: _Met) -> list[Record]:
    """Returns what was found for this record: by its keys, and what it names itself."""
    kind = context.terms.kind
    mine = {r.ref.id: r for key in kind.keys(record) for r in met.by_key.get(key, [])}
    if work.side == "peer":
        mine |= {r.ref.id: r for r in met.found if r.ref.id == kind.pointer_of(record) and r.ref.id not in mine}
    return list(mine.values())


def _meeting(record: Record, mine: Sequence[Record], met: _Met) -> Meeting:
    no = {r.ref.id: said for r in mine if r.ref.id not in met.holders and (said := met.refusals.of(record, r))}
    meeting = Meeting(tuple(r for r in mine if r.ref.id not in no), met.holders, no, hidden=met.hidden)
    account = met.accounts.get(record.ref.id)
    if account is None:
        return meeting
    return replace(meeting, account_id=account.id, account_why=account.why, personal=met.refusals.personal(record))


def _take(context: RunContext, work: PairWork, record: Record, met: _Met) -> None:
    """Notes what a decision takes for itself, so that later records of the page find it taken."""
    id_ = record.ref.id
    decision = work.decisions[id_]
    if decision.outcome is Outcome.CREATED or decision.is_link:
        met.first_with.update(dict.fromkeys(context.terms.kind.keys(record), id_))
    if decision.is_link:
        target = decision.peer if work.side == "crm" else decision.crm
        met.holders[target.ref.id] = id_


def _hindrance(context: RunContext, contacts_in_view: Sequence[Record]) -> Callable[[Record], PairDecision | None]:
    """Returns what tells why no item is made of a contact in a mailbox's folder, None where one is."""
    asked = pair_cases.asked_about(context, [r.ref.id for r in contacts_in_view])
    shown = context.view.shown(contacts_in_view) if context.view is not None else None
    return lambda contact: _not_to_be_made(context, contact, shown, asked)


def _not_to_be_made(context: RunContext, contact: Record, shown: set[str] | None, asked: Mapping[str, str]) -> PairDecision | None:
    """Returns why no item is made of a contact in a mailbox's folder, None where one is."""
    id_ = contact.ref.id
    if shown is not None and id_ not in shown:
        return rules.excluded(contact, "not_in_view", "It is not in the view that the mailbox shows.", crm=contact)
    if id_ in context.planned_links:
        return PairDecision(contact, Outcome.UNCHANGED, rules.LINKED, context.planned_links[id_], crm=contact)
    if id_ in asked:
        sentence = "An item of the folder may be this contact: a person is asked. It is not made there before that."
        return rules.excluded(contact, rules.ASKED, sentence, crm=contact, kept_on=asked[id_])
    return None


def _pointed_at(context: RunContext, records: Sequence[Record], found: Sequence[Record]) -> list[Record]:
    """Returns the CRM records that prospects without a binding name themselves: what a restored backup forgot."""
    known = {r.ref.id for r in found}
    wanted = {p for r in records if (p := context.terms.kind.pointer_of(r))} - known
    more: list[Record] = []
    for type_ in context.terms.types if wanted else ():
        more += [
            r for r in pair_reads.read(context, "crm", type_.crm_object, wanted).values() if not r.is_deleted and r.succeeded_by is None
        ]
    return more


def _meet(context: RunContext, work: PairWork, record: Record, meeting: Meeting, users: Mapping[str, str]) -> PairDecision:
    if work.side == "peer" and context.terms.kind.is_mailbox:
        return contacts.decide_meeting(record, meeting, context.terms, users)
    if work.side == "peer":
        return rules.decide_meeting_of_peer(record, meeting, context.terms, users)
    type_ = context.terms.type_of(record.ref.object_type)
    if type_ is None:
        return rules.excluded(record, "type_off", f"{record.ref.object_type}s are not synced.")
    return rules.decide_meeting_of_crm(record, meeting, type_, context.terms, users)

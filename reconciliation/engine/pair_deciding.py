"""Decides the records of one page of a two-way pass: what is known of each, what must be asked of either side, and in which
order. The decisions themselves are `passes.pairs` and `passes.contacts`."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import replace

from connectors.contract import Fate, Record
from connectors.mailboxes import INSIDE, PLACE
from reconciliation.core.ledger import Outcome
from reconciliation.core.mailbox_settings import REMOVE
from reconciliation.core.operations import CaseOpening
from reconciliation.engine import (
    conflicts,
    mailbox_ends,
    mailbox_meetings,
    pair_bases,
    pair_cases,
    pair_meetings,
    pair_reads,
    returned,
)
from reconciliation.engine.context import RunContext
from reconciliation.engine.pair_work import PairWork
from reconciliation.passes import contacts
from reconciliation.passes import pairs as rules
from reconciliation.passes.pairs import Look, PairDecision

Pairing = Callable[[RunContext, PairWork, Record, Record, Record, Mapping[str, str]], PairDecision]


def decide(context: RunContext, work: PairWork, records: Sequence[Record]) -> None:
    terms, side = context.terms, work.side
    if terms.kind.is_mailbox and side == "peer":  # what waited for a second look may have been taken out of the folder since
        records = [mailbox_ends.as_it_lies(r) for r in records]
    looks = first_looks(context, work, records, mailbox_ends.forget_what_comes_back if terms.kind.is_mailbox else returned.revive)
    if terms.kind.is_mailbox and side == "peer":
        mailbox_ends.decide_gone(context, work, looks[Look.FOLLOW])
        looks[Look.FOLLOW] = []
    decide_pairs(context, work, looks[Look.PAIR], looks[Look.FOLLOW])
    pair_meetings.decide_meetings(context, work, [r for r in looks[Look.MEET] if not _is_followed_to(work, r)])
    if terms.kind.is_mailbox:
        ids = [r.ref.id for r in records]
        mailbox_ends.turn_into_removals(context, work, ids)
        if side == "crm" and terms.out_of_view == REMOVE:
            mailbox_ends.remove_hidden(context, work, ids)
        if side == "peer":
            mailbox_meetings.complete(context, work, ids)
        mailbox_meetings.look_at_rights(context, work, ids)


def first_looks(
    context: RunContext,
    work: PairWork,
    records: Sequence[Record],
    take_up: Callable[[RunContext, PairWork, Sequence[Record]], None],
    owed: Collection[str] = (),
) -> dict[Look, list[Record]]:
    """Decides what needs no further look and returns the rest by what it needs. `take_up` says which links that ended count no more;
    `owed` are records that are looked at whole, whatever their fields say."""
    terms, side = context.terms, work.side
    in_doubt = pair_reads.creates_in_doubt(context, records)
    waiting = pair_cases.waiting(context, side, records)
    free = [r for r in records if r.ref.id not in in_doubt and r.ref.id not in waiting and r.ref.id not in owed]
    echoes = pair_reads.echoes_among(context, side, free)
    for decision in echoes.values():
        work.decide(decision)
    rest = [r for r in records if r.ref.id not in echoes]
    work.bindings.update(pair_reads.bindings_of(context, side, rest))
    take_up(context, work, rest)
    looks: dict[Look, list[Record]] = {look: [] for look in Look}
    for record in rest:
        id_ = record.ref.id
        if id_ in in_doubt:
            sentence = "Its counterpart may have been made already; that is asked for again before anything is sent twice."
            work.decide(PairDecision(record, Outcome.HELD, "in_doubt", sentence))
            continue
        if id_ in waiting:
            work.decide(rules.excluded(record, "case_open", f"It waits for a person, and nothing of it changed: {waiting[id_]}"))
            continue
        bound = bound_of(context, work, id_)
        if bound is not None and id_ in owed:
            bound = replace(bound, is_owed=True)
        look, decision = rules.first_look(record, side, bound, _type_of(context, work, record), terms)
        if id_ in work.returned:
            looks[Look.PAIR].append(record)
        elif decision is not None:
            work.decide(decision)
        else:
            looks[look].append(record)
    return looks


def _is_followed_to(work: PairWork, record: Record) -> bool:
    """Tells whether a link of this page just followed to the record, which decides it too: a new counterpart of its own
    would be a second one."""
    for id_ in work.followed:
        binding = work.bindings[id_]
        if work.side == "crm" and (binding.crm_type, binding.crm_id) == (record.ref.object_type, record.ref.id):
            sentence = f"{binding.peer_type.capitalize()} {binding.peer_id} follows to it."
            work.decide(PairDecision(record, Outcome.UNCHANGED, "followed", sentence))
            return True
    return False


def bound_of(context: RunContext, work: PairWork, id_: str) -> rules.Bound | None:
    binding = work.bindings.get(id_)
    return pair_bases.bound_of(binding, context.crm.connector.system) if binding is not None else None


def _type_of(context: RunContext, work: PairWork, record: Record) -> rules.TypeTerms | None:
    binding = work.bindings.get(record.ref.id)
    name = record.ref.object_type if work.side == "crm" else binding.crm_type if binding is not None else ""
    return context.terms.type_of(name)


def decide_pairs(
    context: RunContext, work: PairWork, records: Sequence[Record], gone: Sequence[Record], pair: Pairing | None = None
) -> None:
    """Reads the counterparts of bound records afresh (S3.3, S3.4) and decides by `pair`; what was merged, converted or deleted in
    the CRM is followed first (C16, C17)."""
    pair = pair or _pair
    crm, peer = _both_sides(context, work, records)
    lost = [r for r in records if r.ref.id not in crm] + list(gone)
    if lost:
        _follow(context, work, lost)
        left = [r for r in lost if r.ref.id not in work.decisions]
        more = _both_sides(context, work, left, is_followed=True)
        crm.update(more[0])
        peer.update(more[1])
    users = pair_reads.user_pairs(context, crm.values(), peer.values())
    work.asked.update(conflicts.asked_after_restore(context, work, [r.ref.id for r in records]))
    asked = pair_cases.asked_about_deletion(context, work, [r.ref.id for r in records if r.ref.id not in peer])
    for record in [*records, *gone]:
        id_ = record.ref.id
        if id_ in work.decisions:
            continue
        if id_ not in crm:
            sentence = "Its CRM record cannot be seen by our user; nothing is done."
            work.decide(PairDecision(record, Outcome.HELD, rules.NOT_VISIBLE, sentence))
        elif id_ in asked:
            work.decide(rules.excluded(record, "case_open", f"It waits for a person: {asked[id_]}", crm=crm[id_]))
        elif id_ not in peer and context.terms.kind.is_mailbox:  # its own list of changes says in a moment what became of it
            work.decide(PairDecision(record, Outcome.HELD, contacts.ITEM_GONE, contacts.ITEM_GONE_SENTENCE, crm=crm[id_]))
        elif id_ not in peer:
            what = f"{context.terms.kind.peer_object.capitalize()} {work.bindings[id_].peer_id}"
            sentence = f"{what} is not there any more; nothing was deleted here."
            work.decide(rules.excluded(record, "counterpart_gone", sentence, crm=crm[id_]))
        else:
            pair_cases.guarded(context, work, record, lambda r=record: pair(context, work, r, crm[r.ref.id], peer[r.ref.id], users))


def _pair(context: RunContext, work: PairWork, record: Record, crm: Record, peer: Record, users: Mapping[str, str]) -> PairDecision:
    type_ = context.terms.type_of(crm.ref.object_type)
    if type_ is None:
        return rules.excluded(record, "type_off", f"{crm.ref.object_type}s are not synced.", crm=crm, peer=peer)
    bound = replace(bound_of(context, work, record.ref.id), asked=work.asked.get(record.ref.id, frozenset()))
    terms = context.terms
    if bound.is_hidden:  # what is not in view comes down no more; edits of the mailbox still go up (D8)
        type_, terms = replace(type_, inbound_update=False), replace(terms, is_hidden=True)
    decision = rules.decide_pair(record, crm, peer, bound, type_, terms, users)
    if rules.goes_by_time(decision) and crm.updated_by and crm.version != bound.crm_version:
        own = getattr(context.crm.connector, "own_user_id", "")  # another pass of ours, or another mailbox's, may have written it
        decision = rules.decide_pair(record, crm, peer, bound, type_, replace(terms, own_user=own), users)
    told = work.followed.get(record.ref.id, "") or (returned.SENTENCE if record.ref.id in work.returned else "")
    return replace(decision, sentence=f"{told} {decision.sentence}".strip()) if told else decision


def _both_sides(
    context: RunContext, work: PairWork, records: Sequence[Record], *, is_followed: bool = False
) -> tuple[dict[str, Record], dict[str, Record]]:
    """Returns both records of each pair by the id of the one that is looked at; what is gone is left out."""
    crm: dict[str, Record] = {}
    peer: dict[str, Record] = {}
    by_type: dict[str, dict[str, str]] = {}  # object type -> CRM id -> id of the record looked at
    peer_ids: dict[str, str] = {}
    for record in records:
        id_, binding = record.ref.id, work.bindings[record.ref.id]
        if work.side == "crm" and not is_followed:
            crm[id_] = record
        else:
            by_type.setdefault(binding.crm_type, {})[binding.crm_id] = id_
        if work.side == "peer":
            peer[id_] = record
        else:
            peer_ids[binding.peer_id] = id_
    for object_type, ids in by_type.items():
        found = pair_reads.read(context, "crm", object_type, ids)
        crm.update({ids[i]: r for i, r in found.items() if not r.is_deleted and r.succeeded_by is None})
    found = pair_reads.read(context, "peer", context.terms.kind.peer_object, peer_ids)
    peer.update({peer_ids[i]: r for i, r in found.items() if r.fields.get(PLACE, INSIDE) == INSIDE})
    return crm, peer


def _follow(context: RunContext, work: PairWork, records: Sequence[Record]) -> None:
    """Asks what became of the CRM's records that are gone, and lets their bindings follow."""
    by_type: dict[str, dict[str, Record]] = {}
    for record in records:
        binding = work.bindings[record.ref.id]
        by_type.setdefault(binding.crm_type, {})[binding.crm_id] = record
    for object_type, some in by_type.items():
        survivors = context.crm.connector.survivors(object_type, list(some))
        taken = pair_reads.holders(context, "crm", [s.ref.id for s in survivors.values() if s.ref is not None])
        for crm_id, record in some.items():
            _follow_one(context, work, record, survivors[crm_id], taken)


def _follow_one(context: RunContext, work: PairWork, record: Record, survivor, taken: dict[str, str]) -> None:
    binding, ref = work.bindings[record.ref.id], survivor.ref
    was = f"{binding.crm_type} {binding.crm_id}"
    if survivor.fate is Fate.UNKNOWN:
        return  # no trace: nothing is concluded from what we may not see
    if ref is None:
        work.decide(rules.excluded(record, "deleted", f"{was} was deleted in {context.terms.crm_name}; the {binding.peer_type} stays."))
        return
    if ref.id == binding.crm_id:
        return
    word = "converted to" if survivor.fate is Fate.CONVERTED else "merged into"
    told = f"{was} was {word} {ref.object_type} {ref.id}"
    holder = taken.get(ref.id, "")
    if holder and holder != binding.peer_id:
        sentence = f"{told}, which is linked to {binding.peer_type} {holder}."
        opening = (
            CaseOpening("remap", "merged", sentence, "Choose which of the two belongs to it.") if context.terms.allows_choice else None
        )
        outcome = Outcome.DUPLICATE if opening else Outcome.EXCLUDED
        work.decide(PairDecision(record, outcome, "merged_elsewhere", sentence, case=opening, kept_on=ref.id, peer_id=binding.peer_id))
        return
    old, new = context.terms.type_of(binding.crm_type), context.terms.type_of(ref.object_type)
    if new is not None and old is not None and new is not old:
        binding.crm_base = pair_bases.translated(binding.crm_base, old.mapping, new.mapping)
    binding.crm_type, binding.crm_id = ref.object_type, ref.id
    taken[ref.id] = binding.peer_id
    work.followed[record.ref.id] = f"{told}; the link follows."


def tell_twins(work: PairWork) -> None:
    for id_, first in work.twins.items():
        sentence = f"Record {first} has the same key and comes first; this one is looked at after it."
        work.decide(PairDecision(work.records[id_], Outcome.HELD, "twin", sentence))

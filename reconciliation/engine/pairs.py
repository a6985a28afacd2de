"""Carries one page of a two-way pass: what is known, what is asked, what is decided, what is written.

The decisions are `passes.pairs`; here is only their order. A page ends with an outcome for every record, also when the
connection fails in the middle. Called by sweeps of either side, by imports, and for records that are owed a second look.
"""

from __future__ import annotations

import traceback
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import replace

from django.db import transaction

from connectors.contract import Fate, Record, Ref
from connectors.errors import (
    ConnectorError,
    MappingError,
    RecordGone,
    StaleVersion,
    TakenForDuplicate,
)
from connectors.mailboxes import FOLDER_GONE, INSIDE, PLACE
from reconciliation.core.ledger import Outcome
from reconciliation.core.mailbox_settings import REMOVE
from reconciliation.core.operations import CaseOpening, Intent
from reconciliation.engine import (
    conflicts,
    conversions,
    mailbox_ends,
    mailbox_meetings,
    other_crm,
    pair_bases,
    pair_brakes,
    pair_cases,
    pair_differences,
    pair_previews,
    pair_reads,
    pair_trouble,
    returned,
    search_index,
    strikes,
    tombstones,
)
from reconciliation.engine.context import RunContext
from reconciliation.engine.executor import Done
from reconciliation.engine.pair_work import PairWork
from reconciliation.models import Binding, Operation, Run, Tombstone
from reconciliation.passes import contacts
from reconciliation.passes import pairs as rules
from reconciliation.passes.pairs import Look, Meeting, PairDecision

Plan = tuple[PairDecision, Intent]
MOST_TRIES = 5  # a pair that is changed while we write it is read and merged again (engine-rules 31)
GONE = {"deleted": Tombstone.Why.GONE, "counterpart_gone": Tombstone.Why.PEER, "merged_elsewhere": Tombstone.Why.MERGED}


def process_page(
    context: RunContext, side: str, records: Sequence[Record], planned: Mapping[str, Sequence[Operation]] | None = None
) -> dict[str, PairDecision]:
    """Brings each record of one side to its outcome and returns the decisions by record id.

    With `planned` only what that plan says is done, the rest is refused; a preview stores the plan and writes nothing
    remote. Raises ConnectionTrouble, LeaseLost or WritesStopped; every record is accounted for then too, as held."""
    if not records:
        return {}
    work = PairWork(side, {r.ref.id: r for r in records})
    context.ledger.seen += len(work.records)
    is_by_staff = context.run.kind == Run.Kind.STAFF  # an import: what a person chose from a preview is no flood of a sweep
    try:
        _decide(context, work, list(work.records.values()))
        if planned is not None:
            pair_previews.refuse_changed(context, work, planned)
        if context.is_preview:
            _tell_twins(work)
            pair_previews.store_plan(context, work)
            return work.decisions
        if planned is None and not is_by_staff:
            pair_brakes.look_at(context, work)
        _carry_out(context, work, list(work.decisions))
        if planned is None:
            _try_again(context, work)
        else:
            _end_changed(work)
        pair_trouble.look_at(context, work)
        _open_cases(context, work)
    except BaseException:
        _hold_undone(work)
        raise
    finally:
        for id_, record in work.records.items():
            if id_ not in work.decisions:
                work.decide(_interrupted(record))
        if not context.is_preview and not is_by_staff:
            pair_brakes.remember(context, work)
        context.write_events(_event(context, work, d) for d in work.decisions.values() if context.count(d))
        if not context.is_preview:
            pair_trouble.owe(context, work)
            search_index.note_pairs(context, work)
    return work.decisions


def _interrupted(record: Record) -> PairDecision:
    return PairDecision(record, Outcome.HELD, "interrupted", "The run was interrupted before this record was done.")


def _hold_undone(work: PairWork) -> None:
    """What was decided but not carried out is held: the ledger counts what happened, not what was meant."""
    for id_, decision in list(work.decisions.items()):
        if decision.is_act and id_ not in work.done:
            work.decide(_interrupted(decision.record))


def _event(context: RunContext, work: PairWork, decision: PairDecision) -> tuple[PairDecision, str, str, str, int | None]:
    """Returns what an event is filed under: both records as far as they are known, and the last write."""
    id_ = decision.record.ref.id
    binding, operations = work.bindings.get(id_), work.operations.get(id_, [])
    crm = decision.crm.ref if decision.crm is not None else None
    peer = decision.peer.ref if decision.peer is not None else None
    if binding is not None:
        crm = crm or Ref(context.crm.connector.system, binding.crm_type, binding.crm_id)
        peer = peer or Ref(context.peer.connector.system, binding.peer_type, binding.peer_id)
    elif decision.peer_id and peer is None:
        peer = Ref(context.peer.connector.system, context.terms.kind.peer_object, decision.peer_id)
    about = crm or decision.record.ref
    name = context.terms.kind.name_of(decision.record) if decision.record.fields else (binding.name if binding is not None else "")
    other = str(peer) if peer is not None and peer != about else ""
    return decision, str(about), name, other, operations[-1].pk if operations else None


# --- deciding -------------------------------------------------------------------------------------------------------


def _decide(context: RunContext, work: PairWork, records: Sequence[Record]) -> None:
    terms, side = context.terms, work.side
    if terms.kind.is_mailbox and side == "peer":  # what waited for a second look may have been taken out of the folder since
        records = [mailbox_ends.as_it_lies(r) for r in records]
    in_doubt = pair_reads.creates_in_doubt(context, records)
    waiting = pair_cases.waiting(context, side, records)
    free = [r for r in records if r.ref.id not in in_doubt and r.ref.id not in waiting]
    echoes = pair_reads.echoes_among(context, side, free)
    for decision in echoes.values():
        work.decide(decision)
    rest = [r for r in records if r.ref.id not in echoes]
    work.bindings.update(pair_reads.bindings_of(context, side, rest))
    if terms.kind.is_mailbox:
        mailbox_ends.forget_what_comes_back(context, work, rest)
    else:
        returned.revive(context, work, rest)
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
        look, decision = rules.first_look(record, side, _bound(context, work, id_), _type_of(context, work, record), terms)
        if id_ in work.returned:
            looks[Look.PAIR].append(record)
        elif decision is not None:
            work.decide(decision)
        else:
            looks[look].append(record)
    if terms.kind.is_mailbox and side == "peer":
        mailbox_ends.decide_gone(context, work, looks[Look.FOLLOW])
        looks[Look.FOLLOW] = []
    _decide_pairs(context, work, looks[Look.PAIR], looks[Look.FOLLOW])
    _decide_meetings(context, work, [r for r in looks[Look.MEET] if not _is_followed_to(work, r)])
    if terms.kind.is_mailbox:
        ids = [r.ref.id for r in records]
        mailbox_ends.turn_into_removals(context, work, ids)
        if side == "crm" and terms.out_of_view == REMOVE:
            mailbox_ends.remove_hidden(context, work, ids)
        mailbox_meetings.look_at_rights(context, work, ids)


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


def _bound(context: RunContext, work: PairWork, id_: str) -> rules.Bound | None:
    binding = work.bindings.get(id_)
    return pair_bases.bound_of(binding, context.crm.connector.system) if binding is not None else None


def _type_of(context: RunContext, work: PairWork, record: Record) -> rules.TypeTerms | None:
    binding = work.bindings.get(record.ref.id)
    name = record.ref.object_type if work.side == "crm" else binding.crm_type if binding is not None else ""
    return context.terms.type_of(name)


def _decide_pairs(context: RunContext, work: PairWork, records: Sequence[Record], gone: Sequence[Record]) -> None:
    """Reads the counterparts of bound records afresh (S3.3, S3.4) and decides; what was merged, converted or deleted in
    the CRM is followed first (C16, C17)."""
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
            sentence = "Its item is not in the folder just now; the mailbox's list of changes tells why."
            work.decide(PairDecision(record, Outcome.HELD, contacts.ITEM_GONE, sentence, crm=crm[id_]))
        elif id_ not in peer:
            what = f"{context.terms.kind.peer_object.capitalize()} {work.bindings[id_].peer_id}"
            sentence = f"{what} is not there any more; nothing was deleted here."
            work.decide(rules.excluded(record, "counterpart_gone", sentence, crm=crm[id_]))
        else:
            _guarded(context, work, record, lambda r=record: _pair(context, work, r, crm[r.ref.id], peer[r.ref.id], users))


def _pair(context: RunContext, work: PairWork, record: Record, crm: Record, peer: Record, users: Mapping[str, str]) -> PairDecision:
    type_ = context.terms.type_of(crm.ref.object_type)
    if type_ is None:
        return rules.excluded(record, "type_off", f"{crm.ref.object_type}s are not synced.", crm=crm, peer=peer)
    bound = replace(_bound(context, work, record.ref.id), asked=work.asked.get(record.ref.id, frozenset()))
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


def _decide_meetings(context: RunContext, work: PairWork, records: Sequence[Record]) -> None:
    if not records:
        return
    terms, switches = context.terms, context.wiring.switches
    other = "peer" if work.side == "crm" else "crm"
    work.searched_at = pair_reads.end_of_journal(), context.wiring.now()
    keys = {r.ref.id: terms.kind.keys(r) for r in records}
    types = [terms.kind.peer_object] if other == "peer" else [t.crm_object for t in terms.types]
    written = (text for r in records for text in terms.kind.spellings(r))
    is_shown = terms.kind.is_mailbox and work.side == "crm"  # each contact in view stands for itself: the folder holds it once
    found = [] if is_shown else pair_reads.by_keys(context, other, types, (k for some in keys.values() for k in some), written)
    found += _pointed_at(context, records, found) if other == "crm" else []
    by_key: dict[str, list[Record]] = {}
    for record in found:
        for key in terms.kind.keys(record):
            by_key.setdefault(key, []).append(record)
    holders = pair_reads.holders(context, other, [r.ref.id for r in found])
    if other == "crm":  # links of this page that just followed to one of them are not stored yet
        holders |= {work.bindings[id_].crm_id: work.bindings[id_].peer_id for id_ in work.followed}
    refusals = pair_cases.refusals(context, records if work.side == "peer" else found)
    flying = pair_reads.in_flight(context, other, (k for some in keys.values() for k in some))
    unanswered = pair_reads.in_flight(context, work.side, (k for some in keys.values() for k in some))
    sides = (records, found) if work.side == "crm" else (found, records)
    users = pair_reads.user_pairs(context, *sides)
    first_with: dict[str, str] = {}
    accounts = mailbox_meetings.accounts_of(context, records) if terms.kind.is_mailbox and work.side == "peer" else {}
    asked = pair_cases.asked_about(context, [r.ref.id for r in records]) if is_shown else {}
    shown = context.view.shown(records) if is_shown and context.view is not None else None
    hidden = mailbox_meetings.hidden_of(context, found) if terms.kind.is_mailbox and work.side == "peer" else frozenset()
    for record in records:
        id_ = record.ref.id
        busy = [flying[k] for k in keys[id_] if k in flying and flying[k] != str(record.ref)]
        busy += [k for k in keys[id_] if k in unanswered]  # it may be what we made just now, and nobody told us
        earlier = [first_with[k] for k in keys[id_] if k in first_with]
        if busy and not switches.ignores_twins and not is_shown:
            work.decide(PairDecision(record, Outcome.HELD, "twin_in_doubt", "A record with the same key may just have been made."))
            continue
        if earlier and not switches.ignores_twins and not is_shown:
            work.twins[id_] = earlier[0]
            continue
        mine = list({r.ref.id: r for key in keys[id_] for r in by_key.get(key, [])}.values())
        mine += [r for r in found if r.ref.id == terms.kind.pointer_of(record) and r not in mine] if other == "crm" else []
        free = [r for r in mine if r.ref.id not in holders]
        no = {r.ref.id: said for r in free if (said := refusals.of(record, r))}
        meeting = Meeting(tuple(r for r in mine if r.ref.id not in no), holders, no, hidden=hidden)
        if id_ in accounts:
            meeting = replace(meeting, account_id=accounts[id_].id, account_why=accounts[id_].why, personal=refusals.personal(record))
        if shown is not None and id_ not in shown:
            work.decide(rules.excluded(record, "not_in_view", "It is not in the view that the mailbox shows.", crm=record))
            continue
        if id_ in asked:
            sentence = "An item of the folder may be this contact: a person is asked. It is not made there before that."
            work.decide(rules.excluded(record, rules.ASKED, sentence, crm=record, kept_on=asked[id_]))
            continue
        _guarded(context, work, record, lambda r=record, m=meeting: _meet(context, work, r, m, users))
        decision = work.decisions[id_]
        if decision.outcome is Outcome.CREATED or decision.is_link:
            first_with.update(dict.fromkeys(keys[id_], id_))
        if decision.is_link:
            target = decision.peer if work.side == "crm" else decision.crm
            holders[target.ref.id] = id_
    other_crm.leave_out(context, work, [r for r in records if r.ref.id in work.decisions])
    conversions.hold_new(context, work, [r for r in records if r.ref.id in work.decisions])


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


def _guarded(context: RunContext, work: PairWork, record: Record, decide: Callable[[], PairDecision]) -> None:
    """Decides one record; whatever goes wrong with it becomes its error case, and the pass goes on."""
    try:
        work.decide(decide())
    except ConnectorError:
        raise
    except Exception as error:  # one bad record never stops a pass; the traceback goes with the case
        sentence = f"This record could not be worked out ({type(error).__name__})."
        opening = CaseOpening("error", "internal", sentence, "Send the case to support, then press Retry.")
        decision = PairDecision(record, Outcome.FAILED, "internal", sentence, case=opening)
        if not context.is_preview:
            pair_cases.open_case(context, work, decision, trace=traceback.format_exc())
        work.decide(decision)


def _tell_twins(work: PairWork) -> None:
    for id_, first in work.twins.items():
        sentence = f"Record {first} has the same key and comes first; this one is looked at after it."
        work.decide(PairDecision(work.records[id_], Outcome.HELD, "twin", sentence))


# --- carrying out ---------------------------------------------------------------------------------------------------


def _carry_out(context: RunContext, work: PairWork, ids: Collection[str]) -> None:
    """Stores what needs no write, then writes: the CRM first, since it tells when somebody was faster than we."""
    chosen = [work.decisions[i] for i in ids if i in work.decisions]
    with transaction.atomic():
        context.lease.renew()
        _store_quiet(context, work, chosen)
    for decision in chosen:
        work.unwritten[decision.record.ref.id] = len(decision.intents)
    batches: dict[tuple[str, int, str], list[Plan]] = {}
    for decision in [work.decisions[d.record.ref.id] for d in chosen]:  # as they are now: a link may have been refused
        for intent in decision.intents:
            batches.setdefault((intent.side, intent.kind == "create", intent.object_type), []).append((decision, intent))
    for key in sorted(batches):
        _send(context, work, key[0], [pair for pair in batches[key] if pair[0].record.ref.id not in work.again])
    _point(context, work, [d for d in chosen if d.outcome is Outcome.CREATED])


def _store_quiet(context: RunContext, work: PairWork, decisions: Sequence[PairDecision]) -> None:
    """Stores links, bases of fields that want no write, links that end, and conflicts."""
    new: list[Binding] = []
    known: list[Binding] = []
    followed: list[Ref] = []
    moved: list[Ref] = []  # out of the view of the mailbox, or into it, by the link that just reached them
    taken = _held_elsewhere(context, decisions)
    for decision in decisions:
        id_ = decision.record.ref.id
        binding = work.bindings.get(id_)
        if context.terms.kind.is_mailbox and binding is not None and not binding.is_tombstone and _ends_at_once(decision):
            mailbox_ends.end(context, binding, decision)
        elif decision.reason in GONE and binding is not None and not binding.is_tombstone:
            tombstones.end_link(context, binding, GONE[decision.reason], decision.record if decision.record.is_deleted else None)
        elif decision.is_link and (holder := taken.get(decision.peer.ref.id)):
            _refuse_link(work, decision, holder)
        elif decision.is_link:
            work.bindings[id_] = _linked(context, decision)
            new.append(work.bindings[id_])
            if mailbox_ends.note_view(context, work.bindings[id_], decision.crm):
                moved.append(decision.crm.ref)
        elif binding is not None and decision.reason == "conditions" and decision.peer is not None:
            binding.is_retry_due = True  # what was edited there waits until the conditions are met: no cursor brings it back
            known.append(binding)
        elif binding is not None and not binding.is_tombstone and decision.merge is not None:
            early = context.wiring.switches.moves_bases_before_write
            agreed = decision.type.mapping.rules if early else pair_bases.agreed_rules(decision)
            pair_bases.agree(binding, agreed, decision.crm.fields, decision.peer.fields)
            pair_bases.seen(context, binding, decision.type, decision.crm, decision.peer, is_carried_out=not decision.intents)
            binding.owner_text, binding.is_without_owner = decision.unmatched_owner[:255], bool(decision.unmatched_owner)
            if context.terms.kind.is_mailbox:  # no base tells that a category is still owed, should the write get no answer
                binding.is_retry_due = bool(decision.intents)
            if id_ in work.followed:
                pair_bases.make_room(context, binding)
                binding.is_write_back_due, binding.owed_since = True, context.wiring.now()
                if decision.intents:
                    followed.append(decision.crm.ref)
                if mailbox_ends.note_view(context, binding, decision.crm):
                    moved.append(decision.crm.ref)
            known.append(binding)
        if not decision.intents and id_ not in work.twins:
            work.done.add(id_)
    pair_bases.save_new(new)
    pair_bases.save_known(known)
    returned.note(context, work, known)
    # The record that was followed leads to its link no more: whoever dies before the write would leave the pair to nobody.
    pair_trouble.look_again(context, "crm", followed, "followed")
    pair_trouble.look_again(context, "crm", moved, "view")
    conflicts.note(context, work, decisions)
    pair_differences.note(context, work, decisions)


def _ends_at_once(decision: PairDecision) -> bool:
    """Tells whether a link of a mailbox ends without a write of ours."""
    return decision.outcome is Outcome.EXCLUDED and (decision.reason in mailbox_ends.WHY or decision.reason == "deleted")


def _held_elsewhere(context: RunContext, decisions: Sequence[PairDecision]) -> dict[str, str]:
    """Returns id of a peer's record that is to be linked -> the other record of the CRM that it is bound to by now."""
    links = {d.peer.ref.id: d.crm.ref.id for d in decisions if d.is_link}
    bound = pair_reads.holders(context, "peer", links) if links else {}
    return {peer_id: crm_id for peer_id, crm_id in bound.items() if links[peer_id] != crm_id}


def _refuse_link(work: PairWork, decision: PairDecision, holder: str) -> None:
    """No link is ever taken from another record by a pass (I3), whatever made the decision plan it."""
    sentence = f"{decision.peer.ref.object_type.capitalize()} {decision.peer.ref.id} is linked to {holder}; nothing was changed."
    work.decide(replace(_failed(decision, "held_elsewhere", sentence, "Find matches shows both."), intents=(), is_link=False))


def _linked(context: RunContext, decision: PairDecision) -> Binding:
    is_due = any(i.side == "peer" and set(i.after) & set(context.terms.kind.pointer(decision.crm.ref)) for i in decision.intents)
    binding = pair_bases.new_binding(context, decision.type, decision.crm, decision.peer, how=rules.LINKED, is_pointer_due=is_due)
    pair_bases.agree(binding, pair_bases.agreed_rules(decision), decision.crm.fields, decision.peer.fields)
    pair_bases.seen(context, binding, decision.type, decision.crm, decision.peer)
    binding.owner_text, binding.is_without_owner = decision.unmatched_owner[:255], bool(decision.unmatched_owner)
    return binding


def _send(context: RunContext, work: PairWork, side: str, plans: Sequence[Plan]) -> None:
    operations = context.executor.intend([_broken_on_purpose(context, intent) for _, intent in plans])
    if side == "crm" and plans and plans[0][1].kind == "create" and work.searched_at is not None:
        plans, operations = _yield_to_others(context, work, plans, operations)
    ready = []
    for (decision, _), operation in zip(plans, operations, strict=True):
        id_ = decision.record.ref.id
        if operation is None:
            work.decide(
                replace(decision, outcome=Outcome.HELD, reason="other_writer", sentence="Somebody else is writing this record just now.")
            )
            continue
        work.operations.setdefault(id_, []).append(operation)
        work.owner_of[(side, operation.object_type, operation.writer_key)] = id_
        ready.append(operation)
    plan_of = {decision.record.ref.id: decision for decision, _ in plans}
    context.executor.send(side, ready, lambda done: _settle(context, work, side, plan_of, done))


def _yield_to_others(
    context: RunContext, work: PairWork, plans: Sequence[Plan], operations: Sequence[Operation | None]
) -> tuple[list[Plan], list[Operation | None]]:
    """Takes back creates of records that another pass, of another mailbox above all, began to make since this one searched: the
    journal shows both, whoever was first. What it made is found when the record is decided again; what nobody knows of yet waits."""
    made = pair_reads.made_meanwhile(context, [op.name_key for op in operations if op is not None and op.name_key], work.searched_at)
    late = [(plan, op) for plan, op in zip(plans, operations, strict=True) if op is not None and op.name_key in made]
    context.executor.withdraw([op for _, op in late])
    for (decision, _), op in late:
        if made[op.name_key]:
            work.again.add(decision.record.ref.id)
        else:
            sentence = "A record with the same key is being made by another pass; the next run finds it."
            work.decide(replace(decision, outcome=Outcome.HELD, reason="twin_in_doubt", sentence=sentence, intents=()))
    left = [(plan, op) for plan, op in zip(plans, operations, strict=True) if op is None or op.name_key not in made]
    return [plan for plan, _ in left], [op for _, op in left]


def _broken_on_purpose(context: RunContext, intent: Intent) -> Intent:
    switches = context.wiring.switches
    intent = replace(intent, version="") if switches.writes_without_compare else intent
    return replace(intent, losers={}) if switches.keeps_no_losers else intent


def _settle(context: RunContext, work: PairWork, side: str, plan_of: Mapping[str, PairDecision], done: list[Done]) -> None:
    """Turns what became of the writes into bases and outcomes, in the wave's transaction."""
    known, new = [], []
    for item in done:
        op = item.operation
        id_ = work.owner_of[(side, op.object_type, op.writer_key)]
        plan = plan_of[id_]
        if op.kind == Operation.Kind.DELETE and (item.error is None or isinstance(item.error, RecordGone)):
            mailbox_ends.end(context, work.bindings[id_], plan)
            work.done.add(id_)
        elif item.error is None and item.record is not None:
            if op.kind == Operation.Kind.CREATE:
                work.bindings[id_] = _made(context, plan, side, item.record)
                new.append(work.bindings[id_])
                work.decide(replace(plan, **{side: item.record}))
            else:
                work.unwritten[id_] -= 1
                _changed(context, work.bindings[id_], plan, side, op, item.record, is_carried_out=not work.unwritten[id_])
                if work.bindings[id_].is_out_of_view and (plan.is_link or id_ in work.followed):
                    work.bindings[id_].is_retry_due = True  # it was noted with the link; its category is still owed
                known.append(work.bindings[id_])
            work.done.add(id_)
        else:
            _not_done(context, work, plan, item)
    pair_bases.save_new(new)
    pair_bases.save_known(known)
    # A default of the system, an owner above all, is nobody's edit: it is listed, and does not go across.
    pair_differences.note_made(context, work, new)


def _made(context: RunContext, plan: PairDecision, side: str, record: Record) -> Binding:
    """Returns the binding of a record that was just made; a CRM record's id is still owed to the peer's."""
    intent = plan.intents[0]
    made = replace(record, fields={**intent.after, **record.fields})
    crm, peer = (made, plan.peer) if side == "crm" else (plan.crm, made)
    is_due = side == "crm" and not context.wiring.switches.forgets_owed_write_back
    binding = pair_bases.new_binding(context, plan.type, crm, peer, how=rules.CREATED, is_pointer_due=is_due)
    pair_bases.agree(binding, plan.type.mapping.rules, crm.fields, peer.fields)
    pair_bases.seen(context, binding, plan.type, crm, peer)
    if side == "crm" and context.terms.kind.is_mailbox:
        pair_bases.note_missing(context, binding, crm, asked=(contacts.ACCOUNT, "Email"))
    return binding


def _changed(
    context: RunContext, binding: Binding, plan: PairDecision, side: str, op: Operation, record: Record, *, is_carried_out: bool
) -> None:
    """Moves the bases of the fields that were written: to what the side answered, unless a person was there in between,
    whose edit the next look must find (engine-rules 30)."""
    writes = plan.merge.to_crm if side == "crm" else plan.merge.to_peer
    intent = next(i for i in plan.intents if i.side == side and i.target_id == op.target_id)
    answered = pair_bases.answered(context, side, intent.after, record) or {}
    target, source = (plan.crm, plan.peer) if side == "crm" else (plan.peer, plan.crm)
    now = {**target.fields, **intent.after, **answered}
    crm, peer = (now, source.fields) if side == "crm" else (source.fields, now)
    pair_bases.agree(binding, [w.rule for name, w in writes.items() if name in intent.after], crm, peer)
    if side == "peer" and set(intent.after) & set(context.terms.kind.pointer(plan.crm.ref)):
        binding.is_write_back_due, binding.owed_since = False, None
    crm_seen, peer_seen = (record, None) if side == "crm" else (None, record)
    pair_bases.seen(context, binding, plan.type, crm_seen, peer_seen, is_carried_out=is_carried_out)
    binding.is_retry_due = context.terms.kind.is_mailbox and not is_carried_out


def _not_done(context: RunContext, work: PairWork, plan: PairDecision, item: Done) -> None:
    id_, error = plan.record.ref.id, item.error
    is_repeat = id_ in work.tried
    if isinstance(error, RecordGone) and error.code == FOLDER_GONE:
        mailbox_ends.forget_folder(context)
        sentence = "The mailbox's folder is gone; the next run makes it again, and this contact in it."
        work.decide(replace(plan, outcome=Outcome.HELD, reason="folder_gone", sentence=sentence, case=None))
        return
    if isinstance(error, StaleVersion | RecordGone) or (isinstance(error, TakenForDuplicate) and not error.refs and not is_repeat):
        work.again.add(id_)
        return
    if isinstance(error, MappingError):
        work.mapping_errors[id_] = error
    elif isinstance(error, ConnectorError) and error.scope == "record":
        work.refusals[id_] = error
    work.decide(_why_not(context, plan, item))


def _why_not(context: RunContext, plan: PairDecision, item: Done) -> PairDecision:
    """Returns the outcome of a record whose write did not go through."""
    error, held = item.error, replace(plan, outcome=Outcome.HELD, case=None)
    if item.is_alone:
        count = strikes.count(context.sync_pass, item.operation, plan.record.ref.id)
        if count < strikes.MOST:
            return replace(held, reason="alone", sentence=f"{error}, for this record alone ({count} of {strikes.MOST}); it is tried again.")
        sentence = f"{error}, in {count} runs, while other records went through."
        return _failed(plan, "alone", sentence, "Look at its values, correct them, then press Retry.")
    if item.is_in_doubt:
        return replace(held, reason="in_doubt", sentence=f"No answer ({error}); that is looked into before anything is sent twice.")
    if isinstance(error, MappingError):
        return replace(held, reason="mapping", sentence=error.sentence)
    if isinstance(error, TakenForDuplicate):
        named = ", ".join(f"{r.object_type} {r.id}" for r in error.refs[:5])
        return _failed(plan, "duplicate_rule", f"{error.sentence}{f': {named}' if named else ''}", error.remedy)
    if isinstance(error, ConnectorError) and error.scope == "record":
        refused = "refused" if error.system == context.peer.connector.system else "refused_crm"
        return _failed(plan, "excluded" if "excluded email" in error.detail else refused, error.sentence, error.remedy)
    return replace(held, reason="interrupted", sentence=str(error))


def _failed(plan: PairDecision, reason: str, sentence: str, remedy: str) -> PairDecision:
    return replace(plan, outcome=Outcome.FAILED, reason=reason, sentence=sentence, case=CaseOpening("error", reason, sentence, remedy))


def _try_again(context: RunContext, work: PairWork) -> None:
    """Reads and decides anew what somebody changed while we wrote, and what waited for a twin of its page. Bounded."""
    waiting = work.again | set(work.twins)
    work.again, work.twins = set(), {}
    for _ in range(MOST_TRIES):
        if not waiting:
            return
        work.tried |= waiting
        fresh = _read_again(context, work, waiting)
        for id_ in waiting:
            work.decisions.pop(id_, None)
        gone = waiting - fresh.keys()
        for id_ in gone:
            work.decide(rules.excluded(work.records[id_], "vanished", "It was deleted while it was looked at."))
        _decide(context, work, list(fresh.values()))
        _carry_out(context, work, list(fresh))
        waiting = work.again | set(work.twins)
        work.again, work.twins = set(), {}
    for id_ in waiting:
        sentence = f"It was changed again and again while it was written ({MOST_TRIES} tries); the next run takes it up."
        work.decide(PairDecision(work.records[id_], Outcome.HELD, "changes_fast", sentence))


def _end_changed(work: PairWork) -> None:
    """Ends the records of an applied plan that somebody changed while they were written: what would be written now was
    shown to nobody (C35)."""
    for id_ in work.again | set(work.twins):
        sentence = "Refused: the record was edited while the plan was carried out."
        work.decide(rules.excluded(work.records[id_], "changed_meanwhile", sentence))
        work.done.add(id_)
    work.again, work.twins = set(), {}


def _read_again(context: RunContext, work: PairWork, ids: Collection[str]) -> dict[str, Record]:
    by_type: dict[str, list[str]] = {}
    for id_ in ids:
        by_type.setdefault(work.records[id_].ref.object_type, []).append(id_)
    found: dict[str, Record] = {}
    for object_type, some in by_type.items():
        found.update(pair_reads.read(context, work.side, object_type, some))
    return found


def _point(context: RunContext, work: PairWork, created: Sequence[PairDecision]) -> None:
    """Tells the peer's records which CRM records were just made for them."""
    owed = []
    for decision in created:
        binding = work.bindings.get(decision.record.ref.id)
        now = work.decisions[decision.record.ref.id]
        if binding is not None and binding.is_write_back_due and now.crm is not None and now.peer is not None:
            owed.append((binding, now.crm.ref, now.peer))
    pair_trouble.write_pointers(context, owed)


def _open_cases(context: RunContext, work: PairWork) -> None:
    settled = pair_cases.settled_by_staff(context, work)
    for id_, decision in work.decisions.items():
        if id_ in settled:
            work.done.add(id_)
        elif decision.case is not None and decision.reason != "internal":
            operations = work.operations.get(id_, [])
            pair_cases.open_case(context, work, decision, exchange=operations[-1].exchange if operations else {})
            work.done.add(id_)
    pair_cases.close_solved(context, work)

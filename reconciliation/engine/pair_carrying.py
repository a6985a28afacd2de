"""Carries out what was decided for a page of a two-way pass: links and bases first, then the writes, the CRM's before the
peer's, and what becomes of each."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace

from django.db import transaction

from connectors.contract import Record, Ref
from connectors.errors import (
    ConnectorError,
    MappingError,
    RecordGone,
    StaleVersion,
    TakenForDuplicate,
)
from connectors.mailboxes import FOLDER_GONE
from reconciliation.core.ledger import Outcome
from reconciliation.core.operations import CaseOpening, Intent
from reconciliation.core.values import is_same
from reconciliation.engine import (
    conflicts,
    mailbox_ends,
    pair_bases,
    pair_differences,
    pair_reads,
    pair_trouble,
    returned,
    strikes,
    tombstones,
)
from reconciliation.engine.context import RunContext
from reconciliation.engine.executor import Done
from reconciliation.engine.pair_work import PairWork
from reconciliation.engine.tombstones import Ending
from reconciliation.models import Binding, Operation, Tombstone
from reconciliation.passes import contacts, items
from reconciliation.passes import pairs as rules
from reconciliation.passes.pairs import PairDecision
from reconciliation.store import decode_fields

Plan = tuple[PairDecision, Intent]
GONE = {"deleted": Tombstone.Why.GONE, "counterpart_gone": Tombstone.Why.PEER, "merged_elsewhere": Tombstone.Why.MERGED}


def carry_out(context: RunContext, work: PairWork, ids: Collection[str]) -> None:
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
    handed: dict[str, list[Ref]] = {"crm": [], "peer": []}  # linked anew, and by now other than what was agreed in the link before
    moved: list[Ref] = []  # out of the view of the mailbox, or into it, by the link that just reached them
    ended: list[Ending] = []
    ended_here: list[Ending] = []  # links of a mailbox
    taken = _held_elsewhere(context, decisions)
    for decision in decisions:
        id_ = decision.record.ref.id
        binding = work.bindings.get(id_)
        if context.terms.kind.is_mailbox and binding is not None and not binding.is_tombstone and _ends_at_once(decision):
            ended_here.append(mailbox_ends.ending_of(binding, decision))
        elif decision.reason in GONE and binding is not None and not binding.is_tombstone:
            ended.append(Ending(binding, GONE[decision.reason], decision.record if decision.record.is_deleted else None))
        elif decision.is_link and (holder := taken.get(decision.peer.ref.id)):
            _refuse_link(work, decision, holder)
        elif decision.is_link:
            work.bindings[id_] = _linked(context, work, decision)
            new.append(work.bindings[id_])
            if id_ in work.left and (side := _changed_since(work.left[id_], decision)):
                handed[side].append(decision.crm.ref if side == "crm" else decision.peer.ref)
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
    tombstones.end_links(context, ended)
    mailbox_ends.end(context, ended_here)
    pair_bases.save_new(new)
    pair_bases.save_known(known)
    returned.note(context, work, known)
    # The record that was followed leads to its link no more: whoever dies before the write would leave the pair to nobody.
    pair_trouble.look_again(context, "crm", followed, "followed")
    pair_trouble.look_again(context, "crm", moved, "view")
    for side, refs in handed.items():
        pair_trouble.look_again(context, side, refs, pair_trouble.HANDED)
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


def _linked(context: RunContext, work: PairWork, decision: PairDecision) -> Binding:
    is_due = any(i.side == "peer" and set(i.after) & set(context.terms.kind.pointer(decision.crm.ref)) for i in decision.intents)
    binding = pair_bases.new_binding(context, decision.type, decision.crm, decision.peer, how=rules.LINKED, is_pointer_due=is_due)
    left = work.left.get(decision.record.ref.id)
    if left is not None:  # what both sides agreed on last; an edit of the CRM that came since is carried from here, or waits here
        binding.crm_base, binding.peer_base, binding.mapping_version = left.crm_base, left.peer_base, left.mapping_version
    else:
        pair_bases.agree(binding, pair_bases.agreed_rules(decision), decision.crm.fields, decision.peer.fields)
        pair_bases.seen(context, binding, decision.type, decision.crm, decision.peer)
    binding.owner_text, binding.is_without_owner = decision.unmatched_owner[:255], bool(decision.unmatched_owner)
    return binding


def _changed_since(left: Binding, decision: PairDecision) -> str:
    """Returns a side that holds other than what was agreed in the link before, "" for none. A mapping that was changed since is for the
    next look, too."""
    for side, base, record in (("crm", left.crm_base, decision.crm), ("peer", left.peer_base, decision.peer)):
        agreed = decode_fields(base)
        if any(not is_same(agreed[name], record.fields.get(name)) for name in agreed):
            return side
    return "crm" if left.mapping_version != decision.type.mapping.version else ""


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
    known, new, ended = [], [], []
    for item in done:
        op = item.operation
        id_ = work.owner_of[(side, op.object_type, op.writer_key)]
        plan = plan_of[id_]
        if _ends_link(plan, item):
            ended.append(mailbox_ends.ending_of(work.bindings[id_], plan))
            work.done.add(id_)
        elif item.error is None and item.record is not None:
            if op.kind == Operation.Kind.CREATE:
                work.bindings[id_] = _made(context, plan, side, item.record)
                new.append(work.bindings[id_])
                work.decide(replace(plan, **{side: item.record}))
            else:
                work.unwritten[id_] -= 1
                _changed(context, work, plan, side, op, item.record, is_carried_out=not work.unwritten[id_])
                if work.bindings[id_].is_out_of_view and (plan.is_link or id_ in work.followed):
                    work.bindings[id_].is_retry_due = True  # it was noted with the link; its category is still owed
                known.append(work.bindings[id_])
            work.done.add(id_)
        else:
            _not_done(context, work, plan, item)
    mailbox_ends.end(context, ended)
    pair_bases.save_new(new)
    pair_bases.save_known(known)
    # A default of the system, an owner above all, is nobody's edit: it is listed, and does not go across.
    pair_differences.note_made(context, work, new)


def _ends_link(plan: PairDecision, item: Done) -> bool:
    if item.operation.kind == Operation.Kind.DELETE:
        return item.error is None or isinstance(item.error, RecordGone)
    return plan.reason in items.ENDS_WRITTEN and item.error is None


def _made(context: RunContext, plan: PairDecision, side: str, record: Record) -> Binding:
    """Returns the binding of a record that was just made; a CRM record's id is still owed to the peer's."""
    intent = plan.intents[0]
    made = replace(record, fields={**intent.after, **record.fields})
    crm, peer = (made, plan.peer) if side == "crm" else (plan.crm, made)
    is_due = side == "crm" and not context.wiring.switches.forgets_owed_write_back
    binding = pair_bases.new_binding(context, plan.type, crm, peer, how=rules.CREATED, is_pointer_due=is_due)
    pair_bases.agree(binding, plan.type.mapping.rules, crm.fields, peer.fields)
    pair_bases.seen(context, binding, plan.type, crm, peer)
    if side == "crm" and isinstance(context.terms, contacts.ContactTerms):
        pair_bases.note_missing(context, binding, crm, asked=(contacts.ACCOUNT, "Email"))
    return binding


def _changed(
    context: RunContext, work: PairWork, plan: PairDecision, side: str, op: Operation, record: Record, *, is_carried_out: bool
) -> None:
    """Moves the bases of the fields that were written: to what the side answered, unless a person was there in between,
    whose edit the next look must find (engine-rules 30)."""
    binding = work.bindings[plan.record.ref.id]
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
    is_inherited = plan.record.ref.id in work.left  # what was agreed in the link before is compared by the next look
    is_compared = is_carried_out and not is_inherited
    pair_bases.seen(context, binding, plan.type, crm_seen, peer_seen, is_carried_out=is_compared)
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


def _point(context: RunContext, work: PairWork, created: Sequence[PairDecision]) -> None:
    """Tells the peer's records which CRM records were just made for them."""
    owed = []
    for decision in created:
        binding = work.bindings.get(decision.record.ref.id)
        now = work.decisions[decision.record.ref.id]
        if binding is not None and binding.is_write_back_due and now.crm is not None and now.peer is not None:
            owed.append((binding, now.crm.ref, now.peer))
    pair_trouble.write_pointers(context, owed)

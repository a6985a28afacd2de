"""Links of a mailbox whose one side is gone: an item that left the folder, a contact that was deleted in the CRM, or that left
a view which says *remove*. The decisions are `passes.contacts`; here is what they need to know."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Sequence

from connectors.contract import Record, Ref
from connectors.mailboxes import BIN, INSIDE, OUTSIDE, PLACE
from reconciliation.core.ledger import Outcome
from reconciliation.core.mailbox_settings import ALLOWED
from reconciliation.engine import pair_bases, pair_reads, pair_trouble, tombstones
from reconciliation.engine.context import RunContext
from reconciliation.engine.pair_work import PairWork
from reconciliation.engine.tombstones import Ending
from reconciliation.models import Binding, Case, ConflictField, Difference, Mailbox, Tombstone
from reconciliation.passes import contacts as rules
from reconciliation.passes import items
from reconciliation.passes.contacts import Deletion, Gone
from reconciliation.passes.pairs import PairDecision

WHY = {
    rules.TAKEN_OUT: Tombstone.Why.TAKEN_OUT,
    rules.MADE_AGAIN: Tombstone.Why.MADE_AGAIN,
    rules.DELETED_THERE: Tombstone.Why.GONE,
    rules.HIDDEN: Tombstone.Why.MAILBOX,
    rules.DELETED_HERE: Tombstone.Why.MAILBOX,
    rules.REMOVED: Tombstone.Why.GONE,
    rules.LEFT_VIEW: Tombstone.Why.VIEW,
    rules.MERGED: Tombstone.Why.MERGED,
    # Of events and tasks
    items.WITHDRAWN: Tombstone.Why.PRIVATE,
    items.CANCELLED: Tombstone.Why.CANCELLED,
    items.GONE_HERE: Tombstone.Why.MAILBOX,
    items.HANDED_OVER: Tombstone.Why.HANDED,
    items.GONE_THERE: Tombstone.Why.GONE,
    items.UNMARKED: Tombstone.Why.GONE,
    items.MADE_THERE: Tombstone.Why.MADE_AGAIN,
}
PUT_BACK = (Tombstone.Why.TAKEN_OUT, Tombstone.Why.MADE_AGAIN, Tombstone.Why.MAILBOX)  # once its user puts it into the folder again
COMES_BACK = (Tombstone.Why.GONE, Tombstone.Why.MADE_AGAIN, Tombstone.Why.VIEW)  # once its contact is there and in view


def decide_gone(context: RunContext, work: PairWork, items: Sequence[Record]) -> None:
    """Decides for linked items that left the folder. Each holds PLACE as it was asked for: elsewhere, in the bin, nowhere."""
    bindings = {item.ref.id: work.bindings[item.ref.id] for item in items}
    crm_ids = [b.crm_id for b in bindings.values()]
    alive = {id_: r for id_, r in pair_reads.read(context, "crm", rules.CONTACT, crm_ids).items() if not r.is_deleted}
    others = _others(context, crm_ids) if context.terms.deletion == ALLOWED else Counter()
    for item in items:
        binding = bindings[item.ref.id]
        gone = Gone.TAKEN_OUT if item.fields.get(PLACE) == OUTSIDE else Gone.DELETED
        known = Deletion(gone, alive.get(binding.crm_id), others[binding.crm_id])
        work.decide(rules.decide_gone(item, pair_bases.bound_of(binding, context.crm.connector.system), known, context.terms))


def _others(context: RunContext, crm_ids: Collection[str]) -> Counter[str]:
    """Returns CRM id -> how many other mailboxes hold it."""
    rows = Binding.objects.filter(sync_pass__parent=context.sync_pass.parent_id, is_tombstone=False, crm_id__in=set(crm_ids))
    rows = rows.exclude(sync_pass=context.sync_pass).exclude(sync_pass__mailbox__state=Mailbox.State.ENDED)  # nothing is taken from there
    return Counter(rows.values_list("crm_id", flat=True))


def turn_into_removals(context: RunContext, work: PairWork, ids: Sequence[str]) -> None:
    """Lets the items of contacts that are gone leave the folder: a link that ends leaves nothing behind there (S1.26)."""
    ended = {
        i: d for i in ids if (d := work.decisions.get(i)) is not None and d.reason in ("deleted", "merged_elsewhere") and _holds(work, i)
    }
    if not ended:
        return
    items = _items_of(context, work, ended)
    for id_, decision in ended.items():
        if work.decisions[id_] is not decision:
            continue
        binding = work.bindings[id_]
        bound = pair_bases.bound_of(binding, context.crm.connector.system)
        is_merged = decision.reason == "merged_elsewhere"
        why = decision.sentence if is_merged else f"Contact {binding.crm_id} was deleted in {context.terms.crm_name}."
        reason = rules.MERGED if is_merged else rules.REMOVED
        work.decide(rules.decide_removal(decision.record, bound, items.get(binding.peer_id), why, reason, context.terms))


def remove_hidden(context: RunContext, work: PairWork, ids: Sequence[str]) -> None:
    """Lets the items of contacts that left the view leave the folder, where the setting says so (D8). That a contact is out of
    view may have been noted of another view than the present one."""
    hidden = [i for i in ids if i in work.bindings and work.bindings[i].is_out_of_view and _holds(work, i)]
    if hidden and (context.view is None or not context.view.is_usable):
        _wait_for_view(work, [i for i in hidden if not work.records[i].is_deleted])
        return
    shown = context.view.shown([work.records[i] for i in hidden]) if hidden else set()
    hidden = [i for i in hidden if i not in shown]
    differs = set(Difference.objects.filter(binding__in=[work.bindings[i].pk for i in hidden]).values_list("binding", flat=True))
    hidden = [i for i in hidden if work.bindings[i].pk not in differs]  # what only the item says would be lost: it stays, marked
    items = _items_of(context, work, hidden) if hidden else {}
    for id_ in hidden:
        if work.decisions[id_].reason == rules.ITEM_GONE:
            continue
        binding = work.bindings[id_]
        bound = pair_bases.bound_of(binding, context.crm.connector.system)
        why = f"Contact {binding.crm_id} left the view, which removes it from the folder."
        work.decide(rules.decide_removal(work.records[id_], bound, items.get(binding.peer_id), why, rules.LEFT_VIEW, context.terms))


def _items_of(context: RunContext, work: PairWork, ids: Collection[str]) -> dict[str, Record]:
    """Returns the items of links that end, as far as they lie in our folder. One that lies elsewhere may be on its way back, since
    it bears the category: its link waits for what the mailbox's list of changes says of it."""
    items = read_inside(context, [work.bindings[i].peer_id for i in ids])
    lost = {work.bindings[i].peer_id: i for i in ids if work.bindings[i].peer_id not in items}
    for peer_id, place in where_they_are(context, list(lost)).items():
        if place == OUTSIDE:
            id_ = lost[peer_id]
            work.decide(PairDecision(work.records[id_], Outcome.HELD, rules.ITEM_GONE, rules.ITEM_GONE_SENTENCE))
    return items


def _wait_for_view(work: PairWork, ids: Sequence[str]) -> None:
    """What is in view is not known just now: nothing is concluded from that (I8)."""
    for id_ in ids:
        sentence = "Whether it is still out of view is not known just now; it is looked at again."
        work.decide(PairDecision(work.records[id_], Outcome.HELD, "view_unknown", sentence))


def _holds(work: PairWork, id_: str) -> bool:
    return id_ in work.bindings and not work.bindings[id_].is_tombstone


def read_inside(context: RunContext, ids: Sequence[str]) -> dict[str, Record]:
    """Returns those of these items that lie in our folder."""
    found = pair_reads.read(context, "peer", rules.ITEM, ids)
    return {id_: item for id_, item in found.items() if item.fields.get(PLACE, INSIDE) == INSIDE}


def where_they_are(context: RunContext, ids: Sequence[str]) -> dict[str, str]:
    """Returns where each of these items lies now, BIN for one that is nowhere."""
    found = {r.ref.id: r for r in context.peer.connector.read(rules.ITEM, sorted(set(ids)), [PLACE])} if ids else {}
    return {id_: str(found[id_].fields.get(PLACE) or BIN) if id_ in found else BIN for id_ in ids}


def ending_of(binding: Binding, decision: PairDecision) -> Ending:
    deleted = decision.record if decision.record.is_deleted else None
    return Ending(binding, WHY.get(decision.reason, Tombstone.Why.GONE), deleted)


def end(context: RunContext, endings: Sequence[Ending]) -> None:
    """Turns bindings into tombstones and closes what was asked about them. What is to be made again is noted in the same
    transaction."""
    if not endings:
        return
    tombstones.end_links(context, endings)
    _close_questions(context, [ending.binding.crm_id for ending in endings])
    again = [e.binding for e in endings if e.why == Tombstone.Why.MADE_AGAIN]
    pair_trouble.look_again(context, "crm", [Ref(context.crm.connector.system, b.crm_type, b.crm_id) for b in again], "made_again")
    if isinstance(context.terms, items.ItemTerms):  # the item may be what is there still: its record is made again then
        pair_trouble.look_again(context, "peer", [Ref(context.peer.connector.system, b.peer_type, b.peer_id) for b in again], "made_again")


def _close_questions(context: RunContext, crm_ids: Collection[str]) -> None:
    now, note = context.wiring.now(), "Its link ended since; there is nothing left to decide."
    rows = Case.objects.filter(sync_pass=context.sync_pass, state=Case.State.OPEN, crm_id__in=crm_ids)
    asked = list(rows.filter(kind__in=(Case.Kind.DELETION, Case.Kind.CONFLICT)).values_list("pk", flat=True))
    if asked:
        fields = ConflictField.objects.filter(case__in=asked, state=ConflictField.State.OPEN)
        fields.update(state=ConflictField.State.AGREED, decided_at=now)
        rows.filter(pk__in=asked).update(state=Case.State.CLOSED, decision="solved", note=note, closed_at=now)


def as_it_lies(item: Record) -> Record:
    """Returns the item, or where it lies not in our folder what is known of one that left it: nothing of it is looked at (I7)."""
    if item.is_deleted or item.fields.get(PLACE, INSIDE) == INSIDE:
        return item
    return Record(item.ref, {PLACE: item.fields[PLACE]}, is_deleted=True)


def forget_what_comes_back(context: RunContext, work: PairWork, records: Sequence[Record]) -> None:
    """Lets a contact that is there (again) and in view be met anew, though its link ended with it; one that the mailbox's user
    took out, or deleted, is not put back by an edit. It is by its user, who puts the item into the folder again (S1.11)."""
    comes_back = COMES_BACK if work.side == "crm" else PUT_BACK
    if work.side != "crm":
        records = [r for r in records if not r.is_deleted and r.fields.get(PLACE, INSIDE) == INSIDE]
    ended = {r.ref.id: work.bindings[r.ref.id] for r in records if r.ref.id in work.bindings and work.bindings[r.ref.id].is_tombstone}
    if not ended:
        return
    stones = Tombstone.objects.filter(binding__in=[b.pk for b in ended.values()]).order_by("pk")
    last = dict(stones.values_list("binding", "why"))
    for id_, binding in ended.items():
        if last.get(binding.pk) in comes_back:
            del work.bindings[id_]


def note_view(context: RunContext, binding: Binding, crm: Record) -> bool:
    """Notes of a link that just reached a contact whether that is in view. Returns whether it says something else than
    before: the feed tells of the contact only when it changes."""
    view = context.view
    if view is None or not view.is_usable or (crm.ref.id not in view.shown([crm])) == binding.is_out_of_view:
        return False
    binding.is_out_of_view, binding.is_retry_due = not binding.is_out_of_view, True
    return True


def forget_folder(context: RunContext) -> None:
    """Has the next run look for the mailbox's folder, and make it again: it is known to be gone by a write only, where nothing
    was in it that a list of changes could tell of."""
    mailbox = context.sync_pass.mailbox
    if mailbox is not None:
        Mailbox.objects.filter(pk=mailbox.pk).update(folder_id="")
        context.save_pass(cursor="")

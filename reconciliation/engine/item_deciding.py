"""Decides the items of one mailbox, events or tasks, and the records of the CRM that stand for them: what is known of each, what must
be asked of either side, and in which order. The decisions themselves are `passes.items`."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace

from django.db.models import Q

from connectors.contract import Record, Value
from connectors.mailboxes import FOREIGN_ID
from reconciliation.core.ledger import Outcome
from reconciliation.engine import item_families, item_links, item_rows, pair_bases, pair_cases, pair_deciding, pair_reads
from reconciliation.engine.context import RunContext
from reconciliation.engine.linker import Linked
from reconciliation.engine.pair_work import PairWork
from reconciliation.models import Binding, Mailbox, MailboxItem, Operation, Tombstone
from reconciliation.passes import items as rules
from reconciliation.passes.items import ItemMeeting, Known, LeftOut
from reconciliation.passes.pairs import MARKER, Look, PairDecision, excluded

DOUBLE, ENDED = "double", "unlinked"
NEVER = ("no_time", "too_long", "private", "cancelled")  # not even where a person shares it
ENDED_SENTENCE = "It was shared once, and is not any more; the category, put on anew, shares it again."
# Links that ended for what the item was, not for what a person wants: it is met anew as soon as that is over. One that was deleted
# and is seen again came back: out of the bin, or with its series, which was moved.
PASSES_OVER = (
    Tombstone.Why.PRIVATE,
    Tombstone.Why.CANCELLED,
    Tombstone.Why.HANDED,
    Tombstone.Why.MADE_AGAIN,
    Tombstone.Why.MAILBOX,
)


def decide(context: RunContext, work: PairWork, records: Sequence[Record]) -> None:
    """As `pair_deciding.decide`, for items."""
    owed: set[str] = set()
    for record in records:  # of a look that is repeated
        work.left.pop(record.ref.id, None)
    if work.side == "peer":
        work.items |= item_rows.rows_of(context, [r.ref.id for r in records])
        owed = {r.ref.id for r in records if _looks_other(context, work, r)} | _linked_and_unknown(context, work, records)
    looks = pair_deciding.first_looks(context, work, records, _take_up, owed)
    if work.side == "peer":
        _decide_gone(context, work, looks[Look.FOLLOW])
        looks[Look.FOLLOW] = []
    else:
        bound = [work.bindings[r.ref.id].peer_id for r in [*looks[Look.PAIR], *looks[Look.FOLLOW]]]
        work.items |= item_rows.rows_of(context, bound)
    _link_anew(context, work, [r for r in looks[Look.PAIR] if r.ref.id in owed])
    pair_deciding.decide_pairs(context, work, looks[Look.PAIR], looks[Look.FOLLOW], _pair)
    if work.side == "peer":
        _meet_items(context, work, looks[Look.MEET])
    else:
        _meet_records(context, work, looks[Look.MEET])
    _decide_gone_in_crm(context, work, [r.ref.id for r in records])


def _looks_other(context: RunContext, work: PairWork, item: Record) -> bool:
    row = work.items.get(item.ref.id)
    return row is not None and not item.is_deleted and item_rows.looks_other(row, item_rows.facts_of(item, context.terms))


def _linked_and_unknown(context: RunContext, work: PairWork, records: Sequence[Record]) -> set[str]:
    """Returns the items that are linked and of which that is not known: whoever linked them died before it was kept."""
    known = {id_ for id_, row in work.items.items() if row.state != MailboxItem.State.SEEN}
    ids = [r.ref.id for r in records if r.ref.id not in known]
    links = Binding.objects.filter(sync_pass=context.sync_pass, is_tombstone=False, peer_id__in=ids) if ids else Binding.objects.none()
    return set(links.values_list("peer_id", flat=True))


def _take_up(context: RunContext, work: PairWork, records: Sequence[Record]) -> None:
    """Lets items whose link ended be met anew: what ended it is over, or a person shares it again."""
    ended = {r.ref.id: r for r in records if r.ref.id in work.bindings and work.bindings[r.ref.id].is_tombstone and not r.is_deleted}
    if not ended:
        return
    stones = Tombstone.objects.filter(binding__in=[work.bindings[id_].pk for id_ in ended]).order_by("pk")
    last = dict(stones.values_list("binding", "why"))
    for id_, record in ended.items():
        why = last.get(work.bindings[id_].pk)
        is_over = why in PASSES_OVER if work.side == "peer" else why == Tombstone.Why.MADE_AGAIN
        if is_over or (work.side == "peer" and _is_shared_again(context, work.items.get(id_), record)):
            del work.bindings[id_]
            work.taken_up.add(id_)


def _is_shared_again(context: RunContext, row: MailboxItem | None, item: Record) -> bool:
    """Tells whether a person shares an item anew: by its category, which it did not bear before, or on its page."""
    if row is None:
        return False
    is_marked_now = rules.rules_of(context.terms).is_marked(item) and not row.was_marked
    return row.share_asked_at is not None or is_marked_now


def _link_anew(context: RunContext, work: PairWork, items: Sequence[Record]) -> None:
    """Asks for the links of linked items whose guests changed."""
    changed = [
        item
        for item in items
        if item.ref.id in work.items
        and item_rows.facts_of(item, context.terms)["guests_key"] != work.items[item.ref.id].guests_key
        and work.items[item.ref.id].state == MailboxItem.State.LINKED
    ]
    why = {item.ref.id: work.items[item.ref.id].why for item in changed}
    work.relinked.update(item_links.links_of(context, changed, why, work.items))


# --- linked items -----------------------------------------------------------------------------------------------------


def _pair(context: RunContext, work: PairWork, record: Record, crm: Record, item: Record, users: Mapping[str, str]) -> PairDecision:
    type_ = context.terms.type_of(crm.ref.object_type)
    if type_ is None:
        return excluded(record, "type_off", f"{crm.ref.object_type}s are not synced.", crm=crm, peer=item)
    bound = pair_deciding.bound_of(context, work, record.ref.id)
    assert bound is not None
    row = work.items.get(item.ref.id)
    is_cancelled = row is not None and rules.rules_of(context.terms).is_cancelled(item)
    known = item_rows.known_with_others(context, [row])[item.ref.id] if is_cancelled else item_rows.known_of(row)
    decision = rules.decide_items(record, crm, item, bound, known, type_, context.terms, users)
    linked = work.relinked.get(item.ref.id)
    if linked is not None and decision.merge is not None and linked.waits:
        work.unanswered.add(item.ref.id)  # its guests count as new still, so that the next look asks again
        return PairDecision(record, Outcome.HELD, "waits_for_link", linked.waits, crm=crm, peer=item)
    if linked is not None and decision.merge is not None:
        assert row is not None
        decision = rules.with_links(decision, crm, item, item_links.changes(context, row.links, linked, crm), context.terms)
        work.links[item.ref.id] = item_links.kept(linked, row)
    told = work.followed.get(record.ref.id, "")
    return replace(decision, sentence=f"{told} {decision.sentence}".strip()) if told else decision


def _decide_gone(context: RunContext, work: PairWork, items: Sequence[Record]) -> None:
    """Decides for linked items that are not in the mailbox any more."""
    if not items:
        return
    bindings = {item.ref.id: work.bindings[item.ref.id] for item in items}
    by_type: dict[str, list[str]] = {}
    for binding in bindings.values():
        by_type.setdefault(binding.crm_type, []).append(binding.crm_id)
    alive = {
        id_: record
        for object_type, ids in by_type.items()
        for id_, record in pair_reads.read(context, "crm", object_type, ids).items()
        if not record.is_deleted
    }
    known = item_rows.known_with_others(context, [work.items[id_] for id_ in bindings if id_ in work.items])
    for item in items:
        binding = bindings[item.ref.id]
        bound = pair_bases.bound_of(binding, context.crm.connector.system)
        work.decide(rules.decide_gone(item, bound, alive.get(binding.crm_id), known.get(item.ref.id, Known()), context.terms))


def _decide_gone_in_crm(context: RunContext, work: PairWork, ids: Collection[str]) -> None:
    """Decides for links whose record of the CRM was deleted, as that was found out just now."""
    ended = [i for i in ids if i in work.decisions and work.decisions[i].reason in ("deleted", "merged_elsewhere") and _holds(work, i)]
    if not ended:
        return
    here = {i: work.records[i] for i in ended} if work.side == "peer" else {}
    found = pair_reads.read(context, "peer", context.terms.kind.peer_object, [work.bindings[i].peer_id for i in ended if i not in here])
    for id_ in ended:
        binding = work.bindings[id_]
        bound = pair_bases.bound_of(binding, context.crm.connector.system)
        known = item_rows.known_of(work.items.get(binding.peer_id))
        item = here.get(id_) or found.get(binding.peer_id)
        work.decide(rules.decide_gone_in_crm(work.records[id_], bound, item, known, context.terms))


def _holds(work: PairWork, id_: str) -> bool:
    return id_ in work.bindings and not work.bindings[id_].is_tombstone


# --- items that are linked to nothing ---------------------------------------------------------------------------------


@dataclass(slots=True)
class _Facts:
    """What was asked about items that are to be shared."""

    pointed: dict[str, Record] = field(default_factory=dict)  # id of the CRM -> the record
    marked: dict[str, Record] = field(default_factory=dict)  # marker -> the living record that bears it
    former: dict[str, Record] = field(default_factory=dict)  # item -> the living record that it was linked to last, or a colleague's was
    carriers: dict[str, str] = field(default_factory=dict)  # id of the CRM, or occasion -> the colleague's mailbox
    own: dict[str, str] = field(default_factory=dict)  # id of the CRM -> the item of this mailbox that is linked to it
    moving: dict[str, str] = field(default_factory=dict)  # item -> the colleague's mailbox that carries its series, as it was
    left: dict[str, Binding] = field(default_factory=dict)  # id of the CRM -> the last link of it that ended, of whichever mailbox
    flying: dict[str, str] = field(default_factory=dict)  # occasion -> the source of a create of it that nobody answered yet


def _meet_items(context: RunContext, work: PairWork, items: Sequence[Record]) -> None:
    """Decides for items that are linked to nothing: most are not shared, which costs no call."""
    shared: list[Record] = []
    for item in items:
        why = _why(context, work, item)
        if isinstance(why, LeftOut):
            work.decide(excluded(item, why.reason, why.sentence, peer=item))
        else:
            work.why[item.ref.id] = why
            shared.append(item)
    if not shared:
        return
    work.searched_at = pair_reads.end_of_journal(), context.wiring.now()
    shared = _with_pointers(context, work, shared)
    facts = _ask(context, work, shared)
    users = pair_reads.user_pairs(context, [*facts.pointed.values(), *facts.marked.values(), *facts.former.values()], shared)
    new: list[Record] = []
    taken: dict[str, str] = {}  # occasion -> the item of this page that stands for it
    for item in shared:
        decision = _known(context, work, item, facts, taken)
        taken.update(dict.fromkeys(context.terms.kind.keys(item), item.ref.id))
        if decision is not None:
            work.decide(decision)
        else:
            new.append(item)
    linked = item_links.links_of(context, [i for i in new if not _found(context, i, facts)], work.why, work.items)
    for item in new:
        pair_cases.guarded(context, work, item, lambda i=item: _meet(context, work, i, facts, linked.get(i.ref.id), users))


def _why(context: RunContext, work: PairWork, item: Record) -> str | LeftOut:
    row, own = work.items.get(item.ref.id), rules.rules_of(context.terms)
    if row is not None and row.share_asked_at is not None:
        why = own.why_shared(item, context.terms.own)
        return why if isinstance(why, LeftOut) and why.reason in NEVER else rules.BY_PERSON
    is_over = row is not None and row.state == MailboxItem.State.ENDED and row.reason in item_rows.GONE_FOR_ALL
    if is_over and not _is_shared_again(context, row, item):
        return LeftOut(ENDED, ENDED_SENTENCE)
    return own.why_shared(item, context.terms.own)


def _with_pointers(context: RunContext, work: PairWork, items: Sequence[Record]) -> list[Record]:
    """Returns the items with the id of the CRM that they name, where the list of changes did not bring it."""
    lacking = [r.ref.id for r in items if FOREIGN_ID not in r.fields] if _may_name_records(context) else []
    read = pair_reads.read(context, "peer", context.terms.kind.peer_object, lacking)
    for id_ in set(lacking) - read.keys():
        work.decide(excluded(work.records[id_], "vanished", "It was deleted while it was looked at."))
    work.records.update(read)
    return [read.get(r.ref.id, r) for r in items if r.ref.id not in lacking or r.ref.id in read]


def _may_name_records(context: RunContext) -> bool:
    """Tells whether items that are linked to nothing may be what we made: our tables do not go back that far, or a create of ours was
    not answered. Otherwise one that bears our mark is a copy that its user made, and an item of its own."""
    if not context.sync_pass.cursor or context.terms.restore is not None:
        return True
    made = Operation.objects.filter(run__sync_pass=context.sync_pass, connection=context.peer.connection, kind=Operation.Kind.CREATE)
    return made.filter(state__in=Operation.OPEN).exists()


def _ask(context: RunContext, work: PairWork, items: Sequence[Record]) -> _Facts:
    terms, facts = context.terms, _Facts()
    type_ = terms.types[0]
    pointers = {p for item in items if (p := terms.kind.pointer_of(item))}
    former = _former(context, work, items)
    found = pair_reads.read(context, "crm", type_.crm_object, pointers | set(former.values()))
    found = {id_: record for id_, record in found.items() if not record.is_deleted}
    facts.pointed = {id_: r for id_, r in found.items() if id_ in pointers and r.fields.get("OwnerId") == terms.user_id}
    facts.former = {item_id: found[id_] for item_id, id_ in former.items() if id_ in found}
    occasions = [key for item in items for key in _occasions(context, work, item)]
    facts.marked = _marked(context, items)
    ids = [*facts.pointed, *(r.ref.id for r in (*facts.marked.values(), *facts.former.values()))]
    facts.own = pair_reads.holders(context, "crm", ids)
    links = Binding.objects.filter(sync_pass__parent=context.sync_pass.parent_id, crm_id__in=ids)
    is_over = Q(is_tombstone=True) | Q(sync_pass__mailbox__state=Mailbox.State.ENDED)  # an ended mailbox keeps its links
    facts.left = {row.crm_id: row for row in links.filter(is_over).order_by("synced_at", "pk") if row.crm_base}
    held = links.exclude(is_over).exclude(sync_pass=context.sync_pass)
    facts.carriers = dict(held.values_list("crm_id", "sync_pass__mailbox__address"))
    for occasion, rows in item_rows.others_with(context, occasions, MailboxItem.State.LINKED).items():
        facts.carriers[occasion] = rows[0].sync_pass.mailbox.address
    facts.flying = pair_reads.in_flight(context, "crm", occasions)
    facts.moving = item_families.moving(context, work, [i for i in items if not any(key in facts.carriers for key in terms.kind.keys(i))])
    return facts


def _former(context: RunContext, work: PairWork, items: Sequence[Record]) -> dict[str, str]:
    """Returns item -> the record of the CRM that it was linked to last, or that the item of a colleague was which let go of the same
    occasion. No marker leads there once a series was moved: its occasions are others."""
    rows = {id_: work.items[id_].crm_id for item in items if (id_ := item.ref.id) in work.items and work.items[id_].crm_id}
    lacking = {key: item.ref.id for item in items if item.ref.id not in rows for key in _occasions(context, work, item)}
    for occasion, others in item_rows.others_with(context, lacking, MailboxItem.State.ENDED).items():
        left = [row.crm_id for row in others if row.reason in item_rows.LEAVES_TO_OTHERS and row.crm_id]
        rows |= {lacking[occasion]: left[-1]} if left else {}
    return rows


def _marked(context: RunContext, items: Sequence[Record]) -> dict[str, Record]:
    """Returns marker -> the living record of the CRM that bears it: made from a colleague's mailbox, or before our database was
    restored."""
    connector, type_ = context.crm.connector, context.terms.types[0]
    name = connector.marker_field_of(type_.crm_object)
    markers = sorted({rules.marker_for(item, context.terms) for item in items})
    if not name:
        return {}
    columns = pair_reads.columns(context.terms, type_.crm_object)
    found = connector.find_marked(type_.crm_object, markers, columns, since=context.terms.own.since)
    return {str(r.fields[name]): r for r in found if not r.is_deleted}


def _found(context: RunContext, item: Record, facts: _Facts) -> list[Record]:
    """Returns the records of the CRM that the item is already, as it names one itself, by the key of its occasion, or by its last link."""
    pointed, marked = facts.pointed.get(context.terms.kind.pointer_of(item)), facts.marked.get(rules.marker_for(item, context.terms))
    return [found for found in (pointed, marked, facts.former.get(item.ref.id)) if found is not None]


def _occasions(context: RunContext, work: PairWork, item: Record) -> tuple[str, ...]:
    """Returns the keys of the occasion of an item, and the one that it had before its series was moved: a colleague's mailbox that
    carries it may not have seen that yet."""
    keys, row = context.terms.kind.keys(item), work.items.get(item.ref.id)
    is_moved = row is not None and row.state == MailboxItem.State.COLLEAGUE and row.occasion and row.occasion not in keys
    return (*keys, row.occasion) if is_moved else keys


def _known(context: RunContext, work: PairWork, item: Record, facts: _Facts, taken: Mapping[str, str]) -> PairDecision | None:
    """Returns the decision about an item that somebody, or something, else stands for already."""
    terms, id_ = context.terms, item.ref.id
    keys, found = terms.kind.keys(item), _found(context, item, facts)
    occasions = _occasions(context, work, item)
    if any(key in facts.flying and facts.flying[key] != str(item.ref) for key in occasions):
        return PairDecision(item, Outcome.HELD, rules.TWIN, f"The same {rules.noun(terms)} may just have been made, for another mailbox.")
    is_double = any(facts.own.get(r.ref.id, id_) != id_ for r in found) or any(taken.get(key, id_) != id_ for key in keys)
    if is_double:
        return excluded(item, DOUBLE, f"Another item of this mailbox is the same {rules.noun(terms)}.", peer=item)
    carrier = next((facts.carriers[key] for key in (*(r.ref.id for r in found), *occasions) if key in facts.carriers), "")
    if not carrier and not found and id_ in facts.moving:
        sentence = f"Its series may just have been moved; the mailbox that carries it, {facts.moving[id_]}, is looked at first."
        return PairDecision(item, Outcome.HELD, rules.TWIN, sentence)
    return rules.carried(item, carrier, terms) if carrier else None


def _meet(
    context: RunContext, work: PairWork, item: Record, facts: _Facts, linked: Linked | None, users: Mapping[str, str]
) -> PairDecision:
    terms, id_ = context.terms, item.ref.id
    given: dict[str, Value] = {"OwnerId": terms.user_id} if terms.user_id else {}
    if linked is not None and linked.waits:
        return PairDecision(item, Outcome.HELD, "waits_for_link", linked.waits, peer=item)
    if linked is not None and linked.links.refusal and work.why[id_] == rules.BY_ITSELF:
        return excluded(item, "refused_by_rule", linked.links.refusal, peer=item)
    if linked is not None:
        given |= item_links.given(context, linked)
        work.links[id_] = item_links.kept(linked, work.items.get(id_))
    found = _found(context, item, facts)
    left = facts.left.get(found[0].ref.id) if found else None
    if left is not None:
        work.left[id_] = left
    meeting = ItemMeeting(found[0] if found else None, left is not None, given)
    return rules.decide_shared(item, meeting, work.why[id_], terms, users)


# --- records of the CRM that are linked to nothing --------------------------------------------------------------------


def _meet_records(context: RunContext, work: PairWork, records: Sequence[Record]) -> None:
    users = pair_reads.user_pairs(context, records, ()) if records else {}
    for record in records:
        pair_cases.guarded(context, work, record, lambda r=record: _meet_record(context, work, r, users))


def _meet_record(context: RunContext, work: PairWork, record: Record, users: Mapping[str, str]) -> PairDecision:
    type_ = context.terms.type_of(record.ref.object_type)
    if type_ is None:
        return excluded(record, "type_off", f"{record.ref.object_type}s are not synced.")
    marker = context.crm.connector.marker_field_of(record.ref.object_type)
    is_from_here = bool(marker) and str(record.fields.get(marker) or "").startswith(MARKER)
    if is_from_here and record.ref.id not in work.taken_up:
        return excluded(record, rules.CAME_UP, "It was made from a mailbox, and comes down into none.", crm=record)
    return rules.decide_down(record, type_, context.terms, users)

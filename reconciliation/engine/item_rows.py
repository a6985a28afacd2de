"""What is kept of the items of a mailbox beside their links: why each is shared, what was seen of it, what waits."""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime
from typing import Any

from django.db import transaction
from django.db.models import Exists, OuterRef

from connectors import calendars as words
from connectors.calendars import guests_of
from connectors.contract import Record
from connectors.tasks import DUE
from connectors.when import days, read_when
from reconciliation.core.ledger import Outcome
from reconciliation.engine import mailbox_ends, pair_bases
from reconciliation.engine.context import RunContext
from reconciliation.engine.pair_work import PairWork
from reconciliation.models import Binding, LookAgain, Mailbox, MailboxItem, Tombstone
from reconciliation.models.bulk import insert_rows
from reconciliation.passes import items as rules
from reconciliation.passes.items import ItemTerms, Known
from reconciliation.passes.pairs import PairDecision

State = MailboxItem.State
SEEN = ("name", "occasion", "family", "series_id", "starts_at", "ends_at")
SEEN += ("was_marked", "was_own_meeting", "was_cancelled", "is_private", "guests")
FACTS = (*SEEN, "guests_key")
KEPT = (*FACTS, "state", "why", "reason", "sentence", "crm_type", "crm_id", "links", "held", "is_held", "seen_at")
KEPT += ("mails_asked_at", "mails_asked_by", "share_asked_at", "share_asked_by")
AT_ONCE = 500
CARRY_ON = "carry_on"  # why an item is looked at again
UNANSWERED = "unanswered"  # in place of the digest of guests: it is looked at again
# After these a colleague's mailbox may carry the occasion on; what was deleted in the CRM is not made again for that.
LEAVES_TO_OTHERS = (rules.TAKEN_OUT, rules.HANDED_OVER, rules.WITHDRAWN, rules.GONE_HERE)
ENDED_AS = {
    Tombstone.Why.PRIVATE: rules.WITHDRAWN,
    Tombstone.Why.CANCELLED: rules.CANCELLED,
    Tombstone.Why.MAILBOX: rules.GONE_HERE,
    Tombstone.Why.HANDED: rules.HANDED_OVER,
    Tombstone.Why.TAKEN_OUT: rules.TAKEN_OUT,
    Tombstone.Why.GONE: rules.GONE_THERE,
}
GONE_FOR_ALL = (rules.UNMARKED, rules.GONE_THERE, rules.DELETED_THERE)


def rows_of(context: RunContext, ids: Collection[str]) -> dict[str, MailboxItem]:
    """Returns what is known of these items, by their ids."""
    wanted, found = sorted(set(ids)), {}
    for start in range(0, len(wanted), AT_ONCE):
        some = wanted[start : start + AT_ONCE]
        rows = MailboxItem.objects.filter(sync_pass=context.sync_pass, object_type=context.terms.kind.peer_object, item_id__in=some)
        found.update({row.item_id: row for row in rows})
    return found


def facts_of(item: Record, terms: ItemTerms) -> dict[str, Any]:
    """Returns what is kept of an item that was seen. Of one whose details are withheld nothing of them."""
    own = rules.rules_of(terms)
    seen = own.shown(item, terms.own)
    when, guests = read_when(item.fields.get(words.WHEN)), guests_of(seen)
    starts, ends = (when.starts_at, when.ends_at) if when is not None else _of_day(item.fields.get(DUE))
    told = "\n".join(sorted(f"{g.address} {g.response}" for g in guests))
    return {
        "name": terms.kind.name_of(item)[:255],
        "occasion": own.occasion_of(item)[:64],
        "family": own.family_of(item)[:64],
        "series_id": str(item.fields.get(words.SERIES) or "")[:255],
        "starts_at": starts,
        "ends_at": ends,
        "was_marked": own.is_marked(item),
        "was_own_meeting": own.is_own_meeting(item),
        "was_cancelled": own.is_cancelled(item),
        "is_private": bool(own.withheld(item, terms.own)) or own.is_secret(item, terms.own),
        "guests": len(guests),
        "guests_key": hashlib.sha256(told.encode()).hexdigest()[:40] if guests else "",
    }


def _of_day(due: object) -> tuple[datetime | None, datetime | None]:
    """Returns the instants between which a task is due, for lists."""
    if not isinstance(due, date):
        return None, None
    whole = days(due, due)
    return whole.starts_at, whole.ends_at


def looks_other(row: MailboxItem, facts: Mapping[str, Any]) -> bool:
    """Tells whether an item that was seen is not as it was kept: what no mapped field tells of, above all."""
    return any(getattr(row, name) != facts[name] for name in FACTS)


def note_new(context: RunContext, work: PairWork) -> None:
    """Keeps what is known of items that are about to be made in the CRM: whoever dies, or gets no answer, leaves a link of which
    nothing else is known, and which could not follow when its series is moved."""
    now, new = context.wiring.now(), []
    for id_, decision in work.decisions.items():
        if work.side == "peer" and any(intent.side == "crm" and intent.kind == "create" for intent in decision.intents):
            common = {"why": work.why.get(id_, rules.BY_CATEGORY), "state": State.SEEN, "since": now, "seen_at": now}
            facts = facts_of(work.records[id_], context.terms)
            type_ = context.terms.kind.peer_object
            new.append(MailboxItem(sync_pass=context.sync_pass, object_type=type_, item_id=id_, **common, **facts))
    insert_rows(new, unique=["sync_pass", "object_type", "item_id"], update=list(FACTS))


def known_of(row: MailboxItem | None) -> Known:
    if row is None:
        return Known()
    return Known(row.why, row.was_marked, row.was_own_meeting, row.was_cancelled, row.guests > 0)


def known_with_others(context: RunContext, rows: Sequence[MailboxItem]) -> dict[str, Known]:
    """Returns what is known of items that are over for their user, by their ids, and of the colleagues who hold the same occasions."""
    held = others_with(context, [row.occasion for row in rows], State.COLLEAGUE)
    ended = others_with(context, [row.occasion for row in rows], State.ENDED)
    found: dict[str, Known] = {}
    for row in rows:
        others = [other for other in held.get(row.occasion, ()) if not other.was_cancelled]
        is_called_off = any(o.was_own_meeting and o.reason == rules.GONE_HERE for o in ended.get(row.occasion, ()))
        looked = row.reason == rules.ASKS and not _are_asked(others)
        found[row.item_id] = replace(known_of(row), others=len(others), others_looked=looked, is_called_off=is_called_off)
    return found


def _are_asked(others: Sequence[MailboxItem]) -> bool:
    """Tells whether one of these items is still to be looked at."""
    asked = LookAgain.objects.filter(reason=CARRY_ON, record_id__in=[o.item_id for o in others])
    return asked.filter(sync_pass__in=[o.sync_pass_id for o in others]).exists()


def others_with(context: RunContext, occasions: Iterable[str], *states: str) -> dict[str, list[MailboxItem]]:
    """Returns occasion -> the items of other mailboxes that stand for it and are in one of these states."""
    wanted = sorted(set(filter(None, occasions)))
    found: dict[str, list[MailboxItem]] = {}
    for start in range(0, len(wanted), AT_ONCE):
        rows = MailboxItem.objects.filter(
            occasion__in=wanted[start : start + AT_ONCE], state__in=states, sync_pass__parent=context.sync_pass.parent_id
        )
        rows = rows.exclude(sync_pass=context.sync_pass).exclude(sync_pass__mailbox__state=Mailbox.State.ENDED)
        rows = rows.filter(is_held()) if State.LINKED in states else rows
        for row in rows.select_related("sync_pass__mailbox").order_by("pk"):
            found.setdefault(row.occasion, []).append(row)
    return found


def is_held() -> Exists:
    """Returns the condition that a row that says it is linked is: who ended its link may have died before that was kept."""
    return Exists(Binding.objects.filter(sync_pass=OuterRef("sync_pass"), peer_id=OuterRef("item_id"), is_tombstone=False))


def keep(context: RunContext, work: PairWork) -> None:
    """Keeps what a page said of its items, and lets colleagues' mailboxes carry on what was left to them."""
    now = context.wiring.now()
    new: list[MailboxItem] = []
    over: list[MailboxItem] = []  # that are shared no more since this look
    # First: who dies in between asks again.
    hand_over(context, [row.occasion for d in work.decisions.values() if (row := _asks_anew(work, d)) is not None])
    for id_, decision in work.decisions.items():
        kept = _row(context, work, id_, decision, now)
        if kept is not None:
            new.append(kept.row)
            over += [kept.row] if kept.is_over else []
    with transaction.atomic():  # a colleague sees both or neither, and who dies in between does both again
        insert_rows(new, unique=["sync_pass", "object_type", "item_id"], update=list(KEPT))
        hand_over(context, [row.occasion for row in over if row.reason in LEAVES_TO_OTHERS])
        _end_for_all(context, [row.occasion for row in over if row.reason in GONE_FOR_ALL])


def _asks_anew(work: PairWork, decision: PairDecision) -> MailboxItem | None:
    """Returns the row of an item whose colleagues are to be asked, where they were not yet."""
    row = work.items.get(decision.peer_id) if decision.reason == rules.ASKS else None
    return row if row is not None and row.reason != rules.ASKS else None


@dataclass(frozen=True, slots=True)
class _Kept:
    """A row that is to be kept, and whether its item is shared no more since this look."""

    row: MailboxItem
    is_over: bool


def _row(context: RunContext, work: PairWork, id_: str, decision: PairDecision, now: datetime) -> _Kept | None:
    """Returns the row of an item as it is to be kept, None where nothing is."""
    terms, binding = context.terms, work.bindings.get(id_)
    item = work.records[id_] if work.side == "peer" else decision.peer
    item_id = id_ if work.side == "peer" else decision.peer_id or (binding.peer_id if binding is not None else "")
    item_id = item_id or (item.ref.id if item is not None else "")
    is_linked = binding is not None and not binding.is_tombstone
    row = work.items.get(item_id)
    if not item_id or (row is None and not is_linked and decision.reason != rules.COLLEAGUE) or decision.reason == "echo":
        return None
    if row is None:
        row = MailboxItem(sync_pass=context.sync_pass, object_type=terms.kind.peer_object, item_id=item_id, since=now, seen_at=now)
    if row.state == State.SEEN and not is_linked and decision.reason != rules.COLLEAGUE:
        return None
    was = {name: getattr(row, name) for name in KEPT}
    if not row.why:
        row.why = work.why.get(item_id, rules.FROM_CRM if work.side == "crm" else rules.BY_CATEGORY)
    # What was seen counts once it was carried: facts kept of a page that was broken off would pass for looked at.
    is_carried = decision.outcome not in (Outcome.HELD, Outcome.FAILED) or decision.reason == rules.WOULD_MAIL
    if item is not None and item.fields and not item.is_deleted and (is_carried or row.pk is None):
        for name, value in facts_of(item, terms).items():
            setattr(row, name, value)
    if row.state == State.COLLEAGUE and work.side == "peer" and work.records[id_].is_deleted:
        row.state, row.reason, row.sentence = State.ENDED, rules.GONE_HERE, "It was deleted here."
    asks = row.state == State.LINKED and row.reason == rules.ASKS and work.side == "crm"  # what its calendar asked for stays asked
    _note_state(row, decision, binding, is_linked=is_linked)
    if asks and row.state == State.LINKED:
        row.reason = rules.ASKS
    if decision.outcome is Outcome.EXCLUDED:
        row.share_asked_at, row.share_asked_by = None, ""
    _note_waiting(context, row, decision, binding)
    if is_linked and item_id in work.links:
        row.links = work.links[item_id]
    if item_id in work.unanswered:
        row.guests_key = UNANSWERED
    if row.pk is not None and all(getattr(row, name) == was[name] for name in KEPT):
        return None
    row.seen_at = now
    work.items[item_id] = row
    return _Kept(row, is_over=was["state"] == State.LINKED and row.state == State.ENDED)


def _note_state(row: MailboxItem, decision: PairDecision, binding: Any, *, is_linked: bool) -> None:
    if is_linked:
        row.state, row.crm_type, row.crm_id = State.LINKED, binding.crm_type, binding.crm_id
        row.reason, row.sentence = decision.reason if decision.outcome is Outcome.HELD else "", ""
        row.share_asked_at, row.share_asked_by = None, ""
    elif decision.reason == rules.COLLEAGUE:
        row.state, row.reason, row.sentence, row.crm_type, row.crm_id = State.COLLEAGUE, decision.reason, decision.sentence, "", ""
    elif row.state == State.LINKED and (binding is not None or decision.outcome is Outcome.EXCLUDED):
        row.state, row.reason, row.sentence = State.ENDED, decision.reason[:40], decision.sentence
        if decision.reason not in mailbox_ends.WHY and (reason := _ended_as(row)):
            row.reason, row.sentence = reason, "Its link had ended already, in a run that was broken off."
        if row.reason == rules.UNMARKED:
            row.was_marked = False


def _ended_as(row: MailboxItem) -> str:
    """Returns why the link of an item ended, where whoever ended it died before that was kept, "" where it has none that ended."""
    stones = Tombstone.objects.filter(binding__sync_pass=row.sync_pass_id, binding__peer_id=row.item_id, binding__is_tombstone=True)
    why = stones.order_by("-pk").values_list("why", flat=True).first()
    return ENDED_AS.get(why or "", "")


def _note_waiting(context: RunContext, row: MailboxItem, decision: PairDecision, binding: Any) -> None:
    """Notes which changes of the CRM wait for a person, where both sides were looked at."""
    if row.state != State.LINKED:
        row.held, row.is_held, row.mails_asked_at, row.mails_asked_by = [], False, None, ""
        return
    if decision.crm is None or decision.peer is None or decision.type is None or decision.merge is None:
        return
    bound, type_ = pair_bases.bound_of(binding, context.crm.connector.system), context.terms.type_of(binding.crm_type)
    if type_ is None:
        return
    waiting = rules.waiting_fields(decision.crm, decision.peer, bound, type_, context.terms)
    row.held = list(waiting) if rules.rules_of(context.terms).is_own_meeting(decision.peer) else []
    row.is_held = bool(row.held)
    if not row.held and decision.outcome in (Outcome.UPDATED, Outcome.UNCHANGED):
        row.mails_asked_at, row.mails_asked_by = None, ""


def hand_over(context: RunContext, occasions: Sequence[str]) -> None:
    """Has the mailboxes of colleagues look at what they may carry on: one of them will."""
    now, held = context.wiring.now(), others_with(context, occasions, State.COLLEAGUE).values()
    looks = [
        LookAgain(sync_pass=r.sync_pass, side="peer", object_type=r.object_type, record_id=r.item_id, reason=CARRY_ON, since=now)
        for rows in held
        for r in rows
    ]
    insert_rows(looks, unique=["sync_pass", "side", "object_type", "record_id"], update=["reason", "tries", "due_at", "waits_for"])


def _end_for_all(context: RunContext, occasions: Sequence[str]) -> None:
    """What was deleted in the CRM is not made again by a colleague's mailbox that holds the same occasion."""
    rows = [row.pk for some in others_with(context, occasions, State.COLLEAGUE).values() for row in some]
    sentence = "It was deleted in the CRM; the category, put on anew, shares it again."
    MailboxItem.objects.filter(pk__in=rows).update(state=State.ENDED, reason=rules.GONE_THERE, sentence=sentence)

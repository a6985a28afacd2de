"""How a pass goes over the events of one mailbox: first what happened in the calendar, by its own list of changes, then what happened
in the CRM, by the feed that all mailboxes share."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from django.db import transaction

from connectors.calendars import EventChanges
from connectors.contract import All, Op, Record, Ref, Test
from reconciliation.engine import (
    brakes,
    crm_feed,
    gate,
    item_series,
    mailbox_news,
    pair_cases,
    pair_previews,
    pair_reads,
    pair_sweep,
    previews,
)
from reconciliation.engine.context import Order, RunContext
from reconciliation.engine.item_series import REACHED
from reconciliation.engine.mailbox_sweep import PIECE_ROWS, make_category, not_done_yet
from reconciliation.engine.pairs import process_page
from reconciliation.models import Binding, LookAgain, MailboxItem, Run
from reconciliation.passes.events import CRM_EVENT

Ended = tuple[str, str]
START = "StartDateTime"
LOOKED_BACK = timedelta(days=31)  # before the window, where nobody told what happened there
SLACK = timedelta(hours=14)  # whole days reach further, as far as time zones do


@dataclass(slots=True)
class Round:
    """One round over the mailbox's list of changes."""

    seen: set[str] = field(default_factory=set)  # ids of a round that lists everything
    gone: set[str] = field(default_factory=set)
    late: dict[str, Record] = field(default_factory=dict)  # occurrences that wait for what later pages say of their series
    shifted: set[str] = field(default_factory=set)  # known occurrences that begin at another time than before
    is_whole: bool = False
    is_blind: bool = False  # nobody told what happened outside the window since the last round


def open_mailbox(context: RunContext) -> None:
    """Says which category shares an item. Raises RunHeld where nobody knows whose the mailbox is."""
    look_whose_it_is(context)
    box, terms = context.peer.connector, context.terms
    box.use_category(terms.category)
    if terms.own.told:
        box.ask_to_mail(sorted(terms.own.told))
    if terms.has_categories:
        see_to_category(context)


def look_whose_it_is(context: RunContext) -> None:
    """Raises RunHeld where nobody knows whose the mailbox is."""
    mailbox = context.sync_pass.mailbox
    if mailbox is None:
        raise gate.RunHeld("This pass goes over mailboxes; name one.")
    if not mailbox.crm_user_id:
        name = context.terms.crm_name
        raise gate.RunHeld(f"Nobody in {name} is known to be {mailbox.address}; choose its user on the mailbox's page.")


def see_to_category(context: RunContext) -> None:
    """Makes the category once, through the journal; one that is there is left as it is."""
    category = context.terms.category
    if context.is_preview or context.sync_pass.settings.get("category"):
        return
    why = f"The category “{category}” shares an item; one that is there is left as it is."
    make_category(context, category, why)
    context.save_pass(settings={**context.sync_pass.settings, "category": category})


def sweep(context: RunContext, order: Order) -> Ended:
    """Looks at both sides. Returns the state the run ends in, and a note. Raises ConnectionTrouble, BrakeTripped."""
    ends = None if order.budget is None else context.wiring.monotonic() + order.budget
    pair_cases.take_up_answered(context)
    fresh = mailbox_news.read_feed(context, crm_object(context), order)
    if order.is_full:
        context.save_pass(cursor="", feed_at=None, sweep_blanked={}, approved_blanking=[])
    if not _mailbox_side(context, ends) or not crm_side(context, fresh, ends):
        return Run.State.PARTIAL, "The time budget was used up; the next run goes on where this one stopped."
    _look_at_awaited(context)
    _look_ahead(context)
    context.save_pass(sweep_blanked={}, approved_blanking=[], backlog=0)
    return Run.State.FINISHED, " ".join(context.notes)


def crm_object(context: RunContext) -> str:
    return context.terms.types[0].crm_object


# --- the mailbox ------------------------------------------------------------------------------------------------------


def _mailbox_side(context: RunContext, ends: float | None) -> bool:
    """Carries what happened in the mailbox. Returns whether its list came to its end."""
    round_, cursor = Round(), context.sync_pass.cursor
    while True:
        context.lease.guard(context.peer.connector.request_timeout)
        page = context.peer.connector.event_changes(cursor, context.terms.own.window)
        if page.is_restart:
            round_ = Round()
        round_.is_whole, round_.is_blind = round_.is_whole or page.is_whole, round_.is_blind or page.is_blind
        _process(context, page, round_)
        cursor = page.cursor
        if page.is_last or not (round_.is_whole or _waits(context, round_)):  # the cursor goes by what this page said
            _process_late(context, round_)
            if round_.is_blind:
                _look_back(context)
            with transaction.atomic():  # what a whole round saw is forgotten with the process: it begins anew
                context.lease.renew()
                context.save_pass(cursor=cursor)
        context.show_progress()
        if page.is_last:
            return True
        if ends is not None and context.wiring.monotonic() >= ends and not round_.is_whole and not round_.late and not round_.gone:
            return False


def _process(context: RunContext, page: EventChanges, round_: Round) -> None:
    items = {record.ref.id: record for record in page.events}
    if round_.is_whole:
        round_.seen.update(items)
    round_.gone.update(item_series.gone_of(context, page))
    round_.gone.difference_update(items)
    round_.shifted |= item_series.shifted_of(context, page.events)
    late = item_series.waits_of(context, page.events)
    round_.late = {id_: r for id_, r in round_.late.items() if id_ not in round_.gone} | {id_: items[id_] for id_ in late}
    process_items(context, [record for id_, record in items.items() if id_ not in late])


def _waits(context: RunContext, round_: Round) -> bool:
    """Tells whether the rest of a round may say that a series was moved: its occurrences come and go on different pages."""
    return bool(round_.late) or item_series.are_among(context, round_.gone)


def _process_late(context: RunContext, round_: Round) -> None:
    """Looks at what came and went, once all of it is known."""
    gone = gone_of(context, round_)
    if not context.is_preview:
        missing = {*gone, *round_.gone, *(_missing_of(context, round_) if round_.is_whole else ())}
        moved = item_series.follow_moves(context, list(round_.late.values()), missing, round_.shifted)
        gone = [id_ for id_ in gone if id_ not in moved]
    process_items(context, list(round_.late.values()))
    process_gone(context, gone)
    round_.gone.clear()
    round_.late.clear()


def process_items(context: RunContext, items: Sequence[Record]) -> None:
    for start in range(0, len(items), PIECE_ROWS):
        process_page(context, "peer", not_done_yet(context, "peer", items[start : start + PIECE_ROWS]))


def gone_of(context: RunContext, round_: Round) -> list[str]:
    """Returns the linked items that are not in the calendar any more. What ended before the window, or begins behind it, is not missed
    by a round that lists what lies in it, unless the list of changes named it."""
    gone = linked_among(context, round_.gone)
    if not round_.is_whole:
        return gone
    known = set(linked_before(context))
    return [*gone, *(id_ for id_ in _missing_of(context, round_) if id_ in known and id_ not in round_.gone)]


def linked_among(context: RunContext, ids: Collection[str]) -> list[str]:
    """Returns those of these items that are linked, or pass for linked: who ended the link of one died before that was kept."""
    links = Binding.objects.filter(sync_pass=context.sync_pass, is_tombstone=False)
    rows = MailboxItem.objects.filter(sync_pass=context.sync_pass, state=MailboxItem.State.LINKED)
    wanted, found = sorted(ids), dict[str, None]()
    for start in range(0, len(wanted), PIECE_ROWS):
        some = wanted[start : start + PIECE_ROWS]
        found |= dict.fromkeys(links.filter(peer_id__in=some).values_list("peer_id", flat=True))
        found |= dict.fromkeys(rows.filter(item_id__in=some).values_list("item_id", flat=True))
    return list(found)


def linked_before(context: RunContext) -> list[str]:
    """Returns the items that were linked before this run began, or pass for linked."""
    links = Binding.objects.filter(sync_pass=context.sync_pass, is_tombstone=False, bound_at__lt=context.run.started_at)
    rows = MailboxItem.objects.filter(sync_pass=context.sync_pass, state=MailboxItem.State.LINKED, seen_at__lt=context.run.started_at)
    return list(dict.fromkeys([*links.values_list("peer_id", flat=True), *rows.values_list("item_id", flat=True)]))


def _missing_of(context: RunContext, round_: Round) -> list[str]:
    """Returns the items of the window that are known and that a whole round did not list."""
    window = context.terms.own.window
    inside = MailboxItem.objects.filter(sync_pass=context.sync_pass, ends_at__gt=window.start, starts_at__lt=window.end)
    return [id_ for id_ in inside.values_list("item_id", flat=True) if id_ not in round_.seen]


def process_gone(context: RunContext, ids: Sequence[str]) -> None:
    """Decides for linked items that left the list, once each was asked for: one that was moved out of the window is there still."""
    again: list[str] = []
    for start in range(0, len(ids), PIECE_ROWS):
        some = ids[start : start + PIECE_ROWS]
        there = pair_reads.read(context, "peer", context.terms.kind.peer_object, some)
        system = context.peer.connector.system
        gone = [Record(Ref(system, context.terms.kind.peer_object, id_), {}, is_deleted=True) for id_ in some if id_ not in there]
        done = process_page(context, "peer", not_done_yet(context, "peer", [*there.values(), *gone]))
        again += [d.crm.ref.id for d in done.values() if d.reason == "made_again" and d.crm is not None]
    if again and not context.is_preview:
        _process_records(context, pair_reads.read(context, "crm", crm_object(context), again).values())


def _look_back(context: RunContext) -> None:
    """Looks at linked items that ended a short while before the window: where a cursor is lost, nobody tells of one that turned private
    there. One that is gone is not missed."""
    start = context.terms.own.window.start
    rows = MailboxItem.objects.filter(sync_pass=context.sync_pass, state=MailboxItem.State.LINKED)
    left = list(rows.filter(ends_at__lte=start, ends_at__gt=start - LOOKED_BACK).order_by("pk").values_list("item_id", flat=True))
    for at in range(0, len(left), PIECE_ROWS):
        found = pair_reads.read(context, "peer", context.terms.kind.peer_object, left[at : at + PIECE_ROWS])
        process_items(context, list(found.values()))


# --- the CRM ----------------------------------------------------------------------------------------------------------


def crm_side(context: RunContext, fresh: Mapping[str, Record], ends: float | None) -> bool:
    """Carries what happened in the CRM. Returns whether it came to its end."""
    object_type = crm_object(context)
    return mailbox_news.carry(context, object_type, fresh, ends, relevant=_relevant, process=_process_records, compare_all=_compare_all)


def _look_ahead(context: RunContext) -> None:
    """Looks at what the mailbox's user made in the CRM for days that the window reached since the last time: it was too far ahead when
    the feed told of it."""
    window, reached = context.terms.own.window, context.sync_pass.settings.get(REACHED)
    until = window.end.isoformat()
    if until == reached:
        return
    if reached is not None:
        ahead = (Test(START, Op.GE, datetime.fromisoformat(reached) - SLACK), Test(START, Op.LT, window.end + SLACK))
        ahead = ahead if crm_object(context) == CRM_EVENT else ()
        columns = pair_reads.columns(context.terms, crm_object(context))
        for page in context.crm.connector.scan(crm_object(context), where=All((*_mine(context), *ahead)), columns=columns):
            context.lease.guard(context.crm.connector.request_timeout)
            _process_records(context, page.records)
    if not context.is_preview:
        context.save_pass(settings={**context.sync_pass.settings, REACHED: until})


def _mine(context: RunContext) -> tuple[Test, ...]:
    """Returns what the mailbox's user made in the CRM since sync was switched on."""
    return Test("OwnerId", Op.EQ, context.terms.user_id), Test("CreatedDate", Op.GE, context.terms.own.since)


def _relevant(context: RunContext, ids: Sequence[str]) -> list[str]:
    """Returns those that concern this mailbox: linked in it, or its user's."""
    object_type = crm_object(context)
    wanted = mailbox_news.linked(context, object_type, ids)
    wanted |= crm_feed.owned_by(context.sync_pass, object_type, context.terms.user_id, [i for i in ids if i not in wanted])
    return [id_ for id_ in ids if id_ in wanted]


def _process_records(context: RunContext, records: Iterable[Record]) -> None:
    all_ = list(records)
    for start in range(0, len(all_), PIECE_ROWS):
        process_page(context, "crm", not_done_yet(context, "crm", all_[start : start + PIECE_ROWS]))


def _compare_all(context: RunContext, ends: float | None) -> bool:
    """Looks at what the mailbox's user made in the CRM since sync was switched on, and at everything that is linked."""
    object_type, upto, began = crm_object(context), crm_feed.newest(context.sync_pass, crm_object(context)), context.wiring.now()
    columns, seen = pair_reads.columns(context.terms, object_type), set[str]()
    for page in context.crm.connector.scan(object_type, where=All(_mine(context)), columns=columns):
        context.lease.guard(context.crm.connector.request_timeout)
        seen.update(r.ref.id for r in page.records)
        _process_records(context, page.records)
        context.show_progress()
        if ends is not None and context.wiring.monotonic() >= ends:
            return False
    bound = Binding.objects.filter(sync_pass=context.sync_pass, is_tombstone=False, bound_at__lt=began)
    rest = [id_ for id_ in bound.values_list("crm_id", flat=True) if id_ not in seen]
    for start in range(0, len(rest), PIECE_ROWS):
        some = rest[start : start + PIECE_ROWS]
        _process_records(context, mailbox_news.read(context, object_type, some))
    context.save_pass(feed_at=upto)
    return True


# --- the rest of a pass -----------------------------------------------------------------------------------------------


def retry_owed(context: RunContext) -> None:
    """As in every two-way pass; but an occurrence that is gone may be one of a series that was moved, as the list of changes tells."""
    context.awaited = pair_sweep.look_again(context, lambda row, record: record is None and _is_occurrence(context, row))


def _is_occurrence(context: RunContext, row: LookAgain) -> bool:
    """Tells whether it is a linked occurrence of a series."""
    items = MailboxItem.objects.filter(sync_pass=context.sync_pass, item_id=row.record_id).exclude(series_id="")
    return row.side == "peer" and items.exists() and bool(linked_among(context, [row.record_id]))


def _look_at_awaited(context: RunContext) -> None:
    """Decides for occurrences that were owed a look and that no move of their series took along."""
    if not context.awaited:
        return
    process_gone(context, linked_among(context, context.awaited))
    held = linked_among(context, context.awaited)  # their colleagues are asked first, say
    rows = LookAgain.objects.filter(sync_pass=context.sync_pass, side="peer", record_id__in=context.awaited)
    rows.exclude(record_id__in=held).delete()
    pair_sweep.put_off(list(rows), context.wiring.now())


def apply(context: RunContext, preview_id: int) -> Ended:
    """Carries out the plan of a preview or of a brake."""
    preview = previews.to_apply(preview_id)
    brakes.approve_held(context, preview)
    for side, object_type, planned in pair_previews.planned_pages(context, preview):
        found = pair_reads.read(context, side, object_type, planned)
        gone = [_gone_as_planned(context, side, object_type, planned, id_) for id_ in planned if id_ not in found]
        outcomes = process_page(context, side, [*found.values(), *gone], planned)
        pair_previews.settle(context, planned, outcomes)
        context.show_progress()
    return previews.applied(context, preview)


def _gone_as_planned(context: RunContext, side: str, object_type: str, planned: pair_previews.Rows, id_: str) -> Record:
    """Returns a record that is gone as its plan knew it: no later version of it can be."""
    version = str(planned[id_][0].context["version"]) if side == "crm" else ""
    return Record(Ref(pair_reads.side_of(context, side).connector.system, object_type, id_), {}, version=version, is_deleted=True)

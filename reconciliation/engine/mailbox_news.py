"""What happened in the CRM, as the pass over one mailbox takes it up: from the feed that all mailboxes share, each record as it is now."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from datetime import timedelta

from connectors.contract import Record, Ref
from reconciliation.engine import crm_feed, pair_reads
from reconciliation.engine.context import Order, RunContext
from reconciliation.models import Binding, Operation, Run

NEWS_ROWS = 2000
FRESH_FOR = timedelta(seconds=20)  # a scheduled run takes up what another one read so lately


def read_feed(
    context: RunContext, object_type: str, order: Order, *, has_views: bool = False, must_read: bool = False
) -> dict[str, Record]:
    """Brings the feed up to date, unless that was done so lately that it is good for this run. Returns the records it read, by id."""
    good_for = FRESH_FOR if order.kind == Run.Kind.SCHEDULED and not must_read else timedelta(0)
    if order.asked_at is not None and not must_read:  # a thousand that were asked for at once need one read
        good_for = max(good_for, context.wiring.now() - order.asked_at)
    columns = pair_reads.columns(context.terms, object_type)
    return crm_feed.refresh(context, object_type, columns, good_for=good_for, has_views=has_views)


def carry(
    context: RunContext,
    object_type: str,
    fresh: Mapping[str, Record],
    ends: float | None,
    *,
    relevant: Callable[[RunContext, Sequence[str]], list[str]],
    process: Callable[[RunContext, Sequence[Record]], None],
    compare_all: Callable[[RunContext, float | None], bool],
) -> bool:
    """Processes what the feed tells behind the mailbox's place, as far as it is `relevant`; where the feed does not reach back so far,
    everything is compared. Returns whether it came to its end."""
    news = crm_feed.news_for(context.sync_pass, object_type, most=NEWS_ROWS)
    if not news.is_whole:
        return compare_all(context, ends)
    fresh = as_they_are_still(context, object_type, fresh)
    while news.ids:
        ids = relevant(context, news.ids)
        known = {id_: fresh[id_] for id_ in ids if id_ in fresh and news.is_as_read(fresh[id_])}
        process(context, read(context, object_type, ids, known))
        context.save_pass(feed_at=news.upto)
        context.show_progress()
        if ends is not None and context.wiring.monotonic() >= ends:
            return False
        news = crm_feed.news_for(context.sync_pass, object_type, most=NEWS_ROWS)
    return True


def read(context: RunContext, object_type: str, ids: Sequence[str], known: Mapping[str, Record] | None = None) -> list[Record]:
    """Returns these records as they are now, in their order: those that are `known` as that, those that are not there as deleted."""
    had = known or {}
    found = pair_reads.read(context, "crm", object_type, [id_ for id_ in ids if id_ not in had])
    return [had.get(id_) or found.get(id_) or deleted(context, object_type, id_) for id_ in ids]


def as_they_are_still(context: RunContext, object_type: str, fresh: Mapping[str, Record]) -> Mapping[str, Record]:
    """Returns those records that this run neither wrote nor compared since it read them: what they said before would pass for an
    edit that takes ours back, or that of a user who was there in between."""
    if not fresh:
        return fresh
    rows = Operation.objects.filter(run=context.run, connection=context.crm.connection, object_type=object_type)
    later = set(rows.values_list("target_id", flat=True))
    links = Binding.objects.filter(sync_pass=context.sync_pass, crm_type=object_type, synced_at__gte=context.run.started_at)
    later.update(links.values_list("crm_id", flat=True))
    return {id_: record for id_, record in fresh.items() if id_ not in later}


def deleted(context: RunContext, object_type: str, id_: str, version: str = "") -> Record:
    return Record(Ref(context.crm.connector.system, object_type, id_), {}, version=version, is_deleted=True)


def linked(context: RunContext, object_type: str, ids: Collection[str]) -> set[str]:
    """Returns those records of the CRM that are linked in this mailbox."""
    rows = Binding.objects.filter(sync_pass=context.sync_pass, crm_type=object_type, crm_id__in=ids, is_tombstone=False)
    return set(rows.values_list("crm_id", flat=True))

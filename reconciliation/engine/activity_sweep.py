"""How activities are gone over: first those that waited and may be carried now, then one feed for each type, from its cursor on.
A feed that an earlier run left unfinished comes first."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from django.db import transaction
from django.db.models import Exists, OuterRef, Q, QuerySet

from connectors.contract import All, Condition, Op, Page, Position, Record, Ref, Test
from reconciliation.engine import activity_facts, activity_previews, gate, pair_previews, previews
from reconciliation.engine.activities import process_page
from reconciliation.engine.activity_work import SUSPECT
from reconciliation.engine.context import Order, RunContext
from reconciliation.models import Activity, ActivityFeed, Run
from reconciliation.passes.activities import MAILING, SOURCES, WAITS_FOR_LINK

PAGE_ROWS, MAIL_ROWS = 1000, 250  # mails are fat: the gateway fails where a page of them is large
OWED_ROWS = 1000  # waiting activities that are taken up at a time
START_AGAIN: dict[str, Any] = {"sweep_started_at": None, "position_at": None, "position_id": ""}


@dataclass(frozen=True, slots=True)
class Clock:
    """When the run has to come to an end; None: never."""

    context: RunContext
    ends: float | None

    @property
    def is_over(self) -> bool:
        return self.ends is not None and self.context.wiring.monotonic() >= self.ends


def sweep(context: RunContext, order: Order) -> tuple[str, str]:
    """Takes up what waits, then reads every feed to its end. Returns the state the run ends in, and a note."""
    ends = None if order.budget is None or gate.is_closed(context.sync_pass) else context.wiring.monotonic() + order.budget
    clock = Clock(context, ends)
    feeds = list(ActivityFeed.objects.filter(sync_pass=context.sync_pass))
    for feed in feeds:
        if order.is_full or not context.moves_cursor:  # it looks at everything, whatever an earlier run has left
            _save(context, feed, **START_AGAIN, sweep_is_full=order.is_full)
    if not _take_up_waiting(context, clock):
        return Run.State.PARTIAL, "The time budget was used up by activities that had waited; the next run goes on."
    suspects = _suspects(context)
    for feed in sorted(feeds, key=lambda f: (f.object_type in suspects, f.sweep_started_at is None)):
        if not _read_to_the_end(context, feed, clock, suspects.get(feed.object_type, ())):
            return _out_of_time(context, feed)
    context.save_pass(last_run_time=min((f.last_run_time for f in feeds if f.last_run_time), default=None), backlog=0)
    if context.terms.is_restored:
        context.save_pass(restored_at=None, restored_to=None)  # everything since the backup was looked for once
    return Run.State.FINISHED, _waiting_note(context)


def _out_of_time(context: RunContext, feed: ActivityFeed) -> tuple[str, str]:
    position = Position(feed.position_at, feed.position_id) if feed.position_at else None
    where = _where(context, feed)
    left = context.peer.connector.count(feed.object_type, where, position=position, before=feed.sweep_started_at)
    context.save_pass(backlog=left)
    return Run.State.PARTIAL, f"The time budget was used up with {left:,} {feed} to go; the next run goes on where this one stopped."


def _waiting_note(context: RunContext) -> str:
    waiting = Activity.objects.filter(sync_pass=context.sync_pass, state=Activity.State.WAITING, reason=WAITS_FOR_LINK).count()
    if not waiting:
        return ""
    said = "1 activity waits for its prospect" if waiting == 1 else f"{waiting:,} activities wait for their prospects"
    return f"{said} to be linked."


# --- what waited ------------------------------------------------------------------------------------------------------------


def _take_up_waiting(context: RunContext, clock: Clock) -> bool:
    """Looks again at activities whose prospect is linked by now, and at those whose time has come. Returns whether all were."""
    for object_type, ids in _waiting(context):
        _look_again(context, object_type, ids)
        context.show_progress()
        if clock.is_over:
            return False
    return True


def _waiting(context: RunContext) -> Iterator[tuple[str, list[str]]]:
    """Yields (type, ids) of what is due, the longest known first; what is held again is due later, and comes once."""
    now, last = context.wiring.now(), 0
    linked = activity_facts.links_of(context.sync_pass).filter(peer_id=OuterRef("prospect_id"))
    rows = _all_waiting(context).exclude(reason__in=SUSPECT)
    rows = rows.filter(Q(due_at__lte=now) | Q(Exists(linked), reason=WAITS_FOR_LINK)).order_by("pk")
    while some := list(rows.filter(pk__gt=last).values_list("pk", "object_type", "activity_id")[:OWED_ROWS]):
        last = some[-1][0]
        groups: dict[str, list[str]] = {}
        for _, object_type, id_ in some:
            groups.setdefault(object_type, []).append(id_)
        yield from groups.items()


def _all_waiting(context: RunContext) -> QuerySet[Activity]:
    return Activity.objects.filter(sync_pass=context.sync_pass, state=Activity.State.WAITING)


def _suspects(context: RunContext) -> dict[str, list[str]]:
    """Returns type -> ids of activities whose Task failed on its way, and that are due. They are sent together with what is new: one
    that fails while others go through is its own trouble, and stops nobody (engine-rules 1)."""
    rows = _all_waiting(context).filter(reason__in=SUSPECT, due_at__lte=context.wiring.now()).order_by("pk")[:OWED_ROWS]
    found: dict[str, list[str]] = {}
    for object_type, id_ in rows.values_list("object_type", "activity_id"):
        found.setdefault(object_type, []).append(id_)
    return found


def _look_again(context: RunContext, object_type: str, ids: Collection[str]) -> None:
    records = _read(context, object_type, ids)
    process_page(context, object_type, records)
    context.counted.update({_key(r): r.version for r in records})


def _read(context: RunContext, object_type: str, ids: Collection[str]) -> list[Record]:
    """Returns the activities as they are now, those that are gone as deleted ones."""
    context.lease.guard(context.peer.connector.request_timeout)
    found = context.peer.connector.read(object_type, list(ids), list(SOURCES[object_type].columns))
    there = {r.ref.id for r in found}
    system = context.peer.connector.system
    return [*found, *(Record(Ref(system, object_type, id_), {}, is_deleted=True) for id_ in ids if id_ not in there)]


def _key(record: Record) -> str:
    return f"{record.ref.object_type}:{record.ref.id}"


# --- feeds ------------------------------------------------------------------------------------------------------------------


def _save(context: RunContext, feed: ActivityFeed, **changes: object) -> None:
    if context.moves_cursor:
        ActivityFeed.objects.filter(pk=feed.pk).update(**changes)
    for name, value in changes.items():
        setattr(feed, name, value)


def _read_to_the_end(context: RunContext, feed: ActivityFeed, clock: Clock, suspects: Collection[str]) -> bool:
    """Reads one feed, the suspects of its type with its first page. Returns whether it came to its end."""
    while True:
        page = _read_page(context, feed)
        also = _read(context, feed.object_type, suspects) if suspects else []
        records = {_key(r): r for r in (*page.records, *also)}
        process_page(context, feed.object_type, [r for key, r in records.items() if key not in context.counted])
        context.counted.update({_key(r): r.version for r in also})
        suspects = ()
        _advance(context, feed, page)
        context.show_progress()
        if page.position is None:
            return True
        if clock.is_over:
            return False


def _where(context: RunContext, feed: ActivityFeed) -> Condition:
    """Nothing that was done before the beginning is read: what was edited since may have been done before, too."""
    begins_at = context.terms.begins_at
    since = begins_at if feed.sweep_is_full or feed.last_run_time is None else max(feed.last_run_time, begins_at)
    return All((Test("updatedAt", Op.GE, since), *SOURCES[feed.object_type].narrowed(begins_at)))


def _read_page(context: RunContext, feed: ActivityFeed) -> Page:
    """Returns the next page: inclusive of the cursor, by (time, id); from the second page on nothing newer than the sweep's
    start is read."""
    position = Position(feed.position_at, feed.position_id) if feed.position_at else None
    context.lease.guard(context.peer.connector.request_timeout)
    page = context.peer.connector.changes(
        feed.object_type,
        where=_where(context, feed),
        columns=list(SOURCES[feed.object_type].columns),
        position=position,
        before=feed.sweep_started_at if position else None,
        page_size=MAIL_ROWS if feed.object_type == MAILING else PAGE_ROWS,
    )
    if feed.sweep_started_at is None:
        _begin(context, feed, page)
    return page


def _begin(context: RunContext, feed: ActivityFeed, page: Page) -> None:
    """Remembers the remote clock of the sweep's first answer; a clock that went back takes the cursor with it."""
    changes: dict[str, object] = {"sweep_started_at": page.server_time}
    if feed.last_run_time and page.server_time < feed.last_run_time:
        changes["last_run_time"] = page.server_time - timedelta(seconds=context.sync_pass.overlap_seconds)
    _save(context, feed, **changes)


def _advance(context: RunContext, feed: ActivityFeed, page: Page) -> None:
    """Moves the position behind a page whose activities all have their outcome; ends the sweep behind the last one."""
    with transaction.atomic():
        context.lease.renew()
        if page.position is not None:
            _save(context, feed, position_at=page.position.updated_at, position_id=page.position.id)
            return
        start = feed.sweep_started_at - timedelta(seconds=context.sync_pass.overlap_seconds)
        _save(context, feed, **START_AGAIN, last_run_time=start, sweep_is_full=False)


# --- plans ------------------------------------------------------------------------------------------------------------------


def apply(context: RunContext, preview_id: int) -> tuple[str, str]:
    """Carries out the plan of a preview: every activity is read again, and one that changed is refused."""
    preview = previews.to_apply(preview_id)
    for object_type, planned in activity_previews.planned_pages(context, preview):
        records = [r for r in _read(context, object_type, list(planned)) if not r.is_deleted]
        pair_previews.settle(context, planned, process_page(context, object_type, records, planned))
        context.show_progress()
    return previews.applied(context, preview, "activity", "activities")

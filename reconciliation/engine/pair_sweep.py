"""How a two-way pass goes over its records: one feed for each record type of the CRM, one for the peer's, each with a
cursor of its own. A feed that an earlier run left unfinished comes first."""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.db import transaction
from django.db.models import Q

from connectors.contract import All, Condition, Op, Page, Position, Record, Ref, Test
from connectors.mailboxes import BIN, PLACE
from reconciliation.core.conditions import as_condition, holds
from reconciliation.core.ledger import Outcome
from reconciliation.engine import brakes, gate, pair_previews, pair_reads, pair_terms, pair_trouble, presence, previews
from reconciliation.engine.context import Order, RunContext
from reconciliation.engine.pairs import process_page
from reconciliation.models import LookAgain, RecordType, Run, SyncPass
from reconciliation.models.bulk import update_rows
from reconciliation.passes.pairs import NOT_VISIBLE

PAGE_ROWS = {"crm": 2000, "peer": 1000}  # as many as one answer holds: a full comparison costs pages, nothing else
PIECE_ROWS = 360  # as many are decided and written at a time: memory follows what changed in a piece, not in a page
OWED_ROWS = 500
SOON_TRIES, MOST_TRIES, FIRST_WAIT = 3, 8, timedelta(minutes=15)  # three runs in a row, then after 30 minutes to 8 hours
CHANGED_FIELD = {"crm": "SystemModstamp", "peer": "updatedAt"}
START_AGAIN: dict[str, Any] = {"sweep_started_at": None, "position_at": None, "position_id": ""}
terms_of = pair_terms.terms_of


@dataclass(slots=True)
class Feed:
    """The records of one object type of one side, from its cursor on. `row` holds the cursor."""

    side: str
    object_type: str
    row: RecordType | SyncPass
    save: Callable[..., None]
    conditions: tuple[tuple[str, str, str], ...] = ()

    @property
    def is_under_way(self) -> bool:
        return self.row.sweep_started_at is not None


def _feeds(context: RunContext) -> list[Feed]:
    sync_pass = context.sync_pass
    rows = RecordType.objects.filter(sync_pass=sync_pass, is_on=True)
    feeds = [Feed("crm", row.crm_object, row, _saver(context, row), tuple(map(tuple, row.conditions))) for row in rows]
    feeds.append(Feed("peer", context.terms.kind.peer_object, sync_pass, context.save_pass))
    return sorted(feeds, key=lambda feed: not feed.is_under_way)


def _saver(context: RunContext, row: RecordType) -> Callable[..., None]:
    def save(**changes: object) -> None:
        if context.moves_cursor:
            RecordType.objects.filter(pk=row.pk).update(**changes)
        for name, value in changes.items():
            setattr(row, name, value)

    return save


def sweep(context: RunContext, order: Order) -> tuple[str, str]:
    """Reads every feed to its end. Returns the state the run ends in, and a note."""
    feeds = _feeds(context)
    ends = None if order.budget is None or gate.is_closed(context.sync_pass) else context.wiring.monotonic() + order.budget
    for feed in feeds:
        if order.is_full or not context.moves_cursor:  # it looks at everything, whatever an earlier run has left
            feed.save(**START_AGAIN, sweep_is_full=order.is_full)
    if order.is_full:
        context.save_pass(sweep_blanked={}, approved_blanking=[])
    for feed in feeds:
        if not _read_to_the_end(context, feed, ends):
            if context.sync_pass.hold_reason and not context.is_preview:
                return Run.State.HELD, f"{context.sync_pass.hold_reason}. The pass goes on when that was mended."
            return Run.State.PARTIAL, "The time budget was used up; the next run goes on where this one stopped."
    context.save_pass(sweep_blanked={}, approved_blanking=[], backlog=0)
    if not context.is_preview:
        presence.look_at(context)
    if context.terms.restore is not None:
        context.save_pass(restored_at=None, restored_to=None)  # everything since the backup was compared once
    return Run.State.FINISHED, " ".join(context.notes)


def _read_to_the_end(context: RunContext, feed: Feed, ends: float | None) -> bool:
    """Reads one feed. Returns whether it came to its end."""
    while True:
        page = _read_page(context, feed)
        records = [r for r in page.records if f"{feed.side}:{r.ref.id}" not in context.counted and _is_wanted(feed, r)]
        for start in range(0, len(records), PIECE_ROWS):
            process_page(context, feed.side, records[start : start + PIECE_ROWS])
        _advance(context, feed, page)
        context.show_progress()
        if context.sync_pass.hold_reason and not context.is_preview:
            return False
        if page.position is None:
            return True
        if ends is not None and context.wiring.monotonic() >= ends:
            _count_backlog(context, feed)
            return False


def _is_wanted(feed: Feed, record: Record) -> bool:
    """Tells whether the polling conditions hold, also those that the system cannot be asked for."""
    return record.is_deleted or not feed.conditions or holds(feed.conditions, record.fields)


def _where(context: RunContext, feed: Feed) -> Condition:
    since = None if feed.row.sweep_is_full else feed.row.last_run_time
    if since is not None and context.wiring.switches.cursor_is_strict:
        since += timedelta(seconds=context.sync_pass.overlap_seconds + 1)
    fresh = Test(CHANGED_FIELD[feed.side], Op.GE, since)
    if not feed.conditions:
        return fresh
    schema = (context.crm.connection.schema_cache or {}).get(feed.object_type, {})
    kinds = {name: str(attribute.get("type", "text")) for name, attribute in schema.items()}
    return All((fresh, as_condition(feed.conditions, kinds)))


def _columns(context: RunContext, feed: Feed) -> list[str]:
    return list(dict.fromkeys([*pair_reads.columns(context.terms, feed.object_type), *(field for field, _, _ in feed.conditions)]))


def _read_page(context: RunContext, feed: Feed) -> Page:
    """Returns the next page: inclusive of the cursor, by (time, id); from the second page on nothing newer than the
    sweep's start is read."""
    row, connector = feed.row, pair_reads.side_of(context, feed.side).connector
    position = Position(row.position_at, row.position_id) if row.position_at else None
    context.lease.guard(connector.request_timeout)
    page = connector.changes(
        feed.object_type,
        where=_where(context, feed),
        columns=_columns(context, feed),
        position=position,
        before=row.sweep_started_at if position else None,
        page_size=PAGE_ROWS[feed.side],
        include_deleted_since=row.last_run_time if feed.side == "crm" else None,
    )
    if row.sweep_started_at is None:
        _begin(context, feed, page)
    return page


def _begin(context: RunContext, feed: Feed, page: Page) -> None:
    """Remembers the remote clock of the sweep's first answer; a clock that went back takes the cursor with it."""
    changes: dict[str, object] = {"sweep_started_at": page.server_time}
    if feed.row.last_run_time and page.server_time < feed.row.last_run_time:
        changes["last_run_time"] = page.server_time - timedelta(seconds=context.sync_pass.overlap_seconds)
    feed.save(**changes)


def _advance(context: RunContext, feed: Feed, page: Page) -> None:
    """Moves the position behind a page whose records all have their outcome; ends the sweep behind the last one."""
    with transaction.atomic():
        context.lease.renew()
        if page.position is not None:
            feed.save(position_at=page.position.updated_at, position_id=page.position.id)
            return
        start = feed.row.sweep_started_at - timedelta(seconds=context.sync_pass.overlap_seconds)
        if context.wiring.switches.cursor_is_our_clock_at_end:
            start = context.wiring.now()
        feed.save(**START_AGAIN, last_run_time=start, sweep_is_full=False)


def _count_backlog(context: RunContext, feed: Feed) -> None:
    row, connector = feed.row, pair_reads.side_of(context, feed.side).connector
    position = Position(row.position_at, row.position_id) if row.position_at else None
    waiting = connector.count(feed.object_type, _where(context, feed), position=position, before=row.sweep_started_at)
    context.save_pass(backlog=waiting)


def retry_owed(context: RunContext) -> None:
    """Takes up the records that are owed a second look and are due. One that is held again and again is looked at less and
    less often, so that it keeps none from its turn and costs a quiet run nothing."""
    look_again(context, lambda row, record: False)


def look_again(context: RunContext, is_left: Callable[[LookAgain, Record | None], bool]) -> list[str]:
    """As `retry_owed`, but for records that are left to the caller: their rows stay, and their ids are returned. Each is shown
    as it is now, None where it is gone."""
    left: list[str] = []
    if context.sync_pass.hold_reason:
        return left
    now = context.wiring.now()
    due = LookAgain.objects.due().filter(Q(due_at=None) | Q(due_at__lte=now), sync_pass=context.sync_pass)
    rows = list(due.order_by("tries", "pk")[:OWED_ROWS])
    groups: dict[tuple[str, str], list[LookAgain]] = {}
    for row in rows:
        groups.setdefault((row.side, row.object_type), []).append(row)
    for (side, object_type), some in groups.items():
        found = pair_reads.read(context, side, object_type, (row.record_id for row in some))
        mine = [row.record_id for row in some if is_left(row, found.get(row.record_id))]
        left += mine
        found = {id_: record for id_, record in found.items() if id_ not in mine}
        some = [row for row in some if row.record_id not in mine]
        outcomes = process_page(context, side, [*found.values(), *_missing(context, side, some, found)])
        waiting = {id_ for id_, d in outcomes.items() if d.outcome is Outcome.HELD and d.reason not in pair_trouble.WAITS_FOR_A_PERSON}
        # What waits for another record, or a person, was noted anew.
        done = [row for row in some if row.record_id not in waiting]
        for reason in {row.reason for row in done}:  # one that has another by now is owed another look, by what was just decided
            keys = [row.pk for row in done if row.reason == reason]
            LookAgain.objects.due().filter(pk__in=keys, reason=reason).delete()
        again = [row for row in some if row.record_id in waiting]
        put_off(again, now)
        late = [row.record_id for row in again if row.due_at is not None and outcomes[row.record_id].reason == NOT_VISIBLE]
        pair_trouble.tell_not_visible(context, side, late)
        context.counted.update({f"{side}:{id_}": found[id_].version if id_ in found else "" for id_ in outcomes})
    return left


def _missing(context: RunContext, side: str, rows: list[LookAgain], found: Collection[str]) -> list[Record]:
    """Returns those records, as deleted ones, that are not there: what became of them is asked again where that was not known, and
    what was decided about a mailbox's record that is gone is still to be done."""
    is_mailbox = context.terms.kind.is_mailbox
    if side == "peer" and not is_mailbox:
        return []
    system, fields = pair_reads.side_of(context, side).connector.system, {PLACE: BIN} if side == "peer" else {}
    lost = [row for row in rows if row.record_id not in found and (is_mailbox or row.reason in (NOT_VISIBLE, "retry"))]
    return [Record(Ref(system, row.object_type, row.record_id), dict(fields), is_deleted=True) for row in lost]


def put_off(rows: list[LookAgain], now: datetime) -> None:
    """Lets records that are held again wait, the longer the more often."""
    for row in rows:
        row.tries = min(row.tries + 1, MOST_TRIES)
        row.due_at = now + FIRST_WAIT * 2 ** (row.tries - SOON_TRIES) if row.tries > SOON_TRIES else None
    update_rows(rows, ["tries", "due_at"])


def apply(context: RunContext, preview_id: int) -> tuple[str, str]:
    """Carries out the plan of a preview: every record is read again, and one that changed is refused."""
    preview = previews.to_apply(preview_id)
    if presence.is_parked(preview):
        return presence.apply(context, preview)
    brakes.approve_held(context, preview)
    for side, object_type, planned in pair_previews.planned_pages(context, preview):
        found = pair_reads.read(context, side, object_type, planned)
        outcomes = process_page(context, side, list(found.values()), planned)
        pair_previews.settle(context, planned, outcomes)
        context.show_progress()
    return previews.applied(context, preview)

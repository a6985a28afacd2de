"""Puts the mailboxes that are due in the queue: one task each, a bounded number at a time, for any number of workers.

The row of the pass says that a mailbox is due (`next_due_at`) and that a task of it is under way (`queued_at`). Tasks are
nudges here, too: one that is lost frees its mailbox after LOST_AFTER, one that comes twice finds nothing due.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import datetime, timedelta

from django.conf import settings
from django.db.models import F, Q, QuerySet
from django.utils import timezone
from django_q.tasks import async_task

from reconciliation.engine.mailbox_terms import effective_of
from reconciliation.models import Connection, Mailbox, SyncPass

TASK = "reconciliation.mailbox_jobs.run_mailbox"
LOST_AFTER = timedelta(minutes=5)
LOOKED_AT_LEAST = 10  # due rows a query brings, beside some for each that there is room for
OFF_FOR = timedelta(minutes=5)  # a mailbox that has the pass switched off is looked at again after so long
ROWS_A_STATEMENT = 200
PER_CHANNEL = 2  # tasks: one at work, one that waits for it
FOLLOWS = ("interval_seconds", "time_budget_seconds", "full_every_days", "overlap_seconds")
# A pass that was never started for a mailbox runs as well, once it is known whose that is: as a preview, which somebody looks at (C33).
FIRST = Q(is_on=False, switched_on_at=None, mailbox__state__in=Mailbox.RUNNING) & ~Q(mailbox__crm_user_id="")
RUNS = Q(is_on=True) | FIRST
_GOLDEN = 0.6180339887498949  # its multiples fall evenly, however many there are


def phase_of(sync_pass: SyncPass) -> float:
    """Returns where in an interval the mailbox has its turn, from 0 to 1: those of many mailboxes lie evenly apart."""
    return (sync_pass.pk * _GOLDEN) % 1.0


def next_turn(sync_pass: SyncPass, after: datetime, interval_seconds: float) -> datetime:
    """Returns the mailbox's next turn, half an interval to one interval later, so that it comes to its own place in the interval
    after one or two: a thousand that were added, or waited, at once do not come at once again."""
    to_place = (phase_of(sync_pass) * interval_seconds - after.timestamp()) % interval_seconds
    if to_place < 1:  # it is there now; the clock is no finer
        to_place = interval_seconds
    elif to_place < interval_seconds / 2:
        to_place = (to_place + interval_seconds) / 2
    return after + timedelta(seconds=to_place)


def follow(child: SyncPass) -> None:
    """Lets the mailbox's row have what people set of the pass as a whole."""
    assert child.parent is not None
    changed = {name: getattr(child.parent, name) for name in FOLLOWS if getattr(child, name) != getattr(child.parent, name)}
    if changed:
        SyncPass.objects.filter(pk=child.pk).update(**changed)
        for name, value in changed.items():
            setattr(child, name, value)


def follow_all(parent: SyncPass, now: datetime) -> int:
    """Lets every mailbox's row have what people set of the pass as a whole, at once, and returns how many changed. One whose next
    turn lies further away than the interval now is comes to its own place in it; what waits because of trouble goes on waiting."""
    values = {name: getattr(parent, name) for name in FOLLOWS}
    children = SyncPass.objects.filter(parent=parent)
    changed = children.exclude(**values).update(**values)
    interval = timedelta(seconds=parent.interval_seconds)
    late = children.filter(RUNS, next_due_at__gt=now + interval, trouble_count=0).exclude(FIRST)
    for rows in _in_parts(late.only("pk")):
        for row in rows:
            row.next_due_at = next_turn(row, now, parent.interval_seconds)
        SyncPass.objects.bulk_update(rows, ["next_due_at"])
    return changed


def _in_parts(rows: QuerySet[SyncPass]) -> Iterator[list[SyncPass]]:
    """Yields the rows that were found, some at a time: a thousand parameters are too many for one statement."""
    found = list(rows)
    for start in range(0, len(found), ROWS_A_STATEMENT):
        yield found[start : start + ROWS_A_STATEMENT]


def is_switched_on(parent: SyncPass, mailbox: Mailbox) -> bool:
    """Tells whether the pass goes over the mailbox, by the settings that hold for it (S1.3)."""
    return bool(effective_of(parent, mailbox)[parent.name].value)


def is_first(child: SyncPass) -> bool:
    """Tells whether the pass was never started for the mailbox: its runs are previews."""
    mailbox = child.mailbox
    assert mailbox is not None
    return not child.is_on and child.switched_on_at is None and mailbox.is_running and bool(mailbox.crm_user_id)


def wake(mailboxes: Iterable[int]) -> None:
    """Lets mailboxes whose settings were changed run at the next tick."""
    SyncPass.objects.filter(mailbox__in=list(mailboxes), trouble_count=0).update(next_due_at=timezone.now())


def ask(rows: QuerySet[SyncPass], now: datetime) -> int:
    """Marks mailboxes as asked for (S4.10): they are due at once, before all others. The mark outlives a lost task."""
    return rows.update(run_requested_at=now, next_due_at=now)


def fill(parent: SyncPass, now: datetime | None = None, *, is_tick: bool = False) -> int:
    """Puts tasks in the queue for mailboxes that are due, as many as there is room for, and returns how many. What was asked
    for comes first, then what is due longest. While a system of theirs is in trouble one a minute tries it, at the tick."""
    now = now or timezone.now()
    room = PER_CHANNEL * settings.MAILBOX_CHANNELS - _busy(parent, now).count()
    put, probed, passed_over = 0, set(), set()
    looked_at = LOOKED_AT_LEAST + 3 * max(room, 0)
    while put < room:
        rows = list(_due(parent, now).exclude(pk__in=passed_over)[:looked_at])
        if not rows:
            break
        off = [row.pk for row in rows if not is_switched_on(parent, row.mailbox)]
        SyncPass.objects.filter(pk__in=off).update(next_due_at=now + OFF_FOR, run_requested_at=None)
        passed_over.update(off)
        for row in rows:
            if put >= room or row.pk in passed_over:
                continue
            passed_over.add(row.pk)
            if not _may_try(row, probed, is_tick=is_tick):
                continue
            put += _put(row, now)
        if len(rows) < looked_at:
            break
    return put


def _busy(parent: SyncPass, now: datetime) -> QuerySet[SyncPass]:
    return SyncPass.objects.filter(parent=parent, queued_at__gt=now - LOST_AFTER)


def _due(parent: SyncPass, now: datetime) -> QuerySet[SyncPass]:
    free = Q(queued_at=None) | Q(queued_at__lte=now - LOST_AFTER)
    due = Q(next_due_at=None) | Q(next_due_at__lte=now)
    rows = SyncPass.objects.filter(free, due, RUNS, parent=parent, is_paused=False, hold_reason="")
    rows = rows.filter(mailbox__state__in=Mailbox.RUNNING).select_related("crm", "peer", "mailbox__group")
    return rows.order_by(F("run_requested_at").asc(nulls_last=True), F("next_due_at").asc(nulls_first=True), "pk")


def _may_try(row: SyncPass, probed: set[int], *, is_tick: bool) -> bool:
    """A system that is down, or refuses us, is not asked a thousand times to say so again: one mailbox a minute asks, and the
    first that gets through frees all (`runner._cured`)."""
    trouble = [c.pk for c in (row.crm, row.peer) if c.state in (Connection.State.WAITING, Connection.State.NEEDS_ATTENTION)]
    if not trouble:
        return True
    if not is_tick or probed.intersection(trouble):
        return False
    probed.update(trouble)
    return True


def _put(row: SyncPass, now: datetime) -> int:
    """Puts the mailbox's task in the queue unless another process did. Returns how many."""
    free = Q(queued_at=None) | Q(queued_at__lte=now - LOST_AFTER)
    if not SyncPass.objects.filter(free, pk=row.pk).update(queued_at=now):
        return 0
    async_task(TASK, row.name, task_name=row.name)
    return 1


def leave(child: SyncPass) -> None:
    """Says that no task of the mailbox is under way any more."""
    SyncPass.objects.filter(pk=child.pk).update(queued_at=None)


def lacking(parent: SyncPass, most: int) -> Iterable[Mailbox]:
    """Returns running mailboxes that have the pass switched on and no row of it yet."""
    rows = Mailbox.objects.filter(state__in=Mailbox.RUNNING).exclude(passes__parent=parent)
    for mailbox in rows.select_related("connection", "group").order_by("pk")[:most]:
        if is_switched_on(parent, mailbox):
            yield mailbox

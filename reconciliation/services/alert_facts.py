"""Reads the state that alerts, the digest and /healthz judge by: a few bounded queries, whatever the tables hold."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timedelta

from django.db.models import Min, Q

from reconciliation.core.alerts import (
    MOST_SUSPENDED,
    MOST_UNSENT,
    ConnectionFacts,
    Facts,
    InstaSyncFacts,
    PassFacts,
    Restart,
    SuspendedMailbox,
    Unsent,
)
from reconciliation.models import (
    CalendarWatch,
    ChatHook,
    Connection,
    Heartbeat,
    InstaSync,
    Mailbox,
    Message,
    Operation,
    Run,
    Subscription,
    SyncPass,
)
from reconciliation.models import Restart as RestartRow
from reconciliation.models.sync_pass import MAILBOX_PASSES
from reconciliation.selectors import open_cases

PASS_RUNS = (Run.Kind.SCHEDULED, Run.Kind.MANUAL, Run.Kind.APPLY)
THROUGH = (Run.State.FINISHED, Run.State.PARTIAL)
RUNS_LOOKED_AT = 200  # of one pass, newest first: more than three intervals hold, waits included
MOST_COUNTED = 10_000
MOST_PARKED = 20  # mailboxes whose plans are told of one by one
RESTARTS_FOR = FAILURES_FOR = timedelta(days=1)


def alert_facts(now: datetime) -> Facts:
    """Returns the state of everything that people may be told of."""
    limits = set(Subscription.objects.values_list("queue_limit", flat=True))
    limits |= set(ChatHook.objects.filter(is_on=True).values_list("queue_limit", flat=True))
    suspended = Mailbox.objects.filter(state=Mailbox.State.SUSPENDED)
    first = suspended.order_by("state_at", "pk").values_list("pk", "address", "state_reason")[:MOST_SUSPENDED]
    told = tuple(SuspendedMailbox(*row) for row in first)
    restarts = RestartRow.objects.filter(at__gte=now - RESTARTS_FOR).order_by("-at")[:50]
    return Facts(
        now=now,
        connections=connection_facts(),
        passes=pass_facts(),
        open_cases=open_cases(min(max(limits, default=0), MOST_COUNTED) + 1) if limits else {},
        limits=tuple(sorted(limits)),
        restarts=tuple(Restart(row.program, row.reason, row.at) for row in restarts),
        beat_at=last_beat(),
        unsent=unsent(now),
        suspended=told,
        suspended_count=len(told) if len(told) < MOST_SUSPENDED else suspended.count(),
        insta_sync=insta_sync_facts(),
    )


def insta_sync_facts() -> InstaSyncFacts | None:
    """Returns what of insta-sync fails, None where nothing does: watches that could not be made, or renewed in time."""
    rows = CalendarWatch.objects.filter(tries__gt=0) | CalendarWatch.objects.filter(state=CalendarWatch.State.FAILED)
    first = rows.order_by("-tries", "pk").values_list("why", flat=True).first()
    if first is None:
        return None
    is_reached = not InstaSync.objects.filter(pk=1, reached=InstaSync.Reached.NO).exists()
    return InstaSyncFacts(rows.count(), first, is_reached)


def unsent(now: datetime) -> tuple[Unsent, ...]:
    """Returns the messages that a server did not take, per channel; a person's own test is none of them."""
    stuck = Q(state__in=(Message.State.WAITING, Message.State.SENDING), tries__gt=0)
    failed = Q(state=Message.State.FAILED, created_at__gt=now - FAILURES_FOR)
    rows = Message.objects.filter(stuck | failed).exclude(says="").exclude(what=Message.What.TRIAL)
    by_channel: dict[str, list[str]] = {}
    for user_id, says in rows.order_by("-id").values_list("user_id", "says")[:MOST_UNSENT]:
        by_channel.setdefault("chat" if user_id is None else "mail", []).append(says)
    return tuple(Unsent(channel, len(said), said[0]) for channel, said in by_channel.items())


def last_beat() -> datetime | None:
    """Returns when a task last went through queue and worker."""
    return Heartbeat.objects.filter(id=1).values_list("beat_at", flat=True).first()


def connection_facts() -> tuple[ConnectionFacts, ...]:
    rows = Connection.objects.order_by("pk").values_list("pk", "name", "state", "last_error")
    return tuple(ConnectionFacts(*row) for row in rows)


def pass_facts() -> tuple[PassFacts, ...]:
    """Returns the passes that people know, and single mailboxes whose plan waits for a person."""
    whole = [_over_mailboxes(row) if row.name in MAILBOX_PASSES else _pass(row) for row in SyncPass.objects.whole().order_by("pk")]
    return (*whole, *_parked_mailboxes())


def _over_mailboxes(row: SyncPass) -> PassFacts:
    """Returns the facts of a pass over mailboxes: it is as late as the mailbox that waits longest for its turn. One whose run
    failed waits for no turn, and is told of when it is suspended."""
    due = row.children.filter(is_on=True, is_paused=False, hold_reason="", trouble_count=0, mailbox__state__in=Mailbox.RUNNING)
    waits_since = due.aggregate(first=Min("next_due_at"))["first"]
    return PassFacts(
        id=row.pk,
        title=row.title,
        connections=(row.crm_id, row.peer_id),
        is_working=row.is_on and not row.is_paused,
        interval_seconds=row.interval_seconds,
        budget_seconds=row.time_budget_seconds,
        is_held=bool(row.hold_reason),
        due_at=waits_since,
    )


def _parked_mailboxes() -> Iterable[PassFacts]:
    planned = Operation.objects.filter(run__sync_pass__parent__isnull=False, run__state=Run.State.HELD, run__kind__in=PASS_RUNS)
    ids = planned.filter(state=Operation.State.PLANNED).order_by().values_list("run__sync_pass", flat=True).distinct()[:MOST_PARKED]
    for row in SyncPass.objects.filter(pk__in=list(ids)).order_by("pk"):
        if (facts := _pass(row)).parked is not None:
            yield facts


def _pass(row: SyncPass) -> PassFacts:
    columns = ("pk", "state", "started_at", "ended_at")
    newest = list(Run.objects.filter(sync_pass=row, kind__in=PASS_RUNS).order_by("-pk")[:RUNS_LOOKED_AT].values(*columns))
    through = next((r for r in newest if r["state"] in THROUGH), None)
    running = next((r for r in newest if r["state"] == Run.State.RUNNING), None)
    # An interruption says nothing of a plan that was parked before it.
    settled = next((r for r in newest if r["state"] not in (Run.State.INTERRUPTED, Run.State.RUNNING)), None)
    is_parked = settled is not None and settled["state"] == Run.State.HELD and not row.hold_reason
    # Before its first run: the moment of switching on (D27). Beyond the runs looked at: longer ago than the oldest of them.
    reached_at = through["ended_at"] if through else newest[-1]["started_at"] if len(newest) == RUNS_LOOKED_AT else row.last_run_time
    return PassFacts(
        id=row.pk,
        title=row.title,
        connections=(row.crm_id, row.peer_id),
        is_working=row.is_on and not row.is_paused,
        interval_seconds=row.interval_seconds,
        budget_seconds=row.time_budget_seconds,
        is_held=bool(row.hold_reason),
        trouble_count=row.trouble_count,
        due_at=row.next_due_at,
        reached_at=reached_at,
        running_since=running["started_at"] if running else None,
        last_began_at=newest[0]["started_at"] if newest else None,
        channel_wanted_at=row.channel_wanted_at,
        parked=_parked(row, settled["pk"]) if settled is not None and is_parked else None,
    )


def _parked(row: SyncPass, held: int) -> tuple[int, str] | None:
    """Returns the run whose plan waits for a person, and what the last held run says of it; None when none does: a run
    may also be held because all writes are stopped, or before the pass is switched on."""
    planned = Operation.objects.filter(run__sync_pass=row, run__state=Run.State.HELD, run__kind__in=PASS_RUNS)
    run = planned.filter(state=Operation.State.PLANNED).order_by("-pk").values_list("run_id", flat=True).first()
    return (run, Run.objects.values_list("note", flat=True).get(pk=held)) if run else None

"""What the cluster carries out for mailboxes. As everywhere tasks are nudges: the row of a mailbox says that it is due."""

from __future__ import annotations

import logging
from datetime import datetime, timedelta

from django.conf import settings
from django.utils import timezone

from connectors.errors import ConnectorError
from reconciliation.core.counting import counted
from reconciliation.engine import insta, mailbox_queue, worlds
from reconciliation.engine import lease as leases
from reconciliation.engine.context import Order
from reconciliation.engine.runner import holder_name, run_pass
from reconciliation.engine.stop import stopped
from reconciliation.models import Mailbox, Run, SyncPass
from reconciliation.services import watches
from reconciliation.services.blocklists import domains_look_up
from reconciliation.services.made_people import made_people_look_daily
from reconciliation.services.mailbox_directory import mailboxes_look_after
from reconciliation.services.mailboxes import pass_over
from reconciliation.services.notice_receiver import take_up_spooled

log = logging.getLogger(__name__)
NEW_A_TICK = 200
BUSY_FOR = timedelta(seconds=30)
FIRST_PREVIEW_AGAIN = timedelta(days=7)
PLANS_EVERY = timedelta(minutes=15)  # while all writes are stopped, as in `jobs`
_RELATED = ("crm", "peer", "mapping", "parent__crm", "parent__peer", "mailbox__group")


def go_round(parent: SyncPass, now: datetime | None = None) -> str:
    """Puts the mailboxes that are due in the queue: every minute, for a pass that is on. It runs nothing itself."""
    now = now or timezone.now()
    worlds.check(parent)
    made = [pass_over(parent, mailbox) for mailbox in mailbox_queue.lacking(parent, NEW_A_TICK)]
    if parent.run_requested_at is not None:
        _ask_all(parent, now)
    put = mailbox_queue.fill(parent, now, is_tick=True)
    return f"{counted(len(made), 'mailbox', 'mailboxes')} new, {put} put in the queue"


def run_all(parent: SyncPass) -> str:
    """Lets every mailbox of the pass run before its next turn, because somebody asked."""
    if not parent.is_on:
        return "off"
    for mailbox in mailbox_queue.lacking(parent, NEW_A_TICK):
        pass_over(parent, mailbox)
    asked = _ask_all(parent, timezone.now())
    mailbox_queue.fill(parent)
    return f"{counted(asked, 'mailbox', 'mailboxes')} asked for"


def _ask_all(parent: SyncPass, now: datetime) -> int:
    SyncPass.objects.filter(pk=parent.pk, run_requested_at=parent.run_requested_at).update(run_requested_at=None)
    return mailbox_queue.ask(SyncPass.objects.filter(parent=parent, is_on=True, mailbox__state__in=Mailbox.RUNNING), now)


def run_one(child: SyncPass) -> str:
    """Lets one mailbox run before its next turn, by the one task that it may have."""
    mailbox_queue.ask(SyncPass.objects.filter(pk=child.pk), timezone.now())
    if (parent := _going(child)) is None:
        return "off"
    return f"asked for, {mailbox_queue.fill(parent)} put in the queue"


def run_mailbox(name: str) -> str:
    """Runs the pass over one mailbox if it is due, then puts those in the queue that there is room for now."""
    child = SyncPass.objects.select_related(*_RELATED).filter(name=name).first()
    if child is None or child.parent is None:
        return "gone"
    said = why = _not_now(child, timezone.now())
    if not why:
        channel = _take_channel(child)
        if channel is None:  # those who hold them ask for the next when they end
            mailbox_queue.leave(child)
            return "waits for a process channel"
        try:
            said = _run(child, channel)
        except BaseException:
            later = timezone.now() + timedelta(seconds=child.parent.interval_seconds)
            SyncPass.objects.filter(pk=child.pk).update(next_due_at=later, queued_at=None)
            raise
        finally:
            channel.release()
    mailbox_queue.leave(child)
    if (parent := _going(child)) is not None:
        mailbox_queue.fill(parent)
    return said


def _going(child: SyncPass) -> SyncPass | None:
    """Returns the pass over all mailboxes as it stands now, None when it puts nothing in the queue."""
    return SyncPass.objects.filter(pk=child.parent_id, is_on=True, is_paused=False, hold_reason="").first()


def _not_now(child: SyncPass, now: datetime) -> str:
    """Returns why the mailbox is not run, "" when it is."""
    parent, mailbox = child.parent, child.mailbox
    assert parent is not None and mailbox is not None
    if not (parent.is_on and (child.is_on or mailbox_queue.is_first(child))):
        return "off"
    if parent.is_paused or child.is_paused or not mailbox.is_running:
        return "paused"
    if parent.hold_reason or child.hold_reason:
        return "held"
    if not mailbox_queue.is_switched_on(parent, mailbox):
        return "switched off"
    is_due = child.next_due_at is None or child.next_due_at <= now or child.run_requested_at is not None
    return "" if is_due else "not due"


def _take_channel(child: SyncPass) -> leases.Lease | None:
    """Takes one of the process channels of the mail system. They bound what runs there and in the CRM at a time, beside the
    channels of other passes (D1): with a single one a thousand mailboxes would keep every other pass waiting, or wait for it."""
    most = settings.MAILBOX_CHANNELS
    for turn in range(most):
        slot = (child.pk + turn) % most  # workers that begin together begin at different slots
        try:
            return leases.take(f"mailboxes:{child.peer_id}:{slot}", holder_name())
        except leases.LeaseHeld:
            continue
    return None


def _run(child: SyncPass, channel: leases.Lease) -> str:
    mailbox_queue.follow(child)
    requested, started = child.run_requested_at, timezone.now()
    claim = insta.begin(child, started)
    if insta.is_for_nothing(child, claim, started):
        return "no meeting was changed"
    has_changed = insta.look(child, claim, started)
    if has_changed is False:
        return "looked at, no meeting was changed"
    order = Order(
        kind=Run.Kind.SCHEDULED if requested is None else Run.Kind.MANUAL,
        is_full=not stopped() and _is_full_due(child, started),
        budget=float(child.time_budget_seconds),
        started_by="sync now" if requested is not None else "insta-sync" if claim.is_asked or has_changed else "",
        asked_at=requested,
        channel=channel,
    )
    try:
        run = run_pass(child, order)
    except leases.LeaseHeld:  # a person is at work on it, or the command line
        SyncPass.objects.filter(pk=child.pk).update(next_due_at=started + BUSY_FOR)
        return "another run is under way; tried again in half a minute"
    _plan_next(child, run, requested)
    insta.hear(child, claim, run, timezone.now())
    return f"run {run.pk}: {run.state}"


def _is_full_due(child: SyncPass, now: datetime) -> bool:
    """Tells whether the mailbox is compared as a whole (engine-rules 7). The first time comes early for some and late for
    others, so that those who joined together are not compared on the same day."""
    if not child.full_every_days:
        return False
    if child.next_full_at is None:
        _plan_full(child, now, share=0.5 + mailbox_queue.phase_of(child) / 2)
        return False
    return child.next_full_at <= now


def _plan_full(child: SyncPass, now: datetime, share: float = 1.0) -> None:
    SyncPass.objects.filter(pk=child.pk).update(next_full_at=now + timedelta(days=child.full_every_days) * share)


def _plan_next(child: SyncPass, run: Run, requested: datetime | None) -> None:
    """Says when the mailbox has its next turn. One that somebody asked for meanwhile keeps its mark, and is due."""
    now, interval = timezone.now(), timedelta(seconds=child.interval_seconds)
    if run.is_full and run.state in (Run.State.FINISHED, Run.State.PARTIAL):
        _plan_full(child, now)
    rows = SyncPass.objects.filter(pk=child.pk, run_requested_at=requested)
    if run.state == Run.State.INTERRUPTED:  # the runner set when to try again
        rows.update(run_requested_at=None)
    elif run.state == Run.State.FAILED:
        rows.update(run_requested_at=None, next_due_at=now + interval)
    elif run.state == Run.State.PARTIAL:  # behind those that are due already: one long load keeps nobody waiting twice
        rows.update(run_requested_at=None, next_due_at=now)
    else:
        usual = mailbox_queue.next_turn(child, run.started_at, _pause(child, run).total_seconds())
        rows.update(run_requested_at=None, next_due_at=insta.look_turn(child, run, now) or usual)


def _pause(child: SyncPass, run: Run) -> timedelta:
    """Returns how long the mailbox waits after a run that came to its end. The preview of one that was never started stands until
    somebody looks at it, changes its settings or asks for another."""
    interval = timedelta(seconds=child.interval_seconds)
    if run.kind != Run.Kind.PREVIEW:
        return interval
    return FIRST_PREVIEW_AGAIN if mailbox_queue.is_first(child) else max(interval, PLANS_EVERY)


def look_after() -> str:
    """Looks again for the Salesforce users of mailboxes without one, and for people who left: daily."""
    try:
        done = mailboxes_look_after()
    except ConnectorError as error:  # tomorrow is another day
        return f"not done: {error.sentence}"
    return f"{done.matched} matched, {done.left} left"


def look_at_people() -> str:
    """Looks whether people that were made were completed in Salesforce, and which domains are our own: daily."""
    looked = made_people_look_daily()
    said = [f"{looked.complete} complete", *looked.troubles]
    try:
        new = domains_look_up(None)
        said.append(f"{counted(len(new), 'domain is', 'domains are')} new")
    except ConnectorError as error:  # tomorrow is another day
        said.append(f"domains not looked at: {error.sentence}")
    return "; ".join(said)


def keep_insta_sync() -> str:
    """Takes up notices that were spooled, lets those run that were told of and forgotten, and sees to it that the calendars that are
    to be watched are: every minute."""
    now = timezone.now()
    spooled, pulled = take_up_spooled(), insta.pull(now)
    put = insta.put_in_queue(now)
    return f"{spooled} taken up, {pulled} brought forward, {put} put in the queue; watches: {watches.keep(now)}"

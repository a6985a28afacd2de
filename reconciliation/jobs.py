"""What the cluster carries out. Tasks are nudges: the database holds the work, so a lost or doubled one costs a minute."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta

from django.conf import settings
from django.contrib.auth.models import User
from django.utils import timezone
from django_q.models import Schedule
from django_q.tasks import async_task, schedule

from connectors.errors import ConnectorError, NeedsAttention
from reconciliation import mailbox_jobs
from reconciliation.core.counting import bent, counted
from reconciliation.engine import importing, outbox, worlds
from reconciliation.engine import lease as leases
from reconciliation.engine.brakes import BrakeTripped
from reconciliation.engine.context import Order
from reconciliation.engine.overwritten import work_off
from reconciliation.engine.runner import holder_name, run_pass
from reconciliation.engine.staff import Busy
from reconciliation.engine.stop import WritesStopped, stopped
from reconciliation.models import Case, Connection, Import, Run, SyncPass
from reconciliation.models.sync_pass import MAILBOX_PASSES
from reconciliation.services import differences, errors, forgetting, retention
from reconciliation.services.alert_watch import watch
from reconciliation.services.case_refresh import cases_refresh
from reconciliation.services.conflict_refresh import conflicts_refresh
from reconciliation.services.conflict_tidy import conflicts_ask, conflicts_tidy
from reconciliation.services.conflicts import conflicts_settle, keys_by_pass
from reconciliation.services.duplicate_bulk import duplicates_link
from reconciliation.services.duplicates import DecisionRefused
from reconciliation.services.hook_receiver import take_up_spooled
from reconciliation.services.imports import import_interrupt
from reconciliation.services.owners import owners_recheck
from reconciliation.services.remap import remap_many
from reconciliation.services.tokens import tokens_keep_alive
from reconciliation.services.undo import undo, undoable
from reconciliation.services.webhooks import hooks_check, wake_later

log = logging.getLogger(__name__)
# The scheduler looks every 30 seconds: a tick that comes that much early still counts as due.
GRAIN = timedelta(seconds=30)
PLANS_EVERY = timedelta(minutes=15)  # while all writes are stopped
PUT_OFF, MOST_TRIES = timedelta(seconds=30), 30
HELD_TRIES = 20  # longer than any create stays in doubt


def tick(name: str) -> str:
    """Runs the pass if it is due and a process channel is free. Returns what was done, for the task log."""
    sync_pass = SyncPass.objects.select_related("crm", "peer", "mapping").filter(name=name).first()
    if sync_pass is None or not sync_pass.is_on:
        return "off"
    now = timezone.now()
    if sync_pass.is_paused:
        return "paused"
    if sync_pass.hold_reason:
        return "held"
    if name in MAILBOX_PASSES:
        return mailbox_jobs.go_round(sync_pass, now)
    early = GRAIN if not sync_pass.trouble_count else timedelta(0)  # a wait that a system asked for is kept to the second
    if sync_pass.next_due_at is not None and sync_pass.next_due_at - early > now and sync_pass.run_requested_at is None:
        return "not due"
    return _run_in_channel(sync_pass, Run.Kind.SCHEDULED)


def run_now(name: str, started_by: str) -> str:
    """Runs the pass because somebody asked, also while it is paused or not due."""
    sync_pass = SyncPass.objects.select_related("crm", "peer", "mapping").get(name=name)
    if not sync_pass.is_on:
        return "off"
    if name in MAILBOX_PASSES:
        return mailbox_jobs.run_all(sync_pass)
    if sync_pass.mailbox_id is not None:
        return mailbox_jobs.run_one(sync_pass)
    return _run_in_channel(sync_pass, Run.Kind.MANUAL, started_by)


def nudge(name: str, started_by: str = "") -> None:
    """Asks for a run as soon as a worker is free. The mark on the row outlives a lost task."""
    child = SyncPass.objects.filter(name=name, mailbox__isnull=False).first()
    if child is not None:
        mailbox_jobs.run_one(child)
        return
    SyncPass.objects.filter(name=name).update(run_requested_at=timezone.now())
    async_task("reconciliation.jobs.run_now", name, started_by, task_name=f"{name} now")


def preview(name: str, started_by: str, tries: int = 0) -> str:
    """Plans the pass without writing."""
    sync_pass = SyncPass.objects.select_related("crm", "peer", "mapping").get(name=name)

    def work() -> str:
        run = run_pass(sync_pass, Order(kind=Run.Kind.PREVIEW, started_by=started_by))
        return f"run {run.pk}: {run.state}"

    return _patiently(Errand("preview", (name, started_by), tries, sync_pass, started_by, "Preview."), work)


def apply_preview(run_id: int, started_by: str, tries: int = 0) -> str:
    """Carries out exactly what a preview showed."""
    planned = Run.objects.select_related("sync_pass__crm", "sync_pass__peer", "sync_pass__mapping").get(pk=run_id)

    def work() -> str:
        run = run_pass(planned.sync_pass, Order(kind=Run.Kind.APPLY, started_by=started_by, apply_of=run_id))
        return f"run {run.pk}: {run.state}"

    return _patiently(Errand("apply_preview", (run_id, started_by), tries, planned.sync_pass, started_by, f"Apply preview {run_id}."), work)


def pilot(name: str, started_by: str, ids: list[str], most_new: int | None = None, tries: int = 0) -> str:
    """Runs the pass for hand-picked organisations, or for the next few new ones."""
    sync_pass = SyncPass.objects.select_related("crm", "peer", "mapping").get(name=name)

    def work() -> str:
        order = Order(kind=Run.Kind.PILOT, started_by=started_by, only_ids=tuple(ids), most_new=most_new)
        run = run_pass(sync_pass, order)
        return f"run {run.pk}: {run.state}"

    return _patiently(Errand("pilot", (name, started_by, ids, most_new), tries, sync_pass, started_by, "Pilot."), work)


@dataclass(frozen=True, slots=True)
class Errand:
    """A task that somebody asked for: which function, its arguments, how often it found the pass at work, for whom."""

    task: str
    arguments: tuple[object, ...]
    tries: int
    sync_pass: SyncPass
    by: str
    what: str


def _patiently(errand: Errand, work: Callable[[], str]) -> str:
    """Carries the task out, or puts it off for half a minute while the pass is at work: a click is never lost. When that
    went on for a quarter of an hour, the runs say that nothing was done."""
    try:
        return work()
    except (Busy, leases.LeaseHeld):
        if errand.tries < MOST_TRIES:
            later = timezone.now() + PUT_OFF
            schedule(f"reconciliation.jobs.{errand.task}", *errand.arguments, errand.tries + 1, schedule_type=Schedule.ONCE, next_run=later)
            return "the pass is at work; tried again in half a minute"
        return _given_up(errand, Run.State.FAILED, "The pass was at work for a quarter of an hour; nothing was done. Try again.")
    except WritesStopped as refusal:
        return _given_up(errand, Run.State.HELD, str(refusal))
    except ConnectorError as error:  # its run says what happened
        return error.sentence
    except DecisionRefused as refusal:  # so does this one's
        return str(refusal)


def _given_up(errand: Errand, state: str, why: str) -> str:
    """Leaves a run that says why nothing was done."""
    now, note = timezone.now(), f"{errand.what} {why}"
    Run.objects.create(
        sync_pass=errand.sync_pass, kind=Run.Kind.STAFF, state=state, started_at=now, ended_at=now, started_by=errand.by, note=note
    )
    return "given up"


def recheck_owners(name: str, started_by: str = "") -> str:
    """Looks again for the owners of records without one: daily, and when somebody asks (D6)."""
    sync_pass = SyncPass.objects.select_related("crm", "peer", "mapping").filter(name=name).first()
    if sync_pass is None or not sync_pass.is_on:
        return "off"
    found = owners_recheck(sync_pass, started_by)
    if found:
        nudge(name, started_by)
    return f"{counted(found, 'owner')} found"


def refresh_cases(name: str, started_by: str = "") -> str:
    """Closes cases that were overtaken in Workbooks: hourly, and when somebody asks (D35)."""
    sync_pass = SyncPass.objects.select_related("crm", "peer", "mapping").filter(name=name).first()
    if sync_pass is None or not sync_pass.is_on:
        return "off"
    try:
        result = cases_refresh(sync_pass, started_by)
    except (Busy, ConnectorError, WritesStopped) as reason:  # the next hour tries again
        return f"not done: {reason}"
    if result.rearmed:
        nudge(name, started_by)
    return f"{result.looked_at} looked at, {result.closed} closed"


def link_duplicates(keys: list[str], user_id: int, tries: int = 0) -> str:
    """Links the duplicates that a person chose from the preview of equal domains."""
    user = User.objects.get(pk=user_id)

    def work() -> str:
        linked, refused = duplicates_link(keys, user)
        return f"{linked} linked, {refused} refused"

    sync_pass = SyncPass.objects.get(name="organisations")
    what = f"Link {counted(len(keys), 'duplicate')} with equal domain."
    return _patiently(Errand("link_duplicates", (keys, user_id), tries, sync_pass, user.get_username(), what), work)


def refresh_conflicts(started_by: str = "") -> str:
    """Closes conflicts whose sides agree by now: hourly, and when somebody asks (D10)."""
    done = []
    for sync_pass in SyncPass.objects.select_related("crm", "peer", "mapping").filter(is_on=True).exclude(record_types=None).distinct():
        if sync_pass.is_over_mailboxes:
            done.append(_tidy_conflicts(sync_pass, started_by))
            continue
        try:
            result = conflicts_refresh(sync_pass, started_by)
        except (Busy, ConnectorError, WritesStopped) as reason:  # the next hour tries again
            done.append(f"{sync_pass.name} not done: {reason}")
            continue
        done.append(f"{sync_pass.name}: {result.looked_at} looked at, {result.closed} closed")
    return "; ".join(done) or "off"


def _tidy_conflicts(parent: SyncPass, started_by: str) -> str:
    """Closes conflicts of mailboxes that are over; when a person asks, the mailboxes look at theirs before their turn."""
    result, asked = conflicts_tidy(parent), conflicts_ask(parent) if started_by else 0
    said = f"{parent.name}: {result.looked_at} looked at, {result.closed} closed"
    return f"{said}, {counted(asked, 'mailbox', 'mailboxes')} asked for" if asked else said


def settle_conflicts(name: str, keys: list[str], take: str, user_id: int, reason: str = "", tries: int = 0) -> str:
    """Takes one side's values of a field for many records, as they were shown."""
    user, sync_pass = User.objects.get(pk=user_id), SyncPass.objects.get(name=name)
    if sync_pass.is_over_mailboxes:
        by_mailbox = keys_by_pass(keys)
        for child, own in by_mailbox.items():
            ask_for("settle_conflicts", child, own, take, user_id, reason)
        return f"{counted(len(by_mailbox), 'mailbox', 'mailboxes')} asked for"

    def work() -> str:
        settled, refused = conflicts_settle(keys, "crm" if take == "crm" else "peer", user, reason=reason)
        return f"{settled} settled, {refused} refused"

    what = f"Decide {counted(len(keys), 'conflict')}."
    return _patiently(Errand("settle_conflicts", (name, keys, take, user_id, reason), tries, sync_pass, user.get_username(), what), work)


def remap_prospects(keys: list[str], user_id: int, reason: str = "", tries: int = 0) -> str:
    """Lets many prospects belong to the records that were chosen from a preview."""
    user, sync_pass = User.objects.get(pk=user_id), SyncPass.objects.get(name="prospects")

    def work() -> str:
        done, kept, refused = remap_many(keys, user, reason=reason)
        return f"{done} remapped, {kept} kept, {refused} refused"

    what = f"Remap {counted(len(keys), 'prospect')}."
    return _patiently(Errand("remap_prospects", (keys, user_id, reason), tries, sync_pass, user.get_username(), what), work)


def retry_errors(case_ids: list[int], user_id: int, tries: int = 0) -> str:
    """Re-arms many errors at once, then lets their passes try them: an errand for each pass."""
    user = User.objects.get(pk=user_id)
    rows = Case.objects.select_related("sync_pass__crm", "sync_pass__peer", "sync_pass__mapping").filter(pk__in=case_ids)
    said = []
    for cases in errors.by_pass(rows.order_by("pk")):
        sync_pass, own = cases[0].sync_pass, [c.pk for c in cases]

        def work(cases: list[Case] = cases, sync_pass: SyncPass = sync_pass) -> str:
            done = errors.error_retry([c for c in cases if c.state == Case.State.OPEN], user)
            if done:
                nudge(sync_pass.name, user.get_username())
            return f"{done} of {len(cases)} re-armed"

        what = f"Retry {counted(len(own), 'error')}."
        said.append(_patiently(Errand("retry_errors", (own, user_id), tries, sync_pass, user.get_username(), what), work))
    return "; ".join(said) or "none is left"


def carry_import(import_id: int, tries: int = 0) -> str:
    """Carries an import for as long as a run may take, then asks for the rest: passes get their turn in between. What
    passes by itself is waited for, what needs a person is said on its page."""
    batch = Import.objects.select_related("sync_pass__crm", "sync_pass__peer", "sync_pass__mapping").get(pk=import_id)
    if batch.state not in (Import.State.WAITING, Import.State.RUNNING):
        return "nothing to do"
    wait = PUT_OFF
    try:
        is_over = importing.carry(batch, budget=float(batch.sync_pass.time_budget_seconds))
    except (Busy, leases.LeaseHeld, leases.LeaseLost):
        why = "The pass was at work."
    except importing.StillHeld as held:
        why = str(held)
        if tries >= HELD_TRIES:
            importing.give_up_held(batch, timezone.now())
            return why
    except (WritesStopped, BrakeTripped, NeedsAttention) as trouble:
        why, tries = _said(trouble), MOST_TRIES
    except ConnectorError as error:
        why, wait = _said(error), max(PUT_OFF, timedelta(seconds=error.retry_after or 0))
    except Exception as error:
        import_interrupt(batch, f"{type(error).__name__}: {str(error)[:300]}")
        raise
    else:
        if is_over:
            return "done"
        ask_for("carry_import", import_id)
        return "goes on"
    if tries >= MOST_TRIES:
        import_interrupt(batch, f"{why} What has its outcome keeps it; the rest waits.")
        return why
    Import.objects.filter(pk=import_id).update(note=f"{why} It goes on by itself.")
    if not _is_put_off(import_id):
        later = {"schedule_type": Schedule.ONCE, "next_run": timezone.now() + wait, "name": _later_name(import_id)}
        schedule("reconciliation.jobs.carry_import", import_id, tries + 1, **later)
    return f"{why} Tried again later."


def _later_name(import_id: int) -> str:
    return f"import {import_id} goes on"


def _is_put_off(import_id: int) -> bool:
    return Schedule.objects.filter(name=_later_name(import_id)).exists()


def _said(trouble: Exception) -> str:
    if not isinstance(trouble, ConnectorError):
        return str(trouble)
    return f"{trouble.sentence}. {trouble.remedy}" if isinstance(trouble, NeedsAttention) else f"{trouble.sentence}."


def undo_writes(run_id: int, operation_ids: list[int], user_id: int, field: str = "", reason: str = "", tries: int = 0) -> str:
    """Takes many writes of a run back, or one field of them."""
    run = Run.objects.select_related("sync_pass__crm", "sync_pass__peer", "sync_pass__mapping").get(pk=run_id)
    user = User.objects.get(pk=user_id)

    def work() -> str:
        lines = undo(run.sync_pass, list(undoable(run).filter(pk__in=operation_ids)), user, field=field, reason=reason)
        return f"{sum(line.is_possible for line in lines)} of {len(lines)} taken back"

    arguments = (run_id, operation_ids, user_id, field, reason)
    what = f"Undo {counted(len(operation_ids), 'write')} of run {run_id}."
    return _patiently(Errand("undo_writes", arguments, tries, run.sync_pass, user.get_username(), what), work)


def watch_alerts() -> str:
    """Looks what people should be told, every minute, and asks for the sending of what waits: both are no business of a
    pass, and go on while every pass is off."""
    now = timezone.now()
    done = watch(now)
    for import_id in importing.left_lying(now):  # its task died with its worker or its queue
        if not _is_put_off(import_id):
            ask_for("carry_import", import_id)
    if outbox.has_due(now):
        async_task("reconciliation.jobs.send_messages", task_name="send messages")
    return done


def send_messages() -> str:
    """Sends the mails and chat messages that wait. What a server refuses now is tried again later."""
    return outbox.send_due(timezone.now())


def prune(user_id: int | None = None) -> str:
    """Removes what is older than the settings allow: daily, and when somebody asks. What is left when its time is over is
    done by another task, so that the queue goes on meanwhile."""
    done = retention.prune(User.objects.filter(pk=user_id).first() if user_id else None)
    if not done.is_complete:
        ask_for("prune", user_id)
    for task, pk in forgetting.left_lying(timezone.now()):
        ask_for(task, pk)
    return done.sentence


def forget_count(forgetting_id: int) -> str:
    """Counts where a person's values stand; nothing is changed."""
    return forgetting.forget_count(forgetting_id)


def forget(forgetting_id: int) -> str:
    """Blanks a person's values from where the last task stopped."""
    if forgetting.forget_carry_on(forgetting_id):
        return "done"
    ask_for("forget", forgetting_id)
    return "goes on"


def force_differences(keys: list[str], user_id: int, reason: str = "", tries: int = 0) -> str:
    """Sends one side's values for many fields that differ, as they were shown: an errand for each pass, so that one that is
    at work puts off its own fields alone."""
    user, shown, said = User.objects.get(pk=user_id), differences.rows_of(keys), []
    for sync_pass, rows in differences.by_pass(differences.chosen(list(shown))):
        own = [f"{row.pk}|{shown[row.pk]}" for row in rows]

        def work(own: list[str] = own) -> str:
            done = differences.force(own, user, reason=reason)
            return f"{done.written} written, {done.agreed} agreed already, {len(done.refusals)} refused"

        what = f"Force {counted(len(own), 'field')} that {bent(len(own), 'differs', 'differ')}."
        said.append(_patiently(Errand("force_differences", (own, user_id, reason), tries, sync_pass, user.get_username(), what), work))
    return "; ".join(said) or "none is left"


def work_off_deliveries() -> str:
    """Takes up what was spooled, puts values that we overwrote unseen into the journal, and wakes the passes that were told
    of a change since they were last woken: every minute."""
    spooled = take_up_spooled()
    now, deliveries, values = timezone.now(), 0, 0
    for connection in Connection.objects.filter(system=Connection.System.OUTREACH).order_by("pk"):
        done = work_off(connection, now)
        wake_later(connection, done.told_at, now)
        deliveries, values = deliveries + done.deliveries, values + done.values
    return f"{spooled} taken up, {deliveries} worked off, {counted(values, 'overwritten value')} found"


def check_hooks() -> str:
    """Looks whether our webhooks are still there and makes anew what Outreach switched off: daily."""
    return "; ".join(f"{name}: {what}" for name, what in hooks_check().items()) or "none is on"


def renew_tokens() -> str:
    """Renews what would die of not being used: looked at every six hours, done daily."""
    done = tokens_keep_alive()
    return "; ".join(f"{name}: {what}" for name, what in done.items()) or "none was idle"


def ask_for(task: str, *arguments: object) -> None:
    """Puts a task of this module in the queue."""
    async_task(f"reconciliation.jobs.{task}", *arguments, task_name=task)


def _run_in_channel(sync_pass: SyncPass, kind: str, started_by: str = "") -> str:
    """Takes a process channel of the CRM connection (S0.7, D1), runs within the time budget, and asks for a
    continuation at once when work is left."""
    channel = _take_channel(sync_pass)
    if channel is None:
        SyncPass.objects.filter(pk=sync_pass.pk, channel_wanted_at=None).update(channel_wanted_at=timezone.now())
        return "waits for a process channel"
    try:
        SyncPass.objects.filter(pk=sync_pass.pk).update(channel_wanted_at=None)
        requested = sync_pass.run_requested_at
        started = timezone.now()
        worlds.check(sync_pass)
        _work_off_before(sync_pass)
        budget = float(sync_pass.time_budget_seconds)
        is_full = kind == Run.Kind.SCHEDULED and not stopped() and _is_full_due(sync_pass)
        order = Order(kind=kind, budget=budget, started_by=started_by, is_full=is_full, channel=channel)
        run = run_pass(sync_pass, order)
    except leases.LeaseHeld:
        SyncPass.objects.filter(pk=sync_pass.pk).update(run_requested_at=timezone.now())
        return "another run is under way; it goes round again"
    finally:
        channel.release()
    _plan_next(sync_pass, run, started, requested)
    return f"run {run.pk}: {run.state}"


def _work_off_before(sync_pass: SyncPass) -> None:
    """Works off what webhooks told before a two-way pass begins. Nothing of it may keep the pass from running."""
    if sync_pass.record_types.exists():
        try:
            work_off(sync_pass.peer, timezone.now())
        except Exception:
            log.exception("deliveries of webhooks were not worked off")


def _is_full_due(sync_pass: SyncPass) -> bool:
    """Tells whether the full comparison is due (engine-rules 7: weekly). It waits for the end of a sweep under way,
    since it begins anew; the next one is planned once this one has begun."""
    if not sync_pass.full_every_days or sync_pass.sweep_started_at is not None:
        return False
    if sync_pass.next_full_at is None:
        _plan_full(sync_pass)
        return False
    return sync_pass.next_full_at <= timezone.now()


def _plan_full(sync_pass: SyncPass) -> None:
    following = timezone.now() + timedelta(days=sync_pass.full_every_days)
    SyncPass.objects.filter(pk=sync_pass.pk).update(next_full_at=following)


def _hand_over(sync_pass: SyncPass) -> None:
    """Nudges the pass that waits longest for a channel of this CRM, before this one goes on (engine-rules 22)."""
    waiting = SyncPass.objects.filter(crm=sync_pass.crm_id, is_on=True, is_paused=False).exclude(pk=sync_pass.pk)
    longest = waiting.exclude(channel_wanted_at=None).order_by("channel_wanted_at").first()
    if longest is not None:
        async_task("reconciliation.jobs.run_now", longest.name, "channel free", task_name=f"{longest.name} has a channel")


def _take_channel(sync_pass: SyncPass) -> leases.Lease | None:
    for slot in range(settings.PROCESS_CHANNELS):
        try:
            return leases.take(f"channel:{sync_pass.crm_id}:{slot}", holder_name())
        except leases.LeaseHeld:
            continue
    return None


def _plan_next(sync_pass: SyncPass, run: Run, started: object, requested: object) -> None:
    rows = SyncPass.objects.filter(pk=sync_pass.pk)
    rows.filter(run_requested_at=requested).update(run_requested_at=None)
    if run.is_full and (run.state in (Run.State.FINISHED, Run.State.PARTIAL) or rows.filter(sweep_is_full=True).exists()):
        _plan_full(sync_pass)
    _hand_over(sync_pass)
    if run.state in (Run.State.INTERRUPTED, Run.State.FAILED):
        if run.state == Run.State.FAILED:
            rows.update(next_due_at=timezone.now() + timedelta(seconds=sync_pass.interval_seconds))
        return  # the runner set when to try again
    pause = timedelta(seconds=sync_pass.interval_seconds)
    if run.kind == Run.Kind.PREVIEW:  # all writes are stopped: the same plan every minute would help nobody
        pause = max(pause, PLANS_EVERY)
    rows.update(next_due_at=run.started_at + pause)
    sync_pass.refresh_from_db()
    if run.state == Run.State.PARTIAL or sync_pass.run_requested_at is not None:
        async_task("reconciliation.jobs.run_now", sync_pass.name, "continuation", task_name=f"{sync_pass.name} goes on")

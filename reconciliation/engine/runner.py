"""One run of a pass: lease, recovery, pages, cursor, ledger. `runpass`, the cluster and the buttons all come here."""

from __future__ import annotations

import logging
import os
import socket
import uuid
from datetime import timedelta
from typing import Any

from django.db.models import Q

from connectors.errors import ConnectorError, MappingError, NeedsAttention
from reconciliation.core.ledger import LedgerDoesNotAddUp
from reconciliation.engine import brakes, gate, mailbox_health, mapping_trouble, previews, stop
from reconciliation.engine import lease as leases
from reconciliation.engine.context import Order, RunContext
from reconciliation.engine.dead_runs import close_dead_runs
from reconciliation.engine.executor import Executor, Side
from reconciliation.engine.wiring import OPENS, Wiring
from reconciliation.engine.works import work_of
from reconciliation.models import Connection, Mailbox, Run, SyncPass
from reconciliation.models.work_left import work_left
from reconciliation.store import person_columns
from syncsite.logging import during_run

log = logging.getLogger(__name__)
BACK_OFF_MINUTES = (1, 2, 4, 8, 15)


def holder_name() -> str:
    """Returns a name no other holder has, readable for people: host, process, a random part."""
    return f"{socket.gethostname()[:40]}:{os.getpid()}:{uuid.uuid4().hex[:8]}"


def run_pass(sync_pass: SyncPass, order: Order, wiring: Wiring | None = None) -> Run:
    """Runs the pass once and returns the closed run. Raises LeaseHeld when another run is under way."""
    wiring = wiring or Wiring()
    lease = leases.take(f"pass:{sync_pass.name}", holder_name(), db_now=wiring.db_now, monotonic=wiring.monotonic)
    lease.channel = order.channel
    try:
        related = ("crm", "peer", "mapping", "parent", "mailbox__group")
        sync_pass.refresh_from_db(from_queryset=SyncPass.objects.select_related(*related))
        run = open_run(
            sync_pass, lease, wiring, kind=order.kind, is_full=order.is_full, started_by=order.started_by, applies=order.apply_of
        )
        with during_run(run.pk):
            return _between_sides(sync_pass, run, lease, order, wiring)
    finally:
        lease.release()


def _between_sides(sync_pass: SyncPass, run: Run, lease: leases.Lease, order: Order, wiring: Wiring) -> Run:
    sides: list[Side] = []
    try:
        for connection in (sync_pass.crm, sync_pass.peer):
            sides.append(open_side(connection, lease, wiring, sync_pass.mailbox, sync_pass.kind))
        return _run(sync_pass, run, lease, sides, order, wiring)
    except NeedsAttention as error:  # a connection that cannot even be opened: no key, a refused address
        return _never_began(sync_pass, run, error, wiring)
    finally:
        for side in sides:
            side.connector.close()


def open_run(sync_pass: SyncPass, lease: leases.Lease, wiring: Wiring, **values: object) -> Run:
    """Returns a new run under this lease."""
    return Run.objects.create(sync_pass=sync_pass, started_at=wiring.now(), lease_token=lease.token, **values)


def _never_began(sync_pass: SyncPass, run: Run, error: NeedsAttention, wiring: Wiring) -> Run:
    is_own = run.kind == Run.Kind.PREVIEW and mailbox_health.is_of_mailbox(sync_pass, error)
    if run.kind != Run.Kind.PREVIEW:
        wait_for_mend(sync_pass, error, wiring)
        is_own = mailbox_health.note_failure(sync_pass, error, wiring.now())
    if not is_own:
        mark_trouble(sync_pass, error, wiring)
    close_dead_runs(sync_pass, run, wiring.now())
    return end_run(run, Run.State.INTERRUPTED, error.sentence, wiring)


def end_run(run: Run, state: str, note: str, wiring: Wiring) -> Run:
    """Closes a run that came to nothing, without a ledger."""
    run.state, run.note, run.ended_at = state, note, wiring.now()
    run.save(update_fields=["state", "note", "ended_at"])
    return run


def open_side(connection: Connection, lease: leases.Lease, wiring: Wiring, mailbox: Mailbox | None = None, kind: str = "contacts") -> Side:
    """Returns one side of a run; no call of it starts that could outlive the lease. Of a run over a mailbox the connection that
    leads to mailboxes is opened at that one."""
    connector = wiring.open_connector(connection, before_send=lease.guard, workers=wiring.workers)
    if mailbox is not None and mailbox.connection_id == connection.pk:
        connector = OPENS[kind](connector, mailbox.address)
    return Side(connection, connector)


def build_context(sync_pass: SyncPass, run: Run, lease: leases.Lease, sides: list[Side], wiring: Wiring) -> RunContext:
    """Returns what a run carries about, with the terms as they stand now."""
    crm, peer = sides

    def make_terms() -> Any:
        return work_of(sync_pass).terms(sync_pass, crm, peer, wiring)

    return RunContext(
        run=run,
        sync_pass=sync_pass,
        lease=lease,
        crm=crm,
        peer=peer,
        executor=Executor(run, lease, crm, peer, wiring),
        terms=make_terms(),
        make_terms=make_terms,
        person_columns=person_columns(sync_pass),
        wiring=wiring,
    )


def _run(sync_pass: SyncPass, run: Run, lease: leases.Lease, sides: list[Side], order: Order, wiring: Wiring) -> Run:
    context, work = build_context(sync_pass, run, lease, sides, wiring), work_of(sync_pass)
    left = work_left(sync_pass, run.pk)
    if left.dead_runs:
        close_dead_runs(sync_pass, run, wiring.now())
    held = "" if order.kind == Run.Kind.PREVIEW else gate.held_because(sync_pass, order.kind)
    if held and (order.apply_of or order.kind == Run.Kind.PILOT):
        return close(context, Run.State.HELD, held)
    if held:
        run.kind = Run.Kind.PREVIEW
    context.is_preview = run.kind == Run.Kind.PREVIEW
    if context.is_preview and gate.is_closed(sync_pass):
        run.rests_on = gate.what_it_rests_on(sync_pass)
    context.is_pilot, context.only_ids, context.most_new = order.kind == Run.Kind.PILOT, order.only_ids, order.most_new
    try:
        if sync_pass.hold_reason and not context.is_preview:
            return close(context, Run.State.HELD, f"{sync_pass.hold_reason}. The pass goes on when that was mended.")
        work.open(context)
        if context.is_preview:
            previews.begin(context)
        else:
            work.recover(context, left)
            if left.retries and not context.is_pilot and not order.apply_of:  # it does what its plan says, which may wait for just that
                work.retry_owed(context)
        state, note = work.apply(context, order.apply_of) if order.apply_of else work.sweep(context, order)
        if held:
            state, note = Run.State.HELD, held
        _cured(context)
    except MappingError as error:
        if context.is_preview:  # it says what is wrong, and holds nothing
            title = mapping_trouble.plugin_title(context, error)
            why = f"{error.sentence}, which stands for {title}: see Set-up, Fields." if title else f"{error.sentence}. {error.remedy}"
            return close(context, Run.State.FAILED, why)
        mapping_trouble.hold(context, error)
        is_held = bool(sync_pass.hold_reason)
        state = Run.State.HELD if is_held else Run.State.PARTIAL
        note = f"{error.sentence} {'The pass goes on when that was mended.' if is_held else 'The row is held; the rest goes on.'}"
    except ConnectorError as error:
        # Also a refused read: it names no record that could be flagged, and says nothing of those behind it.
        state, note = Run.State.INTERRUPTED, error.sentence
        _troubled(context, error)
    except gate.RunHeld as reason:
        state, note = Run.State.HELD, str(reason)
        _put_off(context)
    except brakes.BrakeTripped as tripped:
        state, note = Run.State.HELD, f"{tripped} Look at the plan, then approve it."
        _put_off(context)
    except stop.WritesStopped as refusal:  # switched on while this run was under way
        state, note = Run.State.HELD, str(refusal)
    except previews.PreviewRefused as refusal:
        state, note = Run.State.FAILED, str(refusal)
    except leases.LeaseLost:
        state, note = Run.State.INTERRUPTED, "Another run took over while this one was frozen; nothing more was written."
    except Exception as error:
        log.exception("run %s of %s failed", run.pk, sync_pass.name)
        state, note = Run.State.FAILED, f"{type(error).__name__}: {str(error)[:300]}"
    return close(context, state, note)


def close(context: RunContext, state: str, note: str) -> Run:
    """Writes the ledger of the run and returns it closed; one that does not add up has failed."""
    run = context.run
    try:
        context.ledger.check()
    except LedgerDoesNotAddUp as error:
        state, note = Run.State.FAILED, str(error)
    for name, value in context.counts().items():
        setattr(run, name, value)
    run.state, run.note, run.ended_at = state, note, context.wiring.now()
    run.save()
    level = logging.WARNING if state in (Run.State.INTERRUPTED, Run.State.FAILED) else logging.INFO
    counts = (run.seen, run.created, run.updated, run.duplicates, run.failed, run.held)
    log.log(level, "%s: %s; %d seen, %d created, %d updated, %d duplicates, %d failed, %d held", context.sync_pass.name, state, *counts)
    for side in (context.crm, context.peer):
        counts = side.connector.counts()
        Connection.objects.filter(pk=side.connection.pk).update(
            calls_limit=counts.limit, calls_remaining=counts.remaining, calls_reset_at=counts.reset_at
        )
    return run


def _troubled(context: RunContext, error: ConnectorError) -> None:
    is_own = context.is_preview and mailbox_health.is_of_mailbox(context.sync_pass, error)
    if not context.is_preview:
        wait_for_mend(context.sync_pass, error, context.wiring)
        work_of(context.sync_pass).on_trouble(context, error)
        is_own = mailbox_health.note_failure(context.sync_pass, error, context.wiring.now())
    if not is_own:
        mark_trouble(context.sync_pass, error, context.wiring)


def wait_for_mend(sync_pass: SyncPass, error: ConnectorError, wiring: Wiring) -> None:
    """Nobody is flagged; the pass waits 1, 2, 4, 8, 15 minutes, or what Retry-After says (engine-rules 2)."""
    minutes = BACK_OFF_MINUTES[min(sync_pass.trouble_count, len(BACK_OFF_MINUTES) - 1)]
    wait = error.retry_after if error.retry_after is not None else minutes * 60
    # Somebody may have reconnected while this run failed: then the count began anew, and it is tried at once.
    same = SyncPass.objects.filter(pk=sync_pass.pk, trouble_count=sync_pass.trouble_count)
    same.update(trouble_count=sync_pass.trouble_count + 1, next_due_at=wiring.now() + timedelta(seconds=wait))
    sync_pass.refresh_from_db(fields=["trouble_count", "next_due_at"])


def mark_trouble(sync_pass: SyncPass, error: ConnectorError, wiring: Wiring) -> None:
    """Says on the connection that failed what is the matter with it."""
    state = Connection.State.NEEDS_ATTENTION if isinstance(error, NeedsAttention) else Connection.State.WAITING
    connection = next((c for c in (sync_pass.crm, sync_pass.peer) if c.system == error.system), sync_pass.peer)
    Connection.objects.filter(pk=connection.pk).update(state=state, last_error=error.sentence, last_error_at=wiring.now())


def _put_off(context: RunContext) -> None:
    """A held pass looks again at its next interval; it would only come to the same plan before."""
    interval = timedelta(seconds=context.sync_pass.interval_seconds)
    context.save_pass(next_due_at=context.wiring.now() + interval)


def _cured(context: RunContext) -> None:
    if context.sync_pass.trouble_count and not context.is_preview:
        SyncPass.objects.filter(pk=context.sync_pass.pk).update(trouble_count=0)
        context.sync_pass.trouble_count = 0
    if not context.is_preview:
        mailbox_health.note_success(context.sync_pass)
    sides = (context.crm, context.peer)
    rows = Connection.objects.filter(pk__in=[side.connection.pk for side in sides]).exclude(state=Connection.State.OK)
    # Trouble on the way is over when a run gets through; a refused access only when the system answered this run.
    answered = [side.connection.pk for side in sides if side.connector.counts().calls]
    over = rows.exclude(~Q(pk__in=answered), state=Connection.State.NEEDS_ATTENTION)
    over.update(state=Connection.State.OK, last_error="")

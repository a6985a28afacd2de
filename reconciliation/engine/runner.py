"""One run of a pass: lease, recovery, pages, cursor, ledger. `runpass`, the cluster and the buttons all come here."""

from __future__ import annotations

import logging
import os
import socket
import uuid
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from django.db import transaction
from django.db.models import Q

from connectors.contract import Condition, Page, Position, Record
from connectors.errors import ConnectionTrouble, ConnectorError, MappingError, NeedsAttention
from reconciliation.core.eligibility import explain, pilot_selection, selection
from reconciliation.core.ledger import LedgerDoesNotAddUp, Outcome
from reconciliation.engine import after_restore, brakes, cases, gate, mapping_trouble, previews, recovery, stop
from reconciliation.engine import lease as leases
from reconciliation.engine.context import RunContext
from reconciliation.engine.dead_runs import close_dead_runs
from reconciliation.engine.executor import Executor, Side
from reconciliation.engine.organisations import process_page
from reconciliation.engine.wiring import Wiring
from reconciliation.models import Binding, Connection, Operation, Run, SyncPass
from reconciliation.models.work_left import work_left
from reconciliation.passes.organisations import ORGANISATION, Terms
from reconciliation.store import mapping_of, organisation_columns, person_columns, restore_of
from syncsite.logging import during_run

log = logging.getLogger(__name__)
PAGE_SIZE = 100
TAKEN = (Outcome.CREATED, Outcome.UPDATED, Outcome.DUPLICATE, Outcome.FAILED)  # what counts as one of a pilot's batch
BATCH_ROWS = 500
BACK_OFF_MINUTES = (1, 2, 4, 8, 15)


@dataclass(frozen=True, slots=True)
class Order:
    """What a run is asked to do. `budget` is in seconds, None = no end."""

    kind: str = Run.Kind.MANUAL
    is_full: bool = False
    budget: float | None = None
    started_by: str = ""
    apply_of: int | None = None  # the preview whose plan is carried out
    only_ids: tuple[str, ...] = ()  # a pilot takes exactly these organisations
    most_new: int | None = None  # a pilot takes at most so many new ones
    channel: leases.Lease | None = None  # the process channel it runs in, renewed with its own lease


def holder_name() -> str:
    """Returns a name no other holder has, readable for people: host, process, a random part."""
    return f"{socket.gethostname()[:40]}:{os.getpid()}:{uuid.uuid4().hex[:8]}"


def run_pass(sync_pass: SyncPass, order: Order, wiring: Wiring | None = None) -> Run:
    """Runs the pass once and returns the closed run. Raises LeaseHeld when another run is under way."""
    wiring = wiring or Wiring()
    lease = leases.take(f"pass:{sync_pass.name}", holder_name(), db_now=wiring.db_now, monotonic=wiring.monotonic)
    lease.channel = order.channel
    try:
        sync_pass.refresh_from_db(from_queryset=SyncPass.objects.select_related("crm", "peer", "mapping"))
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
            sides.append(open_side(connection, lease, wiring))
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
    if run.kind != Run.Kind.PREVIEW:
        wait_for_mend(sync_pass, error, wiring)
    mark_trouble(sync_pass, error, wiring)
    close_dead_runs(sync_pass, run, wiring.now())
    return end_run(run, Run.State.INTERRUPTED, error.sentence, wiring)


def end_run(run: Run, state: str, note: str, wiring: Wiring) -> Run:
    """Closes a run that came to nothing, without a ledger."""
    run.state, run.note, run.ended_at = state, note, wiring.now()
    run.save(update_fields=["state", "note", "ended_at"])
    return run


def open_side(connection: Connection, lease: leases.Lease, wiring: Wiring) -> Side:
    """Returns one side of a run; no call of it starts that could outlive the lease."""
    return Side(connection, wiring.open_connector(connection, before_send=lease.guard, workers=wiring.workers))


def build_context(sync_pass: SyncPass, run: Run, lease: leases.Lease, sides: list[Side], wiring: Wiring) -> RunContext:
    """Returns what a run carries about, with the terms as they stand now."""
    crm, peer = sides
    return RunContext(
        run=run,
        sync_pass=sync_pass,
        lease=lease,
        crm=crm,
        peer=peer,
        executor=Executor(run, lease, crm, peer, wiring),
        terms=Terms(
            columns=organisation_columns(sync_pass),
            mapping=mapping_of(sync_pass.mapping, peer.connection),
            database=str(crm.connection.settings.get("database_id", "")),
            on_first_link=sync_pass.mapping.on_first_link,
            restore=restore_of(sync_pass),
            marker_field=peer.connector.marker_field,
            looks_are_echo_blind=wiring.switches.takes_echo_for_change,
            sends_whole_record=wiring.switches.writes_whole_record,
        ),
        person_columns=person_columns(sync_pass),
        wiring=wiring,
    )


def _run(sync_pass: SyncPass, run: Run, lease: leases.Lease, sides: list[Side], order: Order, wiring: Wiring) -> Run:
    context = build_context(sync_pass, run, lease, sides, wiring)
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
        if context.is_preview:
            previews.begin(context)
        else:
            recovery.recover(context, left)
            if left.retries and not context.is_pilot:
                _retry_owed(context)
        state, note = _apply(context, order.apply_of) if order.apply_of else _sweep(context, order)
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


def _columns(context: RunContext) -> list[str]:
    terms = context.terms
    return list(dict.fromkeys(["name", *terms.columns.names, *terms.mapping.crm_fields]))


def _sweep(context: RunContext, order: Order) -> tuple[str, str]:
    """Reads the pages of the sweep, an unfinished one first. Returns the state the run ends in, and a note."""
    sync_pass, wiring = context.sync_pass, context.wiring
    if context.terms.restore is not None and not context.is_preview:
        after_restore.flags_without_case(context)
    if not context.moves_cursor:  # it looks at a whole sweep, whatever an earlier run has left
        _save(context, sweep_started_at=None, sweep_is_full=False, position_at=None, position_id="")
    if order.is_full:
        _save(context, sweep_started_at=None, sweep_is_full=True, position_at=None, position_id="", sweep_blanked={}, approved_blanking=[])
    ends = None if order.budget is None or gate.is_closed(sync_pass) else wiring.monotonic() + order.budget
    if sync_pass.sweep_started_at and sync_pass.backlog:
        context.expected = sync_pass.backlog  # what an earlier run left
    while True:
        page = _read_batch(context, ends)
        try:
            outcomes = process_page(context, [r for r in page.records if r.ref.id not in context.counted])
        except ConnectionTrouble:
            if wiring.switches.moves_cursor_when_interrupted:
                _advance(context, page)
            raise
        _advance(context, page)
        if context.most_new is not None:
            context.most_new -= sum(d.outcome in TAKEN for d in outcomes.values())
        if context.expected is None and page.position is not None:
            context.expected = context.ledger.seen + _count_backlog(context)  # for the progress bar: once a sweep
        _show_progress(context)
        if sync_pass.hold_reason and not context.is_preview:
            return Run.State.HELD, f"{sync_pass.hold_reason}. The pass goes on when that was mended."
        if page.position is None or context.most_new == 0:
            return Run.State.FINISHED, _pilot_note(context)
        if ends is not None and wiring.monotonic() >= ends:
            waiting = _count_backlog(context)
            return Run.State.PARTIAL, f"The time budget was used up with {waiting:,} to go; the next run goes on where this one stopped."


def _count_backlog(context: RunContext) -> int:
    """Returns how many rows of the sweep are still to come, and shows it on the dashboard (S0.6)."""
    sync_pass = context.sync_pass
    position = Position(sync_pass.position_at, sync_pass.position_id) if sync_pass.position_at else None
    where = _where(context, None if sync_pass.sweep_is_full else sync_pass.last_run_time)
    waiting = context.crm.connector.count(ORGANISATION, where, position=position, before=sync_pass.sweep_started_at)
    _save(context, backlog=waiting)
    return waiting


def _where(context: RunContext, since: datetime | None) -> Condition:
    columns = context.terms.columns
    return pilot_selection(columns, context.only_ids) if context.is_pilot else selection(columns, since)


def _pilot_note(context: RunContext) -> str:
    """Returns what a pilot took and what it left, "" for other runs."""
    if not context.is_pilot:
        return ""
    if not context.only_ids:
        waiting = context.crm.connector.count(ORGANISATION, pilot_selection(context.terms.columns, ()))
        return f"Pilot: the next new organisations, a batch. {waiting:,} new one{'s still wait' if waiting != 1 else ' still waits'}."
    left = [id_ for id_ in context.only_ids if id_ not in context.picked]
    taken = f"Pilot of {len(context.picked)} hand-picked organisation{'s' if len(context.picked) != 1 else ''}."
    if not left:
        return taken
    why = "not switched on with Sync to Outreach, flagged with an error or as a duplicate, or deleted"
    names = {o["id"]: o["name"] for o in context.sync_pass.pilot.get("organisations", [])}
    said = ", ".join(f"{names[id_]} {id_}" if id_ in names else id_ for id_ in left)
    return f"{taken} Not taken: {said} ({why})."


def _retry_owed(context: RunContext) -> None:
    """Takes up the bound organisations that were held for their mapping or for another writer: the selection does not
    bring them back, since nobody edited them."""
    rows = Binding.objects.filter(sync_pass=context.sync_pass, crm_type=ORGANISATION, is_retry_due=True, is_tombstone=False)
    ids = [] if context.sync_pass.hold_reason else list(rows.values_list("crm_id", flat=True)[:PAGE_SIZE])
    if not ids:
        return
    found = context.crm.connector.read(ORGANISATION, ids, _columns(context))
    columns = context.terms.columns
    ready = [r for r in found if not r.is_deleted and all(c.holds for c in explain(columns, r.fields, r.updated_at, None)[:3])]
    outcomes = process_page(context, ready)
    owed = [id_ for id_, decision in outcomes.items() if decision.outcome is Outcome.HELD]
    rows.filter(crm_id__in=[id_ for id_ in ids if id_ not in owed]).update(is_retry_due=False)
    context.counted.update(outcomes)


def _apply(context: RunContext, preview_id: int) -> tuple[str, str]:
    """Carries out the plan of a preview: every row is read again, and one that changed is refused."""
    preview = Run.objects.filter(pk=preview_id).first()
    if preview is None:
        raise previews.PreviewRefused(f"There is no run {preview_id}.")
    if preview.state == Run.State.HELD and preview.kind != Run.Kind.PREVIEW:
        brakes.approve(context, list(Operation.objects.filter(run=preview, state=Operation.State.PLANNED)))
    for planned in previews.planned_pages(context, preview):
        context.lease.guard(context.crm.connector.request_timeout)
        found = [r for r in context.crm.connector.read(ORGANISATION, list(planned), _columns(context)) if not r.is_deleted]
        outcomes = process_page(context, found, planned)
        previews.settle(context, planned, outcomes)
        _show_progress(context)
    refused = context.ledger.excluded["changed_meanwhile"]
    said = f" {refused} row{'s were' if refused > 1 else ' was'} refused: changed since." if refused else ""
    return Run.State.FINISHED, f"Applied preview {preview_id}.{said}"


def _read_batch(context: RunContext, ends: float | None) -> Page:
    """Returns up to BATCH_ROWS rows as one page: look-ups and writes of a batch run side by side, so that the waiting
    time of a call is paid for many rows at once. When the run's time is up (`ends`, monotonic) one page is enough."""
    sync_pass = context.sync_pass
    position = Position(sync_pass.position_at, sync_pass.position_id) if sync_pass.position_at else None
    records: list[Record] = []
    while True:
        page = _read_page(context, position, min(PAGE_SIZE, _most(context) - len(records)))
        if sync_pass.sweep_started_at is None:
            _begin_sweep(context, page)
        records += page.records
        position = page.position
        is_late = ends is not None and context.wiring.monotonic() >= ends
        if position is None or is_late or len(records) >= _most(context):
            return replace(page, records=tuple(records))


def _most(context: RunContext) -> int:
    """Returns how many rows a batch may hold: a pilot of so many new organisations reads no more."""
    return BATCH_ROWS if context.most_new is None else min(BATCH_ROWS, context.most_new)


def _read_page(context: RunContext, position: Position | None, size: int) -> Page:
    """Returns the next page: condition 5 is inclusive, pages go on by (updated_at, id), and from the second page on
    nothing newer than the sweep's start is read, so that rows we write do not come back in the same sweep."""
    sync_pass = context.sync_pass
    context.lease.guard(context.crm.connector.request_timeout)
    since = None if sync_pass.sweep_is_full else sync_pass.last_run_time
    if since is not None and context.wiring.switches.cursor_is_strict:
        since += timedelta(seconds=sync_pass.overlap_seconds + 1)
    page = context.crm.connector.changes(
        ORGANISATION,
        where=_where(context, since),
        columns=_columns(context),
        position=position,
        before=sync_pass.sweep_started_at if position else None,
        page_size=size,
        # A full sweep, too, must tell what was deleted meanwhile.
        include_deleted_since=None if context.is_pilot else sync_pass.last_run_time,
    )
    if context.is_pilot:
        context.picked.update(r.ref.id for r in page.records)
    return page


def _begin_sweep(context: RunContext, page: Page) -> None:
    """Remembers the remote clock of the sweep's first answer; a clock that went back takes Last Run Time with it."""
    sync_pass = context.sync_pass
    changes = {"sweep_started_at": page.server_time}
    overlap = timedelta(seconds=sync_pass.overlap_seconds)
    if sync_pass.last_run_time and page.server_time < sync_pass.last_run_time:
        changes["last_run_time"] = page.server_time - overlap
    _save(context, **changes)


def _advance(context: RunContext, page: Page) -> None:
    """Moves the position behind a page whose rows all have their outcome; ends the sweep behind the last one."""
    sync_pass = context.sync_pass
    with transaction.atomic():
        context.lease.renew()
        if page.position is not None:
            _save(context, position_at=page.position.updated_at, position_id=page.position.id)
            return
        start = sync_pass.sweep_started_at - timedelta(seconds=sync_pass.overlap_seconds)
        if context.wiring.switches.cursor_is_our_clock_at_end:
            start = context.wiring.now()
        _save(
            context,
            last_run_time=start,
            sweep_started_at=None,
            sweep_is_full=False,
            position_at=None,
            position_id="",
            backlog=0,
            sweep_blanked={},
            approved_blanking=[],
        )
        if context.terms.restore is not None:
            _save(context, restored_at=None, restored_to=None)  # everything since the backup was compared once


def _save(context: RunContext, **changes: object) -> None:
    """Changes the pass's row; a preview or a pilot moves no cursor and keeps the change to itself."""
    sync_pass = context.sync_pass
    if context.moves_cursor:
        SyncPass.objects.filter(pk=sync_pass.pk).update(**changes)
    for name, value in changes.items():
        setattr(sync_pass, name, value)


def _show_progress(context: RunContext) -> None:
    Run.objects.filter(pk=context.run.pk).update(**_counts(context))


def _counts(context: RunContext) -> dict[str, object]:
    calls = {side.connector.system: side.connector.counts().calls for side in (context.crm, context.peer)}
    return {**context.ledger.as_dict(), "expected": context.expected, "calls": calls}


def close(context: RunContext, state: str, note: str) -> Run:
    """Writes the ledger of the run and returns it closed; one that does not add up has failed."""
    run = context.run
    try:
        context.ledger.check()
    except LedgerDoesNotAddUp as error:
        state, note = Run.State.FAILED, str(error)
    for name, value in _counts(context).items():
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
    if not context.is_preview:
        wait_for_mend(context.sync_pass, error, context.wiring)
        if error.system == context.crm.connector.system:
            cases.open_late_write_backs(context)
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
    _save(context, next_due_at=context.wiring.now() + interval)


def _cured(context: RunContext) -> None:
    if context.sync_pass.trouble_count and not context.is_preview:
        SyncPass.objects.filter(pk=context.sync_pass.pk).update(trouble_count=0)
        context.sync_pass.trouble_count = 0
    sides = (context.crm, context.peer)
    rows = Connection.objects.filter(pk__in=[side.connection.pk for side in sides]).exclude(state=Connection.State.OK)
    # Trouble on the way is over when a run gets through; a refused access only when the system answered this run.
    answered = [side.connection.pk for side in sides if side.connector.counts().calls]
    over = rows.exclude(~Q(pk__in=answered), state=Connection.State.NEEDS_ATTENTION)
    over.update(state=Connection.State.OK, last_error="")

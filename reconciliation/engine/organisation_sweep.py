"""How the organisations pass goes over its rows: one sweep of the CRM by the five conditions, plans, pilots, what is owed."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta

from django.db import transaction

from connectors.contract import Condition, Page, Position, Record
from connectors.errors import ConnectionTrouble
from reconciliation.core.eligibility import explain, pilot_selection, selection
from reconciliation.core.ledger import Outcome
from reconciliation.engine import after_restore, brakes, gate, previews
from reconciliation.engine.context import Order, RunContext
from reconciliation.engine.executor import Side
from reconciliation.engine.organisations import process_page
from reconciliation.engine.wiring import Wiring
from reconciliation.models import Binding, Run, SyncPass
from reconciliation.passes.organisations import ORGANISATION, Terms
from reconciliation.store import mapping_of, organisation_columns, restore_of

PAGE_SIZE = 100
TAKEN = (Outcome.CREATED, Outcome.UPDATED, Outcome.DUPLICATE, Outcome.FAILED)  # what counts as one of a pilot's batch
BATCH_ROWS = 500


def terms_of(sync_pass: SyncPass, crm: Side, peer: Side, wiring: Wiring) -> Terms:
    """Returns what holds for the whole run, as it stands now."""
    return Terms(
        columns=organisation_columns(sync_pass),
        mapping=mapping_of(sync_pass.mapping, peer.connection),
        database=str(crm.connection.settings.get("database_id", "")),
        on_first_link=sync_pass.mapping.on_first_link,
        restore=restore_of(sync_pass),
        marker_field=peer.connector.marker_field,
        looks_are_echo_blind=wiring.switches.takes_echo_for_change,
        sends_whole_record=wiring.switches.writes_whole_record,
    )


def _columns(context: RunContext) -> list[str]:
    terms = context.terms
    return list(dict.fromkeys(["name", *terms.columns.names, *terms.mapping.crm_fields]))


def sweep(context: RunContext, order: Order) -> tuple[str, str]:
    """Reads the pages of the sweep, an unfinished one first. Returns the state the run ends in, and a note."""
    sync_pass, wiring = context.sync_pass, context.wiring
    if context.terms.restore is not None and not context.is_preview:
        after_restore.flags_without_case(context)
    if not context.moves_cursor:  # it looks at a whole sweep, whatever an earlier run has left
        context.save_pass(sweep_started_at=None, sweep_is_full=False, position_at=None, position_id="")
    if order.is_full:
        start = {"sweep_started_at": None, "sweep_is_full": True, "position_at": None, "position_id": ""}
        context.save_pass(**start, sweep_blanked={}, approved_blanking=[])
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
        context.show_progress()
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
    context.save_pass(backlog=waiting)
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


def retry_owed(context: RunContext) -> None:
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
    context.counted.update(dict.fromkeys(outcomes, ""))


def apply(context: RunContext, preview_id: int) -> tuple[str, str]:
    """Carries out the plan of a preview: every row is read again, and one that changed is refused."""
    preview = previews.to_apply(preview_id)
    brakes.approve_held(context, preview)
    for planned in previews.planned_pages(context, preview):
        context.lease.guard(context.crm.connector.request_timeout)
        found = [r for r in context.crm.connector.read(ORGANISATION, list(planned), _columns(context)) if not r.is_deleted]
        outcomes = process_page(context, found, planned)
        previews.settle(context, planned, outcomes)
        context.show_progress()
    return previews.applied(context, preview, "row")


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
    context.save_pass(**changes)


def _advance(context: RunContext, page: Page) -> None:
    """Moves the position behind a page whose rows all have their outcome; ends the sweep behind the last one."""
    sync_pass = context.sync_pass
    with transaction.atomic():
        context.lease.renew()
        if page.position is not None:
            context.save_pass(position_at=page.position.updated_at, position_id=page.position.id)
            return
        start = sync_pass.sweep_started_at - timedelta(seconds=sync_pass.overlap_seconds)
        if context.wiring.switches.cursor_is_our_clock_at_end:
            start = context.wiring.now()
        context.save_pass(
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
            context.save_pass(restored_at=None, restored_to=None)  # everything since the backup was compared once

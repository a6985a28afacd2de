"""The road of a person's decision: the same lease, journal and executor as a pass (there is no second way to write)."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

from connectors.errors import ConnectorError
from reconciliation.engine import gate, recovery, stop
from reconciliation.engine import lease as leases
from reconciliation.engine.context import RunContext
from reconciliation.engine.dead_runs import close_dead_runs
from reconciliation.engine.executor import Side
from reconciliation.engine.runner import build_context, close, end_run, holder_name, open_run, open_side
from reconciliation.engine.wiring import Wiring
from reconciliation.engine.works import work_of
from reconciliation.models import Run, SyncPass
from syncsite.logging import during_run

WAIT_SECONDS = 10.0
STEP_SECONDS = 0.2
MOST_NOTED = 10_000  # characters


class Busy(Exception):
    """The pass is at work and did not end in time; nothing was done."""


class Refusal(Exception):
    """What a person ordered cannot be done so, and the sentence says why. Nothing is wrong with the software or the systems."""


@contextmanager
def at_work(
    sync_pass: SyncPass,
    *,
    by: str,
    what: str,
    reason: str = "",
    only_reads: bool = False,
    only_crm: bool = False,
    wiring: Wiring | None = None,
) -> Iterator[RunContext]:
    """Yields the context in which a decision is carried out, under the pass's lease; waits for it up to WAIT_SECONDS. `reason` is
    the person's own; `only_crm` leaves the mailbox alone, which is not even opened. Raises Busy, and WritesStopped unless it
    `only_reads`. A remote failure closes the run as interrupted, a refusal as refused, and goes on to the caller."""
    if not only_reads:
        _refuse_writes(sync_pass)
    wiring = wiring or Wiring()
    what = f"{what} Reason: {reason}" if reason else what
    with ExitStack() as logged, ExitStack() as held:
        lease = _wait_for_lease(sync_pass, wiring)
        held.callback(lease.release)
        run = open_run(sync_pass, lease, wiring, kind=Run.Kind.STAFF, started_by=by, note=what)
        sides = _open_sides(sync_pass, run, lease, wiring, what, held)
        logged.enter_context(during_run(run.pk))
        context = build_context(sync_pass, run, lease, sides, wiring)
        close_dead_runs(sync_pass, run, wiring.now())
        context.reason = reason
        context.executor.staff_origin = context.staff_origin()
        with _closed_with_its_run(context, what):
            if not only_crm:
                work_of(sync_pass).open(context)
            recovery.void_unsent(context)  # a decision that an outage stopped must not stand in the way of its repetition
            yield context


def _refuse_writes(sync_pass: SyncPass) -> None:
    stop.refuse_while_stopped()
    if gate.is_ended(sync_pass):
        raise stop.WritesStopped(f"{gate.ENDED} Nothing was done.")


def _open_sides(sync_pass: SyncPass, run: Run, lease: leases.Lease, wiring: Wiring, what: str, held: ExitStack) -> list[Side]:
    """Opens both sides, which `held` closes. Ends the run where a connection cannot even be opened, and raises ConnectorError."""
    sides: list[Side] = []
    try:
        for connection in (sync_pass.crm, sync_pass.peer):
            sides.append(open_side(connection, lease, wiring, sync_pass.mailbox, sync_pass.kind))
            held.callback(sides[-1].connector.close)
    except ConnectorError as error:
        end_run(run, Run.State.INTERRUPTED, f"{what} {error.sentence}", wiring)
        raise
    return sides


@contextmanager
def _closed_with_its_run(context: RunContext, what: str) -> Iterator[None]:
    """Closes the run as what was done in it came out; what went wrong goes on to the caller."""
    try:
        yield
    except ConnectorError as error:
        close(context, Run.State.REFUSED if error.scope == "record" else Run.State.INTERRUPTED, f"{what} {error.sentence}")
        raise
    except (Refusal, gate.RunHeld) as refusal:
        close(context, Run.State.REFUSED, f"{what} {refusal}"[:MOST_NOTED])
        raise
    except stop.WritesStopped as refusal:  # while it was being carried out
        close(context, Run.State.HELD, f"{what} {refusal}")
        raise
    except Exception as error:
        close(context, Run.State.FAILED, f"{what} {error}"[:500])
        raise
    close(context, Run.State.FINISHED, " ".join([what, *context.notes])[:MOST_NOTED])


def _wait_for_lease(sync_pass: SyncPass, wiring: Wiring) -> leases.Lease:
    ends = time.monotonic() + WAIT_SECONDS
    while True:
        try:
            return leases.take(f"pass:{sync_pass.name}", holder_name(), db_now=wiring.db_now, monotonic=wiring.monotonic)
        except leases.LeaseHeld:
            if time.monotonic() >= ends:
                raise Busy(sync_pass.title) from None
            time.sleep(STEP_SECONDS)

"""Closes runs whose process ended before they did: one that still says *running* while another holds the lease is dead.

What it was stays readable, and what becomes of the rest is said by kind: a sweep goes on by itself, a person's decision,
an apply or a pilot does not."""

from __future__ import annotations

from datetime import datetime

from reconciliation.engine import search_index
from reconciliation.models import Operation, Run, SyncPass

SWEEPS = (Run.Kind.SCHEDULED, Run.Kind.MANUAL)
SWEEP_DIED = "Its process ended before the run did; the next run of the pass goes on from there."
PREVIEW_DIED = "Its process ended before the plan was complete; make a new one."


def close_dead_runs(sync_pass: SyncPass, own: Run, now: datetime) -> None:
    """Closes the runs of the pass that still say *running*, but for `own`, which holds the pass's lease."""
    for run in Run.objects.filter(sync_pass=sync_pass, state=Run.State.RUNNING).exclude(pk=own.pk):
        values = {"state": Run.State.INTERRUPTED, "ended_at": now, "note": _note(run)}
        if Run.objects.filter(pk=run.pk, state=Run.State.RUNNING).update(**values):
            search_index.catch_up([run], now)


def _note(run: Run) -> str:
    if run.kind in SWEEPS:
        return SWEEP_DIED
    if run.kind == Run.Kind.PREVIEW:
        return PREVIEW_DIED
    what = run.note or (f"Preview {run.applies} was being applied." if run.applies else "")
    return f"{what} {_left_by(run)}".strip()


def _left_by(run: Run) -> str:
    sent = Operation.objects.filter(run=run, sent_at__isnull=False).count()
    if not sent:
        return "Its process ended before it did; no write was sent. Begin it again."
    writes = f"{sent:,} writes were" if sent > 1 else "1 write was"
    return f"Its process ended before it did; {writes} sent. Begin it again for the rest."

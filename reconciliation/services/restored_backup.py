"""What must be known after the database was put back from a backup; `manage.py after_restore` calls it."""

from __future__ import annotations

from django.contrib.auth.models import AbstractBaseUser
from django.db import transaction
from django.utils import timezone

from reconciliation.engine.wiring import Wiring
from reconciliation.models import Case, Operation, Run, SyncPass
from reconciliation.services.audit import audit

UNDER_WAY = "The database was restored from a backup made while this run was under way."


def database_restored(user: AbstractBaseUser | None = None, *, wiring: Wiring | None = None) -> list[SyncPass]:
    """Lets the next sweep of every pass treat what our database holds as possibly older than the remote systems, and
    returns the passes, one over mailboxes once. Said twice it changes nothing more. Nothing remote is touched."""
    now = (wiring or Wiring()).now()
    with transaction.atomic():
        passes = list(SyncPass.objects.select_related("parent"))  # each mailbox, too: its links and cursor are its own
        for sync_pass in passes:
            # Everything the backup knows of the remote systems was read before the start of its last sweep.
            sync_pass.restored_at = now
            sync_pass.restored_to = sync_pass.restored_to or sync_pass.last_run_time or now
            sync_pass.sweep_started_at = sync_pass.position_at = None
            sync_pass.position_id = ""
            sync_pass.save(update_fields=["restored_at", "restored_to", "sweep_started_at", "position_at", "position_id"])
        # A flag that was owed then was written, or overtaken, since: only Workbooks knows, and it is asked.
        Case.objects.filter(state=Case.State.OPEN, flag=Case.Flag.OWED).update(flag=Case.Flag.WRITTEN)
        # Plans rest on versions of then.
        Operation.objects.filter(state=Operation.State.PLANNED).update(
            state=Operation.State.VOID, settled_at=timezone.now(), error="The database was restored; planned anew."
        )
        for run in Run.objects.filter(state=Run.State.RUNNING):
            run.state, run.ended_at, run.note = Run.State.INTERRUPTED, now, f"{run.note} {UNDER_WAY}".strip()
            run.save(update_fields=["state", "ended_at", "note"])
        whole = [p for p in passes if p.parent_id is None]
        detail = {"until": {p.name: str(p.restored_to) for p in whole}, "mailboxes": len(passes) - len(whole)}
        audit(user, "database restored", "all passes", **detail)
    return whole

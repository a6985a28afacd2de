"""Recovery of a run over a mailbox: as in every two-way pass, once the mailbox is open."""

from __future__ import annotations

from reconciliation.engine import mailbox_sweep, pair_recovery
from reconciliation.engine.context import RunContext
from reconciliation.models.work_left import WorkLeft


def recover(context: RunContext, left: WorkLeft) -> None:
    """Settles what an earlier run left in doubt. Raises ConnectionTrouble."""
    if left.open_operations or left.write_backs:
        mailbox_sweep.prepare(context)
        pair_recovery.recover(context, left)

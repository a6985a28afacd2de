"""Takes back Tasks that the pass over activities made, checked against what is there now (engine-rules 17): a Task is deleted only
if nobody touched it since. Its activity stays remembered and is not carried again; nothing changes in Outreach."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from connectors.contract import Connector, Record
from reconciliation.engine import activity_undone
from reconciliation.engine.context import RunContext
from reconciliation.models import Operation, SyncPass
from reconciliation.services import one_way_undo
from reconciliation.services.pair_undo import Standing


def standings(sync_pass: SyncPass, connectors: Mapping[str, Connector], operations: Sequence[Operation], field: str = "") -> list[Standing]:
    """Returns what undoing each write would do, from what the CRM holds now. Raises ConnectorError."""
    now = one_way_undo.made_now(connectors["crm"], operations)
    return [_standing(op, now.get((op.object_type, op.target_id))) for op in operations]


def _standing(op: Operation, task: Record | None) -> Standing:
    why_kept = one_way_undo.why_kept(op, task)
    if why_kept or task is None:
        return Standing(why_kept, is_possible=False)
    return Standing(f"{one_way_undo.named(op)} is deleted; its activity is not carried again.", version=task.version)


def carry_out(context: RunContext, chosen: Sequence[tuple[Operation, Standing]]) -> dict[int, str]:
    """Deletes these Tasks. Returns the key of each write with "" or why it was not taken back."""
    return one_way_undo.delete(context, chosen, activity_undone.note_deleted)

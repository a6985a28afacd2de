"""Takes e-mails back out of the CRM, checked against what is there now (engine-rules 17). The e-mail stays remembered and is not saved
again; nothing changes in the mailbox."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from connectors.contract import Connector, Record
from reconciliation.engine import email_undone
from reconciliation.engine.context import RunContext
from reconciliation.models import Operation, SyncPass
from reconciliation.passes.emails import CRM_TASK
from reconciliation.services import one_way_undo
from reconciliation.services.pair_undo import Standing


def standings(sync_pass: SyncPass, connectors: Mapping[str, Connector], operations: Sequence[Operation], field: str = "") -> list[Standing]:
    """Returns what undoing each write would do, from what the CRM holds now. Raises ConnectorError."""
    now = one_way_undo.made_now(connectors["crm"], operations)
    return [_standing(op, now.get((op.object_type, op.target_id))) for op in operations]


def _standing(op: Operation, record: Record | None) -> Standing:
    what = one_way_undo.named(op)
    if op.kind != Operation.Kind.CREATE and op.undone_at is None:
        return Standing(f"{what}: links are chosen anew on the e-mail's page.", is_possible=False)
    why_kept = one_way_undo.why_kept(op, record)
    if why_kept or record is None:
        return Standing(why_kept, is_possible=False)
    version = record.version if op.object_type == CRM_TASK else ""  # an e-mail's counts those of its task and its files, too
    return Standing(f"{what} is deleted there; the e-mail is not saved again, and stays in the mailbox.", version=version)


def carry_out(context: RunContext, chosen: Sequence[tuple[Operation, Standing]]) -> dict[int, str]:
    """Deletes these e-mails in the CRM. Returns the key of each write with "" or why it was not taken back."""
    return one_way_undo.delete(context, chosen, email_undone.note_deleted)

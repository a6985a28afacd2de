"""People of a company that another CRM keeps are made in that one, not in ours (D32): one CRM of record per company."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from connectors.contract import Record
from reconciliation.core.ledger import Outcome
from reconciliation.engine.context import RunContext
from reconciliation.engine.pair_work import PairWork
from reconciliation.models import Binding


def leave_out(context: RunContext, work: PairWork, records: Sequence[Record]) -> None:
    """Leaves those records of the peer to the other CRM that would be made in ours although what they belong to is bound
    to a record there. Whoever is in ours already is linked all the same."""
    field, object_type = context.terms.kind.belongs_to or ("", "")
    new = [r for r in records if work.side == "peer" and work.decisions[r.ref.id].outcome is Outcome.CREATED]
    parents = {r.ref.id: str(r.fields[field]) for r in new if field and r.fields.get(field)}
    if not parents:
        return
    kept = _kept_elsewhere(context, object_type, set(parents.values()))
    for record in new:
        crm = kept.get(parents.get(record.ref.id, ""))
        if crm is None:
            continue
        sentence = f"It belongs to {object_type} {parents[record.ref.id]}, which {crm} keeps; it is not made in {context.terms.crm_name}."
        decision = replace(work.decisions[record.ref.id], outcome=Outcome.EXCLUDED, reason="other_crm", sentence=sentence, intents=())
        work.decide(replace(decision, merge=None))


def _kept_elsewhere(context: RunContext, object_type: str, ids: set[str]) -> dict[str, str]:
    """Returns id of a peer's record -> the name of the other CRM that it is bound to."""
    rows = Binding.objects.filter(peer_type=object_type, peer_id__in=ids, is_tombstone=False, sync_pass__peer=context.peer.connection)
    rows = rows.exclude(sync_pass__crm=context.crm.connection).select_related("sync_pass__crm")
    return {row.peer_id: row.sync_pass.crm.get_system_display() for row in rows}

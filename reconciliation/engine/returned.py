"""A record of the CRM that was deleted and brought back, from the recycle bin, is the same record: its link holds again,
with what both sides agreed on, so that edits made meanwhile on either side are told from what stood before."""

from __future__ import annotations

from collections.abc import Sequence

from connectors.contract import Record
from reconciliation.engine import pair_reads
from reconciliation.engine.context import RunContext
from reconciliation.engine.pair_work import PairWork
from reconciliation.models import Binding, Tombstone

SENTENCE = "It was deleted and is there again; the link holds again."


def revive(context: RunContext, work: PairWork, records: Sequence[Record]) -> None:
    """Lets the links of records hold again that ended because the record was deleted, unless the counterpart is linked to
    another by now. They are stored with the page's decisions."""
    alive = [r.ref.id for r in records if work.side == "crm" and not r.is_deleted and r.succeeded_by is None]
    ended = {id_: row for id_ in alive if (row := work.bindings.get(id_)) is not None and row.is_tombstone}
    if not ended:
        return
    last = _why_they_ended(list(ended.values()))
    taken = pair_reads.holders(context, "peer", [row.peer_id for row in ended.values()])
    for id_, row in ended.items():
        if last.get(row.pk) == Tombstone.Why.GONE and row.peer_id not in taken:
            row.is_tombstone = False
            taken[row.peer_id] = id_
            work.returned.add(id_)


def note(context: RunContext, work: PairWork, stored: Sequence[Binding]) -> None:
    """Marks the tombstones of links that hold again, now that they are stored."""
    for binding in stored if work.returned else ():
        if binding.crm_id in work.returned:
            as_ = f"{context.crm.connector.system}:{binding.crm_type}:{binding.crm_id}"
            rows = Tombstone.objects.filter(binding=binding, restored_at=None)
            rows.update(restored_at=context.wiring.now(), restored_by=context.terms.crm_name, restored_as=as_)


def _why_they_ended(rows: Sequence[Binding]) -> dict[int, str]:
    found = Tombstone.objects.filter(binding__in=[row.pk for row in rows]).order_by("pk").values_list("binding", "why")
    return dict(found)

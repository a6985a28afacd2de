"""A record of the CRM that came about by converting another one (C17) may be read before that one: the link has not
followed to it yet, and a counterpart made for it now would be a second one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from connectors.contract import Record
from reconciliation.core.ledger import Outcome
from reconciliation.engine import pair_reads
from reconciliation.engine.context import RunContext
from reconciliation.engine.pair_work import PairWork
from reconciliation.models import Binding


def hold_new(context: RunContext, work: PairWork, records: Sequence[Record]) -> None:
    """Holds those records that would get a counterpart although a linked record was converted to them: the link follows
    when that one is read, in this run or the next. Costs one read for a page that makes something, none where nothing
    that converts is linked."""
    new = {r.ref.id for r in records if work.side == "crm" and work.decisions[r.ref.id].outcome is Outcome.CREATED}
    for object_type, (origin, field) in context.terms.kind.converted_from.items():
        ids = [r.ref.id for r in records if r.ref.id in new and r.ref.object_type == object_type]
        if ids and context.terms.type_of(origin) is not None and _is_linked(context, origin):
            _hold(context, work, origin, field, ids)


def _is_linked(context: RunContext, origin: str) -> bool:
    return Binding.objects.filter(sync_pass=context.sync_pass, crm_type=origin, is_tombstone=False).exists()


def _hold(context: RunContext, work: PairWork, origin: str, field: str, ids: Sequence[str]) -> None:
    found = context.crm.connector.find(origin, field, sorted(ids), [field])
    linked = pair_reads.holders(context, "crm", [r.ref.id for r in found])
    for record in found:
        into, peer_id = str(record.fields.get(field) or ""), linked.get(record.ref.id, "")
        if not peer_id or into not in work.decisions:
            continue
        sentence = f"{origin} {record.ref.id} was converted to it; {context.terms.kind.peer_object} {peer_id} follows to it first."
        decision = replace(work.decisions[into], outcome=Outcome.HELD, reason="converted", sentence=sentence, intents=(), case=None)
        work.decide(decision)

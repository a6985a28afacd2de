"""Looks once a day which records of the peer are still there: the peer leaves no trace of what was deleted, so all ids are
compared, and nothing else is read of them (engine-rules 34)."""

from __future__ import annotations

from datetime import timedelta

from django.db import transaction

from connectors.contract import Op, Record, Ref, Test
from reconciliation.core.brakes import deletions_trip
from reconciliation.core.ledger import Outcome
from reconciliation.engine import brakes
from reconciliation.engine.context import RunContext
from reconciliation.models import Binding, SyncPass, Tombstone
from reconciliation.models.bulk import insert_rows
from reconciliation.passes.pairs import PairDecision

EVERY = timedelta(hours=24)
LAST = "presence_at"
AT_ONCE = 500


def look_at(context: RunContext) -> None:
    """Ends the links of records that are gone. A list that comes back empty, or lacks more than the brake allows, ends
    none (defect 5, I8). Raises ConnectionTrouble."""
    now, settings = context.wiring.now(), context.sync_pass.settings
    if settings.get(LAST) and now.timestamp() - float(settings[LAST]) < EVERY.total_seconds():
        return
    rows = Binding.objects.filter(sync_pass=context.sync_pass, is_tombstone=False)
    began = now
    if rows.exists():
        there = _ids(context)
        bound = dict(rows.filter(bound_at__lt=began).values_list("peer_id", "pk"))
        gone = [pk for peer_id, pk in bound.items() if peer_id not in there]
        if gone and (not there or deletions_trip(len(gone), len(bound), brakes.settings_of(context.sync_pass))):
            context.notes.append(f"{len(gone)} of {len(bound)} linked records were not in the list of ids; no link was ended.")
        else:
            _end(context, gone)
    with transaction.atomic():  # an admin may have changed other settings since the run began
        stored = SyncPass.objects.select_for_update().get(pk=context.sync_pass.pk).settings
        context.save_pass(settings={**stored, LAST: now.timestamp()})


def _ids(context: RunContext) -> set[str]:
    object_type, connector = context.terms.kind.peer_object, context.peer.connector
    there: set[str] = set()
    for page in connector.scan(object_type, where=Test("updatedAt", Op.GE, None), columns=["updatedAt"]):
        context.lease.guard(connector.request_timeout)
        there.update(record.ref.id for record in page.records)
    return there


def _end(context: RunContext, keys: list[int]) -> None:
    """Turns these bindings into tombstones, with an event for each. What is there after all, made invisible for a moment
    by the paging of a moving list, is asked for by id first."""
    for start in range(0, len(keys), AT_ONCE):
        rows = list(Binding.objects.filter(pk__in=keys[start : start + AT_ONCE]))
        object_type, system = context.terms.kind.peer_object, context.peer.connector.system
        still = {r.ref.id for r in context.peer.connector.read(object_type, [b.peer_id for b in rows], ["updatedAt"])}
        ended = [b for b in rows if b.peer_id not in still]
        now = context.wiring.now()
        insert_rows(
            [
                Tombstone(
                    sync_pass=context.sync_pass,
                    binding=b,
                    why=Tombstone.Why.PEER,
                    crm_id=b.crm_id,
                    peer_id=b.peer_id,
                    name=b.name,
                    found_at=now,
                    run=context.run,
                    crm_values=b.crm_base,
                    peer_values=b.peer_base,
                )
                for b in ended
            ]
        )
        Binding.objects.filter(pk__in=[b.pk for b in ended]).end()
        context.ledger.seen += len(ended)
        context.record_events(
            (
                PairDecision(
                    Record(Ref(system, object_type, b.peer_id), {}),
                    Outcome.EXCLUDED,
                    "counterpart_gone",
                    f"{object_type.capitalize()} {b.peer_id} is not in {context.terms.peer_name} any more; nothing was deleted.",
                ),
                b.crm_ref,
                b.name,
                b.peer_ref,
                None,
            )
            for b in ended
        )

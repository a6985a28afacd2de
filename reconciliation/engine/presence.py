"""Looks once a day which records of the peer are still there: the peer leaves no trace of what was deleted, so all ids are
compared, and nothing else is read of them (engine-rules 34). When more are gone than the brake allows, their plan is parked
for a person (I8), who approves it like that of any brake."""

from __future__ import annotations

from array import array
from collections.abc import Iterator, Sequence
from datetime import timedelta

from django.db import transaction
from django.db.models import Max, QuerySet

from connectors.contract import Op, Record, Ref, Test
from reconciliation.core.brakes import deletions_trip
from reconciliation.core.counting import are, bent, counted
from reconciliation.core.ledger import Outcome
from reconciliation.engine import brakes, previews
from reconciliation.engine.context import RunContext
from reconciliation.models import Binding, Operation, Run, SyncPass, Tombstone
from reconciliation.models.bulk import insert_rows
from reconciliation.passes.pairs import PairDecision

EVERY = timedelta(hours=24)
LAST = "presence_at"
AT_ONCE = 500
MOST_SHOWN = 1000  # rows of a parked plan; the approval covers all that were counted


def look_at(context: RunContext) -> None:
    """Ends the links of records that are gone. A list that comes back empty ends none (defect 5); one that lacks more than
    the brake allows ends none before a person approved it. Raises ConnectionTrouble, BrakeTripped."""
    now, settings = context.wiring.now(), context.sync_pass.settings
    if settings.get(LAST) and now.timestamp() - float(settings[LAST]) < EVERY.total_seconds():
        _refuse_while_parked(context)
        return
    rows = _bound(context)
    if rows.exists():
        gone = _gone(context, rows)
        tripped = _look_at_brake(context, rows, gone)
        _note_time(context)
        if tripped:
            raise brakes.BrakeTripped(tripped)
        _end(context, gone)
    else:
        _note_time(context)


def is_parked(run: Run) -> bool:
    """Tells whether a run's plan is that of links to be ended: no record of it is there to be read."""
    return _planned(run) is not None


def apply(context: RunContext, parked: Run) -> tuple[str, str]:
    """Ends the links that a person approved, after all ids were compared once more: more may be gone by now, but no more
    than the brake allows beyond what was approved. Raises PreviewRefused, ConnectionTrouble, BrakeTripped."""
    rows = list(previews.planned_rows(context, parked))
    bound = _bound(context)
    gone = _gone(context, bound)
    tripped = _look_at_brake(context, bound, gone, approved=int(rows[0].context["presence"]))
    done = _end(context, array("q") if tripped else gone)
    said = f"Refused: {tripped}" if tripped else f"Carried out by run {context.run.pk}."
    mine = Operation.objects.filter(run=parked, state=Operation.State.PLANNED)
    state = Operation.State.REFUSED if tripped else Operation.State.VOID
    mine.update(state=state, error=said, settled_at=context.wiring.now())
    if tripped:
        raise brakes.BrakeTripped(tripped)
    return Run.State.FINISHED, f"Applied preview {parked.pk}: {counted(done, 'link')} ended."


def _bound(context: RunContext) -> QuerySet[Binding]:
    """Returns the links that were there before this look began."""
    rows = Binding.objects.filter(sync_pass=context.sync_pass, peer_type=context.terms.kind.peer_object, is_tombstone=False)
    return rows.filter(bound_at__lt=context.wiring.now())


def _note_time(context: RunContext) -> None:
    with transaction.atomic():  # an admin may have changed other settings since the run began
        stored = SyncPass.objects.select_for_update().get(pk=context.sync_pass.pk).settings
        context.save_pass(settings={**stored, LAST: context.wiring.now().timestamp()})


def _gone(context: RunContext, rows: QuerySet[Binding]) -> array[int] | None:
    """Returns the keys of the links whose record is not in the peer's list of ids, None when that list is empty. What was
    found is a bit per key of ours: the list comes in no order of its own, and a million ids must not lie in memory."""
    here = bytearray((rows.aggregate(last=Max("pk"))["last"] or 0) // 8 + 1)
    is_empty = True
    for ids in _ids(context):
        is_empty = is_empty and not ids
        for pk in rows.filter(peer_id__in=ids).values_list("pk", flat=True):
            here[pk >> 3] |= 1 << (pk & 7)
    if is_empty:
        return None
    keys = rows.order_by("pk").values_list("pk", flat=True).iterator(chunk_size=AT_ONCE)
    return array("q", (pk for pk in keys if not here[pk >> 3] >> (pk & 7) & 1))


def _ids(context: RunContext) -> Iterator[list[str]]:
    object_type, connector = context.terms.kind.peer_object, context.peer.connector
    for page in connector.scan(object_type, where=Test("updatedAt", Op.GE, None), columns=["updatedAt"]):
        context.lease.guard(connector.request_timeout)
        yield [record.ref.id for record in page.records]


def _look_at_brake(context: RunContext, rows: QuerySet[Binding], gone: array[int] | None, *, approved: int = 0) -> str:
    """Parks the plan when too many are gone. Returns why nothing is done, "" when it may be."""
    if gone is None:
        context.notes.append("The list of ids was empty; no link was ended.")
        return ""
    bound = rows.count()
    if not deletions_trip(len(gone) - approved, bound, brakes.settings_of(context.sync_pass)):
        return ""
    sentence = (
        f"{len(gone)} of {counted(bound, 'linked record')} {bent(len(gone), 'was', 'were')} not in the list of ids; no link was ended."
    )
    if not _park(context, gone, sentence):
        context.notes.append(sentence)  # asked for by id they are there: the list was wrong
        del gone[:]
        return ""
    return sentence


def _park(context: RunContext, gone: array[int], sentence: str) -> bool:
    """Stores the ends of links as *planned*, as many as are shown. Returns whether any of those is really gone."""
    found = False
    for start in range(0, min(len(gone), MOST_SHOWN), AT_ONCE):
        ended = _really_gone(context, gone[start : start + AT_ONCE])
        Operation.objects.bulk_create([_plan_of(context, b, len(gone), sentence) for b in ended], batch_size=100)
        found = found or bool(ended)
    return found


def _plan_of(context: RunContext, binding: Binding, total: int, sentence: str) -> Operation:
    return Operation(
        run=context.run,
        connection=context.peer.connection,
        kind=Operation.Kind.UNLINK,
        state=Operation.State.PLANNED,
        object_type=binding.peer_type,
        target_id=binding.peer_id,
        source_ref=str(Ref(context.peer.connector.system, binding.peer_type, binding.peer_id)),
        writer_key=f"planned:{binding.peer_type}:{binding.peer_id}",
        after={"link": ""},
        context={"presence": total},
        origin={"name": binding.name},
        reason=f"{binding.peer_type.capitalize()} {binding.peer_id} is not there any more. {sentence}",
        lease_token=context.lease.token,
        intended_at=context.wiring.now(),
    )


def _refuse_while_parked(context: RunContext) -> None:
    """Raises BrakeTripped while a plan of ours waits for a person: it is not made anew every minute while they read it."""
    waiting = brakes.waiting_plan(context)
    row = _planned(waiting) if waiting is not None else None
    if row is not None:
        n = int(row.context["presence"])
        raise brakes.BrakeTripped(f"{are(n, 'linked record')} gone; no link was ended. Its plan waits in run {waiting}.")


def _planned(run: Run | int) -> Operation | None:
    """Returns a row of a run's plan, None unless it is one of ours."""
    row = Operation.objects.filter(run=run, kind=Operation.Kind.UNLINK, state=Operation.State.PLANNED).first()
    return row if row is not None and "presence" in row.context else None


def _really_gone(context: RunContext, keys: Sequence[int]) -> list[Binding]:
    """Returns the links whose record is not there when asked for by id: the paging of a moving list may hide one."""
    rows = list(Binding.objects.filter(pk__in=keys, is_tombstone=False))
    connector = context.peer.connector
    still = {r.ref.id for r in connector.read(context.terms.kind.peer_object, [b.peer_id for b in rows], ["updatedAt"])} if rows else set()
    return [b for b in rows if b.peer_id not in still]


def _end(context: RunContext, keys: array[int] | None) -> int:
    """Turns these bindings into tombstones, with an event for each, and returns how many. What is there after all stays."""
    object_type, system, done = context.terms.kind.peer_object, context.peer.connector.system, 0
    for start in range(0, len(keys or ()), AT_ONCE):
        ended = _really_gone(context, keys[start : start + AT_ONCE])
        now = context.wiring.now()
        done += len(ended)
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
    return done

"""Works off deliveries of webhooks: what a user had typed when we wrote over it, without having seen it, goes into the
journal as a losing value (engine-rules 32, G14). Order and repetition change nothing; what is lost is not made up."""

from __future__ import annotations

import logging
import time
from collections import defaultdict
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.db import transaction

from connectors.contract import HookEvent
from connectors.outreach.hooks import read_delivery
from reconciliation.core.overwritten import CLOCKS, OurUpdate, find_our_update, overwritten_values
from reconciliation.models import Connection, HookDelivery, Operation
from reconciliation.models.bulk import update_rows
from reconciliation.models.by_time import first_newer
from reconciliation.models.journal import LOSERS, VERSION
from reconciliation.store import decode_fields, encode_fields

log = logging.getLogger(__name__)
ROWS_A_BATCH = 200
BUDGET_SECONDS = 20.0
MOST_NAMED = 5
WAITED = timedelta(hours=1)  # a write that was intended may wait so long until it is sent
WRITES = (Operation.Kind.UPDATE, Operation.Kind.WRITE_BACK, Operation.Kind.MOVE_PROSPECT)
WRITTEN = (Operation.State.SENT, Operation.State.CONFIRMED)  # sent and unanswered may have been done


@dataclass(slots=True)
class WorkedOff:
    """What was done: deliveries looked at, users' values found that we had overwritten, and when the last change was told
    of that was none of ours."""

    deliveries: int = 0
    values: int = 0
    told_at: datetime | None = None
    is_complete: bool = True


def work_off(
    connection: Connection, now: datetime, *, budget_seconds: float = BUDGET_SECONDS, monotonic: Callable[[], float] = time.monotonic
) -> WorkedOff:
    """Works off what waits of this connection, in batches of one transaction each. Raises database errors only."""
    ends, done = monotonic() + budget_seconds, WorkedOff()
    while _batch(connection, now, done):
        if monotonic() >= ends:
            done.is_complete = False
            break
    if done.values:
        log.info("%s values of users that we had overwritten unseen were put into the journal", done.values)
    return done


@transaction.atomic
def _batch(connection: Connection, now: datetime, done: WorkedOff) -> bool:
    """Returns whether there was anything to do."""
    waiting = HookDelivery.objects.filter(connection=connection, state=HookDelivery.State.WAITING).order_by("pk")
    rows = list(waiting.select_for_update()[:ROWS_A_BATCH])
    told = [(row, read_delivery(row.body) if isinstance(row.body, dict) else None) for row in rows]
    ours = _our_updates(connection, [(row, event) for row, event in told if event is not None and event.action == "updated"])
    for row, event in told:
        row.worked_at, row.state = now, HookDelivery.State.DONE
        if event is None:
            row.state, row.note = HookDelivery.State.REFUSED, "It names no change of a record that is synced."
            continue
        found = _keep(event, ours.get((event.ref.object_type, event.ref.id), [])) if event.action == "updated" else _Found()
        done.values += found.values
        row.note = found.note
        if not found.is_ours:
            done.told_at = max(done.told_at or row.received_at, row.received_at)
    update_rows(rows, ["state", "worked_at", "note"])
    done.deliveries += len(rows)
    return bool(rows)


@dataclass(frozen=True, slots=True)
class _Found:
    """What one delivery came to: how many values, and the note for people, which names fields and no values."""

    values: int = 0
    note: str = ""
    is_ours: bool = False


def _our_updates(connection: Connection, told: Iterable[tuple[HookDelivery, HookEvent]]) -> dict[tuple[str, str], list[OurUpdate]]:
    """Returns the updates that may be meant, by record: those sent since the oldest of these changes, less what clocks
    may differ by and a write may wait. The journal has no index by target, so it is read from that moment on."""
    told = list(told)
    if not told:
        return {}
    since = min(min(row.received_at, event.at or row.received_at) for row, event in told) - CLOCKS - WAITED
    rows = Operation.objects.filter(
        pk__gte=first_newer(Operation.objects.all(), "intended_at", since),
        connection=connection,
        kind__in=WRITES,
        state__in=WRITTEN,
        target_id__in={event.ref.id for _, event in told},
        object_type__in={event.ref.object_type for _, event in told},
    )
    found = defaultdict(list)
    for op in rows.only("object_type", "target_id", "before", "after", "exchange", "sent_at").order_by("pk"):
        update = OurUpdate(op.pk, decode_fields(op.before), decode_fields(op.after), op.sent_at, _answered_at(op))
        found[(op.object_type, op.target_id)].append(update)
    return found


def _answered_at(op: Operation) -> datetime | None:
    try:
        at = datetime.fromisoformat(str(op.exchange.get(VERSION) or ""))
    except ValueError:
        return None
    return at if at.tzinfo else None


def _keep(event: HookEvent, updates: list[OurUpdate]) -> _Found:
    """Puts what we overwrote into the journal, beside what rules let lose."""
    update = find_our_update(event, updates)
    if update is None:
        return _Found()
    values = overwritten_values(event, update)
    if not values:
        return _Found(note=f"Our write {update.id}.", is_ours=True)
    op = Operation.objects.select_for_update().only("origin").get(pk=update.id)
    op.origin = {**op.origin, LOSERS: {**op.origin.get(LOSERS, {}), **encode_fields(values)}}
    Operation.objects.filter(pk=op.pk).update(origin=op.origin)
    names = ", ".join(sorted(values)[:MOST_NAMED])
    return _Found(len(values), f"Our write {update.id} replaced a user's edit of {names}."[:300], is_ours=True)

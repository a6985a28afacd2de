"""One page of activities on its way: what was decided, what became of it, and the rows that remember it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from connectors.contract import Record
from reconciliation.core.ledger import Outcome
from reconciliation.engine.context import RunContext
from reconciliation.engine.one_way import CHANGED, INTERRUPTED, OneWayWork
from reconciliation.models import Activity
from reconciliation.models.bulk import insert_rows, update_rows
from reconciliation.passes.activities import IN_DOUBT, WAITS_FOR_LINK, ActivityDecision

SUSPECT = ("alone", IN_DOUBT)  # why an activity waits whose Task failed on its way
NOT_OWED = {INTERRUPTED, "case_open"}  # the cursor, or a person, brings these back
LOOKED_FOR_EVERY = timedelta(hours=24)  # whether the prospect of a waiting activity is still there
SOON_TRIES, MOST_TRIES, FIRST_WAIT = 2, 7, timedelta(minutes=15)  # two runs in a row, then after 30 minutes to 8 hours
UNIQUE = ("sync_pass", "object_type", "activity_id")
KEPT = ("state", "version", "prospect_id", "name", "reason", "sentence", "tries", "due_at")
SETTLED = ("state", "version", "prospect_id", "task_id", "name", "reason", "sentence", "tries", "due_at")


@dataclass(slots=True)
class ActivityWork(OneWayWork[ActivityDecision]):
    """What is known of a page so far, by the id of the activity; all are of one type."""

    object_type: str
    records: dict[str, Record]
    rows: dict[str, Activity]


def carried(context: RunContext, work: ActivityWork, tasks: Mapping[str, str]) -> None:
    """Remembers what these activities, by id, became: for good. In the transaction that settles the writes."""
    now = context.wiring.now()
    rows = []
    for id_, task_id in tasks.items():
        decision = work.decisions[id_]
        values = {"version": decision.record.version, "prospect_id": decision.prospect_id, "task_id": task_id}
        rows.append(_row(context, work, id_, now, state=Activity.State.CARRIED, **values))
    insert_rows(rows, unique=UNIQUE, update=SETTLED)


def keep(context: RunContext, work: ActivityWork) -> None:
    """Remembers what waits and what was refused, forgets what came to another end, and notes the versions that were seen."""
    now = context.wiring.now()
    waiting = [_waiting(context, work, d, now) for d in work.decisions.values() if _is_owed(d)]
    refused = [_refused(context, work, d, now) for d in work.decisions.values() if d.outcome is Outcome.FAILED]
    insert_rows([*waiting, *refused], unique=UNIQUE, update=KEPT)
    _forget(work)
    seen = [_seen(row, work.records[id_]) for id_, row in work.rows.items() if _is_seen_anew(row, work.records.get(id_))]
    update_rows(seen, ["version"])


def _is_owed(decision: ActivityDecision) -> bool:
    return decision.outcome is Outcome.HELD and decision.reason not in NOT_OWED


def _row(context: RunContext, work: ActivityWork, id_: str, now: datetime, **values: object) -> Activity:
    row = work.rows.get(id_)
    common = {"sync_pass": context.sync_pass, "object_type": work.object_type, "activity_id": id_}
    return Activity(**common, since=row.since if row is not None else now, **values)


def _waiting(context: RunContext, work: ActivityWork, decision: ActivityDecision, now: datetime) -> Activity:
    id_ = decision.record.ref.id
    before = work.rows.get(id_)
    is_same = before is not None and (before.reason == decision.reason or {before.reason, decision.reason} <= set(SUSPECT))
    tries = min(before.tries + 1, MOST_TRIES) if before is not None and is_same else 1
    is_asked = before is not None and before.reason == decision.reason == WAITS_FOR_LINK
    due_at = before.due_at if before is not None and is_asked else None
    if due_at is None or due_at <= now:
        due_at = _due(decision.reason, tries, now)
    return _row(context, work, id_, now, state=Activity.State.WAITING, tries=tries, due_at=due_at, **_said(decision))


def _refused(context: RunContext, work: ActivityWork, decision: ActivityDecision, now: datetime) -> Activity:
    return _row(context, work, decision.record.ref.id, now, state=Activity.State.REFUSED, due_at=None, **_said(decision))


def _said(decision: ActivityDecision) -> dict[str, str]:
    return {
        "version": decision.record.version,
        "prospect_id": decision.prospect_id,
        "name": decision.name[:255],
        "reason": decision.reason[:60],
        "sentence": decision.sentence,
    }


def _due(reason: str, tries: int, now: datetime) -> datetime:
    """Returns when a waiting activity is looked at again by itself; a link that comes is noticed at once."""
    if reason == WAITS_FOR_LINK:
        return now + LOOKED_FOR_EVERY
    return now if tries <= SOON_TRIES else now + FIRST_WAIT * 2 ** (tries - SOON_TRIES)


def _forget(work: ActivityWork) -> None:
    """Removes the rows of what is excluded now: nothing of it is owed. What was carried or taken back stays for good, and so does
    what a plan refused: it is looked at again."""
    excluded = [d for d in work.decisions.values() if d.outcome is Outcome.EXCLUDED and d.reason != CHANGED]
    over = [work.rows[d.record.ref.id].pk for d in excluded if d.record.ref.id in work.rows]
    if over:
        Activity.objects.filter(pk__in=over, state__in=(Activity.State.WAITING, Activity.State.REFUSED)).delete()


def _is_seen_anew(row: Activity, record: Record | None) -> bool:
    return record is not None and row.state == Activity.State.CARRIED and bool(record.version) and row.version != record.version


def _seen(row: Activity, record: Record) -> Activity:
    row.version = record.version
    return row


def interrupted(records: Iterable[Record]) -> list[ActivityDecision]:
    """Returns the decisions of activities that the run did not come to."""
    sentence = "The run was interrupted before this activity was done."
    return [ActivityDecision(record, Outcome.HELD, INTERRUPTED, sentence) for record in records]

"""Looks at both sides of open conflicts again: what agrees by now closes by itself (D10). Hourly, and when somebody asks.

Conflicts of mailboxes are left to the runs over them, in `conflict_tidy`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from django.db import transaction

from reconciliation.core.settling import do_agree
from reconciliation.engine.context import RunContext
from reconciliation.engine.staff import at_work
from reconciliation.engine.wiring import Wiring
from reconciliation.models import Case, ConflictField, SyncPass
from reconciliation.services.conflict_desk import RELATED, Desk, Tables, follow_values, sit_at, tables_of
from reconciliation.store import encode

CASES_A_BATCH = 100
ENDED = "The two records are not linked any more."
AGREED = "Both sides agree by now."
UNMAPPED = "Its fields are not mapped any more, or were agreed on otherwise."


@dataclass(slots=True)
class Refreshed:
    """What a look at the open conflicts came to: cases looked at, fields that agree by now, fields that hold other values
    than they did, cases closed."""

    looked_at: int = 0
    agreed: int = 0
    changed: int = 0
    closed: int = 0


def conflicts_refresh(sync_pass: SyncPass, by: str = "", *, wiring: Wiring | None = None) -> Refreshed:
    """Reads both records of every open conflict, many a call, and closes what was overtaken; the rest shows what both sides
    hold now. Writes nothing remote. Raises Busy, ConnectorError; what was closed by then stays closed."""
    result = Refreshed()
    rows = Case.objects.filter(sync_pass=sync_pass, state=Case.State.OPEN, kind=Case.Kind.CONFLICT).order_by("pk")
    if not rows.exists():
        return result
    with at_work(sync_pass, by=by, what="Looked at open conflicts again.", only_reads=True, wiring=wiring) as context:
        tables, last = tables_of(sync_pass), 0
        while part := list(rows.select_related(*RELATED).filter(pk__gt=last)[:CASES_A_BATCH]):
            last = part[-1].pk
            _look(context, sync_pass, part, tables, result)
    return result


def _look(context: RunContext, sync_pass: SyncPass, part: Sequence[Case], tables: Tables, result: Refreshed) -> None:
    context.lease.guard(context.crm.connector.request_timeout)
    for desk in sit_at(context.crm.connector, context.peer.connector, sync_pass, part):
        result.looked_at += 1
        with transaction.atomic():
            context.lease.renew()
            _look_at_one(context, desk, tables, result)


def _look_at_one(context: RunContext, desk: Desk, tables: Tables, result: Refreshed) -> None:
    if desk.binding is not None and not desk.is_whole:
        return  # deleted, or hidden from our user: the pass finds out which, and ends the link
    if desk.binding is None:
        close_fields(list(desk.rows.values()), context.wiring.now())
        result.closed += close(desk.case, ENDED, context.wiring.now())
        return
    ended, agreed, standing = [], [], []
    for row in desk.rows.values():
        rule = tables.rule_of(row, desk.case)
        if rule is None or desk.is_moot(row):
            ended.append(row)
        elif do_agree(rule, *desk.now(row), tables.users):
            agreed.append(row)
        else:
            standing.append(row)
    result.changed += len(follow_values(desk, standing))
    result.agreed += len(agreed)
    binding = desk.binding
    for row in agreed:
        crm, peer = desk.now(row)
        binding.crm_base = {**binding.crm_base, row.crm_field: encode(crm)}
        binding.peer_base = {**binding.peer_base, row.peer_field: encode(peer)}
    if agreed:
        binding.save(update_fields=["crm_base", "peer_base"])
    close_fields([*agreed, *ended], context.wiring.now())
    if not standing:
        result.closed += close(desk.case, AGREED if agreed or not ended else UNMAPPED, context.wiring.now())


def close_fields(rows: Sequence[ConflictField], at: datetime) -> None:
    """Notes that nothing is to be decided about these fields any more."""
    open_ = ConflictField.objects.filter(pk__in=[row.pk for row in rows], state=ConflictField.State.OPEN)
    open_.update(state=ConflictField.State.AGREED, decided_at=at)


def close(case: Case, why: str, at: datetime) -> int:
    """Closes a case without open fields; one of which a person decided some counts as decided."""
    was_decided = ConflictField.objects.filter(case=case).exclude(decided_by="").exists()
    state = Case.State.RESOLVED if was_decided else Case.State.CLOSED
    return Case.objects.filter(pk=case.pk, state=Case.State.OPEN).update(
        state=state, decision="conflict ended" if why == ENDED else "conflict agreed", note=why, closed_at=at
    )

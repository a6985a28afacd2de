"""Looks at the organisations of open cases again: decisions made in Workbooks itself close them (D35).

The selection of a pass cannot bring these rows back, since their flag keeps them out. Hourly, and when somebody asks."""

from __future__ import annotations

from dataclasses import dataclass

from connectors.contract import Value
from reconciliation.core.case_ends import CaseEnd, case_end
from reconciliation.engine import crm_writes
from reconciliation.engine.context import RunContext
from reconciliation.engine.crm_writes import CrmWrite
from reconciliation.engine.staff import at_work
from reconciliation.engine.wiring import Wiring
from reconciliation.models import Case, SyncPass
from reconciliation.services.duplicates import read_organisations
from reconciliation.store import decode_fields

CASES_A_BATCH = 500
KINDS = (Case.Kind.DUPLICATE, Case.Kind.ERROR)


@dataclass(slots=True)
class Refreshed:
    """What a look at the open cases came to."""

    looked_at: int = 0
    closed: int = 0
    rearmed: int = 0


def cases_refresh(sync_pass: SyncPass, by: str = "", *, wiring: Wiring | None = None) -> Refreshed:
    """Reads the organisations of all open cases, a hundred a call, and closes the cases that were overtaken. Raises Busy,
    ConnectorError; what was closed by then stays closed."""
    result = Refreshed()
    rows = Case.objects.filter(sync_pass=sync_pass, state=Case.State.OPEN, kind__in=KINDS).order_by("pk")
    if not rows.exists():
        return result
    with at_work(sync_pass, by=by, what="Looked at open cases again.", wiring=wiring) as context:
        last = 0
        while part := list(rows.filter(pk__gt=last)[:CASES_A_BATCH]):
            last = part[-1].pk
            _refresh_part(context, part, result)
    return result


def _refresh_part(context: RunContext, part: list[Case], result: Refreshed) -> None:
    context.lease.guard(context.crm.connector.request_timeout)
    now = read_organisations(context, sorted({case.crm_id for case in part}))
    columns = context.terms.columns
    ends: list[tuple[Case, CaseEnd]] = []
    for case in part:
        is_written = case.flag == Case.Flag.WRITTEN
        end = case_end(case.kind, now.get(case.crm_id), decode_fields(case.crm_fields), columns, is_flag_written=is_written)
        if end is not None:
            ends.append((case, end))
    fields: dict[str, Value] = {columns.duplicate: False}
    writes = [
        CrmWrite("flag", case.crm_id, case.name, fields, now[case.crm_id].version, end.sentence) for case, end in ends if end.clears_flag
    ]
    left = set(crm_writes.write_all(context, writes))
    result.looked_at += len(part)
    for case, end in ends:
        if end.clears_flag and case.crm_id in left:
            continue
        result.rearmed += end.clears_flag
        result.closed += _close(context, case, end)


def _close(context: RunContext, case: Case, end: CaseEnd) -> int:
    return Case.objects.filter(pk=case.pk, state=Case.State.OPEN).update(
        state=Case.State.CLOSED, decision=end.decision, note=end.sentence, closed_at=context.wiring.now()
    )

"""What a person may do about an error: retry one or many. Clearing the flag in Workbooks re-arms the record once (D5)."""

from __future__ import annotations

from collections.abc import Sequence

from django.contrib.auth.models import AbstractBaseUser
from django.utils import timezone

from connectors.contract import Value
from reconciliation.engine import crm_writes
from reconciliation.engine.crm_writes import CrmWrite
from reconciliation.engine.staff import at_work
from reconciliation.engine.wiring import Wiring
from reconciliation.models import Case


def error_retry(cases: Sequence[Case], user: AbstractBaseUser, *, wiring: Wiring | None = None) -> int:
    """Clears the error flag of these cases' organisations, a hundred a call, and closes the cases; the next pass tries
    each record once more. Returns how many were re-armed. Raises Busy, ConnectorError."""
    if not cases:
        return 0
    sync_pass = cases[0].sync_pass
    with at_work(sync_pass, by=str(user), what=f"Retry {len(cases)} error{'s' if len(cases) > 1 else ''}.", wiring=wiring) as context:
        columns = context.terms.columns
        fields: dict[str, Value] = {columns.error: False}
        if columns.error_text:
            fields[columns.error_text] = None
        writes = [CrmWrite("flag", c.crm_id, c.name, fields, "", "Retry by staff.") for c in cases]
        # A retry requested after the flag was never written needs no write: the case alone held the record.
        failed = set(crm_writes.write_all(context, writes))
        done = [c.pk for c in cases if c.crm_id not in failed]
        return Case.objects.filter(pk__in=done, state=Case.State.OPEN).update(
            state=Case.State.RESOLVED, decision="retry", decided_by=user, closed_at=timezone.now()
        )

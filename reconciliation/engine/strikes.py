"""How often a record failed while its neighbours went through: then the trouble may be its own (engine-rules 1)."""

from __future__ import annotations

from django.db.models import Max, Q

from reconciliation.models import Case, Operation, SyncPass

MOST = 5


def count(sync_pass: SyncPass, operation: Operation, record_id: str) -> int:
    """Returns in how many runs the write of this record failed alone since it last went through, or since its last such
    case was closed."""
    mine = Operation.objects.filter(source_ref=operation.source_ref)
    went_through = mine.filter(state=Operation.State.CONFIRMED).aggregate(last=Max("pk"))["last"] or 0
    cases = Case.objects.filter(Q(crm_id=record_id) | Q(peer_id=record_id), sync_pass=sync_pass, reason="alone")
    closed = cases.aggregate(at=Max("closed_at"))
    failing = mine.filter(context__alone=True, pk__gt=went_through)
    if closed["at"]:
        failing = failing.filter(intended_at__gt=closed["at"])
    return failing.values("run").distinct().count()

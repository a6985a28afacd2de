"""The audit log as people and pages use it: `audit` adds a row, `audit_verify` checks that nobody changed one."""

from __future__ import annotations

from dataclasses import dataclass

from reconciliation.engine.audit import audit
from reconciliation.models import AuditEntry

__all__ = ["Verified", "audit", "audit_verify"]

ROWS_A_BATCH = 1000


@dataclass(frozen=True, slots=True)
class Verified:
    """What a check of the chain came to: `broken` is the first row that does not fit, None when all do."""

    rows: int
    broken: AuditEntry | None = None


def audit_verify() -> Verified:
    """Walks the whole log, oldest first, and returns whether each row is as it was written and follows the one before."""
    last, rows, position = "", 0, 0
    while part := list(AuditEntry.objects.filter(pk__gt=position).order_by("pk")[:ROWS_A_BATCH]):
        for entry in part:
            if entry.previous != last or entry.seal() != entry.digest:
                return Verified(rows, entry)
            last, rows, position = entry.digest, rows + 1, entry.pk
    return Verified(rows)

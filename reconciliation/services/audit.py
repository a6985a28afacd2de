"""Writes the audit log, and checks that nobody changed it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC
from typing import Any

from django.contrib.auth.models import AbstractBaseUser
from django.db import connection, transaction
from django.utils import timezone

from reconciliation.core.spellings import without_addresses
from reconciliation.models import AuditEntry

ROWS_A_BATCH = 1000
_LOCK = 0x5359_4E43  # any number, the same in every process


def audit(user: AbstractBaseUser | None, action: str, subject: str = "", **detail: Any) -> AuditEntry:
    """Adds one row and returns it. `detail` holds no secret and no value of a record: names of what changed, before and
    after of settings. What people give as a reason is kept without e-mail addresses and telephone numbers, since a row
    can never be changed. Rows are sealed one after the other, whoever writes them."""
    with transaction.atomic():
        if connection.vendor == "postgresql":
            with connection.cursor() as cursor:
                cursor.execute("SELECT pg_advisory_xact_lock(%s)", [_LOCK])
        last = AuditEntry.objects.order_by("-pk").values_list("digest", flat=True).first() or ""
        entry = AuditEntry(
            at=timezone.now().astimezone(UTC),
            user_id=user.pk if user is not None else None,
            username=user.get_username() if user is not None else "",
            action=action[:60],
            subject=subject[:200],
            detail=without_addresses(detail),
            previous=last,
        )
        entry.digest = entry.seal()
        entry.save(force_insert=True)
    return entry


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

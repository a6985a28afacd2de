"""Adds to the audit log: what people do, through `services.audit`, and what the product does by itself to what people set."""

from __future__ import annotations

from datetime import UTC
from typing import Any

from django.contrib.auth.models import AbstractBaseUser
from django.db import connection, transaction
from django.utils import timezone

from reconciliation.core.spellings import without_addresses
from reconciliation.models import AuditEntry

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

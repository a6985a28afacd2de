"""*Stop all writes*: the one switch over everything the product sends."""

from __future__ import annotations

from django.contrib.auth.models import AbstractBaseUser
from django.db import transaction
from django.utils import timezone

from reconciliation.models import Policy, SyncPass
from reconciliation.services.audit import audit

MOST_REASON = 500


class StopRefused(ValueError):
    """The switch was not moved; the sentence says why."""


@transaction.atomic
def writes_stop(user: AbstractBaseUser, reason: str) -> None:
    """Lets nothing more be sent, from this moment on; calls that are under way end. Raises StopRefused without a reason."""
    reason = " ".join(reason.split())[:MOST_REASON]
    if not reason:
        raise StopRefused("Say why: everybody who meets the stop reads it. Nothing was changed.")
    Policy.objects.get_or_create(pk=1)
    values = {"writes_stopped_at": timezone.now(), "writes_stopped_by": user.get_username(), "writes_stopped_reason": reason}
    if not Policy.objects.filter(pk=1, writes_stopped_at=None).update(**values):
        raise StopRefused("All writes are stopped already.")
    audit(user, "stop all writes", reason=reason)


@transaction.atomic
def writes_allow(user: AbstractBaseUser, reason: str = "") -> None:
    """Lets passes and staff write again; passes that are on begin at once with what has waited."""
    values = {"writes_stopped_at": None, "writes_stopped_by": "", "writes_stopped_reason": ""}
    if not Policy.objects.filter(pk=1, writes_stopped_at__isnull=False).update(**values):
        raise StopRefused("Writes are allowed already.")
    now = timezone.now()
    SyncPass.objects.filter(is_on=True, trouble_count=0, next_due_at__gt=now).update(next_due_at=now)
    audit(user, "allow writes again", reason=" ".join(reason.split())[:MOST_REASON])

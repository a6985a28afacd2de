"""What a person may do with a pass beside its schedule."""

from __future__ import annotations

from django.contrib.auth.models import AbstractBaseUser
from django.utils import timezone

from reconciliation.models import SyncPass
from reconciliation.services.audit import audit


def pass_pause(sync_pass: SyncPass, user: AbstractBaseUser) -> None:
    """Lets the schedule skip this pass; what waits keeps waiting behind its cursor."""
    if SyncPass.objects.filter(pk=sync_pass.pk, is_paused=False).update(is_paused=True):
        audit(user, "pause pass", sync_pass.title)


def pass_resume(sync_pass: SyncPass, user: AbstractBaseUser) -> None:
    """Lets the schedule take this pass up again, at its next tick."""
    if SyncPass.objects.filter(pk=sync_pass.pk, is_paused=True).update(is_paused=False, next_due_at=timezone.now()):
        audit(user, "resume pass", sync_pass.title)

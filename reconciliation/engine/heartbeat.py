"""Proof that queue and worker still move: a scheduled task writes a row, the watchdog of `serve` looks at it."""

from datetime import datetime

from django.db.models import Max
from django.utils import timezone

from reconciliation.models import Heartbeat, PassLease


def beat() -> None:
    """The task. It does nothing but arrive."""
    Heartbeat.objects.update_or_create(id=1, defaults={"beat_at": timezone.now()})


def last_sign_of_life() -> datetime | None:
    """Returns the later of the last beat and the last lease renewal (engine-rules 22): a pass may fill the workers for
    longer than the watchdog waits, and it renews its lease meanwhile."""
    beat_at = Heartbeat.objects.filter(id=1).values_list("beat_at", flat=True).first()
    renewed_at = PassLease.objects.aggregate(last=Max("renewed_at"))["last"]
    return max((at for at in (beat_at, renewed_at) if at is not None), default=None)

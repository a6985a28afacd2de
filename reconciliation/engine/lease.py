"""One holder of a name at a time, on any number of hosts, with the database's clock and a fencing token.

Design section 7, engine-rules 21. A holder that was frozen beyond its lease finds out at its next step: the renewal
touches no row, and its claims filter on a token that is no longer the newest.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from django.db.models import Exists, F, Q
from django.db.models.functions import Now

from reconciliation.models import PassLease

LEASE_SECONDS = 90


def boottime() -> float:
    """Returns seconds that go on while the machine sleeps, where it can tell them: a lease ends in sleep, too."""
    return time.clock_gettime(time.CLOCK_BOOTTIME) if hasattr(time, "CLOCK_BOOTTIME") else time.monotonic()


class LeaseHeld(Exception):
    """Another run holds the lease."""


class LeaseLost(Exception):
    """The lease went to another holder while we were away: stop at once, write nothing more."""


@dataclass(slots=True)
class Lease:
    """A lease we hold. `db_now` is the database's clock unless a simulation brings its own."""

    name: str
    holder: str
    token: int
    db_now: Callable[[], Any] = Now
    monotonic: Callable[[], float] = boottime
    channel: Lease | None = None  # the process channel of a run, kept as long as the run's own lease
    _good_until: float = 0.0
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def renew(self) -> None:
        """Makes the lease good for another LEASE_SECONDS. Raises LeaseLost when it is no longer ours."""
        now = self.db_now()
        before = self.monotonic()
        won = PassLease.objects.filter(name=self.name, holder=self.holder, token=self.token, expires_at__gt=now).update(
            expires_at=now + timedelta(seconds=LEASE_SECONDS), renewed_at=now
        )
        if not won:
            raise LeaseLost(self.name)
        self._good_until = before + LEASE_SECONDS
        if self.channel is not None:
            self.channel.renew()

    def is_ours(self) -> Exists:
        """Returns a condition for queries: the lease is still ours, by the database's clock."""
        now = self.db_now()
        return Exists(PassLease.objects.filter(name=self.name, holder=self.holder, token=self.token, expires_at__gt=now))

    def guard(self, seconds: float) -> None:
        """Makes sure that a step of `seconds` ends within the lease; renews it when needed. Raises LeaseLost."""
        with self._lock:
            if self._good_until - self.monotonic() < seconds + LEASE_SECONDS / 3:
                self.renew()

    def release(self) -> None:
        """Frees the name. Harmless when it is no longer ours."""
        PassLease.objects.filter(name=self.name, holder=self.holder, token=self.token).update(expires_at=None, holder="")


def take(name: str, holder: str, *, db_now: Callable[[], Any] = Now, monotonic: Callable[[], float] = boottime) -> Lease:
    """Returns the lease of `name`. Raises LeaseHeld when another holder's is still good."""
    before = monotonic()
    if not _won(name, holder, db_now):
        _, is_new = PassLease.objects.get_or_create(name=name)
        if not is_new or not _won(name, holder, db_now):
            raise LeaseHeld(name)
    row = PassLease.objects.filter(name=name, holder=holder).values_list("token").first()
    if row is None:
        raise LeaseHeld(name)
    lease = Lease(name, holder, row[0], db_now, monotonic)
    lease._good_until = before + LEASE_SECONDS
    return lease


def _won(name: str, holder: str, db_now: Callable[[], Any]) -> bool:
    """Takes the lease if it is free, with the next fencing token. Returns whether it did."""
    now = db_now()
    free = Q(expires_at__isnull=True) | Q(expires_at__lte=now)
    ends = now + timedelta(seconds=LEASE_SECONDS)
    return bool(PassLease.objects.filter(free, name=name).update(holder=holder, expires_at=ends, renewed_at=now, token=F("token") + 1))


def held_until(name: str) -> datetime | None:
    """Returns when the present lease of `name` ends, None when nobody holds it."""
    row = PassLease.objects.filter(name=name, expires_at__gt=Now()).first()
    return row.expires_at if row else None

"""*Stop all writes*: the question every write is asked at the moment it is claimed, and passes and staff before that.

`executor` alone has to hold it: its claim, one UPDATE, finds nothing to claim while the switch is on, so that no read
can come between asking and sending.
"""

from __future__ import annotations

from django.db.models import Exists

from reconciliation.models import Policy


class WritesStopped(Exception):
    """An admin stopped all writes. Nothing was sent; the sentence says who did it and why."""


def stopped() -> Policy | None:
    """Returns the policy row while all writes are stopped, else None."""
    return Policy.objects.filter(writes_stopped_at__isnull=False).first()


def sentence(by: str, reason: str) -> str:
    """Returns what staff read while the switch is on."""
    who = f" by {by}" if by else ""
    return f"All writes are stopped{who}: {reason.rstrip('.')}." if reason else f"All writes are stopped{who}."


def stopped_sentence() -> str:
    """Returns it while the switch is on, "" otherwise."""
    policy = stopped()
    return sentence(policy.writes_stopped_by, policy.writes_stopped_reason) if policy else ""


def refuse_while_stopped() -> None:
    """Raises WritesStopped while the switch is on."""
    if why := stopped_sentence():
        raise WritesStopped(f"{why} Nothing was written.")


def are_allowed() -> Exists:
    """Returns a condition for queries: nobody stopped the writes."""
    return ~Exists(Policy.objects.filter(writes_stopped_at__isnull=False))

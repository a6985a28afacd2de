"""What the played Exchange does one way or the other: rights, policies, and what the reference leaves open."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any

from connectors.sandbox import switch_checks as checks
from connectors.sandbox.switch_checks import Check

MOST_CHANGES = 512  # of one call of SyncFolderItems


@dataclass(slots=True)
class Switches:
    """All switches with what they are until somebody sets them."""

    impersonation: bool = True  # the service account has the role; False: ErrorImpersonateUserDenied
    full_access: bool = True  # the service account may name mailboxes without impersonating; False: ErrorAccessDenied
    needs_sign_in: bool = True  # False: every call is taken for the service account's
    # policies that an administrator sets
    find_count_limit: int | None = 1000  # items of one FindItem
    sync_page: int = MOST_CHANGES  # changes of one SyncFolderItems, whatever more is asked for
    busy_after: int | None = None  # calls of one mailbox in a minute; more are answered ErrorServerBusy
    back_off_ms: int = 2000
    # where the reference is silent or unconfirmed
    above_most_changes: str = "cap"  # or refuse: MaxChangesReturned above 512
    auto_resolve: str = "overwrite"  # or refuse: what AutoResolve does with a change key that is not the latest
    sync_truncates: bool = False  # SyncFolderItems tells the first 255 characters of a text, as FindItem does
    sync_refuses_bodies: bool = False  # SyncFolderItems refuses to be asked for bodies and attachments; False: it leaves them out
    settle_seconds: int = 0  # after so long a created item gets another change key by itself; 0: never
    keeps_declined: bool = False  # what was declined stays in the calendar
    subscriptions_most: int = 20  # of one mailbox at a time

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)


NAMES = tuple(f.name for f in fields(Switches))


def changed(present: Switches, given: Mapping[str, Any]) -> Switches:
    """As `switch_checks.changed`."""
    return checks.changed(present, given, CHECKS)


def _whole(low: int, high: int) -> Check:
    return checks.whole(low, high), f"a whole number from {low} to {high}"


def _or_null(check: Check) -> Check:
    return checks.or_null(check[0]), f"{check[1]}, or null"


def _one_of(*allowed: Any) -> Check:
    return checks.one_of(*allowed), " or ".join(map(str, allowed))


CHECKS: dict[str, Check] = {
    **{f.name: checks.BOOL for f in fields(Switches) if f.type == "bool"},
    "find_count_limit": _or_null(_whole(1, 100_000)),
    "sync_page": _whole(1, MOST_CHANGES),
    "busy_after": _or_null(_whole(0, 1_000_000)),
    "back_off_ms": _whole(0, 3_600_000),
    "above_most_changes": _one_of("cap", "refuse"),
    "auto_resolve": _one_of("overwrite", "refuse"),
    "settle_seconds": _whole(0, 100 * 365 * 86400),
    "subscriptions_most": _whole(0, 1000),
}

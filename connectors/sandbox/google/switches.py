"""What the played Google does one way or the other: policies of a customer's admin, and what the reference leaves open."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field, fields
from typing import Any

from connectors.sandbox.google.schema import ALL_SCOPES, KNOWN_SCOPES

DAY = 86400
LONGEST = 100 * 365 * DAY
SERVICES = ("people",)


@dataclass(slots=True)
class Switches:
    """All switches with what they are until somebody sets them. Seconds and days are those of the world's clock."""

    # sign-in
    delegated_scopes: str = ALL_SCOPES  # what the service account may do in every mailbox; empty: it is not delegated
    token_seconds: int = 3599
    refresh_token_days: int | None = None  # 7: a consent screen in testing
    # An assertion is signed by a library that reads the machine's clock; true: only the world's clock counts.
    strict_assertion_times: bool = False
    disabled_services: list[str] = field(default_factory=list)
    has_directory: bool = True  # false: these are private accounts, in no domain
    # quotas
    quota_status: int = 429  # or 403 rateLimitExceeded
    batch_counts_each: bool = False  # a batch costs as much as its people
    full_syncs_per_minute: int | None = None  # first pages of full syncs, of one user
    # sync
    sync_delay_seconds: int = 0  # changes are seen by sync readers only then
    sync_token_days: int = 7
    rename_on_email_change: bool = False  # an edit of e-mail addresses gives the contact another resource name
    old_names_resolve: bool = True
    # writes
    parallel_mutations: int | None = None  # 409 or 503: what the second of two at once is answered
    batch_delete_missing: str = "refuse"  # or ignore: people who are gone already

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)


NAMES = tuple(f.name for f in fields(Switches))


def changed(present: Switches, given: Mapping[str, Any]) -> Switches:
    """Returns the switches with those that are named set anew. Raises ValueError with a sentence for a value that is none."""
    for name, value in given.items():
        check, says = CHECKS[name]
        if not check(value):
            raise ValueError(f"{name} must be {says}")
    return Switches(**{**present.as_dict(), **given})


def _whole(low: int, high: int) -> Callable[[Any], bool]:
    return lambda value: isinstance(value, int) and not isinstance(value, bool) and low <= value <= high


def _or_null(check: Callable[[Any], bool]) -> Callable[[Any], bool]:
    return lambda value: value is None or check(value)


def _one_of(*allowed: Any) -> Callable[[Any], bool]:
    return lambda value: not isinstance(value, bool) and value in allowed


def _are_scopes(value: Any) -> bool:
    return isinstance(value, str) and set(value.split()) <= set(KNOWN_SCOPES)


_BOOL: tuple[Callable[[Any], bool], str] = (lambda value: isinstance(value, bool), "true or false")
_SECONDS = (_whole(0, LONGEST), "a whole number of seconds")
CHECKS: dict[str, tuple[Callable[[Any], bool], str]] = {
    "delegated_scopes": (_are_scopes, "a text of scopes with spaces between, such as 'https://www.googleapis.com/auth/contacts'"),
    "token_seconds": (_whole(1, LONGEST), "a whole number of seconds"),
    "refresh_token_days": (_or_null(_whole(1, 36500)), "a whole number of days or null"),
    "strict_assertion_times": _BOOL,
    "disabled_services": (
        lambda value: isinstance(value, list) and all(each in SERVICES for each in value),
        f"a list of {', '.join(SERVICES)}",
    ),
    "has_directory": _BOOL,
    "quota_status": (_one_of(429, 403), "429 or 403"),
    "batch_counts_each": _BOOL,
    "full_syncs_per_minute": (_or_null(_whole(0, 10**9)), "a whole number or null"),
    "sync_delay_seconds": _SECONDS,
    "sync_token_days": (_whole(0, 36500), "a whole number of days"),
    "rename_on_email_change": _BOOL,
    "old_names_resolve": _BOOL,
    "parallel_mutations": (_or_null(_one_of(409, 503)), "409, 503 or null"),
    "batch_delete_missing": (_one_of("refuse", "ignore"), "refuse or ignore"),
}

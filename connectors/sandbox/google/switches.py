"""What the played Google does one way or the other: policies of a customer's admin, and what the reference leaves open."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field, fields
from typing import Any
from zoneinfo import available_timezones

from connectors.sandbox.google.schema import ALL_SCOPES, KNOWN_SCOPES
from connectors.sandbox.switch_checks import BOOL, one_of, or_null, whole
from connectors.sandbox.switch_checks import changed as set_anew

DAY = 86400
LONGEST = 100 * 365 * DAY
SERVICES = ("people", "gmail", "calendar", "tasks")


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
    # mail
    gmail_units_per_minute: int | None = None  # quota units of one user; real projects have 6,000
    gmail_history_days: int = 7  # how long a cursor of the history lives
    gmail_batch_missing: str = "ignore"  # or refuse: messages of a batch that are gone already
    gmail_keeps_message_id: bool = False  # true: what is sent keeps the Message-ID that the sender gave it
    gmail_metadata_scope_wins: bool = False  # a token with the metadata scope sees no bodies, whatever other scopes it has
    gmail_search_zone: str = "America/Los_Angeles"  # in which a date of a search begins
    # calendars and tasks
    calendar_time_zone: str = "Europe/London"  # of every calendar
    calendar_calls_per_minute: int | None = None  # of one user; real projects have 600
    tasks_calls_per_minute: int | None = None
    deleted_event_days: int = 30  # how long lists without a sync token show deleted events
    events_a_page: int | None = None  # pages of events are no longer than this, whatever is asked for
    empty_event_pages: bool = False  # every other page is empty, and more follow
    guest_changes: str = "refuse"  # or local: what a guest who may not changes stays in his copy
    ticked_tasks_are_hidden: bool = True  # those that people tick off in Google's own apps

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)


NAMES = tuple(f.name for f in fields(Switches))


def changed(present: Switches, given: Mapping[str, Any]) -> Switches:
    """As `switch_checks.changed`."""
    return set_anew(present, given, CHECKS)


def _are_scopes(value: Any) -> bool:
    return isinstance(value, str) and set(value.split()) <= set(KNOWN_SCOPES)


def _is_zone(value: Any) -> bool:
    return isinstance(value, str) and value in available_timezones()


_SECONDS = (whole(0, LONGEST), "a whole number of seconds")
CHECKS: dict[str, tuple[Callable[[Any], bool], str]] = {
    "delegated_scopes": (_are_scopes, "a text of scopes with spaces between, such as 'https://www.googleapis.com/auth/contacts'"),
    "token_seconds": (whole(1, LONGEST), "a whole number of seconds"),
    "refresh_token_days": (or_null(whole(1, 36500)), "a whole number of days or null"),
    "strict_assertion_times": BOOL,
    "disabled_services": (
        lambda value: isinstance(value, list) and all(each in SERVICES for each in value),
        f"a list of {', '.join(SERVICES)}",
    ),
    "has_directory": BOOL,
    "quota_status": (one_of(429, 403), "429 or 403"),
    "batch_counts_each": BOOL,
    "full_syncs_per_minute": (or_null(whole(0, 10**9)), "a whole number or null"),
    "sync_delay_seconds": _SECONDS,
    "sync_token_days": (whole(0, 36500), "a whole number of days"),
    "rename_on_email_change": BOOL,
    "old_names_resolve": BOOL,
    "parallel_mutations": (or_null(one_of(409, 503)), "409, 503 or null"),
    "batch_delete_missing": (one_of("refuse", "ignore"), "refuse or ignore"),
    "gmail_units_per_minute": (or_null(whole(0, 10**9)), "a whole number or null"),
    "gmail_history_days": (whole(0, 36500), "a whole number of days"),
    "gmail_batch_missing": (one_of("ignore", "refuse"), "ignore or refuse"),
    "gmail_keeps_message_id": BOOL,
    "gmail_metadata_scope_wins": BOOL,
    "gmail_search_zone": (_is_zone, "the name of a time zone, such as America/Los_Angeles"),
    "calendar_time_zone": (_is_zone, "the name of a time zone, such as Europe/London"),
    "calendar_calls_per_minute": (or_null(whole(0, 10**9)), "a whole number or null"),
    "tasks_calls_per_minute": (or_null(whole(0, 10**9)), "a whole number or null"),
    "deleted_event_days": (whole(0, 36500), "a whole number of days"),
    "events_a_page": (or_null(whole(1, 2500)), "a whole number from 1 on or null"),
    "empty_event_pages": BOOL,
    "guest_changes": (one_of("refuse", "local"), "refuse or local"),
    "ticked_tasks_are_hidden": BOOL,
}

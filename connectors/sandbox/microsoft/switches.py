"""What the played Graph does one way or the other: the app's consent, what the reference leaves open, reported defects."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any

from connectors.sandbox import switch_checks as checks
from connectors.sandbox.switch_checks import Check

PERMISSIONS = (
    "Contacts.ReadWrite", "Contacts.Read", "Calendars.ReadWrite", "Calendars.Read", "Mail.ReadWrite", "Mail.Read", "Mail.ReadBasic",
    "Mail.Send", "MailboxSettings.ReadWrite", "MailboxSettings.Read", "Tasks.ReadWrite.All", "Tasks.Read.All", "User.Read.All",
    "Directory.Read.All",
)  # fmt: skip
GRANTED = "Contacts.ReadWrite Calendars.ReadWrite Mail.ReadWrite Mail.Send MailboxSettings.ReadWrite Tasks.ReadWrite.All User.Read.All"
FORMS = ("gone", "gone_with_location", "not_found", "bad_request")  # how a dead sync state is answered
LONGEST = 100 * 365 * 86400


@dataclass(slots=True)
class Switches:
    """All switches with what they are until somebody sets them. Seconds are those of the world's clock."""

    # the app in the tenant
    permissions: str = GRANTED  # of tokens issued from now on
    certificate: str | None = None  # PEM of a certificate or public key that client assertions are signed for
    secret_is_expired: bool = False
    token_seconds: int = 3599
    strict_rotation: bool = True  # a refresh token that was used is dead; False: it lives on beside its successor
    discovery_host: str = "vendor"  # what the discovery document names: the real host, own (http), own_https
    # how it runs
    users_page_size: int = 100  # of a list of users, and the most it may be
    page_size: int = 10  # of lists and delta rounds that ask for none
    settle_seconds: int = 0  # after so long a created contact gets another change key by itself; 0: never
    shuffles_batches: bool = True  # answers of a batch come in any order
    concurrency_scope: str = "mailbox"  # or app: over all mailboxes
    # delta rounds
    delta_replays: bool = False  # what was told in earlier rounds comes again, removals also in a first round
    delta_duplicates: bool = False  # the same id several times in a round
    delta_shuffles: bool = False  # in any order
    delta_hides_last_removal: bool = False  # reported: the removal of a folder's last contact is missing
    delta_token_seconds: int | None = None  # how long tokens live; None: for ever
    delta_expired_form: str = "gone"  # how a dead token is answered: one of FORMS
    removed_reason: str = "deleted"  # of what is in the bin or another folder: deleted, or changed
    # change notifications
    notices_repeat_percent: int = 0  # of the bodies that come twice
    notices_drop_percent: int = 0  # of the notices that never come
    notices_shuffle: bool = False  # they are held back until eight wait, and come in any order
    notices_drop_when_slow: bool = False  # none to an address that was slow or failed too often within ten minutes
    renewal_validates: bool = False  # a renewal asks the address anew whether it wants notifications
    # where the reference is silent or unconfirmed
    todo_list_names_repeat: bool = True  # or a second list of a name is refused
    honours_if_match: bool = True
    parent_folder_patch: str = "ignore"  # or refuse
    address_patch: str = "replace"  # or merge: the parts of an address that a PATCH does not name
    regenerates_display_name: bool = True
    directory_names: bool = True  # the directory's name replaces that of its own addresses
    home_phones_most: int | None = 2
    property_filter_scope: str = "mailbox"  # or folder: where /contacts looks for extended properties
    filters_categories: bool = False
    lower_property_ids: bool = True  # tagged ids are told as `String 0x3a24`; False: as they were asked for
    deleted_folder: str = "gone"  # or bin: it answers by its id, from Deleted Items
    equal_folder_in_bin_refuses: bool = False  # reported: deleting fails while a folder of the same name lies in the bin
    bin_as_contact_folder: bool = False  # /contactFolders/deleteditems answers
    duplicate_category_status: int = 409  # or 400
    all_day_floats: bool = True  # whole days are told as midnights of the zone that is asked for; False: as instants
    keeps_declined: bool = False  # what was declined stays in the calendar; False: it leaves it
    attendee_edits: str = "local"  # or refuse: what an attendee changes of times, recurrence and attendees of a copy
    tells_removed_occurrences: bool = True  # a delta round tells that single occurrences were deleted; reported: it may not
    view_days_most: int = 1825  # between the ends of a calendar view
    unknown_user_code: str = "ErrorInvalidUser"  # or ResourceNotFound, Request_ResourceNotFound: of calls to a mailbox

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)


NAMES = tuple(f.name for f in fields(Switches))


def changed(present: Switches, given: Mapping[str, Any]) -> Switches:
    """As `switch_checks.changed`."""
    return checks.changed(present, given, CHECKS)


def _whole(low: int, high: int, what: str = "a whole number") -> Check:
    return checks.whole(low, high), f"{what} from {low} to {high}"


def _or_null(check: Check) -> Check:
    return checks.or_null(check[0]), f"{check[1]}, or null"


def _one_of(*allowed: Any) -> Check:
    return checks.one_of(*allowed), " or ".join(map(str, allowed))


def _are_permissions(value: Any) -> bool:
    return isinstance(value, str) and set(value.split()) <= set(PERMISSIONS)


CHECKS: dict[str, Check] = {
    **{f.name: checks.BOOL for f in fields(Switches) if f.type == "bool"},
    "permissions": (_are_permissions, f"a text of permissions with spaces between, of {', '.join(PERMISSIONS)}"),
    "certificate": _or_null((checks.is_text, "the PEM text of a certificate or public key")),
    "token_seconds": _whole(1, LONGEST),
    "discovery_host": _one_of("vendor", "own", "own_https"),
    "users_page_size": _whole(1, 999),
    "page_size": _whole(1, 1000),
    "settle_seconds": _whole(0, LONGEST),
    "concurrency_scope": _one_of("mailbox", "app"),
    "delta_token_seconds": _or_null(_whole(0, LONGEST)),
    "delta_expired_form": _one_of(*FORMS),
    "removed_reason": _one_of("deleted", "changed"),
    "notices_repeat_percent": _whole(0, 100),
    "notices_drop_percent": _whole(0, 100),
    "parent_folder_patch": _one_of("ignore", "refuse"),
    "address_patch": _one_of("replace", "merge"),
    "home_phones_most": _or_null(_whole(1, 100)),
    "property_filter_scope": _one_of("mailbox", "folder"),
    "deleted_folder": _one_of("gone", "bin"),
    "duplicate_category_status": _one_of(409, 400),
    "attendee_edits": _one_of("local", "refuse"),
    "view_days_most": _whole(1, 36_500),
    "unknown_user_code": _one_of("ErrorInvalidUser", "ResourceNotFound", "Request_ResourceNotFound"),
}

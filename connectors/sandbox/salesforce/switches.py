"""What the played Salesforce does one way or the other: policies of the app, rules of a customer's admin, open questions."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field, fields
from typing import Any

from connectors.sandbox.salesforce import ids
from connectors.sandbox.salesforce.objects import FEATURES
from connectors.sandbox.salesforce.schema import AUDIT_FIELDS, OBJECTS, Hidden
from connectors.sandbox.switch_checks import BOOL, is_text, one_of, or_null, whole
from connectors.sandbox.switch_checks import changed as set_anew

ALL_SCOPES = "api refresh_token openid"
SCOPES = frozenset(("api", "refresh_token", "offline_access", "openid", "id", "profile", "email", "full", "web"))
DAY = 86400
LONGEST = 100 * 365 * DAY
MOST_ROWS = 2000


@dataclass(slots=True)
class Switches:
    """All switches with what they are until somebody sets them. Seconds are those of the world's clock."""

    # the app's policies
    scopes: str = ALL_SCOPES
    require_pkce: bool = False
    require_secret: bool = True
    rotate_refresh_tokens: bool = False
    refresh_idle_days: int | None = None  # a refresh token unused for longer is dead
    session_seconds: int = 7200  # each call slides the window
    calls_per_token: int | None = None
    instance_url: str | None = None  # where calls belong; None: wherever we are addressed
    jwt_certificate: str | None = None  # PEM of a certificate or public key
    has_run_as_user: bool = True  # of client credentials
    # a customer's rules
    duplicate_rule: str = "off"  # block, alert (saved with the header), report (saved) or off
    validation_rules: list[dict[str, str]] = field(default_factory=list)  # object, when (a condition of a query), message
    required_fields: list[str] = field(default_factory=list)
    hidden_fields: list[str] = field(default_factory=list)  # by field-level security
    removed_fields: list[str] = field(default_factory=list)
    read_only_fields: list[str] = field(default_factory=list)
    hidden_objects: list[str] = field(default_factory=list)
    assignment_owner: str | None = None  # who gets a Lead that is written without `Sforce-Auto-Assign: FALSE`
    list_views: list[dict[str, str]] = field(default_factory=list)  # object, name, label, scope, where
    # what the organisation has
    enhanced_email: bool = True  # EmailMessage and its relations
    email_id_lists: bool = True  # ToIds and its like, of EmailMessage
    email_sync_key: bool = True  # Sync_Key__c of EmailMessage
    shared_activities: bool = False  # up to 50 contacts, or one lead, of an activity
    person_accounts: bool = False
    meeting_object: bool = False  # Meeting__c, an object of its own for what takes place
    # who may do what, besides the owner of a record
    sharing: str = "public_read_write"  # or public_read or private: what everybody may do with the records of others
    accountless_contacts_private: bool = False  # a contact without account is seen by its owner only
    modify_all_users: list[str] | None = None  # ids of users whom sharing does not bind; None: our app's and the administrator
    read_only_users: list[str] = field(default_factory=list)  # ids of users whose profile lets them write nothing
    # how it runs
    page_size: int = 5
    locator_seconds: int = 2 * DAY
    late_commit_seconds: int = 0  # what people change is seen by others only then
    bulk_seconds: int = 0  # how long a bulk job is in progress
    deleted_log_days: int = 15
    # where sources disagree
    duplicate_result_key: str = "duplicateResult"  # or duplicateResut
    lock_status: int = 400  # or 500
    deleted_status: int = 404  # or 400
    unknown_row_code: str = "NOT_FOUND"  # or INVALID_CROSS_REFERENCE_KEY: of PATCH and DELETE
    invisible_row_code: str = "INSUFFICIENT_ACCESS_ON_CROSS_REFERENCE_ENTITY"  # or NOT_FOUND: of writes to what is not seen
    no_access_status: int = 400  # or 403
    unknown_field_refuses_call: bool = False  # in a call of many records, instead of its record
    all_day_end: str = "inclusive"  # EndDateTime of an all-day event is its last day; or exclusive: the day behind
    sent_email_is_closed: bool = True  # relations and files are added to drafts only
    email_addresses_relate: bool = False  # each address of an e-mail makes a relation without a record

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)

    def hidden(self) -> Hidden:
        """Returns what these switches do to the objects."""
        return Hidden(
            fields=frozenset(self.hidden_fields),
            removed=frozenset(self.removed_fields),
            read_only=frozenset(self.read_only_fields),
            required=frozenset(self.required_fields),
            objects=frozenset(self.hidden_objects),
            absent=frozenset(name for feature, names in FEATURES.items() if not getattr(self, feature) for name in names),
        )


NAMES = tuple(f.name for f in fields(Switches))


def changed(present: Switches, given: Mapping[str, Any]) -> Switches:
    """As `switch_checks.changed`."""
    return set_anew(present, given, CHECKS)


def _are_scopes(value: Any) -> bool:
    return isinstance(value, str) and set(value.split()) <= SCOPES


def _is_field(value: Any) -> bool:
    object_name, _, name = value.partition(".") if isinstance(value, str) else ("", "", "")
    return object_name in OBJECTS and name in OBJECTS[object_name].fields and name not in AUDIT_FIELDS


def _are_fields(value: Any) -> bool:
    return isinstance(value, list) and all(_is_field(v) for v in value)


def _are_ids(value: Any) -> bool:
    return isinstance(value, list) and all(ids.read(v) == v for v in value)


def _are_objects(value: Any) -> bool:
    return isinstance(value, list) and all(v in OBJECTS and v != "User" for v in value)


def _have_keys(*keys: str) -> Callable[[Any], bool]:
    def check(value: Any) -> bool:
        rows = value if isinstance(value, list) else [None]
        return all(
            isinstance(r, dict) and set(r) == set(keys) and all(isinstance(v, str) for v in r.values()) and r["object"] in OBJECTS
            for r in rows
        )

    return check


_FIELDS = (_are_fields, "a list of fields such as Contact.Title")
_SECONDS = (whole(0, LONGEST), "a whole number of seconds")
CHECKS: dict[str, tuple[Callable[[Any], bool], str]] = {
    "scopes": (_are_scopes, f"a text of scopes with spaces between, of {', '.join(sorted(SCOPES))}"),
    "require_pkce": BOOL,
    "require_secret": BOOL,
    "rotate_refresh_tokens": BOOL,
    "refresh_idle_days": (or_null(whole(1, 36500)), "a whole number of days or null"),
    "session_seconds": (whole(1, LONGEST), "a whole number of seconds"),
    "calls_per_token": (or_null(whole(1, 10**9)), "a whole number or null"),
    "instance_url": (or_null(lambda v: is_text(v) and v.startswith(("http://", "https://"))), "a web address or null"),
    "jwt_certificate": (or_null(is_text), "the PEM text of a certificate or public key, or null"),
    "has_run_as_user": BOOL,
    "duplicate_rule": (one_of("off", "block", "alert", "report"), "off, block, alert or report"),
    "validation_rules": (_have_keys("object", "when", "message"), 'a list of {"object", "when", "message"}'),
    "required_fields": _FIELDS,
    "hidden_fields": _FIELDS,
    "removed_fields": _FIELDS,
    "read_only_fields": _FIELDS,
    "hidden_objects": (_are_objects, "a list of objects such as Lead, without User"),
    "assignment_owner": (or_null(is_text), "the id of a user or null"),
    "list_views": (
        _have_keys("object", "name", "label", "scope", "where"),
        'a list of {"object", "name", "label", "scope", "where"}',
    ),
    "sharing": (one_of("public_read_write", "public_read", "private"), "public_read_write, public_read or private"),
    "accountless_contacts_private": BOOL,
    "modify_all_users": (or_null(_are_ids), "a list of ids of users, of 18 characters, or null"),
    "read_only_users": (_are_ids, "a list of ids of users, of 18 characters"),
    **dict.fromkeys(FEATURES, BOOL),
    "page_size": (whole(1, MOST_ROWS), f"a whole number from 1 to {MOST_ROWS}"),
    "locator_seconds": _SECONDS,
    "late_commit_seconds": _SECONDS,
    "bulk_seconds": _SECONDS,
    "deleted_log_days": (whole(0, 15), "a whole number of days up to 15"),
    "duplicate_result_key": (one_of("duplicateResult", "duplicateResut"), "duplicateResult or duplicateResut"),
    "lock_status": (one_of(400, 500), "400 or 500"),
    "deleted_status": (one_of(404, 400), "404 or 400"),
    "unknown_row_code": (one_of("NOT_FOUND", "INVALID_CROSS_REFERENCE_KEY"), "NOT_FOUND or INVALID_CROSS_REFERENCE_KEY"),
    "invisible_row_code": (
        one_of("INSUFFICIENT_ACCESS_ON_CROSS_REFERENCE_ENTITY", "NOT_FOUND"),
        "INSUFFICIENT_ACCESS_ON_CROSS_REFERENCE_ENTITY or NOT_FOUND",
    ),
    "no_access_status": (one_of(400, 403), "400 or 403"),
    "unknown_field_refuses_call": BOOL,
    "all_day_end": (one_of("inclusive", "exclusive"), "inclusive or exclusive"),
    "sent_email_is_closed": BOOL,
    "email_addresses_relate": BOOL,
}

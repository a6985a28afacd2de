"""What a write of one kind of record asks for besides what all have: checks, values that follow in the row itself, and rows
of other objects that follow. A table for each moment; most objects stand in few of them."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING

from connectors.sandbox.salesforce import activities, contact_roles, emails, files, invitations, person_accounts, relations, series
from connectors.sandbox.salesforce.objects import PROBABILITY
from connectors.sandbox.salesforce.table import Row

if TYPE_CHECKING:
    from connectors.sandbox.salesforce.records import Records, Writer

    Check = Callable[[Records, Row, Row | None, Row, Writer], None]
    Derive = Callable[[Records, Row, Row | None, Row], None]
    Gone = Callable[[Records, Row, Writer], None]

# Reference 13.7: no validation rules run for these.
WITHOUT_RULES = frozenset(relations.KINDS)


def prepare(records: Records, object_name: str, row: Row, before: Row | None, changes: Row) -> None:
    """Sets what must be there before anybody looks whether it is. Raises Refused."""
    if object_name == "Account":
        person_accounts.prepare(records, row, before, changes)


def check(records: Records, object_name: str, row: Row, before: Row | None, changes: Row, writer: Writer) -> None:
    """Raises Refused for what somebody may not write, though the system itself may."""
    if object_name in _CHECKS:
        _CHECKS[object_name](records, row, before, changes, writer)


def derive(records: Records, object_name: str, row: Row, before: Row | None, changes: Row) -> None:
    """Sets what follows from other values of a row. Raises Refused for values that do not agree."""
    if object_name in _DERIVED:
        _DERIVED[object_name](records, row, before, changes)


def saved(records: Records, object_name: str, row: Row, before: Row | None, changes: Row, writer: Writer) -> None:
    """Writes what follows in other rows from one that was stored. Raises Refused where they cannot follow."""
    if object_name in _SAVED:
        _SAVED[object_name](records, row, before, changes, writer)


def check_delete(object_name: str, row: Row) -> None:
    """Raises Refused for a record that cannot be deleted by itself."""
    if object_name == "Contact":
        person_accounts.check_delete(row)


def deleted(records: Records, object_name: str, row: Row, writer: Writer) -> None:
    """Writes what follows from a deletion, before what hangs on the record goes along."""
    if object_name in _DELETED:
        _DELETED[object_name](records, row, writer)


def restored(records: Records, object_name: str, id_: str, gone_at: str, writer: Writer) -> None:
    """Writes what follows when a record that was deleted at an instant is back."""
    if object_name == "Event":
        invitations.restored(records, id_, gone_at, writer)
    if object_name in relations.OF_ACTIVITY:
        relations.refresh(records, relations.OF_ACTIVITY[object_name], id_, writer)


# --- people and opportunities -------------------------------------------------------------------------------------------
def _derive_person(records: Records, row: Row, before: Row | None, changes: Row) -> None:
    row["Name"] = " ".join(str(row[n]) for n in ("FirstName", "MiddleName", "LastName", "Suffix") if row.get(n))


def _derive_contact(records: Records, row: Row, before: Row | None, changes: Row) -> None:
    _derive_person(records, row, before, changes)
    row["IsEmailBounced"] = row.get("EmailBouncedDate") is not None


def _person_deleted(records: Records, row: Row, writer: Writer) -> None:
    relations.person_deleted(records, row, writer)
    emails.person_deleted(records, row, writer)


def _derive_opportunity(records: Records, row: Row, before: Row | None, changes: Row) -> None:
    row["IsClosed"], row["IsWon"] = str(row["StageName"]).startswith("Closed"), row["StageName"] == "Closed Won"
    if "Probability" not in changes and ("StageName" in changes or "Probability" not in row):
        row["Probability"] = PROBABILITY.get(row["StageName"], 0.0)


# --- activities ---------------------------------------------------------------------------------------------------------
def _check_activity(records: Records, row: Row, before: Row | None, changes: Row, writer: Writer) -> None:
    activities.check_parents(row)
    invitations.check_change(before, changes)


def _derive_task(records: Records, row: Row, before: Row | None, changes: Row) -> None:
    activities.derive_task(row, records.stamp())
    _derive_parents(records, "Task", row, changes)


def _derive_event(records: Records, row: Row, before: Row | None, changes: Row) -> None:
    is_inclusive = records.switches.all_day_end == "inclusive"
    activities.derive_event(row, changes, before, is_end_inclusive=is_inclusive)
    series.derive(records, row, before, changes)
    _derive_parents(records, "Event", row, changes)


def _derive_parents(records: Records, object_name: str, row: Row, changes: Row) -> None:
    relations.choose_who(relations.OF_ACTIVITY[object_name], row, changes)
    account = activities.account_of(row, records.look_up)
    row.pop("AccountId", None)
    if account:
        row["AccountId"] = account


def _activity_saved(object_name: str, records: Records, row: Row, before: Row | None, changes: Row, writer: Writer) -> None:
    relations.activity_saved(records, relations.OF_ACTIVITY[object_name], row, before, changes, writer)
    if object_name == "Event":
        invitations.follow(records, row["Id"], writer)
        series.spread(records, row["Id"], writer)


_CHECKS: dict[str, Check] = {
    "Contact": person_accounts.check_contact,
    "Task": _check_activity,
    "Event": _check_activity,
    "EmailMessage": emails.check,
    "EmailMessageRelation": emails.check_relation,
    "ContentVersion": files.check_version,
    "ContentDocumentLink": files.check_link,
    **{name: partial(relations.check, kind) for name, kind in relations.KINDS.items()},
}
_DERIVED: dict[str, Derive] = {
    "Contact": _derive_contact,
    "Lead": _derive_person,
    "User": _derive_person,
    "Opportunity": _derive_opportunity,
    "Task": _derive_task,
    "Event": _derive_event,
    "EmailMessage": emails.derive,
    "EmailMessageRelation": emails.derive_relation,
    "ContentVersion": files.derive_version,
    **{name: partial(relations.derive, kind) for name, kind in relations.KINDS.items()},
}
_SAVED: dict[str, Check] = {
    "Account": person_accounts.saved,
    "Opportunity": contact_roles.opportunity_saved,
    "OpportunityContactRole": contact_roles.saved,
    "Task": partial(_activity_saved, "Task"),
    "Event": partial(_activity_saved, "Event"),
    "EmailMessage": emails.saved,
    "EmailMessageRelation": emails.relation_saved,
    "ContentVersion": files.version_saved,
    "ContentDocumentLink": files.link_saved,
    **{name: partial(relations.saved, kind) for name, kind in relations.KINDS.items()},
}
_DELETED: dict[str, Gone] = {
    "Contact": _person_deleted,
    "Lead": _person_deleted,
    "Event": invitations.event_deleted,
    "EmailMessage": emails.deleted,
    "EmailMessageRelation": emails.relation_deleted,
    "ContentDocumentLink": files.link_deleted,
    **{name: partial(relations.deleted, kind) for name, kind in relations.KINDS.items()},
}

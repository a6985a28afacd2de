"""Person accounts: an account that is a person has one contact of its own, which is read there and written here."""

from __future__ import annotations

from typing import TYPE_CHECKING

from connectors.sandbox.salesforce.objects import PERSON_ACCOUNT
from connectors.sandbox.salesforce.refusal import Refused
from connectors.sandbox.salesforce.schema import OBJECTS
from connectors.sandbox.salesforce.table import Row

if TYPE_CHECKING:
    from connectors.sandbox.salesforce.records import Records, Writer

_OWN = tuple(word.split(":")[0] for word in PERSON_ACCOUNT.split())
_SYSTEMS = frozenset(("IsPersonAccount", "PersonContactId", "PersonMailingAddress", "PersonOtherAddress"))
# A field of the account -> that of its contact.
TO_CONTACT = {
    **{name: name.removeprefix("Person").replace("__pc", "__c") for name in _OWN if name not in _SYSTEMS},
    **{name: name for name in ("Phone", "Fax", "OwnerId")},
}
assert set(TO_CONTACT.values()) <= set(OBJECTS["Contact"].fields)


def prepare(records: Records, row: Row, before: Row | None, changes: Row) -> None:
    """Makes an account that is created with a last name a person, whose name follows. Raises Refused for fields that only the
    other kind of account has."""
    is_person = bool(before.get("IsPersonAccount")) if before is not None else "LastName" in row
    fields = OBJECTS["Account"].fields
    others = ("Name",) if is_person else tuple(name for name in _OWN if name not in _SYSTEMS and fields[name].type != "boolean")
    if closed := [name for name in others if changes.get(name) is not None]:
        told = f"Account: bad field names on insert/update call: {', '.join(closed)}"
        raise Refused(400, "INVALID_FIELD_FOR_INSERT_UPDATE", told, closed)
    if not is_person:
        return
    if not row.get("LastName"):
        raise Refused(400, "REQUIRED_FIELD_MISSING", "Required fields are missing: [LastName]", ["LastName"])
    row["IsPersonAccount"] = True
    row["Name"] = " ".join(str(row[name]) for name in ("FirstName", "LastName") if row.get(name))


def saved(records: Records, row: Row, before: Row | None, changes: Row, writer: Writer) -> None:
    """Writes the contact of a person as the account says."""
    if not row.get("IsPersonAccount"):
        return
    values = {name: row.get(own) for own, name in TO_CONTACT.items()}
    if before is None:
        given = {name: value for name, value in values.items() if value is not None}
        contact = records.add("Contact", {**given, "AccountId": row["Id"], "IsPersonAccount": True}, writer)
        records.note("Account", row["Id"], {"PersonContactId": contact["Id"]}, writer)
        return
    contact = records.tables["Contact"].rows[row["PersonContactId"]]
    changed = {name: value for name, value in values.items() if contact.get(name) != value}
    if changed:
        full = " ".join(str(row[name]) for name in ("FirstName", "LastName") if row.get(name))
        records.edit("Contact", contact["Id"], {**changed, "Name": full}, writer)


def check_contact(records: Records, row: Row, before: Row | None, changes: Row, writer: Writer) -> None:
    """Raises Refused for a write to the contact of a person, and for a contact of an account that is one."""
    if before is not None and before.get("IsPersonAccount"):
        raise _through_account()
    account = records.look_up("Account", row.get("AccountId", ""))
    if account is not None and account.get("IsPersonAccount"):
        raise Refused(400, "INVALID_PERSON_ACCOUNT_OPERATION", "an account that is a person has no other contacts", ["AccountId"])


def check_delete(row: Row) -> None:
    """Raises Refused for the contact of a person, which goes with its account."""
    if row.get("IsPersonAccount"):
        raise _through_account()


def _through_account() -> Refused:
    return Refused(400, "INVALID_PERSON_ACCOUNT_OPERATION", "the contact of a person account is changed through the account", [])

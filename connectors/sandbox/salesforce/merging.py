"""What people do that the REST API cannot: merge two or three records into one, and convert a lead."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from connectors.sandbox.salesforce import emails, ids, relations
from connectors.sandbox.salesforce.records import Records, Writer
from connectors.sandbox.salesforce.schema import AUDIT_FIELDS, OBJECTS
from connectors.sandbox.salesforce.table import Row

MOST_MERGED = 3
MERGEABLE = tuple(name for name, o in OBJECTS.items() if "m" in o.rights)
# A lead's field -> that of the account or contact it becomes.
TO_CONTACT = {
    **{n: n for n in ("FirstName", "LastName", "Salutation", "Title", "Phone", "MobilePhone", "Fax", "Email", "LeadSource", "Description")},
    **{n: n for n in ("OwnerId", "HasOptedOutOfEmail", "HasOptedOutOfFax", "DoNotCall")},
    **{n: f"Mailing{n}" for n in ("Street", "City", "State", "PostalCode", "Country")},
}
TO_ACCOUNT = {
    "Company": "Name",
    **{n: n for n in ("Phone", "Fax", "Website", "Industry", "Rating", "AnnualRevenue", "NumberOfEmployees", "OwnerId")},
    **{n: f"Billing{n}" for n in ("Street", "City", "State", "PostalCode", "Country")},
}
CONVERTED_STATUS = "Closed - Converted"


def merge(records: Records, object_name: str, winner: str, losers: list[str], values: Mapping[str, Any], writer: Writer) -> Row:
    """Merges records: the losers go to the recycle bin with the winner's id, and what hung on them hangs on it. `values`
    are what the person chose for the winner. Raises ValueError for what cannot be merged, Refused for the values."""
    if object_name not in MERGEABLE:
        raise ValueError(f"{object_name} cannot be merged; take {', '.join(MERGEABLE)}")
    whole = [_present(records, object_name, text) for text in (winner, *losers)]
    if not losers or len(whole) > MOST_MERGED or len({row["Id"] for row in whole}) < len(whole):
        raise ValueError(f"a merge takes one winner and up to {MOST_MERGED - 1} others")
    kept = whole[0]["Id"]
    if any(row.get("IsPersonAccount") for row in whole):
        raise ValueError("person accounts and their contacts are not merged here")
    for loser in whole[1:]:
        _move_children(records, loser["Id"], kept, writer)
        records.touch(object_name, loser["Id"], {"MasterRecordId": kept}, writer)
        records.delete(object_name, loser["Id"], writer)
    relations.merged(records, kept, writer)
    emails.merged(records, kept, writer)
    return records.update(object_name, kept, values, writer)


def _present(records: Records, object_name: str, text: str) -> Row:
    id_ = ids.read(text)
    row = records.tables[object_name].rows.get(id_ or "")
    if row is None or row.get("IsDeleted"):
        raise ValueError(f"there is no {object_name} {text[:40]}")
    return row


def _move_children(records: Records, from_id: str, to_id: str, writer: Writer) -> None:
    """Lets every lookup that led to one record lead to another."""
    own = next(o for o in OBJECTS.values() if o.prefix == from_id[:3])
    for object_ in OBJECTS.values():
        for field in object_.fields.values():
            if field.is_lookup and own.name in field.references and field.name not in AUDIT_FIELDS and field.name != "MasterRecordId":
                for child in records.children(object_.name, field.name, from_id):
                    records.touch(object_.name, child["Id"], {field.name: None if child["Id"] == to_id else to_id}, writer)


def convert(records: Records, lead_id: str, writer: Writer, *, account: str = "", contact: str = "", opportunity: str = "") -> Row:
    """Converts a lead into a contact of an account, each new unless one is named, and an opportunity of this name unless it
    is ''. Tasks and events go to the contact. Raises ValueError, and Refused where a new record would be."""
    lead = _present(records, "Lead", lead_id)
    if lead.get("IsConverted"):
        raise ValueError("the lead is converted already")
    contact_row = _present(records, "Contact", contact) if contact else None
    account_id = _present(records, "Account", account)["Id"] if account else (contact_row or {}).get("AccountId")
    if account_id is None:
        account_id = records.create("Account", _taken(lead, TO_ACCOUNT), writer)["Id"]
    if contact_row is None:
        contact_row = records.create("Contact", {**_taken(lead, TO_CONTACT), "AccountId": account_id}, writer)
    ends = {"IsConverted": True, "ConvertedDate": records.stamp()[:10], "Status": CONVERTED_STATUS, "ConvertedAccountId": account_id}
    ends.update({"ConvertedContactId": contact_row["Id"], "IsUnreadByOwner": False})
    if opportunity:
        close = f"{int(records.stamp()[:4]) + 1}{records.stamp()[4:7]}-01"
        values = {"Name": opportunity, "StageName": "Prospecting", "CloseDate": close, "AccountId": account_id, "OwnerId": lead["OwnerId"]}
        ends["ConvertedOpportunityId"] = records.create("Opportunity", values, writer)["Id"]
    for object_name in ("Task", "Event"):
        for child in records.children(object_name, "WhoId", lead["Id"]):
            if not child.get("IsChild"):  # the events of invited users follow
                records.update(object_name, child["Id"], {"WhoId": contact_row["Id"]}, writer)
    emails.converted(records, lead["Id"], contact_row["Id"], writer)
    return records.update("Lead", lead["Id"], ends, writer)


def _taken(lead: Row, names: Mapping[str, str]) -> dict[str, Any]:
    return {target: lead[name] for name, target in names.items() if name in lead}

"""E-mails: who is related to them in which role, the task that shows them among activities, and that only drafts change."""

from __future__ import annotations

from typing import TYPE_CHECKING

from connectors.sandbox.salesforce import activities, relations
from connectors.sandbox.salesforce.refusal import Refused
from connectors.sandbox.salesforce.schema import BY_PREFIX
from connectors.sandbox.salesforce.table import Row

if TYPE_CHECKING:
    from connectors.sandbox.salesforce.records import Records, Writer

EMAIL, RELATION, LINK = "EmailMessage", "EmailMessageRelation", "ContentDocumentLink"
NEW, READ, DRAFT = "0", "1", "5"  # of Status
LISTS = {"ToIds": "ToAddress", "CcIds": "CcAddress", "BccIds": "BccAddress"}  # and the RelationType of what they list
FROM = "FromAddress"
FILES = "ContentDocumentIds"
ALWAYS_OPEN = "IsExternallyVisible"
LEAD, CONTACT = "00Q", "003"  # prefixes of ids
LONGEST_COMMENT = 32_000
TASK = relations.OF_ACTIVITY["Task"]


# --- the e-mail ---------------------------------------------------------------------------------------------------------
def check(records: Records, row: Row, before: Row | None, changes: Row, writer: Writer) -> None:
    """Raises Refused for a change of what is no draft, or of somebody else's private draft."""
    if before is None:
        return
    if before["Status"] == DRAFT:
        if before.get("IsPrivateDraft") and before["CreatedById"] != writer.user:
            raise _closed("a private draft is changed by whoever wrote it", [])
        return
    if "Status" in changes and (before["Status"], changes["Status"]) in ((NEW, READ), (before["Status"], before["Status"])):
        changes = {name: value for name, value in changes.items() if name != "Status"}
    open_ = {ALWAYS_OPEN, *([FILES] if before.get("IsClientManaged") else [])}
    if closed := [name for name in changes if name not in open_ and not name.endswith("__c")]:
        raise _closed("only drafts of e-mails can be changed", closed)


def _closed(told: str, names: list[str]) -> Refused:
    return Refused(400, "INSUFFICIENT_ACCESS_OR_READONLY", told, names)


def is_open(records: Records, email: Row) -> bool:
    """Tells whether relations may be made and taken away."""
    return email["Status"] == DRAFT or not records.switches.sent_email_is_closed


def derive(records: Records, row: Row, before: Row | None, changes: Row) -> None:
    """Sets when an e-mail was, where it does not say."""
    row.setdefault("MessageDate", row["CreatedDate"])


def saved(records: Records, row: Row, before: Row | None, changes: Row, writer: Writer) -> None:
    """Relates an e-mail to whom it names, and shows it among the activities once it is no draft."""
    for name, role in LISTS.items():
        if name in changes:
            _set_related(records, row["Id"], role, changes[name] or [], writer)
    if FILES in changes:
        _set_files(records, row["Id"], changes[FILES] or [], writer)
    if before is None and records.switches.email_addresses_relate:
        _relate_addresses(records, row, writer)
    refresh(records, row["Id"], writer)
    if row["Status"] != DRAFT and not row.get("ActivityId"):
        _make_activity(records, row["Id"], writer)


def deleted(records: Records, row: Row, writer: Writer) -> None:
    """Takes the task of an e-mail along."""
    if records.look_up("Task", row.get("ActivityId", "")):
        records.discard("Task", row["ActivityId"], writer)


def _set_related(records: Records, email_id: str, role: str, wanted: list[str], writer: Writer) -> None:
    present = {r["RelationId"]: r for r in related(records, email_id, role) if r.get("RelationId")}
    for id_, relation in present.items():
        if id_ not in wanted:
            records.discard(RELATION, relation["Id"], writer)
    for id_ in wanted:
        if id_ not in present:
            records.add(RELATION, {"EmailMessageId": email_id, "RelationId": id_, "RelationType": role}, writer)


def _set_files(records: Records, email_id: str, wanted: list[str], writer: Writer) -> None:
    present = {link["ContentDocumentId"]: link for link in records.children(LINK, "LinkedEntityId", email_id)}
    for id_, link in present.items():
        if id_ not in wanted:
            records.discard(LINK, link["Id"], writer)
    for id_ in wanted:
        if id_ not in present:
            records.add(LINK, {"LinkedEntityId": email_id, "ContentDocumentId": id_}, writer)


def _relate_addresses(records: Records, row: Row, writer: Writer) -> None:
    """Makes a relation without a record of each address that no related record has."""
    for role in (FROM, *LISTS.values()):
        known = {str(r.get("RelationAddress", "")).casefold() for r in related(records, row["Id"], role)}
        for address in filter(None, (word.strip() for word in str(row.get(role, "")).split(";"))):
            if address.casefold() not in known:
                records.add(RELATION, {"EmailMessageId": row["Id"], "RelationType": role, "RelationAddress": address}, writer)


def refresh(records: Records, email_id: str, writer: Writer) -> None:
    """Lets an e-mail show the records and files that it is related to."""
    row = records.tables[EMAIL].rows[email_id]
    shown: Row = {
        name: list(dict.fromkeys(r["RelationId"] for r in related(records, email_id, role) if r.get("RelationId")))
        for name, role in LISTS.items()
    }
    shown[FILES] = [link["ContentDocumentId"] for link in records.children(LINK, "LinkedEntityId", email_id)]
    if any(row.get(name, []) != value for name, value in shown.items()):
        records.note(EMAIL, email_id, shown, writer)
    if bool(row.get("HasAttachment")) != bool(shown[FILES]):
        records.touch(EMAIL, email_id, {"HasAttachment": bool(shown[FILES])}, writer)


def person_deleted(records: Records, row: Row, writer: Writer) -> None:
    """Leaves the address of a person in the e-mails that were related to it."""
    for relation in records.children(RELATION, "RelationId", row["Id"]):
        records.touch(RELATION, relation["Id"], {"RelationId": None, "RelationObjectType": None}, writer)
        refresh(records, relation["EmailMessageId"], writer)


def converted(records: Records, lead_id: str, contact_id: str, writer: Writer) -> None:
    """Relates the e-mails of a lead to the contact that it became."""
    for relation in records.children(RELATION, "RelationId", lead_id):
        records.touch(RELATION, relation["Id"], {"RelationId": contact_id, "RelationObjectType": "Contact"}, writer)
    merged(records, contact_id, writer)


def merged(records: Records, kept_id: str, writer: Writer) -> None:
    """Lets the e-mails of a record that others were merged into show it in the place of those."""
    for email_id in {r["EmailMessageId"] for r in records.children(RELATION, "RelationId", kept_id)}:
        refresh(records, email_id, writer)


# --- the task -----------------------------------------------------------------------------------------------------------
def _make_activity(records: Records, email_id: str, writer: Writer) -> None:
    row = records.tables[EMAIL].rows[email_id]
    values: Row = {"Subject": str(row.get("Subject", ""))[:255] or None, "Status": "Completed", "TaskSubtype": "Email"}
    values |= {"ActivityDate": row["MessageDate"][:10], "Description": str(row.get("TextBody", ""))[:LONGEST_COMMENT] or None}
    task = records.add("Task", {**values, **_parents(records, row)}, writer)
    records.touch(EMAIL, email_id, {"ActivityId": task["Id"]}, writer)


def _parents(records: Records, row: Row) -> Row:
    """Returns whom and what the task of an e-mail is about: the contacts in it, or its lead where it is about nothing else."""
    roles = (FROM, *LISTS.values()) if row.get("Incoming") else (*LISTS.values(), FROM)
    ids = [r.get("RelationId", "") for role in roles for r in related(records, row["Id"], role)]
    contacts = list(dict.fromkeys(id_ for id_ in ids if id_.startswith(CONTACT)))
    leads = [id_ for id_ in ids if id_.startswith(LEAD)]
    what = row.get("RelatedToId")
    if contacts:
        shared = {"TaskWhoIds": contacts[: relations.MOST_CONTACTS]} if records.switches.shared_activities else {}
        return {"WhoId": contacts[0], "WhatId": what, **shared}
    return {"WhoId": leads[0]} if leads and not what else {"WhatId": what}


# --- relations ----------------------------------------------------------------------------------------------------------
def related(records: Records, email_id: str, role: str) -> list[Row]:
    """Returns the relations of an e-mail in one role, the oldest first."""
    return [r for r in records.children(RELATION, "EmailMessageId", email_id) if r["RelationType"] == role]


def check_relation(records: Records, row: Row, before: Row | None, changes: Row, writer: Writer) -> None:
    """Raises Refused for a relation that leads nowhere, is there already, or comes too late."""
    if not is_open(records, records.tables[EMAIL].rows[row["EmailMessageId"]]):
        raise _closed("relations are made to drafts of e-mails", ["EmailMessageId"])
    if not row.get("RelationId") and not row.get("RelationAddress"):
        raise Refused(400, "REQUIRED_FIELD_MISSING", "Required fields are missing: [RelationAddress]", ["RelationAddress"])
    same = [r for r in related(records, row["EmailMessageId"], row["RelationType"]) if r.get("RelationId") == row.get("RelationId")]
    if row.get("RelationId") and same:
        told = "duplicate value found: <unknown> duplicates value on record with id: <unknown>"
        raise Refused(400, "DUPLICATE_VALUE", told, [])


def derive_relation(records: Records, row: Row, before: Row | None, changes: Row) -> None:
    """Sets what kind of record a relation leads to, and its address where none is given."""
    target = BY_PREFIX.get(str(row.get("RelationId", ""))[:3])
    if target is not None:
        row["RelationObjectType"] = target.name
        address = records.tables[target.name].rows[row["RelationId"]].get("Email")
        if address:
            row.setdefault("RelationAddress", address)


def relation_saved(records: Records, row: Row, before: Row | None, changes: Row, writer: Writer) -> None:
    """Lets an e-mail, and its task that is about nobody yet, show a relation that was made."""
    refresh(records, row["EmailMessageId"], writer)
    email = records.tables[EMAIL].rows[row["EmailMessageId"]]
    task = records.look_up("Task", email.get("ActivityId", ""))
    if task is not None and not task.get("WhoId") and (who := _parents(records, email).get("WhoId")):
        account = activities.account_of({**task, "WhoId": who}, records.look_up)
        records.touch("Task", task["Id"], {"WhoId": who, "AccountId": account}, writer)
        relations.activity_saved(records, TASK, records.tables["Task"].rows[task["Id"]], task, {}, writer)


def relation_deleted(records: Records, row: Row, writer: Writer) -> None:
    if not records.tables[EMAIL].rows[row["EmailMessageId"]].get("IsDeleted"):
        refresh(records, row["EmailMessageId"], writer)

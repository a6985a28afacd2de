"""Files: a version that is created makes its document and the links to its owner and to where it is published."""

from __future__ import annotations

import base64
import hashlib
from pathlib import PurePosixPath
from typing import TYPE_CHECKING

from connectors.sandbox.salesforce import emails
from connectors.sandbox.salesforce.refusal import Refused
from connectors.sandbox.salesforce.soql_parser import Comparison, Condition, Group, InList, Query
from connectors.sandbox.salesforce.table import Row

if TYPE_CHECKING:
    from connectors.sandbox.salesforce.records import Records, Writer

VERSION, DOCUMENT, LINK = "ContentVersion", "ContentDocument", "ContentDocumentLink"
SHOWN = ("Title", "Description", "ContentSize", "FileType", "FileExtension", "ContentModifiedDate", "OwnerId")  # of the document, too
TYPES = {"txt": "TEXT", "docx": "WORD_X", "doc": "WORD", "xlsx": "EXCEL_X", "xls": "EXCEL", "pptx": "POWER_POINT_X", "jpeg": "JPG"}
UNFILTERED = (
    "Implementation restriction: ContentDocumentLink requires a filter by a single Id on ContentDocumentId or LinkedEntityId "
    "using the equals operator or multiple Id's using the IN operator."
)


# --- versions -----------------------------------------------------------------------------------------------------------
def check_version(records: Records, row: Row, before: Row | None, changes: Row, writer: Writer) -> None:
    """Raises Refused for a further version that says where it is published: its document says that."""
    if before is None and row.get("ContentDocumentId") and row.get("FirstPublishLocationId"):
        told = "First Publish Location ID: only the first version of a document has one"
        raise Refused(400, "FIELD_INTEGRITY_EXCEPTION", told, ["FirstPublishLocationId"])


def derive_version(records: Records, row: Row, before: Row | None, changes: Row) -> None:
    """Sets what follows from the bytes and the name of a new version."""
    if before is not None:
        return
    data, path = base64.b64decode(row["VersionData"]), PurePosixPath(row["PathOnClient"].replace("\\", "/"))
    extension = path.suffix.removeprefix(".").lower()[:40]
    row.setdefault("Title", path.stem[:255])
    row |= {"ContentSize": len(data), "Checksum": hashlib.md5(data, usedforsecurity=False).hexdigest()}
    row["FileType"] = TYPES.get(extension, extension.upper()[:20] or "UNKNOWN")
    if extension:
        row["FileExtension"] = extension
    row |= {"IsLatest": True, "ContentModifiedDate": row["CreatedDate"], "ContentModifiedById": row["CreatedById"]}
    earlier = records.children(VERSION, "ContentDocumentId", row.get("ContentDocumentId", ""))
    row["VersionNumber"] = str(len(earlier) + 1)


def version_saved(records: Records, row: Row, before: Row | None, changes: Row, writer: Writer) -> None:
    """Makes the document of a first version with its links, or makes a further one the latest."""
    if before is None and not row.get("ContentDocumentId"):
        document = records.add(DOCUMENT, {name: row[name] for name in SHOWN if name in row}, writer)
        records.note(VERSION, row["Id"], {"ContentDocumentId": document["Id"]}, writer)
        row = records.tables[VERSION].rows[row["Id"]]
        _link(records, document["Id"], row["OwnerId"], "I", writer)
        place = row.get("FirstPublishLocationId")
        if place and place != row["OwnerId"]:
            _link(records, document["Id"], place, "V", writer)
    for other in records.children(VERSION, "ContentDocumentId", row["ContentDocumentId"]):
        if before is None and other["Id"] != row["Id"] and other.get("IsLatest"):
            records.touch(VERSION, other["Id"], {"IsLatest": False}, writer)
    if row.get("IsLatest"):
        latest = {**{name: row.get(name) for name in SHOWN}, "LatestPublishedVersionId": row["Id"]}
        records.edit(DOCUMENT, row["ContentDocumentId"], latest, writer)


def _link(records: Records, document_id: str, place: str, share: str, writer: Writer) -> None:
    if place.startswith("02s"):
        _check_email(records, place)
    records.add(LINK, {"ContentDocumentId": document_id, "LinkedEntityId": place, "ShareType": share}, writer)


# --- links --------------------------------------------------------------------------------------------------------------
def check_link(records: Records, row: Row, before: Row | None, changes: Row, writer: Writer) -> None:
    """Raises Refused for a link that is there already, and for one to an e-mail that takes no more."""
    if before is not None:
        return
    present = records.children(LINK, "LinkedEntityId", row["LinkedEntityId"])
    if any(link["ContentDocumentId"] == row["ContentDocumentId"] for link in present):
        told = "duplicate value found: <unknown> duplicates value on record with id: <unknown>"
        raise Refused(400, "DUPLICATE_VALUE", told, [])
    if row["LinkedEntityId"].startswith("02s"):
        _check_email(records, row["LinkedEntityId"])


def _check_email(records: Records, email_id: str) -> None:
    email = records.tables[emails.EMAIL].rows[email_id]
    if not emails.is_open(records, email) and not email.get("IsClientManaged"):
        told = "files are linked to drafts of e-mails, and to e-mails that a client manages"
        raise Refused(400, "INSUFFICIENT_ACCESS_OR_READONLY", told, ["LinkedEntityId"])


def link_saved(records: Records, row: Row, before: Row | None, changes: Row, writer: Writer) -> None:
    """Lets an e-mail show that it has a file."""
    if row["LinkedEntityId"] in records.tables[emails.EMAIL].rows:
        emails.refresh(records, row["LinkedEntityId"], writer)


def link_deleted(records: Records, row: Row, writer: Writer) -> None:
    email = records.look_up(emails.EMAIL, row["LinkedEntityId"])
    if email is not None:
        emails.refresh(records, email["Id"], writer)


# --- queries ------------------------------------------------------------------------------------------------------------
def check_query(query: Query) -> None:
    """Raises Refused for a query of links that does not say of which documents or records."""
    if not _is_narrow(query.where):
        raise Refused(400, "MALFORMED_QUERY", f"\n{UNFILTERED}")


def _is_narrow(condition: Condition | None) -> bool:
    if isinstance(condition, Group):
        return condition.word == "AND" and any(_is_narrow(part) for part in condition.parts)
    names = ("contentdocumentid", "linkedentityid")
    if isinstance(condition, Comparison):
        return condition.operator == "=" and condition.path.text.lower() in names
    return isinstance(condition, InList) and not condition.is_negated and condition.path.text.lower() in names

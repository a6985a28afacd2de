"""Salesforce JSON to records and back. Pure. Ids, dates and blanks as reference section 12 states them."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, date, datetime
from enum import StrEnum
from typing import Any

from connectors.contract import Fields, Record, Ref, Value
from connectors.errors import MappingError, Rejected
from connectors.text import clean, read_instant, read_plain

SYSTEM = "salesforce"
NAME = re.compile(r"[A-Za-z][A-Za-z0-9_]*")
NO_RECYCLE_BIN = frozenset({"User"})  # cannot be deleted, and so has no IsDeleted
MERGEABLE = frozenset({"Account", "Contact", "Lead"})
_ID = re.compile(r"[0-9A-Za-z]{15}(?:[0-9A-Za-z]{3})?")
_CHECK = "ABCDEFGHIJKLMNOPQRSTUVWXYZ012345"


class Kind(StrEnum):
    """How a field's text is read."""

    INSTANT = "instant"
    DATE = "date"
    LIST = "list"  # a multi-select picklist: values joined with ";"
    PLAIN = "plain"


Kinds = Mapping[str, Kind]
_INSTANTS = (
    "ActivityDateTime CompletedDateTime CreatedDate EmailBouncedDate EndDateTime LastLoginDate LastModifiedDate LastReferencedDate "
    "LastViewedDate MessageDate ReminderDateTime StartDateTime SystemModstamp"
)
_DATES = "ActivityDate Birthdate CloseDate ConvertedDate LastActivityDate"
# Every other field of these objects that the reference names (section 13). What is not here is asked for by describe.
_PLAINS = """
    Id IsDeleted CreatedById LastModifiedById MasterRecordId OwnerId RecordTypeId AccountId Name FirstName LastName MiddleName Suffix
    Salutation Email Phone Fax MobilePhone HomePhone OtherPhone AssistantPhone AssistantName Title Department LeadSource Description
    ReportsToId EmailBouncedReason IsEmailBounced Jigsaw IndividualId HasOptedOutOfEmail HasOptedOutOfFax DoNotCall IsPersonAccount
    MailingStreet MailingCity MailingState MailingPostalCode MailingCountry MailingStateCode MailingCountryCode
    OtherStreet OtherCity OtherState OtherPostalCode OtherCountry OtherStateCode OtherCountryCode
    Company Status Website Street City State PostalCode Country StateCode CountryCode Industry Rating AnnualRevenue NumberOfEmployees
    IsUnreadByOwner IsConverted ConvertedAccountId ConvertedContactId ConvertedOpportunityId
    ParentId AccountNumber Site Type Ownership TickerSymbol Sic NaicsCode DunsNumber AccountSource
    BillingStreet BillingCity BillingState BillingPostalCode BillingCountry BillingStateCode BillingCountryCode
    ShippingStreet ShippingCity ShippingState ShippingPostalCode ShippingCountry ShippingStateCode ShippingCountryCode
    PersonContactId PersonEmail PersonMobilePhone StageName Amount Probability IsClosed IsWon ContactId
    Username IsActive TimeZoneSidKey LocaleSidKey LanguageLocaleKey UserType ProfileId FederationIdentifier Alias UserRoleId
    Subject Location IsAllDayEvent DurationInMinutes WhoId WhatId IsPrivate ShowAs IsChild IsGroupEvent GroupEventType IsReminderSet
    TextBody HtmlBody FromAddress FromName ToAddress CcAddress BccAddress MessageIdentifier ThreadIdentifier RelatedToId ActivityId
    EventSubtype IsArchived IsRecurrence IsRecurrence2 Priority TaskSubtype CallType CallDurationInSeconds
"""
JUNCTIONS = ("EventWhoIds", "TaskWhoIds")  # lists of ids, of organisations with Shared Activities
STANDARD: Kinds = {
    **dict.fromkeys(_PLAINS.split(), Kind.PLAIN),
    **dict.fromkeys(_INSTANTS.split(), Kind.INSTANT),
    **dict.fromkeys(_DATES.split(), Kind.DATE),
}


def unknown_among(columns: Iterable[str], known: Kinds) -> list[str]:
    """Returns the columns whose kind only a describe can tell. Fields of a parent ("Account.Name") are read as text."""
    return [name for name in columns if "." not in name and name not in STANDARD and name not in known]


def always(object_type: str) -> tuple[str, ...]:
    """Returns the columns that every read asks for: version, editor, and what became of the record."""
    names = ["Id", "SystemModstamp", "LastModifiedDate", "LastModifiedById"]
    names += [] if object_type in NO_RECYCLE_BIN else ["IsDeleted"]
    names += ["MasterRecordId"] if object_type in MERGEABLE else []
    names += ["IsConverted", "ConvertedContactId"] if object_type == "Lead" else []
    return tuple(names)


def full_id(text: str) -> str | None:
    """Returns the 18-character form of an id, None for what is none: its check characters tell."""
    if not _ID.fullmatch(text):
        return None
    whole = text[:15] + "".join(_check(text[start : start + 5]) for start in (0, 5, 10))
    return whole if text in (text[:15], whole) else None


def _check(block: str) -> str:
    """Returns the character that says which of five are upper-case letters (reference section 12)."""
    return _CHECK[sum(1 << place for place, c in enumerate(block) if c.isupper())]


def given_id(raw: Any) -> str:
    """Returns an id of an answer in its 18 characters, "" when it is none. Its check characters are Salesforce's matter."""
    text = raw if isinstance(raw, str) and _ID.fullmatch(raw) else ""
    return text if len(text) != 15 else full_id(text) or ""


def read_ref(raw: Any, object_type: str) -> Ref | None:
    """Returns the ref of an id in an answer, None when there is none."""
    id_ = given_id(raw)
    return Ref(SYSTEM, object_type, id_) if id_ else None


def write_instant(at: datetime) -> str:
    """Returns the instant as Salesforce itself writes it: `2026-11-01T10:00:00.000+0000`."""
    return at.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "+0000")


def read_value(raw: Any, kind: Kind = Kind.PLAIN) -> tuple[Value, bool]:
    """Returns the canonical value and whether its text was damaged. What does not read as its kind stays text."""
    if (plain := read_plain(raw)) is not None:
        return plain
    if raw == "":
        return None, False
    if kind is Kind.INSTANT and (at := read_instant(raw)) is not None:
        return at, False
    if kind is Kind.DATE and (day := _read_date(raw)) is not None:
        return day, False
    text, is_damaged = clean(raw)
    return (tuple(text.split(";")), is_damaged) if kind is Kind.LIST else (text, is_damaged)


def _read_date(raw: str) -> date | None:
    try:
        return date.fromisoformat(raw) if len(raw) == 10 else None
    except ValueError:
        return None


def read_record(row: Any, object_type: str, columns: Sequence[str] = (), kinds: Kinds = STANDARD) -> Record | None:
    """Returns the record of one row, None when it is not a row of that type with a usable id. Fields of parents are those
    of `columns`; compound fields and child rows are left out."""
    attributes = row.get("attributes") if isinstance(row, dict) else None
    if not isinstance(row, dict) or (isinstance(attributes, dict) and attributes.get("type") not in (object_type, None)):
        return None
    ref = read_ref(row.get("Id"), object_type)
    if ref is None:
        return None
    raw = {name: value for name, value in row.items() if not isinstance(value, dict)}
    raw |= {name: value for name in columns if "." in name and not isinstance(value := _of_parent(row, name), dict)}
    fields: dict[str, Value] = {}
    damaged = set()
    for name, value in raw.items():
        if value is None:
            fields[name] = None
            continue
        if name in JUNCTIONS:
            fields[name] = tuple(id_ for part in value if (id_ := given_id(part))) if isinstance(value, list) else None
            continue
        fields[name], is_damaged = read_value(value, kinds.get(name) or STANDARD.get(name.rpartition(".")[2], Kind.PLAIN))
        if is_damaged:
            damaged.add(name)
    fields["Id"] = ref.id
    changed = fields.get("SystemModstamp")
    edited = fields.get("LastModifiedDate")
    return Record(
        ref,
        fields,
        version=write_instant(changed) if isinstance(changed, datetime) else "",
        updated_at=changed if isinstance(changed, datetime) else None,
        updated_by=given_id(row.get("LastModifiedById")),
        is_deleted=row.get("IsDeleted") is True,
        damaged=frozenset(damaged),
        edited_at=edited if isinstance(edited, datetime) else None,
        succeeded_by=_successor(row, object_type),
    )


def _of_parent(row: Mapping[str, Any], path: str) -> Any:
    """Returns the value behind a path of relations, None where one of the parents is not set."""
    value: Any = row
    for name in path.split("."):
        value = value.get(name) if isinstance(value, dict) else None
    return value


def _successor(row: Mapping[str, Any], object_type: str) -> Ref | None:
    """Returns the record that took this one's place: the winner of a merge, the contact that a lead became."""
    merged = read_ref(row.get("MasterRecordId"), object_type)
    if merged is not None or row.get("IsConverted") is not True:
        return merged
    return read_ref(row.get("ConvertedContactId"), "Contact")


def write_body(fields: Fields) -> dict[str, Any]:
    """Returns the JSON of a write: only the given fields, null for blank. Raises Rejected for a value that cannot be sent,
    MappingError for a field that is none of the record's own."""
    body = {}
    for name, value in fields.items():
        if not NAME.fullmatch(name) or name == "Id":
            raise MappingError(f"cannot be told the field {name[:80]!r}: it is none of the record's own", system=SYSTEM, field=name)
        body[name] = write_value(value, name)
    return body


def write_value(value: Value, name: str) -> str | bool | int | float | list[str] | None:
    """Returns the wire form of a value. Raises Rejected for what has none."""
    if value is None or value == "":
        return None
    if isinstance(value, datetime):
        return write_instant(value)
    if isinstance(value, date):
        return value.isoformat()
    if isinstance(value, float) and not math.isfinite(value):
        raise Rejected(f"{name} cannot hold {value}: it is no number", system=SYSTEM, field=name)
    if isinstance(value, bool | int | float):
        return value
    if isinstance(value, tuple) and name in JUNCTIONS:
        return list(value)
    if isinstance(value, tuple) and any(";" in part for part in value):
        raise Rejected(f"{name} cannot hold a choice with a semicolon", system=SYSTEM, field=name)
    text = ";".join(value) if isinstance(value, tuple) else value
    if clean(text)[1]:
        raise Rejected(f"{name} cannot hold half a character or NUL", system=SYSTEM, field=name)
    return text or None

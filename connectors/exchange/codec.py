"""Exchange's contacts as flat records, and back (reference section 5.1).

Each address and telephone has a place of its own there, so that what is written of one leaves the others as they are. What was
asked for and does not stand in an answer is blank: a read of one item tells all of it.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Any

from exchangelib import Contact, EWSDate
from exchangelib.fields import FieldPath
from exchangelib.indexed_properties import EmailAddress, PhoneNumber, PhysicalAddress
from exchangelib.properties import Body
from exchangelib.version import Version

from connectors.contract import Fields, Record, Ref, Value
from connectors.errors import MappingError, Rejected
from connectors.exchange import models
from connectors.exchange.models import FOREIGN, PREFIX, tag
from connectors.exchange.settings import SYSTEM
from connectors.mailboxes import BEYOND, BIN, CATEGORIES, CONTACT, CONTACT_SCHEMA, FOREIGN_ID, PLACE
from connectors.text import clean, cleaned_field, read_instant

TEXTS = {  # ours: (exchangelib's name of the field, element)
    "displayName": ("display_name", "DisplayName"),
    "givenName": ("given_name", "GivenName"),
    "middleName": ("middle_name", "MiddleName"),
    "surname": ("surname", "Surname"),
    "generation": ("generation", "Generation"),
    "nickName": ("nickname", "Nickname"),
    "companyName": ("company_name", "CompanyName"),
    "department": ("department", "Department"),
    "jobTitle": ("job_title", "JobTitle"),
    "assistantName": ("assistant_name", "AssistantName"),
    "webPage": ("business_homepage", "BusinessHomePage"),
}
EMAILS = {f"email{n}": f"EmailAddress{n}" for n in (1, 2, 3)}
PHONES = {
    "businessPhone": "BusinessPhone",
    "businessPhone2": "BusinessPhone2",
    "mobilePhone": "MobilePhone",
    "homePhone": "HomePhone",
    "homePhone2": "HomePhone2",
    "otherPhone": "OtherTelephone",
    "businessFax": "BusinessFax",
    "assistantPhone": "AssistantPhone",
}
_PARTS = {
    "Street": ("street", "Street"),
    "City": ("city", "City"),
    "State": ("state", "State"),
    "PostalCode": ("zipcode", "PostalCode"),
    "Country": ("country", "CountryOrRegion"),
}
ADDRESSES = {
    f"{kind}{word}": (kind.capitalize(), name, element)
    for kind in ("business", "home", "other")
    for word, (name, element) in _PARTS.items()
}
EXTENDED = {"title": PREFIX, FOREIGN_ID: FOREIGN}
NOTES, BIRTHDAY = "notes", "birthday"
# Where XML and its reader differ from what a text may hold.
UNSENDABLE = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\ud800-\udfff\ufffe\uffff]")


def contact_path(name: str) -> FieldPath:
    """Returns how requests name one of our fields. Raises MappingError for a field that contacts have not."""
    if name in TEXTS:
        return models.path(Contact, TEXTS[name][0])
    if name in EMAILS:
        return models.path(Contact, "email_addresses", EMAILS[name])
    if name in PHONES:
        return models.path(Contact, "phone_numbers", PHONES[name])
    if name in ADDRESSES:
        label, part, _ = ADDRESSES[name]
        return models.path(Contact, "physical_addresses", label, part)
    if name in EXTENDED:
        return models.path(Contact, EXTENDED[name])
    if name == CATEGORIES:
        return models.path(Contact, "categories")
    if name == NOTES:
        return models.path(Contact, "body")
    if name == BIRTHDAY:
        return models.path(Contact, "birthday")
    raise _unknown(name)


def paths_of(columns: Iterable[str]) -> list[FieldPath]:
    """Returns what a read asks for, to tell these columns, with categories, marker, place and time. Raises MappingError."""
    wanted = dict.fromkeys((*(c for c in columns if c not in (PLACE, BEYOND)), CATEGORIES, FOREIGN_ID))
    extra = [models.path(Contact, name) for name in ("parent_folder_id", "last_modified_time")]
    return [*(contact_path(name) for name in wanted), *extra]


# --- reading --------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Row:
    """A contact as an answer holds it."""

    id: str
    change_key: str
    folder_id: str
    element: Any


def row_of(element: Any) -> Row | None:
    """Returns the contact of an answer, None for what is none: a distribution list lies among contacts, too."""
    id_, change_key = models.id_of(element)
    parent = element.find(tag("ParentFolderId"))
    if element.tag != tag("Contact") or not id_ or not change_key or clean(id_)[1]:
        return None
    return Row(id_, change_key, (parent.get("Id") or "") if parent is not None else "", element)


def is_contact(element: Any) -> bool:
    return bool(element.tag == tag("Contact"))


def read_contact(row: Row, columns: Iterable[str], *, place: str | None = None) -> Record:
    """Returns the record of a contact: the columns that were asked for, its categories and its marker."""
    wanted = dict.fromkeys((*columns, CATEGORIES, FOREIGN_ID))
    raw = dict(_values(row.element, wanted))
    fields: dict[str, Value] = {}
    damaged = set()
    for name, value in raw.items():
        fields[name], is_damaged = _read(value, name)
        if is_damaged:
            damaged.add(name)
    if BEYOND in wanted:
        fields[BEYOND] = ()  # every place of a contact there has a field here, or is none of ours
    if place is not None:
        fields[PLACE] = place
    return Record(
        Ref(SYSTEM, CONTACT, row.id),
        fields,
        version=row.change_key,
        updated_at=read_instant(models.text(row.element, "LastModifiedTime")),
        is_deleted=place == BIN,
        damaged=frozenset(damaged),
    )


def _values(element: Any, wanted: Iterable[str]) -> Iterator[tuple[str, Any]]:
    """Yields each field that was asked for, with what stands there, None for what does not."""
    extended = models.extended(element)
    entries = {name: _entries(element, name) for name in ("EmailAddresses", "PhoneNumbers", "PhysicalAddresses")}
    for name in wanted:
        if name in TEXTS:
            yield name, models.text(element, TEXTS[name][1])
        elif name in EMAILS:
            yield name, _said(entries["EmailAddresses"].get(EMAILS[name]))
        elif name in PHONES:
            yield name, _said(entries["PhoneNumbers"].get(PHONES[name]))
        elif name in ADDRESSES:
            label, _, part = ADDRESSES[name]
            entry = entries["PhysicalAddresses"].get(label)
            yield name, None if entry is None else models.text(entry, part)
        elif name in EXTENDED:
            yield name, extended.get(EXTENDED[name])
        elif name == CATEGORIES:
            yield name, models.categories(element)
        elif name == NOTES:
            yield name, (models.text(element, "Body") or "").replace("\r\n", "\n")
        elif name == BIRTHDAY:
            yield name, models.text(element, "Birthday")


def _entries(element: Any, name: str) -> dict[str, Any]:
    found = element.find(tag(name))
    return {} if found is None else {each.get("Key"): each for each in found.findall(tag("Entry"))}


def _said(entry: Any) -> str | None:
    return None if entry is None else (entry.text or "").strip() or None


def _read(raw: Any, name: str) -> tuple[Value, bool]:
    """Returns the canonical value, and whether its text was damaged. A birthday that is no date stays text."""
    value, is_damaged = cleaned_field(raw)
    return (day_of(value) or value, is_damaged) if name == BIRTHDAY and isinstance(value, str) else (value, is_damaged)


def day_of(text: str) -> date | None:
    """Returns the day of a birthday, or of a task. It comes as an instant: at noon as this connector writes a birthday, else at the
    midnight of wherever it was entered, which no zone moves by more than half a day."""
    try:
        at = datetime.fromisoformat(text)
    except ValueError:
        return None
    at = at.astimezone(UTC) if at.tzinfo is not None else at
    return (at + timedelta(hours=12)).date() if at.hour >= 12 else at.date()


# --- writing --------------------------------------------------------------------------------------------------------------


def new_contact(fields: Fields, *, file_as: str) -> Contact:
    """Returns what a create sends. Raises Rejected for a value that cannot be sent, MappingError for a field that contacts have not."""
    values = {name: written(name, value) for name, value in fields.items()}
    given: dict[str, Any] = {}
    emails: list[EmailAddress] = []
    phones: list[PhoneNumber] = []
    addresses: dict[str, dict[str, Any]] = {}
    for name, value in values.items():
        contact_path(name)
        if value is None:
            continue
        if name in TEXTS:
            given[TEXTS[name][0]] = value
        elif name in EMAILS:
            emails.append(EmailAddress(label=EMAILS[name], email=value))
        elif name in PHONES:
            phones.append(PhoneNumber(label=PHONES[name], phone_number=value))
        elif name in ADDRESSES:
            label, part, _ = ADDRESSES[name]
            addresses.setdefault(label, {})[part] = value
        elif name in EXTENDED:
            given[EXTENDED[name]] = value
        else:
            given[{CATEGORIES: "categories", NOTES: "body", BIRTHDAY: BIRTHDAY}[name]] = value
    given |= {"email_addresses": emails or None, "phone_numbers": phones or None}
    given["physical_addresses"] = [PhysicalAddress(label=label, **parts) for label, parts in addresses.items()] or None
    given.setdefault("display_name", _called(values))  # Exchange makes none of the parts
    return Contact(**given, **({"file_as_mapping": file_as} if file_as else {}))


def _called(values: Mapping[str, Any]) -> str:
    """Returns what a contact is called that has no name of its own for that."""
    parts = [str(values[name]) for name in ("givenName", "middleName", "surname") if values.get(name)]
    return " ".join(parts) or next((str(values[name]) for name in ("companyName", *EMAILS) if values.get(name)), "-")


def updates(fields: Fields, version: Version) -> list[Any]:
    """Returns the elements of an update: the given fields and no others. Raises as `new_contact`."""
    return [_update(name, contact_path(name), written(name, value), version) for name, value in fields.items()]


def _update(name: str, at: FieldPath, value: Any, version: Version) -> Any:
    if value is None:
        return models.delete_field(at, version)
    if name in EMAILS:
        value = [EmailAddress(label=EMAILS[name], email=value)]
    elif name in PHONES:
        value = [PhoneNumber(label=PHONES[name], phone_number=value)]
    elif name in ADDRESSES:
        label, part, _ = ADDRESSES[name]
        value = [PhysicalAddress(label=label, **{part: value})]
    elif name in EXTENDED:
        value = at.field.value_cls(value)
    return models.set_field(Contact, at, value, version)


def written(name: str, value: Value) -> Any:
    """Returns what exchangelib is given for a value, None for blank. Raises Rejected for what cannot be sent, MappingError for a
    field that nobody can write."""
    if name not in CONTACT_SCHEMA.attributes or name in (PLACE, BEYOND):
        raise _unknown(name)
    if name == CATEGORIES:
        return sendable_list(value, name) or None
    if name == BIRTHDAY:
        return _date(value)
    text = sendable(value, name)
    return Body(text) if name == NOTES and text is not None else text


def sendable(value: Value, name: str) -> str | None:
    """Returns a text as it is sent, None for a blank one. Raises Rejected for one that XML cannot hold: exchangelib would put
    question marks in."""
    if isinstance(value, tuple):
        raise Rejected(f"{name} holds one value, not a list", system=SYSTEM, field=name)
    if isinstance(value, datetime | date):
        value = value.isoformat()
    text = "" if value is None else str(value)
    if UNSENDABLE.search(text):
        raise Rejected(f"{name} cannot hold control characters or half a character", system=SYSTEM, field=name)
    return text or None


def sendable_list(value: Value, name: str) -> list[str]:
    if value is not None and not isinstance(value, tuple):
        raise Rejected(f"{name} holds a list", system=SYSTEM, field=name)
    return [text for each in value or () if (text := sendable(each, name)) is not None]


def _date(value: Value) -> Any:
    if value is None or value == "":
        return None
    if isinstance(value, datetime):
        value = value.date()
    if not isinstance(value, date):
        raise Rejected(f"birthday cannot hold {str(value)[:40]!r}: it is no date", system=SYSTEM, field=BIRTHDAY)
    return EWSDate.from_date(value)


def sent_fields(fields: Fields) -> dict[str, Value]:
    """Returns the fields of a write as they are held afterwards: Exchange answers a write with id and change key only."""
    return {name: _kept(value) for name, value in fields.items()}


def _kept(value: Value) -> Value:
    if isinstance(value, tuple):
        return tuple(text for text in value if text)
    return value if value != "" else None


def _unknown(name: str) -> MappingError:
    return MappingError(f"has no field {name[:80]!r} for contacts, or none that can be written", system=SYSTEM, field=name)


def with_category(categories: Sequence[str], category: str) -> tuple[str, ...]:
    """Returns the categories with this one among them. Outlook knows one category in any case of its letters."""
    found = tuple(text for text in categories if text)
    return found if not category or is_among(category, found) else (*found, category)


def is_among(category: str, categories: Iterable[str]) -> bool:
    """Tells whether an item bears the category."""
    return bool(category) and category.casefold() in {text.casefold() for text in categories}

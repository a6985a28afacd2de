"""What a person that auto-resolving makes is filled with: fields of a lead, a contact or a person account, from the display name
and from what was certain in the signature. Pure; part of `autoresolve`."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum

from reconciliation.core.linking_people import shown
from reconciliation.core.values import is_blank

LONGEST_EMAIL = 80  # characters, in all three objects
NOT_PROVIDED = "[not provided]"  # what stands for the company of a lead that nobody knows; Salesforce requires one


class NewKind(StrEnum):
    """PERSON_ACCOUNT is made through the Account object."""

    LEAD = "Lead"
    CONTACT = "Contact"
    PERSON_ACCOUNT = "PersonAccount"


# What a signature says -> the field of each kind ("" where it has none).
_FIELDS: Mapping[str, tuple[str, str, str]] = {
    "first_name": ("FirstName", "FirstName", "FirstName"),
    "last_name": ("LastName", "LastName", "LastName"),
    "title": ("Title", "Title", "PersonTitle"),
    "department": ("", "Department", "PersonDepartment"),
    "phone": ("Phone", "Phone", "Phone"),
    "mobile": ("MobilePhone", "MobilePhone", "PersonMobilePhone"),
    "fax": ("Fax", "Fax", "Fax"),
    "street": ("Street", "MailingStreet", "PersonMailingStreet"),
    "city": ("City", "MailingCity", "PersonMailingCity"),
    "postal_code": ("PostalCode", "MailingPostalCode", "PersonMailingPostalCode"),
    "country": ("Country", "MailingCountry", "PersonMailingCountry"),
    "website": ("Website", "", "Website"),
}
# The shortest of the three objects' fields: Title takes 128, PersonTitle 80.
_LONGEST: Mapping[str, int] = {
    "first_name": 40, "last_name": 80, "title": 80, "department": 80, "phone": 40, "mobile": 40, "fax": 40, "street": 255,
    "city": 40, "postal_code": 20, "country": 80, "website": 255,
}  # fmt: skip
LONGEST_COMPANY = 255
EMAIL_FIELD = {NewKind.LEAD: "Email", NewKind.CONTACT: "Email", NewKind.PERSON_ACCOUNT: "PersonEmail"}

NameReader = Callable[[str, str], tuple[str, str] | None]  # display name, address -> first and last name; None: no person's


@dataclass(frozen=True, slots=True)
class Filled:
    """The fields of a new person. `stand_ins` are those that hold something only because Salesforce takes no blank; `why` says
    what was left out, in sentences."""

    fields: Mapping[str, str]
    stand_ins: frozenset[str] = frozenset()
    why: tuple[str, ...] = ()


def fill(kind: NewKind, key: str, named: tuple[str, str] | None, certain: Mapping[str, str]) -> Filled:
    """Returns the fields of a new person with this address, the company apart. `named` is the first and last name that the
    display name says; `certain` maps what a signature says
    (`_FIELDS`) to its value. A value that is too long is left out, never cut (engine-rules 5); where nobody knows the last
    name, the local part of the address stands for it."""
    values, why = _fitting(certain)
    if "last_name" not in values:
        values.pop("first_name", None)  # half a name of the signature and half of the display name are nobody's
        name, unfit = _fitting({"first_name": named[0], "last_name": named[1]} if named is not None else {})
        values |= name
        why = (*why, *unfit)
    column = list(NewKind).index(kind)
    fields = {_FIELDS[name][column]: value for name, value in values.items() if _FIELDS[name][column]}
    fields[EMAIL_FIELD[kind]] = key
    if "LastName" in fields:
        return Filled(fields, why=why)
    fields["LastName"] = key.rpartition("@")[0]
    said = f"Nobody says what {shown(key)} is called; a part of the address stands for the last name."
    return Filled(fields, frozenset({"LastName"}), (*why, said))


def _fitting(certain: Mapping[str, str]) -> tuple[dict[str, str], tuple[str, ...]]:
    values, why = {}, []
    for name in _FIELDS:
        value = certain.get(name, "")
        if is_blank(value):
            continue
        if len(value.strip()) > _LONGEST[name]:
            why.append(f"The {name.replace('_', ' ')} is longer than {_LONGEST[name]} characters; it was left out.")
        else:
            values[name] = value.strip()
    return values, tuple(why)

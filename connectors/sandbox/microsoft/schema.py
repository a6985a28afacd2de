"""The properties of a contact: which there are, what a body may set, and how a stored contact reads."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from connectors.sandbox.microsoft.extended import read_properties
from connectors.sandbox.microsoft.refusal import Refused, bad_request

STRINGS = (
    "displayName", "givenName", "middleName", "surname", "title", "generation", "initials", "nickName", "fileAs", "companyName",
    "department", "jobTitle", "profession", "officeLocation", "manager", "assistantName", "spouseName", "businessHomePage",
    "mobilePhone", "personalNotes", "yomiGivenName", "yomiSurname", "yomiCompanyName",
)  # fmt: skip
LISTS = ("businessPhones", "homePhones", "imAddresses", "children", "categories")
ADDRESSES = ("businessAddress", "homeAddress", "otherAddress")
ADDRESS_PARTS = ("street", "city", "state", "postalCode", "countryOrRegion")
SLOTS = ("primaryEmailAddress", "secondaryEmailAddress", "tertiaryEmailAddress")
READ_ONLY = ("id", "changeKey", "createdDateTime", "lastModifiedDateTime")
NAMES = ("givenName", "middleName", "surname", "generation")
PROPERTIES = (*READ_ONLY, "parentFolderId", *STRINGS, *LISTS, *ADDRESSES, "emailAddresses", *SLOTS, "birthday")
MOST_EMAILS, MOST_PHONES = 3, 2
_DAY = re.compile(r"\d{4}-\d{2}-\d{2}")


@dataclass(slots=True)
class Body:
    """What a POST or PATCH sets: values by property (None clears), extended properties, the folder it names."""

    values: dict[str, Any]
    extended: dict[str, str | None]
    parent: str | None = None

    @property
    def names(self) -> list[str]:
        return [*self.values, *(["singleValueExtendedProperties"] if self.extended else [])]


def read_body(data: Mapping[str, Any], *, home_phones_most: int | None) -> Body:
    """Returns what a body sets. Raises Refused for a property that does not exist, a wrong type, or too many entries."""
    body = Body({}, {})
    for name, value in data.items():
        if name.startswith("@odata.") or "@odata." in name:
            continue
        if name == "singleValueExtendedProperties":
            body.extended = read_properties(value)
        elif name == "parentFolderId":
            body.parent = _text(name, value)
        elif name in READ_ONLY:
            raise bad_request(f"The property '{name}' is read-only and can't be set.", "ErrorInvalidPropertySet")
        else:
            body.values[name] = _read(name, value)
    _check_lengths(body.values, home_phones_most)
    return body


def _read(name: str, value: Any) -> Any:
    if name in STRINGS:
        return _text(name, value)
    if name in LISTS:
        return _list(name, value)
    if name in ADDRESSES:
        return _address(name, value)
    if name == "emailAddresses":
        return [] if value is None else [_email(name, each) for each in _collection(name, value)]
    if name in SLOTS:
        return None if value is None else _email(name, value)
    if name == "birthday":
        return _birthday(value)
    told = "Make sure to only use property names that are defined by the type."
    raise bad_request(f"The property '{name[:80]}' does not exist on type 'microsoft.graph.contact'. {told}")


def _check_lengths(values: Mapping[str, Any], home_phones_most: int | None) -> None:
    for name, most in (("emailAddresses", MOST_EMAILS), ("businessPhones", MOST_PHONES), ("homePhones", home_phones_most)):
        count = len(values.get(name) or ())
        if most is not None and count > most:
            told = f"The multi value property {name[0].upper()}{name[1:]} has {count} entries, that exceeds the max allowed value of {most}"
            raise bad_request(told, "ErrorInvalidRequest")


def _wrong(name: str, type_: str) -> Refused:
    return bad_request(f"Cannot convert the value of '{name}' to the expected type '{type_}'.")


def _text(name: str, value: Any) -> str | None:
    if value is not None and not isinstance(value, str):
        raise _wrong(name, "Edm.String")
    return value


def _collection(name: str, value: Any) -> list[Any]:
    if not isinstance(value, list):
        raise _wrong(name, "Collection")
    return value


def _list(name: str, value: Any) -> list[str]:
    if value is None:
        return []
    if not all(isinstance(each, str) for each in _collection(name, value)):
        raise _wrong(name, "Collection(Edm.String)")
    return [str(each) for each in value]


def _parts(name: str, value: Any, known: tuple[str, ...], type_: str) -> dict[str, str | None]:
    if not isinstance(value, dict):
        raise _wrong(name, type_)
    given = {key: each for key, each in value.items() if "@odata." not in key}
    if unknown := [key for key in given if key not in known]:
        raise bad_request(f"The property '{unknown[0][:80]}' does not exist on type '{type_}'.")
    return {key: _text(f"{name}/{key}", each) for key, each in given.items()}


def _address(name: str, value: Any) -> dict[str, str | None]:
    return {} if value is None else _parts(name, value, ADDRESS_PARTS, "microsoft.graph.physicalAddress")


def _email(name: str, value: Any) -> dict[str, str | None]:
    return _parts(name, value, ("name", "address"), "microsoft.graph.emailAddress")


def _birthday(value: Any) -> str | None:
    """Returns UTC midnight of a day, however it was written."""
    text = _text("birthday", value)
    if not text:
        return None
    try:
        at = datetime.fromisoformat(text)
        at = at.astimezone(UTC) if at.tzinfo else at
    except (ValueError, OverflowError):
        raise _wrong("birthday", "Edm.DateTimeOffset") from None
    if at.tzinfo is None and not _DAY.fullmatch(text):
        raise _wrong("birthday", "Edm.DateTimeOffset")
    return f"{at.date().isoformat()}T00:00:00Z"


# --- merging a body into what is stored -------------------------------------------------------------------------------
def merged(stored: Mapping[str, Any] | None, body: Body, *, merges_addresses: bool, renames: bool) -> dict[str, Any]:
    """Returns the values after a write; `stored` None: of a new contact. Raises Refused for e-mail addresses that are set in
    two ways at once."""
    is_new, stored = stored is None, stored or {}
    given = dict(body.values)
    slots = {name: given.pop(name) for name in SLOTS if name in given}
    if slots:
        if "emailAddresses" in given:
            raise bad_request("emailAddresses and one of its entries cannot both be set.", "ErrorInvalidPropertySet")
        given["emailAddresses"] = _with_slots(stored.get("emailAddresses") or [], slots)
    for name in ADDRESSES:
        if name in given:
            before = stored.get(name) or {} if merges_addresses and body.values[name] else {}
            given[name] = {part: text for part, text in {**before, **given[name]}.items() if text is not None}
    values = {**stored, **given}
    is_renamed = any(name in given for name in NAMES)
    if "displayName" not in given and (is_new or (renames and is_renamed)):
        values["displayName"] = _full_name(values)
    if is_new and "fileAs" not in given:
        values["fileAs"] = _file_as(values)
    return {name: value for name, value in values.items() if value not in (None, [], {})}


def _with_slots(emails: list[Any], slots: Mapping[str, Any]) -> list[Any]:
    filled = [slots.get(name, emails[at] if at < len(emails) else None) for at, name in enumerate(SLOTS)]
    return [email for email in filled if email]


def _full_name(values: Mapping[str, Any]) -> str:
    own = " ".join(values[name] for name in NAMES if values.get(name))
    emails = [each.get("address") for each in values.get("emailAddresses") or ()]
    return own or values.get("companyName") or next(filter(None, emails), "")


def _file_as(values: Mapping[str, Any]) -> str:
    first = " ".join(values[name] for name in ("givenName", "middleName") if values.get(name))
    return ", ".join(filter(None, (values.get("surname"), first))) or values.get("companyName") or values.get("displayName") or ""


def shown(values: Mapping[str, Any]) -> dict[str, Any]:
    """Returns all properties that are stored values, blank ones too."""
    emails = values.get("emailAddresses", [])
    return {
        **{name: values.get(name, "" if name in ("displayName", "personalNotes") else None) for name in STRINGS},
        **{name: values.get(name, []) for name in LISTS},
        "emailAddresses": emails,
        **{name: emails[at] if at < len(emails) else None for at, name in enumerate(SLOTS)},
        **{name: values.get(name, {}) for name in ADDRESSES},
        "birthday": values.get("birthday"),
    }

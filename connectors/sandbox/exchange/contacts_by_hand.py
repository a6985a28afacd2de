"""Contacts as people see them: the control port's records of the type `contact`, by the names that Microsoft 365 has for them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from connectors.sandbox.exchange import extended, values
from connectors.sandbox.exchange.fields import CONTACT
from connectors.sandbox.exchange.items import HOMES, Items
from connectors.sandbox.exchange.writing import Given
from connectors.sandbox.microsoft.table import Row

TEXTS = {name: f"contacts:{name[0].upper()}{name[1:]}" for name in (
    "displayName", "givenName", "middleName", "surname", "fileAs", "initials", "generation", "companyName", "department", "jobTitle",
    "profession", "officeLocation", "manager", "assistantName", "spouseName", "businessHomePage")} | {
    "nickName": "contacts:Nickname", "mobilePhone": "contacts:PhoneNumber/MobilePhone", "businessFax": "contacts:PhoneNumber/BusinessFax",
    "otherPhone": "contacts:PhoneNumber/OtherTelephone", "assistantPhone": "contacts:PhoneNumber/AssistantPhone"}  # fmt: skip
LISTS = {
    "emails": tuple(f"contacts:EmailAddress/EmailAddress{n}" for n in (1, 2, 3)),
    "businessPhones": ("contacts:PhoneNumber/BusinessPhone", "contacts:PhoneNumber/BusinessPhone2"),
    "homePhones": ("contacts:PhoneNumber/HomePhone", "contacts:PhoneNumber/HomePhone2"),
    "imAddresses": tuple(f"contacts:ImAddress/ImAddress{n}" for n in (1, 2, 3)),
}
ADDRESSES = {"businessAddress": "Business", "homeAddress": "Home", "otherAddress": "Other"}
PARTS = {"street": "Street", "city": "City", "state": "State", "postalCode": "PostalCode", "countryOrRegion": "CountryOrRegion"}
_STRINGS = {"categories": "item:Categories", "children": "contacts:Children"}
FIELDS = (*TEXTS, *LISTS, *ADDRESSES, *_STRINGS, "personalNotes", "birthday", "extendedProperties")
SHOWN_ONLY = ("id", "changeKey", "createdDateTime", "lastModifiedDateTime")


class ContactsByHand:
    """Reads and writes contacts as rows. Raises ValueError with a sentence."""

    def __init__(self, items: Items) -> None:
        self._items = items

    def shown(self, row: Row) -> dict[str, Any]:
        own = row["values"]
        return {
            **{name: own.get(key) for name, key in TEXTS.items()},
            **{name: [own[key] for key in keys if own.get(key)] for name, keys in LISTS.items()},
            **{name: _address(own, index) for name, index in ADDRESSES.items()},
            **{name: own.get(key, []) for name, key in _STRINGS.items()},
            "personalNotes": own.get("item:Body", {"text": ""})["text"],
            "birthday": (own.get("contacts:Birthday") or "")[:10] or None,
        }

    def create(self, box: Row, given: Mapping[str, Any]) -> Row:
        folder = self._items.home(box["n"], HOMES[CONTACT])
        return self._items.add(folder, CONTACT, read(given), "UTC")

    def update(self, row: Row, given: Mapping[str, Any]) -> Row:
        return self._items.change(row, read(given))


def _address(own: Mapping[str, Any], index: str) -> dict[str, str]:
    found = {name: own.get(f"contacts:PhysicalAddress:{part}/{index}") for name, part in PARTS.items()}
    return {name: text for name, text in found.items() if text}


def read(given: Mapping[str, Any]) -> Given:
    """Returns what a row sets; what cannot be written is left out, so that a row that was read can be sent back."""
    if unknown := [name for name in given if name not in (*FIELDS, *SHOWN_ONLY)]:
        raise ValueError(f"a contact has no {unknown[0][:80]!r}; it has {', '.join(FIELDS)}")
    own = Given()
    for name, value in given.items():
        if name in TEXTS:
            own.values[TEXTS[name]] = text_of(name, value)
        elif name in LISTS:
            entries = [*strings(name, value), None, None, None]
            if any(entries[len(LISTS[name]) :]):
                raise ValueError(f"{name} holds {len(LISTS[name])} at most")
            own.values.update(zip(LISTS[name], entries, strict=False))
        elif name in ADDRESSES:
            own.values.update(_parts(name, value))
        elif name in _STRINGS:
            own.values[_STRINGS[name]] = strings(name, value)
    if "personalNotes" in given:
        own.values["item:Body"] = {"type": "Text", "text": given["personalNotes"]} if given["personalNotes"] else None
    if "birthday" in given:
        own.values["contacts:Birthday"] = f"{values.day_of(given['birthday'])}T11:59:00Z" if given["birthday"] else None
    own.extended = properties(given.get("extendedProperties", {}))
    return own


def _parts(name: str, value: object) -> dict[str, Any]:
    if not isinstance(value, dict | None) or set(value or {}) - set(PARTS):
        raise ValueError(f"{name} must be an object with {', '.join(PARTS)}")
    index = ADDRESSES[name]
    return {f"contacts:PhysicalAddress:{part}/{index}": text_of(each, (value or {}).get(each)) for each, part in PARTS.items()}


def text_of(name: str, value: object) -> str | None:
    if value is not None and not isinstance(value, str):
        raise ValueError(f"{name} must be a text")
    return value


def strings(name: str, value: object) -> list[str]:
    if value is None:
        return []
    if not isinstance(value, list) or not all(isinstance(each, str) for each in value):
        raise ValueError(f"{name} must be a list of texts")
    return [each for each in value if each]


def properties(given: object) -> dict[str, extended.Value | None]:
    """Returns extended properties by their spelling; null takes one away."""
    if not isinstance(given, dict):
        raise ValueError("extendedProperties must be an object of texts by property")
    for value in given.values():
        if value is not None and not isinstance(value, str) and not (isinstance(value, list) and all(isinstance(v, str) for v in value)):
            raise ValueError("extendedProperties must be an object of texts by property")
    return {extended.checked(name): value for name, value in given.items()}

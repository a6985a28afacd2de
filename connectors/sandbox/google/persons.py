"""People: what is taken of a body, and what is shown of a row. What the server alone knows is worked out here."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from typing import Any

from connectors.sandbox.google.refusal import Refused, invalid
from connectors.sandbox.google.schema import SINGLETONS, TYPES
from connectors.sandbox.google.store import Store, etag_of, group_name, profile_name, resource_name
from connectors.sandbox.google.table import Row

COUNTRY_CODE = "44"  # of numbers without one: where the played users live
CONTACT, READ_CONTACT = "CONTACT", "READ_SOURCE_TYPE_CONTACT"
READ_PROFILE = "READ_SOURCE_TYPE_PROFILE"
NAME_PARTS = ("honorificPrefix", "givenName", "middleName", "familyName", "honorificSuffix")
ADDRESS_LINES = (("streetAddress",), ("extendedAddress",), ("poBox",), ("city",), ("region", "postalCode"), ("country",))
Item = dict[str, Any]


# --- taking -------------------------------------------------------------------------------------------------------------
def fields_of(person: Mapping[str, Any], names: Collection[str]) -> dict[str, list[Item]]:
    """Returns the named fields of a body as they are stored, without what only the server sets; an empty list for what the
    body leaves out. Raises Refused for two values where there is one."""
    taken = {}
    for name in names:
        if name == "memberships":
            continue
        given = person.get(name, [])
        if name in SINGLETONS and len(given) > 1:
            raise invalid(f"Request must not have more than one value for the singleton field person.{name}.")
        taken[name] = [item for each in given if (item := _taken(name, each)) is not None]
    return taken


def _taken(name: str, given: Item) -> Item | None:
    fields = TYPES[TYPES["Person"][name].kind]
    item = {key: value for key, value in given.items() if not fields[key].is_output and key != "metadata" and value not in ("", {}, False)}
    if name == "names":
        item = _name(item)
    if name in ("birthdays", "events") and "date" in item:
        _check_date(name, item["date"])
    if name == "biographies" and item:
        item.setdefault("contentType", "TEXT_PLAIN")
    if not set(item) - {"type", "contentType"}:
        return None
    metadata = given.get("metadata", {})
    if metadata.get("sourcePrimary") or metadata.get("primary"):
        item["is_primary"] = True
    return item


def _name(item: Item) -> Item:
    """Returns a name with its parts: they win over the name in one piece, which is read only when there are none."""
    text = str(item.pop("unstructuredName", ""))
    words = text.split()
    if not any(part in item for part in NAME_PARTS) and words:
        item["givenName"] = words[0]
        if len(words) > 1:
            item["familyName"] = words[-1]
        if len(words) > 2:
            item["middleName"] = " ".join(words[1:-1])
    return item


def _check_date(name: str, date: Mapping[str, int]) -> None:
    year, month, day = (date.get(part, 0) for part in ("year", "month", "day"))
    if not (0 <= year <= 9999 and 1 <= month <= 12 and 1 <= day <= 31):
        raise invalid(f"Invalid date at person.{name}.")


def groups_of(store: Store, mailbox: str, person: Mapping[str, Any]) -> list[str]:
    """Returns the ids of the groups that a body puts its person into. Raises Refused for one that is not there."""
    groups = []
    for membership in person.get("memberships", []):
        name = membership.get("contactGroupMembership", {}).get("contactGroupResourceName", "")
        if not name:
            continue  # the domain's, which nobody changes here; and ids alone, which only the server writes
        head, _, gid = name.partition("/")
        if head != "contactGroups" or store.group(mailbox, gid) is None:
            raise invalid(f"Contact group {name[:80]} does not exist.")
        groups.append(gid)
    return list(dict.fromkeys(groups))


# --- showing ------------------------------------------------------------------------------------------------------------
def shown(store: Store, row: Row, mask: Collection[str], sources: Collection[str] = (), *, since: int = 0) -> dict[str, Any]:
    """Returns a contact with the fields of a mask. `since` is the change behind which a sync reader has begun: it is told the
    former resource names."""
    former = [f"people/c{number}" for number, seq in row["former"] if since and seq > since]
    if row["is_deleted"]:  # a reader that was shown an earlier name of it knows it by no other
        told = {"deleted": True, **({"previousResourceNames": former} if former else {})}
        return {"resourceName": resource_name(row), "etag": etag_of(row, head="%Eg"), "metadata": told}
    person: dict[str, Any] = {"resourceName": resource_name(row), "etag": etag_of(row, head="%Eg")}
    source = {"type": CONTACT, "id": _source_id(row)}
    if "metadata" in mask:
        told = {**source, "etag": etag_of(row, head="#"), "updateTime": row["at"]}
        person["metadata"] = {"sources": [told], "objectType": "PERSON"}
    if former:
        person.setdefault("metadata", {})["previousResourceNames"] = former
    if sources and READ_CONTACT not in sources:
        return person
    for name, items in row["fields"].items():
        if name in mask:
            person[name] = _shown_field(name, items, source)
    # A late view of a contact may still name a label that was deleted since.
    groups = [gid for gid in row["groups"] if store.group(row["mailbox"], gid) is not None]
    if "memberships" in mask and groups:
        person["memberships"] = [_membership(store, row["mailbox"], gid, source) for gid in groups]
    return person


def profile(user: Row, mask: Collection[str], source_type: str) -> dict[str, Any]:
    """Returns a user as people of the domain see them: in the directory, or as `people/me`."""
    name = profile_name(user)
    if user["is_deleted"]:
        return {"resourceName": name, "etag": etag_of(user, head="%Eg"), "metadata": {"deleted": True}}
    source = {"type": source_type, "id": name.partition("/")[2]}
    person: dict[str, Any] = {"resourceName": name, "etag": etag_of(user, head="%Eg")}
    if "metadata" in mask:
        person["metadata"] = {"sources": [{**source, "etag": etag_of(user, head="#")}], "objectType": "PERSON"}
    names = {part: user[part] for part in ("givenName", "familyName") if user.get(part)}
    fields = {"names": [_name(names)] if names else [], "emailAddresses": [{"value": user["email"]}]}
    for field, items in fields.items():
        if field in mask and items:
            person[field] = _shown_field(field, items, source, is_verified=field == "emailAddresses")
    return person


def _source_id(row: Row) -> str:
    return f"{row['id']:x}"


def _shown_field(name: str, items: list[Item], source: Item, *, is_verified: bool = False) -> list[Item]:
    first = next((n for n, item in enumerate(items) if item.get("is_primary")), 0)
    shown_ = []
    for n, item in enumerate(items):
        metadata: Item = {"source": dict(source)}
        if n == first:
            metadata = {"primary": True, "sourcePrimary": True, **metadata}
        if is_verified:
            metadata["verified"] = True
        own = {key: value for key, value in item.items() if key != "is_primary"}
        shown_.append({"metadata": metadata, **own, **_computed(name, own)})
    return shown_


def _membership(store: Store, mailbox: str, gid: str, source: Item) -> Item:
    group = store.existing_group(mailbox, gid)
    told = {"contactGroupId": gid, "contactGroupResourceName": group_name(group)}
    return {"metadata": {"source": dict(source)}, "contactGroupMembership": told}


def _computed(name: str, item: Item) -> Item:
    """Returns what the server alone says of a value."""
    told: Item = {}
    fields = TYPES[TYPES["Person"][name].kind]
    if "formattedType" in fields and item.get("type"):
        told["formattedType"] = _in_words(item["type"])
    if name == "names":
        told.update(_display_names(item))
    elif name == "phoneNumbers" and (canonical := canonical_form(item.get("value", ""))):
        told["canonicalForm"] = canonical
    elif name == "addresses" and (lines := _lines(item)):
        told["formattedValue"] = "\n".join(lines)
    elif name == "genders" and item.get("value"):
        told["formattedValue"] = _in_words(item["value"])
    elif name == "imClients" and item.get("protocol"):
        told["formattedProtocol"] = _in_words(item["protocol"])
    return told


def _in_words(type_: str) -> str:
    """Returns `homeFax` as `Home Fax`; what a user made up stays as it is."""
    if not re.fullmatch(r"[a-z]+([A-Z][a-z]+)*", type_):
        return type_
    return " ".join(word.capitalize() for word in re.findall(r"[A-Z]?[a-z]+", type_))


def _display_names(item: Item) -> Item:
    parts = {part: str(item.get(part, "")) for part in NAME_PARTS}
    words = " ".join(parts[part] for part in NAME_PARTS[:-1] if parts[part])
    display = ", ".join(each for each in (words, parts["honorificSuffix"]) if each)
    rest = " ".join(parts[part] for part in NAME_PARTS[:3] if parts[part])
    last = ", ".join(each for each in (parts["familyName"], rest, parts["honorificSuffix"]) if each)
    return {"displayName": display, "displayNameLastFirst": last, "unstructuredName": display} if display else {}


def _lines(item: Item) -> list[str]:
    return [line for parts in ADDRESS_LINES if (line := " ".join(str(item[part]) for part in parts if item.get(part)))]


def canonical_form(text: str) -> str:
    """Returns a phone number in the form of E.164; '' for what is none."""
    digits = "".join(c for c in text if c.isascii() and c.isdigit())
    if re.search(r"[^\d\s()+./-]", text):
        return ""
    if text.strip().startswith("+"):
        number = digits
    elif digits.startswith("00"):
        number = digits[2:]
    elif digits.startswith("0"):
        number = COUNTRY_CODE + digits[1:]
    else:
        return ""
    return f"+{number}" if 8 <= len(number) <= 15 else ""


def check_etag(row: Row, person: Mapping[str, Any]) -> None:
    """Raises Refused for an update that does not say which version it was made from, or says an old one."""
    sources = [each for each in person.get("metadata", {}).get("sources", []) if each.get("type") == CONTACT]
    given = [(each["etag"], "#") for each in sources if each.get("etag")]
    if person.get("etag"):
        given.append((person["etag"], "%Eg"))
    if not given:
        told = "Request must set person.etag or person.metadata.sources.etag. Clear local cache and get the latest person."
        raise invalid(told)
    if any(each["id"] != _source_id(row) for each in sources if each.get("id")):
        raise invalid("Request person.metadata.sources.id is not that of the contact.")
    if any(tag != etag_of(row, head=head) for tag, head in given):
        told = "Request person.etag is different than the current person.etag. Clear local cache and get the latest person."
        raise Refused(400, told, "FAILED_PRECONDITION", old_reason="failedPrecondition")

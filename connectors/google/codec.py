"""People of the People API to contacts and back. Pure. What a write does not name, and what has no field, stays as it is:
Google replaces whole lists, so each list that is written holds all that was in it (reference 4.1, 4.2)."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from typing import Any

from connectors.contract import Fields, Record, Ref, Value
from connectors.errors import MappingError, Rejected
from connectors.google.beyond import told
from connectors.google.settings import SYSTEM
from connectors.google.slots import (
    ADDRESS_PARTS,
    ADDRESSES,
    LISTS,
    NAME_PARTS,
    ORGANIZATION_PARTS,
    OWN_LISTS,
    Entry,
    address_at,
    fill_addresses,
    fill_list,
    fill_organizations,
    in_slots,
    organization_at,
    own,
)
from connectors.mailboxes import BEYOND, CATEGORIES, CONTACT, CONTACT_SCHEMA, FOREIGN_ID, INSIDE, OUTSIDE, PLACE
from connectors.text import clean, read_instant

Person = Mapping[str, Any]
MY_CONTACTS = "contactGroups/myContacts"
LISTED = "memberships,metadata,clientData"  # all that is read of every contact of a mailbox (I7)
READ_FIELDS = (
    *OWN_LISTS,
    *("memberships", "metadata"),
    # Only told, in BEYOND:
    *("calendarUrls", "events", "externalIds", "imClients", "interests", "locations", "occupations", "sipAddresses", "userDefined"),
)
READ_MASK = ",".join(READ_FIELDS)
_NAME = re.compile(r"people/[A-Za-z0-9_\-]{1,120}")
_GROUP = re.compile(r"contactGroups/[A-Za-z0-9_\-]{1,120}")
_OUTPUT_ONLY_NAMES = ("displayName", "displayNameLastFirst")


@dataclass(frozen=True, slots=True)
class Labels:
    """The labels of a mailbox: which is our folder, which our category, and what the user's own are called."""

    folder: str = ""
    category: str = ""
    names: Mapping[str, str] = field(default_factory=dict)


def is_id(raw: Any) -> bool:
    """Tells whether a text names a contact; "people/me" is a person, not a contact."""
    return isinstance(raw, str) and _NAME.fullmatch(raw) is not None and raw != "people/me"


def is_group(raw: Any) -> bool:
    return isinstance(raw, str) and _GROUP.fullmatch(raw) is not None


def is_sound(raw: Any) -> bool:
    """Tells whether this is a person as the documentation has it. A list of another shape must not be taken for an empty
    one: it would be written back empty."""
    if not isinstance(raw, Mapping) or not is_id(raw.get("resourceName")):
        return False
    metadata = raw.get("metadata", {})
    if not isinstance(metadata, Mapping) or not isinstance(raw.get("etag", ""), str):
        return False
    lists = [raw.get(name, []) for name in READ_FIELDS if name != "metadata"] + [metadata.get("sources", [])]
    if not all(isinstance(rows, list) and all(isinstance(row, Mapping) for row in rows) for rows in lists):
        return False
    return all(_is_sound_entry(name, row) for name in OWN_LISTS for row in raw.get(name, []))


def _is_sound_entry(name: str, row: Entry) -> bool:
    texts = [value for key, value in row.items() if key not in ("metadata", "date", "current", "startDate", "endDate")]
    is_text = all(value is None or isinstance(value, str | int) for value in texts)
    keys = ("value", "type", "person", "key", *NAME_PARTS.values(), *ADDRESS_PARTS.values(), *ORGANIZATION_PARTS.values())
    return is_text and all(isinstance(row.get(key) or "", str) for key in keys)


def is_deleted(person: Person) -> bool:
    metadata = person.get("metadata")
    return isinstance(metadata, Mapping) and metadata.get("deleted") is True


def previous_names(person: Person) -> list[str]:
    """Returns the ids that this person had before."""
    metadata = person.get("metadata")
    raw = metadata.get("previousResourceNames") if isinstance(metadata, Mapping) else None
    return [name for name in raw if is_id(name)] if isinstance(raw, list) else []


def sources(person: Person) -> list[Entry]:
    """Returns the sources that a write must name, with the etags it rests on."""
    metadata = person.get("metadata")
    rows = metadata.get("sources") if isinstance(metadata, Mapping) else None
    return [row for row in rows or () if row.get("type") == "CONTACT"]


def version(person: Person) -> str:
    """Returns what changes with every write of the contact: the etag of its source, else of the person."""
    etags = [str(row["etag"]) for row in sources(person) if row.get("etag")]
    return "|".join(etags) or str(person.get("etag") or "")


def groups(person: Person) -> list[str]:
    """Returns the labels that the contact carries, system ones among them."""
    found = []
    for row in person.get("memberships") or ():
        said = row.get("contactGroupMembership")
        if isinstance(said, Mapping):
            name = said.get("contactGroupResourceName") or f"contactGroups/{said.get('contactGroupId') or ''}"
            found += [name] if is_group(name) else []
    return list(dict.fromkeys(found))


def foreign_id(person: Person, key: str) -> str:
    """Returns what our own entry holds, "" where there is none."""
    rows = [row for row in own(person, "clientData") if row.get("key") == key]
    return next((str(row["value"]) for row in rows if row.get("value")), "")


def read_contact(person: Person, labels: Labels, *, key: str, id_: str = "") -> Record:
    """Returns the contact of a person that is sound. `id_` is what it was asked for by, where that differs from its name."""
    texts: dict[str, str] = _names(person)
    for spec in LISTS:
        rows = own(person, spec.name)
        texts |= {slot: str(rows[at].get(spec.key) or "") for slot, at in in_slots(spec, rows).items()}
    texts |= _parts(organization_at(own(person, "organizations")), "", ORGANIZATION_PARTS)
    for prefix, kind in ADDRESSES.items():
        texts |= _parts(address_at(own(person, "addresses"), kind), prefix, ADDRESS_PARTS)
    texts[FOREIGN_ID] = foreign_id(person, key)
    cleaned = {name: clean(text) for name, text in texts.items()}
    carried = groups(person)
    names = [clean(labels.names[group]) for group in carried if group in labels.names and group != labels.folder]
    fields: dict[str, Value] = dict.fromkeys(CONTACT_SCHEMA.attributes)
    fields |= {name: text or None for name, (text, _) in cleaned.items()}
    fields["birthday"] = birthday(person)
    fields[CATEGORIES] = tuple(sorted(name for name, _ in names))
    fields[PLACE] = INSIDE if labels.folder and labels.folder in carried else OUTSIDE
    fields[BEYOND] = told(person, key)
    damaged = {name for name, (_, is_damaged) in cleaned.items() if is_damaged}
    damaged |= {CATEGORIES} if any(is_damaged for _, is_damaged in names) else set()
    return Record(
        Ref(SYSTEM, CONTACT, id_ or str(person["resourceName"])),
        fields,
        version=version(person),
        updated_at=_updated_at(person),
        damaged=frozenset(damaged),
    )


def _names(person: Person) -> dict[str, str]:
    row = next(iter(own(person, "names", drop=())), {})
    found = {name: str(row.get(part) or "") for name, part in NAME_PARTS.items()}
    return found | {"displayName": str(row.get("displayName") or row.get("unstructuredName") or "")}


def _parts(row: Entry, prefix: str, parts: Mapping[str, str]) -> dict[str, str]:
    return {f"{prefix}{name}": str(row.get(part) or "") for name, part in parts.items()}


def birthday(person: Person) -> date | None:
    """Returns the birthday, None where it has no year: there is no such date."""
    row = next(iter(own(person, "birthdays")), {})
    said = row.get("date")
    try:
        return date(said["year"], said["month"], said["day"]) if isinstance(said, Mapping) else None
    except (KeyError, TypeError, ValueError, OverflowError):
        return None


def _updated_at(person: Person) -> datetime | None:
    instants = [read_instant(row.get("updateTime")) for row in sources(person)]
    return max((at for at in instants if at is not None), default=None)


# --- writing ----------------------------------------------------------------------------------------------------------


def changed_lists(person: Person, fields: Fields, labels: Labels, *, key: str) -> dict[str, list[Entry]]:
    """Returns the lists that a write of these fields sends, whole, by the name of the list. `labels.names` knows every
    category named. Raises Rejected for a value that cannot be sent, MappingError for a field that is none."""
    texts = {name: _text(name, value) for name, value in fields.items() if name not in (CATEGORIES, "birthday")}
    lists: dict[str, list[Entry]] = {}
    if any(name in texts for name in ("displayName", *NAME_PARTS)):
        lists["names"] = _fill_names(person, texts)
    for spec in LISTS:
        if any(slot.name in texts for slot in spec.slots):
            lists[spec.name] = fill_list(spec, own(person, spec.name), texts)
    if any(name in texts for name in ORGANIZATION_PARTS):
        lists["organizations"] = fill_organizations(own(person, "organizations"), texts)
    if any(f"{prefix}{part}" in texts for prefix in ADDRESSES for part in ADDRESS_PARTS):
        lists["addresses"] = fill_addresses(own(person, "addresses"), texts)
    if "birthday" in fields:
        lists["birthdays"] = _fill_birthday(person, fields["birthday"])
    if FOREIGN_ID in texts:
        lists["clientData"] = with_foreign_id(person, texts[FOREIGN_ID], key)
    if CATEGORIES in fields:
        lists["memberships"] = memberships(_with_categories(person, category_names(fields), labels))
    return lists


def _text(name: str, value: Value) -> str:
    """Returns the text of a field that may be written, "" for blank."""
    attribute = CONTACT_SCHEMA.attributes.get(name)
    if attribute is None or not attribute.is_updatable:
        raise MappingError(f"cannot be told the field {name[:80]!r}: no contact has it", system=SYSTEM, field=name)
    if value is not None and not isinstance(value, str):
        raise Rejected(f"{name} holds text, and not {value!r}"[:200], system=SYSTEM, field=name)
    if clean(value or "")[1]:
        raise Rejected(f"{name} cannot hold half a character or NUL", system=SYSTEM, field=name)
    return value or ""


def category_names(fields: Fields) -> tuple[str, ...]:
    """Returns the categories that a write names, none where it names no categories."""
    value = fields.get(CATEGORIES) or ()
    if not isinstance(value, tuple) or not all(isinstance(name, str) and name and not clean(name)[1] for name in value):
        raise Rejected("the categories are no list of names", system=SYSTEM, field=CATEGORIES)
    return value


def _fill_names(person: Person, texts: Mapping[str, str]) -> list[Entry]:
    """Returns the one name. Google makes the full name of its parts; only a name without parts takes a full one."""
    row = dict(next(iter(own(person, "names", drop=_OUTPUT_ONLY_NAMES)), {}))
    whole = texts.get("displayName", str(row.get("unstructuredName") or ""))
    row = {name: value for name, value in row.items() if name != "unstructuredName"}
    row |= {part: texts[name] for name, part in NAME_PARTS.items() if name in texts}
    row = {name: value for name, value in row.items() if value}
    if whole and not any(row.get(part) for part in NAME_PARTS.values()):
        row["unstructuredName"] = whole
    return [row] if row else []


def _fill_birthday(person: Person, value: Value) -> list[Entry]:
    if value is None:
        return own(person, "birthdays") if birthday(person) is None else []  # one without a year is no value of ours
    if not isinstance(value, date) or isinstance(value, datetime):
        raise Rejected(f"the birthday is a date, and not {value!r}"[:200], system=SYSTEM, field="birthday")
    return [{"date": {"year": value.year, "month": value.month, "day": value.day}}]


def with_foreign_id(person: Person, marker: str, key: str) -> list[Entry]:
    """Returns the entries of all programs, ours holding the marker; without one, ours is left out."""
    others = [row for row in own(person, "clientData") if row.get("key") != key]
    return [*others, *([{"key": key, "value": marker}] if marker else [])]


def _with_categories(person: Person, names: Iterable[str], labels: Labels) -> list[str]:
    """Returns the groups with these labels and no other of the user's own; system groups and our folder are not touched."""
    ids = {name: group for group, name in labels.names.items()}
    kept = [group for group in groups(person) if group not in labels.names or group == labels.folder]
    return list(dict.fromkeys([*kept, *(ids[name] for name in names)]))


def memberships(names: Sequence[str]) -> list[Entry]:
    """Returns the labels as a write sends them. One at least must remain (reference 4.3)."""
    return [{"contactGroupMembership": {"contactGroupResourceName": name}} for name in names or [MY_CONTACTS]]


def whole_list(person: Person, name: str) -> list[Entry]:
    """Returns a list as it is, in the form in which it is written: for a call whose mask names it for others' sake."""
    if name == "memberships":
        return memberships(groups(person))
    return own(person, name, drop=_OUTPUT_ONLY_NAMES) if name == "names" else own(person, name)


def update_body(person: Person, lists: Mapping[str, list[Entry]], mask: Sequence[str]) -> dict[str, Any]:
    """Returns the person of one update: every list of the mask, and the version it rests on."""
    rests_on = [{name: row[name] for name in ("type", "id", "etag") if row.get(name)} for row in sources(person)]
    return {
        "resourceName": person["resourceName"],
        "etag": person.get("etag", ""),
        "metadata": {"sources": rests_on},
        **{name: lists[name] if name in lists else whole_list(person, name) for name in mask},
    }


def new_person(fields: Fields, marker: str, labels: Labels, *, key: str) -> dict[str, Any]:
    """Returns the person of one create, in our folder, with our category and the marker."""
    lists = changed_lists({}, {**fields, **({FOREIGN_ID: marker} if marker else {})}, labels, key=key)
    named = [row["contactGroupMembership"]["contactGroupResourceName"] for row in lists.pop("memberships", [])]
    all_of = dict.fromkeys(group for group in (MY_CONTACTS, labels.folder, labels.category, *named) if group)
    return {**{name: rows for name, rows in lists.items() if rows}, "memberships": memberships(list(all_of))}

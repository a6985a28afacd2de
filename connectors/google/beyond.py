"""Tells in short texts what a person holds that no field of a contact has room for. Pure; it is read by people only."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from connectors.google.slots import (
    ADDRESS_PARTS,
    ADDRESSES,
    LISTS,
    ORGANIZATION_PARTS,
    Entry,
    ListSpec,
    address_at,
    in_slots,
    kind_of,
    organization_at,
    own,
)
from connectors.text import clean

LONGEST = 200
_TITLES = {
    "emailAddresses": "E-mail",
    "phoneNumbers": "Phone",
    "nicknames": "Nickname",
    "biographies": "Notes",
    "urls": "Web page",
    "relations": "Relation",
}
# Lists without any field: how an entry is called, and which parts of it tell the most.
_UNMAPPED = {
    "userDefined": ("Custom field", ("key", "value")),
    "imClients": ("Messenger", ("protocol", "username")),
    "externalIds": ("Other id", ("type", "value")),
    "sipAddresses": ("Internet call", ("type", "value")),
    "calendarUrls": ("Calendar", ("type", "url")),
    "occupations": ("Occupation", ("value",)),
    "interests": ("Interest", ("value",)),
    "locations": ("Place", ("type", "value")),
}


def told(person: Entry, key: str) -> tuple[str, ...]:
    """Returns a line for each thing beyond. `key` names our own entry among those of programs."""
    return tuple(clean(line[:LONGEST])[0] for line in _lines(person, key))


def _lines(person: Entry, key: str) -> Iterator[str]:
    for spec in LISTS:
        yield from _further(spec, own(person, spec.name))
    yield from _organizations(own(person, "organizations"))
    yield from _addresses(own(person, "addresses"))
    yield from _dates(person)
    for name, (title, parts) in _UNMAPPED.items():
        for row in own(person, name):
            yield f"{title}: {_joined(row, parts)}"
    foreign = sum(row.get("key") != key for row in own(person, "clientData"))
    if foreign:
        yield f"{foreign} hidden {'entry' if foreign == 1 else 'entries'} of other programs"


def _further(spec: ListSpec, rows: list[Entry]) -> Iterator[str]:
    placed = set(in_slots(spec, rows).values())
    for at, row in enumerate(rows):
        if at not in placed and row.get(spec.key):
            kind = kind_of(row)
            yield f"{_TITLES[spec.name]}{f' ({kind})' if kind else ''}: {row[spec.key]}"


def _organizations(rows: list[Entry]) -> Iterator[str]:
    ours = organization_at(rows)
    for row in rows:
        if row is not ours:
            yield f"Employer: {_joined(row, tuple(ORGANIZATION_PARTS.values()))}"


def _addresses(rows: list[Entry]) -> Iterator[str]:
    seen = set()
    for row in rows:
        kind = kind_of(row, "other")
        if kind in ADDRESSES.values() and kind not in seen:
            seen.add(kind)
            more = _joined(address_at(rows, kind), ("poBox", "extendedAddress"))
            if more:
                yield f"Address ({kind}), further: {more}"
            continue
        yield f"Address ({kind}): {_joined(row, tuple(ADDRESS_PARTS.values())) or row.get('formattedValue') or ''}"


def _dates(person: Entry) -> Iterator[str]:
    for row in own(person, "birthdays"):
        said = row.get("date")
        if not isinstance(said, Mapping) or not said.get("year"):
            yield f"Birthday without a year: {_day(said) or row.get('text') or ''}"
    for row in own(person, "events"):
        yield f"Date ({kind_of(row, 'other')}): {_day(row.get('date'))}"


def _day(raw: Any) -> str:
    said = raw if isinstance(raw, Mapping) else {}
    return "-".join(str(said[part]) for part in ("year", "month", "day") if said.get(part))


def _joined(row: Entry, parts: tuple[str, ...]) -> str:
    return ", ".join(str(row[part]) for part in parts if row.get(part))

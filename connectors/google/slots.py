"""Which entry of a person's lists stands in which field of a contact, and how a value gets into its place. Pure.

An entry goes by its type, then by its place in the list. What is written keeps every entry that has no field, every part
of an entry that has none, and the order. A cleared e-mail or phone makes room for the next of its kind, as it does in
Google's own pages.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

Entry = Mapping[str, Any]
_OUTPUT_ONLY = ("metadata", "formattedType", "canonicalForm")


@dataclass(frozen=True, slots=True)
class Slot:
    """One field: the type of the entries that it takes ("" takes any), and what a new entry holds besides its value."""

    name: str
    kind: str = ""
    made: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class ListSpec:
    """A list whose entries hold one text each, under `key`. `untyped` is what an entry without a type counts as; `always`
    goes into every entry that is written."""

    name: str
    key: str
    slots: tuple[Slot, ...]
    untyped: str = ""
    always: Mapping[str, str] = field(default_factory=dict)


def _typed(name: str, kind: str) -> Slot:
    return Slot(name, kind.lower(), {"type": kind})


LISTS = (
    ListSpec(
        "emailAddresses",
        "value",
        (Slot("email1", made={"type": "work"}), Slot("email2", made={"type": "home"}), Slot("email3", made={"type": "other"})),
    ),
    ListSpec(
        "phoneNumbers",
        "value",
        (
            _typed("businessPhone", "work"),
            _typed("businessPhone2", "work"),
            _typed("mobilePhone", "mobile"),
            _typed("homePhone", "home"),
            _typed("homePhone2", "home"),
            _typed("otherPhone", "other"),
            _typed("businessFax", "workFax"),
            _typed("assistantPhone", "assistant"),
        ),
        untyped="other",
    ),
    ListSpec("nicknames", "value", (Slot("nickName", "default"),), untyped="default"),
    ListSpec("biographies", "value", (Slot("notes"),), always={"contentType": "TEXT_PLAIN"}),
    ListSpec("urls", "value", (Slot("webPage", made={"type": "work"}),)),
    ListSpec("relations", "person", (_typed("assistantName", "assistant"),)),
)
NAME_PARTS = {
    "title": "honorificPrefix",
    "givenName": "givenName",
    "middleName": "middleName",
    "surname": "familyName",
    "generation": "honorificSuffix",
}
ORGANIZATION_PARTS = {"companyName": "name", "department": "department", "jobTitle": "title"}
ADDRESS_PARTS = {"Street": "streetAddress", "City": "city", "State": "region", "PostalCode": "postalCode", "Country": "country"}
ADDRESSES = {"business": "work", "home": "home", "other": "other"}
OWN_LISTS = ("names", *(spec.name for spec in LISTS), "addresses", "organizations", "birthdays", "clientData")


def own(person: Entry, name: str, *, drop: Sequence[str] = ()) -> list[Entry]:
    """Returns the entries of the contact itself, without what is output only: those of a profile it is joined with are not
    ours to write. The first e-mail address is the primary one, wherever it stands."""
    rows = [row for row in person.get(name) or () if _source(row) in ("", "CONTACT")]
    if name == "emailAddresses":
        rows = sorted(rows, key=lambda row: not _is_primary(row))
    return [{key: value for key, value in row.items() if key not in _OUTPUT_ONLY and key not in drop} for row in rows]


def _metadata(row: Entry) -> Entry:
    raw = row.get("metadata")
    return raw if isinstance(raw, Mapping) else {}


def _source(row: Entry) -> str:
    raw = _metadata(row).get("source")
    return str(raw.get("type") or "") if isinstance(raw, Mapping) else ""


def _is_primary(row: Entry) -> bool:
    return _metadata(row).get("primary") is True or _metadata(row).get("sourcePrimary") is True


def kind_of(row: Entry, untyped: str = "") -> str:
    return str(row.get("type") or "").lower() or untyped


# --- lists of single texts --------------------------------------------------------------------------------------------


def in_slots(spec: ListSpec, rows: Sequence[Entry]) -> dict[str, int]:
    """Returns where in the list the value of each field stands; fields without one are left out."""
    found: dict[str, int] = {}
    for at, row in enumerate(rows):
        if not row.get(spec.key):
            continue
        kind = kind_of(row, spec.untyped)
        slot = next((s for s in spec.slots if s.name not in found and s.kind in ("", kind)), None)
        if slot is not None:
            found[slot.name] = at
    return found


def fill_list(spec: ListSpec, rows: Sequence[Entry], texts: Mapping[str, str]) -> list[Entry]:
    """Returns the list with the texts in their places."""
    places, kept, cleared, added = in_slots(spec, rows), list(rows), set[int](), list[Entry]()
    for slot in spec.slots:
        if slot.name not in texts:
            continue
        text, at = texts[slot.name], places.get(slot.name)
        if at is None:
            added += [{**slot.made, spec.key: text, **spec.always}] if text else []
        elif text:
            kept[at] = kept[at] if kept[at][spec.key] == text else {**kept[at], spec.key: text, **spec.always}
        else:
            cleared.add(at)
    return [row for at, row in enumerate(kept) if at not in cleared] + added


# --- lists whose entries have parts -----------------------------------------------------------------------------------


def _organization_index(rows: Sequence[Entry]) -> int | None:
    current = [at for at, row in enumerate(rows) if row.get("current") is True]
    return next(iter([*current, *range(len(rows))]), None)


def organization_at(rows: Sequence[Entry]) -> Entry:
    """Returns the employer: the current one, else the first."""
    at = _organization_index(rows)
    return rows[at] if at is not None else {}


def fill_organizations(rows: Sequence[Entry], texts: Mapping[str, str]) -> list[Entry]:
    """Returns the employers, the one of ours changed. Emptied, it leaves the list only if no other would take its place."""
    wanted = {part: texts[name] for name, part in ORGANIZATION_PARTS.items() if name in texts}
    at = _organization_index(rows)
    if at is None:
        new = {part: text for part, text in wanted.items() if text}
        return [*rows, {"type": "work", "current": True, **new}] if new else list(rows)
    row = _merged(rows[at], wanted)
    if len(rows) > 1:
        row = row if _has_more(row) or row.get("current") is True else {**row, "current": True}
    return _replaced(rows, at, row, may_drop=len(rows) == 1)


def _address_index(rows: Sequence[Entry], kind: str) -> int | None:
    return next((at for at, row in enumerate(rows) if kind_of(row, "other") == kind), None)


def address_at(rows: Sequence[Entry], kind: str) -> Entry:
    """Returns the address of this type. One that was never told in parts stands in its street as a whole."""
    at = _address_index(rows, kind)
    return _in_parts(rows[at]) if at is not None else {}


def _in_parts(row: Entry) -> Entry:
    is_told = any(value for key, value in row.items() if key not in ("type", "formattedValue"))
    whole = row.get("formattedValue")
    return row if is_told or not whole else {**row, "streetAddress": whole}


def fill_addresses(rows: Sequence[Entry], texts: Mapping[str, str]) -> list[Entry]:
    """Returns the addresses, those of ours changed."""
    found = list(rows)
    for prefix, kind in ADDRESSES.items():
        wanted = {part: texts[f"{prefix}{name}"] for name, part in ADDRESS_PARTS.items() if f"{prefix}{name}" in texts}
        at = _address_index(found, kind)
        if at is None:
            new = {part: text for part, text in wanted.items() if text}
            found += [{"type": kind, **new}] if new else []
            continue
        before = _in_parts(found[at])
        row = _merged(before, wanted)
        if row == before:
            continue
        if row.get("country") != before.get("country"):
            row.pop("countryCode", None)  # it would contradict, and Google takes the code
        row.pop("formattedValue", None)  # made of the parts again
        others = any(kind_of(other, "other") == kind for i, other in enumerate(found) if i != at)
        found = _replaced(found, at, row if kind_of(row) else {**row, "type": kind}, may_drop=not others)
    return found


def _merged(row: Entry, wanted: Mapping[str, str]) -> dict[str, Any]:
    whole = {**row, **wanted}
    return {key: value for key, value in whole.items() if value or key not in wanted}


def _has_more(row: Entry) -> bool:
    return any(value for key, value in row.items() if key not in ("type", "current"))


def _replaced(rows: Sequence[Entry], at: int, row: Entry, *, may_drop: bool) -> list[Entry]:
    """Returns the list with one entry changed. An emptied one stays where another of its kind would take its place: that
    one's values would look like an edit of ours."""
    changed = [] if may_drop and not _has_more(row) else [row]
    return [*rows[:at], *changed, *rows[at + 1 :]]

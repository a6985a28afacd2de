"""Microsoft's contacts as flat records, and back (reference sections 3.2, 5 and 6). Pure.

A property that the answer does not hold is not known, and never taken for blank. E-mail addresses and phones are lists
without gaps there: what is blanked makes room for what stands behind it, and what goes beyond our fields stays at the end.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import UTC, date, datetime
from typing import Any

from connectors.contract import Fields, Record, Ref, Value
from connectors.errors import MappingError, Rejected
from connectors.mailboxes import BEYOND, BIN, CATEGORIES, CONTACT, CONTACT_SCHEMA, FOREIGN_ID, PLACE
from connectors.microsoft.settings import SYSTEM
from connectors.text import clean, cleaned_field, read_instant

Row = Mapping[str, Any]

TEXTS = {
    "displayName": "displayName",
    "title": "title",
    "givenName": "givenName",
    "middleName": "middleName",
    "surname": "surname",
    "generation": "generation",
    "nickName": "nickName",
    "mobilePhone": "mobilePhone",
    "companyName": "companyName",
    "department": "department",
    "jobTitle": "jobTitle",
    "assistantName": "assistantName",
    "webPage": "businessHomePage",
    "notes": "personalNotes",
}
EMAILS = "emailAddresses"
SLOTS = {
    "email1": (EMAILS, 0),
    "email2": (EMAILS, 1),
    "email3": (EMAILS, 2),
    "businessPhone": ("businessPhones", 0),
    "businessPhone2": ("businessPhones", 1),
    "homePhone": ("homePhones", 0),
    "homePhone2": ("homePhones", 1),
}
ROOM = {property_: 1 + max(at for name, at in SLOTS.values() if name == property_) for property_, _ in SLOTS.values()}
CALLED = {EMAILS: "E-mail", "businessPhones": "Business phone", "homePhones": "Home phone"}  # in BEYOND
_WORDS = {"Street": "street", "City": "city", "State": "state", "PostalCode": "postalCode", "Country": "countryOrRegion"}
PARTS = {f"{kind}{word}": (f"{kind}Address", part) for kind in ("business", "home", "other") for word, part in _WORDS.items()}
# Ours for ever: mailboxes hold it. Microsoft compares the name with regard to case, values without.
FOREIGN_PROPERTY = "String {2b6c8a54-9d0e-4f37-8c1b-5e7f0a3d9641} Name CrmRecordId"
EXTENDED = {
    "otherPhone": "String 0x3A1F",
    "businessFax": "String 0x3A24",
    "assistantPhone": "String 0x3A2E",
    FOREIGN_ID: FOREIGN_PROPERTY,
}
EXTENDED_LIST = "singleValueExtendedProperties"
_BY_PROPERTY = {property_.casefold(): name for name, property_ in EXTENDED.items()}
NAME_PARTS = frozenset({"title", "givenName", "middleName", "surname", "generation", "nickName"})
ALWAYS = ("categories", "lastModifiedDateTime")
# What a write has to know before it: Microsoft replaces these as a whole, or makes displayName anew.
HELD = (*ROOM, *dict.fromkeys(property_ for property_, _ in PARTS.values()), "displayName")


def properties_of(columns: Iterable[str]) -> list[str]:
    """Returns the properties that hold these columns. Raises MappingError for a column that no contact has."""
    found = dict.fromkeys(ALWAYS)
    for name in columns:
        if name not in CONTACT_SCHEMA.attributes:
            raise _unknown(name)
        if name in TEXTS:
            found[TEXTS[name]] = None
        elif name in SLOTS or name in PARTS:
            found[(SLOTS.get(name) or PARTS[name])[0]] = None
        elif name == "birthday":
            found["birthday"] = None
        elif name == PLACE:
            found["parentFolderId"] = None
        elif name == BEYOND:
            found |= dict.fromkeys(ROOM)
        if name in NAME_PARTS:
            found["displayName"] = None  # goes with every write of a name
    return list(found)


def extended_of(columns: Iterable[str]) -> list[str]:
    """Returns those of the columns that live in extended properties: no listing of changes brings them."""
    return [name for name in EXTENDED if name in columns]


def expand(names: Collection[str]) -> str:
    """Returns what asks for these extended properties along with a contact."""
    tests = " or ".join(f"id eq '{EXTENDED[name]}'" for name in names)
    return f"{EXTENDED_LIST}($filter={tests})"


def has_marker(marker: str) -> str:
    """Returns the filter for contacts that carry a marker, whatever it contains."""
    value = marker.replace("'", "''")
    return f"{EXTENDED_LIST}/Any(ep: ep/id eq '{FOREIGN_PROPERTY}' and ep/value eq '{value}')"


# --- reading --------------------------------------------------------------------------------------------------------------


def id_of(row: Any) -> str:
    """Returns the id of a row, "" when it is none."""
    raw = row.get("id") if isinstance(row, Mapping) else None
    return raw if isinstance(raw, str) and not clean(raw)[1] else ""


def etag_of(row: Row) -> str:
    """Returns the version of a contact: its etag, which is its change key in other words."""
    etag, key = row.get("@odata.etag"), row.get("changeKey")
    if isinstance(etag, str) and etag:
        return etag
    return f'W/"{key}"' if isinstance(key, str) and key else ""


def is_sound(row: Any) -> bool:
    """Tells whether a row is a contact all of whose properties have the type they are documented with. What has not must
    not be read as blank: a write would empty it."""
    if not id_of(row):
        return False
    texts = [row.get(name) for name in (*TEXTS.values(), "birthday", "parentFolderId")]
    phones = [text for name in ROOM if name != EMAILS for text in _list(row, name)]
    rows = [*_list(row, EMAILS), *_list(row, EXTENDED_LIST)]
    addresses = [{} if row.get(name) is None else row[name] for name in {name for name, _ in PARTS.values()}]
    if not all(isinstance(row.get(name), list | None) for name in (*ROOM, "categories", EXTENDED_LIST)):
        return False
    if not all(isinstance(one, Mapping) for one in (*rows, *addresses)):
        return False
    texts += [*phones, *_list(row, "categories")]
    texts += [one.get("address") for one in _list(row, EMAILS)] + [one.get("value") for one in _list(row, EXTENDED_LIST)]
    texts += [one.get(part) for one in addresses for part in _WORDS.values()]
    return all(isinstance(text, str | None) for text in texts)


def _list(row: Row, name: str) -> list[Any]:
    raw = row.get(name)
    return raw if isinstance(raw, list) else []


def filled(row: Row, property_: str) -> list[Any]:
    """Returns the entries of a list of addresses or phones that say anything."""
    return [entry for entry in _list(row, property_) if _said(entry)]


def _said(entry: Any) -> str:
    return str((entry.get("address") if isinstance(entry, Mapping) else entry) or "")


def completed(row: Row, properties: Iterable[str]) -> dict[str, Any]:
    """Returns the answer to a read of one contact with everything that was asked for: what it leaves out is blank there,
    as an extended property that the contact has not."""
    return {**dict.fromkeys(properties), EXTENDED_LIST: [], **row}


def read_contact(row: Row, *, place: str | None = None, columns: Sequence[str] | None = None) -> Record:
    """Returns the record of a sound row: the columns asked for, or all that the row tells of. `place` is where it lies."""
    raw = dict(_values(row))
    if columns is not None:
        wanted = {*columns, CATEGORIES, FOREIGN_ID}
        raw = {name: value for name, value in raw.items() if name in wanted}
    fields: dict[str, Value] = {}
    damaged = set()
    for name, value in raw.items():
        fields[name], is_damaged = _read(value, name)
        if is_damaged:
            damaged.add(name)
    if place is not None:
        fields[PLACE] = place
    changed = read_instant(row.get("lastModifiedDateTime"))
    return Record(
        Ref(SYSTEM, CONTACT, id_of(row)),
        fields,
        version=etag_of(row),
        updated_at=changed,
        is_deleted=place == BIN,
        damaged=frozenset(damaged),
    )


def _values(row: Row) -> Iterable[tuple[str, Any]]:
    """Yields each field that the row tells of, with what stands there."""
    for name, property_ in TEXTS.items():
        if property_ in row:
            yield name, row[property_]
    for name, (property_, at) in SLOTS.items():
        if property_ in row:
            entries = filled(row, property_)
            yield name, _said(entries[at]) if at < len(entries) else None
    for name, (property_, part) in PARTS.items():
        if property_ in row:
            yield name, (row[property_] or {}).get(part)
    if "birthday" in row:
        yield "birthday", row["birthday"]
    if "categories" in row:
        yield CATEGORIES, tuple(text for text in _list(row, "categories") if text)
    if EXTENDED_LIST in row:
        held = {_BY_PROPERTY.get(str(one.get("id")).casefold()): one.get("value") for one in _list(row, EXTENDED_LIST)}
        yield from ((name, held.get(name)) for name in EXTENDED)
    if any(property_ in row for property_ in ROOM):
        yield BEYOND, tuple(_beyond(row))


def _beyond(row: Row) -> Iterable[str]:
    for property_, room in ROOM.items():
        for at, entry in enumerate(filled(row, property_)[room:], start=room + 1):
            yield f"{CALLED[property_]} {at}: {_said(entry)}"


def _read(raw: Any, name: str) -> tuple[Value, bool]:
    """Returns the canonical value, and whether its text was damaged. A birthday that is no date stays text."""
    value, is_damaged = cleaned_field(raw)
    if name == "birthday" and isinstance(value, str):
        try:
            at = datetime.fromisoformat(value)
            return (at.astimezone(UTC) if at.tzinfo is not None else at).date(), is_damaged
        except (ValueError, OverflowError):
            return value, is_damaged
    return value, is_damaged


# --- writing --------------------------------------------------------------------------------------------------------------


def needed(fields: Fields) -> list[str]:
    """Returns the properties that must be known before these fields are written."""
    found = {(SLOTS.get(name) or PARTS[name])[0] for name in fields if name in SLOTS or name in PARTS}
    if NAME_PARTS & fields.keys() and "displayName" not in fields:
        found.add("displayName")
    return [property_ for property_ in HELD if property_ in found]


def write_body(fields: Fields, held: Row) -> dict[str, Any]:
    """Returns the JSON of a write: only the given fields, null for blank, and lists and addresses whole, with what the
    mailbox holds (`held`) where nothing is said of it. Raises Rejected for a value that cannot be sent, MappingError for a
    field that contacts have not."""
    texts = {name: _text(value, name) for name, value in fields.items() if name not in (CATEGORIES, "birthday")}
    body: dict[str, Any] = {}
    for name in fields:
        if name in TEXTS:
            body[TEXTS[name]] = texts[name]
        elif name in SLOTS:
            property_ = SLOTS[name][0]
            body[property_] = _merged(property_, texts, held)
        elif name in PARTS:
            property_, part = PARTS[name]
            body.setdefault(property_, dict(held.get(property_) or {}))[part] = texts[name]
        elif name == "birthday":
            body["birthday"] = _date(fields[name])
        elif name == CATEGORIES:
            body["categories"] = _texts(fields[name], name)
    extended = [{"id": EXTENDED[name], "value": texts[name] or ""} for name in EXTENDED if name in fields]
    if extended:
        body[EXTENDED_LIST] = extended
    if NAME_PARTS & fields.keys() and "displayName" not in fields and held.get("displayName"):
        body["displayName"] = held["displayName"]  # else Exchange makes a new one of the parts
    return body


def _merged(property_: str, texts: Mapping[str, str | None], held: Row) -> list[Any]:
    """Returns a list with the named places replaced, and everything else where it stood."""
    entries: list[Any] = filled(held, property_)
    entries += [None] * (ROOM[property_] - len(entries))
    for name, (of, at) in SLOTS.items():
        if of == property_ and name in texts:
            text = texts[name]
            if text is None or property_ != EMAILS:
                entries[at] = text
            elif entries[at] is None or entries[at].get("address") != text:
                entries[at] = {"address": text, "name": texts.get("displayName") or held.get("displayName") or text}
    return [entry for entry in entries if entry is not None]


def _text(value: Value, name: str) -> str | None:
    """Returns the wire form of a text. Raises Rejected for what has none, MappingError for a field that takes none."""
    if name not in CONTACT_SCHEMA.attributes or name in (PLACE, BEYOND):
        raise _unknown(name)
    if isinstance(value, tuple):
        raise Rejected(f"{name} holds one value, not a list", system=SYSTEM, field=name)
    if isinstance(value, datetime | date):
        value = value.isoformat()
    text = "" if value is None else str(value)
    if clean(text)[1]:
        raise Rejected(f"{name} cannot hold half a character or NUL", system=SYSTEM, field=name)
    return text or None


def _texts(value: Value, name: str) -> list[str]:
    if value is not None and not isinstance(value, tuple):
        raise Rejected(f"{name} holds a list", system=SYSTEM, field=name)
    if any(clean(text)[1] for text in value or ()):
        raise Rejected(f"{name} cannot hold half a character or NUL", system=SYSTEM, field=name)
    return [text for text in value or () if text]


def _date(value: Value) -> str | None:
    if value is None or value == "":
        return None
    if isinstance(value, datetime):
        value = value.date()
    if not isinstance(value, date):
        raise Rejected(f"birthday cannot hold {str(value)[:40]!r}: it is no date", system=SYSTEM, field="birthday")
    return value.isoformat()


def _unknown(name: str) -> MappingError:
    return MappingError(f"has no field {name[:80]!r} for contacts, or none that can be written", system=SYSTEM, field=name)


def with_category(categories: Iterable[str], category: str) -> list[str]:
    """Returns the categories with this one among them. Outlook knows one category in any case of its letters."""
    found = [text for text in categories if text]
    return found if is_among(category, found) or not category else [*found, category]


def is_among(category: str, categories: Iterable[Any]) -> bool:
    """Tells whether a contact bears the category."""
    return bool(category) and category.casefold() in {str(text).casefold() for text in categories}

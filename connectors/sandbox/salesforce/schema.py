"""What the played Salesforce knows of its objects: fields with type, length and rights, and what points where."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, field, replace

from connectors.sandbox.salesforce import objects as words

TEXTS = frozenset(("string", "textarea", "picklist", "multipicklist", "combobox", "email", "phone", "url"))
NUMBERS = frozenset(("double", "currency", "percent"))
ID_LIST = "junctionidlist"  # ids of records that another object joins to this one; no describe of a real one was at hand
LENGTHS = {"id": 18, "reference": 18, "picklist": 255, "email": 80, "phone": 40, "url": 255}
_CAMEL = re.compile(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])")


@dataclass(frozen=True, slots=True)
class Field:
    """One field. `references` names the objects that a reference may lead to, `relationship` its name in a path."""

    name: str
    type: str
    length: int
    label: str
    is_createable: bool
    is_updateable: bool
    is_required: bool
    is_defaulted: bool
    is_id_lookup: bool
    is_external_id: bool
    is_unique: bool
    is_name: bool
    is_filterable: bool
    is_restricted: bool
    references: tuple[str, ...]
    relationship: str
    values: tuple[str, ...]

    @property
    def is_custom(self) -> bool:
        return self.name.endswith(("__c", "__pc"))

    @property
    def is_text(self) -> bool:
        return self.type in TEXTS

    @property
    def is_lookup(self) -> bool:
        return self.type == "reference"

    @property
    def is_key(self) -> bool:
        """Tells whether an upsert may go by this field."""
        return self.is_external_id or self.is_id_lookup


@dataclass(frozen=True, slots=True)
class SObject:
    """One object. `by_lower` and `relations` find fields by their name, and by that of their relationship, in any case."""

    name: str
    prefix: str
    label: str
    plural: str
    rights: str
    fields: dict[str, Field]
    by_lower: dict[str, Field] = field(default_factory=dict)
    relations: dict[str, Field] = field(default_factory=dict)

    def with_fields(self, fields: Iterable[Field]) -> SObject:
        """Returns the same object with these fields."""
        own = {f.name: f for f in fields}
        lower = {name.lower(): f for name, f in own.items()}
        return replace(self, fields=own, by_lower=lower, relations={f.relationship.lower(): f for f in own.values() if f.relationship})


@dataclass(frozen=True, slots=True)
class Hidden:
    """What a customer's admin did to the objects: each a set of `Contact.Title`, objects of `Contact`."""

    fields: frozenset[str] = frozenset()  # by field-level security
    removed: frozenset[str] = frozenset()
    read_only: frozenset[str] = frozenset()
    required: frozenset[str] = frozenset()
    objects: frozenset[str] = frozenset()
    absent: frozenset[str] = frozenset()  # objects and fields of features that the organisation does not have


def _label(name: str) -> str:
    spaced = _CAMEL.sub(" ", name.removesuffix("__c").removesuffix("__pc").replace("_", " "))
    return f"{spaced[:-3]} ID" if spaced.endswith(" Id") else spaced


def _field(object_name: str, word: str) -> Field:
    """Reads one word of `objects.py`."""
    name, type_, length, flags, label = [*word.split(":"), "", "", ""][:5]
    is_list, type_ = type_.startswith("*"), type_.removeprefix("*")
    references = tuple(type_.split("|")) if type_[:1].isupper() else ()
    type_ = ID_LIST if is_list else "reference" if references else type_
    is_compound = type_ == "address"
    return Field(
        name=name,
        type=type_,
        length=int(length) if length else LENGTHS.get(type_, 0),
        label=label.replace("_", " ") or _label(name),
        is_createable="R" not in flags,
        is_updateable="R" not in flags and "C" not in flags,
        is_required="!" in flags,
        is_defaulted="D" in flags,
        is_id_lookup="L" in flags or name == "Id",
        is_external_id="X" in flags,
        is_unique="U" in flags,
        is_name="N" in flags,
        is_filterable="T" not in flags and not is_compound,
        is_restricted="P" in flags,
        references=references,
        relationship=name[:-2] if references and name.endswith("Id") else "",
        values=words.PICKLISTS.get(f"{object_name}.{name}", ()),
    )


def _object(name: str) -> SObject:
    prefix, label, plural, own, rights = words.OBJECTS[name]
    fields = [_field(name, word) for word in f"{words.AUDIT} {own} {words.STAMPS}".split()]
    return SObject(name, prefix, label, plural, rights, {}).with_fields(fields)


OBJECTS = {name: _object(name) for name in words.OBJECTS}
BY_PREFIX = {o.prefix: o for o in OBJECTS.values()}
AUDIT_FIELDS = frozenset(w.split(":")[0] for w in f"{words.AUDIT} {words.STAMPS}".split())
# What a lookup to one of several objects leads to: whoever it is, these can be asked.
NAME = SObject("Name", "", "Name", "Names", "", {}).with_fields(_field("Name", word) for word in words.NAME.split())


class Schema:
    """The objects as the API's user sees them, and in `existing` as the organisation has them."""

    def __init__(self) -> None:
        self.objects: dict[str, SObject] = OBJECTS
        self.existing: dict[str, SObject] = OBJECTS
        self.hidden = Hidden()

    def apply(self, hidden: Hidden) -> None:
        """Makes the view anew."""
        self.hidden = hidden
        self.existing = {n: _existing(o, hidden.absent) for n, o in OBJECTS.items() if n not in hidden.absent}
        self.objects = {n: _seen(o, hidden) for n, o in self.existing.items() if n not in hidden.objects}

    def find(self, name: str) -> SObject | None:
        """Returns the object that a query names, in any case."""
        lower = name.lower()
        return next((o for n, o in self.objects.items() if n.lower() == lower), None)

    def writable(self, object_name: str, name: str) -> bool:
        """Tells whether a field exists, though the user may not see it."""
        return name in self.existing[object_name].fields and f"{object_name}.{name}" not in self.hidden.removed


def _existing(object_: SObject, absent: frozenset[str]) -> SObject:
    return object_.with_fields(f for f in object_.fields.values() if f"{object_.name}.{f.name}" not in absent)


def _seen(object_: SObject, hidden: Hidden) -> SObject:
    fields = []
    for f in object_.fields.values():
        full = f"{object_.name}.{f.name}"
        if full in hidden.fields or full in hidden.removed:
            continue
        if full in hidden.read_only:
            f = replace(f, is_createable=False, is_updateable=False)
        if full in hidden.required:
            f = replace(f, is_required=True)
        fields.append(f)
    return object_.with_fields(fields)

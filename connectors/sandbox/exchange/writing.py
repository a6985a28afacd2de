"""What calls write: items as their elements set them, and changes of single properties."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any
from xml.etree.ElementTree import Element

from connectors.sandbox.exchange import extended, fields, values
from connectors.sandbox.exchange.attachments import read_file
from connectors.sandbox.exchange.facts import read_path
from connectors.sandbox.exchange.fields import BY_ELEMENT, CONTAINERS, FIELDS, INDEXED
from connectors.sandbox.exchange.refusal import Refused, invalid
from connectors.sandbox.exchange.soap import attribute, name_of, needed, text_of

MOST_RECIPIENTS = 500
_PARTS = {uri.split(":")[2]: uri for uri in INDEXED if uri.count(":") == 2}
_SINGLE = {container: uri for uri, (container, _) in INDEXED.items() if uri.count(":") == 1}


@dataclass(slots=True)
class Given:
    """What a write sets: values by key (None takes one away), extended properties by spelling, files to hang on."""

    values: dict[str, Any] = field(default_factory=dict)
    extended: dict[str, extended.Value | None] = field(default_factory=dict)
    attachments: list[dict[str, Any]] = field(default_factory=list)

    @property
    def keys(self) -> list[str]:
        return [*self.values, *self.extended]


def read_item(element: Element, kind: str, zone: str) -> Given:
    """Returns what the element of an item sets. Raises Faulted for what the schema does not have, Refused for what nobody may set."""
    given = Given()
    for each in element:
        name = name_of(each)
        if name in CONTAINERS and kind == fields.CONTACT:
            given.values.update(_entries(each, name))
        elif name == "ExtendedProperty":
            spelling, value = extended.read_property(each)
            given.extended[spelling] = value
        elif name == "Attachments":
            given.attachments += [read_file(one) for one in each]
        else:
            _read_one(given, each, kind, zone)
    return given


def _read_one(given: Given, element: Element, kind: str, zone: str) -> None:
    described = BY_ELEMENT[kind].get(name_of(element))
    if described is None:
        raise invalid(f"The element '{kind}' has invalid child element '{name_of(element)[:80]}'.")
    if not described.is_writable:
        raise Refused("ErrorInvalidPropertySet", "Set action is invalid for property.", field=described.uri)
    given.values[described.uri] = values.read(described, element, zone)


def _entries(element: Element, container: str) -> dict[str, str | None]:
    """Returns the entries of a list of addresses or phones by key; of a postal address each part has its own."""
    found: dict[str, str | None] = {}
    for entry in element:
        if name_of(entry) != "Entry":
            raise invalid(f"The element '{container}' has invalid child element '{name_of(entry)[:80]}'.")
        index = attribute(entry, "Key")
        if container == "PhysicalAddresses":
            for part in entry:
                if name_of(part) not in _PARTS:
                    raise invalid(f"The element 'Entry' has invalid child element '{name_of(part)[:80]}'.")
                found[_entry_key(_PARTS[name_of(part)], index)] = text_of(part)
        else:
            found[_entry_key(_SINGLE[container], index)] = text_of(entry)
    return found


def _entry_key(uri: str, index: str) -> str:
    if index not in INDEXED[uri][1]:
        raise invalid(f"The 'Key' attribute is invalid - The value '{index[:80]}' is invalid according to its datatype.")
    return fields.entry_key(uri, index)


# --- single changes -----------------------------------------------------------------------------------------------------------
def read_changes(element: Element, kind: str, zone: str, present: dict[str, Any]) -> Given:
    """Returns what an ItemChange sets and deletes; `present` are the values that something may be appended to. Raises Faulted and
    Refused."""
    changes = Given()
    for each in needed(element, "Updates"):
        if not len(each):
            raise invalid(f"The element '{name_of(each)}' has incomplete content. List of possible elements expected: 'Path'.")
        key = read_path(each[0])
        _check_kind(key, kind)
        if name_of(each) == "DeleteItemField":
            _check_deletable(key)
            (changes.extended if " " in key else changes.values)[key] = None
        elif name_of(each) in ("SetItemField", "AppendToItemField"):
            given = _one_property(each, key, kind, zone)
            if name_of(each) == "AppendToItemField":
                _append(given, key, {**present, **changes.values})
            changes.values.update(given.values)
            changes.extended.update(given.extended)
        else:
            raise invalid(f"The element 'Updates' has invalid child element '{name_of(each)[:80]}'.")
    return changes


def _check_kind(key: str, kind: str) -> None:
    uri = key.partition("/")[0]
    if " " not in key and (uri not in FIELDS or not fields.is_of(uri, kind)):
        raise Refused("ErrorInvalidPropertyForOperation", "The property is not one of this kind of item.", field=uri)


def _check_deletable(key: str) -> None:
    if " " not in key and not FIELDS[key.partition("/")[0]].is_writable:
        raise Refused("ErrorInvalidPropertyDelete", "Delete action is invalid for property.", field=key.partition("/")[0])


def _one_property(element: Element, key: str, kind: str, zone: str) -> Given:
    """Returns the one property that a change sets, which must be the one that its path names."""
    if len(element) != 2 or name_of(element[1]) not in (kind, "Item"):
        raise Refused("ErrorUpdatePropertyMismatch", "The property in the change is not the one that its path names.")
    given = read_item(element[1], kind, zone)
    if len(given.keys) != 1:
        raise Refused("ErrorIncorrectUpdatePropertyCount", "An object within a change description must contain one and only one property.")
    if given.keys != [key]:
        raise Refused("ErrorUpdatePropertyMismatch", "The property in the change is not the one that its path names.")
    return given


def _append(given: Given, key: str, present: dict[str, Any]) -> None:
    """Puts what is there before what is to be appended: to bodies and to lists of recipients only."""
    before = present.get(key)
    if key == "item:Body":
        own = given.values[key]
        given.values[key] = {"type": own["type"], "text": (before or {"text": ""})["text"] + own["text"]}
    elif isinstance(given.values.get(key), list) and key != "item:Categories":
        given.values[key] = [*(before or []), *given.values[key]]
    else:
        raise Refused("ErrorInvalidPropertyAppend", "Append action is invalid for property.", field=key)


def merged(present: dict[str, Any], given: dict[str, Any]) -> dict[str, Any]:
    """Returns values after a write; blank texts and lists are none."""
    return {key: value for key, value in {**present, **given}.items() if value not in (None, "", [])}

"""Restrictions and orders: what of a folder a call wants to see."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from xml.etree.ElementTree import Element

from connectors.sandbox.exchange import fields, values
from connectors.sandbox.exchange.facts import read_path
from connectors.sandbox.exchange.fields import FIELDS
from connectors.sandbox.exchange.refusal import Refused, invalid
from connectors.sandbox.exchange.soap import attribute, child, choice, name_of, needed

Get = Callable[[str], Any]
Restriction = Callable[[Get], bool]
MOST_NESTED = 32
_COMPARISONS: dict[str, Callable[[Any, Any], bool]] = {
    "IsEqualTo": lambda a, b: a == b, "IsNotEqualTo": lambda a, b: a != b, "IsGreaterThan": lambda a, b: a > b,
    "IsGreaterThanOrEqualTo": lambda a, b: a >= b, "IsLessThan": lambda a, b: a < b, "IsLessThanOrEqualTo": lambda a, b: a <= b,
}  # fmt: skip
_MODES: dict[str, Callable[[str, str], bool]] = {
    "FullString": lambda text, part: text == part, "Prefixed": lambda text, part: text.startswith(part),
    "Substring": lambda text, part: part in text, "ExactPhrase": lambda text, part: f" {part} " in f" {text} ",
    "PrefixOnWords": lambda text, part: f" {part}" in f" {text}",
}  # fmt: skip
_CASES = ("Exact", "IgnoreCase", "IgnoreNonSpacingCharacters", "Loose", "IgnoreCaseAndNonSpacingCharacters", "LooseAndIgnoreCase")
# What cannot be searched for, and the kinds of values that cannot.
_UNSEARCHED = frozenset(("calendar:UID", "item:ReminderDueBy", "item:Culture", "contacts:Companies", "task:Status", "task:PercentComplete",
                         "calendar:IsResponseRequested", "calendar:AllowNewTimeProposal"))  # fmt: skip
_UNSEARCHED_TYPES = (fields.RECURRENCE, fields.ATTENDEES, fields.MAILBOXES, fields.ZONE, fields.MADE, fields.BINARY)


def read_restriction(operation: Element, zone: str) -> Restriction | None:
    """Returns what tells whether something fits, by its values; None where everything does. Raises Faulted and Refused."""
    element = child(operation, "Restriction")
    if element is None:
        return None
    if len(element) != 1:
        raise invalid("The element 'Restriction' has incomplete content.")
    return _read(element[0], zone, 0)


def _read(element: Element, zone: str, depth: int) -> Restriction:
    name = name_of(element)
    if depth > MOST_NESTED:
        raise Refused("ErrorInvalidRestriction", "The restriction nests too deep.")
    if name in ("And", "Or", "Not"):
        parts = [_read(each, zone, depth + 1) for each in element]
        if not parts or (name == "Not" and len(parts) != 1):
            raise invalid(f"The element '{name}' has incomplete content.")
        if name == "Not":
            return lambda get: not parts[0](get)
        many = all if name == "And" else any
        return lambda get: many(part(get) for part in parts)
    if name == "Exists":
        key = _key(element)
        return lambda get: get(key) not in (None, "", [])
    if name == "Contains":
        return _contains(element)
    if name in _COMPARISONS:
        return _comparison(element, name, zone)
    raise invalid(f"The element has invalid child element '{name[:80]}'. List of possible elements expected: 'SearchExpression'.")


def _key(element: Element) -> str:
    if not len(element):
        raise invalid(f"The element '{name_of(element)}' has incomplete content. List of possible elements expected: 'Path'.")
    key = read_path(element[0])
    described = FIELDS.get(key.partition("/")[0])
    if key in _UNSEARCHED or (described is not None and described.type in _UNSEARCHED_TYPES):
        raise Refused("ErrorUnsupportedPathForQuery", "The property can not be used with this type of restriction.", field=key)
    return key


def _contains(element: Element) -> Restriction:
    mode = _MODES[choice(element, "ContainmentMode", _MODES, "FullString")]
    case = choice(element, "ContainmentComparison", _CASES, "Exact")
    key, ignores = _key(element), "Case" in case or case == "Loose"
    part = attribute(needed(element, "Constant"), "Value")
    if not part:
        raise Refused("ErrorInvalidRestriction", "The restriction is invalid: a text to contain must not be blank.")
    part = part.casefold() if ignores else part

    def fits(get: Get) -> bool:
        texts = (text.casefold() if ignores else text for text in _texts(get(key)))
        return any(mode(text, part) for text in texts)

    return fits


def _texts(value: Any) -> list[str]:
    if isinstance(value, list):
        return [each for each in value if isinstance(each, str)]
    if isinstance(value, dict):  # a body, or a mailbox
        return [str(text) for text in (value.get("text"), value.get("name"), value.get("address")) if text]
    return [value] if isinstance(value, str) else []


def _comparison(element: Element, name: str, zone: str) -> Restriction:
    key, compare = _key(element), _COMPARISONS[name]
    other = needed(element, "FieldURIOrConstant")
    if len(other) != 1:
        raise invalid("The element 'FieldURIOrConstant' has incomplete content.")
    constant = _constant(key, attribute(other[0], "Value"), zone) if name_of(other[0]) == "Constant" else None
    other_key = _key(other) if constant is None else ""

    def fits(get: Get) -> bool:
        value, wanted = get(key), constant if constant is not None else get(other_key)
        if value is None or wanted is None:
            return name == "IsNotEqualTo" and value is not wanted
        many = value if isinstance(value, list) else [value]
        found = [compare(*_alike(each, wanted)) for each in many]
        return all(found) if name == "IsNotEqualTo" else any(found)

    return fits


def _alike(value: Any, wanted: Any) -> tuple[Any, Any]:
    """Returns two values that can be compared; capital and small letters are alike."""
    if isinstance(value, str) and isinstance(wanted, str):
        return value.casefold(), wanted.casefold()
    if isinstance(value, dict):
        return str(value.get("name", "")).casefold(), str(wanted).casefold()
    return value, wanted


def _constant(key: str, text: str, zone: str) -> Any:
    """Returns a constant as the property's values are kept. Raises Refused for one that is no such value."""
    described = FIELDS.get(key.partition("/")[0])
    type_ = described.type if described is not None else fields.TEXT
    try:
        if type_ in (fields.INSTANT, fields.DAY):
            at = values.read_instant(text, zone, "Value")
            return at if type_ == fields.INSTANT else at[:10]
        if type_ == fields.BOOL:
            return {"true": True, "1": True, "false": False, "0": False}[text.strip().lower()]
        return int(text) if type_ == fields.WHOLE else float(text) if type_ == fields.NUMBER else text
    except (KeyError, ValueError):
        raise Refused("ErrorInvalidValueForProperty", "The specified value is invalid for property.", field=key) from None


def read_order(operation: Element) -> list[tuple[str, bool]]:
    """Returns the keys to order by, and whether each goes down. Raises Faulted and Refused."""
    element = child(operation, "SortOrder")
    order = []
    for each in element if element is not None else ():
        if name_of(each) != "FieldOrder":
            raise invalid(f"The element 'SortOrder' has invalid child element '{name_of(each)[:80]}'.")
        order.append((_key(each), choice(each, "Order", ("Ascending", "Descending")) == "Descending"))
    return order


def sort_key(value: Any) -> tuple[int, Any]:
    """Returns what orders a value: nothing stands before anything, texts by their letters."""
    if value is None:
        return 0, ""
    if isinstance(value, list):
        return 1, "; ".join(map(str, value)).casefold()
    if isinstance(value, dict):
        return 1, str(value.get("name") or value.get("text") or "").casefold()
    return 1, value.casefold() if isinstance(value, str) else value

"""Extended properties: how a call names one, and under which spelling the store keeps it: `String {guid} Name X`, as in Graph,
so that a property set through one interface is the one that the other shows."""

from __future__ import annotations

import re
from xml.etree.ElementTree import Element

from connectors.sandbox.exchange.refusal import Refused, invalid
from connectors.sandbox.exchange.soap import child, name_of, t, text_of

SETS = {
    "Address": "00062004-0000-0000-c000-000000000046", "Appointment": "00062002-0000-0000-c000-000000000046",
    "CalendarAssistant": "11000e07-b51b-40d6-af21-caa85edab1d0", "Common": "00062008-0000-0000-c000-000000000046",
    "InternetHeaders": "00020386-0000-0000-c000-000000000046", "Meeting": "6ed8da90-450b-101b-98da-00aa003f1305",
    "PublicStrings": "00020329-0000-0000-c000-000000000046", "Sharing": "00062040-0000-0000-c000-000000000046",
    "Task": "00062003-0000-0000-c000-000000000046", "UnifiedMessaging": "4442858e-a9e3-4e80-b900-317a210cc15b",
}  # fmt: skip
_SINGLE = (
    "ApplicationTime",
    "Binary",
    "Boolean",
    "CLSID",
    "Currency",
    "Double",
    "Float",
    "Integer",
    "Long",
    "Short",
    "String",
    "SystemTime",
)
TYPES = frozenset([*_SINGLE, *(f"{name}Array" for name in _SINGLE if name != "Boolean")])
_GUID = re.compile(r"[0-9A-Fa-f]{8}(?:-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12}")
_TAG = re.compile(r"0x[0-9A-Fa-f]{1,4}|[0-9]{1,5}")
_SPELLED = re.compile(r"(?P<type>\w+) (?:(?P<tag>0x[0-9a-f]{1,4})|\{(?P<guid>[0-9a-f-]{36})\} (?P<how>Name|Id) (?P<name>.{1,255}))")
Value = str | list[str]


def read_uri(element: Element) -> str:
    """Returns the spelling of the property that an ExtendedFieldURI names. The name keeps its case. Raises Faulted, and Refused for
    a combination of attributes that means nothing."""
    type_ = element.get("PropertyType", "")
    if type_ not in TYPES:
        raise invalid(f"The 'PropertyType' attribute is invalid - The value '{type_[:40]}' is invalid according to its datatype.")
    tag, name, number = element.get("PropertyTag"), element.get("PropertyName"), element.get("PropertyId")
    given, special = element.get("PropertySetId"), element.get("DistinguishedPropertySetId")
    if tag is not None:
        if given or special or name or number or not _TAG.fullmatch(tag):
            raise _senseless()
        return f"{type_} 0x{int(tag, 0 if tag.startswith('0x') else 10):x}"
    guid = SETS.get(special or "", "") if special else (given or "")
    if bool(given) == bool(special) or bool(name) == bool(number) or not _GUID.fullmatch(guid):
        raise _senseless()
    if name:
        return f"{type_} {{{guid.lower()}}} Name {name}"
    if not re.fullmatch(r"[0-9]{1,10}", number or ""):
        raise _senseless()
    return f"{type_} {{{guid.lower()}}} Id 0x{int(number or ''):x}"


def _senseless() -> Refused:
    told = "The combination of extended property attributes specified is not valid."
    return Refused("ErrorInvalidExtendedProperty", told)


def uri_of(spelling: str) -> Element:
    """Returns the ExtendedFieldURI of a property."""
    match = _SPELLED.fullmatch(spelling)
    if match is None:  # a spelling comes from `read_uri`, or was checked as one
        raise ValueError(f"{spelling!r} names no extended property")
    if match["tag"]:
        return t("ExtendedFieldURI", PropertyTag=match["tag"], PropertyType=match["type"])
    how = {"PropertyName": match["name"]} if match["how"] == "Name" else {"PropertyId": str(int(match["name"], 16))}
    return t("ExtendedFieldURI", PropertySetId=match["guid"], **how, PropertyType=match["type"])


def checked(spelling: object) -> str:
    """Returns a spelling that people wrote. Raises ValueError for what is none."""
    match = _SPELLED.fullmatch(spelling) if isinstance(spelling, str) else None
    if match is None or match["type"] not in TYPES:
        raise ValueError(f"an extended property is named like 'String {{guid}} Name X', not {str(spelling)[:80]!r}")
    return str(spelling)


def read_property(element: Element) -> tuple[str, Value]:
    """Returns the property that an ExtendedProperty element sets, and its value. Raises Faulted or Refused."""
    uri = child(element, "ExtendedFieldURI")
    if uri is None:
        raise invalid("The element 'ExtendedProperty' has incomplete content. List of possible elements expected: 'ExtendedFieldURI'.")
    spelling = read_uri(uri)
    single, many = child(element, "Value"), child(element, "Values")
    if spelling.split(" ")[0].endswith("Array"):
        if many is None:
            raise invalid("The element 'ExtendedProperty' has incomplete content. List of possible elements expected: 'Values'.")
        return spelling, [text_of(each) for each in many if name_of(each) == "Value"]
    if single is None:
        raise invalid("The element 'ExtendedProperty' has incomplete content. List of possible elements expected: 'Value'.")
    return spelling, text_of(single)


def shown(spelling: str, value: Value) -> Element:
    if isinstance(value, list):
        return t("ExtendedProperty", uri_of(spelling), t("Values", *(t("Value", text=each) for each in value)))
    return t("ExtendedProperty", uri_of(spelling), t("Value", text=value))

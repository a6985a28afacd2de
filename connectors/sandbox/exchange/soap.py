"""Envelopes: how a request is read, and how answers and faults are written.

Reading refuses what can do harm: document types, and with them entities of any kind, and trees that nest without end.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from xml.etree.ElementTree import Element, TreeBuilder, register_namespace, tostring
from xml.parsers import expat

from connectors.sandbox.exchange.refusal import Faulted, Refused, invalid

SOAP = "http://schemas.xmlsoap.org/soap/envelope/"
MESSAGES = "http://schemas.microsoft.com/exchange/services/2006/messages"
TYPES = "http://schemas.microsoft.com/exchange/services/2006/types"
ERRORS = "http://schemas.microsoft.com/exchange/services/2006/errors"
DEEPEST = 64
VERSION = {"MajorVersion": "15", "MinorVersion": "1", "MajorBuildNumber": "2507", "MinorBuildNumber": "6", "Version": "V2017_07_11"}
_UNSAID = re.compile("[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")  # what XML cannot hold
for _prefix, _uri in (("s", SOAP), ("m", MESSAGES), ("t", TYPES), ("e", ERRORS)):
    register_namespace(_prefix, _uri)


# --- reading ------------------------------------------------------------------------------------------------------------
def parse(data: bytes) -> Element:
    """Returns the root of a document. Raises Faulted for what is no XML, has a document type, or nests too deep."""
    builder, depth = TreeBuilder(), 0
    parser = expat.ParserCreate(namespace_separator="}")

    def start(name: str, attributes: dict[str, str]) -> None:
        nonlocal depth
        depth += 1
        if depth > DEEPEST:
            raise invalid("The request nests too deep.", line=parser.CurrentLineNumber)
        builder.start(_tag(name), {_tag(key): value for key, value in attributes.items()})

    def end(name: str) -> None:
        nonlocal depth
        depth -= 1
        builder.end(_tag(name))

    def refuse(*_: object) -> None:
        raise invalid("For security reasons DTD is prohibited in this XML document.", line=parser.CurrentLineNumber)

    parser.StartElementHandler, parser.EndElementHandler, parser.CharacterDataHandler = start, end, builder.data
    parser.StartDoctypeDeclHandler, parser.EntityDeclHandler = refuse, refuse
    parser.buffer_text = True
    try:
        parser.Parse(data, True)
    except (expat.ExpatError, UnicodeError, LookupError) as error:
        raise invalid(f"The request is not XML: {error}", line=parser.ErrorLineNumber) from None
    return builder.close()


def _tag(name: str) -> str:
    return f"{{{name}" if "}" in name else name


def name_of(element: Element) -> str:
    """Returns an element's name without its namespace."""
    return element.tag.rpartition("}")[2]


def child(element: Element, name: str) -> Element | None:
    """Returns the first child of a name, in whichever of the two namespaces of EWS."""
    return next((each for each in element if name_of(each) == name), None)


def needed(element: Element, name: str) -> Element:
    """Returns the child of a name. Raises Faulted where there is none."""
    found = child(element, name)
    if found is None:
        raise invalid(f"The element '{name_of(element)}' has incomplete content. List of possible elements expected: '{name}'.")
    return found


def text_of(element: Element | None) -> str:
    return "" if element is None else (element.text or "")


def attribute(element: Element, name: str) -> str:
    """Returns an attribute. Raises Faulted where there is none."""
    value = element.get(name)
    if value is None:
        raise invalid(f"The required attribute '{name}' is missing.")
    return value


def choice(element: Element, name: str, known: Iterable[str], default: str | None = None) -> str:
    """Returns an attribute that is one of a few words, `default` where it is missing. Raises Faulted."""
    value = element.get(name)
    if value is None:
        value = default if default is not None else attribute(element, name)
    if value not in known:
        raise invalid(f"The '{name}' attribute is invalid - The value '{value[:80]}' is invalid according to its datatype.")
    return value


def number(text: str, what: str, *, least: int = 0, most: int = 2**31 - 1) -> int:
    """Returns a whole number. Raises Faulted for what is none, or lies outside."""
    given = text.strip()
    if not re.fullmatch(r"-?[0-9]{1,10}", given) or not least <= int(given) <= most:
        raise invalid(f"The '{what}' element is invalid - The value '{given[:80]}' is invalid according to its datatype.")
    return int(given)


def boolean(text: str, what: str) -> bool:
    given = text.strip()
    if given not in ("true", "false", "1", "0"):
        raise invalid(f"The '{what}' element is invalid - The value '{given[:80]}' is invalid according to its datatype 'boolean'.")
    return given in ("true", "1")


@dataclass(frozen=True, slots=True)
class Envelope:
    """A request: its operation, whom it impersonates (None: nobody), and the zone that its times are meant in."""

    operation: Element
    impersonated: str | None
    zone: str

    @property
    def name(self) -> str:
        return name_of(self.operation)


def read(data: bytes) -> Envelope:
    """Returns what an envelope says. Raises Faulted for one that is none."""
    root = parse(data)
    body = child(root, "Body")
    if root.tag != f"{{{SOAP}}}Envelope" or body is None or len(body) != 1:
        raise invalid("The request is no SOAP envelope with one operation in its body.")
    header = child(root, "Header")
    return Envelope(body[0], _impersonated(header), _zone(header))


def _impersonated(header: Element | None) -> str | None:
    wanted = child(header, "ExchangeImpersonation") if header is not None else None
    if wanted is None:
        return None
    sid = needed(wanted, "ConnectingSID")
    named = next((text_of(each).strip() for each in sid if name_of(each) in ("PrimarySmtpAddress", "SmtpAddress", "PrincipalName")), "")
    if not named:
        raise invalid("The element 'ConnectingSID' has incomplete content.")
    return named


def _zone(header: Element | None) -> str:
    context = child(header, "TimeZoneContext") if header is not None else None
    definition = child(context, "TimeZoneDefinition") if context is not None else None
    return (definition.get("Id") if definition is not None else None) or "UTC"


# --- writing ------------------------------------------------------------------------------------------------------------
def t(name: str, *children: Element | None, text: object = None, **attributes: str) -> Element:
    """Returns an element of the types' namespace; children that are None are left out."""
    return _made(TYPES, name, children, text, attributes)


def m(name: str, *children: Element | None, text: object = None, **attributes: str) -> Element:
    """Returns an element of the messages' namespace."""
    return _made(MESSAGES, name, children, text, attributes)


def _made(space: str, name: str, children: Iterable[Element | None], text: object, attributes: dict[str, str]) -> Element:
    element = Element(f"{{{space}}}{name}", attributes)
    element.extend(each for each in children if each is not None)
    if text is not None:
        element.text = said(text)
    return element


def said(value: object) -> str:
    """Returns a value as the text of an element; what XML cannot hold reads as '?'."""
    if isinstance(value, bool):
        return "true" if value else "false"
    return _UNSAID.sub("?", str(value))


def success(operation: str, *children: Element | None) -> Element:
    """Returns the response message of one thing that was done."""
    return m(f"{operation}ResponseMessage", m("ResponseCode", text="NoError"), *children, ResponseClass="Success")


def error(operation: str, refused: Refused, *children: Element | None) -> Element:
    """Returns the response message of one thing that was refused."""
    more = [t("Value", text=value, Name=name) for name, value in refused.values.items()]
    more += [t("FieldURI", FieldURI=refused.field)] if refused.field else []
    said_first = m("MessageText", text=refused.message), m("ResponseCode", text=refused.code), m("DescriptiveLinkKey", text="0")
    return m(f"{operation}ResponseMessage", *said_first, m("MessageXml", *more) if more else None, *children, ResponseClass="Error")


def answered(operation: str, messages: Iterable[Element]) -> bytes:
    """Returns the envelope of an answer."""
    return enveloped(m(f"{operation}Response", m("ResponseMessages", *messages)))


def enveloped(content: Element, *, has_header: bool = True) -> bytes:
    envelope = Element(f"{{{SOAP}}}Envelope")
    if has_header:
        header = Element(f"{{{SOAP}}}Header")
        header.append(Element(f"{{{TYPES}}}ServerVersionInfo", VERSION))
        envelope.append(header)
    body = Element(f"{{{SOAP}}}Body")
    body.append(content)
    envelope.append(body)
    data: bytes = tostring(envelope, encoding="utf-8", xml_declaration=True)
    return data.replace(b"\r", b"&#13;")  # or whoever reads it would take the ends of lines for others


def faulted(fault: Faulted) -> bytes:
    """Returns the envelope of a fault."""
    detail = Element("detail")
    for name, text in (("ResponseCode", fault.code), ("Message", fault.message)):
        each = Element(f"{{{ERRORS}}}{name}")
        each.text = said(text)
        detail.append(each)
    more = []
    if fault.violation:
        more = [t("LineNumber", text=fault.line), t("LinePosition", text=1), t("Violation", text=fault.violation)]
    elif fault.back_off_ms is not None:
        more = [t("Value", text=fault.back_off_ms, Name="BackOffMilliseconds")]
    if more:
        detail.append(t("MessageXml", *more))
    element = Element(f"{{{SOAP}}}Fault")
    for name, text in (("faultcode", f"a:{fault.code}"), ("faultstring", fault.message)):
        each = Element(name)
        each.text = said(text)
        element.append(each)
    element.append(detail)
    return enveloped(element, has_header=False)

"""Values of properties: read from elements of a call, written as elements of an answer.

Instants are kept as UTC texts, `2026-12-01T09:00:00Z`; days as `2026-12-01`; mailboxes as name and address.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Callable, Mapping
from datetime import UTC, date, datetime
from typing import Any
from xml.etree.ElementTree import Element

from connectors.sandbox.exchange import fields, recurring
from connectors.sandbox.exchange.fields import Field
from connectors.sandbox.exchange.refusal import invalid
from connectors.sandbox.exchange.soap import attribute, boolean, child, choice, name_of, needed, number, said, t, text_of
from connectors.sandbox.microsoft.zones import to_utc

_INSTANT = re.compile(r"(\d{4}-\d\d-\d\d)(?:T(\d\d:\d\d:\d\d)(?:\.\d+)?)?(Z|[+-]\d\d:\d\d)?")
_NUMBER = re.compile(r"-?\d{1,9}(?:\.\d{1,9})?")


def stamp(at: datetime) -> str:
    return f"{at.astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}"


def read_instant(text: str, zone: str, what: str) -> str:
    """Returns an instant; one without an offset is meant by the clocks of `zone` (IANA). Raises Faulted."""
    match = _INSTANT.fullmatch(text.strip())
    try:
        if match is None:
            raise ValueError
        at = datetime.fromisoformat(f"{match[1]}T{match[2] or '00:00:00'}{match[3] or ''}")
        return stamp(at if at.tzinfo else to_utc(at, zone))
    except (ValueError, OverflowError):
        told = f"The '{what}' element is invalid - The value '{text[:80]}' is invalid according to its datatype 'dateTime'."
        raise invalid(told) from None


# --- reading ------------------------------------------------------------------------------------------------------------
def read(field: Field, element: Element, zone: str) -> Any:
    """Returns the value that an element gives a property. `zone` (IANA) is that of times without an offset. Raises Faulted."""
    if field.type == fields.INSTANT:
        return read_instant(text_of(element), zone, field.element)
    if field.type == fields.DAY:
        return text_of(element).strip()[:10] if read_instant(text_of(element), zone, field.element) else ""
    return _READ[field.type](field, element)


def _text(field: Field, element: Element) -> str:
    return text_of(element)


def _boolean(field: Field, element: Element) -> bool:
    return boolean(text_of(element), field.element)


def _whole(field: Field, element: Element) -> int:
    return number(text_of(element), field.element, least=-(2**31))


def _number(field: Field, element: Element) -> float:
    given = text_of(element).strip()
    if not _NUMBER.fullmatch(given):
        raise invalid(f"The '{field.element}' element is invalid - The value '{given[:80]}' is invalid according to its datatype 'double'.")
    return float(given)


def _choice(field: Field, element: Element) -> str:
    given = text_of(element).strip()
    if given not in field.choices:
        told = "is invalid according to its datatype - The Enumeration constraint failed."
        raise invalid(f"The '{field.element}' element is invalid - The value '{given[:80]}' {told}")
    return given


def _strings(field: Field, element: Element) -> list[str]:
    for each in element:
        if name_of(each) != "String":
            raise invalid(f"The element '{field.element}' has invalid child element '{name_of(each)}'.")
    return [text_of(each) for each in element]


def _body(field: Field, element: Element) -> dict[str, str]:
    return {"type": choice(element, "BodyType", ("HTML", "Text")), "text": text_of(element)}


def read_mailbox(element: Element) -> dict[str, str]:
    """Returns the name and address of a Mailbox element."""
    address = text_of(child(element, "EmailAddress")).strip()
    return {"name": text_of(child(element, "Name")).strip() or address, "address": address}


def _mailbox(field: Field, element: Element) -> dict[str, str]:
    return read_mailbox(needed(element, "Mailbox"))


def _mailboxes(field: Field, element: Element) -> list[dict[str, str]]:
    return [read_mailbox(each) for each in element if name_of(each) == "Mailbox"]


def _attendees(field: Field, element: Element) -> list[dict[str, str]]:
    """Returns the attendees; the answers that a client writes with them are none."""
    return [read_mailbox(needed(each, "Mailbox")) for each in element if name_of(each) == "Attendee"]


def _zone(field: Field, element: Element) -> str:
    return element.get("Id") or attribute(element, "TimeZoneName")


_READ: Mapping[str, Callable[[Field, Element], Any]] = {
    fields.TEXT: _text, fields.BOOL: _boolean, fields.WHOLE: _whole, fields.NUMBER: _number, fields.CHOICE: _choice,
    fields.STRINGS: _strings, fields.BODY: _body, fields.BINARY: _text, fields.MAILBOX: _mailbox, fields.MAILBOXES: _mailboxes,
    fields.ATTENDEES: _attendees, fields.ZONE: _zone, fields.RECURRENCE: lambda field, element: recurring.read(element),
}  # fmt: skip


# --- writing ------------------------------------------------------------------------------------------------------------
def shown(field: Field, value: Any, *, is_listed: bool) -> Element | None:
    """Returns the element of a value; `is_listed`: as lists of items tell it, names without addresses. Blank ones have none."""
    if value is None or value == [] or (field.type == fields.TEXT and value == ""):
        return None
    if field.type == fields.MADE:
        return value if isinstance(value, Element) else None
    if field.type in _SHOWN:
        return _SHOWN[field.type](field.element, value)
    if field.type == fields.MAILBOX:
        return t(field.element, mailbox(value, is_listed=is_listed))
    if field.type == fields.NUMBER:
        return t(field.element, text=f"{value:g}")
    return t(field.element, text=f"{value}T00:00:00Z" if field.type == fields.DAY else value)


def mailbox(value: Mapping[str, str], *, is_listed: bool = False) -> Element:
    address = None if is_listed else t("EmailAddress", text=value["address"])
    return t("Mailbox", t("Name", text=value["name"]), address, t("RoutingType", text="SMTP"), t("MailboxType", text="Mailbox"))


def _shown_attendee(value: Mapping[str, str]) -> Element:
    at = value.get("at")
    answered = t("LastResponseTime", text=at) if at else None
    return t("Attendee", mailbox(value), t("ResponseType", text=value.get("response", "Unknown")), answered)


_SHOWN: Mapping[str, Callable[[str, Any], Element]] = {
    fields.STRINGS: lambda name, value: t(name, *(t("String", text=each) for each in value)),
    fields.BODY: lambda name, value: t(name, text=value["text"], BodyType=value["type"]),
    fields.BINARY: lambda name, value: t(name, text=base64.b64encode(value).decode()),
    fields.MAILBOXES: lambda name, value: t(name, *(mailbox(each) for each in value)),
    fields.ATTENDEES: lambda name, value: t(name, *(_shown_attendee(each) for each in value)),
    fields.ZONE: lambda name, value: t(name, Id=said(value), Name=said(value)),
    fields.RECURRENCE: lambda name, value: recurring.shown(value),
}


def day_of(text: object) -> str:
    """Returns a day that people wrote. Raises ValueError."""
    return date.fromisoformat(str(text)).isoformat()

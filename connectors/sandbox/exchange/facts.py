"""What an item is asked for: each property's value, stored or made up from others, and how a shape of them reads."""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from hashlib import shake_256
from typing import Any
from xml.etree.ElementTree import Element

from connectors.sandbox.exchange import event_facts, extended, fields, values
from connectors.sandbox.exchange.attachments import Attachments
from connectors.sandbox.exchange.fields import EVENT, FIELDS, INDEXED, MESSAGE
from connectors.sandbox.exchange.refusal import Faulted, Refused, invalid
from connectors.sandbox.exchange.soap import attribute, boolean, child, name_of, needed, t, text_of
from connectors.sandbox.exchange.store import Store
from connectors.sandbox.microsoft import item_body, message_text
from connectors.sandbox.microsoft.occurrences import Item
from connectors.sandbox.microsoft.table import Row

MOST_IN_LISTS = 255  # characters of a text that FindItem tells
_PLACES = {uri: place for place, uri in enumerate(FIELDS)}
_BEFORE_CULTURE = _PLACES["item:Culture"]  # where extended properties stand
_ANSWERED = re.compile(r"^(?:(?:re|fw|fwd|aw|wg)\s*:\s*)+", re.IGNORECASE)


@dataclass(slots=True)
class Facts:
    """One item, or one occurrence of a series, with the value of each property when it is asked for."""

    store: Store
    attachments: Attachments
    row: Row
    day: str | None = None
    item: Item = field(init=False)

    def __post_init__(self) -> None:
        self.item = Item(self.row, self.day)

    @property
    def kind(self) -> str:
        return str(self.row["kind"])

    @property
    def values(self) -> Mapping[str, Any]:
        """The stored values; what an occurrence has of its own goes before those of its series."""
        if self.day is None:
            return self.row["values"]  # type: ignore[no-any-return]
        return {**self.row["values"], **self.item.own.get("values", {})}

    @property
    def extended(self) -> Mapping[str, extended.Value]:
        return {**self.row["extended"], **self.item.own.get("extended", {})} if self.day else self.row["extended"]

    def value(self, key: str) -> Any:
        """Returns the value under a key: a URI, an entry of an indexed property, the spelling of an extended one. None: it has
        none."""
        if " " in key:
            own = self.extended.get(key)
            return event_facts.global_ids(self.item).get(key) if own is None and self.kind == EVENT else own
        if (make := _MADE.get(key)) is not None:
            return make(self) if fields.is_of(key, self.kind) else None
        if key in self.values:
            return self.values[key]
        return fields.DEFAULTS_OF[self.kind].get(key, fields.DEFAULTS.get(key))

    def id_element(self, name: str = "ItemId") -> Element:
        return t(name, Id=self.store.item_id(self.row, self.day), ChangeKey=self.store.change_key(self.row))

    # --- what is made up --------------------------------------------------------------------------------------------------
    def _folder(self) -> Element:
        folder = self.store.rows("folder")[self.row["folder"]]
        return t("ParentFolderId", Id=self.store.folder_id(folder), ChangeKey=self.store.change_key(folder))

    def _class(self) -> str:
        if self.kind == EVENT and self.day is not None:
            return (
                "IPM.Appointment.Occurrence" if self.item.type == "occurrence" else "IPM.OLE.CLASS.{00061055-0000-0000-C000-000000000046}"
            )
        return str(self.values.get("item:ItemClass") or fields.CLASSES[self.kind])

    def _names(self, uri: str) -> str:
        return "; ".join(each["name"] for each in self.values.get(uri, ()))

    def _body(self) -> dict[str, Any] | None:
        """Returns the body in the form that the arithmetic of texts knows."""
        body = self.values.get("item:Body")
        return None if body is None else {"contentType": body["type"].lower(), "content": body["text"]}

    def _text(self) -> dict[str, str] | None:
        body = self._body()
        return None if body is None else {"type": "Text", "text": item_body.as_text(body)}

    def _unique(self) -> dict[str, str] | None:
        body = self._body()
        if body is None or self.kind not in (MESSAGE, EVENT):
            return None
        own = message_text.unique({**body, "content": body["content"].replace("\r\n", "\n")})["content"]
        return {"type": "HTML" if body["contentType"] == "html" else "Text", "text": own}

    def _preview(self) -> str | None:
        body = self._body()
        return None if body is None else item_body.preview(body)

    def _size(self) -> int:
        return int(len(json.dumps(self.row["values"])) + sum(each["size"] for each in self.attachments.of(self.row["n"])))

    def _conversation(self) -> Element | None:
        if self.kind not in (MESSAGE, EVENT):
            return None
        word = self.values.get("conversation") or self.values.get("message:InternetMessageId") or self.row.get("uid") or self.row["n"]
        digest = shake_256(f"{self.store.key} conversation {word}".encode()).digest(48)
        return t("ConversationId", Id=f"AAQkAG{base64.b64encode(digest).decode()}")

    def _headers(self) -> Element | None:
        given = self.values.get("headers") or {}
        named = [t("InternetMessageHeader", text=text, HeaderName=name) for name, text in given.items()]
        return t("InternetMessageHeaders", *named) if named else None

    def _mime(self) -> bytes | None:
        if self.kind != MESSAGE:
            return None
        own = self.values
        as_mailed = {
            "internetMessageId": own.get("message:InternetMessageId", ""),
            "subject": self.value("item:Subject") or "",
            "sentDateTime": self.value("item:DateTimeSent"),
            "body": self._body() or {"contentType": "text", "content": ""},
            "from": _mailed(own.get("message:From")),
            "toRecipients": [_mailed(each) for each in own.get("message:ToRecipients", ())],
            "ccRecipients": [_mailed(each) for each in own.get("message:CcRecipients", ())],
            "internetMessageHeaders": [{"name": name, "value": text} for name, text in (own.get("headers") or {}).items()],
        }
        return message_text.mime(as_mailed, self.attachments.of(self.row["n"]))

    def _rights(self) -> Element:
        names = ("CreateAssociated", "CreateContents", "CreateHierarchy", "Delete", "Modify", "Read", "ViewPrivateItems")
        return t("EffectiveRights", *(t(name, text=name not in names[:3]) for name in names))

    def _modified(self) -> str:
        return str(self.item.own.get("modified", self.row["modified"]))


def _mailed(person: Mapping[str, str] | None) -> dict[str, Any] | None:
    return None if person is None else {"emailAddress": dict(person)}


_MADE: dict[str, Callable[[Facts], Any]] = {
    "item:ItemId": Facts.id_element,
    "item:ParentFolderId": Facts._folder,
    "item:ItemClass": Facts._class,
    "item:MimeContent": Facts._mime,
    "item:Attachments": lambda facts: facts.attachments.shown(facts.row),
    "item:DateTimeReceived": lambda facts: facts.values.get("item:DateTimeReceived", facts.row["created"]),
    "item:DateTimeSent": lambda facts: facts.values.get("item:DateTimeSent", facts.row["created"]),
    "item:Size": Facts._size,
    "item:IsDraft": lambda facts: facts.values.get("item:IsDraft", False),
    "item:IsSubmitted": lambda facts: False,
    "item:IsFromMe": lambda facts: False,
    "item:IsResend": lambda facts: False,
    "item:IsUnmodified": lambda facts: facts.row["version"] == 1,
    "item:IsAssociated": lambda facts: False,
    "item:InternetMessageHeaders": Facts._headers,
    "item:DateTimeCreated": lambda facts: facts.row["created"],
    "item:LastModifiedTime": Facts._modified,
    "item:LastModifiedName": lambda facts: facts.store.person(facts.row["mailbox"])["name"],
    "item:DisplayTo": lambda facts: facts._names("message:ToRecipients") or facts._names("calendar:RequiredAttendees"),
    "item:DisplayCc": lambda facts: facts._names("message:CcRecipients") or facts._names("calendar:OptionalAttendees"),
    "item:HasAttachments": lambda facts: any(not each["isInline"] for each in facts.attachments.of(facts.row["n"])),
    "item:EffectiveRights": Facts._rights,
    "item:ConversationId": Facts._conversation,
    "item:UniqueBody": Facts._unique,
    "item:TextBody": Facts._text,
    "item:Preview": Facts._preview,
    "contacts:HasPicture": lambda facts: False,
    "task:IsComplete": lambda facts: facts.value("task:Status") == "Completed",
    "task:IsRecurring": lambda facts: facts.values.get("task:Recurrence") is not None,
    "task:IsTeamTask": lambda facts: False,
    "task:ChangeCount": lambda facts: facts.row["version"],
    "task:Owner": lambda facts: facts.store.person(facts.row["mailbox"])["name"],
    "message:ConversationTopic": lambda facts: _ANSWERED.sub("", facts.value("item:Subject") or ""),
    "message:ReceivedBy": lambda facts: facts.store.person(facts.row["mailbox"]),
    **{uri: lambda facts, make=make: make(facts.store, facts.item) for uri, make in event_facts.MADE.items()},  # type: ignore[misc]
}


# --- which properties a call names --------------------------------------------------------------------------------------------
def read_path(element: Element) -> str:
    """Returns the key of the property that a path names. Raises Faulted for one that does not exist, Refused for one that is
    incomplete."""
    name = name_of(element)
    if name == "ExtendedFieldURI":
        return extended.read_uri(element)
    uri = attribute(element, "FieldURI") if name in ("FieldURI", "IndexedFieldURI") else ""
    if name == "IndexedFieldURI":
        if uri not in INDEXED:
            raise _no_uri(uri)
        index = attribute(element, "FieldIndex")
        if index not in INDEXED[uri][1]:
            raise Refused("ErrorInvalidPropertyRequest", "Property is not valid for this object type.", field=uri)
        return fields.entry_key(uri, index)
    if name != "FieldURI":
        raise invalid(f"The element has invalid child element '{name[:80]}'. List of possible elements expected: 'Path'.")
    if uri.startswith("folder:"):
        return uri
    if uri not in FIELDS or uri in INDEXED:
        raise _no_uri(uri)
    return uri


def _no_uri(uri: str) -> Faulted:
    return invalid(f"The 'FieldURI' attribute is invalid - The value '{uri[:80]}' is invalid according to its datatype.")


@dataclass(frozen=True, slots=True)
class Shape:
    """What an answer tells of items: the base, keys beside it, whether it is a list, and the wanted type of bodies."""

    base: str
    keys: tuple[str, ...]
    is_listed: bool
    truncates: bool
    body_type: str
    has_mime: bool

    def keys_for(self, kind: str) -> list[str]:
        """Returns the keys to tell of an item, in the order of the schema."""
        own: set[str] = set(self.keys)
        if self.base == "Default":
            own |= set(fields.DEFAULT[kind])
        elif self.base == "AllProperties":
            own |= {uri for uri in FIELDS if uri not in INDEXED and uri != "item:MimeContent"}
            own |= {fields.entry_key(uri, index) for uri, (_, indices) in INDEXED.items() for index in indices}
        if self.has_mime:
            own.add("item:MimeContent")
        return sorted((key for key in own if self._tells(key, kind)), key=_place)

    def _tells(self, key: str, kind: str) -> bool:
        uri = key.partition("/")[0]
        if " " in key:
            return True
        described = FIELDS[uri]
        return fields.is_of(uri, kind) and not (self.is_listed and (described.is_long or described.is_refused))


def _place(key: str) -> tuple[float, str]:
    return (_BEFORE_CULTURE - 0.5 if " " in key else _PLACES[key.partition("/")[0]]), key


def read_shape(operation: Element, *, is_listed: bool = False, truncates: bool = False, refuses: bool = False) -> Shape:
    """Returns the shape of items that a call asks for. Raises Faulted; with `refuses` Refused for a property that no list tells."""
    element = needed(operation, "ItemShape")
    base = text_of(needed(element, "BaseShape")).strip()
    if base not in ("IdOnly", "Default", "AllProperties"):
        raise invalid(f"The 'BaseShape' element is invalid - The value '{base[:40]}' is invalid according to its datatype.")
    more = child(element, "AdditionalProperties")
    keys = tuple(read_path(each) for each in more) if more is not None else ()
    for key in keys if refuses else ():
        if " " not in key and not key.startswith("folder:") and FIELDS[key.partition("/")[0]].is_refused:
            raise Refused("ErrorInvalidPropertyRequest", "Property is not valid for this object type.", field=key)
    body_type = text_of(child(element, "BodyType")).strip() or "Best"
    mime = boolean(text_of(child(element, "IncludeMimeContent")) or "false", "IncludeMimeContent")
    return Shape(base, tuple(key for key in keys if not key.startswith("folder:")), is_listed, truncates, body_type, mime)


# --- how an item reads ----------------------------------------------------------------------------------------------------------
def rendered(facts: Facts, shape: Shape) -> Element:
    """Returns the element of an item in a shape."""
    element = t(facts.kind, facts.id_element())
    containers: dict[str, Element] = {}
    for key in shape.keys_for(facts.kind):
        if key == "item:ItemId" or (value := facts.value(key)) is None:
            continue
        if shape.truncates and isinstance(value, str) and (" " in key or FIELDS[key.partition("/")[0]].type == fields.TEXT):
            value = value[:MOST_IN_LISTS]
        if " " in key:
            element.append(extended.shown(key, value))
        elif "/" in key:
            _add_entry(element, containers, key, value)
        else:
            shown = values.shown(FIELDS[key], _typed(value, key, shape), is_listed=shape.is_listed)
            if shown is not None:
                element.append(shown)
    return element


def _typed(value: Any, key: str, shape: Shape) -> Any:
    """Returns a body in the type that is wanted."""
    if key not in ("item:Body", "item:UniqueBody") or shape.body_type not in ("HTML", "Text") or value["type"] == shape.body_type:
        return value
    content = {"contentType": value["type"].lower(), "content": value["text"]}
    return {"type": shape.body_type, "text": item_body.as_html(content) if shape.body_type == "HTML" else item_body.as_text(content)}


def _add_entry(element: Element, containers: dict[str, Element], key: str, value: str) -> None:
    """Adds an entry to the list of its kind: an e-mail address, a phone, a part of a postal address."""
    uri, _, index = key.partition("/")
    name = INDEXED[uri][0]
    if name not in containers:
        containers[name] = t(name)
        element.append(containers[name])
    part = uri.split(":")[2] if uri.count(":") == 2 else ""
    if not part:
        more = {"Name": value, "RoutingType": "SMTP"} if name == "EmailAddresses" else {}
        containers[name].append(t("Entry", text=value, Key=index, **more))
        return
    entry = next((each for each in containers[name] if each.get("Key") == index), None)
    if entry is None:
        entry = t("Entry", Key=index)
        containers[name].append(entry)
    entry.append(t(part, text=value))

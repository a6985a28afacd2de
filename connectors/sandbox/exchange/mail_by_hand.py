"""Mail as people see it: the control port's records of the type `message`.

A row is flat: mailbox, folder, subject, from, to, cc, bcc (`Bo Li <bo@x.example>` each), body, bodyType, categories,
internetMessageId, conversation, receivedDateTime, sentDateTime, isRead, isDraft, importance, headers, attachments. With `deliver` it
is sent now, and lies in the Inbox of every recipient here too.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Mapping
from datetime import datetime
from email.utils import getaddresses
from typing import Any

from connectors.sandbox.exchange.attachments import Attachments
from connectors.sandbox.exchange.contacts_by_hand import SHOWN_ONLY, properties, strings, text_of
from connectors.sandbox.exchange.fields import IMPORTANCES, MESSAGE
from connectors.sandbox.exchange.items import Items
from connectors.sandbox.exchange.store import INBOX, SENT, Store
from connectors.sandbox.exchange.values import stamp
from connectors.sandbox.exchange.writing import Given, merged
from connectors.sandbox.microsoft.table import Row

_PEOPLE = {"to": "message:ToRecipients", "cc": "message:CcRecipients", "bcc": "message:BccRecipients"}
_TIMES = {"receivedDateTime": "item:DateTimeReceived", "sentDateTime": "item:DateTimeSent"}
FIELDS = ("subject", "from", *_PEOPLE, "body", "bodyType", "categories", "internetMessageId", "conversation", *_TIMES, "isRead", "isDraft",
          "importance", "headers", "attachments", "deliver", "extendedProperties")  # fmt: skip
_FILE = ("name", "contentType", "content", "isInline", "contentId")
_SOMEBODY = {"name": "Somebody", "address": "somebody@elsewhere.example"}


class MailByHand:
    """Reads and writes messages as rows. Raises ValueError, with a sentence, and Refused for what the store refuses too."""

    def __init__(self, store: Store, attachments: Attachments, items: Items) -> None:
        self._store, self._attachments, self._items = store, attachments, items

    def shown(self, row: Row) -> dict[str, Any]:
        own = row["values"]
        body = own.get("item:Body", {"type": "Text", "text": ""})
        return {
            "subject": own.get("item:Subject", ""),
            "from": _written(own.get("message:From")),
            **{name: [_written(each) for each in own.get(key, ())] for name, key in _PEOPLE.items()},
            "body": body["text"],
            "bodyType": body["type"].lower(),
            "categories": own.get("item:Categories", []),
            "internetMessageId": own.get("message:InternetMessageId", ""),
            "conversation": own.get("conversation", ""),
            **{name: own.get(key, row["created"]) for name, key in _TIMES.items()},
            "isRead": own.get("message:IsRead", False),
            "isDraft": own.get("item:IsDraft", False),
            "importance": own.get("item:Importance", "Normal").lower(),
            "headers": own.get("headers", {}),
            "attachments": [{name: each[name] for name in _FILE} for each in self._attachments.of(row["n"])],
        }

    def create(self, box: Row, given: Mapping[str, Any]) -> Row:
        own = _read(given)
        if _is_yes(given.get("deliver", False)):
            return self._items.add(self._items.home(box["n"], SENT), MESSAGE, self._items.send(box, own), "UTC")
        who = self._store.person(box["n"])
        sender = own.values.get("message:From") or _SOMEBODY
        is_own = sender["address"].casefold() == who["address"].casefold()
        number = self._store.tables["item"].next_number
        message_id = own.values.get("message:InternetMessageId") or f"<{number:08x}@{sender['address'].partition('@')[2]}>"
        at = own.values.get("item:DateTimeReceived") or own.values.get("item:DateTimeSent") or self._store.stamp()
        made_up = {"message:IsRead": is_own, "message:ToRecipients": [] if is_own else [who], "conversation": message_id,
                   **dict.fromkeys(_TIMES.values(), at)}  # fmt: skip
        said = {key: value for key, value in own.values.items() if value is not None}
        sent = {"message:From": sender, "message:Sender": sender, "message:InternetMessageId": message_id}
        folder = self._items.home(box["n"], SENT if is_own else INBOX)
        return self._items.add(folder, MESSAGE, Given({**made_up, **said, **sent}, own.extended, own.attachments), "UTC")

    def update(self, row: Row, given: Mapping[str, Any]) -> Row:
        """Changes a message as nobody but its mailbox's owner would see: also what no call may change."""
        own = _read(given, row["values"].get("item:Body"))
        if "attachments" in given:
            for each in self._attachments.of(row["n"]):
                self._attachments.remove(each)
            for file in own.attachments:
                self._attachments.add(row, file)
        only_read = set(own.values) == {"message:IsRead"}
        extended = merged(row["extended"], own.extended)
        return self._store.change(row, only_read=only_read, values=merged(row["values"], own.values), extended=extended)


def _read(given: Mapping[str, Any], present: Mapping[str, str] | None = None) -> Given:
    """Returns what a row sets; what cannot be written is left out, so that a row that was read can be sent back."""
    if unknown := [name for name in given if name not in (*FIELDS, *SHOWN_ONLY)]:
        raise ValueError(f"a message has no {unknown[0][:80]!r}; it has {', '.join(FIELDS)}")
    own = Given(extended=properties(given.get("extendedProperties", {})))
    for name, key in (("subject", "item:Subject"), ("internetMessageId", "message:InternetMessageId"), ("conversation", "conversation")):
        if name in given:
            own.values[key] = text_of(name, given[name])
    for name, key in _PEOPLE.items():
        if name in given:
            own.values[key] = _people(name, given[name])
    if given.get("from"):
        own.values["message:From"] = _people("from", given["from"])[0]
    for name, key in _TIMES.items():
        if given.get(name):
            own.values[key] = _instant(name, given[name])
    for name, key in (("isRead", "message:IsRead"), ("isDraft", "item:IsDraft")):
        if name in given:
            own.values[key] = _is_yes(given[name])
    if "categories" in given:
        own.values["item:Categories"] = strings("categories", given["categories"])
    if "importance" in given:
        if str(given["importance"]).title() not in IMPORTANCES:
            raise ValueError("importance is low, normal or high")
        own.values["item:Importance"] = str(given["importance"]).title()
    own.values.update(_body(given, present))
    if "headers" in given:
        own.values["headers"] = _headers(given["headers"])
    files = given.get("attachments", [])
    if not isinstance(files, list):
        raise ValueError("attachments must be a list")
    own.attachments = [_file(each) for each in files]
    return own


def _body(given: Mapping[str, Any], present: Mapping[str, str] | None) -> dict[str, Any]:
    if "body" not in given and "bodyType" not in given:
        return {}
    before = present or {"type": "Text", "text": ""}
    type_ = {"html": "HTML", "text": "Text"}.get(str(given.get("bodyType", before["type"])).lower())
    if type_ is None:
        raise ValueError("bodyType is html or text")
    return {"item:Body": {"type": type_, "text": text_of("body", given.get("body", before["text"])) or ""}}


def _people(name: str, value: object) -> list[dict[str, str]]:
    given = [value] if isinstance(value, str) else value
    if not isinstance(given, list) or not all(isinstance(each, str) for each in given):
        raise ValueError(f"{name} holds addresses like 'bo@x.example' or 'Bo Li <bo@x.example>'")
    found = [{"name": shown or address, "address": address} for shown, address in getaddresses([each for each in given if each.strip()])]
    if any("@" not in each["address"] for each in found):
        raise ValueError(f"{name} holds addresses like 'bo@x.example' or 'Bo Li <bo@x.example>'")
    return found


def _written(person: Mapping[str, str] | None) -> str:
    if person is None:
        return ""
    name, address = person["name"], person["address"]
    if name in ("", address):
        return address
    return f'"{name}" <{address}>' if set(name) & set(',;:<>@()[]."') else f"{name} <{address}>"


def _instant(name: str, text: object) -> str:
    try:
        at = datetime.fromisoformat(str(text))
        return stamp(at if at.tzinfo else datetime.fromisoformat(f"{at.isoformat()}+00:00"))
    except (ValueError, OverflowError):
        raise ValueError(f"{name} is an instant like 2026-12-01T10:00:00Z") from None


def _is_yes(value: object) -> bool:
    word = str(value).strip().lower()
    if word not in ("true", "yes", "1", "false", "no", "0", ""):
        raise ValueError("isRead, isDraft and deliver are true or false")
    return word in ("true", "yes", "1")


def _headers(given: object) -> dict[str, str]:
    if not isinstance(given, dict) or not all(isinstance(text, str) for text in given.values()):
        raise ValueError("headers must be an object of texts by name")
    return given


def _file(given: object) -> dict[str, Any]:
    if not isinstance(given, dict) or not isinstance(given.get("name"), str) or not isinstance(given.get("content"), str):
        raise ValueError("an attachment has a name, a content in base64, a contentType and isInline")
    if unknown := [name for name in given if name not in _FILE]:
        raise ValueError(f"an attachment has no {unknown[0][:40]!r}")
    try:
        base64.b64decode(given["content"], validate=True)
    except (binascii.Error, ValueError):
        raise ValueError("the content of an attachment must be base64") from None
    return {"name": given["name"], "content": given["content"], "isInline": given.get("isInline", False) is True,
            "contentType": str(given.get("contentType") or "application/octet-stream"), "contentId": given.get("contentId")}  # fmt: skip

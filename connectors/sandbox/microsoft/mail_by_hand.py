"""Mail as people see it: the control port's records of the type `message`, and many of them in one call.

A row is flat: mailbox, folder, subject, from, to, cc, bcc (`Bo Li <bo@x.example>` each), body, bodyType, categories,
internetMessageId, conversation, receivedDateTime, sentDateTime, isRead, isDraft, importance, headers, attachments. Pages give
addresses in one text with commas, and `deliver` as a word.
"""

from __future__ import annotations

from collections.abc import Mapping
from email.utils import getaddresses, parseaddr
from typing import Any

from connectors.sandbox.microsoft import values as read
from connectors.sandbox.microsoft.mail_store import INBOX, SENT, MailStore
from connectors.sandbox.microsoft.message_schema import DEFAULTS, MessageBody, checked_base64, read_value
from connectors.sandbox.microsoft.sending import Sending
from connectors.sandbox.microsoft.store import Store
from connectors.sandbox.microsoft.table import Row
from connectors.sandbox.wire import read_id

_TO = {"to": "toRecipients", "cc": "ccRecipients", "bcc": "bccRecipients"}
_PLAIN = ("subject", "categories", "importance", "isRead", "internetMessageId", "inferenceClassification")
_TIMES = ("receivedDateTime", "sentDateTime")
FIELDS = ("mailbox", "folder", "from", *_TO, "body", "bodyType", "conversation", "isDraft", "headers", "attachments", *_PLAIN, *_TIMES)
_SHOWN_ONLY = ("id", "immutableId", "lastModifiedDateTime")


class MailByHand:
    """Reads and writes messages as rows. Raises ValueError, with a sentence, and Refused for what Outlook refuses too."""

    def __init__(self, store: Store, mail: MailStore, sending: Sending) -> None:
        self._store, self._mail, self._sending = store, mail, sending

    def find(self, text: str) -> int | None:
        number = self._mail.messages.number_of(text) or read_id(text)
        return number if number in self._mail.messages.rows else None

    def shown(self, row: Row) -> dict[str, Any]:
        values = {**DEFAULTS, **row["values"]}
        return {
            "id": self._mail.messages.id_of(row, is_immutable=False),
            "immutableId": self._mail.messages.id_of(row, is_immutable=True),
            "mailbox": self._sending.person(self._store.users[row["mailbox"]])["emailAddress"]["address"],
            "folder": self._mail.folders[row["folder"]]["displayName"],
            "subject": values["subject"],
            "from": _written(values["from"]),
            **{name: [_written(each) for each in values[own]] for name, own in _TO.items()},
            "body": values["body"]["content"],
            "bodyType": values["body"]["contentType"],
            **{name: values[name] for name in (*_PLAIN[1:], *_TIMES, "conversation", "isDraft")},
            "lastModifiedDateTime": row["modified"],
            "headers": {each["name"]: each["value"] for each in values["internetMessageHeaders"]},
            "attachments": [{name: each[name] for name in ("name", "contentType", "content", "isInline")}
                            for each in self._mail.attachments(row)],
        }  # fmt: skip

    # --- writing ------------------------------------------------------------------------------------------------------------
    def create(self, given: Mapping[str, Any]) -> Row:
        """Puts a message into a mailbox as it was received, or sent from there; with `deliver` it is sent now, and lies in the
        Inbox of every recipient in the tenant too."""
        user = self._store.user(str(given.get("mailbox", "")))
        if user is None:
            raise ValueError("mailbox must name a user by address or id")
        is_delivered = _is_yes(given.get("deliver", False))
        body = self._body({name: value for name, value in given.items() if name not in ("mailbox", "deliver", "folder")})
        values = self._completed(user, body.values, is_sent=is_delivered)
        is_own = is_delivered or values["from"]["emailAddress"]["address"] == self._sending.person(user)["emailAddress"]["address"]
        folder = self.folder(user, given["folder"]) if given.get("folder") else self._mail.special(user["n"], SENT if is_own else INBOX)
        values.setdefault("isRead", is_own)
        row = self._mail.add(folder, values, attachments=body.attachments)
        if is_delivered:
            self._sending.deliver(user, values, body.attachments)
        return row

    def create_many(self, given: object) -> int:
        """Creates many messages. Returns how many; raises ValueError, and says at which, for one that cannot be."""
        if not isinstance(given, list) or not all(isinstance(each, dict) for each in given):
            raise ValueError("messages must be a list of objects")
        for place, each in enumerate(given):
            try:
                self.create(each)
            except ValueError as error:
                raise ValueError(f"message {place}: {error}") from None
        return len(given)

    def _completed(self, user: Row, given: dict[str, Any], *, is_sent: bool) -> dict[str, Any]:
        who = self._sending.person(user)
        sender = who if is_sent else given.get("from") or {"emailAddress": {"name": "Somebody", "address": "somebody@elsewhere.example"}}
        message_id = given.get("internetMessageId") or self._sending.new_message_id(user)
        at = given.get("receivedDateTime") or given.get("sentDateTime") or self._store.stamp()
        own = {"conversation": message_id, "receivedDateTime": at, "sentDateTime": at, "toRecipients": [] if is_sent else [who]}
        return {**own, **given, "from": sender, "sender": sender, "internetMessageId": message_id}

    def update(self, row: Row, given: Mapping[str, Any]) -> Row:
        """Changes a message as nobody but its mailbox's owner would see: also what Graph lets nobody change."""
        user = self._store.users[row["mailbox"]]
        if self._store.user(str(given.get("mailbox", user["id"]))) != user:
            raise ValueError("a message stays in its mailbox")
        body = self._body({name: value for name, value in given.items() if name not in ("mailbox", "folder")}, row["values"].get("body"))
        if "attachments" in given:
            self._mail.set_attachments(row, body.attachments)
        folder = self.folder(user, given["folder"])["n"] if "folder" in given else row["folder"]
        return self._mail.messages.change(row, values={**row["values"], **body.values}, folder=folder)

    def delete(self, row: Row) -> None:
        self._mail.delete(row)

    def folder(self, user: Row, name: object) -> Row:
        """Returns the folder of a mailbox by its name or id, the oldest of several that are not deleted. Raises ValueError."""
        folders = self._mail.own_folders(user["n"])
        fits = sorted((each for each in folders if name in (each["displayName"], self._mail.folder_id(each))), key=self._mail.is_in_bin)
        if not fits:
            raise ValueError(f"the mailbox has no folder {str(name)[:80]!r}; it has {', '.join(each['displayName'] for each in folders)}")
        return fits[0]

    def _body(self, given: Mapping[str, Any], present: Mapping[str, str] | None = None) -> MessageBody:
        """Returns what a row sets; what cannot be written is left out, so that a row that was read can be sent back."""
        if unknown := [name for name in given if name not in (*FIELDS, *_SHOWN_ONLY)]:
            raise ValueError(f"a message has no {unknown[0][:80]!r}; it has {', '.join(FIELDS)}")
        values = {name: read_value(name, given[name]) for name in _PLAIN if name in given}
        values.update({own: _recipients(name, given[name]) for name, own in _TO.items() if name in given})
        values.update({name: read.instant(name, given[name]) for name in _TIMES if name in given})
        if "from" in given:
            values["from"] = values["sender"] = _recipient("from", given["from"])
        if "body" in given or "bodyType" in given:
            own = present or {"content": "", "contentType": "text"}
            told = {"content": given.get("body", own["content"]), "contentType": given.get("bodyType", own["contentType"])}
            values["body"] = read.item_body("body", told, default="text")
        if "conversation" in given:
            values["conversation"] = str(given["conversation"])
        if "isDraft" in given:
            values["isDraft"] = read.boolean("isDraft", given["isDraft"])
        if "headers" in given:
            values["internetMessageHeaders"] = _headers(given["headers"])
        return MessageBody(values, attachments=[_attachment(each) for each in _list("attachments", given.get("attachments", []))])


def _list(name: str, value: object) -> list[Any]:
    if not isinstance(value, list):
        raise ValueError(f"{name} must be a list")
    return value


def _is_yes(value: object) -> bool:
    word = str(value).strip().lower()
    if word not in ("true", "yes", "1", "false", "no", "0", ""):
        raise ValueError("deliver must be true or false")
    return word in ("true", "yes", "1")


def _recipients(name: str, value: object) -> list[dict[str, Any]]:
    if isinstance(value, str):
        return [_called(name, *pair) for pair in getaddresses([value])] if value.strip() else []
    return [_recipient(name, each) for each in _list(name, value)]


def _recipient(name: str, text: object) -> dict[str, Any]:
    return _called(name, *(parseaddr(text) if isinstance(text, str) else ("", "")))


def _called(name: str, shown: str, address: str) -> dict[str, Any]:
    if "@" not in address:
        raise ValueError(f"{name} holds addresses like 'bo@x.example' or 'Bo Li <bo@x.example>'")
    return {"emailAddress": {"name": shown or address, "address": address}}


def _written(recipient: Mapping[str, Any] | None) -> str:
    if recipient is None:
        return ""
    name, address = recipient["emailAddress"].get("name") or "", recipient["emailAddress"].get("address") or ""
    if name in ("", address):
        return address
    return f'"{name}" <{address}>' if set(name) & set(',;:<>@()[]."') else f"{name} <{address}>"


def _headers(given: object) -> list[dict[str, str]]:
    if not isinstance(given, dict) or not all(isinstance(text, str) for text in given.values()):
        raise ValueError("headers must be an object of texts by name")
    return [{"name": name, "value": text} for name, text in given.items()]


def _attachment(given: object) -> dict[str, Any]:
    if not isinstance(given, dict) or not isinstance(given.get("name"), str) or not isinstance(given.get("content"), str):
        raise ValueError("an attachment has a name, a content in base64, a contentType and isInline")
    if unknown := [name for name in given if name not in ("name", "content", "contentType", "isInline", "contentId")]:
        raise ValueError(f"an attachment has no {unknown[0][:40]!r}")
    return {"name": given["name"], "content": checked_base64(given["content"]), "isInline": given.get("isInline", False) is True,
            "contentType": str(given.get("contentType") or "application/octet-stream"), "contentId": given.get("contentId")}  # fmt: skip

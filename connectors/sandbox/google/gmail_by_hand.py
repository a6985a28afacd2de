"""What people do with their mail: the messages of the control port and of the browse pages.

A message's row is flat: `labels` are names (INBOX and its like for those of the system; others are made when they are new), `from`,
`to`, `cc` and `bcc` are addresses, `attachments` have `name`, `contentType` and `content` (base64).
"""

from __future__ import annotations

import base64
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from connectors.sandbox.google import mime
from connectors.sandbox.google.gmail_post import RECEIVED, Post
from connectors.sandbox.google.gmail_schema import SENT, SYSTEM_LABELS
from connectors.sandbox.google.gmail_store import MailStore, label_id
from connectors.sandbox.google.gmail_tables import thread_of
from connectors.sandbox.google.refusal import Refused
from connectors.sandbox.google.store import show_instant
from connectors.sandbox.google.table import Row
from connectors.sandbox.wire import read_id

OBJECT = "message"
ADDRESSED = ("from", "to", "cc", "bcc")
LINES = ("subject", "messageId", "inReplyTo", "references")
FIELDS = ("mailbox", "labels", *ADDRESSED, *LINES, "body", "bodyType", "headers", "attachments", "thread", "receivedAt", "deliver")
SHOWN_ONLY = ("id", "gmailId")
YES = ("true", "yes", "1", "on")
_HEADER = re.compile(r"[A-Za-z0-9-]+")
_TYPE = re.compile(r"(?!multipart/)[a-z0-9.+-]+/[a-z0-9.+-]+", re.IGNORECASE)
_OWN_HEADERS = ("from", "to", "cc", "bcc", "subject", "date", "message-id", "in-reply-to", "references", "content-type", "mime-version")


@dataclass(slots=True)
class _Given:
    """A message that somebody asks for: whose it is, its values, and what is not part of the mail itself."""

    mailbox: str
    values: Row
    labels: list[str] | None
    thread: int | None
    date: int
    is_delivered: bool


class MailByHand:
    """Messages as tools see them, and what people do with them. There is one type of object."""

    def __init__(self, mail: MailStore, post: Post) -> None:
        self._mail, self._post = mail, post

    def find_id(self, object_type: str, text: str) -> int | None:
        """Returns the number of a message: by number, or by the id that Gmail gives it."""
        number = mime.number_of(text) if len(text) == 16 else read_id(text)
        return number if number in self._mail.messages.rows else None

    def count(self, object_type: str) -> int:
        return len(self._mail.messages.rows)

    def all(self, object_type: str) -> list[dict[str, Any]]:
        return [self._shown(row) for row in self._mail.messages.rows.values()]

    def get(self, object_type: str, id_: int) -> dict[str, Any] | None:
        row = self._mail.messages.rows.get(id_)
        return None if row is None else self._shown(row)

    def create(self, object_type: str, values: Mapping[str, Any]) -> dict[str, Any]:
        """Puts a message where it would be after it was received or sent; with `deliver` it is sent to all recipients here."""
        return self._shown(self._put(self._read(values)))

    def create_many(self, given: Mapping[str, Any]) -> dict[str, Any]:
        """Makes all `messages`, or none when one of them cannot be. Returns how many they were. Raises ValueError."""
        messages = given.get("messages")
        if set(given) != {"messages"} or not isinstance(messages, list) or not all(isinstance(each, dict) for each in messages):
            raise ValueError("messages must be a list of objects")
        for each in [self._read(values) for values in messages]:
            self._put(each)
        return {"created": len(messages)}

    def update(self, object_type: str, id_: int, values: Mapping[str, Any]) -> dict[str, Any]:
        """Changes the labels of a message. Raises ValueError for another change: a mail stays as it came."""
        row = self._existing(id_)
        shown = self._shown(row)
        for name, value in values.items():
            if name != "labels" and (name not in shown or _words(value) != _words(shown[name])):
                raise ValueError(f"{name[:80]} stays as it came: only the labels of a message change")
        if "labels" not in values:
            return shown
        wanted = self._label_ids(row["mailbox"], _names(values["labels"]))
        gone = [id_ for id_ in row["labels"] if id_ not in wanted]
        return self._shown(self._mail.relabel(row, add=wanted, remove=gone))

    def delete(self, object_type: str, id_: int) -> None:
        """Deletes a message for good; who moves it to the trash gives it the label TRASH."""
        self._mail.delete(self._existing(id_))

    def expire_history(self, given: Mapping[str, Any]) -> dict[str, Any]:
        """Makes the cursors of a `mailbox` that were given out too old. Returns the new one. Raises ValueError."""
        mailbox = self._mailbox(given)
        self._mail.expire_history(mailbox)
        return {"historyId": str(self._mail.history_id(mailbox))}

    def _existing(self, id_: int) -> Row:
        row = self._mail.messages.rows.get(id_)
        if row is None:
            raise ValueError(f"there is no {OBJECT} {id_}")
        return row

    # --- creating -------------------------------------------------------------------------------------------------------
    def _put(self, given: _Given) -> Row:
        mail, values = self._mail, given.values
        if not values["messageId"]:
            values["messageId"] = mail.new_message_id(values["from"])
        labels = None if given.labels is None else self._label_ids(given.mailbox, given.labels)
        if given.is_delivered:
            others = {key: value for key, value in values.items() if key != "bcc"}
            sent = self._post.deliver(given.mailbox, values, others, thread=given.thread, date=given.date)
            return mail.relabel(sent, add=labels or ())
        if labels is None:
            labels = [SENT] if mime.addresses(values["from"]) == [given.mailbox] else list(RECEIVED)
        return mail.add(given.mailbox, values, labels=labels, date=given.date, thread=given.thread)

    def _read(self, values: Mapping[str, Any]) -> _Given:
        """Returns what a description asks for. Raises ValueError."""
        if unknown := [name for name in values if name not in FIELDS]:
            raise ValueError(f"there is no {unknown[0][:80]!r}; take {', '.join(FIELDS)}")
        mailbox, is_delivered = self._mailbox(values), _is_yes(values.get("deliver", False))
        read: Row = {name: _line(name, values.get(name)) for name in LINES}
        read |= {name: _line(name, _joined(name, values.get(name))) for name in ADDRESSED}
        read["from"] = read["from"] or mailbox
        if is_delivered and mime.addresses(read["from"]) != [mailbox]:
            raise ValueError("from must be the address of the mailbox that sends")
        if is_delivered and not any(mime.addresses(read[name]) for name in ("to", "cc", "bcc")):
            raise ValueError("to must be the address of somebody")
        read["to"] = read["to"] or ("" if mime.addresses(read["from"]) == [mailbox] else mailbox)
        if read["messageId"]:
            read["messageId"] = f"<{read['messageId'].strip('<>')}>"
        read["body"] = _text("body", values.get("body"))
        read["bodyType"] = _body_type(values.get("bodyType") or "text")
        read |= {"headers": _headers(values.get("headers") or {}), "attachments": _attachments(values.get("attachments") or [])}
        # What is not there takes no room: there may be many messages.
        read = {name: value for name, value in read.items() if value or name in ("subject", "from", "to", "messageId")}
        labels = _names(values["labels"]) if values.get("labels") is not None else None
        thread = self._thread(mailbox, values["thread"]) if values.get("thread") else None
        return _Given(mailbox, read, labels, thread, self._date(values.get("receivedAt")), is_delivered)

    def _mailbox(self, values: Mapping[str, Any]) -> str:
        mailbox = str(values.get("mailbox", "")).lower()
        if self._mail.store.user(mailbox) is None:
            raise ValueError("mailbox must be the address of a user")
        return mailbox

    def _thread(self, mailbox: str, id_: Any) -> int:
        try:
            return thread_of(self._mail.thread(mailbox, str(id_))[0])
        except Refused:
            raise ValueError("thread must be the id of a thread in this mailbox") from None

    def _date(self, value: Any) -> int:
        if value is None or value == "":
            return int(self._mail.store.now().timestamp()) * 1000
        try:
            at = datetime.fromisoformat(str(value))
            return int(at.timestamp() * 1000) if at.tzinfo else int(at.replace(tzinfo=UTC).timestamp() * 1000)
        except (ValueError, OverflowError):
            raise ValueError("receivedAt must be an instant such as 2026-11-25T09:00:00Z") from None

    def _label_ids(self, mailbox: str, names: list[str]) -> list[str]:
        """Returns the ids of labels; one that is not there yet is made, as by typing its name. Raises ValueError."""
        return [name if name in SYSTEM_LABELS else self._label_of(mailbox, name) for name in dict.fromkeys(names)]

    def _label_of(self, mailbox: str, name: str) -> str:
        try:
            return label_id(self._mail.label_named(mailbox, name) or self._mail.add_label(mailbox, name))
        except Refused as refused:
            raise ValueError(refused.message) from None

    # --- showing --------------------------------------------------------------------------------------------------------
    def _shown(self, row: Row) -> dict[str, Any]:
        labels = self._mail.labels.rows
        names = [id_ if id_ in SYSTEM_LABELS else labels[int(id_.removeprefix("Label_"))]["title"] for id_ in row["labels"]]
        told: dict[str, Any] = {"id": row["id"], "gmailId": mime.id_of(row["id"]), "mailbox": row["mailbox"], "labels": names}
        told |= {"subject": row["subject"], "from": row["from"], **{name: mime.split(row.get(name, "")) for name in ADDRESSED[1:]}}
        told |= {"body": row.get("body", ""), "bodyType": row.get("bodyType") or "text", "messageId": row["messageId"]}
        told |= {"inReplyTo": row.get("inReplyTo", ""), "references": row.get("references", ""), "headers": row.get("headers", {})}
        at = datetime.fromtimestamp(row["date"] / 1000, UTC)
        return {**told, "thread": mime.id_of(thread_of(row)), "receivedAt": show_instant(at), "attachments": mime.files(row)}


def _line(name: str, value: Any) -> str:
    """Returns the text of a header. Raises ValueError for one that would not fit into a line."""
    text = _text(name, value).strip()
    if not text.isprintable():
        raise ValueError(f"{name} must be a single line")
    return text


def _text(name: str, value: Any) -> str:
    if value is None:
        return ""
    if not isinstance(value, str):
        raise ValueError(f"{name} must be a text")
    try:
        value.encode()
    except UnicodeEncodeError:
        raise ValueError(f"{name} must be a valid text") from None
    return value


def _joined(name: str, value: Any) -> Any:
    """Returns a list of addresses as a header has it."""
    if not isinstance(value, list):
        return value
    if name == "from" or not all(isinstance(each, str) for each in value):
        raise ValueError(f"{name} must be a text" if name == "from" else f"{name} must be a text or a list of texts")
    return ", ".join(value)


def _names(value: Any) -> list[str]:
    if not isinstance(value, list) or not all(isinstance(name, str) and name.strip() for name in value):
        raise ValueError("labels must be a list of names")
    return value


def _is_yes(value: Any) -> bool:
    return value is True or (isinstance(value, str) and value.strip().lower() in YES)


def _body_type(value: Any) -> str:
    """Returns html, or nothing for the plain text that most mails are."""
    if value not in ("text", "html"):
        raise ValueError("bodyType must be text or html")
    return "html" if value == "html" else ""


def _headers(value: Any) -> dict[str, str]:
    if not isinstance(value, dict):
        raise ValueError("headers must be an object with texts")
    for name in value:
        if not _HEADER.fullmatch(name) or name.lower() in _OWN_HEADERS:
            raise ValueError(f"headers cannot have {name[:80]!r}")
    return {name: _line(name, text) for name, text in value.items()}


def _attachments(value: Any) -> list[dict[str, str]]:
    if not isinstance(value, list) or not all(isinstance(each, dict) for each in value):
        raise ValueError("attachments must be a list of objects with name, contentType and content")
    return [_attachment(each) for each in value]


def _attachment(value: Mapping[str, Any]) -> dict[str, str]:
    if unknown := [name for name in value if name not in ("name", "contentType", "content")]:
        raise ValueError(f"an attachment has no {unknown[0][:80]!r}; take name, contentType, content")
    name, type_ = _line("name", value.get("name")), _line("contentType", value.get("contentType")) or "application/octet-stream"
    if not name or not _TYPE.fullmatch(type_):
        raise ValueError("an attachment must have a name and a contentType such as application/pdf")
    content = _text("content", value.get("content"))
    try:
        base64.b64decode(content, validate=True)
    except ValueError:
        raise ValueError("the content of an attachment must be base64") from None
    return {"name": name, "contentType": type_.lower(), "content": content}


def _words(value: Any) -> str:
    """Returns what a form shows of a value: a field of one line loses the line ends."""
    return " ".join((", ".join(map(str, value)) if isinstance(value, list) else "" if value is None else str(value)).split())

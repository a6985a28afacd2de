"""The properties of a message: which there are, what a body may set when, and what stands where nothing was set."""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from connectors.sandbox.microsoft import values as read
from connectors.sandbox.microsoft.extended import read_properties
from connectors.sandbox.microsoft.refusal import bad_request

RECIPIENTS = ("toRecipients", "ccRecipients", "bccRecipients", "replyTo")
IMPORTANCES, INFERENCES = ("low", "normal", "high"), ("focused", "other")
FLAG_STATES, FLAG_TIMES = ("notFlagged", "complete", "flagged"), ("completedDateTime", "dueDateTime", "startDateTime")
FLAGS = ("isRead", "isDeliveryReceiptRequested", "isReadReceiptRequested")
# What may be set on every message, and what on a draft only.
ALWAYS = ("categories", "flag", "importance", "inferenceClassification", *FLAGS)
ON_DRAFTS = ("subject", "body", "from", "sender", "internetMessageId", *RECIPIENTS)
READ_ONLY = ("id", "changeKey", "createdDateTime", "lastModifiedDateTime", "receivedDateTime", "sentDateTime", "hasAttachments",
             "bodyPreview", "conversationId", "conversationIndex", "parentFolderId", "isDraft", "webLink")  # fmt: skip
BY_SELECT = ("uniqueBody", "internetMessageHeaders")  # only where they are asked for
PROPERTIES = (*READ_ONLY, *ALWAYS, *ON_DRAFTS, *BY_SELECT)
BY_DEFAULT = tuple(name for name in PROPERTIES if name not in BY_SELECT)
TEXTS = ("body", "bodyPreview", "uniqueBody")  # what a token that reads basic properties only is not shown
DEFAULTS: dict[str, Any] = {
    "subject": "", "body": {"contentType": "text", "content": ""}, "from": None, "sender": None, "importance": "normal",
    "inferenceClassification": "focused", "isRead": False, "isDeliveryReceiptRequested": False, "isReadReceiptRequested": False,
    "categories": [], "flag": {"flagStatus": "notFlagged"}, "toRecipients": [], "ccRecipients": [], "bccRecipients": [], "replyTo": [],
    "internetMessageHeaders": [], "isDraft": False,
}  # fmt: skip
MOST_BYTES = 3 * 1024 * 1024  # of an attachment that comes in one call
_MESSAGE_ID = re.compile(r"<[^<>\s]+>")


@dataclass(slots=True)
class MessageBody:
    """What a POST or PATCH sets: values by property, extended properties, attachments."""

    values: dict[str, Any] = field(default_factory=dict)
    extended: dict[str, str | None] = field(default_factory=dict)
    attachments: list[dict[str, Any]] = field(default_factory=list)

    @property
    def names(self) -> list[str]:
        more = (("singleValueExtendedProperties", self.extended), ("attachments", self.attachments))
        return [*self.values, *(name for name, given in more if given)]


def read_message(data: Mapping[str, Any], *, is_new: bool, is_draft: bool) -> MessageBody:
    """Returns what a body sets. Raises Refused for a property that does not exist or cannot be set now, and for wrong types."""
    body = MessageBody()
    for name, value in read.without_annotations(data).items():
        if name == "singleValueExtendedProperties":
            body.extended = read_properties(value)
        elif name == "attachments" and is_new:
            body.attachments = [read_attachment(each) for each in read.collection(name, value)]
        elif name == "internetMessageHeaders" and is_new:
            body.values[name] = _headers(value)
        elif name in READ_ONLY or name in BY_SELECT or name == "attachments":
            raise read.read_only(name)
        elif name in ON_DRAFTS and not is_draft:
            raise bad_request(f"The property '{name}' can be set on a draft only.", "ErrorInvalidPropertySet")
        else:
            body.values[name] = read_value(name, value)
    return body


def read_value(name: str, value: Any) -> Any:
    """Returns one property as it is stored. Raises Refused."""
    if name == "body":
        return read.item_body(name, value, default="text")
    if name in RECIPIENTS:
        return [] if value is None else read.recipients(name, value)
    if name in ("from", "sender"):
        return read.recipient(name, value)
    if name in FLAGS:
        return read.boolean(name, False if value is None else value)
    if name == "categories":
        return [] if value is None else read.texts(name, value)
    if name == "importance":
        return read.one_of(name, value, IMPORTANCES, "importance")
    if name == "inferenceClassification":
        return read.one_of(name, value, INFERENCES, "inferenceClassificationType")
    if name == "flag":
        return _flag(value)
    if name == "subject":
        return read.text(name, value) or ""
    if name == "internetMessageId":
        if not isinstance(value, str) or not _MESSAGE_ID.fullmatch(value):
            raise bad_request("The internetMessageId is not a message id in angle brackets.", "ErrorInvalidInternetMessageId")
        return value
    raise read.unknown(name, "message")


def _flag(value: Any) -> dict[str, Any]:
    given = {} if value is None else read.parts("flag", value, ("flagStatus", *FLAG_TIMES), "followupFlag")
    status = read.one_of("flag/flagStatus", given.get("flagStatus") or "notFlagged", FLAG_STATES, "followupFlagStatus")
    times = {name: read.zoned(f"flag/{name}", given[name]) for name in FLAG_TIMES if given.get(name) is not None}
    if "dueDateTime" in times and "startDateTime" not in times:
        raise bad_request("A flag with a dueDateTime needs a startDateTime too.", "ErrorInvalidRequest")
    return {"flagStatus": status, **times}


def _headers(value: Any) -> list[dict[str, str]]:
    headers = []
    for each in read.collection("internetMessageHeaders", value):
        given = read.parts("internetMessageHeaders", each, ("name", "value"), "internetMessageHeader")
        name, text = (read.text(f"internetMessageHeaders/{part}", given.get(part)) or "" for part in ("name", "value"))
        if not name.lower().startswith("x-") or not name.isascii() or not name.isprintable() or ":" in name:
            told = f"The internet message header name '{name[:80]}' should start with 'x-' or 'X-'."
            raise bad_request(told, "InvalidInternetMessageHeader")
        headers.append({"name": name, "value": text})
    return headers


def read_attachment(data: Any) -> dict[str, Any]:
    """Returns the file that a body attaches. Raises Refused for what is none, or too large for one call."""
    known = ("name", "contentType", "contentBytes", "isInline", "contentId", "contentLocation", "id", "size", "lastModifiedDateTime")
    if isinstance(data, dict) and data.get("@odata.type", "") not in ("#microsoft.graph.fileAttachment", "microsoft.graph.fileAttachment"):
        raise bad_request("Only attachments of the type '#microsoft.graph.fileAttachment' are played.", "ErrorInvalidRequest")
    given = read.parts("attachments", data, known, "fileAttachment")
    name, content = read.text("name", given.get("name")), read.text("contentBytes", given.get("contentBytes"))
    if not name or content is None:
        raise bad_request("An attachment needs a name and contentBytes.", "ErrorInvalidRequest")
    return {"name": name, "contentType": read.text("contentType", given.get("contentType")) or "application/octet-stream",
            "content": checked_base64(content), "isInline": read.boolean("isInline", given.get("isInline") or False),
            "contentId": read.text("contentId", given.get("contentId"))}  # fmt: skip


def checked_base64(content: str) -> str:
    """Returns base64 that is some. Raises Refused for other texts, and for a file too large for one call."""
    try:
        data = base64.b64decode(content, validate=True)
    except (binascii.Error, ValueError):
        raise read.wrong("contentBytes", "Edm.Binary") from None
    if len(data) > MOST_BYTES:
        raise bad_request("The maximum request length supported is 4MB.", "ErrorMessageSizeExceeded")
    return content

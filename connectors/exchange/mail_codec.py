"""Exchange's messages as flat records of mails (reference section 6)."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from exchangelib import Message
from exchangelib.items import MeetingCancellation, MeetingMessage, MeetingRequest, MeetingResponse
from exchangelib.util import create_element

from connectors import mail_headers, mails
from connectors.calendars import CONFIDENTIAL, NORMAL, PERSONAL, PRIVATE
from connectors.contract import Record, Ref, Value
from connectors.exchange import models
from connectors.exchange.models import tag
from connectors.exchange.settings import SYSTEM
from connectors.mail_rows import CannotBeRead
from connectors.mailboxes import CATEGORIES
from connectors.mails import MAIL, Attachment, WholeMail
from connectors.text import clean, cleaned, read_instant

MODELS = {tag(model.ELEMENT_NAME): model for model in (Message, MeetingMessage, MeetingRequest, MeetingResponse, MeetingCancellation)}
TAGS = frozenset(MODELS)
_ASKED = """
    subject sensitivity datetime_received datetime_sent categories in_reply_to is_draft headers has_attachments last_modified_time
    conversation_id parent_folder_id sender author to_recipients cc_recipients bcc_recipients message_id references
"""
PATHS = [models.path(Message, name) for name in _ASKED.split()]
WHOLE = [models.path(Message, name) for name in ("body", "unique_body", "attachments")]
LISTED = [models.path(Message, name) for name in ("categories", "conversation_id", "parent_folder_id", "datetime_received")]
_SENSITIVITIES = {"Normal": NORMAL, "Personal": PERSONAL, "Private": PRIVATE, "Confidential": CONFIDENTIAL}
_TEXTS = {mails.SUBJECT: "Subject", mails.PREVIEW: "Preview"}
_SENDERS = {mails.FROM: "From", mails.SENDER: "Sender"}
_RECIPIENTS = {mails.TO: "ToRecipients", mails.CC: "CcRecipients", mails.BCC: "BccRecipients"}
EARLIEST = 1900  # servers tell the year 1 of what has no time
LONGEST_NAME = 255


def with_preview(payload: Any) -> Any:
    """Returns a request for messages with the beginning of their text asked for: exchangelib knows no such field."""
    wanted = create_element("t:FieldURI", attrs={"FieldURI": "item:Preview"})
    next(payload.iter(tag("AdditionalProperties"))).append(wanted)
    return payload


def conversation_of(element: Any) -> str:
    found = element.find(tag("ConversationId"))
    return (found.get("Id") or "") if found is not None else ""


def folder_of(element: Any) -> str:
    found = element.find(tag("ParentFolderId"))
    return (found.get("Id") or "") if found is not None else ""


def read_mail(element: Any, *, folder: str, address: str, shared_by: str = mails.BY_NOTHING) -> Record:
    """Returns the record of a message. `folder` is the kind of folder that it lies in, `address` is the mailbox's. Raises
    CannotBeRead."""
    id_, change_key = models.id_of(element)
    if not id_ or not change_key:
        raise CannotBeRead("its id")
    damaged: set[str] = set()
    headers = mail_headers.by_name(_headers(element))
    fields: dict[str, Value] = {name: cleaned(models.text(element, said) or "", name, damaged) for name, said in _TEXTS.items()}
    fields[mails.THREAD] = conversation_of(element)
    fields |= {name: _people(name, [element.find(tag(said))], damaged) for name, said in _SENDERS.items()}
    fields |= {name: _people(name, [element.find(tag(said))], damaged) for name, said in _RECIPIENTS.items()}
    fields |= {mails.SENT_AT: _time(element, "DateTimeSent"), mails.RECEIVED_AT: _time(element, "DateTimeReceived")}
    fields |= {
        mails.MESSAGE_ID: mail_headers.message_id(models.text(element, "InternetMessageId") or ""),
        mails.IS_DRAFT: _flag(element, "IsDraft"),
        mails.IS_OUTGOING: folder == mails.SENT or _is_from(fields[mails.FROM], address),
        mails.FOLDER: folder,
        CATEGORIES: tuple(clean(text)[0] for text in models.categories(element)),
        mails.IN_REPLY_TO: mail_headers.message_id(models.text(element, "InReplyTo") or headers.get("in-reply-to", "")),
        mails.REFERENCES: mail_headers.message_ids(models.text(element, "References") or headers.get("references", "")),
        mails.HAS_ATTACHMENTS: _flag(element, "HasAttachments"),
        mails.SENSITIVITY: _sensitivity(element, headers),
        mails.IS_MEETING_MESSAGE: element.tag != tag("Message") or mail_headers.is_meeting_message(headers),
        mails.IS_AUTOMATIC: mail_headers.is_automatic(headers),
        mails.SHARED_BY: shared_by,
    }
    changed = _time(element, "LastModifiedTime")
    return Record(Ref(SYSTEM, MAIL, id_), fields, version=change_key, updated_at=changed, damaged=frozenset(damaged))


def _sensitivity(element: Any, headers: mail_headers.Headers) -> str:
    said = _SENSITIVITIES.get(models.text(element, "Sensitivity") or "", NORMAL)
    return said if said != NORMAL else mail_headers.sensitivity(headers)


def _headers(element: Any) -> list[tuple[str, str]]:
    return [(row.get("HeaderName") or "", row.text or "") for row in element.iter(tag("InternetMessageHeader"))]


def _flag(element: Any, name: str) -> bool:
    return (models.text(element, name) or "") in ("true", "1")


def _time(element: Any, name: str) -> datetime | None:
    """Returns an instant; None for what has none, or one that is none: mails with broken dates are mails too."""
    at = read_instant(models.text(element, name))
    return at if at is not None and at.year >= EARLIEST else None


def _people(name: str, elements: list[Any], damaged: set[str]) -> tuple[str, ...]:
    found = []
    for row in (row for element in elements if element is not None for row in element.iter(tag("Mailbox"))):
        text, is_damaged = mail_headers.correspondent(models.text(row, "EmailAddress") or "", models.text(row, "Name") or "")
        found += [text] if text else []
        damaged |= {name} if is_damaged else set()
    return tuple(found)


def _is_from(people: Value, address: str) -> bool:
    held = people if isinstance(people, tuple) else ()
    return any(text.partition(";")[0].casefold() == address.casefold() for text in held)


# --- texts and what is attached -------------------------------------------------------------------------------------


def read_whole(element: Any, record: Record, *, with_attachments: bool) -> WholeMail:
    """Returns a message with its text: Exchange has either HTML or plain text. Raises CannotBeRead."""
    (content, is_html), (newest, newest_is_html) = (_body(element, name) for name in ("Body", "UniqueBody"))
    text, html = ("", content) if is_html else (content, "")
    return WholeMail(record, text, html, attachments(element) if with_attachments else (), newest, newest_is_html)


def _body(element: Any, name: str) -> tuple[str, bool]:
    found = element.find(tag(name))
    return ("", False) if found is None else (clean(found.text or "")[0], found.get("BodyType") == "HTML")


def attachments(element: Any) -> tuple[Attachment, ...]:
    """Returns what is attached to a message. Raises CannotBeRead."""
    held = element.find(tag("Attachments"))
    return tuple(_attachment(row) for row in held) if held is not None else ()


def _attachment(row: Any) -> Attachment:
    own = row.find(tag("AttachmentId"))
    id_ = own.get("Id") if own is not None else None
    size = models.text(row, "Size") or ""
    if not id_ or not size.isdigit():
        raise CannotBeRead("an attachment")
    name, type_ = (" ".join(clean(models.text(row, said) or "")[0].split())[:LONGEST_NAME] for said in ("Name", "ContentType"))
    is_file = row.tag == tag("FileAttachment")
    return Attachment(id_, name, type_, int(size), is_inline=_flag(row, "IsInline"), is_file=is_file)

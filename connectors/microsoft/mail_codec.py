"""Microsoft's messages as flat records of mails (reference section 9). Pure.

A message of a wrong shape is no page of wrong shape: it is told as one that cannot be read. Graph has no property for what
the sender called private, nor for what a mail answers; Outlook keeps both as extended properties, and headers hold them too
of mails that travelled.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from connectors import mail_headers, mails
from connectors.calendars import CONFIDENTIAL, NORMAL, PERSONAL, PRIVATE
from connectors.contract import Record, Ref, Value
from connectors.mail_rows import CannotBeRead
from connectors.mailboxes import CATEGORIES
from connectors.mails import MAIL, Attachment, WholeMail
from connectors.microsoft.codec import EXTENDED_LIST, etag_of, id_of
from connectors.microsoft.settings import SYSTEM
from connectors.text import clean, cleaned, read_instant

Row = Mapping[str, Any]

HEADERS = "internetMessageHeaders"
RECIPIENTS = {mails.TO: "toRecipients", mails.CC: "ccRecipients", mails.BCC: "bccRecipients"}
SENDERS = {mails.FROM: "from", mails.SENDER: "sender"}
_TEXTS = {mails.SUBJECT: "subject", mails.PREVIEW: "bodyPreview", mails.THREAD: "conversationId"}
_TIMES = {mails.SENT_AT: "sentDateTime", mails.RECEIVED_AT: "receivedDateTime"}
PROPERTIES = (
    "internetMessageId",
    *_TEXTS.values(),
    *SENDERS.values(),
    *RECIPIENTS.values(),
    *_TIMES.values(),
    "lastModifiedDateTime",
    "isDraft",
    "parentFolderId",
    "categories",
    "hasAttachments",
    HEADERS,
)
# What a list must have told of a message, else it is read by itself. Headers have those alone that travelled.
ESSENTIAL = ("internetMessageId", "subject", "from", "toRecipients", "receivedDateTime", "isDraft", "parentFolderId", "categories")
TEXT_PROPERTIES = ("body", "uniqueBody")
_SENSITIVITY, _IN_REPLY_TO, _REFERENCES = "Integer 0x36", "String 0x1042", "String 0x1039"
EXPAND = f"{EXTENDED_LIST}($filter={' or '.join(f'id eq {chr(39)}{one}{chr(39)}' for one in (_SENSITIVITY, _IN_REPLY_TO, _REFERENCES))})"
_SENSITIVITIES = {"0": NORMAL, "1": PERSONAL, "2": PRIVATE, "3": CONFIDENTIAL}
_MEETING = "eventmessage"  # the end of the type of an invitation and of answers to one, in lower case, with what follows
EARLIEST = 1900  # Exchange tells the year 1 of what has no time
FILE = "#microsoft.graph.fileattachment"
LONGEST_NAME = 255


def is_complete(row: Row) -> bool:
    """Tells whether a list told enough of a message."""
    return all(name in row for name in ESSENTIAL)


def read_mail(row: Row, *, places: Mapping[str, str], address: str, shared_by: str = mails.BY_NOTHING) -> Record:
    """Returns the record of a message. `places` are kinds of folders by id; `address` is the mailbox's. Raises CannotBeRead."""
    id_ = id_of(row)
    if not id_:
        raise CannotBeRead("its id")
    headers = mail_headers.by_name(_headers(row))
    extended = _extended(row)
    damaged: set[str] = set()
    fields: dict[str, Value] = {name: cleaned(_text(row, property_), name, damaged) for name, property_ in _TEXTS.items()}
    fields |= {name: _people(name, [row.get(property_)], damaged) for name, property_ in SENDERS.items()}
    fields |= {name: _people(name, _list(row, property_), damaged) for name, property_ in RECIPIENTS.items()}
    fields |= {name: _time(row, property_) for name, property_ in _TIMES.items()}
    folder = places.get(_text(row, "parentFolderId"), mails.ELSEWHERE)
    fields |= {
        mails.MESSAGE_ID: mail_headers.message_id(_text(row, "internetMessageId")),
        mails.IS_DRAFT: _flag(row, "isDraft"),
        mails.IS_OUTGOING: folder == mails.SENT or _is_from(fields[mails.FROM], address),
        mails.FOLDER: folder,
        CATEGORIES: tuple(clean(text)[0] for text in _categories(row)),
        mails.IN_REPLY_TO: mail_headers.message_id(extended.get(_IN_REPLY_TO.casefold()) or headers.get("in-reply-to", "")),
        mails.REFERENCES: mail_headers.message_ids(extended.get(_REFERENCES.casefold()) or headers.get("references", "")),
        mails.HAS_ATTACHMENTS: _flag(row, "hasAttachments"),
        mails.SENSITIVITY: _SENSITIVITIES.get(extended.get(_SENSITIVITY.casefold(), ""), mail_headers.sensitivity(headers)),
        mails.IS_MEETING_MESSAGE: _is_meeting(row) or mail_headers.is_meeting_message(headers),
        mails.IS_AUTOMATIC: mail_headers.is_automatic(headers),
        mails.SHARED_BY: shared_by,
    }
    changed = _time(row, "lastModifiedDateTime")
    return Record(Ref(SYSTEM, MAIL, id_), fields, version=etag_of(row), updated_at=changed, damaged=frozenset(damaged))


def read_whole(row: Row, record: Record, attachments: tuple[Attachment, ...] = ()) -> WholeMail:
    """Returns a message with its text; Graph has either HTML or plain text. Raises CannotBeRead."""
    (content, is_html), (newest, newest_is_html) = (_body(row, name) for name in TEXT_PROPERTIES)
    text, html = ("", content) if is_html else (content, "")
    return WholeMail(record, text, html, attachments, newest, newest_is_html)


def read_attachment(row: Any) -> Attachment:
    """Returns what is told of something attached. Raises CannotBeRead."""
    id_ = id_of(row)
    if not id_:
        raise CannotBeRead("the id of an attachment")
    size = row.get("size")
    if not isinstance(size, int) or isinstance(size, bool) or size < 0:
        raise CannotBeRead("the size of an attachment")
    name, type_ = (" ".join(clean(_text(row, property_))[0].split())[:LONGEST_NAME] for property_ in ("name", "contentType"))
    is_file = _text(row, "@odata.type").casefold() in ("", FILE)
    return Attachment(id_, name, type_, size, is_inline=_flag(row, "isInline"), is_file=is_file)


def categories_of(row: Row) -> list[str]:
    """Returns the categories of a message as they stand there. Raises CannotBeRead."""
    return _categories(row)


# --- single properties ----------------------------------------------------------------------------------------------------


def _text(row: Row, name: str) -> str:
    raw = row.get(name)
    if not isinstance(raw, str | None):
        raise CannotBeRead(f"its {name}")
    return raw or ""


def _flag(row: Row, name: str) -> bool:
    raw = row.get(name)
    if not isinstance(raw, bool | None):
        raise CannotBeRead(f"its {name}")
    return raw is True


def _time(row: Row, name: str) -> datetime | None:
    """Returns an instant; None for what has none, or one that is none: mails with broken dates are mails too."""
    at = read_instant(_text(row, name))
    return at if at is not None and at.year >= EARLIEST else None


def _list(row: Row, name: str) -> list[Any]:
    raw = row.get(name)
    if not isinstance(raw, list | None):
        raise CannotBeRead(f"its {name}")
    return raw or []


def _categories(row: Row) -> list[str]:
    found = _list(row, "categories")
    if not all(isinstance(text, str) for text in found):
        raise CannotBeRead("its categories")
    return found


def _people(name: str, raw: list[Any], damaged: set[str]) -> tuple[str, ...]:
    found = []
    for each in raw:
        said = each.get("emailAddress") if isinstance(each, Mapping) else each
        if said is None:  # a draft is from nobody
            continue
        if not isinstance(said, Mapping):
            raise CannotBeRead(f"its field {name}")
        text, is_damaged = mail_headers.correspondent(_text(said, "address"), _text(said, "name"))
        if is_damaged:
            damaged.add(name)
        if text:
            found.append(text)
    return tuple(found)


def _is_from(people: Value, address: str) -> bool:
    first = people[0] if isinstance(people, tuple) and people else ""
    return mails.read_correspondent(first).address.casefold() == address.casefold() != ""


def _headers(row: Row) -> list[tuple[str, str]]:
    """Returns the headers. One that is none is left out: they come from anybody, and decide nothing that must not be missed."""
    rows = [each for each in _list(row, HEADERS) if isinstance(each, Mapping)]
    pairs = [(each.get("name"), each.get("value")) for each in rows]
    return [(name, value) for name, value in pairs if isinstance(name, str) and isinstance(value, str)]


def _extended(row: Row) -> dict[str, str]:
    """Returns extended properties by id in lower case: Microsoft spells it in either way."""
    rows = [each for each in _list(row, EXTENDED_LIST) if isinstance(each, Mapping)]
    return {each["id"].casefold(): each["value"] for each in rows if all(isinstance(each.get(part), str) for part in ("id", "value"))}


def _is_meeting(row: Row) -> bool:
    return _MEETING in _text(row, "@odata.type").casefold()


def _body(row: Row, name: str) -> tuple[str, bool]:
    raw = row.get(name)
    if raw is None:
        return "", False
    if not isinstance(raw, Mapping):
        raise CannotBeRead(f"its {name}")
    return clean(_text(raw, "content"))[0], _text(raw, "contentType").casefold() == "html"

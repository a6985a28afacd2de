"""Gmail's messages as flat records of mails (reference section 6.2). Pure; what stands in a mail is hostile input.

Gmail tells headers as they were written, and parts with their bytes. Which charset those of a text are in is told in two ways,
so that they are looked at.
"""

from __future__ import annotations

import base64
import binascii
import html
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from email.errors import HeaderParseError
from email.header import decode_header, make_header
from email.utils import getaddresses, parsedate_to_datetime
from typing import Any

from connectors import mail_headers, mails
from connectors.contract import Record, Ref, Value
from connectors.google.settings import SYSTEM
from connectors.mail_rows import CannotBeRead
from connectors.mailboxes import CATEGORIES
from connectors.mails import MAIL, Attachment, WholeMail
from connectors.text import clean, cleaned

Row = Mapping[str, Any]

DEEPEST = 30  # parts within parts
MOST_PARTS = 1000
MOST_PEOPLE = 20_000
LONGEST_NAME = 255
ROOT_PART = "whole"  # the id of what is attached where the mail itself is the file
_FOLDERS = {  # the first label that a mail bears says where it lies
    "TRASH": mails.BIN,
    "SPAM": mails.JUNK,
    "DRAFT": mails.DRAFTS,
}
_PLACES = {"SENT": mails.SENT, "INBOX": mails.INBOX}
_PEOPLE = {"from": mails.FROM, "sender": mails.SENDER, "to": mails.TO, "cc": mails.CC, "bcc": mails.BCC}
_SYSTEM_LABEL = re.compile(r"[A-Z_]+")
_ADDRESS = re.compile(r"[^\s<>,;:\"()\[\]]+@[^\s<>,;:\"()\[\]]+")
_ESCAPES = re.compile(rb"\x1b[$(]")  # of charsets that look like ASCII
_STRUCTURE = "partId,mimeType,filename,headers"
# Everything of a message but its text: how deep parts lie within parts, a selection has to spell out.
FIELDS = (
    "id,threadId,labelIds,snippet,internalDate,payload("
    f"{_STRUCTURE},parts({_STRUCTURE},parts({_STRUCTURE},parts({_STRUCTURE},parts({_STRUCTURE})))))"
)


def id_of(row: Any) -> str:
    """Returns the id of a message, "" where it is none."""
    raw = row.get("id") if isinstance(row, Mapping) else None
    return raw if isinstance(raw, str) and raw.isascii() and raw.isalnum() else ""


def labels_of(row: Row) -> tuple[str, ...]:
    """Returns the ids of a message's labels; one without has no such key. Raises CannotBeRead."""
    raw = row.get("labelIds") or []
    if not isinstance(raw, list) or not all(isinstance(text, str) for text in raw):
        raise CannotBeRead("its labels")
    return tuple(raw)


def is_own_label(id_: str) -> bool:
    """Tells whether people made a label, and not Gmail."""
    return _SYSTEM_LABEL.fullmatch(id_) is None


def read_mail(row: Row, *, ours: str, names: Mapping[str, str], address: str, shared_by: str = mails.BY_NOTHING) -> Record:
    """Returns the record of a message. `ours` is the id of our label, `names` are those of labels by id; `address` is the
    mailbox's. Raises CannotBeRead."""
    id_ = id_of(row)
    if not id_:
        raise CannotBeRead("its id")
    labels = labels_of(row)
    pairs = list(_headers(payload_of(row)))
    headers = mail_headers.by_name(pairs)
    damaged: set[str] = set()
    parts = list(parts_of(payload_of(row)))
    fields: dict[str, Value] = {field: _people(field, pairs, header, damaged) for header, field in _PEOPLE.items()}
    subject, preview = _decoded(headers.get("subject", "")), html.unescape(_text(row, "snippet"))
    for name, text in ((mails.SUBJECT, subject), (mails.PREVIEW, preview), (mails.THREAD, _text(row, "threadId"))):
        fields[name] = cleaned(text, name, damaged)
    fields |= {
        mails.MESSAGE_ID: mail_headers.message_id(headers.get("message-id", "")),
        mails.SENT_AT: _date(headers.get("date", "")),
        mails.RECEIVED_AT: _milliseconds(row.get("internalDate")),
        mails.IS_DRAFT: "DRAFT" in labels,
        mails.IS_OUTGOING: "SENT" in labels or _is_from(fields[mails.FROM], address),
        mails.FOLDER: _folder(labels, ours),
        CATEGORIES: tuple(clean(names[label])[0] for label in labels if label in names and is_own_label(label)),
        mails.IN_REPLY_TO: mail_headers.message_id(headers.get("in-reply-to", "")),
        mails.REFERENCES: mail_headers.message_ids(headers.get("references", "")),
        mails.HAS_ATTACHMENTS: any(part.is_attached and not part.is_inline for part in parts),
        mails.SENSITIVITY: mail_headers.sensitivity(headers),
        mails.IS_MEETING_MESSAGE: mail_headers.is_meeting_message(headers) or any(part.type == "text/calendar" for part in parts),
        mails.IS_AUTOMATIC: mail_headers.is_automatic(headers),
        mails.SHARED_BY: shared_by,
    }
    return Record(Ref(SYSTEM, MAIL, id_), fields, damaged=frozenset(damaged))


def _folder(labels: Sequence[str], ours: str) -> str:
    kinds = {**_FOLDERS, **({ours: mails.OURS} if ours else {}), **_PLACES}
    return next((kind for label, kind in kinds.items() if label in labels), mails.ELSEWHERE)


# --- parts ----------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class MailPart:
    """One part that holds something itself. `token` is what its content is asked for by, where it does not come along."""

    id: str
    type: str
    name: str
    size: int
    data: str
    token: str
    charset: str
    is_inline: bool
    is_attached: bool


def parts_of(payload: Row) -> Iterator[MailPart]:
    """Yields the parts that hold something; a mail within a mail is one of them, whatever is in it. Raises CannotBeRead."""
    for count, part in enumerate(_leaves(payload, "", 0)):
        if count >= MOST_PARTS:
            raise CannotBeRead("its parts, of which there are too many,")
        yield part


def _leaves(part: Row, parent: str, depth: int) -> Iterator[MailPart]:
    if depth > DEEPEST:
        raise CannotBeRead("its parts, which lie too deep,")
    type_ = _text(part, "mimeType").casefold()
    inside = part.get("parts") or []
    if not isinstance(inside, list) or not all(isinstance(each, Mapping) for each in inside):
        raise CannotBeRead("its parts")
    if inside and type_ != "message/rfc822":
        for each in inside:
            yield from _leaves(each, type_, depth + 1)
    elif not type_.startswith("multipart/"):
        yield _leaf(part, type_, parent)


def _leaf(part: Row, type_: str, parent: str) -> MailPart:
    headers = mail_headers.by_name(_headers(part))
    body = part.get("body") or {}
    if not isinstance(body, Mapping):
        raise CannotBeRead("the body of a part")
    size = body.get("size") or 0
    if not isinstance(size, int) or isinstance(size, bool) or size < 0:
        raise CannotBeRead("the size of a part")
    name = " ".join(clean(_decoded(_text(part, "filename")))[0].split())[:LONGEST_NAME]
    disposition = headers.get("content-disposition", "").partition(";")[0].strip().casefold()
    is_text = type_ in ("text/plain", "text/html", "") and not name and disposition != "attachment"
    is_inline = disposition == "inline" or ("content-id" in headers and parent == "multipart/related" and disposition != "attachment")
    charset = re.search(r"charset=\"?([\w.:-]{1,40})", headers.get("content-type", ""), re.IGNORECASE)
    return MailPart(
        _text(part, "partId") or ROOT_PART,
        type_,
        name,
        size,
        _text(body, "data"),
        _text(body, "attachmentId"),
        charset[1] if charset else "",
        is_inline=is_inline,
        is_attached=not is_text and type_ != "text/calendar",
    )


def read_whole(row: Row, record: Record, *, texts: Mapping[str, bytes], with_attachments: bool) -> WholeMail:
    """Returns a message with its text. `texts` are those that did not come along, by the id of their part. Raises CannotBeRead."""
    parts = list(parts_of(payload_of(row)))
    plain, rich = (
        "\n".join(_decoded_text(p, texts) for p in parts if not p.is_attached and p.type in types)
        for types in (("text/plain", ""), ("text/html",))
    )
    files = [Attachment(p.id, p.name, p.type, p.size, is_inline=p.is_inline) for p in parts if p.is_attached]
    return WholeMail(record, plain, rich, tuple(files) if with_attachments else ())


def texts_elsewhere(row: Row) -> list[MailPart]:
    """Returns the texts of a message that did not come along with it: long ones."""
    return [
        part for part in parts_of(payload_of(row)) if not part.is_attached and part.type != "text/calendar" and part.token and not part.data
    ]


def read_data(data: Any) -> bytes:
    """Returns the bytes of base64url, padded or not. Raises CannotBeRead."""
    if not isinstance(data, str):
        raise CannotBeRead("the content of a part")
    try:
        return base64.b64decode(data.rstrip("=") + "=" * (-len(data.rstrip("=")) % 4), altchars=b"-_", validate=True)
    except (binascii.Error, ValueError):
        raise CannotBeRead("the content of a part") from None


def _decoded_text(part: MailPart, texts: Mapping[str, bytes]) -> str:
    content = texts[part.id] if part.id in texts else read_data(part.data)
    return clean(decode(content, part.charset))[0]


def decode(content: bytes, charset: str) -> str:
    """Returns a text. Gmail says the charset it was written in, and mostly tells it in UTF-8: what is good UTF-8 is that, but for
    charsets that look like ASCII. What is neither loses what cannot be read, and nothing else."""
    for name in ([charset] if charset and _ESCAPES.search(content) else []) + ["utf-8", charset or "utf-8"]:
        try:
            return content.decode(name)
        except (LookupError, UnicodeError, ValueError):
            continue
    return content.decode("utf-8", "replace")


# --- single values --------------------------------------------------------------------------------------------------------


def payload_of(row: Row) -> Row:
    """Returns the outermost part of a message. Raises CannotBeRead."""
    raw = row.get("payload") or {}
    if not isinstance(raw, Mapping):
        raise CannotBeRead("its payload")
    return raw


def _headers(part: Row) -> Iterator[tuple[str, str]]:
    """Yields headers. One that is none is left out: they come from anybody."""
    raw = part.get("headers") or []
    if not isinstance(raw, list):
        raise CannotBeRead("its headers")
    for each in raw:
        name, value = (each.get("name"), each.get("value")) if isinstance(each, Mapping) else (None, None)
        if isinstance(name, str) and isinstance(value, str):
            yield name, value


def _text(row: Row, name: str) -> str:
    raw = row.get(name)
    if not isinstance(raw, str | None):
        raise CannotBeRead(f"its {name}")
    return raw or ""


def _decoded(text: str) -> str:
    """Returns a header's text with its encoded words decoded; as it is where that cannot be done."""
    if "=?" not in text:
        return text
    try:
        return str(make_header(decode_header(text)))
    except (HeaderParseError, LookupError, UnicodeError, ValueError):
        return text


def _people(field: str, pairs: Sequence[tuple[str, str]], header: str, damaged: set[str]) -> tuple[str, ...]:
    """Returns who stands in a header, of which there may be several."""
    found = []
    for address, name in addresses(", ".join(value for each, value in pairs if each.strip().casefold() == header)):
        text, is_damaged = mail_headers.correspondent(address, _decoded(name))
        if is_damaged:
            damaged.add(field)
        if text:
            found.append(text)
    return tuple(found)


def addresses(text: str) -> list[tuple[str, str]]:
    """Returns address and name of all who stand in a header. Where it is no list of people, whatever looks like an address."""
    try:
        found = [(address, name) for name, address in getaddresses([text]) if address or name]
    except (RecursionError, ValueError, IndexError):
        found = []
    if not any("@" in address for address, _ in found):
        loose = [(match, "") for match in _ADDRESS.findall(text)]
        found = loose or found or ([("", text)] if text.strip() else [])
    return found[:MOST_PEOPLE]


def _is_from(people: Value, address: str) -> bool:
    first = people[0] if isinstance(people, tuple) and people else ""
    return mails.read_correspondent(first).address.casefold() == address.casefold() != ""


def _date(text: str) -> datetime | None:
    """Returns the instant that a mail says it was sent at; None for none, or one that is none."""
    try:
        at = parsedate_to_datetime(text) if text else None
        return at.astimezone(UTC) if at is not None and at.tzinfo is not None else at.replace(tzinfo=UTC) if at is not None else None
    except (TypeError, ValueError, OverflowError, IndexError):
        return None


def _milliseconds(raw: Any) -> datetime | None:
    try:
        return datetime.fromtimestamp(int(raw) / 1000, UTC) if isinstance(raw, str | int) and not isinstance(raw, bool) else None
    except (ValueError, OverflowError, OSError):
        return None

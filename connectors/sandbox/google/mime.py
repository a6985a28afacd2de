"""Mail as it travels: builds a message's text from its row, and takes one apart into the parts that Gmail answers with.

A row of a message has `from`, `to`, `cc`, `bcc` (texts of headers), `subject`, `messageId`, and where there is something to say
`inReplyTo`, `references`, `headers` (further ones), `body`, `bodyType` and `attachments`. One that came as a whole has it in `raw`
(base64); its `body` and `attachments` are then only what the search and people see of it. Text is built when it is asked for.
"""

from __future__ import annotations

import base64
import html
import re
from collections.abc import Callable
from datetime import UTC, datetime
from email import encoders, message_from_bytes
from email.errors import HeaderParseError
from email.header import Header, decode_header, make_header
from email.message import Message
from email.mime.base import MIMEBase
from email.mime.message import MIMEMessage
from email.mime.multipart import MIMEMultipart
from email.mime.text import MIMEText
from email.parser import BytesHeaderParser
from email.utils import format_datetime, formataddr, getaddresses, parsedate_to_datetime
from functools import lru_cache
from typing import Any, TypeAlias

from connectors.sandbox.google.table import Row

ID_BASE = 0x19A0_0000_0000_0000  # ids of messages and threads are 16 hexadecimal digits
SNIPPET = 200
SEARCHED = 50_000  # characters of a body that are searched
_HIDDEN = re.compile(r"<(head|style|script)\b.*?</\1\s*>", re.IGNORECASE | re.DOTALL)
_TAG = re.compile(r"<[^>]*>")
_IDS = re.compile(r"<[^<>\s]+>")
# Headers of a row in the order of a mail: the header, and where the row has it.
_HEADERS = (
    ("References", "references"), ("In-Reply-To", "inReplyTo"), ("Message-ID", "messageId"), ("Subject", "subject"), ("From", "from"),
    ("To", "to"), ("Cc", "cc"), ("Bcc", "bcc"),
)  # fmt: skip
Parsed: TypeAlias = "Message[Any, Any]"


def id_of(number: int) -> str:
    """Returns a message's or thread's id as Gmail writes it."""
    return f"{ID_BASE + number:016x}"


def number_of(id_: str) -> int | None:
    """Returns the number that an id spells, None for a text that is no id."""
    if not 1 <= len(id_) <= 16 or set(id_) - set("0123456789abcdef"):
        return None
    return int(id_, 16) - ID_BASE


def addresses(text: str) -> list[str]:
    """Returns the addresses in a header, in lower case."""
    return [address.lower() for _, address in _pairs(text) if "@" in address]


@lru_cache(maxsize=1024)  # one mail is looked at several times while it is delivered
def _pairs(text: str) -> tuple[tuple[str, str], ...]:
    return tuple(getaddresses([text])) if text else ()


def split(text: str) -> list[str]:
    """Returns who stands in a header, one by one, as people write it: `Bo Lind <bo@acme.example>`."""
    return [f"{name} <{address}>" if name else address for name, address in _pairs(text) if name or address]


def referenced(row: Row) -> list[str]:
    """Returns the Message-IDs that a message answers, the nearest first."""
    return list(dict.fromkeys([*_IDS.findall(row.get("inReplyTo", "")), *reversed(_IDS.findall(row.get("references", "")))]))


def plain(row: Row) -> str:
    """Returns the words of a message's body."""
    text = str(row.get("body", ""))
    return html.unescape(_TAG.sub(" ", _HIDDEN.sub(" ", text))) if row.get("bodyType") == "html" else text


def snippet(row: Row) -> str:
    words = " ".join(plain(row)[: SNIPPET * 10].split())[:SNIPPET]
    return html.escape(words).replace("&#x27;", "&#39;")


def size_estimate(row: Row) -> int:
    if "raw" in row:
        return len(row["raw"]) * 3 // 4
    return 400 + len(row["subject"]) + len(row.get("body", "")) + sum(len(each["content"]) for each in row.get("attachments", []))


# --- building -------------------------------------------------------------------------------------------------------------
def raw_of(row: Row) -> bytes:
    """Returns the whole text of a message."""
    if "raw" in row:
        return base64.b64decode(row["raw"])
    message = _body_of(row)
    for name, value in _own_headers(row):
        message[name] = _encoded(name, value)
    # No clock and no chance: the same message has the same text whenever it is read.
    for n, part in enumerate(part for part in message.walk() if part.get_content_maintype() == "multipart"):
        part.set_boundary(f"{n:012x}{ID_BASE + row['id']:x}")
    return re.sub(rb"\r?\n", b"\r\n", message.as_bytes())


def _own_headers(row: Row) -> list[tuple[str, str]]:
    told = [("Date", format_datetime(datetime.fromtimestamp(row["date"] // 1000, UTC)))]
    told += [(name, row[key]) for name, key in _HEADERS if row.get(key)]
    return told + list(row.get("headers", {}).items())


def _encoded(name: str, value: str) -> str | Header:
    if value.isascii():
        return value
    if name in ("From", "To", "Cc", "Bcc"):
        return ", ".join(formataddr(pair) for pair in getaddresses([value]) if pair[1].isascii())
    return Header(value, "utf-8")


def _body_of(row: Row) -> Parsed:
    text = row.get("body", "")
    body: Parsed = MIMEText(text, "plain", "utf-8")
    if row.get("bodyType") == "html":
        body = MIMEMultipart("alternative", None, [MIMEText(plain(row), "plain", "utf-8"), MIMEText(text, "html", "utf-8")])
    if not row.get("attachments"):
        return body
    mixed = MIMEMultipart("mixed")
    mixed.attach(body)
    for each in row["attachments"]:
        mixed.attach(_attachment(each))
    return mixed


def _attachment(file: dict[str, str]) -> Parsed:
    content, (main, _, sub) = base64.b64decode(file["content"]), file["contentType"].partition("/")
    if file["contentType"] == "message/rfc822":
        part: Parsed = MIMEMessage(message_from_bytes(content))
    else:
        part = MIMEBase(main, sub)
        part.set_payload(content)
        encoders.encode_base64(part)
    part.add_header("Content-Disposition", "attachment", filename=file["name"] if file["name"].isascii() else ("utf-8", "", file["name"]))
    return part


# --- taking apart ---------------------------------------------------------------------------------------------------------
def values_of(raw: bytes) -> Row:
    """Returns the values of a row for a message that came as a whole."""
    message = message_from_bytes(raw)
    told: Row = {key: _header(message, name) for name, key in _HEADERS}
    body, type_ = _text_of(message)
    inside = [{"name": _filename(part), "contentType": part.get_content_type()} for part in _leaves(message) if _is_file(part)]
    told |= {"body": body[:SEARCHED], "bodyType": type_, "attachments": inside, "raw": base64.b64encode(raw).decode()}
    return {key: value for key, value in told.items() if value or key in ("from", "to", "subject", "messageId")}


def date_of(raw: bytes) -> int | None:
    """Returns the instant of the Date header in milliseconds, None when there is none that can be read."""
    try:
        found = parsedate_to_datetime(str(BytesHeaderParser().parsebytes(raw).get("Date") or ""))
        return int(found.replace(tzinfo=found.tzinfo or UTC).timestamp()) * 1000
    except (TypeError, ValueError, OverflowError):
        return None


def with_header(raw: bytes, name: str, value: str) -> bytes:
    """Returns a message with a header set anew, or without it for a blank one; the rest of the text stays as it is."""
    head, rest = _split(raw)
    kept = re.sub(rb"(?im)^" + re.escape(name.encode()) + rb":.*\n(?:[ \t].*\n)*", b"", head)
    encoded = _encoded(name, value)
    text = encoded.encode(linesep="\r\n") if isinstance(encoded, Header) else encoded
    return kept + (f"{name}: {text}\r\n".encode() if value else b"") + rest


def _split(raw: bytes) -> tuple[bytes, bytes]:
    """Returns the lines of the headers, and the blank line with all that follows."""
    found = re.search(rb"^\r?\n", raw, re.MULTILINE)
    if found is None:
        return raw + (b"" if not raw or raw.endswith(b"\n") else b"\r\n"), b"\r\n"
    return raw[: found.start()], raw[found.start() :]


def headers(row: Row) -> tuple[str, list[dict[str, str]]]:
    """Returns the type of a message and its headers, without reading its body."""
    if "raw" in row:
        parsed = BytesHeaderParser().parsebytes(base64.b64decode(row["raw"]))
        return parsed.get_content_type(), _headers(parsed)
    type_ = "multipart/mixed" if row.get("attachments") else "multipart/alternative" if row.get("bodyType") == "html" else "text/plain"
    own = [("Content-Type", type_), ("MIME-Version", "1.0"), *_own_headers(row)]
    return type_, [{"name": name, "value": value} for name, value in own]


def payload(row: Row, attachment_id: Callable[[str], str]) -> dict[str, Any]:
    """Returns the tree of a message's parts. `attachment_id` gives the id of a part that is read by itself."""
    return _part(message_from_bytes(raw_of(row)), "", attachment_id)


def content_of(row: Row, part_id: str) -> bytes | None:
    """Returns the content of the part with a number such as `0.1`, None when there is none."""
    part = message_from_bytes(raw_of(row))
    for word in part_id.split(".") if part_id else []:
        parts = _parts(part)
        if not word.isdigit() or int(word) >= len(parts):
            return None
        part = parts[int(word)]
    return _content(part)


def files(row: Row) -> list[dict[str, str]]:
    """Returns the attachments as people see them: name, contentType and content in base64."""
    kept = row.get("attachments", [])
    if "raw" not in row or not kept:
        return list(kept)
    found = [part for part in _leaves(message_from_bytes(raw_of(row))) if _is_file(part)]
    return [{**file, "content": base64.b64encode(_content(part)).decode()} for file, part in zip(kept, found, strict=True)]


def base64url(content: bytes) -> str:
    return base64.urlsafe_b64encode(content).decode().rstrip("=")


def _part(part: Parsed, part_id: str, attachment_id: Callable[[str], str]) -> dict[str, Any]:
    told: dict[str, Any] = {"partId": part_id, "mimeType": part.get_content_type(), "filename": _filename(part)}
    told |= {"headers": _headers(part), "body": {"size": 0}}
    parts, is_file = _parts(part), _is_file(part)
    if is_file or not parts:
        content = _content(part)
        told["body"] = {"size": len(content)}
        if is_file:
            told["body"]["attachmentId"] = attachment_id(part_id)
        elif content:
            told["body"]["data"] = base64url(content)
    if parts:
        prefix = f"{part_id}." if part_id else ""
        told["parts"] = [_part(each, f"{prefix}{n}", attachment_id) for n, each in enumerate(parts)]
    return told


def _parts(part: Parsed) -> list[Parsed]:
    inside: Any = part.get_payload()
    return list(inside) if part.is_multipart() else []


def _leaves(part: Parsed) -> list[Parsed]:
    """Returns the parts that people see: a mail within the mail is one file, whatever is in it."""
    parts = [] if part.get_content_type() == "message/rfc822" else _parts(part)
    return [leaf for each in parts for leaf in _leaves(each)] if parts else [part]


def _is_file(part: Parsed) -> bool:
    """Tells whether a part is read by itself: an attachment, or a picture within a text."""
    if part.get_content_type() == "message/rfc822":
        return True
    return not part.is_multipart() and (bool(_filename(part)) or part.get_content_maintype() not in ("text", "multipart"))


def _filename(part: Parsed) -> str:
    return _decoded(part.get_filename() or "")


def _content(part: Parsed) -> bytes:
    """Returns the bytes of a part; a text comes in UTF-8, whatever it was written in."""
    if part.get_content_type() == "message/rfc822":
        return b"".join(each.as_bytes() for each in _parts(part))
    content = part.get_payload(decode=True)
    content = content if isinstance(content, bytes) else b""
    if part.get_content_maintype() != "text" or _filename(part):
        return content
    try:
        return content.decode(part.get_content_charset() or "utf-8").encode()
    except (LookupError, UnicodeError):
        return content.decode("utf-8", "replace").encode()


def _text_of(message: Parsed) -> tuple[str, str]:
    """Returns the body that people read, plain where there is such a part, and its type."""
    texts = [part for part in _leaves(message) if part.get_content_maintype() == "text" and not _is_file(part)]
    texts.sort(key=lambda part: part.get_content_type() != "text/plain")
    if not texts:
        return "", ""
    return _content(texts[0]).decode(), "html" if texts[0].get_content_type() == "text/html" else ""


def _headers(part: Parsed) -> list[dict[str, str]]:
    """Returns the headers in their order, with the sender's spelling of the names; values are decoded."""
    return [{"name": name, "value": _decoded(str(value))} for name, value in part.items()]


def _header(message: Parsed, name: str) -> str:
    return _decoded(str(message.get(name) or ""))


def _decoded(value: str) -> str:
    text = re.sub(r"\r?\n[ \t]*", " ", value).strip()
    try:
        found = str(make_header(decode_header(text))) if "=?" in text else text
    except (HeaderParseError, LookupError, UnicodeError, ValueError):
        found = text
    return found.encode("utf-8", "replace").decode()

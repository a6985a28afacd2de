"""What the headers of a mail say of it, in whatever mail system it lies. Pure; headers are hostile input.

Headers come as pairs of name and value, names in any case of letters (RFC 5322). What marks a mail as a machine's: RFC 3834
(Auto-Submitted), RFC 2919 and 2369 (lists), RFC 3462 (reports, such as bounces), and what mail servers add by habit.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from itertools import islice

from connectors.calendars import CONFIDENTIAL, NORMAL, PERSONAL, PRIVATE
from connectors.mails import Correspondent
from connectors.text import clean

LONGEST = 998  # characters of a line (RFC 5322, 2.1.1): no message-id is longer
MOST_HEADERS = 2000
MOST_REFERENCES = 100
SENSITIVITIES = {"personal": PERSONAL, "private": PRIVATE, "company-confidential": CONFIDENTIAL}
_MESSAGE_ID = re.compile(r"<[^<>\s]+>")
_BULK = frozenset({"bulk", "junk", "list", "auto_reply"})
_LISTS = ("list-id", "list-unsubscribe", "list-post")
_REPLIES_BY_ITSELF = ("x-autoreply", "x-autorespond", "x-autoresponse", "x-failed-recipients")
_MEETING_CLASS = "urn:content-classes:calendarmessage"
_MEETING_TYPE = "text/calendar"

Headers = Mapping[str, str]


def by_name(pairs: Iterable[tuple[str, str]]) -> dict[str, str]:
    """Returns headers by name in lower case, the first of each name, in one line each."""
    found: dict[str, str] = {}
    for name, value in islice(pairs, MOST_HEADERS):
        found.setdefault(name.strip().casefold(), " ".join(value.split()))
    return found


def message_id(text: str) -> str:
    """Returns the Message-ID in a header's text, in angle brackets; the text itself where it has none, as some mailers write it;
    "" for none."""
    match = _MESSAGE_ID.search(text)
    return (match[0] if match else clean(text.strip())[0])[:LONGEST]


def message_ids(text: str) -> tuple[str, ...]:
    """Returns those in the text of References, the newest of a thread that goes on for ever."""
    return tuple(dict.fromkeys(found[:LONGEST] for found in _MESSAGE_ID.findall(text)))[-MOST_REFERENCES:]


def sensitivity(headers: Headers) -> str:
    return SENSITIVITIES.get(headers.get("sensitivity", "").casefold(), NORMAL)


def is_automatic(headers: Headers) -> bool:
    """Tells whether a machine sent it: an answer while somebody is out of office, a bounce, a newsletter, a list."""
    submitted = headers.get("auto-submitted", "no").partition(";")[0].strip().casefold()
    if submitted not in ("", "no"):
        return True
    if headers.get("precedence", "").casefold() in _BULK or any(name in headers for name in (*_LISTS, *_REPLIES_BY_ITSELF)):
        return True
    return content_type(headers) == "multipart/report" or headers.get("return-path") == "<>"


def is_meeting_message(headers: Headers) -> bool:
    """Tells whether it is an invitation, or an answer to one, as far as headers do."""
    return headers.get("content-class", "").casefold().startswith(_MEETING_CLASS) or content_type(headers) == _MEETING_TYPE


def content_type(headers: Headers) -> str:
    return headers.get("content-type", "").partition(";")[0].strip().casefold()


def correspondent(address: str, name: str) -> tuple[str, bool]:
    """Returns the text of PEOPLE that names somebody, and whether it was damaged; "" for nobody. No line breaks, and no
    semicolon in the address."""
    parts = [clean(" ".join(text.split())) for text in (address, name)]
    address, name = (text for text, _ in parts)
    address = address.replace(";", ",")
    name = "" if name.casefold() == address.casefold() else name
    return (Correspondent(address, name).text if address or name else ""), any(damaged for _, damaged in parts)

"""Files that are attached to mails, as a mail system sends them: in base64, within one answer."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Callable

from connectors.errors import Rejected
from connectors.http import MAX_BYTES
from connectors.mail_rows import refusal_of
from connectors.mails import NO_FILE, TOO_LARGE, Attachment

MOST = MAX_BYTES // 4 * 3 - 100_000  # bytes of a file whose answer is read


def opened(told: Attachment, fetch: Callable[[], str], *, most: int, system: str) -> bytes:
    """Returns the file that `fetch` brings; nothing larger is fetched. Raises Rejected as `MailBox.open_attachment` says."""
    if not told.is_file:
        raise Rejected("is a mail or a link, and no file", system=system, code=NO_FILE)
    refuse_larger(told.size, most, system=system)
    try:
        data = base64.b64decode(fetch(), validate=True)
    except (binascii.Error, ValueError):
        raise refusal_of("an attachment", system=system) from None
    refuse_larger(len(data), most, system=system)
    return data


def refuse_larger(size: int, most: int, *, system: str) -> None:
    most = min(most, MOST)
    if size > most:
        raise Rejected(f"is {size:,} bytes, more than the {most:,} that are taken", system=system, code=TOO_LARGE)

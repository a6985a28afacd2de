"""A mail as it travels, and what is new in it. The forms of its text are those of item_body.py."""

from __future__ import annotations

import base64
import re
from collections.abc import Iterable, Mapping
from datetime import datetime
from email.headerregistry import Address
from email.message import EmailMessage
from email.policy import SMTP
from email.utils import format_datetime
from hashlib import shake_256
from typing import Any

# Where a mail begins to quote the one it answers.
_QUOTED_HTML = re.compile(
    r"<(?:blockquote\b|div[^>]*\bid=[\"']?(?:divRplyFwdMsg|appendonsend|mail-editor-reference-message-container)|div[^>]*gmail_quote)",
    re.IGNORECASE,
)
_QUOTED_TEXT = re.compile(
    r"^(?:>.*|-{2,} ?Original Message ?-{2,}.*|_{10,}|On .{5,200} wrote:|From: .+\r?\n(?:Sent|Date): .*)$", re.MULTILINE
)


def unique(body: Mapping[str, Any]) -> dict[str, Any]:
    """Returns the part of a body that is new in this mail: what stands before the mail it answers."""
    pattern = _QUOTED_HTML if body["contentType"] == "html" else _QUOTED_TEXT
    match = pattern.search(body["content"])
    return {**body, "content": body["content"][: match.start()].rstrip() if match else body["content"]}


# --- MIME -----------------------------------------------------------------------------------------------------------------
def mime(values: Mapping[str, Any], attachments: Iterable[Mapping[str, Any]]) -> bytes:
    """Returns a whole mail as it travels. The same mail is the same bytes each time."""
    message = EmailMessage(policy=SMTP)
    for name, recipients in (("From", [values["from"]]), ("To", values["toRecipients"]), ("Cc", values["ccRecipients"])):
        if shown := [_address(each["emailAddress"]) for each in recipients if each]:
            message[name] = ", ".join(map(str, shown))
    message["Subject"] = re.sub(r"[\r\n]+", " ", values["subject"])
    message["Date"] = format_datetime(datetime.fromisoformat(values["sentDateTime"]))
    message["Message-ID"] = values["internetMessageId"]
    for header in values.get("internetMessageHeaders", ()):
        if header["name"].lower() not in ("from", "to", "cc", "subject", "date", "message-id", "mime-version", "received"):
            message[header["name"]] = re.sub(r"[\r\n]+", " ", header["value"])
    body = values["body"]
    message.set_content(body["content"], subtype="html" if body["contentType"] == "html" else "plain", cte="base64")
    for each in attachments:
        main, _, sub = (each["contentType"] or "application/octet-stream").partition("/")
        message.add_attachment(base64.b64decode(each["content"]), main, sub or "octet-stream", filename=each["name"],
                               disposition="inline" if each["isInline"] else "attachment")  # fmt: skip
    if message.is_multipart():
        message.set_boundary(f"_{shake_256(values['internetMessageId'].encode()).hexdigest(12)}_")
    return message.as_bytes()


def _address(email: Mapping[str, Any]) -> Address | str:
    name, address = email.get("name") or "", email.get("address") or ""
    try:
        return Address(display_name="" if name == address else name, addr_spec=address)
    except (ValueError, IndexError):  # not an address that the mail world knows; it is shown as it is
        return re.sub(r"[\r\n]+", " ", address)

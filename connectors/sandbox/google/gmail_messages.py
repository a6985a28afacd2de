"""The calls under `messages`: lists, reading, labels, trash, sending, and putting messages into the mailbox."""

from __future__ import annotations

import base64
import re
from itertools import islice
from typing import Any

from connectors.sandbox.google import mime
from connectors.sandbox.google.calls import Call
from connectors.sandbox.google.gmail_calls import MailMethod, changed_labels, page_place, page_token, size_of_page
from connectors.sandbox.google.gmail_post import Post
from connectors.sandbox.google.gmail_reading import Reading, bare, estimate, ids
from connectors.sandbox.google.gmail_schema import DELETES, INBOX, MODIFIES, READS, READS_METADATA, TRASH, TYPES
from connectors.sandbox.google.gmail_store import MailStore
from connectors.sandbox.google.gmail_tables import place_of
from connectors.sandbox.google.refusal import invalid, not_found
from connectors.sandbox.google.table import Row

MOST_IN_BATCH = 1000
DATE_SOURCES = ("receivedTime", "dateHeader")
_BASE64URL = re.compile(r"[A-Za-z0-9_-]*={0,2}")


class MailMessages:
    """What the calls of messages answer."""

    def __init__(self, mail: MailStore, reading: Reading, post: Post) -> None:
        self._mail, self._reading, self._post = mail, reading, post

    def method(self, call: Call) -> MailMethod | None:
        """Returns the method of a call; None where there is none."""
        parts, verb = call.parts, call.method
        if len(parts) == 1:
            return {"GET": MailMethod(self._list, READS_METADATA, 5), "POST": MailMethod(self._insert, MODIFIES, 25)}.get(verb)
        if len(parts) == 2 and verb == "POST":
            return {
                "send": MailMethod(self._send, MODIFIES, 100),
                "import": MailMethod(self._import, MODIFIES, 25),
                "batchModify": MailMethod(self._batch_modify, MODIFIES, 50),
                "batchDelete": MailMethod(self._batch_delete, DELETES, 50),
            }.get(parts[1])
        if len(parts) == 2:
            return {"GET": MailMethod(self._get, READS_METADATA, 20), "DELETE": MailMethod(self._delete, DELETES, 10)}.get(verb)
        if len(parts) == 3 and verb == "POST":
            return {
                "modify": MailMethod(self._modify, MODIFIES, 5),
                "trash": MailMethod(self._trash, MODIFIES, 5),
                "untrash": MailMethod(self._untrash, MODIFIES, 5),
            }.get(parts[2])
        is_attachment = len(parts) == 4 and parts[2] == "attachments" and verb == "GET"
        return MailMethod(self._attachment, READS, 20) if is_attachment else None

    # --- reading --------------------------------------------------------------------------------------------------------
    def _list(self, call: Call) -> dict[str, Any]:
        call.allow("labelIds", "q", "maxResults", "includeSpamTrash", "pageToken")
        size, place = size_of_page(call), page_place(call, 2)
        behind = None if place is None else (place[0], place[1])
        rows = list(islice(self._reading.found(call, older_than=behind), size + 1))
        page, has_more = rows[:size], len(rows) > size
        told: dict[str, Any] = {"messages": [ids(row) for row in page]} if page else {}
        if has_more:
            told["nextPageToken"] = page_token(call, place_of(page[-1]))
        return {**told, "resultSizeEstimate": estimate(len(page), is_all=place is None and not has_more)}

    def _get(self, call: Call) -> dict[str, Any]:
        call.allow("format", "metadataHeaders")
        format_ = self._reading.format_of(call)
        return self._reading.shown(call, self._mail.message(call.mailbox, call.parts[1]), format_)

    def _attachment(self, call: Call) -> dict[str, Any]:
        call.allow()
        return self._reading.attachment(self._mail.message(call.mailbox, call.parts[1]), call.parts[3])

    # --- labels and trash -----------------------------------------------------------------------------------------------
    def _modify(self, call: Call) -> dict[str, Any]:
        call.allow()
        add, remove = changed_labels(call.json("ModifyMessageRequest", "", TYPES))
        row = self._mail.message(call.mailbox, call.parts[1])
        self._mail.check_change(call.mailbox, add=add, remove=remove)
        return bare(self._mail.relabel(row, add=add, remove=remove))

    def _batch_modify(self, call: Call) -> None:
        call.allow()
        body = call.json("BatchModifyMessagesRequest", "", TYPES)
        add, remove = changed_labels(body)
        rows = self._named(call, body)
        self._mail.check_change(call.mailbox, add=add, remove=remove)
        for row in rows:
            self._mail.relabel(row, add=add, remove=remove)

    def _batch_delete(self, call: Call) -> None:
        call.allow()
        for row in self._named(call, call.json("BatchDeleteMessagesRequest", "", TYPES)):
            self._mail.delete(row)

    def _named(self, call: Call, body: dict[str, Any]) -> list[Row]:
        """Returns the messages that a batch names. Ids of messages that are gone are passed over, or refused by the switch."""
        names = list(dict.fromkeys(body.get("ids", [])))
        if not names:
            raise invalid("No message ids specified")
        if len(names) > MOST_IN_BATCH:
            raise invalid(f"Too many message ids specified: at most {MOST_IN_BATCH} are allowed.")
        found = [self._mail.find(call.mailbox, name) for name in names]
        if None in found and self._mail.store.switches.gmail_batch_missing == "refuse":
            raise not_found()
        return [row for row in found if row is not None]

    def _trash(self, call: Call) -> dict[str, Any]:
        call.allow()
        return bare(self._mail.relabel(self._mail.message(call.mailbox, call.parts[1]), add=[TRASH], remove=[INBOX]))

    def _untrash(self, call: Call) -> dict[str, Any]:
        call.allow()
        return bare(self._mail.relabel(self._mail.message(call.mailbox, call.parts[1]), remove=[TRASH]))

    def _delete(self, call: Call) -> None:
        call.allow()
        self._mail.delete(self._mail.message(call.mailbox, call.parts[1]))

    # --- new messages ---------------------------------------------------------------------------------------------------
    def _send(self, call: Call) -> dict[str, Any]:
        call.allow()
        body = call.json("Message", "message", TYPES)
        row = self._post.send(call.mailbox, _raw(body), thread_id=body.get("threadId", ""))
        call.touched.append(mime.id_of(row["id"]))
        return bare(row)

    def _insert(self, call: Call) -> dict[str, Any]:
        call.allow("deleted", "internalDateSource")
        return self._put(call, "receivedTime")

    def _import(self, call: Call) -> dict[str, Any]:
        call.allow("deleted", "internalDateSource", "neverMarkSpam", "processForCalendar")
        return self._put(call, "dateHeader")

    def _put(self, call: Call, date_source: str) -> dict[str, Any]:
        """Puts a message into the mailbox, sent to nobody."""
        source = next(iter(call.listed("internalDateSource", DATE_SOURCES)), date_source)
        body = call.json("Message", "message", TYPES)
        raw, mail = _raw(body), self._mail
        for id_ in body.get("labelIds", []):
            mail.check_label(call.mailbox, id_)
        values = mime.values_of(raw)
        if not values["messageId"]:
            values = mime.values_of(mime.with_header(raw, "Message-ID", mail.new_message_id(values["from"])))
        date = mime.date_of(raw) if source == "dateHeader" else None
        if date is None:
            date = int(mail.store.now().timestamp()) * 1000
        thread = mail.named_thread(call.mailbox, body.get("threadId", ""), values["subject"])
        row = mail.add(call.mailbox, values, labels=body.get("labelIds", []), date=date, thread=thread)
        call.touched.append(mime.id_of(row["id"]))
        return bare(row)


def _raw(body: dict[str, Any]) -> bytes:
    """Returns the message that a body brings along. Raises Refused for none, or one that is not base64url."""
    text = body.get("raw", "")
    if not text:
        raise invalid("'raw' RFC822 payload message string or uploading message via /upload/* URL required")
    bare_text = text.rstrip("=")
    if not _BASE64URL.fullmatch(text) or len(bare_text) % 4 == 1:
        raise invalid(f"Invalid value at 'message.raw' (TYPE_BYTES), Base64 decoding failed for \"{text[:80]}\"")
    return base64.urlsafe_b64decode(bare_text + "=" * (-len(bare_text) % 4))

"""The post office: sends what a mailbox writes to everybody inside, and tells of each mail that would leave for the world."""

from __future__ import annotations

from collections.abc import Callable
from email.utils import format_datetime, formataddr, getaddresses
from typing import Any

from connectors.sandbox.google import mime
from connectors.sandbox.google.gmail_schema import INBOX, SENT, UNREAD
from connectors.sandbox.google.gmail_store import MailStore
from connectors.sandbox.google.refusal import invalid
from connectors.sandbox.google.store import show_instant
from connectors.sandbox.google.table import Row

RECEIVED = (UNREAD, INBOX)
Tell = Callable[[dict[str, Any]], None]


class Post:
    """Delivers mail between the mailboxes of one Workspace. `tell` is told of every mail that was sent."""

    def __init__(self, mail: MailStore, tell: Tell) -> None:
        self._mail, self._tell = mail, tell

    def send(self, mailbox: str, raw: bytes, *, thread_id: str = "") -> Row:
        """Sends a whole message and returns the sender's copy. Raises Refused."""
        raw = self._completed(mailbox, raw)
        values = mime.values_of(raw)
        if not recipients(values):
            raise invalid("Recipient address required")
        thread = self._mail.named_thread(mailbox, thread_id, values["subject"])
        return self.deliver(mailbox, values, mime.values_of(mime.with_header(raw, "Bcc", "")), thread=thread)

    def deliver(self, mailbox: str, values: Row, others: Row, *, thread: int | None = None, date: int | None = None) -> Row:
        """Puts a message among what a mailbox has sent, with its values, and into every Inbox here, with those for others. Returns
        the sender's copy. `date` in milliseconds, now unless given."""
        at, everybody = self._mail.store.now(), recipients(values)
        date = int(at.timestamp()) * 1000 if date is None else date
        labels = (*RECEIVED, SENT) if mailbox in everybody else (SENT,)
        sent = self._mail.add(mailbox, values, labels=labels, date=date, thread=thread)
        for address in everybody:
            if address != mailbox and self._mail.store.active(address):
                self._mail.add(address, others, labels=RECEIVED, date=date)
        told = {"system": "google", "mailbox": mailbox, "kind": "message", "to": everybody, "subject": values["subject"]}
        self._tell({**told, "at": show_instant(at)})
        return sent

    def _completed(self, mailbox: str, raw: bytes) -> bytes:
        """Returns a message with what Gmail sets: the sender, a Date, and an own Message-ID unless a switch keeps the given one."""
        given = mime.values_of(raw)
        if mime.addresses(given["from"]) != [mailbox]:
            name = next((name for name, _ in getaddresses([given["from"]])), "")
            raw = mime.with_header(raw, "From", formataddr((name, mailbox)))
        if mime.date_of(raw) is None:
            raw = mime.with_header(raw, "Date", format_datetime(self._mail.store.now().replace(microsecond=0)))
        if not given["messageId"] or not self._mail.store.switches.gmail_keeps_message_id:
            raw = mime.with_header(raw, "Message-ID", self._mail.new_message_id(mailbox))
        return raw


def recipients(values: Row) -> list[str]:
    """Returns the addresses of all to whom a message goes, each once."""
    return list(dict.fromkeys(address for key in ("to", "cc", "bcc") for address in mime.addresses(values.get(key, ""))))

"""Mail that leaves a mailbox: the sender's copy, and one in the Inbox of every recipient that the tenant knows."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from connectors.sandbox.microsoft import ids
from connectors.sandbox.microsoft.mail_store import DRAFTS, INBOX, SENT, MailStore
from connectors.sandbox.microsoft.message_schema import MessageBody
from connectors.sandbox.microsoft.refusal import Refused
from connectors.sandbox.microsoft.store import Store
from connectors.sandbox.microsoft.table import Row

_ADDRESSED = ("toRecipients", "ccRecipients", "bccRecipients")
_OWN = ("bccRecipients", "categories", "flag")  # what of a sender's copy no recipient gets


class Sending:
    """Makes drafts and sends mail."""

    def __init__(self, store: Store, mail: MailStore) -> None:
        self._store, self._mail = store, mail

    def person(self, mailbox: Row) -> dict[str, Any]:
        """Returns whom a mailbox belongs to, as the sender of its mail."""
        return {"emailAddress": {"name": mailbox["displayName"], "address": mailbox.get("mail") or mailbox["userPrincipalName"]}}

    def new_message_id(self, mailbox: Row) -> str:
        domain = self.person(mailbox)["emailAddress"]["address"].rpartition("@")[2]
        return f"<{ids.guid(self._store.key, 'mail', self._store.tables['message'].next_number)}@{domain}>"

    def draft(self, mailbox: Row, body: MessageBody, folder: Row | None = None) -> Row:
        """Lays a draft into a folder, Drafts unless another is named."""
        place = folder or self._mail.special(mailbox["n"], DRAFTS)
        kept = {name: text for name, text in body.extended.items() if text is not None}
        return self._mail.add(place, self._values(mailbox, body.values), attachments=body.attachments, extended=kept)

    def _values(self, mailbox: Row, given: Mapping[str, Any]) -> dict[str, Any]:
        at, who = self._store.stamp(), self.person(mailbox)
        message_id = given.get("internetMessageId") or self.new_message_id(mailbox)
        own = {"from": who, "sender": who, "receivedDateTime": at, "sentDateTime": at, "conversation": message_id, "isRead": True}
        return {**own, **given, "internetMessageId": message_id, "isDraft": True}

    def send_new(self, mailbox: Row, body: MessageBody, *, is_saved: bool) -> None:
        """Sends a mail that was no draft before; the sender keeps a copy where it `is_saved`."""
        values = self._sent(self._values(mailbox, body.values))
        if is_saved:
            kept = {name: text for name, text in body.extended.items() if text is not None}
            self._mail.add(self._mail.special(mailbox["n"], SENT), values, attachments=body.attachments, extended=kept)
        self.deliver(mailbox, values, body.attachments)

    def send_draft(self, mailbox: Row, draft: Row) -> Row:
        """Sends a draft, which lies in Sent Items then. Raises Refused where it is none, or goes to nobody."""
        if not draft["values"].get("isDraft"):
            raise Refused(400, "ErrorInvalidRequest", "Only a draft can be sent.")
        values = self._sent(draft["values"])
        sent = self._mail.messages.change(draft, values=values, folder=self._mail.special(mailbox["n"], SENT)["n"])
        self.deliver(mailbox, values, self._mail.attachments(sent))
        return sent

    def _sent(self, values: Mapping[str, Any]) -> dict[str, Any]:
        if not any(values.get(name) for name in _ADDRESSED):
            raise Refused(400, "ErrorInvalidRecipients", "At least one recipient isn't valid. A message needs one to be sent.")
        at = self._store.stamp()
        return {**values, "isDraft": False, "isRead": True, "sentDateTime": at, "receivedDateTime": at}

    def deliver(self, mailbox: Row, values: Mapping[str, Any], attachments: Iterable[Mapping[str, Any]]) -> None:
        """Brings a mail to all its recipients in the tenant, whose copies carry the sender's internetMessageId."""
        addresses = [each["emailAddress"]["address"] or "" for name in _ADDRESSED for each in values.get(name, ())]
        files = list(attachments)
        received = {**{name: value for name, value in values.items() if name not in _OWN}, "isRead": False}
        for number in dict.fromkeys(user["n"] for address in addresses if (user := self._store.user(address)) and _takes_mail(user)):
            self._mail.add(self._mail.special(number, INBOX), dict(received), attachments=files)
        sender = self.person(mailbox)["emailAddress"]["address"]
        self._store.send("message", mailbox=sender, to=addresses, subject=values.get("subject", ""))


def _takes_mail(user: Row) -> bool:
    return bool(user.get("mail")) and user["state"] in ("ok", "denied")

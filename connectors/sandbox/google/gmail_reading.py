"""How messages are found and shown: lists by labels and search, the four formats of a message, its attachments."""

from __future__ import annotations

import base64
from collections.abc import Collection, Iterator
from typing import Any
from zoneinfo import ZoneInfo

from connectors.sandbox.google import gmail_search, mime
from connectors.sandbox.google.calls import Call
from connectors.sandbox.google.gmail_calls import forbidden, sees_metadata_only
from connectors.sandbox.google.gmail_schema import SPAM, TRASH
from connectors.sandbox.google.gmail_store import MailStore, label_id
from connectors.sandbox.google.gmail_tables import thread_of
from connectors.sandbox.google.refusal import invalid
from connectors.sandbox.google.table import Row

FORMATS = ("minimal", "full", "raw", "metadata")
MANY = 201  # what the real service estimates for almost every list that has more pages
_ATTACHMENT = b"ANGjdJ_sandbox_"


class Reading:
    """Finds and shows the messages of one Workspace."""

    def __init__(self, mail: MailStore) -> None:
        self._mail = mail
        self._reads = 0

    # --- finding --------------------------------------------------------------------------------------------------------
    def found(self, call: Call, *, older_than: tuple[int, int] | None = None) -> Iterator[Row]:
        """Returns the messages that a call's labels and search mean, the newest first. Raises Refused."""
        mail, wanted, text = self._mail, call.parameters.get("labelIds", []), call.text("q")
        for id_ in wanted:
            mail.check_label(call.mailbox, id_)
        if text and sees_metadata_only(call, mail.store.switches):
            raise forbidden("Metadata scope does not support 'q' parameter")
        search = gmail_search.read(text, self._box(call.mailbox))
        sees_trash = call.flag("includeSpamTrash") or search.sees_trash or TRASH in wanted or SPAM in wanted
        rows = mail.messages.newest(call.mailbox, older_than=older_than)
        return (row for row in rows if _fits(row["labels"], wanted, sees_trash=sees_trash) and search.test(row))

    def _box(self, mailbox: str) -> gmail_search.Box:
        store = self._mail.store
        labels = {gmail_search.label_word(row["title"]): label_id(row) for row in self._mail.labels.box(mailbox)}
        return gmail_search.Box(mailbox, labels, store.now(), ZoneInfo(store.switches.gmail_search_zone))

    # --- showing --------------------------------------------------------------------------------------------------------
    def format_of(self, call: Call, allowed: Collection[str] = FORMATS) -> str:
        """Returns the format that a call asks for. Raises Refused for one that is none, or not for its scopes."""
        asked = next(iter(call.listed("format", allowed)), "full")
        if asked in ("full", "raw") and sees_metadata_only(call, self._mail.store.switches):
            raise forbidden(f"Metadata scope doesn't allow format {asked.upper()}")
        return asked

    def shown(self, call: Call, row: Row, format_: str) -> dict[str, Any]:
        """Returns a message in a format."""
        told: dict[str, Any] = {**bare(row), "snippet": mime.snippet(row), "historyId": str(row["seq"])}
        told |= {"internalDate": str(row["date"]), "sizeEstimate": mime.size_estimate(row)}
        if sees_metadata_only(call, self._mail.store.switches):
            del told["snippet"]
        if format_ == "raw":
            told["raw"] = mime.base64url(mime.raw_of(row))
        elif format_ == "full":
            told["payload"] = mime.payload(row, lambda part_id: self._attachment_id(row, part_id))
        elif format_ == "metadata":
            told["payload"] = _metadata(row, call.parameters.get("metadataHeaders", []))
        return told

    def _attachment_id(self, row: Row, part_id: str) -> str:
        """Returns the id of a part: another one at every reading, as the real ones are."""
        self._reads += 1
        return mime.base64url(_ATTACHMENT + f"{self._reads} {self._mail.store.sequence} {row['id']} {part_id}".encode())

    def attachment(self, row: Row, attachment_id: str) -> dict[str, Any]:
        """Returns the content of a part. Raises Refused for an id that was not given out for this message."""
        try:
            text = base64.urlsafe_b64decode(attachment_id + "=" * (-len(attachment_id) % 4)).decode()
        except ValueError:
            raise invalid("Invalid attachment token") from None
        words = text.removeprefix(_ATTACHMENT.decode()).split(" ")
        if not text.startswith(_ATTACHMENT.decode()) or len(words) != 4 or words[2] != str(row["id"]):
            raise invalid("Invalid attachment token")
        content = mime.content_of(row, words[3])
        if content is None:
            raise invalid("Invalid attachment token")
        return {"size": len(content), "data": mime.base64url(content)}


def ids(row: Row) -> dict[str, Any]:
    """Returns what lists say of a message."""
    return {"id": mime.id_of(row["id"]), "threadId": mime.id_of(thread_of(row))}


def bare(row: Row) -> dict[str, Any]:
    """Returns a message with its labels; one without has no such key."""
    return {**ids(row), "labelIds": list(row["labels"])} if row["labels"] else ids(row)


def estimate(count: int, *, is_all: bool) -> int:
    return count if is_all else max(MANY, count)


def _fits(labels: list[str], wanted: list[str], *, sees_trash: bool) -> bool:
    return all(id_ in labels for id_ in wanted) and (sees_trash or (TRASH not in labels and SPAM not in labels))


def _metadata(row: Row, names: list[str]) -> dict[str, Any]:
    type_, found = mime.headers(row)
    wanted = {name.lower() for name in names}
    return {"mimeType": type_, "headers": [each for each in found if not wanted or each["name"].lower() in wanted]}

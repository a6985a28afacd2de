"""Reads messages of one Gmail mailbox by id, many in one request: with their texts, and without.

One message must not stop the others: what Gmail cannot show, and what is no message, is told by itself.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from connectors.contract import Record
from connectors.errors import TOO_MUCH, ConnectorError, RecordGone, Rejected
from connectors.google import gmail_codec as codec
from connectors.google.batch import Call
from connectors.google.gmail_calls import ONE_MESSAGE, GmailCalls, path_of
from connectors.google.gmail_labels import GmailLabels
from connectors.google.settings import SYSTEM
from connectors.mail_rows import CannotBeRead, FoundMails
from connectors.mail_texts import TOO_LONG
from connectors.mails import BY_NOTHING, WholeMail, WholeMails

MOST_TEXT = 10_000_000  # bytes of a text that does not come along with its mail
ATTACHMENT = f"{ONE_MESSAGE}/attachments/{{attachment}}"
THREAD_FIELDS = f"messages({codec.FIELDS})"
MALFORMED = "invalid id"  # what Gmail says of an id that it takes for none: it is none of its messages


class GmailReader:
    """The reads of one mailbox."""

    def __init__(self, calls: GmailCalls, labels: GmailLabels, mailbox: str) -> None:
        self._calls, self._labels, self._mailbox = calls, labels, mailbox

    def read(self, ids: Sequence[str]) -> WholeMails:
        found = self.rows(ids)
        records = self.records(found)
        return found.whole(map(WholeMail, records))

    def whole(self, ids: Sequence[str], *, with_attachments: bool) -> WholeMails:
        found = self.rows(ids, is_whole=True)
        mails = [self._whole(found, record, with_attachments=with_attachments) for record in self.records(found)]
        return found.whole(mail for mail in mails if mail is not None)

    def rows(self, ids: Iterable[str], *, is_whole: bool = False) -> FoundMails:
        """Returns the messages with these ids as Gmail tells them, without their texts unless `is_whole`."""
        options = {"format": "full", **({} if is_whole else {"fields": codec.FIELDS})}
        asked = [id_ for id_ in dict.fromkeys(ids) if id_]
        calls = [Call("GET", path_of("messages", id_, **options), ONE_MESSAGE) for id_ in asked]
        found = FoundMails(SYSTEM)
        for id_, said in zip(asked, self._calls.said(calls), strict=True):
            if isinstance(said, ConnectorError):
                self._sort(found, id_, said)
            elif codec.id_of(said) == id_:
                found.rows[id_] = dict(said)
            else:
                found.refuse(id_, "Google sent something else in its place")
        return found

    @staticmethod
    def _sort(found: FoundMails, id_: str, error: ConnectorError) -> None:
        if _is_malformed(error):
            found.gone.append(id_)
        else:
            found.sort(id_, error)

    def records(self, found: FoundMails, shared: dict[str, str] | None = None) -> list[Record]:
        """Returns the records of what was read; what cannot be read is noted. `shared` says by id how they came in."""
        carried = [label for row in found.rows.values() for label in _labels(row)]
        self._labels.ensure(carried)
        records = []
        for id_, row in found.rows.items():
            try:
                records.append(self.record(row, (shared or {}).get(id_, BY_NOTHING)))
            except CannotBeRead as refusal:
                found.refuse_part(id_, refusal)
        return records

    def record(self, row: codec.Row, shared_by: str = BY_NOTHING) -> Record:
        return codec.read_mail(row, ours=self._labels.ours, names=self._labels.names, address=self._mailbox, shared_by=shared_by)

    def _whole(self, found: FoundMails, record: Record, *, with_attachments: bool) -> WholeMail | None:
        id_ = record.ref.id
        row = found.rows[id_]
        try:
            texts = {part.id: self._text(id_, part) for part in codec.texts_elsewhere(row)}
            return codec.read_whole(row, record, texts=texts, with_attachments=with_attachments)
        except CannotBeRead as refusal:
            found.refuse_part(id_, refusal)
        except ConnectorError as error:
            self._sort(found, id_, error)
        return None

    def _text(self, id_: str, part: codec.MailPart) -> bytes:
        if part.size > MOST_TEXT:
            raise Rejected(TOO_LONG, code=TOO_MUCH)
        return self.content(id_, part.token)

    def content(self, id_: str, token: str) -> bytes:
        """Returns the content of a part. Raises RecordGone, CannotBeRead."""
        path = path_of("messages", id_, "attachments", token)
        return codec.read_data(self._calls.get(path, template=ATTACHMENT, is_of_record=True).data.get("data"))

    def thread(self, thread: str, most: int) -> list[Record]:
        """Returns the newest mails of a thread, at most so many, the oldest of them first; nothing for one that is not there."""
        path = path_of("threads", thread, format="full", fields=THREAD_FIELDS)
        try:
            said = self._calls.get(path, template="/users/me/threads/{thread}", is_of_record=True).data.get("messages") or []
        except RecordGone:
            return []
        except Rejected as refusal:
            if not _is_malformed(refusal):
                raise
            return []
        rows = [row for row in said if codec.id_of(row)] if isinstance(said, list) else []
        rows.sort(key=_received)
        return self.records(FoundMails(SYSTEM, {codec.id_of(row): row for row in rows[-most:]}))

    def found(self, message_ids: Sequence[str]) -> list[str]:
        """Returns the ids of messages that a search for these Message-IDs finds, the trash too."""
        searches = [
            Call("GET", path_of("messages", q=f"rfc822msgid:{text.strip('<>')}", includeSpamTrash="true"), "/users/me/messages")
            for text in message_ids
        ]
        ids: list[str] = []
        for said in self._calls.said(searches):
            if isinstance(said, ConnectorError):
                raise said
            rows = said.get("messages")
            ids += [codec.id_of(row) for row in rows] if isinstance(rows, list) else []
        return [id_ for id_ in ids if id_]


def _is_malformed(error: ConnectorError) -> bool:
    return isinstance(error, Rejected) and error.status == 400 and MALFORMED in error.detail.casefold()


def _labels(row: codec.Row) -> tuple[str, ...]:
    try:
        return codec.labels_of(row)
    except CannotBeRead:
        return ()


def _received(row: Any) -> int:
    text = row.get("internalDate")
    return int(text) if isinstance(text, str) and text.isascii() and text.isdigit() and len(text) < 20 else 0

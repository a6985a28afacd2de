"""The mails of one Google mailbox as a `MailBox`. A label is folder and category in one (engine-rules 37); it is the only write."""

from __future__ import annotations

import threading
from collections.abc import Collection, Sequence
from datetime import datetime

from connectors import mails
from connectors.checks import Try, run_checks
from connectors.contract import Check, Record, Ref, WriteResult
from connectors.errors import ConnectorError, NeedsAttention, RecordGone, Rejected
from connectors.google import gmail_codec as codec
from connectors.google.batch import Call
from connectors.google.box import GoogleBox
from connectors.google.gmail_calls import ME, ONE_MESSAGE, GmailCalls, path_of
from connectors.google.gmail_changes import GmailRounds
from connectors.google.gmail_labels import GmailLabels
from connectors.google.gmail_reading import GmailReader
from connectors.google.settings import SYSTEM
from connectors.mail_files import refuse_larger
from connectors.mail_reach import Wanted
from connectors.mail_rows import CannotBeRead, refusal_of
from connectors.mail_texts import texts_withheld
from connectors.mailboxes import CATEGORIES, Folder
from connectors.mails import MAIL, Known, MailChanges, WholeMails, knows_none

ASK_MAIL = "Ask a Workspace administrator to allow the scope gmail.modify, or let the mailbox's user connect again and leave it ticked."
UNKNOWN_LABEL = "invalid label"


class GoogleMails(GoogleBox):
    """The mails of one mailbox."""

    has_categories = False

    def _open(self) -> None:
        self._calls = GmailCalls(self._http, self._client, self._settings)
        self._labels = GmailLabels(self._calls)
        self._reader = GmailReader(self._calls, self._labels, self.address)
        self._rounds = GmailRounds(self._calls, self._reader, self._labels, self._settings)
        self._wanted = Wanted()
        self._lock = threading.RLock()

    # --- what shares a mail -------------------------------------------------------------------------------------------------
    def use_category(self, category: str) -> None:
        """Gmail has labels alone."""

    def make_category(self, name: str) -> None:
        """Gmail has labels alone."""

    def use_folder(self, folder_id: str) -> None:
        self._labels.ours = folder_id

    def use_reach(self, *, everything: bool = False, threads: Collection[str] = ()) -> None:
        self._wanted.is_everything, self._wanted.threads = everything, frozenset(threads)

    def folders(self, name: str) -> list[Folder]:
        with self._lock:
            return self._labels.folders(name)

    def make_folder(self, name: str) -> Folder:
        with self._lock:
            return self._labels.make(name)

    # --- reading ------------------------------------------------------------------------------------------------------------
    @texts_withheld()
    def mail_changes(self, cursor: str, since: datetime, *, known: Known = knows_none) -> MailChanges:
        with self._lock:
            return self._rounds.page(cursor, since, self._wanted, known)

    @texts_withheld()
    def read(self, ids: Sequence[str]) -> WholeMails:
        with self._lock:
            return self._reader.read(ids)

    @texts_withheld()
    def read_whole(self, ids: Sequence[str], *, with_attachments: bool = False) -> WholeMails:
        with self._lock:
            return self._reader.whole(ids, with_attachments=with_attachments)

    @texts_withheld()
    def open_attachment(self, mail_id: str, attachment_id: str, *, most: int) -> bytes:
        """As the contract says. What Gmail calls an attachment by is another word each time, so that its mail is read before."""
        with self._lock:
            part = self._part(mail_id, attachment_id)
            refuse_larger(part.size, most, system=SYSTEM)
            try:
                data = codec.read_data(part.data) if part.data or not part.token else self._reader.content(mail_id, part.token)
            except CannotBeRead as refusal:
                raise refusal_of(refusal, system=SYSTEM) from None
            refuse_larger(len(data), most, system=SYSTEM)
            return data

    def _part(self, mail_id: str, attachment_id: str) -> codec.MailPart:
        found = self._reader.rows([mail_id], is_whole=True)
        if mail_id in found.unreadable:
            raise Rejected(str(found.unreadable[mail_id].fields[mails.REASON]), system=SYSTEM)
        row = found.rows.get(mail_id)
        try:
            parts = [part for part in codec.parts_of(codec.payload_of(row)) if part.id == attachment_id] if row is not None else []
        except CannotBeRead as refusal:
            raise refusal_of(refusal, system=SYSTEM) from None
        if not parts:
            raise RecordGone("it is not there (any more)", system=SYSTEM)
        return parts[0]

    @texts_withheld()
    def thread_of(self, thread: str, *, most: int = 100) -> list[Record]:
        with self._lock:
            return self._reader.thread(thread, max(1, most)) if thread else []

    @texts_withheld()
    def find(self, message_ids: Sequence[str]) -> list[Record]:
        with self._lock:
            asked = [text for text in dict.fromkeys(message_ids) if text]
            found = self._reader.read(self._reader.found(asked))
            return [mail.record for mail in found.mails if mail.record.fields[mails.MESSAGE_ID] in asked]

    # --- the mark -----------------------------------------------------------------------------------------------------------
    @texts_withheld()
    def mark(self, ids: Sequence[str]) -> list[WriteResult]:
        return self._relabelled(ids, {"addLabelIds": [self._label()]})

    @texts_withheld()
    def unmark(self, ids: Sequence[str]) -> list[WriteResult]:
        return self._relabelled(ids, {"removeLabelIds": [self._label()]})

    def _label(self) -> str:
        if not self._labels.ours:
            raise ValueError("nobody has said yet which label is ours")
        return self._labels.ours

    def _relabelled(self, ids: Sequence[str], body: dict[str, list[str]]) -> list[WriteResult]:
        """Changes labels, many in one request. Adding one that is there changes nothing. Raises RecordGone with the code "folder"
        where our label is gone."""
        asked = list(dict.fromkeys(ids))
        calls = [Call("POST", path_of("messages", id_, "modify"), f"{ONE_MESSAGE}/modify", body) for id_ in asked]
        with self._lock:
            said = self._calls.said(calls, is_read=False)
            if any(isinstance(one, Rejected) and UNKNOWN_LABEL in one.detail.casefold() for one in said):
                self._labels.verify()
            return [self._result(id_, one) for id_, one in zip(asked, said, strict=True)]

    def _result(self, id_: str, said: object) -> WriteResult:
        if isinstance(said, ConnectorError):
            return WriteResult(id_, error=said, exchange=said.exchange)
        try:
            labels = codec.labels_of(said) if isinstance(said, dict) and codec.id_of(said) == id_ else None
        except CannotBeRead:
            labels = None
        if labels is None:  # it was done, or was not: asking for it once more does no harm
            return WriteResult(id_, error=refusal_of("a mail", system=SYSTEM))
        names = tuple(self._labels.names[label] for label in labels if self._labels.names.get(label))
        return WriteResult(id_, Record(Ref(SYSTEM, MAIL, id_), {CATEGORIES: names}))

    # --- the mailbox itself -------------------------------------------------------------------------------------------------
    def check_mailbox(self) -> list[Check]:
        return run_checks([Try("Read mails", "Its mails can be read.", lambda: self._calls.get(f"{ME}/profile", template=""), _remedy)])


def _remedy(error: ConnectorError) -> str:
    return ASK_MAIL if isinstance(error, NeedsAttention) and error.status in (401, 403) else ""

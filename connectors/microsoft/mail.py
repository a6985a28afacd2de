"""The mails of one Microsoft mailbox as a `MailBox`. Their only write is the category."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from connectors import mails
from connectors.category_mails import CategoryMails
from connectors.checks import Try, run_checks
from connectors.contract import Check, Record, Ref, WriteResult
from connectors.errors import ConnectorError, RecordGone, Rejected, StaleVersion
from connectors.mail_files import opened
from connectors.mail_reach import Wanted
from connectors.mail_rows import CannotBeRead, refusal_of
from connectors.mail_texts import texts_withheld, withhold
from connectors.mailboxes import CATEGORIES, Folder
from connectors.mails import MAIL, Attachment, WholeMails
from connectors.microsoft import faults
from connectors.microsoft import mail_codec as codec
from connectors.microsoft.box import MicrosoftBox
from connectors.microsoft.client import Part, Reply, address, segment
from connectors.microsoft.codec import etag_of, id_of, is_among, with_category
from connectors.microsoft.folders import Folders, quoted
from connectors.microsoft.mail_changes import MailRounds
from connectors.microsoft.mail_places import MailPlaces
from connectors.microsoft.mail_reading import (
    ATTACHMENT_SELECT,
    ATTACHMENTS_TEMPLATE,
    LIST_TEMPLATE,
    MESSAGE_TEMPLATE,
    MailReader,
)
from connectors.microsoft.settings import PARTS_A_CALL, SYSTEM

SAME_MAIL = 20  # copies of one mail in a mailbox that are looked at
MARK_TRIES = 5
MOST_FOUND = 1000
ASK_MAIL = "Ask a Microsoft 365 administrator to grant the app Mail.ReadWrite, and to let it into this mailbox."


class MicrosoftMails(CategoryMails, MicrosoftBox):
    """The mails of one mailbox."""

    _reader: MailReader

    def _open(self) -> None:
        super()._open()
        self._folders = Folders(self._client, "mailFolders", select="id,displayName", top="100")
        self._places = MailPlaces(self._client)
        self._reader = MailReader(self._client, self._places, self.address)
        self._rounds = MailRounds(self._client, self._reader, self._places, self._settings)
        self._wanted = Wanted()
        self._files: dict[tuple[str, str], Attachment] = {}  # that were told of, of mails read last

    # --- what shares a mail -----------------------------------------------------------------------------------------------
    def use_folder(self, folder_id: str) -> None:
        self._places.ours = folder_id

    def folders(self, name: str) -> list[Folder]:
        return self._folders.named(name)

    def make_folder(self, name: str) -> Folder:
        return self._folders.make(name)

    # --- reading ------------------------------------------------------------------------------------------------------------
    @texts_withheld()
    def read_whole(self, ids: Sequence[str], *, with_attachments: bool = False) -> WholeMails:
        found = self._reader.whole(ids, with_attachments=with_attachments)
        self._files = {(mail.record.ref.id, each.id): each for mail in found.mails for each in mail.attachments}
        return found

    @texts_withheld()
    def open_attachment(self, mail_id: str, attachment_id: str, *, most: int) -> bytes:
        """As the contract says. How large it is was told with the mail, else it is asked for first: nothing larger is fetched."""
        path = f"{self._client.root}/messages/{segment(mail_id)}/attachments/{segment(attachment_id)}"
        told = self._files.get((mail_id, attachment_id)) or self._told_file(path)
        return opened(told, lambda: self._content(path), most=most, system=SYSTEM)

    def _content(self, path: str) -> str:
        content = self._attachment(path).get("contentBytes")
        return content if isinstance(content, str) else "?"

    def _told_file(self, path: str) -> Attachment:
        try:
            return codec.read_attachment(self._attachment(address(path, select=ATTACHMENT_SELECT)))
        except CannotBeRead as refusal:
            raise refusal_of(refusal, system=SYSTEM) from None

    def _attachment(self, path: str) -> dict[str, Any]:
        try:
            return self._client.get_object(path, template=f"{ATTACHMENTS_TEMPLATE}/{{attachment}}")
        except Rejected as refusal:
            if refusal.code.casefold() == faults.MALFORMED_ID:
                raise RecordGone("it is not there (any more)", system=SYSTEM, code=refusal.code) from None
            raise

    @texts_withheld()
    def thread_of(self, thread: str, *, most: int = 100) -> list[Record]:
        """As the contract says, in one call. What is ordered by has to stand first in the filter."""
        if not thread:
            return []
        within = f"receivedDateTime ge 1900-01-01T00:00:00Z and conversationId eq '{quoted(thread)}'"
        return self._reader.search([within], top=min(most, MOST_FOUND), order="receivedDateTime desc")[::-1]

    @texts_withheld()
    def find(self, message_ids: Sequence[str]) -> list[Record]:
        asked = [text for text in dict.fromkeys(message_ids) if text]
        found = self._reader.search([f"internetMessageId eq '{quoted(text)}'" for text in asked], top=SAME_MAIL)
        # Microsoft compares without regard to case; a Message-ID is another one in other letters.
        return [record for record in found if record.fields[mails.MESSAGE_ID] in asked]

    # --- the mark -----------------------------------------------------------------------------------------------------------
    @texts_withheld()
    def mark(self, ids: Sequence[str]) -> list[WriteResult]:
        if not self._wanted.category:
            raise ValueError("nobody has said yet which category shares a mail")
        return self._with_categories(ids, lambda held: with_category(held, self._wanted.category))

    @texts_withheld()
    def unmark(self, ids: Sequence[str]) -> list[WriteResult]:
        if not self._wanted.category:
            raise ValueError("nobody has said yet which category shares a mail")
        return self._with_categories(ids, lambda held: [text for text in held if not is_among(self._wanted.category, [text])])

    def _with_categories(self, ids: Sequence[str], changed: Callable[[list[str]], list[str]]) -> list[WriteResult]:
        """Changes the categories of mails, twenty a call: a read, and a write that rests on it. Who is overtaken tries again."""
        order = list(dict.fromkeys(ids))
        done: dict[str, WriteResult] = {}
        for start in range(0, len(order), PARTS_A_CALL):
            left = order[start : start + PARTS_A_CALL]
            for _ in range(MARK_TRIES):
                done |= self._try_categories(left, changed)
                left = [id_ for id_ in left if isinstance(done[id_].error, StaleVersion)]
                if not left:
                    break
        return [done[id_] for id_ in order]

    def _try_categories(self, ids: Sequence[str], changed: Callable[[list[str]], list[str]]) -> dict[str, WriteResult]:
        found = self._reader.rows(ids, "id,categories")
        done = {id_: WriteResult(id_, error=RecordGone("it is not there (any more)", system=SYSTEM)) for id_ in found.gone}
        done |= {id_: WriteResult(id_, error=_unreadable(record)) for id_, record in found.unreadable.items()}
        parts: dict[str, Part] = {}
        for id_, row in found.rows.items():
            try:
                held = codec.categories_of(row)
            except CannotBeRead as refusal:
                done[id_] = WriteResult(id_, error=refusal_of(refusal, system=SYSTEM))
                continue
            wanted = changed(held)
            if wanted == held:
                done[id_] = WriteResult(id_, _marked(id_, held))
            else:
                path = address(f"{self._client.root}/messages/{segment(id_)}", select="id,categories")  # the answer holds no text
                parts[id_] = Part("PATCH", path, MESSAGE_TEMPLATE, {"categories": wanted}, if_match=etag_of(row))
        answers = self._client.write_all(list(parts.values())) if parts else []
        return done | {id_: self._result(id_, parts[id_], answer) for id_, answer in zip(parts, answers, strict=True)}

    def _result(self, id_: str, part: Part, answer: Reply | ConnectorError) -> WriteResult:
        if isinstance(answer, ConnectorError):
            return WriteResult(id_, error=answer, exchange=answer.exchange)
        if not answer.is_good:
            error = self._client.error_of(answer, is_read=False)
            return WriteResult(id_, error=error, exchange=error.exchange)
        if id_of(answer.body) != id_:
            error = self._client.unreadable(answer, is_read=False)
            withhold(error)
            return WriteResult(id_, error=error, exchange=error.exchange)
        return WriteResult(id_, _marked(id_, part.body["categories"]))

    # --- the mailbox itself -------------------------------------------------------------------------------------------------
    def check_mailbox(self) -> list[Check]:
        path = address(f"{self._client.root}/messages", top="1", select="id")
        look = Try("Read mails", "Its mails can be read.", lambda: next(self._client.pages(path, template=LIST_TEMPLATE)), _remedy)
        return run_checks([look])


def _marked(id_: str, categories: Sequence[str]) -> Record:
    return Record(Ref(SYSTEM, MAIL, id_), {CATEGORIES: tuple(categories)})


def _unreadable(record: Record) -> Rejected:
    return Rejected(str(record.fields[mails.REASON]), system=SYSTEM)


def _remedy(error: ConnectorError) -> str:
    return ASK_MAIL if error.status == 403 else ""

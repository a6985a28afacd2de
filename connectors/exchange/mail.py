"""The mails of one mailbox of an Exchange server as a `MailBox`. Their only write is the category.

The id of a mail is another one when it lies in another folder: who wants to find one again asks by its Message-ID.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from exchangelib import Message
from exchangelib.attachments import AttachmentId
from exchangelib.services import GetAttachment

from connectors import mails
from connectors.category_mails import CategoryMails
from connectors.checks import Try, run_checks
from connectors.contract import Check, Record, Ref, Write, WriteResult
from connectors.errors import ConnectionTrouble, RecordGone, Rejected, StaleVersion
from connectors.exchange import mail_codec as codec
from connectors.exchange import models
from connectors.exchange.box import ExchangeBox, remedy
from connectors.exchange.codec import is_among, with_category
from connectors.exchange.mail_reading import MailPlaces, MailReader, compared, joined, restriction
from connectors.exchange.mail_rounds import MailRounds
from connectors.exchange.settings import SYSTEM
from connectors.exchange.writer import Answered, Prepared, Sender
from connectors.mail_files import opened
from connectors.mail_reach import Wanted
from connectors.mail_rows import CannotBeRead, refusal_of
from connectors.mail_texts import texts_withheld
from connectors.mailbox_writes import result_of
from connectors.mailboxes import CATEGORIES, Folder
from connectors.mails import MAIL, Attachment, WholeMails

INBOX_FOLDER = "inbox"
IDS_A_CALL = 20
MARK_TRIES = 5
NEWEST_LOOKED_THROUGH = 250  # mails of each folder, for a conversation: no condition finds one


class ExchangeMails(CategoryMails, ExchangeBox):
    """The mails of one mailbox."""

    _reader: MailReader

    def _open(self) -> None:
        self._places = MailPlaces(self._client)
        self._reader = MailReader(self._client, self._places, self._settings)
        self._rounds = MailRounds(self._client, self._reader, self._places, self._settings)
        self._sender = Sender(self._client, self._settings, Message, lambda: INBOX_FOLDER)
        self._wanted = Wanted()

    # --- what shares a mail -------------------------------------------------------------------------------------------

    def use_folder(self, folder_id: str) -> None:
        self._places.folders.ours = folder_id

    def folders(self, name: str) -> list[Folder]:
        """As the contract says, in Exchange's order, and wherever in the mailbox they lie."""
        return self._places.folders.named(name)

    def make_folder(self, name: str) -> Folder:
        return self._places.folders.make(name)

    # --- reading ------------------------------------------------------------------------------------------------------

    @texts_withheld()
    def read_whole(self, ids: Sequence[str], *, with_attachments: bool = False) -> WholeMails:
        return self._reader.whole(ids, with_attachments=with_attachments)

    @texts_withheld()
    def open_attachment(self, mail_id: str, attachment_id: str, *, most: int) -> bytes:
        """As the contract says. How large it is is asked for first: nothing larger is fetched."""
        told = self._told_file(mail_id, attachment_id)
        return opened(told, lambda: self._content(attachment_id), most=most, system=SYSTEM)

    def _content(self, attachment_id: str) -> str:
        service = self._client.service(GetAttachment)
        payload = service.get_payload([AttachmentId(id=attachment_id)], None, None, None, None)
        message = self._client.one(service, payload, is_read=True)
        content = next((each.text or "" for each in message.element.iter(models.tag("Content"))), "")
        return "".join(content.split())

    def _told_file(self, mail_id: str, attachment_id: str) -> Attachment:
        found = self._reader.elements([mail_id], [models.path(Message, "attachments")], most=1)
        try:
            files = {each.id: each for element in found.rows.values() for each in codec.attachments(element)}
        except CannotBeRead as refusal:
            raise refusal_of(refusal, system=SYSTEM) from None
        if attachment_id not in files:
            raise RecordGone("it is not there (any more)", system=SYSTEM, code="ErrorItemNotFound")
        return files[attachment_id]

    @texts_withheld()
    def thread_of(self, thread: str, *, most: int = 100) -> list[Record]:
        """As the contract says, as far as the newest mails of each folder reach back: a conversation cannot be searched for."""
        if not thread:
            return []
        listed = self._reader.search(None, self._places.searched(), newest=NEWEST_LOOKED_THROUGH)
        rows = [each for each in listed if codec.conversation_of(each) == thread]
        rows.sort(key=lambda each: models.text(each, "DateTimeReceived") or "")
        ids = [models.id_of(each)[0] for each in rows[-most:]]
        return [mail.record for mail in self._reader.read(ids).mails] if ids else []

    @texts_withheld()
    def find(self, message_ids: Sequence[str]) -> list[Record]:
        asked = [text for text in dict.fromkeys(message_ids) if text]
        ids: list[str] = []
        folders = self._places.searched() if asked else []
        for some in self._client.in_calls(asked, IDS_A_CALL):
            any_of = joined("Or", [compared("IsEqualTo", "message:InternetMessageId", text) for text in some])
            ids += [models.id_of(each)[0] for each in self._reader.search(restriction(any_of), folders)]
        found = [mail.record for mail in self._reader.read(ids).mails] if ids else []
        # Exchange compares without regard to case; a Message-ID is another one in other letters.
        return [record for record in found if record.fields[mails.MESSAGE_ID] in asked]

    # --- the mark -----------------------------------------------------------------------------------------------------

    @texts_withheld()
    def mark(self, ids: Sequence[str]) -> list[WriteResult]:
        return self._with_categories(ids, lambda held: with_category(held, self._mark()))

    @texts_withheld()
    def unmark(self, ids: Sequence[str]) -> list[WriteResult]:
        return self._with_categories(ids, lambda held: tuple(text for text in held if not is_among(self._mark(), [text])))

    def _mark(self) -> str:
        if not self._wanted.category:
            raise ValueError("nobody has said yet which category shares a mail")
        return self._wanted.category

    def _with_categories(self, ids: Sequence[str], changed: Callable[[tuple[str, ...]], tuple[str, ...]]) -> list[WriteResult]:
        """Changes the categories of mails: a read, and a write that rests on it. Who is overtaken tries again."""
        order = left = list(dict.fromkeys(ids))
        done: dict[str, WriteResult] = {}
        for _ in range(MARK_TRIES):
            done |= self._try_categories(left, changed)
            left = [id_ for id_ in left if isinstance(done[id_].error, StaleVersion)]
            if not left:
                break
        return [done[id_] for id_ in order]

    def _try_categories(self, ids: Sequence[str], changed: Callable[[tuple[str, ...]], tuple[str, ...]]) -> dict[str, WriteResult]:
        found = self._reader.elements(ids, [models.path(Message, "categories")], most=self._settings.items_a_call)
        done = {id_: WriteResult(id_, error=RecordGone("it is not there (any more)", system=SYSTEM)) for id_ in found.gone}
        done |= {id_: WriteResult(id_, error=Rejected(str(r.fields[mails.REASON]), system=SYSTEM)) for id_, r in found.unreadable.items()}
        rows: list[Prepared] = []
        wanted: dict[int, tuple[str, ...]] = {}
        for id_, element in found.rows.items():
            held = models.categories(element)
            after = changed(held)
            if after == held:
                done[id_] = WriteResult(id_, _marked(id_, held))
                continue
            at = len(rows)
            wanted[at] = after
            write = Write(MAIL, {CATEGORIES: after}, id_, ref=Ref(SYSTEM, MAIL, id_))
            rows.append(Prepared(at, write, [self._update(element, after)], models.id_of(element)[1]))
        settled: dict[int, Answered] = {}
        self._sender.send(rows, settled)
        for row in rows:
            done[row.write.key] = self._result(row, settled[row.at], wanted[row.at])
        return done

    def _update(self, element: Any, categories: tuple[str, ...]) -> Any:
        at = models.path(Message, "categories")
        if not categories:
            return models.delete_field(at, self._client.version)
        return models.set_field(codec.MODELS[element.tag], at, list(categories), self._client.version)

    def _result(self, row: Prepared, answer: Answered, categories: tuple[str, ...]) -> WriteResult:
        if isinstance(answer, ConnectionTrouble):
            raise answer
        return result_of(self._client, row.write, answer, lambda message: _marked(row.write.key, categories))

    # --- the mailbox itself -------------------------------------------------------------------------------------------

    def check_mailbox(self) -> list[Check]:
        return run_checks([Try("Read mails", "Its mails can be read.", lambda: self._places.folders.look(INBOX_FOLDER), remedy)])


def _marked(id_: str, categories: Sequence[str]) -> Record:
    return Record(Ref(SYSTEM, MAIL, id_), {CATEGORIES: tuple(categories)})

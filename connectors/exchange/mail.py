"""The mails of one mailbox of an Exchange server as a `MailBox`. Their only write is the category.

The id of a mail is another one when it lies in another folder: who wants to find one again asks by its Message-ID.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Callable, Collection, Sequence
from datetime import datetime
from typing import Any

from exchangelib import Message
from exchangelib.attachments import AttachmentId
from exchangelib.services import GetAttachment

from connectors import mails
from connectors.checks import Try, run_checks
from connectors.contract import CallCount, Check, Record, Ref, Write, WriteResult
from connectors.errors import ConnectionTrouble, ConnectorError, RecordGone, Rejected, StaleVersion
from connectors.exchange import mail_codec as codec
from connectors.exchange import models
from connectors.exchange.client import EwsClient
from connectors.exchange.codec import is_among, with_category
from connectors.exchange.mail_reading import MailPlaces, MailReader, compared, joined, restriction
from connectors.exchange.mail_rounds import MailRounds, Wanted
from connectors.exchange.mailbox import remedy
from connectors.exchange.settings import SYSTEM, ExchangeSettings
from connectors.exchange.writer import Answered, Prepared, Sender
from connectors.http import MAX_BYTES, HttpClient
from connectors.mail_texts import texts_withheld
from connectors.mailboxes import CATEGORIES, Folder
from connectors.mails import MAIL, Attachment, Known, MailChanges, WholeMails, knows_none

INBOX_FOLDER = "inbox"
IDS_A_CALL = 20
MARK_TRIES = 5
NEWEST_LOOKED_THROUGH = 250  # mails of each folder, for a conversation: no condition finds one


class ExchangeMails:
    """The mails of one mailbox. Its calls go out one after the other."""

    system = SYSTEM
    has_categories = True
    concurrency = 1

    def __init__(
        self, address: str, http: HttpClient, client: EwsClient, settings: ExchangeSettings, *, page_address_template: str = ""
    ) -> None:
        self.address = address
        self.request_timeout = http.timeout
        self._http, self._client, self._settings, self._template = http, client, settings, page_address_template
        self._places = MailPlaces(client)
        self._reader = MailReader(client, self._places, settings)
        self._rounds = MailRounds(client, self._reader, self._places, settings)
        self._sender = Sender(client, settings, Message, lambda: INBOX_FOLDER)
        self._wanted = Wanted()

    # --- what shares a mail -------------------------------------------------------------------------------------------

    def use_category(self, category: str) -> None:
        self._wanted.category = category

    def make_category(self, name: str) -> None:
        """Has nothing to do: a mail bears any name as its category, and the list with the colours is Outlook's own."""

    def use_folder(self, folder_id: str) -> None:
        self._places.folders.ours = folder_id

    def use_reach(self, *, everything: bool = False, threads: Collection[str] = ()) -> None:
        self._wanted.is_everything, self._wanted.threads = everything, frozenset(threads)

    def folders(self, name: str) -> list[Folder]:
        """As the contract says, in Exchange's order, and wherever in the mailbox they lie."""
        return self._places.folders.named(name)

    def make_folder(self, name: str) -> Folder:
        return self._places.folders.make(name)

    # --- reading ------------------------------------------------------------------------------------------------------

    @texts_withheld()
    def mail_changes(self, cursor: str, since: datetime, *, known: Known = knows_none) -> MailChanges:
        return self._rounds.page(cursor, since, self._wanted, known)

    @texts_withheld()
    def read(self, ids: Sequence[str]) -> WholeMails:
        return self._reader.read(ids)

    @texts_withheld()
    def read_whole(self, ids: Sequence[str], *, with_attachments: bool = False) -> WholeMails:
        return self._reader.whole(ids, with_attachments=with_attachments)

    @texts_withheld()
    def open_attachment(self, mail_id: str, attachment_id: str, *, most: int) -> bytes:
        """As the contract says. How large it is is asked for first: nothing larger is fetched."""
        told = self._told_file(mail_id, attachment_id)
        if not told.is_file:
            raise Rejected("is a mail or a link, and no file", system=SYSTEM, code=mails.NO_FILE)
        most = min(most, MAX_BYTES // 4 * 3 - 100_000)  # it comes in base64, within one answer
        if told.size > most:
            raise _too_large(told.size, most)
        service = self._client.service(GetAttachment)
        payload = service.get_payload([AttachmentId(id=attachment_id)], None, None, None, None)
        message = self._client.one(service, payload, is_read=True)
        content = next((each.text or "" for each in message.element.iter(models.tag("Content"))), "")
        try:
            data = base64.b64decode("".join(content.split()), validate=True)
        except (binascii.Error, ValueError):
            raise Rejected("tells an attachment in a way that cannot be read", system=SYSTEM) from None
        if len(data) > most:
            raise _too_large(len(data), most)
        return data

    def _told_file(self, mail_id: str, attachment_id: str) -> Attachment:
        found = self._reader.elements([mail_id], [models.path(Message, "attachments")], most=1)
        try:
            files = {each.id: each for element in found.elements.values() for each in codec.attachments(element)}
        except codec.CannotBeRead as refusal:
            raise Rejected(f"tells {refusal} in a way that cannot be read", system=SYSTEM) from None
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
        for id_, element in found.elements.items():
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
        id_ = row.write.key
        if isinstance(answer, ConnectionTrouble):
            raise answer
        if isinstance(answer, ConnectorError):
            return WriteResult(id_, error=answer, exchange=answer.exchange)
        if not answer.is_good:
            error = self._sender.error_of(answer)
            return WriteResult(id_, error=error, exchange=error.exchange)
        return WriteResult(id_, _marked(id_, categories), exchange=answer.exchange)

    # --- the mailbox itself -------------------------------------------------------------------------------------------

    def check_mailbox(self) -> list[Check]:
        return run_checks([Try("Read mails", "Its mails can be read.", lambda: self._places.folders.look(INBOX_FOLDER), remedy)])

    def web_url(self, ref: Ref) -> str:
        return self._template.replace("{object}", ref.object_type).replace("{id}", ref.id)

    def counts(self) -> CallCount:
        return self._http.counts

    def close(self) -> None:
        self._http.close()


def _marked(id_: str, categories: Sequence[str]) -> Record:
    return Record(Ref(SYSTEM, MAIL, id_), {CATEGORIES: tuple(categories)})


def _too_large(size: int, most: int) -> Rejected:
    return Rejected(f"is {size:,} bytes, more than the {most:,} that are taken", system=SYSTEM, code=mails.TOO_LARGE)

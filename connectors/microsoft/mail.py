"""The mails of one Microsoft mailbox as a `MailBox`. Their only write is the category."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Callable, Collection, Sequence
from datetime import datetime
from typing import Any

from connectors import mails
from connectors.checks import Try, run_checks
from connectors.contract import CallCount, Check, Record, Ref, WriteResult
from connectors.errors import ConnectorError, RecordGone, Rejected, StaleVersion
from connectors.http import MAX_BYTES, HttpClient
from connectors.mail_texts import texts_withheld, withhold
from connectors.mailboxes import CATEGORIES, Folder
from connectors.mails import MAIL, Attachment, Known, MailChanges, WholeMails, knows_none
from connectors.microsoft import faults
from connectors.microsoft import mail_codec as codec
from connectors.microsoft.categories import make_category
from connectors.microsoft.client import GraphClient, Part, Reply, address, segment
from connectors.microsoft.codec import etag_of, id_of, is_among, with_category
from connectors.microsoft.mail_changes import MailRounds, Wanted
from connectors.microsoft.mail_places import MailPlaces
from connectors.microsoft.mail_reading import (
    ATTACHMENT_SELECT,
    ATTACHMENTS_TEMPLATE,
    LIST_TEMPLATE,
    MESSAGE_TEMPLATE,
    MailReader,
)
from connectors.microsoft.settings import PARTS_A_CALL, SYSTEM, MicrosoftSettings

FOLDERS_TEMPLATE = "/users/{user}/mailFolders"
SAME_MAIL = 20  # copies of one mail in a mailbox that are looked at
MARK_TRIES = 5
MOST_FOUND = 1000
ASK_MAIL = "Ask a Microsoft 365 administrator to grant the app Mail.ReadWrite, and to let it into this mailbox."


class MicrosoftMails:
    """The mails of one mailbox."""

    system = SYSTEM
    has_categories = True

    def __init__(
        self, address_: str, http: HttpClient, client: GraphClient, settings: MicrosoftSettings, *, page_address_template: str = ""
    ) -> None:
        self.address = address_
        self.concurrency = settings.concurrency
        self.request_timeout = http.timeout
        self._http, self._client, self._settings = http, client, settings
        self._template = page_address_template
        self._places = MailPlaces(client)
        self._reader = MailReader(client, self._places, address_)
        self._rounds = MailRounds(client, self._reader, self._places, settings)
        self._wanted = Wanted()
        self._files: dict[tuple[str, str], Attachment] = {}  # that were told of, of mails read last

    # --- what shares a mail -----------------------------------------------------------------------------------------------
    def use_category(self, category: str) -> None:
        self._wanted.category = category

    def make_category(self, name: str) -> None:
        make_category(self._client, name, self._settings.category_colour)

    def use_folder(self, folder_id: str) -> None:
        self._places.ours = folder_id

    def use_reach(self, *, everything: bool = False, threads: Collection[str] = ()) -> None:
        self._wanted.is_everything, self._wanted.threads = everything, frozenset(threads)

    def folders(self, name: str) -> list[Folder]:
        """As the contract says, in Microsoft's order: it does not tell how old a folder is."""
        path = address(f"{self._client.root}/mailFolders", filter=f"displayName eq '{_quoted(name)}'", select="id,displayName", top="100")
        found = [_folder(row) for row in self._client.every(path, template=FOLDERS_TEMPLATE)]
        if None in found:
            raise self._client.unreadable_list()
        return [folder for folder in found if folder is not None and folder.name == name]

    def make_folder(self, name: str) -> Folder:
        """As the contract says. Microsoft itself refuses a second folder of a name, so two who create at once get one."""
        if found := self.folders(name):
            return found[0]
        try:
            answer = self._client.send("POST", f"{self._client.root}/mailFolders", {"displayName": name}, template=FOLDERS_TEMPLATE)
        except Rejected as refusal:
            is_taken = refusal.status == 409 or refusal.code.casefold() == faults.FOLDER_EXISTS
            if not is_taken or not (found := self.folders(name)):
                raise
            return found[0]
        made = _folder(answer.data)
        if made is None:
            raise faults.error_of(answer.status, None, is_read=False, redact=answer.redact, exchange=answer.exchange)
        return made

    # --- reading ------------------------------------------------------------------------------------------------------------
    @texts_withheld()
    def mail_changes(self, cursor: str, since: datetime, *, known: Known = knows_none) -> MailChanges:
        return self._rounds.page(cursor, since, self._wanted, known)

    @texts_withheld()
    def read(self, ids: Sequence[str]) -> WholeMails:
        return self._reader.read(ids)

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
        if not told.is_file:
            raise Rejected("is a mail or a link, and no file", system=SYSTEM, code=mails.NO_FILE)
        most = min(most, MAX_BYTES // 4 * 3 - 100_000)  # it comes in base64, within one answer
        if told.size > most:
            raise _too_large(told.size, most)
        row = self._attachment(path)
        content = row.get("contentBytes")
        try:
            data = base64.b64decode(content if isinstance(content, str) else "?", validate=True)
        except (binascii.Error, ValueError):
            raise Rejected("tells an attachment in a way that cannot be read", system=SYSTEM) from None
        if len(data) > most:
            raise _too_large(len(data), most)
        return data

    def _told_file(self, path: str) -> Attachment:
        try:
            return codec.read_attachment(self._attachment(address(path, select=ATTACHMENT_SELECT)))
        except codec.CannotBeRead as refusal:
            raise Rejected(f"tells {refusal} in a way that cannot be read", system=SYSTEM) from None

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
        within = f"receivedDateTime ge 1900-01-01T00:00:00Z and conversationId eq '{_quoted(thread)}'"
        return self._reader.search([within], top=min(most, MOST_FOUND), order="receivedDateTime desc")[::-1]

    @texts_withheld()
    def find(self, message_ids: Sequence[str]) -> list[Record]:
        asked = [text for text in dict.fromkeys(message_ids) if text]
        found = self._reader.search([f"internetMessageId eq '{_quoted(text)}'" for text in asked], top=SAME_MAIL)
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
            except codec.CannotBeRead as refusal:
                done[id_] = WriteResult(id_, error=Rejected(f"tells {refusal} in a way that cannot be read", system=SYSTEM))
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

    def web_url(self, ref: Ref) -> str:
        return self._template.replace("{object}", ref.object_type).replace("{id}", segment(ref.id))

    def counts(self) -> CallCount:
        return self._http.counts

    def close(self) -> None:
        self._http.close()


def _quoted(text: str) -> str:
    return text.replace("'", "''")


def _folder(row: Any) -> Folder | None:
    id_, name = (row.get("id"), row.get("displayName")) if isinstance(row, dict) else (None, None)
    return Folder(id_, name) if isinstance(id_, str) and id_ and isinstance(name, str) else None


def _marked(id_: str, categories: Sequence[str]) -> Record:
    return Record(Ref(SYSTEM, MAIL, id_), {CATEGORIES: tuple(categories)})


def _unreadable(record: Record) -> Rejected:
    return Rejected(str(record.fields[mails.REASON]), system=SYSTEM)


def _too_large(size: int, most: int) -> Rejected:
    return Rejected(f"is {size:,} bytes, more than the {most:,} that are taken", system=SYSTEM, code=mails.TOO_LARGE)


def _remedy(error: ConnectorError) -> str:
    return ASK_MAIL if error.status == 403 else ""

"""The contacts of one Microsoft mailbox as a `ContactBox`."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Any

from connectors.checks import Try, run_checks
from connectors.contract import CallCount, Check, Identity, Record, Ref, Schema, Write, WriteResult
from connectors.errors import ConnectorError, MailboxRefused, Rejected
from connectors.http import HttpClient
from connectors.mailbox_base import NoSweeps
from connectors.mailboxes import CONTACT, CONTACT_SCHEMA, FOREIGN_ID, ContactChanges, Folder, write_or_bring_in
from connectors.microsoft import faults
from connectors.microsoft.categories import CATEGORIES_TEMPLATE, make_category
from connectors.microsoft.changes import Changes
from connectors.microsoft.client import GraphClient, address, segment
from connectors.microsoft.held import Held
from connectors.microsoft.moving import Mover
from connectors.microsoft.places import Places
from connectors.microsoft.reading import LIST_TEMPLATE, Reader
from connectors.microsoft.settings import PARTS_A_CALL, SYSTEM, MicrosoftSettings
from connectors.microsoft.writer import Writer
from connectors.oauth import TokenSource
from connectors.text import clean

_FOLDERS = "/users/{user}/contactFolders"
ASK_POLICY = (
    "Ask a Microsoft 365 administrator to let the app into this mailbox: the access policy for applications may leave it out. A change "
    "takes half an hour or more."
)
ASK_CATEGORIES = "Ask a Microsoft 365 administrator to grant the app MailboxSettings.ReadWrite."


class MicrosoftMailbox(NoSweeps):
    """One mailbox. `tokens` are the app's own, or with `is_delegated` those that the mailbox's owner consented to."""

    system = SYSTEM
    marker_field = FOREIGN_ID

    def __init__(
        self,
        address_: str,
        http: HttpClient,
        client: GraphClient,
        tokens: TokenSource,
        settings: MicrosoftSettings,
        *,
        settle_seconds: int = 0,
        page_address_template: str = "",
        is_delegated: bool = False,
        on_close: Callable[[MicrosoftMailbox], None] = lambda box: None,
    ) -> None:
        self.address = address_
        self.settle_seconds = settle_seconds
        self.concurrency = settings.concurrency
        self.request_timeout = http.timeout
        self._http, self._client, self._tokens, self._settings = http, client, tokens, settings
        self._is_delegated = is_delegated
        self._template = page_address_template
        self._on_close = on_close
        self._category = ""
        held = Held(settings.remembered)
        self._places = Places(client)
        self._reader = Reader(client, self._places, held)
        self._changes = Changes(client, self._reader, held, settings.page_size)
        self._writer = Writer(client, self._reader, self._places, held)
        self._mover = Mover(client, self._reader, self._places, settings.move_tries)

    # --- our folder and its category ----------------------------------------------------------------------------------

    def use_folder(self, folder_id: str, category: str) -> None:
        self._places.ours, self._category = folder_id, category

    def folders(self, name: str) -> list[Folder]:
        """As the contract says, in Microsoft's order: it does not tell how old a folder is."""
        path = address(self._client.root + "/contactFolders", filter=f"displayName eq '{name.replace(chr(39), chr(39) * 2)}'")
        rows = self._client.every(path, template=_FOLDERS)
        found = [_folder(row) for row in rows]
        if None in found:
            raise self._client.unreadable_list()
        return [folder for folder in found if folder is not None and folder.name == name]

    def make_folder(self, name: str) -> Folder:
        """As the contract says. Microsoft itself refuses a second folder of a name, so two who create at once get one."""
        found = self.folders(name)
        if found:
            return found[0]
        try:
            answer = self._client.send("POST", self._client.root + "/contactFolders", {"displayName": name}, template=_FOLDERS)
        except Rejected as refusal:
            found = self.folders(name) if _is_taken(refusal) else []
            if not found and _is_taken(refusal):
                raise Rejected(
                    f"says that a folder “{name[:80]}” exists already, but does not show it; look among the deleted folders, or "
                    "choose another name",
                    system=SYSTEM,
                    status=refusal.status,
                    code=refusal.code,
                    exchange=refusal.exchange,
                ) from refusal
            if not found:
                raise
            return found[0]
        made = _folder(answer.data)
        if made is None:
            raise faults.error_of(answer.status, None, is_read=False, redact=answer.redact, exchange=answer.exchange)
        return made

    def make_category(self, name: str) -> None:
        make_category(self._client, name, self._settings.category_colour)

    # --- contacts -----------------------------------------------------------------------------------------------------

    def contact_changes(self, cursor: str, columns: Sequence[str]) -> ContactChanges:
        folder = self._places.ours if self._category else self._ours()
        return self._changes.page(cursor, columns, folder_id=folder, category=self._category)

    def read(self, object_type: str, ids: Sequence[str], columns: Sequence[str]) -> list[Record]:
        _only_contacts(object_type)
        return self._reader.read(ids, columns) if ids else []

    def find_marked(self, object_type: str, markers: Sequence[str], columns: Sequence[str], *, since: datetime) -> list[Record]:
        _only_contacts(object_type)
        return self._reader.find_marked(markers, columns) if markers else []

    def batch_size(self, object_type: str, *, is_create: bool) -> int:
        return PARTS_A_CALL

    def write(self, object_type: str, writes: Sequence[Write]) -> list[WriteResult]:
        """As the contract says, in one call; one more where a list must be known of which a write names a part."""
        _only_contacts(object_type)
        if any(write.ref is None for write in writes):
            self._ours()
        return write_or_bring_in(writes, lambda rest: self._writer.write(rest, category=self._category), self.bring_in)

    def bring_in(self, id_: str, marker: str) -> Record:
        self._ours()
        return self._mover.bring_in(id_, marker, self._category)

    def _ours(self) -> str:
        if not self._places.ours:
            raise ValueError("nobody has said yet which folder is ours")
        return self._places.ours

    # --- what it is, and who we are -----------------------------------------------------------------------------------

    def schema(self, object_type: str) -> Schema:
        _only_contacts(object_type)
        return CONTACT_SCHEMA

    def check_mailbox(self) -> list[Check]:
        root = self._client.root
        contacts, folders = (address(f"{root}/{name}", top="1", select="id") for name in ("contacts", "contactFolders"))
        categories = f"{root}/outlook/masterCategories"
        return run_checks(
            [
                Try("Read contacts", "The contacts of this mailbox can be read.", self._looks(contacts, LIST_TEMPLATE), _policy),
                Try("Read contact folders", "Its folders of contacts can be read.", self._looks(folders, _FOLDERS), _policy),
                Try("Read categories", "Its categories can be read.", self._looks(categories, CATEGORIES_TEMPLATE), _categories),
            ]
        )

    def _looks(self, path: str, template: str) -> Callable[[], object]:
        return lambda: next(self._client.pages(path, template=template))

    def check(self, *, may_send: bool = True) -> list[Check]:
        return self.check_mailbox()

    def identity(self) -> Identity:
        """As the contract says: the mailbox whose owner signed in, which a page compares with the one meant; for an app the
        mailbox itself."""
        if not self._is_delegated:
            return Identity(self.address)
        mail, principal, id_ = self._me()
        return Identity(mail or principal, user_id=id_)

    def owner_addresses(self) -> list[str]:
        """As the contract says: the mail address and the name to sign in with, which may differ."""
        mail, principal, _ = self._me()
        return [name.lower() for name in dict.fromkeys((mail, principal)) if name]

    def _me(self) -> list[str]:
        """Returns mail address, name to sign in with, and id of whoever signed in."""
        said = self._client.get_object(address("/me", select="id,mail,userPrincipalName"), template="/me")
        return [clean(str(said.get(name) or ""))[0][:255] for name in ("mail", "userPrincipalName", "id")]

    def keep_alive(self) -> None:
        self._tokens.keep_alive()

    def web_url(self, ref: Ref) -> str:
        return self._template.replace("{object}", ref.object_type).replace("{id}", segment(ref.id))

    def counts(self) -> CallCount:
        """As the contract says. The parts of `$batch` calls stand in `by_template` with "part " before them: they are what
        Microsoft counts, and no calls of their own."""
        return self._http.counts

    def close(self) -> None:
        self._http.close()
        self._on_close(self)


def _only_contacts(object_type: str) -> None:
    if object_type != CONTACT:
        raise ValueError(f"a mailbox holds contacts, not {object_type[:40]!r}")


def _folder(row: Any) -> Folder | None:
    id_, name = (row.get("id"), row.get("displayName")) if isinstance(row, dict) else (None, None)
    return Folder(id_, name) if isinstance(id_, str) and id_ and isinstance(name, str) else None


def _is_taken(refusal: Rejected) -> bool:
    return refusal.status == 409 or refusal.code.casefold() == faults.FOLDER_EXISTS


def _is_refusal(error: ConnectorError) -> bool:
    return isinstance(error, MailboxRefused) and not error.is_gone


def _policy(error: ConnectorError) -> str:
    return ASK_POLICY if _is_refusal(error) else ""


def _categories(error: ConnectorError) -> str:
    return ASK_CATEGORIES if _is_refusal(error) else ""

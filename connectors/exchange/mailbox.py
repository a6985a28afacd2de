"""The contacts of one mailbox of an Exchange server as a `ContactBox`."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime

from connectors.checks import Try, run_checks
from connectors.contract import CallCount, Check, Identity, Record, Ref, Schema, Write, WriteResult
from connectors.errors import ConnectorError, MailboxRefused
from connectors.exchange.changes import Changes
from connectors.exchange.client import EwsClient
from connectors.exchange.contact_writer import ContactWriter
from connectors.exchange.folders import Folders
from connectors.exchange.moving import Mover
from connectors.exchange.reading import Finder, Reader
from connectors.exchange.settings import SYSTEM, ExchangeSettings
from connectors.http import HttpClient
from connectors.mailbox_base import NoSweeps
from connectors.mailboxes import CONTACT, CONTACT_SCHEMA, FOREIGN_ID, ContactChanges, Folder, write_or_bring_in

ASK_IMPERSONATION = (
    "Ask an Exchange administrator to give the service account the role ApplicationImpersonation, with a scope that holds this mailbox."
)


class ExchangeMailbox(NoSweeps):
    """One mailbox. Its calls go out one after the other."""

    system = SYSTEM
    marker_field = FOREIGN_ID
    concurrency = 1
    moves_change_ids = True

    def __init__(
        self,
        address: str,
        http: HttpClient,
        client: EwsClient,
        settings: ExchangeSettings,
        *,
        settle_seconds: int = 0,
        page_address_template: str = "",
        on_close: Callable[[ExchangeMailbox], None] = lambda box: None,
    ) -> None:
        self.address = address
        self.settle_seconds = settle_seconds
        self.request_timeout = http.timeout
        self._http, self._settings = http, settings
        self._template = page_address_template
        self._on_close = on_close
        self._category = ""
        self._folders = Folders(client)
        self._reader = Reader(client, Finder(client, settings), self._folders)
        self._changes = Changes(client, self._reader, self._folders, settings)
        self._writer = ContactWriter(client, self._folders, settings)
        self._mover = Mover(client, self._reader, self._writer, self._folders, settings.move_tries)

    # --- our folder and its category ----------------------------------------------------------------------------------

    def use_folder(self, folder_id: str, category: str) -> None:
        self._folders.ours, self._category = folder_id, category

    def folders(self, name: str) -> list[Folder]:
        """As the contract says, in Exchange's order: it does not tell how old a folder is."""
        return self._folders.named(name)

    def make_folder(self, name: str) -> Folder:
        """As the contract says. Exchange itself refuses a second folder of a name, so two who create at once get one."""
        return self._folders.make(name)

    def make_category(self, name: str) -> None:
        """Has nothing to do: an item bears any name as its category, and the list with the colours is Outlook's own."""

    # --- contacts -----------------------------------------------------------------------------------------------------

    def contact_changes(self, cursor: str, columns: Sequence[str]) -> ContactChanges:
        return self._changes.page(cursor, columns, category=self._category)

    def read(self, object_type: str, ids: Sequence[str], columns: Sequence[str]) -> list[Record]:
        _only_contacts(object_type)
        return self._reader.read(ids, columns) if ids else []

    def find_marked(self, object_type: str, markers: Sequence[str], columns: Sequence[str], *, since: datetime) -> list[Record]:
        _only_contacts(object_type)
        return self._reader.find_marked(markers, columns) if markers else []

    def batch_size(self, object_type: str, *, is_create: bool) -> int:
        return self._settings.items_a_call

    def write(self, object_type: str, writes: Sequence[Write]) -> list[WriteResult]:
        """As the contract says: creates, updates and deletes in a call each."""
        _only_contacts(object_type)
        if any(write.ref is None for write in writes):
            self._ours()
        return write_or_bring_in(writes, lambda rest: self._writer.write(rest, category=self._category), self.bring_in)

    def bring_in(self, id_: str, marker: str) -> Record:
        self._ours()
        return self._mover.bring_in(id_, marker, self._category)

    def _ours(self) -> str:
        if not self._folders.ours:
            raise ValueError("nobody has said yet which folder is ours")
        return self._folders.ours

    # --- what it is, and who we are -----------------------------------------------------------------------------------

    def schema(self, object_type: str) -> Schema:
        _only_contacts(object_type)
        return CONTACT_SCHEMA

    def check_mailbox(self) -> list[Check]:
        return run_checks([Try("Read contacts", "The contacts of this mailbox can be read.", self._folders.look, remedy)])

    def check(self, *, may_send: bool = True) -> list[Check]:
        return self.check_mailbox()

    def identity(self) -> Identity:
        return Identity(self.address)

    def owner_addresses(self) -> list[str]:
        """Returns nobody: no owner signs in for a mailbox here, the service account does for all."""
        return []

    def keep_alive(self) -> None:
        """Nothing of a password dies of not being used."""

    def web_url(self, ref: Ref) -> str:
        return self._template.replace("{object}", ref.object_type).replace("{id}", ref.id)

    def counts(self) -> CallCount:
        return self._http.counts

    def close(self) -> None:
        self._http.close()
        self._on_close(self)


def _only_contacts(object_type: str) -> None:
    if object_type != CONTACT:
        raise ValueError(f"a mailbox holds contacts, not {object_type[:40]!r}")


def remedy(error: ConnectorError) -> str:
    """Says who can mend a refusal."""
    return ASK_IMPERSONATION if isinstance(error, MailboxRefused) and not error.is_gone else ""

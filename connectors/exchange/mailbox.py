"""The contacts of one mailbox of an Exchange server as a `ContactBox`."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from connectors.checks import Try, run_checks
from connectors.contract import Check
from connectors.exchange.box import ExchangeBox, remedy
from connectors.exchange.changes import Changes
from connectors.exchange.client import EwsClient
from connectors.exchange.contact_writer import ContactWriter
from connectors.exchange.folders import Folders
from connectors.exchange.moving import Mover
from connectors.exchange.reading import Finder, Reader
from connectors.exchange.settings import ExchangeSettings
from connectors.folder_contacts import FolderContacts
from connectors.http import HttpClient
from connectors.mailboxes import ContactChanges, Folder


class ExchangeMailbox(FolderContacts, ExchangeBox):
    """One mailbox."""

    moves_change_ids = True
    _places: Folders

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
        super().__init__(address, http, client, settings, settle_seconds=settle_seconds, page_address_template=page_address_template)
        self._on_close = on_close
        self._places = Folders(client)
        self._reader = Reader(client, Finder(client, settings), self._places)
        self._changes = Changes(client, self._reader, self._places, settings)
        self._writer = ContactWriter(client, self._places, settings)
        self._mover = Mover(client, self._reader, self._writer, self._places, settings.move_tries)

    # --- our folder and its category ----------------------------------------------------------------------------------

    def folders(self, name: str) -> list[Folder]:
        """As the contract says, in Exchange's order: it does not tell how old a folder is."""
        return self._places.named(name)

    def make_folder(self, name: str) -> Folder:
        """As the contract says. Exchange itself refuses a second folder of a name, so two who create at once get one."""
        return self._places.make(name)

    # --- contacts -----------------------------------------------------------------------------------------------------

    def contact_changes(self, cursor: str, columns: Sequence[str]) -> ContactChanges:
        return self._changes.page(cursor, columns, category=self._category)

    def batch_size(self, object_type: str, *, is_create: bool) -> int:
        return self._settings.items_a_call

    # --- what it is, and who we are -----------------------------------------------------------------------------------

    def check_mailbox(self) -> list[Check]:
        return run_checks([Try("Read contacts", "The contacts of this mailbox can be read.", self._places.look, remedy)])

    def owner_addresses(self) -> list[str]:
        """Returns nobody: no owner signs in for a mailbox here, the service account does for all."""
        return []

    def close(self) -> None:
        super().close()
        self._on_close(self)

"""The contacts of one Microsoft mailbox as a `ContactBox`."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from connectors.checks import Try, run_checks
from connectors.contract import CallCount, Check, Identity
from connectors.errors import ConnectorError, MailboxRefused
from connectors.folder_contacts import FolderContacts
from connectors.http import HttpClient
from connectors.mailboxes import ContactChanges, Folder
from connectors.microsoft.box import MicrosoftBox
from connectors.microsoft.categories import CATEGORIES_TEMPLATE
from connectors.microsoft.changes import Changes
from connectors.microsoft.client import GraphClient, address
from connectors.microsoft.folders import Folders
from connectors.microsoft.held import Held
from connectors.microsoft.moving import Mover
from connectors.microsoft.places import Places
from connectors.microsoft.reading import LIST_TEMPLATE, Reader
from connectors.microsoft.settings import PARTS_A_CALL, MicrosoftSettings
from connectors.microsoft.writer import Writer
from connectors.oauth import TokenSource
from connectors.text import clean

ASK_POLICY = (
    "Ask a Microsoft 365 administrator to let the app into this mailbox: the access policy for applications may leave it out. A change "
    "takes half an hour or more."
)
ASK_CATEGORIES = "Ask a Microsoft 365 administrator to grant the app MailboxSettings.ReadWrite."


class MicrosoftMailbox(FolderContacts, MicrosoftBox):
    """One mailbox. `tokens` are the app's own, or with `is_delegated` those that the mailbox's owner consented to."""

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
        super().__init__(address_, http, client, settings, settle_seconds=settle_seconds, page_address_template=page_address_template)
        self._tokens = tokens
        self._is_delegated = is_delegated
        self._on_close = on_close
        held = Held(settings.remembered)
        self._places = Places(client)
        self._folders = Folders(client, "contactFolders")
        self._reader = Reader(client, self._places, held)
        self._changes = Changes(client, self._reader, held, settings.page_size)
        self._writer = Writer(client, self._reader, self._places, held)
        self._mover = Mover(client, self._reader, self._places, settings.move_tries)

    # --- our folder and its category ----------------------------------------------------------------------------------

    def folders(self, name: str) -> list[Folder]:
        return self._folders.named(name)

    def make_folder(self, name: str) -> Folder:
        return self._folders.make(name)

    # --- contacts -----------------------------------------------------------------------------------------------------

    def contact_changes(self, cursor: str, columns: Sequence[str]) -> ContactChanges:
        folder = self._places.ours if self._category else self._ours()
        return self._changes.page(cursor, columns, folder_id=folder, category=self._category)

    def batch_size(self, object_type: str, *, is_create: bool) -> int:
        return PARTS_A_CALL

    # --- what it is, and who we are -----------------------------------------------------------------------------------

    def check_mailbox(self) -> list[Check]:
        root = self._client.root
        contacts, folders = (address(f"{root}/{name}", top="1", select="id") for name in ("contacts", "contactFolders"))
        categories = f"{root}/outlook/masterCategories"
        return run_checks(
            [
                Try("Read contacts", "The contacts of this mailbox can be read.", self._looks(contacts, LIST_TEMPLATE), _policy),
                Try("Read contact folders", "Its folders of contacts can be read.", self._looks(folders, self._folders.template), _policy),
                Try("Read categories", "Its categories can be read.", self._looks(categories, CATEGORIES_TEMPLATE), _categories),
            ]
        )

    def _looks(self, path: str, template: str) -> Callable[[], object]:
        return lambda: next(self._client.pages(path, template=template))

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

    def counts(self) -> CallCount:
        """As the contract says. The parts of `$batch` calls stand in `by_template` with "part " before them: they are what
        Microsoft counts, and no calls of their own."""
        return super().counts()

    def close(self) -> None:
        super().close()
        self._on_close(self)


def _is_refusal(error: ConnectorError) -> bool:
    return isinstance(error, MailboxRefused) and not error.is_gone


def _policy(error: ConnectorError) -> str:
    return ASK_POLICY if _is_refusal(error) else ""


def _categories(error: ConnectorError) -> str:
    return ASK_CATEGORIES if _is_refusal(error) else ""

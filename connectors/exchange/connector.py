"""An Exchange server as a connection that leads to many mailboxes: one service account that may act as each of their users."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any, TypeVar
from urllib.parse import urlsplit

from connectors.checks import Try, run_checks
from connectors.contract import CallCount, Check, Identity, Ref
from connectors.errors import NeedsAttention
from connectors.exchange.box import ExchangeBox
from connectors.exchange.calendar import ExchangeCalendar
from connectors.exchange.client import EwsClient, configuration
from connectors.exchange.directory import listed, resolved
from connectors.exchange.mail import ExchangeMails
from connectors.exchange.mailbox import ExchangeMailbox
from connectors.exchange.settings import SYSTEM, Directory, ExchangeSettings
from connectors.exchange.tasks import ExchangeTasks
from connectors.http import HttpClient
from connectors.mailbox_base import NoRecords
from connectors.mailboxes import FOREIGN_ID, MailboxUser
from connectors.open_boxes import OpenBoxes

Apart = TypeVar("Apart", bound=ExchangeBox)


class ExchangeConnector(NoRecords):
    """One server. `open_http` makes a client for each mailbox, since Exchange charges each by itself."""

    system = SYSTEM
    marker_field = FOREIGN_ID
    concurrency = 1

    def __init__(
        self,
        open_http: Callable[[], HttpClient],
        secrets: Mapping[str, Any],
        *,
        settings: ExchangeSettings | None = None,
        page_address_template: str = "",
        settle_seconds: int = 0,
    ) -> None:
        self._open_http = open_http
        self._settings = settings or ExchangeSettings()
        password = str(secrets.get("password") or "")
        if not self._settings.user or not password:
            raise NeedsAttention("needs user and password of the service account; open the connection and enter them", system=SYSTEM)
        self._http = open_http()
        self._config = configuration(self._http.base_url, self._settings, password)
        self._directory = EwsClient(self._http, self._config)
        self._template = page_address_template
        self._boxes: OpenBoxes[ExchangeMailbox] = OpenBoxes()
        self.settle_seconds = settle_seconds
        self.request_timeout = self._http.timeout

    # --- mailboxes ----------------------------------------------------------------------------------------------------

    def mailbox(self, address: str) -> ExchangeMailbox:
        """Returns the contacts of one mailbox. Costs no call. While it is open, the same is returned again."""
        return self._boxes.contacts(address, self._opened)

    def calendar(self, address: str) -> ExchangeCalendar:
        """As the contract says; the caller closes it."""
        return self._boxes.apart(lambda: self._apart(ExchangeCalendar, address))

    def tasks(self, address: str) -> ExchangeTasks:
        """As the contract says; the caller closes it."""
        return self._boxes.apart(lambda: self._apart(ExchangeTasks, address))

    def mails(self, address: str) -> ExchangeMails:
        """As the contract says; the caller closes it."""
        return self._boxes.apart(lambda: self._apart(ExchangeMails, address))

    def _apart(self, kind: type[Apart], address: str) -> Apart:
        http, client = self._reach(address)
        return kind(address, http, client, self._settings, settle_seconds=self.settle_seconds, page_address_template=self._template)

    def _opened(self, address: str) -> ExchangeMailbox:
        http, client = self._reach(address)
        return ExchangeMailbox(
            address,
            http,
            client,
            self._settings,
            settle_seconds=self.settle_seconds,
            page_address_template=self._template,
            on_close=self._boxes.forget,
        )

    def _reach(self, address: str) -> tuple[HttpClient, EwsClient]:
        http = self._open_http()
        return http, EwsClient(http, self._config, mailbox=address)

    def users(self) -> Iterator[list[MailboxUser]]:
        """As the contract says: the list that an admin keeps, or the address list of the server as far as it can be searched."""
        if self._settings.directory == Directory.LIST:
            yield from listed(self._settings.mailboxes)
        else:
            yield from resolved(self._directory)

    # --- what it is, and who we are -----------------------------------------------------------------------------------

    def check(self, *, may_send: bool = True) -> list[Check]:
        """As the contract says: whether the server answers and takes the service account. Whether that may act as the users of
        mailboxes is said by the test of each."""
        lines = run_checks([Try("Sign in", "The server knows the service account.", self._signs_in)])
        if not lines[0].is_ok or self._settings.directory == Directory.NAMES:
            return lines
        count = len(self._settings.mailboxes)
        if count:
            return [*lines, Check("List people", True, f"The list names {count} mailbox{'es' if count != 1 else ''}.")]
        return [*lines, Check("List people", True, "The list names no mailbox yet; enter their addresses on this page.", is_warning=True)]

    def _signs_in(self) -> object:
        return next(resolved(self._directory, most_calls=1))

    def identity(self) -> Identity:
        """As the contract says: the service account; the server says nothing of its organisation."""
        return Identity(self._settings.user[:100], urlsplit(self._http.base_url).hostname or "")

    def keep_alive(self) -> None:
        """Nothing of a password dies of not being used."""

    def counts(self) -> CallCount:
        return self._boxes.counts(self._http.counts)

    def web_url(self, ref: Ref) -> str:
        return self._template.replace("{object}", ref.object_type).replace("{id}", ref.id)

    def close(self) -> None:
        self._boxes.close()
        self._http.close()

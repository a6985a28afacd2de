"""Microsoft 365 as a connection that leads to many mailboxes: sign-in, directory, and a `ContactBox` per address."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any, TypeVar

from connectors.checks import Try, run_checks
from connectors.contract import CallCount, Check, Identity, Ref
from connectors.errors import NeedsAttention
from connectors.grants import ClientCredentialsGrant, RefreshGrant
from connectors.http import HttpClient
from connectors.mailbox_base import NoRecords
from connectors.mailboxes import FOREIGN_ID, MailboxUser
from connectors.microsoft import scopes
from connectors.microsoft.box import MicrosoftBox
from connectors.microsoft.calendar import MicrosoftCalendar
from connectors.microsoft.client import GraphClient, address
from connectors.microsoft.event_codec import PREFERS
from connectors.microsoft.login import Flow, Registration, resource_of
from connectors.microsoft.mail import MicrosoftMails
from connectors.microsoft.mailbox import MicrosoftMailbox
from connectors.microsoft.settings import SYSTEM, MicrosoftSettings
from connectors.microsoft.slots import Slots, shared
from connectors.microsoft.subscriptions import MicrosoftWatches
from connectors.microsoft.todo import MicrosoftTasks
from connectors.microsoft.tokens import TokenDesk
from connectors.oauth import MailboxStores, TokenSource, TokenStore
from connectors.open_boxes import OpenBoxes
from connectors.text import clean

APP_REMEDY = "look at tenant, application id and client secret or certificate"
ASK_CONSENT = "Ask a Microsoft 365 administrator to grant the app {name} (type Application) and to consent to it."
_USERS = "/users"
Apart = TypeVar("Apart", bound=MicrosoftBox)


class MicrosoftConnector(NoRecords):
    """One app at Microsoft. `open_graph` makes a client of the API for each mailbox, since Microsoft throttles each by
    itself; `desk` leads to the token endpoint. App-only tokens are in `store`, those of one mailbox in `mailbox_store`."""

    system = SYSTEM
    marker_field = FOREIGN_ID

    def __init__(
        self,
        open_graph: Callable[[], HttpClient],
        desk: HttpClient,
        registration: Registration,
        store: TokenStore,
        mailbox_store: MailboxStores | None = None,
        *,
        settings: MicrosoftSettings | None = None,
        page_address_template: str = "",
        settle_seconds: int = 0,
        now: Callable[[], datetime] | None = None,
    ) -> None:
        if registration.flow is Flow.WEB and mailbox_store is None:
            raise NeedsAttention("has no place for the tokens of single mailboxes", system=SYSTEM)
        self._open_graph, self._desk = open_graph, desk
        self._registration = registration
        self._mailbox_store = mailbox_store
        self._settings = settings or MicrosoftSettings()
        self._template = page_address_template
        self._clock: Mapping[str, Any] = {} if now is None else {"now": now}
        self._http = open_graph()
        self._resource = resource_of(self._settings, self._http.base_url)
        for secret in (registration.secret, registration.private_key):
            desk.redact.add(secret)
        self._everywhere = shared(self._http.base_url, registration.client_id, self._settings.global_concurrency)
        self._tokens = self._source(store, ClientCredentialsGrant(remedy=APP_REMEDY))
        self._directory = GraphClient(self._http, self._tokens, Slots(self._settings.concurrency), self._everywhere)
        self._boxes: OpenBoxes[MicrosoftMailbox] = OpenBoxes()
        self._places: dict[str, Slots] = {}  # of each mailbox
        self.settle_seconds = settle_seconds
        self.concurrency = self._settings.concurrency
        self.request_timeout = self._http.timeout

    @property
    def _is_delegated(self) -> bool:
        return self._registration.flow is Flow.WEB

    def _source(self, store: TokenStore, grant: ClientCredentialsGrant | RefreshGrant) -> TokenSource:
        granted = store.load().scope if self._is_delegated else ""
        ask = TokenDesk(self._registration, self._resource, granted)
        return TokenSource(store, self._registration.app(), self._desk, grant=grant, ask=ask, **self._clock)

    # --- mailboxes ----------------------------------------------------------------------------------------------------

    def mailbox(self, address: str) -> MicrosoftMailbox:
        """Returns the contacts of one mailbox, by its address or its user's id. Costs no call. While it is open, the same
        is returned again: its requests share their places."""
        return self._boxes.contacts(address, self._opened)

    def calendar(self, address: str) -> MicrosoftCalendar:
        """As the contract says; the caller closes it."""
        return self._boxes.apart(lambda: self._apart(MicrosoftCalendar, address, PREFERS))

    def tasks(self, address: str) -> MicrosoftTasks:
        """As the contract says; the caller closes it."""
        return self._boxes.apart(lambda: self._apart(MicrosoftTasks, address, PREFERS))

    def mails(self, address: str) -> MicrosoftMails:
        """As the contract says; the caller closes it."""
        return self._boxes.apart(lambda: self._apart(MicrosoftMails, address))

    def _apart(self, kind: type[Apart], address: str, prefers: Sequence[str] = ()) -> Apart:
        http, _, client = self._reach(address, prefers)
        return kind(address, http, client, self._settings, settle_seconds=self.settle_seconds, page_address_template=self._template)

    def watches(self, address: str) -> MicrosoftWatches:
        """As the contract of notices says; the caller closes it."""
        with self._boxes.lock:
            http, _, client = self._reach(address)
            return MicrosoftWatches(http, client)

    def _reach(self, address: str, prefers: Sequence[str] = ()) -> tuple[HttpClient, TokenSource, GraphClient]:
        """Returns what leads to one mailbox. Everything that goes there shares its places (reference section 12)."""
        tokens = self._tokens
        if self._is_delegated and self._mailbox_store is not None:
            tokens = self._source(self._mailbox_store(address), RefreshGrant(remedy=f"let the owner of {address} connect it again"))
        http = self._open_graph()
        places = self._places.setdefault(address, Slots(self._settings.concurrency))
        client = GraphClient(http, tokens, places, self._everywhere, mailbox=address, is_delegated=self._is_delegated, prefers=prefers)
        return http, tokens, client

    def _opened(self, address: str) -> MicrosoftMailbox:
        http, tokens, client = self._reach(address)
        return MicrosoftMailbox(
            address,
            http,
            client,
            tokens,
            self._settings,
            settle_seconds=self.settle_seconds,
            page_address_template=self._template,
            is_delegated=self._is_delegated,
            on_close=self._boxes.forget,
        )

    def users(self) -> Iterator[list[MailboxUser]]:
        """As the contract says; nobody where each mailbox signs in for itself: no token reaches the directory then."""
        if self._is_delegated:
            return
        select = "id,displayName,mail,userPrincipalName,accountEnabled"
        path = address(_USERS, select=select, top=str(self._settings.users_a_page))
        for rows in self._directory.pages(path, template=_USERS):
            users = [_user(row) for row in rows]
            if None in users:  # a page that cannot be read is no page without people
                raise self._directory.unreadable_list()
            yield [user for user in users if user is not None and user.address]

    # --- what it is, and who we are -----------------------------------------------------------------------------------

    def check(self, *, may_send: bool = True) -> list[Check]:
        """As the contract says. What the app may do stands in its token; nothing is written to find out."""
        if self._is_delegated:
            return [Check("Sign in", True, "Each mailbox signs in for itself; the test of each says whether it works.")]
        lines = run_checks([Try("Sign in", "Microsoft knows the app.", self._directory.token)])
        if not lines[0].is_ok:
            return lines
        return [*lines, *self._permissions(), *run_checks([Try("List people", "The directory can be read.", self._first_user)])]

    def _permissions(self) -> list[Check]:
        granted = scopes.granted_to_app(self._directory.token())
        if granted is None:
            said = "The token does not say what the app may do; the test of each mailbox shows it."
            return [Check("Permissions", True, said, is_warning=True)]
        return [_line(permission, is_granted=permission.name in granted) for permission in scopes.APP]

    def _first_user(self) -> object:
        return next(self._directory.pages(address(_USERS, select="id", top="1"), template=_USERS))

    def identity(self) -> Identity:
        """As the contract says: the app and its tenant, as the token names them."""
        claims: Mapping[str, Any] = {}
        if not self._is_delegated:
            claims = scopes.claims_of(self._directory.token())
        name, app_id, tenant_id = (clean(str(claims.get(key) or ""))[0][:100] for key in ("app_displayname", "appid", "tid"))
        app_id = app_id or self._registration.client_id
        return Identity(name or app_id, self._registration.tenant, tenant_id, app_id)

    def keep_alive(self) -> None:
        """Nothing of an app dies of not being used; each mailbox that signed in for itself keeps its own alive."""

    def counts(self) -> CallCount:
        return self._boxes.counts(self._http.counts)

    def web_url(self, ref: Ref) -> str:
        return self._template.replace("{object}", ref.object_type).replace("{id}", ref.id)

    def close(self) -> None:
        self._boxes.close()
        self._http.close()
        self._desk.close()


def _line(permission: scopes.Permission, *, is_granted: bool) -> Check:
    if is_granted:
        return Check(permission.name, True, f"Granted, {permission.purpose}.")
    is_passable = not permission.is_needed
    said = f"Not granted; needed {permission.purpose}."
    return Check(permission.name, is_passable, said, ASK_CONSENT.format(name=permission.name), is_warning=is_passable)


def _user(row: Any) -> MailboxUser | None:
    if not isinstance(row, dict) or not isinstance(row.get("id"), str) or not row["id"]:
        return None
    said = [row.get(name) for name in ("mail", "userPrincipalName", "displayName")]
    if not all(isinstance(text, str | None) for text in said):
        return None
    mail, principal, name = (clean(text or "")[0] for text in said)
    return MailboxUser(row["id"], mail or principal, name, is_active=row.get("accountEnabled") is not False)

"""A connection to Google: many mailboxes, reached by one service account or by what each user consented to."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from datetime import datetime
from typing import Any, TypeVar

from connectors.checks import Try, run_checks
from connectors.contract import CallCount, Check, Identity, Ref
from connectors.errors import MailboxRefused, NeedsAttention
from connectors.google.apis import CALENDAR, GMAIL, PEOPLE, TASKS_API, Api
from connectors.google.box import GoogleBox
from connectors.google.calendar import GoogleCalendar
from connectors.google.client import GoogleClient
from connectors.google.directory import Directory, own_addresses
from connectors.google.gmail import GoogleMails
from connectors.google.login import Consented, Delegation, Flow, Way, account_of, app_of, flow_of
from connectors.google.mailbox import GoogleMailbox
from connectors.google.scopes import DIRECTORY
from connectors.google.settings import SYSTEM, GoogleSettings
from connectors.google.tasks import GoogleTasks
from connectors.google.tokens import GoogleTokens, ScopedStore
from connectors.http import HttpClient
from connectors.mailbox_base import NoRecords
from connectors.mailboxes import FOREIGN_ID, ContactBox, MailboxUser
from connectors.oauth import MailboxStores, TokenStore

Apart = TypeVar("Apart", bound=GoogleBox)
_UNNAMED = Check(
    "Directory",
    True,
    "The people of the organisation cannot be listed: no user is named in whose name the directory is read.",
    "Enter one on this page, or add mailboxes by file or by address.",
    is_warning=True,
)
_ADDRESS = re.compile(r"[^\s@<>\x00-\x1f\x7f]{1,64}@[^\s@<>\x00-\x1f\x7f]{1,190}")


class GoogleConnector(NoRecords):
    """`open_http` makes a client of one of the APIs: one for each mailbox, since each has a quota of its own. `token_http`
    leads to the token page. `store` keeps the connection's own tokens, `mailbox_store` those of one mailbox."""

    system = SYSTEM
    concurrency = 1
    marker_field = FOREIGN_ID

    def __init__(
        self,
        open_http: Callable[[Api], HttpClient],
        token_http: HttpClient,
        store: TokenStore,
        mailbox_store: MailboxStores | None,
        *,
        secrets: Mapping[str, Any],
        settings: Mapping[str, Any],
        page_address_template: str = "",
        settle_seconds: int = 0,
        now: Callable[[], datetime] | None = None,
    ) -> None:
        self._open_http, self._token_http = open_http, token_http
        self._store, self._mailbox_store = store, mailbox_store
        self._clock: Mapping[str, Any] = {} if now is None else {"now": now}
        self._settings = GoogleSettings.of(settings)
        self._flow = flow_of(secrets, settings)
        self._account = account_of(secrets) if self._flow is Flow.SERVICE else None
        self._app = app_of(secrets, str(settings.get("redirect_uri") or ""))
        self._template, self.settle_seconds = page_address_template, settle_seconds
        self._boxes: dict[str, GoogleMailbox] = {}
        self._reached: list[GoogleClient] = []  # what leads to the other parts of mailboxes
        self._tokens = self._own_tokens()
        http = open_http(PEOPLE)
        self.request_timeout = http.timeout
        self._client = GoogleClient(http, self._tokens, self._settings)

    # --- tokens ---------------------------------------------------------------------------------------------------------

    def _own_tokens(self) -> GoogleTokens:
        """Returns the connection's own: what an administrator consented to, or those that read the directory."""
        if self._account is None:
            return GoogleTokens(self._store, self._app, self._token_http, Consented(self._app), **self._clock)
        way = Delegation(self._account, self._settings.directory_user, (DIRECTORY.name,), is_for_directory=True)
        return self._delegated(self._store, way)

    def _delegated(self, store: TokenStore, way: Delegation) -> GoogleTokens:
        return GoogleTokens(ScopedStore(store, " ".join(way.scopes)), self._app, self._token_http, way, needed=(), **self._clock)

    def _tokens_of(self, address: str, api: Api) -> GoogleTokens:
        """Returns the tokens of one part of a mailbox. Those of one user never open another's contacts. What we sign for is a
        token for each part: where one scope of several is not allowed, all of them are refused."""
        if self._account is not None:
            if self._mailbox_store is None:
                raise NeedsAttention("has no place to keep the tokens of mailboxes", system=SYSTEM)
            return self._delegated(self._mailbox_store(address, api.part), Delegation(self._account, address, (api.scope.name,)))
        store = self._mailbox_store(address) if self._mailbox_store is not None else None  # one consent, and one token, for all parts
        needed = (api.scope,)
        is_own = address == self._settings.own_mailbox.strip().lower()
        if store is None or (is_own and not store.load().refresh_token):
            if not is_own:
                raise MailboxRefused(f"{address} is not connected yet; its user presses Connect", system=SYSTEM)
            if api is PEOPLE:
                return self._tokens
            return GoogleTokens(self._store, self._app, self._token_http, Consented(self._app), needed=needed, **self._clock)
        way: Way = Consented(self._app, address)
        return GoogleTokens(store, self._app, self._token_http, way, needed=needed, **self._clock)

    def reach(self, address: str, api: Api) -> tuple[HttpClient, GoogleClient]:
        """Returns what leads to one part of a mailbox, which the connection counts and closes. Costs no call. Raises
        MailboxRefused for what is no address."""
        key = address_of(address)
        http = self._open_http(api)
        client = GoogleClient(http, self._tokens_of(key, api), self._settings, key, api)
        self._reached.append(client)
        return http, client

    # --- mailboxes ------------------------------------------------------------------------------------------------------

    def mailbox(self, address: str) -> ContactBox:
        """As the contract says; the same object for the same address. Raises MailboxRefused for what is no address."""
        key = address_of(address)
        if key not in self._boxes:
            self._boxes[key] = GoogleMailbox(
                key,
                self._open_http(PEOPLE),
                self._tokens_of(key, PEOPLE),
                self._settings,
                page_address_template=self._template,
                settle_seconds=self.settle_seconds,
            )
        return self._boxes[key]

    def calendar(self, address: str) -> GoogleCalendar:
        """As the contract says; the caller closes it. Raises MailboxRefused for what is no address."""
        return self._apart(GoogleCalendar, address, CALENDAR)

    def tasks(self, address: str) -> GoogleTasks:
        """As the contract says. Raises MailboxRefused for what is no address."""
        return self._apart(GoogleTasks, address, TASKS_API)

    def mails(self, address: str) -> GoogleMails:
        """As the contract says. Raises MailboxRefused for what is no address."""
        return self._apart(GoogleMails, address, GMAIL)

    def _apart(self, kind: type[Apart], address: str, api: Api) -> Apart:
        http, client = self.reach(address, api)
        key = address_of(address)
        return kind(key, http, client, self._settings, settle_seconds=self.settle_seconds, page_address_template=self._template)

    def users(self) -> Iterator[list[MailboxUser]]:
        """As the contract says. Without a directory, the one mailbox that is ours."""
        if self._settings.lists_directory:
            yield from Directory(self._client).pages()
        elif own := self._settings.own_mailbox.strip().lower():
            yield [MailboxUser(own, own)]

    # --- the connection -------------------------------------------------------------------------------------------------

    def check(self, *, may_send: bool = True) -> list[Check]:
        """As the contract says. What a mailbox needs, only its own test can tell."""
        if self._account is not None and not self._settings.directory_user:
            said = "The key of the service account can be read. Whether it may act for users shows the test of a mailbox."
            return [Check("Service account", True, said), *([_UNNAMED] if self._settings.lists_directory else [])]
        tries = [Try("Log-in", "Google takes our log-in.", self._tokens.current)]
        if self._settings.lists_directory:
            tries.append(Try("Directory", "The people of the organisation can be listed.", self._first_users, _directory_remedy))
        return run_checks(tries)

    def _first_users(self) -> None:
        next(iter(Directory(self._client).pages(most=1)), None)

    def identity(self) -> Identity:
        """As the contract says. Whoever consented is the organisation, too: another account has other contacts."""
        if self._account is not None:
            return Identity(self._account.email, self._settings.directory_user.rpartition("@")[2], self._account.client_id)
        address = next(iter(own_addresses(self._client)), "")
        return Identity(address, address.rpartition("@")[2], address)

    def keep_alive(self) -> None:
        """Renews the connection's own tokens; each mailbox renews its own."""
        self._tokens.keep_alive()

    def web_url(self, ref: Ref) -> str:
        return self._template.replace("{id}", ref.id.removeprefix("people/"))

    def counts(self) -> CallCount:
        """Returns the calls of all mailboxes together. Token calls are not among them (engine-rules 38)."""
        whole = CallCount()
        of_parts = [client.counts for client in self._reached]
        for counts in [self._client.counts, *(box.counts() for box in self._boxes.values()), *of_parts]:
            whole.add(counts)
        return whole

    def close(self) -> None:
        for box in self._boxes.values():
            box.close()
        for client in self._reached:
            client.close()
        self._client.close()
        self._tokens.close()


def address_of(text: str) -> str:
    """Returns the address of a mailbox in one spelling. Raises MailboxRefused for what is none."""
    key = text.strip().lower()
    if not _ADDRESS.fullmatch(key):
        raise MailboxRefused(f"{key[:80]!r} is no mail address", system=SYSTEM)
    return key


def _directory_remedy(error: Exception) -> str:
    return f"Allow the scope {DIRECTORY.name}, or switch the directory off and enter mailboxes by hand."

"""A connection to Google: many mailboxes, reached by one service account or by what each user consented to."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from datetime import datetime
from typing import Any

from connectors.checks import Try, run_checks
from connectors.contract import CallCount, Check, Identity, Ref
from connectors.errors import MailboxRefused, NeedsAttention
from connectors.google.client import GoogleClient
from connectors.google.directory import Directory, own_addresses
from connectors.google.login import Consented, Delegation, Flow, Way, account_of, app_of, flow_of
from connectors.google.mailbox import GoogleMailbox
from connectors.google.scopes import CONTACTS, DIRECTORY
from connectors.google.settings import SYSTEM, GoogleSettings
from connectors.google.tokens import GoogleTokens, ScopedStore
from connectors.http import HttpClient
from connectors.mailbox_base import NoRecords
from connectors.mailboxes import FOREIGN_ID, ContactBox, MailboxUser
from connectors.oauth import TokenStore

_UNNAMED = Check(
    "Directory",
    True,
    "The people of the organisation cannot be listed: no user is named in whose name the directory is read.",
    "Enter one on this page, or add mailboxes by file or by address.",
    is_warning=True,
)
_ADDRESS = re.compile(r"[^\s@<>\x00-\x1f\x7f]{1,64}@[^\s@<>\x00-\x1f\x7f]{1,190}")


class GoogleConnector(NoRecords):
    """`open_http` makes a client of the People API: one for each mailbox, since each has a quota of its own. `token_http`
    leads to the token page. `store` keeps the connection's own tokens, `mailbox_store` those of one mailbox."""

    system = SYSTEM
    concurrency = 1
    marker_field = FOREIGN_ID

    def __init__(
        self,
        open_http: Callable[[], HttpClient],
        token_http: HttpClient,
        store: TokenStore,
        mailbox_store: Callable[[str], TokenStore] | None,
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
        self._tokens = self._own_tokens()
        http = open_http()
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

    def _tokens_of(self, address: str) -> GoogleTokens:
        """Returns the tokens of a mailbox. Those of one user never open another's contacts."""
        if self._account is not None:
            if self._mailbox_store is None:
                raise NeedsAttention("has no place to keep the tokens of mailboxes", system=SYSTEM)
            return self._delegated(self._mailbox_store(address), Delegation(self._account, address, (CONTACTS.name,)))
        store = self._mailbox_store(address) if self._mailbox_store is not None else None
        is_own = address == self._settings.own_mailbox.strip().lower()
        if store is None or (is_own and not store.load().refresh_token):
            if not is_own:
                raise MailboxRefused(f"{address} is not connected yet; its user presses Connect", system=SYSTEM)
            return self._tokens
        way: Way = Consented(self._app, address)
        return GoogleTokens(store, self._app, self._token_http, way, **self._clock)

    # --- mailboxes ------------------------------------------------------------------------------------------------------

    def mailbox(self, address: str) -> ContactBox:
        """As the contract says; the same object for the same address. Raises MailboxRefused for what is no address."""
        key = address.strip().lower()
        if not _ADDRESS.fullmatch(key):
            raise MailboxRefused(f"{key[:80]!r} is no mail address", system=SYSTEM)
        if key not in self._boxes:
            self._boxes[key] = GoogleMailbox(
                key,
                self._open_http(),
                self._tokens_of(key),
                self._settings,
                page_address_template=self._template,
                settle_seconds=self.settle_seconds,
            )
        return self._boxes[key]

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
        for counts in [self._client.counts, *(box.counts() for box in self._boxes.values())]:
            whole.calls += counts.calls
            for name, calls in counts.by_template.items():
                whole.by_template[name] = whole.by_template.get(name, 0) + calls
        return whole

    def close(self) -> None:
        for box in self._boxes.values():
            box.close()
        self._client.close()
        self._tokens.close()


def _directory_remedy(error: Exception) -> str:
    return f"Allow the scope {DIRECTORY.name}, or switch the directory off and enter mailboxes by hand."

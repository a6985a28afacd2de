"""System name -> how its connector is opened, and how people connect it in the browser. What the application knows of a
connection comes in as an `Access`; the rest stays in the system's own package. Mail systems are imported when one is opened:
what signs their requests costs every process 0.4 seconds and 11 MiB, and most processes open none."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from urllib.parse import urlencode

from connectors.contract import Connector, Schema, Spread, one_by_one
from connectors.errors import NeedsAttention
from connectors.http import HttpClient
from connectors.oauth import App, MailboxStores, Tokens, TokenSource, TokenStore, authorize_url, request_tokens
from connectors.outreach import scopes as outreach_scopes
from connectors.outreach.connector import OutreachConnector
from connectors.salesforce import login as salesforce_login
from connectors.salesforce import scopes as salesforce_scopes
from connectors.salesforce.connector import SalesforceConnector
from connectors.salesforce.settings import SalesforceSettings
from connectors.workbooks.connector import WorkbooksConnector


@dataclass(frozen=True, slots=True)
class Access:
    """What a connector is opened with. `open_http` makes a client of an address, `spread` a map over at most so many
    threads; `may_reach` tells whether tokens may be sent to a host; `schemas` gives descriptions kept from earlier."""

    open_http: Callable[[str], HttpClient]
    store: TokenStore
    base_url: str
    login_url: str = ""
    secrets: Mapping[str, Any] = field(default_factory=dict, repr=False)
    settings: Mapping[str, Any] = field(default_factory=dict)
    page_address_template: str = ""
    settle_seconds: int = 0
    spread: Callable[[int], Spread] = lambda most: one_by_one
    may_reach: Callable[[str], bool] = lambda host: True
    schemas: Callable[[], Mapping[str, Schema]] = dict
    mailbox_store: MailboxStores | None = None
    now: Callable[[], datetime] | None = None  # the clock that tokens end by; None: this machine's

    @property
    def clock(self) -> dict[str, Any]:
        """What whoever hands out tokens is made with."""
        return {} if self.now is None else {"now": self.now}


@dataclass(frozen=True, slots=True)
class Consent:
    """How people connect a system in the browser: the scopes we ask for, and our registration with it. `needs_secret`: no
    app of the system goes without a client secret. `admin_address` leads to where an administrator lets the app into all
    mailboxes at once, given the log-in address, our registration and a state; None where there is no such page. `of_mailbox`:
    how the user of one mailbox connects it; None where a system has no mailboxes."""

    scope: str
    app_of: Callable[[Mapping[str, Any], str], App]
    needs_secret: bool = True
    admin_address: Callable[[str, App, str], str] | None = None
    of_mailbox: MailboxConsent | None = None


@dataclass(frozen=True, slots=True)
class MailboxConsent:
    """How the user of one mailbox connects it. `address_of` leads to the consent page, given the log-in address, our
    registration, state, verifier and the mailbox's address; `tokens_for` redeems a code (`Code`)."""

    address_of: Callable[[str, App, str, str, str], str]
    tokens_for: Callable[[HttpClient, Code], Tokens]


@dataclass(frozen=True, slots=True)
class Code:
    """What a person came back with from the consent page of their mailbox, and what it takes to redeem it. `secrets`, `settings`
    and `base_url` are the connection's."""

    code: str = field(repr=False)
    verifier: str = field(repr=False)
    redirect_uri: str
    secrets: Mapping[str, Any] = field(repr=False)
    settings: Mapping[str, Any]
    base_url: str
    now: datetime


def open_connector(system: str, access: Access) -> Connector:
    """Returns the connector. Raises NeedsAttention when its address or credentials cannot be used."""
    return _OPENERS[system](access)


def consent_of(system: str) -> Consent:
    """Returns how the system is connected in the browser. Raises NeedsAttention for one that is not."""
    if system not in _CONSENTS:
        raise NeedsAttention("is not connected in the browser", system=system)
    return _CONSENTS[system]()


def _open_workbooks(access: Access) -> Connector:
    if not access.secrets.get("api_key"):
        raise NeedsAttention("has no API key yet; open the connection and enter it", system="workbooks")
    return WorkbooksConnector(
        access.open_http(access.base_url),
        access.secrets["api_key"],
        page_address_template=access.page_address_template,
        settle_seconds=access.settle_seconds,
        spread=access.spread(WorkbooksConnector.concurrency),
    )


def _open_outreach(access: Access) -> Connector:
    own = access.settings
    http = access.open_http(access.base_url)
    is_elsewhere = access.login_url not in ("", access.base_url)
    app = _outreach_app(access.secrets, str(own.get("redirect_uri", "")))
    concurrency = int(own.get("concurrency", 8))
    return OutreachConnector(
        http,
        TokenSource(access.store, app, access.open_http(access.login_url) if is_elsewhere else http, **access.clock),
        page_address_template=access.page_address_template,
        settle_seconds=access.settle_seconds,
        concurrency=concurrency,
        spread=access.spread(concurrency),
        marker_attribute=str(own.get("marker_attribute", "customId")),
        granted_scope=str(own.get("granted_scope", "")),
    )


def _outreach_app(secrets: Mapping[str, Any], redirect_uri: str) -> App:
    return App(secrets.get("client_id", ""), secrets.get("client_secret", ""), redirect_uri)


def _open_salesforce(access: Access) -> Connector:
    own = access.settings
    settings = SalesforceSettings.of(own)
    login_url = access.login_url or access.base_url
    grant = salesforce_login.grant_of(access.secrets, own, login_url)
    app = salesforce_login.app_of(access.secrets, str(own.get("redirect_uri", "")))
    # Two clients: the one for records moves to the address that comes with the tokens, the desk stays where it is.
    return SalesforceConnector(
        access.open_http(access.base_url),
        TokenSource(access.store, app, access.open_http(login_url), grant=grant, **access.clock),
        settings=settings,
        page_address_template=access.page_address_template,
        settle_seconds=access.settle_seconds,
        granted_scope=str(own.get("granted_scope", "")) if grant.may_replace else "",
        schemas=access.schemas(),
        may_reach=access.may_reach,
        spread=access.spread(settings.concurrency),
    )


def _open_microsoft(access: Access) -> Connector:
    from connectors.microsoft import login as microsoft_login
    from connectors.microsoft.connector import MicrosoftConnector
    from connectors.microsoft.settings import MicrosoftSettings

    address = microsoft_login.graph_address(access.base_url)
    return MicrosoftConnector(
        lambda: access.open_http(address),
        access.open_http(access.login_url or microsoft_login.LOGIN),
        microsoft_login.registration_of(access.secrets, access.settings),
        access.store,
        access.mailbox_store,
        settings=MicrosoftSettings.of(access.settings),
        page_address_template=access.page_address_template,
        settle_seconds=access.settle_seconds,
        now=access.now,
    )


def _open_google(access: Access) -> Connector:
    from connectors.google.connector import GoogleConnector

    return GoogleConnector(
        lambda api: access.open_http(api.address(access.base_url, access.settings)),
        access.open_http(access.login_url or access.base_url),
        access.store,
        access.mailbox_store,
        secrets=access.secrets,
        settings=access.settings,
        page_address_template=access.page_address_template,
        settle_seconds=access.settle_seconds,
        now=access.now,
    )


def _open_exchange(access: Access) -> Connector:
    from connectors.exchange import library
    from connectors.exchange.settings import ExchangeSettings, endpoint

    library.require()
    from connectors.exchange.connector import ExchangeConnector

    address = endpoint(access.base_url)
    return ExchangeConnector(
        lambda: access.open_http(address),
        access.secrets,
        settings=ExchangeSettings.of(access.settings),
        page_address_template=access.page_address_template,
        settle_seconds=access.settle_seconds,
    )


def _microsoft_consent() -> Consent:
    from connectors.microsoft import login, scopes

    def address_of(base: str, app: App, state: str, verifier: str, address: str) -> str:
        return login.authorize_address(base, app, state=state, verifier=verifier, address=address)

    of_mailbox = MailboxConsent(address_of, _microsoft_tokens)
    return Consent(scopes.ALL, login.app_of, needs_secret=False, admin_address=login.admin_consent_address, of_mailbox=of_mailbox)


def _microsoft_tokens(http: HttpClient, code: Code) -> Tokens:
    from connectors.microsoft import login
    from connectors.microsoft.settings import MicrosoftSettings
    from connectors.microsoft.tokens import redeem

    resource = login.resource_of(MicrosoftSettings.of(code.settings), login.graph_address(code.base_url))
    registration = login.registration_of(code.secrets, code.settings)
    said = {"code": code.code, "verifier": code.verifier, "redirect_uri": code.redirect_uri}
    return redeem(http, registration, resource, **said, now=code.now)


def _google_consent() -> Consent:
    from connectors.google import login, scopes

    def address_of(base: str, app: App, state: str, verifier: str, address: str) -> str:
        url = authorize_url(base, app, scope=scopes.OF_MAILBOX, state=state, verifier=verifier)
        return f"{url}&{urlencode({'login_hint': address})}"

    def tokens_for(http: HttpClient, code: Code) -> Tokens:
        fields = {"grant_type": "authorization_code", "code": code.code, "code_verifier": code.verifier}
        return request_tokens(http, login.app_of(code.secrets, code.redirect_uri), fields, code.now)

    return Consent(scopes.ALL, login.app_of, of_mailbox=MailboxConsent(address_of, tokens_for))


_OPENERS: Mapping[str, Callable[[Access], Connector]] = {
    "workbooks": _open_workbooks,
    "outreach": _open_outreach,
    "salesforce": _open_salesforce,
    "microsoft": _open_microsoft,
    "google": _open_google,
    "exchange": _open_exchange,
}
_CONSENTS: Mapping[str, Callable[[], Consent]] = {
    "outreach": lambda: Consent(outreach_scopes.ALL, _outreach_app),
    "salesforce": lambda: Consent(salesforce_scopes.ALL, salesforce_login.app_of, needs_secret=False),
    "microsoft": _microsoft_consent,
    "google": _google_consent,
}

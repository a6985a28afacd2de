"""How a connection signs in at Microsoft: as which app, for a whole tenant or for one person each (reference section 1)."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any
from urllib.parse import quote, urlencode, urlsplit

from connectors.errors import NeedsAttention
from connectors.microsoft import scopes
from connectors.microsoft.settings import SYSTEM, MicrosoftSettings
from connectors.oauth import App, authorize_url

GRAPH = "https://graph.microsoft.com"
LOGIN = "https://login.microsoftonline.com"
ANY_TENANT = frozenset({"common", "organizations", "consumers"})  # people of any tenant; an app needs its own
_TENANT = re.compile(r"[A-Za-z0-9][A-Za-z0-9.\-]{0,252}")


class Flow(StrEnum):
    """How tokens come about. APP: one consent for the whole tenant. WEB: each person consents for their own mailbox."""

    APP = "client_credentials"
    WEB = "web"


@dataclass(frozen=True, slots=True)
class Registration:
    """Our app at Microsoft, and how it proves who it is: by `secret`, or by a certificate with its private key (PEM)."""

    client_id: str
    tenant: str
    flow: Flow
    secret: str = field(default="", repr=False)
    private_key: str = field(default="", repr=False)
    certificate: str = field(default="", repr=False)

    @property
    def token_path(self) -> str:
        return f"/{self.tenant}/oauth2/v2.0/token"

    @property
    def authorize_path(self) -> str:
        return f"/{self.tenant}/oauth2/v2.0/authorize"

    def app(self, redirect_uri: str = "") -> App:
        """Returns the same for everybody who knows nothing of certificates."""
        return App(
            self.client_id,
            self.secret,
            redirect_uri,
            authorize_path=self.authorize_path,
            token_path=self.token_path,
            repeats_redirect=False,
        )


def registration_of(secrets: Mapping[str, Any], settings: Mapping[str, Any]) -> Registration:
    """Returns our registration. `settings` hold `tenant` and `flow`; `secrets` hold `client_id` and either `client_secret`
    or `private_key` with `certificate`. Raises NeedsAttention where something is missing."""
    try:
        flow = Flow(str(settings.get("flow") or Flow.APP))
    except ValueError:
        raise NeedsAttention(f"knows no log-in {str(settings.get('flow'))[:40]!r}", system=SYSTEM) from None
    found = _registration(secrets, str(settings.get("tenant") or secrets.get("tenant") or ""), flow)
    if flow is Flow.APP and found.tenant.lower() in ANY_TENANT:
        raise NeedsAttention("lets an app sign in at its own tenant only; enter the tenant's id or domain", system=SYSTEM)
    if not found.client_id or not (found.secret or (found.private_key and found.certificate)):
        raise NeedsAttention(
            "needs the application id, and a client secret or a certificate with its private key; open the connection and enter them",
            system=SYSTEM,
        )
    return found


def _registration(secrets: Mapping[str, Any], tenant: str, flow: Flow) -> Registration:
    tenant = tenant.strip() or "organizations"
    if not _TENANT.fullmatch(tenant):
        raise NeedsAttention(f"has no tenant {tenant[:60]!r}; enter its id or domain", system=SYSTEM)
    given = {name: str(secrets.get(name) or "").strip() for name in ("client_id", "client_secret", "private_key", "certificate")}
    has_certificate = bool(given["private_key"] and given["certificate"])
    secret = "" if has_certificate else given["client_secret"]
    return Registration(given["client_id"], tenant, flow, secret, given["private_key"], given["certificate"])


def app_of(secrets: Mapping[str, Any], redirect_uri: str) -> App:
    """Returns our registration as pages need it that send a person to the consent page. The tenant is the secret `tenant`,
    any organisation without it."""
    return _registration(secrets, str(secrets.get("tenant") or ""), Flow.WEB).app(redirect_uri)


def authorize_address(base: str, app: App, *, state: str, verifier: str, address: str = "") -> str:
    """Returns where a person consents for their mailbox; `address` is written into the page already."""
    url = authorize_url(base, app, scope=scopes.ALL, state=state, verifier=verifier)
    more = {"response_mode": "query", "prompt": "select_account", **({"login_hint": address} if address else {})}
    return f"{url}&{urlencode(more)}"


def admin_consent_address(base: str, app: App, state: str) -> str:
    """Returns where an administrator lets the app into all mailboxes of the tenant. What comes back to the redirect URI is
    `admin_consent=True` with `tenant` and `state`, or an error."""
    tenant = app.authorize_path.split("/")[1]
    fields = {"client_id": app.client_id, "state": state, "redirect_uri": app.redirect_uri}
    return f"{base.rstrip('/')}/{quote(tenant)}/adminconsent?{urlencode(fields)}"


def graph_address(base_url: str) -> str:
    """Returns the address of the API, with its version where none was entered."""
    address = (base_url or GRAPH).rstrip("/")
    try:
        has_path = urlsplit(address).path not in ("", "/")
    except ValueError:
        return address  # refused by the client that is to send there
    return address if has_path else f"{address}/v1.0"


def resource_of(settings: MicrosoftSettings, base_url: str) -> str:
    """Returns what tokens are for: the API's own host. One in our own house stands for the public cloud."""
    if settings.resource:
        return settings.resource.rstrip("/")
    try:
        parts = urlsplit(base_url)
        host = parts.hostname or ""
    except ValueError:
        return GRAPH
    is_cloud = parts.scheme == "https" and parts.port is None and host.rpartition(".")[2].isalpha() and host != "localhost"
    return f"https://{host}" if is_cloud else GRAPH

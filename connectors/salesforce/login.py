"""How a connection logs in to Salesforce: at which host, as which app, and by which grant (reference section 1)."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import Any
from urllib.parse import urlsplit

from connectors.errors import NeedsAttention
from connectors.grants import ClientCredentialsGrant, Grant, JwtGrant, RefreshGrant
from connectors.oauth import App
from connectors.salesforce.codec import SYSTEM

PRODUCTION = "https://login.salesforce.com"
TEST = "https://test.salesforce.com"
AUTHORIZE, TOKEN = "/services/oauth2/authorize", "/services/oauth2/token"


class Flow(StrEnum):
    """How tokens come about. WEB: a person consents in the browser. JWT: we sign for a user. APP: the app's own user."""

    WEB = "web"
    JWT = "jwt"
    APP = "client_credentials"


def login_address(host: str) -> str:
    """Returns where people log in: `production`, `test`, or the organisation's own domain, with or without its ending
    (`acme`, `acme--uat.sandbox`, `acme.my.salesforce.com`, a whole address)."""
    text = host.strip().rstrip("/")
    if text in ("production", "test"):
        return PRODUCTION if text == "production" else TEST
    if "://" in text:
        return text
    return f"https://{text}" if text.lower().endswith(".salesforce.com") else f"https://{text}.my.salesforce.com"


def app_of(secrets: Mapping[str, Any], redirect_uri: str) -> App:
    """Returns our registration. A secret is not needed by every app."""
    return App(
        str(secrets.get("client_id") or ""),
        str(secrets.get("client_secret") or ""),
        redirect_uri,
        authorize_path=AUTHORIZE,
        token_path=TOKEN,
        repeats_redirect=False,
    )


def grant_of(secrets: Mapping[str, Any], settings: Mapping[str, Any], login_url: str) -> Grant:
    """Returns how new tokens are asked for. `settings` holds `flow`, for JWT `jwt_user` and perhaps `jwt_audience`; the
    private key is the secret `jwt_key`. Raises NeedsAttention where something is missing."""
    try:
        flow = Flow(str(settings.get("flow") or Flow.WEB))
    except ValueError:
        raise NeedsAttention(f"knows no log-in {str(settings.get('flow'))[:40]!r}", system=SYSTEM) from None
    if flow is Flow.WEB:
        return RefreshGrant()
    if flow is Flow.JWT:
        client_id, user, key = secrets.get("client_id"), settings.get("jwt_user"), secrets.get("jwt_key")
        if not (client_id and user and key):
            raise NeedsAttention("needs client id, user name and private key to log in by certificate", system=SYSTEM)
        return JwtGrant(str(client_id), str(user), str(settings.get("jwt_audience") or audience_of(login_url)), str(key))
    if login_url.rstrip("/") in (PRODUCTION, TEST):
        raise NeedsAttention("lets an app log in for itself at the organisation's own domain only; enter that", system=SYSTEM)
    if not (secrets.get("client_id") and secrets.get("client_secret")):
        raise NeedsAttention("needs client id and secret to log in as the app", system=SYSTEM)
    return ClientCredentialsGrant()


def audience_of(login_url: str) -> str:
    """Returns for whom an assertion is meant: one of the two log-in hosts, else the site itself."""
    host = (urlsplit(login_url).hostname or "").lower()
    if host == "test.salesforce.com" or host.endswith(".sandbox.my.salesforce.com"):
        return TEST
    return PRODUCTION if host.endswith(".salesforce.com") else login_url.rstrip("/")

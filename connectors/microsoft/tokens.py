"""Tokens from Microsoft through msal: it knows how a certificate signs and what the endpoint wants to be told.

msal only words the request. It opens no socket: its `http_client` is ours, with its time-outs, redaction and allowed
hosts. And it is handed no token: it would keep them in memory, where no other process finds them, so an answer goes to
the `TokenStore` past it.
"""

from __future__ import annotations

import json
import re
import warnings
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlsplit

import msal
from cryptography.exceptions import UnsupportedAlgorithm
from jwt.exceptions import PyJWTError

from connectors.errors import ConnectionTrouble, NeedsAttention, RateLimited
from connectors.http import Answer, HttpClient, not_its_own, unreadable
from connectors.microsoft import scopes
from connectors.microsoft.login import GRAPH, Registration
from connectors.microsoft.settings import SYSTEM
from connectors.oauth import App, Tokens, expiry

TEMPLATE = "/{tenant}/oauth2/v2.0/token"
SECRET_FIELDS = ("client_secret", "client_assertion", "refresh_token", "code", "code_verifier")
OF_THE_APP = frozenset({"invalid_client", "unauthorized_client", "invalid_request", "invalid_scope"})  # no mailbox is at fault
BUSY = frozenset({"temporarily_unavailable", "server_error"})
_CODE = re.compile(r"AADSTS(\d{4,8})")
_REMEDIES = {  # by Microsoft's own number; what is not here is told by the kind of refusal
    "7000215": "the client secret is wrong; enter its value anew (the value, not its id)",
    "7000222": "the client secret has expired; make a new one at Microsoft and enter it",
    "700027": "the certificate is not the one registered with the app; upload it there, or enter the right one",
    "700016": "the tenant does not know this application id; compare it, or let an administrator consent to the app",
    "90002": "there is no such tenant; enter the tenant's id or domain anew",
    "900023": "there is no such tenant; enter the tenant's id or domain anew",
    "65001": "nobody has consented to the app yet; let an administrator consent",
}
_KINDS = {
    "invalid_client": "look at application id and client secret or certificate",
    "unauthorized_client": "look at the application id, and whether an administrator consented to the app in this tenant",
    "invalid_grant": "its access was withdrawn or has expired; reconnect it",
    "interaction_required": "its owner has to sign in again; reconnect it",
    "consent_required": "its owner has to consent again; reconnect it",
    "invalid_scope": "the app lacks a permission; let an administrator consent to the app",
}


class _Said:
    """An answer as msal reads it."""

    def __init__(self, status: int, data: Any, headers: Mapping[str, str]) -> None:
        self.status_code = status
        self.text = json.dumps(data)
        self.headers = headers

    def raise_for_status(self) -> None:
        """Failures were raised by our own client."""


class _Wire:
    """What msal takes for its HTTP client: one call of the token endpoint, and the answer to it. An authority over plain
    http on this machine looks like https to msal, which takes no other."""

    def __init__(self, http: HttpClient, registration: Registration) -> None:
        self._http = http
        self._registration = registration
        self.host = urlsplit(http.base_url).netloc
        self.answer: Answer | None = None

    def get(self, url: str, **options: Any) -> _Said:
        """Answers for the discovery document: the endpoints stand in the documentation, and asking costs a call."""
        root = f"https://{self.host}"
        tenant = self._registration.tenant
        return _Said(
            200,
            {
                "issuer": f"{root}/{tenant}/v2.0",
                "authorization_endpoint": root + self._registration.authorize_path,
                "token_endpoint": root + self._registration.token_path,
            },
            {},
        )

    def post(self, url: str, *, data: Mapping[str, Any], headers: Mapping[str, str] | None = None, **options: Any) -> _Said:
        if urlsplit(url).netloc != self.host:
            raise NeedsAttention("was to be asked for tokens at another host; refused", system=SYSTEM)
        form = [(name, value.decode() if isinstance(value, bytes) else str(value)) for name, value in data.items()]
        for name, value in form:
            if name in SECRET_FIELDS:
                self._http.redact.add(value)
        own = {name: value for name, value in (headers or {}).items() if isinstance(value, str)}
        path = self._registration.token_path
        answer = self._http.request("POST", path, template=TEMPLATE, is_read=False, form=form, headers=own)
        self.answer = answer
        if not isinstance(answer.data, dict) or answer.was_redirected:
            raise not_its_own(SYSTEM, answer, is_read=False)
        is_good = answer.status == 200
        return _Said(answer.status, {"token_type": "Bearer", "expires_in": 1, "access_token": "-"} if is_good else answer.data, {})

    def close(self) -> None:
        """The client is its maker's."""


class TokenDesk:
    """Asks for tokens as `connectors.oauth.request_tokens` does, through msal. `resource` is what they are for; `granted` what
    the owner of the mailbox consented to, as it was told with the last tokens."""

    def __init__(self, registration: Registration, resource: str, granted: str = "") -> None:
        self._registration = registration
        self._resource = resource
        self._granted = granted

    def __call__(self, http: HttpClient, app: App, fields: Mapping[str, str], now: datetime, *, remedy: str = "") -> Tokens:
        """Returns the tokens of one call of the token endpoint. Raises NeedsAttention when the grant is refused, and other
        ConnectionTrouble; none of it leaves a record in doubt, for the call that needs the token was not made yet."""
        wire = _Wire(http, self._registration)
        try:
            self._ask(wire, app, fields)
        except ConnectionTrouble as trouble:
            trouble.may_have_happened = False
            raise
        except (ValueError, TypeError, UnsupportedAlgorithm, PyJWTError):  # its text might show the key
            raise NeedsAttention(
                "has a private key or certificate that cannot be read; enter both anew, as PEM, the key without a password",
                system=SYSTEM,
            ) from None
        if wire.answer is None:
            raise NeedsAttention("could not be asked for tokens", system=SYSTEM)
        return _tokens(wire.answer, fields, now, remedy)

    def _ask(self, wire: _Wire, app: App, fields: Mapping[str, str]) -> None:
        """Lets msal word the request. A new client each time: one that is kept answers from its memory."""
        client = msal.ConfidentialClientApplication(
            self._registration.client_id,
            client_credential=self._credential(),
            authority=f"https://{wire.host}/{self._registration.tenant}",
            http_client=wire,
            validate_authority=False,
            instance_discovery=False,  # it would ask Microsoft's public cloud about ours
            azure_region=False,  # MSAL_FORCE_REGION would lead to another host
        )
        grant = fields["grant_type"]
        if grant == "client_credentials":
            client.acquire_token_for_client([f"{self._resource}/.default"])
        elif grant == "refresh_token":
            client.acquire_token_by_refresh_token(fields["refresh_token"], self._scopes())
        else:
            with warnings.catch_warnings():  # it would rather keep our state for us, in memory
                warnings.simplefilter("ignore", DeprecationWarning)
                client.acquire_token_by_authorization_code(
                    fields["code"],
                    self._scopes(),
                    redirect_uri=app.redirect_uri,
                    data={"code_verifier": fields["code_verifier"]} if fields.get("code_verifier") else {},
                )

    def _credential(self) -> str | dict[str, str]:
        ours = self._registration
        if ours.secret:
            return ours.secret
        return {"private_key": ours.private_key, "public_certificate": ours.certificate}

    def _scopes(self) -> list[str]:
        """Returns what a person consented to. Names without a host are those of the public cloud."""
        host = "" if self._resource == GRAPH else f"{self._resource}/"
        return [host + name for name in scopes.renewable(self._granted)]


def redeem(
    http: HttpClient, registration: Registration, resource: str, *, code: str, verifier: str, redirect_uri: str, now: datetime | None = None
) -> Tokens:
    """Returns the tokens for the code that a person came back with from the consent page. `identity` says who it was, as
    far as Microsoft tells. Raises as `TokenDesk` does."""
    fields = {"grant_type": "authorization_code", "code": code, "code_verifier": verifier}
    return TokenDesk(registration, resource)(http, registration.app(redirect_uri), fields, now or datetime.now(UTC))


def _tokens(answer: Answer, fields: Mapping[str, str], now: datetime, remedy: str) -> Tokens:
    data = answer.data
    if answer.status != 200:
        raise _refusal(answer, remedy)
    access, refresh, scope = data.get("access_token"), data.get("refresh_token"), data.get("scope")
    if not isinstance(access, str) or not access:
        raise unreadable(SYSTEM, answer, is_read=True)
    said = data.get("id_token")
    claims = scopes.claims_of(said) if isinstance(said, str) else {}
    return Tokens(
        access,
        refresh if isinstance(refresh, str) and refresh else fields.get("refresh_token", ""),
        expiry(data.get("expires_in"), now),
        scope=scope[:1000] if isinstance(scope, str) else "",
        identity=str(claims.get("preferred_username") or "")[:255],
    )


def _refusal(answer: Answer, remedy: str) -> ConnectionTrouble:
    """Returns what a refusal means, with what a person does about it."""
    said = answer.data
    kind = answer.redact(str(said.get("error") or answer.status), limit=60)
    if kind in BUSY:
        return RateLimited("asks us to wait before we renew our access", system=SYSTEM, status=answer.status, code=kind, retry_after=60.0)
    if not (400 <= answer.status < 500) or "error" not in said:
        return not_its_own(SYSTEM, answer, is_read=True)
    words = str(said.get("error_description") or "")
    found = _CODE.search(words)
    numbers = said.get("error_codes")
    number = found[1] if found else next((str(n) for n in numbers if isinstance(n, int)), "") if isinstance(numbers, list) else ""
    advice = _REMEDIES.get(number) or _KINDS.get(kind) or remedy or "look at tenant, application id and client secret or certificate"
    named = f"{kind}, AADSTS{number}" if number else kind
    return NeedsAttention(
        f"refuses our sign-in ({named}): {advice} (it says: {answer.redact(words, limit=200)})",
        system=SYSTEM,
        status=answer.status,
        code=kind,
        exchange=answer.exchange,
    )

"""OAuth tokens: one refresher at a time over all processes, and a rotated token is stored before it is used.

The store is the caller's (a row with a lease); here is only the order of things (engine-rules 23).
"""

from __future__ import annotations

import base64
import hashlib
import threading
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any, Protocol
from urllib.parse import urlencode

from connectors.errors import ConnectionTrouble, NeedsAttention, RateLimited, Unreachable
from connectors.grants import Grant, RefreshGrant
from connectors.http import Answer, HttpClient, not_its_own, unreadable

EARLY = timedelta(seconds=60)
LONGEST_LIFE = 366 * 86400.0  # seconds; a token that claims more states no life at all
BUSY = "rate_limit_exceeded"  # the one refusal that is no refusal of the grant


@dataclass(frozen=True, slots=True)
class Tokens:
    """What the token endpoint gave. `expires_at` None: not known, used until refused. `address` and `identity`, where the
    endpoint names them: where the interface is reached with these tokens, and who we are there."""

    access_token: str = field(repr=False)
    refresh_token: str = field(default="", repr=False)
    expires_at: datetime | None = None
    scope: str = ""  # what was granted, as the endpoint says
    address: str = ""
    identity: str = ""


class TokenStore(Protocol):
    """Keeps the tokens of one connection, encrypted, and its one-refresher lock."""

    def load(self) -> Tokens: ...

    def begin(self) -> bool:
        """Notes that a renewal is under way. Returns whether an earlier one never came to its end: its new token, if there
        was one, is lost."""
        ...

    def settle(self) -> None:
        """Takes the note back: the endpoint was not reached, or said no."""
        ...

    def save(self, tokens: Tokens) -> None:
        """Stores what a renewal gave, and takes the note back."""
        ...

    def lock(self) -> AbstractContextManager[bool]:
        """Yields True to the one process that may refresh now, False when another is at it."""
        ...


@dataclass(frozen=True, slots=True)
class App:
    """Our registration with the system, and where it keeps its two pages. `repeats_redirect`: the redirect URI goes with
    renewals, too. `consent_at`: where the consent page is, by the address of the token page, when they are apart.
    `consent_says`: what the consent page is told besides."""

    client_id: str
    client_secret: str = field(repr=False)
    redirect_uri: str = ""
    authorize_path: str = "/oauth/authorize"
    token_path: str = "/oauth/token"
    repeats_redirect: bool = True
    consent_at: Mapping[str, str] = field(default_factory=dict)
    consent_says: Mapping[str, str] = field(default_factory=dict)

    def form(self, fields: Mapping[str, str]) -> dict[str, str]:
        """Returns the form of one call of the token endpoint: what the grant says, and who we are."""
        if "assertion" in fields:  # it is signed, and says so itself
            return dict(fields)
        goes_along = self.repeats_redirect or fields.get("grant_type") == "authorization_code"
        own = {"client_id": self.client_id, "client_secret": self.client_secret, "redirect_uri": self.redirect_uri if goes_along else ""}
        return {**fields, **{name: value for name, value in own.items() if value}}


class MailboxStores(Protocol):
    """Where the tokens of one mailbox are kept. `part`: those of one set of scopes, where each is a token of its own; "" for
    what the user consented to as a whole, or for the contacts."""

    def __call__(self, address: str, part: str = "") -> TokenStore: ...


class AsksTokens(Protocol):
    """One call of a token endpoint, as `request_tokens` makes it; a system with a library for that brings its own."""

    def __call__(self, http: HttpClient, app: App, fields: Mapping[str, str], now: datetime, *, remedy: str = ...) -> Tokens: ...


class TokenSource:
    """Hands out a valid access token. Thread-safe."""

    def __init__(
        self,
        store: TokenStore,
        app: App,
        http: HttpClient,
        *,
        grant: Grant | None = None,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
        ask: AsksTokens | None = None,
    ) -> None:
        self._store, self._app, self._http, self._now = store, app, http, now
        self._grant: Grant = grant or RefreshGrant()
        self._ask: AsksTokens = ask or request_tokens
        self._logs = [http]
        self._tokens = store.load()
        self._mutex = threading.Lock()
        self._hide(self._tokens)

    def hide_from(self, http: HttpClient) -> None:
        """Masks the tokens, these and later ones, in what another client of the system logs."""
        self._logs.append(http)
        self._hide(self._tokens)

    def _hide(self, tokens: Tokens) -> None:
        for http in self._logs:
            for secret in (tokens.access_token, tokens.refresh_token, self._app.client_secret):
                http.redact.add(secret)

    @property
    def reconnects(self) -> bool:
        """Whether a person who consents again mends a refusal; the other grants need no consent."""
        return self._grant.may_replace

    @property
    def held(self) -> Tokens:
        """The tokens as they are, without a call; they may have ended."""
        return self._tokens

    def current(self) -> Tokens:
        """Returns tokens whose access is good for another minute. Raises NeedsAttention when it cannot be renewed."""
        with self._mutex:
            expires_at = self._tokens.expires_at
            if not self._tokens.access_token or (expires_at is not None and expires_at - self._now() < EARLY):
                self._refresh(self._tokens.access_token)
            return self._tokens

    def token(self) -> str:
        """Returns the access token of `current`."""
        return self.current().access_token

    def renew(self, refused: str) -> str:
        """Returns a token other than the one just refused. Raises NeedsAttention."""
        with self._mutex:
            if self._tokens.access_token == refused:
                self._refresh(refused)
            return self._tokens.access_token

    def keep_alive(self) -> None:
        """Renews now, whatever the present token's age: a refresh token dies of not being used. Raises as `token` does."""
        if not self._grant.may_replace:
            return  # nothing of it dies
        with self._mutex:
            self._refresh(self._tokens.access_token)

    def close(self) -> None:
        """Closes the sockets to the token endpoint."""
        self._http.close()

    def _refresh(self, refused: str) -> None:
        with self._store.lock() as is_ours:
            newest = self._store.load()
            if newest.access_token and newest.access_token != refused:
                self._tokens = newest  # another process was quicker
            elif not is_ours:
                raise RateLimited("another process is renewing the token", system=self._http.system, retry_after=5.0)
            else:
                given = self._exchange(newest.refresh_token)
                tokens = replace(given, address=given.address or newest.address, identity=given.identity or newest.identity)
                self._store.save(tokens)  # before first use: a crash here must not lose the rotated token
                self._tokens = tokens
            self._hide(self._tokens)

    def _exchange(self, refresh_token: str) -> Tokens:
        """Returns the renewed tokens. What may have been renewed without an answer stays noted, so that a later refusal
        can be told for what it is."""
        fields = self._grant.fields(refresh_token, self._now(), self._http.system)
        if not self._grant.may_replace:
            return self._ask(self._http, self._app, fields, self._now(), remedy=self._grant.remedy)
        was_cut_off = self._store.begin()
        try:
            return self._ask(self._http, self._app, fields, self._now(), remedy=self._grant.remedy)
        except NeedsAttention as refusal:
            if not was_cut_off or refusal.code != "invalid_grant":
                if not was_cut_off:
                    self._store.settle()
                raise
            raise NeedsAttention(
                "has replaced our access, and the new token was lost on its way to us; reconnect it",
                system=self._http.system,
                status=refusal.status,
                code=refusal.code,
                exchange=refusal.exchange,
            ) from refusal
        except (Unreachable, RateLimited):
            if not was_cut_off:
                self._store.settle()
            raise


def request_tokens(http: HttpClient, app: App, fields: Mapping[str, str], now: datetime, *, remedy: str = "reconnect it") -> Tokens:
    """Returns the tokens of one call of the token endpoint. Raises NeedsAttention when the grant is refused, and other
    ConnectionTrouble; none of it leaves a record in doubt, for the call that needs the token was not made yet."""
    form = app.form(fields)
    for name in ("client_secret", "refresh_token", "code", "assertion"):
        http.redact.add(form.get(name, ""))
    try:
        answer = http.request("POST", app.token_path, template=app.token_path, is_read=False, form=list(form.items()))
        return _tokens(http.system, answer, fields, now, remedy)
    except ConnectionTrouble as trouble:
        trouble.may_have_happened = False
        raise


def _tokens(system: str, answer: Answer, fields: Mapping[str, str], now: datetime, remedy: str) -> Tokens:
    data = answer.data if isinstance(answer.data, dict) else {}
    if answer.status in (400, 401, 403) and data.get("error") == BUSY:
        raise RateLimited("asks us to wait before we renew our access", system=system, status=answer.status, code=BUSY, retry_after=60.0)
    if answer.status == 401 or (answer.status in (400, 403) and data):
        raise NeedsAttention(
            f"refused to renew our access ({_code(answer)}); {remedy}{_said(answer)}",
            system=system,
            status=answer.status,
            code=_code(answer),
            exchange=answer.exchange,
        )
    if answer.status != 200:
        raise not_its_own(system, answer, is_read=False)
    access, refresh = data.get("access_token"), data.get("refresh_token")
    if not isinstance(access, str) or not access:
        raise unreadable(system, answer, is_read=False)
    return Tokens(
        access,
        str(refresh or fields.get("refresh_token", "")),
        expiry(data.get("expires_in"), now),
        scope=_text(data.get("scope")),
        address=_text(data.get("instance_url")),
        identity=_text(data.get("id")),
    )


def _text(raw: Any) -> str:
    return raw[:1000] if isinstance(raw, str) else ""


def expiry(seconds: Any, now: datetime) -> datetime | None:
    """Returns when a token ends, None when the answer does not say so in a number of seconds."""
    is_number = isinstance(seconds, int | float) and not isinstance(seconds, bool)
    return now + timedelta(seconds=float(seconds)) if is_number and 0 <= seconds < LONGEST_LIFE else None


def _code(answer: Answer) -> str:
    said = answer.data.get("error") if isinstance(answer.data, dict) else None
    return answer.redact(str(said), limit=60) if said else str(answer.status)


def _said(answer: Answer) -> str:
    """Returns the endpoint's own words for a refusal, "" when it has none: they name what an administrator must look at."""
    words = answer.data.get("error_description") if isinstance(answer.data, dict) else None
    return f" (it says: {answer.redact(words, limit=150)})" if isinstance(words, str) and words else ""


def authorize_url(base: str, app: App, *, scope: str, state: str, verifier: str) -> str:
    """Returns the address of the consent page, with state and a PKCE challenge (S256)."""
    challenge = base64.urlsafe_b64encode(hashlib.sha256(verifier.encode()).digest()).rstrip(b"=").decode()
    fields = {
        "client_id": app.client_id,
        "redirect_uri": app.redirect_uri,
        "response_type": "code",
        "scope": scope,
        "state": state,
        "code_challenge": challenge,
        "code_challenge_method": "S256",
        **app.consent_says,
    }
    return f"{app.consent_at.get(base.rstrip('/'), base)}{app.authorize_path}?{urlencode(fields)}"

"""OAuth tokens: one refresher at a time over all processes, and a rotated token is stored before it is used.

The store is the caller's (a row with a lease); here is only the order of things (engine-rules 23).
"""

from __future__ import annotations

import base64
import hashlib
import math
import threading
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, Protocol
from urllib.parse import urlencode

from connectors.errors import ConnectionTrouble, NeedsAttention, RateLimited, Unreachable
from connectors.http import Answer, HttpClient, not_its_own, unreadable

EARLY = timedelta(seconds=60)
LONGEST_LIFE = 366 * 86400.0  # seconds; a token that claims more states no life at all


@dataclass(frozen=True, slots=True)
class Tokens:
    """What the token endpoint gave. `expires_at` None: not known, used until refused."""

    access_token: str = field(repr=False)
    refresh_token: str = field(default="", repr=False)
    expires_at: datetime | None = None
    scope: str = ""  # what was granted, as the endpoint says


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
    """Our registration with the system."""

    client_id: str
    client_secret: str = field(repr=False)
    redirect_uri: str = ""


class TokenSource:
    """Hands out a valid access token. Thread-safe."""

    def __init__(self, store: TokenStore, app: App, http: HttpClient, *, now: Callable[[], datetime] = lambda: datetime.now(UTC)) -> None:
        self._store, self._app, self._http, self._now = store, app, http, now
        self._tokens = store.load()
        self._mutex = threading.Lock()
        self._hide(self._tokens)

    def _hide(self, tokens: Tokens) -> None:
        self._http.redact.add(tokens.access_token)
        self._http.redact.add(tokens.refresh_token)
        self._http.redact.add(self._app.client_secret)

    def token(self) -> str:
        """Returns an access token good for another minute. Raises NeedsAttention when it cannot be renewed."""
        with self._mutex:
            expires_at = self._tokens.expires_at
            if not self._tokens.access_token or (expires_at is not None and expires_at - self._now() < EARLY):
                self._refresh(self._tokens.access_token)
            return self._tokens.access_token

    def renew(self, refused: str) -> str:
        """Returns a token other than the one just refused. Raises NeedsAttention."""
        with self._mutex:
            if self._tokens.access_token == refused:
                self._refresh(refused)
            return self._tokens.access_token

    def keep_alive(self) -> None:
        """Renews now, whatever the present token's age: a refresh token dies of not being used. Raises as `token` does."""
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
                tokens = self._exchange(newest.refresh_token)
                self._store.save(tokens)  # before first use: a crash here must not lose the rotated token
                self._tokens = tokens
            self._hide(self._tokens)

    def _exchange(self, refresh_token: str) -> Tokens:
        """Returns the renewed tokens. What may have been renewed without an answer stays noted, so that a later refusal
        can be told for what it is."""
        if not refresh_token:
            raise NeedsAttention("is not connected yet; press Connect", system=self._http.system)
        was_cut_off = self._store.begin()
        try:
            return request_tokens(self._http, self._app, {"grant_type": "refresh_token", "refresh_token": refresh_token}, self._now())
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


def request_tokens(http: HttpClient, app: App, fields: dict[str, str], now: datetime) -> Tokens:
    """Returns the tokens of one call of the token endpoint. Raises NeedsAttention when the grant is refused, and other
    ConnectionTrouble; none of it leaves a record in doubt, for the call that needs the token was not made yet."""
    form = {**fields, "client_id": app.client_id, "client_secret": app.client_secret}
    if app.redirect_uri:
        form["redirect_uri"] = app.redirect_uri
    for name in ("client_secret", "refresh_token", "code"):
        http.redact.add(form.get(name, ""))
    try:
        answer = http.request("POST", "/oauth/token", template="/oauth/token", is_read=False, form=list(form.items()))
        return _tokens(http.system, answer, fields, now)
    except ConnectionTrouble as trouble:
        trouble.may_have_happened = False
        raise


def _tokens(system: str, answer: Answer, fields: dict[str, str], now: datetime) -> Tokens:
    data = answer.data if isinstance(answer.data, dict) else {}
    if answer.status == 401 or (answer.status in (400, 403) and data):
        raise NeedsAttention(
            f"refused to renew our access ({_code(answer)}); reconnect it",
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
    scope = data.get("scope")
    renewed = str(refresh or fields.get("refresh_token", ""))
    return Tokens(access, renewed, _expiry(data.get("expires_in"), now), scope[:1000] if isinstance(scope, str) else "")


def _expiry(seconds: Any, now: datetime) -> datetime | None:
    """Returns when a token ends, None when the answer does not say so in a number of seconds."""
    is_number = isinstance(seconds, int | float) and not isinstance(seconds, bool) and math.isfinite(seconds)
    return now + timedelta(seconds=float(seconds)) if is_number and 0 <= seconds < LONGEST_LIFE else None


def _code(answer: Answer) -> str:
    said = answer.data.get("error") if isinstance(answer.data, dict) else None
    return answer.redact(str(said), limit=60) if said else str(answer.status)


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
    }
    return f"{base}/oauth/authorize?{urlencode(fields)}"

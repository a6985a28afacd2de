"""Access tokens of one user, by google-auth through our own HTTP client; one refresher over all processes, as everywhere.

At most one token is asked for per mailbox and hour (engine-rules 38): what the store holds is used until a minute before
its end.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any
from urllib.parse import parse_qsl

from google.auth.exceptions import GoogleAuthError
from google.auth.transport import Request

from connectors.errors import NeedsAttention
from connectors.google.login import TOKEN, Way, unreadable_key
from connectors.google.scopes import CONTACTS, Scope, missing
from connectors.google.settings import SYSTEM
from connectors.http import HttpClient
from connectors.oauth import App, Tokens, TokenSource, TokenStore, request_tokens


@dataclass(frozen=True, slots=True)
class ScopedStore:
    """Tokens that we sign for: those of another set of scopes are none of ours, and a new one costs nothing but a call."""

    inner: TokenStore
    scope: str

    def load(self) -> Tokens:
        tokens = self.inner.load()
        return Tokens("") if tokens.scope and set(tokens.scope.split()) != set(self.scope.split()) else tokens

    def begin(self) -> bool:
        return self.inner.begin()

    def settle(self) -> None:
        self.inner.settle()

    def save(self, tokens: Tokens) -> None:
        self.inner.save(replace(tokens, scope=self.scope))

    def lock(self) -> AbstractContextManager[bool]:
        return self.inner.lock()


@dataclass(slots=True)
class _Said:
    """An answer as google-auth wants it: only the token, which was looked at already."""

    status: int
    data: bytes = field(repr=False)
    headers: Mapping[str, str] = field(default_factory=dict)


class _TokenRequest(Request):
    """google-auth's way out. Refusals are raised here, in our own classes: it would repeat some of them, and log others.
    Its own headers, which tell of the library's use, stay behind."""

    def __init__(self, http: HttpClient, app: App, now: datetime) -> None:
        self._http, self._app, self._now = http, app, now
        self.given: Tokens | None = None

    def __call__(
        self,
        url: str,
        method: str = "POST",
        body: bytes | str | None = None,
        headers: Mapping[str, str] | None = None,
        timeout: float | None = None,
        **more: Any,
    ) -> _Said:
        text = body.decode() if isinstance(body, bytes) else body or ""
        self.given = request_tokens(self._http, self._app, dict(parse_qsl(text, keep_blank_values=True)), self._now)
        return _Said(200, json.dumps({"access_token": self.given.access_token}).encode())


class GoogleTokens(TokenSource):
    """Hands out a valid access token of one user. Thread-safe."""

    def __init__(
        self,
        store: TokenStore,
        app: App,
        http: HttpClient,
        way: Way,
        *,
        needed: tuple[Scope, ...] = (CONTACTS,),
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        super().__init__(store, app, http, now=now)
        self._way, self._needed = way, needed

    @property
    def reconnects(self) -> bool:
        return self._way.may_keep_alive

    def current(self) -> Tokens:
        """As the base class says. Raises NeedsAttention, too, when the consent leaves out what the product needs: the token
        would be refused call after call."""
        tokens = super().current()
        if lacking := missing(tokens.scope, self._needed):
            raise self._way.lacking([scope.name for scope in lacking])
        return tokens

    def lacking(self, names: list[str]) -> NeedsAttention:
        """Returns the error for scopes whose lack a call was refused for."""
        return self._way.lacking(names)

    def keep_alive(self) -> None:
        if not self._way.may_keep_alive:
            return
        with self._mutex:
            self._refresh(self._tokens.access_token)

    def _exchange(self, refresh_token: str) -> Tokens:
        """Returns new tokens. Google keeps the refresh token as it is, so a lost answer loses nothing."""
        request = _TokenRequest(self._http, self._app, self._now())
        granted = self._way.credentials(refresh_token, f"{self._http.base_url}{TOKEN}")
        try:
            granted.refresh(request)
        except NeedsAttention as refusal:
            if not _is_refusal(refusal):
                raise
            raise self._way.refused(refusal) from refusal
        except (GoogleAuthError, ValueError, TypeError):  # it could not sign; its text might show the key
            raise unreadable_key() from None
        if request.given is None:
            raise NeedsAttention("was not asked for a token", system=SYSTEM)
        return replace(request.given, refresh_token=request.given.refresh_token or refresh_token)


def _is_refusal(error: NeedsAttention) -> bool:
    """Tells whether the token page itself said no; a bad certificate is nobody's grant."""
    return error.status in (400, 401, 403)

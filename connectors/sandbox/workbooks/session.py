"""Log-in, sessions and the cookie that changes under way."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any

CALLS_A_COOKIE = 25  # the session's cookie is replaced after so many calls; the old one is good for one more


class Sessions:
    """The sessions of one database: id -> authenticity token."""

    def __init__(self, *, now: Callable[[], datetime], secret: str) -> None:
        self._now = now
        self._secret = secret
        self._made = 0
        self.tokens: dict[str, str] = {}
        self.retiring: dict[str, str] = {}
        self._calls: dict[str, int] = {}

    def open(self) -> tuple[str, str]:
        """Returns a new session's id and authenticity token."""
        self._made += 1
        session = hashlib.sha256(f"{self._secret} {self._made} {self._now().timestamp()}".encode()).hexdigest()[:32]
        self.tokens[session] = hashlib.sha1(session.encode(), usedforsecurity=False).hexdigest()
        return session, self.tokens[session]

    def close(self, session: str) -> None:
        self.tokens.pop(session, None)

    def clear(self) -> None:
        self.tokens.clear()
        self.retiring.clear()

    def token_of(self, session: str) -> str | None:
        """Returns the authenticity token of a session, None when it is over. A replaced cookie is good once more."""
        return self.tokens.get(session) or self.retiring.pop(session, None)

    def replacement(self, session: str) -> str:
        """Returns the cookie that replaces this one, "" as long as it stays."""
        if session not in self.tokens:
            return ""
        self._calls[session] = self._calls.get(session, 0) + 1
        if self._calls[session] < CALLS_A_COOKIE:
            return ""
        self._made += 1
        fresh = hashlib.sha256(f"{self._secret} {self._made} {session}".encode()).hexdigest()[:32]
        self.tokens[fresh] = self.retiring[session] = self.tokens.pop(session)
        self._calls.pop(session)
        return fresh

    def meta(self) -> dict[str, Any]:
        return {"tokens": self.tokens, "retiring": self.retiring, "made": self._made}

    def restore(self, state: Mapping[str, Any]) -> None:
        self.tokens, self.retiring = dict(state.get("tokens", {})), dict(state.get("retiring", {}))
        self._made = int(state.get("made", 0))


def cookie_of(header: str) -> str:
    """Returns the session id of a Cookie header, "" without one."""
    return next((p.split("=", 1)[1] for p in header.split("; ") if p.startswith("Workbooks-Session=")), "")


def set_cookie(session: str) -> tuple[str, str]:
    return ("Set-Cookie", f"Workbooks-Session={session}; path=/; secure; HttpOnly")

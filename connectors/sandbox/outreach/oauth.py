"""The token endpoint and the consent page of the played Outreach. Refresh tokens rotate."""

from __future__ import annotations

import base64
import hashlib
import html
import json
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any
from urllib.parse import parse_qsl, urlencode

from connectors.sandbox.outreach.refusal import Refused
from connectors.sandbox.outreach.schema import RESOURCES
from connectors.sandbox.wire import Request, Response, read_json

LIFETIME = 7200
REFRESH_LIFETIME = 14 * 86400
MOST_REFRESH_TOKENS = 100
RIGHTS = {"GET": "read", "POST": "write", "PATCH": "write", "DELETE": "delete"}
KNOWN_SCOPES = frozenset(f"{collection}.{right}" for collection in RESOURCES for right in ("read", "write", "delete", "all"))
ALL_SCOPES = " ".join(f"{collection}.all" for collection in RESOURCES)


def require_scope(scopes: frozenset[str], collection: str, method: str) -> None:
    """Raises Refused when a token lacks the scope of a call. Scopes do not add up: `write` does not include `read`."""
    needed = f"{collection}.{RIGHTS.get(method, 'read')}"
    if not scopes & {needed, f"{collection}.all"}:
        raise Refused(403, "unauthorizedOauthScope", f"The token lacks the required scope '{needed}'.", "")


@dataclass(slots=True)
class Token:
    """A token in force: until when, and what it may do. A refresh token also knows the one it replaced."""

    ends_at: float
    scopes: str
    replaces: str = ""


class TokenDesk:
    """Issues tokens. A replaced refresh token stays valid until its successor is used, and no longer than fourteen days
    unused; `strict_rotation` kills it at once; `one_mint_per_60s` answers 429 to the second request in a minute."""

    def __init__(self, *, now: Callable[[], datetime], seed: int) -> None:
        self._now = now
        self._count = 0
        self._seed = seed
        self.client_id, self.client_secret = "sandbox-app", self._make("client secret")
        self.access: dict[str, Token] = {}
        self.refresh: dict[str, Token] = {}
        self.codes: dict[str, dict[str, str]] = {}
        self.strict_rotation = False
        self.one_mint_per_60s = False
        self.scopes = ALL_SCOPES  # what our app has: the tokens offered on the control port have all, a consent page gives no other
        self._last_mint = 0.0
        self.current_refresh = self._issue_refresh("", self.scopes)
        self.current_access = self._issue_access(self.scopes)

    def _make(self, what: str) -> str:
        self._count += 1
        return hashlib.sha256(f"{self._seed} {what} {self._count}".encode()).hexdigest()[:40]

    def _issue_access(self, scopes: str) -> str:
        token = self._make("access")
        self.access[token] = Token(self._now().timestamp() + LIFETIME, scopes)
        return token

    def _issue_refresh(self, replaces: str, scopes: str) -> str:
        token = self._make("refresh")
        self.refresh[token] = Token(self._now().timestamp() + REFRESH_LIFETIME, scopes, replaces)
        while len(self.refresh) > MOST_REFRESH_TOKENS:
            del self.refresh[next(iter(self.refresh))]
        return token

    def scopes_of(self, header: str) -> frozenset[str] | None:
        """Returns what the token of an Authorization header may do, None when it is not good now."""
        scheme, _, token = header.partition(" ")
        found = self.access.get(token)
        if scheme != "Bearer" or found is None or found.ends_at <= self._now().timestamp():
            return None
        return frozenset(found.scopes.split())

    def offered(self) -> str:
        """Returns an access token that works now, with the scopes that are set."""
        found = self.access.get(self.current_access)
        if found is None or found.ends_at <= self._now().timestamp() + 60 or found.scopes != self.scopes:
            self.current_access = self._issue_access(self.scopes)
        return self.current_access

    def offered_refresh(self) -> str:
        """Returns a refresh token that works now, with the scopes that are set."""
        found = self.refresh.get(self.current_refresh)
        if found is None or found.ends_at <= self._now().timestamp() or found.scopes != self.scopes:
            self.current_refresh = self._issue_refresh("", self.scopes)
        return self.current_refresh

    def expire(self) -> None:
        self.access.clear()

    def switches(self) -> dict[str, Any]:
        return {"strict_rotation": self.strict_rotation, "one_mint_per_60s": self.one_mint_per_60s, "scopes": self.scopes}

    def set_switches(self, given: Mapping[str, Any]) -> None:
        """Sets the switches that are named; new scopes are those of the tokens offered, and the most that a consent page
        gives, from now on: the tokens that are out keep theirs. Raises ValueError for a scope that does not exist."""
        scopes = given.get("scopes", self.scopes)
        if not isinstance(scopes, str) or not set(scopes.split()) <= KNOWN_SCOPES:
            raise ValueError("scopes must be a text of scopes with spaces between, such as 'accounts.all users.read'")
        self.scopes = scopes
        self.strict_rotation = given.get("strict_rotation", self.strict_rotation)
        self.one_mint_per_60s = given.get("one_mint_per_60s", self.one_mint_per_60s)

    def token(self, request: Request) -> Response:
        """Answers `POST /oauth/token`, form or JSON."""
        given = _fields(request)
        if given.get("client_id") != self.client_id or given.get("client_secret") != self.client_secret:
            return _refused(401, "invalid_client", "The client is not known.")
        now = self._now().timestamp()
        if self.one_mint_per_60s and 0 <= now - self._last_mint < 60:
            response = _refused(429, "rate_limited", "One token a minute.")
            response.headers.append(("Retry-After", str(int(60 - (now - self._last_mint)) + 1)))
            return response
        if given.get("grant_type") == "refresh_token":
            granted = self._use_refresh(given.get("refresh_token", ""))
        elif given.get("grant_type") == "authorization_code":
            granted = self._use_code(given)
        else:
            return _refused(400, "unsupported_grant_type", "Unknown grant_type.")
        if granted is None:
            return _refused(400, "invalid_grant", "The provided authorization grant is invalid, expired or revoked.")
        self._last_mint = now
        return self._granted(granted, int(now))

    def _granted(self, granted: Token, now: int) -> Response:
        scopes = granted.scopes
        self.current_access, self.current_refresh = self._issue_access(scopes), self._issue_refresh(granted.replaces, scopes)
        body = {
            "access_token": self.current_access,
            "token_type": "Bearer",
            "expires_in": LIFETIME,
            "refresh_token": self.current_refresh,
            "scope": scopes,
            "created_at": now,
        }
        return Response(200, json.dumps(body).encode(), template="/oauth/token")

    def _use_refresh(self, token: str) -> Token | None:
        """Returns what the next tokens may do, and that they replace this one; None when it is not good."""
        found = self.refresh.get(token)
        if found is None or found.ends_at <= self._now().timestamp():
            return None
        self.refresh.pop(found.replaces, None)  # its successor is used now
        if self.strict_rotation:
            self.refresh.pop(token)
        return Token(0, found.scopes, token)

    def _use_code(self, given: dict[str, str]) -> Token | None:
        code = self.codes.pop(given.get("code", ""), None)
        if code is None or code["redirect_uri"] != given.get("redirect_uri"):
            return None
        if code["challenge"]:
            digest = hashlib.sha256(given.get("code_verifier", "").encode()).digest()
            if base64.urlsafe_b64encode(digest).rstrip(b"=").decode() != code["challenge"]:
                return None
        return Token(0, code.get("scope", ALL_SCOPES))

    def authorize(self, request: Request) -> Response:
        """Shows the consent page; its button leads back with a code."""
        given = dict(parse_qsl(request.query)) | (_fields(request) if request.method == "POST" else {})
        target = given.get("redirect_uri", "")
        if given.get("client_id") != self.client_id or not target.startswith(("http://127.0.0.1", "http://localhost", "https://")):
            return Response(
                400, b"<!doctype html><title>Refused</title><p>Unknown app or redirect address.", "text/html", template="/oauth/authorize"
            )
        if request.method == "POST":
            answer = {"error": "access_denied"} if given.pop("deny", "") else {"code": self._code(target, given)}
            where = f"{target}{'&' if '?' in target else '?'}{urlencode({**answer, 'state': given.get('state', '')})}"
            return Response(302, b"", headers=[("Location", where)], template="/oauth/authorize")
        hidden = "".join(f'<input type="hidden" name="{html.escape(k)}" value="{html.escape(v)}">' for k, v in given.items())
        scope = html.escape(given.get("scope", "")).replace(" ", "<li>")
        page = f"<!doctype html><html lang=en><title>Allow access</title><h1>Allow access to Outreach (sandbox)?</h1><ul><li>{scope}</ul>"
        page += f'<form method="post" action="/oauth/authorize">{hidden}<button>Allow</button> '
        page += '<button name="deny" value="1">Deny</button></form>'
        return Response(200, page.encode(), "text/html; charset=utf-8", template="/oauth/authorize")

    def _code(self, target: str, given: dict[str, str]) -> str:
        code = self._make("code")
        scope = self._registered(given.get("scope", ""))
        self.codes[code] = {"redirect_uri": target, "challenge": given.get("code_challenge", ""), "scope": scope}
        return code

    def _registered(self, asked: str) -> str:
        """Returns the scopes of those asked for that our app has; all it has when none is named."""
        own = set(self.scopes.split())
        words = asked.split() or self.scopes.split()
        return " ".join(w for w in words if w in KNOWN_SCOPES and own & {w, f"{w.partition('.')[0]}.all"})

    def meta(self) -> dict[str, Any]:
        tokens = {name: {t: asdict(token) for t, token in getattr(self, name).items()} for name in ("access", "refresh")}
        return {**{name: getattr(self, name) for name in KEPT}, **tokens}

    def restore(self, state: dict[str, Any]) -> None:
        for name in KEPT:
            setattr(self, name, state.get(name, getattr(self, name)))
        # A state file of before tokens had scopes holds an instant, and the token that was replaced.
        until = self._now().timestamp() + REFRESH_LIFETIME
        self.access = {t: Token(**v) if isinstance(v, dict) else Token(v, ALL_SCOPES) for t, v in state["access"].items()}
        self.refresh = {t: Token(**v) if isinstance(v, dict) else Token(until, ALL_SCOPES, v) for t, v in state["refresh"].items()}


KEPT = (
    "_count", "client_secret", "codes", "strict_rotation", "one_mint_per_60s", "scopes", "_last_mint", "current_access", "current_refresh",
)  # fmt: skip


def _fields(request: Request) -> dict[str, str]:
    if "json" in request.headers.get("content-type", ""):
        try:
            data = read_json(request.body)
        except ValueError:
            return {}
        return {str(k): str(v) for k, v in data.items()} if isinstance(data, dict) else {}
    return dict(parse_qsl(request.body.decode("utf-8", "replace")))


def _refused(status: int, code: str, text: str) -> Response:
    return Response(status, json.dumps({"error": code, "error_description": text}).encode(), template="/oauth/token")

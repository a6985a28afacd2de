"""The token endpoint and the consent page of the played Outreach. Refresh tokens rotate."""

from __future__ import annotations

import base64
import hashlib
import html
import json
from collections.abc import Callable
from datetime import datetime
from typing import Any
from urllib.parse import parse_qsl, urlencode

from connectors.sandbox.wire import Request, Response

LIFETIME = 7200
EVERYTHING = "accounts.all prospects.all users.all tasks.all sequences.all sequenceStates.all mailings.all mailboxes.all webhooks.all"
RIGHTS = {"GET": "read", "POST": "write", "PATCH": "write", "DELETE": "delete"}


class TokenDesk:
    """Issues tokens. A replaced refresh token stays valid until its successor is used; `strict_rotation` kills it at
    once; `one_mint_per_60s` answers 429 to the second request in a minute. `withheld` are scopes that our app was not
    registered for; a token made without a consent page has all."""

    def __init__(self, *, now: Callable[[], datetime], seed: int) -> None:
        self._now = now
        self._count = 0
        self._seed = seed
        self.client_id, self.client_secret = "sandbox-app", self._make("client secret")
        self.access: dict[str, float] = {}
        self.refresh: dict[str, str] = {}  # token -> the one it replaced
        self.codes: dict[str, dict[str, str]] = {}
        self.strict_rotation = False
        self.one_mint_per_60s = False
        self.scopes: dict[str, str] = {}  # token -> what it may do, where a consent page said so
        self.withheld: list[str] = []
        self._last_mint = 0.0
        self._granted: str | None = None
        self.current_refresh = self._issue_refresh("")
        self.current_access = self._issue_access()

    def _make(self, what: str) -> str:
        self._count += 1
        return hashlib.sha256(f"{self._seed} {what} {self._count}".encode()).hexdigest()[:40]

    def _issue_access(self) -> str:
        token = self._make("access")
        self.access[token] = self._now().timestamp() + LIFETIME
        return token

    def _issue_refresh(self, replaces: str) -> str:
        token = self._make("refresh")
        self.refresh[token] = replaces
        return token

    def accepts(self, header: str) -> bool:
        """Tells whether an Authorization header carries a token that is good now."""
        scheme, _, token = header.partition(" ")
        return scheme == "Bearer" and self.access.get(token, 0) > self._now().timestamp()

    def missing_scope(self, header: str, collection: str, method: str) -> str:
        """Returns the scope that a request needs and its token lacks, "" when it may go on."""
        granted = self.scopes.get(header.partition(" ")[2])
        wanted = f"{collection}.{RIGHTS.get(method, 'read')}"
        if granted is None or wanted in granted.split() or f"{collection}.all" in granted.split():
            return ""
        return wanted

    def offered(self) -> str:
        """Returns an access token that works now."""
        if self.access.get(self.current_access, 0) <= self._now().timestamp() + 60:
            self.current_access = self._issue_access()
        return self.current_access

    def expire(self) -> None:
        self.access.clear()

    def token(self, request: Request) -> Response:
        """Answers `POST /oauth/token`, form or JSON."""
        given = _fields(request)
        if given.get("client_id") != self.client_id or given.get("client_secret") != self.client_secret:
            return _refused(401, "invalid_client", "The client is not known.")
        now = self._now().timestamp()
        if self.one_mint_per_60s and now - self._last_mint < 60:
            response = _refused(429, "rate_limited", "One token a minute.")
            response.headers.append(("Retry-After", str(int(60 - (now - self._last_mint)) + 1)))
            return response
        if given.get("grant_type") == "refresh_token":
            replaced = self._use_refresh(given.get("refresh_token", ""))
        elif given.get("grant_type") == "authorization_code":
            replaced = self._use_code(given)
        else:
            return _refused(400, "unsupported_grant_type", "Unknown grant_type.")
        if replaced is None:
            return _refused(400, "invalid_grant", "The provided authorization grant is invalid, expired or revoked.")
        self._last_mint = now
        self.current_access, self.current_refresh = self._issue_access(), self._issue_refresh(replaced)
        scope = self._granted if given["grant_type"] == "authorization_code" else self.scopes.get(replaced)
        if scope is not None:
            self.scopes[self.current_access] = self.scopes[self.current_refresh] = scope
        body = {
            "access_token": self.current_access,
            "token_type": "Bearer",
            "expires_in": LIFETIME,
            "refresh_token": self.current_refresh,
            "scope": EVERYTHING if scope is None else scope,
            "created_at": int(now),
        }
        return Response(200, json.dumps(body).encode(), template="/oauth/token")

    def _use_refresh(self, token: str) -> str | None:
        if token not in self.refresh:
            return None
        before = self.refresh[token]
        self.refresh.pop(before, None)  # its successor is used now
        if self.strict_rotation:
            self.refresh.pop(token)
        return token

    def _use_code(self, given: dict[str, str]) -> str | None:
        code = self.codes.pop(given.get("code", ""), None)
        if code is None or code["redirect_uri"] != given.get("redirect_uri"):
            return None
        if code["challenge"]:
            digest = hashlib.sha256(given.get("code_verifier", "").encode()).digest()
            if base64.urlsafe_b64encode(digest).rstrip(b"=").decode() != code["challenge"]:
                return None
        self._granted = code["scope"]
        return ""

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
        scope = " ".join(s for s in given.get("scope", "").split() if s not in self.withheld)
        self.codes[code] = {"redirect_uri": target, "challenge": given.get("code_challenge", ""), "scope": scope}
        return code

    def meta(self) -> dict[str, Any]:
        names = ["_count", "client_secret", "access", "refresh", "codes", "scopes", "withheld", "strict_rotation"]
        return {name: getattr(self, name) for name in [*names, "current_access", "current_refresh"]}

    def restore(self, state: dict[str, Any]) -> None:
        for name, value in state.items():
            setattr(self, name, value)


def _fields(request: Request) -> dict[str, str]:
    if "json" in request.headers.get("content-type", ""):
        try:
            data = json.loads(request.body)
        except ValueError:
            return {}
        return {str(k): str(v) for k, v in data.items()} if isinstance(data, dict) else {}
    return dict(parse_qsl(request.body.decode("utf-8", "replace")))


def _refused(status: int, code: str, text: str) -> Response:
    return Response(status, json.dumps({"error": code, "error_description": text}).encode(), template="/oauth/token")

"""The token endpoint, revocation and the consent page of the played Google. Refresh tokens stay the same."""

from __future__ import annotations

import base64
import hashlib
import html
import json
from collections.abc import Mapping
from typing import Any
from urllib.parse import parse_qs, urlencode

from connectors.sandbox.google.schema import ALL_SCOPES, KNOWN_SCOPES
from connectors.sandbox.google.service_account import BadAssertion, ServiceAccount
from connectors.sandbox.google.store import Store
from connectors.sandbox.wire import Request, Response

AUTHORIZE, TOKEN, REVOKE = "/o/oauth2/v2/auth", "/token", "/revoke"
CODE_SECONDS = 600
IDLE_DAYS = 180
DAY = 86400
MOST_REFRESH_TOKENS = 100  # of one user and client
MOST_KEPT = 2000  # access tokens and codes; the oldest are forgotten
JWT_BEARER = "urn:ietf:params:oauth:grant-type:jwt-bearer"
DEAD = "Token has been expired or revoked."
Token = dict[str, Any]


class BadGrant(Exception):
    """A token request that is refused: status, error word and sentence."""

    def __init__(self, word: str, sentence: str, status: int = 400) -> None:
        super().__init__(sentence)
        self.word, self.status = word, status


class TokenDesk:
    """Issues tokens. A token is a row: its value, kind (access, refresh, code), user, scopes, and until when it is good."""

    def __init__(self, store: Store, *, seed: int) -> None:
        self._store, self._seed = store, seed
        self._count = 0
        self.account = ServiceAccount(now=store.now, seed=seed)
        self.client_id = f"{hashlib.sha256(str(seed).encode()).hexdigest()[:12]}.apps.googleusercontent.com"
        self.client_secret = f"GOCSPX-{self._make('client secret')[:28]}"
        self.tokens: dict[str, Token] = {}
        self.dirty: dict[int, Token | None] = {}
        self._offered = {"access": "", "refresh": ""}
        self.consents: dict[str, str] = {}  # user -> scopes granted at any time

    def _make(self, what: str) -> str:
        self._count += 1
        return hashlib.sha256(f"{self._seed} {what} {self._count}".encode()).hexdigest()

    # --- tokens ---------------------------------------------------------------------------------------------------------
    def _issue(self, kind: str, user: str, scopes: str, seconds: float | None, **more: Any) -> Token:
        head = {"access": "ya29.a0", "refresh": "1//0g", "code": "4/0A"}[kind]
        now = self._now()
        token = {"value": head + self._make(kind)[:50], "kind": kind, "user": user, "scopes": scopes, "used_at": now, **more}
        token |= {"id": self._count, "ends_at": None if seconds is None else now + seconds}
        self._put(token)
        own = [t for t in self.tokens.values() if (t["kind"] == "refresh") == (kind == "refresh")]
        if kind == "refresh":
            own = [t for t in own if t["user"] == user]
        for old in own[: -(MOST_REFRESH_TOKENS if kind == "refresh" else MOST_KEPT)]:
            self._forget(old)
        return token

    def _put(self, token: Token) -> None:
        self.tokens[token["value"]] = token
        self.dirty[token["id"]] = token

    def _forget(self, token: Token) -> None:
        self.tokens.pop(token["value"], None)
        self.dirty[token["id"]] = None

    def _now(self) -> float:
        return self._store.now().timestamp()

    def _good(self, value: str, kind: str) -> Token | None:
        """Returns a token that is good now: known, in time, and of a user who may sign in."""
        token = self.tokens.get(value)
        if token is None or token["kind"] != kind or not self._store.active(token["user"]):
            return None
        now = self._now()
        if token["ends_at"] is not None and token["ends_at"] <= now:
            return None
        days = self._store.switches.refresh_token_days
        if kind == "refresh" and (token["used_at"] + IDLE_DAYS * DAY <= now or (days and token["issued_at"] + days * DAY <= now)):
            return None
        return token

    def bearer(self, header: str) -> Token | None:
        """Returns the access token of an Authorization header, None when it is not good now."""
        scheme, _, value = header.partition(" ")
        return self._good(value.strip(), "access") if scheme.lower() == "bearer" else None

    def owner(self, value: str) -> str:
        """Returns whose token this is or was, for the call log."""
        return str(self.tokens.get(value, {}).get("user", ""))

    def expire(self) -> None:
        for token in self.tokens.values():
            if token["kind"] == "access":
                self._put({**token, "ends_at": 0})

    def _offer(self, kind: str) -> str:
        """Returns a token of the first mailbox that works now."""
        mailboxes = self._store.mailboxes()
        if not mailboxes:
            return ""
        found = self._good(self._offered[kind], kind)
        if found is None or found["user"] != mailboxes[0] or (kind == "access" and found["ends_at"] <= self._now() + 60):
            found = self._access(mailboxes[0], ALL_SCOPES) if kind == "access" else self._refresh(mailboxes[0], ALL_SCOPES)
            self._offered[kind] = found["value"]
        return str(found["value"])

    def _access(self, user: str, scopes: str, refresh: str = "") -> Token:
        return self._issue("access", user, scopes, self._store.switches.token_seconds, refresh=refresh)

    def _refresh(self, user: str, scopes: str) -> Token:
        return self._issue("refresh", user, scopes, None, issued_at=self._now())

    def credentials(self, base_url: str) -> dict[str, Any]:
        return {
            "access_token": self._offer("access"),
            "mailboxes": self._store.mailboxes(),
            "service_account": self.account.key_file(base_url + TOKEN),
            "client_id": self.client_id,
            "client_secret": self.client_secret,
            "refresh_token": self._offer("refresh"),
        }

    # --- HTTP -----------------------------------------------------------------------------------------------------------
    def handle(self, request: Request) -> Response:
        if request.path == AUTHORIZE:
            return self._authorize(request)
        if request.method != "POST":
            return Response(405, b"", "text/html", template=request.path)
        given = form_of(request)
        try:
            body = self._revoke(given) if request.path == REVOKE else self._granted(given, request.base_url + TOKEN)
        except BadGrant as refused:
            body = {"error": refused.word, "error_description": str(refused)}
            return Response(refused.status, json.dumps(body).encode(), template=request.path)
        return Response(200, json.dumps(body).encode(), template=request.path)

    def _granted(self, given: Mapping[str, str], token_uri: str) -> dict[str, Any]:
        grant = given.get("grant_type", "")
        if grant == JWT_BEARER:
            return self._by_assertion(given, token_uri)
        if grant not in ("authorization_code", "refresh_token"):
            raise BadGrant("unsupported_grant_type", f"Invalid grant_type: {grant[:80]}")
        if given.get("client_id") != self.client_id:
            raise BadGrant("invalid_client", "The OAuth client was not found.", 401)
        if given.get("client_secret") != self.client_secret:
            raise BadGrant("invalid_client", "The provided client secret is invalid.", 401)
        return self._by_code(given) if grant == "authorization_code" else self._by_refresh(given)

    def _answer(self, access: Token, **more: str) -> dict[str, Any]:
        seconds = self._store.switches.token_seconds
        return {"access_token": access["value"], "expires_in": seconds, **more, "token_type": "Bearer"}

    def _by_code(self, given: Mapping[str, str]) -> dict[str, Any]:
        if not given.get("code"):
            raise BadGrant("invalid_request", "Missing required parameter: code")
        code = self._good(given["code"], "code")
        if code is None or code["is_used"]:
            raise BadGrant("invalid_grant", "Malformed auth code.")
        if code["redirect_uri"] != given.get("redirect_uri"):
            raise BadGrant("redirect_uri_mismatch", "Bad Request")
        if code["challenge"] and not given.get("code_verifier"):
            raise BadGrant("invalid_grant", "Missing code verifier.")
        if code["challenge"] and _challenge(given["code_verifier"], code["method"]) != code["challenge"]:
            raise BadGrant("invalid_grant", "Invalid code verifier.")
        self._put({**code, "is_used": True})
        refresh = self._refresh(code["user"], code["scopes"])["value"] if code["gives_refresh"] else ""
        self.consents[code["user"]] = _joined(self.consents.get(code["user"], ""), code["scopes"])
        more = {"refresh_token": refresh} if refresh else {}
        return self._answer(self._access(code["user"], code["scopes"], refresh), **more, scope=code["scopes"])

    def _by_refresh(self, given: Mapping[str, str]) -> dict[str, Any]:
        if not given.get("refresh_token"):
            raise BadGrant("invalid_request", "Missing required parameter: refresh_token")
        refresh = self._good(given["refresh_token"], "refresh")
        if refresh is None:
            raise BadGrant("invalid_grant", DEAD)
        self._put({**refresh, "used_at": self._now()})
        return self._answer(self._access(refresh["user"], refresh["scopes"], refresh["value"]), scope=refresh["scopes"])

    def _by_assertion(self, given: Mapping[str, str], token_uri: str) -> dict[str, Any]:
        """Answers a service account that acts for a user: domain-wide delegation."""
        switches = self._store.switches
        try:
            claims = self.account.claims(given.get("assertion", ""), token_uri, is_strict=switches.strict_assertion_times)
        except BadAssertion as error:
            raise BadGrant("invalid_grant", str(error)) from None
        wanted = str(claims.get("scope", "")).split()
        if not wanted:
            raise BadGrant("invalid_scope", "Empty or missing scope not allowed.")
        if not set(wanted) <= set(switches.delegated_scopes.split()):
            told = "Client is unauthorized to retrieve access tokens using this method, or client not authorized for any of the "
            raise BadGrant("unauthorized_client", f"{told}scopes requested.", 401)
        user = str(claims.get("sub", "")).lower()
        if not self._store.active(user):
            raise BadGrant("invalid_grant", "Invalid email or User ID")
        return self._answer(self._access(user, " ".join(wanted)))

    def _revoke(self, given: Mapping[str, str]) -> dict[str, Any]:
        """Kills a token: with an access token the refresh token it came from, and all that came from that."""
        token = self.tokens.get(given.get("token", ""))
        if token is None or token["kind"] == "code":
            raise BadGrant("invalid_token", "Token expired or revoked")
        root = token.get("refresh") or token["value"]
        for other in [t for t in self.tokens.values() if root in (t["value"], t.get("refresh"))]:
            self._forget(other)
        if token["kind"] == "refresh" or token.get("refresh"):
            self.consents.pop(token["user"], None)
        return {}

    # --- consent --------------------------------------------------------------------------------------------------------
    def _authorize(self, request: Request) -> Response:
        """Shows who may sign in and what is asked for, each scope with a tick; the button leads back with a code."""
        given = _fields(request.query)
        target, scopes = given.get("redirect_uri", ""), given.get("scope", "").split()
        if given.get("client_id") != self.client_id or not target.startswith(("http://127.0.0.1", "http://localhost", "https://")):
            return _page(400, "<title>Refused</title><h1>Access blocked</h1><p>Error 400: redirect_uri_mismatch or invalid_client")
        if given.get("response_type") != "code":
            return _page(400, "<title>Refused</title><h1>Access blocked</h1><p>Error 400: unsupported_response_type")
        if not scopes or not set(scopes) <= set(KNOWN_SCOPES):
            return _page(400, "<title>Refused</title><h1>Access blocked</h1><p>Error 400: invalid_scope")
        if request.method == "POST":
            answer = self._decided(parse_qs(request.body.decode("utf-8", "replace")), given, scopes)
            where = f"{target}{'&' if '?' in target else '?'}{urlencode({'state': given.get('state', ''), **answer})}"
            return Response(302, b"", headers=[("Location", where)], template=AUTHORIZE)
        hint = given.get("login_hint", "").lower()
        options = "".join(f"<option{' selected' if user == hint else ''}>{html.escape(user)}</option>" for user in self._store.mailboxes())
        ticks = "".join(
            f'<p><label><input type=checkbox name=granted value="{html.escape(s)}" checked> {html.escape(s)}</label>' for s in scopes
        )
        form = f'<form method=post action="{html.escape(f"{AUTHORIZE}?{request.query}")}">'
        buttons = "<button>Continue</button> <button name=deny value=1>Cancel</button>"
        page = f"<title>Sign in</title><h1>Sign in with Google (sandbox)</h1>{form}"
        return _page(200, f"{page}<label>Account <select name=account>{options}</select></label>{ticks}{buttons}</form>")

    def _decided(self, form: Mapping[str, list[str]], given: Mapping[str, str], scopes: list[str]) -> dict[str, str]:
        """Returns what the address that we lead back to is told: a code, with the scopes that were ticked."""
        user = form.get("account", [""])[0].lower()
        ticked = [scope for scope in scopes if scope in form.get("granted", [])]
        if "deny" in form or not ticked or not self._store.active(user):
            return {"error": "access_denied"}
        before = self.consents.get(user, "")
        granted = " ".join(ticked)
        if given.get("include_granted_scopes") == "true":
            granted = _joined(granted, before)
        is_first = not before or "consent" in given.get("prompt", "")
        code = self._issue(
            "code", user, granted, CODE_SECONDS, redirect_uri=given["redirect_uri"], challenge=given.get("code_challenge", ""),
            method=given.get("code_challenge_method", "plain"), is_used=False,
            gives_refresh=given.get("access_type") == "offline" and is_first,
        )  # fmt: skip
        return {"code": code["value"], "scope": granted}

    # --- over a restart -------------------------------------------------------------------------------------------------
    def meta(self) -> dict[str, Any]:
        kept = {"count": self._count, "client_secret": self.client_secret, "consents": self.consents, "offered": self._offered}
        return {**kept, "key": self.account.key}

    def restore(self, state: Mapping[str, Any], rows: list[Token]) -> None:
        self._count, self.client_secret = state["count"], state["client_secret"]
        self.consents, self._offered = dict(state["consents"]), dict(state["offered"])
        self.account.key = state["key"]
        self.tokens = {row["value"]: dict(row) for row in sorted(rows, key=lambda row: int(row["id"]))}
        self.dirty.clear()


def form_of(request: Request) -> dict[str, str]:
    return _fields(request.body.decode("utf-8", "replace")) or _fields(request.query)


def _fields(text: str) -> dict[str, str]:
    return {name: values[-1] for name, values in parse_qs(text).items()}


def _challenge(verifier: str, method: str) -> str:
    if method != "S256":
        return verifier
    return base64.urlsafe_b64encode(hashlib.sha256(verifier.encode()).digest()).rstrip(b"=").decode()


def _joined(first: str, second: str) -> str:
    return " ".join(dict.fromkeys([*first.split(), *second.split()]))


def _page(status: int, body: str) -> Response:
    return Response(status, f"<!doctype html><html lang=en>{body}".encode(), "text/html; charset=utf-8", template=AUTHORIZE)

"""The token endpoint, the consent page and the identity of the played Salesforce."""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import html
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any
from urllib.parse import parse_qsl, urlencode

from connectors.sandbox.salesforce import ids, jwt
from connectors.sandbox.salesforce.calls import JSON
from connectors.sandbox.salesforce.records import Records
from connectors.sandbox.salesforce.switches import DAY, SCOPES
from connectors.sandbox.salesforce.table import Row
from connectors.sandbox.wire import Request, Response

CODE_SECONDS = 600
MOST_TOKENS = 200
JWT_GRANT = "urn:ietf:params:oauth:grant-type:jwt-bearer"
JWT_SECONDS = 180
LOGIN_HOSTS = ("https://login.salesforce.com", "https://test.salesforce.com")
PAGE = "text/html; charset=utf-8"
BASE = "/services/oauth2"


class TokenRefused(Exception):
    """A request for a token that is refused: an error word and its description, always 400."""

    def __init__(self, error: str, description: str) -> None:
        super().__init__(description)
        self.error, self.description = error, description


@dataclass(slots=True)
class Session:
    """An access token: whose it is, what it may do, when it ends unused, how many calls it was used for, and the refresh
    token that it came from."""

    user: str
    scopes: str
    ends_at: float
    calls: int = 0
    refresh: str = ""


@dataclass(slots=True)
class Grant:
    """A refresh token."""

    user: str
    scopes: str
    used_at: float


class TokenDesk:
    """Issues tokens to one app of one organisation. Access tokens have no lifetime that is told: they die unused, on
    demand, or with the refresh token that they came from."""

    def __init__(self, records: Records, *, seed: int) -> None:
        self._records = records
        self._seed = seed
        self._count = 0
        self.org_id = ids.make("00D", seed % 10**9 + 1)
        self.client_id = f"3MVG9{self._make('client id')[:40]}"
        self.client_secret = self._make("client secret").upper()
        self.sessions: dict[str, Session] = {}
        self.grants: dict[str, Grant] = {}
        self.codes: dict[str, dict[str, str]] = {}
        self.user = ""  # whom the app's tokens are for; the system sets it
        self.offered_access = self.offered_grant = ""

    def _make(self, what: str) -> str:
        self._count += 1
        return hashlib.sha256(f"salesforce {self._seed} {what} {self._count}".encode()).hexdigest()

    def _now(self) -> float:
        return self._records.now().timestamp()

    # --- tokens in force ----------------------------------------------------------------------------------------------
    def session(self, header: str, base_url: str) -> Session | None:
        """Returns the session of an Authorization header, its window moved on; None when it is not good here and now."""
        scheme, _, token = header.partition(" ")
        found = self.sessions.get(token.strip())
        switches = self._records.switches
        if scheme.lower() not in ("bearer", "oauth") or found is None or found.ends_at <= self._now():
            return None
        if switches.instance_url is not None and base_url.rstrip("/") != switches.instance_url.rstrip("/"):
            return None  # of another instance
        if not self._records.tables["User"].rows[found.user].get("IsActive"):
            return None  # whoever left is logged out
        if switches.calls_per_token is not None and found.calls >= switches.calls_per_token:
            return None
        found.calls += 1
        found.ends_at = self._now() + switches.session_seconds
        return found

    def credentials(self) -> dict[str, Any]:
        """Returns tokens that work now, and what it takes to get others."""
        access = self.sessions.get(self.offered_access)
        scopes = self._records.switches.scopes
        if access is None or access.ends_at <= self._now() + 60 or access.scopes != scopes:
            self.offered_access = self._open(self.user, scopes, self._offered_grant(scopes))
        self._offered_grant(scopes)
        user = self._records.tables["User"].rows[self.user]
        return {
            "access_token": self.offered_access,
            "client_id": self.client_id,
            "client_secret": self.client_secret,
            "refresh_token": self.offered_grant,
            "organization_id": self.org_id,
            "user_id": self.user,
            "username": user["Username"],
        }

    def _offered_grant(self, scopes: str) -> str:
        grant = self.grants.get(self.offered_grant)
        if grant is None or grant.scopes != scopes or self._is_idle(grant):
            self.offered_grant = self._grant(self.user, scopes)
        return self.offered_grant

    def _open(self, user: str, scopes: str, refresh: str = "") -> str:
        token = f"{self.org_id}!AQ8AQ{self._make('access')}"
        self.sessions[token] = Session(user, scopes, self._now() + self._records.switches.session_seconds, refresh=refresh)
        while len(self.sessions) > MOST_TOKENS:
            del self.sessions[next(iter(self.sessions))]
        return token

    def _grant(self, user: str, scopes: str) -> str:
        token = f"5Aep861{self._make('refresh')}"
        self.grants[token] = Grant(user, scopes, self._now())
        while len(self.grants) > MOST_TOKENS:
            del self.grants[next(iter(self.grants))]
        return token

    def _is_idle(self, grant: Grant) -> bool:
        days = self._records.switches.refresh_idle_days
        return days is not None and self._now() - grant.used_at > days * DAY

    def expire(self) -> None:
        self.sessions.clear()

    # --- the endpoints ------------------------------------------------------------------------------------------------
    def handle(self, request: Request) -> Response | None:
        """Answers everything under `/services/oauth2`, None for what is not there."""
        path = request.path.rstrip("/")
        if path == f"{BASE}/authorize":
            return self._authorize(request)
        if path == f"{BASE}/token" and request.method == "POST":
            return self._token(request)
        if path == f"{BASE}/revoke" and request.method in ("GET", "POST"):
            return self._revoke(request)
        if path == f"{BASE}/userinfo" and request.method in ("GET", "POST"):
            return self._userinfo(request)
        return None

    def _token(self, request: Request) -> Response:
        given = _form(request)
        try:
            if not request.headers.get("content-type", "").lower().startswith("application/x-www-form-urlencoded"):
                raise TokenRefused("invalid_request", "the content type must be application/x-www-form-urlencoded")
            return _json(200, self._granted(given, request.base_url))
        except TokenRefused as error:
            return _json(400, {"error": error.error, "error_description": error.description})

    def _granted(self, given: Mapping[str, str], base_url: str) -> dict[str, Any]:
        """Returns the answer to a request for tokens. Raises TokenRefused."""
        grant_type = _needed(given, "grant_type")
        if grant_type == JWT_GRANT:
            return self._by_jwt(given, base_url)
        if grant_type == "client_credentials":
            return self._by_client(given, base_url)
        if grant_type == "refresh_token":
            return self._by_refresh(given, base_url)
        if grant_type == "authorization_code":
            return self._by_code(given, base_url)
        raise TokenRefused("unsupported_grant_type", "grant type not supported")

    def _check_client(self, given: Mapping[str, str], *, needs_secret: bool) -> None:
        if _needed(given, "client_id") != self.client_id:
            raise TokenRefused("invalid_client_id", "client identifier invalid")
        secret = given.get("client_secret")
        if secret is None and needs_secret:
            raise TokenRefused("invalid_request", "missing required parameter: client_secret")
        if secret is not None and not hmac.compare_digest(secret.encode(), self.client_secret.encode()):
            raise TokenRefused("invalid_client", "invalid client credentials")

    def _by_code(self, given: Mapping[str, str], base_url: str) -> dict[str, Any]:
        self._check_client(given, needs_secret=self._records.switches.require_secret)
        code = self.codes.pop(_needed(given, "code"), None)
        if code is None or float(code["ends_at"]) <= self._now():
            raise TokenRefused("invalid_grant", "expired authorization code")
        if code["redirect_uri"] != _needed(given, "redirect_uri"):
            raise TokenRefused("invalid_grant", "redirect_uri must match configuration")
        if code["challenge"]:
            digest = hashlib.sha256(given.get("code_verifier", "").encode()).digest()
            if base64.urlsafe_b64encode(digest).rstrip(b"=").decode() != code["challenge"]:
                raise TokenRefused("invalid_grant", "invalid code verifier")
        words = code["scopes"].split()
        refresh = self._grant(self.user, code["scopes"]) if {"refresh_token", "offline_access"} & set(words) else ""
        answer = self._answer(self._open(self.user, code["scopes"], refresh), base_url, is_signed=True)
        if refresh:
            answer["refresh_token"] = refresh
        if "openid" in words:
            answer["id_token"] = self._id_token(base_url, code.get("nonce", ""))
        return answer

    def _by_refresh(self, given: Mapping[str, str], base_url: str) -> dict[str, Any]:
        self._check_client(given, needs_secret=self._records.switches.require_secret)
        token = _needed(given, "refresh_token")
        grant = self.grants.get(token)
        if grant is None or self._is_idle(grant):
            raise TokenRefused("invalid_grant", "expired access/refresh token")
        self._check_user(grant.user)
        grant.used_at = self._now()
        renewed = ""
        if self._records.switches.rotate_refresh_tokens:
            del self.grants[token]
            token = renewed = self._grant(grant.user, grant.scopes)
            if self.offered_grant not in self.grants:
                self.offered_grant = renewed
        answer = self._answer(self._open(grant.user, grant.scopes, token), base_url, is_signed=True)
        return {**answer, "refresh_token": renewed} if renewed else answer

    def _by_client(self, given: Mapping[str, str], base_url: str) -> dict[str, Any]:
        self._check_client(given, needs_secret=True)
        instance = self._records.switches.instance_url
        if instance is not None and base_url.rstrip("/") != instance.rstrip("/"):
            raise TokenRefused("invalid_grant", "request not supported on this domain")
        if not self._records.switches.has_run_as_user:
            raise TokenRefused("invalid_request", "no client credentials user enabled")
        return self._answer(self._open(self.user, self._without_refresh()), base_url, is_signed=True)

    def _by_jwt(self, given: Mapping[str, str], base_url: str) -> dict[str, Any]:
        certificate = self._records.switches.jwt_certificate
        assertion = _needed(given, "assertion")
        claims = jwt.claims_of(assertion, jwt.public_key(certificate)) if certificate else None
        if claims is None:
            raise TokenRefused("invalid_grant", "invalid assertion")
        if claims.get("iss") != self.client_id:
            raise TokenRefused("invalid_client_id", "client identifier invalid")
        audiences = (*LOGIN_HOSTS, base_url.rstrip("/"), (self._records.switches.instance_url or base_url).rstrip("/"))
        if str(claims.get("aud", "")).rstrip("/") not in audiences:
            raise TokenRefused("invalid_grant", "audience is invalid")
        expiry = str(claims.get("exp", ""))
        left = float(expiry) - self._now() if expiry.isascii() and expiry.isdigit() and len(expiry) < 12 else -1.0
        if not 0 < left <= JWT_SECONDS + 1:
            raise TokenRefused("invalid_grant", "expired authorization code" if left <= 0 else "invalid assertion")
        user = self._named(str(claims.get("sub", "")))
        if user is None:
            raise TokenRefused("invalid_grant", "user hasn't approved this consumer")
        self._check_user(user)
        return self._answer(self._open(user, self._without_refresh()), base_url, is_signed=False)

    def _without_refresh(self) -> str:
        return " ".join(w for w in self._records.switches.scopes.split() if w not in ("refresh_token", "offline_access"))

    def _named(self, username: str) -> str | None:
        table = self._records.tables["User"]
        return min(table.having("Username", [username]) or (), default=None) if username else None

    def _check_user(self, user: str) -> None:
        if not self._records.tables["User"].rows[user].get("IsActive"):
            raise TokenRefused("inactive_user", "user is inactive")

    def _answer(self, access: str, base_url: str, *, is_signed: bool) -> dict[str, Any]:
        session = self.sessions[access]
        told: dict[str, Any] = {
            "access_token": access,
            "scope": session.scopes,
            "instance_url": self._records.switches.instance_url or base_url,
            "id": f"{base_url}/id/{self.org_id}/{session.user}",
            "token_type": "Bearer",
        }
        if is_signed:
            issued_at = str(int(self._now() * 1000))
            digest = hmac.new(self.client_secret.encode(), f"{told['id']}{issued_at}".encode(), "sha256").digest()
            told.update({"issued_at": issued_at, "signature": base64.b64encode(digest).decode()})
        return told

    def _id_token(self, base_url: str, nonce: str) -> str:
        now = int(self._now())
        claims = {"iss": base_url, "sub": f"{base_url}/id/{self.org_id}/{self.user}", "aud": self.client_id, "iat": now, "exp": now + 120}
        return jwt.signed({**claims, "nonce": nonce} if nonce else claims)

    # --- the consent page ---------------------------------------------------------------------------------------------
    def _authorize(self, request: Request) -> Response:
        """Shows the consent page; its button leads back with a code."""
        given = dict(parse_qsl(request.query)) | (_form(request) if request.method == "POST" else {})
        target = given.get("redirect_uri", "")
        if given.get("client_id") != self.client_id or not target.startswith(("http://127.0.0.1", "http://localhost", "https://")):
            told = "error=invalid_client_id&error_description=client identifier invalid"
            return Response(400, f"<!doctype html><title>Refused</title><p>{told}".encode(), PAGE)
        problem = self._problem(given)
        if problem is not None:
            return _back(target, given, {"error": problem.error, "error_description": problem.description})
        if request.method == "POST":
            if given.pop("deny", ""):
                return _back(target, given, {"error": "access_denied", "error_description": "end-user denied authorization"})
            return _back(target, given, {"code": self._code(target, given)})
        hidden = "".join(f'<input type="hidden" name="{html.escape(k)}" value="{html.escape(v)}">' for k, v in given.items())
        scopes = "".join(f"<li>{html.escape(scope)}" for scope in self._scopes(given).split())
        page = f"<!doctype html><html lang=en><title>Allow access</title><h1>Allow access to Salesforce (sandbox)?</h1><ul>{scopes}</ul>"
        page += f'<form method="post" action="{BASE}/authorize">{hidden}<button>Allow</button> '
        page += '<button name="deny" value="1">Deny</button></form>'
        return Response(200, page.encode(), PAGE)

    def _problem(self, given: Mapping[str, str]) -> TokenRefused | None:
        """Returns what is wrong with a request for a code, as it is told to the app."""
        if given.get("response_type") != "code":
            return TokenRefused("unsupported_response_type", "response type not supported")
        if set(given.get("scope", "").split()) - SCOPES:
            return TokenRefused("invalid_scope", "the requested scope is not allowed")
        if given.get("code_challenge_method", "S256") != "S256":
            return TokenRefused("invalid_request", "code challenge method not supported")
        if self._records.switches.require_pkce and not given.get("code_challenge"):
            return TokenRefused("invalid_request", "missing required code challenge")
        return None

    def _scopes(self, given: Mapping[str, str]) -> str:
        """Returns the scopes of those asked for that the app has; all it has when none is named."""
        own = self._records.switches.scopes.split()
        asked = given.get("scope", "").split()
        return " ".join(scope for scope in own if not asked or scope in asked)

    def _code(self, target: str, given: Mapping[str, str]) -> str:
        code = f"aPrx{self._make('code')}"
        self.codes[code] = {
            "redirect_uri": target,
            "challenge": given.get("code_challenge", ""),
            "scopes": self._scopes(given),
            "nonce": given.get("nonce", ""),
            "ends_at": str(self._now() + CODE_SECONDS),
        }
        return code

    # --- the rest -----------------------------------------------------------------------------------------------------
    def _revoke(self, request: Request) -> Response:
        token = (dict(parse_qsl(request.query)) | _form(request)).get("token", "")
        if self.sessions.pop(token, None) is None and self.grants.pop(token, None) is None:
            return _json(400, {"error": "invalid_token", "error_description": "invalid token"})
        self.sessions = {access: s for access, s in self.sessions.items() if s.refresh != token}
        return Response(200, b"", JSON)

    def _userinfo(self, request: Request) -> Response:
        session = self.session(request.headers.get("authorization", ""), request.base_url)
        if session is None:
            return _bad_token("Bad_OAuth_Token")
        user = self._records.tables["User"].rows[session.user]
        body = {
            "sub": f"{request.base_url}/id/{self.org_id}/{session.user}",
            "user_id": session.user,
            "organization_id": self.org_id,
            "preferred_username": user["Username"],
            "nickname": user.get("Alias", user["Username"]),
            "name": user["Name"],
            "email": user["Email"],
            "email_verified": True,
            "given_name": user.get("FirstName"),
            "family_name": user["LastName"],
            "zoneinfo": user["TimeZoneSidKey"],
            "locale": user["LocaleSidKey"],
            "active": bool(user.get("IsActive")),
            "user_type": "STANDARD",
            "urls": self._urls(request.base_url),
        }
        return _json(200, body)

    def identity(self, request: Request, parts: list[str]) -> Response | None:
        """Answers `/id/<organisation>/<user>`, None for an address that is none."""
        if len(parts) != 3 or request.method != "GET":
            return None
        session = self.session(request.headers.get("authorization", ""), request.base_url)
        if session is None:
            return _bad_token("Bad_OAuth_Token")
        if ids.read(parts[1]) != self.org_id:
            return _bad_token("Wrong_Org")
        user = self._records.tables["User"].rows.get(ids.read(parts[2]) or "")
        return None if user is None else _json(200, self._identity(request.base_url, user))

    def _identity(self, base_url: str, user: Row) -> dict[str, Any]:
        return {
            "id": f"{base_url}/id/{self.org_id}/{user['Id']}",
            "asserted_user": True,
            "user_id": user["Id"],
            "organization_id": self.org_id,
            "username": user["Username"],
            "nick_name": user.get("Alias", user["Username"]),
            "display_name": user["Name"],
            "email": user["Email"],
            "first_name": user.get("FirstName"),
            "last_name": user["LastName"],
            "timezone": user["TimeZoneSidKey"],
            "active": bool(user.get("IsActive")),
            "user_type": "STANDARD",
            "language": user["LanguageLocaleKey"],
            "locale": user["LocaleSidKey"],
            "last_modified_date": user["LastModifiedDate"],
            "urls": self._urls(base_url),
        }

    def _urls(self, base_url: str) -> dict[str, str]:
        rest = f"{self._records.switches.instance_url or base_url}/services/data/v{{version}}/"
        return {"rest": rest, "sobjects": f"{rest}sobjects/", "query": f"{rest}query/"}

    # --- over a restart -----------------------------------------------------------------------------------------------
    def meta(self) -> dict[str, Any]:
        kept = {name: getattr(self, name) for name in KEPT}
        tokens = {name: {t: asdict(each) for t, each in getattr(self, name).items()} for name in ("sessions", "grants")}
        return {**kept, **tokens}

    def restore(self, state: Mapping[str, Any]) -> None:
        for name in KEPT:
            setattr(self, name, state.get(name, getattr(self, name)))
        self.sessions = {token: Session(**each) for token, each in state["sessions"].items()}
        self.grants = {token: Grant(**each) for token, each in state["grants"].items()}


KEPT = ("_count", "org_id", "client_id", "client_secret", "codes", "user", "offered_access", "offered_grant")


def _form(request: Request) -> dict[str, str]:
    """Returns a form's fields, with the client's id and secret where they come as HTTP Basic."""
    given = dict(parse_qsl(request.body.decode("utf-8", "replace"), keep_blank_values=True))
    scheme, _, encoded = request.headers.get("authorization", "").partition(" ")
    if scheme.lower() == "basic":
        try:
            client_id, _, secret = base64.b64decode(encoded, validate=True).decode().partition(":")
        except (binascii.Error, UnicodeDecodeError):
            return given
        given = {"client_id": client_id, "client_secret": secret, **given}
    return given


def _needed(given: Mapping[str, str], name: str) -> str:
    if not given.get(name):
        raise TokenRefused("invalid_request", f"missing required parameter: {name}")
    return given[name]


def _back(target: str, given: Mapping[str, str], answer: Mapping[str, str]) -> Response:
    state = {"state": given["state"]} if "state" in given else {}
    return Response(302, b"", PAGE, [("Location", f"{target}{'&' if '?' in target else '?'}{urlencode({**answer, **state})}")])


def _bad_token(word: str) -> Response:
    return Response(403, word.encode(), "text/html;charset=UTF-8")


def _json(status: int, body: Mapping[str, Any]) -> Response:
    return Response(status, json.dumps(body).encode(), JSON)

"""The played identity platform: tokens for the app and for people who signed in, and the refusals of their requests.

Numbers of errors beyond those of the reference are the vendor's to the best of our memory: act on `error`, never on them.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from connectors.sandbox.microsoft import ids, jwt
from connectors.sandbox.microsoft.store import Store
from connectors.sandbox.microsoft.switches import PERMISSIONS
from connectors.sandbox.wire import Request, Response

GRAPH = "https://graph.microsoft.com"
ASSERTION_TYPE = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
OPENID = ("openid", "profile", "email", "offline_access")
DELEGATED = frozenset((*(p.removesuffix(".All") for p in PERMISSIONS), *PERMISSIONS, "User.Read"))
SHARED = ("common", "organizations", "consumers")
CODE_SECONDS, REFRESH_SECONDS = 600, 90 * 86400
MOST_TOKENS = 200


class TokenRefused(Exception):
    """A request for a token that is refused: the error's word, its number, a sentence, the status."""

    def __init__(self, error: str, number: int, sentence: str, status: int = 400) -> None:
        super().__init__(sentence)
        self.error, self.number, self.status = error, number, status


@dataclass(slots=True)
class Token:
    """What an access or refresh token allows. `user` 0: it is the app's own."""

    permissions: str
    ends_at: float
    user: int = 0


class TokenDesk:
    """Issues tokens and knows those that are out. Its pages stand in consent.py."""

    def __init__(self, store: Store, *, now: Callable[[], datetime], seed: int) -> None:
        self.store, self._clock, self._seed = store, now, seed
        self._count = 0
        self.tenant = ids.guid("tenant", seed)
        self.client_id = ids.guid("app", seed)
        self.client_secret = self._make("secret")
        self.access: dict[str, Token] = {}
        self.refresh: dict[str, Token] = {}
        self.codes: dict[str, dict[str, Any]] = {}
        self.offered = ""

    def now(self) -> float:
        return self._clock().timestamp()

    def _make(self, what: str) -> str:
        self._count += 1
        return hashlib.sha256(f"{self._seed} graph {what} {self._count}".encode()).hexdigest()[:40]

    @property
    def tenant_names(self) -> tuple[str, ...]:
        """Returns what the tenant answers to: its id and the domains of its users."""
        domains = {row["userPrincipalName"].rpartition("@")[2].lower() for row in self.store.users.values()}
        return (self.tenant, *sorted(domains))

    # --- tokens that are out --------------------------------------------------------------------------------------------------
    def credentials(self) -> dict[str, Any]:
        """Returns a token of the app that works now, and what it takes to get others."""
        token, granted = self.access.get(self.offered), self.store.switches.permissions
        if token is None or token.ends_at <= self.now() + 60 or token.permissions != granted:
            self.offered = self._issue(granted, 0)
        return {"access_token": self.offered, "tenant": self.tenant, "client_id": self.client_id, "client_secret": self.client_secret}

    def token(self, header: str) -> Token | str:
        """Returns the token of an Authorization header, or a sentence that says why it is none."""
        scheme, _, text = header.partition(" ")
        if scheme.lower() != "bearer" or not text.strip():
            return "Access token is empty."
        found = self.access.get(text.strip())
        if found is None:
            return "IDX14100: JWT is not well formed, or was issued to somebody else."
        if found.ends_at <= self.now():
            return "Lifetime validation failed, the token is expired."
        return found

    def expire(self) -> None:
        for token in self.access.values():
            token.ends_at = 0.0

    def _issue(self, permissions: str, user: int) -> str:
        seconds, now = self.store.switches.token_seconds, self.now()
        who = {"scp": permissions, "upn": self._upn(user)} if user else {"roles": permissions.split(), "idtyp": "app"}
        claims = {"aud": GRAPH, "iss": f"https://sts.windows.net/{self.tenant}/", "iat": int(now), "nbf": int(now),
                  "exp": int(now) + seconds, "appid": self.client_id, "tid": self.tenant, "uti": self._make("uti")[:22],
                  **who}  # fmt: skip
        token = jwt.shaped(claims, self.client_secret)
        _keep(self.access, token, Token(permissions, now + seconds, user))
        return token

    def _upn(self, user: int) -> str:
        return str(self.store.users[user]["userPrincipalName"])

    # --- the endpoint -----------------------------------------------------------------------------------------------------------
    def answer(self, request: Request, tenant: str) -> Response:
        """Answers `POST /{tenant}/oauth2/v2.0/token`."""
        given = dict(parse_qsl(request.body.decode("utf-8", "replace"), keep_blank_values=True))
        try:
            if request.method != "POST":
                raise TokenRefused("invalid_request", 900561, "The endpoint only accepts POST requests.")
            body = self._granted(given, tenant)
        except TokenRefused as error:
            return self.refusal(error)
        return Response(200, json.dumps(body).encode(), "application/json; charset=utf-8")

    def refusal(self, error: TokenRefused) -> Response:
        trace, correlation = (ids.guid(self._make(word)) for word in ("trace", "correlation"))
        at = f"{self._clock():%Y-%m-%d %H:%M:%S}Z"
        told = f"AADSTS{error.number}: {error} Trace ID: {trace} Correlation ID: {correlation} Timestamp: {at}"
        body = {"error": error.error, "error_description": told, "error_codes": [error.number], "timestamp": at, "trace_id": trace,
                "correlation_id": correlation, "error_uri": f"https://login.microsoftonline.com/error?code={error.number}"}  # fmt: skip
        return Response(error.status, json.dumps(body).encode(), "application/json; charset=utf-8")

    def check_tenant(self, tenant: str, *, may_be_shared: bool) -> None:
        """Raises TokenRefused for a tenant that is not ours."""
        if tenant.lower() in self.tenant_names or (may_be_shared and tenant.lower() in SHARED):
            return
        if "." not in tenant and "-" not in tenant:
            told = f"Specified tenant identifier '{tenant[:80]}' is neither a valid DNS name, nor a valid external domain."
            raise TokenRefused("invalid_request", 900023, told)
        raise TokenRefused(
            "invalid_request", 90002, f"Tenant '{tenant[:80]}' not found. Check to make sure you have the correct tenant ID."
        )

    def _granted(self, given: Mapping[str, str], tenant: str) -> dict[str, Any]:
        """Returns the answer to a request for tokens. Raises TokenRefused."""
        grants = {"client_credentials": self._by_client, "authorization_code": self._by_code, "refresh_token": self._by_refresh}
        grant_type = _needed(given, "grant_type")
        self.check_tenant(tenant, may_be_shared=grant_type != "client_credentials")
        self._check_client(given, tenant)
        if grant_type not in grants:
            raise TokenRefused("unsupported_grant_type", 70003, f"The app requested an unsupported grant type '{grant_type[:80]}'.")
        return grants[grant_type](given)

    def _check_client(self, given: Mapping[str, str], tenant: str) -> None:
        if _needed(given, "client_id") != self.client_id:
            told = f"Application with identifier '{given['client_id'][:80]}' was not found in the directory '{tenant[:80]}'."
            raise TokenRefused("unauthorized_client", 700016, told)
        if given.get("client_assertion"):
            self._check_assertion(given)
        elif not given.get("client_secret"):
            told = "The request body must contain the following parameter: 'client_assertion' or 'client_secret'."
            raise TokenRefused("invalid_client", 7000218, told, 401)
        elif not hmac.compare_digest(given["client_secret"].encode(), self.client_secret.encode()):
            raise TokenRefused("invalid_client", 7000215, "Invalid client secret provided.", 401)
        elif self.store.switches.secret_is_expired:
            raise TokenRefused("invalid_client", 7000222, "The provided client secret keys are expired.", 401)

    def _check_assertion(self, given: Mapping[str, str]) -> None:
        """Raises TokenRefused for an assertion that our certificate did not sign now and for us."""
        if given.get("client_assertion_type") != ASSERTION_TYPE:
            raise TokenRefused("invalid_request", 50012, "The client assertion type is not supported.")
        pem = self.store.switches.certificate
        claims = jwt.claims_of(given["client_assertion"], jwt.read_key(pem)) if pem else None
        if claims is None:
            raise TokenRefused("invalid_client", 700027, "The certificate with identifier used to sign the client assertion is "
                               "not registered on application, or the signature is invalid.", 401)  # fmt: skip
        if not claims.get("iss") == claims.get("sub") == self.client_id:
            told = "Client assertion application identifier doesn't match 'client_id' parameter."
            raise TokenRefused("invalid_client", 700021, told, 401)
        if not self._is_ours(str(claims.get("aud", ""))):
            raise TokenRefused("invalid_client", 700023, "Client assertion audience claim does not match Realm issuer.", 401)
        begins, ends = claims.get("nbf", 0), claims.get("exp", 0)
        if not all(isinstance(each, int | float) for each in (begins, ends)) or not begins - 300 <= self.now() < ends:
            raise TokenRefused("invalid_client", 700024, "Client assertion is not within its valid time range.", 401)

    def _is_ours(self, audience: str) -> bool:
        """Tells whether an assertion was meant for this endpoint, under whatever host: clients are led here from the real one."""
        parts = [p for p in urlsplit(audience).path.split("/") if p]
        names = (*self.tenant_names, *SHARED)
        return len(parts) > 1 and parts[0].lower() in names and parts[1:] in (["oauth2", "v2.0", "token"], ["v2.0"])

    # --- the grants -------------------------------------------------------------------------------------------------------------
    def _by_client(self, given: Mapping[str, str]) -> dict[str, Any]:
        scope = _needed(given, "scope")
        if scope != f"{GRAPH}/.default":
            told = f"The provided value for scope {scope[:120]} is not valid. Client credential flows must have a scope value with "
            raise TokenRefused("invalid_scope", 1002012, f"{told}/.default suffixed to the resource identifier.")
        return self._answer(self.store.switches.permissions, 0)

    def _answer(self, permissions: str, user: int) -> dict[str, Any]:
        seconds = self.store.switches.token_seconds
        return {"token_type": "Bearer", "expires_in": seconds, "ext_expires_in": seconds, "access_token": self._issue(permissions, user)}

    def _by_code(self, given: Mapping[str, str]) -> dict[str, Any]:
        code = self.codes.pop(_needed(given, "code"), None)
        if code is None or code["ends_at"] <= self.now() or code["user"] not in self.store.users:
            raise TokenRefused("invalid_grant", 70008, "The provided authorization code or refresh token has expired due to inactivity.")
        if code["redirect_uri"] != _needed(given, "redirect_uri"):
            told = "The redirect_uri does not match the one of the request for the authorization code."
            raise TokenRefused("invalid_grant", 500112, told)
        if code["challenge"]:
            digest = hashlib.sha256(given.get("code_verifier", "").encode()).digest()
            if jwt.to_text(digest) != code["challenge"]:
                told = "The Code_Verifier does not match the code_challenge supplied in the authorization request."
                raise TokenRefused("invalid_grant", 501481, told)
        return self._signed_in(code["scopes"], code["user"], given, nonce=code["nonce"])

    def _by_refresh(self, given: Mapping[str, str]) -> dict[str, Any]:
        text = _needed(given, "refresh_token")
        found = self.refresh.get(text)
        if found is None or found.ends_at <= self.now() or found.user not in self.store.users:
            raise TokenRefused("invalid_grant", 700082, "The refresh token has expired due to inactivity, or was revoked.")
        if self.store.switches.strict_rotation:
            del self.refresh[text]
        return self._signed_in(found.permissions, found.user, given)

    def _signed_in(self, scopes: str, user: int, given: Mapping[str, str], nonce: str = "") -> dict[str, Any]:
        """Returns the tokens of somebody who signed in, with a refresh token where offline_access was asked for."""
        words = scopes.split()
        own = [word for word in words if word not in OPENID]
        body = {**self._answer(" ".join(own), user), "scope": " ".join(f"{GRAPH}/{word}" for word in own)}
        row = self.store.users[user]
        if "offline_access" in words:
            body["refresh_token"] = f"1.AX{self._make('refresh')}"
            _keep(self.refresh, body["refresh_token"], Token(scopes, self.now() + REFRESH_SECONDS, user))
        if "openid" in words:
            now = int(self.now())
            claims = {"aud": self.client_id, "iss": f"https://login.microsoftonline.com/{self.tenant}/v2.0", "iat": now, "nbf": now,
                      "exp": now + 3600, "oid": row["id"], "sub": row["id"], "tid": self.tenant, "ver": "2.0",
                      "preferred_username": row["userPrincipalName"], "name": row["displayName"]}  # fmt: skip
            body["id_token"] = jwt.shaped({**claims, "nonce": nonce} if nonce else claims, self.client_secret)
        if given.get("client_info"):
            told = json.dumps({"uid": row["id"], "utid": self.tenant}).encode()
            body["client_info"] = base64.urlsafe_b64encode(told).rstrip(b"=").decode()
        return body

    def code(self, given: Mapping[str, str], scopes: str, user: int) -> str:
        """Returns a code for what somebody allowed on the consent page."""
        text = f"1.AX{self._make('code')}"
        kept = {"redirect_uri": given.get("redirect_uri", ""), "challenge": given.get("code_challenge", ""), "scopes": scopes,
                "user": user, "nonce": given.get("nonce", ""), "ends_at": self.now() + CODE_SECONDS}  # fmt: skip
        _keep(self.codes, text, kept)
        return text

    # --- over a restart -----------------------------------------------------------------------------------------------------------
    def meta(self) -> dict[str, Any]:
        tokens = {name: {t: asdict(each) for t, each in getattr(self, name).items()} for name in ("access", "refresh")}
        return {**{name: getattr(self, name) for name in KEPT}, **tokens}

    def restore(self, state: Mapping[str, Any]) -> None:
        for name in KEPT:
            setattr(self, name, state[name])
        self.access = {text: Token(**each) for text, each in state["access"].items()}
        self.refresh = {text: Token(**each) for text, each in state["refresh"].items()}


KEPT = ("_count", "tenant", "client_id", "client_secret", "codes", "offered")


def _keep(where: dict[str, Any], text: str, what: Any) -> None:
    where[text] = what
    while len(where) > MOST_TOKENS:
        del where[next(iter(where))]


def _needed(given: Mapping[str, str], name: str) -> str:
    if not given.get(name):
        raise TokenRefused("invalid_request", 900144, f"The request body must contain the following parameter: '{name}'.")
    return given[name]

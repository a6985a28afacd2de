"""The pages and documents of the played identity platform: sign-in, an administrator's consent, discovery."""

from __future__ import annotations

import html
import json
from collections.abc import Mapping
from dataclasses import replace
from urllib.parse import parse_qsl, urlencode

from connectors.sandbox.microsoft.oauth import DELEGATED, GRAPH, OPENID, TokenDesk, TokenRefused
from connectors.sandbox.microsoft.switches import GRANTED
from connectors.sandbox.wire import Request, Response

LOGIN = "https://login.microsoftonline.com"
PAGE = "text/html; charset=utf-8"
PROMPTS = ("login", "none", "consent", "select_account")


class Consent:
    """Answers everything of the log-in host."""

    def __init__(self, desk: TokenDesk) -> None:
        self._desk = desk

    def answer(self, request: Request, parts: list[str]) -> Response | None:
        """Answers `/{tenant}/…`, None for an address that is none."""
        rest = "/".join(parts[1:])
        if rest == "oauth2/v2.0/token":
            return self._desk.answer(request, parts[0])
        if rest == "v2.0/.well-known/openid-configuration":
            return self._discovery(request, parts[0])
        if rest == "discovery/instance":
            return self._instance(request)
        if rest == "oauth2/v2.0/authorize":
            return self._authorize(request, parts[0])
        if rest == "adminconsent":
            return self._admin_consent(request, parts[0])
        return None

    def _discovery(self, request: Request, tenant: str) -> Response:
        """Answers the discovery document. msal takes none whose endpoints are not https, so it names the real host; a client
        that is led here by its own transport is led here with those, too."""
        try:
            self._desk.check_tenant(tenant, may_be_shared=True)
        except TokenRefused as error:
            return self._desk.refusal(error)
        hosts = {"vendor": LOGIN, "own": request.base_url, "own_https": request.base_url.replace("http://", "https://")}
        own = f"{hosts[self._desk.store.switches.discovery_host]}/{tenant}"
        body = {
            "token_endpoint": f"{own}/oauth2/v2.0/token",
            "token_endpoint_auth_methods_supported": ["client_secret_post", "private_key_jwt"],
            "response_modes_supported": ["query"],
            "subject_types_supported": ["pairwise"],
            "id_token_signing_alg_values_supported": ["RS256"],
            "response_types_supported": ["code"],
            "scopes_supported": list(OPENID),
            "issuer": f"{LOGIN}/{self._desk.tenant}/v2.0",
            "authorization_endpoint": f"{own}/oauth2/v2.0/authorize",
            "tenant_region_scope": "EU",
            "cloud_instance_name": "microsoftonline.com",
            "msgraph_host": "graph.microsoft.com",
        }
        return _json(body)

    def _instance(self, request: Request) -> Response:
        """Answers what libraries ask of a host they do not know: that it may be trusted."""
        asked = dict(parse_qsl(request.query)).get("authorization_endpoint", "")
        tenant = next(iter(asked.split("://")[-1].split("/")[1:2]), "common")
        return _json({"tenant_discovery_endpoint": f"{request.base_url}/{tenant}/v2.0/.well-known/openid-configuration", "metadata": []})

    # --- pages ----------------------------------------------------------------------------------------------------------------
    def _authorize(self, request: Request, tenant: str) -> Response:
        """Shows who may sign in and what is asked for; the button leads back with a code."""
        given, refused = self._begin(request, tenant)
        if refused is not None:
            return refused
        try:
            scopes = self._scopes(given)
        except TokenRefused as error:
            return self._back(given, {"error": error.error, "error_description": f"AADSTS{error.number}: {error}"})
        if given.get("prompt") == "none" or request.method == "POST":
            return self._signed_in(given, scopes)
        who = "".join(f"<option>{html.escape(row['userPrincipalName'])}" for row in self._desk.store.users.values())
        choice = f'<p><label>Sign in as <select name="login_hint">{who}</select></label>'
        hidden = {name: value for name, value in given.items() if name != "login_hint"}
        return _form_page(request.path, hidden, scopes.split(), choice)

    def _signed_in(self, given: dict[str, str], scopes: str) -> Response:
        if given.get("deny"):
            return self._back(given, {"error": "access_denied", "error_description": "AADSTS65004: User declined to consent."})
        row = self._desk.store.user(given.get("login_hint", ""))
        if row is None:
            told = "AADSTS50058: A silent sign-in request was sent but no user is signed in."
            return self._back(given, {"error": "login_required", "error_description": told})
        return self._back(given, {"code": self._desk.code(given, scopes, row["n"])})

    def _scopes(self, given: Mapping[str, str]) -> str:
        """Returns the scopes that are asked for, without the resource's name. Raises TokenRefused."""
        if given.get("response_type") != "code":
            raise TokenRefused("unsupported_response_type", 70005, "response_type must be 'code'.")
        if given.get("response_mode", "query") != "query" or given.get("prompt", "login") not in PROMPTS:
            raise TokenRefused("invalid_request", 90023, "response_mode or prompt is not supported.")
        if given.get("code_challenge_method", "S256") != "S256":
            raise TokenRefused("invalid_request", 501491, "code_challenge_method must be S256.")
        words = [word.removeprefix(f"{GRAPH}/") for word in given.get("scope", "").split()]
        granted = [p for word in words for p in (self._desk.store.switches.permissions.split() if word == ".default" else [word])]
        unknown = [word for word in granted if word not in (*OPENID, *DELEGATED)]
        if unknown or not granted:
            told = f"The provided value for the input parameter 'scope' is not valid: {' '.join(unknown)[:120]}"
            raise TokenRefused("invalid_scope", 70011, told)
        return " ".join(dict.fromkeys(granted))

    def _admin_consent(self, request: Request, tenant: str) -> Response:
        """Shows what the app asks for; the button grants all of it for the whole tenant and leads back."""
        given, refused = self._begin(request, tenant)
        if refused is not None:
            return refused
        if request.method != "POST":
            return _form_page(request.path, given, GRANTED.split(), "<p>For all mailboxes of the organisation.")
        if given.get("deny"):
            return self._back(given, {"error": "access_denied", "error_description": "AADSTS65004: User declined to consent."})
        store = self._desk.store
        present = store.switches.permissions.split()
        store.switches = replace(store.switches, permissions=" ".join(dict.fromkeys([*GRANTED.split(), *present])))
        return self._back(given, {"tenant": self._desk.tenant, "admin_consent": "True"})

    def _begin(self, request: Request, tenant: str) -> tuple[dict[str, str], Response | None]:
        """Returns the fields of a page's request, and the page that refuses an app or address that is not known."""
        given = dict(parse_qsl(request.query))
        if request.method == "POST":
            given |= dict(parse_qsl(request.body.decode("utf-8", "replace")))
        problem = ""
        try:
            self._desk.check_tenant(tenant, may_be_shared=True)
        except TokenRefused as error:
            problem = f"AADSTS{error.number}: {error}"
        if given.get("client_id") != self._desk.client_id:
            problem = "AADSTS700016: The application was not found in the directory."
        elif not given.get("redirect_uri", "").startswith(("http://127.0.0.1", "http://localhost", "https://")):
            problem = "AADSTS50011: The redirect URI does not match the redirect URIs configured for the application."
        page = f"<!doctype html><html lang=en><title>Sorry</title><p>{html.escape(problem)}"
        return given, Response(400, page.encode(), PAGE) if problem else None

    @staticmethod
    def _back(given: Mapping[str, str], answer: Mapping[str, str]) -> Response:
        target = given["redirect_uri"]
        state = {"state": given["state"]} if "state" in given else {}
        return Response(302, b"", PAGE, [("Location", f"{target}{'&' if '?' in target else '?'}{urlencode({**answer, **state})}")])


def _form_page(path: str, given: Mapping[str, str], asked: list[str], more: str) -> Response:
    hidden = "".join(f'<input type="hidden" name="{html.escape(k)}" value="{html.escape(v)}">' for k, v in given.items())
    listed = "".join(f"<li>{html.escape(word)}" for word in asked)
    page = f"<!doctype html><html lang=en><title>Permissions requested</title><h1>Permissions requested (sandbox)</h1><ul>{listed}</ul>"
    page += f'<form method="post" action="{html.escape(path)}">{hidden}{more}<p><button>Accept</button> '
    page += '<button name="deny" value="1">Cancel</button></form>'
    return Response(200, page.encode(), PAGE)


def _json(body: Mapping[str, object]) -> Response:
    return Response(200, json.dumps(body).encode(), "application/json; charset=utf-8")

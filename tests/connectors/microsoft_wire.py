"""What a client meets on Microsoft's wire, scripted from the reference: a test says what each call, and each part of a
`$batch`, is answered. No filter is understood here."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import unquote, urlsplit

import requests

from connectors.http import HttpClient
from connectors.mailboxes import ContactBox
from connectors.microsoft.codec import EXTENDED, FOREIGN_PROPERTY
from connectors.microsoft.connector import MicrosoftConnector
from connectors.microsoft.login import registration_of
from connectors.microsoft.mailbox import MicrosoftMailbox
from connectors.microsoft.settings import MicrosoftSettings
from connectors.oauth import Tokens
from tests.connectors.wire import Said, Script, Store

GRAPH, LOGIN = "https://graph.microsoft.com/v1.0", "https://login.microsoftonline.com"
ANN, OURS, DEFAULT, BINNED = "ann@acme.example", "FOLDER-ours=", "FOLDER-default=", "FOLDER-bin="
TOKEN_ROUTE = "POST /acme.example/oauth2/v2.0/token"
NOW = datetime(2026, 11, 22, 9, 0, tzinfo=UTC)
SECRETS = {"client_id": "11111111-2222-4333-8444-555555555555", "client_secret": "client~secret-1"}
ROOT = f"/users/{ANN}"
CONTACTS, INSIDE = f"{ROOT}/contacts", f"{ROOT}/contactFolders/{OURS}/contacts"
DELTA_OURS, DELTA_OTHERS = f"GET {INSIDE}/delta", f"GET {ROOT}/contactFolders/contacts/contacts/delta"
Reply = Said | Exception | Callable[[Any], Said]


def jwt(**claims: Any) -> str:
    parts = [base64.urlsafe_b64encode(json.dumps(part).encode()).rstrip(b"=").decode() for part in ({"alg": "RS256"}, claims)]
    return ".".join([*parts, "c2lnbmVk"])


ALL_ROLES = ["Contacts.ReadWrite", "MailboxSettings.ReadWrite", "User.Read.All"]
OTHER_ROLES = ["Calendars.ReadWrite", "Tasks.ReadWrite.All", "Mail.ReadWrite"]  # without one only a part goes missing
ACCESS = jwt(tid="tenant-1", appid=SECRETS["client_id"], app_displayname="Sync", roles=[*ALL_ROLES, *OTHER_ROLES])


class Graph(Script):
    """Answers each route ("GET /users/ann@…/contacts", decoded, without version and options) from its own list, the last
    one for ever; parts of a batch likewise, their answers in reverse order. `parts` keeps what the batches asked for."""

    def __init__(self, routes: dict[str, Reply | list[Reply]]) -> None:
        super().__init__(Said(400, {"error": {"code": "BadRequest", "message": "no route"}}))
        self.routes = {route: list(said) if isinstance(said, list) else [said] for route, said in routes.items()}
        self.parts: list[dict[str, Any]] = []
        self.units: list[int] = []  # parts of each batch

    def send(self, request: requests.PreparedRequest, **options: Any) -> requests.Response:
        route = self.route(request.method or "", request.url or "")
        if route == "POST /$batch" and route not in self.routes:
            self.answers = [self._batch(json.loads(request.body or b"{}"))]
        else:
            self.answers = [self._next(route)]
        return super().send(request, **options)

    def _next(self, route: str) -> Any:
        replies = self.routes.get(route)
        if not replies:
            return Said(400, {"error": {"code": "BadRequest", "message": f"no route for {route}"}})
        return replies.pop(0) if len(replies) > 1 else replies[0]

    def _batch(self, body: dict[str, Any]) -> Said:
        responses = []
        self.units.append(len(body["requests"]))
        for part in body["requests"]:
            self.parts.append(part)
            said = self._next(self.route(part["method"], part["url"]))
            said = said(part) if callable(said) else said
            if isinstance(said, Exception):
                raise said
            responses.append({"id": part["id"], "status": said.status, "headers": said.headers, "body": said.body})
        return Said(200, {"responses": responses[::-1]})

    @staticmethod
    def route(method: str, url: str) -> str:
        path = unquote(urlsplit(url).path)
        return f"{method} {path.removeprefix('/v1.0')}"

    @property
    def calls(self) -> list[str]:
        return [self.route(request.method or "", request.url or "") for request in self.requests]

    @property
    def asked(self) -> list[str]:
        """The parts of all batches, as routes."""
        return [self.route(part["method"], part["url"]) for part in self.parts]

    def body(self, index: int = -1) -> Any:
        return json.loads(self.requests[index].body or b"null")


def connection(
    routes: dict[str, Reply | list[Reply]],
    *,
    tokens: Tokens | None = None,
    flow: str = "client_credentials",
    secrets: dict[str, str] | None = None,
    settings: dict[str, Any] | None = None,
    stores: dict[str, Store] | None = None,
    base_url: str = GRAPH,
    login_url: str = LOGIN,
    **options: Any,
) -> tuple[MicrosoftConnector, Graph]:
    """Returns a connection whose every call goes to the scripted tenant; its store is `graph.store`, what it waited
    `graph.slept`, its clock `graph.now`."""
    graph = Graph(routes)
    graph.store = Store(tokens or Tokens(ACCESS, expires_at=NOW + timedelta(hours=1)))
    graph.stores = stores if stores is not None else {}
    graph.slept, graph.now = [], NOW

    def open_http(address: str) -> HttpClient:
        return HttpClient("microsoft", address, adapter=graph, sleep=graph.slept.append, allow_loopback=True)

    connector = MicrosoftConnector(
        lambda: open_http(base_url),
        open_http(login_url),
        registration_of(secrets or SECRETS, {"tenant": "acme.example", "flow": flow}),
        graph.store,
        graph.stores.__getitem__,
        settings=MicrosoftSettings.of(settings or {}),
        now=lambda: graph.now,
        **options,
    )
    return connector, graph


def mailbox(routes: dict[str, Reply | list[Reply]], **options: Any) -> tuple[MicrosoftMailbox, Graph]:
    """Returns Ann's contacts, with a folder of ours."""
    connector, graph = connection(routes, **options)
    box: ContactBox = connector.mailbox(ANN)  # satisfies the protocol, too
    box.use_folder(OURS, "Salesforce")
    graph.connector = connector
    return connector.mailbox(ANN), graph


def contact(id_: str, etag: str = "v1", *, folder: str = OURS, marker: str | None = None, **fields: Any) -> dict[str, Any]:
    """Returns a contact as Microsoft tells it, with everything that the reference's example has."""
    row: dict[str, Any] = {
        "@odata.etag": f'W/"{etag}"',
        "id": id_,
        "changeKey": etag,
        "parentFolderId": folder,
        "createdDateTime": "2026-11-20T08:00:00Z",
        "lastModifiedDateTime": "2026-11-21T10:11:12Z",
        "categories": ["Salesforce"],
        "displayName": "Bo Li",
        "fileAs": "Li, Bo",
        "givenName": "Bo",
        "surname": "Li",
        "companyName": "Example Widgets Ltd",
        "jobTitle": "CTO",
        "emailAddresses": [{"name": "Bo Li", "address": "bo.li@widgets.example"}],
        "businessPhones": ["+44 20 7946 0958"],
        "mobilePhone": "+44 7700 900123",
        "homePhones": [],
        "imAddresses": [],
        "businessAddress": {"street": "1 High St", "city": "London", "state": "", "postalCode": "W1A 1AA", "countryOrRegion": "UK"},
        "homeAddress": {},
        "otherAddress": {},
        "birthday": None,
        "personalNotes": "",
        **fields,
    }
    if marker is not None:
        row.setdefault("singleValueExtendedProperties", []).append({"id": FOREIGN_PROPERTY, "value": marker})
    return row


def extended(**values: str) -> list[dict[str, str]]:
    """Returns extended properties as Microsoft tells them: it writes their numbers in small letters."""
    return [{"id": EXTENDED[name].replace("0x3A", "0x3a"), "value": value} for name, value in values.items()]


def page(*rows: Any, following: str = "", end: str = "") -> Said:
    links = {"@odata.nextLink": following, "@odata.deltaLink": end}
    return Said(200, {"@odata.context": f"{GRAPH}/$metadata#x", "value": list(rows), **{k: v for k, v in links.items() if v}})


def link(half: str, token: str, kind: str = "deltatoken") -> str:
    folder = OURS if half == "ours" else "contacts"
    return f"{GRAPH}/users/{ANN}/contactFolders/{folder}/contacts/delta?${kind}={token}"


def removed(id_: str, reason: str = "deleted") -> dict[str, Any]:
    return {"id": id_, "@removed": {"reason": reason}}


def error(code: str, status: int = 400, message: str = "", **headers: str) -> Said:
    body = {"error": {"code": code, "message": message or f"Because of {code}.", "innerError": {"request-id": "r-1"}}}
    return Said(status, body, {name.replace("_", "-"): value for name, value in headers.items()})


def given(access: str = ACCESS, **more: Any) -> Said:
    return Said(200, {"token_type": "Bearer", "expires_in": 3599, "ext_expires_in": 3599, "access_token": access, **more})


def refused(kind: str, number: int = 0, status: int = 400) -> Said:
    said = f"AADSTS{number}: It says no. Trace ID: 0a Correlation ID: 1b" if number else "It says no."
    return Said(status, {"error": kind, "error_description": said, "error_codes": [number] if number else [], "trace_id": "0a"})


EXPIRED = error("InvalidAuthenticationToken", 401, "Lifetime validation failed, the token is expired.")
THROTTLED = error("ApplicationThrottled", 429, "Application is over its MailboxConcurrency limit.", Retry_After="7")
GONE = error("ErrorItemNotFound", 404, "The specified object was not found in the store.")

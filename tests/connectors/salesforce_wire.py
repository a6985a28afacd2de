"""What a client meets on Salesforce's wire, scripted call by call from the reference: no query is understood here, a test
says what each call is answered."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any
from urllib.parse import parse_qs, parse_qsl, unquote, urlsplit

import requests

from connectors.http import HttpClient
from connectors.oauth import App, Tokens, TokenSource
from connectors.salesforce.connector import SalesforceConnector
from connectors.salesforce.login import TOKEN, app_of
from connectors.salesforce.settings import SalesforceSettings
from tests.connectors.wire import Said, Script, Store

ROOT = "/services/data/v66.0"
LOGIN, HOME = "https://login.salesforce.com", "https://acme.my.salesforce.com"
ORG, US = "00DAA0000000001", "005AA0000000001"
IDENTITY = f"{LOGIN}/id/00DAA00000000012AA/005AA0000000001YAA"
AT = datetime(2026, 11, 1, 10, 0, tzinfo=UTC)
SHOWN = "2026-11-01T10:00:00.000+0000"
SECRETS = {"access": "00DAA0000000001!AQ8secret1", "refresh": "5Aep861refresh1", "client": "client-secret-1"}
Reply = Said | Exception | Callable[[requests.PreparedRequest], Said]


class Org(Script):
    """Answers each route ("GET /query", with the path behind the version) from its own list, the last one for ever."""

    def __init__(self, routes: dict[str, Reply | list[Reply]]) -> None:
        super().__init__(Said(404, [{"errorCode": "NOT_FOUND", "message": "The requested resource does not exist"}]))
        self.routes = {route: list(said) if isinstance(said, list) else [said] for route, said in routes.items()}

    def send(self, request: requests.PreparedRequest, **options: Any) -> requests.Response:
        replies = self.routes.get(self.route(request))
        self.answers = [replies.pop(0) if len(replies) > 1 else replies[0]] if replies else [_no_route(request)]
        return super().send(request, **options)

    @staticmethod
    def route(request: requests.PreparedRequest) -> str:
        path = unquote(urlsplit(request.url or "").path)
        return f"{request.method} {re.sub(r'^/services/data/v[0-9.]+', '', path) or '/'}"

    @property
    def calls(self) -> list[str]:
        return [self.route(request) for request in self.requests]

    def soql(self, index: int = -1) -> str:
        """Returns the query of a call, from its address or from the first query in its composite body."""
        request = self.requests[index]
        if request.method == "GET":
            return parse_qs(urlsplit(request.url or "").query)["q"][0]
        parts = [part for part in self.body(index)["compositeRequest"] if "?q=" in part["url"]]
        return unquote(parts[0]["url"].partition("?q=")[2])

    def body(self, index: int = -1) -> Any:
        return json.loads(self.requests[index].body or b"null")

    def asked(self, index: int = -1) -> dict[str, str]:
        return dict(parse_qsl(urlsplit(self.requests[index].url or "").query))


def _no_route(request: requests.PreparedRequest) -> Said:
    return Said(404, [{"errorCode": "NOT_FOUND", "message": f"no route for {Org.route(request)}"}])


def salesforce(
    routes: dict[str, Reply | list[Reply]], *, tokens: Tokens | None = None, settings: dict[str, Any] | None = None, **options: Any
) -> tuple[SalesforceConnector, Org]:
    """Returns a connector whose every call goes to the scripted organisation; its store is `org.store`."""
    org = Org(routes)
    org.store = Store(tokens or Tokens(SECRETS["access"], SECRETS["refresh"], address=HOME, identity=IDENTITY))
    org.slept = []
    clients = [HttpClient("salesforce", base, adapter=org, sleep=org.slept.append) for base in (LOGIN, LOGIN)]
    app = app_of({"client_id": "client-1", "client_secret": SECRETS["client"]}, "https://here.example/back")
    assert isinstance(app, App)
    source = TokenSource(org.store, app, clients[1])
    return SalesforceConnector(clients[0], source, settings=SalesforceSettings.of(settings or {}), **options), org


def id18(number: int, prefix: str = "003") -> str:
    """Returns an id whose check characters are known: of "00Q" the third character sets bit 2, digits set none."""
    return f"{prefix}{number:012d}{'E' if prefix[2].isupper() else 'A'}AA"


def row(number: int, type_: str = "Contact", at: str = SHOWN, **fields: Any) -> dict[str, Any]:
    prefix = {"Contact": "003", "Lead": "00Q", "Account": "001", "User": "005"}[type_]
    id_ = id18(number, prefix)
    return {
        "attributes": {"type": type_, "url": f"{ROOT}/sobjects/{type_}/{id_}"},
        "Id": id_,
        "SystemModstamp": at,
        "LastModifiedDate": at,
        "LastModifiedById": f"{US}YAA",
        "IsDeleted": False,
        "MasterRecordId": None,
        **fields,
    }


def page(*rows: Any, following: str = "", total: int | None = None) -> Said:
    body = {"totalSize": len(rows) if total is None else total, "done": not following, "records": list(rows)}
    return Said(200, {**body, **({"nextRecordsUrl": following} if following else {})})


def error(code: str, message: str = "", status: int = 400, **more: Any) -> Said:
    return Said(status, [{"errorCode": code, "message": message or f"Because of {code}.", **more}])


def line(number: int, **more: Any) -> dict[str, Any]:
    return {"id": id18(number), "success": True, "errors": [], **more}


def refused(code: str, message: str = "", fields: Any = (), **more: Any) -> dict[str, Any]:
    return {"success": False, "errors": [{"statusCode": code, "message": message or f"Because of {code}.", "fields": list(fields), **more}]}


def composite(*parts: tuple[int, Any]) -> Callable[[requests.PreparedRequest], Said]:
    """Returns an answer to a composite call, its parts in another order than asked for: only their names count."""

    def answer(request: requests.PreparedRequest) -> Said:
        names = [part["referenceId"] for part in json.loads(request.body or b"")["compositeRequest"]]
        said = [{"body": b, "httpHeaders": {}, "httpStatusCode": s, "referenceId": n} for n, (s, b) in zip(names, parts, strict=True)]
        return Said(200, {"compositeResponse": said[::-1]})

    return answer


def changed(*parts: tuple[int, Any], stood: tuple[int, Any] | None = None) -> Callable[[requests.PreparedRequest], Said]:
    """Returns an answer to a call of updates: `stood` is what is read before them, the last part what is read after."""
    return composite(stood or (200, rows_of()), *parts)


def rows_of(*rows: Any) -> dict[str, Any]:
    return {"totalSize": len(rows), "done": True, "records": list(rows)}


TOKEN_ROUTE = f"POST {TOKEN}"
EXPIRED = error("INVALID_SESSION_ID", "Session expired or invalid", 401)


def given(access: str, **more: Any) -> Said:
    answer = {"access_token": access, "instance_url": HOME, "id": IDENTITY, "token_type": "Bearer", "issued_at": "1795342800123"}
    return Said(200, {**answer, **more})

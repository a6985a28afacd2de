"""What a client meets on the wire of Google's People API, scripted call by call from the reference: nothing is understood
here, a test says what each call is answered."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from functools import cache
from typing import Any
from urllib.parse import parse_qsl, unquote, urlsplit

import requests
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from connectors.google.codec import version
from connectors.google.connector import GoogleConnector
from connectors.google.mailbox import GoogleMailbox
from connectors.http import HttpClient
from connectors.oauth import Tokens
from tests.connectors.wire import Said, Script, Store

API, TOKENS = "https://people.googleapis.com", "https://oauth2.googleapis.com"
ANN = "ann@customer.example"
FOLDER, CATEGORY, VIP = "contactGroups/f1", "contactGroups/c1", "contactGroups/v1"
MINE, STARRED = "contactGroups/myContacts", "contactGroups/starred"
KEY = "salesforce.contact"
SECRETS = {"access": "ya29.a0secret-1", "refresh": "1//0g-refresh-1", "client": "client-secret-1"}
APP = {"client_id": "client-1", "client_secret": SECRETS["client"]}
TOKEN, LIST, GET, GROUPS = "POST /token", "GET /people/me/connections", "GET /people:batchGet", "GET /contactGroups"
CREATE, UPDATE, DELETE = "POST /people:batchCreateContacts", "POST /people:batchUpdateContacts", "POST /people:batchDeleteContacts"
MAKE_GROUP = "POST /contactGroups"
Reply = Said | Exception | Callable[[requests.PreparedRequest], Said]


class People(Script):
    """Answers each route ("GET /people:batchGet", with the path behind the version) from its own list, the last one for ever."""

    def __init__(self, routes: dict[str, Reply | list[Reply]]) -> None:
        super().__init__(Said(404))
        self.parts: list[str] = []  # what batches asked for
        self.routes = {route: list(said) if isinstance(said, list) else [said] for route, said in routes.items()}

    def send(self, request: requests.PreparedRequest, **options: Any) -> requests.Response:
        if self.route(request).startswith("POST /batch"):
            self.answers = [self._batched(request)]
            return super().send(request, **options)
        replies = self.routes.get(self.route(request))
        self.answers = [replies.pop(0) if len(replies) > 1 else replies[0]] if replies else [error(404, f"no route {self.route(request)}")]
        return super().send(request, **options)

    def _batched(self, request: requests.PreparedRequest) -> Said:
        """Answers the parts of a batch from their own routes, the last one first: their order is not promised."""
        told = []
        for id_, path in re.findall(r"Content-ID: <(\w+)>\r\n\r\nGET (\S+) HTTP/1.1\r\n", (request.body or b"").decode()):
            route = f"GET {re.sub(r'^/v1', '', unquote(urlsplit(path).path))}"
            replies = self.routes.get(route, [error(404, f"no route {route}")])
            said = replies.pop(0) if len(replies) > 1 else replies[0]
            self.parts.append(route)
            body = said.body if isinstance(said.body, str) else json.dumps(said.body)
            head = f"Content-Type: application/http\r\nContent-ID: <response-{id_}>\r\n\r\nHTTP/1.1 {said.status} Said"
            told.append(f"--mark\r\n{head}\r\nContent-Type: application/json\r\n\r\n{body}\r\n")
        return Said(200, f"{''.join(told[::-1])}--mark--\r\n", {"Content-Type": "multipart/mixed; boundary=mark"})

    @staticmethod
    def route(request: requests.PreparedRequest) -> str:
        return f"{request.method} {re.sub(r'^/v1', '', unquote(urlsplit(request.url or '').path))}"

    @property
    def calls(self) -> list[str]:
        return [self.route(request) for request in self.requests]

    def body(self, index: int = -1) -> Any:
        return json.loads(self.requests[index].body or b"null")

    def asked(self, index: int = -1) -> dict[str, str]:
        return dict(parse_qsl(urlsplit(self.requests[index].url or "").query))

    def names(self, index: int = -1) -> list[str]:
        return [value for name, value in self.query(index) if name == "resourceNames"]


def connector(
    routes: dict[str, Reply | list[Reply]],
    *,
    own: Tokens | None = None,
    stores: dict[str, Store] | None = None,
    secrets: dict[str, Any] | None = None,
    settings: dict[str, Any] | None = None,
) -> tuple[GoogleConnector, People]:
    """Returns a connector whose every call goes to the scripted wire, and the wire; `wire.stores` are those of mailboxes."""
    wire = People(routes)
    wire.slept = []
    wire.store = Store(own or Tokens(""))
    wire.stores = {ANN: Store(Tokens(SECRETS["access"], SECRETS["refresh"]))} if stores is None else stores
    wire.clients = []

    def client(address: str) -> HttpClient:
        wire.clients.append(HttpClient("google", address, adapter=wire, sleep=wire.slept.append))
        return wire.clients[-1]

    opened = GoogleConnector(
        lambda api: client(api.host),
        client(TOKENS),
        wire.store,
        lambda address, part="": wire.stores.setdefault(f"{address} {part}".strip(), Store(Tokens(""))),
        secrets=APP if secrets is None else secrets,
        settings={"pause": 0, **(settings or {})},
        page_address_template="https://contacts.google.com/person/{id}",
        settle_seconds=300,
    )
    return opened, wire


def mailbox(routes: dict[str, Reply | list[Reply]], *, has_folder: bool = True, **options: Any) -> tuple[GoogleMailbox, People]:
    """Returns the contacts of Ann, whose folder and category are known, and the wire."""
    opened, wire = connector({GROUPS: groups(), **routes}, **options)
    box = opened.mailbox(ANN)
    if has_folder:
        box.use_folder(FOLDER, "Salesforce")
    return box, wire


# --- what is said -------------------------------------------------------------------------------------------------------


def person(n: int, *labels: str, etag: str = "", marker: str = "", **lists: Any) -> dict[str, Any]:
    """Returns a contact; its labels are our folder and category unless others are named."""
    source = {"type": "CONTACT", "id": f"s{n}", "etag": etag or f"#e{n}", "updateTime": "2026-11-20T09:15:00.120Z"}
    return {
        "resourceName": f"people/c{n}",
        "etag": f"%E{etag or n}",
        "metadata": {"objectType": "PERSON", "sources": [source]},
        "memberships": [in_group(label) for label in labels or (MINE, FOLDER, CATEGORY)],
        **({"clientData": [{"key": KEY, "value": marker}]} if marker else {}),
        **lists,
    }


def stamp(n: int, etag: str = "") -> str:
    return version(person(n, etag=etag))


def in_group(label: str) -> dict[str, Any]:
    membership = {"contactGroupId": label.partition("/")[2], "contactGroupResourceName": label}
    return {"contactGroupMembership": membership, "metadata": {"source": {"type": "CONTACT", "id": "s"}}}


def labels_of(body: dict[str, Any]) -> list[str]:
    return [row["contactGroupMembership"]["contactGroupResourceName"] for row in body["memberships"]]


def gone(n: int) -> dict[str, Any]:
    return {"resourceName": f"people/c{n}", "etag": "%Ex", "metadata": {"objectType": "PERSON", "deleted": True}}


def listed(*people: Any, sync: str = "sync-2", following: str = "") -> Said:
    body = {"connections": list(people)} if people else {}
    return Said(200, {**body, **({"nextPageToken": following} if following else {"nextSyncToken": sync}), "totalPeople": len(people)})


def got(*people: dict[str, Any], missing: tuple[int, ...] = ()) -> Said:
    """Returns the answer to a batchGet, in another order than asked for: only the names count."""
    found = [part(row) for row in people][::-1]
    lost = [{"requestedResourceName": f"people/c{n}", **failed(5, "Requested entity was not found.", 404)} for n in missing]
    return Said(200, {"responses": [*lost, *found]})


def part(row: dict[str, Any], asked: str = "") -> dict[str, Any]:
    return {"person": row, "requestedResourceName": asked or row["resourceName"], "status": {}, "httpStatusCode": 200}


def failed(code: int, message: str, http: int) -> dict[str, Any]:
    return {"status": {"code": code, "message": message}, "httpStatusCode": http}


def updated(**parts: dict[str, Any]) -> Said:
    return Said(200, {"updateResult": {f"people/{name}": said for name, said in parts.items()}})


def echo_update(etag: str = "#new") -> Callable[[requests.PreparedRequest], Said]:
    """Returns an answer to an update: each person as it was sent, under a new version."""

    def answer(request: requests.PreparedRequest) -> Said:
        sent = json.loads(request.body or b"")["contacts"]
        return Said(200, {"updateResult": {name: part(_stamped(name, row, etag)) for name, row in sent.items()}})

    return answer


def echo_create(first: int = 100) -> Callable[[requests.PreparedRequest], Said]:
    """Returns an answer to creates: the people as they were sent, the last one first."""

    def answer(request: requests.PreparedRequest) -> Said:
        sent = [row["contactPerson"] for row in json.loads(request.body or b"")["contacts"]]
        made = [part(_stamped(f"people/c{first + i}", row, "#made")) for i, row in enumerate(sent)]
        return Said(200, {"createdPeople": made[::-1]})

    return answer


def _stamped(name: str, row: dict[str, Any], etag: str) -> dict[str, Any]:
    source = {"type": "CONTACT", "id": "s", "etag": etag, "updateTime": "2026-11-22T10:00:00Z"}
    return {**row, "resourceName": name, "etag": f"%E{etag}", "metadata": {"objectType": "PERSON", "sources": [source]}}


def groups(*more: dict[str, Any], without: str = "") -> Said:
    named = {FOLDER: "Salesforce Contacts", CATEGORY: "Salesforce", VIP: "VIP"}
    rows = [group(name, label) for name, label in named.items() if name != without]
    system = {"resourceName": MINE, "groupType": "SYSTEM_CONTACT_GROUP", "name": "myContacts", "formattedName": "My Contacts"}
    return Said(200, {"contactGroups": [system, *rows, *more], "totalItems": len(rows) + 1})


def group(name: str, label: str) -> dict[str, Any]:
    return {"resourceName": name, "etag": "x", "groupType": "USER_CONTACT_GROUP", "name": label, "formattedName": label}


def error(code: int, message: str = "", status: str = "", reason: str = "", **metadata: str) -> Said:
    """Returns an error of the newer shape."""
    detail = {"@type": "type.googleapis.com/google.rpc.ErrorInfo", "reason": reason, "domain": "googleapis.com", "metadata": metadata}
    body = {"code": code, "message": message or f"Because of {code}.", "status": status or "UNKNOWN"}
    return Said(code, {"error": {**body, **({"details": [detail]} if reason else {})}})


def older(code: int, reason: str, message: str = "") -> Said:
    """Returns an error of the older shape."""
    row = {"domain": "usageLimits", "reason": reason, "message": message or reason}
    return Said(code, {"error": {"code": code, "message": message or reason, "errors": [row]}})


EXPIRED = error(
    400, "Sync token is expired. Clear local cache and retry call without the sync token.", "FAILED_PRECONDITION", "EXPIRED_SYNC_TOKEN"
)
STALE_TEXT = "Request person.etag is different than the current person.etag. Clear local cache and get the latest person."
STALE = error(400, STALE_TEXT, "FAILED_PRECONDITION")
BAD_TOKEN = error(401, "Request had invalid authentication credentials.", "UNAUTHENTICATED")


def given(access: str = "ya29.new-secret", **more: Any) -> Said:
    return Said(200, {"access_token": access, "expires_in": 3599, "token_type": "Bearer", **more})


@cache
def key_file() -> dict[str, str]:
    """Returns a service account's key file. Its addresses lead elsewhere: they must not be used."""
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    pem = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    return {
        "type": "service_account",
        "client_email": "sync@proj.iam.gserviceaccount.com",
        "client_id": "1122334455",
        "private_key_id": "kid-1",
        "private_key": pem.decode(),
        "token_uri": "https://evil.example/token",
    }

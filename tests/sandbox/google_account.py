"""The played Google in process, as an independent client sees it: no code of the connectors. Every good answer is held
against Google's own description of the API."""

from __future__ import annotations

from typing import Any

import requests

from connectors.sandbox.transport import SandboxAdapter, base_url
from connectors.sandbox.world import World
from tests.sandbox.force import Clock
from tests.sandbox.google_described import PEOPLE, schemas_of, validator

GINA, HUGO = "gina@example.test", "hugo@example.test"
ALL = "names,emailAddresses,phoneNumbers,organizations,addresses,biographies,memberships,metadata,clientData,userDefined,birthdays"
AUTH = "https://www.googleapis.com/auth/"


class Google:
    """Two mailboxes, tokens of theirs, and short words for what tests ask most."""

    def __init__(self, session: requests.Session, *, seed: int = 7, scenario: str = "empty") -> None:
        self.clock = Clock()
        self.world = World(seed=seed, scenario=scenario, now=self.clock)
        self.session = session
        session.mount("http://", SandboxAdapter(self.world))
        self.base = base_url("google")
        self.system = self.world.google
        self.given = self.system.credentials()
        self.tokens: dict[str, str] = {}

    def raw(self, method: str, path: str, **options: Any) -> requests.Response:
        """Sends a request without a token."""
        return self.session.request(method, self.base + path, allow_redirects=False, **options)

    def token(self, mailbox: str, scopes: str = f"{AUTH}contacts {AUTH}directory.readonly") -> str:
        return str(self.system.desk._access(mailbox, scopes)["value"])

    def call(self, method: str, path: str, *, mailbox: str = GINA, token: str = "", **options: Any) -> requests.Response:
        """Sends a request with a mailbox' token; a good answer fits Google's description."""
        if not token:
            token = self.tokens.setdefault(mailbox, self.token(mailbox))
            if self.system.desk.bearer(f"Bearer {token}") is None and self.system.store.active(mailbox):
                token = self.tokens[mailbox] = self.token(mailbox)
        answer = self.raw(method, path, headers={"Authorization": f"Bearer {token}"}, **options)
        if answer.status_code == 200 and "fields" not in (options.get("params") or {}):
            asked, answered = schemas_of(PEOPLE, method, path)
            validator(PEOPLE, answered).validate(answer.json())
            if asked:
                validator(PEOPLE, asked).validate(options.get("json") or {})
        return answer

    def get(self, path: str, *, mailbox: str = GINA, **params: Any) -> requests.Response:
        return self.call("GET", path, mailbox=mailbox, params=params)

    def good(self, method: str, path: str, **options: Any) -> dict[str, Any]:
        answer = self.call(method, path, **options)
        assert answer.status_code == 200, answer.text
        return answer.json()

    def create(self, given: str = "Bo", mailbox: str = GINA, **fields: Any) -> dict[str, Any]:
        person = {"names": [{"givenName": given, "familyName": "Lind"}], **fields}
        return self.good("POST", "/v1/people:createContact", mailbox=mailbox, json=person, params={"personFields": ALL})

    def update(self, person: dict[str, Any], mask: str, **fields: Any) -> requests.Response:
        body = {"etag": person["etag"], **fields}
        params = {"updatePersonFields": mask, "personFields": ALL}
        return self.call("PATCH", f"/v1/{person['resourceName']}:updateContact", json=body, params=params)

    def delete(self, person: dict[str, Any]) -> None:
        assert self.good("DELETE", f"/v1/{person['resourceName']}:deleteContact") == {}

    def label(self, name: str = "Salesforce Contacts", **fields: Any) -> dict[str, Any]:
        return self.good("POST", "/v1/contactGroups", json={"contactGroup": {"name": name, **fields}})

    def modify(self, group: dict[str, Any], add: list[str] | None = None, remove: list[str] | None = None) -> dict[str, Any]:
        body = {"resourceNamesToAdd": add or [], "resourceNamesToRemove": remove or []}
        return self.good("POST", f"/v1/{group['resourceName']}/members:modify", json=body)

    def sync(self, token: str = "", *, mailbox: str = GINA, **params: Any) -> tuple[list[dict[str, Any]], str]:
        """Reads a list to its end. Returns people and the token of the next sync."""
        asked = {"personFields": ALL, "requestSyncToken": "true", "pageSize": 1000, **params}
        if token:
            asked["syncToken"] = token
        people: list[dict[str, Any]] = []
        while True:
            page = self.good("GET", "/v1/people/me/connections", mailbox=mailbox, params=asked)
            people += page.get("connections", [])
            if "nextPageToken" not in page:
                return people, page["nextSyncToken"]
            assert "nextSyncToken" not in page
            asked["pageToken"] = page["nextPageToken"]

    def now(self) -> float:
        return self.clock.at.timestamp()


def refused(answer: requests.Response, status: int, rpc: str = "", reason: str = "") -> dict[str, Any]:
    """Returns the error of a refusal in the newer shape."""
    assert answer.status_code == status, (answer.status_code, answer.text)
    error = answer.json()["error"]
    assert error["code"] == status and error["message"]
    assert not rpc or error["status"] == rpc, error
    assert not reason or error["details"][0]["reason"] == reason, error
    return error


def member_of(*groups: str) -> list[dict[str, Any]]:
    return [{"contactGroupMembership": {"contactGroupResourceName": name}} for name in groups]

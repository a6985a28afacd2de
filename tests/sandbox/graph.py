"""The played Microsoft Graph in process, as an independent client sees it: no code of the connectors."""

from __future__ import annotations

from typing import Any
from urllib.parse import quote

import requests

from connectors.sandbox.transport import SandboxAdapter, base_url
from connectors.sandbox.world import World
from tests.sandbox.force import Clock
from tests.sandbox.graph_types import check_answer

ANN, BOB = "ann@example.test", "bob@example.test"
IMMUTABLE = {"Prefer": 'IdType="ImmutableId"'}
OURS = "String {6f0f6b9e-1d2c-4b53-9d35-0c1f4c3a7d10} Name CrmRecordId"


class Graph:
    """One tenant, its app's token, and short words for what tests ask most. Every answer is held to Microsoft's types."""

    def __init__(self, session: requests.Session, *, seed: int = 7, scenario: str = "empty") -> None:
        self.clock = Clock()
        self.world = World(seed=seed, scenario=scenario, now=self.clock)
        self.session = session
        session.mount("http://", SandboxAdapter(self.world))
        self.base = base_url("microsoft")
        self.system = self.world.microsoft
        self.given = self.system.credentials()

    # --- HTTP -----------------------------------------------------------------------------------------------------------
    def raw(self, method: str, path: str, **options: Any) -> requests.Response:
        """Sends a request without a token; `path` may be a whole address."""
        return self.session.request(method, path if path.startswith("http") else self.base + path, allow_redirects=False, **options)

    def call(self, method: str, path: str, *, headers: dict[str, str] | None = None, **options: Any) -> requests.Response:
        """Sends a request with the token, to a path below the version, or below ann's mailbox when it begins with a word."""
        sent = {"Authorization": f"Bearer {self.system.credentials()['access_token']}", **(headers or {})}
        if not path.startswith(("http", "/")):
            path = f"/users/{ANN}/{path}"
        answer = self.raw(method, path if path.startswith("http") else f"/v1.0{path}", headers=sent, **options)
        if answer.status_code in (200, 201) and answer.headers["Content-Type"].startswith("application/json"):
            _check(answer.json())
        return answer

    def get(self, path: str, headers: dict[str, str] | None = None, **params: Any) -> dict[str, Any]:
        answer = self.call("GET", path, headers=headers, params={f"${name}": value for name, value in params.items()})
        assert answer.status_code == 200, answer.text
        return dict(answer.json())

    def all(self, path: str, headers: dict[str, str] | None = None, **params: Any) -> list[dict[str, Any]]:
        """Returns what all pages of a list hold."""
        body = self.get(path, headers, **params)
        rows = list(body["value"])
        while link := body.get("@odata.nextLink"):
            assert link.startswith(f"{self.base}/v1.0/")
            body = self.get(link, headers)
            rows += body["value"]
        return rows

    def create(self, path: str = "contacts", headers: dict[str, str] | None = None, **values: Any) -> dict[str, Any]:
        answer = self.call("POST", path, json=values, headers=headers)
        assert answer.status_code == 201, answer.text
        return dict(answer.json())

    def folder(self, name: str) -> str:
        return str(self.create("contactFolders", displayName=name)["id"])

    def change(self, id_: str, headers: dict[str, str] | None = None, **values: Any) -> dict[str, Any]:
        answer = self.call("PATCH", f"contacts/{quote(id_)}", json=values, headers=headers)
        assert answer.status_code == 200, answer.text
        return dict(answer.json())

    def contact(self, id_: str, headers: dict[str, str] | None = None, **params: Any) -> dict[str, Any]:
        return self.get(f"contacts/{quote(id_)}", headers, **params)

    def batch(self, *parts: dict[str, Any]) -> dict[str, dict[str, Any]]:
        """Sends parts whose ids are their places from 1 on, and returns the answers by id."""
        requests_ = [{"id": str(n), "method": "GET", **part} for n, part in enumerate(parts, 1)]
        answer = self.call("POST", "/$batch", json={"requests": requests_})
        assert answer.status_code == 200, answer.text
        return {each["id"]: each for each in answer.json()["responses"]}

    def round(self, link: str, headers: dict[str, str] | None = None) -> tuple[list[dict[str, Any]], str]:
        """Returns all entries of a delta round and the address of the next one."""
        entries: list[dict[str, Any]] = []
        while True:
            body = self.get(link, headers)
            entries += body["value"]
            if "@odata.deltaLink" in body:
                return entries, str(body["@odata.deltaLink"])
            link = body["@odata.nextLink"]

    # --- people and the control port ----------------------------------------------------------------------------------
    def switch(self, **values: Any) -> None:
        self.system.set_switches(values)

    def person(self, id_: str, **values: Any) -> dict[str, Any]:
        """Changes a contact as a person in Outlook would."""
        return self.system.update_record("contact", self.system.find_id("contact", id_) or 0, values)

    def record(self, **values: Any) -> dict[str, Any]:
        return self.system.create_record("contact", {"mailbox": ANN, **values})

    def user(self, address: str, **values: Any) -> dict[str, Any]:
        return self.system.update_record("user", self.system.find_id("user", address) or 0, values)

    def parts(self) -> list[dict[str, Any]]:
        """Returns what the call log says of the last call."""
        return list(self.world.calls[-1].get("parts", []))


def _check(body: Any) -> None:
    """Fails for an answer, or the answer to a part of a batch, that is not of the type its context names."""
    for each in [body, *(part.get("body") for part in body.get("responses", ()))]:
        if isinstance(each, dict) and "@odata.context" in each:
            check_answer(each)


def refused(answer: requests.Response) -> tuple[int, str]:
    """Returns status and code of a refusal; its shape is checked."""
    error = answer.json()["error"]
    assert set(error) == {"code", "message", "innerError"} and error["message"]
    assert set(error["innerError"]) == {"date", "request-id", "client-request-id"}
    assert answer.headers["request-id"] == error["innerError"]["request-id"]
    return answer.status_code, error["code"]

"""The played Salesforce in process, as an independent client sees it: no code of the connectors."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import requests

from connectors.sandbox.transport import SandboxAdapter, base_url
from connectors.sandbox.world import World

VERSION = "/services/data/v67.0"


class Clock:
    """A clock that stands still until it is moved."""

    def __init__(self) -> None:
        self.at = datetime(2026, 11, 1, 10, 0, 0, tzinfo=UTC)

    def __call__(self) -> datetime:
        return self.at

    def forward(self, seconds: float) -> None:
        self.at += timedelta(seconds=seconds)

    @property
    def shown(self) -> str:
        return f"{self.at:%Y-%m-%dT%H:%M:%S}.000+0000"


class Salesforce:
    """One organisation, its app's token, and short words for what tests ask most."""

    def __init__(self, session: requests.Session, *, seed: int = 7, scenario: str = "empty") -> None:
        self.clock = Clock()
        self.world = World(seed=seed, scenario=scenario, now=self.clock)
        self.session = session
        session.mount("http://", SandboxAdapter(self.world))
        self.base = base_url("salesforce")
        self.system = self.world.salesforce
        self.given = self.system.credentials()

    def raw(self, method: str, path: str, **options: Any) -> requests.Response:
        """Sends a request without a token; `path` may be a whole address."""
        return self.session.request(method, path if path.startswith("http") else self.base + path, allow_redirects=False, **options)

    def call(self, method: str, path: str, *, headers: dict[str, str] | None = None, **options: Any) -> requests.Response:
        """Sends a request with the token, to a path below the version or from the root."""
        token = self.system.credentials()["access_token"]
        sent = {"Authorization": f"Bearer {token}", **(headers or {})}
        return self.raw(method, path if path.startswith("/services") else VERSION + path, headers=sent, **options)

    def get(self, path: str, **params: Any) -> requests.Response:
        return self.call("GET", path, params=params)

    def create(self, object_name: str, **values: Any) -> str:
        answer = self.call("POST", f"/sobjects/{object_name}", json=values)
        assert answer.status_code == 201, answer.text
        return str(answer.json()["id"])

    def row(self, object_name: str, id_: str) -> dict[str, Any]:
        answer = self.get(f"/sobjects/{object_name}/{id_}")
        assert answer.status_code == 200, answer.text
        return dict(answer.json())

    def change(self, object_name: str, id_: str, headers: dict[str, str] | None = None, **values: Any) -> requests.Response:
        return self.call("PATCH", f"/sobjects/{object_name}/{id_}", json=values, headers=headers)

    def page(self, statement: str, path: str = "/query", **headers: str) -> requests.Response:
        sent = {name.replace("_", "-"): value for name, value in headers.items()}
        return self.call("GET", path, params={"q": statement}, headers=sent)

    def query(self, statement: str, path: str = "/query") -> list[dict[str, Any]]:
        """Returns the rows of all pages."""
        body = self.page(statement, path).json()
        rows = list(body["records"])
        while not body["done"]:
            body = self.call("GET", body["nextRecordsUrl"]).json()
            rows += body["records"]
        return rows

    def names(self, condition: str, object_name: str = "Contact", field: str = "LastName") -> list[str]:
        """Returns one field of what a condition finds, in order of creation."""
        return [row[field] for row in self.query(f"SELECT {field} FROM {object_name} WHERE {condition} ORDER BY Id")]

    def switch(self, **values: Any) -> None:
        self.system.set_switches(values)

    def person(self, object_name: str, id_: str, **values: Any) -> dict[str, Any]:
        """Changes a record as a person would."""
        return self.system.update_record(object_name, id_, values)


def refusal(answer: requests.Response) -> tuple[int, str]:
    """Returns status and code of a call that was refused as a whole."""
    (error,) = answer.json()
    return answer.status_code, error["errorCode"]


def refused(answer: requests.Response) -> tuple[int, str, str, list[str] | None]:
    """Returns status, code, sentence and fields of a call that was refused as a whole."""
    (error,) = answer.json()
    return answer.status_code, error["errorCode"], error["message"], error.get("fields")

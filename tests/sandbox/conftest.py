"""A sandbox on real ports of this machine, and a session to talk to it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
import requests

from connectors.sandbox.server import SandboxServer
from connectors.sandbox.world import World
from tests.sandbox.exchange_box import Exchange, served
from tests.sandbox.force import Salesforce
from tests.sandbox.google_account import Google
from tests.sandbox.graph import Graph


class Outreach:
    """The played Outreach over HTTP, as an independent client sees it: no code of the connectors."""

    def __init__(self, world: World, session: requests.Session) -> None:
        self.world, self.session = world, session
        self.base = f"{world.base_urls['outreach']}/api/v2"
        self.headers = {
            "Authorization": f"Bearer {world.outreach.credentials()['access_token']}",
            "Content-Type": "application/vnd.api+json",
        }

    def call(self, method: str, path: str, *, json: Any = None, **options: Any) -> requests.Response:
        url = path if path.startswith("http") else self.base + path
        return self.session.request(method, url, json=json, headers=self.headers, timeout=20, **options)

    def get(self, path: str, **params: Any) -> requests.Response:
        return self.call("GET", path, params={k.replace("__", ""): v for k, v in params.items()})

    def listed(self, path: str, params: dict[str, Any]) -> list[int]:
        answer = self.call("GET", path, params=params)
        assert answer.status_code == 200, answer.text
        return [row["id"] for row in answer.json()["data"]]

    def create(self, type_: str, path: str, attributes: dict[str, Any] | None = None, **relations: tuple[str, int]) -> requests.Response:
        data: dict[str, Any] = {"type": type_, "attributes": attributes or {}}
        data["relationships"] = {name: {"data": {"type": t, "id": i}} for name, (t, i) in relations.items()}
        return self.call("POST", path, json={"data": data})

    def change(self, type_: str, path: str, id_: int, attributes: dict[str, Any]) -> requests.Response:
        return self.call("PATCH", f"{path}/{id_}", json={"data": {"type": type_, "id": id_, "attributes": attributes}})


class Workbooks:
    """The played Workbooks over HTTP with an API key."""

    def __init__(self, world: World, session: requests.Session) -> None:
        self.world, self.session = world, session
        self.base = world.base_urls["workbooks"]
        self.key = world.workbooks.credentials()["api_key"]

    def call(self, path: str, method: str, pairs: list[tuple[str, Any]], **options: Any) -> requests.Response:
        form = [("_method", method), ("client", "api"), ("api_key", self.key), *pairs]
        return self.session.post(f"{self.base}/{path}.api", data=form, timeout=20, **options)

    def list(self, pairs: list[tuple[str, Any]], path: str = "crm/organisations") -> dict[str, Any]:
        answer = self.call(path, "GET", pairs)
        assert answer.status_code == 200, answer.text
        return answer.json()

    def names(self, *pairs: tuple[str, Any]) -> list[str]:
        return [row["name"] for row in self.list([("_select_columns[]", "name"), ("_sort", "id"), *pairs])["data"]]

    def put(self, rows: list[dict[str, Any]], *pairs: tuple[str, Any], path: str = "crm/organisations") -> dict[str, Any]:
        names = list(dict.fromkeys(key for row in rows for key in row))
        form: list[tuple[str, Any]] = [("_fm", "or")]
        for row in rows:
            form += [("_ff[]", "id"), ("_ft[]", "eq"), ("_fc[]", row["id"])]
        for row in rows:
            form += [(f"{name}[]", row.get(name, ":no_value:")) for name in names]
        answer = self.call(path, "PUT", [*form, *pairs])
        assert answer.status_code == 200, answer.text
        return answer.json()


class Control:
    """The control port, as a tool sees it."""

    def __init__(self, world: World, session: requests.Session) -> None:
        self.world, self.session = world, session

    def call(self, method: str, path: str, body: Any = None, **options: Any) -> requests.Response:
        headers = {"Accept": "application/json"}
        return self.session.request(method, self.world.control_url + path, json=body, headers=headers, timeout=20, **options)

    def refused(self, method: str, path: str, body: Any = None, **options: Any) -> str:
        """Returns the sentence of a 400."""
        answer = self.call(method, path, body, **options)
        assert answer.status_code == 400, (answer.status_code, answer.text)
        return str(answer.json()["error"])


@pytest.fixture
def world() -> Iterator[World]:
    server = SandboxServer(World(seed=7), port=0, poll_seconds=0.01).start()
    yield server.world
    server.stop()


@pytest.fixture
def session() -> Iterator[requests.Session]:
    with requests.Session() as session:
        session.trust_env = False
        session.headers["User-Agent"] = "an independent client"
        yield session


@pytest.fixture
def outreach(world: World, session: requests.Session) -> Outreach:
    return Outreach(world, session)


@pytest.fixture
def workbooks(world: World, session: requests.Session) -> Workbooks:
    return Workbooks(world, session)


@pytest.fixture
def control(world: World, session: requests.Session) -> Control:
    return Control(world, session)


@pytest.fixture
def force() -> Iterator[Salesforce]:
    with requests.Session() as session:
        session.trust_env = False
        yield Salesforce(session)


@pytest.fixture
def graph() -> Iterator[Graph]:
    with requests.Session() as session:
        session.trust_env = False
        yield Graph(session)


@pytest.fixture
def google() -> Iterator[Google]:
    with requests.Session() as session:
        session.trust_env = False
        yield Google(session)


@pytest.fixture
def exchange() -> Iterator[Exchange]:
    with served() as box:
        yield box

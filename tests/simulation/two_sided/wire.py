"""The wire between the engine and the played systems: users act while calls are under way, calls fail, the process dies."""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

from connectors.sandbox.transport import SandboxAdapter
from connectors.sandbox.world import World
from tests.sandboxed import Clock
from tests.simulation.history import Killed, Plan

EITHER = ("lost_answer", "lost_answer", "drop", "truncate", "html", "status", "status", "expire_token")
OF_SALESFORCE = ("lock_row", "concurrent_limit")
RIVALS = 0.3  # of our writes into Salesforce find that somebody was faster: its versions must tell
STEPS = (0.0, 0.1, 0.4, 1.1)  # seconds that a call takes


@dataclass
class Weather:
    """How bad it is just now: shares of calls that fail, and during which a user acts."""

    faults: float = 0.0
    acts: float = 0.0
    lag: int = 0  # seconds for which Outreach's searches miss what was just written


@dataclass
class Wire:
    """What goes over the wire of one history, counted. `act` is what a user does in the middle of a pass."""

    world: World
    clock: Clock
    rng: random.Random
    act: Callable[[], None]
    act_on: Callable[[str], None]  # changes one of the records that the body of a request names
    weather: Weather = field(default_factory=Weather)
    plan: Plan = field(default_factory=Plan)
    calls: int = 0
    troubled: int = 0
    statements: int = 0
    is_dead: bool = False
    last_read: dict[tuple[str, str], int] = field(default_factory=dict)  # (system, id) -> the call that read it last
    read_at: dict[str, float] = field(default_factory=dict)  # id -> when, in seconds

    def __post_init__(self) -> None:
        handle = self.world.handle

        def handled(name: str, request: Any) -> Any:
            outcome = handle(name, request)
            if not outcome.is_lost and not outcome.is_truncated and (request.method == "GET" or name == "salesforce"):
                for id_ in ids_in(name, outcome.response.body):
                    self.last_read[name, id_], self.read_at[id_] = self.calls, self.clock.seconds()
            return outcome

        self.world.handle = handled  # type: ignore[method-assign]

    def adapter(self) -> Adapter:
        return Adapter(self)

    def before(self, body: str = "") -> None:
        """Lets happen what comes before a call is carried out. Raises Killed."""
        self.calls += 1
        self.clock.forward(self.rng.choice(STEPS))
        if self.rng.random() < self.weather.acts:
            self.act()
        if self.weather.acts and '"PATCH"' in body and self.rng.random() < RIVALS:
            self.act_on(body)
        if self._is_due("kill before"):
            self.troubled += 1
            self.is_dead = True
            raise Killed
        self.world.faults.clear()
        if self.weather.lag:
            self.world.faults.add({"kind": "index_lag", "system": "outreach", "seconds": self.weather.lag})

    def trouble(self, system: str) -> None:
        """Lets this call fail, in some histories."""
        if self.rng.random() >= self.weather.faults:
            return
        self.troubled += 1
        fault: dict[str, Any] = {"kind": self.rng.choice((*EITHER, *OF_SALESFORCE) if system == "salesforce" else EITHER), "system": system}
        if fault["kind"] == "status":
            fault["status"] = self.rng.choice((429, 500, 502, 503, 503))
            if fault["status"] == 429:
                fault["retry_after"] = self.rng.choice((1, 5, 40))
        self.world.faults.add({**fault, "times": 1})

    def after(self) -> None:
        if self._is_due("kill after"):
            self.troubled += 1
            self.is_dead = True
            raise Killed

    def _is_due(self, what: str) -> bool:
        return self.calls == self.plan.at_call and self.plan.what == what

    def execute(self, execute: Callable[..., Any], sql: str, params: Any, many: bool, context: Any) -> Any:
        """Counts a statement of the database; at the planned one the process dies, and nothing of it runs after that."""
        self.statements += 1
        if self.statements == self.plan.at_statement:
            self.troubled += 1
            self.is_dead = True
        if self.is_dead and not sql.startswith(("ROLLBACK", "RELEASE")):
            raise Killed
        return execute(sql, params, many, context)


class Adapter(SandboxAdapter):
    """Carries requests to the world as the wire lets it."""

    def __init__(self, wire: Wire) -> None:
        super().__init__(wire.world)
        self._wire = wire

    def send(self, request: Any, **options: Any) -> Any:
        wire = self._wire
        body = request.body or b""
        wire.before(body.decode() if isinstance(body, bytes) else str(body))
        system = self._systems[str(urlsplit(request.url).port)]
        wire.trouble(system)
        response = super().send(request, **options)
        wire.after()
        return response


def ids_in(system: str, body: bytes) -> set[str]:
    """Returns the ids of the records in an answer, none for what is no JSON."""
    try:
        data = json.loads(body)
    except ValueError:
        return set()
    found: set[str] = set()
    _collect(data, "Id" if system == "salesforce" else "id", found)
    return found


def _collect(data: Any, name: str, found: set[str]) -> None:
    if isinstance(data, dict):
        if isinstance(data.get(name), str | int):
            found.add(str(data[name]))
        for value in data.values():
            _collect(value, name, found)
    elif isinstance(data, list):
        for value in data:
            _collect(value, name, found)

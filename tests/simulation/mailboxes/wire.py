"""The wire between our side and the played systems: users act while calls are under way, calls fail, the process dies."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

from connectors.sandbox.transport import SandboxAdapter
from connectors.sandbox.world import World
from tests.sandboxed import Clock
from tests.simulation.history import Killed
from tests.simulation.mailboxes.history import FORMS
from tests.simulation.troubles import Trouble

EITHER = ("lost_answer", "lost_answer", "drop", "truncate", "html", "status", "status", "expire_token")
OWN = {"salesforce": ("lock_row", "concurrent_limit"), "microsoft": ("stale_delta", "part"), "google": ("stale_sync",)}
PARTS = ("/v1.0/users/{id}/contacts/{id}", "/v1.0/users/{id}/contactFolders/{id}/contacts", "/v1.0/users/{id}/contacts")
CHANGES = "/v1/people/me/connections"  # Google's list of changes
STEPS = (0.0, 0.1, 0.4, 1.1)  # seconds that a call takes


@dataclass
class Wire:
    """What goes over the wire of one history, counted. `act` is what a user does in the middle of a run."""

    world: World
    clock: Clock
    rng: random.Random
    act: Callable[[], None]
    trouble: Trouble = field(default_factory=Trouble)
    began: int = 0  # the call at which the present run began
    calls: int = 0
    troubled: int = 0
    statements: int = 0  # of the present run
    is_dead: bool = False
    parts: tuple[str, ...] = PARTS  # addresses of Microsoft's calls that fail in a batch
    changes: str = CHANGES
    is_away: bool = False  # a call is under way: what asks the database meanwhile is not our side

    def begin(self, trouble: Trouble) -> None:
        self.trouble, self.began, self.statements, self.is_dead = trouble, self.calls, 0, False
        self.world.faults.clear()

    def before(self) -> None:
        """Lets happen what comes before a call is carried out. Raises Killed."""
        self.calls += 1
        self.clock.forward(self.rng.choice(STEPS))
        if self.trouble.acts and self.rng.random() < self.trouble.acts:
            self.act()
        self._die("before")

    def after(self) -> None:
        self._die("after")

    def _die(self, when: str) -> None:
        if self.trouble.dies == when and self.calls - self.began == self.trouble.at:
            self.troubled += 1
            self.is_dead = True
            raise Killed

    def fail(self, system: str) -> None:
        """Lets this call fail, in some histories."""
        self.world.faults.clear()
        if not self.trouble.faults or self.rng.random() >= self.trouble.faults:
            return
        self.troubled += 1
        kind = self.rng.choice((*EITHER, *OWN[system]))
        fault: dict[str, Any] = {"kind": kind, "system": system, "times": 1}
        if kind in ("status", "part"):
            fault |= {"kind": "status", "status": self.rng.choice((429, 500, 502, 503, 503))}
            if fault["status"] == 429:
                fault["retry_after"] = self.rng.choice((1, 5, 40))
            if kind == "part":
                fault["path"] = self.rng.choice(self.parts)
        elif kind == "stale_delta":
            fault["form"] = self.rng.choice(FORMS)
        elif kind == "stale_sync":
            fault |= {
                "kind": "status",
                "status": self.rng.choice((400, 410)),
                "code": "EXPIRED_SYNC_TOKEN",
                "path": self.changes,
            }
        self.world.faults.add(fault)

    def execute(self, execute: Callable[..., Any], sql: str, params: Any, many: bool, context: Any) -> Any:
        """Counts a statement of the database; at the planned one the process dies, and nothing of it runs after that."""
        if self.is_away:
            return execute(sql, params, many, context)
        self.statements += 1
        if self.trouble.dies == "statement" and self.statements == self.trouble.at:
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
        self._wire.is_away = True
        try:
            self._wire.before()
            self._wire.fail(self._systems[str(urlsplit(request.url).port)])
            response = super().send(request, **options)
            self._wire.after()
        finally:
            self._wire.is_away = False
        return response

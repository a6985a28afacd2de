"""The sandbox's world: the systems, one clock, the faults, the call log, and what is kept over a restart."""

from __future__ import annotations

import json
import secrets
import sqlite3
import threading
import time
from collections import Counter, deque
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from connectors.sandbox.faults import BEFORE, Fault, Faults
from connectors.sandbox.outreach.system import OutreachSystem
from connectors.sandbox.outreach.webhooks import Sender
from connectors.sandbox.wire import Request, Response
from connectors.sandbox.workbooks.system import WorkbooksSystem

PORTS = {"workbooks": 1, "outreach": 2}
CALLS_KEPT = 200_000
PAUSE_LIMIT = 300.0


@dataclass(slots=True)
class Outcome:
    """What to send: the answer, and what a fault does to it on the way."""

    response: Response
    date: datetime
    delay: float = 0.0
    is_lost: bool = False  # close the connection instead of answering
    is_truncated: bool = False
    is_slow: bool = False
    pause: threading.Event | None = None


class World:
    """All systems of one sandbox. One lock: a request is answered whole before the next begins."""

    def __init__(
        self, *, seed: int = 1, scenario: str = "empty", state_path: Path | None = None, now: Callable[[], datetime] | None = None
    ) -> None:
        self.seed = seed
        self._base_now = now or (lambda: datetime.now(UTC))
        self._advance = timedelta()
        self.lock = threading.RLock()
        self.base_urls: dict[str, str] = {}
        self.control_url = ""
        self.latency_ms = 0.0
        self._state = _StateFile(state_path) if state_path else None
        self._sender = Sender()
        self._clear()
        kept = self._state.load() if self._state else None
        if kept is None:
            self.reset(scenario)
        else:
            self._restore(kept)

    def _clear(self) -> None:
        self.world_id = secrets.token_hex(8)
        self.faults = Faults(self.seed)
        self.calls: deque[dict[str, Any]] = deque(maxlen=CALLS_KEPT)
        self.counts: dict[str, Counter[str]] = {name: Counter() for name in PORTS}
        self._paused: list[threading.Event | None] = []
        self.systems: dict[str, WorkbooksSystem | OutreachSystem] = {
            "workbooks": WorkbooksSystem(now=lambda: self.now("workbooks"), seed=self.seed),
            "outreach": OutreachSystem(now=lambda: self.now("outreach"), seed=self.seed),
        }

    @property
    def workbooks(self) -> WorkbooksSystem:
        system = self.systems["workbooks"]
        assert isinstance(system, WorkbooksSystem)
        return system

    @property
    def outreach(self) -> OutreachSystem:
        system = self.systems["outreach"]
        assert isinstance(system, OutreachSystem)
        return system

    def now(self, system: str = "") -> datetime:
        """Returns the clock of a system: the world's, with the skew that a fault sets."""
        skew = self.faults.lasting("clock_skew", system) if system else 0.0
        return self._base_now() + self._advance + timedelta(seconds=skew)

    def advance(self, seconds: float) -> None:
        self._advance += timedelta(seconds=seconds)

    def reset(self, scenario: str) -> None:
        """Makes a fresh world from a scenario. Raises ValueError for an unknown one."""
        from connectors.sandbox.scenarios import fill, read_scenario

        read_scenario(scenario)  # before anything is forgotten
        with self.lock:
            self._clear()
            fill(self, scenario)
            if self._state:
                self._state.save_all(self)

    def _restore(self, kept: dict[str, Any]) -> None:
        self.world_id = kept["world_id"]
        for name, state in kept["systems"].items():
            self.systems[name].restore(state)

    def web_url(self, system: str) -> str:
        return f"{self.control_url}/browse/{system}"

    def forget_calls(self) -> None:
        with self.lock:
            self.calls.clear()
            self.counts = {name: Counter() for name in PORTS}

    def release(self) -> int:
        """Lets paused answers go. Returns how many."""
        with self.lock:
            waiting, self._paused = self._paused, []
        for event in waiting:
            if event is not None:
                event.set()
        return len(waiting)

    def keep(self) -> None:
        """Writes what changed to the state file; called before an answer is sent, so that a kill loses nothing. What
        webhooks asked for is on its way then."""
        told, self.outreach.outbox = self.outreach.outbox, []
        self._sender.send(told)
        if self._state:
            self._state.save_changes(self)
        else:
            for system in self.systems.values():
                system.take_dirty()

    # --- one request ------------------------------------------------------------------------------------------------
    def handle(self, name: str, request: Request) -> Outcome:
        """Answers one request of a system and applies the faults that hit it."""
        started = time.perf_counter()
        with self.lock:
            system = self.systems[name]
            method = _method(request)
            faults = self.faults.for_call(name, method, request.path, _template(request.path), request.query)
            outcome = self._early(name, request, faults)
            if outcome is None:
                if isinstance(system, OutreachSystem):
                    system.index_lag_seconds = self.faults.lasting("index_lag", name)
                outcome = Outcome(system.handle(request), self.now(name))
                if method != "GET" or request.path.startswith("/oauth"):
                    self.keep()
                self._late(outcome, faults)
            outcome.delay += self.latency_ms / 1000 + sum(f.options["ms"] for f in faults if f.kind == "latency") / 1000
            self._log(name, method, request, outcome, started)
        return outcome

    def _early(self, name: str, request: Request, faults: list[Fault]) -> Outcome | None:
        """Returns the outcome of a fault that strikes before anything is done."""
        for fault in faults:
            template = _template(request.path)
            if fault.kind == "pause" and fault.options.get("before"):
                held = Outcome(Response(0, b"", template=template), self.now(name), is_lost=True, pause=threading.Event())
                self._paused.append(held.pause)
                return held
            if fault.kind not in BEFORE:
                continue
            if fault.kind == "expire_token":
                self.systems[name].expire_tokens()
            elif fault.kind == "drop":
                return Outcome(Response(0, b"", template=template), self.now(name), is_lost=True)
            else:
                return Outcome(self._answer(fault, name, request, template), self.now(name))
        return None

    def _answer(self, fault: Fault, name: str, request: Request, template: str) -> Response:
        """Returns what a fault answers in the system's place."""
        if fault.kind == "redirect":
            target = f"{request.path}?{request.query}" if request.query else request.path
            return Response(307, b"", headers=[("Location", target)], template=template)
        if fault.kind == "delay_redirect":
            return Response(302, b"", "text/html", [("Location", self.workbooks.delay(request))], template)
        if fault.kind == "session_lost":
            return Response(302, b"", "text/html", [("Location", "/login")], template)
        if fault.kind == "migrating":
            body = {"success": False, "failure_reason": "database_being_migrated", "failure_message": "database_being_migrated"}
            return Response(403, json.dumps(body).encode(), template=template)
        if fault.kind == "page_too_large":
            return Response(502, b"<html><body><h1>502 Bad Gateway</h1></body></html>", "text/html", template=template)
        if fault.kind == "stale_next":
            error = {"id": "permittedParams.invalidCursor", "title": "invalidCursor", "detail": "page[after] is not valid any more."}
            return Response(400, json.dumps({"errors": [error]}).encode(), template=template)
        return self._status(fault, name, template)

    def _status(self, fault: Fault, name: str, template: str) -> Response:
        status = int(fault.options["status"])
        body: dict[str, Any] = {
            "errors": [{"id": _ERROR_IDS.get(status, "error"), "title": "fault", "detail": f"A fault asked for {status}."}]
        }
        if name == "workbooks" and status == 500:
            reference = f"{len(self.calls):08X}"
            body = {"success": False, "failure_message": f"An exception has occurred, reference {reference}", "exception": reference}
        response = Response(status, json.dumps(body).encode(), template=template)
        wait = fault.options.get("retry_after")
        if wait is not None:
            response.headers.append(("Retry-After", str(wait)))
            if status == 429 and isinstance(wait, int | float):
                response.headers.append(("X-RateLimit-Reset", str(int(self.now().timestamp() + wait))))
        return response

    def _late(self, outcome: Outcome, faults: list[Fault]) -> None:
        """Applies the faults that strike after the request was carried out."""
        for fault in faults:
            if fault.kind == "lost_answer":
                outcome.is_lost = True
            elif fault.kind == "truncate":
                outcome.is_truncated = True
            elif fault.kind == "html":
                outcome.response = Response(
                    200, b"<!doctype html><title>Sign in</title><p>Please sign in.", "text/html", template=outcome.response.template
                )
            elif fault.kind == "slow":
                outcome.is_slow = True
            elif fault.kind == "pause":
                outcome.pause = threading.Event()
                self._paused.append(outcome.pause)

    def _log(self, name: str, method: str, request: Request, outcome: Outcome, started: float) -> None:
        template = outcome.response.template or _template(request.path)
        self.counts[name][f"{method} {template}"] += 1
        entry = {"system": name, "method": method, "path": request.path, "query": _cut(request), "status": outcome.response.status}
        entry["ms"] = round((time.perf_counter() - started) * 1000, 1)
        if outcome.is_lost:
            entry["lost"] = True
        self.calls.append(entry)


_ERROR_IDS = {429: "rateLimitExceeded", 503: "scheduledServerMaintenance", 403: "unauthorizedOauthScope", 422: "validationError"}


def _method(request: Request) -> str:
    """Returns the method that counts: Workbooks reads and writes both travel as POST with `_method`."""
    if request.method == "POST" and request.body.startswith(b"_method="):
        return request.body[8:].split(b"&", 1)[0].decode("ascii", "replace").upper()
    return request.method


def _template(path: str) -> str:
    return "/".join("{id}" if part.isdigit() else part for part in path.split("/"))


def _cut(request: Request) -> str:
    """Returns what a call asked, for people: the query, or the form body without the key."""
    text = request.query
    if request.body.startswith(b"_method="):
        pairs = request.body.decode("utf-8", "replace").split("&")
        text = "&".join(p for p in pairs if not p.startswith(("api_key=", "_method=", "client=", "_api_version=")))
    return text[:2000]


class _StateFile:
    """An SQLite file with the rows of every system and its small state, written in one transaction a request."""

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self._db = sqlite3.connect(path, check_same_thread=False, isolation_level=None)
        self._db.execute("PRAGMA journal_mode=WAL")
        self._db.execute("PRAGMA synchronous=NORMAL")
        self._db.execute("CREATE TABLE IF NOT EXISTS state (key TEXT PRIMARY KEY, value TEXT)")
        self._db.execute(
            "CREATE TABLE IF NOT EXISTS rows (system TEXT, object TEXT, id INTEGER, value TEXT, PRIMARY KEY (system, object, id))"
        )

    def load(self) -> dict[str, Any] | None:
        state = dict(self._db.execute("SELECT key, value FROM state"))
        if "world_id" not in state:
            return None
        systems: dict[str, Any] = {name: {"meta": json.loads(state[f"meta:{name}"]), "tables": {}} for name in PORTS}
        for system, object_type, value in self._db.execute("SELECT system, object, value FROM rows ORDER BY system, object, id"):
            systems[system]["tables"].setdefault(object_type, {"rows": []})["rows"].append(json.loads(value))
        return {"world_id": state["world_id"], "systems": systems}

    def save_all(self, world: World) -> None:
        self._db.execute("BEGIN")
        self._db.execute("DELETE FROM rows")
        self._write(world)
        self._db.execute("COMMIT")

    def save_changes(self, world: World) -> None:
        self._db.execute("BEGIN")
        self._write(world)
        self._db.execute("COMMIT")

    def _write(self, world: World) -> None:
        put = "INSERT INTO state VALUES (?, ?) ON CONFLICT (key) DO UPDATE SET value = excluded.value"
        self._db.execute(put, ("world_id", world.world_id))
        for name, system in world.systems.items():
            self._db.execute(put, (f"meta:{name}", json.dumps(system.meta())))
            changed = system.take_dirty()
            gone = [(name, object_type, id_) for object_type, id_, row in changed if row is None]
            kept = [(name, object_type, id_, json.dumps(row)) for object_type, id_, row in changed if row is not None]
            self._db.executemany("DELETE FROM rows WHERE system = ? AND object = ? AND id = ?", gone)
            self._db.executemany("INSERT OR REPLACE INTO rows VALUES (?, ?, ?, ?)", kept)

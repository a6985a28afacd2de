"""The sandbox's world: the systems, one clock, the faults, the call log, and what is kept over a restart."""

from __future__ import annotations

import json
import secrets
import sqlite3
import threading
import time
import traceback
from collections import Counter, deque
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from connectors.sandbox.exchange.system import ExchangeSystem
from connectors.sandbox.faults import BEFORE, LONGEST, Fault, Faults
from connectors.sandbox.google.system import GoogleSystem
from connectors.sandbox.microsoft.courier import Courier
from connectors.sandbox.microsoft.system import MicrosoftSystem
from connectors.sandbox.outreach.system import OutreachSystem
from connectors.sandbox.outreach.webhooks import Sender
from connectors.sandbox.salesforce.system import SalesforceSystem
from connectors.sandbox.wire import Errand, Request, Response
from connectors.sandbox.workbooks.system import WorkbooksSystem

PORTS = {"workbooks": 1, "outreach": 2, "salesforce": 3, "microsoft": 4, "google": 5, "exchange": 6}
CALLS_KEPT = 200_000
SHOWN = 2000  # characters of what a call asked
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
    done: Callable[[], None] | None = None  # to be called when the answer goes out


class World:
    """All systems of one sandbox. One lock: a request is answered whole before the next begins."""

    def __init__(
        self, *, seed: int = 1, scenario: str = "empty", state_path: Path | None = None, now: Callable[[], datetime] | None = None
    ) -> None:
        self.seed = seed
        self._base_now = now or (lambda: datetime.now(UTC))
        self.lock = threading.RLock()
        self.base_urls: dict[str, str] = {}
        self.control_url = ""
        self.latency_ms = 0.0
        self._state = _StateFile(state_path) if state_path else None
        self._sender = Sender()
        self._courier = Courier()
        self._clear()
        kept = self._state.load() if self._state else None
        if kept is None:
            self.reset(scenario)
        else:
            self._restore(kept)

    def _clear(self) -> None:
        self._advance = timedelta()
        self.world_id = secrets.token_hex(8)
        self.faults = Faults(self.seed)
        self.calls: deque[dict[str, Any]] = deque(maxlen=CALLS_KEPT)
        self.counts: dict[str, Counter[str]] = {name: Counter() for name in PORTS}
        self.units: Counter[str] = Counter()
        self._paused: list[threading.Event | None] = []
        self.systems: dict[str, WorkbooksSystem | OutreachSystem | SalesforceSystem | MicrosoftSystem | GoogleSystem | ExchangeSystem] = {
            "workbooks": WorkbooksSystem(now=lambda: self.now("workbooks"), seed=self.seed),
            "outreach": OutreachSystem(now=lambda: self.now("outreach"), seed=self.seed),
            "salesforce": SalesforceSystem(now=lambda: self.now("salesforce"), seed=self.seed),
            "microsoft": MicrosoftSystem(now=lambda: self.now("microsoft"), seed=self.seed),
            "google": GoogleSystem(now=lambda: self.now("google"), seed=self.seed),
            "exchange": ExchangeSystem(now=lambda: self.now("exchange"), seed=self.seed),
        }
        self.microsoft.part_fault = self._part_fault
        self.outreach.index_lag = lambda: self.faults.lasting("index_lag", "outreach")
        self.google.base_url = lambda: self.base_urls.get("google") or f"http://127.0.0.1:{8900 + PORTS['google']}"

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

    @property
    def salesforce(self) -> SalesforceSystem:
        system = self.systems["salesforce"]
        assert isinstance(system, SalesforceSystem)
        return system

    @property
    def microsoft(self) -> MicrosoftSystem:
        system = self.systems["microsoft"]
        assert isinstance(system, MicrosoftSystem)
        return system

    @property
    def google(self) -> GoogleSystem:
        system = self.systems["google"]
        assert isinstance(system, GoogleSystem)
        return system

    @property
    def exchange(self) -> ExchangeSystem:
        system = self.systems["exchange"]
        assert isinstance(system, ExchangeSystem)
        return system

    def now(self, system: str = "") -> datetime:
        """Returns the clock of a system: the world's, with the skew that a fault sets."""
        skew = self.faults.lasting("clock_skew", system) if system else 0.0
        return self._base_now() + self._advance + timedelta(seconds=max(-LONGEST, min(LONGEST, skew)))

    def advance(self, seconds: float) -> None:
        """Moves the clock. Raises ValueError when it would leave the hundred years around the present."""
        if not abs(self._advance.total_seconds() + seconds) <= LONGEST:
            raise ValueError(f"the clock stays within {LONGEST:.0f} seconds of the present")
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
        if "salesforce" not in kept["systems"]:  # kept by a sandbox that did not play it yet
            from connectors.sandbox.scenarios import fill_salesforce_users

            fill_salesforce_users(self)
        if "microsoft" not in kept["systems"]:
            from connectors.sandbox.scenarios import fill_microsoft

            fill_microsoft(self)
        if "google" not in kept["systems"]:
            from connectors.sandbox.scenarios import fill_google

            fill_google(self)
        if "exchange" not in kept["systems"]:
            from connectors.sandbox.scenarios import fill_exchange

            fill_exchange(self)

    def web_url(self, system: str) -> str:
        return f"{self.control_url}/browse/{system}"

    def forget_calls(self) -> None:
        with self.lock:
            self.calls.clear()
            self.counts = {name: Counter() for name in PORTS}
            self.units.clear()

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
        self._sender.send(self.outreach.take_told())
        self._courier.send(self.microsoft.take_told())
        if self._state:
            self._state.save_changes(self)
        else:
            for system in self.systems.values():
                system.take_dirty()

    def running(self, name: str, request: Request) -> AbstractContextManager[None]:
        """Holds a request's place among those of its mailbox until its answer is sent, where a system allows few at once."""
        return self.microsoft.running(request) if name == "microsoft" else nullcontext()

    def _part_fault(self, method: str, path: str, query: str) -> tuple[str, dict[str, Any]] | None:
        """Returns kind and options of the fault that strikes a part of a batch."""
        fault = self.faults.for_part("microsoft", method, path, self.microsoft.template(path), query)
        return (fault.kind, fault.options) if fault else None

    # --- one request ------------------------------------------------------------------------------------------------
    def handle(self, name: str, request: Request) -> Outcome:
        """Answers one request of a system and applies the faults that hit it."""
        started = time.perf_counter()
        with self.lock:
            system = self.systems[name]
            if name == "exchange":
                request = self.exchange.addressed(request)
            method = system.method_of(request)
            faults = self.faults.for_call(name, method, request.path, system.template(request.path), request.query)
            self.salesforce.locks = tuple(f.options for f in faults if f.kind == "lock_row")
            outcome = self._early(name, request, faults)
            if outcome is None:
                outcome = Outcome(self._carried_out(name, request), self.now(name))
                if method != "GET" or "/oauth" in request.path:
                    self.keep()
                self._late(outcome, faults)
            outcome.delay += self.latency_ms / 1000 + sum(f.options["ms"] for f in faults if f.kind == "latency") / 1000
            if name == "google" and (ends := self.google.take_begun()) is not None:
                outcome.done = lambda: self._end(ends)
            self._log(name, method, request, outcome, started)
        return outcome

    def _end(self, ends: Callable[[], None]) -> None:
        with self.lock:
            ends()

    def _carried_out(self, name: str, request: Request) -> Response:
        """Returns the system's answer, and its 500 for a defect of the sandbox: a connection without an answer says nothing."""
        try:
            response = self.systems[name].handle(request)
            return response if response.errand is None else self._run(response.errand)
        except Exception:
            traceback.print_exc()
            return self.systems[name].trouble("status", {"status": 500}, request)

    def _run(self, errand: Errand) -> Response:
        """Asks others over HTTP what an answer hangs on. The lock is let go of meanwhile: whom we ask may ask us."""
        self.lock.release()
        try:
            told = errand.ask()
        finally:
            self.lock.acquire()
        return errand.answer(told)

    def _early(self, name: str, request: Request, faults: list[Fault]) -> Outcome | None:
        """Returns the outcome of a fault that strikes before anything is done."""
        for fault in faults:
            template = self.systems[name].template(request.path)
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
                return Outcome(self._answer(fault, name, request), self.now(name))
        return None

    def _answer(self, fault: Fault, name: str, request: Request) -> Response:
        """Returns what a fault answers in the system's place, in the system's words."""
        if fault.kind == "redirect":
            target = f"{request.path}?{request.query}" if request.query else request.path
            return Response(307, b"", headers=[("Location", target)], template=self.systems[name].template(request.path))
        return self.systems[name].trouble(fault.kind, fault.options, request)

    def _late(self, outcome: Outcome, faults: list[Fault]) -> None:
        """Applies the faults that strike after the request was carried out."""
        for fault in faults:
            if fault.kind == "lost_answer":
                outcome.is_lost = True
            elif fault.kind == "truncate":
                outcome.is_truncated = True
            elif fault.kind == "html":
                outcome.response = Response(
                    200,
                    b"<!doctype html><title>Sign in</title><p>Please sign in.",
                    "text/html",
                    template=outcome.response.template,
                    noted=outcome.response.noted,
                )
            elif fault.kind == "slow":
                outcome.is_slow = True
            elif fault.kind == "pause":
                outcome.pause = threading.Event()
                self._paused.append(outcome.pause)

    def _log(self, name: str, method: str, request: Request, outcome: Outcome, started: float) -> None:
        template = outcome.response.template or self.systems[name].template(request.path)
        self.counts[name][f"{method} {template}"] += 1
        self.units[name] += max(1, len(outcome.response.noted))
        entry = {"system": name, "method": method, "path": request.path, "status": outcome.response.status}
        entry["query"] = self.systems[name].shown(request)[:SHOWN]
        entry["ms"] = round((time.perf_counter() - started) * 1000, 1)
        if outcome.response.noted:
            entry["parts"] = outcome.response.noted
        if name == "google":
            entry.update(self.google.noted(request))
        if outcome.is_lost:
            entry["lost"] = True
        self.calls.append(entry)


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
        metas = {name: state[f"meta:{name}"] for name in PORTS if f"meta:{name}" in state}
        systems: dict[str, Any] = {name: {"meta": json.loads(meta), "tables": {}} for name, meta in metas.items()}
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

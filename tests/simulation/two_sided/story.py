"""One seeded history of a two-way pass: users edit both systems before and during runs while calls fail, answers vanish and
the process is killed; then everything calms down and the invariants of goals.md are checked in what the systems hold.

The engine, the connectors and the played systems are the real ones; only the clock, the wire (in process) and death are ours.
"""

from __future__ import annotations

import random
from dataclasses import dataclass, field
from typing import Any

from django.db import connection, transaction

from connectors.sandbox.world import World
from reconciliation.engine.context import Order
from reconciliation.engine.lease import LeaseHeld
from reconciliation.engine.runner import run_pass
from reconciliation.engine.wiring import Switches
from reconciliation.models import LookAgain, PassLease, Run, SyncPass
from tests.paired import connected, connected_accounts
from tests.sandboxed import Clock
from tests.simulation.common import wired
from tests.simulation.history import Killed, Plan
from tests.simulation.two_sided import checks
from tests.simulation.two_sided.cast import COMPANIES, PEOPLE
from tests.simulation.two_sided.people import People
from tests.simulation.two_sided.watch import Watch
from tests.simulation.two_sided.wire import Weather, Wire

MOST_QUIET_RUNS = 12
A_DAY = 86_500.0
FAULTS = (0.05, 0.2, 0.3, 0.4)  # shares of the calls of a run
COMPANIES_EVERY = 5  # every fifth history is one of accounts


@dataclass
class Story:
    """One world and what has been done to it. `broken` says which invariants did not hold."""

    seed: int
    switches: Switches = field(default_factory=Switches)
    broken: list[str] = field(default_factory=list)
    log: list[str] = field(default_factory=list)
    windows: list[str] = field(default_factory=list)  # edits of the window that Outreach leaves open (engine-rules 32)
    errors: list[str] = field(default_factory=list)  # error cases that are open at the end
    makes_crm_records: bool = True
    steps: int = 0  # calls before it became calm
    runs: int = 0

    def __post_init__(self) -> None:
        self.rng = random.Random(self.seed)
        self.clock = Clock()
        self.world = World(scenario="empty", seed=self.seed, now=self.clock)
        self.cast = COMPANIES if self.seed % COMPANIES_EVERY == 0 else PEOPLE
        self.sync_pass = (connected_accounts if self.cast is COMPANIES else connected)(self.world)
        self.wire = Wire(self.world, self.clock, self.rng, lambda: self.people.act(), lambda body: self.people.act_on(body))
        self.people = People(self.world, self.clock, self.wire, self.log, self.cast)
        self.watch = Watch(self.people, self.wire, self.broken)
        self.lag = self.rng.choice((0, 0, 3, 10, 25) if self.cast is PEOPLE else (0, 10, 25, 25))
        self.wiring = wired(self.clock, self.wire.adapter(), self.rng.random, self.switches)
        self.clock.forward(3600)

    # --- the story ------------------------------------------------------------------------------------------------------
    def play(self) -> list[str]:
        """Plays the history and returns what it broke, an empty list when all invariants held."""
        self._record_types()
        for _ in range(self.rng.randint(1, 4)):
            self.people.add()
        for _ in range(self.rng.randint(2, 6)):
            for _ in range(self.rng.choice((0, 1, 1, 2))):
                self.people.act()
            self.clock.forward(self.rng.choice((0, 0, 90, 200)))
            self._brew()
            self.run()
            self.clock.forward(self.rng.choice((1, 1, 10, 45, 60, 200, 400)))
        self.steps = self.wire.calls
        self._calm_down()
        return self.broken

    def _record_types(self) -> None:
        """Some customers list leads first, or make nothing of what Outreach alone has."""
        types = self.sync_pass.record_types
        if self.rng.random() < 0.2 and "Lead" in self.cast.crm_types:
            types.filter(crm_object="Lead").update(order=0)
            types.filter(crm_object="Contact").update(order=1)
        if self.rng.random() < 0.1:
            types.update(outbound_create=False)
        self.makes_crm_records = types.filter(outbound_create=True).exists()

    def _brew(self) -> None:
        """Decides how bad the coming run is, and where it dies."""
        rng = self.rng
        self.wire.weather = Weather(rng.choice(FAULTS), rng.choice((0, 0.05, 0.1)), self.lag)
        self.wire.plan = Plan()
        dies = rng.random()
        if dies < 0.25:
            self.wire.plan = Plan(self.wire.calls + rng.randint(1, 14), rng.choice(("kill before", "kill after", "kill after")))
        elif dies < 0.5:
            self.wire.plan = Plan(at_statement=self.wire.statements + rng.randint(5, 150))

    def run(self, **order: Any) -> Run | None:
        """Runs the pass once; a kill leaves its lease behind, as a dead process does."""
        self.runs += 1
        self.watch.run_began, self.watch.run_began_at = self.wire.calls, self.clock.seconds()
        self.log.append(f"{self.clock.at:%d %H:%M:%S} run {self.runs} {order or ''}")
        sync_pass = SyncPass.objects.select_related("crm", "peer", "mapping").get(pk=self.sync_pass.pk)
        names = list(PassLease.objects.values_list("name", flat=True))
        try:
            with connection.execute_wrapper(self.wire.execute):
                run = run_pass(sync_pass, Order(**order), self.wiring)
        except Killed:
            self.wire.is_dead = False
            self.log.append(f"  killed at call {self.wire.calls}, statement {self.wire.statements}")
            # Statements outside our own transactions commit by themselves in production; here they share the history's.
            transaction.set_rollback(False)
            # `finally` blocks ran although a killed process runs none: the lease is held again until it expires.
            PassLease.objects.filter(name__in=names).update(holder="dead", expires_at=self.clock())
            self.clock.forward(self.rng.choice((1, 5, 91)))
            return None
        except LeaseHeld:
            self.clock.forward(60)
            return None
        said = {k: v for k, v in run.as_dict().items() if v and k in ("seen", "created", "updated", "held", "failed", "duplicates")}
        self.log.append(f"  {run.state} {said} {run.note}")
        return run

    def calm(self) -> None:
        """From now on nothing fails and nobody types."""
        self.wire.weather, self.wire.plan = Weather(), Plan()
        self.world.faults.clear()

    def _calm_down(self) -> None:
        self.calm()
        self.clock.forward(A_DAY)
        self.log.append("calm")
        for _ in range(MOST_QUIET_RUNS):
            before, is_fresh = sum(self.watch.writes.values()), not self._has_open_sweep()
            run = self.run()
            self.clock.forward(400)
            if run is not None and run.state == "failed":
                self.broken.append(f"the run failed: {run.note}")
            is_quiet = run is not None and run.state == "finished" and sum(self.watch.writes.values()) == before
            if is_quiet and is_fresh and not LookAgain.objects.due().exists():
                break
        else:
            self.broken.append("I4: the passes never became quiet")
        checks.look_at(self)
        self.log += checks.what_stands()

    def _has_open_sweep(self) -> bool:
        """Tells whether the next run only ends what an earlier one began: it reads nothing newer than that one's start."""
        is_open = {"sweep_started_at__isnull": False}
        return self.sync_pass.record_types.filter(**is_open).exists() or SyncPass.objects.filter(pk=self.sync_pass.pk, **is_open).exists()

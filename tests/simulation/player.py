"""Plays histories of passes over mailboxes: runs that go wrong, users who act meanwhile, and then calm, in which nothing may be left to
do. What users do, what is watched and what must hold in the end is each simulation's own."""

from __future__ import annotations

import random
import re
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from functools import cache
from typing import Any
from unittest.mock import patch

from cryptography.hazmat.primitives.serialization import load_pem_private_key
from django.db import connection, transaction
from google.auth.crypt import RSASigner

from connectors.sandbox.world import World
from reconciliation.engine.context import Order
from reconciliation.engine.lease import LeaseHeld
from reconciliation.engine.runner import run_pass
from reconciliation.models import LookAgain, Operation, PassLease, Run, SyncPass
from tests.boxes import Boxes
from tests.simulation.history import Killed
from tests.simulation.mailboxes.wire import Wire
from tests.simulation.troubles import Act, Round, Trouble

ROUNDS_OF_A_HAND_OVER = 3  # one asks colleagues, then lets go, another links, then carries
MOST_QUIET_ROUNDS = 8
A_DAY = 86_500.0
MOST_CALLS = 2  # of a run over a mailbox where nothing changed
LONG = 10**7  # seconds for which tokens are good: asking for them is not what is looked at here


class Player(ABC):
    """One world and what has been done to it. `broken` says which invariants did not hold."""

    boxes: Boxes
    rng: random.Random
    acts: tuple[tuple[str, float], ...]  # what users do while a run is under way, with its weight
    users: Any
    watch: Any
    wire: Wire
    log: list[str]
    broken: list[str]

    @abstractmethod
    def look_at(self, costs: Mapping[str, Mapping[str, int]]) -> None:
        """Adds to the story what does not hold at rest. `costs` are the calls of the last run over each mailbox."""

    def before_run(self) -> None:  # noqa: B027  # most have nothing to do
        """Does what a simulation needs before and after each run."""

    # --- the story ------------------------------------------------------------------------------------------------------
    def play_round(self, round_: Round) -> None:
        for act in round_.acts:
            self.users.act(act)
        self.boxes.clock.forward(round_.pause)
        for box in round_.boxes:
            run = self.run(self.users.addresses[box], trouble=round_.trouble, is_full=round_.is_full)
            if run is not None and run.state == Run.State.HELD and round_.approves and has_a_plan(run):
                self.run(self.users.addresses[box], kind=Run.Kind.APPLY, apply_of=run.pk)

    def act_during_run(self) -> None:
        name = self.rng.choices([n for n, _ in self.acts], [w for _, w in self.acts])[0]
        self.users.act(Act(name, self.rng.randrange(2), self.rng.getrandbits(32)))

    def run(self, address: str, *, trouble: Trouble | None = None, forward: float = 1.0, **order: Any) -> Run | None:
        """Runs the pass once over a mailbox; a kill leaves its lease behind, as a dead process does."""
        trouble = trouble or Trouble()
        self.boxes.clock.forward(forward)
        self.log.append(f"{self.boxes.clock.at:%d %H:%M:%S} run over {address} {order or ''} {trouble if trouble != Trouble() else ''}")
        row = SyncPass.objects.select_related("crm", "peer", "mapping", "parent", "mailbox__group").get(pk=self.boxes.passes[address].pk)
        names = list(PassLease.objects.values_list("name", flat=True))
        self.before_run()
        self.watch.begin(address, is_approved=order.get("kind") == Run.Kind.APPLY, is_calm=not trouble.acts)
        self.wire.begin(trouble)
        try:
            with connection.execute_wrapper(self.wire.execute):
                run = run_pass(row, Order(budget=trouble.budget, **order), self.boxes.wiring)
        except Killed:
            self.wire.is_dead = False
            self.log.append(f"  killed at call {self.wire.calls - self.wire.began}, statement {self.wire.statements}")
            # Statements outside our own transactions commit by themselves in production; here they share the history's.
            transaction.set_rollback(False)
            # `finally` blocks ran although a killed process runs none: the leases are held again until they expire.
            PassLease.objects.filter(name__in=names).update(holder="dead", expires_at=self.boxes.clock())
            self.boxes.clock.forward(self.rng.choice((1, 5, 91)))
            run = None
        except LeaseHeld:
            self.boxes.clock.forward(60)
            run = None
        finally:
            self.wire.trouble = Trouble()
            self.boxes.world.faults.clear()
        self.before_run()
        self.watch.end()
        if run is not None:
            self.boxes.runs.append(run)
            said = {k: v for k, v in run.as_dict().items() if v and k in ("seen", "created", "updated", "held", "failed", "duplicates")}
            self.log.append(f"  {run.state} {said} {dict(run.excluded)} {run.note}")
            if run.state == Run.State.FAILED:
                self.broken.append(f"the run over {address} failed: {run.note}")
        return run

    def calm_down(self) -> None:
        """Nothing fails from here on and nobody acts, but for a person who lets plans go ahead."""
        self.log.append("calm")
        self.boxes.clock.forward(A_DAY)
        quiet, costs = 0, {}
        for _ in range(MOST_QUIET_ROUNDS):
            is_quiet = True
            for address in self.users.addresses:
                before = sum(self.watch.writes.values())
                self.boxes.calls()
                run = self.run(address, forward=400)
                costs[address] = self.boxes.calls()
                if run is not None and run.state == Run.State.HELD and has_a_plan(run):
                    self.run(address, kind=Run.Kind.APPLY, apply_of=run.pk)
                is_quiet &= run is not None and run.state == Run.State.FINISHED and sum(self.watch.writes.values()) == before
            quiet = quiet + 1 if is_quiet else 0
            is_cheap = all(sum(cost.values()) <= MOST_CALLS for cost in costs.values())
            if quiet > ROUNDS_OF_A_HAND_OVER or (
                quiet and is_cheap and not LookAgain.objects.due().exists()
            ):  # a quiet run may still look at what the last one wrote
                break
        else:
            self.broken.append("I4: the runs never became quiet")
        self.look_at(costs)


def has_a_plan(run: Run) -> bool:
    return Operation.objects.filter(run=run, state=Operation.State.PLANNED).exists()


@cache
def _signer(key: str | bytes, key_id: str | None = None) -> RSASigner:
    return RSASigner(load_pem_private_key(key.encode() if isinstance(key, str) else key, None), key_id)


def played(make: Callable[[], Any]) -> Any:
    """Returns a history, played to its end, in a transaction that is rolled back."""
    # Google's library checks the whole key at every log-in, which took a fourteenth of the time.
    with transaction.atomic(), patch.object(RSASigner, "from_string", _signer):
        story = make()
        try:
            story.play()
        finally:
            transaction.set_rollback(True)
        return story


def told(title: str, story: Any) -> str:
    """Returns a story for the person who looks for the fault."""
    text = "\n".join([title, *story.log, "broken:", *(story.broken or ["nothing"])])
    for n, id_ in enumerate(dict.fromkeys(re.findall(r"AA[A-Za-z0-9_-]{80,}=*", text)), 1):
        text = text.replace(id_, f"<{n}>")
    return text


def watched(world: World, act: Any, look: Callable[[Any], None] = lambda request: None) -> None:
    """Marks `act.is_ours` while a call of our side is carried out in a world; `look` is shown each of them."""
    handle = world.handle

    def handled(name: str, request: Any) -> Any:
        act.is_ours = True
        look(request)
        try:
            return handle(name, request)
        finally:
            act.is_ours = False

    world.handle = handled  # type: ignore[method-assign]

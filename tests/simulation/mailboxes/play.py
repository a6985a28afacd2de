"""Plays one history of two mailboxes and Salesforce, with the real pass over the played systems; then everything calms down
and what must hold is checked in what the systems hold. Only the clock, the wire (in process) and death are the player's."""

from __future__ import annotations

import random
import re
from dataclasses import dataclass, field
from functools import cache
from typing import Any
from unittest.mock import patch

from cryptography.hazmat.primitives.serialization import load_pem_private_key
from django.db import connection, transaction
from google.auth.crypt import RSASigner

from reconciliation.engine.context import Order
from reconciliation.engine.lease import LeaseHeld
from reconciliation.engine.runner import run_pass
from reconciliation.engine.wiring import Switches
from reconciliation.models import Connection, LookAgain, Mailbox, Operation, PassLease, Run, SyncPass
from tests.boxes import Boxes, boxes
from tests.simulation.common import wired
from tests.simulation.history import Killed
from tests.simulation.mailboxes import checks
from tests.simulation.mailboxes.history import ACTS, Act, History, Round, Trouble, history
from tests.simulation.mailboxes.rows import ROWS, Rows
from tests.simulation.mailboxes.users import VIEW, Users
from tests.simulation.mailboxes.watch import Watch
from tests.simulation.mailboxes.wire import Adapter, Wire

MOST_QUIET_ROUNDS = 8
A_DAY = 86_500.0
MOST_CALLS = 2  # of a run over a mailbox where nothing changed
LONG = 10**7  # seconds for which tokens are good: asking for them is not what is looked at here
DURING_RUNS = tuple((name, weight) for name, weight in ACTS if not name.startswith(("set_", "wire_", "box_empty", "box_copy")))


@dataclass
class Story:
    """One world and what has been done to it. `broken` says which invariants did not hold."""

    history: History
    switches: Switches = field(default_factory=Switches)
    broken: list[str] = field(default_factory=list)
    log: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.rng = random.Random(f"play {self.history.seed}")
        self._folders: dict[str, str] = {}
        self._folders_at = -1  # the call at which they were looked up
        self.boxes: Boxes = boxes(self.history.system, switches=self.switches)
        world = self.boxes.world
        world.systems[self.history.system].set_switches({"token_seconds": LONG, **self.history.moods})
        world.salesforce.set_switches({"list_views": [VIEW]})
        Connection.objects.filter(system=self.history.system).update(
            settings={**Connection.objects.get(system=self.history.system).settings, "page_size": self.history.page_size}
        )
        self.rows: Rows = ROWS[self.history.system](world, self._folder_of)
        saved = next(v.id for v in self.boxes.wiring.open_connector(self.boxes.parent.crm).views("Contact") if v.title == VIEW["label"])
        self.users = Users(self.boxes, self.rows, self.log, saved)
        self.wire = Wire(world, self.boxes.clock, self.rng, self._act_during_run)
        self.watch = Watch(self.boxes, self.rows, self.users, self.broken)
        self.boxes.wiring = wired(self.boxes.clock, Adapter(self.wire), self.rng.random, self.switches)

    def _folder_of(self, address: str) -> str:
        """Returns the folder that our side uses now: another one only after a call that made it."""
        if self._folders_at != self.wire.calls:
            self._folders = dict(Mailbox.objects.values_list("address", "folder_id"))
            self._folders_at = self.wire.calls
        return str(self._folders[address])

    # --- the story ------------------------------------------------------------------------------------------------------
    def play(self) -> None:
        """Plays the history to its end."""
        told = self.history
        for address, settings in zip(self.users.addresses, told.settings, strict=True):
            view = self.users.saved_view if settings["view"] == "saved" else settings["view"]
            self.boxes.set(address, **{**settings, "view": view})
            for n in range(told.personal):
                self.users.act(Act("box_add_personal", self.users.addresses.index(address), told.seed * 10 + n))
        for n in range(told.contacts):
            self.users.act(Act("crm_add", 0, told.seed * 100 + n))
        for address in self.users.addresses:
            self.run(address)
        for round_ in told.rounds:
            self._play(round_)
        self._calm_down()

    def _play(self, round_: Round) -> None:
        for act in round_.acts:
            self.users.act(act)
        self.boxes.clock.forward(round_.pause)
        for box in round_.boxes:
            run = self.run(self.users.addresses[box], trouble=round_.trouble, is_full=round_.is_full)
            if run is not None and run.state == Run.State.HELD and round_.approves and _has_a_plan(run):
                self.run(self.users.addresses[box], kind=Run.Kind.APPLY, apply_of=run.pk)

    def _act_during_run(self) -> None:
        name = self.rng.choices([n for n, _ in DURING_RUNS], [w for _, w in DURING_RUNS])[0]
        self.users.act(Act(name, self.rng.randrange(2), self.rng.getrandbits(32)))

    def run(self, address: str, *, trouble: Trouble | None = None, forward: float = 1.0, **order: Any) -> Run | None:
        """Runs the pass once over a mailbox; a kill leaves its lease behind, as a dead process does."""
        trouble = trouble or Trouble()
        self.boxes.clock.forward(forward)
        self.log.append(f"{self.boxes.clock.at:%d %H:%M:%S} run over {address} {order or ''} {trouble if trouble != Trouble() else ''}")
        row = SyncPass.objects.select_related("crm", "peer", "mapping", "parent", "mailbox__group").get(pk=self.boxes.passes[address].pk)
        names = list(PassLease.objects.values_list("name", flat=True))
        self._folders_at = -1
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
        self._folders_at = -1
        self.watch.end()
        if run is not None:
            self.boxes.runs.append(run)
            said = {k: v for k, v in run.as_dict().items() if v and k in ("seen", "created", "updated", "held", "failed", "duplicates")}
            self.log.append(f"  {run.state} {said} {dict(run.excluded)} {run.note}")
            if run.state == Run.State.FAILED:
                self.broken.append(f"the run over {address} failed: {run.note}")
        return run

    def view_is_usable(self, box: str) -> bool:
        return True

    def _calm_down(self) -> None:
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
                if run is not None and run.state == Run.State.HELD and _has_a_plan(run):
                    self.run(address, kind=Run.Kind.APPLY, apply_of=run.pk)
                is_quiet &= run is not None and run.state == Run.State.FINISHED and sum(self.watch.writes.values()) == before
            quiet = quiet + 1 if is_quiet else 0
            is_cheap = all(sum(cost.values()) <= MOST_CALLS for cost in costs.values())
            if quiet > 2 or (
                quiet and is_cheap and not LookAgain.objects.due().exists()
            ):  # a quiet run may still look at what the last one wrote
                break
        else:
            self.broken.append("I4: the runs never became quiet")
        checks.look_at(self, costs)
        self.log += checks.what_stands(self)


def _has_a_plan(run: Run) -> bool:
    return Operation.objects.filter(run=run, state=Operation.State.PLANNED).exists()


@cache
def _signer(key: str | bytes, key_id: str | None = None) -> RSASigner:
    return RSASigner(load_pem_private_key(key.encode() if isinstance(key, str) else key, None), key_id)


def play(seed: int, system: str, switches: Switches | None = None) -> Story:
    """Returns the history of this seed, played to its end, in a transaction that is rolled back."""
    # Google's library checks the whole key at every log-in, which took a fourteenth of the time.
    with transaction.atomic(), patch.object(RSASigner, "from_string", _signer):
        story = Story(history(seed, system), switches or Switches())
        try:
            story.play()
        finally:
            transaction.set_rollback(True)
        return story


def tell(seed: int, system: str, switches: Switches | None = None) -> str:
    """Returns the story of one seed, for the person who looks for the fault."""
    story = play(seed, system, switches)
    told = "\n".join([f"{system}, seed {seed}", *story.log, "broken:", *(story.broken or ["nothing"])])
    long = dict.fromkeys(re.findall(r"AA[A-Za-z0-9_-]{80,}=*", told))
    for n, id_ in enumerate(long, 1):
        told = told.replace(id_, f"<{n}>")
    return told

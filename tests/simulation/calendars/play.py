"""Plays one history of two calendars and Salesforce, with the real pass over the played systems; then everything calms down and what
must hold is checked in what the systems hold. Only the clock, the wire (in process) and death are the player's."""

from __future__ import annotations

import random
from collections.abc import Mapping

from reconciliation.engine.wiring import Switches
from reconciliation.models import Connection
from tests.boxes import Boxes
from tests.calendars import calendars
from tests.simulation.calendars import checks
from tests.simulation.calendars.history import ACTS, History, history
from tests.simulation.calendars.rows import ROWS, Rows
from tests.simulation.calendars.users import Users
from tests.simulation.calendars.watch import Watch
from tests.simulation.common import wired
from tests.simulation.mailboxes.wire import Adapter, Wire
from tests.simulation.player import LONG, Player, played, told

DURING_RUNS = tuple((name, weight) for name, weight in ACTS if not name.startswith(("set_", "wire_")))
PARTS = ("/v1.0/users/{id}/events/{id}", "/v1.0/users/{id}/events", "/v1.0/users/{id}/events/{id}/instances")
CHANGES = "/calendar/v3/calendars/primary/events"


class Story(Player):
    """One world and what has been done to it."""

    def __init__(self, history: History, switches: Switches) -> None:
        self.history, self.switches = history, switches
        self.broken, self.log = [], []
        self.acts = DURING_RUNS
        self.rng = random.Random(f"play {history.seed}")
        self.boxes = calendars(history.system, switches=switches)
        world = self.boxes.world
        world.systems[history.system].set_switches({"token_seconds": LONG, **history.moods})
        row = Connection.objects.get(system=history.system)
        row.settings |= {"page_size": history.page_size, "events_a_page": history.page_size}
        row.save(update_fields=["settings"])
        self.boxes.parent.settings.pop("mailbox_settings", None)
        self.boxes.parent.save(update_fields=["settings"])
        self.rows: Rows = ROWS[history.system](self.boxes)
        self.users = Users(self.boxes, self.rows, self.log)
        self.wire = Wire(world, self.boxes.clock, self.rng, self.act_during_run, parts=PARTS, changes=CHANGES)
        for address, settings in zip(self.users.addresses, history.settings, strict=True):
            Boxes.set(self.boxes, address, **settings)
            self.log.append(f"{address}: {settings}")
        self.watch = Watch(self.boxes, self.rows, self.users, self.broken)
        self.boxes.wiring = wired(self.boxes.clock, Adapter(self.wire), self.rng.random, switches)

    def play(self) -> None:
        """Plays the history to its end."""
        for act in self.history.begins:
            self.users.act(act)
        for address in self.users.addresses:
            self.run(address)
        for round_ in self.history.rounds:
            self.play_round(round_)
        # Calm begins with a day of its own, so that the window moves in its first runs only.
        self.boxes.clock.forward(3600.0 * (24 - self.boxes.clock.at.hour))
        self.calm_down()

    def look_at(self, costs: Mapping[str, Mapping[str, int]]) -> None:
        checks.look_at(self, costs)
        self.log += checks.what_stands(self)


def play(seed: int, system: str, switches: Switches | None = None) -> Story:
    """Returns the history of this seed, played to its end."""
    return played(lambda: Story(history(seed, system), switches or Switches()))


def tell(seed: int, system: str, switches: Switches | None = None) -> str:
    """Returns the story of one seed, for the person who looks for the fault."""
    return told(f"{system}, seed {seed}", play(seed, system, switches))

"""Plays one history of two mailboxes and Salesforce, with the real pass over the played systems; then everything calms down
and what must hold is checked in what the systems hold. Only the clock, the wire (in process) and death are the player's."""

from __future__ import annotations

import random
from collections.abc import Mapping

from reconciliation.engine.wiring import Switches
from reconciliation.models import Connection, Mailbox
from tests.boxes import boxes
from tests.simulation.common import wired
from tests.simulation.mailboxes import checks
from tests.simulation.mailboxes.history import ACTS, History, history
from tests.simulation.mailboxes.rows import ROWS, Rows
from tests.simulation.mailboxes.users import VIEW, Users
from tests.simulation.mailboxes.watch import Watch
from tests.simulation.mailboxes.wire import Adapter, Wire
from tests.simulation.player import LONG, Player, played, told
from tests.simulation.troubles import Act

DURING_RUNS = tuple((name, weight) for name, weight in ACTS if not name.startswith(("set_", "wire_", "box_empty", "box_copy")))


class Story(Player):
    """One world and what has been done to it."""

    def __init__(self, history: History, switches: Switches) -> None:
        self.history, self.switches = history, switches
        self.broken, self.log = [], []
        self.acts = DURING_RUNS
        self.rng = random.Random(f"play {self.history.seed}")
        self._folders: dict[str, str] = {}
        self._folders_at = -1  # the call at which they were looked up
        self.boxes = boxes(self.history.system, switches=self.switches)
        world = self.boxes.world
        world.systems[self.history.system].set_switches({"token_seconds": LONG, **self.history.moods})
        world.salesforce.set_switches({"list_views": [VIEW]})
        Connection.objects.filter(system=self.history.system).update(
            settings={**Connection.objects.get(system=self.history.system).settings, "page_size": self.history.page_size}
        )
        self.rows: Rows = ROWS[self.history.system](world, self._folder_of)
        saved = next(v.id for v in self.boxes.wiring.open_connector(self.boxes.parent.crm).views("Contact") if v.title == VIEW["label"])
        self.users = Users(self.boxes, self.rows, self.log, saved)
        self.wire = Wire(world, self.boxes.clock, self.rng, self.act_during_run)
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
        story = self.history
        for address, settings in zip(self.users.addresses, story.settings, strict=True):
            view = self.users.saved_view if settings["view"] == "saved" else settings["view"]
            self.boxes.set(address, **{**settings, "view": view})
            for n in range(story.personal):
                self.users.act(Act("box_add_personal", self.users.addresses.index(address), story.seed * 10 + n))
        for n in range(story.contacts):
            self.users.act(Act("crm_add", 0, story.seed * 100 + n))
        for address in self.users.addresses:
            self.run(address)
        for round_ in story.rounds:
            self.play_round(round_)
        self.calm_down()

    def view_is_usable(self, box: str) -> bool:
        return True

    def before_run(self) -> None:
        self._folders_at = -1

    def look_at(self, costs: Mapping[str, Mapping[str, int]]) -> None:
        checks.look_at(self, costs)
        self.log += checks.what_stands(self)


def play(seed: int, system: str, switches: Switches | None = None) -> Story:
    """Returns the history of this seed, played to its end."""
    return played(lambda: Story(history(seed, system), switches or Switches()))


def tell(seed: int, system: str, switches: Switches | None = None) -> str:
    """Returns the story of one seed, for the person who looks for the fault."""
    return told(f"{system}, seed {seed}", play(seed, system, switches))

"""Salesforce, Outreach and the pass over activities in process: people who are linked already, and what was done with them."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

from connectors.sandbox.world import World
from reconciliation.engine.context import Order
from reconciliation.engine.runner import run_pass
from reconciliation.engine.wiring import Switches, Wiring
from reconciliation.models import Activity, Binding, Run, RunEvent, SyncPass
from reconciliation.services.set_up import activities_pass
from tests.paired import connections, table, wire
from tests.sandboxed import Clock

MINE = "priya@seller.example"  # Outreach user 1, who is a user of Salesforce, too


@dataclass
class Acted:
    """A world with the pass over activities, switched on, and the links that the pass of prospects would keep."""

    world: World
    clock: Clock
    prospects: SyncPass
    sync_pass: SyncPass
    wiring: Wiring
    runs: list[Run] = field(default_factory=list)

    def run(self, *, forward: float = 600, **order: Any) -> Run:
        """Lets time pass and runs the pass once."""
        self.clock.forward(forward)
        self.runs.append(run_pass(self.sync_pass, Order(**order), self.wiring))
        return self.runs[-1]

    # --- people ---------------------------------------------------------------------------------------------------------
    def prospect(self, last: str = "Byrne") -> int:
        return int(self.world.outreach.create_record("prospects", {"lastName": last, "emails": [f"{last}@x.example".lower()]})["id"])

    def contact(self, last: str = "Byrne", **values: Any) -> str:
        return str(self.world.salesforce.create_record("Contact", {"LastName": last, **values})["Id"])

    def lead(self, last: str = "Clarke", **values: Any) -> str:
        return str(self.world.salesforce.create_record("Lead", {"LastName": last, "Company": "Acme", **values})["Id"])

    def account(self, name: str = "Acme") -> str:
        return str(self.world.salesforce.create_record("Account", {"Name": name})["Id"])

    def link(self, prospect: int, crm_id: str, crm_type: str = "Contact") -> Binding:
        now = self.clock()
        common = {"peer_type": "prospect", "peer_id": str(prospect), "bound_at": now, "synced_at": now}
        return Binding.objects.create(sync_pass=self.prospects, crm_type=crm_type, crm_id=crm_id, **common)

    def linked(self, last: str = "Byrne", **values: Any) -> tuple[int, str]:
        """Returns a prospect and the contact that it is linked to."""
        prospect, contact = self.prospect(last), self.contact(last, **values)
        self.link(prospect, contact)
        return prospect, contact

    # --- what was done --------------------------------------------------------------------------------------------------
    def _at(self, ago: float) -> str:
        return (self.clock() - timedelta(seconds=ago)).isoformat()

    def task(self, prospect: int | None, *, ago: float = 0, **values: Any) -> int:
        done = {"action": "action_item", "state": "complete", "completedAt": self._at(ago), "owner": 1, "prospect": prospect}
        return int(self.world.outreach.create_record("tasks", {**done, **values})["id"])

    def mailing(self, prospect: int | None, *, ago: float = 0, **values: Any) -> int:
        done = {"subject": "A quote", "bodyText": "Dear Ada", "state": "delivered", "deliveredAt": self._at(ago), "user": 1}
        return int(self.world.outreach.create_record("mailings", {**done, "prospect": prospect, **values})["id"])

    def call(self, prospect: int | None, *, ago: float = 0, **values: Any) -> int:
        done = {"direction": "outbound", "outcome": "Answered", "answeredAt": self._at(ago + 90), "completedAt": self._at(ago)}
        return int(self.world.outreach.create_record("calls", {**done, "user": 1, "prospect": prospect, **values})["id"])

    def edit(self, collection: str, id_: int, **values: Any) -> None:
        self.world.outreach.update_record(collection, id_, values)

    # --- what became of it ----------------------------------------------------------------------------------------------
    def tasks(self) -> list[dict[str, Any]]:
        """Returns the living Tasks of Salesforce."""
        return [t for t in self.world.salesforce.list_records("Task") if not t.get("IsDeleted")]

    def one(self) -> dict[str, Any]:
        (task,) = self.tasks()
        return task

    def row(self, object_type: str, id_: int) -> Activity:
        return Activity.objects.get(sync_pass=self.sync_pass, object_type=object_type, activity_id=str(id_))

    def events(self, run: Run | None = None) -> list[tuple[str, str, str]]:
        rows = RunEvent.objects.filter(run=run or self.runs[-1]).order_by("pk")
        return [(e.outcome, e.reason, e.sentence) for e in rows]

    def reasons(self, run: Run | None = None) -> list[tuple[str, str]]:
        return [(outcome, reason) for outcome, reason, _ in self.events(run)]

    def calls(self) -> dict[str, int]:
        """Returns the calls since the last look, per "METHOD /template", over all systems."""
        total: dict[str, int] = {}
        for counts in self.world.counts.values():
            for name, n in counts.items():
                total[name] = total.get(name, 0) + n
        self.world.forget_calls()
        return total

    def writes(self) -> dict[str, int]:
        """Returns the calls since the last look that may have changed something."""
        return {k: n for k, n in self.calls().items() if not k.startswith("GET") and "/token" not in k and "/query" not in k}


def acted(*, scenario: str = "empty", is_on: bool = True, workers: int = 0, switches: Switches | None = None, real: bool = False) -> Acted:
    """Returns an empty world with both sides connected and the pass over activities, on since now."""
    clock = Clock()
    world = World(scenario=scenario, now=clock)
    crm, peer = connections(world)
    if real:
        type(crm).objects.update(is_sandbox=False)
        crm.refresh_from_db()
        peer.refresh_from_db()
    mapping = table("Contacts to prospects", "Contact", "prospect", ())
    prospects = SyncPass.objects.create(name="prospects", title="Prospects", crm=crm, peer=peer, mapping=mapping, is_on=True)
    made = activities_pass(crm, peer)
    _begin_now(made, clock, is_on=is_on)
    sync_pass = SyncPass.objects.select_related("crm", "peer", "mapping").get(pk=made.pk)
    return Acted(world, clock, prospects, sync_pass, wire(world, clock, workers=workers, switches=switches))


def _begin_now(made: SyncPass, clock: Clock, *, is_on: bool) -> None:
    """The clock of the world stands elsewhere than ours, by which the pass was made."""
    at = clock()
    settings = {"activities": {"from": at.isoformat(), "is_chosen": False}}
    switched = {"is_on": True, "switched_on_at": at} if is_on else {}
    SyncPass.objects.filter(pk=made.pk).update(settings=settings, last_run_time=at, **switched)
    made.activity_feeds.update(last_run_time=at)

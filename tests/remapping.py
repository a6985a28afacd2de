"""Prospects with several records of Salesforce that may be theirs, with tasks and sequences that must stay as they are."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from connectors.sandbox.world import World
from reconciliation.models import Connection, MappingTable, MappingVersion, Policy
from reconciliation.services.matches import find_matches
from reconciliation.services.remap import Remapped, remap, remap_plan
from tests.paired import Paired, connected, wire
from tests.sandboxed import Clock


@dataclass
class Remapping(Paired):
    """What a test of remaps does with both sides."""

    def active(self, prospect: int, *, tasks: int = 0, sequences: int = 0) -> None:
        """Gives a prospect active tasks and sequences, and of each one that is over."""
        make = self.world.outreach.create_record
        for state in [*["pending", "incomplete"] * tasks][:tasks] + ["complete"]:
            make("tasks", {"subject": {"type": "prospect", "id": prospect}, "state": state})
        mailbox = make("mailboxes", {"email": f"m{prospect}@acme.example"})["id"]
        for n, state in enumerate([*["active", "paused", "pending"] * sequences][:sequences] + ["finished"]):
            sequence = make("sequences", {"name": f"Sequence {prospect}.{n}"})["id"]
            make("sequenceStates", {"prospect": prospect, "sequence": sequence, "mailbox": mailbox, "state": state})

    def life(self, prospect: int) -> tuple[Any, ...]:
        """Returns all tasks and sequence states of a prospect, with everything they hold."""
        found = [self.world.outreach.list_records(name) for name in ("tasks", "sequenceStates")]
        return tuple(sorted(str(r) for rows in found for r in rows if r.get("prospect") == prospect))

    def pair(self, last: str = "Byrne", email: str = "ada@acme.example", **values: Any) -> tuple[str, int]:
        return self.linked(last, email, Title="Buyer", Phone="1", **values)

    def remap(self, by: Any, prospect: int | str, type_: str, id_: str, **more: Any) -> Remapped:
        return choose_now(self, by, prospect, type_, id_, **more)

    def changed(self, before: dict[str, Any], prospect: int) -> set[str]:
        """Returns which values of a prospect are others than they were, beside its version."""
        now = self.peer(prospect)
        return {n for n in {*before, *now} if before.get(n) != now.get(n)} - {"updatedAt", "updater"}

    def written(self) -> dict[str, int]:
        return self.writes()


def choose_now(box: Paired, by: Any, prospect: int | str, type_: str, id_: str, **more: Any) -> Remapped:
    """Lets somebody choose this record for a prospect from what is shown now."""
    shown = remap_plan(find_matches(box.sync_pass, str(prospect), wiring=box.wiring), type_, id_)
    return remap(str(prospect), type_, id_, by=by, wiring=box.wiring, **{"stamp": shown.stamp, **more})


def remapping(*, choose: bool = True) -> Remapping:
    """Returns an empty world with both sides connected, whose policy lets users select the preferred CRM ID."""
    clock = Clock()
    world = World(scenario="empty", now=clock)
    box = Remapping(world, clock, connected(world), wire(world, clock))
    Connection.objects.filter(system="salesforce").update(page_address_template="https://sf.example/{object}/{id}")
    box.sync_pass.crm.refresh_from_db()
    for table in MappingTable.objects.all():
        MappingVersion.keep(table, reason="The standard fields.")
    if choose:
        Policy.objects.update_or_create(pk=1, defaults={"same_email": Policy.SameEmail.CHOOSE})
    return box

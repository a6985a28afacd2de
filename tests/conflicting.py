"""Both sides of a two-way pass with rules that ask: people are linked by the pass, and conflicts are opened by it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from connectors.sandbox.world import World
from reconciliation.models import Binding, Case, FieldRule, MappingTable, MappingVersion
from tests.paired import Paired, connected, wire
from tests.sandboxed import Clock

ASKS = ("title", "workPhones", "custom1")


@dataclass
class Conflicting(Paired):
    """What a test of conflicts does with both sides."""

    def pair(self, name: str) -> Binding:
        """Makes a contact and lets the pass make its prospect, both at rest."""
        _, id_ = self.linked(name, f"{name.lower()}@acme.example", Title="Buyer", Phone="1", Description="d")
        return self.binding(id_)

    def ours(self, binding: Binding) -> dict[str, Any]:
        return self.crm(binding.crm_type, binding.crm_id)

    def theirs(self, binding: Binding) -> dict[str, Any]:
        return self.peer(binding.peer_id)

    def edit(self, binding: Binding, *, crm: dict[str, Any] | None = None, peer: dict[str, Any] | None = None, after: int = 60) -> None:
        """Changes the two records as their users would, so many seconds later."""
        self.clock.forward(after)
        if crm:
            self.edit_crm(binding.crm_type, binding.crm_id, **crm)
        if peer:
            self.edit_peer(binding.peer_id, **peer)
        self.clock.forward(after)

    def conflict(self, binding: Binding, **values: tuple[Any, Any]) -> Case:
        """Lets both sides change these fields (of the peer) to different values, and returns the case the pass opens."""
        rules = {rule.peer_field: rule for rule in FieldRule.objects.filter(table=self.sync_pass.mapping)}
        self.edit(binding, crm={rules[n].crm_field: v[0] for n, v in values.items()}, peer={n: v[1] for n, v in values.items()})
        self.run()
        return Case.objects.get(kind="conflict", state="open", crm_id=binding.crm_id)

    def written(self) -> int:
        """Returns how many calls since the last look may have changed something."""
        return sum(self.writes().values())


def conflicting() -> Conflicting:
    """Returns an empty world with both sides connected, whose mapping asks about title, telephone and a custom field."""
    clock = Clock()
    world = World(scenario="empty", now=clock)
    box = Conflicting(world, clock, connected(world), wire(world, clock))
    for table in MappingTable.objects.all():
        FieldRule.objects.create(table=table, crm_field="Description", peer_field="custom1", direction="both")
        MappingVersion.keep(table, reason="The standard fields.")
    FieldRule.objects.filter(peer_field__in=ASKS).update(survivorship="ask")
    return box

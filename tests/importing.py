"""Imports over both sides of the pass of prospects, in process, as in `paired`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from connectors.sandbox.world import World
from reconciliation.models import Connection, Import, Policy
from reconciliation.services.import_choice import choice_of
from reconciliation.services.imports import import_start
from tests.paired import Paired, connected, wire
from tests.sandboxed import Clock

PAGES = {"salesforce": "http://127.0.0.1:8900/browse/salesforce/{object}/{id}", "outreach": ""}


@dataclass
class Importing(Paired):
    """A world, the pass of prospects over it, and what a test of imports does with both."""

    def person(self, type_: str, last: str, email: str | None = None, **values: Any) -> str:
        id_ = super().person(type_, last, email, **values)
        self.clock.forward(1)
        return id_

    def alone(self, email: str) -> str:
        """Makes a prospect that is linked to nobody and returns its id."""
        id_ = self.prospect("Known", email)
        self.clock.forward(10)
        return str(id_)

    def start(self, names: list[str], user: Any, *, choose: bool | None = None) -> Import:
        if choose is not None:
            Policy.objects.update_or_create(pk=1, defaults={"same_email": "choose" if choose else "prevent"})
        return import_start(self.sync_pass, choice_of(names), user, source=Import.Source.CSV, title="people.csv")


def make_importing() -> Importing:
    """Returns an empty world with both sides connected, whose clock stands still until it is moved."""
    clock = Clock()
    world = World(scenario="empty", now=clock)
    box = Importing(world, clock, connected(world), wire(world, clock))
    for system, template in PAGES.items():
        Connection.objects.filter(system=system).update(page_address_template=template)
    box.sync_pass.refresh_from_db()
    return box

"""Prospects and the people of a played Salesforce, connected in process, for imports."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from connectors.sandbox.transport import SandboxAdapter, base_url
from connectors.sandbox.world import World
from reconciliation.engine.connections import open_connector, open_http
from reconciliation.engine.wiring import Wiring
from reconciliation.models import Connection, FieldRule, Import, MappingTable, Policy, RecordType, SyncPass
from reconciliation.services.import_choice import choice_of
from reconciliation.services.imports import import_start
from tests.sandboxed import Clock

FIELDS = (("FirstName", "firstName"), ("LastName", "lastName"), ("Email", "emails"), ("Title", "title"))
PATHS = {"salesforce": "{object}/{id}", "outreach": "prospects/{id}"}


@dataclass
class Importing:
    """A world, the pass of prospects over it, and what a test does with both."""

    world: World
    clock: Clock
    sync_pass: SyncPass
    wiring: Wiring

    def contact(self, last: str, email: str | None = None, **values: Any) -> str:
        return self._person("Contact", last, email, values)

    def lead(self, last: str, email: str | None = None, **values: Any) -> str:
        return self._person("Lead", last, email, {"Company": "Acme", **values})

    def _person(self, object_type: str, last: str, email: str | None, values: dict[str, Any]) -> str:
        made = self.world.salesforce.create_record(object_type, {"LastName": last, "Email": email, **values})
        self.clock.forward(1)
        return str(made["Id"])

    def prospect(self, email: str, **values: Any) -> str:
        made = self.world.outreach.create_record("prospects", {"emails": [email], **values})
        self.clock.forward(5)
        return str(made["id"])

    def prospects(self) -> list[dict[str, Any]]:
        return self.world.outreach.list_records("prospects")

    def start(self, names: list[str], user: Any, *, choose: bool | None = None) -> Import:
        if choose is not None:
            Policy.objects.update_or_create(pk=1, defaults={"same_email": "choose" if choose else "prevent"})
        return import_start(self.sync_pass, choice_of(names), user, source=Import.Source.CSV, title="people.csv")


def make_importing(*, scenario: str = "empty") -> Importing:
    """Returns a connected sandbox with the pass of prospects, whose clock stands still until it is moved."""
    clock = Clock()
    world = World(scenario=scenario, seed=1, now=clock)
    rows = {name: _connection(world, name) for name in ("salesforce", "outreach")}
    table = MappingTable.objects.create(name="People", crm_object="Contact", peer_object="prospect")
    FieldRule.objects.bulk_create(FieldRule(table=table, crm_field=a, peer_field=b, direction="both") for a, b in FIELDS)
    sync_pass = SyncPass.objects.create(
        name="prospects", title="Prospects", crm=rows["salesforce"], peer=rows["outreach"], mapping=table, is_on=True
    )
    for order, name in enumerate(("Contact", "Lead")):
        RecordType.objects.create(sync_pass=sync_pass, crm_object=name, peer_object="prospect", mapping=table, order=order)
    adapter = SandboxAdapter(world)

    def connect(connection: Any, **options: Any) -> Any:
        return open_connector(connection, adapter=adapter, db_now=clock, clock=clock.seconds, sleep=clock.forward, **options)

    def dial(connection: Any, **options: Any) -> Any:
        return open_http(connection, adapter=adapter, clock=clock.seconds, sleep=clock.forward, **options)

    clocks = {"now": clock, "monotonic": clock.seconds, "db_now": clock, "sleep": clock.forward}
    wiring = replace(Wiring(**clocks, open_connector=connect, workers=0), open_http=dial)
    return Importing(world, clock, sync_pass, wiring)


def _connection(world: World, name: str) -> Connection:
    given = getattr(world, name).credentials()
    secrets = {k: given[k] for k in ("client_id", "client_secret", "access_token", "refresh_token") if k in given}
    address = base_url(name)
    return Connection.objects.create(
        name=name.capitalize(),
        system=name,
        base_url=address,
        login_url=address if name == "salesforce" else "",
        secrets=secrets,
        settings={},
        settle_seconds=0,
        is_sandbox=True,
        page_address_template=f"http://127.0.0.1:8900/browse/{name}/{PATHS[name]}",
    )

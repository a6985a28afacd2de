"""Salesforce and Outreach played in process, two linked people among them, and a two-way pass with its mapping."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any

from connectors.sandbox.transport import SandboxAdapter, base_url
from connectors.sandbox.world import World
from reconciliation.engine.connections import open_connector, open_http
from reconciliation.engine.wiring import Wiring
from reconciliation.models import Binding, Case, ConflictField, Connection, FieldRule, MappingTable, MappingVersion, RecordType, SyncPass
from reconciliation.store import encode_fields
from tests.sandboxed import Clock

ROWS = (
    ("LastName", "lastName", "same", "latest"),
    ("Title", "title", "same", "ask"),
    ("Phone", "workPhones", "first of list", "latest"),
    ("Description", "custom1", "same", "ask"),
    ("HasOptedOutOfEmail", "emailOptedOut", "same", "restrictive"),
)


@dataclass
class Paired:
    """A world, the pass over it, and what a test does with both."""

    world: World
    clock: Clock
    sync_pass: SyncPass
    wiring: Wiring

    def person(self, last_name: str, *, crm: dict[str, Any] | None = None, peer: dict[str, Any] | None = None) -> Binding:
        """Makes a contact and a prospect that are linked and agree on `last_name` and a title."""
        email = f"{last_name.lower()[:20].strip('<>')}@example.com"
        common = {"Title": "Buyer", "Phone": "1", "Description": "d", **(crm or {})}
        id_ = self.world.salesforce.create_record("Contact", {"LastName": last_name, "Email": email, **common})["Id"]
        theirs = {"emails": [email], "lastName": last_name, "title": "Buyer", "workPhones": ["1"], "custom1": "d", **(peer or {})}
        prospect = self.world.outreach.create_record("prospects", {**theirs, "externalId": id_, "externalSource": "salesforce"})
        self.clock.forward(60)
        return Binding.objects.create(
            sync_pass=self.sync_pass,
            crm_type="Contact",
            crm_id=id_,
            peer_type="prospect",
            peer_id=str(prospect["id"]),
            name=last_name[:255],
            name_key=last_name.casefold()[:255],
            crm_base=encode_fields({"LastName": last_name, "Title": "Buyer", "Phone": "1", "Description": "d"}),
            peer_base=encode_fields({"lastName": last_name, "title": "Buyer", "workPhones": ("1",), "custom1": "d"}),
            mapping_version=1,
            bound_at=self.clock.at,
            synced_at=self.clock.at,
        )

    def contact(self, binding: Binding) -> dict[str, Any]:
        return self.world.salesforce.get_record("Contact", binding.crm_id) or {}

    def prospect(self, binding: Binding) -> dict[str, Any]:
        return self.world.outreach.get_record("prospects", int(binding.peer_id)) or {}

    def edit(self, binding: Binding, *, crm: dict[str, Any] | None = None, peer: dict[str, Any] | None = None, after: int = 60) -> None:
        """Changes the two records as their users would, so many seconds later."""
        self.clock.forward(after)
        if crm:
            self.world.salesforce.update_record("Contact", binding.crm_id, crm)
        if peer:
            self.world.outreach.update_record("prospects", int(binding.peer_id), peer)
        self.clock.forward(after)

    def conflict(self, binding: Binding, **values: tuple[Any, Any]) -> Case:
        """Lets both sides change these fields of the peer to different values, and opens the case of it."""
        rules = {rule.peer_field: rule for rule in FieldRule.objects.filter(table=self.sync_pass.mapping)}
        self.edit(binding, crm={rules[n].crm_field: v[0] for n, v in values.items()}, peer={n: v[1] for n, v in values.items()})
        case = Case.objects.create(
            sync_pass=self.sync_pass, kind="conflict", crm_type="Contact", crm_id=binding.crm_id, peer_id=binding.peer_id, name=binding.name,
            name_key=binding.name_key, reason="conflict", sentence=f"Changed on both sides: {', '.join(values)}.", flag="none",
            opened_at=self.clock.at,
        )  # fmt: skip
        for name, (crm, peer) in values.items():
            rule = rules[name]
            ConflictField.objects.create(
                case=case, rule_id=rule.pk, crm_field=rule.crm_field, peer_field=name, crm_base=binding.crm_base.get(rule.crm_field),
                peer_base=binding.peer_base.get(name), crm_value=crm, peer_value=peer, crm_changed_at=self.clock.at, crm_changed_by="Ann",
                peer_changed_at=self.clock.at, peer_changed_by="Bob", why="The rule says: ask.",
            )  # fmt: skip
        return case

    def calls(self) -> dict[str, int]:
        """Returns the writes since the last look, per "METHOD /template", over both systems."""
        total: dict[str, int] = {}
        for counts in self.world.counts.values():
            for call, n in counts.items():
                if not call.startswith("GET") and "token" not in call:
                    total[call] = total.get(call, 0) + n
        self.world.forget_calls()
        return total


def make_paired(at: datetime | None = None) -> Paired:
    """Returns connected systems with a two-way pass whose clock stands still until a test moves it."""
    clock = Clock(at or datetime(2026, 3, 2, 9, 0, tzinfo=UTC))
    world = World(scenario="empty", now=clock)
    adapter = SandboxAdapter(world)
    rows = {}
    for system, settle in (("salesforce", 0), ("outreach", 2)):
        given = world.systems[system].credentials()
        secrets = {k: given[k] for k in ("access_token", "client_id", "client_secret", "refresh_token") if k in given}
        address = base_url(system)
        rows[system] = Connection.objects.create(
            name=system.capitalize(), system=system, base_url=address, login_url=address, secrets=secrets, settle_seconds=settle,
            page_address_template=f"https://{system}.example/{{object}}/{{id}}", is_sandbox=True,
        )  # fmt: skip
    table = MappingTable.objects.create(name="Contacts to prospects", crm_object="Contact", peer_object="prospect")
    for crm, peer, transform, survivorship in ROWS:
        FieldRule.objects.create(
            table=table, crm_field=crm, peer_field=peer, direction="both", transform=transform, survivorship=survivorship, is_standard=True
        )
    MappingVersion.keep(table, reason="The standard fields.")
    sync_pass = SyncPass.objects.create(
        name="prospects", title="Prospects", crm=rows["salesforce"], peer=rows["outreach"], mapping=table, is_on=True,
        switched_on_at=clock.at, last_run_time=clock.at - timedelta(hours=1),
    )  # fmt: skip
    RecordType.objects.create(
        sync_pass=sync_pass, crm_object="Contact", peer_object="prospect", mapping=table, last_run_time=sync_pass.last_run_time
    )

    def connect(connection: Any, **options: Any) -> Any:
        return open_connector(connection, adapter=adapter, db_now=clock, clock=clock.seconds, sleep=clock.forward, **options)

    def dial(connection: Any, **options: Any) -> Any:
        return open_http(connection, adapter=adapter, clock=clock.seconds, sleep=clock.forward, **options)

    clocks = {"now": clock, "monotonic": clock.seconds, "db_now": clock, "sleep": clock.forward}
    wiring = Wiring(**clocks, open_connector=connect, workers=0)
    return Paired(world, clock, sync_pass, replace(wiring, open_http=dial))

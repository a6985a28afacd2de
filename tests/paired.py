"""Both sides of a two-way pass in process: the real engine and connectors over a transport adapter, as in `sandboxed`."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

from connectors.contract import WriteResult
from connectors.salesforce.connector import SalesforceConnector
from connectors.sandbox.transport import SandboxAdapter, base_url
from connectors.sandbox.world import World
from reconciliation.engine.connections import open_connector
from reconciliation.engine.context import Order
from reconciliation.engine.runner import run_pass
from reconciliation.engine.wiring import Switches, Wiring
from reconciliation.models import Binding, Connection, FieldRule, MappingTable, RecordType, Run, RunEvent, SyncPass
from tests.sandboxed import Clock

KEY_FIELD = "Sync_Key__c"
# crm field, peer field, and what else a row says
SHARED: tuple[tuple[str, str, dict[str, Any]], ...] = (
    ("FirstName", "firstName", {}),
    ("LastName", "lastName", {"default_in_crm": "[not provided]"}),
    ("Title", "title", {}),
    ("Email", "emails", {"transform": "first of list"}),
    ("Phone", "workPhones", {"transform": "first of list"}),
    ("HasOptedOutOfEmail", "emailOptedOut", {"survivorship": "restrictive"}),
    ("DoNotCall", "callOptedOut", {"survivorship": "restrictive"}),
)
OF_ACCOUNTS: tuple[tuple[str, str, dict[str, Any]], ...] = (
    ("Name", "name", {}),
    ("BillingCity", "locality", {}),
    ("Description", "description", {}),
    ("AccountNumber", "tickerSymbol", {}),
)
LEAD_ONLY: tuple[tuple[str, str, dict[str, Any]], ...] = (("Company", "company", {"default_in_crm": "[not provided]"}),)


@dataclass
class Paired:
    """A world with Salesforce and Outreach, the pass over them, and what a test does with both."""

    world: World
    clock: Clock
    sync_pass: SyncPass
    wiring: Wiring
    runs: list[Run] = field(default_factory=list)

    def run(self, *, forward: float = 600, **order: Any) -> Run:
        """Lets time pass and runs the pass once."""
        self.clock.forward(forward)
        self.runs.append(run_pass(self.sync_pass, Order(**order), self.wiring))
        return self.runs[-1]

    def person(self, type_: str, last: str, email: str | None = None, **values: Any) -> str:
        more = {"Company": "Acme"} if type_ == "Lead" else {}
        return str(self.world.salesforce.create_record(type_, {"LastName": last, "Email": email, **more, **values})["Id"])

    def contact(self, last: str, email: str | None = None, **values: Any) -> str:
        return self.person("Contact", last, email, **values)

    def lead(self, last: str, email: str | None = None, **values: Any) -> str:
        return self.person("Lead", last, email, **values)

    def prospect(self, last: str, *emails: str, **values: Any) -> int:
        return int(self.world.outreach.create_record("prospects", {"lastName": last, "emails": list(emails), **values})["id"])

    def crm(self, type_: str, id_: str) -> dict[str, Any]:
        return self.world.salesforce.get_record(type_, id_) or {}

    def peer(self, id_: int | str) -> dict[str, Any]:
        return self.world.outreach.get_record("prospects", int(id_)) or {}

    def edit_crm(self, type_: str, id_: str, **values: Any) -> None:
        self.world.salesforce.update_record(type_, id_, values)

    def edit_after_write(self, monkeypatch: Any, type_: str, id_: str, **values: Any) -> None:
        """Lets a user edit a record of Salesforce between our next write to it and the read-back."""
        write, edits = SalesforceConnector.write, [values]

        def written(connector: SalesforceConnector, object_type: str, writes: Any) -> list[WriteResult]:
            results = write(connector, object_type, writes)
            if not edits:
                return results
            self.clock.forward(2)
            self.edit_crm(type_, id_, **edits.pop())
            (fresh,) = connector.read(type_, [id_], list(writes[0].fields))
            return [replace(results[0], record=fresh)]

        monkeypatch.setattr(SalesforceConnector, "write", written)

    def bring_back(self, type_: str, id_: str) -> None:
        """Takes a record out of Salesforce's recycle bin."""
        self.edit_crm(type_, id_, IsDeleted=False)

    def edit_peer(self, id_: int | str, **values: Any) -> None:
        self.world.outreach.update_record("prospects", int(id_), values)

    def prospects(self) -> list[dict[str, Any]]:
        return self.world.outreach.list_records("prospects")

    def people(self, type_: str) -> list[dict[str, Any]]:
        return self.world.salesforce.list_records(type_)

    def binding(self, peer_id: int | str) -> Binding:
        return Binding.objects.get(sync_pass=self.sync_pass, peer_id=str(peer_id), is_tombstone=False)

    def events(self, run: Run | None = None) -> list[tuple[str, str, str]]:
        rows = RunEvent.objects.filter(run=run or self.runs[-1]).order_by("pk")
        return [(e.outcome, e.reason, e.sentence) for e in rows]

    def linked(self, last: str, email: str, **values: Any) -> tuple[str, int]:
        """Returns a contact and the prospect that a run made for it, both at rest."""
        id_ = self.contact(last, email, **values)
        self.run()
        row = Binding.objects.get(sync_pass=self.sync_pass, crm_id=id_)
        self.run()
        return id_, int(row.peer_id)

    def calls(self) -> dict[str, int]:
        """Returns the calls since the last look, per "METHOD /template", over all systems."""
        total: Counter[str] = Counter()
        for counts in self.world.counts.values():
            total.update(counts)
        self.world.forget_calls()
        return dict(total)

    def writes(self) -> dict[str, int]:
        """Returns the calls since the last look that may have changed something."""
        return {k: n for k, n in self.calls().items() if not k.startswith("GET") and "/token" not in k and "/query" not in k}


def table(name: str, crm_object: str, peer_object: str, rows: tuple[tuple[str, str, dict[str, Any]], ...], **values: Any) -> MappingTable:
    made = MappingTable.objects.create(name=name, crm_object=crm_object, peer_object=peer_object, **values)
    for crm_field, peer_field, more in rows:
        FieldRule.objects.create(table=made, crm_field=crm_field, peer_field=peer_field, **{"direction": "both", **more})
    return made


def connections(world: World) -> tuple[Connection, Connection]:
    """Makes the connections to Salesforce and Outreach over the world."""
    sf, outreach = world.salesforce.credentials(), world.outreach.credentials()
    keep = ("client_id", "client_secret", "access_token", "refresh_token")
    crm = Connection.objects.create(
        name="Salesforce",
        system="salesforce",
        base_url=base_url("salesforce"),
        login_url=base_url("salesforce"),
        secrets={k: sf[k] for k in keep},
        settings={"external_id_field": KEY_FIELD},
        settle_seconds=0,
        is_sandbox=True,
    )
    peer = Connection.objects.create(
        name="Outreach",
        system="outreach",
        base_url=base_url("outreach"),
        secrets={k: outreach[k] for k in keep},
        settle_seconds=2,
        is_sandbox=True,
    )
    return crm, peer


def connected_accounts(world: World) -> SyncPass:
    """Makes the connections, the mapping table and the pass `accounts` over the world."""
    crm, peer = connections(world)
    rows = table("Accounts to accounts", "Account", "account", OF_ACCOUNTS)
    sync_pass = SyncPass.objects.create(name="accounts", title="Accounts", crm=crm, peer=peer, mapping=rows, is_on=True)
    RecordType.objects.create(sync_pass=sync_pass, crm_object="Account", peer_object="account", mapping=rows, outbound_create=True)
    return SyncPass.objects.select_related("crm", "peer", "mapping").get(pk=sync_pass.pk)


def connected(world: World) -> SyncPass:
    """Makes the connections, the mapping tables and the pass `prospects` over the world."""
    crm, peer = connections(world)
    contacts = table("Contacts to prospects", "Contact", "prospect", SHARED)
    leads = table("Leads to prospects", "Lead", "prospect", (*SHARED, *LEAD_ONLY))
    sync_pass = SyncPass.objects.create(name="prospects", title="Prospects", crm=crm, peer=peer, mapping=contacts, is_on=True)
    RecordType.objects.create(sync_pass=sync_pass, crm_object="Contact", peer_object="prospect", mapping=contacts, order=0)
    RecordType.objects.create(sync_pass=sync_pass, crm_object="Lead", peer_object="prospect", mapping=leads, order=1, outbound_create=True)
    return SyncPass.objects.select_related("crm", "peer", "mapping").get(pk=sync_pass.pk)


def wire(world: World, clock: Clock, *, workers: int = 0, switches: Switches | None = None) -> Wiring:
    adapter = SandboxAdapter(world)

    def opened(connection: Connection, **options: Any) -> Any:
        options["workers"] = workers
        return open_connector(connection, adapter=adapter, db_now=clock, now=clock, clock=clock.seconds, sleep=lambda s: None, **options)

    return Wiring(
        now=clock,
        monotonic=clock.seconds,
        db_now=clock,
        sleep=lambda s: None,
        open_connector=opened,
        workers=workers,
        switches=switches or Switches(),
    )


def paired(
    *, scenario: str = "empty", switches: Switches | None = None, workers: int = 0, connect: Callable[[World], SyncPass] = connected
) -> Paired:
    """Returns an empty world with both sides connected."""
    clock = Clock()
    world = World(scenario=scenario, now=clock)
    return Paired(world, clock, connect(world), wire(world, clock, workers=workers, switches=switches))


def companies(**more: Any) -> Paired:
    """Returns a box whose pass is `accounts`: Outreach accounts and Salesforce accounts."""
    box = paired()
    rows: tuple[tuple[str, str, dict[str, Any]], ...] = (
        ("Name", "name", {}),
        ("Industry", "industry", {}),
        ("BillingCity", "locality", {}),
    )
    made = table("Accounts", "Account", "account", rows, **more)
    SyncPass.objects.update(is_on=False)
    sync_pass = SyncPass.objects.create(
        name="accounts", title="Accounts", crm=box.sync_pass.crm, peer=box.sync_pass.peer, mapping=made, is_on=True
    )
    RecordType.objects.create(sync_pass=sync_pass, crm_object="Account", peer_object="account", mapping=made, order=0, outbound_create=True)
    box.sync_pass = SyncPass.objects.select_related("crm", "peer", "mapping").get(pk=sync_pass.pk)
    return box

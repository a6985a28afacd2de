"""A sandbox in process, connected: the real engine and the real connectors over a transport adapter."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any

from connectors.sandbox.transport import SandboxAdapter, base_url
from connectors.sandbox.world import World
from reconciliation.engine.connections import open_connector, open_http
from reconciliation.engine.context import Order
from reconciliation.engine.runner import run_pass
from reconciliation.engine.wiring import Switches, Wiring
from reconciliation.models import Connection, RecordType, Run, SyncPass
from reconciliation.services.set_up import connect_sandbox, organisations_pass

SYNC, ERROR = "cf_organisation_sync_to_outreach", "cf_organisation_outreach_sync_error"
DUPLICATE, PEER_ID, PEER_URL = (
    "cf_organisation_outreach_duplicate",
    "cf_organisation_outreach_id",
    "cf_organisation_outreach_url",
)


class Clock:
    """A clock that moves when told."""

    def __init__(self, at: datetime | None = None) -> None:
        self.at = at or datetime(2026, 3, 2, 9, 0, tzinfo=UTC)

    def __call__(self) -> datetime:
        return self.at

    def seconds(self) -> float:
        return self.at.timestamp()

    def forward(self, seconds: float) -> None:
        self.at += timedelta(seconds=seconds)


@dataclass
class Sandboxed:
    """A world, the pass over it, and what a test does with both."""

    world: World
    clock: Clock
    sync_pass: SyncPass
    wiring: Wiring

    def run(self, *, forward: float = 60, **order: Any) -> Run:
        """Lets time pass and runs the pass once."""
        self.clock.forward(forward)
        return run_pass(self.sync_pass, Order(**order), self.wiring)

    def organisation(self, name: str, **values: Any) -> int:
        made = self.world.workbooks.create_record("organisations", {"name": name, SYNC: True, **values})
        return int(made["id"])

    def show(self, id_: int) -> dict[str, Any]:
        return self.world.workbooks.get_record("organisations", id_) or {}

    def edit(self, id_: int, **values: Any) -> None:
        self.world.workbooks.update_record("organisations", id_, values)

    def accounts(self, name: str | None = None) -> list[dict[str, Any]]:
        return [a for a in self.world.outreach.list_records("accounts") if name is None or a["name"] == name]

    def calls(self) -> dict[str, int]:
        """Returns the calls since the last look, per "METHOD /template", over both systems."""
        total: Counter[str] = Counter()
        for counts in self.world.counts.values():
            total.update(counts)
        self.world.forget_calls()
        return dict(total)


def _as_if_real(description: dict[str, Any]) -> SyncPass:
    rows = []
    for system, name, settle in (("workbooks", "Workbooks", 0), ("outreach", "Outreach", 2)):
        given = description[system]
        path = {"workbooks": "organisations", "outreach": "accounts"}[system]
        secrets = {k: given[k] for k in ("api_key", "access_token", "client_id", "client_secret", "refresh_token") if k in given}
        values = {"base_url": given["base_url"], "page_address_template": f"{given['web_url']}/{path}/{{id}}", "settle_seconds": settle}
        own = {"database_id": given["database_id"]} if "database_id" in given else {}
        rows.append(Connection.objects.create(name=name, system=system, secrets=secrets, settings=own, **values))
    return organisations_pass(*rows)


def make(
    scenario: str = "empty",
    *,
    seed: int = 1,
    switches: Switches | None = None,
    is_real: bool = False,
    at: datetime | None = None,
    with_salesforce: bool = False,
) -> Sandboxed:
    """Returns a connected sandbox whose clock stands still, at `at`, until a run moves it. With `is_real` the application
    takes it for the systems of a company; with `with_salesforce` Salesforce and its passes are connected, too."""
    clock = Clock(at)
    world = World(scenario=scenario, seed=seed, now=clock)
    adapter = SandboxAdapter(world)
    description: dict[str, Any] = {"world_id": world.world_id}
    for name, system in world.systems.items():
        if name in ("microsoft", "google") or name == "salesforce" and not with_salesforce:
            continue  # mailboxes are connected by `tests.boxes`
        description[name] = {"base_url": base_url(name), "web_url": f"http://127.0.0.1:8900/browse/{name}", **system.credentials()}
    sync_pass = _as_if_real(description) if is_real else connect_sandbox(description)[0]
    sync_pass.last_run_time = clock.at
    sync_pass.save()
    for model in (SyncPass, RecordType):
        model.objects.update(last_run_time=clock.at)

    def connect(connection: Any, **options: Any) -> Any:
        return open_connector(connection, adapter=adapter, db_now=clock, now=clock, clock=clock.seconds, sleep=clock.forward, **options)

    def dial(connection: Any, **options: Any) -> Any:
        return open_http(connection, adapter=adapter, clock=clock.seconds, sleep=clock.forward, **options)

    clocks = {"now": clock, "monotonic": clock.seconds, "db_now": clock, "sleep": clock.forward}
    wiring = Wiring(**clocks, open_connector=connect, workers=0, switches=switches or Switches())
    return Sandboxed(world, clock, sync_pass, replace(wiring, open_http=dial))

"""One seeded history: users edit both systems before and during passes while calls fail, answers vanish and the process
is killed; then everything calms down and the invariants of goals.md are checked against what the systems hold.

The engine, the connectors and the sandbox are the real ones; only the clock, the wire (in process) and death are ours.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

from django.db import connection, transaction

from connectors.sandbox.transport import SandboxAdapter
from reconciliation.core.values import normalise_name
from reconciliation.engine.connections import open_connector
from reconciliation.engine.lease import LeaseHeld
from reconciliation.engine.wiring import Switches
from reconciliation.models import Operation, PassLease, Run, SyncPass
from tests.sandboxed import DUPLICATE, ERROR, PEER_ID, SYNC, Sandboxed, make

FIELDS = {
    "industry": "industry",
    "main_location[town]": "locality",
    "organisation_num_employees": "numberOfEmployees",
    "website": "websiteUrl",
}
OWNERS = {"Priya_Nair": 1, "Tom_Becker": 2, "tom_becker": None, "Nobody": None}
MOST_QUIET_RUNS = 12


class Killed(BaseException):
    """SIGKILL: nothing of ours runs after it."""


@dataclass
class Plan:
    """When the next thing goes wrong: at which call, how; or at which statement the process dies."""

    at_call: int = -1
    what: str = ""
    at_statement: int = -1


class FaultyAdapter(SandboxAdapter):
    """The wire: carries calls to the world, lets users act in between, and fails as planned."""

    def __init__(self, history: History) -> None:
        super().__init__(history.box.world)
        self._history = history

    def send(self, request: Any, **options: Any) -> Any:
        history = self._history
        history.calls += 1
        history.box.clock.forward(history.rng.choice((0.0, 0.1, 0.4, 1.1)))
        if history.is_stormy and history.rng.random() < 0.06:
            history.user_acts()
        planned = history.plan.what if history.calls == history.plan.at_call else ""
        self._history.is_dead = planned == "kill before"
        if self._history.is_dead:
            raise Killed
        response = super().send(request, **options)
        if planned == "kill after":
            self._history.is_dead = True
            raise Killed
        return response


@dataclass
class History:
    """One world and what has been done to it. `violations` says what broke."""

    seed: int
    switches: Switches = field(default_factory=Switches)

    def __post_init__(self) -> None:
        self.rng = random.Random(self.seed)
        self.box: Sandboxed = make(seed=self.seed, switches=self.switches)
        self.plan = Plan()
        self.calls = 0
        self.statements = 0
        self.is_stormy = True
        self.is_dead = False
        self.lag = self.rng.choice((0, 0, 3, 10, 25))  # how long Outreach's searches miss what was just written
        self.names = 0
        self.collisions: set[str] = set()
        self.refusals = 0
        self.violations: list[str] = []
        self.log: list[str] = []
        adapter = FaultyAdapter(self)
        clock = self.box.clock
        clock.forward(3600)  # the world is older than any index lag

        def connect(row: Any, **options: Any) -> Any:
            return open_connector(
                row, adapter=adapter, db_now=clock, clock=clock.seconds, sleep=clock.forward, jitter=self.rng.random, **options
            )

        self.box.wiring = self.box.wiring.__class__(
            now=clock, monotonic=clock.seconds, db_now=clock, open_connector=connect, workers=0, switches=self.switches
        )
        self._watch_writes()

    # --- users -------------------------------------------------------------------------------------------------------
    def new_name(self) -> str:
        self.names += 1
        return f"Company {self.names} {self.rng.choice(('Ltd', 'GmbH, & Co', 'Söhne', '北京', 'O’Brien', 'a..b'))}"

    def user_acts(self) -> None:
        act = self.rng.choice(
            (
                self._add,
                self._add,
                self._edit,
                self._edit,
                self._edit,
                self._add_twin,
                self._add_taken,
                self._note,
                self._untick,
                self._tick,
            )
        )
        act()

    def _add(self, name: str = "") -> None:
        values: dict[str, Any] = {f: self._value(f) for f in self.rng.sample(list(FIELDS), 2)}
        name = name or self.new_name()
        id_ = self.box.organisation(name, assigned_to_name=self.rng.choice(list(OWNERS)), **values)
        self.log.append(f"add {id_} {name}")
        if self.rng.random() < 0.3:
            self._person(id_)

    def _person(self, organisation: int) -> None:
        email = f"p{self.rng.randrange(10**9)}@x.example"
        # Older than any index lag: a prospect that searches do not show yet is no prospect yet (D4).
        made = (self.box.clock() - timedelta(hours=1)).isoformat()
        prospect = self.box.world.outreach.create_record("prospects", {"firstName": "P", "emails": [email], "updatedAt": made})
        values = {"name": "P", "employer_link": organisation, "main_location[email]": email, "cf_person_sync_to_outreach": True}
        if self.rng.random() < 0.5:
            values["cf_person_outreach_id"] = str(prospect["id"])
        self.box.world.workbooks.create_record("people", values)

    def _value(self, name: str) -> Any:
        n = self.rng.randrange(1000)
        return n if name == "organisation_num_employees" else f"https://w{n}.example" if name == "website" else f"value {n}"

    def _living(self) -> list[dict[str, Any]]:
        return [r for r in self.box.world.workbooks.tables["organisations"].rows.values() if not r["is_deleted"]]

    def _edit(self) -> None:
        rows = self._living()
        if rows:
            id_ = self.rng.choice(rows)["id"]
            name = self.rng.choice(list(FIELDS))
            value = self._value(name)
            self.log.append(f"edit {id_} {name}={value}")
            self.box.edit(id_, **{name: value})

    def _add_twin(self) -> None:
        rows = [r for r in self._living() if not r.get(PEER_ID)]
        if rows and self.rng.random() < 0.5:
            name = str(self.rng.choice(rows)["name"])
            self.collisions.add(normalise_name(name))
            self._add(name.upper() if self.rng.random() < 0.5 and "ß" not in name else name)

    def _add_taken(self) -> None:
        if self.rng.random() < 0.5:
            name = self.new_name()
            self.collisions.add(normalise_name(name))
            self.box.world.outreach.create_record("accounts", {"name": name})
            self._add(name)

    def _note(self) -> None:
        accounts = self.box.accounts()
        if accounts:
            self.box.world.outreach.update_record("accounts", self.rng.choice(accounts)["id"], {"description": f"note {self.rng.random()}"})

    def _untick(self) -> None:
        rows = self._living()
        if rows and self.rng.random() < 0.4:
            self.box.edit(self.rng.choice(rows)["id"], **{SYNC: False})

    def _tick(self) -> None:
        for row in self._living():
            if not row.get(SYNC):
                self.box.edit(row["id"], **{SYNC: True})

    # --- trouble -----------------------------------------------------------------------------------------------------
    def plan_trouble(self) -> None:
        """Decides what goes wrong in the coming run: nothing, a fault on the wire, or a kill."""
        world, rng = self.box.world, self.rng
        world.faults.clear()
        self.plan = Plan()
        if self.lag:
            world.faults.add({"kind": "index_lag", "system": "outreach", "seconds": self.lag})
        for _ in range(rng.choice((0, 1, 1, 2))):
            self._add_fault()
        if rng.random() < 0.45:
            self.plan = Plan(self.calls + rng.randint(1, 14), rng.choice(("kill before", "kill after", "kill after")))
        elif rng.random() < 0.4:
            self.plan = Plan(at_statement=self.statements + rng.randint(5, 150))

    def _add_fault(self) -> None:
        rng = self.rng
        kind = rng.choice(("lost_answer", "lost_answer", "drop", "truncate", "html", "status", "status", "expire_token"))
        fault: dict[str, Any] = {
            "kind": kind,
            "system": rng.choice(("outreach", "outreach", "workbooks")),
            "probability": rng.choice((0.1, 0.3, 1)),
        }
        fault["times"] = rng.choice((1, 1, 2, 4))
        if kind == "status":
            status = rng.choice((429, 500, 502, 503, 503))
            fault["status"] = status
            if status == 429:
                fault["retry_after"] = rng.choice((1, 5, 40))
        if fault["system"] == "outreach" and rng.random() < 0.12:
            fault = {"kind": "status", "status": 422, "system": "outreach", "method": "POST", "path": "/api/v2/accounts", "times": 1}
            self.refusals += 1
        self.box.world.faults.add(fault)

    def _count_statement(self, execute: Callable[..., Any], sql: str, params: Any, many: bool, context: Any) -> Any:
        self.statements += 1
        if self.statements == self.plan.at_statement:
            self.is_dead = True
        if self.is_dead and not sql.startswith(("ROLLBACK", "RELEASE")):
            raise Killed  # nothing of ours runs after a kill, `finally` blocks neither
        return execute(sql, params, many, context)

    def run(self) -> Run | None:
        """Runs the pass once; a kill leaves its lease behind, as a dead process does."""
        self.box.sync_pass = SyncPass.objects.select_related("crm", "peer", "mapping").get(pk=self.box.sync_pass.pk)
        leases = list(PassLease.objects.values_list("name", "token"))
        try:
            with connection.execute_wrapper(self._count_statement):
                run = self.box.run(forward=0)
        except Killed:
            self.is_dead = False
            self.log.append(f"killed at call {self.calls}, statement {self.statements}")
            # Statements outside our own transactions commit by themselves in production; here they share the history's.
            transaction.set_rollback(False)
            # `finally` blocks ran although a killed process runs none: the lease is held again until it expires.
            PassLease.objects.filter(name__in=[n for n, _ in leases]).update(holder="dead", expires_at=self.box.clock())
            self.box.clock.forward(self.rng.choice((5, 91)))
            return None
        except LeaseHeld:
            self.box.clock.forward(60)
            return None
        self.log.append(f"run {run.state} {run.as_dict()}")
        return run

    # --- the story -----------------------------------------------------------------------------------------------------
    def play(self) -> list[str]:
        """Plays the history and returns what it broke, an empty list when all invariants held."""
        for _ in range(self.rng.randint(1, 4)):
            self._add()
        for _ in range(self.rng.randint(2, 6)):
            if self.rng.random() < 0.7:
                self.user_acts()
            self.plan_trouble()
            self.run()
            self.box.clock.forward(self.rng.choice((1, 10, 45, 60, 200, 400)))
        self._calm_down()
        return self.violations

    def _calm_down(self) -> None:
        self.is_stormy, self.plan = False, Plan()
        self.box.world.faults.clear()
        self._tick()
        self.box.clock.forward(400)
        for _ in range(MOST_QUIET_RUNS):
            self._reset_flags()
            run = self.run()
            self.box.clock.forward(200)
            if run is not None and run.state == "failed":
                self.violations.append(f"the run failed: {run.note}")
            if run is not None and run.seen == 0 and run.held == 0 and run.state == "finished":
                break
        else:
            self.violations.append("I4: the passes never became quiet")
        self._check_ends()
        self._check_quiet()
        self._check_echo()
        self._check_gate()

    def _reset_flags(self) -> None:
        """A person resets every error flag; without a refused record there must be none (D24)."""
        flagged = [r for r in self._living() if r.get(ERROR)]
        if flagged and not self.refusals:
            self.violations.append(f"I9: {len(flagged)} organisations carry the error flag although no record was refused")
        for row in flagged:
            self.box.edit(row["id"], **{ERROR: False})

    # --- invariants ------------------------------------------------------------------------------------------------------
    def _watch_writes(self) -> None:
        """I2: no write of ours carries a value that the account already has."""
        system = self.box.world.outreach
        update = system._update

        def watched(resource: Any, id_: int, values: dict[str, Any], *, is_user: bool = False) -> Any:
            before = system.tables[resource.collection].records[id_]
            same = [n for n, v in values.items() if n in before and before[n] == v]
            if same and not is_user:
                self.violations.append(f"I2: {resource.type} {id_} was sent {same} unchanged")
            return update(resource, id_, values, is_user=is_user)

        system._update = watched  # type: ignore[method-assign]

    def _check_ends(self) -> None:
        accounts = {str(a["id"]): a for a in self.box.accounts()}
        ours: dict[str, list[str]] = {}
        for id_, account in accounts.items():
            if account.get("customId"):
                ours.setdefault(account["customId"], []).append(id_)
        self.violations += [f"I3: {len(ids)} accounts for {key}" for key, ids in ours.items() if len(ids) > 1]
        made = [normalise_name(a["name"]) for a in accounts.values() if a.get("customId")]
        self.violations += [f"D20: {made.count(n)} accounts were made for {n!r}" for n in set(made) if made.count(n) > 1]
        for row in self._living():
            self._check_organisation(row, accounts)
        journalled = set(Operation.objects.filter(kind="create", state="confirmed").values_list("target_id", flat=True))
        missing = [i for ids in ours.values() for i in ids if i not in journalled]
        if missing and not self.switches.keeps_no_intent:
            self.violations.append(f"I13: accounts {missing} have no confirmed journal row")

    def _check_organisation(self, row: dict[str, Any], accounts: dict[str, dict[str, Any]]) -> None:
        id_, name = row["id"], row["name"]
        if row.get(DUPLICATE):
            if normalise_name(name) not in self.collisions:
                self.violations.append(f"D19: {id_} {name!r} is flagged duplicate although nobody else has its name")
            return
        if row.get(ERROR):
            self.violations.append(f"I9: {id_} still carries the error flag")
            return
        account = accounts.get(str(row.get(PEER_ID) or ""))
        if account is None:
            self.violations.append(f"I4: {id_} {name!r} has no account (Id {row.get(PEER_ID)!r})")
            return
        if account.get("customId") != f"wb-3-{id_}":
            self.violations.append(f"I3: {id_} points to an account of {account.get('customId')}")
        for crm, peer in FIELDS.items():
            if row.get(crm) is not None and account.get(peer) != row[crm]:
                self.violations.append(f"I1: {id_} {crm} is {row[crm]!r} there and {account.get(peer)!r} here")
        if account.get("owner") != OWNERS.get(str(row.get("assigned_to_name"))):
            self.violations.append(f"S0.24: {id_} has owner {account.get('owner')}")
        self._check_people(row, account)

    def _check_people(self, row: dict[str, Any], account: dict[str, Any]) -> None:
        prospects = self.box.world.outreach.tables["prospects"]
        for person in self.box.world.workbooks.tables["people"].rows.values():
            if person.get("employer_link") != row["id"]:
                continue
            found = prospects.having("emails", [person["main_location[email]"]]) or set()
            if not found or any(prospects.records[i].get("account") != account["id"] for i in found):
                self.violations.append(f"S0.19: a prospect of {row['id']} hangs on another account")

    def _check_quiet(self) -> None:
        """I5: a pass with nothing new is one read of Workbooks and nothing else."""
        self.box.calls()
        self.box.clock.forward(400)
        self.run()
        calls = self.box.calls()
        if calls != {"GET /crm/organisations.api": 1}:
            self.violations.append(f"I5: a quiet pass made {calls}")

    def _check_echo(self) -> None:
        """I5: our own write comes back as one read, without a call to Outreach (C2)."""
        rows = [r for r in self._living() if r.get(PEER_ID) and not r.get(DUPLICATE)]
        if not rows:
            return
        self.box.edit(self.rng.choice(rows)["id"], industry=f"echo {self.seed}")
        self.run()
        self.box.calls()
        self.run()
        calls = self.box.calls()
        if calls != {"GET /crm/organisations.api": 1}:
            self.violations.append(f"I5: an echo made {calls}")

    def _check_gate(self) -> None:
        """I9: a flagged organisation is not touched, however it is edited."""
        rows = [r for r in self._living() if r.get(PEER_ID)]
        if not rows:
            return
        row = self.rng.choice(rows)
        before = dict(self.box.world.outreach.tables["accounts"].records[int(row[PEER_ID])])
        self.box.edit(row["id"], **{ERROR: True, "industry": "while flagged"})
        self.run()
        if self.box.world.outreach.tables["accounts"].records[int(row[PEER_ID])] != before:
            self.violations.append("I9: a flagged organisation was sent")

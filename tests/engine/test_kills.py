"""Real processes killed with SIGKILL at every call site, before the effect, after it, and before it is settled.

The sandbox holds the call (`pause`), the process dies, another run recovers; then exactly one account exists for every
organisation, no false duplicate, and Id and URL are written back. Twenty kills in `make test`; ACCEPT=1 makes a hundred.
"""

from __future__ import annotations

import json
import os
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import requests

ROOT = Path(__file__).resolve().parents[2]
SITES = (
    ("workbooks", "GET", "/crm/organisations.api"),
    ("outreach", "GET", "/api/v2/users"),
    ("outreach", "GET", "/api/v2/accounts"),
    ("outreach", "POST", "/api/v2/accounts"),
    ("workbooks", "PUT", "/crm/organisations.api"),
    ("workbooks", "GET", "/crm/people.api"),
    ("outreach", "GET", "/api/v2/prospects"),
    ("outreach", "PATCH", "/api/v2/prospects/{id}"),
    ("outreach", "PATCH", "/api/v2/accounts/{id}"),
)
MOMENTS = ("before the effect", "before the answer", "before it is settled")
WRITES = {"POST", "PUT", "PATCH"}
CELLS = [(site, moment) for site in SITES for moment in MOMENTS if site[1] in WRITES or moment != "before it is settled"]
ROUNDS = 6 if os.environ.get("ACCEPT") else 1


class Database:
    """The engine's database, as a bystander reaches it: time is moved and locks are held here."""

    def __init__(self, url: str) -> None:
        self.url = url

    def connect(self) -> Any:
        if self.url.startswith("sqlite"):
            return sqlite3.connect(self.url.removeprefix("sqlite:///"), isolation_level=None, timeout=30)
        import psycopg

        return psycopg.connect(self.url, autocommit=True)

    def execute(self, *statements: str) -> None:
        with self.connect() as connection:
            for statement in statements:
                connection.execute(statement)

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Holds every write of the engine up."""
        connection = self.connect()
        try:
            if self.url.startswith("sqlite"):
                connection.execute("BEGIN IMMEDIATE")
            else:
                connection.execute("BEGIN")
                connection.execute("LOCK TABLE reconciliation_operation IN ACCESS EXCLUSIVE MODE")
            yield
            connection.execute("ROLLBACK")
        finally:
            connection.close()

    def let_time_pass(self) -> None:
        """The dead holder's lease ends, and settle times are over."""
        self.execute(
            "UPDATE reconciliation_passlease SET expires_at = NULL",
            "UPDATE reconciliation_operation SET sent_at = '2001-01-01 00:00:00+00:00' WHERE state = 'sent'",
            "UPDATE reconciliation_connection SET token_lock_until = NULL",
        )


class Bench:
    """A sandbox in a process of its own, a database, and runs in processes of their own."""

    def __init__(self, database: Database, environment: dict[str, str]) -> None:
        self.database = database
        self.environment = environment
        self.session = requests.Session()
        self.session.trust_env = False
        self.manage("migrate", "-v", "0")
        self.sandbox = subprocess.Popen(
            [sys.executable, "manage.py", "sandbox", "--port", "0", "--scenario", "empty"],
            cwd=ROOT,
            env=environment,
            stdout=subprocess.PIPE,
            text=True,
        )
        assert self.sandbox.stdout is not None
        self.control = json.loads(self.sandbox.stdout.readline())["control"]
        self.manage("connect_sandbox", "--url", self.control)
        self.names = 0

    def close(self) -> None:
        self.sandbox.terminate()
        self.sandbox.wait(60)

    def manage(self, *arguments: str) -> str:
        done = subprocess.run(
            [sys.executable, "manage.py", *arguments], cwd=ROOT, env=self.environment, capture_output=True, text=True, timeout=300
        )
        assert done.returncode in (0, 1), done.stderr
        return done.stdout

    def start(self) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [sys.executable, "manage.py", "runpass", "organisations", "--json"],
            cwd=ROOT,
            env=self.environment,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            text=True,
        )

    def call(self, method: str, path: str, body: Any = None) -> Any:
        answer = self.session.request(method, self.control + path, json=body, timeout=30, headers={"Accept": "application/json"})
        assert answer.status_code == 200, answer.text
        return answer.json()

    def add_work(self) -> None:
        """One new organisation with a person whose prospect hangs elsewhere, and an edit of one that is bound."""
        self.names += 1
        name = f"Company {self.names}"
        values = {"name": name, "cf_organisation_sync_to_outreach": True, "assigned_to_name": f"Somebody {self.names}"}
        made = self.call("POST", "/records/workbooks/organisations", values)
        email = f"p{self.names}@x.example"
        self.call("POST", "/records/outreach/prospects", {"firstName": "P", "emails": [email]})
        person = {"name": "P", "employer_link": made["id"], "main_location[email]": email, "cf_person_sync_to_outreach": True}
        self.call("POST", "/records/workbooks/people", person)
        if self.names > 1:
            edited = self.call("GET", "/records/workbooks/organisations/1")["id"]
            self.call("PATCH", f"/records/workbooks/organisations/{edited}", {"industry": f"Edit {self.names}"})

    def kill_at(self, site: tuple[str, str, str], moment: str) -> bool:
        """Runs the pass and kills it at the first call of the site. Returns whether the call came."""
        system, method, path = site
        fault = {"system": system, "method": method, "path": path, "kind": "pause", "times": 1, "before": moment == MOMENTS[0]}
        self.call("DELETE", "/calls")
        fault_id = self.call("POST", "/faults", fault)["id"]
        process = self.start()
        came = wait_for(lambda: self._has_hit(fault_id) or process.poll() is not None) and self._has_hit(fault_id)
        if came and moment == MOMENTS[2]:
            with self.database.locked():
                self.call("POST", "/faults/release")
                time.sleep(0.3)
                process.send_signal(signal.SIGKILL)
                process.wait(60)
        else:
            process.send_signal(signal.SIGKILL)
            process.wait(60)
        self.call("DELETE", "/faults")
        return came

    def _has_hit(self, fault_id: int) -> bool:
        return any(f["id"] == fault_id and f["hits"] for f in self.call("GET", "/faults")["faults"])

    def settle(self) -> None:
        """Runs the pass until nothing is left."""
        for _ in range(6):
            self.database.let_time_pass()
            ledger = json.loads(self.manage("runpass", "organisations", "--json") or "{}")
            if ledger.get("state") == "finished" and not ledger["held"] and not ledger["created"] and not ledger["updated"]:
                return
        raise AssertionError(f"the passes never became quiet: {ledger}")

    def check(self, where: str) -> None:
        organisations = self.call("GET", "/records/workbooks/organisations")["records"]
        accounts = self.call("GET", "/records/outreach/accounts")["records"]
        prospects = self.call("GET", "/records/outreach/prospects")["records"]
        by_key: dict[str, list[dict[str, Any]]] = {}
        for account in accounts:
            by_key.setdefault(account["customId"], []).append(account)
        for organisation in organisations:
            mine = by_key.get(f"wb-3-{organisation['id']}", [])
            assert len(mine) == 1, f"{where}: {len(mine)} accounts of {organisation['name']}"
            assert organisation["cf_organisation_outreach_id"] == str(mine[0]["id"]), f"{where}: no Id written back"
            assert organisation["cf_organisation_outreach_url"], where
            assert not organisation["cf_organisation_outreach_duplicate"], f"{where}: a false duplicate"
            assert not organisation["cf_organisation_outreach_sync_error"], f"{where}: a false error"
            assert mine[0].get("industry") == (organisation["industry"] or None), f"{where}: an edit was lost"
        own = {a["id"] for a in accounts}
        assert all(p.get("account") in own for p in prospects), f"{where}: a prospect hangs nowhere"


def wait_for(condition: Callable[[], bool], seconds: float = 120) -> bool:
    ends = time.monotonic() + seconds
    while time.monotonic() < ends:
        if condition():
            return True
        time.sleep(0.02)
    return False


def databases(tmp_path: Path) -> list[str]:
    from django.conf import settings

    if settings.DATABASES["default"]["ENGINE"] == "django.db.backends.sqlite3":
        return [f"sqlite:///{tmp_path}/kills.sqlite3"]
    return [os.environ["DATABASE_URL"]]


@pytest.fixture(scope="module")
def bench(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bench]:
    """One for all tests: each brings work of its own, and what is there already has to stay right."""
    url = databases(tmp_path_factory.mktemp("kills"))[0]
    with fresh_database(url) as own:
        bench = Bench(Database(own), {**os.environ, "DATABASE_URL": own, "LOG_LEVEL": "ERROR"})
        try:
            yield bench
        finally:
            bench.close()


@contextmanager
def fresh_database(url: str) -> Iterator[str]:
    """Yields a database of our own: a new SQLite file, or a new database on the PostgreSQL server."""
    if url.startswith("sqlite"):
        yield url
        return
    import psycopg

    name = f"kills_{os.getpid()}"
    base, _, _ = url.rpartition("/")
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name}")
    try:
        yield f"{base}/{name}"
    finally:
        with psycopg.connect(url, autocommit=True) as connection:
            connection.execute(f"DROP DATABASE {name} WITH (FORCE)")


@pytest.mark.both_databases
def test_a_killed_process_leaves_one_account_no_false_duplicate_and_no_lost_write_back(bench: Bench) -> None:
    bench.add_work()
    bench.settle()
    killed = 0
    for _ in range(ROUNDS):
        for site, moment in CELLS:
            bench.add_work()
            killed += bench.kill_at(site, moment)
            bench.settle()
            bench.check(f"{site} {moment}")

    assert killed >= len(CELLS) * ROUNDS * 0.9, f"only {killed} of {len(CELLS) * ROUNDS} calls came"


@pytest.mark.both_databases
@pytest.mark.parametrize("site", [s for s in SITES if s[1] in WRITES])
def test_a_holder_frozen_beyond_its_lease_writes_nothing_more(bench: Bench, site: tuple[str, str, str]) -> None:
    bench.add_work()
    bench.settle()
    bench.add_work()
    system, method, path = site
    fault = bench.call("POST", "/faults", {"system": system, "method": method, "path": path, "kind": "pause", "times": 1})
    frozen = bench.start()
    assert wait_for(lambda: bench._has_hit(fault["id"]))
    frozen.send_signal(signal.SIGSTOP)
    bench.call("POST", "/faults/release")
    bench.settle()
    before = bench.call("GET", "/calls")["counts"]

    frozen.send_signal(signal.SIGCONT)
    frozen.wait(120)

    after = bench.call("GET", "/calls")["counts"]
    written = {k: n for s in after for k, n in after[s].items() if not k.startswith("GET") and n != before[s].get(k)}
    assert written == {}, "the frozen holder went on writing"
    bench.settle()
    bench.check(f"frozen at {site}")

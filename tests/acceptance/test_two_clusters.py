"""Two clusters on one PostgreSQL with Redis as broker, as two hosts would run: no two runs of the pass at a time, at most
one per tick, none late. Ten minutes in `make accept` (CLUSTER_MINUTES says otherwise); it prints the jitter it saw."""

from __future__ import annotations

import json
import os
import secrets
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit, urlunsplit

import pytest
import requests

ROOT = Path(__file__).resolve().parents[2]
TICK = timedelta(seconds=60)
LATEST = timedelta(seconds=35)  # the scheduler looks every 30 seconds
EVERY_SECONDS = 10
SETTLING = 12  # those of the last two minutes may not have had their run yet

pytestmark = pytest.mark.slow


@pytest.fixture
def environment(tmp_path: Path) -> Iterator[dict[str, str]]:
    """A database of its own and a Redis, as TEST_DATABASE_URL and TEST_REDIS_URL name them."""
    import psycopg

    base, redis = os.environ.get("TEST_DATABASE_URL", ""), os.environ.get("TEST_REDIS_URL", "")
    if not base or not redis:
        pytest.fail("make accept needs TEST_DATABASE_URL and TEST_REDIS_URL")
    name = f"clusters_{secrets.token_hex(4)}"
    with psycopg.connect(base, autocommit=True) as connection:
        connection.execute(f'CREATE DATABASE "{name}"')
    url = urlunsplit(urlsplit(base)._replace(path=f"/{name}"))
    yield {**os.environ, "DATABASE_URL": url, "REDIS_URL": redis, "ENV_FILE": "", "LOG_LEVEL": "WARNING", "PYTHONPATH": str(ROOT)}
    with psycopg.connect(base, autocommit=True) as connection:
        connection.execute(f'DROP DATABASE "{name}" WITH (FORCE)')


def manage(environment: dict[str, str], *arguments: str) -> None:
    subprocess.run([sys.executable, "manage.py", *arguments], cwd=ROOT, env=environment, check=True, timeout=180)


def start(environment: dict[str, str], *arguments: str, **options: Any) -> subprocess.Popen[str]:
    return subprocess.Popen([sys.executable, "manage.py", *arguments], cwd=ROOT, env=environment, text=True, **options)


def runs_of(url: str) -> list[tuple[datetime, datetime, str, int]]:
    import psycopg

    with psycopg.connect(url) as connection:
        columns, mine = "started_at, ended_at, state, seen", "SELECT id FROM reconciliation_syncpass WHERE name = 'organisations'"
        asked = f"SELECT {columns} FROM reconciliation_run WHERE sync_pass_id = ({mine}) ORDER BY started_at"
        rows = connection.execute(asked).fetchall()
    return [(a, b, state, seen) for a, b, state, seen in rows if b is not None]


def test_two_clusters_run_the_pass_once_a_minute_and_never_twice_at_a_time(environment: dict[str, str]) -> None:
    minutes = float(os.environ.get("CLUSTER_MINUTES", "10"))
    manage(environment, "migrate", "-v", "0")
    session = requests.Session()
    session.trust_env = False
    started = [start(environment, "sandbox", "--port", "0", "--scenario", "empty", stdout=subprocess.PIPE)]
    try:
        assert started[0].stdout is not None
        control = json.loads(started[0].stdout.readline())["control"]
        manage(environment, "connect_sandbox", "--url", control)
        started += [start(environment, "qcluster") for _ in range(2)]
        made = _work(session, control, minutes)
        runs = runs_of(environment["DATABASE_URL"])
        accounts = session.get(f"{control}/records/outreach/accounts", timeout=30).json()["records"]
    finally:
        for process in reversed(started):
            process.terminate()
        for process in reversed(started):
            process.wait(60)

    starts = [run[0] for run in runs]
    late = [(b - a - TICK).total_seconds() for a, b in zip(starts, starts[1:], strict=False)]
    print(
        f"\n{len(runs)} runs in {minutes:g} minutes; after due: median {statistics.median(late):.1f} s, "
        f"latest {max(late):.1f} s, earliest {min(late):.1f} s"
    )
    assert len(runs) >= minutes - 1
    assert all(later[0] >= earlier[1] for earlier, later in zip(runs, runs[1:], strict=False)), "two runs overlapped"
    assert min(late) >= -30.5, "two runs in one tick"
    assert max(late) <= LATEST.total_seconds()
    assert {run[2] for run in runs} == {"finished"}
    names = [a["name"] for a in accounts]
    assert len(names) == len(set(names)) and set(made[:-SETTLING]) <= set(names) <= set(made)


def _work(session: requests.Session, control: str, minutes: float) -> list[str]:
    """Adds an organisation every ten seconds and returns their names, in order."""
    ends, made = time.monotonic() + minutes * 60, []
    while time.monotonic() < ends:
        name = f"Organisation {len(made) + 1}"
        values = {"name": name, "cf_organisation_sync_to_outreach": True}
        session.post(f"{control}/records/workbooks/organisations", json=values, timeout=30)
        made.append(name)
        time.sleep(EVERY_SECONDS)
    return made

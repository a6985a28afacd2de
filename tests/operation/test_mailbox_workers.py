"""Twenty mailboxes, a real queue in the database, a real cluster of two workers, and the systems over sockets."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path
from urllib.parse import quote

import pytest
from django.db import connection
from django_q.models import Failure, OrmQ, Schedule

from connectors.sandbox.server import SandboxServer
from connectors.sandbox.world import World
from reconciliation import jobs
from reconciliation.models import Connection, Mailbox, Run, SyncPass
from reconciliation.services.mailboxes import mailbox_add
from tests.boxes import Boxes, boxes

ROOT = Path(__file__).resolve().parents[2]
MAILBOXES = 20

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.both_databases]


def database_url() -> str:
    """Returns the address of the test's own database, for another process."""
    given = connection.settings_dict
    if connection.vendor == "sqlite":
        return f"sqlite:///{given['NAME']}"
    who = f"{quote(given['USER'])}:{quote(given['PASSWORD'])}@" if given["USER"] else ""
    return f"postgres://{who}{given['HOST'] or 'localhost'}:{given['PORT'] or 5432}/{given['NAME']}"


def connected(world: World) -> Boxes:
    """Returns the world's mailboxes, reached over sockets, twenty of them, each with a contact of its own to bring down."""
    box = boxes(world=world)
    for name in ("salesforce", "microsoft"):
        address = world.base_urls[name]
        Connection.objects.filter(system=name).update(base_url=address, login_url=address)
    peer = Connection.objects.get(system="microsoft")
    for n in range(MAILBOXES - len(box.passes)):
        address = f"p{n}@example.test"
        world.microsoft.create_record("user", {"mail": address})
        given = {"Username": address, "LastName": f"P{n}", "Email": address, "Alias": f"p{n}"}
        box.users[address] = str(world.salesforce.create_record("User", given)["Id"])
        mailbox_add(peer, address, None, crm_user_id=box.users[address])
    for number, owner in enumerate(box.users):
        box.contact(f"Lind {number}", f"bo{number}@acme.example", owner=owner)
    Mailbox.objects.update(settings={"contacts": True})
    SyncPass.objects.filter(pk=box.parent.pk).update(is_on=True)
    return box


def test_two_workers_carry_twenty_mailboxes_and_none_twice() -> None:
    """S1.2: one task per mailbox, any number of workers. Each task that ends puts the next one in the queue."""
    Schedule.objects.all().delete()  # nothing else is to run
    world = World(scenario="empty")
    server = SandboxServer(world, 0).start()
    cluster = None
    try:
        box = connected(world)
        world.faults.add({"kind": "latency", "ms": 60, "system": "microsoft"})  # so that two of them meet
        assert jobs.tick("contacts") == f"{MAILBOXES - 2} mailboxes new, 8 put in the queue"
        assert OrmQ.objects.count() == 8
        env = {**os.environ, "DATABASE_URL": database_url(), "PYTHONPATH": str(ROOT)}
        cluster = subprocess.Popen([sys.executable, "manage.py", "qcluster"], cwd=ROOT, env=env)
        ends = time.monotonic() + 120
        while (Run.objects.filter(ended_at__isnull=False).count() < MAILBOXES or OrmQ.objects.exists()) and time.monotonic() < ends:
            jobs.tick("contacts")  # two at a time put nothing there twice
            time.sleep(0.3)
    finally:
        if cluster is not None:
            cluster.terminate()
            cluster.wait(60)
        server.stop()

    runs = list(Run.objects.order_by("started_at").values_list("sync_pass__mailbox__address", "state", "created", "started_at", "ended_at"))
    assert sorted(run[0] for run in runs) == sorted(box.users) and len(runs) == MAILBOXES
    assert {run[1:3] for run in runs} == {("finished", 1)}
    assert not OrmQ.objects.exists() and not Failure.objects.exists()
    assert any(later[3] < earlier[4] for earlier, later in zip(runs, runs[1:], strict=False)), "the workers never worked side by side"
    assert all(len(box.folder(address)) == 1 for address in box.users)
    assert not SyncPass.objects.filter(parent=box.parent, queued_at__isnull=False).exists()

"""The web server killed in the middle of a stream of notices, with the sender that the played Graph has, and real sockets: everything
that was told is stored once (S4.43)."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import time
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import requests
from django.utils import timezone

from connectors.sandbox.server import SandboxServer
from connectors.sandbox.world import World
from reconciliation.engine.wiring import Wiring
from reconciliation.management.commands.serve import web_argv
from reconciliation.models import CalendarWatch, Connection, Mailbox, MeetingNotice, SyncPass
from reconciliation.services import watches
from tests.boxes import Boxes, boxes
from tests.operation.test_mailbox_workers import database_url

ROOT = Path(__file__).resolve().parents[2]
MEETING = {"subject": "Call", "start": "2026-12-01T10:00", "end": "2026-12-01T11:00", "attendees": ["bo@acme.example"]}
CHANGES = 60

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.both_databases]


def free_port() -> int:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        return int(taken.getsockname()[1])


def web(port: int, spool: Path) -> subprocess.Popen[bytes]:
    env = {**os.environ, "DATABASE_URL": database_url(), "PYTHONPATH": str(ROOT), "HOOK_SPOOL_DIR": str(spool)}
    env |= {"PORT": str(port), "SITE_URL": f"http://127.0.0.1:{port}"}
    return subprocess.Popen(web_argv(port), cwd=ROOT, env=env, start_new_session=True)


def wait_for(what: Callable[[], bool], seconds: float = 60) -> bool:
    ends = time.monotonic() + seconds
    while not what() and time.monotonic() < ends:
        time.sleep(0.05)
    return what()


def answers(port: int) -> bool:
    try:
        return requests.post(f"http://127.0.0.1:{port}/hooks/microsoft/?validationToken=x", timeout=5).text == "x"
    except requests.RequestException:
        return False


def calendars(world: World) -> Boxes:
    """Returns the world's mailboxes with a pass over calendars, reached over sockets."""
    box = boxes(world=world)
    for name in ("salesforce", "microsoft"):
        Connection.objects.filter(system=name).update(base_url=world.base_urls[name], login_url=world.base_urls[name])
    for row in SyncPass.objects.filter(parent=box.parent):
        SyncPass.objects.filter(pk=row.pk).update(name=f"events:{row.mailbox_id}", next_due_at=timezone.now() + timedelta(hours=1))
    SyncPass.objects.filter(pk=box.parent.pk).update(name="events", is_on=True)
    Mailbox.objects.update(settings={"events": True})
    return box


def test_notices_outlive_a_kill_of_the_web_server(settings: Any, tmp_path: Path) -> None:
    world, port, spool = World(scenario="empty"), free_port(), tmp_path / "hooks"
    settings.PUBLIC_URL, settings.HOOK_SPOOL = f"http://127.0.0.1:{port}", spool
    server = SandboxServer(world, 0).start()
    running = web(port, spool)
    try:
        box = calendars(world)
        assert wait_for(lambda: answers(port))
        assert watches.keep(timezone.now(), Wiring()) == "2 made"
        made = []
        for n in range(CHANGES):
            if n == CHANGES // 3:
                os.killpg(running.pid, signal.SIGKILL)
                running.wait(20)
            if n == CHANGES // 2:
                running = web(port, spool)
            made.append(_meet(world, n))
            time.sleep(0.05)
        ids = {row["immutableId"] for row in made}
        assert wait_for(lambda: _told() >= ids), len(_told())
    finally:
        os.killpg(running.pid, signal.SIGKILL)
        running.wait(20)
        server.stop()

    assert MeetingNotice.objects.filter(what="created").count() == CHANGES and not list(spool.glob("**/*.delivery"))
    child = SyncPass.objects.get(mailbox__address=box.mine)
    assert child.notices_told > child.notices_heard == 0 and child.next_due_at <= timezone.now()
    assert CalendarWatch.objects.filter(state="on").count() == 2


def _told() -> set[str]:
    return set(MeetingNotice.objects.filter(what="created").values_list("event_id", flat=True))


def _meet(world: World, n: int) -> dict[str, Any]:
    row = dict(world.microsoft.create_record("event", {**MEETING, "mailbox": "ann@example.test", "subject": f"Call {n}"}))
    world.keep()
    return row

"""Insta-sync under load (issue 6, acceptance 4; G15, G17): how long a change of a meeting in a mailbox takes to Salesforce.

`python tests/load/insta_sync.py [--mailboxes 200] [--rate 10] [--seconds 120] [--workers 2] [--database URL]` starts the sandbox, the
web server and a task cluster, lets Microsoft watch every calendar, changes meetings at random, kills the web server in the middle and
starts it again a few seconds later. Prints JSON: seconds from change to change (a change that a later one of the same meeting
overtook counts from its own moment), what was lost, the nearest two runs of one mailbox that notices forced, notices, runs, and how
fast notices were answered. Ends with 1 where something was lost or two runs came nearer than the spacing.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from itertools import pairwise
from typing import Any

from worlds import HTTP, ROOT, place

DOWN_FOR = 5.0  # seconds without a web server
LONGEST_WAIT = 600.0


def main() -> int:
    given = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name, default in (("mailboxes", 200), ("rate", 10), ("seconds", 120), ("workers", 2)):
        given.add_argument(f"--{name}", type=int, default=default)
    given.add_argument("--database", default="", help="a PostgreSQL of your own; else SQLite")
    told = _measure(given.parse_args())
    print(json.dumps(told, indent=1))
    return 1 if told["lost"] or told["nearest_runs_s"] < told["spacing_s"] else 0


def _measure(given: argparse.Namespace) -> dict[str, Any]:
    with place("empty") as it:
        port = _free_port()
        if given.database:
            it.env["DATABASE_URL"] = given.database
            _manage(it.env, "migrate", "-v", "0")
            _manage(it.env, "connect_sandbox", "--url", it.control)
        it.env.update(PORT=str(port), SITE_URL=f"http://127.0.0.1:{port}", ALLOWED_HOSTS="127.0.0.1", HOOK_SPOOL_DIR=f"{it.folder}/hooks")
        it.env.update(MAILBOX_CHANNELS=str(2 * given.workers))
        os.environ.update(it.env)
        sys.path.insert(0, str(ROOT))
        import django

        django.setup()
        load = Load(it.control, given)
        load.connect()
        with _running(it.env, port, given.workers) as web:
            load.wait_until("every calendar is watched", load.watched)
            load.wait_until("every meeting is in Salesforce", load.carried)
            load.change(web)
            load.wait_until("the last change is in Salesforce", load.settled)
        return load.figures()


class Load:
    """The mailboxes, one meeting in each, and when each of its changes was made and seen."""

    def __init__(self, control: str, given: argparse.Namespace) -> None:
        self.control, self.given = control, given
        self.meetings: dict[int, str] = {}  # mailbox -> its meeting
        self.made: dict[int, list[tuple[int, float]]] = {}  # mailbox -> (change, when)
        self.seen: dict[int, int] = {}  # mailbox -> the change that Salesforce shows
        self.delays: list[float] = []

    def connect(self) -> None:
        from reconciliation.models import Connection, SyncPass
        from reconciliation.services.mailboxes import mailbox_add, pass_over
        from reconciliation.services.set_up import events_pass

        sides = [Connection.objects.get(system=name, is_sandbox=True) for name in ("salesforce", "microsoft")]
        parent = events_pass(*sides)
        SyncPass.objects.exclude(pk=parent.pk).filter(parent=None).update(is_on=False)
        for n in range(self.given.mailboxes):
            address = f"box{n}@example.test"
            self._make("microsoft", "user", {"mail": address})
            user = self._make("salesforce", "User", {"Username": address, "LastName": f"Box {n}", "Email": address, "Alias": f"b{n}"})
            mailbox = mailbox_add(sides[1], address, None, crm_user_id=str(user["Id"]))
            mailbox.settings = {"events": True, "share_events": True}
            mailbox.save(update_fields=["settings"])
            pass_over(parent, mailbox)
        SyncPass.objects.filter(pk=parent.pk).update(is_on=True)
        for n in range(self.given.mailboxes):
            self.meetings[n] = str(self._make("microsoft", "event", _meeting(n))["id"])
            self.made[n] = [(0, time.monotonic())]

    def _make(self, system: str, kind: str, values: dict[str, Any]) -> dict[str, Any]:
        answer = HTTP.post(f"{self.control}/records/{system}/{kind}", json=values, timeout=60)
        answer.raise_for_status()
        return dict(answer.json())

    def watched(self) -> bool:
        from reconciliation.models import CalendarWatch

        return CalendarWatch.objects.filter(state="on").count() == self.given.mailboxes

    def look(self) -> None:
        """Notes what Salesforce shows now; every change up to it is over."""
        rows = HTTP.get(f"{self.control}/records/salesforce/Event", timeout=60).json()["records"]
        now = time.monotonic()
        for row in rows:
            _, box, change = (str(row.get("Subject") or "") + "  ").split(" ")[:3]
            if not box.isdigit() or not change.isdigit():
                continue
            if int(change) > self.seen.get(int(box), -1):
                self.delays += [now - at for number, at in self.made[int(box)] if self.seen.get(int(box), -1) < number <= int(change)]
                self.seen[int(box)] = int(change)

    def carried(self) -> bool:
        self.look()
        return len(self.seen) == self.given.mailboxes

    def settled(self) -> bool:
        self.look()
        return all(self.seen.get(n) == changes[-1][0] for n, changes in self.made.items())

    def change(self, web: Web) -> None:
        """Changes meetings at the rate that is asked for, and kills the web server in the middle."""
        self.delays.clear()
        lots, began, is_killed = random.Random(7), time.monotonic(), False
        for count in range(self.given.rate * self.given.seconds):
            due = began + count / self.given.rate
            time.sleep(max(0.0, due - time.monotonic()))
            n = lots.randrange(self.given.mailboxes)
            change = self.made[n][-1][0] + 1
            path = f"{self.control}/records/microsoft/event/{self.meetings[n]}"
            self.made[n].append((change, time.monotonic()))
            HTTP.patch(path, json={"subject": f"Call {n} {change}"}, timeout=60).raise_for_status()
            if count % max(self.given.rate // 2, 1) == 0:
                self.look()
            if not is_killed and count >= self.given.rate * self.given.seconds // 2:
                is_killed = web.kill()
            web.start_again(DOWN_FOR)

    def wait_until(self, what: str, is_so: Callable[[], bool]) -> None:
        began = time.monotonic()
        while not is_so():
            if time.monotonic() - began > LONGEST_WAIT:
                raise SystemExit(f"not within {LONGEST_WAIT:.0f} s: {what}")
            time.sleep(0.5)
        print(f"{what}: {time.monotonic() - began:.0f} s", file=sys.stderr)

    def figures(self) -> dict[str, Any]:
        from django.utils import timezone

        from reconciliation.core.insta_sync import quantile
        from reconciliation.engine import insta
        from reconciliation.models import MeetingNotice, Run
        from reconciliation.services.insta_sync import figures

        spacing = insta.spacing_of(insta.terms())
        runs = list(Run.objects.filter(started_by="insta-sync").order_by("sync_pass", "started_at").values_list("sync_pass", "started_at"))
        gaps = [b[1] - a[1] for a, b in pairwise(runs) if a[0] == b[0]]
        lost = sum(self.seen.get(n) != changes[-1][0] for n, changes in self.made.items())
        told = figures(timezone.now())
        return {
            "mailboxes": self.given.mailboxes,
            "changes": sum(len(changes) - 1 for changes in self.made.values()),
            "median_s": _rounded(quantile(self.delays, 0.5)),
            "p95_s": _rounded(quantile(self.delays, 0.95)),
            "longest_s": _rounded(max(self.delays, default=None)),
            "lost": lost,
            "spacing_s": spacing.total_seconds(),
            "nearest_runs_s": _rounded(min(gaps, default=timedelta(days=1)).total_seconds()),
            "forced_runs": len(runs),
            "notices": told.told,
            "merged": told.merged,
            "notices_waiting": told.waiting,
            "notice_to_run_median_s": _rounded(told.median_seconds),
            "notice_to_run_p95_s": _rounded(told.p95_seconds),
            "missed": MeetingNotice.objects.filter(what="missed").count(),
            "doubled_events": len(self._events()) - self.given.mailboxes,
        }

    def _events(self) -> list[dict[str, Any]]:
        rows = HTTP.get(f"{self.control}/records/salesforce/Event", timeout=60).json()["records"]
        return [row for row in rows if not row.get("IsDeleted")]


def _rounded(seconds: float | None) -> float | None:
    return None if seconds is None else round(seconds, 1)


def _meeting(n: int) -> dict[str, Any]:
    day = time.strftime("%Y-%m-%d", time.gmtime(time.time() + 5 * 86400))
    common = {"start": f"{day}T10:00", "end": f"{day}T11:00", "attendees": ["bo@acme.example"], "categories": ["Salesforce"]}
    return {"mailbox": f"box{n}@example.test", "subject": f"Call {n} 0", **common}


# --- the programs -------------------------------------------------------------------------------------------------------
class Web:
    """The web server, which can be killed and started again."""

    def __init__(self, env: dict[str, str], port: int) -> None:
        self._env, self._port = env, port
        self._killed_at: float | None = None
        self._process = self._start()

    def _start(self) -> subprocess.Popen[bytes]:
        from reconciliation.management.commands.serve import web_argv

        return subprocess.Popen(web_argv(self._port), cwd=ROOT, env=self._env, start_new_session=True)

    def kill(self) -> bool:
        self.stop()
        self._killed_at = time.monotonic()
        return True

    def start_again(self, after: float) -> None:
        if self._killed_at is not None and time.monotonic() - self._killed_at >= after:
            self._process, self._killed_at = self._start(), None

    def stop(self) -> None:
        if self._process.poll() is None:
            os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait(20)


@contextmanager
def _running(env: dict[str, str], port: int, workers: int) -> Iterator[Web]:
    web = Web(env, port)
    clusters = [subprocess.Popen([sys.executable, "manage.py", "qcluster"], cwd=ROOT, env=env) for _ in range(max(workers // 2, 1))]
    try:
        yield web
    finally:
        for cluster in clusters:
            cluster.terminate()
        for cluster in clusters:
            cluster.wait(120)
        web.stop()


def _manage(env: dict[str, str], *arguments: str) -> None:
    subprocess.run([sys.executable, "manage.py", *arguments], cwd=ROOT, env=env, check=True)


def _free_port() -> int:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        return int(taken.getsockname()[1])


if __name__ == "__main__":
    sys.exit(main())

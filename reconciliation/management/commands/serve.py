"""`manage.py serve`: web server and task cluster, with `--sandbox` the sandbox too, in the foreground until Ctrl-C."""

import fcntl
import signal
import socket
import subprocess
import sys
import urllib.error
import urllib.request
from argparse import ArgumentParser
from pathlib import Path
from typing import IO, Any

from django.conf import settings
from django.core.management.base import BaseCommand
from django.db import DatabaseError, close_old_connections
from django.utils import timezone

from reconciliation.engine.heartbeat import last_sign_of_life
from reconciliation.engine.supervisor import Program, Supervisor
from reconciliation.services.alert_watch import restart_note

MANAGE = [sys.executable, str(settings.BASE_DIR / "manage.py")]
START_SECONDS = 60
SANDBOX_PORTS_USED = 6  # control pages, Workbooks, Outreach, Salesforce, Microsoft, Google


class Command(BaseCommand):
    help = "Runs the web server and the task cluster (and the sandbox) in the foreground; Ctrl-C stops all of it."
    requires_system_checks = []

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--sandbox", action="store_true", help="run the sandbox of all systems too, and connect to it")
        parser.add_argument("--without-web", action="store_true", help="run the task cluster only: a worker host")
        parser.add_argument("--port", type=int, default=settings.PORT, help="port of the pages (setting PORT)")
        parser.add_argument(
            "--sandbox-port", type=int, default=settings.SANDBOX_PORT, help="first port of the sandbox (setting SANDBOX_PORT)"
        )

    def handle(self, *, sandbox: bool, without_web: bool, port: int, sandbox_port: int, **options: Any) -> None:
        lock = self.hold_lock()
        web_port = None if without_web else port
        self.refuse_taken_ports(port=web_port, sandbox_port=sandbox_port if sandbox else None)
        supervisor = Supervisor(say=self.say, restarted=remember_restart)
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, supervisor.ask_to_stop)
        trouble = None
        try:
            trouble = self.start(supervisor, sandbox=sandbox, port=web_port, sandbox_port=sandbox_port)
            if trouble is None and not supervisor.stopping.is_set():
                self.say(welcome(port=port, sandbox_port=sandbox_port if sandbox else None) if web_port else "The task cluster runs.")
                supervisor.run()
            self.say("Stopping …" if trouble is None else trouble)
        finally:
            supervisor.stop()
            lock.close()
        if trouble is not None:
            sys.exit(1)

    def start(self, supervisor: Supervisor, *, sandbox: bool, port: int | None, sandbox_port: int) -> str | None:
        """Starts everything in order and returns the sentence that says why it did not come up, or None."""
        sandbox_url = f"http://127.0.0.1:{sandbox_port}"
        shared = {"PORT": str(port)} if port else {}
        if sandbox:
            shared |= {"SANDBOX_URL": sandbox_url, "SANDBOX_PORT": str(sandbox_port)}
        if sandbox:
            supervisor.start(Program("sandbox", sandbox_argv(sandbox_port), stops_last=True))
            if not supervisor.wait_until(lambda: answers(sandbox_url), seconds=START_SECONDS):
                return None if supervisor.stopping.is_set() else f"The sandbox did not answer on {sandbox_url} within {START_SECONDS} s."
            connected = subprocess.run([*MANAGE, "connect_sandbox", "--url", sandbox_url], check=False)
            if supervisor.stopping.is_set():
                return None
            if connected.returncode:
                return "Connecting to the sandbox failed; the lines above say why."
        supervisor.start(Program("task cluster", [*MANAGE, "qcluster"], env=shared, sign_of_life=sign_of_life))
        if port is None:
            return None
        supervisor.start(Program("web server", web_argv(port), env=shared))
        if not supervisor.wait_until(lambda: is_listening(port), seconds=START_SECONDS) and not supervisor.stopping.is_set():
            return f"The web server did not answer on port {port} within {START_SECONDS} s."
        return None

    def hold_lock(self) -> IO[str]:
        """Returns the open lock file; `make clean-demo` looks at it before it removes anything."""
        settings.VAR_DIR.mkdir(exist_ok=True)
        lock = open(settings.VAR_DIR / "serve.lock", "w")  # noqa: SIM115  held as long as the command runs
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            self.refuse("This project is already being served; stop that first (Ctrl-C in its window).")
        return lock

    def refuse_taken_ports(self, *, port: int | None, sandbox_port: int | None) -> None:
        wanted = [(port, "PORT")] if port is not None else []
        if sandbox_port is not None:
            wanted += [(sandbox_port + offset, "SANDBOX_PORT") for offset in range(SANDBOX_PORTS_USED)]
        for number, variable in wanted:
            if is_taken(number):
                self.refuse(f"Port {number} is already in use; stop what uses it, or set {variable} to another number.")

    def refuse(self, sentence: str) -> None:
        self.stderr.write(sentence)
        sys.exit(2)

    def say(self, sentence: str) -> None:
        self.stdout.write(sentence)
        self.stdout.flush()


def sandbox_argv(port: int) -> list[str]:
    return [*MANAGE, "sandbox", "--port", str(port), "--scenario", "demo", "--state", str(settings.VAR_DIR / "sandbox.state")]


def web_argv(port: int) -> list[str]:
    options = ["--bind", f"127.0.0.1:{port}", "-w", "2", "--threads", "4", "--graceful-timeout", "10", "--log-level", "warning"]
    if Path("/dev/shm").is_dir():  # gunicorn's own heartbeat must not wait for a slow disk
        options += ["--worker-tmp-dir", "/dev/shm"]
    return [sys.executable, "-m", "gunicorn", "syncsite.wsgi", "--chdir", str(settings.BASE_DIR), "--no-control-socket", *options]


def sign_of_life() -> object | None:
    """The last heartbeat or lease renewal. While the database does not answer, a value that moves: a restart of the
    cluster would cure nothing."""
    try:
        return last_sign_of_life()
    except DatabaseError:
        return object()
    finally:
        close_old_connections()


def remember_restart(program: str, reason: str) -> None:
    """Leaves a row from which people are told. While the database does not answer, the line on the screen must do."""
    try:
        restart_note(program, reason, timezone.now())
    except DatabaseError:
        pass
    finally:
        close_old_connections()


def is_taken(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except (OSError, OverflowError):
            return True
    return False


def is_listening(port: int) -> bool:
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=1):
            return True
    except OSError:
        return False


def answers(url: str) -> bool:
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(urllib.request.Request(url, headers={"Accept": "application/json"}), timeout=2) as answer:
            return bool(answer.status == 200)
    except (OSError, urllib.error.HTTPError):
        return False


def welcome(*, port: int, sandbox_port: int | None) -> str:
    lines = ["", f"  Syncsite runs at http://127.0.0.1:{port}/"]
    login = settings.VAR_DIR / "demo-login.txt"
    if login.is_file():
        lines.append("  Log in as " + " with the password ".join(login.read_text().split()))
    if sandbox_port is not None:
        lines.append(f"  The sandbox's own pages are at http://127.0.0.1:{sandbox_port}/")
    return "\n".join([*lines, "  Ctrl-C stops everything.", ""])

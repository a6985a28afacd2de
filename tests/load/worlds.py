"""What every measure needs: a sandbox in a process of its own, a fresh database, and commands whose CPU is counted."""

from __future__ import annotations

import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import requests

ROOT = Path(__file__).resolve().parents[2]
HTTP = requests.Session()
HTTP.trust_env = False


@dataclass(frozen=True, slots=True)
class Row:
    """One line of the table. `least` is what `ours` is divided by; the aims are a ratio at most or at least, calls that
    are allowed beyond it, and a bound on `ours` itself. A row without an aim is told for itself."""

    what: str
    ours: float
    least: float
    at_most: float | None = None
    at_least: float | None = None
    beyond: float = 0
    ours_at_most: float | None = None

    @property
    def ratio(self) -> float:
        return round(self.ours / self.least, 3) if self.least else 0.0

    @property
    def aim(self) -> str:
        parts = [f"{sign} {bound:g}" for sign, bound in (("<=", self.at_most), (">=", self.at_least)) if bound is not None]
        parts += [f"(+{self.beyond:g})"] if self.beyond else []
        parts += [f"ours <= {self.ours_at_most:g}"] if self.ours_at_most is not None else []
        return " ".join(parts)

    @property
    def is_met(self) -> bool | None:
        """Tells whether every aim of the row is met; None when it has none."""
        if not self.aim:
            return None
        is_low = self.at_most is None or self.ours <= self.at_most * self.least + self.beyond
        is_high = self.at_least is None or self.ours >= self.at_least * self.least
        return is_low and is_high and (self.ours_at_most is None or self.ours <= self.ours_at_most)

    def as_dict(self) -> dict[str, Any]:
        told = {"what": self.what, "ours": self.ours, "least": self.least, "ratio": self.ratio}
        return {**told, "aim": self.aim, "is_met": self.is_met}


@dataclass(frozen=True, slots=True)
class Place:
    """A sandbox and a database to run against."""

    control: str
    env: dict[str, str]
    folder: str
    sandbox: int  # its process

    def run(self, *options: str) -> tuple[dict[str, Any], float]:
        """Returns the ledger of one pass and the CPU seconds of its process."""
        text, cpu = measured(["manage.py", "runpass", "organisations", "--json", *options], self.env, good=(0, 1))
        return json.loads(text), cpu

    def floor(self, *options: str) -> float:
        """Returns the CPU seconds of the floor of a first load."""
        return measured(["tests/load/floor.py", self.control, *options], self.env)[1]

    def calls(self) -> dict[str, int]:
        """Returns the calls per system since the last look."""
        counts = HTTP.get(f"{self.control}/calls?limit=0", timeout=60).json()["counts"]
        HTTP.delete(f"{self.control}/calls", timeout=60)
        return {name: sum(n.values()) for name, n in counts.items()}

    def sandbox_cpu(self) -> float:
        """Returns the CPU seconds the sandbox has spent so far."""
        fields = Path(f"/proc/{self.sandbox}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def advance(self, seconds: int) -> None:
        HTTP.post(f"{self.control}/clock", json={"advance": seconds}, timeout=60)


def environment(folder: str) -> dict[str, str]:
    return {
        **{name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"},
        "PYTHONPYCACHEPREFIX": f"{folder}/compiled",  # as where it is installed: no process compiles what another one has
        "ENV_FILE": "",
        "SECRET_KEY": "bench-only-" + "0123456789abcdef" * 4,
        "FIELD_KEYS": "YmJiYmJiYmJiYmJiYmJiYmJiYmJiYmJiYmJiYmJiYmI=",
        "ALLOW_LOOPBACK": "1",
        "SECURE_SSL": "0",
        "ALLOWED_HOSTS": "testserver",
        "LOG_LEVEL": "ERROR",
        "PYTHONPATH": str(ROOT),
        "DJANGO_SETTINGS_MODULE": "syncsite.settings",
        "DATABASE_URL": f"sqlite:///{folder}/bench.sqlite3",
    }


def measured(arguments: list[str], env: dict[str, str], good: tuple[int, ...] = (0,), python: str = sys.executable) -> tuple[str, float]:
    """Returns what a command printed and the CPU seconds of its process tree."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    done = subprocess.run([python, *arguments], cwd=ROOT, env=env, capture_output=True, text=True)
    if done.returncode not in good:
        raise SystemExit(done.stderr)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return done.stdout, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def peak_memory(arguments: list[str], env: dict[str, str]) -> float:
    """Returns the peak RssAnon of a command's own process, in MiB, sampled fifty times a second."""
    process = subprocess.Popen(
        [sys.executable, *arguments], cwd=ROOT, env=env, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
    )
    peak = 0
    while process.poll() is None:
        try:
            status = Path(f"/proc/{process.pid}/status").read_text()
        except OSError:
            break
        found = next((line.split()[1] for line in status.splitlines() if line.startswith("RssAnon")), "0")
        peak = max(peak, int(found))
        time.sleep(0.02)
    _, errors = process.communicate()
    if process.returncode not in (0, 1):
        raise SystemExit(errors)
    return round(peak / 1024, 1)


@contextmanager
def place(scenario: str, latency_ms: int = 0) -> Iterator[Place]:
    """Yields a sandbox of the scenario with a fresh database that is connected to it."""
    with tempfile.TemporaryDirectory() as folder:
        env = environment(folder)
        arguments = ["tests/load/sandbox.py", "--port", "0", "--scenario", scenario, "--latency-ms", str(latency_ms)]
        process = subprocess.Popen([sys.executable, *arguments], cwd=ROOT, env=env, stdout=subprocess.PIPE, text=True)
        assert process.stdout is not None
        control = json.loads(process.stdout.readline())["control"]
        measured(["manage.py", "migrate", "-v", "0"], env)
        measured(["manage.py", "connect_sandbox", "--url", control], env)
        try:
            yield Place(control, env, folder, process.pid)
        finally:
            process.terminate()
            process.wait(20)


@contextmanager
def bound_place(size: int, world: int = 0) -> Iterator[Place]:
    """As `place`, with `size` organisations that are bound to their accounts already. `world` says how many of them the
    sandbox has, when a measure never reads the others."""
    with place(f"bound:{world or size}") as found:
        measured(["tests/load/fill.py", "bound", str(size)], found.env)
        yield found

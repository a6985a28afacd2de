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
    """One line of the table. `least` is what `ours` is divided by."""

    what: str
    ours: float
    least: float
    aim: str

    @property
    def ratio(self) -> float:
        return round(self.ours / self.least, 3) if self.least else 0.0

    def as_dict(self) -> dict[str, Any]:
        return {"what": self.what, "ours": self.ours, "least": self.least, "ratio": self.ratio, "aim": self.aim}


@dataclass(frozen=True, slots=True)
class Place:
    """A sandbox and a database to run against."""

    control: str
    env: dict[str, str]
    folder: str

    def run(self, *options: str) -> tuple[dict[str, Any], float]:
        """Returns the ledger of one pass and the CPU seconds of its process."""
        text, cpu = measured(["manage.py", "runpass", "organisations", "--json", *options], self.env, good=(0, 1))
        return json.loads(text), cpu

    def calls(self) -> dict[str, int]:
        """Returns the calls per system since the last look."""
        counts = HTTP.get(f"{self.control}/calls?limit=0", timeout=60).json()["counts"]
        HTTP.delete(f"{self.control}/calls", timeout=60)
        return {name: sum(n.values()) for name, n in counts.items()}

    def advance(self, seconds: int) -> None:
        HTTP.post(f"{self.control}/clock", json={"advance": seconds}, timeout=60)


def environment(folder: str) -> dict[str, str]:
    return {
        **os.environ,
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


def measured(arguments: list[str], env: dict[str, str], good: tuple[int, ...] = (0,)) -> tuple[str, float]:
    """Returns what a command printed and the CPU seconds of its process tree."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    done = subprocess.run([sys.executable, *arguments], cwd=ROOT, env=env, capture_output=True, text=True)
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
        arguments = ["manage.py", "sandbox", "--port", "0", "--scenario", scenario, "--latency-ms", str(latency_ms)]
        process = subprocess.Popen([sys.executable, *arguments], cwd=ROOT, env=env, stdout=subprocess.PIPE, text=True)
        assert process.stdout is not None
        control = json.loads(process.stdout.readline())["control"]
        measured(["manage.py", "migrate", "-v", "0"], env)
        measured(["manage.py", "connect_sandbox", "--url", control], env)
        try:
            yield Place(control, env, folder)
        finally:
            process.terminate()
            process.wait(20)


@contextmanager
def bound_place(size: int) -> Iterator[Place]:
    """As `place`, with `size` organisations that are bound to their accounts already."""
    with place(f"bound:{size}") as found:
        measured(["tests/load/fill.py", "bound", str(size)], found.env)
        yield found

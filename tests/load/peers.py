"""Reading beside dlt, a well-kept loader: `make bench-peers`. It gets a virtual environment of its own, below var/."""

from __future__ import annotations

import json
import os
import resource
import subprocess
import sys
from collections.abc import Iterator

from worlds import ROOT, Row, bound_place

DLT = "dlt[sqlalchemy]==1.31.0"


def peers(size: int) -> Iterator[Row]:
    """The same changed and bound organisations: dlt reads and stores them in SQLite; we read, compare with the last
    agreement, and store. Whole processes on both sides, start-up included."""
    python = _python()
    with bound_place(size) as it:
        ledger, cpu = it.run("--full")
        told, peer_cpu = _peer(python, it.control, it.folder)
    assert ledger["seen"] == told["rows"] == size, (ledger, told)
    yield Row("records/s, ours to dlt", round(size / ledger["seconds"]), round(size / told["seconds"]), ">= 3")
    yield Row("CPU s, ours to dlt", round(cpu, 2), round(peer_cpu, 2), "<= 0.3")


def _python() -> str:
    folder = ROOT / "var" / "bench-peer"
    python = folder / "bin" / "python"
    if not python.exists():
        subprocess.run([sys.executable, "-m", "venv", str(folder)], check=True)
        subprocess.run([str(python), "-m", "pip", "install", "-q", DLT, "requests"], check=True)
    return str(python)


def _peer(python: str, control: str, folder: str) -> tuple[dict[str, float], float]:
    """Returns what dlt loaded and in how many seconds, and the CPU seconds of its processes."""
    env = {**os.environ, "RUNTIME__DLTHUB_TELEMETRY": "false", "HOME": folder, "NO_PROXY": "*"}
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    done = subprocess.run([python, str(ROOT / "tests/load/peer_dlt.py"), control, folder], env=env, capture_output=True, text=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    if done.returncode:
        raise SystemExit(done.stderr[-2000:])
    return json.loads(done.stdout.splitlines()[-1]), after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime

"""Reading beside dlt, a well-kept loader, and what the peers of `make bench-peers` are installed from. Each gets a virtual
environment of its own, below var/; for dlt `--peer-python` may name a python that has it."""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterator

from worlds import ROOT, Place, Row, bound_place, measured

DLT = ("dlt[sqlalchemy]==1.31.0", "requests")
VDIRSYNCER = ("vdirsyncer==0.21.0", "Radicale==3.9.0")  # the second is what the first talks to


def peers(size: int, rounds: int, python: str) -> Iterator[Row]:
    """The same changed and bound organisations: dlt reads and stores them in SQLite; we read, compare with the last
    agreement, and store. Whole processes on both sides, start-up included in the CPU and not in the seconds. The
    sandbox's own time is a part of the seconds; the second row leaves it out."""
    python = python or python_with(DLT, "bench-peer")
    ours, dlts = [], []
    with bound_place(size) as it, tempfile.TemporaryDirectory() as folder:
        _dlt(it, size, python, folder)  # what changed is there already on both sides
        for _ in range(rounds):
            measured(["tests/load/fill.py", "changed", "0"], it.env)
            ours.append(_ours(it, size))
            dlts.append(_dlt(it, size, python, folder))
    (seconds, net, cpu), (their_seconds, their_net, their_cpu) = (
        [statistics.median(c) for c in zip(*r, strict=True)] for r in (ours, dlts)
    )
    yield Row(f"{size} changed: records/s, ours to dlt", round(size / seconds), round(size / their_seconds), at_least=3)
    yield Row(f"{size} changed: records/s without the sandbox's CPU", round(size / net), round(size / their_net))
    yield Row(f"{size} changed: CPU s, ours to dlt", round(cpu, 2), round(their_cpu, 2), at_most=0.3)


def _ours(it: Place, size: int) -> tuple[float, float, float]:
    """Returns seconds of the pass, the same without the sandbox's CPU, and CPU seconds of the process."""
    before = it.sandbox_cpu()
    ledger, cpu = it.run("--full")
    assert ledger["seen"] == ledger["unchanged"] == size, ledger
    return ledger["seconds"], ledger["seconds"] - (it.sandbox_cpu() - before), cpu


def _dlt(it: Place, size: int, python: str, folder: str) -> tuple[float, float, float]:
    before = it.sandbox_cpu()
    env = {**os.environ, "RUNTIME__DLTHUB_TELEMETRY": "false", "HOME": folder, "NO_PROXY": "*"}
    text, cpu = measured(["tests/load/peer_dlt.py", it.control, folder], env, python=python)
    told = json.loads(text.splitlines()[-1])
    assert told["rows"] == size, told
    return told["seconds"], told["seconds"] - (it.sandbox_cpu() - before), cpu


def python_with(packages: tuple[str, ...], name: str) -> str:
    """Returns a python that has the packages; its environment is made when it is asked for first."""
    folder = ROOT / "var" / name
    python = folder / "bin" / "python"
    if not (folder / "is-complete").exists():
        subprocess.run([sys.executable, "-m", "venv", "--clear", str(folder)], check=True)
        subprocess.run([str(python), "-m", "pip", "install", "-q", *packages], check=True)
        (folder / "is-complete").touch()
    return str(python)

"""Beside programs that others keep well: `make bench-peers`. Reading beside dlt, a loader; contacts beside vdirsyncer, which keeps
two address books alike. They get a virtual environment of their own, below var/, unless `--peer-python` names a python that has
them."""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

from mailboxes import OWNER, SETTLED, edit, mail_place
from peer_vdirsyncer import REQUIREMENTS, books
from worlds import ROOT, Place, Row, bound_place, measured

DLT = "dlt[sqlalchemy]==1.31.0"
STAGES = ("first run", "nothing changed", "1 % changed")
Cost = tuple[float, float, int]  # CPU seconds of the run itself, of its whole process, and requests


def peers(size: int, rounds: int, python: str) -> Iterator[Row]:
    """The same changed and bound organisations: dlt reads and stores them in SQLite; we read, compare with the last
    agreement, and store. Whole processes on both sides, start-up included in the CPU and not in the seconds. The
    sandbox's own time is a part of the seconds; the second row leaves it out."""
    python = python or _python()
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


def contacts(size: int, few: int, many: int, python: str) -> Iterator[Row]:
    """A folder of contacts that is filled, looked at and changed, beside two address books of the same size. Theirs is a whole
    process each time; ours is told as such, and as the run alone, which a worker of the cluster makes without a start. Then what
    a quiet run costs with many contacts to few; their books hold the same cards beforehand."""
    programs = Path(python or _python()).parent
    ours = {system: _our_stages(system, size) for system in ("microsoft", "google")}
    with tempfile.TemporaryDirectory() as folder, books(folder, programs, size) as it:
        theirs = [it.sync(), it.sync(), (it.edit(size // 100, "Head of buying"), it.sync())[1]]
        assert it.cards("two").count("Head of buying") == size // 100, "their run carried other cards than were edited"
    for system, stages in ours.items():
        for stage, (cpu, whole, calls), (their_cpu, their_calls) in zip(STAGES, stages, theirs, strict=True):
            what = f"{system}, {size} contacts, {stage}"
            yield Row(f"{what}: requests, ours to vdirsyncer", calls, their_calls, at_most=1)
            yield Row(f"{what}: CPU s of the run", round(cpu, 2), round(their_cpu, 2), at_most=1)
            yield Row(f"{what}: CPU s, process included", round(whole, 2), round(their_cpu, 2))
    quiet = [_their_quiet(programs, n) for n in (few, many)]
    yield Row(f"vdirsyncer, nothing changed, {many} contacts to {few}: CPU s", round(quiet[1], 2), round(quiet[0], 2))


def _our_stages(system: str, size: int) -> list[Cost]:
    with mail_place(system, size) as it:
        found = [_our_run(it, system)]
        for _ in range(2):  # what we wrote comes back, and is known
            it.advance(SETTLED)
            _our_run(it, system)
        it.advance(SETTLED)
        found.append(_our_run(it, system))
        edit(it, system, "crm", size // 100, "Head of buying")
        it.advance(1)
        found.append(_our_run(it, system))
    return found


def _our_run(it: Place, system: str) -> Cost:
    it.calls()
    text, whole = measured(["tests/load/box_steps.py", "one", OWNER[system]], it.env)
    told = json.loads(text)
    assert told["state"] == "finished", told
    return told["cpu"], whole, sum(it.calls().values())


def _their_quiet(programs: Path, size: int) -> float:
    with tempfile.TemporaryDirectory() as folder, books(folder, programs, size, both=True) as it:
        it.sync()
        return min(it.sync()[0] for _ in range(2))


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


def _python() -> str:
    folder = ROOT / "var" / "bench-peer"
    python = folder / "bin" / "python"
    if not (python.parent / "vdirsyncer").exists():
        subprocess.run([sys.executable, "-m", "venv", str(folder)], check=True)
        subprocess.run([str(python), "-m", "pip", "install", "-q", DLT, "requests", *REQUIREMENTS], check=True)
    return str(python)

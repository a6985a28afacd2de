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
from contextlib import ExitStack
from pathlib import Path

from mailboxes import OWNER, SETTLED, edit, fill, mail_place, settle
from peer_vdirsyncer import REQUIREMENTS, STORE, books
from worlds import ROOT, Place, Row, bound_place, measured

DLT = "dlt[sqlalchemy]==1.31.0"
STAGES = ("first run", "nothing changed", "1 % changed in Salesforce", "1 % changed in the mailbox")
LATER_RUNS = 20
QUIET_RUNS = 5  # the cheapest of them counts: other work on the machine only adds
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
    a quiet run costs with many contacts to few; their books hold the same cards beforehand. That one is told without any start,
    too: ours as a later run of a process that stays, theirs less its run over empty books. A token that runs out, once an hour,
    adds two calls of ours; theirs has none to renew."""
    programs = Path(python or _python()).parent
    ours = {system: _our_stages(system, size) for system in ("microsoft", "google")}
    theirs = _their_stages(programs, size)
    for system, stages in ours.items():
        for stage, (cpu, whole, calls), (their_cpu, their_calls) in zip(STAGES, stages, theirs, strict=True):
            what = f"{system}, {size} contacts, {stage}"
            yield Row(f"{what}: requests, ours to vdirsyncer", calls, their_calls, at_most=1)
            yield Row(f"{what}: CPU s of the run", round(cpu, 2), round(their_cpu, 2), at_most=1)
            yield Row(f"{what}: CPU s, process included", round(whole, 2), round(their_cpu, 2))
    (start, _), (their_few, _), (their_many, their_calls) = (_their_quiet(programs, n) for n in (0, few, many))
    for system in ours:
        found = _our_quiet(system, few, many)
        for n, their_cpu in ((few, their_few), (many, their_many)):
            cpu, whole, calls = found[n]
            what = f"{system}, {n} contacts, nothing changed"
            yield Row(f"{what}: requests, ours to vdirsyncer", calls, their_calls, at_most=1)
            yield Row(f"{what}: CPU s, neither's start", round(cpu, 3), round(their_cpu - start, 3), at_most=1)
            yield Row(f"{what}: CPU s, process included", round(whole, 2), round(their_cpu, 2))
        what = f"{system}, nothing changed, {many} contacts to {few}"
        yield Row(f"{what}: requests", found[many][2], found[few][2], at_most=1)
        yield Row(f"{what}: CPU s without its start", round(found[many][0], 3), round(found[few][0], 3), at_most=1.1)
    what = f"vdirsyncer, nothing changed, {many} contacts to {few}"
    yield Row(f"{what}: CPU s", round(their_many, 3), round(their_few, 3))
    yield Row(f"{what}: CPU s without its start ({start:.2f})", round(their_many - start, 3), round(their_few - start, 3))


def _our_stages(system: str, size: int) -> list[Cost]:
    with mail_place(system, size) as it:
        found = [_our_run(it, system)]
        for _ in range(2):  # what we wrote comes back, and is known
            it.advance(SETTLED)
            _our_run(it, system)
        it.advance(SETTLED)
        found.append(_our_run(it, system))
        for side in ("crm", "peer"):
            edit(it, system, side, size // 100, f"Edited in {side}")
            it.advance(1)
            found.append(_our_run(it, system, updated=size // 100))
            settle(it, system)
    return found


def _our_quiet(system: str, *sizes: int) -> dict[int, Cost]:
    """Returns for each size the cheapest of some quiet runs, with its CPU seconds in a process that stays. The sizes take turns,
    so that a busy machine is busy for all of them."""
    found: dict[int, list[Cost]] = {size: [] for size in sizes}
    with ExitStack() as stack:
        places = {size: stack.enter_context(mail_place(system, size)) for size in sizes}
        for it in places.values():
            fill(it, system)
            settle(it, system)
        for _ in range(QUIET_RUNS):
            for size, it in places.items():
                it.advance(SETTLED)
                _, whole, calls = _our_run(it, system)
                later = measured(["tests/load/box_steps.py", "one", OWNER[system], str(LATER_RUNS)], it.env)[0]
                found[size].append((json.loads(later)["cpu"], whole, calls))
    return {size: (min(c[0] for c in runs), min(c[1] for c in runs), min(c[2] for c in runs)) for size, runs in found.items()}


def _their_stages(programs: Path, size: int) -> list[tuple[float, int]]:
    with tempfile.TemporaryDirectory(dir=STORE) as folder, books(folder, programs, size) as it:
        found = [it.sync(), it.sync()]
        for edited, other in (("one", "two"), ("two", "one")):
            it.edit(edited, size // 100, f"Edited in {edited}")
            found.append(it.sync())
            carried = it.cards(other).count(f"Edited in {edited}")
            assert carried == size // 100, "their run carried other cards than were edited"
    return found


def _our_run(it: Place, system: str, updated: int = 0) -> Cost:
    it.calls()
    text, whole = measured(["tests/load/box_steps.py", "one", OWNER[system]], it.env)
    told = json.loads(text)
    assert (told["state"], told["updated"]) == ("finished", updated), told
    return told["cpu"], whole, sum(it.calls().values())


def _their_quiet(programs: Path, size: int) -> tuple[float, int]:
    """Returns CPU seconds and requests; without contacts it is what the start costs."""
    with tempfile.TemporaryDirectory(dir=STORE) as folder, books(folder, programs, size, both=True) as it:
        it.sync()
        return min(it.sync() for _ in range(QUIET_RUNS))


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

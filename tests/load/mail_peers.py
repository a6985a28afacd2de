"""A mailbox beside vdirsyncer: the same contacts brought over, then nothing changed, then one in a hundred on either side.

vdirsyncer is a process that starts for each run. The product's runs are those of a worker that stays, so its CPU is told
three ways: a whole process of ours (`manage.py runpass`, which starts Django) to a whole one of theirs; a run of our worker to
a whole one of theirs, which is what a run costs where each is installed; and both without their start, where theirs is taken
to be its run over two empty address books. Of several runs the cheapest counts on both sides: other work on the machine only
adds. Neither the sandbox's CPU is counted nor Radicale's."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

import mailboxes
import peer_vdirsyncer
from mailboxes import OWNER, SETTLED, calls_made, edit, mail_place, settle
from peers import VDIRSYNCER, python_with
from worlds import ROOT, Place, Row

Once = Callable[[], tuple[dict[str, Any], float]]
Spent = tuple[float, int]  # CPU seconds, requests
STAGES = ("first run", "nothing changed", "1 % changed in the CRM", "1 % changed in the mailbox")
FIRST, QUIET, CRM, PEER = STAGES
OTHER = {"microsoft": "bob@example.test", "google": "hugo@example.test"}  # whose run warms the worker
QUIET_RUNS = 5
GROWTH = 1.1  # of our quiet run, at most


def mail_peers(few: int, many: int, rounds: int) -> Iterator[Row]:
    python = python_with(VDIRSYNCER, "bench-peer-mail")
    theirs, ours = [], {(system, is_warm): [] for system in OWNER for is_warm in (False, True)}
    for _ in range(rounds):  # one after the other, so that a busy machine is busy for all
        theirs.append(_theirs(python, few))
        for (system, is_warm), found in ours.items():
            found.append(_ours(system, few, is_warm))
    start = _start(python)
    peer = _least(theirs)
    quiet = _their_quiet(python, many)
    for system in OWNER:
        cold, warm = _least(ours[system, False]), _least(ours[system, True])
        for stage in STAGES:
            yield from _rows(f"{system}, {few}, {stage}", cold[stage], warm[stage], peer[stage], start)
        yield Row(f"{system}: CPU s of a start", _shown(cold[QUIET][0] - warm[QUIET][0]), _shown(start))
        yield from _growth(f"{system}, {many}, {QUIET}", system, many, (cold[QUIET], warm[QUIET], peer[QUIET]), quiet, start)


def _rows(what: str, cold: Spent, warm: Spent, peer: Spent, start: float) -> Iterator[Row]:
    yield Row(f"{what}: requests", max(cold[1], warm[1]), peer[1], at_most=1)
    yield Row(f"{what}: CPU s, processes", _shown(cold[0]), _shown(peer[0]), at_most=1)
    yield Row(f"{what}: CPU s, worker", _shown(warm[0]), _shown(peer[0]), at_most=1)
    yield Row(f"{what}: CPU s, no start", _shown(warm[0]), _shown(peer[0] - start), at_most=1)


def _growth(what: str, system: str, size: int, few: tuple[Spent, Spent, Spent], peer: Spent, start: float) -> Iterator[Row]:
    """The quiet run of the large size: to theirs, and each to its own of the small one."""
    cold, warm = _our_quiet(system, size)
    yield from _rows(what, cold, warm, peer, start)
    theirs = round(peer[0] / few[2][0], 2)
    yield Row(f"{what}: growth of CPU, processes", round(cold[0] / few[0][0], 2), theirs, ours_at_most=GROWTH)
    yield Row(f"{what}: growth of CPU, worker", round(warm[0] / few[1][0], 2), theirs, ours_at_most=GROWTH)
    net = round((peer[0] - start) / (few[2][0] - start), 2)
    yield Row(f"{what}: growth of CPU, no start", round(warm[0] / few[1][0], 2), net, ours_at_most=GROWTH)


def _theirs(python: str, size: int) -> dict[str, Spent]:
    found = {}
    with peer_vdirsyncer.books(python, size) as it:
        found[FIRST] = it.run()
        assert it.titles("right", "Buyer") == size
        found[QUIET] = _least_of(it.run)
        for stage, side, other in ((CRM, "left", "right"), (PEER, "right", "left")):
            it.edit(side, size // 100, f"Edited {side}")
            found[stage] = it.run()
            assert it.titles(other, f"Edited {side}") == size // 100
    return found


def _their_quiet(python: str, size: int) -> Spent:
    """Returns their quiet run over so many contacts that were on both sides already: to upload them would measure Radicale."""
    with peer_vdirsyncer.books(python, size, is_equal=True) as it:
        it.run()
        return _least_of(it.run)


def _start(python: str) -> float:
    with peer_vdirsyncer.books(python, 0) as it:
        return _least_of(it.run)[0]


def _ours(system: str, size: int, is_warm: bool) -> dict[str, Spent]:
    found = {}
    with mail_place(system, size) as it, (_worker if is_warm else _command)(it, system) as once:
        ledger, found[FIRST] = _counted(it, system, once)
        assert ledger["created"] == size, ledger
        settle(it, system)
        found[QUIET] = _quiet_runs(it, system, once)
        for stage, side in ((CRM, "crm"), (PEER, "peer")):
            edit(it, system, side, size // 100, f"Edited {side}")
            it.advance(1)
            ledger, found[stage] = _counted(it, system, once)
            assert ledger["updated"] == size // 100, ledger
            settle(it, system)
    return found


def _our_quiet(system: str, size: int) -> tuple[Spent, Spent]:
    """Returns the quiet run over so many contacts, as a process of its own and in a worker."""
    with mail_place(system, size) as it:
        mailboxes.run(it, system)
        settle(it, system)
        with _command(it, system) as once:
            cold = _quiet_runs(it, system, once)
        with _worker(it, system) as once:
            return cold, _quiet_runs(it, system, once)


def _quiet_runs(it: Place, system: str, once: Once) -> Spent:
    def quiet() -> Spent:
        it.advance(SETTLED)
        ledger, spent = _counted(it, system, once)
        assert ledger["seen"] == 0, ledger
        return spent

    return _least_of(quiet)


def _counted(it: Place, system: str, once: Once) -> tuple[dict[str, Any], Spent]:
    it.calls()
    ledger, cpu = once()
    assert ledger["state"] == "finished", ledger
    return ledger, (cpu, calls_made(it, system))


@contextmanager
def _command(it: Place, system: str) -> Iterator[Once]:
    yield partial(mailboxes.run, it, system)


@contextmanager
def _worker(it: Place, system: str) -> Iterator[Once]:
    """Yields runs of one process that stays, and has run over another mailbox of the connection."""
    command = [sys.executable, "tests/load/box_steps.py", "worker", OWNER[system], OTHER[system]]
    process = subprocess.Popen(command, cwd=ROOT, env=it.env, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def told() -> tuple[dict[str, Any], float]:
        answer = json.loads(process.stdout.readline())
        return answer["ledger"], answer["cpu"]

    def once() -> tuple[dict[str, Any], float]:
        process.stdin.write("\n")
        process.stdin.flush()
        return told()

    try:
        told()
        yield once
    finally:
        process.communicate(timeout=20)


def _least_of(run: Callable[[], Spent]) -> Spent:
    """Returns the least CPU and the most requests of some runs that should be alike."""
    return _least_spent([run() for _ in range(QUIET_RUNS)])


def _least(rounds: list[dict[str, Spent]]) -> dict[str, Spent]:
    return {stage: _least_spent([found[stage] for found in rounds]) for stage in STAGES}


def _least_spent(found: list[Spent]) -> Spent:
    return min(cpu for cpu, _ in found), max(requests for _, requests in found)


def _shown(seconds: float) -> float:
    return round(seconds, 3)

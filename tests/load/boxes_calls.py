"""Measures of the pass over mailboxes: calls against the least the APIs allow, many mailboxes at rest, a first run."""

from __future__ import annotations

import json
import math
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from worlds import HTTP, ROOT, Place, Row, measured, place

STEP = "tests/load/box_steps.py"
SETTLED = 400  # seconds, more than the overlap
SYSTEMS = ("microsoft", "google")
SF_PAGE, SF_COLLECTION, SF_LOOK_UP, MAIL_PAGE = 2000, 200, 500, 1000  # rows that one call carries
GRAPH_PARTS, GOOGLE_BATCH = 20, 200
GRAPH_SIDE_BY_SIDE = 4
VIEWS = 20


@contextmanager
def boxes(system: str, count: int = 1, latency_ms: int = 0, views: int = 0) -> Iterator[tuple[Place, list[str]]]:
    """Yields a sandbox with connected mailboxes, and the Salesforce users they belong to."""
    with place("bench:0", latency_ms) as it:
        for n in range(1, count + 1):
            address = f"box{n}@example.test"
            _make(it, system, "user", {"mail": address} if system == "microsoft" else {"email": address})
        yield it, json.loads(measured([STEP, "connect", it.control, system, str(count), str(views)], it.env)[0])


def run(it: Place, rounds: int = 1) -> dict[str, Any]:
    told: dict[str, Any] = json.loads(measured([STEP, "run", "0", "1", str(rounds)], it.env)[0])
    assert told["states"] == ["finished"] and not told["failed"], told
    return told


def people(it: Place, size: int, owner: str) -> None:
    for n in range(1, size + 1):
        values = {"FirstName": f"First {n}", "LastName": f"Last {n:07d}", "Email": f"p{n}@example.com", "OwnerId": owner}
        _make(it, "salesforce", "Contact", values)


def least(system: str, crm: int, mail: int) -> int:
    """The least calls of a run in which so many contacts changed in the CRM, or in the mailbox, from the largest batches that
    are documented: what changed on each side by pages, the writes by batches, and the look-up of accounts for what comes
    from the mailbox. A read of a counterpart before it is written is ours alone, so it is not in here."""
    batch = GRAPH_PARTS if system == "microsoft" else GOOGLE_BATCH
    sweeps = max(1, math.ceil(crm / SF_PAGE)) + max(1, math.ceil(mail / MAIL_PAGE))
    return sweeps + math.ceil(crm / batch) + math.ceil(mail / SF_COLLECTION) + math.ceil(mail / SF_LOOK_UP)


def calls(bound: int, sizes: list[int]) -> Iterator[Row]:
    """One mailbox with `bound` contacts, linked by a first run and at rest; then so many changed on one side. A brake holds
    a run that changes too great a share of the links."""
    for system in SYSTEMS:
        with boxes(system) as (it, (owner,)):
            people(it, bound, owner)
            _rest(it)
            yield Row(f"{system}, nothing changed: calls", _counted(it, system), 2, at_most=1)
            for size in sizes:
                for side in ("crm", "mail"):
                    _edit(it, system, side, size)
                    it.advance(1)
                    made = _counted(it, system, updated=size)
                    floor = least(system, *((size, 0) if side == "crm" else (0, size)))
                    yield Row(f"{system}, {size} changed in the {side}: calls", made, floor, at_most=1.05)
                    _rest(it)


def first_run(size: int, milliseconds: int) -> Iterator[Row]:
    """The first run into an empty mailbox when every answer takes a while: seconds to what the calls need. Graph takes four
    calls at once, but a $batch of twenty parts fills all four places, hence the second row without an aim. Each call to
    Google comes after the one before, and so do those to Salesforce."""
    for system in SYSTEMS:
        with boxes(system, latency_ms=milliseconds) as (it, (owner,)):
            people(it, size, owner)
            it.advance(SETTLED)
            it.calls()
            told = run(it)
            assert told["created"] == size, told
            made = it.calls()
            side_by_side = GRAPH_SIDE_BY_SIDE if system == "microsoft" else 1
            ideal = (made.get("salesforce", 0) + made.get(system, 0) / side_by_side) * milliseconds / 1000
            yield Row(f"{system}, first run of {size}, {milliseconds} ms: s", round(told["seconds"][0], 2), round(ideal, 2), at_most=1.5)
            one = (made.get("salesforce", 0) + made.get(system, 0)) * milliseconds / 1000
            yield Row(f"{system}, first run of {size}: s, calls one by one", round(told["seconds"][0], 2), round(one, 2))
            yield Row(f"{system}, first run of {size}: CPU s", round(told["cpu"][0], 2), 0)


def quiet(few: int, many_: int, rounds: int) -> Iterator[Row]:
    """A run with nothing changed, of a mailbox with few contacts and with many: calls, and the least CPU of some rounds."""
    for system in SYSTEMS:
        found = {}
        for size in (few, many_):
            with boxes(system) as (it, (owner,)):
                people(it, size, owner)
                _rest(it)
                made, spent = _counted(it, system), []
                for _ in range(rounds):
                    it.advance(SETTLED)
                    spent.append(run(it)["cpu"][0])
                found[size] = made, min(spent)
        for n, name in enumerate(("calls", "CPU s")):
            ours, theirs = (round(found[size][n], 3) for size in (many_, few))
            yield Row(f"{system}, quiet run, {many_} contacts to {few}: {name}", ours, theirs, at_most=1.5 if n else 1)


def many(few: int, count: int, workers: int) -> Iterator[Row]:
    """Mailboxes with nothing changed, shared out among processes; the first round is not counted. Without the start
    of the workers, but with what a worker loads for its first mailbox, which weighs more on few."""
    found = {}
    for size in (few, count):
        with boxes("microsoft", size, views=VIEWS) as (it, _):
            found[size] = _shared(it, workers)
    for n, name in enumerate(("calls", "s", "CPU s")):
        ours, theirs = (round(found[size][n] / size, 4) for size in (count, few))
        yield Row(f"{count} mailboxes at rest to {few}: {name} a mailbox", ours, theirs, at_most=1.5 if n else 1)
    yield Row(f"{count} mailboxes at rest to {few}: MiB of a worker", found[count][3], found[few][3], at_most=1.15)


def _shared(it: Place, workers: int) -> tuple[float, float, float, float]:
    """Returns calls, seconds, CPU seconds of all workers, and the greatest peak of one, of the quiet round."""
    for _ in range(2):
        it.advance(SETTLED)
        it.calls()
        told = _side_by_side(it, workers)
    made = sum(it.calls().values())
    return made, max(t["seconds"][-1] for t in told), sum(t["cpu"][-1] for t in told), max(t["peak"] for t in told)


def _side_by_side(it: Place, workers: int) -> list[dict[str, Any]]:
    started = [
        subprocess.Popen([sys.executable, STEP, "run", str(n), str(workers)], cwd=ROOT, env=it.env, stdout=subprocess.PIPE, text=True)
        for n in range(workers)
    ]
    told = [json.loads(process.communicate()[0]) for process in started]
    assert all(t["states"] == ["finished"] for t in told), told
    return told


def _rest(it: Place) -> None:
    for _ in range(3):
        it.advance(SETTLED)
        run(it)
    it.advance(SETTLED)
    it.calls()


def _counted(it: Place, system: str, updated: int = 0) -> int:
    it.calls()
    told = run(it)
    assert told["updated"] == updated, told
    made = it.calls()
    return made.get("salesforce", 0) + made.get(system, 0)


def _edit(it: Place, system: str, side: str, count: int) -> None:
    where, kind, field = ("salesforce", "Contact", "FirstName") if side == "crm" else (system, "contact", "givenName")
    rows = HTTP.get(f"{it.control}/records/{where}/{kind}", timeout=600).json()["records"]
    rows = [row for row in rows if side == "crm" or row["mailbox"] == "box1@example.test"]
    for row in rows[:count]:
        id_ = row.get("Id") or row["id"]
        HTTP.patch(f"{it.control}/records/{where}/{kind}/{id_}", json={field: f"{side} {count}"}, timeout=60).raise_for_status()


def _make(it: Place, system: str, kind: str, values: dict[str, Any]) -> None:
    HTTP.post(f"{it.control}/records/{system}/{kind}", json=values, timeout=60).raise_for_status()

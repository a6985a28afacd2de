"""Many mailboxes at rest, shared out among workers: what one of them costs when there are few and when there are many."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from worlds import HTTP, ROOT, Place, Row, measured, place

STEP = "tests/load/box_steps.py"
SETTLED = 400  # seconds, more than the overlap
VIEWS = 20


@contextmanager
def boxes(system: str, count: int, views: int) -> Iterator[Place]:
    """Yields a sandbox with connected mailboxes that mirror so many saved views."""
    with place("bench:0") as it:
        for n in range(1, count + 1):
            address = f"box{n}@example.test"
            _make(it, system, "user", {"mail": address} if system == "microsoft" else {"email": address})
        measured([STEP, "connect", it.control, system, str(count), str(views)], it.env)
        yield it


def many(few: int, count: int, workers: int) -> Iterator[Row]:
    """Mailboxes with nothing changed, shared out among processes; the first round is not counted. Without the start
    of the workers, but with what a worker loads for its first mailbox, which weighs more on few."""
    found = {}
    for size in (few, count):
        with boxes("microsoft", size, views=VIEWS) as it:
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


def _make(it: Place, system: str, kind: str, values: dict[str, Any]) -> None:
    HTTP.post(f"{it.control}/records/{system}/{kind}", json=values, timeout=60).raise_for_status()

"""Many mailboxes, shared out among workers: what one of them costs when there are few and when there are many, with contacts alone
(`mailboxes`), and with a calendar, tasks and e-mails (`mailboxes-items`)."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any, NamedTuple, TypeVar

from worlds import HTTP, ROOT, Place, Row, measured, place

STEP = "tests/load/box_steps.py"
SETTLED = 400  # seconds, more than the overlap
VIEWS = 20
ITEM_PASSES = 3
QUIET, CHANGED = "at rest", "one meeting changed"
SYSTEM = "microsoft"
PERSON = "Bo Berg <bo@acme.example>"
Of = TypeVar("Of")


class Spent(NamedTuple):
    """What a round over all mailboxes took: calls, seconds, CPU seconds of all workers, and the greatest peak of one in MiB."""

    calls: float
    seconds: float
    cpu: float
    peak: float


@contextmanager
def boxes(count: int) -> Iterator[Place]:
    """Yields a sandbox with connected mailboxes that mirror saved views of contacts."""
    with _people(count) as it:
        measured([STEP, "connect", it.control, SYSTEM, str(count), str(VIEWS)], it.env)
        yield it


@contextmanager
def offices(count: int) -> Iterator[Place]:
    """Yields a sandbox with connected mailboxes of which each has a meeting, a task and a mail that are shared."""
    with _people(count) as it:
        measured([STEP, "connect_items", it.control, SYSTEM, str(count)], it.env)
        now = _an_hour_later(it)
        day = f"{now + timedelta(days=5):%Y-%m-%d}"
        for n in range(1, count + 1):
            address = f"box{n}@example.test"
            meeting = {"subject": f"Call {n}", "start": f"{day}T10:00", "end": f"{day}T11:00", "attendees": [PERSON]}
            _make(it, "event", {"mailbox": address, **meeting})
            _make(it, "task", {"mailbox": address, "title": f"Call back {n}", "dueDate": day})
            mail = {"folder": "Inbox", "subject": f"Question {n}", "from": PERSON, "to": [address], "body": "How much is it?"}
            _make(it, "message", {"mailbox": address, **mail, "receivedDateTime": f"{now:%Y-%m-%dT%H:%M:%SZ}"})
        yield it


@contextmanager
def _people(count: int) -> Iterator[Place]:
    with place("bench:0") as it:
        for n in range(1, count + 1):
            _make(it, "user", {"mail": f"box{n}@example.test"})
        yield it


def many(few: int, count: int, workers: int) -> Iterator[Row]:
    """Mailboxes with nothing changed, shared out among processes; the first round is not counted. Without the start
    of the workers, but with what a worker loads for its first mailbox, which weighs more on few."""
    found = _at_sizes(boxes, few, count, partial(_rest, workers=workers))
    yield from _rows(f"{count} mailboxes at rest to {few}", few, count, found, {"at_most": 1.15})


def many_items(few: int, count: int, workers: int) -> Iterator[Row]:
    """Three passes over each mailbox: with nothing changed, and with one meeting of each changed."""
    found = _at_sizes(offices, few, count, partial(_rest_and_change, workers=workers))
    for what in (QUIET, CHANGED):
        # Whoever reads the feed of Salesforce holds what all of them changed since the last time.
        peak = {"at_most": 1.15} if what == QUIET else {"ours_at_most": 150}
        yield from _rows(f"{count} mailboxes of three passes to {few}, {what}", few, count, {n: of[what] for n, of in found.items()}, peak)
    for what in (QUIET, CHANGED):
        a_minute = {n: round(60 * ITEM_PASSES * n / of[what].seconds) for n, of in found.items()}
        yield Row(f"{count} mailboxes of three passes to {few}, {what}: runs a minute", a_minute[count], a_minute[few], at_least=0.67)


def _at_sizes(
    made: Callable[[int], AbstractContextManager[Place]], few: int, count: int, measure: Callable[[Place, int], Of]
) -> dict[int, Of]:
    found = {}
    for size in (few, count):
        with made(size) as it:
            found[size] = measure(it, size)
    return found


def _rows(what: str, few: int, count: int, found: dict[int, Spent], peak: dict[str, float]) -> Iterator[Row]:
    for n, name in enumerate(("calls", "s", "CPU s")):
        ours, theirs = (round(found[size][n] / size, 4) for size in (count, few))
        yield Row(f"{what}: {name} a mailbox", ours, theirs, at_most=1.5 if n else 1)
    yield Row(f"{what}: MiB of a worker", found[count].peak, found[few].peak, **peak)


def _rest(it: Place, size: int, *, workers: int) -> Spent:
    """Returns what a round costs once everything was carried over."""
    _round(it, workers)
    return _round(it, workers)


def _rest_and_change(it: Place, size: int, *, workers: int) -> dict[str, Spent]:
    for _ in range(2):
        _round(it, workers)
    made = HTTP.get(f"{it.control}/records/salesforce/Event", timeout=600).json()["records"]
    assert len(made) == size, f"{len(made)} of {size} meetings are in Salesforce"
    quiet = _round(it, workers)
    for row in HTTP.get(f"{it.control}/records/{SYSTEM}/event", timeout=600).json()["records"]:
        HTTP.patch(f"{it.control}/records/{SYSTEM}/event/{row['id']}", json={"subject": f"{row['subject']} again"}, timeout=60)
    return {QUIET: quiet, CHANGED: _round(it, workers)}


def _round(it: Place, workers: int) -> Spent:
    it.advance(SETTLED)
    it.calls()
    told = _side_by_side(it, workers)
    made = sum(it.calls().values())
    return Spent(made, max(t["seconds"][-1] for t in told), sum(t["cpu"][-1] for t in told), max(t["peak"] for t in told))


def _side_by_side(it: Place, workers: int) -> list[dict[str, Any]]:
    started = [
        subprocess.Popen([sys.executable, STEP, "run", str(n), str(workers)], cwd=ROOT, env=it.env, stdout=subprocess.PIPE, text=True)
        for n in range(workers)
    ]
    told = [json.loads(process.communicate()[0]) for process in started]
    assert all(t["states"] == ["finished"] for t in told), told
    return told


def _an_hour_later(it: Place) -> datetime:
    """Returns an instant after sharing was switched on, whose clock runs on meanwhile: only what is younger is shared by itself."""
    told = HTTP.post(f"{it.control}/clock", json={"advance": 3600}, timeout=60).json()["now"]
    return datetime.fromisoformat(told).astimezone(UTC)


def _make(it: Place, kind: str, values: dict[str, Any]) -> None:
    answer = HTTP.post(f"{it.control}/records/{SYSTEM}/{kind}", json=values, timeout=60)
    if not answer.ok:
        raise SystemExit(f"{kind}: {answer.text}")

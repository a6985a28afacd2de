"""Measures of two-way passes: calls against the least the APIs allow, a full comparison after a lost cursor, memory, the
first load, and a year of Outreach calls at the default settings."""

from __future__ import annotations

import json
import math
import os
import statistics
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import islice

from worlds import HTTP, Place, Row, measured, peak_memory, place

RUNPASS = ["manage.py", "runpass", "prospects", "--json"]
SF_PAGE, OUTREACH_PAGE, COMPOSITE, IDS, LOOK_UP = 2000, 1000, 24, 1000, 200  # rows that one call carries
ALLOWANCE = 250_000  # Outreach calls a year of the smallest plan
INTERVAL = 600
SETTLED = 400  # seconds, more than the overlap


@contextmanager
def people_place(size: int, latency_ms: int = 0) -> Iterator[Place]:
    """Yields a sandbox with `size` contacts and their prospects, linked by a first run and at rest."""
    os.environ["LOAD_PEOPLE"] = str(size)
    try:
        with place("bench:0", latency_ms) as it:
            it.advance(SETTLED)
            for _ in range(2):
                run(it, "--full")
                it.advance(SETTLED)
            yield it
    finally:
        del os.environ["LOAD_PEOPLE"]


def run(it: Place, *options: str) -> tuple[dict[str, object], float]:
    text, cpu = measured([*RUNPASS, *options], it.env, good=(0, 1))
    return json.loads(text), cpu


def edit(it: Place, side: str, count: int, word: str) -> None:
    """Changes the title, or the first name, of the first `count` people of one side."""
    system, kind, field = ("salesforce", "Contact", "Title") if side == "crm" else ("outreach", "prospects", "firstName")
    rows = HTTP.get(f"{it.control}/records/{system}/{kind}", timeout=600).json()
    for row in islice(rows["records"] if isinstance(rows, dict) else rows, count):
        id_ = row.get("Id") or row["id"]
        HTTP.patch(f"{it.control}/records/{system}/{kind}/{id_}", json={field: word}, timeout=60).raise_for_status()


def least(crm: int, peer: int) -> int:
    """The least calls of a run in which so many pairs changed on each side, the same pairs where both did: the sweeps, the
    counterparts that comparing needs, the writes, and our own writes to Outreach that come back in its sweep."""
    sweeps = max(1, math.ceil(crm / SF_PAGE)) + 1 + max(1, math.ceil(max(crm, peer) / OUTREACH_PAGE))
    alone = max(0, peer - crm)
    reads = math.ceil(crm / IDS) + math.ceil(alone / LOOK_UP)
    writes = crm + math.ceil(peer / COMPOSITE)
    return sweeps + reads + writes


def calls(bound: int, sizes: list[int]) -> Iterator[Row]:
    with people_place(bound) as it:
        for size in sizes:
            for crm, peer in dict.fromkeys([(size, 0), (0, size), (size, size)]):
                for side, n in (("crm", crm), ("peer", peer)):
                    edit(it, side, n, f"{side} {size} {crm} {peer}")
                it.advance(1)
                it.calls()
                run(it)
                made = it.calls()
                it.advance(SETTLED)
                run(it)
                it.calls()
                total = made.get("salesforce", 0) + made.get("outreach", 0)
                yield Row(f"two ways, {crm} changed in the CRM, {peer} in the peer: calls", total, least(crm, peer), at_most=1.05, beyond=1)


def resync(size: int) -> Iterator[Row]:
    """A full comparison of pairs that are equal, as after a lost cursor. What a run without a pair costs is not the pairs'."""
    with people_place(size) as it:
        quiet = run(it)[1]
        it.calls()
        ledger, cpu = run(it, "--full")
        made = it.calls()
        pages = math.ceil(size / SF_PAGE) + 1 + math.ceil(size / OUTREACH_PAGE)
        total = made.get("salesforce", 0) + made.get("outreach", 0)
        yield Row(f"full comparison of {size} equal pairs: calls", total, pages, at_most=1.05, beyond=1)
        yield Row("full comparison: writes", float(ledger["updated"]) + float(ledger["created"]), 1, at_most=0)  # type: ignore[arg-type]
        yield Row("full comparison: CPU microseconds a pair, reading included", round(1e6 * (cpu - quiet) / size, 1), 40)


def memory(few: int, many: int) -> Iterator[Row]:
    peaks = {}
    for size in (few, many):
        with people_place(size) as it:
            for side in ("crm", "peer"):
                edit(it, side, size // 100, f"{side} changed")
            it.advance(1)
            peaks[size] = peak_memory(RUNPASS, it.env)
    yield Row(f"memory, 1 % changed on each side, {many} pairs to {few}: MiB", peaks[many], peaks[few], at_most=1.15)


def year(rounds: int) -> Iterator[Row]:
    """Outreach calls of a year without edits, at the default interval, with the daily comparison of ids."""
    with people_place(1000) as it:
        it.calls()
        for _ in range(rounds):
            it.advance(INTERVAL)
            run(it)
        quiet = it.calls().get("outreach", 0) / rounds
        runs = 365 * 86_400 / INTERVAL
        yield Row("Outreach calls a year, quiet, every 600 s", round(quiet * runs), round(0.8 * ALLOWANCE), at_most=1)


def first_load(size: int, rounds: int) -> Iterator[Row]:
    spent = []
    for _ in range(rounds):
        os.environ["LOAD_PEOPLE"] = str(size)
        try:
            with place("bench:0") as it:
                starts = run(it)[1]
                spent.append(1000 * (run(it, "--full")[1] - starts) / size)
        finally:
            del os.environ["LOAD_PEOPLE"]
    yield Row(f"two ways, first meeting of {size} pairs: CPU ms a pair", round(statistics.median(spent), 3), 0)

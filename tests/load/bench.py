"""Ratios on loopback, in one run: `make bench`, `make bench-full` for the large sizes, `make bench-peers` beside dlt and vdirsyncer.

Calls against the least that is possible, CPU against a floor without logic, a quiet pass and memory at many records
against few, latency against what concurrency allows, pages at many rows against few. `--json` prints numbers only.
"""

from __future__ import annotations

import argparse
import json
import math
import statistics
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import mailboxes
import many_mailboxes
import two_way
from peers import contacts, peers
from worlds import Place, Row, bound_place, measured, peak_memory, place

RUNPASS = ["manage.py", "runpass", "organisations", "--json"]
PAGE_ROUNDS = 20
PARALLEL = {"outreach": 8, "workbooks": 5}  # calls that may run side by side


def least_calls(created: int) -> int:
    """Engine-rules 10 for new organisations without people: reads, people reads, write-backs; name searches, one delta
    read of names when there are creates, and the creates."""
    pages = math.ceil(created / 100)
    return max(1, pages) + 2 * pages + math.ceil(created / 50) + bool(created) + created


def calls(sizes: list[int]) -> Iterator[Row]:
    for size in sizes:
        with place(f"bench:{size}") as it:
            it.calls()
            it.run()
            yield Row(f"calls, {size} new", sum(it.calls().values()), least_calls(size), at_most=1.05, beyond=1)


def first_load(size: int, rounds: int) -> Iterator[Row]:
    """CPU of a first load less what starting the command costs, to that of the floor less the same; and both once more
    without what the same calls cost when nothing is stored."""
    spent: dict[str, list[float]] = {"ours": [], "floor": [], "calls": []}
    for _ in range(rounds):  # one after the other, so that a busy machine is busy for all three
        with place("bench:0") as it:
            starts = {"ours": it.run()[1], "floor": it.floor(), "calls": it.floor("--calls-only")}
        with place(f"bench:{size}") as it:
            spent["calls"].append(it.floor("--calls-only") - starts["calls"])
        for name, load in (("ours", lambda it: it.run()[1]), ("floor", Place.floor)):
            with place(f"bench:{size}") as it:
                spent[name].append(load(it) - starts[name])
    ours, floor, http = (1000 * statistics.median(spent[n]) / size for n in ("ours", "floor", "calls"))
    yield Row(f"first load, {size}: CPU ms a record", round(ours, 3), round(floor, 3), at_most=1.5)
    yield Row(f"first load, {size}: without its calls ({http:.3f})", round(ours - http, 3), round(floor - http, 3))


def idle(few: int, many: int, rounds: int) -> Iterator[Row]:
    """A quiet pass, begun more than the overlap after the last change. It reads no record, so the sandbox has few."""
    seconds, counted, cpu = {}, {}, {}
    for size in (few, many):
        with bound_place(size, few) as it:
            seconds[size], counted[size], cpu[size] = _quiet(it, rounds)
    yield Row(f"quiet pass, {many} bindings to {few}: s", seconds[many], seconds[few], at_most=1.5)
    yield Row("quiet pass: calls", counted[many], counted[few], at_most=1)
    yield Row(f"quiet pass, {many} to {few}, warm: CPU ms", cpu[many], cpu[few], ours_at_most=10)


def _quiet(it: Place, rounds: int) -> tuple[float, float, float]:
    it.advance(400)
    it.run()
    it.calls()
    times = []
    for _ in range(rounds):
        it.advance(400)
        times.append(it.run()[0]["seconds"])
    counted = sum(it.calls().values()) / rounds
    warm = json.loads(measured(["tests/load/warm.py", "50"], it.env)[0])
    return statistics.median(times), counted, warm


def latency(size: int, milliseconds: int, rounds: int) -> Iterator[Row]:
    """A first load when every answer takes a while: seconds to those that the allowed parallelism would need."""
    seconds, least = [], []
    for _ in range(rounds):
        with place(f"bench:{size}", milliseconds) as it:
            it.calls()
            seconds.append(it.run()[0]["seconds"])
            made = it.calls()
        least.append(sum(made[name] / side_by_side for name, side_by_side in PARALLEL.items()))
    floor = statistics.median(least) * milliseconds / 1000
    yield Row(f"latency {milliseconds} ms, {size} new: s", statistics.median(seconds), round(floor, 2), at_most=1.2)


def memory(few: int, many: int, bound_few: int, bound_many: int) -> Iterator[Row]:
    """Peak RssAnon of the process that runs the pass, in MiB."""
    load, quiet, full = {}, {}, {}
    for size in (few, many):
        with place(f"bench:{size}") as it:
            load[size] = peak_memory(RUNPASS, it.env)
    for size in (bound_few, bound_many):
        with bound_place(size) as it:
            it.run()
            it.advance(400)
            quiet[size] = peak_memory(RUNPASS, it.env)
            full[size] = peak_memory([*RUNPASS, "--full"], it.env)
    yield Row(f"memory, first load {many} to {few}: MiB", load[many], load[few], at_most=1.15)
    yield Row(f"memory, quiet pass {bound_many} to {bound_few}: MiB", quiet[bound_many], quiet[bound_few], at_most=1.15)
    yield Row(f"memory, full resync {bound_many} to {bound_few}: MiB", full[bound_many], full[bound_few], at_most=1.15)


def pages(few: int, many: int) -> Iterator[Row]:
    """The slowest page by ratio and by time; and what no page may do at any size."""
    found = {}
    for size in (few, many):
        with place("bench:0") as it:
            measured(["tests/load/fill.py", "pages", str(size)], it.env)
            found[size] = json.loads(measured(["tests/load/pages.py", str(PAGE_ROUNDS)], it.env)[0])
    for name, page in found[many].items():
        yield Row(f"page p95, {many} to {few}: {name}, ms", page["p95"], found[few][name]["p95"], at_most=1.5, ours_at_most=250)
    yield Row("pages: most queries", max(p["queries"] for p in found[many].values()), 12, at_most=1)
    yield Row("pages: unbounded counts", sum(len(p["unbounded"]) for p in found[many].values()), 1, at_most=0)


def _each(measure: Callable[..., Iterator[Row]], *sizes: Any) -> Iterator[Row]:
    """Measures both mail systems."""
    for system in ("microsoft", "google"):
        yield from measure(system, *sizes)


MEASURES: dict[str, tuple[Callable[[], Iterator[Row]], Callable[[], Iterator[Row]]]] = {
    "calls": (partial(calls, [0, 1, 1000]), partial(calls, [0, 1, 1000, 10_000])),
    "first-load": (partial(first_load, 2_000, 5), partial(first_load, 20_000, 5)),
    "idle": (partial(idle, 1_000, 20_000, 5), partial(idle, 1_000, 1_000_000, 5)),
    "latency": (partial(latency, 1_000, 100, 3), partial(latency, 1_000, 100, 5)),
    "memory": (partial(memory, 1_000, 8_000, 1_000, 10_000), partial(memory, 10_000, 100_000, 10_000, 1_000_000)),
    "pages": (partial(pages, 10_000, 100_000), partial(pages, 10_000, 1_000_000)),
    "two-way-calls": (partial(two_way.calls, 5_000, [0, 1, 1_000]), partial(two_way.calls, 40_000, [0, 1, 1_000, 10_000])),
    "two-way-resync": (partial(two_way.resync, 10_000), partial(two_way.resync, 100_000)),
    "two-way-memory": (partial(two_way.memory, 2_000, 20_000), partial(two_way.memory, 10_000, 100_000)),
    "two-way-load": (partial(two_way.first_load, 2_000, 3), partial(two_way.first_load, 20_000, 3)),
    "mailbox-calls": (partial(_each, mailboxes.calls, 1_000, [0, 1, 100]), partial(_each, mailboxes.calls, 5_000, [0, 1, 100, 1_000])),
    "mailbox-first": (partial(_each, mailboxes.first_run, 1_000, 50), partial(_each, mailboxes.first_run, 5_000, 50)),
    "mailbox-quiet": (partial(_each, mailboxes.quiet, 200, 2_000), partial(_each, mailboxes.quiet, 1_000, 20_000)),
    "mailboxes": (partial(many_mailboxes.many, 10, 100, 2), partial(many_mailboxes.many, 10, 1_000, 2)),
    "mailboxes-items": (partial(many_mailboxes.many_items, 10, 50, 2), partial(many_mailboxes.many_items, 10, 1_000, 2)),
    "year": (partial(two_way.year, 12), partial(two_way.year, 144)),
}


def show(rows: Iterator[Row], as_json: bool, kept: list[Row]) -> None:
    for row in rows:
        kept.append(row)
        if not as_json:
            met = {True: "met", False: "MISSED", None: ""}[row.is_met]
            print(f"{row.what:<83}{row.ours:>11}{row.least:>11}{row.ratio:>9}  {row.aim:<24}{met}", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--full", action="store_true")
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--peers", action="store_true", help="measure beside dlt and vdirsyncer, and nothing else")
    parser.add_argument("--peer-python", default="", help="a python that has both; without it one is made below var/")
    parser.add_argument("--only", choices=MEASURES)
    chosen = parser.parse_args()
    kept: list[Row] = []
    if not chosen.json:
        print(f"{'measure':<83}{'ours':>11}{'least':>11}{'ratio':>9}  aim")
    if chosen.peers:
        show(peers(20_000, 5, chosen.peer_python), chosen.json, kept)
        show(contacts(1_000, 1_000, 20_000, chosen.peer_python), chosen.json, kept)
    else:
        for name, both in MEASURES.items():
            if chosen.only in (None, name):
                show(both[chosen.full](), chosen.json, kept)
    if chosen.json:
        print(json.dumps([row.as_dict() for row in kept]))


if __name__ == "__main__":
    main()

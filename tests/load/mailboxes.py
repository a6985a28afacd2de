"""Measures of the pass over mailboxes: calls against the least the APIs allow, a first run over a slow network, and whether a
quiet run grows with the folder."""

from __future__ import annotations

import json
import math
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import islice

from worlds import HTTP, Place, Row, measured, place

SF_PAGE, IDS, COLLECTION, COMPOSITE = 2000, 1000, 200, 24  # rows of a query, ids of one, of a question for rights, writes of a call
DELTA = {"microsoft": 1000, "google": 1000}  # changes of a page
WRITES = {"microsoft": 20, "google": 200}  # parts of a $batch, contacts of a batchUpdate
OWNER = {"microsoft": "ann@example.test", "google": "gina@example.test"}
SETTLED = 400  # seconds, more than the overlap
# Calls of one mailbox at a time. Graph works on four requests of a mailbox, and on as many parts of one $batch, so that one of
# twenty fills the mailbox; People wants writes one by one.
AT_ONCE = {"microsoft": 1, "google": 1}


@contextmanager
def mail_place(system: str, size: int, latency_ms: int = 0) -> Iterator[Place]:
    """Yields a sandbox where the mailbox's user owns `size` contacts of Salesforce; nothing was run yet."""
    os.environ |= {"LOAD_OWNED": str(size), "LOAD_OWNER": OWNER[system]}
    try:
        with place("bench:0", latency_ms) as it:
            measured(["tests/load/mail_connect.py", it.control, system], it.env)
            it.advance(SETTLED)
            yield it
    finally:
        for name in ("LOAD_OWNED", "LOAD_OWNER"):  # gone already when several places end
            os.environ.pop(name, None)


def run(it: Place, system: str) -> tuple[dict[str, object], float]:
    text, cpu = measured(["manage.py", "runpass", "contacts", "--mailbox", OWNER[system], "--json"], it.env, good=(0, 1))
    return json.loads(text)["mailboxes"][0], cpu


def fill(it: Place, system: str) -> None:
    """Runs until the folder holds everything: a quota may take several runs. What was written is known then."""
    for _ in range(20):
        ledger, _ = run(it, system)
        it.advance(SETTLED)
        if ledger["state"] == "finished" and not (ledger["created"] or ledger["held"] or ledger["failed"]):
            return
    raise SystemExit(f"the folder of {OWNER[system]} was not filled: {ledger}")


def settle(it: Place, system: str) -> None:
    """Lets the writes of the last run come back and be known."""
    for _ in range(2):
        it.advance(SETTLED)
        run(it, system)
    it.advance(SETTLED)
    it.calls()


def edit(it: Place, system: str, side: str, count: int, word: str) -> None:
    """Changes the job title of the first `count` contacts of one side."""
    kind, field = ("salesforce/Contact", "Title") if side == "crm" else (f"{system}/contact", "jobTitle")
    rows = HTTP.get(f"{it.control}/records/{kind}", timeout=600).json()
    for row in islice(rows["records"] if isinstance(rows, dict) else rows, count):
        id_ = row.get("Id") or row["id"]
        HTTP.patch(f"{it.control}/records/{kind}/{id_}", json={field: word}, timeout=60).raise_for_status()


def least(system: str, crm: int, peer: int) -> int:
    """The least calls of a run: both lists of changes; the counterpart of each change and what a list leaves out, read before
    anything is decided; the rights of the mailbox's user, asked before Salesforce is changed; and what goes over, in batches as
    full as they may be."""
    lists = max(1, math.ceil(crm / SF_PAGE)) + max(1, math.ceil(peer / DELTA[system]))
    items = math.ceil(crm / WRITES[system]) + math.ceil(peer / WRITES[system])
    rights = math.ceil(peer / IDS) + math.ceil(peer / COLLECTION)
    return lists + items + rights + math.ceil(crm / WRITES[system]) + math.ceil(peer / COMPOSITE)


def _made(it: Place, system: str) -> int:
    made = it.calls()
    return made.get("salesforce", 0) + made.get(system, 0)


def calls(system: str, bound: int, sizes: list[int]) -> Iterator[Row]:
    with mail_place(system, bound) as it:
        fill(it, system)
        settle(it, system)
        for size in sizes:
            for crm, peer in dict.fromkeys([(size, 0), (0, size)]):
                for side, n in (("crm", crm), ("peer", peer)):
                    edit(it, system, side, n, f"{side} {size}")
                it.advance(1)
                it.calls()
                run(it, system)
                total = _made(it, system)
                settle(it, system)
                what = f"{system}, {crm} changed in Salesforce, {peer} in the mailbox: calls"
                yield Row(what, total, least(system, crm, peer), at_most=1.05, beyond=2)  # a token of each side


def first_run(system: str, size: int, latency_ms: int) -> Iterator[Row]:
    """The first run of a mailbox over a slow network, against what its calls take if they follow each other without a pause;
    as in a worker of the cluster, which is there already, and as a command."""
    with mail_place(system, size, latency_ms) as it:
        it.calls()
        began = time.monotonic()
        ledger, cpu = run(it, system)
        cold, seconds = time.monotonic() - began, float(str(ledger["seconds"]))
        made = _made(it, system)
        ideal = made / AT_ONCE[system] * latency_ms / 1000
        assert ledger["created"] == size, ledger
        yield Row(f"{system}, first run of {size} contacts at {latency_ms} ms: s", round(seconds, 2), round(ideal, 2), at_most=1.5)
        yield Row(f"{system}, the same with the start of a process: s", round(cold, 2), round(ideal, 2))
        yield Row(f"{system}, first run of {size} contacts: calls", made, least(system, size, 0), at_most=1.05, beyond=8)
        yield Row(f"{system}, first run: CPU ms a contact", round(1000 * cpu / size, 3), 0)


def quiet(system: str, few: int, many: int) -> Iterator[Row]:
    """A run where nothing changed, with a small folder and a large one."""
    cpus, counts = {}, {}
    for size in (few, many):
        with mail_place(system, size) as it:
            fill(it, system)
            settle(it, system)
            spent = []
            for _ in range(3):
                it.advance(SETTLED)
                spent.append(run(it, system)[1])
            cpus[size], counts[size] = min(spent), round(_made(it, system) / 3, 2)
    yield Row(f"{system}, quiet run, {many} contacts to {few}: calls", counts[many], counts[few], at_most=1)
    yield Row(f"{system}, quiet run, {many} contacts to {few}: CPU s", round(cpus[many], 3), round(cpus[few], 3), at_most=1.1)

"""Acceptance 3: e-mails that are seen twice, in two mailboxes each, with crashes on the way, are in Salesforce exactly once each.

Counted in the sandbox, not in our tables. `make emails` saves 100,000 of them and prints the figures; `make test` some hundred.
"""

from __future__ import annotations

import os
import random
import time
from collections import Counter

import pytest

from reconciliation.engine import email_rows, emails, executor
from reconciliation.models import Email, EmailCopy, Operation
from tests.posted import posted

pytestmark = pytest.mark.django_db
MAILS = int(os.environ.get("EMAILS") or (100_000 if os.environ.get("ACCEPT") else 300))
PEOPLE = 50
CRASH_EVERY = 0.1  # of the points at which a run can die
POINTS = (
    (email_rows, "note_copies"),
    (emails, "_read"),
    (emails, "_link"),
    (executor.Executor, "intend"),
    (executor, "_call"),
    (email_rows, "saved"),
    (emails, "_close_solved"),
)


class Died(BaseException):
    """The process ends here."""


class Killer:
    """Lets a run die now and then, before or after one of the points; each mailbox has its own fate."""

    def __init__(self, monkeypatch, seed: int) -> None:
        self._random, self.deaths = random.Random(seed), 0
        for place, name in POINTS:
            monkeypatch.setattr(place, name, self._wrapped(getattr(place, name)))

    def _wrapped(self, real):
        def dying(*given, **more):
            fate = self._random.random()
            if fate < CRASH_EVERY / 2:
                self.deaths += 1
                raise Died
            answer = real(*given, **more)
            if fate < CRASH_EVERY:
                self.deaths += 1
                raise Died
            return answer

        return dying


def lay(box, address, numbers):
    """Lays these mails into a mailbox, many at once."""
    at = box.clock().isoformat()
    rows = [
        {
            "mailbox": address,
            "subject": f"Mail {n}",
            "from": f"Person {n % PEOPLE} <p{n % PEOPLE}@acme.example>",
            "to": [f"{address}"],
            "body": f"This is mail number {n}.",
            "internetMessageId": f"<{n}@acme.example>",
            "categories": ["Salesforce"],
            "receivedDateTime": at,
        }
        for n in numbers
    ]
    for start in range(0, len(rows), 5000):
        box.mail._parts.messages_by_hand.create_many(rows[start : start + 5000])


def run_until_quiet(box, address, most=100_000):
    """Runs the mailbox again and again, whatever happens to each run, until one finds nothing to do."""
    runs = 0
    while runs < most:
        runs += 1
        try:
            run = box.run(address, forward=1800)
        except Died:
            continue
        is_open = EmailCopy.objects.filter(sync_pass=box.passes[address], is_open=True).exists()
        if run.state == "finished" and not run.created and not is_open:
            return runs
    raise AssertionError("it comes to no rest")


def test_each_email_is_in_salesforce_exactly_once(monkeypatch):
    box = posted()
    box.switch(page_size=2000)
    for n in range(PEOPLE):
        box.contact(f"Person {n}", f"p{n}@acme.example")
    for address in (box.mine, box.theirs):
        box.run(address)
    lost = {"kind": "lost_answer", "system": "salesforce", "method": "POST", "probability": 0.02}
    killer = Killer(monkeypatch, seed=7)
    started, runs = time.monotonic(), 0
    step = max(MAILS // 10, 1)
    box.world.faults.add({**lost, "path": "/services/data/{v}/composite"})

    for start in range(0, MAILS, step):  # they come bit by bit, now to one mailbox first, now to the other
        numbers = range(start, min(start + step, MAILS))
        both = [box.mine, box.theirs] if (start // step) % 2 else [box.theirs, box.mine]
        for address in both:
            lay(box, address, numbers)
        for address in both:
            runs += run_until_quiet(box, address)
    box.lose_cursors()  # everything is seen a second time
    for address in (box.mine, box.theirs):
        runs += run_until_quiet(box, address)
    box.world.faults.all.clear()
    for address in (box.mine, box.theirs):
        runs += run_until_quiet(box, address)

    made = Counter(row["MessageIdentifier"] for row in box.world.salesforce.list_records("EmailMessage"))  # deleted ones, too
    seconds = time.monotonic() - started
    print(f"\n{MAILS:,} e-mails, 2 mailboxes, {runs:,} runs, {killer.deaths:,} deaths: {len(made):,} in Salesforce, {seconds:,.0f} s")
    assert len(made) == MAILS and set(made.values()) == {1}
    drafts = [row for row in box.emails() if row["Status"] == "5"]
    assert not drafts and not Operation.objects.filter(state__in=Operation.OPEN).exists()
    assert Email.objects.filter(state="saved").count() == MAILS and killer.deaths > 0
    relations = Counter(row["EmailMessageId"] for row in box.world.salesforce.list_records("EmailMessageRelation"))
    assert set(relations.values()) == {1} and len(relations) == MAILS

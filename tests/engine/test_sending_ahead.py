"""While a wave of writes is settled the next is on its way; whatever happens then, each write sent is settled."""

import threading
from dataclasses import replace

import pytest
from django.contrib.auth.models import User

from reconciliation.engine.executor import Executor
from reconciliation.models import Operation
from reconciliation.services.stop_writes import writes_stop
from tests.sandboxed import make

pytestmark = [pytest.mark.django_db, pytest.mark.both_databases]
MANY = 60


@pytest.fixture
def box():
    box = make()
    box.wiring = replace(box.wiring, workers=8)
    for n in range(MANY):
        box.organisation(f"Company {n}")
    return box


def is_create(request):
    return request.method == "POST" and request.path.endswith("/accounts")


def test_the_next_wave_is_on_its_way_before_the_first_is_settled(box, monkeypatch):
    first, begun = {}, threading.Event()
    handle, claim, settle = box.world.outreach.handle, Executor._claim, Executor._settle

    def claimed(self, wave):
        first.setdefault("wave", {op.source_ref for op in wave if op.object_type == "account"})
        claim(self, wave)

    def seen(request):
        if is_create(request):
            seen.calls += 1
            if seen.calls > len(first["wave"]):
                begun.set()
        return handle(request)

    def settled(self, done, what):
        if done[0].operation.source_ref in first["wave"]:
            first.setdefault("was_ahead", begun.wait(20))
        settle(self, done, what)

    seen.calls = 0
    monkeypatch.setattr(Executor, "_claim", claimed)
    monkeypatch.setattr(Executor, "_settle", settled)
    monkeypatch.setattr(box.world.outreach, "handle", seen)

    run = box.run()

    assert 0 < len(first["wave"]) < MANY
    assert first["was_ahead"]
    assert (run.state, run.created, len(box.accounts())) == ("finished", MANY, MANY)


@pytest.mark.parametrize("claims", [1, 2])
def test_a_stop_leaves_no_write_that_was_sent_unsettled(box, monkeypatch, claims):
    claim, waves = Executor._claim, []
    olga = User.objects.create(username="olga")

    def claim_or_stop(self, wave):
        waves.append(len(wave))
        if len(waves) == claims + 1:
            writes_stop(olga, "in the middle")
        claim(self, wave)

    monkeypatch.setattr(Executor, "_claim", claim_or_stop)

    run = box.run()

    states = Operation.objects.filter(object_type="account").values_list("state", flat=True)
    assert not set(states) & set(Operation.OPEN)
    assert len(box.accounts()) == list(states).count("confirmed") == sum(waves[:claims])
    assert run.created == len(box.accounts())
    assert run.created + run.held == run.seen == MANY


def test_what_was_sent_and_could_not_be_settled_is_neither_lost_nor_made_twice(box, monkeypatch):
    settle, started = Executor._settle, threading.Event()

    def lost(self, done, what):
        if done[0].operation.object_type == "account":
            started.set()
            raise RuntimeError("the disk is full")
        settle(self, done, what)

    monkeypatch.setattr(Executor, "_settle", lost)
    run = box.run()
    made = len(box.accounts())
    monkeypatch.setattr(Executor, "_settle", settle)

    assert started.is_set() and run.state == "failed"
    assert made < MANY  # no third wave
    for _ in range(3):
        box.run(forward=1200)

    assert len(box.accounts()) == MANY == len({a["name"] for a in box.accounts()})

"""Interrupted, paused and overtaken runs: the ledger tells what happened, and nothing is lost, doubled or blamed."""

from dataclasses import replace

import pytest

from connectors.sandbox.wire import Response
from reconciliation.engine import gather, organisations
from reconciliation.engine.context import Order
from reconciliation.engine.runner import run_pass
from reconciliation.models import Binding, Case, FieldRule, Operation, RunEvent, SyncPass
from tests.sandboxed import ERROR, make

pytestmark = [pytest.mark.django_db, pytest.mark.both_databases]


@pytest.fixture
def box():
    return make()


def failing(box, fits):
    """Outreach answers 503 to what fits, until the returned switch is set."""
    handle = box.world.outreach.handle
    state = {"cured": False}

    def answer(request):
        if not state["cured"] and fits(request):
            return Response(503, b"{}", template="x")
        return handle(request)

    box.world.outreach.handle = answer
    return state


def after(n):
    seen = {"n": 0}

    def fits(request):
        if request.method == "POST" and request.path.endswith("/accounts"):
            seen["n"] += 1
            return seen["n"] > n
        return False

    return fits


@pytest.mark.parametrize("workers", [0, 8])
def test_the_ledger_of_an_interrupted_run_counts_what_was_done(box, workers):
    box.wiring = replace(box.wiring, workers=workers)
    for n in range(60):
        box.organisation(f"Company {n}")
    failing(box, after(2))

    run = box.run()

    assert run.state == "interrupted"
    assert run.created == len(box.accounts()) == RunEvent.objects.filter(outcome="created").count()
    assert run.created + run.held == run.seen == 60
    assert not Operation.objects.filter(context__alone=True).exists()


def test_an_outage_is_no_records_own_trouble_though_they_are_sent_one_by_one(box):
    ids = [box.organisation(f"Company {n}") for n in range(20)]
    switch = failing(box, after(2))

    for _ in range(6):
        box.run(forward=1200)
    switch["cured"] = True
    box.run(forward=1200)
    box.run(forward=1200)

    assert len(box.accounts()) == 20
    assert not any(box.show(id_)[ERROR] for id_ in ids)
    assert not Case.objects.exists()


def test_single_hiccups_on_different_days_are_no_error(box):
    box.wiring = replace(box.wiring, workers=8)
    ids = [box.organisation(f"Company {n}", industry="0") for n in range(4)]
    box.run()
    on = {"now": False}
    failing(box, lambda q: on["now"] and q.method == "PATCH" and b"cursed" in q.body)

    for day in range(7):
        on["now"] = True
        box.edit(ids[0], industry=f"cursed {day}")
        for id_ in ids[1:]:
            box.edit(id_, industry=str(day))
        box.run(forward=86400)
        on["now"] = False
        box.run()

    assert not Case.objects.exists()
    assert box.accounts("Company 0")[0]["industry"] == "cursed 6"


def test_what_was_to_be_tried_again_survives_an_outage(box):
    id_ = box.organisation("Northwind", industry="Food")
    box.run()
    box.edit(id_, industry="Health")
    Binding.objects.update(is_retry_due=True)
    box.clock.forward(600)
    SyncPass.objects.update(last_run_time=box.clock.at)
    switch = failing(box, lambda q: True)
    box.run()
    switch["cured"] = True

    box.run(forward=1000)

    assert box.accounts()[0]["industry"] == "Health"


def test_the_brake_counts_a_page_that_is_tried_again_once(box):
    FieldRule.objects.filter(peer_field="industry").update(blank_to_peer=True)
    ids = [box.organisation(f"Company {n}", industry="Food") for n in range(20)]
    box.run()
    box.run(forward=600)
    for id_ in ids:
        box.edit(id_, industry=None)
    switch = failing(box, lambda q: q.method == "PATCH")
    for _ in range(3):
        box.run(forward=400)
    switch["cured"] = True

    run = box.run(forward=1000)

    assert (run.state, run.updated) == ("finished", 20)


def test_a_machine_that_slept_beyond_its_lease_creates_nothing(box, monkeypatch):
    asleep = box.clock.seconds()  # the process's own clock stood still meanwhile
    box.wiring = replace(box.wiring, monotonic=lambda: asleep)
    box.organisation("Northwind")
    real, done = gather.names_in_flight, []

    def sleeping(*arguments):
        found = real(*arguments)
        if not done:
            done.append(1)
            box.clock.forward(200)
            run_pass(SyncPass.objects.get(), Order(), box.wiring)
        return found

    monkeypatch.setattr(gather, "names_in_flight", sleeping)

    run = box.run()

    assert run.state == "interrupted"
    assert "Another run took over" in run.note
    assert len(box.accounts()) == 1


def test_a_frozen_holder_puts_no_old_base_over_a_newer_one(box, monkeypatch):
    id_ = box.organisation("Northwind", industry="Food")
    box.run()
    box.run(forward=600)
    box.edit(id_, organisation_category="x")
    real, done = organisations._bind_without_write, []

    def late(context, work):
        if not done:
            done.append(1)
            box.clock.forward(200)
            box.edit(id_, industry="Health")
            run_pass(SyncPass.objects.get(), Order(), box.wiring)
        return real(context, work)

    monkeypatch.setattr(organisations, "_bind_without_write", late)
    assert box.run().state == "interrupted"
    monkeypatch.undo()

    box.clock.forward(5)
    box.edit(id_, industry="Food")
    box.run()

    assert box.accounts()[0]["industry"] == "Food"

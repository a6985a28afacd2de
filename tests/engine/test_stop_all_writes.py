"""While an admin has stopped all writes nothing is sent, whatever path is taken; passes go on planning."""

import ast
from pathlib import Path

import pytest
from django.contrib.auth.models import User

from reconciliation import jobs
from reconciliation.engine.executor import Executor
from reconciliation.engine.stop import WritesStopped
from reconciliation.models import AuditEntry, Binding, Case, Operation, Policy, Run, SyncPass
from reconciliation.services import duplicates
from reconciliation.services.case_refresh import cases_refresh
from reconciliation.services.duplicates import Decision
from reconciliation.services.errors import error_retry
from reconciliation.services.owners import owners_recheck
from reconciliation.services.stop_writes import StopRefused, writes_allow, writes_stop
from reconciliation.services.undo import undo, undoable
from tests.sandboxed import DUPLICATE, ERROR, PEER_ID, make

pytestmark = [pytest.mark.django_db, pytest.mark.both_databases]


@pytest.fixture
def olga():
    return User.objects.create(username="olga")


@pytest.fixture
def box():
    """Work of every kind waits: a new and an edited organisation, a duplicate, an error, a person on the wrong account."""
    box = make()
    box.world.outreach.create_record("accounts", {"name": "Taken"})
    box.organisation("Taken")
    box.broken = box.organisation("Broken")
    fault = {"kind": "status", "system": "outreach", "method": "POST", "path": "/api/v2/accounts"}
    box.world.faults.add({**fault, "status": 422, "times": 1})
    box.run()
    box.bound = box.organisation("Bound", industry="Food", assigned_to_name="nobody.known")
    box.run()
    box.clock.forward(300)
    box.run()
    assert Case.objects.filter(kind="error").count() == 1
    box.edit(box.bound, industry="Health")
    prospect = box.world.outreach.create_record("prospects", {"emails": ["ada@bound.example"], "account": None})
    box.world.workbooks.create_record(
        "people",
        {"name": "Ada", "employer_link": box.bound, "cf_person_sync_to_outreach": True, "cf_person_outreach_id": str(prospect["id"])},
    )
    box.new = box.organisation("New")
    box.calls()
    return box


def writes(box):
    return {k: n for k, n in box.calls().items() if not k.startswith("GET")}


def test_a_pass_plans_and_sends_nothing_and_goes_on_where_it_stood(box, olga):
    writes_stop(olga, "the price list is wrong")
    before = SyncPass.objects.values().get()

    run = box.run(kind=Run.Kind.SCHEDULED)

    assert writes(box) == {}
    assert (run.state, run.kind, run.created, run.updated) == ("held", "preview", 1, 1)
    assert "All writes are stopped by olga: the price list is wrong." in run.note
    after = SyncPass.objects.values().get()
    assert {k for k in before if before[k] != after[k]} <= {"names_read_until"}

    writes_allow(olga)
    run = box.run(kind=Run.Kind.SCHEDULED)
    assert (run.state, run.created, run.updated) == ("finished", 1, 1)
    assert box.accounts("Bound")[0]["industry"] == "Health"


@pytest.mark.parametrize("order", [{}, {"is_full": True}, {"kind": "preview"}, {"kind": "scheduled", "budget": 5.0}])
def test_no_run_of_any_kind_sends(box, olga, order):
    writes_stop(olga, "x")

    box.run(**order)

    assert writes(box) == {}


def test_a_plan_is_not_carried_out_and_is_kept(box, olga):
    preview = box.run(kind=Run.Kind.PREVIEW)
    writes_stop(olga, "x")

    run = box.run(kind=Run.Kind.APPLY, apply_of=preview.pk)

    assert (run.state, writes(box)) == ("held", {})
    writes_allow(olga)
    assert box.run(kind=Run.Kind.APPLY, apply_of=preview.pk).created == 1


def test_what_a_stopped_run_planned_can_be_carried_out_when_writes_are_allowed(box, olga):
    writes_stop(olga, "x")
    planned = box.run(kind=Run.Kind.SCHEDULED)
    writes_allow(olga)

    run = box.run(kind=Run.Kind.APPLY, apply_of=planned.pk)

    assert (run.state, run.created, run.updated) == ("finished", 1, 1)
    assert SyncPass.objects.get().approved_blanking == []


DECISIONS = {
    "link": lambda box, olga: duplicates.duplicate_link(Decision(duplicate(), olga, wiring=box.wiring), "1"),
    "different": lambda box, olga: duplicates.duplicate_different(Decision(duplicate(), olga, wiring=box.wiring)),
    "stop": lambda box, olga: duplicates.duplicate_stop(Decision(duplicate(), olga, wiring=box.wiring)),
    "retry": lambda box, olga: error_retry([Case.objects.get(kind="error")], olga, wiring=box.wiring),
    "undo": lambda box, olga: undo(box.sync_pass, list(undoable(Run.objects.last())), olga, wiring=box.wiring),
    "look again": lambda box, olga: cases_refresh(box.sync_pass, "olga", wiring=box.wiring),
}


def duplicate():
    return Case.objects.get(kind="duplicate")


@pytest.mark.parametrize("decision", DECISIONS)
def test_a_decision_that_would_write_is_refused_with_a_sentence(box, olga, decision):
    writes_stop(olga, "the price list is wrong")
    before = list(Case.objects.order_by("pk").values())

    with pytest.raises(WritesStopped, match="All writes are stopped by olga: the price list is wrong. Nothing was written."):
        DECISIONS[decision](box, olga)

    assert writes(box) == {}
    assert list(Case.objects.order_by("pk").values()) == before


def test_looking_for_owners_goes_on_since_it_only_reads(box, olga):
    writes_stop(olga, "x")
    Binding.objects.update(is_without_owner=True)

    box.world.outreach.create_record("users", {"username": "nobody.known"})
    box.calls()

    found = owners_recheck(box.sync_pass, "olga", wiring=box.wiring)

    calls = box.calls()
    assert found == 1  # the binding of “Bound”
    assert calls.pop("GET /api/v2/users") >= 1 and not [call for call in calls if not call.startswith("GET")]


@pytest.mark.parametrize("claims", range(5))
def test_a_stop_in_the_middle_of_a_run_lets_nothing_more_out(box, olga, monkeypatch, claims):
    """The switch is moved when the run has sent so many waves and is about to send the next: flags and Ids owed by earlier
    runs, accounts, what is written back of them, prospects. What is owed stays owed."""
    Binding.objects.update(is_write_back_due=True)
    Case.objects.filter(kind="duplicate").update(flag=Case.Flag.OWED)
    box.twin = box.organisation("Taken too")
    box.world.outreach.create_record("accounts", {"name": "Taken too"})
    claim, waves = Executor._claim, []

    def claim_or_stop(self, wave):
        if len(waves) == claims and not Policy.objects.filter(writes_stopped_at__isnull=False):
            box.calls()
            writes_stop(olga, "in the middle")
        waves.append(wave[0].kind)
        return claim(self, wave)

    monkeypatch.setattr(Executor, "_claim", claim_or_stop)
    run = box.run(kind=Run.Kind.SCHEDULED)

    assert len(waves) == claims + 1, waves
    assert writes(box) == {}
    assert (run.state, "in the middle" in run.note) == ("held", True)
    assert not Operation.objects.filter(state__in=Operation.OPEN).exists()
    writes_allow(olga)
    box.run()
    box.run()
    assert box.show(box.new)[PEER_ID] and len(box.accounts("New")) == 1
    assert box.accounts("Bound")[0]["industry"] == "Health"
    assert {p["account"] for p in box.world.outreach.list_records("prospects")} == {box.accounts("Bound")[0]["id"]}
    assert (box.show(box.broken)[ERROR], box.show(box.twin)[DUPLICATE]) == (True, True)


def test_flags_of_new_duplicates_wait(box, olga):
    box.run()
    box.world.outreach.create_record("accounts", {"name": "Also taken"})
    twin = box.organisation("Also taken")
    writes_stop(olga, "x")

    box.run()
    assert not box.show(twin).get(DUPLICATE)
    writes_allow(olga)
    box.run()

    assert box.show(twin)[DUPLICATE] is True


def test_the_executor_is_the_only_place_that_calls_write():
    """The stop is held where operations are claimed; a second place that writes would pass it by."""
    root = Path(__file__).resolve().parents[2] / "reconciliation"
    calling = set()
    for path in root.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            is_write = isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr == "write"
            if is_write and "connector" in ast.unparse(node.func.value):
                calling.add(path.name)

    assert calling == {"executor.py"}


def test_a_refused_errand_of_the_queue_leaves_a_run_that_says_why(box, olga, monkeypatch):
    monkeypatch.setattr("reconciliation.engine.connections.open_connector", lambda row, **o: box.wiring.open_connector(row, **o))
    writes_stop(olga, "x")

    jobs.retry_errors([Case.objects.get(kind="error").pk], olga.pk)

    run = Run.objects.order_by("pk").last()
    assert (run.state, writes(box)) == ("held", {})
    assert "Retry 1 error. All writes are stopped by olga: x." in run.note
    assert "All writes are stopped" in jobs.refresh_cases("organisations")


def test_a_stopped_pass_plans_every_quarter_of_an_hour_and_is_due_at_once_when_allowed(box, olga, monkeypatch):
    monkeypatch.setattr("reconciliation.engine.connections.open_connector", lambda row, **o: box.wiring.open_connector(row, **o))
    SyncPass.objects.update(next_due_at=None)
    writes_stop(olga, "x")

    assert jobs.tick("organisations").endswith("held")
    planned = SyncPass.objects.get()
    assert (planned.next_due_at - Run.objects.order_by("pk").last().started_at).total_seconds() == 900
    writes_allow(olga)

    assert SyncPass.objects.get().next_due_at < planned.next_due_at


def test_stopping_takes_a_reason_and_both_ways_are_audited(olga):
    with pytest.raises(StopRefused, match="Say why"):
        writes_stop(olga, "  ")
    writes_stop(olga, "the price list is wrong")
    with pytest.raises(StopRefused, match="already"):
        writes_stop(olga, "again")
    writes_allow(olga, "mended")
    with pytest.raises(StopRefused, match="allowed already"):
        writes_allow(olga)

    said = [(e.action, e.detail["reason"]) for e in AuditEntry.objects.order_by("pk")]
    assert said == [("stop all writes", "the price list is wrong"), ("allow writes again", "mended")]

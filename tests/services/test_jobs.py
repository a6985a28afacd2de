"""What the cluster carries out: due or not, a channel or none, the weekly comparison, bulk work of staff."""

from datetime import timedelta

import pytest
from django.contrib.auth.models import User
from django.utils import timezone

from reconciliation import jobs
from reconciliation.engine import lease
from reconciliation.engine.context import Order
from reconciliation.engine.runner import run_pass
from reconciliation.models import Case, LookAgain, Run, SyncPass
from reconciliation.services.errors import error_retry
from tests.sandboxed import DUPLICATE, ERROR, make

pytestmark = [pytest.mark.django_db, pytest.mark.both_databases]


@pytest.fixture
def asked(monkeypatch):
    """Collects the tasks that would go to the queue."""
    tasks = []
    monkeypatch.setattr(jobs, "async_task", lambda name, *arguments, **options: tasks.append((name.rsplit(".", 1)[-1], arguments)))
    return tasks


@pytest.fixture
def box(monkeypatch):
    box = make()
    monkeypatch.setattr(jobs, "run_pass", lambda sync_pass, order: box.run(**{f: getattr(order, f) for f in ("kind", "is_full", "budget")}))
    monkeypatch.setattr(jobs.worlds, "check", lambda sync_pass: None)
    monkeypatch.setattr("reconciliation.engine.connections.open_connector", lambda row, **o: box.wiring.open_connector(row, **o))
    return box


def save(box, **values):
    for name, value in values.items():
        setattr(box.sync_pass, name, value)
    box.sync_pass.save()


def test_a_pass_that_is_off_paused_held_or_not_due_does_not_run(box, asked):
    for values, said in [
        ({"is_on": False}, "off"),
        ({"is_on": True, "is_paused": True}, "paused"),
        ({"is_paused": False, "hold_reason": "a mapping"}, "held"),
        ({"hold_reason": "", "next_due_at": timezone.now() + timedelta(minutes=5)}, "not due"),
    ]:
        save(box, **values)
        assert jobs.tick("organisations") == said
    assert not Run.objects.exists()


def test_a_pass_without_a_channel_says_that_it_waits_and_since_when(box, asked):
    held = lease.take(f"channel:{box.sync_pass.crm_id}:0", "another process")

    assert jobs.tick("organisations") == "waits for a process channel"
    box.sync_pass.refresh_from_db()
    assert box.sync_pass.channel_wanted_at is not None

    held.release()
    assert jobs.tick("organisations").endswith("finished")
    box.sync_pass.refresh_from_db()
    assert box.sync_pass.channel_wanted_at is None


def test_everything_is_compared_once_a_week(box, asked):
    jobs.tick("organisations")
    box.sync_pass.refresh_from_db()
    assert timedelta(days=6) < box.sync_pass.next_full_at - timezone.now() <= timedelta(days=7)
    assert not Run.objects.latest("pk").is_full

    save(box, next_full_at=timezone.now() - timedelta(seconds=1), next_due_at=None)
    jobs.tick("organisations")

    assert Run.objects.latest("pk").is_full
    box.sync_pass.refresh_from_db()
    assert box.sync_pass.next_full_at > timezone.now() + timedelta(days=6)


def test_no_full_comparison_when_it_is_switched_off_or_a_sweep_is_under_way(box, asked):
    due = timezone.now() - timedelta(days=1)
    save(box, full_every_days=0, next_full_at=due)
    assert jobs._is_full_due(box.sync_pass) is False
    save(box, full_every_days=7, sweep_started_at=timezone.now())
    assert jobs._is_full_due(box.sync_pass) is False


def test_a_partial_run_asks_for_its_continuation_at_once(box, asked):
    for n in range(150):
        box.organisation(f"Company {n}")
    save(box, time_budget_seconds=0)

    jobs.tick("organisations")

    assert Run.objects.latest("pk").state == "partial"
    assert asked == [("run_now", ("organisations", "continuation"))]


def test_many_errors_are_re_armed_by_one_job_and_the_pass_tries_them(box, asked):
    ids = [box.organisation(f"Refused {n}") for n in range(3)]
    box.world.faults.add({"kind": "status", "status": 422, "system": "outreach", "method": "POST", "path": "/api/v2/accounts", "times": 3})
    box.run()
    olga = User.objects.create(username="olga")

    said = jobs.retry_errors(list(Case.objects.values_list("pk", flat=True)), olga.pk)

    assert said == "3 of 3 re-armed"
    assert not any(box.show(id_)[ERROR] for id_ in ids)
    assert asked == [("run_now", ("organisations", "olga"))]


@pytest.mark.parametrize("first", ["organisations", "prospects"])
def test_errors_of_two_passes_are_re_armed_each_by_its_own_pass(first):
    box = make(with_salesforce=True)
    for path in ("accounts", "prospects"):
        box.world.faults.add(
            {"kind": "status", "status": 422, "system": "outreach", "method": "POST", "path": f"/api/v2/{path}", "times": 1}
        )
    organisation = box.organisation("Refused")
    person = box.world.salesforce.create_record("Contact", {"LastName": "Evans", "Email": "eve@acme.example"})["Id"]
    for name in ("organisations", "prospects"):
        box.clock.forward(600)
        run_pass(SyncPass.objects.get(name=name), Order(), box.wiring)
    cases = list(Case.objects.filter(kind="error").order_by("sync_pass__name" if first == "organisations" else "-sync_pass__name"))
    assert [c.sync_pass.name for c in cases] == sorted(["organisations", "prospects"], reverse=first != "organisations")

    assert error_retry(cases, User.objects.create(username="olga"), wiring=box.wiring) == 2

    assert not box.show(organisation)[ERROR] and not Case.objects.filter(state="open").exists()
    assert list(LookAgain.objects.values_list("sync_pass__name", "record_id")) == [("prospects", person)]


def test_chosen_duplicates_are_linked_by_a_job(box, asked):
    box.world.outreach.create_record("accounts", {"name": "Acme", "domain": "acme.example"})
    id_ = box.organisation("Acme", website="https://acme.example")
    box.run()
    olga = User.objects.create(username="olga")
    from reconciliation.services.duplicate_bulk import equal_domains

    assert jobs.link_duplicates([row.key for row in equal_domains()], olga.pk) == "1 linked, 0 refused"
    assert box.show(id_)[DUPLICATE] is False


def test_owners_are_looked_up_by_a_job_and_a_find_asks_for_a_run(box, asked):
    box.organisation("Ownerless", assigned_to_name="Somebody New")
    box.run()
    assert jobs.recheck_owners("organisations") == "0 owners found"
    box.world.outreach.create_record("users", {"username": "Somebody New"})

    assert jobs.recheck_owners("organisations") == "1 owner found"
    assert asked == [("run_now", ("organisations", ""))]
    assert jobs.recheck_owners("no such pass") == "off"


def test_a_click_that_finds_the_pass_at_work_is_tried_again_and_then_said(box, asked, monkeypatch):
    later = []
    monkeypatch.setattr(jobs, "schedule", lambda name, *arguments, **options: later.append((name, arguments)))
    monkeypatch.setattr("reconciliation.engine.staff.WAIT_SECONDS", 0)
    monkeypatch.setattr("reconciliation.engine.staff._wait_for_lease", busy)
    box.organisation("Refused")
    box.world.faults.add({"kind": "status", "status": 422, "system": "outreach", "method": "POST", "path": "/api/v2/accounts", "times": 1})
    box.run()
    olga, ids = User.objects.create(username="olga"), list(Case.objects.values_list("pk", flat=True))

    assert "tried again" in jobs.retry_errors(ids, olga.pk)
    assert later == [("reconciliation.jobs.retry_errors", (ids, olga.pk, 1))]

    assert jobs.retry_errors(ids, olga.pk, tries=jobs.MOST_TRIES) == "given up"
    run = Run.objects.latest("pk")
    assert (run.kind, run.state, run.started_by) == ("staff", "failed", "olga")
    assert "nothing was done" in run.note


def busy(*arguments):
    raise jobs.Busy


def test_a_wait_that_a_system_asked_for_is_kept_to_the_second(box, asked):
    save(box, is_on=True, trouble_count=1, next_due_at=timezone.now() + timedelta(seconds=20))
    assert jobs.tick("organisations") == "not due"

    save(box, trouble_count=0)
    assert jobs.tick("organisations") != "not due"


def test_a_full_comparison_that_could_not_begin_stays_due(box, asked, monkeypatch):
    def held(sync_pass, order):
        raise lease.LeaseHeld("pass:organisations")

    due = timezone.now() - timedelta(seconds=1)
    save(box, is_on=True, next_full_at=due, next_due_at=None)
    monkeypatch.setattr(jobs, "run_pass", held)

    jobs.tick("organisations")

    box.sync_pass.refresh_from_db()
    assert box.sync_pass.next_full_at == due

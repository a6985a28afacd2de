"""What is old is removed, in batches and bounded time; what must stay stays, however old it is."""

from datetime import timedelta

import pytest
from django.contrib.auth.models import User
from django.core.management import call_command
from django.utils import timezone

from reconciliation import jobs
from reconciliation.models import (
    AuditEntry,
    Binding,
    Case,
    ConflictField,
    Import,
    ImportRow,
    Operation,
    RememberedPair,
    Retention,
    Run,
    RunEvent,
)
from reconciliation.services import retention
from reconciliation.services.audit import audit
from reconciliation.services.retention import Keep, RetentionRefused, prune, retention_of, retention_set
from tests.admin.test_pages import log_in
from tests.sandboxed import make

pytestmark = [pytest.mark.django_db, pytest.mark.both_databases]
NOW = timezone.now()
OLD, MIDDLE, YOUNG = NOW - timedelta(days=401), NOW - timedelta(days=15), NOW - timedelta(days=13)


@pytest.fixture
def box():
    return make()


def run_at(box, at, **values):
    return Run.objects.create(sync_pass=box.sync_pass, state=values.pop("state", "finished"), started_at=at, ended_at=at, **values)


def write(run, **values):
    count = Operation.objects.count()
    row = {"connection": run.sync_pass.peer, "kind": "update", "object_type": "account", "state": "confirmed"}
    row |= {"writer_key": str(count), "run": run, "intended_at": run.started_at, "source_ref": "workbooks:organisation:1"}
    return Operation.objects.create(
        **{**row, "run": run, "intended_at": run.started_at, "source_ref": "workbooks:organisation:1", **values}
    )


def event(run, outcome="created", at=None):
    return RunEvent.objects.create(run=run, crm_ref="workbooks:organisation:1", outcome=outcome, at=at or run.started_at)


def case(box, at, **values):
    row = {"kind": "error", "crm_id": str(Case.objects.count()), "reason": "refused", "sentence": "x", "opened_at": at}
    return Case.objects.create(sync_pass=box.sync_pass, **{**row, "state": "resolved", "closed_at": at, **values})


def test_what_is_older_than_the_defaults_goes_and_the_rest_stays(box):
    old, middle, young = (run_at(box, at) for at in (OLD, MIDDLE, YOUNG))
    for run in (old, middle, young):
        write(run)
        for outcome in ("created", "unchanged", "excluded"):
            event(run, outcome)
        case(box, run.started_at)

    done = prune(now=NOW)

    assert done.removed == {"writes": 1, "decisions": 1, "quiet events": 4, "events": 1, "runs": 1} and done.is_complete
    assert set(Run.objects.values_list("pk", flat=True)) == {middle.pk, young.pk}
    assert sorted(RunEvent.objects.values_list("run_id", "outcome")) == sorted(
        [(middle.pk, "created"), *((young.pk, o) for o in ("created", "unchanged", "excluded"))]
    )
    assert set(Operation.objects.values_list("run_id", flat=True)) == {middle.pk, young.pk}
    assert Case.objects.count() == 2
    assert prune(now=NOW).removed == {}


def test_old_imports_go_with_their_rows_and_what_a_younger_one_leads_to_stays(box):
    for at, state in ((OLD, "finished"), (OLD, "running"), (YOUNG, "finished")):
        batch = Import.objects.create(sync_pass=box.sync_pass, source="csv", title="x", state=state, same_email="prevent", created_at=at)
        ImportRow.objects.create(batch=batch, number=1, given="x", state="failed", case=case(box, OLD), run=run_at(box, OLD))

    done = prune(now=NOW)

    assert done.removed == {"rows of imports": 1, "imports": 1, "decisions": 1, "runs": 1}
    assert (Import.objects.count(), ImportRow.objects.count(), Case.objects.count(), Run.objects.count()) == (2, 2, 2, 2)


def test_a_decided_conflict_goes_with_its_fields(box):
    for at in (OLD, YOUNG):
        ConflictField.objects.create(case=case(box, at, kind="conflict"), crm_field="Title", peer_field="title")

    assert prune(now=NOW).removed == {"fields of conflicts": 1, "decisions": 1}
    assert ConflictField.objects.count() == Case.objects.count() == 1


def test_it_says_what_it_removed_and_for_whom(box):
    write(run_at(box, OLD))
    olga = User.objects.create(username="olga")

    prune(olga, now=NOW)
    prune(olga, now=NOW)

    entry = AuditEntry.objects.get()
    assert (entry.username, entry.action) == ("olga", "prune")
    assert entry.detail == {"removed": {"writes": 1, "runs": 1}, "is_complete": True}
    assert Retention.objects.get().pruned_at == NOW


def test_an_open_case_stays_with_its_run_and_its_write(box):
    run = run_at(box, OLD)
    operation = write(run)
    kept = case(box, OLD, state="open", closed_at=None, run=run, operation_id=operation.pk)

    prune(now=NOW)

    kept.refresh_from_db()
    assert kept.run_id == run.pk and Operation.objects.filter(pk=operation.pk).exists()


def test_a_run_that_an_open_case_names_stays_without_any_write(box):
    run = run_at(box, OLD)
    case(box, OLD, state="open", closed_at=None, run=run)

    assert prune(now=NOW).removed == {}
    assert Run.objects.filter(pk=run.pk).exists()


@pytest.mark.parametrize("state", ["intended", "sent"])
def test_open_operations_stay(box, state):
    write(run_at(box, OLD), state=state)

    assert prune(now=NOW).removed == {}


def test_a_plan_that_waits_for_approval_stays_and_a_forgotten_preview_goes(box):
    held, preview = run_at(box, OLD, state="held"), run_at(box, OLD, kind="preview")
    for run in (held, preview):
        write(run, state="planned")

    prune(now=NOW)

    assert list(Operation.objects.values_list("run_id", flat=True)) == [held.pk]


def test_values_that_lost_a_conflict_have_days_of_their_own(box):
    retention_set(Keep(write_days=30))
    write(run_at(box, MIDDLE - timedelta(days=30)), origin={"losers": {"phone": "1"}})
    write(run_at(box, OLD), origin={"losers": {"phone": "2"}})
    write(run_at(box, MIDDLE - timedelta(days=30)))

    assert prune(now=NOW).removed == {"writes": 1, "losing values": 1, "runs": 1}
    assert [op.origin for op in Operation.objects.all()] == [{"losers": {"phone": "1"}}]


def test_bindings_bases_tombstones_remembered_pairs_and_the_audit_log_stay(box):
    bound = {"sync_pass": box.sync_pass, "bound_at": OLD, "synced_at": OLD}
    Binding.objects.create(**bound, crm_id="1", peer_id="1", crm_base={"name": "A"}, peer_base={"name": "A"})
    Binding.objects.create(**bound, crm_id="2", peer_id="2", is_tombstone=True)
    RememberedPair.objects.create(sync_pass=box.sync_pass, crm_id="1", peer_id="2")
    audit(None, "try", "thing")

    prune(now=NOW + timedelta(days=5_000))

    assert Binding.objects.get(crm_id="1").crm_base == {"name": "A"} and Binding.objects.filter(is_tombstone=True).count() == 1
    assert RememberedPair.objects.count() == 1 and AuditEntry.objects.count() == 1


def test_a_run_under_way_stays(box):
    run_at(box, OLD, state="running")

    assert prune(now=NOW).removed == {}


@pytest.mark.parametrize("lasted", [timedelta(hours=3), timedelta(days=3)])
@pytest.mark.parametrize("outcomes", [("created",), ("unchanged", "excluded", "created")])
def test_no_event_of_a_run_that_straddles_the_limit_is_left_behind_for_good(box, lasted, outcomes):
    run = run_at(box, NOW)
    for hour in range(int(lasted.total_seconds() // 3600) + 1):
        for outcome in outcomes:
            event(run, outcome, at=NOW + timedelta(hours=hour))
    later = run_at(box, NOW + timedelta(minutes=10))
    event(later, at=later.started_at)
    total = RunEvent.objects.count()

    half = prune(now=NOW + lasted / 2 + timedelta(days=400))

    assert 0 < half.removed["events"] < total and RunEvent.objects.filter(run=run).exists()
    assert not RunEvent.objects.filter(run=later).exists()
    prune(now=NOW + lasted + timedelta(days=400, hours=1))
    assert not RunEvent.objects.exists() and not Run.objects.exists()


@pytest.mark.parametrize("outcome", ["created", "unchanged"])
def test_events_that_a_run_writes_after_it_was_looked_at_go_in_a_later_round(box, outcome):
    run = run_at(box, OLD, state="running")
    event(run, outcome)
    after = run_at(box, OLD)
    event(after, outcome)
    assert sum(prune(now=NOW).removed.values()) == 3  # both events, and the run that is over

    event(run, outcome, at=OLD + timedelta(hours=2))
    Run.objects.filter(pk=run.pk).update(state="finished")

    assert sum(prune(now=NOW).removed.values()) == 2 and not Run.objects.exists()


def test_a_round_begins_behind_the_runs_that_have_nothing_left(box):
    old = [run_at(box, OLD) for _ in range(3)]
    write(old[-1], state="sent")  # they stay
    for run in old:
        event(run)
    prune(now=NOW)

    row = Retention.objects.get()

    assert (row.quiet_done_to, row.events_done_to) == (old[-1].pk, old[-1].pk)


def test_a_round_out_of_time_says_so_and_the_next_goes_on(box, monkeypatch):
    monkeypatch.setattr(retention, "ROWS_A_BATCH", 10)
    run = run_at(box, OLD)
    for _ in range(25):
        write(run)
    clock = iter(range(1000))

    first = prune(now=NOW, budget_seconds=2, monotonic=lambda: next(clock))
    second = prune(now=NOW)

    assert (first.removed, first.is_complete) == ({"writes": 10}, False)
    assert (second.removed, second.is_complete) == ({"writes": 15, "runs": 1}, True)


def test_the_task_asks_for_another_when_its_time_is_over(box, monkeypatch):
    asked = []
    monkeypatch.setattr("reconciliation.jobs.async_task", lambda path, *a, **k: asked.append(path))
    monkeypatch.setattr(retention, "BUDGET_SECONDS", 300.0)
    monkeypatch.setattr(jobs.retention, "prune", lambda by: retention.Pruned({"writes": 1}, False))

    assert "More is left" in jobs.prune() and asked == ["reconciliation.jobs.prune"]


def test_the_boundary_is_found_in_few_queries_whatever_the_size(box, django_assert_max_num_queries):
    run = run_at(box, OLD)
    for n in range(300):
        write(run, intended_at=NOW - timedelta(days=600 - 2 * n))

    with django_assert_max_num_queries(25):
        first = retention.first_newer(Operation.objects.all(), "intended_at", NOW - timedelta(days=400))

    assert Operation.objects.filter(pk__lt=first).count() == 100


def test_settings_are_checked_recorded_and_used(box):
    retention_set(Keep(write_days=30))
    write(run_at(box, NOW - timedelta(days=31)))

    assert prune(now=NOW).removed["writes"] == 1
    assert AuditEntry.objects.order_by("pk").first().detail == {"write_days": [400, 30]}
    with pytest.raises(RetentionRefused, match="between 30 and 3,650"):
        retention_set(Keep(write_days=1))
    assert retention_of().write_days == 30


def test_the_page_stores_days_and_refuses_nonsense(client, box):
    log_in(client, "admin")
    values = {"write_days": "90", "loser_days": "90", "decision_days": "90", "quiet_event_days": "7", "event_days": "90", "run_days": "90"}

    saved = client.post("/retention/", values, follow=True).content.decode()
    refused = client.post("/retention/", {**values, "event_days": "²"}, follow=True).content.decode()

    assert "Saved." in saved and "Nothing was saved" in refused
    assert retention_of() == Keep(90, 90, 90, 7, 90, 90)


def test_the_command_and_the_daily_schedule(box, capsys):
    from django_q.models import Schedule

    call_command("migrate", verbosity=0)
    write(run_at(box, timezone.now() - timedelta(days=401)))

    call_command("prune")

    assert "Removed 1 write, 1 run." in capsys.readouterr().out
    assert Schedule.objects.get(name="Remove old history").minutes == 24 * 60

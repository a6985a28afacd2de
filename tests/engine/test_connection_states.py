"""What a connection says of itself: a refused access stands until the system answers again, trouble on the way asks for
nobody, and each sentence is true."""

from datetime import timedelta

import pytest
from django.contrib.auth.models import User
from django.utils import timezone

from connectors.errors import NeedsAttention
from reconciliation import jobs
from reconciliation.engine import runner
from reconciliation.models import Connection, Run, SyncPass
from reconciliation.services.connections import connection_test
from reconciliation.services.stop_writes import writes_stop
from reconciliation.services.tokens import tokens_keep_alive
from reconciliation.services.undo import undoable
from tests.sandboxed import make
from tests.services.test_connecting import kill_refresh_token

pytestmark = [pytest.mark.django_db, pytest.mark.both_databases]


@pytest.fixture
def olga():
    return User.objects.create_superuser("olga")


@pytest.fixture
def box():
    """A pass with nothing to do: its runs ask Workbooks and leave Outreach alone."""
    box = make()
    box.organisation("Northwind", industry="Food")
    box.run()
    box.run(forward=600)
    return box


def peer():
    return Connection.objects.get(system="outreach")


def idle_for_a_day():
    Connection.objects.filter(system="outreach").update(refresh_used_at=timezone.now() - timedelta(hours=21))


@pytest.mark.parametrize("found_by", ["renewal", "test"])
def test_a_dead_token_is_not_called_well_by_a_run_that_does_not_need_it(box, found_by):
    kill_refresh_token(box)
    idle_for_a_day()
    tokens_keep_alive(box.wiring) if found_by == "renewal" else connection_test(peer(), wiring=box.wiring)
    said = peer().last_error

    run = box.run()

    assert (run.state, run.calls["outreach"]) == ("finished", 0)
    assert (peer().state, peer().last_error) == ("needs_attention", said)


def test_a_run_that_the_system_answers_says_that_it_is_well_again(box):
    Connection.objects.filter(system="outreach").update(state="needs_attention", last_error="refused")
    box.organisation("Fresh")

    assert box.run().created == 1 and (peer().state, peer().last_error) == ("ok", "")


def test_trouble_on_the_way_is_over_when_a_run_gets_through(box):
    Connection.objects.filter(system="outreach").update(state="waiting", last_error="it answered 503")

    box.run()

    assert peer().state == "ok"


def test_a_renewal_that_succeeds_has_the_connection_tested_though_no_pass_runs(box):
    SyncPass.objects.update(is_on=False)
    Connection.objects.filter(system="outreach").update(state="needs_attention", last_error="refused", refresh_used_at=None)

    assert tokens_keep_alive(box.wiring) == {"Outreach (sandbox)": "renewed"}

    assert (peer().state, peer().last_error) == ("ok", "")


@pytest.mark.parametrize(("status", "state"), [(503, "waiting"), (429, "waiting"), (401, "needs_attention")])
def test_a_test_during_an_outage_calls_nobody(box, status, state):
    box.world.faults.add({"kind": "status", "status": status, "system": "outreach"})

    connection_test(peer(), wiring=box.wiring)

    assert peer().state == state


def test_a_test_sends_nothing_while_all_writes_are_stopped(box, olga):
    writes_stop(olga, "x")
    box.calls()

    lines = connection_test(peer(), wiring=box.wiring)

    assert all(call.startswith("GET ") for call in box.calls())
    untried = [line for line in lines if line.sentence == "Not tried: all writes are stopped."]
    assert len(untried) == 2 and all(line.is_warning and line.is_ok for line in untried)


def test_a_wrong_secret_after_a_renewal_that_was_cut_off_is_said_as_what_it_is(box):
    box.world.outreach.expire_tokens()
    row = peer()
    Connection.objects.filter(pk=row.pk).update(renewal_begun_at=timezone.now(), secrets={**row.secrets, "client_secret": "mistyped"})
    box.organisation("Fresh")

    assert "invalid_client" in box.run().note and "lost on its way" not in peer().last_error

    Connection.objects.filter(pk=row.pk).update(secrets={**row.secrets, "refresh_token": "replaced"})
    assert "the new token was lost on its way to us" in box.run(forward=1000).note


def test_a_click_on_a_connection_that_cannot_be_opened_leaves_a_run_that_says_so(box, olga, monkeypatch):
    run = Run.objects.earliest("pk")

    def refused(row, **options):
        raise NeedsAttention("has an address that is refused", system="outreach")

    monkeypatch.setattr("reconciliation.engine.connections.open_connector", refused)
    jobs.undo_writes(run.pk, [op.pk for op in undoable(run)], olga.pk)

    left = Run.objects.latest("pk")
    assert (left.kind, left.state, left.started_by) == ("staff", "interrupted", "olga") and "an address that is refused" in left.note


def test_who_reconnects_while_a_run_fails_waits_for_nothing(box, monkeypatch):
    SyncPass.objects.update(trouble_count=5)
    box.organisation("Fresh")
    box.world.faults.add({"kind": "status", "status": 401, "system": "outreach"})
    wait = runner.wait_for_mend

    def reconnected_meanwhile(sync_pass, error, wiring):
        SyncPass.objects.update(trouble_count=0, next_due_at=box.clock.at)
        wait(sync_pass, error, wiring)

    monkeypatch.setattr(runner, "wait_for_mend", reconnected_meanwhile)
    box.run()

    row = SyncPass.objects.get()
    assert (row.trouble_count, row.next_due_at) == (0, box.clock.at)


def test_a_host_that_is_not_allowed_any_more_is_not_asked(box, settings):
    Connection.objects.filter(system="outreach").update(base_url="https://eu.outreach.example")
    settings.SYSTEM_HOSTS = {**settings.SYSTEM_HOSTS, "outreach": ["api.outreach.example"]}
    box.organisation("Fresh")

    run = box.run()

    assert run.state == "interrupted" and "leads to eu.outreach.example, which the setting SYSTEM_HOSTS does not allow" in run.note
    assert peer().state == "needs_attention" and not box.accounts("Fresh")

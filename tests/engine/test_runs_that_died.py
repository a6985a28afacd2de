"""A run whose process was killed, or whose connection could not even be opened, ends with a sentence; none stays open."""

import pytest

from reconciliation.models import Case, Connection, PassLease, Run
from tests.sandboxed import make

pytestmark = [pytest.mark.django_db, pytest.mark.both_databases]


@pytest.fixture
def box():
    return make()


def test_the_run_of_a_killed_process_is_closed_by_the_next_one(box):
    killed = Run.objects.create(sync_pass=box.sync_pass, started_at=box.clock.at, lease_token=1)

    box.run()

    killed.refresh_from_db()
    assert (killed.state, killed.ended_at) == ("interrupted", box.clock.at)
    assert "process ended" in killed.note
    assert not Run.objects.filter(state="running").exists()


def test_a_connection_without_its_key_interrupts_the_run_and_says_so(box):
    box.organisation("Northwind Pumps")
    Connection.objects.filter(pk=box.sync_pass.crm_id).update(secrets={})

    run = box.run()

    assert (run.state, run.seen) == ("interrupted", 0)
    assert "no API key" in run.note
    assert Connection.objects.get(pk=box.sync_pass.crm_id).state == "needs_attention"
    box.sync_pass.refresh_from_db()
    assert box.sync_pass.next_due_at > box.clock.at
    assert not Case.objects.exists()
    assert not PassLease.objects.exclude(holder="").exists()

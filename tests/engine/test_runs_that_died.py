"""A run whose process was killed, or whose connection could not even be opened, ends with a sentence; none stays open."""

import pytest

from reconciliation.engine.staff import at_work
from reconciliation.models import Case, Connection, Operation, PassLease, Run, SyncPass
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


def killed(box, **values):
    return Run.objects.create(sync_pass=box.sync_pass, started_at=box.clock.at, lease_token=1, **values)


def writes_of(box, run, *, sent, unsent=0):
    for n in range(sent + unsent):
        ref = f"workbooks:organisation:{n}"
        values = {"source_ref": ref, "writer_key": ref, "object_type": "account", "state": "void", "intended_at": box.clock.at}
        values |= {"sent_at": box.clock.at if n < sent else None, "kind": "update", "lease_token": 1}
        Operation.objects.create(run=run, connection=box.sync_pass.peer, **values)


BEGIN_AGAIN = "Its process ended before it did; 2 writes were sent. Begin it again for the rest."


@pytest.mark.parametrize(
    ("values", "note"),
    [
        ({"kind": "staff", "note": "Undo 300 writes. Reason: wrong."}, f"Undo 300 writes. Reason: wrong. {BEGIN_AGAIN}"),
        ({"kind": "apply", "applies": 7}, f"Preview 7 was being applied. {BEGIN_AGAIN}"),
        ({"kind": "pilot"}, BEGIN_AGAIN),
        ({"kind": "manual"}, "Its process ended before the run did; the next run of the pass goes on from there."),
        ({"kind": "preview"}, "Its process ended before the plan was complete; make a new one."),
    ],
)
def test_what_becomes_of_the_rest_is_said_by_kind_and_the_note_is_kept(box, values, note):
    run = killed(box, **values)
    writes_of(box, run, sent=2, unsent=1)

    box.run()

    run.refresh_from_db()
    assert (run.state, run.ended_at, run.note) == ("interrupted", box.clock.at, note)


@pytest.mark.parametrize(
    ("sent", "words"), [(0, "no write was sent. Begin it again."), (1, "1 write was sent. Begin it again for the rest.")]
)
def test_how_much_was_sent_is_said_in_words(box, sent, words):
    run = killed(box, kind="staff", note="Undo.")
    writes_of(box, run, sent=sent)

    box.run()

    run.refresh_from_db()
    assert run.note == f"Undo. Its process ended before it did; {words}"


def hold(box):
    SyncPass.objects.update(hold_reason="A field is missing")


def take_the_key(box):
    Connection.objects.filter(pk=box.sync_pass.crm_id).update(secrets={})


@pytest.mark.parametrize("trouble", [None, hold, take_the_key])
@pytest.mark.parametrize("kind", ["preview", "scheduled"])
def test_a_run_that_cannot_begin_or_only_looks_closes_what_died_too(box, trouble, kind):
    run = killed(box, kind="staff", note="Undo 300 writes.")
    if trouble:
        trouble(box)
        box.sync_pass.refresh_from_db()

    box.run(kind=kind)

    run.refresh_from_db()
    assert run.state == "interrupted" and run.note.startswith("Undo 300 writes. Its process ended")
    assert not Run.objects.filter(state="running").exists()


def test_a_decision_closes_what_died_while_no_pass_runs(box):
    run = killed(box, kind="staff", note="Undo 300 writes.")
    box.clock.forward(60)

    with at_work(box.sync_pass, by="olga", what="Look.", wiring=box.wiring) as context:
        run.refresh_from_db()
        assert run.state == "interrupted" and run.ended_at == box.clock.at
        assert Run.objects.get(state="running").pk == context.run.pk


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

"""E-mails and what goes wrong on the way: answers that are lost, processes that die, mailboxes that come at once. Each e-mail is in
Salesforce exactly once in the end, counted there (engine-rules 12, 40)."""

from __future__ import annotations

import base64

import pytest
from django.contrib.auth.models import User

from reconciliation.engine import email_rows, emails, executor
from reconciliation.models import Case, Email, Operation, Policy, SyncPass
from reconciliation.services.errors import error_retry
from tests.posted import RELATED, posted

pytestmark = [pytest.mark.django_db, pytest.mark.both_databases]
COMPOSITE = "/services/data/{v}/composite"


class Died(BaseException):
    """The process ends here."""


@pytest.fixture
def box():
    box = posted()
    box.contact("Byrne", "ada@acme.example")
    box.run()
    return box


@pytest.fixture
def olga():
    return User.objects.create(username="olga")


def a_file(name="offer.pdf", data=b"%PDF-1.7"):
    return {"name": name, "contentType": "application/pdf", "content": base64.b64encode(data).decode()}


def is_at_rest(box):
    assert not Operation.objects.filter(state__in=Operation.OPEN).exists()
    assert not Email.objects.filter(state__in=("claimed", "waiting")).exists()


@pytest.mark.parametrize("has_key", [True, False])
def test_an_answer_that_is_lost_is_looked_for_and_nothing_is_made_twice(box, has_key):
    box.switch(email_sync_key=has_key)
    SyncPass.objects.filter(pk=box.parent.pk).update(settings={})  # it is asked what it takes by the next run
    box.parent.refresh_from_db()
    for address, child in box.passes.items():
        box.passes[address] = SyncPass.objects.select_related(*RELATED).get(pk=child.pk)
    box.receive("One", id="1"), box.receive("Two", id="2")
    box.world.faults.add({"kind": "lost_answer", "system": "salesforce", "method": "POST", "path": COMPOSITE, "times": 1})

    first = box.run()
    assert first.state == "interrupted" and len(box.emails()) == 2

    run = box.run()

    assert run.state == "finished" and sorted(e["Subject"] for e in box.emails()) == ["One", "Two"]
    assert {e["Status"] for e in box.emails()} == {"1"} and len(box.people()) == 1
    assert {(row.state, row.why) for row in box.known()} == {("saved", "category")}
    is_at_rest(box)


def test_what_never_arrived_is_sent_again_after_a_while(box, monkeypatch):
    box.receive(id="1")

    def dying(connector, object_type, part):
        raise Died

    with monkeypatch.context() as patch:
        patch.setattr(executor, "_call", dying)
        with pytest.raises(Died):
            box.run()
    early = box.run(forward=5)
    assert box.emails() == [] and early.created == 0

    box.run()

    assert len(box.emails()) == 1
    is_at_rest(box)


POINTS = {
    "when the mail was claimed": (email_rows, "note_copies", "before"),
    "before it is read": (emails, "_read", "before"),
    "after it was read": (emails, "_read", "after"),
    "before its links are known": (emails, "_link", "before"),
    "before it is written down": (executor.Executor, "intend", "before"),
    "when it was written down": (executor.Executor, "intend", "after"),
    "when it was sent": (executor, "_call", "after"),
    "before it is settled": (email_rows, "saved", "before"),
    "when it was settled": (emails, "_close_solved", "after"),
}


@pytest.mark.parametrize("point", POINTS)
def test_a_process_that_dies_makes_nothing_twice_and_loses_nothing(box, monkeypatch, point):
    for n in range(3):
        box.receive(f"Mail {n}", id=str(n), attachments=[a_file()] if n == 2 else [])
    box.set(email_files=5_000_000)
    place, name, moment = POINTS[point]
    real = getattr(place, name)

    def dying(*given, **more):
        if moment == "after":
            real(*given, **more)
        raise Died

    with monkeypatch.context() as patch:
        patch.setattr(place, name, dying)
        with pytest.raises(Died):
            box.run()

    box.run(), box.run()

    assert sorted(e["Subject"] for e in box.emails()) == ["Mail 0", "Mail 1", "Mail 2"]
    assert {e["Status"] for e in box.emails()} == {"1"} and len(box.world.salesforce.list_records("ContentVersion")) == 1
    is_at_rest(box)


@pytest.mark.parametrize("point", POINTS)
def test_when_a_mailbox_dies_on_the_way_another_that_holds_the_mail_saves_it(box, monkeypatch, point):
    box.receive(id="1"), box.receive(id="1", address=box.theirs)
    place, name, moment = POINTS[point]
    real = getattr(place, name)

    def dying(*given, **more):
        if moment == "after":
            real(*given, **more)
        raise Died

    with monkeypatch.context() as patch:
        patch.setattr(place, name, dying)
        with pytest.raises(Died):
            box.run()

    box.run(box.theirs), box.run(box.theirs), box.run(box.theirs)

    assert len(box.emails()) == 1 and box.only().state == "saved"
    box.run()
    assert len(box.emails()) == 1
    is_at_rest(box)


@pytest.mark.parametrize("moment", ["_read", "_link", "_carry_out"])
def test_two_mailboxes_that_come_at_once_save_it_once(box, monkeypatch, moment):
    box.receive(id="1"), box.receive(id="1", address=box.theirs)
    real, others = getattr(emails, moment), []

    def interleaved(context, work):
        if not others:
            others.append(1)
            others.append(box.run(box.theirs, forward=0))
        return real(context, work)

    monkeypatch.setattr(emails, moment, interleaved)
    run = box.run()

    assert run.created + others[1].created == 1 and len(box.emails()) == 1
    assert ("held", "other_mailbox") in box.reasons(others[1]) or others[1].unchanged
    monkeypatch.undo()
    box.run(box.theirs), box.run()
    assert len(box.emails()) == 1
    is_at_rest(box)


def test_a_draft_that_was_left_behind_is_finished_with_all_its_files(box):
    box.set(email_files=5_000_000)
    box.receive(id="1", attachments=[a_file("a.pdf"), a_file("b.pdf", b"other")])
    path = "/services/data/{v}/sobjects/ContentVersion"
    box.world.faults.add({"kind": "lost_answer", "system": "salesforce", "method": "POST", "path": path, "times": 1})

    first = box.run()
    assert first.state == "interrupted" and box.one()["Status"] == "5"

    box.run()

    assert box.one()["Status"] == "1" and box.only().crm_id == box.one()["Id"]
    assert sorted(v["Title"] for v in box.world.salesforce.list_records("ContentVersion")) == ["a", "b"]
    is_at_rest(box)


@pytest.mark.parametrize("status", [429, 503])
@pytest.mark.parametrize("system", ["microsoft", "salesforce"])
def test_trouble_of_a_connection_flags_nobody_and_is_caught_up_with(box, system, status):
    box.receive("One", id="1"), box.receive("Two", id="2")
    path = {"microsoft": "/v1.0/$batch", "salesforce": COMPOSITE}[system]
    fault = {"kind": "status", "status": status, "system": system, "method": "POST", "path": path, "retry_after": 3600, "times": 9}
    box.world.faults.add(fault)

    failed = box.run()
    assert failed.state == "interrupted" and not Case.objects.exists()
    box.world.faults.all.clear()
    box.run(forward=3600)

    assert len(box.emails()) == 2 and not Case.objects.exists()
    is_at_rest(box)


def test_one_bad_mail_is_an_error_its_neighbours_go_through_and_retry_saves_it(box, olga):
    box.receive("Cursed", id="1"), box.receive("Fine", id="2")
    box.switch(validation_rules=[{"object": "EmailMessage", "when": "Subject = 'Cursed'", "message": "Not this one."}])

    run = box.run()

    assert (run.state, run.created, run.failed) == ("finished", 1, 1)
    case = Case.objects.get()
    assert "Not this one." in case.sentence and case.name == "Cursed" and case.crm_fields == {}
    assert box.run().failed == 0 and {row.state for row in box.known()} == {"saved", "refused"}

    box.switch(validation_rules=[])
    assert error_retry([case], olga, wiring=box.wiring) == 1
    box.run()

    case.refresh_from_db()
    assert len(box.emails()) == 2 and case.state == "resolved"


def test_a_field_that_was_taken_from_us_holds_all_with_one_case(box):
    box.receive("One", id="1"), box.receive("Two", id="2")
    box.switch(hidden_fields=["EmailMessage.TextBody"])

    run = box.run()
    assert run.held == 2 and box.emails() == [] and "TextBody" in Case.objects.get().sentence

    box.switch(hidden_fields=[])
    box.run(), box.run()

    assert len(box.emails()) == 2 and Case.objects.get().state == "closed"


def test_cursors_that_died_bring_back_nothing_twice(box):
    for n in range(5):
        box.receive(f"Mail {n}", id=str(n))
    box.run()
    box.lose_cursors()

    run = box.run()

    assert run.created == 0 and len(box.emails()) == 5


def test_a_mailbox_that_is_read_anew_makes_nothing_twice(box):
    for n in range(5):
        box.receive(f"Mail {n}", id=str(n))
    box.run()

    run = box.run(is_full=True)

    assert (run.created, len(box.emails())) == (0, 5)


def test_a_mail_that_is_deleted_before_it_is_saved_is_told_and_forgotten(box, monkeypatch):
    mail = box.receive(id="1")
    real = emails._read

    def late(context, work):
        box.throw_away(mail)
        return real(context, work)

    monkeypatch.setattr(emails, "_read", late)
    run = box.run()

    assert box.emails() == [] and run.excluded == {"gone": 1} and not Email.objects.exists()


def test_after_a_restore_what_our_database_forgot_is_found_in_salesforce(box):
    box.receive(id="1")
    box.run()
    Email.objects.all().delete()
    box.passes[box.mine].refresh_from_db()

    run = box.run(is_full=True)

    assert run.created == 0 and len(box.emails()) == 1 and box.only().state == "saved"


def test_a_field_that_is_looked_for_and_hidden_holds_the_run_and_not_the_pass(box):
    box.receive("One", id="1")
    box.switch(hidden_fields=["EmailMessage.MessageIdentifier"])

    run = box.run()
    assert (run.state, box.emails()) == ("held", []) and "MessageIdentifier" in Case.objects.get().sentence
    assert box.run(kind="preview").state == "failed"

    box.switch(hidden_fields=[])
    box.run(), box.run()

    assert len(box.emails()) == 1 and Case.objects.get().state == "closed"
    is_at_rest(box)


def test_e_mails_wait_while_all_writes_are_stopped_and_follow_afterwards(box):
    box.receive("One", id="1")
    Policy.objects.update_or_create(pk=1, defaults={"writes_stopped_at": box.clock()})

    run = box.run()
    assert run.state == "held" and box.emails() == []

    Policy.objects.filter(pk=1).update(writes_stopped_at=None)
    box.run()

    assert len(box.emails()) == 1
    is_at_rest(box)

"""E-mails where several are at it, or nobody comes to his end: slow runs, real deaths, mails that come and go, mails that nobody can
read. Nothing is made twice, nothing is lost, nothing is silent (engine-rules 40)."""

from __future__ import annotations

import pytest
from django.contrib.auth.models import User

from connectors.microsoft.mail_reading import MailReader
from reconciliation.engine import email_rows, emails, executor, one_way
from reconciliation.engine.context import RunContext
from reconciliation.models import Case, Email, EmailCopy, Mailbox, Operation, SyncPass
from reconciliation.services import emails as emails_desk
from reconciliation.services.errors import error_retry
from reconciliation.services.mailbox_ending import mailboxes_end
from tests.posted import RELATED, posted

pytestmark = [pytest.mark.django_db, pytest.mark.both_databases]
COMPOSITE = "/services/data/{v}/composite"
DENIED = {"kind": "status", "status": 500, "system": "microsoft"}


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
    return User.objects.create(username="olga", is_superuser=True)


def without_key(box):
    """Takes the field for our key from e-mails: then nothing but our rows keeps two from making one."""
    box.switch(email_sync_key=False)
    SyncPass.objects.filter(pk=box.parent.pk).update(settings={})
    box.parent.refresh_from_db()
    for address, child in box.passes.items():
        box.passes[address] = SyncPass.objects.select_related(*RELATED).get(pk=child.pk)


def is_at_rest(box):
    assert not Operation.objects.filter(state__in=Operation.OPEN).exists()
    assert not Email.objects.filter(state__in=("claimed", "waiting")).exists()


def unreadable(monkeypatch, *ids, whole_only=False):
    """Lets the mailbox show nothing of these mails."""
    real, real_record = MailReader._sort, MailReader.record

    def sort(self, found, id_, said):
        real(self, found, id_, said)
        is_whole = id_ in found.rows and "body" in found.rows[id_]
        if id_ in ids and (is_whole or not whole_only):
            found.rows.pop(id_, None)
            found.unreadable[id_] = emails.Record(emails.Ref("microsoft", "mail", id_), {"reason": "ErrorContentConversionFailed"})

    def record(self, row, found, *given):
        if row.get("id") in ids and not whole_only:
            found.unreadable[row["id"]] = emails.Record(emails.Ref("microsoft", "mail", row["id"]), {"reason": "Broken"})
            return None
        return real_record(self, row, found, *given)

    monkeypatch.setattr(MailReader, "_sort", sort)
    monkeypatch.setattr(MailReader, "record", record)


# --- who may save it ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("has_key", [True, False])
@pytest.mark.parametrize("moment", ["_read", "_link", "_carry_out"])
def test_a_run_so_slow_that_another_mailbox_took_its_e_mail_over_does_not_make_it_again(box, monkeypatch, moment, has_key):
    if not has_key:
        without_key(box)
    box.receive(id="1"), box.receive(id="1", address=box.theirs)
    real, others = getattr(emails, moment), []

    def slow(context, work):
        if not others:
            others.append(1)
            for _ in range(20):
                box.clock.forward(60)
                context.lease.renew()  # it is slow, and alive
            others.extend(box.run(box.theirs, forward=5) for _ in range(2))
            context.lease.renew()
        return real(context, work)

    monkeypatch.setattr(emails, moment, slow)
    run = box.run()

    assert run.state == "finished" and others[-1].created == 1
    assert len(box.emails()) == 1 and box.only().state == "saved"
    monkeypatch.undo()
    box.run(), box.run(box.theirs)
    assert len(box.emails()) == 1
    is_at_rest(box)


POINTS = {
    "when the mail was claimed": (email_rows, "note_copies", "before"),
    "when it is known where it lies": (email_rows, "note_copies", "after"),
    "before it is read": (emails, "_read", "before"),
    "before its links are known": (emails, "_link", "before"),
    "when it was written down": (executor.Executor, "intend", "after"),
    "when it was sent": (executor, "_call", "after"),
    "before it is settled": (email_rows, "saved", "before"),
    "when it was settled": (emails, "_close_solved", "after"),
}


@pytest.mark.parametrize("has_key", [True, False])
@pytest.mark.parametrize("point", POINTS)
def test_a_process_that_is_killed_and_cleans_nothing_up_makes_nothing_twice_and_loses_nothing(box, monkeypatch, point, has_key):
    if not has_key:
        without_key(box)
    for n in range(3):
        box.receive(f"Mail {n}", id=str(n)), box.receive(f"Mail {n}", id=str(n), address=box.theirs)
    place, name, moment = POINTS[point]
    real = getattr(place, name)

    def dying(*given, **more):
        if moment == "after":
            real(*given, **more)
        raise Died

    def dead(*given, **more):
        raise Died

    with monkeypatch.context() as patch:
        patch.setattr(place, name, dying)
        for where, what in ((emails, "_keep"), (emails, "_open_cases"), (RunContext, "write_events"), (one_way, "hold_undone")):
            patch.setattr(where, what, dead)
        with pytest.raises(Died):
            box.run()

    box.run(box.theirs, forward=5), box.run(box.theirs), box.run(), box.run(box.theirs), box.run()

    assert sorted(e["Subject"] for e in box.emails()) == ["Mail 0", "Mail 1", "Mail 2"]
    assert {e["Status"] for e in box.emails()} == {"1"} and {row.state for row in box.known()} == {"saved"}
    is_at_rest(box)


def test_an_e_mail_that_another_mailbox_forgets_while_it_is_claimed_is_not_lost(box, monkeypatch):
    mail = box.receive(id="1", address=box.theirs)
    box.receive(id="1")
    real = email_rows.note_wanted

    def forgotten(context, wanted):
        real(context, wanted)
        monkeypatch.setattr(email_rows, "note_wanted", real)
        Email.objects.all().delete()

    monkeypatch.setattr(email_rows, "note_wanted", forgotten)
    box.run()

    assert len(box.emails()) == 1 and mail
    is_at_rest(box)


def test_what_was_refused_to_a_mailbox_whose_sync_ended_is_tried_by_the_other_that_holds_it(box, olga):
    box.receive("Cursed", id="1"), box.receive("Cursed", id="1", address=box.theirs)
    box.switch(validation_rules=[{"object": "EmailMessage", "when": "Subject = 'Cursed'", "message": "Not this one."}])
    box.run(), box.run(box.theirs)
    assert box.only().state == "refused"
    box.switch(validation_rules=[])

    mailboxes_end([Mailbox.objects.get(address=box.mine).pk], olga)
    box.run(box.theirs)

    assert len(box.emails()) == 1 and box.only().state == "saved"


def test_what_was_refused_before_the_connection_failed_is_shown_to_a_person(box):
    box.receive("Cursed", id="1"), box.receive("Fine", id="2", attachments=[])
    box.switch(validation_rules=[{"object": "EmailMessage", "when": "Subject = 'Cursed'", "message": "Not this one."}])
    real = one_way.look_at_refusals

    def failing(work):
        real(work)
        raise Died

    one_way.look_at_refusals = failing
    try:
        with pytest.raises(Died):
            box.run()
    finally:
        one_way.look_at_refusals = real

    assert Case.objects.get().name == "Cursed" and Email.objects.get(subject="Cursed").state == "refused"


# --- why it is shared -----------------------------------------------------------------------------------------------------------


def test_a_conversation_that_is_followed_later_takes_nothing_from_what_is_shared_by_itself(box, olga):
    box.set(share_emails=True)
    box.run(forward=60)
    box.clock.forward(60)
    mail = box.receive("Quote", marked=False, id="1", thread="quote")
    box.clock.forward(60)
    emails_desk.thread_follow(Mailbox.objects.get(address=box.mine), mail, olga, wiring=box.wiring)

    run = box.run()

    assert [e["Subject"] for e in box.emails()] == ["Quote"], box.events(run)


def test_a_mark_in_other_letters_holds_as_long_as_it_waits(box):
    mail = box.receive("One", id="1", marked=False)
    box._hand().edit(mail, categories=["SALESFORCE"])
    box.world.faults.add({"kind": "status", "status": 503, "system": "salesforce", "method": "POST", "path": COMPOSITE, "times": 9})
    box.run()
    assert box.emails() == []
    box.world.faults.all.clear()

    box.run(), box.run()

    assert len(box.emails()) == 1


def test_a_mail_without_message_id_that_nobody_asked_for_and_nobody_knows_is_not_read(box, monkeypatch):
    box.set(share_emails=True)
    box.run(forward=60)
    mail = box.receive("Unknown", marked=False, **{"from": "Zoe <zoe@nowhere.example>"})
    box.take_message_id(mail)
    read = []
    real = MailReader.whole
    monkeypatch.setattr(MailReader, "whole", lambda self, ids, **more: read.extend(ids) or real(self, ids, **more))

    run = box.run()

    assert run.excluded == {"unrelated": 1} and read == []


# --- mails that come and go, and mails that cannot be read ------------------------------------------------------------------------


def test_a_mail_that_cannot_be_read_is_tried_again_by_itself_and_saved_when_it_can(box, monkeypatch):
    mail = box.receive("One", id="1")
    with monkeypatch.context() as patch:
        unreadable(patch, mail)
        run = box.run()
        assert (run.state, run.held, box.emails()) == ("finished", 1, []) and ("held", "unreadable") in box.reasons()
        assert box.only().state == "waiting" and not Case.objects.exists()

    box.run()

    assert len(box.emails()) == 1 and box.only().state == "saved" and box.only().subject == "One"
    assert [copy.is_open for copy in box.copies()] == [False]
    is_at_rest(box)


@pytest.mark.parametrize("whole_only", [False, True])
def test_a_mail_that_stays_unreadable_is_an_error_after_some_tries_and_retry_saves_it(box, monkeypatch, olga, whole_only):
    mail = box.receive("One", id="1")
    box.receive("Fine", id="2")
    with monkeypatch.context() as patch:
        unreadable(patch, mail, whole_only=whole_only)
        for _ in range(12):
            box.run(forward=9 * 3600)
        case = Case.objects.get()
        assert "cannot be read" in case.sentence and case.reason == "unreadable"
        assert [e["Subject"] for e in box.emails()] == ["Fine"]
        assert sorted(row.state for row in box.known()) == ["refused", "saved"]
        assert box.run().seen == 0

    error_retry([case], olga, wiring=box.wiring)
    box.run()

    assert sorted(e["Subject"] for e in box.emails()) == ["Fine", "One"] and {r.state for r in box.known()} == {"saved"}


def test_a_mail_that_one_mailbox_cannot_show_is_saved_from_another(box, monkeypatch):
    mail = box.receive("One", id="1")
    unreadable(monkeypatch, mail, whole_only=True)
    for _ in range(10):
        box.run(forward=9 * 3600)
    assert box.only().state == "refused" and Case.objects.get().state == "open"
    box.receive("One", id="1", address=box.theirs)

    box.run(box.theirs), box.run()

    assert len(box.emails()) == 1 and box.only().state == "saved" and Case.objects.get().state == "closed"


@pytest.mark.parametrize("how", ["gone", "unreadable"])
def test_of_a_mail_that_lies_there_twice_the_other_is_saved_where_one_is_lost(box, monkeypatch, how):
    first = box.receive("One", id="1")
    second = box.receive("One", id="1")
    real = emails._read

    def late(context, work):
        for id_ in (first, second):
            if id_ not in work.twins and how == "gone":
                box.throw_away(id_)
        return real(context, work)

    monkeypatch.setattr(emails, "_read", late)
    if how == "unreadable":
        unreadable(monkeypatch, first, whole_only=True)
    box.run()

    assert len(box.emails()) == 1
    monkeypatch.undo()
    box.run()
    assert len(box.emails()) == 1
    is_at_rest(box)


def test_a_mail_that_is_deleted_while_it_waits_is_told_and_forgotten(box):
    mail = box.receive("One", id="1")
    box.switch(hidden_fields=["EmailMessage.TextBody"])
    box.run()
    assert box.only().state == "waiting"
    box.throw_away(mail)

    run = box.run()

    assert ("excluded", "gone") in box.reasons(run) and not Email.objects.exists() and not EmailCopy.objects.exists()


def test_an_organisation_that_switches_enhanced_email_off_is_asked_again_at_once(box):
    box.receive("One", id="1")
    box.run()
    box.switch(enhanced_email=False)
    box.receive("Two", id="2")

    held = box.run()
    box.run(), box.run()

    tasks = [t for t in box.world.salesforce.list_records("Task") if t["Subject"] == "Email: Two" and not t.get("IsDeleted")]
    assert held.state == "interrupted" and len(tasks) == 1 and Email.objects.get(subject="Two").crm_type == "Task"
    is_at_rest(box)


def test_a_mail_may_have_a_long_id(box, monkeypatch):
    long = "A" * 600
    assert email_rows.case_id(long) != email_rows.case_id(long + "B") and len(email_rows.case_id(long)) <= 255
    box.receive("One", id="1")
    box.run()
    EmailCopy.objects.update(mail_id=long)

    found = email_rows.copies_of_case(box.passes[box.mine], email_rows.case_id(long))

    assert [copy.mail_id for copy in found] == [long]


def test_a_hostile_mail_fills_no_memory(box):
    text = "x" * 3_000_000
    box.receive("Long", id="1", body=text)
    seen = []
    real = emails._link

    def looking(context, work):
        seen.extend(len(w.text) + len(w.html) + len(w.newest) for w in work.wholes.values())
        return real(context, work)

    emails._link = looking
    try:
        run = box.run()
    finally:
        emails._link = real

    assert run.created == 1 and max(seen) < 500_000 and len(box.one()["TextBody"]) <= 32_000
    assert any("TextBody was cut" in said for said in box.only().left_out)

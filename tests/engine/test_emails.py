"""E-mails of mailboxes over the sandboxes: each that is shared is in Salesforce once, whatever happens on the way (S4.19 to S4.21)."""

from __future__ import annotations

import pytest

from reconciliation.models import Email, EmailCopy, Operation, Run, RunEvent, SyncPass
from tests.posted import FOLDER, posted

pytestmark = pytest.mark.django_db


@pytest.fixture(params=["microsoft", "google", "exchange"])
def box(request):
    box = posted(request.param)
    box.run()
    return box


def test_s4_19_a_marked_mail_is_saved_once_with_whom_it_concerns(box):
    account = box.account()
    ada = box.contact("Byrne", "ada@acme.example", AccountId=account)
    box.receive("A question", id="q1")

    run = box.run()

    made = box.one()
    assert (run.state, run.seen, run.created) == ("finished", 1, 1), box.events()
    assert (made["Subject"], made["FromAddress"], made["ToAddress"]) == ("A question", "ada@acme.example", box.mine)
    assert (made["Incoming"], made["Status"], made["MessageIdentifier"]) == (True, "1", "<q1@acme.example>")
    assert made["TextBody"] == "Dear Sir,\nhow much is it?" and made["RelatedToId"] == account
    assert box.people() == {("FromAddress", ada)}
    task = box.world.salesforce.get_record("Task", made["ActivityId"])
    assert (task["WhoId"], task["WhatId"], task["Status"]) == (ada, account, "Completed")
    row = box.only()
    assert (row.state, row.crm_id, row.subject) == ("saved", made["Id"], "A question")


def test_s4_20_a_further_run_writes_nothing_and_costs_one_call(box):
    box.receive()
    box.run()
    box.calls()

    run = box.run()

    assert (run.created, run.updated, run.failed) == (0, 0, 0) and len(box.emails()) == 1
    assert box.calls() == {box.system: 1}


def test_s4_21_the_folder_shares_a_mail_too_and_is_made_where_there_is_none(box):
    mail = box.receive("Old", marked=False)
    box.run()
    assert box.emails() == []

    box.move(mail, FOLDER)
    box.run()

    assert box.one()["Subject"] == "Old" and box.only().why == "folder"


def test_s4_21_what_was_marked_in_the_days_before_sync_was_switched_on_is_saved_too(box):
    box.receive("Marked before")
    box.receive("Never marked", marked=False)
    box.clock.forward(3 * 86_400)
    SyncPass.objects.filter(name__startswith="emails").update(switched_on_at=box.clock())

    plan = box.run(kind=Run.Kind.PREVIEW)
    assert plan.created == 1, box.reasons()
    box.run()

    assert box.one()["Subject"] == "Marked before"
    assert box.run().created == 0


def test_s4_1_nothing_is_shared_that_nobody_marked_unless_everything_is(box):
    ada = box.contact("Byrne", "ada@acme.example")
    box.receive("Before", marked=False)
    assert box.run().created == 0

    box.set(share_emails=True)
    box.run(forward=60)  # from this run on
    box.receive("After", marked=False)
    box.send("And back", marked=False)
    run = box.run()

    assert sorted(e["Subject"] for e in box.emails()) == ["After", "And back"], box.events(run)
    assert box.people() == {("FromAddress", ada), ("ToAddress", ada)}
    sent = next(e for e in box.emails() if e["Subject"] == "And back")
    assert (sent["Incoming"], sent["Status"]) == (False, "3")
    assert {row.why for row in box.known()} == {"auto"}


def test_what_nobody_marked_is_left_out_for_a_reason(box):
    box.contact("Byrne", "ada@acme.example")
    box.set(share_emails=True)
    box.run(forward=60)
    other = box.theirs
    box.receive("Unknown", marked=False, **{"from": "Zoe <zoe@nowhere.example>"})
    box.receive("Colleague", marked=False, **{"from": other})
    box.receive("Notice", marked=False, headers={"Auto-Submitted": "auto-generated"})
    box.receive("Secret", marked=False, headers={"Sensitivity": "private"})

    run = box.run()

    assert box.emails() == [] and Email.objects.count() == 0 and EmailCopy.objects.count() == 0
    assert run.excluded == {"unrelated": 1, "between_colleagues": 1, "automatic": 1, "private": 1}, box.events(run)
    assert set(RunEvent.objects.filter(run=run).values_list("name", flat=True)) == {""}  # whoever looks at runs reads no subject


def test_a_marked_mail_of_unknown_people_is_saved_all_the_same(box):
    box.receive(**{"from": "Zoe <zoe@nowhere.example>"})

    assert box.run().created == 1 and box.people() == set()
    assert box.only().links["unresolved"] == ["zoe@nowhere.example"]


def test_c26_two_colleagues_hold_one_mail_and_it_is_saved_once(box):
    box.contact("Byrne", "ada@acme.example")
    box.receive(id="q1"), box.receive(id="q1", address=box.theirs)

    box.run(), box.run(box.theirs, forward=10)

    assert len(box.emails()) == 1 and box.reasons() == [("unchanged", "there_already")]
    assert f"saved from {box.mine}" in box.say()
    assert [c.is_open for c in (*box.copies(), *box.copies(box.theirs))] == [False, False]


def test_one_mail_that_lies_in_a_mailbox_twice_is_saved_once(box):
    box.receive(id="q1"), box.receive(id="q1")

    run = box.run()

    assert (run.created, run.unchanged) == (1, 1) and len(box.emails()) == 1


def test_mails_without_a_message_id_are_told_apart_by_what_they_say(box):
    at = box.clock().isoformat()
    for address in (box.mine, box.theirs):
        for text in ("One", "Two"):
            mail = box.receive("Same", address=address, body=text, to=["both@example.test"], receivedAt=at)
            box.take_message_id(mail, address)

    box.run(), box.run(box.theirs, forward=10)

    assert sorted(e["TextBody"] for e in box.emails()) == ["One", "Two"], box.events()
    assert all(e["MessageIdentifier"].endswith("no-message-id.invalid>") for e in box.emails())


def test_s4_20_what_happens_in_the_mailbox_afterwards_changes_nothing(box):
    mail = box.receive()
    box.run()
    before = box.one()
    box.touch(mail)
    box.run()
    box.unmark(mail)
    box.run()
    box.throw_away(mail)
    box.run()

    assert box.one() == before


def test_what_was_deleted_in_salesforce_is_never_made_again(box):
    mail = box.receive()
    box.run()
    box.world.salesforce.delete_record("EmailMessage", box.one()["Id"])
    box.touch(mail), box.unmark(mail), box.mark(mail)

    box.run(), box.run(is_full=True)

    assert box.emails() == []


def test_what_another_program_saved_is_taken_up_and_not_made_again(box):
    box.world.salesforce.create_record("EmailMessage", {"Subject": "By hand", "MessageIdentifier": "<q1@acme.example>", "Status": "1"})
    box.receive(id="q1")

    run = box.run()

    assert run.created == 0 and len(box.emails()) == 1 and box.only().state == "saved" and box.only().crm_id == box.one()["Id"]


def test_what_another_program_saved_and_somebody_deleted_is_not_made_again(box):
    made = box.world.salesforce.create_record("EmailMessage", {"Subject": "x", "MessageIdentifier": "<q1@acme.example>", "Status": "1"})
    box.world.salesforce.delete_record("EmailMessage", made["Id"])
    box.receive(id="q1")

    box.run(), box.run()

    assert box.emails() == [] and box.only().state == "deleted"


def test_drafts_and_invitations_are_no_mails_to_save(box):
    box.receive("Draft", isDraft=True)

    run = box.run()

    assert box.emails() == [] and run.excluded.get("draft", 0) + (run.seen == 0) >= 1


def test_what_a_mail_says_stands_in_no_table_of_ours(box):
    box.receive("Offer", body="the price is four hundred")

    box.run()

    assert box.one()["TextBody"] == "the price is four hundred"
    for operation in Operation.objects.all():
        assert "four hundred" not in repr([operation.after, operation.exchange, operation.context, operation.origin, operation.error])
    for row in box.known():
        assert "four hundred" not in repr([row.links, row.left_out, row.sentence, row.subject])


def test_s4_2_nothing_happens_while_it_is_switched_off(box):
    mailbox = box.passes[box.mine].mailbox
    mailbox.settings = {**mailbox.settings, "emails": False}
    mailbox.save(update_fields=["settings"])
    from reconciliation.engine.mailbox_queue import is_switched_on

    assert not is_switched_on(box.parent, mailbox)


def test_where_enhanced_email_is_off_a_completed_task_stands_for_it_once(box):
    box.switch(enhanced_email=False)
    box.parent.settings = {}
    box.parent.save(update_fields=["settings"])
    account = box.account()
    ada = box.contact("Byrne", "ada@acme.example", AccountId=account)
    box.receive("A question", id="q1"), box.receive("A question", id="q1", address=box.theirs)
    path = "/services/data/{v}/composite/sobjects/Task/Sync_Key__c"
    box.world.faults.add({"kind": "lost_answer", "system": "salesforce", "method": "PATCH", "path": path, "times": 1})

    lost = box.run()
    box.run(), box.run(box.theirs), box.run()

    (task,) = [t for t in box.world.salesforce.list_records("Task") if not t.get("IsDeleted")]
    assert lost.state == "interrupted" and box.only().crm_type == "Task" and box.only().crm_id == task["Id"]
    assert (task["Subject"], task["Status"], task["TaskSubtype"]) == ("Email: A question", "Completed", "Email")
    assert (task["WhoId"], task["WhatId"], task["OwnerId"]) == (ada, account, box.users[box.mine])
    assert "how much is it?" in task["Description"] and "From: Ada Byrne <ada@acme.example>" in task["Description"]


def test_a_preview_shows_what_would_be_saved_and_writes_nothing(box):
    box.contact("Byrne", "ada@acme.example")
    box.receive("One"), box.receive("Two", **{"from": "Zoe <zoe@nowhere.example>"})

    plan = box.run(kind="preview")

    assert (plan.seen, plan.created) == (2, 2) and box.emails() == [] and not box.known()
    planned = Operation.objects.filter(run=plan, state="planned")
    assert sorted(row.after["Subject"] for row in planned) == ["One", "Two"] and not any("TextBody" in row.after for row in planned)

    applied = box.run(kind="apply", apply_of=plan.pk)

    assert (applied.state, applied.created) == ("finished", 2), (applied.note, box.events())
    assert sorted(e["Subject"] for e in box.emails()) == ["One", "Two"] and all(e["TextBody"] for e in box.emails())
    assert box.run().created == 0


def test_a_mail_that_was_changed_since_the_plan_is_refused(box):
    mail = box.receive("One")
    plan = box.run(kind="preview")
    box.touch(mail)
    box.unmark(mail)

    applied = box.run(kind="apply", apply_of=plan.pk)

    assert applied.created == 0 and box.emails() == []

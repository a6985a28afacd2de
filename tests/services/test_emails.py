"""What people do with e-mails: save one now, follow a conversation, look what sharing everything would take, take one back."""

from __future__ import annotations

import pytest
from django.contrib.auth.models import Group, User

from reconciliation.core.linking_facts import Choice
from reconciliation.models import AuditEntry, Email, Mailbox, MailThread, Operation, RunEvent, SyncPass
from reconciliation.services import emails as desk
from reconciliation.services.duplicates import DecisionRefused
from reconciliation.services.mailboxes import MailboxRefused
from reconciliation.services.undo import undo_plan
from tests.posted import RELATED, posted

pytestmark = pytest.mark.django_db


@pytest.fixture(params=["microsoft", "google", "exchange"])
def box(request):
    box = posted(request.param)
    box.contact("Byrne", "ada@acme.example")
    box.run()
    return box


@pytest.fixture
def olga():
    user = User.objects.create(username="olga", is_staff=True)
    user.groups.add(Group.objects.get(name="operator"))
    return user


def mine(box):
    return Mailbox.objects.get(address=box.mine)


def test_s4_28_d13_save_now_saves_at_once_and_the_pass_binds_it(box, olga):
    mail = box.receive("Now", marked=False, id="1")

    (told,) = desk.save_now(mine(box), [mail], olga, wiring=box.wiring)

    assert told.is_saved and box.one()["Subject"] == "Now" and (box.only().why, box.only().by) == ("person", "olga")
    box.mark(mail)
    run = box.run()
    assert run.created == 0 and len(box.emails()) == 1
    assert AuditEntry.objects.filter(action="save e-mails now").count() == 1
    (again,) = desk.save_now(mine(box), [mail], olga, wiring=box.wiring)
    assert again.is_saved and len(box.emails()) == 1


def test_a_private_mail_is_saved_by_a_person_only(box, olga):
    mail = box.receive("Private", id="1", headers={"Sensitivity": "Private"})
    assert box.run().excluded == {"private": 1}

    (told,) = desk.save_now(mine(box), [mail], olga, wiring=box.wiring)

    assert told.is_saved and len(box.emails()) == 1


def test_a_mail_that_is_gone_is_told(box, olga):
    mail = box.receive(marked=False)
    box.throw_away(mail)

    (told,) = desk.save_now(mine(box), [mail], olga, wiring=box.wiring)

    assert not told.is_saved and "not in the mailbox" in told.sentence


def test_s4_1_a_conversation_that_is_followed_has_its_new_mails_saved(box, olga):
    first = box.receive("Quote", marked=False, id="1", **conversation(box))
    box.clock.forward(60)
    thread = desk.thread_follow(mine(box), first, olga, wiring=box.wiring)
    box.run()
    assert box.emails() == []

    box.receive("Re: Quote", marked=False, id="2", **conversation(box, first))
    box.receive("Other", marked=False, id="3")
    box.run()

    assert [e["Subject"] for e in box.emails()] == ["Re: Quote"] and box.only().why == "thread"
    assert desk.thread_let_go(mine(box), thread.pk, olga) and not MailThread.objects.exists()
    box.receive("Re: Re: Quote", marked=False, id="4", **conversation(box, first))
    box.run()
    assert len(box.emails()) == 1


def test_a_whole_conversation_is_saved_at_once(box, olga):
    first = box.receive("Quote", marked=False, id="1", **conversation(box))
    box.receive("Re: Quote", marked=False, id="2", **conversation(box, first))
    (shown, *_) = desk.mails_find(mine(box), olga, message_id="<1@acme.example>", wiring=box.wiring)

    told = desk.save_thread(mine(box), shown.thread, olga, wiring=box.wiring)

    assert [t.is_saved for t in told] == [True, True] and len(box.emails()) == 2
    assert len({e["ThreadIdentifier"] for e in box.emails()}) >= 1
    assert all(s.is_saved for s in desk.mails_find(mine(box), olga, thread=shown.thread, wiring=box.wiring))


def conversation(box, first=""):
    if box.system != "google":
        return {"thread": "quote"}
    return {"thread": box._hand().row(first)["thread"]} if first else {}


def test_c21_sharing_everything_is_looked_at_before(box, olga):
    box.receive("Known", marked=False), box.receive("Unknown", marked=False, **{"from": "Zoe <zoe@x.example>"})

    found = desk.share_all_preview(mine(box), olga, wiring=box.wiring)

    assert {w.subject: w.is_taken for w in found} == {"Known": True, "": False}  # what stays is its user's alone
    assert not RunEvent.objects.filter(name="Unknown").exists()
    assert box.emails() == [] and not Email.objects.exists() and not Operation.objects.filter(state="planned").exists()


@pytest.mark.parametrize("how", ["off", "pass off", "paused", "user"])
def test_s4_2_nothing_happens_while_it_is_not_set_up_or_stands_still_and_that_is_said(box, olga, how):
    mail = box.receive(marked=False)
    mailbox = mine(box)
    if how == "off":
        mailbox.settings = {"emails": False}
    elif how == "paused":
        mailbox.state = Mailbox.State.SUSPENDED
    elif how == "user":
        mailbox.crm_user_id = ""
    else:
        SyncPass.objects.filter(pk=box.parent.pk).update(is_on=False)
    mailbox.save()

    for act in (desk.save_now, lambda *a, **k: desk.thread_follow(a[0], mail, a[2], **k)):
        with pytest.raises(MailboxRefused, match="nothing is shared"):
            act(mailbox, [mail], olga, wiring=box.wiring)
    assert box.emails() == []


def test_a_stranger_saves_nothing(box):
    mail = box.receive(marked=False)
    with pytest.raises(MailboxRefused):
        desk.save_now(mine(box), [mail], User.objects.create(username="mallory"), wiring=box.wiring)


def test_what_was_saved_is_taken_back_and_not_saved_again(box, olga):
    mail = box.receive(id="1")
    box.run()
    operation = Operation.objects.get(object_type="EmailMessage", kind="create")
    (line,) = undo_plan(SyncPass.objects.get(pk=box.passes[box.mine].pk), [operation], wiring=box.wiring)
    assert line.is_possible and "is deleted there" in line.sentence

    desk.email_take_back(box.only(), olga, reason="sent by mistake", wiring=box.wiring)

    assert box.emails() == [] and box.only().state == "taken_back"
    box.touch(mail), box.unmark(mail), box.mark(mail)
    box.run()
    assert box.emails() == []
    with pytest.raises(DecisionRefused):
        desk.email_take_back(box.only(), olga, wiring=box.wiring)


# --- links (D31) ---------------------------------------------------------------------------------------------------------------


def test_d31_links_are_chosen_before_a_mail_is_saved_now(box, olga):
    account, zoe = box.account("Other"), box.contact("Zimmer", "zoe@other.example")
    mail = box.receive("Now", marked=False, id="1")

    choice = desk.choice_of_texts(mine(box), olga, who="zoe@other.example", what="Other", wiring=box.wiring)
    (told,) = desk.save_now(mine(box), [mail], olga, choice=choice, wiring=box.wiring)

    assert told.is_saved and box.one()["RelatedToId"] == account
    assert zoe in {id_ for _, id_ in box.people()} and (box.only().links["who"], box.only().links["what"]) == (zoe, account)
    assert box.only().links["chosen"]["by"] == "olga"


def test_what_nobody_is_called_or_several_are_is_refused_and_nothing_is_saved(box, olga):
    box.account("Twin"), box.account("Twin")
    for who, what, said in (
        ("nobody@x.example", "", "knows no person"),
        ("", "Twin", "Several are called"),
        ("", "Nix", "knows no account"),
    ):
        with pytest.raises(DecisionRefused, match=said):
            desk.choice_of_texts(mine(box), olga, who=who, what=what, wiring=box.wiring)
    assert desk.choice_of_texts(mine(box), olga, who=" ", what="", wiring=box.wiring) == Choice()


def test_d31_links_of_an_e_mail_that_waits_are_chosen_and_stay_chosen(box, olga):
    account = box.account("Other")
    box.receive("One", id="1")
    box.switch(hidden_fields=["EmailMessage.TextBody"])
    box.run()

    said = desk.email_link(box.only(), olga, Choice(who="", what=account), wiring=box.wiring)
    box.run()
    assert "when it is saved" in said and box.emails() == [] and box.only().links["chosen"]["what"] == account
    box.switch(hidden_fields=[])
    box.run(), box.run()

    assert box.one()["RelatedToId"] == account and box.only().links["who"] in (None, "") and box.only().links["chosen"]["by"] == "olga"
    assert AuditEntry.objects.filter(action="choose links of e-mail").count() == 1
    with pytest.raises(DecisionRefused, match="while it is a draft"):
        desk.email_link(box.only(), olga, Choice(what=""), wiring=box.wiring)
    with pytest.raises(MailboxRefused):
        Email.objects.update(state="refused")
        desk.email_link(box.only(), User.objects.create(username="mallory"), Choice(what=""), wiring=box.wiring)


def test_links_of_a_task_that_stands_for_an_e_mail_are_chosen_at_once(box, olga):
    box.switch(enhanced_email=False)
    SyncPass.objects.filter(pk=box.parent.pk).update(settings={})
    for address, child in box.passes.items():
        box.passes[address] = SyncPass.objects.select_related(*RELATED).get(pk=child.pk)
    account = box.account("Other")
    box.receive("One", id="1")
    box.run()
    assert box.only().crm_type == "Task" and box.only().links["who"]

    said = desk.email_link(box.only(), olga, Choice(who="", what=account), wiring=box.wiring)

    task = box.world.salesforce.get_record("Task", box.only().crm_id)
    assert said == "Its links are as chosen." and (task["WhoId"], task["WhatId"]) == (None, account)
    (written,) = Operation.objects.filter(kind="update", object_type="Task")
    assert written.state == "confirmed"
    (line,) = undo_plan(SyncPass.objects.get(pk=box.passes[box.mine].pk), [written], wiring=box.wiring)
    assert not line.is_possible  # and by no means is the task deleted
    assert box.run().created == 0

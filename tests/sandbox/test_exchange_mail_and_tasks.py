"""The played Exchange: tasks, messages, attachments and pull subscriptions, through exchangelib."""

from __future__ import annotations

import base64
from decimal import Decimal

import pytest
from exchangelib import EWSDate, FileAttachment, Message, Task
from exchangelib.errors import (
    ErrorExpiredSubscription,
    ErrorInvalidOperation,
    ErrorInvalidPropertyUpdateSentMessage,
    ErrorInvalidWatermark,
    ErrorItemNotFound,
    ErrorSubscriptionNotFound,
)
from exchangelib.folders import Messages, Tasks
from exchangelib.services import GetEvents

from tests.sandbox.exchange_box import EMMA, ERIK

HELLO = base64.b64encode(b"Hello").decode()


@pytest.fixture
def emma(exchange):
    return exchange.account()


def path_of(kind, id_):
    return f"/records/exchange/{kind}/{id_.replace('/', '%2F').replace('+', '%2B')}"


# --- tasks ------------------------------------------------------------------------------------------------------------------
def test_a_task_reads_as_it_was_written(emma):
    values = {"subject": "Call", "body": "soon", "importance": "High", "categories": ["Salesforce"], "status": "WaitingOnOthers"}
    days = {"start_date": EWSDate(2026, 12, 1), "due_date": EWSDate(2026, 12, 4)}
    made = Task(account=emma, folder=emma.tasks, percent_complete=Decimal(40), **values, **days).save()

    read = emma.tasks.get(id=made.id)

    assert {name: getattr(read, name) for name in (*values, *days)} == {**values, **days}
    assert (read.percent_complete, read.is_complete, read.complete_date) == (40, False, None)


def test_a_day_is_the_day_of_the_callers_clocks(exchange):
    tokyo = exchange.account(zone="Asia/Tokyo")
    made = Task(account=tokyo, folder=tokyo.tasks, subject="Call", due_date=EWSDate(2026, 12, 4)).save()

    assert exchange.control("GET", path_of("task", made.id))["dueDate"] == "2026-12-04"
    assert tokyo.tasks.get(id=made.id).due_date == EWSDate(2026, 12, 4)


def test_a_completed_task_has_its_percentage_and_the_present_as_its_day(emma, exchange):
    task = Task(account=emma, folder=emma.tasks, subject="Call").save()
    task.refresh()

    task.complete()

    done = emma.tasks.get(id=task.id)
    assert (done.status, done.percent_complete, done.is_complete) == ("Completed", 100, True)
    assert done.complete_date == exchange.clock.at
    done.status, done.percent_complete = "InProgress", Decimal(50)
    done.save(update_fields=["status", "percent_complete"])
    again = emma.tasks.get(id=task.id)
    assert (again.status, again.percent_complete, again.complete_date) == ("InProgress", 50, None)


def test_tasks_live_in_folders_of_tasks_and_are_synced_there(emma, exchange):
    folder = Tasks(parent=emma.tasks, name="Salesforce Tasks").save()
    task = Task(account=emma, folder=folder, subject="Call").save()
    assert [(what, each.subject) for what, each in folder.sync_items()] == [("create", "Call")]
    exchange.control("PATCH", path_of("task", task.id), {"status": "completed"})

    assert [(what, each.status) for what, each in folder.sync_items()] == [("update", "Completed")]
    exchange.control("DELETE", path_of("task", task.id))
    assert [(what, each.id) for what, each in folder.sync_items()] == [("delete", task.id)]
    assert [each.subject for each in emma.trash.all()] == ["Call"]


# --- messages ---------------------------------------------------------------------------------------------------------------
@pytest.fixture
def mail(exchange):
    return exchange.by_hand(
        "message",
        subject="RE: Offer",
        **{"from": "Bo Li <bo@x.example>"},
        to=["Emma Ellis <emma@example.test>", "erik@example.test"],
        cc="Cleo <cleo@x.example>",
        body="Yes.\r\n\r\nOn Monday Emma wrote:\r\n> Would you?",
        internetMessageId="<1@x.example>",
        conversation="offer",
        receivedDateTime="2026-10-30T08:00:00Z",
        headers={"List-Id": "none"},
        attachments=[{"name": "a.txt", "content": HELLO}, {"name": "logo.png", "content": HELLO, "isInline": True, "contentId": "logo"}],
    )


def test_a_received_message_reads_in_full(emma, mail):
    read = emma.inbox.get(id=mail["id"])

    assert (read.subject, read.author.name, read.author.email_address, read.message_id) == (
        "RE: Offer",
        "Bo Li",
        "bo@x.example",
        "<1@x.example>",
    )
    assert [each.email_address for each in (*read.to_recipients, *read.cc_recipients)] == [EMMA, ERIK, "cleo@x.example"]
    assert (read.conversation_topic, read.is_read, read.is_draft, read.has_attachments) == ("Offer", False, False, True)
    assert read.body == mail["body"]
    assert (str(read.datetime_received), read.unique_body, read.text_body[:4]) == ("2026-10-30 08:00:00+00:00", "Yes.", "Yes.")
    assert [(each.name, each.value) for each in read.headers] == [("List-Id", "none")]
    assert b"Message-ID: <1@x.example>" in read.mime_content and b"a.txt" in read.mime_content


def test_attachments_come_one_by_one(emma, mail):
    read = emma.inbox.get(id=mail["id"])

    assert [(each.name, each.is_inline, each.size, each.content) for each in read.attachments] == [
        ("a.txt", False, 5, b"Hello"), ("logo.png", True, 5, b"Hello")]  # fmt: skip


def test_attachments_are_hung_on_and_taken_off(emma, exchange, mail):
    read = emma.inbox.get(id=mail["id"])
    read.attach(FileAttachment(name="b.txt", content=b"more"))
    read.detach(read.attachments[0])

    again = emma.inbox.get(id=mail["id"])
    assert [each.name for each in again.attachments] == ["logo.png", "b.txt"]
    with pytest.raises(ErrorItemNotFound):
        _ = emma.inbox.get(id=read.id).attachments[0].content, _gone(exchange, emma, again)


def _gone(exchange, emma, message):
    """Reads an attachment whose message was deleted meanwhile."""
    attachment = message.attachments[1]
    message.delete()
    return attachment.content


def test_messages_of_one_conversation_share_its_id(emma, exchange, mail):
    other = exchange.by_hand("message", subject="Re: Offer", conversation="offer")
    apart = exchange.by_hand("message", subject="Offer", conversation="else")

    first, second, third = (emma.inbox.get(id=each["id"]).conversation_id.id for each in (mail, other, apart))
    assert first == second != third


def test_lists_tell_names_without_addresses_and_no_recipients(exchange, mail):
    uris = "".join(f'<t:FieldURI FieldURI="message:{name}"/>' for name in ("From", "ToRecipients", "InternetMessageId"))
    shape = f"<m:ItemShape><t:BaseShape>IdOnly</t:BaseShape><t:AdditionalProperties>{uris}</t:AdditionalProperties></m:ItemShape>"
    parents = '<m:ParentFolderIds><t:DistinguishedFolderId Id="inbox"/></m:ParentFolderIds>'

    told = exchange.ask(f'<m:FindItem Traversal="Shallow">{shape}{parents}</m:FindItem>').text

    assert "Bo Li" in told and "&lt;1@x.example&gt;" in told and "bo@x.example" not in told and "ToRecipients" not in told


def test_that_a_message_was_read_is_told_as_that(emma, mail):
    list(emma.inbox.sync_items(only_fields=["subject"]))
    read = emma.inbox.get(id=mail["id"])
    read.is_read = True
    read.save(update_fields=["is_read"])

    [(what, (item_id, is_read))] = emma.inbox.sync_items(only_fields=["subject"])
    assert (what, item_id.id, is_read) == ("read_flag_change", mail["id"], True)
    read.refresh()
    read.is_read, read.categories = False, ["Salesforce"]
    read.save(update_fields=["is_read", "categories"])
    assert [what for what, _ in emma.inbox.sync_items(only_fields=["subject"])] == ["update"]


def test_what_was_sent_is_not_changed_but_for_what_is_the_owners(emma, mail):
    read = emma.inbox.get(id=mail["id"])
    read.categories = ["Salesforce"]
    read.save(update_fields=["categories"])
    read.is_draft = True  # or the library itself would refuse
    read.to_recipients = ["else@x.example"]

    with pytest.raises(ErrorInvalidPropertyUpdateSentMessage):
        read.save(update_fields=["to_recipients"])
    assert emma.inbox.get(id=mail["id"]).categories == ["Salesforce"]


def test_a_message_that_is_sent_arrives_and_is_noted(emma, exchange):
    values = {"subject": "Hi", "body": "x", "to_recipients": [ERIK], "bcc_recipients": ["hidden@x.example"]}
    Message(account=emma, folder=emma.sent, **values, attachments=[FileAttachment(name="a", content=b"1")]).send_and_save()

    [arrived], [kept] = exchange.account(ERIK).inbox.all(), emma.sent.all()
    assert (arrived.subject, arrived.author.email_address, arrived.is_read, arrived.bcc_recipients) == ("Hi", EMMA, False, None)
    assert arrived.message_id == kept.message_id and [each.content for each in arrived.attachments] == [b"1"]
    assert [each.email_address for each in kept.bcc_recipients] == ["hidden@x.example"]
    assert exchange.mails() == [("message", [ERIK, "hidden@x.example"], "Hi")]


def test_a_draft_stays_one_and_mails_nobody(emma, exchange):
    Message(account=emma, folder=emma.drafts, subject="Hi", to_recipients=[ERIK]).save()

    assert [each.is_draft for each in emma.drafts.all()] == [True] and exchange.mails() == []


def test_a_message_that_is_filed_gets_another_id(emma, exchange, mail):
    folder = Messages(parent=emma.inbox, name="Salesforce Emails").save()
    row = exchange.control("PATCH", path_of("message", mail["id"]), {"folder": "Salesforce Emails"})

    assert row["id"] != mail["id"] and folder.get(id=row["id"]).message_id == "<1@x.example>"
    assert exchange.control("POST", "/exchange/messages", {"messages": [{"mailbox": EMMA, "folder": "Salesforce Emails"}] * 3}) == {
        "created": 3
    }
    assert folder.all().count() == 4


# --- pull subscriptions -----------------------------------------------------------------------------------------------------
def events_of(folder, subscription, watermark):
    """Returns the kinds of events, and the last watermark."""
    kinds = []
    for notification in folder.get_events(subscription, watermark):
        for each in notification.events:
            kinds.append(type(each).__name__)
            watermark = each.watermark
    return kinds, watermark


def test_a_subscription_tells_of_the_folders_in_a_folder_and_of_what_they_say_of_themselves(emma, exchange):
    """Who watches what a folder lies in hears that it came, was renamed, moved and left; a message in it changes its counts."""
    root = emma.msg_folder_root
    subscription, watermark = root.subscribe_to_pull(timeout=10)
    errands = Tasks(parent=root, name="Errands").save()
    assert events_of(root, subscription, watermark)[0] == ["CreatedEvent"]
    exchange.by_hand("message", subject="Hi")
    kinds, watermark = events_of(root, subscription, watermark)
    assert kinds == ["CreatedEvent", "ModifiedEvent"]
    errands.name = "Chores"
    errands.save(update_fields=["name"])
    errands.move(to_folder=emma.trash)
    kinds, watermark = events_of(root, subscription, watermark)
    assert kinds == ["ModifiedEvent", "MovedEvent"]
    again = Tasks(parent=root, name="Errands").save()
    again.delete()
    assert events_of(root, subscription, watermark)[0] == ["CreatedEvent", "DeletedEvent"]
    assert root.unsubscribe(subscription) is True


def test_a_subscription_tells_what_happened_since_the_watermark(emma, exchange):
    folder = emma.contacts
    subscription, watermark = folder.subscribe_to_pull(timeout=10)
    kinds, watermark = events_of(folder, subscription, watermark)
    assert kinds == ["StatusEvent"]

    contact = exchange.contact(folder)
    contact.job_title = "Buyer"
    contact.save(update_fields=["job_title"])
    exchange.by_hand("message", subject="of another folder")
    kinds, after = events_of(folder, subscription, watermark)
    assert kinds == ["CreatedEvent", "ModifiedEvent"]
    contact.move(emma.trash)
    assert events_of(folder, subscription, after)[0] == ["MovedEvent"]
    assert events_of(folder, subscription, watermark)[0] == ["CreatedEvent", "ModifiedEvent", "MovedEvent"]
    assert folder.unsubscribe(subscription) is True
    with pytest.raises(ErrorSubscriptionNotFound):
        events_of(folder, subscription, watermark)


def test_a_change_of_the_calendar_is_one_of_free_and_busy_times_too_and_new_mail_is_told(emma, exchange):
    both = emma.calendar.subscribe_to_pull(timeout=10)
    inbox = emma.inbox.subscribe_to_pull(timeout=10)
    exchange.by_hand("event", subject="x", start="2026-12-01T10:00", end="2026-12-01T11:00")
    exchange.by_hand("message", subject="y")

    assert events_of(emma.calendar, *both)[0] == ["CreatedEvent", "FreeBusyChangedEvent"]
    assert events_of(emma.inbox, *inbox)[0] == ["CreatedEvent", "NewMailEvent"]


def test_many_events_come_in_parts(emma, exchange):
    subscription, watermark = emma.contacts.subscribe_to_pull(timeout=10)
    for n in range(60):
        exchange.by_hand("contact", givenName=f"N{n}")

    # The folder's own get_events asks again with the watermark it had, and would never come to an end.
    first = GetEvents(account=emma).get(subscription_id=subscription, watermark=watermark)
    second = GetEvents(account=emma).get(subscription_id=subscription, watermark=first.events[-1].watermark)

    assert (len(first.events), first.more_events, len(second.events), second.more_events) == (50, True, 10, False)


def test_a_subscription_that_nobody_asks_for_long_expires(emma, exchange):
    subscription, watermark = emma.contacts.subscribe_to_pull(timeout=10)
    exchange.clock.forward(601)

    with pytest.raises(ErrorExpiredSubscription):
        events_of(emma.contacts, subscription, watermark)


def test_watermarks_die_and_other_kinds_of_subscriptions_are_refused(emma, exchange):
    subscription, watermark = emma.contacts.subscribe_to_pull(timeout=10)
    exchange.control("POST", "/exchange/expire_sync")

    with pytest.raises(ErrorInvalidWatermark):
        events_of(emma.contacts, subscription, watermark)
    with pytest.raises(ErrorInvalidOperation):
        emma.contacts.subscribe_to_streaming()


def test_a_mailbox_has_as_many_subscriptions_as_it_may(emma, exchange):
    exchange.switch(subscriptions_most=1)
    emma.contacts.subscribe_to_pull(timeout=10)
    request = "<m:PullSubscriptionRequest SubscribeToAllFolders='true'><t:EventTypes><t:EventType>CreatedEvent</t:EventType></t:EventTypes>"
    request += "<t:Timeout>10</t:Timeout></m:PullSubscriptionRequest>"

    assert exchange.code(f"<m:Subscribe>{request}</m:Subscribe>") == "ErrorExceededSubscriptionCount"
    exchange.clock.forward(3600)
    assert exchange.code(f"<m:Subscribe>{request}</m:Subscribe>") == "NoError"

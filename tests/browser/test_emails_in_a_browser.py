"""E-mails of mailboxes, one of them, and what a user does with those of the own mailbox, with the keyboard alone; and their pages, as
axe-core and a ruler find them: empty, with 1,200 rows, and with whatever strangers write into a mail."""

import pytest
from django.conf import settings
from django.contrib.auth.models import Group, User
from django.core.management import call_command
from django.test import Client
from django.utils import timezone

from reconciliation.models import Email, EmailCopy, Mailbox, MailThread
from tests.admin.test_pages import HOSTILE
from tests.browser.hands import enter, faults, press
from tests.posted import posted

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]


@pytest.fixture
def box(monkeypatch):
    call_command("migrate", verbosity=0)
    box = posted()
    monkeypatch.setattr("reconciliation.engine.connections.open_connector", lambda row, **o: box.wiring.open_connector(row, **o))
    monkeypatch.setattr("reconciliation.jobs.async_task", lambda *a, **k: None)
    box.contact("Byrne", "ada@acme.example", AccountId=box.account())
    box.run()
    return box


def fill(box, many=1200):
    """One mail that was saved, one that waits, one with hostile values, and many."""
    box.receive("A question", id="1"), box.receive("A question", id="1", address=box.theirs)
    box.run(), box.run(box.theirs)
    box.switch(hidden_fields=["EmailMessage.TextBody"])
    box.receive("It waits", id="2")
    box.run()
    box.switch(hidden_fields=[])
    child, now = box.passes[box.mine], timezone.now()
    common = {"connection": child.crm, "holder": child, "since": now, "sent_at": now, "saved_at": now, "why": "auto"}
    rows = Email.objects.bulk_create(
        Email(key=str(n), subject=f"Mail {n}", sender=f"person{n}@acme.example", state="saved", crm_id="02s", **common) for n in range(many)
    )
    made = [{"type": HOSTILE[:9], "id": HOSTILE, "address": HOSTILE}]
    links = {"who": HOSTILE[:60], "what": HOSTILE[:60], "steps": [HOSTILE], "made": made}
    said = {"subject": HOSTILE, "sender": HOSTILE, "recipients": HOSTILE * 4, "message_id": HOSTILE, "by": HOSTILE[:150], "links": links}
    rows.append(
        Email.objects.create(key="hostile", state="saved", crm_type="EmailMessage", crm_id="02s000", left_out=[HOSTILE], **said, **common)
    )
    lies = {"sync_pass": child, "why": "auto", "by": HOSTILE[:150], "is_open": False, "seen_at": now}
    EmailCopy.objects.bulk_create(EmailCopy(email=row, mail_id=f"m{row.pk}", **lies) for row in rows)


def sign_in(page, address, box):
    user = User.objects.create_user("ann", is_staff=False)
    user.groups.add(Group.objects.get(name="mailbox user"))
    Mailbox.objects.filter(address=box.mine).update(user=user)
    client = Client()
    client.force_login(user)
    name = settings.SESSION_COOKIE_NAME
    page.context.add_cookies([{"name": name, "value": client.cookies[name].value, "url": address}])


def test_staff_look_at_e_mails_choose_links_and_take_one_back(box, page, live_server):
    enter(page, live_server.url, "operator")
    page.goto(f"{live_server.url}/emails/")
    assert faults(page, "emails-none") == []
    fill(box)
    alerts = []
    page.on("dialog", lambda dialog: alerts.append(dialog.message) or dialog.dismiss())

    page.goto(f"{live_server.url}/emails/")
    assert page.get_by_text("E-mails of mailboxes: 1,203").first.is_visible()
    assert faults(page, "emails") == []
    page.goto(f"{live_server.url}/emails/{Email.objects.get(key='hostile').pk}/")
    assert faults(page, "email-hostile") == [] and alerts == []

    page.goto(f"{live_server.url}/emails/?state=waiting")
    press(page, page.get_by_role("link", name="It waits"), "Enter")
    page.wait_for_url("**/emails/*/")
    press(page, page.get_by_text("Choose links…"), "Enter")
    page.get_by_label("Name, e-mail address or id").fill("ada@acme.example")
    page.keyboard.press("Enter")
    page.get_by_label("Byrne").wait_for()
    assert faults(page, "email-links") == []
    page.get_by_role("group", name="Related to").get_by_label("Nothing").check()
    press(page, page.get_by_role("button", name="Link so"), "Enter")
    page.get_by_text("It is linked so when it is saved.").wait_for()
    assert faults(page, "email-chosen") == []

    page.goto(f"{live_server.url}/emails/{Email.objects.get(subject='A question').pk}/")
    assert page.get_by_text("lets nobody change it afterwards").is_visible()
    press(page, page.get_by_text("Take back"), "Enter")
    assert faults(page, "email") == []
    press(page, page.get_by_role("button", name="Delete it there"), "Enter")
    page.get_by_text("The e-mail was deleted in Salesforce.").wait_for()
    assert box.emails() == []


def test_a_user_saves_follows_and_takes_back_mails_of_the_own_mailbox(box, page, live_server):
    box.receive("A <b>quote</b>", marked=False, id="7", thread="quote")
    box.receive(HOSTILE, marked=False, id="8", receivedAt=timezone.now().isoformat())
    sign_in(page, live_server.url, box)
    page.goto(f"{live_server.url}/my-mailbox/save-emails/")
    assert faults(page, "my-mailbox-emails-none") == []
    mailbox = Mailbox.objects.get(address=box.mine)
    MailThread.objects.create(mailbox=mailbox, thread="x", subject=HOSTILE, chosen_by="ann", chosen_at=timezone.now())

    page.goto(f"{live_server.url}/my-mailbox/save-emails/")
    page.get_by_label("Message-ID").fill("<7@acme.example>")
    page.keyboard.press("Enter")
    page.get_by_text("A <b>quote</b>").wait_for()
    press(page, page.get_by_text("Choose links…"), "Enter")
    assert faults(page, "my-mailbox-emails-found") == []
    page.get_by_label("Main person").fill("ada@acme.example")
    press(page, page.get_by_role("button", name="Save now"), "Enter")
    page.get_by_text("1 e-mail in Salesforce now.").wait_for()
    assert len(box.emails()) == 1

    page.get_by_label("Message-ID").fill("<7@acme.example>")
    page.keyboard.press("Enter")
    press(page, page.get_by_role("button", name="Follow the conversation"), "Enter")
    page.get_by_text("New mails of this conversation are saved from now on.").wait_for()
    press(page, page.get_by_role("button", name="Look", exact=True), "Enter")
    page.locator("td[data-label='Would be']").first.wait_for()
    assert faults(page, "my-mailbox-emails-would") == []

    fill(box, many=120)
    page.goto(f"{live_server.url}/my-mailbox/shared/emails/")
    assert faults(page, "my-mailbox-shared-emails") == []
    press(page, page.get_by_label("Choose Mail 119"), "Space")
    press(page, page.get_by_role("button", name="Take back…"), "Enter")
    page.get_by_text("Each is deleted in Salesforce").wait_for()
    assert faults(page, "my-mailbox-shared-emails-confirm") == []

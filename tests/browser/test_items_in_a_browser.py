"""Calendar items, one of them, and what left one's own mailbox, with the keyboard alone; and their pages, as axe-core and a ruler find
them."""

import pytest
from django.conf import settings
from django.contrib.auth.models import Group, User
from django.core.management import call_command
from django.test import Client
from django.utils import timezone

from reconciliation.models import Mailbox, MailboxItem
from reconciliation.services.set_up import contacts_pass
from tests.admin.test_pages import HOSTILE
from tests.browser.hands import enter, faults, press
from tests.calendars import calendars

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]
BO, CY = "bo@acme.example", "cy@acme.example"


@pytest.fixture
def box(monkeypatch):
    call_command("migrate", verbosity=0)
    box = calendars()
    monkeypatch.setattr("reconciliation.engine.connections.open_connector", lambda row, **o: box.wiring.open_connector(row, **o))
    monkeypatch.setattr("reconciliation.jobs.async_task", lambda *a, **k: None)
    return box


def fill(box):
    """One meeting that waits for *Send update*, a private one, one of a colleague, and one with hostile values."""
    box.set(private_events="busy")
    box.contact("Lind", BO, FirstName="Bo")
    box.enter("Quarterly review", attendees=[BO, CY], location="Room 2")
    box.enter("Dentist", box.at(2), sensitivity="private")
    together = box.enter("Together", box.at(3), attendees=[box.theirs])
    box.alter(box.copy_of(together, box.theirs), categories=["Salesforce"])
    box.run()
    box.run(box.theirs)
    box.edit_event(next(r["Id"] for r in box.events_there() if r["Subject"] == "Quarterly review"), Subject="Quarterly review, moved")
    box.run()
    links = {"who": "003000000000001AAA", "steps": [HOSTILE], "unresolved": [HOSTILE[:60]]}
    common = {"object_type": "event", "why": "auto", "since": timezone.now(), "seen_at": timezone.now(), "starts_at": box.at(4)}
    MailboxItem.objects.create(
        sync_pass=box.passes[box.mine], item_id="hostile", name=HOSTILE[:255], sentence=HOSTILE, links=links, crm_type="Event",
        crm_id="00U", **common,
    )  # fmt: skip


def test_staff_find_an_item_send_its_update_and_take_it_back(box, page, live_server):
    enter(page, live_server.url, "operator")
    page.goto(f"{live_server.url}/items/")
    assert faults(page, "items-none") == []
    fill(box)

    page.goto(f"{live_server.url}/items/")
    assert page.get_by_text("Private appointment").first.is_visible() and page.get_by_text("Dentist").count() == 0
    assert faults(page, "items") == []
    page.goto(f"{live_server.url}/items/?held=yes")
    press(page, page.get_by_role("link", name="Quarterly review"), "Enter")
    page.wait_for_url("**/items/*/")
    assert page.get_by_text("would mail 2 people").first.is_visible()
    assert faults(page, "item") == []

    press(page, page.get_by_text("Send update…"), "Enter")
    assert page.get_by_text("A mail cannot be taken back.").is_visible()
    assert faults(page, "item-send-update") == []
    press(page, page.get_by_role("button", name="Send update to 2 people"), "Enter")
    page.get_by_text("its 2 guests are told by the mail system").wait_for()
    press(page, page.get_by_role("link", name="Read both sides now"), "Enter")
    page.get_by_text("As they are now").wait_for()
    assert page.get_by_role("heading", name="Who takes part").is_visible()
    assert faults(page, "item-now") == []

    press(page, page.get_by_text("Choose links…"), "Enter")
    page.get_by_label("Name, e-mail address or id").fill(BO)
    page.keyboard.press("Enter")
    page.get_by_label("Bo Lind").wait_for()
    assert faults(page, "item-links") == []
    press(page, page.get_by_role("button", name="Take back…"), "Enter")
    page.get_by_text("Each is deleted in Salesforce").wait_for()
    assert faults(page, "item-confirm") == []
    press(page, page.get_by_role("button", name="Take back"), "Enter")
    page.get_by_text("1 item was taken back.").wait_for()

    hostile = MailboxItem.objects.get(item_id="hostile")
    page.goto(f"{live_server.url}/items/{hostile.pk}/")
    assert faults(page, "item-hostile") == []
    page.goto(f"{live_server.url}/mailboxes/activity/")
    assert faults(page, "mailboxes-activity") == []
    page.goto(f"{live_server.url}/mailboxes/{Mailbox.objects.get(address=box.mine).pk}/")
    assert page.get_by_role("heading", name="What is synced").is_visible()
    assert faults(page, "mailbox-passes") == []


def test_a_user_sees_what_left_their_mailbox_takes_one_back_and_shares_another(box, page, live_server):
    fill(box)
    box.enter("Kick-off with Acme", box.at(5), categories=[])
    user = User.objects.create_user("ann", is_staff=False)
    user.groups.add(Group.objects.get(name="mailbox user"))
    Mailbox.objects.filter(address=box.mine).update(user=user)
    sign_in(page, live_server.url, user)

    page.goto(f"{live_server.url}/my-mailbox/")
    assert faults(page, "my-mailbox") == []
    press(page, page.get_by_role("link", name="What left my mailbox"), "Enter")
    page.wait_for_url("**/my-mailbox/shared/")
    assert page.get_by_text("who owns it there").first.is_visible()
    assert faults(page, "my-mailbox-shared") == []
    press(page, page.get_by_role("link", name="Quarterly review"), "Enter")
    page.wait_for_url("**/my-mailbox/shared/*/")
    assert faults(page, "my-mailbox-item") == []

    first, last = f"{box.at(5):%Y-%m-%d}", f"{box.at(6):%Y-%m-%d}"
    page.goto(f"{live_server.url}/my-mailbox/share/")
    assert faults(page, "my-mailbox-share-none") == []
    page.get_by_label("From").fill(first)
    page.get_by_label("To", exact=True).fill(last)
    page.get_by_label("Subject has").fill("kick")
    page.keyboard.press("Enter")
    page.get_by_text("Only in your mailbox").wait_for()
    assert faults(page, "my-mailbox-share") == []
    press(page, page.get_by_role("button", name="Share Kick-off with Acme now"), "Enter")
    page.get_by_text("is in Salesforce now.").wait_for()
    assert "Kick-off with Acme" in [row["Subject"] for row in box.events_there()]

    page.goto(f"{live_server.url}/my-mailbox/shared/")
    press(page, page.get_by_label("Choose Kick-off with Acme"), "Space")
    press(page, page.get_by_role("button", name="Take back…"), "Enter")
    page.get_by_text("Each is deleted in Salesforce").wait_for()
    press(page, page.get_by_role("button", name="Take back"), "Enter")
    page.get_by_text("1 item was taken back.").wait_for()
    assert "Kick-off with Acme" not in [row["Subject"] for row in box.events_there()]
    page.goto(f"{live_server.url}/my-mailbox/shared/emails/")
    assert faults(page, "my-mailbox-shared-emails") == []


def test_the_settings_of_mailboxes_stand_under_headings(box, page, live_server):
    contacts_pass(box.parent.crm, box.parent.peer)
    enter(page, live_server.url, "admin")
    page.goto(f"{live_server.url}/mailboxes/settings/")
    for heading in ("Contacts", "Calendar", "E-mails", "Linking"):
        assert page.get_by_role("heading", name=heading, exact=True).is_visible(), heading
    assert faults(page, "mailbox-settings-headings") == []


def sign_in(page, address, user):
    """Signs the user of a mailbox in, beside the log-in page."""
    client = Client()
    client.force_login(user)
    name = settings.SESSION_COOKIE_NAME
    page.context.add_cookies([{"name": name, "value": client.cookies[name].value, "url": address}])

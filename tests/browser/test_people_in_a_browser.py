"""Unknown, made and blocked people as staff and a mailbox's user work them, and as axe-core and a ruler find the pages."""

import pytest
from django.contrib.auth.models import User
from django.core.management import call_command
from django.utils import timezone
from playwright.sync_api import expect

from reconciliation.models import BlockedAddress, MadePerson, Mailbox, OwnDomain, UnresolvedPerson
from tests.admin.test_pages import HOSTILE
from tests.browser.hands import enter, faults, press
from tests.linked import linked_boxes, mail

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]
SIGNED = "Hello,\n\nKind regards,\nZed Zimmer\nHead of Purchasing\nZeta Tools GmbH\n"


@pytest.fixture
def box(monkeypatch):
    call_command("migrate", verbosity=0)
    box = linked_boxes()
    monkeypatch.setattr("reconciliation.engine.connections.open_connector", lambda row, **o: box.boxes.wiring.open_connector(row, **o))
    monkeypatch.setattr("reconciliation.jobs.async_task", lambda *a, **k: None)
    return box


def met(box):
    """Lets the mailboxes have met people: unknown ones, one who was made, a block, hostile words."""
    box.one(mail("m1", "zed@zeta-tools.example", name="Zed Zimmer", body=SIGNED))
    box.one(mail("m2", f"{'long' * 12}@a-rather-long-name-of-a-company.example", name=HOSTILE[:100], shown=HOSTILE))
    box.set(resolve_mode="leads")
    box.one(mail("m3", "yan@gmail.com"))
    box.set(resolve_mode="off")
    BlockedAddress.objects.create(entry="blocked-for-all.example", note=HOSTILE[:200], by_name="a-admin", at=timezone.now())
    OwnDomain.objects.create(domain="seller.example", by_name="a-admin", at=timezone.now())


def test_unknown_people_become_leads_with_the_keyboard_and_are_completed(box, page, live_server):
    met(box)
    enter(page, live_server.url, "admin")
    row = UnresolvedPerson.objects.get(address="zed@zeta-tools.example")
    places = ["/unknown-people/", f"/unknown-people/{row.pk}/?q=Zimmer", "/unknown-people/?state=all", "/made-people/", "/blocklist/"]
    for place in [*places, "/blocklist/?show=removed", "/own-domains/", f"/made-people/{MadePerson.objects.get().pk}/"]:
        page.goto(f"{live_server.url}{place}")
        assert faults(page, f"people-{place.strip('/').replace('/', '-').partition('?')[0]}") == [], place

    page.set_viewport_size({"width": 1366, "height": 900})
    page.goto(f"{live_server.url}/unknown-people/?address=zed")
    press(page, page.get_by_role("checkbox", name="Choose zed@zeta-tools.example"), "Space")
    press(page, page.get_by_role("button", name="Make leads…"), "Enter")
    expect(page.get_by_text("A lead of Salesforce is made of each.")).to_be_visible()
    assert faults(page, "people-confirm") == []
    page.set_viewport_size({"width": 1366, "height": 900})
    press(page, page.get_by_role("button", name="Make leads"), "Enter")
    expect(page.get_by_text("1 record was made.")).to_be_visible()
    assert {lead["LastName"] for lead in box.rows("Lead")} == {"Zimmer", "yan"}

    page.goto(f"{live_server.url}/made-people/")
    page.get_by_role("link", name="yan", exact=True).click()
    page.get_by_label("A company").fill("Yota")
    page.get_by_label("A first name").fill("Yan")
    page.get_by_label("A last name").fill("Young")
    page.get_by_role("button", name="Write to Salesforce").click()
    expect(page.get_by_text("Nobody is incomplete.")).to_be_visible()
    assert {lead["Company"] for lead in box.rows("Lead")} == {"Zeta Tools GmbH", "Yota"}


def test_a_mailbox_user_blocks_for_themselves_and_takes_it_back(box, page, live_server):
    met(box)
    user = enter(page, live_server.url, "mailbox user")
    User.objects.filter(pk=user.pk).update(is_staff=False)
    Mailbox.objects.filter(address=box.boxes.mine).update(user=user)
    page.goto(f"{live_server.url}/my-mailbox/")
    page.get_by_role("link", name="Unknown people").first.click()
    assert faults(page, "people-mine") == []
    page.set_viewport_size({"width": 1366, "height": 900})
    page.get_by_role("checkbox", name="Choose zed@zeta-tools.example").check()
    page.get_by_role("button", name="Block…").click()
    page.get_by_role("button", name="Block", exact=True).click()
    expect(page.get_by_text("1 address is blocked")).to_be_visible()

    page.get_by_role("link", name="Blocklist").click()
    expect(page.get_by_role("cell", name="zed@zeta-tools.example", exact=True)).to_be_visible()
    assert "blocked-for-all.example" not in page.content()
    assert faults(page, "people-my-blocklist") == []
    page.set_viewport_size({"width": 1366, "height": 900})
    page.get_by_role("checkbox", name="Choose zed@zeta-tools.example").check()
    page.get_by_role("button", name="Remove the chosen").click()
    expect(page.get_by_text("1 entry was removed")).to_be_visible()
    page.goto(f"{live_server.url}/my-mailbox/made-people/")
    assert faults(page, "people-my-made") == []
    assert BlockedAddress.objects.get(entry="zed@zeta-tools.example").removed_at

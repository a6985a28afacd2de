"""The pages of mailboxes as staff and a mailbox's own user work them, and as axe-core and a ruler find them."""

import pytest
from django.contrib.auth.models import Group, User
from django.core.management import call_command
from django.utils import timezone
from playwright.sync_api import expect

from reconciliation.models import Mailbox, MailboxGroup, SyncPass
from tests.admin.test_pages import HOSTILE
from tests.boxes import FOLDER, boxes
from tests.browser.hands import enter, faults, press

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]


@pytest.fixture
def box(monkeypatch):
    call_command("migrate", verbosity=0)
    box = boxes("microsoft")
    monkeypatch.setattr("reconciliation.engine.connections.open_connector", lambda row, **o: box.wiring.open_connector(row, **o))
    SyncPass.objects.filter(pk=box.parent.pk).update(is_on=True, settings={"mailbox_settings": {"contacts": {"value": True}}})
    box.parent.refresh_from_db()
    return box


def busy(box):
    """Lets the mailboxes have lived: runs, an issue, a state of each kind, hostile words."""
    for n in range(3):
        box.contact(f"Lind{n}", f"bo{n}@acme.example")
    box.run()
    box.put(FOLDER, surname="Berg", emailAddresses=[{"address": "bo1@acme.example"}])
    box.run()
    states = ("active", "paused", "suspended", "left", "new")
    for n, state in enumerate(states):
        Mailbox.objects.create(
            connection=box.parent.peer,
            address=f"{state}{n}@a-rather-long-name-of-a-company.example",
            name=HOSTILE[:200] if n == 1 else f"Somebody {n}",
            crm_user_id="005" if n else "",
            crm_user_name=HOSTILE[:200] if n == 2 else "Some User",
            state=state,
            state_reason="Access was refused six times in a row: AADSTS700016 application was not found." if n == 2 else "",
            state_by="a-admin" if n == 1 else "",
            state_at=timezone.now(),
        )
    Mailbox.objects.filter(address=box.mine).update(state="active", group=MailboxGroup.objects.create(name="Sales"))


def test_axe_finds_nothing_on_the_pages_of_mailboxes(box, page, live_server):
    busy(box)
    enter(page, live_server.url, "admin")
    mine, theirs = (box.passes[a].mailbox.pk for a in (box.mine, box.theirs))
    suspended = Mailbox.objects.get(state="suspended").pk
    group = MailboxGroup.objects.get().pk
    places = {
        "mailboxes": "/mailboxes/",
        "mailboxes-none": "/mailboxes/?q=zzz",
        "mailbox": f"/mailboxes/{mine}/?q=lin",
        "mailbox-new": f"/mailboxes/{theirs}/",
        "mailbox-suspended": f"/mailboxes/{suspended}/",
        "mailbox-own-settings": f"/mailboxes/{mine}/settings/",
        "mailbox-settings": "/mailboxes/settings/",
        "mailbox-group": f"/mailboxes/groups/{group}/",
        "mailbox-user": f"/mailboxes/{mine}/user/",
    }
    for name, where in places.items():
        page.goto(f"{live_server.url}{where}")
        assert faults(page, name) == []

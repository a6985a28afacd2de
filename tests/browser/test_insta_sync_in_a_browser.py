"""Insta-sync, and the settings that came with calendars, tasks and e-mails, with the keyboard alone; and their pages, as axe-core and a
ruler find them."""

from datetime import timedelta

import pytest
from django.core.management import call_command
from django.utils import timezone

from reconciliation.models import CalendarWatch, InstaSync, Mailbox, MeetingNotice, Run, SyncPass
from reconciliation.services.mailboxes import mailbox_add
from tests.admin.test_pages import HOSTILE
from tests.browser.hands import enter, faults, press
from tests.calendars import calendars

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]
MANY = 60


@pytest.fixture
def box(monkeypatch):
    call_command("migrate", verbosity=0)
    box = calendars()
    monkeypatch.setattr("reconciliation.engine.connections.open_connector", lambda row, **o: box.wiring.open_connector(row, **o))
    monkeypatch.setattr("reconciliation.services.calendar_object.Wiring", lambda: box.wiring)
    monkeypatch.setattr("reconciliation.jobs.async_task", lambda *a, **k: None)
    return box


def fill(box):
    """Two watched calendars, many more of which some fail with hostile words, and notices that were merged into one run."""
    now, mail = timezone.now(), box.passes[box.mine].peer
    mailboxes = [mailbox_add(mail, f"box{n:03d}.{'x' * 60}@example.test", None) for n in range(MANY)]
    for n, mailbox in enumerate([*Mailbox.objects.exclude(pk__in=[m.pk for m in mailboxes]), *mailboxes]):
        failed = {"state": "failed", "tries": 3, "why": HOSTILE}
        on = {"state": "on", "subscription_id": f"s{n}", "ends_at": now + timedelta(days=1)}
        CalendarWatch.objects.create(mailbox=mailbox, due_at=now + timedelta(hours=1), **(failed if n % 3 == 2 else on))
    run = Run.objects.create(sync_pass=box.passes[box.mine], state="finished", started_at=now, started_by="insta-sync")
    for n in range(20):
        told = {"received_at": now - timedelta(seconds=100 - n), "done_at": now, "state": "done", "run": run}
        MeetingNotice.objects.create(mailbox=box.passes[box.mine].mailbox, digest=f"{n}", what="updated", **told)


def test_an_admin_looks_at_insta_sync_and_sets_it(box, page, live_server):
    enter(page, live_server.url, "admin")
    page.goto(f"{live_server.url}/insta-sync/")
    assert faults(page, "insta-none") == []
    fill(box)

    page.goto(f"{live_server.url}/insta-sync/")
    assert page.get_by_text("20 into 1 run").first.is_visible()
    assert faults(page, "insta") == []
    spacing = page.locator("[name=spacing_seconds]")
    spacing.fill("90") if spacing.evaluate("e => e.tagName") == "INPUT" else spacing.select_option("90")
    press(page, page.get_by_role("button", name="Save").first, "Enter")
    page.get_by_text("Saved. It holds for everybody").wait_for()
    assert InstaSync.objects.get().spacing_seconds == 90
    assert faults(page, "insta-saved") == []
    page.goto(f"{live_server.url}/")
    assert page.get_by_text("Insta-sync of meetings").first.is_visible()
    assert faults(page, "dashboard-insta") == []


def test_a_viewer_sees_insta_sync_and_changes_nothing(box, page, live_server):
    fill(box)
    enter(page, live_server.url, "viewer")

    page.goto(f"{live_server.url}/insta-sync/")

    assert page.get_by_role("button", name="Save").count() == 0
    assert faults(page, "insta-viewer") == []


def test_an_admin_finds_the_settings_of_every_pass_and_of_linking(box, page, live_server):
    enter(page, live_server.url, "admin")
    page.goto(f"{live_server.url}/mailboxes/settings/")
    for heading in ("Contacts", "Calendar", "Tasks", "E-mails"):
        assert page.get_by_role("heading", name=heading).first.is_visible(), heading
    assert faults(page, "settings") == []
    page.goto(f"{live_server.url}/mailboxes/settings/linking/")
    assert faults(page, "settings-linking") == []
    page.goto(f"{live_server.url}/own-domains/")
    assert faults(page, "own-domains") == []
    page.goto(f"{live_server.url}/mailboxes/activity/")
    assert faults(page, "activity-none") == []


def test_an_admin_names_the_object_of_calendars(box, page, live_server):
    box.world.salesforce.set_switches({"meeting_object": True})
    enter(page, live_server.url, "admin")
    page.goto(f"{live_server.url}/record-types/")
    press(page, page.get_by_text("Keep calendars as another object"), "Enter")
    assert faults(page, "record-types-calendar") == []
    for label, value in (("Object", "Meeting__c"), ("Start", "Start__c"), ("End", "Ends__c")):
        page.get_by_label(label, exact=True).fill(value)
    page.keyboard.press("Enter")
    page.get_by_text("has no field").wait_for()
    assert faults(page, "record-types-refused") == []
    assert not SyncPass.objects.filter(record_types__crm_object="Meeting__c").exists()

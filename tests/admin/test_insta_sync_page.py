"""The page Insta-sync, as each role sees it, and what the dashboard says: which way is in use, the switches, and what fails."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.test import Client
from django.utils import timezone
from django.utils.html import escape

from reconciliation.engine import insta
from reconciliation.models import AuditEntry, CalendarWatch, InstaSync, Mailbox, MeetingNotice, Run, SyncPass
from tests.admin.test_pages import log_in
from tests.boxes import Boxes, boxes

pytestmark = pytest.mark.django_db


@pytest.fixture
def box(monkeypatch: pytest.MonkeyPatch) -> Boxes:
    box = boxes()
    monkeypatch.setattr(insta, "KIND", "contacts")
    SyncPass.objects.filter(pk=box.parent.pk).update(is_on=True)
    now = timezone.now()
    for n, sync_pass in enumerate(box.passes.values()):
        on = {"state": "on", "subscription_id": f"s{n}", "ends_at": now + timedelta(days=1)}
        failed = {"state": "failed", "tries": 3, "why": "Microsoft: does not let our app in. Ask an administrator."}
        CalendarWatch.objects.create(mailbox=sync_pass.mailbox, due_at=now + timedelta(hours=1), **(failed if n else on))
    run = Run.objects.create(sync_pass=box.passes[box.mine], state="finished", started_at=now, started_by="insta-sync")
    for n in range(20):
        told = {"received_at": now - timedelta(seconds=100 - n), "done_at": now, "state": "done", "run": run}
        MeetingNotice.objects.create(mailbox=box.passes[box.mine].mailbox, digest=f"{n}", what="updated", **told)
    return box


def text(client: Client, where: str = "/insta-sync/") -> str:
    return client.get(where).content.decode()


def test_it_says_which_way_is_in_use_what_was_told_and_what_fails(client: Client, box: Boxes) -> None:
    log_in(client, "viewer")

    page = text(client)

    assert "1 mailbox by notices, 1 are looked at every 180 seconds." in page
    assert "20 into 1 run" in page and "half of them within 90 seconds, 95 of 100 within 99 seconds" in page
    assert "does not let our app in. Ask an administrator." in page and escape(box.mine) in page
    for way in ("Google: at the usual turn", "Exchange on premises: the server is asked every 180 seconds"):
        assert way in page, way
    assert "<button" not in page.partition("<main")[2] or "Test reachability" not in page
    assert "Insta-sync of meetings" in text(client, "/") and "Watching fails for 1 mailbox." in text(client, "/")


def test_s4_47_only_admins_change_the_switches_and_it_is_recorded(client: Client, box: Boxes) -> None:
    log_in(client, "operator")
    wanted = {"on_created": "1", "spacing_seconds": "90", "look_seconds": "60"}
    assert client.post("/insta-sync/save/", wanted).status_code == 403 and "Save" not in text(client)
    log_in(client, "admin")

    answer = client.post("/insta-sync/save/", wanted, follow=True)

    row = InstaSync.objects.get()
    assert "Saved. It holds for everybody" in answer.content.decode()
    assert (row.changes, row.spacing_seconds, row.look_seconds) == (("created",), 90, 60)
    assert AuditEntry.objects.get(action="change insta-sync").detail["on_deleted"] == [True, False]
    for bad in ({"spacing_seconds": "59"}, {"look_seconds": "²"}, {"spacing_seconds": ""}):
        page = client.post("/insta-sync/save/", {**wanted, **bad}, follow=True).content.decode()
        assert "Nothing was saved." in page and "60 to 180 seconds" in page
    assert InstaSync.objects.get().spacing_seconds == 90


def test_an_operator_has_one_or_all_of_those_that_failed_tried_again(client: Client, box: Boxes) -> None:
    log_in(client, "operator")
    failed = CalendarWatch.objects.get(state="failed")
    page = text(client)
    assert "Try all that failed again" in page and f'value="{failed.mailbox_id}"' in page

    for chosen in ({"mailbox": str(failed.mailbox_id)}, {"all": "1"}):
        CalendarWatch.objects.filter(pk=failed.pk).update(tries=3, due_at=timezone.now() + timedelta(hours=1))
        answer = client.post("/insta-sync/retry/", chosen, follow=True)
        assert "1 calendar is tried again within a minute." in answer.content.decode()
        failed.refresh_from_db()
        assert failed.tries == 0 and failed.due_at <= timezone.now()
    page = client.post("/insta-sync/retry/", {"mailbox": ["²", "999"]}, follow=True).content.decode()
    assert "None of them waits to be watched." in page


def test_the_test_of_the_address_is_shown_line_by_line(client: Client, box: Boxes, settings: Any) -> None:
    settings.PUBLIC_URL = "http://sync.example.com"
    log_in(client, "admin")
    assert "by https only" in text(client)

    page = client.post("/insta-sync/test/", follow=True).content.decode()

    assert "Microsoft cannot tell us of changes yet" in page and "PUBLIC_URL is not https." in page and "missing" in page
    assert InstaSync.objects.get().tested_at is not None


def test_without_mailboxes_or_switches_it_says_so(client: Client) -> None:
    log_in(client, "viewer")
    assert "No mailbox of Microsoft 365 or Exchange has its calendar synced." in text(client) and 'class="empty"' in text(client)
    InstaSync.objects.update_or_create(pk=1, defaults={"on_created": False, "on_updated": False, "on_deleted": False})
    assert "All three switches are off" in text(client)
    assert not Mailbox.objects.exists() and "Insta-sync of meetings" not in text(client, "/")

"""Pages about activities: what waits, since when they are carried, and how runs and errors show them."""

from __future__ import annotations

import html
from datetime import UTC, datetime

import pytest
from django.contrib.auth.models import Group, User

from reconciliation import jobs
from reconciliation.models import AuditEntry, Case, Run, RunEvent
from tests.acted import acted

pytestmark = pytest.mark.django_db


@pytest.fixture
def box():
    box = acted()
    box.clock.forward(60)
    return box


@pytest.fixture
def as_role(client):
    def log_in(role):
        user = User.objects.create(username=role, is_staff=True)
        user.groups.add(Group.objects.get(name=role))
        client.force_login(user)
        return client

    return log_in


def text(answer):
    assert answer.status_code == 200
    return html.unescape(answer.content.decode())


def test_what_waits_is_listed_with_its_reason_and_exported(box, as_role):
    prospect = box.prospect()
    box.mailing(prospect, subject="A quote for <you>")
    box.linked("Linked")
    box.run()
    client = as_role("viewer")

    page = text(client.get("/activities/"))
    assert "Activities not in the CRM: 1" in page and "Email: A quote for <you>" in page
    assert f"Prospect {prospect} is linked to nobody in Salesforce yet" in page and "Carry from another day" not in page
    assert "<you>" not in client.get("/activities/").content.decode()
    rows = b"".join(client.get("/activities/export.csv?object_type=mailing").streaming_content).decode()
    assert "Mail,1,Email: A quote" in rows and "its prospect is linked to nobody yet" in rows
    assert "No activities with this filter" in text(client.get("/activities/?object_type=call"))


def test_an_admin_chooses_since_when_and_nobody_else(box, as_role, monkeypatch):
    nudged = []
    monkeypatch.setattr(jobs, "nudge", lambda name, by="": nudged.append(name))
    assert as_role("operator").post("/activities/begin/", {"day": "2026-02-01"}).status_code == 403

    client = as_role("admin")
    client.post("/activities/begin/", {"day": "2026-02-01", "back": "/activities/"})

    box.sync_pass.refresh_from_db()
    assert box.sync_pass.settings["activities"] == {"from": datetime(2026, 2, 1, tzinfo=UTC).isoformat(), "is_chosen": True}
    assert {f.last_run_time for f in box.sync_pass.activity_feeds.all()} == {datetime(2026, 2, 1, tzinfo=UTC)}
    assert nudged == ["outreach-activities"] and AuditEntry.objects.filter(action="carry activities from").count() == 1
    assert "which an admin chose" in text(client.get("/activities/"))


@pytest.mark.parametrize("day", ["", "soon", "2026-02-31", "2999-01-01"])
def test_a_day_that_is_none_or_still_to_come_changes_nothing(box, as_role, day):
    before = box.sync_pass.settings
    answer = as_role("admin").post("/activities/begin/", {"day": day, "back": "/activities/"}, follow=True)

    box.sync_pass.refresh_from_db()
    assert box.sync_pass.settings == before and "Nothing was saved" in text(answer)


def test_a_run_shows_each_activity_its_task_and_its_filters(box, as_role, monkeypatch):
    prospect, _ = box.linked()
    box.mailing(prospect, subject="A quote"), box.task(box.prospect("Nobody"))
    box.sync_pass.crm.page_address_template = "https://sf.example/{object}/{id}"
    box.sync_pass.crm.save()
    run = box.run()
    client = as_role("operator")

    page = text(client.get(f"/runs/{run.pk}/"))
    assert "Email: A quote" in page and "mail 1" in page and "<th>Task</th>" in page and "Beside the sum" not in page
    assert "/records/outreach/mailing" not in page and "Undo this run" in page
    held = text(client.get(f"/runs/{run.pk}/?outcome=held&reason=waits_for_link"))
    assert "Email: A quote" not in held and "is linked to nobody" in held
    event = RunEvent.objects.get(outcome="created")
    assert "https://sf.example/Task/00T" in text(client.get(f"/events/{event.pk}/"))
    monkeypatch.setattr("reconciliation.engine.connections.open_connector", lambda row, **o: box.wiring.open_connector(row, **o))
    assert "is deleted; its activity is not carried again" in text(client.get(f"/runs/{run.pk}/undo/"))


def test_the_dashboard_has_a_card_and_says_which_way_it_goes(box, as_role):
    box.run()

    page = text(as_role("viewer").get("/"))

    assert "Outreach activities" in page and "Salesforce ← Outreach" in page and 'href="/activities/"' in page


def test_an_error_names_the_activity_and_its_page_opens(box, as_role):
    prospect, _ = box.linked()
    box.call(prospect, note="Cursed")
    rule = {"object": "Task", "when": "TaskSubtype = 'Call'", "message": "No calls here."}
    box.world.salesforce.set_switches({"validation_rules": [rule]})
    box.run()
    client = as_role("operator")

    page = text(client.get("/errors/"))
    assert "Outbound call: answered" in page and "No calls here." in page and "Outreach call" in page
    assert "call 1" in text(client.get(f"/errors/{Case.objects.get().pk}/"))
    refused = text(client.get("/activities/?state=refused"))
    assert "when somebody retries it" in refused


def test_a_first_preview_speaks_of_tasks_and_mappings_do_not_list_its_table(as_role):
    box = acted(is_on=False, real=True)
    prospect, _ = box.linked()
    box.clock.forward(60)
    box.mailing(prospect)
    run = box.run()
    client = as_role("admin")

    page = text(client.get(f"/runs/{run.pk}/"))
    assert "1 Task would be made" in page and "pilot" not in page
    assert "Activities to tasks" not in text(client.get("/mappings/"))
    assert client.get(f"/mappings/{box.sync_pass.mapping_id}/").status_code == 404
    assert Run.objects.get().state == "held" and text(client.get("/coverage/")) and text(client.get("/schedule/"))

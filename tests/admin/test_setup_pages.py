"""The pages of set-up for a pass that was never on: hostile values, few queries, refusals with a sentence."""

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from connectors.sandbox.workbooks.metadata import Column
from reconciliation.models import AuditEntry, Operation, Run, SyncPass
from reconciliation.services.connections import connection_test
from reconciliation.services.owner_check import owners_look
from tests.admin.test_pages import HOSTILE, log_in
from tests.sandboxed import make
from tests.services.test_fields import columns_of, without_plugin

pytestmark = pytest.mark.django_db
NAME = HOSTILE[:200]


@pytest.fixture
def box(monkeypatch):
    box = make(is_real=True)
    columns_of(box, "organisations")["cf_x"] = Column("cf_x", NAME, "boolean")
    for row in (box.sync_pass.crm, box.sync_pass.peer):
        connection_test(row, wiring=box.wiring)
    box.id = box.organisation(NAME, assigned_to_name=NAME)
    owners_look(box.sync_pass, wiring=box.wiring)
    monkeypatch.setattr("reconciliation.engine.connections.open_connector", lambda row, **o: box.wiring.open_connector(row, **o))
    monkeypatch.setattr("reconciliation.jobs.async_task", lambda *a, **k: None)
    return box


def pages(box):
    preview = box.run(kind=Run.Kind.PREVIEW)
    SyncPass.objects.update(pilot={"organisations": [{"id": str(box.id), "name": NAME}]})
    box.run(kind=Run.Kind.PILOT, most_new=1)
    return ["/", "/setup/", "/setup/fields/", "/setup/pilot/", "/schedule/", f"/runs/{preview.pk}/", "/runs/"]


def test_hostile_names_titles_and_owners_are_escaped_and_pages_stay_cheap(client, box):
    log_in(client, "admin")
    client.get("/")

    for where in pages(box):
        with CaptureQueriesContext(connection) as queries:
            answer = client.get(where)
        assert answer.status_code == 200 and "<script>alert" not in answer.content.decode(), where
        assert len(queries) <= 12, (where, len(queries), [q["sql"][:90] for q in queries])
    assert "&lt;script&gt;alert" in client.get("/setup/").content.decode()


def test_an_operator_sees_the_preview_and_cannot_confirm_or_apply_it(client, box):
    preview = box.run(kind=Run.Kind.PREVIEW)
    log_in(client, "operator")

    text = client.get(f"/runs/{preview.pk}/").content.decode()

    assert "The pass was never switched on" in text
    assert "I have looked at this preview" not in text and "Apply this plan" not in text
    assert "Run now" not in client.get("/").content.decode()


@pytest.mark.parametrize(
    ("where", "data", "said"),
    [
        ("/setup/on/", {}, "It stays off. Its first preview has not been looked at."),
        ("/schedule/", {"name": "organisations", "organisations-is_on": "on"}, "Nothing was saved."),
        ("/setup/pilot/run/", {}, "Its first preview has not been looked at."),
        ("/setup/pilot/run/", {"what": "batch", "most_new": "²"}, "Its first preview has not been looked at."),
        ("/setup/pilot/", {"organisations": "Nobody\n"}, "Nobody is no organisation of Workbooks. Nothing was stored."),
        ("/setup/fields/", {"organisation-sync": "name"}, "Nothing was saved."),
        ("/setup/fields/create/", {"field": "organisation-sync"}, "Nothing is missing"),
        ("/writes/stop/", {"reason": " "}, "Say why"),
        ("/writes/allow/", {}, "Writes are allowed already."),
    ],
)
def test_what_cannot_be_done_is_told_with_a_sentence_and_changes_nothing(client, box, where, data, said):
    log_in(client, "admin")
    before = SyncPass.objects.values().get()

    answer = client.post(where, data, follow=True)

    assert said in answer.content.decode()
    assert SyncPass.objects.values().get() == before and not AuditEntry.objects.exclude(action="change schedule").exists()


def test_a_created_field_stands_in_the_journal_by_its_title(client, box, monkeypatch):
    without_plugin(box, keep=("Outreach Sync Error", "Outreach Duplicate", "Outreach Id", "Outreach URL"))
    monkeypatch.setattr("reconciliation.services.fields.Wiring", lambda: box.wiring)
    log_in(client, "admin")
    client.post("/setup/fields/read/")

    text = client.post("/setup/fields/create/", {"field": ["organisation-sync", "nonsense"]}, follow=True).content.decode()

    assert "Created in Workbooks: Sync to Outreach of organisations." in text
    operation = Operation.objects.get(kind="field")
    for where in ("/journal/", f"/journal/{operation.pk}/", f"/runs/{operation.run_id}/"):
        text = client.get(where).content.decode()
        assert "Create a custom field" in text, where
    assert "Sync to Outreach of organisations" in client.get("/journal/").content.decode()


def test_a_refused_create_is_told_with_what_to_do(client, box, monkeypatch):
    without_plugin(box)
    monkeypatch.setattr("reconciliation.services.fields.Wiring", lambda: box.wiring)
    log_in(client, "admin")
    client.post("/setup/fields/read/")
    box.world.faults.add({"kind": "status", "status": 403, "system": "workbooks", "path": "/admin/custom_fields.api", "times": 1})

    text = client.post("/setup/fields/create/", {"field": "organisation-sync"}, follow=True).content.decode()

    assert "refused our key" in text
    assert "Sync to Outreach\tCheckbox\tOrganisation" in client.get("/setup/fields/").content.decode()

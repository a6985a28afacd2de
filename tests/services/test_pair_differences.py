"""Fields of two-way passes that differ since linking (D25), and held blanks (D30), taken from the list."""

import re

import pytest
from django.contrib.auth.models import User
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from reconciliation import jobs
from reconciliation.engine import lease
from reconciliation.models import Difference, FieldRule, Operation, Run, SyncPass
from reconciliation.services.differences import chosen, force, force_plan
from reconciliation.services.undo import undo, undoable
from tests.admin.test_pages import log_in
from tests.remapping import remapping

pytestmark = [pytest.mark.django_db, pytest.mark.both_databases]


@pytest.fixture
def box(monkeypatch):
    box = remapping()
    monkeypatch.setattr("reconciliation.engine.connections.open_connector", lambda row, **o: box.wiring.open_connector(row, **o))
    return box


@pytest.fixture
def olga():
    return User.objects.create(username="olga")


def linked(box, olga, last="Byrne", crm="Chief", peer="Buyer", **values):
    """Links a contact and a prospect of other titles by hand; returns both ids."""
    mail = f"{last.lower()}@acme.example"
    prospect = box.prospect(last, mail, title=peer, **values)
    contact = box.contact(last, mail, Title=crm)
    box.remap(olga, prospect, "Contact", contact)
    return contact, prospect


def plan(box, source="", **which):
    rows = Difference.objects.filter(**which).values_list("pk", flat=True)
    return force_plan(chosen(list(rows)), source=source, wiring=box.wiring)


def held(box):
    """Two pairs at rest, one emptied in Salesforce, the other in Outreach, whose rules hold blanks back."""
    FieldRule.objects.filter(peer_field="title").update(blank_to_peer=False, blank_to_crm=False)
    one, two = box.linked("Byrne", "ada@acme.example", Title="Chief"), box.linked("Diaz", "cleo@acme.example", Title="Buyer")
    box.edit_crm("Contact", one[0], Title=None)
    box.edit_peer(two[1], title=None)
    box.run()
    return one, two


def test_d25_many_pairs_are_forced_in_one_run_that_can_be_taken_back(box, olga):
    pairs = [linked(box, olga, last) for last in ("Byrne", "Diaz", "Evans")]
    box.calls()
    lines = plan(box, kind="linked")
    assert {(line.target, line.field, line.now, line.becomes, line.refusal) for line in lines} == {
        ("Outreach", "title", "Buyer", "Chief", "")
    }
    assert sum(box.calls().values()) == 2  # however many records: they are read in batches
    box.edit_peer(pairs[2][1], title="typed meanwhile")

    done = force([line.key for line in lines], olga, reason="ours are right", wiring=box.wiring)

    assert (done.written, done.agreed) == (2, 0) and len(done.refusals) == 1 and "Evans, title: A value changed" in done.refusals[0]
    assert [box.peer(p)["title"] for _, p in pairs] == ["Chief", "Chief", "typed meanwhile"]
    assert Difference.objects.get().binding.peer_id == str(pairs[2][1])
    run = Run.objects.get(note__contains="ours are right")
    assert "Evans, title" in run.note and len(undo(box.sync_pass, list(undoable(run)), olga, wiring=box.wiring)) == 2
    assert [box.peer(p)["title"] for _, p in pairs[:2]] == ["Buyer", "Buyer"]


def test_d25_the_other_side_may_win_and_what_agrees_only_leaves_the_list(box, olga):
    (one, _), (two, _) = linked(box, olga), linked(box, olga, "Diaz")
    box.edit_crm("Contact", two, Title="Buyer")
    lines = plan(box, source="peer")
    assert {(line.target, line.field, line.agrees) for line in lines} == {("Salesforce", "Title", False), ("Salesforce", "Title", True)}

    done = force([line.key for line in lines], olga, wiring=box.wiring)

    assert (done.written, done.agreed, done.refusals) == (1, 1, ())
    assert box.crm("Contact", one)["Title"] == "Buyer" and not Difference.objects.exists() and not box.run().updated


def test_d25_a_blank_a_rule_holds_back_and_a_link_that_ended_are_refused_a_line_each(box, olga):
    FieldRule.objects.filter(peer_field="title").update(blank_to_peer=False)
    linked(box, olga, crm=None)
    _, gone = linked(box, olga, "Diaz")
    _, unmapped = linked(box, olga, "Evans")
    Difference.objects.filter(binding__peer_id=unmapped).update(peer_field="nickname")
    box.binding(gone).__class__.objects.filter(peer_id=gone).end()

    refused = {line.difference.binding.name: line.refusal for line in plan(box)}

    assert "Salesforce holds a blank here" in refused["Byrne"] and "link ended" in refused["Diaz"] and "not mapped" in refused["Evans"]


def test_d30_a_held_blank_is_carried_over_to_either_side(box, olga):
    one, two = held(box)
    assert {d.binding.crm_id: (d.kind, d.crm_value, d.peer_value) for d in Difference.objects.all()} == {
        one[0]: ("blank", None, "Chief"),
        two[0]: ("blank", "Buyer", None),
    }
    lines = plan(box, kind="blank")
    assert {(line.target, line.now, line.becomes) for line in lines} == {("Outreach", "Chief", None), ("Salesforce", "Buyer", None)}

    done = force([line.key for line in lines], olga, wiring=box.wiring)

    assert (done.written, done.refusals) == (2, ())
    assert not box.peer(one[1])["title"] and not box.crm("Contact", two[0])["Title"]
    assert not Difference.objects.exists() and not box.run().updated


def test_a_bulk_over_two_passes_is_an_errand_of_each_and_one_at_work_waits_alone(box, olga, monkeypatch):
    _, prospect = linked(box, olga)
    other = SyncPass.objects.create(
        name="accounts", title="Accounts", crm=box.sync_pass.crm, peer=box.sync_pass.peer, mapping=box.sync_pass.mapping
    )
    row = Difference.objects.get()
    row.binding.pk, row.binding.sync_pass = None, other
    row.binding.save()
    Difference.objects.create(
        sync_pass=other, binding=row.binding, kind="linked", crm_field="Title", peer_field="title", noted_at=box.clock.at
    )
    later = []
    monkeypatch.setattr(jobs, "schedule", lambda task, *arguments, **more: later.append((task, arguments)))
    monkeypatch.setattr("reconciliation.engine.staff.WAIT_SECONDS", 0)
    lease.take("pass:accounts", "somebody else")
    keys = [f"{pk}|crm:x" for pk in Difference.objects.values_list("pk", flat=True)]
    keys[0] = plan(box, sync_pass=box.sync_pass)[0].key

    said = jobs.force_differences(keys, olga.pk)

    assert "1 written" in said and "tried again" in said and box.peer(prospect)["title"] == "Chief"
    assert later == [("reconciliation.jobs.force_differences", ([keys[1]], olga.pk, "", 1))]


def test_the_list_names_the_right_systems_and_links_and_forces_one(box, client):
    user = log_in(client, "operator")
    contact, prospect = linked(box, user)
    row = Difference.objects.get()

    page = client.get("/differences/").content.decode()
    assert (
        "Salesforce holds" in page
        and reverse("admin:record_field", args=["salesforce", "Contact", contact, "title"]) in page
        and "Workbooks holds" not in page
    )
    assert f"https://sf.example/Contact/{contact}" in page
    with CaptureQueriesContext(connection) as queries:
        shown = client.get(f"/differences/force/?row={row.pk}")
    page = shown.content.decode()
    assert len(queries) <= 12 and "Chief" in page and "Buyer" in page and "source=peer" in page
    (key,) = re.findall(r'name="key" value="([^"]+)"', page)
    done = client.post("/differences/force/", {"key": key, "reason": "ours"}, follow=True)

    assert "Both systems hold the same now." in done.content.decode() and box.peer(prospect)["title"] == "Chief"
    assert Operation.objects.filter(target_id=prospect, origin__forced=True).exists()
    assert client.get("/differences/export.csv").status_code == 200

"""Salesforce slow, down, forgetful and changed under our hands: one clear line for staff, nothing lost, nothing twice, and
only the affected row or direction stops (issue 4, acceptance 8; C31, C32)."""

import pytest

from reconciliation.models import Binding, Case, Connection, FieldRule, LookAgain, RecordType
from reconciliation.services.mappings import mapping_save, pass_of
from tests.paired import paired

pytestmark = pytest.mark.django_db
QUERY = "/services/data/v67.0/query"


@pytest.fixture
def box():
    return paired()


def fault(box, kind, **values):
    return box.world.faults.add({"system": "salesforce", "kind": kind, **values})


def at_rest(box, people):
    """Runs until everything is settled: each person once on both sides, nothing owed, nothing flagged."""
    for _ in range(4):
        box.run(forward=1200)
    assert box.runs[-1].state == "finished", box.runs[-1].note
    box.calls()
    box.run()
    assert box.writes() == {}, box.events()
    assert Binding.objects.filter(is_tombstone=False).count() == len(box.prospects()) == people
    assert not LookAgain.objects.exists() and not Case.objects.filter(state="open").exists()


def fill(box, n=7):
    for i in range(n):
        box.contact(f"Name {i}", f"n{i}@acme.example", Title="Buyer")
        box.prospect(f"Peer {i}", f"p{i}@acme.example")


@pytest.mark.parametrize(
    ("kind", "values"),
    [
        ("status", {"status": 503, "times": 2}),
        ("status", {"status": 503, "times": 60}),
        ("status", {"status": 500, "times": 3}),
        ("status", {"status": 401, "times": 1}),
        ("status", {"status": 403, "times": 40}),
        ("truncate", {"times": 2}),
        ("truncate", {"times": 30, "method": "POST"}),
        ("html", {"times": 3}),
        ("drop", {"times": 2}),
        ("lost_answer", {"times": 1, "method": "POST"}),
        ("lost_answer", {"times": 2, "method": "PATCH"}),
        ("expire_token", {"times": 1}),
        ("stale_locator", {"times": 1}),
        ("latency", {"ms": 90_000, "times": 2}),
        ("concurrent_limit", {"times": 4}),
        ("lock_row", {"times": 2}),
    ],
)
def test_trouble_of_the_connection_flags_nobody_and_everything_arrives_once(box, kind, values):
    fill(box)
    fault(box, kind, **values)

    for _ in range(3):
        run = box.run(forward=1200)
        assert run.state in ("finished", "interrupted", "partial"), run.note
        assert run.state == "finished" or run.note.startswith("Salesforce"), run.note

    assert not Case.objects.exists(), list(Case.objects.values_list("sentence", flat=True))
    box.world.faults.clear()
    at_rest(box, 14)
    assert len(box.people("Lead")) == 7 and len(box.people("Contact")) == 7


def test_a_session_that_ends_in_the_middle_of_a_page_is_renewed_and_nobody_notices(box):
    fill(box, 12)
    fault(box, "expire_token", times=3, probability=0.3)

    box.run()
    box.run()

    assert Connection.objects.get(system="salesforce").state in ("ok", "untested")
    box.world.faults.clear()
    at_rest(box, 24)


def test_c31_a_mapped_field_that_was_removed_holds_its_row_alone(box):
    contact, id_ = box.linked("Byrne", "ada@acme.example", Title="Buyer", Phone="+44 1")
    box.world.salesforce.set_switches({"removed_fields": ["Contact.Title", "Lead.Title"]})
    box.edit_crm("Contact", contact, Phone="+44 2")
    box.edit_peer(id_, firstName="Ada")

    first = box.run()
    box.run()

    assert "Title" in first.note and first.state == "partial"
    held = FieldRule.objects.exclude(held_reason="")
    assert {r.crm_field for r in held} == {"Title"}
    assert Case.objects.filter(kind="mapping", state="open").count() == 1
    assert box.peer(id_)["workPhones"] == ["+44 2"] and box.crm("Contact", contact)["FirstName"] == "Ada"


def test_c32_a_field_that_became_required_holds_the_making_of_leads_and_nothing_else(box):
    contact, peer_id = box.linked("Byrne", "ada@acme.example", Title="Buyer")
    box.world.salesforce.set_switches({"required_fields": ["Lead.Rating"]})
    box.prospect("Diaz", "cleo@acme.example")
    box.prospect("Evans", "eve@acme.example")
    box.edit_crm("Contact", contact, Title="Chief")

    box.run()

    (case,) = Case.objects.filter(state="open")
    assert case.kind == "mapping" and "New Leads are not made" in case.sentence and "Rating" in case.sentence
    assert box.peer(peer_id)["title"] == "Chief" and not box.people("Lead")
    assert RecordType.objects.get(crm_object="Lead").held_reason
    box.run()
    assert Case.objects.filter(state="open").count() == 1
    box.world.salesforce.set_switches({"required_fields": []})
    table = RecordType.objects.select_related("mapping").get(crm_object="Lead").mapping
    mapping_save(pass_of(table), {}, None)
    box.run()
    assert len(box.people("Lead")) == 2 and not LookAgain.objects.exists()  # nobody edited them since: they waited


def test_a_create_that_was_lost_without_an_external_id_field_is_found_by_who_made_it(box):
    Connection.objects.filter(system="salesforce").update(settings={"without_external_id": ["Lead", "Contact"]})
    box.prospect("Diaz", "cleo@acme.example")
    fault(box, "lost_answer", times=1, method="POST")

    box.run()
    box.world.faults.clear()
    at_rest(box, 1)

    assert len(box.people("Lead")) == 1


def test_a_create_in_outreach_whose_answer_was_lost_is_found_and_made_once(box):
    contact = box.contact("Byrne", "ada@acme.example")
    box.world.faults.add({"system": "outreach", "kind": "lost_answer", "times": 1, "method": "POST", "path": "/api/v2/prospects"})

    first = box.run()
    box.world.faults.clear()
    at_rest(box, 1)

    assert first.state in ("interrupted", "finished") and box.binding(box.prospects()[0]["id"]).crm_id == contact

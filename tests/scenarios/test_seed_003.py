"""Seed 003 against both played systems: the conflict layer, requirement by requirement."""

import pytest

from reconciliation.models import Binding, Case, ConflictField, FieldRule
from tests.paired import paired

pytestmark = pytest.mark.django_db


@pytest.fixture
def box():
    return paired()


def test_s3_13_a_contact_becomes_a_prospect_that_names_it_and_a_second_pass_writes_nothing(box):
    contact = box.contact("Byrne", "ada@acme.example", FirstName="Ada", Title="Buyer", Phone="+44 1")

    run = box.run()

    (prospect,) = box.prospects()
    assert run.state == "finished" and run.created == 1, (run.note, box.events())
    assert (prospect["lastName"], prospect["title"], prospect["emails"]) == ("Byrne", "Buyer", ["ada@acme.example"])
    assert (prospect["externalId"], prospect["externalSource"]) == (contact, "salesforce")
    box.calls()
    again = box.run()
    assert again.updated == again.created == 0 and box.writes() == {}, box.events()


def test_s2_11_a_prospect_without_a_crm_record_becomes_a_lead_and_is_told_its_id(box):
    id_ = box.prospect("Diaz", "cleo@acme.example", firstName="Cleo", title="Engineer")

    run = box.run()

    (lead,) = box.people("Lead")
    assert run.created == 1, (run.note, box.events())
    assert (lead["LastName"], lead["Email"], lead["Title"], lead["Company"]) == ("Diaz", "cleo@acme.example", "Engineer", "[not provided]")
    assert box.peer(id_)["externalId"] == lead["Id"]
    box.calls()
    again = box.run()
    assert again.updated == again.created == 0 and box.writes() == {}, box.events()


def test_s3_1_s3_3_s3_5_updates_on_both_sides_all_arrive_on_both(box):
    contact, id_ = box.linked("Byrne", "ada@acme.example", Title="Buyer", Phone="+44 1")
    box.edit_crm("Contact", contact, Phone="+44 2")
    box.edit_peer(id_, title="Head of Purchasing")

    run = box.run()

    assert run.updated >= 1, (run.note, box.events())
    assert box.crm("Contact", contact)["Title"] == "Head of Purchasing" and box.crm("Contact", contact)["Phone"] == "+44 2"
    assert box.peer(id_)["title"] == "Head of Purchasing" and box.peer(id_)["workPhones"] == ["+44 2"]
    box.calls()
    box.run()
    assert box.writes() == {}, box.events()


def test_s3_2_s3_12_both_change_one_field_and_the_later_edit_wins_while_the_other_is_kept(box):
    contact, id_ = box.linked("Byrne", "ada@acme.example", Title="Buyer")
    box.edit_crm("Contact", contact, Title="CRM's")
    box.clock.forward(300)
    box.edit_peer(id_, title="Outreach's")

    box.run()

    assert box.crm("Contact", contact)["Title"] == box.peer(id_)["title"] == "Outreach's"
    (lost,) = [op.origin["losers"] for run in box.runs for op in run.operations.all() if op.origin.get("losers")]
    assert lost == {"Title": "CRM's"}


def test_both_change_one_field_at_once_and_a_person_is_asked_while_the_rest_flows(box):
    contact, id_ = box.linked("Byrne", "ada@acme.example", Title="Buyer", Phone="+44 1")
    box.edit_crm("Contact", contact, Title="CRM's", Phone="+44 2")
    box.edit_peer(id_, title="Outreach's")

    box.run()

    assert box.crm("Contact", contact)["Title"] == "CRM's" and box.peer(id_)["title"] == "Outreach's"
    assert box.peer(id_)["workPhones"] == ["+44 2"]
    case = Case.objects.get(kind="conflict", state="open")
    asked = ConflictField.objects.get(case=case)
    assert (asked.peer_field, asked.crm_base, asked.crm_value, asked.peer_value) == ("title", "Buyer", "CRM's", "Outreach's")
    box.edit_peer(id_, title="CRM's")
    box.run()
    case.refresh_from_db()
    assert case.state == "closed"


def test_s3_11_a_blank_is_held_back_unless_the_rule_lets_it_override(box):
    contact, id_ = box.linked("Byrne", "ada@acme.example", Phone="+44 1", Title="Buyer")
    FieldRule.objects.filter(crm_field="Title").update(blank_to_crm=True)
    box.edit_peer(id_, title=None, workPhones=[])

    box.run()

    assert box.crm("Contact", contact)["Phone"] == "+44 1" and box.peer(id_)["workPhones"] == []
    assert not box.crm("Contact", contact)["Title"]
    box.run()
    assert box.crm("Contact", contact)["Phone"] == "+44 1" and box.peer(id_)["workPhones"] == []


def test_an_opt_out_on_either_side_holds_on_both_and_no_pass_takes_it_back(box):
    contact, id_ = box.linked("Byrne", "ada@acme.example")
    box.edit_peer(id_, emailOptedOut=True)
    box.run()
    assert box.crm("Contact", contact)["HasOptedOutOfEmail"] is True
    box.edit_crm("Contact", contact, HasOptedOutOfEmail=False)

    box.run()

    assert box.crm("Contact", contact)["HasOptedOutOfEmail"] is True and box.peer(id_)["emailOptedOut"] is True


def test_s2_10_a_lead_that_has_the_address_is_linked_and_none_is_made(box):
    lead = box.lead("Diaz", "Cleo@Acme.example", Title="Engineer")
    box.run()
    (prospect,) = box.prospects()
    Binding.objects.all().delete()
    box.edit_peer(prospect["id"], title="Engineer", externalId=None, externalSource="outreach-api")

    box.run()

    assert len(box.people("Lead")) == 1 and len(box.prospects()) == 1, box.events()
    assert box.binding(prospect["id"]).crm_id == lead


@pytest.mark.parametrize(("first", "second"), [("Contact", "Lead"), ("Lead", "Contact")])
def test_s2_12_the_type_that_is_listed_first_wins(box, first, second):
    box.sync_pass.record_types.filter(crm_object=first).update(order=0)
    box.sync_pass.record_types.filter(crm_object=second).update(order=1)
    box.sync_pass.record_types.update(inbound_create=False)
    ids = {t: box.person(t, "Diaz", "cleo@acme.example") for t in ("Contact", "Lead")}
    box.run()
    id_ = box.prospect("Diaz", "cleo@acme.example")

    box.run()

    assert (box.binding(id_).crm_type, box.binding(id_).crm_id) == (first, ids[first]), box.events()


def test_c16_a_merge_in_salesforce_is_followed(box):
    loser, id_ = box.linked("Byrne", "ada@acme.example", Title="Buyer")
    winner = box.contact("Byrne", "a.byrne@acme.example", Title="Chief Buyer")
    box.sync_pass.record_types.update(inbound_create=False)
    box.world.salesforce.merge({"object": "Contact", "winner": winner, "losers": [loser]})

    box.run()

    assert box.binding(id_).crm_id == winner, box.events()
    assert box.peer(id_)["externalId"] == winner and box.peer(id_)["title"] == "Chief Buyer"
    box.calls()
    box.run()
    assert box.writes() == {}, box.events()


def test_s2_9_the_crm_is_searched_by_e_mail_address_before_anything_is_made_there(box):
    box.prospect("Diaz", "cleo@acme.example")
    box.calls()

    box.run()

    calls = [f"{c['method']} {c['path']}" for c in box.world.calls if c["system"] == "salesforce"]
    made = next(i for i, c in enumerate(calls) if c.startswith(("POST", "PATCH")) and "/composite/" in c)
    assert sum("/query" in c for c in calls[:made]) >= 4, calls  # the two sweeps, then contacts and leads by address
    assert len(box.people("Lead")) == 1


def test_s3_4_both_records_are_compared_as_they_are_when_the_pass_looks_and_not_by_their_stamps(box):
    contact, id_ = box.linked("Byrne", "ada@acme.example", Title="Buyer")
    box.edit_crm("Contact", contact, Title="Chief")
    box.edit_peer(id_, title="Chief")  # edited later, to the same: nothing is to do, whatever the stamps say
    box.calls()

    box.run()

    assert box.writes() == {} and not Case.objects.exists()


def test_s3_6_s3_7_only_fields_that_changed_are_written_and_none_that_is_equal(box):
    contact, id_ = box.linked("Byrne", "ada@acme.example", Title="Buyer", Phone="+44 1", FirstName="Ada")
    box.edit_crm("Contact", contact, Title="Chief", Phone="+44 2")
    box.edit_peer(id_, workPhones=["+44 2"])

    run = box.run()

    written = [(op.object_type, op.after) for op in run.operations.all()]
    assert written == [("prospect", {"title": "Chief"})]


def test_s3_9_a_field_can_be_kept_in_the_crm_alone_and_flow_one_way(box):
    FieldRule.objects.filter(peer_field="title").update(direction="to_peer")
    contact, id_ = box.linked("Byrne", "ada@acme.example", Title="Buyer")
    box.edit_peer(id_, title="Outreach's own")
    box.run()
    assert box.crm("Contact", contact)["Title"] == "Buyer"
    box.edit_crm("Contact", contact, Title="Chief")

    run = box.run()

    assert box.peer(id_)["title"] == "Chief"
    assert [op.origin["losers"] for op in run.operations.all()] == [{"title": "Outreach's own"}]


def test_s3_10_a_field_can_be_maintained_in_both_places(box):
    contact, id_ = box.linked("Byrne", "ada@acme.example", Title="Buyer")
    for side, word in (("peer", "Chief"), ("crm", "Head"), ("peer", "Director")):
        box.edit_peer(id_, title=word) if side == "peer" else box.edit_crm("Contact", contact, Title=word)
        box.run()
        assert box.peer(id_)["title"] == box.crm("Contact", contact)["Title"] == word

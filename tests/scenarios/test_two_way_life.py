"""What the simulation of two-way passes found in the life of a pair, each shown small."""

import pytest

from reconciliation.models import Binding, LookAgain, Operation
from tests.paired import companies, connected_accounts, paired

pytestmark = pytest.mark.django_db


@pytest.fixture
def box():
    return paired()


def losers():
    return [op.origin["losers"] for op in Operation.objects.order_by("pk") if op.origin.get("losers")]


def test_a_create_without_an_answer_that_the_other_sweep_met_first_is_confirmed_in_the_journal(box):
    contact = box.contact("Byrne", "ada@acme.example")
    box.world.faults.add({"kind": "lost_answer", "system": "outreach", "method": "POST", "path": "/api/v2/prospects", "times": 1})
    box.run()
    box.run(forward=5)  # too early to say that it was not made; Outreach's own list shows the prospect
    assert box.binding(box.prospects()[0]["id"]).crm_id == contact

    box.run()

    (made,) = Operation.objects.filter(kind="create")
    assert (made.state, made.target_id) == ("confirmed", str(box.prospects()[0]["id"]))


def test_a_value_that_differed_since_linking_is_kept_when_an_edit_of_the_other_side_replaces_it(box):
    contact = box.contact("Byrne", "ada@acme.example", Title="Buyer")
    id_ = box.prospect("Byrne", "ada@acme.example", title="Purchaser")
    box.run()
    assert (box.crm("Contact", contact)["Title"], box.peer(id_)["title"]) == ("Buyer", "Purchaser")
    box.edit_crm("Contact", contact, Title="Chief Buyer")

    box.run()

    assert box.peer(id_)["title"] == "Chief Buyer"
    assert losers() == [{"title": "Purchaser"}]


def test_a_winner_of_a_merge_that_is_new_itself_gets_no_second_prospect(box):
    loser, id_ = box.linked("Byrne", "ada@acme.example")
    winner = box.contact("Byrne", "a.byrne@acme.example", Title="Chief Buyer")
    box.world.salesforce.merge({"object": "Contact", "winner": winner, "losers": [loser]})

    box.run()

    assert (box.binding(id_).crm_id, box.peer(id_)["title"]) == (winner, "Chief Buyer")
    assert Operation.objects.filter(kind="create").count() == 1 and len(box.prospects()) == 1, box.events()


def test_a_create_without_an_answer_is_found_although_the_address_was_changed_meanwhile(box):
    contact = box.contact("Byrne", "ada@acme.example")
    box.world.faults.add({"kind": "lost_answer", "system": "outreach", "method": "POST", "path": "/api/v2/prospects", "times": 1})
    box.run()
    box.edit_peer(box.prospects()[0]["id"], emails=["byrne@acme.example"])

    box.run()
    box.run()

    (prospect,) = box.prospects()
    assert box.binding(prospect["id"]).crm_id == contact and box.crm("Contact", contact)["Email"] == "byrne@acme.example"
    assert [(op.state, op.target_id) for op in Operation.objects.filter(kind="create")] == [("confirmed", str(prospect["id"]))]


def test_a_link_that_followed_is_looked_at_again_when_the_run_ended_before_its_write(box):
    lead = box.lead("Byrne", "ada@acme.example", Title="Buyer")
    box.run()
    (prospect,) = box.prospects()
    box.sync_pass.record_types.update(inbound_create=False)
    contact = box.contact("Byrne", "a.byrne@acme.example", Title="Chief Buyer")
    box.run()
    box.world.salesforce.convert({"lead": lead, "contact": contact})
    patch = {"system": "outreach", "method": "PATCH", "path": "/api/v2/prospects/{id}"}
    fault = box.world.faults.add({"kind": "status", "status": 429, "retry_after": 300, **patch})
    box.run()
    assert (box.runs[-1].state, box.peer(prospect["id"])["title"]) == ("interrupted", "Buyer")
    box.world.faults.all.remove(fault)

    box.run()
    box.run()

    assert box.binding(prospect["id"]).crm_id == contact
    now = box.peer(prospect["id"])
    assert (now["title"], now["emails"]) == ("Chief Buyer", ["a.byrne@acme.example"]), box.events()


def test_the_pointer_that_we_write_later_dates_no_edit_of_the_peers_users(box):
    id_ = box.prospect("Byrne", "ada@acme.example", title="Buyer")
    patch = {"system": "outreach", "method": "PATCH", "path": "/api/v2/prospects/{id}"}
    fault = box.world.faults.add({"kind": "status", "status": 503, **patch})
    box.run()  # the lead is made, and its id is owed to the prospect
    (lead,) = box.people("Lead")
    box.edit_peer(id_, title="Head Buyer")
    box.clock.forward(200)
    box.edit_crm("Lead", lead["Id"], Title="Chief Buyer")
    box.world.faults.all.remove(fault)

    box.run()

    assert box.peer(id_)["externalId"] == lead["Id"]
    assert box.crm("Lead", lead["Id"])["Title"] == "Chief Buyer", box.events()  # later than "Head Buyer"; our own write is no edit


def test_an_update_of_an_account_without_an_answer_is_found_done_also_where_the_pair_differs_in_a_field():
    box = paired(connect=connected_accounts)
    account = box.world.outreach.create_record("accounts", {"name": "Acme", "description": "ours"})["id"]
    id_ = box.world.salesforce.create_record("Account", {"Name": "Acme", "Description": "theirs"})["Id"]
    box.run()  # linked; both descriptions stay, and stand in the list of differences
    box.edit_crm("Account", id_, BillingCity="Leeds")
    box.world.faults.add({"kind": "lost_answer", "system": "outreach", "method": "PATCH", "times": 1})
    box.run()

    run = box.run()

    assert run.state == "finished", run.note
    (update,) = Operation.objects.filter(kind="update", after__has_key="locality")
    assert (update.state, update.target_id) == ("confirmed", str(account))
    assert box.world.outreach.get_record("accounts", account)["locality"] == "Leeds"
    assert box.run().as_dict()["updated"] == 0


@pytest.mark.parametrize("fate", ["deleted", "merged"])
def test_i3_what_was_made_without_an_answer_and_is_gone_since_is_not_made_again(box, fate):
    id_ = box.prospect("Byrne", "ada@acme.example")
    box.world.faults.add({"kind": "lost_answer", "system": "salesforce", "method": "PATCH", "times": 1})
    box.run()
    (lead,) = box.people("Lead")
    if fate == "merged":
        other = box.lead("Byrne", "other@acme.example")
        box.world.salesforce.merge({"object": "Lead", "winner": other, "losers": [lead["Id"]]})
    else:
        box.world.salesforce.delete_record("Lead", lead["Id"])

    for _ in range(3):
        box.run()

    alive = [row["Id"] for row in box.people("Lead") if not row.get("IsDeleted")]
    assert alive == ([other] if fate == "merged" else []), box.events()
    binding = Binding.objects.get(peer_id=str(id_))
    assert (binding.is_tombstone, binding.crm_id) == ((False, other) if fate == "merged" else (True, lead["Id"]))


# --- who was kept away by the link of another -----------------------------------------------------------------------------
def test_who_was_kept_away_is_linked_when_that_link_has_ended(box):
    lead = box.lead("Byrne", "ada@acme.example")
    box.run()
    (first,) = box.prospects()
    box.world.outreach.delete_record("prospects", first["id"])
    second = box.prospect("Byrne", "ada@acme.example")
    box.run()
    assert not Binding.objects.filter(peer_id=str(second)).exists() and LookAgain.objects.get().waits_for == lead
    box.calls()
    box.run()
    assert not any("prospects/{id}" in call for call in box.calls())  # waiting costs nothing

    box.run(forward=25 * 3600)  # the daily look finds the first one gone
    box.run()

    assert Binding.objects.get(peer_id=str(second)).crm_id == lead, box.events()


def test_who_was_kept_away_is_looked_at_when_the_other_one_bears_another_name():
    box = companies()
    ours = box.world.salesforce.create_record("Account", {"Name": "Acme"})["Id"]
    box.run()
    twin = box.world.salesforce.create_record("Account", {"Name": "ACME"})["Id"]
    box.run()
    assert LookAgain.objects.get().waits_for == ours and len(box.world.outreach.list_records("accounts")) == 1
    box.world.salesforce.update_record("Account", ours, {"Name": "Acme Holding"})

    box.run()
    box.run()

    assert Binding.objects.filter(crm_id=twin, is_tombstone=False).exists(), box.events()
    assert sorted(a["name"] for a in box.world.outreach.list_records("accounts")) == ["ACME", "Acme Holding"]


# --- creates without an answer ---------------------------------------------------------------------------------------------
def test_an_edit_of_what_was_made_without_an_answer_is_an_edit_and_goes_across(box):
    """What was sent is what both sides agreed on: whoever changed it since, did so later."""
    id_ = box.prospect("Byrne", "ada@acme.example", firstName="Ada")
    box.world.faults.add({"kind": "lost_answer", "system": "salesforce", "method": "PATCH", "times": 1})
    box.run()
    (lead,) = box.people("Lead")
    box.edit_crm("Lead", lead["Id"], FirstName="Adele")
    box.edit_peer(id_, nickname="a later edit of no mapped field")

    box.run()
    box.run()

    assert (box.crm("Lead", lead["Id"])["FirstName"], box.peer(id_)["firstName"]) == ("Adele", "Adele"), box.events()

"""Undo of what a two-way pass wrote: values on either side, and records it made."""

import pytest

from connectors.errors import ConnectionTrouble
from reconciliation.models import Binding, Difference, Operation, Tombstone
from reconciliation.services.undo import undo, undo_plan, undoable
from tests.paired import companies
from tests.remapping import remapping

pytestmark = pytest.mark.django_db


@pytest.fixture
def box():
    return remapping()


def taken_back(box, run, user, field=""):
    return undo(box.sync_pass, list(undoable(run)), user, field=field, wiring=box.wiring)


def test_values_on_both_sides_get_their_earlier_ones_and_no_run_settles_them(box, admin_user):
    contact, id_ = box.linked("Byrne", "ada@acme.example", Title="Buyer", Phone="+44 1")
    box.edit_crm("Contact", contact, Phone="+44 2")
    box.edit_peer(id_, title="Chief")
    run = box.run()

    lines = taken_back(box, run, admin_user)

    assert [line.is_possible for line in lines] == [True, True], [line.sentence for line in lines]
    assert box.crm("Contact", contact)["Title"] == "Buyer" and box.peer(id_)["workPhones"] == ["+44 1"]
    assert {d.peer_field for d in Difference.objects.all()} == {"title", "workPhones"}
    box.calls()
    box.run()
    assert box.writes() == {} and box.peer(id_)["title"] == "Chief"
    assert all(op.undone_at for op in run.operations.all()) and not undoable(run).exists()


def test_a_value_that_was_changed_again_stays(box, admin_user):
    contact, id_ = box.linked("Byrne", "ada@acme.example", Title="Buyer")
    box.edit_peer(id_, title="Chief")
    run = box.run()
    box.edit_crm("Contact", contact, Title="Head")

    (line,) = undo_plan(box.sync_pass, list(undoable(run)), wiring=box.wiring)

    assert not line.is_possible and "changed again since" in line.sentence
    assert not taken_back(box, run, admin_user)[0].is_possible and box.crm("Contact", contact)["Title"] == "Head"


def test_a_record_that_was_made_is_deleted_while_nobody_touched_it(box, admin_user):
    contact = box.contact("Byrne", "ada@acme.example")
    run = box.run()

    (line,) = taken_back(box, run, admin_user)

    assert line.is_possible and box.prospects() == [] and box.crm("Contact", contact)["LastName"] == "Byrne"
    assert Tombstone.objects.get().why == "undo" and not Binding.objects.filter(is_tombstone=False).exists()
    box.edit_crm("Contact", contact, Title="Buyer")
    box.run()
    assert box.prospects() == [] and box.events()[-1][1] == "unlinked"


def test_a_record_that_was_touched_since_it_was_made_is_kept(box, admin_user):
    _, id_ = box.linked("Byrne", "ada@acme.example")
    run = Operation.objects.get(kind="create").run
    box.clock.forward(5)
    box.edit_peer(id_, title="Chief")

    (line,) = taken_back(box, run, admin_user)

    assert not line.is_possible and "changed since it was made" in line.sentence and box.peer(id_)


def test_one_field_of_a_write_is_taken_back_alone(box, admin_user):
    contact, id_ = box.linked("Byrne", "ada@acme.example", Title="Buyer", FirstName="Ada")
    box.edit_crm("Contact", contact, Title="Chief", FirstName="Adah")
    run = box.run()

    taken_back(box, run, admin_user, field="title")

    assert box.peer(id_)["title"] == "Buyer" and box.peer(id_)["firstName"] == "Adah"
    assert undoable(run).exists()  # the rest of it can still be taken back


def lose_next_answer(box, method):
    fault = {"kind": "lost_answer", "system": "outreach", "method": method, "path": "/api/v2/prospects/{id}", "times": 1}
    box.world.faults.add(fault)


def test_an_undo_whose_answer_is_lost_overwrites_no_edit_even_when_somebody_edits_since(box, admin_user):
    contact, id_ = box.linked("Byrne", "ada@acme.example", Title="Boss", Phone="1")
    box.edit_crm("Contact", contact, Title="Chief", Phone="2")
    run = box.run()
    lose_next_answer(box, "PATCH")
    with pytest.raises(ConnectionTrouble):
        taken_back(box, run, admin_user)
    box.edit_peer(id_, workPhones=["3"])  # by a user, on top of what was put back

    box.run()

    assert (box.crm("Contact", contact)["Title"], box.peer(id_)["title"]) == ("Chief", "Boss")
    assert (box.crm("Contact", contact)["Phone"], box.peer(id_)["workPhones"]) == ("3", ["3"])
    assert {d.peer_field for d in Difference.objects.all()} == {"title"} and not undoable(run).exists()
    box.calls()
    box.run(is_full=True)
    assert box.writes() == {}


def test_a_delete_whose_answer_is_lost_ends_the_link_all_the_same(box, admin_user):
    box.contact("Byrne", "ada@acme.example")
    run = box.run()
    lose_next_answer(box, "DELETE")
    with pytest.raises(ConnectionTrouble):
        taken_back(box, run, admin_user)

    box.run()

    assert Tombstone.objects.get().why == "undo" and Binding.objects.get().is_tombstone
    assert box.prospects() == [] and not undoable(run).exists()


def test_an_edit_between_the_undo_and_its_read_back_is_found_by_the_next_run(box, admin_user, monkeypatch):
    contact, id_ = box.linked("Byrne", "ada@acme.example", Title="Boss")
    box.edit_peer(id_, title="Chief")
    run = box.run()
    box.edit_after_write(monkeypatch, "Contact", contact, Title="Typed just now")

    taken_back(box, run, admin_user)
    box.run()

    assert (box.crm("Contact", contact)["Title"], box.peer(id_)["title"]) == ("Typed just now", "Typed just now")


def test_an_opt_out_is_not_taken_back_and_the_page_says_so_before(box, admin_user):
    contact, id_ = box.linked("Byrne", "ada@acme.example", Title="Boss")
    box.edit_crm("Contact", contact, HasOptedOutOfEmail=True, Title="Chief")
    run = box.run()

    (line,) = undo_plan(box.sync_pass, list(undoable(run)), wiring=box.wiring)
    assert line.fields == ("title",) and "emailOptedOut: an opt-out is never taken back" in line.sentence
    (line,) = undo_plan(box.sync_pass, list(undoable(run)), field="emailOptedOut", wiring=box.wiring)
    assert not line.is_possible and "never taken back" in line.sentence
    taken_back(box, run, admin_user)

    assert box.peer(id_)["emailOptedOut"] is True and box.peer(id_)["title"] == "Boss"


def test_a_prospect_that_was_made_and_is_worked_on_by_now_is_kept(box, admin_user):
    box.contact("Byrne", "ada@acme.example")
    run = box.run()
    (prospect,) = box.prospects()
    box.active(prospect["id"], tasks=2, sequences=1)

    (line,) = taken_back(box, run, admin_user)

    assert not line.is_possible and "has 2 active tasks and 1 active sequence; it is kept" in line.sentence
    assert box.prospects()


def test_a_company_that_was_made_and_has_people_by_now_is_kept(admin_user):
    box = companies()
    outreach, salesforce = box.world.outreach, box.world.salesforce
    salesforce.create_record("Account", {"Name": "Acme"})
    outreach.create_record("accounts", {"name": "Byte"})
    run = box.run()
    acme = next(a["id"] for a in outreach.list_records("accounts") if a["name"] == "Acme")
    byte = next(a["Id"] for a in salesforce.list_records("Account") if a["Name"] == "Byte")
    outreach.create_record("prospects", {"lastName": "Byrne", "account": acme})
    salesforce.create_record("Contact", {"LastName": "Diaz", "AccountId": byte})

    made = undoable(run).filter(kind="create")
    lines = undo(box.sync_pass, list(made), admin_user, wiring=box.wiring)

    assert not any(line.is_possible for line in lines)
    assert {line.sentence for line in lines} == {
        f"Account {acme} Acme has prospects; it is kept.",
        f"Account {byte} Byte has contacts; it is kept.",
    }

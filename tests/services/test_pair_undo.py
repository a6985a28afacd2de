"""Undo of what a two-way pass wrote: values on either side, and records it made."""

import pytest

from reconciliation.models import Binding, Difference, Operation, Tombstone
from reconciliation.services.undo import undo, undo_plan, undoable
from tests.paired import paired

pytestmark = pytest.mark.django_db


@pytest.fixture
def box():
    return paired()


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

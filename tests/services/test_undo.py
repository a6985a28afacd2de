"""What was written is taken back from the journal, checked against what is there now."""

import pytest
from django.contrib.auth.models import User

from reconciliation.models import Binding, Run
from reconciliation.services.undo import undo, undo_plan, undoable
from tests.sandboxed import PEER_ID, SYNC, make

pytestmark = [pytest.mark.django_db, pytest.mark.both_databases]


@pytest.fixture
def edited():
    """A bound organisation whose industry and town were just carried over."""
    box = make()
    id_ = box.organisation("Northwind Pumps", industry="Food", **{"main_location[town]": "Leeds"})
    box.run()
    box.clock.forward(30)
    box.edit(id_, industry="Health", **{"main_location[town]": "Bath"})
    run = box.run()
    return box, id_, run, User.objects.create(username="olga")


def test_undo_of_a_run_gives_fields_their_earlier_values_back(edited):
    box, _, run, olga = edited

    lines = undo(box.sync_pass, list(undoable(run)), olga, wiring=box.wiring)

    account = box.accounts()[0]
    assert (account["industry"], account["locality"]) == ("Food", "Leeds")
    assert [line.is_possible for line in lines] == [True]


def test_undo_leaves_what_somebody_changed_again(edited):
    box, _, run, olga = edited
    box.world.outreach.update_record("accounts", box.accounts()[0]["id"], {"industry": "typed in Outreach"})

    lines = undo(box.sync_pass, list(undoable(run)), olga, wiring=box.wiring)

    account = box.accounts()[0]
    assert (account["industry"], account["locality"]) == ("typed in Outreach", "Leeds")
    assert "1 changed again since" in lines[0].sentence


def test_an_undone_value_is_not_sent_again_by_the_next_pass(edited):
    box, _, run, olga = edited
    undo(box.sync_pass, list(undoable(run)), olga, wiring=box.wiring)

    box.run()

    assert box.accounts()[0]["industry"] == "Food"


def test_undo_of_a_create_deletes_the_account_and_stops_the_organisation():
    box = make()
    id_ = box.organisation("Made by mistake")
    run = box.run()
    olga = User.objects.create(username="olga")

    undo(box.sync_pass, list(undoable(run)), olga, wiring=box.wiring)

    assert box.accounts() == []
    assert (box.show(id_)[PEER_ID], box.show(id_)[SYNC]) == ("", False)
    assert Binding.objects.get().is_tombstone
    assert box.run().seen == 0


def test_an_account_with_prospects_or_edits_is_kept_and_that_is_said_before():
    box = make()
    first, second = box.organisation("Has prospects"), box.organisation("Was edited")
    run = box.run()
    by_name = {a["name"]: a["id"] for a in box.accounts()}
    box.world.outreach.create_record("prospects", {"firstName": "Ada", "emails": ["a@x.example"], "account": by_name["Has prospects"]})
    box.world.outreach.update_record("accounts", by_name["Was edited"], {"description": "mine"})

    lines = undo_plan(box.sync_pass, list(undoable(run)), wiring=box.wiring)

    assert sorted(line.sentence.split(";")[0].split(" ", 2)[2] for line in lines) == [
        "Has prospects has prospects",
        "Was edited was changed since it was created",
    ]
    assert len(box.accounts()) == 2 and first and second


def test_who_undid_what_stands_in_the_runs(edited):
    box, _, run, olga = edited

    undo(box.sync_pass, list(undoable(run)), olga, wiring=box.wiring)

    staff = Run.objects.filter(kind="staff").first()
    assert (staff.started_by, staff.note, staff.state) == ("olga", "Undo 1 write.", "finished")


def test_an_account_stays_when_workbooks_does_not_let_its_organisation_go():
    box = make()
    id_ = box.organisation("Made by mistake")
    run = box.run()
    olga = User.objects.create(username="olga")
    box.world.workbooks.delete_record("organisations", id_)

    (line,) = undo(box.sync_pass, list(undoable(run)), olga, wiring=box.wiring)

    assert not line.is_possible
    assert "Workbooks did not take the change" in line.sentence
    assert len(box.accounts("Made by mistake")) == 1


def test_what_outreach_refuses_to_take_back_is_said(edited):
    box, _, run, olga = edited
    box.world.faults.add({"kind": "status", "status": 422, "system": "outreach", "method": "PATCH", "times": 1})

    (line,) = undo(box.sync_pass, list(undoable(run)), olga, wiring=box.wiring)

    assert not line.is_possible
    assert "stays as it is" in line.sentence
    assert box.accounts()[0]["industry"] == "Health"

"""What was deleted is remembered with its last values, and made again on request: once, and with what is lost said first."""

import pytest
from django.contrib.auth.models import User

from connectors.errors import ConnectorError
from reconciliation.models import AuditEntry, Binding, Operation, Tombstone
from reconciliation.services.duplicates import DecisionRefused
from reconciliation.services.restore import restore, restore_plan
from reconciliation.services.undo import undo, undoable
from tests.sandboxed import PEER_ID, SYNC, make

pytestmark = [pytest.mark.django_db, pytest.mark.both_databases]


@pytest.fixture
def olga():
    return User.objects.create(username="olga")


@pytest.fixture
def box():
    return make()


@pytest.fixture
def deleted(box):
    """A linked organisation that somebody deleted in Workbooks."""
    id_ = box.organisation("Northwind Pumps", industry="Food", **{"main_location[town]": "Leeds"})
    box.run()
    box.clock.forward(300)
    box.run()
    box.world.workbooks.delete_record("organisations", id_)
    run = box.run()
    return id_, run


def live(box):
    return [o for o in box.world.workbooks.list_records("organisations") if not o["is_deleted"]]


def test_a_tombstone_says_who_deleted_it_when_we_learnt_and_what_it_held(box, deleted):
    id_, run = deleted

    stone = Tombstone.objects.get()

    deleter = box.show(id_)["updated_by_user[person_name]"]
    assert (stone.crm_id, stone.deleted_by, stone.run_id) == (str(id_), deleter, run.pk) and deleter
    assert (stone.crm_values["industry"], stone.peer_values["locality"]) == ("Food", "Leeds")
    box.run()
    assert Tombstone.objects.count() == 1  # the overlap reads the deleted row again


def test_a_deleted_organisation_is_made_again_and_linked_to_its_account(box, deleted, olga):
    id_, _ = deleted
    stone = Tombstone.objects.get()
    plan = restore_plan(stone, wiring=box.wiring)
    account = box.accounts()[0]["id"]

    restore(stone, olga, reason="deleted by mistake", wiring=box.wiring)

    (made,) = live(box)
    assert any(str(id_) in line for line in plan.not_back) and any("employed" in line for line in plan.not_back)
    assert (made["name"], made["industry"], made["main_location[town]"]) == ("Northwind Pumps", "Food", "Leeds")
    assert (made[SYNC], made[PEER_ID]) == (True, str(account)) and made["id"] != id_
    assert Binding.objects.get(is_tombstone=False).crm_id == str(made["id"])
    stone.refresh_from_db()
    assert (stone.restored_by, stone.restored_as) == ("olga", f"workbooks:organisation:{made['id']}")
    assert AuditEntry.objects.get().action == "restore organisation"
    create = Operation.objects.get(kind="create", object_type="organisation")
    assert (create.origin["staff"], create.origin["reason"]) == ("olga", "deleted by mistake")


def test_the_passes_after_a_restore_write_nothing_and_make_no_duplicate(box, deleted, olga):
    restore(Tombstone.objects.get(), olga, wiring=box.wiring)

    first, second = box.run(), box.run()

    assert (first.created, first.duplicates, first.failed) == (0, 0, 0)
    assert not Operation.objects.filter(run__in=[first, second]).exists()
    assert len(box.accounts()) == 1


def test_nothing_is_restored_twice(box, deleted, olga):
    restore(Tombstone.objects.get(), olga, wiring=box.wiring)

    with pytest.raises(DecisionRefused, match="restored already"):
        restore(Tombstone.objects.get(), olga, wiring=box.wiring)

    assert len(live(box)) == 1


@pytest.mark.parametrize("by_hand", [True, False])
def test_an_unanswered_restore_is_found_by_its_key(box, deleted, olga, by_hand):
    fault = {"kind": "lost_answer", "system": "workbooks", "method": "PUT", "path": "/crm/organisations.api", "times": 1}
    box.world.faults.add(fault)
    with pytest.raises(ConnectorError):
        restore(Tombstone.objects.get(), olga, wiring=box.wiring)
    assert len(live(box)) == 1

    if by_hand:
        with pytest.raises(DecisionRefused):
            box.run()
            restore(Tombstone.objects.get(), olga, wiring=box.wiring)
    else:
        box.run()
    box.run()

    (made,) = live(box)
    assert Tombstone.objects.get().restored_as == f"workbooks:organisation:{made['id']}"
    assert Binding.objects.get(is_tombstone=False).crm_id == str(made["id"])
    assert len(box.accounts()) == 1


def test_what_is_back_in_workbooks_is_not_made_again(box, deleted, olga):
    id_, _ = deleted
    table = box.world.workbooks.tables["organisations"]
    table.put({**table.rows[id_], "is_deleted": False})

    with pytest.raises(DecisionRefused, match="there again"):
        restore(Tombstone.objects.get(), olga, wiring=box.wiring)


@pytest.fixture
def undone(box, olga):
    """An organisation whose account an undo deleted."""
    id_ = box.organisation("Made by mistake", industry="Food")
    undo(box.sync_pass, list(undoable(box.run())), olga, wiring=box.wiring)
    return id_


def test_an_account_that_an_undo_deleted_is_made_again(box, undone, olga):
    stone = Tombstone.objects.get()
    plan = restore_plan(stone, wiring=box.wiring)
    assert (stone.why, stone.deleted_by) == ("undo", "olga") and any(stone.peer_id in line for line in plan.not_back)

    restore(stone, olga, wiring=box.wiring)

    (account,) = box.accounts()
    assert (account["name"], account["industry"]) == ("Made by mistake", "Food")
    assert (box.show(undone)[PEER_ID], box.show(undone)[SYNC]) == (str(account["id"]), True)
    assert not Binding.objects.get().is_tombstone
    after = box.run()
    assert (after.seen, after.unchanged, after.created) == (1, 1, 0) and len(box.accounts()) == 1


def test_an_account_whose_name_is_taken_by_now_becomes_a_duplicate_not_a_second_account(box, undone, olga):
    box.world.outreach.create_record("accounts", {"name": "Made by mistake"})

    with pytest.raises(DecisionRefused, match="with this name"):
        restore(Tombstone.objects.get(), olga, wiring=box.wiring)

    assert len(box.accounts()) == 1
    assert Tombstone.objects.get().restored_at is None

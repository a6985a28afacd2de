"""What was deleted is remembered with its last values, and made again on request: once, and with what is lost said first."""

import pytest
from django.contrib.auth.models import User

from connectors.errors import ConnectorError
from reconciliation.engine import executor, staff
from reconciliation.engine.executor import Executor
from reconciliation.models import AuditEntry, Binding, Difference, Operation, PassLease, Tombstone
from reconciliation.services.duplicates import DecisionRefused
from reconciliation.services.forgetting import forget_ask, forget_carry_on, forget_confirm, forget_count
from reconciliation.services.records import search
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


class Died(BaseException):
    """The process ends here: nothing after it happens, not even the closing of the run."""


def restore_until(box, olga, monkeypatch, stage):
    """Begins a restore whose process dies right after this stage of its write to Workbooks or Outreach."""
    owner, name = {"call": (executor, "_call"), "claim": (Executor, "_claim"), "settle": (Executor, "_settle")}[stage]
    real = getattr(owner, name)

    def die(*arguments):
        real(*arguments)
        raise Died

    with monkeypatch.context() as patched:
        patched.setattr(owner, name, die)
        with pytest.raises(Died):
            restore(Tombstone.objects.get(), olga, wiring=box.wiring)
    PassLease.objects.update(expires_at=None)


@pytest.fixture
def differing(box, deleted):
    """The deleted organisation's account, whose industry was blanked in Outreach meanwhile."""
    account = box.accounts()[0]["id"]
    box.world.outreach.update_record("accounts", account, {"industry": ""})
    return account


@pytest.mark.parametrize("passes", [0, 2])
@pytest.mark.parametrize("stage", ["claim", "call", "settle"])
def test_a_killed_restore_writes_nothing_in_outreach_and_makes_one(box, differing, olga, monkeypatch, stage, passes):
    restore_until(box, olga, monkeypatch, stage)
    box.clock.forward(200)
    for _ in range(passes):
        box.run(forward=600)

    stone = Tombstone.objects.get()
    if stone.restored_at is None:  # nothing was made before it died, or nobody looked yet
        restore(stone, olga, wiring=box.wiring)
    for _ in range(2):
        box.run(forward=600)

    (made,) = live(box)
    stone.refresh_from_db()
    assert (stone.restored_as, stone.restored_by) == (f"workbooks:organisation:{made['id']}", "olga")
    assert [a["industry"] for a in box.accounts()] == [""]
    binding = Binding.objects.get(is_tombstone=False)
    assert (binding.crm_id, binding.peer_id, binding.how) == (str(made["id"]), str(differing), "restored")
    assert list(Difference.objects.values_list("peer_field", flat=True)) == ["industry"]
    assert not Operation.objects.filter(state="sent").exists()


def test_what_a_pass_found_made_is_not_made_again(box, differing, olga, monkeypatch):
    restore_until(box, olga, monkeypatch, "call")
    box.run(forward=600)

    with pytest.raises(DecisionRefused, match="restored already"):
        restore(Tombstone.objects.get(), olga, wiring=box.wiring)

    assert len(live(box)) == 1


def test_a_restore_that_may_still_happen_is_not_begun_again_and_says_why(box, deleted, olga, monkeypatch):
    restore_until(box, olga, monkeypatch, "claim")
    box.clock.forward(3)

    with pytest.raises(DecisionRefused, match=r"begun before: Workbooks was asked at \d\d:\d\d:\d\d UTC.*Try again in a minute"):
        restore(Tombstone.objects.get(), olga, wiring=box.wiring)
    assert live(box) == []
    box.clock.forward(200)
    assert "was made in its place" in restore(Tombstone.objects.get(), olga, wiring=box.wiring)

    assert len(live(box)) == 1 and AuditEntry.objects.filter(action="restore organisation").count() == 1


def test_what_is_back_in_workbooks_is_not_made_again(box, deleted, olga):
    id_, _ = deleted
    table = box.world.workbooks.tables["organisations"]
    table.put({**table.rows[id_], "is_deleted": False})

    with pytest.raises(DecisionRefused, match="there again"):
        restore(Tombstone.objects.get(), olga, wiring=box.wiring)


def forget(box, olga, who, also=""):
    row = forget_ask(who, also, olga)
    forget_count(row.pk, wiring=box.wiring)
    row.refresh_from_db()
    assert forget_confirm(row, olga) and forget_carry_on(row.pk)


def test_what_was_forgotten_is_neither_promised_nor_written(box, olga):
    id_ = box.organisation("Practice", industry="Zoë Ødegård", **{"main_location[town]": "Leeds"})
    box.run()
    box.clock.forward(300)
    box.run()
    box.world.workbooks.delete_record("organisations", id_)
    box.run()
    forget(box, olga, "zoe@practice.example", "Zoë Ødegård")
    stone = Tombstone.objects.get()
    assert "(forgotten" in stone.crm_values["industry"]

    plan = restore_plan(stone, wiring=box.wiring)
    restore(stone, olga, wiring=box.wiring)

    assert "industry: it was forgotten on request." in plan.not_back
    assert {w.field for w in plan.writes} >= {"main_location[town]"} and "industry" not in {w.field for w in plan.writes}
    assert not any("forgotten" in w.value for w in plan.writes)
    (made,) = live(box)
    assert (made["name"], made["main_location[town]"], made["industry"] or "") == ("Practice", "Leeds", "")
    assert not any("(forgotten" in str(value) for value in made.values())


def test_a_record_whose_name_was_forgotten_is_not_made_under_a_mark(box, olga):
    id_ = box.organisation("Zoë Ødegård")
    box.run()
    box.clock.forward(300)
    box.run()
    box.world.workbooks.delete_record("organisations", id_)
    box.run()
    forget(box, olga, "zoe@practice.example", "Zoë Ødegård")

    with pytest.raises(DecisionRefused, match="hold no name"):
        restore(Tombstone.objects.get(), olga, wiring=box.wiring)

    assert live(box) == []


def test_what_was_forgotten_while_a_restore_waited_is_not_written(box, olga, monkeypatch):
    id_ = box.organisation("Practice", industry="Zoë Ødegård")
    box.run()
    box.clock.forward(300)
    box.run()
    box.world.workbooks.delete_record("organisations", id_)
    box.run()
    stone, wait = Tombstone.objects.get(), staff._wait_for_lease

    def forgotten_meanwhile(*arguments):
        forget(box, olga, "zoe@practice.example", "Zoë Ødegård")
        return wait(*arguments)

    monkeypatch.setattr(staff, "_wait_for_lease", forgotten_meanwhile)

    restore(stone, olga, wiring=box.wiring)

    assert (live(box)[0]["industry"] or "") == ""


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


@pytest.mark.parametrize("stage", ["claim", "call"])
def test_a_killed_restore_of_an_account_is_settled_by_its_repetition(box, undone, olga, monkeypatch, stage):
    """No pass runs meanwhile. What dies is the write to Outreach: the switch in Workbooks was thrown before."""
    owner, name = {"call": (executor, "_call"), "claim": (Executor, "_claim")}[stage]
    step = getattr(owner, name)

    def die(*arguments):
        done = step(*arguments)
        if Operation.objects.filter(kind="create", object_type="account", state="sent").exists():
            raise Died
        return done

    with monkeypatch.context() as patched:
        patched.setattr(owner, name, die)
        with pytest.raises(Died):
            restore(Tombstone.objects.get(), olga, wiring=box.wiring)
    PassLease.objects.update(expires_at=None)
    box.clock.forward(200)

    restore(Tombstone.objects.get(), olga, wiring=box.wiring)
    box.run()

    (account,) = box.accounts()
    assert box.show(undone)[PEER_ID] == str(account["id"])
    assert Tombstone.objects.get().restored_as == f"outreach:account:{account['id']}"


def test_an_account_whose_name_is_taken_by_now_becomes_a_duplicate_not_a_second_account(box, undone, olga):
    box.world.outreach.create_record("accounts", {"name": "Made by mistake"})

    with pytest.raises(DecisionRefused, match="with this name"):
        restore(Tombstone.objects.get(), olga, wiring=box.wiring)

    assert len(box.accounts()) == 1
    assert Tombstone.objects.get().restored_at is None


def test_what_waited_and_was_never_linked_is_remembered_and_made_again(box, olga, client):
    """A duplicate that somebody deleted in Workbooks instead of deciding it."""
    box.world.outreach.create_record("accounts", {"name": "Northwind Pumps"})
    id_ = box.organisation("Northwind Pumps", industry="Food")
    other = box.organisation("Never ticked", **{SYNC: False})
    box.run()
    for gone in (id_, other):
        box.world.workbooks.delete_record("organisations", gone)
    box.run()
    box.run()  # the overlap reads the deleted rows again

    stone = Tombstone.objects.get()
    assert (stone.binding, stone.crm_id, stone.name) == (None, str(id_), "Northwind Pumps")
    assert stone.crm_values["industry"] == "Food" and stone.deleted_by
    assert [
        (f.state, f.ref.id)
        for f in search(box.sync_pass, "northwind pumps", wiring=box.wiring).found
        if f.ref.object_type == "organisation"
    ] == [("deleted", str(id_))]

    restore(stone, olga, wiring=box.wiring)
    (made,) = [o for o in live(box) if o["name"] == "Northwind Pumps"]
    assert (made["industry"], made[SYNC]) == ("Food", True)
    box.run()
    assert len(box.accounts("Northwind Pumps")) == 1  # a duplicate again, which a person decides

"""A write whose answer was lost, by the wire or by a kill, is looked at: found done, it stands in the history with all
that follows from it, and can be taken back; else it is planned anew."""

import pytest
from django.contrib.auth.models import User

from connectors.contract import Ref
from connectors.errors import ConnectorError
from reconciliation.engine import executor
from reconciliation.models import Binding, Difference, Operation, Tombstone
from reconciliation.services.differences import force, force_plan
from reconciliation.services.record_history import field_history
from reconciliation.services.restore import restore_plan
from reconciliation.services.undo import undo, undoable
from tests.sandboxed import PEER_ID, SYNC, make

pytestmark = [pytest.mark.django_db, pytest.mark.both_databases]
LOST = ("on the wire", "by a kill")


class Died(BaseException):
    """The process ends here."""


@pytest.fixture
def olga():
    return User.objects.create(username="olga")


@pytest.fixture
def box():
    return make()


@pytest.fixture
def edited(box):
    """An organisation whose industry was edited since the last agreement."""
    id_ = box.organisation("Northwind", industry="Food")
    box.run()
    box.clock.forward(300)
    box.edit(id_, industry="Energy")
    return id_


@pytest.fixture
def losing(box, monkeypatch):
    """Returns a function that does something whose next write to Outreach is carried out and never answered."""

    def lose(method, how, act):
        if how == "on the wire":
            box.world.faults.add(
                {"kind": "lost_answer", "system": "outreach", "method": method, "path": "/api/v2/accounts/{id}", "times": 1}
            )
            try:
                act()
            except ConnectorError:
                pass
            return
        call = executor._call

        def dies(connector, object_type, part):
            result = call(connector, object_type, part)
            if object_type == "account":
                raise Died
            return result

        with monkeypatch.context() as patch:
            patch.setattr(executor, "_call", dies)
            with pytest.raises(Died):
                act()
        box.clock.forward(200)  # the lease of the dead ends

    return lose


def industry(box):
    return box.accounts()[0]["industry"]


def history(box, id_):
    return [
        (c.how, c.before, c.after) for c in field_history(box.sync_pass, Ref("workbooks", "organisation", str(id_)), "industry").changes
    ]


@pytest.mark.parametrize("how", LOST)
def test_an_update_of_a_pass_is_in_the_history_and_can_be_taken_back(box, edited, losing, olga, how):
    losing("PATCH", how, box.run)
    box.run(forward=900)

    assert industry(box) == "Energy" and history(box, edited)[0] == ("Pass", "Food", "Energy")
    operation = Operation.objects.get(kind="update", state="confirmed")
    assert operation.reason.endswith("Its answer was lost; it was found done.")
    binding = Binding.objects.get()
    assert (binding.peer_base["industry"], binding.peer_version) == ("Energy", str(box.accounts()[0]["updatedAt"]))
    assert not Operation.objects.filter(kind="update").exclude(pk=operation.pk).exists()  # and was not sent twice
    undo(box.sync_pass, [operation], olga, wiring=box.wiring)
    assert industry(box) == "Food"


@pytest.mark.parametrize("how", LOST)
def test_an_undo_is_in_the_history_and_is_not_asked_for_twice(box, edited, losing, olga, how):
    run = box.run()
    losing("PATCH", how, lambda: undo(box.sync_pass, list(undoable(run)), olga, reason="wrong", wiring=box.wiring))
    box.run(forward=900)

    assert industry(box) == "Food" and history(box, edited)[0] == ("Undo", "Energy", "Food")
    assert not undoable(run).exists() and Difference.objects.get().peer_field == "industry"


@pytest.mark.parametrize("how", LOST)
def test_a_forced_value_is_in_the_history_and_off_the_list(box, edited, losing, olga, how):
    run = box.run()
    undo(box.sync_pass, list(undoable(run)), olga, wiring=box.wiring)
    (line,) = force_plan(list(Difference.objects.all()), wiring=box.wiring)
    losing("PATCH", how, lambda: force([line.key], olga, reason="right", wiring=box.wiring))
    box.run(forward=900)

    assert industry(box) == "Energy" and history(box, edited)[0] == ("Decision", "Food", "Energy")
    assert not Difference.objects.exists()


@pytest.mark.parametrize("how", LOST)
def test_a_create_that_was_taken_back_leaves_its_tombstone(box, losing, olga, how):
    id_ = box.organisation("Northwind")
    run = box.run()
    box.clock.forward(300)
    losing("DELETE", how, lambda: undo(box.sync_pass, list(undoable(run)), olga, wiring=box.wiring))
    box.run(forward=900)

    assert not box.accounts() and not box.show(id_)[PEER_ID] and not box.show(id_)[SYNC]
    assert Binding.objects.get().is_tombstone and Operation.objects.get(kind="create").undone_at
    assert restore_plan(Tombstone.objects.get(), wiring=box.wiring).writes


@pytest.mark.parametrize("method", ["PATCH", "DELETE"])
def test_what_was_not_done_is_void_and_may_be_done_again(box, edited, olga, method):
    run = box.run()
    created = list(undoable(run)) if method == "PATCH" else list(undoable(run.sync_pass.runs.earliest("pk")))
    if method == "DELETE":
        undo(box.sync_pass, list(undoable(run)), olga, wiring=box.wiring)
    box.world.faults.add({"kind": "drop", "system": "outreach", "method": method, "path": "/api/v2/accounts/{id}", "times": 1})
    with pytest.raises(ConnectorError):
        undo(box.sync_pass, created, olga, wiring=box.wiring)

    box.run(forward=900)

    assert Operation.objects.latest("pk").state == "void" and created[0].undone_at is None
    undo(box.sync_pass, created, olga, wiring=box.wiring)
    assert (industry(box) == "Food") if method == "PATCH" else not box.accounts()


def test_the_decision_itself_looks_at_what_an_earlier_one_left(box, edited, losing, olga):
    """The pass may be paused: whoever holds the lease settles it."""
    run = box.run()
    operations = list(undoable(run))
    losing("PATCH", "on the wire", lambda: undo(box.sync_pass, operations, olga, wiring=box.wiring))

    (line,) = undo(box.sync_pass, operations, olga, wiring=box.wiring)

    assert line.sentence.endswith("was taken back already.") and industry(box) == "Food"

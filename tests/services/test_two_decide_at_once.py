"""Two people decide about one thing at the same moment: the second finds out under the lease, before it writes anything."""

import pytest
from django.contrib.auth.models import User

from reconciliation.engine import staff
from reconciliation.models import AuditEntry, Binding, Case, Tombstone
from reconciliation.services import duplicates, errors
from reconciliation.services.duplicate_undo import duplicate_undo
from reconciliation.services.duplicates import Decision, DecisionRefused
from reconciliation.services.restore import restore
from tests.sandboxed import DUPLICATE, ERROR, PEER_ID, SYNC, make

pytestmark = [pytest.mark.django_db, pytest.mark.both_databases]


@pytest.fixture
def olga():
    return User.objects.create(username="olga")


@pytest.fixture
def tom():
    return User.objects.create(username="tom")


@pytest.fixture
def meanwhile(monkeypatch):
    """Takes what a colleague does while the next decision waits for the lease: it has looked once, and will look again."""
    wait, acts = staff._wait_for_lease, []

    def colleague_first(sync_pass, wiring):
        while acts:
            acts.pop()()
        return wait(sync_pass, wiring)

    monkeypatch.setattr(staff, "_wait_for_lease", colleague_first)
    return acts.append


@pytest.fixture
def box():
    """An organisation flagged as the duplicate of a free account."""
    box = make()
    box.account = str(box.world.outreach.create_record("accounts", {"name": "Northwind"})["id"])
    box.id_ = box.organisation("Northwind")
    box.run()
    return box


def writes(box):
    return {call: n for call, n in box.calls().items() if not call.startswith("GET")}


DECISIONS = {
    "link": lambda decision, box: duplicates.duplicate_link(decision, box.account),
    "different": lambda decision, box: duplicates.duplicate_different(decision),
    "stop": lambda decision, box: duplicates.duplicate_stop(decision),
}


@pytest.mark.parametrize("second", DECISIONS)
def test_the_second_decision_about_a_duplicate_is_refused_and_writes_nothing(box, olga, tom, meanwhile, second):
    case = Case.objects.get()
    box.calls()
    meanwhile(lambda: duplicates.duplicate_stop(Decision(case, tom, wiring=box.wiring)))

    with pytest.raises(DecisionRefused, match="already closed by tom"):
        DECISIONS[second](Decision(case, olga, wiring=box.wiring), box)

    assert writes(box) == {"PUT /crm/organisations.api": 1}  # tom's
    shown = box.show(box.id_)
    assert (shown[SYNC], shown[PEER_ID], shown[DUPLICATE]) == (False, "", True) and not Binding.objects.exists()


def test_a_decision_that_two_take_back_is_taken_back_once(box, olga, tom, meanwhile):
    duplicates.duplicate_link(Decision(Case.objects.get(), olga, wiring=box.wiring), box.account)
    case = Case.objects.get()
    box.calls()
    meanwhile(lambda: duplicate_undo(Decision(case, tom, wiring=box.wiring)))

    with pytest.raises(DecisionRefused, match="already taken back"):
        duplicate_undo(Decision(case, olga, wiring=box.wiring))

    assert writes(box) == {"PUT /crm/organisations.api": 1}
    assert Case.objects.get().state == "open"


@pytest.fixture
def gone():
    """An organisation whose account was deleted in Outreach."""
    box = make()
    box.id_ = box.organisation("Vanished", industry="Food")
    box.run()
    box.world.outreach.delete_record("accounts", box.accounts()[0]["id"])
    box.clock.forward(300)
    box.edit(box.id_, industry="Health")
    box.run()
    box.calls()
    return box


@pytest.mark.parametrize("second", [errors.account_create_again, errors.account_stop])
def test_the_second_decision_about_an_account_that_is_gone_is_refused_and_writes_nothing(gone, olga, tom, meanwhile, second):
    case = Case.objects.get()
    meanwhile(lambda: errors.account_stop(Case.objects.get(), tom, wiring=gone.wiring))

    with pytest.raises(DecisionRefused, match="already closed"):
        second(case, olga, wiring=gone.wiring)

    assert writes(gone) == {"PUT /crm/organisations.api": 1}
    shown = gone.show(gone.id_)
    assert (shown[SYNC], shown[ERROR], bool(shown[PEER_ID])) == (False, False, True)


def test_an_error_that_two_retry_is_armed_once(gone, olga, tom, meanwhile):
    cases = list(Case.objects.all())
    meanwhile(lambda: errors.error_retry(list(Case.objects.all()), tom, wiring=gone.wiring))

    with pytest.raises(DecisionRefused, match="Somebody else closed this case"):
        errors.error_retry(cases, olga, wiring=gone.wiring)

    assert writes(gone) == {"PUT /crm/organisations.api": 1}
    assert Case.objects.get().decided_by == tom


def test_what_two_restore_is_made_once(olga, tom, meanwhile):
    box = make()
    id_ = box.organisation("Northwind")
    box.run()
    box.world.workbooks.delete_record("organisations", id_)
    box.run(forward=300)
    stone = Tombstone.objects.get()
    meanwhile(lambda: restore(Tombstone.objects.get(), tom, wiring=box.wiring))

    with pytest.raises(DecisionRefused, match="restored already"):
        restore(stone, olga, wiring=box.wiring)

    assert len([o for o in box.world.workbooks.list_records("organisations") if not o["is_deleted"]]) == 1
    stone.refresh_from_db()
    assert stone.restored_by == "tom" and AuditEntry.objects.get(action="restore organisation").username == "tom"

"""Two colleagues decide the same thing at once: the second, who waited for the pass, is refused and writes nothing."""

import pytest
from django.contrib.auth.models import User

from reconciliation.engine import staff
from reconciliation.models import AuditEntry, Binding, Case, RememberedPair
from reconciliation.services import duplicates, errors
from reconciliation.services.duplicate_bulk import duplicates_link, equal_domains
from reconciliation.services.duplicate_undo import duplicate_undo
from reconciliation.services.duplicates import Decision, DecisionRefused
from tests.sandboxed import DUPLICATE, ERROR, PEER_ID, SYNC, make

pytestmark = [pytest.mark.django_db, pytest.mark.both_databases]


@pytest.fixture
def olga():
    return User.objects.create(username="olga")


@pytest.fixture
def ben():
    return User.objects.create(username="ben")


@pytest.fixture
def box():
    return make()


@pytest.fixture
def meanwhile(monkeypatch):
    """Returns a function that lets somebody else decide while the next decision waits for the pass."""
    wait = staff._wait_for_lease

    def arrange(act):
        waiting = [act]

        def quicker(sync_pass, wiring):
            if waiting:
                waiting.pop()()
            return wait(sync_pass, wiring)

        monkeypatch.setattr(staff, "_wait_for_lease", quicker)

    return arrange


@pytest.fixture
def duplicate(box):
    """An open duplicate, and the account that bears its name."""
    account = box.world.outreach.create_record("accounts", {"name": "Northwind", "domain": "northwind.example"})
    box.organisation("Northwind", website="https://northwind.example")
    box.run()
    box.calls()
    return Case.objects.get(kind="duplicate"), str(account["id"])


@pytest.fixture
def gone(box):
    """An open error about an account that somebody deleted in Outreach, and another account."""
    id_ = box.organisation("Northwind")
    box.run()
    box.world.outreach.delete_record("accounts", box.accounts()[0]["id"])
    box.clock.forward(300)
    box.edit(id_, industry="Food")
    box.run()
    other = box.world.outreach.create_record("accounts", {"name": "Northwind Ltd"})
    return Case.objects.get(kind="error", reason="account_gone"), str(other["id"])


def writes(box):
    return {call: n for call, n in box.calls().items() if not call.startswith("GET ")}


def test_a_duplicate_that_a_colleague_linked_is_not_stopped(box, duplicate, meanwhile, olga, ben):
    case, account = duplicate
    meanwhile(lambda: duplicates.duplicate_link(Decision(case, ben, wiring=box.wiring), account))

    with pytest.raises(DecisionRefused, match="already closed by ben"):
        duplicates.duplicate_stop(Decision(case, olga, wiring=box.wiring))

    shown = box.show(int(case.crm_id))
    assert (shown[SYNC], str(shown[PEER_ID])) == (True, account)
    assert [a.action for a in AuditEntry.objects.filter(user_id=olga.pk)] == []


def test_a_duplicate_that_a_colleague_called_different_is_not_linked(box, duplicate, meanwhile, olga, ben):
    case, account = duplicate
    meanwhile(lambda: duplicates.duplicate_different(Decision(case, ben, wiring=box.wiring)))

    with pytest.raises(DecisionRefused, match="already closed by ben"):
        duplicates.duplicate_link(Decision(case, olga, wiring=box.wiring), account)

    assert RememberedPair.objects.count() == 1 and not Binding.objects.exists() and not box.show(int(case.crm_id))[PEER_ID]


def test_what_a_colleague_linked_alone_is_not_linked_again_with_many(box, duplicate, meanwhile, olga, ben):
    case, account = duplicate
    (equal,) = equal_domains()
    meanwhile(lambda: duplicates.duplicate_link(Decision(case, ben, wiring=box.wiring), account))

    assert duplicates_link([equal.key], olga, wiring=box.wiring) == (0, 1)
    assert writes(box) == {"PUT /crm/organisations.api": 1}  # of the first of them


def test_undo_pressed_twice_takes_it_back_once(box, duplicate, meanwhile, olga, ben):
    case, account = duplicate
    duplicates.duplicate_link(Decision(case, olga, wiring=box.wiring), account)
    meanwhile(lambda: duplicate_undo(Decision(case, ben, wiring=box.wiring)))

    with pytest.raises(DecisionRefused, match="already taken back"):
        duplicate_undo(Decision(case, olga, wiring=box.wiring))

    case.refresh_from_db()
    assert case.state == "open" and case.note.startswith("Opened again: ben")
    assert box.show(int(case.crm_id))[DUPLICATE] is True


@pytest.mark.parametrize("second", ["again", "link", "stop"])
def test_an_error_that_a_colleague_decided_is_not_decided_again(box, gone, meanwhile, olga, ben, second):
    case, other = gone
    meanwhile(lambda: errors.account_link_another(case, ben, other, wiring=box.wiring))

    with pytest.raises(DecisionRefused, match="already closed"):
        {
            "again": lambda: errors.account_create_again(case, olga, wiring=box.wiring),
            "link": lambda: errors.account_link_another(case, olga, other, wiring=box.wiring),
            "stop": lambda: errors.account_stop(case, olga, wiring=box.wiring),
        }[second]()

    shown = box.show(int(case.crm_id))
    assert (shown[SYNC], str(shown[PEER_ID]), shown[ERROR]) == (True, other, False)
    assert Binding.objects.get(is_tombstone=False).peer_id == other
    box.run()
    assert len(box.accounts()) == 1


def test_an_error_that_a_colleague_stopped_is_not_armed_again_with_many(box, gone, meanwhile, olga, ben):
    case, _ = gone
    meanwhile(lambda: errors.account_stop(case, ben, wiring=box.wiring))
    box.calls()

    assert errors.error_retry([case], olga, wiring=box.wiring) == 0
    assert writes(box) == {"PUT /crm/organisations.api": 1}  # of the one who stopped it

    case.refresh_from_db()
    assert (case.decision, str(case.decided_by)) == ("stopped syncing", "ben")

"""Decisions about duplicates, carried out against the sandbox."""

import pytest
from django.contrib.auth.models import User

from reconciliation.models import Binding, Case, Operation, RememberedPair
from reconciliation.services import duplicates, errors
from reconciliation.services.duplicates import Decision, DecisionRefused
from tests.sandboxed import DUPLICATE, ERROR, PEER_ID, SYNC, make

pytestmark = [pytest.mark.django_db, pytest.mark.both_databases]


@pytest.fixture
def duplicate():
    """A sandbox with one open duplicate case: its box, organisation id, account id, case and decider."""
    box = make()
    account = box.world.outreach.create_record("accounts", {"name": "Northwind Pumps", "industry": "typed in Outreach"})
    id_ = box.organisation("Northwind Pumps", industry="Food")
    box.run()
    return box, id_, account["id"], Case.objects.get(), User.objects.create(username="olga")


def test_link_binds_writes_id_back_and_clears_the_flag_without_touching_fields(duplicate):
    box, id_, account_id, case, olga = duplicate
    plan = duplicates.plan_link(case, str(account_id))

    duplicates.duplicate_link(Decision(case, olga, stamp=plan.stamp, wiring=box.wiring), str(account_id))

    assert box.show(id_)[PEER_ID] == str(account_id)
    assert box.show(id_)[DUPLICATE] is False
    assert box.accounts()[0]["industry"] == "typed in Outreach"
    case.refresh_from_db()
    assert (case.state, case.decision, case.decided_by) == ("resolved", "link", olga)
    run = box.run()
    assert (run.seen, run.unchanged, run.duplicates) == (1, 1, 0)


def test_an_edit_after_a_link_flows(duplicate):
    box, id_, account_id, case, olga = duplicate
    duplicates.duplicate_link(Decision(case, olga, wiring=box.wiring), str(account_id))
    box.clock.forward(30)
    box.edit(id_, industry="Health")

    run = box.run()

    assert (run.updated, box.accounts()[0]["industry"]) == (1, "Health")


def test_different_company_creates_an_account_and_is_never_raised_again(duplicate):
    box, id_, account_id, case, olga = duplicate

    duplicates.duplicate_different(Decision(case, olga, wiring=box.wiring))
    run = box.run()

    assert (run.created, run.duplicates) == (1, 0)
    assert len(box.accounts("Northwind Pumps")) == 2
    assert RememberedPair.objects.get().peer_id == str(account_id)


def test_stop_unticks_the_organisation(duplicate):
    box, id_, _, case, olga = duplicate

    duplicates.duplicate_stop(Decision(case, olga, wiring=box.wiring))

    assert box.show(id_)[SYNC] is False
    assert box.run().seen == 0


def test_a_stale_decision_is_refused(duplicate):
    box, id_, account_id, case, olga = duplicate
    plan = duplicates.plan_link(case, str(account_id))
    duplicates.duplicate_stop(Decision(case, olga, wiring=box.wiring))

    with pytest.raises(DecisionRefused, match="already closed"):
        duplicates.duplicate_link(Decision(case, olga, stamp=plan.stamp, wiring=box.wiring), str(account_id))

    assert box.show(id_)[PEER_ID] == ""


def test_an_account_bound_elsewhere_needs_move_the_link(duplicate):
    box, id_, account_id, case, olga = duplicate
    holder = box.organisation("Holder", **{PEER_ID: str(account_id)})
    box.run()
    assert Binding.objects.get(crm_id=str(holder)).peer_id == str(account_id)

    with pytest.raises(DecisionRefused, match="Holder"):
        duplicates.duplicate_link(Decision(case, olga, wiring=box.wiring), str(account_id))
    duplicates.duplicate_link(Decision(case, olga, wiring=box.wiring), str(account_id), move=True)

    assert box.show(id_)[PEER_ID] == str(account_id)
    assert (box.show(holder)[PEER_ID], box.show(holder)[SYNC]) == ("", False)


def test_a_flag_cleared_in_workbooks_closes_the_case_and_searches_again(duplicate):
    box, id_, account_id, case, _ = duplicate
    box.world.outreach.update_record("accounts", account_id, {"name": "Renamed meanwhile"})
    box.edit(id_, **{DUPLICATE: False})

    run = box.run()

    case.refresh_from_db()
    assert (run.created, case.state, case.decision) == (1, "closed", "flag_cleared")


def test_retry_clears_the_flag_and_the_next_pass_goes_through():
    box = make()
    id_ = box.organisation("Refused once")
    box.world.faults.add({"kind": "status", "status": 422, "system": "outreach", "method": "POST", "path": "/api/v2/accounts", "times": 1})
    box.run()
    olga = User.objects.create(username="olga")

    assert errors.error_retry(list(Case.objects.filter(kind="error")), olga, wiring=box.wiring) == 1
    assert box.show(id_)[ERROR] is False
    assert box.run().created == 1


def test_every_staff_write_stands_in_the_journal_with_the_person(duplicate):
    box, id_, account_id, case, olga = duplicate

    duplicates.duplicate_link(Decision(case, olga, wiring=box.wiring), str(account_id))

    operation = Operation.objects.filter(run__kind="staff").get()
    assert (operation.state, operation.run.started_by, operation.target_id) == ("confirmed", "olga", str(id_))

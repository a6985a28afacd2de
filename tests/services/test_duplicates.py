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


@pytest.mark.parametrize("decide", [duplicates.duplicate_different, duplicates.duplicate_stop])
def test_a_decision_that_workbooks_does_not_take_is_refused_and_remembers_nothing(duplicate, decide):
    box, id_, _, case, olga = duplicate
    box.world.faults.add({"kind": "status", "status": 400, "system": "workbooks", "method": "PUT", "times": 1})

    with pytest.raises(DecisionRefused, match=f"did not take the change of organisation {id_}"):
        decide(Decision(case, olga, wiring=box.wiring))

    case.refresh_from_db()
    assert (case.state, RememberedPair.objects.count()) == ("open", 0)
    assert (box.show(id_)[SYNC], box.show(id_)[DUPLICATE]) == (True, True)


def test_a_different_company_keeps_the_link_to_the_account_that_is_its_own():
    box, olga = make(), User.objects.create(username="olga")
    id_, other = box.organisation("Northwind Pumps"), box.organisation("Other")
    box.run()
    own, others = box.show(id_)[PEER_ID], box.show(other)[PEER_ID]
    box.edit(id_, **{PEER_ID: others})
    box.run(forward=300)
    case = Case.objects.get(reason="bound_elsewhere")
    assert [c["peer_id"] for c in case.candidates] == [others]

    duplicates.duplicate_different(Decision(case, olga, wiring=box.wiring))

    live = dict(Binding.objects.filter(is_tombstone=False).values_list("crm_id", "peer_id"))
    assert live == {str(id_): own, str(other): others}


def test_a_stale_decision_is_refused(duplicate):
    box, id_, account_id, case, olga = duplicate
    plan = duplicates.plan_link(case, str(account_id))
    duplicates.duplicate_stop(Decision(case, olga, wiring=box.wiring))

    with pytest.raises(DecisionRefused, match="already closed"):
        duplicates.duplicate_link(Decision(case, olga, stamp=plan.stamp, wiring=box.wiring), str(account_id))

    assert box.show(id_)[PEER_ID] == ""


def test_a_decision_about_a_case_that_was_looked_at_anew_is_refused(duplicate):
    """A colleague cleared the flag in Workbooks meanwhile, and the pass found one account of that name more."""
    box, id_, account_id, case, olga = duplicate
    plan = duplicates.plan_link(case, str(account_id))
    box.world.outreach.create_record("accounts", {"name": "Northwind Pumps"})
    box.edit(id_, **{DUPLICATE: False})
    box.run()
    case.refresh_from_db()
    assert (case.state, len(case.candidates), box.show(id_)[DUPLICATE]) == ("open", 2, True)

    with pytest.raises(DecisionRefused, match="changed while you were looking at it"):
        duplicates.duplicate_link(Decision(case, olga, stamp=plan.stamp, wiring=box.wiring), str(account_id))

    assert box.show(id_)[PEER_ID] == ""
    fresh = duplicates.plan_link(case, str(account_id)).stamp
    duplicates.duplicate_link(Decision(case, olga, stamp=fresh, wiring=box.wiring), str(account_id))
    assert box.show(id_)[PEER_ID] == str(account_id)


def test_the_plan_of_a_link_shows_every_write_that_is_made(duplicate):
    """Also those to the organisation that the link is moved from."""
    box, id_, account_id, case, olga = duplicate
    free = duplicates.plan_link(case, str(account_id))
    holder = box.organisation("Holder", **{PEER_ID: str(account_id)})
    box.run()

    plan = duplicates.plan_link(case, str(account_id))

    mine, other = f"organisation {id_} Northwind Pumps", f"organisation {holder} Holder"
    url = f"http://127.0.0.1:8900/browse/outreach/accounts/{account_id}"
    writes = [(mine, "Outreach Id", str(account_id)), (mine, "Outreach URL", url), (mine, "Outreach Duplicate", "FALSE")]
    assert [(w.record, w.field, w.value) for w in free.writes] == writes and not free.needs_move
    writes += [(other, "Outreach Id", "(blank)"), (other, "Sync to Outreach", "FALSE")]
    assert [(w.record, w.field, w.value) for w in plan.writes] == writes and plan.needs_move
    assert any(f"linked to {other} now" in remark for remark in plan.remarks)
    assert plan.stamp.rpartition("@")[2] == str(holder) and free.stamp.endswith("@")


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


def test_a_move_whose_holder_workbooks_does_not_let_go_is_refused_by_its_name_and_links_nothing(duplicate):
    box, id_, account_id, case, olga = duplicate
    holder = box.organisation("Holder", **{PEER_ID: str(account_id)})
    box.run()
    box.world.workbooks.delete_record("organisations", holder)

    with pytest.raises(DecisionRefused, match=f"did not take the change of organisation {holder}"):
        duplicates.duplicate_link(Decision(case, olga, wiring=box.wiring), str(account_id), move=True)

    case.refresh_from_db()
    assert (case.state, list(Binding.objects.filter(crm_id=str(id_)))) == ("open", [])
    box.run()
    assert Binding.objects.get(is_tombstone=False).crm_id == str(id_)  # whose Id Workbooks did take
    assert not Case.objects.filter(state="open").exists() and len(box.accounts()) == 1


def test_a_link_of_an_organisation_that_is_deleted_writes_nothing(duplicate):
    box, id_, account_id, case, olga = duplicate
    box.world.workbooks.delete_record("organisations", id_)
    box.calls()

    with pytest.raises(DecisionRefused, match="was deleted in Workbooks"):
        duplicates.duplicate_link(Decision(case, olga, wiring=box.wiring), str(account_id))

    assert not [call for call in box.calls() if not call.startswith("GET")] and not Binding.objects.exists()


def test_an_id_that_was_typed_in_workbooks_since_is_not_overwritten(duplicate):
    box, id_, account_id, case, olga = duplicate
    box.edit(id_, **{PEER_ID: "77"})

    with pytest.raises(DecisionRefused, match="names account 77 for it by now"):
        duplicates.duplicate_link(Decision(case, olga, wiring=box.wiring), str(account_id))

    assert (box.show(id_)[PEER_ID], Binding.objects.count()) == ("77", 0)
    box.edit(id_, **{PEER_ID: str(account_id)})
    duplicates.duplicate_link(Decision(case, olga, wiring=box.wiring), str(account_id))
    assert Binding.objects.get().peer_id == str(account_id)


def test_an_organisation_whose_id_was_blanked_is_linked_to_its_own_account_again():
    box, olga = make(), User.objects.create(username="olga")
    id_ = box.organisation("Northwind Pumps")
    box.run()
    account = box.show(id_)[PEER_ID]
    box.edit(id_, **{PEER_ID: ""})
    box.run(forward=300)
    case = Case.objects.get(reason="id_blanked")
    plan = duplicates.plan_link(case, account)
    assert len(plan.writes) == 3 and not plan.needs_move

    duplicates.duplicate_link(Decision(case, olga, stamp=plan.stamp, wiring=box.wiring), account)

    assert box.show(id_)[PEER_ID] == Binding.objects.get().peer_id == account


def test_only_a_candidate_of_the_case_can_be_linked(duplicate):
    """The form names an account by its number; another number is no decision about this case."""
    box, id_, _, case, olga = duplicate
    other = box.world.outreach.create_record("accounts", {"name": "Somebody else"})["id"]

    with pytest.raises(DecisionRefused, match="not among the candidates"):
        duplicates.duplicate_link(Decision(case, olga, wiring=box.wiring), str(other))

    assert (box.show(id_)[PEER_ID], Binding.objects.count()) == ("", 0)


def test_an_id_that_stood_there_when_the_case_was_opened_may_be_replaced():
    """An account was made, and before its Id could be written back somebody typed another one."""
    box, olga = make(), User.objects.create(username="olga")
    other = box.world.outreach.create_record("accounts", {"name": "Other"})
    id_ = box.organisation("Northwind Pumps")
    box.world.faults.add({"kind": "status", "status": 503, "system": "workbooks", "method": "PUT", "times": 1})
    box.run()
    box.edit(id_, **{PEER_ID: str(other["id"])})
    box.run(forward=600)
    case, made = Case.objects.get(), str(box.accounts("Northwind Pumps")[0]["id"])
    assert case.reason == "other_id" and {c["peer_id"] for c in case.candidates} == {made, str(other["id"])}

    duplicates.duplicate_link(Decision(case, olga, wiring=box.wiring), made)

    assert box.show(id_)[PEER_ID] == Binding.objects.get(is_tombstone=False).peer_id == made


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

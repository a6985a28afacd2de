"""Decisions met by refusals, outages and other people: nothing is half done, nothing newer is overwritten."""

import pytest
from django.contrib.auth.models import User

from connectors.errors import ConnectorError
from reconciliation.models import AuditEntry, Binding, Case, Operation, Run
from reconciliation.services import duplicates
from reconciliation.services.duplicate_bulk import duplicates_link, equal_domains
from reconciliation.services.duplicate_undo import duplicate_undo
from reconciliation.services.duplicates import Decision, DecisionRefused, plan_link
from reconciliation.services.undo import undo, undo_plan, undoable
from tests.sandboxed import DUPLICATE, PEER_ID, SYNC, make

pytestmark = [pytest.mark.django_db, pytest.mark.both_databases]


@pytest.fixture
def olga():
    return User.objects.create(username="olga")


@pytest.fixture
def box():
    """An organisation flagged as the duplicate of a free account."""
    box = make()
    box.account = str(box.world.outreach.create_record("accounts", {"name": "Northwind", "domain": "northwind.example"})["id"])
    box.id_ = box.organisation("Northwind", website="https://northwind.example")
    box.run()
    return box


def decide(box, olga, **more):
    return Decision(Case.objects.get(state="open"), olga, wiring=box.wiring, **more)


def fault(box, system, method, status, times=1):
    box.world.faults.add({"kind": "status", "status": status, "system": system, "method": method, "times": times})


def test_an_outage_while_linking_leaves_the_case_and_no_binding(box, olga):
    fault(box, "workbooks", "PUT", 503, times=5)

    with pytest.raises(ConnectorError):
        duplicates.duplicate_link(decide(box, olga), box.account)

    assert not Binding.objects.exists()
    assert Case.objects.get().state == "open"
    box.world.faults.clear()
    duplicates.duplicate_different(decide(box, olga))
    box.run(forward=1000)
    assert len(box.accounts("Northwind")) == 2


def test_a_link_whose_answer_was_lost_is_found_by_the_next_pass(box, olga):
    box.world.faults.add({"kind": "lost_answer", "system": "workbooks", "method": "PUT", "times": 1})

    with pytest.raises(ConnectorError):
        duplicates.duplicate_link(decide(box, olga), box.account)
    box.run(forward=1000)

    assert Binding.objects.get().peer_id == box.account
    assert Case.objects.get().state == "closed"
    assert len(box.accounts()) == 1


def test_a_move_whose_account_changed_hands_meanwhile_is_refused(box, olga):
    case = Case.objects.get()
    plan = plan_link(case, box.account)
    other = box.organisation("Another company")
    box.run()
    Binding.objects.filter(crm_id=str(other)).update(peer_id=box.account)

    with pytest.raises(DecisionRefused, match="changed hands"):
        duplicates.duplicate_link(decide(box, olga, stamp=plan.stamp), box.account, move=True)

    assert box.show(other)[SYNC] is True


def test_two_organisations_of_one_name_are_not_both_linked_to_one_account(box, olga):
    second = box.organisation("Northwind", website="https://northwind.example")
    box.run()

    linked, refused = duplicates_link([row.key for row in equal_domains()], olga, wiring=box.wiring)

    assert (linked, refused) == (1, 1)
    assert Binding.objects.get().crm_id == str(box.id_)
    assert box.show(second)[DUPLICATE] is True


def test_an_undo_of_a_link_that_an_outage_stopped_can_be_finished(box, olga):
    prospect = box.world.outreach.create_record("prospects", {"firstName": "x", "emails": ["x@y.example"]})
    person = {"name": "P", "employer_link": box.id_, "cf_person_sync_to_outreach": True, "main_location[email]": "x@y.example"}
    box.world.workbooks.create_record("people", person)
    duplicates.duplicate_link(decide(box, olga), box.account)
    case = Case.objects.get()
    fault(box, "outreach", "PATCH", 503, times=3)

    with pytest.raises(ConnectorError):
        duplicate_undo(Decision(case, olga, wiring=box.wiring))
    box.world.faults.clear()
    duplicate_undo(Decision(case, olga, wiring=box.wiring))

    assert Case.objects.get().state == "open"
    assert not Binding.objects.filter(is_tombstone=False).exists()
    assert box.world.outreach.get_record("prospects", prospect["id"]).get("account") in (None, "")


def test_an_undo_of_a_link_does_not_blank_an_id_that_was_typed_since(box, olga):
    duplicates.duplicate_link(decide(box, olga), box.account)
    box.edit(box.id_, **{PEER_ID: "77"})

    with pytest.raises(DecisionRefused, match="names account 77"):
        duplicate_undo(Decision(Case.objects.get(), olga, wiring=box.wiring))

    assert box.show(box.id_)[PEER_ID] == "77"


def test_an_undo_of_a_create_does_not_blank_an_id_that_was_typed_since(olga):
    box = make()
    id_ = box.organisation("Made by mistake")
    run = box.run()
    box.edit(id_, **{PEER_ID: "77"})

    (line,) = undo(box.sync_pass, list(undoable(run)), olga, wiring=box.wiring)

    assert "names account 77" in line.sentence
    assert (box.show(id_)[PEER_ID], box.show(id_)[SYNC]) == ("77", True)
    assert len(box.accounts()) == 1


def test_what_was_taken_back_is_not_offered_again(olga):
    box = make()
    ids = [box.organisation(f"Company {n}", industry="Food") for n in range(3)]
    box.run()
    for id_ in ids:
        box.edit(id_, industry="Health", **{"main_location[town]": "Bath"})
    run = box.run()

    undo(box.sync_pass, list(undoable(run))[:2], olga, wiring=box.wiring)
    assert undoable(run).count() == 1
    undo(box.sync_pass, list(undoable(run)), olga, field="industry", wiring=box.wiring)

    assert undoable(run).count() == 1  # its town is still there to be taken back
    assert sorted(str(a["industry"]) for a in box.accounts()) == ["Food"] * 3


def test_looking_at_what_undo_would_do_stores_no_run_and_asks_for_prospects_at_once(olga):
    box = make()
    for n in range(30):
        box.organisation(f"Company {n}")
    run = box.run()
    box.calls()

    lines = undo_plan(box.sync_pass, list(undoable(run)), wiring=box.wiring)

    assert all(line.is_possible for line in lines)
    assert sum(box.calls().values()) == 2
    assert Run.objects.count() == 1


def test_the_journal_holds_what_was_there_who_decided_and_why(box, olga):
    duplicates.duplicate_different(decide(box, olga, reason="checked by phone"))

    op = Operation.objects.filter(kind="flag").latest("pk")
    assert op.before == {DUPLICATE: True}
    assert (op.origin["staff"], op.origin["reason"]) == ("olga", "checked by phone")
    entry = AuditEntry.objects.get()
    assert (entry.username, entry.action, entry.detail["reason"]) == ("olga", "duplicate: different", "checked by phone")

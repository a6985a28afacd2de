"""Decisions made in Workbooks itself close the cases they overtook (D35, engine-rules 9)."""

import pytest

from connectors.contract import Record, Ref
from reconciliation.core.case_ends import case_end
from reconciliation.core.eligibility import PluginColumns
from reconciliation.models import Binding, Case
from reconciliation.services.case_refresh import cases_refresh
from tests.sandboxed import DUPLICATE, PEER_ID, SYNC, make

COLUMNS = PluginColumns(SYNC, "error", DUPLICATE, PEER_ID, "url")
pytestmark = [pytest.mark.django_db, pytest.mark.both_databases]


@pytest.fixture
def box():
    """An organisation flagged as a duplicate of an account."""
    box = make()
    box.account = box.world.outreach.create_record("accounts", {"name": "Northwind Pumps", "industry": "typed there"})["id"]
    box.id_ = box.organisation("Northwind Pumps", industry="Food")
    box.run()
    assert Case.objects.get().flag == "written"
    return box


def refresh(box):
    box.clock.forward(60)
    return cases_refresh(box.sync_pass, wiring=box.wiring)


def test_nothing_changed_keeps_the_case_and_writes_nothing(box):
    box.calls()

    result = refresh(box)

    assert (result.looked_at, result.closed) == (1, 0)
    assert box.calls() == {"GET /crm/organisations.api": 1}


def test_an_id_typed_in_workbooks_is_a_link(box):
    box.edit(box.id_, **{PEER_ID: str(box.account)})

    result = refresh(box)
    box.run()

    assert (result.closed, result.rearmed) == (1, 1)
    case = Case.objects.get()
    assert (case.state, case.decision) == ("closed", "id_typed")
    assert Binding.objects.get().peer_id == str(box.account)
    assert box.show(box.id_)[DUPLICATE] is False
    assert box.accounts()[0]["industry"] == "typed there"
    assert len(box.accounts()) == 1


def test_a_deleted_organisation_closes_its_case(box):
    box.world.workbooks.delete_record("organisations", box.id_)

    assert refresh(box).closed == 1
    assert Case.objects.get().note == "The organisation was deleted in Workbooks."


def test_a_flag_cleared_while_sync_is_off_closes_the_case(box):
    box.edit(box.id_, **{DUPLICATE: False, SYNC: False})

    assert refresh(box).closed == 1
    assert Case.objects.get().decision == "flag_cleared"


def test_a_flag_cleared_while_sync_is_on_is_left_to_the_pass(box):
    box.edit(box.id_, **{DUPLICATE: False})

    assert refresh(box).closed == 0
    box.run()
    assert Case.objects.filter(state="open").count() == 1  # searched again, found again


def test_workbooks_out_of_reach_closes_nothing(box):
    box.world.faults.add({"kind": "status", "status": 503, "system": "workbooks", "times": 10})

    with pytest.raises(Exception, match="503"):
        refresh(box)
    assert Case.objects.get().state == "open"


def test_an_id_that_stood_there_when_the_case_was_opened_was_not_typed_since():
    record = Record(Ref("workbooks", "organisation", "1"), {PEER_ID: "7", DUPLICATE: True, SYNC: True})

    assert case_end("duplicate", record, {PEER_ID: "7"}, COLUMNS, is_flag_written=True) is None
    assert case_end("error", record, {}, COLUMNS, is_flag_written=False) is None

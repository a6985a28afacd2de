"""An account whose Id the CRM did not take: owed while the CRM is away, a person's case when it refuses (engine-rules 14)."""

import json

import pytest
from django.contrib.auth.models import User

from connectors.sandbox.wire import Response
from reconciliation.models import Binding, Case
from reconciliation.services.errors import error_retry
from tests.sandboxed import ERROR, PEER_ID, make

pytestmark = [pytest.mark.django_db, pytest.mark.both_databases]


@pytest.fixture
def box():
    return make()


def fail_write_backs(box, status, times=1):
    box.world.faults.add({"kind": "status", "status": status, "system": "workbooks", "method": "PUT", "times": times})


def test_an_id_owed_for_a_quarter_of_an_hour_is_a_case_that_closes_by_itself(box):
    id_ = box.organisation("Northwind Pumps")
    fail_write_backs(box, 503, times=1000)
    box.run()
    assert not Case.objects.exists()

    box.run(forward=16 * 60)

    (case,) = Case.objects.all()
    assert (case.reason, case.flag, case.name, case.state) == ("write_back_late", "none", "Northwind Pumps", "open")
    box.world.faults.clear()
    box.run(forward=600)
    case.refresh_from_db()
    assert (case.state, case.note) == ("closed", "Id and URL were written back.")
    assert box.show(id_)[PEER_ID] == str(box.accounts()[0]["id"])
    assert box.show(id_)[ERROR] is not True


def test_a_refused_write_back_is_an_error_of_its_record_and_is_not_tried_every_minute(box):
    id_ = box.organisation("Northwind Pumps")
    fail_write_backs(box, 400)

    box.run()

    (case,) = Case.objects.all()
    assert (case.reason, case.name) == ("write_back_refused", "Northwind Pumps")
    box.run()
    box.run()
    assert box.show(id_)[ERROR] is True
    assert not box.show(id_).get(PEER_ID)
    box.calls()
    box.run()
    assert box.calls().get("PUT /crm/organisations.api", 0) == 0


def test_a_retry_writes_the_refused_id_back_and_makes_no_second_account(box):
    id_ = box.organisation("Northwind Pumps")
    fail_write_backs(box, 400)
    box.run()
    box.run()

    error_retry(list(Case.objects.all()), User.objects.create(username="olga"), wiring=box.wiring)
    box.run()

    assert box.show(id_)[PEER_ID] == str(box.accounts()[0]["id"])
    assert len(box.accounts()) == 1
    assert not Binding.objects.filter(is_write_back_due=True).exists()


def test_an_organisation_that_changes_under_every_write_is_a_case(box):
    box.organisation("Northwind Pumps")
    handle = box.world.workbooks.handle
    refusal = {"success": False, "failures": ["This record cannot be saved since it has already been updated elsewhere."]}

    def stale(request):
        if b"_method=PUT" in request.body and b"outreach_url" in request.body:
            return Response(200, json.dumps(refusal).encode(), template="/crm/organisations.api")
        return handle(request)

    box.world.workbooks.handle = stale
    box.run()

    (case,) = Case.objects.all()
    assert case.reason == "write_back_refused"
    assert "changed 5 times" in case.sentence


def test_a_link_that_ends_owes_nothing_any_more_and_the_others_stay(box):
    owing = {"sync_pass": box.sync_pass, "bound_at": box.clock.at, "synced_at": box.clock.at}
    owing |= {"is_write_back_due": True, "are_people_due": True}
    for id_ in ("1", "2"):
        Binding.objects.create(**owing, crm_id=id_, peer_id=id_)

    assert Binding.objects.filter(crm_id="1").end() == 1

    flags = ("is_tombstone", "is_write_back_due", "are_people_due")
    assert Binding.objects.values_list(*flags).get(crm_id="1") == (True, False, False)
    assert Binding.objects.values_list(*flags).get(crm_id="2") == (False, True, True)


def test_an_organisation_that_is_deleted_while_its_id_is_owed_is_asked_for_no_more(box):
    id_ = box.organisation("Northwind Pumps")
    fail_write_backs(box, 503, times=1000)
    box.run()
    assert Binding.objects.get().is_write_back_due
    box.world.faults.clear()
    box.world.workbooks.delete_record("organisations", id_)
    box.run(forward=600)
    box.calls()

    box.run(forward=600)

    binding = Binding.objects.get()
    assert (binding.is_tombstone, binding.is_write_back_due, binding.are_people_due) == (True, False, False)
    assert not any(call.startswith("PUT") for call in box.calls())

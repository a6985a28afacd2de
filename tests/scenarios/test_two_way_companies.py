"""Outreach accounts and Salesforce accounts, both ways: they meet by name, as people compare names (D2)."""

import pytest

from reconciliation.models import Binding, Difference
from tests.paired import companies

pytestmark = [pytest.mark.django_db, pytest.mark.both_databases]


def both(box):
    return box.world.outreach.list_records("accounts"), box.world.salesforce.list_records("Account")


@pytest.mark.parametrize("theirs", ["Acme Ltd", "ACME ltd", " Acme  Ltd", "Ａcme Ltd"])
@pytest.mark.parametrize("is_peer_first", [True, False])
def test_d2_a_company_that_is_on_both_sides_gets_no_second_account(theirs, is_peer_first):
    box = companies()
    ours = box.world.salesforce.create_record("Account", {"Name": "Acme Ltd"})["Id"]
    if is_peer_first:
        box.world.outreach.create_record("accounts", {"name": theirs})
        box.run()
    else:  # it comes later, when the index of names was read already
        box.world.salesforce.delete_record("Account", ours)
        box.world.outreach.create_record("accounts", {"name": "Other"})
        box.run()
        box.world.outreach.create_record("accounts", {"name": theirs})
        ours = box.world.salesforce.create_record("Account", {"Name": "Acme Ltd"})["Id"]
        box.run()
    box.run()

    peers, crm = both(box)
    assert [a for a in peers if a["name"] != "Other"].__len__() == 1, peers
    assert len([a for a in crm if not a.get("IsDeleted") and a["Name"] != "Other"]) == 1, crm
    assert Binding.objects.filter(crm_id=ours, is_tombstone=False).count() == 1


def test_a_lost_answer_of_a_company_with_a_listed_difference_does_not_stop_the_pass():
    box = companies(on_first_link="leave")
    box.world.outreach.create_record("accounts", {"name": "acme", "industry": "A"})
    ours = box.world.salesforce.create_record("Account", {"Name": "acme", "Industry": "B"})["Id"]
    box.run()
    box.run()
    assert list(Difference.objects.values_list("peer_field", flat=True)) == ["industry"]
    box.world.salesforce.update_record("Account", ours, {"BillingCity": "Leeds"})
    box.world.faults.add({"kind": "lost_answer", "system": "outreach", "method": "PATCH", "path": "/api/v2/accounts/{id}", "times": 1})

    box.run()
    after = [box.run(), box.run()]

    assert [run.state for run in after] == ["finished", "finished"], [run.note for run in after]
    (account,), _ = both(box)
    assert (account["locality"], account["industry"]) == ("Leeds", "A")
    assert list(Difference.objects.values_list("peer_field", flat=True)) == ["industry"]

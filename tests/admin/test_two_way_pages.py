"""Pages that both kinds of pass share, over two-way passes: they name the right systems and records, count each pass, and lead
to the force update of any pair, in either direction."""

import re

import pytest

from reconciliation.defaults.accounts import ACCOUNTS
from reconciliation.models import Difference, MappingTable, MappingVersion, Operation, RecordType, SyncPass, Tombstone
from reconciliation.services.set_up import two_way_pass
from tests.admin.test_pages import log_in
from tests.paired import paired

pytestmark = pytest.mark.django_db


@pytest.fixture
def box(monkeypatch):
    box = paired()
    monkeypatch.setattr("reconciliation.engine.connections.open_connector", lambda row, **o: box.wiring.open_connector(row, **o))
    return box


@pytest.fixture
def account(box):
    """Both sides of an account, at rest, of the pass that keeps accounts in agreement."""
    two_way_pass(ACCOUNTS, box.sync_pass.crm, box.sync_pass.peer)
    SyncPass.objects.filter(name="accounts").update(is_on=True, switched_on_at=box.clock.at, last_run_time=box.clock.at)
    RecordType.objects.update(last_run_time=box.clock.at)
    box.sync_pass = SyncPass.objects.select_related("crm", "peer", "mapping").get(name="accounts")
    box.clock.forward(60)
    id_ = box.world.salesforce.create_record("Account", {"Name": "Acme", "Industry": "Food"})["Id"]
    box.run()
    box.run()
    (found,) = [a for a in box.world.outreach.list_records("accounts") if a["name"] == "Acme"]
    return id_, found["id"]


def text(answer):
    assert answer.status_code == 200, answer.status_code
    return re.sub(r"\s+", " ", answer.content.decode())


@pytest.mark.parametrize("source", ["crm", "peer"])
def test_an_account_is_forced_either_way_with_the_differences_first(client, box, account, source):
    log_in(client, "operator")
    crm_id, peer_id = account
    box.world.salesforce.update_record("Account", crm_id, {"Industry": "Health"})
    box.world.outreach.update_record("accounts", peer_id, {"industry": "Energy"})
    where = re.search(r'href="(/accounts/\d+/sync/\?force=1)"', text(client.get(f"/records/salesforce/Account/{crm_id}/")))[1]

    page = text(client.get(f"{where}&source={source}"))
    seen = dict(re.findall(r'name="seen-(\w+)" value="(\w+)"', page))
    assert set(seen) == {"industry"} and "Health" in page and "Energy" in page and "Sequences" not in page
    data = {"source": source, "force": "1", "field": ["industry"], "seen-industry": seen["industry"]}
    answer = client.post(where, data, follow=True)

    written = "Outreach" if source == "crm" else "Salesforce"
    assert f"ndustry of “Acme” was written in {written}." in text(answer)
    held = box.crm("Account", crm_id)["Industry"], box.world.outreach.get_record("accounts", peer_id)["industry"]
    assert held == (("Health",) * 2 if source == "crm" else ("Energy",) * 2)
    assert Operation.objects.get(origin__forced=True).object_type == ("account" if source == "crm" else "Account")
    assert "linked to nothing" in text(client.get("/accounts/999999/sync/", follow=True))


def test_mappings_versions_and_lists_name_the_systems_of_their_pass(client, box):
    log_in(client, "admin")
    table = MappingTable.objects.get(name="Leads to prospects")
    MappingVersion.keep(table, reason="The standard fields.")
    MappingTable.objects.create(name="Unused", crm_object="x", peer_object="y")

    for where in ("/mappings/", f"/mappings/{table.pk}/versions/1/"):
        page = text(client.get(where))
        assert "<th>Salesforce field</th><th>Outreach field</th>" in page and "<th>CRM field</th><th>Outreach field</th>" not in page
    assert "customId" not in text(client.get("/mappings/"))  # the key of accounts


def test_what_ended_is_named_by_its_own_kind_and_systems(client, box):
    log_in(client, "viewer")
    id_, prospect = box.linked("Byrne", "ada@acme.example")
    box.world.salesforce.delete_record("Contact", id_)
    box.run()

    stone = Tombstone.objects.get()
    assert stone.ref == f"salesforce:Contact:{id_}"
    assert f"Contact {id_}, prospect {prospect}" in text(client.get(f"/deleted/?sync_pass={box.sync_pass.pk}"))
    page = text(client.get(f"/deleted/{stone.pk}/"))
    assert f"The link of Contact {id_} and prospect {prospect} has ended" in page
    assert "Workbooks" not in page.partition("<main")[2] and "undo" not in page.partition("Last values")[0].partition("<main")[2].lower()
    assert "<td>Salesforce</td><td>LastName</td>" in page


def test_coverage_counts_each_pass(client, box, account):
    log_in(client, "viewer")
    box.sync_pass = SyncPass.objects.select_related("crm", "peer", "mapping").get(name="prospects")
    for n in range(2):
        box.linked(f"P{n}", f"p{n}@acme.example")

    page = text(client.get("/coverage/"))

    linked = re.findall(r"In Outreach: linked</span><strong>([\d,]+)</strong>", page)
    assert linked == ["2", "1"] and "Prospects" in page and "Salesforce accounts" in page
    assert f'href="/conflicts/?state=open&amp;sync_pass={box.sync_pass.pk}"' in page and "What Workbooks counts" not in page


def test_a_difference_of_a_pair_leads_to_its_force_update_and_is_no_organisation(client, box):
    log_in(client, "operator")
    id_, prospect = box.linked("Byrne", "ada@acme.example", Title="Buyer")
    values = {"kind": "linked", "crm_field": "Title", "peer_field": "title", "noted_at": box.clock.at}
    row = Difference.objects.create(sync_pass=box.sync_pass, binding=box.binding(prospect), **values)

    page = text(client.get("/differences/"))
    assert f'href="/prospects/{prospect}/sync/?force=1"' in page and f"/records/salesforce/Contact/{id_}/field/title/" in page
    assert "Choose title of Byrne" in page and "/records/workbooks/" not in page and "Workbooks holds" not in page
    assert "agree" in text(client.get(f"/differences/force/?row={row.pk}"))  # read from the systems of the pair

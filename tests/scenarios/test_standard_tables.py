"""The shipped tables of the two-way passes at work: every row carries its value, there and back, and then all is quiet."""

import pytest

from reconciliation.engine.runner import Order, run_pass
from reconciliation.models import Binding, Case, Connection, RunEvent, SyncPass
from reconciliation.services.connections import connection_test
from tests.sandboxed import make

pytestmark = pytest.mark.django_db
ADDRESS = {"Street": "1 High St", "City": "Leeds", "State": "Yorks", "PostalCode": "LS1", "Country": "UK"}
THERE = {"addressStreet": "1 High St", "addressCity": "Leeds", "addressState": "Yorks", "addressZip": "LS1", "addressCountry": "UK"}


@pytest.fixture
def box():
    box = make(with_salesforce=True)
    for row in Connection.objects.all():
        connection_test(row, wiring=box.wiring)
    sf, outreach = box.world.salesforce, box.world.outreach
    box.owner = sf.create_record(
        "User", {"LastName": "Owner", "Email": "own@seller.example", "Username": "own@seller.example", "Alias": "o"}
    )["Id"]
    made = outreach.create_record("users", {"username": "own", "firstName": "O", "lastName": "W", "email": "own@seller.example"})
    box.user = str(made["id"])
    box.clock.forward(30)
    return box


def run(box, name="prospects"):
    box.clock.forward(600)
    SyncPass.objects.filter(name=name).update(is_on=True)
    row = SyncPass.objects.select_related("crm", "peer", "mapping").get(name=name)
    done = run_pass(row, Order(), box.wiring)
    assert done.state == "finished", (done.note, list(RunEvent.objects.filter(run=done).values_list("outcome", "sentence")))
    return done


def held(record, names):
    return {name: record.get(name) for name in names}


def prospect_of(box, crm_id):
    return box.world.outreach.get_record("prospects", int(Binding.objects.get(crm_id=crm_id).peer_id))


def test_a_contact_and_a_lead_become_prospects_with_every_field_of_their_table(box):
    account = box.world.salesforce.create_record("Account", {"Name": "Acme"})["Id"]
    person = {"FirstName": "Ada", "LastName": "Byron", "Title": "CTO", "Phone": "1", "MobilePhone": "2", "OwnerId": box.owner}
    mailing = {f"Mailing{name}": value for name, value in ADDRESS.items()}
    a_contact = {**person, **mailing, "Email": "Ada@acme.example", "AccountId": account, "DoNotCall": True}
    a_lead = {**person, **ADDRESS, "Email": "bob@acme.example", "Company": "Bobs", "HasOptedOutOfEmail": True}
    contact = box.world.salesforce.create_record("Contact", a_contact)["Id"]
    lead = box.world.salesforce.create_record("Lead", a_lead)["Id"]

    run(box)

    shared = {"firstName": "Ada", "lastName": "Byron", "title": "CTO", "workPhones": ["1"], "mobilePhones": ["2"], **THERE}
    of_contact = {"emails": ["Ada@acme.example"], "company": "Acme", "callOptedOut": True}
    of_lead = {"emails": ["bob@acme.example"], "company": "Bobs", "emailOptedOut": True}
    for crm_id, own in ((contact, of_contact), (lead, of_lead)):
        prospect = prospect_of(box, crm_id)
        assert held(prospect, {**shared, **own}) == {**shared, **own} and str(prospect["owner"]) == box.user
    box.world.forget_calls()
    assert (run(box).updated, Case.objects.count()) == (0, 0)  # and then all is quiet
    assert not [call for call in box.calls() if call.startswith(("POST", "PATCH"))]


def test_a_prospect_that_is_nobody_yet_becomes_a_lead_whose_placeholders_stay_there(box):
    made = box.world.outreach.create_record("prospects", {"emails": ["new@acme.example"], "firstName": "Only"})

    run(box)
    run(box)

    (lead,) = box.world.salesforce.list_records("Lead")
    assert held(lead, ("FirstName", "LastName", "Company")) == {
        "FirstName": "Only",
        "LastName": "[not provided]",
        "Company": "[not provided]",
    }
    organisation = Connection.objects.get(system="salesforce").settings["organisation_id"]
    assert lead["Sync_Key__c"] == f"sync-{organisation}-prospect-{made['id']}"
    prospect = box.world.outreach.get_record("prospects", made["id"])
    assert held(prospect, ("lastName", "company", "externalId", "externalSource")) == {
        "lastName": None, "company": None, "externalId": lead["Id"], "externalSource": "salesforce",
    }  # fmt: skip
    lines = connection_test(Connection.objects.get(system="salesforce"), wiring=box.wiring)
    assert not [line for line in lines if line.is_warning]  # its own key is no other program's


def test_edits_of_either_side_arrive_on_the_other_and_consent_is_never_taken_back(box):
    contact = box.world.salesforce.create_record("Contact", {"LastName": "Byron", "Email": "ada@acme.example"})["Id"]
    run(box)
    prospect = prospect_of(box, contact)["id"]

    box.world.outreach.update_record("prospects", prospect, {"title": "CTO", "addressCity": "Leeds", "emailOptedOut": True})
    run(box)
    box.world.salesforce.update_record("Contact", contact, {"MobilePhone": "7", "HasOptedOutOfEmail": False, "DoNotCall": True})
    run(box)
    run(box)

    record = box.world.salesforce.get_record("Contact", contact)
    assert held(record, ("Title", "MailingCity", "HasOptedOutOfEmail", "DoNotCall")) == {
        "Title": "CTO", "MailingCity": "Leeds", "HasOptedOutOfEmail": True, "DoNotCall": True,
    }  # fmt: skip
    there = box.world.outreach.get_record("prospects", prospect)
    assert held(there, ("mobilePhones", "emailOptedOut", "callOptedOut")) == {
        "mobilePhones": ["7"], "emailOptedOut": True, "callOptedOut": True,
    }  # fmt: skip


def test_accounts_are_kept_in_agreement_by_their_standard_table(box):
    SyncPass.objects.filter(name="organisations").update(is_on=False)
    values = {"Name": "Acme", "Website": "https://www.acme.example", "Industry": "Energy", "NumberOfEmployees": 7, "BillingCity": "Leeds"}
    id_ = box.world.salesforce.create_record("Account", {**values, "OwnerId": box.owner})["Id"]

    run(box, "accounts")
    run(box, "accounts")

    there = box.world.outreach.get_record("accounts", int(Binding.objects.get(crm_id=id_).peer_id))
    expected = {
        "name": "Acme", "websiteUrl": "https://www.acme.example", "domain": "acme.example", "industry": "Energy",
        "numberOfEmployees": 7, "locality": "Leeds", "customId": id_,
    }  # fmt: skip
    assert held(there, expected) == expected and str(there["owner"]) == box.user
    box.world.outreach.update_record("accounts", there["id"], {"locality": "York", "numberOfEmployees": 9})
    run(box, "accounts")
    assert held(box.world.salesforce.get_record("Account", id_), ("BillingCity", "NumberOfEmployees")) == {
        "BillingCity": "York", "NumberOfEmployees": 9,
    }  # fmt: skip

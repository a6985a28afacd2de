"""Person accounts of the played Salesforce: one record that is both an account and a contact."""

import pytest

from tests.sandbox.force import refusal, refused

PERSON = {
    "FirstName": "Ada", "LastName": "Byrne", "PersonEmail": "ada@home.example", "PersonMobilePhone": "+44 7700 900001",
    "PersonTitle": "Buyer", "PersonMailingCity": "Leeds", "Phone": "+44 20 7946 0001", "Email_2__pc": "ada@two.example",
}  # fmt: skip
AT_TEN = {"StartDateTime": "2026-11-03T10:00:00Z", "DurationInMinutes": 60}
OPERATION = "INVALID_PERSON_ACCOUNT_OPERATION"


@pytest.fixture
def ada(force):
    """A person: the ids of the account and of its contact."""
    force.switch(person_accounts=True)
    account = force.create("Account", **PERSON)
    return account, force.row("Account", account)["PersonContactId"]


def test_without_them_there_are_no_such_fields(force):
    for name in ("Account", "Contact"):
        fields = {f["name"] for f in force.get(f"/sobjects/{name}/describe").json()["fields"]}
        assert not any(field.startswith("Person") or field == "IsPersonAccount" for field in fields)
        assert refusal(force.page(f"SELECT Id FROM {name} WHERE IsPersonAccount = true")) == (400, "INVALID_FIELD")
    assert refusal(force.call("POST", "/sobjects/Account", json=PERSON)) == (400, "INVALID_FIELD")
    with pytest.raises(ValueError, match="No such column"):
        force.system.create_record("Account", PERSON)


def test_a_person_is_an_account_and_a_contact(force, ada):
    account, contact = ada

    row = force.row("Account", account)
    assert (row["Name"], row["IsPersonAccount"]) == ("Ada Byrne", True) and {n: row[n] for n in PERSON} == PERSON
    assert row["PersonMailingAddress"]["city"] == "Leeds"
    own = force.row("Contact", contact)
    assert [own[n] for n in ("Name", "Email", "MobilePhone", "Title", "MailingCity", "Phone", "Email_2__c")] == [
        "Ada Byrne", *(PERSON[n] for n in ("PersonEmail", "PersonMobilePhone", "PersonTitle", "PersonMailingCity", "Phone", "Email_2__pc")),
    ]  # fmt: skip
    assert (own["AccountId"], own["IsPersonAccount"]) == (account, True)
    assert force.query("SELECT Id FROM Contact WHERE IsPersonAccount = true AND Email = 'ada@home.example'")[0]["Id"] == contact
    assert force.query(f"SELECT Account.IsPersonAccount FROM Contact WHERE Id = '{contact}'")[0]["Account"]["IsPersonAccount"] is True


def test_the_contact_is_written_through_the_account(force, ada):
    account, contact = ada
    force.clock.forward(60)

    force.change("Account", account, LastName="Clarke", PersonTitle=None, PersonEmail="ada@new.example")

    own = force.row("Contact", contact)
    assert (own["Name"], own["Title"], own["Email"], own["LastModifiedDate"]) == ("Ada Clarke", None, "ada@new.example", force.clock.shown)
    assert force.row("Account", account)["Name"] == "Ada Clarke"
    other = force.create("Account", Name="Acme")
    for values in ({"Title": "x"}, {"AccountId": other}):
        assert refusal(force.change("Contact", contact, **values)) == (400, OPERATION)
    assert refusal(force.call("DELETE", f"/sobjects/Contact/{contact}")) == (400, OPERATION)
    assert refusal(force.call("POST", "/sobjects/Contact", json={"LastName": "X", "AccountId": account})) == (400, OPERATION)
    force.call("DELETE", f"/sobjects/Account/{account}")
    assert refusal(force.get(f"/sobjects/Contact/{contact}")) == (404, "ENTITY_IS_DELETED")


def test_fields_of_the_other_kind_of_account(force, ada):
    account, _ = ada
    business = force.create("Account", Name="Acme")
    told = "Account: bad field names on insert/update call: Name"
    assert refused(force.change("Account", account, Name="X")) == (400, "INVALID_FIELD_FOR_INSERT_UPDATE", told, ["Name"])
    assert refused(force.change("Account", business, PersonEmail="x@y.example", LastName="X"))[3] == ["LastName", "PersonEmail"]
    assert refusal(force.call("POST", "/sobjects/Account", json={"FirstName": "A"})) == (400, "INVALID_FIELD_FOR_INSERT_UPDATE")
    assert refused(force.change("Account", account, LastName=None))[1::2] == ("REQUIRED_FIELD_MISSING", ["LastName"])
    assert refusal(force.call("POST", "/sobjects/Account", json={"LastName": "A", "IsPersonAccount": True})) == (
        400, "INVALID_FIELD_FOR_INSERT_UPDATE",
    )  # fmt: skip
    assert force.row("Account", business)["IsPersonAccount"] is False
    assert refusal(force.call("POST", "/sobjects/Account", json={})) == (400, "REQUIRED_FIELD_MISSING")


def test_activities_go_by_the_contact(force, ada):
    account, contact = ada
    event = force.create("Event", WhoId=contact, **AT_TEN)
    assert force.row("Event", event)["AccountId"] == account
    assert refusal(force.call("POST", "/sobjects/Event", json={**AT_TEN, "WhoId": account})) == (400, "FIELD_INTEGRITY_EXCEPTION")


def test_people_write_persons_too_and_do_not_merge_them(force, ada):
    account, contact = ada
    made = force.system.create_record("Account", {"LastName": "Diaz"})
    assert (made["Name"], force.row("Contact", made["PersonContactId"])["LastName"]) == ("Diaz", "Diaz")
    for object_name, winner, loser in (("Account", account, made["Id"]), ("Contact", contact, made["PersonContactId"])):
        with pytest.raises(ValueError, match="person accounts"):
            force.system.merge({"object": object_name, "winner": winner, "losers": [loser]})


def test_an_upsert_by_the_address_of_a_person(force, ada):
    answer = force.call("PATCH", "/sobjects/Account/PersonEmail/ada@home.example", json={"PersonTitle": "CTO"})
    assert answer.status_code == 200 and force.row("Contact", ada[1])["Title"] == "CTO"


# --- what else resolving asks of accounts and leads ---------------------------------------------------------------------
def test_accounts_are_found_by_a_part_of_their_website(force):
    for site in ("https://www.acme.example/", "http://acme.example", "https://other.example", None):
        force.create("Account", Name=str(site), Website=site)
    found = force.names("Website LIKE '%acme.example%'", "Account", "Website")
    assert found == ["https://www.acme.example/", "http://acme.example"]


@pytest.mark.parametrize("name", ["Contact", "Lead"])
def test_people_have_further_addresses(force, name):
    required = {"LastName": "A", **({"Company": "C"} if name == "Lead" else {})}
    id_ = force.create(name, Email_2__c="a@two.example", Email_3__c="a@three.example", **required)
    found = force.query(f"SELECT Id FROM {name} WHERE Email IN ('A@TWO.example') OR Email_2__c IN ('A@TWO.example')")
    assert [row["Id"] for row in found] == [id_]

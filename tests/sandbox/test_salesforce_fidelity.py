"""The played Salesforce as simple-salesforce sees it: an independent client of the real system, over HTTP, unchanged but for
an adapter that goes without TLS."""

import base64
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import urlsplit, urlunsplit

import pytest
import requests
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat
from requests.adapters import HTTPAdapter
from simple_salesforce import Salesforce, format_soql
from simple_salesforce.exceptions import (
    SalesforceAuthenticationFailed,
    SalesforceExpiredSession,
    SalesforceMalformedRequest,
    SalesforceMoreThanOneRecord,
    SalesforceRefusedRequest,
    SalesforceResourceNotFound,
)

from connectors.sandbox.world import World


class Plain(HTTPAdapter):
    """Carries what is meant for an https address to the sandbox's port."""

    def __init__(self, base_url: str) -> None:
        super().__init__()
        self._target = urlsplit(base_url)

    def send(self, request: requests.PreparedRequest, *arguments: Any, **options: Any) -> requests.Response:
        request.url = urlunsplit((self._target.scheme, self._target.netloc, *urlsplit(request.url or "")[2:]))
        return super().send(request, *arguments, **options)


@pytest.fixture
def plain(world: World) -> Iterator[requests.Session]:
    with requests.Session() as session:
        session.trust_env = False
        session.mount("https://", Plain(world.base_urls["salesforce"]))
        yield session


@pytest.fixture
def client(world: World, plain: requests.Session) -> Salesforce:
    given = world.salesforce.credentials()
    return Salesforce(instance_url=world.base_urls["salesforce"], session_id=given["access_token"], session=plain, version="67.0")


def test_one_record_from_creation_to_deletion(client):
    made = client.Contact.create({"LastName": "O'Brien", "Email": "o@b.example"})
    assert made["success"] is True and made["errors"] == []
    assert client.Contact.update(made["id"], {"Title": "CTO"}) == 204
    assert client.Contact.get(made["id"])["Title"] == "CTO"
    assert client.Contact.get_by_custom_id("Email", "o@b.example")["Id"] == made["id"]
    assert client.Contact.delete(made["id"]) == 204
    with pytest.raises(SalesforceResourceNotFound) as gone:
        client.Contact.get(made["id"])
    assert gone.value.content[0]["errorCode"] == "ENTITY_IS_DELETED"


def test_upserts_answer_by_status(client):
    assert client.Contact.upsert("Sync_Key__c/k-1", {"LastName": "A"}) == 201
    assert client.Contact.upsert("Sync_Key__c/k-1", {"Title": "X"}) == 200
    for name in ("B", "C"):
        client.Contact.create({"LastName": name, "Email": "two@x.example"})
    with pytest.raises(SalesforceMoreThanOneRecord):
        client.Contact.upsert("Email/two@x.example", {"Title": "Y"})


def test_queries_page_by_page_and_all_at_once(client):
    for n in range(12):
        client.Contact.create({"LastName": f"100% {n:02d}"})
    statement = format_soql("SELECT Id, LastName FROM Contact WHERE LastName LIKE '{:like}%' ORDER BY LastName", "100% ")

    first = client.query(statement)
    second = client.query_more(first["nextRecordsUrl"], True)

    assert (first["totalSize"], len(first["records"]), first["done"]) == (12, 5, False)
    assert second["records"][0]["LastName"] == "100% 05"
    assert client.query_more(first["nextRecordsUrl"].rsplit("/", 1)[1])["records"] == second["records"]
    assert [row["LastName"] for row in client.query_all(statement)["records"]] == [f"100% {n:02d}" for n in range(12)]
    assert len(list(client.query_all_iter(statement))) == 12
    client.Contact.delete(first["records"][0]["Id"])
    assert client.query_all("SELECT Id FROM Contact", include_deleted=True)["totalSize"] == 12
    assert client.query("SELECT COUNT() FROM Contact")["totalSize"] == 11


def test_quoted_texts_find_what_they_say(client):
    name = 'O\'Brien \\ "Sons"\n& Co'
    client.Account.create({"Name": name})
    for statement in ("SELECT Name FROM Account WHERE Name = {}", "SELECT Name FROM Account WHERE Name IN {}"):
        value = name if "IN" not in statement else [name, "x"]
        assert client.query(format_soql(statement, value))["records"][0]["Name"] == name
    at = datetime.now(UTC) - timedelta(hours=1)
    assert client.query(format_soql("SELECT COUNT() FROM Account WHERE CreatedDate > {}", at))["totalSize"] == 1


def test_what_is_refused_raises_what_a_real_refusal_does(client):
    with pytest.raises(SalesforceMalformedRequest) as missing:
        client.Contact.create({"FirstName": "Ada"})
    assert missing.value.content[0]["fields"] == ["LastName"]
    with pytest.raises(SalesforceMalformedRequest) as bad:
        client.query("SELECT Foo FROM Contact")
    assert bad.value.content[0]["errorCode"] == "INVALID_FIELD"
    with pytest.raises(SalesforceResourceNotFound):
        client.Contact.get("003AA0000000099")


def test_describes_and_metadata(client):
    assert {o["name"] for o in client.describe()["sobjects"]} > {"Contact", "Lead", "Account"}
    fields = {f["name"]: f for f in client.Lead.describe()["fields"]}
    assert fields["Email"]["idLookup"] and fields["Status"]["picklistValues"][0]["defaultValue"]
    assert client.Lead.metadata()["objectDescribe"]["keyPrefix"] == "00Q"


def test_the_day_s_calls_are_read_from_the_header(client):
    assert client.limits()["DailyApiRequests"]["Max"] == 105_000
    assert client.api_usage["api-usage"].used == 1 and client.api_usage["api-usage"].total == 105_000


def test_what_changed_and_what_went(client, world):
    world.advance(-3600)
    made = client.Contact.create({"LastName": "A"})["id"]
    gone = client.Contact.create({"LastName": "B"})["id"]
    client.Contact.delete(gone)
    world.advance(3600)
    start, end = datetime.now(UTC) - timedelta(hours=2), datetime.now(UTC)
    assert client.Contact.updated(start, end)["ids"] == [made]
    assert [d["id"] for d in client.Contact.deleted(start, end)["deletedRecords"]] == [gone]


def test_composite_and_collections_by_hand(client):
    parts = [
        {"method": "POST", "url": "/services/data/v67.0/sobjects/Account", "referenceId": "acc", "body": {"Name": "Acme"}},
        {"method": "POST", "url": "/services/data/v67.0/sobjects/Contact", "referenceId": "con",
         "body": {"LastName": "A", "AccountId": "@{acc.id}"}},
    ]  # fmt: skip
    answer = client.restful("composite", method="POST", json={"allOrNone": True, "compositeRequest": parts})
    assert [p["httpStatusCode"] for p in answer["compositeResponse"]] == [201, 201]
    records = [{"attributes": {"type": "Contact"}, "LastName": name} for name in ("B", "")]
    results = client.restful("composite/sobjects", method="POST", json={"allOrNone": False, "records": records})
    assert [r["success"] for r in results] == [True, False]


def test_bulk_jobs_from_opening_to_results(client):
    rows = [{"LastName": f"C{n}", "Sync_Key__c": str(n)} for n in range(3)] + [{"LastName": "", "Sync_Key__c": "x"}]
    (inserted,) = client.bulk2.Contact.insert(records=rows, wait=0)
    assert (inserted["numberRecordsProcessed"], inserted["numberRecordsFailed"], inserted["numberRecordsTotal"]) == (4, 1, 4)
    everything = client.bulk2.Contact.get_all_ingest_records(inserted["job_id"])
    assert len(everything["successfulRecords"]) == 3 and everything["unprocessedRecords"] == []
    assert everything["failedRecords"][0]["sf__Error"].startswith("REQUIRED_FIELD_MISSING:")

    (upserted,) = client.bulk2.Contact.upsert(
        records=[{"Sync_Key__c": "1", "LastName": "New"}, {"Sync_Key__c": "9", "LastName": "D"}], external_id_field="Sync_Key__c", wait=0
    )
    created = [r["sf__Created"] for r in client.bulk2.Contact.get_all_ingest_records(upserted["job_id"])["successfulRecords"]]
    assert created == ["false", "true"]

    pages = list(client.bulk2.Contact.query("SELECT Id, LastName FROM Contact ORDER BY Id", max_records=3, wait=0))
    assert [page.count("\n") for page in pages] == [4, 2] and '"New"' in pages[0]
    ids = [{"Id": row["Id"]} for row in client.query_all("SELECT Id FROM Contact")["records"]]
    (deleted,) = client.bulk2.Contact.delete(records=ids, wait=0)
    assert deleted["numberRecordsFailed"] == 0 and client.query("SELECT COUNT() FROM Contact")["totalSize"] == 0


def test_a_meeting_an_email_and_a_file(client, world):
    world.salesforce.set_switches({"shared_activities": True})
    contacts = [client.Contact.create({"LastName": name, "Email": f"{name}@a.example"})["id"] for name in ("ada", "ben")]

    event = client.Event.create(
        {"Subject": "Visit", "StartDateTime": "2026-11-03T10:00:00Z", "DurationInMinutes": 30, "WhoId": contacts[0]}
    )["id"]
    client.EventRelation.create({"EventId": event, "RelationId": contacts[1]})
    assert client.Event.get(event)["EventWhoIds"] == contacts

    email = client.EmailMessage.create({"Subject": "Hello", "Status": "5", "ToIds": contacts, "MessageIdentifier": "<1@a.example>"})["id"]
    content = base64.b64encode(b"Dear all").decode()
    version = client.ContentVersion.create({"PathOnClient": "a.txt", "VersionData": content, "FirstPublishLocationId": email})["id"]
    assert client.EmailMessage.update(email, {"Status": "3"}) == 204
    statement = format_soql("SELECT ActivityId, HasAttachment FROM EmailMessage WHERE MessageIdentifier IN {}", ["<1@a.example>"])
    (row,) = client.query(statement)["records"]
    assert row["HasAttachment"] and client.Task.get(row["ActivityId"])["TaskSubtype"] == "Email"
    path = client.ContentVersion.get(version)["VersionData"].partition("/sobjects/")[2]
    answer = client._call_salesforce("GET", f"{client.base_url}sobjects/{path}")
    assert answer.content == b"Dear all"


def test_an_expired_session_a_spent_day_and_a_login_anew(world, plain):
    given = world.salesforce.credentials()
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    world.salesforce.set_switches(
        {"jwt_certificate": key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()}
    )
    private = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()

    bare = Salesforce(instance_url=world.base_urls["salesforce"], session_id="x", session=plain)
    with pytest.raises(SalesforceExpiredSession):
        bare.query("SELECT Id FROM Contact")

    by_jwt = Salesforce(username=given["username"], consumer_key=given["client_id"], privatekey=private, session=plain)
    assert by_jwt.query("SELECT COUNT() FROM Contact")["totalSize"] == 0
    world.salesforce.expire_tokens()
    assert by_jwt.query("SELECT COUNT() FROM Contact")["totalSize"] == 0  # it logged in anew

    app = {"consumer_key": given["client_id"], "domain": "acme.my", "session": plain}
    assert Salesforce(**app, consumer_secret=given["client_secret"]).limits()
    with pytest.raises(SalesforceAuthenticationFailed, match="invalid_client"):
        Salesforce(**app, consumer_secret="x")
    world.salesforce.limits.per_day = 0
    with pytest.raises(SalesforceRefusedRequest):
        by_jwt.limits()

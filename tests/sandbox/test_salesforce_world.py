"""The played Salesforce within its world: control port, pages, faults, call log, scenarios, what is kept, the wire itself."""

import json
import sqlite3
from collections import Counter

import pytest

from connectors.sandbox.wire import Request
from connectors.sandbox.world import World
from tests.sandbox.force import VERSION, refusal, refused

CONTACT = "/records/salesforce/Contact"


def bearer(world):
    return {"Authorization": f"Bearer {world.salesforce.credentials()['access_token']}"}


# --- the control port ---------------------------------------------------------------------------------------------------
def test_the_control_port_says_what_to_connect_with(control, session):
    given = control.call("GET", "/").json()["salesforce"]

    assert given["base_url"] == control.world.base_urls["salesforce"] and given["web_url"].endswith("/browse/salesforce")
    assert given["api_version"] == "67.0" and {"client_id", "client_secret", "refresh_token", "username"} < set(given)
    headers = {"Authorization": f"Bearer {given['access_token']}"}
    assert session.get(f"{given['base_url']}{VERSION}/limits", headers=headers, timeout=20).status_code == 200


def test_records_are_read_and_written_by_ids_of_either_length(control):
    made = control.call("POST", CONTACT, {"LastName": "Okafor", "CreatedDate": "2026-01-01T00:00:00Z"}).json()
    id_ = made["Id"]

    assert control.call("GET", f"{CONTACT}/{id_[:15]}").json()["CreatedDate"] == "2026-01-01T00:00:00.000+0000"
    assert control.call("PATCH", f"{CONTACT}/{id_}", {"Title": "CTO"}).json()["Title"] == "CTO"
    assert control.call("DELETE", f"{CONTACT}/{id_}").json() == {"deleted": id_}
    assert control.call("GET", f"{CONTACT}/{id_}").json()["IsDeleted"] is True
    assert [r["Id"] for r in control.call("GET", CONTACT).json()["records"]] == [id_]
    for unknown in ("1", "003AA0000000099", "001AA0000000001"):
        assert control.call("GET", f"{CONTACT}/{unknown}").status_code == 404
    assert "Required fields are missing" in control.refused("POST", CONTACT, {"FirstName": "A"})


def test_merges_and_conversions(control):
    def make(name, **values):
        return control.call("POST", f"/records/salesforce/{name}", values).json()["Id"]

    winner, loser = make("Contact", LastName="A"), make("Contact", LastName="B")
    lead = make("Lead", LastName="C", Company="Acme")

    assert control.call("POST", "/salesforce/merge", {"object": "Contact", "winner": winner, "losers": [loser]}).json()["Id"] == winner
    assert control.call("GET", f"{CONTACT}/{loser}").json()["MasterRecordId"] == winner
    assert control.call("POST", "/salesforce/convert", {"lead": lead}).json()["IsConverted"] is True
    assert "converted already" in control.refused("POST", "/salesforce/convert", {"lead": lead})
    assert "needs lead" in control.refused("POST", "/salesforce/convert", {})
    assert "there is no Contact" in control.refused("POST", "/salesforce/merge", {"object": "Contact", "winner": loser, "losers": [winner]})


def test_switches_of_both_systems_are_set_together_or_not_at_all(control):
    before = control.call("GET", "/switches").json()
    bad = {"outreach": {"unique_custom_id": True}, "salesforce": {"page_size": 0}}
    assert "page_size" in control.refused("POST", "/switches", bad)
    assert control.call("GET", "/switches").json() == before

    after = control.call("POST", "/switches", {**bad, "salesforce": {"page_size": 7}}).json()

    assert after["outreach"]["unique_custom_id"] is True and after["salesforce"] == {**before["salesforce"], "page_size": 7}


@pytest.mark.parametrize(
    "given",
    [
        {"page_size": True}, {"page_size": 2001}, {"duplicate_rule": "sometimes"}, {"hidden_fields": ["Contact.Foo"]},
        {"hidden_fields": ["Contact.Id"]}, {"hidden_fields": "Contact.Title"}, {"hidden_objects": ["User"]}, {"scopes": "planets"},
        {"assignment_owner": "005AA0000000099"}, {"instance_url": "ftp://x"}, {"lock_status": 300}, {"late_commit_seconds": -1},
        {"validation_rules": [{"object": "Contact"}]}, {"list_views": 5}, {"jwt_certificate": "x"}, {"nonsense": 1},
        {"deleted_status": True}, {"calls_per_token": 0},
    ],
)  # fmt: skip
def test_switches_that_cannot_be(control, given):
    before = control.call("GET", "/switches").json()
    assert control.refused("POST", "/switches", {"salesforce": given})
    assert control.call("GET", "/switches").json() == before


def test_limits(control, session):
    assert control.call("POST", "/limits", {"salesforce": {"per_day": 1}}).json()["salesforce"] == {"per_day": 1, "used": 0}
    url = control.world.base_urls["salesforce"] + VERSION + "/limits"
    assert [session.get(url, headers=bearer(control.world), timeout=20).status_code for _ in range(2)] == [200, 403]
    assert control.call("POST", "/limits", {"salesforce": {"per_day": None}}).json()["salesforce"] == {"per_day": 105_000, "used": 1}
    assert "per_day" in control.refused("POST", "/limits", {"salesforce": {"per_day": -1}})
    assert "per_hour" in control.refused("POST", "/limits", {"salesforce": {"per_day": 5}, "outreach": {"per_hour": True}})
    assert control.world.salesforce.limits.per_day == 105_000


# --- pages --------------------------------------------------------------------------------------------------------------
def test_pages_list_and_edit_records(control):
    id_ = control.call("POST", CONTACT, {"LastName": "Okafor"}).json()["Id"]
    base = control.world.control_url

    listed = control.session.get(f"{base}/browse/salesforce", timeout=20)
    assert listed.url.endswith("/browse/salesforce/Contact") and id_ in listed.text and "Okafor" in listed.text
    saved = control.session.post(f"{base}/browse/salesforce/Contact/{id_}", data={"Title": "CTO", "DoNotCall": "True"}, timeout=20)
    assert "Saved." in saved.text
    row = control.call("GET", f"{CONTACT}/{id_}").json()
    assert (row["Title"], row["DoNotCall"]) == ("CTO", True)
    refused_page = control.session.post(f"{base}/browse/salesforce/Contact/{id_}", data={"LastName": ""}, timeout=20)
    assert "Required fields are missing: [LastName]" in refused_page.text
    assert control.session.get(f"{base}/browse/salesforce/Contact/{id_[:15]}", timeout=20).status_code == 200
    assert control.session.get(f"{base}/browse/salesforce/Contact/7", timeout=20).status_code == 404
    assert "Salesforce" in control.session.get(base + "/", headers={"Accept": "text/html"}, timeout=20).text


@pytest.mark.parametrize(
    "name",
    [
        "Account", "Lead", "Opportunity", "OpportunityContactRole", "Task", "Event", "EventRelation", "EmailMessage", "ContentVersion",
        "User",
    ],
)  # fmt: skip
def test_every_object_has_a_page(control, name):
    assert control.session.get(f"{control.world.control_url}/browse/salesforce/{name}", timeout=20).status_code == 200


def test_pages_make_meetings_and_invitations_by_hand(control):
    base, salesforce = f"{control.world.control_url}/browse/salesforce", control.world.salesforce
    values = {"Subject": "Visit", "StartDateTime": "2026-11-03T00:00:00Z", "IsAllDayEvent": "yes", "ShowAs": "Free"}
    made = control.session.post(f"{base}/Event/new", data=values, timeout=20)
    assert "Saved." in made.text
    (event,) = salesforce.list_records("Event")
    assert (event["IsAllDayEvent"], event["DurationInMinutes"]) == (True, 1440)

    guest = {"EventId": event["Id"], "RelationId": salesforce.list_records("User")[3]["Id"]}
    assert "Saved." in control.session.post(f"{base}/EventRelation/new", data=guest, timeout=20).text
    late = control.session.post(f"{base}/EventRelation/new", data=guest, timeout=20)

    assert "duplicate value found" in late.text and len(salesforce.list_records("Event")) == 2
    page = control.session.get(f"{control.world.control_url}/", headers={"Accept": "text/html"}, timeout=20).text
    assert all(f"/browse/salesforce/{name}" in page for name in ("EmailMessage", "EventRelation", "OpportunityContactRole"))


# --- faults and the call log --------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    "path",
    [
        "*", "/services/oauth2/token", "/services/data/{v}/query", "/services/data/v67.0/query/01gAA0000000001YAA-5",
        "/services/data/{v}/composite",
        "/services/data/v67.0/sobjects/Contact/003AA0000000001YAA", "/services/data/{v}/sobjects/Contact/{id}", "/services/data/{v}/limits",
        "/services/data/{v}/sobjects/Contact/Sync_Key__c/{key}", "/services/data/v66.0/sobjects/Contact/Email/a@b.example",
        "/services/data/{v}/sobjects/Lead/updated/", "/services/data/v67.0/jobs/ingest/750AA0000000001/successfulResults",
        "/services/data/{v}/composite/sobjects/Contact/Sync_Key__c",
        "/services/data/v67.0/sobjects/Contact/listviews/00BAA0000000001/describe",
        "/id/00DAA0000000001/005AA0000000001",
    ],
)  # fmt: skip
def test_faults_take_every_form_of_a_path(control, path):
    assert control.call("POST", "/faults", {"kind": "drop", "path": path}).status_code == 200


@pytest.mark.parametrize(
    ("fault", "says"),
    [
        ({"kind": "lock_row", "system": "outreach"}, "salesforce only"),
        ({"kind": "stale_locator", "system": "workbooks"}, "salesforce only"),
        ({"kind": "drop", "system": "salesforce", "path": "/services/data/{v}/sobjects/Kontakt"}, "Kontakt"),
        ({"kind": "status", "status": 400, "code": 5}, "code"),
        ({"kind": "lock_row", "record": ["x"]}, "record"),
    ],
)
def test_faults_that_could_not_strike(control, fault, says):
    assert says in control.refused("POST", "/faults", fault)


@pytest.mark.parametrize(
    ("fault", "status", "code", "message"),
    [
        ({"status": 401}, 401, "INVALID_SESSION_ID", "Session expired or invalid"),
        ({"status": 403}, 403, "REQUEST_LIMIT_EXCEEDED", "TotalRequests Limit exceeded."),
        ({"status": 503}, 503, "SERVER_UNAVAILABLE", None),
        ({"status": 500}, 500, "UNKNOWN_EXCEPTION", None),
        (
            {"status": 400, "code": "QUERY_TIMEOUT", "message": "Your query took too long."},
            400,
            "QUERY_TIMEOUT",
            "Your query took too long.",
        ),
        ({"kind": "concurrent_limit"}, 403, "REQUEST_LIMIT_EXCEEDED", "ConcurrentPerOrgLongTxn Limit exceeded."),
    ],
)
def test_faults_answer_in_the_systems_words(force, fault, status, code, message):
    force.world.faults.add({"kind": "status", "system": "salesforce", "times": 1, **fault})
    answer = force.get("/limits")
    told = refused(answer)
    assert told[:2] == (status, code) and (message is None or told[2] == message)
    assert answer.headers["Sforce-Limit-Info"].startswith("api-usage=")
    assert force.get("/limits").status_code == 200


def test_a_gateways_page_and_trouble_at_the_token_endpoint(force):
    add = force.world.faults.add
    add({"kind": "status", "status": 502, "system": "salesforce", "times": 1})
    assert force.get("/limits").headers["Content-Type"] == "text/html"
    for status, word in ((400, "invalid_grant"), (503, "unknown_error")):
        add({"kind": "status", "status": status, "system": "salesforce", "path": "/services/oauth2/token", "times": 1})
        answer = force.raw("POST", "/services/oauth2/token", data={})
        assert (answer.status_code, answer.json()["error"]) == (status, word)


def test_the_next_page_is_refused_once(force):
    for n in range(6):
        force.create("Contact", LastName=f"C{n}")
    force.world.faults.add({"kind": "stale_locator", "system": "salesforce", "times": 1})
    url = force.page("SELECT Id FROM Contact").json()["nextRecordsUrl"]
    assert refusal(force.call("GET", url)) == (404, "INVALID_QUERY_LOCATOR")
    assert force.call("GET", url).status_code == 200


def test_a_lost_answer_was_carried_out(force):
    force.world.faults.add({"kind": "lost_answer", "system": "salesforce", "method": "POST", "times": 1})
    with pytest.raises(OSError):
        force.call("POST", "/sobjects/Contact", json={"LastName": "A"})
    assert force.names("Id != null") == ["A"]


def test_the_log_counts_by_form_and_hides_secrets(force):
    id_ = force.create("Contact", LastName="A")
    for path in (f"/sobjects/Contact/{id_}", f"/sobjects/Contact/{id_[:15]}", "/services/data/v66.0/sobjects/Contact/Email/a@b.example"):
        force.get(path)
    force.page("SELECT Id FROM Contact")
    force.raw("POST", "/services/oauth2/token", data={"grant_type": "refresh_token", "refresh_token": "s3cret", "client_secret": "s3cret"})

    assert force.world.counts["salesforce"] == Counter(
        {
            "GET /services/data/{v}/sobjects/Contact/{id}": 2,
            "GET /services/data/{v}/sobjects/Contact/Email/{key}": 1,
            "POST /services/data/{v}/sobjects/Contact": 1,
            "GET /services/data/{v}/query": 1,
            "POST /services/oauth2/token": 1,
        }
    )
    shown = [call["query"] for call in force.world.calls]
    assert '{"LastName": "A"}' in shown[0] and "q=SELECT Id FROM Contact" in shown[-2] and "s3cret" not in json.dumps(shown)


# --- scenarios and what is kept -----------------------------------------------------------------------------------------
def test_an_empty_world_has_users_only_who_are_those_of_outreach(force):
    counts = {name: force.system.count(name) for name in force.system.objects()}
    assert counts.pop("User") == 5 and set(counts.values()) == {0}
    emails = {user["Email"] for user in force.system.list_records("User")}
    assert {user["email"] for user in force.world.outreach.list_records("users")} < emails


def test_the_demonstration_has_its_prospects_in_salesforce_some_twice():
    world = World(scenario="demo", seed=3)
    mails = Counter(c["Email"].lower() for c in world.salesforce.list_records("Contact"))
    leads = {lead["Email"].lower() for lead in world.salesforce.list_records("Lead")}
    prospects = {e for p in world.outreach.list_records("prospects") for e in p["emails"]}

    assert sum(mail in prospects for mail in mails) > 100 and len(leads & prospects) > 50
    assert sum(count > 1 for count in mails.values()) == 3 and len(leads & set(mails)) == 3
    assert set(mails) - prospects and prospects - set(mails) - leads
    assert world.salesforce.switches()["page_size"] == 2000


def test_a_state_file_keeps_records_tokens_switches_and_numbers(tmp_path):
    first = World(state_path=tmp_path / "state")
    kept = first.salesforce.create_record("Contact", {"LastName": "Kept"})
    gone = first.salesforce.create_record("Contact", {"LastName": "Gone"})
    first.salesforce.delete_record("Contact", gone["Id"])
    first.salesforce.set_switches({"page_size": 9, "hidden_fields": ["Contact.Title"]})
    first.salesforce.limits.per_day = 50
    given = first.salesforce.credentials()
    first.keep()

    again = World(state_path=tmp_path / "state")

    assert again.salesforce.switches() == first.salesforce.switches() and again.salesforce.limits.per_day == 50
    assert again.salesforce.dump()["tables"] == first.salesforce.dump()["tables"]
    assert again.salesforce.credentials() == given
    assert again.salesforce.create_record("Contact", {"LastName": "New"})["Id"] > gone["Id"] > kept["Id"]
    assert "Title" not in again.salesforce.records.schema.objects["Contact"].fields


def test_a_state_file_of_before_gets_its_users(tmp_path):
    World(state_path=tmp_path / "state").keep()
    with sqlite3.connect(tmp_path / "state") as db:
        db.execute("DELETE FROM state WHERE key = 'meta:salesforce'")
        db.execute("DELETE FROM rows WHERE system = 'salesforce'")
    assert World(state_path=tmp_path / "state").salesforce.count("User") == 5


# --- the wire -----------------------------------------------------------------------------------------------------------
def test_bodies_in_chunks_slashes_at_the_end_and_heads(world, session):
    base, headers = world.base_urls["salesforce"] + VERSION, bearer(world)
    chunks = (part for part in (b'{"Last', b'Name": "Okafor"}'))
    made = session.post(f"{base}/sobjects/Contact/", data=chunks, headers={**headers, "Content-Type": "application/json"}, timeout=20)

    assert made.status_code == 201
    read = session.get(f"{base}/query/", params={"q": "SELECT LastName FROM Contact"}, headers=headers, timeout=20)
    assert read.json()["records"][0]["LastName"] == "Okafor" and read.headers["Content-Type"] == "application/json;charset=UTF-8"
    head = session.head(f"{base}/sobjects/Contact/{made.json()['id']}", headers=headers, timeout=20)
    assert (head.status_code, head.text) == (200, "") and "Last-Modified" in head.headers
    packed = session.get(f"{base}/limits", headers={**headers, "Accept-Encoding": "gzip"}, timeout=20)
    assert packed.json()["DailyApiRequests"]["Max"] == 105_000


@pytest.mark.parametrize(
    "path", ["/services/data/v67.0/sobjects/Contact/%ff", "//services/data", "/services", "/id/x/y/z", "/services/data/v67.0/%2e%2e"]
)
@pytest.mark.parametrize("method", ["GET", "POST", "PATCH", "DELETE", "PUT", "OPTIONS"])
def test_addresses_that_nobody_should_send_are_answered(force, path, method):
    headers = {"authorization": f"Bearer {force.given['access_token']}", "content-type": "application/json"}
    outcome = force.world.handle("salesforce", Request(method, path, "a=%ff&q", headers, b"{}", force.base))
    assert 200 <= outcome.response.status < 500
    assert force.get("/limits").status_code == 200

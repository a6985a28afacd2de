"""The played Google within its world: control port, pages, quotas, faults, call log, scenarios, what is kept, writes at once."""

import json
import sqlite3
import threading
import time
from contextlib import closing

import pytest
import requests

from connectors.sandbox.world import World
from tests.sandbox.google_account import AUTH, GINA, HUGO, refused

CONTACT, GROUP, USER = (f"/records/google/{name}" for name in ("contact", "contactGroup", "user"))
LIST = "/v1/people/me/connections"


class Wire:
    """The played Google over HTTP, with the token that the control port offers."""

    def __init__(self, control):
        self.control, self.session = control, control.session
        self.given = control.call("GET", "/").json()["google"]

    def call(self, method, path, **options):
        headers = {"Authorization": f"Bearer {self.given['access_token']}"}
        return self.session.request(method, self.given["base_url"] + path, headers=headers, timeout=20, **options)

    def list(self, fields="names", **params):
        return self.call("GET", LIST, params={"personFields": fields, **params})

    def create(self, **person):
        return self.call("POST", "/v1/people:createContact", json=person)


@pytest.fixture
def wire(control):
    return Wire(control)


# --- the control port ---------------------------------------------------------------------------------------------------
def test_the_control_port_says_what_to_connect_with(control, wire):
    given = wire.given
    assert {"base_url", "web_url", "access_token", "mailboxes", "service_account", "client_id", "client_secret", "refresh_token"} == set(
        given
    )
    assert given["mailboxes"] == [GINA, HUGO] and given["service_account"]["token_uri"] == given["base_url"] + "/token"
    me = wire.call("GET", "/v1/people/me", params={"personFields": "emailAddresses"}).json()
    assert me["emailAddresses"][0]["value"] == GINA
    assert control.call("GET", "/").json()["google"] == given


def test_contacts_by_hand(control, wire):
    body = {
        "mailbox": GINA, "labels": ["Salesforce Contacts", "Friends"], "givenName": "Bo", "familyName": "Lind", "company": "Acme",
        "emails": ["b@x.example"], "jobTitle": "Buyer", "notes": "Hi", "phones": ["+44 20 7946 0000"],
        "birthdays": [{"date": {"month": 5, "day": 2}}],
    }  # fmt: skip
    made = control.call("POST", CONTACT, body).json()

    person = wire.list("names,emailAddresses,organizations,memberships,phoneNumbers,birthdays").json()["connections"][0]
    assert person["names"][0]["displayName"] == "Bo Lind" and person["organizations"][0]["title"] == "Buyer"
    assert person["phoneNumbers"][0]["canonicalForm"] == "+442079460000" and person["resourceName"] == made["resourceName"]
    assert len(person["memberships"]) == 3 and made["labels"] == body["labels"] and made["mailbox"] == GINA
    for name in (made["id"], made["resourceName"].removeprefix("people/"), made["resourceName"].replace("/", "%2F")):
        assert control.call("GET", f"{CONTACT}/{name}").json() == made

    changed = control.call("PATCH", f"{CONTACT}/{made['id']}", {"labels": ["Friends"], "jobTitle": "", "emails": []}).json()
    assert (changed["labels"], changed["jobTitle"], changed["company"], changed["emails"]) == (["Friends"], "", "Acme", [])
    assert changed["etag"] != made["etag"] and "emailAddresses" not in changed
    touched = control.call("PATCH", f"{CONTACT}/{made['id']}", {}).json()
    assert touched["etag"] != changed["etag"] and touched["labels"] == ["Friends"]
    assert control.call("DELETE", f"{CONTACT}/{made['id']}").json() == {"deleted": made["id"]}
    assert control.call("GET", f"{CONTACT}/{made['id']}").status_code == 404 and wire.list().json() == {}


@pytest.mark.parametrize(
    ("body", "says"),
    [
        ({}, "mailbox"), ({"mailbox": "x@y.example"}, "mailbox"), ({"mailbox": GINA, "labels": "x"}, "labels"),
        ({"mailbox": GINA, "labels": [5]}, "labels"), ({"mailbox": GINA, "planet": 1}, "planet"), ({"mailbox": GINA, "emails": "x"},
        "emails"),
        ({"mailbox": GINA, "notes": 5}, "notes"), ({"mailbox": GINA, "names": [{"x": 1}]}, "Unknown name"),
        ({"mailbox": GINA, "names": [{}, {}]}, "singleton"), ({"mailbox": GINA, "memberships": []}, "memberships"),
    ],
)  # fmt: skip
def test_contacts_that_cannot_be(control, body, says):
    assert says in control.refused("POST", CONTACT, body)
    assert control.call("GET", CONTACT).json() == {"records": []}


def test_labels_by_hand(control, wire):
    made = control.call("POST", GROUP, {"mailbox": GINA, "name": "Salesforce Contacts"}).json()
    person = control.call("POST", CONTACT, {"mailbox": GINA, "givenName": "Bo", "labels": ["Salesforce Contacts"]}).json()
    assert control.call("GET", f"{GROUP}/{made['id']}").json()["memberCount"] == 1
    assert control.call("PATCH", f"{GROUP}/{made['id']}", {"name": "CRM"}).json()["name"] == "CRM"
    assert control.call("GET", f"{CONTACT}/{person['id']}").json()["labels"] == ["CRM"]
    assert "already" in control.refused("POST", GROUP, {"mailbox": GINA, "name": "CRM"})
    system = next(g for g in control.call("GET", GROUP).json()["records"] if g["name"] == "starred")
    assert "stay" in control.refused("PATCH", f"{GROUP}/{system['id']}", {"name": "x"})
    assert "stay" in control.refused("DELETE", f"{GROUP}/{system['id']}")
    control.call("DELETE", f"{GROUP}/{made['resourceName'].partition('/')[2]}")
    assert control.call("GET", f"{CONTACT}/{person['id']}").json()["labels"] == []
    assert wire.call("GET", f"/v1/{made['resourceName']}").status_code == 404


def test_mailboxes_appear_go_and_are_suspended(control, wire):
    made = control.call("POST", USER, {"email": "Ida@Example.test", "givenName": "Ida"}).json()
    assert control.call("GET", "/").json()["google"]["mailboxes"] == [GINA, HUGO, "ida@example.test"]
    control.call("POST", CONTACT, {"mailbox": "ida@example.test", "givenName": "Bo"})
    assert control.call("PATCH", f"{USER}/{GINA}", {"suspended": True}).json()["suspended"] is True
    given = control.call("GET", "/").json()["google"]
    assert given["mailboxes"] == [HUGO, "ida@example.test"] and given["access_token"] != wire.given["access_token"]
    assert wire.list().status_code == 401
    assert control.call("DELETE", f"{USER}/{made['id']}").status_code == 200
    assert control.call("GET", CONTACT).json() == {"records": []} and control.call("GET", f"{USER}/{made['id']}").status_code == 404
    assert "already" in control.refused("POST", USER, {"email": HUGO})
    assert "address" in control.refused("POST", USER, {"email": "x"})
    assert "suspended" in control.refused("POST", USER, {"email": "a@b.example", "suspended": "yes"})
    assert "stays" in control.refused("PATCH", f"{USER}/{HUGO}", {"email": "x@y.example"})
    control.call("POST", USER, {"email": "ida@example.test"})  # the address may be given again, to an empty mailbox
    assert len(control.call("GET", GROUP).json()["records"]) == 6


def test_a_mailbox_is_emptied(control, wire):
    for n in range(3):
        control.call("POST", CONTACT, {"mailbox": GINA, "givenName": f"P{n}", "labels": ["CRM"]})
    control.call("POST", CONTACT, {"mailbox": HUGO, "givenName": "Bo"})
    token = wire.list(requestSyncToken="true").json()["nextSyncToken"]

    assert control.call("POST", "/google/empty", {"mailbox": GINA}).json() == {"deleted": 3}

    assert wire.list().json() == {}
    people = wire.list(requestSyncToken="true", syncToken=token).json()["connections"]
    assert [p["metadata"] for p in people] == [{"deleted": True}] * 3
    assert len(control.call("GET", CONTACT).json()["records"]) == 1 and "mailbox" in control.refused("POST", "/google/empty", {})


def test_a_contact_gets_another_name_by_hand(control, wire):
    made = control.call("POST", CONTACT, {"mailbox": GINA, "givenName": "Bo"}).json()
    moved = control.call("POST", "/google/rename", {"contact": made["resourceName"]}).json()
    assert moved["id"] == made["id"] and moved["resourceName"] != made["resourceName"]
    assert "contact must be" in control.refused("POST", "/google/rename", {"contact": "people/c1"})


@pytest.mark.parametrize(
    "given",
    [
        {"delegated_scopes": "planets"}, {"token_seconds": 0}, {"disabled_services": ["maps"]}, {"quota_status": 500},
        {"quota_status": True}, {"sync_delay_seconds": -1}, {"parallel_mutations": 400}, {"batch_delete_missing": "maybe"},
        {"has_directory": 1}, {"nonsense": 1},
        {"full_syncs_per_minute": "x"}, {"sync_token_days": None},
    ],
)  # fmt: skip
def test_switches_that_cannot_be(control, given):
    before = control.call("GET", "/switches").json()
    bad = {"outreach": {"unique_custom_id": True}, "google": given}
    assert control.refused("POST", "/switches", bad)
    assert control.call("GET", "/switches").json() == before
    after = control.call("POST", "/switches", {"google": {"sync_delay_seconds": 5}}).json()
    assert after["google"] == {**before["google"], "sync_delay_seconds": 5}


# --- quotas and faults --------------------------------------------------------------------------------------------------
def test_quotas_of_reads_and_writes(google):
    google.system.quotas.limits.update(reads_per_minute=3, writes_per_minute=2)
    person = google.create()
    for _ in range(2):
        assert google.get(LIST, personFields="names").status_code == 200
    assert google.update(person, "nicknames").status_code == 200  # an update counts as a read as well

    error = refused(google.get(LIST, personFields="names"), 429, "RESOURCE_EXHAUSTED", "RATE_LIMIT_EXCEEDED")
    assert error["details"][0]["metadata"]["quota_metric"] == "people.googleapis.com/critical_read_requests"
    answer = google.call("POST", "/v1/people:createContact", json={})
    assert "write" in refused(answer, 429, "RESOURCE_EXHAUSTED")["details"][0]["metadata"]["quota_metric"]
    assert google.get(LIST, mailbox=HUGO, personFields="names").status_code == 200
    google.system.set_switches({"quota_status": 403})
    body = google.get(LIST, personFields="names")
    assert body.status_code == 403 and body.json()["error"]["errors"][0]["reason"] == "rateLimitExceeded"
    assert body.json()["error"]["errors"][0]["domain"] == "usageLimits"
    google.clock.forward(60)
    assert google.get(LIST, personFields="names").status_code == 200


def test_a_batch_may_cost_as_much_as_its_people(google):
    google.system.quotas.limits.update(writes_per_minute=3)
    google.system.set_switches({"batch_counts_each": True})
    body = {"contacts": [{"contactPerson": {}}] * 4, "readMask": "metadata"}
    refused(google.call("POST", "/v1/people:batchCreateContacts", json=body), 429)
    google.good("POST", "/v1/people:batchCreateContacts", json={**body, "contacts": body["contacts"][:3]})


def test_limits_on_the_control_port(control, wire):
    limits = {"reads_per_minute": 1, "writes_per_minute": 0}
    assert control.call("POST", "/limits", {"google": limits}).json()["google"] == limits
    assert [wire.list().status_code for _ in range(2)] == [200, 429] and wire.create().status_code == 429
    assert "reads_per_minute" in control.refused("POST", "/limits", {"google": {"reads_per_minute": -1}})
    assert "per_hour" in control.refused("POST", "/limits", {"google": {"per_hour": 1}})
    control.call("POST", "/limits", {"google": {"reads_per_minute": None}})
    assert wire.list().status_code == 200 and wire.create().status_code == 429


def test_a_service_that_is_not_switched_on(google):
    google.system.set_switches({"disabled_services": ["people"]})
    error = refused(google.get(LIST, personFields="names"), 403, "PERMISSION_DENIED", "SERVICE_DISABLED")
    assert error["errors"][0]["reason"] == "accessNotConfigured"


@pytest.mark.parametrize(
    ("fault", "shape", "word"),
    [
        ({"status": 429}, "newer", "RATE_LIMIT_EXCEEDED"),
        ({"status": 429, "code": "rateLimitExceeded"}, "older", "rateLimitExceeded"),
        ({"status": 403, "code": "userRateLimitExceeded"}, "older", "userRateLimitExceeded"),
        ({"status": 403, "code": "ACCESS_TOKEN_SCOPE_INSUFFICIENT"}, "newer", "ACCESS_TOKEN_SCOPE_INSUFFICIENT"),
        ({"status": 403, "code": "SERVICE_DISABLED"}, "newer", "SERVICE_DISABLED"),
        ({"status": 401}, "newer", ""),
        ({"status": 401, "code": "authError"}, "older", "authError"),
        ({"status": 400, "code": "EXPIRED_SYNC_TOKEN"}, "newer", "EXPIRED_SYNC_TOKEN"),
        ({"status": 400, "code": "FAILED_PRECONDITION"}, "newer", ""),
        ({"status": 410, "code": "fullSyncRequired"}, "older", "fullSyncRequired"),
        ({"status": 503}, "newer", ""),
        ({"status": 503, "code": "backendError"}, "older", "backendError"),
    ],
)
def test_status_faults_in_both_shapes(control, wire, fault, shape, word):
    path = "/v1/people/me/connections"
    control.call("POST", "/faults", {"kind": "status", "system": "google", "path": path, "times": 1, "retry_after": 7, **fault})

    answer = wire.list()

    error = answer.json()["error"]
    assert answer.status_code == error["code"] == fault["status"] and answer.headers["Retry-After"] == "7"
    assert ("status" in error) == (shape == "newer")
    if word:
        assert (error["details"] if shape == "newer" else error["errors"])[0]["reason"] == word
    elif fault.get("code"):
        assert error["status"] == fault["code"]
    assert wire.list().status_code == 200


def test_faults_of_the_token_endpoint_and_gateways(control, wire):
    control.call("POST", "/faults", {"kind": "status", "system": "google", "path": "/token", "status": 503, "times": 1})
    answer = wire.session.post(wire.given["base_url"] + "/token", timeout=20)
    assert answer.status_code == 503 and set(answer.json()) == {"error", "error_description"}
    control.call("POST", "/faults", {"kind": "status", "system": "google", "status": 502, "times": 1})
    assert "text/html" in wire.list().headers["Content-Type"]


@pytest.mark.parametrize("kind", ["drop", "lost_answer", "truncate", "html", "redirect", "expire_token", "slow"])
def test_the_other_faults_strike(control, wire, kind):
    control.call("POST", "/faults", {"kind": kind, "system": "google", "method": "POST", "path": "/v1/people:createContact", "times": 1})
    try:
        answer = wire.session.post(
            wire.given["base_url"] + "/v1/people:createContact",
            headers={"Authorization": f"Bearer {wire.given['access_token']}"},
            json={"names": [{"givenName": "Bo"}]},
            allow_redirects=False,
            timeout=20,
        )
        said = answer.status_code
    except requests.exceptions.ConnectionError:
        said = 0
    made = len(control.call("GET", CONTACT).json()["records"])
    expected = {
        "drop": (0, 0),
        "lost_answer": (0, 1),
        "truncate": (200, 1),
        "html": (200, 1),
        "redirect": (307, 0),
        "expire_token": (401, 0),
    }
    assert (said, made) == expected.get(kind, (200, 1))
    if kind == "expire_token":
        calls = control.call("GET", "/calls").json()["calls"]
        assert calls[-1]["user"] == GINA and calls[-1]["status"] == 401


@pytest.mark.parametrize(
    "path",
    [
        "/token", "/revoke", "/o/oauth2/v2/auth", LIST, "/v1/people/me", "/v1/people/c7001", "/v1/people/{id}",
        "/v1/people/{id}:updateContact", "/v1/people/c7001:deleteContact", "/v1/people:batchGet", "/v1/contactGroups",
        "/v1/contactGroups/5a/members:modify",
    ],
)  # fmt: skip
def test_faults_take_every_form_of_a_path(control, path):
    assert control.call("POST", "/faults", {"kind": "drop", "system": "google", "path": path}).status_code == 200
    assert "no call has the path" in control.refused("POST", "/faults", {"kind": "drop", "system": "google", "path": "/v1/planets"})


# --- the call log -------------------------------------------------------------------------------------------------------
def test_the_log_names_user_resources_and_fields(google):
    label, first, second = google.label(), google.create("Ann"), google.create("Ben")
    a, b = first["resourceName"], second["resourceName"]
    google.world.forget_calls()
    google.get(LIST, personFields="memberships,metadata,clientData")
    google.get("/v1/people:batchGet", resourceNames=[a, b], personFields="names")
    google.modify(label, [a], [b])
    google.update(first, "names,nicknames")
    google.good(
        "POST", "/v1/people:batchUpdateContacts", json={"contacts": {b: {"etag": "x"}}, "updateMask": "names", "readMask": "metadata"}
    )
    google.good("POST", "/v1/people:batchDeleteContacts", json={"resourceNames": [a]})
    new = google.create("Cy", mailbox=HUGO)

    calls = list(google.world.calls)
    told = [(c["resource_names"], c["person_fields"], c["update_fields"]) for c in calls]
    assert told[0] == (["people/me"], "memberships,metadata,clientData", "")
    assert told[1] == ([a, b], "names", "")
    assert told[2] == ([f"{label['resourceName']}", a, b], "", "")
    assert told[3][0] == [a] and told[3][2] == "names,nicknames"
    assert told[4] == ([b], "metadata", "names") and told[5] == ([a], "", "")
    assert told[6][0] == [new["resourceName"]] and [c["user"] for c in calls] == [GINA] * 6 + [HUGO]
    assert {c["method"] for c in calls} == {"GET", "POST", "PATCH"} and calls[3]["path"] == f"/v1/{a}:updateContact"


def test_the_log_holds_no_tokens(control, wire):
    wire.list(access_token="secret-token")
    wire.session.post(
        wire.given["base_url"] + "/token", data={"refresh_token": wire.given["refresh_token"], "client_secret": "s3"}, timeout=20
    )
    text = control.call("GET", "/calls").text
    assert "secret-token" not in text and wire.given["refresh_token"] not in text and "s3" not in text
    assert wire.given["access_token"] not in text


# --- pages --------------------------------------------------------------------------------------------------------------
def test_pages_list_and_edit_records(control):
    made = control.call("POST", CONTACT, {"mailbox": GINA, "givenName": "Bo", "emails": ["b@x.example"], "labels": ["CRM"]}).json()
    base = control.world.control_url

    listed = control.session.get(f"{base}/browse/google", timeout=20)
    assert listed.url.endswith("/browse/google/contact") and "Bo" in listed.text and "CRM" in listed.text
    page = f"{base}/browse/google/contact/{made['id']}"
    saved = control.session.post(page, data={"jobTitle": "CTO", "labels": "CRM, Friends", "emails": "", "mailbox": "x"}, timeout=20)
    assert "Saved." in saved.text or "stays in its mailbox" in saved.text
    saved = control.session.post(page, data={"jobTitle": "CTO", "labels": "CRM, Friends", "emails": ""}, timeout=20)
    assert "Saved." in saved.text
    row = control.call("GET", f"{CONTACT}/{made['id']}").json()
    assert (row["jobTitle"], row["labels"], row["emails"], row["givenName"]) == ("CTO", ["CRM", "Friends"], [], "Bo")
    assert 'name="resourceName"' not in saved.text
    user = control.session.post(f"{base}/browse/google/user/{HUGO}", data={"suspended": "yes"}, timeout=20)
    assert "Saved." in user.text and control.call("GET", "/").json()["google"]["mailboxes"] == [GINA]
    for name in ("contactGroup", "user"):
        assert control.session.get(f"{base}/browse/google/{name}", timeout=20).status_code == 200
    assert "Google" in control.session.get(base + "/", headers={"Accept": "text/html"}, timeout=20).text


# --- scenarios, and what is kept ----------------------------------------------------------------------------------------
def test_scenarios():
    empty, demo = World(scenario="empty"), World(scenario="demo")
    assert empty.google.count("contact") == 0 and empty.google.store.mailboxes() == demo.google.store.mailboxes() == [GINA, HUGO]
    assert len(demo.google.list_records("contact")) == 10
    assert {(row["mailbox"], tuple(row["labels"])) for row in demo.google.list_records("contact")} == {(GINA, ())}


def test_a_restart_keeps_people_labels_and_tokens(tmp_path):
    path = tmp_path / "state.sqlite3"
    before = World(scenario="demo", state_path=path)
    system = before.google
    given = system.credentials()
    made = system.create_record("contact", {"mailbox": GINA, "givenName": "Bo", "labels": ["CRM"]})
    system.by_hand.rename({"contact": made["resourceName"]})
    system.delete_record("contact", system.list_records("contact")[0]["id"])
    system.update_record("user", system.find_id("user", GINA), {"familyName": "Other"})
    system.set_switches({"sync_token_days": 5})
    system.quotas.limits["reads_per_minute"] = 9
    before.keep()

    after = World(scenario="empty", state_path=path)

    assert after.google.dump() == system.dump() and after.google.credentials() == given
    assert after.google.find_id("contact", made["resourceName"]) == made["id"]
    again = after.google.create_record("contact", {"mailbox": GINA, "givenName": "Cy", "labels": ["CRM"]})
    assert again["id"] not in {row["id"] for row in system.list_records("contact")} and again["labels"] == ["CRM"]
    after.google.delete_record("user", after.google.find_id("user", GINA))
    after.keep()
    assert World(state_path=path).google.count("contact") == 0


def test_sync_tokens_and_deletions_outlive_a_restart(google, tmp_path):
    google.world = World(scenario="empty", state_path=tmp_path / "s", now=google.clock)
    google.session.mount("http://", type(google.session.get_adapter("http://"))(google.world))
    google.system = google.world.google
    person, kept = google.create("Gone"), google.create("Kept")
    _, token = google.sync()
    google.delete(person)
    google.system = (again := World(state_path=tmp_path / "s", now=google.clock)).google
    google.session.mount("http://", type(google.session.get_adapter("http://"))(again))

    people = google.sync(token)[0]

    assert [p["resourceName"] for p in people] == [person["resourceName"]] and people[0]["metadata"]["deleted"]
    assert google.update(kept, "nicknames").status_code == 200


def test_a_state_of_before_google_gets_its_mailboxes(tmp_path):
    path = tmp_path / "state.sqlite3"
    World(scenario="empty", state_path=path)
    with closing(sqlite3.connect(path)) as db, db:
        db.execute("DELETE FROM rows WHERE system = 'google'")
        db.execute("DELETE FROM state WHERE key = 'meta:google'")
    assert World(state_path=path).google.store.mailboxes() == [GINA, HUGO]


# --- mutations at once --------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(("status", "rpc"), [(409, "ABORTED"), (503, "UNAVAILABLE"), (None, "")])
def test_mutations_of_one_user_at_once_are_refused_where_a_switch_asks_for_it(control, wire, status, rpc):
    control.call("POST", "/switches", {"google": {"parallel_mutations": status}})
    control.call("POST", "/faults", {"kind": "pause", "system": "google", "method": "POST", "times": 1})
    first: list[int] = []
    thread = threading.Thread(target=lambda: first.append(wire.create(names=[{"givenName": "Ann"}]).status_code))
    thread.start()
    for _ in range(400):
        if control.call("GET", CONTACT).json()["records"]:
            break
        time.sleep(0.01)

    with requests.Session() as other:
        other.trust_env = False
        headers = {"Authorization": f"Bearer {wire.given['access_token']}"}
        url = wire.given["base_url"]
        second = other.post(url + "/v1/people:createContact", headers=headers, json={}, timeout=20)
        assert other.get(url + LIST, headers=headers, params={"personFields": "names"}, timeout=20).status_code == 200
    control.call("POST", "/faults/release")
    thread.join()

    assert second.status_code == (status or 200) and first == [200]
    assert not status or second.json()["error"]["status"] == rpc
    assert [wire.create().status_code for _ in range(2)] == [200, 200]  # one after the other


def test_a_refused_mutation_does_not_stay_in_flight(google):
    google.system.set_switches({"parallel_mutations": 409})
    for _ in range(3):
        refused(google.call("POST", "/v1/people:createContact", json={"x": 1}), 400)
    refused(google.call("POST", "/v1/people:createContact", token=google.token(GINA, f"{AUTH}contacts.readonly"), json={}), 403)
    google.create()
    assert json.dumps(google.system.switches()["parallel_mutations"]) == "409"

"""The control port: clock, limits, switches, faults that cannot be, loading, the call log, the pages, a kept state."""

import json
import re
from datetime import UTC, datetime, timedelta

import pytest

from connectors.sandbox.world import World


# --- clock, limits, switches ----------------------------------------------------------------------------------------------
def test_the_clock_stays_within_a_hundred_years_and_a_reset_sets_it_back(control, outreach):
    control.call("POST", "/clock", {"advance": 3e9})
    assert "clock" in control.refused("POST", "/clock", {"advance": 3e9})
    assert outreach.world.now() - datetime.now(UTC) > timedelta(days=30_000)

    control.call("POST", "/reset", {"scenario": "empty"})

    assert abs(outreach.world.now() - datetime.now(UTC)) < timedelta(minutes=1)


def test_a_limit_of_nothing_is_a_limit(control, outreach):
    control.call("POST", "/limits", {"outreach": {"per_hour": 0}})

    limited = outreach.get("/accounts")

    assert limited.status_code == 429
    assert (limited.headers["X-RateLimit-Limit"], limited.headers["X-RateLimit-Remaining"]) == ("0", "0")


def test_switches_are_set_by_name_and_the_others_stay(control, outreach):
    before = control.call("GET", "/switches").json()["outreach"]
    assert (before["unique_custom_id"], before["strict_content_type"], before["strict_rotation"]) == (False, True, False)

    after = control.call("POST", "/switches", {"outreach": {"unique_custom_id": True, "strict_rotation": True}}).json()["outreach"]

    assert after == {**before, "unique_custom_id": True, "strict_rotation": True}
    assert outreach.create("account", "/accounts", {"name": "A", "customId": "K"}).status_code == 201
    assert outreach.create("account", "/accounts", {"name": "A", "customId": "K"}).status_code == 422


@pytest.mark.parametrize(
    "body",
    [
        {"outreach": {"nonsense": True}},
        {"outreach": {"unique_custom_id": "yes", "strict_rotation": True}},
        {"outreach": {"scopes": "planets.read"}},
        {"workbooks": {}},
        {"outreach": 5},
    ],
)
def test_switches_that_do_not_exist_are_refused_and_nothing_is_set(control, body):
    assert control.refused("POST", "/switches", body)
    assert control.call("GET", "/switches").json()["outreach"]["strict_rotation"] is False


def test_a_state_file_keeps_switches_and_what_tokens_may_do(tmp_path):
    first = World(state_path=tmp_path / "state")
    first.outreach.set_switches({"one_mint_per_60s": True, "unique_custom_id": True, "scopes": "accounts.read"})
    token = first.outreach.credentials()["access_token"]
    first.keep()

    again = World(state_path=tmp_path / "state")

    assert again.outreach.switches() == first.outreach.switches()
    assert again.outreach.desk.scopes_of(f"Bearer {token}") == {"accounts.read"}


# --- faults ---------------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("fault", "says"),
    [
        ({"kind": "status", "status": 1e9}, "status"),
        ({"kind": "status", "status": 99}, "status"),
        ({"kind": "status", "status": 600}, "status"),
        ({"kind": "status", "status": 404.5}, "status"),
        ({"kind": "status", "status": True}, "status"),
        ({"kind": "latency", "ms": -1}, "ms"),
        ({"kind": "index_lag", "system": "outreach", "seconds": -1}, "seconds"),
        ({"kind": "clock_skew", "seconds": 3e11}, "seconds"),
        ({"kind": "page_too_large", "size": "many"}, "size"),
        ({"kind": "drop", "system": "planet"}, "no system"),
        ({"kind": "drop", "method": "FETCH"}, "method"),
        ({"kind": "drop", "times": -1}, "times"),
        ({"kind": "drop", "probability": True}, "probability"),
        ({"kind": "delay_redirect", "system": "outreach"}, "workbooks only"),
        ({"kind": "index_lag", "system": "workbooks", "seconds": 5}, "outreach only"),
        ({"kind": "page_too_large", "system": "workbooks", "size": 5}, "outreach only"),
        ({"kind": "drop", "path": "accounts"}, "accounts"),
        ({"kind": "drop", "path": "/api/v2/acounts"}, "acounts"),
        ({"kind": "drop", "system": "workbooks", "path": "/api/v2/accounts"}, "organisations"),
        ({"kind": "status", "status": 429, "retry_after": "a\r\nb"}, "retry_after"),
    ],
)
def test_faults_that_could_not_strike_are_refused_with_a_sentence(control, fault, says):
    assert says in control.refused("POST", "/faults", fault)
    assert control.call("GET", "/faults").json()["faults"] == []


@pytest.mark.parametrize(
    "path",
    ["*", "/api/v2/accounts", "/api/v2/accounts/7", "/api/v2/accounts/{id}", "/api/v2/tasks/3/actions/snooze", "/oauth/token"],
)
def test_faults_take_every_form_of_a_path(control, path):
    assert control.call("POST", "/faults", {"kind": "drop", "path": path}).status_code == 200


def test_faults_of_one_system_leave_the_other_alone(control, outreach, workbooks):
    control.call("POST", "/faults", {"kind": "migrating"})
    assert outreach.get("/accounts").status_code == 200
    assert workbooks.call("crm/organisations", "GET", []).status_code == 403


# --- the call log -----------------------------------------------------------------------------------------------------------
def asked(workbooks, **given):
    return workbooks.session.post(f"{workbooks.base}/crm/organisations.api", timeout=20, **given)


def test_the_method_counts_wherever_it_stands_and_the_key_is_never_shown(control, workbooks):
    key = workbooks.key
    asked(workbooks, data={"api_key": key, "client": "api", "_method": "GET", "_start": "0"})
    asked(workbooks, params={"_method": "GET", "api_key": key})
    asked(workbooks, json={"api_key": key, "_method": "GET", "_start": 0})

    log = control.call("GET", "/calls").json()

    assert log["counts"]["workbooks"] == {"GET /crm/organisations.api": 3}
    assert [call["method"] for call in log["calls"]] == ["GET"] * 3
    assert all(call["status"] == 200 and "_start=0" in call["query"] for call in log["calls"][::2])
    assert key not in json.dumps(log)


def test_a_fault_of_reads_finds_a_read_whatever_the_order_of_its_parameters(control, workbooks):
    control.call("POST", "/faults", {"kind": "status", "status": 500, "system": "workbooks", "method": "get"})
    assert asked(workbooks, data={"api_key": workbooks.key, "_method": "GET"}).status_code == 500
    assert asked(workbooks, data={"api_key": workbooks.key, "_method": "PUT"}).status_code == 406


# --- loading ----------------------------------------------------------------------------------------------------------------
def load(control, text):
    return control.call("POST", "/load", data=text.encode() if isinstance(text, str) else text)


def test_names_that_are_too_long_are_refused_row_by_row(control):
    report = load(control, f"name,industry\nFine,Food\n{'x' * 10_000},Food\n{'y' * 200_000},Food\nAlso fine,Food\n").json()

    assert report["taken"] == 2
    assert [row["line"] for row in report["refused"]] == [3, 4]
    assert all("too long" in row["reason"] for row in report["refused"])


def test_a_file_without_names_is_refused_and_told_which_columns_there_are(control):
    sentence = control.refused("POST", "/load", data="company,industry\nA,Food\n")
    assert "called name" in sentence and "industry" in sentence and "main_location[town]" in sentence
    assert "UTF-8" in control.refused("POST", "/load", data=b"name\n\xff\xfe\n")


# --- the pages --------------------------------------------------------------------------------------------------------------
def test_a_save_says_that_it_saved_and_a_refused_one_why_not(control):
    control.world.workbooks.create_record("organisations", {"name": "Acme"})
    page = f"{control.world.control_url}/browse/workbooks/organisations/1"

    saved = control.session.post(page, data={"name": "Acme Ltd"}, timeout=20)
    assert "Saved." in saved.text and "Acme Ltd" in saved.text
    assert "Saved." not in control.session.get(page, timeout=20).text

    refused = control.session.post(f"{page}?saved=1", data={"name": ""}, timeout=20)
    assert "Saved." not in refused.text and re.search("class=error[^>]*>name can&#x27;t be blank", refused.text)


def test_prospects_leads_and_contacts_are_edited_on_their_pages_also_what_was_never_set(control):
    world, root = control.world, f"{control.world.control_url}/browse"
    prospect = world.outreach.create_record("prospects", {"lastName": "Byrne", "emails": ["a@x.example"]})["id"]
    lead = world.salesforce.create_record("Lead", {"LastName": "Byrne", "Company": "Acme"})["Id"]

    page = control.session.get(f"{root}/outreach/prospects/{prospect}", timeout=20).text
    for link in ("/browse/outreach/prospects", "/browse/salesforce/Contact", "/browse/salesforce/Lead"):
        assert f'href="{link}"' in page.partition("</header>")[0]
    assert 'name="title"' in page and 'name="emails" value="a@x.example"' in page and 'name="name"' not in page

    filled = {"title": "CTO", "emails": "b@x.example, c@x.example", "emailOptedOut": "yes", "company": ""}
    assert "Saved." in control.session.post(f"{root}/outreach/prospects/{prospect}", data=filled, timeout=20).text
    control.session.post(f"{root}/salesforce/Lead/{lead}", data={"Title": "Boss", "Phone": "1"}, timeout=20)

    now = world.outreach.get_record("prospects", prospect)
    assert (now["title"], now["emails"], now["emailOptedOut"]) == ("CTO", ["b@x.example", "c@x.example"], True) and not now.get("company")
    assert (world.salesforce.get_record("Lead", lead)["Title"], world.salesforce.get_record("Lead", lead)["Phone"]) == ("Boss", "1")


def test_a_person_makes_and_deletes_records_on_the_pages(control):
    """What the walks of the README do by hand: a contact in a mailbox, and one in Salesforce."""
    base = control.world.control_url
    control.world.reset("demo")
    given = {"mailbox": "ann@example.test", "folder": "Contacts", "surname": "Berg", "emails": "ida@berg.example"}
    assert "/browse/microsoft/contact/new" in control.session.get(f"{base}/browse/microsoft/contact", timeout=20).text

    made = control.session.post(f"{base}/browse/microsoft/contact/new", data=given, timeout=20)
    wrong = control.session.post(f"{base}/browse/microsoft/contact/new", data={**given, "folder": "Nowhere"}, timeout=20)
    lead = control.session.post(f"{base}/browse/salesforce/Lead/new", data={"LastName": "Moss", "Company": "Acme"}, timeout=20)

    assert "Saved." in made.text and "Berg" in made.text and "has no folder" in wrong.text and "Moss" in lead.text
    place = made.url.partition("?")[0]
    gone = control.session.post(place, data={"delete": "1"}, timeout=20)
    assert gone.url == f"{base}/browse/microsoft/contact" and "Deleted Items<td>Berg" in gone.text
    assert control.session.get(f"{base}/browse/workbooks/organisations/new", timeout=20).status_code == 404


def test_what_was_done_in_outreach_is_made_and_edited_by_hand(control):
    world, base = control.world, control.world.control_url
    world.outreach.create_record("prospects", {"lastName": "Byrne", "emails": ["b@x.example"]})
    post = control.session.post

    made = post(
        f"{base}/browse/outreach/calls/new", data={"direction": "outbound", "outcome": "Answered", "prospect": "1", "user": "2"}, timeout=20
    )
    wrong = post(f"{base}/browse/outreach/calls/new", data={"direction": "outbound", "prospect": "99"}, timeout=20)
    post(f"{base}/browse/outreach/tasks/new", data={"action": "call", "prospect": "1"}, timeout=20)
    post(f"{base}/browse/outreach/tasks/1", data={"state": "complete", "owner": "1"}, timeout=20)

    assert made.url.startswith(f"{base}/browse/outreach/calls/1") and "Prospect must exist." in wrong.text
    call, task = world.outreach.get_record("calls", 1), world.outreach.get_record("tasks", 1)
    assert (call["prospect"], call["user"]) == (1, 2)
    assert (task["state"], task["completed"], task["owner"]) == ("complete", True, 1) and task["completedAt"] == task["updatedAt"]
    for place in ("tasks", "mailings", "calls"):
        assert control.session.get(f"{base}/browse/outreach/{place}", timeout=20).status_code == 200

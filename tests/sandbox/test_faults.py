"""What faults answer and when they strike: in the system's own words, with the headers that every answer carries."""

import time
from datetime import datetime

import pytest


def limits_of(answer):
    return {name: int(answer.headers[f"X-RateLimit-{name}"]) for name in ("Limit", "Remaining", "Reset")}


# --- Outreach's answers -----------------------------------------------------------------------------------------------
@pytest.mark.parametrize("status", [400, 401, 403, 404, 422, 429, 500, 502, 503])
def test_every_answer_of_outreach_carries_its_limits(outreach, status):
    outreach.world.faults.add({"kind": "status", "status": status, "system": "outreach", "times": 1})

    answer = outreach.get("/accounts")

    assert answer.status_code == status
    assert limits_of(answer)["Limit"] == 10_000 and limits_of(answer)["Reset"] > time.time()


def test_a_401_of_a_fault_is_that_of_a_bad_token(outreach):
    outreach.world.faults.add({"kind": "status", "status": 401, "system": "outreach", "times": 1})
    asked_for = outreach.get("/accounts")
    outreach.world.outreach.expire_tokens()
    own = outreach.get("/accounts")

    assert asked_for.json() == own.json()
    assert own.json() == {"error": "Invalid JWT token.", "description": "The JWT token could not be decoded."}
    assert limits_of(own)["Limit"] == 10_000


def test_a_429_says_when_to_come_again_with_and_without_a_wait(outreach):
    add = outreach.world.faults.add
    add({"kind": "status", "status": 429, "system": "outreach", "times": 1})
    plain = outreach.get("/accounts")
    assert plain.headers["Retry-After"] == plain.headers["X-RateLimit-Reset"]
    assert limits_of(plain)["Remaining"] == 0

    add({"kind": "status", "status": 429, "system": "outreach", "retry_after": 7, "times": 1})
    waiting = outreach.get("/accounts")
    assert waiting.headers["Retry-After"] == "7" and abs(limits_of(waiting)["Reset"] - time.time() - 7) < 3
    (error,) = waiting.json()["errors"]
    assert error["id"] == "rateLimitExceeded" and "10000" in error["detail"]
    assert datetime.fromisoformat(error["detail"].split()[-1].rstrip(".")).timestamp() == limits_of(waiting)["Reset"]


def test_a_502_is_the_gateways_page(outreach):
    outreach.world.faults.add({"kind": "status", "status": 502, "system": "outreach", "times": 1})
    answer = outreach.get("/accounts")
    assert answer.headers["Content-Type"] == "text/html" and "502 Bad Gateway" in answer.text


@pytest.mark.parametrize("status", [204, 304])
def test_statuses_without_a_body_leave_the_connection_in_step(outreach, status):
    outreach.world.faults.add({"kind": "status", "status": status, "system": "outreach", "times": 1})
    assert [outreach.get("/accounts").status_code for _ in range(2)] == [status, 200]


# --- Workbooks' answers -----------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("status", "key"), [(401, "failure_reason"), (403, "failure_message"), (404, "errors"), (406, "errors"), (500, "exception")]
)
def test_workbooks_answers_faults_in_its_own_form(workbooks, status, key):
    workbooks.world.faults.add({"kind": "status", "status": status, "system": "workbooks", "times": 1})
    answer = workbooks.call("crm/organisations", "GET", [])
    assert (answer.status_code, answer.json()["success"]) == (status, False) and answer.json()[key]


# --- where they strike ------------------------------------------------------------------------------------------------
def test_large_pages_are_lists_of_outreach_and_nothing_else(outreach, workbooks):
    outreach.world.faults.add({"kind": "page_too_large", "size": 10})

    assert outreach.create("account", "/accounts", {"name": "A"}).status_code == 201
    assert outreach.get("/accounts/1").status_code == 200
    assert workbooks.call("crm/organisations", "GET", []).status_code == 200
    assert outreach.call("GET", "/accounts", params={"page[size]": "abc"}).status_code == 400
    assert outreach.call("GET", "/accounts", params={"page[size]": 10}).status_code == 200
    assert outreach.call("GET", "/accounts").status_code == 502
    assert outreach.call("GET", "/accounts", params={"page[limit]": 11}).status_code == 502


def test_a_lagging_index_finds_a_renamed_record_by_its_old_name(outreach):
    outreach.world.outreach.create_record("accounts", {"name": "Old", "updatedAt": "2026-01-01T00:00:00Z"})
    outreach.world.faults.add({"kind": "index_lag", "system": "outreach", "seconds": 60})
    for name in ("Middle", "New"):
        outreach.change("account", "/accounts", 1, {"name": name})

    assert [outreach.listed("/accounts", {"filter[name]": name}) for name in ("Old", "Middle", "New")] == [[1], [], []]
    assert outreach.get("/accounts/1").json()["data"]["attributes"]["name"] == "New"

    outreach.world.advance(61)

    assert [outreach.listed("/accounts", {"filter[name]": name}) for name in ("Old", "Middle", "New")] == [[], [], [1]]


def test_a_lagging_index_delays_edits_of_users_too_and_catches_up_when_it_is_over(outreach, control):
    outreach.world.outreach.create_record("accounts", {"name": "Old", "updatedAt": "2026-01-01T00:00:00Z"})
    control.call("POST", "/faults", {"kind": "index_lag", "seconds": 60})
    control.call("PATCH", "/records/outreach/accounts/1", {"name": "New"})
    assert outreach.listed("/accounts", {"newFilterSyntax": "true", "filter[name][]": "New"}) == []

    control.call("DELETE", "/faults")

    assert outreach.listed("/accounts", {"filter[name]": "New"}) == [1]

"""Input that no client should send: every call is answered in the system's own form, and what is stored stays readable."""

import base64
import json
import socket
from urllib.parse import urlsplit

import pytest

from connectors.sandbox.workbooks.codec import read_datetime, show_datetime

DEEP = "[" * 100_000
DIGITS = "9" * 4400


def cursor(*values):
    return base64.urlsafe_b64encode(json.dumps(values).encode()).decode()


# --- Outreach -----------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    "params",
    [
        {"filter[buyerIntentScore]": "a..b"},
        {"filter[name]": "A..B Ltd"},
        {"newFilterSyntax": "true", "filter[buyerIntentScore][gte]": "nan"},
        {"filter[updatedAt]": "0001-01-01T00:00:00+14:00..inf"},
        {"filter[name][x][y]": "z"},
        {"filter[name": "z"},
        {"page[after]": "NQ=="},
        {"page[after]": "WyJ4Il0="},
        {"page[after]": cursor()},
        {"page[after]": cursor("x", "y")},
        {"page[after]": base64.urlsafe_b64encode(DEEP[:4000].encode()).decode()},
        {"page[before]": "abc"},
        {"page[after]": cursor(1, 1), "page[before]": cursor(1, 1)},
        {"sort": "updatedAt", "page[after]": cursor(5, 1)},
        {"page[size]": "\u00b2"},
        {"page[size]": DIGITS},
        {"fields[acount]": "name"},
        {"include": "owner.owner"},
    ],
)
def test_outreach_answers_400_to_queries_that_make_no_sense(outreach, params):
    answer = outreach.call("GET", "/accounts", params=params)

    assert answer.status_code == 400, answer.text
    assert answer.json()["errors"][0]["id"]
    assert outreach.get("/accounts").status_code == 200


@pytest.mark.parametrize("id_", [DIGITS, "1" * 30])
def test_an_id_of_thousands_of_digits_names_no_record(outreach, id_):
    answer = outreach.get(f"/accounts/{id_}")

    assert (answer.status_code, answer.json()["errors"][0]["id"]) == (404, "resourceNotFound")
    assert outreach.listed("/accounts", {"filter[id]": "\u00b2"}) == []


@pytest.mark.parametrize(
    "body", [DEEP, '{"data":' * 100_000, "5", "null", '{"data":{"type":"account","attributes":{"name":"A","buyerIntentScore":1e400}}}']
)
def test_outreach_answers_400_to_bodies_that_are_no_document(outreach, body):
    url, headers = f"{outreach.base}/accounts", outreach.headers

    assert outreach.session.post(url, data=body, headers=headers, timeout=20).status_code == 400
    assert outreach.listed("/accounts", {}) == []


def test_the_token_endpoint_survives_a_deep_body(outreach):
    url = f"{outreach.world.base_urls['outreach']}/oauth/token"
    answer = outreach.session.post(url, data=DEEP, headers={"Content-Type": "application/json"}, timeout=20)
    assert answer.status_code == 401


def test_numbers_beyond_64_bits_are_refused(outreach):
    answer = outreach.create("account", "/accounts", {"name": "A", "numberOfEmployees": 2**63})
    assert (answer.status_code, answer.json()["errors"][0]["id"]) == (422, "validationError")


# --- Workbooks ----------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    "pairs",
    [
        [("_fm", "(" * 20_000), ("_ff[]", "id"), ("_ft[]", "eq"), ("_fc[]", "1")],
        [("_fm", "!" * 20_000 + "1"), ("_ff[]", "id"), ("_ft[]", "eq"), ("_fc[]", "1")],
        [("_fm", DIGITS), ("_ff[]", "id"), ("_ft[]", "eq"), ("_fc[]", "1")],
        [("_filter_json", DEEP)],
        [("_start", DIGITS)],
        [("_ff[]", "updated_at"), ("_ft[]", "ge"), ("_fc[]", "99999999999999")],
        [("_ff[]", "lock_version"), ("_ft[]", "ge"), ("_fc[]", DIGITS)],
    ],
)
def test_workbooks_answers_406_to_parameters_that_make_no_sense(workbooks, pairs):
    answer = workbooks.call("crm/organisations", "GET", pairs)

    assert answer.status_code == 406 and answer.json()["success"] is False
    assert workbooks.list([])["success"] is True


def test_workbooks_answers_406_to_a_deep_json_body(workbooks):
    url = f"{workbooks.base}/crm/organisations.api?api_key={workbooks.key}"
    answer = workbooks.session.put(url, data=DEEP, headers={"Content-Type": "application/json"}, timeout=20)
    assert answer.status_code == 406


@pytest.mark.parametrize("id_", ["\u00b2", DIGITS, "-1", "x"])
def test_a_row_whose_id_is_no_id_is_not_found(workbooks, id_):
    pairs = [("__method[]", "PUT"), ("id[]", id_), ("lock_version[]", 0), ("name[]", "A"), ("_per_object_transactions", "true")]
    assert workbooks.call("crm/organisations", "PUT", pairs).json()["affected_object_information"][0]["success"] is False


@pytest.mark.parametrize("text", ["253402300800", "99999999999999", "-62135596801", DIGITS, "0001-01-01T00:00:00+14:00", "x"])
def test_instants_outside_the_years_1_to_9999_are_none(text):
    assert read_datetime(text) is None


@pytest.mark.parametrize("epoch", [-62_135_596_800, 0, 253_402_300_799])
def test_what_can_be_shown_can_be_read(epoch):
    assert read_datetime(show_datetime(epoch)) == epoch


def test_a_refused_edit_stores_nothing(workbooks, control):
    control.call("POST", "/records/workbooks/organisations", {"name": "Acme"})

    for wrong in ("99999999999999", "x"):
        assert "updated_at" in control.refused("PATCH", "/records/workbooks/organisations/1", {"name": "B", "updated_at": wrong})

    assert workbooks.names() == ["Acme"]
    assert control.call("GET", "/records/workbooks/organisations/1").json()["lock_version"] == 0


# --- the control port ---------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/limits", {"outreach": 5}),
        ("/limits", {"outreach": None}),
        ("/limits", None),
        ("/limits", {"outreach": {"per_day": 5}}),
        ("/limits", {"outreach": {"per_hour": -1}}),
        ("/limits", {"outreach": {"per_hour": True}}),
        ("/clock", {"advance": 3e11}),
        ("/clock", {"advance": -3e11}),
        ("/reset", {"scenario": "nope"}),
        ("/reset", {"scenario": "bench:\u00b2"}),
        ("/reset", {"scenario": "bench:99999999999"}),
    ],
)
def test_control_calls_that_make_no_sense_are_answered_with_a_sentence_and_change_nothing(control, workbooks, path, body):
    control.world.workbooks.create_record("organisations", {"name": "Stays"})
    data = {"data": "null"} if body is None else {}

    assert control.refused("POST", path, body, **data)

    assert workbooks.names() == ["Stays"]
    assert control.world.outreach.per_hour is None


def test_a_deep_body_is_refused(control):
    assert "deep" in control.refused("POST", "/reset", data=DEEP)
    assert control.call("GET", f"/records/outreach/accounts/{DIGITS}").status_code == 404
    assert control.call("GET", "/records/outreach/accounts/%C2%B2").status_code == 404


def test_a_defect_of_the_sandbox_is_a_500_in_the_systems_form(world, workbooks, outreach, control, monkeypatch):
    def broken(*_arguments, **_options):
        raise RuntimeError("a defect")

    monkeypatch.setattr(world.workbooks, "_route", broken)
    monkeypatch.setattr(world.outreach, "_route", broken)
    monkeypatch.setattr(world, "release", broken)

    assert workbooks.call("crm/organisations", "GET", []).json()["exception"]
    refused = outreach.get("/accounts")
    assert (refused.status_code, refused.json()["errors"][0]["id"]) == (500, "internalServerError")
    assert control.call("POST", "/faults/release").status_code == 500
    monkeypatch.undo()


# --- the wire -----------------------------------------------------------------------------------------------------------
def raw(world, text):
    """Returns everything that comes back for the bytes of one connection."""
    parts = urlsplit(world.base_urls["outreach"])
    with socket.create_connection((parts.hostname, parts.port), timeout=10) as connection:
        connection.sendall(text)
        received = b""
        while piece := connection.recv(65536):
            received += piece
    return received


@pytest.mark.parametrize(
    "text",
    [
        b"NONSENSE\r\n\r\n",
        b"POST / HTTP/1.1\r\nContent-Length: -5\r\n\r\n",
        b"POST / HTTP/1.1\r\nContent-Length: \xb2\r\n\r\n",
        b"POST / HTTP/1.1\r\nContent-Length: 99999999999999999999\r\n\r\n",
        b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n-1\r\nabc",
        b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\nfffffffff\r\nabc",
        b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\nabc",
        b"GET / HTTP/1.1\r\n" + b"A: b\r\n" * 300 + b"\r\n",
    ],
)
def test_a_request_that_cannot_be_read_is_answered_400(world, text):
    answer = raw(world, text)

    assert answer.startswith(b"HTTP/1.1 400 ") and b"Connection: close" in answer


def test_a_chunked_body_with_trailers_leaves_the_connection_in_step(world):
    request = b"POST /oauth/token HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n3\r\na=b\r\n0\r\nX: y\r\n\r\n"
    last = b"GET /nowhere HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"

    answer = raw(world, request + last)

    assert answer.startswith(b"HTTP/1.1 401") and b"HTTP/1.1 404" in answer


def test_a_head_request_is_answered_without_a_body(world):
    close = b"GET /nowhere HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
    answer = raw(world, b"HEAD /nowhere HTTP/1.1\r\nHost: x\r\n\r\n" + close)
    assert [part[:12] for part in answer.split(b"HTTP/1.1 ")] == [b"", b"404 Not Foun", b"404 Not Foun"]
    assert answer.count(b"routeNotFound") == 2  # id and title of one body


def test_a_redirect_address_cannot_smuggle_header_lines(outreach):
    desk = outreach.world.outreach.desk
    data = {"client_id": desk.client_id, "redirect_uri": "http://127.0.0.1/\r\nSet-Cookie: a=b"}
    url = f"{outreach.world.base_urls['outreach']}/oauth/authorize"
    answer = outreach.session.post(url, data=data, timeout=20, allow_redirects=False)
    assert answer.status_code == 302 and answer.headers["Location"].startswith("http://127.0.0.1/ Set-Cookie")
    assert "Set-Cookie" not in answer.headers

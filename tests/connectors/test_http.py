"""What a failure means: for reads they are repeated, for writes they say whether something may have happened."""

import time
from datetime import UTC, datetime

import pytest

from connectors.errors import NeedsAttention, OutcomeUnknown, RateLimited, Rejected, ServerTrouble, Unreachable
from connectors.http import HttpClient, parse_wait
from connectors.sandbox.server import SandboxServer
from connectors.sandbox.world import World
from tests.connectors.wire import Said, Script

PATH = "/api/v2/accounts"


@pytest.fixture
def server():
    world = World(scenario="empty")
    server = SandboxServer(world, 0).start()
    yield server
    server.stop()


def client(server, **options):
    return HttpClient("outreach", server.urls["outreach"], allow_loopback=True, sleep=lambda s: None, timeout=2, **options)


def ask(http, method, *, is_read):
    token = {"Authorization": "Bearer none"}
    return http.request(method, PATH, template=PATH, is_read=is_read, headers=token)


@pytest.mark.parametrize(
    ("fault", "error", "in_doubt"),
    [
        ({"kind": "status", "status": 500}, ServerTrouble, True),
        ({"kind": "status", "status": 502}, ServerTrouble, True),
        ({"kind": "status", "status": 503}, ServerTrouble, True),
        ({"kind": "status", "status": 503, "retry_after": 7}, RateLimited, False),
        ({"kind": "status", "status": 429, "retry_after": 7}, RateLimited, False),
        ({"kind": "lost_answer"}, OutcomeUnknown, True),
        ({"kind": "drop"}, OutcomeUnknown, True),
    ],
)
def test_a_failed_write_says_whether_it_may_have_happened_and_is_never_repeated(server, fault, error, in_doubt):
    server.world.faults.add({**fault, "system": "outreach"})
    http = client(server)

    with pytest.raises(error) as caught:
        ask(http, "POST", is_read=False)

    assert caught.value.may_have_happened is in_doubt
    assert http.counts.calls == 1


@pytest.mark.parametrize("fault", [{"kind": "status", "status": 502}, {"kind": "drop"}, {"kind": "lost_answer"}])
def test_a_failed_read_is_repeated_at_most_twice(server, fault):
    server.world.faults.add({**fault, "system": "outreach", "times": 2})
    http = client(server)

    assert ask(http, "GET", is_read=True).status == 401
    assert http.counts.calls == 3


def test_after_retry_after_no_request_goes_out_before_its_time(server):
    server.world.faults.add({"kind": "status", "status": 429, "retry_after": 30, "system": "outreach", "times": 1})
    http = client(server)
    for _ in range(3):
        with pytest.raises(RateLimited):
            ask(http, "GET", is_read=True)

    assert http.counts.calls == 1


def test_a_silent_server_is_a_time_out_in_doubt(server):
    server.world.faults.add({"kind": "latency", "ms": 15_000, "system": "outreach"})
    started = time.monotonic()

    with pytest.raises(OutcomeUnknown) as caught:
        HttpClient("outreach", server.urls["outreach"], allow_loopback=True, timeout=1).request("POST", PATH, template=PATH, is_read=False)

    assert caught.value.may_have_happened and time.monotonic() - started < 10


def test_a_refused_connection_was_certainly_not_done():
    with pytest.raises(Unreachable) as caught:
        HttpClient("outreach", "http://127.0.0.1:9", allow_loopback=True, sleep=lambda s: None).request(
            "POST", PATH, template=PATH, is_read=False
        )

    assert not caught.value.may_have_happened


@pytest.mark.parametrize(
    "address",
    [
        "http://api.outreach.io",
        "https://10.0.0.8",
        "https://127.0.0.1",
        "http://127.0.0.1:8902",
        "ftp://x",
        "https://",
        "https://127.1",
        "https://2130706433",
        "https://0x7f.1",
        "https://0177.0.0.1",
        "https://localhost",
        "https://localhost.",
        "https://LOCALHOST",
        "https://app.localhost",
        "https://user:hunter2@api.outreach.io",
        "https://[",
        "https://[::1]",
        "https://[::ffff:10.0.0.8]",
        "https://169.254.169.254",
        "https://api.outreach.io:99999",
        "https://api.outreach.io\\@evil.example",
        "https://api.outreach.io/?a=b",
        "https://api.outreach.io/#a",
        "https://api outreach.io",
        "https://\uff11\uff12\uff17.0.0.1",
    ],
)
def test_addresses_that_a_connection_must_not_have_are_refused(address):
    with pytest.raises(NeedsAttention) as caught:
        HttpClient("outreach", address)

    assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize(
    "address", ["https://api.outreach.io", "https://api.outreach.io:443/", "https://8.8.8.8", "https://crm.example/wb"]
)
def test_addresses_of_the_public_internet_are_taken(address):
    HttpClient("outreach", address).close()


def test_private_addresses_are_taken_only_where_the_connection_says_so():
    HttpClient("outreach", "https://10.0.0.8", allow_private=True).close()

    for address in ("https://127.0.0.1", "https://169.254.169.254", "http://10.0.0.8"):
        with pytest.raises(NeedsAttention):
            HttpClient("outreach", address, allow_private=True)


def test_a_link_to_another_host_is_not_followed(server):
    with pytest.raises(NeedsAttention):
        client(server).request("GET", "http://127.0.0.1:1/steal", template="/", is_read=True)


def scripted(*answers, **options):
    script = Script(*answers)
    http = HttpClient("outreach", "https://api.outreach.example", adapter=script, **{"sleep": lambda s: None, **options})
    return http, script


@pytest.mark.parametrize(
    "link",
    [
        "http://api.outreach.example/api/v2/accounts",
        "https://api.outreach.example:444/a",
        "https://user:pw@api.outreach.example/a",
        "https://api.outreach.example.evil.example/a",
        "https://[/a",
        ".evil.example/a",
        "@evil.example/a",
    ],
)
def test_a_link_must_have_our_scheme_host_and_port(link):
    http, script = scripted(Said())

    with pytest.raises(NeedsAttention):
        http.request("GET", link, template="/", is_read=True)

    assert not script.requests


def test_a_link_that_spells_our_host_otherwise_is_followed():
    http, script = scripted(Said())

    http.request("GET", "https://API.outreach.example:443/a?page[after]=b", template="/", is_read=True)

    assert len(script.requests) == 1


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_a_read_that_is_redirected_keeps_its_headers(status):
    http, script = scripted(Said(status, headers={"Location": "/delay/1"}), Said(200, {"data": []}))

    answer = http.request("GET", PATH, template=PATH, is_read=True, headers={"Authorization": "Bearer abcdef", "Accept": "text/x"})

    assert answer.data == {"data": []} and not answer.was_redirected and http.counts.calls == 2
    assert script.requests[1].headers["Authorization"] == "Bearer abcdef" and script.requests[1].headers["Accept"] == "text/x"


def test_a_write_that_a_redirect_made_a_read_says_so():
    http, script = scripted(Said(302, headers={"Location": "/delay/1"}), Said(200, {"data": {}}))

    answer = http.request("PATCH", PATH, template=PATH, is_read=False, json_body={"a": 1}, headers={"Authorization": "Bearer abcdef"})

    assert answer.was_redirected
    assert script.requests[1].method == "GET" and script.requests[1].body is None
    assert script.requests[1].headers["Authorization"] == "Bearer abcdef" and "Content-Length" not in script.requests[1].headers


def test_a_write_keeps_its_body_where_the_redirect_says_so():
    http, script = scripted(Said(307, headers={"Location": "/again"}), Said(200, {"data": {}}))

    answer = http.request("POST", PATH, template=PATH, is_read=False, form=[("name", "Acme & Co")])

    assert not answer.was_redirected
    assert script.requests[1].method == "POST" and script.form(1) == script.form(0) == [("name", "Acme & Co")]


@pytest.mark.parametrize("target", ["https://evil.example/", "http://api.outreach.example/a", "https://[", "//evil.example/a"])
def test_a_redirect_elsewhere_is_not_followed_and_leaves_a_write_in_doubt(target):
    http, script = scripted(Said(302, headers={"Location": target}))

    with pytest.raises(OutcomeUnknown) as caught:
        http.request("POST", PATH, template=PATH, is_read=False, headers={"Authorization": "Bearer abcdef"})

    assert caught.value.may_have_happened and len(script.requests) == 1


def test_a_write_whose_redirected_read_is_put_off_stays_in_doubt():
    http, _ = scripted(Said(302, headers={"Location": "/delay/1"}), Said(429, headers={"Retry-After": "5"}))

    with pytest.raises(RateLimited) as caught:
        http.request("POST", PATH, template=PATH, is_read=False)

    assert caught.value.may_have_happened


@pytest.mark.parametrize("header", ["Retry-After", "X-RateLimit-Reset"])
@pytest.mark.parametrize("stated", ["1772442030", "1772442030000", "Mon, 02 Mar 2026 09:00:30 GMT", "2026-03-02T09:00:30Z"])
def test_instants_to_wait_for_are_measured_by_the_servers_own_clock(header, stated):
    ours = datetime(2026, 3, 2, 8, 0, tzinfo=UTC).timestamp()  # an hour behind the Date header
    http, _ = scripted(Said(429, headers={header: stated}), clock=lambda: ours)

    with pytest.raises(RateLimited) as caught:
        http.request("GET", PATH, template=PATH, is_read=True)

    assert caught.value.retry_after == 30


@pytest.mark.parametrize(
    "odd", ["1e400", "nan", "inf", "9" * 5000, "\u00b2", "Fri, 31 Dec 9999 23:59:59 -1200", "0001-01-01T00:00:00+14:00"]
)
def test_an_odd_header_does_not_break_an_answer_whose_write_is_done(odd):
    names = ("X-RateLimit-Limit", "X-RateLimit-Remaining", "X-RateLimit-Reset", "Date", "Retry-After")
    http, _ = scripted(Said(201, {"data": {"id": 1}}, dict.fromkeys(names, odd)))

    assert http.request("POST", PATH, template=PATH, is_read=False).data == {"data": {"id": 1}}


@pytest.mark.parametrize("token", ["secret\ntoken", "secret\u2026token", " secret"])
def test_a_token_that_no_header_can_hold_is_not_shown(token):
    http, script = scripted(Said())

    with pytest.raises(NeedsAttention) as caught:
        http.request("GET", PATH, template=PATH, is_read=True, headers={"Authorization": token})

    assert "secret" not in str(caught.value) and caught.value.__suppress_context__ and not script.requests


def test_a_value_that_json_cannot_hold_is_the_records_own_fault():
    http, script = scripted(Said())

    with pytest.raises(Rejected):
        http.request("POST", PATH, template=PATH, is_read=False, json_body={"amount": float("inf")})

    assert not script.requests


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("7", 7),
        ("1772442030", 30),
        ("Mon, 02 Mar 2026 09:00:30 GMT", 30),
        ("2026-03-02T09:00:30Z", 30),
        ("soon", None),
        ("", None),
        ("-5", 0),
        ("1772442030000", 30),
        ("nan", None),
        ("inf", None),
        ("-inf", None),
        ("1e400", None),
        ("99999999999999999999", None),
        ("999999999", None),
        ("9999-12-31T23:59:59Z", None),
        ("0001-01-01T00:00:00+14:00", 0),
    ],
)
def test_retry_after_is_read_in_all_its_forms(text, seconds):
    now = datetime(2026, 3, 2, 9, 0, tzinfo=UTC).timestamp()

    assert parse_wait(text, now=now) == seconds


def test_a_client_that_moves_sends_its_requests_to_the_new_address_only():
    script = Script(Said(200, {}))
    http = HttpClient("salesforce", "https://old.example/", adapter=script)

    http.move_to("https://new.example/")
    http.request("GET", "/x", template="/x", is_read=True)

    assert [r.url for r in script.requests] == ["https://new.example/x"] and http.base_url == "https://new.example"
    with pytest.raises(NeedsAttention, match="another host"):
        http.request("GET", "https://old.example/x", template="/x", is_read=True)
    with pytest.raises(NeedsAttention, match="plain http"):
        http.move_to("http://elsewhere.example")
    assert http.base_url == "https://new.example"


def test_a_client_on_hold_lets_nothing_out():
    script = Script(Said(200, {}))
    http = HttpClient("salesforce", "https://x.example", adapter=script, clock=lambda: 1000.0)

    http.hold(60)
    http.hold(5)  # the longer wait stands

    with pytest.raises(RateLimited) as caught:
        http.request("GET", "/x", template="/x", is_read=True)
    assert caught.value.retry_after == 60.0 and not script.requests

"""What a failure means: for reads they are repeated, for writes they say whether something may have happened."""

import time
from datetime import UTC, datetime

import pytest

from connectors.errors import NeedsAttention, OutcomeUnknown, RateLimited, ServerTrouble, Unreachable
from connectors.http import HttpClient, parse_wait
from connectors.sandbox.server import SandboxServer
from connectors.sandbox.world import World

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
    server.world.faults.add({"kind": "latency", "ms": 3000, "system": "outreach"})
    started = time.monotonic()

    with pytest.raises(OutcomeUnknown) as caught:
        HttpClient("outreach", server.urls["outreach"], allow_loopback=True, timeout=0.3).request(
            "POST", PATH, template=PATH, is_read=False
        )

    assert caught.value.may_have_happened and time.monotonic() - started < 2


def test_a_refused_connection_was_certainly_not_done():
    with pytest.raises(Unreachable) as caught:
        HttpClient("outreach", "http://127.0.0.1:9", allow_loopback=True, sleep=lambda s: None).request(
            "POST", PATH, template=PATH, is_read=False
        )

    assert not caught.value.may_have_happened


@pytest.mark.parametrize(
    "address", ["http://api.outreach.io", "https://10.0.0.8", "https://127.0.0.1", "http://127.0.0.1:8902", "ftp://x", "https://"]
)
def test_addresses_that_a_connection_must_not_have_are_refused(address):
    with pytest.raises(NeedsAttention):
        HttpClient("outreach", address)


def test_a_link_to_another_host_is_not_followed(server):
    with pytest.raises(NeedsAttention):
        client(server).request("GET", "http://127.0.0.1:1/steal", template="/", is_read=True)


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
    ],
)
def test_retry_after_is_read_in_all_its_forms(text, seconds):
    now = datetime(2026, 3, 2, 9, 0, tzinfo=UTC).timestamp()

    assert parse_wait(text, now=now) == seconds

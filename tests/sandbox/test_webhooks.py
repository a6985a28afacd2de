"""Webhooks of the played Outreach: what is delivered, signed how, and what is not tried again."""

import hashlib
import hmac
import json
import threading
import time
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest


class Listener:
    """A small server on this machine that keeps what it was sent."""

    def __init__(self, status=200):
        received = self.received = []

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self):
                body = self.rfile.read(int(self.headers["Content-Length"]))
                received.append((self.path, dict(self.headers), body))
                self.send_response(status)
                self.send_header("Location", "/elsewhere")
                self.end_headers()

            def log_message(self, *arguments):
                pass

        self.server = HTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}/hook"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def wait_for(self, count):
        ends = time.monotonic() + 10
        while len(self.received) < count and time.monotonic() < ends:
            time.sleep(0.02)
        return [json.loads(body) for _, _, body in self.received]


@pytest.fixture
def listener():
    listener = Listener()
    yield listener
    listener.server.shutdown()
    listener.server.server_close()


def subscribe(outreach, url, **values):
    return outreach.create("webhook", "/webhooks", {"url": url, "resource": "account", "action": "*", **values})


def test_a_change_is_delivered_signed_over_the_raw_body(outreach, listener):
    assert subscribe(outreach, listener.url, secret="s3cret", payloadVersion=2).status_code == 201
    id_ = outreach.create("account", "/accounts", {"name": "A", "industry": "Food"}).json()["data"]["id"]
    outreach.change("account", "/accounts", id_, {"industry": "Health"})
    outreach.call("DELETE", f"/accounts/{id_}")

    created, updated, destroyed = listener.wait_for(3)

    assert [e["meta"]["eventName"] for e in (created, updated, destroyed)] == ["account.created", "account.updated", "account.destroyed"]
    assert set(updated["data"]["attributes"]) == {"industry", "updatedAt"}
    assert updated["data"]["beforeUpdate"]["industry"] == "Food"
    assert destroyed["data"]["attributes"]["name"] == "A"
    path, headers, body = listener.received[1]
    assert path == "/hook"
    assert headers["Outreach-Webhook-Signature"] == hmac.new(b"s3cret", body, hashlib.sha256).hexdigest()


def test_edits_of_users_in_the_sandbox_are_delivered_too_and_other_resources_are_not(outreach, listener):
    subscribe(outreach, listener.url, action="updated")
    account = outreach.world.outreach.create_record("accounts", {"name": "A"})
    outreach.world.outreach.create_record("prospects", {"emails": ["a@x.example"]})
    outreach.world.outreach.update_record("accounts", account["id"], {"name": "B"})
    outreach.world.keep()

    (event,) = listener.wait_for(1)

    assert (event["meta"]["eventName"], event["data"]["attributes"]["name"]) == ("account.updated", "B")
    assert "beforeUpdate" not in event["data"]


def test_an_http_error_is_not_tried_again_and_a_redirect_not_followed(outreach):
    for status in (500, 302):
        listener = Listener(status)
        hook = subscribe(outreach, listener.url).json()["data"]["id"]
        outreach.create("account", "/accounts", {"name": "A"})
        listener.wait_for(1)
        time.sleep(0.3)
        assert [path for path, _, _ in listener.received] == ["/hook"]
        outreach.call("DELETE", f"/webhooks/{hook}")
        listener.server.shutdown()
        listener.server.server_close()


def test_an_inactive_webhook_is_silent_and_the_token_cleans_it_up(outreach, listener):
    hook = subscribe(outreach, listener.url).json()["data"]
    outreach.change("webhook", "/webhooks", hook["id"], {"active": False})
    outreach.create("account", "/accounts", {"name": "A"})
    time.sleep(0.3)
    assert listener.received == []
    headers = {**outreach.headers, "outreach-webhook-cleanup-token": hook["attributes"]["cleanupToken"]}
    assert outreach.session.post(f"{outreach.base}/webhooks/cleanup", headers=headers, timeout=20).status_code == 204
    assert outreach.listed("/webhooks", {}) == []


@pytest.mark.parametrize(
    "bad",
    [
        {"url": "http://hooks.example.test/x"},
        {"url": "javascript:alert(1)"},
        {"url": "https://hooks.example.test/x", "resource": "planet"},
        {"url": "https://hooks.example.test/x", "action": "exploded"},
        {"url": "https://hooks.example.test/x", "payloadVersion": 3},
        {"url": "https://hooks.example.test/x", "secret": "s" * 256},
    ],
)
def test_what_a_webhook_must_not_be(outreach, bad):
    url = bad.pop("url")
    assert subscribe(outreach, url, **bad).status_code == 422


def test_deliveries_come_twice_out_of_order_or_never_as_the_switches_say(outreach, control, listener):
    subscribe(outreach, listener.url, payloadVersion=2)
    control.call("POST", "/switches", {"outreach": {"hooks_repeat": 1.0, "hooks_shuffle": True}})
    for n in range(6):
        outreach.create("account", "/accounts", {"name": f"A{n}"})
    control.call("POST", "/switches", {"outreach": {"hooks_shuffle": False, "hooks_repeat": 0.0, "hooks_drop": 1.0}})
    outreach.create("account", "/accounts", {"name": "never told"})

    names = [event["data"]["attributes"]["name"] for event in listener.wait_for(12)]

    assert sorted(names) == sorted([f"A{n}" for n in range(6)] * 2) and names != sorted(names)
    assert len({body for _, _, body in listener.received}) == 6  # a repeat is the same to the byte
    time.sleep(0.2)
    assert len(listener.received) == 12


@pytest.mark.parametrize("bad", [{"hooks_repeat": 2}, {"hooks_drop": True}, {"hooks_shuffle": 1}, {"hooks_drop": -0.1}])
def test_switches_of_deliveries_that_cannot_be_are_refused(control, bad):
    assert control.refused("POST", "/switches", {"outreach": bad})


def test_before_update_says_what_relationships_were_too(outreach, listener):
    subscribe(outreach, listener.url, payloadVersion=2, action="updated")
    ada, bob = (outreach.world.outreach.create_record("users", {"username": n})["id"] for n in ("ada", "bob"))
    account = outreach.world.outreach.create_record("accounts", {"name": "A", "owner": ada})
    outreach.world.outreach.update_record("accounts", account["id"], {"owner": bob})
    outreach.world.keep()

    (event,) = listener.wait_for(1)

    assert event["data"]["relationships"]["owner"]["id"] == bob and event["data"]["beforeUpdate"]["owner"]["id"] == ada

"""Ways to new tokens without a person: what goes over the wire, what a refusal says, and what a lost answer costs."""

import base64
import json
from datetime import UTC, datetime

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from connectors.errors import NeedsAttention, OutcomeUnknown, RateLimited
from connectors.grants import JWT_BEARER, ClientCredentialsGrant, JwtGrant
from connectors.http import HttpClient
from connectors.oauth import App, Tokens, TokenSource
from tests.connectors.wire import HTML, Said, Script, Store

NOW = datetime(2026, 3, 2, 9, 0, tzinfo=UTC)
KEY = rsa.generate_private_key(public_exponent=65537, key_size=2048)


def pem(key):
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()


def source(*answers, grant=None, tokens=None):
    script = Script(*answers)
    http = HttpClient("salesforce", "https://login.example", adapter=script, sleep=lambda s: None)
    app = App("client-1", "client-secret-1", "https://here.example/back", token_path="/services/oauth2/token", repeats_redirect=False)
    store = Store(tokens or Tokens(""))
    return TokenSource(store, app, http, grant=grant, now=lambda: NOW), script, store


def jwt(key=None):
    return JwtGrant("client-1", "jo@acme.example", "https://login.example", pem(KEY) if key is None else key)


def part(text):
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


def test_an_assertion_is_signed_with_our_key_and_good_for_less_than_three_minutes():
    tokens, script, _ = source(Said(200, {"access_token": "00D!new", "instance_url": "https://acme.example"}), grant=jwt())

    assert tokens.token() == "00D!new"

    form = dict(script.form())
    assert set(form) == {"grant_type", "assertion"} and form["grant_type"] == JWT_BEARER  # no secret goes along
    head, claims, signature = form["assertion"].split(".")
    KEY.public_key().verify(part(signature), f"{head}.{claims}".encode(), PKCS1v15(), hashes.SHA256())
    assert json.loads(part(head)) == {"alg": "RS256", "typ": "JWT"}
    said = json.loads(part(claims))
    assert (said["iss"], said["sub"], said["aud"]) == ("client-1", "jo@acme.example", "https://login.example")
    assert 60 <= said["exp"] - NOW.timestamp() < 180


@pytest.mark.parametrize("key", ["", "no key", pem(ec.generate_private_key(ec.SECP256R1())), "-----BEGIN PRIVATE KEY-----\nx", "\ud800"])
def test_a_key_that_is_none_is_told_without_a_call_and_not_shown(key):
    tokens, script, _ = source(Said(500), grant=jwt(key))

    with pytest.raises(NeedsAttention, match="key") as caught:
        tokens.token()

    assert not script.requests and (not key or key not in str(caught.value))


def test_the_app_itself_logs_in_with_its_secret_and_without_a_redirect_uri():
    tokens, script, _ = source(Said(200, {"access_token": "00D!new"}), grant=ClientCredentialsGrant())

    tokens.token()

    assert dict(script.form()) == {"grant_type": "client_credentials", "client_id": "client-1", "client_secret": "client-secret-1"}


@pytest.mark.parametrize("grant", [jwt(), ClientCredentialsGrant()])
def test_a_lost_answer_costs_nothing_where_no_token_is_replaced(grant):
    refused = {"error": "invalid_grant", "error_description": "user hasn't approved this consumer"}
    tokens, _, store = source(Said(200, HTML), Said(400, refused), grant=grant)

    with pytest.raises(OutcomeUnknown):
        tokens.token()
    with pytest.raises(NeedsAttention, match="hasn't approved") as caught:
        tokens.token()

    assert "lost on its way" not in str(caught.value) and "reconnect" not in str(caught.value) and not store.is_begun


def test_nothing_is_kept_alive_where_nothing_dies():
    tokens, script, _ = source(Said(500), grant=ClientCredentialsGrant(), tokens=Tokens("00D!old"))

    tokens.keep_alive()

    assert not script.requests


def test_a_refresh_token_is_replaced_only_where_the_answer_says_so():
    answers = (Said(200, {"access_token": "a1"}), Said(200, {"access_token": "a2", "refresh_token": "refresh-2"}))
    tokens, script, store = source(*answers, tokens=Tokens("", "refresh-1", address="https://acme.example", identity="https://x/id/1/2"))

    tokens.token()
    assert store.tokens.refresh_token == "refresh-1" and "redirect_uri" not in dict(script.form())
    tokens.renew("a1")

    assert store.tokens.refresh_token == "refresh-2"
    assert (store.tokens.address, store.tokens.identity) == ("https://acme.example", "https://x/id/1/2")  # an answer may leave them out


def test_the_address_of_an_answer_takes_the_place_of_the_older_one():
    answer = Said(200, {"access_token": "a1", "instance_url": "https://new.example", "id": "https://x/id/3/4"})
    tokens, _, store = source(answer, tokens=Tokens("", "refresh-1", address="https://old.example"))

    assert tokens.current().address == store.tokens.address == "https://new.example" and store.tokens.identity == "https://x/id/3/4"


def test_a_busy_desk_is_no_refusal():
    tokens, _, store = source(Said(400, {"error": "rate_limit_exceeded"}), tokens=Tokens("", "refresh-1"))

    with pytest.raises(RateLimited):
        tokens.token()

    assert not store.is_begun

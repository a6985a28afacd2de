"""Signing in at Microsoft: through msal, as an app or per mailbox, one refresher, nothing secret in what is logged."""

import base64
import json
import re
import threading
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from urllib.parse import parse_qsl, urlsplit

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID

from connectors.errors import MailboxRefused, NeedsAttention, OutcomeUnknown, RateLimited, Rejected, ServerTrouble
from connectors.http import HttpClient
from connectors.mailboxes import OpensMailboxes
from connectors.microsoft import scopes
from connectors.microsoft.login import Flow, graph_address, registration_of, resource_of
from connectors.microsoft.settings import MicrosoftSettings
from connectors.microsoft.tokens import redeem
from connectors.oauth import Tokens
from connectors.registry import Access, consent_of, open_connector
from tests.connectors.microsoft_wire import (
    ACCESS,
    ANN,
    CONTACTS,
    EXPIRED,
    GRAPH,
    LOGIN,
    NOW,
    SECRETS,
    TOKEN_ROUTE,
    Graph,
    connection,
    contact,
    error,
    given,
    jwt,
    mailbox,
    page,
    refused,
)
from tests.connectors.wire import HTML, Said, Store, answer, serving

FOLDERS = f"GET /users/{ANN}/contactFolders"
ANY = {FOLDERS: page()}
OLD = Tokens("old-access", expires_at=NOW + timedelta(seconds=30))
OWN = Tokens("ann-access", "ann-refresh-1", NOW - timedelta(seconds=1))


def token_calls(graph):
    return [call for call in graph.calls if call == TOKEN_ROUTE]


def form_of(graph):
    return dict(parse_qsl(str(graph.requests[graph.calls.index(TOKEN_ROUTE)].body)))


# --- as an app ------------------------------------------------------------------------------------------------------------


def test_an_app_asks_once_for_all_mailboxes_and_stores_the_token_before_its_use():
    connector, graph = connection({TOKEN_ROUTE: given("new-access"), FOLDERS: page(), "GET /users/bo/contactFolders": page()}, tokens=OLD)

    for _ in range(3):
        connector.mailbox(ANN).folders("x")
        connector.mailbox("bo").folders("x")

    form = form_of(graph)
    assert len(token_calls(graph)) == 1 and graph.calls[0] == TOKEN_ROUTE and len(graph.calls) == 7
    assert form["grant_type"] == "client_credentials" and form["scope"] == "https://graph.microsoft.com/.default"
    assert form["client_id"] == SECRETS["client_id"] and form["client_secret"] == SECRETS["client_secret"]
    assert graph.store.tokens == Tokens("new-access", "", NOW + timedelta(seconds=3599))
    assert graph.requests[-1].headers["Authorization"] == "Bearer new-access"


def test_a_token_that_another_process_stored_is_taken_and_none_is_asked_for():
    box, graph = mailbox({**ANY, TOKEN_ROUTE: given("new-access")}, tokens=OLD)
    graph.store.tokens = Tokens("theirs", expires_at=NOW + timedelta(hours=1))

    box.folders("x")

    assert token_calls(graph) == [] and graph.requests[-1].headers["Authorization"] == "Bearer theirs"


def test_who_finds_another_process_at_it_waits_and_asks_for_nothing():
    box, graph = mailbox({**ANY, TOKEN_ROUTE: given("new-access")}, tokens=OLD)

    @contextmanager
    def taken():
        yield False

    graph.store.lock = taken
    with pytest.raises(RateLimited) as caught:
        box.folders("x")
    assert caught.value.retry_after == 5 and graph.calls == []


def test_many_threads_ask_for_one_token():
    connector, graph = connection({**ANY, TOKEN_ROUTE: given("new-access")}, tokens=OLD)
    threads = [threading.Thread(target=connector.mailbox(ANN)._client.token) for _ in range(8)]

    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert len(token_calls(graph)) == 1


def test_within_fifty_minutes_there_is_one_token_call_and_after_an_hour_another():
    box, graph = mailbox({**ANY, TOKEN_ROUTE: [given("first"), given("second")]}, tokens=Tokens(""))
    for minutes in (0, 10, 50, 58, 60, 110):
        graph.now = NOW + timedelta(minutes=minutes)
        box.folders("x")

    assert len(token_calls(graph)) == 2


def test_a_token_that_is_refused_is_renewed_once():
    box, graph = mailbox({FOLDERS: [EXPIRED, page()], TOKEN_ROUTE: given("second")})

    assert box.folders("x") == []
    assert graph.calls == [FOLDERS, TOKEN_ROUTE, FOLDERS] and graph.requests[-1].headers["Authorization"] == "Bearer second"


def test_a_token_that_is_refused_twice_needs_a_person():
    box, graph = mailbox({FOLDERS: EXPIRED, TOKEN_ROUTE: given("second")})

    with pytest.raises(NeedsAttention) as caught:
        box.folders("x")
    assert caught.value.status == 401 and "Lifetime validation failed" in caught.value.sentence and len(graph.calls) == 3


def test_a_part_whose_token_ended_in_between_is_sent_again_with_a_new_one():
    routes = {
        f"GET {CONTACTS}/A": [EXPIRED, Said(200, contact("A"))],
        f"GET {CONTACTS}/B": Said(200, contact("B")),
        TOKEN_ROUTE: given("2nd"),
    }
    box, graph = mailbox(routes)

    records = box.read("contact", ["A", "B"], ["surname"])

    assert {record.ref.id for record in records} == {"A", "B"} and graph.units == [2, 1] and len(token_calls(graph)) == 1


# --- by certificate -------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def certificate():
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "sync")])
    made = x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key()).serial_number(7)
    made = made.not_valid_before(datetime(2026, 1, 1, tzinfo=UTC)).not_valid_after(datetime(2030, 1, 1, tzinfo=UTC))
    signed = made.sign(key, hashes.SHA256())
    private = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()
    secrets = {"client_id": "app-1", "private_key": private, "certificate": signed.public_bytes(Encoding.PEM).decode()}
    return secrets, signed.fingerprint(hashes.SHA256())


def decoded(part):
    return json.loads(base64.urlsafe_b64decode(part + "=" * (-len(part) % 4)))


def test_an_app_with_a_certificate_signs_for_itself_and_the_assertion_is_not_logged(certificate):
    secrets, thumbprint = certificate
    connector, graph = connection({TOKEN_ROUTE: refused("invalid_client", 700027, 401)}, tokens=Tokens(""), secrets=secrets)

    with pytest.raises(NeedsAttention) as caught:
        connector.mailbox(ANN).folders("x")

    form = form_of(graph)
    header, claims = (decoded(part) for part in form["client_assertion"].split(".")[:2])
    assert header["x5t#S256"].rstrip("=") == base64.urlsafe_b64encode(thumbprint).rstrip(b"=").decode() and claims["iss"] == "app-1"
    assert claims["aud"] == f"{LOGIN}/acme.example/oauth2/v2.0/token" and "client_secret" not in form
    assert "certificate is not the one registered" in caught.value.sentence
    assert form["client_assertion"] not in repr(caught.value.exchange) and secrets["private_key"] not in repr(vars(caught.value))


@pytest.mark.parametrize(("name", "value"), [("private_key", "no key"), ("certificate", "no certificate"), ("private_key", "-----BEGIN X")])
def test_a_key_or_certificate_that_cannot_be_read_is_asked_for_anew_and_not_shown(certificate, name, value):
    connector, graph = connection({}, tokens=Tokens(""), secrets={**certificate[0], name: value})

    with pytest.raises(NeedsAttention) as caught:
        connector.mailbox(ANN).folders("x")
    assert "enter both anew" in caught.value.sentence and value not in caught.value.sentence and graph.calls == []


# --- refusals -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("said", "words"),
    [
        (refused("invalid_client", 7000215, 401), "the client secret is wrong"),
        (refused("invalid_client", 7000222, 401), "the client secret has expired"),
        (refused("unauthorized_client", 700016), "does not know this application id"),
        (refused("invalid_request", 90002), "there is no such tenant"),
        (refused("invalid_request", 900023), "there is no such tenant"),
        (refused("invalid_client"), "look at application id and client secret"),
        (refused("something_new"), "look at tenant, application id"),
        (Said(400, {"error": 7, "error_description": ["x"], "error_codes": "y"}), "look at tenant, application id"),
    ],
)
def test_each_refusal_says_what_a_person_does_about_it(said, words):
    connector, _ = connection({TOKEN_ROUTE: said}, tokens=Tokens(""))

    with pytest.raises(NeedsAttention) as caught:
        connector.mailbox(ANN).folders("x")
    assert words in caught.value.sentence and not isinstance(caught.value, MailboxRefused) and not caught.value.may_have_happened


@pytest.mark.parametrize(
    ("said", "kind"),
    [
        (Said(500, "x"), ServerTrouble),
        (Said(429, "", {"Retry-After": "9"}), RateLimited),
        (refused("temporarily_unavailable"), RateLimited),
        (Said(200, HTML), OutcomeUnknown),
        (Said(200, '{"access_token": "cut'), OutcomeUnknown),
        (Said(200, {"access_token": 7}), OutcomeUnknown),
        (Said(200, {}), OutcomeUnknown),
        (Said(404, HTML), OutcomeUnknown),
        (Said(400, {"unknown": 1}), OutcomeUnknown),
    ],
)
def test_trouble_at_the_token_endpoint_leaves_no_write_in_doubt(said, kind):
    connector, graph = connection({TOKEN_ROUTE: said}, tokens=Tokens(""))

    with pytest.raises(kind) as caught:
        connector.mailbox(ANN).folders("x")
    assert not caught.value.may_have_happened and graph.calls == [TOKEN_ROUTE]


@pytest.mark.parametrize("expires_in", ["soon", None, -1, 1e400, True, [], 10**400])
def test_a_token_of_unknown_life_is_used_until_it_is_refused(expires_in):
    raw = json.dumps({"access_token": "new", "token_type": "Bearer", "expires_in": expires_in}).replace("Infinity", "1e400")
    box, graph = mailbox({**ANY, TOKEN_ROUTE: Said(200, raw)}, tokens=Tokens(""))

    box.folders("x")
    graph.now = NOW + timedelta(days=2)
    box.folders("x")

    assert graph.store.tokens.expires_at is None and len(token_calls(graph)) == 1


def test_no_secret_and_no_token_is_shown_in_what_is_logged():
    words = ["client~secret-1", "new-access-1", "ann-refresh-1", "ann-refresh-2"]
    said = given("new-access-1", refresh_token="ann-refresh-2", note="client~secret-1 ann-refresh-1")
    routes = {TOKEN_ROUTE: said, FOLDERS: error("X", message=" ".join(words))}
    connector, graph = connection(routes, flow="web", stores={ANN: Store(OWN)})

    with pytest.raises(Rejected) as caught:
        connector.mailbox(ANN).folders("x")

    shown = repr(caught.value.exchange) + caught.value.sentence + repr(connector._tokens.held) + repr(connector._registration)
    assert "X" in shown and not any(word in shown for word in words)


# --- per mailbox ----------------------------------------------------------------------------------------------------------


def test_a_mailbox_renews_its_own_token_and_the_new_refresh_token_is_stored_before_it_is_used():
    stores = {ANN: Store(OWN)}
    seen = []
    said = given("ann-2", refresh_token="ann-refresh-2", scope="Contacts.ReadWrite")
    routes = {TOKEN_ROUTE: said, FOLDERS: lambda request: seen.append(stores[ANN].tokens.refresh_token) or page()}
    connector, graph = connection(routes, flow="web", stores=stores)

    connector.mailbox(ANN).folders("x")

    form = form_of(graph)
    assert form["grant_type"] == "refresh_token" and form["refresh_token"] == "ann-refresh-1" and seen == ["ann-refresh-2"]
    assert set(form["scope"].split()) >= {"Contacts.ReadWrite", "MailboxSettings.ReadWrite", "User.Read", "offline_access"}
    assert stores[ANN].tokens == Tokens("ann-2", "ann-refresh-2", NOW + timedelta(seconds=3599), scope="Contacts.ReadWrite")
    assert graph.store.tokens.access_token == ACCESS and not stores[ANN].is_begun


def test_a_consent_of_before_is_renewed_for_what_it_was_given_for():
    """More would be refused as a whole, and the contacts with it."""
    tokens = Tokens("ann-1", "ann-refresh-1", NOW - timedelta(hours=1), scope="https://graph.microsoft.com/Contacts.ReadWrite User.Read")
    connector, graph = connection({TOKEN_ROUTE: given("ann-2"), **ANY}, flow="web", stores={ANN: Store(tokens)})
    wide = Store(Tokens("ann-1", "ann-refresh-1", NOW - timedelta(hours=1), scope=f"{tokens.scope} Calendars.ReadWrite"))
    later, other = connection({TOKEN_ROUTE: given("ann-2"), **ANY}, flow="web", stores={ANN: wide})

    connector.mailbox(ANN).folders("x")
    later.mailbox(ANN).folders("x")

    asked, asked_later = (set(form_of(wire)["scope"].split()) for wire in (graph, other))
    assert "Contacts.ReadWrite" in asked and not asked & {"Calendars.ReadWrite", "Tasks.ReadWrite", "Mail.ReadWrite"}
    assert asked_later - asked == {"Calendars.ReadWrite"}


def test_an_answer_without_a_refresh_token_keeps_the_old_one():
    stores = {ANN: Store(OWN)}
    connector, _ = connection({TOKEN_ROUTE: given("ann-2"), **ANY}, flow="web", stores=stores)

    connector.mailbox(ANN).folders("x")

    assert stores[ANN].tokens.refresh_token == "ann-refresh-1"


@pytest.mark.parametrize("kind", ["invalid_grant", "interaction_required", "consent_required"])
def test_a_mailbox_whose_owner_has_to_sign_in_again_is_refused_by_itself(kind):
    connector, _ = connection({TOKEN_ROUTE: refused(kind)}, flow="web", stores={ANN: Store(OWN)})

    with pytest.raises(MailboxRefused) as caught:
        connector.mailbox(ANN).folders("x")
    assert ANN in caught.value.sentence and "reconnect it" in caught.value.sentence and not caught.value.is_gone


def test_a_wrong_client_secret_is_no_fault_of_a_mailbox():
    connector, _ = connection({TOKEN_ROUTE: refused("invalid_client", 7000215, 401)}, flow="web", stores={ANN: Store(OWN)})

    with pytest.raises(NeedsAttention) as caught:
        connector.mailbox(ANN).folders("x")
    assert not isinstance(caught.value, MailboxRefused)


def test_a_mailbox_that_was_never_connected_is_refused_by_itself():
    connector, graph = connection({}, flow="web", stores={ANN: Store(Tokens(""))})

    with pytest.raises(MailboxRefused, match="press Connect"):
        connector.mailbox(ANN).folders("x")
    assert graph.calls == []


def test_a_lost_answer_to_a_renewal_is_remembered_until_it_is_known_what_became_of_it():
    stores = {ANN: Store(OWN)}
    connector, _ = connection({TOKEN_ROUTE: [Said(200, "cut off"), refused("invalid_grant")]}, flow="web", stores=stores)

    with pytest.raises(OutcomeUnknown):
        connector.mailbox(ANN).folders("x")
    assert stores[ANN].is_begun
    with pytest.raises(MailboxRefused, match="lost on its way"):
        connector.mailbox(ANN).folders("x")


def test_keeping_alive_renews_what_dies_and_nothing_of_an_app():
    own, graph = connection({TOKEN_ROUTE: given("2", refresh_token="r2")}, flow="web", stores={ANN: Store(OWN)})
    app, other = connection({})

    own.mailbox(ANN).keep_alive()
    app.mailbox(ANN).keep_alive()

    assert graph.calls == [TOKEN_ROUTE] and other.calls == [] and graph.stores[ANN].tokens.refresh_token == "r2"


def test_a_code_is_redeemed_with_its_verifier_and_tells_who_came():
    graph = Graph({TOKEN_ROUTE: given("a", refresh_token="r", scope="Contacts.ReadWrite", id_token=jwt(preferred_username=ANN))})
    http = HttpClient("microsoft", LOGIN, adapter=graph)
    registration = registration_of(SECRETS, {"tenant": "acme.example", "flow": "web"})

    back = "https://h/back"
    tokens = redeem(http, registration, "https://graph.microsoft.com", code="c0de-1", verifier="ver-1", redirect_uri=back, now=NOW)

    asked = {name: form_of(graph)[name] for name in ("grant_type", "code", "code_verifier", "redirect_uri")}
    assert asked == {"grant_type": "authorization_code", "code": "c0de-1", "code_verifier": "ver-1", "redirect_uri": back}
    assert tokens == Tokens("a", "r", NOW + timedelta(seconds=3599), scope="Contacts.ReadWrite", identity=ANN)


# --- registration, addresses ----------------------------------------------------------------------------------------------


def opened(secrets=SECRETS, settings=None, base_url="", login_url=""):
    graph = Graph({TOKEN_ROUTE: given(), **ANY})
    access = Access(
        open_http=lambda address: HttpClient("microsoft", address, adapter=graph, allow_loopback=True),
        store=Store(Tokens("")),
        base_url=base_url,
        login_url=login_url,
        secrets=secrets,
        settings={"tenant": "acme.example", **(settings or {})},
        settle_seconds=5,
    )
    return open_connector("microsoft", access), graph


def test_the_registry_opens_a_connection_that_leads_to_mailboxes():
    connector, graph = opened()
    box = connector.mailbox(ANN)

    box.folders("x")

    opens: OpensMailboxes = connector
    assert opens.counts().calls == 1 and box.settle_seconds == 5 and box.system == "microsoft"  # of the API: token calls are apart
    assert graph.requests[0].url.startswith(LOGIN) and graph.requests[1].url.startswith(GRAPH)


@pytest.mark.parametrize(
    ("secrets", "settings", "words"),
    [
        ({}, {}, "needs the application id"),
        ({"client_id": "x"}, {}, "client secret or a certificate"),
        ({"client_id": "x", "private_key": "k"}, {}, "client secret or a certificate"),
        (SECRETS, {"tenant": "common"}, "its own tenant only"),
        (SECRETS, {"tenant": ""}, "its own tenant only"),
        (SECRETS, {"tenant": "a/../b"}, "has no tenant"),
        (SECRETS, {"flow": "telepathy"}, "knows no log-in"),
        (SECRETS, {"flow": "web"}, "no place for the tokens"),
        (SECRETS, {"page_size": "many"}, "cannot be used"),
        (SECRETS, {"concurrency": 5}, "takes concurrency from 1 to 4"),
        (SECRETS, {"category_colour": "pink"}, "knows no colour"),
    ],
)
def test_what_is_missing_or_wrong_is_said_before_anything_is_sent(secrets, settings, words):
    with pytest.raises(NeedsAttention, match=re.escape(words)):
        opened(secrets, settings)


def test_people_and_administrators_are_sent_to_the_right_pages():
    from connectors.microsoft.login import authorize_address

    consent = consent_of("microsoft")
    app = consent.app_of({**SECRETS, "tenant": "acme.example"}, "https://h/back")
    own = urlsplit(authorize_address(LOGIN, app, state="s", verifier="v" * 43, address=ANN))
    asked = dict(parse_qsl(own.query))
    admin = urlsplit(consent.admin_address(LOGIN + "/", app, "s t"))

    assert (
        own.path == "/acme.example/oauth2/v2.0/authorize"
        and asked["scope"] == scopes.ALL == consent.scope
        and "offline_access" in consent.scope
    )
    assert asked["code_challenge_method"] == "S256" and asked["response_mode"] == "query" and asked["login_hint"] == ANN
    assert f"https://{admin.netloc}" == LOGIN and admin.path == "/acme.example/adminconsent"
    assert dict(parse_qsl(admin.query)) == {"client_id": SECRETS["client_id"], "state": "s t", "redirect_uri": "https://h/back"}


def test_the_version_is_added_to_an_address_that_has_none_and_tokens_are_for_its_host():
    assert graph_address("") == GRAPH and graph_address("https://graph.microsoft.us/") == "https://graph.microsoft.us/v1.0"
    assert graph_address("http://127.0.0.1:8000/graph/v1.0") == "http://127.0.0.1:8000/graph/v1.0"
    own = MicrosoftSettings()
    assert resource_of(own, "https://graph.microsoft.us/v1.0") == "https://graph.microsoft.us"
    assert resource_of(own, "http://127.0.0.1:8000/v1.0") == "https://graph.microsoft.com" == resource_of(own, GRAPH)
    assert resource_of(MicrosoftSettings(resource="https://x.example/"), GRAPH) == "https://x.example"


def test_an_authority_over_plain_http_on_this_machine_works_over_a_real_socket():
    asked = []

    def handle(sock, request):
        asked.append(request)
        body = json.dumps({"access_token": "tok", "expires_in": 3599} if b"/token" in request else {"value": []})
        sock.sendall(answer(body, headers="Content-Type: application/json\r\n"))

    with serving(handle) as port:
        base = f"http://127.0.0.1:{port}"
        access = Access(
            open_http=lambda address: HttpClient("microsoft", address, allow_loopback=True),
            store=Store(Tokens("")),
            base_url=base,
            login_url=base,
            secrets=SECRETS,
            settings={"tenant": "acme.example"},
        )
        connector = open_connector("microsoft", access)
        assert connector.mailbox(ANN).folders("x") == []
        connector.close()

    assert asked[0].startswith(b"POST /acme.example/oauth2/v2.0/token ") and len(asked) == 2
    assert b"Authorization: Bearer tok" in asked[1] and b'Prefer: IdType="ImmutableId"' in asked[1]


def test_a_token_is_read_for_what_it_says_and_a_broken_one_says_nothing():
    assert scopes.granted_to_app(jwt(roles=["A"])) == {"A"} and scopes.granted_to_app(jwt(tid="t")) == frozenset()
    a_list = base64.urlsafe_b64encode(b"[1]").decode()
    for token in ("", "a.b", "a.b.c", "opaque", "x.é.y", jwt(roles="A"), f"x.{a_list}.y"):
        assert scopes.granted_to_app(token) is None
    assert Flow("web") is Flow.WEB

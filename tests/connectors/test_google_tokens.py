"""Logging in to Google: who asks for tokens and when, whose they are, what a refusal means, and what nobody gets to see."""

import base64
import json
from contextlib import nullcontext
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
import requests

from connectors.errors import MailboxRefused, NeedsAttention, OutcomeUnknown, RateLimited, ServerTrouble, Unreachable
from connectors.google.apis import CALENDAR, GMAIL, TASKS_API
from connectors.google.login import Consented, Delegation, account_of, app_of, flow_of
from connectors.google.tokens import GoogleTokens
from connectors.http import HttpClient
from connectors.oauth import Tokens, authorize_url
from connectors.registry import Access, consent_of, open_connector
from tests.connectors.google_wire import (
    ANN,
    API,
    APP,
    BAD_TOKEN,
    GROUPS,
    LIST,
    SECRETS,
    TOKEN,
    TOKENS,
    People,
    connector,
    error,
    given,
    groups,
    key_file,
    listed,
    mailbox,
)
from tests.connectors.wire import HTML, Said, Store, serving
from tests.connectors.wire import answer as http_answer

CONTACTS = "https://www.googleapis.com/auth/contacts"
DIRECTORY = "https://www.googleapis.com/auth/directory.readonly"
JWT_BEARER = "urn:ietf:params:oauth:grant-type:jwt-bearer"


def service(routes, **options):
    return mailbox({LIST: listed(), **routes}, secrets={"service_account": json.dumps(key_file())}, stores={}, **options)


def consented(routes, tokens, **options):
    return mailbox({LIST: listed(), **routes}, stores={ANN: Store(tokens)}, **options)


def refused(code, words="", status=400):
    return Said(status, {"error": code, **({"error_description": words} if words else {})})


def claims(assertion):
    head, body, _ = (part + "=" * (-len(part) % 4) for part in assertion.split("."))
    return json.loads(base64.urlsafe_b64decode(head)), json.loads(base64.urlsafe_b64decode(body))


# --- asking -------------------------------------------------------------------------------------------------------------


def test_a_service_account_signs_for_the_mailbox_and_the_scopes_it_needs_at_the_address_of_the_connection():
    box, wire = service({TOKEN: given()})

    box.check_mailbox()

    assert wire.calls == [TOKEN, LIST, GROUPS] and wire.requests[0].url == f"{TOKENS}/token"  # not the one in the key file
    form = dict(wire.form(0))
    head, said = claims(form["assertion"])
    assert set(form) == {"grant_type", "assertion"} and form["grant_type"] == JWT_BEARER and head["kid"] == "kid-1"
    assert (said["iss"], said["sub"], said["scope"]) == ("sync@proj.iam.gserviceaccount.com", ANN, CONTACTS)
    assert said["aud"] == "https://oauth2.googleapis.com/token" and said["exp"] - said["iat"] == 3600
    assert wire.requests[1].headers["Authorization"] == "Bearer ya29.new-secret"
    stored = wire.stores[ANN].tokens
    assert (stored.access_token, stored.scope) == ("ya29.new-secret", CONTACTS)
    assert timedelta(minutes=59) < stored.expires_at - datetime.now(UTC) <= timedelta(seconds=3599)


def test_a_user_who_consented_is_asked_for_by_the_refresh_token_which_stays():
    box, wire = consented({TOKEN: given(scope=f"{CONTACTS} other")}, Tokens("", SECRETS["refresh"]))

    box.check_mailbox()

    expected = {
        "grant_type": "refresh_token",
        "refresh_token": SECRETS["refresh"],
        "client_id": "client-1",
        "client_secret": SECRETS["client"],
    }
    assert dict(wire.form(0)) == expected
    assert (wire.stores[ANN].tokens.access_token, wire.stores[ANN].tokens.refresh_token) == ("ya29.new-secret", SECRETS["refresh"])


def test_a_token_serves_every_call_until_a_minute_before_its_end():
    tokens = Tokens("ya29.old-secret", SECRETS["refresh"], datetime.now(UTC) + timedelta(minutes=2))
    box, wire = consented({TOKEN: given()}, tokens)
    late, other = consented({TOKEN: given()}, replace(tokens, expires_at=datetime.now(UTC) + timedelta(seconds=50)))

    box.check_mailbox()
    late.folders("x")

    assert TOKEN not in wire.calls and other.calls == [TOKEN, GROUPS]


def test_a_token_that_another_process_got_is_taken_over():
    box, wire = consented({}, Tokens("ya29.old-secret", SECRETS["refresh"], datetime.now(UTC) - timedelta(hours=1)))
    wire.stores[ANN].tokens = Tokens("ya29.theirs", SECRETS["refresh"], datetime.now(UTC) + timedelta(hours=1))

    box.folders("x")

    assert wire.calls == [GROUPS] and wire.requests[0].headers["Authorization"] == "Bearer ya29.theirs"


def test_while_another_process_asks_we_wait():
    box, wire = consented({TOKEN: given()}, Tokens("", SECRETS["refresh"]))
    wire.stores[ANN].lock = lambda: nullcontext(False)

    with pytest.raises(RateLimited) as raised:
        box.folders("x")
    assert wire.calls == [] and raised.value.retry_after == 5.0


def test_each_mailbox_has_tokens_of_its_own_and_one_call_each():
    opened, wire = connector({TOKEN: given(), GROUPS: groups()}, secrets={"service_account": key_file()}, stores={})

    for address in (ANN, "bob@customer.example", " Ann@Customer.Example "):
        opened.mailbox(address).folders("x")

    subjects = [claims(dict(wire.form(i))["assertion"])[1]["sub"] for i, call in enumerate(wire.calls) if call == TOKEN]
    assert subjects == [ANN, "bob@customer.example"] and set(wire.stores) == {ANN, "bob@customer.example"}
    assert opened.counts().calls == 3 and opened.counts().by_template == {"GET /contactGroups": 3}  # token calls apart


def test_a_token_of_other_scopes_is_none_of_ours():
    box, wire = mailbox(
        {TOKEN: given()},
        secrets={"service_account": key_file()},
        stores={ANN: Store(Tokens("ya29.wide", scope=f"{CONTACTS} https://www.googleapis.com/auth/calendar"))},
    )

    box.folders("x")

    assert wire.calls == [TOKEN, GROUPS] and wire.stores[ANN].tokens.scope == CONTACTS


def test_what_a_user_consented_to_outlives_a_service_account_in_between():
    box, wire = mailbox({TOKEN: given()}, secrets={"service_account": key_file()}, stores={ANN: Store(Tokens("", SECRETS["refresh"]))})

    box.folders("x")

    assert wire.stores[ANN].tokens.refresh_token == SECRETS["refresh"]


def test_a_token_refused_is_renewed_once_and_the_call_sent_again():
    box, wire = consented({TOKEN: given(), GROUPS: [BAD_TOKEN, groups()]}, Tokens("ya29.old-secret", SECRETS["refresh"]))
    again, other = consented({TOKEN: given(), GROUPS: BAD_TOKEN}, Tokens("ya29.old-secret", SECRETS["refresh"]))

    box.folders("x")
    with pytest.raises(MailboxRefused, match="even after it was renewed"):
        again.folders("x")

    assert wire.calls == [GROUPS, TOKEN, GROUPS] and other.calls == [GROUPS, TOKEN, GROUPS]
    assert wire.requests[2].headers["Authorization"] == "Bearer ya29.new-secret"


def test_an_unused_refresh_token_is_kept_alive_and_a_service_account_needs_none():
    box, wire = consented({TOKEN: given()}, Tokens("ya29.old-secret", SECRETS["refresh"], datetime.now(UTC) + timedelta(hours=1)))
    signing, other = service({TOKEN: given()})

    box.keep_alive()
    signing.keep_alive()

    assert wire.calls == [TOKEN] and other.calls == []


# --- parts of a mailbox -------------------------------------------------------------------------------------------------


def test_a_service_account_has_a_token_for_each_part_of_a_mailbox():
    """Where one of several scopes is not allowed, all of them are refused."""
    opened, wire = connector(
        {TOKEN: given(), GROUPS: groups(), **{f"GET {api.root}/x": Said(200, {}) for api in (CALENDAR, TASKS_API, GMAIL)}},
        secrets={"service_account": key_file()},
        stores={},
    )

    opened.mailbox(ANN).folders("x")
    for api in (CALENDAR, TASKS_API, GMAIL):
        opened.reach(f" {ANN.upper()} ", api)[1].get("/x")

    signed = [claims(dict(wire.form(i))["assertion"])[1] for i, call in enumerate(wire.calls) if call == TOKEN]
    assert [said["scope"].rpartition("/")[2] for said in signed] == ["contacts", "calendar.events", "tasks", "gmail.modify"]
    assert {said["sub"] for said in signed} == {ANN} and set(wire.stores) == {
        ANN,
        *(f"{ANN} {part}" for part in ("calendar", "tasks", "mail")),
    }
    addresses = [request.url.partition("?")[0] for request in wire.requests if "/token" not in request.url]
    assert addresses[1:] == [
        "https://www.googleapis.com/calendar/v3/x",
        "https://tasks.googleapis.com/tasks/v1/x",
        "https://gmail.googleapis.com/gmail/v1/x",
    ]
    assert opened.counts().by_template["GET /calendar/v3/x"] == 1 and opened.counts().calls == 4


def test_what_a_user_consented_to_is_one_token_and_each_part_needs_its_own_scope():
    tokens = Tokens(SECRETS["access"], SECRETS["refresh"], scope=f"{CONTACTS} https://www.googleapis.com/auth/calendar.events")
    opened, wire = connector({GROUPS: groups(), "GET /calendar/v3/x": Said(200, {})}, stores={ANN: Store(tokens)})

    opened.mailbox(ANN).folders("x")
    opened.reach(ANN, CALENDAR)[1].get("/x")
    with pytest.raises(MailboxRefused, match=r"without the consent to .*auth/tasks; connect again"):
        opened.reach(ANN, TASKS_API)[1].get("/x")

    assert wire.calls == [GROUPS, "GET /calendar/v3/x"] and set(wire.stores) == {ANN}


def test_the_connections_own_consent_opens_every_part_of_the_own_mailbox():
    own = Tokens("ya29.own-secret", SECRETS["refresh"], datetime.now(UTC) + timedelta(hours=1))
    opened, wire = connector({"GET /gmail/v1/x": Said(200, {})}, own=own, stores={}, settings={"own_mailbox": ANN})

    opened.reach(ANN, GMAIL)[1].get("/x")
    with pytest.raises(MailboxRefused, match="is not connected yet"):
        opened.reach("bob@customer.example", GMAIL)[1].get("/x")

    assert wire.requests[0].headers["Authorization"] == "Bearer ya29.own-secret"


@pytest.mark.parametrize(
    ("base", "settings", "address"),
    [
        (API, {}, "https://www.googleapis.com"),
        (f"{API}/", {}, "https://www.googleapis.com"),
        ("http://127.0.0.1:9", {}, "http://127.0.0.1:9"),  # who plays Google plays all of it
        (API, {"calendar_url": "https://calendar.customer.example"}, "https://calendar.customer.example"),
        ("http://127.0.0.1:9", {"tasks_url": "x"}, "http://127.0.0.1:9"),
    ],
)
def test_each_api_has_its_own_host(base, settings, address):
    assert CALENDAR.address(base, settings) == address


# --- refusals -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("words", ["Invalid email or User ID", "Account suspended", ""])
def test_a_user_who_is_suspended_or_unknown_is_told_apart_from_the_connection(words):
    box, _ = service({TOKEN: refused("invalid_grant", words)})

    with pytest.raises(MailboxRefused) as raised:
        box.folders("x")
    assert raised.value.is_gone and ANN in raised.value.detail and words in raised.value.detail and not raised.value.is_passing


def test_a_user_unknown_in_whose_name_the_directory_is_read_is_no_mailboxs_trouble():
    said = {TOKEN: refused("invalid_grant", "Invalid email or User ID")}
    opened, _ = connector(said, secrets={"service_account": key_file()}, settings={"directory_user": "nobody@customer.example"})

    with pytest.raises(NeedsAttention, match="Directory read as") as raised:
        list(opened.users())
    assert not isinstance(raised.value, MailboxRefused) and "nobody@customer.example" in raised.value.detail


@pytest.mark.parametrize(
    "words",
    [
        "Invalid JWT: Token must be a short-lived token (60 minutes) and in a reasonable timeframe. Check your iat and exp values",
        "Invalid JWT Signature.",
    ],
)
def test_a_wrong_clock_or_key_is_no_reason_to_give_up_a_mailbox(words):
    box, _ = service({TOKEN: refused("invalid_grant", words)})

    with pytest.raises(NeedsAttention, match="clock") as raised:
        box.folders("x")
    assert not isinstance(raised.value, MailboxRefused)


def test_a_service_account_that_is_not_allowed_names_client_id_scopes_and_the_place_to_allow_them():
    box, _ = service({TOKEN: refused("unauthorized_client", "Client is unauthorized to retrieve access tokens", 401)})

    with pytest.raises(NeedsAttention) as raised:
        box.folders("x")
    assert not isinstance(raised.value, MailboxRefused)
    assert all(part in raised.value.detail for part in ("1122334455", CONTACTS, "Domain-wide delegation", ANN))


def test_a_consent_that_was_revoked_concerns_the_mailbox_whose_it_is():
    box, _ = consented({TOKEN: refused("invalid_grant", "Token has been expired or revoked.")}, Tokens("", SECRETS["refresh"]))
    own, _ = connector({TOKEN: refused("invalid_grant", "Token has been expired or revoked.")}, own=Tokens("", SECRETS["refresh"]))

    with pytest.raises(MailboxRefused, match="connect again") as raised:
        box.folders("x")
    with pytest.raises(NeedsAttention, match="connect again") as of_all:
        own.identity()
    assert not raised.value.is_gone and raised.value.code == "invalid_grant" and "expired or revoked" in raised.value.detail
    assert not isinstance(of_all.value, MailboxRefused) and of_all.value.code == "invalid_grant"


def test_an_app_that_is_refused_is_the_connections_matter():
    box, _ = consented({TOKEN: refused("invalid_client", status=401)}, Tokens("", SECRETS["refresh"]))

    with pytest.raises(NeedsAttention, match="id and secret") as raised:
        box.folders("x")
    assert not isinstance(raised.value, MailboxRefused)


def test_a_consent_with_boxes_left_unticked_is_told_by_scope_once_and_costs_no_call_again():
    box, wire = consented({TOKEN: given(scope="https://www.googleapis.com/auth/contacts.readonly")}, Tokens("", SECRETS["refresh"]))

    for _ in range(2):
        with pytest.raises(MailboxRefused, match=f"without the consent to {CONTACTS}"):
            box.folders("x")
    assert wire.calls == [TOKEN]


def test_a_call_refused_for_its_scope_names_it_by_the_way_to_log_in():
    refusal = error(403, "Request had insufficient authentication scopes.", "PERMISSION_DENIED", "ACCESS_TOKEN_SCOPE_INSUFFICIENT")
    box, _ = consented({LIST: refusal}, Tokens("ya29.old-secret", SECRETS["refresh"]))
    signing, _ = service({TOKEN: given(), LIST: refusal})

    with pytest.raises(MailboxRefused, match="tick every box") as raised:
        box.contact_changes("", [])
    with pytest.raises(NeedsAttention, match="Domain-wide delegation") as delegated:
        signing.contact_changes("", [])
    assert CONTACTS in raised.value.detail and raised.value.status == 403
    assert not isinstance(delegated.value, MailboxRefused)


def test_a_mailbox_nobody_connected_is_refused_without_a_call():
    box, wire = consented({}, Tokens(""))
    no_app, _ = consented({}, Tokens("", SECRETS["refresh"]), secrets={"client_id": "i"})

    with pytest.raises(MailboxRefused, match="not connected yet"):
        box.folders("x")
    with pytest.raises(NeedsAttention, match="client secret"):
        no_app.folders("x")
    assert wire.calls == []


@pytest.mark.parametrize(
    ("said", "kind"),
    [
        (Said(500, HTML), ServerTrouble),
        (Said(503, HTML, {"Retry-After": "9"}), RateLimited),
        (Said(429, HTML), RateLimited),
        (refused("rate_limit_exceeded", status=403), RateLimited),
        (Said(200, HTML), OutcomeUnknown),
        (Said(200, {"access_token": ""}), OutcomeUnknown),
        (Said(200, {"access_token": ["x"]}), OutcomeUnknown),
        (Said(302, "", {"Location": "https://evil.example/token"}), OutcomeUnknown),
        (Said(404, HTML), OutcomeUnknown),
        (requests.exceptions.ReadTimeout("late"), OutcomeUnknown),
        (requests.exceptions.ConnectionError("NewConnectionError: refused"), Unreachable),
    ],
)
@pytest.mark.parametrize("way", ["service", "user"])
def test_trouble_of_the_token_page_is_trouble_and_is_not_repeated(said, kind, way):
    box, wire = service({TOKEN: said}) if way == "service" else consented({TOKEN: said}, Tokens("", SECRETS["refresh"]))

    with pytest.raises(kind) as raised:
        box.folders("x")
    assert wire.calls == [TOKEN] and not raised.value.may_have_happened


@pytest.mark.parametrize("life", [0, -5, "x", None, 1e300, True])
def test_a_token_of_no_sound_life_is_used_all_the_same(life):
    box, wire = consented({TOKEN: Said(200, {"access_token": "ya29.new-secret", "expires_in": life})}, Tokens("", SECRETS["refresh"]))

    box.folders("x")

    assert wire.calls == [TOKEN, GROUPS]


@pytest.mark.parametrize(
    "raw",
    ["{", "[]", "5", "{}", {"client_email": "a@b", "private_key": ""}, {"client_email": 5, "private_key": "k"}, "[" * 99999],
)
def test_a_key_file_that_is_none_is_refused(raw):
    with pytest.raises(NeedsAttention, match="key file"):
        account_of({"service_account": raw})
    with pytest.raises(NeedsAttention):
        account_of({})


@pytest.mark.parametrize("key", ["no key", "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n"])
def test_a_key_that_cannot_sign_is_told_without_showing_it(key):
    box, wire = mailbox({}, secrets={"service_account": {**key_file(), "private_key": key}}, stores={})

    with pytest.raises(NeedsAttention, match="key") as raised:
        box.folders("x")
    assert wire.calls == [] and "AAAA" not in str(raised.value) and raised.value.__cause__ is None


def test_a_mailbox_has_a_mail_address():
    opened, wire = connector({}, secrets={"service_account": key_file()}, stores={})

    for address in ("", "ann", "ann@", "a b@c", "ann@x\r\ny", "<ann@x>", "a@b@c", "@x"):
        with pytest.raises(MailboxRefused):
            opened.mailbox(address)
    assert wire.stores == {} and opened.mailbox(ANN) is opened.mailbox(ANN.upper())


# --- whose tokens -------------------------------------------------------------------------------------------------------


def test_the_connections_own_tokens_open_the_mailbox_of_who_consented_and_no_other():
    own = Tokens("ya29.own-secret", SECRETS["refresh"], datetime.now(UTC) + timedelta(hours=1))
    opened, wire = connector({GROUPS: groups()}, own=own, stores={}, settings={"organisation_id": ANN})

    opened.mailbox(ANN).folders("x")
    with pytest.raises(MailboxRefused, match="bob@customer.example"):
        opened.mailbox("bob@customer.example").folders("x")

    assert wire.calls == [GROUPS] and wire.requests[0].headers["Authorization"] == "Bearer ya29.own-secret"


def test_a_mailboxs_own_consent_goes_before_the_connections():
    opened, wire = connector({GROUPS: groups()}, own=Tokens("ya29.own-secret", "r-1"), settings={"own_mailbox": ANN})

    opened.mailbox(ANN).folders("x")

    assert wire.requests[0].headers["Authorization"] == f"Bearer {SECRETS['access']}"


# --- what nobody sees ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("way", ["service", "user"])
def test_no_token_key_or_secret_stands_in_errors_or_exchanges(way):
    words = "the assertion was bad"
    if way == "service":
        box, wire = service({TOKEN: refused("invalid_grant", words)})
    else:
        box, wire = consented({TOKEN: refused("invalid_grant", words)}, Tokens("", SECRETS["refresh"]))
    with pytest.raises(NeedsAttention) as raised:
        box.folders("x")
    sent = dict(wire.form(0))

    shown = repr(raised.value) + raised.value.sentence + repr(raised.value.exchange) + repr(box.__dict__)
    for secret in (sent.get("assertion", "none-sent"), key_file()["private_key"], SECRETS["refresh"], SECRETS["client"]):
        assert secret not in shown
    assert words in raised.value.sentence


def test_a_new_token_is_masked_in_what_the_mailbox_logs():
    box, wire = consented(
        {TOKEN: given(), GROUPS: error(403, "Bearer ya29.new-secret is not good", "PERMISSION_DENIED")}, Tokens("", SECRETS["refresh"])
    )

    with pytest.raises(NeedsAttention) as raised:
        box.folders("x")
    assert "ya29.new-secret" not in raised.value.sentence + repr(raised.value.exchange) and len(wire.clients) == 3


def test_tokens_go_to_the_hosts_of_the_connection_and_over_plain_http_to_loopback_only():
    requests_ = []

    def handle(sock, request):
        requests_.append(request)
        body = b'{"access_token": "ya29.local", "expires_in": 3599}' if b"/token" in request else b'{"contactGroups": []}'
        sock.sendall(http_answer(body))

    with serving(handle) as port:
        http = HttpClient("google", f"http://127.0.0.1:{port}", allow_loopback=True)
        way = Delegation(account_of({"service_account": key_file()}), ANN, (CONTACTS,))
        assert GoogleTokens(Store(Tokens("")), app_of({}, ""), http, way).token() == "ya29.local"
        http.close()
    assert requests_[0].startswith(b"POST /token HTTP/1.1") and b"gl-python" not in requests_[0]
    with pytest.raises(NeedsAttention):
        HttpClient("google", "http://oauth2.googleapis.com")


# --- registry and consent -----------------------------------------------------------------------------------------------


def test_the_consent_page_is_at_its_own_host_and_is_told_to_give_a_refresh_token():
    consent = consent_of("google")
    app = consent.app_of(APP, "https://here/back")

    url = authorize_url(TOKENS, app, scope=consent.scope, state="s", verifier="v")

    assert url.startswith("https://accounts.google.com/o/oauth2/v2/auth?client_id=client-1&") and consent.needs_secret
    assert all(
        part in url for part in ("access_type=offline", "prompt=consent", "include_granted_scopes=true", "code_challenge_method=S256")
    )
    local = authorize_url("http://127.0.0.1:9", app, scope=consent.scope, state="s", verifier="v")
    assert local.startswith("http://127.0.0.1:9/o/oauth2/v2/auth?") and "auth%2Fcontacts+" in local


def test_the_registry_opens_a_connector_of_mailboxes():
    wire = People({TOKEN: given(), GROUPS: groups()})
    stores = {}
    access = Access(
        open_http=lambda address: HttpClient("google", address, adapter=wire),
        store=Store(Tokens("")),
        base_url=API,
        login_url=TOKENS,
        secrets={"service_account": json.dumps(key_file())},
        settle_seconds=300,
        mailbox_store=lambda address, part="": stores.setdefault(address, Store(Tokens(""))),
    )

    opened = open_connector("google", access)
    opened.mailbox(ANN).folders("x")

    assert [request.url.partition("?")[0] for request in wire.requests] == [f"{TOKENS}/token", f"{API}/v1/contactGroups"]
    assert opened.mailbox(ANN).settle_seconds == 300 and list(stores) == [ANN]
    with pytest.raises(NeedsAttention):
        open_connector("google", replace(access, mailbox_store=None)).mailbox(ANN)


def test_the_way_to_log_in_is_chosen_or_follows_from_the_secret():
    assert flow_of({}, {}) == "web" and flow_of({"service_account": "{}"}, {}) == "service_account"
    assert flow_of({"service_account": "{}"}, {"flow": "web"}) == "web"
    with pytest.raises(NeedsAttention):
        flow_of({}, {"flow": "password"})
    assert Consented(app_of(APP, "")).may_keep_alive

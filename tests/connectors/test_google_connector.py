"""A connection to Google: what refusals mean in both of their shapes, its tests, its directory, its settings."""

from datetime import UTC, datetime, timedelta

import pytest

from connectors.contract import Ref
from connectors.errors import MailboxRefused, NeedsAttention, OutcomeUnknown, RateLimited, Rejected, ServerTrouble
from connectors.google.faults import part_fault, read_fault
from connectors.google.scopes import ALL, SCOPES, missing
from connectors.google.settings import GoogleSettings
from connectors.mailboxes import CONTACT_SCHEMA, FOREIGN_ID, MailboxUser
from connectors.oauth import Tokens
from tests.connectors.google_wire import (
    ANN,
    GROUPS,
    LIST,
    TOKEN,
    connector,
    error,
    given,
    groups,
    key_file,
    listed,
    mailbox,
    older,
)
from tests.connectors.wire import HTML, Said

ME, DIRECTORY = "GET /people/me", "GET /people:listDirectoryPeople"
HELD = Tokens("ya29.own-secret", "r-1", datetime.now(UTC) + timedelta(hours=1))
QUOTA = {"service": "people.googleapis.com", "quota_limit": "CriticalReadsPerMinutePerProjectPerUser"}


# --- refusals -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("said", "kind", "wait"),
    [
        (error(429, "Quota exceeded", "RESOURCE_EXHAUSTED", "RATE_LIMIT_EXCEEDED", **QUOTA), RateLimited, 60.0),
        (Said(429, error(429).body, {"Retry-After": "17"}), RateLimited, 17.0),
        (older(403, "rateLimitExceeded"), RateLimited, 60.0),
        (older(403, "userRateLimitExceeded"), RateLimited, 60.0),
        (older(403, "quotaExceeded"), RateLimited, 60.0),
        (older(403, "dailyLimitExceeded"), RateLimited, 900.0),
        (error(403, "Quota exceeded", "RESOURCE_EXHAUSTED"), RateLimited, 60.0),
        (Said(403, older(403, "rateLimitExceeded").body, {"Retry-After": "8"}), RateLimited, 8.0),
        (error(409, "Concurrent change", "ABORTED"), RateLimited, 5.0),
        (older(403, "insufficientPermissions"), NeedsAttention, None),
        (error(403, "No scope", "PERMISSION_DENIED", "ACCESS_TOKEN_SCOPE_INSUFFICIENT"), NeedsAttention, None),
        (
            error(403, "Off", "PERMISSION_DENIED", "SERVICE_DISABLED", service="people.googleapis.com", consumer="projects/7"),
            NeedsAttention,
            None,
        ),
        (older(403, "accessNotConfigured"), NeedsAttention, None),
        (older(403, "forbidden"), MailboxRefused, None),
        (error(403, "The caller does not have permission", "PERMISSION_DENIED"), MailboxRefused, None),
        (error(404, "Not found", "NOT_FOUND"), MailboxRefused, None),
        (error(400, "Bad", "INVALID_ARGUMENT"), Rejected, None),
        (older(400, "badRequest"), Rejected, None),
        (error(500, "Internal", "INTERNAL"), ServerTrouble, None),
        (older(503, "backendError"), ServerTrouble, None),
        (Said(403, HTML), OutcomeUnknown, None),
        (Said(404, HTML), OutcomeUnknown, None),
        (Said(400, {"error": "invalid_request"}), OutcomeUnknown, None),
        (Said(418, {"error": {}}), OutcomeUnknown, None),
        (Said(204), OutcomeUnknown, None),
        (Said(302, "", {"Location": "https://elsewhere.example/"}), OutcomeUnknown, None),
    ],
)
def test_a_refusal_is_told_apart_by_its_reason_in_either_shape(said, kind, wait):
    box, _ = mailbox({GROUPS: said})

    with pytest.raises(kind) as raised:
        box.folders("x")

    assert type(raised.value) is kind or kind is NeedsAttention
    assert raised.value.retry_after == wait and not raised.value.may_have_happened


def test_a_mailbox_that_is_asked_to_wait_lets_no_call_out_and_others_go_on():
    opened, wire = connector({GROUPS: [older(403, "rateLimitExceeded"), groups()]}, secrets={"service_account": key_file()}, stores={})
    wire.routes[TOKEN] = [given()]

    for _ in range(2):
        with pytest.raises(RateLimited):
            opened.mailbox(ANN).folders("x")
    opened.mailbox("bob@customer.example").folders("x")

    assert wire.calls == [TOKEN, GROUPS, TOKEN, GROUPS]


@pytest.mark.parametrize(
    ("said", "words"),
    [
        (
            error(403, "x", "PERMISSION_DENIED", "SERVICE_DISABLED", service="people.googleapis.com", consumer="projects/7"),
            ["people.googleapis.com", "projects/7", "switch it on"],
        ),
        (older(403, "accessNotConfigured"), ["People API", "switch it on"]),
        (older(403, "insufficientPermissions"), ["https://www.googleapis.com/auth/contacts"]),
    ],
)
def test_what_a_person_must_mend_is_named(said, words):
    box, _ = mailbox({LIST: said})

    with pytest.raises(NeedsAttention) as raised:
        box.contact_changes("", [])
    assert all(word in raised.value.sentence for word in words) and not raised.value.is_passing


@pytest.mark.parametrize(
    "data", [None, [], "x", {"error": None}, {"error": "x"}, {"error": []}, {"error": {}}, {"error": {"message": "x"}}]
)
def test_what_is_no_error_of_googles_is_none(data):
    assert read_fault(data, 400) is None


@pytest.mark.parametrize(
    "body",
    [
        {"code": 400, "details": 5, "errors": "x", "message": None},
        {"code": "400", "details": [None, {"reason": 5}], "errors": [5, {"reason": None}], "status": None},
        {"status": {"a": 1}, "details": [{"reason": "X", "metadata": []}]},
        {"code": 400, "message": {"deep": ["x"]}},
    ],
)
def test_an_error_of_odd_types_is_still_an_error(body):
    fault = read_fault({"error": body}, 400)

    assert fault is not None and fault.status == 400 and isinstance(fault.message, str) and fault.code


@pytest.mark.parametrize(
    ("part", "status"),
    [
        ({}, None),
        ({"status": {}, "httpStatusCode": 200}, None),
        ({"status": {"code": 0}}, None),
        ({"status": {"code": 5}}, 404),
        ({"status": {"code": 9, "message": "etag"}, "httpStatusCode": 400}, 400),
        ({"status": {"code": 8}}, 429),
        ({"status": {"code": 10}}, 409),
        ({"status": {"code": 99}}, 500),
        ({"httpStatusCode": 404}, 404),
        ({"httpStatusCode": 404, "status": {"code": 0}}, 404),
        ({"httpStatusCode": "404", "status": "x"}, None),
        ({"httpStatusCode": 200, "status": {"code": 3}}, 400),
        ({"httpStatusCode": True, "status": {"code": True}}, None),
    ],
)
def test_a_part_of_a_batch_went_well_only_where_neither_of_its_codes_says_otherwise(part, status):
    fault = part_fault(part)

    assert (fault.status if fault else None) == status


# --- the tests that people run ------------------------------------------------------------------------------------------


def lines(checks):
    return [(line.name, line.is_ok, line.is_warning) for line in checks]


def me(*addresses):
    return Said(
        200,
        {"resourceName": "people/1", "emailAddresses": [{"value": a, "metadata": {"primary": i == 1}} for i, a in enumerate(addresses)]},
    )


def test_a_mailbox_is_tried_without_writing_anything():
    box, wire = mailbox({LIST: listed(), ME: me(f"{ANN.upper()}")})

    assert lines(box.check_mailbox()) == [
        ("Log-in", True, False),
        ("Contacts", True, False),
        ("Labels", True, False),
        ("Whose contacts", True, False),
    ]
    assert wire.calls == [LIST, GROUPS, ME] and {request.method for request in wire.requests} == {"GET"}
    assert box.check(may_send=False) == box.check_mailbox()


@pytest.mark.parametrize(
    ("said", "is_ok", "is_warning"),
    [
        (me("bob@home.example", "b@home.example"), False, False),
        (me("x@y", ANN), True, False),
        (me(), True, True),
        (older(403, "insufficientPermissions"), True, True),
        (Said(200, {"emailAddresses": [5, {"value": 5}, {"value": "none"}]}), True, True),
    ],
)
def test_a_consent_of_another_account_is_noticed(said, is_ok, is_warning):
    box, _ = mailbox({LIST: listed(), ME: said})

    assert lines(box.check_mailbox())[-1] == ("Whose contacts", is_ok, is_warning)


def test_each_line_of_a_test_says_what_to_do():
    box, _ = mailbox({LIST: older(403, "accessNotConfigured"), ME: me(ANN)})
    down, wire = mailbox({LIST: Said(500)})

    failing = [line for line in box.check_mailbox() if not line.is_ok]
    stopped = down.check_mailbox()

    assert [line.name for line in failing] == ["Contacts"] and "switch it on" in failing[0].sentence
    assert stopped[-1].passes and len(stopped) == 2 and wire.calls == [LIST] * 3


def test_a_connection_is_tried_by_its_log_in_and_its_directory():
    person_ = {"resourceName": "people/5", "emailAddresses": [{"value": "a@customer.example"}]}
    opened, wire = connector({DIRECTORY: Said(200, {"people": [person_], "nextPageToken": "p2"})}, own=HELD)
    closed, _ = connector({DIRECTORY: error(403, "x", "PERMISSION_DENIED", "ACCESS_TOKEN_SCOPE_INSUFFICIENT")}, own=HELD)
    without, other = connector({}, own=HELD, settings={"lists_directory": False})
    signing, quiet = connector({}, secrets={"service_account": key_file()})

    assert lines(opened.check()) == [("Log-in", True, False), ("Directory", True, False)] and wire.calls == [DIRECTORY]
    assert closed.check()[1].is_ok is False and "directory.readonly" in closed.check()[1].remedy
    assert lines(without.check()) == [("Log-in", True, False)] and other.calls == []
    assert lines(signing.check()) == [("Service account", True, False), ("Directory", True, True)] and quiet.calls == []


# --- directory and identity ---------------------------------------------------------------------------------------------


def test_the_directory_is_read_page_by_page_and_people_without_an_address_are_left_out():
    ann = {
        "resourceName": "people/1",
        "names": [{"displayName": "Ann\0 A"}],
        "emailAddresses": [{"value": "x@customer.example"}, {"value": ANN, "metadata": {"primary": True}}],
    }
    pages = [
        {"people": [ann, {"resourceName": "people/2"}], "nextPageToken": "p2"},
        {"people": [{"resourceName": "people/3", "emailAddresses": [{"value": " Bob@Customer.example "}]}]},
    ]
    opened, wire = connector({DIRECTORY: [Said(200, page) for page in pages]}, own=HELD)

    found = list(opened.users())

    assert found == [[MailboxUser("people/1", ANN, "Ann� A")], [MailboxUser("people/3", "bob@customer.example")]]
    assert wire.asked(0)["readMask"] == "names,emailAddresses,metadata" and wire.asked(1)["pageToken"] == "p2"


def test_the_directory_is_read_in_the_name_of_the_user_that_the_settings_name():
    opened, wire = connector(
        {TOKEN: given(), DIRECTORY: Said(200, {})}, secrets={"service_account": key_file()}, settings={"directory_user": ANN}
    )
    nameless, _ = connector({}, secrets={"service_account": key_file()})

    assert list(opened.users()) == [[]] and wire.calls == [TOKEN, DIRECTORY]
    assert wire.store.tokens.scope == "https://www.googleapis.com/auth/directory.readonly"
    with pytest.raises(NeedsAttention, match="address of a user"):
        list(nameless.users())


@pytest.mark.parametrize("data", [{"people": 5}, {"people": [5]}, {"nextPageToken": 5}, []])
def test_a_directory_that_cannot_be_read_is_not_empty(data):
    opened, _ = connector({DIRECTORY: Said(200, data)}, own=HELD)

    with pytest.raises(OutcomeUnknown):
        list(opened.users())


def test_a_directory_that_goes_round_in_a_circle_ends():
    opened, _ = connector({DIRECTORY: Said(200, {"people": [], "nextPageToken": "p2"})}, own=HELD)

    with pytest.raises(OutcomeUnknown):
        list(opened.users())


def test_without_a_directory_the_only_mailbox_is_our_own():
    opened, wire = connector({}, own=HELD, settings={"lists_directory": False, "own_mailbox": ANN})
    nobody, _ = connector({}, own=HELD, settings={"lists_directory": False, "organisation_id": "12345"})

    assert list(opened.users()) == [[MailboxUser(ANN, ANN)]] and list(nobody.users()) == [] and wire.calls == []


def test_whoever_consented_is_the_organisation_too():
    opened, _ = connector({ME: me("x@customer.example", ANN)}, own=HELD)
    silent, _ = connector({ME: Said(200, {"resourceName": "people/1"})}, own=HELD)
    signing, wire = connector({}, secrets={"service_account": key_file()}, settings={"directory_user": ANN})

    assert (opened.identity().user, opened.identity().organisation, opened.identity().organisation_id) == (ANN, "customer.example", ANN)
    assert str(silent.identity()) == "" and wire.calls == []
    said = signing.identity()
    assert (said.user, said.organisation, said.organisation_id) == ("sync@proj.iam.gserviceaccount.com", "customer.example", "1122334455")


# --- the rest -----------------------------------------------------------------------------------------------------------


def test_a_connection_keeps_its_own_consent_alive_and_counts_all_mailboxes():
    opened, wire = connector({TOKEN: given(), GROUPS: groups(), ME: me(ANN)}, own=HELD)

    opened.keep_alive()
    opened.mailbox(ANN).folders("x")
    opened.identity()

    assert wire.calls == [TOKEN, GROUPS, ME] and wire.store.tokens.access_token == "ya29.new-secret"
    assert opened.counts().calls == 2 and opened.mailbox(ANN).counts().calls == 1
    opened.close()


def test_the_connection_itself_holds_no_records():
    opened, _ = connector({}, own=HELD)
    at = datetime.now(UTC)

    for call in (
        lambda: opened.read("contact", [], []),
        lambda: opened.write("contact", []),
        lambda: opened.find_marked("contact", [], [], since=at),
        lambda: opened.batch_size("contact", is_create=True),
        lambda: opened.changes("contact"),
    ):
        with pytest.raises(NotImplementedError):
            call()
    assert opened.schema("contact") is CONTACT_SCHEMA


def test_a_mailbox_says_what_it_is():
    box, _ = mailbox({})

    assert box.address == ANN and box.identity().user == ANN and box.schema("contact") is CONTACT_SCHEMA
    assert box.web_url(Ref("google", "contact", "people/c7")) == "https://contacts.google.com/person/c7"
    assert (box.concurrency, box.marker_field, box.settle_seconds, box.request_timeout) == (1, FOREIGN_ID, 300, 30.0)


def test_settings_are_those_of_the_connection_and_wrong_ones_are_told():
    settings = GoogleSettings.of(
        {"page_size": "50", "lists_directory": False, "organisation_id": ANN, "busy_wait": None, "flow": "web", "own_mailbox": ""}
    )

    assert (settings.page_size, settings.lists_directory, settings.own_mailbox, settings.busy_wait) == (50, False, ANN, 60.0)
    for wrong in (
        {"page_size": 0},
        {"page_size": 1001},
        {"write_size": 201},
        {"delete_size": 501},
        {"pause": 9},
        {"pause": -1},
        {"remembered": 5},
        {"read_size": "many"},
        {"client_data_key": 0, "page_size": []},
    ):
        with pytest.raises(NeedsAttention):
            GoogleSettings.of(wrong)


def test_scopes_that_were_not_granted_are_found_and_an_unknown_grant_lacks_none():
    assert missing("") == [] and missing(ALL) == [] and [scope.name for scope in missing("openid")] == [SCOPES[0].name]
    assert all(scope.purpose for scope in SCOPES)

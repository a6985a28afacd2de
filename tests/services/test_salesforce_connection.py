"""A Salesforce connection as an admin makes it: each way to log in against the played Salesforce over real HTTP, what is
refused, what a test tells of rights and of the key field."""

from dataclasses import replace
from datetime import timedelta
from urllib.parse import parse_qs, parse_qsl, urlsplit

import pytest
import requests
from django.contrib.auth.models import User
from django.utils import timezone

from connectors.sandbox.server import SandboxServer
from connectors.sandbox.world import World
from reconciliation.engine.connections import open_connector
from reconciliation.models import AuditEntry, Binding, Connection, RecordType, SyncPass
from reconciliation.services.certificates import pair_read
from reconciliation.services.connections import ConnectionChange, ConnectionRefused, connection_add, connection_save, connection_test
from reconciliation.services.oauth import ConnectRefused, connect_begin, connect_finish
from reconciliation.services.salesforce import SalesforceChange, key_fields
from reconciliation.services.tokens import tokens_keep_alive
from tests.sandboxed import make
from tests.services.pairs import certificate_of, pem_of, rsa_key

pytestmark = [pytest.mark.django_db, pytest.mark.both_databases]
BACK = "https://sync.example.com/connections/callback/"
USERNAME = "sync.service@seller.example"


@pytest.fixture
def admin():
    return User.objects.create_superuser("ada")


@pytest.fixture(scope="module")
def running():
    server = SandboxServer(World(scenario="empty"), 0).start()
    yield server
    server.stop()


@pytest.fixture
def server(running):
    running.world.reset("empty")
    return running


def change(server, flow="web", **changes):
    """What the form holds: the whole of it, as for a new connection."""
    own = {"api_version": "66.0", "external_id_field": "Sync_Key__c"} | changes.pop("own", {})
    desk, address = server.world.salesforce.desk, server.urls["salesforce"]
    secrets = {"client_id": desk.client_id, "client_secret": desk.client_secret}
    salesforce = SalesforceChange(flow, **own)
    return replace(ConnectionChange("Salesforce", address, "", 10, secrets, login_url=address, salesforce=salesforce), **changes)


def by_certificate(server, name="a", user=USERNAME, days=100, **changes):
    pair = pair_read([pem_of(rsa_key(name)), certificate_of(rsa_key(name), days=days)])
    return change(server, "jwt", own={"jwt_user": user, "pair": pair}, **changes)


def trust(server, name="a"):
    switch(server, jwt_certificate=certificate_of(rsa_key(name)).decode())


def switch(server, **switches):
    requests.post(f"{server.urls['control']}/switches", json={"salesforce": switches}, timeout=10).raise_for_status()


def allow(url, **said):
    """Does what a person does at the consent page. Returns what the browser brings back."""
    where, asked = url.partition("?")[0], dict(parse_qsl(urlsplit(url).query))
    assert requests.get(url, timeout=10).status_code == 200
    answer = requests.post(where, data=asked | said, allow_redirects=False, timeout=10)
    return dict(parse_qsl(urlsplit(answer.headers["Location"]).query))


def connect(connection, admin, **said):
    url, state, flow = connect_begin(connection, admin, BACK)
    answer = allow(url, **said)
    assert answer["state"] == state
    return connect_finish(flow.as_dict(), answer, admin)


def by_name(lines):
    return {line.name: line for line in lines}


def link(connection, peer=None):
    """Makes it the CRM of a pass that has linked a record."""
    peer = peer or Connection.objects.get_or_create(name="Peer", system="outreach", base_url="https://api.outreach.io")[0]
    from reconciliation.services.set_up import salesforce_passes

    sync_pass, at = salesforce_passes(connection, peer)[0], timezone.now()
    Binding.objects.create(
        sync_pass=sync_pass, crm_type="Contact", crm_id="003000000000001AAA", peer_type="prospect", peer_id="1", bound_at=at, synced_at=at
    )


# --- a person logs in ------------------------------------------------------------------------------------------------


def test_a_person_connects_it_and_the_test_finds_whose_it_is_its_fields_and_its_pages(server, admin):
    connection = connection_add("salesforce", change(server), admin)
    assert not connection.is_connected and connection.needs_consent

    url, _, _ = connect_begin(connection, admin, BACK)
    asked = {k: v[0] for k, v in parse_qs(urlsplit(url).query).items()}
    connected, identity = connect(connection, admin)
    lines = connection_test(connected)

    assert url.startswith(f"{server.urls['salesforce']}/services/oauth2/authorize?")
    assert (asked["scope"], asked["code_challenge_method"], asked["redirect_uri"]) == ("api refresh_token", "S256", BACK)
    assert identity.user == USERNAME and all(line.is_ok for line in lines)
    connected.refresh_from_db()
    assert connected.state == "ok" and connected.is_connected and connected.connected_by == "ada"
    assert connected.settings["organisation_id"] == server.world.salesforce.desk.org_id
    assert set(connected.schema_cache) == {"Contact", "Lead", "Account", "Event", "Task"}
    assert connected.page_address_template == f"{server.urls['salesforce']}/{{id}}"
    assert [f.is_there for f in key_fields(connected)] == [True] * 4 and "without_external_id" not in connected.settings
    assert connected.expiries(timezone.now()) == [] and connected.secret_name == "client secret"


def test_an_app_that_wants_no_secret_and_insists_on_pkce_is_connected_without_one(server, admin):
    switch(server, require_secret=False, require_pkce=True, rotate_refresh_tokens=True)
    secrets = {"client_id": server.world.salesforce.desk.client_id}

    connected, _ = connect(connection_add("salesforce", change(server, secrets=secrets), admin), admin)
    Connection.objects.update(refresh_used_at=timezone.now() - timedelta(days=2))

    assert tokens_keep_alive() == {"Salesforce": "renewed"}
    assert Connection.objects.get().secrets["refresh_token"] != connected.secrets["refresh_token"]


def test_denied_consent_and_consent_without_a_refresh_token_leave_it_as_it_was(server, admin):
    connection = connection_add("salesforce", change(server), admin)

    with pytest.raises(ConnectRefused, match="Access was denied"):
        connect(connection, admin, deny="1")
    switch(server, scopes="api")
    with pytest.raises(ConnectRefused, match="without a refresh token"):
        connect(connection, admin)

    connection.refresh_from_db()
    assert not connection.is_connected and "candidate" not in connection.secrets


# --- without a person ------------------------------------------------------------------------------------------------


def test_by_certificate_it_is_signed_for_the_user_and_nothing_has_to_be_connected(server, admin):
    trust(server)
    connection = connection_add("salesforce", by_certificate(server, days=20), admin)
    assert connection.is_connected and not connection.needs_consent
    with pytest.raises(ConnectRefused, match="needs no log-in in the browser"):
        connect_begin(connection, admin, BACK)

    lines = connection_test(connection)

    assert all(line.is_ok for line in lines), lines
    connection.refresh_from_db()
    assert connection.connected_as.startswith(USERNAME) and connection.settings["organisation_id"]
    (expiry,) = connection.expiries(timezone.now())
    assert expiry.is_near and "the certificate ends in 20 days" in expiry.sentence
    assert set(connection.settings["certificate"]) == {"fingerprint", "subject", "ends_on"}
    assert "PRIVATE" not in str(connection.settings) + str(list(AuditEntry.objects.values()))
    assert tokens_keep_alive() == {}


def test_what_salesforce_refuses_of_a_certificate_is_told_without_asking_for_a_reconnect(server, admin):
    trust(server, "b")
    connection = connection_add("salesforce", by_certificate(server), admin)

    (line,) = connection_test(connection)

    connection.refresh_from_db()
    assert connection.state == "needs_attention" and "certificate" in line.sentence
    assert "Press Reconnect" not in line.sentence + line.remedy


def test_a_certificate_is_replaced_and_kept_when_no_file_is_chosen(server, admin):
    trust(server)
    connection = connection_add("salesforce", by_certificate(server), admin)
    connection_test(connection)
    first = Connection.objects.get()

    connection_save(first, change(server, "jwt", own={"jwt_user": USERNAME}, secrets={}), admin)
    kept = Connection.objects.get()
    assert (kept.secrets["jwt_key"], kept.settings["certificate"]) == (first.secrets["jwt_key"], first.settings["certificate"])
    assert kept.secret_expires_on == first.secret_expires_on and kept.secrets["access_token"] == first.secrets["access_token"]

    connection_save(first, by_certificate(server, "b", secrets={}), admin)
    replaced = Connection.objects.get()
    assert replaced.secrets["jwt_key"] != first.secrets["jwt_key"] and replaced.settings["certificate"] != first.settings["certificate"]
    assert AuditEntry.objects.first().detail["secrets_replaced"] == ["jwt_key"]


def test_the_app_logs_in_as_itself(server, admin):
    connection = connection_add("salesforce", change(server, "client_credentials"), admin)

    assert connection.is_connected and all(line.is_ok for line in connection_test(connection))
    switch(server, has_run_as_user=False)
    Connection.objects.update(secrets={k: v for k, v in connection.secrets.items() if k.startswith("client")})
    (line,) = connection_test(connection)
    assert not line.is_ok and "the user the app runs as" in line.sentence


def test_another_way_to_log_in_forgets_the_tokens_and_the_key_of_the_earlier_one(server, admin):
    trust(server)
    connection = connection_add("salesforce", by_certificate(server), admin)
    connection_test(connection)
    assert Connection.objects.get().secrets["access_token"]

    connection_save(connection, change(server, secrets={}), admin)

    row = Connection.objects.get()
    assert set(row.secrets) == {"client_id", "client_secret"} and "certificate" not in row.settings and row.needs_consent
    assert row.secret_expires_on is None and not row.is_connected


# --- what is refused -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("bad", "said"),
    [
        ({"secrets": {}}, "Consumer Key"),
        ({"flow": "jwt"}, "Choose the private key and its certificate"),
        ({"flow": "jwt", "secrets": {}}, "Choose the private key"),
        ({"flow": "client_credentials", "secrets": {"client_id": "x"}}, "needs client id and secret"),
        ({"flow": "client_credentials", "base_url": "https://login.salesforce.com"}, "own domain only"),
        ({"flow": "password"}, "no way to log in called 'password'"),
        ({"own": {"api_version": "sixty"}}, "has no API version"),
        ({"own": {"external_id_field": "Sync Key"}}, "by its API name"),
        ({"own": {"external_id_field": "Id) OR (Name"}}, "by its API name"),
        ({"own": {"external_id_field": "Email"}}, "by its API name"),
        ({"base_url": "https://salesforce.com.evil.example"}, "is reached at"),
        ({"base_url": "http://acme.my.salesforce.com"}, "plain http"),
        ({"base_url": ""}, "is no"),
        ({"page_address_template": "https://acme.lightning.force.com/x"}, "needs {id}"),
    ],
)
def test_what_a_salesforce_connection_must_not_have_is_refused_and_nothing_is_stored(server, admin, bad, said):
    if "base_url" in bad:
        bad = bad | {"login_url": bad["base_url"]}

    with pytest.raises(ConnectionRefused, match=said):
        connection_add("salesforce", change(server, **bad), admin)

    assert not Connection.objects.exists() and not AuditEntry.objects.exists()


def test_by_certificate_needs_a_user_name(server, admin):
    with pytest.raises(ConnectionRefused, match="needs client id, user name and private key"):
        connection_add("salesforce", by_certificate(server, user=""), admin)


@pytest.mark.parametrize("name", ["", "Sync_Key__c", "acme__Key__c", "K__c"])
def test_the_key_field_goes_by_any_api_name_of_a_custom_field_or_by_none(server, admin, name):
    connection = connection_add("salesforce", change(server, own={"external_id_field": name}), admin)

    assert connection.settings["external_id_field"] == name
    assert open_connector(connection).marker_field == name and len(key_fields(connection)) == (4 if name else 0)


def test_a_move_to_another_host_needs_the_secret_anew_and_forgets_tokens(server, admin):
    connection, _ = connect(connection_add("salesforce", change(server), admin), admin)
    elsewhere = {"base_url": "https://acme.my.salesforce.com", "login_url": "https://acme.my.salesforce.com"}

    with pytest.raises(ConnectionRefused, match="enter client id, client secret anew"):
        connection_save(connection, change(server, secrets={}, **elsewhere), admin)
    connection_save(connection, change(server, **elsewhere), admin)

    assert set(Connection.objects.get().secrets) == {"client_id", "client_secret"}


def test_credentials_of_another_organisation_are_not_stored_once_records_are_linked(server, admin):
    connection = connection_add("salesforce", change(server, "client_credentials"), admin)
    connection_test(connection)
    connection.refresh_from_db()
    link(connection)
    other = SandboxServer(World(scenario="empty", seed=7), 0).start()
    try:
        from reconciliation.engine.wiring import Wiring

        with pytest.raises(ConnectionRefused, match="records linked so far are of another organisation"):
            connection_save(connection, change(other, "client_credentials"), admin, wiring=Wiring())
        with pytest.raises(ConnectionRefused, match="could not be asked: .* Nothing was stored"):
            wrong = {"client_id": "nobody", "client_secret": "nothing"}
            connection_save(connection, change(server, "client_credentials", secrets=wrong), admin, wiring=Wiring())
    finally:
        other.stop()

    row = Connection.objects.get(pk=connection.pk)
    assert row.secrets["client_id"] == server.world.salesforce.desk.client_id and "candidate" not in row.secrets
    connection_save(connection, change(server, "client_credentials"), admin, wiring=Wiring())  # the same one, entered anew
    Connection.objects.filter(pk=connection.pk).update(settings={**row.settings, "organisation_id": "00D000000000009EAA"})
    assert "records linked so far are of" in by_name(connection_test(connection))["Who we are there"].sentence


# --- what a test tells -----------------------------------------------------------------------------------------------


@pytest.fixture
def connection(server, admin):
    return connection_add("salesforce", change(server, "client_credentials"), admin)


@pytest.mark.parametrize(
    ("lacking", "name", "said"),
    [
        ({"hidden_objects": ["Lead"]}, "Read leads", "permission set Read on Lead"),
        ({"hidden_fields": ["Contact.Email"]}, "Read contacts", "make Email visible"),
        ({"scopes": "refresh_token"}, "Use the API", ""),
    ],
)
def test_each_missing_right_is_named_with_who_gives_it(server, connection, lacking, name, said):
    switch(server, **lacking)

    line = by_name(connection_test(connection))[name]

    assert not line.is_ok and said in line.remedy
    assert Connection.objects.get().state == "needs_attention"


def test_without_the_key_field_its_definition_is_shown_and_creates_look_first(server, connection):
    switch(server, removed_fields=["Contact.Sync_Key__c", "Lead.Sync_Key__c"])

    lines = by_name(connection_test(connection))

    row = Connection.objects.get()
    fields = {f.definition.object_type: f for f in key_fields(row)}
    assert row.state == "ok" and row.settings["without_external_id"] == ["Contact", "Lead"]
    assert [fields[n].is_there for n in ("Contact", "Lead", "Account")] == [False, False, True]
    made = fields["Contact"].definition
    assert (made.label, made.api_name, made.data_type) == ("Sync Key", "Sync_Key__c", "Text(255)")
    assert "External ID" in made.ticked and "case insensitive" in made.ticked
    assert "Creates look for the record before they make it" in lines["Key of contacts"].sentence
    assert not lines["Other engines on these leads"].is_warning  # looked at without it

    switch(server, removed_fields=[])
    connection_test(row)
    assert "without_external_id" not in Connection.objects.get().settings


def test_a_test_that_sees_no_object_leaves_what_was_known_of_its_key_field(server, connection):
    Connection.objects.update(settings={**connection.settings, "without_external_id": ["Lead"]})
    switch(server, hidden_objects=["Lead"])

    connection_test(Connection.objects.get())

    assert Connection.objects.get().settings["without_external_id"] == ["Lead"]


# --- beside the others -----------------------------------------------------------------------------------------------


def test_salesforce_and_outreach_alone_make_the_two_way_passes_switched_off(server, admin):
    connection_add("salesforce", change(server), admin)
    assert not SyncPass.objects.exists()
    secrets = {"client_id": "id", "client_secret": "secret"}
    connection_add("outreach", ConnectionChange("Outreach", server.urls["outreach"], "https://x.example/{id}", 2, secrets), admin)

    assert list(SyncPass.objects.order_by("pk").values_list("name", "is_on", "switched_on_at")) == [
        ("prospects", False, None),
        ("accounts", False, None),
        ("outreach-activities", False, None),
    ]
    assert RecordType.objects.count() == 3 and AuditEntry.objects.filter(action="make pass").count() == 3


def test_salesforce_joins_a_pair_that_is_there_and_nothing_of_the_pair_is_made_again(server, admin):
    make(is_real=True)
    before = SyncPass.objects.values().get()

    connection_add("salesforce", change(server), admin)

    assert SyncPass.objects.values().get(name="organisations") == before
    made = AuditEntry.objects.filter(action="make pass").values_list("subject", flat=True)
    assert set(made) == {"Prospects", "Salesforce accounts", "Outreach activities"}
    with pytest.raises(ConnectionRefused, match="There is a connection “Salesforce” already"):
        connection_add("salesforce", change(server, name="Second"), admin)


def test_a_real_salesforce_does_not_meet_the_sandboxes_systems(server, admin):
    make()

    with pytest.raises(ConnectionRefused, match="installation of their own"):
        connection_add("salesforce", change(server), admin)

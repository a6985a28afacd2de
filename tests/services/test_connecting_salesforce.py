"""Connecting Salesforce in the browser: its own log-in page, its own token path, and an organisation told by its id."""

from datetime import UTC, datetime
from urllib.parse import parse_qs, urlsplit

import pytest
from django.contrib.auth import get_user_model

from reconciliation.engine.connections import open_connector, open_http
from reconciliation.engine.wiring import Wiring
from reconciliation.models import Binding, Connection
from reconciliation.services.oauth import ConnectRefused, connect_begin, connect_finish
from reconciliation.services.tokens import tokens_keep_alive
from tests.connectors.salesforce_wire import HOME, IDENTITY, LOGIN, TOKEN_ROUTE, Org, given, page, row
from tests.connectors.wire import Said
from tests.sandboxed import make

pytestmark = pytest.mark.django_db
BACK = "https://sync.example/connect/back/"
NOW = datetime(2026, 11, 1, 10, tzinfo=UTC)


@pytest.fixture
def admin():
    return get_user_model().objects.create_user("ada", is_staff=True)


@pytest.fixture
def connection():
    secrets = {"client_id": "client-1", "client_secret": "client-secret-1"}
    return Connection.objects.create(name="Salesforce", system="salesforce", base_url=LOGIN, login_url=LOGIN, secrets=secrets)


def wired(org):
    def connect(row, **options):
        return open_connector(row, adapter=org, db_now=lambda: NOW, **options)

    def dial(row, **options):
        return open_http(row, adapter=org, **options)

    return Wiring(open_connector=connect, open_http=dial)


def organisation(identity=IDENTITY, address=HOME):
    tokens = given("00D!first-access", refresh_token="refresh-1", scope="refresh_token api", id=identity, instance_url=address)
    return Org({TOKEN_ROUTE: tokens, "GET /query": page(row(1, "User", Username="jo@acme.example"))})


def connect(connection, admin, org):
    url, state, flow = connect_begin(connection, admin, BACK)
    return url, connect_finish(flow.as_dict(), {"code": "the-code", "state": state}, admin, wired(org))


def test_a_person_logs_in_at_salesforce_and_the_answer_says_where_its_records_are(connection, admin):
    org = organisation()

    url, (connected, identity) = connect(connection, admin, org)

    assert url.startswith(f"{LOGIN}/services/oauth2/authorize?") and parse_qs(urlsplit(url).query)["scope"] == ["api refresh_token"]
    form = dict(org.form(0))
    assert org.requests[0].url == f"{LOGIN}/services/oauth2/token"
    assert (form["code"], form["redirect_uri"], bool(form["code_verifier"])) == ("the-code", BACK, True)
    assert str(identity) == "jo@acme.example at acme.my.salesforce.com" and connected.connected_as == str(identity)
    assert (connected.secrets["address"], connected.secrets["refresh_token"]) == (
        HOME,
        "refresh-1",
    ) and "candidate" not in connected.secrets
    assert connected.settings["organisation_id"] == "00DAA00000000012AA"
    assert tokens_keep_alive(wired(org)) == {}  # it was used just now


def test_a_renamed_organisation_is_the_same_and_another_one_is_refused(connection, admin):
    box = make()
    connect(connection, admin, organisation())
    Binding.objects.create(
        sync_pass=box.sync_pass, crm_type="organisation", crm_id="1", peer_type="account", peer_id="1", bound_at=NOW, synced_at=NOW
    )
    type(box.sync_pass).objects.update(crm=connection)
    other = f"{LOGIN}/id/00D000000000009EAA/005AA0000000001YAA"

    renamed = "https://acme-renamed.my.salesforce.com"
    _, (connected, _) = connect(connection, admin, organisation(address=renamed))
    with pytest.raises(ConnectRefused, match="the records linked so far"):
        connect(connection, admin, organisation(identity=other))

    assert connected.secrets["address"] == renamed
    assert Connection.objects.get(pk=connection.pk).secrets["address"] == renamed


def test_an_app_that_salesforce_does_not_know_is_told_in_those_words(connection, admin):
    org = Org({TOKEN_ROUTE: Said(400, {"error": "invalid_client_id", "error_description": "client identifier invalid"})})

    with pytest.raises(ConnectRefused, match="does not know this client id"):
        connect(connection, admin, org)


def test_an_idle_refresh_token_is_renewed_daily(connection, admin):
    org = organisation()
    connect(connection, admin, org)
    Connection.objects.update(refresh_used_at=datetime(2020, 1, 1, tzinfo=UTC))
    org.routes[TOKEN_ROUTE] = [given("00D!second-access", refresh_token="refresh-2")]

    assert tokens_keep_alive(wired(org)) == {"Salesforce": "renewed"}
    assert Connection.objects.get(pk=connection.pk).secrets["refresh_token"] == "refresh-2"

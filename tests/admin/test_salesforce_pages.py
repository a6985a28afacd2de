"""The pages of a Salesforce connection: its form, its consent flow over real HTTP, and that no page shows what is secret."""

import re
from urllib.parse import parse_qsl, urlsplit

import pytest
import requests
from django.core.files.uploadedfile import SimpleUploadedFile
from django.core.management import call_command
from django.db import connection as database
from django.test.utils import CaptureQueriesContext

from connectors.sandbox.server import SandboxServer
from connectors.sandbox.world import World
from reconciliation.models import AuditEntry, Connection, SyncPass
from tests.admin.test_connecting_pages import log_in
from tests.admin.test_pages import HOSTILE
from tests.sandboxed import make
from tests.services.pairs import certificate_of, pem_of, rsa_key

pytestmark = pytest.mark.django_db
NEW = "/connections/add/salesforce/"


@pytest.fixture(scope="module")
def running():
    server = SandboxServer(World(scenario="empty"), 0).start()
    yield server
    server.stop()


@pytest.fixture
def server(running, client):
    running.world.reset("empty")
    call_command("migrate", verbosity=0)
    client.defaults["SERVER_NAME"] = "127.0.0.1"
    log_in(client, "ada")
    return running


def values(server, **changes):
    desk = server.world.salesforce.desk
    start = {
        "name": "Salesforce",
        "login_host": "own",
        "own_domain": server.urls["salesforce"],
        "flow": "web",
        "api_version": "66.0",
        "external_id_field": "Sync_Key__c",
        "settle_seconds": "10",
        "client_id": desk.client_id,
        "client_secret": desk.client_secret,
    }
    return start | changes


def files(name="a", **options):
    key, certificate = pem_of(rsa_key(name)), certificate_of(rsa_key(name), **options)
    return {"jwt_key_file": SimpleUploadedFile("k.pem", key), "jwt_certificate_file": SimpleUploadedFile("c.crt", certificate)}


def add(client, server, **changes):
    return client.post(NEW, values(server, **changes), follow=True)


def allow(url):
    answer = requests.post(url.partition("?")[0], data=dict(parse_qsl(urlsplit(url).query)), allow_redirects=False, timeout=10)
    back = urlsplit(answer.headers["Location"])
    return f"{back.path}?{back.query}"


def switch(server, **switches):
    requests.post(f"{server.urls['control']}/switches", json={"salesforce": switches}, timeout=10).raise_for_status()


def secrets_in(text):
    kept = [v for row in Connection.objects.all() for k, v in row.secrets.items() if k not in ("client_id", "address", "identity")]
    lines = [line for value in kept for line in str(value).splitlines() if len(line) > 8 and "PRIVATE KEY" not in line]
    return [line[:6] for line in lines if line in text]


def test_the_form_says_where_each_value_is_found(client, server):
    page = client.get(NEW).content.decode()

    for said in (
        "External Client App Manager",
        "Current My Domain URL",
        "Consumer Key",
        "http://127.0.0.1/connections/callback/",
        "<code>api</code>",
        "<code>refresh_token</code>",
        "Production (login.salesforce.com)",
        "Sandbox (test.salesforce.com)",
        "web server flow with PKCE",
        "JWT bearer flow",
        "client credentials flow",
        "openssl req -x509",
        'value="Sync_Key__c"',
        "creates look for the record before they make it",
    ):
        assert said in page, said
    described = re.findall(r'aria-describedby="([\w-]+)"', page)
    assert described and all(f'id="{name}"' in page for name in described)
    assert 'enctype="multipart/form-data"' in page and "Add Salesforce" in client.get("/connections/").content.decode()


@pytest.mark.parametrize(
    ("host", "own", "address"),
    [
        ("production", "ignored", "https://login.salesforce.com"),
        ("test", "", "https://test.salesforce.com"),
        ("own", "acme", "https://acme.my.salesforce.com"),
        ("own", " acme--uat.sandbox.my.salesforce.com/ ", "https://acme--uat.sandbox.my.salesforce.com"),
    ],
)
def test_people_log_in_at_the_host_that_was_chosen_and_it_comes_back_in_the_form(client, server, host, own, address):
    add(client, server, login_host=host, own_domain=own)

    row = Connection.objects.get()
    assert (row.base_url, row.login_url) == (address, address)
    page = client.get(f"/connections/{row.pk}/").content.decode()
    assert f'<option value="{host}" selected>' in page and (f'value="{address}"' in page) == (host == "own")
    location = client.post(f"/connections/{row.pk}/connect/").headers["Location"]
    assert location.startswith(f"{address}/services/oauth2/authorize?") and "code_challenge_method=S256" in location


def test_a_person_connects_it_over_real_http_and_comes_back_to_what_was_tested(client, server):
    page = add(client, server)
    assert "Register the redirect URI below with your Salesforce app, then press Connect" in page.content.decode()
    row = Connection.objects.get()

    out = client.post(f"/connections/{row.pk}/connect/").headers["Location"]
    back = allow(out)
    text = client.get(back, follow=True).content.decode()

    assert "is connected as sync.service@seller.example" in text and "what it needs was tested" in text
    assert "Creates are recognised by Sync_Key__c" in text and "Reconnect" in text and text.count(">there<") == 4
    assert "belongs to no log-in that you began here" in client.get(back, follow=True).content.decode()  # good once
    row.refresh_from_db()
    assert row.state == "ok" and row.connected_by == "ada"
    for address in ("/connections/", f"/connections/{row.pk}/", "/audit/", "/"):
        assert secrets_in(client.get(address).content.decode()) == [], address
    assert secrets_in(str(list(AuditEntry.objects.values()))) == []


def test_by_certificate_the_page_shows_fingerprint_subject_and_end_and_nothing_else_of_it(client, server):
    switch(server, jwt_certificate=certificate_of(rsa_key()).decode())
    given = files(subject="sync of Acme", days=20)

    page = add(client, server, flow="jwt", jwt_user="sync.service@seller.example", **given).content.decode()

    row = Connection.objects.get()
    own = row.settings["certificate"]
    assert "is added and was tested" in page and row.state == "ok" and row.secrets["jwt_key"].startswith("-----BEGIN PRIVATE KEY")
    assert own["fingerprint"] in page and "CN=sync of Acme" in page and own["ends_on"] in page
    assert "the certificate ends in 20 days" in page and "Press Connect" not in page and ">Connect</button>" not in page
    for address in ("/", "/connections/", f"/connections/{row.pk}/", "/audit/"):
        text = client.get(address).content.decode()
        assert secrets_in(text) == [] and "BEGIN PRIVATE KEY" not in text, address
    assert secrets_in(str(list(AuditEntry.objects.values()))) == []
    refused = client.post(f"/connections/{row.pk}/connect/", follow=True).content.decode()
    assert "needs no log-in in the browser" in refused


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"login_host": "own", "own_domain": ""}, "Enter your own My Domain"),
        ({"login_host": "own", "own_domain": "https://evil.example"}, "Salesforce is reached at *.salesforce.com"),
        ({"flow": "jwt", "jwt_user": "x"}, "Choose the private key and its certificate"),
        ({"flow": "nonsense"}, "There is no way to log in called"),
        ({"api_version": "66"}, "has no API version"),
        ({"external_id_field": HOSTILE[:60]}, "by its API name"),
        ({"integration_users": "003AA0000000001YAA"}, "no id of a user"),
        ({"client_id": "", "client_secret": ""}, "Consumer Key"),
        ({"settle_seconds": "²"}, "between 0 and 3,600 seconds"),
        ({"jwt_key_file": SimpleUploadedFile("k", b"\xff\x00 no key")}, "Choose one private key and its certificate"),
        ({"jwt_key_file": SimpleUploadedFile("k", b"x" * 3_000_000)}, "no such file"),
    ],
)
def test_what_cannot_be_is_refused_with_a_sentence_and_what_was_typed_stays_but_no_secret(client, server, changes, said):
    page = add(client, server, **{"name": "My <CRM>", **changes}).content.decode()

    assert "Nothing was added." in page and said in page and 'value="My &lt;CRM&gt;"' in page
    assert server.world.salesforce.desk.client_secret not in page and "<script>alert" not in page
    assert not Connection.objects.exists()


def test_what_is_saved_comes_back_and_a_blank_secret_keeps_what_is_there(client, server):
    add(client, server)
    row = Connection.objects.get()

    change = values(
        server,
        client_id="",
        client_secret="",
        external_id_field="",
        api_version="60.0",
        name="Our CRM",
        integration_users="005AA0000000001\n005AA0000000001YAA",
    )
    client.post(f"/connections/{row.pk}/", change)

    row.refresh_from_db()
    assert (row.name, row.settings["external_id_field"], row.settings["api_version"]) == ("Our CRM", "", "60.0")
    assert row.settings["integration_users"] == ["005AA0000000001YAA"]
    assert row.secrets["client_secret"] == server.world.salesforce.desk.client_secret
    page = client.get(f"/connections/{row.pk}/").content.decode()
    assert 'value="60.0"' in page and "No key field is named" in page and "Client secret (is set)" in page


def test_where_the_key_field_is_missing_the_page_shows_its_exact_definition(client, server):
    switch(server, removed_fields=["Lead.Sync_Key__c"])
    page = add(client, server, flow="client_credentials").content.decode()

    assert "There is no field Sync_Key__c for leads" in page and "Text(255)" in page and "Sync Key" in page
    assert "External ID; Unique, case insensitive" in page and page.count(">there<") == 3 and page.count(">look<") >= 1
    assert "a weaker guarantee" in page


def test_an_operator_sees_none_of_it_and_changes_nothing(client, server):
    add(client, server)
    row = Connection.objects.get()
    out = client.post(f"/connections/{row.pk}/connect/").headers["Location"]
    back = allow(out)
    log_in(client, "olga", "operator")

    for address in (NEW, f"/connections/{row.pk}/", back):
        assert client.get(address).status_code == 403
    assert client.post(NEW, values(server)).status_code == client.post(f"/connections/{row.pk}/", values(server)).status_code == 403
    assert client.post(f"/connections/{row.pk}/connect/").status_code == client.post(f"/connections/{row.pk}/test/").status_code == 403


def test_hostile_values_of_salesforce_are_escaped_and_pages_stay_cheap(client, server):
    box = make(with_salesforce=True)
    row = Connection.objects.get(system="salesforce")
    line = {"name": "Key of leads", "is_ok": True, "sentence": HOSTILE, "remedy": HOSTILE, "is_warning": True, "passes": False}
    own = {**row.settings, "certificate": {"subject": HOSTILE, "fingerprint": HOSTILE, "ends_on": "2027-01-01"}, "flow": "jwt"}
    secrets = {**row.secrets, "jwt_key": "planted-key"}
    Connection.objects.filter(pk=row.pk).update(checks=[line], settings=own, secrets=secrets, connected_as=HOSTILE[:200])
    client.get("/")

    for where in ("/", "/connections/", f"/connections/{row.pk}/", "/schedule/", "/setup/", "/mappings/"):
        with CaptureQueriesContext(database) as queries:
            answer = client.get(where)
        text = answer.content.decode()
        assert answer.status_code == 200 and "<script>alert" not in text and "planted-key" not in text, where
        assert len(queries) <= 12, (where, len(queries), [q["sql"][:90] for q in queries])
    assert "&lt;script&gt;alert" in client.get(f"/connections/{row.pk}/").content.decode()
    assert SyncPass.objects.count() == 8 and box.sync_pass.name == "organisations"


def test_d32_the_schedule_page_says_why_accounts_stay_off(client, server):
    make(with_salesforce=True)
    values = {"interval_seconds": 600, "time_budget_seconds": 50, "full_every_days": 7, "blanking_count": 50, "blanking_percent": 30}

    given = {"name": "accounts", "accounts-is_on": "on", **{f"accounts-{n}": v for n, v in values.items()}}
    page = client.post("/schedule/", given, follow=True).content.decode()

    assert "Nothing was saved. Workbooks (sandbox) is synced with Outreach (sandbox) already; an account holds one key" in page
    assert not SyncPass.objects.get(name="accounts").is_on

"""The pages of a connection to Microsoft 365 or Google: forms, uploads and an administrator's consent over real HTTP."""

import json
from urllib.parse import parse_qsl, urlsplit

import pytest
import requests
from django.core.files.uploadedfile import SimpleUploadedFile

from connectors.google.scopes import CONTACTS, DIRECTORY
from connectors.microsoft import scopes
from connectors.sandbox.server import SandboxServer
from connectors.sandbox.world import World
from reconciliation.models import Connection
from tests.admin.test_connecting_pages import log_in

pytestmark = pytest.mark.django_db


@pytest.fixture(scope="module")
def running():
    server = SandboxServer(World(scenario="empty"), 0).start()
    yield server
    server.stop()


@pytest.fixture
def server(running, client):
    running.world.reset("empty")
    client.defaults["SERVER_NAME"] = "127.0.0.1"
    log_in(client, "ada")
    return running


def common(server, system):
    address = server.urls[system]
    return {"name": system, "base_url": address, "login_url": address, "settle_seconds": "0"}


def add_microsoft(client, server):
    given = server.world.microsoft.credentials()
    own = {"flow": "client_credentials", "proof": "secret", **{n: given[n] for n in ("tenant", "client_id", "client_secret")}}
    return client.post("/connections/add/microsoft/", common(server, "microsoft") | own, follow=True)


def add_google(client, server, data):
    own = {"flow": "service_account", "service_account_file": SimpleUploadedFile("key.json", data)}
    return client.post("/connections/add/google/", common(server, "google") | own, follow=True)


def ask_consent(client, row):
    return client.post(f"/connections/{row.pk}/consent/")["Location"]


@pytest.mark.parametrize("role", ["viewer", "operator"])
@pytest.mark.parametrize("system", ["microsoft", "google"])
def test_only_admins_connect_mail_systems(server, client, role, system):
    row = Connection.objects.create(name="There", system=system, base_url=server.urls[system])
    log_in(client, "oscar", role)
    for path in (f"add/{system}/", f"{row.pk}/"):
        assert client.get(f"/connections/{path}").status_code == 403
    assert client.post(f"/connections/{row.pk}/consent/").status_code == 403
    assert client.post(f"/connections/add/{system}/", {}).status_code == 403


def test_what_to_tick_stands_on_the_form_before_anything_is_entered(server, client):
    page = client.get("/connections/add/microsoft/").content.decode()
    assert all(p.name in page and p.purpose in page for p in scopes.APP) and "All of them, to copy" in page
    page = client.get("/connections/add/google/").content.decode()
    assert all(s.name in page and s.purpose in page for s in (CONTACTS, DIRECTORY)) and "multipart/form-data" in page
    offered = client.get("/connections/").content.decode()
    assert "Add Microsoft 365" in offered and "Add Google" in offered


def test_microsoft_is_added_tested_and_consented_to(server, client):
    page = add_microsoft(client, server).content.decode()
    row = Connection.objects.get(system="microsoft")
    assert row.state == "ok" and "is added and was tested" in page and "Ask for consent" in page
    assert row.secrets["client_secret"] not in page

    url = ask_consent(client, row)
    asked = dict(parse_qsl(urlsplit(url).query))
    assert asked["client_id"] == row.secrets["client_id"] and asked["redirect_uri"].endswith("/connections/callback/")
    back = {"admin_consent": "True", "tenant": row.settings["tenant"], "state": asked["state"]}
    assert requests.get(url, timeout=10).status_code == 200
    assert "has the consent" in client.get("/connections/callback/", back, follow=True).content.decode()
    row.refresh_from_db()
    assert row.settings["consented_by"] == "ada"

    again = client.get("/connections/callback/", back, follow=True).content.decode()
    assert "belongs to no log-in that you began here" in again  # a state is good once


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        ({"error": "access_denied"}, "did not consent"),
        ({"error": "<b>odd</b>"}, "&lt;b&gt;odd&lt;/b&gt;"),
        ({"admin_consent": "True", "state": "another"}, "belongs to no log-in that you began here"),
    ],
)
def test_a_consent_that_came_to_nothing_is_told_and_keeps_nothing(server, client, answer, said):
    add_microsoft(client, server)
    row = Connection.objects.get(system="microsoft")
    state = dict(parse_qsl(urlsplit(ask_consent(client, row)).query))["state"]
    page = client.get("/connections/callback/", {"state": state, **answer}, follow=True).content.decode()
    row.refresh_from_db()
    assert said in page and "consented_at" not in row.settings


def test_google_is_added_by_its_key_file_and_shows_all_of_it_but_the_key(server, client):
    key = server.world.google.desk.account.key_file("https://elsewhere.example/token")
    page = add_google(client, server, json.dumps(key).encode()).content.decode()
    assert Connection.objects.get(system="google").secrets["service_account"]["private_key"].strip() == key["private_key"].strip()
    assert key["client_email"] in page and key["client_id"] in page and key["private_key_id"] in page
    assert "PRIVATE KEY" not in page and key["private_key"].splitlines()[1] not in page


@pytest.mark.parametrize("data", [b"hidden-word", b'{"web": {"client_secret": "hidden-word"}}', b'{"type": "hidden-word"}'])
def test_a_wrong_file_adds_nothing_and_is_not_repeated(server, client, data):
    page = add_google(client, server, data).content.decode()
    assert "Nothing was added." in page and "hidden-word" not in page and not Connection.objects.exists()

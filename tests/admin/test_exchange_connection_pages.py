"""The page of a connection to Exchange on premises: what an admin enters and uploads, and what the test says of it."""

import html
import re

import pytest
from django.contrib.auth.models import Group, User
from django.core.files.uploadedfile import SimpleUploadedFile
from django.core.management import call_command

from connectors.exchange import library
from connectors.sandbox.server import SandboxServer
from connectors.sandbox.world import World
from reconciliation.models import AuditEntry, Connection
from reconciliation.services import exchange
from reconciliation.services.mailboxes import mailbox_add
from reconciliation.services.set_up import contacts_pass
from reconciliation.views import mail_form
from tests.boxes import connect_salesforce
from tests.services.pairs import certificate_of, rsa_key

pytestmark = pytest.mark.django_db


@pytest.fixture(scope="module")
def running():
    server = SandboxServer(World(scenario="empty"), 0).start()
    yield server
    server.stop()


@pytest.fixture
def server(running):
    call_command("migrate", verbosity=0)
    running.world.reset("empty")
    return running


@pytest.fixture
def admin(client):
    client.defaults["SERVER_NAME"] = "127.0.0.1"
    user = User.objects.create_user("ada", is_staff=True)
    user.groups.set([Group.objects.get(name="admin")])
    client.force_login(user)
    return client


def text(answer):
    assert answer.status_code == 200, answer.status_code
    return html.unescape(re.sub(r"\s+", " ", answer.content.decode()))


def entered(server, **changes):
    given = server.world.exchange.credentials()
    own = {"user": given["username"], "password": given["password"], "proof": "basic", "version": "Exchange2016", "directory": "list"}
    return {"name": "Exchange", "base_url": server.urls["exchange"], "settle_seconds": "0", "mailboxes": "", **own, **changes}


def test_adding_it_tests_it_and_shows_no_password(server, admin):
    blank = text(admin.get("/connections/add/exchange/"))
    for word in ("ApplicationImpersonation", "SYSTEM_HOSTS", "syncsite/1.0", "/EWS/Exchange.asmx", "ACME\\sync"):
        assert word in blank, word
    emma, erik = server.world.exchange.credentials()["mailboxes"]

    page = text(admin.post("/connections/add/exchange/", entered(server, mailboxes=f"{emma}\n{erik}\n\n{emma}"), follow=True))

    row = Connection.objects.get()
    assert "is added and was tested" in page and "The server knows the service account." in page and "The list names 2 mailboxes." in page
    assert row.secrets["password"] not in page and row.state == Connection.State.OK and row.settings["mailboxes"] == [emma, erik]
    assert row.is_connected and not row.needs_consent and row.secret_name == "password"
    assert row.secrets["password"] not in str(list(AuditEntry.objects.values_list("detail", flat=True)))


def test_what_cannot_be_is_refused_with_a_sentence_and_nothing_is_stored(server, admin):
    refused = {
        "Enter the user of the service account": {"user": " "},
        "no way to sign in called": {"proof": "kerberos"},
        "no version called": {"version": "Exchange2030"},
        "no time zone called 'Mars/Olympus'": {"zone": "Mars/Olympus"},
        "is no e-mail address": {"mailboxes": "emma@example.test\nnobody"},
        "Enter the password of the service account.": {"password": ""},
        "Another host must be allowed first": {"base_url": "https://mail.acme.example"},
        "No certificate was found": {"authorities_file": SimpleUploadedFile("a.pem", b"?")},
    }
    for sentence, change in refused.items():
        page = text(admin.post("/connections/add/exchange/", entered(server, **change), follow=True))
        assert sentence in page, sentence
    assert not Connection.objects.exists()


def test_the_time_zone_is_chosen_and_one_that_was_set_otherwise_stays(server, admin, settings):
    settings.TIME_ZONE = "Europe/Paris"
    assert "<option selected>Europe/Paris</option>" in text(admin.get("/connections/add/exchange/"))
    admin.post("/connections/add/exchange/", entered(server, zone="Europe/Berlin"))
    row = Connection.objects.get()
    assert row.settings["zone"] == "Europe/Berlin"

    address = f"/connections/{row.pk}/"
    assert "<option selected>Europe/Berlin</option>" in text(admin.get(address))
    admin.post(address, entered(server, password="", zone="America/New_York"))
    row.refresh_from_db()
    assert row.settings["zone"] == "America/New_York"
    Connection.objects.filter(pk=row.pk).update(settings={**row.settings, "zone": "W. Europe Standard Time"})
    assert "<option selected>W. Europe Standard Time</option>" in text(admin.get(address))
    admin.post(address, entered(server, password="", zone="W. Europe Standard Time", name="Other"))
    row.refresh_from_db()
    assert (row.name, row.settings["zone"]) == ("Other", "W. Europe Standard Time")


def test_authorities_are_kept_until_they_are_forgotten_and_shown_by_name(server, admin):
    pem = certificate_of(rsa_key(), subject="<b>Acme & Sons")
    key = b"-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n"
    file = SimpleUploadedFile("a.pem", key + pem)
    page = admin.post("/connections/add/exchange/", entered(server, authorities_file=file), follow=True)
    row = Connection.objects.get()
    assert row.settings[exchange.AUTHORITIES].encode() == pem and "<b>Acme" not in page.content.decode()
    assert "Acme & Sons" in text(page)

    address = f"/connections/{row.pk}/"
    admin.post(address, entered(server, password="", name="Other"))
    row.refresh_from_db()
    assert row.name == "Other" and row.settings[exchange.AUTHORITIES].encode() == pem and row.secrets["password"]

    admin.post(address, entered(server, password="", forgets_authorities="on"))
    row.refresh_from_db()
    assert exchange.AUTHORITIES not in row.settings and "authority_names" not in row.settings


def test_the_test_says_whether_the_account_may_act_as_the_user_of_a_mailbox(server, admin):
    admin.post("/connections/add/exchange/", entered(server))
    row = Connection.objects.get()
    contacts_pass(connect_salesforce(server.world), row)
    mailbox_add(row, "emma@example.test", None)
    server.world.exchange.set_switches({"impersonation": False})

    page = text(admin.post(f"/connections/{row.pk}/test/", {"from": "connection"}, follow=True))

    assert "does not let the service account into the mailbox emma@example.test" in page and "ApplicationImpersonation" in page
    server.world.exchange.set_switches({"impersonation": True})
    assert "works" in text(admin.post(f"/connections/{row.pk}/test/", {"from": "connection"}, follow=True))


def test_without_the_library_the_page_says_what_to_install(server, admin, monkeypatch):
    for module in (library, mail_form):
        monkeypatch.setattr(module, "is_installed", lambda: False)
    assert "The library exchangelib is not installed here" in text(admin.get("/connections/add/exchange/"))
    page = text(admin.post("/connections/add/exchange/", entered(server), follow=True))
    assert "needs the library exchangelib, which is not installed here" in page and "requirements-exchange.txt" in page
    assert Connection.objects.get().state == Connection.State.NEEDS_ATTENTION

"""The pages of connections to Microsoft 365 and Google: what an admin enters and uploads, where administrators and users are led
and what comes back; and that pages over passes show one over mailboxes once, however many there are."""

import html
import json
import re
from urllib.parse import parse_qs, urlsplit

import pytest
import requests
from django.contrib.auth.models import Group, User
from django.core.files.uploadedfile import SimpleUploadedFile
from django.core.management import call_command
from django.db import connection as database
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from connectors.sandbox.server import SandboxServer
from connectors.sandbox.world import World
from reconciliation.engine.wiring import Wiring
from reconciliation.models import AuditEntry, Connection, Mailbox, Run, SyncPass
from reconciliation.services.forgetting import _look_up
from reconciliation.services.mailboxes import mailbox_add, pass_over
from reconciliation.services.metrics import exposition
from reconciliation.services.restored_backup import database_restored
from reconciliation.services.set_up import contacts_pass
from tests.admin.test_pages import HOSTILE
from tests.sandboxed import make
from tests.services.pairs import certificate_of, pem_of, rsa_key

pytestmark = pytest.mark.django_db
MANY = 300


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


def log_in(client, name, role):
    user, _ = User.objects.get_or_create(username=name, defaults={"is_staff": role != "mailbox user"})
    user.groups.set([Group.objects.get(name=role)])
    client.force_login(user)
    return user


@pytest.fixture
def admin(client, server):
    client.defaults["SERVER_NAME"] = "127.0.0.1"
    return log_in(client, "ada", "admin")


def text(answer):
    assert answer.status_code == 200, answer.status_code
    return html.unescape(re.sub(r"\s+", " ", answer.content.decode()))


def microsoft(server, **changes):
    given, address = server.world.microsoft.credentials(), server.urls["microsoft"]
    app = {"client_id": given["client_id"], "client_secret": given["client_secret"], "tenant": given["tenant"], "proof": "secret"}
    return {
        "name": "Mail",
        "base_url": address,
        "login_url": address,
        "settle_seconds": "0",
        "flow": "client_credentials",
        **app,
        **changes,
    }


def google(server, **changes):
    key = server.world.google.desk.account.key_file("https://elsewhere.example/token")
    file = SimpleUploadedFile("key.json", json.dumps(key).encode())
    address = server.urls["google"]
    values = {"name": "Google", "base_url": address, "login_url": address, "settle_seconds": "0", "flow": "service_account"}
    return {**values, "lists_directory": "on", "service_account_file": file, **changes}


def consent(url, **said):
    """Does what a person does at the page they are led to. Returns the address that the browser comes back to."""
    back = urlsplit(requests.post(url, data=said, allow_redirects=False, timeout=10).headers["Location"])
    return f"{back.path}?{back.query}"


def test_the_form_of_microsoft_says_what_to_register_and_adding_it_tests_it(client, server, admin):
    blank = text(client.get("/connections/add/microsoft/"))
    permissions = ("Contacts", "Calendars", "Mail", "MailboxSettings")
    shown = ("Tasks.ReadWrite.All", "User.Read.All", "http://127.0.0.1/connections/callback/", "24 months")
    for word in (*(f"{name}.ReadWrite" for name in permissions), *shown):
        assert word in blank, word
    assert 'value="https://graph.microsoft.com"' in blank and 'value="https://login.microsoftonline.com"' in blank

    page = text(client.post("/connections/add/microsoft/", microsoft(server, secret_expires_on="2020-01-01"), follow=True))

    assert "is added and was tested" in page and "Ask for consent" in page and "/adminconsent?client_id=" in page
    assert "the client secret has ended" in page and server.world.microsoft.desk.client_secret not in page
    assert "No mailbox was added yet" in page
    assert "the client secret has ended" in text(client.get("/connections/")) and "the client secret has ended" in text(client.get("/"))


def test_an_administrator_is_led_to_consent_and_back_and_a_refusal_is_told(client, server, admin):
    client.post("/connections/add/microsoft/", microsoft(server))
    row = Connection.objects.get()
    policy = client.get("/connections/").headers["Content-Security-Policy"]
    assert "https://login.microsoftonline.com" in policy and "https://accounts.google.com" in policy and "graph.microsoft" not in policy

    away = client.post(f"/connections/{row.pk}/consent/").headers["Location"]
    refused = text(client.get(consent(away, deny="1"), follow=True))
    away = client.post(f"/connections/{row.pk}/consent/").headers["Location"]
    back = consent(away)
    page = text(client.get(back, follow=True))

    assert "The administrator did not consent" in refused and "press Ask for consent" in refused
    assert "has the consent, and what it needs was tested" in page and "when ada asked for it" in page
    assert "no log-in that you began" in text(client.get(back, follow=True))  # a state is good once
    log_in(client, "olga", "operator")
    assert client.post(f"/connections/{row.pk}/consent/").status_code == 403


def test_a_certificate_is_uploaded_shown_by_its_thumbprint_and_kept_when_nothing_is_chosen(client, server, admin):
    certificate = certificate_of(rsa_key(), subject=HOSTILE[:60].replace('"', "")).decode()
    server.world.microsoft.set_switches({"certificate": certificate})
    files = {
        "private_key_file": SimpleUploadedFile("k.pem", pem_of(rsa_key())),
        "certificate_file": SimpleUploadedFile("c.pem", certificate.encode()),
    }
    values = microsoft(server, proof="certificate", client_secret="")
    wrong = text(client.post("/connections/add/microsoft/", {**values, "private_key_file": SimpleUploadedFile("k.pem", b"?")}, follow=True))
    assert "Nothing was added. Choose one private key and its certificate" in wrong and f'value="{values["tenant"]}"' in wrong

    answer = client.post("/connections/add/microsoft/", {**values, **files}, follow=True)
    page, row = text(answer), Connection.objects.get()
    saved = text(client.post(f"/connections/{row.pk}/", {**values, "client_id": "", "name": "Other"}, follow=True))

    assert row.settings["certificate"]["thumbprint"] in page and row.secrets["private_key"].splitlines()[1] not in answer.content.decode()
    assert "<script>alert" not in answer.content.decode() and "Saved. Test it now." in saved
    row.refresh_from_db()
    assert row.name == "Other" and row.has_certificate and row.secret_expires_on is not None


def test_the_service_account_is_uploaded_and_its_scopes_stand_there_to_be_pasted(client, server, admin):
    wrong = SimpleUploadedFile("key.json", json.dumps({"installed": {"client_secret": "planted"}}).encode())
    refused = text(client.post("/connections/add/google/", google(server, service_account_file=wrong), follow=True))
    assert "This is the file of an OAuth client" in refused and "planted" not in refused and not Connection.objects.exists()

    page = text(client.post("/connections/add/google/", google(server, directory_user="gina@example.test"), follow=True))

    names = ("contacts", "calendar.events", "tasks", "gmail.modify", "directory.readonly")
    scopes = ",".join(f"https://www.googleapis.com/auth/{name}" for name in names)
    row = Connection.objects.get()
    account = row.settings["service_account"]
    assert f'value="{scopes}"' in page and all(account[name] in page for name in ("email", "client_id", "key_id"))
    assert "is added and was tested" in page and "PRIVATE KEY" not in page and "Ask for consent" not in page
    assert "PRIVATE KEY" not in "".join(str(d) for d in AuditEntry.objects.values_list("detail", flat=True))


def test_a_user_connects_the_own_mailbox_on_the_own_page(client, server, admin):
    """S4.3: where no app is let into all mailboxes, each user lets it into theirs."""
    page = text(client.post("/connections/add/microsoft/", microsoft(server, flow="web"), follow=True))
    assert "http://127.0.0.1/my-mailbox/connected/" in page and "Delegated" in page and "offline_access" in page
    row = Connection.objects.get()
    ann = mailbox_add(row, "ann@example.test", None)
    assert client.post("/my-mailbox/connect/").status_code == 403  # an admin is no user of a mailbox
    user = log_in(client, "ann", "mailbox user")
    Mailbox.objects.filter(pk=ann.pk).update(user=user)

    assert "Nothing is synced until you connect" in text(client.get("/my-mailbox/"))
    away = client.post("/my-mailbox/connect/").headers["Location"]
    assert parse_qs(urlsplit(away).query)["redirect_uri"] == ["http://127.0.0.1/my-mailbox/connected/"]
    other = text(client.get(consent(away, login_hint="bob@example.test"), follow=True))
    away = client.post("/my-mailbox/connect/").headers["Location"]
    own = text(client.get(consent(away), follow=True))

    assert "That account is bob@example.test; this mailbox is ann@example.test" in other
    assert "Your mailbox ann@example.test is connected" in own and "Connect again" in own
    assert Mailbox.objects.get(pk=ann.pk).secrets["refresh_token"] not in own
    assert client.get("/connections/callback/?state=x").status_code == 403


def test_hostile_values_of_a_mail_connection_are_escaped(client, server, admin):
    own = {"service_account": {"email": HOSTILE, "client_id": HOSTILE, "key_id": HOSTILE}, "directory_user": HOSTILE}
    secrets = {"service_account": {"private_key": "planted-key"}}
    line = {"name": HOSTILE, "is_ok": False, "sentence": HOSTILE, "remedy": HOSTILE, "is_warning": False, "passes": False}
    row = Connection.objects.create(
        name=HOSTILE[:100], system="google", base_url="http://127.0.0.1:1", settings=own, secrets=secrets, checks=[line]
    )

    for where in ("/connections/", f"/connections/{row.pk}/"):
        page = client.get(where).content.decode()
        assert "<script>alert" not in page and "planted-key" not in page and "&lt;script&gt;alert" in page, where


# --- one pass over many mailboxes ---------------------------------------------------------------------------------------


@pytest.fixture
def crowd(client, server, admin):
    """All passes of a site, and one over mailboxes with two of them that ran; and what makes more of them."""
    box = make(with_salesforce=True)
    at, crm = timezone.now(), Connection.objects.get(system="salesforce")
    mail = Connection.objects.create(name="Mail", system="microsoft", base_url="http://127.0.0.1:1", is_sandbox=True)
    parent = contacts_pass(crm, mail)
    SyncPass.objects.filter(pk=parent.pk).update(is_on=True)

    def more(count):
        for n in range(Mailbox.objects.count(), count):
            child = pass_over(parent, mailbox_add(mail, f"crowd{n:03d}@example.test", None))
            Run.objects.create(sync_pass=child, kind="scheduled", state="finished", started_at=at, ended_at=at, seen=1, unchanged=1)
        return parent

    more(2)
    return box, more


PAGES = ("/", "/schedule/", "/runs/", "/mappings/", "/coverage/", "/errors/", "/records/", "/records/?q=crowd", "/differences/", "/setup/",
         "/conflicts/", "/connections/", "/record-types/", "/deleted/", "/dashboard/status.json")  # fmt: skip


def looked_at(client, where):
    with CaptureQueriesContext(database) as queries:
        answer = client.get(where)
    assert answer.status_code == 200, (where, answer.status_code)
    return answer.content.decode(), len(queries)


def test_pages_list_a_pass_over_mailboxes_once_and_ask_no_more_for_three_hundred(client, crowd):
    box, more = crowd
    few = {where: looked_at(client, where)[1] for where in PAGES}

    parent = more(MANY)

    for where in PAGES:
        page, queries = looked_at(client, where)
        assert queries <= few[where] + 2, (where, few[where], queries)
        assert page.count("crowd") <= 120, where  # the runs page lists runs, fifty a page
        if where not in ("/runs/", "/", "/records/?q=crowd"):
            assert "crowd" not in page, where
    assert f"contacts:{parent.children.first().pk}" not in looked_at(client, "/schedule/")[0]


def test_monitors_get_one_series_for_all_mailboxes(crowd):
    _, more = crowd
    count = more(12).children.count()

    with CaptureQueriesContext(database) as queries:
        said = exposition(timezone.now()).splitlines()

    ours = [line for line in said if "contacts" in line and line.startswith("syncsite_runs_last_day")]
    assert ours == [
        f'syncsite_runs_last_day{{pass="contacts",kind="scheduled",state="finished"}} {count}'
    ] and "contacts:" not in "\n".join(said)
    assert len(queries) < 40


def test_a_restored_backup_marks_every_mailbox_and_names_the_pass_once(crowd):
    """Each mailbox has links and a cursor of its own, so each must be told; people read of one pass."""
    box, more = crowd
    parent = more(20)

    told = database_restored()

    assert [p.name for p in told].count("contacts") == 1 and not [p for p in told if p.parent_id]
    assert not SyncPass.objects.filter(parent=parent, restored_at=None).exists()
    assert AuditEntry.objects.get(action="database restored").detail["mailboxes"] == parent.children.count() > 10


def test_who_is_to_be_forgotten_is_not_looked_up_in_each_mailbox(crowd):
    box, more = crowd
    more(20)
    opened = []

    def connect(row, **options):
        opened.append(row.system)
        return box.wiring.open_connector(row, **options)

    _look_up({"who": "jo@acme.example", "words": []}, Wiring(open_connector=connect))

    assert "microsoft" not in opened and len(opened) <= 8

"""Connections to Microsoft 365 and Google as an admin makes them: each way to sign in against the played systems over real HTTP,
what is refused of files and values, whom an administrator's and a user's consent lets in, and what a test tells."""

import json
from dataclasses import replace
from datetime import timedelta
from urllib.parse import parse_qs, parse_qsl, urlsplit

import pytest
import requests
from django.contrib.auth.models import User
from django.utils import timezone

from connectors.sandbox.server import SandboxServer
from connectors.sandbox.world import World
from reconciliation.engine.connections import CANDIDATE
from reconciliation.models import AuditEntry, Binding, Connection, Mailbox, SyncPass
from reconciliation.models.sync_pass import MAILBOX_PASSES
from reconciliation.selectors import near_expiries
from reconciliation.services.admin_consent import admin_consent_begin, admin_consent_finish, admin_consent_link
from reconciliation.services.certificates import pair_read
from reconciliation.services.connections import ConnectionChange, ConnectionRefused, connection_add, connection_save, connection_test
from reconciliation.services.mail_systems import GoogleChange, MicrosoftChange
from reconciliation.services.mailbox_connect import is_connected, mailbox_connect_begin, mailbox_connect_finish
from reconciliation.services.mailboxes import mailbox_add
from reconciliation.services.oauth import ConnectRefused, connect_begin, connect_finish
from reconciliation.services.service_accounts import MOST_BYTES, AccountRefused, account_read
from reconciliation.services.set_up import contacts_pass
from reconciliation.services.transfer import export_text, import_plan
from tests.sandboxed import make
from tests.services.pairs import certificate_of, pem_of, rsa_key

pytestmark = [pytest.mark.django_db, pytest.mark.both_databases]
BACK = "https://sync.example.com/connections/callback/"
HOME = "https://sync.example.com/my-mailbox/connected/"


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


def microsoft(server, *, secrets=None, own=None, **changes):
    """What the form of a new connection holds."""
    given, address = server.world.microsoft.credentials(), server.urls["microsoft"]
    secrets = {"client_id": given["client_id"], "client_secret": given["client_secret"]} if secrets is None else secrets
    mail = MicrosoftChange(**({"tenant": given["tenant"]} | (own or {})))
    return replace(ConnectionChange("Microsoft 365", address, "", 0, secrets, login_url=address, mail=mail), **changes)


def google(server, *, secrets=None, own=None, **changes):
    address, key = server.urls["google"], server.world.google.desk.account.key_file("https://elsewhere.example/token")
    mail = GoogleChange(**({"account": account_read(json.dumps(key).encode())} | (own or {})))
    return replace(ConnectionChange("Google", address, "", 0, secrets or {}, login_url=address, mail=mail), **changes)


def google_client(server):
    desk = server.world.google.desk
    secrets = {"client_id": desk.client_id, "client_secret": desk.client_secret}
    return google(server, secrets=secrets, own={"flow": "web", "account": None})


def switch(server, system, **switches):
    requests.post(f"{server.urls['control']}/switches", json={system: switches}, timeout=10).raise_for_status()


def post(url, **said):
    """Does what a person does on a page of consent. Returns what the browser brings back."""
    assert requests.get(url, timeout=10).status_code == 200
    answer = requests.post(url, data=said, allow_redirects=False, timeout=10)
    return dict(parse_qsl(urlsplit(answer.headers["Location"]).query))


def by_name(lines):
    return {line.name: line for line in lines}


def owned(connection, address, name):
    mailbox = mailbox_add(connection, address, None)
    mailbox.user = User.objects.create_user(name)
    mailbox.save()
    return mailbox


# --- Microsoft, for all mailboxes ---------------------------------------------------------------------------------------


def test_microsoft_is_added_and_its_test_names_each_permission_and_a_mailbox(server, admin):
    row = connection_add("microsoft", microsoft(server), admin)

    first = by_name(connection_test(row))
    mailbox_add(row, "ann@example.test", None)
    lines = by_name(connection_test(row))

    assert all(line.is_ok for line in lines.values()) and {"Sign in", "Contacts.ReadWrite", "User.Read.All", "List people"} <= set(lines)
    assert first["One mailbox"].is_warning and "Add one under Mailboxes" in first["One mailbox"].remedy
    assert "ann@example.test can be reached" in lines["One mailbox"].sentence
    row.refresh_from_db()
    assert (row.state, row.is_connected, row.needs_consent, row.secret_name) == ("ok", True, False, "client secret")
    assert row.settings["organisation_id"] == server.world.microsoft.credentials()["tenant"] and "contact" in row.schema_cache
    assert row.secrets["client_secret"] not in str(list(AuditEntry.objects.values_list("detail", flat=True))) + repr(row.settings)


def test_a_mailbox_that_the_policy_leaves_out_says_nothing_of_the_connection(server, admin):
    row = connection_add("microsoft", microsoft(server), admin)
    mailbox_add(row, "ann@example.test", None)
    (ann,) = (r for r in server.world.microsoft.list_records("user") if r["userPrincipalName"] == "ann@example.test")
    server.world.microsoft.update_record("user", server.world.microsoft.find_id("user", str(ann["id"])), {"state": "denied"})

    line = by_name(connection_test(row))["One mailbox"]

    assert (line.is_ok, line.is_warning) == (True, True) and "others may work" in line.remedy
    row.refresh_from_db()
    assert row.state == "ok"


def test_an_administrators_consent_lets_the_app_in_at_once_and_one_that_is_refused_is_told(server, admin):
    switch(server, "microsoft", permissions="User.Read.All")
    row = connection_add("microsoft", microsoft(server), admin)
    before = by_name(connection_test(row))["Contacts.ReadWrite"]
    assert not before.is_ok and "Microsoft 365 administrator" in before.remedy

    url, state, flow = admin_consent_begin(row, admin, BACK)
    denied = post(url, deny="1")
    with pytest.raises(ConnectRefused, match="did not consent.*Ask for consent"):
        admin_consent_finish(flow.as_dict(), denied, admin)
    assert not by_name(connection_test(row))["Contacts.ReadWrite"].is_ok
    url, state, flow = admin_consent_begin(row, admin, BACK)
    answer = post(url)
    assert answer["state"] == state and answer["admin_consent"] == "True"
    for wrong, who in ((None, admin), (flow.as_dict(), User.objects.create_user("eve")), ({**flow.as_dict(), "kind": "connecting"}, admin)):
        with pytest.raises(ConnectRefused, match="no log-in that you began"):
            admin_consent_finish(wrong, answer, who)
    row = admin_consent_finish(flow.as_dict(), answer, admin)

    assert all(line.is_ok for line in connection_test(row)) and row.settings["consented_by"] == "ada"  # with a token of afterwards
    assert "admin consent" in AuditEntry.objects.values_list("action", flat=True)
    link = urlsplit(admin_consent_link(row, BACK))
    assert link.path.endswith("/adminconsent") and parse_qs(link.query)["redirect_uri"] == [BACK]


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        ({"admin_consent": "True", "tenant": "99999999-2222-4333-8444-555555555555"}, "another organisation"),
        ({"error": "invalid_client"}, "refused to ask for consent"),
        ({"tenant": "x"}, "did not consent"),
        ({"admin_consent": "False"}, "did not consent"),
    ],
)
def test_an_answer_that_is_no_consent_to_this_app_changes_nothing(server, admin, answer, said):
    row = connection_add("microsoft", microsoft(server), admin)
    _, _, flow = admin_consent_begin(row, admin, BACK)

    with pytest.raises(ConnectRefused, match=said):
        admin_consent_finish(flow.as_dict(), answer, admin)

    row.refresh_from_db()
    assert "consented_at" not in row.settings


def test_a_certificate_signs_in_its_end_is_warned_of_and_a_secret_replaces_it(server, admin):
    pair = pair_read([pem_of(rsa_key()), certificate_of(rsa_key(), days=20)])
    switch(server, "microsoft", certificate=pair.certificate)
    client = {"client_id": server.world.microsoft.credentials()["client_id"]}
    row = connection_add("microsoft", microsoft(server, secrets=client, own={"proof": "certificate", "pair": pair}), admin)

    lines = connection_test(row)

    assert all(line.is_ok for line in lines), lines
    row.refresh_from_db()
    assert (row.secret_name, row.secret_expires_on) == ("certificate", pair.ends_on) and len(
        row.settings["certificate"]["thumbprint"]
    ) == 40
    assert ["certificate ends in" in e.sentence for e in near_expiries([row])] == [True]
    assert pair.key not in repr(row.settings) + str(list(AuditEntry.objects.values_list("detail", flat=True)))
    connection_save(row, microsoft(server), admin)
    row.refresh_from_db()
    assert {"private_key", "certificate"}.isdisjoint(row.secrets) and row.secret_name == "client secret" and row.secret_expires_on is None


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"secrets": {"client_secret": "x"}}, "application id"),
        ({"secrets": {"client_id": "x"}}, "its value, and not its id"),
        ({"secrets": {"client_id": "x"}, "own": {"proof": "certificate"}}, "private key and its certificate"),
        ({"own": {"tenant": ""}}, "its own tenant only"),
        ({"own": {"tenant": "common"}}, "its own tenant only"),
        ({"own": {"tenant": "a/../b"}}, "has no tenant"),
        ({"own": {"flow": "jwt"}}, "no way to log in"),
        ({"own": {"proof": "oath"}}, "no way to prove"),
        ({"base_url": "https://graph.evil.example"}, "is reached at"),
        ({"login_url": "http://login.microsoftonline.com"}, "https"),
    ],
)
def test_what_microsoft_cannot_work_with_is_refused_and_nothing_is_stored(server, admin, changes, said):
    with pytest.raises(ConnectionRefused, match=said):
        connection_add("microsoft", microsoft(server, **changes), admin)

    assert not Connection.objects.exists()


def test_a_wrong_secret_is_told_with_what_to_do_and_echoed_nowhere(server, admin):
    given = server.world.microsoft.credentials()
    row = connection_add(
        "microsoft", microsoft(server, secrets={"client_id": given["client_id"], "client_secret": "planted-secret-7"}), admin
    )

    (line,) = connection_test(row)

    assert not line.is_ok and "client secret is wrong" in line.sentence and "planted-secret-7" not in repr(line)
    row.refresh_from_db()
    assert row.state == "needs_attention"


def test_another_organisation_is_not_taken_once_records_are_linked(server, admin):
    """The ids of contacts of one tenant name nothing in another."""
    crm = Connection.objects.create(name="Salesforce", system="salesforce", base_url="https://login.salesforce.com")
    row = connection_add("microsoft", microsoft(server), admin)
    connection_test(row)
    at = timezone.now()
    Binding.objects.create(
        sync_pass=contacts_pass(crm, row), crm_type="Contact", crm_id="1", peer_type="contact", peer_id="1", bound_at=at, synced_at=at
    )
    Connection.objects.filter(pk=row.pk).update(settings={**Connection.objects.get(pk=row.pk).settings, "organisation_id": "other"})
    row.refresh_from_db()
    from reconciliation.engine.wiring import Wiring

    with pytest.raises(ConnectionRefused, match="of another organisation"):
        connection_save(row, microsoft(server, own={"tenant": "example.test"}), admin, wiring=Wiring())

    row.refresh_from_db()
    assert row.settings["tenant"] != "example.test" and CANDIDATE not in row.secrets
    assert not by_name(connection_test(row))["Who we are there"].is_ok


# --- Google, for all mailboxes ------------------------------------------------------------------------------------------


def test_google_is_added_by_its_key_file_which_is_shown_nowhere(server, admin):
    row = connection_add("google", google(server, own={"directory_user": "gina@example.test"}), admin)
    mailbox_add(row, "gina@example.test", None)

    lines = by_name(connection_test(row))

    assert all(line.is_ok and not line.is_warning for line in lines.values()) and {"Log-in", "Directory", "One mailbox"} <= set(lines)
    row.refresh_from_db()
    key = row.secrets["service_account"]["private_key"]
    assert (row.flow, row.is_connected, row.needs_consent, row.secret_name) == ("service_account", True, False, "service account key")
    assert set(row.settings["service_account"]) == {"email", "client_id", "key_id"} and "token_uri" not in row.secrets["service_account"]
    seen = repr(row.settings) + str(list(AuditEntry.objects.values_list("detail", flat=True))) + export_text() + repr(google(server))
    assert key not in seen and key.splitlines()[1] not in seen


def test_delegation_that_is_missing_is_told_with_client_id_and_scope(server, admin):
    switch(server, "google", delegated_scopes="https://www.googleapis.com/auth/calendar")
    row = connection_add("google", google(server), admin)
    mailbox_add(row, "gina@example.test", None)

    lines = by_name(connection_test(row))

    assert lines["Directory"].is_warning and "no user is named" in lines["Directory"].sentence
    assert not lines["One mailbox"].is_ok and row.settings["service_account"]["client_id"] in lines["One mailbox"].sentence
    assert "https://www.googleapis.com/auth/contacts" in lines["One mailbox"].sentence


def key_file(**changes):
    whole = {
        "type": "service_account",
        "client_email": "sync@p.iam.gserviceaccount.com",
        "client_id": "1",
        "private_key_id": "k",
        "private_key": pem_of(rsa_key()).decode(),
        **changes,
    }
    return json.dumps({k: v for k, v in whole.items() if v is not None}).encode()


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (lambda: b"", "no JSON"),
        (lambda: b"\xff\x00", "no JSON"),
        (lambda: pem_of(rsa_key()), "PEM or P12"),
        (lambda: b"[" * 40_000, "no JSON"),
        (lambda: b"[]", "no key of a service account"),
        (lambda: json.dumps({"web": {"client_secret": "planted"}}).encode(), "an OAuth client"),
        (lambda: key_file(type="authorized_user"), "its type is another"),
        (lambda: key_file(client_id=None), "lacks client_id"),
        (lambda: key_file(private_key="", client_email=7), "lacks client_email and private_key"),
        (lambda: key_file(client_email="nobody"), "names no account"),
        (lambda: key_file(client_email="a\n@b"), "names no account"),
        (lambda: key_file(private_key="-----BEGIN PRIVATE KEY-----\nplanted\n-----END PRIVATE KEY-----\n"), "cannot be read"),
        (lambda: key_file(private_key=pem_of(rsa_key(), b"secret").decode()), "has a password"),
        (lambda: b"x" * (MOST_BYTES + 1), "this file is none"),
    ],
)
def test_a_file_that_is_no_service_accounts_key_is_refused_in_words_that_show_nothing_of_it(data, said):
    with pytest.raises(AccountRefused, match=said) as refused:
        account_read(data())

    assert "planted" not in str(refused.value) and "BEGIN" not in str(refused.value) and refused.value.__cause__ is None
    assert account_read(b"\xef\xbb\xbf" + key_file()).client_id == "1"


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"own": {"account": None}}, "JSON key file"),
        ({"own": {"directory_user": "nobody"}}, "no e-mail address"),
        ({"own": {"flow": "web", "account": None}}, "client id of the OAuth client"),
        ({"own": {"flow": "client_credentials"}}, "no way to log in"),
        ({"login_url": "https://oauth2.evil.example"}, "is reached at"),
    ],
)
def test_what_google_cannot_work_with_is_refused_and_nothing_is_stored(server, admin, changes, said):
    with pytest.raises(ConnectionRefused, match=said):
        connection_add("google", google(server, **changes), admin)

    assert not Connection.objects.exists()


def test_a_new_key_or_another_host_makes_tokens_of_before_void(server, admin):
    row = connection_add("google", google(server), admin)
    gina = mailbox_add(row, "gina@example.test", None)
    connection_test(row)
    assert Mailbox.objects.get(pk=gina.pk).secrets["access_token"]

    connection_save(row, google(server, own={"account": None}, name="Google Workspace"), admin)
    assert Mailbox.objects.get(pk=gina.pk).secrets["access_token"]  # only its name is another
    connection_save(row, google(server, own={"account": account_read(key_file())}), admin)

    assert Mailbox.objects.get(pk=gina.pk).secrets == {}
    row.refresh_from_db()
    assert row.settings["service_account"]["key_id"] == "k" and row.secrets["service_account"]["private_key_id"] == "k"


# --- each user for their own mailbox ------------------------------------------------------------------------------------


def test_users_of_microsoft_mailboxes_connect_their_own_and_no_other(server, admin):
    row = connection_add("microsoft", microsoft(server, own={"flow": "web"}), admin)
    ann, bob = owned(row, "ann@example.test", "ann"), owned(row, "bob@example.test", "bob")
    assert all(line.is_ok for line in connection_test(row)) and not is_connected(ann) and not row.needs_consent

    with pytest.raises(ConnectRefused, match="Only the user"):
        mailbox_connect_begin(ann, admin, HOME)
    url, state, flow = mailbox_connect_begin(ann, ann.user, HOME)
    assert parse_qs(urlsplit(url).query)["login_hint"] == ["ann@example.test"]
    with pytest.raises(ConnectRefused, match="Access was denied"):
        mailbox_connect_finish(flow.as_dict(), post(url, deny="1"), ann.user)
    url, _, flow = mailbox_connect_begin(ann, ann.user, HOME)
    with pytest.raises(ConnectRefused, match="That account is bob@example.test; this mailbox is ann@example.test"):
        mailbox_connect_finish(flow.as_dict(), post(url, login_hint="bob@example.test"), ann.user)
    assert Mailbox.objects.get(pk=ann.pk).secrets == {}
    url, state, flow = mailbox_connect_begin(ann, ann.user, HOME)
    answer = post(url)
    with pytest.raises(ConnectRefused, match="no log-in that you began"):
        mailbox_connect_finish(flow.as_dict(), answer, bob.user)
    ann = mailbox_connect_finish(flow.as_dict(), answer, ann.user)

    assert answer["state"] == state and is_connected(ann) and ann.secrets["refresh_token"]
    assert not is_connected(bob) and "connect mailbox" in AuditEntry.objects.values_list("action", flat=True)
    with pytest.raises(ConnectRefused, match="good once"):
        mailbox_connect_finish(flow.as_dict(), answer, ann.user)
    assert Mailbox.objects.get(pk=ann.pk).secrets["refresh_token"] == ann.secrets["refresh_token"]


def test_users_of_google_mailboxes_connect_their_own_beside_the_connections_directory(server, admin):
    row = connection_add("google", google_client(server), admin)
    gina = owned(row, "gina@example.test", "gina")
    assert row.needs_consent and not row.is_connected and row.is_personal

    url, state, flow = connect_begin(row, admin, BACK)
    row, identity = connect_finish(flow.as_dict(), post(url, account="hugo@example.test", granted=scopes_of(url)), admin)
    assert row.is_connected and identity.user == "hugo@example.test" and all(line.is_ok for line in connection_test(row))
    url, _, flow = mailbox_connect_begin(gina, gina.user, HOME)
    assert "directory" not in url and "access_type=offline" in url
    with pytest.raises(ConnectRefused, match="That account is hugo@example.test"):
        mailbox_connect_finish(flow.as_dict(), post(url, account="hugo@example.test", granted=scopes_of(url)), gina.user)
    url, _, flow = mailbox_connect_begin(gina, gina.user, HOME)
    some = [scope for scope in scopes_of(url) if not scope.endswith("/contacts")]
    with pytest.raises(ConnectRefused, match="could not be asked|does not say"):
        mailbox_connect_finish(flow.as_dict(), post(url, account="gina@example.test", granted=some), gina.user)
    url, _, flow = mailbox_connect_begin(gina, gina.user, HOME)
    gina = mailbox_connect_finish(flow.as_dict(), post(url, account="gina@example.test", granted=scopes_of(url)), gina.user)

    assert is_connected(gina) and gina.secrets["refresh_token"] != row.secrets["refresh_token"]


def scopes_of(url):
    return parse_qs(urlsplit(url).query)["scope"][0].split()


# --- what follows from them ---------------------------------------------------------------------------------------------


def test_salesforce_and_a_mail_system_make_the_pass_over_mailboxes_once_and_off(server, admin):
    """S1.3, D27."""
    crm = Connection.objects.create(name="Salesforce", system="salesforce", base_url="https://login.salesforce.com")

    row = connection_add("google", google(server), admin)
    connection_add("microsoft", microsoft(server), admin)

    made = list(SyncPass.objects.order_by("pk"))
    assert sorted(p.name for p in made) == sorted(MAILBOX_PASSES)
    assert {(p.crm, p.peer, p.is_on) for p in made} == {(crm, row, False)}
    with pytest.raises(ConnectionRefused, match="already"):
        connection_add("google", google(server, name="Second"), admin)


def test_settings_are_carried_to_another_site_with_the_mail_systems_and_no_secret(server, admin):
    Connection.objects.create(name="Salesforce", system="salesforce", base_url="https://login.salesforce.com")
    row = connection_add("google", google(server, own={"directory_user": "gina@example.test"}), admin)
    for n in range(3):
        SyncPass.objects.create(
            name=f"contacts:{n}", title="x", crm=SyncPass.objects.first().crm, peer=row, mapping=SyncPass.objects.first().mapping,
            parent=SyncPass.objects.get(name="contacts"), mailbox=mailbox_add(row, f"m{n}@example.test", None),
        )  # fmt: skip

    content = json.loads(export_text())["content"]

    assert {"name": "Google", "system": "google"} in content["connections"]
    assert [(p["name"], p["peer"]) for p in content["passes"]] == [(name, "Google") for name in sorted(MAILBOX_PASSES)]
    assert not any(word in export_text() for word in ("PRIVATE", "gserviceaccount", "m0@example.test", row.base_url))
    assert "Contacts" in " ".join(import_plan(export_text()).same)


def test_real_mail_systems_are_not_connected_beside_played_ones(server, admin):
    make()

    with pytest.raises(ConnectionRefused, match="installation of their own"):
        connection_add("microsoft", microsoft(server), admin)


def test_a_secret_that_ends_soon_is_warned_of(server, admin):
    soon = timezone.now().date() + timedelta(days=5)
    rows = [connection_add("microsoft", microsoft(server, secret_expires_on=soon), admin)]
    rows.append(connection_add("google", google(server, secret_expires_on=soon), admin))

    assert [
        "client secret ends in 5 days" in e.sentence or "service account key ends in 5 days" in e.sentence for e in near_expiries(rows)
    ] == [
        True,
        True,
    ]

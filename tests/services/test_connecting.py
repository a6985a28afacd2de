"""Connections to real systems: added by an admin, connected by OAuth, and what becomes of every way it can go wrong."""

from dataclasses import replace
from datetime import timedelta
from urllib.parse import parse_qs, parse_qsl, urlsplit

import pytest
import requests
from django.contrib.auth.models import User
from django.utils import timezone

from connectors.contract import Identity
from connectors.errors import Unreachable
from connectors.oauth import Tokens
from connectors.outreach.connector import OutreachConnector
from connectors.sandbox.outreach.oauth import ALL_SCOPES
from connectors.sandbox.transport import SandboxAdapter
from connectors.sandbox.workbooks.system import USERS
from reconciliation.engine.connections import ConnectionTokens
from reconciliation.models import AuditEntry, Binding, Case, Connection, MappingTable, SyncPass
from reconciliation.services import oauth
from reconciliation.services.connections import ConnectionChange, ConnectionRefused, connection_add, connection_save, connection_test
from reconciliation.services.fields import missing_fields
from reconciliation.services.oauth import ConnectRefused, connect_begin, connect_finish
from reconciliation.services.schedule import ScheduleRefused, schedule_of, schedule_set
from reconciliation.services.set_up import SetUpRefused, organisations_pass
from reconciliation.services.switch_on import SwitchRefused, pilot_start, preview_waive
from tests.sandboxed import ERROR, make

pytestmark = [pytest.mark.django_db, pytest.mark.both_databases]
BACK = "https://sync.example.com/connections/callback/"


@pytest.fixture
def admin():
    return User.objects.create_superuser("ada")


@pytest.fixture
def box():
    """A sandbox as if it were the real systems: nothing is connected."""
    box = make()
    SyncPass.objects.all().delete()
    Connection.objects.all().delete()
    MappingTable.objects.all().delete()
    return box


def workbooks(box, **changes):
    start = ConnectionChange("Workbooks", "http://127.0.0.1:8901", "", 0, {"api_key": box.world.workbooks.api_key})
    return replace(start, **changes)


def outreach(box, **changes):
    desk = box.world.outreach.desk
    secrets = {"client_id": desk.client_id, "client_secret": desk.client_secret}
    return replace(ConnectionChange("Outreach", "http://127.0.0.1:8902", "http://127.0.0.1:8900/accounts/{id}", 2, secrets), **changes)


def bind(sync_pass):
    at, refs = timezone.now(), {"crm_type": "organisation", "crm_id": "1", "peer_type": "account", "peer_id": "1"}
    Binding.objects.create(sync_pass=sync_pass, bound_at=at, synced_at=at, **refs)


def browser(box, url, **said):
    """Does what a person does at the consent page. Returns what the browser brings back."""
    page = requests.Request("POST", url.partition("?")[0], data=dict(parse_qsl(urlsplit(url).query)) | said).prepare()
    answer = SandboxAdapter(box.world).send(page)
    return dict(parse_qsl(urlsplit(answer.headers["Location"]).query))


def connect(box, connection, admin, **said):
    url, state, flow = connect_begin(connection, admin, BACK)
    answer = browser(box, url, **said)
    assert answer["state"] == state
    return connect_finish(flow.as_dict(), answer, admin, box.wiring)


# --- adding ----------------------------------------------------------------------------------------------------------


def test_the_second_connection_of_a_pair_makes_mapping_and_pass_switched_off(box, admin):
    crm = connection_add("workbooks", workbooks(box), admin)
    assert not SyncPass.objects.exists()

    peer = connection_add("outreach", outreach(box), admin)

    made = SyncPass.objects.get()
    assert (made.crm, made.peer, made.is_on) == (crm, peer, False)
    assert made.mapping.rules.filter(is_standard=True).count() >= 6
    assert not (crm.is_sandbox or peer.is_sandbox)
    assert set(AuditEntry.objects.values_list("action", flat=True)) == {"add connection", "make pass"}
    assert box.world.workbooks.api_key not in str(list(AuditEntry.objects.values_list("detail", flat=True)))


def test_d32_a_second_crm_of_record_for_one_peer_is_refused_with_the_reason(box, admin):
    connection_add("workbooks", workbooks(box), admin)
    peer = connection_add("outreach", outreach(box), admin)

    with pytest.raises(ConnectionRefused, match="has a CRM of record already"):
        connection_add("workbooks", workbooks(box, name="Second"), admin)
    second = Connection.objects.create(name="Second", system="workbooks", base_url="http://127.0.0.1:1")
    with pytest.raises(SetUpRefused, match="customId"):
        organisations_pass(second, peer)
    assert SyncPass.objects.get().crm.name == "Workbooks"


def test_real_systems_are_not_paired_in_the_sandboxes_installation(admin):
    box = make()

    with pytest.raises(ConnectionRefused, match="installation of their own"):
        connection_add("outreach", outreach(box), admin)


@pytest.mark.parametrize(
    ("system", "bad", "said"),
    [
        ("workbooks", {"base_url": "https://crm.evil.example"}, "is reached at"),
        ("workbooks", {"secrets": {}}, "Enter the api key"),
        ("workbooks", {"database_id": "3; x"}, "is a number"),
        ("outreach", {"login_url": "https://evil.example"}, "The log-in address: Outreach is reached at"),
        ("outreach", {"login_url": "http://api.outreach.io"}, "plain http"),
        ("outreach", {"base_url": "https://10.1.2.3"}, "private address"),
        ("outreach", {"page_address_template": ""}, "account's page"),
        ("outreach", {"secrets": {"client_id": "x"}}, "client secret"),
    ],
)
def test_what_a_new_connection_must_not_have_is_refused_and_nothing_is_stored(box, admin, system, bad, said):
    change = (workbooks if system == "workbooks" else outreach)(box, **bad)

    with pytest.raises(ConnectionRefused, match=said):
        connection_add(system, change, admin)

    assert not Connection.objects.exists() and not AuditEntry.objects.exists()


def test_a_test_reads_the_database_and_tells_another_one(box, admin):
    crm = connection_add("workbooks", workbooks(box), admin)

    connection_test(crm, wiring=box.wiring)
    crm.refresh_from_db()
    assert (crm.settings["database_id"], crm.connected_as, crm.state) == ("3", "Sync Service at Sandbox", "ok")
    assert crm.checks and crm.tested_at

    box.world.workbooks.database_id = "5"
    lines = connection_test(crm, wiring=box.wiring)
    assert [line.sentence for line in lines if not line.is_ok] == [
        "The key belongs to database 5 (Sync Service at Sandbox), but this connection is of database 3."
    ]


def test_what_no_database_can_hold_is_replaced_in_what_a_system_says(box, admin, monkeypatch):
    monkeypatch.setitem(USERS, 2, "Sync\0 <b>Service</b>\ud800")
    box.world.workbooks.scheduled_actions = "no list"
    crm = connection_add("workbooks", workbooks(box), admin)

    assert all(line.is_ok for line in connection_test(crm, wiring=box.wiring))

    crm.refresh_from_db()
    assert crm.connected_as == "Sync\ufffd <b>Service</b>\ufffd at Sandbox" and "Could not be looked at" in str(crm.checks)


def test_a_key_of_another_database_is_not_stored(box, admin):
    crm = connection_add("workbooks", workbooks(box, database_id="3"), admin)
    box.world.workbooks.api_key, box.world.workbooks.database_id = "key-of-database-5", "5"

    with pytest.raises(ConnectionRefused, match="This key belongs to database 5"):
        connection_save(crm, workbooks(box, secrets={"api_key": "key-of-database-5"}), admin, wiring=box.wiring)

    crm.refresh_from_db()
    assert crm.secrets["api_key"] != "key-of-database-5"
    box.world.workbooks.database_id = "3"
    connection_save(crm, workbooks(box, secrets={"api_key": "key-of-database-5"}), admin, wiring=box.wiring)
    crm.refresh_from_db()
    assert crm.secrets["api_key"] == "key-of-database-5"


@pytest.mark.parametrize(("status", "path"), [(503, "*"), (403, "/login.api")])
def test_a_key_nobody_can_say_whose_it_is_is_not_stored_once_records_are_linked(box, admin, status, path):
    crm = connection_add("workbooks", workbooks(box, database_id="3"), admin)
    made = organisations_pass(crm, connection_add("outreach", outreach(box), admin))
    box.world.workbooks.api_key, box.world.workbooks.database_id = "key-of-database-5", "5"
    box.world.faults.add({"kind": "status", "status": status, "system": "workbooks", "path": path})
    change = workbooks(box, secrets={"api_key": "key-of-database-5"})
    bind(made)

    with pytest.raises(ConnectionRefused, match="Whose key this is could not be asked: .* Nothing was stored"):
        connection_save(crm, change, admin, wiring=box.wiring)

    assert Connection.objects.get(pk=crm.pk).secrets["api_key"] != "key-of-database-5"
    Binding.objects.all().delete()
    connection_save(crm, change, admin, wiring=box.wiring)  # its test says what is the matter with it


def test_the_demonstrations_connections_lead_to_no_real_system(admin, settings):
    """Its pass is on: a real system behind it would be written to before anybody looked at a preview (C33)."""
    make()
    for row in Connection.objects.all():
        host = settings.SYSTEM_HOSTS[row.system][0].removeprefix("*.")
        change = ConnectionChange(row.name, f"https://{host}", "https://web.example.com/{id}", 0, {"api_key": "k", "client_id": "i"})
        with pytest.raises(ConnectionRefused, match="this connection is the demonstration's"):
            connection_save(row, change, admin)


def test_the_database_cannot_be_changed_once_accounts_carry_it(box, admin):
    crm = connection_add("workbooks", workbooks(box, database_id="3"), admin)
    made = organisations_pass(crm, connection_add("outreach", outreach(box), admin))
    connection_save(crm, workbooks(box, secrets={}, database_id="4"), admin)
    bind(made)
    crm.refresh_from_db()

    with pytest.raises(ConnectionRefused, match="name database 4"):
        connection_save(crm, workbooks(box, secrets={}, database_id="3"), admin)


def test_d27_the_pass_is_switched_on_with_a_known_database_and_begins_at_that_moment(box, admin):
    crm = connection_add("workbooks", workbooks(box), admin)
    connection_add("outreach", outreach(box), admin)
    made = SyncPass.objects.get()
    SyncPass.objects.update(last_run_time=timezone.now() - timedelta(days=30))

    with pytest.raises(ScheduleRefused, match="database id"):
        schedule_set(made, replace(schedule_of(made), is_on=True), admin)
    connection_test(crm, wiring=box.wiring)
    made = SyncPass.objects.get()
    with pytest.raises(ScheduleRefused, match="first preview"):
        schedule_set(made, replace(schedule_of(made), is_on=True), admin)
    preview_waive(made)
    made = SyncPass.objects.get()
    schedule_set(made, replace(schedule_of(made), is_on=True), admin)

    made.refresh_from_db()
    assert made.is_on and timezone.now() - made.last_run_time < timedelta(minutes=1)


def test_no_pilot_runs_with_an_unknown_database(box, admin):
    connection_add("workbooks", workbooks(box), admin)
    connection_add("outreach", outreach(box), admin)
    made = SyncPass.objects.get()
    preview_waive(made)

    with pytest.raises(SwitchRefused, match="database id"):
        pilot_start(made, admin, most_new=3)


def test_fields_read_before_the_pass_was_there_are_found_when_it_is_made(box, admin):
    connection_test(connection_add("workbooks", workbooks(box), admin), wiring=box.wiring)

    connection_add("outreach", outreach(box), admin)

    assert missing_fields(SyncPass.objects.get()) == []


def test_what_an_admin_allows_less_guarded_is_used_shown_and_recorded(box, admin, settings):
    settings.SYSTEM_HOSTS = {**settings.SYSTEM_HOSTS, "workbooks": ["10.1.2.3"]}
    crm = connection_add("workbooks", workbooks(box), admin)
    there = {"base_url": "https://10.1.2.3", "secrets": {"api_key": "given-for-it"}}
    with pytest.raises(ConnectionRefused, match="private address"):
        connection_save(crm, workbooks(box, **there), admin)

    connection_save(crm, workbooks(box, **there, allows_private=True, allows_tls_12=True), admin)

    crm.refresh_from_db()
    assert [badge["text"] for badge in crm.badges] == ["TLS 1.2", "PRIVATE ADDRESS"]
    assert AuditEntry.objects.first().detail["allow_private"] == [None, True]
    connection_save(crm, workbooks(box, base_url="http://127.0.0.1:8901", secrets={"api_key": "k"}), admin)
    crm.refresh_from_db()
    assert [badge["text"] for badge in crm.badges] == ["SANDBOX"]


# --- connecting ------------------------------------------------------------------------------------------------------


@pytest.fixture
def peer(box, admin):
    connection_add("workbooks", workbooks(box, database_id="3"), admin)
    return connection_add("outreach", outreach(box), admin)


def test_connecting_stores_tokens_encrypted_before_their_first_use_and_says_who_connected(box, peer, admin):
    seen = []
    desk = box.world.outreach.desk
    handle = box.world.outreach.handle

    def watch(request):
        if request.path == "/api/v2":
            secrets = Connection.objects.get(pk=peer.pk).secrets
            seen.append((secrets["candidate"]["access_token"] == desk.current_access, secrets.get("access_token")))
        return handle(request)

    box.world.outreach.handle = watch

    connection, identity = connect(box, peer, admin)

    assert seen == [(True, None)] and str(identity) == "Sandbox"  # stored, and not in use before we know whose it is
    assert "candidate" not in connection.secrets and connection.secrets["access_token"] == desk.current_access
    assert (connection.connected_by, connection.connected_as) == ("ada", "Sandbox")
    assert connection.settings["redirect_uri"] == BACK and "accounts.write" in connection.settings["granted_scope"]
    assert connection.refresh_expires_at.date() == (timezone.now() + timedelta(days=14)).date()
    assert all(line.is_ok for line in connection_test(connection, wiring=box.wiring))


def test_the_consent_page_gets_state_challenge_and_no_more_scopes_than_needed(box, peer, admin):
    url, state, flow = connect_begin(peer, admin, BACK)

    asked = {k: v[0] for k, v in parse_qs(urlsplit(url).query).items()}

    assert url.startswith("http://127.0.0.1:8902/oauth/authorize?")
    assert (asked["state"], asked["redirect_uri"], asked["code_challenge_method"]) == (state, BACK, "S256")
    assert flow.verifier not in url and peer.secrets["client_secret"] not in url
    assert set(asked["scope"].split()) == {
        "accounts.read", "accounts.write", "accounts.delete", "prospects.read", "prospects.write", "users.read",
        "webhooks.all", "tasks.read", "sequenceStates.read", "mailings.read", "calls.read",
    }  # fmt: skip


def test_tokens_come_from_the_log_in_address(box, peer, admin, settings):
    settings.SYSTEM_HOSTS = {**settings.SYSTEM_HOSTS, "outreach": ["login.outreach.example"]}
    Connection.objects.filter(pk=peer.pk).update(login_url="https://login.outreach.example")
    peer.refresh_from_db()
    dialled = []

    def dial(connection, *, base_url, **options):
        dialled.append(base_url)
        return box.wiring.open_http(connection, **options)

    url, _, flow = connect_begin(peer, admin, BACK)
    answer = browser(box, url.replace("https://login.outreach.example", "http://127.0.0.1:8902"))
    connect_finish(flow.as_dict(), answer, admin, replace(box.wiring, open_http=dial))

    assert url.startswith("https://login.outreach.example/oauth/authorize?") and dialled == ["https://login.outreach.example"]


def refusals():
    def denied(box, flow, answer, admin):
        return flow, {"error": "access_denied"}, admin

    def other_error(box, flow, answer, admin):
        return flow, {"error": "invalid_scope"}, admin

    def no_code(box, flow, answer, admin):
        return flow, {}, admin

    def unknown_state(box, flow, answer, admin):
        return None, answer, admin

    def other_person(box, flow, answer, admin):
        return flow, answer, User.objects.create_superuser("eve")

    def too_late(box, flow, answer, admin):
        return {**flow, "begun_at": (timezone.now() - timedelta(minutes=11)).isoformat()}, answer, admin

    def other_verifier(box, flow, answer, admin):
        return {**flow, "verifier": "stolen-code-without-its-verifier"}, answer, admin

    def used_code(box, flow, answer, admin):
        connect_finish(flow, answer, admin, box.wiring)
        Connection.objects.filter(system="outreach").update(secrets={**Connection.objects.get(system="outreach").secrets, "x": "kept"})
        return flow, answer, admin

    def wrong_secret(box, flow, answer, admin):
        box.world.outreach.desk.client_secret = "another"
        return flow, answer, admin

    def network(box, flow, answer, admin):
        box.world.faults.add({"kind": "drop", "system": "outreach", "path": "/oauth/token"})
        return flow, answer, admin

    def busy(box, flow, answer, admin):
        box.world.faults.add({"kind": "status", "status": 429, "retry_after": 30, "system": "outreach", "path": "/oauth/token"})
        return flow, answer, admin

    def html(box, flow, answer, admin):
        box.world.faults.add({"kind": "html", "system": "outreach", "path": "/oauth/token"})
        return flow, answer, admin

    return [
        (denied, "Access was denied"),
        (other_error, "refused the log-in (invalid_scope)"),
        (no_code, "sent no code"),
        (unknown_state, "belongs to no log-in that you began"),
        (other_person, "belongs to no log-in that you began"),
        (too_late, "longer than ten minutes"),
        (other_verifier, "refused the code (invalid_grant)"),
        (used_code, "refused the code (invalid_grant)"),
        (wrong_secret, "does not know this client id and secret"),
        (network, "broke off"),
        (busy, "waits 30 s"),
        (html, "answered 200"),
    ]


@pytest.mark.parametrize(("spoil", "said"), refusals(), ids=lambda x: getattr(x, "__name__", ""))
def test_each_way_to_fail_ends_in_a_sentence_and_changes_nothing(box, peer, admin, spoil, said):
    url, _, flow = connect_begin(peer, admin, BACK)
    remembered, answer, by = spoil(box, flow.as_dict(), browser(box, url), admin)
    before = Connection.objects.get(pk=peer.pk)

    with pytest.raises(ConnectRefused) as caught:
        connect_finish(remembered, answer, by, box.wiring)

    after = Connection.objects.get(pk=peer.pk)
    assert said in str(caught.value) and "press Connect" in str(caught.value)
    assert (after.secrets, after.state) == (before.secrets, before.state)
    assert flow.verifier not in str(caught.value) and answer.get("code", "(none)") not in str(caught.value)


def test_a_log_in_of_another_organisation_is_not_taken_once_records_are_linked(box, peer, admin, monkeypatch):
    connection, _ = connect(box, peer, admin)
    bind(SyncPass.objects.get())
    Connection.objects.filter(pk=peer.pk).update(settings={**connection.settings, "organisation": "Acme"})
    connection.refresh_from_db()

    with pytest.raises(ConnectRefused, match="belongs to “Sandbox”, but the records linked so far are of “Acme”"):
        connect(box, connection, admin)

    assert Connection.objects.get(pk=peer.pk).secrets == connection.secrets


def linked_to(box, peer, admin, organisation):
    """Connects, and says whose the records are that were linked since."""
    connection, _ = connect(box, peer, admin)
    bind(SyncPass.objects.get())
    Connection.objects.filter(pk=peer.pk).update(settings={**connection.settings, "organisation": organisation})
    connection.refresh_from_db()
    return connection


@pytest.mark.parametrize("trouble", ["it does not answer", "it does not say"])
def test_a_log_in_of_an_unknown_organisation_is_not_taken_once_records_are_linked(box, peer, admin, monkeypatch, trouble):
    connection = linked_to(box, peer, admin, "Acme")

    def unknown(connector):
        if trouble == "it does not answer":
            raise Unreachable("broke off", system="outreach")
        return Identity()

    monkeypatch.setattr(OutreachConnector, "identity", unknown)

    with pytest.raises(ConnectRefused, match="did not say whose log-in that is, but .* are of “Acme”. Its access was not kept. .*again"):
        connect(box, connection, admin)

    after = Connection.objects.get(pk=peer.pk)
    kept = ("secrets", "settings", "connected_at", "connected_by", "state", "refresh_used_at")
    assert [getattr(after, n) for n in kept] == [getattr(connection, n) for n in kept]
    assert AuditEntry.objects.first().detail == {"organisation": "not said"}


def test_a_log_in_that_is_refused_or_cut_off_was_never_in_use(box, peer, admin, monkeypatch):
    connection = linked_to(box, peer, admin, "Acme")
    used, identity = [], oauth._identity

    def watched(row, wiring):
        used.append(ConnectionTokens(peer.pk).load().access_token)  # what a run would work with at this moment
        return identity(row, wiring)

    def cut_off(row, wiring):
        raise KeyboardInterrupt

    monkeypatch.setattr(oauth, "_identity", watched)
    with pytest.raises(ConnectRefused):
        connect(box, connection, admin)
    monkeypatch.setattr(oauth, "_identity", cut_off)
    with pytest.raises(KeyboardInterrupt):
        connect(box, Connection.objects.get(pk=peer.pk), admin)

    used.append(ConnectionTokens(peer.pk).load().access_token)
    assert used == [connection.secrets["access_token"]] * 2
    monkeypatch.setattr(oauth, "_identity", lambda row, wiring: Identity("Ada", "Acme"))
    taken, _ = connect(box, Connection.objects.get(pk=peer.pk), admin)
    assert taken.secrets["access_token"] == box.world.outreach.desk.current_access and "candidate" not in taken.secrets


def test_before_anything_is_linked_an_unknown_organisation_is_no_hindrance(box, peer, admin, monkeypatch):
    connect(box, peer, admin)
    monkeypatch.setattr(OutreachConnector, "identity", lambda connector: Identity())

    connection, _ = connect(box, Connection.objects.get(pk=peer.pk), admin)

    assert connection.settings["organisation"] == "Sandbox"


def test_a_refused_log_in_puts_back_the_tokens_of_that_moment_and_leaves_what_an_admin_changed(box, peer, admin, monkeypatch):
    connection = linked_to(box, peer, admin, "Acme")
    exchange, identity = oauth._exchange, oauth._identity

    def renewed_meanwhile(*arguments):
        tokens = exchange(*arguments)
        ConnectionTokens.save(loaded, Tokens("fresh access", "fresh refresh", None))  # a run, while the person logs in
        return tokens

    def changed_meanwhile(row, wiring):
        secrets = {"client_id": "another app", "client_secret": "its secret"}
        connection_save(row, outreach(box, name="Renamed", secrets=secrets, allows_tls_12=True), admin)
        return identity(row, wiring)

    loaded = ConnectionTokens(peer.pk)
    loaded.load()
    monkeypatch.setattr(oauth, "_exchange", renewed_meanwhile)
    monkeypatch.setattr(oauth, "_identity", changed_meanwhile)

    with pytest.raises(ConnectRefused, match="belongs to “Sandbox”"):
        connect(box, connection, admin)

    after = Connection.objects.get(pk=peer.pk)
    assert (after.secrets["access_token"], after.secrets["refresh_token"]) == ("fresh access", "fresh refresh")
    assert (after.name, after.secrets["client_id"], after.settings["least_tls"]) == ("Renamed", "another app", "1.2")
    assert after.settings["organisation"] == "Acme"


def test_a_taken_log_in_leaves_what_an_admin_changed_meanwhile(box, peer, admin, monkeypatch):
    identity = oauth._identity

    def changed_meanwhile(row, wiring):
        connection_save(row, outreach(box, allows_tls_12=True), admin)
        return identity(row, wiring)

    monkeypatch.setattr(oauth, "_identity", changed_meanwhile)

    connection, _ = connect(box, peer, admin)

    assert (connection.settings["least_tls"], connection.settings["organisation"]) == ("1.2", "Sandbox")


def test_a_missing_right_is_named_in_the_test(box, peer, admin):
    box.world.outreach.set_switches({"scopes": "accounts.read accounts.delete prospects.all"})
    connection, _ = connect(box, peer, admin)

    missing = [line for line in connection_test(connection, wiring=box.wiring) if not line.is_ok]

    connection.refresh_from_db()
    assert [line.name for line in missing] == ["Write accounts", "Read users"] and connection.state == "needs_attention"
    assert all("press Reconnect" in line.remedy for line in missing)
    box.world.outreach.set_switches({"scopes": ALL_SCOPES})
    connection, _ = connect(box, connection, admin)
    assert all(line.is_ok for line in connection_test(connection, wiring=box.wiring))


def test_a_workbooks_key_without_the_right_to_change_is_told_without_a_write(box, peer, admin):
    box.world.workbooks.may_change = False
    box.world.forget_calls()

    lines = connection_test(Connection.objects.get(system="workbooks"), wiring=box.wiring)

    assert [line.name for line in lines if not line.is_ok] == ["Change organisations", "Change people"]
    assert not [call for call in box.calls() if call.startswith(("PUT", "DELETE", "PATCH"))]


def test_rivals_are_warned_of_on_both_sides(box, peer, admin):
    box.world.workbooks.scheduled_actions = [{"id": 1, "name": "Outreach Send/Receive", "enabled": True}]
    box.world.outreach.create_record("accounts", {"name": "Linked", "defaultPluginMapping": 9})
    box.world.outreach.create_record("accounts", {"name": "Ours", "customId": "wb-3-226"})
    connection, _ = connect(box, peer, admin)

    warnings = [
        line.sentence
        for row in Connection.objects.order_by("pk")
        for line in connection_test(row, wiring=box.wiring)
        if line.is_warning and line.is_ok
    ]

    assert [w.partition(".")[0] for w in warnings] == [
        "It is active", "1 of the 2 accounts changed last are linked by a CRM plugin, “Linked” among them",
    ]  # fmt: skip


# --- reconnecting ----------------------------------------------------------------------------------------------------


def kill_refresh_token(box):
    box.world.outreach.desk.refresh.clear()
    box.world.outreach.desk.expire()


def test_a_dead_refresh_token_flags_nobody_and_reconnect_loses_and_doubles_nothing(admin):
    box = make()
    first = box.organisation("First")
    box.run()
    kill_refresh_token(box)
    box.edit(first, industry="Health")
    second = box.organisation("Second")

    states = [box.run().state for _ in range(60)]  # an hour

    peer = Connection.objects.get(system="outreach")
    assert set(states) == {"interrupted"} and peer.state == "needs_attention" and "reconnect it" in peer.last_error
    assert not Case.objects.exists() and not (box.show(first)[ERROR] or box.show(second)[ERROR])
    bindings, cursor = list(Binding.objects.values_list("crm_id", "peer_id")), SyncPass.objects.get().last_run_time

    connect(box, peer, admin)

    sync_pass = SyncPass.objects.get()
    assert (list(Binding.objects.values_list("crm_id", "peer_id")), sync_pass.last_run_time) == (bindings, cursor)
    assert sync_pass.trouble_count == 0 and sync_pass.next_due_at <= timezone.now()
    run = box.run()
    assert (run.state, run.created, run.updated) == ("finished", 1, 1)
    assert sorted(a["name"] for a in box.accounts()) == ["First", "Second"] and box.accounts("First")[0]["industry"] == "Health"
    assert Connection.objects.get(system="outreach").state == "ok"
    again = box.run()
    assert (again.created, again.updated) == (0, 0)


@pytest.mark.parametrize("status", [401, 503])
@pytest.mark.parametrize("system", ["workbooks", "outreach"])
def test_an_hour_of_trouble_flags_nobody_and_is_caught_up_without_a_person(system, status):
    box = make()
    first = box.organisation("First")
    box.run()
    box.world.faults.add({"kind": "status", "status": status, "system": system})
    box.edit(first, industry="Health")
    box.organisation("Second")

    states = {box.run().state for _ in range(60)}

    troubled = Connection.objects.exclude(state="ok")
    assert states == {"interrupted"} and [c.system for c in troubled] == [system] and troubled[0].last_error
    box.world.faults.clear()
    run = box.run()
    assert (run.state, run.created, run.updated) == ("finished", 1, 1)
    assert not Case.objects.exists() and not Connection.objects.exclude(state="ok").exists()
    assert sorted(a["name"] for a in box.accounts()) == ["First", "Second"]
    again = box.run()
    assert (again.created, again.updated) == (0, 0)

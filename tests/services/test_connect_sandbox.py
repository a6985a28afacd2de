"""`manage.py connect_sandbox`: connections, tables, record types and passes of a running sandbox, once however often."""

import io

import pytest
import requests
from django.core.management import call_command
from django.utils import timezone

from connectors.sandbox.server import SandboxServer
from connectors.sandbox.world import World
from reconciliation.core.mapping import Direction, Survivorship
from reconciliation.core.transforms import TRANSFORMS, has_way_back
from reconciliation.models import Binding, Connection, FieldRule, Mailbox, MappingTable, MappingVersion, RecordType, SyncPass, UserPair
from reconciliation.services.connections import connection_test
from reconciliation.services.mailboxes import pass_over
from reconciliation.services.set_up import SetUpRefused, connect_sandbox, pair_up, salesforce_passes
from tests.sandboxed import make

pytestmark = [pytest.mark.django_db, pytest.mark.both_databases]


@pytest.fixture
def server():
    server = SandboxServer(World(scenario="empty"), 0).start()
    yield server
    server.stop()


def said(server):
    """What the control port says."""
    answer = requests.get(server.urls["control"], headers={"Accept": "application/json"}, timeout=10)
    return {**answer.json(), "control_url": server.urls["control"]}


def command(server):
    out, err = io.StringIO(), io.StringIO()
    call_command("connect_sandbox", "--url", server.urls["control"], stdout=out, stderr=err)
    return out.getvalue() + err.getvalue()


def rows(name):
    return {r.peer_field: r for r in FieldRule.objects.filter(table__name=name)}


SYSTEMS = ("workbooks", "outreach", "salesforce", "microsoft", "google", "exchange")


def test_the_command_connects_them_all_and_everything_answers(server):
    text = command(server)

    titles = ("Workbooks", "Outreach", "Salesforce", "Microsoft 365", "Google", "Exchange")
    names = [f"{title} (sandbox)" for title in titles]
    assert f"Connected {', '.join(names[:-1])} and {names[-1]}" in text and "missing" not in text
    assert dict(Connection.objects.values_list("system", "state")) == dict.fromkeys(SYSTEMS, "ok")
    salesforce = Connection.objects.get(system="salesforce")
    assert salesforce.is_sandbox and salesforce.is_connected and salesforce.settings["external_id_field"] == "Sync_Key__c"
    assert set(salesforce.schema_cache) == {"Contact", "Lead", "Account", "Event", "Task"} and "SANDBOX" in str(salesforce.badges)
    passes = SyncPass.objects.order_by("pk").values_list("name", "crm__system", "peer__system", "is_on", "interval_seconds")
    assert list(passes) == [
        ("organisations", "workbooks", "outreach", True, 60),
        ("prospects", "salesforce", "outreach", True, 600),
        ("accounts", "salesforce", "outreach", False, 600),
        ("outreach-activities", "salesforce", "outreach", False, 600),
        ("contacts", "salesforce", "microsoft", False, 1800),
        ("events", "salesforce", "microsoft", False, 1800),
        ("tasks", "salesforce", "microsoft", False, 1800),
        ("emails", "salesforce", "microsoft", False, 1800),
    ]
    types = RecordType.objects.values_list("sync_pass__name", "crm_object", "peer_object", "order", "outbound_create", "mapping__name")
    assert sorted(types) == [
        ("accounts", "Account", "account", 0, False, "Salesforce accounts to Outreach accounts"),
        ("contacts", "Contact", "contact", 0, True, "Contacts to mailboxes"),
        ("events", "Event", "event", 0, True, "Events and calendars"),
        ("prospects", "Contact", "prospect", 0, False, "Contacts to prospects"),
        ("prospects", "Lead", "prospect", 1, True, "Leads to prospects"),
        ("tasks", "Task", "task", 0, True, "Tasks"),
    ]


def test_the_sandboxes_mailboxes_are_added_each_with_its_salesforce_user(server):
    """S1.3: the pass over them is off, and so is each mailbox's switch."""
    server.world.reset("demo")
    command(server)
    command(server)

    columns = ("address", "connection__system", "state", "is_planned_first", "crm_user_name", "settings")
    rows = Mailbox.objects.order_by("address").values_list(*columns)
    assert [row[:4] for row in rows] == [
        ("ann@example.test", "microsoft", "new", False),
        ("bob@example.test", "microsoft", "new", False),
        ("emma@example.test", "exchange", "new", False),
        ("erik@example.test", "exchange", "new", False),
        ("gina@example.test", "google", "new", False),
        ("hugo@example.test", "google", "new", False),
        ("ivy@example.test", "microsoft", "new", True),
    ]
    assert [row[4].split()[0] for row in rows] == ["Ann", "Bob", "Emma", "Erik", "Gina", "Hugo", "Ivy"] and not any(row[5] for row in rows)
    parent = SyncPass.objects.get(name="contacts")
    started = {str(box): pass_over(parent, box).is_on for box in Mailbox.objects.all()}
    assert [address for address, is_on in started.items() if not is_on] == ["ivy@example.test"]
    google = Connection.objects.get(system="google")
    assert google.settings["pause"] == 0 and google.settings["service_account"]["email"].endswith("gserviceaccount.com")
    lines = {system: {line["name"]: line["is_ok"] for line in row.checks} for row in Connection.objects.all() for system in [row.system]}
    assert lines["google"]["Directory"] and lines["google"]["One mailbox"] and lines["microsoft"]["One mailbox"]

    server.world.reset("demo")
    Mailbox.objects.filter(address="ann@example.test").update(folder_id="x", crm_user_id="of the earlier world", crm_user_chosen=True)
    command(server)
    ann = Mailbox.objects.get(address="ann@example.test")
    assert ann.folder_id == "" and ann.crm_user_id not in ("", "of the earlier world") and not ann.crm_user_chosen


def test_told_again_it_makes_nothing_twice_and_leaves_what_staff_chose(server):
    connect_sandbox(said(server))
    Connection.objects.filter(system="salesforce").update(
        name="Our CRM", settle_seconds=7, settings={"external_id_field": "", "least_tls": "1.2", "granted_scope": "api"}
    )
    peer = Connection.objects.get(system="outreach")
    kept = {"hooks": {"is_on": True}}
    Connection.objects.filter(pk=peer.pk).update(secrets={**peer.secrets, "hook_secret": "s"}, settings={**peer.settings, **kept})
    SyncPass.objects.filter(name="prospects").update(is_on=False, interval_seconds=120)
    RecordType.objects.filter(crm_object="Lead").update(order=0, outbound_create=False, conditions=[["Status", "is", "Open"]])
    RecordType.objects.filter(crm_object="Contact").update(order=1)
    FieldRule.objects.filter(peer_field="title").delete()
    FieldRule.objects.filter(table__name="Leads to prospects", peer_field="stage").update(is_enabled=True, value_map=[["New", "1"]])
    before = state()

    sync_pass, forgot = connect_sandbox(said(server))

    assert (sync_pass.name, forgot) == ("organisations", False) and state() == before
    own = Connection.objects.get(system="salesforce")
    assert (own.name, own.settle_seconds, own.settings["least_tls"], own.settings["external_id_field"]) == ("Our CRM", 7, "1.2", "")
    peer.refresh_from_db()
    assert (peer.secrets["hook_secret"], peer.settings["hooks"]) == ("s", {"is_on": True})
    assert "granted_scope" not in own.settings and Connection.objects.count() == len(SYSTEMS)  # of the tokens before


def state():
    return [list(model.objects.order_by("pk").values()) for model in (SyncPass, RecordType, MappingTable, MappingVersion)] + [
        list(FieldRule.objects.order_by("pk").values())
    ]


def test_a_sandbox_without_salesforce_makes_none_of_it(server):
    without = {k: v for k, v in said(server).items() if k != "salesforce"}

    connect_sandbox(without)

    assert SyncPass.objects.get().name == "organisations" and not RecordType.objects.exists() and Connection.objects.count() == 2


def test_the_standard_rows_of_people_flow_both_ways_and_consent_is_restrictive(server):
    connect_sandbox(said(server))

    for name, street in (("Contacts to prospects", "MailingStreet"), ("Leads to prospects", "Street")):
        table = rows(name)
        assert table["emails"].transform == table["workPhones"].transform == table["mobilePhones"].transform == "first of list"
        assert table["owner"].transform == "user by user mapping" and table["lastName"].default_in_crm == "[not provided]"
        assert {table[n].survivorship for n in ("emailOptedOut", "callOptedOut")} == {Survivorship.RESTRICTIVE}
        assert table["addressStreet"].crm_field == street
        one_way = {n for n, row in table.items() if row.direction != Direction.BOTH}
        assert one_way == ({"company"} if name.startswith("Contacts") else set())
        assert all(row.is_standard for row in table.values())
    lead = rows("Leads to prospects")
    assert lead["company"].default_in_crm == "[not provided]" and (lead["stage"].transform, lead["stage"].is_enabled) == (
        "value map",
        False,
    )
    for row in FieldRule.objects.exclude(table__crm_object="organisation"):
        assert row.transform in TRANSFORMS and (row.direction != Direction.BOTH or has_way_back(row.transform)), row


def test_every_standard_row_names_fields_that_both_systems_have():
    box = make(with_salesforce=True)
    for row in Connection.objects.all():
        connection_test(row, wiring=box.wiring)

    for kind in RecordType.objects.select_related("mapping", "sync_pass__crm", "sync_pass__peer"):
        crm, peer = (getattr(kind.sync_pass, side).schema_cache[getattr(kind, f"{side}_object")] for side in ("crm", "peer"))
        for rule in kind.mapping.rules.all():
            assert rule.crm_field in crm or "." in rule.crm_field, rule
            assert rule.peer_field in peer, rule


def test_a_new_world_makes_every_pass_of_the_sandbox_forget(server):
    connect_sandbox(said(server))
    for sync_pass in SyncPass.objects.all():
        at = sync_pass.last_run_time or timezone.now()  # e-mails have no time of their own before their first run
        Binding.objects.create(sync_pass=sync_pass, crm_type="x", crm_id="1", peer_type="y", peer_id="1", bound_at=at, synced_at=at)
        UserPair.objects.create(sync_pass=sync_pass, crm_user_id="1", read_at=at)
    RecordType.objects.update(position_id="x", last_run_time=None)

    server.world.reset("empty")
    _, forgot = connect_sandbox(said(server))

    assert forgot and not Binding.objects.exists() and not UserPair.objects.exists()
    assert not RecordType.objects.exclude(position_id="", last_run_time__isnull=False).exists()
    assert connect_sandbox(said(server))[1] is False


def test_passes_are_not_shared_by_two_pairs_and_made_once():
    box = make(with_salesforce=True)
    second = Connection.objects.create(name="Second", system="salesforce", base_url="http://127.0.0.1:1")

    with pytest.raises(SetUpRefused, match="“Prospects” keeps “Salesforce .sandbox.” and “Outreach .sandbox.” in agreement already"):
        salesforce_passes(second, box.sync_pass.peer)
    second.delete()
    assert pair_up() == []

"""The receiver switched on and off: what is registered at Outreach, what is looked at daily, and what the page says."""

import time
from datetime import timedelta

import pytest
from django.contrib.auth.models import User
from django.utils import timezone

from connectors.errors import ConnectorError
from connectors.sandbox.outreach.webhooks import Sender
from reconciliation import jobs
from reconciliation.engine.stop import WritesStopped
from reconciliation.models import AuditEntry, Connection, Forgetting, HookDelivery, Operation, Policy
from reconciliation.services import retention
from reconciliation.services.connections import ConnectionChange, connection_save
from reconciliation.services.forgetting import forget_ask, forget_carry_on, forget_confirm, forget_count
from reconciliation.services.webhooks import HooksRefused, hooks_check, hooks_state, hooks_switch_off, hooks_switch_on, receiver_refusal
from tests.admin.test_pages import log_in
from tests.sandboxed import make

pytestmark = [pytest.mark.django_db, pytest.mark.both_databases]


@pytest.fixture
def box(settings, tmp_path):
    settings.HOOK_SPOOL = tmp_path / "hooks"
    box = make()
    box.peer = box.sync_pass.peer
    return box


@pytest.fixture
def ada():
    return User.objects.create(username="ada")


def registered(box):
    return box.world.outreach.list_records("webhooks")


def on(box, by=None, **options):
    box.peer.refresh_from_db()
    hooks_switch_on(box.peer, by, wiring=box.wiring, **options)
    box.peer.refresh_from_db()


def test_switching_on_registers_prospects_and_accounts_with_a_secret_of_ours(box, ada):
    on(box, ada, debounce_seconds=90)

    rows = registered(box)
    assert sorted((r["resource"], r["action"], r["payloadVersion"], r["active"]) for r in rows) == [
        ("account", "*", 2, True), ("prospect", "*", 2, True),
    ]  # fmt: skip
    assert {r["url"] for r in rows} == {f"http://127.0.0.1:8000/hooks/outreach/{box.peer.pk}/"}
    assert {r["secret"] for r in rows} == {box.peer.secrets["hook_secret"]} and len(rows[0]["secret"]) >= 40
    state = hooks_state(box.peer)
    assert (state.is_on, state.registered, state.debounce_seconds, state.trouble) == (True, ("prospects", "accounts"), 90, "")
    entry = AuditEntry.objects.get(action="switch webhooks on")
    assert entry.username == "ada" and rows[0]["secret"] not in str(entry.detail)


def test_switching_on_again_changes_nothing_there_and_keeps_the_secret(box):
    on(box)
    before, secret = [dict(r) for r in registered(box)], box.peer.secrets["hook_secret"]

    on(box, debounce_seconds=300)

    assert registered(box) == before and box.peer.secrets["hook_secret"] == secret
    assert hooks_state(box.peer).debounce_seconds == 300


def test_switching_off_deletes_them_forgets_the_secret_and_closes_the_receiver(box, client):
    on(box)
    box.world.outreach.create_record("webhooks", {"url": "https://other.example/x", "resource": "account", "action": "*"})

    assert hooks_switch_off(box.peer, None, wiring=box.wiring) == ""

    box.peer.refresh_from_db()
    assert [r["url"] for r in registered(box)] == ["https://other.example/x"]  # that of somebody else stays
    assert "hook_secret" not in box.peer.secrets and box.peer.secrets["refresh_token"] and not hooks_state(box.peer).is_on
    assert client.post(f"/hooks/outreach/{box.peer.pk}/", b"{}", content_type="application/json").status_code == 401


def test_off_is_off_here_even_where_outreach_cannot_be_asked(box):
    on(box)
    box.world.faults.add({"kind": "status", "status": 503, "system": "outreach"})

    left = hooks_switch_off(box.peer, None, wiring=box.wiring)

    box.peer.refresh_from_db()
    assert "Delete them there" in left and "hook_secret" not in box.peer.secrets and len(registered(box)) == 2
    box.world.faults.clear()
    on(box)  # a new secret: the old ones, which know another, are replaced
    assert {r["secret"] for r in registered(box)} == {box.peer.secrets["hook_secret"]} and len(registered(box)) == 2


def test_a_missing_scope_leaves_it_off_and_says_who_can_help(box):
    box.world.outreach.set_switches({"scopes": "accounts.all prospects.all users.all"})
    box.peer.secrets = {**box.peer.secrets, **{k: box.world.outreach.credentials()[k] for k in ("access_token", "refresh_token")}}
    box.peer.save()

    with pytest.raises(ConnectorError) as caught:
        hooks_switch_on(box.peer, None, wiring=box.wiring)

    box.peer.refresh_from_db()
    assert "webhooks" in str(caught.value) and not hooks_state(box.peer).is_on and "hook_secret" not in box.peer.secrets


def test_one_that_outreach_switched_off_is_made_anew_and_said(box):
    on(box)
    dead = next(r for r in registered(box) if r["resource"] == "prospect")
    box.world.outreach.update_record("webhooks", dead["id"], {"active": False, "disabledReason": "unreachable for 7 days"})

    assert "prospects" in hooks_check(box.wiring)[box.peer.name]

    box.peer.refresh_from_db()
    rows = registered(box)
    assert len(rows) == 2 and dead["id"] not in {r["id"] for r in rows} and all(r["active"] for r in rows)
    assert "unreachable for 7 days" in hooks_state(box.peer).note
    assert AuditEntry.objects.filter(action="make webhooks anew").count() == 1
    assert hooks_check(box.wiring)[box.peer.name] == "as they should be"
    assert "unreachable" in hooks_state(Connection.objects.get(pk=box.peer.pk)).note  # until somebody has read it


def test_what_was_deleted_there_doubled_or_moved_is_put_right(box, settings):
    on(box)
    box.world.outreach.delete_record("webhooks", registered(box)[0]["id"])
    row = registered(box)[0]
    box.world.outreach.create_record("webhooks", {k: row[k] for k in ("url", "resource", "action", "secret")})
    hooks_check(box.wiring)
    assert sorted(r["resource"] for r in registered(box)) == ["account", "prospect"]

    settings.SITE_URL = "http://localhost:8000"
    hooks_check(box.wiring)

    assert {r["url"] for r in registered(box)} == {f"http://localhost:8000/hooks/outreach/{box.peer.pk}/"} and len(registered(box)) == 2


def test_a_create_whose_answer_was_lost_leaves_no_second_one(box):
    box.world.faults.add({"kind": "lost_answer", "system": "outreach", "method": "POST", "path": "/api/v2/webhooks", "times": 1})
    with pytest.raises(ConnectorError):
        hooks_switch_on(box.peer, None, wiring=box.wiring)
    assert len(registered(box)) == 1

    on(box)

    assert sorted(r["resource"] for r in registered(box)) == ["account", "prospect"]
    assert {r["secret"] for r in registered(box)} == {box.peer.secrets["hook_secret"]}


def test_trouble_of_the_daily_look_is_said_and_goes_when_it_is_over(box):
    on(box)
    box.world.faults.add({"kind": "status", "status": 503, "system": "outreach"})
    hooks_check(box.wiring)
    assert hooks_state(Connection.objects.get(pk=box.peer.pk)).trouble
    box.world.faults.clear()

    hooks_check(box.wiring)

    assert not hooks_state(Connection.objects.get(pk=box.peer.pk)).trouble


def test_while_all_writes_are_stopped_nothing_is_registered_or_deleted(box):
    on(box)
    Policy.objects.update_or_create(pk=1, defaults={"writes_stopped_at": timezone.now(), "writes_stopped_reason": "wrong"})

    for change in (hooks_switch_on, hooks_switch_off):
        with pytest.raises(WritesStopped):
            change(box.peer, None, wiring=box.wiring)
    assert hooks_check(box.wiring) == {} and len(registered(box)) == 2


@pytest.mark.parametrize(
    ("site", "word"),
    [
        ("", "not set"),
        ("https://10.0.0.7", "public"),
        ("https://[fd00::1]", "public"),
        ("https://169.254.1.1", "public"),
        ("https://sync", "public"),
        ("https://sync.corp.internal", "public"),
        ("https://127.0.0.1", "public"),
        ("http://sync.example.com", "https"),
        ("https://sync.example.com", ""),
        ("https://8.8.8.8", ""),
    ],
)
def test_only_a_public_https_address_will_do(box, settings, site, word):
    settings.SITE_URL = site
    box.peer.base_url = "https://api.outreach.io"

    refusal = receiver_refusal(box.peer)

    assert (word in refusal and bool(refusal)) if word else refusal == ""
    if word:
        with pytest.raises(HooksRefused):
            hooks_switch_on(box.peer, None, wiring=box.wiring)
    assert "by webhook" in receiver_refusal(box.sync_pass.crm)


@pytest.mark.parametrize("seconds", [-1, 0, 9, 3601])
def test_a_debounce_out_of_bounds_is_refused(box, seconds):
    with pytest.raises(HooksRefused):
        hooks_switch_on(box.peer, None, debounce_seconds=seconds, wiring=box.wiring)
    assert registered(box) == []


def test_an_address_of_another_host_takes_receiver_and_secret_away(box, settings, ada):
    on(box)
    settings.SYSTEM_HOSTS = {**settings.SYSTEM_HOSTS, "outreach": ["api.outreach.example"]}
    Connection.objects.filter(pk=box.peer.pk).update(is_sandbox=False)
    box.peer.refresh_from_db()
    template = "https://api.outreach.example/{id}"
    secrets = {"client_id": "x", "client_secret": "y"}

    connection_save(box.peer, ConnectionChange("Outreach", "https://api.outreach.example", template, 120, secrets), ada)

    box.peer.refresh_from_db()
    assert "hook_secret" not in box.peer.secrets and "hooks" not in box.peer.settings


# --- pages --------------------------------------------------------------------------------------------------------------
@pytest.fixture
def open_box(box, monkeypatch):
    monkeypatch.setattr("reconciliation.engine.connections.open_connector", lambda row, **o: box.wiring.open_connector(row, **o))
    return box


def test_an_admin_switches_it_on_and_off_on_the_page_and_sees_how_it_is(open_box, client):
    box = open_box
    log_in(client, "admin")
    where = f"/connections/{box.peer.pk}/"
    assert "Switch on" in client.get(where).content.decode()

    client.post(f"{where}webhooks/", {"switch": "on", "debounce_seconds": "60"})
    page = client.get(where).content.decode()
    assert "Registered for prospects and accounts" in page and "none yet" in page and "0 waiting" in page
    HookDelivery.objects.create(connection=box.peer, digest="x", object_type="prospect", object_id="7", received_at=timezone.now())
    page = client.get(where).content.decode()
    assert "just now" in page and "1 waiting" in page
    assert "prospect 7" in client.get(f"{where}deliveries/").content.decode()
    assert "prospect 7" not in client.get(f"{where}deliveries/?state=done").content.decode()
    client.post(f"{where}webhooks/", {"switch": "off"})

    assert registered(box) == [] and "Switch on" in client.get(where).content.decode()


def test_trouble_of_webhooks_is_said_in_the_list_too(open_box, client):
    on(open_box)
    open_box.world.faults.add({"kind": "status", "status": 503, "system": "outreach"})
    jobs.check_hooks()
    log_in(client, "admin")

    assert "Webhooks: " in client.get("/connections/").content.decode()


def test_what_cannot_be_is_said_on_the_page_and_nothing_happens(open_box, client, settings):
    box = open_box
    log_in(client, "admin")
    where = f"/connections/{box.peer.pk}/"
    for given in ({"switch": "on", "debounce_seconds": "1"}, {"switch": "on"}, {"switch": "x"}, {}):
        client.post(f"{where}webhooks/", given)
    crm = box.sync_pass.crm.pk
    assert (
        "by webhook"
        in client.post(f"/connections/{crm}/webhooks/", {"switch": "on", "debounce_seconds": "60"}, follow=True).content.decode()
    )
    settings.SITE_URL = ""

    assert "SITE_URL" in client.get(where).content.decode() and registered(box) == []
    assert "Webhooks" not in client.get(f"/connections/{crm}/").content.decode()


def test_the_secret_is_on_no_page_and_in_no_log_of_exchanges(open_box, client, caplog):
    box = open_box
    log_in(client, "admin")
    box.world.faults.add({"kind": "status", "status": 422, "system": "outreach", "method": "POST", "path": "/api/v2/webhooks", "times": 1})
    with caplog.at_level("DEBUG"):
        for _ in range(2):
            client.post(f"/connections/{box.peer.pk}/webhooks/", {"switch": "on", "debounce_seconds": "60"})
    secret = registered(box)[0]["secret"]

    for where in ("", "deliveries/", "deliveries/export.csv"):
        answer = client.get(f"/connections/{box.peer.pk}/{where}")
        text = b"".join(answer.streaming_content) if answer.streaming else answer.content
        assert secret not in text.decode()
    assert secret not in caplog.text and secret not in str(list(AuditEntry.objects.values()))


# --- how long, and whose -------------------------------------------------------------------------------------------------
def test_what_was_worked_off_stays_fourteen_days_and_what_waits_stays(box):
    now = timezone.now()
    for n, (state, days) in enumerate([("done", 15), ("refused", 15), ("waiting", 400), ("done", 13)]):
        HookDelivery.objects.create(connection=box.peer, digest=str(n), state=state, received_at=now - timedelta(days=days))

    assert retention.prune().removed == {"deliveries": 2}
    assert sorted(HookDelivery.objects.values_list("digest", flat=True)) == ["2", "3"]


def test_a_person_who_is_forgotten_stands_in_no_delivery_and_in_no_lost_value(box, ada):
    mail, now = "jane.doe@acme.example", timezone.now()
    prospect = box.world.outreach.create_record("prospects", {"emails": [mail], "firstName": "Jane"})["id"]
    body = {"data": {"type": "prospect", "id": prospect, "attributes": {"title": "Only she"}}, "meta": {"eventName": "prospect.updated"}}
    theirs = {"connection": box.peer, "object_type": "prospect", "object_id": str(prospect), "received_at": now}
    HookDelivery.objects.create(**theirs, digest="a", body=body)
    HookDelivery.objects.create(connection=box.peer, digest="b", body={"data": {"x": [mail, "other@x.example"]}}, received_at=now)
    run = box.run()
    Operation.objects.create(
        run=run, connection=box.peer, kind="update", object_type="account", state="confirmed", writer_key="x", source_ref="x",
        intended_at=now, before={"industry": "x"}, after={"industry": "y"}, origin={"losers": {"industry": f"ask {mail}"}},
    )  # fmt: skip
    row = forget_ask(mail, "", ada)
    forget_count(row.pk, wiring=box.wiring)
    assert forget_confirm(Forgetting.objects.get(pk=row.pk), ada) and forget_carry_on(row.pk)

    kept = str(list(HookDelivery.objects.values())) + str(list(Operation.objects.values_list("origin", flat=True)))
    assert mail not in kept and "Only she" not in kept and f"'{prospect}'" not in kept and "other@x.example" in kept
    assert not Operation.objects.get(writer_key="x").is_undoable
    jobs.work_off_deliveries()
    assert HookDelivery.objects.filter(state="waiting").count() == 0
    assert "Deliveries of webhooks" in str(Forgetting.objects.get(pk=row.pk).counts)


# --- over the wire ---------------------------------------------------------------------------------------------------------
@pytest.mark.django_db(transaction=True)
def test_changes_come_over_http_signed_as_registered_twice_shuffled_and_some_never(box, settings, live_server):
    settings.SITE_URL = live_server.url
    box.world._sender = Sender()
    on(box)
    box.world.outreach.set_switches({"hooks_repeat": 0.5, "hooks_shuffle": True})
    ids = [box.world.outreach.create_record("prospects", {"emails": [f"p{n}@x.example"], "firstName": f"P{n}"})["id"] for n in range(20)]
    box.world.keep()
    for id_ in ids:
        box.world.outreach.update_record("prospects", id_, {"firstName": "Changed"})
        box.world.keep()
    box.world.outreach.set_switches({"hooks_shuffle": False, "hooks_drop": 1.0})
    box.world.keep()
    box.world.outreach.create_record("prospects", {"firstName": "never told"})
    box.world.keep()

    ends = time.monotonic() + 20
    while HookDelivery.objects.count() < 40 and time.monotonic() < ends:
        time.sleep(0.05)

    assert HookDelivery.objects.filter(action="created").count() == 20
    updated = HookDelivery.objects.filter(action="updated")
    assert sorted(int(row.object_id) for row in updated) == ids and all("beforeUpdate" in row.body["data"] for row in updated)
    time.sleep(0.3)
    assert HookDelivery.objects.count() == 40  # the repeats are one each

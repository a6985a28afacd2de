"""Being told: who hears what, how often, and that a mail server which is down stops nothing else."""

import hashlib
import hmac
import json
import threading
from datetime import UTC, datetime, time, timedelta

import pytest
from django.contrib.auth.models import Group, User
from django.core.management import call_command
from django.db import connection as database
from django.db import connections
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from reconciliation import jobs
from reconciliation.core.alerts import causes
from reconciliation.engine import outbox
from reconciliation.engine.executor import Executor
from reconciliation.models import Alert, AuditEntry, Binding, Case, ChatHook, Connection, FieldRule, Message, Run, Subscription, SyncPass
from reconciliation.services import alert_watch, alerts
from reconciliation.services.alert_facts import alert_facts
from reconciliation.services.alert_watch import KINDS, restart_note, watch
from reconciliation.services.alerts import AlertsRefused, Wanted, chat_hook_save, subscription_save
from reconciliation.services.stop_writes import writes_stop
from tests.mailbox import mail_server, webhook_receiver
from tests.sandboxed import ERROR, make
from tests.services.test_connecting import connect, kill_refresh_token

pytestmark = [pytest.mark.django_db, pytest.mark.both_databases]
SECRET = "a secret of the chat"


@pytest.fixture
def mailed(settings):
    """A mail server that the site is set to use."""
    with mail_server() as server:
        settings.EMAIL_BACKEND = "django.core.mail.backends.smtp.EmailBackend"
        settings.EMAIL_HOST, settings.EMAIL_PORT, settings.EMAIL_TIMEOUT = "127.0.0.1", server.port, 5
        settings.MAIL_IS_CONFIGURED = True
        settings.DEFAULT_FROM_EMAIL = "Syncsite <sync@example.com>"
        settings.SITE_URL = "https://sync.example.com"
        yield server


@pytest.fixture
def chat():
    with webhook_receiver() as receiver:
        yield receiver


def person(name="olga", role="viewer", **wanted):
    user = User.objects.create_user(name, password="x", is_staff=True, email=f"{name}@example.com")
    user.groups.add(Group.objects.get_or_create(name=role)[0])
    subscription_save(user, Wanted(**{"kinds": KINDS, "queue_limit": 20, "address": f"{name}@example.com", **wanted}))
    return user


@pytest.fixture
def olga(mailed):
    call_command("migrate", verbosity=0)
    return person()


def tell_chat(receiver, **wanted):
    admin = User.objects.create_superuser("root")
    values = {"kinds": KINDS, "queue_limit": 20, **wanted}
    return chat_hook_save(Wanted(**values), address=receiver.url, secret=SECRET, is_on=True, by=admin)


def minute(box):
    """A minute of the clock: the pass when it is due, then a look at what people should be told, then the sending."""
    box.clock.forward(60)
    box.sync_pass.refresh_from_db()
    if box.sync_pass.next_due_at is None or box.sync_pass.next_due_at <= box.clock():
        box.run(forward=0)
    look(box)


def look(box):
    watch(box.clock())
    if outbox.has_due(box.clock()):
        outbox.send_due(box.clock())


def hour(box, minutes=60):
    for _ in range(minutes):
        minute(box)


# --- Acceptance 2: one hour of each --------------------------------------------------------------------------------
def test_an_hour_of_401_then_of_503_then_a_dead_refresh_token_one_alert_and_one_cure_each(olga, mailed, monkeypatch):
    """With the pass's own back-off, a write under way when each trouble begins, edits meanwhile, and *Reconnect* as a
    person does it."""
    box = make()
    monkeypatch.setattr("django.utils.timezone.now", box.clock)
    ids = [box.organisation("Before", industry="Food")]
    minute(box)
    assert mailed.mails == []

    for n, (fault, heard) in enumerate(
        [
            ({"status": 401, "path": "/api/v2/accounts"}, "Outreach (sandbox) needs a person"),
            ({"status": 503}, "“Outreach Send/Receive” is late"),
        ]
    ):
        mailed.mails.clear()
        ids.append(box.organisation(f"Under way at {fault['status']}"))
        box.world.faults.add({"kind": "lost_answer", "system": "outreach", "method": "POST", "path": "/api/v2/accounts", "times": 1})
        minute(box)
        box.world.faults.add({"kind": "status", "system": "outreach", **fault})
        box.edit(ids[0], industry=f"Edited {n}")
        ids.append(box.organisation(f"During {fault['status']}"))
        hour(box)
        assert mailed.subjects() == [f"Syncsite: {heard}"], fault
        box.world.faults.clear()
        hour(box, 20)
        assert len(mailed.mails) == 2 and "There is nothing to do" in mailed.texts()[1], mailed.subjects()
        assert box.accounts("Before")[0]["industry"] == f"Edited {n}"

    mailed.mails.clear()
    kill_refresh_token(box)
    ids.append(box.organisation("During the dead token"))
    hour(box)
    assert mailed.subjects() == ["Syncsite: Outreach (sandbox) needs a person"]
    assert "invalid_grant" in mailed.texts()[0]
    connect(box, Connection.objects.get(system="outreach"), User.objects.create_superuser("ada"))
    hour(box, 20)
    assert mailed.subjects()[1:] == ["Syncsite: Outreach (sandbox) works again"]

    assert not any(box.show(id_)[ERROR] for id_ in ids) and not Case.objects.exists()
    assert sorted(a["name"] for a in box.accounts()) == sorted(box.show(id_)["name"] for id_ in ids)  # each once
    assert not Alert.objects.filter(is_open=True).exists()


def test_the_three_troubles_without_a_pause_are_told_each_and_end_once(olga, mailed):
    box = make()
    minute(box)
    box.world.faults.add({"kind": "status", "system": "outreach", "status": 401, "path": "/api/v2/accounts"})
    box.organisation("Patient")
    hour(box)
    box.world.faults.clear()
    box.world.faults.add({"kind": "status", "system": "outreach", "status": 503})
    hour(box)
    assert [s.removeprefix("Syncsite: ") for s in mailed.subjects()] == [
        "Outreach (sandbox) needs a person",
        "“Outreach Send/Receive” is late",
    ]
    box.world.faults.clear()
    outreach = Connection.objects.get(system="outreach")
    alive = dict(outreach.secrets)
    Connection.objects.filter(pk=outreach.pk).update(secrets={**alive, "refresh_token": "dead", "access_token": "dead", "expires_at": ""})
    hour(box)
    assert len(mailed.mails) == 3 and "invalid_grant" in mailed.texts()[2]
    Connection.objects.filter(pk=outreach.pk).update(secrets=alive)
    hour(box, 20)

    assert sorted(mailed.subjects()[3:]) == [
        "Syncsite: Outreach (sandbox) works again",
        "Syncsite: “Outreach Send/Receive” is on time again",
    ]


def test_a_trouble_of_three_days_is_told_three_times(olga, mailed):
    box = make()
    minute(box)
    box.world.faults.add({"kind": "status", "system": "outreach", "status": 401})
    box.organisation("Patient")
    box.run()
    for _ in range(3 * 24 * 4 - 1):
        box.clock.forward(15 * 60)
        look(box)

    assert len(mailed.mails) == 3 and mailed.subjects()[2].endswith("(still)")


# --- The other causes ----------------------------------------------------------------------------------------------
def test_what_a_brake_parked_is_told_once_and_cured_by_approval(olga, mailed):
    box = make()
    FieldRule.objects.filter(crm_field="website").update(blank_to_peer=True)
    ids = [box.organisation(f"Secret Person {n}", website=f"https://c{n}.example") for n in range(60)]
    box.run()
    box.run(forward=300)
    for id_ in ids:
        box.edit(id_, website="")
    hour(box, 10)

    assert mailed.subjects() == ["Syncsite: “Outreach Send/Receive” waits for your approval"]
    held = Run.objects.filter(state="held").order_by("pk").first()
    assert f"https://sync.example.com/runs/{held.pk}/" in mailed.texts()[0]
    assert "Secret Person" not in mailed.texts()[0]

    box.run(kind=Run.Kind.APPLY, apply_of=held.pk)
    hour(box, 3)
    assert mailed.subjects()[1:] == ["Syncsite: “Outreach Send/Receive” goes on"]


def test_a_queue_above_the_chosen_number_is_told_to_those_who_chose_it(olga, mailed):
    box = make()
    box.run()
    person("ivan", queue_limit=2)
    for n in range(3):
        Case.objects.create(
            sync_pass=box.sync_pass, kind="duplicate", crm_id=str(n), name="Secret Ltd", reason="x", sentence="y", opened_at=box.clock()
        )
    look(box)
    look(box)

    assert mailed.recipients == ["ivan@example.com"]
    assert mailed.subjects() == ["Syncsite: More than 2 duplicates are open"]
    assert "https://sync.example.com/duplicates/" in mailed.texts()[0] and "Secret" not in mailed.texts()[0]
    Case.objects.filter(crm_id="0").update(state="closed")
    box.clock.forward(60)
    look(box)
    assert mailed.subjects()[1:] == ["Syncsite: No more than 2 duplicates are open"]


def test_a_restart_by_the_watchdog_is_told_and_also_while_every_pass_is_off(olga, mailed):
    box = make()
    SyncPass.objects.update(is_on=False)
    restart_note("task cluster", "gave no sign of life for 180 s", box.clock())
    for _ in range(10):
        box.clock.forward(60)
        look(box)

    assert mailed.subjects() == ["Syncsite: The task cluster was started again"]
    assert "gave no sign of life" in mailed.texts()[0]


def test_a_pass_that_was_just_resumed_is_not_called_late(olga, mailed):
    box = make()
    box.run()
    box.clock.forward(86400)
    look(box)  # nothing ran for a day, as on a machine that was off
    box.run()
    hour(box, 5)

    assert mailed.mails == []


# --- Who is told ---------------------------------------------------------------------------------------------------
def trouble(box=None):
    box = box or make()
    box.run()
    Connection.objects.filter(system="outreach").update(state="needs_attention", last_error="Outreach: refused our token")
    return box


def test_people_without_a_role_or_a_wish_hear_nothing(olga, mailed):
    person("gone", kinds=KINDS).groups.clear()
    User.objects.filter(pk=person("left").pk).update(is_active=False)
    person("quiet", kinds=("watchdog",))
    look(trouble())

    assert mailed.recipients == ["olga@example.com"]


def test_who_subscribes_later_hears_of_it_the_next_day_and_of_no_end_that_he_heard_no_beginning_of(olga, mailed):
    box = trouble()
    look(box)
    person("late")
    Connection.objects.update(state="ok", last_error="")
    box.clock.forward(60)
    look(box)

    assert mailed.recipients == ["olga@example.com"] * 2


def test_what_stands_is_told_to_the_first_who_subscribes(mailed):
    call_command("migrate", verbosity=0)
    box = trouble()
    look(box)
    assert not Message.objects.exists()
    person()
    box.clock.forward(60)
    look(box)

    assert len(mailed.mails) == 1


def test_a_mail_is_plain_text_with_links_and_says_that_a_machine_wrote_it(olga, mailed):
    look(trouble())
    (mail,) = mailed.mails

    assert mail.get_content_type() == "text/plain" and mail["Auto-Submitted"] == "auto-generated"
    assert mail["From"] == "Syncsite <sync@example.com>" and mail["To"] == "olga@example.com"
    assert "https://sync.example.com/connections/" in mail.get_content() and "https://sync.example.com/alerts/" in mail.get_content()


def test_without_a_mail_server_no_mail_is_kept_for_later(settings):
    call_command("migrate", verbosity=0)
    settings.MAIL_IS_CONFIGURED = False
    person()
    look(trouble())

    assert Alert.objects.filter(is_open=True).exists() and not Message.objects.exists()


# --- A mail server in trouble --------------------------------------------------------------------------------------
def test_a_mail_server_that_is_down_is_shown_tried_again_and_stops_no_pass(olga, mailed, client):
    box = trouble()
    mailed.refuses["CONNECT"] = "421 too busy"
    look(box)
    look(box)
    Connection.objects.update(state="ok", last_error="")

    assert box.run().state == "finished"
    look(box)
    client.force_login(olga)
    page = client.get("/").content.decode()
    assert "Mails cannot be sent" in page and "421 too busy" in page
    waiting = Message.objects.filter(state="waiting").order_by("pk").first()
    assert waiting.tries >= 1 and waiting.next_try_at > box.clock() - timedelta(minutes=1)

    mailed.refuses.clear()
    hour(box, 20)
    assert [s.removeprefix("Syncsite: ") for s in mailed.subjects()] == [
        "Outreach (sandbox) needs a person",
        "Outreach (sandbox) works again",
    ]
    assert "Mails cannot be sent" not in client.get("/").content.decode()


def test_a_server_that_does_not_answer_is_asked_once_a_round_not_once_a_message(olga, mailed):
    for n in range(5):
        person(f"p{n}")
    mailed.refuses["CONNECT"] = "421 too busy"
    look(trouble())

    assert mailed.connections == 1


def test_a_refused_address_is_not_tried_again_and_stops_no_other(olga, mailed):
    person("ghost")
    mailed.refuses["ghost@example.com"] = "550 no such user"
    box = trouble()
    look(box)
    hour(box, 3)

    assert set(mailed.recipients) == {"olga@example.com"}
    ghost = Message.objects.get(address="ghost@example.com", what="opened")
    assert ghost.state == "failed" and ghost.tries == 1 and "550 no such user" in ghost.says


def test_tries_end_after_a_day(olga, mailed):
    mailed.refuses["MAIL"] = "451 not now"
    box = trouble()
    look(box)
    Connection.objects.update(state="ok")
    Message.objects.filter(what="opened").update(tries=outbox.MOST_TRIES - 1)
    box.clock.forward(3600)
    look(box)

    assert Message.objects.get(what="opened").state == "failed"


def test_a_message_whose_sender_died_is_sent_by_the_next_one(olga, mailed):
    box = trouble()
    watch(box.clock())
    Message.objects.update(state="sending", tries=1, next_try_at=box.clock())
    outbox.send_due(box.clock() + timedelta(minutes=1))
    assert mailed.mails == []
    outbox.send_due(box.clock() + timedelta(minutes=6))

    assert len(mailed.mails) == 1


def test_the_password_of_the_mail_server_is_in_no_answer(olga, mailed, settings):
    settings.EMAIL_HOST_USER, settings.EMAIL_HOST_PASSWORD = "sync", "hunter2-hunter2"
    mailed.refuses["MAIL"] = "550 you said hunter2-hunter2"
    said = outbox.send_mail("a@example.com", outbox.words.Words("s", "b"), number="1")

    assert not said.is_sent and "hunter2" not in said.words


# --- Twice at once -------------------------------------------------------------------------------------------------
@pytest.mark.django_db(transaction=True)
def test_two_clusters_tell_it_once(olga, mailed):
    box = trouble()
    failures = []

    def one():
        try:
            watch(box.clock())
            outbox.send_due(box.clock())
        except Exception as error:
            failures.append(error)
        finally:
            connections.close_all()

    threads = [threading.Thread(target=one) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    outbox.send_due(box.clock())

    assert failures == [] and len(mailed.mails) == 1 and Message.objects.count() == 1


def test_a_cluster_that_looked_while_another_told_it_tells_nothing(olga, mailed, monkeypatch):
    box, real, done = trouble(), alert_watch._begin, []

    def late(cause, now):
        if not done:
            done.append(1)
            watch(box.clock())  # the other one, from its look to its message
        return real(cause, now)

    monkeypatch.setattr(alert_watch, "_begin", late)
    watch(box.clock())

    assert Message.objects.count() == 1


def test_a_look_costs_few_queries_however_much_there_is(olga, mailed, django_assert_max_num_queries):
    box = trouble()
    look(box)
    Run.objects.bulk_create(
        Run(sync_pass=box.sync_pass, state="finished", kind="scheduled", started_at=box.clock(), ended_at=box.clock()) for _ in range(2000)
    )
    Case.objects.bulk_create(
        Case(sync_pass=box.sync_pass, kind="error", crm_id=str(n), reason="x", sentence="y", opened_at=box.clock()) for n in range(500)
    )
    with CaptureQueriesContext(database) as queries:
        watch(box.clock())

    assert len(queries) <= 25, [q["sql"][:80] for q in queries]
    with django_assert_max_num_queries(14):
        watch(box.clock())


# --- The digest ----------------------------------------------------------------------------------------------------
def test_a_digest_comes_once_a_day_at_its_time_in_the_zone_of_the_site(olga, mailed, settings):
    settings.TIME_ZONE = "America/New_York"
    with timezone.override("America/New_York"):
        Subscription.objects.update(kinds=[], digest_at=time(7, 30), digest_sent_on=None)
        box = make()
        box.organisation("Secret Ltd")
        box.run()
        box.clock.at = datetime(2026, 3, 7, 12, 29, tzinfo=UTC)  # 07:29 there
        look(box)
        assert mailed.mails == []
        for _ in range(5):
            box.clock.forward(60)
            look(box)
        assert len(mailed.mails) == 1
        box.clock.at = datetime(2026, 3, 8, 11, 30, tzinfo=UTC)  # 07:30 on the day the clocks went forward
        look(box)

    assert len(mailed.mails) == 2
    assert "Saturday, 7 March 2026" in mailed.subjects()[0]
    assert "https://sync.example.com/runs/" in mailed.texts()[0] and "Secret Ltd" not in "".join(mailed.texts())


def test_a_time_that_is_over_today_begins_tomorrow(olga):
    early, late = time(0, 0), time(23, 59, 59)
    for at, sent_on in ((early, timezone.localdate()), (late, None)):
        subscription_save(olga, Wanted(KINDS, 20, "olga@example.com", at))
        assert Subscription.objects.get(user=olga).digest_sent_on == sent_on


# --- The chat ------------------------------------------------------------------------------------------------------
def test_the_chat_hears_the_same_signed_with_its_secret(chat, settings):
    call_command("migrate", verbosity=0)
    tell_chat(chat)
    box = trouble()
    look(box)
    look(box)
    Connection.objects.update(state="ok")
    look(box)

    assert len(chat.calls) == 2
    headers, raw = chat.calls[0]
    assert "Outreach (sandbox) needs a person" in json.loads(raw)["text"] and list(json.loads(raw)) == ["text"]
    signed = hmac.new(SECRET.encode(), headers["X-Syncsite-Timestamp"].encode() + b"." + raw, hashlib.sha256).hexdigest()
    assert headers["X-Syncsite-Signature"] == f"sha256={signed}"
    assert headers["path"] == "/services/T0/B0/hidden-part?sig=also-hidden"
    assert headers["X-Syncsite-Event"] == "opened"


def test_a_chat_that_redirects_elsewhere_is_not_followed(chat):
    call_command("migrate", verbosity=0)
    tell_chat(chat)
    chat.status, chat.location = 307, "http://127.0.0.1:1/elsewhere"
    look(trouble())

    message = Message.objects.get()
    assert message.state == "waiting" and "another host" in message.says


@pytest.mark.parametrize(("status", "state"), [(503, "waiting"), (404, "waiting"), (400, "failed"), (500, "waiting"), (429, "waiting")])
def test_what_a_chat_refuses_is_tried_again_unless_it_is_the_message(chat, status, state):
    call_command("migrate", verbosity=0)
    tell_chat(chat)
    chat.status, chat.body = status, b"no_team"
    look(trouble())

    message = Message.objects.get()
    assert message.state == state and "hidden" not in message.says and SECRET not in message.says


@pytest.mark.parametrize(
    "address",
    [
        "http://hooks.example.com/x",
        "https://10.0.0.8/x",
        "https://169.254.169.254/latest/meta-data",
        "https://[::1]/x",
        "https://0x7f.1/x",
        "https://user:pw@hooks.example.com/x",
        "https://hooks.example.com/x y",
        "https://hooks.example.com/x#y",
        "https://hooks.example.com\\@127.0.0.1/",
        "javascript:alert(1)",
        "https://[",
        "",
    ],
)
def test_addresses_a_webhook_must_not_have_are_refused(settings, address):
    settings.ALLOW_LOOPBACK = False
    with pytest.raises(AlertsRefused):
        chat_hook_save(Wanted(KINDS, 20), address=address, secret=SECRET, is_on=True, by=User.objects.create_superuser("root"))
    assert not ChatHook.objects.exists()


def test_a_name_that_leads_to_a_private_address_is_refused_when_it_is_used(settings, monkeypatch):
    import socket

    admin = User.objects.create_superuser("root")
    settings.ALLOW_LOOPBACK = False
    chat_hook_save(Wanted(KINDS, 20), address="https://hooks.example.com/x", secret=SECRET, is_on=True, by=admin)
    found = [(socket.AF_INET, socket.SOCK_STREAM, 6, "", ("10.0.0.8", 443))]
    monkeypatch.setattr(socket, "getaddrinfo", lambda *a, **k: found)

    said = outbox.post_chat(outbox.words.Words("s", "b"), event="trial", number="1")

    assert not said.is_sent and "private address" in said.words


def test_only_hosts_of_the_list_are_taken_once_there_is_one(settings):
    settings.WEBHOOK_HOSTS = ["hooks.slack.com", "*.example.com"]

    assert alerts.check_webhook("https://hooks.slack.com/x") == "hooks.slack.com"
    assert alerts.check_webhook("https://a.example.com/x") == "a.example.com"
    for bad in ("https://evil.com/x", "https://example.com/x", "https://hooks.slack.com.evil.com/x"):
        with pytest.raises(AlertsRefused, match="WEBHOOK_HOSTS"):
            alerts.check_webhook(bad)


def test_the_secret_is_never_used_for_a_host_it_was_not_given_for(chat):
    hook = tell_chat(chat)
    admin = User.objects.get(username="root")
    with pytest.raises(AlertsRefused, match="secret"):
        chat_hook_save(Wanted(KINDS, 20), address="https://evil.example/x", secret="", is_on=True, by=admin)
    hook.refresh_from_db()
    assert hook.host == "127.0.0.1"

    chat_hook_save(Wanted(("late",), 5), address="", secret="", is_on=False, by=admin)
    hook.refresh_from_db()
    assert (hook.secrets["address"], hook.secrets["secret"], hook.kinds, hook.is_on) == (chat.url, SECRET, ["late"], False)


def test_address_and_secret_are_encrypted_and_on_no_page_and_not_in_the_audit_log(chat, client):
    call_command("migrate", verbosity=0)
    tell_chat(chat)
    client.force_login(User.objects.get(username="root"))
    page = client.get("/alerts/").content.decode()
    with database.cursor() as cursor:
        cursor.execute("SELECT secrets FROM reconciliation_chathook")
        stored = cursor.fetchone()[0]
    said = str(list(AuditEntry.objects.values()))

    for text in (page, stored, said):
        assert "hidden-part" not in text and SECRET not in text
    assert "secrets_replaced" in said


# --- The page ------------------------------------------------------------------------------------------------------
def post(client, **values):
    given = {"address": "me@example.com", "kinds": ["late", "queue"], "queue_limit": "7", "digest_at": "07:15", **values}
    return client.post("/alerts/", given, follow=True).content.decode()


def test_each_person_chooses_for_himself(olga, client):
    ivan = person("ivan")
    client.force_login(ivan)

    assert "Saved." in post(client)

    mine = Subscription.objects.get(user=ivan)
    assert (mine.address, mine.kinds, mine.queue_limit, mine.digest_at) == ("me@example.com", ["late", "queue"], 7, time(7, 15))
    assert Subscription.objects.get(user=olga).address == "olga@example.com"
    entry = AuditEntry.objects.order_by("-pk").first()
    assert (entry.username, entry.action, entry.detail["queue_limit"]) == ("ivan", "change alerts", [20, 7])
    page = client.get("/alerts/").content.decode()
    assert "The chat" not in page and 'value="07:15"' in page


@pytest.mark.parametrize(
    "values",
    [
        {"address": "no address"},
        {"address": ""},
        {"address": "a@example.com\r\nBcc: b@example.com"},
        {"kinds": ["everything"]},
        {"queue_limit": "-1"},
        {"queue_limit": "many"},
        {"queue_limit": "99999999999999999999"},
        {"digest_at": "25:00"},
    ],
)
def test_choices_that_cannot_be_are_refused_in_words(olga, client, values):
    client.force_login(olga)
    before = Subscription.objects.values().get(user=olga)

    assert "Nothing was saved." in post(client, **values)
    assert Subscription.objects.values().get(user=olga) == before


def test_nothing_chosen_is_nothing_told(olga, client):
    client.force_login(olga)

    assert "told nothing by mail" in post(client, kinds=[], digest_at="", address="")


def test_the_test_button_says_what_the_mail_server_answered(olga, mailed, client):
    client.force_login(olga)

    page = client.post("/alerts/test/", follow=True).content.decode()
    assert "The mail server 127.0.0.1 took the message for olga@example.com." in page
    assert mailed.subjects() == ["Syncsite: a test message"]

    assert "wait half a minute" in client.post("/alerts/test/", follow=True).content.decode()
    assert len(mailed.mails) == 1
    entry = AuditEntry.objects.get(action="send test message")
    assert (entry.subject, entry.detail) == ("mail", {"is_sent": True})  # no address: the row can never be changed


@pytest.mark.parametrize(
    ("refusal", "words"),
    [
        ({"CONNECT": "554 not you"}, "554 not you"),
        ({"MAIL": "550 sender unknown"}, "refuses our address"),
        ({"RCPT": "550 no such user"}, "refused the address: 550 no such user"),
        ({"DATA": "552 too big"}, "552 too big"),
    ],
)
def test_every_refusal_of_a_mail_server_is_words(olga, mailed, client, refusal, words):
    mailed.refuses.update(refusal)
    client.force_login(olga)

    assert words in client.post("/alerts/test/", follow=True).content.decode()
    assert Message.objects.get().state == "failed"
    assert not Alert.objects.exists()


def test_a_mail_server_that_is_not_there_and_none_at_all_are_words(olga, settings):
    settings.EMAIL_PORT = 1
    assert "cannot be reached" in alerts.trial_mail(olga).words
    Message.objects.all().delete()
    settings.MAIL_IS_CONFIGURED = False
    assert "EMAIL_URL" in alerts.trial_mail(olga).words


def test_the_chat_is_tested_by_admins_only(chat, client):
    call_command("migrate", verbosity=0)
    tell_chat(chat)
    user = User.objects.create_user("op", password="x", is_staff=True)
    user.groups.add(Group.objects.get(name="operator"))
    client.force_login(user)
    assert client.post("/alerts/chat/test/").status_code == 403
    client.force_login(User.objects.get(username="root"))

    page = client.post("/alerts/chat/test/", follow=True).content.decode()

    assert "took the message (200)" in page and len(chat.calls) == 1


def test_until_mail_is_set_the_dashboard_says_so(client, settings):
    call_command("migrate", verbosity=0)
    make()
    client.force_login(User.objects.create_superuser("root"))

    assert "Nobody is told by e-mail yet" in client.get("/").content.decode()
    settings.MAIL_IS_CONFIGURED = True
    assert "Nobody is told by e-mail yet" not in client.get("/").content.decode()


def test_the_job_looks_every_minute_and_asks_for_the_sending(olga, mailed, monkeypatch):
    from django_q.models import Schedule

    asked = []
    monkeypatch.setattr(jobs, "async_task", lambda name, **options: asked.append(name))
    trouble()
    SyncPass.objects.update(is_on=False)

    assert "1 told" in jobs.watch_alerts() and asked == ["reconciliation.jobs.send_messages"]
    assert jobs.send_messages() == "1 sent, 0 failed"
    assert jobs.watch_alerts() and len(asked) == 1
    assert Schedule.objects.get(func="reconciliation.jobs.watch_alerts").minutes == 1
    assert not Binding.objects.exists()


def test_what_the_supervisor_did_is_remembered_and_no_database_is_no_end_of_it(monkeypatch):
    from django.db import DatabaseError

    from reconciliation.management.commands import serve
    from reconciliation.models import Restart

    monkeypatch.setattr(serve, "close_old_connections", lambda: None)
    serve.remember_restart("task cluster", "gave no sign of life for 180 s")
    assert Restart.objects.values_list("program", "reason").get() == ("task cluster", "gave no sign of life for 180 s")

    def broken(*_):
        raise DatabaseError("gone")

    monkeypatch.setattr(serve, "restart_note", broken)
    serve.remember_restart("task cluster", "ended (exit 1)")


def test_writes_that_are_stopped_in_the_middle_of_a_run_are_no_brake(olga, mailed, monkeypatch):
    box = make()
    box.organisation("A")
    minute(box)
    box.organisation("B")
    claim = Executor._claim

    def stopped_now(self, wave):
        writes_stop(olga, "the price list is wrong")
        return claim(self, wave)

    with monkeypatch.context() as patch:
        patch.setattr(Executor, "_claim", stopped_now)
        run = box.run(kind="scheduled")

    assert run.state == "held" and not [c for c in causes(alert_facts(box.clock())) if c.kind == "brake"]


def test_a_plan_refused_before_the_pass_is_on_is_no_brake():
    box = make(is_real=True)
    box.organisation("A")
    preview = box.run(kind="preview")
    run = box.run(kind="apply", apply_of=preview.pk)

    assert run.state == "held" and not [c for c in causes(alert_facts(box.clock())) if c.kind == "brake"]

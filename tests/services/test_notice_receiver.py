"""What Microsoft tells of changed meetings, as it comes: genuine, forged, twice, out of order, many, large, and while the database is
away. Nothing of it does more than let its mailbox run, and nothing of it is lost."""

import json
import random
import threading
import time
from datetime import timedelta

import pytest
from django.db import OperationalError
from django.test import Client
from django.utils import timezone

from reconciliation.engine import insta, mailbox_queue
from reconciliation.models import CalendarWatch, InstaSync, Mailbox, MeetingNotice, SyncPass
from reconciliation.services import hook_spool, notice_receiver
from reconciliation.services.notice_receiver import BODY_BYTES, SPOOL
from tests.admin.test_secrets import written  # noqa: F401  # the fixture
from tests.boxes import boxes

pytestmark = [pytest.mark.django_db, pytest.mark.both_databases]
WHERE, LIFE = "/hooks/microsoft/", "/hooks/microsoft/life/"
SECRET, EVENT = "planted-client-state", "AAkALgAAplanted"
LATER = timedelta(minutes=20)


@pytest.fixture(autouse=True)
def spool(settings, tmp_path, monkeypatch):
    settings.HOOK_SPOOL = tmp_path / "hooks"
    monkeypatch.setattr(notice_receiver.waker, "at", lambda moments, now: None)  # no thread outlives its test
    notice_receiver._left_alone_until = 0.0
    yield settings.HOOK_SPOOL / SPOOL
    notice_receiver._left_alone_until = 0.0


@pytest.fixture
def tasks(monkeypatch):
    """The tasks that were put in the queue."""
    found = []
    monkeypatch.setattr(mailbox_queue, "async_task", lambda task, name, **options: found.append(name))
    return found


@pytest.fixture
def box(monkeypatch, tasks):
    """Two mailboxes that are watched, and whose turn comes in twenty minutes."""
    box = boxes()
    monkeypatch.setattr(insta, "KIND", "contacts")
    SyncPass.objects.filter(pk=box.parent.pk).update(is_on=True)
    Mailbox.objects.update(settings={"contacts": True})
    now = timezone.now()
    SyncPass.objects.filter(parent=box.parent).update(next_due_at=now + LATER, looked_at=now - LATER)
    box.watches = [watch(sync_pass.mailbox, n) for n, sync_pass in enumerate(box.passes.values())]
    return box


def watch(mailbox, n=0):
    row = CalendarWatch.objects.create(
        mailbox=mailbox, state="on", subscription_id=f"sub-{n}", due_at=timezone.now() + LATER, ends_at=timezone.now() + 100 * LATER
    )
    row.secrets = {"client_state": f"{row.pk}.{SECRET}-{n}"}
    row.save()
    return row


def notice(row, n=1, what="updated", **changes):
    data = {"@odata.type": "#Microsoft.Graph.Event", "id": f"{EVENT}{n}", "@odata.etag": f'W/"{n}"'}
    if what == "deleted":
        del data["@odata.etag"]
    said = {"subscriptionId": row.subscription_id, "clientState": row.secrets["client_state"], "changeType": what, "resourceData": data}
    return {**said, "tenantId": "t", "resource": f"Users/u/Events/{EVENT}{n}", **changes}


def lifecycle(row, event, **changes):
    said = {"subscriptionId": row.subscription_id, "clientState": row.secrets["client_state"], "lifecycleEvent": event}
    return {**said, **changes}


def deliver(*notices, where=WHERE, body=None, **options):
    body = json.dumps({"value": list(notices)}).encode() if body is None else body
    return Client(enforce_csrf_checks=True).post(where, body, content_type=options.pop("content_type", "application/json"), **options)


def child(box, n=0):
    return SyncPass.objects.get(pk=list(box.passes.values())[n].pk)


# --- the handshake ----------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("where", [WHERE, LIFE])
@pytest.mark.parametrize("token", ["Validation: Testing <b>client</b> & more+? é", "x", ""])
def test_the_word_is_said_back_as_plain_text(where, token):
    answer = Client(enforce_csrf_checks=True).post(where, b"", content_type="text/plain", query_params={"validationToken": token})

    assert (answer.status_code, answer.content.decode(), answer.headers["Content-Type"]) == (200, token, "text/plain; charset=utf-8")
    assert answer.headers["X-Content-Type-Options"] == "nosniff" and "Set-Cookie" not in answer.headers


@pytest.mark.django_db(transaction=True)
def test_the_handshake_asks_no_database(django_assert_num_queries):
    with django_assert_num_queries(0):
        answer = Client().post(WHERE, b"", content_type="text/plain", query_params={"validationToken": "x"})
    assert answer.content == b"x"
    assert Client().post(WHERE, b"", content_type="text/plain", query_params={"validationToken": "x" * 2049}).status_code == 400


# --- notices ----------------------------------------------------------------------------------------------------------
def test_s4_43_s4_44_a_notice_is_stored_before_it_is_answered_and_forces_a_run(box, tasks):
    answer = deliver(notice(box.watches[0], 7, "created"))

    (row,) = MeetingNotice.objects.all()
    assert (answer.status_code, answer.content, answer.headers["Content-Type"]) == (202, b"Stored.\n", "text/plain; charset=utf-8")
    assert (row.mailbox_id, row.what, row.event_id, row.state) == (box.watches[0].mailbox_id, "created", f"{EVENT}7", "waiting")
    assert child(box).next_due_at <= timezone.now() and tasks == [child(box).name]
    assert child(box, 1).next_due_at > timezone.now() and child(box, 1).notices_told == 0
    assert not answer.cookies


@pytest.mark.parametrize("what", ["created", "updated", "deleted"])
def test_s4_47_a_kind_of_change_that_is_switched_off_forces_nothing(box, tasks, what):
    InstaSync.objects.update_or_create(pk=1, defaults={f"on_{what}": False})

    assert deliver(notice(box.watches[0], 1, what)).status_code == 202
    assert MeetingNotice.objects.get().state == "off" and child(box).notices_told == 0 and not tasks

    others = [other for other in ("created", "updated", "deleted") if other != what]
    deliver(notice(box.watches[0], 2, others[0]))
    assert child(box).notices_told == 1 and len(tasks) == 1


def test_twenty_in_a_body_cost_two_mailboxes_a_run_each_and_few_queries(box, tasks, django_assert_max_num_queries):
    notices = [notice(box.watches[n % 2], n) for n in range(20)]
    insta.terms()

    with django_assert_max_num_queries(24):
        assert deliver(*notices).status_code == 202

    assert MeetingNotice.objects.count() == 20 and len(tasks) == 2
    assert [child(box, n).notices_told for n in (0, 1)] == [1, 1]


@pytest.mark.parametrize(
    "changes",
    [
        {"clientState": "planted-client-state-0"},
        {"clientState": ""},
        {"clientState": None},
        {"clientState": "1."},
        {"clientState": "0.nobody"},
        {"clientState": "999999.planted-client-state-0"},
        {"clientState": "9" * 40 + ".x"},
        {"clientState": "٣.x"},
        {"clientState": "\ud800"},
        {"clientState": "x" * 5000},
    ],
)
def test_a_forged_notice_is_answered_as_a_genuine_one_and_nothing_is_kept(box, tasks, changes):
    genuine = deliver(notice(box.watches[0], 1))
    MeetingNotice.objects.all().delete()
    tasks.clear()

    answer = deliver(notice(box.watches[0], 2, **changes))

    assert (answer.status_code, answer.content, set(answer.headers)) == (202, genuine.content, set(genuine.headers))
    assert not MeetingNotice.objects.exists() and not tasks and child(box).notices_told == 1


def test_one_watch_cannot_speak_for_another(box):
    crossed = box.watches[1].secrets["client_state"].replace(f"{box.watches[1].pk}.", f"{box.watches[0].pk}.")
    deliver(notice(box.watches[0], clientState=crossed))
    assert not MeetingNotice.objects.exists()


def test_a_forged_one_among_genuine_ones_leaves_them(box):
    deliver(notice(box.watches[0], 1, clientState="1.forged"), 7, notice(box.watches[0], 2))
    assert [row.event_id for row in MeetingNotice.objects.all()] == [f"{EVENT}2"]


def test_a_notice_that_comes_before_the_subscription_is_known_is_taken(box, tasks):
    """Microsoft may tell of a change before its answer to our POST is here."""
    CalendarWatch.objects.update(subscription_id="", state="waiting")
    deliver(notice(box.watches[0], subscriptionId="not-known-yet"))
    assert MeetingNotice.objects.count() == 1 and len(tasks) == 1


def test_the_same_told_again_is_one_row_and_no_second_run(box, tasks):
    body = json.dumps({"value": [notice(box.watches[0], 1), notice(box.watches[0], 1), notice(box.watches[0], 2, "deleted")]}).encode()
    for _ in range(3):
        assert deliver(body=body).status_code == 202
    assert MeetingNotice.objects.count() == 2 and len(tasks) == 1

    MeetingNotice.objects.update(state="done")
    told = child(box).notices_told
    deliver(body=body)  # replayed when all is over
    deliver(notice(box.watches[0], 1), notice(box.watches[0], 3))  # packed otherwise

    assert MeetingNotice.objects.count() == 3 and child(box).notices_told == told + 1  # of the third event alone


def test_i11_a_storm_that_is_repeated_and_shuffled_is_stored_once_each_and_costs_one_run(box, tasks):
    notices = [notice(box.watches[0], n, random.Random(n).choice(["created", "updated", "deleted"])) for n in range(500)]
    storm = [*notices, *notices[:100]]
    random.Random(7).shuffle(storm)

    took = []
    for start in range(0, len(storm), 3):
        started = time.perf_counter()
        assert deliver(*storm[start : start + 3]).status_code == 202
        took.append(time.perf_counter() - started)
    print(f"median {sorted(took)[len(took) // 2] * 1000:.1f} ms, p99 {sorted(took)[int(len(took) * 0.99)] * 1000:.1f} ms")

    assert MeetingNotice.objects.count() == 500 and len(tasks) == 1
    assert sorted(took)[len(took) // 2] < 0.2


def test_a_pass_that_is_off_or_a_mailbox_without_one_is_not_put_in_the_queue_and_the_notice_waits(box, tasks):
    SyncPass.objects.filter(pk=box.parent.pk).update(is_on=False)
    SyncPass.objects.filter(pk=child(box, 1).pk).update(is_on=False)

    deliver(notice(box.watches[0]), notice(box.watches[1]))

    assert not tasks and MeetingNotice.objects.filter(state="waiting").count() == 2
    assert [child(box, n).notices_told for n in (0, 1)] == [1, 0]


def test_a_mailbox_in_trouble_goes_on_waiting(box, tasks):
    due = timezone.now() + LATER
    SyncPass.objects.filter(pk=child(box).pk).update(trouble_count=2, next_due_at=due)

    deliver(notice(box.watches[0]))

    assert (child(box).next_due_at, child(box).notices_told) == (due, 1) and not tasks


# --- what becomes of a watch ------------------------------------------------------------------------------------------
def test_missed_forces_a_run_once_in_ten_minutes_however_often_it_is_told(box, tasks):
    for _ in range(3):
        deliver(lifecycle(box.watches[0], "missed"), where=LIFE)
    assert [row.what for row in MeetingNotice.objects.all()] == ["missed"] and len(tasks) == 1


def test_removed_has_the_watch_made_anew_and_a_late_word_about_an_older_one_says_nothing(box):
    deliver(lifecycle(box.watches[0], "subscriptionRemoved"), lifecycle(box.watches[1], "subscriptionRemoved", subscriptionId="older"))

    first, second = CalendarWatch.objects.order_by("pk")
    assert (first.state, first.subscription_id, first.due_at <= timezone.now()) == ("waiting", "", True)
    assert (second.state, second.subscription_id, second.due_at <= timezone.now()) == ("on", "sub-1", False)


def test_a_permission_that_is_to_be_shown_again_is_renewed_soon_and_forces_nothing(box, tasks):
    CalendarWatch.objects.filter(pk=box.watches[1].pk).update(renewed_at=timezone.now() - timedelta(minutes=2))

    deliver(*(lifecycle(row, "reauthorizationRequired") for row in box.watches), where=LIFE)

    first, second = CalendarWatch.objects.order_by("pk")
    assert first.due_at <= timezone.now() < second.due_at  # the other was renewed a moment ago
    assert not tasks and child(box).notices_told == 0


# --- what is no delivery ----------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    "body", [b"", b"{", b"\xff\xfe", b"[1]", b"{}", b'{"value": 1}', b"[" * 100_000, b'{"value": ' + b"9" * 5000 + b"}"]
)
def test_what_holds_no_notices_is_refused(box, body):
    answer = deliver(body=body)
    assert answer.status_code == 400 and not MeetingNotice.objects.exists() and hook_spool.waiting(SPOOL) == 0


def test_only_posts_of_a_bounded_size_are_taken(box):
    assert Client().get(WHERE).status_code == 405 and Client().put(WHERE).status_code == 405
    assert Client().get(f"{WHERE}?validationToken=x").status_code == 405
    assert deliver(body=b"x" * (1024 * 1024)).status_code == 413
    padded = json.dumps({"value": [notice(box.watches[0])], "pad": ""}).encode()
    fits = padded[:-2] + b"x" * (BODY_BYTES - len(padded)) + b'"}'
    assert len(fits) == BODY_BYTES and deliver(body=fits).status_code == 202
    for length in ("-1", "1e3", "٣", "0" * 30 + "9"):
        assert Client().post(WHERE, b"{}", content_type="a/b", CONTENT_LENGTH=length).status_code == 413, length


@pytest.mark.parametrize("content_type", ["application/json; charset=utf-8", "text/plain", "", "multipart/form-data; boundary=x"])
def test_the_bytes_count_whatever_they_are_called(box, content_type):
    assert deliver(notice(box.watches[0]), content_type=content_type).status_code == 202
    assert MeetingNotice.objects.count() == 1


def test_a_body_of_a_thousand_notices_is_taken(box, tasks):
    body = json.dumps({"value": [{k: v for k, v in notice(box.watches[0], n).items() if k != "resource"} for n in range(1000)]}).encode()
    assert len(body) < BODY_BYTES and deliver(body=body).status_code == 202
    assert MeetingNotice.objects.count() == 1000 and len(tasks) == 1


# --- crashes, and while the database is away --------------------------------------------------------------------------
def test_a_crash_before_the_answer_loses_and_doubles_nothing(box, monkeypatch, tasks):
    """The sender hears nothing and sends again."""

    def die(*_):
        raise KeyboardInterrupt

    ask = insta.ask
    monkeypatch.setattr(insta, "ask", die)
    with pytest.raises(KeyboardInterrupt):
        deliver(notice(box.watches[0]))
    assert not MeetingNotice.objects.exists()  # stored and asked for, or neither
    monkeypatch.setattr(insta, "ask", ask)
    kept = insta.put_in_queue
    monkeypatch.setattr(insta, "put_in_queue", die)
    with pytest.raises(KeyboardInterrupt):
        deliver(notice(box.watches[0]))
    assert MeetingNotice.objects.count() == 1 and child(box).next_due_at <= timezone.now()
    monkeypatch.setattr(insta, "put_in_queue", kept)

    assert deliver(notice(box.watches[0])).status_code == 202
    assert MeetingNotice.objects.count() == 1 and len(tasks) == 1


@pytest.fixture
def away(monkeypatch):
    """The database refuses every delivery until `away.undo()`."""
    monkeypatch.setattr(insta, "ask", lambda *a: (_ for _ in ()).throw(OperationalError("database is locked")))
    return monkeypatch


def test_what_the_database_does_not_take_is_spooled_answered_and_taken_up(box, spool, away, tasks):
    statuses = [deliver(notice(box.watches[0], n)).status_code for n in (1, 2, 1)]
    assert statuses == [202] * 3 and hook_spool.waiting(SPOOL) == 2 and hook_spool.waiting() == 0
    assert {oct(path.stat().st_mode & 0o777) for path in spool.iterdir()} == {"0o600"}
    with pytest.raises(OperationalError):
        notice_receiver.take_up_spooled()
    assert hook_spool.waiting(SPOOL) == 2 and not MeetingNotice.objects.exists()
    away.undo()
    away.setattr(insta, "KIND", "contacts")
    away.setattr(mailbox_queue, "async_task", lambda task, name, **options: tasks.append(name))

    assert notice_receiver.take_up_spooled() == 2
    assert MeetingNotice.objects.count() == 2 and hook_spool.waiting(SPOOL) == 0 and child(box).next_due_at <= timezone.now()


def test_what_was_forged_while_the_database_was_away_is_thrown_away(box, monkeypatch):
    with monkeypatch.context() as patch:
        patch.setattr(notice_receiver, "take", lambda *a: (_ for _ in ()).throw(OperationalError("gone")))
        assert deliver(notice(box.watches[0], clientState="1.x"), notice(box.watches[0])).status_code == 202

    assert notice_receiver.take_up_spooled() == 1 and MeetingNotice.objects.count() == 1


def test_where_neither_takes_it_the_answer_says_so_and_it_comes_again(box, away, monkeypatch):
    monkeypatch.setattr(hook_spool, "MOST_BYTES", 10)
    assert deliver(notice(box.watches[0])).status_code == 503


@pytest.mark.django_db(transaction=True)
def test_a_database_that_does_not_answer_at_all_costs_no_more_than_the_bound(box, monkeypatch):
    """Over threads and connections of their own, as requests have them."""
    assert deliver(notice(box.watches[0], 1)).status_code == 202 and MeetingNotice.objects.count() == 1
    silent, take = threading.Event(), notice_receiver.take
    monkeypatch.setattr(notice_receiver, "take", lambda *a: (silent.wait(20), take(*a))[1])
    monkeypatch.setattr(notice_receiver, "STORE_WITHIN", 0.2)
    started = time.monotonic()
    assert [deliver(notice(box.watches[0], n)).status_code for n in range(2, 5)] == [202] * 3
    assert time.monotonic() - started < 3
    assert hook_spool.waiting(SPOOL) == 3 and MeetingNotice.objects.count() == 1
    silent.set()  # it comes back: both ways lead to one row
    monkeypatch.setattr(notice_receiver, "take", take)
    for thread in threading.enumerate():
        if thread.name == "store a delivery":
            thread.join(20)
    notice_receiver.take_up_spooled()

    assert MeetingNotice.objects.count() == 4 and hook_spool.waiting(SPOOL) == 0


# --- what is written down ---------------------------------------------------------------------------------------------
def test_no_log_line_holds_a_secret_or_the_id_of_an_event(box, written, spool, away):  # noqa: F811
    deliver(notice(box.watches[0], clientState="1.forged-state"))
    deliver(notice(box.watches[0]))
    away.undo()
    deliver(body=b'{"x": "' + SECRET.encode())
    deliver(body=SECRET.encode() * BODY_BYTES)

    text = written.getvalue()
    assert "left out" in text and "were not stored" in text and "too large" in text
    for planted in (SECRET, EVENT, "forged-state"):
        assert planted not in text, planted

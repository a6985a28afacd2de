"""Deliveries of webhooks as machines send them: signed, forged, twice, out of order, many, and while the database is away."""

import hashlib
import hmac
import json
import logging
import random
import threading
import time
from datetime import timedelta
from pathlib import Path

import pytest
from django.conf import settings as site
from django.db import DatabaseError, OperationalError
from django.test import Client
from django.utils import timezone

from reconciliation import jobs
from reconciliation.models import Connection, HookDelivery, RecordType, SyncPass
from reconciliation.services import hook_receiver, hook_spool
from reconciliation.services.hook_receiver import BODY_BYTES
from tests.admin.test_secrets import written  # noqa: F401  # the fixture
from tests.sandboxed import make

pytestmark = [pytest.mark.django_db, pytest.mark.both_databases]
SECRET = "planted-hook-secret"
MAIL, NAME = "jane.doe@acme.example", "Zoe Oedegard"


@pytest.fixture(autouse=True)
def spool(settings, tmp_path):
    settings.HOOK_SPOOL = tmp_path / "hooks"
    hook_receiver._left_alone_until = 0.0
    yield settings.HOOK_SPOOL
    hook_receiver._left_alone_until = 0.0


@pytest.fixture
def box():
    """A sandbox whose receiver is on, with a two-way pass on the same pair."""
    box = make()
    peer = box.sync_pass.peer
    Connection.objects.filter(pk=peer.pk).update(secrets={**peer.secrets, "hook_secret": SECRET}, settings={"hooks": {"is_on": True}})
    two_way = SyncPass.objects.create(
        name="accounts", title="Accounts", crm=box.sync_pass.crm, peer=peer, mapping=box.sync_pass.mapping, is_on=True
    )
    RecordType.objects.create(sync_pass=two_way, crm_object="Account", peer_object="account", mapping=box.sync_pass.mapping)
    box.peer, box.two_way = peer, two_way
    return box


def body_of(n=1, *, event="prospect.updated", **attributes):
    said = {"title": f"T{n}", "updatedAt": "2026-03-02T09:00:00.000Z", **attributes}
    data = {"type": event.partition(".")[0], "id": n, "attributes": said, "relationships": {}, "beforeUpdate": {"title": "Old"}}
    return json.dumps({"data": data, "meta": {"eventName": event, "deliveredAt": "2026-03-02T09:00:01Z", "jobId": f"job-{n}"}}).encode()


def signature_of(body, secret=SECRET):
    return hmac.new(secret.encode(), body, hashlib.sha256).hexdigest()


def deliver(box, body, *, signature=None, content_type="application/json", where=None):
    where = where or f"/hooks/outreach/{box.peer.pk}/"
    headers = {"Outreach-Webhook-Signature": signature_of(body) if signature is None else signature}
    return Client(enforce_csrf_checks=True).post(where, body, content_type=content_type, headers=headers)


def test_a_signed_delivery_is_stored_whole_before_it_is_answered(box):
    answer = deliver(box, body_of(7))

    (row,) = HookDelivery.objects.all()
    assert (answer.status_code, answer.content, answer.headers["Content-Type"]) == (200, b"Stored.\n", "text/plain; charset=utf-8")
    assert (row.state, row.object_type, row.object_id, row.action) == ("waiting", "prospect", "7", "updated")
    assert row.body == json.loads(body_of(7)) and row.happened_at.isoformat() == "2026-03-02T09:00:00+00:00"
    assert "Set-Cookie" not in answer.headers and not answer.cookies


@pytest.mark.parametrize(
    "content_type", ["application/json", "text/plain", "", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x"]
)
def test_the_bytes_count_whatever_they_are_called(box, content_type):
    assert deliver(box, body_of(), content_type=content_type).status_code == 200
    assert HookDelivery.objects.get().body["data"]["id"] == 1


@pytest.mark.parametrize(
    "signature",
    [
        "",
        "0" * 64,
        signature_of(body_of(), "another-secret"),
        signature_of(body_of(2)),
        signature_of(body_of())[:-1],
        "sha256=é",
        "a" * 5000,
    ],
)
def test_a_forged_delivery_is_refused_and_nothing_is_kept(box, signature):
    answer = deliver(box, body_of(), signature=signature)

    assert answer.status_code == 401 and not HookDelivery.objects.exists() and hook_spool.waiting() == 0


def test_nobody_learns_which_connections_there_are(box):
    wrong = deliver(box, body_of(), signature="0" * 64)
    box.organisation("x")
    crm = box.sync_pass.crm.pk
    for pk in (crm, 999_999, 2**31, 10**30):
        answer = deliver(box, body_of(), where=f"/hooks/outreach/{pk}/")
        assert (answer.status_code, answer.content) == (wrong.status_code, wrong.content)
        assert set(answer.headers) == set(wrong.headers)
    Connection.objects.filter(pk=box.peer.pk).update(secrets={}, settings={})  # switched off: no secret, and "" is none
    for secret in ("", hook_receiver.NOBODY):
        off = deliver(box, body_of(), signature=signature_of(body_of(), secret))
        assert (off.status_code, off.content) == (wrong.status_code, wrong.content)
    assert not HookDelivery.objects.exists()


def test_only_posts_of_a_bounded_size_are_taken(box):
    where, large = f"/hooks/outreach/{box.peer.pk}/", body_of(note="x" * BODY_BYTES)
    assert Client().get(where).status_code == 405 and Client().put(where).status_code == 405
    assert deliver(box, large).status_code == 413
    fits = body_of(note="x" * (BODY_BYTES - len(body_of(note=""))))
    assert len(fits) == BODY_BYTES and deliver(box, fits).status_code == 200
    for length in ("-1", "1e3", "٣", "0" * 30 + "9"):
        assert Client().post(where, body_of(), content_type="a/b", CONTENT_LENGTH=length).status_code == 413, length


@pytest.mark.parametrize(
    ("body", "word"),
    [
        (b"", "not JSON"),
        (b"{", "not JSON"),
        (b"\xff\xfe", "not JSON"),
        (b"[1]", "no JSON object"),
        (b'"x"', "no JSON object"),
        (b'{"data": NaN}', "not JSON"),
        (b'{"data": ' + b"[" * 5000 + b"]" * 5000 + b"}", "nests too deep"),
        (b'{"data": ' + b'{"a":' * 70 + b"1" + b"}" * 70 + b"}", "nests too deep"),
        (b'{"data": ' + b"9" * 5000 + b"}", "not JSON"),
        (b"{}", "names no change"),
        (b'{"data": [], "meta": 1}', "names no change"),
        (b'{"data": {"type": "planet", "id": 1}, "meta": {"eventName": "planet.updated"}}', "names no change"),
        (b'{"data": {"type": "prospect", "id": "1; drop"}, "meta": {"eventName": "prospect.updated"}}', "names no change"),
        (b'{"data": {"type": "prospect", "id": true}, "meta": {"eventName": "prospect.updated"}}', "names no change"),
    ],
)
def test_what_cannot_be_read_but_is_signed_is_kept_as_refused_and_answered(box, body, word):
    assert deliver(box, body).status_code == 200

    row = HookDelivery.objects.get()
    assert row.state == "refused" and word in row.note


def test_values_that_no_database_holds_are_stored_replaced(box):
    body = json.dumps({**json.loads(body_of()), "x": ["\0", "\ud800", {"\0": 1}]}).replace('"T1"', "1e400").encode()

    assert deliver(box, body).status_code == 200

    row = HookDelivery.objects.get()
    assert row.state == "waiting" and row.body["x"] == ["\ufffd", "\ufffd", {"\ufffd": 1}]
    assert row.body["data"]["attributes"]["title"] == "inf"


def test_the_same_delivery_twice_is_one_row_and_answered_alike(box):
    answers = [deliver(box, body_of()) for _ in range(3)]

    assert [(a.status_code, a.content) for a in answers] == [(200, b"Stored.\n")] * 3
    assert HookDelivery.objects.count() == 1
    jobs.work_off_deliveries()
    assert deliver(box, body_of()).status_code == 200  # much later, too
    assert HookDelivery.objects.count() == 1 and HookDelivery.objects.get().state == "done"


def test_a_crash_between_storing_and_answering_loses_and_doubles_nothing(box, monkeypatch):
    """The sender hears nothing, takes it for the network and sends again."""
    kept = hook_receiver.wake

    def die(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(hook_receiver, "wake", die)
    with pytest.raises(KeyboardInterrupt):
        deliver(box, body_of())
    assert HookDelivery.objects.count() == 1
    monkeypatch.setattr(hook_receiver, "wake", kept)

    assert deliver(box, body_of()).status_code == 200
    assert HookDelivery.objects.count() == 1
    jobs.work_off_deliveries()
    box.two_way.refresh_from_db()
    assert box.two_way.run_requested_at is not None  # what the crash left undone


# --- waking ---------------------------------------------------------------------------------------------------------------
def wanted(box):
    return SyncPass.objects.get(pk=box.two_way.pk).run_requested_at


def age(box, **changes):
    """Lets the last waking have been so long ago."""
    row = Connection.objects.get(pk=box.peer.pk)
    hooks = {**row.settings["hooks"], **changes}
    Connection.objects.filter(pk=row.pk).update(settings={**row.settings, "hooks": hooks})


def ago(seconds):
    return (timezone.now() - timedelta(seconds=seconds)).isoformat()


def test_a_delivery_wakes_the_two_way_passes_once_a_debounce(box):
    deliver(box, body_of(1))
    first = wanted(box)
    assert first is not None and SyncPass.objects.get(name="organisations").run_requested_at is None
    SyncPass.objects.update(run_requested_at=None)  # the pass ran

    for n in range(2, 6):
        deliver(box, body_of(n))
    assert wanted(box) is None
    age(box, woke_at=ago(61))
    deliver(box, body_of(6))

    assert wanted(box) > first


def test_a_change_told_of_within_the_debounce_wakes_them_when_it_is_over(box):
    deliver(box, body_of(1))
    SyncPass.objects.update(run_requested_at=None)
    deliver(box, body_of(2))

    jobs.work_off_deliveries()
    assert wanted(box) is None  # not yet, and nothing waits any more
    age(box, woke_at=ago(61))
    jobs.work_off_deliveries()

    assert wanted(box) is not None
    SyncPass.objects.update(run_requested_at=None)
    age(box, woke_at=ago(61))
    jobs.work_off_deliveries()
    assert wanted(box) is None  # once


def test_a_pass_that_is_off_is_not_woken_and_a_clock_set_back_wakes(box):
    SyncPass.objects.filter(pk=box.two_way.pk).update(is_on=False)
    deliver(box, body_of(1))
    assert wanted(box) is None
    SyncPass.objects.filter(pk=box.two_way.pk).update(is_on=True)
    age(box, woke_at=ago(-600))
    deliver(box, body_of(2))

    assert wanted(box) is not None


# --- storm ------------------------------------------------------------------------------------------------------------------
def test_i11_a_storm_of_two_thousand_repeated_and_shuffled_is_stored_once_each(box, django_assert_max_num_queries):
    bodies = [body_of(n) for n in range(1600)] + [body_of(n) for n in range(400)]
    random.Random(7).shuffle(bodies)
    client, where = Client(), f"/hooks/outreach/{box.peer.pk}/"

    took = []
    for body in bodies:
        started = time.perf_counter()
        answer = client.post(where, body, content_type="application/json", headers={"Outreach-Webhook-Signature": signature_of(body)})
        took.append(time.perf_counter() - started)
        assert answer.status_code == 200
    print(f"median {sorted(took)[1000] * 1000:.1f} ms, p99 {sorted(took)[1980] * 1000:.1f} ms")

    assert HookDelivery.objects.count() == 1600
    assert SyncPass.objects.exclude(run_requested_at=None).count() == 1
    assert "1600 worked off" in jobs.work_off_deliveries()
    assert not HookDelivery.objects.filter(state="waiting").exists()
    with django_assert_max_num_queries(8):
        client.post(where, bodies[0], content_type="a/b", headers={"Outreach-Webhook-Signature": signature_of(bodies[0])})


# --- while the database is away ------------------------------------------------------------------------------------------
@pytest.fixture
def away(monkeypatch):
    """The database refuses every delivery until `away.end()`."""
    monkeypatch.setattr(HookDelivery, "save", lambda *a, **k: (_ for _ in ()).throw(OperationalError("database is locked")))
    return monkeypatch


def test_a_delivery_that_the_database_does_not_take_is_spooled_answered_and_taken_up(box, spool, away):
    assert [deliver(box, body).status_code for body in (body_of(1), body_of(2), body_of(1))] == [200, 200, 200]
    assert hook_spool.waiting() == 2 and not HookDelivery.objects.exists()
    assert {oct(path.stat().st_mode & 0o777) for path in spool.iterdir()} == {"0o600"} and oct(spool.stat().st_mode & 0o777) == "0o700"
    with pytest.raises(OperationalError):
        jobs.work_off_deliveries()
    assert hook_spool.waiting() == 2
    away.undo()

    assert jobs.work_off_deliveries().startswith("2 taken up, 2 worked off")
    assert sorted(HookDelivery.objects.values_list("object_id", flat=True)) == ["1", "2"] and hook_spool.waiting() == 0


def test_what_was_forged_while_the_database_was_away_is_thrown_away(box, monkeypatch):
    monkeypatch.setattr(hook_receiver, "take", lambda *a: (_ for _ in ()).throw(DatabaseError("gone")))
    assert deliver(box, body_of(), signature="0" * 64).status_code == 200  # nobody could say
    monkeypatch.undo()

    assert hook_receiver.take_up_spooled() == 1
    assert not HookDelivery.objects.exists() and hook_spool.waiting() == 0


def test_a_spooled_delivery_keeps_when_it_came(box, spool, away):
    deliver(box, body_of())
    (path,) = spool.iterdir()
    at = json.loads(path.read_bytes().partition(b"\n")[0])["received_at"]
    away.undo()
    hook_receiver.take_up_spooled()

    assert HookDelivery.objects.get().received_at.isoformat() == at


def test_a_damaged_file_is_set_apart_and_the_others_are_taken_up(box, spool, away):
    deliver(box, body_of())
    (spool / "0-damaged.delivery").write_bytes(b"{\nx")
    away.undo()

    assert hook_receiver.take_up_spooled() == 1
    assert [path.name for path in spool.iterdir()] == ["0-damaged.damaged"]


@pytest.mark.parametrize("reason", ["full", "read-only"])
def test_where_neither_takes_it_the_answer_says_so(box, spool, away, monkeypatch, caplog, reason):
    if reason == "full":
        monkeypatch.setattr(hook_spool, "MOST_BYTES", 10)
    else:
        spool.parent.joinpath("file").write_text("")
        site.HOOK_SPOOL = spool.parent / "file" / "hooks"

    answer = deliver(box, body_of(title=NAME))

    assert answer.status_code == 503 and "is lost" in caplog.text and NAME not in caplog.text


@pytest.mark.django_db(transaction=True)
def test_a_database_that_does_not_answer_at_all_costs_no_more_than_the_bound(box, monkeypatch):
    """Over threads and connections of their own, as requests have them."""
    assert deliver(box, body_of(1)).status_code == 200 and HookDelivery.objects.count() == 1
    silent, take = threading.Event(), hook_receiver.take

    def blocked(*arguments):
        silent.wait(20)
        return take(*arguments)

    monkeypatch.setattr(hook_receiver, "take", blocked)
    monkeypatch.setattr(hook_receiver, "STORE_SECONDS", 0.2)
    started = time.monotonic()
    assert [deliver(box, body_of(n)).status_code for n in range(2, 5)] == [200] * 3
    assert time.monotonic() - started < 5
    assert hook_spool.waiting() == 3 and HookDelivery.objects.count() == 1
    silent.set()  # it comes back: both ways lead to one row
    monkeypatch.setattr(hook_receiver, "take", take)
    for thread in threading.enumerate():
        if thread.name == "store a delivery":
            thread.join(20)
    jobs.work_off_deliveries()

    assert HookDelivery.objects.count() == 4 and hook_spool.waiting() == 0


@pytest.mark.django_db(transaction=True)
def test_more_than_the_database_can_hold_at_once_are_spooled(box, monkeypatch):
    silent, take = threading.Event(), hook_receiver.take
    monkeypatch.setattr(hook_receiver, "take", lambda *a: (silent.wait(20), take(*a))[1])
    monkeypatch.setattr(hook_receiver, "STORE_SECONDS", 0.05)
    monkeypatch.setattr(hook_receiver, "PAUSE_SECONDS", 0.0)
    monkeypatch.setattr(hook_receiver, "_places", threading.BoundedSemaphore(2))

    assert [deliver(box, body_of(n)).status_code for n in range(5)] == [200] * 5
    assert sum(thread.name == "store a delivery" for thread in threading.enumerate()) == 2
    silent.set()
    monkeypatch.setattr(hook_receiver, "take", take)
    for thread in threading.enumerate():
        if thread.name == "store a delivery":
            thread.join(20)
    jobs.work_off_deliveries()

    assert HookDelivery.objects.count() == 5


def test_after_a_failure_the_database_is_left_alone_for_a_while(box, away, caplog):
    for n in range(3):
        deliver(box, body_of(n))
    assert caplog.text.count("was not stored") == 1  # nobody waits for what failed a moment ago
    away.undo()
    assert deliver(box, body_of(3)).status_code == 200 and hook_spool.waiting() == 4

    hook_receiver._left_alone_until = time.monotonic()

    assert deliver(box, body_of(4)).status_code == 200 and hook_spool.waiting() == 4
    jobs.work_off_deliveries()
    assert HookDelivery.objects.count() == 5


def test_many_threads_spool_at_once_while_others_take_up():
    now, taken, ended = timezone.now(), set(), threading.Event()

    def write(part):
        for n in range(60):
            hook_spool.put(1, body_of(n), "x", now)
            hook_spool.put(1, body_of(1000 * part + n), "x", now)

    def read():
        while not ended.is_set():
            hook_spool.take_up(lambda pk, body, signature, at: taken.add(body))

    writers, reader = [threading.Thread(target=write, args=(part,)) for part in range(1, 5)], threading.Thread(target=read)
    for thread in (reader, *writers):
        thread.start()
    for thread in writers:
        thread.join(60)
    ended.set()
    reader.join(60)
    hook_spool.take_up(lambda pk, body, signature, at: taken.add(body))

    assert taken == {body_of(n) for n in (*range(60), *(1000 * part + n for part in range(1, 5) for n in range(60)))}


# --- what is written down ------------------------------------------------------------------------------------------------
def test_no_log_line_holds_what_was_delivered_or_the_secret(box, written, spool, away):  # noqa: F811
    personal = body_of(title=NAME, emails=[MAIL])
    deliver(box, personal, signature="f" * 64)
    deliver(box, personal)
    away.undo()
    jobs.work_off_deliveries()
    deliver(box, b'{"x": "' + MAIL.encode() + b'"')
    deliver(box, body_of(note=MAIL * BODY_BYTES))
    logging.getLogger("x").info("the end")

    text = written.getvalue()
    assert "does not fit" in text and "was not stored" in text and "too large" in text and "the end" in text
    for planted in (MAIL, NAME, "f" * 64, signature_of(personal), SECRET):
        assert planted not in text, planted


def test_a_repeat_costs_no_personal_value_in_notes(box):
    deliver(box, body_of(title=NAME, emails=[MAIL]))
    jobs.work_off_deliveries()

    row = HookDelivery.objects.get()
    assert NAME not in row.note and MAIL not in row.note


def test_the_spool_lies_where_services_may_write(project_root: Path):
    assert "ReadWritePaths=/opt/syncsite/var" in (project_root / "deploy/syncsite.service").read_text()

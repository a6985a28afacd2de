"""The calendars that Microsoft watches for us, against the played Graph and this site over HTTP: made, renewed, lost, ended, and what
takes their place where our address is not reached (S4.42 to S4.48)."""

from __future__ import annotations

import time
from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone

from connectors.sandbox.microsoft import courier
from reconciliation import mailbox_jobs
from reconciliation.core.alerts import causes
from reconciliation.engine import insta, mailbox_queue
from reconciliation.engine.runner import run_pass
from reconciliation.models import CalendarWatch, InstaSync, Mailbox, MeetingNotice, Policy, Run, SyncPass
from reconciliation.services import notice_receiver, watches
from reconciliation.services.alert_facts import alert_facts
from reconciliation.services.insta_sync import InstaSyncRefused, figures, insta_sync_set, reach_test, standing
from tests.boxes import Boxes, boxes

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.both_databases]
MEETING = {"subject": "Call", "start": "2026-12-01T10:00", "end": "2026-12-01T11:00", "attendees": ["bo@acme.example"]}
KIND = "contacts"


@pytest.fixture(autouse=True)
def swift(monkeypatch: pytest.MonkeyPatch, settings: Any, tmp_path: Any) -> None:
    settings.HOOK_SPOOL = tmp_path / "hooks"
    notice_receiver._left_alone_until = 0.0
    monkeypatch.setattr(notice_receiver.waker, "at", lambda moments, now: None)  # no thread outlives its test
    monkeypatch.setattr(courier, "TIME_OUT", 1.0)
    monkeypatch.setattr(courier, "HANDSHAKE_TIME_OUT", 2.0)


@pytest.fixture
def tasks(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    found: list[str] = []
    monkeypatch.setattr(mailbox_queue, "async_task", lambda task, name, **options: found.append(name))
    return found


@pytest.fixture
def box(monkeypatch: pytest.MonkeyPatch, settings: Any, live_server: Any, tasks: list[str]) -> Boxes:
    """Two started mailboxes, at rest, a site that Microsoft reaches, and one clock for everybody."""
    settings.PUBLIC_URL = live_server.url
    box = boxes()
    box.clock.at = timezone.now()
    monkeypatch.setattr(insta, "KIND", KIND)
    monkeypatch.setattr(insta, "Wiring", lambda: box.wiring)
    monkeypatch.setattr(mailbox_jobs, "run_pass", lambda child, order: run_pass(child, order, box.wiring))
    monkeypatch.setattr(mailbox_jobs.timezone, "now", lambda: box.clock.at)
    Mailbox.objects.update(settings={KIND: True})
    SyncPass.objects.filter(pk=box.parent.pk).update(is_on=True)
    return box


def keep(box: Boxes, *, forward: float = 60) -> str:
    box.clock.forward(forward)
    return watches.keep(box.clock.at, box.wiring)


def subscriptions(box: Boxes) -> list[dict[str, Any]]:
    return sorted(box.mail.store.tables["subscription"].rows.values(), key=lambda row: row["n"])


def meet(box: Boxes, address: str = "", **values: Any) -> dict[str, Any]:
    return dict(box.mail.create_record("event", {**MEETING, "mailbox": address or box.mine, **values}))


def told(box: Boxes, count: int) -> list[MeetingNotice]:
    """Waits until so many notices are stored, and a moment longer."""
    box.world.keep()
    ends = time.monotonic() + 10
    while MeetingNotice.objects.count() < count and time.monotonic() < ends:
        time.sleep(0.02)
    time.sleep(0.1)
    return list(MeetingNotice.objects.order_by("pk"))


def came(tasks: list[str]) -> list[str]:
    """Waits until a task is in the queue: it is put there after the notice was stored."""
    ends = time.monotonic() + 10
    while not tasks and time.monotonic() < ends:
        time.sleep(0.02)
    return tasks


def work(tasks: list[str]) -> list[str]:
    said = []
    while came(tasks) if not said else tasks:
        said.append(mailbox_jobs.run_mailbox(tasks.pop(0)).partition(": ")[2] or "none")
    return said


def settled(box: Boxes, tasks: list[str]) -> None:
    """Lets both mailboxes have their watches, and their first run."""
    assert keep(box) == "2 made"
    for child in SyncPass.objects.filter(parent=box.parent):
        assert mailbox_jobs.run_mailbox(child.name).endswith("finished")
    tasks.clear()
    box.clock.forward(61)


def child(box: Boxes, n: int = 0) -> SyncPass:
    return SyncPass.objects.get(pk=list(box.passes.values())[n].pk)


# --- made, renewed, ended -----------------------------------------------------------------------------------------------
def test_s4_42_s4_46_every_started_mailbox_is_watched_by_itself_with_a_secret_of_its_own(box: Boxes) -> None:
    assert keep(box) == "2 made" and keep(box) == "nothing to do"

    first, second = subscriptions(box)
    assert first["changeTypes"] == ["created", "updated", "deleted"] and first["table"] == "event" and first["immutable"]
    assert first["clientState"] != second["clientState"] and len(first["clientState"]) > 40
    assert first["notificationUrl"].endswith("/hooks/microsoft/") and first["lifecycleNotificationUrl"].endswith("/hooks/microsoft/life/")
    row = CalendarWatch.objects.get(mailbox__address=box.mine)
    assert (row.state, row.subscription_id, row.secrets["client_state"]) == ("on", first["id"], first["clientState"])
    assert abs(row.ends_at - row.made_at - timedelta(minutes=4230)) <= timedelta(seconds=1) and standing(box.clock.at).way == "notices"
    assert InstaSync.objects.get().reached == "yes"


def test_s4_43_a_changed_meeting_in_outlook_runs_its_mailbox_and_one_in_salesforce_none(box: Boxes, tasks: list[str]) -> None:
    settled(box, tasks)

    meet(box)
    assert [row.what for row in told(box, 1)] == ["created"]
    assert came(tasks) == [child(box).name] and work(tasks) == ["finished"]

    row = MeetingNotice.objects.get()
    assert (row.state, row.run.sync_pass_id, row.run.started_by) == ("done", child(box).pk, "insta-sync")
    before = Run.objects.count()
    box.world.salesforce.create_record("Event", {"Subject": "x", "StartDateTime": "2026-12-01T10:00:00Z", "DurationInMinutes": 30})
    assert len(told(box, 1)) == 1 and not tasks and Run.objects.count() == before


def test_it_is_renewed_when_half_its_time_is_over_and_lasts(box: Boxes) -> None:
    keep(box)
    ends = CalendarWatch.objects.first().ends_at
    assert keep(box, forward=30 * 3600) == "nothing to do"

    assert keep(box, forward=6 * 3600) == "2 renewed"

    row = CalendarWatch.objects.first()
    assert row.ends_at > ends and row.renewed_at == box.clock.at and len(subscriptions(box)) == 2
    for _ in range(4):
        keep(box, forward=36 * 3600)
    assert CalendarWatch.objects.first().subscription_id == subscriptions(box)[0]["id"]  # the same all the time
    assert not MeetingNotice.objects.exists()


def test_one_that_ended_while_we_were_away_is_made_anew_and_its_mailbox_looked_through(box: Boxes, tasks: list[str]) -> None:
    settled(box, tasks)

    assert keep(box, forward=5 * 86400) == "2 made anew"

    assert {row.what for row in MeetingNotice.objects.all()} == {"missed"} and MeetingNotice.objects.count() == 2
    assert child(box).next_due_at <= box.clock.at
    box.mail.lifecycle({"event": "subscriptionRemoved", "subscription": subscriptions(box)[0]["id"]})
    told(box, 3)
    assert keep(box) == "1 made anew" and len(subscriptions(box)) == 2


def test_lifecycle_missed_runs_removed_makes_anew_and_reauthorise_renews(box: Boxes, tasks: list[str]) -> None:
    settled(box, tasks)
    first = subscriptions(box)[0]["id"]

    box.mail.lifecycle({"event": "missed", "subscription": first})
    told(box, 1)
    assert work(tasks) == ["finished"] and keep(box) == "nothing to do"
    box.clock.forward(600)
    box.mail.lifecycle({"event": "reauthorizationRequired", "subscription": first})
    told(box, 2)
    assert not tasks and keep(box) == "1 renewed"
    box.mail.lifecycle({"event": "subscriptionRemoved", "subscription": first})
    told(box, 3)
    assert len(subscriptions(box)) == 1 and work(tasks) == ["finished"]
    assert keep(box) == "1 made anew" and len(subscriptions(box)) == 2
    meet(box)
    assert told(box, 5)[-1].what == "created"


def test_a_mailbox_that_is_paused_ended_or_switched_off_is_watched_no_more_and_again_when_it_goes_on(box: Boxes) -> None:
    keep(box)
    for values, back in (({"state": "paused"}, {"state": "active"}), ({"state": "suspended"}, {"state": "active"}),
                         ({"settings": {KIND: False}}, {"settings": {KIND: True}}), ({"state": "ended"}, {"state": "active"})):  # fmt: skip
        Mailbox.objects.filter(address=box.mine).update(**values)
        assert keep(box) == "1 ended" and len(subscriptions(box)) == 1, values
        assert not CalendarWatch.objects.filter(mailbox__address=box.mine).exists()
        Mailbox.objects.filter(address=box.mine).update(**back)
        assert keep(box) == "1 made" and len(subscriptions(box)) == 2
    SyncPass.objects.filter(pk=box.parent.pk).update(is_on=False)
    assert keep(box) == "2 ended" and not subscriptions(box)


def test_s4_48_google_is_never_watched_nor_looked_at_more_often(monkeypatch: pytest.MonkeyPatch, settings: Any, live_server: Any) -> None:
    settings.PUBLIC_URL = live_server.url
    box = boxes("google")
    monkeypatch.setattr(insta, "KIND", KIND)
    Mailbox.objects.update(settings={KIND: True})
    SyncPass.objects.filter(pk=box.parent.pk).update(is_on=True)

    assert keep(box) == "nothing to do" and not CalendarWatch.objects.exists()
    run = Run(sync_pass=child(box), kind="scheduled", started_at=box.clock.at)
    assert insta.look_turn(child(box), run, box.clock.at) is None
    assert standing(box.clock.at).way == "off"


def test_s4_47_a_switch_is_told_to_microsoft_and_holds_for_everybody(box: Boxes, tasks: list[str]) -> None:
    settled(box, tasks)

    assert insta_sync_set(None, changes=["created"], spacing_seconds=60, look_seconds=180)
    assert keep(box) == "2 made anew"
    assert [row["changeTypes"] for row in subscriptions(box)] == [["created"]] * 2
    assert not insta_sync_set(None, changes=["created"], spacing_seconds=60, look_seconds=180)
    insta_sync_set(None, changes=[], spacing_seconds=60, look_seconds=180)
    assert keep(box) == "2 ended" and not subscriptions(box) and standing(box.clock.at).way == "off"
    run = Run(sync_pass=child(box), kind="scheduled", started_at=box.clock.at)
    assert insta.look_turn(child(box), run, box.clock.at) is None  # nor are calendars looked at
    for bad in ({"spacing_seconds": 59}, {"look_seconds": 181}, {"spacing_seconds": None}, {"changes": ["moved"]}):
        with pytest.raises(InstaSyncRefused):
            insta_sync_set(None, **{"changes": [], "spacing_seconds": 60, "look_seconds": 60, **bad})


# --- meetings and what are none -----------------------------------------------------------------------------------------
def test_s4_42_appointments_and_whole_days_wait_for_the_usual_turn(box: Boxes, tasks: list[str]) -> None:
    settled(box, tasks)
    usual = child(box).next_due_at
    appointment = meet(box, attendees=[])
    meet(box, isAllDay=True, start="2026-12-01T00:00", end="2026-12-02T00:00")
    told(box, 2)
    assert came(tasks) == [child(box).name]

    runs = Run.objects.count()
    assert mailbox_jobs.run_mailbox(tasks.pop()) == "no meeting was changed"

    assert Run.objects.count() == runs and abs((child(box).next_due_at - usual).total_seconds()) < 5
    assert {(row.state, row.kind) for row in MeetingNotice.objects.all()} == {("left", "appointment"), ("left", "all-day")}
    box.clock.forward(61)
    box.mail.delete_record("event", box.mail.find_id("event", appointment["id"]))
    told(box, 3)
    assert [mailbox_jobs.run_mailbox(name) for name in came(tasks)] == ["no meeting was changed"]  # it is known what it was
    tasks.clear()
    box.clock.forward(61)
    row = meet(box)
    box.mail.delete_record("event", box.mail.find_id("event", row["id"]))
    told(box, 5)
    assert work(tasks) == ["finished"]  # nobody knows what it was


def test_an_appointment_that_becomes_a_meeting_runs_its_mailbox(box: Boxes, tasks: list[str]) -> None:
    settled(box, tasks)
    row = meet(box, attendees=[])
    told(box, 1)
    assert mailbox_jobs.run_mailbox(came(tasks).pop()) == "no meeting was changed"
    box.clock.forward(61)

    box.mail.update_record("event", box.mail.find_id("event", row["id"]), {"attendees": ["bo@acme.example"]})

    told(box, 2)
    assert work(tasks) == ["finished"]


def test_what_cannot_be_looked_at_runs_and_a_usual_turn_is_never_put_off(box: Boxes, tasks: list[str]) -> None:
    settled(box, tasks)
    box.world.faults.add({"kind": "status", "status": 403, "system": "microsoft", "method": "GET", "path": "/v1.0/users/{id}/events/{id}",
                          "times": 1})  # fmt: skip
    meet(box, attendees=[])
    told(box, 1)
    assert work(tasks) == ["finished"]
    for _ in range(40):  # appointments all the time, for most of an hour
        box.clock.forward(70)
        meet(box, attendees=[])
        told(box, 0)
        while tasks:
            mailbox_jobs.run_mailbox(tasks.pop())
    starts = list(Run.objects.filter(sync_pass=child(box)).order_by("pk").values_list("started_at", flat=True))
    assert len(starts) >= 3 and all(b - a <= timedelta(minutes=32) for a, b in zip(starts, starts[1:], strict=False))


# --- merging ------------------------------------------------------------------------------------------------------------
def test_s4_45_a_hundred_changes_cost_two_runs_and_the_last_is_followed_by_one(box: Boxes, tasks: list[str]) -> None:
    settled(box, tasks)
    before = Run.objects.count()
    row = meet(box)
    told(box, 1)
    assert work(tasks) == ["finished"]
    item = box.mail.find_id("event", row["id"])

    for n in range(100):
        box.mail.update_record("event", item, {"subject": f"Call {n}"})
    told(box, 101)
    assert not tasks and child(box).next_due_at - child(box).looked_at == timedelta(seconds=60)
    box.clock.forward(59)
    assert insta.put_in_queue(box.clock.at) == 0
    box.clock.forward(1)
    assert insta.put_in_queue(box.clock.at) == 1 and work(tasks) == ["finished"]

    assert Run.objects.count() == before + 2 and not MeetingNotice.objects.filter(state="waiting").exists()
    stands = figures(box.clock.at)
    assert (stands.told, stands.carried, stands.runs, stands.merged) == (101, 101, 2, 99)


# --- where our address is not reached -----------------------------------------------------------------------------------
def test_where_microsoft_does_not_reach_us_calendars_are_looked_at_and_notices_take_over_when_it_does(
    box: Boxes, tasks: list[str], settings: Any, live_server: Any
) -> None:
    settings.PUBLIC_URL = "http://127.0.0.1:9"  # nobody listens there

    assert keep(box) == "1 failed, 1 waiting for our address"

    now = standing(box.clock.at)
    assert (now.way, now.looked_at, now.failed) == ("looks", 2, 2) and "does not reach this site" in now.sentence
    keep(box)
    box.world.forget_calls()
    assert [keep(box) for _ in range(10)] == ["nothing to do"] * 10 and not box.world.counts["microsoft"]  # it is not asked every minute
    assert mailbox_jobs.run_mailbox(child(box).name).endswith("finished")
    assert child(box).next_due_at - Run.objects.latest("pk").started_at == timedelta(seconds=180)
    assert keep(box, forward=16 * 60) == "1 failed, 1 waiting for our address"
    settings.PUBLIC_URL = live_server.url
    assert keep(box, forward=16 * 60) == "2 made" and standing(box.clock.at).way == "notices"
    assert mailbox_jobs.run_mailbox(child(box).name).endswith("finished")
    assert child(box).next_due_at - box.clock.at >= timedelta(minutes=14)


def test_without_a_public_address_nothing_is_tried_and_the_page_says_so(box: Boxes, settings: Any) -> None:
    for url, word in (("", "is not set"), ("http://sync.example.com", "by https only"), ("https://10.0.0.7", "public https"),
                      ("https://sync.internal", "public https")):  # fmt: skip
        settings.PUBLIC_URL = url
        assert keep(box) == "nothing to do" and not subscriptions(box)
        assert standing(box.clock.at).way == "looks" and word in standing(box.clock.at).sentence
        assert word in reach_test(None, box.clock.at, box.wiring)[0].sentence


def test_reachability_is_tested_from_here_and_by_microsoft_itself(box: Boxes, settings: Any) -> None:
    keep(box)

    lines = reach_test(None, box.clock.at, box.wiring)

    assert [(line.name, line.is_ok, line.is_warning) for line in lines] == [
        ("Address", True, False), ("From here", True, False), ("From Microsoft", True, False),
    ]  # fmt: skip
    assert len(subscriptions(box)) == 2  # the trial is gone
    settings.PUBLIC_URL = "http://127.0.0.1:9"
    lines = reach_test(None, box.clock.at, box.wiring)
    assert [line.is_ok for line in lines] == [True, True, False] and lines[1].is_warning
    assert InstaSync.objects.get().reached == "no" and len(InstaSync.objects.get().checks) == 3
    Mailbox.objects.update(state="ended")
    assert reach_test(None, box.clock.at, box.wiring)[2].is_warning


# --- trouble ------------------------------------------------------------------------------------------------------------
def test_a_mailbox_that_lets_us_not_in_is_looked_at_and_does_not_stop_the_others(box: Boxes) -> None:
    Mailbox.objects.filter(address=box.mine).update(address="gone@example.test")

    assert keep(box) == "1 failed, 1 made"

    row = CalendarWatch.objects.get(mailbox__address="gone@example.test")
    assert (row.state, row.tries) == ("failed", 1) and row.why and row.due_at > box.clock.at
    assert standing(box.clock.at).way == "both"
    assert [cause.key for cause in causes(alert_facts(box.clock.at))] == ["insta-sync"]
    assert watches.retry(None, box.clock.at) == 1 and keep(box, forward=1) == "1 failed"
    Mailbox.objects.filter(address="gone@example.test").update(address=box.mine)
    assert keep(box, forward=300) == "1 made" and not [c for c in causes(alert_facts(box.clock.at)) if c.key == "insta-sync"]


def test_microsoft_that_is_down_or_asks_us_to_wait_is_asked_once_a_round(box: Boxes) -> None:
    for status, said in ((503, "1 failed"), (429, "nothing to do")):
        fault = {"kind": "status", "status": status, "system": "microsoft", "method": "POST", "path": "/v1.0/subscriptions", "times": 1}
        box.world.faults.add(fault)
        box.world.forget_calls()
        assert keep(box, forward=300) == said and not subscriptions(box)
        assert box.world.counts["microsoft"]["POST /v1.0/subscriptions"] == 1
    assert keep(box, forward=600) == "2 made"


def test_a_renewal_that_fails_is_tried_again_long_before_the_end(box: Boxes) -> None:
    keep(box)
    box.world.faults.add({"kind": "status", "status": 503, "system": "microsoft", "method": "PATCH", "path": "/v1.0/subscriptions/{id}",
                          "times": 1})  # fmt: skip
    assert keep(box, forward=36 * 3600) == "1 failed"
    assert set(CalendarWatch.objects.values_list("state", flat=True)) == {"on"} and standing(box.clock.at).failed == 1
    assert keep(box) == "2 renewed" and standing(box.clock.at).failed == 0


def test_an_answer_that_was_lost_leaves_one_subscription(box: Boxes) -> None:
    box.world.faults.add({"kind": "lost_answer", "system": "microsoft", "method": "POST", "path": "/v1.0/subscriptions", "times": 1})
    assert keep(box) == "1 failed" and len(subscriptions(box)) == 1

    assert keep(box, forward=120) == "2 made"

    assert len(subscriptions(box)) == 2
    secrets = {row.secrets["client_state"] for row in CalendarWatch.objects.all()}
    assert secrets == {row["clientState"] for row in subscriptions(box)}


def test_while_writes_are_stopped_nothing_is_made_or_ended(box: Boxes) -> None:
    Policy.objects.update_or_create(pk=1, defaults={"writes_stopped_at": timezone.now()})
    assert keep(box) == "writes are stopped" and not subscriptions(box)


def test_the_job_of_the_minute_brings_forward_what_a_crash_forgot(box: Boxes, tasks: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watches, "Wiring", lambda: box.wiring)
    settled(box, tasks)
    SyncPass.objects.filter(pk=child(box).pk).update(notices_told=7, notices_heard=6, next_due_at=box.clock.at + timedelta(minutes=20))
    SyncPass.objects.filter(pk=child(box, 1).pk).update(notices_told=7, notices_heard=7, next_due_at=box.clock.at + timedelta(minutes=20))

    assert mailbox_jobs.keep_insta_sync() == "0 taken up, 1 brought forward, 1 put in the queue; watches: nothing to do"
    assert work(tasks) == ["finished"] and child(box).notices_heard == 7

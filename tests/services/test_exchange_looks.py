"""Calendars of an Exchange server are looked at between their turns: one call each, and a run only where a meeting was changed
(S4.42 to S4.48). The server tells nobody of changes; it is asked."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone

from reconciliation import mailbox_jobs
from reconciliation.engine import insta, mailbox_queue
from reconciliation.engine.runner import run_pass
from reconciliation.models import Mailbox, Run, SyncPass
from reconciliation.services.insta_sync import insta_sync_set, standing
from tests.calendars import Calendars, calendars

pytestmark = pytest.mark.django_db
LOOK = {"exchange": 1}
LOOKED = "looked at, no meeting was changed"
GUEST = {"attendees": ["bo@acme.example"]}


@pytest.fixture
def box(monkeypatch: pytest.MonkeyPatch) -> Calendars:
    """Two started mailboxes that have run once, and one clock for everybody."""
    box = calendars("exchange")
    box.clock.at = timezone.now()
    monkeypatch.setattr(insta, "Wiring", lambda: box.wiring)
    monkeypatch.setattr(mailbox_queue, "async_task", lambda task, name, **options: None)
    monkeypatch.setattr(mailbox_jobs, "run_pass", lambda child, order: run_pass(child, order, box.wiring))
    monkeypatch.setattr(mailbox_jobs.timezone, "now", lambda: box.clock.at)
    box.set(events=True)
    Mailbox.objects.update(state="active")
    turn(box), turn(box)
    return box


def child(box: Calendars, n: int = 0) -> SyncPass:
    return SyncPass.objects.get(pk=list(box.passes.values())[n].pk)


def turn(box: Calendars) -> tuple[str, dict[str, int]]:
    """Goes to the mailbox's next turn. Returns what was said, and the calls to each side."""
    due = child(box).next_due_at
    box.clock.at = max(box.clock.at, due or box.clock.at) + timedelta(milliseconds=1)
    box.calls()
    said = mailbox_jobs.run_mailbox(child(box).name)
    return said.partition(": ")[2] or said, box.calls()


def test_a_quiet_calendar_costs_one_call_a_look_and_its_usual_turn_is_not_put_off(box: Calendars) -> None:
    began = Run.objects.latest("pk").started_at
    looks, runs = 0, Run.objects.count()
    while Run.objects.count() == runs:
        before = box.clock.at
        said, calls = turn(box)
        if said == LOOKED:
            looks += 1
            assert calls == LOOK and box.clock.at - before <= timedelta(seconds=181)
    assert 4 <= looks <= 10 and box.clock.at - began <= timedelta(seconds=1801)
    assert said == "finished" and calls == {"exchange": 1, "salesforce": 1} and Run.objects.latest("pk").started_by == ""


def test_a_meeting_that_is_made_changed_or_deleted_runs_its_mailbox_at_the_next_look(box: Calendars) -> None:
    meeting = box.enter("Demo", **GUEST)
    assert turn(box)[0] == "finished" and Run.objects.latest("pk").started_by == "insta-sync"
    assert box.only()["Subject"] == "Demo"

    box.alter(meeting, subject="Demo, later")
    assert turn(box)[0] == "finished" and box.only()["Subject"] == "Demo, later"

    box.set(events=True, event_deletion="propagate")
    box.throw_away(meeting)
    assert turn(box)[0] == "finished" and Run.objects.latest("pk").started_by == "insta-sync"
    assert turn(box) == (LOOKED, LOOK)


def test_s4_42_appointments_and_whole_days_wait_for_the_usual_turn(box: Calendars) -> None:
    appointment = box.enter("Dentist")
    box.enter_days("Fair", box.at(2), 2, **GUEST)
    for _ in range(3):
        assert turn(box) == (LOOKED, LOOK)  # it remembers nothing: they are shown again, and left again
    assert not box.events_there()

    box.throw_away(appointment)
    assert turn(box) == (LOOKED, LOOK)
    runs = Run.objects.count()
    while Run.objects.count() == runs:
        turn(box)
    assert [row["Subject"] for row in box.events_there()] == ["Fair"]


def test_an_appointment_that_becomes_a_meeting_and_a_meeting_that_becomes_none_run_it(box: Calendars) -> None:
    event = box.enter("Demo")
    assert turn(box)[0] == LOOKED
    box.alter(event, **GUEST)
    assert turn(box)[0] == "finished" and box.item().guests == 1
    box.alter(event, attendees=[])
    assert turn(box)[0] == "finished" and box.item().guests == 0


def test_one_occurrence_of_a_series_runs_its_mailbox(box: Calendars) -> None:
    series = box.weekly("Weekly", **GUEST)
    assert turn(box)[0] == "finished" and len(box.events_there()) == 3
    box.alter_occurrence(series, box.at(1), subject="Weekly, elsewhere")
    assert turn(box)[0] == "finished"
    assert sorted(row["Subject"] for row in box.events_there()) == ["Weekly", "Weekly", "Weekly, elsewhere"]


def test_what_we_wrote_ourselves_forces_no_run_and_what_salesforce_says_waits(box: Calendars) -> None:
    box.event("Visit")
    assert turn(box)[0] == LOOKED  # never from Salesforce (S4.43)
    runs = Run.objects.count()
    while Run.objects.count() == runs:
        turn(box)
    assert [row["subject"] for row in box.calendar()] == ["Visit"]
    assert turn(box) == (LOOKED, LOOK)

    box.enter("Demo", **GUEST)
    assert turn(box)[0] == "finished"  # it is marked with the id of its record
    assert turn(box)[0] == LOOKED


def test_s4_47_the_switches_hold_and_all_off_is_off(box: Calendars) -> None:
    meeting = box.enter("Demo", **GUEST)
    turn(box)
    insta_sync_set(None, changes=["created"], spacing_seconds=60, look_seconds=60)
    box.alter(meeting, subject="Demo, later")
    assert turn(box)[0] == LOOKED
    box.enter("Another", **GUEST)
    assert turn(box)[0] == "finished"
    before = box.clock.at
    assert turn(box)[0] == LOOKED and box.clock.at - before <= timedelta(seconds=61)

    insta_sync_set(None, changes=[], spacing_seconds=60, look_seconds=60)
    turn(box), turn(box)
    before = box.clock.at
    assert turn(box)[0] == "finished" and box.clock.at - before > timedelta(seconds=600)
    assert standing(box.clock.at).way == "off"


def test_what_a_look_cannot_tell_is_told_by_a_run(box: Calendars) -> None:
    box.mail.expire_sync()
    assert turn(box)[0] == "finished" and turn(box)[0] == LOOKED
    fault: dict[str, Any] = {"kind": "status", "status": 403, "system": "exchange", "method": "POST", "times": 2}
    box.world.faults.add({**fault, "path": "/EWS/Exchange.asmx/SyncFolderItems"})
    assert turn(box)[0] == "interrupted"  # the run meets the trouble, and says so
    assert turn(box)[0] == "finished" and turn(box)[0] == LOOKED
    for n in range(210):
        box.enter(f"Dentist {n}", box.at(3))
    assert turn(box)[0] == "finished"


def test_a_person_who_asks_is_not_answered_by_a_look(box: Calendars) -> None:
    mailbox_jobs.run_one(child(box))
    box.calls()
    assert mailbox_jobs.run_mailbox(child(box).name).endswith("finished")
    assert turn(box)[0] == LOOKED


def test_the_page_says_that_the_server_is_asked(box: Calendars) -> None:
    stands = standing(box.clock.at)
    assert (stands.way, stands.on_premises, stands.looked_at) == ("looks", 2, 0)
    assert stands.sentence == "2 calendars of Exchange on premises are looked at every 180 seconds."

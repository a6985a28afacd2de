"""The law of insta-sync, over any sequence of notices and runs: runs that notices force keep the spacing between them, and after the
last notice a run begins (S4.45, D16). The database, the receiver, the queue's rows and the runs are real; the clock moves when told."""

from __future__ import annotations

import itertools
import json
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

import pytest
from django.utils import timezone
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from reconciliation import mailbox_jobs
from reconciliation.engine import insta, mailbox_queue
from reconciliation.engine.runner import run_pass
from reconciliation.models import CalendarWatch, Connection, Mailbox, MeetingNotice, Run, SyncPass
from reconciliation.services import notice_receiver
from tests.boxes import Boxes, boxes

pytestmark = pytest.mark.django_db
SPACING = timedelta(seconds=60)
STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("wait"), st.sampled_from([0, 1, 7, 30, 59, 60, 61, 100, 400])),
        st.tuples(st.just("notices"), st.integers(1, 3)),
        st.tuples(st.just("work"), st.integers(0, 2)),  # with so many notices in the middle of the run
        st.tuples(st.just("lose the tasks"), st.just(0)),
        st.tuples(st.just("double the tasks"), st.just(0)),
        st.tuples(st.just("fail"), st.just(0)),  # the next run meets a mail system that is down
        st.tuples(st.just("die"), st.integers(0, 1)),  # the worker ends between the run and its last word
    ),
    max_size=14,
)


class Died(BaseException):
    """The worker was killed."""


@dataclass
class Play:
    """One mailbox, and what happened to it."""

    box: Boxes
    watch: CalendarWatch
    tasks: list[str] = field(default_factory=list)
    starts: list[datetime] = field(default_factory=list)
    told_at: list[datetime] = field(default_factory=list)
    inside: int = 0  # notices that come in the middle of the next run
    counter: Any = field(default_factory=lambda: itertools.count(1))

    @property
    def child(self) -> SyncPass:
        return SyncPass.objects.get(pk=self.box.passes[self.box.mine].pk)

    def tell(self, count: int) -> None:
        """A delivery of so many notices of meetings that were deleted."""
        rows = [self._notice() for _ in range(count)]
        self.told_at.append(self.box.clock.at)
        assert notice_receiver.take(json.dumps({"value": rows}).encode(), self.box.clock.at) == "stored"

    def _notice(self) -> dict[str, Any]:
        said = {"subscriptionId": "s", "clientState": self.watch.secrets["client_state"], "changeType": "deleted"}
        return {**said, "resourceData": {"id": f"event {next(self.counter)}"}}

    def run(self, child: SyncPass, order: Any) -> Run:
        self.starts.append(self.box.clock.at)
        self.box.clock.forward(2)
        run = run_pass(child, order, self.box.wiring)
        if self.inside:
            self.tell(self.inside)
            self.inside = 0
        self.box.clock.forward(2)
        return run

    def work(self) -> None:
        insta.put_in_queue(self.box.clock.at)
        while self.tasks:
            mailbox_jobs.run_mailbox(self.tasks.pop(0))

    def die(self, monkeypatch: pytest.MonkeyPatch, inside: int) -> None:
        """Kills the worker before its last word: nothing that follows in it is done, what it held in the queue is lost later."""
        rows, left = SyncPass.objects.filter(pk=self.child.pk), {}

        def dies(*_: Any) -> None:
            left.update(rows.values("next_due_at", "queued_at").get())
            raise Died

        self.inside = inside
        with monkeypatch.context() as patch:
            patch.setattr(insta, "hear", dies)
            try:
                self.work()
            except Died:
                self.tasks.clear()
                rows.update(**left)
        self.inside = 0

    def step(self, what: str, count: int, monkeypatch: pytest.MonkeyPatch) -> None:
        if what == "wait":
            self.box.clock.forward(count)
        elif what == "notices":
            self.tell(count)
        elif what == "work":
            self.inside = count
            self.work()
            self.inside = 0
        elif what == "lose the tasks":
            self.tasks.clear()
        elif what == "double the tasks":
            self.tasks += self.tasks
        elif what == "fail":
            options = {"status": 503, "system": "microsoft", "method": "*", "path": "*", "times": 3}
            self.box.world.faults.add({"kind": "status", **options})
        else:
            self.die(monkeypatch, count)


@pytest.fixture
def play(monkeypatch: pytest.MonkeyPatch) -> Play:
    box = boxes()
    box.clock.at = timezone.now()
    Mailbox.objects.update(settings={"contacts": True})
    Mailbox.objects.exclude(address=box.mine).update(state="paused")
    SyncPass.objects.filter(pk=box.parent.pk).update(is_on=True, interval_seconds=7200)
    watch = CalendarWatch.objects.create(mailbox=box.passes[box.mine].mailbox, state="on", subscription_id="s", due_at=box.clock.at)
    watch.secrets, watch.ends_at = {"client_state": f"{watch.pk}.secret"}, box.clock.at + timedelta(days=9999)
    watch.save()
    play = Play(box, watch)
    monkeypatch.setattr(insta, "KIND", "contacts")
    monkeypatch.setattr(mailbox_queue, "async_task", lambda task, name, **options: play.tasks.append(name))
    monkeypatch.setattr(mailbox_jobs, "run_pass", play.run)
    monkeypatch.setattr(mailbox_jobs.timezone, "now", lambda: box.clock.at)
    monkeypatch.setattr(insta, "Wiring", lambda: box.wiring)
    return play


@settings(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(steps=STEPS)
def test_s4_45_runs_keep_their_distance_and_one_begins_after_the_last_notice(
    play: Play, monkeypatch: pytest.MonkeyPatch, steps: list[tuple[str, int]]
) -> None:
    box = play.box
    box.world.faults.clear()
    box.clock.forward(7200)
    play.tasks.clear()
    MeetingNotice.objects.all().delete()
    SyncPass.objects.filter(pk=play.child.pk).update(
        next_due_at=box.clock.at + timedelta(seconds=7000), queued_at=None, notices_told=0, notices_heard=0, looked_at=None, trouble_count=0
    )
    Connection.objects.update(state="ok")
    play.starts, play.told_at = [], []

    for what, count in steps:
        play.step(what, count, monkeypatch)
    box.world.faults.clear()
    quiet_from = len(play.starts)
    for _ in range(20):  # what is left is done by the ticks of the next minutes, and then nothing more
        box.clock.forward(90)
        insta.pull(box.clock.at)
        mailbox_jobs.go_round(box.parent, box.clock.at)
        play.work()

    assert all(later - earlier >= SPACING for earlier, later in itertools.pairwise(play.starts)), (steps, play.starts)
    if play.told_at:
        assert play.starts and play.starts[-1] >= play.told_at[-1], (steps, play.starts, play.told_at)
        assert len(play.starts) - quiet_from <= 2, (steps, play.starts)
    else:
        assert not play.starts
    child = play.child
    assert child.notices_told == child.notices_heard and not MeetingNotice.objects.filter(state="waiting").exists()

"""How the cluster goes over many mailboxes: one task each, a bounded number, spread over the interval (S1.2, S4.7, D1)."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.utils import timezone

from reconciliation import jobs, mailbox_jobs
from reconciliation.engine import lease as leases
from reconciliation.engine import mailbox_queue
from reconciliation.engine.runner import run_pass
from reconciliation.models import Connection, CrmFeed, Mailbox, MappingTable, Policy, Run, SyncPass
from reconciliation.services.mailbox_settings import own_save
from reconciliation.services.mailbox_states import mailbox_sync_now
from reconciliation.services.mappings import mapping_save, pass_of
from reconciliation.services.stop_writes import writes_stop
from tests.boxes import Boxes, boxes

pytestmark = [pytest.mark.django_db, pytest.mark.both_databases]


class Queue(list[str]):
    """The tasks that would go to the queue; `work` carries them out, those they put there, too."""

    def work(self) -> list[str]:
        said = []
        while self:
            said.append(mailbox_jobs.run_mailbox(self.pop(0)))
        return said


@pytest.fixture
def queue(monkeypatch: pytest.MonkeyPatch) -> Queue:
    tasks = Queue()
    monkeypatch.setattr(mailbox_queue, "async_task", lambda task, name, **options: tasks.append(name))
    monkeypatch.setattr(jobs, "async_task", lambda task, *arguments, **options: tasks.append(arguments[0]))
    return tasks


@pytest.fixture
def box(monkeypatch: pytest.MonkeyPatch) -> Boxes:
    box = boxes()
    box.clock.at = timezone.now()
    monkeypatch.setattr(mailbox_jobs, "run_pass", lambda child, order: run_pass(child, order, box.wiring))
    for address in box.passes:
        box.set(address, contacts=True)
    SyncPass.objects.filter(pk=box.parent.pk).update(is_on=True)
    box.parent.refresh_from_db()
    return box


def child(box: Boxes, address: str = "") -> SyncPass:
    return SyncPass.objects.get(pk=box.passes[address or box.mine].pk)


def more(box: Boxes, count: int, **values: Any) -> None:
    """Makes many mailboxes that nobody reads."""
    peer = Connection.objects.get(system=box.system)
    made = Mailbox.objects.bulk_create(
        Mailbox(connection=peer, address=f"p{n}@example.test", crm_user_id="u", settings={"contacts": True}) for n in range(count)
    )
    common = {"parent": box.parent, "crm": box.parent.crm, "peer": peer, "mapping": box.parent.mapping, "is_on": True}
    SyncPass.objects.bulk_create(SyncPass(name=f"contacts:x{m.pk}", title="x", mailbox=m, **{**common, **values}) for m in made)


def test_the_parent_never_runs_itself_and_every_mailbox_that_is_due_runs_once(box: Boxes, queue: Queue) -> None:
    """S1.2, S4.7: every 30 minutes."""
    box.contact("Lind", "bo@acme.example")
    SyncPass.objects.filter(parent=box.parent).delete()  # rows of mailboxes that are new are made by the tick

    said = jobs.tick("contacts")

    assert said == "2 mailboxes new, 2 put in the queue"
    assert jobs.tick("contacts") == "0 mailboxes new, 0 put in the queue"  # they are in the queue
    assert [line.partition(": ")[2] for line in queue.work()] == ["finished", "finished"]
    assert not Run.objects.filter(sync_pass=box.parent).exists()
    assert [run.kind for run in Run.objects.all()] == ["scheduled"] * 2
    assert set(Mailbox.objects.values_list("state", flat=True)) == {"active"}
    assert jobs.tick("contacts").endswith(" 0 put in the queue")
    now = timezone.now()
    for sync_pass in SyncPass.objects.filter(parent=box.parent):
        assert sync_pass.interval_seconds == 1800 and timedelta(minutes=14) < sync_pass.next_due_at - now <= timedelta(minutes=30)
        assert sync_pass.queued_at is None
    SyncPass.objects.filter(mailbox__address=box.mine).update(next_due_at=now)
    assert jobs.tick("contacts").endswith(" 1 put in the queue")


def test_a_task_that_comes_twice_finds_nothing_due(box: Boxes, queue: Queue) -> None:
    jobs.tick("contacts")
    name = queue[0]

    said = [mailbox_jobs.run_mailbox(name), mailbox_jobs.run_mailbox(name)]

    assert said[0].endswith("finished") and said[1] == "not due"
    assert Run.objects.filter(sync_pass__name=name).count() == 1
    assert mailbox_jobs.run_mailbox("contacts:0") == "gone"


def test_a_thousand_mailboxes_come_in_turns_and_a_quiet_tick_is_cheap(
    box: Boxes, queue: Queue, django_assert_max_num_queries: Any, settings: Any
) -> None:
    settings.MAILBOX_CHANNELS = 3
    SyncPass.objects.filter(parent=box.parent).update(next_due_at=timezone.now() + timedelta(minutes=9))
    more(box, 1000, next_due_at=timezone.now() + timedelta(minutes=5))
    with django_assert_max_num_queries(6):
        assert jobs.tick("contacts") == "0 mailboxes new, 0 put in the queue"

    SyncPass.objects.filter(name__startswith="contacts:x").update(next_due_at=timezone.now() - timedelta(minutes=1))
    jobs.tick("contacts")
    jobs.tick("contacts")

    assert len(queue) == len(set(queue)) == 6  # two a channel, whatever the number of mailboxes
    start, turns = timezone.now(), []
    for sync_pass in SyncPass.objects.exclude(mailbox=None):  # all ran at one moment: how they come the third time
        at = start
        for _ in range(3):
            at, before = mailbox_queue.next_turn(sync_pass, at, 1800), at
            assert timedelta(minutes=15) <= at - before <= timedelta(minutes=30)
        turns.append((at - start).total_seconds() % 1800)
    in_a_minute = [sum(60 * m <= turn < 60 * (m + 1) for turn in turns) for m in range(30)]
    assert max(in_a_minute) <= 1.2 * len(turns) / 30


def test_a_mailbox_that_has_it_switched_off_is_looked_at_again_after_a_while(box: Boxes, queue: Queue) -> None:
    """S1.3: off until switched on."""
    box.set(box.mine, contacts=False)

    jobs.tick("contacts")

    assert queue == [child(box, box.theirs).name]
    assert child(box).next_due_at > timezone.now() + timedelta(minutes=4)
    box.set(box.theirs, contacts=False)  # switched off while its task waited
    assert queue.work() == ["switched off"]
    assert not Run.objects.exists()


def test_what_is_off_paused_held_or_suspended_does_not_run(box: Boxes, queue: Queue) -> None:
    jobs.tick("contacts")
    names = list(queue)
    parents, children = SyncPass.objects.filter(pk=box.parent.pk), SyncPass.objects.filter(parent=box.parent)
    for rows, values, tick, task in [
        (parents, {"is_on": False}, "off", "off"),
        (parents, {"is_on": True, "is_paused": True}, "paused", "paused"),
        (parents, {"is_paused": False, "hold_reason": "a mapping"}, "held", "held"),
        (children, {"hold_reason": "a mapping"}, None, "held"),
        (children, {"hold_reason": "", "is_on": False}, None, "off"),
        (Mailbox.objects.all(), {"state": "suspended"}, None, "off"),
    ]:
        parents.filter(is_on=True).update(hold_reason="")
        rows.update(**values)
        assert tick is None or jobs.tick("contacts") == tick
        assert mailbox_jobs.run_mailbox(names[0]) == task, values
        children.update(queued_at=None)
        assert tick is not None or jobs.tick("contacts").endswith(" 0 put in the queue"), values
    children.update(is_on=True)
    assert mailbox_jobs.run_mailbox(names[0]) == "paused"
    assert not Run.objects.exists()


def test_without_a_channel_a_mailbox_waits_and_goes_on_when_one_is_free(box: Boxes, queue: Queue, settings: Any) -> None:
    """D1: the process channels of mailboxes are their own, and bound how many run at a time."""
    settings.MAILBOX_CHANNELS = 1
    held = leases.take(f"mailboxes:{child(box).peer_id}:0", "another process")
    jobs.tick("contacts")
    assert queue.work() == ["waits for a process channel"] * 2

    held.release()
    jobs.tick("contacts")

    assert all(line.endswith("finished") for line in queue.work())


def test_a_run_out_of_time_goes_to_the_back_of_the_queue(box: Boxes, queue: Queue) -> None:
    for n in range(30):
        box.contact(f"Lind {n}", f"bo{n}@acme.example")
    SyncPass.objects.filter(pk=box.parent.pk).update(time_budget_seconds=0)
    jobs.tick("contacts")

    first = mailbox_jobs.run_mailbox(queue.pop(0))

    assert first.endswith("partial")
    assert queue == [child(box, box.theirs).name, child(box).name]  # the other one waited longer
    SyncPass.objects.filter(pk=box.parent.pk).update(time_budget_seconds=50)
    assert queue.work()[-1].endswith("finished")
    assert len(box.folder()) == 30


def test_everything_is_compared_once_a_week_and_not_all_on_one_day(box: Boxes, queue: Queue) -> None:
    """Engine-rules 7."""
    jobs.tick("contacts")
    queue.work()
    planned = SyncPass.objects.filter(parent=box.parent).values_list("next_full_at", flat=True)
    assert len(set(planned)) == 2 and all(timedelta(days=3) < at - timezone.now() <= timedelta(days=7) for at in planned)
    SyncPass.objects.filter(pk=child(box).pk).update(next_full_at=timezone.now(), next_due_at=timezone.now())

    jobs.tick("contacts")
    queue.work()

    assert Run.objects.latest("pk").is_full
    assert child(box).next_full_at > timezone.now() + timedelta(days=6)


def test_mailboxes_that_are_asked_for_together_read_the_crm_once(box: Boxes, queue: Queue) -> None:
    """I7: the CRM's changes are read once for many mailboxes."""
    jobs.tick("contacts")
    queue.work()
    box.contact("Lind", "bo@acme.example", owner=box.theirs)
    CrmFeed.objects.update(read_at=timezone.now() - timedelta(hours=1))
    box.calls()
    box.clock.at = timezone.now()

    said = jobs.run_now("contacts", "olga")
    queue.work()

    assert said == "2 mailboxes asked for"
    assert [run.kind for run in Run.objects.order_by("-pk")[:2]] == ["manual"] * 2
    assert len(box.folder(box.theirs)) == 1
    assert box.calls()["salesforce"] <= 2  # one for the changes, one for the record


def test_a_click_on_one_mailbox_is_one_task_and_a_mark_that_stays(box: Boxes, queue: Queue) -> None:
    later = timezone.now() + timedelta(minutes=20)
    SyncPass.objects.filter(parent=box.parent).update(next_due_at=later)

    jobs.nudge(child(box).name, "olga")
    mailbox_sync_now(Mailbox.objects.get(address=box.mine), None)

    assert queue == [child(box).name]
    assert child(box).run_requested_at is not None
    queue.work()
    assert child(box).run_requested_at is None and Run.objects.get().kind == "manual"
    jobs.nudge("contacts", "olga")
    assert queue == ["contacts"]
    assert SyncPass.objects.get(pk=box.parent.pk).run_requested_at is not None
    queue.clear()
    jobs.tick("contacts")  # the task was lost: the mark is found
    assert len(queue) == 2 and SyncPass.objects.get(pk=box.parent.pk).run_requested_at is None


def test_while_all_writes_are_stopped_runs_are_plans(box: Boxes, queue: Queue) -> None:
    box.contact("Lind", "bo@acme.example")
    writes_stop(User.objects.create(username="olga"), "We look into something.")

    jobs.tick("contacts")
    queue.work()

    assert {(run.kind, run.state) for run in Run.objects.all()} == {("preview", "held")}
    assert box.folder() == [] and Policy.objects.get().writes_stopped_at is not None
    assert child(box).next_due_at > timezone.now()


def test_a_system_that_is_down_is_tried_by_one_mailbox_a_minute(box: Boxes, queue: Queue) -> None:
    """Engine-rules 2: the run waits 1, 2, 4 minutes; a thousand mailboxes do not each find out."""
    more(box, 50)
    for n in range(50):
        box.world.microsoft.create_record("user", {"mail": f"p{n}@example.test"})
    box.world.faults.add({"kind": "status", "status": 503, "system": "salesforce"})
    jobs.tick("contacts")

    said = queue.work()

    failed = [line for line in said if line.endswith("interrupted")]
    assert len(said) == 8 and failed  # those that were in the queue already; none was put there after them
    jobs.tick("contacts")
    assert len(queue) == 1
    queue.work()
    assert not Mailbox.objects.filter(state__in=("suspended", "left")).exists()
    box.world.faults.clear()
    SyncPass.objects.filter(parent=box.parent, name__startswith="contacts:x").update(next_due_at=timezone.now() + timedelta(hours=1))
    SyncPass.objects.filter(pk__in=[p.pk for p in box.passes.values()]).update(next_due_at=timezone.now())
    jobs.tick("contacts")
    assert len(queue) == 1
    assert [line.partition(": ")[2] for line in queue.work()] == ["finished"] * 2  # the first got through and freed the other


def test_while_a_person_works_on_the_mailbox_its_run_is_put_off(box: Boxes, queue: Queue) -> None:
    held = leases.take(f"pass:{child(box).name}", "a person")
    jobs.tick("contacts")

    said = queue.work()

    assert sum(line.startswith("another run is under way") for line in said) == 1
    assert timedelta(0) < child(box).next_due_at - timezone.now() <= timedelta(seconds=30)
    held.release()


def test_a_preview_of_one_mailbox_writes_nothing(box: Boxes, queue: Queue, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(jobs, "run_pass", lambda sync_pass, order: run_pass(sync_pass, order, box.wiring))
    box.contact("Lind", "bo@acme.example")

    said = jobs.preview(child(box).name, "olga")

    assert said.endswith("finished") and Run.objects.get().created == 1
    assert box.folder() == [] and Mailbox.objects.get(address=box.mine).state == "new"


def test_a_mapping_that_was_mended_lets_every_mailbox_go_on(box: Boxes, queue: Queue) -> None:
    """C31: all mailboxes share the mapping, and each was held by it."""
    SyncPass.objects.filter(parent=box.parent).update(hold_reason="A row names no field")
    assert jobs.tick("contacts").endswith(" 0 put in the queue")
    sync_pass = pass_of(MappingTable.objects.get(name="Contacts to mailboxes"))
    assert sync_pass is not None

    mapping_save(sync_pass, {}, ())

    assert jobs.tick("contacts").endswith(" 2 put in the queue")


def test_c33_a_real_mailbox_gets_its_first_preview_by_itself_once_and_anew_when_its_settings_change(box: Boxes, queue: Queue) -> None:
    """C33: it begins with a preview of what its first run would do, and nothing is written until somebody looked at it."""
    Connection.objects.filter(pk=box.parent.peer_id).update(is_sandbox=False)
    SyncPass.objects.exclude(mailbox=None).update(is_on=False, switched_on_at=None)
    Mailbox.objects.filter(address=box.theirs).update(crm_user_id="")  # nobody knows what it would show
    box.contact("Lind")

    for _ in range(3):
        mailbox_jobs.go_round(box.parent, timezone.now())
        queue.work()

    runs = Run.objects.all()
    assert [(r.sync_pass_id, r.kind, r.state, r.created) for r in runs] == [(child(box).pk, "preview", "held", 1)]
    assert box.folder() == [] and child(box).next_due_at > timezone.now() + timedelta(days=3)
    own_save(box.parent, Mailbox.objects.get(address=box.mine), {"view": "everything"}, User.objects.create_user("ada"))
    mailbox_jobs.go_round(box.parent, timezone.now())
    queue.work()
    assert Run.objects.count() == 2 and box.folder() == []
    Mailbox.objects.filter(address=box.mine).update(state="paused")
    SyncPass.objects.update(next_due_at=None)
    mailbox_jobs.go_round(box.parent, timezone.now())
    assert queue.work() == []

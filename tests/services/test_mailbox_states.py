"""Pause, resume and sync now of mailboxes, one by one and selected (S4.9, S4.10)."""

from __future__ import annotations

from typing import Any

import pytest
from django.contrib.auth.models import Group, User
from django.utils import timezone

from reconciliation.engine import mailbox_queue
from reconciliation.models import AuditEntry, Mailbox, SyncPass
from reconciliation.services.mailbox_states import mailbox_pause, mailbox_resume, mailbox_sync_now, mailboxes_do
from reconciliation.services.mailboxes import MailboxRefused
from tests.boxes import Boxes, boxes

pytestmark = [pytest.mark.django_db, pytest.mark.both_databases]


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Collects the mailboxes whose task would go to the queue."""
    tasks: list[str] = []
    monkeypatch.setattr(mailbox_queue, "async_task", lambda task, name, **options: tasks.append(name))
    return tasks


@pytest.fixture
def box() -> Boxes:
    box = boxes()
    for address in box.passes:
        box.set(address, contacts=True)
    SyncPass.objects.filter(pk=box.parent.pk).update(is_on=True)
    return box


def person(name: str, *roles: str, **values: Any) -> User:
    user = User.objects.create(username=name, **values)
    user.groups.set(Group.objects.filter(name__in=roles))
    return user


def row(box: Boxes, address: str = "") -> Mailbox:
    return Mailbox.objects.get(address=address or box.mine)


def test_a_user_pauses_and_resumes_their_own_mailbox_and_no_other(box: Boxes) -> None:
    """S4.9: suspended by hand, per user, and resumed."""
    ann, eve = person("ann@example.test", "mailbox user"), person("eve", "viewer")
    Mailbox.objects.filter(address=box.mine).update(user=ann)
    with pytest.raises(MailboxRefused, match="Only the mailbox's user"):
        mailbox_pause(row(box), eve)
    with pytest.raises(MailboxRefused, match="Only the mailbox's user"):
        mailbox_pause(row(box, box.theirs), ann)

    mailbox_pause(row(box), ann, "  On holiday.  ")

    paused = row(box)
    assert (paused.state, paused.state_reason, paused.state_by, paused.is_running) == ("paused", "On holiday.", ann.username, False)
    with pytest.raises(MailboxRefused, match="paused already"):
        mailbox_pause(row(box), ann)

    mailbox_resume(row(box), ann)

    assert row(box).state == "new"  # no run got through yet: it still waits for its first one
    with pytest.raises(MailboxRefused, match="already"):
        mailbox_resume(row(box), ann)
    assert list(AuditEntry.objects.filter(subject=box.mine).values_list("action", "username").order_by("pk"))[-2:] == [
        ("pause mailbox", ann.username),
        ("resume mailbox", ann.username),
    ]


def test_what_an_admin_paused_or_a_person_left_the_user_cannot_resume(box: Boxes) -> None:
    ann, olga = person("ann@example.test", "mailbox user"), person("olga", "operator")
    Mailbox.objects.filter(address=box.mine).update(user=ann, folder_id="f1")
    mailbox_pause(row(box), olga, "Looked into.")

    with pytest.raises(MailboxRefused, match=r"An admin paused this mailbox \(olga\)"):
        mailbox_resume(row(box), ann)
    assert row(box).state == "paused"
    Mailbox.objects.filter(address=box.mine).update(state="left")
    with pytest.raises(MailboxRefused, match="marked as left"):
        mailbox_resume(row(box), ann)
    mailbox_resume(row(box), olga)
    assert row(box).state == "active"


@pytest.mark.parametrize("state", ["suspended", "left"])
def test_resuming_is_one_act_and_the_mailbox_is_due_at_once(box: Boxes, asked: list[str], state: str) -> None:
    """D11: resuming is one button."""
    Mailbox.objects.filter(address=box.mine).update(state=state, state_reason="Why.", failed_runs=6)
    later = timezone.now().replace(year=timezone.now().year + 1)
    SyncPass.objects.filter(mailbox__isnull=False).update(trouble_count=6, next_due_at=later)
    assert mailbox_queue.fill(box.parent) == 0

    mailbox_resume(row(box), None)

    assert (row(box).state, row(box).failed_runs, row(box).state_reason) == ("new", 0, "")
    assert mailbox_queue.fill(box.parent) == 1 and asked == [box.passes[box.mine].name]


def test_sync_now_puts_the_mailbox_before_all_others_and_outlives_a_lost_task(box: Boxes, asked: list[str]) -> None:
    """S4.10: forced to run before the next scheduled session."""
    soon = timezone.now() + timezone.timedelta(minutes=20)
    SyncPass.objects.filter(mailbox__isnull=False).update(next_due_at=soon)

    mailbox_sync_now(row(box), None)
    mailbox_sync_now(row(box), None)

    child = SyncPass.objects.get(pk=box.passes[box.mine].pk)
    assert asked == [child.name]  # pressed twice, one task
    assert child.run_requested_at is not None and child.next_due_at <= timezone.now()
    lost = timezone.now() + mailbox_queue.LOST_AFTER + timezone.timedelta(seconds=1)
    assert mailbox_queue.fill(box.parent, lost) == 1 and asked == [child.name] * 2


def test_sync_now_says_why_nothing_would_run(box: Boxes, asked: list[str]) -> None:
    def refused() -> str:
        with pytest.raises(MailboxRefused) as refusal:
            mailbox_sync_now(row(box), None)
        return str(refusal.value)

    parents, children = SyncPass.objects.filter(pk=box.parent.pk), SyncPass.objects.filter(parent=box.parent)
    parents.update(is_on=False)
    assert "is switched off" in refused()
    parents.update(is_on=True, is_paused=True)
    assert "is paused for all mailboxes" in refused()
    parents.update(is_paused=False)
    children.update(hold_reason="A row names no field")
    assert refused() == "A row names no field. The pass goes on when that was mended."
    children.update(hold_reason="", is_on=False)
    assert "waits for its first preview" in refused()
    box.set(contacts=False)
    assert "Nothing is switched on for this mailbox" in refused()
    Mailbox.objects.update(state="suspended")
    assert refused() == "It is suspended, so nothing is synced; resume it first."
    assert asked == [] and not AuditEntry.objects.filter(action="sync mailbox now").exists()


def test_many_selected_are_done_each_by_itself(box: Boxes, asked: list[str]) -> None:
    """One that is refused stops no other, and says why."""
    keys = [row(box).pk, row(box, box.theirs).pk, 987654]
    Mailbox.objects.filter(address=box.theirs).update(state="left")

    paused = mailboxes_do("pause", keys, None)
    resumed = mailboxes_do("resume", keys, None)
    synced = mailboxes_do("sync_now", keys, None)

    assert (paused.changed, paused.refused) == (1, [f"{box.theirs}: It is left already; nothing was changed."])
    assert (resumed.changed, resumed.refused) == (2, [])
    assert synced.changed == 2 and sorted(asked) == sorted(p.name for p in box.passes.values())
    with pytest.raises(MailboxRefused):
        mailboxes_do("delete", keys, None)

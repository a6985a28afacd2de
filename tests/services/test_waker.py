"""The queue is woken at the second at which a mailbox may run again, and not by the tick of the minute."""

import threading
import time
from datetime import timedelta

import pytest
from django.utils import timezone

from reconciliation.engine import insta, mailbox_queue
from reconciliation.models import Mailbox, SyncPass
from reconciliation.services import notice_receiver
from reconciliation.services.waker import Waker
from tests.boxes import boxes
from tests.services.test_notice_receiver import deliver, notice, watch


def ended(name="wake the queue"):
    """Waits until no thread of that name is left."""
    ends = time.monotonic() + 20
    while any(thread.name == name for thread in threading.enumerate()) and time.monotonic() < ends:
        time.sleep(0.02)
    return not any(thread.name == name for thread in threading.enumerate())


def test_it_wakes_once_a_second_however_many_ask_and_then_ends():
    woken, now = [], timezone.now()
    waker = Waker(lambda: woken.append(time.monotonic()))
    started = time.monotonic()

    for _ in range(50):
        waker.at([now + timedelta(seconds=1), now], now)
    assert ended()

    assert 2 <= len(woken) <= 4 and woken[-1] - started < 5
    waker.at([now], now)  # and begins again
    assert ended() and len(woken) > 2


def test_one_that_fails_leaves_the_others(caplog):
    woken, now = [], timezone.now()

    def wake():
        woken.append(1)
        raise OSError

    waker = Waker(wake)
    waker.at([now, now + timedelta(seconds=2)], now)

    assert ended() and len(woken) == 2 and "OSError" in caplog.text


@pytest.mark.django_db(transaction=True)
def test_a_mailbox_that_keeps_its_distance_is_put_in_the_queue_when_that_is_over(monkeypatch, settings, tmp_path):
    settings.HOOK_SPOOL, tasks = tmp_path, []
    notice_receiver._left_alone_until = 0.0
    monkeypatch.setattr(insta, "KIND", "contacts")
    monkeypatch.setattr(mailbox_queue, "async_task", lambda task, name, **options: tasks.append(name))
    box = boxes()
    SyncPass.objects.filter(pk=box.parent.pk).update(is_on=True)
    Mailbox.objects.update(settings={"contacts": True})
    now = timezone.now()
    SyncPass.objects.filter(parent=box.parent).update(next_due_at=now + timedelta(minutes=20), looked_at=now - timedelta(seconds=57))
    row = watch(box.passes[box.mine].mailbox)

    assert deliver(notice(row)).status_code == 202
    assert not tasks
    assert ended()

    assert tasks == [box.passes[box.mine].name] and timezone.now() - now >= timedelta(seconds=3)

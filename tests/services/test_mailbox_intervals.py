"""What people set of the pass over mailboxes holds for every mailbox, at once."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from io import StringIO

import pytest
from django.core.management import call_command
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from reconciliation.engine import mailbox_queue
from reconciliation.engine.brakes import settings_of
from reconciliation.engine.context import Order
from reconciliation.models import Run, SyncPass
from reconciliation.services.schedule import schedule_of, schedule_set
from tests.boxes import Boxes, boxes
from tests.services.test_mailbox_jobs import more

pytestmark = [pytest.mark.django_db, pytest.mark.both_databases]


@pytest.fixture
def box() -> Boxes:
    box = boxes()
    SyncPass.objects.update(next_due_at=timezone.now() + timedelta(hours=20), interval_seconds=86_400)
    return box


def set_interval(box: Boxes, seconds: int) -> None:
    parent = SyncPass.objects.get(pk=box.parent.pk)
    schedule_set(parent, replace(schedule_of(parent), interval_seconds=seconds, time_budget_seconds=77))


def test_a_shorter_interval_brings_every_mailbox_to_its_turn_within_it(box: Boxes) -> None:
    more(box, 60, next_due_at=timezone.now() + timedelta(hours=20), interval_seconds=86_400)

    with CaptureQueriesContext(connection) as queries:
        set_interval(box, 600)

    rows = SyncPass.objects.filter(parent=box.parent)
    assert set(rows.values_list("interval_seconds", "time_budget_seconds")) == {(600, 77)}
    due = list(rows.values_list("next_due_at", flat=True))
    assert max(due) <= timezone.now() + timedelta(seconds=600)
    assert max(due) - min(due) > timedelta(seconds=120)  # spread, not all at once
    assert len(queries) < 25


def test_a_longer_interval_and_a_mailbox_in_trouble_leave_their_next_turn_alone(box: Boxes) -> None:
    soon, child = timezone.now() + timedelta(minutes=1), box.passes[box.mine]
    SyncPass.objects.filter(pk=child.pk).update(next_due_at=soon)
    set_interval(box, 3600)
    child.refresh_from_db()
    assert child.next_due_at == soon

    later = timezone.now() + timedelta(hours=5)
    SyncPass.objects.filter(pk=child.pk).update(next_due_at=later, trouble_count=3)
    set_interval(box, 600)
    child.refresh_from_db()
    assert (child.next_due_at, child.interval_seconds) == (later, 600)


def test_the_command_line_goes_over_mailboxes_with_what_was_set(box: Boxes, monkeypatch: pytest.MonkeyPatch) -> None:
    SyncPass.objects.filter(pk=box.parent.pk).update(interval_seconds=900)
    seen = []

    def run(child: SyncPass, order: Order) -> Run:
        seen.append(child.interval_seconds)
        return box.run(child.mailbox_address)

    monkeypatch.setattr("reconciliation.management.commands.runpass.run_pass", run)

    call_command("runpass", "contacts", "--mailbox", box.mine, stdout=StringIO())

    assert seen == [900]
    assert set(SyncPass.objects.filter(parent=box.parent).values_list("interval_seconds", flat=True)) == {900}
    assert mailbox_queue.follow_all(SyncPass.objects.get(pk=box.parent.pk), timezone.now()) == 0


def test_the_thresholds_of_the_brakes_hold_for_every_mailbox(box: Boxes) -> None:
    parent = SyncPass.objects.get(pk=box.parent.pk)
    schedule_set(parent, replace(schedule_of(parent), blanking_count=7))

    assert settings_of(SyncPass.objects.get(pk=box.passes[box.mine].pk)).blanking_count == 7

"""Conflicts of mailboxes: closed by the runs over them, and without a call where what is stored says that they are over."""

from __future__ import annotations

import html
from collections.abc import Iterator

import pytest
from django.test import Client

from reconciliation import jobs
from reconciliation.models import Binding, Case, ConflictField, FieldRule, Mailbox, Run, SyncPass
from reconciliation.services.conflict_tidy import conflicts_tidy
from tests.admin.test_pages import log_in
from tests.boxes import Boxes, boxes

pytestmark = [pytest.mark.django_db, pytest.mark.both_databases]


@pytest.fixture(params=["microsoft", "google"])
def box(request: pytest.FixtureRequest) -> Iterator[Boxes]:
    box = boxes(request.param)
    FieldRule.objects.filter(peer_field__in=["jobTitle", "surname"]).update(survivorship="ask")
    SyncPass.objects.filter(pk=box.parent.pk).update(is_on=True, settings={"mailbox_settings": {"contacts": {"value": True}}})
    yield box


def conflict(box: Boxes) -> tuple[str, Case]:
    """A contact whose last name was changed on both sides to different values."""
    id_ = box.contact("Lind", "bo@acme.example")
    box.run()
    box.edit(id_, LastName="Ours")
    box.change(box.folder()[0]["id"], surname="Theirs")
    box.run()
    return id_, Case.objects.get(kind="conflict", state="open")


def test_d10_the_next_run_of_the_mailbox_closes_what_agrees(box: Boxes) -> None:
    id_, case = conflict(box)
    box.edit(id_, LastName="Theirs")

    box.run()

    case.refresh_from_db()
    assert case.state == "closed"


def test_the_hourly_look_calls_no_mailbox_and_leaves_what_stands(box: Boxes) -> None:
    _, case = conflict(box)
    box.calls()
    runs = Run.objects.count()

    said = jobs.refresh_conflicts()

    assert said == "contacts: 1 looked at, 0 closed" and box.calls() == {} and Run.objects.count() == runs
    case.refresh_from_db()
    assert case.is_open and not SyncPass.objects.exclude(run_requested_at=None).exists()


def test_a_link_that_ended_and_a_field_that_is_not_mapped_any_more_are_over_without_a_call(box: Boxes) -> None:
    _, case = conflict(box)
    box.calls()
    FieldRule.objects.filter(peer_field="surname").update(is_enabled=False)

    assert conflicts_tidy(box.parent).closed == 1
    case.refresh_from_db()
    assert (case.state, case.note.startswith("Its fields are not mapped")) == ("closed", True)
    assert ConflictField.objects.get().state == "agreed"

    Case.objects.update(state="open")
    ConflictField.objects.update(state="open")
    FieldRule.objects.filter(peer_field="surname").update(is_enabled=True)
    Binding.objects.update(is_tombstone=True)
    assert conflicts_tidy(box.parent).closed == 1 and box.calls() == {}


def test_who_asks_lets_the_mailboxes_with_conflicts_run_and_no_others(box: Boxes) -> None:
    conflict(box)

    said = jobs.refresh_conflicts("olga")

    assert "1 mailbox asked for" in said
    assert list(SyncPass.objects.exclude(run_requested_at=None).values_list("mailbox__address", flat=True)) == [box.mine]


def test_the_list_says_when_conflicts_of_mailboxes_are_looked_at(box: Boxes, client: Client) -> None:
    conflict(box)
    Mailbox.objects.filter(address=box.mine).update(state=Mailbox.State.SUSPENDED)
    log_in(client, "viewer")

    page = html.unescape(client.get("/conflicts/").content.decode())

    assert "in each run over it" in page and "Mailbox suspended" in page

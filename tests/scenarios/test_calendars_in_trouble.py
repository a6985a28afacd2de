"""Calendars and Salesforce events when things go wrong, or come together: what the histories of `tests/simulation/calendars` found."""

from datetime import timedelta

import pytest

from reconciliation.engine.context import Order
from reconciliation.engine.runner import run_pass
from reconciliation.models import Operation, SyncPass
from reconciliation.services.mailboxes import pass_over
from reconciliation.services.set_up import emails_pass, tasks_pass
from tests.boxes import on_every_mail_system
from tests.calendars import CATEGORY, calendars, text

pytestmark = pytest.mark.django_db


@pytest.fixture(params=["microsoft", "google"])
def box(request):
    return calendars(request.param)


@pytest.fixture
def outlook():
    return calendars("microsoft")


def meeting(box, **values):
    """Makes a meeting of both colleagues that both share, and runs over both. Returns its id in either calendar."""
    event = box.enter("Together", attendees=[box.theirs], **values)
    copy = box.copy_of(event, box.theirs)
    if box.system != "google":
        box.alter(copy, categories=["Salesforce"])
    else:
        box.alter(copy, responseStatus="accepted")
    box.run()
    box.run(box.theirs)
    assert len(box.events_there()) == 1 and len(box.links()) == 1 and not box.links(box.theirs), box.events()
    return event, copy


def test_an_event_of_salesforce_far_ahead_comes_down_once_the_days_reach_it(box):
    far = box.event("Fair", box.at(70))
    box.run()
    assert box.calendar() == []

    box.run(forward=12 * 86400)

    assert [row["subject"] for row in box.calendar()] == ["Fair"], box.events()
    assert list(box.links()) == [far]
    box.rest()


@on_every_mail_system
@pytest.mark.parametrize("is_full", [False, True])
def test_c23_a_series_that_is_moved_keeps_its_events_on_pages_of_one(box, is_full):
    row = box.parent.peer
    row.settings |= {"events_a_page": 1, "page_size": 1}
    row.save(update_fields=["settings"])
    start = box.at()
    series = box.weekly("Weekly", start, times=3)
    box.run()
    ids = {row["Id"] for row in box.events_there()}
    assert len(ids) == 3

    later = start + timedelta(days=9, hours=2)
    box.alter(series, start=text(later), end=text(later + timedelta(hours=1)))
    box.run(is_full=is_full)

    assert {row["Id"] for row in box.events_there()} == ids, box.events()
    assert {row["StartDateTime"][11:13] for row in box.events_there()} == {f"{later:%H}"}
    box.rest()


def test_a_series_that_was_moved_and_is_shared_anew_keeps_its_events(outlook):
    start = outlook.at()
    series = outlook.weekly("Weekly", start, times=3)
    outlook.run()
    ids = {row["Id"] for row in outlook.events_there()}
    outlook.alter(series, start=text(start + timedelta(hours=2)), end=text(start + timedelta(hours=3)))
    outlook.run()

    outlook.alter(series, categories=[])
    outlook.run()
    assert not outlook.links() and {row["Id"] for row in outlook.events_there()} == ids
    outlook.alter(series, categories=["Salesforce"])
    outlook.run()

    assert {row["Id"] for row in outlook.events_there()} == ids, outlook.events()
    assert set(outlook.links()) == ids
    outlook.rest()


def test_a_colleague_carries_a_series_on_that_was_moved(outlook):
    start = outlook.at()
    series = outlook.weekly("Weekly", start, times=3, attendees=[outlook.theirs])
    outlook.alter(outlook.copy_of(series, outlook.theirs), categories=["Salesforce"])
    outlook.run()
    outlook.run(outlook.theirs)
    ids = {row["Id"] for row in outlook.events_there()}
    assert len(ids) == 3
    outlook.alter(series, start=text(start + timedelta(hours=2)), end=text(start + timedelta(hours=3)))
    outlook.run()
    outlook.run(outlook.theirs)

    outlook.alter(series, categories=[])
    outlook.run()
    outlook.run(outlook.theirs)

    assert {row["Id"] for row in outlook.events_there()} == ids and set(outlook.links(outlook.theirs)) == ids, outlook.events()
    outlook.rest(outlook.mine, outlook.theirs)


@pytest.mark.parametrize("hours", [2, 24 * 9 + 2, 24 * 14])
def test_c23_a_series_that_was_moved_is_made_once_though_the_colleague_who_carries_it_runs_later(outlook, hours):
    start = outlook.at()
    series = outlook.weekly("Weekly", start, times=3, attendees=[outlook.theirs], categories=["Salesforce"])
    outlook.alter(outlook.copy_of(series, outlook.theirs), categories=["Salesforce"])
    outlook.run(outlook.theirs)
    outlook.run()
    ids = {row["Id"] for row in outlook.events_there()}
    assert len(ids) == 3 and set(outlook.links(outlook.theirs)) == ids and not outlook.links()

    outlook.alter(series, start=text(start + timedelta(hours=hours)), end=text(start + timedelta(hours=hours + 1)))
    for address in (outlook.mine, outlook.theirs, outlook.mine):
        outlook.run(address)

    assert {row["Id"] for row in outlook.events_there()} == ids == set(outlook.links(outlook.theirs)), outlook.events()
    assert not outlook.links()
    outlook.rest(outlook.mine, outlook.theirs)


@on_every_mail_system
def test_a_meeting_that_its_organiser_calls_off_goes_though_a_colleague_holds_it(box):
    event, _ = meeting(box)

    box.throw_away(event)
    box.run()
    box.run(box.theirs)

    assert box.events_there() == [] and not box.links() and not box.links(box.theirs), box.events()
    box.rest(box.mine, box.theirs)


def test_the_meeting_of_a_colleague_who_is_not_invited_any_more_is_carried_on(outlook):
    event = outlook.enter("Together", attendees=[outlook.theirs])
    outlook.alter(outlook.copy_of(event, outlook.theirs), categories=["Salesforce"])
    outlook.run(outlook.theirs)
    outlook.run()
    ids = [row["Id"] for row in outlook.events_there()]
    assert list(outlook.links(outlook.theirs)) == ids and not outlook.links()

    outlook.alter(event, attendees=[])
    outlook.run(outlook.theirs)  # which asks whether it takes place for others
    assert outlook.links(outlook.theirs) and "asks_colleagues" in [reason for _, reason, _ in outlook.events()]
    for address in (outlook.mine, outlook.theirs, outlook.mine):
        outlook.run(address)

    assert [row["Id"] for row in outlook.events_there()] == ids and list(outlook.links()) == ids, outlook.events()
    outlook.rest(outlook.mine, outlook.theirs)


@pytest.mark.parametrize("kind", ["lost_answer", "status"])
@pytest.mark.parametrize("other_pass", [tasks_pass, emails_pass])
def test_a_category_that_nobody_answered_is_made_by_the_next_pass_over_the_mailbox(outlook, kind, other_pass):
    path = "/v1.0/users/{id}/outlook/masterCategories"
    outlook.world.faults.add({"system": "microsoft", "kind": kind, "status": 503, "method": "POST", "path": path, "times": 9})
    assert outlook.run().state != "finished"
    open_ = Operation.objects.filter(object_type="category", state__in=Operation.OPEN)
    assert open_.exists()

    outlook.world.faults.clear()
    over = outlook.passes[outlook.mine]
    other = pass_over(other_pass(over.crm, over.peer), over.mailbox)
    SyncPass.objects.filter(pk=other.parent_id).update(is_on=True)
    done = run_pass(other, Order(), outlook.wiring)

    assert done.state == "finished", done.note
    assert outlook.run().state == "finished" and not open_.exists()
    made = [
        row for row in outlook.mail.list_records("outlookCategory") if row["mailbox"] == outlook.mine and row["displayName"] == CATEGORY
    ]
    assert len(made) == 1
    assert Operation.objects.filter(object_type="category", state=Operation.State.CONFIRMED, run__sync_pass=other).count() == 1


@pytest.mark.parametrize("setting", ["remove", "keep"])
def test_a_meeting_that_a_guest_shares_goes_once_its_organiser_called_it_off(outlook, setting):
    outlook.set(cancelled_events=setting)
    event = outlook.enter("Together", attendees=[outlook.theirs])
    outlook.alter(outlook.copy_of(event, outlook.theirs), categories=["Salesforce"])
    outlook.run(outlook.theirs)
    outlook.run()
    assert len(outlook.links(outlook.theirs)) == 1 and not outlook.links()

    outlook.throw_away(event)
    for _ in range(2):
        outlook.run(outlook.theirs)
        outlook.run()

    assert len(outlook.events_there()) == (0 if setting == "remove" else 1), outlook.events()
    outlook.rest(outlook.mine, outlook.theirs)


def test_what_is_forbidden_to_be_deleted_in_salesforce_is_made_again_at_once(box):
    box.set(event_removal="restore")
    box.enter("Demo")
    box.run()

    box.delete_event(box.only()["Id"])
    box.run()
    box.run(forward=60)

    assert [row["Subject"] for row in box.events_there()] == ["Demo"], box.events()
    box.rest()

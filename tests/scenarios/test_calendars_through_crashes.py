"""Calendars and Salesforce events through moves, losses and crashes: what a thousand histories of each mail system found (C21 to C26)."""

from datetime import timedelta

import pytest

from tests.boxes import on_every_mail_system
from tests.calendars import calendars, text

pytestmark = pytest.mark.django_db


@pytest.fixture(params=["microsoft", "google"])
def box(request):
    return calendars(request.param)


@pytest.fixture
def outlook():
    return calendars("microsoft")


def guest_meeting(box):
    """Makes a meeting of the second mailbox's user that the first one's, a guest, shares. Returns both ids."""
    event = box.enter("Plan", address=box.theirs, attendees=[box.mine], categories=[])
    copy = box.copy_of(event, box.mine)
    box.alter(copy, categories=["Salesforce"])
    box.run()
    assert box.only()["Subject"] == "Plan"
    return event, copy


# --- private events ---------------------------------------------------------------------------------------------------------
@on_every_mail_system
def test_c22_a_full_comparison_finds_what_turned_private_in_days_that_are_not_looked_at_any_more(box):
    event = box.enter("Dinner", box.at(-10))
    box.run()
    assert box.only()["Subject"] == "Dinner"
    box.run(forward=10 * 86400)
    box.alter(event, sensitivity="private")

    box.run(is_full=True)

    assert box.events_there() == [], box.events()


def test_c22_a_cancelled_meeting_that_is_kept_tells_nothing_once_it_turned_private(outlook):
    outlook.set(cancelled_events="keep", private_events="busy")
    event, copy = guest_meeting(outlook)
    outlook.alter(copy, sensitivity="private")
    outlook.throw_away(event)

    outlook.run()

    assert outlook.only()["Subject"] == "Private appointment", outlook.events()
    outlook.rest()


def test_c12_an_edit_of_a_private_event_keeps_it_from_going_with_its_record(outlook):
    outlook.set(event_removal="propagate", private_events="busy")
    event = outlook.enter("Dinner", sensitivity="private")
    outlook.run()
    outlook.alter(event, subject="Dinner with Bo")
    outlook.delete_event(outlook.only()["Id"])

    outlook.run()

    assert [(row["subject"], row["categories"]) for row in outlook.calendar()] == [("Dinner with Bo", [])], outlook.events()


def test_c22_what_was_typed_over_details_that_are_withheld_stands_in_the_journal(outlook):
    outlook.set(private_events="busy")
    event = outlook.enter("Dinner")
    outlook.run()
    outlook.edit_event(outlook.only()["Id"], Description="Typed in Salesforce")
    outlook.alter(event, sensitivity="private")

    outlook.run()

    assert outlook.only()["Description"] is None
    from reconciliation.models import Operation

    last = Operation.objects.filter(kind="update", object_type="Event").latest("pk")
    assert last.before["Description"] == "Typed in Salesforce" and "withheld" in last.reason


# --- colleagues -------------------------------------------------------------------------------------------------------------
def test_c26_an_edit_of_salesforce_keeps_no_meeting_from_being_handed_over(outlook):
    _, copy = guest_meeting(outlook)
    theirs = next(row["id"] for row in outlook.calendar(outlook.theirs))
    outlook.alter(theirs, categories=["Salesforce"])
    outlook.run(outlook.theirs)
    (id_,) = outlook.links()
    outlook.throw_away(copy)
    outlook.edit_event(id_, Description="Typed in Salesforce")

    for _ in range(3):
        outlook.run()
        outlook.run(outlook.theirs)

    assert list(outlook.links(outlook.theirs)) == [id_] and not outlook.links(), outlook.events()
    assert outlook.only()["Description"] == "Typed in Salesforce"


def test_c26_who_shares_an_occurrence_of_a_series_that_was_just_moved_makes_it_no_second_time(outlook):
    start = outlook.at()
    series = outlook.weekly("Weekly", start, times=3, attendees=[outlook.theirs])
    outlook.run()
    ids = set(outlook.links())
    outlook.alter(series, start=text(start + timedelta(hours=3)), end=text(start + timedelta(hours=4)))
    outlook.alter(outlook.copy_of(series, outlook.theirs), categories=["Salesforce"])

    held = outlook.run(outlook.theirs)
    assert (held.held, held.created) == (3, 0), outlook.events()
    for address in (outlook.mine, outlook.theirs):
        outlook.run(address)

    assert {row["Id"] for row in outlook.events_there()} == ids == set(outlook.links()) and not outlook.links(outlook.theirs)
    outlook.rest(outlook.mine, outlook.theirs)


def test_c26_an_occurrence_that_the_carrier_does_not_share_is_made_once_his_mailbox_was_looked_at(outlook):
    start = outlook.at()
    series = outlook.weekly("Weekly", start, times=3, attendees=[outlook.theirs])
    outlook.alter_occurrence(series, start, categories=[])
    outlook.run()
    assert len(outlook.links()) == 2
    outlook.alter_occurrence(outlook.copy_of(series, outlook.theirs), start, categories=["Salesforce"])

    for _ in range(2):
        outlook.run(outlook.theirs)
        outlook.run()
    outlook.run(outlook.theirs)

    assert len(outlook.events_there()) == 3 and len(outlook.links(outlook.theirs)) == 1, outlook.events()


# --- series that are moved --------------------------------------------------------------------------------------------------
@on_every_mail_system
def test_c23_a_series_is_followed_though_its_first_occurrence_left_the_days_looked_at(box):
    start = box.at(5)
    series = box.weekly("Weekly", start, times=3)
    box.run()
    ids = {row["Id"] for row in box.events_there()}
    earlier = start - timedelta(days=21)

    box.alter(series, start=text(earlier), end=text(earlier + timedelta(hours=1)))
    box.run()

    assert {row["Id"] for row in box.events_there()} == ids and len(box.links()) == 2, box.events()
    box.rest()


def test_c23_an_occurrence_that_was_deleted_does_not_turn_into_one_that_came_into_sight(box):
    start = box.at(3)
    series = box.weekly("Weekly", start, times=12)
    box.run()
    first = min(box.events_there(), key=lambda row: row["StartDateTime"])
    known = {row["Id"] for row in box.events_there()}
    if box.system == "google":
        box.alter_occurrence(series, start, status="cancelled")
    else:
        box.alter_occurrence(series, start, isCancelled=True)

    box.run(forward=8 * 86400)

    now = {row["Id"]: row["StartDateTime"] for row in box.events_there()}
    assert now.get(first["Id"], first["StartDateTime"]) == first["StartDateTime"], box.events()
    assert len(now.keys() - known) == 1


# --- what nobody answered ---------------------------------------------------------------------------------------------------
def test_a_deleted_event_is_not_taken_for_the_one_that_is_made_again(outlook):
    outlook.set(event_removal="restore")
    outlook.enter("Demo")
    outlook.run()
    first = outlook.only()["Id"]
    outlook.delete_event(first)
    outlook.run()
    fault = {"system": "salesforce", "kind": "status", "status": 503, "method": "POST", "path": "*", "times": 99}
    outlook.world.faults.add(fault)
    outlook.run()
    outlook.world.faults.clear()

    for _ in range(3):
        outlook.run()

    assert len(outlook.events_there()) == 1 and outlook.only()["Id"] != first, outlook.events()
    assert list(outlook.links()) == [outlook.only()["Id"]]
    outlook.rest()

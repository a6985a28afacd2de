"""Seed 004: calendars and Salesforce events in agreement (S4.3, S4.5, S4.13 to S4.18, S4.21 to S4.27, D12, C22 to C26)."""

from datetime import timedelta

import pytest

from tests.calendars import calendars

pytestmark = pytest.mark.django_db


@pytest.fixture(params=["microsoft", "google", "exchange"])
def box(request):
    return calendars(request.param)


@pytest.fixture
def outlook():
    return calendars("microsoft")


def test_s4_21_an_event_with_the_category_goes_up_once(box):
    box.enter("Demo at Acme", location="Room 2", body="Agenda")

    run = box.run()

    assert (run.state, run.created) == ("finished", 1), box.events()
    made = box.only()
    assert (made["Subject"], made["Location"], made["Description"]) == ("Demo at Acme", "Room 2", "Agenda")
    assert made["OwnerId"] == box.users[box.mine]
    box.rest()
    assert box.mails() == []


def test_s4_14_edits_go_across_both_ways(box):
    event = box.enter("Demo")
    box.run()
    box.alter(event, subject="Demo, moved", start=f"{box.at(2):%Y-%m-%dT%H:%M:%S}", end=f"{box.at(2, 12):%Y-%m-%dT%H:%M:%S}")
    box.run()
    assert box.only()["Subject"] == "Demo, moved" and box.only()["StartDateTime"].startswith(f"{box.at(2):%Y-%m-%dT%H}")

    box.edit_event(box.only()["Id"], Subject="From Salesforce")
    box.run()

    assert box.event_of(event)["subject"] == "From Salesforce", box.events()
    box.rest()


def test_an_event_of_salesforce_comes_down_to_its_owner(box):
    made = box.event("Visit", Location="Berlin")
    box.event("Another's", owner=box.theirs)

    box.run()

    rows = box.calendar()
    assert [row["subject"] for row in rows] == ["Visit"] and rows[0]["location"] == "Berlin", box.events()
    assert list(box.links()) == [made]
    box.rest()


def test_s4_1_what_nobody_marked_stays_unless_it_is_shared_by_itself(outlook):
    outlook.enter("Dentist", categories=[])
    assert outlook.run().created == 0 and "not_shared" in [reason for _, reason, _ in outlook.events()]

    outlook.set(share_events=True)
    outlook.enter("New one", categories=[])
    outlook.run()

    assert [row["Subject"] for row in outlook.events_there()] == ["New one"], outlook.events()
    outlook.rest()
    assert next(row for row in outlook.calendar() if row["subject"] == "New one")["categories"] == ["Salesforce"]


def test_the_category_taken_off_ends_the_sharing(outlook):
    event = outlook.enter("Demo")
    outlook.run()

    outlook.alter(event, categories=[])
    outlook.run()

    assert outlook.links() == {} and len(outlook.events_there()) == 1 and outlook.events()[0][1] == "taken_out"
    outlook.rest()
    outlook.alter(event, categories=["Salesforce"])
    outlook.run()
    assert len(outlook.links()) == 1 and len(outlook.events_there()) == 1, outlook.events()


def test_an_event_deleted_in_salesforce_stays_without_its_category(outlook):
    event = outlook.enter("Demo")
    outlook.run()

    outlook.delete_event(outlook.only()["Id"])
    outlook.run()

    assert outlook.event_of(event)["categories"] == [] and outlook.links() == {} and outlook.events_there() == []
    outlook.rest()
    outlook.alter(event, categories=["Salesforce"])
    outlook.run()
    assert len(outlook.events_there()) == 1


@pytest.mark.parametrize(("setting", "left"), [("unlink", 1), ("propagate", 0)])
def test_an_event_deleted_in_the_mailbox_goes_by_the_setting(box, setting, left):
    box.set(event_deletion=setting)
    event = box.enter("Demo")
    box.run()

    box.throw_away(event)
    box.run()

    assert len(box.events_there()) == left and box.links() == {}, box.events()
    box.rest()


@pytest.mark.parametrize(("setting", "left"), [("remove", 0), ("keep", 1)])
def test_s4_24_a_cancelled_meeting_goes_by_the_setting(box, setting, left):
    box.set(cancelled_events=setting)
    event = box.enter("Demo", attendees=["bo@acme.example"])
    box.run()
    assert len(box.events_there()) == 1
    before = len(box.mails())

    box.throw_away(event)
    box.run()

    assert len(box.events_there()) == left, box.events()
    assert len(box.mails()) - before == 1  # the one that the user's own act mailed
    box.rest()


def test_c22_a_private_event_is_not_shared_and_one_that_turns_private_is_withdrawn(box):
    box.enter("Doctor", sensitivity="private")
    event = box.enter("Demo")
    box.run()
    assert [row["Subject"] for row in box.events_there()] == ["Demo"]

    box.alter(event, sensitivity="private")
    box.run()

    assert box.events_there() == [], box.events()
    box.rest()
    box.alter(event, sensitivity="normal")
    box.run()
    assert [row["Subject"] for row in box.events_there()] == ["Demo"]


def test_c22_a_private_event_is_withdrawn_though_the_run_that_saw_it_was_broken_off(box):
    event = box.enter("Demo")
    box.run()
    box.alter(event, sensitivity="private")
    box.world.faults.add({"system": "salesforce", "kind": "status", "status": 503, "method": "DELETE", "times": 50})
    assert box.run().state == "interrupted" and len(box.events_there()) == 1

    box.world.faults.clear()
    box.run(forward=4000)

    assert box.events_there() == [], box.events()
    box.rest()


def test_c22_busy_only_shows_the_time_and_nothing_else(box):
    box.set(private_events="busy")
    event = box.enter("Interview at Rival", location="Rival", body="Salary", attendees=["hr@rival.example"])
    box.run()
    assert box.only()["Subject"] == "Interview at Rival"

    box.alter(event, sensitivity="private")
    box.edit_event(box.only()["Id"], Description="Typed in Salesforce", Location="Somewhere")
    box.run()

    made = box.only()
    assert (made["Subject"], made["Location"], made["Description"]) == ("Private appointment", None, None), box.events()
    assert box.event_of(event)["subject"] == "Interview at Rival" and box.event_of(event)["location"] == "Rival"
    box.rest()


def test_c23_each_occurrence_is_an_event_and_an_exception_is_known_again(box):
    start = box.at()
    series = box.weekly("Weekly", start, times=3)
    box.run()
    assert sorted(row["StartDateTime"][:10] for row in box.events_there()) == [f"{start + timedelta(weeks=n):%Y-%m-%d}" for n in range(3)]

    second = start + timedelta(weeks=1)
    box.alter_occurrence(
        series,
        second,
        subject="Moved",
        start=f"{second + timedelta(days=1):%Y-%m-%dT%H:%M:%S}",
        end=f"{second + timedelta(days=1, hours=1):%Y-%m-%dT%H:%M:%S}",
    )
    box.run()

    rows = sorted(box.events_there(), key=lambda row: row["StartDateTime"])
    assert len(rows) == 3 and [row["Subject"] for row in rows] == ["Weekly", "Moved", "Weekly"], box.events()
    box.rest()


def test_c23_a_series_that_is_moved_keeps_its_events(box):
    start = box.at()
    series = box.weekly("Weekly", start, times=3)
    box.run()
    ids = {row["Id"] for row in box.events_there()}

    later = start + timedelta(hours=2)
    box.alter(series, start=f"{later:%Y-%m-%dT%H:%M:%S}", end=f"{later + timedelta(hours=1):%Y-%m-%dT%H:%M:%S}")
    box.run()

    assert {row["Id"] for row in box.events_there()} == ids, box.events()
    assert {row["StartDateTime"][11:13] for row in box.events_there()} == {f"{later:%H}"}
    box.rest()


def test_c26_two_colleagues_in_one_meeting_make_one_event(outlook):
    event = outlook.enter("Together", attendees=[outlook.theirs])
    outlook.alter(outlook.copy_of(event, outlook.theirs), categories=["Salesforce"])
    outlook.run()
    outlook.run(outlook.theirs)

    assert len(outlook.events_there()) == 1, outlook.events()
    assert outlook.events()[0][1] == "colleague"
    outlook.rest(outlook.mine, outlook.theirs)
    outlook.alter(event, categories=[])
    outlook.run()
    outlook.run(outlook.theirs)
    assert len(outlook.events_there()) == 1 and len(outlook.links(outlook.theirs)) == 1 and not outlook.links(), outlook.events()


def test_d12_a_change_of_salesforce_to_a_meeting_with_guests_waits_for_a_person(outlook):
    event = outlook.enter("Demo", attendees=["bo@acme.example", "cy@acme.example"])
    outlook.run()
    before = outlook.mails()

    outlook.edit_event(outlook.only()["Id"], Subject="Typed in Salesforce", ShowAs="Free")
    outlook.run()

    assert outlook.event_of(event)["subject"] == "Demo" and outlook.event_of(event)["showAs"] == "free" and outlook.mails() == before
    assert outlook.item().held == ["subject"] and "2 people" in outlook.events()[0][2]
    outlook.rest()
    assert outlook.only()["Subject"] == "Typed in Salesforce"


def test_d12_where_the_server_can_be_silent_a_change_comes_down_and_nobody_is_mailed():
    box = calendars("google")
    event = box.enter("Demo", attendees=["bo@acme.example"])
    box.run()
    before = box.mails()

    box.edit_event(box.only()["Id"], Subject="Typed in Salesforce")
    box.run()

    assert box.event_of(event)["subject"] == "Typed in Salesforce" and box.mails() == before
    box.rest()


def test_all_day_events_are_days_on_both_sides(box):
    box.enter_days("Fair", box.at(), 2)
    box.run()

    made = box.only()
    assert made["IsAllDayEvent"] is True and made["ActivityDate"] == f"{box.at():%Y-%m-%d}", made
    box.rest()

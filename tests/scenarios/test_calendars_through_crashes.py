"""Calendars and Salesforce events through moves, losses and crashes: what a thousand histories of each mail system found (C21 to C26)."""

import json
from datetime import timedelta

import pytest
from django.contrib.auth import get_user_model

from reconciliation.engine import item_rows
from reconciliation.models import Mailbox, MailboxItem, Operation, SyncPass
from reconciliation.services.item_pages import events_found
from reconciliation.services.items import item_share
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


class Died(BaseException):
    """The process ends here."""


def died(*_given):
    raise Died


def admin():
    return get_user_model().objects.create_superuser("root", "root@example.test", "x")


def both_in(box, what, **values):
    """Makes an event, or a series, of the second mailbox's user that both share and the first one's mailbox carries. Returns its ids."""
    common = {"address": box.theirs, "attendees": [box.mine], "categories": ["Salesforce"], **values}
    event = box.weekly("Plan", times=2, **common) if what == "series" else box.enter("Plan", **common)
    copy = box.copy_of(event, box.mine)
    box.alter(copy, categories=["Salesforce"])
    box.run()
    box.run(box.theirs)
    assert len(box.links()) == len(box.events_there()) and not box.links(box.theirs)
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


def test_s4_24_c22_a_meeting_that_is_cancelled_and_turned_private_at_once_goes_at_once(outlook):
    outlook.set(cancelled_events="remove", private_events="busy")
    event, copy = guest_meeting(outlook)
    outlook.alter(copy, sensitivity="private")
    outlook.throw_away(event)

    outlook.run()

    assert outlook.events_there() == [], outlook.events()


def test_c22_details_are_withheld_though_the_category_is_taken_off_at_once(outlook):
    outlook.set(private_events="busy")
    event = outlook.enter("Dinner")
    outlook.run()
    outlook.alter(event, sensitivity="private", categories=[])

    outlook.run()

    assert outlook.only()["Subject"] == "Private appointment" and not outlook.links(), outlook.events()
    assert outlook.item().reason == "taken_out"
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


def test_c26_who_shares_an_occurrence_by_a_click_is_told_that_it_waits_and_has_it_then(box):
    box.set(share_events=False)
    start, who = box.at(), admin()
    series = box.weekly("Weekly", start, times=3, attendees=[box.theirs], categories=[])
    if box.system == "google":
        box.alter(box.copy_of(series, box.theirs), responseStatus="accepted")
    box.run()
    box.run(box.theirs)
    mine, theirs = (Mailbox.objects.get(address=address) for address in (box.mine, box.theirs))
    day = (start + timedelta(days=7)).date()
    first, second = events_found(mine, who, "", start.date(), start.date(), box.wiring), events_found(theirs, who, "", day, day, box.wiring)
    item_share(mine, first[0].id, who, wiring=box.wiring)

    said = item_share(theirs, second[0].id, who, wiring=box.wiring).sentence
    box.run()
    box.run(box.theirs)

    assert "is looked at first" in said and "by itself then" in said
    assert len(box.events_there()) == 2 and len(box.links(box.theirs)) == 1, box.events()
    assert box.item(box.theirs).share_asked_at is None


@pytest.mark.parametrize("is_preview", [True, False])
def test_c26_a_run_that_reads_no_list_of_changes_is_no_look_at_a_series(outlook, is_preview):
    start = outlook.at()
    series = outlook.weekly("Weekly", start, times=3, attendees=[outlook.theirs])
    other = outlook.enter("Other", outlook.at(2), categories=[])
    outlook.run()
    ids = set(outlook.links())
    outlook.alter(series, start=text(start + timedelta(hours=3)), end=text(start + timedelta(hours=4)))
    outlook.alter(outlook.copy_of(series, outlook.theirs), categories=["Salesforce"])
    outlook.run(outlook.theirs)
    if is_preview:
        outlook.run(kind="preview")
    else:
        outlook.clock.forward(60)
        item_share(Mailbox.objects.get(address=outlook.mine), outlook.event_of(other)["immutableId"], admin(), wiring=outlook.wiring)

    for address in (outlook.theirs, outlook.mine, outlook.theirs):
        outlook.run(address)

    assert {row["Id"] for row in outlook.events_there() if row["Subject"] == "Weekly"} == ids, outlook.events()


def test_c26_a_mailbox_whose_runs_come_to_no_end_keeps_nobody_waiting_for_ever(outlook):
    start = outlook.at()
    series = outlook.weekly("Weekly", start, times=3, attendees=[outlook.theirs])
    outlook.run()
    outlook.alter(series, start=text(start + timedelta(hours=3)), end=text(start + timedelta(hours=4)))
    outlook.alter(outlook.copy_of(series, outlook.theirs), categories=["Salesforce"])
    Mailbox.objects.filter(address=outlook.mine).update(crm_user_id="")
    outlook.passes[outlook.mine].refresh_from_db()

    for _ in range(8):
        outlook.run(outlook.theirs, forward=6 * 3600)
        outlook.run(forward=6 * 3600)

    assert len(outlook.links(outlook.theirs)) == 3, outlook.events()


@pytest.mark.parametrize("is_whole", [True, False])
def test_s4_24_a_series_that_its_organiser_calls_off_goes_though_a_guest_carries_it(outlook, is_whole):
    start = outlook.at()
    series = outlook.weekly("Weekly", start, times=2, attendees=[outlook.theirs])
    outlook.alter(outlook.copy_of(series, outlook.theirs), categories=["Salesforce"])
    outlook.run(outlook.theirs)
    outlook.run()
    assert len(outlook.links(outlook.theirs)) == 2 and not outlook.links()
    if is_whole:
        outlook.throw_away(series)
    else:
        outlook.alter_occurrence(series, start, isCancelled=True)

    for _ in range(3):
        outlook.run(outlook.theirs)
        outlook.run()

    assert len(outlook.events_there()) == (0 if is_whole else 1), outlook.events()


@pytest.mark.parametrize("what", ["single", "series"])
@pytest.mark.parametrize("times", [1, 2])
def test_c26_what_a_guest_deletes_is_carried_on_however_often_he_runs_first(outlook, what, times):
    _, copy = both_in(outlook, what)
    ids = set(outlook.links())
    outlook.throw_away(copy)

    for _ in range(times):
        outlook.run()
    for _ in range(3):
        outlook.run(outlook.theirs)
        outlook.run()

    assert set(outlook.links(outlook.theirs)) == ids and not outlook.links(), outlook.events()


@pytest.mark.parametrize("what", ["single", "series"])
@pytest.mark.parametrize("where", ["keep", "hand_over"])
def test_c26_what_a_guest_deletes_is_carried_on_though_his_process_died(outlook, monkeypatch, what, where):
    _, copy = both_in(outlook, what)
    ids = set(outlook.links())
    outlook.throw_away(copy)
    outlook.run()
    outlook.run(outlook.theirs)
    with monkeypatch.context() as broken, pytest.raises(Died):
        broken.setattr(item_rows, where, died if where == "keep" else lambda context, occasions: died() if occasions else None)
        outlook.run()

    outlook.run(forward=4000)
    for _ in range(3):
        outlook.run(outlook.theirs)
        outlook.run()

    assert set(outlook.links(outlook.theirs)) == ids and not outlook.links(), outlook.events()


def test_c26_an_event_whose_link_ended_with_a_process_carries_nothing(box, monkeypatch):
    event = box.enter("Plan", address=box.theirs, attendees=[box.mine], categories=[])
    copy = box.copy_of(event, box.mine)
    box.alter(copy, **({"categories": ["Salesforce"]} if box.system != "google" else {"responseStatus": "accepted"}))
    box.run()
    assert len(box.links()) == 1
    box.throw_away(copy)
    with monkeypatch.context() as broken, pytest.raises(Died):
        broken.setattr(item_rows, "keep", died)
        box.run()

    box.run(forward=4000)
    if box.system != "google":
        box.alter(event, categories=["Salesforce"])
    for _ in range(2):
        box.run(box.theirs)
        box.run()

    assert not MailboxItem.objects.filter(sync_pass=box.passes[box.mine], state="linked").exists()
    assert len(box.links(box.theirs)) == 1, box.events()


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


@on_every_mail_system
def test_c23_a_date_that_is_called_off_is_no_other_one_of_a_series_that_goes_on_longer(box):
    start = box.at()
    series = box.weekly("Weekly", start, times=3)
    box.run()
    first = min(box.events_there(), key=lambda row: row["StartDateTime"])
    if box.system == "google":
        box.alter(series, recurrence=["RRULE:FREQ=WEEKLY;COUNT=6"])
        box.alter_occurrence(series, start, status="cancelled")
    else:
        pattern = {"type": "weekly", "interval": 1, "daysOfWeek": [f"{start:%A}".lower()]}
        whole = {"type": "numbered", "startDate": f"{start:%Y-%m-%d}", "numberOfOccurrences": 6}
        box.alter(series, recurrence=json.dumps({"pattern": pattern, "range": whole}))
        box.alter_occurrence(series, start, isCancelled=True)

    box.run()

    now = {row["Id"]: row["StartDateTime"] for row in box.events_there()}
    assert now.get(first["Id"], first["StartDateTime"]) == first["StartDateTime"], box.events()


def test_what_was_edited_while_events_were_not_shared_passes_the_brakes(outlook):
    brakes = {"blanking_count": 2, "deletion_count": 100}
    SyncPass.objects.filter(pk=outlook.parent.pk).update(settings={**outlook.parent.settings, "brakes": brakes})
    outlook.parent.refresh_from_db()
    events = [outlook.enter(f"Visit {i}", outlook.at(1 + i), location="Room 1") for i in range(6)]
    outlook.run()
    for event in events:
        outlook.alter(event, categories=[])
    outlook.run()
    for event in events:
        outlook.alter(event, location="", categories=["Salesforce"])

    for _ in range(2):
        outlook.run()

    assert [row["Location"] for row in outlook.events_there()] == ["Room 1"] * 6, outlook.events()


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


def test_d13_what_was_shared_by_a_click_and_not_answered_is_known_as_that():
    box = calendars("google")
    box.set(share_events=False)
    event = box.event_of(box.enter("Demo"))["eventId"]
    box.run()
    box.world.faults.add({"system": "salesforce", "kind": "lost_answer", "method": "PATCH", "path": "*", "times": 1})
    with pytest.raises(Exception, match="No answer|broke off|not known"):
        item_share(Mailbox.objects.get(address=box.mine), event, admin(), wiring=box.wiring)
    box.world.faults.clear()

    for _ in range(2):
        box.run()

    assert (box.item().why, box.item().state) == ("person", "linked") and len(box.events_there()) == 1, box.events()

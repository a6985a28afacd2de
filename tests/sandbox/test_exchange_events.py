"""The played Exchange: events, series and meetings, through exchangelib."""

from __future__ import annotations

import datetime as dt
import json

import pytest
from exchangelib import UTC, CalendarItem, EWSDate, EWSDateTime, EWSTimeZone, ExtendedProperty
from exchangelib.errors import (
    ErrorCalendarOccurrenceIndexIsOutOfRecurrenceRange,
    ErrorCalendarOccurrenceIsDeletedFromRecurrence,
    ErrorIrresolvableConflict,
    ErrorItemNotFound,
    ErrorOccurrenceCrossingBoundary,
)
from exchangelib.fields import MONDAY, TUESDAY, WEEKDAY_NAMES
from exchangelib.recurrence import (
    AbsoluteMonthlyPattern,
    AbsoluteYearlyPattern,
    DailyPattern,
    Recurrence,
    RelativeMonthlyPattern,
    RelativeYearlyPattern,
    WeeklyPattern,
)

from tests.sandbox.exchange_box import EMMA, ERIK, OURS

BERLIN = EWSTimeZone("Europe/Berlin")
NOBODY, ALL = "SendToNone", "SendToAllAndSaveCopy"
OUTSIDE = "guest@elsewhere.example"


@pytest.fixture
def emma(exchange):
    return exchange.account(zone="Europe/Berlin")


@pytest.fixture
def erik(exchange):
    return exchange.account(ERIK)


def at(month, day, hour, minute=0, zone=BERLIN):
    return EWSDateTime(2026, month, day, hour, minute, tzinfo=zone)


def event(account, *, start=None, hours=1.0, sends=NOBODY, **values):
    start = start or at(12, 1, 10)
    values = {"subject": "Review", "end": start + dt.timedelta(hours=hours), **values}
    return CalendarItem(account=account, folder=account.calendar, start=start, **values).save(send_meeting_invitations=sends)


def tuesdays(account, *, first=20, number=6, **values):
    """A series on Tuesdays at nine, over the end of summer time."""
    pattern = WeeklyPattern(interval=1, weekdays=[TUESDAY])
    recurrence = Recurrence(pattern=pattern, start=EWSDate(2026, 10, first), number=number)
    return event(account, start=at(10, first, 9), hours=0.5, recurrence=recurrence, **values)


def view(account, first=(10, 1), last=(12, 31)):
    """Returns what takes place in a time, as (start, subject, kind)."""
    found = account.calendar.view(start=EWSDateTime(2026, *first, tzinfo=UTC), end=EWSDateTime(2026, *last, tzinfo=UTC))
    return [(f"{each.start.astimezone(BERLIN):%m-%d %H:%M}", each.subject, each.type) for each in found]


def synced(folder):
    return [(what, getattr(item, "id", item)) for what, item in folder.sync_items()]


# --- single events ----------------------------------------------------------------------------------------------------------
def test_an_event_reads_as_it_was_written(emma):
    values = {"location": "Room 1", "body": "Agenda", "categories": ["Salesforce"], "sensitivity": "Private", "importance": "High"}
    made = event(emma, legacy_free_busy_status="OOF", reminder_is_set=True, reminder_minutes_before_start=5, **values)

    read = emma.calendar.get(id=made.id)

    assert {name: getattr(read, name) for name in values} == values
    assert (read.start, read.end, read._start_timezone) == (at(12, 1, 10), at(12, 1, 11), BERLIN)
    assert (read.type, read.is_meeting, read.is_cancelled, read.is_recurring) == ("Single", False, False, False)
    assert (read.legacy_free_busy_status, read.reminder_is_set, read.reminder_minutes_before_start) == ("OOF", True, 5)
    assert (read.my_response_type, read.organizer.email_address, read.duration) == ("Organizer", EMMA, "PT1H0M")
    assert len(read.uid) == 112 and read.uid == emma.calendar.get(id=made.id).uid


def test_whole_days_are_days_of_their_zone(emma):
    made = event(emma, start=EWSDate(2026, 12, 3), end=EWSDate(2026, 12, 4), is_all_day=True)

    read = emma.calendar.get(id=made.id)

    assert (read.start, read.end, read.is_all_day) == (EWSDate(2026, 12, 3), EWSDate(2026, 12, 4), True)
    last = emma.calendar.view(start=at(12, 4, 23), end=at(12, 6, 0))
    assert [(each.start, each.end) for each in last] == [(EWSDate(2026, 12, 3), EWSDate(2026, 12, 4))]
    assert list(emma.calendar.view(start=at(12, 5, 0), end=at(12, 6, 0))) == []


def test_a_time_within_a_whole_day_is_pushed_to_its_midnights(exchange, emma):
    times = "<t:Start>2026-12-03T10:00:00Z</t:Start><t:End>2026-12-03T11:00:00Z</t:End><t:IsAllDayEvent>true</t:IsAllDayEvent>"
    item = f'<t:CalendarItem><t:Subject>Fair</t:Subject>{times}<t:StartTimeZone Id="W. Europe Standard Time"/></t:CalendarItem>'

    assert exchange.code(f'<m:CreateItem SendMeetingInvitations="SendToNone"><m:Items>{item}</m:Items></m:CreateItem>') == "NoError"

    row = exchange.control("GET", "/records/exchange/event")["records"][0]
    assert (row["start"], row["end"], row["isAllDay"], row["timeZone"]) == ("2026-12-03", "2026-12-04", True, "W. Europe Standard Time")


def test_a_change_of_times_keeps_the_rest(emma):
    made = event(emma, location="Room 1")
    made.start, made.end = at(12, 2, 15), at(12, 2, 16)

    made.save(update_fields=["start", "end"])

    read = emma.calendar.get(id=made.id)
    assert (read.start, read.end, read.location, read.uid) == (at(12, 2, 15), at(12, 2, 16), "Room 1", emma.calendar.get(id=made.id).uid)


def test_an_end_before_the_start_is_refused_and_nothing_changes(exchange, emma):
    made = event(emma)
    change = f'<t:ItemId Id="{made.id}" ChangeKey="{made.changekey}"/><t:Updates><t:SetItemField><t:FieldURI FieldURI="calendar:End"/>'
    change += "<t:CalendarItem><t:End>2026-11-01T00:00:00Z</t:End></t:CalendarItem></t:SetItemField></t:Updates>"
    attributes = 'ConflictResolution="NeverOverwrite" SendMeetingInvitationsOrCancellations="SendToNone"'
    operation = f"<m:UpdateItem {attributes}><m:ItemChanges><t:ItemChange>{change}</t:ItemChange></m:ItemChanges></m:UpdateItem>"

    assert exchange.code(operation) == "ErrorCalendarEndDateIsEarlierThanStartDate"
    assert emma.calendar.get(id=made.id).changekey == made.changekey


def test_a_change_key_that_is_stale_is_refused(emma):
    mine = event(emma)
    theirs = emma.calendar.get(id=mine.id)
    theirs.subject = "Theirs"
    theirs.save(update_fields=["subject"])

    with pytest.raises(ErrorIrresolvableConflict):
        mine.save(update_fields=["subject"], conflict_resolution="NeverOverwrite")


def test_the_uid_of_a_client_is_kept_and_found_as_bytes(emma):
    class GlobalObjectId(ExtendedProperty):
        distinguished_property_set_id = "Meeting"
        property_id = 3
        property_type = "Binary"

    CalendarItem.register("global_object_id", GlobalObjectId)
    try:
        own = event(emma)
        theirs = event(emma, uid="abc123@google.com")
        raw = bytes.fromhex(emma.calendar.get(id=own.id).uid)

        assert emma.calendar.get(id=theirs.id).uid == "abc123@google.com"
        assert emma.calendar.get(global_object_id=raw).id == own.id
        assert b"abc123@google.com" in emma.calendar.get(id=theirs.id).global_object_id
    finally:
        CalendarItem.deregister("global_object_id")


# --- series -----------------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("pattern", "days"),
    [
        (DailyPattern(interval=10), ["10-20", "10-30", "11-09"]),
        (WeeklyPattern(interval=2, weekdays=[TUESDAY], first_day_of_week=MONDAY), ["10-20", "11-03", "11-17"]),
        (AbsoluteMonthlyPattern(interval=1, day_of_month=31), ["10-31", "11-30", "12-31"]),
        (RelativeMonthlyPattern(interval=1, weekday="Weekday", week_number="Last"), ["10-30", "11-30", "12-31"]),
        (RelativeMonthlyPattern(interval=1, weekday=WEEKDAY_NAMES[3], week_number="First"), ["11-05", "12-03", "01-07"]),
        (AbsoluteYearlyPattern(day_of_month=24, month=12), ["12-24", "12-24", "12-24"]),
        (RelativeYearlyPattern(weekday=TUESDAY, week_number="Third", month=11), ["11-17", "11-16", "11-21"]),
    ],
)
def test_every_pattern_reads_back_and_takes_place_on_its_days(emma, pattern, days):
    made = event(emma, start=at(10, 20, 9), recurrence=Recurrence(pattern=pattern, start=EWSDate(2026, 10, 20), number=3))

    master = emma.calendar.get(id=made.id)
    starts = []
    for index in (1, 2, 3):
        occurrence = master.occurrence(index)
        occurrence.refresh()
        starts.append(occurrence.start.astimezone(BERLIN))

    assert (master.type, master.recurrence.pattern, master.recurrence.boundary.number) == ("RecurringMaster", pattern, 3)
    assert [f"{start:%m-%d}" for start in starts] == days and {start.hour for start in starts} == {9}
    assert (master.first_occurrence.start, master.last_occurrence.start) == (starts[0], starts[2])


def test_a_series_without_end_and_one_to_a_day(emma):
    weekly = WeeklyPattern(interval=1, weekdays=[TUESDAY])
    endless = event(emma, start=at(10, 20, 9), recurrence=Recurrence(pattern=weekly, start=EWSDate(2026, 10, 20)))
    ended = event(emma, start=at(10, 20, 12), recurrence=Recurrence(pattern=weekly, start=EWSDate(2026, 10, 20), end=EWSDate(2026, 11, 2)))

    assert emma.calendar.get(id=endless.id).last_occurrence is None
    assert emma.calendar.get(id=ended.id).last_occurrence.start == at(10, 27, 12)
    assert emma.calendar.get(id=ended.id).recurrence.boundary.end == EWSDate(2026, 11, 2)


def test_a_meeting_at_nine_stays_at_nine_when_the_clocks_change(emma):
    tuesdays(emma, number=3)

    assert view(emma) == [("10-20 09:00", "Review", "Occurrence"), ("10-27 09:00", "Review", "Occurrence"),
                          ("11-03 09:00", "Review", "Occurrence")]  # fmt: skip


def test_an_occurrence_that_moved_is_an_exception_of_the_series(emma):
    master = tuesdays(emma)
    occurrence = master.occurrence(2)
    occurrence.refresh()
    occurrence.start, occurrence.end, occurrence.subject = at(10, 28, 14), at(10, 28, 15), "Moved"

    occurrence.save(update_fields=["start", "end", "subject"])

    read = emma.calendar.get(id=master.id)
    told = read.modified_occurrences[0]
    assert (told.start, told.original_start, told.id) == (at(10, 28, 14), at(10, 27, 9), occurrence.id)
    again = emma.calendar.get(id=occurrence.id)
    assert (again.type, again.subject, again.uid, again.recurrence_id) == ("Exception", "Moved", read.uid, at(10, 27, 9))
    assert ("10-28 14:00", "Moved", "Exception") in view(emma) and len(view(emma)) == 6
    assert read.subject == "Review"
    back = again.recurring_master()
    back.refresh()
    assert back.id == master.id


def test_a_deleted_occurrence_is_gone_and_its_number_stays_taken(emma):
    master = tuesdays(emma)
    occurrence = master.occurrence(3)
    occurrence.refresh()
    id_ = occurrence.id
    occurrence.delete()

    assert [each.start for each in emma.calendar.get(id=master.id).deleted_occurrences] == [at(11, 3, 9)]
    assert "11-03 09:00" not in [start for start, _, _ in view(emma)] and len(view(emma)) == 5
    with pytest.raises(ErrorItemNotFound):
        emma.calendar.get(id=id_)
    with pytest.raises(ErrorCalendarOccurrenceIsDeletedFromRecurrence):
        master.occurrence(3).refresh()
    with pytest.raises(ErrorCalendarOccurrenceIndexIsOutOfRecurrenceRange):
        master.occurrence(7).refresh()
    fourth = master.occurrence(4)
    fourth.refresh()
    assert fourth.start == at(11, 10, 9)


def test_an_occurrence_cannot_pass_its_neighbour(emma):
    occurrence = tuesdays(emma).occurrence(2)
    occurrence.refresh()
    occurrence.start, occurrence.end = at(11, 5, 9), at(11, 5, 10)

    with pytest.raises(ErrorOccurrenceCrossingBoundary):
        occurrence.save(update_fields=["start", "end"])


def test_a_series_at_other_times_has_no_exceptions_any_more(emma):
    master = tuesdays(emma)
    occurrence = master.occurrence(2)
    occurrence.refresh()
    occurrence.subject = "Other"
    occurrence.save(update_fields=["subject"])
    master.refresh()
    master.location = "Room 2"
    master.save(update_fields=["location"])
    kept = emma.calendar.get(id=master.id)
    assert len(kept.modified_occurrences) == 1

    kept.start, kept.end = at(10, 20, 11), at(10, 20, 12)
    kept.save(update_fields=["start", "end"])

    assert emma.calendar.get(id=master.id).modified_occurrences is None
    assert {start[6:] for start, _, _ in view(emma)} == {"11:00"}


def test_a_sync_tells_masters_and_singles_and_an_exception_as_a_change_of_its_master(emma):
    single, master = event(emma), tuesdays(emma)
    assert synced(emma.calendar) == [("create", single.id), ("create", master.id)]
    occurrence = master.occurrence(2)
    occurrence.refresh()
    occurrence.subject = "Other"
    occurrence.save(update_fields=["subject"])

    assert synced(emma.calendar) == [("update", master.id)]
    assert sorted(each.type for each in emma.calendar.all()) == ["RecurringMaster", "Single"]


def test_a_view_is_bounded_and_of_calendars_only(exchange, emma):
    tuesdays(emma)
    exchange.switch(find_count_limit=5)
    view_of = '<m:CalendarView StartDate="2026-10-01T00:00:00Z" EndDate="{}"{}/>'
    shape = "<m:ItemShape><t:BaseShape>IdOnly</t:BaseShape></m:ItemShape>"

    def found(folder, end, more=""):
        parents = f'<m:ParentFolderIds><t:DistinguishedFolderId Id="{folder}"/></m:ParentFolderIds>'
        return exchange.code(f'<m:FindItem Traversal="Shallow">{shape}{view_of.format(end, more)}{parents}</m:FindItem>')

    assert found("calendar", "2026-12-31T00:00:00Z", ' MaxEntriesReturned="3"') == "NoError"
    assert found("calendar", "2026-12-31T00:00:00Z") == "ErrorExceededFindCountLimit"
    assert found("calendar", "2029-12-31T00:00:00Z") == "ErrorCalendarViewRangeTooBig"
    assert found("contacts", "2026-12-31T00:00:00Z") == "ErrorCalendarFolderIsInvalidForCalendarView"


# --- meetings ---------------------------------------------------------------------------------------------------------------
def test_with_send_to_none_nobody_is_mailed_and_no_copy_is_made(exchange, emma, erik):
    meeting = event(emma, required_attendees=[ERIK, OUTSIDE])
    meeting.subject, meeting.start, meeting.end = "Renamed", at(12, 2, 10), at(12, 2, 11)
    meeting.save(update_fields=["subject", "start", "end"])
    read = emma.calendar.get(id=meeting.id)
    assert (read.is_meeting, read.meeting_request_was_sent) == (True, False)
    assert [each.mailbox.email_address for each in read.required_attendees] == [ERIK, OUTSIDE]
    read.delete()

    assert exchange.mails() == [] and erik.calendar.all().count() == 0


def test_who_is_invited_gets_a_copy_of_the_same_uid_and_changes_follow(exchange, emma, erik):
    meeting = event(emma, required_attendees=[ERIK], optional_attendees=[OUTSIDE], categories=["Salesforce"], sends=ALL)
    copy = erik.calendar.all()[0]
    assert exchange.mails() == [("invitation", [ERIK, OUTSIDE], "Review")]
    assert (copy.uid, copy.my_response_type, copy.organizer.email_address) == (
        emma.calendar.get(id=meeting.id).uid,
        "NoResponseReceived",
        EMMA,
    )
    assert copy.categories is None and copy.legacy_free_busy_status == "Tentative"

    copy.accept()
    assert [each.response_type for each in emma.calendar.get(id=meeting.id).required_attendees] == ["Accept"]
    assert erik.calendar.all()[0].my_response_type == "Accept"
    meeting.refresh()
    meeting.location = "Room 2"
    meeting.save(update_fields=["location"], send_meeting_invitations=ALL)
    assert (erik.calendar.all()[0].location, erik.calendar.all()[0].my_response_type) == ("Room 2", "Accept")
    meeting.start, meeting.end = at(12, 3, 10), at(12, 3, 11)
    meeting.save(update_fields=["start", "end"], send_meeting_invitations=ALL)
    assert (erik.calendar.all()[0].start, erik.calendar.all()[0].my_response_type) == (at(12, 3, 10), "NoResponseReceived")

    kinds = [kind for kind, _, _ in exchange.mails()]
    assert kinds == ["invitation", "response", "update", "update"]


def test_only_who_is_new_is_mailed_where_the_call_says_changed(exchange, emma):
    meeting = event(emma, required_attendees=[ERIK], sends=ALL)
    meeting.refresh()
    meeting.required_attendees = [*meeting.required_attendees, OUTSIDE]

    meeting.save(update_fields=["required_attendees"], send_meeting_invitations="SendToChangedAndSaveCopy")

    assert exchange.mails()[1:] == [("invitation", [OUTSIDE], "Review")]


def test_who_is_no_longer_meant_and_who_is_cancelled_learn_it(exchange, emma, erik):
    first, second = (
        event(emma, subject="One", required_attendees=[ERIK], sends=ALL),
        event(emma, subject="Two", required_attendees=[ERIK], sends=ALL),
    )
    first.refresh()
    first.required_attendees = None
    first.save(update_fields=["required_attendees"], send_meeting_invitations=ALL)
    second.delete(send_meeting_cancellations=ALL)

    copies = erik.calendar.all()
    assert [(each.subject, each.is_cancelled, each.legacy_free_busy_status) for each in copies] == [
        ("Canceled: One", True, "Free"), ("Canceled: Two", True, "Free")]  # fmt: skip
    assert [mail for mail in exchange.mails() if mail[0] == "cancellation"] == [
        ("cancellation", [ERIK], "Canceled: One"), ("cancellation", [ERIK], "Canceled: Two")]  # fmt: skip


def test_who_declines_has_the_meeting_no_longer_unless_the_switch_keeps_it(exchange, emma, erik):
    event(emma, required_attendees=[ERIK], sends=ALL)
    erik.calendar.all()[0].decline()
    assert erik.calendar.all().count() == 0
    exchange.switch(keeps_declined=True)
    event(emma, required_attendees=[ERIK], sends=ALL)
    erik.calendar.all()[0].decline()

    assert [each.my_response_type for each in erik.calendar.all()] == ["Decline"]
    assert [kind for kind, _, _ in exchange.mails()] == ["invitation", "response", "invitation", "response"]


def test_a_series_and_its_exceptions_reach_the_copy(emma, erik):
    master = tuesdays(emma, required_attendees=[ERIK], sends=ALL)
    occurrence = master.occurrence(2)
    occurrence.refresh()
    occurrence.location = "Room 9"
    occurrence.save(update_fields=["location"], send_meeting_invitations=ALL)
    third = master.occurrence(3)
    third.refresh()
    third.delete(send_meeting_cancellations=ALL)

    copy = erik.calendar.all()[0]
    second = copy.occurrence(2)
    second.refresh()
    assert (copy.type, second.location, copy.location) == ("RecurringMaster", "Room 9", None)
    cancelled = copy.occurrence(3)
    cancelled.refresh()
    assert cancelled.is_cancelled and not copy.is_cancelled


# --- what people do ---------------------------------------------------------------------------------------------------------
def test_events_by_hand_are_those_that_the_client_reads(exchange, emma):
    range_ = {"type": "numbered", "startDate": "2026-10-20", "numberOfOccurrences": 3}
    pattern = json.dumps({"pattern": {"type": "weekly", "interval": 1, "daysOfWeek": ["tuesday"]}, "range": range_})
    row = exchange.by_hand("event", subject="Hand", start="2026-10-20T09:00", end="2026-10-20T10:00", timeZone="Europe/Berlin",
                           recurrence=pattern, categories=["A"], extendedProperties={OURS: "7"})  # fmt: skip
    assert (row["kind"], row["start"], row["timeZone"]) == ("RecurringMaster", "2026-10-20T09:00:00", "W. Europe Standard Time")

    path = f"/records/exchange/event/{row['id'].replace('/', '%2F').replace('+', '%2B')}"
    exchange.control("PATCH", path, {"occurrence": "2026-10-27", "start": "2026-10-27T11:00", "end": "2026-10-27T12:00"})
    exchange.control("PATCH", path, {"occurrence": "2026-11-03", "isGone": True})
    shown = exchange.control("PATCH", path, {"subject": "Renamed"})

    assert [each["occurrence"] for each in shown["exceptions"]] == ["2026-10-27"] and shown["goneOccurrences"] == ["2026-11-03"]
    assert view(emma) == [("10-20 09:00", "Renamed", "Occurrence"), ("10-27 11:00", "Renamed", "Exception")]
    assert exchange.control("PATCH", path, shown)["changeKey"] != shown["changeKey"]  # a row that was read can be sent back
    assert len(view(emma)) == 2


def test_an_invitation_from_outside_is_answered_and_cancelled_by_hand(exchange, emma):
    row = exchange.by_hand("event", subject="Theirs", start="2026-12-01T09:00", end="2026-12-01T10:00", attendees=[EMMA], organizer=OUTSIDE)
    read = emma.calendar.get(id=row["id"])
    assert (read.my_response_type, read.organizer.email_address, row["isOrganizer"]) == ("NoResponseReceived", OUTSIDE, False)

    path = f"/records/exchange/event/{read.id.replace('/', '%2F').replace('+', '%2B')}"
    exchange.control("PATCH", path, {"response": "Tentative"})
    assert exchange.mails() == [("response", [OUTSIDE], "Tentative: Theirs")]
    exchange.control("PATCH", path, {"isCancelled": True})

    read.refresh()
    assert (read.is_cancelled, read.subject, read.my_response_type) == (True, "Canceled: Theirs", "Tentative")

"""Events of the played Salesforce: when they take place, their invited users, and series."""

from datetime import date

import pytest

from connectors.sandbox.salesforce import recurrence
from connectors.sandbox.world import World
from tests.sandbox.force import refusal, refused

DAY = 1440
AT_TEN = {"StartDateTime": "2026-11-03T10:00:00Z", "DurationInMinutes": 60}


def people(force):
    """Returns the ids of the users whose mailboxes are played, who are none of ours."""
    return [user["Id"] for user in force.system.list_records("User") if user["FirstName"] in ("Priya", "Tom", "Aisha")]


# --- when ---------------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("given", "end", "minutes"),
    [
        ({"ActivityDate": "2026-11-03"}, "2026-11-03", DAY),
        ({"StartDateTime": "2026-11-03T00:00:00Z", "EndDateTime": "2026-11-05T00:00:00Z"}, "2026-11-05", 3 * DAY),
        ({"ActivityDate": "2026-11-03", "DurationInMinutes": 2 * DAY}, "2026-11-04", 2 * DAY),
        ({"ActivityDate": "2026-11-03", "EndDateTime": "2026-11-04T00:00:00Z", "DurationInMinutes": 2 * DAY}, "2026-11-04", 2 * DAY),
        ({"ActivityDateTime": "2026-11-03T15:30:00Z"}, "2026-11-03", DAY),
        ({"ActivityDate": "2026-11-03", "DurationInMinutes": 14 * DAY}, "2026-11-16", 14 * DAY),
    ],
)
def test_whole_days_stand_at_midnight_utc_and_end_on_their_last_day(force, given, end, minutes):
    row = force.row("Event", force.create("Event", IsAllDayEvent=True, **given))

    assert row["StartDateTime"] == row["ActivityDateTime"] == "2026-11-03T00:00:00.000+0000"
    assert (row["EndDateTime"], row["DurationInMinutes"]) == (f"{end}T00:00:00.000+0000", minutes)


def test_the_end_of_whole_days_may_be_the_day_behind(force):
    force.switch(all_day_end="exclusive")
    row = force.row("Event", force.create("Event", IsAllDayEvent=True, ActivityDate="2026-11-03"))
    assert (row["EndDateTime"][:10], row["DurationInMinutes"]) == ("2026-11-04", DAY)


@pytest.mark.parametrize(
    ("given", "code"),
    [
        ({"EndDateTime": "2026-11-04T00:00:00Z", "DurationInMinutes": DAY}, "FIELD_INTEGRITY_EXCEPTION"),
        ({"EndDateTime": "2026-11-02T00:00:00Z"}, "NUMBER_OUTSIDE_VALID_RANGE"),
        ({"EndDateTime": "2026-11-17T00:00:00Z"}, "NUMBER_OUTSIDE_VALID_RANGE"),
        ({"ShowAs": "Tentative"}, "INVALID_OR_NULL_FOR_RESTRICTED_PICKLIST"),
    ],
)
def test_whole_days_that_cannot_be(force, given, code):
    answer = force.call("POST", "/sobjects/Event", json={"IsAllDayEvent": True, "ActivityDate": "2026-11-03", **given})
    assert refusal(answer) == (400, code)


def test_an_event_becomes_one_of_a_whole_day_and_back(force):
    id_ = force.create("Event", **AT_TEN)

    force.change("Event", id_, IsAllDayEvent=True)
    assert [force.row("Event", id_)[n] for n in ("StartDateTime", "DurationInMinutes")] == ["2026-11-03T00:00:00.000+0000", DAY]
    force.change("Event", id_, IsAllDayEvent=False, **AT_TEN)
    assert force.row("Event", id_)["EndDateTime"] == "2026-11-03T11:00:00.000+0000"


def test_reminders_and_privacy_are_kept_as_they_are_written(force):
    given = {"IsReminderSet": True, "ReminderDateTime": "2026-11-03T09:45:00Z", "IsPrivate": True, "ShowAs": "OutOfOffice"}
    row = force.row("Event", force.create("Event", **AT_TEN, **given))
    assert {name: row[name] for name in given} == {**given, "ReminderDateTime": "2026-11-03T09:45:00.000+0000"}


@pytest.mark.parametrize(
    "name",
    ["IsChild", "IsGroupEvent", "GroupEventType", "IsRecurrence", "IsRecurrence2", "IsRecurrence2Exception", "IsRecurrence2Exclusion"],
)
def test_what_only_the_system_says_of_an_event(force, name):
    answer = force.call("POST", "/sobjects/Event", json={**AT_TEN, name: True})
    assert refusal(answer) == (400, "INVALID_FIELD_FOR_INSERT_UPDATE")


def test_archived_activities_are_in_query_all_only(force):
    id_ = force.create("Event", **AT_TEN)
    force.person("Event", id_, IsArchived=True)
    assert force.query("SELECT Id FROM Event") == []
    assert [row["IsArchived"] for row in force.query("SELECT IsArchived FROM Event", "/queryAll")] == [True]
    assert force.row("Event", id_)["IsArchived"] is True


# --- invited users ------------------------------------------------------------------------------------------------------
@pytest.fixture
def meeting(force):
    """An event with one invited user: its id, the user's, and that of the user's own event."""
    user = people(force)[0]
    event = force.create("Event", Subject="Visit", Sync_Key__c="k-1", **AT_TEN)
    force.create("EventRelation", EventId=event, RelationId=user)
    (child,) = force.query("SELECT Id FROM Event WHERE IsChild = true")
    return event, user, child["Id"]


def test_an_invited_user_gets_an_event(force, meeting):
    event, user, child = meeting
    row, own = force.row("Event", event), force.row("Event", child)

    assert (row["IsChild"], row["IsGroupEvent"], row["GroupEventType"]) == (False, True, "1")
    assert (own["IsChild"], own["IsGroupEvent"], own["GroupEventType"], own["OwnerId"]) == (True, True, "1", user)
    assert [own[n] for n in ("Subject", "StartDateTime", "EndDateTime", "Sync_Key__c")] == [
        "Visit", "2026-11-03T10:00:00.000+0000", "2026-11-03T11:00:00.000+0000", None,
    ]  # fmt: skip
    assert force.query("SELECT Id FROM Event WHERE IsChild = false")[0]["Id"] == event


def test_the_events_of_invited_users_follow(force, meeting):
    event, _, child = meeting
    force.clock.forward(60)

    force.change("Event", event, Subject="Call", StartDateTime="2026-11-04T10:00:00Z", Location="Leeds")

    own = force.row("Event", child)
    assert (own["Subject"], own["StartDateTime"][:16], own["Location"]) == ("Call", "2026-11-04T10:00", "Leeds")
    assert own["SystemModstamp"] == own["LastModifiedDate"] == force.clock.shown


def test_whoever_is_invited_changes_only_what_is_their_own(force, meeting):
    child = meeting[2]
    assert refused(force.change("Event", child, Subject="Mine", ShowAs="Free"))[1::2] == (
        "INSUFFICIENT_ACCESS_OR_READONLY", ["Subject"],
    )  # fmt: skip
    assert force.change("Event", child, ShowAs="Free", IsReminderSet=False, Sync_Key__c="child").status_code == 204
    assert refusal(force.call("POST", "/sobjects/EventRelation", json={"EventId": child, "RelationId": people(force)[1]})) == (
        400, "FIELD_INTEGRITY_EXCEPTION",
    )  # fmt: skip


def test_the_invitation_and_the_users_event_go_together(force, meeting):
    event, _, child = meeting
    (relation,) = force.query("SELECT Id FROM EventRelation")

    force.call("DELETE", f"/sobjects/EventRelation/{relation['Id']}")

    assert refusal(force.get(f"/sobjects/Event/{child}")) == (404, "ENTITY_IS_DELETED")
    row = force.row("Event", event)
    assert (row["IsGroupEvent"], row["GroupEventType"]) == (False, "0")


def test_a_user_who_deletes_the_own_event_is_no_longer_invited(force, meeting):
    event, _, child = meeting
    force.call("DELETE", f"/sobjects/Event/{child}")
    assert force.query("SELECT Id FROM EventRelation") == [] and force.row("Event", event)["IsGroupEvent"] is False


def test_all_go_with_the_event_and_come_back_with_it(force, meeting):
    event, _, child = meeting
    force.clock.forward(60)
    force.call("DELETE", f"/sobjects/Event/{event}")
    gone = force.query("SELECT Id FROM Event WHERE IsDeleted = true ORDER BY Id", "/queryAll")
    assert [row["Id"] for row in gone] == [event, child] and force.query("SELECT Id FROM EventRelation") == []

    force.clock.forward(60)
    force.person("Event", event, IsDeleted=False)

    assert force.row("Event", child)["IsChild"] is True
    assert [r["EventId"] for r in force.query("SELECT EventId FROM EventRelation")] == [event]


def test_an_answer_to_an_invitation_has_its_time(force, meeting):
    (relation,) = force.query("SELECT Id, Status, RespondedDate FROM EventRelation")
    assert (relation["Status"], relation["RespondedDate"]) == ("New", None)
    force.change("EventRelation", relation["Id"], Status="Accepted", Response="Gladly")
    row = force.row("EventRelation", relation["Id"])
    assert (row["Status"], row["Response"], row["RespondedDate"]) == ("Accepted", "Gladly", force.clock.shown)
    force.clock.forward(60)
    force.change("EventRelation", relation["Id"], Status="Declined")
    assert force.row("EventRelation", relation["Id"])["RespondedDate"] == force.clock.shown
    assert refusal(force.change("EventRelation", relation["Id"], Status="Perhaps")) == (400, "INVALID_OR_NULL_FOR_RESTRICTED_PICKLIST")


# --- series -------------------------------------------------------------------------------------------------------------
WEEKLY = "RRULE:FREQ=WEEKLY;INTERVAL=1;BYDAY=TU;COUNT=4"


def starts(force):
    return [row["StartDateTime"][:16] for row in force.query("SELECT StartDateTime FROM Event ORDER BY StartDateTime")]


@pytest.mark.parametrize(
    ("pattern", "days"),
    [
        ("RRULE:FREQ=DAILY;COUNT=3", [3, 4, 5]),
        ("FREQ=DAILY;INTERVAL=2;UNTIL=20261108T235959Z", [3, 5, 7]),
        ("RRULE:FREQ=WEEKLY;BYDAY=TU,TH;COUNT=4", [3, 5, 10, 12]),
        ("RRULE:FREQ=WEEKLY;INTERVAL=2;COUNT=2", [3, 17]),
        ("RRULE:FREQ=WEEKLY;BYDAY=FR;COUNT=2", [6, 13]),
        ("RRULE:FREQ=DAILY;BYDAY=MO,TU;COUNT=3", [3, 9, 10]),
    ],
)
def test_days_of_patterns_within_a_month(pattern, days):
    assert recurrence.days_of(recurrence.read(pattern), date(2026, 11, 3)) == [date(2026, 11, day) for day in days]


@pytest.mark.parametrize(
    ("pattern", "days"),
    [
        ("RRULE:FREQ=MONTHLY;COUNT=3", ["2026-11-03", "2026-12-03", "2027-01-03"]),
        ("RRULE:FREQ=MONTHLY;BYDAY=1TU;COUNT=2", ["2026-11-03", "2026-12-01"]),
        ("RRULE:FREQ=MONTHLY;BYDAY=-1FR;COUNT=2", ["2026-11-27", "2026-12-25"]),
        ("RRULE:FREQ=MONTHLY;BYMONTHDAY=31;COUNT=2", ["2026-12-31", "2027-01-31"]),
        ("RRULE:FREQ=MONTHLY;BYMONTHDAY=-1;UNTIL=20270101", ["2026-11-30", "2026-12-31"]),
        ("RRULE:FREQ=YEARLY;COUNT=2", ["2026-11-03", "2027-11-03"]),
        ("RRULE:FREQ=YEARLY;BYMONTH=1;BYDAY=1MO;COUNT=2", ["2027-01-04", "2028-01-03"]),
    ],
)
def test_days_of_patterns_over_months(pattern, days):
    assert [day.isoformat() for day in recurrence.days_of(recurrence.read(pattern), date(2026, 11, 3))] == days


def test_a_series_has_a_row_for_each_of_its_events(force):
    id_ = force.create("Event", Subject="Team", Recurrence2PatternText=WEEKLY, Sync_Key__c="series", **AT_TEN)

    rows = force.query("SELECT Id, IsRecurrence2, GroupEventType, Recurrence2PatternText, Sync_Key__c FROM Event ORDER BY StartDateTime")
    assert starts(force) == [f"2026-11-{day:02d}T10:00" for day in (3, 10, 17, 24)]
    assert rows[0]["Id"] == id_ and [row["Sync_Key__c"] for row in rows] == ["series", None, None, None]
    assert all((row["IsRecurrence2"], row["GroupEventType"], row["Recurrence2PatternText"]) == (True, "3", WEEKLY) for row in rows)


def test_a_series_keeps_to_the_hour_of_its_owner_and_begins_with_its_first_day(force):
    given = {"StartDateTime": "2026-10-23T09:00:00Z", "DurationInMinutes": 30}  # 10:00 in London, where summer time ends on the 25th
    force.create("Event", Recurrence2PatternText="RRULE:FREQ=WEEKLY;BYDAY=SA,SU,MO;COUNT=3", **given)
    assert starts(force) == ["2026-10-24T09:00", "2026-10-25T10:00", "2026-10-26T10:00"]


def test_a_changed_event_of_a_series_is_an_exception(force):
    force.create("Event", Recurrence2PatternText=WEEKLY, **AT_TEN)
    second = force.query("SELECT Id FROM Event ORDER BY StartDateTime")[1]["Id"]

    force.change("Event", second, IsReminderSet=False)
    assert force.row("Event", second)["IsRecurrence2Exception"] is False
    force.change("Event", second, StartDateTime="2026-11-11T10:00:00Z")

    assert force.row("Event", second)["IsRecurrence2Exception"] is True
    assert starts(force)[1] == "2026-11-11T10:00" and starts(force)[2] == "2026-11-17T10:00"
    force.call("DELETE", f"/sobjects/Event/{second}")
    assert len(starts(force)) == 3


def test_a_pattern_is_set_at_creation_only(force):
    id_ = force.create("Event", **AT_TEN)
    assert refusal(force.change("Event", id_, Recurrence2PatternText=WEEKLY)) == (400, "INVALID_FIELD_FOR_INSERT_UPDATE")
    assert refusal(force.page(f"SELECT Id FROM Event WHERE Recurrence2PatternText = '{WEEKLY}'")) == (400, "INVALID_FIELD")


@pytest.mark.parametrize(
    "pattern",
    [
        "every week", "RRULE:FREQ=HOURLY;COUNT=2", "RRULE:FREQ=DAILY", "RRULE:FREQ=DAILY;COUNT=2;UNTIL=20261201",
        "RRULE:FREQ=DAILY;COUNT=101", "RRULE:FREQ=WEEKLY;BYDAY=1TU;COUNT=2", "RRULE:FREQ=WEEKLY;BYDAY=XX;COUNT=2",
        "RRULE:FREQ=DAILY;UNTIL=20271301", "RRULE:FREQ=DAILY;UNTIL=20270601", "RRULE:FREQ=DAILY;BYHOUR=3;COUNT=1",
        "RRULE:FREQ=DAILY;UNTIL=20200101", "RRULE:FREQ=YEARLY;BYMONTH=2;BYMONTHDAY=30;COUNT=1",
        "RRULE:FREQ=MONTHLY;BYMONTHDAY=0;COUNT=1", "RRULE:FREQ=DAILY;FREQ=DAILY;COUNT=1",
    ],
)  # fmt: skip
def test_patterns_that_are_none_make_nothing(force, pattern):
    answer = force.call("POST", "/sobjects/Event", json={**AT_TEN, "Recurrence2PatternText": pattern})
    assert refusal(answer) == (400, "FIELD_INTEGRITY_EXCEPTION") and starts(force) == []


def test_all_that_follow_change_together(force):
    force.create("Event", Recurrence2PatternText=WEEKLY, **AT_TEN)
    rows = [row["Id"] for row in force.query("SELECT Id FROM Event ORDER BY StartDateTime")]
    body = {"Subject": "New", "StartDateTime": "2026-11-17T11:00:00Z", "DurationInMinutes": 30}

    assert force.call("PATCH", f"/sobjects/Event/{rows[2]}/fromThisEventOnwards", json=body).status_code == 204

    assert starts(force) == ["2026-11-03T10:00", "2026-11-10T10:00", "2026-11-17T11:00", "2026-11-24T11:00"]
    last = force.row("Event", rows[3])
    assert (last["Subject"], last["DurationInMinutes"], last["IsRecurrence2Exception"]) == ("New", 30, False)
    assert [force.row("Event", id_)["IsRecurrence2Exclusion"] for id_ in rows] == [True, True, False, False]
    assert refusal(force.call("DELETE", f"/sobjects/Event/{rows[0]}/fromThisEventOnwards")) == (400, "FIELD_INTEGRITY_EXCEPTION")
    assert force.call("DELETE", f"/sobjects/Event/{rows[2]}/fromThisEventOnwards").status_code == 204
    assert len(starts(force)) == 2
    assert refusal(force.get(f"/sobjects/Event/{rows[0]}/fromThisEventOnwards")) == (405, "METHOD_NOT_ALLOWED")
    urls = force.get("/sobjects/Event/describe").json()["urls"]
    assert urls["eventSeriesUpdates"].endswith("/sobjects/Event/{ID}/fromThisEventOnwards")


def test_series_of_whole_days_and_the_invited(force):
    event = force.create("Event", Recurrence2PatternText="RRULE:FREQ=DAILY;COUNT=2", IsAllDayEvent=True, ActivityDate="2026-11-03")
    assert starts(force) == ["2026-11-03T00:00", "2026-11-04T00:00"]
    force.create("EventRelation", EventId=event, RelationId=people(force)[0])
    (child,) = force.query("SELECT GroupEventType, StartDateTime FROM Event WHERE IsChild = true")
    assert (child["GroupEventType"], child["StartDateTime"][:10]) == ("1", "2026-11-03")
    assert force.row("Event", event)["GroupEventType"] == "3"


def test_a_series_and_its_invitations_are_kept_over_a_restart(tmp_path):
    first = World(state_path=tmp_path / "state").salesforce
    user = first.list_records("User")[3]["Id"]
    world = World(state_path=tmp_path / "state")
    given = {"Subject": "Team", "StartDateTime": "2026-11-03T10:00:00Z", "DurationInMinutes": "60"}
    event = world.salesforce.create_record("Event", {**given, "Recurrence2PatternText": WEEKLY})
    world.salesforce.create_record("EventRelation", {"EventId": event["Id"], "RelationId": user})
    world.keep()

    again = World(state_path=tmp_path / "state").salesforce

    again.update_record("Event", event["Id"], {"Subject": "Moved"})
    assert [row["Subject"] for row in again.list_records("Event") if row["IsChild"]] == ["Moved"]
    assert again.get_record("Event", event["Id"])["IsRecurrence2Exception"] is True

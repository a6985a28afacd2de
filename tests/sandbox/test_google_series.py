"""Series and meetings of the played Calendar: instances and exceptions, copies in several calendars, answers, and the mails."""

import pytest
import requests

from tests.sandbox.google_services import EVENTS, GINA, HUGO, OUTSIDER, Office, at, days, invited

ALL, NONE = {"sendUpdates": "all"}, {"sendUpdates": "none"}
WEEKLY = {"recurrence": ["RRULE:FREQ=WEEKLY;COUNT=4"], **at("2027-03-15T09:00:00", "2027-03-15T10:00:00", "Europe/London")}
STARTS = ["20270315T090000Z", "20270322T090000Z", "20270329T080000Z", "20270405T080000Z"]  # the clocks change on the 28th


@pytest.fixture
def office():
    with requests.Session() as session:
        session.trust_env = False
        yield Office(session)


def expanded(office, mailbox=GINA, **params):
    """Returns the single events of a calendar by what stands behind the id of their series."""
    events = office.listed(mailbox=mailbox, singleEvents=True, orderBy="startTime", **params)
    return {each["id"].partition("_")[2]: each for each in events}


# --- series -------------------------------------------------------------------------------------------------------------
def test_a_series_keeps_its_wall_time_when_the_clocks_change(office):
    master = office.insert(**WEEKLY)

    single = expanded(office)

    assert list(single) == STARTS
    assert [each["start"]["dateTime"][11:] for each in single.values()] == ["09:00:00Z"] * 2 + ["09:00:00+01:00"] * 2
    assert all(each["recurringEventId"] == master["id"] and "recurrence" not in each for each in single.values())
    assert {each["iCalUID"] for each in single.values()} == {master["iCalUID"]}
    assert [each["id"] for each in office.listed()] == [master["id"]]
    one = office.event(f"{master['id']}_{STARTS[2]}")
    assert one == single[STARTS[2]] and one["originalStartTime"] == one["start"]


def test_days_recur_as_days(office):
    master = office.insert(recurrence=["RRULE:FREQ=DAILY;UNTIL=20261127", "EXDATE;VALUE=DATE:20261126"], **days("2026-11-25", "2026-11-27"))

    items = office.get(f"{EVENTS}/{master['id']}/instances")["items"]

    assert [each["id"].partition("_")[2] for each in items] == ["20261125", "20261127"]
    assert (items[1]["start"], items[1]["end"]) == ({"date": "2026-11-27"}, {"date": "2026-11-29"})


def test_instances_are_listed_by_window_original_start_and_page(office):
    master = office.insert(**WEEKLY)
    path = f"{EVENTS}/{master['id']}/instances"
    office.patch(f"{master['id']}_{STARTS[1]}", **at("2027-03-26T09:00:00Z", "2027-03-26T10:00:00Z"))
    office.delete(f"{master['id']}_{STARTS[0]}")

    assert [each["id"][-16:] for each in office.get(path)["items"]] == STARTS[1:]
    assert [each["status"] for each in office.get(path, showDeleted=True)["items"]] == ["cancelled", *["confirmed"] * 3]
    assert [each["id"][-16:] for each in office.get(path, originalStart="2027-03-22T09:00:00Z")["items"]] == [STARTS[1]]
    assert [each["id"][-16:] for each in office.get(path, timeMin="2027-04-01T00:00:00Z")["items"]] == [STARTS[3]]
    first = office.get(path, maxResults=2)
    assert [each["id"][-16:] for each in office.get(path, maxResults=2, pageToken=first["nextPageToken"])["items"]] == [STARTS[3]]
    assert office.refused("GET", f"{EVENTS}/{office.insert()['id']}/instances") == (400, "badRequest")


def test_an_exception_is_an_event_of_its_own(office):
    master = office.insert(**WEEKLY)
    name = f"{master['id']}_{STARTS[1]}"
    _, token = office.sync()
    _, single_token = office.sync(singleEvents=True)

    changed = office.patch(name, summary="Moved", **at("2027-03-23T12:00:00Z", "2027-03-23T13:00:00Z"))

    assert changed["originalStartTime"]["dateTime"] == "2027-03-22T09:00:00Z" and changed["start"]["dateTime"] == "2027-03-23T12:00:00Z"
    assert [each["id"] for each in office.sync(token)[0]] == [name]
    assert [each["id"] for each in office.sync(single_token, singleEvents=True)[0]] == [name]
    assert [each["summary"] for each in expanded(office).values()] == ["Demo", "Moved", "Demo", "Demo"]
    office.patch(master["id"], description="For all")
    assert [each.get("description") for each in expanded(office).values()] == ["For all", None, "For all", "For all"]
    assert office.refused("PATCH", f"{EVENTS}/{name}", json={"recurrence": ["RRULE:FREQ=DAILY"]}) == (400, "invalid")


def test_a_cancelled_instance_is_told_as_long_as_its_series_lives(office):
    master = office.insert(**WEEKLY)
    name = f"{master['id']}_{STARTS[1]}"
    _, token = office.sync()

    office.delete(name)

    (told,) = office.sync(token)[0]
    assert set(told) == {"kind", "etag", "id", "status", "recurringEventId", "originalStartTime"} and told["status"] == "cancelled"
    office.clock.forward(60 * 86400)
    assert {each["id"] for each in office.listed()} == {master["id"], name}  # also without showDeleted
    assert list(expanded(office)) == [STARTS[0], *STARTS[2:]]
    assert office.refused("DELETE", f"{EVENTS}/{name}") == (410, "deleted") and office.event(name)["status"] == "cancelled"
    assert office.patch(name, status="confirmed")["status"] == "confirmed" and list(expanded(office)) == STARTS


def test_a_deleted_series_is_one_entry_or_all_its_instances(office):
    master = office.insert(**WEEKLY)
    office.patch(f"{master['id']}_{STARTS[1]}", summary="Moved")
    _, token = office.sync()
    _, single_token = office.sync(singleEvents=True)

    office.delete(master["id"])

    assert [(each["id"], each["status"]) for each in office.sync(token)[0]] == [(master["id"], "cancelled")]
    gone = office.sync(single_token, singleEvents=True)[0]
    assert {each["id"][-16:] for each in gone} == set(STARTS) and {each["status"] for each in gone} == {"cancelled"}
    assert office.listed() == [] and expanded(office) == {}
    assert office.refused("PATCH", f"{EVENTS}/{master['id']}_{STARTS[0]}", json={"summary": "x"}) == (410, "deleted")

    office.patch(master["id"], status="confirmed")

    assert [each["summary"] for each in expanded(office).values()] == ["Demo", "Moved", "Demo", "Demo"]


def test_a_series_that_becomes_shorter_loses_instances_and_exceptions(office):
    master = office.insert(**WEEKLY)
    office.patch(f"{master['id']}_{STARTS[3]}", summary="Last")
    _, token = office.sync()
    _, single_token = office.sync(singleEvents=True)

    office.patch(master["id"], recurrence=["RRULE:FREQ=WEEKLY;COUNT=2"])

    changed = {each["id"].partition("_")[2]: each["status"] for each in office.sync(token)[0]}
    assert changed == {"": "confirmed", STARTS[3]: "cancelled"}
    single = {each["id"].partition("_")[2]: each["status"] for each in office.sync(single_token, singleEvents=True)[0]}
    assert single == dict(zip(STARTS, ["confirmed"] * 2 + ["cancelled"] * 2, strict=True))


def test_nothing_brings_back_an_instance_that_the_series_has_no_more(office):
    master = office.insert(**WEEKLY)["id"]
    office.patch(f"{master}_{STARTS[1]}", summary="Moved")
    office.patch(master, recurrence=[])

    assert office.refused("PATCH", f"{EVENTS}/{master}_{STARTS[1]}", json={"status": "confirmed"}) == (410, "deleted")
    assert {event["id"]: event["status"] for event in office.listed()} == {master: "confirmed", f"{master}_{STARTS[1]}": "cancelled"}


def test_a_series_without_an_end_is_expanded_for_two_years(office):
    office.insert(recurrence=["RRULE:FREQ=MONTHLY"], **days("2026-11-01", "2026-11-02"))
    found = expanded(office)
    assert len(found) == 24 and list(found)[-1] == "20281001"
    assert list(expanded(office, timeMin="2035-01-01T12:00:00Z", timeMax="2035-03-01T00:00:00Z")) == ["20350101", "20350201"]


def test_a_window_finds_a_series_that_takes_place_in_it(office):
    office.insert(**WEEKLY)
    assert len(office.listed(timeMin="2027-04-01T00:00:00Z")) == 1 and office.listed(timeMin="2027-04-06T00:00:00Z") == []


def test_an_instance_is_checked_against_the_version_of_its_series(office):
    master = office.insert(**WEEKLY)
    name = f"{master['id']}_{STARTS[1]}"
    stale = office.event(name)["etag"]
    office.patch(master["id"], summary="New")
    assert stale == master["etag"]
    assert office.refused("PATCH", f"{EVENTS}/{name}", json={"summary": "x"}, headers={"If-Match": stale}) == (412, "conditionNotMet")


def test_a_closer_visibility_is_that_of_the_whole_series(office):
    master = office.insert(**WEEKLY)
    office.patch(f"{master['id']}_{STARTS[1]}", visibility="private")
    assert {each["visibility"] for each in expanded(office).values()} == {"private"}
    office.patch(f"{master['id']}_{STARTS[2]}", visibility="public")
    assert {each["visibility"] for each in expanded(office).values()} == {"private"}


# --- meetings -----------------------------------------------------------------------------------------------------------
def test_a_guest_has_a_copy_with_the_same_id(office):
    made = office.insert(
        attendees=invited(HUGO, OUTSIDER), location="Room 2", reminders={"useDefault": False}, transparency="transparent",
        extendedProperties={"private": {"crm": "1"}, "shared": {"team": "a"}},
    )  # fmt: skip

    copy = office.event(made["id"], HUGO)

    assert (copy["iCalUID"], copy["location"], copy["summary"]) == (made["iCalUID"], "Room 2", "Demo")
    assert copy["organizer"] == {"email": GINA, "displayName": "Gina Example"} and copy["transparency"] == "transparent"
    assert [each.get("self", False) for each in copy["attendees"]] == [True, False]
    assert copy["extendedProperties"] == {"shared": {"team": "a"}} and copy["reminders"] == {"useDefault": True}


def test_a_change_of_the_organiser_reaches_the_copies_and_leaves_what_is_private(office):
    made = office.insert(attendees=invited(HUGO))
    office.patch(made["id"], HUGO, colorId="3", extendedProperties={"private": {"own": "1"}})
    _, token = office.sync(mailbox=HUGO)

    office.patch(made["id"], summary="New", location="Room 3")

    (copy,) = office.sync(token, mailbox=HUGO)[0]
    assert (copy["summary"], copy["location"], copy["colorId"]) == ("New", "Room 3", "3")
    assert copy["extendedProperties"] == {"private": {"own": "1"}} and "extendedProperties" not in office.event(made["id"])
    office.patch(made["id"], colorId="5")
    assert office.event(made["id"], HUGO)["etag"] == copy["etag"]


def test_who_is_taken_off_or_whose_meeting_is_deleted_has_it_no_more(office):
    first, second = (office.insert(attendees=invited(HUGO))["id"] for _ in range(2))
    _, token = office.sync(mailbox=HUGO)

    office.patch(first, attendees=[])
    office.delete(second)

    assert {each["id"]: each["status"] for each in office.sync(token, mailbox=HUGO)[0]} == {first: "cancelled", second: "cancelled"}
    office.patch(first, attendees=invited(HUGO))
    assert [each["id"] for each in office.listed(mailbox=HUGO)] == [first]
    assert office.refused("PATCH", f"{EVENTS}/{second}", mailbox=HUGO, json={"status": "confirmed"}) == (403, "forbiddenForNonOrganizer")


@pytest.mark.parametrize("answer", ["accepted", "tentative", "declined"])
def test_an_answer_reaches_all_copies(office, answer):
    made = office.insert(attendees=invited(HUGO, OUTSIDER))

    office.patch(made["id"], HUGO, ALL, attendees=[{"email": HUGO, "responseStatus": answer}, {"email": OUTSIDER}])

    for mailbox in (GINA, HUGO):
        answers = {each["email"]: each["responseStatus"] for each in office.event(made["id"], mailbox)["attendees"]}
        assert answers == {HUGO: answer, OUTSIDER: "needsAction"}
    assert office.mails() == [(HUGO, "response", [GINA])]


def test_a_cut_list_of_attendees_changes_the_own_answer_only(office):
    made = office.insert(attendees=invited(HUGO, OUTSIDER))
    cut = office.get(f"{EVENTS}/{made['id']}", mailbox=HUGO, maxAttendees=1)
    assert cut["attendeesOmitted"] and [each["email"] for each in cut["attendees"]] == [HUGO]

    own = [{"email": HUGO, "responseStatus": "accepted"}]
    office.patch(made["id"], HUGO, attendees=own, attendeesOmitted=True)

    assert [each["responseStatus"] for each in office.event(made["id"])["attendees"]] == ["accepted", "needsAction"]
    body = {"attendees": invited(OUTSIDER), "attendeesOmitted": True}
    assert office.refused("PATCH", f"{EVENTS}/{made['id']}", mailbox=HUGO, json=body) == (400, "invalid")


@pytest.mark.parametrize(
    "fields", [{"summary": "Mine"}, {"attendees": invited(HUGO)}, {"location": "Here"}, days("2027-01-01", "2027-01-02")]
)
def test_a_guest_may_not_change_what_all_share(office, fields):
    made = office.insert(attendees=invited(HUGO, OUTSIDER), **days("2026-11-25", "2026-11-26"))
    refused = office.refused("PATCH", f"{EVENTS}/{made['id']}", mailbox=HUGO, json=fields)
    assert refused == (403, "forbiddenForNonOrganizer")
    private = office.patch(made["id"], HUGO, reminders={"useDefault": False}, colorId="3", extendedProperties={"private": {"crm": "1"}})
    assert private["extendedProperties"] == {"private": {"crm": "1"}} and office.event(made["id"])["summary"] == "Demo"


def test_what_a_guest_changes_may_stay_in_his_copy(office):
    office.switch(guest_changes="local")
    made = office.insert(attendees=invited(HUGO))
    assert office.patch(made["id"], HUGO, summary="Mine")["summary"] == "Mine" and office.event(made["id"])["summary"] == "Demo"


def test_guests_may_change_a_meeting_whose_organiser_lets_them(office):
    made = office.insert(attendees=invited(HUGO, OUTSIDER), guestsCanModify=True, extendedProperties={"private": {"crm": "1"}})
    office.patch(made["id"], HUGO, ALL, summary="Ours", extendedProperties={"private": {"own": "2"}, "shared": {"team": "b"}})
    main = office.event(made["id"])
    assert main["summary"] == "Ours" and main["extendedProperties"] == {"private": {"crm": "1"}, "shared": {"team": "b"}}
    assert office.mails() == [(HUGO, "update", [OUTSIDER])]


def test_a_guest_who_deletes_a_meeting_declines_it(office):
    made = office.insert(attendees=invited(HUGO))

    office.delete(made["id"], HUGO, **ALL)
    office.patch(made["id"], summary="New")

    assert [each["responseStatus"] for each in office.event(made["id"])["attendees"]] == ["declined"]
    assert office.listed(mailbox=HUGO) == [] and office.mails() == [(HUGO, "response", [GINA])]


def test_guests_see_each_other_only_where_the_organiser_lets_them(office):
    made = office.insert(attendees=invited(HUGO, OUTSIDER), guestsCanSeeOtherGuests=False)
    copy = office.event(made["id"], HUGO)
    assert copy["attendeesOmitted"] and [each["email"] for each in copy["attendees"]] == [HUGO] and len(made["attendees"]) == 2


def test_series_and_their_exceptions_are_in_all_calendars(office):
    master = office.insert(attendees=invited(HUGO), **WEEKLY)
    office.patch(f"{master['id']}_{STARTS[1]}", summary="Moved")
    office.delete(f"{master['id']}_{STARTS[2]}")
    office.patch(f"{master['id']}_{STARTS[3]}", HUGO, attendees=[{"email": HUGO, "responseStatus": "declined"}])

    theirs, ours = expanded(office, HUGO), expanded(office)

    assert list(theirs) == list(ours) == [STARTS[0], STARTS[1], STARTS[3]]
    assert [each["summary"] for each in theirs.values()] == ["Demo", "Moved", "Demo"]
    assert [each["attendees"][0]["responseStatus"] for each in ours.values()] == ["needsAction", "needsAction", "declined"]
    office.patch(master["id"], recurrence=["RRULE:FREQ=WEEKLY;COUNT=1"])
    assert list(expanded(office, HUGO)) == STARTS[:1]


def test_who_joins_a_series_later_sees_its_exceptions(office):
    master = office.insert(**WEEKLY)
    office.patch(f"{master['id']}_{STARTS[1]}", summary="Moved")
    office.delete(f"{master['id']}_{STARTS[2]}")

    office.patch(master["id"], attendees=invited(HUGO))

    theirs = expanded(office, HUGO)
    assert {suffix: each["summary"] for suffix, each in theirs.items()} == {STARTS[0]: "Demo", STARTS[1]: "Moved", STARTS[3]: "Demo"}
    office.patch(master["id"], attendees=[])
    assert expanded(office, HUGO) == {}


def test_somebody_may_be_invited_to_one_instance_alone(office):
    master = office.insert(**WEEKLY)
    name = f"{master['id']}_{STARTS[1]}"

    office.patch(name, attendees=invited(HUGO))

    (copy,) = office.listed(mailbox=HUGO)
    assert (copy["id"], copy["recurringEventId"]) == (name, master["id"])
    office.delete(master["id"])
    assert office.listed(mailbox=HUGO) == []


# --- mails --------------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(("params", "to"), [(ALL, [OUTSIDER, HUGO]), ({"sendUpdates": "externalOnly"}, [OUTSIDER]), (NONE, []), ({}, [])])
def test_mails_go_to_whom_the_call_says(office, params, to):
    made = office.insert(params=params, attendees=invited(HUGO, OUTSIDER))
    office.patch(made["id"], params=params, summary="New")
    office.patch(made["id"], params=params, colorId="3", reminders={"useDefault": False})
    office.delete(made["id"], **params)

    kinds = ["invitation", "update", "cancellation"] if to else []
    assert office.mails() == [(GINA, kind, to) for kind in kinds]
    assert office.refused("POST", EVENTS, params={"sendUpdates": "friends"}, json=days("2026-11-25", "2026-11-26")) == (400, "invalid")


def test_who_is_new_is_invited_and_who_goes_is_told(office):
    made = office.insert(attendees=invited(HUGO))
    office.patch(made["id"], params={"sendNotifications": "true"}, attendees=invited(OUTSIDER))
    assert office.mails() == [(GINA, "invitation", [OUTSIDER]), (GINA, "cancellation", [HUGO])]


# --- by hand ------------------------------------------------------------------------------------------------------------
def test_people_make_move_answer_and_delete_events(office):
    create, update = office.system.create_record, office.system.update_record
    made = create("event", {"mailbox": GINA, "summary": "Lunch", "start": "2026-11-25T12:00:00", "attendees": [HUGO, OUTSIDER]})
    assert (made["end"], made["timeZone"], made["status"]) == ("2026-11-25T13:00:00+00:00", "Europe/London", "confirmed")
    assert office.mails() == [(GINA, "invitation", [OUTSIDER, HUGO])]
    (copy,) = [each for each in office.system.list_records("event") if each["mailbox"] == HUGO]

    update("event", copy["id"], {"responseStatus": "accepted"})
    moved = update("event", made["id"], {"start": "2026-11-26T12:30:00", "location": "Café"})

    assert moved["end"] == "2026-11-26T13:30:00+00:00" and moved["responses"] == [f"{HUGO} accepted", f"{OUTSIDER} needsAction"]
    assert office.mails() == [(HUGO, "response", [GINA]), (GINA, "update", [OUTSIDER, HUGO])]
    day = update("event", made["id"], {"isAllDay": True, "start": "2026-11-27", "attendees": [OUTSIDER]})
    assert (day["start"], day["end"], day["attendees"]) == ("2026-11-27", "2026-11-28", [OUTSIDER])
    office.system.delete_record("event", made["id"])
    assert office.system.list_records("event") == [] and office.mails()[-1] == (GINA, "cancellation", [OUTSIDER])


def test_people_make_series_and_change_an_instance(office):
    values = {"mailbox": GINA, "summary": "Stand-up", "start": "2026-11-25", "isAllDay": True, "recurrence": ["RRULE:FREQ=DAILY;COUNT=3"]}
    made = office.system.create_record("event", values)
    instance = {"mailbox": GINA, "recurringEventId": made["eventId"]}

    office.system.create_record("event", {**instance, "originalStart": "2026-11-26", "summary": "Longer"})
    office.system.create_record("event", {**instance, "originalStart": "2026-11-27", "status": "cancelled"})

    assert [(each["id"][-8:], each["summary"]) for each in office.listed(singleEvents=True, orderBy="startTime")] == [
        ("20261125", "Stand-up"),
        ("20261126", "Longer"),
    ]
    with pytest.raises(ValueError, match="originalStart"):
        office.system.create_record("event", {**instance, "originalStart": "2026-12-26"})


def test_an_invitation_from_elsewhere_is_answered_but_not_changed(office):
    values = {"mailbox": GINA, "organizer": OUTSIDER, "summary": "Pitch", "start": "2026-11-25T12:00:00Z", "attendees": [HUGO]}
    made = office.system.create_record("event", values)

    path = f"{EVENTS}/{made['eventId']}"
    assert office.refused("PATCH", path, json={"summary": "Mine"}) == (403, "forbiddenForNonOrganizer")
    answers = [{"email": HUGO}, {"email": GINA, "responseStatus": "accepted"}]
    office.patch(made["eventId"], params=ALL, attendees=answers)

    assert office.mails() == [(GINA, "response", [OUTSIDER])] and office.listed(mailbox=HUGO) == []
    assert office.event(made["eventId"])["attendees"][1] == {"email": GINA, "responseStatus": "accepted", "self": True}


@pytest.mark.parametrize(
    "values",
    [
        {"mailbox": "nobody@example.test"}, {"mailbox": GINA, "planet": "Mars"}, {"mailbox": GINA}, {"mailbox": GINA, "start": "soon"},
        {"mailbox": GINA, "start": "2026-11-25", "isAllDay": "yes"}, {"mailbox": GINA, "start": "2026-11-25T10:00:00", "attendees": [5]},
        {"mailbox": GINA, "start": "2026-11-25T10:00:00", "visibility": "hidden"}, {"mailbox": GINA, "start": 5},
        {"mailbox": GINA, "start": "2026-11-25T10:00:00", "organizer": HUGO},
    ],
)  # fmt: skip
def test_what_people_cannot_do_is_said(office, values):
    with pytest.raises(ValueError):
        office.system.create_record("event", values)
    assert office.system.list_records("event") == []

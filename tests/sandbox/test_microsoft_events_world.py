"""The played calendar in its world: people in Outlook, the control port and its pages, O365 unchanged, and Microsoft's metadata."""

import json
from datetime import date, datetime, timedelta
from urllib.parse import quote

import pytest
import requests
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from O365 import Account, MSGraphProtocol
from O365.calendar import Attendee

from connectors.sandbox.world import World
from tests.sandbox.graph import ANN, BOB, Graph
from tests.sandbox.graph_types import TYPES, properties

EVENT = "/records/microsoft/event"
GUEST = "guest@widgets.example"
ROW = {"mailbox": ANN, "subject": "Call", "start": "2026-12-01T10:00", "end": "2026-12-01T11:00", "timeZone": "Europe/Berlin"}
WEEKLY = {"pattern": {"type": "weekly", "interval": 1, "daysOfWeek": ["tuesday"]},
          "range": {"type": "numbered", "startDate": "2026-12-01", "numberOfOccurrences": 3}}  # fmt: skip


def mails(control, query=""):
    return [(mail["system"], mail["kind"], mail["to"]) for mail in control.call("GET", f"/mails{query}").json()["mails"]]


# --- by hand ----------------------------------------------------------------------------------------------------------------
def test_a_person_makes_changes_and_deletes_events(control):
    more = {"location": "Room", "attendees": [GUEST], "categories": ["Blue"], "sensitivity": "private", "showAs": "free", "body": "Hello"}
    made = control.call("POST", EVENT, {**ROW, **more}).json()
    assert {name: made[name] for name in more} == more and made["start"] == "2026-12-01T10:00:00" and made["kind"] == "singleInstance"
    assert (made["timeZone"], made["isCancelled"], made["recurrence"]) == ("W. Europe Standard Time", False, None)
    path = f"{EVENT}/{quote(made['id'])}"

    changed = control.call("PATCH", path, {"subject": "Other", "end": "2026-12-01T12:00", "attendees": [GUEST, BOB]}).json()

    assert (changed["subject"], changed["end"], changed["attendees"]) == ("Other", "2026-12-01T12:00:00", [GUEST, BOB])
    assert [row["mailbox"] for row in control.call("GET", EVENT).json()["records"]] == [ANN, BOB]
    assert control.call("PATCH", path, changed).json()["responses"] == {GUEST: "none", BOB: "none"}
    assert control.call("DELETE", path).status_code == 200 and control.call("GET", path).status_code == 404
    assert [kind for _, kind, _ in mails(control, "?system=microsoft")] == ["invitation", "invitation", "update", "update", "cancellation"]


def test_a_person_answers_and_cancels(control):
    made = control.call("POST", EVENT, {**ROW, "attendees": [BOB]}).json()
    copy = next(row for row in control.call("GET", EVENT).json()["records"] if row["mailbox"] == BOB)
    answered = control.call("PATCH", f"{EVENT}/{quote(copy['id'])}", {"response": "accepted"}).json()
    assert answered["response"] == "accepted" and control.call("GET", f"{EVENT}/{quote(made['id'])}").json()["responses"] == {
        BOB: "accepted"
    }

    ended = control.call("PATCH", f"{EVENT}/{quote(made['id'])}", {"isCancelled": True}).json()

    assert ended["isCancelled"] and [row["isCancelled"] for row in control.call("GET", EVENT).json()["records"]] == [True]


def test_a_person_cancels_only_what_is_his_own(control):
    control.call("POST", EVENT, {**ROW, "attendees": [BOB]})
    copy = next(row for row in control.call("GET", EVENT).json()["records"] if row["mailbox"] == BOB)

    assert "need to be an organizer" in control.refused("PATCH", f"{EVENT}/{quote(copy['id'])}", {"isCancelled": True})


def test_a_person_changes_one_occurrence_of_a_series(control):
    made = control.call("POST", EVENT, {**ROW, "recurrence": json.dumps(WEEKLY)}).json()
    path = f"{EVENT}/{quote(made['id'])}"
    assert json.loads(made["recurrence"])["range"]["numberOfOccurrences"] == 3

    moved = control.call("PATCH", path, {"occurrence": "2026-12-08", "start": "2026-12-09T10:00", "end": "2026-12-09T11:00"}).json()
    gone = control.call("PATCH", path, {"occurrence": "2026-12-15", "isCancelled": True}).json()

    assert [(each["occurrence"], each["start"]) for each in moved["exceptions"]] == [("2026-12-08", "2026-12-09T10:00:00")]
    assert gone["goneOccurrences"] == ["2026-12-15"] and gone["subject"] == "Call"
    assert control.call("PATCH", path, {**gone, "subject": "All"}).json()["exceptions"][0]["start"] == "2026-12-09T10:00:00"


def test_an_invitation_comes_in_from_outside(control):
    made = control.call("POST", EVENT, {**ROW, "organizer": GUEST, "attendees": [ANN]}).json()

    assert (made["isOrganizer"], made["organizer"], made["response"]) == (False, GUEST, "notResponded") and mails(control) == []
    control.call("PATCH", f"{EVENT}/{quote(made['id'])}", {"response": "tentativelyAccepted"})
    assert mails(control) == [("microsoft", "response", [GUEST])]


@pytest.mark.parametrize(
    ("values", "sentence"),
    [
        ({"mailbox": "x"}, "mailbox must name"),
        ({"start": "soon"}, "times like"),
        ({"attendees": GUEST}, "list of addresses"),
        ({"recurrence": "weekly"}, "must be JSON"),
        ({"organizer": BOB}, "colleague's mailbox"),
        ({"colour": "red"}, "it has mailbox, subject"),
        ({"end": "2026-11-01T10:00"}, "before the start"),
        ({"reminderMinutes": "soon"}, "whole number"),
        ({"extendedProperties": {"x": "y"}}, "property ID"),
        ({"timeZone": "Mars"}, "TimeZone"),
    ],
)
def test_what_a_person_cannot_do_is_said(control, values, sentence):
    assert sentence in control.refused("POST", EVENT, {**ROW, **values}) and control.call("GET", EVENT).json()["records"] == []


def test_mails_are_gone_after_a_reset_and_only_of_systems_there_are(control):
    control.call("POST", EVENT, {**ROW, "attendees": [GUEST]})
    assert mails(control) == [("microsoft", "invitation", [GUEST])] and mails(control, "?system=salesforce") == []
    assert "no system 'yahoo'" in control.refused("GET", "/mails?system=yahoo")

    control.call("POST", "/reset", {"scenario": "empty"})

    assert mails(control) == []


def test_events_and_mails_outlive_the_sandbox(tmp_path):
    first = World(seed=7, state_path=tmp_path / "state.db")
    first.microsoft.create_record("event", {**ROW, "attendees": [BOB], "recurrence": WEEKLY})
    first.microsoft.update_record("event", 1, {"occurrence": "2026-12-08", "subject": "Own"})
    first.keep()

    again = World(seed=7, state_path=tmp_path / "state.db")

    assert again.microsoft.list_records("event") == first.microsoft.list_records("event")
    assert again.microsoft.mails == first.microsoft.mails and len(again.microsoft.mails) == 2
    assert again.microsoft.dump() == first.microsoft.dump()


def test_a_page_shows_and_changes_events(control):
    base = f"{control.world.control_url}/browse/microsoft/event"
    given_ = {**ROW, "isAllDay": "no", "attendees": f"{GUEST}, {BOB}", "recurrence": json.dumps(WEEKLY)}
    made = control.session.post(f"{base}/new", data=given_, timeout=20)
    assert "Saved." in made.text and "goneOccurrences" in made.text

    changed = control.session.post(made.url.partition("?")[0], data={"subject": "By page", "isAllDay": "False"}, timeout=20)

    assert "Saved." in changed.text and "By page" in control.session.get(base, timeout=20).text
    assert [row["subject"] for row in control.world.microsoft.list_records("event")] == ["By page", "By page"]


# --- python-o365 --------------------------------------------------------------------------------------------------------------
@pytest.fixture
def schedule(world: World):
    class Protocol(MSGraphProtocol):
        _protocol_url = f"{world.base_urls['microsoft']}/"

    given_ = world.microsoft.credentials()
    protocol = Protocol(default_resource=ANN, timezone="Europe/Berlin")
    account = Account(
        (given_["client_id"], given_["client_secret"]), auth_flow_type="credentials", tenant_id=given_["tenant"], protocol=protocol
    )
    with requests.Session() as session:
        session.trust_env = False
        session.headers["Authorization"] = f"Bearer {given_['access_token']}"
        account.con.session = session
        yield account.schedule()


def test_o365_makes_lists_changes_and_deletes_an_event(schedule, world):
    new = schedule.new_event(subject="Renewal")
    new.start, new.end = datetime(2026, 12, 1, 10), datetime(2026, 12, 1, 11)
    new.location, new.body = "Room 1", "<p>Hello</p>"
    new.attendees.add(Attendee(BOB, name="Bob"))
    assert new.save() and new.object_id

    calendar = schedule.get_default_calendar()
    (found,) = calendar.get_events(include_recurring=False)
    assert (found.subject, found.location["displayName"], found.start) == ("Renewal", "Room 1", new.start)
    assert [attendee.address for attendee in found.attendees] == [BOB] and found.is_organizer
    found.subject = "Renewal, later"
    found.start, found.end = found.start + timedelta(days=1), found.end + timedelta(days=1)
    assert found.save()
    (again,) = schedule.get_events(start_recurring=datetime(2026, 12, 2), end_recurring=datetime(2026, 12, 3))
    assert (again.subject, again.ical_uid) == ("Renewal, later", found.ical_uid)
    assert again.delete() and list(calendar.get_events(include_recurring=False)) == []
    assert [mail["kind"] for mail in world.microsoft.mails] == ["invitation", "update", "cancellation"]


def test_o365_makes_a_series_and_answers(schedule, world):
    new = schedule.new_event(subject="Weekly")
    new.start, new.end = datetime(2026, 12, 1, 10), datetime(2026, 12, 1, 11)
    new.recurrence.set_weekly(1, days_of_week=["tuesday"], first_day_of_week="monday", start=date(2026, 12, 1), occurrences=4)
    assert new.save()

    found = list(schedule.get_events(start_recurring=datetime(2026, 12, 1), end_recurring=datetime(2027, 1, 1)))
    assert [each.start.day for each in found] == [1, 8, 15, 22] and {each.event_type.value for each in found} == {"occurrence"}
    (master,) = schedule.get_events(include_recurring=False)
    assert [each.start.day for each in master.get_occurrences(datetime(2026, 12, 5), datetime(2026, 12, 20))] == [8, 15]
    assert found[1].delete() and len(list(master.get_occurrences(datetime(2026, 12, 1), datetime(2027, 1, 1)))) == 3

    world.microsoft.create_record("event", {**ROW, "mailbox": BOB, "attendees": [ANN], "subject": "Asked"})
    (asked,) = schedule.get_events(include_recurring=False, query="subject eq 'Asked'")
    assert asked.accept_event() and world.microsoft.list_records("event")[1]["responses"] == {ANN: "accepted"}


# --- Microsoft's metadata -----------------------------------------------------------------------------------------------------
TEXT = st.text(st.characters(codec="utf-8", exclude_categories=("Cs", "Cc")), max_size=12)
ZONES = st.sampled_from(["UTC", "Europe/Berlin", "Pacific Standard Time", "Asia/Kolkata", "Australia/Sydney"])
HOURS = st.integers(0, 24 * 400)
ENUMS = {name: st.sampled_from(TYPES[kind]["enum"]) for name, kind in
         {"importance": "importance", "sensitivity": "sensitivity", "showAs": "freeBusyStatus"}.items()}  # fmt: skip
PERSONS = st.lists(st.sampled_from([BOB, GUEST, "other@widgets.example"]), unique=True, max_size=3)
VALUES = st.fixed_dictionaries({}, optional={
    "subject": TEXT, **ENUMS, "categories": st.lists(TEXT, unique=True, max_size=3), "isReminderOn": st.booleans(),
    "reminderMinutesBeforeStart": st.integers(0, 10_000), "hideAttendees": st.booleans(), "responseRequested": st.booleans(),
    "location": TEXT.map(lambda name: {"displayName": name}), "body": TEXT.map(lambda text: {"contentType": "text", "content": text}),
    "attendees": PERSONS.map(lambda found: [{"emailAddress": {"address": each, "name": each}, "type": "optional"} for each in found]),
    "start": st.tuples(HOURS, ZONES),
})  # fmt: skip


def as_written(values):
    """Returns values with a start as a body has them, an hour long."""
    if "start" not in values:
        return values
    hours, zone = values["start"]
    at = datetime(2026, 1, 1) + timedelta(hours=hours)
    ends = {"start": at, "end": at + timedelta(hours=1)}
    return {**values, **{side: {"dateTime": when.isoformat(), "timeZone": zone} for side, when in ends.items()}}


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(created=VALUES, edits=st.lists(VALUES, max_size=4))
def test_whatever_is_written_is_read_in_microsoft_s_types(created, edits):
    with requests.Session() as session:
        session.trust_env = False
        graph = Graph(session)
        body = graph.create("events", **as_written({"start": (0, "UTC"), **created}))
        expected = dict(created)
        for edit in edits:
            answer = graph.call("PATCH", f"events/{quote(body['id'])}", json=as_written(edit))
            assert answer.status_code == 200, answer.text
            body = answer.json()
            expected |= edit

        read = graph.get(f"events/{quote(body['id'])}", {"Prefer": 'outlook.body-content-type="text"'})
        same = set(expected) - {"start", "location", "body", "attendees"}
        assert {name: read[name] for name in same} == {name: expected[name] for name in same}
        assert read["body"]["content"] == expected.get("body", {}).get("content", "")
        missing = set(properties("event")) - set(TYPES["event"]["nav"]) - set(read)
        assert missing == {"cancelledOccurrences", "originalStart"}
        copies = graph.all(f"/users/{BOB}/events")
        is_asked = BOB in [each["emailAddress"]["address"] for each in read["attendees"]]
        assert [each["start"] for each in copies if not each["isCancelled"]] == [read["start"]] * is_asked
        first, _ = graph.round("calendarView/delta?startDateTime=2025-12-01&endDateTime=2028-01-01")
        assert [{**each, "body": None} for each in first] == [{"@odata.type": "#microsoft.graph.event", **{
            name: value for name, value in read.items() if name != "@odata.context"}, "body": None}]  # fmt: skip

"""Google's events in the words of every calendar, and back: times, series, guests, markup, hostile values."""

from datetime import UTC, date, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from connectors import calendars as words
from connectors.calendars import EVENT, EVENT_SCHEMA, guests_of
from connectors.contract import Ref
from connectors.errors import MappingError, Rejected
from connectors.google.event_codec import MARKER_KEY, is_gone, is_series, is_sound, read_event, when_of, write_body
from connectors.mailboxes import CATEGORIES, FOREIGN_ID
from connectors.when import days, timed

ANN = "ann@customer.example"


def event(**more):
    """Returns an event as Google tells it."""
    return {
        "kind": "calendar#event",
        "id": "e1",
        "etag": '"3388800000000000"',
        "status": "confirmed",
        "created": "2026-11-20T09:00:00.000Z",
        "updated": "2026-11-21T09:00:00.000Z",
        "summary": "Demo",
        "description": "<b>Agenda</b><br>1. Pumps &amp; valves<script>x()</script>",
        "location": "Room 2",
        "organizer": {"email": ANN, "self": True},
        "start": {"dateTime": "2026-11-25T10:00:00+01:00", "timeZone": "Europe/Paris"},
        "end": {"dateTime": "2026-11-25T10:30:00+01:00", "timeZone": "Europe/Paris"},
        "iCalUID": "e1@google.com",
        "reminders": {"useDefault": True},
        **more,
    }


def read(**more):
    return read_event(event(**more), "Ann@customer.example")


def test_an_event_is_told_in_the_words_of_every_calendar():
    record = read(extendedProperties={"private": {MARKER_KEY: "00U1", "other": "x"}})
    told = record.fields
    assert record.ref == Ref("google", EVENT, "e1") and record.version == '"3388800000000000"'
    assert (told["subject"], told["location"], told[words.BODY]) == ("Demo", "Room 2", "Agenda\n1. Pumps & valves")
    assert told[words.WHEN] == "2026-11-25T09:00:00Z/2026-11-25T09:30:00Z"
    assert (told[words.SHOW_AS], told[words.REMINDER], told[words.SENSITIVITY]) == (words.BUSY, None, words.NORMAL)
    assert (told[words.KIND], told[words.UID], told[words.ORGANIZER]) == (words.SINGLE, "e1@google.com", ANN)
    assert told[words.IS_ORGANIZER] is True and told[words.RESPONSE] == words.NONE and told[FOREIGN_ID] == "00U1"
    assert set(told) == set(EVENT_SCHEMA.attributes) - {CATEGORIES}


def test_whole_days_are_dates():
    assert read(start={"date": "2026-11-25"}, end={"date": "2026-11-26"}).fields[words.WHEN] == "2026-11-25/2026-11-26"


def test_an_event_without_an_end_has_no_length():
    assert when_of(event(end=None, endTimeUnspecified=True)).length == timedelta(0)


@pytest.mark.parametrize(
    "spoilt",
    [
        {"start": None},
        {"start": {"date": "soon"}},
        {"start": {"dateTime": "2026-11-25T10:00:00"}},
        {"end": {"date": "2026-11-26"}},
        {"id": 7},
        {"etag": ""},
    ],
)
def test_what_cannot_be_read_is_not_sound(spoilt):
    assert is_sound(event()) and not is_sound(event(**spoilt)) and not is_sound("x")


def test_a_meeting_tells_its_guests_and_ones_own_answer():
    room = {"email": "room2@customer.example", "resource": True, "responseStatus": "accepted"}
    me = {"email": ANN, "self": True, "responseStatus": "tentative"}
    bo = {"email": "Bo@acme.example", "displayName": "Bo Lind", "organizer": True, "responseStatus": "accepted"}
    record = read(organizer={"email": "bo@acme.example"}, attendees=[bo, me, room, {"displayName": "nobody"}, "x"])
    assert [(g.address, g.type, g.response) for g in guests_of(record)] == [
        ("bo@acme.example", words.REQUIRED, words.ORGANIZES),
        (ANN, words.REQUIRED, words.PERHAPS),
        ("room2@customer.example", words.RESOURCE, words.ACCEPTED),
    ]
    assert record.fields[words.IS_ORGANIZER] is False and record.fields[words.RESPONSE] == words.PERHAPS
    assert read(attendees=[bo]).fields[words.RESPONSE] == words.ORGANIZES


def test_c23_an_occurrence_is_known_by_its_series_and_first_start():
    first = {"recurringEventId": "m1", "originalStartTime": {"dateTime": "2026-11-25T10:00:00+01:00"}}
    kept, moved = read(**first).fields, read(**first, start={"dateTime": "2026-11-25T09:15:00Z"}).fields
    assert (kept[words.KIND], moved[words.KIND]) == (words.OCCURRENCE, words.EXCEPTION)
    assert kept[words.ORIGINAL_START] == moved[words.ORIGINAL_START] == "2026-11-25T09:00:00Z" and kept[words.SERIES] == "m1"
    assert is_series(event(recurrence=["RRULE:FREQ=DAILY"])) and not is_series(event(recurrence=[]))


@pytest.mark.parametrize(
    ("row", "field", "value"),
    [
        ({"transparency": "transparent"}, words.SHOW_AS, words.FREE),
        ({"status": "tentative"}, words.SHOW_AS, words.TENTATIVE),
        ({"eventType": "outOfOffice"}, words.SHOW_AS, words.OUT),
        ({"visibility": "private"}, words.SENSITIVITY, words.PRIVATE),
        ({"visibility": "public"}, words.SENSITIVITY, words.NORMAL),
        ({"reminders": {"useDefault": False, "overrides": [{"method": "email", "minutes": 5}, {"method": "popup", "minutes": 10}]}},
         words.REMINDER, 10),
        ({"eventType": "birthday"}, words.ORIGIN, words.SPECIAL),
        ({"eventType": "fromGmail"}, words.ORIGIN, words.PLAIN),
    ],
)  # fmt: skip
def test_each_property_in_turn(row, field, value):
    assert read(**row).fields[field] == value


def test_what_is_gone_says_so():
    assert is_gone({"id": "e1", "status": "cancelled"}) and not is_gone(event())


def test_a_write_sends_what_is_named_and_no_more():
    assert write_body({"subject": "New", words.BODY: None}) == {"summary": "New", "description": ""}
    assert write_body({FOREIGN_ID: "00U1"}) == {"extendedProperties": {"private": {MARKER_KEY: "00U1"}}}
    assert write_body({words.SHOW_AS: words.FREE, words.SENSITIVITY: words.PRIVATE}) == {
        "transparency": "transparent",
        "visibility": "private",
    }
    assert write_body({words.REMINDER: None}) == {"reminders": {"useDefault": False, "overrides": []}}
    with pytest.raises(MappingError):
        write_body({words.UID: "x"})
    with pytest.raises(Rejected):
        write_body({words.WHEN: "soon"})


def test_an_event_that_becomes_one_of_whole_days_keeps_no_time():
    body = write_body({words.WHEN: "2026-11-25/2026-11-26"})
    assert body["start"] == {"date": "2026-11-25", "dateTime": None, "timeZone": None} and body["end"]["date"] == "2026-11-26"


@given(st.datetimes(datetime(2000, 1, 1), datetime(2100, 1, 1), timezones=st.just(UTC)), st.integers(0, 5000), st.booleans())
def test_what_is_written_is_read_again(start, minutes, is_all_day):
    when = days(start.date(), date.fromordinal(start.toordinal() + 1 + minutes // 1440)) if is_all_day else timed(
        start, start + timedelta(minutes=minutes)
    )  # fmt: skip
    body = {name: {k: v for k, v in at.items() if v is not None} for name, at in write_body({words.WHEN: when.text}).items()}
    assert when_of(event(**body)) == when


@given(st.text(max_size=300))
def test_no_text_is_too_strange(text):
    told = read(summary=text, description=f"<p>{text}", location=text).fields
    assert "\0" not in str(told["subject"]) + str(told[words.BODY])

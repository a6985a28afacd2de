"""The played Graph's calendar: events, how they are written and read, searched and refused."""

from urllib.parse import quote

import pytest

from tests.sandbox.graph import ANN, BOB, IMMUTABLE, OURS, refused

START = {"dateTime": "2026-12-01T10:00:00", "timeZone": "UTC"}
END = {"dateTime": "2026-12-01T10:30:00", "timeZone": "UTC"}
DAY = {"start": {"dateTime": "2026-12-24T00:00:00", "timeZone": "W. Europe Standard Time"},
       "end": {"dateTime": "2026-12-27T00:00:00", "timeZone": "W. Europe Standard Time"}, "isAllDay": True}  # fmt: skip
TEXT = {"Prefer": 'outlook.body-content-type="text"'}


def make(graph, headers=None, **values):
    return graph.create("events", headers, **{"subject": "Renewal call", "start": START, "end": END, **values})


def patch(graph, id_, headers=None, **values):
    return graph.call("PATCH", f"events/{quote(id_)}", json=values, headers=headers)


def changed(graph, id_, **values):
    answer = patch(graph, id_, **values)
    assert answer.status_code == 200, answer.text
    return answer.json()


def read(graph, id_, headers=None, **params):
    return graph.get(f"events/{quote(id_)}", headers, **params)


def subjects(graph, **params):
    return [each["subject"] for each in graph.all("events", **params)]


# --- one event ------------------------------------------------------------------------------------------------------------
def test_a_new_event_has_what_was_not_said(graph):
    made = make(graph)

    assert made["start"] == {"dateTime": "2026-12-01T10:00:00.0000000", "timeZone": "UTC"}
    assert made["type"] == "singleInstance" and made["recurrence"] is None and made["seriesMasterId"] is None
    assert (made["showAs"], made["sensitivity"], made["importance"], made["isReminderOn"]) == ("busy", "normal", "normal", True)
    assert made["responseStatus"] == {"response": "organizer", "time": "0001-01-01T00:00:00Z"} and made["isOrganizer"]
    assert made["organizer"] == {"emailAddress": {"name": "Ann Archer", "address": ANN}} and made["attendees"] == []
    assert made["@odata.etag"] == f'W/"{made["changeKey"]}"' and read(graph, made["id"]) == made
    assert graph.world.microsoft.mails == []


def test_times_are_read_in_the_zone_that_is_asked_for_and_keep_where_they_came_from(graph):
    berlin = {"timeZone": "Europe/Berlin"}
    made = make(graph, start={"dateTime": "2026-12-01T10:00:00.0000000", **berlin}, end={"dateTime": "2026-12-01T11:00", **berlin})

    assert made["start"]["dateTime"] == "2026-12-01T09:00:00.0000000" and made["originalStartTimeZone"] == "W. Europe Standard Time"
    there = read(graph, made["id"], {"Prefer": 'outlook.timezone="Pacific Standard Time"'})
    assert there["end"] == {"dateTime": "2026-12-01T02:00:00.0000000", "timeZone": "Pacific Standard Time"}
    wrong = graph.call("GET", "events", headers={"Prefer": 'outlook.timezone="Nowhere"'})
    assert refused(wrong) == (400, "TimeZoneNotSupportedException")


def test_whole_days_read_as_midnights_whatever_zone_is_asked_for(graph):
    made = make(graph, **DAY)

    assert (made["start"]["dateTime"][:19], made["end"]["dateTime"][:19]) == ("2026-12-24T00:00:00", "2026-12-27T00:00:00")
    there = read(graph, made["id"], {"Prefer": 'outlook.timezone="Tokyo Standard Time"'})
    assert there["start"] == {"dateTime": "2026-12-24T00:00:00.0000000", "timeZone": "Tokyo Standard Time"}
    graph.switch(all_day_floats=False)
    assert read(graph, made["id"])["start"]["dateTime"] == "2026-12-23T23:00:00.0000000"


@pytest.mark.parametrize(
    "values",
    [
        {"isAllDay": True},
        {**DAY, "end": {"dateTime": "2026-12-24T00:00:00", "timeZone": "W. Europe Standard Time"}},
        {**DAY, "end": {"dateTime": "2026-12-27T00:00:00", "timeZone": "UTC"}},
        {"end": {"dateTime": "2026-12-01T09:00:00", "timeZone": "UTC"}},
        {"start": {"dateTime": "2026-12-01T10:00:00+01:00", "timeZone": "UTC"}},
        {"start": {"dateTime": "2026-12-01T10:00:00", "timeZone": "Mars"}},
        {"start": None},
        {"showAs": "away"},
        {"isAllDay": "perhaps"},
        {"categories": ["a", 5]},
        {"attendees": [{"emailAddress": {"address": "nobody"}}]},
        {"location": {"name": "Room"}},
        {"colour": "red"},
        {"iCalUId": "x"},
        {"reminderMinutesBeforeStart": "15"},
        {"singleValueExtendedProperties": [{"id": "CrmRecordId", "value": "x"}]},
    ],
)
def test_what_makes_no_sense_is_refused_and_makes_nothing(graph, values):
    body = {"subject": "x", "start": START, "end": END, **values}
    answer = graph.call("POST", "events", json=body)

    assert refused(answer)[0] == 400 and graph.all("events") == []


def test_a_change_sets_only_what_it_names(graph):
    made = make(graph, location={"displayName": "Room 1"}, categories=["Blue"])

    after = changed(graph, made["id"], categories=["Blue", "Salesforce"], sensitivity="private", location=None)

    assert after["categories"] == ["Blue", "Salesforce"] and after["sensitivity"] == "private" and after["locations"] == []
    same = set(made) - {"categories", "sensitivity", "location", "locations", "changeKey", "@odata.etag"}
    assert {name: after[name] for name in same} == {name: made[name] for name in same} and after["changeKey"] != made["changeKey"]


def test_locations_and_location_are_one_thing(graph):
    made = make(graph, location={"displayName": "Room 1", "address": {"city": "Leeds"}})
    assert made["location"]["displayName"] == "Room 1" and [each["displayName"] for each in made["locations"]] == ["Room 1"]

    after = changed(graph, made["id"], locations=[{"displayName": "Room 2"}, {"displayName": "Café", "locationType": "restaurant"}])

    assert after["location"]["displayName"] == "Room 2; Café" and len(after["locations"]) == 2


def test_a_body_is_html_unless_text_is_preferred(graph):
    made = make(graph, TEXT, body={"contentType": "HTML", "content": "<p>One &amp; two</p><p>three<br>four</p>"})
    assert made["body"] == {"contentType": "text", "content": "One & two\r\nthree\r\nfour"} and made["bodyPreview"].startswith("One & two")
    assert "<p>One &amp; two</p>" in read(graph, made["id"])["body"]["content"]

    plain = make(graph, body={"contentType": "text", "content": "a < b\nc"})

    assert plain["body"]["contentType"] == "html" and "a &lt; b<br>" in plain["body"]["content"]
    assert read(graph, plain["id"], TEXT)["body"]["content"] == "a < b\nc"


def test_a_repeated_create_with_its_transaction_id_makes_one_event(graph):
    first, again = make(graph, transactionId="t-1"), make(graph, transactionId="t-1")
    other = make(graph, transactionId="t-2")

    assert first["id"] == again["id"] != other["id"] and len(graph.all("events")) == 2
    assert refused(patch(graph, first["id"], transactionId="t-3")) == (400, "ErrorInvalidPropertySet")
    graph.call("DELETE", f"events/{quote(first['id'])}")
    assert make(graph, transactionId="t-1")["id"] != first["id"]


def test_a_write_on_an_old_version_is_refused(graph):
    made = make(graph)
    changed(graph, made["id"], subject="Other")

    stale = {"If-Match": made["@odata.etag"]}
    assert refused(patch(graph, made["id"], stale, subject="Mine")) == (412, "ErrorIrresolvableConflict")
    assert refused(graph.call("DELETE", f"events/{quote(made['id'])}", headers=stale)) == (412, "ErrorIrresolvableConflict")
    assert read(graph, made["id"])["subject"] == "Other"


def test_a_new_event_gets_another_change_key_by_itself_after_a_while(graph):
    graph.switch(settle_seconds=3)
    made = make(graph)
    graph.clock.forward(4)

    assert refused(patch(graph, made["id"], {"If-Match": made["@odata.etag"]}, subject="x"))[0] == 412


def test_a_deleted_event_is_gone_and_its_id_is_no_contact(graph):
    made, contact = make(graph), graph.create(surname="Li")

    assert refused(graph.call("GET", f"contacts/{quote(made['id'])}"))[0] == 404
    assert refused(graph.call("GET", f"events/{quote(contact['id'])}"))[0] == 404
    assert refused(graph.call("GET", f"/users/{BOB}/events/{quote(made['id'])}"))[0] == 404
    assert refused(graph.call("GET", "events/delta")) == (400, "ErrorInvalidIdMalformed")
    assert graph.call("DELETE", f"events/{quote(made['id'])}").status_code == 204
    assert refused(graph.call("GET", f"events/{quote(made['id'])}")) == (404, "ErrorItemNotFound")
    other = make(graph)
    assert graph.call("POST", f"events/{quote(other['id'])}/permanentDelete").status_code == 204 and graph.all("events") == []


def test_immutable_ids_are_others_and_both_are_translated(graph):
    made = make(graph)
    (immutable,) = (each["id"] for each in graph.all("events", IMMUTABLE))
    assert immutable != made["id"] and read(graph, immutable)["id"] == made["id"]

    asked = {"inputIds": [made["id"]], "sourceIdType": "restId", "targetIdType": "restImmutableEntryId"}
    told = graph.call("POST", "translateExchangeIds", json=asked).json()["value"]

    assert told == [{"sourceId": made["id"], "targetId": immutable}]


def test_an_online_meeting_stays_one(graph):
    made = make(graph, isOnlineMeeting=True)
    assert made["onlineMeetingProvider"] == "teamsForBusiness" and made["onlineMeeting"]["joinUrl"].startswith("https://")

    assert changed(graph, made["id"], isOnlineMeeting=False)["isOnlineMeeting"] is True


# --- lists --------------------------------------------------------------------------------------------------------------------
@pytest.fixture
def three(graph):
    make(graph, subject="A", categories=["Salesforce"], singleValueExtendedProperties=[{"id": OURS, "value": "00UA"}])
    graph.clock.forward(60)
    make(graph, subject="B", start={"dateTime": "2026-12-02T10:00", "timeZone": "UTC"}, end={"dateTime": "2026-12-02T11:00"})
    graph.clock.forward(60)
    make(graph, subject="C", sensitivity="private")
    return graph


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("categories/any(c:c eq 'salesforce')", ["A"]),
        ("lastModifiedDateTime ge 2026-11-01T10:01:00Z", ["B", "C"]),
        ("createdDateTime ge 2026-11-01T12:01:30+02:00", ["C"]),
        ("start/dateTime ge '2026-12-02T00:00'", ["B"]),
        ("subject eq 'a' or sensitivity eq 'private'", ["A", "C"]),
        (f"singleValueExtendedProperties/Any(ep: ep/id eq '{OURS}' and ep/value eq '00ua')", ["A"]),
        ("isAllDay eq true", []),
        ("type eq 'singleInstance' and not startswith(subject, 'B')", ["A", "C"]),
    ],
)
def test_a_list_is_filtered(three, text, found):
    assert subjects(three, filter=text) == found


def test_a_meeting_is_found_by_its_i_cal_uid(three):
    wanted = three.all("events")[1]
    assert [each["id"] for each in three.all("events", filter=f"iCalUId eq '{wanted['iCalUId']}'")] == [wanted["id"]]


@pytest.mark.parametrize("text", ["body/content eq 'x'", "attendees/any(a:a eq 'x')", "start/dateTime ge 'soon'", "categories/any()"])
def test_what_cannot_be_filtered_by_is_refused(three, text):
    assert refused(three.call("GET", "events", params={"$filter": text}))[0] == 400


def test_lists_are_ordered_cut_and_chosen_from(three):
    assert subjects(three, orderby="start/dateTime desc", top="1") == ["B", "A", "C"]
    assert set(three.get("events", select="subject")["value"][0]) == {"@odata.etag", "id", "subject"}
    assert refused(three.call("GET", "events", params={"$select": "colour"}))[0] == 400
    expand = f"singleValueExtendedProperties($filter=id eq '{OURS}')"
    told = three.all("events", expand=expand)
    assert [each.get("singleValueExtendedProperties") for each in told] == [[{"id": OURS, "value": "00UA"}], None, None]
    assert refused(three.call("GET", "events", params={"$expand": "attachments"}))[0] == 400


def test_the_calendar_answers_by_every_address(three):
    (calendar,) = three.all("calendars")
    assert calendar["isDefaultCalendar"] and calendar["owner"]["address"] == ANN and three.get("calendar")["id"] == calendar["id"]

    lists = [three.all(f"{place}events") for place in ("", "calendar/", f"calendars/{quote(calendar['id'])}/")]

    assert lists[0] == lists[1] == lists[2] and three.create("calendar/events", subject="D", start=START, end=END)["subject"] == "D"
    assert refused(three.call("POST", "calendars", json={"name": "Other"}))[0] == 405
    assert refused(three.call("GET", "calendars/x"))[0] == 400 and refused(three.call("GET", "calendar/colour"))[0] == 400


def test_the_app_needs_the_permission_for_calendars(graph):
    made = make(graph)
    graph.switch(permissions="Calendars.Read Contacts.ReadWrite")
    graph.system.expire_tokens()

    assert graph.all("events")[0]["id"] == made["id"] and refused(patch(graph, made["id"], subject="x")) == (403, "ErrorAccessDenied")
    graph.switch(permissions="Contacts.ReadWrite")
    graph.system.expire_tokens()
    assert refused(graph.call("GET", "calendarView?startDateTime=2026-12-01&endDateTime=2026-12-02")) == (403, "ErrorAccessDenied")


def test_events_are_written_in_a_batch_and_called_by_their_forms(graph):
    told = graph.batch(
        {"method": "POST", "url": f"/users/{ANN}/events", "headers": {"Content-Type": "application/json"},
         "body": {"subject": "x", "start": START, "end": END}},
        {"url": f"/users/{ANN}/calendarView?startDateTime=2026-12-01&endDateTime=2026-12-02"},
    )  # fmt: skip

    assert [told[n]["status"] for n in "12"] == [201, 200]
    made = told["1"]["body"]
    read(graph, made["id"])
    assert "GET /v1.0/users/{id}/events/{id}" in graph.world.counts["microsoft"]
    assert graph.parts()[0]["mailbox"] == ANN and graph.parts()[0]["folder"] == "Calendar"

"""The played Calendar: events, their times, versions, lists and sync tokens, and what is refused."""

from typing import Any

import pytest
import requests

from tests.sandbox.google_services import AUTH, EVENTS, GINA, HUGO, OUTSIDER, Office, at, days, invited

BAD_TIMES: list[tuple[dict[str, Any], str]] = [
    ({"end": {"date": "2026-11-26"}}, "required"),
    ({"start": {"date": "2026-11-25"}}, "required"),
    ({"start": {"date": "2026-11-25"}, "end": {"dateTime": "2026-11-25T10:00:00Z"}}, "invalid"),
    ({"start": {"dateTime": "2026-11-25T10:00:00"}, "end": {"dateTime": "2026-11-25T11:00:00"}}, "required"),
    (at("2026-11-25T11:00:00Z", "2026-11-25T10:00:00Z"), "timeRangeEmpty"),
    (days("2026-11-25", "2026-11-25"), "timeRangeEmpty"),
    (days("2026-02-30", "2026-03-01"), "invalid"),
    (at("2026-11-25T10:00:00", "2026-11-25T11:00:00", "Mars/Crater"), "invalid"),
    ({**at("2026-11-25T10:00:00Z", "2026-11-25T11:00:00Z"), "recurrence": ["RRULE:FREQ=DAILY"]}, "required"),
    ({**days("2026-11-25", "2026-11-26"), "recurrence": ["RRULE:FREQ=HOURLY"]}, "invalid"),
]
BAD_FIELDS: list[dict[str, Any]] = [
    {"status": "maybe"}, {"visibility": "hidden"}, {"transparency": "glass"}, {"colorId": "99"}, {"attendees": [{"email": "nobody"}]},
    {"attendees": [{"displayName": "Bo"}]}, {"attendees": [{"email": OUTSIDER, "responseStatus": "perhaps"}]}, {"planet": "Mars"},
    {"reminders": {"overrides": [{"method": "pigeon", "minutes": 5}]}}, {"reminders": {"overrides": [{"method": "popup", "minutes": -1}]}},
    {"reminders": {"useDefault": True, "overrides": [{"method": "popup", "minutes": 5}]}}, {"summary": 5}, {"attendees": "bo"},
    {"extendedProperties": {"private": {"k" * 45: "v"}}}, {"extendedProperties": {"private": {"k": "v" * 1025}}}, {"id": "UPPER"},
    {"id": "abc"}, {"eventType": "outOfOffice"}, {"id": "abcde", "iCalUID": "x@y"}, {"start": {"date": 5}},
]  # fmt: skip


@pytest.fixture
def office():
    with requests.Session() as session:
        session.trust_env = False
        yield Office(session)


def with_token(office, *, mailbox=GINA, **params):
    return office.sync(mailbox=mailbox, **params)[1]


# --- one event ----------------------------------------------------------------------------------------------------------
def test_an_event_is_given_back_with_what_only_the_server_knows(office):
    made = office.insert(id="sf00u5e00000abcd", extendedProperties={"private": {"sfEventId": "00U1"}}, reminders={"useDefault": True})

    assert made["iCalUID"] == "sf00u5e00000abcd@google.com" and made["kind"] == "calendar#event" and made["status"] == "confirmed"
    assert made["creator"] == made["organizer"] == {"email": GINA, "displayName": "Gina Example", "self": True}
    assert made["start"] == {"dateTime": "2026-11-25T10:00:00Z", "timeZone": "Europe/London"}
    assert (made["sequence"], made["eventType"], made["created"]) == (0, "default", "2026-11-01T10:00:00.000Z")
    assert not {"transparency", "visibility", "guestsCanModify", "attendees"} & set(made)
    assert office.event("sf00u5e00000abcd") == made
    assert office.good("GET", f"/calendar/v3/calendars/{GINA}/events/{made['id']}") == made


def test_an_id_is_given_away_once_also_after_the_event_is_deleted(office):
    office.insert(id="abcde")
    body = {**days("2026-11-25", "2026-11-26"), "id": "abcde"}
    assert office.refused("POST", EVENTS, json=body) == (409, "duplicate")

    office.delete("abcde")

    assert office.refused("POST", EVENTS, json=body) == (409, "duplicate")
    assert office.refused("DELETE", f"{EVENTS}/abcde") == (410, "deleted")
    assert office.event("abcde")["status"] == "cancelled"
    assert office.patch("abcde", status="confirmed")["status"] == "confirmed" and len(office.listed()) == 1
    assert office.insert(mailbox=HUGO, id="abcde")["id"] == "abcde"


def test_days_and_instants_are_kept_as_they_are_meant(office):
    day = office.insert(**days("2026-11-25", "2026-11-27"))
    wall = office.insert(**at("2026-07-01T10:00:00", "2026-07-01T11:00:00", "Europe/Paris"))
    shifted = office.insert(**at("2026-07-01T10:00:00-04:00", "2026-07-01T11:00:00-04:00", "Europe/Paris"))

    assert (day["start"], day["end"]) == ({"date": "2026-11-25"}, {"date": "2026-11-27"})
    assert wall["start"] == {"dateTime": "2026-07-01T09:00:00+01:00", "timeZone": "Europe/Paris"}
    assert shifted["start"] == {"dateTime": "2026-07-01T15:00:00+01:00", "timeZone": "Europe/Paris"}
    there = office.get(f"{EVENTS}/{wall['id']}", timeZone="America/New_York")
    assert there["start"] == {"dateTime": "2026-07-01T04:00:00-04:00", "timeZone": "Europe/Paris"}


@pytest.mark.parametrize(("times", "reason"), BAD_TIMES)
def test_times_that_make_no_event_are_refused(office, times, reason):
    assert office.refused("POST", EVENTS, json=times) == (400, reason)


@pytest.mark.parametrize("fields", BAD_FIELDS)
def test_what_is_no_part_of_an_event_is_refused(office, fields):
    status, _ = office.refused("POST", EVENTS, json={**days("2026-11-25", "2026-11-26"), **fields})
    assert status == 400 and office.listed() == []


def test_a_patch_merges_objects_and_replaces_lists(office):
    made = office.insert(
        attendees=invited(OUTSIDER, "cy@acme.example"),
        extendedProperties={"private": {"a": "1", "b": "2"}, "shared": {"c": "3"}},
        description="Agenda",
    )

    changed = office.patch(
        made["id"], attendees=invited("cy@acme.example"), extendedProperties={"private": {"a": None, "d": "4"}}, description=None
    )

    assert [each["email"] for each in changed["attendees"]] == ["cy@acme.example"] and "description" not in changed
    assert changed["extendedProperties"] == {"private": {"b": "2", "d": "4"}, "shared": {"c": "3"}}
    assert changed["summary"] == "Demo" and changed["etag"] != made["etag"]
    # A day beside an instant is neither: the instant has to be taken away.
    assert office.refused("PATCH", f"{EVENTS}/{made['id']}", json=days("2026-12-01", "2026-12-02")) == (400, "invalid")
    gone = {"dateTime": None, "timeZone": None}
    day = office.patch(made["id"], start={"date": "2026-12-01", **gone}, end={"date": "2026-12-02", **gone})
    assert (day["start"], day["sequence"]) == ({"date": "2026-12-01"}, 1)


def test_a_put_replaces_the_event(office):
    made = office.insert(description="Agenda", visibility="private", transparency="transparent", location="Room 2")

    body = {"summary": "New", **days("2026-11-25", "2026-11-26")}
    changed = office.good("PUT", f"{EVENTS}/{made['id']}", json=body)

    assert not {"description", "visibility", "transparency", "location"} & set(changed) and changed["summary"] == "New"
    assert office.refused("PUT", f"{EVENTS}/{made['id']}", json={"summary": "No times"}) == (400, "required")


def test_a_write_may_ask_for_the_version_it_was_made_from(office):
    made = office.insert()
    office.patch(made["id"], summary="Other")

    for method, body in (("PATCH", {"summary": "Mine"}), ("PUT", days("2026-11-25", "2026-11-26")), ("DELETE", None)):
        stale = office.refused(method, f"{EVENTS}/{made['id']}", json=body, headers={"If-Match": made["etag"]})
        assert stale == (412, "conditionNotMet")

    present = office.event(made["id"])
    assert office.call("GET", f"{EVENTS}/{made['id']}", headers={"If-None-Match": present["etag"]}).status_code == 304
    good = office.call("PATCH", f"{EVENTS}/{made['id']}", json={"summary": "Mine"}, headers={"If-Match": present["etag"]})
    assert good.json()["summary"] == "Mine"


def test_reminders_are_no_change_of_the_event_itself(office):
    made = office.insert()
    office.clock.forward(60)

    changed = office.patch(made["id"], reminders={"useDefault": False, "overrides": [{"method": "popup", "minutes": 15}]})

    assert changed["updated"] == made["updated"] and changed["etag"] != made["etag"]
    assert office.patch(made["id"], summary="New")["updated"] == "2026-11-01T10:01:00.000Z"


def test_an_old_sequence_number_is_refused(office):
    made = office.insert()
    moved = office.patch(made["id"], **at("2026-11-26T10:00:00Z", "2026-11-26T10:30:00Z"))
    assert (moved["sequence"], office.patch(made["id"], summary="New", sequence=5)["sequence"]) == (1, 5)
    assert office.refused("PATCH", f"{EVENTS}/{made['id']}", json={"summary": "Old", "sequence": 1}) == (400, "invalid")


def test_an_import_is_a_private_copy_found_by_its_uid(office):
    body = {"iCalUID": "meeting@crm.example", "organizer": {"email": OUTSIDER}, "attendees": invited(GINA, HUGO), "summary": "Demo"}
    made = office.good("POST", f"{EVENTS}/import", json={**body, **days("2026-11-25", "2026-11-26")})
    again = office.good("POST", f"{EVENTS}/import", json={**body, **days("2026-11-26", "2026-11-27"), "summary": "Moved"})

    assert made["privateCopy"] and made["organizer"] == {"email": OUTSIDER} and again["id"] == made["id"]
    assert [each["summary"] for each in office.listed(iCalUID="meeting@crm.example")] == ["Moved"]
    assert office.listed(mailbox=HUGO) == [] and office.mails() == []
    assert office.refused("POST", f"{EVENTS}/import", json=days("2026-11-26", "2026-11-27")) == (400, "required")


def test_conferences_and_attachments_are_written_by_who_knows_them(office):
    conference = {"conferenceData": {"conferenceId": "abc", "notes": "Dial in"}}
    made = office.insert(**conference)
    assert "conferenceData" not in made
    made = office.insert(params={"conferenceDataVersion": "1"}, **conference)
    assert "conferenceData" in office.good("PUT", f"{EVENTS}/{made['id']}", json=days("2026-11-25", "2026-11-26"))


# --- lists --------------------------------------------------------------------------------------------------------------
def test_a_list_finds_by_time_words_properties_and_uid(office):
    first = office.insert(summary="Lunch with Bo", extendedProperties={"private": {"crm": "1"}, "shared": {"team": "a"}})
    office.insert(summary="Dinner", attendees=invited(OUTSIDER), **days("2026-12-24", "2026-12-25"))

    def names(**params):
        return [each["summary"] for each in office.listed(**params)]

    assert names(q="bo") == ["Lunch with Bo", "Dinner"] and names(q="lunch BO") == ["Lunch with Bo"] and names(q="acme") == ["Dinner"]
    assert names(privateExtendedProperty="crm=1") == ["Lunch with Bo"] and names(privateExtendedProperty=["crm=1", "crm=2"]) == []
    assert names(sharedExtendedProperty="team=a") == ["Lunch with Bo"] and names(iCalUID=first["iCalUID"]) == ["Lunch with Bo"]
    assert names(timeMin="2026-11-25T10:30:00Z") == ["Dinner"] and names(timeMax="2026-11-25T10:00:00Z") == []
    assert names(timeMin="2026-11-25T10:29:00Z", timeMax="2026-11-25T11:31:00+01:00") == ["Lunch with Bo"]
    assert names(orderBy="startTime", singleEvents=True) == ["Lunch with Bo", "Dinner"] and names(eventTypes="outOfOffice") == []
    assert names(q="bo", maxAttendees=1) == ["Lunch with Bo", "Dinner"]


def test_a_list_comes_in_pages_and_only_the_last_one_has_a_token(office):
    for n in range(5):
        office.insert(summary=f"E{n}")

    page = office.get(EVENTS, maxResults=2)

    assert len(page["items"]) == 2 and "nextPageToken" in page and "nextSyncToken" not in page
    assert [each["summary"] for each in office.listed(maxResults=2)] == [f"E{n}" for n in range(5)]
    assert office.refused("GET", EVENTS, params={"pageToken": page["nextPageToken"], "q": "E1"}) == (400, "invalid")
    assert office.refused("GET", EVENTS, params={"pageToken": "x"}) == (400, "invalid")


def test_pages_may_be_short_and_empty(office):
    for n in range(5):
        office.insert(summary=f"E{n}")
    office.switch(events_a_page=2, empty_event_pages=True)

    first = office.get(EVENTS)

    assert first["items"] == [] and "nextPageToken" in first
    assert [each["summary"] for each in office.listed()] == [f"E{n}" for n in range(5)]


def test_a_sync_token_brings_what_changed_and_what_was_deleted(office):
    kept, changed, gone = (office.insert(summary=name)["id"] for name in ("Kept", "Changed", "Gone"))
    _, token = office.sync()
    assert office.sync(token)[0] == []

    office.patch(changed, summary="Changed again")
    office.delete(gone)
    new = office.insert(summary="New")["id"]
    changes, later = office.sync(token, maxResults=1)

    assert {each["id"] for each in changes} == {changed, gone, new} and kept not in {each["id"] for each in changes}
    cancelled = next(each for each in changes if each["id"] == gone)
    assert set(cancelled) == {"kind", "etag", "id", "status"} and cancelled["status"] == "cancelled"
    assert office.sync(later)[0] == [] and len(office.sync(token)[0]) == 3
    assert gone not in {each["id"] for each in office.listed()}


def test_what_changes_while_somebody_pages_comes_with_the_next_sync_too(office):
    ids = [office.insert(summary=f"E{n}")["id"] for n in range(3)]
    page = office.get(EVENTS, maxResults=1)
    office.patch(ids[0], summary="Changed")

    rest = office.get(EVENTS, maxResults=10, pageToken=page["nextPageToken"])

    assert [each["summary"] for each in rest["items"]] == ["E1", "E2", "Changed"]
    assert [each["summary"] for each in office.sync(rest["nextSyncToken"])[0]] == ["Changed"]


@pytest.mark.parametrize(
    "params",
    [
        {"iCalUID": "x"}, {"orderBy": "updated"}, {"privateExtendedProperty": "a=1"}, {"q": "x"}, {"sharedExtendedProperty": "a=1"},
        {"timeMin": "2026-11-01T00:00:00Z"}, {"timeMax": "2026-11-01T00:00:00Z"}, {"updatedMin": "2026-11-01T00:00:00Z"},
        {"showDeleted": "false"}, {"singleEvents": "true"}, {"eventTypes": "default"},
    ],
)  # fmt: skip
def test_a_sync_token_stands_alone(office, params):
    token = with_token(office)
    status, _ = office.refused("GET", EVENTS, params={"syncToken": token, **params})
    assert status == 400


def test_a_sync_token_expires(office):
    token = with_token(office)
    office.clock.forward(7 * 86400 - 1)
    later = office.sync(token)[1]
    office.clock.forward(2)

    answer = office.call("GET", EVENTS, params={"syncToken": token})

    error = answer.json()["error"]["errors"][0]
    assert answer.status_code == 410 and (error["reason"], error["domain"], error["location"]) == (
        "fullSyncRequired",
        "calendar",
        "syncToken",
    )
    assert office.sync(later)[0] == []
    office.switch(sync_token_days=0)
    assert office.refused("GET", EVENTS, params={"syncToken": later})[0] == 410
    assert office.refused("GET", EVENTS, params={"syncToken": "x"}) == (400, "invalid")


def test_a_token_of_another_mailbox_is_none(office):
    token = with_token(office)
    assert office.refused("GET", EVENTS, mailbox=HUGO, params={"syncToken": token}) == (400, "invalid")


def test_deleted_events_are_listed_for_a_time(office):
    gone = office.insert()["id"]
    office.delete(gone)
    office.clock.forward(3600)
    since = {"updatedMin": "2026-11-01T09:00:00Z"}
    assert [each["id"] for each in office.listed(showDeleted=True)] == [gone] and [each["id"] for each in office.listed(**since)] == [gone]
    assert office.listed(updatedMin="2026-11-01T10:30:00Z") == []

    office.clock.forward(31 * 86400)

    assert office.listed(showDeleted=True) == []
    assert office.refused("GET", EVENTS, params=since) == (410, "updatedMinTooLongAgo")


@pytest.mark.parametrize(
    ("params", "token"), [({"timeMin": "2026-11-01T00:00:00Z"}, True), ({"q": "x"}, False), ({"orderBy": "updated"}, False)]
)
def test_a_list_by_words_or_order_gives_no_sync_token(office, params, token):
    assert ("nextSyncToken" in office.get(EVENTS, **params)) == token


@pytest.mark.parametrize(
    ("params", "reason"),
    [
        ({"maxResults": "0"}, "invalid"), ({"orderBy": "startTime"}, "badRequest"), ({"orderBy": "colour"}, "invalid"),
        ({"timeMin": "2026-11-01"}, "badRequest"), ({"timeMin": "2026-11-01T00:00:00"}, "badRequest"), ({"planet": "Mars"}, "badRequest"),
        ({"timeMin": "2026-11-02T00:00:00Z", "timeMax": "2026-11-01T00:00:00Z"}, "timeRangeEmpty"), ({"timeZone": "Mars"}, "invalid"),
        ({"singleEvents": "maybe"}, "badRequest"), ({"privateExtendedProperty": "x"}, "invalid"), ({"eventTypes": "party"}, "badRequest"),
    ],
)  # fmt: skip
def test_a_list_that_makes_no_sense_is_refused(office, params, reason):
    assert office.refused("GET", EVENTS, params=params) == (400, reason)


def test_a_page_may_be_cut_to_some_fields(office):
    office.insert()
    answer = office.get(EVENTS, fields="items(id,summary),nextSyncToken")
    assert set(answer) == {"items", "nextSyncToken"} and set(answer["items"][0]) == {"id", "summary"}


# --- calendars, rights, limits ------------------------------------------------------------------------------------------
def test_everybody_has_one_calendar_and_sees_nobody_elses(office):
    (entry,) = office.get("/calendar/v3/users/me/calendarList")["items"]
    assert (entry["id"], entry["primary"], entry["accessRole"], entry["timeZone"]) == (GINA, True, "owner", "Europe/London")
    assert office.get("/calendar/v3/users/me/calendarList/primary") == entry
    assert office.get("/calendar/v3/calendars/primary")["id"] == GINA
    token = office.get("/calendar/v3/users/me/calendarList")["nextSyncToken"]
    assert office.get("/calendar/v3/users/me/calendarList", syncToken=token)["items"] == []
    made = office.insert(mailbox=HUGO)["id"]
    assert office.refused("GET", f"/calendar/v3/calendars/{HUGO}/events/{made}") == (404, "notFound")
    assert office.refused("GET", f"{EVENTS}/{made}") == (404, "notFound")


@pytest.mark.parametrize(
    ("scope", "reads", "writes", "lists"),
    [
        ("calendar", 200, 200, 200), ("calendar.events", 200, 200, 403), ("calendar.readonly", 200, 403, 200), ("contacts", 403, 403, 403),
    ],
)  # fmt: skip
def test_a_call_needs_the_scope_for_it(office, scope, reads, writes, lists):
    scopes = AUTH + scope
    assert office.call("GET", EVENTS, scopes=scopes).status_code == reads
    write = office.call("POST", EVENTS, scopes=scopes, json=days("2026-11-25", "2026-11-26"))
    assert write.status_code == writes
    assert office.call("GET", "/calendar/v3/users/me/calendarList", scopes=scopes).status_code == lists
    if writes == 403:
        assert write.json()["error"]["errors"][0]["reason"] == "insufficientPermissions"


def test_calls_are_counted_and_services_switched_off(office):
    office.switch(calendar_calls_per_minute=1, quota_status=403)
    office.get(EVENTS)
    assert office.refused("GET", EVENTS) == (403, "rateLimitExceeded")
    office.switch(quota_status=429)
    assert office.refused("GET", EVENTS) == (429, "rateLimitExceeded")
    assert office.call("GET", EVENTS, mailbox=HUGO).status_code == 200
    office.clock.forward(61)
    office.get(EVENTS)
    office.switch(calendar_calls_per_minute=None, disabled_services=["calendar"])
    assert office.refused("GET", EVENTS) == (403, "accessNotConfigured")


def test_without_a_token_and_at_unknown_places_the_older_shape_answers(office):
    answer = office.google.raw("GET", EVENTS)
    assert answer.status_code == 401 and answer.json()["error"]["errors"][0]["reason"] == "authError"
    for method, path in (("GET", "/calendar/v3/planets"), ("POST", f"{EVENTS}/a/b"), ("PUT", EVENTS), ("GET", f"{EVENTS}/a/b/c")):
        assert office.refused(method, path) == (404, "notFound")
    assert office.refused("POST", EVENTS, data=b"{") == (400, "parseError")
    for body in (b"[]", b"5", b'{"gadget":' * 400 + b"1" + b"}" * 400, b'{"summary": "\\ud800"}', b'{"sequence": 1.5}'):
        assert office.refused("POST", EVENTS, data=body) == (400, "badRequest")


@pytest.mark.parametrize(("status", "reason"), [(410, "fullSyncRequired"), (412, "conditionNotMet"), (429, "rateLimitExceeded")])
def test_faults_speak_the_older_shape(office, status, reason):
    fault = {"kind": "status", "system": "google", "path": "/calendar/v3/calendars/{calendar}/events", "options": {"status": status}}
    office.google.world.faults.add({**fault, **fault.pop("options")})
    assert office.refused("GET", EVENTS) == (status, reason)


def test_a_world_that_is_restored_has_its_calendars(office):
    made = office.insert(attendees=invited(HUGO), params={"sendUpdates": "all"})
    token = with_token(office)
    kept = office.system.dump()

    office.system.restore(kept)

    assert office.event(made["id"])["summary"] == "Demo" and office.event(made["id"], HUGO)["organizer"]["email"] == GINA
    assert office.sync(token)[0] == [] and office.mails() == [(GINA, "invitation", [HUGO])]

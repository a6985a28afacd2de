"""The played Calendar and Tasks against Google's own client, and walks over their calls whose every answer fits Google's
description."""

import json

import pytest
import requests
from google.oauth2.credentials import Credentials
from googleapiclient.discovery import build, build_from_document
from googleapiclient.errors import HttpError
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from connectors.sandbox.google import calendar_schema, tasks
from connectors.sandbox.server import SandboxServer
from connectors.sandbox.world import World
from tests.sandbox.google_described import CALENDAR, TASKS, discovery, validator
from tests.sandbox.google_services import EVENTS, GINA, HUGO, OUTSIDER, Office, at, days, invited

WEEKLY = {"summary": "Stand-up", "recurrence": ["RRULE:FREQ=WEEKLY;COUNT=3"], **days("2026-11-25", "2026-11-26")}


def client(control, api, root):
    told = control.call("GET", "/").json()["google"]
    options = {"api_endpoint": told["base_url"] + root}
    return build(*api, credentials=Credentials(token=told["access_token"]), client_options=options, static_discovery=True)


@pytest.fixture
def calendar(control):
    with client(control, CALENDAR, "/calendar/v3/") as made:
        yield made


@pytest.fixture
def tasks_api(control):
    with client(control, TASKS, "/") as made:
        yield made


def raised(call):
    with pytest.raises(HttpError) as caught:
        call.execute()
    return caught.value


# --- google-api-python-client -------------------------------------------------------------------------------------------
def test_the_client_inserts_once_patches_and_deletes(calendar):
    events = calendar.events()
    body = {"id": "abcdef0123", "summary": "Demo", **at("2026-11-25T10:00:00Z", "2026-11-25T10:30:00Z")}
    made = events.insert(calendarId="primary", body=body, sendUpdates="none").execute()
    again = raised(events.insert(calendarId="primary", body=body))
    assert again.status_code == 409 and again.error_details[0]["reason"] == "duplicate"

    patch = events.patch(calendarId="primary", eventId=made["id"], body={"summary": "New"}, sendUpdates="none")
    patch.headers["If-Match"] = made["etag"]
    assert patch.execute()["summary"] == "New"
    assert raised(patch).error_details[0]["reason"] == "conditionNotMet"

    assert events.delete(calendarId="primary", eventId=made["id"]).execute() == ""
    assert raised(events.delete(calendarId="primary", eventId=made["id"])).status_code == 410
    assert events.get(calendarId="primary", eventId=made["id"]).execute()["status"] == "cancelled"


def test_the_client_pages_and_syncs(calendar, control):
    events = calendar.events()
    ids = [events.insert(calendarId="primary", body={**days("2026-11-25", "2026-11-26")}).execute()["id"] for _ in range(3)]
    request, pages = events.list(calendarId="primary", maxResults=2), []
    while request is not None:
        pages.append(request.execute())
        request = events.list_next(request, pages[-1])
    assert [len(page["items"]) for page in pages] == [2, 1] and "nextSyncToken" not in pages[0]

    events.delete(calendarId="primary", eventId=ids[0]).execute()
    changes = events.list(calendarId="primary", syncToken=pages[-1]["nextSyncToken"]).execute()

    assert [(each["id"], each["status"]) for each in changes["items"]] == [(ids[0], "cancelled")]
    control.call("POST", "/switches", {"google": {"sync_token_days": 0}})
    expired = raised(events.list(calendarId="primary", syncToken=pages[-1]["nextSyncToken"]))
    assert expired.status_code == 410 and expired.error_details[0]["reason"] == "fullSyncRequired"


def test_the_client_works_with_a_series(calendar):
    events = calendar.events()
    master = events.insert(calendarId="primary", body=WEEKLY).execute()
    items = events.instances(calendarId="primary", eventId=master["id"]).execute()["items"]
    events.patch(calendarId="primary", eventId=items[1]["id"], body={"summary": "Longer"}).execute()
    events.delete(calendarId="primary", eventId=items[2]["id"]).execute()

    found = events.list(calendarId="primary", singleEvents=True, orderBy="startTime").execute()["items"]
    assert [each["summary"] for each in found] == ["Stand-up", "Longer"]
    assert calendar.calendarList().list().execute()["items"][0]["id"] == GINA


def test_the_client_works_with_tasks(tasks_api):
    lists, api = tasks_api.tasklists(), tasks_api.tasks()
    own = lists.insert(body={"title": "Salesforce"}).execute()["id"]
    task = api.insert(tasklist=own, body={"title": "Call Bo", "due": "2026-11-25T15:00:00Z"}).execute()
    assert task["due"] == "2026-11-25T00:00:00.000Z"

    api.patch(tasklist=own, task=task["id"], body={"status": "completed"}).execute()
    api.move(tasklist=own, task=task["id"], destinationTasklist="@default").execute()

    assert api.list(tasklist=own).execute()["items"] == []
    assert [each["status"] for each in api.list(tasklist="@default").execute()["items"]] == ["completed"]
    assert api.clear(tasklist="@default").execute() == "" and api.list(tasklist="@default").execute()["items"] == []
    assert api.delete(tasklist="@default", task=task["id"]).execute() == ""
    polled = api.list(tasklist="@default", updatedMin="2020-01-01T00:00:00Z", showDeleted=True, showHidden=True).execute()["items"]
    assert [each["deleted"] for each in polled] == [True]
    assert lists.delete(tasklist=own).execute() == "" and raised(lists.get(tasklist=own)).status_code == 404


def test_the_client_sends_a_batch(control):
    told = control.call("GET", "/").json()["google"]
    document = {**discovery(CALENDAR), "rootUrl": told["base_url"] + "/", "baseUrl": told["base_url"] + "/calendar/v3/"}
    document.pop("mtlsRootUrl", None)
    answers = {}
    with build_from_document(document, credentials=Credentials(token=told["access_token"])) as api:
        batch = api.new_batch_http_request(callback=lambda id_, answer, error: answers.update({id_: answer or error.status_code}))
        for id_ in ("abcde", "abcdf", "abcde"):
            batch.add(api.events().insert(calendarId="primary", body={"id": id_, "summary": "Ä", **days("2026-11-25", "2026-11-26")}))
        batch.add(api.events().delete(calendarId="primary", eventId="nothing"))
        batch.execute()

    assert [each if isinstance(each, int) else each["summary"] for each in answers.values()] == ["Ä", "Ä", 409, 404]
    (call,) = [each for each in control.call("GET", "/calls").json()["calls"] if each["path"] == "/batch/calendar/v3"]
    assert [part["status"] for part in call["parts"]] == [200, 200, 409, 404] and call["user"] == GINA


@pytest.mark.parametrize(
    ("content_type", "body"),
    [("application/json", "{}"), ("multipart/mixed; boundary=B", ""), ("multipart/mixed; boundary=B", "--B\n\nGET nowhere\n--B--")],
)
def test_what_is_no_batch_is_refused(google, content_type, body):
    headers = {"Content-Type": content_type, "Authorization": f"Bearer {google.token(GINA)}"}
    answer = google.raw("POST", "/batch", data=body, headers=headers)
    assert answer.status_code == 400 and answer.json()["error"]["errors"][0]["reason"] == "badRequest"


# --- the control port ---------------------------------------------------------------------------------------------------
def test_the_control_port_shows_mails_and_records(control):
    values = {"mailbox": GINA, "summary": "Lunch", "start": "2026-11-25T12:00:00", "attendees": [OUTSIDER]}
    made = control.call("POST", "/records/google/event", values).json()
    assert control.call("GET", f"/records/google/event/{made['eventId']}").json() == made

    (mail,) = control.call("GET", "/mails?system=google").json()["mails"]

    assert {name: mail[name] for name in ("system", "mailbox", "kind", "to", "subject")} == {
        "system": "google", "mailbox": GINA, "kind": "invitation", "to": [OUTSIDER], "subject": "Invitation: Lunch",
    }  # fmt: skip
    assert control.call("POST", "/records/google/task", {"mailbox": GINA, "title": "Call Bo"}).json()["list"] == "My Tasks"
    assert "planet" in control.refused("POST", "/records/google/event", {"mailbox": GINA, "planet": "Mars"})


def test_the_pages_make_and_change_events_and_tasks(control):
    page = {"Accept": "text/html"}
    form = {"mailbox": GINA, "summary": "Lunch", "start": "2026-11-25", "isAllDay": "yes", "recurrence": "RRULE:FREQ=WEEKLY;BYDAY=WE,FR"}
    url = control.world.control_url + "/browse/google"
    control.session.post(f"{url}/event/new", data=form, headers=page, timeout=20)
    (made,) = control.call("GET", "/records/google/event").json()["records"]
    assert (made["start"], made["recurrence"]) == ("2026-11-25", ["RRULE:FREQ=WEEKLY;BYDAY=WE,FR"])

    control.session.post(f"{url}/event/{made['id']}", data={"summary": "Dinner", "attendees": OUTSIDER}, headers=page, timeout=20)
    control.session.post(f"{url}/task/new", data={"mailbox": GINA, "title": "Call Bo"}, headers=page, timeout=20)

    changed = control.call("GET", f"/records/google/event/{made['id']}").json()
    assert (changed["summary"], changed["attendees"], changed["start"]) == ("Dinner", [OUTSIDER], "2026-11-25")
    assert "Call Bo" in control.session.get(f"{url}/task", headers=page, timeout=20).text


def test_calendars_and_tasks_survive_a_restart(tmp_path):
    first = SandboxServer(World(seed=7, state_path=tmp_path / "state"), port=0, poll_seconds=0.01).start()
    google = first.world.google
    event = google.create_record("event", {"mailbox": GINA, "summary": "Lunch", "start": "2026-11-25T12:00:00", "attendees": [HUGO]})
    task = google.create_record("task", {"mailbox": GINA, "title": "Call Bo"})
    first.world.keep()
    first.stop()

    again = World(seed=7, state_path=tmp_path / "state").google

    assert again.get_record("event", event["id"]) == event and again.get_record("task", task["id"]) == task
    assert len(again.list_records("event")) == 2 and again.mails == google.mails
    assert again.create_record("event", {"mailbox": GINA, "start": "2026-11-25", "isAllDay": True})["id"] > event["id"] + 1


def test_a_user_who_is_gone_takes_his_calendar_along(control):
    world = control.world
    made = world.google.create_record("event", {"mailbox": GINA, "start": "2026-11-25", "isAllDay": True, "attendees": [HUGO]})
    hugo = world.google.find_id("user", HUGO)
    control.call("DELETE", f"/records/google/user/{hugo}")
    assert [each["mailbox"] for each in world.google.list_records("event")] == [GINA]
    assert world.google.update_record("event", made["id"], {"summary": "Alone"})["summary"] == "Alone"


# --- every answer fits Google's description -----------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("api", "types", "names"),
    [
        (CALENDAR, calendar_schema.TYPES, {"EventPerson", "EventProperties", "EventReminders", "EventSource", "EventGadget"}),
        (TASKS, tasks.TYPES, {"TaskLink"}),
    ],
)
def test_the_types_are_those_of_the_description(api, types, names):
    """The description has no names for the types of some fields; those are `names`."""
    schemas = discovery(api)["schemas"]
    own = [name for name in types if name in schemas]
    assert set(types) - set(own) - {"EventCustomLocation", "EventOfficeLocation"} == names
    for name in own:
        properties = schemas[name]["properties"]
        assert set(types[name]) == set(properties), name
        for field in types[name].values():
            given_ = properties[field.name]
            items = given_.get("items", given_.get("additionalProperties", given_))
            assert field.is_list == (given_.get("type") == "array"), (name, field.name)
            if "$ref" in items:
                assert field.kind == items["$ref"]
            elif items["type"] != "object":
                assert field.kind == {"integer": "int", "boolean": "bool"}.get(items["type"], items["type"]), (name, field.name)


def test_the_description_refuses_what_is_wrong():
    assert validator(CALENDAR, "Event").is_valid({"start": {"date": "2026-11-25"}, "attendees": [{"email": OUTSIDER}]})
    assert validator(TASKS, "Task").is_valid({"title": "x", "links": []})
    for bad in ({"planet": 1}, {"attendees": {}}, {"start": {"day": "x"}}, {"summary": 5}):
        assert not validator(CALENDAR, "Event").is_valid(bad)
    assert not validator(TASKS, "Task").is_valid({"priority": 1})


TEXTS = st.text(st.characters(exclude_categories=("Cs",)), max_size=12)
GUESTS = st.lists(st.sampled_from((HUGO, OUTSIDER, GINA)), max_size=3, unique=True).map(lambda emails: invited(*emails))
GOOD_SPANS = [days("2026-11-25", "2026-11-27"), at("2026-11-25T10:00:00", "2026-11-25T11:00:00", "Europe/Paris")]
GOOD_RULES = [[], ["RRULE:FREQ=DAILY;COUNT=3"], ["RRULE:FREQ=DAILY;COUNT=5"], ["RRULE:FREQ=WEEKLY;BYDAY=WE,FR;COUNT=4"]]
SPANS = st.sampled_from([*GOOD_SPANS, at("2026-11-25T10:00:00Z", "2026-11-25T09:00:00Z")])
RULES = st.sampled_from([*GOOD_RULES, ["RRULE:FREQ=NEVER"]])
MORE = {
    "summary": TEXTS,
    "description": TEXTS,
    "attendees": GUESTS,
    "recurrence": RULES,
    "visibility": st.sampled_from(("private", "public", "x")),
    "status": st.sampled_from(("confirmed", "tentative", "cancelled")),
    "guestsCanModify": st.booleans(),
    "colorId": st.just("3"),
    "reminders": st.just({"useDefault": False, "overrides": [{"method": "popup", "minutes": 5}]}),
    "extendedProperties": st.fixed_dictionaries({"private": st.dictionaries(TEXTS, TEXTS, max_size=2)}),
}
EVENT = st.builds(lambda span, more: {**span, **more}, SPANS, st.fixed_dictionaries({}, optional=MORE))
# Changes that mostly go through.
CHANGE = st.fixed_dictionaries(
    {},
    optional={
        "recurrence": st.sampled_from(GOOD_RULES),
        "summary": TEXTS,
        "attendees": GUESTS,
        "status": st.sampled_from(("confirmed", "cancelled")),
    },
)
CHANGES = st.lists(
    st.tuples(st.sampled_from(("patch", "patch", "delete")), st.sampled_from((GINA, GINA, HUGO)), st.integers(0, 11), CHANGE),
    min_size=1,
    max_size=8,
)
CALLS = st.lists(
    st.tuples(
        st.sampled_from(("insert", "insert", "patch", "put", "delete", "list", "single", "sync", "instances", "import")),
        st.sampled_from((GINA, HUGO)),
        st.integers(0, 5),
        EVENT,
    ),
    min_size=1,
    max_size=15,
)  # fmt: skip


class Walk:
    """Any calls in any order, by both. `Office.call` holds every good answer against its schema; here no answer may be a
    defect, and every refusal has the shape of one."""

    def __init__(self, office):
        self.office, self.tokens = office, {}

    def call(self, method, path, mailbox, **options):
        answer = self.office.call(method, path, mailbox=mailbox, **options)
        if answer.status_code >= 300:
            error = answer.json()["error"]
            assert answer.status_code in (400, 403, 404, 409, 410) and error["errors"][0]["reason"] and error["message"]
            return None
        return answer.json() if answer.content else {}

    def step(self, act, mailbox, n, body):
        singles = self.office.listed(mailbox=mailbox, singleEvents=True, showDeleted=True)
        masters = self.office.listed(mailbox=mailbox, showDeleted=True)
        known = [*masters, *singles, {"id": "abcde"}]
        path = f"{EVENTS}/{known[n % len(known)]['id']}"
        if act == "insert":
            made = self.call("POST", EVENTS, mailbox, json=body, params={"sendUpdates": "all"})
            assert made is None or self.call("GET", f"{EVENTS}/{made['id']}", mailbox) == made
        elif act == "import":
            self.call("POST", f"{EVENTS}/import", mailbox, json={**body, "iCalUID": f"u{n}@x.example"})
        elif act in ("patch", "put"):
            self.call("PATCH" if act == "patch" else "PUT", path, mailbox, json=body)
        elif act == "delete":
            self.call("DELETE", path, mailbox)
        elif act == "instances":
            self.call("GET", f"{path}/instances", mailbox)
        elif act == "sync":
            asked = {"syncToken": self.tokens[mailbox]} if mailbox in self.tokens else {}
            self.tokens[mailbox] = self.call("GET", EVENTS, mailbox, params=asked)["nextSyncToken"]


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(calls=CALLS)
def test_every_answer_of_a_walk_fits_googles_description(calls):
    with requests.Session() as session:
        office = Office(session)
        walk = Walk(office)
        for act, mailbox, n, body in calls:
            walk.step(act, mailbox, n, body)
        assert json.dumps(office.system.dump())
        assert_synced(office)


@settings(max_examples=120, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(changes=CHANGES)
def test_a_reader_who_syncs_knows_what_a_full_list_shows(changes):
    with requests.Session() as session:
        office = Office(session)
        master = office.insert(attendees=invited(HUGO), recurrence=["RRULE:FREQ=DAILY;COUNT=4"], **GOOD_SPANS[1])["id"]
        office.patch(f"{master}_20261126T090000Z", summary="Moved")
        office.delete(f"{master}_20261127T090000Z")
        office.insert(attendees=invited(OUTSIDER))
        kinds = [(mailbox, is_single) for mailbox in (GINA, HUGO) for is_single in (False, True)]
        known = {kind: office.sync(mailbox=kind[0], **single_events(kind[1])) for kind in kinds}

        for change in changes:
            Walk(office).step(*change)

        for kind, (events, token) in known.items():
            asked = {"mailbox": kind[0], **single_events(kind[1])}
            assert known_from([*events, *office.sync(token, **asked)[0]]) == known_from(office.listed(**asked))


def known_from(events):
    """Returns what a reader has, by id, after it was told of events one by one: with a series its exceptions go."""
    known = {}
    for event in events:
        known.pop(event["id"], None)
        if event["status"] != "cancelled":
            known[event["id"]] = event
        else:
            known = {id_: each for id_, each in known.items() if each.get("recurringEventId") != event["id"]}
    return known


def single_events(single):
    return {"singleEvents": True} if single else {}


def assert_synced(office):
    """Every living copy of a guest says what the organiser's says."""
    mine = {each["id"]: each for each in office.listed()}
    for copy in office.listed(mailbox=HUGO):
        main = mine.get(copy["id"])
        if main and main["status"] != "cancelled" != copy["status"] and not copy.get("privateCopy") and not main.get("privateCopy"):
            assert all(copy.get(name) == main.get(name) for name in ("summary", "start", "recurrence"))

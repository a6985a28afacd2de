"""Series of the played Graph: occurrences, exceptions, what is taken out, and views of a range."""

from urllib.parse import quote

import pytest

from tests.sandbox.graph import ANN, OURS, refused

BERLIN = "W. Europe Standard Time"
RANGE = "startDateTime=2026-10-01T00:00:00Z&endDateTime=2027-03-01T00:00:00Z"


def when(text, zone=BERLIN):
    return {"dateTime": text, "timeZone": zone}


def weekly(graph, count=4, *, range_=None, **values):
    """A meeting each Tuesday at ten in Berlin, across the end of summer time."""
    pattern = {"type": "weekly", "interval": 1, "daysOfWeek": ["tuesday"], "firstDayOfWeek": "monday"}
    range_ = range_ or {"type": "numbered", "numberOfOccurrences": count}
    recurrence = {"pattern": pattern, "range": {"startDate": "2026-10-20", "recurrenceTimeZone": BERLIN, **range_}}
    own = {"subject": "Weekly", "start": when("2026-10-20T10:00:00"), "end": when("2026-10-20T11:00:00"), "recurrence": recurrence}
    return graph.create("events", **{**own, **values})


def view(graph, range_=RANGE, **params):
    return graph.all(f"calendarView?{range_}", **params)


def instances(graph, master):
    return graph.all(f"events/{quote(master['id'])}/instances?{RANGE}")


def starts(events):
    return [each["start"]["dateTime"][:16] for each in events]


def patched(graph, event, **values):
    answer = graph.call("PATCH", f"events/{quote(event['id'])}", json=values)
    assert answer.status_code == 200, answer.text
    return answer.json()


def get(graph, event, **params):
    return graph.get(f"events/{quote(event['id'])}", **params)


def delete(graph, event):
    assert graph.call("DELETE", f"events/{quote(event['id'])}").status_code == 204


def test_occurrences_keep_their_local_time_when_the_clocks_change(graph):
    master = weekly(graph)
    found = instances(graph, master)

    assert starts(found) == ["2026-10-20T08:00", "2026-10-27T09:00", "2026-11-03T09:00", "2026-11-10T09:00"]
    assert {(each["type"], each["seriesMasterId"], each["subject"]) for each in found} == {("occurrence", master["id"], "Weekly")}
    assert found[1]["originalStart"] == "2026-10-27T09:00:00Z" and found[1]["recurrence"] is None
    assert len({each["iCalUId"] for each in [master, *found]}) == 5
    assert master["recurrence"] == {
        "pattern": {"type": "weekly", "interval": 1, "month": 0, "dayOfMonth": 0, "daysOfWeek": ["tuesday"], "firstDayOfWeek": "monday",
                    "index": "first"},
        "range": {"type": "numbered", "startDate": "2026-10-20", "endDate": "0001-01-01", "recurrenceTimeZone": BERLIN,
                  "numberOfOccurrences": 4},
    }  # fmt: skip


def test_the_list_has_the_series_and_the_view_its_occurrences(graph):
    master = weekly(graph)
    single = graph.create("events", subject="Single", start=when("2026-10-27T08:00:00"), end=when("2026-10-27T09:00:00"))

    assert [each["id"] for each in graph.all("events")] == [master["id"], single["id"]]
    assert [each["subject"] for each in view(graph)] == ["Weekly", "Single", "Weekly", "Weekly", "Weekly"]
    in_pages = [each["type"] for each in graph.all(f"calendar/calendarView?{RANGE}", top="1")]
    assert in_pages == ["occurrence", "singleInstance", *["occurrence"] * 3]


def test_a_view_holds_what_overlaps_its_range(graph):
    graph.create("events", subject="Long", start=when("2026-12-01T10:00", "UTC"), end=when("2026-12-03T10:00", "UTC"))
    graph.create("events", subject="Instant", start=when("2026-12-02T12:00", "UTC"), end=when("2026-12-02T12:00", "UTC"))

    def found(start, end):
        return [each["subject"] for each in view(graph, f"startDateTime={start}&endDateTime={end}")]

    assert found("2026-12-02T00:00:00Z", "2026-12-02T01:00:00Z") == ["Long"]
    assert found("2026-12-03T10:00:00Z", "2026-12-04") == [] and found("2026-11-30", "2026-12-01T10:00:00Z") == []
    assert found("2026-12-03T11:00:00%2B02:00", "2026-12-03T12:30:00%2B02:00") == ["Long"]
    assert found("2026-12-02T12:00:00", "2026-12-02T13:00:00") == ["Long", "Instant"]


@pytest.mark.parametrize(
    "query",
    ["", "startDateTime=2026-12-01", "startDateTime=soon&endDateTime=2026-12-01", "startDateTime=2026-12-02&endDateTime=2026-12-01",
     "startDateTime=2020-12-02&endDateTime=2026-12-01", f"{RANGE}&$select=subject,createdDateTime"],
)  # fmt: skip
def test_a_view_without_a_sound_range_is_refused(graph, query):
    assert refused(graph.call("GET", f"calendarView?{query}"))[0] == 400


def test_only_a_series_has_instances(graph):
    single = graph.create("events", subject="x", start=when("2026-10-27T08:00:00"), end=when("2026-10-27T09:00:00"))
    assert refused(graph.call("GET", f"events/{quote(single['id'])}/instances?{RANGE}"))[0] == 400


def test_a_change_of_an_occurrence_makes_an_exception_with_the_same_id(graph):
    master = weekly(graph)
    second = instances(graph, master)[1]

    moved = patched(graph, second, start=when("2026-10-28T10:00:00"), end=when("2026-10-28T10:30:00"), subject="Moved")

    assert (moved["id"], moved["type"], moved["seriesMasterId"]) == (second["id"], "exception", master["id"])
    assert moved["originalStart"] == second["originalStart"] == "2026-10-27T09:00:00Z" and moved["iCalUId"] == second["iCalUId"]
    assert starts(instances(graph, master)) == ["2026-10-20T08:00", "2026-10-28T09:00", "2026-11-03T09:00", "2026-11-10T09:00"]
    assert get(graph, master)["subject"] == "Weekly" and get(graph, master)["changeKey"] != master["changeKey"]
    (told,) = get(graph, master, expand="exceptionOccurrences")["exceptionOccurrences"]
    assert told["id"] == second["id"] and told["subject"] == "Moved"


def test_marks_on_an_occurrence_are_its_own(graph):
    master = weekly(graph)
    first, second = instances(graph, master)[:2]

    patched(graph, first, categories=["Salesforce"], singleValueExtendedProperties=[{"id": OURS, "value": "00U1"}])

    assert get(graph, first)["type"] == "exception" and get(graph, second)["categories"] == get(graph, master)["categories"] == []
    expand = f"singleValueExtendedProperties($filter=id eq '{OURS}')"
    assert get(graph, first, expand=expand)["singleValueExtendedProperties"] == [{"id": OURS, "value": "00U1"}]
    assert [each["id"] for each in view(graph, filter="categories/any(c:c eq 'Salesforce')")] == [first["id"]]


def test_an_exception_keeps_its_own_when_the_series_changes_but_not_when_it_moves(graph):
    master = weekly(graph)
    second, third = instances(graph, master)[1:3]
    patched(graph, second, subject="Own")
    delete(graph, third)

    patched(graph, master, subject="All", categories=["Blue"])
    assert [each["subject"] for each in instances(graph, master)] == ["All", "Own", "All"]
    patched(graph, master, recurrence=master["recurrence"])
    assert [each["subject"] for each in instances(graph, master)] == ["All", "Own", "All"]

    patched(graph, master, start=when("2026-10-20T09:00:00"), end=when("2026-10-20T10:00:00"))
    assert [each["subject"] for each in instances(graph, master)] == ["All"] * 4 and get(graph, second)["type"] == "occurrence"


def test_an_occurrence_that_was_deleted_is_named_by_its_series(graph):
    master = weekly(graph)
    second = instances(graph, master)[1]

    delete(graph, second)

    assert refused(graph.call("GET", f"events/{quote(second['id'])}")) == (404, "ErrorItemNotFound")
    assert starts(instances(graph, master)) == ["2026-10-20T08:00", "2026-11-03T09:00", "2026-11-10T09:00"]
    assert get(graph, master, select="cancelledOccurrences")["cancelledOccurrences"] == [f"OID.{master['id']}.2026-10-27"]
    assert "cancelledOccurrences" not in get(graph, master)


def test_an_occurrence_cannot_pass_its_neighbours(graph):
    master = weekly(graph)
    first, second, third, _ = instances(graph, master)

    for start in ("2026-10-20T10:30:00", "2026-11-03T09:30:00", "2026-12-01T10:00:00"):
        answer = graph.call("PATCH", f"events/{quote(second['id'])}", json={"start": when(start), "end": when(f"{start[:10]}T23:00:00")})
        assert refused(answer) == (400, "ErrorOccurrenceCrossingBoundary")

    delete(graph, third)
    assert patched(graph, second, start=when("2026-11-04T10:00:00"), end=when("2026-11-04T11:00:00"))["type"] == "exception"
    assert patched(graph, first, start=when("2026-10-01T10:00:00"), end=when("2026-10-01T11:00:00"))["type"] == "exception"


def test_a_day_without_an_occurrence_has_no_id(graph):
    master = weekly(graph)
    last = instances(graph, master)[-1]
    patched(graph, master, recurrence={**master["recurrence"], "range": {**master["recurrence"]["range"], "numberOfOccurrences": 2}})

    assert refused(graph.call("GET", f"events/{quote(last['id'])}"))[0] == 404 and len(instances(graph, master)) == 2


def test_a_series_becomes_one_event_and_one_event_a_series(graph):
    master = weekly(graph)
    single = patched(graph, master, recurrence=None)
    assert single["type"] == "singleInstance" and single["id"] == master["id"] and starts(view(graph)) == ["2026-10-20T08:00"]

    again = patched(graph, single, recurrence=master["recurrence"])

    assert again["type"] == "seriesMaster" and len(view(graph)) == 4


def test_a_series_begins_with_its_first_occurrence(graph):
    master = weekly(
        graph, start=when("2026-10-19T10:00:00"), end=when("2026-10-19T11:00:00"), range_={"type": "noEnd", "startDate": "2026-10-19"}
    )

    assert master["start"]["dateTime"][:16] == "2026-10-20T08:00" and master["recurrence"]["range"]["startDate"] == "2026-10-20"
    assert len(instances(graph, master)) == 19


def test_whole_days_repeat(graph):
    recurrence = {"pattern": {"type": "absoluteMonthly", "interval": 1, "dayOfMonth": 31},
                  "range": {"type": "endDate", "startDate": "2026-10-31", "endDate": "2027-02-28"}}  # fmt: skip
    master = graph.create(
        "events",
        subject="Closing",
        isAllDay=True,
        start=when("2026-10-31T00:00:00"),
        end=when("2026-11-01T00:00:00"),
        recurrence=recurrence,
    )

    assert starts(instances(graph, master)) == [
        f"{day}T00:00" for day in ("2026-10-31", "2026-11-30", "2026-12-31", "2027-01-31", "2027-02-28")
    ]
    assert instances(graph, master)[1]["originalStart"] == "2026-11-30T00:00:00Z"


@pytest.mark.parametrize(
    "recurrence",
    [
        {"pattern": {"type": "weekly", "interval": 1}},
        {"pattern": {"type": "hourly", "interval": 1}},
        {"pattern": {"type": "daily", "interval": 0}},
        {"range": {"type": "numbered", "startDate": "2026-10-21", "numberOfOccurrences": 3}},
        {"range": {"type": "numbered", "startDate": "2026-10-20", "numberOfOccurrences": 0}},
        {"range": {"type": "endDate", "startDate": "2026-10-20", "endDate": "2026-10-01"}},
        {"range": {"type": "noEnd", "startDate": "2026-10-20", "recurrenceTimeZone": "Mars"}},
        {"frequency": "daily"},
    ],
)
def test_a_recurrence_that_makes_no_sense_is_refused(graph, recurrence):
    good = {"pattern": {"type": "daily", "interval": 1}, "range": {"type": "noEnd", "startDate": "2026-10-20"}}
    body = {"subject": "x", "start": when("2026-10-20T10:00"), "end": when("2026-10-20T11:00"), "recurrence": {**good, **recurrence}}

    assert refused(graph.call("POST", "events", json=body))[0] == 400 and graph.all("events") == []


def test_occurrences_do_not_overlap_each_other(graph):
    body = {"subject": "x", "start": when("2026-10-20T10:00"), "end": when("2026-10-22T11:00"),
            "recurrence": {"pattern": {"type": "daily", "interval": 2}, "range": {"type": "noEnd", "startDate": "2026-10-20"}}}  # fmt: skip
    assert refused(graph.call("POST", "events", json=body)) == (400, "ErrorOccurrenceTimeSpanTooBig")


def test_an_occurrence_has_no_recurrence_of_its_own(graph):
    master = weekly(graph)
    first = instances(graph, master)[0]
    answer = graph.call("PATCH", f"events/{quote(first['id'])}", json={"recurrence": master["recurrence"]})
    assert refused(answer) == (400, "ErrorInvalidPropertySet")


def test_a_series_survives_a_restart_of_the_sandbox(graph):
    master = weekly(graph)
    second, third = instances(graph, master)[1:3]
    patched(graph, second, subject="Own")
    delete(graph, third)
    before = view(graph)

    state = graph.system.dump()
    graph.system.restore({**state, "tables": {name: {"rows": [*table["rows"]]} for name, table in state["tables"].items()}})

    assert view(graph) == before and graph.all("events", filter=f"iCalUId eq '{master['iCalUId']}'")[0]["id"] == master["id"]
    assert graph.system.find_id("event", second["id"]) is None and graph.system.find_id("event", master["id"]) == 1
    assert graph.system.list_records("event")[0]["mailbox"] == ANN

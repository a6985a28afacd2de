"""A Microsoft calendar: changes in one call, series by their occurrences, and no mail to any guest."""

import json
from datetime import UTC, datetime
from urllib.parse import unquote

import pytest

from connectors import calendars as words
from connectors.calendars import EVENT, CalendarBox, Window, guests_of
from connectors.contract import Ref, Write
from connectors.errors import MappingError, NeedsAttention, OutcomeUnknown, RecordGone, Rejected, ServerTrouble, StaleVersion
from connectors.mailboxes import CATEGORIES, FOREIGN_ID
from connectors.microsoft.codec import FOREIGN_PROPERTY
from tests.connectors.microsoft_wire import ANN, GONE, GRAPH, ROOT, connection, error, page, removed
from tests.connectors.wire import HTML, Said

DELTA = f"GET {ROOT}/calendarView/delta"
WINDOW = Window(datetime(2026, 11, 13, tzinfo=UTC), datetime(2027, 1, 27, tzinfo=UTC))
LATER = Window(datetime(2026, 11, 14, tzinfo=UTC), datetime(2027, 1, 28, tzinfo=UTC))
END, NEXT = f"{GRAPH}/users/{ANN}/calendarView/delta?$deltatoken=d1", f"{GRAPH}/users/{ANN}/calendarView/delta?$skiptoken=s1"
BO = {"emailAddress": {"name": "Bo Li", "address": "Bo@acme.example"}, "type": "required", "status": {"response": "accepted"}}


def at(text, zone="UTC"):
    return {"dateTime": f"{text}:00.0000000", "timeZone": zone}


def event(id_, etag="v1", **more):
    """Returns an event as Microsoft tells it."""
    return {
        "@odata.etag": f'W/"{etag}"',
        "id": id_,
        "type": "singleInstance",
        "subject": "Demo",
        "body": {"contentType": "text", "content": "Agenda\r\n1. Pumps"},
        "location": {"displayName": "Room 2"},
        "start": at("2026-12-01T10:00"),
        "end": at("2026-12-01T10:30"),
        "isAllDay": False,
        "showAs": "busy",
        "isReminderOn": True,
        "reminderMinutesBeforeStart": 15,
        "sensitivity": "normal",
        "categories": ["Salesforce"],
        "iCalUId": f"uid-{id_}",
        "isOrganizer": True,
        "organizer": {"emailAddress": {"name": "Ann", "address": ANN}},
        "responseStatus": {"response": "organizer"},
        "attendees": [],
        "isCancelled": False,
        "isDraft": False,
        "createdDateTime": "2026-11-20T08:00:00Z",
        "lastModifiedDateTime": "2026-11-21T10:11:12Z",
        **more,
    }


def occurrence(id_, day, **more):
    return event(
        id_,
        **{
            "type": "occurrence",
            "seriesMasterId": "M",
            "iCalUId": f"own-{id_}",
            "start": at(f"{day}T10:00"),
            "end": at(f"{day}T10:30"),
            "originalStart": f"{day}T10:00:00Z",
            **more,
        },
    )


def bare(id_, day):
    return {
        "@odata.etag": 'W/"b"',
        "id": id_,
        "type": "occurrence",
        "seriesMasterId": "M",
        "start": at(f"{day}T10:00"),
        "end": at(f"{day}T10:30"),
    }


def calendar(routes):
    connector, graph = connection(routes)
    box = connector.calendar(ANN)
    as_protocol: CalendarBox = box
    as_protocol.use_category("Salesforce")
    return box, graph


def changed(said, cursor="", window=WINDOW, **routes):
    box, graph = calendar({DELTA: said, **routes})
    return box.event_changes(cursor, window), graph


# --- reading --------------------------------------------------------------------------------------------------------


def test_an_event_is_told_in_the_words_of_every_calendar():
    changes, graph = changed(page(event("E", attendees=[BO]), end=END))
    (record,) = changes.events
    assert record.ref == Ref("microsoft", EVENT, "E") and record.version == 'W/"v1"'
    told = record.fields
    assert (told["subject"], told["location"], told[words.BODY]) == ("Demo", "Room 2", "Agenda\n1. Pumps")
    assert told[words.WHEN] == "2026-12-01T10:00:00Z/2026-12-01T10:30:00Z"
    assert (told[words.SHOW_AS], told[words.REMINDER], told[words.SENSITIVITY]) == (words.BUSY, 15, words.NORMAL)
    assert (told[words.KIND], told[words.UID], told[words.ORGANIZER], told[words.RESPONSE]) == (words.SINGLE, "uid-E", ANN, words.ORGANIZES)
    assert told[CATEGORIES] == ("Salesforce",) and FOREIGN_ID not in told  # no list of changes brings it
    (guest,) = guests_of(record)
    assert (guest.address, guest.name, guest.type, guest.response) == ("bo@acme.example", "Bo Li", words.REQUIRED, words.ACCEPTED)
    assert changes.is_last and changes.is_whole and graph.calls == ["POST /$batch"]
    assert 'outlook.timezone="UTC"' in graph.parts[0]["headers"]["Prefer"]  # of each part, and of the envelope
    assert 'outlook.body-content-type="text"' in graph.requests[0].headers["Prefer"]
    assert "startDateTime=2026-11-13T00:00:00Z" in unquote(graph.parts[0]["url"])


def test_whole_days_are_dates_wherever_the_mailbox_is():
    row = event("E", isAllDay=True, start=at("2026-12-01T00:00"), end=at("2026-12-02T00:00"))
    assert changed(page(row, end=END))[0].events[0].fields[words.WHEN] == "2026-12-01/2026-12-02"


@pytest.mark.parametrize(
    "spoilt",
    [{"start": None}, {"start": at("2026-12-01T10:00", "Tokyo Standard Time")}, {"end": {"dateTime": "x"}}, {"@odata.etag": ""}, {"id": 7}],
)
def test_an_event_that_cannot_be_read_ends_the_page_and_is_not_passed_by(spoilt):
    with pytest.raises(OutcomeUnknown):
        changed(page({**event("E"), **spoilt}, end=END))


def test_nothing_new_is_one_call():
    first, _ = changed(page(event("E"), end=END))
    again, graph = changed(page(end=END), cursor=first.cursor)
    assert (again.events, again.gone, again.is_last, again.is_whole) == ((), (), True, False)
    assert graph.asked == [DELTA] and "$deltatoken=d1" in unquote(graph.parts[0]["url"])


def test_a_round_of_several_pages_is_whole_to_its_end():
    first, _ = changed(page(event("E"), following=NEXT))
    assert not first.is_last and first.is_whole
    second, _ = changed(page(event("F"), end=END), cursor=first.cursor)
    assert second.is_last and second.is_whole and not second.is_restart


def test_another_window_starts_a_round_behind_what_the_one_before_still_tells_and_one_in_the_middle_is_told():
    between, _ = changed(page(end=END))
    before, graph = changed(page(event("E"), end=END), cursor=between.cursor, window=LATER)
    assert [r.ref.id for r in before.events] == ["E"] and not before.is_whole and not before.is_last and not before.is_restart
    moved, graph = changed(page(event("F"), end=END), cursor=before.cursor, window=LATER)
    assert moved.is_whole and moved.is_last and not moved.is_restart and "2027-01-28" in graph.parts[0]["url"]
    middle, _ = changed(page(event("E"), following=NEXT))
    assert changed(page(end=END), cursor=middle.cursor, window=LATER)[0].is_restart


@pytest.mark.parametrize("dead", [error("SyncStateNotFound", 410), Said(410, HTML), error("resyncRequired", 409)])
def test_a_dead_token_is_a_round_from_the_start(dead):
    between, _ = changed(page(end=END))
    changes, graph = changed([dead, page(event("E"), end=END)], cursor=between.cursor)
    assert changes.is_whole and not changes.is_restart and len(graph.parts) == 2
    middle, _ = changed(page(event("E"), following=NEXT))
    assert changed([dead, page(end=END)], cursor=middle.cursor)[0].is_restart


def test_a_cursor_of_ours_never_leads_to_another_host():
    first, _ = changed(page(end=END))
    forged = first.cursor.replace("graph.microsoft.com", "evil.example")
    _, graph = changed(page(end=END), cursor=forged)
    assert "evil" not in graph.parts[0]["url"]
    with pytest.raises(NeedsAttention, match="another host"):
        changed(page(end="https://evil.example/v1.0/x"))


def test_a_cursor_that_leads_nowhere_begins_a_whole_round():
    first, _ = changed(page(end=END))
    for touched in ({"v": 1, "is_whole": False}, {**json.loads(first.cursor), "link": "", "is_whole": False}):
        anew, graph = changed(page(event("E"), end=END), cursor=json.dumps(touched))
        assert anew.is_whole and anew.is_restart and "startDateTime=2026" in graph.parts[0]["url"]


def test_occurrences_are_read_through_their_series():
    routes = {
        f"GET {ROOT}/events/M/instances": page(occurrence("O1", "2026-12-01"), occurrence("O2", "2026-12-08", type="exception")),
        f"GET {ROOT}/events/M": Said(200, {"iCalUId": "uid-series"}),
    }
    changes, graph = changed(page(bare("O1", "2026-12-01"), bare("O2", "2026-12-08"), end=END), **routes)
    told = {r.ref.id: r.fields for r in changes.events}
    assert told["O1"]["subject"] == "Demo" and told["O1"][words.KIND] == words.OCCURRENCE and told["O2"][words.KIND] == words.EXCEPTION
    assert {t[words.UID] for t in told.values()} == {"uid-series"}  # the same in the mailboxes of all who take part
    assert told["O2"][words.ORIGINAL_START] == "2026-12-08T10:00:00Z"
    assert changes.series == {"M": frozenset({"O1", "O2"})} and len(graph.parts) == 3  # however many occurrences there are


def test_an_exception_keeps_the_start_it_would_have_had():
    moved = occurrence("O1", "2026-12-01", type="exception", start=at("2026-12-02T15:00"), end=at("2026-12-02T15:30"))
    routes = {f"GET {ROOT}/events/M/instances": page(moved)}
    changes, _ = changed(page(event("M", type="seriesMaster", iCalUId="uid-series"), moved, end=END), **routes)
    (record,) = changes.events
    assert record.fields[words.WHEN].startswith("2026-12-02T15:00") and record.fields[words.ORIGINAL_START] == "2026-12-01T10:00:00Z"


def test_a_series_that_is_gone_is_told_by_its_own_id():
    changes, _ = changed(
        page(bare("O1", "2026-12-01"), removed("X"), end=END), **{f"GET {ROOT}/events/M/instances": GONE, f"GET {ROOT}/events/M": GONE}
    )
    assert changes.events == () and sorted(changes.gone) == ["M", "X"]


def test_events_are_read_by_id_with_their_marker():
    marked = event("E", singleValueExtendedProperties=[{"id": FOREIGN_PROPERTY, "value": "00U1"}])
    box, graph = calendar(
        {f"GET {ROOT}/events/E": Said(200, marked), f"GET {ROOT}/events/F": GONE, f"GET {ROOT}/events/G": Said(200, event("G"))}
    )
    found = {r.ref.id: r.fields[FOREIGN_ID] for r in box.read(EVENT, ["E", "F", "G", "E"], [])}
    assert found == {"E": "00U1", "G": None} and graph.calls == ["POST /$batch"] and len(graph.parts) == 3


def test_a_marker_is_found_in_its_own_case():
    rows = [event(i, singleValueExtendedProperties=[{"id": FOREIGN_PROPERTY, "value": v}]) for i, v in (("E", "00Uab"), ("F", "00UAB"))]
    box, _ = calendar({f"GET {ROOT}/events": page(*rows)})
    assert [r.ref.id for r in box.find_marked(EVENT, ["00Uab", ""], [], since=WINDOW.start)] == ["E"]


# --- writing --------------------------------------------------------------------------------------------------------


def written(routes, *writes):
    box, graph = calendar(routes)
    return box.write(EVENT, writes), graph


def test_an_event_is_made_once_and_shared():
    create = Write(EVENT, {"subject": "Demo", words.WHEN: "2026-12-01/2026-12-02", CATEGORIES: ("Blue",)}, "op-1", marker="00U1")
    (result,), graph = written({f"POST {ROOT}/events": Said(201, event("E"))}, create)
    sent = graph.parts[0]["body"]
    assert sent["categories"] == ["Blue", "Salesforce"] and sent["isAllDay"] is True
    assert sent["start"] == {"dateTime": "2026-12-01T00:00:00", "timeZone": "UTC"} and sent["end"]["dateTime"] == "2026-12-02T00:00:00"
    assert result.record.fields[FOREIGN_ID] == "00U1"
    _, again = written({f"POST {ROOT}/events": Said(201, event("E"))}, create)
    assert again.parts[0]["body"]["transactionId"] == sent["transactionId"]  # told twice it is one (reference 7)


def test_an_update_rests_on_its_version():
    ref = Ref("microsoft", EVENT, "E")
    routes = {f"GET {ROOT}/events/E": Said(200, event("E")), f"PATCH {ROOT}/events/E": error("ErrorIrresolvableConflict", 412)}
    (result,), graph = written(routes, Write(EVENT, {"subject": "New"}, "k", ref=ref, version='W/"v1"'))
    assert isinstance(result.error, StaleVersion) and graph.parts[-1]["headers"]["If-Match"] == 'W/"v1"'


@pytest.mark.parametrize("write", [{"subject": "New"}, {words.WHEN: "2026-12-01/2026-12-02"}, {words.BODY: "x", CATEGORIES: ()}, None])
def test_no_guest_is_mailed_by_a_write_of_ours(write):
    ref = Ref("microsoft", EVENT, "E")
    routes = {f"GET {ROOT}/events/E": Said(200, event("E", attendees=[BO]))}
    (result,), graph = written(routes, Write(EVENT, write or {}, "k", ref=ref, is_delete=write is None))
    assert isinstance(result.error, Rejected) and result.error.code == "would_mail"
    assert graph.asked == [f"GET {ROOT}/events/E"]  # nothing was sent


def test_what_is_only_of_the_own_copy_is_written_all_the_same():
    ref = Ref("microsoft", EVENT, "E")
    silent = {CATEGORIES: ("Salesforce",), FOREIGN_ID: "00U1", words.REMINDER: None, words.SHOW_AS: words.FREE}
    (result,), graph = written({f"PATCH {ROOT}/events/E": Said(200, event("E", "v2", attendees=[BO]))}, Write(EVENT, silent, "k", ref=ref))
    assert result.error is None and graph.asked == [f"PATCH {ROOT}/events/E"]
    assert graph.parts[0]["body"]["isReminderOn"] is False and set(graph.parts[0]["body"]) <= {
        *("categories", "singleValueExtendedProperties", "isReminderOn", "showAs")
    }


def test_nobody_is_mailed_who_was_invited_since_it_was_read():
    """The list of changes told of no guest; the write rests on a later version, or on none."""
    ref = Ref("microsoft", EVENT, "E")
    routes = {DELTA: page(event("E"), end=END), f"GET {ROOT}/events/E": Said(200, event("E", "v2", attendees=[BO]))}
    box, graph = calendar({**routes, f"PATCH {ROOT}/events/E": error("ErrorIrresolvableConflict", 412)})
    box.event_changes("", WINDOW)
    (later,) = box.write(EVENT, [Write(EVENT, {"subject": "New"}, "k", ref=ref, version='W/"v2"')])
    assert isinstance(later.error, Rejected) and later.error.code == "would_mail"
    box, graph = calendar({**routes, f"PATCH {ROOT}/events/E": error("ErrorIrresolvableConflict", 412)})
    box.event_changes("", WINDOW)
    (blind,) = box.write(EVENT, [Write(EVENT, {"subject": "New"}, "k", ref=ref)])
    assert isinstance(blind.error, StaleVersion) and graph.parts[-1]["headers"]["If-Match"] == 'W/"v1"'


def test_a_version_that_nobody_saw_is_no_ground_to_write_on():
    ref = Ref("microsoft", EVENT, "E")
    (result,), graph = written(
        {f"GET {ROOT}/events/E": Said(200, event("E"))}, Write(EVENT, {"subject": "N"}, "k", ref=ref, version='W/"v0"')
    )
    assert isinstance(result.error, StaleVersion) and graph.asked == [f"GET {ROOT}/events/E"]


def test_no_event_is_made_with_guests():
    (result,), graph = written({}, Write(EVENT, {"subject": "A", words.GUESTS: ("x",)}, "k"))
    assert isinstance(result.error, MappingError) and graph.parts == []


def test_a_person_may_ask_for_the_mail():
    box, graph = calendar(
        {f"GET {ROOT}/events/E": Said(200, event("E", attendees=[BO])), f"PATCH {ROOT}/events/E": Said(200, event("E", "v2"))}
    )
    box.ask_to_mail(["E"])
    (result,) = box.write(EVENT, [Write(EVENT, {"subject": "New"}, "k", ref=Ref("microsoft", EVENT, "E"))])
    assert result.error is None and result.record.version == 'W/"v2"'


def test_one_that_is_refused_takes_no_other_with_it():
    writes = [Write(EVENT, {"subject": "A", words.WHEN: when}, str(n)) for n, when in enumerate(("soon", "2026-12-01/2026-12-02"))]
    results, graph = written({f"POST {ROOT}/events": Said(201, event("E"))}, *writes)
    assert isinstance(results[0].error, Rejected) and results[1].record is not None and len(graph.parts) == 1


def test_a_server_that_fails_over_a_create_leaves_it_in_doubt():
    (result,), _ = written({f"POST {ROOT}/events": error("ErrorInternalServerError", 500)}, Write(EVENT, {"subject": "A"}, "k"))
    assert isinstance(result.error, ServerTrouble) and result.error.may_have_happened


def test_a_delete_of_what_is_gone_says_so():
    ref = Ref("microsoft", EVENT, "E")
    routes = {f"GET {ROOT}/events/E": Said(200, event("E")), f"DELETE {ROOT}/events/E": GONE}
    (result,), _ = written(routes, Write(EVENT, {}, "k", ref=ref, is_delete=True))
    assert isinstance(result.error, RecordGone)


def test_its_calls_are_counted_with_those_of_the_connection():
    connector, _ = connection({DELTA: page(end=END)})
    connector.calendar(ANN).event_changes("", WINDOW)
    assert connector.counts().by_template["part GET /users/{user}/calendarView/delta"] == 1

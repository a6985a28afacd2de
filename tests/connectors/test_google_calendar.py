"""A Google calendar on a scripted wire: changes in one call, cursors that end, and no mail to any guest."""

import json
from datetime import UTC, datetime
from urllib.parse import parse_qs, urlsplit

import pytest
import requests

from connectors import calendars as words
from connectors.calendars import EVENT, EVENT_SCHEMA, CalendarBox, Window, guests_of
from connectors.contract import Ref, Write
from connectors.errors import MailboxRefused, MappingError, OutcomeUnknown, RateLimited, RecordGone, Rejected, ServerTrouble, StaleVersion
from connectors.google.calendar import MOST_LIVES, own_id
from connectors.google.event_codec import MARKER_KEY
from connectors.mailboxes import CATEGORIES, FOREIGN_ID
from tests.connectors.google_wire import ANN, connector, older
from tests.connectors.wire import HTML, Said

ROOT = "/calendar/v3/calendars/primary/events"
LIST, CREATE = f"GET {ROOT}", f"POST {ROOT}"
WINDOW = Window(datetime(2026, 11, 13, tzinfo=UTC), datetime(2027, 1, 27, tzinfo=UTC))
LATER = Window(datetime(2026, 11, 14, tzinfo=UTC), datetime(2027, 1, 28, tzinfo=UTC))
BO = {"email": "Bo@acme.example", "displayName": "Bo Li", "responseStatus": "accepted"}
GONE = older(410, "fullSyncRequired", "Sync token is no longer valid, a full sync is required.")
BAD_PAGE = older(400, "invalid", "Invalid page token value.")


def event(id_, etag="v1", day="2026-12-01", **more):
    """Returns an event as Google tells it."""
    return {
        "kind": "calendar#event",
        "id": id_,
        "etag": f'"{etag}"',
        "status": "confirmed",
        "created": "2026-11-20T09:00:00.000Z",
        "updated": "2026-11-21T09:00:00.000Z",
        "summary": "Demo",
        "organizer": {"email": ANN, "self": True},
        "start": {"dateTime": f"{day}T10:00:00+01:00"},
        "end": {"dateTime": f"{day}T10:30:00+01:00"},
        "iCalUID": f"{id_}@google.com",
        **more,
    }


def marked(id_, marker, **more):
    return event(id_, extendedProperties={"private": {MARKER_KEY: marker}}, **more)


def cancelled(id_, **more):
    return {"kind": "calendar#event", "id": id_, "status": "cancelled", **more}  # only the id is certain


def page(*rows, sync="s1", following=""):
    return Said(200, {"items": list(rows), **({"nextPageToken": following} if following else {"nextSyncToken": sync} if sync else {})})


def calendar(routes, **options):
    opened, wire = connector(routes, **options)
    box = opened.calendar(ANN)
    as_protocol: CalendarBox = box
    as_protocol.use_category("Salesforce")
    return box, wire


def changed(said, cursor="", window=WINDOW, **options):
    box, wire = calendar({LIST: said}, **options)
    return box.event_changes(cursor, window), wire


def asked(wire, index=-1):
    """Returns what a list was asked for beside what every list is."""
    return {name: value for name, value in wire.asked(index).items() if name not in ("singleEvents", "maxResults")}


# --- reading --------------------------------------------------------------------------------------------------------


def test_an_event_is_told_in_the_words_of_every_calendar():
    changes, wire = changed(page(marked("E", "00U1", attendees=[BO])))

    (record,) = changes.events
    assert record.ref == Ref("google", EVENT, "E") and record.version == '"v1"' and record.fields[FOREIGN_ID] == "00U1"
    assert record.fields[words.WHEN] == "2026-12-01T09:00:00Z/2026-12-01T09:30:00Z"
    (guest,) = guests_of(record)
    assert (guest.address, guest.name, guest.response) == ("bo@acme.example", "Bo Li", words.ACCEPTED)
    assert changes.is_last and changes.is_whole and not changes.is_restart and dict(changes.series) == {}
    assert wire.calls == [LIST] and wire.asked() == {"singleEvents": "true", "maxResults": "2500"}


def test_nothing_new_is_one_call_with_the_parameters_of_the_first():
    first, _ = changed(page(event("E"), sync="s1"), settings={"events_a_page": 50})
    again, wire = changed(page(sync="s2"), cursor=first.cursor)

    assert (again.events, again.gone, again.is_last, again.is_whole) == ((), (), True, False)
    assert len(wire.calls) == 1 and wire.asked() == {"singleEvents": "true", "maxResults": "50", "syncToken": "s1"}
    _, third = changed(page(sync="s3"), cursor=again.cursor)
    assert asked(third) == {"syncToken": "s2"}


def test_a_round_of_several_pages_is_whole_to_its_end():
    first, _ = changed(page(event("E"), following="p2"))
    empty, wire = changed(page(following="p3"), cursor=first.cursor)
    last, end = changed(page(event("F")), cursor=empty.cursor)

    assert [c.is_last for c in (first, empty, last)] == [False, False, True] and all(c.is_whole for c in (first, empty, last))
    assert not any(c.is_restart for c in (first, empty, last)) and asked(wire) == {"pageToken": "p2"} and asked(end) == {"pageToken": "p3"}


def test_a_page_of_changes_goes_on_with_its_sync_token():
    between, _ = changed(page())
    first, _ = changed(page(event("E"), following="p2"), cursor=between.cursor)
    _, wire = changed(page(), cursor=first.cursor)
    assert asked(wire) == {"syncToken": "s1", "pageToken": "p2"}


def test_what_left_the_calendar_or_the_window_is_gone():
    between, _ = changed(page())
    rows = [cancelled("A"), cancelled("M_20261208", recurringEventId="M"), event("B", day="2027-03-01"), event("C")]
    changes, _ = changed(page(*rows), cursor=between.cursor)

    assert set(changes.gone) == {"A", "M_20261208", "B"} and [r.ref.id for r in changes.events] == ["C"]


def test_a_whole_round_does_not_speak_of_what_lies_outside():
    changes, _ = changed(page(event("B", day="2020-03-01"), event("C"), cancelled("A")))
    assert changes.gone == ("A",) and [r.ref.id for r in changes.events] == ["C"]


def test_what_was_said_last_of_an_event_holds():
    between, _ = changed(page())
    changes, _ = changed(page(event("A"), cancelled("B"), event("B"), cancelled("A")), cursor=between.cursor)
    assert changes.gone == ("A",) and [r.ref.id for r in changes.events] == ["B"]


def test_a_window_that_moved_is_listed_by_its_bounds_and_the_token_stays():
    """A sync token takes no bounds (reference 5.4)."""
    between, _ = changed(page(sync="s1"))
    moved, wire = changed(page(event("E"), sync="other"), cursor=between.cursor, window=LATER)
    assert moved.is_whole and moved.is_last and not moved.is_restart
    assert asked(wire) == {"timeMin": "2026-11-13T10:00:00Z", "timeMax": "2027-01-28T14:00:00Z"}  # whole days reach further

    next_, after = changed(page(), cursor=moved.cursor, window=LATER)
    assert not next_.is_whole and asked(after) == {"syncToken": "s1"}


def test_a_window_that_moves_in_the_middle_of_a_round_is_told():
    first, _ = changed(page(event("E"), following="p2"))
    restarted, wire = changed(page(event("E")), cursor=first.cursor, window=LATER)
    assert restarted.is_restart and restarted.is_whole and asked(wire) == {}

    between, _ = changed(page(sync="s1"))
    middle, _ = changed(page(following="p2"), cursor=between.cursor)
    restarted, wire = changed(page(), cursor=middle.cursor, window=LATER)
    assert restarted.is_restart and restarted.is_whole and set(asked(wire)) == {"timeMin", "timeMax"}


@pytest.mark.parametrize(
    "dead", [GONE, Said(410, HTML), Said(410), older(400, "invalid", "The sync token belongs to a list with other parameters.")]
)
def test_a_dead_token_is_a_round_from_the_start(dead):
    between, _ = changed(page())
    changes, wire = changed([dead, page(event("E"))], cursor=between.cursor)
    assert changes.is_whole and not changes.is_restart and [asked(wire, i) for i in (0, 1)] == [{"syncToken": "s1"}, {}]

    middle, _ = changed(page(event("E"), following="p2"), cursor=between.cursor)
    assert changed([dead, page()], cursor=middle.cursor)[0].is_restart


def test_a_page_that_is_over_begins_the_round_again_but_not_for_ever():
    first, _ = changed(page(event("E"), following="p2"))
    cursor = first.cursor
    for _ in range(2):
        again, wire = changed([BAD_PAGE, page(event("E"), following="p2")], cursor=cursor)
        assert again.is_restart and asked(wire, 1) == {}
        cursor = again.cursor
    with pytest.raises(Rejected):
        changed([BAD_PAGE, page()], cursor=cursor)


def test_a_page_of_the_moved_window_that_is_over_keeps_the_token():
    between, _ = changed(page(sync="s1"))
    middle, _ = changed(page(following="p2"), cursor=between.cursor, window=LATER)
    again, wire = changed([BAD_PAGE, page()], cursor=middle.cursor, window=LATER)
    assert again.is_restart and again.is_whole and set(asked(wire, 1)) == {"timeMin", "timeMax"}
    assert asked(changed(page(), cursor=again.cursor, window=LATER)[1]) == {"syncToken": "s1"}


def test_a_refusal_that_is_no_matter_of_the_token_is_raised():
    between, _ = changed(page())
    for said, kind in ((older(400, "invalid", "Invalid value."), Rejected), (older(403, "rateLimitExceeded"), RateLimited)):
        with pytest.raises(kind):
            changed([said, page()], cursor=between.cursor)


@pytest.mark.parametrize(
    "text",
    ["x", "[]", "5", '{"v":1}', '{"v":9,"start":"a","end":"b","size":5,"sync":"s"}', '{"v":1,"start":"a","end":"b","size":0,"sync":"s"}']
    + ['{"v":1,"start":"a","end":"b","size":9999,"sync":"s"}', '{"v":1,"start":"a","end":"b","size":true,"sync":"s"}', "[" * 9999],
)
def test_a_cursor_that_is_none_of_ours_is_a_round_from_the_start(text):
    changes, wire = changed(page(event("E")), cursor=text)
    assert changes.is_whole and changes.is_restart and asked(wire) == {}


@pytest.mark.parametrize(
    "said",
    [
        page({**event("E"), "start": None}),
        page({**event("E"), "etag": ""}),
        page({**event("E"), "id": 7}),
        page("x"),
        page({**event("E"), "recurrence": ["RRULE:FREQ=DAILY"]}),  # its id would stand for all its occurrences
        Said(200, {"items": {}}),
        Said(200, {"items": []}),  # no way on
        Said(200, {"items": [], "nextPageToken": 5}),
        Said(200, []),
    ],
)
def test_a_page_that_cannot_be_read_ends_the_round_and_is_not_passed_by(said):
    with pytest.raises(OutcomeUnknown):
        changed(said)


def test_the_same_page_over_and_over_ends():
    first, _ = changed(page(following="p2"))
    with pytest.raises(OutcomeUnknown):
        changed(page(following="p2"), cursor=first.cursor)


def test_events_are_read_by_id_wherever_they_lie_and_what_is_gone_is_left_out():
    series = event("M", recurrence=["RRULE:FREQ=DAILY"])
    said = {"E": marked("E", "00U1"), "far": event("far", day="2001-01-01"), "M": series, "gone": {**event("gone"), "status": "cancelled"}}
    routes = {f"GET {ROOT}/{id_}": Said(200, row) for id_, row in said.items()}
    routes |= {f"GET {ROOT}/x/y": older(404, "notFound"), f"GET {ROOT}/old": older(410, "deleted")}
    box, wire = calendar(routes)

    found = {r.ref.id: r.fields[FOREIGN_ID] for r in box.read(EVENT, ["E", "far", "M", "gone", "x/y", "old", "E"], [])}

    assert found == {"E": "00U1", "far": None} and wire.calls == ["POST /batch/calendar/v3"] and len(wire.parts) == 6
    assert b"/events/x%2Fy HTTP" in wire.requests[0].body
    assert box.counts().by_template == {"POST /batch/calendar/v3": 1, f"part GET {ROOT}/{{event}}": 6} and box.counts().calls == 1
    assert [r.ref.id for r in box.read(EVENT, ["E"], [])] == ["E"] and wire.calls[1:] == [f"GET {ROOT}/E"]  # one needs no batch


@pytest.mark.parametrize("said", [{**event("E"), "start": None}, {"id": "E"}])
def test_an_event_that_cannot_be_read_is_not_taken_for_gone(said):
    box, _ = calendar({f"GET {ROOT}/E": Said(200, said)})
    with pytest.raises(OutcomeUnknown):
        box.read(EVENT, ["E"], [])


def test_a_calendar_that_refuses_us_is_not_taken_for_empty():
    box, _ = calendar({f"GET {ROOT}/E": older(403, "forbidden"), LIST: older(403, "forbidden")})
    for call in (lambda: box.read(EVENT, ["E"], []), lambda: box.find_marked(EVENT, ["00U1"], [], since=WINDOW.start)):
        with pytest.raises(MailboxRefused, match="these events"):
            call()


def test_a_marker_is_searched_for_and_found_in_its_own_case():
    series = marked("M", "00Uab", recurrence=["RRULE:FREQ=DAILY"])
    box, wire = calendar({LIST: [page(series, marked("F", "00UAB"), sync="", following="p2"), page(marked("E", "00Uab")), page()]})

    found = box.find_marked(EVENT, ["00Uab", "", "00Uab", "00U2"], [], since=WINDOW.start)

    assert [r.ref.id for r in found] == ["E"] and len(wire.calls) == 3
    assert wire.asked(0) == {"privateExtendedProperty": f"{MARKER_KEY}=00Uab", "maxResults": "2500"} and wire.asked(1)["pageToken"] == "p2"
    endless, _ = calendar({LIST: page(following="p2")})
    with pytest.raises(OutcomeUnknown):
        endless.find_marked(EVENT, ["00U1"], [], since=WINDOW.start)


# --- writing --------------------------------------------------------------------------------------------------------


def written(routes, *writes):
    box, wire = calendar(routes)
    return box.write(EVENT, writes), wire


def stored(**more):
    """Returns an answer to a create: the event as it was sent."""

    def answer(request: requests.PreparedRequest) -> Said:
        return Said(200, {**event("?"), **json.loads(request.body or b""), **more})

    return answer


def ref(id_="E"):
    return Ref("google", EVENT, id_)


def test_an_event_is_made_under_an_id_of_our_own_and_marked():
    create = Write(EVENT, {"subject": "Demo", words.WHEN: "2026-12-01/2026-12-02", words.BODY: "a <b> & c"}, "op-1", marker="00U1")
    (result,), wire = written({CREATE: stored()}, create)
    sent = wire.body()
    assert sent["extendedProperties"] == {"private": {MARKER_KEY: "00U1"}} and sent["summary"] == "Demo" and "attendees" not in sent
    assert sent["start"]["date"] == "2026-12-01" and sent["end"]["date"] == "2026-12-02" and sent["description"] == "a &lt;b&gt; &amp; c"
    assert 5 <= len(sent["id"]) <= 1024 and set(sent["id"]) <= set("0123456789abcdefghijklmnopqrstuv")
    assert result.record.ref.id == sent["id"] and result.record.fields[words.BODY] == "a <b> & c"

    _, again = written({CREATE: stored()}, create)
    _, other = written({CREATE: stored()}, Write(EVENT, create.fields, "op-2", marker="00U1"))
    assert again.body()["id"] == sent["id"] != other.body()["id"]


def test_a_create_told_twice_is_one_event():
    create = Write(EVENT, {"subject": "Demo", words.WHEN: "2026-12-01/2026-12-02"}, "op-1", marker="00U1")
    _, first = written({CREATE: stored()}, create)
    id_ = first.body()["id"]
    taken = older(409, "duplicate", "The requested identifier already exists.")

    (result,), wire = written({CREATE: taken, f"GET {ROOT}/{id_}": Said(200, marked(id_, "00U1", summary="Edited since"))}, create)
    assert result.record.fields["subject"] == "Edited since" and len(wire.calls) == 2
    ids = [own_id(create, life) for life in range(MOST_LIVES)]
    (deleted,), wire = written({CREATE: taken} | {f"GET {ROOT}/{each}": Said(200, cancelled(each)) for each in ids}, create)
    assert isinstance(deleted.error, Rejected) and len(set(ids)) == MOST_LIVES and len(wire.calls) == 2 * MOST_LIVES  # and no more
    with pytest.raises(OutcomeUnknown) as raised:  # it is there, and we could not read it
        written({CREATE: taken, f"GET {ROOT}/{id_}": requests.exceptions.ReadTimeout("late")}, create)
    assert raised.value.may_have_happened


def test_an_event_that_is_shown_late_is_not_made_twice():
    create = Write(EVENT, {"subject": "Demo", words.WHEN: "2026-12-01/2026-12-02"}, "op-1", marker="00U1")
    id_, next_id = own_id(create), own_id(create, 1)
    routes = {CREATE: older(409, "duplicate", "It exists."), f"GET {ROOT}/{id_}": older(404, "notFound", "Not Found")}

    (result,), wire = written({**routes, LIST: Said(200, {"items": [marked(id_, "00U1")]})}, create)
    assert result.record.ref.id == id_ and [call.partition(" ")[0] for call in wire.calls] == ["POST", "GET", "GET"]

    (result,), wire = written({**routes, CREATE: [routes[CREATE], stored()], LIST: Said(200, {"items": []})}, create)  # deleted long ago
    assert result.record.ref.id == next_id


@pytest.mark.parametrize(
    ("fields", "is_delete"),
    [({"subject": "N"}, False), ({words.WHEN: "2026-12-01/2026-12-02"}, False), ({CATEGORIES: ()}, True), ({}, True)],
)
def test_no_guest_is_mailed_by_a_write_of_ours(fields, is_delete):
    routes = {f"PATCH {ROOT}/E": Said(200, event("E", "v2", attendees=[BO])), f"DELETE {ROOT}/E": Said(204), CREATE: stored()}
    create = Write(EVENT, {"subject": "A", words.WHEN: "2026-12-01/2026-12-02"}, "c")
    results, wire = written(routes, Write(EVENT, fields, "k", ref=ref(), is_delete=is_delete), create)
    assert [r.error for r in results] == [None, None] and [wire.asked(i)["sendUpdates"] for i in (0, 1)] == ["none", "none"]


def test_a_person_may_ask_for_the_mail_which_says_nothing_of_the_own_copy():
    routes = {f"PATCH {ROOT}/{id_}": Said(200, event(id_, "v2", attendees=[BO])) for id_ in "EF"}
    box, wire = calendar({**routes, f"DELETE {ROOT}/E": Said(204)})
    box.ask_to_mail(["E"])

    box.write(EVENT, [Write(EVENT, {"subject": "New"}, "1", ref=ref()), Write(EVENT, {"subject": "New"}, "2", ref=ref("F"))])
    box.write(
        EVENT, [Write(EVENT, {FOREIGN_ID: "00U1", words.REMINDER: 5}, "3", ref=ref()), Write(EVENT, {}, "4", ref=ref(), is_delete=True)]
    )

    assert [wire.asked(i)["sendUpdates"] for i in range(4)] == ["all", "none", "none", "all"]


def test_an_update_sends_the_fields_named_and_rests_on_its_version():
    silent = {FOREIGN_ID: "00U1", words.SHOW_AS: words.FREE, words.SENSITIVITY: words.PRIVATE, words.REMINDER: None}
    (result,), wire = written({f"PATCH {ROOT}/E": Said(200, event("E", "v2"))}, Write(EVENT, silent, "k", ref=ref(), version='"v1"'))
    assert result.record.version == '"v2"' and wire.requests[0].headers["If-Match"] == '"v1"'
    assert wire.body() == {
        "extendedProperties": {"private": {MARKER_KEY: "00U1"}},
        "transparency": "transparent",
        "visibility": "private",
        "reminders": {"useDefault": False, "overrides": []},
    }


@pytest.mark.parametrize(
    ("said", "kind"),
    [
        (older(412, "conditionNotMet"), StaleVersion),
        (older(404, "notFound"), RecordGone),
        (older(410, "deleted"), RecordGone),
        (Said(410, HTML), RecordGone),
        (older(403, "forbiddenForNonOrganizer"), Rejected),
        (older(400, "invalid"), Rejected),
    ],
)
@pytest.mark.parametrize("is_delete", [True, False])
def test_one_that_is_refused_takes_no_other_with_it(said, kind, is_delete):
    routes = {f"PATCH {ROOT}/E": said, f"DELETE {ROOT}/E": said, f"PATCH {ROOT}/F": Said(200, event("F"))}
    write = Write(EVENT, {} if is_delete else {"subject": "N"}, "1", ref=ref(), version='"v1"', is_delete=is_delete)
    (refused, good), wire = written(routes, write, Write(EVENT, {"subject": "N"}, "2", ref=ref("F")))

    assert isinstance(refused.error, kind) and good.error is None and (refused.key, good.key) == ("1", "2")
    assert refused.exchange is not None and refused.exchange.status == said.status and wire.requests[0].headers["If-Match"] == '"v1"'


def test_a_patch_of_what_was_deleted_brings_nothing_back():
    (result,), _ = written(
        {f"PATCH {ROOT}/E": Said(200, {**event("E"), "status": "cancelled"})}, Write(EVENT, {"subject": "N"}, "k", ref=ref())
    )
    assert isinstance(result.error, RecordGone)


def test_what_cannot_be_written_is_not_sent():
    when = {words.WHEN: "2026-12-01/2026-12-02"}
    writes = [{"subject": "A", words.GUESTS: ("x",)}, {words.WHEN: "soon"}, {**when, CATEGORIES: ("x",)}]
    results, wire = written({}, *(Write(EVENT, fields, str(n)) for n, fields in enumerate(writes)), Write(EVENT, {}, "3", ref=ref()))
    assert [type(r.error) for r in results] == [MappingError, Rejected, MappingError, Rejected] and wire.calls == []


def test_trouble_in_the_middle_leaves_what_follows_unsent():
    routes = {f"PATCH {ROOT}/{id_}": Said(200, event(id_)) for id_ in "EG"} | {f"PATCH {ROOT}/F": Said(500, HTML)}
    first, second, third = written(routes, *(Write(EVENT, {"subject": "N"}, id_, ref=ref(id_)) for id_ in "EFG"))[0]
    assert first.error is None and isinstance(second.error, ServerTrouble) and second.error.may_have_happened
    assert isinstance(third.error, ServerTrouble) and not third.error.may_have_happened
    with pytest.raises(ServerTrouble) as raised:
        written(routes, Write(EVENT, {"subject": "N"}, "k", ref=ref("F")))
    assert raised.value.may_have_happened


@pytest.mark.parametrize("said", [event("other"), {**event("E"), "etag": ""}, {"id": "E"}, {}])
def test_an_answer_that_is_not_the_events_leaves_the_write_in_doubt(said):
    with pytest.raises(OutcomeUnknown) as raised:
        written({f"PATCH {ROOT}/E": Said(200, said)}, Write(EVENT, {"subject": "N"}, "k", ref=ref()))
    assert raised.value.may_have_happened


# --- the calendar itself ----------------------------------------------------------------------------------------------


def test_its_test_reads_one_event_and_says_what_to_do():
    good, wire = calendar({LIST: page(event("E"))})
    closed, _ = calendar({LIST: older(403, "insufficientPermissions")})

    assert [(line.name, line.is_ok) for line in good.check_mailbox()] == [("Read events", True)] and wire.asked()["maxResults"] == "1"
    (line,) = closed.check()
    assert not line.is_ok and "auth/calendar.events" in line.remedy and "Calendar API" in line.remedy


def test_a_calendar_says_what_it_is():
    box, _ = calendar({})
    assert (box.address, box.identity().user, box.schema(EVENT)) == (ANN, ANN, EVENT_SCHEMA)
    assert (box.concurrency, box.marker_field, box.settle_seconds, box.is_silent, box.has_categories) == (1, FOREIGN_ID, 300, True, False)
    link = urlsplit(box.web_url(Ref("google", EVENT, "E")))  # the template of the connection leads to contacts
    assert link.hostname == "www.google.com" and set(parse_qs(link.query)) == {"eid"}
    with pytest.raises(MailboxRefused):
        connector({})[0].calendar("no address")

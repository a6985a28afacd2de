"""The calendar of a Microsoft mailbox against the played Exchange. Both were written from the reference, neither from the other:
what one of them misread shows here."""

from datetime import UTC, datetime

import pytest

from connectors import calendars as words
from connectors.calendars import EVENT, Window
from connectors.contract import Write
from connectors.errors import Rejected, StaleVersion
from connectors.mailboxes import CATEGORIES, FOREIGN_ID
from connectors.sandbox.transport import SandboxAdapter
from connectors.sandbox.world import World
from reconciliation.engine.connections import open_connector
from tests.boxes import connect_microsoft
from tests.sandboxed import Clock

pytestmark = pytest.mark.django_db
ANN, BOB, OUTSIDER = "ann@example.test", "bob@example.test", "bo@acme.example"
WINDOW = Window(datetime(2026, 11, 1, tzinfo=UTC), datetime(2027, 5, 1, tzinfo=UTC))
ROW = {"mailbox": ANN, "subject": "Call", "start": "2026-12-01T10:00", "end": "2026-12-01T11:00", "timeZone": "Europe/Berlin"}
WEEKLY = {
    "pattern": {"type": "weekly", "interval": 1, "daysOfWeek": ["tuesday"]},
    "range": {"type": "numbered", "startDate": "2026-12-01", "numberOfOccurrences": 3},
}


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def world(clock):
    return World(scenario="empty", now=clock)


@pytest.fixture
def connector(world, clock):
    row = connect_microsoft(world)
    adapter = SandboxAdapter(world)
    opened = open_connector(row, adapter=adapter, db_now=clock, now=clock, clock=lambda: clock().timestamp(), sleep=lambda s: None)
    yield opened
    opened.close()


@pytest.fixture
def box(connector):
    opened = connector.calendar(ANN)
    opened.use_category("Salesforce")
    return opened


def by_hand(world, **values):
    return world.microsoft.create_record("event", {**ROW, **values})


def round_of(box, cursor=""):
    """Returns everything that a round tells: events by id, ids that are gone, series, and the next cursor."""
    events, gone, series = {}, set(), {}
    while True:
        page = box.event_changes(cursor, WINDOW)
        events |= {r.ref.id: r for r in page.events}
        gone |= set(page.gone)
        series |= page.series
        cursor = page.cursor
        if page.is_last:
            return events, gone, series, cursor


def mails(world):
    return [(mail["kind"], mail["to"]) for mail in world.microsoft.mails]


def test_its_calendar_can_be_read(box):
    assert [line.is_ok for line in box.check_mailbox()] == [True]


def test_what_people_enter_is_told_once_in_the_words_of_every_calendar(box, world):
    by_hand(world, location="Room 2", body="Agenda", categories=["Salesforce"], attendees=[OUTSIDER], sensitivity="private")

    events, gone, _, cursor = round_of(box)

    (event,) = events.values()
    assert event.fields[words.WHEN] == "2026-12-01T09:00:00Z/2026-12-01T10:00:00Z"
    assert (event.fields["subject"], event.fields["location"], event.fields[words.BODY]) == ("Call", "Room 2", "Agenda")
    assert (event.fields[words.SENSITIVITY], event.fields[CATEGORIES]) == (words.PRIVATE, ("Salesforce",))
    assert [words.read_guest(text).address for text in event.fields[words.GUESTS]] == [OUTSIDER]
    assert gone == set() and round_of(box, cursor)[:3] == ({}, set(), {})


def test_whole_days_keep_their_dates_in_every_zone(box, world):
    by_hand(world, isAllDay=True, start="2026-12-01T00:00", end="2026-12-02T00:00", timeZone="Asia/Tokyo")
    (event,) = round_of(box)[0].values()
    assert event.fields[words.WHEN] == "2026-12-01/2026-12-02"


def test_c23_each_occurrence_of_a_series_is_told_and_what_happens_to_one(box, world):
    by_hand(world, recurrence=WEEKLY)
    events, _, series, cursor = round_of(box)
    assert sorted(r.fields[words.ORIGINAL_START] for r in events.values()) == [f"2026-12-{day}T09:00:00Z" for day in ("01", "08", "15")]
    assert len({r.fields[words.UID] for r in events.values()}) == 1 and set(*series.values()) == set(events)

    master = next(row for row in world.microsoft.list_records("event") if row["kind"] == "seriesMaster")
    number = world.microsoft.find_id("event", master["id"])
    world.microsoft.update_record("event", number, {"occurrence": "2026-12-08", "start": "2026-12-09T15:00", "end": "2026-12-09T16:00"})
    changed, _, _, cursor = round_of(box, cursor)
    moved = next(r for r in changed.values() if r.fields[words.KIND] == words.EXCEPTION)
    assert moved.fields[words.WHEN].startswith("2026-12-09T14:00") and moved.fields[words.ORIGINAL_START] == "2026-12-08T09:00:00Z"

    world.microsoft.delete_record("event", number)
    _, gone, _, _ = round_of(box, cursor)
    assert gone >= set(events) or gone & set(series)  # each of them, or the series for all


def test_c26_an_occasion_has_one_identity_in_the_calendars_of_all(box, connector, world):
    by_hand(world, attendees=[BOB], recurrence=WEEKLY)
    mine, theirs = round_of(box)[0], round_of(connector.calendar(BOB))[0]
    keys = [{(r.fields[words.UID], r.fields[words.ORIGINAL_START]) for r in some.values()} for some in (mine, theirs)]
    assert keys[0] == keys[1] and len(keys[0]) == 3
    assert {r.fields[words.IS_ORGANIZER] for r in theirs.values()} == {False} and {r.fields[words.RESPONSE] for r in theirs.values()} == {
        words.OPEN
    }


def test_an_event_is_made_found_again_changed_and_deleted(box, world):
    fields = {"subject": "Demo", words.WHEN: "2026-12-01T10:00:00Z/2026-12-01T10:30:00Z", words.SHOW_AS: words.FREE, words.REMINDER: 10}
    create = Write(EVENT, fields, "op-1", marker="00U1")
    (made,) = box.write(EVENT, [create])
    (again,) = box.write(EVENT, [create])
    assert made.record.ref == again.record.ref  # the answer was lost: the same create makes nothing twice
    (found,) = box.find_marked(EVENT, ["00U1"], [], since=WINDOW.start)
    assert found.ref == made.record.ref and found.fields[FOREIGN_ID] == "00U1" and found.fields[CATEGORIES] == ("Salesforce",)
    assert all(found.fields[name] == value for name, value in fields.items())

    (changed,) = box.write(EVENT, [Write(EVENT, {words.WHEN: "2026-12-01/2026-12-03"}, "k", ref=found.ref, version=found.version)])
    assert changed.error is None and changed.record.fields[words.WHEN] == "2026-12-01/2026-12-03"
    (stale,) = box.write(EVENT, [Write(EVENT, {"subject": "x"}, "k", ref=found.ref, version=found.version)])
    assert isinstance(stale.error, StaleVersion)

    (gone,) = box.write(EVENT, [Write(EVENT, {}, "k", ref=found.ref, version=changed.record.version, is_delete=True)])
    assert gone.error is None and box.read(EVENT, [found.ref.id], []) == [] and mails(world) == []


def test_c24_nobody_is_mailed(box, world):
    """The one mail is that of the person who invited; marking and hiding the own copy tells nobody of it."""
    by_hand(world, attendees=[OUTSIDER])
    (event,) = round_of(box)[0].values()
    before = mails(world)
    assert before == [("invitation", [OUTSIDER])]

    silent = {
        CATEGORIES: ("Salesforce",),
        FOREIGN_ID: "00U1",
        words.SHOW_AS: words.FREE,
        words.SENSITIVITY: words.PRIVATE,
        words.REMINDER: None,
    }
    (marked,) = box.write(EVENT, [Write(EVENT, silent, "k", ref=event.ref, version=event.version)])
    assert marked.error is None
    version = marked.record.version
    for write in ({"subject": "New"}, {words.WHEN: "2026-12-01/2026-12-02"}, {}):
        (refused,) = box.write(EVENT, [Write(EVENT, write, "k", ref=event.ref, version=version, is_delete=not write)])
        assert isinstance(refused.error, Rejected) and refused.error.code == "would_mail"
    assert mails(world) == before

    box.ask_to_mail([event.ref.id])
    (told,) = box.write(EVENT, [Write(EVENT, {"subject": "New"}, "k", ref=event.ref, version=version)])
    assert told.error is None and mails(world) == [*before, ("update", [OUTSIDER])]


def test_dead_links_are_a_round_from_the_start(box, world):
    by_hand(world)
    events, _, _, cursor = round_of(box)
    world.microsoft.expire_delta()
    page = box.event_changes(cursor, WINDOW)
    assert page.is_whole and {r.ref.id for r in page.events} == set(events)

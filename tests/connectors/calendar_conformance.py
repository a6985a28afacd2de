"""What the calendar of every mail system does, against the played one: each was written from the reference, neither from the other,
and what one of them misread shows here. A test module of a mail system makes `Played` of its own and inherits the list."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any, Protocol

import pytest

from connectors import calendars as words
from connectors.calendars import EVENT, SILENT, CalendarBox, EventChanges, Window
from connectors.contract import Record, Write
from connectors.errors import RecordGone, StaleVersion
from connectors.mailboxes import CATEGORIES, FOREIGN_ID

OUTSIDER = "bo@acme.example"
WINDOW = Window(datetime(2026, 11, 1, tzinfo=UTC), datetime(2027, 5, 1, tzinfo=UTC))
LATER = Window(datetime(2026, 11, 2, tzinfo=UTC), datetime(2027, 5, 2, tzinfo=UTC))
MUCH_LATER = Window(datetime(2026, 12, 20, tzinfo=UTC), datetime(2027, 6, 20, tzinfo=UTC))
BERLIN = ("2026-12-01T10:00", "2026-12-01T11:00")  # a Tuesday, in Europe/Berlin
TUESDAYS = [f"2026-12-{day}T09:00:00Z" for day in ("01", "08", "15")]


class Played(Protocol):
    """One mail system in process. `mine` and `theirs` are mailboxes of colleagues; times are wall times of `zone`."""

    mine: str
    theirs: str

    def calendar(self, address: str) -> CalendarBox: ...

    def make(self, *, start: str, end: str, zone: str = "Europe/Berlin", weekly: int = 0, **values: Any) -> str:
        """Makes an event, as its user does, and returns what it is called by hand. Values: `is_all_day` (start and end are days, the
        end the one behind the last), `guests`, `location`, `body`, `is_private`."""
        ...

    def edit(self, key: str, **values: Any) -> None:
        """Changes the texts of an event, or `guests`."""
        ...

    def move_occurrence(self, key: str, day: str, *, start: str, end: str) -> None: ...

    def drop(self, key: str) -> None: ...

    def kill_cursors(self) -> None:
        """Lets the system forget what it gave out to go on with."""
        ...

    def mails(self) -> list[tuple[str, list[str]]]: ...


def round_of(box: CalendarBox, cursor: str = "", window: Window = WINDOW) -> tuple[dict[str, Record], set[str], dict[str, Any], str]:
    """Returns everything that a round tells: events by id, ids that are gone, series, and the next cursor."""
    events: dict[str, Record] = {}
    gone: set[str] = set()
    series: dict[str, Any] = {}
    pages = pages_of(box, cursor, window)
    for page in pages:
        events |= {r.ref.id: r for r in page.events}
        gone |= set(page.gone)
        series |= page.series
    return events, gone, series, pages[-1].cursor


def pages_of(box: CalendarBox, cursor: str, window: Window) -> list[EventChanges]:
    pages = [box.event_changes(cursor, window)]
    while not pages[-1].is_last:
        pages.append(box.event_changes(pages[-1].cursor, window))
    return pages


def update(record: Record, fields: dict[str, Any], *, version: str = "") -> Write:
    return Write(EVENT, fields, "k", ref=record.ref, version=version or record.version)


class CalendarConformance:
    """The list. Its fixture `played` is the module's own."""

    def test_a_round_says_when_nobody_told_what_happened_outside_the_window(self, box, played):
        played.make(start=BERLIN[0], end=BERLIN[1])
        first = pages_of(box, "", WINDOW)
        quiet = pages_of(box, first[-1].cursor, WINDOW)
        moved = pages_of(box, quiet[-1].cursor, LATER)
        assert any(page.is_blind for page in first) and not any(page.is_blind for page in [*quiet, *moved])
        played.kill_cursors()
        assert any(page.is_blind for page in pages_of(box, moved[-1].cursor, LATER))

    def test_a_wide_window_and_one_that_was_wide_the_other_way_tell_everything(self, box, played):
        """An admin may look far back and far ahead; both together are more than a mail system shows at once."""
        key = played.make(start=BERLIN[0], end=BERLIN[1], weekly=3)
        far_back = Window(datetime(2025, 12, 1, tzinfo=UTC), datetime(2027, 9, 1, tzinfo=UTC))
        far_ahead = Window(datetime(2026, 11, 16, tzinfo=UTC), datetime(2028, 10, 30, tzinfo=UTC))
        both = Window(far_back.start, far_ahead.end)

        events, _, _, cursor = round_of(box, "", far_back)
        assert len(events) == 3
        played.edit(key, subject="Other")
        events, _, _, cursor = round_of(box, cursor, far_ahead)
        assert [r.fields["subject"] for r in events.values()] == ["Other"] * 3
        assert set(round_of(box, "", both)[0]) == set(events)

    @pytest.fixture
    def box(self, played: Played) -> CalendarBox:
        opened = played.calendar(played.mine)
        opened.use_category("Salesforce")
        return opened

    def test_its_calendar_can_be_read(self, box):
        assert [line.is_ok for line in box.check_mailbox()] == [True]

    def test_what_people_enter_is_told_once_in_the_words_of_every_calendar(self, box, played):
        played.make(start=BERLIN[0], end=BERLIN[1], location="Room 2", body="Agenda", is_private=True, guests=[OUTSIDER])

        events, gone, _, cursor = round_of(box)

        (event,) = events.values()
        assert event.fields[words.WHEN] == "2026-12-01T09:00:00Z/2026-12-01T10:00:00Z"
        assert (event.fields["subject"], event.fields["location"], event.fields[words.BODY]) == ("Call", "Room 2", "Agenda")
        assert event.fields[words.SENSITIVITY] == words.PRIVATE and event.fields[words.ORGANIZER] == played.mine
        assert OUTSIDER in [words.read_guest(text).address for text in event.fields[words.GUESTS]]
        assert gone == set() and round_of(box, cursor)[:3] == ({}, set(), {})

    @pytest.mark.parametrize("zone", ["Asia/Tokyo", "America/Los_Angeles", "Pacific/Kiritimati"])
    def test_c25_whole_days_keep_their_dates_in_every_zone(self, box, played, zone):
        played.make(start="2026-12-01", end="2026-12-02", zone=zone, is_all_day=True)
        (event,) = round_of(box)[0].values()
        assert event.fields[words.WHEN] == "2026-12-01/2026-12-02"

    def test_c25_a_series_keeps_its_hour_over_the_change_of_the_clock(self, box, played):
        played.make(start="2027-03-23T10:00", end="2027-03-23T11:00", weekly=2)
        starts = sorted(str(r.fields[words.WHEN]) for r in round_of(box)[0].values())
        assert [at[:16] for at in starts] == ["2027-03-23T09:00", "2027-03-30T08:00"]

    def test_c23_each_occurrence_of_a_series_is_told_and_what_happens_to_one(self, box, played):
        key = played.make(start=BERLIN[0], end=BERLIN[1], weekly=3)
        events, _, series, cursor = round_of(box)
        assert sorted(r.fields[words.ORIGINAL_START] for r in events.values()) == TUESDAYS
        assert len({r.fields[words.UID] for r in events.values()}) == len({r.fields[words.SERIES] for r in events.values()}) == 1
        assert not series or set(*series.values()) == set(events)

        played.move_occurrence(key, "2026-12-08", start="2026-12-09T15:00", end="2026-12-09T16:00")
        changed, _, _, cursor = round_of(box, cursor)
        moved = next(r for r in changed.values() if r.fields[words.KIND] == words.EXCEPTION)
        assert moved.fields[words.WHEN].startswith("2026-12-09T14:00") and moved.fields[words.ORIGINAL_START] == TUESDAYS[1]

        played.drop(key)
        _, gone, _, _ = round_of(box, cursor)
        ids = {r.fields[words.SERIES] for r in events.values()}
        assert gone >= set(events) or gone & ids  # each of them, or the series for all

    def test_c26_an_occasion_has_one_identity_in_the_calendars_of_all(self, box, played):
        played.make(start=BERLIN[0], end=BERLIN[1], weekly=3, guests=[played.theirs])
        mine, theirs = round_of(box)[0], round_of(played.calendar(played.theirs))[0]
        keys = [{(r.fields[words.UID], r.fields[words.ORIGINAL_START]) for r in some.values()} for some in (mine, theirs)]
        assert keys[0] == keys[1] and len(keys[0]) == 3
        assert {r.fields[words.IS_ORGANIZER] for r in theirs.values()} == {False}
        assert {r.fields[words.RESPONSE] for r in theirs.values()} == {words.OPEN}

    def test_an_edit_and_a_deletion_are_told_in_the_next_round_and_nothing_else(self, box, played):
        key = played.make(start=BERLIN[0], end=BERLIN[1])
        played.make(start="2026-12-03T10:00", end="2026-12-03T11:00")
        events, _, _, cursor = round_of(box)

        played.edit(key, subject="Moved to Monday")
        changed, gone, _, cursor = round_of(box, cursor)
        (edited,) = changed.values()
        assert edited.fields["subject"] == "Moved to Monday" and gone == set() and len(events) == 2

        played.drop(key)
        changed, gone, _, cursor = round_of(box, cursor)
        assert (changed, gone) == ({}, {edited.ref.id}) and box.read(EVENT, [edited.ref.id], []) == []

    def test_what_lies_outside_the_window_is_not_told_and_what_comes_into_it_is(self, box, played):
        played.make(start="2027-05-01T10:00", end="2027-05-01T11:00")
        events, _, _, cursor = round_of(box)
        assert events == {}

        pages = pages_of(box, cursor, LATER)
        cursor = pages[-1].cursor
        assert pages[-1].is_whole and not any(page.is_restart for page in pages)
        assert [r.fields[words.WHEN][:10] for page in pages for r in page.events] == ["2027-05-01"]

        played.make(start="2027-05-03T10:00", end="2027-05-03T11:00")
        played.make(start="2026-12-03T10:00", end="2026-12-03T11:00")
        last = box.event_changes(cursor, LATER)
        assert not last.is_whole and last.is_last
        seen = {r.ref.id: r for r in last.events}
        assert "2026-12-03" in {r.fields[words.WHEN][:10] for r in seen.values()}
        assert "2027-05-03" not in {r.fields[words.WHEN][:10] for r in seen.values()}

    def test_what_happened_to_events_before_the_window_left_them_is_told_all_the_same(self, box, played):
        edited, gone = (played.make(start=BERLIN[0], end=BERLIN[1]) for _ in range(2))
        weekly = played.make(start="2026-11-24T10:00", end="2026-11-24T11:00", weekly=2)
        events, _, _, cursor = round_of(box)
        assert len(events) == 4
        played.edit(edited, location="Elsewhere")
        played.drop(gone)
        played.edit(weekly, location="Elsewhere")

        told, missed, _, cursor = round_of(box, cursor, MUCH_LATER)
        behind, left, _, cursor = round_of(box, cursor, MUCH_LATER)  # Google tells them behind the list of the window
        assert {*told, *missed, *behind, *left} >= events.keys()
        assert all(r.fields["location"] == "Elsewhere" for r in [*told.values(), *behind.values()])
        assert round_of(box, cursor, MUCH_LATER)[:2] == ({}, set())

    def test_an_event_is_made_found_again_changed_and_deleted(self, box, played):
        fields = {"subject": "Demo", words.WHEN: "2026-12-01T10:00:00Z/2026-12-01T10:30:00Z", words.SHOW_AS: words.FREE, words.REMINDER: 10}
        create = Write(EVENT, fields, "op-1", marker="00U1")
        (made,) = box.write(EVENT, [create])
        (again,) = box.write(EVENT, [create])
        assert made.record.ref == again.record.ref  # the answer was lost: the same create makes nothing twice
        (found,) = box.find_marked(EVENT, ["00U1", "00U2", ""], [], since=WINDOW.start)
        assert found.ref == made.record.ref and found.fields[FOREIGN_ID] == "00U1"
        assert not box.has_categories or found.fields[CATEGORIES] == ("Salesforce",)
        assert all(found.fields[name] == value for name, value in fields.items())
        assert [r.fields for r in box.read(EVENT, [found.ref.id], [])] == [found.fields]

        (changed,) = box.write(EVENT, [update(found, {words.WHEN: "2026-12-01/2026-12-03"})])
        assert changed.error is None and changed.record.fields[words.WHEN] == "2026-12-01/2026-12-03"
        (stale,) = box.write(EVENT, [update(found, {"subject": "x"})])
        assert isinstance(stale.error, StaleVersion)

        delete = Write(EVENT, {}, "k", ref=found.ref, version=changed.record.version, is_delete=True)
        (gone,), (again,) = box.write(EVENT, [delete]), box.write(EVENT, [replace(delete, version="")])
        assert gone.error is None and box.read(EVENT, [found.ref.id], []) == [] and played.mails() == []
        assert isinstance(again.error, RecordGone) and box.find_marked(EVENT, ["00U1"], [], since=WINDOW.start) == []

        for _ in range(2):  # where somebody deleted what was made, and it is wanted again
            (anew,) = box.write(EVENT, [create])
            (same,) = box.write(EVENT, [create])
            assert anew.error is None and anew.record.ref.id != made.record.ref.id and same.record.ref == anew.record.ref
            box.write(EVENT, [Write(EVENT, {}, "k", ref=anew.record.ref, version=anew.record.version, is_delete=True)])

    def test_our_own_writes_come_back_as_they_were_answered(self, box):
        fields = {"subject": "Demo", words.WHEN: "2026-12-01T10:00:00Z/2026-12-01T10:30:00Z", words.BODY: "1 < 2 & <b>\nnext"}
        (made,) = box.write(EVENT, [Write(EVENT, fields, "op-1", marker="00U1")])

        (echo,) = round_of(box)[0].values()
        assert echo.version == made.record.version
        assert {n: echo.fields[n] for n in fields} == {n: made.record.fields[n] for n in fields} == fields

    def test_c24_marking_the_own_copy_mails_nobody(self, box, played):
        """The one mail is that of the person who invited; marking and hiding the own copy tells nobody of it."""
        played.make(start=BERLIN[0], end=BERLIN[1], guests=[OUTSIDER, played.theirs])
        (event,) = round_of(box)[0].values()
        before = played.mails()
        assert {kind for kind, _ in before} == {"invitation"} and {a for _, to in before for a in to} == {OUTSIDER, played.theirs}

        silent = {
            CATEGORIES: ("Salesforce",),
            FOREIGN_ID: "00U1",
            words.SHOW_AS: words.FREE,
            words.SENSITIVITY: words.PRIVATE,
            words.REMINDER: None,
        }
        assert set(silent) == SILENT
        kept = {name: value for name, value in silent.items() if name != CATEGORIES or box.has_categories}
        (marked,) = box.write(EVENT, [update(event, kept)])

        assert marked.error is None and played.mails() == before
        (found,) = box.read(EVENT, [event.ref.id], [])
        assert {name: found.fields[name] for name in kept} == kept

    def test_c24_a_person_may_ask_for_the_mail(self, box, played):
        played.make(start=BERLIN[0], end=BERLIN[1], guests=[OUTSIDER])
        (event,) = round_of(box)[0].values()
        before = played.mails()

        box.ask_to_mail([event.ref.id])
        (told,) = box.write(EVENT, [update(event, {"subject": "New"})])

        assert told.error is None and played.mails() == [*before, ("update", [OUTSIDER])]

    def test_a_person_finds_their_event_by_its_day_within_bounds(self, box, played):
        """What a search shows is what a read shows: occurrences by themselves, nothing of other days, no more than was asked for."""
        played.make(start=BERLIN[0], end=BERLIN[1], weekly=3)
        played.make(start="2026-12-08T12:00", end="2026-12-08T13:00", guests=[OUTSIDER])
        day = Window(datetime(2026, 12, 8, tzinfo=UTC), datetime(2026, 12, 9, tzinfo=UTC))

        found = {r.ref.id: r for r in box.find_events(day, most=20)}

        starts = sorted(str(r.fields[words.WHEN])[:16] for r in found.values())
        assert starts == ["2026-12-08T09:00", "2026-12-08T11:00"]
        assert {id_: r.fields for id_, r in found.items()} == {r.ref.id: r.fields for r in box.read(EVENT, list(found), [])}
        quiet = Window(datetime(2026, 12, 20, tzinfo=UTC), datetime(2026, 12, 21, tzinfo=UTC))
        assert len(box.find_events(WINDOW, most=2)) == 2 and box.find_events(quiet, most=9) == []

    def test_dead_cursors_are_a_round_from_the_start(self, box, played):
        played.make(start=BERLIN[0], end=BERLIN[1])
        events, _, _, cursor = round_of(box)
        played.kill_cursors()
        page = box.event_changes(cursor, WINDOW)
        assert page.is_whole and {r.ref.id for r in page.events} == set(events)

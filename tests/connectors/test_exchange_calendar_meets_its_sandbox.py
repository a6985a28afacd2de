"""The calendar of a mailbox on an Exchange server against the played one."""

import json

import pytest

from connectors import calendars as words
from connectors.calendars import EVENT
from connectors.errors import MailboxRefused, Rejected
from connectors.mailboxes import CATEGORIES, FOREIGN_ID
from tests.boxes import connect_exchange
from tests.connectors.calendar_conformance import BERLIN, LATER, OUTSIDER, WINDOW, round_of, update
from tests.connectors.played_calendars import PlayedCalendars, PlayedCalendarsConformance

pytestmark = pytest.mark.django_db
EMMA, ERIK = "emma@example.test", "erik@example.test"


class OnPremises(PlayedCalendars):
    """The played server, as people use it."""

    mine, theirs = EMMA, ERIK

    def __init__(self):
        super().__init__(connect_exchange, "exchange")

    def weekly(self, first, times):
        return json.dumps(super().weekly(first, times))

    def kill_cursors(self):
        self.system.expire_sync()


@pytest.fixture
def played():
    made = OnPremises()
    yield made
    made.opened.close()


class TestExchangeCalendar(PlayedCalendarsConformance):
    """The list that every calendar goes through, and what only Exchange does."""

    def test_c24_nothing_is_written_that_would_part_a_meeting_from_its_guests(self, box, played):
        """Exchange can be told to mail nobody; then the guests keep what they had."""
        self.refuses_what_guests_would_be_told(box, played)

    def test_c24_a_meeting_is_looked_at_though_our_mark_was_just_written_on_it(self, box, played):
        """Exchange answers to a write without telling who is invited."""
        played.make(start=BERLIN[0], end=BERLIN[1], guests=[OUTSIDER])
        (event,) = round_of(box)[0].values()
        fresh = played.calendar(EMMA)
        (marked,) = fresh.write(EVENT, [update(event, {FOREIGN_ID: "00U2"})])
        assert marked.error is None

        (refused,) = fresh.write(EVENT, [update(event, {"subject": "New"}, version=marked.record.version)])

        assert isinstance(refused.error, Rejected) and refused.error.code == "would_mail"

    def test_a_day_later_a_quiet_calendar_costs_the_list_and_the_view(self, box, played):
        played.make(start=BERLIN[0], end=BERLIN[1])
        cursor = round_of(box)[3]
        played.world.forget_calls()
        events, gone, _, _ = round_of(box, cursor, LATER)
        assert len(events) == 1 and not gone
        assert sum(played.world.counts["exchange"].values()) == 3  # the list, the view, and what is in it

    def test_a_quiet_round_costs_one_call(self, box, played):
        played.make(start=BERLIN[0], end=BERLIN[1], weekly=3)
        cursor = round_of(box)[3]
        played.world.forget_calls()
        assert round_of(box, cursor)[:3] == ({}, set(), {})
        assert sum(played.world.counts["exchange"].values()) == 1

    def test_a_calendar_with_a_long_past_is_listed_page_by_page_and_shown_once(self, box, played):
        for n in range(7):
            played.make(start=f"2025-12-0{n + 1}T10:00", end=f"2025-12-0{n + 1}T11:00")
        played.make(start=BERLIN[0], end=BERLIN[1])
        played.system.set_switches({"sync_page": 3})
        pages, cursor = [], ""
        while not pages or not pages[-1].is_last:
            pages.append(box.event_changes(cursor, WINDOW))
            cursor = pages[-1].cursor
        assert [len(p.events) for p in pages] == [0, 0, 1] and all(p.is_whole for p in pages)

    def test_a_single_occurrence_bears_our_mark_by_itself(self, box, played):
        played.make(start=BERLIN[0], end=BERLIN[1], weekly=3)
        events = sorted(round_of(box)[0].values(), key=lambda r: r.fields[words.ORIGINAL_START])
        (marked,) = box.write(EVENT, [update(events[1], {FOREIGN_ID: "00U2", CATEGORIES: ("Salesforce",)})])
        assert marked.error is None
        held = {r.ref.id: r.fields[FOREIGN_ID] for r in box.read(EVENT, [r.ref.id for r in events], [])}
        assert held == {events[0].ref.id: None, events[1].ref.id: "00U2", events[2].ref.id: None}

    def test_a_calendar_that_we_may_not_use_is_refused_with_a_remedy(self, box, played):
        user = next(row for row in played.system.list_records("user") if row["mail"] == EMMA)
        played.system.update_record("user", played.system.find_id("user", str(user["id"])), {"state": "denied"})
        with pytest.raises(MailboxRefused):
            round_of(box)
        (line,) = box.check_mailbox()
        assert not line.is_ok and "ApplicationImpersonation" in line.remedy

"""The calendar of a Google mailbox against the played Google, in process and over real HTTP."""

import pytest

from connectors import calendars as words
from connectors.calendars import EVENT
from connectors.contract import Write
from connectors.errors import MailboxRefused, NeedsAttention, OutcomeUnknown, RateLimited, Rejected
from connectors.mailboxes import FOREIGN_ID
from connectors.sandbox.server import SandboxServer
from connectors.sandbox.transport import SandboxAdapter
from connectors.sandbox.world import World
from reconciliation.engine.connections import open_connector
from reconciliation.models import Mailbox
from tests.boxes import connect_google
from tests.connectors.calendar_conformance import BERLIN, LATER, OUTSIDER, TUESDAYS, WINDOW, CalendarConformance, round_of, update
from tests.sandboxed import Clock

pytestmark = pytest.mark.django_db
GINA, HUGO = "gina@example.test", "hugo@example.test"


class Google:
    """The played Google, as people use it."""

    mine, theirs = GINA, HUGO

    def __init__(self, **settings):
        self.clock = Clock()
        self.world = World(scenario="empty", now=self.clock)
        self.row = connect_google(self.world)
        self.row.settings = {**self.row.settings, **settings}
        self.opened = open_connector(
            self.row,
            adapter=SandboxAdapter(self.world),
            db_now=self.clock,
            now=self.clock,
            clock=lambda: self.clock().timestamp(),
            sleep=lambda s: None,
        )
        self.system = self.world.google

    def calendar(self, address):
        return self.opened.calendar(address)

    def make(self, *, start, end, zone="Europe/Berlin", weekly=0, is_all_day=False, guests=(), is_private=False, body="", **values):
        given = {"mailbox": values.pop("mailbox", GINA), "summary": values.pop("subject", "Call"), "start": start, "end": end}
        given |= {"isAllDay": True} if is_all_day else {"timeZone": zone}
        given |= {"visibility": "private"} if is_private else {}
        given |= {"recurrence": [f"RRULE:FREQ=WEEKLY;COUNT={weekly}"]} if weekly else {}
        return str(self.system.create_record("event", {**given, "attendees": list(guests), "description": body, **values})["id"])

    def edit(self, key, *, subject=None, guests=None, **values):
        given = {**({"summary": subject} if subject else {}), **({"attendees": guests} if guests is not None else {}), **values}
        self.system.update_record("event", int(key), given)

    def move_occurrence(self, key, day, *, start, end):
        series = self.system.get_record("event", int(key))
        given = {"mailbox": GINA, "recurringEventId": series["eventId"], "originalStart": f"{day}T09:00:00Z"}
        self.system.create_record("event", {**given, "start": start, "end": end, "timeZone": "Europe/Berlin"})

    def drop(self, key):
        self.system.delete_record("event", int(key))

    def kill_cursors(self):
        self.system.set_switches({"sync_token_days": 0})
        self.clock.forward(60)

    def mails(self):
        return [(mail["kind"], mail["to"]) for mail in self.world.google.mails]

    def refuse(self, method, path, **options):
        """Lets the next call of this kind fail."""
        self.world.faults.add({"system": "google", "method": method, "path": path, "times": 1, **options})

    def calls(self):
        """Returns the calls since the last look, without those for tokens."""
        made = {key: n for key, n in self.world.counts["google"].items() if "token" not in key}
        self.world.forget_calls()
        return made


@pytest.fixture
def played():
    made = Google()
    yield made
    made.opened.close()


EVENTS, EVENT_PATH = "/calendar/v3/calendars/{calendar}/events", "/calendar/v3/calendars/{calendar}/events/{id}"


class TestGoogleCalendar(CalendarConformance):
    """The list that every calendar goes through, and what only Google does."""

    def test_c24_a_meeting_is_changed_and_cancelled_without_a_mail(self, box, played):
        key = played.make(start=BERLIN[0], end=BERLIN[1], guests=[OUTSIDER, HUGO])
        (event,) = round_of(box)[0].values()
        before = played.mails()

        changes = {"subject": "New", "location": "Room 3", words.BODY: "x", words.WHEN: "2026-12-02T09:00:00Z/2026-12-02T10:00:00Z"}
        (changed,) = box.write(EVENT, [update(event, changes)])
        assert changed.error is None and {n: changed.record.fields[n] for n in changes} == changes
        (theirs,) = round_of(played.calendar(HUGO))[0].values()
        assert theirs.fields["subject"] == "New"  # they see it all the same
        (gone,) = box.write(EVENT, [Write(EVENT, {}, "k", ref=event.ref, version=changed.record.version, is_delete=True)])

        assert gone.error is None and played.mails() == before and played.system.get_record("event", int(key)) is None

    def test_a_guest_marks_the_own_copy_and_may_not_change_what_all_share(self, box, played):
        played.make(start=BERLIN[0], end=BERLIN[1], guests=[HUGO])
        hugos = played.calendar(HUGO)
        (event,) = round_of(hugos)[0].values()

        (marked,) = hugos.write(EVENT, [update(event, {FOREIGN_ID: "00U1"})])
        refused, good = hugos.write(EVENT, [update(marked.record, {"subject": "Mine"}), update(marked.record, {words.SHOW_AS: words.FREE})])

        assert marked.record.fields[FOREIGN_ID] == "00U1" and good.record.fields[words.SHOW_AS] == words.FREE
        assert isinstance(refused.error, Rejected) and not isinstance(refused.error, NeedsAttention)
        assert round_of(box)[0][event.ref.id].fields[FOREIGN_ID] is None  # the marker is of this copy alone

    def test_c23_a_cancelled_occurrence_and_a_shortened_series_are_gone_by_their_ids(self, box, played):
        key = played.make(start=BERLIN[0], end=BERLIN[1], weekly=3)
        events, _, _, cursor = round_of(box)
        by_start = {r.fields[words.ORIGINAL_START]: r.ref.id for r in events.values()}
        series = played.system.get_record("event", int(key))

        second = {"mailbox": GINA, "recurringEventId": series["eventId"], "originalStart": TUESDAYS[1], "status": "cancelled"}
        played.system.create_record("event", second)
        changed, gone, _, cursor = round_of(box, cursor)
        assert gone == {by_start[TUESDAYS[1]]} and set(changed) <= {by_start[TUESDAYS[0]], by_start[TUESDAYS[2]]}
        assert box.read(EVENT, list(gone), []) == []

        played.system.update_record("event", int(key), {"recurrence": ["RRULE:FREQ=WEEKLY;COUNT=2"]})
        _, gone, _, cursor = round_of(box, cursor)
        assert by_start[TUESDAYS[2]] in gone and round_of(box)[0].keys() == {by_start[TUESDAYS[0]]}

    def test_an_occurrence_is_changed_by_its_own_id_and_its_series_is_no_event(self, box, played):
        played.make(start=BERLIN[0], end=BERLIN[1], weekly=3)
        events, _, _, _ = round_of(box)
        second = next(r for r in events.values() if r.fields[words.ORIGINAL_START] == TUESDAYS[1])

        (moved,) = box.write(EVENT, [update(second, {words.WHEN: "2026-12-09T14:00:00Z/2026-12-09T15:00:00Z"})])

        assert (moved.record.ref, moved.record.fields[words.KIND]) == (second.ref, words.EXCEPTION)
        assert moved.record.fields[words.ORIGINAL_START] == TUESDAYS[1]
        assert box.read(EVENT, [str(second.fields[words.SERIES]), second.ref.id], [])[0].ref == second.ref

    def test_rounds_go_over_pages_short_and_empty_ones_too(self, box, played):
        played.system.set_switches({"events_a_page": 2, "empty_event_pages": True})
        played.make(start=BERLIN[0], end=BERLIN[1], weekly=5)

        events, gone, _, cursor = round_of(box)
        moved, *_ = round_of(box, cursor, LATER)

        assert len(events) == len(moved) == 5 and gone == set()

    def test_nothing_new_is_one_call_and_a_window_that_moves_is_one_more(self, box, played):
        played.make(start=BERLIN[0], end=BERLIN[1])
        cursor = round_of(box)[3]
        played.calls()

        cursor = round_of(box, cursor)[3]
        assert played.calls() == {f"GET {EVENTS}": 1}
        events, _, _, cursor = round_of(box, cursor, LATER)
        assert played.calls() == {f"GET {EVENTS}": 1} and len(events) == 1
        played.make(start=BERLIN[0], end=BERLIN[1])
        events, _, _, cursor = round_of(box, cursor, LATER)
        assert played.calls() == {f"GET {EVENTS}": 1} and len(events) == 1

    def test_what_happened_while_the_window_moved_is_told_behind_it(self, box, played):
        key = played.make(start=BERLIN[0], end=BERLIN[1])
        events, _, _, cursor = round_of(box)
        played.drop(key)
        played.make(start="2027-05-01T10:00", end="2027-05-01T11:00")

        moved, _, _, cursor = round_of(box, cursor, LATER)
        assert [r.fields[words.WHEN][:10] for r in moved.values()] == ["2027-05-01"]
        _, gone, _, _ = round_of(box, cursor, LATER)
        assert gone == set(events)

    def test_a_create_whose_answer_was_lost_is_found_and_made_once(self, box, played):
        create = Write(EVENT, {"subject": "Demo", words.WHEN: "2026-12-01/2026-12-02"}, "op-1", marker="00U1")
        played.refuse("POST", EVENTS, kind="lost_answer")

        with pytest.raises(OutcomeUnknown) as raised:
            box.write(EVENT, [create])
        assert raised.value.may_have_happened
        (again,) = box.write(EVENT, [create])

        assert again.error is None and again.record.fields[FOREIGN_ID] == "00U1" and played.system.count("event") == 1
        played.drop(played.system.list_records("event")[0]["id"])
        (late,) = box.write(EVENT, [create])  # Google never gives an id away again, and what is wanted again is made all the same
        assert late.error is None and late.record.ref != again.record.ref and played.system.count("event") == 1

    def test_trouble_leaves_what_follows_unsent(self, box, played):
        writes = [Write(EVENT, {"subject": str(n), words.WHEN: "2026-12-01/2026-12-02"}, str(n)) for n in range(3)]
        played.refuse("POST", EVENTS, kind="status", status=503)

        first, second, third = box.write(EVENT, writes)

        assert first.error.may_have_happened and not second.error.may_have_happened and not third.error.may_have_happened
        assert played.system.count("event") == 0

    def test_quota_scope_and_a_calendar_that_is_off_are_told_apart(self, box, played):
        played.system.set_switches({"calendar_calls_per_minute": 0, "quota_status": 403})
        with pytest.raises(RateLimited):
            box.event_changes("", WINDOW)
        played.system.set_switches({"calendar_calls_per_minute": None, "disabled_services": ["calendar"]})
        box = played.calendar(GINA)  # the other one waits
        with pytest.raises(NeedsAttention, match="switched off"):
            box.event_changes("", WINDOW)
        (line,) = box.check_mailbox()
        assert not line.is_ok and "calendar.events" in line.remedy

    def test_without_the_scope_of_calendars_contacts_go_on(self, played):
        played.system.set_switches({"delegated_scopes": "https://www.googleapis.com/auth/contacts"})
        with pytest.raises(NeedsAttention, match=r"auth/calendar\.events"):
            played.calendar(GINA).event_changes("", WINDOW)
        assert played.opened.mailbox(GINA).folders("x") == []

    def test_a_user_who_left_is_the_mailboxs_matter(self, played):
        with pytest.raises(MailboxRefused):
            played.calendar("nobody@example.test").event_changes("", WINDOW)


def test_it_goes_over_real_http_with_a_token_of_its_own_that_the_mailbox_keeps():
    server = SandboxServer(World(scenario="empty"), 0).start()
    try:
        row = connect_google(server.world)
        row.base_url = row.login_url = server.urls["google"]
        row.save()
        mailbox = Mailbox.objects.create(connection=row, address=GINA)
        for _ in range(2):
            opened = open_connector(row)
            box = opened.calendar(GINA)
            fields = {"subject": "Démo", words.WHEN: "2026-12-01T10:00:00Z/2026-12-01T10:30:00Z"}
            (made,) = box.write(EVENT, [Write(EVENT, fields, "op-1", marker="00U1")])
            events, _, _, cursor = round_of(box)
            assert set(events) == {made.record.ref.id} and events[made.record.ref.id].fields["subject"] == "Démo"
            opened.mailbox(GINA).folders("x")
            opened.close()
        (gone,) = open_connector(row).calendar(GINA).write(EVENT, [Write(EVENT, {}, "k", ref=made.record.ref, is_delete=True)])
        tokens = sum(n for key, n in server.world.counts["google"].items() if "token" in key)
    finally:
        server.stop()

    mailbox.refresh_from_db()
    assert gone.error is None and tokens == 2  # one for contacts, one for the calendar: others find them
    assert mailbox.secrets["parts"]["calendar"]["access_token"] != mailbox.secrets["access_token"]

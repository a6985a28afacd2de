"""The calendar of a Microsoft mailbox against the played Exchange."""

import pytest

from connectors import calendars as words
from connectors.calendars import EVENT
from connectors.contract import Write
from connectors.errors import Rejected
from connectors.mailboxes import CATEGORIES
from connectors.sandbox.transport import SandboxAdapter
from connectors.sandbox.world import World
from reconciliation.engine.connections import open_connector
from tests.boxes import connect_microsoft
from tests.connectors.calendar_conformance import BERLIN, OUTSIDER, CalendarConformance, round_of, update
from tests.sandboxed import Clock

pytestmark = pytest.mark.django_db
ANN, BOB = "ann@example.test", "bob@example.test"


class Exchange:
    """The played Exchange, as people use it."""

    mine, theirs = ANN, BOB

    def __init__(self):
        self.clock = Clock()
        self.world = World(scenario="empty", now=self.clock)
        self.opened = open_connector(
            connect_microsoft(self.world),
            adapter=SandboxAdapter(self.world),
            db_now=self.clock,
            now=self.clock,
            clock=lambda: self.clock().timestamp(),
            sleep=lambda s: None,
        )
        self.system = self.world.microsoft

    def calendar(self, address):
        return self.opened.calendar(address)

    def make(self, *, start, end, zone="Europe/Berlin", weekly=0, is_all_day=False, guests=(), is_private=False, **values):
        given = {"mailbox": ANN, "subject": "Call", "start": start, "end": end, "timeZone": zone, "attendees": list(guests)}
        if is_all_day:
            given |= {"isAllDay": True, "start": f"{start}T00:00", "end": f"{end}T00:00"}
        given |= {"sensitivity": "private"} if is_private else {}
        given |= {"recurrence": _weekly(start[:10], weekly)} if weekly else {}
        return str(self.system.create_record("event", {**given, **values})["id"])

    def edit(self, key, *, guests=None, **values):
        self.system.update_record("event", self._number(key), {**values, **({"attendees": guests} if guests is not None else {})})

    def move_occurrence(self, key, day, *, start, end):
        self.system.update_record("event", self._number(key), {"occurrence": day, "start": start, "end": end})

    def drop(self, key):
        self.system.delete_record("event", self._number(key))

    def kill_cursors(self):
        self.system.expire_delta()

    def mails(self):
        return [(mail["kind"], mail["to"]) for mail in self.system.mails]

    def _number(self, key):
        return self.system.find_id("event", key)


def _weekly(first, times):
    pattern = {"type": "weekly", "interval": 1, "daysOfWeek": ["tuesday"]}
    return {"pattern": pattern, "range": {"type": "numbered", "startDate": first, "numberOfOccurrences": times}}


@pytest.fixture
def played():
    made = Exchange()
    yield made
    made.opened.close()


class TestMicrosoftCalendar(CalendarConformance):
    """The list that every calendar goes through, and what only Microsoft does."""

    def test_categories_that_people_choose_are_told(self, box, played):
        played.make(start=BERLIN[0], end=BERLIN[1], categories=["Salesforce", "Blue"])
        (event,) = round_of(box)[0].values()
        assert event.fields[CATEGORIES] == ("Salesforce", "Blue")

    def test_c24_nothing_is_written_that_would_mail_the_guests(self, box, played):
        """Microsoft cannot be told not to."""
        played.make(start=BERLIN[0], end=BERLIN[1], guests=[OUTSIDER])
        (event,) = round_of(box)[0].values()
        before = played.mails()

        for fields in ({"subject": "New"}, {words.WHEN: "2026-12-01/2026-12-02"}):
            (refused,) = box.write(EVENT, [update(event, fields)])
            assert isinstance(refused.error, Rejected) and refused.error.code == "would_mail"
        (refused,) = box.write(EVENT, [Write(EVENT, {}, "k", ref=event.ref, version=event.version, is_delete=True)])

        assert isinstance(refused.error, Rejected) and refused.error.code == "would_mail" and played.mails() == before

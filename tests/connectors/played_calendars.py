"""The calendars of Microsoft as people use them, in process: those of the cloud and those of a server of theirs take the same values,
and refuse the same."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from connectors import calendars as words
from connectors.calendars import EVENT, CalendarBox
from connectors.contract import Write
from connectors.errors import Rejected
from connectors.mailboxes import CATEGORIES
from connectors.sandbox.transport import SandboxAdapter
from connectors.sandbox.world import World
from reconciliation.engine.connections import open_connector
from reconciliation.models import Connection
from tests.connectors.calendar_conformance import BERLIN, OUTSIDER, CalendarConformance, round_of, update
from tests.sandboxed import Clock


class PlayedCalendars:
    """`Played` of `calendar_conformance`, but for whose calendars they are, and what the two want said in their own way."""

    mine: str
    theirs: str

    def __init__(self, connect: Callable[[World], Connection], system: str) -> None:
        self.clock = Clock()
        self.world = World(scenario="empty", now=self.clock)
        self.opened = open_connector(
            connect(self.world),
            adapter=SandboxAdapter(self.world),
            db_now=self.clock,
            now=self.clock,
            clock=lambda: self.clock().timestamp(),
            sleep=lambda s: None,
        )
        self.system = getattr(self.world, system)

    def calendar(self, address: str) -> CalendarBox:
        return self.opened.calendar(address)

    def make(self, *, start, end, zone="Europe/Berlin", weekly=0, is_all_day=False, guests=(), is_private=False, **values) -> str:
        given = {"mailbox": self.mine, "subject": "Call", "start": start, "end": end, "timeZone": zone, "attendees": list(guests)}
        given |= self.whole_days(start, end) if is_all_day else {}
        given |= {"sensitivity": "private"} if is_private else {}
        given |= {"recurrence": self.weekly(start[:10], weekly)} if weekly else {}
        return str(self.system.create_record("event", {**given, **values})["id"])

    def whole_days(self, start: str, end: str) -> dict[str, Any]:
        return {"isAllDay": True}

    def weekly(self, first: str, times: int) -> Any:
        pattern = {"type": "weekly", "interval": 1, "daysOfWeek": ["tuesday"]}
        return {"pattern": pattern, "range": {"type": "numbered", "startDate": first, "numberOfOccurrences": times}}

    def edit(self, key: str, *, guests=None, **values) -> None:
        self.system.update_record("event", self._number(key), {**values, **({"attendees": guests} if guests is not None else {})})

    def move_occurrence(self, key: str, day: str, *, start: str, end: str) -> None:
        self.system.update_record("event", self._number(key), {"occurrence": day, "start": start, "end": end})

    def drop(self, key: str) -> None:
        self.system.delete_record("event", self._number(key))

    def mails(self) -> list[tuple[str, list[str]]]:
        return [(mail["kind"], mail["to"]) for mail in self.system.mails]

    def _number(self, key: str) -> int:
        return self.system.find_id("event", key)


class PlayedCalendarsConformance(CalendarConformance):
    """The list that every calendar goes through, and what all of Microsoft do."""

    def test_categories_that_people_choose_are_told(self, box, played):
        played.make(start=BERLIN[0], end=BERLIN[1], categories=["Salesforce", "Blue"])
        (event,) = round_of(box)[0].values()
        assert event.fields[CATEGORIES] == ("Salesforce", "Blue")

    def refuses_what_guests_would_be_told(self, box, played):
        """Neither changes nor deletes a meeting behind its guests' backs, and mails nobody."""
        played.make(start=BERLIN[0], end=BERLIN[1], guests=[OUTSIDER])
        (event,) = round_of(box)[0].values()
        before = played.mails()

        for fields in ({"subject": "New"}, {words.WHEN: "2026-12-01/2026-12-02"}):
            (refused,) = box.write(EVENT, [update(event, fields)])
            assert isinstance(refused.error, Rejected) and refused.error.code == "would_mail"
        (refused,) = box.write(EVENT, [Write(EVENT, {}, "k", ref=event.ref, version=event.version, is_delete=True)])

        assert isinstance(refused.error, Rejected) and refused.error.code == "would_mail" and played.mails() == before

"""The calendars of one tenant, put together: who answers what, and the records that people see."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime

from connectors.sandbox.microsoft import ids, translate
from connectors.sandbox.microsoft.calls import Answer, Call
from connectors.sandbox.microsoft.delta import Delta
from connectors.sandbox.microsoft.event_delta import EventDelta
from connectors.sandbox.microsoft.event_shown import EventShow
from connectors.sandbox.microsoft.event_store import EventStore
from connectors.sandbox.microsoft.event_views import EventViews
from connectors.sandbox.microsoft.event_writes import EventWrites
from connectors.sandbox.microsoft.events import Events
from connectors.sandbox.microsoft.events_by_hand import EventsByHand
from connectors.sandbox.microsoft.meetings import Meetings
from connectors.sandbox.microsoft.refusal import no_item
from connectors.sandbox.microsoft.store import Store
from connectors.sandbox.microsoft.table import Row


class Calendars:
    """The parts, and what the system asks of them. `routes` are by the first word below a mailbox."""

    def __init__(self, store: Store, rounds: Delta, *, now: Callable[[], datetime]) -> None:
        self.events = EventStore(store, now=now)
        show, writes = EventShow(self.events), EventWrites(self.events, Meetings(self.events))
        self.delta = EventDelta(self.events, show, rounds, now=now)
        views = EventViews(self.events, Events(self.events, show, writes), self.delta)
        self.routes: dict[str, Callable[[Call, Row, list[str]], Answer]] = {
            "events": views.events, "calendarView": views.view, "calendar": views.calendar, "calendars": views.calendars,
        }  # fmt: skip
        self.by_hand = EventsByHand(self.events, show, writes)

    @property
    def family(self) -> translate.Family:
        """What translates the ids of events; those of occurrences are not played."""
        return translate.Family(self.events.store.key, ids.EVENT, ids.IMMUTABLE_EVENT, self._find_whole, self.events.event_id)

    def _find_whole(self, mailbox: Row, text: str) -> Row:
        row, day = self.events.find(mailbox["n"], text)
        if day is not None:
            raise no_item()
        return row

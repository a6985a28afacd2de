"""The calendar of a mailbox, and views of a range of it: what takes place then, series as their occurrences."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from connectors.sandbox.microsoft import ids
from connectors.sandbox.microsoft.calls import Answer, Call
from connectors.sandbox.microsoft.event_delta import EventDelta
from connectors.sandbox.microsoft.event_store import EventStore
from connectors.sandbox.microsoft.events import READ, Events
from connectors.sandbox.microsoft.occurrences import Item, Window, instants, items_in
from connectors.sandbox.microsoft.query import page, read_select
from connectors.sandbox.microsoft.refusal import bad_request, malformed_id, no_item, no_segment
from connectors.sandbox.microsoft.table import Row

PROPERTIES = ("id", "name", "color", "hexColor", "isDefaultCalendar", "changeKey", "canShare", "canViewPrivateItems", "canEdit",
              "allowedOnlineMeetingProviders", "defaultOnlineMeetingProvider", "isTallyingResponses", "isRemovable", "owner")  # fmt: skip
NAME = "Calendar"
_NO_SELECT = ("createdDateTime", "lastModifiedDateTime")


def read_window(parameters: Mapping[str, str], *, days_most: int, floats: bool) -> Window:
    """Returns the range of a view. A value without an offset is UTC. Raises Refused where it is missing or makes no sense."""
    given = {name.lower(): value for name, value in parameters.items()}
    ends = []
    for name in ("startDateTime", "endDateTime"):
        if not (text := given.get(name.lower())):
            told = "This request requires a time window specified by the query string parameters StartDateTime and EndDateTime."
            raise bad_request(told, "ErrorInvalidRequest")
        try:
            at = datetime.fromisoformat(text.replace(" ", "+"))  # a plus sign that was not encoded
            ends.append((at if at.tzinfo else at.replace(tzinfo=UTC)).astimezone(UTC))
        except (ValueError, OverflowError):
            raise bad_request(f"The value '{text[:60]}' of parameter '{name}' is invalid.", "ErrorInvalidParameter") from None
    first, last = ends
    if last <= first:
        raise bad_request("The end of the time window must be behind its start.", "ErrorInvalidParameter")
    if last - first > timedelta(days=days_most):
        told = "The range between the start and end dates is greater than the allowed range."
        raise bad_request(f"Your request can't be completed. {told} Maximum number of days: {days_most}", "ErrorCalendarViewRangeTooBig")
    return Window(first, last, floats)


class EventViews:
    """What `/events`, `/calendarView`, `/calendar` and `/calendars` answer below a mailbox."""

    def __init__(self, events: EventStore, answers: Events, delta: EventDelta) -> None:
        self._events, self._answers, self._delta = events, answers, delta

    # --- who answers --------------------------------------------------------------------------------------------------------
    def events(self, call: Call, mailbox: Row, rest: list[str]) -> Answer:
        """Answers `/events/…`."""
        call.note.folder = NAME
        if not rest:
            return self._answers.collection(call, mailbox)
        item = self._answers.find(mailbox, rest[0])
        if len(rest) == 1:
            return self._answers.single(call, item)
        if rest[1:] == ["instances"]:
            return self._instances(call, item)
        if len(rest) > 2:
            raise no_segment(rest[2])
        return self._answers.act(call, item, rest[1])

    def view(self, call: Call, mailbox: Row, rest: list[str]) -> Answer:
        """Answers `/calendarView` and its delta rounds."""
        call.note.folder = NAME
        call.allow("GET")
        if rest == ["delta"]:
            call.need(*READ)
            return self._delta.answer(call, mailbox, self._window)
        if rest:
            raise no_segment(rest[0])
        window = self._window(call.parameters)
        items = [item for row in self._events.of_mailbox(mailbox["n"]) for item in items_in(row, window)]
        items.sort(key=lambda item: instants(item.times, is_floating=window.floats and item.is_all_day))
        return self._answers.listed(call, items, context="events", unselectable=_NO_SELECT)

    def calendar(self, call: Call, mailbox: Row, rest: list[str]) -> Answer:
        """Answers `/calendar/…`: the default one."""
        below: dict[str, Callable[[Call, Row, list[str]], Answer]] = {"events": self.events, "calendarView": self.view}
        if rest:
            if rest[0] not in below:
                raise no_segment(rest[0])
            return below[rest[0]](call, mailbox, rest[1:])
        call.allow("GET")
        call.need(*READ)
        context = {"@odata.context": f"{call.root}/$metadata#calendars/$entity"}
        return Answer(200, {**context, **self._shown(mailbox, read_select(call.parameters.get("$select"), PROPERTIES, "calendar"))})

    def calendars(self, call: Call, mailbox: Row, rest: list[str]) -> Answer:
        """Answers `/calendars/…`: there is the default one, and none can be made."""
        if rest:
            found = ids.read(self._events.store.key, rest[0])
            if found is None:
                raise malformed_id()
            if rest[0] != self._events.calendar_id(mailbox["n"]):
                raise no_item()
            return self.calendar(call, mailbox, rest[1:])
        call.allow("GET")
        call.need(*READ)
        select = read_select(call.parameters.get("$select"), PROPERTIES, "calendar")
        size = self._events.store.switches.page_size
        return page(call, [mailbox], lambda row: self._shown(row, select), context="calendars", size=size)

    # --- what they answer ---------------------------------------------------------------------------------------------------
    def _window(self, parameters: Mapping[str, str]) -> Window:
        switches = self._events.store.switches
        return read_window(parameters, days_most=switches.view_days_most, floats=switches.all_day_floats)

    def _instances(self, call: Call, item: Item) -> Answer:
        """Answers the occurrences of a series within a range."""
        call.allow("GET")
        self._answers.note(call, item)
        if item.type != "seriesMaster":
            raise bad_request("Your request can't be completed. The event isn't a series master.", "ErrorInvalidRequest")
        window = self._window(call.parameters)
        return self._answers.listed(call, items_in(item.row, window), context="events")

    def _shown(self, mailbox: Row, select: tuple[str, ...] | None) -> dict[str, Any]:
        own = {
            "id": self._events.calendar_id(mailbox["n"]),
            "name": NAME,
            "color": "auto",
            "hexColor": "",
            "isDefaultCalendar": True,
            "changeKey": ids.change_key(f"{self._events.store.key} calendar", mailbox["n"], 1),
            "canShare": True,
            "canViewPrivateItems": True,
            "canEdit": True,
            "allowedOnlineMeetingProviders": ["teamsForBusiness"],
            "defaultOnlineMeetingProvider": "teamsForBusiness",
            "isTallyingResponses": True,
            "isRemovable": False,
            "owner": {"name": mailbox["displayName"], "address": mailbox["mail"]},
        }
        return {name: value for name, value in own.items() if select is None or name == "id" or name in select}

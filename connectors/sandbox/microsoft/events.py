"""Events of a mailbox's calendar: lists, single ones, creates, edits, deletes, answers. Views of a range stand in event_views.py."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any

from connectors.sandbox.microsoft import filters
from connectors.sandbox.microsoft.calls import Answer, Call
from connectors.sandbox.microsoft.contacts import category_test, no_lambda, property_test
from connectors.sandbox.microsoft.event_schema import PROPERTIES, read_body
from connectors.sandbox.microsoft.event_shown import EventShow, read_look
from connectors.sandbox.microsoft.event_store import EventStore, ical_uid
from connectors.sandbox.microsoft.event_writes import EventWrites
from connectors.sandbox.microsoft.meetings import ANSWERS
from connectors.sandbox.microsoft.occurrences import Item, existing, instants
from connectors.sandbox.microsoft.query import View, ordered, page, read_expand, read_select
from connectors.sandbox.microsoft.refusal import bad_request, no_segment, stale_key
from connectors.sandbox.microsoft.table import Row

READ, WRITE = ("Calendars.Read", "Calendars.ReadWrite"), ("Calendars.ReadWrite",)
SORTABLE = ("subject", "start/dateTime", "end/dateTime", "createdDateTime", "lastModifiedDateTime")
COMPARED = (*SORTABLE, "iCalUId", "type", "importance", "sensitivity", "showAs", "isAllDay", "isCancelled", "isOrganizer", "seriesMasterId",
            "organizer/emailAddress/address")  # fmt: skip
_INSTANTS = ("start/dateTime", "end/dateTime", "createdDateTime", "lastModifiedDateTime")
_EXCEPTIONS = re.compile(r"(?:^|,)\s*exceptionOccurrences\s*(?=,|$)")


class Events:
    """What `…/events` answers below a mailbox or a calendar."""

    def __init__(self, events: EventStore, show: EventShow, writes: EventWrites) -> None:
        self._events, self._show_event, self._writes = events, show, writes
        self._store = events.store

    def collection(self, call: Call, mailbox: Row) -> Answer:
        """Answers `/events`: single events and series, no occurrences."""
        call.allow("GET", "POST")
        if not call.reads:
            return self._create(call, mailbox)
        items = [Item(row) for row in self._events.of_mailbox(mailbox["n"])]
        return self.listed(call, items, context="events")

    def single(self, call: Call, item: Item) -> Answer:
        """Answers `/events/{id}`."""
        self.note(call, item)
        call.allow("GET", "PATCH", "DELETE")
        acts = {"PATCH": self._change, "DELETE": self._delete}
        return acts.get(call.method, self._read)(call, item)

    def act(self, call: Call, item: Item, name: str) -> Answer:
        """Answers an action on an event. Raises Refused for one that does not exist."""
        if name not in (*ANSWERS, "cancel", "permanentDelete"):
            raise no_segment(name)
        self.note(call, item)
        call.allow("POST")
        call.need(*WRITE)
        if name == "permanentDelete":
            self._check_key(call, item)
            self._writes.delete(item)
            return Answer(204)
        given = _parameters(call, ("comment",) if name == "cancel" else ("comment", "sendresponse"))
        if name == "cancel":
            self._writes.cancel(item)
        else:
            self._writes.answer(item, ANSWERS[name], sends=given.get("sendresponse", True))
        return Answer(202)

    def find(self, mailbox: Row, text: str) -> Item:
        """Returns the event or occurrence that an id names. Raises Refused."""
        return existing(*self._events.find(mailbox["n"], text))

    def note(self, call: Call, item: Item) -> None:
        """Tells the call log which event a call is about, by its immutable id."""
        call.note.items.append({"id": self._events.event_id(item.row, item.day, is_immutable=True), "folder": "Calendar"})

    # --- reading ----------------------------------------------------------------------------------------------------------
    def listed(self, call: Call, items: list[Item], *, context: str, unselectable: tuple[str, ...] = ()) -> Answer:
        """Answers a list of events, filtered and ordered as the call asks. Raises Refused."""
        call.need(*READ)
        look = read_look(call)
        view = View(read_select(call.parameters.get("$select"), PROPERTIES, "event"), read_expand(call.parameters.get("$expand")))
        if refused := [name for name in view.select or () if name in unselectable]:
            raise bad_request(f"The property '{refused[0]}' can't be selected on a calendar view.", "ErrorInvalidRequest")
        call.note.fields = view.fields
        if (text := call.parameters.get("$filter")) is not None:
            test = filters.compiled(filters.parse(text), self._compare, _some)
            items = [item for item in items if test(item)]
        items = ordered(items, call.parameters.get("$orderby"), SORTABLE, self._value)

        def show(item: Item) -> dict[str, Any]:
            self.note(call, item)
            return self._show_event.shown(item, view, look)

        return page(call, items, show, context=context, size=self._store.switches.page_size)

    def _read(self, call: Call, item: Item) -> Answer:
        call.need(*READ)
        look, expand = read_look(call), call.parameters.get("$expand", "")
        rest = _EXCEPTIONS.sub("", expand).strip(" ,")
        view = View(read_select(call.parameters.get("$select"), PROPERTIES, "event"), read_expand(rest or None))
        call.note.fields = view.fields
        answer = self._one(call, 200, item, view)
        # Both are told of a series that is read by its id, for the asking.
        if "cancelledOccurrences" in (view.select or ()) and item.type == "seriesMaster":
            answer.body["cancelledOccurrences"] = self._show_event.cancelled(item, look)
        if _EXCEPTIONS.search(expand) and item.type == "seriesMaster":
            others = [Item(item.row, day) for day in sorted(item.row["exceptions"])]
            answer.body["exceptionOccurrences"] = [self._show_event.shown(each, View(), look) for each in others]
        return answer

    def _one(self, call: Call, status: int, item: Item, view: View) -> Answer:
        context = {"@odata.context": f"{call.root}/$metadata#events/$entity"}
        return Answer(status, {**context, **self._show_event.shown(item, view, read_look(call))})

    # --- searching --------------------------------------------------------------------------------------------------------
    def _value(self, item: Item, name: str) -> Any:
        """Returns what an event is compared or ordered by; instants in one spelling."""
        if name in ("start/dateTime", "end/dateTime"):
            both = instants(item.times, is_floating=self._show_event.floats and item.is_all_day)
            return _spelt(both[name == "end/dateTime"])
        own: dict[str, Callable[[], Any]] = {
            "createdDateTime": lambda: _instant(item.part("created")),
            "lastModifiedDateTime": lambda: _instant(item.part("modified")),
            "iCalUId": lambda: ical_uid(item.row["uid"], item.day),
            "type": lambda: item.type,
            "isCancelled": lambda: item.part("is_cancelled"),
            "isOrganizer": lambda: item.row["is_organizer"],
            "seriesMasterId": lambda: self._events.event_id(item.row) if item.day else None,
            "organizer/emailAddress/address": lambda: item.row["organizer"]["address"],
        }
        return own[name]() if name in own else item.values[name]

    def _compare(self, node: filters.Compare) -> filters.Test:
        if node.path not in COMPARED or not (node.op in filters.OPERATORS or node.op in ("startswith", "contains")):
            raise filters.unsupported(f"{node.path} {node.op}")
        value = _instant(node.value) if node.path in _INSTANTS else node.value
        return lambda item: filters.holds(node.op, self._value(item, node.path), value)

    # --- writing ----------------------------------------------------------------------------------------------------------
    def _create(self, call: Call, mailbox: Row) -> Answer:
        call.need(*WRITE)
        read_look(call)
        body = read_body(call.object())
        call.note.fields = body.names
        item = self._writes.create(mailbox, body)
        self.note(call, item)
        return self._one(call, 201, item, View())

    def _change(self, call: Call, item: Item) -> Answer:
        call.need(*WRITE)
        read_look(call)
        body = read_body(call.object())
        call.note.fields = body.names
        self._check_key(call, item)
        return self._one(call, 200, self._writes.change(item, body), View())

    def _delete(self, call: Call, item: Item) -> Answer:
        call.need(*WRITE)
        self._check_key(call, item)
        self._writes.delete(item)
        return Answer(204)

    def _check_key(self, call: Call, item: Item) -> None:
        """Raises Refused where a write rests on another version than the present one."""
        wanted = call.headers.get("if-match", "*").strip()
        present = f'W/"{self._events.change_key(item.row, item.day)}"'
        if self._store.switches.honours_if_match and wanted not in ("*", present, present.removeprefix("W/")):
            raise stale_key()


def _spelt(at: datetime) -> str:
    return at.isoformat(timespec="microseconds")


def _instant(text: Any) -> str:
    """Returns an instant, in the one spelling in which they are compared. Without an offset it is UTC. Raises Refused."""
    try:
        at = datetime.fromisoformat(text)
        return _spelt((at if at.tzinfo else at.replace(tzinfo=UTC)).astimezone(UTC))
    except (TypeError, ValueError, OverflowError):
        raise bad_request(f"Invalid filter clause: '{str(text)[:60]}' is no date and time.") from None


def _some(node: filters.Some) -> filters.Test:
    if node.within is None:
        raise filters.unsupported(f"{node.collection}/any")
    if node.collection == "categories":
        test = filters.compiled(node.within, category_test, no_lambda)
        return lambda item: any(test(each) for each in item.values["categories"])
    if node.collection == "singleValueExtendedProperties":
        test = filters.compiled(node.within, property_test, no_lambda)
        return lambda item: any(test(each) for each in item.extended.items())
    raise filters.unsupported(f"{node.collection}/any")


def _parameters(call: Call, known: tuple[str, ...]) -> Mapping[str, Any]:
    """Returns the parameters of an action, names in lower case; without a body there are none. Raises Refused."""
    has_body = call.given is not None if call.is_inner else bool(call.body.strip())
    data = {name.lower(): value for name, value in (call.object() if has_body else {}).items() if "@odata." not in name}
    if unknown := [name for name in data if name not in known]:
        raise bad_request(f"The parameter '{unknown[0][:80]}' in the request payload is not a valid parameter for the operation.")
    if not isinstance(data.get("comment", ""), str | None):
        raise bad_request("Cannot convert the value of 'Comment' to the expected type 'Edm.String'.")
    if not isinstance(data.get("sendresponse", True), bool):
        raise bad_request("Cannot convert the value of 'SendResponse' to the expected type 'Edm.Boolean'.")
    return data

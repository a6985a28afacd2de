"""FindItem: pages of a folder's items that fit a restriction, and views of a calendar, where series are taken apart."""

from __future__ import annotations

from datetime import datetime, timedelta
from xml.etree.ElementTree import Element

from connectors.sandbox.exchange import values
from connectors.sandbox.exchange.attachments import Attachments
from connectors.sandbox.exchange.calls import Call
from connectors.sandbox.exchange.event_facts import start_of
from connectors.sandbox.exchange.facts import Facts, Shape, read_shape, rendered
from connectors.sandbox.exchange.fields import EVENT
from connectors.sandbox.exchange.paging import Part, paged, read_page
from connectors.sandbox.exchange.refusal import Refused, invalid
from connectors.sandbox.exchange.search import read_order, read_restriction, sort_key
from connectors.sandbox.exchange.soap import attribute, child, choice, number, success
from connectors.sandbox.exchange.store import Store
from connectors.sandbox.microsoft.occurrences import Window, items_in
from connectors.sandbox.microsoft.table import Row

LONGEST_VIEW = timedelta(days=2 * 366)
_NOT_PLAYED = ("FractionalPageItemView", "SeekToConditionPageItemView", "ContactsView", "GroupBy", "DistinguishedGroupBy", "QueryString")


class Find:
    """The operation, over the folders that a call names."""

    def __init__(self, store: Store, attachments: Attachments) -> None:
        self._store, self._attachments = store, attachments

    def items(self, call: Call) -> list[Element]:
        operation = call.operation
        traversal = choice(operation, "Traversal", ("Shallow", "SoftDeleted", "Associated"))
        if unknown := [name for name in _NOT_PLAYED if child(operation, name) is not None]:
            return call.each(call.listed("ParentFolderIds"), lambda element: _refuse(unknown[0]))
        view = child(operation, "CalendarView")
        if view is not None and (child(operation, "Restriction") is not None or child(operation, "SortOrder") is not None):
            raise invalid("A CalendarView stands without a Restriction or a SortOrder.")

        def one(element: Element) -> Element:
            shape = read_shape(operation, is_listed=True, truncates=True, refuses=True)
            folder = call.folder(element)
            part = self._in_view(call, folder, view) if view is not None else self._page(call, folder, traversal)
            return success(call.name, part.root("Items", [self._shown(row, day, shape) for row, day in part.rows]))

        return call.each(call.listed("ParentFolderIds"), one)

    def _shown(self, row: Row, day: str | None, shape: Shape) -> Element:
        return rendered(Facts(self._store, self._attachments, row, day), shape)

    def _page(self, call: Call, folder: Row, traversal: str) -> Part[tuple[Row, str | None]]:
        page = read_page(call.operation, "IndexedPageItemView")
        restriction, order = read_restriction(call.operation, call.zone), read_order(call.operation)
        found = [Facts(self._store, self._attachments, row) for row in self._store.members(folder["n"])] if traversal == "Shallow" else []
        if restriction is not None:
            found = [facts for facts in found if restriction(facts.value)]
        for key, goes_down in reversed(order):
            found.sort(key=lambda facts, key=key: sort_key(facts.value(key)), reverse=goes_down)  # type: ignore[misc]
        return paged([(facts.row, None) for facts in found], page, most=self._store.switches.find_count_limit)

    def _in_view(self, call: Call, folder: Row, view: Element) -> Part[tuple[Row, str | None]]:
        """Returns what takes place within a range of time: single events, and each occurrence of a series, by their start."""
        if not str(folder["class"]).startswith("IPF.Appointment"):
            told = "Calendar view can only be used with calendar folders."
            raise Refused("ErrorCalendarFolderIsInvalidForCalendarView", told)
        first, last = (_instant(view, side, call.zone) for side in ("StartDate", "EndDate"))
        if last < first:
            raise Refused("ErrorCalendarEndDateIsEarlierThanStartDate", "EndDate is earlier than StartDate.")
        if last - first > LONGEST_VIEW:
            raise Refused("ErrorCalendarViewRangeTooBig", "The specified view range exceeds the maximum range of two years.")
        window = Window(first, last, floats=False)
        rows = [row for row in self._store.members(folder["n"]) if row["kind"] == EVENT]
        found = sorted((item for row in rows for item in items_in(row, window)), key=lambda item: (start_of(item), item.row["n"]))
        given = view.get("MaxEntriesReturned")
        most = len(found) if given is None else number(given, "MaxEntriesReturned", least=1)
        limit = self._store.switches.find_count_limit
        if given is None and limit is not None and len(found) > limit:
            raise Refused("ErrorExceededFindCountLimit", f"The view holds more than the policy's limit of {limit} items.")
        shown = [(item.row, item.day) for item in found[:most]]
        return Part(shown, len(found), most if most < len(found) else None)


def _refuse(name: str) -> Element:
    raise Refused("ErrorInvalidOperation", f"{name} is not played.")


def _instant(view: Element, side: str, zone: str) -> datetime:
    return datetime.fromisoformat(values.read_instant(attribute(view, side), zone, side))

"""What happened in a calendar since a cursor: one call where nothing did (engine-rules 39).

A folder's list of changes names single events and series; which occurrences a series has in the window is told by the calendar's
view of that window alone. The state of the list is taken before the view is read: what is changed meanwhile is told again.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any

from exchangelib import EWSDateTime
from exchangelib.properties import CalendarView, RecurringMasterItemId
from exchangelib.services import FindItem, GetItem
from exchangelib.util import MNS

from connectors.calendars import EventChanges, Window
from connectors.contract import Record
from connectors.cursors import KeptCursor, read_kept
from connectors.errors import MailboxRefused, OutcomeUnknown, RecordGone
from connectors.exchange import event_codec as codec
from connectors.exchange import models
from connectors.exchange.client import EwsClient, Message
from connectors.exchange.reading import Finder
from connectors.exchange.settings import SYSTEM, ExchangeSettings
from connectors.exchange.syncing import SyncPage, sync
from connectors.notices import CREATED, DELETED, UPDATED, Seen
from connectors.text import spelt
from connectors.when import When

CALENDAR = "calendar"
MOST_SHOWN = 1000  # of one view; a longer one is read in halves
SHORTEST_SECONDS = 60  # a window is not halved for ever
LONGEST_VIEW = timedelta(days=730)  # Exchange shows two years at a time


@dataclass(frozen=True, slots=True)
class Cursor(KeptCursor):
    """Where a round stands: the state of the list, and the window that was shown last."""

    state: str = ""
    start: str = ""
    end: str = ""
    is_between: bool = False


class EventRounds:
    """Pages of changes of one calendar, and the reads of its events."""

    def __init__(self, client: EwsClient, finder: Finder, settings: ExchangeSettings) -> None:
        self._client = client
        self._finder = finder
        self._settings = settings
        self._series: dict[str, str] = {}  # the identity of a series in all calendars -> its id in this one

    # --- rounds -------------------------------------------------------------------------------------------------------

    def page(self, text: str, window: Window) -> EventChanges:
        """Returns the next page. A state that Exchange no longer knows starts the round anew. Another window shows everything in it,
        once the list has told what happened to events that may lie in the days before alone."""
        at = read_kept(Cursor, text) if text else None
        is_restart = bool(text) and at is None
        at = at or Cursor()
        start, end = spelt(window.start), spelt(window.end)
        is_earlier = at.is_between and (at.start, at.end) != (start, end)
        is_whole = not at.is_between
        is_blind = not at.state or (is_whole and at.start not in ("", start))  # the whole round was to be one of another day
        listed = self._list(at.state)
        if is_earlier and listed is not None and listed.is_last and not listed.items:  # nothing to tell of the days before
            is_whole, is_earlier = True, False
        if listed is None:
            is_restart, is_whole, is_earlier, is_blind = is_restart or not at.is_between, True, False, True
            listed = self._list("")
        if listed is None:
            raise OutcomeUnknown("knows no list of changes of its own", system=SYSTEM)
        following = Cursor(listed.state, start, end, is_between=listed.is_last)
        if is_whole and not listed.is_last:  # all that there ever was is listed; the view tells what is in the window
            following = replace(following, start="", end="")
            return EventChanges((), (), following.text(), is_last=False, is_whole=True, is_restart=is_restart, is_blind=is_blind)
        if is_earlier:
            return self._earlier(at, listed, window)
        events, gone, series = self._shown(window) if is_whole else self._changed(listed, window)
        return EventChanges(
            events=tuple(events),
            gone=tuple(gone),
            cursor=(following if listed.is_last else replace(following, is_between=True)).text(),
            is_last=listed.is_last,
            is_whole=is_whole,
            is_restart=is_restart,
            is_blind=is_blind,
            series=series,
        )

    def _earlier(self, at: Cursor, listed: SyncPage, window: Window) -> EventChanges:
        """Returns what happened since the window was another one."""
        events, gone, series = self._changed(listed, window.with_earlier(at.start, at.end))
        next_ = Cursor(listed.state, spelt(window.start), spelt(window.end))
        following = next_ if listed.is_last else replace(at, state=listed.state)
        return EventChanges(tuple(events), tuple(gone), following.text(), is_last=False, is_whole=False, is_restart=False, series=series)

    def look(self, text: str) -> list[Seen] | None:
        """Returns what the list tells behind a cursor, None where only a round can tell."""
        at = read_kept(Cursor, text)
        page = self._list(at.state, codec.JUDGED) if at is not None and at.is_between and at.state else None
        if page is None or not page.is_last:
            return None
        return [_seen(id_, item, is_new=id_ in page.new) for id_, item in page.items.items()]

    def find(self, window: Window, *, most: int) -> list[Record]:
        """Returns the events of a window, at most so many."""
        return self.records(self._read([id_ for id_, _, _ in self._view(window)[:most]]))

    def _list(self, state: str, paths: Sequence[Any] = ()) -> SyncPage | None:
        try:
            return sync(self._client, CALENDAR, state, paths, most=self._settings.changes_a_page)
        except RecordGone as gone:
            raise MailboxRefused("has no calendar in this mailbox", system=SYSTEM, exchange=gone.exchange) from gone

    def _shown(self, window: Window) -> tuple[list[Record], list[str], dict[str, frozenset[str]]]:
        """Returns everything in the window."""
        records = self.records(self._read([id_ for id_, _, _ in self._view(window)]))
        return records, [], _by_series(records)

    def _changed(self, listed: SyncPage, window: Window) -> tuple[list[Record], list[str], dict[str, frozenset[str]]]:
        """Returns the events that changed, the ids that left calendar or window, and the series that were looked through."""
        gone = list(listed.gone)
        elements = self._read(list(listed.there))
        gone += [id_ for id_ in listed.there if id_ not in elements]  # deleted since
        masters = {id_: models.text(e, "UID") or "" for id_, e in elements.items() if codec.kind_of(e) == codec.MASTER}
        singles = {id_: e for id_, e in elements.items() if id_ not in masters}
        inside = {id_: e for id_, e in singles.items() if _overlaps(codec.when_of(e), window)}
        gone += [id_ for id_ in singles if id_ not in inside]
        records = self.records(inside)
        series: dict[str, frozenset[str]] = {id_: frozenset() for id_ in masters}
        if masters:
            self._series |= {uid: id_ for id_, uid in masters.items() if uid}
            ours = set(masters.values())
            ids = [id_ for id_, uid, kind in self._view(window) if uid in ours and kind != "Single"]
            occurrences = self.records(self._read(ids))
            series |= _by_series(occurrences)
            records += occurrences
        known = {record.ref.id for record in records}
        return records, [id_ for id_ in dict.fromkeys(gone) if id_ not in known], series

    def _view(self, window: Window) -> list[tuple[str, str, str]]:
        """Returns id, identity and kind of everything that the calendar shows in a window."""
        if window.end - window.start > LONGEST_VIEW:
            return self._halves(window)
        service = self._client.service(FindItem)
        view = CalendarView(start=_instant(window.start), end=_instant(window.end), max_items=MOST_SHOWN)
        folders = [self._client.folder(CALENDAR)]
        payload = service.get_payload(folders, codec.LISTED, None, None, None, "IdOnly", "Shallow", view, MOST_SHOWN)
        message = self._client.one(service, payload, is_read=True)
        root = message.element.find(f"{{{MNS}}}RootFolder")
        if root is None:
            raise self._client.unreadable(message, is_read=True)
        found = [(models.id_of(e)[0], models.text(e, "UID") or "", codec.kind_of(e)) for e in message.items()]
        if not all(id_ for id_, _, _ in found):
            raise self._client.unreadable(message, is_read=True)
        is_all = root.get("IncludesLastItemInRange") in ("true", "1") or len(found) < MOST_SHOWN
        if is_all or (window.end - window.start).total_seconds() < SHORTEST_SECONDS:
            return found
        return self._halves(window)

    def _halves(self, window: Window) -> list[tuple[str, str, str]]:
        middle = window.start + (window.end - window.start) / 2
        halves = [*self._view(Window(window.start, middle)), *self._view(Window(middle, window.end))]
        return list({row[0]: row for row in halves}.values())

    # --- reading ------------------------------------------------------------------------------------------------------

    def _read(self, ids: Sequence[str]) -> dict[str, Any]:
        """Returns the events with these ids as Exchange tells them, series too; missing ones are left out."""
        messages = self._finder.elements(ids, codec.PATHS) if ids else []
        return {id_: self._sound(message) for id_, message in zip(ids, messages, strict=True) if message is not None}

    def _sound(self, message: Message) -> Any:
        items = message.items()
        if len(items) != 1 or not codec.is_sound(items[0]):
            raise self._client.unreadable(message, is_read=True)
        return items[0]

    def read(self, ids: Sequence[str]) -> list[Record]:
        """Returns the events with these ids; those that are series are none."""
        found = self._read(list(dict.fromkeys(ids)))
        return self.records({id_: e for id_, e in found.items() if codec.kind_of(e) != codec.MASTER})

    def records(self, elements: Mapping[str, Any]) -> list[Record]:
        """Returns the records of events, each occurrence with the id of its series."""
        of_series = [e for e in elements.values() if codec.kind_of(e) in ("Occurrence", "Exception")]
        self._learn_series(of_series)
        mailbox = self._client.mailbox
        return [codec.read_event(e, series=self._series.get(models.text(e, "UID") or "", ""), mailbox=mailbox) for e in elements.values()]

    def _learn_series(self, occurrences: Iterable[Any]) -> None:
        """Asks for the series of occurrences, one of each, whose id is not known yet."""
        unknown = {uid: models.id_of(e)[0] for e in occurrences if (uid := models.text(e, "UID") or "") and uid not in self._series}
        asked = list(unknown.items())
        for some in self._client.in_calls(asked, self._settings.items_a_call):
            service = self._client.service(GetItem)
            payload = service.get_payload([RecurringMasterItemId(id=id_) for _, id_ in some], None, "IdOnly")
            for (uid, _), message in zip(some, self._client.call(service, payload, is_read=True, count=len(some)), strict=True):
                if message.is_good:
                    items = message.items()
                    self._series[uid] = models.id_of(items[0])[0] if items else ""
                elif not isinstance(error := self._client.error_of(message, is_read=True), RecordGone):
                    raise error


def _seen(id_: str, item: Any, *, is_new: bool) -> Seen:
    if item is None:
        return Seen(DELETED, id_)
    return Seen(CREATED if is_new else UPDATED, id_, codec.notice_kind(item), models.id_of(item)[1])


def _by_series(records: Iterable[Record]) -> dict[str, frozenset[str]]:
    found: dict[str, set[str]] = {}
    for record in records:
        series = record.fields.get("seriesId")
        if series:
            found.setdefault(str(series), set()).add(record.ref.id)
    return {series: frozenset(ids) for series, ids in found.items()}


def _overlaps(when: When | None, window: Window) -> bool:
    return when is not None and when.overlaps(window.start, window.end)


def _instant(at: datetime) -> EWSDateTime:
    return EWSDateTime.from_datetime(at.astimezone(UTC).replace(microsecond=0))

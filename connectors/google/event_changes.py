"""What happened in a Google calendar since a cursor: one call where nothing did (engine-rules 39).

The list is of single events (`singleEvents`), so that each occurrence of a series is a row of its own, and a deleted one is told
as cancelled. A sync token takes no bounds of time, and whether a list with bounds gives one is not certain (reference 12): so the
whole calendar is listed for it, once, and what lies outside the window is left out here. When the window moves, what is in it is
listed by its bounds, and the token stays as it is: what happened meanwhile is told behind it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any

from connectors.calendars import EventChanges, Window
from connectors.contract import Record
from connectors.cursors import KeptCursor, read_kept
from connectors.errors import Rejected
from connectors.google import event_codec as codec
from connectors.google.client import GoogleClient
from connectors.google.faults import SYNC_OVER
from connectors.google.settings import LONGEST, SYSTEM
from connectors.http import Answer, unreadable
from connectors.text import spelt

EVENTS = "/calendars/primary/events"
MOST_RESTARTS = 2  # of one round: a page that never comes would be asked for for ever
SLACK = timedelta(hours=14)  # whole days reach further, as far as time zones do


@dataclass(frozen=True, slots=True)
class Cursor(KeptCursor):
    """Where a round stands. `sync` is empty until the calendar was listed once; `page` is empty between rounds. A whole round that
    has a sync token lists the window by its bounds. `size` stands with the token, which is bound to the first call's parameters."""

    start: str
    end: str
    size: int
    sync: str = ""
    page: str = ""
    is_whole: bool = True
    restarts: int = 0


def read_cursor(text: str) -> Cursor | None:
    """Returns the cursor, None for a text that is none of ours."""
    cursor = read_kept(Cursor, text)
    is_sound = cursor is not None and 1 <= cursor.size <= LONGEST["events_a_page"] and bool(cursor.sync or cursor.page)
    return cursor if is_sound else None


class EventRounds:
    """Pages of changes of one calendar."""

    def __init__(self, client: GoogleClient, address: str, page_size: int) -> None:
        self._client, self._address, self._page_size = client, address, page_size

    def page(self, text: str, window: Window) -> EventChanges:
        """Returns the next page. A token that Google no longer takes starts the round anew, and so does another window."""
        at = read_cursor(text) if text else None
        is_restart = bool(text) and at is None
        at = at or self._begun(window)
        if (at.start, at.end) != (spelt(window.start), spelt(window.end)):
            is_restart = bool(at.page)
            at = replace(self._begun(window), sync=at.sync, size=at.size if at.sync else self._page_size)
        try:
            answer = self._list(at, window)
        except Rejected as refusal:
            if not _starts_anew(at, refusal):
                raise
            is_restart = is_restart or bool(at.page)
            kept = at.sync if at.is_whole else ""  # it was not asked for, and is as good as before
            at = replace(self._begun(window), sync=kept, restarts=at.restarts + 1 if at.page else 0)
            answer = self._list(at, window)
        return self._told(at, answer, window, is_restart=is_restart)

    def find(self, window: Window, *, most: int) -> list[Record]:
        """Returns the events of a window, the earliest first, at most so many."""
        span = [("timeMin", spelt(window.start)), ("timeMax", spelt(window.end))]
        answer = self._client.get(EVENTS, [("singleEvents", "true"), ("orderBy", "startTime"), ("maxResults", str(most)), *span])
        return self._events(read_page(answer)[0], window, is_whole=True)[0][:most]

    def _begun(self, window: Window) -> Cursor:
        return Cursor(spelt(window.start), spelt(window.end), self._page_size)

    def _list(self, at: Cursor, window: Window) -> Answer:
        params = [("singleEvents", "true"), ("maxResults", str(at.size))]
        if at.sync and at.is_whole:
            params += [("timeMin", spelt(window.start - SLACK)), ("timeMax", spelt(window.end + SLACK))]
        elif at.sync:
            params.append(("syncToken", at.sync))
        params += [("pageToken", at.page)] if at.page else []
        return self._client.get(EVENTS, params)

    def _told(self, at: Cursor, answer: Answer, window: Window, *, is_restart: bool) -> EventChanges:
        rows, following, sync = read_page(answer)
        sync = at.sync if at.sync and at.is_whole else sync
        if (following and following == at.page) or not (following or sync):  # the same page over and over, or no way on
            raise unreadable(SYSTEM, answer, is_read=True)
        events, gone = self._events(rows, window, is_whole=at.is_whole)
        next_ = replace(at, page=following) if following else replace(at, sync=sync, page="", is_whole=False, restarts=0)
        return EventChanges(
            events=tuple(events),
            gone=tuple(gone),
            cursor=next_.text(),
            is_last=not following,
            is_whole=at.is_whole,
            is_restart=is_restart,
            is_blind=at.is_whole and not at.sync,
        )

    def _events(self, rows: Sequence[Any], window: Window, *, is_whole: bool) -> tuple[list[Record], list[str]]:
        """Returns the events of a page that lie in the window, and the ids that left the calendar or the window. What was said
        last of an event holds. In a whole round those outside need no telling."""
        found: dict[str, Record | None] = {}
        for row in rows:
            id_ = row["id"]
            found.pop(id_, None)
            when = None if codec.is_gone(row) else codec.when_of(row)
            if when is not None and when.overlaps(window.start, window.end):
                found[id_] = codec.read_event(row, self._address)
            elif when is None or not is_whole:
                found[id_] = None
        return [r for r in found.values() if r is not None], [id_ for id_, r in found.items() if r is None]


def _starts_anew(at: Cursor, refusal: Rejected) -> bool:
    """Tells whether the round begins again: the sync token ended, or is one of other parameters; or the page token is no longer
    taken, which has no reason of its own."""
    is_over = refusal.code == SYNC_OVER or (refusal.status == 400 and "sync token" in refusal.detail.lower())
    if at.page:
        return at.restarts < MOST_RESTARTS and (is_over or refusal.status == 400)
    return bool(at.sync) and not at.is_whole and is_over


def read_page(answer: Answer, *, may_be_series: bool = False) -> tuple[Sequence[Any], str, str]:
    """Returns the rows of a page of the list, the token of the next page and the sync token. Raises for a page that cannot be
    read: it would end a round before its end (I10). A series has no place in a list of single events: its id would stand for all
    its occurrences."""
    data: dict[str, Any] = answer.data
    rows, following, sync = data.get("items", []), data.get("nextPageToken") or "", data.get("nextSyncToken") or ""
    if not isinstance(rows, list) or not isinstance(following, str) or not isinstance(sync, str):
        raise unreadable(SYSTEM, answer, is_read=True)
    if not all(_is_told(row) and (may_be_series or not codec.is_series(row)) for row in rows):
        raise unreadable(SYSTEM, answer, is_read=True)
    return rows, following, sync


def _is_told(row: Any) -> bool:
    """Tells whether a row of a list can be read: an event, or one that is no more, of which only the id is certain."""
    has_id = isinstance(row, dict) and isinstance(row.get("id"), str) and bool(row["id"])
    return has_id and (codec.is_gone(row) or codec.is_sound(row))

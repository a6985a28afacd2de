"""What happened in a calendar since a cursor: one call where nothing did (engine-rules 39).

The list of changes names occurrences of a series only by their times (reference 7.1), and may keep quiet about one that was
deleted. So each series that it names is looked through as a whole, within the window: its occurrences, and its identity.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any
from urllib.parse import quote

from connectors.calendars import EventChanges, Window
from connectors.contract import Record
from connectors.cursors import KeptCursor, read_kept
from connectors.errors import ConnectorError, OutcomeUnknown, RecordGone
from connectors.microsoft import event_codec as codec
from connectors.microsoft import faults
from connectors.microsoft.client import GraphClient, Part, Reply, address, segment
from connectors.microsoft.settings import SYSTEM
from connectors.text import spelt

RESTARTS = 2
_DELTA = "/users/{user}/calendarView/delta"
_INSTANCES = "/users/{user}/events/{event}/instances"
EVENT_TEMPLATE = "/users/{user}/events/{event}"


@dataclass(frozen=True, slots=True)
class Cursor(KeptCursor):
    """Where a round stands: the link to go on with, "" to begin, and the window that its token is bound to."""

    link: str = ""
    start: str = ""
    end: str = ""
    is_whole: bool = True
    is_between: bool = False  # the link leads to a new round, and not to the next page of this one

    def is_of(self, other: Cursor) -> bool:
        return (self.start, self.end) == (other.start, other.end)


def read_cursor(text: str, client: GraphClient) -> Cursor | None:
    """Returns the cursor, None for a text that is none of ours, or that leads to another host."""
    cursor = read_kept(Cursor, text)
    if cursor is None or (not cursor.link and not cursor.is_whole):  # only a round from the start goes on from nothing
        return None
    return cursor if not cursor.link or client.local_or_none(cursor.link) is not None else None


class EventRounds:
    """Pages of changes of one calendar."""

    def __init__(self, client: GraphClient, page_size: int) -> None:
        self._client = client
        self._page_size = page_size

    def page(self, text: str, window: Window) -> EventChanges:
        """Returns the next page. A token that Microsoft no longer knows starts the round anew. Another window is listed as a whole, once
        the list of the days before has told what happened to events that may lie in them alone."""
        anew = Cursor(start=spelt(window.start), end=spelt(window.end))
        cursor = read_cursor(text, self._client) if text else None
        is_restart, is_blind = bool(text) and cursor is None, cursor is None
        if cursor is not None and not cursor.is_of(anew) and cursor.is_whole:  # what it listed so far is of other days
            is_restart, is_blind, cursor = True, True, None
        cursor = cursor or anew
        for _ in range(RESTARTS):
            reply = self._ask(cursor)
            if not faults.is_dead_token(reply.status, reply.body):
                told = self._told(cursor, reply, window, anew)
                return replace(told, is_restart=is_restart, is_blind=is_blind)
            is_restart, is_blind = is_restart or not cursor.is_between, True
            cursor = anew
        raise OutcomeUnknown("knows none of its own links to changes", system=SYSTEM)

    def _ask(self, cursor: Cursor) -> Reply:
        if cursor.link:
            url = self._client.local(cursor.link)
        else:
            url = f"{self._client.root}/calendarView/delta?startDateTime={quote(cursor.start)}&endDateTime={quote(cursor.end)}"
        return self._client.read_all([Part("GET", url, _DELTA, page_size=self._page_size)])[0]

    def _told(self, cursor: Cursor, reply: Reply, window: Window, anew: Cursor) -> EventChanges:
        if not reply.is_good:
            raise self._client.error_of(reply, is_read=True)
        body = reply.body if isinstance(reply.body, dict) else {}
        rows, following, end = body.get("value"), body.get("@odata.nextLink"), body.get("@odata.deltaLink")
        link = following or end
        if not isinstance(rows, list) or not isinstance(link, str) or bool(following) == bool(end) or following == cursor.link:
            raise self._client.unreadable(reply, is_read=True)
        self._client.local(link)  # refused here, before it is kept
        found: dict[str, Any] = {}
        for row in rows:
            id_ = row.get("id") if isinstance(row, dict) else None
            if not isinstance(id_, str) or not id_:
                raise self._client.unreadable(reply, is_read=True)
            found[id_] = None if "@removed" in row else row  # what was said last holds
        is_earlier = not cursor.is_of(anew)
        events, gone, series = self._events(found, reply, window.with_earlier(cursor.start, cursor.end) if is_earlier else window)
        following_cursor = replace(cursor, link=link, is_between=bool(end), is_whole=cursor.is_whole and not end)
        return EventChanges(
            events=tuple(events),
            gone=tuple(gone),
            cursor=(anew if is_earlier and end else following_cursor).text(),
            is_last=bool(end) and not is_earlier,
            is_whole=cursor.is_whole,
            series=series,
        )

    def _events(self, found: Mapping[str, Any], reply: Reply, window: Window) -> tuple[list[Record], list[str], dict[str, frozenset[str]]]:
        """Returns the events of a page, the ids that left, and the series that were looked through."""
        gone = [id_ for id_, row in found.items() if row is None]
        rows = {id_: row for id_, row in found.items() if row is not None}
        masters = {id_ for id_, row in rows.items() if row.get("type") == codec.MASTER}
        masters |= {str(row["seriesMasterId"]) for row in rows.values() if isinstance(row.get("seriesMasterId"), str)}
        masters -= set(gone)
        records: dict[str, Record] = {}
        for id_, row in rows.items():
            if row.get("type") == codec.MASTER or row.get("seriesMasterId"):
                continue
            if not codec.is_sound(row):
                raise self._client.unreadable(reply, is_read=True)
            records[id_] = codec.read_event(row)
        series: dict[str, frozenset[str]] = {}
        for master, occurrences in self._series(sorted(masters), rows, window).items():
            if occurrences is None:
                gone.append(master)
                continue
            series[master] = frozenset(r.ref.id for r in occurrences)
            records |= {r.ref.id: r for r in occurrences}
        return list(records.values()), [id_ for id_ in gone if id_ not in records], series

    def _series(self, ids: Sequence[str], rows: Mapping[str, Any], window: Window) -> dict[str, list[Record] | None]:
        """Returns every occurrence of these series in the window, None for a series that is gone."""
        span = f"startDateTime={quote(spelt(window.start))}&endDateTime={quote(spelt(window.end))}"
        parts = [Part("GET", f"{self._client.root}/events/{segment(id_)}/instances?{span}&$top=1000", _INSTANCES) for id_ in ids]
        uids = self.uids_of([id_ for id_ in ids if not isinstance((rows.get(id_) or {}).get("iCalUId"), str)])
        uids |= {id_: rows[id_]["iCalUId"] for id_ in ids if isinstance((rows.get(id_) or {}).get("iCalUId"), str)}
        found: dict[str, list[Record] | None] = {}
        for id_, reply in zip(ids, self._client.read_all(parts), strict=True):
            found[id_] = self._occurrences(reply, uids.get(id_))
        return found

    def uids_of(self, masters: Iterable[str]) -> dict[str, str]:
        """Returns the identity of these series, as far as they are there."""
        asked = list(masters)
        parts = [Part("GET", address(f"{self._client.root}/events/{segment(id_)}", select="iCalUId"), EVENT_TEMPLATE) for id_ in asked]
        uids: dict[str, str] = {}
        for id_, reply in zip(asked, self._client.read_all(parts), strict=True):
            if reply.is_good and isinstance(reply.body, dict) and isinstance(reply.body.get("iCalUId"), str):
                uids[id_] = reply.body["iCalUId"]
            elif not reply.is_good and not isinstance(error := self.gone_or_error(reply), RecordGone):
                raise error
        return uids

    def gone_or_error(self, reply: Reply) -> ConnectorError:
        """Returns what a refused read of one event means: an id that the mailbox takes for none is none of its events."""
        error = self._client.error_of(reply, is_read=True)
        if error.code.casefold() == faults.MALFORMED_ID:
            return RecordGone("it is not there (any more)", system=SYSTEM, code=error.code)
        return error

    def _occurrences(self, reply: Reply, uid: str | None) -> list[Record] | None:
        if not reply.is_good:
            error = self.gone_or_error(reply)
            if isinstance(error, RecordGone):
                return None
            raise error
        body = reply.body if isinstance(reply.body, dict) else {}
        rows, link = body.get("value"), body.get("@odata.nextLink")
        if not isinstance(rows, list):
            raise self._client.unreadable(reply, is_read=True)
        if isinstance(link, str):
            rows = [*rows, *self._client.every(self._client.local(link), template=_INSTANCES)]
        if not all(codec.is_sound(row) for row in rows):
            raise self._client.unreadable(reply, is_read=True)
        return [codec.read_event(row, uid=uid) for row in rows]

"""What happened in the task lists of a Google mailbox since a cursor: one call for the lists and one for each of them, since Google
keeps no token of changes (reference 7).

A round asks for what was touched since the last one began, by Google's own clock, and a little before: the same may be told twice.
A list that was deleted takes its tasks along without naming them: that round lists everything.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

from connectors.contract import Record
from connectors.cursors import KeptCursor, RoundOver, read_kept
from connectors.errors import OutcomeUnknown, RecordGone, Rejected
from connectors.google import task_codec as codec
from connectors.google.settings import SYSTEM, GoogleSettings
from connectors.google.task_codec import Held, Row
from connectors.google.task_reading import TaskReader, spelt
from connectors.tasks import TaskChanges
from connectors.text import read_instant

RESTARTS = 2
LONG_AGO = "2000-01-01T00:00:00.000Z"


@dataclass(frozen=True, slots=True)
class Stand:
    """Where the round stands in one list. `since`: what it asks from, "" for everything; `token`: its next page; `is_open`: this
    round still has pages of it."""

    name: str
    since: str = ""
    token: str = ""
    is_open: bool = True


@dataclass(frozen=True, slots=True)
class Cursor(KeptCursor):
    """Where a round stands. `began`: since when the next round asks; `is_between`: this one is over."""

    lists: Mapping[str, Stand]
    began: str = ""
    is_whole: bool = True
    is_between: bool = False

    def text(self) -> str:
        rows = [[id_, s.name, s.since, s.token, s.is_open] for id_, s in self.lists.items()]
        return self.written({"lists": rows, "began": self.began, "whole": self.is_whole, "between": self.is_between})

    @property
    def is_under_way(self) -> bool:
        return bool(self.began) and not self.is_between


BEGINNING = Cursor({})


def read_cursor(text: str) -> Cursor | None:
    """Returns the cursor, None for a text that is none of ours."""
    cursor = read_kept(Cursor, text, _fields)
    times = [cursor.began, *(s.since for s in cursor.lists.values() if s.since)] if cursor is not None else []
    return cursor if all(read_instant(time) is not None for time in times) else None


def _fields(said: Mapping[str, Any]) -> dict[str, Any]:
    rows = said["lists"]
    lists = {id_: {"name": name, "since": since, "token": token, "is_open": is_open} for id_, name, since, token, is_open in rows}
    return {"lists": lists, "began": said["began"], "is_whole": said["whole"], "is_between": said["between"]}


class TaskRounds:
    """Pages of changes of one mailbox: of each list that still has some, one page."""

    def __init__(self, reader: TaskReader, settings: GoogleSettings) -> None:
        self._reader = reader
        self._overlap = timedelta(seconds=settings.tasks_overlap)

    def page(self, text: str) -> TaskChanges:
        """Returns the next page. A page that Google no longer knows starts the round anew."""
        cursor = read_cursor(text) if text else None
        is_restart = bool(text) and cursor is None
        cursor = cursor or BEGINNING
        for _ in range(RESTARTS):
            try:
                return replace(self._next(cursor), is_restart=is_restart)
            except RoundOver:
                is_restart = is_restart or cursor.is_under_way
                cursor = BEGINNING
        raise OutcomeUnknown("knows none of its own lists of tasks", system=SYSTEM)

    def _next(self, cursor: Cursor) -> TaskChanges:
        cursor = cursor if cursor.is_under_way else self._opened(cursor)
        self._reader.know(Held(id_, stand.name) for id_, stand in cursor.lists.items())
        present: dict[str, tuple[Row, str]] = {}
        deleted: list[str] = []
        stands: dict[str, Stand] = {}
        for id_, stand in cursor.lists.items():
            told = self._told(id_, stand) if stand.is_open else ([], stand)
            if told is None:
                continue
            rows, stands[id_] = told
            present |= {str(row["id"]): (row, id_) for row in rows if not codec.is_deleted(row)}
            deleted += [str(row["id"]) for row in rows if codec.is_deleted(row)]
        tasks: list[Record] = [self._reader.record(row, list_id) for row, list_id in present.values()]
        is_last = not any(stand.is_open for stand in stands.values())
        following = replace(cursor, lists=stands, is_between=is_last)
        gone = tuple(dict.fromkeys(id_ for id_ in deleted if id_ not in present))
        return TaskChanges(tuple(tasks), gone, following.text(), is_last=is_last, is_whole=cursor.is_whole)

    def _opened(self, cursor: Cursor) -> Cursor:
        """Returns the beginning of a round: the lists that there are, and from when on each is asked."""
        lists, answered = self._reader.load()
        if cursor.lists.keys() - {held.id for held in lists}:
            raise RoundOver
        is_whole = not cursor.is_between
        stands = {held.id: Stand(held.name, cursor.began if held.id in cursor.lists else "") for held in lists}
        return Cursor(stands, self._following(answered, cursor.began), is_whole)

    def _following(self, answered: datetime | None, before: str) -> str:
        """Returns since when the round behind this one asks. An answer that tells no time moves nothing on."""
        if answered is not None:
            return spelt(answered - self._overlap)
        return before or LONG_AGO

    def _told(self, id_: str, stand: Stand) -> tuple[list[Row], Stand] | None:
        """Returns what a page of a list tells, and where the list stands then; None for a list that was deleted before anything of
        it was told."""
        try:
            rows, token = self._reader.page(id_, since=stand.since, token=stand.token, with_deleted=bool(stand.since))
        except RecordGone:
            if stand.since or stand.token:
                raise RoundOver from None
            return None
        except Rejected:
            if stand.token:  # the page is known no more
                raise RoundOver from None
            raise
        return rows, replace(stand, token=token, is_open=bool(token))

"""What happened in the task lists of a mailbox since a cursor: one call where nothing did, however many lists there are
(engine-rules 39).

Microsoft tells of changes list by list, and of the lists themselves; one `$batch` asks for all of it. A list that was deleted
takes its tasks along without naming them: the next round lists everything.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from connectors.contract import Record
from connectors.cursors import KeptCursor, RoundOver, read_kept
from connectors.errors import OutcomeUnknown
from connectors.microsoft import faults
from connectors.microsoft import todo_codec as codec
from connectors.microsoft.client import GraphClient, Part, Reply
from connectors.microsoft.settings import SYSTEM, MicrosoftSettings
from connectors.microsoft.todo_codec import Held, Row
from connectors.microsoft.todo_reading import LISTS_TEMPLATE, TASKS_TEMPLATE, TodoReader, is_gone
from connectors.tasks import TaskChanges

RESTARTS = 2


@dataclass(frozen=True, slots=True)
class Stand:
    """Where the round stands in one list, or in the list of lists. `link`: the path to go on with, "" at the beginning;
    `is_open`: this round still has pages of it."""

    link: str = ""
    is_open: bool = True


@dataclass(frozen=True, slots=True)
class Cursor(KeptCursor):
    """Where a round stands. `is_between`: it is over, and the links lead to the next one."""

    lists: Stand
    tasks: Mapping[str, Stand]
    known: Mapping[str, Held]
    is_whole: bool = True
    is_between: bool = False

    def text(self) -> str:
        rows = [[id_, held.name, held.kind, self.tasks[id_].link, self.tasks[id_].is_open] for id_, held in self.known.items()]
        lists = {"link": self.lists.link, "open": self.lists.is_open, "lists": rows}
        return self.written({**lists, "whole": self.is_whole, "between": self.is_between})

    def opened(self) -> Cursor:
        """Returns where the next round begins: every list is to be asked again."""
        if not self.is_between:
            return self
        stands = {id_: replace(stand, is_open=True) for id_, stand in self.tasks.items()}
        return replace(self, lists=replace(self.lists, is_open=True), tasks=stands, is_whole=False, is_between=False)


BEGINNING = Cursor(Stand(), {}, {})


def read_cursor(text: str, root: str) -> Cursor | None:
    """Returns the cursor, None for a text that is none of ours, or that leads out of this mailbox."""
    cursor = read_kept(Cursor, text, _fields)
    links = [stand.link for stand in (cursor.lists, *cursor.tasks.values())] if cursor is not None else []
    return cursor if all(not link or _is_ours(link, root) for link in links) else None


def _fields(said: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "lists": {"link": said["link"], "is_open": said["open"]},
        "tasks": {id_: {"link": link, "is_open": is_open} for id_, _, _, link, is_open in said["lists"]},
        "known": {id_: {"id": id_, "name": name, "kind": kind} for id_, name, kind, _, _ in said["lists"]},
        "is_whole": said["whole"],
        "is_between": said["between"],
    }


def _is_ours(link: str, root: str) -> bool:
    return link.startswith(f"{root}/todo/lists/") and ".." not in link.partition("?")[0].split("/")


class TodoRounds:
    """Pages of changes of one mailbox."""

    def __init__(self, client: GraphClient, reader: TodoReader, settings: MicrosoftSettings) -> None:
        self._client, self._reader, self._settings = client, reader, settings

    def page(self, text: str) -> TaskChanges:
        """Returns the next page. A link that Microsoft no longer knows starts the round anew."""
        cursor = read_cursor(text, self._client.root) if text else None
        is_restart = bool(text) and cursor is None
        cursor = cursor or BEGINNING
        for _ in range(RESTARTS):
            try:
                return replace(self._next(cursor.opened()), is_restart=is_restart)
            except RoundOver:
                is_restart = is_restart or not (cursor.is_between or cursor == BEGINNING)
                cursor = BEGINNING
        raise OutcomeUnknown("knows none of its own links to changes", system=SYSTEM)

    def _next(self, cursor: Cursor) -> TaskChanges:
        asked = [id_ for id_, stand in cursor.tasks.items() if stand.is_open]
        parts = [self._part(cursor.tasks[id_].link, self._reader.path(id_), TASKS_TEMPLATE) for id_ in asked]
        if cursor.lists.is_open:
            parts.append(self._part(cursor.lists.link, f"{self._client.root}/todo/lists", LISTS_TEMPLATE))
        replies = self._client.read_all(parts)
        if cursor.lists.is_open:
            cursor = self._with_lists(cursor, replies.pop())
        self._reader.know(cursor.known.values())
        seen: dict[str, dict[str, Row | None]] = {}
        for id_, reply in zip(asked, replies, strict=True):
            told = self._told(cursor.tasks[id_], reply)
            if told is None:  # it was deleted before anything of it was told
                cursor = _without(cursor, id_)
                continue
            stand, seen[id_] = told
            cursor = replace(cursor, tasks={**cursor.tasks, id_: stand})
        self._reader.know(cursor.known.values())
        tasks, gone = self._sorted(seen)
        is_last = not any(stand.is_open for stand in (cursor.lists, *cursor.tasks.values()))
        following = replace(cursor, is_between=is_last)
        return TaskChanges(tuple(tasks), tuple(gone), following.text(), is_last=is_last, is_whole=cursor.is_whole)

    def _part(self, link: str, beginning: str, template: str) -> Part:
        return Part("GET", link or f"{beginning}/delta", f"{template}/delta", page_size=self._settings.tasks_a_page)

    def _with_lists(self, cursor: Cursor, reply: Reply) -> Cursor:
        """Returns the cursor with the lists that came, and with new names."""
        rows, stand = self._page_of(cursor.lists, reply)
        known, stands = dict(cursor.known), dict(cursor.tasks)
        for row in rows:
            held = codec.read_list(row)
            if held is None:
                raise self._client.unreadable(reply, is_read=True)
            if "@removed" in row:
                if held.id in known:
                    raise RoundOver
            elif codec.is_looked_at(row):
                before = known.get(held.id)
                known[held.id] = Held(held.id, held.name or (before.name if before else ""), held.kind or (before.kind if before else ""))
                stands.setdefault(held.id, Stand())
        return replace(cursor, lists=stand, known=known, tasks=stands)

    def _told(self, stand: Stand, reply: Reply) -> tuple[Stand, dict[str, Row | None]] | None:
        """Returns where a list stands now and what was said of each task, None for one that left; None for a list that is not
        there."""
        if is_gone(self._client, reply) and not faults.is_dead_token(reply.status, reply.body):
            if stand.link:
                raise RoundOver
            return None
        rows, following = self._page_of(stand, reply)
        found: dict[str, Row | None] = {}
        for row in rows:
            id_ = row.get("id") if isinstance(row, dict) else None
            if not isinstance(id_, str) or not id_ or ("@removed" not in row and not codec.is_sound(row)):
                raise self._client.unreadable(reply, is_read=True)
            found[id_] = None if "@removed" in row else row  # what was said last holds
        return following, found

    def _page_of(self, stand: Stand, reply: Reply) -> tuple[list[Any], Stand]:
        if faults.is_dead_token(reply.status, reply.body):
            raise RoundOver
        if not reply.is_good:
            raise self._client.error_of(reply, is_read=True)
        body = reply.body if isinstance(reply.body, dict) else {}
        rows, following, end = body.get("value"), body.get("@odata.nextLink"), body.get("@odata.deltaLink")
        link = following or end
        if not isinstance(rows, list) or not isinstance(link, str) or bool(following) == bool(end):
            raise self._client.unreadable(reply, is_read=True)
        path = self._client.local(link)
        if not _is_ours(path, self._client.root) or (following and path == stand.link):
            raise self._client.unreadable(reply, is_read=True)
        return rows, Stand(path, is_open=not end)

    def _sorted(self, seen: Mapping[str, Mapping[str, Row | None]]) -> tuple[list[Record], list[str]]:
        """Returns the tasks of a page, and the ids that are in no list any more. One that left a list may have been dragged into
        another, of which this page need not tell: it is looked for."""
        present = {id_: (row, list_id) for list_id, rows in seen.items() for id_, row in rows.items() if row is not None}
        left: dict[str, set[str]] = {}
        for list_id, rows in seen.items():
            for id_, row in rows.items():
                if row is None and id_ not in present:
                    left.setdefault(id_, set()).add(list_id)
        for id_, (_, list_id) in present.items():
            self._reader.note(id_, list_id)
        partial = [id_ for id_, (row, _) in present.items() if not codec.is_full(row)]
        found = self._reader.rows([*left, *partial], but=left) if left or partial else {}
        gone = [id_ for id_ in (*left, *partial) if id_ not in found]
        told = {**present, **found}
        return [self._reader.record(row, list_id) for id_, (row, list_id) in told.items() if id_ not in gone], gone


def _without(cursor: Cursor, id_: str) -> Cursor:
    known = {key: held for key, held in cursor.known.items() if key != id_}
    return replace(cursor, known=known, tasks={key: stand for key, stand in cursor.tasks.items() if key != id_})

"""What happened in the task lists of a mailbox since a cursor: one call where nothing did (engine-rules 39), else one more for the
lists and one for each of them. Whether anything happened is told by a subscription to the lists, and to what they may lie in.

A task that its user drags into another list has another id there, and is told as one that left and one that came. Those that are
linked bear our mark.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from connectors.contract import Record
from connectors.cursors import KeptCursor, read_kept
from connectors.errors import OutcomeUnknown, RecordGone
from connectors.exchange import task_codec as codec
from connectors.exchange.client import EwsClient, Message
from connectors.exchange.folders import ROOT, Folders
from connectors.exchange.reading import Finder
from connectors.exchange.settings import SYSTEM, ExchangeSettings
from connectors.exchange.syncing import sync
from connectors.exchange.watching import Watch, is_quiet, over, with_watch
from connectors.tasks import TaskChanges

MOST_PAGES = 1000  # of one list in one round


@dataclass(frozen=True, slots=True)
class Cursor(KeptCursor):
    """Where rounds stand: of each list what to go on with, and the subscription to all of them."""

    states: Mapping[str, str]
    watch: Watch = Watch()


@dataclass(slots=True)
class _Heard:
    """What the lists said in one round."""

    states: dict[str, str] = field(default_factory=dict)
    there: dict[str, None] = field(default_factory=dict)
    gone: dict[str, None] = field(default_factory=dict)
    at: datetime | None = None  # when the first of them was read


class TaskReader:
    """The reads of one mailbox's tasks."""

    def __init__(self, client: EwsClient, finder: Finder, folders: Folders) -> None:
        self._client, self._finder, self.folders = client, finder, folders

    def read(self, ids: Sequence[str]) -> list[Record]:
        """Returns the tasks with these ids; missing ones are left out, those in the bin, and what is no task."""
        asked = list(dict.fromkeys(ids))
        found = [self._task(m) for m in self._finder.elements(asked, codec.PATHS) if m is not None] if asked else []
        tasks = [task for task in found if task is not None]
        names = {folder.id: folder.name for folder in self.folders.every()} if tasks else {}
        if any(codec.folder_of(task) not in names for task in tasks):  # in a list that is new, or in the bin
            names = {folder.id: folder.name for folder in self.folders.every(is_fresh=True)}
        inside = [task for task in tasks if codec.folder_of(task) in names]
        ours = self.folders.ours
        return [codec.read_task(t, list_name=names[codec.folder_of(t)], is_ours=codec.folder_of(t) == ours) for t in inside]

    def _task(self, message: Message) -> Any:
        items = message.items()
        if len(items) != 1:
            raise self._client.unreadable(message, is_read=True)
        if not str(items[0].tag).endswith("}Task"):
            return None
        if not codec.is_sound(items[0]):
            raise self._client.unreadable(message, is_read=True)
        return items[0]


class TaskRounds:
    """Rounds over the lists of one mailbox, each in one page: they tell ids only."""

    def __init__(self, client: EwsClient, reader: TaskReader, settings: ExchangeSettings) -> None:
        self._client, self._reader, self._settings = client, reader, settings

    def page(self, text: str) -> TaskChanges:
        """Returns what happened. A list that is gone, or whose state Exchange no longer knows, makes the round list everything."""
        at = read_kept(Cursor, text, with_watch) if text else None
        watch, is_still = is_quiet(self._client, at.watch) if at is not None else (Watch(), False)
        if at is not None and is_still:
            return TaskChanges((), (), Cursor(at.states, watch).text(), is_last=True, is_whole=False)
        lists = [folder.id for folder in self._reader.folders.every(is_fresh=True)]
        watch = over(self._client, watch, [ROOT, *lists])
        heard = self._hear(lists, at.states) if at is not None and set(at.states) <= set(lists) else None
        is_whole = heard is None
        heard = heard or self._hear(lists, {})
        if heard is None:
            raise OutcomeUnknown("knows no list of changes of its own", system=SYSTEM)
        tasks = self._reader.read(list(heard.there))
        return TaskChanges(
            tasks=tuple(tasks),
            gone=tuple(heard.gone),
            cursor=Cursor(heard.states, watch.was_read(heard.at)).text(),
            is_last=True,
            is_whole=is_whole,
            is_restart=bool(text) and at is None,
        )

    def _hear(self, lists: Sequence[str], states: Mapping[str, str]) -> _Heard | None:
        """Returns what each list said since its state, None where one of the states is known no more."""
        heard = _Heard()
        for list_id in lists:
            if not self._hear_one(list_id, states.get(list_id, ""), heard):
                return None
        for id_ in heard.there:
            heard.gone.pop(id_, None)
        return heard

    def _hear_one(self, list_id: str, state: str, heard: _Heard) -> bool:
        for _ in range(MOST_PAGES):
            try:
                page = sync(self._client, list_id, state, (), most=self._settings.changes_a_page)
            except RecordGone:  # it was deleted while we went over the others
                return True
            if page is None:
                return False
            heard.at = heard.at or page.server_time
            state = heard.states[list_id] = page.state
            for id_, item in page.items.items():
                (heard.gone if item is None else heard.there)[id_] = None
                (heard.there if item is None else heard.gone).pop(id_, None)
            if page.is_last:
                return True
        raise OutcomeUnknown("lists changes without end", system=SYSTEM)

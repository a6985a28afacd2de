"""What task boxes do alike that keep our mark with a task, and share it by a category: those of Microsoft and of Exchange."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Protocol

from connectors.contract import Record, Schema, Value, Write, WriteResult
from connectors.errors import RecordGone, StaleVersion
from connectors.mailbox_base import NoSweeps
from connectors.mailboxes import CATEGORIES, FOREIGN_ID
from connectors.tasks import TASK, TASK_SCHEMA, TaskChanges


class Rounds(Protocol):
    def page(self, text: str) -> TaskChanges: ...


class MarkedTasks(NoSweeps):
    """The tasks of one mailbox, by the rounds that its system tells them in. `_tries`: how often one may be edited while it is marked."""

    marker_field = FOREIGN_ID
    has_marker = True
    system: str
    _category = ""
    _rounds: Rounds
    _tries: int

    def use_category(self, category: str) -> None:
        self._category = category

    def task_changes(self, cursor: str) -> TaskChanges:
        return self._rounds.page(cursor)

    def find_made(self, writes: Sequence[Write], since: datetime) -> Mapping[str, tuple[Record, ...]]:
        found = self.find_marked(TASK, [write.marker for write in writes], (), since=since)
        return {w.key: tuple(r for r in found if w.marker and r.fields[FOREIGN_ID] == w.marker) for w in writes}

    def bring_in(self, id_: str, marker: str) -> Record:
        """As the contract says: the task stays in its list. Who is overtaken tries again."""
        for _ in range(self._tries):
            record = next(iter(self.read(TASK, [id_], ())), None)
            if record is None:
                raise RecordGone("the task is not there any more", system=self.system, code="ErrorItemNotFound")
            held = record.fields[CATEGORIES]
            shared = tuple(self._with_category(held if isinstance(held, tuple) else ()))
            wanted: dict[str, Value] = {CATEGORIES: shared, FOREIGN_ID: marker or None}
            fields = {name: value for name, value in wanted.items() if record.fields[name] != value}
            if not fields:
                return record
            (result,) = self.write(TASK, [Write(TASK, fields, "bring-in", ref=record.ref, version=record.version)])
            if result.record is not None:
                return result.record
            if result.error is not None and not isinstance(result.error, StaleVersion):
                raise result.error
        raise StaleVersion("the task was changed again and again while it was marked", system=self.system)

    def schema(self, object_type: str) -> Schema:
        return TASK_SCHEMA

    @abstractmethod
    def _with_category(self, held: tuple[str, ...]) -> Iterable[str]:
        """Returns the categories of a task with ours among them."""

    @abstractmethod
    def read(self, object_type: str, ids: Sequence[str], columns: Sequence[str]) -> list[Record]: ...

    @abstractmethod
    def find_marked(self, object_type: str, markers: Sequence[str], columns: Sequence[str], *, since: datetime) -> list[Record]: ...

    @abstractmethod
    def write(self, object_type: str, writes: Sequence[Write]) -> list[WriteResult]: ...

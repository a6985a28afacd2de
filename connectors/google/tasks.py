"""The tasks of one Google mailbox as a `TaskBox`. Its calls go one after another.

Google keeps nothing with a task that only we see, and says nowhere that it compares the version that a change rests on. So what a
change touches is read right before it and compared here, and the version is sent along all the same; `tasks_honour_if_match` spares
the look. Our own list is what shares a task: there are no categories.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any
from urllib.parse import quote

from connectors.checks import Try, run_checks
from connectors.contract import Check, Record, Schema, Write, WriteResult
from connectors.errors import RecordGone, Rejected, StaleVersion
from connectors.google import task_codec as codec
from connectors.google.box import GoogleBox
from connectors.google.settings import SYSTEM
from connectors.google.task_changes import TaskRounds
from connectors.google.task_reading import LISTS, TASK_TEMPLATE, TASKS_TEMPLATE, TaskReader
from connectors.http import Answer, unreadable
from connectors.mailbox_base import NoSweeps
from connectors.mailbox_writes import write_in_turn
from connectors.tasks import IS_OURS, LIST_GONE, SUBJECT, TaskChanges, TaskList


class GoogleTasks(NoSweeps, GoogleBox):
    """The task lists of one mailbox."""

    marker_field = ""
    has_categories = False
    has_marker = False

    def _open(self) -> None:
        self._reader = TaskReader(self._client, self._settings)
        self._rounds = TaskRounds(self._reader, self._settings)

    # --- lists ----------------------------------------------------------------------------------------------------------

    def use_category(self, category: str) -> None:
        """Google has no categories of tasks."""

    def make_category(self, name: str) -> None:
        """Google has no categories of tasks."""

    def use_list(self, list_id: str) -> None:
        self._reader.ours = list_id

    def lists(self, name: str) -> list[TaskList]:
        return [TaskList(held.id, held.name) for held in self._reader.load()[0] if held.name == name]

    def make_list(self, name: str) -> TaskList:
        """As the contract says. Google takes several lists of a name: where somebody else made one meanwhile, ours goes again."""
        if found := self.lists(name):
            return found[0]
        answer = self._client.post(LISTS, {"title": name})
        made = codec.read_list(answer.data)
        found = self.lists(name)
        if made is None or not found:
            raise unreadable(SYSTEM, answer, is_read=False)
        if found[0].id != made.id:
            self._client.delete(f"{LISTS}/{quote(made.id, safe='')}", template=f"{LISTS}/{{list}}")
            self._reader.load()
        return found[0]

    # --- reading --------------------------------------------------------------------------------------------------------

    def task_changes(self, cursor: str) -> TaskChanges:
        return self._rounds.page(cursor)

    def read(self, object_type: str, ids: Sequence[str], columns: Sequence[str]) -> list[Record]:
        found = (self._reader.find(id_) for id_ in dict.fromkeys(ids))
        return [record for record in found if record is not None]

    def find_marked(self, object_type: str, markers: Sequence[str], columns: Sequence[str], *, since: datetime) -> list[Record]:
        """Returns nothing: there are no markers."""
        return []

    def find_made(self, writes: Sequence[Write], since: datetime) -> Mapping[str, tuple[Record, ...]]:
        lists = self._reader.load()[0] if writes else []  # its user may have dragged it into another one meanwhile
        touched = [record for held in lists for record in self._reader.touched(held.id, since)]
        return {write.key: _alike(touched, write) for write in writes}

    # --- writing --------------------------------------------------------------------------------------------------------

    def batch_size(self, object_type: str, *, is_create: bool) -> int:
        """Each write is a call of its own."""
        return 1

    def write(self, object_type: str, writes: Sequence[Write]) -> list[WriteResult]:
        """As the contract says; each change is two calls, unless `tasks_honour_if_match`."""
        return write_in_turn(writes, self._one)

    def _one(self, write: Write) -> WriteResult:
        if write.ref is None:
            return self._create(write)
        body = {} if write.is_delete else codec.write_body(write.fields)
        if not body and not write.is_delete:
            return WriteResult(write.key, self._unchanged(write))
        version = self._version(write.ref.id, write.version)
        list_id = self._reader.place_of(write.ref.id)
        path = self._reader.path(list_id, write.ref.id)
        if write.is_delete:
            answer = self._client.delete(path, template=TASK_TEMPLATE, if_match=version)
            return WriteResult(write.key, Record(write.ref, {}, is_deleted=True), exchange=answer.exchange)
        answer = self._client.patch(path, body, template=TASK_TEMPLATE, if_match=version)
        return WriteResult(write.key, self._written(answer, list_id, write.ref.id), exchange=answer.exchange)

    def _unchanged(self, write: Write) -> Record:
        """Returns the task as it stands, where Google has none of the fields that a write names."""
        assert write.ref is not None
        if not write.fields:
            raise Rejected("nothing of it is to be written", system=SYSTEM)
        return self._standing(write.ref.id, write.version)

    def _version(self, id_: str, wanted: str) -> str:
        """Returns the version that a change rests on. Raises RecordGone and StaleVersion."""
        if self._settings.tasks_honour_if_match and wanted and self._reader.place_of(id_):
            return wanted
        return self._standing(id_, wanted).version

    def _standing(self, id_: str, wanted: str) -> Record:
        record = self._reader.find(id_)
        if record is None:
            raise RecordGone("it is not there (any more)", system=SYSTEM, code="notFound")
        if wanted not in ("", record.version):
            raise StaleVersion("the task was changed meanwhile", system=SYSTEM)
        return record

    def _create(self, write: Write) -> WriteResult:
        fields = {name: value for name, value in write.fields.items() if value is not None}
        body: dict[str, Any] = codec.write_body(fields)
        home = self._reader.home()
        try:
            answer = self._client.post(self._reader.path(home), body, template=TASKS_TEMPLATE, is_of_record=True)
        except RecordGone as gone:
            detail = "the list that tasks are made in is not there any more"
            raise RecordGone(detail, system=SYSTEM, status=gone.status, code=LIST_GONE, exchange=gone.exchange) from gone
        return WriteResult(write.key, self._written(answer, home), exchange=answer.exchange)

    def _written(self, answer: Answer, list_id: str, id_: str = "") -> Record:
        if not codec.is_sound(answer.data) or (id_ and answer.data["id"] != id_):
            raise unreadable(SYSTEM, answer, is_read=False)
        return self._reader.record(answer.data, list_id)

    def bring_in(self, id_: str, marker: str) -> Record:
        """As the contract says: the task moves into our list. Google keeps no marker."""
        record = self._reader.find(id_)
        if record is None:
            raise RecordGone("the task is not there any more", system=SYSTEM, code="notFound")
        if record.fields[IS_OURS] is True:
            return record
        if not self._reader.ours:
            raise RecordGone("there is no list of ours that it could move into", system=SYSTEM, code=LIST_GONE)
        path = f"{self._reader.path(self._reader.place_of(id_), id_)}/move"
        into = [("destinationTasklist", self._reader.ours)]
        answer = self._client.post(path, None, params=into, template=f"{TASK_TEMPLATE}/move", is_of_record=True)
        return self._written(answer, self._reader.ours)

    # --- the tasks themselves ---------------------------------------------------------------------------------------------

    def schema(self, object_type: str) -> Schema:
        return codec.SCHEMA

    def check_mailbox(self) -> list[Check]:
        few = [("maxResults", "1")]
        return run_checks([Try("Read tasks", "Its tasks can be read.", lambda: self._client.get(LISTS, few))])


def _alike(touched: Sequence[Record], write: Write) -> tuple[Record, ...]:
    """Returns the tasks that a create may have made: those with its subject, only those that agree in all of it where there are."""
    named = [record for record in touched if codec.bears(record, write.fields, (SUBJECT,))]
    same = [record for record in named if codec.bears(record, write.fields, codec.WRITTEN)]
    return tuple(same or named)

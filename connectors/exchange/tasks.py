"""The tasks of one mailbox of an Exchange server as a `TaskBox`: its lists are folders of tasks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any

from exchangelib import Task

from connectors.checks import Try, run_checks
from connectors.contract import Check, Record, Value, Write, WriteResult
from connectors.errors import ConnectionTrouble, RecordGone, Rejected
from connectors.exchange import task_codec as codec
from connectors.exchange.box import ExchangeBox, remedy
from connectors.exchange.codec import sent_fields, with_category
from connectors.exchange.folders import OF_TASKS, TASKS_FOLDER, Folders
from connectors.exchange.reading import Finder
from connectors.exchange.settings import SYSTEM
from connectors.exchange.task_changes import TaskReader, TaskRounds
from connectors.exchange.writer import Answered, Prepared, Sender, checked, fields_of_create, rests_on
from connectors.mailbox_writes import raise_common_trouble
from connectors.mailboxes import FOREIGN_ID
from connectors.marked_tasks import MarkedTasks
from connectors.tasks import LIST_GONE, TASK, TaskList


class ExchangeTasks(MarkedTasks, ExchangeBox):
    """The task lists of one mailbox."""

    moves_change_ids = True

    def _open(self) -> None:
        self._folders = Folders(self._client, OF_TASKS)
        self._finder = Finder(self._client, self._settings)
        self._reader = TaskReader(self._client, self._finder, self._folders)
        self._rounds = TaskRounds(self._client, self._reader, self._settings)
        self._sender = Sender(self._client, self._settings, Task, lambda: self._folders.ours or TASKS_FOLDER)
        self._tries = self._settings.move_tries

    # --- lists -------------------------------------------------------------------------------------------

    def use_list(self, list_id: str) -> None:
        self._folders.ours = list_id

    def lists(self, name: str) -> list[TaskList]:
        return [TaskList(folder.id, folder.name) for folder in self._folders.named(name)]

    def make_list(self, name: str) -> TaskList:
        """As the contract says. Exchange itself refuses a second list of a name."""
        made = self._folders.make(name)
        return TaskList(made.id, made.name)

    # --- reading ------------------------------------------------------------------------------------------------------

    def read(self, object_type: str, ids: Sequence[str], columns: Sequence[str]) -> list[Record]:
        return self._reader.read(ids)

    def find_marked(self, object_type: str, markers: Sequence[str], columns: Sequence[str], *, since: datetime) -> list[Record]:
        wanted = [marker for marker in dict.fromkeys(markers) if marker]
        found = self._reader.read(self._finder.marked(wanted, self._folders.ids(), Task)) if wanted else []
        return [record for record in found if record.fields[FOREIGN_ID] in wanted]

    # --- writing ------------------------------------------------------------------------------------------------------

    def batch_size(self, object_type: str, *, is_create: bool) -> int:
        return self._settings.items_a_call

    def write(self, object_type: str, writes: Sequence[Write]) -> list[WriteResult]:
        """As the contract says: creates, updates and deletes in a call each, and one that reads back what was written: Exchange sets
        the day of completion, and answers with ids only."""
        known = self._sender.versions(writes)
        settled = self._sender.carry_out(enumerate(writes), lambda at, write: self._prepared(at, write, known))
        results = [self._result(write, settled[at]) for at, write in enumerate(writes)]
        raise_common_trouble(results)
        return self._read_back(writes, results)

    def _prepared(self, at: int, write: Write, known: Mapping[str, str]) -> Prepared:
        if write.ref is None:
            return Prepared(at, write, self._item(fields_of_create(write, self._category)))
        if write.is_delete:
            return Prepared(at, write, version=rests_on(write.ref.id, write.version, known))
        elements = codec.updates(write.fields, self._client.version)
        if not elements:
            raise Rejected("nothing of it is to be written", system=SYSTEM)
        return Prepared(at, write, elements, write.version or rests_on(write.ref.id, "", known))

    def _item(self, fields: dict[str, Value]) -> Any:
        item = codec.new_task(fields)
        item.account = self._client.account
        return checked(item, self._client, "task")

    def _result(self, write: Write, answer: Answered) -> WriteResult:
        fields = write.fields if write.ref is not None else fields_of_create(write, self._category)
        result = self._sender.result_of(write, answer, TASK, sent_fields(fields))
        if write.ref is None and isinstance(result.error, RecordGone):
            detail = "the list that tasks are made in is not there any more"
            gone = RecordGone(detail, system=SYSTEM, code=LIST_GONE, exchange=result.error.exchange)
            return WriteResult(write.key, error=gone, exchange=result.exchange)
        return result

    def _read_back(self, writes: Sequence[Write], results: list[WriteResult]) -> list[WriteResult]:
        written = [r.record.ref.id for r, w in zip(results, writes, strict=True) if r.record is not None and not w.is_delete]
        try:
            found = {record.ref.id: record for record in self._reader.read(written)} if written else {}
        except ConnectionTrouble:  # all of it is written; which version that is, the next page of changes tells
            return results
        return [replace(r, record=found[r.record.ref.id]) if r.record is not None and r.record.ref.id in found else r for r in results]

    def _with_category(self, held: tuple[str, ...]) -> tuple[str, ...]:
        return with_category(held, self._category)

    # --- the tasks themselves -----------------------------------------------------------------------------------------

    def check_mailbox(self) -> list[Check]:
        return run_checks([Try("Read tasks", "Its tasks can be read.", lambda: self._folders.look(TASKS_FOLDER), remedy)])

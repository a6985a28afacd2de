"""The tasks of one mailbox of an Exchange server as a `TaskBox`: its lists are folders of tasks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any

from exchangelib import Task

from connectors.checks import Try, run_checks
from connectors.contract import CallCount, Check, Identity, Record, Ref, Schema, Value, Write, WriteResult
from connectors.errors import ConnectionTrouble, ConnectorError, RecordGone, Rejected, StaleVersion
from connectors.exchange import task_codec as codec
from connectors.exchange.client import EwsClient
from connectors.exchange.codec import sent_fields, with_category
from connectors.exchange.folders import OF_TASKS, TASKS_FOLDER, Folders
from connectors.exchange.mailbox import remedy
from connectors.exchange.reading import Finder
from connectors.exchange.settings import SYSTEM, ExchangeSettings
from connectors.exchange.task_changes import TaskReader, TaskRounds
from connectors.exchange.writer import Answered, Prepared, Sender, raise_common_trouble, rests_on, result_of
from connectors.http import HttpClient
from connectors.mailbox_base import NoSweeps
from connectors.mailboxes import CATEGORIES, FOREIGN_ID
from connectors.tasks import LIST_GONE, TASK, TASK_SCHEMA, TaskChanges, TaskList


class ExchangeTasks(NoSweeps):
    """The task lists of one mailbox. Their calls go out one after the other."""

    system = SYSTEM
    marker_field = FOREIGN_ID
    concurrency = 1
    has_categories = True
    has_marker = True
    moves_change_ids = True

    def __init__(
        self,
        address: str,
        http: HttpClient,
        client: EwsClient,
        settings: ExchangeSettings,
        *,
        settle_seconds: int = 0,
        page_address_template: str = "",
    ) -> None:
        self.address = address
        self.settle_seconds = settle_seconds
        self.request_timeout = http.timeout
        self._http, self._client, self._settings, self._template = http, client, settings, page_address_template
        self._folders = Folders(client, OF_TASKS)
        self._finder = Finder(client, settings)
        self._reader = TaskReader(client, self._finder, self._folders)
        self._rounds = TaskRounds(client, self._reader, settings)
        self._sender = Sender(client, settings, Task, lambda: self._folders.ours or TASKS_FOLDER)
        self._category = ""

    # --- lists and category -------------------------------------------------------------------------------------------

    def use_category(self, category: str) -> None:
        self._category = category

    def make_category(self, name: str) -> None:
        """Has nothing to do: a task bears any name as its category, and the list with the colours is Outlook's own."""

    def use_list(self, list_id: str) -> None:
        self._folders.ours = list_id

    def lists(self, name: str) -> list[TaskList]:
        return [TaskList(folder.id, folder.name) for folder in self._folders.named(name)]

    def make_list(self, name: str) -> TaskList:
        """As the contract says. Exchange itself refuses a second list of a name."""
        made = self._folders.make(name)
        return TaskList(made.id, made.name)

    # --- reading ------------------------------------------------------------------------------------------------------

    def task_changes(self, cursor: str) -> TaskChanges:
        return self._rounds.page(cursor)

    def read(self, object_type: str, ids: Sequence[str], columns: Sequence[str]) -> list[Record]:
        return self._reader.read(ids)

    def find_marked(self, object_type: str, markers: Sequence[str], columns: Sequence[str], *, since: datetime) -> list[Record]:
        wanted = [marker for marker in dict.fromkeys(markers) if marker]
        found = self._reader.read(self._finder.marked(wanted, self._folders.ids(), Task)) if wanted else []
        return [record for record in found if record.fields[FOREIGN_ID] in wanted]

    def find_made(self, writes: Sequence[Write], since: datetime) -> Mapping[str, tuple[Record, ...]]:
        found = self.find_marked(TASK, [write.marker for write in writes], (), since=since)
        return {w.key: tuple(r for r in found if w.marker and r.fields[FOREIGN_ID] == w.marker) for w in writes}

    # --- writing ------------------------------------------------------------------------------------------------------

    def batch_size(self, object_type: str, *, is_create: bool) -> int:
        return self._settings.items_a_call

    def write(self, object_type: str, writes: Sequence[Write]) -> list[WriteResult]:
        """As the contract says: creates, updates and deletes in a call each, and one that reads back what was written: Exchange sets
        the day of completion, and answers with ids only."""
        settled: dict[int, Answered] = {}
        unseen = [w.ref.id for w in writes if w.ref is not None and (w.is_delete or not w.version)]
        known = self._sender.change_keys(unseen) if unseen else {}
        rows = []
        for at, write in enumerate(writes):
            try:
                rows.append(self._prepared(at, write, known))
            except ConnectorError as error:
                settled[at] = error
        self._sender.send(rows, settled)
        results = [self._result(write, settled[at]) for at, write in enumerate(writes)]
        raise_common_trouble(results)
        return self._read_back(writes, results)

    def _prepared(self, at: int, write: Write, known: Mapping[str, str]) -> Prepared:
        if write.ref is None:
            return Prepared(at, write, self._item(self._fields_of(write)))
        if write.is_delete:
            return Prepared(at, write, version=rests_on(write.ref.id, write.version, known))
        elements = codec.updates(write.fields, self._client.version)
        if not elements:
            raise Rejected("nothing of it is to be written", system=SYSTEM)
        return Prepared(at, write, elements, write.version or rests_on(write.ref.id, "", known))

    def _item(self, fields: dict[str, Value]) -> Any:
        item = codec.new_task(fields)
        item.account = self._client.account
        try:
            item.clean(version=self._client.version)
        except (ValueError, TypeError) as error:  # a text that is too long, and its like
            raise Rejected(f"takes no such task: {error}"[:300], system=SYSTEM) from None
        return item

    def _fields_of(self, write: Write) -> dict[str, Value]:
        fields: dict[str, Value] = {**write.fields, **({FOREIGN_ID: write.marker} if write.marker else {})}
        held = fields.get(CATEGORIES)
        return fields | {CATEGORIES: with_category(held if isinstance(held, tuple) else (), self._category)}

    def _result(self, write: Write, answer: Answered) -> WriteResult:
        fields = write.fields if write.ref is not None else self._fields_of(write)
        result = result_of(self._sender, write, answer, TASK, sent_fields(fields))
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

    def bring_in(self, id_: str, marker: str) -> Record:
        """As the contract says: the task stays in its list."""
        for _ in range(self._settings.move_tries):
            record = next(iter(self._reader.read([id_])), None)
            if record is None:
                raise RecordGone("the task is not there any more", system=SYSTEM, code="ErrorItemNotFound")
            held = record.fields[CATEGORIES]
            wanted: dict[str, Value] = {
                CATEGORIES: with_category(held if isinstance(held, tuple) else (), self._category),
                FOREIGN_ID: marker or None,
            }
            fields = {name: value for name, value in wanted.items() if record.fields[name] != value}
            if not fields:
                return record
            (result,) = self.write(TASK, [Write(TASK, fields, "bring-in", ref=record.ref, version=record.version)])
            if result.record is not None:
                return result.record
            if isinstance(result.error, ConnectorError) and not isinstance(result.error, StaleVersion):
                raise result.error
        raise StaleVersion("the task was changed again and again while it was marked", system=SYSTEM)

    # --- the tasks themselves -----------------------------------------------------------------------------------------

    def schema(self, object_type: str) -> Schema:
        return TASK_SCHEMA

    def check_mailbox(self) -> list[Check]:
        return run_checks([Try("Read tasks", "Its tasks can be read.", lambda: self._folders.look(TASKS_FOLDER), remedy)])

    def check(self, *, may_send: bool = True) -> list[Check]:
        return self.check_mailbox()

    def identity(self) -> Identity:
        return Identity(self.address)

    def keep_alive(self) -> None:
        """Nothing of a password dies of not being used."""

    def web_url(self, ref: Ref) -> str:
        return self._template.replace("{object}", ref.object_type).replace("{id}", ref.id)

    def counts(self) -> CallCount:
        return self._http.counts

    def close(self) -> None:
        self._http.close()

"""The tasks of one Microsoft mailbox as a `TaskBox`.

The reference does not say whether To Do compares the version that a change rests on. So what a change touches is read first and
compared here, in one call for all of them, and the version is sent along all the same; `todo_honours_if_match` spares the look.
The id of Salesforce is a linked resource of the task, which is written by itself and makes another version of the task.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any

from connectors.checks import Try, run_checks
from connectors.contract import Check, Record, Value, Write, WriteResult
from connectors.errors import ConnectionTrouble, ConnectorError, RecordGone, Rejected, StaleVersion
from connectors.mailbox_writes import failed, result_of
from connectors.mailboxes import CATEGORIES, FOREIGN_ID
from connectors.marked_tasks import MarkedTasks
from connectors.microsoft import todo_codec as codec
from connectors.microsoft.box import MicrosoftBox
from connectors.microsoft.client import Part, Reply, address, segment
from connectors.microsoft.codec import with_category
from connectors.microsoft.sending import prepared, send
from connectors.microsoft.settings import PARTS_A_CALL, SYSTEM
from connectors.microsoft.todo_changes import TodoRounds
from connectors.microsoft.todo_codec import Row
from connectors.microsoft.todo_reading import LISTS_TEMPLATE, TASK_TEMPLATE, TASKS_TEMPLATE, TodoReader, is_gone
from connectors.tasks import LIST_GONE, TaskList

ASK_TASKS = "Ask a Microsoft 365 administrator to grant the app Tasks.ReadWrite.All, and to let it into this mailbox."
_LINKS_TEMPLATE = TASK_TEMPLATE + "/linkedResources"


class MicrosoftTasks(MarkedTasks, MicrosoftBox):
    """The task lists of one mailbox."""

    def _open(self) -> None:
        super()._open()
        self._reader = TodoReader(self._client, self._settings)
        self._rounds = TodoRounds(self._client, self._reader, self._settings)
        self._tries = self._settings.move_tries

    # --- lists ----------------------------------------------------------------------------------------------------------

    def use_list(self, list_id: str) -> None:
        self._reader.ours = list_id

    def lists(self, name: str) -> list[TaskList]:
        return [TaskList(held.id, held.name) for held in self._reader.load() if held.name == name]

    def make_list(self, name: str) -> TaskList:
        """As the contract says. To Do takes several lists of a name: where somebody else made one meanwhile, ours goes again."""
        if found := self.lists(name):
            return found[0]
        made = ""
        try:
            answer = self._client.send("POST", f"{self._client.root}/todo/lists", {"displayName": name}, template=LISTS_TEMPLATE)
            made = held.id if (held := codec.read_list(answer.data)) is not None else ""
        except Rejected:
            if not self.lists(name):  # refused for another reason than its name
                raise
        found = self.lists(name)
        if not found:
            raise self._client.unreadable_list()
        if made and found[0].id != made:
            self._client.send("DELETE", f"{self._client.root}/todo/lists/{segment(made)}", None, template=LISTS_TEMPLATE + "/{list}")
            self._reader.load()
        return found[0]

    # --- reading ------------------------------------------------------------------------------------------------------

    def read(self, object_type: str, ids: Sequence[str], columns: Sequence[str]) -> list[Record]:
        return [self._reader.record(row, list_id) for row, list_id in self._reader.rows(ids).values()]

    def find_marked(self, object_type: str, markers: Sequence[str], columns: Sequence[str], *, since: datetime) -> list[Record]:
        wanted = set(markers) - {""}
        return [record for record in self._reader.everything() if record.fields[FOREIGN_ID] in wanted] if wanted else []

    # --- writing --------------------------------------------------------------------------------------------------------

    def batch_size(self, object_type: str, *, is_create: bool) -> int:
        return PARTS_A_CALL

    def write(self, object_type: str, writes: Sequence[Write]) -> list[WriteResult]:
        """As the contract says, in one call, after one that reads what is to be changed. Ids of Salesforce on tasks that are there
        already take two more."""
        rows = self._reader.rows([w.ref.id for w in writes if w.ref is not None and self._wants_a_look(w)])
        settled: dict[int, WriteResult] = {}
        parts = prepared(writes, lambda write: self._part(write, rows), settled)
        for at, write in enumerate(writes):
            if at not in parts and at not in settled and write.ref is not None:  # only its marker is to be written
                settled[at] = WriteResult(write.key, self._reader.record(*rows[write.ref.id]))
        send(self._client, writes, parts, settled, self._result)
        self._mark(writes, rows, settled)
        return [settled[at] for at in range(len(writes))]

    def _wants_a_look(self, write: Write) -> bool:
        assert write.ref is not None
        is_known = bool(self._reader.place_of(write.ref.id))
        return not (self._settings.todo_honours_if_match and is_known and write.version) or FOREIGN_ID in write.fields

    def _part(self, write: Write, rows: Mapping[str, tuple[Row, str]]) -> Part | None:
        """Returns the call of a write, None for one of which nothing but the marker is to be sent. Raises the write's error."""
        if write.ref is None:
            return self._create(write)
        version = write.version
        if self._wants_a_look(write):
            if write.ref.id not in rows:
                raise RecordGone("it is not there (any more)", system=SYSTEM, code="ErrorItemNotFound")
            present = codec.etag_of(rows[write.ref.id][0])
            if version not in ("", present):
                raise StaleVersion("the task was changed meanwhile", system=SYSTEM)
            version = present
        path = self._reader.path(self._reader.place_of(write.ref.id), write.ref.id)
        if write.is_delete:
            return Part("DELETE", path, TASK_TEMPLATE, if_match=version)
        body = codec.write_body(write.fields)
        if not body and FOREIGN_ID not in write.fields:
            raise Rejected("nothing of it is to be written", system=SYSTEM)
        return Part("PATCH", path, TASK_TEMPLATE, body, if_match=version) if body else None

    def _create(self, write: Write) -> Part:
        body = codec.write_body(write.fields)
        held = write.fields.get(CATEGORIES)
        body["categories"] = self._with_category(held if isinstance(held, tuple) else ())
        if marker := str(write.marker or write.fields.get(FOREIGN_ID) or ""):
            body[codec.LINKS] = [codec.link(marker, self._settings.task_application)]
        home = self._reader.home()
        if not home:
            raise RecordGone("there is no list that the task could be made in", system=SYSTEM, code=LIST_GONE)
        return Part("POST", self._reader.path(home), TASKS_TEMPLATE, body)

    def _result(self, write: Write, answer: Reply | ConnectorError) -> WriteResult:
        result = result_of(self._client, write, answer, lambda reply: self._written(write, reply.body))
        if isinstance(answer, Reply) and not answer.is_good:
            return replace(result, error=self._refusal(write, answer))
        return result

    def _written(self, write: Write, body: Any) -> Record | None:
        if not codec.is_sound(body):
            return None
        row = {name: value for name, value in body.items() if name != codec.LINKS}
        if write.ref is not None:
            return self._reader.record(row, self._reader.place_of(write.ref.id))
        record = self._reader.record(row, self._reader.home())
        return replace(record, fields={**record.fields, FOREIGN_ID: write.marker or write.fields.get(FOREIGN_ID)})

    def _refusal(self, write: Write, answer: Reply) -> ConnectorError:
        error = self._client.error_of(answer, is_read=False)
        if write.ref is None and is_gone(self._client, answer):
            detail = "the list that tasks are made in is not there any more"
            return RecordGone(detail, system=SYSTEM, status=error.status, code=LIST_GONE, exchange=error.exchange)
        if isinstance(error, StaleVersion):
            return StaleVersion(
                "the task was changed meanwhile", system=SYSTEM, status=error.status, code=error.code, exchange=error.exchange
            )
        return error

    # --- markers of tasks that are there already --------------------------------------------------------------------------

    def _mark(self, writes: Sequence[Write], rows: Mapping[str, tuple[Row, str]], settled: dict[int, WriteResult]) -> None:
        """Writes the ids of Salesforce of tasks whose other fields were written, and reads these tasks back. Where that fails the
        write has failed: it may be sent again."""
        parts: dict[int, Part] = {}
        for at, write in enumerate(writes):
            if write.ref is not None and FOREIGN_ID in write.fields and not write.is_delete and settled[at].error is None:
                row, list_id = rows[write.ref.id]
                part = self._marking(write, row, list_id)
                if part is None:
                    settled[at] = _with(settled[at], write.fields[FOREIGN_ID] or None)
                else:
                    parts[at] = part
        order = sorted(parts)
        for start in range(0, len(order), PARTS_A_CALL):
            some = order[start : start + PARTS_A_CALL]
            try:
                answers: Sequence[Reply | ConnectorError] = self._client.write_all([parts[at] for at in some])
            except ConnectionTrouble as trouble:
                answers = [trouble] * len(some)
            for at, answer in zip(some, answers, strict=True):
                error = answer if isinstance(answer, ConnectorError) else None
                if isinstance(answer, Reply) and not answer.is_good:
                    error = self._client.error_of(answer, is_read=False)
                if error is not None:
                    settled[at] = failed(writes[at], error)
        self._read_back(writes, [at for at in order if settled[at].error is None], settled)

    def _marking(self, write: Write, row: Row, list_id: str) -> Part | None:
        """Returns the call that brings the marker of a task to what a write says, None where it is that already."""
        assert write.ref is not None
        wanted, present = str(write.fields[FOREIGN_ID] or ""), codec.link_of(row, self._settings.task_application)
        held = str(present.get("externalId") or "") if present is not None else ""
        if held == wanted:
            return None
        path = f"{self._reader.path(list_id, write.ref.id)}/{codec.LINKS}"
        if present is None:
            return Part("POST", path, _LINKS_TEMPLATE, codec.link(wanted, self._settings.task_application))
        path = f"{path}/{segment(str(present['id']))}"
        if not wanted:
            return Part("DELETE", path, _LINKS_TEMPLATE + "/{link}")
        return Part("PATCH", path, _LINKS_TEMPLATE + "/{link}", {"externalId": wanted})

    def _read_back(self, writes: Sequence[Write], marked: Sequence[int], settled: dict[int, WriteResult]) -> None:
        ids = {at: ref.id for at in marked if (ref := writes[at].ref) is not None}
        try:
            rows = self._reader.rows(list(ids.values())) if ids else {}
        except ConnectionTrouble:  # all of it is written; which version that is, the next page of changes tells
            for at in ids:
                settled[at] = _with(settled[at], writes[at].fields[FOREIGN_ID] or None, version="")
            return
        for at, id_ in ids.items():
            if id_ in rows:
                settled[at] = replace(settled[at], record=self._reader.record(*rows[id_]))
            else:
                gone = RecordGone("it is not there (any more)", system=SYSTEM, code="ErrorItemNotFound")
                settled[at] = WriteResult(writes[at].key, error=gone)

    def bring_in(self, id_: str, marker: str) -> Record:
        """As the contract says. Nothing moves: To Do has no way to move a task, and a copy would lack its steps and files."""
        return super().bring_in(id_, marker)

    def _with_category(self, held: tuple[str, ...]) -> list[str]:
        return with_category(held, self._category)

    # --- the tasks themselves ---------------------------------------------------------------------------------------------

    def check_mailbox(self) -> list[Check]:
        path = address(f"{self._client.root}/todo/lists", top="1")
        look = Try("Read tasks", "Its tasks can be read.", lambda: next(self._client.pages(path, template=LISTS_TEMPLATE)), _remedy)
        return run_checks([look])


def _with(result: WriteResult, marker: Value, *, version: str | None = None) -> WriteResult:
    """Returns the result with what the task bears as its marker, and as of another version where one is given."""
    record = result.record
    assert record is not None
    fields = {**record.fields, FOREIGN_ID: marker}
    return replace(result, record=replace(record, fields=fields, version=record.version if version is None else version))


def _remedy(error: ConnectorError) -> str:
    return ASK_TASKS if error.status == 403 else ""

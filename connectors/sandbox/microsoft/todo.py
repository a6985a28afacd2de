"""Microsoft To Do: task lists, tasks, and their delta rounds."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import datetime
from typing import Any

from connectors.sandbox.microsoft import filters, task_schema
from connectors.sandbox.microsoft import values as read
from connectors.sandbox.microsoft.calls import Answer, Call
from connectors.sandbox.microsoft.delta import Delta
from connectors.sandbox.microsoft.linked_resources import LinkedResources
from connectors.sandbox.microsoft.query import ordered, page, read_select
from connectors.sandbox.microsoft.refusal import bad_request, no_item, no_segment
from connectors.sandbox.microsoft.store import Store
from connectors.sandbox.microsoft.table import Row
from connectors.sandbox.microsoft.task_schema import PROPERTIES, read_task
from connectors.sandbox.microsoft.todo_store import OTHER, TodoStore, lists_of

LIST_PROPERTIES = ("id", "displayName", "isOwner", "isShared", "wellknownListName")
READ = ("Tasks.Read.All", "Tasks.ReadWrite.All", "Tasks.Read", "Tasks.ReadWrite")
WRITE = ("Tasks.ReadWrite.All", "Tasks.ReadWrite")
Select = tuple[str, ...] | None
_EQUAL = ("status", "importance", "title", "isReminderOn")
_TIMES = ("createdDateTime", "lastModifiedDateTime")
_ZONED = tuple(f"{name}/dateTime" for name in (*task_schema.DAYS, "reminderDateTime"))
SORTABLE = ("title", "status", "importance", *_TIMES, *_ZONED)


class Todo:
    """What `/users/{id}/todo/lists/…` answers."""

    def __init__(self, store: Store, todo: TodoStore, delta: Delta, *, now: Callable[[], datetime]) -> None:
        self._store, self._todo, self._delta, self._now = store, todo, delta, now
        self._linked = LinkedResources(store, todo)

    def answer(self, call: Call, mailbox: Row, rest: list[str]) -> Answer:
        if rest[:1] != ["lists"]:
            raise no_segment(rest[0] if rest else "todo")
        call.need(*(READ if call.reads else WRITE))
        if len(rest) == 1:
            call.allow("GET", "POST")
            return self._lists(call, mailbox) if call.reads else self._create_list(call, mailbox)
        if rest[1:] == ["delta"]:
            return self._list_delta(call, mailbox)
        list_ = self._todo.find_list(mailbox, rest[1])
        call.note.folder = list_["displayName"]
        if len(rest) == 2:
            return self._list(call, list_)
        if rest[2] != "tasks":
            raise no_segment(rest[2])
        return self._tasks(call, list_, rest[3:])

    # --- lists --------------------------------------------------------------------------------------------------------------
    def _lists(self, call: Call, mailbox: Row) -> Answer:
        select = read_select(call.parameters.get("$select"), LIST_PROPERTIES, "todoTaskList")
        rows = self._todo.own_lists(mailbox["n"])
        if (text := call.parameters.get("$filter")) is not None:
            test = filters.compiled(filters.parse(text), _compare_list, _no_lambda)
            rows = [row for row in rows if test(row)]
        return page(call, rows, lambda row: self._shown_list(row, select), context="lists", size=self._store.switches.page_size)

    def _shown_list(self, row: Row, select: Select) -> dict[str, Any]:
        own = {"id": self._todo.list_id(row), "displayName": row["displayName"], "isOwner": True, "isShared": False,
               "wellknownListName": row["kind"]}  # fmt: skip
        chosen = {name: value for name, value in own.items() if select is None or name == "id" or name in select}
        return {"@odata.etag": f'W/"{self._todo.change_key(row)}"', **chosen}

    def _one_list(self, call: Call, status: int, row: Row) -> Answer:
        select = read_select(call.parameters.get("$select"), LIST_PROPERTIES, "todoTaskList")
        return Answer(status, {"@odata.context": f"{call.root}/$metadata#lists/$entity", **self._shown_list(row, select)})

    def _list_name(self, call: Call) -> str:
        given = read.without_annotations(call.object())
        if unknown := [name for name in given if name not in LIST_PROPERTIES]:
            raise read.unknown(unknown[0], "todoTaskList")
        if fixed := [name for name in given if name != "displayName"]:
            raise read.read_only(fixed[0])
        name = read.text("displayName", given.get("displayName"))
        if not name or not name.strip():
            raise bad_request("A list needs a displayName.", "invalidRequest")
        return name.strip()

    def _create_list(self, call: Call, mailbox: Row) -> Answer:
        row = self._todo.add_list(mailbox["n"], self._list_name(call))
        call.note.folder = row["displayName"]
        return self._one_list(call, 201, row)

    def _list(self, call: Call, row: Row) -> Answer:
        call.allow("GET", "PATCH", "DELETE")
        if call.reads:
            return self._one_list(call, 200, row)
        if row["kind"] != OTHER:
            raise bad_request("A well-known list can be neither renamed nor deleted.", "invalidRequest")
        if call.method == "PATCH":
            return self._one_list(call, 200, self._todo.rename_list(row, self._list_name(call)))
        self._todo.remove_list(row)
        return Answer(204)

    def _list_delta(self, call: Call, mailbox: Row) -> Answer:
        call.allow("GET")
        told = self._delta.round(call, lists_of(mailbox["n"]), read_select(call.parameters.get("$select"), LIST_PROPERTIES, "todoTaskList"))
        select = None if told.select is None else tuple(told.select)
        return self._delta.page(call, told, lambda row: self._shown_list(row, select), type_="todoTaskList")

    # --- tasks --------------------------------------------------------------------------------------------------------------
    def _tasks(self, call: Call, list_: Row, rest: list[str]) -> Answer:
        if not rest:
            call.allow("GET", "POST")
            return self._list_tasks(call, list_) if call.reads else self._create(call, list_)
        if rest == ["delta"]:
            return self._task_delta(call, list_)
        row = self._todo.tasks.find(self._store.users[list_["mailbox"]], rest[0])
        if row["list"] != list_["n"]:
            raise no_item()
        self._note(call, row)
        if rest[1:2] == ["linkedResources"]:
            return self._linked.answer(call, row, rest[2:])
        if rest[1:]:
            raise no_segment(rest[1])
        call.allow("GET", "PATCH", "DELETE")
        acts = {"PATCH": self._change, "DELETE": self._delete}
        return acts.get(call.method, self._show)(call, row)

    def _note(self, call: Call, row: Row) -> None:
        folder = self._todo.lists[row["list"]]["displayName"]
        call.note.items.append({"id": self._todo.tasks.id_of(row, is_immutable=True), "folder": folder})

    def _view(self, call: Call) -> tuple[Select, bool]:
        """Returns the properties that a call asks to see, and whether with what is linked. Raises Refused."""
        expand = call.parameters.get("$expand")
        if expand is not None and not re.fullmatch(r"\s*linkedResources\s*", expand):
            raise bad_request(f"Could not expand '{expand[:80]}'.")
        return read_select(call.parameters.get("$select"), PROPERTIES, "todoTask"), expand is not None

    def _list_tasks(self, call: Call, list_: Row) -> Answer:
        select, with_linked = self._view(call)
        call.note.fields = None if select is None else list(select)
        rows = self._todo.tasks.within(list_["n"])
        if (text := call.parameters.get("$filter")) is not None:
            test = filters.compiled(filters.parse(text), self._compare, _some)
            rows = [row for row in rows if test(row)]
        rows = ordered(rows, call.parameters.get("$orderby"), SORTABLE, _value)

        def show(row: Row) -> dict[str, Any]:
            self._note(call, row)
            return self.shown(call, row, select, with_linked=with_linked)

        return page(call, rows, show, context="tasks", size=self._store.switches.page_size)

    def _show(self, call: Call, row: Row) -> Answer:
        select, with_linked = self._view(call)
        call.note.fields = None if select is None else list(select)
        return self._one(call, 200, row, select, with_linked=with_linked)

    def _one(self, call: Call, status: int, row: Row, select: Select = None, *, with_linked: bool = False) -> Answer:
        shown = self.shown(call, row, select, with_linked=with_linked)
        return Answer(status, {"@odata.context": f"{call.root}/$metadata#tasks/$entity", **shown})

    def shown(self, call: Call, row: Row, select: Select, *, with_linked: bool = False) -> dict[str, Any]:
        """Returns a task as an answer holds it: etag and id come with any choice of properties, days only where they are set."""
        own = {"id": self._todo.tasks.id_of(row, is_immutable=call.is_immutable), "createdDateTime": row["created"],
               "lastModifiedDateTime": row["modified"], "hasAttachments": False, **task_schema.DEFAULTS, **row["values"]}  # fmt: skip
        chosen = {name: value for name, value in own.items() if select is None or name == "id" or name in select}
        linked = {"linkedResources": [self._linked.shown(each) for each in row["linked"]]} if with_linked else {}
        return {"@odata.etag": f'W/"{self._todo.tasks.change_key(row)}"', **chosen, **linked}

    def _create(self, call: Call, list_: Row) -> Answer:
        body = read_task(call.object(), is_new=True)
        call.note.fields = body.names
        row = self.create(list_, body)
        self._note(call, row)
        return self._one(call, 201, row, with_linked=bool(body.linked))

    def create(self, list_: Row, body: task_schema.TaskBody) -> Row:
        return self._todo.add_task(list_, task_schema.merged({}, body.values, now=self._now()), body.linked)

    def _change(self, call: Call, row: Row) -> Answer:
        body = read_task(call.object(), is_new=False)
        call.note.fields = body.names
        self._todo.tasks.check_key(call, row)
        return self._one(call, 200, self.change(row, body))

    def change(self, row: Row, body: task_schema.TaskBody, **moved: int) -> Row:
        """Stores what a body sets; a `list` moves the task besides, which only people can do."""
        return self._todo.tasks.change(row, values=task_schema.merged(row["values"], body.values, now=self._now()), **moved)

    def _delete(self, call: Call, row: Row) -> Answer:
        self._todo.tasks.check_key(call, row)
        self._todo.tasks.remove(row)
        return Answer(204)

    def _task_delta(self, call: Call, list_: Row) -> Answer:
        call.allow("GET")
        stream = self._todo.tasks.stream(list_["n"])
        told = self._delta.round(call, stream, read_select(call.parameters.get("$select"), PROPERTIES, "todoTask"))
        select = None if told.select is None else tuple(told.select)

        def show(row: Row) -> dict[str, Any]:
            self._note(call, row)
            return self.shown(call, row, select)

        return self._delta.page(call, told, show, type_="todoTask")

    # --- searching ----------------------------------------------------------------------------------------------------------
    def _compare(self, node: filters.Compare) -> filters.Test:
        path, op = node.path, node.op
        if path in (*_TIMES, *_ZONED) and op in filters.OPERATORS:
            wanted = read.comparable(node.value)
            return lambda row: filters.holds(op, _moment(_value(row, path)), wanted)
        if not (path in _EQUAL and op in ("eq", "ne")) and not (path == "title" and op in ("startswith", "contains")):
            raise filters.unsupported(f"{path} {op}")
        return lambda row: filters.holds(op, _value(row, path), node.value)


def _value(row: Row, path: str) -> Any:
    """Returns what a task is compared or ordered by."""
    own = {"createdDateTime": row["created"], "lastModifiedDateTime": row["modified"]}
    name, _, part = path.partition("/")
    found = own.get(name) or row["values"].get(name, task_schema.DEFAULTS.get(name))
    return found.get(part) if part and isinstance(found, dict) else found


def _moment(text: str | None) -> str | None:
    """Returns a stored time as texts of filters compare with it: without what says its zone, and without parts of a second."""
    return None if text is None else text[:19]


def _some(node: filters.Some) -> filters.Test:
    within = node.within
    if node.collection == "categories" and isinstance(within, filters.Compare) and (within.path, within.op) == ("", "eq"):
        return lambda row: any(filters.holds("eq", each, within.value) for each in row["values"].get("categories", ()))
    raise filters.unsupported(f"{node.collection}/any")


def _compare_list(node: filters.Compare) -> filters.Test:
    if node.path not in ("displayName", "wellknownListName") or node.op not in ("eq", "ne", "startswith", "contains"):
        raise filters.unsupported(f"{node.path} {node.op}")
    name = "kind" if node.path == "wellknownListName" else node.path
    return lambda row: filters.holds(node.op, row[name], node.value)


def _no_lambda(node: filters.Some) -> filters.Test:
    raise filters.unsupported(f"{node.collection}/any")

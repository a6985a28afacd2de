"""The task lists of the played mailboxes and their tasks."""

from __future__ import annotations

from typing import Any

from connectors.sandbox.microsoft import ids
from connectors.sandbox.microsoft.items import Items
from connectors.sandbox.microsoft.refusal import Refused, malformed_id, no_item
from connectors.sandbox.microsoft.store import Store
from connectors.sandbox.microsoft.table import Kind, Row

DEFAULT, OTHER = "defaultList", "none"
DEFAULT_NAME = "Tasks"


def lists_of(mailbox: int) -> str:
    """Returns the name of the stream of a mailbox's lists."""
    return f"taskLists:{mailbox}"


class TodoStore:
    """Rows of lists and tasks. What is linked to a task stands in its row."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self.tasks = Items(store, "task", place="list", ordinary=ids.TASK, immutable=ids.IMMUTABLE_TASK)
        self._own: dict[int, list[int]] = {}  # lists of a mailbox
        store.kinds["taskLists"] = Kind("taskList", lambda row: lists_of(row["mailbox"]), self._removed_list)
        store.furnish.append(self._furnish)
        store.reindex.append(self._reindex)

    @property
    def lists(self) -> dict[int, Row]:
        return self._store.tables["taskList"].rows

    def own_lists(self, mailbox: int) -> list[Row]:
        return [self.lists[number] for number in self._own.get(mailbox, ())]

    def default_list(self, mailbox: int) -> Row:
        return next(row for row in self.own_lists(mailbox) if row["kind"] == DEFAULT)

    def list_id(self, row: Row) -> str:
        return ids.make(self._store.key, ids.TASK_LIST, mailbox=row["mailbox"], number=row["n"])

    def _removed_list(self, removal: Row, is_immutable: bool) -> str:
        return ids.make(self._store.key, ids.TASK_LIST, mailbox=removal["mailbox"], number=removal["item"])

    def find_list(self, mailbox: Row, text: str) -> Row:
        """Returns the list that an id names. Raises Refused."""
        found = ids.read(self._store.key, text)
        if found is None:
            raise malformed_id()
        row = self.lists.get(found.number) if found.kind == ids.TASK_LIST else None
        if row is None or row["mailbox"] != mailbox["n"]:
            raise no_item()
        return row

    def change_key(self, row: Row) -> str:
        return ids.change_key(f"{self._store.key} taskList", row["n"], row["version"])

    def add_list(self, mailbox: int, name: str, kind: str = OTHER) -> Row:
        """Makes a list. Raises Refused for a name that is taken, where the switch says that it must not be."""
        if not self._store.switches.todo_list_names_repeat:
            self._clash(mailbox, name)
        number = self._store.tables["taskList"].next_number
        row = self._put({"n": number, "mailbox": mailbox, "displayName": name, "kind": kind, "version": 0})
        self._own.setdefault(mailbox, []).append(number)
        return row

    def rename_list(self, row: Row, name: str) -> Row:
        if not self._store.switches.todo_list_names_repeat:
            self._clash(row["mailbox"], name, but=row["n"])
        return self._put({**row, "displayName": name})

    def remove_list(self, row: Row) -> None:
        """Takes a list away with all its tasks."""
        for task in self.tasks.within(row["n"]):
            self.tasks.remove(task)
        self._store.left(lists_of(row["mailbox"]), row["mailbox"], row["n"], 0, for_good=True)
        self._store.tables["taskList"].remove(row["n"])
        self._own[row["mailbox"]].remove(row["n"])

    def _put(self, row: Row) -> Row:
        new = {**row, "version": row["version"] + 1, "seq": self._store.next_sequence()}
        self._store.tables["taskList"].put(new)
        self._store.tell(lists_of(new["mailbox"]), new["n"], new["seq"])
        return new

    def _clash(self, mailbox: int, name: str, but: int = 0) -> None:
        if any(each["n"] != but and each["displayName"].casefold() == name.casefold() for each in self.own_lists(mailbox)):
            raise Refused(409, "ErrorFolderExists", "A folder with the specified name already exists.")

    def add_task(self, list_: Row, values: dict[str, Any], linked: list[dict[str, Any]]) -> Row:
        return self.tasks.add(list_["mailbox"], list_["n"], values, linked=[self._linked(each) for each in linked])

    def link(self, task: Row, values: dict[str, Any]) -> dict[str, Any]:
        """Links something to a task, which is another version then. Returns what was linked, with its id."""
        added = self._linked(values)
        self.tasks.change(task, linked=[*task["linked"], added])
        return added

    def _linked(self, values: dict[str, Any]) -> dict[str, Any]:
        return {"id": ids.guid(self._store.key, "linked", self._store.next_sequence()), **values}

    # --- over a restart -------------------------------------------------------------------------------------------------------
    def _furnish(self, user: Row) -> None:
        if not self._own.get(user["n"]):
            self.add_list(user["n"], DEFAULT_NAME, DEFAULT)

    def _reindex(self) -> None:
        self._own = {}
        for number in sorted(self.lists):
            self._own.setdefault(self.lists[number]["mailbox"], []).append(number)

"""What Google Tasks holds: lists of tasks, their order and their subtasks."""

from __future__ import annotations

import base64
import hashlib
from typing import Any

from connectors.sandbox.google.refusal import Refused
from connectors.sandbox.google.store import Store, show_instant
from connectors.sandbox.google.table import Row, Table

DEFAULT, DEFAULT_TITLE = "@default", "My Tasks"
NEEDS_ACTION, COMPLETED = "needsAction", "completed"
MOST_LISTS, MOST_TASKS, MOST_IN_ALL = 2000, 20_000, 100_000
ID_BASE = 7_000_000_000_000_001


class TaskStore:
    """The tasks of one Workspace. Its tables are kept with those of the store. A task's `order` tells its place among its
    siblings: those with the same parent in the same list."""

    def __init__(self, store: Store) -> None:
        self.store = store
        self.lists, self.tasks = Table("taskList", 1), Table("task", 1)
        store.tables |= {table.name: table for table in (self.lists, self.tasks)}

    # --- lists ----------------------------------------------------------------------------------------------------------
    def lists_of(self, mailbox: str) -> list[Row]:
        """Returns the lists of a mailbox, the main one first."""
        main = self.default_list(mailbox)
        return [main, *(row for row in self.lists.box(mailbox) if row["id"] != main["id"])]

    def default_list(self, mailbox: str) -> Row:
        """Returns the main list of a mailbox, which is there from the first time that somebody asks."""
        found = next((row for row in self.lists.box(mailbox) if row["is_default"]), None)
        return found or self._add_list(mailbox, DEFAULT_TITLE, made_up_id(mailbox), is_default=True)

    def list_named(self, mailbox: str, list_id: str) -> Row:
        """Returns the list that an id names. Raises Refused."""
        if list_id == DEFAULT:
            return self.default_list(mailbox)
        row = next((row for row in self.lists_of(mailbox) if row["list_id"] == list_id), None)
        if row is None:
            raise not_found("Task list not found.")
        return row

    def add_list(self, mailbox: str, title: str) -> Row:
        if self.lists.count(mailbox) >= MOST_LISTS:
            raise used_up()
        return self._add_list(mailbox, title, "", is_default=False)

    def _add_list(self, mailbox: str, title: str, list_id: str, *, is_default: bool) -> Row:
        number = self.lists.new_number()
        row = {"id": number, "mailbox": mailbox, "list_id": list_id or number_id(number), "title": title, "is_default": is_default}
        return self.store.put(self.lists, row)

    def drop_list(self, row: Row) -> None:
        """Deletes a list with its tasks. Raises Refused for the main one."""
        if row["is_default"]:
            raise invalid("The default task list cannot be deleted.")
        for task in self.in_list(row):
            self.store.delete(self.tasks, task)
        self.store.delete(self.lists, row)

    # --- tasks ----------------------------------------------------------------------------------------------------------
    def in_list(self, list_: Row, *, with_deleted: bool = False) -> list[Row]:
        """Returns the tasks of a list as people see them: each with its subtasks behind it."""
        mailbox = list_["mailbox"]
        rows = list(self.tasks.changed_after(mailbox, 0)) if with_deleted else self.tasks.box(mailbox)
        own = sorted((row for row in rows if row["list"] == list_["id"]), key=lambda row: (row["order"], row["id"]))
        ids = {row["task_id"] for row in own}
        below: dict[str, list[Row]] = {}
        for row in own:
            below.setdefault(row["parent"] if row["parent"] in ids else "", []).append(row)
        return [each for row in below.get("", []) for each in (row, *below.get(row["task_id"], []))]

    def named(self, list_: Row, task_id: str) -> Row:
        """Returns the task that an id names, deleted ones too. Raises Refused."""
        row = self.tasks.rows.get(number_of(task_id))
        if row is None or row["list"] != list_["id"] or row["mailbox"] != list_["mailbox"]:
            raise not_found("Task not found.")
        return row

    def add(self, list_: Row, values: dict[str, Any], *, parent: str = "", previous: str = "") -> Row:
        """Makes a task, first among its siblings or behind one of them. Raises Refused."""
        mailbox = list_["mailbox"]
        self._check_room(list_)
        number = self.tasks.new_number()
        task_id = number_id(number)
        place = {"list": list_["id"], **self._place(list_, parent=parent, previous=previous, but=task_id)}
        return self.put({"id": number, "mailbox": mailbox, "task_id": task_id, "hidden": False, **values, **place})

    def _check_room(self, list_: Row) -> None:
        count = self.tasks.count(list_["mailbox"])
        if count < MOST_TASKS:
            return
        if count >= MOST_IN_ALL or sum(not row["hidden"] for row in self.in_list(list_)) >= MOST_TASKS:
            raise used_up()

    def put(self, row: Row) -> Row:
        return self.store.put(self.tasks, {**row, "updated": show_instant(self.store.now())})

    def delete(self, row: Row) -> None:
        """Deletes a task with its subtasks."""
        for each in self._children(row):
            self.put({**each, "is_deleted": True})
        self.put({**row, "is_deleted": True})

    def move(self, row: Row, list_: Row, *, parent: str, previous: str) -> Row:
        """Moves a task with its subtasks. Raises Refused."""
        children = self._children(row)
        if parent and (children or parent == row["task_id"]):
            raise invalid("A task with subtasks cannot be a subtask.")
        place = self._place(list_, parent=parent, previous=previous, but=row["task_id"])
        for each in children:
            self.put({**each, "list": list_["id"]})
        return self.put({**row, "list": list_["id"], **place})

    def position(self, row: Row) -> str:
        """Returns the place of a task among its siblings, as a text that sorts."""
        place = (row["list"], row["parent"])
        rows = (each for each in self.tasks.box(row["mailbox"]) if (each["list"], each["parent"]) == place)
        return f"{sum(1 for each in rows if each['order'] < row['order']):020d}"

    def _children(self, row: Row) -> list[Row]:
        return self._siblings(row["mailbox"], row["list"], row["task_id"])

    def _siblings(self, mailbox: str, list_: int, parent: str) -> list[Row]:
        rows = [row for row in self.tasks.box(mailbox) if row["list"] == list_ and row["parent"] == parent]
        return sorted(rows, key=lambda row: (row["order"], row["id"]))

    def _place(self, list_: Row, *, parent: str, previous: str, but: str) -> dict[str, Any]:
        """Returns parent and order of a task that is put somewhere. Raises Refused."""
        if parent:
            above = self._living(list_, parent, "parent")
            if above["parent"]:
                raise invalid("A subtask cannot have subtasks.")
        siblings = [row for row in self._siblings(list_["mailbox"], list_["id"], parent) if row["task_id"] != but]
        if not previous:
            return {"parent": parent, "order": siblings[0]["order"] - 1 if siblings else 0}
        before = self._living(list_, previous, "previous")
        places = [row["task_id"] for row in siblings]
        if before["task_id"] not in places:
            raise invalid("The previous task is no sibling.")
        for n, row in enumerate(siblings[places.index(before["task_id"]) + 1 :], 2):  # those behind make room
            self.store.put(self.tasks, {**row, "order": before["order"] + n})
        return {"parent": parent, "order": before["order"] + 1}

    def _living(self, list_: Row, task_id: str, name: str) -> Row:
        row = self.named(list_, task_id)
        if row["is_deleted"] or row["hidden"]:
            raise invalid(f"Invalid {name} task.")
        return row


# --- ids and refusals ---------------------------------------------------------------------------------------------------
def number_id(number: int) -> str:
    return base64.urlsafe_b64encode(str(ID_BASE + number).encode()).decode().rstrip("=")


def number_of(task_id: str) -> int:
    """Returns the number in an id, 0 for a text that is none."""
    try:
        number = int(base64.urlsafe_b64decode(task_id.encode() + b"=" * (-len(task_id) % 4)))
    except ValueError:
        return 0
    return number - ID_BASE if number_id(number - ID_BASE) == task_id else 0


def made_up_id(text: str) -> str:
    return base64.urlsafe_b64encode(hashlib.blake2b(text.encode(), digest_size=18).digest()).decode()


def invalid(message: str) -> Refused:
    return Refused(400, message, "INVALID_ARGUMENT", old_reason="invalid")


def not_found(message: str) -> Refused:
    return Refused(404, message, old_reason="notFound")


def used_up() -> Refused:
    return Refused(403, "Quota Exceeded", old_reason="quotaExceeded")

"""What people do in Google Tasks: tasks as flat records of the control port and of the browse pages. A `list` is named by its
title, and made when there is none; `due` is a day."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import date
from typing import Any

from connectors.sandbox.google.refusal import Refused
from connectors.sandbox.google.store import show_instant
from connectors.sandbox.google.table import Row
from connectors.sandbox.google.task_store import COMPLETED, NEEDS_ACTION, TaskStore, number_of
from connectors.sandbox.wire import read_id

TEXTS = ("title", "notes", "due", "status")
SHOWN_ONLY = ("id", "taskId", "listId", "completedAt", "isHidden", "parent", "updatedAt")


class TasksByHand:
    """Tasks as tools see them, and the same changes as people make them."""

    def __init__(self, tasks: TaskStore) -> None:
        self._tasks = tasks

    def find_id(self, object_type: str, text: str) -> int | None:
        """Returns the number of a task: by number, or by the task's id."""
        number = read_id(text) or number_of(text)
        row = self._tasks.tasks.rows.get(number)
        return None if row is None or row["is_deleted"] else number

    def count(self, object_type: str) -> int:
        return sum(1 for _ in self._tasks.tasks.live())

    def all(self, object_type: str) -> list[dict[str, Any]]:
        return [self._shown(row) for row in self._tasks.tasks.live()]

    def get(self, object_type: str, id_: int) -> dict[str, Any] | None:
        row = self._tasks.tasks.rows.get(id_)
        return None if row is None or row["is_deleted"] else self._shown(row)

    def create(self, object_type: str, values: Mapping[str, Any]) -> dict[str, Any]:
        mailbox = str(values.get("mailbox", "")).lower()
        if self._tasks.store.user(mailbox) is None:
            raise ValueError("mailbox must be the address of a user")
        blank = {"title": "", "notes": "", "due": "", "status": NEEDS_ACTION, "completed": "", "hidden": False}
        given = self._values(blank, values)
        return self._shown(_in_plain_words(lambda: self._tasks.add(self._list(mailbox, values), given)))

    def update(self, object_type: str, id_: int, values: Mapping[str, Any]) -> dict[str, Any]:
        row = self._existing(id_)
        if "mailbox" in values and str(values["mailbox"]).lower() != row["mailbox"]:
            raise ValueError("a task stays with its user")
        row = self._tasks.put({**row, **self._values(row, values)})
        list_ = self._list(row["mailbox"], values) if values.get("list") else None
        if list_ is not None and list_["id"] != row["list"]:
            row = _in_plain_words(lambda: self._tasks.move(row, list_, parent="", previous=""))
        return self._shown(row)

    def delete(self, object_type: str, id_: int) -> None:
        self._tasks.delete(self._existing(id_))

    def _existing(self, id_: int) -> Row:
        row = self._tasks.tasks.rows.get(id_)
        if row is None or row["is_deleted"]:
            raise ValueError(f"there is no task {id_}")
        return row

    def _list(self, mailbox: str, values: Mapping[str, Any]) -> Row:
        title = str(values.get("list") or "")
        if not title:
            return self._tasks.default_list(mailbox)
        found = next((row for row in self._tasks.lists_of(mailbox) if title in (row["title"], row["list_id"])), None)
        return found or self._tasks.add_list(mailbox, title)

    def _values(self, present: Mapping[str, Any], values: Mapping[str, Any]) -> dict[str, Any]:
        """Returns what a person fills in. What is ticked off is hidden from then on, where the switch says so."""
        known = ("mailbox", "list", *TEXTS, *SHOWN_ONLY)
        if unknown := [name for name in values if name not in known]:
            raise ValueError(f"there is no {unknown[0][:80]!r}; take {', '.join(known)}")
        texts = {name: values.get(name, present[name]) or "" for name in TEXTS}
        if not all(isinstance(text, str) for text in texts.values()):
            raise ValueError("title, notes, due and status must be texts")
        texts |= {"due": _day(texts["due"]), "status": texts["status"] or NEEDS_ACTION}
        if texts["status"] not in (NEEDS_ACTION, COMPLETED):
            raise ValueError(f"status must be {NEEDS_ACTION} or {COMPLETED}")
        if texts["status"] == NEEDS_ACTION:
            return {**texts, "completed": "", "hidden": False}
        if present["status"] == COMPLETED:
            return texts
        is_hidden = self._tasks.store.switches.ticked_tasks_are_hidden
        return {**texts, "completed": show_instant(self._tasks.store.now()), "hidden": is_hidden}

    def _shown(self, row: Row) -> dict[str, Any]:
        list_ = self._tasks.lists.rows[row["list"]]
        shown = {"id": row["id"], "mailbox": row["mailbox"], "list": list_["title"], "title": row["title"], "notes": row["notes"]}
        shown |= {name: row[name] for name in ("due", "status", "parent")}
        shown |= {"completedAt": row["completed"], "isHidden": row["hidden"], "taskId": row["task_id"]}
        return {**shown, "listId": list_["list_id"], "updatedAt": row["updated"]}


def _day(text: str) -> str:
    try:
        return date.fromisoformat(text).isoformat() if text else ""
    except ValueError:
        raise ValueError("due must be a day such as 2026-11-25") from None


def _in_plain_words(act: Callable[[], Row]) -> Row:
    """Does what a person does. Raises ValueError in the system's words."""
    try:
        return act()
    except Refused as refused:
        raise ValueError(refused.message) from None

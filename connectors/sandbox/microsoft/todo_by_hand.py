"""Tasks as people see them: the control port's records of the type `task`.

A row is flat: mailbox, list, title, body, status, importance, dueDate (a day), categories; what is linked is shown only.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date
from typing import Any

from connectors.sandbox.microsoft.store import Store
from connectors.sandbox.microsoft.table import Row
from connectors.sandbox.microsoft.task_schema import DEFAULTS, LINKED, TaskBody, read_task
from connectors.sandbox.microsoft.todo import Todo
from connectors.sandbox.microsoft.todo_store import TodoStore
from connectors.sandbox.wire import read_id

_PLAIN = ("title", "status", "importance", "categories")
FIELDS = ("mailbox", "list", "body", "dueDate", *_PLAIN)
_SHOWN_ONLY = ("id", "immutableId", "completedDate", "createdDateTime", "lastModifiedDateTime", "linkedResources")


class TodoByHand:
    """Reads and writes tasks as rows. Raises ValueError, with a sentence, and Refused for what To Do refuses too."""

    def __init__(self, store: Store, todo_store: TodoStore, todo: Todo) -> None:
        self._store, self._rows, self._todo = store, todo_store, todo

    def find(self, text: str) -> int | None:
        number = self._rows.tasks.number_of(text) or read_id(text)
        return number if number in self._rows.tasks.rows else None

    def shown(self, row: Row) -> dict[str, Any]:
        user = self._store.users[row["mailbox"]]
        values = {**DEFAULTS, **row["values"]}
        return {
            "id": self._rows.tasks.id_of(row, is_immutable=False),
            "immutableId": self._rows.tasks.id_of(row, is_immutable=True),
            "mailbox": user.get("mail") or user["userPrincipalName"],
            "list": self._rows.lists[row["list"]]["displayName"],
            **{name: values[name] for name in _PLAIN},
            "body": values["body"]["content"],
            "dueDate": _day(values.get("dueDateTime")),
            "completedDate": _day(values.get("completedDateTime")),
            "createdDateTime": row["created"],
            "lastModifiedDateTime": row["modified"],
            "linkedResources": [{name: each.get(name) for name in LINKED} for each in row["linked"]],
        }

    def create(self, given: Mapping[str, Any]) -> Row:
        user = self._store.user(str(given.get("mailbox", "")))
        if user is None:
            raise ValueError("mailbox must name a user by address or id")
        list_ = self._list(user, given["list"]) if given.get("list") else self._rows.default_list(user["n"])
        return self._todo.create(list_, self._body(given))

    def update(self, row: Row, given: Mapping[str, Any]) -> Row:
        """Changes a task; another `list` moves it there."""
        user = self._store.users[row["mailbox"]]
        if self._store.user(str(given.get("mailbox", user["id"]))) != user:
            raise ValueError("a task stays in its mailbox")
        moved = {"list": self._list(user, given["list"])["n"]} if "list" in given else {}
        return self._todo.change(row, self._body(given), **moved)

    def delete(self, row: Row) -> None:
        self._rows.tasks.remove(row)

    def _list(self, user: Row, name: object) -> Row:
        own = self._rows.own_lists(user["n"])
        found = next((each for each in own if name in (each["displayName"], self._rows.list_id(each))), None)
        if found is None:
            raise ValueError(f"the mailbox has no list {str(name)[:80]!r}; it has {', '.join(each['displayName'] for each in own)}")
        return found

    def _body(self, given: Mapping[str, Any]) -> TaskBody:
        """Returns what a row sets; what cannot be written is left out, so that a row that was read can be sent back."""
        if unknown := [name for name in given if name not in (*FIELDS, *_SHOWN_ONLY)]:
            raise ValueError(f"a task has no {unknown[0][:80]!r}; it has {', '.join(FIELDS)}")
        own: dict[str, Any] = {name: given[name] for name in _PLAIN if name in given}
        if "body" in given:
            own["body"] = {"content": given["body"], "contentType": "text"}
        if "dueDate" in given:
            own["dueDateTime"] = None if given["dueDate"] in (None, "") else {"dateTime": _checked_day(given["dueDate"]), "timeZone": "UTC"}
        return read_task(own, is_new=False)


def _day(value: Mapping[str, str] | None) -> str | None:
    return None if value is None else value["dateTime"][:10]


def _checked_day(text: object) -> str:
    try:
        return date.fromisoformat(str(text)).isoformat()
    except ValueError:
        raise ValueError("dueDate is a day like 2026-12-04") from None

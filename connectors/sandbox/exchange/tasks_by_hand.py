"""Tasks as people see them: the control port's records of the type `task`.

A row is flat: mailbox, folder, title, body, status, importance, percentComplete, startDate and dueDate (days), categories; when it
was completed is shown only.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from connectors.sandbox.exchange import values
from connectors.sandbox.exchange.contacts_by_hand import SHOWN_ONLY, properties, strings, text_of
from connectors.sandbox.exchange.fields import IMPORTANCES, STATUSES, TASK
from connectors.sandbox.exchange.items import HOMES, Items
from connectors.sandbox.exchange.writing import Given
from connectors.sandbox.microsoft.table import Row

_DAYS = {"startDate": "task:StartDate", "dueDate": "task:DueDate"}
FIELDS = ("title", "body", "status", "importance", "percentComplete", *_DAYS, "categories", "extendedProperties")
_STATUSES = {name[0].lower() + name[1:]: name for name in STATUSES}
_IMPORTANCES = {name.lower(): name for name in IMPORTANCES}


class TasksByHand:
    """Reads and writes tasks as rows. Raises ValueError, with a sentence, and Refused for what the store refuses too."""

    def __init__(self, items: Items) -> None:
        self._items = items

    def shown(self, row: Row) -> dict[str, Any]:
        own = row["values"]
        status, importance = own.get("task:Status", "NotStarted"), own.get("item:Importance", "Normal")
        return {
            "title": own.get("item:Subject", ""),
            "body": own.get("item:Body", {"text": ""})["text"],
            "status": status[0].lower() + status[1:],
            "importance": importance.lower(),
            "percentComplete": own.get("task:PercentComplete", 0),
            **{name: own.get(key) for name, key in _DAYS.items()},
            "completedDate": (own.get("task:CompleteDate") or "")[:10] or None,
            "categories": own.get("item:Categories", []),
        }

    def create(self, box: Row, given: Mapping[str, Any]) -> Row:
        return self._items.add(self._items.home(box["n"], HOMES[TASK]), TASK, _read(given), "UTC")

    def update(self, row: Row, given: Mapping[str, Any]) -> Row:
        return self._items.change(row, _read(given))


def _read(given: Mapping[str, Any]) -> Given:
    """Returns what a row sets; what cannot be written is left out, so that a row that was read can be sent back."""
    if unknown := [name for name in given if name not in (*FIELDS, *SHOWN_ONLY, "completedDate")]:
        raise ValueError(f"a task has no {unknown[0][:80]!r}; it has {', '.join(FIELDS)}")
    own = Given(extended=properties(given.get("extendedProperties", {})))
    if "title" in given:
        own.values["item:Subject"] = text_of("title", given["title"])
    if "body" in given:
        own.values["item:Body"] = {"type": "Text", "text": text_of("body", given["body"])} if given["body"] else None
    for name, key, known in (("status", "task:Status", _STATUSES), ("importance", "item:Importance", _IMPORTANCES)):
        if name in given:
            if given[name] not in known:
                raise ValueError(f"{name} is one of {', '.join(known)}")
            own.values[key] = known[given[name]]
    if "percentComplete" in given:
        percent = given["percentComplete"]
        if isinstance(percent, bool) or not isinstance(percent, int | float) or not 0 <= percent <= 100:
            raise ValueError("percentComplete is a number from 0 to 100")
        own.values["task:PercentComplete"] = percent
    for name, key in _DAYS.items():
        if name in given:
            own.values[key] = values.day_of(given[name]) if given[name] else None
    if "categories" in given:
        own.values["item:Categories"] = strings("categories", given["categories"])
    return own

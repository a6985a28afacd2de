"""The properties of a task: which there are, what a body may set, and what completing one does."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from connectors.sandbox.microsoft import recurrence
from connectors.sandbox.microsoft import values as read
from connectors.sandbox.microsoft.refusal import bad_request

STATUSES = ("notStarted", "inProgress", "completed", "waitingOnOthers", "deferred")
IMPORTANCES = ("low", "normal", "high")
DAYS = ("dueDateTime", "startDateTime", "completedDateTime")  # of these the date counts, as the clocks of their zone show it
READ_ONLY = ("id", "createdDateTime", "lastModifiedDateTime", "bodyLastModifiedDateTime", "hasAttachments")
DEFAULTS: dict[str, Any] = {
    "importance": "normal", "isReminderOn": False, "status": "notStarted", "title": "", "categories": [],
    "body": {"content": "", "contentType": "text"},
}  # fmt: skip
WHERE_SET = (*DAYS, "reminderDateTime", "recurrence", "bodyLastModifiedDateTime")  # an answer lacks them otherwise
PROPERTIES = (*READ_ONLY, *DEFAULTS, *WHERE_SET[:-1])
LINKED = ("applicationName", "displayName", "externalId", "webUrl")


@dataclass(slots=True)
class TaskBody:
    """What a POST or PATCH sets: values by property (None clears), and what is linked to a new task."""

    values: dict[str, Any] = field(default_factory=dict)
    linked: list[dict[str, Any]] = field(default_factory=list)

    @property
    def names(self) -> list[str]:
        return [*self.values, *(["linkedResources"] if self.linked else [])]


def read_task(data: Mapping[str, Any], *, is_new: bool) -> TaskBody:
    """Returns what a body sets. Raises Refused for a property that does not exist or cannot be set, and for wrong types."""
    body = TaskBody()
    for name, value in read.without_annotations(data).items():
        if name == "linkedResources" and is_new:
            body.linked = [read_linked(each) for each in read.collection(name, value)]
        elif name in READ_ONLY:
            raise read.read_only(name)
        elif name in ("linkedResources", "checklistItems", "attachments", "extensions"):
            raise bad_request(f"The property '{name}' cannot be set here.", "invalidRequest")
        else:
            body.values[name] = _read(name, value)
    return body


def _read(name: str, value: Any) -> Any:
    if name == "title":
        return read.text(name, value) or ""
    if name == "status":
        return read.one_of(name, value, STATUSES, "taskStatus")
    if name == "importance":
        return read.one_of(name, value, IMPORTANCES, "importance")
    if name == "isReminderOn":
        return read.boolean(name, value)
    if name == "categories":
        return [] if value is None else read.texts(name, value)
    if name == "body":
        return read.item_body(name, value, default="text")
    if name in DAYS:
        return None if value is None else _day(name, value)
    if name == "reminderDateTime":
        return read.zoned(name, value)
    if name == "recurrence":
        return None if value is None else recurrence.read(value)
    raise read.unknown(name, "todoTask")


def _day(name: str, value: Any) -> dict[str, str]:
    wall, _ = read.wall_time(name, value)
    return read.in_utc(datetime(wall.year, wall.month, wall.day))


def read_linked(data: Any) -> dict[str, Any]:
    """Returns what a linkedResource sets. Raises Refused."""
    if not isinstance(data, dict):
        raise read.wrong("linkedResources", "microsoft.graph.linkedResource")
    given = read.without_annotations(data)
    if unknown := [name for name in given if name not in (*LINKED, "id")]:
        raise read.unknown(unknown[0], "linkedResource")
    return {name: read.text(name, value) for name, value in given.items() if name != "id"}


def merged(stored: Mapping[str, Any], given: Mapping[str, Any], *, now: datetime) -> dict[str, Any]:
    """Returns the values after a write: a task is completed on a day if and only if its status says so."""
    values = {**stored, **given}
    if given.get("completedDateTime") is not None and "status" not in given:
        values["status"] = "completed"
    if values.get("status") != "completed":
        values["completedDateTime"] = None
    elif values.get("completedDateTime") is None:
        values["completedDateTime"] = read.in_utc(datetime(now.year, now.month, now.day))
    if "body" in given:
        values["bodyLastModifiedDateTime"] = f"{now:%Y-%m-%dT%H:%M:%SZ}"
    return {name: value for name, value in values.items() if value is not None}

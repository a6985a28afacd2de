"""Queues and custom fields: what an integration reads and makes while it is being set up."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any

from connectors.sandbox.workbooks.metadata import TYPES, Column, ObjectType

READY_AFTER = 2.0  # seconds from the create of a custom field until it is Available
QUEUES = {"crm/organisation_queues": "OrganisationQueue", "crm/person_queues": "PersonQueue", "activity/activity_queues": "ActivityQueue"}
DATATYPES = {name: name for name in ("boolean", "integer", "string", "text", "date", "datetime", "currency")}
API_USER, PERSON_USER = 2, 3
USERS = {API_USER: "Sync Service", PERSON_USER: "Jo Admin", 4: "Priya Nair", 5: "Tom Becker"}
# A queue for every user, and for the handles that a sandbox's organisations are assigned to.
QUEUE_NAMES = {
    **{100 + id_: name for id_, name in USERS.items()},
    **dict(enumerate(("Priya_Nair", "Tom_Becker", "aisha.khan", "tom_becker", "PRIYA_NAIR", "Sync_Service"), 110)),
}
QUEUE_IDS = {name: id_ for id_, name in QUEUE_NAMES.items()}


def queues(kind: str) -> list[dict[str, Any]]:
    """Returns the rows of a queue list."""
    return [{"id": id_, "lock_version": 0, "name": name, "type": f"Private::Crm::{kind}"} for id_, name in sorted(QUEUE_NAMES.items())]


class CustomFields:
    """The custom columns of one database; a new one becomes usable a moment after its create."""

    def __init__(self, *, now: Callable[[], datetime]) -> None:
        self._now = now
        self.rows: list[dict[str, Any]] = []
        self.types = {name: ObjectType(t.name, t.path, t.class_name, t.reference_prefix, dict(t.columns)) for name, t in TYPES.items()}

    def create(self, values: Mapping[str, str]) -> tuple[dict[str, Any], dict[str, list[str]]]:
        """Returns the new row, or {} and what is wrong by attribute."""
        kind = next((t for t in self.types.values() if t.class_name == values.get("resource_type")), None)
        problems: dict[str, list[str]] = {}
        if kind is None:
            problems["resource_type"] = ["is not a record type that takes custom fields"]
        if not values.get("title", "").strip():
            problems["title"] = ["can't be blank"]
        if values.get("data_type") not in DATATYPES:
            problems["data_type"] = ["is not included in the list"]
        if kind is not None and any(c.title == values.get("title") for c in kind.columns.values()):
            problems["title"] = ["has already been taken"]
        if problems or kind is None:
            return {}, problems
        row = self._row(kind, values)
        self.rows.append(row)
        return self.shown(row), {}

    def _row(self, kind: ObjectType, values: Mapping[str, str]) -> dict[str, Any]:
        record = {"organisations": "organisation", "people": "person"}[kind.name]
        name = f"cf_{record}_{re.sub(r'[^a-z0-9]+', '_', values['title'].lower()).strip('_')}"
        if name in kind.columns or any(r["value_column_name"] == name for r in self.rows):
            name = f"{name}_{3700 + len(self.rows)}"
        return {
            "id": len(self.rows) + 1,
            "lock_version": 0,
            "title": values["title"],
            "resource_type": kind.class_name,
            "data_type": values["data_type"],
            "value_column_name": name,
            "made_at": self._now().timestamp(),
        }

    def shown(self, row: Mapping[str, Any]) -> dict[str, Any]:
        """Returns a row as a list shows it, with its status now."""
        is_ready = self._now().timestamp() - row["made_at"] >= READY_AFTER
        return {**{k: v for k, v in row.items() if k != "made_at"}, "status": "Available" if is_ready else "Pending"}

    def ripen(self) -> list[tuple[str, Column]]:
        """Adds the columns that became available, and returns them with their object."""
        added = []
        for row in self.rows:
            kind = next(t for t in self.types.values() if t.class_name == row["resource_type"])
            if row["value_column_name"] not in kind.columns and self.shown(row)["status"] == "Available":
                column = Column(row["value_column_name"], row["title"], DATATYPES[row["data_type"]])
                kind.columns[column.name] = column
                added.append((kind.name, column))
        return added

    def meta(self) -> list[dict[str, Any]]:
        return self.rows

    def restore(self, rows: list[dict[str, Any]]) -> None:
        self.rows = [dict(row) for row in rows]
        self.ripen()

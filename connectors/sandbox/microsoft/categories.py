"""The master list of a mailbox's categories. A contact may bear a name that is not in it."""

from __future__ import annotations

from typing import Any

from connectors.sandbox.microsoft import ids
from connectors.sandbox.microsoft.calls import Answer, Call
from connectors.sandbox.microsoft.query import page, read_select
from connectors.sandbox.microsoft.refusal import Refused, bad_request, no_item, no_segment
from connectors.sandbox.microsoft.store import Store
from connectors.sandbox.microsoft.table import Row

COLORS = ("none", *(f"preset{n}" for n in range(25)))
PROPERTIES = ("id", "displayName", "color")
READ, WRITE = ("MailboxSettings.Read", "MailboxSettings.ReadWrite"), ("MailboxSettings.ReadWrite",)


class Categories:
    """What `/users/{id}/outlook/masterCategories` answers."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def answer(self, call: Call, mailbox: Row, rest: list[str]) -> Answer:
        if rest[:1] != ["masterCategories"] or len(rest) > 2:
            raise no_segment(rest[0] if rest[:1] != ["masterCategories"] and rest else "outlook")
        call.need(*(READ if call.reads else WRITE))
        own = [row for row in self._store.categories.values() if row["mailbox"] == mailbox["n"]]
        if len(rest) == 1:
            call.allow("GET", "POST")
            return self._list(call, own) if call.reads else self._create(call, mailbox)
        call.allow("GET", "PATCH", "DELETE")
        row = next((each for each in own if self.id_of(each) == rest[1].lower()), None)
        if row is None:
            raise no_item()
        if call.method == "DELETE":
            self._store.tables["outlookCategory"].remove(row["n"])
            return Answer(204)
        if call.method == "PATCH":
            row = self._store.tables["outlookCategory"].put({**row, **self._read(call, may_name=False)})
        return self._one(call, 200, row)

    def _list(self, call: Call, own: list[Row]) -> Answer:
        select = read_select(call.parameters.get("$select"), PROPERTIES, "outlookCategory")
        return page(call, own, lambda row: self.shown(row, select), context="masterCategories", size=self._store.switches.page_size)

    def _create(self, call: Call, mailbox: Row) -> Answer:
        return self._one(call, 201, self.add(mailbox, self._read(call, may_name=True)))

    def add(self, mailbox: Row, values: dict[str, Any]) -> Row:
        """Adds a category. Raises Refused for a name that is there."""
        name = values["displayName"].casefold()
        if any(row["mailbox"] == mailbox["n"] and row["displayName"].casefold() == name for row in self._store.categories.values()):
            told = "A category with the specified name already exists."
            raise Refused(self._store.switches.duplicate_category_status, "ErrorDuplicateCategory", told)
        table = self._store.tables["outlookCategory"]
        return table.put({"n": table.next_number, "mailbox": mailbox["n"], "color": "none", **values})

    def _read(self, call: Call, *, may_name: bool) -> dict[str, Any]:
        given = {name: value for name, value in call.object().items() if "@odata." not in name}
        if unknown := [name for name in given if name not in PROPERTIES]:
            raise bad_request(f"The property '{unknown[0][:80]}' does not exist on type 'microsoft.graph.outlookCategory'.")
        if "displayName" in given and not may_name:
            raise bad_request("The displayName of a category cannot be changed.", "ErrorInvalidPropertySet")
        name, color = given.get("displayName"), given.get("color", "none")
        if may_name and (not isinstance(name, str) or not name.strip()):
            raise bad_request("A category needs a displayName.", "ErrorInvalidRequest")
        if color not in COLORS:
            raise bad_request("Cannot convert the value of 'color' to the expected type 'microsoft.graph.categoryColor'.")
        return {name: value for name, value in {"color": color, **given}.items() if name != "id"}

    def id_of(self, row: Row) -> str:
        return ids.guid(self._store.key, "category", row["n"])

    def _one(self, call: Call, status: int, row: Row) -> Answer:
        return Answer(status, {"@odata.context": f"{call.root}/$metadata#masterCategories/$entity", **self.shown(row, None)})

    def shown(self, row: Row, select: tuple[str, ...] | None) -> dict[str, Any]:
        own = {"id": self.id_of(row), "displayName": row["displayName"], "color": row["color"]}
        return {name: value for name, value in own.items() if select is None or name == "id" or name in select}

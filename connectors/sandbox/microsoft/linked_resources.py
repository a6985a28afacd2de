"""What is linked to a task: records of other systems, by their ids and addresses there."""

from __future__ import annotations

from typing import Any

from connectors.sandbox.microsoft.calls import Answer, Call
from connectors.sandbox.microsoft.query import page
from connectors.sandbox.microsoft.refusal import no_item, no_segment
from connectors.sandbox.microsoft.store import Store
from connectors.sandbox.microsoft.table import Row
from connectors.sandbox.microsoft.task_schema import LINKED, read_linked
from connectors.sandbox.microsoft.todo_store import TodoStore


class LinkedResources:
    """What `…/tasks/{id}/linkedResources/…` answers."""

    def __init__(self, store: Store, todo: TodoStore) -> None:
        self._store, self._todo = store, todo

    def answer(self, call: Call, task: Row, rest: list[str]) -> Answer:
        if not rest:
            call.allow("GET", "POST")
            if call.reads:
                return page(call, task["linked"], self.shown, context="linkedResources", size=self._store.switches.page_size)
            return self._one(call, 201, self._todo.link(task, read_linked(call.object())))
        if rest[1:]:
            raise no_segment(rest[1])
        call.allow("GET", "PATCH", "DELETE")
        present = next((each for each in task["linked"] if each["id"] == rest[0].lower()), None)
        if present is None:
            raise no_item()
        if call.method == "DELETE":
            self._todo.tasks.change(task, linked=[each for each in task["linked"] if each is not present])
            return Answer(204)
        if call.method == "PATCH":
            changed = {**present, **read_linked(call.object())}
            self._todo.tasks.change(task, linked=[changed if each is present else each for each in task["linked"]])
            present = changed
        return self._one(call, 200, present)

    def _one(self, call: Call, status: int, linked: dict[str, Any]) -> Answer:
        return Answer(status, {"@odata.context": f"{call.root}/$metadata#linkedResources/$entity", **self.shown(linked)})

    def shown(self, linked: dict[str, Any]) -> dict[str, Any]:
        return {"id": linked["id"], **{name: linked.get(name) for name in LINKED}}

"""The Tasks API, played: what stands under `/tasks/v1/`. There is no sync token: clients poll by `updatedMin`."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any

from connectors.sandbox.google import checking
from connectors.sandbox.google.calls import Call
from connectors.sandbox.google.event_paging import EventPages, Position
from connectors.sandbox.google.event_times import read_instant
from connectors.sandbox.google.paging import Pager
from connectors.sandbox.google.quotas import Quotas
from connectors.sandbox.google.refusal import Refused
from connectors.sandbox.google.refusal import invalid as badly_formed
from connectors.sandbox.google.schema import SCOPE, types_of
from connectors.sandbox.google.service import Method, Service, told
from connectors.sandbox.google.store import Store, show_instant
from connectors.sandbox.google.table import Row
from connectors.sandbox.google.task_store import COMPLETED, NEEDS_ACTION, TaskStore, invalid, not_found
from connectors.sandbox.google.tasks_by_hand import TasksByHand
from connectors.sandbox.wire import Response, read_json

ROOT = "/tasks/v1"
_LISTS, _TASKS = f"{ROOT}/users/@me/lists", f"{ROOT}/lists/{{list}}/tasks"
KNOWN = frozenset((_LISTS, f"{_LISTS}/{{list}}", _TASKS, f"{_TASKS}/{{id}}", f"{_TASKS}/{{id}}/move", f"{ROOT}/lists/{{list}}/clear"))
TYPES = types_of(
    {
        "AssignmentInfo": "driveResourceInfo:DriveResourceInfo !linkToTask spaceInfo:SpaceInfo !surfaceType",
        "DriveResourceInfo": "!driveFileId !resourceKey",
        "SpaceInfo": "!space",
        "Task": (
            "assignmentInfo:AssignmentInfo completed deleted:bool due etag hidden:bool id !kind links:[TaskLink] notes !parent !position "
            "!selfLink status title !updated !webViewLink"
        ),
        "TaskLink": "description link type",
        "TaskList": "etag id !kind !selfLink title !updated",
    }
)
WRITES = frozenset((f"{SCOPE}tasks",))
READS = WRITES | {f"{SCOPE}tasks.readonly"}
LONGEST_TITLE, LONGEST_NOTES = 1024, 8192
DEFAULT_PAGE, MOST_A_PAGE, MOST_LISTS_A_PAGE = 20, 100, 1000
FLAGS = ("showAssigned", "showCompleted", "showDeleted", "showHidden")
BOUNDS = ("completedMin", "completedMax", "dueMin", "dueMax", "updatedMin")


class Tasks(Service):
    """What the Tasks API answers for the users of one Workspace, and what people do with their tasks."""

    name, host, root = "tasks", "tasks.googleapis.com", ROOT

    def __init__(self, store: Store, quotas: Quotas, pager: Pager) -> None:
        super().__init__(store, quotas)
        self.tasks, self._pages = TaskStore(store), EventPages(pager)
        self.by_hand = TasksByHand(self.tasks)

    def calls_per_minute(self) -> int | None:
        return self._store.switches.tasks_calls_per_minute

    def answer(self, call: Call, template: str) -> Response:
        """Answers a call. Raises Refused with the older reason, which Tasks tells beside the newer shape."""
        try:
            return super().answer(call, template)
        except Refused as refused:
            raise told(refused) from None

    def method(self, call: Call) -> Method | None:
        parts, verb = call.parts, call.method
        if parts[:3] == ("users", "@me", "lists") and len(parts) in (3, 4):
            return self._of_lists(verb) if len(parts) == 3 else self._of_list(verb)
        if parts[:1] != ("lists",) or len(parts) < 3:
            return None
        if parts[2] == "clear" and len(parts) == 3:
            return Method(self._clear, WRITES) if verb == "POST" else None
        if parts[2] != "tasks":
            return None
        if len(parts) == 3:
            return {"GET": Method(self._list, READS), "POST": Method(self._insert, WRITES)}.get(verb)
        if parts[4:] == ("move",):
            return Method(self._move, WRITES) if verb == "POST" else None
        return self._of_task(verb) if len(parts) == 4 else None

    def _of_lists(self, verb: str) -> Method | None:
        return {"GET": Method(self._lists, READS), "POST": Method(self._insert_list, WRITES)}.get(verb)

    def _of_list(self, verb: str) -> Method | None:
        return {
            "GET": Method(self._get_list, READS),
            "PATCH": Method(self._change_list, WRITES),
            "PUT": Method(self._change_list, WRITES),
            "DELETE": Method(self._delete_list, WRITES),
        }.get(verb)

    def _of_task(self, verb: str) -> Method | None:
        return {
            "GET": Method(self._get, READS),
            "PATCH": Method(self._patch, WRITES),
            "PUT": Method(self._put, WRITES),
            "DELETE": Method(self._delete, WRITES),
        }.get(verb)

    # --- lists ----------------------------------------------------------------------------------------------------------
    def _lists(self, call: Call) -> dict[str, Any]:
        call.allow("maxResults", "pageToken")
        rows = self.tasks.lists_of(call.mailbox)
        return self._page(call, [_shown_list(row) for row in rows], "tasks#taskLists", "lists", MOST_LISTS_A_PAGE, MOST_LISTS_A_PAGE)

    def _get_list(self, call: Call) -> dict[str, Any]:
        call.allow()
        return _shown_list(self.tasks.list_named(call.mailbox, call.parts[3]))

    def _insert_list(self, call: Call) -> dict[str, Any]:
        call.allow()
        row = self.tasks.add_list(call.mailbox, _title_of_list(_read(call, "TaskList")[0]))
        call.touched.append(row["list_id"])
        return _shown_list(row)

    def _change_list(self, call: Call) -> dict[str, Any]:
        call.allow()
        row, (body, _) = self.tasks.list_named(call.mailbox, call.parts[3]), _read(call, "TaskList")
        if body.get("id", row["list_id"]) != row["list_id"]:
            raise invalid("Invalid task list ID")
        title = row["title"] if call.method == "PATCH" and "title" not in body else _title_of_list(body)
        return _shown_list(self._store.put(self.tasks.lists, {**row, "title": title}))

    def _delete_list(self, call: Call) -> None:
        call.allow()
        self.tasks.drop_list(self.tasks.list_named(call.mailbox, call.parts[3]))

    # --- reading --------------------------------------------------------------------------------------------------------
    def _list(self, call: Call) -> dict[str, Any]:
        call.allow("maxResults", "pageToken", *FLAGS, *BOUNDS)
        list_ = self._list_of(call)
        shows = {name: call.flag(name) if call.text(name) else name == "showCompleted" for name in FLAGS}
        bounds = {name: _bound(call, name) for name in BOUNDS}
        rows = self.tasks.in_list(list_, with_deleted=shows["showDeleted"])
        wanted = [row for row in rows if _is_shown(row, shows) and _is_within(row, bounds)]
        return self._page(call, wanted, "tasks#tasks", list_["list_id"], DEFAULT_PAGE, MOST_A_PAGE, show=self._shown)

    def _page(
        self, call: Call, rows: list[Row], kind: str, list_: str, default: int, most: int, *, show: Callable[[Row], Row] = dict
    ) -> dict[str, Any]:
        size, store = call.number("maxResults", default, most), self._store
        position = self._pages.position(call, list_=f"tasks {list_}", present=store.sequence, now=store.now().timestamp(), days=1)
        first = position.behind[0] if position.behind[1] >= 0 else 0
        answer: dict[str, Any] = {"kind": kind, "etag": f'"{store.sequence:x}"', "items": [show(row) for row in rows[first : first + size]]}
        if first + size < len(rows):
            behind = Position(0, [first + size, 0], position.present)
            answer["nextPageToken"] = self._pages.page_token(call, list_=f"tasks {list_}", position=behind)
        return answer

    def _get(self, call: Call) -> dict[str, Any]:
        call.allow()
        return self._shown(self._found(call))

    def _list_of(self, call: Call) -> Row:
        return self.tasks.list_named(call.mailbox, call.parts[1])

    def _found(self, call: Call) -> Row:
        return self.tasks.named(self._list_of(call), call.parts[3])

    def _shown(self, row: Row) -> dict[str, Any]:
        list_ = self.tasks.lists.rows[row["list"]]
        link = f"https://www.googleapis.com{ROOT}/lists/{list_['list_id']}/tasks/{row['task_id']}"
        shown = {"kind": "tasks#task", "id": row["task_id"], "etag": _etag(row), "title": row["title"], "updated": row["updated"]}
        shown |= {"selfLink": link, "position": self.tasks.position(row), "status": row["status"], "links": []}
        shown |= {name: row[name] for name in ("notes", "parent", "completed") if row[name]}
        if row["due"]:
            shown["due"] = f"{row['due']}T00:00:00.000Z"
        shown |= {name: True for name, is_so in (("deleted", row["is_deleted"]), ("hidden", row["hidden"])) if is_so}
        return {**shown, "webViewLink": f"https://tasks.google.com/task/{row['task_id']}"}

    # --- writing --------------------------------------------------------------------------------------------------------
    def _insert(self, call: Call) -> dict[str, Any]:
        call.allow("parent", "previous")
        list_, (body, _) = self._list_of(call), _read(call, "Task")
        row = self.tasks.add(list_, self._values({}, body), parent=call.text("parent"), previous=call.text("previous"))
        call.touched.append(row["task_id"])
        return self._shown(row)

    def _patch(self, call: Call) -> dict[str, Any]:
        call.allow()
        row, (body, raw) = self._found(call), _read(call, "Task")
        cleared = {name: "" for name, value in raw.items() if value is None}
        return self._changed(row, {**cleared, **body})

    def _put(self, call: Call) -> dict[str, Any]:
        call.allow()
        row, (body, _) = self._found(call), _read(call, "Task")
        if body.get("id") != row["task_id"]:
            raise invalid("Invalid task ID" if body.get("id") else "Missing task ID")
        blank = {"title": "", "notes": "", "due": "", "status": NEEDS_ACTION, "deleted": False}
        return self._changed(row, {**blank, **body})

    def _changed(self, row: Row, body: Mapping[str, Any]) -> dict[str, Any]:
        if body.get("deleted"):
            self.tasks.delete(row)
            return self._shown(self.tasks.tasks.rows[row["id"]])
        is_deleted = row["is_deleted"] and "deleted" not in body
        return self._shown(self.tasks.put({**row, **self._values(row, body), "is_deleted": is_deleted}))

    def _values(self, present: Mapping[str, Any], body: Mapping[str, Any]) -> dict[str, Any]:
        """Returns the values of a task with what a body sets. Raises Refused."""
        texts = {name: str(body.get(name, present.get(name, ""))) for name in ("title", "notes")}
        if len(texts["title"]) > LONGEST_TITLE or len(texts["notes"]) > LONGEST_NOTES:
            raise invalid("The title or the notes of the task are too long.")
        status = body.get("status", present.get("status", "")) or NEEDS_ACTION
        if status not in (NEEDS_ACTION, COMPLETED):
            raise invalid("Invalid task status.")
        due = _due(body["due"]) if "due" in body else present.get("due", "")
        if status != COMPLETED:
            return {**texts, "due": due, "status": status, "completed": "", "hidden": False}
        given = _instant(body["completed"], "completed") if body.get("completed") else None
        completed = show_instant(given or self._store.now()) if given or not present.get("completed") else present["completed"]
        return {**texts, "due": due, "status": status, "completed": completed}

    def _delete(self, call: Call) -> None:
        call.allow()
        row = self._found(call)
        if row["is_deleted"]:
            raise not_found("Task not found.")
        self.tasks.delete(row)

    def _move(self, call: Call) -> dict[str, Any]:
        call.allow("parent", "previous", "destinationTasklist")
        row = self._found(call)
        if row["is_deleted"]:
            raise not_found("Task not found.")
        target = call.text("destinationTasklist")
        list_ = self.tasks.list_named(call.mailbox, target) if target else self._list_of(call)
        return self._shown(self.tasks.move(row, list_, parent=call.text("parent"), previous=call.text("previous")))

    def _clear(self, call: Call) -> None:
        call.allow()
        for row in self.tasks.in_list(self._list_of(call)):
            if row["status"] == COMPLETED and not row["hidden"]:
                self.tasks.put({**row, "hidden": True})


def _read(call: Call, type_: str) -> tuple[dict[str, Any], dict[str, Any]]:
    """Returns the body of a call checked, and as it came. Raises Refused."""
    try:
        raw = read_json(call.body or b"{}")
    except ValueError as error:
        raise badly_formed(f"Invalid JSON payload received. {error}") from None
    return checking.read(raw, type_, "", TYPES), raw


def _shown_list(row: Row) -> dict[str, Any]:
    link = f"https://www.googleapis.com{ROOT}/users/@me/lists/{row['list_id']}"
    shown = {"kind": "tasks#taskList", "id": row["list_id"], "etag": _etag(row), "title": row["title"], "updated": row["at"]}
    return {**shown, "selfLink": link}


def _title_of_list(body: Mapping[str, Any]) -> str:
    title = str(body.get("title", ""))
    if not title.strip() or len(title) > LONGEST_TITLE:
        raise invalid("Invalid task list title.")
    return title


def _etag(row: Row) -> str:
    return f'"LTE{row["seq"]:x}"'


def _due(text: str) -> str:
    """Returns the day of a text, in UTC: the time is thrown away."""
    return _instant(text, "due").date().isoformat() if text else ""


def _instant(text: str, name: str) -> datetime:
    at = read_instant(text)
    if at is None or at.tzinfo is None:
        raise invalid(f'Invalid value for: Invalid format: "{text[:80]}" of {name}')
    return at.astimezone(UTC)


def _bound(call: Call, name: str) -> datetime | None:
    return _instant(call.text(name), name) if call.text(name) else None


def _is_shown(row: Row, shows: Mapping[str, bool]) -> bool:
    return (shows["showHidden"] or not row["hidden"]) and (shows["showCompleted"] or row["status"] != COMPLETED)


def _is_within(row: Row, bounds: Mapping[str, datetime | None]) -> bool:
    """Tells whether a task fits the bounds: the lower ones belong to them. What has no day or is not completed fits none."""
    due = f"{row['due']}T00:00:00Z" if row["due"] else ""
    for name, text in (("due", due), ("completed", row["completed"]), ("updated", row["updated"])):
        low, high = bounds[f"{name}Min"], bounds.get(f"{name}Max")
        if (low or high) and not text:
            return False
        at = datetime.fromisoformat(text) if text else None
        if at is not None and ((low and at < low) or (high and at >= high)):
            return False
    return True

"""Where the tasks of one Microsoft mailbox lie, and what stands in them.

A task is reached through its list only, and its id does not name the list. Where one lay when it was last seen is remembered;
any other is looked for in our list and the main one first, then in all of them, many a call.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any

from connectors.contract import Record
from connectors.errors import RecordGone
from connectors.microsoft import faults
from connectors.microsoft import todo_codec as codec
from connectors.microsoft.client import GraphClient, Part, Reply, address, segment
from connectors.microsoft.settings import MicrosoftSettings
from connectors.microsoft.todo_codec import Held, Row

LISTS_TEMPLATE = "/users/{user}/todo/lists"
TASKS_TEMPLATE = LISTS_TEMPLATE + "/{list}/tasks"
TASK_TEMPLATE = TASKS_TEMPLATE + "/{task}"
LISTS_A_PAGE = 100


class TodoReader:
    """The lists of one mailbox and what lies in them. `ours` is our own list, "" for none."""

    def __init__(self, client: GraphClient, settings: MicrosoftSettings) -> None:
        self._client, self._settings = client, settings
        self._lists: dict[str, Held] | None = None  # None: nobody has asked yet
        self._places: dict[str, str] = {}  # task -> the list that it was seen in last
        self.ours = ""

    # --- lists ----------------------------------------------------------------------------------------------------------

    def know(self, lists: Iterable[Held]) -> None:
        """Takes over which lists there are, from who was told of them anyway."""
        self._lists = {held.id: held for held in lists}

    def load(self) -> list[Held]:
        """Asks which lists there are and returns those that are looked at."""
        path = address(f"{self._client.root}/todo/lists", top=str(LISTS_A_PAGE))
        rows = self._client.every(path, template=LISTS_TEMPLATE)
        found = [codec.read_list(row) for row in rows]
        if None in found:  # a list that cannot be read is not one that is not there
            raise self._client.unreadable_list()
        self.know(held for held, row in zip(found, rows, strict=True) if held is not None and codec.is_looked_at(row))
        return list(self.lists.values())

    @property
    def lists(self) -> Mapping[str, Held]:
        if self._lists is None:
            self.load()
        return self._lists or {}

    def list_named(self, id_: str) -> Held:
        return self.lists.get(id_) or Held(id_, "")

    def home(self) -> str:
        """Returns the list that new tasks are made in: ours, or the user's main one. "" where there is neither."""
        return self.ours or next((held.id for held in self.lists.values() if held.kind == codec.DEFAULT), "")

    # --- tasks ----------------------------------------------------------------------------------------------------------

    def path(self, list_id: str, id_: str = "") -> str:
        root = f"{self._client.root}/todo/lists/{segment(list_id)}/tasks"
        return f"{root}/{segment(id_)}" if id_ else root

    def place_of(self, id_: str) -> str:
        """Returns the list that a task was seen in last, "" where it was not."""
        return self._places.get(id_, "")

    def note(self, id_: str, list_id: str) -> None:
        self._places[id_] = list_id

    def record(self, row: Row, list_id: str) -> Record:
        self.note(str(row["id"]), list_id)
        return codec.read_task(row, self.list_named(list_id), ours=self.ours, application=self._settings.task_application)

    def rows(self, ids: Sequence[str], *, but: Mapping[str, Collection[str]] | None = None) -> dict[str, tuple[Row, str]]:
        """Returns the tasks that are there, with what is linked to them and the list that each lies in. `but`: lists that a
        task is known not to lie in any more."""
        excluded = {id_: set(lists) for id_, lists in (but or {}).items()}
        found: dict[str, tuple[Row, str]] = {}
        asked = list(dict.fromkeys(ids))
        first = {id_: {self._places.get(id_) or self.home()} - excluded.get(id_, set()) - {""} for id_ in asked}
        self._look(first, found)
        rest = {id_: set(self.lists) - first[id_] - excluded.get(id_, set()) for id_ in asked if id_ not in found}
        self._look(rest, found)
        for id_, (_, list_id) in found.items():
            self.note(id_, list_id)
        return found

    def _look(self, lists: Mapping[str, Collection[str]], found: dict[str, tuple[Row, str]]) -> None:
        asked = [(id_, list_id) for id_, some in lists.items() for list_id in sorted(some)]
        parts = [Part("GET", address(self.path(list_id, id_), expand=codec.LINKS), TASK_TEMPLATE) for id_, list_id in asked]
        for (id_, list_id), reply in zip(asked, self._client.read_all(parts) if parts else (), strict=True):
            row = self._row(reply)
            if row is not None:
                found[id_] = row, list_id

    def _row(self, reply: Reply) -> Row | None:
        """Returns the task that answers a read, None where it is not there."""
        if reply.is_good:
            if not codec.is_sound(reply.body):
                raise self._client.unreadable(reply, is_read=True)
            return {codec.LINKS: [], **reply.body}  # asked for: a task without any is told without the list
        if is_gone(self._client, reply):
            return None
        raise self._client.error_of(reply, is_read=True)

    def everything(self) -> list[Record]:
        """Returns every task of every list, with its marker: no server searches for one."""
        lists = list(self.lists)
        options = {"expand": codec.LINKS, "top": str(self._settings.tasks_a_page)}
        parts = [Part("GET", address(self.path(list_id), **options), TASKS_TEMPLATE) for list_id in lists]
        records: list[Record] = []
        for list_id, reply in zip(lists, self._client.read_all(parts) if parts else (), strict=True):
            if is_gone(self._client, reply):
                continue
            if not reply.is_good:
                raise self._client.error_of(reply, is_read=True)
            records += [self.record({codec.LINKS: [], **row}, list_id) for row in self._listed(reply)]
        return records

    def _listed(self, reply: Reply) -> list[dict[str, Any]]:
        body = reply.body if isinstance(reply.body, dict) else {}
        rows, link = body.get("value"), body.get("@odata.nextLink")
        if not isinstance(rows, list):
            raise self._client.unreadable(reply, is_read=True)
        more = self._client.every(self._client.local(link), template=TASKS_TEMPLATE) if isinstance(link, str) else []
        if not all(codec.is_sound(row) for row in [*rows, *more]):
            raise self._client.unreadable(reply, is_read=True)
        return [*rows, *more]


def is_gone(client: GraphClient, reply: Reply) -> bool:
    """Tells whether an answer says that a list or a task is not there: an id that the mailbox takes for none is none of them."""
    if reply.is_good:
        return False
    error = client.error_of(reply, is_read=True)
    return isinstance(error, RecordGone) or error.code.casefold() == faults.MALFORMED_ID

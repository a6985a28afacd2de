"""Where the tasks of one Google mailbox lie, and what stands in them.

A task is reached through its list only, and its id does not name the list. Where one lay when it was last seen is remembered;
any other is looked for in our list and the main one first, then in all of them.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from urllib.parse import quote

from connectors.contract import Record
from connectors.errors import RecordGone
from connectors.google import task_codec as codec
from connectors.google.client import GoogleClient
from connectors.google.settings import SYSTEM, GoogleSettings
from connectors.google.task_codec import Held, Row
from connectors.http import Answer, unreadable

LISTS = "/users/@me/lists"
MAIN = "@default"
TASKS_TEMPLATE = "/lists/{list}/tasks"
TASK_TEMPLATE = TASKS_TEMPLATE + "/{task}"
LISTS_A_PAGE = 1000
Params = Sequence[tuple[str, str]]


class TaskReader:
    """The lists of one mailbox and what lies in them. `ours` is our own list, "" for none."""

    def __init__(self, client: GoogleClient, settings: GoogleSettings) -> None:
        self._client, self._settings = client, settings
        self._lists: dict[str, Held] | None = None  # None: nobody has asked yet
        self._places: dict[str, str] = {}  # task -> the list that it was seen in last
        self._main: Held | None = None
        self.ours = ""

    # --- lists ----------------------------------------------------------------------------------------------------------

    def know(self, lists: Iterable[Held]) -> None:
        """Takes over which lists there are, from who was told of them before."""
        self._lists = {held.id: held for held in lists}

    def load(self) -> tuple[list[Held], datetime | None]:
        """Asks which lists there are. Returns them, and Google's clock when it began to answer."""
        found: list[Held] = []
        began: datetime | None = None
        token = ""
        while True:
            answer = self._client.get(LISTS, [("maxResults", str(LISTS_A_PAGE)), *([("pageToken", token)] if token else [])])
            began = began or answer.server_time
            for raw in rows_of(answer):
                held = codec.read_list(raw)
                if held is None:  # a list that cannot be read is not one that is not there
                    raise unreadable(SYSTEM, answer, is_read=True)
                found.append(held)
            token = following(answer, token)
            if not token:
                self.know(found)
                return found, began

    @property
    def lists(self) -> Mapping[str, Held]:
        if self._lists is None:
            self.load()
        return self._lists or {}

    def home(self) -> str:
        """Returns the list that new tasks are made in: ours, or the user's main one."""
        if self.ours:
            return self.ours
        if self._main is None:
            answer = self._client.get(f"{LISTS}/{MAIN}", template=f"{LISTS}/{{list}}")
            self._main = codec.read_list(answer.data)
            if self._main is None:
                raise unreadable(SYSTEM, answer, is_read=True)
        return self._main.id

    # --- tasks ----------------------------------------------------------------------------------------------------------

    def path(self, list_id: str, id_: str = "") -> str:
        root = f"/lists/{quote(list_id, safe='')}/tasks"
        return f"{root}/{quote(id_, safe='')}" if id_ else root

    def place_of(self, id_: str) -> str:
        """Returns the list that a task was seen in last, "" where it was not."""
        return self._places.get(id_, "")

    def record(self, row: Row, list_id: str) -> Record:
        self._places[str(row["id"])] = list_id
        return codec.read_task(row, self.lists.get(list_id) or Held(list_id, ""), ours=self.ours)

    def find(self, id_: str) -> Record | None:
        """Returns a task wherever it lies, None where it is not there any more."""
        first = self._places.get(id_) or self.home()
        for list_id in dict.fromkeys((first, *self.lists)):
            record = self._in_list(list_id, id_)
            if record is not None:
                return record
        return None

    def _in_list(self, list_id: str, id_: str) -> Record | None:
        try:
            answer = self._client.get(self.path(list_id, id_), template=TASK_TEMPLATE, is_of_record=True)
        except RecordGone:
            return None
        if not codec.is_sound(answer.data):
            raise unreadable(SYSTEM, answer, is_read=True)
        return None if codec.is_deleted(answer.data) else self.record(answer.data, list_id)

    def page(self, list_id: str, *, since: str, token: str = "", with_deleted: bool = False) -> tuple[list[Row], str]:
        """Returns a page of a list, done and hidden tasks among it, and the token of the next, "" for none. `since`: only what
        was touched then or later; "" for all. Raises RecordGone when the list is not there."""
        wanted = {"showCompleted": "true", "showHidden": "true", "showDeleted": str(with_deleted).lower()}
        options = {"maxResults": str(self._settings.tasks_a_page), "updatedMin": since, "pageToken": token, **wanted}
        params = [(name, value) for name, value in options.items() if value]
        answer = self._client.get(self.path(list_id), params, template=TASKS_TEMPLATE, is_of_record=True)
        rows = rows_of(answer)
        if not all(codec.is_sound(row) for row in rows):
            raise unreadable(SYSTEM, answer, is_read=True)
        return rows, following(answer, token)

    def touched(self, list_id: str, since: datetime) -> Iterator[Record]:
        """Yields the tasks of a list that were touched since an instant."""
        token = ""
        while True:
            rows, token = self.page(list_id, since=spelt(since), token=token)
            yield from (self.record(row, list_id) for row in rows)
            if not token:
                return


def rows_of(answer: Answer) -> list[Row]:
    """Returns the rows of a list; an empty one is told without them."""
    rows = answer.data.get("items", [])
    if not isinstance(rows, list):
        raise unreadable(SYSTEM, answer, is_read=True)
    return rows


def following(answer: Answer, token: str) -> str:
    """Returns the token of the next page, "" for none. Raises for one that leads in a circle."""
    said = answer.data.get("nextPageToken", "")
    if not isinstance(said, str) or (said and said == token):
        raise unreadable(SYSTEM, answer, is_read=True)
    return said


def spelt(at: datetime) -> str:
    return f"{at.astimezone(UTC):%Y-%m-%dT%H:%M:%S.000Z}"

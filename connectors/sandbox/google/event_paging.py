"""Pages and sync tokens of events: an event that recurs may fill many pages, and what was deleted is told.

The order is that of the last change, as in `paging`: what changes while somebody pages moves to the end, and the sync token
of the last page starts where the first page stood. Lists by start are sorted whole and have no sync token.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from connectors.sandbox.google.calendar_refusal import full_sync_required, invalid
from connectors.sandbox.google.calls import Call
from connectors.sandbox.google.paging import DAY, Pager, bound
from connectors.sandbox.google.switches import Switches

Place = list[int]  # the change of a row, and the number of an item that it gives; or the number in a sorted list, and 0
Item = tuple[Place, dict[str, Any]]
START: Place = [0, -1]
# With a sync token the other parameters are those of the first call; these may differ all the same.
FREE = ("pageToken", "syncToken", "maxResults", "showDeleted", "timeZone", "maxAttendees", "timeMin", "timeMax")


@dataclass(frozen=True, slots=True)
class Position:
    """Where a list goes on. `since` is the change behind which a sync began, 0 for a full list; `present` is where its first
    page stood; `paused`: the last page was an empty one."""

    since: int
    behind: Place
    present: int
    paused: bool = False


class EventPages:
    """Reads and writes the tokens of event lists."""

    def __init__(self, pager: Pager) -> None:
        self._pager = pager

    def position(self, call: Call, *, list_: str, present: int, now: float, days: int) -> Position:
        """Returns where a call goes on. Raises Refused for a token that is none, too old, or of a call with other parameters."""
        own = {"t": list_, "m": call.mailbox}
        page, sync = call.text("pageToken"), call.text("syncToken")
        if page:
            state = self._pager.read(page, "page", own)
            if state is None or state["n"] != self._pager.nonce or state["b"] != bound(call, "pageToken", "maxResults"):
                raise invalid("Invalid page token value.", parameter="pageToken")
            return Position(state["s"], state["a"], state["h"], state["e"])
        if not sync:
            return Position(0, START, present)
        state = self._pager.read(sync, "sync", own)
        if state is None:
            raise invalid("Invalid sync token value.", parameter="syncToken")
        if state["n"] != self._pager.nonce or now - state["f"] > days * DAY:
            raise full_sync_required()
        if state["b"] != bound(call, *FREE):
            raise invalid("The sync token belongs to a list with other parameters.", parameter="syncToken")
        return Position(state["s"], START, present)

    def page_token(self, call: Call, *, list_: str, position: Position) -> str:
        state = {"s": position.since, "a": position.behind, "h": position.present, "e": position.paused}
        return self._token(call, "page", list_, {**state, "b": bound(call, "pageToken", "maxResults")})

    def sync_token(self, call: Call, *, list_: str, position: Position, now: float) -> str:
        return self._token(call, "sync", list_, {"s": max(1, position.present), "f": now, "b": bound(call, *FREE)})

    def _token(self, call: Call, kind: str, list_: str, state: dict[str, Any]) -> str:
        return self._pager.token({**state, "k": kind, "t": list_, "m": call.mailbox, "n": self._pager.nonce})


def page(items: Iterator[Item], position: Position, size: int, switches: Switches) -> tuple[list[dict[str, Any]], Position | None]:
    """Returns the items of one page, and where the next one begins; None behind the last. Switches make pages shorter than
    asked for, and every other one empty."""
    if switches.empty_event_pages and not position.paused:
        return [], Position(position.since, position.behind, position.present, paused=True)
    size = min(size, switches.events_a_page or size)
    found: list[Item] = []
    for item in items:
        if len(found) == size:
            return [each for _, each in found], Position(position.since, found[-1][0], position.present)
        found.append(item)
    return [each for _, each in found], None


def numbered(items: Iterable[dict[str, Any]], behind: Place) -> Iterator[Item]:
    """Yields the items of a sorted list that stand behind a place."""
    for n, item in enumerate(items):
        if [n, 0] > behind:
            yield [n, 0], item

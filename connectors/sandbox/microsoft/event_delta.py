"""Delta rounds of a calendar view. A token holds the range, which stays as it was, and all else of its round.

A first round walks all that lies in the range, a later one the events that changed behind the last round: what of them lies in
the range now, and what did then and no longer does. Occurrences are told bare, series and exceptions in full. As in delta.py
switches add replays, duplicates and any order; what comes last for an id is true.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass, replace
from datetime import datetime
from itertools import islice
from typing import Any
from zlib import crc32

from connectors.sandbox.microsoft.calls import MOST_ROWS, Answer, Call
from connectors.sandbox.microsoft.delta import OPTIONS, Delta
from connectors.sandbox.microsoft.event_shown import EventShow, Look, read_look
from connectors.sandbox.microsoft.event_store import EventStore
from connectors.sandbox.microsoft.occurrences import Item, Window, items_in
from connectors.sandbox.microsoft.query import View, link
from connectors.sandbox.microsoft.refusal import Refused, bad_request
from connectors.sandbox.microsoft.sealed import sealed, unsealed
from connectors.sandbox.microsoft.table import Row
from connectors.sandbox.wire import read_id

RANGE = ("startDateTime", "endDateTime")
Key = tuple[int, int, str, int]  # where an entry stands in its round; pages end behind one
ReadWindow = Callable[[Mapping[str, str]], Window]
_FIRST_KEY: Key = (-1, 0, "", 0)


@dataclass(frozen=True, slots=True)
class Round:
    """What a token says. `since` None: a first round, of all there is; `mode` holds r, d and s for replays, duplicates and
    shuffling; `at` is the key of what the last page ended with."""

    mailbox: int
    start: str
    end: str
    since: int | None
    until: int
    number: int
    mode: str
    epoch: int
    issued: float
    at: Key = _FIRST_KEY


@dataclass(frozen=True, slots=True)
class Entry:
    """One entry of a round: an event that is there, or one that is in the range no longer."""

    key: Key
    item: Item
    is_removed: bool = False


class EventDelta:
    """Answers `/calendarView/delta`."""

    def __init__(self, events: EventStore, show: EventShow, rounds: Delta, *, now: Callable[[], datetime]) -> None:
        self._events, self._show, self._rounds, self._now = events, show, rounds, now
        self._store = events.store

    def answer(self, call: Call, mailbox: Row, read_window: ReadWindow) -> Answer:
        look = read_look(call)
        told = self._round(call, mailbox, read_window)
        window = read_window({"startDateTime": told.start, "endDateTime": told.end})
        wanted = read_id(call.prefers.get("odata.maxpagesize", ""))
        size = min(wanted or self._store.switches.page_size, MOST_ROWS)
        entries = list(islice(self._entries(told, window), size + 1))
        body: dict[str, Any] = {"@odata.context": f"{call.root}/$metadata#Collection(event)"}
        now = self._now().timestamp()
        without = (*OPTIONS, *RANGE, *(name.lower() for name in RANGE))
        if len(entries) > size:
            token = self._written(replace(told, at=entries[size - 1].key, issued=now))
            body["@odata.nextLink"] = link(call, {"$skiptoken": token}, without=without)
        else:
            token = self._written(replace(told, since=None, at=_FIRST_KEY, issued=now))
            body["@odata.deltaLink"] = link(call, {"$deltatoken": token}, without=without)
        body["value"] = [self._told(call, entry, look) for entry in entries[:size]]
        return Answer(200, body)

    def _told(self, call: Call, entry: Entry, look: Look) -> dict[str, Any]:
        told = {"@odata.type": "#microsoft.graph.event"}
        if entry.is_removed:
            return {**told, "id": self._show.id(entry.item, look), "@removed": {"reason": "deleted"}}
        call.note.items.append({"id": self._show.id(entry.item, replace(look, is_immutable=True)), "folder": "Calendar"})
        if entry.item.type == "occurrence":
            return {**told, **self._show.bare(entry.item, look)}
        return {**told, **self._show.shown(entry.item, View(), look)}

    # --- tokens -------------------------------------------------------------------------------------------------------------
    def _round(self, call: Call, mailbox: Row, read_window: ReadWindow) -> Round:
        """Returns the round that a call begins or goes on with. Raises Refused for options that rounds do not take, for a range
        that is none, and for a token that is dead or none."""
        given = call.parameters
        if refused := [name for name in given if name.startswith("$") and name not in OPTIONS]:
            told = "The following parameters are not supported with change tracking over this resource:"
            raise bad_request(f"{told} '{', '.join(refused)}'.", "ErrorInvalidUrlQuery")
        token = next((given[name] for name in OPTIONS if name in given), None)
        if token is None:
            window = read_window(given)
            return self._opened(mailbox["n"], window.first.isoformat(), window.last.isoformat(), None)
        present = self._read(token)
        if present is None or present.mailbox != mailbox["n"]:
            raise bad_request("The sync state is invalid.", "syncStateInvalid")
        if self._rounds.is_past(present.epoch, present.issued):
            raise self.dead(call, self._store.switches.delta_expired_form)
        if "$deltatoken" in given:
            return self._opened(present.mailbox, present.start, present.end, present.until)
        return present

    def _opened(self, mailbox: int, start: str, end: str, since: int | None) -> Round:
        number, mode = self._rounds.opened()
        return Round(mailbox, start, end, since, self._store.sequence, number, mode, self._store.epoch, self._now().timestamp())

    def dead(self, call: Call, form: str) -> Refused:
        """Returns the refusal of a dead token; where it says where to begin anew, with the same range."""
        error = self._rounds.dead(call, form)
        told = next((self._read(call.parameters[name]) for name in OPTIONS if name in call.parameters), None)
        if not error.headers or told is None:
            return error
        start = link(call, dict(zip(RANGE, (told.start, told.end), strict=True)), without=OPTIONS)
        return Refused(error.status, error.code, error.message, (("Location", start),))

    def _written(self, told: Round) -> str:
        return sealed(self._store.key, "view delta", asdict(told).values())

    def _read(self, token: str) -> Round | None:
        """Returns the round of a token, None for what is none of ours."""
        values = unsealed(self._store.key, "view delta", token)
        if values is None:
            return None
        values[-1] = tuple(values[-1])
        return Round(*values)

    # --- what is in a round ---------------------------------------------------------------------------------------------------
    def _entries(self, told: Round, window: Window) -> Iterator[Entry]:
        """Yields what comes behind the last page, in order."""
        entries = self._present(told, window) if told.since is None else self._news(told, window, told.since)
        if not told.mode:
            yield from (entry for entry in entries if entry.key > told.at)
            return
        yield from sorted((e for e in self._mixed(told, window, list(entries)) if e.key > told.at), key=lambda entry: entry.key)

    def _present(self, told: Round, window: Window) -> Iterator[Entry]:
        """Yields all that lies in the range: of a series itself before its occurrences."""
        behind = 0 if told.mode else max(told.at[1] - 1, 0)
        for row in self._events.of_mailbox(told.mailbox, behind):
            yield from (Entry((1, row["n"], item.day or "", 0), item) for item in _with_series(row, window))

    def _news(self, told: Round, window: Window, since: int) -> Iterator[Entry]:
        """Yields of what changed since a sequence, up to the beginning of the round, how it is by now. What happens meanwhile is
        told in the next round too."""
        for number, (sequence, before) in self._events.touched(told.mailbox, since, told.until).items():
            row = self._events.rows.get(number)
            then = {} if before is None else {item.day: item for item in _with_series(before, window)}
            now = {} if row is None else {item.day: item for item in _with_series(row, window)}
            if row is None and before is not None:
                then.setdefault(None, Item(before))  # a deletion is told wherever the event was
            hidden = set() if row is None or self._store.switches.tells_removed_occurrences else set(row["gone"])
            for day in sorted({*then, *now}, key=lambda day: day or ""):
                key = (1, sequence, f"{number} {day or ''}", 0)
                if day in now:
                    if day is None or day not in then or self._mark(now[day]) != self._mark(then[day]):
                        yield Entry(key, now[day])
                elif day not in hidden:
                    yield Entry(key, then[day], is_removed=True)

    def _mark(self, item: Item) -> tuple[object, ...]:
        """Returns what tells whether an occurrence is still the same."""
        return item.type, item.times["start"], item.times["end"], item.times["zone"], self._events.change_key(item.row, item.day)

    # --- rounds that say more than they need to ---------------------------------------------------------------------------------
    def _mixed(self, told: Round, window: Window, entries: list[Entry]) -> Iterator[Entry]:
        named = {_name(entry.item) for entry in entries}
        if "r" in told.mode:
            entries += [entry for entry in self._replayed(told, window) if _name(entry.item) not in named]
        for entry in entries:
            name = _name(entry.item)
            key = (1, self._lot(told, "place", name), name, 0) if "s" in told.mode else entry.key
            yield replace(entry, key=key)
            if "d" in told.mode and self._lot(told, "twice", name) % 2:
                yield replace(entry, key=(2, self._lot(told, "again", name), name, 1))

    def _replayed(self, told: Round, window: Window) -> Iterator[Entry]:
        """Yields what a round tells again: some of what is there, and some of what went before it began."""
        until = told.until if told.since is None else told.since
        for number, (sequence, _) in self._events.touched(told.mailbox, -1, until).items():
            if number not in self._events.rows and self._lot(told, "replay", str(number)) % 2:
                yield Entry((0, sequence, str(number), 0), Item(_ghost(told.mailbox, number)), is_removed=True)
        for row in self._events.of_mailbox(told.mailbox) if told.since is not None else ():
            for item in _with_series(row, window):
                if self._lot(told, "replay", _name(item)) % 4 == 0:
                    yield Entry((1, row["seq"], _name(item), 0), item)

    @staticmethod
    def _lot(told: Round, what: str, name: str) -> int:
        return crc32(f"{told.number} {told.since} {what} {name}".encode())


def _with_series(row: Row, window: Window) -> list[Item]:
    """Returns what of an event lies in a range, before the occurrences of a series the series itself."""
    items = items_in(row, window)
    return [Item(row), *items] if items and row["recurrence"] is not None else items


def _name(item: Item) -> str:
    return f"{item.row['n']} {item.day or ''}"


def _ghost(mailbox: int, number: int) -> Row:
    """Returns what is left of an event that is gone: what its id is made of."""
    return {"n": number, "mailbox": mailbox, "exceptions": {}, "recurrence": None}

"""Delta rounds. A token holds all there is to know about its round, so that it outlives a restart.

A first round walks what is in the stream, a later one what the journal tells behind the last round. Switches add what real
rounds do at times: what was told before comes again, the same id comes several times, or in any order. Whatever they do,
what comes last for an id is true.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from datetime import datetime
from itertools import islice
from typing import Any
from zlib import crc32

from connectors.sandbox.microsoft.calls import MOST_ROWS, Answer, Call
from connectors.sandbox.microsoft.contacts import LISTED, Contacts
from connectors.sandbox.microsoft.query import View, link, read_select
from connectors.sandbox.microsoft.refusal import Refused, bad_request
from connectors.sandbox.microsoft.sealed import sealed, unsealed
from connectors.sandbox.microsoft.store import Store
from connectors.sandbox.microsoft.streams import CHANGED, REMOVED
from connectors.sandbox.microsoft.table import Row
from connectors.sandbox.wire import read_id

OPTIONS = ("$skiptoken", "$deltatoken")
Key = tuple[int, int, int]  # where an event stands in its round; pages end behind one
Event = tuple[Key, int, int]  # and what it is: CHANGED or REMOVED, and the number of what did
Show = Callable[[Row], dict[str, Any]]
Keep = Callable[[Row], bool]
_FIRST_KEY: Key = (-1, 0, 0)
_FORMS = {
    "gone": (410, "SyncStateNotFound"),
    "gone_with_location": (410, "resyncRequired"),
    "not_found": (404, "syncStateNotFound"),
    "bad_request": (400, "syncStateInvalid"),
}


@dataclass(frozen=True, slots=True)
class Round:
    """What a token says. `since` None: a first round, of all there is; `mode` holds r, d and s for replays, duplicates and
    shuffling; `options` what its first call asked for besides, and under names with `_` what was found for it; `at` is the
    key of what the last page ended with."""

    stream: str
    since: int | None
    until: int
    number: int
    mode: str
    select: list[str] | None
    epoch: int
    issued: float
    options: dict[str, str] = field(default_factory=dict)
    at: Key = _FIRST_KEY


class Delta:
    """Answers delta calls of any stream."""

    def __init__(self, store: Store, *, now: Callable[[], datetime]) -> None:
        self._store, self._now = store, now
        self.rounds = 0

    def contacts(self, call: Call, stream: str, contacts: Contacts) -> Answer:
        """Answers a delta call of a folder's contacts."""
        asked = read_select(call.parameters.get("$select"), LISTED, "contact")
        told = self.round(call, stream, asked)
        view = View(tuple(told.select) if told.select is not None else None)
        call.note.fields = view.fields

        def show(row: Row) -> dict[str, Any]:
            contacts.note(call, row)
            return contacts.shown(row, view, is_immutable=call.is_immutable)

        return self.page(call, told, show, type_="contact")

    def answer(self, call: Call, stream: str, select: tuple[str, ...] | None, show: Show, *, type_: str) -> Answer:
        """Answers a delta call of things that are shown by a function."""
        return self.page(call, self.round(call, stream, select), show, type_=type_)

    # --- tokens -------------------------------------------------------------------------------------------------------------
    def round(
        self,
        call: Call,
        stream: str,
        select: tuple[str, ...] | None = None,
        *,
        options: Mapping[str, str] | None = None,
        allowed: Sequence[str] = ("$select",),
    ) -> Round:
        """Returns the round that a call begins or goes on with; `options` are those of one that begins. Raises Refused for
        options that are not `allowed`, and for a token that is dead or none."""
        given = call.parameters
        if "$expand" in given and "$expand" not in allowed:
            raise Refused(500, "ErrorInternalServerError", "An internal server error occurred. The operation failed.")
        token = next((given[name] for name in OPTIONS if name in given), None)
        if token is None:
            if refused := [name for name in given if name.startswith("$") and name not in allowed]:
                told = "The following parameters are not supported with change tracking over this resource:"
                raise bad_request(f"{told} '{', '.join(refused)}'.", "ErrorInvalidUrlQuery")
            return self._opened(stream, None, list(select) if select is not None else None, options or {})
        present = self.read(token)
        if present is None or present.stream != stream:
            raise bad_request("The sync state is invalid.", "syncStateInvalid")
        if self.is_past(present.epoch, present.issued):
            raise self.dead(call, self._store.switches.delta_expired_form)
        if "$deltatoken" in given:
            return self._opened(stream, present.until, present.select, present.options)
        return present

    def _opened(self, stream: str, since: int | None, select: list[str] | None, options: Mapping[str, str]) -> Round:
        number, mode = self.opened()
        until, epoch, issued = self._store.sequence, self._store.epoch, self._now().timestamp()
        return Round(stream, since, until, number, mode, select, epoch, issued, dict(options))

    def opened(self) -> tuple[int, str]:
        """Returns the number of a new round, of whatever kind, and its mode."""
        switches = self._store.switches
        self.rounds += 1
        wanted = (("r", switches.delta_replays), ("d", switches.delta_duplicates), ("s", switches.delta_shuffles))
        return self.rounds, "".join(letter for letter, is_on in wanted if is_on)

    def is_past(self, epoch: int, issued: float) -> bool:
        """Tells whether a token of this epoch, issued then, is dead."""
        seconds = self._store.switches.delta_token_seconds
        return epoch != self._store.epoch or (seconds is not None and self._now().timestamp() - issued > seconds)

    def dead(self, call: Call, form: str) -> Refused:
        """Returns the refusal of a dead token in one of the forms that are seen; one says where to begin anew."""
        status, code = _FORMS[form]
        headers = (("Location", self._start(call)),) if form == "gone_with_location" else ()
        return Refused(status, code, "The sync state generation is not found; it may have expired.", headers)

    def _start(self, call: Call) -> str:
        told = self.read(call.parameters.get("$skiptoken") or call.parameters.get("$deltatoken") or "")
        select = {"$select": ",".join(told.select)} if told is not None and told.select else {}
        options = {} if told is None else {name: text for name, text in told.options.items() if not name.startswith("_")}
        return link(call, {**select, **options}, without=OPTIONS)

    def written(self, told: Round) -> str:
        return sealed(self._store.key, "delta", asdict(told).values())

    def read(self, token: str) -> Round | None:
        """Returns the round of a token, None for what is none of ours."""
        values = unsealed(self._store.key, "delta", token)
        if values is None:
            return None
        values[-1] = tuple(values[-1])
        return Round(*values)

    # --- one page -----------------------------------------------------------------------------------------------------------
    def page(
        self, call: Call, told: Round, show: Show, *, type_: str, keep: Keep = lambda row: True, is_removal_told: bool = True
    ) -> Answer:
        """Answers one page of a round: of what changed only what is to be kept."""
        wanted = read_id(call.prefers.get("odata.maxpagesize", ""))
        size = min(wanted or int(told.options.get("$top", self._store.switches.page_size)), MOST_ROWS)
        events = self._events(told, size + 1, self._wanted(told.stream, keep, is_removal_told=is_removal_told))
        shown = [self._shown(call, told.stream, event, show, type_) for event in events[:size]]
        body: dict[str, Any] = {"@odata.context": f"{call.root}/$metadata#Collection({type_})"}
        without = (*OPTIONS, "$select", *told.options)
        if len(events) > size:
            token = self.written(replace(told, at=events[size - 1][0], issued=self._now().timestamp()))
            body["@odata.nextLink"] = link(call, {"$skiptoken": token}, without=without)
        else:
            token = self.written(replace(told, since=None, at=_FIRST_KEY, issued=self._now().timestamp()))
            body["@odata.deltaLink"] = link(call, {"$deltatoken": token}, without=without)
        return Answer(200, {**body, "value": shown})

    def _shown(self, call: Call, stream: str, event: Event, show: Show, type_: str) -> dict[str, Any]:
        _, kind, number = event
        told = {"@odata.type": f"#microsoft.graph.{type_}"}
        if kind == CHANGED:
            row = self._store.member(stream, number)
            assert row is not None
            return {**told, **show(row)}
        removal = self._store.tables["removal"].rows[number]
        reason = "deleted" if removal["for_good"] else self._store.switches.removed_reason
        return {**told, "id": self._store.removed_id(removal, is_immutable=call.is_immutable), "@removed": {"reason": reason}}

    # --- what is in a round ---------------------------------------------------------------------------------------------------
    def _wanted(self, stream: str, keep: Keep, *, is_removal_told: bool) -> Callable[[Event], bool]:
        """Returns what tells whether an event is told."""

        def is_wanted(event: Event) -> bool:
            row = self._store.member(stream, event[2]) if event[1] == CHANGED else None
            return is_removal_told if event[1] == REMOVED else row is not None and keep(row)

        return is_wanted

    def _events(self, told: Round, most: int, is_wanted: Callable[[Event], bool]) -> list[Event]:
        """Returns the events of a round that come behind its last page, in their order, as many as a page may need."""
        if told.mode:
            return sorted(event for event in self._mixed(told) if event[0] > told.at and is_wanted(event))[:most]
        if told.since is None:
            members = self._store.members.get(told.stream, [])
            begin = 0 if told.at == _FIRST_KEY else bisect_right(members, told.at[1])
            all_: Iterable[Event] = (((1, number, 0), CHANGED, number) for number in islice(members, begin, None))
            return list(islice(filter(is_wanted, all_), most))
        behind = told.since if told.at == _FIRST_KEY else told.at[1]
        news: Iterable[Event] = (((1, at, 0), kind, n) for at, kind, n in self._news(told, behind))
        return list(islice(filter(is_wanted, news), most))

    def _news(self, told: Round, behind: int) -> Iterable[tuple[int, int, int]]:
        """Yields what the journal tells behind a number and up to the beginning of the round; of an item only its last change,
        and none that left meanwhile, or changed again: the next round tells of that."""
        for sequence, kind, number in self._store.journal(told.stream, behind, told.until):
            row = self._store.member(told.stream, number) if kind == CHANGED else None
            if kind == REMOVED or (row is not None and row["seq"] == sequence):
                yield sequence, kind, number

    def _mixed(self, told: Round) -> Iterable[Event]:
        for sequence, kind, number in self._told(told):
            key = self._key(told, sequence, kind, number)
            yield key, kind, number
            if "d" in told.mode and self._lot(told, "twice", number) % 2:
                # The second time an item is told as it is by then; a removal stays before whatever comes of its item later.
                again = (2, self._lot(told, "again", number), 1) if kind == CHANGED else (*key[:2], 1)
                yield again, kind, number

    def _told(self, told: Round) -> Iterable[tuple[int, int, int]]:
        """Yields what a round tells: all members of a first one, the news of a later one, and what it replays. Where a removal is
        replayed, so is what came of its item since."""
        gone = self._replayed(told)
        returned = {self._item(number) for _, _, number in gone}
        members = self._store.members.get(told.stream, []) if told.since is None or "r" in told.mode else []
        rows = [row for number in members if (row := self._store.member(told.stream, number)) is not None]
        if told.since is None:
            yield from ((row["seq"], CHANGED, row["n"]) for row in rows)
        else:
            yield from self._news(told, told.since)
            for row in rows:
                is_replayed = row["n"] in returned or self._lot(told, "replay", row["n"]) % 4 == 0
                if row["seq"] <= told.since and is_replayed:
                    yield row["seq"], CHANGED, row["n"]
        yield from gone

    def _replayed(self, told: Round) -> list[tuple[int, int, int]]:
        """Returns the removals of before that a round tells again."""
        if "r" not in told.mode:
            return []
        until = told.until if told.since is None else told.since
        gone = (entry for entry in self._store.journal(told.stream, -1, until) if entry[1] == REMOVED)
        return [entry for entry in gone if self._lot(told, "replay", entry[2]) % 2]

    def _item(self, removal: int) -> int:
        """Returns the number of what a removal is about."""
        return int(self._store.tables["removal"].rows[removal]["item"])

    def _key(self, told: Round, sequence: int, kind: int, number: int) -> Key:
        """Returns where an event stands. A removal comes before all that may tell that its item is there again."""
        if kind == REMOVED:
            if told.since is None or ("s" in told.mode and self._store.member(told.stream, self._item(number)) is not None):
                return 0, sequence, 0
        elif told.since is None and "s" not in told.mode:
            return 1, number, 0
        return 1, self._lot(told, "place", number) if "s" in told.mode else sequence, 0

    @staticmethod
    def _lot(told: Round, what: str, number: int) -> int:
        return crc32(f"{told.number} {told.since} {what} {number}".encode())

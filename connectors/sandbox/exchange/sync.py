"""SyncFolderItems and SyncFolderHierarchy: what happened in a folder, or to folders, since a state.

A state is sealed, and good for the folder it was given for. It holds two places in the journal: where the round began, and how far
it has come. What entered behind the beginning is told as created, even where it was told before and changed meanwhile.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from xml.etree.ElementTree import Element

from connectors.sandbox.exchange.attachments import Attachments
from connectors.sandbox.exchange.calls import Call
from connectors.sandbox.exchange.facts import Facts, Shape, read_shape, rendered
from connectors.sandbox.exchange.fields import MESSAGE
from connectors.sandbox.exchange.folders import Folders
from connectors.sandbox.exchange.refusal import Refused
from connectors.sandbox.exchange.soap import attribute, child, error, m, needed, number, success, t, text_of
from connectors.sandbox.exchange.store import TOP, Store, folders_of, items_of
from connectors.sandbox.exchange.switches import MOST_CHANGES
from connectors.sandbox.microsoft.sealed import sealed, unsealed
from connectors.sandbox.microsoft.table import Row

FEWEST_ASKED, MOST_ASKED = 1, 2**31 - 1
CREATE, UPDATE, READ, DELETE = "Create", "Update", "ReadFlagChange", "Delete"


@dataclass(frozen=True, slots=True)
class Change:
    """What happened to one row, or to what a removal names: where in the journal it stands, and how it is told."""

    place: int
    what: str
    row: Row


@dataclass(frozen=True, slots=True)
class State:
    """How far a client has come: where its round began, and the place of what it was told last."""

    began: int
    told: int


class Sync:
    """The two operations."""

    def __init__(self, store: Store, attachments: Attachments, folders: Folders) -> None:
        self._store, self._attachments, self._folders = store, attachments, folders

    # --- items ----------------------------------------------------------------------------------------------------------------
    def items(self, call: Call) -> list[Element]:
        try:
            return [self._items(call)]
        except Refused as refused:
            # The last two elements stand in refusals too.
            return [error(call.name, refused, m("SyncState"), m("IncludesLastItemInRange", text=True))]

    def _items(self, call: Call) -> Element:
        switches = self._store.switches
        shape = read_shape(call.operation, is_listed=True, truncates=switches.sync_truncates, refuses=switches.sync_refuses_bodies)
        most = self._most(text_of(needed(call.operation, "MaxChangesReturned")))
        folder = self._folder(call)
        stream = items_of(folder["n"])
        state = self._read(call.operation, stream)
        ignored = child(call.operation, "Ignore")
        left_out = {attribute(each, "Id") for each in ignored} if ignored is not None else set()
        changes = self._changes(stream, state, left_out)
        part = list(islice(changes, most + 1))
        after = self._after(stream, state, part, most)
        told = [self._shown(change, shape) for change in part[:most]]
        is_last = m("IncludesLastItemInRange", text=len(part) <= most)
        return success(call.name, m("SyncState", text=after), is_last, m("Changes", *told))

    def _most(self, text: str) -> int:
        asked = number(text, "MaxChangesReturned", least=FEWEST_ASKED, most=MOST_ASKED)
        if asked > MOST_CHANGES and self._store.switches.above_most_changes == "refuse":
            raise Refused("ErrorInvalidArgument", f"MaxChangesReturned is {MOST_CHANGES} at most.")
        return min(asked, self._store.switches.sync_page)

    def _folder(self, call: Call) -> Row:
        try:
            return call.only_folder("SyncFolderId")
        except Refused as refused:
            if refused.code == "ErrorFolderNotFound":
                raise Refused("ErrorSyncFolderNotFound", "The folder to synchronize could not be found.") from None
            raise

    def _shown(self, change: Change, shape: Shape) -> Element:
        if change.what == DELETE:
            return t(DELETE, t("ItemId", Id=change.row["id"], ChangeKey="EQAA"))
        facts = Facts(self._store, self._attachments, change.row)
        if change.what == READ:
            return t(READ, facts.id_element(), t("IsRead", text=bool(facts.value("message:IsRead"))))
        return t(change.what, rendered(facts, shape))

    # --- folders --------------------------------------------------------------------------------------------------------------
    def folders(self, call: Call) -> list[Element]:
        try:
            return [self._hierarchy(call)]
        except Refused as refused:
            return [error(call.name, refused, m("SyncState"), m("IncludesLastFolderInRange", text=True))]

    def _hierarchy(self, call: Call) -> Element:
        uris = self._folders.read_shape(call.operation)
        has_folder = child(call.operation, "SyncFolderId") is not None
        top = self._folder(call) if has_folder else self._store.special(call.box()["n"], TOP)
        stream = folders_of(top["mailbox"])
        state = self._read(call.operation, f"{stream} below {top['n']}")
        below = {row["n"] for row in self._store.below(top)}
        part = [each for each in self._changes(stream, state, set()) if each.what == DELETE or each.row["n"] in below]
        told = [t(each.what, t("FolderId", Id=each.row["id"]) if each.what == DELETE else self._folders.shown(each.row, uris))
                for each in part]  # fmt: skip
        after = self._state(f"{stream} below {top['n']}", State(self._store.sequence, self._store.sequence))
        return success(call.name, m("SyncState", text=after), m("IncludesLastFolderInRange", text=True), m("Changes", *told))

    # --- states ---------------------------------------------------------------------------------------------------------------
    def _changes(self, stream: str, state: State, left_out: set[str]) -> Iterator[Change]:
        """Yields what happened behind a state, in order."""
        for place, row, is_removal in self._store.behind(stream, state.told):
            if is_removal:
                if row["entered"] <= state.told:  # or the client never heard of it
                    yield Change(place, DELETE, row)
            elif row["entered"] > state.began:
                if not left_out or self._store.item_id(row) not in left_out:
                    yield Change(place, CREATE, row)
            elif row.get("kind") == MESSAGE and row["told"] <= state.told:
                yield Change(place, READ, row)
            else:
                yield Change(place, UPDATE, row)

    def _after(self, stream: str, state: State, part: list[Change], most: int) -> str:
        """Returns the state behind a part: of the same round where there is more, of a new one where there is not."""
        if len(part) > most:
            return self._state(stream, State(state.began, part[most - 1].place))
        return self._state(stream, State(self._store.sequence, self._store.sequence))

    def _state(self, stream: str, state: State) -> str:
        return sealed(self._store.key, f"state of {stream}", [self._store.epoch, state.began, state.told, "." * 120])

    def _read(self, operation: Element, stream: str) -> State:
        """Returns the state that a call brings. Raises Refused for one of another folder, one that died, or none of ours."""
        text = text_of(child(operation, "SyncState")).strip()
        if not text:
            return State(0, 0)
        found = unsealed(self._store.key, f"state of {stream}", text)
        if found is None or found[0] != self._store.epoch:
            raise Refused("ErrorInvalidSyncStateData", "Synchronization state data is corrupt or otherwise invalid.")
        return State(found[1], found[2])

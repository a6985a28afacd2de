"""Pages and sync tokens of lists. Tokens hold all that a later call needs, signed, so that nothing is kept for them.

The order is that of the last change. What changes while somebody pages moves to the end; the sync token of the last page
starts where the first page stood, so that such a change also comes with the next sync.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from connectors.sandbox.google.calls import COMMON, Call
from connectors.sandbox.google.refusal import expired_sync_token, invalid
from connectors.sandbox.google.table import Row, Table
from connectors.sandbox.wire import read_json

DAY = 86400.0
Order = Callable[[Row], tuple[str, int]]


@dataclass(slots=True)
class Found:
    """One page: rows, the token of the next page or, on the last one, that of the next sync, and how many rows there are in
    all. `since` is the change behind which a sync began, 0 for a full one; `is_first` says that it began here."""

    rows: list[Row]
    next_page: str
    next_sync: str
    total: int
    since: int


class Pager:
    """Makes pages. `nonce` differs from world to world: tokens of another one have expired."""

    def __init__(self, nonce: str) -> None:
        self.nonce = nonce

    def page(
        self, table: Table, call: Call, *, mailbox: str, size: int, gives_token: bool, present: int, now: float, days: int,
        sees_all: bool, order: Order | None = None,
    ) -> Found:  # fmt: skip
        """Returns the page that a call asks for. `sees_all`: the list is none of a sync reader, whom changes reach late."""
        state = self._state(table, call, mailbox=mailbox, now=now, days=days)
        if "h" not in state:
            state["h"] = present if sees_all else table.horizon(mailbox, present, now)
        since = int(state["s"])
        behind: Any
        if order is None:
            rows, behind = self._by_change(table, mailbox, max(since, int(state["a"])), now, size, sees_all=sees_all, is_sync=since > 0)
        else:
            rows, behind = _by(order, table.box(mailbox), state["a"], size)
        found = Found(rows, "", "", table.count(mailbox) if not since else len(rows), since)
        if behind is not None:
            found.next_page = self.token({**state, "k": "page", "a": behind, "b": bound(call, "pageToken")})
        elif gives_token:
            asked = bound(call, "pageToken", "syncToken")
            found.next_sync = self.token({**state, "k": "sync", "s": max(1, int(state["h"])), "b": asked})
        return found

    def _state(self, table: Table, call: Call, *, mailbox: str, now: float, days: int) -> dict[str, Any]:
        """Returns where a call goes on. Raises Refused for a token that is none, too old, or of a call with other parameters."""
        own = {"t": table.name, "m": mailbox, "n": self.nonce}
        page, sync = call.text("pageToken"), call.text("syncToken")
        if page:
            state = self.read(page, "page", own)
            if state is None or state["n"] != self.nonce:
                raise invalid("Page token is invalid.")
            if state["b"] != bound(call, "pageToken"):
                raise invalid("When the page token is specified, all other request parameters must match the first call.")
            return {name: state[name] for name in ("t", "m", "n", "s", "a", "h", "f")}
        if not sync:
            return {**own, "s": 0, "a": 0, "f": now}
        state = self.read(sync, "sync", own)
        if state is None:
            raise invalid("Sync token is invalid.")
        if state["n"] != self.nonce or now - state["f"] > days * DAY:
            raise expired_sync_token()
        if state["b"] != bound(call, "pageToken", "syncToken"):
            raise invalid("When the sync token is specified, all other request parameters must match the first call.")
        # The life of the chain is counted from its full sync.
        return {**own, "s": state["s"], "a": 0, "f": state["f"]}

    @staticmethod
    def _by_change(
        table: Table, mailbox: str, behind: int, now: float, size: int, *, sees_all: bool, is_sync: bool
    ) -> tuple[list[Row], int | None]:
        changes = table.changed_after(mailbox, behind) if sees_all else table.seen_after(mailbox, behind, now)
        wanted = (row for row in changes if is_sync or not row["is_deleted"])
        rows = _first(wanted, size + 1)
        return rows[:size], int(rows[size - 1]["seq"]) if len(rows) > size else None

    # --- tokens ---------------------------------------------------------------------------------------------------------
    def token(self, state: dict[str, Any]) -> str:
        """Returns a signed token that says where a list goes on."""
        data = json.dumps(state).encode()
        return base64.urlsafe_b64encode(_signature(data) + data).decode()

    def read(self, token: str, kind: str, own: dict[str, str]) -> dict[str, Any] | None:
        """Returns what a token of a kind says; None for one that nobody gave out, or for another list or mailbox."""
        try:
            raw = base64.b64decode(token.encode(), altchars=b"-_", validate=True)
            if not hmac.compare_digest(raw[:16], _signature(raw[16:])):
                return None
            state = read_json(raw[16:])
        except ValueError:
            return None
        is_own = state["k"] == kind and all(state[name] == own[name] for name in ("t", "m"))
        return state if is_own else None


def _signature(data: bytes) -> bytes:
    return hashlib.blake2b(data, digest_size=16, key=b"sandbox").digest()  # so that nobody makes up tokens by hand


def bound(call: Call, *without: str) -> str:
    """Returns what must be the same in every call of a list; the order of fields in a mask does not matter."""
    pairs = sorted(
        (name, sorted(part.strip() for value in values for part in value.split(",")))
        for name, values in call.parameters.items()
        if name not in without and name not in COMMON
    )
    return hashlib.sha256(json.dumps(pairs).encode()).hexdigest()[:16]


def _first(rows: Iterator[Row], most: int) -> list[Row]:
    found = []
    for row in rows:
        found.append(row)
        if len(found) == most:
            break
    return found


def _by(order: Order, rows: list[Row], behind: Any, size: int) -> tuple[list[Row], list[Any] | None]:
    """Returns a page in another order: by a text and the number."""
    ordered = sorted(rows, key=order)
    if behind:
        ordered = [row for row in ordered if list(order(row)) > behind]
    page = ordered[:size]
    return page, list(order(page[-1])) if len(ordered) > size else None

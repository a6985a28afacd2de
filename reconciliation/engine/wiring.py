"""What a run is wired to: clocks, connectors, and how many calls may be under way. Tests and the simulation swap it."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from django.db.models.functions import Now

from connectors.contract import Connector
from connectors.http import HttpClient
from reconciliation.defaults.contacts import CONTACTS_PASS
from reconciliation.models import Connection, SyncPass
from reconciliation.passes.contacts import CATEGORY

TWO_WAY = {"passes": "two-way"}
# What a pass over a mailbox opens of it.
OPENS: Mapping[str, Callable[[Any, str], Any]] = {
    "contacts": lambda connection, address: connection.mailbox(address),
    "events": lambda connection, address: connection.calendar(address),
    "tasks": lambda connection, address: connection.tasks(address),
    "emails": lambda connection, address: connection.mails(address),
}


@dataclass(frozen=True, slots=True)
class Switches:
    """Ways to break the engine on purpose. All off in the product; the simulation turns them on one by one to show
    that its checks would notice."""

    cursor_is_strict: bool = False
    cursor_is_our_clock_at_end: bool = False
    writes_whole_record: bool = False
    keeps_no_intent: bool = False
    binds_after_page: bool = False
    names_before_journal: bool = False
    takes_echo_for_change: bool = False
    ignores_settle_time: bool = False
    ignores_twins: bool = False
    resends_in_doubt: bool = False
    flags_on_connection_trouble: bool = False
    moves_cursor_when_interrupted: bool = False
    forgets_owed_write_back: bool = False
    # Of two-way passes only.
    has_one_base: bool = field(default=False, metadata=TWO_WAY)
    moves_bases_before_write: bool = field(default=False, metadata=TWO_WAY)
    writes_without_compare: bool = field(default=False, metadata=TWO_WAY)
    dates_edits_by_echo: bool = field(default=False, metadata=TWO_WAY)
    keeps_no_losers: bool = field(default=False, metadata=TWO_WAY)


def _build(connection: Connection, **options: Any) -> Connector:
    from reconciliation.engine.connections import open_connector

    return open_connector(connection, **options)


def _build_http(connection: Connection, **options: Any) -> HttpClient:
    from reconciliation.engine.connections import open_http

    return open_http(connection, **options)


@dataclass(frozen=True, slots=True)
class Wiring:
    """Clocks and makers. `now` is our wall clock (aware UTC), `db_now` the database's, `workers` caps the threads of
    the executor (0: every call in the caller's thread)."""

    now: Callable[[], datetime] = lambda: datetime.now(UTC)
    monotonic: Callable[[], float] = time.monotonic
    db_now: Callable[[], Any] = Now
    sleep: Callable[[float], None] = time.sleep
    open_connector: Callable[..., Connector] = _build
    open_http: Callable[..., HttpClient] = _build_http
    workers: int = 8
    switches: Switches = field(default_factory=Switches)

    def open_peer(self, sync_pass: SyncPass) -> Connector:
        """Returns the peer of a pass outside a run; of a mailbox's pass it is what the pass goes over: its folder of contacts, its
        calendar."""
        connector, mailbox = self.open_connector(sync_pass.peer), sync_pass.mailbox
        if mailbox is None:
            return connector
        box = OPENS[sync_pass.kind](connector, mailbox.address)
        if mailbox.folder_id and sync_pass.kind == CONTACTS_PASS:
            box.use_folder(mailbox.folder_id, CATEGORY)
        return box  # type: ignore[no-any-return]

"""Which names under *Assigned To* are Outreach usernames: asked once while a pass is set up, from a bounded read (S0.25)."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable

from connectors.contract import All, Position
from reconciliation.core.eligibility import switched_on
from reconciliation.core.values import is_blank
from reconciliation.engine import gather
from reconciliation.engine.wiring import Wiring
from reconciliation.models import OwnerCheck, RemoteUser, SyncPass
from reconciliation.passes.organisations import ORGANISATION, OWNER
from reconciliation.store import mapping_of, organisation_columns

MOST_READ, MOST_SECONDS, MOST_NAMES = 2_000, 10.0, 200


def owner_columns(sync_pass: SyncPass) -> list[str]:
    """Returns the CRM's columns that are sent as owner."""
    return [rule.crm for rule in mapping_of(sync_pass.mapping, sync_pass.peer).rules if rule.peer == OWNER]


def owners_look(sync_pass: SyncPass, *, wiring: Wiring | None = None, monotonic: Callable[[], float] = time.monotonic) -> OwnerCheck:
    """Reads up to MOST_READ organisations that may sync, and asks Outreach for their *Assigned To*. Stores and returns what
    it found. Reads only. Raises ConnectorError."""
    wiring = wiring or Wiring()
    columns, found = owner_columns(sync_pass), Counter[str]()
    looked_at, is_complete = 0, True
    if columns:
        crm = wiring.open_connector(sync_pass.crm)
        try:
            where, position, ends = All(switched_on(organisation_columns(sync_pass))), None, monotonic() + MOST_SECONDS
            while True:
                page = crm.changes(ORGANISATION, where=where, columns=columns, position=position)
                looked_at += len(page.records)
                found.update(str(r.fields[c]) for r in page.records for c in columns if not is_blank(r.fields.get(c)))
                position: Position | None = page.position
                if position is None:
                    break
                if looked_at >= MOST_READ or monotonic() >= ends:
                    is_complete = False
                    break
        finally:
            crm.close()
    names = found.most_common(MOST_NAMES)
    users: dict[str, str] = {}
    if names:
        peer = wiring.open_connector(sync_pass.peer)
        try:
            # Who was not there yesterday may be there now: that is what is asked.
            RemoteUser.objects.filter(connection=sync_pass.peer, username__in=[name for name, _ in names], user_id="").delete()
            users = gather.users_by_name(peer, sync_pass.peer, [name for name, _ in names], wiring)
        finally:
            peer.close()
    values = {
        "at": wiring.now(),
        "looked_at": looked_at,
        "is_complete": is_complete and len(found) <= MOST_NAMES,
        "names": [[name[:255], n, name in users] for name, n in names],
    }
    check, _ = OwnerCheck.objects.update_or_create(sync_pass=sync_pass, defaults=values)
    return check

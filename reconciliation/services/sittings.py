"""Working through prospects one after the other: those of an import that failed for their address, or all that wait (S2.19)."""

from __future__ import annotations

from dataclasses import dataclass

from reconciliation.models import Case, ImportRow, SyncPass

MOST = 10_000


@dataclass(frozen=True, slots=True)
class Sitting:
    """Where somebody stands: "3 of 12". `position` 0: this prospect is none of them. `is_asked`: its question is open still."""

    import_id: int | None
    position: int = 0
    total: int = 0
    before: str = ""
    following: str = ""
    is_asked: bool = False


def sitting_of(sync_pass: SyncPass, peer_id: str, import_id: int | None = None) -> Sitting:
    """Returns the place of a prospect among those of the import, in its order, or among those that wait."""
    if import_id is not None:
        rows = ImportRow.objects.filter(batch=import_id, batch__sync_pass=sync_pass, reason=ImportRow.Reason.SAME_EMAIL)
        rows = rows.filter(state=ImportRow.State.FAILED).exclude(peer_id="").order_by("number")
        found = list(rows.values_list("peer_id", "case__state")[:MOST])
        ids, is_asked = list(dict.fromkeys(id_ for id_, _ in found)), (peer_id, Case.State.OPEN) in found
    else:
        waiting = Case.objects.filter(sync_pass=sync_pass, kind=Case.Kind.REMAP, state=Case.State.OPEN).exclude(peer_id="")
        ids = list(dict.fromkeys(waiting.order_by("pk").values_list("peer_id", flat=True)[:MOST]))
        is_asked = peer_id in ids
    if peer_id not in ids:
        return Sitting(import_id, 0, len(ids), following=ids[0] if ids else "")
    place = ids.index(peer_id)
    before, following = ids[place - 1] if place else "", ids[place + 1] if place + 1 < len(ids) else ""
    return Sitting(import_id, place + 1, len(ids), before, following, is_asked)

"""Items whose ids change with every move, as on an Exchange server: where one of ours went is told by the mark that it bears. Mail
systems that keep ids cost nothing here."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any

from django.db.models import Q
from django.utils.dateparse import parse_datetime

from connectors.contract import Record
from connectors.mailboxes import BIN, FOREIGN_ID, PLACE, Sighting
from reconciliation.engine import mailbox_ends, mailbox_ids
from reconciliation.engine.context import RunContext
from reconciliation.models import Binding, LookAgain
from reconciliation.passes.contacts import ITEM

OWED_AT_ONCE = 600
HEARD_AT = "heard_at"  # in the settings of a mailbox's pass: when the round began whose list was heard to its end


def follow_out(context: RunContext, outside: Sequence[Sighting]) -> list[str]:
    """Lets links follow to items that a list shows elsewhere in the mailbox, under other ids. Returns those: each left our folder.
    One whose first item is there still is a copy, and no move."""
    named = {sighting.foreign_id: sighting.id for sighting in outside if sighting.foreign_id}
    if not named:
        return []
    rows = Binding.objects.filter(sync_pass=context.sync_pass, is_tombstone=False, crm_id__in=named)
    moved = {row.peer_id: named[row.crm_id] for row in rows if row.peer_id != named[row.crm_id]}
    places = mailbox_ends.where_they_are(context, list(moved))
    moved = {old: new for old, new in moved.items() if places[old] == BIN}
    mailbox_ids.follow(context, moved)
    return list(moved.values())


def follow_marked(context: RunContext, records: Sequence[Record], gone: Collection[str], *, is_whole: bool) -> None:
    """Lets links follow to records that bear our mark under another id than we know, where the list says of that one that it is gone."""
    named = {str(r.fields[FOREIGN_ID]): r.ref.id for r in records if r.fields.get(FOREIGN_ID)} if _changes_ids(context) else {}
    if not named:
        return
    here, left = {record.ref.id for record in records}, set(gone)
    rows = Binding.objects.filter(sync_pass=context.sync_pass, is_tombstone=False, crm_id__in=named)
    known = {row.peer_id: named[row.crm_id] for row in rows if row.peer_id not in here}
    mailbox_ids.follow(context, {old: new for old, new in known.items() if is_whole or old in left})


def follow_lost(context: RunContext, places: Mapping[str, str]) -> dict[str, str]:
    """Returns where these items lie. Links follow to those that are nowhere under the id that we know, and somewhere under another:
    no list told of the folder that they were moved to."""
    lost = [id_ for id_, place in places.items() if place == BIN]
    if not lost or not _changes_ids(context):
        return dict(places)
    rows = Binding.objects.filter(sync_pass=context.sync_pass, is_tombstone=False, peer_id__in=lost)
    by_mark = dict(rows.values_list("crm_id", "peer_id"))
    found = context.peer.connector.find_marked(ITEM, sorted(by_mark), [PLACE], since=context.run.started_at) if by_mark else []
    moved = {by_mark[str(r.fields[FOREIGN_ID])]: r for r in found if r.fields.get(FOREIGN_ID) in by_mark and r.fields.get(PLACE) != BIN}
    mailbox_ids.follow(context, {old: record.ref.id for old, record in moved.items()})
    stayed = {id_: place for id_, place in places.items() if id_ not in moved}
    return stayed | {record.ref.id: str(record.fields[PLACE]) for record in moved.values()}


def unheard(context: RunContext, seen: Collection[str]) -> list[str]:
    """Returns linked items that came into the folder, or were written there, since the list was heard to its end, and of which it says
    nothing now. Such a list tells no deletion of what it never named: what we made and its user deleted before the next round would
    stay linked for ever. Each is to be asked for by its id."""
    if not _changes_ids(context):
        return []
    heard_at = parse_datetime(str(context.sync_pass.settings.get(HEARD_AT) or ""))
    rows = Binding.objects.filter(sync_pass=context.sync_pass, is_tombstone=False, bound_at__lt=context.run.started_at)
    if heard_at is not None:
        rows = rows.filter(Q(bound_at__gte=heard_at) | Q(synced_at__gte=heard_at))
    return [id_ for id_ in rows.values_list("peer_id", flat=True) if id_ not in seen]


def heard(context: RunContext) -> dict[str, Any]:
    """Returns what is kept with the cursor of a list that was heard to its end."""
    if not _changes_ids(context):
        return {}
    return {"settings": {**context.sync_pass.settings, HEARD_AT: context.run.started_at.isoformat()}}


def _changes_ids(context: RunContext) -> bool:
    return bool(getattr(context.peer.connector, "moves_change_ids", False))


def follow_owed(context: RunContext) -> None:
    """Lets links that are owed a look follow first: by the id that we know an item may be nowhere that its user only moved."""
    if not _changes_ids(context):
        return
    due = LookAgain.objects.due().filter(sync_pass=context.sync_pass)
    owed = Q(peer_id__in=due.filter(side="peer").values("record_id")) | Q(crm_id__in=due.filter(side="crm").values("record_id"))
    ids = list(Binding.objects.filter(owed, sync_pass=context.sync_pass, is_tombstone=False).values_list("peer_id", flat=True))
    for start in range(0, len(ids), OWED_AT_ONCE):
        follow_lost(context, mailbox_ends.where_they_are(context, ids[start : start + OWED_AT_ONCE]))

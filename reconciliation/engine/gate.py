"""Whether a run may write: the switch for all writes, and the way of a real pass from its first preview to *on* (C33, D27).

A run that may not write is not refused: it reads and decides like any other, and ends as a plan that is held.
"""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from reconciliation.engine import stop
from reconciliation.engine.mailbox_terms import effective_of
from reconciliation.models import Connection, Mailbox, Run, SyncPass
from reconciliation.store import organisation_columns, person_columns

NOT_SWITCHED_ON = "This pass was never switched on, so this run is a plan and nothing was written. Look at it, then go on under Set-up."
NOT_STARTED = "It was never started for this mailbox, so this run is a plan; nothing was written. Look at it, then start it on its page."
NOT_APPLIED = "This pass was never switched on: its plans are not carried out as a whole. Try it with a pilot first, under Set-up."
ENDED = "The sync of this mailbox was ended: nothing is written any more. Add the mailbox again first."


# Settings of a mailbox that decide what the first run of a pass does.
FIRST_RUNS_REST_ON = {
    "contacts": ("view", "existing"),
    "events": ("share_events", "private_events", "cancelled_events"),
    "tasks": ("share_tasks",),
    "emails": ("share_emails", "email_direction", "private_emails", "email_bodies", "email_files"),
}


class RunHeld(Exception):
    """A run cannot begin before a person did something; the sentence says what."""


def is_ended(sync_pass: SyncPass) -> bool:
    """Tells whether the sync of the pass's mailbox was ended, as the database has it now."""
    return sync_pass.mailbox_id is not None and Mailbox.objects.filter(pk=sync_pass.mailbox_id, state=Mailbox.State.ENDED).exists()


def is_real(sync_pass: SyncPass) -> bool:
    """Tells whether the pass writes to a system of a company, on at least one side."""
    return not (sync_pass.crm.is_sandbox and sync_pass.peer.is_sandbox)


def is_closed(sync_pass: SyncPass) -> bool:
    """Tells whether the pass has still to be switched on for the first time."""
    is_planned_first = sync_pass.mailbox is not None and sync_pass.mailbox.is_planned_first
    return sync_pass.switched_on_at is None and (is_real(sync_pass) or is_planned_first)


def what_it_rests_on(sync_pass: SyncPass) -> dict[str, Any]:
    """Returns what a preview was made with: another mapping, other fields or other systems make another plan."""
    columns = {"organisation": asdict(organisation_columns(sync_pass)), "person": asdict(person_columns(sync_pass))}
    systems = {side.system: _whose(side) for side in (sync_pass.crm, sync_pass.peer)}
    types = _types_of(sync_pass)
    more = {**({"types": types} if types else {}), **_of_mailbox(sync_pass), **_of_activities(sync_pass)}
    return {"mapping": sync_pass.mapping.version, "columns": columns, "systems": systems, **more}


def _of_mailbox(sync_pass: SyncPass) -> dict[str, Any]:
    """Returns what of a mailbox and its settings decides what a first run does."""
    if sync_pass.mailbox is None:
        return {}
    held = effective_of(sync_pass, sync_pass.mailbox)
    return {"mailbox": [sync_pass.mailbox.crm_user_id, *(held[name].value for name in FIRST_RUNS_REST_ON.get(sync_pass.kind, ()))]}


def _of_activities(sync_pass: SyncPass) -> dict[str, Any]:
    """Returns since when activities are carried, where a person said so: another beginning makes another plan."""
    return {"activities": sync_pass.settings.get("activities", {})} if sync_pass.is_of_activities else {}


def _types_of(sync_pass: SyncPass) -> list[list[Any]]:
    """Returns what a two-way pass does with which records, in order."""
    names = ("crm_object", "inbound_create", "inbound_update", "outbound_create", "outbound_update", "conditions")
    return [[*(getattr(kind, name) for name in names), kind.mapping.version] for kind in sync_pass.whole.record_types.all() if kind.is_on]


def _whose(connection: Connection) -> list[str]:
    own = connection.settings or {}
    return [connection.base_url, str(own.get("database_id", "")), str(own.get("organisation", ""))]


def preview_wanted(sync_pass: SyncPass) -> str:
    """Returns why an admin must look at a preview before anything is written, "" when one was looked at (C33)."""
    if not is_closed(sync_pass) or sync_pass.is_over_mailboxes:  # each mailbox has a preview of its own to be looked at
        return ""
    seen = sync_pass.preview_seen
    if not seen:
        return "Its first preview has not been looked at. Make one with Preview, open it, and confirm there that you looked at it."
    if seen.get("rests_on") != what_it_rests_on(sync_pass):
        return "Mapping, fields or a connection were changed since the preview was looked at. Make a new one with Preview and confirm it."
    return ""


def other_holder(sync_pass: SyncPass) -> SyncPass | None:
    """Returns the pass that is on and keeps the same records of the peer: they hold one key, so two cannot be (D32). Each
    mailbox has records of its own."""
    if sync_pass.mailbox_id is not None:
        return None
    same_records = SyncPass.objects.whole().filter(peer=sync_pass.peer_id, mapping__peer_object=sync_pass.mapping.peer_object, is_on=True)
    return same_records.exclude(pk=sync_pass.pk).select_related("crm", "mapping").first()


def held_because(sync_pass: SyncPass, kind: str) -> str:
    """Returns why a run of this kind may write nothing, "" when it may."""
    if why := stop.stopped_sentence():
        return f"{why} This run is a plan; nothing was written."
    if is_ended(sync_pass):
        return ENDED
    if not sync_pass.is_on and (other := other_holder(sync_pass)):
        return f"“{other}” is on, and these records hold one key. This run is a plan; nothing was written."
    if not is_closed(sync_pass):
        return ""
    if kind == Run.Kind.PILOT:
        return preview_wanted(sync_pass)
    if sync_pass.mailbox_id is not None:
        return NOT_STARTED
    return NOT_APPLIED if kind == Run.Kind.APPLY else NOT_SWITCHED_ON

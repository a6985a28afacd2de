"""What holds for a run that carries activities, read from its rows, and since when activities are carried."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from django.utils import timezone

from reconciliation.engine.executor import Side
from reconciliation.engine.pair_terms import database_of
from reconciliation.engine.wiring import Wiring
from reconciliation.models import Connection, SyncPass
from reconciliation.passes.activities import CRM_TASK, LONGEST, ActivityTerms

SETTING = "activities"  # in the settings of the pass: {"from": an instant, "is_chosen": whether a person said so}


def begins_at(sync_pass: SyncPass) -> datetime:
    """Returns the moment from which on activities are carried: that of switching on, or what a person chose (D27)."""
    text = str(sync_pass.settings.get(SETTING, {}).get("from") or "")
    return datetime.fromisoformat(text) if text else sync_pass.switched_on_at or sync_pass.last_run_time or timezone.now()


def is_chosen(sync_pass: SyncPass) -> bool:
    """Tells whether a person chose that moment."""
    return bool(sync_pass.settings.get(SETTING, {}).get("is_chosen"))


def setting(at: datetime, *, chosen: bool) -> dict[str, Any]:
    """Returns what the settings of the pass hold of it."""
    return {SETTING: {"from": at.isoformat(), "is_chosen": chosen}}


def terms_of(sync_pass: SyncPass, crm: Side, peer: Side, wiring: Wiring) -> ActivityTerms:
    """Returns what holds for the whole run, as it stands now."""
    return ActivityTerms(
        begins_at=begins_at(sync_pass),
        database=database_of(crm.connection),
        crm_name=crm.connection.get_system_display(),
        peer_name=peer.connection.get_system_display(),
        is_restored=sync_pass.restored_at is not None,
        longest=_longest(crm.connection),
    )


def _longest(crm: Connection) -> dict[str, int]:
    """Returns how long texts may be: what the CRM said of its fields, else what it is known to take."""
    known = (crm.schema_cache or {}).get(CRM_TASK, {})
    return {name: int(known.get(name, {}).get("max_length") or most) for name, most in LONGEST.items()}

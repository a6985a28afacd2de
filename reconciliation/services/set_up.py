"""Makes connections, default mapping tables and passes; told twice it changes nothing (S0.2)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from django.db import transaction
from django.utils import timezone

from reconciliation.defaults.organisations import STANDARD_RULES
from reconciliation.engine.worlds import forget_other_worlds
from reconciliation.models import Connection, FieldRule, MappingTable, MappingVersion, SyncPass

ORGANISATIONS_PASS = "organisations"


@transaction.atomic
def connect_sandbox(description: Mapping[str, Any]) -> tuple[SyncPass, bool]:
    """Makes or refreshes the connections of a sandbox from what its control port says. Returns the organisations pass
    and whether what was known of an earlier world was forgotten. Idempotent."""
    crm = _connection("Workbooks (sandbox)", "workbooks", description, settle_seconds=0)
    peer = _connection("Outreach (sandbox)", "outreach", description, settle_seconds=2)
    sync_pass = organisations_pass(crm, peer)
    forgot = forget_other_worlds(sync_pass, str(description["world_id"]))
    return sync_pass, forgot


def _connection(name: str, system: str, description: Mapping[str, Any], *, settle_seconds: int) -> Connection:
    given = dict(description[system])
    web_url = given.get("web_url", "")
    path = {"workbooks": "organisations", "outreach": "accounts"}[system]
    secrets = {
        k: given[k]
        for k in ("api_key", "username", "password", "access_token", "client_id", "client_secret", "refresh_token")
        if k in given
    }
    row, _ = Connection.objects.update_or_create(
        name=name,
        defaults={
            "system": system,
            "base_url": given["base_url"],
            "page_address_template": f"{web_url}/{path}/{{id}}" if web_url else "",
            "settings": {k: v for k, v in {**given, **description}.items() if k in ("database_id", "control_url") and v},
            "secrets": secrets,
            "is_sandbox": True,
            "settle_seconds": settle_seconds,
        },
    )
    return row


def organisations_pass(crm: Connection, peer: Connection) -> SyncPass:
    """Returns the pass of seed 000 between two connections, made with its default mapping when it is new."""
    table, is_new = MappingTable.objects.get_or_create(
        name="Organisations → Accounts", defaults={"crm_object": "organisation", "peer_object": "account"}
    )
    if is_new:
        FieldRule.objects.bulk_create(
            FieldRule(table=table, crm_field=crm_field, peer_field=peer_field, transform=transform, is_standard=True)
            for crm_field, peer_field, transform in STANDARD_RULES
        )
        MappingVersion.keep(table, reason="The standard fields.")
    is_sandbox = crm.is_sandbox and peer.is_sandbox  # a real pass is off until its first preview was looked at (C33)
    sync_pass, _ = SyncPass.objects.get_or_create(
        name=ORGANISATIONS_PASS,
        # Before the first run, Last Run Time is the moment of switching on (D27).
        defaults={
            "title": "Outreach Send/Receive",
            "crm": crm,
            "peer": peer,
            "mapping": table,
            "is_on": is_sandbox,
            "switched_on_at": timezone.now() if is_sandbox else None,
            "last_run_time": timezone.now().replace(microsecond=0),
        },
    )
    return sync_pass

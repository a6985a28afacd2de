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


class SetUpRefused(ValueError):
    """A pair of systems that cannot be; the sentence says why."""


def refuse_second(system: str) -> None:
    """Raises SetUpRefused where a connection of this system would be a second one (D32): a peer's records hold one key of
    one CRM, and a CRM's records one Outreach Id."""
    sync_pass = SyncPass.objects.select_related("crm", "peer").filter(name=ORGANISATIONS_PASS).first()
    if sync_pass is not None:
        _refuse_other_pair(sync_pass, system)
    there = Connection.objects.filter(system=system).first()
    if there is not None:
        raise SetUpRefused(f"There is a connection “{there}” already. Open it and change it instead.")


def _refuse_other_pair(sync_pass: SyncPass, system: str) -> None:
    crm, peer = sync_pass.crm, sync_pass.peer
    if system == Connection.System.WORKBOOKS:
        reason = (
            f"“{peer}” has a CRM of record already, “{crm}”: an account's key (customId) has room for one, and a second would overwrite it."
        )
    else:
        reason = f"“{crm}” sends its organisations to “{peer}” already: Outreach Id has room for one account, a second would overwrite it."
    if crm.is_sandbox:
        reason += " That pair is the sandbox's. Give real systems an installation of their own: played records must not meet real ones."
    raise SetUpRefused(reason)


def pair_up() -> SyncPass | None:
    """Returns the pass between the two connections once both are there, switched off (D27: it is switched on by a person
    who has seen its preview); None before."""
    crm = Connection.objects.filter(system=Connection.System.WORKBOOKS).first()
    peer = Connection.objects.filter(system=Connection.System.OUTREACH).first()
    return organisations_pass(crm, peer) if crm and peer else None


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
            "renewal_begun_at": None,
            "refresh_used_at": None,  # these tokens are new
            "settle_seconds": settle_seconds,
        },
    )
    return row


def organisations_pass(crm: Connection, peer: Connection) -> SyncPass:
    """Returns the pass of seed 000 between two connections, made with its default mapping when it is new, on for a
    sandbox and off for real systems. Raises SetUpRefused when it is another pair's."""
    other = SyncPass.objects.select_related("crm", "peer").filter(name=ORGANISATIONS_PASS).exclude(crm=crm, peer=peer).first()
    if other is not None:
        _refuse_other_pair(other, Connection.System.OUTREACH if other.crm_id == crm.pk else Connection.System.WORKBOOKS)
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

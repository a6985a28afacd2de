"""What holds for a run of a two-way pass, read from its rows."""

from __future__ import annotations

from django.db.models import Exists

from reconciliation.engine.executor import Side
from reconciliation.engine.wiring import Wiring
from reconciliation.models import Connection, Policy, RecordType, SyncPass
from reconciliation.passes.accounts import COMPANIES
from reconciliation.passes.contacts import PEOPLE as CONTACTS
from reconciliation.passes.events import EVENTS
from reconciliation.passes.pairs import Kind, PairTerms, Restore, TypeTerms
from reconciliation.passes.prospects import PEOPLE
from reconciliation.passes.tasks import TASKS
from reconciliation.store import mapping_of

KINDS: dict[str, Kind] = {"prospects": PEOPLE, "accounts": COMPANIES, "contacts": CONTACTS, "events": EVENTS, "tasks": TASKS}


def terms_of(sync_pass: SyncPass, crm: Side, peer: Side, wiring: Wiring) -> PairTerms:
    """Returns the terms as they stand now: record types in order, each with its mapping, and the dedupe policy."""
    choosing = Policy.objects.filter(pk=1, same_email=Policy.SameEmail.CHOOSE)
    on = sync_pass.whole.record_types.filter(is_on=True).annotate(allows_choice=Exists(choosing))
    rows = list(on.select_related("mapping").prefetch_related("mapping__rules"))
    return PairTerms(
        kind=KINDS[sync_pass.kind],
        types=tuple(_type(row, crm, peer) for row in rows),
        database=database_of(crm.connection),
        peer_name=peer.connection.get_system_display(),
        crm_name=crm.connection.get_system_display(),
        allows_choice=any(row.allows_choice for row in rows),
        margin_seconds=float(sync_pass.settings.get("margin_seconds", 60)),
        integration_users=frozenset(crm.connection.settings.get("integration_users") or ()),
        restore=Restore(sync_pass.restored_at) if sync_pass.restored_at else None,
        sends_whole_record=wiring.switches.writes_whole_record,
        has_one_base=wiring.switches.has_one_base,
        dates_by_echo=wiring.switches.dates_edits_by_echo,
    )


def database_of(crm: Connection) -> str:
    """Returns what names the CRM's database in our keys. An organisation's address may change, its id does not."""
    own = crm.settings or {}
    return str(own.get("database_id") or own.get("organisation_id") or own.get("organisation") or crm.pk)


def _type(row: RecordType, crm: Side, peer: Side) -> TypeTerms:
    return TypeTerms(
        crm_object=row.crm_object,
        peer_object=row.peer_object,
        mapping=mapping_of(row.mapping, peer.connection, crm=crm.connection),
        on_first_link=row.mapping.on_first_link,
        inbound_create=row.inbound_create,
        inbound_update=row.inbound_update,
        outbound_create=row.outbound_create,
        create_held=row.held_reason,
        outbound_update=row.outbound_update,
        conditions=tuple((str(f), str(t), str(v)) for f, t, v in row.conditions),
    )

"""What a restored organisation is linked to: the account of the deleted one, with what differs left as it is.

A restore links it in the transaction that settles its create; `recovery` does, when the process ended before."""

from __future__ import annotations

from collections.abc import Mapping as ReadOnly

from connectors.contract import Connector, Record, Ref
from reconciliation.core.mapping import Mapping
from reconciliation.core.values import name_key
from reconciliation.engine import differences, gather
from reconciliation.engine.context import RunContext
from reconciliation.models import Binding, SyncPass, Tombstone
from reconciliation.passes.organisations import ACCOUNT, ORGANISATION
from reconciliation.store import encode_fields, pick


def account_for(sync_pass: SyncPass, peer: Connector, mapping: Mapping, stone: Tombstone) -> Record | None:
    """Returns the account that the deleted organisation was linked to, None when it is gone or another one's by now.
    Raises ConnectorError."""
    if not stone.peer_id or gather.bound_organisations(sync_pass, [stone.peer_id]):
        return None
    return gather.accounts_by_id(peer, mapping, [stone.peer_id]).get(stone.peer_id)


def bind_again(context: RunContext, record: Record, account: Record) -> None:
    """Links both; each side's present values become its own base, so that nothing is written (leave differences)."""
    terms, now = context.terms, context.wiring.now()
    name = str(record.fields.get("name") or "")
    binding, _ = Binding.objects.update_or_create(
        sync_pass=context.sync_pass,
        crm_type=ORGANISATION,
        crm_id=record.ref.id,
        defaults={
            "peer_type": ACCOUNT,
            "peer_id": account.ref.id,
            "name": name[:255],
            "name_key": name_key(name),
            "crm_base": pick(record.fields, terms.mapping.crm_fields),
            "peer_base": encode_fields({n: account.fields.get(n) for n in terms.mapping.peer_fields}),
            "crm_version": record.version,
            "peer_version": account.version,
            "mapping_version": terms.mapping.version,
            "are_people_due": True,
            "how": "restored",
            "bound_at": now,
            "synced_at": now,
        },
    )
    differences.note_link(context, binding)


def mark_restored(context: RunContext, stone: Tombstone, made: Ref, by: str) -> None:
    """Notes what was made in place of the deleted record, and who asked for it."""
    Tombstone.objects.filter(pk=stone.pk).update(restored_at=context.wiring.now(), restored_by=by[:150], restored_as=str(made))


def settle_found(context: RunContext, origin: ReadOnly[str, object], record: Record) -> None:
    """Finishes the restore that was begun with this `origin` and never came to its end: the organisation exists. Raises
    ConnectorError."""
    stone = Tombstone.objects.filter(pk=origin.get("tombstone"), restored_at=None).first()
    if stone is None:
        return
    account = None if record.is_deleted else account_for(context.sync_pass, context.peer.connector, context.terms.mapping, stone)
    if account is not None:
        bind_again(context, record, account)
    mark_restored(context, stone, record.ref, str(origin.get("staff") or ""))

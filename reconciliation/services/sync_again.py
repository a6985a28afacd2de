"""A link of a two-way pass that ended because one side was deleted, forgotten on request: what is left counts as new, and
the pass links or makes its counterpart by its own rules. Nothing is written by this itself."""

from __future__ import annotations

from django.contrib.auth.models import AbstractBaseUser
from django.db import transaction

from connectors.contract import Ref
from reconciliation.engine import pair_trouble
from reconciliation.engine.context import RunContext
from reconciliation.engine.staff import at_work
from reconciliation.engine.wiring import Wiring
from reconciliation.models import Binding, Operation, Tombstone
from reconciliation.services.audit import audit
from reconciliation.services.duplicates import DecisionRefused

BUTTON = "Sync it again"
MOVED = "Nothing was deleted: its link was moved to another record. Take that remap back in the journal, or find its matches."
MERGED = "Its record was merged into one that is linked to another. Find its matches to link it to the record that you choose."
OF_MAILBOX = (Tombstone.Why.TAKEN_OUT, Tombstone.Why.MADE_AGAIN, Tombstone.Why.MAILBOX, Tombstone.Why.VIEW)  # the item left
AGAIN = "It is linked again; nothing is to be done."


def refusal_of(stone: Tombstone) -> str:
    """Returns why this link is not forgotten, "" when it can be."""
    if stone.why == Tombstone.Why.MOVED:
        return MOVED
    if stone.why == Tombstone.Why.MERGED:
        return MERGED
    if stone.restored_at is not None or stone.binding is None or not stone.binding.is_tombstone:
        return AGAIN
    return ""


def remarks_of(stone: Tombstone) -> tuple[str, ...]:
    """Returns what follows from forgetting the link, in sentences."""
    crm, peer = stone.sync_pass.crm.get_system_display(), stone.sync_pass.peer.get_system_display()
    binding = stone.binding
    if stone.why in OF_MAILBOX:
        return _remarks_of_mailbox(stone)
    if _is_peer_gone(stone):
        left, other, where = f"{binding.crm_type} {binding.crm_id}", binding.peer_type, peer
        back: tuple[str, ...] = ()
    else:
        left, other, where = f"{binding.peer_type} {binding.peer_id}", "record", crm
        back = (f"If it is brought back from the recycle bin in {crm}, the next run links it again by itself; nothing need be done here.",)
    return (
        *back,
        f"{left[0].upper()}{left[1:]} counts as new in the next run: a {other} in {where} with its key is linked, else one is "
        "made where the record types allow it.",
        "Nothing is written before that run.",
    )


def _remarks_of_mailbox(stone: Tombstone) -> tuple[str, ...]:
    crm, binding = stone.sync_pass.crm.get_system_display(), stone.binding
    address = stone.sync_pass.mailbox.address if stone.sync_pass.mailbox is not None else "the mailbox"
    deleted = (
        f"Where it was deleted in {crm}, too, bring it back from the Recycle Bin there first; nothing here can do that.",
        f"Other mailboxes get it again by themselves once it is back in {crm}.",
    )
    return (
        *(deleted if stone.why == Tombstone.Why.MAILBOX else ()),
        f"{binding.crm_type} {binding.crm_id} counts as new for {address}: it is made in the folder again in the next run, if it is "
        f"in {crm} and in the mailbox's view. An item that lies elsewhere in the mailbox stays there, personal.",
        "Nothing is written before that run.",
    )


def _is_peer_gone(stone: Tombstone) -> bool:
    """Tells whether the peer's record was deleted, and the CRM's is left: by somebody there, or by an undo of ours."""
    if stone.why != Tombstone.Why.UNDO:
        return stone.why in (Tombstone.Why.PEER, *OF_MAILBOX)
    return Operation.objects.filter(pk=stone.operation_id, connection=stone.sync_pass.peer).exists()


def sync_again(stone: Tombstone, user: AbstractBaseUser, *, reason: str = "", wiring: Wiring | None = None) -> str:
    """Forgets the link and has the next run look at what is left. Returns what follows, in words. Raises DecisionRefused,
    Busy, WritesStopped, ConnectorError."""
    what = f"Sync {stone.name} again."
    with at_work(stone.sync_pass, by=user.get_username(), what=what, reason=reason, wiring=wiring) as context, transaction.atomic():
        row = (
            Tombstone.objects.select_for_update(of=("self",))
            .select_related("sync_pass__crm", "sync_pass__peer", "binding")
            .get(pk=stone.pk)
        )
        if refusal := refusal_of(row):
            raise DecisionRefused(f"{refusal} Nothing was done.")
        left = _forget(context, row, row.binding, user.get_username())
        audit(user, "sync again", f"{left.object_type} {left.id} {row.name}", restored=str(row.pk), run=context.run.pk, reason=reason)
        return f"{left.object_type.capitalize()} {left.id} is looked at as new in the next run."


def _forget(context: RunContext, stone: Tombstone, binding: Binding, username: str) -> Ref:
    """Returns the record that is left."""
    is_crm = _is_peer_gone(stone)
    left = (
        Ref(context.crm.connector.system, binding.crm_type, binding.crm_id)
        if is_crm
        else Ref(context.peer.connector.system, binding.peer_type, binding.peer_id)
    )
    pair_trouble.look_again(context, "crm" if is_crm else "peer", [left], "sync_again")
    binding.tombstones.update(binding=None)
    binding.delete()
    Tombstone.objects.filter(pk=stone.pk).update(restored_at=context.wiring.now(), restored_by=username, restored_as=str(left))
    return left

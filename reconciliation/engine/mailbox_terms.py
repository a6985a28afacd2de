"""What holds for a run over one mailbox: the terms of every two-way pass, and the mailbox's own settings."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields

from reconciliation.core.mailbox_settings import Effective, all_effective
from reconciliation.engine import pair_terms
from reconciliation.engine.executor import Side
from reconciliation.engine.wiring import Wiring
from reconciliation.models import Mailbox, SyncPass
from reconciliation.passes.contacts import ContactTerms
from reconciliation.passes.pairs import PairTerms

ADMIN, CREATION = "mailbox_settings", "creation"  # in the settings of the pass


def effective_of(sync_pass: SyncPass, mailbox: Mailbox) -> Mapping[str, Effective]:
    """Returns what holds for a mailbox, by the pass that all of them share."""
    group = mailbox.group.settings if mailbox.group is not None else {}
    return all_effective(admin=sync_pass.whole.settings.get(ADMIN) or {}, group=group, own=mailbox.settings)


def terms_of(sync_pass: SyncPass, crm: Side, peer: Side, wiring: Wiring) -> ContactTerms:
    """Returns the terms as they stand now. Of the pass as a whole, which no run goes over, they are those of no mailbox."""
    base = pair_terms.terms_of(sync_pass, crm, peer, wiring)
    common = {f.name: getattr(base, f.name) for f in fields(PairTerms)}
    mailbox = sync_pass.mailbox
    if mailbox is None:
        return ContactTerms(**common)
    held, creation = effective_of(sync_pass, mailbox), sync_pass.whole.settings.get(CREATION) or {}
    common |= {"scope": mailbox.address, "peer_name": peer.connection.get_system_display()}
    return ContactTerms(
        **common,
        user_id=mailbox.crm_user_id,
        deletion=held["deletion"].value,
        out_of_view=held["out_of_view"].value,
        existing=held["existing"].value,
        defaults=dict(creation.get("defaults") or {}),
        account_id=str(creation.get("account_id") or ""),
        required=tuple(creation.get("required") or ()),
        wanted=tuple(creation.get("wanted") or ()),
    )

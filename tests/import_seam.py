"""A small stand-in for the pass's own page, until it is there: over real connectors, with bindings and cases."""

from __future__ import annotations

from types import SimpleNamespace

from connectors.contract import Write
from reconciliation.core.ledger import Outcome
from reconciliation.models import Binding, Case, Policy


def process_page(context, side, record_type, records, planned=None, *, may_create=True):
    now, peer = context.wiring.now(), context.peer.connector
    emails = [str(r.fields["Email"]) for r in records if r.fields.get("Email")]
    there = {e.lower(): p for p in peer.find("prospect", "emails", emails, ["emails"]) for e in p.fields["emails"] or ()}
    choose = Policy.objects.filter(pk=1, same_email="choose").exists()
    decisions = {}
    for record in records:
        email = str(record.fields.get("Email") or "").lower()
        said = lambda outcome, reason, sentence="", **more: SimpleNamespace(  # noqa: E731
            **{"outcome": outcome, "reason": reason, "sentence": sentence, "kept_on": "", "peer_id": "", **more}
        )
        if Binding.objects.filter(sync_pass=context.sync_pass, crm_id=record.ref.id).exists():
            decisions[record.ref.id] = said(Outcome.UNCHANGED, "present")
        elif not email:
            decisions[record.ref.id] = said(Outcome.EXCLUDED, "no_email", "It has no e-mail address.")
        elif (prospect := there.get(email)) is not None:
            holder = Binding.objects.filter(sync_pass=context.sync_pass, peer_id=prospect.ref.id).first()
            if holder is None:
                _bind(context, record, prospect.ref.id, "linked", now)
                decisions[record.ref.id] = said(Outcome.UPDATED, "linked")
            else:
                if choose:
                    Case.objects.get_or_create(
                        sync_pass=context.sync_pass, kind="remap", state="open", crm_type=record.ref.object_type, crm_id=record.ref.id,
                        peer_id=prospect.ref.id, defaults={"reason": "same_email", "sentence": "x", "opened_at": now, "flag": "none"},
                    )  # fmt: skip
                decisions[record.ref.id] = said(Outcome.DUPLICATE, "same_email", kept_on=holder.crm_id, peer_id=prospect.ref.id)
        else:
            fields = {"emails": (email,), "lastName": record.fields.get("LastName")}
            (made,) = peer.write("prospect", [Write("prospect", fields, key=record.ref.id)])
            if made.error is not None:
                decisions[record.ref.id] = said(Outcome.FAILED, "refused", made.error.sentence)
                continue
            there[email] = made.record
            _bind(context, record, made.record.ref.id, "created", now)
            decisions[record.ref.id] = said(Outcome.CREATED, "created")
    return decisions


def _bind(context, record, peer_id, how, now):
    Binding.objects.create(
        sync_pass=context.sync_pass, crm_type=record.ref.object_type, crm_id=record.ref.id, peer_type="prospect", peer_id=peer_id,
        how=how, bound_at=now, synced_at=now,
    )  # fmt: skip

"""The first run of a mailbox: it is a preview, and writes begin once somebody has looked at it (C33)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from django.contrib.auth.models import AbstractBaseUser
from django.db import transaction
from django.utils import timezone

from reconciliation.engine import gate, mailbox_queue
from reconciliation.models import Mailbox, Run, SyncPass
from reconciliation.services.audit import audit
from reconciliation.services.mailbox_overview import MailboxRow, contacts_pass_wanted
from reconciliation.services.mailbox_states import Done
from reconciliation.services.mailboxes import MailboxRefused, pass_over
from reconciliation.services.switch_on import SwitchRefused, pass_switch_on, preview_confirm


def mailbox_start(mailbox: Mailbox, plan: Run | None, by: AbstractBaseUser) -> SyncPass:
    """Lets the runs of a mailbox write from now on, its preview having been looked at; returns its pass, which is due now.
    Raises MailboxRefused."""
    if mailbox.state != Mailbox.State.NEW:
        raise MailboxRefused(f"{mailbox} was started before; it is {mailbox.get_state_display().lower()}.")
    if not mailbox.crm_user_id:
        raise MailboxRefused(f"Choose the Salesforce user of {mailbox} first.")
    sync_pass = SyncPass.objects.select_related("crm", "peer", "mapping").filter(mailbox=mailbox).first()
    if sync_pass is None or plan is None or plan.sync_pass_id != sync_pass.pk:
        raise MailboxRefused(f"Make a preview of {mailbox} first, and look at it.")
    try:
        if gate.is_closed(sync_pass):
            if gate.preview_wanted(sync_pass):
                preview_confirm(plan, by)
            sync_pass.refresh_from_db()
            pass_switch_on(sync_pass, by)
    except SwitchRefused as refusal:
        raise MailboxRefused(str(refusal)) from None
    now = timezone.now()
    with transaction.atomic():
        Mailbox.objects.filter(pk=mailbox.pk, state=Mailbox.State.NEW).update(
            state=Mailbox.State.ACTIVE, state_reason="", state_by=by.get_username(), state_at=now
        )
        SyncPass.objects.filter(pk=sync_pass.pk).update(next_due_at=None, run_requested_at=now)
        audit(by, "start mailbox", mailbox.address, preview=plan.pk)
    mailbox.refresh_from_db()
    return sync_pass


def may_start(rows: Sequence[MailboxRow]) -> tuple[list[MailboxRow], list[str]]:
    """Returns those of these mailboxes whose preview can be looked at now, and a sentence for each of the others."""
    ready = [row for row in rows if row.is_first and row.is_on and row.plan is not None and row.mailbox.crm_user_id]
    keys = {row.mailbox.pk for row in ready}
    return ready, [f"{row.mailbox.address}: {_why_not(row)}" for row in rows if row.mailbox.pk not in keys]


def _why_not(row: MailboxRow) -> str:
    if not row.is_first:
        return f"it is {row.word}, and was started before."
    return row.why or "it has no preview yet."


def mailboxes_start(plans: Mapping[int, int], by: AbstractBaseUser) -> tuple[Done, list[SyncPass]]:
    """Starts many mailboxes, mailbox -> the preview that was shown; what is refused stops no other. Returns also the passes
    that are due now."""
    started, refused = [], []
    runs = Run.objects.select_related("sync_pass__crm", "sync_pass__peer", "sync_pass__mapping").in_bulk(plans.values())
    for mailbox in Mailbox.objects.filter(pk__in=plans).order_by("address", "pk"):
        try:
            started.append(mailbox_start(mailbox, runs.get(plans[mailbox.pk]), by))
        except MailboxRefused as refusal:
            refused.append(f"{mailbox.address}: {refusal}")
    return Done(len(started), refused), started


def previews_ask(pks: Sequence[int], by: AbstractBaseUser) -> Done:
    """Asks for a new preview of each of these mailboxes that was never started, by the queue that their runs go through."""
    parent, changed, refused = contacts_pass_wanted(), 0, []
    for mailbox in Mailbox.objects.select_related("connection", "group").filter(pk__in=pks).order_by("address", "pk"):
        if why := _why_no_preview(pass_over(parent, mailbox), mailbox):
            refused.append(f"{mailbox.address}: {why}")
            continue
        mailbox_queue.ask(SyncPass.objects.filter(mailbox=mailbox, parent=parent), timezone.now())
        audit(by, "preview mailbox", mailbox.address)
        changed += 1
    mailbox_queue.fill(parent)
    return Done(changed, refused)


def _why_no_preview(child: SyncPass, mailbox: Mailbox) -> str:
    if not mailbox.crm_user_id:
        return "choose its Salesforce user first; a preview shows what that user sees."
    if not mailbox_queue.is_first(child):
        return "it was started before. Its own page makes a preview of it."
    assert child.parent is not None
    if not mailbox_queue.is_switched_on(child.parent, mailbox):
        return "Contacts are switched off for it."
    return "" if child.parent.is_on else f"the pass “{child.parent}” is switched off."

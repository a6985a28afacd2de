"""The first run of a mailbox: it is a preview, and writes begin once somebody has looked at it (C33)."""

from __future__ import annotations

from django.contrib.auth.models import AbstractBaseUser
from django.db import transaction
from django.utils import timezone

from reconciliation.engine import gate
from reconciliation.models import Mailbox, Run, SyncPass
from reconciliation.services.audit import audit
from reconciliation.services.mailboxes import MailboxRefused
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

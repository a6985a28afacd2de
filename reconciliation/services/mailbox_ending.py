"""The end of a mailbox's sync, and its beginning anew. Nothing is deleted on either side: what stood in the folder stays there,
personal from then on. A mailbox that is added again meets its contacts anew, by the mark that each bears."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from django.contrib.auth.models import AbstractBaseUser, User
from django.db import transaction
from django.utils import timezone

from reconciliation.core.counting import bent, counted
from reconciliation.engine import email_rows
from reconciliation.models import Binding, Case, ConflictField, LookAgain, Mailbox, Operation, SyncPass
from reconciliation.models.mailbox import NO_SECRETS
from reconciliation.roles import ADMINISTER, OPERATE, VIEW
from reconciliation.services.audit import audit
from reconciliation.services.mailbox_states import LONGEST_REASON, Done
from reconciliation.services.mailboxes import MailboxRefused

State = Mailbox.State
ENDED = "The sync of the mailbox was ended."


@dataclass(frozen=True, slots=True)
class Ending:
    """What ending these mailboxes comes to, before anybody says yes."""

    mailboxes: tuple[Mailbox, ...]
    contacts: int
    issues: int
    refused: tuple[str, ...] = ()

    @property
    def _issues(self) -> str:
        told = f"{counted(self.issues, 'open issue')} {bent(self.issues, 'is', 'are')} closed; a" if self.issues else "A"
        return f"{told} plan that waits to be approved is dropped."

    @property
    def facts(self) -> tuple[str, ...]:
        stays = (
            f"{bent(self.contacts, 'stays where it lies', 'stay where they lie')}, in the mailbox and in Salesforce. Nothing is deleted."
        )
        return (
            f"{counted(self.contacts, 'contact')} {stays}" if self.contacts else "It holds no contacts yet. Nothing is deleted.",
            "From then on edits of one side do not reach the other.",
            self._issues,
            "Settings, tokens and the sign-in of the mailbox's user are forgotten. Runs and journal are kept as long as those of others.",
            "Added again, it begins with a preview. What lies in the folder is linked again; nothing is deleted for what happened since.",
        )


def ending_of(pks: Sequence[int]) -> Ending:
    """Returns what ending these mailboxes comes to. Raises MailboxRefused where none of them can be ended."""
    rows = list(Mailbox.objects.filter(pk__in=pks).select_related("connection").order_by("address", "pk"))
    ending = [row for row in rows if row.state != State.ENDED]
    if not ending:
        raise MailboxRefused("None of them is synced any more. Nothing was done.")
    refused = tuple(f"{row.address} was ended already." for row in rows if row.state == State.ENDED)
    links = Binding.objects.filter(sync_pass__mailbox__in=ending, is_tombstone=False).count()
    cases = Case.objects.filter(sync_pass__mailbox__in=ending, state=Case.State.OPEN).count()
    return Ending(tuple(ending), links, cases, refused)


def mailbox_end(mailbox: Mailbox, by: AbstractBaseUser | None, reason: str = "") -> None:
    """Ends the sync of a mailbox for good; a run under way comes to its end. Raises MailboxRefused where it ended before."""
    if by is not None and not by.has_perm(ADMINISTER):  # type: ignore[attr-defined]
        raise MailboxRefused("Only an admin ends the sync of a mailbox. Nothing was done.")
    now, reason = timezone.now(), reason.strip()[:LONGEST_REASON]
    with transaction.atomic():
        row = Mailbox.objects.select_for_update().get(pk=mailbox.pk)
        if row.state == State.ENDED:
            raise MailboxRefused("Its sync was ended already; nothing was changed.")
        says = {"state": State.ENDED, "state_reason": reason, "state_by": by.get_username() if by is not None else "", "state_at": now}
        forgotten = {"user": None, "group": None, "settings": {}, "failed_runs": 0, "checks": [], "tested_at": None, **NO_SECRETS}
        Mailbox.objects.filter(pk=row.pk).update(**says, **forgotten)
        _end_sign_in(row.user_id)
        _close_what_waits(row, now)
        audit(by, "end mailbox", row.address, reason=reason, connection=str(row.connection))
    mailbox.refresh_from_db()


def mailboxes_end(pks: Sequence[int], by: AbstractBaseUser | None, reason: str = "") -> Done:
    """Ends many, each by itself: what is refused stops no other."""
    changed, refused = 0, []
    for mailbox in Mailbox.objects.filter(pk__in=pks).order_by("address", "pk"):
        try:
            mailbox_end(mailbox, by, reason)
            changed += 1
        except MailboxRefused as refusal:
            refused.append(f"{mailbox.address}: {refusal}")
    return Done(changed, refused)


def _end_sign_in(user_id: int | None) -> None:
    """Nobody signs in any more by a link to a mailbox that is not synced. Staff who use it keep their own account."""
    user = User.objects.filter(pk=user_id, is_staff=False, is_superuser=False).first()
    if user is not None and not any(user.has_perm(right) for right in (VIEW, OPERATE, ADMINISTER)):
        User.objects.filter(pk=user.pk).update(is_active=False)


def _close_what_waits(mailbox: Mailbox, now: object) -> None:
    passes = SyncPass.objects.filter(mailbox=mailbox)
    stopped = {"is_on": False, "hold_reason": "", "trouble_count": 0, "backlog": 0}
    passes.update(run_requested_at=None, queued_at=None, next_due_at=None, **stopped)
    cases = list(Case.objects.filter(sync_pass__mailbox=mailbox, state=Case.State.OPEN).values_list("pk", flat=True))
    fields = ConflictField.objects.filter(case__in=cases, state=ConflictField.State.OPEN)
    fields.update(state=ConflictField.State.AGREED, decided_at=now)
    Case.objects.filter(pk__in=cases).update(state=Case.State.CLOSED, decision="solved", note=ENDED, closed_at=now)
    LookAgain.objects.filter(sync_pass__mailbox=mailbox).delete()
    email_rows.let_go(mailbox)
    planned = Operation.objects.filter(run__sync_pass__mailbox=mailbox, state=Operation.State.PLANNED)
    planned.update(state=Operation.State.VOID, settled_at=now, error=ENDED)

"""What people do with a mailbox while it lives: pause, resume, have it synced now, one by one or many selected (S4.9, S4.10)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from django.contrib.auth.models import AbstractBaseUser
from django.db import transaction
from django.utils import timezone

from reconciliation.engine import mailbox_queue
from reconciliation.models import Mailbox, SyncPass
from reconciliation.models.sync_pass import MAILBOX_PASSES
from reconciliation.roles import OPERATE
from reconciliation.services.audit import audit
from reconciliation.services.mailboxes import MailboxRefused, pass_over

MOST_AT_ONCE = 5000
LONGEST_REASON = 1000
State = Mailbox.State


@dataclass(frozen=True, slots=True)
class Done:
    """What became of many: how many were changed, and a sentence for each that was not."""

    changed: int = 0
    refused: list[str] = field(default_factory=list)


def mailbox_pause(mailbox: Mailbox, by: AbstractBaseUser | None, reason: str = "") -> None:
    """Lets no pass go over the mailbox until somebody resumes it; a run under way ends first. Raises MailboxRefused."""
    refuse_stranger(mailbox, by)
    _move(mailbox, Mailbox.RUNNING, State.PAUSED, by, reason.strip()[:LONGEST_REASON])
    audit(by, "pause mailbox", mailbox.address, reason=mailbox.state_reason)


def mailbox_resume(mailbox: Mailbox, by: AbstractBaseUser | None) -> None:
    """Lets passes go over the mailbox again, at once: one that was paused, suspended (the count of failures begins anew) or
    had left. What a user paused, and what the product suspended, the user may resume; the rest is the staff's. Raises
    MailboxRefused."""
    refuse_stranger(mailbox, by)
    if mailbox.is_ended:
        raise MailboxRefused("Its sync was ended; add the mailbox again, and it begins with a preview.")
    if _is_own(mailbox, by) and mailbox.state == State.PAUSED and by is not None and mailbox.state_by != by.get_username():
        raise MailboxRefused(f"An admin paused this mailbox ({mailbox.state_by or 'on the command line'}); ask them to resume it.")
    if _is_own(mailbox, by) and mailbox.state == State.LEFT:
        raise MailboxRefused("This mailbox is marked as left; an admin can resume it.")
    before = mailbox.state
    with transaction.atomic():
        # Without a folder, or a place in its calendar, no run got through yet: it still is as good as new.
        is_begun = bool(mailbox.folder_id) or SyncPass.objects.filter(mailbox=mailbox).exclude(cursor="").exists()
        _move(mailbox, (State.PAUSED, State.SUSPENDED, State.LEFT), State.ACTIVE if is_begun else State.NEW, by, "")
        Mailbox.objects.filter(pk=mailbox.pk).update(failed_runs=0)
        SyncPass.objects.filter(mailbox=mailbox).update(trouble_count=0, next_due_at=timezone.now())
        audit(by, "resume mailbox", mailbox.address, was=str(before))
    mailbox.failed_runs = 0


def mailbox_sync_now(mailbox: Mailbox, by: AbstractBaseUser | None) -> None:
    """Has the mailbox synced before its next turn, as soon as a worker is free (S4.10). Raises MailboxRefused."""
    parents = _ask(mailbox, by)
    for parent in parents:
        mailbox_queue.fill(parent)


def mailboxes_do(action: str, pks: Sequence[int], by: AbstractBaseUser | None) -> Done:
    """Does one of "pause", "resume" and "sync_now" with many mailboxes, each by itself: what is refused stops no other. Raises
    MailboxRefused for an action that there is not."""
    act = _ACTIONS.get(action)
    if act is None:
        raise MailboxRefused("Choose what to do with the selected mailboxes.")
    if len(pks) > MOST_AT_ONCE:
        raise MailboxRefused(f"Select at most {MOST_AT_ONCE:,} mailboxes at once.")
    changed, refused = 0, []
    parents: dict[int, SyncPass] = {}
    for mailbox in Mailbox.objects.filter(pk__in=pks).select_related("connection", "group").order_by("address", "pk"):
        try:
            parents |= {parent.pk: parent for parent in act(mailbox, by) or ()}
            changed += 1
        except MailboxRefused as refusal:
            refused.append(f"{mailbox.address}: {refusal}")
    for parent in parents.values():
        mailbox_queue.fill(parent)
    return Done(changed, refused)


def _ask(mailbox: Mailbox, by: AbstractBaseUser | None) -> list[SyncPass]:
    """Marks the mailbox's passes as asked for. Returns the passes over all mailboxes that they are of."""
    refuse_stranger(mailbox, by)
    if not mailbox.is_running:
        raise MailboxRefused(f"It is {mailbox.get_state_display().lower()}, so nothing is synced; resume it first.")
    parents = list(SyncPass.objects.whole().filter(name__in=MAILBOX_PASSES).select_related("crm", "peer", "mapping").order_by("pk"))
    if not parents:
        raise MailboxRefused("No pass goes over mailboxes yet; connect Salesforce and a mail system first.")
    wanted = [parent for parent in parents if mailbox_queue.is_switched_on(parent, mailbox)]
    if not wanted:
        titles = [parent.title for parent in parents]
        what = f"{', '.join(titles[:-1])} or {titles[-1]}" if len(titles) > 1 else titles[0]
        raise MailboxRefused(f"Nothing is switched on for this mailbox; switch {what} on in its settings first.")
    asked, why = [], ""
    for parent in wanted:
        child = pass_over(parent, mailbox)
        if why_not := _why_not(parent, child):
            why = why or why_not
            continue
        mailbox_queue.ask(SyncPass.objects.filter(pk=child.pk), timezone.now())
        asked.append(parent)
    if not asked:
        raise MailboxRefused(why)
    audit(by, "sync mailbox now", mailbox.address, passes=[parent.title for parent in asked])
    return asked


def _why_not(parent: SyncPass, child: SyncPass) -> str:
    """Returns why no run of the mailbox would begin now, "" when one would."""
    if not parent.is_on:
        return f"The pass “{parent}” is switched off; an admin switches it on under Schedule."
    if parent.is_paused:
        return f"The pass “{parent}” is paused for all mailboxes; resume it first."
    if parent.hold_reason or child.hold_reason:
        return f"{(child.hold_reason or parent.hold_reason).rstrip('.')}. The pass goes on when that was mended."
    if not child.is_on:
        return f"{parent} waits for its first preview; look at the preview, then start it on the mailbox's page."
    return ""


def refuse_stranger(mailbox: Mailbox, by: AbstractBaseUser | None) -> None:
    """Raises MailboxRefused where somebody acts on a mailbox that is not theirs, and is no operator."""
    if by is not None and not by.has_perm(OPERATE) and not _is_own(mailbox, by):  # type: ignore[attr-defined]
        raise MailboxRefused("Only the mailbox's user, operators and admins may do that.")


def _is_own(mailbox: Mailbox, by: AbstractBaseUser | None) -> bool:
    """Tells whether it is the mailbox's user who acts, and no more than that."""
    return by is not None and mailbox.user_id is not None and mailbox.user_id == by.pk and not by.has_perm(OPERATE)  # type: ignore[attr-defined]


def _move(mailbox: Mailbox, states: Sequence[str], to: str, by: AbstractBaseUser | None, reason: str) -> None:
    """Changes the state of a mailbox that is in one of these. Raises MailboxRefused when it is not (any more)."""
    values = {"state": to, "state_reason": reason, "state_by": by.get_username() if by is not None else "", "state_at": timezone.now()}
    if not Mailbox.objects.filter(pk=mailbox.pk, state__in=states).update(**values):
        mailbox.refresh_from_db(fields=["state", "state_reason", "state_by", "state_at"])
        raise MailboxRefused(f"It is {mailbox.get_state_display().lower()} already; nothing was changed.")
    for name, value in values.items():
        setattr(mailbox, name, value)


def _pause(mailbox: Mailbox, by: AbstractBaseUser | None) -> None:
    mailbox_pause(mailbox, by)


_ACTIONS: dict[str, Callable[[Mailbox, AbstractBaseUser | None], list[SyncPass] | None]] = {
    "pause": _pause,
    "resume": mailbox_resume,
    "sync_now": _ask,
}

"""Mailboxes that people add, and the passes that go over each of them."""

from __future__ import annotations

from django.contrib.auth.models import User
from django.core.exceptions import ValidationError
from django.core.validators import validate_email
from django.db import IntegrityError, transaction
from django.utils import timezone

from reconciliation.models import Binding, Connection, Email, EmailCopy, Mailbox, MailboxGroup, MailThread, Run, SyncPass, Tombstone
from reconciliation.models.mailbox import NO_SECRETS
from reconciliation.services.audit import audit
from reconciliation.services.duplicates import DecisionRefused

LONGEST_ADDRESS = 254
MAIL_SYSTEMS = (Connection.System.MICROSOFT, Connection.System.GOOGLE, Connection.System.EXCHANGE)


class MailboxRefused(DecisionRefused):
    """What a person wants of a mailbox cannot be done; the sentence says why."""


def mailbox_add(
    connection: Connection,
    address: str,
    by: User | None,
    *,
    crm_user_id: str = "",
    crm_user_name: str = "",
    is_planned_first: bool = False,
) -> Mailbox:
    """Returns the new mailbox, which waits for its first preview; told again of the same address, the one that is there.
    Raises MailboxRefused."""
    refuse_other_systems(connection)
    address = address.strip()
    if why := address_flaw(address):
        raise MailboxRefused(why)
    with transaction.atomic():
        Connection.objects.select_for_update().get(pk=connection.pk)  # two who add one address at once make one
        existing = Mailbox.objects.filter(connection=connection, address__iexact=address).first()
        if existing is not None and not existing.is_ended:
            return existing
        if existing is not None:
            begin_again(existing, crm_user_id=crm_user_id, crm_user_name=crm_user_name)
            audit(by, "mailbox.added", address, connection=str(connection), was="ended")
            return existing
        mailbox = Mailbox.objects.create(
            connection=connection,
            address=address,
            crm_user_id=crm_user_id,
            crm_user_name=crm_user_name,
            crm_user_chosen=bool(crm_user_id),
            is_planned_first=is_planned_first,
            state_at=timezone.now(),
        )
        audit(by, "mailbox.added", address, connection=str(connection))
    return mailbox


def begin_again(mailbox: Mailbox, group: MailboxGroup | None = None, *, crm_user_id: str = "", crm_user_name: str = "") -> None:
    """Lets a mailbox whose sync was ended begin anew, with a preview, as one that was never there."""
    if Run.objects.filter(sync_pass__mailbox=mailbox, state=Run.State.RUNNING).exists():
        raise MailboxRefused(f"A run over {mailbox.address} is still coming to its end. Try again in a minute.")
    chosen = {"crm_user_id": crm_user_id, "crm_user_name": crm_user_name, "crm_user_chosen": bool(crm_user_id)}
    says = {"state": Mailbox.State.NEW, "state_reason": "", "state_by": "", "state_at": timezone.now(), "group": group}
    forgotten = {"matched_at": None, "match_says": "", "folder_id": "", **NO_SECRETS}
    Mailbox.objects.filter(pk=mailbox.pk).update(**says, **chosen, **forgotten, is_planned_first=True)
    _forget_links(mailbox)
    # A run that was under way when it ended may have left its place behind.
    anew = {"is_on": False, "switched_on_at": None, "preview_seen": {}, "cursor": "", "feed_at": None, "next_full_at": None}
    SyncPass.objects.filter(mailbox=mailbox).update(**anew, next_due_at=None, run_requested_at=None)
    # What was planned before says nothing of it any more.
    Run.objects.filter(sync_pass__mailbox=mailbox, kind=Run.Kind.PREVIEW).exclude(rests_on={}).update(rests_on={})
    mailbox.refresh_from_db()


def _forget_links(mailbox: Mailbox) -> None:
    """Lets every contact of the mailbox be met anew, by the mark that it bears or its address: what either side threw away while
    nothing was synced is no deletion that is to be carried over."""
    links = Binding.objects.filter(sync_pass__mailbox=mailbox)
    Tombstone.objects.filter(binding__in=links).update(binding=None)
    links.delete()
    # What was saved stays known for good; what waited, and what was followed, is not taken up again.
    MailThread.objects.filter(mailbox=mailbox).delete()
    waiting = EmailCopy.objects.filter(
        sync_pass__mailbox=mailbox, is_open=True, email__state__in=(Email.State.WAITING, Email.State.REFUSED)
    )
    waiting.delete()


def address_flaw(address: str) -> str:
    """Returns why this cannot be the address of a mailbox, "" when it can."""
    shown = "".join(c if c.isprintable() else "�" for c in address[:80])
    try:
        validate_email(address)
    except ValidationError:
        return f"“{shown}” is no e-mail address."
    if not address.isprintable():  # Django takes what turns the direction of writing, and other invisible characters
        return f"“{shown}” holds an invisible character."
    return f"“{shown}…” is longer than an e-mail address may be." if len(address) > LONGEST_ADDRESS else ""


def refuse_other_systems(connection: Connection) -> None:
    """Raises MailboxRefused where a connection is no mail system's."""
    if connection.system not in MAIL_SYSTEMS:
        raise MailboxRefused(f"“{connection}” leads to no mailboxes.")


def pass_over(parent: SyncPass, mailbox: Mailbox) -> SyncPass:
    """Returns the row of the pass for one mailbox, made when it is new: its cursor, lease, links and runs are its own."""
    is_played = parent.crm.is_sandbox and mailbox.connection.is_sandbox and not mailbox.is_planned_first
    values = {
        "name": f"{parent.name}:{mailbox.pk}",
        "title": f"{parent.title} of {mailbox.address}"[:100],
        "crm": parent.crm,
        "peer": mailbox.connection,
        "mapping": parent.mapping,
        "interval_seconds": parent.interval_seconds,
        "time_budget_seconds": parent.time_budget_seconds,
        # Whether it runs is said by the parent, the mailbox's state and its settings. Over real systems its first run is a plan
        # that somebody approves (C33).
        "is_on": is_played,
        "switched_on_at": timezone.now() if is_played else None,
    }
    try:
        with transaction.atomic():
            return SyncPass.objects.get_or_create(parent=parent, mailbox=mailbox, defaults=values)[0]
    except IntegrityError:  # another process was faster
        return SyncPass.objects.get(parent=parent, mailbox=mailbox)

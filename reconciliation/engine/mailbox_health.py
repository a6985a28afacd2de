"""What the end of a run says of its mailbox: it works, it fails and is suspended in the end (D11, S4.11), or it is gone.

Which failures count is decided by where the error came from. Only a refusal of this one mailbox, or of the sign-in that is
its own (`MailboxRefused`, raised by connectors that know whose token or folder it was), says anything about the mailbox. A
refused token of the app, a wrong tenant, Salesforce that is down, a time-out, "too many requests": all of these are the
connection's trouble (engine-rules 2 and 4). They would meet a thousand mailboxes at once, and suspend a thousand.
"""

from __future__ import annotations

from datetime import datetime, timedelta

from django.conf import settings
from django.db import transaction
from django.db.models import F, Q, QuerySet

from connectors.errors import ConnectorError, MailboxRefused, NeedsAttention
from reconciliation.engine.audit import audit
from reconciliation.models import Connection, Mailbox, SyncPass

LEAST_MANY, MANY_SHARE = 10, 0.1
LATELY = timedelta(days=1)
DONE = {Mailbox.State.SUSPENDED: "suspend mailbox", Mailbox.State.LEFT: "mailbox left"}  # in the audit log
GONE_RUNS = 2  # in a row: one such answer may be a mailbox that is being moved
OF_THE_APP = ("invalid_client", "unauthorized_client")  # what is refused then is our registration


def is_of_mailbox(sync_pass: SyncPass, error: ConnectorError) -> bool:
    """Tells whether the error concerns this mailbox alone and not the connection that leads to it."""
    if sync_pass.mailbox_id is None or isinstance(error, MailboxRefused):
        return sync_pass.mailbox_id is not None
    # At Microsoft a refused token does not name whose it is; where each person signs in, it is that person's.
    peer = sync_pass.peer
    is_theirs = peer.system == Connection.System.MICROSOFT and peer.is_personal
    return is_theirs and isinstance(error, NeedsAttention) and error.system == peer.system and error.code not in OF_THE_APP


def note_failure(sync_pass: SyncPass, error: ConnectorError, now: datetime) -> bool:
    """Counts a failed run of the mailbox, and suspends it, or notes that its person left, where that is what the error says.
    Returns whether the trouble is the mailbox's own; False: it is the connection's, and is to be said there."""
    if not is_of_mailbox(sync_pass, error):
        return False
    rows = Mailbox.objects.filter(pk=sync_pass.mailbox_id, state__in=Mailbox.RUNNING)
    rows.update(failed_runs=F("failed_runs") + 1)
    if _fail_together(sync_pass.peer_id, now):
        # So many at once did not leave or lose their consent: somebody changed what the connection may do. It is told once,
        # on the connection, and every mailbox goes on by itself when that is mended.
        return False
    if isinstance(error, MailboxRefused) and error.is_gone:
        _leave_alone(sync_pass, rows.filter(failed_runs__gte=GONE_RUNS), Mailbox.State.LEFT, error, now)
    else:
        _leave_alone(sync_pass, rows.filter(failed_runs__gte=settings.MAILBOX_FAILURES), Mailbox.State.SUSPENDED, error, now)
    return True


def _leave_alone(sync_pass: SyncPass, rows: QuerySet[Mailbox], state: Mailbox.State, error: ConnectorError, now: datetime) -> None:
    """Lets no run go over the mailbox any more and writes it down, where it is still to be: nobody but the product did it."""
    reason = _sentence(error)
    with transaction.atomic():
        if rows.update(state=state, state_reason=reason, state_by="", state_at=now):
            audit(None, DONE[state], sync_pass.mailbox_address, reason=reason, connection=str(sync_pass.peer))


def _sentence(error: ConnectorError) -> str:
    return f"{error.sentence.rstrip('.')}. {error.remedy}"


def _fail_together(connection_id: int, now: datetime) -> bool:
    """Tells whether so many mailboxes of the connection fail that it cannot be they."""
    boxes = Mailbox.objects.filter(connection=connection_id).exclude(state=Mailbox.State.ENDED)
    ours = Q(state__in=(Mailbox.State.SUSPENDED, Mailbox.State.LEFT), state_by="", state_at__gt=now - LATELY)
    failing = boxes.filter(Q(state__in=Mailbox.RUNNING, failed_runs__gt=0) | ours).count()
    return failing > LEAST_MANY and failing > MANY_SHARE * boxes.count()


def note_success(sync_pass: SyncPass) -> None:
    """A run got through: what failed before counts no more, and a mailbox that was new is at work."""
    mailbox = sync_pass.mailbox
    if mailbox is None or (not mailbox.failed_runs and mailbox.state != Mailbox.State.NEW):
        return
    Mailbox.objects.filter(pk=mailbox.pk, failed_runs__gt=0).update(failed_runs=0)
    Mailbox.objects.filter(pk=mailbox.pk, state=Mailbox.State.NEW).update(state=Mailbox.State.ACTIVE)

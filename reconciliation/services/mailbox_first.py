"""The first run of a mailbox: it is a preview, and writes begin once somebody has looked at it (C33)."""

from __future__ import annotations

from collections.abc import Sequence

from django.contrib.auth.models import AbstractBaseUser
from django.db import transaction
from django.utils import timezone

from reconciliation.engine import gate, mailbox_queue
from reconciliation.models import Connection, Mailbox, Run, SyncPass
from reconciliation.services.audit import audit
from reconciliation.services.mailbox_overview import NO_PASS, OFF, MailboxRow, complete, mailbox_passes
from reconciliation.services.mailbox_states import Done
from reconciliation.services.mailboxes import MailboxRefused, pass_over
from reconciliation.services.switch_on import SwitchRefused, pass_switch_on, preview_confirm


def mailbox_start(mailbox: Mailbox, plan: Run | None, by: AbstractBaseUser) -> SyncPass:
    """Lets the runs of a pass over a mailbox write from now on, its preview having been looked at; returns the mailbox's row of the
    pass, which is due now. Raises MailboxRefused."""
    if not mailbox.is_running:
        raise MailboxRefused(f"{mailbox} was started before; it is {mailbox.get_state_display().lower()}.")
    if not mailbox.crm_user_id:
        raise MailboxRefused(f"Choose the Salesforce user of {mailbox} first.")
    rows = SyncPass.objects.select_related("crm", "peer", "mapping", "parent").filter(mailbox=mailbox)
    sync_pass = rows.filter(pk=plan.sync_pass_id).first() if plan is not None else None
    if plan is None or sync_pass is None:
        raise MailboxRefused(f"Make a preview of {mailbox} first, and look at it.")
    if sync_pass.switched_on_at is not None and mailbox.state != Mailbox.State.NEW:
        raise MailboxRefused(f"{sync_pass.whole} of {mailbox} was started before; it is {mailbox.get_state_display().lower()}.")
    _switch_on(sync_pass, plan, by)
    now = timezone.now()
    with transaction.atomic():
        Mailbox.objects.filter(pk=mailbox.pk, state=Mailbox.State.NEW).update(
            state=Mailbox.State.ACTIVE, state_reason="", state_by=by.get_username(), state_at=now
        )
        SyncPass.objects.filter(pk=sync_pass.pk).update(next_due_at=None, run_requested_at=now)
        audit(by, "start mailbox", mailbox.address, what=sync_pass.whole.title, preview=plan.pk)
    mailbox.refresh_from_db()
    return sync_pass


def _switch_on(sync_pass: SyncPass, plan: Run, by: AbstractBaseUser) -> None:
    try:
        if gate.is_closed(sync_pass):
            if gate.preview_wanted(sync_pass):
                preview_confirm(plan, by)
            sync_pass.refresh_from_db()
            pass_switch_on(sync_pass, by)
    except SwitchRefused as refusal:
        raise MailboxRefused(str(refusal)) from None


def may_start(rows: Sequence[MailboxRow]) -> tuple[list[MailboxRow], list[str]]:
    """Returns what of these mailboxes can be started now, its preview having been made: a row for each of their passes; and a sentence
    for each mailbox of which nothing can."""
    ready = [line for row in rows for line in row.lines if _is_ready(line)]
    keys = {line.mailbox.pk for line in ready}
    return ready, [f"{row.mailbox.address}: {_why_not(row)}" for row in rows if row.mailbox.pk not in keys]


def how_it_begins(connection: Connection) -> str:
    """Returns how the passes over a mailbox that is added to a mail system begin, in a sentence."""
    passes = mailbox_passes()
    if passes and connection.is_sandbox and all(row.crm.is_sandbox for row in passes):
        at_once = "Both sides are the sandbox: each pass that is switched on for a mailbox begins at once, and writes."
        return f"{at_once} Of one that was ended before each begins with a preview; nothing is written before it is started."
    return "Each pass that is switched on for a mailbox begins with a preview; nothing is written before it is started."


def first_of(run: Run) -> MailboxRow | None:
    """Returns the pass over a mailbox that can be started by this preview, None where it cannot: it is no preview of a mailbox, a newer
    one took its place, or the pass was started, or is off."""
    sync_pass = run.sync_pass
    if run.kind != Run.Kind.PREVIEW or sync_pass.mailbox is None or sync_pass.parent_id is None or not gate.is_closed(sync_pass):
        return None
    parents = [parent for parent in mailbox_passes() if parent.pk == sync_pass.parent_id]
    lines = complete([sync_pass.mailbox], parents)[0].lines
    return next((line for line in lines if _is_ready(line) and line.plan == run), None)


def _is_ready(line: MailboxRow) -> bool:
    return line.is_first and line.is_on and line.plan is not None and bool(line.mailbox.crm_user_id)


def _why_not(row: MailboxRow) -> str:
    first = next((line for line in row.lines if line.is_first and line.is_on), None)
    if first is None and not row.is_first:
        return f"it is {row.word}, and was started before."
    return (first or row).why or "it has no preview yet."


def mailboxes_start(plans: Sequence[tuple[int, int]], by: AbstractBaseUser) -> tuple[Done, list[SyncPass]]:
    """Starts what was shown of many mailboxes: (mailbox, preview), one for each pass; what is refused stops no other. Returns also the
    passes that are due now."""
    started, refused = [], []
    runs = Run.objects.select_related("sync_pass__crm", "sync_pass__peer", "sync_pass__mapping").in_bulk([run for _, run in plans])
    mailboxes = Mailbox.objects.in_bulk([pk for pk, _ in plans])
    asked = [(mailboxes[pk], runs.get(run)) for pk, run in plans if pk in mailboxes]
    for mailbox, plan in sorted(asked, key=lambda it: (it[0].address, it[0].pk)):
        try:
            started.append(mailbox_start(mailbox, plan, by))
        except MailboxRefused as refusal:
            refused.append(f"{mailbox.address}: {refusal}")
    return Done(len({child.mailbox_id for child in started}), refused), started


def previews_ask(pks: Sequence[int], by: AbstractBaseUser) -> Done:
    """Asks for new previews of what was never started of these mailboxes, by the queue that their runs go through."""
    parents, changed, refused = mailbox_passes(), 0, []
    if not parents:
        raise MailboxRefused(NO_PASS)
    for mailbox in Mailbox.objects.select_related("connection", "group").filter(pk__in=pks).order_by("address", "pk"):
        why = [_ask_one(parent, mailbox) for parent in parents]
        if all(why):
            refused.append(f"{mailbox.address}: {next((w for w in why if w != OFF), OFF)}")
            continue
        audit(by, "preview mailbox", mailbox.address)
        changed += 1
    for parent in parents:
        mailbox_queue.fill(parent)
    return Done(changed, refused)


def _ask_one(parent: SyncPass, mailbox: Mailbox) -> str:
    """Asks for a preview of one pass over a mailbox. Returns why none is made, "" where one is."""
    if not mailbox.crm_user_id:
        return "choose its Salesforce user first; a preview shows what that user sees."
    if not mailbox_queue.is_switched_on(parent, mailbox):
        return OFF
    child = pass_over(parent, mailbox)
    child.mailbox = mailbox
    if not mailbox_queue.is_first(child):
        return "it was started before. Its own page makes a preview of it."
    if not parent.is_on:
        return f"the pass “{parent}” is switched off."
    mailbox_queue.ask(SyncPass.objects.filter(pk=child.pk), timezone.now())
    return ""

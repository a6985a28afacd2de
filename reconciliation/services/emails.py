"""What people do with e-mails of a mailbox (S4.1, S4.28, D13, D31): save one or a conversation at once, follow a conversation, see what
sharing everything would take, take one back. All of it goes the pass's own road, so that nothing is made twice."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from django.contrib.auth.models import AbstractBaseUser

from connectors import mails as words
from connectors.contract import Record, Value
from connectors.mails import people_of
from reconciliation.core.counting import counted
from reconciliation.core.ledger import Outcome
from reconciliation.core.linking_facts import Choice
from reconciliation.core.operations import Intent
from reconciliation.core.values import is_same
from reconciliation.defaults.emails import EMAILS_PASS
from reconciliation.engine import email_links, email_rows, email_sweep
from reconciliation.engine.context import RunContext
from reconciliation.engine.email_work import Wish
from reconciliation.engine.emails import process_page
from reconciliation.engine.executor import Done
from reconciliation.engine.mailbox_queue import is_switched_on, wake
from reconciliation.engine.staff import at_work
from reconciliation.engine.wiring import Wiring
from reconciliation.models import Email, EmailCopy, Mailbox, MailThread, Operation, SyncPass
from reconciliation.passes.emails import BY_PERSON, CRM_TASK, EmailDecision, when_of
from reconciliation.roles import OPERATE
from reconciliation.services.audit import audit
from reconciliation.services.duplicates import DecisionRefused
from reconciliation.services.item_pages import WHAT_IDS, WHO_IDS, records_found
from reconciliation.services.mailbox_states import refuse_stranger
from reconciliation.services.mailboxes import MailboxRefused, pass_over
from reconciliation.services.undo import undo

MOST_OF_A_THREAD = 100
LONGEST_THREAD = 1000  # characters
MOST_FOLLOWED = 500  # conversations of one mailbox
PREVIEW_DAYS, MOST_PREVIEW_DAYS = 7, 30
MOST_PREVIEWED = 1000
RELATED = ("crm", "peer", "mapping", "parent", "mailbox__group")
SAVED = (Outcome.CREATED, Outcome.UNCHANGED)


@dataclass(frozen=True, slots=True)
class Told:
    """What became of one mail that a person asked for."""

    name: str
    is_saved: bool
    sentence: str


@dataclass(frozen=True, slots=True)
class Shown:
    """A mail as a list shows it that a person looks one up in: no more than who, what about, and when."""

    id: str
    subject: str
    sender: str
    at: datetime | None
    thread: str
    is_saved: bool


@dataclass(frozen=True, slots=True)
class WouldShare:
    """One mail that sharing everything would have taken, or left out, in the days looked at."""

    subject: str
    sender: str
    at: datetime | None
    is_taken: bool
    sentence: str


# --- whether anything happens at all (S4.2) -----------------------------------------------------------------------------


def why_nothing(mailbox: Mailbox, parent: SyncPass | None) -> str:
    """Returns why sharing and following do nothing now, in a sentence; "" where they do."""
    if parent is None:
        return "E-mails are not set up: Salesforce and a mail system are connected first."
    if not mailbox.is_running:
        reason = f" ({mailbox.state_reason})" if mailbox.state_reason else ""
        return f"The sync of this mailbox is {mailbox.get_state_display().lower()}{reason}: nothing is shared until it goes on."
    if not mailbox.crm_user_id:
        return "Nobody in Salesforce is known to be this mailbox's user: nothing is shared until one is chosen."
    if not is_switched_on(parent, mailbox):
        return "E-mails are switched off for this mailbox: nothing is shared until they are switched on in its settings."
    if not parent.is_on:
        return f"The pass “{parent}” is switched off: nothing is shared until an admin switches it on under Schedule."
    if parent.is_paused or parent.hold_reason:
        return f"The pass “{parent}” stands still: nothing is shared until it goes on."
    child = SyncPass.objects.filter(parent=parent, mailbox=mailbox).first()
    return (
        "" if child is None or child.is_on else "Its first preview has not been looked at: nothing is shared until the mailbox is started."
    )


def emails_pass_row() -> SyncPass | None:
    return SyncPass.objects.select_related("crm", "peer", "mapping").filter(name=EMAILS_PASS).first()


def _pass_of(mailbox: Mailbox, by: AbstractBaseUser | None) -> SyncPass:
    """Returns the mailbox's row of the pass. Raises MailboxRefused where nothing would happen, or it is somebody else's."""
    refuse_stranger(mailbox, by)
    parent = emails_pass_row()
    if parent is None or (why := why_nothing(mailbox, parent)):
        raise MailboxRefused(why if parent is not None else why_nothing(mailbox, None))
    return SyncPass.objects.select_related(*RELATED).get(pk=pass_over(parent, mailbox).pk)


# --- save now (S4.28, D13) ----------------------------------------------------------------------------------------------


def save_now(
    mailbox: Mailbox, mail_ids: Sequence[str], by: AbstractBaseUser, *, choice: Choice | None = None, wiring: Wiring | None = None
) -> list[Told]:
    """Saves these mails of the mailbox at once, whatever its settings say, and returns what became of each; the pass binds them
    afterwards. `choice` says whom, and what, they are linked to, else the rules do. Raises MailboxRefused, Busy, WritesStopped and
    ConnectorError."""
    sync_pass, wish = _pass_of(mailbox, by), Wish(BY_PERSON, by.get_username(), choice or Choice())
    what = f"Save {counted(len(mail_ids), 'e-mail')} now."
    with at_work(sync_pass, by=by.get_username(), what=what, wiring=wiring) as context:
        mails, gone = email_sweep.read(context, list(dict.fromkeys(mail_ids)))
        told = _save(context, mails, wish)
        told += [Told("", False, "It is not in the mailbox any more.") for _ in gone]
        run = context.run.pk
    audit(by, "save e-mails now", mailbox.address, run=run, saved=sum(t.is_saved for t in told), asked=len(mail_ids))
    return told


def choice_of_texts(mailbox: Mailbox, by: AbstractBaseUser, *, who: str, what: str, wiring: Wiring | None = None) -> Choice:
    """Returns what a person typed that e-mails shall be linked to, by name, address or id; what is blank is left to the rules. A
    mailbox's user finds no more than Salesforce shows them. Raises DecisionRefused where it is none, or several."""
    refuse_stranger(mailbox, by)
    user_id = None if by.has_perm(OPERATE) else mailbox.crm_user_id  # type: ignore[attr-defined]
    found = [
        _one_found(text, user_id=user_id, is_person=is_person, wiring=wiring) if text.strip() else None
        for text, is_person in ((who, True), (what, False))
    ]
    return Choice(who=found[0], what=found[1], by=by.get_username()) if any(found) else Choice()


def _one_found(text: str, *, user_id: str | None, is_person: bool, wiring: Wiring | None) -> str:
    found = records_found(text, user_id=user_id, wiring=wiring)
    if found.trouble:
        raise DecisionRefused(f"{found.trouble} Nothing was saved.")
    rows, noun = (found.people, "person") if is_person else (found.others, "account or opportunity")
    rows = [row for row in rows if row.id[:3] in (WHO_IDS if is_person else WHAT_IDS)]
    if not rows:
        raise DecisionRefused(f"Salesforce knows no {noun} “{text[:80]}”. Nothing was saved.")
    if len(rows) > 1:
        several = ", ".join(f"{row.name or row.object_type} ({row.id})" for row in rows[:5])
        raise DecisionRefused(f"Several are called “{text[:80]}”: {several}. Enter the id of one. Nothing was saved.")
    return rows[0].id


def save_thread(mailbox: Mailbox, thread: str, by: AbstractBaseUser, *, wiring: Wiring | None = None) -> list[Told]:
    """Saves the mails of a conversation at once, as `save_now`."""
    sync_pass, wish = _pass_of(mailbox, by), Wish(BY_PERSON, by.get_username())
    with at_work(sync_pass, by=by.get_username(), what="Save a conversation now.", wiring=wiring) as context:
        mails = context.peer.connector.thread_of(thread, most=MOST_OF_A_THREAD)
        told = _save(context, mails, wish)
        run = context.run.pk
    audit(by, "save a conversation now", mailbox.address, run=run, saved=sum(t.is_saved for t in told), asked=len(told))
    return told


def _save(context: RunContext, mails: Sequence[Record], wish: Wish) -> list[Told]:
    decisions = process_page(context, mails, {mail.ref.id: wish for mail in mails})
    return [Told(d.name, d.outcome in SAVED, d.sentence) for d in decisions.values()]


# --- conversations that are followed (S4.1) -------------------------------------------------------------------------------


def thread_follow(mailbox: Mailbox, mail_id: str, by: AbstractBaseUser, *, wiring: Wiring | None = None) -> MailThread:
    """Has the new mails of a mail's conversation saved from now on; those that came before stay where they are. Raises as
    `save_now`."""
    sync_pass = _pass_of(mailbox, by)
    if MailThread.objects.filter(mailbox=mailbox).count() >= MOST_FOLLOWED:
        raise MailboxRefused(f"At most {MOST_FOLLOWED} conversations can be followed; let one go first.")
    with at_work(sync_pass, by=by.get_username(), what="Follow a conversation.", only_reads=True, wiring=wiring) as context:
        mails, _ = email_sweep.read(context, [mail_id])
        now = context.wiring.now()
    thread = str(mails[0].fields.get(words.THREAD) or "") if mails else ""
    if not thread:
        raise MailboxRefused("This mail is not there any more, or belongs to no conversation.")
    if len(thread) > LONGEST_THREAD:
        raise MailboxRefused("The mailbox calls this conversation by a name that is too long. Nothing was done.")
    subject = " ".join(str(mails[0].fields.get(words.SUBJECT) or "").split())[:255]
    values = {"subject": subject, "chosen_by": by.get_username(), "chosen_at": now}
    row, is_new = MailThread.objects.get_or_create(mailbox=mailbox, thread=thread, defaults=values)
    if is_new:
        audit(by, "follow a conversation", mailbox.address)
        wake([mailbox.pk])
    return row


def thread_let_go(mailbox: Mailbox, pk: int, by: AbstractBaseUser) -> bool:
    """Follows a conversation no more; what was saved stays. Returns whether it was followed."""
    refuse_stranger(mailbox, by)
    gone, _ = MailThread.objects.filter(mailbox=mailbox, pk=pk).delete()
    if gone:
        audit(by, "let a conversation go", mailbox.address)
    return bool(gone)


# --- looking before sharing (C21) ------------------------------------------------------------------------------------------


def mails_find(
    mailbox: Mailbox, by: AbstractBaseUser, *, message_id: str = "", thread: str = "", wiring: Wiring | None = None
) -> list[Shown]:
    """Returns mails of the mailbox by their Message-ID or conversation, for a person to choose from. Raises as `save_now`."""
    sync_pass = _pass_of(mailbox, by)
    with at_work(sync_pass, by=by.get_username(), what="Look for mails.", only_reads=True, wiring=wiring) as context:
        box = context.peer.connector
        mails = box.thread_of(thread, most=MOST_OF_A_THREAD) if thread else box.find([message_id.strip()]) if message_id.strip() else []
    copies = EmailCopy.objects.filter(sync_pass=sync_pass, mail_id__in=[m.ref.id for m in mails], email__state=Email.State.SAVED)
    saved = set(copies.values_list("mail_id", flat=True))
    return [_shown(mail, saved) for mail in mails]


def _shown(mail: Record, saved: set[str]) -> Shown:
    subject, thread = (str(mail.fields.get(name) or "") for name in (words.SUBJECT, words.THREAD))
    return Shown(mail.ref.id, subject[:255], _sender(mail), when_of(mail), thread, mail.ref.id in saved)


def _sender(mail: Record) -> str:
    return next((p.address for p in people_of(mail, words.FROM)), "")


def share_all_preview(
    mailbox: Mailbox, by: AbstractBaseUser, *, days: int = PREVIEW_DAYS, wiring: Wiring | None = None
) -> list[WouldShare]:
    """Returns what sharing everything would have taken of the last days, and what it would have left out and why. Nothing is written,
    and nothing is remembered. Raises as `save_now`."""
    sync_pass = _pass_of(mailbox, by)
    days = min(max(days, 1), MOST_PREVIEW_DAYS)
    what = f"Look what sharing everything would have taken in {counted(days, 'day')}."
    with at_work(sync_pass, by=by.get_username(), what=what, only_reads=True, wiring=wiring) as context:
        since = context.wiring.now() - timedelta(days=days)
        context.is_preview = True
        context.terms = replace(context.terms, begins_at=since, shares_all_from=since)
        decisions = _taken(context, since)
        Operation.objects.filter(run=context.run, state=Operation.State.PLANNED).update(
            state=Operation.State.VOID, error="Only looked at.", settled_at=context.wiring.now()
        )
    is_own = mailbox.user_id is not None and mailbox.user_id == by.pk
    return [_would(decision, is_own=is_own) for decision in decisions]


def _taken(context: RunContext, since: datetime) -> list[EmailDecision]:
    box, cursor = context.peer.connector, ""
    box.use_reach(everything=True)
    found: dict[str, EmailDecision] = {}
    while len(found) < MOST_PREVIEWED:
        page = box.mail_changes(cursor, since)
        found |= process_page(context, page.mails[:MOST_PREVIEWED])
        cursor = page.cursor
        if page.is_last:
            break
    return list(found.values())


def _would(decision: EmailDecision, *, is_own: bool) -> WouldShare:
    """Returns what is shown of one mail: of one that would be left alone nobody but its user reads what it is about."""
    mail, is_taken = decision.record, decision.outcome in SAVED
    is_shown = is_taken or is_own
    subject, sender = (decision.name, _sender(mail)) if is_shown else ("", "")
    return WouldShare(subject, sender, when_of(mail), is_taken, decision.sentence)


# --- taking back -------------------------------------------------------------------------------------------------------------


def email_take_back(email: Email, by: AbstractBaseUser, *, reason: str = "", wiring: Wiring | None = None) -> None:
    """Deletes a saved e-mail in the CRM, for everybody; it is not saved again, and stays in the mailbox. Raises DecisionRefused, Busy,
    WritesStopped and ConnectorError."""
    if email.state != Email.State.SAVED or email.holder is None:
        raise DecisionRefused("It is not in the CRM (any more), or nobody knows from which mailbox it was saved. Nothing was done.")
    if email.holder.mailbox is not None:
        refuse_stranger(email.holder.mailbox, by)
    made = Operation.objects.filter(
        connection=email.connection, object_type=email.crm_type, target_id=email.crm_id, kind=Operation.Kind.CREATE
    )
    operation = made.filter(state=Operation.State.CONFIRMED).order_by("-pk").first()
    if operation is None:
        raise DecisionRefused("It was not saved by us, or too long ago: delete it in the CRM itself. Nothing was done.")
    sync_pass = SyncPass.objects.select_related(*RELATED).get(pk=email.holder_id)
    (line,) = undo(sync_pass, [operation], by, reason=reason, wiring=wiring)
    if not line.is_possible:
        raise DecisionRefused(line.sentence)


# --- links -------------------------------------------------------------------------------------------------------------------


def why_no_links(email: Email) -> str:
    """Returns why nobody can choose any more what an e-mail is linked to, "" where somebody can."""
    if email.state in (Email.State.WAITING, Email.State.REFUSED):
        return ""
    if email.state == Email.State.SAVED and email.crm_type == CRM_TASK and email.holder is not None:
        return ""
    if email.state == Email.State.SAVED:
        return "Salesforce relates an e-mail to people while it is a draft, and lets nobody change it afterwards."
    return "It is being saved just now." if email.state == Email.State.CLAIMED else "It is not in Salesforce any more."


def email_link(email: Email, by: AbstractBaseUser, choice: Choice, *, wiring: Wiring | None = None) -> str:
    """Links an e-mail to whom, and what, a person chose: one that waits when it is saved; a task that stands for one at once. Returns
    what was done, in a sentence. Raises DecisionRefused, Busy, WritesStopped and ConnectorError."""
    if why := why_no_links(email):
        raise DecisionRefused(f"{why} Nothing was done.")
    if email.holder is not None and email.holder.mailbox is not None:
        refuse_stranger(email.holder.mailbox, by)
    choice = replace(choice, by=by.get_username())
    if email.state == Email.State.SAVED:
        return _link_task(email, by, choice, wiring)
    if not email_rows.choose(email, email_links.kept(choice).get(email_rows.CHOSEN, {})):
        raise DecisionRefused("It is being saved just now. Nothing was done.")
    audit(by, "choose links of e-mail", email.subject or f"E-mail {email.pk}", who=choice.who, what=choice.what)
    return "It is linked so when it is saved."


def _link_task(email: Email, by: AbstractBaseUser, choice: Choice, wiring: Wiring | None) -> str:
    sync_pass = SyncPass.objects.select_related(*RELATED).get(pk=email.holder_id)
    wanted: dict[str, Value] = {"WhoId": choice.who, "WhatId": choice.what}
    wanted = {name: value or None for name, value in wanted.items() if value is not None}
    with at_work(sync_pass, by=by.get_username(), what="Choose the links of an e-mail.", wiring=wiring) as context:
        found = context.crm.connector.read(CRM_TASK, [email.crm_id], list(wanted)) if wanted else []
        if not found or found[0].is_deleted:
            raise DecisionRefused("Nothing was chosen, or the task is not in Salesforce any more. Nothing was done.")
        _write_links(context, email, found[0], wanted)
    links = {**email.links, "who": wanted.get("WhoId", email.links.get("who")), "what": wanted.get("WhatId", email.links.get("what"))}
    Email.objects.filter(pk=email.pk).update(links={**links, **email_links.kept(choice)})
    audit(by, "choose links of e-mail", email.subject or f"E-mail {email.pk}", who=choice.who, what=choice.what)
    return "Its links are as chosen."


def _write_links(context: RunContext, email: Email, task: Record, wanted: Mapping[str, Value]) -> None:
    changed = {name: value for name, value in wanted.items() if not is_same(task.fields.get(name), value)}
    if not changed:
        return
    before = {name: task.fields.get(name) for name in changed}
    of = {"target_id": task.ref.id, "version": task.version, "reason": "Links chosen.", "origin": {"name": email.subject}}
    intent = Intent("update", "crm", CRM_TASK, f"mail:message:{email.key}", changed, before, **of)
    said: list[Done] = []
    operations = [op for op in context.executor.intend([intent]) if op is not None]
    if not operations:
        raise DecisionRefused("Somebody else is writing it just now; try again in a minute. Nothing was done.")
    context.executor.send("crm", operations, said.extend)
    if refused := next((one.error for one in said if one.error is not None), None):
        raise DecisionRefused(f"{refused}. Nothing was done.")


def emails_began(mailbox: Mailbox) -> datetime | None:
    """Returns since when e-mails of a mailbox are saved by themselves, None where they never were."""
    row = SyncPass.objects.filter(mailbox=mailbox, parent__name=EMAILS_PASS).first()
    return row.switched_on_at if row is not None else None

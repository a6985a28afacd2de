"""The rows that remember e-mails: who may save one is decided here, by the database alone (engine-rules 40).

A run claims the row of an e-mail by one guarded update before anything is made in the CRM; whoever comes second finds it claimed. A
claim is given back when nothing was sent; what was sent and not answered keeps it, until the CRM was asked.
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import datetime, timedelta

from django.db.models import Exists, F, OuterRef, Q, QuerySet

from connectors import mails as words
from connectors.contract import Record
from connectors.mails import people_of
from reconciliation.engine.context import RunContext
from reconciliation.models import Email, EmailCopy, Mailbox, Operation, SyncPass
from reconciliation.models.bulk import insert_rows, update_rows
from reconciliation.passes.emails import EmailDecision, Known, State, identifier_of, is_outgoing, name_of, when_of

AT_ONCE = 200  # keys in one statement
LOST_AFTER = timedelta(minutes=15)  # a claim older than this is of a run that died, or has to be renewed before it is used
CLAIM_TRIES = 3
CHOSEN = "chosen"  # in the links of an e-mail: {who, others, what, by}
UNREADABLE = "unreadable"  # why an e-mail waits, or was refused, of which its mailbox shows nothing
SOON_TRIES, MOST_TRIES, FIRST_WAIT = 2, 7, timedelta(minutes=15)  # two runs in a row, then after 30 minutes to 8 hours
MOST_ID = 1000  # characters of a mail's id in its mailbox
LONGEST_CASE_ID, BEGINNING = 255, 180
COPY_UNIQUE, COPY_KEPT = ("sync_pass", "mail_id"), ("email_id", "why", "by", "is_open", "seen_at")


def claim_of(context: RunContext) -> str:
    """Returns what this run calls its claims."""
    return f"{context.run.pk}:{context.lease.token}"


def rows_of(context: RunContext, keys: Collection[str]) -> dict[str, Email]:
    """Returns what is known of these e-mails, by key."""
    found: dict[str, Email] = {}
    wanted = sorted(set(keys))
    for start in range(0, len(wanted), AT_ONCE):
        rows = Email.objects.filter(connection=context.crm.connection, key__in=wanted[start : start + AT_ONCE])
        # The address alone: a mailbox holds secrets, each of which would be opened for every e-mail.
        found.update({row.key: row for row in rows.annotate(holder_address=F("holder__mailbox__address"))})
    return found


def copies_of(context: RunContext, mail_ids: Collection[str]) -> dict[str, EmailCopy]:
    """Returns what is known of these mails of the mailbox, by their ids."""
    found: dict[str, EmailCopy] = {}
    wanted = sorted(set(mail_ids))
    for start in range(0, len(wanted), AT_ONCE):
        rows = EmailCopy.objects.filter(sync_pass=context.sync_pass, mail_id__in=wanted[start : start + AT_ONCE])
        found.update({row.mail_id: row for row in rows.select_related("email")})
    return found


def as_known(context: RunContext, row: Email | None, copy: EmailCopy | None) -> Known | None:
    if row is None:
        return None
    is_bound = copy is not None and copy.email_id == row.pk and not copy.is_open
    holder = getattr(row, "holder_address", None) or ""
    state = State.WAITING if _is_readable_here(context, row) else State(row.state)
    return Known(state, is_bound, row.state == Email.State.CLAIMED and row.claim == claim_of(context), holder)


def _is_readable_here(context: RunContext, row: Email) -> bool:
    """Tells whether an e-mail was given up for a mail that cannot be read in another mailbox."""
    return row.state == Email.State.REFUSED and row.reason == UNREADABLE and row.holder_id != context.sync_pass.pk


def case_id(mail_id: str) -> str:
    """Returns what a case about a mail is filed under: its id, as far as there is room."""
    if len(mail_id) <= LONGEST_CASE_ID:
        return mail_id
    return f"{mail_id[:BEGINNING]}…{hashlib.sha256(mail_id.encode()).hexdigest()}"


def copies_of_case(sync_pass: SyncPass, name: str) -> QuerySet[EmailCopy]:
    """Returns where the mail lies that a case is about."""
    rows = EmailCopy.objects.filter(sync_pass=sync_pass)
    begins, is_long, _ = name.partition("…")
    if not is_long:
        return rows.filter(mail_id=name)
    found = [row.pk for row in rows.filter(mail_id__startswith=begins) if case_id(row.mail_id) == name]
    return rows.filter(pk__in=found)


# --- claiming -------------------------------------------------------------------------------------------------------------


def claim(context: RunContext, wanted: Mapping[str, Record]) -> dict[str, Email]:
    """Claims the e-mails with these keys, each with a mail that stands for it, and returns those that this run may save now. Those that
    it may not have a row that says whose they are."""
    mine: dict[str, Email] = {}
    keys = sorted(wanted)
    for start in range(0, len(keys), AT_ONCE):
        some = keys[start : start + AT_ONCE]
        for _ in range(CLAIM_TRIES):  # another mailbox may forget an e-mail in the moment in which it is claimed here
            mine.update(_claimed(context, {key: wanted[key] for key in some}))
            left = sorted(set(some) - set(mine))
            some = sorted(set(left) - set(_there(context, left))) if left else []
            if not some:
                break
    return mine


def _claimed(context: RunContext, wanted: Mapping[str, Record]) -> dict[str, Email]:
    now, token, connection = context.wiring.now(), claim_of(context), context.crm.connection
    keys = list(wanted)
    note_wanted(context, wanted)
    waiting = Q(state=Email.State.WAITING)
    elsewhere = Q(state=Email.State.REFUSED, reason=UNREADABLE) & (Q(holder=None) | ~Q(holder=context.sync_pass))
    free = Email.objects.filter(waiting | elsewhere, connection=connection, key__in=keys)
    free.update(state=Email.State.CLAIMED, holder=context.sync_pass, claim=token, claimed_at=now)
    won = Email.objects.filter(connection=connection, key__in=keys, state=Email.State.CLAIMED, claim=token)
    return {row.key: row for row in won}


def note_wanted(context: RunContext, wanted: Mapping[str, Record]) -> None:
    """Sees to it that each of these e-mails has a row."""
    now = context.wiring.now()
    Email.objects.bulk_create([_row(context, key, mail, now) for key, mail in wanted.items()], ignore_conflicts=True)


def _there(context: RunContext, keys: Collection[str]) -> Iterable[str]:
    return Email.objects.filter(connection=context.crm.connection, key__in=list(keys)).values_list("key", flat=True)


def renew(context: RunContext, keys: Collection[str]) -> set[str]:
    """Renews claims of this run, right before anything is sent, and returns the e-mails that it still may save: whoever is slow finds
    them gone to another mailbox."""
    mine = Email.objects.filter(connection=context.crm.connection, state=Email.State.CLAIMED, claim=claim_of(context))
    kept: set[str] = set()
    for start in range(0, len(some := sorted(keys)), AT_ONCE):
        rows = mine.filter(key__in=some[start : start + AT_ONCE])
        rows.update(claimed_at=context.wiring.now())
        kept.update(rows.values_list("key", flat=True))
    return kept


def key_unread(context: RunContext, mail_id: str) -> str:
    """Returns what an e-mail is called of which nothing is known but where it lies."""
    return hashlib.sha256(f"unreadable:{context.sync_pass.pk}:{mail_id}".encode()).hexdigest()


def _row(context: RunContext, key: str, mail: Record, now: datetime) -> Email:
    """Returns the row of an e-mail that nobody knows yet."""
    sender = next((p.address for p in people_of(mail, words.FROM)), "")
    recipients = ", ".join(p.address for name in (words.TO, words.CC, words.BCC) for p in people_of(mail, name) if p.address)
    return Email(
        connection=context.crm.connection,
        key=key,
        message_id=identifier_of(mail, key),
        subject=name_of(mail),
        sender=sender[:320],
        recipients=recipients[:1000],
        is_outgoing=is_outgoing(mail),
        sent_at=when_of(mail),
        since=now,
    )


def note_copies(context: RunContext, emails: Mapping[str, Email], found: Iterable[tuple[str, str, str, str]]) -> None:
    """Remembers that the mailbox shares these e-mails: (id of the mail, key, why, by whom). Before anything is sent, so that a run that
    dies leaves word of each."""
    now = context.wiring.now()
    rows = [
        EmailCopy(email=emails[key], sync_pass=context.sync_pass, mail_id=id_, why=why, by=by[:150], seen_at=now)
        for id_, key, why, by in found
        if key in emails
    ]
    insert_rows(list({row.mail_id: row for row in rows}.values()), unique=COPY_UNIQUE, update=COPY_KEPT)


def release(context: RunContext, keys: Collection[str]) -> None:
    """Gives claims of this run back: nothing was sent."""
    mine = Email.objects.filter(connection=context.crm.connection, state=Email.State.CLAIMED, claim=claim_of(context))
    for start in range(0, len(some := sorted(keys)), AT_ONCE):
        mine.filter(key__in=some[start : start + AT_ONCE]).update(state=Email.State.WAITING, claim="")


def forget(context: RunContext, mail_ids: Collection[str]) -> None:
    """Forgets that the mailbox wanted these mails saved; an e-mail that is wanted by nobody is known no more."""
    ids = sorted(mail_ids)
    for start in range(0, len(ids), AT_ONCE):
        copies = EmailCopy.objects.filter(sync_pass=context.sync_pass, mail_id__in=ids[start : start + AT_ONCE])
        emails = set(copies.values_list("email_id", flat=True))
        copies.filter(email__state__in=Email.OPEN).delete()
        _drop_unwanted(Email.objects.filter(pk__in=emails))


def drop_unwanted(context: RunContext, keys: Collection[str]) -> None:
    """Forgets e-mails that nobody wants saved any more."""
    some = sorted(keys)
    for start in range(0, len(some), AT_ONCE):
        _drop_unwanted(Email.objects.filter(connection=context.crm.connection, key__in=some[start : start + AT_ONCE]))


def _drop_unwanted(rows: QuerySet[Email]) -> None:
    wanted = EmailCopy.objects.filter(email=OuterRef("pk"))
    rows.filter(~Exists(wanted), state__in=(Email.State.WAITING, Email.State.REFUSED), draft_id="").delete()


# --- what becomes of them ---------------------------------------------------------------------------------------------------


SAVED_FIELDS = (
    *("state", "claim", "draft_id", "crm_type", "crm_id", "why", "by", "links", "left_out"),
    *("reason", "sentence", "saved_at", "due_at", "holder"),
)


def saved(context: RunContext, found: Sequence[tuple[Email, EmailDecision, str]], *, state: str = Email.State.SAVED) -> None:
    """Remembers, for good, what e-mails became: (row, decision, id in the CRM). In the transaction that settles the writes."""
    now, rows = context.wiring.now(), [row for row, _, _ in found]
    for row, decision, crm_id in found:
        row.state, row.claim, row.draft_id, row.crm_type, row.crm_id = state, "", "", context.terms.object_type, crm_id
        row.why, row.by, row.links, row.left_out = decision.why, decision.by[:150], _links(row, decision), list(decision.left_out)
        row.reason, row.sentence, row.saved_at, row.due_at, row.holder = "", "", now, None, context.sync_pass
    update_rows(rows, SAVED_FIELDS)
    for start in range(0, len(rows), AT_ONCE):
        some = [row.pk for row in rows[start : start + AT_ONCE]]
        EmailCopy.objects.filter(sync_pass=context.sync_pass, email__in=some).update(is_open=False)


def _links(row: Email, decision: EmailDecision) -> dict[str, object]:
    """Returns the links of an e-mail as they are kept: what a person chose before stays chosen."""
    return {**({CHOSEN: row.links[CHOSEN]} if row.links.get(CHOSEN) else {}), **decision.links}


def choose(email: Email, choice: Mapping[str, object]) -> bool:
    """Remembers what a person wants an e-mail linked to that is not saved yet, and has it looked at again. Returns whether that was
    possible: no run is at it."""
    open_ = Email.objects.filter(pk=email.pk, state__in=(Email.State.WAITING, Email.State.REFUSED))
    return bool(open_.update(links={**email.links, CHOSEN: dict(choice)}, due_at=None, tries=0))


def wait(context: RunContext, row: Email, decision: EmailDecision) -> None:
    """Remembers why an e-mail is not saved yet, and when it is looked at again. One in doubt keeps its claim."""
    now = context.wiring.now()
    tries = min(row.tries + 1, MOST_TRIES) if row.reason == decision.reason else 1
    due_at = now if tries <= SOON_TRIES else now + FIRST_WAIT * 2 ** (tries - SOON_TRIES)
    said = {"reason": decision.reason[:60], "sentence": decision.sentence, "tries": tries, "due_at": due_at, "links": _links(row, decision)}
    Email.objects.filter(pk=row.pk, claim=row.claim).update(**said)


def refuse(context: RunContext, row: Email, decision: EmailDecision) -> None:
    said = {"reason": decision.reason[:60], "sentence": decision.sentence, "due_at": None, "links": _links(row, decision)}
    Email.objects.filter(pk=row.pk, claim=row.claim).update(state=Email.State.REFUSED, claim="", holder=context.sync_pass, **said)


def may_be_tried_again(row: Email | None, reason: str) -> bool:
    """Tells whether an e-mail that waits for this reason is tried again by itself."""
    return row is None or row.reason != reason or row.tries < MOST_TRIES


def close_copies(context: RunContext, mail_ids: Collection[str]) -> None:
    """Notes that these mails need nothing any more: what they are is in the CRM, or was."""
    ids = sorted(mail_ids)
    for start in range(0, len(ids), AT_ONCE):
        EmailCopy.objects.filter(sync_pass=context.sync_pass, mail_id__in=ids[start : start + AT_ONCE]).update(is_open=False)


def mark_gone(context: RunContext, mail_ids: Collection[str]) -> None:
    """Notes that these mails left the place where they were shared: nothing follows from it in the CRM (S4.20)."""
    ids = sorted(mail_ids)
    for start in range(0, len(ids), AT_ONCE):
        EmailCopy.objects.filter(sync_pass=context.sync_pass, mail_id__in=ids[start : start + AT_ONCE]).update(is_gone=True)


# --- what waits -------------------------------------------------------------------------------------------------------------


def settle_over(context: RunContext) -> list[str]:
    """Closes the mailbox's copies of e-mails that another mailbox has saved meanwhile, and returns the ids of these mails."""
    over = Email.objects.filter(pk=OuterRef("email_id"), state__in=Email.OVER)
    rows = EmailCopy.objects.filter(Exists(over), sync_pass=context.sync_pass, is_open=True)
    found = list(rows.values_list("mail_id", flat=True))
    close_copies(context, found)
    return found


def let_go(mailbox: Mailbox) -> None:
    """Gives e-mails that were refused to a mailbox whose sync ended to whichever other one holds them: nobody else would ever try."""
    refused = Email.objects.filter(holder__mailbox=mailbox, state=Email.State.REFUSED)
    refused.update(state=Email.State.WAITING, tries=0, due_at=None, claim="")


def waiting(context: RunContext, most: int, behind: int = 0) -> list[EmailCopy]:
    """Returns the mailbox's copies of e-mails that are to be looked at now, the longest known first."""
    now = context.wiring.now()
    due = Q(email__state=Email.State.WAITING) & (Q(email__due_at=None) | Q(email__due_at__lte=now))
    rows = EmailCopy.objects.filter(due, sync_pass=context.sync_pass, is_open=True, pk__gt=behind).select_related("email").order_by("pk")
    return list(rows[:most])


def lost_claims(context: RunContext) -> QuerySet[Email]:
    """Returns e-mails whose claim is of a run that is over: of this mailbox, or of another one if this one holds them, too."""
    own = Email.objects.filter(state=Email.State.CLAIMED, holder=context.sync_pass).exclude(claim=claim_of(context))
    held = EmailCopy.objects.filter(email=OuterRef("pk"), sync_pass=context.sync_pass, is_open=True)
    others = Email.objects.filter(Exists(held), state=Email.State.CLAIMED, claimed_at__lt=context.wiring.now() - LOST_AFTER)
    return Email.objects.filter(Q(pk__in=own.values("pk")) | Q(pk__in=others.values("pk")))


def known_for_good(sync_pass: SyncPass, mail_ids: Sequence[str]) -> set[str]:
    """Returns those of these mails that need nothing any more, so that nobody has to read them."""
    found: set[str] = set()
    for start in range(0, len(mail_ids), AT_ONCE):
        rows = EmailCopy.objects.filter(sync_pass=sync_pass, mail_id__in=mail_ids[start : start + AT_ONCE], is_open=False)
        found.update(rows.values_list("mail_id", flat=True))
    return found


def open_writes(context: RunContext, keys: Collection[str]) -> dict[str, Operation]:
    """Returns the writes of these e-mails that were sent and not answered, of any run, by key."""
    refs = {f"mail:message:{key}": key for key in keys}
    found: dict[str, Operation] = {}
    wanted = sorted(refs)
    for start in range(0, len(wanted), AT_ONCE):
        rows = Operation.objects.filter(
            connection=context.crm.connection, source_ref__in=wanted[start : start + AT_ONCE], state__in=Operation.OPEN
        )
        found.update({refs[row.source_ref]: row for row in rows})
    return found

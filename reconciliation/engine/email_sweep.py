"""How the pass goes over the mails of one mailbox: first those that waited, then what is new or newly marked, by the mailbox's own list
of changes (S4.20, S4.21). Nothing is read of the CRM but what the e-mails of a page need."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta

from django.db import transaction

from connectors.contract import Record
from connectors.errors import MappingError, NeedsAttention, RecordGone
from connectors.mailboxes import FOLDER_GONE
from connectors.mails import READ_AT_ONCE, MailChanges
from reconciliation.engine import email_previews, email_rows, email_terms, gate, previews
from reconciliation.engine.context import Order, RunContext
from reconciliation.engine.email_work import Wish
from reconciliation.engine.emails import close_cases, process_page, tell_gone, tell_of_all
from reconciliation.engine.mailbox_sweep import make_category, make_place, settle_making
from reconciliation.models import EmailCopy, Run
from reconciliation.passes import emails as rules
from reconciliation.passes.emails import CATEGORY, CRM_TASK, FOLDER

PIECE_ROWS = 200
WAITING_ROWS = 200
MAIL_FOLDER = "mailFolder"  # object type of the journal

LOOKED_BACK = timedelta(days=14)  # before sync was switched on: what was marked by then is saved, too
Ended = tuple[str, str]


def open_mailbox(context: RunContext) -> None:
    """Says what shares a mail: the category, our folder, threads that are followed, or everything. The folder and the category are
    made when they are not there. Raises RunHeld where nobody knows whose the mailbox is."""
    mailbox = context.sync_pass.mailbox
    if mailbox is None:
        raise gate.RunHeld("This pass goes over mailboxes; name one.")
    if not mailbox.crm_user_id:
        name = context.terms.crm_name
        raise gate.RunHeld(f"Nobody in {name} is known to be {mailbox.address}; choose its user on the mailbox's page.")
    email_terms.look_what_it_takes(context)
    email_terms.note_sharing(context)
    context.crm.connector.use_email_key(email_terms.takes_of(context.sync_pass).has_key)
    box, terms = context.peer.connector, context.terms
    box.use_category(CATEGORY)
    _open_folder(context)
    box.use_reach(everything=terms.shares_all_from is not None, threads=sorted(terms.threads))


def _open_folder(context: RunContext) -> None:
    box, settings = context.peer.connector, context.sync_pass.settings
    if not context.is_preview and box.has_categories and not settings.get(email_terms.CATEGORY_MADE):
        make_category(context, CATEGORY, f"The category “{CATEGORY}” shares a mail; one that is there is left as it is.")
        context.save_pass(settings={**settings, email_terms.CATEGORY_MADE: CATEGORY})
    box.use_folder(str(context.sync_pass.settings.get(email_terms.FOLDER_ID) or "") or _find_folder(context))


def _find_folder(context: RunContext) -> str:
    """Returns the mailbox's folder *Salesforce Emails*, made when it is new; "" in a plan for a mailbox that has none."""
    box = context.peer.connector
    found = box.folders(FOLDER)
    settle_making(context, found, MAIL_FOLDER)
    if context.is_preview:
        return found[0].id if found else ""
    if not found:
        found = [make_place(context, MAIL_FOLDER, FOLDER, "The mailbox had no such folder.", box.make_folder)]
    if len(found) > 1:
        context.notes.append(f"The mailbox has {len(found)} folders called “{FOLDER}”; the first one is used.")
    context.save_pass(settings={**context.sync_pass.settings, email_terms.FOLDER_ID: found[0].id})
    return found[0].id


def retry_owed(context: RunContext) -> None:
    """What waits is taken up by the sweep."""


def sweep(context: RunContext, order: Order) -> Ended:
    """Takes up what waited, then reads the mailbox's list to its end. Returns the state the run ends in, and a note. Raises
    ConnectionTrouble."""
    ends = None if order.budget is None else context.wiring.monotonic() + order.budget
    if context.terms.object_type == CRM_TASK and not context.terms.zone:
        context.terms = rules.replace_zone(context.terms, email_terms.zone_of_user(context))
    if order.is_full:
        context.save_pass(cursor="")
    try:
        return _go_over(context, ends)
    except MappingError as error:  # a field that we look for is not there (any more): it is the same for every e-mail
        if context.is_preview:
            raise
        tell_of_all(context, error)
        return Run.State.HELD, f"{error.sentence}. The e-mails wait, and follow when that was mended."
    except NeedsAttention as error:  # e-mails were switched off there, or our user may not see them any more: tasks may do
        if error.status in email_terms.NOT_THERE and not context.is_preview:
            email_terms.ask_again(context)
        raise


def _go_over(context: RunContext, ends: float | None) -> Ended:
    if not _take_up_waiting(context, ends) or not _read_to_the_end(context, ends):
        return Run.State.PARTIAL, "The time budget was used up; the next run goes on where this one stopped."
    context.save_pass(backlog=0)
    if context.terms.is_restored:
        context.save_pass(restored_at=None, restored_to=None)
    return Run.State.FINISHED, " ".join(context.notes)


def _is_over(context: RunContext, ends: float | None) -> bool:
    return ends is not None and context.wiring.monotonic() >= ends


# --- what waited ------------------------------------------------------------------------------------------------------------


def _take_up_waiting(context: RunContext, ends: float | None) -> bool:
    """Looks again at e-mails whose time has come. Returns whether all were looked at."""
    if context.is_preview:
        return True
    close_cases(context, email_rows.settle_over(context))
    last = 0
    while copies := email_rows.waiting(context, WAITING_ROWS, behind=last):
        last = copies[-1].pk
        look_at(context, copies)
        context.show_progress()
        if _is_over(context, ends):
            return False
    return True


def look_at(context: RunContext, copies: Sequence[EmailCopy]) -> None:
    """Looks at e-mails of the mailbox that are known, as they are there now. Those that are not there any more are forgotten."""
    wishes = {copy.mail_id: Wish(copy.why, copy.by) for copy in copies}
    mails, gone = read(context, list(wishes))
    if gone:
        tell_gone(context, gone)
    process_page(context, mails, wishes)
    context.counted.update({mail.ref.id: mail.version for mail in mails})


def read(context: RunContext, ids: Sequence[str]) -> tuple[list[Record], list[str]]:
    """Returns these mails without their texts, and the ids of those that are gone. What cannot be read is among the mails."""
    mails: list[Record] = []
    gone: list[str] = []
    for start in range(0, len(ids), READ_AT_ONCE):
        context.lease.guard(context.crm.connector.request_timeout)
        found = context.peer.connector.read(list(ids[start : start + READ_AT_ONCE]))
        mails += [whole.record for whole in found.mails] + list(found.unreadable)
        gone += found.gone
    return mails, gone


# --- what is new ------------------------------------------------------------------------------------------------------------


def _read_to_the_end(context: RunContext, ends: float | None) -> bool:
    """Carries what happened in the mailbox. Returns whether its list came to its end."""
    cursor, was_made_again = context.sync_pass.cursor, False
    since: datetime = context.terms.begins_at - LOOKED_BACK
    while True:
        context.lease.guard(context.crm.connector.request_timeout)
        try:
            page = context.peer.connector.mail_changes(cursor, since, known=lambda ids: email_rows.known_for_good(context.sync_pass, ids))
        except RecordGone as error:
            if error.code != FOLDER_GONE or context.is_preview or was_made_again:
                raise
            _make_folder_again(context)
            was_made_again = True
            continue
        _process(context, page)
        cursor = page.cursor
        with transaction.atomic():
            context.lease.renew()
            context.save_pass(cursor=cursor)
        context.show_progress()
        if page.is_last:
            return True
        if _is_over(context, ends):
            return False


def _make_folder_again(context: RunContext) -> None:
    """Somebody deleted the folder: nothing follows from that for the e-mails that are saved."""
    context.notes.append(f"The folder “{FOLDER}” was gone and was made again.")
    context.save_pass(settings={k: v for k, v in context.sync_pass.settings.items() if k != email_terms.FOLDER_ID})
    context.peer.connector.use_folder(_find_folder(context))


def _process(context: RunContext, page: MailChanges) -> None:
    mails = {mail.ref.id: mail for mail in (*page.unreadable, *page.mails)}
    open_ = [mail for id_, mail in mails.items() if context.counted.get(id_) != mail.version or not mail.version]
    for start in range(0, len(open_), PIECE_ROWS):
        process_page(context, open_[start : start + PIECE_ROWS])
    if page.gone and not context.is_preview:
        email_rows.mark_gone(context, [id_ for id_ in page.gone if id_ not in mails])


# --- plans ------------------------------------------------------------------------------------------------------------------


def apply(context: RunContext, preview_id: int) -> Ended:
    """Carries out the plan of a preview: every mail is read again, and one that changed is refused."""
    preview = previews.to_apply(preview_id)
    for planned in email_previews.planned_pages(context, preview):
        wishes = {id_: Wish(str(row.context.get(email_previews.WHY) or "")) for id_, row in planned.items()}
        mails, _ = read(context, list(planned))
        email_previews.settle(context, planned, process_page(context, mails, wishes, planned))
        context.show_progress()
    return previews.applied(context, preview, "e-mail")

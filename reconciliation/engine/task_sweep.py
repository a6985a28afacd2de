"""How a pass goes over the tasks of one mailbox: as over its events (`item_sweep`), but for lists in place of days."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from django.db import transaction

from connectors import tasks as words
from connectors.contract import Record
from connectors.tasks import TaskChanges
from reconciliation.engine import item_rows, item_sweep, mailbox_moves, mailbox_news, pair_cases
from reconciliation.engine.context import Order, RunContext
from reconciliation.engine.item_sweep import Ended, Round
from reconciliation.engine.mailbox_sweep import make_place, settle_making
from reconciliation.models import Binding, MailboxItem, Run
from reconciliation.models.bulk import insert_rows
from reconciliation.passes.tasks import OUR_LIST

LIST_MADE = "taskList"  # object type of the journal
LIST_ID = "list"  # in the settings of the mailbox's row of the pass
LONG_AGO = datetime(2000, 1, 1, tzinfo=UTC)


def open_mailbox(context: RunContext) -> None:
    """Says which category, and which list, shares a task; both are made when they are not there."""
    item_sweep.look_whose_it_is(context)
    box = context.peer.connector
    box.use_category(context.terms.category)
    if box.has_categories:
        item_sweep.see_to_category(context)
    box.use_list(str(context.sync_pass.settings.get(LIST_ID) or "") or _find_list(context))


def _find_list(context: RunContext) -> str:
    """Returns our list, made when it is new; "" in a plan for a mailbox that has none."""
    box = context.peer.connector
    found: list[Any] = box.lists(OUR_LIST)
    settle_making(context, found, LIST_MADE)
    if context.is_preview:
        return found[0].id if found else ""
    if not found:
        found = [make_place(context, LIST_MADE, OUR_LIST, "The mailbox had no such list.", box.make_list)]
    if len(found) > 1:
        context.notes.append(f"The mailbox has {len(found)} lists called “{OUR_LIST}”; the first one is used.")
    context.save_pass(settings={**context.sync_pass.settings, LIST_ID: found[0].id})
    return str(found[0].id)


def sweep(context: RunContext, order: Order) -> Ended:
    """Looks at both sides. Returns the state the run ends in, and a note. Raises ConnectionTrouble, BrakeTripped."""
    ends = None if order.budget is None else context.wiring.monotonic() + order.budget
    pair_cases.take_up_answered(context)
    fresh = mailbox_news.read_feed(context, item_sweep.crm_object(context), order)
    if order.is_full:
        context.save_pass(cursor="", feed_at=None, sweep_blanked={}, approved_blanking=[])
        context.save_pass(settings={k: v for k, v in context.sync_pass.settings.items() if k != LIST_ID})
        context.peer.connector.use_list(_find_list(context))  # it may be another one by now
    if not _mailbox_side(context, ends) or not item_sweep.crm_side(context, fresh, ends):
        return Run.State.PARTIAL, "The time budget was used up; the next run goes on where this one stopped."
    context.save_pass(sweep_blanked={}, approved_blanking=[], backlog=0)
    return Run.State.FINISHED, " ".join(context.notes)


def _mailbox_side(context: RunContext, ends: float | None) -> bool:
    """Carries what happened in the lists. Returns whether they came to their end."""
    round_, cursor = Round(), context.sync_pass.cursor
    is_first = not cursor and not Binding.objects.filter(sync_pass=context.sync_pass).exists()
    while True:
        context.lease.guard(context.peer.connector.request_timeout)
        page: TaskChanges = context.peer.connector.task_changes(cursor)
        if page.is_restart:
            round_ = Round()
        round_.is_whole = round_.is_whole or page.is_whole
        mailbox_moves.follow_marked(context, page.tasks, page.gone, is_whole=page.is_whole)
        tasks = {record.ref.id: record for record in page.tasks}
        round_.seen.update(tasks)
        round_.gone.update(page.gone)
        round_.gone.difference_update(tasks)
        _note_first_sightings(context, list(tasks.values()), is_first=is_first)
        item_sweep.process_items(context, list(tasks.values()))
        cursor = page.cursor
        if page.is_last and not round_.is_whole:
            round_.gone.update(mailbox_moves.unheard(context, round_.seen))
        if page.is_last or not round_.is_whole:  # the cursor goes by what this page said
            item_sweep.process_gone(context, _gone_of(context, round_))
            round_.gone.clear()
            with transaction.atomic():
                context.lease.renew()
                context.save_pass(cursor=cursor, **(mailbox_moves.heard(context) if page.is_last else {}))
        context.show_progress()
        if page.is_last:
            return True
        if ends is not None and context.wiring.monotonic() >= ends and not round_.is_whole:
            return False


def _gone_of(context: RunContext, round_: Round) -> list[str]:
    if not round_.is_whole:
        return item_sweep.linked_among(context, round_.gone)
    return [id_ for id_ in item_sweep.linked_before(context) if id_ not in round_.seen]


def _note_first_sightings(context: RunContext, tasks: Sequence[Record], *, is_first: bool) -> None:
    """Keeps when tasks were seen first, where new ones are shared by themselves and the system does not tell when one was made. What
    the first round shows was there before."""
    undated = [task for task in tasks if task.fields.get(words.CREATED) is None]
    if not context.terms.own.shares_all or not undated:
        return
    known = item_rows.rows_of(context, [task.ref.id for task in undated])
    now = context.wiring.now()
    since = LONG_AGO if is_first else now
    new = [task for task in undated if task.ref.id not in known]
    if not context.is_preview:
        insert_rows(
            [
                MailboxItem(
                    sync_pass=context.sync_pass,
                    object_type=words.TASK,
                    item_id=task.ref.id,
                    state=MailboxItem.State.SEEN,
                    since=since,
                    seen_at=now,
                )
                for task in new
            ]
        )
    seen_at = {id_: row.since for id_, row in known.items()} | {task.ref.id: since for task in new}
    context.terms = replace(context.terms, own=replace(context.terms.own, seen_at=seen_at))


def retry_owed(context: RunContext) -> None:
    item_sweep.retry_owed(context)


def apply(context: RunContext, preview_id: int) -> Ended:
    return item_sweep.apply(context, preview_id)

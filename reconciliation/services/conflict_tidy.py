"""Conflicts of mailboxes, as far as what is stored says that they are over.

Why they are not read again every hour, as those of other passes are: a run over a mailbox goes every half hour, reads all that
changed on both sides since the last one, and closes what agrees by then (`engine.conflicts`). A look between two runs would
cost two calls for each mailbox and find nothing that the next run does not. What no run comes to see is closed here without a
call: a link that ended, a field that is not mapped any more. A mailbox that is paused, suspended or left is asked by nobody;
its conflicts wait with it, and the list says so."""

from __future__ import annotations

from collections.abc import Sequence

from django.db import transaction
from django.utils import timezone

from reconciliation.engine import mailbox_queue
from reconciliation.models import Binding, Case, Mailbox, SyncPass
from reconciliation.services.conflict_desk import Tables, open_rows, tables_of
from reconciliation.services.conflict_refresh import CASES_A_BATCH, ENDED, UNMAPPED, Refreshed, close, close_fields

Live = set[tuple[int, str, str, str]]  # pass, type and id in the CRM, id in the mailbox


def conflicts_tidy(parent: SyncPass) -> Refreshed:
    """Closes what is over of the open conflicts of all mailboxes of a pass. No call is made, and no lease taken: a run that is
    under way opens none of what is closed here."""
    result, tables, last = Refreshed(), tables_of(parent), 0
    rows = Case.objects.filter(sync_pass__parent=parent, state=Case.State.OPEN, kind=Case.Kind.CONFLICT).order_by("pk")
    while part := list(rows.filter(pk__gt=last)[:CASES_A_BATCH]):
        last = part[-1].pk
        result.looked_at += len(part)
        with transaction.atomic():
            result.closed += _tidy(part, tables)
    return result


def _tidy(part: Sequence[Case], tables: Tables) -> int:
    fields, live, now, closed = open_rows(part), _live(part), timezone.now(), 0
    for case in part:
        rows = list(fields.get(case.pk, {}).values())
        is_linked = (case.sync_pass_id, case.crm_type, case.crm_id, case.peer_id) in live
        over = [row for row in rows if not is_linked or tables.rule_of(row, case) is None]
        close_fields(over, now)
        if len(over) == len(rows):
            closed += close(case, UNMAPPED if is_linked else ENDED, now)
    return closed


def _live(part: Sequence[Case]) -> Live:
    rows = Binding.objects.filter(sync_pass__in={c.sync_pass_id for c in part}, crm_id__in={c.crm_id for c in part}, is_tombstone=False)
    return set(rows.values_list("sync_pass_id", "crm_type", "crm_id", "peer_id"))


def conflicts_ask(parent: SyncPass) -> int:
    """Lets the mailboxes that have open conflicts run before their turn, because somebody asked; the queue bounds how many at a
    time. Returns how many were asked."""
    cases = Case.objects.filter(sync_pass__parent=parent, state=Case.State.OPEN, kind=Case.Kind.CONFLICT)
    rows = SyncPass.objects.filter(pk__in=cases.values("sync_pass"), is_on=True, mailbox__state__in=Mailbox.RUNNING)
    asked = mailbox_queue.ask(rows, timezone.now())
    if asked and not parent.is_paused and not parent.hold_reason:
        mailbox_queue.fill(parent)
    return asked

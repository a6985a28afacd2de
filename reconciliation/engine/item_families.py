"""Series that colleagues share: one that was moved as a whole has other occasions, by which their mailboxes know each other's events. Until
the mailbox that carries it was looked at, nobody can tell a new occurrence from one that was moved (C23, C26)."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from connectors.contract import Record
from reconciliation.engine.context import RunContext
from reconciliation.engine.pair_work import PairWork
from reconciliation.models import LookAgain, Mailbox, MailboxItem, Run
from reconciliation.passes import items as rules


def moving(context: RunContext, work: PairWork, items: Sequence[Record]) -> dict[str, str]:
    """Returns those of these items that nobody carries, of series of which a colleague's mailbox carries occurrences that this one does
    not know: item -> the colleague's address. Once that mailbox was looked at since the item was held, it waits no more."""
    family_of = rules.rules_of(context.terms).family_of
    named = {item.ref.id: family for item in items if (family := family_of(item))}
    carried = _carried(context, set(named.values()))
    if not carried:
        return {}
    known = _known(context, work, set(carried))
    held = _held_since(context, list(named))
    found: dict[str, str] = {}
    for id_, family in named.items():
        others = [row for row in carried.get(family, ()) if row.occasion not in known]
        first = next((row for row in others if not _was_looked_at(row, held.get(id_))), None)
        if first is not None:
            found[id_] = first.sync_pass.mailbox.address
    return found


def _carried(context: RunContext, families: set[str]) -> dict[str, list[MailboxItem]]:
    """Returns family -> the occurrences that mailboxes of colleagues carry, as far as these are looked at and they lie in the window."""
    window = context.terms.own.window if families else None
    if window is None:
        return {}
    rows = MailboxItem.objects.filter(family__in=families, state=MailboxItem.State.LINKED, sync_pass__parent=context.sync_pass.parent_id)
    rows = rows.filter(
        ends_at__gt=window.start, starts_at__lt=window.end, sync_pass__is_on=True, sync_pass__mailbox__state__in=Mailbox.RUNNING
    )
    found: dict[str, list[MailboxItem]] = {}
    for row in rows.exclude(sync_pass=context.sync_pass).select_related("sync_pass__mailbox").order_by("pk"):
        found.setdefault(row.family, []).append(row)
    return found


def _known(context: RunContext, work: PairWork, families: set[str]) -> set[str]:
    """Returns the occasions of these series that this mailbox knows: those of the page, and those it was told of before."""
    own = rules.rules_of(context.terms)
    rows = MailboxItem.objects.filter(sync_pass=context.sync_pass, family__in=families).exclude(item_id__in=list(work.records))
    listed = {own.occasion_of(r) for r in work.records.values() if not r.is_deleted and own.family_of(r) in families}
    return listed | set(rows.values_list("occasion", flat=True))


def _held_since(context: RunContext, ids: Sequence[str]) -> dict[str, datetime]:
    rows = LookAgain.objects.filter(sync_pass=context.sync_pass, side="peer", record_id__in=ids)
    return dict(rows.values_list("record_id", "since"))


def _was_looked_at(row: MailboxItem, since: datetime | None) -> bool:
    """Tells whether the mailbox of an occurrence was looked at to its end since then."""
    runs = Run.objects.filter(sync_pass=row.sync_pass_id, state=Run.State.FINISHED)
    return since is not None and runs.filter(started_at__gt=since).exists()

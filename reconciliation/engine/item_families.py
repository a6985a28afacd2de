"""Series that colleagues share: one that was moved as a whole has other occasions, by which their mailboxes know each other's events. Until
the mailbox that carries it was looked at, nobody can tell a new occurrence from one that was moved (C23, C26)."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta

from django.db.models import Max

from connectors.contract import Record
from reconciliation.engine import item_rows
from reconciliation.engine.context import RunContext
from reconciliation.engine.pair_work import PairWork
from reconciliation.models import LookAgain, Mailbox, MailboxItem, Run
from reconciliation.passes import items as rules

LONGEST = timedelta(days=1)  # that an occurrence waits; a mailbox whose runs never come to an end keeps nobody for ever
WHOLE = (Run.Kind.SCHEDULED, Run.Kind.MANUAL)  # runs that read a list of changes to its end


def moving(context: RunContext, work: PairWork, items: Sequence[Record]) -> dict[str, str]:
    """Returns those of these items that nobody carries, of series of which a colleague's mailbox carries occurrences that this one does
    not know: item -> the colleague's address. Once that mailbox was looked at since the item was held, it waits no more."""
    family_of = rules.rules_of(context.terms).family_of
    named = {item.ref.id: family for item in items if (family := family_of(item))}
    carried = _carried(context, set(named.values())) if named else {}
    if not carried:
        return {}
    known, held = _known(context, work, set(carried)), _held_since(context, list(named))
    looked = _looked_at(row.sync_pass_id for rows in carried.values() for row in rows)
    now, found = context.wiring.now(), dict[str, str]()
    for id_, family in named.items():
        since = held.get(id_, now)
        for row in carried.get(family, ()):
            last = looked.get(row.sync_pass_id)
            if row.occasion not in known and now - since < LONGEST and (last is None or last <= since):
                found[id_] = row.sync_pass.mailbox.address
    return found


def _carried(context: RunContext, families: set[str]) -> dict[str, list[MailboxItem]]:
    """Returns family -> the occurrences that mailboxes of colleagues carry, as far as these are looked at and they lie in the window."""
    window = context.terms.own.window
    rows = MailboxItem.objects.filter(family__in=families, state=MailboxItem.State.LINKED, sync_pass__parent=context.sync_pass.parent_id)
    rows = rows.filter(item_rows.is_held(), ends_at__gt=window.start, starts_at__lt=window.end)
    rows = rows.filter(sync_pass__is_on=True, sync_pass__mailbox__state__in=Mailbox.RUNNING)
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
    rows = LookAgain.objects.filter(sync_pass=context.sync_pass, side="peer", record_id__in=ids, reason=rules.TWIN)
    return dict(rows.values_list("record_id", "since"))


def _looked_at(passes: Iterable[int]) -> dict[int, datetime]:
    """Returns a mailbox's pass -> when the last run began that looked at it to its end."""
    runs = Run.objects.filter(sync_pass__in=set(passes), state=Run.State.FINISHED, kind__in=WHOLE)
    return dict(runs.order_by().values_list("sync_pass").annotate(last=Max("started_at")))

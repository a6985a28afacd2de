"""What passes did for mailboxes: of one of them, and of all together. Reads only; every count is bounded, whatever there is."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from django.db.models import Count, Q, Sum
from django.utils import timezone

from reconciliation.models import Case, Email, Mailbox, MailboxItem, Run, SyncPass, UnresolvedPerson
from reconciliation.selectors import bounded_count, coverage_counts
from reconciliation.services.mailbox_overview import MailboxRow

LATELY = timedelta(hours=24)


@dataclass(frozen=True, slots=True)
class Activity:
    """One pass of one mailbox: what is shared by it, what waits for a person or another run, and what failed."""

    line: MailboxRow
    shared: int
    waiting: int
    failed: int

    @property
    def title(self) -> str:
        return self.line.parent.title if self.line.parent is not None else ""


def activity_of(row: MailboxRow) -> list[Activity]:
    """Returns a line for each pass of a mailbox whose page is shown: `complete` counted what it needs."""
    return [Activity(line, *_counts(line.sync_pass)) for line in row.lines if line.is_on or line.sync_pass is not None]


def _counts(sync_pass: SyncPass | None) -> tuple[int, int, int]:
    if sync_pass is None:
        return 0, 0, 0
    n = {name: getattr(sync_pass, name, None) or 0 for name in ("linked", "owed", "held_items", "mails", "mails_open", "open_error")}
    return n["linked"] + n["mails"], n["owed"] + n["held_items"] + n["mails_open"], n["open_error"]


@dataclass(frozen=True, slots=True)
class PassActivity:
    """One pass over all mailboxes together. `shared` is as people read it, bounded; the rest is of the last day."""

    sync_pass: SyncPass
    mailboxes: int
    shared: str
    runs: int = 0
    created: int = 0
    updated: int = 0
    failed: int = 0
    held: int = 0
    interrupted: int = 0
    open_cases: int = 0
    waits_for_mail: int = 0  # items whose change of the CRM would mail their guests


def activity_of_all(parents: Sequence[SyncPass], *, now: Any = None) -> list[PassActivity]:
    """Returns a line for each pass over mailboxes, in six queries however many there are."""
    if not parents:
        return []
    pks, since = [parent.pk for parent in parents], (now or timezone.now()) - LATELY
    linked, runs = coverage_counts(pks, set(pks)), _runs(pks, since)
    started = _by_parent(SyncPass.objects.filter(parent__in=pks, is_on=True, mailbox__state__in=Mailbox.RUNNING), "parent")
    cases = _by_parent(Case.objects.filter(sync_pass__parent__in=pks, state=Case.State.OPEN), "sync_pass__parent")
    held = _by_parent(MailboxItem.objects.filter(is_held=True), "sync_pass__parent")
    mails = bounded_count(Email.objects.filter(state=Email.State.SAVED))
    return [
        PassActivity(
            parent,
            started.get(parent.pk, 0),
            mails if parent.is_of_emails else linked[parent.pk]["linked"],
            open_cases=cases.get(parent.pk, 0),
            waits_for_mail=held.get(parent.pk, 0),
            **runs.get(parent.pk, {}),
        )
        for parent in parents
    ]


def _by_parent(rows: Any, name: str) -> dict[int, int]:
    return dict(rows.order_by().values(name).annotate(n=Count("pk")).values_list(name, "n"))


def _runs(pks: Sequence[int], since: Any) -> Mapping[int, dict[str, int]]:
    """Returns what the runs since then came to together, by pass; previews write nothing and are left out."""
    rows = Run.objects.filter(sync_pass__parent__in=pks, started_at__gte=since).exclude(kind=Run.Kind.PREVIEW).order_by()
    ended_badly = Count("pk", filter=Q(state__in=(Run.State.INTERRUPTED, Run.State.FAILED)))
    sums = {name: Sum(name) for name in ("created", "updated", "failed", "held")}
    found = rows.values("sync_pass__parent").annotate(runs=Count("pk"), interrupted=ended_badly, **sums)
    return {row.pop("sync_pass__parent"): {name: value or 0 for name, value in row.items()} for row in found}


def unknown_people() -> str:
    """Returns how many addresses of shared items Salesforce does not know, as people read it."""
    return bounded_count(UnresolvedPerson.objects.filter(state=UnresolvedPerson.State.OPEN))

"""How long history is kept: what an admin may set, and the daily round that removes what is older.

What is never removed (engine-rules 26): bindings with their bases, people that were made of addresses, tombstones, open
cases and the runs and writes they name, open operations, deliveries of webhooks that still wait, plans that wait for
approval, remembered pairs, the audit log. Writes that hold a value which lost a conflict are kept by a number of days of
their own."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, fields
from datetime import datetime, timedelta

from django.contrib.auth.models import AbstractBaseUser
from django.contrib.sessions.models import Session
from django.db import models
from django.db.models import Exists, OuterRef, Q, QuerySet
from django.utils import timezone

from reconciliation.core.counting import counted
from reconciliation.engine import crm_feed
from reconciliation.models import (
    BlockedAddress,
    Case,
    ConflictField,
    Email,
    HookDelivery,
    Import,
    ImportRow,
    MadePerson,
    Mailbox,
    MeetingNotice,
    Operation,
    Retention,
    Run,
    RunEvent,
    UnresolvedPerson,
)
from reconciliation.models.by_time import first_newer
from reconciliation.models.journal import LOSERS
from reconciliation.services.audit import audit
from reconciliation.services.forgetting import drop_unconfirmed

ROWS_A_BATCH = 500
RUNS_A_BATCH = 200
BUDGET_SECONDS = 300.0
QUIET = (RunEvent.Outcome.UNCHANGED, RunEvent.Outcome.EXCLUDED)
FEED_DAYS = 30  # what changed in the CRM, for mailboxes to look at
DELIVERY_DAYS = 14  # deliveries that were worked off, or refused: they hold what a system said of people
DONE = (Operation.State.CONFIRMED, Operation.State.REJECTED, Operation.State.VOID, Operation.State.REFUSED)
# field -> what it is called, least and most days
KEPT = {
    "write_days": ("Writes with their values before and after", 30, 3_650),
    "loser_days": ("Writes that hold a value which lost a conflict", 30, 3_650),
    "decision_days": ("Decided and closed cases", 30, 3_650),
    "quiet_event_days": ("Events of unchanged and excluded records", 1, 3_650),
    "event_days": ("All other events, and imports", 7, 3_650),
    "run_days": ("Runs as their ledger, without events", 30, 3_650),
}


class RetentionRefused(ValueError):
    """A number of days out of its bounds; the sentence says which."""


@dataclass(frozen=True, slots=True)
class Keep:
    """For how many days each kind of history is kept."""

    write_days: int = 400
    loser_days: int = 400
    decision_days: int = 400
    quiet_event_days: int = 14
    event_days: int = 400
    run_days: int = 400


# what one of a kind is called, where that is not the kind without the s of its end
ONE = {"rows of imports": "row of an import", "fields of conflicts": "field of a conflict", "sessions that ended": "session that ended"}
ONE |= {"unknown people": "unknown person", "refused people": "refused person", "texts of e-mails": "text of an e-mail"}
ONE |= {"notices of meetings": "notice of a meeting", "deliveries": "delivery", "changes of the CRM's feed": "change of the CRM's feed"}


def removed_in_words(removed: dict[str, int]) -> list[str]:
    """Returns what a round removed: ["1 write", "12 rows of imports"]."""
    return [counted(n, ONE.get(kind, kind.removesuffix("s")), kind) for kind, n in removed.items() if n]


@dataclass(frozen=True, slots=True)
class Pruned:
    """What one round removed, by kind; not complete when its time ran out."""

    removed: dict[str, int]
    is_complete: bool

    @property
    def sentence(self) -> str:
        said = ", ".join(removed_in_words(self.removed))
        return f"{f'Removed {said}' if said else 'Nothing was old enough to be removed'}.{'' if self.is_complete else ' More is left.'}"


def retention_row() -> Retention:
    return Retention.objects.get_or_create(pk=1)[0]


def retention_of() -> Keep:
    row = retention_row()
    return Keep(*(getattr(row, f.name) for f in fields(Keep)))


def retention_check(wanted: Keep) -> None:
    """Raises RetentionRefused when a number lies out of its bounds."""
    for name, days in asdict(wanted).items():
        title, least, most = KEPT[name]
        if not least <= days <= most:
            raise RetentionRefused(f"{title}: between {least:,} and {most:,} days.")


def retention_set(wanted: Keep, by: AbstractBaseUser | None = None) -> None:
    """Stores for how long things are kept. Raises RetentionRefused, storing nothing."""
    retention_check(wanted)
    before = asdict(retention_of())
    changed = {name: [before[name], days] for name, days in asdict(wanted).items() if before[name] != days}
    if changed:
        Retention.objects.filter(pk=1).update(**asdict(wanted))
        audit(by, "change retention", "Data kept", **changed)


class _OutOfTime(Exception):
    """The round's time ran out between two batches."""


@dataclass(slots=True)
class _Round:
    """One round while it is under way."""

    ends: float
    now: datetime
    monotonic: Callable[[], float]
    removed: Counter[str]

    def limit(self, days: int) -> datetime:
        return self.now - timedelta(days=days)

    def remove(self, kind: str, rows: QuerySet[models.Model]) -> None:
        """Deletes the rows a batch at a time; each statement asks the conditions again."""
        while ids := list(rows.order_by("pk").values_list("pk", flat=True)[:ROWS_A_BATCH]):
            if self.monotonic() >= self.ends:
                raise _OutOfTime
            gone = rows.order_by().filter(pk__in=ids)
            count = gone._raw_delete(gone.db)  # no cascade: what refers to a row keeps it
            self.removed[kind] += count
            if not count:
                return


def prune(
    by: AbstractBaseUser | None = None,
    *,
    budget_seconds: float = BUDGET_SECONDS,
    now: datetime | None = None,
    monotonic: Callable[[], float] = time.monotonic,
) -> Pruned:
    """Removes what is older than the settings allow, in batches, and says in the audit log what it was."""
    keep = retention_of()
    work = _Round(monotonic() + budget_seconds, now or timezone.now(), monotonic, Counter())
    is_complete = True
    try:
        work.remove("writes", _old_writes(work.limit(keep.write_days)).exclude(origin__has_key=LOSERS))
        work.remove("losing values", _old_writes(work.limit(max(keep.write_days, keep.loser_days))))
        imports = _old_imports(work.limit(keep.event_days))
        work.remove("rows of imports", ImportRow.objects.filter(batch__in=imports))
        work.remove("imports", imports.filter(~Exists(ImportRow.objects.filter(batch=OuterRef("pk")))))
        work.remove("fields of conflicts", ConflictField.objects.filter(case__in=_old_cases(work.limit(keep.decision_days))))
        work.remove("decisions", _old_cases(work.limit(keep.decision_days)))
        _prune_events(work, "quiet_done_to", work.limit(min(keep.quiet_event_days, keep.event_days)), "quiet events", QUIET)
        _prune_events(work, "events_done_to", work.limit(keep.event_days), "events", ())
        work.remove("deliveries", _old_deliveries(work.limit(DELIVERY_DAYS)))
        work.remove("notices of meetings", _old_notices(work.limit(DELIVERY_DAYS)))
        work.removed["changes of the CRM's feed"] += crm_feed.prune(work.limit(FEED_DAYS))
        work.remove("unknown people", _old_unresolved(work.limit(keep.event_days)))
        work.remove("refused people", _old_refused(work.limit(keep.event_days)))
        work.remove("removed blocks", BlockedAddress.objects.filter(removed_at__lt=work.limit(keep.decision_days)))
        work.removed["texts of e-mails"] += _blank_emails(work.limit(keep.write_days))
        work.remove("sessions that ended", Session.objects.filter(expire_date__lt=work.now))
        work.remove("runs", _old_runs(work.limit(keep.run_days)))
    except _OutOfTime:
        is_complete = False
    drop_unconfirmed()
    removed = {kind: n for kind, n in work.removed.items() if n}
    Retention.objects.filter(pk=1).update(pruned_at=work.now, removed=removed)
    if removed:
        audit(by, "prune", "Data kept", removed=removed, is_complete=is_complete)
    return Pruned(removed, is_complete)


def _old_writes(limit: datetime) -> QuerySet[Operation]:
    rows = Operation.objects.filter(pk__lt=first_newer(Operation.objects.all(), "intended_at", limit), intended_at__lt=limit)
    plans = Q(state=Operation.State.PLANNED) & ~Q(run_id__in=Run.objects.filter(state=Run.State.HELD).values("pk"))
    of_open_cases = Case.objects.filter(state=Case.State.OPEN, operation_id__isnull=False).values("operation_id")
    return rows.filter(Q(state__in=DONE) | plans).exclude(pk__in=of_open_cases)


def _blank_emails(limit: datetime) -> int:
    """Lets e-mails that were saved long ago be known by their digests alone, so that none is made again: no subject, no address."""
    said = {"subject": "", "sender": "", "recipients": "", "message_id": "", "links": {}, "left_out": [], "sentence": ""}
    rows = Email.objects.filter(state__in=Email.OVER, saved_at__lt=limit).exclude(subject="", sender="", recipients="", message_id="")
    done = 0
    while ids := list(rows.order_by("pk").values_list("pk", flat=True)[:ROWS_A_BATCH]):
        done += Email.objects.filter(pk__in=ids).update(**said)
    return done


def _old_cases(limit: datetime) -> QuerySet[Case]:
    """Decided cases; one that a row of an import still leads to stays with it."""
    rows = Case.objects.exclude(state=Case.State.OPEN).filter(closed_at__lt=limit)
    return rows.filter(~Exists(ImportRow.objects.filter(case=OuterRef("pk"))))


def _old_imports(limit: datetime) -> QuerySet[Import]:
    """Imports that are over: their rows hold names and addresses."""
    return Import.objects.filter(created_at__lt=limit, state__in=(Import.State.FINISHED, Import.State.INTERRUPTED))


def _prune_events(work: _Round, position: str, limit: datetime, kind: str, outcomes: tuple[str, ...]) -> None:
    """Removes the events of runs that began before the limit, run by run. The position is kept, so that each round begins
    where the last one ended: before the first run that still has some, or may still write some."""
    is_through = True  # no run so far has anything left
    for runs in _old_run_ids(position, limit):
        rows = RunEvent.objects.filter(run_id__in=runs)
        rows = rows.filter(outcome__in=outcomes) if outcomes else rows
        work.remove(kind, rows.filter(at__lt=limit))
        if is_through:
            unfinished = Run.objects.filter(Q(pk__in=rows.values("run_id")) | Q(state=Run.State.RUNNING), pk__in=runs)
            first = unfinished.order_by("pk").values_list("pk", flat=True).first()
            is_through, done_to = first is None, runs[-1] if first is None else first - 1
            Retention.objects.filter(pk=1, **{f"{position}__lt": done_to}).update(**{position: done_to})


def _old_run_ids(position: str, limit: datetime) -> Iterator[list[int]]:
    last = int(Retention.objects.values_list(position, flat=True).get(pk=1))
    while runs := list(Run.objects.filter(pk__gt=last, started_at__lt=limit).order_by("pk").values_list("pk", flat=True)[:RUNS_A_BATCH]):
        yield runs
        last = runs[-1]


def _old_deliveries(limit: datetime) -> QuerySet[HookDelivery]:
    return HookDelivery.objects.filter(received_at__lt=limit).exclude(state=HookDelivery.State.WAITING)


def _old_notices(limit: datetime) -> QuerySet[MeetingNotice]:
    """Notices that no run is to hear any more; of a mailbox that stands still they wait no longer than others are kept."""
    waits = Q(state=MeetingNotice.State.WAITING, mailbox__state__in=Mailbox.RUNNING)
    return MeetingNotice.objects.filter(received_at__lt=limit).exclude(waits)


def _old_unresolved(limit: datetime) -> QuerySet[UnresolvedPerson]:
    """Addresses that no item has named for long, and that nobody decided: what a person decided stands."""
    decided = (UnresolvedPerson.State.DISMISSED, UnresolvedPerson.State.BLOCKED, UnresolvedPerson.State.LINKED)
    return UnresolvedPerson.objects.filter(last_seen_at__lt=limit).exclude(state__in=decided)


def _old_refused(limit: datetime) -> QuerySet[MadePerson]:
    """Addresses that Salesforce took nobody for, long ago: there is no record that the claim would keep from being made twice."""
    return MadePerson.objects.filter(state=MadePerson.State.REFUSED, made_at__lt=limit)


def _old_runs(limit: datetime) -> QuerySet[Run]:
    """Runs that are over, and that nothing refers to any more."""
    rows = Run.objects.filter(started_at__lt=limit).exclude(state=Run.State.RUNNING)
    named_by = (RunEvent.objects.filter(run=OuterRef("pk")), Operation.objects.filter(run=OuterRef("pk")))
    named_by += (Case.objects.filter(run=OuterRef("pk")), ImportRow.objects.filter(run=OuterRef("pk")))
    return rows.filter(*(~Exists(found) for found in named_by))

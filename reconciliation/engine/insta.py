"""Insta-sync of meetings: how notices of a mailbox force its next run, and what keeps those runs apart (S4.42 to S4.48, D16).

The row of a mailbox's pass counts the notices that asked for a run (`notices_told`) and those that a run has heard
(`notices_heard`). One conditional update counts a notice and brings the mailbox's turn forward, never nearer to the last look than
the spacing; the run reads the count as it begins. So a hundred notices cost one run, and after the last one a run begins.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.db.models import Case, DateTimeField, F, Max, Q, QuerySet, Value, When
from django.db.models.functions import Coalesce, Greatest, Least

from connectors.contract import Connector
from connectors.errors import ConnectorError
from connectors.notices import MEETING, MISSED, LooksAtCalendar, Seen
from reconciliation.core.insta_sync import (
    LEAST_SPACING,
    MOST_SPACING,
    Told,
    asks_for_a_run,
    is_any_meeting,
    is_of_a_meeting,
    to_be_read,
)
from reconciliation.defaults.events import EVENTS_PASS
from reconciliation.engine import mailbox_queue
from reconciliation.engine.stop import stopped
from reconciliation.engine.wiring import Wiring
from reconciliation.models import Binding, CalendarWatch, Connection, InstaSync, Mailbox, MailboxItem, MeetingNotice, Run, SyncPass

log = logging.getLogger(__name__)
KIND = EVENTS_PASS  # the pass whose runs notices force
MOST_SEEN = 200  # events that a look shows; of more than that one may be taken for a meeting
MOST_READ = 40  # events that are looked at before a run; of more than that one may be taken for a meeting
HEARD = (Run.State.FINISHED, Run.State.PARTIAL, Run.State.HELD, Run.State.FAILED)
CARRIED = (Run.State.FINISHED, Run.State.HELD)
_INSTANT = DateTimeField()


def terms() -> InstaSync:
    """Returns what holds for every mailbox."""
    return InstaSync.objects.get_or_create(pk=1)[0]


def spacing_of(own: InstaSync) -> timedelta:
    return timedelta(seconds=min(max(own.spacing_seconds, LEAST_SPACING), MOST_SPACING))


def passes() -> QuerySet[SyncPass]:
    """Returns the rows of single mailboxes that notices may bring forward: started ones."""
    return SyncPass.objects.filter(parent__name=KIND, mailbox__isnull=False, is_on=True)


# --- a notice asks ------------------------------------------------------------------------------------------------------
def ask(mailboxes: Iterable[int], now: datetime) -> int:
    """Counts a notice for each mailbox and brings its turn forward. Returns how many have a pass that can run. The caller stores
    the notices in the same transaction. What waits because of trouble goes on waiting: its next try hears them."""
    soonest = _after_spacing(now, spacing_of(terms()))
    turn = Case(When(trouble_count=0, then=Least(_due(now), soonest)), default=F("next_due_at"))
    rows = passes().filter(mailbox__in=list(mailboxes))
    return rows.update(notices_told=F("notices_told") + 1, next_due_at=turn)


def _due(now: datetime) -> Coalesce:
    """A mailbox without a turn is due already."""
    return Coalesce(F("next_due_at"), _at(now))


def _after_spacing(now: datetime, spacing: timedelta) -> Greatest:
    return Greatest(_at(now), Coalesce(F("looked_at") + spacing, _at(now), output_field=_INSTANT))


def _at(now: datetime) -> Value:
    return Value(now, output_field=_INSTANT)


def pull(now: datetime) -> int:
    """Brings forward what was told of and has its turn too late: a process died between a run and its last word. Every minute."""
    rows = passes().filter(notices_told__gt=F("notices_heard"), trouble_count=0)
    soonest = _after_spacing(now, spacing_of(terms()))
    return rows.filter(next_due_at__gt=soonest).update(next_due_at=soonest)


def turns_to_come(mailboxes: Iterable[int], now: datetime) -> list[datetime]:
    """Returns when those of the mailboxes have their turn that have to keep the spacing."""
    soon = passes().filter(mailbox__in=list(mailboxes), next_due_at__gt=now, next_due_at__lte=now + timedelta(seconds=MOST_SPACING))
    return [at for at in soon.values_list("next_due_at", flat=True) if at is not None]


def put_in_queue(now: datetime) -> int:
    """Puts mailboxes whose turn has come in the queue, as far as there is room. Returns how many."""
    parent = SyncPass.objects.whole().filter(name=KIND, is_on=True, is_paused=False, hold_reason="").first()
    return mailbox_queue.fill(parent, now) if parent is not None else 0


# --- a run hears --------------------------------------------------------------------------------------------------------
@dataclass(frozen=True, slots=True)
class Claim:
    """What a run heard of as it began: how many notices were told by then, and the last one that waited."""

    told: int = 0
    last_notice: int = 0
    is_asked: bool = False  # by notices that no run has heard yet


def begin(child: SyncPass, now: datetime) -> Claim:
    """Says that a look at the mailbox begins, and returns what it is to hear. First the moment, then the count: a notice that
    comes in between is heard now, one that comes later finds the moment and keeps the spacing to it."""
    if child.kind != KIND:
        return Claim()
    rows = SyncPass.objects.filter(pk=child.pk)
    rows.update(looked_at=now)
    told, heard = rows.values_list("notices_told", "notices_heard").get()
    last = _waiting(child).aggregate(last=Max("pk"))["last"]
    return Claim(told, last or 0, told > heard)


def _waiting(child: SyncPass) -> QuerySet[MeetingNotice]:
    return MeetingNotice.objects.filter(mailbox=child.mailbox_id, state=MeetingNotice.State.WAITING)


def is_for_nothing(child: SyncPass, claim: Claim, now: datetime, wiring: Wiring | None = None) -> bool:
    """Tells whether nothing but notices brought the mailbox here and none of them is of a meeting (S4.42); then it has its usual
    turn again. What they name is read where it decides: a call of twenty events."""
    if not claim.is_asked or child.run_requested_at is not None:
        return False
    usual = _usual_turn(child)
    if usual is None or usual <= now:
        return False
    rows = list(_waiting(child).filter(pk__lte=claim.last_notice).order_by("pk")[: MOST_READ + 1])
    if not 0 < len(rows) <= MOST_READ:
        return False
    told = _as_told(child, rows)
    kinds = {} if asks_for_a_run(told) else _kinds(child, to_be_read(told), wiring or Wiring())
    if kinds is None or asks_for_a_run(told) or is_any_meeting(to_be_read(told), kinds):
        _note(rows, kinds or {}, told)
        return False
    undisturbed = SyncPass.objects.filter(pk=child.pk, notices_told=claim.told, run_requested_at=None)
    if not undisturbed.update(notices_heard=claim.told, next_due_at=usual):
        return False  # somebody asked meanwhile
    _note(rows, kinds, told, state=MeetingNotice.State.LEFT, done_at=now)
    return True


def _usual_turn(child: SyncPass) -> datetime | None:
    """Returns when the mailbox would run without notices: a run and its place in the interval say so."""
    began = Run.objects.filter(sync_pass=child).exclude(kind=Run.Kind.STAFF).order_by("-pk").values_list("started_at", flat=True).first()
    return mailbox_queue.next_turn(child, began, child.interval_seconds) if began is not None else None


def _as_told(child: SyncPass, rows: Sequence[MeetingNotice]) -> list[Told]:
    """Returns the notices with what is known of their events: what they were when somebody looked last."""
    ids = {row.event_id for row in rows if row.event_id}
    seen = MeetingNotice.objects.filter(mailbox=child.mailbox_id, event_id__in=ids).exclude(kind="").order_by("pk")
    known = dict(seen.values_list("event_id", "kind"))
    return [Told(row.what, row.event_id, known.get(row.event_id, "")) for row in rows]


def _kinds(child: SyncPass, ids: Sequence[str], wiring: Wiring) -> dict[str, str] | None:
    """Returns what the events are, None where that cannot be found out just now: the run meets the same trouble, and deals with it."""
    if not ids:
        return {}
    assert child.mailbox is not None
    connector: Connector | None = None
    try:
        connector = wiring.open_connector(child.peer)
        watches = connector.watches(child.mailbox.address)  # type: ignore[attr-defined]  # of mail systems that tell of changes
        try:
            return dict(watches.kinds(ids))
        finally:
            watches.close()
    except ConnectorError as error:
        log.info("events of %s were not looked at before its run: %s", child.name, error.sentence)
        return None
    finally:
        if connector is not None:
            connector.close()


def _note(rows: Sequence[MeetingNotice], kinds: dict[str, str], told: Sequence[Told], **values: object) -> None:
    """Keeps what the events were found to be; of one that is gone, what it was."""
    by_kind: dict[str, list[int]] = {}
    for row, one in zip(rows, told, strict=True):
        by_kind.setdefault(kinds.get(row.event_id, one.known), []).append(row.pk)
    for kind, pks in by_kind.items():
        if kind or values:
            MeetingNotice.objects.filter(pk__in=pks, state=MeetingNotice.State.WAITING).update(kind=kind, **values)


def hear(child: SyncPass, claim: Claim, run: Run, now: datetime) -> None:
    """Says what the run has heard, after its next turn was planned, and brings that forward where something was told meanwhile."""
    if child.kind != KIND:
        return
    if run.state in CARRIED and claim.last_notice:
        ended_at = run.ended_at or now
        _waiting(child).filter(pk__lte=claim.last_notice).update(state=MeetingNotice.State.DONE, run=run, done_at=ended_at)
    rows = SyncPass.objects.filter(pk=child.pk)
    rows.update(looked_at=run.started_at)  # some moments after the look began: runs, not looks, are to keep the spacing
    if run.state in HEARD:
        rows.filter(notices_heard__lt=claim.told).update(notices_heard=claim.told)
        late = rows.filter(notices_told__gt=claim.told, trouble_count=0, run_requested_at=None)
        soonest = _after_spacing(now, spacing_of(terms()))
        late.update(next_due_at=Least(_due(now), soonest) if run.state == Run.State.PARTIAL else soonest)


# --- where nobody watches -----------------------------------------------------------------------------------------------
LOOKED_AT = (Connection.System.MICROSOFT, Connection.System.EXCHANGE)  # never Google (S4.48)


def look_turn(child: SyncPass, run: Run, now: datetime) -> datetime | None:
    """Returns when the mailbox is looked at next because its calendar is watched by nobody, None where it has its usual turn."""
    if child.kind != KIND or run.kind == Run.Kind.PREVIEW or child.peer.system not in LOOKED_AT:
        return None
    own = terms()
    if not own.changes or is_watched(child.mailbox_id, now):
        return None
    return run.started_at + timedelta(seconds=min(look_seconds(own), child.interval_seconds))


def look_seconds(own: InstaSync) -> int:
    return min(max(own.look_seconds, LEAST_SPACING), MOST_SPACING)


def look(child: SyncPass, claim: Claim, now: datetime, wiring: Wiring | None = None) -> bool | None:
    """Looks at the calendar of a server that we ask, one call, where the mailbox is not due by itself. Returns whether a meeting was
    changed there, which is for a run; where none was, the next look has its turn. None where nothing was looked at, or only a run
    can tell. A look changes nothing and remembers nothing: what it leaves it finds again, until the next run has carried it."""
    own = terms()
    if child.kind != KIND or child.peer.system != Connection.System.EXCHANGE or not own.changes or stopped():
        return None
    usual = _usual_turn(child)
    is_early = usual is not None and usual > now
    if not (child.is_on and child.cursor and is_early) or child.trouble_count or claim.is_asked or child.run_requested_at is not None:
        return None
    seen = _seen(child, wiring or Wiring())
    if seen is None:
        return None
    if len(seen) > MOST_SEEN or _is_any_of_a_meeting(child, seen, own):
        return True
    following = min(now + timedelta(seconds=look_seconds(own)), usual)
    undisturbed = SyncPass.objects.filter(pk=child.pk, notices_told=claim.told, run_requested_at=None)
    return False if undisturbed.update(next_due_at=following) else None


def _seen(child: SyncPass, wiring: Wiring) -> Sequence[Seen] | None:
    """Returns what a look shows, None where there is trouble: the run meets the same, and deals with it."""
    assert child.mailbox is not None
    connector: Connector | None = None
    try:
        connector = wiring.open_connector(child.peer)
        calendar: LooksAtCalendar = connector.calendar(child.mailbox.address)  # type: ignore[attr-defined]  # of mail systems
        try:
            return calendar.look(child.cursor)
        finally:
            calendar.close()
    except ConnectorError as error:
        log.info("the calendar of %s was not looked at before its run: %s", child.name, error.sentence)
        return None
    finally:
        if connector is not None:
            connector.close()


def _is_any_of_a_meeting(child: SyncPass, seen: Sequence[Seen], own: InstaSync) -> bool:
    """Tells whether a look shows a change of a meeting that is none of our own: what is as our last write left it forces no run."""
    if not seen:
        return False
    ids = [one.event_id for one in seen]
    rows = MailboxItem.objects.filter(Q(item_id__in=ids) | Q(series_id__in=ids), sync_pass=child, guests__gt=0)
    had_guests = {id_ for pair in rows.values_list("item_id", "series_id") for id_ in pair}
    links = Binding.objects.filter(sync_pass=child, is_tombstone=False, peer_id__in=ids).exclude(peer_version="")
    ours = set(links.values_list("peer_id", "peer_version"))
    known = {id_: MEETING if id_ in had_guests else "" for id_ in ids}
    news = [one for one in seen if (one.event_id, one.version) not in ours]
    return any(is_of_a_meeting(one, own.changes, known[one.event_id]) for one in news)


def is_watched(mailbox_id: int | None, now: datetime) -> bool:
    """Tells whether the mail system tells of changes of this calendar."""
    return CalendarWatch.objects.filter(mailbox=mailbox_id, state=CalendarWatch.State.ON, ends_at__gt=now).exists()


def note_missed(mailbox: Mailbox, now: datetime, digest: str) -> None:
    """Lets the mailbox be looked through: while nobody watched something may have happened. The caller holds a transaction."""
    MeetingNotice.objects.get_or_create(mailbox=mailbox, digest=digest, defaults={"what": MISSED, "received_at": now})
    ask([mailbox.pk], now)

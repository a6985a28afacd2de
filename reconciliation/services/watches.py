"""The calendars that Microsoft watches for us: subscriptions made, renewed and ended by a round every minute (S4.42, S4.46, S4.48).

A round compares what is wanted with what there is, so that nobody who starts, pauses or ends a mailbox has to think of it. Its calls
are bounded; what is left has its turn a minute later. A watch is a matter of the site and no record's write.
"""

from __future__ import annotations

import logging
import secrets as generator
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, cast

from django.conf import settings
from django.db import transaction
from django.db.models import Q, QuerySet
from django.urls import reverse

from connectors.errors import ConnectionTrouble, ConnectorError, MailboxRefused, NeedsAttention, RateLimited, RecordError, RecordGone
from connectors.microsoft.settings import MicrosoftSettings
from connectors.notices import NOT_REACHED, REMOVED, KeepsWatches, OpensWatches, Watch
from reconciliation.core.insta_sync import back_off_seconds
from reconciliation.engine import insta, stop
from reconciliation.engine import lease as leases
from reconciliation.engine.hosts import LOOPBACK, host_of
from reconciliation.engine.mailbox_queue import is_switched_on
from reconciliation.engine.runner import holder_name
from reconciliation.engine.wiring import Wiring
from reconciliation.models import CalendarWatch, Connection, InstaSync, Mailbox, MeetingNotice, SyncPass
from reconciliation.services.notice_receiver import STATE
from reconciliation.services.webhooks import is_public

log = logging.getLogger(__name__)
LEASE = "insta-sync"
MOST_CALLS = 120  # of one round; a call takes some 100 ms, a new subscription as long as both handshakes
MOST_SECONDS = 40.0
TRIED_AGAIN = timedelta(minutes=15)  # after Microsoft did not reach our address


# --- where it leads -----------------------------------------------------------------------------------------------------
def address() -> str:
    """Returns where notices come to, "" while the site knows no address of its own."""
    return f"{settings.PUBLIC_URL}{reverse('microsoft_hook')}" if settings.PUBLIC_URL else ""


def life_address() -> str:
    """Returns where words about subscriptions come to."""
    return f"{settings.PUBLIC_URL}{reverse('microsoft_life_hook')}" if settings.PUBLIC_URL else ""


def address_refusal(connection: Connection | None = None) -> str:
    """Returns why Microsoft cannot tell us anything, as far as the address says, "" where it may. A sandbox on this machine reaches
    this machine."""
    if not settings.PUBLIC_URL:
        return "The setting PUBLIC_URL, the https address under which this site is reached from outside, is not set."
    host = host_of(settings.PUBLIC_URL)
    if host in LOOPBACK:
        is_played = settings.ALLOW_LOOPBACK and (connection is None or host_of(connection.base_url) in LOOPBACK)
        return "" if is_played else f"Microsoft cannot reach {host}: PUBLIC_URL must be a public https address."
    if not settings.PUBLIC_URL.startswith("https://"):
        return "Microsoft tells of changes by https only; PUBLIC_URL is not https."
    return "" if is_public(host) else f"Microsoft cannot reach {host}: PUBLIC_URL must be a public https address."


def reached(own: InstaSync) -> str:
    """Returns whether Microsoft reaches the address that the site has now."""
    return own.reached if own.address == address() else InstaSync.Reached.UNKNOWN


def note_reached(is_reached: bool, says: str, now: datetime) -> None:
    """Remembers whether Microsoft reached our address. Where it does now, those that waited for it are made at once."""
    value = InstaSync.Reached.YES if is_reached else InstaSync.Reached.NO
    row = InstaSync.objects.filter(pk=1)
    was_not = row.filter(reached=InstaSync.Reached.NO).exists()
    row.update(reached=value, address=address(), reached_at=now, reached_says=says[:1000])
    if was_not and is_reached:
        CalendarWatch.objects.filter(state=CalendarWatch.State.FAILED).update(due_at=now)


# --- a round ------------------------------------------------------------------------------------------------------------
@dataclass(slots=True)
class _Round:
    """One round while it is under way."""

    now: datetime
    own: InstaSync
    wiring: Wiring
    ends: float
    calls: int = 0
    done: dict[str, int] = field(default_factory=dict)
    connectors: dict[int, Any] = field(default_factory=dict)
    closed: set[int] = field(default_factory=set)  # connections that are in trouble: they are not asked again
    is_unreached: bool = False

    @property
    def is_over(self) -> bool:
        return self.calls >= MOST_CALLS or self.wiring.monotonic() >= self.ends

    def note(self, what: str) -> None:
        self.done[what] = self.done.get(what, 0) + 1

    def keeper(self, mailbox: Mailbox) -> KeepsWatches:
        connection = mailbox.connection
        if connection.pk not in self.connectors:
            self.connectors[connection.pk] = self.wiring.open_connector(connection)
        return cast(OpensWatches, self.connectors[connection.pk]).watches(mailbox.address)

    def close(self) -> None:
        for connector in self.connectors.values():
            connector.close()


def keep(now: datetime, wiring: Wiring | None = None) -> str:
    """Sees to it that the calendars that are to be watched are, and no others. Returns what was done, for the task log."""
    if stop.stopped():
        return "writes are stopped"
    try:
        lease = leases.take(LEASE, holder_name())
    except leases.LeaseHeld:
        return "another round is under way"
    wiring = wiring or Wiring()
    work = _Round(now, insta.terms(), wiring, wiring.monotonic() + MOST_SECONDS)
    try:
        _go_round(work)
    finally:
        work.close()
        lease.release()
    return ", ".join(f"{n} {what}" for what, n in sorted(work.done.items())) or "nothing to do"


def wanted(own: InstaSync) -> dict[int, Mailbox]:
    """Returns the mailboxes whose calendars are to be watched, by key: running ones of Microsoft that were started."""
    parent = SyncPass.objects.whole().filter(name=insta.KIND, is_on=True).first()
    if parent is None or not own.changes:
        return {}
    rows = Mailbox.objects.filter(connection__system=Connection.System.MICROSOFT, state__in=Mailbox.RUNNING)
    rows = rows.filter(pk__in=insta.passes().values("mailbox")).select_related("connection", "group").order_by("pk")
    return {row.pk: row for row in rows if is_switched_on(parent, row) and not address_refusal(row.connection)}


def _go_round(work: _Round) -> None:
    those = wanted(work.own)
    have = set(CalendarWatch.objects.values_list("mailbox", flat=True))
    new = [CalendarWatch(mailbox=mailbox, due_at=work.now) for key, mailbox in those.items() if key not in have]
    CalendarWatch.objects.bulk_create(new, batch_size=200, ignore_conflicts=True)
    rows = CalendarWatch.objects.select_related("mailbox__connection").defer("secrets", "mailbox__secrets").order_by("due_at", "pk")
    changes = ",".join(work.own.changes)
    for row in list(rows):
        is_wanted, is_due = row.mailbox_id in those, row.due_at <= work.now
        is_other = bool(row.subscription_id) and (row.changes, row.address) != (changes, address())
        if (not is_wanted or is_due or (is_other and not row.tries)) and not work.is_over:
            _settle(work, row, is_wanted=is_wanted, is_other=is_other)


def _settle(work: _Round, row: CalendarWatch, *, is_wanted: bool, is_other: bool) -> None:
    """Brings one watch to what it should be. Raises nothing: one that fails is tried again later."""
    connection = row.mailbox.connection
    if connection.pk in work.closed:
        return
    is_dead = row.ends_at is not None and row.ends_at <= work.now
    try:
        if not is_wanted:
            _end(work, row)
        elif row.state == CalendarWatch.State.ON and row.subscription_id and not (is_other or is_dead):
            _renew(work, row)
        else:
            _make(work, row, is_dead=is_dead)
    except RateLimited as error:
        work.closed.add(connection.pk)
        _put_off(row, error, work.now, seconds=error.retry_after)
    except ConnectorError as error:
        if isinstance(error, ConnectionTrouble) and not isinstance(error, MailboxRefused):
            work.closed.add(connection.pk)
        _failed(work, row, error)


def _make(work: _Round, row: CalendarWatch, *, is_dead: bool) -> None:
    """Makes the subscription. Its secret is stored first: Microsoft may tell of a change before its answer is here."""
    if _is_unreached(work) and (is_dead or not row.subscription_id):
        _wait_for_address(work, row)
        return
    keeper = work.keeper(row.mailbox)
    try:
        if row.subscription_id and not is_dead:
            work.calls += 1
            keeper.drop(row.subscription_id)
        secret, changes = f"{row.pk}.{generator.token_urlsafe(32)}", work.own.changes
        values: Mapping[str, Any] = {"secrets": {STATE: secret}, "subscription_id": "", "changes": ",".join(changes), "address": address()}
        CalendarWatch.objects.filter(pk=row.pk).update(**values, state=CalendarWatch.State.WAITING)
        work.calls += 2  # both addresses are asked before it is answered
        ends_at = work.now + _life(row.mailbox.connection)
        made = keeper.make(address=address(), life_address=life_address(), secret=secret, changes=changes, ends_at=ends_at)
    finally:
        keeper.close()
    with transaction.atomic():
        _on(CalendarWatch.objects.filter(pk=row.pk), made, work.now, made_at=work.now)
        _end_again(row, work.now)
        if row.made_at is not None:  # there was one before: what happened in between nobody told
            insta.note_missed(row.mailbox, work.now, f"made anew {made.id}"[:64])
    note_reached(True, "", work.now)
    work.note("made anew" if row.made_at is not None else "made")


def _renew(work: _Round, row: CalendarWatch) -> None:
    keeper = work.keeper(row.mailbox)
    work.calls += 1
    try:
        renewed = keeper.renew(row.subscription_id, ends_at=work.now + _life(row.mailbox.connection))
    except RecordGone:
        row.subscription_id, row.state = "", CalendarWatch.State.WAITING
        said = "Microsoft had ended the subscription."
        CalendarWatch.objects.filter(pk=row.pk).update(subscription_id="", state=row.state, why=said, due_at=work.now)
        _make(work, row, is_dead=True)
        return
    finally:
        keeper.close()
    # Not where its end was told while we renewed it.
    _on(CalendarWatch.objects.filter(pk=row.pk, subscription_id=row.subscription_id), renewed, work.now)
    work.note("renewed")


def _on(rows: QuerySet[CalendarWatch], watch: Watch, now: datetime, **values: Any) -> None:
    """Notes a watch that is on. It is renewed when half its time is over, so that a day without us loses none."""
    own = {"state": CalendarWatch.State.ON, "subscription_id": watch.id, "ends_at": watch.ends_at, "why": "", "tries": 0}
    half = now + max((watch.ends_at - now) / 2, timedelta(minutes=1))
    rows.update(**own, renewed_at=now, due_at=half, **values)


def _end_again(row: CalendarWatch, now: datetime) -> None:
    """Lets the watch be made once more where its end was told before it was known by its id."""
    if MeetingNotice.objects.filter(mailbox=row.mailbox_id, what=REMOVED, received_at__gte=now).exists():
        CalendarWatch.objects.filter(pk=row.pk).update(state=CalendarWatch.State.WAITING, subscription_id="", due_at=now)


def _end(work: _Round, row: CalendarWatch) -> None:
    """Ends a watch that nobody wants. Where we are not let in any more it ends by itself; its notices are no longer ours."""
    is_alive = row.ends_at is not None and row.ends_at > work.now
    if row.subscription_id and is_alive:
        if row.due_at > work.now and row.tries:
            return  # it failed a moment ago
        keeper = work.keeper(row.mailbox)
        work.calls += 1
        try:
            keeper.drop(row.subscription_id)
        except (MailboxRefused, RecordError) as error:
            log.info("the subscription of mailbox %s is left to its end: %s", row.mailbox_id, error.sentence)
        finally:
            keeper.close()
    CalendarWatch.objects.filter(pk=row.pk).delete()
    work.note("ended")


def _life(connection: Connection) -> timedelta:
    return timedelta(minutes=MicrosoftSettings.of(connection.settings or {}).subscription_minutes)


# --- trouble ------------------------------------------------------------------------------------------------------------
def _failed(work: _Round, row: CalendarWatch, error: ConnectorError) -> None:
    """Notes what failed. A watch that is on stays so until its end; without one its calendar is looked at meanwhile."""
    if error.code == NOT_REACHED:
        work.is_unreached = True
        note_reached(False, error.sentence, work.now)
    log.warning("the calendar of mailbox %s is not watched: %s", row.mailbox_id, error.sentence)
    work.note("failed")
    _put_off(row, error, work.now)


def _put_off(row: CalendarWatch, error: ConnectorError, now: datetime, *, seconds: float | None = None) -> None:
    tries = row.tries + (1 if not isinstance(error, RateLimited) else 0)
    wait = max(seconds or 0.0, back_off_seconds(max(tries, 1)))
    is_on = row.state == CalendarWatch.State.ON and bool(row.subscription_id) and row.ends_at is not None and row.ends_at > now
    passes = isinstance(error, ConnectionTrouble) and not isinstance(error, NeedsAttention)
    said = f"{error.sentence.rstrip('.')}." if passes else f"{error.sentence.rstrip('.')}. {error.remedy}"
    values = {"tries": tries, "why": said[:1000], "due_at": now + timedelta(seconds=wait)}
    current = CalendarWatch.objects.filter(pk=row.pk)
    if is_on and current.exclude(subscription_id="").update(**values):
        return  # it was not given up for another that did not come about
    current.update(**values, state=CalendarWatch.State.FAILED)


def _is_unreached(work: _Round) -> bool:
    """Tells whether our address is known not to be reached. After a while one is tried again."""
    if work.is_unreached:
        return True
    own = work.own
    is_fresh = own.reached_at is not None and work.now - own.reached_at < TRIED_AGAIN
    return reached(own) == InstaSync.Reached.NO and is_fresh


def _wait_for_address(work: _Round, row: CalendarWatch) -> None:
    own = InstaSync.objects.get(pk=1)
    due = max(work.now + timedelta(minutes=1), (own.reached_at or work.now) + TRIED_AGAIN)
    values = {"state": CalendarWatch.State.FAILED, "why": f"{own.reached_says.rstrip('.')}.", "due_at": due}
    CalendarWatch.objects.filter(pk=row.pk).update(**values)
    work.note("waiting for our address")


def retry(mailboxes: list[int] | None, now: datetime) -> int:
    """Has watches that failed, or could not be renewed, tried again by the next round; of these mailboxes, or all. Returns how many."""
    rows = CalendarWatch.objects.filter(Q(tries__gt=0) | ~Q(state=CalendarWatch.State.ON))
    rows = rows if mailboxes is None else rows.filter(mailbox__in=mailboxes)
    InstaSync.objects.filter(pk=1, reached=InstaSync.Reached.NO).update(reached_at=None)
    return rows.update(due_at=now, tries=0)

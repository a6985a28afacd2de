"""Takes what Microsoft tells of changed meetings: stored before it is answered, in bounded time, and a run asked for (S4.43).

Each notice brings the secret that its subscription was made with; it names the watch, too, for a notice may come before we know the
subscription's id. What is forged, told twice or told late does no harm: nothing of it is acted on but that the mailbox runs, and
that at most once in the spacing. What the database does not take in time is spooled as deliveries of webhooks are.
"""

from __future__ import annotations

import hmac
import json
import logging
import time
from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from enum import StrEnum

from django.db import connection, transaction
from django.db.models import Q

from connectors.microsoft.subscriptions import read_notices
from connectors.notices import LIFE, REMOVED, UNSURE, Notice
from reconciliation.core.insta_sync import digest_of
from reconciliation.engine import insta
from reconciliation.models import CalendarWatch, MeetingNotice
from reconciliation.services import hook_spool
from reconciliation.services.hook_receiver import STORE_SECONDS, within
from reconciliation.services.waker import Waker

log = logging.getLogger(__name__)
BODY_BYTES = 256 * 1024  # twenty notices take 20 KB
STORE_WITHIN = min(STORE_SECONDS, 2.0)  # seconds; Microsoft waits for three
PAUSE_SECONDS = 5.0
SPOOL = "microsoft"
STATE = "client_state"  # in the secrets of a watch
ROWS_A_STATEMENT = 200
NOT_AGAIN = timedelta(minutes=10)  # a permission that was shown is not shown again so soon
_left_alone_until = 0.0  # by time.monotonic()
waker = Waker()


class Taken(StrEnum):
    """What became of a delivery."""

    STORED = "stored"
    SPOOLED = "spooled"
    UNREADABLE = "unreadable"  # it holds no notices; nothing was kept
    LOST = "lost"  # neither database nor disk took it


def receive(body: bytes, now: datetime) -> Taken:
    """Returns what became of the delivery, within STORE_WITHIN and what a small file takes. Raises nothing. After a failure the
    database is left alone for a while, as by `hook_receiver`."""
    global _left_alone_until
    if time.monotonic() >= _left_alone_until:
        try:
            return within(STORE_WITHIN, lambda: take(body, now))
        except Exception as error:  # whatever it is: an answer without having kept it loses it
            _left_alone_until = time.monotonic() + PAUSE_SECONDS
            log.error("notices (%s bytes) were not stored: %s", len(body), type(error).__name__)
    try:
        hook_spool.put(0, body, "", now, part=SPOOL)
    except hook_spool.SpoolFull as error:
        log.error("notices (%s bytes) are not taken: %s", len(body), error)
        return Taken.LOST
    return Taken.SPOOLED


def take(body: bytes, now: datetime) -> Taken:
    """Stores the notices of a delivery that bring the right secret, and lets their mailboxes run. Raises database errors."""
    try:
        notices = read_notices(json.loads(body))
    except (ValueError, RecursionError):
        log.warning("a delivery of %s bytes holds no notices", len(body))
        return Taken.UNREADABLE
    genuine = _genuine(notices)
    if forged := len(notices) - len(genuine):
        log.warning("%s of %s notices were left out: they belong to no subscription of ours", forged, len(notices))
    if not genuine:
        return Taken.STORED
    with transaction.atomic():
        asked = _store(genuine, now)
    if asked:
        try:
            insta.put_in_queue(now)
            if not connection.in_atomic_block:  # else nobody could see it yet
                waker.at(insta.turns_to_come(asked, now), now)
        except Exception as error:  # they are stored, and due: the tick of the next minute puts them in the queue
            log.warning("mailboxes were not put in the queue: %s", type(error).__name__)
    return Taken.STORED


def take_up_spooled() -> int:
    """Stores what was spooled on this host. Returns how many. Raises database errors; the rest stays."""
    return hook_spool.take_up(lambda _, body, __, at: take(body, at), part=SPOOL)


def _genuine(notices: Sequence[Notice]) -> list[tuple[CalendarWatch, Notice]]:
    """Returns the notices that bring their watch's secret, with it. For a watch that there is not as much is compared."""
    keys = {key for notice in notices if (key := _key_in(notice.secret)) is not None}
    rows = {row.pk: row for row in CalendarWatch.objects.filter(pk__in=keys)} if keys else {}
    found = []
    for notice in notices:
        row = rows.get(_key_in(notice.secret) or 0)
        ours = str(row.secrets.get(STATE) or "") if row is not None else ""
        is_ours = hmac.compare_digest((ours or "0.nobody").encode(), notice.secret.encode("utf-8", "surrogateescape"))
        if is_ours and ours and row is not None:
            found.append((row, notice))
    return found


def _key_in(secret: str) -> int | None:
    key = secret.partition(".")[0]
    return int(key) if key.isascii() and key.isdigit() and len(key) < 16 else None


def _store(told: Sequence[tuple[CalendarWatch, Notice]], now: datetime) -> set[int]:
    """Keeps each notice once and counts the new ones, and those that still wait, for their mailboxes. Returns the mailboxes that are
    to run. The caller holds the transaction: a notice is stored and asked for, or neither."""
    changes, fresh = insta.terms().changes, {}
    for watch, notice in told:
        key = (watch.mailbox_id, digest_of(notice, now))
        fresh.setdefault(key, (watch, notice))
    known = dict(_known(fresh))
    waiting = MeetingNotice.State.WAITING
    rows = [_row(notice, key, changes, now) for key, (_, notice) in fresh.items() if key not in known]
    MeetingNotice.objects.bulk_create(rows, batch_size=ROWS_A_STATEMENT, ignore_conflicts=True)
    for key, (watch, notice) in fresh.items():
        if key not in known:
            _live(watch, notice, now)
    asking = {row.mailbox_id for row in rows if row.state == waiting}
    asking |= {mailbox for (mailbox, _), state in known.items() if state == waiting}
    return asking if asking and insta.ask(asking, now) else set()


def _known(keys: Iterable[tuple[int, str]]) -> Iterable[tuple[tuple[int, str], str]]:
    digests, mailboxes = {digest for _, digest in keys}, {mailbox for mailbox, _ in keys}
    for part in _in_parts(sorted(digests)):
        rows = MeetingNotice.objects.filter(mailbox__in=mailboxes, digest__in=part).values_list("mailbox_id", "digest", "state")
        yield from (((mailbox, digest), state) for mailbox, digest, state in rows)


def _in_parts(digests: Sequence[str]) -> Iterable[Sequence[str]]:
    return (digests[start : start + ROWS_A_STATEMENT] for start in range(0, len(digests), ROWS_A_STATEMENT))


def _row(notice: Notice, key: tuple[int, str], changes: Sequence[str], now: datetime) -> MeetingNotice:
    mailbox, digest = key
    state, done_at = MeetingNotice.State.WAITING, None
    if notice.what not in LIFE and notice.what not in changes:
        state, done_at = MeetingNotice.State.OFF, now
    elif notice.what == UNSURE:
        state, done_at = MeetingNotice.State.DONE, now
    return MeetingNotice(
        mailbox_id=mailbox, digest=digest, what=notice.what, event_id=notice.event_id, state=state, received_at=now, done_at=done_at
    )


def _live(watch: CalendarWatch, notice: Notice, now: datetime) -> None:
    """Does what becomes of a watch asks for: it is made anew, or renewed, by the next round. A word about an older subscription
    than the present one says nothing of that."""
    rows = CalendarWatch.objects.filter(pk=watch.pk, subscription_id=notice.watch_id)
    if notice.what == REMOVED:
        said = "Microsoft ended the subscription."
        rows.update(state=CalendarWatch.State.WAITING, subscription_id="", why=said, due_at=now)
    elif notice.what == UNSURE:
        rows.filter(Q(renewed_at=None) | Q(renewed_at__lt=now - NOT_AGAIN)).update(due_at=now)

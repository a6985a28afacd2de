"""What staff are told, and when: causes are a function of the state, telling is one of causes and what was told before.

Engine-rules 2: one alert that closes itself. One message per cause and day, one when it is cured, nothing every minute.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum


class Kind(StrEnum):
    """What a person may subscribe to."""

    CONNECTION = "connection"
    LATE = "late"
    BRAKE = "brake"
    QUEUE = "queue"
    WATCHDOG = "watchdog"
    MAILBOX = "mailbox"


# Not to be subscribed to: messages that cannot be sent are told by the dashboard.
OUTBOX = "outbox"

INTERVALS = 3  # a pass that is later than so many of its intervals is late
AGAIN_AFTER = timedelta(days=1)
# A pass that was just resumed, or a site that was just started, looks late until its first run is through.
LATE_SETTLES = timedelta(minutes=2)
INSTA_SYNC_SETTLES = timedelta(minutes=15)  # most of what fails is made by the next tries
LONGEST_RUN = timedelta(minutes=20)  # the largest time budget: so long may another pass hold the channel
RESTART_COUNTS = timedelta(minutes=15)
MOST_UNSENT = 20
MOST_SUSPENDED = 20  # mailboxes that are told of one by one; what is more is told in one
OK, NEEDS_ATTENTION = "ok", "needs_attention"
QUEUES = {
    "duplicate": ("duplicates", "duplicate_list"),
    "error": ("errors", "error_list"),
    "mapping": ("mapping rows", "mapping_list"),
    "conflict": ("conflicts", "conflict_list"),
}


@dataclass(frozen=True, slots=True)
class ConnectionFacts:
    """One connection; `says` is our own sentence of what is the matter."""

    id: int
    name: str
    state: str
    says: str = ""


@dataclass(frozen=True, slots=True)
class PassFacts:
    """One pass. `reached_at` is the end of its last run that got through, `running_since` the start of one under way,
    `due_at` when it should run next; `parked` says (run, sentence) of a plan that waits for approval."""

    id: int
    title: str
    connections: tuple[int, ...]
    is_working: bool  # switched on and not paused
    interval_seconds: int
    budget_seconds: int
    is_held: bool = False  # by its mapping
    trouble_count: int = 0
    due_at: datetime | None = None
    reached_at: datetime | None = None
    running_since: datetime | None = None
    last_began_at: datetime | None = None
    channel_wanted_at: datetime | None = None  # since when it waits for a process channel that another pass holds
    parked: tuple[int, str] | None = None


@dataclass(frozen=True, slots=True)
class SuspendedMailbox:
    """One mailbox that was suspended (D11); `says` is our own sentence of why."""

    id: int
    address: str
    says: str = ""


@dataclass(frozen=True, slots=True)
class InstaSyncFacts:
    """For how many mailboxes watching the calendar fails, and what the mail system said of the first. `is_reached`: it found our
    address."""

    failed: int
    says: str = ""
    is_reached: bool = True


@dataclass(frozen=True, slots=True)
class Restart:
    """A program that the supervisor had to start again."""

    program: str
    reason: str
    at: datetime


@dataclass(frozen=True, slots=True)
class Unsent:
    """Messages of one channel ("mail" or "chat") that could not be sent, and what the server said to the last."""

    channel: str
    count: int
    says: str


@dataclass(frozen=True, slots=True)
class Facts:
    """The state of everything at one moment."""

    now: datetime
    connections: tuple[ConnectionFacts, ...] = ()
    passes: tuple[PassFacts, ...] = ()
    open_cases: Mapping[str, int] | None = None
    limits: tuple[int, ...] = ()  # the N of every "a queue is above N" that somebody chose
    restarts: tuple[Restart, ...] = ()
    beat_at: datetime | None = None
    unsent: tuple[Unsent, ...] = ()
    suspended: tuple[SuspendedMailbox, ...] = ()  # the first MOST_SUSPENDED, by when
    suspended_count: int = 0
    insta_sync: InstaSyncFacts | None = None


@dataclass(frozen=True, slots=True)
class Cause:
    """One reason to tell people. `is_quiet`: it still stands and nothing new is to be said. `page` and `pk` say where the
    link leads. `cure` is what will be said when it is over."""

    key: str
    kind: str
    group: str
    title: str
    sentence: str
    cure: str
    page: str = "index"
    pk: int | None = None
    limit: int | None = None
    settles: timedelta = timedelta(0)
    is_quiet: bool = False


@dataclass(frozen=True, slots=True)
class Known:
    """What is remembered of a cause: whether it stands, since when, when people were told, whether a cure is owed."""

    key: str
    group: str
    is_open: bool
    opened_at: datetime
    told_at: datetime | None = None
    is_cure_owed: bool = False


@dataclass(frozen=True, slots=True)
class Moves:
    """What is to be done now. `begin`: causes that were not open. `tell`: causes to send messages of. `cure`: keys that
    are over and whose end people wait for. `forget`: keys that are over and that nobody was told of. `hand_over`: (old
    key, new key) where a trouble only changed its face: the end of the new one is owed instead."""

    begin: tuple[Cause, ...] = ()
    tell: tuple[Cause, ...] = ()
    cure: tuple[str, ...] = ()
    forget: tuple[str, ...] = ()
    hand_over: tuple[tuple[str, str], ...] = ()


def causes(facts: Facts, open_keys: Iterable[str] = ()) -> tuple[Cause, ...]:
    """Returns everything that people should know of now. `open_keys` are the causes that stood a moment ago: a
    connection that needed a person still does while it answers nothing at all."""
    opened = frozenset(open_keys)
    return (
        *(cause for c in facts.connections for cause in _connection(c, opened)),
        *(cause for p in facts.passes for cause in _late(p, facts)),
        *(_brake(p) for p in facts.passes if p.parked is not None),
        *_queues(facts),
        *_restarts(facts),
        *(_outbox(unsent) for unsent in facts.unsent),
        *_suspended(facts),
        *_insta_sync(facts),
    )


def _connection(connection: ConnectionFacts, opened: frozenset[str]) -> Iterable[Cause]:
    group = f"connection:{connection.id}"
    if connection.state == OK:
        return
    if connection.state == NEEDS_ATTENTION:
        keys = [f"{group}:{_face(connection.says)}"]
    else:
        keys = [key for key in opened if key.startswith(f"{group}:")]
    for key in keys:
        yield Cause(
            key=key,
            kind=Kind.CONNECTION,
            group=group,
            title=f"{connection.name} needs a person",
            sentence=f"{connection.says.rstrip('.')}. No record is flagged; passes wait and go on by themselves once it is mended.",
            cure=f"{connection.name} works again",
            page="connection_list",
            is_quiet=connection.state != NEEDS_ATTENTION,
        )


def _face(sentence: str) -> str:
    """Returns what is lasting in a sentence of trouble: words without a digit. Request numbers and times in a remote
    answer do not make a new cause every minute; another reason does."""
    words = re.findall(r"[^\W\d_]+(?:_[^\W\d_]+)*", " ".join(w for w in sentence.lower().split() if not re.search(r"\d", w)))
    return "-".join(words)[:60] or "unknown"


def is_late(sync_pass: PassFacts, now: datetime) -> bool:
    """Tells whether the pass got nothing through for three intervals although it should. A plan parked by a brake is a
    cause of its own."""
    if not sync_pass.is_working or sync_pass.parked is not None:
        return False
    limit = timedelta(seconds=INTERVALS * sync_pass.interval_seconds)
    marks = [sync_pass.reached_at]
    if not sync_pass.trouble_count:
        marks.append(sync_pass.due_at)  # resumed, or its first run is still to come
    if sync_pass.running_since is not None and not sync_pass.trouble_count:
        marks.append(sync_pass.running_since + timedelta(seconds=sync_pass.budget_seconds))
    newest = max((at for at in marks if at is not None), default=None)
    return newest is not None and now - newest > limit


def is_overdue(sync_pass: PassFacts, now: datetime) -> bool:
    """Tells whether our own side is stuck: no run began for three intervals although one was due. Waiting for a system
    that is down is not being stuck."""
    if not sync_pass.is_working or sync_pass.is_held:
        return False
    marks = [sync_pass.last_began_at, sync_pass.due_at]
    if sync_pass.channel_wanted_at is not None:
        marks.append(sync_pass.channel_wanted_at + LONGEST_RUN)
    began = max((at for at in marks if at is not None), default=None)
    if began is None:
        return False
    busy = timedelta(seconds=sync_pass.budget_seconds if sync_pass.running_since is not None else 0)
    return now - began > busy + timedelta(seconds=INTERVALS * sync_pass.interval_seconds)


def _late(sync_pass: PassFacts, facts: Facts) -> Iterable[Cause]:
    if not is_late(sync_pass, facts.now):
        return
    mine = [c for c in facts.connections if c.id in sync_pass.connections]
    failing = next((c for c in mine if c.state not in (OK, "untested")), None)
    if sync_pass.is_held:
        why, page = "Its mapping holds it: a row names something that the system refuses. Correct the row and save.", "mapping_list"
    elif failing is not None:
        why, page = f"{failing.name} does not answer as it should. The pass tries again by itself; no record is flagged.", "index"
    else:
        why, page = "No run came through. Look at its runs, and at the log of the task cluster.", "run_list"
    yield Cause(
        key=f"late:{sync_pass.id}",
        kind=Kind.LATE,
        group=f"late:{sync_pass.id}",
        title=f"“{sync_pass.title}” is late",
        sentence=f"It is later than {INTERVALS} of its intervals. {why}",
        cure=f"“{sync_pass.title}” is on time again",
        page=page,
        settles=LATE_SETTLES,
        is_quiet=any(c.state == NEEDS_ATTENTION for c in mine),  # that is said already
    )


def _brake(sync_pass: PassFacts) -> Cause:
    assert sync_pass.parked is not None
    run, note = sync_pass.parked
    return Cause(
        key=f"brake:{sync_pass.id}",
        kind=Kind.BRAKE,
        group=f"brake:{sync_pass.id}",
        title=f"“{sync_pass.title}” waits for your approval",
        sentence=f"A brake stopped it before it wrote too much. {note}",
        cure=f"“{sync_pass.title}” goes on",
        page="run_detail",
        pk=run,
    )


def _queues(facts: Facts) -> Iterable[Cause]:
    for kind, count in (facts.open_cases or {}).items():
        words, page = QUEUES.get(kind, (f"{kind} cases", "index"))
        for limit in sorted(set(facts.limits)):
            if count > limit:
                key = f"queue:{kind}:{limit}"
                yield Cause(
                    key=key,
                    kind=Kind.QUEUE,
                    group=key,
                    title=f"More than {limit:,} {words} are open",
                    sentence="They wait for a person; nothing else is stopped by them.",
                    cure=f"No more than {limit:,} {words} are open",
                    page=page,
                    limit=limit,
                )


def _restarts(facts: Facts) -> Iterable[Cause]:
    newest: dict[str, Restart] = {}
    for restart in facts.restarts:
        if restart.program not in newest or newest[restart.program].at < restart.at:
            newest[restart.program] = restart
    for program, restart in newest.items():
        has_moved = facts.beat_at is not None and facts.beat_at > restart.at
        if facts.now - restart.at >= RESTART_COUNTS and has_moved:
            continue
        yield Cause(
            key=f"watchdog:{program}",
            kind=Kind.WATCHDOG,
            group=f"watchdog:{program}",
            title=f"The {program} was started again",
            sentence=f"The watchdog started it again because it {restart.reason}. Work goes on where it stood; nothing is lost.",
            cure=f"The {program} has kept running since",
        )


def _outbox(unsent: Unsent) -> Cause:
    what = "Mails" if unsent.channel == "mail" else "Messages to the chat"
    return Cause(
        key=f"outbox:{unsent.channel}",
        kind=OUTBOX,
        group=f"outbox:{unsent.channel}",
        title=f"{what} cannot be sent ({unsent.count}{' or more' if unsent.count >= MOST_UNSENT else ''})",
        sentence=f"{unsent.says} They are tried again by themselves for a day; passes go on.",
        cure=f"{what} are sent again",
        page="alerts",
        is_quiet=True,
    )


def _suspended(facts: Facts) -> Iterable[Cause]:
    for mailbox in facts.suspended[:MOST_SUSPENDED]:
        yield Cause(
            key=f"mailbox:{mailbox.id}",
            kind=Kind.MAILBOX,
            group=f"mailbox:{mailbox.id}",
            title=f"The mailbox {mailbox.address} was suspended",
            sentence=f"{mailbox.says.rstrip('.')}. Nothing was deleted on either side. Mend the cause, then press Resume.",
            cure=f"The mailbox {mailbox.address} is no longer suspended",
            page="mailbox_detail",
            pk=mailbox.id,
        )
    more = facts.suspended_count - len(facts.suspended[:MOST_SUSPENDED])
    if more > 0:
        yield Cause(
            key="mailbox:more",
            kind=Kind.MAILBOX,
            group="mailbox:more",
            title=f"{more:,} more {'mailbox was' if more == 1 else 'mailboxes were'} suspended",
            sentence="Look at the list of mailboxes: each says why. Mend the cause, then resume those that you select.",
            cure=f"No more than {MOST_SUSPENDED} mailboxes are suspended",
            page="mailbox_list",
        )


def _insta_sync(facts: Facts) -> Iterable[Cause]:
    found = facts.insta_sync
    if found is None or not found.failed:
        return
    which = "1 mailbox is" if found.failed == 1 else f"{found.failed:,} mailboxes are"
    yield Cause(
        key="insta-sync",
        kind=Kind.MAILBOX,
        group="insta-sync",
        title=f"Meetings of {which} not told of" if found.is_reached else "Microsoft does not reach this site",
        sentence=f"{found.says.rstrip('.')}. Their calendars are looked at every few minutes instead; nothing is lost.",
        cure="Microsoft tells of changed meetings again",
        page="insta_sync",
        settles=INSTA_SYNC_SETTLES,
    )


def settle(now: datetime, holding: Iterable[Cause], known: Iterable[Known]) -> Moves:
    """Returns what is to be begun, told, cured and forgotten."""
    before = {k.key: k for k in known}
    standing = {c.key: c for c in holding}
    begin = tuple(c for c in standing.values() if c.key not in before or not before[c.key].is_open)
    began = {c.key for c in begin}
    tell = tuple(c for c in standing.values() if _is_to_be_told(c, before.get(c.key), c.key in began, now))
    cure, forget, hand_over = [], [], []
    for key, old in before.items():
        if not old.is_open or key in standing:
            continue
        heir = next((c.key for c in standing.values() if c.group == old.group), None)
        if heir is not None and old.is_cure_owed:
            hand_over.append((key, heir))
        elif old.is_cure_owed:
            cure.append(key)
        else:
            forget.append(key)
    return Moves(begin, tell, tuple(cure), tuple(forget), tuple(hand_over))


def _is_to_be_told(cause: Cause, known: Known | None, is_new: bool, now: datetime) -> bool:
    opened_at = now if known is None or is_new else known.opened_at
    if cause.is_quiet or now - opened_at < cause.settles:
        return False
    return known is None or known.told_at is None or now - known.told_at >= AGAIN_AFTER

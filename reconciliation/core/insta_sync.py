"""Insta-sync of meetings: what a notice is worth, and how long it took. Pure.

A notice names an event and says no more: whether it is a meeting is known from what was read of it. Where that cannot be known any
more it counts as one, since a run too many costs a call, and a run too few a late meeting.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from connectors.notices import DELETED, LIFE, MEETING, Notice, Seen

LEAST_SPACING, MOST_SPACING = 60, 180  # seconds (S4.45, D16)
LIFE_REPEATED = 600  # seconds in which the same word about a watch is the same word, told twice


def digest_of(notice: Notice, received_at: datetime) -> str:
    """Returns what two deliveries of the same notice share. A word about a watch may come again with the same content."""
    when = str(int(received_at.timestamp()) // LIFE_REPEATED) if notice.what in LIFE else ""
    return hashlib.sha256("\n".join((notice.watch_id, notice.what, notice.event_id, notice.version, when)).encode()).hexdigest()


@dataclass(frozen=True, slots=True)
class Told:
    """A notice that waits: what happened, to which event, and what that event was when it was seen last, "" where nobody knows."""

    what: str
    event_id: str
    known: str = ""


def asks_for_a_run(told: Sequence[Told]) -> bool:
    """Tells whether a run is wanted whatever the events turn out to be (S4.42). Of one that is gone only the past is known."""
    return any(one.what in LIFE or (one.what == DELETED and one.known in ("", MEETING)) or one.known == MEETING for one in told)


def to_be_read(told: Sequence[Told]) -> tuple[str, ...]:
    """Returns the events that decide, because none is known to be a meeting: one that was none may be one now."""
    return tuple(dict.fromkeys(one.event_id for one in told if one.what != DELETED))


def is_of_a_meeting(seen: Seen, changes: Sequence[str], known: str) -> bool:
    """Tells whether what a look showed forces a run (S4.42, S4.47): it is a meeting, or was one by what we know of it. One that is
    gone and of which we know nothing has nothing in the CRM that could follow it."""
    return seen.what in changes and MEETING in (seen.kind, known)


def is_any_meeting(ids: Sequence[str], kinds: Mapping[str, str]) -> bool:
    """Tells whether one of the events that were read is a meeting. One that is not there (any more) may have been."""
    return any(kinds.get(id_, MEETING) == MEETING for id_ in ids)


def quantile(values: Sequence[float], share: float) -> float | None:
    """Returns the smallest value that at least this share of all does not exceed, None of none."""
    if not values:
        return None
    return sorted(values)[max(0, math.ceil(share * len(values)) - 1)]


def back_off_seconds(tries: int) -> float:
    """Returns how long a watch that failed so often in a row is left alone: a minute, then twice as long each time, up to an hour."""
    return float(min(60 * 2 ** max(0, min(tries, 10) - 1), 3600))

"""Values of users that we overwrote unseen: what stood there right before our write, against what we believed.

A system without compare-and-set (engine-rules 32) tells of it only afterwards, in the `beforeUpdate` of a webhook; one whose
versions count whole seconds (engine-rules 31) tells of it in the answer to the write. Pure.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from connectors.contract import Fields, HookEvent, Value
from reconciliation.core.spellings import has_forgotten
from reconciliation.core.values import is_same

SAME_WRITE = timedelta(seconds=5)  # between the stamp of our answer and the one of the delivery, both the system's own
CLOCKS = timedelta(minutes=15)  # between our clock and the system's, where no answer of it is known


@dataclass(frozen=True, slots=True)
class OurUpdate:
    """One update of ours from the journal: what we believed to be there, what we wrote, and when. `answered_at` is the
    record's own stamp in the answer, None where none came or none was kept."""

    id: int
    before: Fields
    after: Fields
    sent_at: datetime | None
    answered_at: datetime | None = None


def find_our_update(event: HookEvent, ours: Sequence[OurUpdate]) -> OurUpdate | None:
    """Returns the update of ours that the event tells of, None where a user made the change.

    Ours is what changed nothing but fields we wrote, to the values we wrote: by the stamp of the answer where one is
    known, else by the nearest time. Stamps that no system moves by itself (`updatedAt`, `touchedAt`, …) count for
    nothing."""
    fits = [update for update in ours if _says_what_we_wrote(event, update)]
    near = [(distance, update.id, update) for update in fits if (distance := _distance(event, update)) is not None]
    return min(near, key=lambda item: (item[0], -item[1]))[2] if near else None


def overwritten_values(event: HookEvent, ours: OurUpdate) -> dict[str, Value]:
    """Returns field -> the value of a user that our update replaced without having seen it. `event.before` says what
    stood there."""
    return unseen_values(event.before, ours.before, ours.after)


def unseen_values(stood: Fields, believed: Fields, written: Fields) -> dict[str, Value]:
    """Returns field -> what `stood` there right before our write though we `believed` something else. What we believed to
    be there, or wrote ourselves, is no loss."""
    return {
        name: stood[name]
        for name, value in written.items()
        if name in stood
        and not is_same(stood[name], value)
        and not is_same(stood[name], believed.get(name))
        and not has_forgotten([stood[name], believed.get(name)])  # nobody knows any more what it was
    }


def _says_what_we_wrote(event: HookEvent, update: OurUpdate) -> bool:
    told = [name for name in update.after if name in event.fields]
    return bool(told) and all(is_same(event.fields[name], update.after[name]) for name in told)


def _distance(event: HookEvent, update: OurUpdate) -> tuple[int, timedelta] | None:
    """Returns how far the event is from the update, None when it is too far. Stamps of one clock come before ours."""
    if event.at is None:
        return (2, timedelta(0))
    if update.answered_at is not None:
        apart = abs(event.at - update.answered_at)
        return (0, apart) if apart <= SAME_WRITE else None
    if update.sent_at is None:
        return None
    apart = abs(event.at - update.sent_at)
    return (1, apart) if apart <= CLOCKS else None

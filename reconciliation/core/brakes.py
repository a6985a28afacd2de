"""Brakes: when a sweep is about to do something in bulk that a person should see first (engine-rules 18, C10, C33)."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class BrakeSettings:
    """Thresholds: a count, and a share of the bound records that counts from `share_from` bindings up."""

    blanking_count: int = 50
    blanking_share: float = 0.30
    deletion_count: int = 10
    deletion_share: float = 0.05
    share_from: int = 200
    changed_count: int = 50  # two-way passes: one field changed in so many records, or in so large a share
    changed_share: float = 0.30


def limit(count: int, share: float, bound: int, settings: BrakeSettings) -> int:
    """Returns how many are allowed: the larger of count and share."""
    return max(count, int(share * bound)) if bound >= settings.share_from else count


def blanking_trips(blanked: Mapping[str, int], bound: int, approved: Collection[str], settings: BrakeSettings) -> tuple[str, ...]:
    """Returns the fields that a sweep blanks in more records than allowed; approved ones pass."""
    allowed = limit(settings.blanking_count, settings.blanking_share, bound, settings)
    return tuple(sorted(name for name, n in blanked.items() if n > allowed and name not in approved))


def changes_trip(changed: Mapping[str, int], bound: int, approved: Collection[str], settings: BrakeSettings) -> tuple[str, ...]:
    """Returns the fields that a sweep changes in a larger share of the bound records than allowed; small numbers of bindings
    say nothing."""
    if bound < settings.share_from:
        return ()
    allowed = limit(settings.changed_count, settings.changed_share, bound, settings)
    return tuple(sorted(name for name, n in changed.items() if n > allowed and name not in approved))


def deletions_trip(deletions: int, bound: int, settings: BrakeSettings) -> bool:
    """Tells whether a sweep deletes more records than allowed."""
    return deletions > limit(settings.deletion_count, settings.deletion_share, bound, settings)

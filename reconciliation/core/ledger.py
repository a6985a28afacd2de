"""The sum a run closes with: every record seen ends in exactly one outcome (C27)."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any


class Outcome(StrEnum):
    """How one record ended in one run."""

    CREATED = "created"
    UPDATED = "updated"
    UNCHANGED = "unchanged"
    EXCLUDED = "excluded"
    DUPLICATE = "duplicate"
    FAILED = "failed"
    HELD = "held"


class LedgerDoesNotAddUp(AssertionError):
    """Seen and the outcomes differ: the run is failed, since something was silent."""


@dataclass(slots=True)
class Ledger:
    """Counts of one run. `related` stands outside the sum (engine-rules 8)."""

    seen: int = 0
    outcomes: Counter[Outcome] = field(default_factory=Counter)
    excluded: Counter[str] = field(default_factory=Counter)
    related: Counter[str] = field(default_factory=Counter)

    def count(self, outcome: Outcome, reason: str = "") -> None:
        self.outcomes[outcome] += 1
        if outcome is Outcome.EXCLUDED:
            self.excluded[reason] += 1

    def check(self) -> None:
        """Raises LedgerDoesNotAddUp unless seen = the sum of the outcomes."""
        if self.seen != sum(self.outcomes.values()):
            raise LedgerDoesNotAddUp(f"seen {self.seen}, accounted for {sum(self.outcomes.values())}: {dict(self.outcomes)}")

    def as_dict(self) -> dict[str, Any]:
        """Returns the numbers under the names that `runpass --json` prints."""
        o = self.outcomes
        return {
            "seen": self.seen,
            "created": o[Outcome.CREATED],
            "updated": o[Outcome.UPDATED],
            "unchanged": o[Outcome.UNCHANGED],
            "excluded": dict(sorted(self.excluded.items())),
            "duplicates": o[Outcome.DUPLICATE],
            "failed": o[Outcome.FAILED],
            "held": o[Outcome.HELD],
            "related": {k: self.related[k] for k in ("people_read", "prospects_moved", "prospects_failed", "written_back", "flags_set")},
        }

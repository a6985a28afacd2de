"""The day's calls of the organisation: a rolling window of 24 hours, told with every answer."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Any

PER_DAY = 105_000  # Enterprise Edition with five licences
SLOT = 900  # seconds
SLOTS_A_DAY = 86400 // SLOT


class Limits:
    """Counts calls by quarters of an hour; what is older than a day no longer counts."""

    def __init__(self, *, now: Callable[[], datetime]) -> None:
        self._now = now
        self.per_day = PER_DAY
        self._used: dict[int, int] = {}

    def used(self) -> int:
        slot = self._slot()
        for old in [s for s in self._used if s <= slot - SLOTS_A_DAY]:
            del self._used[old]
        return sum(self._used.values())

    def count(self, calls: int) -> bool:
        """Counts calls. Returns False, and counts none, when they are more than there are left."""
        if self.used() + calls > self.per_day:
            return False
        slot = self._slot()
        self._used[slot] = self._used.get(slot, 0) + calls
        return True

    def _slot(self) -> int:
        return int(self._now().timestamp() // SLOT)

    def header(self) -> tuple[str, str]:
        return "Sforce-Limit-Info", f"api-usage={self.used()}/{self.per_day}"

    def as_json(self) -> dict[str, Any]:
        """Returns the body of `GET /limits`."""
        fixed = {"DailyBulkApiBatches": 15_000, "DailyBulkV2QueryJobs": 10_000, "DailyBulkV2QueryFileStorageMB": 976_562,
                 "DataStorageMB": 10_240, "FileStorageMB": 10_240}  # fmt: skip
        return {
            "DailyApiRequests": {"Max": self.per_day, "Remaining": max(0, self.per_day - self.used())},
            **{name: {"Max": most, "Remaining": most} for name, most in fixed.items()},
        }

    def meta(self) -> dict[str, Any]:
        return {"per_day": self.per_day, "used": {str(slot): count for slot, count in self._used.items()}}

    def restore(self, state: dict[str, Any]) -> None:
        self.per_day = state.get("per_day", PER_DAY)
        self._used = {int(slot): count for slot, count in state.get("used", {}).items()}

"""Quotas of one user: how much was read and written in the last minute of the world's clock."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from datetime import datetime
from typing import Any

MINUTE = 60.0
READS, WRITES, FULL_SYNCS = "reads_per_minute", "writes_per_minute", "full_syncs_per_minute"
# How the real service calls them: the metric, and the limit.
WORDS = {
    READS: ("Critical read requests", "CriticalReadsPerMinutePerProjectPerUser"),
    WRITES: ("Critical write requests", "CriticalWritesPerMinutePerProjectPerUser"),
    FULL_SYNCS: ("Full sync requests", "FullSyncsPerMinutePerProjectPerUser"),
}


class Quotas:
    """Counts by user. A limit of None allows everything."""

    def __init__(self, *, now: Callable[[], datetime]) -> None:
        self._now = now
        self.limits: dict[str, int | None] = {READS: None, WRITES: None}
        self._used: dict[tuple[str, str], deque[tuple[float, int]]] = {}

    def used(self, kind: str, mailbox: str) -> int:
        return sum(cost for _, cost in self._window(kind, mailbox))

    def allows(self, kind: str, mailbox: str, *, cost: int, limit: int | None) -> bool:
        return limit is None or self.used(kind, mailbox) + cost <= limit

    def count(self, kind: str, mailbox: str, *, cost: int) -> None:
        self._window(kind, mailbox).append((self._now().timestamp(), cost))

    def _window(self, kind: str, mailbox: str) -> deque[tuple[float, int]]:
        window = self._used.setdefault((kind, mailbox), deque())
        since = self._now().timestamp() - MINUTE
        while window and window[0][0] <= since:
            window.popleft()
        return window

    def meta(self) -> dict[str, Any]:
        return dict(self.limits)

    def restore(self, state: dict[str, Any]) -> None:
        self.limits = {name: state.get(name) for name in self.limits}

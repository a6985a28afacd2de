"""How many calls one mailbox takes: in ten minutes, and at once."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime
from typing import Any

from connectors.sandbox.microsoft.refusal import Refused

PER_10_MINUTES = 10_000
CONCURRENT = 4
WINDOW = 600


class Limits:
    """Counts calls by mailbox. Those that are refused count too."""

    def __init__(self, *, now: Callable[[], datetime]) -> None:
        self._now = now
        self.per_10_minutes = PER_10_MINUTES
        self.concurrent: int | None = CONCURRENT
        self._windows: dict[int, list[int]] = {}  # mailbox -> [when its window began, calls since]
        self._lock = threading.Lock()  # requests arrive outside the world's lock
        self._running: Counter[int] = Counter()
        self._over: dict[int, frozenset[int]] = {}

    def used(self, mailbox: int) -> int:
        return self._window(mailbox)[1]

    def _window(self, mailbox: int) -> list[int]:
        now = int(self._now().timestamp())
        window = self._windows.get(mailbox)
        if window is None or not 0 <= now - window[0] < WINDOW:
            window = self._windows[mailbox] = [now, 0]
        return window

    def count(self, mailbox: int) -> None:
        """Counts one call. Raises Refused when it is more than the mailbox takes."""
        window = self._window(mailbox)
        window[1] += 1
        if window[1] > self.per_10_minutes:
            wait = max(1, window[0] + WINDOW - int(self._now().timestamp()))
            raise Refused(429, "TooManyRequests", "Too many requests. Try again later.", (("Retry-After", str(wait)),))

    @contextmanager
    def running(self, call: int, mailboxes: frozenset[int], scope: str) -> Iterator[None]:
        """Holds a place at every mailbox while a call runs, until its answer is sent; `over` tells where there was none."""
        mailboxes = mailboxes if scope == "mailbox" or not mailboxes else frozenset((0,))
        with self._lock:
            over = frozenset(m for m in mailboxes if self.concurrent is not None and self._running[m] >= self.concurrent)
            self._running.update(mailboxes - over)
            if over:
                self._over[call] = over
        try:
            yield
        finally:
            with self._lock:
                self._running.subtract(mailboxes - over)
                self._over.pop(call, None)

    def over(self, call: int) -> frozenset[int]:
        """Returns the mailboxes that are too busy for this call; 0 stands for all of them."""
        return self._over.get(call, frozenset())

    def meta(self) -> dict[str, Any]:
        windows = {str(mailbox): window for mailbox, window in self._windows.items()}
        return {"per_10_minutes": self.per_10_minutes, "concurrent": self.concurrent, "windows": windows}

    def restore(self, state: dict[str, Any]) -> None:
        self.per_10_minutes, self.concurrent = state["per_10_minutes"], state["concurrent"]
        self._windows = {int(mailbox): list(window) for mailbox, window in state["windows"].items()}


def too_busy() -> Refused:
    told = "Application is over its MailboxConcurrency limit."
    return Refused(429, "ApplicationThrottled", told, (("Retry-After", "1"),))

"""Wakes the queue at the second at which a mailbox that was told of may run again: the tick comes once a minute only.

A thread of the process that took the notice, which ends when nothing is left to wait for. It is a convenience: what dies with its
process is done by the tick, and by every run that ends.
"""

from __future__ import annotations

import heapq
import logging
import threading
import time
from collections.abc import Callable, Iterable
from datetime import datetime

from django.db import connection
from django.utils import timezone

from reconciliation.engine import insta

log = logging.getLogger(__name__)
LONGEST = 200.0  # seconds ahead; more than the greatest spacing


def _put_in_queue() -> None:
    insta.put_in_queue(timezone.now())


class Waker:
    """Calls `wake` at moments that are told, each second at most once."""

    def __init__(self, wake: Callable[[], None] = _put_in_queue) -> None:
        self._wake = wake
        self._condition = threading.Condition()
        self._waiting: list[int] = []  # seconds of time.monotonic(), the next one first
        self._is_running = False

    def at(self, moments: Iterable[datetime], now: datetime) -> None:
        """Has the queue woken at each of these moments, none of them long ahead."""
        seconds = {min(max((at - now).total_seconds(), 0.0), LONGEST) for at in moments}
        due = {int(time.monotonic() + ahead) + 1 for ahead in seconds}
        with self._condition:
            for second in due - set(self._waiting):
                heapq.heappush(self._waiting, second)
            if self._waiting and not self._is_running:
                self._is_running = True
                threading.Thread(target=self._work, daemon=True, name="wake the queue").start()
            self._condition.notify()

    def _work(self) -> None:
        while self._next():
            try:
                self._wake()
            except Exception as error:  # the tick does it
                log.warning("the queue was not woken: %s", type(error).__name__)
            finally:
                connection.close()

    def _next(self) -> bool:
        """Waits for the next moment. Returns whether there was one."""
        with self._condition:
            while self._waiting and (ahead := self._waiting[0] - time.monotonic()) > 0:
                self._condition.wait(ahead)
            if not self._waiting:
                self._is_running = False
                return False
            heapq.heappop(self._waiting)
            return True

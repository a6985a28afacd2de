"""Carries change notifications, in a thread of its own, and asks addresses whether they want them.

An answer is to come within three seconds and be a success, else the same is sent again, later each time, and what came
meanwhile arrives before it. The sandbox reaches this machine only.
"""

from __future__ import annotations

import heapq
import http.client
import itertools
import threading
import time
from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass
from urllib.parse import quote, unquote, urlsplit

LOOPBACK = ("127.0.0.1", "localhost")
TIME_OUT, HANDSHAKE_TIME_OUT = 3.0, 10.0  # seconds
PAUSES = (1.0, 2.0, 4.0, 8.0)  # before another try; the real service goes on for four hours
WINDOW, LEAST_ANSWERS, MOST_SLOW = 600.0, 5, 0.15  # of an address that is given nothing any more for being slow
JSON, TEXT = "application/json; charset=utf-8", "text/plain; charset=utf-8"


@dataclass(frozen=True, slots=True)
class Delivery:
    """One POST to be sent. `missed` is sent where this one is given up; `may_be_dropped` where its address is too slow."""

    url: str
    body: bytes
    may_be_dropped: bool = False
    missed: tuple[Delivery, ...] = ()


@dataclass(frozen=True, slots=True)
class _Said:
    status: int
    content_type: str
    text: str


def _post(url: str, body: bytes, content_type: str, seconds: float) -> _Said | None:
    """Sends once. Returns what was said, None when nothing was in time, or the address is none of this machine."""
    parts = urlsplit(url)
    if parts.scheme != "http" or parts.hostname not in LOOPBACK:
        return None
    connection = http.client.HTTPConnection(parts.hostname, parts.port or 80, timeout=seconds)
    try:
        path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        connection.request("POST", path, body, {"Content-Type": content_type})
        response = connection.getresponse()
        return _Said(response.status, response.getheader("Content-Type", ""), response.read(65536).decode("utf-8", "replace"))
    except (OSError, http.client.HTTPException):
        return None
    finally:
        connection.close()


def handshake(url: str, token: str) -> str | None:
    """Asks an address whether it wants notifications: it has to say the token. Returns a sentence where it did not."""
    joined = f"{url}{'&' if '?' in url else '?'}validationToken={quote(token, safe='')}"
    said = _post(joined, b"", TEXT, HANDSHAKE_TIME_OUT)
    if said is None:
        return "Subscription validation request timed out."
    if said.status != 200 or not said.content_type.lower().startswith("text/plain") or said.text != token:
        return "Subscription validation request failed. Must respond with 200 OK to this request."
    return None


class Courier:
    """Delivers what it is given. Started by its first delivery."""

    def __init__(self, pauses: tuple[float, ...] = PAUSES) -> None:
        self._pauses = pauses
        self._waiting: list[tuple[float, int, int, Delivery]] = []  # (when, order, tries before, what)
        self._order = itertools.count()
        self._condition = threading.Condition()
        self._thread: threading.Thread | None = None
        self._answers: dict[str, deque[tuple[float, bool]]] = {}  # of an address: when, and whether it was slow or failed

    def send(self, deliveries: Iterable[Delivery]) -> None:
        for item in deliveries:
            self._put(item, time.monotonic(), 0)

    def _put(self, item: Delivery, when: float, tries: int) -> None:
        with self._condition:
            heapq.heappush(self._waiting, (when, next(self._order), tries, item))
            if self._thread is None:
                self._thread = threading.Thread(target=self._work, daemon=True, name="sandbox notifications")
                self._thread.start()
            self._condition.notify()

    def _next(self) -> tuple[int, Delivery]:
        """Returns what is due, and how often it was tried. Waits for it."""
        with self._condition:
            while not self._waiting or self._waiting[0][0] > time.monotonic():
                self._condition.wait(self._waiting[0][0] - time.monotonic() if self._waiting else None)
            _, _, tries, item = heapq.heappop(self._waiting)
            return tries, item

    def _work(self) -> None:
        while True:
            self._deliver(*self._next())

    def _deliver(self, tries: int, item: Delivery) -> None:
        if item.may_be_dropped and self._is_too_slow(item.url):
            self.send(item.missed)
            return
        said = _post(item.url, item.body, JSON, TIME_OUT)
        is_taken = said is not None and 200 <= said.status < 300
        self._answers.setdefault(item.url, deque()).append((time.monotonic(), not is_taken))
        if is_taken:
            return
        if tries < len(self._pauses):
            self._put(item, time.monotonic() + self._pauses[tries], tries + 1)
        else:
            self.send(item.missed)

    def _is_too_slow(self, url: str) -> bool:
        answers = self._answers.get(url, deque())
        while answers and answers[0][0] < time.monotonic() - WINDOW:
            answers.popleft()
        return len(answers) >= LEAST_ANSWERS and sum(slow for _, slow in answers) > MOST_SLOW * len(answers)


def is_reachable_form(url: str) -> bool:
    """Tells whether an address is one that notifications may go to. Loopback stands in for a public https address."""
    parts = urlsplit(unquote(url))
    return parts.scheme == "https" or (parts.scheme == "http" and parts.hostname in LOOPBACK)

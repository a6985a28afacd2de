"""How many requests may be under way at once: of one mailbox, and of the app over all mailboxes of this process."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager


class Slots:
    """So many places; who finds too few of them waits. Thread-safe."""

    def __init__(self, most: int) -> None:
        self.most = most
        self._free = most
        self._changed = threading.Condition()

    @contextmanager
    def taken(self, count: int) -> Iterator[None]:
        """Holds `count` places, all of them for a request that asks for more than there are."""
        count = min(count, self.most)
        with self._changed:
            while self._free < count:
                self._changed.wait()
            self._free -= count
        try:
            yield
        finally:
            with self._changed:
                self._free += count
                self._changed.notify_all()


_shared: dict[tuple[str, str, int], Slots] = {}
_lock = threading.Lock()


def shared(base_url: str, client_id: str, most: int) -> Slots:
    """Returns the places of one app at one address. Every connection of the process shares them: mailboxes of one app are
    synced by several runs at once."""
    with _lock:
        return _shared.setdefault((base_url, client_id, most), Slots(most))

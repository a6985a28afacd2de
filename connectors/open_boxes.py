"""The boxes that a connection to many mailboxes has open: the contacts of each mailbox once, all else apart, for each who asks. Their
calls are counted together, and closing the connection closes them.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any, Generic, TypeVar

from connectors.contract import CallCount
from connectors.mailbox_base import Box

Contacts = TypeVar("Contacts", bound=Box[Any, Any])
Apart = TypeVar("Apart", bound=Box[Any, Any])


class OpenBoxes(Generic[Contacts]):
    """Those of one connection. Who opens one holds `lock`."""

    def __init__(self) -> None:
        self.lock = threading.RLock()
        self._contacts: dict[str, Contacts] = {}
        self._apart: list[Box[Any, Any]] = []
        self._closed = CallCount()  # of boxes of contacts that were closed

    def contacts(self, address: str, opened: Callable[[str], Contacts]) -> Contacts:
        """Returns the contacts of one mailbox. While they are open, the same are returned again."""
        with self.lock:
            if address not in self._contacts:
                self._contacts[address] = opened(address)
            return self._contacts[address]

    def apart(self, opened: Callable[[], Apart]) -> Apart:
        """Returns another box, which its caller closes."""
        with self.lock:
            box = opened()
            self._apart.append(box)
            return box

    def forget(self, box: Contacts) -> None:
        with self.lock:
            if self._contacts.get(box.address) is box:
                del self._contacts[box.address]
                self._closed.add(box.counts())

    def counts(self, own: CallCount) -> CallCount:
        """Returns the calls of all of them, and the connection's own."""
        with self.lock:
            total = CallCount()
            for count in (self._closed, own, *(box.counts() for box in self._open())):
                total.add(count)
            return total

    def close(self) -> None:
        with self.lock:
            for box in self._open():
                box.close()

    def _open(self) -> list[Box[Any, Any]]:
        return [*self._contacts.values(), *self._apart]

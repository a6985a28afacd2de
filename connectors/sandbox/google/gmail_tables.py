"""The messages and the history of all mailboxes: rows by number, the newest first, and what threads and replies ask for."""

from __future__ import annotations

import re
from bisect import bisect_left, bisect_right, insort
from collections.abc import Iterator

from connectors.sandbox.google.table import Row, Table

_REPLY = re.compile(r"\s*(?:re|fwd?|aw|wg|sv|tr|rv)\s*(?:\[\d+\])?\s*:\s*", re.IGNORECASE)


def base_subject(subject: str) -> str:
    """Returns a subject without the words that answers and forwards put in front."""
    while found := _REPLY.match(subject):
        subject = subject[found.end() :]
    return " ".join(subject.split()).casefold()


def is_reply(subject: str) -> bool:
    return _REPLY.match(subject) is not None


def thread_of(row: Row) -> int:
    """Returns the number of a message's thread: that of the message which began it."""
    return int(row["thread"] if "thread" in row else row["id"])


class Messages(Table):
    """Messages, in order of their date. A deleted one is forgotten at once; the history tells of it."""

    def __init__(self, name: str, first: int) -> None:
        super().__init__(name, first)
        self._order: dict[str, list[tuple[int, int]]] = {}
        self._unsorted: set[str] = set()
        self._threads: dict[int, list[int]] = {}  # those of more than one message
        self._by_header: dict[str, dict[str, int]] = {}  # mailbox -> Message-ID -> message
        self._by_subject: dict[str, dict[str, int]] = {}  # mailbox -> subject -> message

    def put(self, row: Row, *, seen_at: float | None = None) -> None:
        id_, mailbox = row["id"], row["mailbox"]
        is_new = id_ not in self.rows
        self.rows[id_] = row
        self.dirty.add(id_)
        if not is_new:
            return
        self._boxes.setdefault(mailbox, {})[id_] = None
        order, place = self._order.setdefault(mailbox, []), (row["date"], id_)
        if order and order[-1] > place:
            self._unsorted.add(mailbox)
        order.append(place)
        self._by_header.setdefault(mailbox, {})[row["messageId"]] = id_
        self._by_subject.setdefault(mailbox, {})[base_subject(row["subject"])] = id_
        if (thread := thread_of(row)) != id_:
            insort(self._threads.setdefault(thread, [thread] if thread in self.rows else []), id_)

    def remove(self, row: Row) -> None:
        id_, mailbox = row["id"], row["mailbox"]
        order = self._sorted(mailbox)
        del order[bisect_left(order, (row["date"], id_))]
        del self.rows[id_], self._boxes[mailbox][id_]
        self.dirty.add(id_)
        for index, key in ((self._by_header, row["messageId"]), (self._by_subject, base_subject(row["subject"]))):
            if index[mailbox].get(key) == id_:
                del index[mailbox][key]
        thread = thread_of(row)
        if thread in self._threads:
            self._threads[thread].remove(id_)

    def restore(self, rows: list[Row]) -> None:
        for row in sorted(rows, key=lambda row: int(row["id"])):
            self.put(row)
        self.dirty.clear()

    def drop_box(self, mailbox: str) -> None:
        for id_ in self._boxes.pop(mailbox, {}):
            self._threads.pop(thread_of(self.rows.pop(id_)), None)
            self.dirty.add(id_)
        self._order.pop(mailbox, None)
        self._by_header.pop(mailbox, None)
        self._by_subject.pop(mailbox, None)
        self._unsorted.discard(mailbox)

    def box(self, mailbox: str) -> list[Row]:
        return [self.rows[id_] for id_ in self._boxes.get(mailbox, ())]

    def live(self) -> list[Row]:
        return list(self.rows.values())

    def count(self, mailbox: str) -> int:
        return len(self._boxes.get(mailbox, ()))

    def newest(self, mailbox: str, *, older_than: tuple[int, int] | None = None) -> Iterator[Row]:
        """Yields messages from the newest on, or from behind a place (date, number) on."""
        order = self._sorted(mailbox)
        end = len(order) if older_than is None else bisect_left(order, older_than)
        for n in range(end - 1, -1, -1):
            yield self.rows[order[n][1]]

    def thread(self, thread: int) -> list[Row]:
        """Returns the messages of a thread, the oldest first."""
        first = self.rows.get(thread)
        ids = self._threads.get(thread, [thread] if first is not None and thread_of(first) == thread else [])
        return sorted((self.rows[id_] for id_ in ids), key=place_of)

    def with_header(self, mailbox: str, message_id: str) -> Row | None:
        return self.rows.get(self._by_header.get(mailbox, {}).get(message_id, 0))

    def with_subject(self, mailbox: str, subject: str) -> Row | None:
        """Returns the latest message that an answer with this subject may answer."""
        return self.rows.get(self._by_subject.get(mailbox, {}).get(base_subject(subject), 0))

    def _sorted(self, mailbox: str) -> list[tuple[int, int]]:
        order = self._order.get(mailbox, [])
        if mailbox in self._unsorted:
            order.sort()
            self._unsorted.discard(mailbox)
        return order


def place_of(row: Row) -> tuple[int, int]:
    """Returns where a message stands among those of its mailbox."""
    return int(row["date"]), int(row["id"])


class History(Table):
    """What happened in the mailboxes, by the change's number. A row of kind `expired` says that all before it is forgotten."""

    EXPIRED = "expired"

    def __init__(self, name: str, first: int) -> None:
        super().__init__(name, first)
        self._ids: dict[str, list[int]] = {}

    def put(self, row: Row, *, seen_at: float | None = None) -> None:
        self.rows[row["id"]] = row
        self.dirty.add(row["id"])
        self._ids.setdefault(row["mailbox"], []).append(row["id"])

    def restore(self, rows: list[Row]) -> None:
        for row in sorted(rows, key=lambda row: int(row["id"])):
            self.put(row)
        self.dirty.clear()

    def drop_box(self, mailbox: str) -> None:
        self.forget(mailbox, self.count(mailbox))
        self._ids.pop(mailbox, None)

    def forget(self, mailbox: str, count: int) -> None:
        """Forgets the oldest changes of a mailbox."""
        ids = self._ids.get(mailbox, [])
        for id_ in ids[:count]:
            del self.rows[id_]
            self.dirty.add(id_)
        del ids[:count]

    def live(self) -> list[Row]:
        return list(self.rows.values())

    def count(self, mailbox: str) -> int:
        return len(self._ids.get(mailbox, []))

    def after(self, mailbox: str, number: int) -> Iterator[Row]:
        """Yields the changes behind one, oldest first."""
        ids = self._ids.get(mailbox, [])
        for n in range(bisect_right(ids, number), len(ids)):
            yield self.rows[ids[n]]

    def last(self, mailbox: str) -> int:
        """Returns the number of the last change, 0 when nothing ever happened."""
        return next(iter(self._ids.get(mailbox, [])[-1:]), 0)

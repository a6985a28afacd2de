"""What the mailboxes hold: labels, messages and their history; and how each change is stored and told."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from itertools import takewhile
from typing import Any

from connectors.sandbox.google import mime
from connectors.sandbox.google.gmail_schema import LONGEST_LABEL, MOST_LABELS, OWN_LABELS, RESERVED_NAMES, SYSTEM_LABELS
from connectors.sandbox.google.gmail_tables import History, Messages, base_subject, is_reply, thread_of
from connectors.sandbox.google.refusal import Refused, invalid, not_found
from connectors.sandbox.google.store import Store
from connectors.sandbox.google.table import Row, Table
from connectors.sandbox.wire import read_id

DAY = 86400
ADDED, DELETED, LABELED, UNLABELED = "messageAdded", "messageDeleted", "labelAdded", "labelRemoved"


class MailStore:
    """The mail of one Workspace. Its tables are kept with those of the store; changes count in the store's sequence."""

    def __init__(self, store: Store) -> None:
        self.store = store
        self.labels = Table("gmailLabel", 1)
        self.messages = Messages("message", 1)
        self.history = History("gmailHistory", 1)
        self.watches = Table("gmailWatch", 1)
        store.tables |= {table.name: table for table in (self.labels, self.messages, self.history, self.watches)}
        self._label_lists: dict[tuple[str, ...], list[str]] = {}  # messages with the same labels share one list

    # --- labels ---------------------------------------------------------------------------------------------------------
    def label(self, mailbox: str, id_: str) -> Row | None:
        """Returns the label of a user that an id names; None for one of the system too."""
        row = self.labels.rows.get(read_id(id_.removeprefix("Label_")) or 0) if id_.startswith("Label_") else None
        return None if row is None or row["is_deleted"] or row["mailbox"] != mailbox else row

    def label_named(self, mailbox: str, name: str) -> Row | None:
        wanted = name.casefold()
        return next((row for row in self.labels.box(mailbox) if row["title"].casefold() == wanted), None)

    def check_label(self, mailbox: str, id_: str) -> None:
        """Raises Refused for a label that this mailbox does not have."""
        if id_ not in SYSTEM_LABELS and self.label(mailbox, id_) is None:
            raise invalid(f"Invalid label: {id_[:80]}")

    def check_change(self, mailbox: str, *, add: Collection[str], remove: Collection[str]) -> None:
        """Raises Refused for labels that cannot be added or removed so."""
        for id_ in (*add, *remove):
            self.check_label(mailbox, id_)
            if id_ in OWN_LABELS:
                raise invalid(f"Invalid label: {id_}")
        if both := set(add) & set(remove):
            raise invalid(f"Cannot both add and remove the same label: {min(both)}")

    def add_label(self, mailbox: str, name: str, shown: Mapping[str, Any] | None = None) -> Row:
        """Makes a label. Raises Refused for a name that is taken, blank or Gmail's own."""
        self.check_label_name(mailbox, name)
        if self.labels.count(mailbox) >= MOST_LABELS:
            raise invalid(f"A mailbox has at most {MOST_LABELS} labels.")
        row = {"id": self.labels.new_number(), "mailbox": mailbox, "title": name, "shown": dict(shown or {})}
        return self.store.put(self.labels, row)

    def check_label_name(self, mailbox: str, name: str, but: Row | None = None) -> None:
        """Raises Refused for a name that a label cannot have."""
        is_blank = not all(part.strip() for part in name.split("/"))
        if is_blank or len(name) > LONGEST_LABEL or name.casefold() in RESERVED_NAMES:
            raise invalid("Invalid label name")
        found = self.label_named(mailbox, name)
        if found is not None and (but is None or found["id"] != but["id"]):
            raise Refused(409, "Label name exists or conflicts", "ABORTED", old_reason="aborted")

    def drop_label(self, label: Row) -> None:
        """Deletes a label. Its messages lose it."""
        id_ = label_id(label)
        for row in self.messages.box(label["mailbox"]):
            if id_ in row["labels"]:
                self.relabel(row, remove=[id_])
        self.store.delete(self.labels, label)

    # --- messages -------------------------------------------------------------------------------------------------------
    def message(self, mailbox: str, id_: str) -> Row:
        """Returns the message that an id names. Raises Refused."""
        row = self.find(mailbox, id_)
        if row is None:
            raise not_found()
        return row

    def find(self, mailbox: str, id_: str) -> Row | None:
        """Returns the message that an id names, None when it is gone or somebody else's. Raises Refused for what is no id."""
        row = self.messages.rows.get(_number(id_))
        return None if row is None or row["mailbox"] != mailbox else row

    def thread(self, mailbox: str, id_: str) -> list[Row]:
        """Returns the messages of a thread, the oldest first. Raises Refused when there is none."""
        rows = self.messages.thread(_number(id_))
        if not rows or rows[0]["mailbox"] != mailbox:
            raise not_found()
        return rows

    def add(self, mailbox: str, values: Row, *, labels: Iterable[str], date: int, thread: int | None = None) -> Row:
        """Puts a message into a mailbox, `date` in milliseconds; in the thread that is given, or in that which it answers."""
        number = self.messages.new_number()
        row: Row = {"id": number, "mailbox": mailbox, "labels": self._shared(labels), "date": date, "seq": 0, **values}
        thread = thread or self._answered(row)
        if thread is not None:
            row["thread"] = thread
        row["seq"] = self._note(row, ADDED)
        self.messages.put(row)
        return row

    def named_thread(self, mailbox: str, id_: str, subject: str) -> int | None:
        """Returns the thread that a writer names, None for none or one with another subject. Raises Refused for one that is gone."""
        if not id_:
            return None
        first = self.thread(mailbox, id_)[0]
        return thread_of(first) if base_subject(first["subject"]) == base_subject(subject) else None

    def new_message_id(self, sender: str) -> str:
        """Returns the Message-ID for the next message, as the sender's host gives it."""
        host = next((address.partition("@")[2] for address in mime.addresses(sender)), "mail.gmail.com")
        return f"<CA{mime.id_of(self.messages.next_number)}@{host}>"

    def _answered(self, row: Row) -> int | None:
        """Returns the thread that a message goes on: that of a message it refers to, with the same subject. An answer that refers
        to none goes on the last thread with its subject."""
        subject, names = base_subject(row["subject"]), mime.referenced(row)
        for name in names:
            found = self.messages.with_header(row["mailbox"], name)
            if found is not None and base_subject(found["subject"]) == subject:
                return thread_of(found)
        if names or not is_reply(row["subject"]):
            return None
        found = self.messages.with_subject(row["mailbox"], row["subject"])
        return None if found is None else thread_of(found)

    def relabel(self, row: Row, *, add: Collection[str] = (), remove: Collection[str] = ()) -> Row:
        """Gives labels to a message and takes some away; what it has or lacks already is no change."""
        added = [label for label in dict.fromkeys(add) if label not in row["labels"]]
        removed = [label for label in dict.fromkeys(remove) if label in row["labels"]]
        if added:
            row = self._labeled(row, [*row["labels"], *added], LABELED, added)
        if removed:
            row = self._labeled(row, [label for label in row["labels"] if label not in removed], UNLABELED, removed)
        return row

    def _labeled(self, row: Row, labels: list[str], kind: str, changed: list[str]) -> Row:
        row = {**row, "labels": self._shared(labels)}
        row["seq"] = self._note(row, kind, changed)
        self.messages.put(row)
        return row

    def delete(self, row: Row) -> None:
        """Deletes a message for good."""
        self._note(row, DELETED)
        self.messages.remove(row)

    def _shared(self, labels: Iterable[str]) -> list[str]:
        key = tuple(dict.fromkeys(labels))
        return self._label_lists.setdefault(key, list(key))

    # --- history --------------------------------------------------------------------------------------------------------
    def _note(self, row: Row, kind: str, changed: list[str] | None = None) -> int:
        self.store.sequence += 1
        number, at = self.store.sequence, int(self.store.now().timestamp())
        told: Row = {"id": number, "mailbox": row["mailbox"], "at": at, "kind": kind, "message": row["id"], "labels": row["labels"]}
        if "thread" in row:
            told["thread"] = row["thread"]
        if changed:
            told["changed"] = changed
        self.history.put(told)
        return number

    def history_id(self, mailbox: str) -> int:
        """Returns the number of a mailbox' last change."""
        user = self.store.user(mailbox)
        return max(self.history.last(mailbox), user["seq"] if user else 1)

    def forget_old_history(self, mailbox: str) -> None:
        """Forgets what is older than the switch allows."""
        before = self.store.now().timestamp() - self.store.switches.gmail_history_days * DAY
        changes = self.history.after(mailbox, 0)
        old = list(takewhile(lambda row: row["at"] < before or row["kind"] == History.EXPIRED, changes))
        if old and old[-1]["kind"] != History.EXPIRED:
            # A cursor that stands exactly where the forgotten part ends has missed nothing.
            self._expire(mailbox, len(old), old[-1]["id"])

    def expire_history(self, mailbox: str) -> None:
        """Makes all cursors of a mailbox that were given out too old, as Gmail does at times after hours."""
        self.store.sequence += 1
        self._expire(mailbox, self.history.count(mailbox), self.store.sequence)

    def _expire(self, mailbox: str, count: int, number: int) -> None:
        left = list(self.history.after(mailbox, 0))[count:]
        self.history.forget(mailbox, self.history.count(mailbox))
        told: Row = {"id": number, "mailbox": mailbox, "at": int(self.store.now().timestamp()), "kind": History.EXPIRED}
        for row in (told, *left):
            self.history.put(row)


def label_id(row: Row) -> str:
    return f"Label_{row['id']}"


def _number(id_: str) -> int:
    number = mime.number_of(id_)
    if number is None:
        raise invalid("Invalid id value")
    return number

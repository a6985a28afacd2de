"""Which writes to events would reach the guests of a meeting, where a mail system mails them, or parts their calendars from ours: none
of them is sent unless a person wants these guests to be told (D12).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Protocol

from connectors.calendars import EVENT_SCHEMA, GUESTS, SILENT, EventChanges, Window
from connectors.contract import Record, Schema, Write
from connectors.errors import RecordGone, Rejected, StaleVersion
from connectors.mailbox_base import NoSweeps
from connectors.mailboxes import FOREIGN_ID


def is_loud(write: Write) -> bool:
    """Tells whether a write touches more than one's own copy of an event."""
    return write.is_delete or bool(set(write.fields) - SILENT)


class Meetings:
    """The events of one calendar that were read: in which version each, and whether it has guests. `harm` says what a write does that
    nobody asked for."""

    def __init__(self, system: str, harm: str) -> None:
        self._system, self._harm = system, harm
        self._told: set[str] = set()  # events whose guests a person wants to be mailed
        self._seen: dict[str, tuple[str, bool]] = {}

    def ask_to_mail(self, ids: Iterable[str]) -> None:
        """Lets writes to these events mail their guests: a person asked for it."""
        self._told.update(ids)

    def note(self, records: Sequence[Record]) -> None:
        self._seen |= {r.ref.id: (r.version, bool(r.fields.get(GUESTS))) for r in records}

    def note_written(self, write: Write, record: Record) -> None:
        """Notes the version that a write brought about, whose answer tells nothing of guests: they are who they were in the version
        that it rested on. What we make has none. An event that was not looked at in that version is looked at before the next loud
        write."""
        if write.ref is None:
            self._seen[record.ref.id] = (record.version, False)
        elif self.is_seen(write):
            self._seen[record.ref.id] = (record.version, self._seen[record.ref.id][1])
        else:
            self.forget([record.ref.id])

    def forget(self, ids: Iterable[str]) -> None:
        for id_ in ids:
            self._seen.pop(id_, None)

    @property
    def versions(self) -> Mapping[str, str]:
        return {id_: version for id_, (version, _) in self._seen.items()}

    def is_seen(self, write: Write) -> bool:
        """Tells whether the event was read in the version that the write rests on."""
        return write.ref is not None and write.ref.id in self._seen and write.version in ("", self._seen[write.ref.id][0])

    def allow(self, write: Write) -> tuple[str, bool]:
        """Returns the version that a loud write may rest on, the one that was looked at for guests, so that one whom somebody invites
        in this very moment is not mailed either; and whether guests are mailed. Raises Rejected for a meeting, RecordGone and
        StaleVersion."""
        assert write.ref is not None
        if write.ref.id not in self._seen:
            raise RecordGone("it is not there (any more)", system=self._system, code="ErrorItemNotFound")
        version, has_guests = self._seen[write.ref.id]
        if write.version not in ("", version):
            raise StaleVersion("the event was changed meanwhile", system=self._system)
        if has_guests and write.ref.id not in self._told:
            raise Rejected(f"would {self._harm}; nobody asked for that", system=self._system, code="would_mail")
        return version, has_guests


class Rounds(Protocol):
    def page(self, text: str, window: Window) -> EventChanges: ...


class GuardedCalendar(NoSweeps):
    """A calendar whose guests are mailed, or left behind, by what is written: at Microsoft and at Exchange. Categories share its events."""

    marker_field = FOREIGN_ID
    is_silent = False
    _category = ""
    _rounds: Rounds
    _meetings: Meetings

    def use_category(self, category: str) -> None:
        self._category = category

    def ask_to_mail(self, ids: Sequence[str]) -> None:
        self._meetings.ask_to_mail(ids)

    def event_changes(self, cursor: str, window: Window) -> EventChanges:
        found = self._rounds.page(cursor, window)
        self._meetings.note(found.events)
        return found

    def schema(self, object_type: str) -> Schema:
        return EVENT_SCHEMA

"""Calendars as the engine sees them: one `CalendarBox` per mailbox, whatever mail system it lives in.

An event is a `Record` of object type EVENT with the same flat fields in every system, so that one mapping table serves them
all. Each occurrence of a series is a record of its own, as the mail systems show it in a calendar: what was changed of one
occurrence only (an exception) is known by the series and the start that it would have had (C23).

Fields hold canonical values. WHEN is one text (`connectors.when`), so that start, end and whole days are agreed on together.
GUESTS are everybody invited, a text each (`Guest`). UID and ORIGINAL_START name the same occurrence in the mailboxes of
everybody who takes part (C26).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Protocol

from connectors.contract import Attribute, Check, Connector, Record, Schema
from connectors.mailboxes import CATEGORIES, FOREIGN_ID

EVENT = "event"
WHEN, BODY, SHOW_AS, REMINDER, SENSITIVITY = "when", "body", "showAs", "reminder", "sensitivity"
KIND, SERIES, ORIGINAL_START, UID = "kind", "seriesId", "originalStart", "uid"
ORGANIZER, IS_ORGANIZER, RESPONSE, GUESTS = "organizer", "isOrganizer", "response", "guests"
IS_CANCELLED, CREATED, ORIGIN = "isCancelled", "createdAt", "origin"
SINGLE, OCCURRENCE, EXCEPTION = "single", "occurrence", "exception"  # what KIND holds
FREE, TENTATIVE, BUSY, OUT, ELSEWHERE = "free", "tentative", "busy", "oof", "workingElsewhere"  # what SHOW_AS holds
NORMAL, PERSONAL, PRIVATE, CONFIDENTIAL = "normal", "personal", "private", "confidential"  # what SENSITIVITY holds
HIDDEN = (PRIVATE, CONFIDENTIAL)
NONE, ORGANIZES, ACCEPTED, PERHAPS, DECLINED, OPEN = "none", "organizer", "accepted", "tentative", "declined", "open"  # RESPONSE
REQUIRED, OPTIONAL, RESOURCE = "required", "optional", "resource"  # the type of a guest
PLAIN, SPECIAL = "default", "special"  # ORIGIN: an event as people make it, or one that a system makes (birthdays, working places)
LONGEST_BODY = 32_000


def _attributes() -> Iterator[Attribute]:
    yield Attribute("subject", "Subject", "text", max_length=255)
    yield Attribute("location", "Location", "text", max_length=255)
    yield Attribute(WHEN, "When (start, end, all day)", "text", max_length=80)
    yield Attribute(BODY, "Text", "text", max_length=LONGEST_BODY)
    yield Attribute(SHOW_AS, "Show as", "text", choices=(FREE, TENTATIVE, BUSY, OUT, ELSEWHERE))
    yield Attribute(REMINDER, "Reminder (minutes before)", "integer")
    yield Attribute(SENSITIVITY, "Sensitivity", "text", choices=(NORMAL, PERSONAL, PRIVATE, CONFIDENTIAL))
    yield Attribute(CATEGORIES, "Categories", "list")
    yield Attribute(FOREIGN_ID, "Salesforce ID", "text", max_length=255)
    told = {
        KIND: ("Single, occurrence or exception", "text"),
        SERIES: ("Series", "text"),
        ORIGINAL_START: ("Original start", "text"),
        UID: ("Identity in all calendars", "text"),
        ORGANIZER: ("Organiser", "text"),
        IS_ORGANIZER: ("Organised by the mailbox's user", "boolean"),
        RESPONSE: ("Response", "text"),
        GUESTS: ("Guests", "list"),
        IS_CANCELLED: ("Cancelled", "boolean"),
        CREATED: ("Created", "datetime"),
        ORIGIN: ("Made by", "text"),
    }
    for name, (title, type_) in told.items():
        yield Attribute(name, title, type_, is_creatable=False, is_updatable=False)


EVENT_SCHEMA = Schema(EVENT, {attribute.name: attribute for attribute in _attributes()})
SILENT = frozenset({SHOW_AS, REMINDER, SENSITIVITY, CATEGORIES, FOREIGN_ID})  # fields of one's own copy: nobody is told of them


@dataclass(frozen=True, slots=True)
class Guest:
    """Somebody who is invited. `response` is one of those that RESPONSE holds."""

    address: str
    name: str = ""
    type: str = REQUIRED
    response: str = OPEN

    @property
    def text(self) -> str:
        return ";".join((self.type, self.response, self.address, self.name))


def read_guest(text: str) -> Guest | None:
    """Returns the guest that a text of GUESTS spells, None for any other text."""
    parts = text.split(";", 3)
    return Guest(parts[2], parts[3], parts[0], parts[1]) if len(parts) == 4 and parts[2] else None


def guests_of(record: Record) -> tuple[Guest, ...]:
    """Returns everybody invited, in the order of the mail system."""
    held = record.fields.get(GUESTS)
    return tuple(g for text in (held if isinstance(held, tuple) else ()) if (g := read_guest(text)) is not None)


LONGEST_REST = timedelta(days=366)  # between two looks at a calendar; mail systems bound how wide a view may be


@dataclass(frozen=True, slots=True)
class Window:
    """From when to when a calendar is looked at."""

    start: datetime
    end: datetime

    def with_earlier(self, start: str, end: str) -> Window:
        """Returns the window with those days that a cursor tells as the ones looked at before, so long as they are no other age: in
        a window that moved on, what happened to events that just left it is still to be told."""
        try:
            both = Window(min(self.start, datetime.fromisoformat(start)), max(self.end, datetime.fromisoformat(end)))
        except (ValueError, TypeError):  # a cursor that somebody touched
            return self
        return both if both.end - both.start <= (self.end - self.start) + LONGEST_REST else self


@dataclass(frozen=True, slots=True)
class EventChanges:
    """One page of what happened in a calendar since a cursor.

    `events`: new or changed ones of the window, each occurrence of a series by itself. `gone`: ids that left the calendar, or
    the window; of a series its own id may stand for all its occurrences. `series`: of each series that was looked through, the
    ids of all its occurrences in the window: others are gone.

    `is_last`: the round ends with this page. `is_whole`: the round lists everything in the window, since there was no cursor,
    a dead one, or one of another window: what does not appear in it is gone, or lies outside. `is_restart`: the cursor died in
    the middle of a round; what earlier pages of this round said counts no more. `is_blind`: there was no cursor, or a dead one: what
    happened to events outside the window since the last round is told by nobody.
    """

    events: tuple[Record, ...]
    gone: tuple[str, ...]
    cursor: str
    is_last: bool
    is_whole: bool
    is_restart: bool = False
    is_blind: bool = False
    series: Mapping[str, frozenset[str]] = field(default_factory=dict)


class CalendarBox(Connector, Protocol):
    """The calendar of one mailbox. It is a `Connector` whose object type is EVENT, and what only calendars have.

    Of `Connector`: `read` returns events by id, wherever they lie in time, with every field; deleted ones are left out.
    `find_marked` returns those that carry one of these markers as FOREIGN_ID. `write` creates single events without guests,
    with `Write.marker` as FOREIGN_ID; an update sends the fields named and no others, and rests on `Write.version`; a delete
    moves to the bin where there is one. `settle_seconds` as in `Connector`. Sweeps and searches are not for calendars.

    `is_silent`: changes of a meeting can be written without mail to its guests. Where it is False, no write may touch more than
    SILENT fields of an event with guests, unless a person asked for the mail (D12).
    """

    address: str
    is_silent: bool
    has_categories: bool

    def use_category(self, category: str) -> None:
        """Says which category shares an event; what we create bears it."""
        ...

    def make_category(self, name: str) -> None:
        """Sees to it that the mailbox knows the category. One that is there is left as it is."""
        ...

    def ask_to_mail(self, ids: Sequence[str]) -> None:
        """Lets writes to these events mail their guests, from now on: a person asked for it (D12)."""
        ...

    def event_changes(self, cursor: str, window: Window) -> EventChanges:
        """Returns the next page of changes behind `cursor`, "" for a round from the start; a cursor of another window starts
        one, too."""
        ...

    def find_events(self, window: Window, *, most: int) -> list[Record]:
        """Returns the events that take place in a window, each occurrence by itself, at most so many, in no order. It is for people
        who look for one of theirs: a few days, and a call or two."""
        ...

    def check_mailbox(self) -> list[Check]:
        """Tries what the product needs of this calendar and returns a line for each. Writes nothing."""
        ...


class OpensCalendars(Protocol):
    """A connection that leads to the calendars of many mailboxes."""

    def calendar(self, address: str) -> CalendarBox:
        """Returns the calendar of one mailbox. Costs no call."""
        ...

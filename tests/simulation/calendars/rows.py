"""The calendars of the played systems, as their rows lie in store: each occurrence of a series by itself, read directly, so that nothing
of ours has a say in it."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Any

from connectors.google.event_codec import MARKER_KEY
from connectors.microsoft.codec import FOREIGN_PROPERTY
from connectors.sandbox.google.event_store import instance, is_master, starts
from connectors.sandbox.google.meetings import answer_of
from connectors.sandbox.microsoft.extended import read_property_id
from connectors.sandbox.microsoft.occurrences import Item as Occurrence
from connectors.sandbox.microsoft.occurrences import Window, instants, items_in
from tests.calendars import Calendars

CATEGORY = "Salesforce"
NAMES = {"Subject": "subject", "Location": "location", "Description": "body"}  # of Salesforce, and of every calendar
WHEN, SHOW_AS = "When", "ShowAs"
EVER = Window(datetime(2020, 1, 1, tzinfo=UTC), datetime(2030, 1, 1, tzinfo=UTC))
_MARKER = read_property_id(FOREIGN_PROPERTY)


@dataclass(frozen=True, slots=True)
class Item:
    """One event of a calendar, or one occurrence of a series. `family` and `place` name the same occurrence in all calendars."""

    box: str
    number: int  # of its row, or that of its series
    id: str  # as our side knows it
    family: str
    place: str  # of an occurrence: the day, or the start, that it would have
    texts: dict[str, str]  # by Salesforce's names
    when: str  # start/end in UTC, or days of which the last is not among them
    show: str
    categories: frozenset[str]
    is_hidden: bool
    guests: tuple[str, ...]
    is_own: bool
    is_cancelled: bool
    response: str
    marker: str
    is_exception: bool = False

    @property
    def key(self) -> tuple[str, str]:
        return self.family, self.place

    @property
    def is_marked(self) -> bool:
        return CATEGORY in self.categories

    @property
    def starts(self) -> datetime:
        return instant(self.when.partition("/")[0])

    @property
    def ends(self) -> datetime:
        return instant(self.when.partition("/")[2])

    @property
    def is_whole_days(self) -> bool:
        return "T" not in self.when


def instant(text: str) -> datetime:
    return datetime.fromisoformat(text) if "T" in text else datetime.combine(date.fromisoformat(text), datetime.min.time(), UTC)


def when_text(start: datetime, end: datetime, *, is_all_day: bool) -> str:
    if is_all_day:
        return f"{start:%Y-%m-%d}/{end:%Y-%m-%d}"
    return f"{start.astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}/{end.astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}"


class Rows(ABC):
    """The events of all calendars of one mail system, and what users do to them in words that hold for both."""

    def __init__(self, boxes: Calendars) -> None:
        self.boxes = boxes

    @abstractmethod
    def all(self, box: str) -> Iterator[Item]:
        """Yields every event of a calendar, each occurrence by itself."""

    @abstractmethod
    def of_row(self, box: str, row: Mapping[str, Any]) -> Iterator[Item]:
        """Yields the events that a stored row stands for."""

    @abstractmethod
    def change_one(self, item: Item, values: dict[str, Any]) -> None:
        """Changes one occurrence of a series."""

    @abstractmethod
    def drop_one(self, item: Item) -> None:
        """Takes one occurrence out of a series."""

    @abstractmethod
    def answer(self, item: Item, answer: str) -> None: ...

    def change(self, item: Item, values: dict[str, Any]) -> None:
        """Changes an event, or a series as a whole."""
        self.boxes.alter(str(self.master_of(item)), **values)

    def drop(self, item: Item) -> None:
        self.boxes.throw_away(str(self.master_of(item)))

    def master_of(self, item: Item) -> int:
        return item.number


class Outlook(Rows):
    """Calendars of Microsoft 365."""

    @property
    def _events(self) -> Any:
        return self.boxes.mail._calendars.events

    def all(self, box: str) -> Iterator[Item]:
        user = self.boxes.mail.store.user(box)
        for row in list(self._events.of_mailbox(user["n"])):
            yield from self.of_row(box, row)

    def of_row(self, box: str, row: Mapping[str, Any]) -> Iterator[Item]:
        for found in items_in(dict(row), EVER):
            yield self._item(box, found)

    def _item(self, box: str, found: Occurrence) -> Item:
        row, values, times = found.row, found.values, found.times
        if found.is_all_day:
            start, end = (datetime.fromisoformat(times[side]) for side in ("start", "end"))
        else:
            start, end = instants(times, is_floating=False)
        family, _, only = row["uid"].partition("/")
        return Item(
            box=box,
            number=row["n"],
            id=self._events.event_id(row, found.day, is_immutable=True),
            family=family,
            place=found.day or only,
            texts={
                "Subject": str(values["subject"] or ""),
                "Location": "; ".join(str(each.get("displayName", "")) for each in values["locations"]),
                "Description": str(values["body"].get("content") or "").strip(),
            },
            when=when_text(start, end, is_all_day=found.is_all_day),
            show=values["showAs"],
            categories=frozenset(values["categories"]),
            is_hidden=values["sensitivity"] in ("private", "confidential"),
            guests=tuple(each["address"] for each in values["attendees"]),
            is_own=row["is_organizer"],
            is_cancelled=bool(found.part("is_cancelled")),
            response=found.part("response")["response"],
            marker=str(found.extended.get(_MARKER) or ""),
            is_exception=found.type == "exception",
        )

    def change_one(self, item: Item, values: dict[str, Any]) -> None:
        self.boxes.alter(str(item.number), occurrence=item.place, **values)

    def drop_one(self, item: Item) -> None:
        if item.is_own:
            self.boxes.alter(str(item.number), occurrence=item.place, isCancelled=True)
        else:
            self.boxes.alter(str(item.number), occurrence=item.place, response="declined")

    def answer(self, item: Item, answer: str) -> None:
        words = {"accepted": "accepted", "tentative": "tentativelyAccepted", "declined": "declined"}
        only = {"occurrence": item.place} if item.place and item.is_exception else {}
        self.boxes.alter(str(item.number), response=words[answer], **only)


class GoogleCalendars(Rows):
    """Calendars of Google."""

    @property
    def _events(self) -> Any:
        return self.boxes.mail.calendar.events

    def all(self, box: str) -> Iterator[Item]:
        for row in list(self._events.table.live()):
            if row["mailbox"] == box:
                yield from self.of_row(box, row)

    def of_row(self, box: str, row: Mapping[str, Any]) -> Iterator[Item]:
        if row["is_deleted"]:
            return
        if not is_master(row):
            yield self._item(box, row, bool(row["master"]))
            return
        for start in starts(row["fields"]["start"], row["fields"]["recurrence"]):
            found = instance(dict(row), start)
            if self._events.table.named(box, found["event_id"]) is None:  # what is different on a day is a row of its own
                yield self._item(box, found, False)

    def _item(self, box: str, row: Mapping[str, Any], is_exception: bool) -> Item:
        fields = row["fields"]
        is_all_day = "date" in fields["start"]
        start, end = (datetime.fromisoformat(fields[side]["date" if is_all_day else "dateTime"]) for side in ("start", "end"))
        private = fields.get("extendedProperties", {}).get("private", {})
        return Item(
            box=box,
            number=row["id"],
            id=row["event_id"],
            family=row["uid"],
            place=row["suffix"],
            texts={
                "Subject": fields.get("summary", ""),
                "Location": fields.get("location", ""),
                "Description": fields.get("description", "").strip(),
            },
            when=when_text(start, end, is_all_day=is_all_day),
            show="free" if fields.get("transparency") == "transparent" else "busy",
            categories=frozenset(),
            is_hidden=fields.get("visibility") in ("private", "confidential"),
            guests=tuple(each["email"] for each in fields.get("attendees", [])),
            is_own=row["organizer"]["email"] == row["mailbox"],
            is_cancelled=False,
            response=answer_of(fields, box) if fields.get("attendees") else "",
            marker=str(private.get(MARKER_KEY) or ""),
            is_exception=is_exception,
        )

    def master_of(self, item: Item) -> int:
        """Returns the row of an event, or of its series."""
        row = self._events.table.rows[item.number]
        master = self._events.table.named(item.box, row["master"]) if row["master"] else None
        return int(master["id"]) if master is not None else item.number

    def change_one(self, item: Item, values: dict[str, Any]) -> None:
        row = self._events.table.named(item.box, item.id)
        if row is not None:
            self.boxes.alter(str(row["id"]), **values)
            return
        master = self._events.table.rows[item.number]
        at = item.place if "T" not in item.place else f"{datetime.strptime(item.place, '%Y%m%dT%H%M%SZ'):%Y-%m-%dT%H:%M:%SZ}"
        given = {"mailbox": item.box, "recurringEventId": master["event_id"], "originalStart": at}
        self.boxes.mail.create_record("event", given | self.boxes._own(values))

    def drop_one(self, item: Item) -> None:
        self.change_one(item, {"status": "cancelled"})

    def answer(self, item: Item, answer: str) -> None:
        if answer == "declined":
            self.drop(item)  # as people do who take it out of their calendar
        else:
            self.change(item, {"responseStatus": answer})


ROWS: dict[str, type[Rows]] = {"microsoft": Outlook, "google": GoogleCalendars}
HOUR, DAY = timedelta(hours=1), timedelta(days=1)

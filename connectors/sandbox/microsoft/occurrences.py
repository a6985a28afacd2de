"""When events take place: single ones, and each occurrence of a series, computed from its recurrence.

An `Item` is an event as a calendar shows it: a row, and of an occurrence the day of its place in the series.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from itertools import chain, takewhile
from typing import Any

from connectors.sandbox.microsoft import recurrence
from connectors.sandbox.microsoft.event_schema import DEFAULTS
from connectors.sandbox.microsoft.refusal import Refused, bad_request, no_item
from connectors.sandbox.microsoft.table import Row
from connectors.sandbox.microsoft.zones import read_zone, shown_name, to_utc, to_wall

_FIT_CHECKED = 60  # occurrences that are looked at for one that ends behind the beginning of the next


@dataclass(frozen=True, slots=True)
class Item:
    """A single event, a series (`day` None) or one occurrence of it. What an exception has of its own goes before the series'."""

    row: Row
    day: str | None = None

    @property
    def own(self) -> Mapping[str, Any]:
        """What is different on this day."""
        return self.row["exceptions"].get(self.day, {}) if self.day else {}

    @property
    def type(self) -> str:
        if self.day is not None:
            return "exception" if self.day in self.row["exceptions"] else "occurrence"
        return "seriesMaster" if self.row["recurrence"] else "singleInstance"

    @property
    def values(self) -> dict[str, Any]:
        return {**DEFAULTS, **self.row["values"], **self.own.get("values", {})}

    @property
    def is_all_day(self) -> bool:
        own: Mapping[str, Any] = self.own.get("values", {})
        return bool(own.get("isAllDay", self.row["values"].get("isAllDay", False)))

    @property
    def extended(self) -> dict[str, str]:
        return {**self.row["extended"], **self.own.get("extended", {})}

    @property
    def statuses(self) -> dict[str, Any]:
        return {**self.row["statuses"], **self.own.get("statuses", {})}

    @property
    def times(self) -> dict[str, Any]:
        """When it takes place, in the form of event_schema.read_times."""
        return dict(self.own.get("times") or self.planned)

    @property
    def planned(self) -> dict[str, Any]:
        """When it would take place if it were like its series."""
        times = self.row["times"]
        if self.day is None:
            return dict(times)
        start, end = datetime.fromisoformat(times["start"]), datetime.fromisoformat(times["end"])
        shift = date.fromisoformat(self.day) - start.date()
        return {**times, "start": (start + shift).isoformat(), "end": (end + shift).isoformat()}

    def part(self, name: str) -> Any:
        """Returns one of the row's parts, such as `response`, or what an exception has in its place."""
        return self.own.get(name, self.row[name])


def instants(times: Mapping[str, Any], *, is_floating: bool) -> tuple[datetime, datetime]:
    """Returns beginning and end in UTC; `is_floating`: days are told as midnights of UTC, whatever zone they were written in."""
    zone = "UTC" if is_floating else times["zone"]
    return to_utc(datetime.fromisoformat(times["start"]), zone), to_utc(datetime.fromisoformat(times["end"]), zone)


@dataclass(frozen=True, slots=True)
class Window:
    """A range of instants. An event lies in it when it begins before the end and ends behind the beginning."""

    first: datetime
    last: datetime
    floats: bool = True  # whole days are compared as midnights of UTC

    def holds(self, item: Item) -> bool:
        start, end = instants(item.times, is_floating=self.floats and item.is_all_day)
        return start < self.last and (end > self.first or start == end == self.first)


def items_in(row: Row, window: Window) -> list[Item]:
    """Returns the single event, or the occurrences and exceptions of a series, that lie in a window, in order of their places."""
    if row["recurrence"] is None:
        return [item] if window.holds(item := Item(row)) else []
    times = row["times"]
    length = datetime.fromisoformat(times["end"]) - datetime.fromisoformat(times["start"])
    first = _earlier(to_wall(window.first, times["zone"]).date(), length.days + 2)
    last = to_wall(window.last, times["zone"]).date()
    planned = takewhile(lambda day: (day - last).days < 2, recurrence.days(row["recurrence"], first))
    # An exception may have been moved into the window from elsewhere.
    days = sorted({*chain((day.isoformat() for day in planned), row["exceptions"])} - set(row["gone"]))
    return [item for day in days if window.holds(item := Item(row, day))]


def _earlier(day: date, days: int) -> date:
    return day - timedelta(days) if day.toordinal() > days else date.min


def existing(row: Row, day: str | None) -> Item:
    """Returns what an id names. Raises Refused for a day on which the series has no occurrence."""
    if day is not None:
        place = date.fromisoformat(day)
        if row["recurrence"] is None or day in row["gone"] or next(recurrence.days(row["recurrence"], place), None) != place:
            raise no_item()
    return Item(row, day)


def all_items(row: Row) -> Iterator[Item]:
    """Yields the occurrences of a series in order of their places, those that were taken out not."""
    gone = set(row["gone"])
    yield from (Item(row, day.isoformat()) for day in recurrence.days(row["recurrence"]) if day.isoformat() not in gone)


# --- what a series may be ---------------------------------------------------------------------------------------------------
def placed(times: Mapping[str, Any], given: recurrence.Recurrence, *, moves: bool) -> tuple[dict[str, Any], recurrence.Recurrence]:
    """Returns the times of a series in its own zone, and its recurrence, both beginning with the first occurrence. `moves`: its
    startDate says on which day it begins, not the event's start, which must be on that day otherwise. Raises Refused."""
    zone = given["range"]["recurrenceTimeZone"] or times["names"][0]
    local = in_zone(times, zone)
    start = datetime.fromisoformat(local["start"])
    wanted = date.fromisoformat(given["range"]["startDate"])
    if moves:
        local = shifted(local, wanted)
    elif wanted not in (datetime.fromisoformat(times["start"]).date(), start.date()):
        told = "At least one property failed validation. The startDate of the range is not the day of the event's start."
        raise bad_request(told, "ErrorPropertyValidationFailure")
    begin = datetime.fromisoformat(local["start"]).date()
    range_ = {**given["range"], "startDate": begin.isoformat(), "recurrenceTimeZone": local["names"][0]}
    first = next(recurrence.days({**given, "range": range_}), None)
    if first is None:
        raise bad_request("At least one property failed validation. The series has no occurrence.", "ErrorPropertyValidationFailure")
    new = {**given, "range": {**range_, "startDate": first.isoformat()}}
    local = shifted(local, first)
    _check_fits(local, new)
    return local, new


def in_zone(times: Mapping[str, Any], name: str) -> dict[str, Any]:
    """Returns the same times by the clocks of another zone. Raises Refused for a name that is none."""
    zone = read_zone(name)
    walls = [to_wall(to_utc(datetime.fromisoformat(times[side]), times["zone"]), zone).isoformat() for side in ("start", "end")]
    if zone == times["zone"]:
        return dict(times)
    return {"start": walls[0], "end": walls[1], "zone": zone, "names": [shown_name(name), shown_name(name)]}


def shifted(times: Mapping[str, Any], day: date) -> dict[str, Any]:
    """Returns the times moved to begin on another day."""
    start, end = datetime.fromisoformat(times["start"]), datetime.fromisoformat(times["end"])
    shift = day - start.date()
    return {**times, "start": (start + shift).isoformat(), "end": (end + shift).isoformat()}


def _check_fits(times: Mapping[str, Any], given: recurrence.Recurrence) -> None:
    """Raises Refused for occurrences that are longer than the time to the next one."""
    length = datetime.fromisoformat(times["end"]) - datetime.fromisoformat(times["start"])
    before: date | None = None
    for _, day in zip(range(_FIT_CHECKED), recurrence.days(given), strict=False):
        if before is not None and day - before < length:
            told = "The duration of an occurrence must be shorter than how frequently it occurs."
            raise bad_request(told, "ErrorOccurrenceTimeSpanTooBig")
        before = day


def check_between(item: Item, times: Mapping[str, Any]) -> None:
    """Raises Refused for times of an occurrence that reach over the one before or behind it."""
    start, end = instants(times, is_floating=False)
    before: Item | None = None
    behind: Item | None = None
    for each in all_items(item.row):
        if each.day == item.day:
            continue
        if str(each.day) > str(item.day):
            behind = each
            break
        before = each
    is_early = before is not None and start < instants(before.times, is_floating=False)[1]
    is_late = behind is not None and end > instants(behind.times, is_floating=False)[0]
    if is_early or is_late:
        raise crossing()


def crossing() -> Refused:
    return bad_request("Modified occurrence is crossing or overlapping adjacent occurrence.", "ErrorOccurrenceCrossingBoundary")

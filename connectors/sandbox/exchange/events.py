"""Rows of events: single ones and series, with what is different on single days of a series kept in the series' row.

Beside what every item has, a row holds `uid`, `times` (walls of its zone, see `read_times`), `recurrence` (None: no series),
`exceptions` by the day on which the occurrence would be, `gone`, the days that were taken out, and of the meeting: `statuses` (answers
by address), `response` (the owner's own), `organizer` (None: the owner), `is_organizer`, `is_cancelled`, `was_sent`, `sent_times`.
The days of a series are worked out by the arithmetic that the sandbox has already (microsoft/occurrences.py).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import date, datetime, timedelta
from hashlib import shake_256
from typing import Any, TypeVar

from connectors.sandbox.exchange.event_facts import UID_HEADER, day_number
from connectors.sandbox.exchange.refusal import Refused, no_item
from connectors.sandbox.exchange.store import BIN, DUMPSTER, Store
from connectors.sandbox.exchange.writing import Given, merged
from connectors.sandbox.microsoft import occurrences
from connectors.sandbox.microsoft.occurrences import Item
from connectors.sandbox.microsoft.recurrence import Recurrence
from connectors.sandbox.microsoft.refusal import Refused as Impossible
from connectors.sandbox.microsoft.table import Row
from connectors.sandbox.microsoft.zones import midnight, read_zone, shown_name, to_utc, to_wall

ALL_DAY = "calendar:IsAllDayEvent"
_START, _END, _RECURRENCE, _UID = "calendar:Start", "calendar:End", "calendar:Recurrence", "calendar:UID"
_ZONES = ("calendar:StartTimeZone", "calendar:EndTimeZone", "calendar:MeetingTimeZone")
WHEN = (_START, _END, *_ZONES, ALL_DAY, _RECURRENCE)
_APART = (_START, _END, *_ZONES, _RECURRENCE, _UID)  # kept in the row, not among its values
LONGEST = timedelta(days=5 * 365)
_UID_TAIL = "0" * 40 + "10000000"
NO_RESPONSE = {"response": "Unknown"}
_Made = TypeVar("_Made")


def possible(act: Callable[[], _Made]) -> _Made:
    """Returns what an act of the calendar's arithmetic does. Raises Refused in the words of EWS for what it does not allow."""
    try:
        return act()
    except Impossible as error:
        code = "ErrorTimeZone" if error.code == "TimeZoneNotSupportedException" else error.code
        raise Refused(code, error.message) from None


class Events:
    """Makes and changes rows of events."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._by_uid: dict[str, set[int]] = {}

    def reindex(self) -> None:
        self._by_uid = {}
        for row in self._store.items.values():
            if "uid" in row:
                self._by_uid.setdefault(row["uid"], set()).add(row["n"])

    def copies(self, uid: str) -> dict[int, Row]:
        """Returns the events of one meeting by mailbox; what was deleted is none any more."""
        rows = (self._store.items.get(number) for number in sorted(self._by_uid.get(uid, ())))
        folders = self._store.rows("folder")
        return {row["mailbox"]: row for row in rows if row is not None and folders[row["folder"]]["kind"] not in (BIN, DUMPSTER)}

    def day_of(self, row: Row, index: int) -> str:
        """Returns the day of an occurrence by its number in the series. Raises Refused."""
        day = day_number(row, index)
        if day is None:
            raise Refused("ErrorCalendarOccurrenceIndexIsOutOfRecurrenceRange", "Occurrence index is out of recurrence range.")
        if day in row["gone"]:
            told = "Occurrence with this index was previously deleted from the recurrence."
            raise Refused("ErrorCalendarOccurrenceIsDeletedFromRecurrence", told)
        return day

    def existing(self, row: Row, day: str | None) -> Item:
        """Returns what an id names. Raises Refused for a day on which the series has no occurrence."""
        if day is not None and row.get("recurrence") is None:
            raise no_item()
        try:
            return occurrences.existing(row, day)
        except Impossible:
            raise no_item() from None

    # --- writing ------------------------------------------------------------------------------------------------------------
    def add(self, folder: Row, given: Given, zone: str, **parts: Any) -> Row:
        """Stores a new event. Raises Refused for times that cannot be."""
        values = given.values
        times = parts.pop("times", None) or self._times(values, None, zone)
        recurrence = parts.pop("recurrence", None) or values.get(_RECURRENCE)
        if recurrence is not None and "gone" not in parts:
            times, recurrence = self._placed(times, recurrence)
        number = self._store.tables["item"].next_number
        uid = parts.pop("uid", None) or values.get(_UID) or f"{UID_HEADER}{_UID_TAIL}{_own_part(self._store.key, number)}"
        own = {"uid": uid, "times": times, "recurrence": recurrence, "exceptions": {}, "gone": [], "statuses": {}, "response": NO_RESPONSE,
               "organizer": None, "is_organizer": True, "is_cancelled": False, "was_sent": False, "sent_times": 0, **parts}  # fmt: skip
        kept = merged({}, {key: value for key, value in values.items() if key not in _APART})
        row = self._store.add(folder, "CalendarItem", kept, {k: v for k, v in given.extended.items() if v is not None}, **own)
        self._by_uid.setdefault(uid, set()).add(row["n"])
        return row

    def change(self, item: Item, given: Given, zone: str) -> Item:
        """Stores a change of an event, a series or one occurrence. Raises Refused."""
        if _UID in given.values and given.values[_UID] != item.row["uid"]:
            raise Refused("ErrorInvalidPropertySet", "Set action is invalid for property.", field=_UID)
        if item.day is not None:
            return self._change_day(item, given, zone)
        row, changes = item.row, self._changes(item.row, given)
        if any(key in given.values for key in WHEN):
            changes |= self._rescheduled(row, given.values, zone)
        return Item(self._store.change(row, **changes))

    @staticmethod
    def _changes(row: Row, given: Given) -> dict[str, Any]:
        kept = {key: value for key, value in given.values.items() if key not in _APART}
        return {"values": merged(row["values"], kept), "extended": merged(row["extended"], given.extended)}

    def _rescheduled(self, row: Row, values: Mapping[str, Any], zone: str) -> dict[str, Any]:
        """Returns times and recurrence after a change of them. A series that takes place at other times is one without
        exceptions."""
        times = self._times(values, row, zone)
        recurrence = values[_RECURRENCE] if _RECURRENCE in values else row["recurrence"]
        if recurrence is not None:
            if _RECURRENCE not in values:  # the series begins on the day that its start moved to
                begin = datetime.fromisoformat(times["start"]).date()
                recurrence = {**recurrence, "range": {**recurrence["range"], "startDate": begin.isoformat(), "recurrenceTimeZone": ""}}
                _check_end(recurrence, begin)
            times, recurrence = self._placed(times, recurrence)
        is_same = (times, recurrence) == (row["times"], row["recurrence"])
        return {"times": times, "recurrence": recurrence} | ({} if is_same else {"exceptions": {}, "gone": []})

    @staticmethod
    def _placed(times: Mapping[str, Any], recurrence: Recurrence) -> tuple[dict[str, Any], Recurrence]:
        """Returns times and recurrence that begin with the first occurrence. Raises Refused."""
        return possible(lambda: occurrences.placed(times, recurrence, moves=True))

    def _change_day(self, item: Item, given: Given, zone: str) -> Item:
        row, day = item.row, str(item.day)
        if given.values.get(_RECURRENCE) is not None:
            raise Refused("ErrorCalendarInvalidPropertyState", "An occurrence has no recurrence of its own.", field=_RECURRENCE)
        own = {"created": self._store.stamp(), **item.own, "modified": self._store.stamp(), "version": row["version"] + 1}
        kept = {key: value for key, value in given.values.items() if key not in _APART}
        own["values"] = {**item.own.get("values", {}), **kept}
        own["extended"] = {**item.own.get("extended", {}), **given.extended}
        if any(key in given.values for key in WHEN):
            own["times"] = self._times(given.values, {**row, "times": item.times, "values": {**row["values"], **own["values"]}}, zone)
            possible(lambda: occurrences.check_between(item, own["times"]))
        return Item(self._store.change(row, exceptions={**row["exceptions"], day: own}), day)

    def remove_day(self, item: Item) -> Row:
        """Takes one occurrence out of its series."""
        exceptions = {day: own for day, own in item.row["exceptions"].items() if day != item.day}
        return self._store.change(item.row, exceptions=exceptions, gone=sorted({*item.row["gone"], str(item.day)}))

    # --- times --------------------------------------------------------------------------------------------------------------
    def _times(self, values: Mapping[str, Any], row: Row | None, zone: str) -> dict[str, Any]:
        """Returns the times of an event: walls in the zone of its start, the names of both zones. Raises Refused."""
        before = row["times"] if row is not None else None
        first = values.get(_ZONES[0]) or values.get(_ZONES[2]) or (before["names"][0] if before else zone)
        second = values.get(_ZONES[1]) or values.get(_ZONES[2]) or (before["names"][1] if before else first)
        own = possible(lambda: read_zone(first))
        possible(lambda: read_zone(second))
        start, end = (self._instant(values, row, side) for side in (_START, _END))
        if end < start:
            raise Refused("ErrorCalendarEndDateIsEarlierThanStartDate", "EndDate is earlier than StartDate.", field=_END)
        if end - start > LONGEST:
            raise Refused("ErrorCalendarDurationIsTooLong", "The calendar item's duration exceeds the maximum.", field=_END)
        walls = to_wall(start, own), to_wall(end, own)
        is_all_day = values.get(ALL_DAY, row["values"].get(ALL_DAY) if row is not None else False)
        if is_all_day:
            walls = _whole_days(*walls)
        names = [shown_name(first), shown_name(second)]
        return {"start": walls[0].isoformat(), "end": walls[1].isoformat(), "zone": own, "names": names}

    def _instant(self, values: Mapping[str, Any], row: Row | None, side: str) -> datetime:
        if (given := values.get(side)) is not None:
            return datetime.fromisoformat(given)
        if row is not None:
            return to_utc(datetime.fromisoformat(row["times"]["start" if side == _START else "end"]), row["times"]["zone"])
        start = datetime.fromisoformat(values[_START]) if values.get(_START) else self._next_half_hour()
        return start if side == _START else start + timedelta(minutes=30)

    def _next_half_hour(self) -> datetime:
        now = self._store.now().replace(second=0, microsecond=0)
        return now + timedelta(minutes=30 - now.minute % 30)


def _whole_days(start: datetime, end: datetime) -> tuple[datetime, datetime]:
    """Returns the midnights around an all-day event."""
    first, last = midnight(start.date()), midnight(end.date())
    if last < end or last <= first:
        last += timedelta(days=1)
    return first, last


def _check_end(recurrence: Mapping[str, Any], begin: date) -> None:
    range_ = recurrence["range"]
    if range_["type"] == "endDate" and date.fromisoformat(range_["endDate"]) < begin:
        raise Refused("ErrorRecurrenceHasNoOccurrence", "The recurrence has no occurrence: it ends before it begins.")


def _own_part(key: str, number: int) -> str:
    return shake_256(f"{key} uid {number}".encode()).hexdigest(16).upper()


def is_rescheduled(before: Item, after: Item) -> bool:
    """Tells whether an event takes place at other times than before."""
    places = [(each.times["start"], each.times["end"], each.times["zone"], each.row["recurrence"]) for each in (before, after)]
    return places[0] != places[1]

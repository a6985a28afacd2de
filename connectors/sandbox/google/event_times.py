"""Starts and ends of events: read from a body, kept in the zone of the event, shown in that of a reader."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC, date, datetime, time, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from connectors.sandbox.google.calendar_refusal import CalendarRefused, empty_range, invalid, required

Moment = dict[str, str]  # {"date": day}, or {"dateTime": wall time with offset, "timeZone": zone}
_DAY = re.compile(r"\d{4}-\d{2}-\d{2}")
_INSTANT = re.compile(r"\d{4}-\d{2}-\d{2}[Tt]\d{2}:\d{2}(:\d{2}(\.\d+)?)?([Zz]|[+-]\d{2}:?\d{2})?")


def zone_of(name: str) -> ZoneInfo | None:
    """Returns a zone by its IANA name, None for a name that is none."""
    try:
        return ZoneInfo(name) if name else None
    except (KeyError, ValueError, OSError):
        return None


# --- reading ------------------------------------------------------------------------------------------------------------
def read_span(start: Any, end: Any, *, zone: str, recurs: bool) -> tuple[Moment, Moment]:
    """Returns start and end as they are kept. `zone` is the calendar's, which an event without its own has. Raises Refused."""
    first, last = (_read(given, name, zone=zone, recurs=recurs) for given, name in ((start, "start"), (end, "end")))
    if ("date" in first) != ("date" in last):
        raise invalid("Start and end times must either both be date or both be dateTime.")
    span = duration(first, last)
    if span < timedelta() or (is_all_day(first) and not span):
        raise empty_range()
    return first, last


def _read(given: Any, name: str, *, zone: str, recurs: bool) -> Moment:
    if not given or not ({"date", "dateTime"} & set(given)):
        raise required(f"Missing {name} time.")
    if "date" in given and "dateTime" in given:
        raise invalid(f"Invalid {name} time.")
    own = given.get("timeZone", "")
    if own and zone_of(own) is None:
        raise invalid(f"Invalid time zone definition for {name} time.")
    if "date" in given:
        return {"date": _day(given["date"], name)}
    at = read_instant(given["dateTime"])
    if at is None:
        raise invalid(f"Invalid {name} time.")
    if not own and (recurs or at.tzinfo is None):
        raise required(f"Missing time zone definition for {name} time.")
    kept = ZoneInfo(own or zone)
    at = at.replace(tzinfo=kept) if at.tzinfo is None else at.astimezone(kept)
    return {"dateTime": at.replace(microsecond=0).isoformat(), "timeZone": own or zone}


def _day(text: str, name: str) -> str:
    try:
        return date.fromisoformat(text).isoformat() if _DAY.fullmatch(text) else _refuse_day(name)
    except ValueError:
        return _refuse_day(name)


def _refuse_day(name: str) -> str:
    raise invalid(f"Invalid {name} time.")


def read_instant(text: str) -> datetime | None:
    """Returns what an RFC 3339 text says, without zone when it has no offset; None for what is none."""
    if not _INSTANT.fullmatch(text):
        return None
    try:
        at = datetime.fromisoformat(text.upper())
        return at if 1900 <= at.year <= 9000 else None
    except ValueError:
        return None


def read_bound(text: str, name: str) -> datetime:
    """Returns the instant of a parameter. Raises Refused for one without an offset."""
    at = read_instant(text)
    if at is None or at.tzinfo is None:
        raise CalendarRefused(400, "badRequest", f"Bad Request: {name} is no timestamp with an offset", parameter=name)
    return at.astimezone(UTC)


# --- what a kept moment says --------------------------------------------------------------------------------------------
def is_all_day(moment: Mapping[str, str]) -> bool:
    return "date" in moment


def wall(moment: Mapping[str, str]) -> datetime:
    """Returns the wall time of a moment without its zone, of a day its midnight."""
    if "date" in moment:
        return datetime.combine(date.fromisoformat(moment["date"]), time())
    return datetime.fromisoformat(moment["dateTime"]).replace(tzinfo=None)


def instant(moment: Mapping[str, str], zone: str) -> datetime:
    """Returns the instant of a moment; a day begins at midnight in the zone that is given."""
    if "date" in moment:
        return wall(moment).replace(tzinfo=ZoneInfo(zone)).astimezone(UTC)
    return datetime.fromisoformat(moment["dateTime"]).astimezone(UTC)


def duration(start: Mapping[str, str], end: Mapping[str, str]) -> timedelta:
    """Returns how long an event takes: real time, and for whole days their number."""
    if is_all_day(start):
        return wall(end) - wall(start)
    return datetime.fromisoformat(end["dateTime"]) - datetime.fromisoformat(start["dateTime"])


def at_wall(like: Mapping[str, str], at: datetime) -> Moment:
    """Returns the moment at a wall time, of the same kind and zone as another."""
    if is_all_day(like):
        return {"date": at.date().isoformat()}
    return {"dateTime": at.replace(tzinfo=ZoneInfo(like["timeZone"])).isoformat(), "timeZone": like["timeZone"]}


def later(moment: Mapping[str, str], by: timedelta, zone: str) -> Moment:
    """Returns a moment some time after another, in a zone."""
    if is_all_day(moment):
        return {"date": (wall(moment) + by).date().isoformat()}
    at = (datetime.fromisoformat(moment["dateTime"]).astimezone(UTC) + by).astimezone(ZoneInfo(zone))
    return {"dateTime": at.isoformat(), "timeZone": zone}


def shown(moment: Mapping[str, str], zone: str) -> Moment:
    """Returns a moment as a reader in a zone sees it: the offset is the reader's, the name of the zone the event's."""
    if is_all_day(moment):
        return dict(moment)
    at = datetime.fromisoformat(moment["dateTime"]).astimezone(ZoneInfo(zone))
    return {"dateTime": at.isoformat().replace("+00:00", "Z"), "timeZone": moment["timeZone"]}


# --- instances ----------------------------------------------------------------------------------------------------------
def suffix_of(moment: Mapping[str, str]) -> str:
    """Returns what stands behind the id of the master in that of the instance which begins then."""
    if is_all_day(moment):
        return f"{wall(moment):%Y%m%d}"
    return f"{datetime.fromisoformat(moment['dateTime']).astimezone(UTC):%Y%m%dT%H%M%SZ}"


_INSTANCE = re.compile(r"(.+)_(\d{8}(?:T\d{6}Z)?)")


def split_instance(event_id: str) -> tuple[str, str] | None:
    """Returns the id of the master and the suffix of an instance; None for an id that is no instance's."""
    found = _INSTANCE.fullmatch(event_id)
    return (found[1], found[2]) if found else None

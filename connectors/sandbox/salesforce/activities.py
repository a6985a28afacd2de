"""What follows from other values of a task or an event: whose account it is, when it ends, whether it is done."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from typing import Any

from connectors.sandbox.salesforce.refusal import Refused
from connectors.sandbox.salesforce.table import Row
from connectors.sandbox.salesforce.values import read_instant, show_instant

MINUTES_A_DAY = 24 * 60
LONGEST_MINUTES = 14 * MINUTES_A_DAY
LookUp = Callable[[str, str], Row | None]  # object name and id -> row


def check_parents(row: Mapping[str, Any]) -> None:
    """Raises Refused for an activity of a lead that also belongs to an account or opportunity."""
    if str(row.get("WhoId", "")).startswith("00Q") and row.get("WhatId"):
        raise Refused(400, "FIELD_INTEGRITY_EXCEPTION", "Related To ID: a lead's activity cannot have a related record", ["WhatId"])


def account_of(row: Mapping[str, Any], look_up: LookUp) -> str | None:
    """Returns the account that an activity belongs to: by what it is related to, else by its contact."""
    what, who = str(row.get("WhatId") or ""), str(row.get("WhoId") or "")
    if what.startswith("001"):
        return what
    parent = look_up("Opportunity", what) if what else look_up("Contact", who)
    return parent.get("AccountId") if parent else None


def derive_task(row: Row, now: str) -> None:
    row["IsClosed"], row["IsHighPriority"] = row.get("Status") == "Completed", row.get("Priority") == "High"
    if not row["IsClosed"]:
        row.pop("CompletedDateTime", None)
    else:
        row.setdefault("CompletedDateTime", now)


def derive_event(row: Row, changes: Mapping[str, Any], before: Row | None, *, is_end_inclusive: bool) -> None:
    """Sets start, end, duration and day so that they agree, from those of them that were given. All-day events stand at 00:00
    UTC; `is_end_inclusive`: their end is the last day, else the day behind it. Raises Refused."""
    if row.get("IsAllDayEvent"):
        start = _all_day_start(row, changes)
        was_all_day = before is not None and bool(before.get("IsAllDayEvent"))
        days = _all_days(row if was_all_day else {}, changes, start, is_end_inclusive=is_end_inclusive)
        end, minutes = start + timedelta(days=days - is_end_inclusive), days * MINUTES_A_DAY
    else:
        start = _timed_start(row, changes)
        minutes = _minutes(row, changes, start)
        _check_length(minutes, least=0)
        end = start + timedelta(minutes=minutes)
    row["StartDateTime"] = row["ActivityDateTime"] = show_instant(start)
    row["EndDateTime"] = show_instant(end)
    row["DurationInMinutes"] = minutes
    row["ActivityDate"] = row["StartDateTime"][:10]


def _check_length(minutes: int, *, least: int) -> None:
    if not least <= minutes <= LONGEST_MINUTES:
        told = f"Duration: value outside of valid range on numeric field: {minutes}"
        raise Refused(400, "NUMBER_OUTSIDE_VALID_RANGE", told, ["DurationInMinutes"])


def _all_day_start(row: Row, changes: Mapping[str, Any]) -> datetime:
    given = next((changes[n] for n in ("ActivityDate", "StartDateTime", "ActivityDateTime") if changes.get(n)), row.get("ActivityDate"))
    if not given:
        raise _missing("ActivityDate")
    return _instant(f"{given[:10]}T00:00:00Z")


def _all_days(row: Row, changes: Mapping[str, Any], start: datetime, *, is_end_inclusive: bool) -> int:
    """Returns how many days an all-day event lasts. Raises Refused where its end and its duration do not agree."""
    end, minutes = changes.get("EndDateTime"), changes.get("DurationInMinutes")
    by_end = None if end is None else (_instant(f"{end[:10]}T00:00:00Z") - start).days + is_end_inclusive
    if minutes is None:
        minutes = row.get("DurationInMinutes", MINUTES_A_DAY) if by_end is None else by_end * MINUTES_A_DAY
    days = -(-int(minutes) // MINUTES_A_DAY)  # a part of a day is a day
    if by_end is not None and by_end != days:
        raise _do_not_agree()
    _check_length(days * MINUTES_A_DAY, least=MINUTES_A_DAY)
    return days


def _timed_start(row: Row, changes: Mapping[str, Any]) -> datetime:
    given = {changes[n] for n in ("StartDateTime", "ActivityDateTime") if changes.get(n)}
    if len(given) > 1:
        raise Refused(400, "FIELD_INTEGRITY_EXCEPTION", "Start Date Time and Due Date Time must agree", ["ActivityDateTime"])
    start = given.pop() if given else row.get("StartDateTime")
    if not start:
        raise _missing("ActivityDateTime")
    return _instant(start)


def _minutes(row: Row, changes: Mapping[str, Any], start: datetime) -> int:
    end, minutes = changes.get("EndDateTime"), changes.get("DurationInMinutes")
    by_end = None if end is None else int((_instant(end) - start).total_seconds() // 60)
    if by_end is not None and minutes is not None and by_end != minutes:
        raise _do_not_agree()
    found = by_end if by_end is not None else minutes if minutes is not None else row.get("DurationInMinutes")
    if found is None:
        raise _missing("DurationInMinutes")
    return int(found)


def _instant(text: str) -> datetime:
    at = read_instant(text)
    assert at is not None  # it was read when it came in
    return at


def _do_not_agree() -> Refused:
    return Refused(400, "FIELD_INTEGRITY_EXCEPTION", "End Date Time and Duration must agree", ["EndDateTime"])


def _missing(name: str) -> Refused:
    return Refused(400, "REQUIRED_FIELD_MISSING", f"Required fields are missing: [{name}]", [name])

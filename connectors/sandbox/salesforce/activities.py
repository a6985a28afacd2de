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
    row["IsClosed"] = row.get("Status") == "Completed"
    if not row["IsClosed"]:
        row.pop("CompletedDateTime", None)
    else:
        row.setdefault("CompletedDateTime", now)


def derive_event(row: Row, changes: Mapping[str, Any]) -> None:
    """Sets start, end, duration and day so that they agree, from those of them that were given. Raises Refused."""
    if row.get("IsAllDayEvent"):
        start = _all_day_start(row, changes)
        minutes = row.get("DurationInMinutes") or MINUTES_A_DAY
    else:
        start = _timed_start(row, changes)
        minutes = _minutes(row, changes, start)
    if not 0 <= minutes <= LONGEST_MINUTES:
        told = f"Duration: value outside of valid range on numeric field: {minutes}"
        raise Refused(400, "NUMBER_OUTSIDE_VALID_RANGE", told, ["DurationInMinutes"])
    row["StartDateTime"] = row["ActivityDateTime"] = show_instant(start)
    row["EndDateTime"] = show_instant(start + timedelta(minutes=minutes))
    row["DurationInMinutes"] = minutes
    row["ActivityDate"] = row["StartDateTime"][:10]


def _all_day_start(row: Row, changes: Mapping[str, Any]) -> datetime:
    given = next((changes[n] for n in ("ActivityDate", "StartDateTime", "ActivityDateTime") if changes.get(n)), row.get("ActivityDate"))
    if not given:
        raise _missing("ActivityDate")
    return _instant(f"{given[:10]}T00:00:00Z")


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
        raise Refused(400, "FIELD_INTEGRITY_EXCEPTION", "End Date Time and Duration must agree", ["EndDateTime"])
    found = by_end if by_end is not None else minutes if minutes is not None else row.get("DurationInMinutes")
    if found is None:
        raise _missing("DurationInMinutes")
    return int(found)


def _instant(text: str) -> datetime:
    at = read_instant(text)
    assert at is not None  # it was read when it came in
    return at


def _missing(name: str) -> Refused:
    return Refused(400, "REQUIRED_FIELD_MISSING", f"Required fields are missing: [{name}]", [name])

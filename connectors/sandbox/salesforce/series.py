"""Series of events: an event that is created with a pattern becomes the first of its occurrences, each a row of its own.

All rows of a series note the id of its first (`series`). The pattern is set at creation only; a row that is changed by itself
is an exception, and rows before one from which on all were changed no longer follow the pattern.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from connectors.sandbox.salesforce import recurrence, soql_dates
from connectors.sandbox.salesforce.invitations import OF_INVITEE, SERIES
from connectors.sandbox.salesforce.refusal import Refused
from connectors.sandbox.salesforce.table import Row
from connectors.sandbox.salesforce.values import read_instant, show_instant

if TYPE_CHECKING:
    from connectors.sandbox.salesforce.records import Records, Writer

ONWARDS = "fromThisEventOnwards"  # the end of an address
PATTERN = "Recurrence2PatternText"
STARTS = ("StartDateTime", "ActivityDateTime", "ActivityDate")
TIMES = (*STARTS, "EndDateTime")
# What an occurrence does not take over from the first one.
OWN = frozenset((
    *TIMES, "Id", "Sync_Key__c", "CreatedDate", "CreatedById", "LastModifiedDate", "LastModifiedById", "SystemModstamp", "WhoCount",
    "WhatCount", "IsGroupEvent", "IsRecurrence2Exception",
))  # fmt: skip


def derive(records: Records, row: Row, before: Row | None, changes: Row) -> None:
    """Makes a new event that has a pattern the first of a series, and marks a changed occurrence. Raises Refused."""
    if before is None and row.get(PATTERN) and "series" not in row:
        start = _starts(records, row)[0]
        moved = _at(start) - _at(row["StartDateTime"])
        for name in ("StartDateTime", "ActivityDateTime", "EndDateTime"):
            row[name] = show_instant(_at(row[name]) + moved)
        row["ActivityDate"] = start[:10]
        row |= {"IsRecurrence2": True, "GroupEventType": SERIES, "Recurrence2PatternVersion": "1"}
        row |= {"Recurrence2PatternStartDate": start, "Recurrence2PatternTimeZone": _zone_name(records, row)}
    elif before is not None and "series" in before and set(changes) - OF_INVITEE:
        row["IsRecurrence2Exception"] = True


def spread(records: Records, event_id: str, writer: Writer) -> None:
    """Creates the further occurrences of a series that begins with this event."""
    first = records.tables["Event"].rows[event_id]
    if not first.get(PATTERN) or "series" in first or first.get("IsChild"):
        return
    records.note("Event", event_id, {"series": event_id}, writer)
    shared = {name: value for name, value in first.items() if name not in OWN}
    for start in _starts(records, first)[1:]:
        records.add("Event", {**shared, "StartDateTime": start, "series": event_id}, writer)


def _zone_name(records: Records, row: Row) -> str:
    owner = records.tables["User"].rows.get(row.get("OwnerId", ""), {})
    return "UTC" if row.get("IsAllDayEvent") else str(owner.get("TimeZoneSidKey", "UTC"))


def _starts(records: Records, row: Row) -> list[str]:
    """Returns when the events of a series start: at one time of the owner's day. Raises Refused for a pattern that is none."""
    zone = soql_dates.zone_of(_zone_name(records, row))
    start = _at(row["StartDateTime"]).astimezone(zone)
    try:
        days = recurrence.days_of(recurrence.read(row[PATTERN]), start.date())
    except ValueError as error:
        raise Refused(400, "FIELD_INTEGRITY_EXCEPTION", f"Recurrence Pattern: {error}", [PATTERN]) from None
    return [show_instant(datetime.combine(day, start.time(), zone).astimezone(UTC)) for day in days]


def _at(text: str) -> datetime:
    at = read_instant(text)
    assert at is not None  # it was stored
    return at


# --- from one event onwards ---------------------------------------------------------------------------------------------
def change_onwards(records: Records, row: Row, given: Mapping[str, Any], writer: Writer) -> None:
    """Changes an occurrence and all that follow it, which move by as much as it does. Raises Refused."""
    later, earlier = _onwards(records, row)
    start = row["StartDateTime"]
    changed = records.update("Event", row["Id"], given, writer)
    moved = _at(changed["StartDateTime"]) - _at(start)
    same = {name: value for name, value in given.items() if name not in (*TIMES, "DurationInMinutes", "Sync_Key__c")}
    for event in later:
        times = {"StartDateTime": show_instant(_at(event["StartDateTime"]) + moved), "DurationInMinutes": changed["DurationInMinutes"]}
        records.update("Event", event["Id"], {**same, **times}, writer)
    for event in (changed, *later):
        records.note("Event", event["Id"], {"IsRecurrence2Exception": False}, writer)
    for event in earlier:
        records.touch("Event", event["Id"], {"IsRecurrence2Exclusion": True}, writer)


def delete_onwards(records: Records, row: Row, writer: Writer) -> None:
    """Deletes an occurrence and all that follow it. Raises Refused."""
    for event in (row, *_onwards(records, row)[0]):
        records.delete("Event", event["Id"], writer)


def _onwards(records: Records, row: Row) -> tuple[list[Row], list[Row]]:
    """Returns the later and the earlier events of a row's series. Raises Refused for what is no part of one."""
    if "series" not in row or row.get("IsRecurrence2Exclusion") or row.get("IsChild"):
        raise Refused(400, "FIELD_INTEGRITY_EXCEPTION", "the event is not part of a series that can be changed", [])
    rows = [r for r in records.tables["Event"].rows.values() if r.get("series") == row["series"] and not r.get("IsDeleted")]
    others = sorted((r for r in rows if r["Id"] != row["Id"]), key=lambda r: str(r["StartDateTime"]))
    return (
        [r for r in others if r["StartDateTime"] >= row["StartDateTime"]],
        [r for r in others if r["StartDateTime"] < row["StartDateTime"]],
    )

"""Group events: an event with invitees, and the events that its invited users get, which follow it and go with it.

The relation of an invited user notes which event is that user's (`child`), and the child whose it is (`parent`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from connectors.sandbox.salesforce.refusal import Refused
from connectors.sandbox.salesforce.table import Row

if TYPE_CHECKING:
    from connectors.sandbox.salesforce.records import Records, Writer

USER = "005"
SINGLE, GROUP, SERIES = "0", "1", "3"  # GroupEventType
TIMES = ("IsAllDayEvent", "StartDateTime", "EndDateTime", "ActivityDateTime", "ActivityDate", "DurationInMinutes")
FOLLOWED = (*TIMES, "Subject", "Location", "Description", "IsPrivate", "WhoId", "WhatId", "AccountId")
OF_INVITEE = frozenset(("IsReminderSet", "ReminderDateTime", "ShowAs"))  # what whoever is invited may change


def check_change(before: Row | None, changes: Row) -> None:
    """Raises Refused for a change of an invitee's event that is the organiser's to make."""
    if before is None or not before.get("IsChild"):
        return
    closed = [name for name in changes if name not in OF_INVITEE and not name.endswith("__c")]
    if closed:
        raise Refused(400, "INSUFFICIENT_ACCESS_OR_READONLY", "the event of an invitee follows that of its organizer", closed)


def invite(records: Records, relation_id: str, writer: Writer) -> None:
    """Gives an invited user an event, and makes the event of the relation a group event or none."""
    relation = records.tables["EventRelation"].rows[relation_id]
    event = records.tables["Event"].rows[relation["EventId"]]
    if relation["RelationId"].startswith(USER) and "child" not in relation:
        values = {name: event[name] for name in FOLLOWED if name in event}
        values |= {"OwnerId": relation["RelationId"], "IsChild": True, "IsGroupEvent": True, "GroupEventType": GROUP}
        child = records.add("Event", {**values, "parent": event["Id"]}, writer)
        records.note("EventRelation", relation_id, {"child": child["Id"]}, writer)
    _group(records, event["Id"], writer)
    follow(records, event["Id"], writer)


def uninvite(records: Records, relation: Row, writer: Writer) -> None:
    """Takes the event of a user away whose invitation is gone."""
    child = records.look_up("Event", relation.get("child", ""))
    if child is not None:
        records.discard("Event", child["Id"], writer)
    event = records.tables["Event"].rows[relation["EventId"]]
    if not event.get("IsDeleted"):
        _group(records, event["Id"], writer)
        follow(records, event["Id"], writer)


def _group(records: Records, event_id: str, writer: Writer) -> None:
    event = records.tables["Event"].rows[event_id]
    is_group = any(r.get("IsInvitee") for r in records.children("EventRelation", "EventId", event_id))
    kind = SERIES if event.get("IsRecurrence2") else GROUP if is_group else SINGLE
    if (bool(event.get("IsGroupEvent")), event.get("GroupEventType")) != (is_group, kind):
        records.touch("Event", event_id, {"IsGroupEvent": is_group, "GroupEventType": kind}, writer)


def follow(records: Records, event_id: str, writer: Writer) -> None:
    """Carries what an event says to the events of its invited users."""
    event = records.tables["Event"].rows[event_id]
    for relation in records.children("EventRelation", "EventId", event_id):
        child = records.look_up("Event", relation.get("child", ""))
        changes = {name: event.get(name) for name in FOLLOWED if child is not None and child.get(name) != event.get(name)}
        if child is not None and changes:
            records.edit("Event", child["Id"], changes, writer)


def event_deleted(records: Records, row: Row, writer: Writer) -> None:
    """Takes the invitation along of a user who deletes the own event."""
    for relation in records.children("EventRelation", "EventId", row.get("parent", "")):
        if relation.get("child") == row["Id"]:
            records.discard("EventRelation", relation["Id"], writer)


def restored(records: Records, event_id: str, gone_at: str, writer: Writer) -> None:
    """Brings the events of invited users back that went with an event at an instant."""
    for relation in records.children("EventRelation", "EventId", event_id):
        child = records.tables["Event"].rows.get(relation.get("child", ""))
        if child is not None and child.get("IsDeleted") and child["SystemModstamp"] == gone_at:
            records.edit("Event", child["Id"], {"IsDeleted": None}, writer)

"""Relations of activities: whom and what an event or task is about, and who is invited to an event.

While activities are shared, WhoId and WhatId have rows of their own in EventRelation and TaskRelation, together with up to
49 more contacts; WhoId is the primary of them. While they are not, EventRelation holds invitees only.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from connectors.sandbox.salesforce import activities, invitations
from connectors.sandbox.salesforce.refusal import Refused
from connectors.sandbox.salesforce.table import Row

if TYPE_CHECKING:
    from connectors.sandbox.salesforce.records import Records, Writer

MOST_CONTACTS = 50
LEAD, USER, WHATS = "00Q", "005", ("001", "006")  # prefixes of ids
RESPONDED = ("Accepted", "Declined")


@dataclass(frozen=True, slots=True)
class Kind:
    """One of the two objects of relations: its activity, the lookup to that, and the list of ids that stands in it."""

    name: str
    activity: str
    key: str
    ids: str


_KINDS = (Kind("EventRelation", "Event", "EventId", "EventWhoIds"), Kind("TaskRelation", "Task", "TaskId", "TaskWhoIds"))
KINDS = {kind.name: kind for kind in _KINDS}
OF_ACTIVITY = {kind.activity: kind for kind in _KINDS}


def _whos(records: Records, kind: Kind, activity_id: str) -> list[Row]:
    """Returns the relations to the people an activity is about, the oldest first."""
    return [r for r in records.children(kind.name, kind.key, activity_id) if r.get("IsParent") and not r.get("IsWhat")]


def _whats(records: Records, kind: Kind, activity_id: str) -> list[Row]:
    return [r for r in records.children(kind.name, kind.key, activity_id) if r.get("IsWhat")]


def _disagree(told: str, *names: str) -> Refused:
    return Refused(400, "FIELD_INTEGRITY_EXCEPTION", told, names)


# --- one relation -------------------------------------------------------------------------------------------------------
def _classify(records: Records, row: Row) -> None:
    """Sets what a relation is where it does not say: users are invited, others are what the activity is about."""
    prefix = row["RelationId"][:3]
    is_shared = records.switches.shared_activities
    row.setdefault("IsWhat", prefix in WHATS)
    row.setdefault("IsParent", is_shared and prefix != USER and not row.get("IsInvitee"))
    row.setdefault("IsInvitee", not row["IsParent"])


def check(kind: Kind, records: Records, row: Row, before: Row | None, changes: Row, writer: Writer) -> None:
    """Raises Refused for a relation that cannot be."""
    _classify(records, row)
    prefix = row["RelationId"][:3]
    if row["IsWhat"] != (prefix in WHATS):
        raise _disagree("IsWhat does not fit the kind of record that is related", "IsWhat")
    if row["IsWhat"] and (row["IsInvitee"] or not records.switches.shared_activities):
        raise _disagree("Relation ID: only people can be invited", "RelationId")
    if prefix == USER and row["IsParent"]:
        raise _disagree("IsParent: a user can only be invited", "IsParent")
    if not row["IsParent"] and not row["IsInvitee"]:
        raise _disagree("a relation needs IsParent or IsInvitee", "IsParent", "IsInvitee")
    if before is None:
        _check_new(records, kind, row)


def _check_new(records: Records, kind: Kind, row: Row) -> None:
    activity = records.tables[kind.activity].rows[row[kind.key]]
    if activity.get("IsChild"):
        raise _disagree("relations belong to the event itself, not to that of an invitee", kind.key)
    if any(r["RelationId"] == row["RelationId"] for r in records.children(kind.name, kind.key, activity["Id"])):
        told = "duplicate value found: <unknown> duplicates value on record with id: <unknown>"
        raise Refused(400, "DUPLICATE_VALUE", told, [])
    if row["RelationId"] == activity.get("OwnerId"):
        raise _disagree("Relation ID: the owner of an event is not invited to it", "RelationId")
    if row["IsWhat"] and activity.get("WhatId"):
        raise _disagree("Relation ID: the activity is related to another record", "RelationId")
    if row["IsWhat"] or row["IsParent"]:
        people = [r["RelationId"] for r in _whos(records, kind, activity["Id"])]
        what = row["RelationId"] if row["IsWhat"] else activity.get("WhatId")
        _check_people(people if row["IsWhat"] else [*people, row["RelationId"]], what, "RelationId")


def _check_people(people: list[str], what: str | None, name: str) -> None:
    """Raises Refused for people that cannot share one activity: up to 50 contacts, or one lead with nothing else."""
    has_lead = any(id_.startswith(LEAD) for id_ in people)
    if has_lead and (len(people) > 1 or what):
        raise _disagree("an activity has one lead and nothing else, or contacts", name)
    if len(people) > MOST_CONTACTS:
        raise Refused(400, "LIMIT_EXCEEDED", f"an activity has at most {MOST_CONTACTS} contacts", [name])


def derive(kind: Kind, records: Records, row: Row, before: Row | None, changes: Row) -> None:
    """Sets what a relation is, when it was answered, and whose account it is."""
    _classify(records, row)
    if row.get("Status") in RESPONDED and "Status" in changes and "RespondedDate" not in changes:
        row["RespondedDate"] = records.stamp()
    account = activities.account_of({"WhatId" if row["IsWhat"] else "WhoId": row["RelationId"]}, records.look_up)
    if account:
        row["AccountId"] = account


def saved(kind: Kind, records: Records, row: Row, before: Row | None, changes: Row, writer: Writer) -> None:
    """Lets the activity show a relation that was made, and invites a user."""
    activity = records.tables[kind.activity].rows[row[kind.key]]
    if before is None and row["IsWhat"] and not activity.get("WhatId"):
        records.touch(kind.activity, activity["Id"], {"WhatId": row["RelationId"]}, writer)
    refresh(records, kind, activity["Id"], writer)
    if kind.activity == "Event":
        invitations.invite(records, row["Id"], writer)


def deleted(kind: Kind, records: Records, row: Row, writer: Writer) -> None:
    """Takes a relation out of its activity: another becomes the primary, and the event of a user goes."""
    activity = records.tables[kind.activity].rows[row[kind.key]]
    if not activity.get("IsDeleted"):
        if row["IsWhat"] and activity.get("WhatId") == row["RelationId"]:
            records.touch(kind.activity, activity["Id"], {"WhatId": None}, writer)
        refresh(records, kind, activity["Id"], writer)
    if kind.activity == "Event":
        invitations.uninvite(records, row, writer)


# --- the activity -------------------------------------------------------------------------------------------------------
def choose_who(kind: Kind, row: Row, changes: Row) -> None:
    """Makes the first of a list of people the primary one, where the write names none."""
    if changes.get(kind.ids) and "WhoId" not in changes:
        row["WhoId"] = changes[kind.ids][0]


def activity_saved(records: Records, kind: Kind, row: Row, before: Row | None, changes: Row, writer: Writer) -> None:
    """Gives an activity the relations that its WhoId, WhatId and list of people ask for. Raises Refused."""
    if row.get("IsChild") or not records.switches.shared_activities:
        return
    who, who_was = row.get("WhoId"), before.get("WhoId") if before else None
    present = [r["RelationId"] for r in _whos(records, kind, row["Id"])]
    if kind.ids in changes:
        wanted = [who, *(changes[kind.ids] or ())]
    elif who in present:
        wanted = [*present]
    else:
        wanted = [who, *(id_ for id_ in present if id_ != who_was)]
    _set_people(records, kind, row, [id_ for id_ in dict.fromkeys(wanted) if id_], writer)
    _set_what(records, kind, row, writer)
    refresh(records, kind, row["Id"], writer)


def _set_people(records: Records, kind: Kind, row: Row, wanted: list[str], writer: Writer) -> None:
    _check_people(wanted, row.get("WhatId"), kind.ids)
    present = {r["RelationId"]: r for r in records.children(kind.name, kind.key, row["Id"]) if not r.get("IsWhat")}
    for id_ in wanted:  # new ones first: else the primary would be missing for a moment, and another take its place
        if id_ not in present:
            records.add(kind.name, {kind.key: row["Id"], "RelationId": id_, "IsParent": True}, writer)
        elif not present[id_].get("IsParent"):
            records.touch(kind.name, present[id_]["Id"], {"IsParent": True}, writer)
    for id_, relation in present.items():
        if id_ not in wanted and relation.get("IsParent"):
            if relation.get("IsInvitee"):
                records.touch(kind.name, relation["Id"], {"IsParent": False}, writer)
            else:
                records.discard(kind.name, relation["Id"], writer)


def _set_what(records: Records, kind: Kind, row: Row, writer: Writer) -> None:
    what, present = row.get("WhatId"), _whats(records, kind, row["Id"])
    if what and all(r["RelationId"] != what for r in present):
        records.add(kind.name, {kind.key: row["Id"], "RelationId": what, "IsParent": True}, writer)
    for relation in present:
        if relation["RelationId"] != what:
            records.discard(kind.name, relation["Id"], writer)


def refresh(records: Records, kind: Kind, activity_id: str, writer: Writer) -> None:
    """Lets an activity show who its relations lead to. Where WhoId is none of them, the oldest takes its place."""
    row = records.tables[kind.activity].rows[activity_id]
    if row.get("IsChild") or not records.switches.shared_activities:
        return
    people = [r["RelationId"] for r in _whos(records, kind, activity_id)]
    first = row.get("WhoId") if row.get("WhoId") in people else next(iter(people), None)
    account = activities.account_of({**row, "WhoId": first}, records.look_up)
    if (first, account) != (row.get("WhoId"), row.get("AccountId")):
        records.touch(kind.activity, activity_id, {"WhoId": first, "AccountId": account}, writer)
    listed = [id_ for id_ in dict.fromkeys([first, *people]) if id_]
    shown: dict[str, Any] = {kind.ids: listed, "WhoCount": len(people), "WhatCount": len(_whats(records, kind, activity_id))}
    if any(row.get(name, []) != value for name, value in shown.items()):
        records.note(kind.activity, activity_id, shown, writer)


# --- what happens elsewhere ---------------------------------------------------------------------------------------------
def person_deleted(records: Records, row: Row, writer: Writer) -> None:
    """Takes a person out of activities that others share. The activities of that person alone go along."""
    for kind in KINDS.values():
        for relation in records.children(kind.name, "RelationId", row["Id"]):
            if not relation.get("IsParent") or len(_whos(records, kind, relation[kind.key])) > 1:
                records.discard(kind.name, relation["Id"], writer)


def merged(records: Records, kept_id: str, writer: Writer) -> None:
    """Leaves one relation of an activity to a record that others were merged into."""
    for kind in KINDS.values():
        seen: set[str] = set()
        for relation in records.children(kind.name, "RelationId", kept_id):
            activity_id = relation[kind.key]
            if activity_id in seen:
                records.discard(kind.name, relation["Id"], writer)
            seen.add(activity_id)
            refresh(records, kind, activity_id, writer)


def settle(records: Records, writer: Writer) -> None:
    """Gives all activities their relations when they become shared, and takes them away when they are no longer."""
    for kind in KINDS.values():
        for row in [r for r in records.tables[kind.activity].rows.values() if not r.get("IsDeleted")]:
            if records.switches.shared_activities:
                activity_saved(records, kind, row, None, {}, writer)
            else:
                records.note(kind.activity, row["Id"], {kind.ids: None, "WhoCount": None, "WhatCount": None}, writer)
        if not records.switches.shared_activities:
            _keep_invitees(records, kind, writer)


def _keep_invitees(records: Records, kind: Kind, writer: Writer) -> None:
    table = records.tables[kind.name]
    for relation in [r for r in table.rows.values() if r.get("IsParent")]:
        if relation.get("IsInvitee"):
            records.note(kind.name, relation["Id"], {"IsParent": False}, writer)
        else:
            table.remove(relation["Id"])

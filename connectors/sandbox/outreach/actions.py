"""What Outreach's tasks, sequences and sequence states let be done to them beside create and update."""

from __future__ import annotations

import uuid
from typing import Any
from urllib.parse import parse_qsl

from connectors.sandbox.outreach.query import BadQuery, show_instant
from connectors.sandbox.outreach.refusal import Refused
from connectors.sandbox.outreach.table import Record, Table
from connectors.sandbox.wire import read_id

IN_SEQUENCE = ("active", "paused", "failed", "bounced", "pending", "disabled")  # a prospect's activeSequenceStates
STATES = {"finish": "finished", "pause": "paused", "resume": "active"}
# What comes with a state that says that something is over: type -> states, and the instant that goes with them.
ENDS = {"task": (("complete",), "completedAt"), "mailing": (("delivered", "opened", "replied"), "deliveredAt")}
CHOICES = {  # what an attribute of a call must be, where it is given
    "direction": ("inbound", "outbound"),
    "outcome": ("Answered", "Not Answered"),
    "userCallType": ("bridge", "voip"),
    "sequenceAction": ("Advance", "Finish", "Finish - No Reply", "Finish - Replied"),
}


def born_with(type_: str, at: str) -> Record:
    """Returns the attributes that the system itself gives a new record."""
    if type_ == "task":
        return {"state": "incomplete", "taskType": "manual", "completed": False}
    if type_ == "sequenceState":
        return {"state": "active", "activeAt": at, "stateChangedAt": at}
    if type_ == "sequence":
        return {"enabled": False, "locked": False}
    if type_ == "mailing":
        return {"state": "drafted", "mailingType": "single"}
    if type_ == "webhook":
        return {"active": True, "payloadVersion": 1, "action": "*", "resource": "*", "cleanupToken": uuid.uuid4().hex}
    return {}


def ended(type_: str, record: Record) -> Record:
    """Returns what follows from the state of a task or a mailing that is over: since when, unless that was said."""
    states, at = ENDS[type_]
    is_over = record.get("state") in states
    since = {at: record["updatedAt"], "stateChangedAt": record.get("stateChangedAt") or record["updatedAt"]}
    return {**({"completed": is_over} if type_ == "task" else {}), **(since if is_over and not record.get(at) else {})}


def _refuse_call(values: Record) -> None:
    for name, choices in CHOICES.items():
        if values.get(name) is not None and values[name] not in choices:
            raise Refused(422, "validationError", f"{name} is not included in the list.", f"/data/attributes/{name}")
    if values.get("recordingUrl") and not values["recordingUrl"].startswith(("http://", "https://")):
        raise Refused(422, "validationError", "recordingUrl is not a valid URL.", "/data/attributes/recordingUrl")


def refuse_create(type_: str, values: Record, tables: dict[str, Table]) -> None:
    """Raises Refused for a sequence state that lacks one of its three relationships, or whose sequence is locked, for a
    prospect that is in the sequence already, and for a call that says what no call can."""
    if type_ == "call":
        _refuse_call(values)
    if type_ != "sequenceState":
        return
    for name in ("prospect", "sequence", "mailbox"):
        if values.get(name) is None:
            raise Refused(422, "validationError", f"{name.capitalize()} must exist.", f"/data/relationships/{name}")
    if tables["sequences"].records[values["sequence"]].get("locked"):
        raise Refused(422, "validationError", "Sequence is locked.", "/data/relationships/sequence")
    states = tables["sequenceStates"]
    for id_ in states.having("prospect", [values["prospect"]]) or ():
        state = states.records[id_]
        if state.get("sequence") == values["sequence"] and state.get("state") in IN_SEQUENCE:
            raise Refused(422, "validationError", "Prospect is already in this sequence.", "/data/relationships/prospect")


def changes(type_: str, record: Record, action: str, query: str, now: str) -> Record:
    """Returns what an action changes. Raises Refused for one the resource does not have, or in the wrong state."""
    given = {k[len("actionParams[") : -1]: v for k, v in parse_qsl(query, keep_blank_values=True) if k.startswith("actionParams[")}
    if type_ == "sequenceState" and action in STATES:
        return _sequence_state(record, action, now)
    if type_ == "sequence" and action in ("activate", "deactivate"):
        return {"enabled": action == "activate"}
    if type_ == "task":
        return _task(record, action, given, now)
    raise Refused(404, "routeNotFound", "No route matches this path.")


def _sequence_state(record: Record, action: str, now: str) -> Record:
    if record.get("state") in ("finished", "bounced", "opted_out"):
        raise Refused(422, "validationError", f"Sequence state is {record['state']}.")
    if action == "resume" and record.get("state") != "paused":
        raise Refused(422, "validationError", "Sequence state is not paused.")
    return {"state": STATES[action], "stateChangedAt": now, "pauseReason": "manual" if action == "pause" else None}


def _task(record: Record, action: str, given: dict[str, str], now: str) -> Record:
    if action in ("reschedule", "reassignOwner", "updateNote"):
        return _changed_task(action, given)
    if record.get("state") == "complete":
        raise Refused(422, "validationError", "Task is already complete.")
    if action in ("markComplete", "advance", "deliver", "logMeetInPerson"):
        note = given.get("completionNote")
        done: Record = {"state": "complete", "completed": True, "completedAt": now, "stateChangedAt": now}
        return {**done, **({"note": note} if note else {})}
    if action == "snooze":
        return {"scheduledAt": _instant(given["dueAt"]) if given.get("dueAt") else now}
    raise Refused(404, "routeNotFound", "No route matches this path.")


def _changed_task(action: str, given: dict[str, str]) -> Record:
    name = {"reschedule": "dueAt", "reassignOwner": "ownerId", "updateNote": "note"}[action]
    value: Any = given.get(name, "")
    if not value:
        raise Refused(400, "permittedParams.unknownAttribute", f"actionParams[{name}] is missing.")
    if action == "reschedule":
        return {"dueAt": _instant(value)}
    if action == "reassignOwner":
        owner = read_id(value)
        if owner is None:
            raise Refused(400, "permittedParams.unknownAttribute", "actionParams[ownerId] must be a number.")
        return {"owner": owner}
    return {"note": value}


def _instant(text: str) -> str:
    try:
        return show_instant(text)
    except BadQuery:
        raise Refused(422, "validationError", "dueAt is not a valid datetime.") from None

"""Seed 003 (S3.1): what users did in Outreach becomes a completed Task of the CRM, one way, once for each activity.

Pure. `first_look` says whether an activity is one to carry at all, `decide` makes its Task out of what was looked up. Whom it
was done with is whom the prospect is linked to; without a link it waits. Later edits in Outreach, and deletions on either
side, change nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime
from enum import StrEnum
from zoneinfo import ZoneInfo

from connectors.contract import Op, Record, Ref, Test, Value
from reconciliation.core.ledger import Outcome
from reconciliation.core.operations import Decision, Intent
from reconciliation.core.values import is_blank
from reconciliation.passes.pairs import marker_of

CRM_TASK = "Task"
TASK, MAILING, CALL = "task", "mailing", "call"
CARRIED, WAITS_FOR_LINK, IN_DOUBT = "carried", "waits_for_link", "in_doubt"
LONGEST = {"Subject": 255, "Description": 32_000}  # characters (reference, Salesforce 13.8)
NEVER_RECEIVED = ("bounced", "failed")  # states of mailings
CUT = "…"


@dataclass(frozen=True, slots=True)
class Source:
    """One type of activity: what is read of it, what the request leaves out already, and how it reads as a Task."""

    object_type: str
    columns: tuple[str, ...]
    owner: str  # the relationship that names whose it is
    done_at: Callable[[Record], datetime | None]  # None: not done yet
    narrowed: Callable[[datetime], tuple[Test, ...]]  # beside the cursor; given is since when activities are carried
    subject: Callable[[Record], str]
    subject_of: tuple[str, ...]  # the attributes that the subject is made of
    lines: Callable[[Record], tuple[str, ...]]  # the paragraphs of the description; "" for none
    more: Callable[[Record], dict[str, Value]]


class State(StrEnum):
    """What we remember of an activity."""

    WAITING = "waiting"
    REFUSED = "refused"
    CARRIED = "carried"
    TAKEN_BACK = "taken_back"


@dataclass(frozen=True, slots=True)
class Known:
    """What became of an activity so far, and its version when it was seen last."""

    state: State
    version: str


@dataclass(frozen=True, slots=True)
class Person:
    """Whom the CRM has for the prospect, as it stands now; `account_id` is the account of a contact."""

    ref: Ref
    account_id: str = ""


@dataclass(frozen=True, slots=True)
class Owner:
    """Whose the Task is: an active user of the CRM, and the zone that the day of the Task is one of."""

    id: str
    zone: str = ""


@dataclass(frozen=True, slots=True)
class ActivityTerms:
    """What holds for a whole run. `begins_at`: what was done before is left alone (D27)."""

    begins_at: datetime
    database: str
    crm_name: str
    peer_name: str
    is_restored: bool = False  # our database was put back from a backup: it may have forgotten what was carried
    longest: Mapping[str, int] = field(default_factory=lambda: LONGEST)


@dataclass(frozen=True, slots=True)
class ActivityDecision(Decision):
    """What was decided for one activity. `task_id` is what stands for it in the CRM; `prospect_id` whom it was done with."""

    prospect_id: str = ""
    task_id: str = ""
    name: str = ""


# --- the three types ------------------------------------------------------------------------------------------------------


def _instant(record: Record, *names: str) -> datetime | None:
    return next((at for name in names if isinstance(at := record.fields.get(name), datetime)), None)


def _text(record: Record, name: str) -> str:
    value = record.fields.get(name)
    return "" if is_blank(value) else str(value).strip()


def _first_line(text: str) -> str:
    return text.splitlines()[0].strip() if text else ""


def _in_one_line(text: str) -> str:
    return " ".join(text.split())


def _task_done_at(record: Record) -> datetime | None:
    return _instant(record, "completedAt", "stateChangedAt", "updatedAt") if record.fields.get("state") == "complete" else None


ACTIONS = {"action_item": "Task", "call": "Call task", "email": "Email task", "in_person": "In-person task"}


def _task_subject(record: Record) -> str:
    action = _text(record, "action")
    title = ACTIONS.get(action) or action.replace("_", " ").capitalize() or "Task"
    note = _first_line(_text(record, "note"))
    return f"{title}: {note}" if note else title


def _mailing_subject(record: Record) -> str:
    subject = _in_one_line(_text(record, "subject"))
    return f"Email: {subject}" if subject else "Email without a subject"


def _call_done_at(record: Record) -> datetime | None:
    """A call that was logged says how it ended; when, by the best that was noted."""
    if _instant(record, "completedAt", "answeredAt", "returnedAt") is None and is_blank(record.fields.get("outcome")):
        return None
    return _instant(record, "completedAt", "answeredAt", "returnedAt", "dialedAt", "createdAt", "updatedAt")


def _call_subject(record: Record) -> str:
    direction, outcome = _text(record, "direction"), _text(record, "outcome")
    return f"{direction.capitalize()} call".strip().capitalize() + (f": {outcome.lower()}" if outcome else "")


def _call_lines(record: Record) -> tuple[str, ...]:
    numbers = " ".join(f"{word} {_text(record, name)}" for word, name in (("from", "from"), ("to", "to")) if _text(record, name))
    recording = _text(record, "recordingUrl")
    return (
        _text(record, "note"),
        f"Called {numbers}." if numbers else "",
        f"Recording: {recording}" if recording else "",
    )


def _call_more(record: Record) -> dict[str, Value]:
    direction = _text(record, "direction").capitalize()
    more: dict[str, Value] = {"CallType": direction} if direction in ("Inbound", "Outbound") else {}
    begun, ended = _instant(record, "answeredAt"), _instant(record, "completedAt")
    if begun is not None and ended is not None and ended >= begun:
        more["CallDurationInSeconds"] = int((ended - begun).total_seconds())
    return more


SOURCES: dict[str, Source] = {
    source.object_type: source
    for source in (
        Source(
            TASK,
            ("action", "state", "note", "completedAt", "stateChangedAt", "owner", "prospect"),
            owner="owner",
            done_at=_task_done_at,
            narrowed=lambda begins_at: (Test("state", Op.EQ, "complete"),),
            subject=_task_subject,
            subject_of=("note", "action"),
            lines=lambda record: (_text(record, "note"),),
            more=lambda record: {"TaskSubtype": "Task"},
        ),
        Source(
            MAILING,
            ("subject", "bodyText", "state", "deliveredAt", "user", "prospect"),
            owner="user",
            done_at=lambda record: _instant(record, "deliveredAt"),
            narrowed=lambda begins_at: (Test("deliveredAt", Op.GE, begins_at),),
            subject=_mailing_subject,
            subject_of=("subject",),
            lines=lambda record: (_text(record, "bodyText"),),
            more=lambda record: {"TaskSubtype": "Email"},
        ),
        Source(
            CALL,
            (
                *("direction", "outcome", "state", "note", "from", "to", "recordingUrl"),
                *("completedAt", "answeredAt", "returnedAt", "dialedAt", "createdAt", "user", "prospect"),
            ),
            owner="user",
            done_at=_call_done_at,
            narrowed=lambda begins_at: (),  # Outreach filters calls by none of their times but updatedAt
            subject=_call_subject,
            subject_of=("outcome", "direction"),
            lines=_call_lines,
            more=lambda record: {"TaskSubtype": "Call", **_call_more(record)},
        ),
    )
}
TYPES = tuple(SOURCES)


def name_of(record: Record) -> str:
    """Returns what people call an activity: the subject of its Task."""
    source = SOURCES[record.ref.object_type]
    return "" if record.damaged.intersection(source.subject_of) else source.subject(record)[: LONGEST["Subject"]]


# --- deciding ---------------------------------------------------------------------------------------------------------------


def _decided(record: Record, outcome: Outcome, reason: str, sentence: str) -> ActivityDecision:
    prospect = record.fields.get("prospect")
    name = name_of(record) if record.fields else ""
    return ActivityDecision(record, outcome, reason, sentence, prospect_id="" if is_blank(prospect) else str(prospect), name=name)


def excluded(record: Record, reason: str, sentence: str) -> ActivityDecision:
    return _decided(record, Outcome.EXCLUDED, reason, sentence)


def held(record: Record, reason: str, sentence: str) -> ActivityDecision:
    """Returns the decision of an activity that is not lost: it is looked at again."""
    return _decided(record, Outcome.HELD, reason, sentence)


def unchanged(record: Record, reason: str, sentence: str) -> ActivityDecision:
    return _decided(record, Outcome.UNCHANGED, reason, sentence)


def first_look(record: Record, known: Known | None, terms: ActivityTerms) -> ActivityDecision | None:
    """Returns the decision about an activity where nothing has to be looked up for it, else None."""
    if known is not None and (decision := _remembered(record, known)) is not None:
        return decision
    if record.is_deleted:
        return excluded(record, "deleted_in_peer", f"It was deleted in {terms.peer_name} before it was carried.")
    if record.ref.object_type == MAILING and record.fields.get("state") in NEVER_RECEIVED:
        return excluded(record, "bounced", "The mail bounced or failed: nobody received it.")
    done_at = SOURCES[record.ref.object_type].done_at(record)
    if done_at is None:
        return excluded(record, "not_finished", "It is not done yet; it is looked at again when that changes.")
    if done_at < terms.begins_at:
        return excluded(record, "before_start", f"It was done on {done_at:%Y-%m-%d}, before the moment from which activities are carried.")
    if is_blank(record.fields.get("prospect")):
        return excluded(record, "no_prospect", "It belongs to no prospect, or to one that was deleted.")
    return None


def _remembered(record: Record, known: Known) -> ActivityDecision | None:
    if known.state is State.CARRIED:
        if known.version == record.version or record.is_deleted:
            return unchanged(record, "echo", "It is in the CRM.")
        return unchanged(record, CARRIED, "It is in the CRM; what changes afterwards is not written again.")
    if known.state is State.TAKEN_BACK:
        return excluded(record, "taken_back", "Its Task was taken back by a person; it is not made again.")
    if known.state is State.REFUSED and known.version == record.version:
        return held(record, "case_open", "It was refused and nobody edited it since; it waits for a person in Errors.")
    return None


def decide(record: Record, person: Person, owner: Owner | None, terms: ActivityTerms) -> ActivityDecision:
    """Returns the decision that makes the Task of an activity. What is too long is cut and said; a text that was damaged on its
    way is left out and said (engine-rules 5)."""
    source = SOURCES[record.ref.object_type]
    subject, said_of_subject = _subject(record, source, terms)
    description, said_of_description = _description(record, source, terms)
    done_at = source.done_at(record)
    assert done_at is not None  # `first_look` left nothing else
    after: dict[str, Value] = {
        "Subject": subject,
        "Status": "Completed",
        "Priority": "Normal",
        "ActivityDate": day_of(done_at, owner.zone if owner is not None else ""),
        "WhoId": person.ref.id,
        **({"WhatId": person.account_id} if person.account_id and person.ref.object_type == "Contact" else {}),
        **({"Description": description} if description else {}),
        **({"OwnerId": owner.id} if owner is not None else {}),
        **source.more(record),
    }
    intent = Intent(
        "create",
        "crm",
        CRM_TASK,
        str(record.ref),
        after,
        marker=marker_of(terms.database, record.ref),
        reason=f"A {record.ref.object_type} of {terms.peer_name} that was done.",
        origin={"name": subject},
    )
    made = _decided(record, Outcome.CREATED, "created", f"It became a Task of {person.ref.object_type} {person.ref.id}.")
    warnings = (*said_of_subject, *said_of_description, *_said_of_owner(record, source, owner, terms))
    return replace(made, intent=intent, warnings=warnings, name=subject)


def day_of(at: datetime, zone: str) -> date:
    """Returns the day of an instant where its owner works; in UTC where that is not known."""
    try:
        return at.astimezone(ZoneInfo(zone) if zone else UTC).date()
    except (KeyError, OSError, ValueError):  # a zone that this machine has not heard of
        return at.astimezone(UTC).date()


def _subject(record: Record, source: Source, terms: ActivityTerms) -> tuple[str, tuple[str, ...]]:
    hurt = record.damaged.intersection(source.subject_of)
    if not hurt:
        return _fitted("Subject", source.subject(record), terms)
    whole = {name: value for name, value in record.fields.items() if name not in hurt}
    said = f"{', '.join(sorted(hurt))} holds characters that no system can store, and is not in the subject"
    text, more = _fitted("Subject", source.subject(Record(record.ref, whole)), terms)
    return text, (said, *more)


def _description(record: Record, source: Source, terms: ActivityTerms) -> tuple[str, tuple[str, ...]]:
    hurt = sorted(record.damaged.intersection(source.columns))
    whole = {name: value for name, value in record.fields.items() if name not in hurt}
    text = "\n\n".join(line for line in source.lines(Record(record.ref, whole)) if line)
    said = (f"{', '.join(hurt)} holds characters that no system can store, and was left out",) if hurt else ()
    fitted, more = _fitted("Description", text, terms)
    return fitted, (*said, *more)


def _fitted(name: str, text: str, terms: ActivityTerms) -> tuple[str, tuple[str, ...]]:
    most = terms.longest.get(name) or LONGEST[name]
    if len(text) <= most:
        return text, ()
    said = f"{name} was cut: it has {len(text):,} characters, and {most:,} fit; the rest is in {terms.peer_name} only"
    return text[: most - len(CUT)] + CUT, (said,)


def _said_of_owner(record: Record, source: Source, owner: Owner | None, terms: ActivityTerms) -> tuple[str, ...]:
    if owner is not None:
        return ()
    user = record.fields.get(source.owner)
    nobody = f"User {user} of {terms.peer_name} has no active user of {terms.crm_name} with the same e-mail address"
    who = "It names no user" if is_blank(user) else nobody
    return (f"{who}: the Task belongs to the user that we connect as",)

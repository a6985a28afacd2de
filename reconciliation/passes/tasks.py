"""Seed 004: which tasks of a mailbox go up to Salesforce, and which tasks of Salesforce come down. Pure.

Looked at is what is open, or due or changed in the last two weeks (behaviour of the product line, section 8). Each rule that leaves
a task out has a reason and a sentence, so that a run can tell of every task that it saw (S4.16).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta

from connectors import tasks as words
from connectors.contract import Record, Value
from connectors.mailboxes import CATEGORIES, FOREIGN_ID
from connectors.tasks import TASK
from reconciliation.passes.items import BY_CATEGORY, BY_ITSELF, BY_LIST, ItemRules, LeftOut, lacks, pointer, pointer_of
from reconciliation.passes.pairs import Kind

CRM_TASK = "Task"
CATEGORY, OUR_LIST = "Salesforce", "Salesforce Tasks"
LOOKED_BACK = timedelta(days=14)
NO_SUBJECT = "(no subject)"
# Kinds of tasks of Salesforce that tell of something else, which was done elsewhere (reference, Salesforce 13.8).
_OTHER_KINDS = {
    "Email": "an e-mail",
    "ListEmail": "an e-mail to a list of people",
    "Call": "a call",
    "Cadence": "a step of a cadence",
    "LinkedIn": "a message on LinkedIn",
}


@dataclass(frozen=True, slots=True)
class TaskTerms:
    """What holds for the tasks of one mailbox. `since`: its sync was switched on; `looked_from`: what is done counts if it was due or
    changed since; `shares_all`: new tasks go up without category and list. `seen_at`: when a task was seen first, for systems that
    do not tell when one was made; what was there when sync was switched on is left out of it."""

    since: datetime
    user_id: str  # its user in the CRM
    looked_from: datetime
    shares_all: bool = False
    seen_at: Mapping[str, datetime] = field(default_factory=dict)


def looked_from(now: datetime, back: timedelta = LOOKED_BACK) -> datetime:
    """Returns since when a task that is done must have been due or changed to be looked at."""
    return now - back


def is_marked(item: Record) -> bool:
    """Tells whether its user asked for a task to be shared: by the category, in any case of its letters, or by our list."""
    return _bears_category(item) or item.fields.get(words.IS_OURS) is True


def _bears_category(item: Record) -> bool:
    held = item.fields.get(CATEGORIES)
    return isinstance(held, tuple) and CATEGORY.casefold() in {name.casefold() for name in held}


def name_of(item: Record) -> str:
    return str(item.fields.get(words.SUBJECT) or NO_SUBJECT)


def why_shared(item: Record, terms: TaskTerms) -> str | LeftOut:
    """Returns why a task that is linked to nothing goes up, or why it does not (S4.1, S4.5, S4.16, S4.21)."""
    is_done = item.fields.get(words.STATUS) == words.COMPLETED
    if is_done and not _is_recent(terms, item.fields.get(words.DUE), item.fields.get(words.COMPLETED_ON), item.updated_at):
        return LeftOut("window", f"It is done, and was neither due nor changed since {terms.looked_from:%Y-%m-%d}.")
    if _bears_category(item):
        return BY_CATEGORY
    if item.fields.get(words.IS_OURS) is True:
        return BY_LIST
    return _by_itself(item, terms)


def _by_itself(item: Record, terms: TaskTerms) -> str | LeftOut:
    if not terms.shares_all:
        how = f"It has neither the category “{CATEGORY}” nor lies in the list “{OUR_LIST}”"
        return LeftOut("not_shared", f"{how}, and tasks are not shared by themselves.")
    made = item.fields.get(words.CREATED) or terms.seen_at.get(item.ref.id)
    if not isinstance(made, datetime) or made < terms.since:
        sentence = f"It was made before sync was switched on; the category “{CATEGORY}” or the list “{OUR_LIST}” shares it."
        return LeftOut("earlier", sentence)
    return BY_ITSELF


def why_not_down(task: Record, terms: TaskTerms) -> LeftOut | None:
    """Returns why a task of Salesforce that is linked to nothing is not made in the mailbox, None where it is."""
    fields = task.fields
    made, kind = fields.get("CreatedDate"), str(fields.get("TaskSubtype") or "")
    if fields.get("OwnerId") != terms.user_id:
        return LeftOut("not_mine", "It belongs to another user, or to a queue.")
    if kind in _OTHER_KINDS:
        return LeftOut("other_kind", f"It tells of {_OTHER_KINDS[kind]}, and is no task to do.")
    if fields.get("IsRecurrence") is True:
        return LeftOut("recurring", "It is the pattern of a recurring task; each of its tasks comes down by itself.")
    if not isinstance(made, datetime) or made < terms.since:
        return LeftOut("earlier", "It was made before sync was switched on.")
    changed = task.edited_at or task.updated_at
    if fields.get("IsClosed") is True and not _is_recent(terms, fields.get("ActivityDate"), fields.get("CompletedDateTime"), changed):
        return LeftOut("window", f"It is closed, and was neither due nor changed since {terms.looked_from:%Y-%m-%d}.")
    return None


def _is_recent(terms: TaskTerms, *moments: Value) -> bool:
    """Tells whether one of these days or instants lies in the time that is looked at. The first day counts as a whole."""
    return any(
        moment >= terms.looked_from if isinstance(moment, datetime) else moment >= terms.looked_from.date()
        for moment in moments
        if isinstance(moment, date)
    )


def keys(record: Record) -> tuple[str, ...]:
    """Returns nothing: two tasks of the same subject are two tasks. They are found by the marker only."""
    return ()


def called(record: Record) -> str:
    """Returns what a task of either side is called in lists."""
    return name_of(record) if record.ref.object_type == TASK else str(record.fields.get("Subject") or NO_SUBJECT)


RULES = ItemRules(
    why_shared=why_shared,
    why_not_down=why_not_down,
    shown=lambda item, terms: item,
    withheld=lambda item, terms: frozenset(),
    held_back=lambda item, fields, terms: frozenset(),
    is_secret=lambda item, terms: False,
    is_marked=is_marked,
    is_cancelled=lambda item: False,
    is_own_meeting=lambda item: False,
    others_at=lambda item, terms: 0,
    occasion_of=lambda item: "",
    family_of=lambda item: "",
    bears_marks=lambda item: True,
    is_read_only=lambda task: False,
    noun="task",
)

TASKS = Kind(
    peer_object=TASK,
    keys=keys,
    key_fields={},
    columns={
        TASK: (CATEGORIES, FOREIGN_ID),
        CRM_TASK: (
            *("Subject", "Status", "OwnerId", "CreatedDate", "TaskSubtype", "IsRecurrence", "IsClosed", "ActivityDate"),
            *("CompletedDateTime", "WhoId", "WhatId"),
        ),
    },
    pointer_of=pointer_of,
    pointer=pointer,
    name_of=called,
    key_word="marker",
    no_key="",
    no_key_sentence="",
    spellings=lambda record: (),
    marker_is_pointer=True,
    is_mailbox=True,
    lacks=lacks,
    born_with={CATEGORIES: (CATEGORY,)},
    own_fields=(CATEGORIES,),
)

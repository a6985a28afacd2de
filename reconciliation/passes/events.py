"""Seed 004: which events of a calendar go up to Salesforce, which events of Salesforce come down, and what of them. Pure.

Each rule that leaves an event out has a reason and a sentence, so that a run can tell of every event that it saw (S4.16, C27).
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from connectors import calendars as words
from connectors.calendars import EVENT, SILENT, Window, guests_of
from connectors.contract import Record, Value
from connectors.mailboxes import CATEGORIES, FOREIGN_ID
from connectors.when import When, read_when
from reconciliation.core.mailbox_settings import BUSY_ONLY, FULL, SKIP
from reconciliation.passes.items import BY_CATEGORY, BY_ITSELF, ItemRules, LeftOut, lacks, pointer, pointer_of
from reconciliation.passes.pairs import Kind

__all__ = ["BUSY_ONLY", "BY_CATEGORY", "BY_ITSELF", "FULL", "SKIP", "LeftOut"]

CRM_EVENT = "Event"
CATEGORY = "Salesforce"
LONGEST = timedelta(days=14)  # an event of Salesforce lasts no longer
WITHHELD = "Private appointment"  # what Salesforce shows of one of which only the time goes up
DETAILS = frozenset({"subject", "location", words.BODY})  # of a private event
_UNANSWERED = {words.DECLINED: "was declined", words.OPEN: "was not answered yet"}


@dataclass(frozen=True, slots=True)
class EventTerms:
    """What holds for one calendar. `since`: its sync was switched on; `shares_all`: new events go up without the category."""

    window: Window
    since: datetime
    user_id: str  # its user in the CRM
    shares_all: bool = False
    private: str = SKIP
    is_silent: bool = False  # its mail system can be told to mail nobody
    told: frozenset[str] = frozenset()  # events whose guests a person wants to be mailed about a change of Salesforce
    own: frozenset[str] = frozenset()  # the mailbox's own addresses
    has_categories: bool = True  # its user can mark an event; elsewhere one is shared on the product's pages


def is_hidden(item: Record) -> bool:
    """Tells whether its user keeps the event from others."""
    return item.fields.get(words.SENSITIVITY) in words.HIDDEN


def is_marked(item: Record) -> bool:
    """Tells whether its user asked for it to be shared, by the category in any case of its letters."""
    held = item.fields.get(CATEGORIES)
    return isinstance(held, tuple) and CATEGORY.casefold() in {name.casefold() for name in held}


def name_of(item: Record) -> str:
    """Returns what an event is called in lists, which never tell of a private one."""
    return WITHHELD if is_hidden(item) else str(item.fields.get("subject") or "(no subject)")


def occasion_of(item: Record) -> str:
    """Returns the key of what takes place: the same in the calendars of everybody who takes part, other for each occurrence of a
    series (C23, C26). "" where the mail system names none."""
    uid, original = item.fields.get(words.UID), item.fields.get(words.ORIGINAL_START)
    if not uid:
        return ""
    return hashlib.sha256(f"{uid}\n{original or ''}".encode()).hexdigest()[:40]


def family_of(item: Record) -> str:
    """Returns the key of the series of an occurrence, whenever it takes place; "" for a single event."""
    uid = item.fields.get(words.UID) if item.fields.get(words.SERIES) else None
    return hashlib.sha256(str(uid).encode()).hexdigest()[:40] if uid else ""


def why_shared(item: Record, terms: EventTerms) -> str | LeftOut:
    """Returns why an event that is linked to nothing goes up, or why it does not (S4.1, S4.5, S4.16, S4.21)."""
    when = read_when(item.fields.get(words.WHEN))
    if when is None:
        return LeftOut("no_time", "It has no time that could be read.")
    for left_out in (_of_itself(item, terms), _of_time(when, terms)):
        if left_out is not None:
            return left_out
    return BY_CATEGORY if is_marked(item) else _by_itself(item, terms)


def _of_itself(item: Record, terms: EventTerms) -> LeftOut | None:
    if item.fields.get(words.ORIGIN) == words.SPECIAL:
        return LeftOut("special", "It was made by the mail system itself, or is a draft.")
    if item.fields.get(words.IS_CANCELLED) is True:
        return LeftOut("cancelled", "It was cancelled.")
    if is_hidden(item) and terms.private == SKIP:
        return LeftOut("private", "It is private, and private events are not shared.")
    return None


def _of_time(when: When, terms: EventTerms) -> LeftOut | None:
    if not when.overlaps(terms.window.start, terms.window.end):
        span = f"{terms.window.start:%Y-%m-%d} to {terms.window.end:%Y-%m-%d}"
        return LeftOut("window", f"It lies outside the days that are looked at, {span}.")
    if when.length > LONGEST:
        return LeftOut("too_long", "It lasts longer than 14 days, which no event of Salesforce may.")
    return None


def _by_itself(item: Record, terms: EventTerms) -> str | LeftOut:
    if not terms.shares_all:
        lacks = f"It does not have the category “{CATEGORY}”" if terms.has_categories else "Nobody shared it on “My mailbox”"
        return LeftOut("not_shared", f"{lacks}, and events are not shared by themselves.")
    answer = str(item.fields.get(words.RESPONSE))
    if item.fields.get(words.IS_ORGANIZER) is not True and answer in _UNANSWERED:
        return LeftOut("not_accepted", f"The invitation {_UNANSWERED[answer]}.")
    made = item.fields.get(words.CREATED)
    if not isinstance(made, datetime) or made < terms.since:
        how = f"the category “{CATEGORY}”" if terms.has_categories else "“My mailbox”"
        return LeftOut("earlier", f"It was made before sync was switched on; {how} shares it.")
    return BY_ITSELF


def why_not_down(event: Record, terms: EventTerms) -> LeftOut | None:
    """Returns why an event of Salesforce that is linked to nothing is not made in the calendar, None where it is. The copy of somebody
    who was invited in Salesforce belongs to that user, and comes down."""
    made, when = event.fields.get("CreatedDate"), read_when(event.fields.get("When"))
    if event.fields.get("OwnerId") != terms.user_id:
        return LeftOut("not_mine", "It belongs to another user.")
    if when is None:
        return LeftOut("no_time", "It has no time that could be read.")
    if not isinstance(made, datetime) or made < terms.since:
        return LeftOut("earlier", "It was made before sync was switched on.")
    return _of_time(when, terms)


def shown(item: Record, terms: EventTerms) -> Record:
    """Returns the event as Salesforce may see it: of a private one only when it is (C22)."""
    if not is_hidden(item) or terms.private == FULL:
        return item
    withheld: dict[str, Value] = {"subject": WITHHELD, "location": None, words.BODY: None, words.GUESTS: ()}
    return replace(item, fields={**item.fields, **withheld})


def others_at(item: Record, own: frozenset[str]) -> int:
    """Returns how many people a change would be mailed to: guests who are neither the user nor a room."""
    return sum(guest.address not in own and guest.type != words.RESOURCE for guest in guests_of(item))


def held_back(item: Record, fields: frozenset[str], terms: EventTerms) -> frozenset[str]:
    """Returns those of the event's mapped fields that nothing comes down into (D12): of a private event all of which Salesforce
    sees a substitute, of somebody else's meeting all but those of the own copy, and of one's own meeting likewise where its
    guests would be mailed, unless a person asked for the mail."""
    if is_hidden(item) and terms.private != FULL:
        return fields
    is_meeting = bool(guests_of(item))
    is_own = item.fields.get(words.IS_ORGANIZER) is True
    if not is_meeting or (is_own and (terms.is_silent or item.ref.id in terms.told)):
        return frozenset()
    return fields - SILENT


def withheld(item: Record, terms: EventTerms) -> frozenset[str]:
    """Returns the fields that Salesforce sees a substitute of."""
    return DETAILS if is_hidden(item) and terms.private != FULL else frozenset()


def is_secret(item: Record, terms: EventTerms) -> bool:
    """Tells whether an event is not to be in Salesforce at all."""
    return is_hidden(item) and terms.private == SKIP


def is_own_meeting(item: Record) -> bool:
    """Tells whether the mailbox's user invited others: deleting such an event cancels it for them."""
    return item.fields.get(words.IS_ORGANIZER) is True and bool(guests_of(item))


def keys(record: Record) -> tuple[str, ...]:
    """Returns the key of the occasion of an event of a calendar. Events of Salesforce are found by the marker that it makes."""
    key = occasion_of(record) if record.ref.object_type == EVENT else ""
    return (key,) if key else ()


def called(record: Record) -> str:
    """Returns what an event of either side is called in lists."""
    if record.ref.object_type == EVENT:
        return name_of(record)
    return str(record.fields.get("Subject") or record.fields.get("Name") or "(no subject)")


OF_OTHER_OBJECTS = ("Name", "When", "OwnerId", "CreatedDate")  # columns of an object that stands for events instead (S4.18)
RULES = ItemRules(
    why_shared=why_shared,
    why_not_down=why_not_down,
    shown=shown,
    withheld=withheld,
    held_back=held_back,
    is_secret=is_secret,
    is_marked=is_marked,
    is_cancelled=lambda item: item.fields.get(words.IS_CANCELLED) is True,
    is_own_meeting=is_own_meeting,
    others_at=lambda item, terms: others_at(item, terms.own),
    occasion_of=occasion_of,
    family_of=family_of,
    bears_marks=lambda item: item.fields.get(words.KIND) == words.SINGLE,
    is_read_only=lambda event: event.fields.get("IsChild") is True,
    noun="event",
)

EVENTS = Kind(
    peer_object=EVENT,
    keys=keys,
    key_fields={},
    columns={
        EVENT: (CATEGORIES, FOREIGN_ID),
        CRM_EVENT: ("Subject", "When", "OwnerId", "CreatedDate", "IsChild", "WhoId", "WhatId"),
    },
    pointer_of=pointer_of,
    pointer=pointer,
    name_of=called,
    key_word="occasion",
    no_key="",
    no_key_sentence="",
    spellings=lambda record: (),
    marker_is_pointer=True,
    is_mailbox=True,
    lacks=lacks,
    born_with={CATEGORIES: (CATEGORY,)},
    own_fields=(CATEGORIES,),
)

"""Whom events and tasks are linked to, and why (S4.23, S4.29, S4.33): asked of `engine.linker` for a whole page at once."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from connectors import calendars as words
from connectors.calendars import EVENT, RESOURCE, guests_of
from connectors.contract import Record, Value
from connectors.tasks import TASK
from reconciliation.core.linking_facts import Choice, Item, ItemKind, Participant, Role, Trigger
from reconciliation.engine.context import RunContext
from reconciliation.engine.item_terms import PEOPLE
from reconciliation.engine.linker import ItemToLink, Linked, Linker
from reconciliation.models import MailboxItem
from reconciliation.passes import items as rules

WHO, WHAT = "WhoId", "WhatId"
CHOSEN = "chosen"  # in the links of an item: {who, others, what, by}
MOST_PARTICIPANTS = 2000


def linker_of(context: RunContext) -> Linker:
    """Returns what links the items of this run; what was looked up once is not asked for again."""
    if context.linker is None:
        context.linker = Linker(context, context.sync_pass.mailbox)
    return context.linker


def links_of(context: RunContext, items: Sequence[Record], why: Mapping[str, str], rows: Mapping[str, MailboxItem]) -> dict[str, Linked]:
    """Returns the links of these items by their ids. Unknown people are made where the organisation wants that."""
    if not items or not has_links(context):
        return {}
    return linker_of(context).links_of([_asked(context, item, why.get(item.ref.id, ""), rows.get(item.ref.id)) for item in items])


def _asked(context: RunContext, item: Record, why: str, row: MailboxItem | None) -> ItemToLink:
    own = rules.rules_of(context.terms)
    is_withheld = bool(own.withheld(item, context.terms.own))
    trigger = Trigger.CALENDAR if why == rules.BY_ITSELF else Trigger.USER
    participants = () if is_withheld else tuple(_participants(context, item))[:MOST_PARTICIPANTS]
    kind = ItemKind.TASK if item.ref.object_type == TASK else ItemKind.EVENT
    asked = Item(item.ref.id, kind, participants, trigger=trigger, choice=choice_of(row))
    is_read = item.ref.object_type == EVENT and not is_withheld and not own.is_own_meeting(item)
    body = str(item.fields.get(words.BODY) or "") if is_read else ""
    return ItemToLink(asked, body=body, shown=context.terms.kind.name_of(item), is_private=is_withheld)


def _participants(context: RunContext, item: Record) -> Iterable[Participant]:
    own = {context.terms.scope.casefold()}  # the mailbox's address
    organizer = str(item.fields.get(words.ORGANIZER) or "")
    if organizer:
        address, _, name = organizer.partition(";")
        yield Participant(address, name, Role.ORGANIZER, is_self=address.casefold() in own)
    for guest in guests_of(item):
        is_self, is_resource = guest.address.casefold() in own, guest.type == RESOURCE
        yield Participant(guest.address, guest.name, Role.ATTENDEE, is_self=is_self, is_resource=is_resource, response=guest.response)


def choice_of(row: MailboxItem | None) -> Choice:
    """Returns what a person chose an item to be linked to."""
    chosen = (row.links if row is not None else {}).get(CHOSEN) or {}
    if not chosen:
        return Choice()
    others = chosen.get("others")
    return Choice(chosen.get("who"), tuple(others) if others is not None else None, chosen.get("what"), str(chosen.get("by") or ""))


def kept(linked: Linked, row: MailboxItem | None) -> dict[str, Any]:
    """Returns what is kept of an item's links; what a person chose stays with it."""
    chosen = (row.links if row is not None else {}).get(CHOSEN)
    return {**linked.as_json(), **({CHOSEN: chosen} if chosen else {})}


def given(context: RunContext, linked: Linked) -> dict[str, Value]:
    """Returns the fields of a new record that say whom it is linked to."""
    links, fields = linked.links, dict[str, Value]()
    if not has_links(context):
        return fields
    if links.who:
        fields[WHO] = links.who
    if links.what:
        fields[WHAT] = links.what
    if links.others and has_people(context):
        fields[PEOPLE] = tuple(dict.fromkeys((links.who, *(relation.id for relation in links.others))))
    return fields


def has_links(context: RunContext) -> bool:
    """Tells whether the CRM's object is linked to somebody at all: one that stands for events instead (S4.18) is not."""
    return WHO in context.terms.kind.columns.get(context.terms.types[0].crm_object, ())


def has_people(context: RunContext) -> bool:
    """Tells whether an event takes further people beside the main one: Shared Activities are on."""
    return PEOPLE in context.terms.kind.columns.get(context.terms.types[0].crm_object, ())


def changes(context: RunContext, before: Mapping[str, Any], linked: Linked, crm: Record) -> dict[str, Value]:
    """Returns what the record gets because the guests of its item changed (D12): whoever was added in the mailbox is added, whoever left
    it is taken out; what people linked in the CRM themselves stays."""
    old, new = _ids(before), _ids(linked.as_json())
    added, gone = [id_ for id_ in new if id_ not in old], {id_ for id_ in old if id_ not in new}
    who = str(crm.fields.get(WHO) or "")
    fields: dict[str, Value] = {}
    if not who and linked.links.who:
        fields[WHO] = linked.links.who
    elif who in gone:
        fields[WHO] = linked.links.who or None
    if has_people(context):
        held = crm.fields.get(PEOPLE)
        there = list(held) if isinstance(held, tuple) else [who] if who else []
        wanted = list(dict.fromkeys([id_ for id_ in there if id_ not in gone] + added))
        if wanted != there and (wanted or there):
            main = str(fields.get(WHO, who) or "")
            fields[PEOPLE] = tuple(dict.fromkeys(([main] if main else []) + wanted))
    return fields


def _ids(said: Mapping[str, Any]) -> list[str]:
    return list(dict.fromkeys(filter(None, [said.get("who") or "", *(other["id"] for other in said.get("others") or ())])))

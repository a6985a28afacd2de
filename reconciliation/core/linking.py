"""What an event, a task or an e-mail is linked to in Salesforce: WhoId, further people, and WhatId (S4.23, S4.29, S4.30). Pure.

The pass asks `linking_needs.needs` what to look up, and `decide_links` once all is known. Each step of the decision is a plain
sentence for the item's page. Rules and figures: `docs/decisions/0005-linking.md`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from reconciliation.core.counting import counted
from reconciliation.core.linking_facts import AddressRules, Item, Known, LinkSettings, PersonKind, Trigger, User
from reconciliation.core.linking_people import BLOCKED, Finding, LeftOut, Reading, Relation, read, relation_of, shown, stands_for
from reconciliation.core.linking_records import ACCOUNT_IDS, OPPORTUNITY_IDS, decide_record

LEAD_IDS = "00Q"  # what the ids of leads begin with
_KINDS = {PersonKind.CONTACT: "contact", PersonKind.LEAD: "lead", PersonKind.PERSON_ACCOUNT: "person account"}


@dataclass(frozen=True, slots=True)
class Links:
    """What an item is linked to. `others` are contacts beside `who`, for an activity with Shared Activities; `found` is
    everybody who was found, leads too, as the relations of an EmailMessage take them. `what` is `account` or `opportunity`,
    or what a person chose. `unresolved` are the addresses that Salesforce does not know, the main one first. `refusal`, where
    it is not empty, says why nothing but a person's wish saves the item."""

    who: str = ""
    others: tuple[Relation, ...] = ()
    what: str = ""
    account: str = ""
    opportunity: str = ""
    found: tuple[Relation, ...] = ()
    unresolved: tuple[str, ...] = ()
    left_out: tuple[LeftOut, ...] = ()
    steps: tuple[str, ...] = ()
    refusal: str = ""

    @property
    def is_related(self) -> bool:
        return bool(self.who or self.what or self.found)


def decide_links(item: Item, known: Known, *, settings: LinkSettings, rules: AddressRules, user: User) -> Links:
    """Returns the links of an item. What a person chose wins; it is said where Salesforce does not take it. Raises nothing:
    what was not looked up counts as not there."""
    reading = read(item, known, settings=settings, rules=rules, user=user)
    steps = [_said_of(finding) for finding in reading.findings]
    # Contacts first: beside a lead Salesforce takes neither another person nor a record.
    automatic = sorted((relation_of(f) for f in reading.found), key=lambda r: r.is_lead)
    who = _who(item, automatic, known, steps)
    others, beyond = _others(item, who, automatic, known, settings, steps)
    record = decide_record(item, who, reading, known, settings=settings, rules=rules, user=user)
    steps.append(record.why)
    what = record.id
    links = Links(
        who=who.id if who is not None else "",
        others=others,
        what=what,
        account=what if what.startswith(ACCOUNT_IDS) else "",
        opportunity=what if what.startswith(OPPORTUNITY_IDS) else "",
        found=_everybody(item, who, others, automatic),
        unresolved=tuple(f.party.key for f in reading.findings if f.is_unknown),
        left_out=(*reading.left_out, *beyond),
        steps=tuple(step for step in steps if step),
    )
    return replace(links, refusal=_refusal(item, links, reading, settings))


# --- people -----------------------------------------------------------------------------------------------------------


def _who(item: Item, automatic: Sequence[Relation], known: Known, steps: list[str]) -> Relation | None:
    """Returns whom WhoId names: the one that a person chose, else the first contact, else the first lead."""
    if item.choice.who == "":
        steps.append(f"{item.choice.chooser} chose that nobody is linked.")
        return None
    if item.choice.who and (chosen := _chosen(item, item.choice.who, automatic, known, steps)) is not None:
        return chosen
    first = automatic[0] if automatic else None
    if first is not None and first.is_lead and item.choice.what:
        steps.append(f"The lead {first.id} is not linked: a record was chosen, and Salesforce takes none beside a lead.")
        return None
    return first


def _others(
    item: Item, who: Relation | None, automatic: Sequence[Relation], known: Known, settings: LinkSettings, steps: list[str]
) -> tuple[tuple[Relation, ...], tuple[LeftOut, ...]]:
    """Returns the contacts beside WhoId, and who found no room there."""
    wanted = list(automatic)
    if item.choice.others is not None:
        chosen = (_chosen(item, id, automatic, known, steps) for id in dict.fromkeys(item.choice.others) if id)
        wanted = [relation for relation in chosen if relation is not None]
    beside = [r for r in {r.id: r for r in wanted}.values() if who is None or r.id != who.id]
    if who is None:
        return (), tuple(LeftOut(r.shown, "nobody is the main person") for r in beside)
    if who.is_lead:
        return (), tuple(LeftOut(r.shown, "Salesforce takes nobody beside a lead") for r in beside)
    if not settings.shared_activities:
        return (), tuple(LeftOut(r.shown, "Shared Activities are off in Salesforce: one person only") for r in beside)
    contacts = [r for r in beside if not r.is_lead]
    room = max(settings.max_relations - 1, 0)
    full = tuple(LeftOut(r.shown, f"Salesforce takes {counted(settings.max_relations, 'person', 'people')}") for r in contacts[room:])
    leads = tuple(LeftOut(r.shown, "Salesforce takes no lead beside contacts") for r in beside if r.is_lead)
    return tuple(contacts[:room]), (*leads, *full)


def _everybody(item: Item, who: Relation | None, others: Sequence[Relation], automatic: Sequence[Relation]) -> tuple[Relation, ...]:
    if item.choice.who == "":
        return ()
    named = (who,) if who is not None else ()
    everybody = (*named, *(others if item.choice.others is not None else automatic))
    return tuple({r.id: r for r in everybody}.values())


def _chosen(item: Item, id: str, automatic: Sequence[Relation], known: Known, steps: list[str]) -> Relation | None:
    """Returns the relation to a person who was chosen by id, None where Salesforce has nobody of that id any more."""
    person = stands_for(id, known)
    if person is None and id in known.by_id:
        steps.append(f"{item.choice.chooser} chose {id}, which is not in Salesforce any more.")
        return None
    kind = person.kind if person is not None else PersonKind.LEAD if id.startswith(LEAD_IDS) else PersonKind.CONTACT
    relation = Relation(person.id if person is not None else id, kind)
    steps.append(f"{item.choice.chooser} chose the {_KINDS[kind]} {shown(person.name) if person is not None else id} ({relation.id}).")
    return next((r for r in automatic if r.id == relation.id), relation)


# --- what is said -----------------------------------------------------------------------------------------------------


def _said_of(finding: Finding) -> str:
    address, person = shown(finding.party.key), finding.person
    if person is None:
        return f"Nobody is linked for {address}: {finding.why}."
    return f"{address} is the {_KINDS[person.kind]} {shown(person.name or person.id)} ({person.id}){finding.why}."


def _refusal(item: Item, links: Links, reading: Reading, settings: LinkSettings) -> str:
    """Returns why the item is not saved by itself, "" where it may be. What a person shared is saved in any case; of a meeting
    or an e-mail whose outside parties are all blocked nothing is (S4.37), and an e-mail is auto-saved only where it is related
    to something, or the setting says that it need not be."""
    choice = item.choice
    if item.trigger is Trigger.USER or choice.who or choice.others or choice.what:
        return ""
    if not reading.findings and any(out.kind == BLOCKED for out in reading.left_out):
        return "All its other parties are blocked."
    if item.trigger is Trigger.CALENDAR or links.is_related:
        return ""
    if not reading.findings:
        return "It is between colleagues."
    return "" if settings.save_without_relation else "Nobody in it is known to Salesforce."

"""Which record an item is *Related To* (WhatId): an opportunity, or the account of its main contact. Pure; part of `linking`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from reconciliation.core.linking_facts import Account, AddressRules, Item, Known, LinkSettings, Opportunity, Role, User
from reconciliation.core.linking_people import LONG_AGO, Reading, Relation, shown, stands_for

ACCOUNT_IDS, OPPORTUNITY_IDS = "001", "006"  # what ids of these objects begin with


@dataclass(frozen=True, slots=True)
class RelatedTo:
    """The record, "" for none, and why, in a sentence ("" where there is nothing to say)."""

    id: str = ""
    why: str = ""


def decide_record(
    item: Item, who: Relation | None, reading: Reading, known: Known, *, settings: LinkSettings, rules: AddressRules, user: User
) -> RelatedTo:
    """Returns what WhatId names: nothing beside a lead, what a person chose, the user's newest open opportunity of a company
    that takes part, the main contact's account, or, where nobody is known and the setting allows it, the account of the
    domain."""
    choice = item.choice
    if who is not None and who.is_lead:
        return RelatedTo(why="Related To stays empty: Salesforce takes no record beside a lead.")
    if choice.what is not None:
        said = f"{choice.what} as Related To" if choice.what else "that Related To stays empty"
        return RelatedTo(choice.what, f"{choice.chooser} chose {said}.")
    if who is None:
        by_domain = settings.account_by_domain and choice.who is None  # nobody was found, else somebody would be named
        return _account_by_domain(reading, known, rules) if by_domain else RelatedTo()
    opportunity = _opportunity(item, who, reading, known, user) if settings.link_opportunity else RelatedTo()
    return opportunity if opportunity.id else _account_of(who, reading, known, opportunity.why)


def involved_accounts(item: Item, reading: Reading, known: Known) -> list[str]:
    """Returns the accounts whose opportunities may be linked: those of the contacts who take part openly, and are no
    colleagues. A blind copy is no part in a deal."""
    choice = item.choice
    openly = (f for f in reading.found if f.party.participant.role is not Role.BCC and not f.party.is_internal)
    named = [stands_for(id, known) for id in (choice.who, *(choice.others or ())) if id]
    # Who else was chosen replaces who else was found; the main person stays the found one where nobody chose another.
    found = [f.person for f in openly]
    people = [*named, *(found if choice.others is None else found[:1] if choice.who is None else ())]
    return list(dict.fromkeys(p.account_id for p in people if p is not None and not p.is_lead and p.account_id))


def _opportunity(item: Item, who: Relation, reading: Reading, known: Known, user: User) -> RelatedTo:
    """Returns the opportunity that was made last; two of one instant are told apart by the main contact's role, or not at all."""
    accounts = involved_accounts(item, reading, known)
    rows = {o.id: o for account in accounts for o in known.opportunities.get(account, ())}
    open_ones = [o for o in rows.values() if o.account_id in accounts and o.owner_id == user.id and user.id and not o.is_closed]
    if not open_ones:
        return RelatedTo()
    latest = max(_made(o) for o in open_ones)
    newest = [o for o in open_ones if _made(o) == latest]
    newest = [o for o in newest if who.id in o.contact_ids] or newest
    if len(newest) > 1:
        return RelatedTo(why=f"{len(newest)} open opportunities of the user were made at the same time; none was taken. ")
    best = newest[0]
    more = f", the newest of {len(open_ones)}" if len(open_ones) > 1 else ""
    said = f"The opportunity {shown(best.name or best.id)} ({best.id}) became Related To: it is open, the user's"
    return RelatedTo(best.id, f"{said}{more}, and of {_called(known.accounts.get(best.account_id), best.account_id)}.")


def _account_of(who: Relation, reading: Reading, known: Known, before: str) -> RelatedTo:
    person = next((f.person for f in reading.found if f.person is not None and f.person.id == who.id), stands_for(who.id, known))
    name = shown(person.name or who.id) if person is not None else who.id
    if person is None or not person.account_id:
        return RelatedTo(why=f"{before}Related To stays empty: {name} has no account.")
    account = known.accounts.get(person.account_id)
    if account is None:
        return RelatedTo(why=f"{before}Related To stays empty: the account of {name} is gone, or not to be seen.")
    return RelatedTo(account.id, f"{before}T{_called(account, account.id)[1:]} became Related To: it is the account of {name}.")


def _account_by_domain(reading: Reading, known: Known, rules: AddressRules) -> RelatedTo:
    """Returns the one account that the domains of all unknown addresses lead to. Two companies, two accounts of one web site,
    a parent and its subsidiary: none, since nothing says which is meant."""
    outside = [f.party.key for f in reading.findings if not f.party.is_internal]
    domains = list(dict.fromkeys(domain for key in outside if (domain := rules.domain(key))))
    accounts = {a.id: a for domain in domains for a in known.by_domain.get(domain, ())}
    if not accounts:
        return RelatedTo()
    if len(accounts) > 1:
        return RelatedTo(why=f"Related To stays empty: the domains lead to {several(tuple(accounts.values()))}.")
    account = next(iter(accounts.values()))
    return RelatedTo(account.id, f"T{_called(account, account.id)[1:]} became Related To: its web site has the domain of the address.")


def several(accounts: Sequence[Account]) -> str:
    """Returns how many accounts there are, and which of them stands above all others, if one does."""
    ids = {a.id for a in accounts}
    tops = [a for a in accounts if a.parent_id not in ids]
    above = f", of which {_called(tops[0], tops[0].id)} is the parent" if len(tops) == 1 else ""
    return f"{len(accounts)} accounts{above}"


def _called(account: Account | None, id: str) -> str:
    return f"the account {shown(account.name)} ({id})" if account is not None and account.name else f"the account {id}"


def _made(opportunity: Opportunity) -> tuple[datetime, datetime]:
    return (opportunity.created_at or LONG_AGO, opportunity.modified_at or LONG_AGO)

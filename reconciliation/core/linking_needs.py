"""What is still to be looked up before the links of a page of items can be decided. Pure: the engine asks, answers into
`Known`, and asks again until nothing is needed: addresses, then contacts of converted leads, accounts and domains, then
opportunities. Five rounds at most, however many items a page has."""

from __future__ import annotations

from collections.abc import Container, Sequence
from dataclasses import dataclass, field

from reconciliation.core.linking_facts import AddressRules, Item, Known, LinkSettings, Person, User
from reconciliation.core.linking_people import Reading, lookup_keys, parties_of, read
from reconciliation.core.linking_records import involved_accounts
from reconciliation.core.values import name_key


@dataclass(slots=True)
class Needs:
    """What to ask for next, each once and in the order of the items: `addresses` are keys, asked over all e-mail fields of
    contacts and leads; `people` ids of contacts and leads; `domains` of accounts' web sites; `names` of accounts, by
    `values.name_key`; `opportunities` ids of accounts, whose open ones of the user are wanted."""

    addresses: dict[str, None] = field(default_factory=dict)
    people: dict[str, None] = field(default_factory=dict)
    accounts: dict[str, None] = field(default_factory=dict)
    domains: dict[str, None] = field(default_factory=dict)
    names: dict[str, None] = field(default_factory=dict)
    opportunities: dict[str, None] = field(default_factory=dict)

    def __bool__(self) -> bool:
        return any((self.addresses, self.people, self.accounts, self.domains, self.names, self.opportunities))


def needs(
    items: Sequence[Item],
    known: Known,
    *,
    settings: LinkSettings,
    rules: AddressRules,
    user: User,
    new_people: bool = False,
    new_accounts: bool = False,
) -> Needs:
    """Returns what is not known yet. `new_people`: people may be made of unknown addresses, whose companies are looked up,
    too; `new_accounts`: accounts of theirs as well."""
    wanted = Needs()
    for item in items:
        if _ask_for_people(item, known, wanted, settings=settings, rules=rules, user=user):
            continue  # what else it needs depends on who they are
        reading = read(item, known, settings=settings, rules=rules, user=user)
        if settings.link_opportunity and item.choice.what is None:
            wanted.opportunities |= _missing(involved_accounts(item, reading, known), known.opportunities)
        domains = _domains(reading, settings=settings, rules=rules, new_people=new_people)
        wanted.domains |= _missing(domains, known.by_domain)
        if new_accounts:
            names = (name_key(rules.account_name(d)) for d in domains if known.by_domain.get(d) == ())
            wanted.names |= _missing([n for n in names if n], known.by_name)
    return wanted


def _ask_for_people(item: Item, known: Known, wanted: Needs, *, settings: LinkSettings, rules: AddressRules, user: User) -> bool:
    """Adds the people and accounts of an item that are not known; tells whether there are any."""
    parties, _ = parties_of(item, settings=settings, rules=rules, user=user)
    keys = [key for party in parties for key in lookup_keys(party.key)]
    rows = [row for key in keys for row in known.people.get(key, ())]
    chosen = [id for id in (item.choice.who, *(item.choice.others or ())) if id]
    rows += [row for id in chosen if (row := known.by_id.get(id)) is not None]
    ids = [*chosen, *(row.converted_contact_id for row in rows if row.is_lead and row.is_converted and row.converted_contact_id)]
    people: list[Person] = [*rows, *(person for id in ids if (person := known.by_id.get(id)) is not None)]
    addresses, missing = _missing(keys, known.people), _missing(ids, known.by_id)
    accounts = _missing([p.account_id for p in people if p.account_id and not p.is_lead], known.accounts)
    wanted.addresses |= addresses
    wanted.people |= missing
    wanted.accounts |= accounts
    return bool(addresses or missing or accounts)


def _domains(reading: Reading, *, settings: LinkSettings, rules: AddressRules, new_people: bool) -> list[str]:
    if not new_people and not (settings.account_by_domain and not reading.found):
        return []
    outside = [f.party.key for f in reading.findings if f.person is None and not f.party.is_internal]
    return [domain for key in outside if (domain := rules.domain(key))]


def _missing(keys: Sequence[str], known: Container[str]) -> dict[str, None]:
    return {key: None for key in keys if key not in known}

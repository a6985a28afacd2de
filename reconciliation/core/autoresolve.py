"""Whom to make of addresses that Salesforce does not know: a lead, a contact or a person account, and its account (S4.31 to S4.41,
D14, D15). Pure.

The pass decides the links first (`linking`), asks here about the addresses that stayed unresolved, creates what comes back, adds it
to `Known` with `known_with`, and decides the links anew, so that the item names the new person (S4.33). Nothing is ever written to
a record that exists: what users complete stays (S4.41)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import Protocol

from reconciliation.core.linking import Links
from reconciliation.core.linking_facts import Account, AddressRules, Item, ItemKind, Known, LinkSettings, Person, Role, Trigger, User
from reconciliation.core.linking_people import lookup_keys, parties_of, shown
from reconciliation.core.linking_records import several
from reconciliation.core.new_people import LONGEST_COMPANY, LONGEST_EMAIL, NOT_PROVIDED, NameReader, NewKind, fill
from reconciliation.core.values import is_blank, name_key

_OUTSIDE = LinkSettings()  # colleagues are nobody's main counterpart, whatever linking includes


class Mode(StrEnum):
    OFF = "off"
    LEADS = "leads"
    CONTACTS = "contacts"
    PERSON_ACCOUNTS = "person_accounts"


@dataclass(frozen=True, slots=True)
class ResolveSettings:
    """What is set. `smart`: a contact where the domain leads to exactly one account, else a lead (D14); it overrules leads and
    contacts, not person accounts. `all_recipients`: every unknown recipient of an e-mail, else its main counterpart alone
    (D14); of a meeting all attendees count. `company_from_domain`: a lead's company may be named after the domain.
    `key_fields`: what stands in the list of incomplete ones where it is empty (S4.34); *Company* and *AccountId* may be among
    them."""

    mode: Mode = Mode.OFF
    smart: bool = False
    all_recipients: bool = False
    create_accounts: bool = False
    company_from_domain: bool = True
    triggers: frozenset[Trigger] = frozenset(Trigger)
    key_fields: tuple[str, ...] = ("FirstName", "LastName", "Company", "AccountId")


class PersonRules(AddressRules, Protocol):
    """`is_impersonal`: a shared mailbox's or a machine's address (info@, no-reply@); nobody is made of it."""

    def is_impersonal(self, key: str) -> bool: ...


@dataclass(frozen=True, slots=True)
class Request:
    """An item whose links are decided. `certain` maps the key of an address to what its signature says for certain
    (`new_people`): that of the sender or organiser, nobody else's."""

    item: Item
    links: Links
    certain: Mapping[str, Mapping[str, str]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class NewAccount:
    """An account to make. There is one for each `domain`, however many people belong to it."""

    name: str
    website: str
    domain: str


@dataclass(frozen=True, slots=True)
class NewPerson:
    """A person to make, once, whatever items name it. `key` is the address, which the marker of the create is made from.
    `account` is an account that exists, or one to make first, or None. `missing` lists the key fields that are empty, or hold
    a stand-in."""

    key: str
    kind: NewKind
    fields: Mapping[str, str]
    account: Account | NewAccount | None = None
    missing: tuple[str, ...] = ()
    items: tuple[str, ...] = ()
    why: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Skipped:
    """An unknown address that nobody is made of, and why, as the end of a sentence."""

    item: str
    key: str
    reason: str


@dataclass(frozen=True, slots=True)
class Resolution:
    people: tuple[NewPerson, ...] = ()
    skipped: tuple[Skipped, ...] = ()

    @property
    def accounts(self) -> tuple[NewAccount, ...]:
        """The accounts to make before the people, each once."""
        made = (p.account for p in self.people if isinstance(p.account, NewAccount))
        return tuple({account.domain: account for account in made}.values())


def decide(
    requests: Sequence[Request], known: Known, *, settings: ResolveSettings, rules: PersonRules, user: User, read_name: NameReader
) -> Resolution:
    """Returns whom to make for a page of items. What an address' first item says of it counts; later ones fill what is empty.
    Raises nothing."""
    wanted: dict[str, list[Request]] = {}
    skipped: list[Skipped] = []
    for request in requests:
        for key in request.links.unresolved:
            reason = _refusal(key, request, known, settings=settings, rules=rules, user=user)
            if reason:
                skipped.append(Skipped(request.item.id, key, reason))
            else:
                # Two tags of one address are one person; the address without a tag names it.
                wanted.setdefault(lookup_keys(key)[-1], []).append(request)
    people = (_new_person(key, asked, known, settings=settings, rules=rules, read_name=read_name) for key, asked in wanted.items())
    return Resolution(tuple(people), tuple(skipped))


def known_with(known: Known, made: Mapping[str, Person], accounts: Sequence[Account] = ()) -> Known:
    """Returns what is known once new people (by the key of `NewPerson`) and their accounts are there, to decide links anew."""
    people = {**known.people, **{key: (*known.people.get(key, ()), person) for key, person in made.items()}}
    return replace(known, people=people, accounts={**known.accounts, **{a.id: a for a in accounts}})


# --- whom -------------------------------------------------------------------------------------------------------------


def _refusal(key: str, request: Request, known: Known, *, settings: ResolveSettings, rules: PersonRules, user: User) -> str:
    item, keys = request.item, lookup_keys(key)
    if settings.mode is Mode.OFF:
        return "auto-resolving is off"
    if item.trigger not in settings.triggers:
        return "auto-resolving is off for what is shared this way"
    if item.choice.who is not None or item.choice.others is not None:
        return "a person chose whom the item names"
    if blocked := next((reason for k in keys if (reason := rules.blocks(k))), ""):
        return blocked
    if rules.is_internal(key) or {rules.key(a) for a in user.addresses}.intersection(keys):
        return "it is a colleague's, or the user's own"
    if rules.is_impersonal(key):
        return "nobody in particular sits behind it"
    if len(keys[-1]) > LONGEST_EMAIL:
        return f"Salesforce takes addresses of {LONGEST_EMAIL} characters"
    if any(known.people.get(k) for k in keys):
        return "Salesforce knows it by now"
    if item.kind is ItemKind.EMAIL and not settings.all_recipients and key != _main(item, request, rules, user):
        return "only the main counterpart of an e-mail is made"
    return ""


def _main(item: Item, request: Request, rules: PersonRules, user: User) -> str:
    """Returns the address of an e-mail's main counterpart, known or not. A blind copy is none."""
    parties, _ = parties_of(item, settings=_OUTSIDE, rules=rules, user=user)
    return next((p.key for p in parties if p.participant.role is not Role.BCC), "")


# --- what it is made of -----------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Company:
    """What the domain of an address leads to. `accounts` is None where nobody asked for them."""

    domain: str = ""
    name: str = ""
    accounts: tuple[Account, ...] | None = None
    is_name_taken: bool = True

    @property
    def only(self) -> Account | None:
        return self.accounts[0] if self.accounts is not None and len(self.accounts) == 1 else None


def _company(key: str, known: Known, rules: PersonRules) -> _Company:
    domain = rules.domain(key)
    if not domain:
        return _Company()
    name = rules.account_name(domain)
    return _Company(domain, name, known.by_domain.get(domain), known.by_name.get(name_key(name)) != ())


def _new_person(
    key: str, asked: Sequence[Request], known: Known, *, settings: ResolveSettings, rules: PersonRules, read_name: NameReader
) -> NewPerson:
    company = _company(key, known, rules)
    kind, because = _kind(company, settings)
    certain = _certain(key, asked, rules)
    names = [name for request in asked for name in _display_names(key, request.item, rules)]
    filled = fill(kind, key, next((read for name in names if (read := read_name(name, key)) is not None), None), certain)
    fields, stand_ins = dict(filled.fields), set(filled.stand_ins)
    account, about_account = _account(company, settings) if kind is NewKind.CONTACT else (None, "")
    if kind is NewKind.LEAD:
        fields["Company"] = _company_name(company, certain, settings)
        stand_ins |= {"Company"} if fields["Company"] == NOT_PROVIDED else set()
    why = (f"{shown(key)} is unknown to Salesforce; a {_CALLED[kind]} is made{because}.", about_account, *filled.why)
    return NewPerson(
        key=key,
        kind=kind,
        fields=fields,
        account=account,
        missing=_missing(kind, fields, stand_ins, account is not None, settings),
        items=tuple(dict.fromkeys(request.item.id for request in asked)),
        why=tuple(sentence for sentence in why if sentence),
    )


_CALLED = {NewKind.LEAD: "lead", NewKind.CONTACT: "contact", NewKind.PERSON_ACCOUNT: "person account"}


def _kind(company: _Company, settings: ResolveSettings) -> tuple[NewKind, str]:
    if settings.mode is Mode.PERSON_ACCOUNTS:
        return NewKind.PERSON_ACCOUNT, ""
    if settings.smart:
        if company.only is not None:
            return NewKind.CONTACT, f", since {company.domain} leads to one account"
        return NewKind.LEAD, f", since {company.domain or 'its domain'} does not lead to one account"
    return (NewKind.CONTACT if settings.mode is Mode.CONTACTS else NewKind.LEAD), ""


def _account(company: _Company, settings: ResolveSettings) -> tuple[Account | NewAccount | None, str]:
    """Returns the account of a new contact, and why: the one whose web site has the domain, else a new one (S4.39, D15). Where
    several have it, or another account is called so, a person chooses: two of one company are hard to get rid of."""
    if company.only is not None:
        return company.only, f"It belongs to {shown(company.only.name or company.only.id)}, whose web site is of {company.domain}."
    if not company.domain:
        return None, "It gets no account: its domain is no company's."
    if company.accounts:
        return None, f"It gets no account: {company.domain} leads to {several(company.accounts)}."
    if not settings.create_accounts or company.accounts is None or not company.name:
        return None, "It gets no account: none has its domain."
    if company.is_name_taken:
        return None, f"It gets no account: there is one called {shown(company.name)}, and nothing says that it is the same."
    return NewAccount(company.name, company.domain, company.domain), f"The account {shown(company.name)} is made for it."


def _company_name(company: _Company, certain: Mapping[str, str], settings: ResolveSettings) -> str:
    """Returns the company of a lead: that of the one account, of the signature, of the domain, else the words that say that
    nobody knows, since Salesforce takes no blank."""
    signed = certain.get("company", "").strip()
    by_domain = company.name if settings.company_from_domain else ""
    candidates = (company.only.name if company.only is not None else "", signed, by_domain)
    return next((name for name in candidates if name and len(name) <= LONGEST_COMPANY), NOT_PROVIDED)


def _certain(key: str, asked: Sequence[Request], rules: PersonRules) -> dict[str, str]:
    """Returns what the signatures say, the first item's before later ones'."""
    merged: dict[str, str] = {}
    for request in asked:
        for address, said in request.certain.items():
            if key in lookup_keys(rules.key(address)):
                merged = {**said, **{name: value for name, value in merged.items() if not is_blank(value)}}
    return merged


def _display_names(key: str, item: Item, rules: PersonRules) -> list[str]:
    return [p.name for p in item.participants if p.name and key in lookup_keys(rules.key(p.address))]


def _missing(
    kind: NewKind, fields: Mapping[str, str], stand_ins: set[str], has_account: bool, settings: ResolveSettings
) -> tuple[str, ...]:
    def is_empty(name: str) -> bool:
        if name in ("Company", "AccountId"):
            return (kind is NewKind.LEAD and "Company" in stand_ins) if name == "Company" else kind is NewKind.CONTACT and not has_account
        return name in stand_ins or not (fields.get(name) or fields.get(f"Person{name}"))

    return tuple(name for name in settings.key_fields if is_empty(name))

"""A small Salesforce for the linking situations: who is in it, what is known of addresses, and how look-ups are answered.

Everybody is called by the id: 003-bo is the contact Bo Li. `answered` plays the engine: it asks what `needs` says, round after
round, and answers as Salesforce would, from these rows only."""

from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta

from reconciliation.core.address_rules import SiteAddresses
from reconciliation.core.blocklists import Blocklist
from reconciliation.core.domains import DomainRules
from reconciliation.core.linking_facts import (
    Account,
    Choice,
    Item,
    ItemKind,
    Known,
    LinkSettings,
    Opportunity,
    Participant,
    Person,
    PersonKind,
    Role,
    Trigger,
    User,
)
from reconciliation.core.linking_needs import needs
from reconciliation.core.values import name_key

NEW_YEAR = datetime(2026, 1, 1, tzinfo=UTC)
ME = User("005-me", ("me@ours.example", "me@ours.co.uk", "m.self@gmail.com"))
RULES = SiteAddresses(
    DomainRules(
        own=frozenset({"ours.example", "ours.co.uk"}),
        blocklist=Blocklist.of(organisation=["blocked.example", "rival.example"], user=["vip@beta.example"]),
    )
)
SHIPPED = LinkSettings()
ANY = object()  # a label that says nothing


def day(n):
    return NEW_YEAR + timedelta(days=n)


def person(id, name, *addresses, account="", owner="005-other", active=None, modified=None, **more):
    kind = PersonKind.LEAD if id.startswith("00Q") else more.pop("kind", PersonKind.CONTACT)
    return Person(
        kind, id, name, addresses, account, owner_id=owner, active_at=active and day(active), modified_at=modified and day(modified), **more
    )


def opportunity(id, account, *, owner="005-me", made=1, modified=1, closed=False, roles=()):
    return Opportunity(id, id[4:].title(), account, owner, closed, day(made), day(modified), roles)


ACCOUNTS = (
    Account("001-acme", "Acme", "http://www.acme.example/"),
    Account("001-uk", "Acme UK", "acme.co.uk", parent_id="001-acme"),
    Account("001-beta", "Beta GmbH", "https://beta.example/de"),
    Account("001-gamma", "Gamma"),
    Account("001-twin1", "Twin", "twin.example"),
    Account("001-twin2", "Twin Ltd", "www.twin.example"),
    Account("001-nova", "Nova Group", "nova.example"),
    Account("001-labs", "Nova Labs", "nova.example/labs", parent_id="001-nova"),
    Account("001-partner", "Partner Consulting", "partner.example"),
    Account("001-mia", "Mia Moss"),
    Account("001-gmail", "Gmail Fan Club", "https://gmail.com/fans"),
    Account("001-ours", "Ours", "ours.example"),
)
PEOPLE = (
    person("003-bo", "Bo Li", "bo@acme.example", account="001-acme"),
    person("003-jan", "Jan Kos", "jan@acme.example", account="001-acme"),
    person("003-uma", "Uma Roy", "uma@acme.co.uk", account="001-uk"),
    person("003-eva", "Eva Beck", "eva@beta.example", "eva.private@gmail.com", account="001-beta"),
    person("003-gus", "Gus Gamm", "gus@gamma.example", account="001-gamma"),
    person("003-lone", "Lone Holm", "lone@nowhere.example"),
    person("003-pia", "Pia Part", "pia@partner.example", account="001-partner"),
    person("003-mia", "Mia Moss", "mia.moss@gmail.com", account="001-mia", kind=PersonKind.PERSON_ACCOUNT),
    person("003-fred", "Fred Free", "fred.free@gmail.com", account="001-beta"),
    person("003-vip", "Vip Very", "vip@beta.example", account="001-beta"),
    person("003-spy", "Spy Rival", "spy@rival.example", account="001-gamma"),
    person("003-col", "Col League", "col@ours.example", account="001-ours"),
    person("003-me", "My Self", "me@ours.example", account="001-ours"),
    person("003-nell", "Nell Nova", "nell@nova.example", account="001-labs"),
    person("003-jorg", "Jörg Buch", "joerg@bücher.example", account="001-gamma"),
    person("00Q-lee", "Lee Long", "lee@lead.example"),
    person("00Q-lia", "Lia Lund", "lia@lead.example"),
    person("00Q-acme", "Al Acme", "al@acme.example"),
    person("00Q-con", "Bo Li", "bo@old.example", is_converted=True, converted_contact_id="003-bo"),
    person("00Q-lost", "Lou Lost", "lou@lost.example", is_converted=True, converted_contact_id="003-gone"),
)


@dataclass(frozen=True)
class Situation:
    """An item, what Salesforce holds beside the cast, and what a careful person would link. `people`, `accounts` and
    `opportunities` are added to the cast. `unresolved` and `out`: addresses, where the label says something of them."""

    name: str
    item: Item
    who: str = ""
    what: str = ""
    others: tuple = ()
    people: tuple = ()
    opportunities: tuple = ()
    settings: LinkSettings = SHIPPED
    unresolved: object = ANY
    out: object = ANY
    held_out: bool = False


def party(text, role, **more):
    """Returns a participant from `Name <address>`, or an address; `me` is the acting user."""
    name, _, rest = text.rpartition("<")
    address = "me@ours.example" if text == "me" else rest.rstrip(">")
    return Participant(address, name.strip(), role, is_self=text == "me", **more)


def incoming(sender, *to, cc=(), **more):
    named = [party(sender, Role.FROM), *(party(t, Role.TO) for t in to or ("me",)), *(party(c, Role.CC) for c in cc)]
    return Item("mail", ItemKind.EMAIL, tuple(named), **more)


def outgoing(*to, cc=(), bcc=(), **more):
    named = [party("me", Role.FROM), *(party(t, Role.TO) for t in to), *(party(c, Role.CC) for c in cc), *(party(b, Role.BCC) for b in bcc)]
    return Item("mail", ItemKind.EMAIL, tuple(named), is_outgoing=True, **more)


def meeting(organizer, *attendees, rooms=(), **more):
    named = [party(organizer, Role.ORGANIZER), *(party(a, Role.ATTENDEE) for a in attendees)]
    return Item("meeting", ItemKind.EVENT, (*named, *(party(r, Role.ATTENDEE, is_resource=True) for r in rooms)), **more)


def task(**more):
    return Item("task", ItemKind.TASK, **more)


def chose(item, **choice):
    return replace(item, choice=Choice(by="ann", **choice))


def auto(item):
    return replace(item, trigger=Trigger.AUTO_SAVE if item.kind is ItemKind.EMAIL else Trigger.CALENDAR)


def answered(items, *, settings=SHIPPED, people=(), accounts=(), opportunities=(), **ask):
    """Returns what is known once nothing more is needed, and the number of rounds that it took."""
    rows = {p.id: p for p in (*PEOPLE, *people)}
    companies = {a.id: a for a in (*ACCOUNTS, *accounts)}
    known, rounds = Known(), 0
    while wanted := needs(items, known, settings=settings, rules=RULES, user=ME, **ask):
        rounds += 1
        assert rounds < 10, wanted
        known = Known(
            {**known.people, **{k: _at(rows.values(), k) for k in wanted.addresses}},
            {**known.by_id, **{i: rows.get(i) for i in wanted.people}},
            {**known.accounts, **{i: companies.get(i) for i in wanted.accounts}},
            {
                **known.by_domain,
                **{d: tuple(a for a in companies.values() if RULES.domain_of_site(a.website) == d) for d in wanted.domains},
            },
            {**known.by_name, **{n: tuple(a for a in companies.values() if name_key(a.name) == n) for n in wanted.names}},
            {**known.opportunities, **{a: tuple(o for o in opportunities if o.account_id == a) for a in wanted.opportunities}},
        )
    return known, rounds


def _at(people, key):
    return tuple(p for p in people if any(RULES.key(a) == key for a in p.addresses))


def _of_domain(accounts, domain):
    return tuple(a for a in accounts if RULES.domain_of_site(a.website) == domain)

"""Whose addresses of an item count, in which order, and which person in Salesforce each of them is. Pure; part of `linking`."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from reconciliation.core.linking_facts import AddressRules, Item, ItemKind, Known, LinkSettings, Participant, Person, PersonKind, Role, User
from reconciliation.core.values import isolated, normalise_name

LONG_AGO = datetime(1, 1, 1, tzinfo=UTC)
# Google gives booked rooms and calendars that were invited as such an address of their own.
NOBODYS_DOMAINS = ("resource.calendar.google.com", "group.calendar.google.com")
BLOCKED, INTERNAL = "blocked", "internal"
_RANK = {Role.ORGANIZER: 0, Role.FROM: 0, Role.ATTENDEE: 1, Role.TO: 1, Role.CC: 2, Role.BCC: 3}


@dataclass(frozen=True, slots=True)
class LeftOut:
    """An address that nothing is linked to, and why, as the end of a sentence. `kind`: BLOCKED, INTERNAL or ""."""

    address: str
    reason: str
    kind: str = ""


@dataclass(frozen=True, slots=True)
class Party:
    """A participant that counts. `key` is its address as addresses are compared."""

    participant: Participant
    key: str
    is_internal: bool = False


@dataclass(frozen=True, slots=True)
class Finding:
    """Who a party is: a person, or None and whether the address is unknown to Salesforce; if it is known all the same, nobody
    could be chosen. `why` is the end of a sentence."""

    party: Party
    person: Person | None = None
    is_unknown: bool = False
    why: str = ""


@dataclass(frozen=True, slots=True)
class Relation:
    """A person whom an item may name. `response` is the attendee's. `address` is "" for one that was chosen by hand."""

    id: str
    kind: PersonKind
    address: str = ""
    role: Role | None = None
    response: str = ""

    @property
    def is_lead(self) -> bool:
        return self.kind is PersonKind.LEAD

    @property
    def shown(self) -> str:
        return shown(self.address or self.id)


@dataclass(frozen=True, slots=True)
class Reading:
    """An item's participants: who was looked for, the main one first, and who was not."""

    findings: tuple[Finding, ...]
    left_out: tuple[LeftOut, ...]

    @property
    def found(self) -> tuple[Finding, ...]:
        """Everybody who was found, once."""
        first: dict[str, Finding] = {}
        for finding in self.findings:
            if finding.person is not None:
                first.setdefault(finding.person.id, finding)
        return tuple(first.values())


def read(item: Item, known: Known, *, settings: LinkSettings, rules: AddressRules, user: User) -> Reading:
    """Returns who of the item counts and who each of them is, as far as it is known."""
    parties, left_out = parties_of(item, settings=settings, rules=rules, user=user)
    findings = tuple(find(party, known, rules=rules, user=user) for party in parties)
    unlinked = tuple(LeftOut(shown(f.party.key), f.why) for f in findings if f.person is None and not f.is_unknown)
    strangers = tuple(LeftOut(shown(f.party.key), _COLLEAGUE, INTERNAL) for f in findings if f.is_unknown and f.party.is_internal)
    kept = tuple(f for f in findings if not (f.is_unknown and f.party.is_internal))
    return Reading(kept, (*left_out, *unlinked, *strangers))


# --- whose addresses count --------------------------------------------------------------------------------------------


def parties_of(item: Item, *, settings: LinkSettings, rules: AddressRules, user: User) -> tuple[tuple[Party, ...], tuple[LeftOut, ...]]:
    """Returns the participants that count, the main one first, each address once, and the others. Main is the sender of an
    e-mail that came in, the first recipient of one that went out, a meeting's organiser, else its first attendee; a
    colleague is behind everybody else."""
    own = {key for address in user.addresses if (key := rules.key(address))}
    counted: dict[str, Party] = {}
    left_out: dict[str, LeftOut] = {}
    for participant in _in_order(item):
        key = rules.key(participant.address)
        if key in counted:
            continue
        refusal = _refusal(participant, key, item, settings, rules, own)
        if refusal is not None:
            left_out.setdefault(key or participant.address, refusal)
        else:
            counted[key] = Party(participant, key, rules.is_internal(key))
    return tuple(sorted(counted.values(), key=lambda p: p.is_internal)), tuple(left_out.values())


def _in_order(item: Item) -> list[Participant]:
    last = len(_RANK)
    return sorted(item.participants, key=lambda p: last if item.is_outgoing and p.role is Role.FROM else _RANK[p.role])


def _refusal(participant: Participant, key: str, item: Item, settings: LinkSettings, rules: AddressRules, own: set[str]) -> LeftOut | None:
    address = shown(key or participant.address)
    if not key:
        return LeftOut(address, "it is no e-mail address")
    keys = lookup_keys(key)
    is_sender = item.kind is ItemKind.EMAIL and item.is_outgoing and participant.role is Role.FROM
    if participant.is_self or is_sender or own.intersection(keys):
        return LeftOut(address, "it is the user's own address", INTERNAL)
    if participant.is_resource or key.endswith(NOBODYS_DOMAINS):
        return LeftOut(address, "it is a room, a device or a calendar")
    if reason := next((reason for k in keys if (reason := rules.blocks(k))), ""):
        return LeftOut(address, reason, BLOCKED)
    if rules.is_internal(key) and not settings.include_internal:
        return LeftOut(address, "it is a colleague's", INTERNAL)
    return None


_COLLEAGUE = "it is a colleague's, and nobody's in Salesforce"


def lookup_keys(key: str) -> tuple[str, ...]:
    """Returns the keys under which a person is looked for: the address, then the one without the tag behind a plus, which
    mail systems deliver to the same person."""
    local, at, domain = key.rpartition("@")
    base, plus, _ = local.partition("+")
    return (key, f"{base}{at}{domain}") if plus and base else (key,)


# --- who it is --------------------------------------------------------------------------------------------------------


def find(party: Party, known: Known, *, rules: AddressRules, user: User) -> Finding:
    """Returns the person of an address. A lead that was converted stands for its contact; contacts come before leads; of
    several records one is taken only for a reason (`_choose`), else nobody: a wrong link is worse than none."""
    rows = next((held for key in lookup_keys(party.key) if (held := known.people.get(key, ()))), ())
    if not rows:
        return Finding(party, is_unknown=True, why="it is unknown to Salesforce")
    living = _living(rows, known)
    if not living:
        return Finding(party, why="its lead was converted to a contact that is not there any more, or not to be seen")
    candidates = [p for p in living if not p.is_lead] or living
    if len(candidates) == 1:
        return Finding(party, candidates[0], why=_how_found(candidates[0], rows))
    return _choose(party, candidates, known, rules=rules, user=user)


def _living(rows: Sequence[Person], known: Known) -> list[Person]:
    """Returns the records that can be linked, each once and by id: what was found in another order is the same."""
    living: dict[str, Person] = {}
    for row in rows:
        stands = known.by_id.get(row.converted_contact_id) if row.is_lead and row.is_converted else row
        if stands is not None and not (stands.is_lead and stands.is_converted):
            living[stands.id] = stands
    return [living[id] for id in sorted(living)]


def _how_found(person: Person, rows: Sequence[Person]) -> str:
    if person.id not in {row.id for row in rows}:
        return ", which its lead was converted to"
    return ", which comes before a lead of the same address" if any(row.is_lead for row in rows) and not person.is_lead else ""


def _choose(party: Party, candidates: list[Person], known: Known, *, rules: AddressRules, user: User) -> Finding:
    """Returns which of several records with one address is meant: the one that is called like the participant, the one whose
    account has the address' domain, and of records of one name the user's own, then the one that was active last. Whose it
    is, or when it was touched, does not tell two people apart."""
    count, left = len(candidates), candidates
    domain = rules.domain(party.key)
    for is_it, why in (
        (lambda p: _same_name(p.name, party.participant.name), "is called so"),
        (lambda p: bool(domain) and _site(p, known, rules) == domain, f"belongs to the account of {domain}"),
    ):
        left = _narrowed(left, is_it)
        if len(left) == 1:
            return Finding(party, left[0], why=f", of {count} records with this address the one that {why}")
    if any(not _same_name(p.name, left[0].name) for p in left):
        return Finding(party, why=f"{count} records of different names have it")
    left = _narrowed(left, lambda p: bool(user.id) and p.owner_id == user.id)
    if len(left) == 1:
        return Finding(party, left[0], why=f", of {count} records with this address the user's own")
    latest = max(_touched(p) for p in left)
    left = [p for p in left if _touched(p) == latest]
    if len(left) == 1:
        return Finding(party, left[0], why=f", of {count} records with this address the one that was active last")
    return Finding(party, why=f"{count} records have it, and nothing tells which is meant")


def _narrowed(candidates: list[Person], is_it: Callable[[Person], bool]) -> list[Person]:
    return [p for p in candidates if is_it(p)] or candidates


def _same_name(left: str, right: str) -> bool:
    words = frozenset(normalise_name(left.replace(",", " ")).split())
    return bool(words) and words == frozenset(normalise_name(right.replace(",", " ")).split())


def _site(person: Person, known: Known, rules: AddressRules) -> str:
    account = known.accounts.get(person.account_id)
    return rules.domain_of_site(account.website) if account is not None and account.website else ""


def _touched(person: Person) -> tuple[datetime, datetime]:
    return (person.active_at or LONG_AGO, person.modified_at or LONG_AGO)


def relation_of(finding: Finding) -> Relation:
    """Returns the relation to somebody who was found."""
    person, participant = finding.person, finding.party.participant
    assert person is not None
    return Relation(person.id, person.kind, finding.party.key, participant.role, participant.response)


def stands_for(id: str, known: Known) -> Person | None:
    """Returns the person of an id, or the contact that the lead of this id was converted to."""
    person = known.by_id.get(id)
    if person is not None and person.is_lead and person.is_converted:
        return known.by_id.get(person.converted_contact_id)
    return person


def shown(text: str) -> str:
    """Returns a text of the outside world as it stands in our sentences: short, and in one direction."""
    return isolated(text[:120])

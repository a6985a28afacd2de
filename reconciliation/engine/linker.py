"""Links items of mailboxes to people, accounts and opportunities of the CRM, a page at a time (S4.23, S4.29 to S4.41).

A pass makes one `Linker` for a run and asks it for the links of each page, before it decides what to write:

    linker = Linker(context, mailbox)
    linked = linker.links_of([ItemToLink(item, body=text, shown="Re: the quote"), ...])   # by the id of the item
    linked["a1"].links.who, linked["a1"].links.what, linked["a1"].as_json()

The rules are pure (`core.linking`, `core.autoresolve`, docs/decisions/0005); here is what they need of the world: the fewest
look-ups for a whole page, what the run knows already, and people who are made where the organisation wants that. What an item
`waits` for is settled by a later run: a caller that writes an item once only (an e-mail) holds it until then.

A pass calls `engine.people_recovery.recover` in its own recovery, and leaves creates of `people_recovery.is_ours` alone there."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from connectors.errors import ConnectorError
from reconciliation.core import autoresolve
from reconciliation.core.autoresolve import Mode, Request, Resolution
from reconciliation.core.linking import Links, decide_links
from reconciliation.core.linking_facts import Item, ItemKind, Role
from reconciliation.core.linking_needs import Needs, needs
from reconciliation.core.linking_people import Relation, shown
from reconciliation.core.person_names import read_name
from reconciliation.core.signatures import read_signature
from reconciliation.engine import people_making, unresolved
from reconciliation.engine.context import RunContext
from reconciliation.engine.linking_lookups import Lookups
from reconciliation.engine.linking_terms import LinkTerms, terms_of
from reconciliation.models import Mailbox

MOST_ROUNDS = 8  # of look-ups; five are enough, whatever a page holds


@dataclass(frozen=True, slots=True)
class ItemToLink:
    """One item of a page. `body` is the text whose signature may be read, plain or HTML: of an e-mail that came in, or an
    invitation; "" where there is none; `certain` is what is known to be right already, by address. `shown` is what people call
    the item, and is kept beside unknown addresses. Of an item that `is_private` nobody is made, and nothing is remembered."""

    item: Item
    body: str = field(default="", repr=False)
    shown: str = ""
    is_private: bool = False
    certain: Mapping[str, Mapping[str, str]] = field(default_factory=dict, repr=False)


@dataclass(frozen=True, slots=True)
class MadeHere:
    """A record that was made for an item, or would be in a plan: its id is "" then."""

    object_type: str
    id: str
    address: str
    why: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Linked:
    """What one item is linked to. `made` are those who were made just now, `followed` says of those who were made earlier how they
    were found. `waits` says, in a sentence, what another run has to settle before the links are whole; "" as a rule. `reasons`
    say, by address, why nobody was made of it, as the ends of sentences."""

    links: Links
    made: tuple[MadeHere, ...] = ()
    followed: tuple[str, ...] = ()
    reasons: Mapping[str, str] = field(default_factory=dict)
    waits: str = ""

    @property
    def steps(self) -> tuple[str, ...]:
        """How the links came about, in sentences, for the item's page."""
        left_out = (f"{out.address} is left out: {out.reason}." for out in self.links.left_out)
        why = (sentence for made in self.made for sentence in made.why)
        nobody = (f"Nobody was made of {shown(key)}: {reason}." for key, reason in self.reasons.items())
        return (*why, *self.followed, *self.links.steps, *left_out, *nobody)

    def as_json(self) -> dict[str, Any]:
        """Returns what is kept with the item and shown on its page: plain values only."""
        links = self.links
        return {
            "who": links.who,
            "what": links.what,
            "account": links.account,
            "opportunity": links.opportunity,
            "others": [_said(relation) for relation in links.others],
            "found": [_said(relation) for relation in links.found],
            "unresolved": list(links.unresolved),
            "left_out": [{"address": out.address, "reason": out.reason} for out in links.left_out],
            "made": [{"type": made.object_type, "id": made.id, "address": made.address} for made in self.made],
            "steps": list(self.steps),
            "refusal": links.refusal,
            "waits": self.waits,
        }


def _said(relation: Relation) -> dict[str, str]:
    role = relation.role.value if relation.role is not None else ""
    said = {"id": relation.id, "type": relation.kind.value, "address": relation.address, "role": role}
    return {**said, "response": relation.response}


class Linker:
    """Links the items of one run over one mailbox; of a run without one, nobody is left out as the user. What was looked up
    once in a run is not asked for again."""

    def __init__(self, context: RunContext, mailbox: Mailbox | None, *, terms: LinkTerms | None = None) -> None:
        self.context = context
        self.mailbox = mailbox
        self.terms = terms or terms_of(context.sync_pass, mailbox)
        self._lookups = Lookups(context, self.terms, mailbox)

    def links_of(self, items: Sequence[ItemToLink]) -> dict[str, Linked]:
        """Returns the links of each item by its id; makes unknown people where that is on, unless the run only plans. Raises what
        a look-up or a create raises (ConnectorError), WritesStopped and LeaseLost; nothing is lost then: what was made is found."""
        self._lookups.begin_page()
        self._look_up([each for each in items if each.is_private], new_people=False)
        open_ = [each for each in items if not each.is_private]
        self._look_up(open_, new_people=self.terms.resolve.mode is not Mode.OFF)
        linked = {each.item.id: Linked(self._decided(each.item)) for each in items}
        linked |= self._with_new_people(open_, linked)
        if not self.context.is_preview:
            # An item that is not shared after all stays its user's own: nothing of it is kept for others to see (C21).
            told = [each for each in open_ if not linked[each.item.id].links.refusal]
            unresolved.remember(self.context, self.mailbox, [_seen(each, linked[each.item.id], self._certain(each)) for each in told])
        return linked

    def make_by_person(self, people: Sequence[ItemToLink]) -> dict[str, Linked]:
        """Makes the one participant of each of these, as somebody ordered it: no brake and no earlier refusal holds it back. Returns
        what became of each by the id of the item; who is known by now is linked. Raises as `links_of`."""
        self._look_up(people, new_people=True)
        linked = {each.item.id: Linked(self._decided(each.item)) for each in people}
        return linked | self._with_new_people(people, linked, by_person=True)

    # --- looking up -----------------------------------------------------------------------------------------------------

    def _look_up(self, items: Sequence[ItemToLink], *, new_people: bool) -> None:
        for _ in range(MOST_ROUNDS):
            wanted = self._needs([each.item for each in items], new_people)
            if not wanted:
                return
            self._lookups.answer(wanted)
        raise ConnectorError("look-ups of people come to no end", system=self.context.crm.connector.system)

    def _needs(self, items: Sequence[Item], new_people: bool) -> Needs:
        terms = self.terms
        return needs(
            items,
            self._lookups.known,
            settings=terms.links,
            rules=terms.rules,
            user=terms.user,
            new_people=new_people,
            new_accounts=new_people and terms.resolve.create_accounts,
        )

    def _decided(self, item: Item) -> Links:
        terms = self.terms
        return decide_links(item, self._lookups.known, settings=terms.links, rules=terms.rules, user=terms.user)

    # --- people who are made --------------------------------------------------------------------------------------------

    def _with_new_people(self, items: Sequence[ItemToLink], linked: Mapping[str, Linked], *, by_person: bool = False) -> dict[str, Linked]:
        """Returns the items that name somebody who is made, or is not for a reason, with their links decided anew (S4.33)."""
        asked = [each for each in items if linked[each.item.id].links.unresolved]
        if not asked or self.terms.resolve.mode is Mode.OFF:
            return {}
        resolution = self._resolution(asked, linked)
        made = people_making.make(self.context, self.mailbox, resolution.people, self.terms, self._lookups, by_person=by_person)
        self._lookups.add(made.people, made.accounts)
        self._look_up(asked, new_people=False)
        return {each.item.id: self._told(each.item, resolution, made) for each in asked}

    def _resolution(self, asked: Sequence[ItemToLink], linked: Mapping[str, Linked]) -> Resolution:
        requests = [Request(each.item, linked[each.item.id].links, self._certain(each)) for each in asked]
        return autoresolve.decide(
            requests,
            self._lookups.known,
            settings=self.terms.resolve,
            rules=self.terms.rules,
            user=self.terms.user,
            read_name=self._name,
        )

    def _name(self, display: str, address: str) -> tuple[str, str] | None:
        """Returns first and last name of a display name, None where it does not say both for certain."""
        name = read_name(display, address=address, region=self.terms.region)
        return (name.first, name.last) if name is not None and name.is_certain and name.last else None

    def _certain(self, each: ItemToLink) -> Mapping[str, Mapping[str, str]]:
        """Returns what the signature of an item says for certain, by the address of who wrote it: the sender's of a mail that came
        in, the organiser's of an invitation."""
        if each.certain:
            return each.certain
        role = Role.FROM if each.item.kind is ItemKind.EMAIL else Role.ORGANIZER
        writer = next((p for p in each.item.participants if p.role is role and not p.is_self), None)
        if not each.body or writer is None or each.item.is_outgoing:
            return {}
        signature = read_signature(each.body, sender_name=writer.name, sender_address=writer.address, region=self.terms.region)
        certain = signature.certain()
        return {self.terms.rules.key(writer.address): certain} if certain else {}

    def _told(self, item: Item, resolution: Resolution, made: people_making.Making) -> Linked:
        links = self._decided(item)
        own = [person for person in resolution.people if item.id in person.items]
        reasons = {s.key: s.reason for s in resolution.skipped if s.item == item.id}
        reasons |= {person.key: made.refused[person.key] for person in own if person.key in made.refused}
        waits = next((made.waits[person.key] for person in own if person.key in made.waits), "")
        here = tuple(_made_here(person, made) for person in own if person.key in made.new or self.context.is_preview)
        there = [person.key for person in own if person.key in made.people and person.key not in made.new]
        followed = tuple(sentence for key in there for sentence in made.why.get(key, ()))
        return Linked(links, here, followed, reasons, waits)


def _seen(each: ItemToLink, linked: Linked, certain: Mapping[str, Mapping[str, str]]) -> unresolved.Seen:
    names = {p.address: p.name for p in each.item.participants if p.name}
    found = tuple(relation.address for relation in linked.links.found if relation.address)
    made = tuple(here.address for here in linked.made)
    item = {"id": each.item.id, "kind": each.item.kind.value, "shown": each.shown[:200]}
    return unresolved.Seen(item, linked.links.unresolved, found, made, linked.reasons, names, certain)


def _made_here(person: autoresolve.NewPerson, made: people_making.Making) -> MadeHere:
    record = made.people.get(person.key)
    why = made.why.get(person.key, person.why)
    return MadeHere(person.kind.value, record.id if record is not None else "", person.key, why)

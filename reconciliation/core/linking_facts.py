"""What the links of an event, a task or an e-mail are decided from: who takes part, what Salesforce holds of them, and what is
set. Values only; `linking` decides, `linking_needs` says what is still to be looked up, `autoresolve` whom to make. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Protocol


class Role(StrEnum):
    ORGANIZER = "organizer"
    ATTENDEE = "attendee"
    FROM = "from"
    TO = "to"
    CC = "cc"
    BCC = "bcc"


class ItemKind(StrEnum):
    EVENT = "event"
    TASK = "task"
    EMAIL = "email"


class Trigger(StrEnum):
    """What made us look at the item: a person's category, folder or button, the calendar's auto-sync, or the auto-saving of
    e-mails."""

    USER = "user"
    CALENDAR = "calendar"
    AUTO_SAVE = "auto_save"


class PersonKind(StrEnum):
    """PERSON_ACCOUNT is the contact that stands for a Person Account; it goes by the contact's id (WhoId takes no other)."""

    CONTACT = "Contact"
    LEAD = "Lead"
    PERSON_ACCOUNT = "PersonAccount"


@dataclass(frozen=True, slots=True)
class Participant:
    """Somebody, or something, that an item names. `is_resource`: a room or a device that was booked. `response` is carried to
    the relation and decides nothing: it changes, and links that follow it would come and go."""

    address: str
    name: str = ""
    role: Role = Role.ATTENDEE
    is_self: bool = False
    is_resource: bool = False
    response: str = ""


@dataclass(frozen=True, slots=True)
class Choice:
    """What a person chose on the item's page: None where nothing was, "" where it was none. `by` is who."""

    who: str | None = None
    others: tuple[str, ...] | None = None
    what: str | None = None
    by: str = ""

    @property
    def chooser(self) -> str:
        return self.by[:80] or "A person"


@dataclass(frozen=True, slots=True)
class Item:
    """An event, task or e-mail. Its participants stand in the order of the mail system; `is_outgoing`: the acting user sent it."""

    id: str
    kind: ItemKind
    participants: tuple[Participant, ...] = ()
    is_outgoing: bool = False
    trigger: Trigger = Trigger.USER
    choice: Choice = Choice()


@dataclass(frozen=True, slots=True)
class Person:
    """A contact or lead. `addresses` are those of all its e-mail fields, custom ones included."""

    kind: PersonKind
    id: str
    name: str = ""
    addresses: tuple[str, ...] = ()
    account_id: str = ""
    is_converted: bool = False
    converted_contact_id: str = ""
    owner_id: str = ""
    created_at: datetime | None = None
    modified_at: datetime | None = None
    active_at: datetime | None = None

    @property
    def is_lead(self) -> bool:
        return self.kind is PersonKind.LEAD


@dataclass(frozen=True, slots=True)
class Account:
    id: str
    name: str = ""
    website: str = ""
    parent_id: str = ""


@dataclass(frozen=True, slots=True)
class Opportunity:
    id: str
    name: str = ""
    account_id: str = ""
    owner_id: str = ""
    is_closed: bool = False
    created_at: datetime | None = None
    modified_at: datetime | None = None
    contact_ids: tuple[str, ...] = ()  # of its contact roles


@dataclass(frozen=True, slots=True)
class User:
    """The acting user: the Salesforce id, and every address of the mailbox and of the user."""

    id: str
    addresses: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class LinkSettings:
    """What is set. `max_relations` counts the main person, too (Salesforce takes 50). `save_without_relation`: e-mails are
    auto-saved though nobody of theirs is known."""

    link_opportunity: bool = False
    shared_activities: bool = True
    max_relations: int = 50
    include_internal: bool = False
    account_by_domain: bool = False
    save_without_relation: bool = False


class AddressRules(Protocol):
    """What is known of addresses and domains by themselves, for one user. `key` is the form in which two addresses are
    compared, "" for what is none; the others take such a key. `domain` is the registrable domain of a company, "" for
    free-mail, our own, blocked ones and bare suffixes; `domain_of_site` the same of a web site."""

    def key(self, address: str) -> str: ...
    def is_internal(self, key: str) -> bool: ...
    def blocks(self, key: str) -> str: ...
    def domain(self, key: str) -> str: ...
    def domain_of_site(self, website: str) -> str: ...
    def account_name(self, domain: str) -> str: ...


@dataclass(frozen=True, slots=True)
class Known:
    """What was looked up so far. A key that is not there was not asked for yet; what was asked for and is not there in
    Salesforce is an empty tuple, or None."""

    people: Mapping[str, tuple[Person, ...]] = field(default_factory=dict)  # by the key of an address
    by_id: Mapping[str, Person | None] = field(default_factory=dict)
    accounts: Mapping[str, Account | None] = field(default_factory=dict)
    by_domain: Mapping[str, tuple[Account, ...]] = field(default_factory=dict)  # whose web site is of the domain
    by_name: Mapping[str, tuple[Account, ...]] = field(default_factory=dict)  # by `values.name_key`
    opportunities: Mapping[str, tuple[Opportunity, ...]] = field(default_factory=dict)  # by account: the user's open ones

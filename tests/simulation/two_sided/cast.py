"""What a history is about: people, or companies. All that differs between the two passes stands here, and nowhere else."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True)
class Cast:
    """The records of one pass: their types, the fields that users type into, and what says that two records are the same."""

    pass_name: str
    crm_types: tuple[str, ...]
    peer_type: str
    collection: str  # of the peer's records
    texts: Mapping[str, str]  # field of the CRM -> field of the peer: the texts that users type
    required: str  # the text that a new record always has, "" where the key is that one
    key: tuple[str, str]  # field of the CRM, field of the peer
    pointer: str  # where the peer's record names its CRM record
    note: tuple[str, str]  # fields that no mapping knows
    new_key: Callable[[int], str]
    can_repeat_key: bool  # the peer takes a key twice
    consent: Mapping[str, str] = field(default_factory=dict)
    more: Mapping[str, str] = field(default_factory=dict)  # mapped, for leads only

    @property
    def fields(self) -> dict[str, str]:
        return {**self.texts, self.key[0]: self.key[1], **self.more}

    @property
    def may_be_blank(self) -> tuple[str, ...]:
        return tuple(name for name in self.texts if name != self.required)

    def keys_of(self, type_: str, row: Mapping[str, Any]) -> set[str]:
        """Returns the keys of a row, in the form in which they are compared here."""
        held = row.get(self.key[1] if type_ == self.peer_type else self.key[0])
        return {str(key).casefold() for key in (held if isinstance(held, list | tuple) else (held,)) if key}


PEOPLE = Cast(
    pass_name="prospects",
    crm_types=("Contact", "Lead"),
    peer_type="prospect",
    collection="prospects",
    texts={"FirstName": "firstName", "LastName": "lastName", "Title": "title", "Phone": "workPhones"},
    required="LastName",
    key=("Email", "emails"),
    pointer="externalId",
    note=("Description", "nickname"),
    new_key=lambda n: f"p{n}@x.example",
    can_repeat_key=False,
    consent={"HasOptedOutOfEmail": "emailOptedOut", "DoNotCall": "callOptedOut"},
    more={"Company": "company"},
)
COMPANIES = Cast(
    pass_name="accounts",
    crm_types=("Account",),
    peer_type="account",
    collection="accounts",
    texts={"BillingCity": "locality", "Description": "description", "AccountNumber": "tickerSymbol"},
    required="",
    key=("Name", "name"),
    pointer="customId",
    note=("Site", "companyType"),
    new_key=lambda n: f"Firm {n}",
    can_repeat_key=True,
)

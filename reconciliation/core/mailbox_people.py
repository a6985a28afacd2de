"""Which user of the CRM a mailbox belongs to: the one active user with its address, or nobody and a sentence why. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from connectors.contract import Record

EMAIL, NAME, IS_ACTIVE = "Email", "Name", "IsActive"
USER_COLUMNS = (EMAIL, NAME, IS_ACTIVE)


@dataclass(frozen=True, slots=True)
class Match:
    """The user that was found, or `says`: why none was, and what to do."""

    user_id: str = ""
    name: str = ""
    says: str = ""


def match_user(address: str, users: Sequence[Record]) -> Match:
    """Returns the match among users of the CRM; those with another address do not count. Upper and lower case are the same
    (C18)."""
    mine = [u for u in users if str(u.fields.get(EMAIL) or "").strip().casefold() == address.strip().casefold()]
    active = [u for u in mine if u.fields.get(IS_ACTIVE) is True]
    if len(active) == 1:
        return Match(active[0].ref.id, str(active[0].fields.get(NAME) or "")[:255])
    if active:
        named = ", ".join(str(u.fields.get(NAME) or u.ref.id)[:80] for u in active[:5])
        return Match(says=f"{len(active)} active Salesforce users have the address {address} ({named}); choose one.")
    if mine:
        return Match(says=f"The Salesforce user with the address {address} is inactive; activate the user there, or choose another.")
    return Match(says=f"No Salesforce user has the address {address}; choose the user here, or enter the address in Salesforce.")

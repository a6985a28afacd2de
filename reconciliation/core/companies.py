"""Which account a new contact belongs to, by the company that its mailbox names (S1.13 to S1.18). Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from connectors.contract import Record
from reconciliation.core.values import is_blank


@dataclass(frozen=True, slots=True)
class Account:
    """The account that was chosen, "" for none, and why, in a sentence."""

    id: str
    why: str


def company_of(record: Record) -> str:
    """Returns the company that a mailbox's contact names, "" for a blank one: that is a part of every name, and is searched
    for by nobody (D7)."""
    value = record.fields.get("companyName")
    return "" if is_blank(value) else str(value).strip()


def account_for(company: str, exact: Sequence[Record], containing: Sequence[Record]) -> Account:
    """Returns the account: a direct match, of several the one that was made first (S1.14, S1.15); else the only one whose name
    contains the company (S1.16); else none (S1.17, S1.18)."""
    if not company:
        return Account("", "It names no company; it gets no account.")
    if exact:
        first = min(exact, key=lambda r: (str(r.fields.get("CreatedDate") or ""), r.ref.id))
        more = f", the first of {len(exact)} of this name" if len(exact) > 1 else ""
        return Account(first.ref.id, f"Its company is account “{_name(first)}”{more}.")
    if len(containing) == 1:
        return Account(containing[0].ref.id, f"“{company}” is a part of the name of one account, “{_name(containing[0])}”.")
    if containing:
        return Account("", f"“{company}” is a part of the names of several accounts; it gets none.")
    return Account("", f"No account is called “{company}”, or contains it; it gets none.")


def _name(record: Record) -> str:
    return str(record.fields.get("Name") or record.ref.id)[:80]

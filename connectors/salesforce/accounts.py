"""Accounts by the names that people give their companies (seed S1.13-S1.18). Pure; the connector asks."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime

from connectors.contract import Record
from connectors.salesforce import query

ACCOUNT = "Account"
NAME, CREATED = "Name", "CreatedDate"
SITE, PARENT = "Website", "ParentId"
SITES_A_QUERY = 40
LONGEST_NAME = 255  # characters of an account's name; no account is called by more
_LAST = datetime.max.replace(tzinfo=UTC)


def askable(names: Iterable[str]) -> list[str]:
    """Returns the different names that an account can have, without the blanks around them: Salesforce trims them. A blank
    name is none: it would be part of every other."""
    return [name for name in query.askable(NAME, (name.strip() for name in names)) if len(name) <= LONGEST_NAME]


def named(names: Sequence[str], found: Iterable[Record]) -> dict[str, list[Record]]:
    """Returns the accounts of each name, without regard to case, the one made first at the beginning."""
    by_name: dict[str, list[Record]] = {}
    for record in sorted(found, key=_age):
        by_name.setdefault(str(record.fields.get(NAME) or "").strip().casefold(), []).append(record)
    return {name: list(by_name.get(name.strip().casefold(), ())) if name.strip() else [] for name in names}


def containing(name: str, columns: Sequence[str], most: int) -> str:
    """Returns the query for the accounts whose names hold this one."""
    return query.select(ACCOUNT, columns, order=f"{CREATED}, Id", limit=most, within=f"{NAME} LIKE {query.holding(name)}")


def at_sites(domains: Iterable[str]) -> str:
    """Returns the condition of accounts whose web site has one of these domains; more may meet it (acme.co is a part of
    acme.com): whoever asks looks at what comes back."""
    patterns = [query.beginning(before + domain) for domain in domains for before in ("", "%.", "%/")]
    return "(" + " OR ".join(f"{SITE} LIKE {pattern}" for pattern in patterns) + ")"


def _age(record: Record) -> tuple[datetime, str]:
    at = record.fields.get(CREATED)
    return (at if isinstance(at, datetime) else _LAST, record.ref.id)

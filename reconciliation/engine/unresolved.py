"""Remembers, per mailbox, addresses that Salesforce does not know, until somebody says who they are, or Salesforce knows them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from reconciliation.core.addresses import is_machine, normalise_address
from reconciliation.core.linking_people import lookup_keys
from reconciliation.engine.context import RunContext
from reconciliation.models import Mailbox, UnresolvedPerson
from reconciliation.models.bulk import insert_rows, update_rows

MOST_ITEMS = 10  # items that are kept beside an address
MOST_ADDRESSES = 1_000  # of one page; what is beyond comes with the next item that names it
ROWS_A_LOOK = 500
State = UnresolvedPerson.State
DECIDED = (State.DISMISSED, State.BLOCKED)  # stand until a person takes them back
CHANGED = ("name", "state", "reason", "said", "items", "count", "last_seen_at", "crm_type", "crm_id")


@dataclass(frozen=True, slots=True)
class Seen:
    """What one item says of addresses: which stay unknown, whom it was linked to, whom it was made of, and why nobody was."""

    item: Mapping[str, str]
    unknown: tuple[str, ...]
    found: tuple[str, ...] = ()
    made: tuple[str, ...] = ()
    reasons: Mapping[str, str] = field(default_factory=dict)
    names: Mapping[str, str] = field(default_factory=dict)  # by address, as the item writes it
    certain: Mapping[str, Mapping[str, str]] = field(default_factory=dict)  # what a signature says, by address


def remember(context: RunContext, mailbox: Mailbox | None, items: Sequence[Seen]) -> None:
    """Writes down who stayed unknown in these items, and that others are known by now. Programs are nobody."""
    if mailbox is None:
        return
    unknown = {key for seen in items for a in seen.unknown if not is_machine(key := _key(a))}
    known = {_key(a) for seen in items for a in (*seen.found, *seen.made)} - unknown
    rows = _rows(mailbox, [*sorted(unknown)[:MOST_ADDRESSES], *sorted(known)])
    now = context.wiring.now()
    changed = [row for key in sorted(known & rows.keys()) if _is_known_now(row := rows[key])]
    new: dict[str, UnresolvedPerson] = {}
    for seen in items:
        for address in seen.unknown:
            key = _key(address)
            row = rows.get(key)
            if row is None and key in unknown and len(new) < MOST_ADDRESSES:
                row = rows[key] = new[key] = UnresolvedPerson(mailbox=mailbox, address=key, first_seen_at=now, last_seen_at=now)
            if row is not None and _add(row, seen, address, now) and key not in new:
                changed.append(row)
    update_rows(list({row.pk: row for row in changed}.values()), CHANGED)
    insert_rows(list(new.values()), unique=("mailbox", "address"), update=("items", "last_seen_at", "reason"))


def _key(address: str) -> str:
    return lookup_keys(address)[-1]


def _rows(mailbox: Mailbox, keys: Sequence[str]) -> dict[str, UnresolvedPerson]:
    found: dict[str, UnresolvedPerson] = {}
    for start in range(0, len(keys), ROWS_A_LOOK):
        rows = UnresolvedPerson.objects.filter(mailbox=mailbox, address__in=keys[start : start + ROWS_A_LOOK])
        found.update({row.address: row for row in rows})
    return found


def _is_known_now(row: UnresolvedPerson) -> bool:
    """Closes a row whose address is known by now; tells whether that is news."""
    if row.state != State.OPEN:
        return False
    row.state, row.reason = State.FOUND, "Salesforce knows it by now."
    return True


def _add(row: UnresolvedPerson, seen: Seen, address: str, now: datetime) -> bool:
    """Adds an item to an address; tells whether that changes anything. The same item counts once."""
    before = _values(row)
    if row.state not in DECIDED:
        row.state = State.OPEN
        row.crm_type = row.crm_id = ""  # whoever was said to be it is gone, else it were known
        row.reason = seen.reasons.get(address) or seen.reasons.get(_key(address)) or "Nobody was made of it."
    row.name = row.name or _name(seen, _key(address))
    row.said = {**row.said, **seen.certain.get(address, {}), **seen.certain.get(_key(address), {})}
    if all(known.get("id") != seen.item["id"] for known in row.items):
        row.items = [*row.items, {**seen.item, "at": now.isoformat()}][-MOST_ITEMS:]
        row.count += 1
        row.last_seen_at = now
    return before != _values(row)


def _values(row: UnresolvedPerson) -> tuple[Any, ...]:
    return tuple(getattr(row, name) for name in CHANGED)


def _name(seen: Seen, key: str) -> str:
    return next((name[:255] for text, name in seen.names.items() if _key(normalise_address(text)) == key), "")

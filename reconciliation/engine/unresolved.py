"""Remembers, per mailbox, addresses that Salesforce does not know, until somebody says who they are, or Salesforce knows them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from django.db.models import Q

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
SEEN = ("name", "said", "items", "count", "last_seen_at")
STANDS = ("state", "reason", "crm_type", "crm_id")  # what people change as well


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
    met = {key for seen in items for a in seen.unknown if not is_machine(key := _key(a))}
    known = {_key(a) for seen in items for a in (*seen.found, *seen.made)} - met
    unknown = set(sorted(met)[:MOST_ADDRESSES])
    rows = _rows(mailbox, [*sorted(unknown), *sorted(known)])
    stood = {row.pk: _values(row, STANDS) for row in rows.values()}
    now, since = context.wiring.now(), context.run.started_at
    changed = [row for key in sorted(known & rows.keys()) if _is_known_now(row := rows[key])]
    new: dict[str, UnresolvedPerson] = {}
    for seen in items:
        for address in seen.unknown:
            key = _key(address)
            row = rows.get(key)
            if row is None and key in unknown:
                row = rows[key] = new[key] = UnresolvedPerson(mailbox=mailbox, address=key, first_seen_at=now, last_seen_at=now)
            if row is not None and _add(row, seen, address, now, since) and key not in new:
                changed.append(row)
    changed = list({row.pk: row for row in changed}.values())
    update_rows(changed, SEEN)
    _write_what_stands(changed, stood, since)
    insert_rows(list(new.values()), unique=("mailbox", "address"), update=("items", "last_seen_at", "reason"))


def _write_what_stands(rows: Sequence[UnresolvedPerson], stood: Mapping[int, tuple[Any, ...]], since: datetime) -> None:
    """Writes whether these addresses wait, where they stand as they were read: a person may have decided meanwhile."""
    groups: dict[tuple[Any, ...], list[int]] = {}
    for row in rows:
        if _values(row, STANDS) != stood[row.pk]:
            groups.setdefault((stood[row.pk][0], *_values(row, STANDS)), []).append(row.pk)
    before = Q(state=State.OPEN) | Q(decided_at=None) | Q(decided_at__lt=since)
    for (was, *values), keys in groups.items():
        UnresolvedPerson.objects.filter(before, pk__in=keys, state=was).update(**dict(zip(STANDS, values, strict=True)))


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


def _add(row: UnresolvedPerson, seen: Seen, address: str, now: datetime, since: datetime) -> bool:
    """Adds an item to an address; tells whether that changes anything. The same item counts once. What was decided since the run
    began stands: the run asked before, and takes the address for unknown still."""
    before = _values(row, (*SEEN, *STANDS))
    is_new_decision = row.state != State.OPEN and row.decided_at is not None and row.decided_at >= since
    if row.state not in DECIDED and not is_new_decision:
        row.state = State.OPEN
        row.crm_type = row.crm_id = ""  # whoever was said to be it is gone, else it were known
        row.reason = seen.reasons.get(address) or seen.reasons.get(_key(address)) or "Nobody was made of it."
    row.name = row.name or _name(seen, _key(address))
    row.said = {**row.said, **seen.certain.get(address, {}), **seen.certain.get(_key(address), {})}
    if all(known.get("id") != seen.item["id"] for known in row.items):
        row.items = [*row.items, {**seen.item, "at": now.isoformat()}][-MOST_ITEMS:]
        row.count += 1
        row.last_seen_at = now
    return before != _values(row, (*SEEN, *STANDS))


def _values(row: UnresolvedPerson, names: Sequence[str]) -> tuple[Any, ...]:
    return tuple(getattr(row, name) for name in names)


def _name(seen: Seen, key: str) -> str:
    return next((name[:255] for text, name in seen.names.items() if _key(normalise_address(text)) == key), "")

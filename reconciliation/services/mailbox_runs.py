"""Which mailboxes a pass goes over, and what their runs come to together."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from django.db.models import QuerySet

from reconciliation.engine.mailbox_terms import effective_of
from reconciliation.models import Mailbox, SyncPass
from reconciliation.services.mailboxes import pass_over

SUMMED = ("seen", "created", "updated", "unchanged", "duplicates", "failed", "held")


def passes_due(parent: SyncPass, address: str = "") -> Iterator[SyncPass]:
    """Yields the pass's row for the mailbox of this address, whatever its switch says, or for every running one that has it
    switched on. Raises LookupError when no mailbox has the address, or several have."""
    boxes = Mailbox.objects.select_related("connection", "group").order_by("pk")
    if address:
        yield pass_over(parent, _named(boxes, address))
        return
    for mailbox in boxes.filter(state__in=Mailbox.RUNNING).iterator():
        if effective_of(parent, mailbox)[parent.name].value:
            yield pass_over(parent, mailbox)


def _named(boxes: QuerySet[Mailbox], address: str) -> Mailbox:
    """Returns the mailbox of this address, written as SYSTEM:ADDRESS where two systems have it. Raises LookupError."""
    system, _, rest = address.rpartition(":")
    found = list(boxes.filter(address__iexact=rest, **({"connection__system": system.lower()} if system else {})))
    if not found:
        raise LookupError(f"There is no mailbox {address!r}.")
    if len(found) > 1:
        ways = " or ".join(f"{box.connection.system}:{box.address}" for box in found)
        raise LookupError(f"{len(found)} mailboxes have the address {rest!r}: name it as {ways}.")
    if found[0].is_ended:
        raise LookupError(f"The sync of {rest!r} was ended; add the mailbox again first.")
    return found[0]


def sum_of(ledgers: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Returns the sum of the runs of several mailboxes under the names of one run's ledger."""
    total: dict[str, Any] = {name: sum(int(ledger[name]) for ledger in ledgers) for name in SUMMED}
    for name in ("excluded", "related", "calls"):
        parts: dict[str, int] = {}
        for ledger in ledgers:
            for key, count in ledger[name].items():
                parts[key] = parts.get(key, 0) + int(count)
        total[name] = parts
    return {"mailboxes": len(ledgers), **total}

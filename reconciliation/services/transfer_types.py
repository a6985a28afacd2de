"""The record types of a pass in a settings file: their order, switches and polling conditions."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from django.contrib.auth.models import AbstractBaseUser

from reconciliation.models import RecordType, SyncPass
from reconciliation.services.record_types import SWITCHES, order_set, type_set

WORDS = {
    "is_on": "synced",
    "inbound_create": "inbound create",
    "inbound_update": "inbound update",
    "outbound_create": "outbound create",
    "outbound_update": "outbound update",
    "conditions": "polling conditions",
}


@dataclass(slots=True)
class TypesPlan:
    """What a file changes in the types of one pass. A line is what it is called, what stands here, what will."""

    sync_pass: SyncPass
    lines: list[tuple[str, Any, Any]] = field(default_factory=list)
    changed: list[tuple[RecordType, dict[str, Any]]] = field(default_factory=list)
    order: list[int] = field(default_factory=list)

    def apply(self, by: AbstractBaseUser | None) -> None:
        """Raises RecordTypesRefused."""
        if self.order:
            order_set(self.sync_pass, self.order, by)
        for row, wanted in self.changed:
            type_set(row, wanted, wanted["conditions"], by)


def exported(sync_pass: SyncPass) -> list[dict[str, Any]]:
    """Returns the types in their order, "mapping" by name."""
    return [{"crm_object": row.crm_object, "mapping": row.mapping.name, **_values(row)} for row in _rows(sync_pass)]


def plan(sync_pass: SyncPass, wanted: Sequence[dict[str, Any]]) -> TypesPlan:
    """Returns what these types of a file change here; nothing where the file has none."""
    found, rows = TypesPlan(sync_pass), _rows(sync_pass)
    by_key = {(row.crm_object, row.mapping.name): row for row in rows}
    known = [(by_key[key], one) for one in wanted if (key := (one["crm_object"], one["mapping"])) in by_key]
    for row, one in known:
        now, then = _values(row), {name: one[name] for name in WORDS}
        if now != then:
            found.changed.append((row, then))
            found.lines += [(f"{row.crm_object}: {word}", now[name], then[name]) for name, word in WORDS.items() if now[name] != then[name]]
    first = [row for row, _ in known]
    order = [*first, *(row for row in rows if row not in first)] if known else rows
    if order != rows:
        found.order = [row.pk for row in order]
        found.lines.insert(0, ("order of record types", *(", ".join(row.crm_object for row in some) for some in (rows, order))))
    return found


def unknown(sync_pass: SyncPass, wanted: Sequence[dict[str, Any]]) -> list[str]:
    """Returns a line for each type of the file that this site does not have."""
    here = {(row.crm_object, row.mapping.name) for row in _rows(sync_pass)}
    return [
        f"The record type {one['crm_object']} with the mapping “{one['mapping']}” of {sync_pass.title} is not on this site."
        for one in wanted
        if (one["crm_object"], one["mapping"]) not in here
    ]


def _rows(sync_pass: SyncPass) -> list[RecordType]:
    return list(RecordType.objects.filter(sync_pass=sync_pass).select_related("sync_pass__crm", "mapping").order_by("order", "pk"))


def _values(row: RecordType) -> dict[str, Any]:
    return {name: getattr(row, name) for name in SWITCHES} | {"conditions": [list(one) for one in row.conditions]}

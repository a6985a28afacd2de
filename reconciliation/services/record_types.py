"""The record types of two-way passes: their order, which decides (S2.12), their switches and polling conditions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from django.contrib.auth.models import AbstractBaseUser
from django.db import transaction

from reconciliation.core.conditions import checked
from reconciliation.models import RecordType, SyncPass
from reconciliation.services.audit import audit

MOST_CONDITIONS = 20
SWITCHES = ("is_on", "inbound_create", "inbound_update", "outbound_create", "outbound_update")


class RecordTypesRefused(ValueError):
    """Nothing was saved; the sentence says why."""


def record_types() -> list[tuple[SyncPass, list[RecordType]]]:
    """Returns each two-way pass with its types in their order."""
    rows = RecordType.objects.select_related("sync_pass__crm", "sync_pass__peer", "mapping").order_by("sync_pass_id", "order", "pk")
    found: dict[int, tuple[SyncPass, list[RecordType]]] = {}
    for row in rows:
        found.setdefault(row.sync_pass_id, (row.sync_pass, []))[1].append(row)
    return list(found.values())


def order_set(sync_pass: SyncPass, keys: Sequence[int], user: AbstractBaseUser) -> bool:
    """Puts the types of a pass into this order and returns whether that changed it. Raises RecordTypesRefused when the
    list is not exactly its types: somebody may have changed them meanwhile."""
    with transaction.atomic():
        SyncPass.objects.select_for_update().get(pk=sync_pass.pk)
        rows = {row.pk: row for row in RecordType.objects.filter(sync_pass=sync_pass)}
        if sorted(keys) != sorted(rows):
            raise RecordTypesRefused("The types of this pass were changed meanwhile. Look at them again; nothing was saved.")
        before = [row.crm_object for row in sorted(rows.values(), key=lambda row: (row.order, row.pk))]
        after = [rows[key].crm_object for key in keys]
        if before == after:
            return False
        for order, key in enumerate(keys):
            RecordType.objects.filter(pk=key).update(order=order)
        audit(user, "order record types", sync_pass.title, before=before, after=after)
    return True


def move(row: RecordType, step: int, user: AbstractBaseUser) -> bool:
    """Moves a type one place up (-1) or down (+1); at the end of the list it stays."""
    keys = list(RecordType.objects.filter(sync_pass=row.sync_pass).order_by("order", "pk").values_list("pk", flat=True))
    at = keys.index(row.pk)
    to = at + step
    if not 0 <= to < len(keys):
        return False
    keys[at], keys[to] = keys[to], keys[at]
    return order_set(row.sync_pass, keys, user)


def type_set(row: RecordType, switches: Mapping[str, bool], conditions: Sequence[Sequence[str]], user: AbstractBaseUser) -> bool:
    """Saves switches and conditions of a type and returns whether that changed anything. Raises RecordTypesRefused."""
    if len(conditions) > MOST_CONDITIONS:
        raise RecordTypesRefused(f"{row.crm_object}: {len(conditions)} conditions are more than {MOST_CONDITIONS}. Nothing was saved.")
    try:
        rows = checked(conditions)
    except ValueError as error:
        raise RecordTypesRefused(f"{row.crm_object}: {error} Nothing was saved.") from None
    known = (row.sync_pass.crm.schema_cache or {}).get(row.crm_object, {})
    unknown = [field for field, _, _ in rows if known and field not in known and "." not in field]
    if unknown:
        named = ", ".join(unknown)
        raise RecordTypesRefused(f"{row.sync_pass.crm} has no field {named} on {row.crm_object}. Nothing was saved.")
    wanted: dict[str, Any] = {name: bool(switches.get(name)) for name in SWITCHES} | {"conditions": [list(r) for r in rows]}
    changed = {name: [getattr(row, name), value] for name, value in wanted.items() if getattr(row, name) != value}
    if not changed:
        return False
    RecordType.objects.filter(pk=row.pk).update(**{name: value for name, (_, value) in changed.items()})
    audit(user, "change record type", f"{row.sync_pass.title}: {row.crm_object}", **changed)
    return True

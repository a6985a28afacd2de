"""The record types of two-way passes: their order, which decides (S2.12), their switches and polling conditions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from django.contrib.auth.models import AbstractBaseUser
from django.db import transaction
from django.db.models import Q
from django.utils import timezone

from reconciliation.core.conditions import IS, IS_NOT, checked, typed
from reconciliation.engine import pair_trouble
from reconciliation.models import Case, RecordType, SyncPass
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
    for field, value in ((field, value) for field, test, value in rows if test in (IS, IS_NOT)):
        try:
            typed(value, str(known.get(field, {}).get("type", "text")))
        except ValueError as error:
            raise RecordTypesRefused(f"{row.crm_object}, {field}: {error} Nothing was saved.") from None
    unknown = [field for field, _, _ in rows if known and field not in known and "." not in field]
    if unknown:
        named = ", ".join(unknown)
        raise RecordTypesRefused(f"{row.sync_pass.crm} has no field {named} on {row.crm_object}. Nothing was saved.")
    wanted: dict[str, Any] = {name: bool(switches.get(name)) for name in SWITCHES} | {"conditions": [list(r) for r in rows]}
    changed = {name: [getattr(row, name), value] for name, value in wanted.items() if getattr(row, name) != value}
    if not changed:
        return False
    with transaction.atomic():
        RecordType.objects.filter(pk=row.pk).update(**{name: value for name, (_, value) in changed.items()})
        _compare_all_again(row)
        _take_up_again(row.sync_pass)
    audit(user, "change record type", f"{row.sync_pass.title}: {row.crm_object}", **changed)
    return True


def _compare_all_again(row: RecordType) -> None:
    """What was left out under the old terms is edited by nobody, so that no cursor brings it back: the next run reads both
    sides from the beginning, which costs their pages and writes only what is due."""
    begins = {"sweep_is_full": True, "sweep_started_at": None, "position_at": None, "position_id": ""}
    RecordType.objects.filter(pk=row.pk).update(**begins)
    SyncPass.objects.filter(pk=row.sync_pass_id).update(**begins)


def _take_up_again(sync_pass: SyncPass) -> None:
    """A condition that the CRM refused holds the pass; one that was saved anew is a mended one."""
    pair_trouble.release(sync_pass)
    whole = Q(pk=sync_pass.pk) | Q(parent=sync_pass.pk)
    if SyncPass.objects.filter(whole).exclude(hold_reason="").update(hold_reason=""):
        of_whole = Case.objects.filter(Q(sync_pass=sync_pass.pk) | Q(sync_pass__parent=sync_pass.pk))
        cases = of_whole.filter(kind=Case.Kind.MAPPING, state=Case.State.OPEN, crm_id="direction")
        cases.update(state=Case.State.CLOSED, decision="record type saved", closed_at=timezone.now())

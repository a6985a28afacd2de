"""Changes of mapping rows, checked against the schemas of both systems before they are stored."""

from __future__ import annotations

from dataclasses import dataclass

from django.db import transaction
from django.db.models import F
from django.utils import timezone

from reconciliation.core.transforms import TRANSFORMS
from reconciliation.models import Case, FieldRule, MappingTable, SyncPass


class MappingRefused(ValueError):
    """The row cannot work; the sentence says why."""


@dataclass(frozen=True, slots=True)
class RowChange:
    """What a person entered for one row."""

    crm_field: str
    peer_field: str
    transform: str = "same"
    is_enabled: bool = True
    blank_to_peer: bool = False


def lint(sync_pass: SyncPass, change: RowChange) -> list[str]:
    """Returns what speaks against a row, as sentences; empty when nothing does."""
    table = sync_pass.mapping
    crm = (sync_pass.crm.schema_cache or {}).get(table.crm_object, {})
    peer = (sync_pass.peer.schema_cache or {}).get(table.peer_object, {})
    problems = []
    if change.transform not in TRANSFORMS:
        problems.append(f"There is no conversion called {change.transform!r}.")
    if crm and change.crm_field not in crm:
        problems.append(f"{sync_pass.crm.get_system_display()} has no field {change.crm_field!r}.")
    attribute = peer.get(change.peer_field)
    if peer and attribute is None:
        problems.append(f"{sync_pass.peer.get_system_display()} has no field {change.peer_field!r}.")
    if attribute and not attribute["is_updatable"]:
        problems.append(f"{change.peer_field} is read-only.")
    if change.peer_field == "customId":
        problems.append("customId holds our own key and cannot be mapped.")
    if (
        attribute
        and attribute["type"] == "integer"
        and change.transform in ("same", "text")
        and crm.get(change.crm_field, {}).get("type") == "text"
    ):
        problems.append(f"{change.peer_field} takes a number; choose the conversion “integer”.")
    return problems


@transaction.atomic
def mapping_save(sync_pass: SyncPass, changes: dict[int, RowChange], added: RowChange | None) -> int:
    """Stores the rows and raises the table's version. Returns the new version. Raises MappingRefused, storing nothing."""
    table = sync_pass.mapping
    for change in [*changes.values(), *([added] if added else [])]:
        if change.is_enabled and (problems := lint(sync_pass, change)):
            raise MappingRefused(f"{change.crm_field} → {change.peer_field}: {' '.join(problems)}")
    used = [c.peer_field for c in [*changes.values(), *([added] if added else [])]]
    twice = {name for name in used if used.count(name) > 1}
    if twice:
        raise MappingRefused(f"{', '.join(sorted(twice))} is mapped twice; one row must go.")
    for pk, change in changes.items():
        FieldRule.objects.filter(pk=pk, table=table).update(
            crm_field=change.crm_field,
            peer_field=change.peer_field,
            transform=change.transform,
            is_enabled=change.is_enabled,
            blank_to_peer=change.blank_to_peer,
        )
    if added:
        FieldRule.objects.create(
            table=table,
            crm_field=added.crm_field,
            peer_field=added.peer_field,
            transform=added.transform,
            is_enabled=added.is_enabled,
            blank_to_peer=added.blank_to_peer,
        )
    MappingTable.objects.filter(pk=table.pk).update(version=F("version") + 1)
    _take_up_again(sync_pass)
    return int(MappingTable.objects.values_list("version", flat=True).get(pk=table.pk))


def _take_up_again(sync_pass: SyncPass) -> None:
    """A saved mapping is a mended one: what was held for it goes on, and its cases close."""
    FieldRule.objects.filter(table=sync_pass.mapping).exclude(held_reason="").update(held_reason="")
    SyncPass.objects.filter(pk=sync_pass.pk).update(hold_reason="")
    Case.objects.filter(sync_pass=sync_pass, kind=Case.Kind.MAPPING, state=Case.State.OPEN).update(
        state=Case.State.CLOSED, decision="mapping saved", closed_at=timezone.now()
    )

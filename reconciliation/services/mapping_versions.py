"""Versions of mapping tables: what each said, how two differ, and the way back to one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from django.contrib.auth.models import AbstractBaseUser

from reconciliation.core.mapping_versions import RowDiff, match, rows_diff
from reconciliation.models import MappingTable, MappingVersion, SyncPass
from reconciliation.models.mapping_version import rows_of
from reconciliation.services.mappings import RowChange, mapping_save

Rows = Sequence[dict[str, Any]]


@dataclass(frozen=True, slots=True)
class Proposal:
    """What it takes to make a table's present rows those of another version; `disabled` are standard rows, which are
    never removed. `rests_on` is the version it was worked out for."""

    changes: dict[int, RowChange]
    added: list[RowChange]
    on_first_link: str
    rests_on: int
    diff: list[RowDiff]
    disabled: list[str] = field(default_factory=list)
    first_link_diff: tuple[str, str] | None = None

    @property
    def is_empty(self) -> bool:
        return not self.first_link_diff and all(row.kind == "same" for row in self.diff)


def first_link_word(value: str) -> str:
    return str(dict(MappingTable._meta.get_field("on_first_link").choices or ()).get(value, value))


def proposal_of(table: MappingTable, rows: Rows, on_first_link: str) -> Proposal:
    """Returns the way from the table as it is to these rows. A standard row that they lack is disabled."""
    present = rows_of(table.rules.all())
    partner = {old: new for new, old in match(present, rows).items()}
    wanted: list[dict[str, Any]] = []
    changes, disabled = {}, []
    for index, row in enumerate(present):
        if index in partner:
            target = {**rows[partner[index]], "id": row["id"], "is_standard": row["is_standard"]}
        elif row["is_standard"]:
            target = {**row, "is_enabled": False}
            if row["is_enabled"]:
                disabled.append(f"{row['crm_field']} → {row['peer_field']}")
        else:
            changes[row["id"]] = _change(row, is_removed=True)
            continue
        wanted.append(target)
        changes[row["id"]] = _change(target)
    new = [row for index, row in enumerate(rows) if index not in partner.values()]
    diff = rows_diff(present, [*wanted, *({**row, "id": None, "is_standard": False} for row in new)])
    words = (first_link_word(table.on_first_link), first_link_word(on_first_link))
    first = words if on_first_link != table.on_first_link else None
    return Proposal(changes, [_change(row) for row in new], on_first_link, table.version, diff, disabled, first)


def _change(row: dict[str, Any], *, is_removed: bool = False) -> RowChange:
    return RowChange(
        row["crm_field"],
        row["peer_field"],
        row["transform"],
        is_enabled=row["is_enabled"],
        blank_to_peer=row["blank_to_peer"],
        is_removed=is_removed,
        direction=row["direction"],
        survivorship=row["survivorship"],
        blank_to_crm=row["blank_to_crm"],
        value_map=row.get("value_map") or [],  # versions of before these existed lack them
        default_in_peer=row.get("default_in_peer") or "",
        default_in_crm=row.get("default_in_crm") or "",
    )


def diff_between(older: MappingVersion, newer: MappingVersion) -> tuple[list[RowDiff], tuple[str, str] | None]:
    """Returns the rows of both versions with what differs, and *On first link* before and after where it does."""
    words = (first_link_word(older.on_first_link), first_link_word(newer.on_first_link))
    return rows_diff(older.rows, newer.rows), words if words[0] != words[1] else None


def version_restore(
    sync_pass: SyncPass, kept: MappingVersion, by: AbstractBaseUser | None, *, rests_on: int | None, reason: str = ""
) -> int:
    """Saves the rows of an earlier version as a new one, which it returns. Raises MappingRefused, storing nothing, when
    a row cannot work any more or somebody saved since `rests_on`."""
    proposal = proposal_of(sync_pass.mapping, kept.rows, kept.on_first_link)
    why = f"Back to version {kept.version}.{' ' + reason if reason else ''}"
    return mapping_save(sync_pass, proposal.changes, proposal.added, kept.on_first_link, by, rests_on=rests_on, reason=why)

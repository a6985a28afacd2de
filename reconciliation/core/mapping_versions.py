"""Differences between two versions of a mapping table, row by row and field by field, in words. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

Row = Mapping[str, Any]
# What a row says, with the words of the page. `id` tells rows of one site apart and is no part of what they say.
FIELDS = {
    "crm_field": "CRM field",
    "peer_field": "peer field",
    "direction": "direction",
    "transform": "conversion",
    "survivorship": "who wins",
    "blank_to_peer": "blank overrides in peer",
    "blank_to_crm": "blank overrides in CRM",
    "value_map": "value map",
    "default_in_peer": "placeholder in peer",
    "default_in_crm": "placeholder in CRM",
    "is_enabled": "enabled",
    "is_standard": "standard",
}


@dataclass(frozen=True, slots=True)
class FieldDiff:
    """One field of a row that differs."""

    name: str
    before: Any
    after: Any


@dataclass(frozen=True, slots=True)
class RowDiff:
    """One row in two versions: `kind` is added, removed, changed or same."""

    kind: str
    title: str
    fields: tuple[FieldDiff, ...] = ()

    @property
    def sentence(self) -> str:
        """What happened to the row, in words, for logs."""
        said = ", ".join(f"{f.name} {_word(f.before)} → {_word(f.after)}" for f in self.fields)
        return f"{self.title}: {said}" if self.kind == "changed" else f"{self.kind} {self.title}"


def title_of(row: Row) -> str:
    return f"{row['crm_field']} → {row['peer_field']}"


def rows_diff(before: Sequence[Row], after: Sequence[Row]) -> list[RowDiff]:
    """Returns a line for every row of both versions, in the order of the later one; removed rows come last."""
    partner = match(before, after)
    found = []
    for index, row in enumerate(after):
        old = before[partner[index]] if index in partner else None
        if old is None:
            found.append(RowDiff("added", title_of(row)))
            continue
        fields = tuple(FieldDiff(word, old.get(n), row.get(n)) for n, word in FIELDS.items() if not _is_same(old.get(n), row.get(n)))
        found.append(RowDiff("changed" if fields else "same", title_of(old), fields))
    matched = set(partner.values())
    return found + [RowDiff("removed", title_of(row)) for index, row in enumerate(before) if index not in matched]


def match(before: Sequence[Row], after: Sequence[Row]) -> dict[int, int]:
    """Returns index of a later row -> index of the earlier row it is: the one with its id, else with its peer field."""
    by_id = {row["id"]: index for index, row in enumerate(before) if row.get("id")}
    partner = {index: by_id[row["id"]] for index, row in enumerate(after) if row.get("id") in by_id}
    taken = set(partner.values())
    by_peer = {row["peer_field"]: index for index, row in enumerate(before) if index not in taken}
    for index, row in enumerate(after):
        if index not in partner and row["peer_field"] in by_peer:
            partner[index] = by_peer[row["peer_field"]]
    return partner


def _is_same(before: Any, after: Any) -> bool:
    """Tells whether two versions say the same: one kept before a field existed says nothing of it."""
    return before == after or not (before or after)


def _word(value: Any) -> str:
    return {True: "yes", False: "no", None: "–", "": "–"}.get(value, str(value)) if isinstance(value, bool | str | None) else str(value)

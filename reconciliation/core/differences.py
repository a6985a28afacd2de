"""In which fields two records differ as far as the mapping is concerned. Pure."""

from __future__ import annotations

from dataclasses import dataclass

from connectors.contract import Fields, Value
from reconciliation.core.mapping import FieldRule, Mapping
from reconciliation.core.transforms import CannotConvert, Unmatched, Users, convert
from reconciliation.core.values import is_blank, is_same


@dataclass(frozen=True, slots=True)
class Standing:
    """One field in which the peer holds something else than the CRM's value would be there. `is_held_blank` when the CRM
    is blank and the rule lets no blank overwrite (D30)."""

    rule: FieldRule
    wanted: Value
    is_held_blank: bool


def standing_differences(mapping: Mapping, crm: Fields, peer: Fields, users: Users) -> dict[str, Standing]:
    """Returns peer field -> the difference that stands. Values without a counterpart there are no differences: an unknown
    owner is listed apart, and what cannot be converted is told with the record."""
    found = {}
    for rule in mapping.rules:
        if not rule.flows_to_peer:
            continue
        try:
            wanted = convert(rule.transform, crm.get(rule.crm), users=users)
        except CannotConvert:
            continue
        if isinstance(wanted, Unmatched) or is_same(wanted, peer.get(rule.peer)):
            continue
        found[rule.peer] = Standing(rule, None if is_blank(wanted) else wanted, is_blank(wanted) and not rule.blank_to_peer)
    return found

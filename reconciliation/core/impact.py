"""What a change of a mapping would do to one pair of records. Pure; the page asks it for a sample."""

from __future__ import annotations

from connectors.contract import Fields
from reconciliation.core.mapping import Mapping
from reconciliation.core.merging import FieldWrite, SideState, merge_fields
from reconciliation.core.transforms import Users
from reconciliation.core.values import is_same


def impact(before: Mapping, after: Mapping, crm: Fields, peer: Fields, users: Users) -> dict[str, FieldWrite]:
    """Returns the writes to the peer that `after` asks for and `before` does not, by field: what a full run would send
    because of the change alone."""
    old, new = _writes(before, crm, peer, users), _writes(after, crm, peer, users)
    return {name: write for name, write in new.items() if name not in old or not is_same(old[name].value, write.value)}


def _writes(mapping: Mapping, crm: Fields, peer: Fields, users: Users) -> dict[str, FieldWrite]:
    return merge_fields(mapping, crm=SideState(base={}, now=crm), peer=SideState(base=peer, now=peer), users=users).to_peer

"""Field rules: which field of one side belongs to which of the other, in what direction, and who wins."""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import StrEnum
from functools import cached_property


class Direction(StrEnum):
    """Which way a field flows."""

    TO_PEER = "to_peer"
    TO_CRM = "to_crm"
    BOTH = "both"
    NONE = "none"  # only when forced (D29)


class Survivorship(StrEnum):
    """Who wins when both sides changed one field to different values (D10)."""

    LATEST = "latest"
    CRM = "crm"
    PEER = "peer"
    ASK = "ask"
    RESTRICTIVE = "restrictive"  # consent: a yes on either side holds for both, and no merge takes it back


@dataclass(frozen=True, slots=True)
class FieldRule:
    """One row of a mapping table. `crm` and `peer` are the systems' own attribute names; `transform` names an entry
    of `transforms.TRANSFORMS`; `value_map` holds its pairs of (CRM value, peer value) where it needs them. `max_length` (0: none)
    and `is_required` describe the peer's field, from its schema, the `…_in_crm` ones the CRM's. Defaults are what a new record
    gets where the other side is blank. `since_version` is the table's version that gave the rule its present meaning."""

    id: int
    crm: str
    peer: str
    direction: Direction = Direction.TO_PEER
    transform: str = "same"
    survivorship: Survivorship = Survivorship.LATEST
    blank_to_peer: bool = False
    blank_to_crm: bool = False
    max_length: int = 0
    is_required: bool = False
    since_version: int = 0
    value_map: tuple[tuple[str, str], ...] = ()
    max_length_in_crm: int = 0
    is_required_in_crm: bool = False
    default_in_peer: str = ""
    default_in_crm: str = ""

    @property
    def flows_to_peer(self) -> bool:
        return self.direction in (Direction.TO_PEER, Direction.BOTH)

    @property
    def flows_to_crm(self) -> bool:
        return self.direction in (Direction.TO_CRM, Direction.BOTH)


@dataclass(frozen=True)
class Mapping:
    """The enabled rules of one object pair, at one version. What follows from them is asked for every record, so it is kept."""

    version: int
    rules: tuple[FieldRule, ...]

    def with_blanks(self, allowed: bool) -> tuple[FieldRule, ...]:
        """Returns the rules, in order, that let blanks go across both ways, or neither way."""
        return self._with_blanks[allowed]

    @cached_property
    def _with_blanks(self) -> dict[bool, tuple[FieldRule, ...]]:
        return {on: tuple(replace(rule, blank_to_peer=on, blank_to_crm=on) for rule in self.rules) for on in (True, False)}

    def newer_than(self, version: int) -> frozenset[int]:
        """Returns the ids of the rules that came or changed after a version of the table."""
        if version >= self._newest:
            return frozenset()
        return frozenset(rule.id for rule in self.rules if rule.since_version > version)

    @cached_property
    def _newest(self) -> int:
        return max((rule.since_version for rule in self.rules), default=0)

    @cached_property
    def crm_fields(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys(rule.crm for rule in self.rules))

    @cached_property
    def peer_fields(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys(rule.peer for rule in self.rules))

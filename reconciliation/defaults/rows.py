"""The form of a shipped mapping row of a two-way pass; its words are those of `core.mapping` and `core.transforms`."""

from __future__ import annotations

from dataclasses import dataclass

from reconciliation.core.mapping import Direction, Survivorship


@dataclass(frozen=True, slots=True)
class StandardRow:
    """One row of a standard table. `in_crm` is what a new record of the CRM gets where the peer's field is blank, `pairs` are those of
    a value map, `has_blanks` lets a value that was taken out on one side be taken out on the other."""

    crm: str
    peer: str
    direction: Direction = Direction.BOTH
    transform: str = "same"
    survivorship: Survivorship = Survivorship.LATEST
    in_crm: str = ""
    is_enabled: bool = True
    pairs: tuple[tuple[str, str], ...] = ()
    has_blanks: bool = False


@dataclass(frozen=True, slots=True)
class StandardType:
    """One record type of a two-way pass, and the table it is made with. Its place among the types is its order: the first
    wins where two hold one e-mail (S2.12)."""

    crm_object: str
    peer_object: str
    table: str
    rows: tuple[StandardRow, ...]
    outbound_create: bool


@dataclass(frozen=True, slots=True)
class StandardPass:
    """A two-way pass as it is made: its name, what staff call it, and whether it is on in a sandbox at once."""

    name: str
    title: str
    types: tuple[StandardType, ...]
    is_on_in_sandbox: bool
    interval_seconds: int = 600

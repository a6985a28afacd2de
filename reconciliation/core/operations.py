"""What a plan is made of. Plans are data: preview, run and the why page read the same one."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from connectors.contract import Fields, File, Record
from reconciliation.core.ledger import Outcome


@dataclass(frozen=True, slots=True)
class Intent:
    """One remote write as it will stand in the journal. `side` is `crm` or `peer`; `target_id` is "" for a create;
    `losers` are the values of `before` that somebody had edited since the last agreement and that a rule beats;
    `also_read` are fields that the answer to a create should hold beside those written. `unstored` and `files` are sent too, and
    stand in no journal: what a mail says is kept in its mailbox and in the CRM only."""

    kind: str
    side: str
    object_type: str
    source_ref: str
    after: Fields
    before: Fields = field(default_factory=dict)
    target_id: str = ""
    version: str = ""
    marker: str = ""
    name_key: str = ""
    reason: str = ""
    origin: Mapping[str, Any] = field(default_factory=dict)
    losers: Fields = field(default_factory=dict)
    also_read: tuple[str, ...] = ()
    scope: str = ""  # the mailbox of a create, where one source may be made in many
    unstored: Fields = field(default_factory=dict, repr=False)
    files: tuple[File, ...] = ()

    @property
    def writer_key(self) -> str:
        """What only one open operation may hold: the target, or for a create its source (engine-rules 20)."""
        return self.target_id or f"create:{self.scope}{':' if self.scope else ''}{self.source_ref}"


@dataclass(frozen=True, slots=True)
class Candidate:
    """One record of the peer that may be the same thing, and why we think so."""

    peer_id: str
    name: str
    reason: str
    fields: Mapping[str, Any] = field(default_factory=dict)
    bound_to: str = ""


@dataclass(frozen=True, slots=True)
class CaseOpening:
    """A case to open (or to keep open) for a person."""

    kind: str
    reason: str
    sentence: str
    remedy: str = ""
    candidates: tuple[Candidate, ...] = ()


@dataclass(frozen=True, slots=True)
class Decision:
    """What a pass decided for one record: an outcome with its reason, and what it takes to get there.

    `intent` None with outcome created/updated never occurs. `bind` asks for a binding without a create (a link)."""

    record: Record
    outcome: Outcome
    reason: str = ""
    sentence: str = ""
    intent: Intent | None = None
    case: CaseOpening | None = None
    bind_to: Record | None = None
    base_only: bool = False
    owner_text: str = ""
    is_without_owner: bool = False
    warnings: tuple[str, ...] = ()
    held_blanks: tuple[str, ...] = ()  # fields of the peer that keep their value, since the rule lets no blank overwrite

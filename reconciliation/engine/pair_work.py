"""One page of a two-way pass on its way: what is known of each record, what was decided, what became of it."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from connectors.contract import Record
from connectors.errors import ConnectorError
from reconciliation.engine.linker import Linked
from reconciliation.models import Binding, MailboxItem, Operation
from reconciliation.passes.pairs import PairDecision

ByRecord = dict[str, PairDecision]


@dataclass(slots=True)
class PairWork:
    """What is known of a page so far, by the id of the record that is looked at; `side` is its side."""

    side: str
    records: dict[str, Record]
    decisions: ByRecord = field(default_factory=dict)
    bindings: dict[str, Binding] = field(default_factory=dict)  # those that hold, or a tombstone where none does
    operations: dict[str, list[Operation]] = field(default_factory=dict)
    followed: dict[str, str] = field(default_factory=dict)  # what happened to the CRM's record of a binding, in a sentence
    asked: dict[str, frozenset[str]] = field(default_factory=dict)  # the peer's fields that are open questions since a restore
    returned: set[str] = field(default_factory=set)  # the CRM's record was deleted and is there again
    owner_of: dict[tuple[str, str, str], str] = field(default_factory=dict)  # (connection side, object type, writer key) -> record id
    searched_at: tuple[int, datetime] | None = None  # the journal's last row, and when, before counterparts were searched for
    again: set[str] = field(default_factory=set)  # somebody changed one of the sides meanwhile: read and decide again
    tried: set[str] = field(default_factory=set)  # read and decided again once already
    unwritten: dict[str, int] = field(default_factory=dict)  # how many writes of the decision did not go through yet
    done: set[str] = field(default_factory=set)  # decisions that were carried out
    mapping_errors: dict[str, ConnectorError] = field(default_factory=dict)
    refusals: dict[str, ConnectorError] = field(default_factory=dict)  # of the record itself
    users: dict[str, str] | None = None  # CRM user -> user of the peer, read when the first difference is noted
    twins: dict[str, str] = field(default_factory=dict)  # record -> the earlier one of the page with the same new key
    # Of events and tasks, by the id of the mailbox's item:
    items: dict[str, MailboxItem] = field(default_factory=dict)  # what is known of it beside its link
    why: dict[str, str] = field(default_factory=dict)  # why it is shared, once that was decided
    unanswered: set[str] = field(default_factory=set)  # items whose guests' answers did not reach the CRM
    taken_up: set[str] = field(default_factory=set)  # records whose link ended, and that are met anew all the same
    relinked: dict[str, Linked] = field(default_factory=dict)  # links of items whose guests changed
    links: dict[str, dict[str, Any]] = field(default_factory=dict)  # what its record is linked to, and why
    left: dict[str, Binding] = field(default_factory=dict)  # the ended link of the colleague's mailbox that carried its record

    def decide(self, decision: PairDecision) -> None:
        self.decisions[decision.record.ref.id] = decision

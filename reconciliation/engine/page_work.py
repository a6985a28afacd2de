"""One page on its way: the decision per organisation, the operation that carries it, and who owns which name."""

from __future__ import annotations

from dataclasses import dataclass, field

from connectors.contract import Record
from connectors.errors import ConnectorError
from reconciliation.core.operations import Decision
from reconciliation.models import Binding, Difference, Operation


@dataclass(slots=True)
class PageWork:
    """What is known of a page so far, by organisation id."""

    records: dict[str, Record]
    decisions: dict[str, Decision] = field(default_factory=dict)
    operations: dict[str, Operation] = field(default_factory=dict)
    bindings: dict[str, Binding] = field(default_factory=dict)  # as they stood when the page began
    unbound: list[Binding] = field(default_factory=list)
    twins: dict[str, str] = field(default_factory=dict)  # organisation -> the earlier one with the same new name

    done: set[str] = field(default_factory=set)  # organisations whose decision was carried out
    mapping_errors: list[ConnectorError] = field(default_factory=list)
    refusals: dict[str, ConnectorError] = field(default_factory=dict)
    differences: dict[int, list[Difference]] | None = None  # by binding, read when the first known binding is settled

    def decide(self, decision: Decision) -> None:
        self.decisions[decision.record.ref.id] = decision

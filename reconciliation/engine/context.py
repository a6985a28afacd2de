"""What one run carries about: its rows, its sides, its terms and its ledger."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from reconciliation.core.eligibility import PluginColumns
from reconciliation.core.ledger import Ledger, Outcome
from reconciliation.core.operations import Decision
from reconciliation.core.values import name_key
from reconciliation.engine.executor import Executor, Side
from reconciliation.engine.lease import Lease
from reconciliation.engine.wiring import Wiring
from reconciliation.models import Run, RunEvent, SyncPass
from reconciliation.models.bulk import insert_rows
from reconciliation.passes.organisations import Terms


def _sentences(decision: Decision) -> str:
    parts = [decision.sentence, *decision.warnings]
    return " ".join(part if part.endswith((".", "!", "?")) else f"{part}." for part in parts if part)


@dataclass(slots=True)
class RunContext:
    """One run under way."""

    run: Run
    sync_pass: SyncPass
    lease: Lease
    crm: Side
    peer: Side
    executor: Executor
    terms: Terms
    person_columns: PluginColumns
    wiring: Wiring
    ledger: Ledger = field(default_factory=Ledger)
    are_names_fresh: bool = False
    reason: str = ""  # why a person decided this
    notes: list[str] = field(default_factory=list)  # what people read of the run beside its ledger
    expected: int | None = None  # how many records the run will have seen, once counted
    counted: set[str] = field(default_factory=set)  # organisations that had their outcome before the sweep began
    is_preview: bool = False
    is_pilot: bool = False
    only_ids: tuple[str, ...] = ()  # a pilot of hand-picked organisations
    most_new: int | None = None  # a pilot of the next new organisations, at most so many
    picked: set[str] = field(default_factory=set)  # those of only_ids that were read

    @property
    def moves_cursor(self) -> bool:
        """Whether the pass goes on from where this run ends: previews and pilots leave the cursor where it stands."""
        return not self.is_preview and not self.is_pilot

    def staff_origin(self) -> dict[str, str]:
        """Returns who decided a write and why, for the journal; empty when a pass did."""
        return {"staff": self.run.started_by, "reason": self.reason} if self.run.kind == Run.Kind.STAFF else {}

    def record(self, decisions: Iterable[tuple[Decision, str, int | None]]) -> None:
        """Counts each decision and writes its event: (decision, peer ref, operation id). Echoes, and what a full
        comparison found equal, are counted only: a row for each of them would bury what happened."""
        events = []
        for decision, peer_ref, operation_id in decisions:
            self.ledger.count(decision.outcome, decision.reason)
            if decision.outcome is Outcome.UNCHANGED and (decision.reason == "echo" or self.run.is_full) and not decision.warnings:
                continue
            events.append(
                RunEvent(
                    run=self.run,
                    crm_ref=str(decision.record.ref),
                    name=(name := str(decision.record.fields.get("name") or "")[:255]),
                    name_key=name_key(name),
                    outcome=decision.outcome.value,
                    reason=decision.reason,
                    sentence=_sentences(decision),
                    peer_ref=peer_ref,
                    operation_id=operation_id,
                    at=self.wiring.now(),
                )
            )
        insert_rows(events)

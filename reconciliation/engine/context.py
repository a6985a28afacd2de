"""What one run carries about: its rows, its sides, its terms and its ledger."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from reconciliation.core.eligibility import PluginColumns
from reconciliation.core.ledger import Ledger, Outcome
from reconciliation.core.operations import Decision
from reconciliation.core.values import name_key
from reconciliation.engine.executor import Executor, Side
from reconciliation.engine.lease import Lease
from reconciliation.engine.mailbox_view import View
from reconciliation.engine.wiring import Wiring
from reconciliation.models import Run, RunEvent, SyncPass
from reconciliation.models.bulk import insert_rows
from reconciliation.passes.activities import ActivityTerms
from reconciliation.passes.emails import EmailTerms
from reconciliation.passes.organisations import Terms
from reconciliation.passes.pairs import PairDecision, PairTerms


@dataclass(frozen=True, slots=True)
class Order:
    """What a run is asked to do. `budget` is in seconds, None = no end."""

    kind: str = Run.Kind.MANUAL
    is_full: bool = False
    budget: float | None = None
    started_by: str = ""
    apply_of: int | None = None  # the preview whose plan is carried out
    only_ids: tuple[str, ...] = ()  # a pilot takes exactly these organisations
    most_new: int | None = None  # a pilot takes at most so many new ones
    channel: Lease | None = None  # the process channel it runs in, renewed with its own lease
    asked_at: datetime | None = None  # since when it waits: what was read of the CRM later than that is fresh enough for it


def _sentences(decision: Decision | PairDecision) -> str:
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
    terms: Terms | PairTerms | ActivityTerms | EmailTerms
    person_columns: PluginColumns
    wiring: Wiring
    ledger: Ledger = field(default_factory=Ledger)
    are_names_fresh: bool = False
    reason: str = ""  # why a person decided this
    notes: list[str] = field(default_factory=list)  # what people read of the run beside its ledger
    expected: int | None = None  # how many records the run will have seen, once counted
    counted: dict[str, str] = field(default_factory=dict)  # what had its outcome before the sweep began -> its version then
    is_preview: bool = False
    is_pilot: bool = False
    only_ids: tuple[str, ...] = ()  # a pilot of hand-picked organisations
    most_new: int | None = None  # a pilot of the next new organisations, at most so many
    picked: set[str] = field(default_factory=set)  # those of only_ids that were read
    make_terms: Callable[[], Terms | PairTerms | ActivityTerms | EmailTerms] | None = None
    view: View | None = None  # what of the CRM the mailbox of this run shows
    email_links: Any = None  # what links the e-mails of this run (`engine.email_links`)
    linker: Any = None  # what links the events and tasks of this run (`engine.item_links`)
    awaited: list[str] = field(default_factory=list)  # items that are gone: first the list of changes is heard
    planned_links: dict[str, str] = field(default_factory=dict)  # contact that an item takes in this plan -> the sentence that says so

    @property
    def moves_cursor(self) -> bool:
        """Whether the pass goes on from where this run ends: previews and pilots leave the cursor where it stands."""
        return not self.is_preview and not self.is_pilot

    def renew_terms(self) -> None:
        """Takes the terms up as they stand now: a mapping row was held meanwhile."""
        if self.make_terms is not None:
            self.terms = self.make_terms()

    def save_pass(self, **changes: object) -> None:
        """Changes the pass's row; a preview or a pilot moves no cursor and keeps the change to itself."""
        if self.moves_cursor:
            SyncPass.objects.filter(pk=self.sync_pass.pk).update(**changes)
        for name, value in changes.items():
            setattr(self.sync_pass, name, value)

    def counts(self) -> dict[str, object]:
        """Returns the numbers of the run so far, as its row holds them."""
        calls = {side.connector.system: side.connector.counts().calls for side in (self.crm, self.peer)}
        return {**self.ledger.as_dict(), "expected": self.expected, "calls": calls}

    def show_progress(self) -> None:
        Run.objects.filter(pk=self.run.pk).update(**self.counts())

    def staff_origin(self) -> dict[str, str]:
        """Returns who decided a write and why, for the journal; empty when a pass did."""
        return {"staff": self.run.started_by, "reason": self.reason} if self.run.kind == Run.Kind.STAFF else {}

    def record(self, decisions: Iterable[tuple[Decision, str, int | None]]) -> None:
        """Counts each decision and writes its event: (decision, peer ref, operation id). Echoes, and what a full
        comparison found equal, are counted only: a row for each of them would bury what happened."""
        told = ((d, peer_ref, op) for d, peer_ref, op in decisions if self.count(d))
        self.write_events((d, str(d.record.ref), str(d.record.fields.get("name") or ""), peer_ref, op) for d, peer_ref, op in told)

    def record_events(self, rows: Iterable[tuple[Decision | PairDecision, str, str, str, int | None]]) -> None:
        """As `record`, with what each is filed under: (decision, CRM ref, name, peer ref, operation id)."""
        self.write_events(row for row in rows if self.count(row[0]))

    def count(self, decision: Decision | PairDecision) -> bool:
        """Counts a decision. Returns whether an event is to be written for it."""
        self.ledger.count(decision.outcome, decision.reason)
        is_quiet = decision.outcome is Outcome.UNCHANGED and (decision.reason == "echo" or self.run.is_full)
        return not is_quiet or bool(decision.warnings)

    def write_events(self, rows: Iterable[tuple[Decision | PairDecision, str, str, str, int | None]]) -> None:
        """As `record_events`, of decisions that were counted."""
        events = [
            RunEvent(
                run=self.run,
                crm_ref=crm_ref[:320],
                name=name[:255],
                name_key=name_key(name),
                outcome=decision.outcome.value,
                reason=decision.reason,
                sentence=_sentences(decision),
                peer_ref=peer_ref[:320],
                operation_id=operation_id,
                at=self.wiring.now(),
            )
            for decision, crm_ref, name, peer_ref, operation_id in rows
        ]
        insert_rows(events)

"""What happened to one record, newest first, and to each of its fields: who, when, where from, by which rule and why.

Reads our own store only: events, the journal, cases and the audit log."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from django.db.models import Q

from connectors.contract import Ref
from reconciliation.core.values import is_same
from reconciliation.models import AuditEntry, Case, FieldRule, Operation, RunEvent, SyncPass
from reconciliation.models.journal import LOSERS
from reconciliation.models.prefix import starts_with
from reconciliation.passes.organisations import ORGANISATION
from reconciliation.services.pair_records import aliases
from reconciliation.store import decode

MOST_OF_A_KIND = 500  # looked at of each source; older ones stand in the journal and in the runs


@dataclass(frozen=True, slots=True)
class Entry:
    """One thing that happened. `page` is (name of a page, key) that says more."""

    at: datetime
    what: str
    state: str = ""
    word: str = ""
    sentence: str = ""
    who: str = ""
    operation: Operation | None = None
    page: tuple[str, int] | None = None
    run_id: int | None = None

    @property
    def admin_page(self) -> str:
        return f"admin:{self.page[0]}" if self.page else ""


@dataclass(frozen=True, slots=True)
class Timeline:
    """The entries, newest first; `is_cut` when there is more than MOST_OF_A_KIND of a source."""

    entries: list[Entry] = field(default_factory=list)
    is_cut: bool = False


def timeline(sync_pass: SyncPass, ref: Ref) -> Timeline:
    """Returns everything we did with a record and everything people decided about it."""
    is_pair = sync_pass.is_two_way
    refs = aliases(sync_pass, ref) if is_pair else [ref]
    operations = list(_operations(*refs)[:MOST_OF_A_KIND])
    events = list(RunEvent.objects.filter(crm_ref__in=[str(r) for r in refs]).order_by("-id")[:MOST_OF_A_KIND])
    told = {e.operation_id: e for e in events if e.operation_id}
    entries = [_of_operation(op, told.get(op.pk)) for op in operations]
    shown = {op.pk for op in operations}
    entries += [_of_event(e) for e in events if e.operation_id not in shown]
    cases: list[Case] = []
    acts: list[AuditEntry] = []
    if is_pair:
        ids = [r.id for r in refs]
        rows = Case.objects.filter(Q(crm_id__in=ids) | Q(peer_id__in=ids), sync_pass=sync_pass).select_related("decided_by")
        cases = list(rows.order_by("-id")[:MOST_OF_A_KIND])
        entries += [entry for case in cases for entry in _of_case(case)]
    if ref.object_type == ORGANISATION:
        cases = list(Case.objects.filter(sync_pass=sync_pass, crm_id=ref.id).select_related("decided_by").order_by("-id")[:MOST_OF_A_KIND])
        acts = list(AuditEntry.objects.filter(starts_with("subject", f"organisation {ref.id} ")).order_by("-id")[:MOST_OF_A_KIND])
        entries += [entry for case in cases for entry in _of_case(case)]
        entries += [_of_act(act) for act in acts]
    entries.sort(key=lambda e: e.at, reverse=True)
    return Timeline(entries, any(len(part) == MOST_OF_A_KIND for part in (operations, events, cases, acts)))


def _operations(*refs: Ref) -> Any:
    rows = Operation.objects.filter(source_ref__in=[str(ref) for ref in refs]).exclude(state=Operation.State.PLANNED)
    return rows.select_related("connection", "run").defer("exchange", "context").order_by("-id")


def _of_operation(op: Operation, event: RunEvent | None) -> Entry:
    sentence = event.sentence if event is not None and event.sentence else str(op.origin.get("reason") or op.reason)
    who = str(op.origin.get("staff") or "")
    word = "taken back since" if op.undone_at else op.get_state_display()
    what = f"{op.get_kind_display()} in {op.connection}"
    return Entry(op.settled_at or op.intended_at, what, op.state, word, sentence, who, op, ("operation_detail", op.pk), op.run_id)


def _of_event(event: RunEvent) -> Entry:
    return Entry(
        event.at,
        "Looked at",
        event.outcome,
        event.get_outcome_display(),
        event.sentence or event.reason,
        page=("event_detail", event.pk),
        run_id=event.run_id,
    )


def _of_case(case: Case) -> list[Entry]:
    page = case.page_name.removeprefix("admin:")
    address = (page, case.pk) if page else None
    kind = case.get_kind_display()
    entries = [Entry(case.opened_at, f"{kind} case opened", "open", "Opened", case.sentence, page=address, run_id=case.run_id)]
    if case.closed_at is not None:
        who = str(case.decided_by) if case.decided_by else ""
        entries.append(Entry(case.closed_at, f"{kind} case closed", case.state, case.get_decision_word(), case.note, who, page=address))
    return entries


def _of_act(act: AuditEntry) -> Entry:
    told = ("reason", "note", "field")
    sentence = "; ".join(f"{name}: {act.detail[name]}" for name in told if act.detail.get(name))
    return Entry(act.at, f"Decided: {act.action}", "", "Audit", sentence, act.username, run_id=act.detail.get("run"))


@dataclass(frozen=True, slots=True)
class Change:
    """One value that a field got. `who` is a colleague, or who edited it in the other system; `rule` the mapping row that
    carried it; `undo_of` the write that it took back."""

    operation: Operation
    at: datetime
    system: str
    before: Any
    after: Any
    who: str
    source: str
    why: str
    rule: FieldRule | None
    mapping_version: int | None
    undo_of: int | None
    edited_at: str
    is_conflict: bool = False  # `before` was somebody's edit since the last agreement, and the rule beat it

    @property
    def how(self) -> str:
        """What made it: a pass, a conflict rule of a pass, a colleague's decision, an undo."""
        if self.undo_of:
            return "Undo"
        if self.operation.origin.get("staff"):
            return "Decision"
        return "Conflict rule" if self.is_conflict else "Pass"

    @property
    def winner(self) -> str:
        """Why this side won a conflict, in words."""
        if self.rule is None or self.rule.direction != "both":
            return f"the mapping row goes one way, so {self.source.capitalize()} wins"
        return f"the mapping row says: {self.rule.get_survivorship_display()}"


@dataclass(frozen=True, slots=True)
class FieldHistory:
    """What became of one field, newest first. `crm_field` or `peer_field` is "" when no rule pairs it."""

    crm_field: str
    peer_field: str
    changes: list[Change]
    is_cut: bool


def field_history(sync_pass: SyncPass, ref: Ref, name: str) -> FieldHistory:
    """Returns each value that we wrote to the field on either side, from the journal."""
    is_pair = sync_pass.is_two_way
    tables = list(sync_pass.whole.record_types.values_list("mapping", flat=True)) or [sync_pass.mapping_id]
    rules = {rule.pk: rule for rule in FieldRule.objects.filter(table__in=tables).order_by("table__record_types__order", "pk")}
    pair = next((r for r in rules.values() if name == r.peer_field), None) or next((r for r in rules.values() if name == r.crm_field), None)
    crm_field, peer_field = (pair.crm_field, pair.peer_field) if pair is not None else (name, name)
    rows = list(_operations(*(aliases(sync_pass, ref) if is_pair else [ref]))[:MOST_OF_A_KIND])
    changes = []
    for op in rows:
        column = crm_field if op.connection_id == sync_pass.crm_id else peer_field
        is_done = op.state in (Operation.State.CONFIRMED, Operation.State.SENT)
        if is_done and (column in op.after or (op.kind == Operation.Kind.DELETE and column in op.before)):
            changes.append(_change(op, column, rules))
    if pair is None:
        sides = {op.connection_id for op in rows if name in op.after}
        crm_field = name if sync_pass.crm_id in sides or not sides else ""
        peer_field = "" if sync_pass.crm_id in sides or not sides else name
    return FieldHistory(crm_field, peer_field, changes, len(rows) == MOST_OF_A_KIND)


def _change(op: Operation, column: str, rules: dict[int, FieldRule]) -> Change:
    origin = op.origin
    staff, editor = str(origin.get("staff") or ""), str(origin.get("by") or "")
    source = str(origin.get("system") or "")
    why = str(origin.get("reason") or "") or op.reason
    return Change(
        operation=op,
        at=op.settled_at or op.intended_at,
        system=op.connection.name,
        before=op.replaced(column),
        after=op.after.get(column),
        who=staff or editor or ("nobody we know of" if source else "the pass"),
        source=source,
        why=why,
        rule=rules.get(origin.get("rules", {}).get(column)),
        mapping_version=origin.get("mapping"),
        undo_of=origin.get("undo_of"),
        edited_at=str(origin.get("at") or ""),
        is_conflict=column in origin.get(LOSERS, {}),
    )


def earliest_known(history: FieldHistory) -> Any:
    """Returns the value that stood there before our first write, None when there was none or we made the record."""
    if not history.changes or history.is_cut:
        return None
    first = history.changes[-1]
    before = decode(first.before)
    return None if first.operation.kind == Operation.Kind.CREATE or is_same(before, None) else first.before

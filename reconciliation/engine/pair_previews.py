"""Plans of two-way passes that are shown before they are carried out, or parked by a brake (engine-rules 18, 19)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from connectors.contract import Record, Ref
from reconciliation.core.ledger import Outcome
from reconciliation.engine import previews
from reconciliation.engine.context import RunContext
from reconciliation.engine.pair_work import PairWork
from reconciliation.models import Operation, Run
from reconciliation.models.bulk import update_rows
from reconciliation.passes import contacts
from reconciliation.passes import pairs as rules
from reconciliation.passes.pairs import PairDecision
from reconciliation.store import encode_fields

Rows = Mapping[str, Sequence[Operation]]
MOVES = "moves"  # in a planned row's context: it rests on a move into the folder of a mailbox


def store_plan(context: RunContext, work: PairWork) -> None:
    """Writes the plan of a page to the journal as *planned*, a row for each write, link, case and end of a link."""
    rows = [row for d in work.decisions.values() for row in _planned(context, work, d)]
    Operation.objects.bulk_create(rows, batch_size=100)
    for row in rows:
        work.operations.setdefault(Ref.parse(row.source_ref).id, []).append(row)


def note_links(context: RunContext, work: PairWork) -> None:
    """Remembers which contacts the items of a mailbox take by this plan, or are asked about: no plan links anything, and the look at
    the CRM that follows would plan a second item for each."""
    if work.side == "crm" or not context.terms.kind.is_mailbox:
        return
    for decision in work.decisions.values():
        if decision.is_link and decision.crm is not None:
            context.planned_links[decision.crm.ref.id] = "An item of the folder is linked to it by this plan."
        elif decision.case is not None and decision.case.kind == "exists":
            asked = "An item of the folder may be this contact: a person is asked first."
            context.planned_links.update({candidate.peer_id: asked for candidate in decision.case.candidates})


def _planned(context: RunContext, work: PairWork, decision: PairDecision) -> list[Operation]:
    kinds: list[tuple[str, str, str, str, dict[str, Any], dict[str, Any], str]] = []
    for intent in decision.intents:
        kinds.append((intent.kind, intent.side, intent.object_type, intent.target_id, intent.after, intent.before, intent.reason))
    ref = decision.record.ref
    if decision.case is not None:
        kinds.append((Operation.Kind.CASE, work.side, ref.object_type, ref.id, {"case": decision.case.kind}, {}, decision.sentence))
    elif decision.is_link and not decision.intents:
        other = decision.peer if work.side == "crm" else decision.crm
        kinds.append((Operation.Kind.LINK, work.side, ref.object_type, ref.id, {"link": str(other.ref)}, {}, decision.sentence))
    elif decision.reason in (*rules.ENDS, *contacts.ENDS) and decision.outcome is Outcome.EXCLUDED and ref.id in work.bindings:
        kinds.append((Operation.Kind.UNLINK, work.side, ref.object_type, ref.id, {"link": ""}, {}, decision.sentence))
    elif decision.reason == "conflict" and decision.merge is not None:
        fields = ", ".join(c.rule.peer for c in decision.merge.conflicts)
        kinds.append((Operation.Kind.CASE, work.side, ref.object_type, ref.id, {"case": f"conflict: {fields}"}, {}, decision.sentence))
    essence = {"side": work.side, "version": decision.record.version, "essence": _essence(decision)}
    return [
        Operation(
            run=context.run,
            connection=context.executor.sides[side].connection,
            kind=kind,
            state=Operation.State.PLANNED,
            object_type=object_type,
            target_id=target_id,
            source_ref=str(ref),
            writer_key=f"planned:{ref}:{n}",
            before=encode_fields(before),
            after=encode_fields(after),
            context=essence,
            origin={"name": context.terms.kind.name_of(decision.record)[:255]},
            reason=" ".join(part for part in (reason, *decision.warnings) if part),
            lease_token=context.lease.token,
            intended_at=context.wiring.now(),
        )
        for n, (kind, side, object_type, target_id, after, before, reason) in enumerate(kinds)
    ]


def _essence(decision: PairDecision) -> dict[str, Any]:
    """Returns what must be the same for a planned row to be carried out."""
    return {
        "outcome": decision.outcome.value,
        "reason": decision.reason,
        "writes": [[i.side, i.kind, i.target_id, encode_fields(i.after)] for i in decision.intents],
        "mapping": decision.type.mapping.version if decision.type is not None else 0,
    }


def planned_pages(context: RunContext, preview: Run) -> Iterator[tuple[str, str, Rows]]:
    """Yields (side, object type, planned rows by record id), a page at a time. Raises PreviewRefused."""
    groups: dict[tuple[str, str], dict[str, list[Operation]]] = {}
    for row in previews.planned_rows(context, preview):
        if row.context.get(MOVES):
            continue
        ref = Ref.parse(row.source_ref)
        key = (str(row.context.get("side")), ref.object_type)
        group = groups.setdefault(key, {})
        if ref.id not in group and len(group) >= previews.ROWS_A_PAGE:
            yield *key, groups.pop(key)
            group = groups.setdefault(key, {})
        group.setdefault(ref.id, []).append(row)
    for (side, object_type), group in groups.items():
        yield side, object_type, group


def refuse_changed(context: RunContext, work: PairWork, planned: Rows) -> None:
    """Replaces the decision of every record that is not what the preview showed (C35)."""
    for id_, decision in list(work.decisions.items()):
        row = planned[id_][0]
        reason = ""
        if decision.record.version != row.context["version"]:
            reason = "the record was edited"
        elif _essence(decision) != row.context["essence"]:
            reason = f"the decision would be “{decision.outcome.value}” with other values now"
        if reason:
            work.decide(rules.excluded(decision.record, "changed_meanwhile", f"Refused: {reason} since the preview."))


def settle(context: RunContext, planned: Rows, outcomes: Mapping[str, PairDecision]) -> None:
    """Closes the planned rows of an applied page: carried out, or refused."""
    rows = ((id_, row) for id_, some in planned.items() for row in some)
    previews.close(context, rows, outcomes, gone="the record is gone")


# --- moves into the folder of a mailbox -----------------------------------------------------------------------------


def store_moves(context: RunContext, items: Sequence[Record], after: Mapping[str, Any], reason: str) -> None:
    """Writes to the journal as *planned* that these items would be moved; what is planned of each afterwards follows."""
    Operation.objects.bulk_create(
        [
            Operation(
                run=context.run,
                connection=context.peer.connection,
                kind=Operation.Kind.UPDATE,
                state=Operation.State.PLANNED,
                object_type=item.ref.object_type,
                target_id=item.ref.id,
                source_ref=str(item.ref),
                writer_key=f"planned:{item.ref}:move",
                after=encode_fields(after),
                context={"side": "peer", "version": item.version, MOVES: True},
                origin={"name": context.terms.kind.name_of(item)[:255]},
                reason=reason,
                lease_token=context.lease.token,
                intended_at=context.wiring.now(),
            )
            for item in items
        ],
        batch_size=100,
    )


def mark_moves(context: RunContext, items: Sequence[Record]) -> None:
    """Notes of what was planned for these items that it rests on their move."""
    rows = list(Operation.objects.filter(run=context.run, state=Operation.State.PLANNED, source_ref__in=[str(i.ref) for i in items]))
    for row in rows:
        row.context = {**row.context, MOVES: True}
    update_rows(rows, ["context"])


def planned_moves(context: RunContext, preview: Run) -> Iterator[dict[str, list[Operation]]]:
    """Yields the rows that rest on a move by the item's id, a page at a time. Raises PreviewRefused."""
    group: dict[str, list[Operation]] = {}
    for row in previews.planned_rows(context, preview):
        if not row.context.get(MOVES):
            continue
        id_ = Ref.parse(row.source_ref).id
        if id_ not in group and len(group) >= previews.ROWS_A_PAGE:
            yield group
            group = {}
        group.setdefault(id_, []).append(row)
    if group:
        yield group


def settle_moves(context: RunContext, planned: Rows, moved: Sequence[str]) -> None:
    """Closes the planned rows of items that were moved, and of those that were not."""
    now, rows, done = context.wiring.now(), [(id_, row) for id_, some in planned.items() for row in some], set(moved)
    for id_, row in rows:
        row.state = Operation.State.VOID if id_ in done else Operation.State.REFUSED
        row.error = f"Carried out by run {context.run.pk}." if id_ in done else "Refused: the contact was edited since the preview."
        row.settled_at = now
    update_rows([row for _, row in rows], ["state", "error", "settled_at"])

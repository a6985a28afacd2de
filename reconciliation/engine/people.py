"""Hangs the prospects of employed people on the right account (S0.19, S0.20), a hundred organisations at a time."""

from __future__ import annotations

from collections.abc import Sequence

from connectors.contract import Record, Ref
from connectors.errors import ConnectorError
from reconciliation.core.operations import CaseOpening, Intent
from reconciliation.engine import cases, gather, search_index
from reconciliation.engine.context import RunContext
from reconciliation.engine.executor import Done
from reconciliation.models import Binding, Case, Operation
from reconciliation.passes.organisations import ORGANISATION, PROSPECT

ORGANISATIONS_A_BATCH = 500
TRIES_BEFORE_A_CASE = 5


def relate(context: RunContext, organisation_ids: Sequence[str]) -> None:
    """Moves the prospects of these organisations' people; one that fails is owed and does not fail its organisation."""
    for start in range(0, len(organisation_ids), ORGANISATIONS_A_BATCH):
        _relate_chunk(context, organisation_ids[start : start + ORGANISATIONS_A_BATCH])


def _relate_chunk(context: RunContext, organisation_ids: Sequence[str]) -> None:
    rows = Binding.objects.filter(sync_pass=context.sync_pass, crm_type=ORGANISATION, crm_id__in=organisation_ids, is_tombstone=False)
    bindings = {b.crm_id: b for b in rows}
    people = gather.employed_people(context.crm.connector, context.person_columns, sorted(bindings))
    context.ledger.related["people_read"] += len(people)
    prospects = gather.prospects_of(context.peer.connector, people, context.person_columns)
    employers = {p.ref.id: str(Ref(p.ref.system, ORGANISATION, str(p.fields.get("employer_link") or ""))) for p in people}
    search_index.note_people(context, people, prospects, employers)
    intents, owner_of = [], {}
    for person in people:
        prospect = prospects.get(person.ref.id)
        organisation = str(person.fields.get("employer_link") or "")
        binding = bindings.get(organisation)
        if prospect is None or binding is None or prospect.fields.get("account") == binding.peer_id:
            continue
        if prospect.ref.id in owner_of:
            continue  # two people share one prospect: the first decides, the next pass would only move it back
        owner_of[prospect.ref.id] = organisation
        intents.append(_move(person.ref, binding, prospect))
    failing: dict[str, str] = {}
    operations = context.executor.intend(intents)
    failing.update({owner_of[i.target_id]: "somebody else is writing it" for i, op in zip(intents, operations, strict=True) if op is None})
    context.executor.send("peer", [op for op in operations if op is not None], lambda done: _settle(context, done, owner_of, failing))
    _settle_owed(context, bindings, failing)


def _move(person: Ref, binding: Binding, prospect: Record) -> Intent:
    return Intent(
        Operation.Kind.MOVE_PROSPECT.value,
        "peer",
        PROSPECT,
        str(person),
        after={"account": binding.peer_id},
        before={"account": prospect.fields.get("account")},
        target_id=prospect.ref.id,
        reason="The person is employed by this organisation.",
        origin={"organisation": str(Ref(person.system, ORGANISATION, binding.crm_id)), "name": binding.name},
    )


def _settle(context: RunContext, done: list[Done], owner_of: dict[str, str], failing: dict[str, str]) -> None:
    for item in done:
        if item.error is None:
            context.ledger.related["prospects_moved"] += 1
        else:
            context.ledger.related["prospects_failed"] += 1
            sentence = item.error.sentence if isinstance(item.error, ConnectorError) else str(item.error)
            failing[owner_of[item.operation.target_id]] = sentence


def _settle_owed(context: RunContext, bindings: dict[str, Binding], failing: dict[str, str]) -> None:
    done = [b.pk for i, b in bindings.items() if i not in failing]
    Binding.objects.filter(pk__in=done).update(are_people_due=False, owed_tries=0)
    for organisation, sentence in failing.items():
        binding = bindings[organisation]
        binding.owed_tries += 1
        binding.are_people_due = binding.owed_tries < TRIES_BEFORE_A_CASE
        binding.save(update_fields=["owed_tries", "are_people_due"])
        if not binding.are_people_due:
            record = Record(Ref(context.crm.connector.system, ORGANISATION, organisation), {"name": binding.name})
            remedy = "Correct the prospect in Outreach, then press Retry. The organisation itself goes on syncing."
            sentence = f"A prospect could not be moved to account {binding.peer_id}. {sentence}"
            opening = CaseOpening("error", cases.PEOPLE_REFUSED, sentence, remedy)
            cases.open_case(context, record, opening, flag=Case.Flag.NONE)  # it does not fail the organisation (rule 14)

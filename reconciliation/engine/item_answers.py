"""How the guests of an event answered, written to the CRM as they did in the mailbox (D12). Each person whom an event is linked to has a
relation there, which holds the answer; nothing of it ever comes down."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from connectors import calendars as words
from connectors.contract import Record
from connectors.errors import ConnectorError
from reconciliation.core.operations import Intent
from reconciliation.engine import item_links
from reconciliation.engine.context import RunContext
from reconciliation.engine.executor import Done
from reconciliation.engine.pair_work import PairWork

RELATION, EVENT_ID, PERSON, STATUS, INVITED = "EventRelation", "EventId", "RelationId", "Status", "IsInvitee"
COLUMNS = (EVENT_ID, PERSON, STATUS, INVITED)
ANSWERS: Mapping[str, str] = {words.ACCEPTED: "Accepted", words.DECLINED: "Declined"}  # any other is none yet
NO_ANSWER = "New"


def carry(context: RunContext, work: PairWork) -> None:
    """Writes the answers of the guests of those events whose links were decided just now. What is refused is told with the run; what is
    not answered is looked at again with the event."""
    wanted = _wanted(context, work)
    if not wanted:
        return
    relations = context.crm.connector.find(RELATION, EVENT_ID, sorted(wanted), list(COLUMNS))
    intents, item_of = [], {}
    for relation in relations:
        event, answers = str(relation.fields[EVENT_ID]), wanted.get(str(relation.fields[EVENT_ID]))
        answer = answers[1].get(str(relation.fields[PERSON])) if answers is not None else None
        if answer is None or (relation.fields.get(STATUS) == answer and relation.fields.get(INVITED) is not False):
            continue
        if answer == NO_ANSWER and relation.fields.get(INVITED) is False:
            continue  # it is related, and nobody waits for an answer
        intents.append(_intent(context, relation, answers[0], answer))
        item_of[relation.ref.id] = event
    operations = [op for op in context.executor.intend(intents) if op is not None]
    context.executor.send("crm", operations, lambda done: _settle(context, work, done))


def _wanted(context: RunContext, work: PairWork) -> dict[str, tuple[str, dict[str, str]]]:
    """Returns id of an event in the CRM -> its item, and each person's answer."""
    if not item_links.has_people(context):
        return {}
    found: dict[str, tuple[str, dict[str, str]]] = {}
    for id_ in work.decisions:
        binding = work.bindings.get(id_)
        if binding is None or binding.is_tombstone or binding.peer_id not in work.links:
            continue
        answers = dict(_answers(work.links[binding.peer_id]))
        if answers:
            found[binding.crm_id] = (binding.peer_id, answers)
    return found


def _answers(links: Mapping[str, Any]) -> Iterable[tuple[str, str]]:
    for person in links.get("found") or ():
        if person.get("id") and person.get("type") != "Lead":
            yield str(person["id"]), ANSWERS.get(str(person.get("response") or ""), NO_ANSWER)


def _intent(context: RunContext, relation: Record, item_id: str, answer: str) -> Intent:
    source = f"{context.peer.connector.system}:{context.terms.kind.peer_object}:{item_id}"
    after = {STATUS: answer, INVITED: True}
    before = {name: relation.fields.get(name) for name in after}
    of: dict[str, Any] = {"target_id": relation.ref.id, "version": relation.version, "reason": "As the guest answered."}
    return Intent("update", "crm", RELATION, source, after, before, **of)


def _settle(context: RunContext, work: PairWork, done: list[Done]) -> None:
    for item in done:
        if item.error is None:
            continue
        work.unanswered.add(item.operation.source_ref.rpartition(":")[2])
        if isinstance(item.error, ConnectorError):
            context.notes.append(f"The answer of a guest was not written: {item.error}")

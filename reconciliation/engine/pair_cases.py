"""Opens and closes the cases of two-way passes. Nothing is flagged in the CRM: the case alone holds the record."""

from __future__ import annotations

import traceback
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from django.db.models import Q

from connectors.contract import Record
from connectors.errors import ConnectorError
from connectors.mailboxes import INSIDE, PLACE
from reconciliation.core.ledger import Outcome
from reconciliation.core.operations import CaseOpening
from reconciliation.engine import cases
from reconciliation.engine.context import RunContext
from reconciliation.engine.pair_work import PairWork
from reconciliation.models import Case, LookAgain, RememberedPair
from reconciliation.passes.pairs import NOT_VISIBLE, PairDecision
from reconciliation.store import encode_fields

QUESTION = "case:"  # what a contact waits for that may be an item of the folder, before the key of the case
POINTER = "pointer"  # the peer does not take the id of the record that it belongs to; the record itself went through


def ids_of(work: PairWork, decision: PairDecision) -> dict[str, str]:
    """Returns the records a case is about, "" for a side that is not known."""
    binding = work.bindings.get(decision.record.ref.id)
    is_crm = work.side == "crm"
    crm = decision.record.ref if is_crm else decision.crm.ref if decision.crm is not None else None
    peer_id = decision.peer_id or (decision.peer.ref.id if decision.peer is not None else "" if is_crm else decision.record.ref.id)
    if binding is not None and not binding.is_tombstone:
        peer_id = peer_id or binding.peer_id
        if crm is None:
            return {"crm_type": binding.crm_type, "crm_id": binding.crm_id, "peer_id": peer_id}
    return {"crm_type": crm.object_type if crm is not None else "", "crm_id": crm.id if crm is not None else "", "peer_id": peer_id}


def open_case(
    context: RunContext, work: PairWork, decision: PairDecision, *, exchange: dict[str, Any] | None = None, trace: str = ""
) -> Case:
    """Returns the open case of this kind for the record, made or brought up to date; never a second one."""
    binding = work.bindings.get(decision.record.ref.id)
    name = context.terms.kind.name_of(decision.record) if decision.record.fields and not decision.record.is_deleted else ""
    name = name or (binding.name if binding is not None else "")
    return cases.open_case(
        context,
        decision.record,
        decision.case,
        flag=Case.Flag.NONE,
        exchange=exchange,
        trace=trace,
        ids=ids_of(work, decision),
        name=name,
    )


def guarded(context: RunContext, work: PairWork, record: Record, decide: Callable[[], PairDecision]) -> None:
    """Decides one record; whatever goes wrong with it becomes its error case, and the pass goes on."""
    try:
        work.decide(decide())
    except ConnectorError:
        raise
    except Exception as error:  # one bad record never stops a pass; the traceback goes with the case
        sentence = f"This record could not be worked out ({type(error).__name__})."
        opening = CaseOpening("error", "internal", sentence, "Send the case to support, then press Retry.")
        decision = PairDecision(record, Outcome.FAILED, "internal", sentence, case=opening)
        if not context.is_preview:
            open_case(context, work, decision, trace=traceback.format_exc())
        work.decide(decision)


def settled_by_staff(context: RunContext, work: PairWork) -> set[str]:
    """Returns the records of the page whose question a person has answered already: that the prospect does not belong to
    this record of the CRM. No edit of it asks again."""
    asked = {id_: ids_of(work, d) for id_, d in work.decisions.items() if d.case is not None and d.case.kind == Case.Kind.REMAP}
    if not asked:
        return set()
    rows = RememberedPair.objects.filter(sync_pass=context.sync_pass, peer_id__in={ids["peer_id"] for ids in asked.values()})
    known = set(rows.values_list("crm_id", "peer_id"))
    return {id_ for id_, ids in asked.items() if (ids["crm_id"], ids["peer_id"]) in known}


@dataclass(frozen=True, slots=True)
class Refusals:
    """What people said against links of some records of the peer: (CRM id, peer id) -> who said so and when. A blank CRM id
    stands for every record of the CRM."""

    said: Mapping[tuple[str, str], str]
    peer_object: str

    def personal(self, peer: Record) -> str:
        """Returns the sentence that keeps a record of the peer apart from every record of the CRM, "" where nobody said so."""
        said = self.said.get(("", peer.ref.id))
        return f"{said} that it is personal; it is not shared." if said is not None else ""

    def of(self, one: Record, other: Record) -> str:
        """Returns the sentence that keeps two records of different sides apart, "" where nobody said anything."""
        peer, crm = (one.ref, other.ref) if one.ref.object_type == self.peer_object else (other.ref, one.ref)
        said = self.said.get((crm.id, peer.id)) or self.said.get(("", peer.id))
        if said is None:
            return ""
        return (
            f"{said} that {peer.object_type} {peer.id} does not belong to {crm.object_type} {crm.id}; they are not linked by "
            f"themselves. Find matches of the {peer.object_type} links them all the same."
        )


def refusals(context: RunContext, peers: Sequence[Record]) -> Refusals:
    """Returns what people said against links of these records of the peer: it holds until a person links them."""
    rows = RememberedPair.objects.filter(sync_pass=context.sync_pass, peer_id__in={r.ref.id for r in peers})
    said = {}
    for crm_id, peer_id, who, at in rows.values_list("crm_id", "peer_id", "decided_by__username", "decided_at"):
        said[crm_id, peer_id] = f"{who or 'Staff'} decided on {at:%Y-%m-%d %H:%M} UTC"
    return Refusals(said, context.terms.kind.peer_object)


def waiting(context: RunContext, side: str, records: Sequence[Record]) -> dict[str, str]:
    """Returns record id -> sentence of its open error, for records that hold the same as when they were refused: they would
    only be refused again. An edit, and Retry, let them be tried."""
    by_id = {r.ref.id: r for r in records}
    rows = Case.objects.filter(sync_pass=context.sync_pass, kind=Case.Kind.ERROR, state=Case.State.OPEN)
    rows = rows.exclude(reason=NOT_VISIBLE)  # it holds nothing that could be refused
    if not rows.exists():  # as nearly always: not worth asking for two thousand records
        return {}
    rows = rows.filter(crm_id__in=by_id) if side == "crm" else rows.filter(peer_id__in=by_id)
    found = {}
    for case in rows:
        id_ = case.crm_id if side == "crm" else case.peer_id
        if case.crm_fields == encode_fields(by_id[id_].fields):
            found[id_] = case.sentence
    return found


def asked_about(context: RunContext, ids: Collection[str]) -> dict[str, str]:
    """Returns those of these contacts which may be an item of the folder, as a person is asked (D7) -> what they wait for: the folder
    would hold them twice."""
    rows = Case.objects.filter(sync_pass=context.sync_pass, kind=Case.Kind.EXISTS, state=Case.State.OPEN)
    found = {}
    for pk, candidates in rows.values_list("pk", "candidates") if ids else ():
        found.update(dict.fromkeys({c["peer_id"] for c in candidates} & set(ids), f"{QUESTION}{pk}"))
    return found


def take_up_answered(context: RunContext) -> None:
    """Has the next run look at contacts that waited for a question which is open no more."""
    rows = LookAgain.objects.filter(sync_pass=context.sync_pass, waits_for__startswith=QUESTION)
    asked = {text: text.removeprefix(QUESTION) for text in rows.values_list("waits_for", flat=True)}
    if asked:
        open_ = set(Case.objects.filter(pk__in=asked.values(), state=Case.State.OPEN).values_list("pk", flat=True))
        LookAgain.objects.take_up([text for text, pk in asked.items() if int(pk) not in open_])


def asked_about_deletion(context: RunContext, work: PairWork, ids: Sequence[str]) -> dict[str, str]:
    """Returns record id -> sentence of the open case about its deleted counterpart, for links of mailboxes: a question what
    becomes of it, or a deletion that was refused. No list of changes tells more of it, and looking again would not either."""
    if not ids or not context.terms.kind.is_mailbox:
        return {}
    by_peer = {work.bindings[id_].peer_id: id_ for id_ in ids}
    rows = Case.objects.filter(sync_pass=context.sync_pass, state=Case.State.OPEN, peer_id__in=by_peer)
    rows = rows.filter(kind__in=(Case.Kind.DELETION, Case.Kind.ERROR))
    return {by_peer[c.peer_id]: c.sentence for c in rows if c.kind == Case.Kind.DELETION or c.crm_fields.get(PLACE, INSIDE) != INSIDE}


def close_solved(context: RunContext, work: PairWork) -> None:
    """Closes the error and remap cases of records that went through, and questions of mailboxes that answered themselves."""
    _close_seen(context, work)
    went = [d for d in work.decisions.values() if d.outcome in (Outcome.CREATED, Outcome.UPDATED) or d.reason in ("linked", "equal")]
    ids = [d.record.ref.id for d in went]
    if not ids:
        return
    about = Q(crm_id__in=ids) if work.side == "crm" else Q(peer_id__in=ids)
    rows = Case.objects.filter(about, sync_pass=context.sync_pass, state=Case.State.OPEN).exclude(reason=POINTER)
    of_mailboxes = Q(kind__in=(Case.Kind.EXISTS, Case.Kind.DELETION))
    rows.filter(Q(kind=Case.Kind.ERROR) | Q(kind=Case.Kind.REMAP, reason="several") | of_mailboxes).update(
        state=Case.State.CLOSED, decision="solved", note="A later run went through.", closed_at=context.wiring.now()
    )


def _close_seen(context: RunContext, work: PairWork) -> None:
    """Closes the cases of links whose CRM record could not be seen and is seen again, or is known by now to be gone."""
    rows = Case.objects.filter(sync_pass=context.sync_pass, kind=Case.Kind.ERROR, reason=NOT_VISIBLE, state=Case.State.OPEN)
    if not rows.exists():
        return
    known = {d.crm.ref.id for d in work.decisions.values() if d.crm is not None}
    if work.side == "crm":
        known |= {id_ for id_, d in work.decisions.items() if d.reason not in (NOT_VISIBLE, "interrupted")}
    ended = {b.crm_id for b in work.bindings.values() if b.is_tombstone}
    rows.filter(crm_id__in=known | ended).update(
        state=Case.State.CLOSED, decision="solved", note="It can be seen again, or its link ended.", closed_at=context.wiring.now()
    )

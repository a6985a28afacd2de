"""A person chooses which record of the CRM a prospect belongs to (S2.5 to S2.7, S2.13, S2.18 to S2.22, D9, D28).

A remap changes the pointer and the link, nothing else: sequences, tasks and fields stay, and what differs afterwards is
listed (engine-rules 33)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from django.contrib.auth.models import AbstractBaseUser
from django.db.models import Q

from connectors.contract import Record, Ref
from connectors.errors import ConnectorError, OutcomeUnknown, ServerTrouble
from reconciliation.core.counting import counted
from reconciliation.core.ledger import Outcome
from reconciliation.core.matching import Active, Candidate, Holder, Rule, preferred
from reconciliation.core.operations import Decision as Decided
from reconciliation.engine.context import RunContext
from reconciliation.engine.relinking import Beside, NotRelinked, Step, carry
from reconciliation.engine.staff import at_work
from reconciliation.engine.stop import WritesStopped
from reconciliation.engine.wiring import Wiring
from reconciliation.models import Binding, Case, Difference, RememberedPair, SyncPass
from reconciliation.passes.prospects import PROSPECT, SOURCE
from reconciliation.services.audit import audit
from reconciliation.services.duplicates import DecisionRefused, PlannedWrite
from reconciliation.services.matches import Matches, Terms, bindings_of, both_sides, keep_matches, prospects_pass, read_matches
from reconciliation.services.policy import refuse_unless_remap
from reconciliation.services.remap_questions import MOST_AT_ONCE, forget, remap_keep, remember

PROSPECTS_A_CALL = 50
NOTHING_ELSE = (
    "Sequences, tasks and field values stay as they are; only an opt-out of one side goes to the other, in the next run. Fields that "
    "differ are listed and can be pulled down afterwards."
)
CHANGED = "This changed while you were looking at it. Look at the matches again, then decide. Nothing was done."


@dataclass(frozen=True, slots=True)
class RemapPlan:
    """What a choice writes, or the sentence that says why it cannot be. `stamp` names what it rests on."""

    prospect_id: str
    candidate: Candidate | None
    writes: tuple[PlannedWrite, ...] = ()
    remarks: tuple[str, ...] = ()
    needs_move: bool = False
    stamp: str = ""
    refusal: str = ""

    @property
    def key(self) -> str:
        """What a form sends back of one row of many."""
        it = self.candidate
        return f"{self.prospect_id}|{it.type if it else ''}|{it.id if it else ''}|{self.stamp}"


@dataclass(frozen=True, slots=True)
class Remapped:
    """What was done: in which run, by which write (None where the pointer was right already), and how many fields differ."""

    prospect_id: str
    name: str
    crm_type: str
    crm_id: str
    run_id: int
    operation_id: int | None
    differing: int
    is_first: bool = False


def stamp_of(matches: Matches, candidate: Candidate) -> str:
    present = f"{matches.binding.crm_type}:{matches.binding.crm_id}" if matches.binding is not None else "-"
    return f"{present}>{candidate.key}@{candidate.bound_to.id if candidate.bound_to is not None else ''}"


def remap_plan(matches: Matches, crm_type: str, crm_id: str) -> RemapPlan:
    """Returns what choosing this record writes. Reads nothing remote."""
    candidate = matches.candidate(crm_type, crm_id)
    if candidate is None:
        said = "is no match of this prospect: it bears none of its e-mail addresses, or is not there"
        return RemapPlan(matches.peer_id, None, refusal=f"{crm_type} {crm_id} {said}.")
    stamp = stamp_of(matches, candidate)
    if why := _why_not(matches, candidate):
        return RemapPlan(matches.peer_id, candidate, stamp=stamp, refusal=why)
    who = f"prospect {matches.peer_id} {matches.name}"
    writes = [PlannedWrite("Outreach", who, "externalId", candidate.id), PlannedWrite("Outreach", who, "externalSource", SOURCE)]
    remarks = [NOTHING_ELSE]
    holder = candidate.bound_to
    if holder is not None:
        other = f"prospect {holder.id} {holder.name}".strip()
        writes += [PlannedWrite("Outreach", other, name, "(blank)") for name in ("externalId", "externalSource")]
        remarks.append(f"{candidate.type} {candidate.id} is linked to {other} now. The link moves from there, and that one ends unlinked.")
    return RemapPlan(matches.peer_id, candidate, tuple(writes), tuple(remarks), holder is not None, stamp)


def _why_not(matches: Matches, candidate: Candidate) -> str:
    """Returns why a candidate cannot be chosen, "" when it can. Under *prevent* an unbound prospect may still be linked to
    a record that nobody holds (D28)."""
    if not candidate.is_living:
        became = f" {candidate.became}: choose that one" if candidate.became else ""
        word = {"merged": "was merged into", "converted": "was converted to", "deleted": "was deleted"}.get(candidate.fate, "is not there")
        return f"{candidate.type} {candidate.id} {word}{became}."
    if candidate.is_current:
        return f"The prospect belongs to {candidate.type} {candidate.id} already."
    if matches.is_remap(candidate) and not matches.allows_remap:
        was = "" if matches.is_bound or candidate.bound_to is not None else "The prospect was linked to another record before. "
        return f"{was}Remapping is off; an admin can allow it under Dedupe policy."
    return ""


def remap(
    prospect_id: str,
    crm_type: str,
    crm_id: str,
    *,
    move_link: bool = False,
    by: AbstractBaseUser | None,
    reason: str = "",
    stamp: str,
    wiring: Wiring | None = None,
) -> Remapped:
    """Lets the prospect belong to this record from now on. `stamp` is that of the plan that was shown; without it nothing is
    done. Raises DecisionRefused, Busy, WritesStopped, ConnectorError; nothing has changed then, unless the answer was lost:
    then the link has moved and the next run writes the pointers."""
    sync_pass = prospects_pass()
    name = by.get_username() if by is not None else "command line"
    what = f"Remap prospect {prospect_id} to {crm_type} {crm_id}."
    with at_work(sync_pass, by=name, what=what, reason=reason, wiring=wiring) as context:
        matches = _read(context, [prospect_id]).get(prospect_id)
        if matches is None:
            raise DecisionRefused(f"Prospect {prospect_id} is not in Outreach, or our user may not see it. Nothing was done.")
        return _remap(context, matches, crm_type, crm_id, move_link, stamp, by)


def _read(context: RunContext, prospect_ids: Sequence[str]) -> dict[str, Matches]:
    return read_matches(context.sync_pass, context.crm.connector, context.peer.connector, prospect_ids, context.wiring.now())


def _remap(
    context: RunContext, matches: Matches, crm_type: str, crm_id: str, move_link: bool, stamp: str, by: AbstractBaseUser | None
) -> Remapped:
    matches = _as_linked_now(context, matches)
    plan = remap_plan(matches, crm_type, crm_id)
    candidate = plan.candidate
    if candidate is not None and (matches.is_bound or candidate.bound_to is not None):
        refuse_unless_remap()
    if plan.refusal or candidate is None:
        raise DecisionRefused(f"{plan.refusal} Nothing was done.")
    if candidate.bound_to is not None and not move_link:
        holder = candidate.bound_to
        raise DecisionRefused(
            f"{crm_type} {crm_id} is linked to prospect {holder.id} {holder.name}. Tick “Move the link” to take it over. Nothing was done."
        )
    if stamp != plan.stamp:
        raise DecisionRefused(CHANGED)
    was = matches.binding
    origin = {"from": [was.crm_type, was.crm_id] if was is not None else [], "to": [crm_type, crm_id]}
    origin["moved_from"] = candidate.bound_to.id if candidate.bound_to is not None else ""
    origin["remembered"] = remembered = _others(context, matches, candidate)
    steps = [*_given_up(context, candidate, origin), _taken(context, matches, candidate, origin)]
    own = steps[-1]
    choice = _Choice(context, matches, candidate, by, own, origin, remembered)
    try:
        carry(context, steps, Beside(choice.store, choice.put_back))
    except NotRelinked as refusal:
        raise DecisionRefused(f"The prospect stays where it is: {refusal} Nothing was changed.") from refusal
    _keep_fresh(matches, own)
    assert own.binding is not None
    differing = Difference.objects.filter(binding=own.binding).count()
    operation = own.operation.pk if own.operation is not None else None
    return Remapped(matches.peer_id, matches.name, crm_type, crm_id, context.run.pk, operation, differing, was is None)


def _as_linked_now(context: RunContext, matches: Matches) -> Matches:
    """Returns the matches with the links as they are now: of many prospects that were read at once, an earlier one may have
    taken the record of a later one."""
    ids = [it.id for it in matches.candidates]
    rows = Binding.objects.filter(sync_pass=context.sync_pass, is_tombstone=False, crm_id__in=ids)
    holders = {f"{row.crm_type}:{row.crm_id}": row for row in rows}
    candidates = [_held_by(it, holders.get(it.key), matches.peer_id) for it in matches.candidates]
    binding = bindings_of(context.sync_pass, [matches.peer_id]).get(matches.peer_id)
    return replace(matches, binding=binding, candidates=candidates)


def _held_by(it: Candidate, row: Binding | None, peer_id: str) -> Candidate:
    if row is None or row.peer_id == peer_id:
        return replace(it, is_current=row is not None, bound_to=None)
    if it.bound_to is not None and it.bound_to.id == row.peer_id:
        return it
    return replace(it, is_current=False, bound_to=Holder(row.peer_id, row.name, Active(None, None)))


def _taken(context: RunContext, matches: Matches, candidate: Candidate, origin: dict[str, object]) -> Step:
    """Returns the step of the prospect itself."""
    type_ = context.terms.type_of(candidate.type)
    if type_ is None:
        raise DecisionRefused(f"{candidate.type}s are not synced: see Record types. Nothing was done.")
    reason = f"It belongs to {candidate.type} {candidate.id}, chosen by staff."
    assert matches.prospect is not None
    record = matches.records[candidate.key]
    return Step(matches.prospect, matches.binding, record, type_, reason=reason, origin={"remap": origin})


def _given_up(context: RunContext, candidate: Candidate, origin: dict[str, object]) -> list[Step]:
    """Returns the step of the prospect that gives the record up, if there is one."""
    holder = candidate.bound_to
    if holder is None:
        return []
    binding = bindings_of(context.sync_pass, [holder.id]).get(holder.id)
    found = context.peer.connector.read(PROSPECT, [holder.id], context.terms.kind.columns[PROSPECT])
    record = found[0] if found else None
    if binding is None:
        raise DecisionRefused(CHANGED)
    if record is None:  # it is gone in Outreach: only its link is left to end
        return [_ended(context, holder.id, binding)]
    reason = f"Its link to {candidate.type} {candidate.id} was moved by staff."
    return [Step(record, binding, reason=reason, origin={"remap_lost": origin})]


def _ended(context: RunContext, peer_id: str, binding: Binding) -> Step:
    gone = Record(Ref(context.peer.connector.system, PROSPECT, peer_id), {})
    return Step(gone, binding, pointer={})


def _others(context: RunContext, matches: Matches, candidate: Candidate) -> list[str]:
    """Returns the other records that may be the prospect's and of which nobody said no yet: the choice says it."""
    said = RememberedPair.objects.filter(sync_pass=context.sync_pass, peer_id=matches.peer_id)
    known = set(said.values_list("crm_id", flat=True))
    free = (it.id for it in matches.candidates if it.id != candidate.id and it.is_living and it.bound_to is None)
    return [id_ for id_ in free if id_ not in known]


@dataclass(slots=True)
class _Choice:
    """What a remap stores beside the links: questions closed, an audit row, and that the prospect belongs to none of the
    other candidates, so that no edit of those asks again."""

    context: RunContext
    matches: Matches
    candidate: Candidate
    by: AbstractBaseUser | None
    own: Step
    origin: dict[str, Any]
    remembered: list[str]
    closed: list[Case] = field(default_factory=list)  # as they were

    @property
    def decision(self) -> str:
        return "remap" if self.matches.is_bound else "link prospect"

    def store(self) -> None:
        self._close_cases()
        sync_pass, peer_id = self.context.sync_pass, self.matches.peer_id
        remember(sync_pass, peer_id, self.remembered, self.by)
        audit(self.by, self.decision, f"prospect {peer_id}", run=self.context.run.pk, **self.origin)

    def _close_cases(self) -> None:
        """Closes what asked for this choice, and conflicts of the link that is no more."""
        matches, now = self.matches, self.context.wiring.now()
        rows = Case.objects.filter(sync_pass=self.context.sync_pass, state=Case.State.OPEN)
        asked = rows.filter(Q(peer_id=matches.peer_id) | Q(crm_id=self.candidate.id), kind=Case.Kind.REMAP)
        parted = rows.filter(kind=Case.Kind.CONFLICT, peer_id=matches.peer_id).exclude(crm_id=self.candidate.id)
        self.closed = [*asked, *parted]
        operation = self.own.operation.pk if self.own.operation is not None else None
        decided = {"run": self.context.run.pk, "operation": operation, "to": [self.candidate.type, self.candidate.id]}
        closed = {
            "state": Case.State.RESOLVED,
            "decision": self.decision,
            "decided": decided,
            "closed_at": now,
            "note": self.context.reason,
        }
        parted.update(state=Case.State.CLOSED, decision="remap", closed_at=now, note="The link was moved to another record.")
        asked.update(**closed, decided_by_id=self.by.pk if self.by is not None else None)

    def put_back(self, why: str) -> None:
        for case in self.closed:
            case.save(update_fields=["state", "decision", "decided", "decided_by", "closed_at", "note"])
        forget(self.context.sync_pass, self.matches.peer_id, self.remembered)
        audit(self.by, f"{self.decision}: put back", f"prospect {self.matches.peer_id}", run=self.context.run.pk, why=why)


def _keep_fresh(matches: Matches, own: Step) -> None:
    """Keeps what was read with the link as it is now, for a page that cannot read."""
    assert own.binding is not None
    key = f"{own.binding.crm_type}:{own.binding.crm_id}"
    candidates = [replace(it, is_current=it.key == key, bound_to=None if it.key == key else it.bound_to) for it in matches.candidates]
    keep_matches([replace(matches, candidates=candidates, binding=own.binding)])


# --- many at once ---------------------------------------------------------------------------------------------------


def bulk_plans(
    sync_pass: SyncPass, prospect_ids: Sequence[str], rule: Rule, *, terms: Terms | None = None, wiring: Wiring | None = None
) -> list[tuple[Matches, RemapPlan]]:
    """Returns what a rule would do to each prospect, read now; a plan without candidate leaves it as it is. At most
    MOST_AT_ONCE. Raises ConnectorError."""
    wiring = wiring or Wiring()
    wanted = list(prospect_ids[:MOST_AT_ONCE])
    with both_sides(sync_pass, wiring) as (crm, peer):
        read = read_matches(sync_pass, crm, peer, wanted, wiring.now(), terms) if wanted else {}
    keep_matches(read.values())
    return [(read[id_], bulk_plan(read[id_], rule)) for id_ in wanted if id_ in read]


def bulk_plan(matches: Matches, rule: Rule) -> RemapPlan:
    best = preferred(matches.candidates, rule)
    return remap_plan(matches, best.type, best.id) if best is not None else RemapPlan(matches.peer_id, None)


def remap_many(keys: Sequence[str], by: AbstractBaseUser, *, reason: str = "", wiring: Wiring | None = None) -> tuple[int, int, int]:
    """Carries out what was chosen from a preview and returns how many prospects were remapped, kept and not remapped; each
    stands as an event in the run. One that cannot be moved stops no other; two in a row without an answer are no prospect's
    own trouble. Raises Busy, WritesStopped, ConnectorError; those that were not reached say so then."""
    sync_pass, done = prospects_pass(), Counter[str]()
    left = [parts for key in keys[:MOST_AT_ONCE] if len(parts := key.split("|")) == 4]
    with at_work(sync_pass, by=by.get_username(), what=f"Remap {counted(len(left), 'prospect')}.", reason=reason, wiring=wiring) as context:
        try:
            while left:
                _part_of_many(context, left, done, by)
        except (ConnectorError, WritesStopped) as error:
            why = str(error.sentence if isinstance(error, ConnectorError) else error).rstrip(".")
            for parts in left:
                _line(context, parts[0], "", Outcome.HELD, "interrupted", f"Nothing was done: {why}.")
            raise
        context.notes.append(f"{done['remapped']} remapped, {done['kept']} kept, {done['refused']} not remapped.")
    return done["remapped"], done["kept"], done["refused"]


def _part_of_many(context: RunContext, left: list[list[str]], done: Counter[str], by: AbstractBaseUser) -> None:
    """Carries out as many of what is left as are read at once, and takes each off the list when it has its line."""
    part = left[:PROSPECTS_A_CALL]
    read = _read(context, [parts[0] for parts in part])
    silent: ConnectorError | None = None
    for parts in part:
        before, silent = silent, None
        matches = read.get(parts[0])
        name = matches.name if matches is not None else ""
        try:
            word, line = _one_of_many(context, matches, parts, by)
        except (ServerTrouble, OutcomeUnknown) as error:
            silent, word, line = error, "refused", (Outcome.HELD, "unanswered", _unanswered(error))
        done[word] += 1
        left.pop(0)
        _line(context, parts[0], name, *line)
        if before is not None and silent is not None:
            raise silent


def _one_of_many(
    context: RunContext, matches: Matches | None, parts: list[str], by: AbstractBaseUser
) -> tuple[str, tuple[Outcome, str, str]]:
    """Returns how one prospect is counted, and its line: outcome, reason and sentence."""
    prospect_id, crm_type, crm_id, stamp = parts
    if matches is None:
        return "refused", (Outcome.EXCLUDED, "deleted", "It is not in Outreach, or our user may not see it. Nothing was done.")
    if not crm_id:
        remap_keep(prospect_id, by, reason=context.reason)
        return "kept", (Outcome.UNCHANGED, "kept", "Its present CRM ID is kept.")
    try:
        _remap(context, matches, crm_type, crm_id, False, stamp, by)
    except DecisionRefused as refusal:
        return "refused", (Outcome.EXCLUDED, "changed_meanwhile", str(refusal))
    return "remapped", (Outcome.UPDATED, "remapped", f"It belongs to {crm_type} {crm_id} from now on.")


def _unanswered(error: ConnectorError) -> str:
    if error.may_have_happened:
        return f"{error.sentence}. Its link has moved; the next run writes the pointer."
    return f"{error.sentence}. Nothing was changed."


def _line(context: RunContext, prospect_id: str, name: str, outcome: Outcome, reason: str, sentence: str) -> None:
    context.ledger.seen += 1
    prospect = Record(Ref(context.peer.connector.system, PROSPECT, prospect_id), {})
    context.record_events([(Decided(prospect, outcome, reason, sentence), "", name, str(prospect.ref), None)])

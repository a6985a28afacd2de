"""What a person may decide about a duplicate: link, different company, stop syncing, later; each planned before it is done."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from django.contrib.auth.models import AbstractBaseUser
from django.db import transaction
from django.utils import timezone

from connectors.contract import Record, Value
from reconciliation.core.values import is_blank, is_same, isolated, name_key
from reconciliation.engine import crm_writes, differences, gather, people, search_index
from reconciliation.engine.context import RunContext
from reconciliation.engine.crm_writes import CrmWrite
from reconciliation.engine.staff import Refusal, at_work
from reconciliation.engine.wiring import Wiring
from reconciliation.models import Binding, Case, RememberedPair
from reconciliation.passes.organisations import ACCOUNT, ORGANISATION
from reconciliation.services.audit import audit
from reconciliation.services.case_desk import put_off
from reconciliation.store import decode, encode_fields, pick


class DecisionRefused(Refusal):
    """The decision does not fit what is there now; the sentence says what changed and what to do."""


@dataclass(frozen=True, slots=True)
class PlannedWrite:
    """One write that a decision will make, for the page that shows it first."""

    system: str
    record: str
    field: str
    value: str


@dataclass(frozen=True, slots=True)
class DecisionPlan:
    """What a decision will do, in words and writes. `stamp` names what it rests on: present it with the decision."""

    title: str
    writes: tuple[PlannedWrite, ...]
    remarks: tuple[str, ...] = ()
    needs_move: bool = False
    stamp: str = ""


@dataclass(frozen=True, slots=True)
class Decision:
    """A person's decision about one case. `stamp` is the plan's that was shown; a stale one is refused."""

    case: Case
    user: AbstractBaseUser
    stamp: str = ""
    reason: str = ""
    wiring: Wiring | None = field(default=None, compare=False)


def stamp_of(case: Case) -> str:
    """Returns what a plan rests on, for the form that carries it out; a link adds "@" and who holds the account."""
    closed_at = case.closed_at.isoformat() if case.closed_at is not None else ""  # it may have been taken back, and decided anew
    return f"{case.pk}:{case.state}:{case.opened_at.isoformat()}:{case.run_id}:{closed_at}"


def check_fresh(decision: Decision) -> Case:
    """Returns the case as it is now. Raises DecisionRefused when somebody else was quicker or it was looked at anew."""
    case = Case.objects.select_related("sync_pass__crm", "sync_pass__peer", "sync_pass__mapping").get(pk=decision.case.pk)
    if case.state != Case.State.OPEN:
        who = f" by {case.decided_by}" if case.decided_by else ""
        raise DecisionRefused(f"This case was already closed{who} ({case.decision or 'by itself'}). Nothing was done.")
    if decision.stamp and decision.stamp.partition("@")[0] != stamp_of(case):
        raise DecisionRefused("This case changed while you were looking at it. Look at it again, then decide.")
    return case


@contextmanager
def deciding(decision: Decision, what: str, check: Callable[[Decision], Case] = check_fresh) -> Iterator[tuple[RunContext, Case]]:
    """Yields the context in which a decision is carried out, under the lease of the case's pass, and the case as it is
    then. `check` is asked before the wait for the lease, and again under it: somebody may have been quicker meanwhile."""
    sync_pass = check(decision).sync_pass
    with at_work(sync_pass, by=str(decision.user), what=what, reason=decision.reason, wiring=decision.wiring) as context:
        yield context, check(decision)


def holders_of(case: Case) -> dict[str, Binding]:
    """Returns account id -> the binding that holds it, for the candidates of a case."""
    ids = [c["peer_id"] for c in case.candidates]
    rows = Binding.objects.filter(sync_pass=case.sync_pass, peer_type=ACCOUNT, peer_id__in=ids, is_tombstone=False)
    return {row.peer_id: row for row in rows}


def plan_link(case: Case, peer_id: str, holders: dict[str, Binding] | None = None) -> DecisionPlan:
    """Returns what linking the organisation to this account will write. Reads nothing remote."""
    name = f"organisation {case.crm_id} {case.name}"
    writes = [
        PlannedWrite("Workbooks", name, "Outreach Id", peer_id),
        PlannedWrite("Workbooks", name, "Outreach URL", _account_url(case, peer_id)),
        PlannedWrite("Workbooks", name, "Outreach Duplicate", "FALSE"),
    ]
    holder = (holders_of(case) if holders is None else holders).get(peer_id)
    remarks = ["Fields that differ are left as they are on both sides; the table above shows them side by side."]
    remarks.append("Prospects of people employed there are then hung on this account in Outreach.")
    if holder is not None and holder.crm_id != case.crm_id:
        other = f"organisation {holder.crm_id} {holder.name}"
        writes += [
            PlannedWrite("Workbooks", other, "Outreach Id", "(blank)"),
            PlannedWrite("Workbooks", other, "Sync to Outreach", "FALSE"),
        ]
        remarks.append(f"The account is linked to {other} now. The link moves from there, and that one stops syncing.")
    return DecisionPlan(
        f"Link {isolated(case.name)} to account {peer_id}",
        tuple(writes),
        tuple(remarks),
        holder is not None and holder.crm_id != case.crm_id,
        f"{stamp_of(case)}@{holder.crm_id if holder is not None and holder.crm_id != case.crm_id else ''}",
    )


def plan_different(case: Case) -> DecisionPlan:
    write = PlannedWrite("Workbooks", f"organisation {case.crm_id} {case.name}", "Outreach Duplicate", "FALSE")
    remark = "The pair is remembered and never raised again; the next pass creates an account of its own."
    return DecisionPlan(f"{isolated(case.name)} is a different company", (write,), (remark,), stamp=stamp_of(case))


def plan_stop(case: Case) -> DecisionPlan:
    write = PlannedWrite("Workbooks", f"organisation {case.crm_id} {case.name}", "Sync to Outreach", "FALSE")
    return DecisionPlan(f"Stop syncing {case.name}", (write,), ("Nothing is changed or deleted in Outreach.",), stamp=stamp_of(case))


def _account_url(case: Case, peer_id: str) -> str:
    return case.sync_pass.peer.page_address_template.replace("{id}", peer_id)


def duplicate_link(decision: Decision, peer_id: str, *, move: bool = False) -> None:
    """Binds the organisation to the account, writes Id and URL back and clears the flag. Fields follow *leave
    differences* (D25). Raises DecisionRefused, Busy, ConnectorError."""
    if not _is_candidate(decision.case, peer_id):  # before anything is read for it
        raise DecisionRefused(NO_CANDIDATE)
    with deciding(decision, f"Link {decision.case.name} to account {peer_id}.") as (context, case):
        (refusal,) = link_all(context, [Link(decision, case, peer_id, move)])
        if refusal:
            raise DecisionRefused(refusal)


@dataclass(frozen=True, slots=True)
class Link:
    """One organisation to be linked to one account; `case` is the fresh row."""

    decision: Decision
    case: Case
    peer_id: str
    move: bool = False


def link_all(context: RunContext, links: list[Link]) -> list[str]:
    """Carries out the links, a hundred records a call, and returns for each "" or the sentence that refuses it. The
    binding is stored once Workbooks has taken Id, URL and flag: a refusal or an outage leaves the case as it was, and
    what Workbooks took without an answer is found by the next pass as an Id without a binding. Raises ConnectorError."""
    organisations = read_organisations(context, [link.case.crm_id for link in links])
    accounts = gather.accounts_by_id(context.peer.connector, context.terms.mapping, [link.peer_id for link in links])
    refusals, writes = {}, []
    moves: dict[str, Binding] = {}  # organisation -> the binding that gives way to it
    taken: set[str] = set()
    for link in links:
        record, account = organisations.get(link.case.crm_id), accounts.get(link.peer_id)
        holder = _holder(link)
        refusal = _refusal(context, link, record, account, holder)
        if link.peer_id in taken:
            refusal = f"Account {link.peer_id} was just linked to another organisation of this choice."
        if refusal or record is None:
            refusals[link.case.pk] = refusal
            continue
        taken.add(link.peer_id)
        writes += _writes_of(context, link, record, holder)
        if holder is not None:
            moves[link.case.crm_id] = holder
    left = set(crm_writes.write_all(context, writes))
    bound = []
    for link in links:
        if link.case.pk in refusals:
            continue
        holder = moves.get(link.case.crm_id)
        written = [link.case.crm_id, *([holder.crm_id] if holder is not None else [])]
        if not_taken := [crm_id for crm_id in written if crm_id in left]:
            refusals[link.case.pk] = NOT_TAKEN.format(not_taken[0])
            continue
        with transaction.atomic():
            if holder is not None:
                Binding.objects.filter(pk=holder.pk).end()
            bind(context, link.case, organisations[link.case.crm_id], accounts[link.peer_id])
        done = {"peer_id": link.peer_id, "moved_from": holder.crm_id if holder else "", "run": context.run.pk}
        if _closed(link.decision, link.case, "link", done):
            bound.append(link.case.crm_id)
        else:
            refusals[link.case.pk] = CLOSED_MEANWHILE
    people.relate(context, bound)
    return [refusals.get(link.case.pk, "") for link in links]


def _writes_of(context: RunContext, link: Link, record: Record, holder: Binding | None) -> list[CrmWrite]:
    """Returns what a link writes to Workbooks, with what it takes from the organisation it moves from."""
    columns, before = context.terms.columns, dict(record.fields)
    fields: dict[str, Value] = {**crm_writes.id_and_url(context, link.peer_id), columns.duplicate: False}
    writes = [CrmWrite("write_back", record.ref.id, link.case.name, fields, record.version, "Linked by staff.", before)]
    if holder is not None:
        cleared: dict[str, Value] = {columns.peer_id: None, columns.peer_url: None, columns.sync: False}
        writes.append(CrmWrite("flag", holder.crm_id, holder.name, cleared, "", "The link was moved by staff."))
    return writes


def _holder(link: Link) -> Binding | None:
    """Returns the binding of another organisation that holds the account now."""
    rows = Binding.objects.filter(sync_pass=link.case.sync_pass, peer_type=ACCOUNT, peer_id=link.peer_id, is_tombstone=False)
    return rows.exclude(crm_id=link.case.crm_id).first()


CLOSED_MEANWHILE = "Somebody else closed this case at the same moment."
NO_CANDIDATE = "This account is not among the candidates of the case."
NOT_TAKEN = "Workbooks did not take the change of organisation {}. Look at the journal for its answer, then try again."


def _is_candidate(case: Case, peer_id: str) -> bool:
    return peer_id in {c["peer_id"] for c in case.candidates}


def _refusal(context: RunContext, link: Link, record: Record | None, account: Record | None, holder: Binding | None) -> str:
    """Returns why a link cannot be, "" when it can."""
    if not _is_candidate(link.case, link.peer_id):
        return NO_CANDIDATE
    if record is None or record.is_deleted:
        return "The organisation was deleted in Workbooks. The case will close by itself."
    if account is None:
        return f"Account {link.peer_id} is not in Outreach any more. Choose another decision."
    column = context.terms.columns.peer_id
    stored = record.fields.get(column)
    if not is_blank(stored) and str(stored) != link.peer_id and not is_same(stored, decode(link.case.crm_fields.get(column))):
        return f"Workbooks names account {stored} for it by now. Look at the case again, then decide."
    shown = link.decision.stamp.rpartition("@")[2] if "@" in link.decision.stamp else None
    if shown is not None and shown != (holder.crm_id if holder else ""):
        return f"Account {link.peer_id} changed hands while you were looking at it. Look at the case again, then decide."
    if holder is not None and not link.move:
        who = f"organisation {holder.crm_id} {holder.name}"
        return f"Account {link.peer_id} is linked to {who}. Choose Move the link to take it over."
    return ""


def read_organisations(context: RunContext, ids: list[str]) -> dict[str, Record]:
    """Returns the organisations as they are now, by id, with everything a pass reads of them."""
    terms = context.terms
    columns = ["name", *terms.columns.names, *terms.mapping.crm_fields]
    return {r.ref.id: r for r in context.crm.connector.read(ORGANISATION, ids, list(dict.fromkeys(columns)))}


def bind(context: RunContext, case: Case, record: Record, account: Record) -> Binding:
    """Stores the binding of what Workbooks already holds; each side's present values become its own base (leave
    differences)."""
    terms, now, name = context.terms, context.wiring.now(), str(record.fields.get("name") or "")
    binding, _ = Binding.objects.update_or_create(
        sync_pass=case.sync_pass,
        crm_type=ORGANISATION,
        crm_id=case.crm_id,
        defaults={
            "peer_type": ACCOUNT,
            "peer_id": account.ref.id,
            "name": name[:255],
            "name_key": name_key(name),
            "crm_base": pick(record.fields, terms.mapping.crm_fields),
            "peer_base": encode_fields({n: account.fields.get(n) for n in terms.mapping.peer_fields}),
            "crm_version": record.version,
            "peer_version": account.version,
            "mapping_version": terms.mapping.version,
            "is_write_back_due": False,
            "are_people_due": True,
            "owed_since": None,
            "how": "linked",
            "is_tombstone": False,
            "bound_at": now,
            "synced_at": now,
        },
    )
    differences.note_link(context, binding)
    search_index.note_names(context.sync_pass, [(str(record.ref), search_index.NAME, name)], now)
    return binding


def unbind(case: Case) -> None:
    """Ends the link of a case's organisation; what was bound once is remembered as a tombstone."""
    Binding.objects.filter(sync_pass=case.sync_pass, crm_type=ORGANISATION, crm_id=case.crm_id).end()


def duplicate_different(decision: Decision) -> None:
    """Remembers that none of the candidates is this organisation and clears the flag; the next pass creates."""
    with deciding(decision, f"{decision.case.name} is a different company.") as (context, case):
        pairs = [
            RememberedPair(sync_pass=case.sync_pass, crm_id=case.crm_id, peer_id=c["peer_id"], decided_by=decision.user)
            for c in case.candidates
        ]
        fields: dict[str, Value] = {context.terms.columns.duplicate: False}
        write(context, [CrmWrite("flag", case.crm_id, case.name, fields, "", "A different company, by staff.")])
        RememberedPair.objects.bulk_create(pairs, ignore_conflicts=True)  # refused above: nothing is remembered
        # A link that a person declares wrong ends: the organisation is a new one for the next pass.
        wrong = Binding.objects.filter(sync_pass=case.sync_pass, crm_type=ORGANISATION, crm_id=case.crm_id)
        wrong.filter(peer_id__in=[pair.peer_id for pair in pairs]).end()
        _resolve(decision, case, "different", {"run": context.run.pk})


def duplicate_stop(decision: Decision) -> None:
    """Unticks *Sync to Outreach* of the organisation: it is the same as another, or not wanted."""
    with deciding(decision, f"Stop syncing {decision.case.name}.") as (context, case):
        fields: dict[str, Value] = {context.terms.columns.sync: False}
        write(context, [CrmWrite("flag", case.crm_id, case.name, fields, "", "Stopped by staff.")])
        _resolve(decision, case, "unticked", {"run": context.run.pk})


def duplicate_later(decision: Decision, assign_to: AbstractBaseUser | None = None) -> None:
    """Keeps the case open with a note, for a colleague if one is named. Raises DecisionRefused."""
    case = check_fresh(decision)
    if not put_off(case, decision.reason, assign_to):
        raise DecisionRefused(CLOSED_MEANWHILE)
    audit(decision.user, "duplicate: later", case_subject(case), note=decision.reason, given_to=str(assign_to or ""))


def write(context: RunContext, writes: list[CrmWrite]) -> None:
    """Carries out the writes. Raises DecisionRefused when Workbooks did not take one."""
    left = crm_writes.write_all(context, writes)
    if left:
        raise DecisionRefused(NOT_TAKEN.format(left[0]))


def _resolve(decision: Decision, case: Case, what: str, decided: dict[str, Any]) -> None:
    if not _closed(decision, case, what, decided):
        raise DecisionRefused(CLOSED_MEANWHILE)


def _closed(decision: Decision, case: Case, what: str, decided: dict[str, Any]) -> bool:
    won = Case.objects.filter(pk=case.pk, state=Case.State.OPEN).update(
        state=Case.State.RESOLVED,
        decision=what,
        decided=decided,
        decided_by=decision.user,
        note=" ".join(filter(None, (decided.get("peer_id", ""), decision.reason))),
        closed_at=timezone.now(),
    )
    if won:
        audit(
            decision.user, f"duplicate: {what}", case_subject(case), **decided, **({"reason": decision.reason} if decision.reason else {})
        )
    return bool(won)


def case_subject(case: Case) -> str:
    return f"organisation {case.crm_id} {case.name}"

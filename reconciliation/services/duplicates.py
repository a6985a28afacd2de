"""What a person may decide about a duplicate: link, different company, stop syncing, later; each planned before it is done."""

from __future__ import annotations

from dataclasses import dataclass, field

from django.contrib.auth.models import AbstractBaseUser
from django.db import transaction
from django.utils import timezone

from connectors.contract import Record, Ref, Value
from reconciliation.core.values import normalise_name
from reconciliation.engine import crm_writes, gather, people
from reconciliation.engine.context import RunContext
from reconciliation.engine.crm_writes import CrmWrite
from reconciliation.engine.staff import at_work
from reconciliation.engine.wiring import Wiring
from reconciliation.models import Binding, Case, RememberedPair
from reconciliation.passes.organisations import ACCOUNT, ORGANISATION
from reconciliation.store import encode_fields, pick


class DecisionRefused(Exception):
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


def _stamp(case: Case) -> str:
    return f"{case.pk}:{case.state}:{case.opened_at.isoformat()}:{case.run_id}"


def _check_fresh(decision: Decision) -> Case:
    """Returns the case as it is now. Raises DecisionRefused when somebody else was quicker or it was looked at anew."""
    case = Case.objects.select_related("sync_pass__crm", "sync_pass__peer", "sync_pass__mapping").get(pk=decision.case.pk)
    if case.state != Case.State.OPEN:
        who = f" by {case.decided_by}" if case.decided_by else ""
        raise DecisionRefused(f"This case was already closed{who} ({case.decision or 'by itself'}). Nothing was done.")
    if decision.stamp and decision.stamp != _stamp(case):
        raise DecisionRefused("This case changed while you were looking at it. Look at it again, then decide.")
    return case


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
    remarks = ["Fields that differ are left as they are on both sides; they stay listed under Differences since linking."]
    if holder is not None and holder.crm_id != case.crm_id:
        other = f"organisation {holder.crm_id} {holder.name}"
        writes += [
            PlannedWrite("Workbooks", other, "Outreach Id", "(blank)"),
            PlannedWrite("Workbooks", other, "Sync to Outreach", "FALSE"),
        ]
        remarks.append(f"The account is linked to {other} now; the link moves from there, and that one stops syncing.")
    return DecisionPlan(
        f"Link {case.name} to account {peer_id}",
        tuple(writes),
        tuple(remarks),
        holder is not None and holder.crm_id != case.crm_id,
        _stamp(case),
    )


def plan_different(case: Case) -> DecisionPlan:
    write = PlannedWrite("Workbooks", f"organisation {case.crm_id} {case.name}", "Outreach Duplicate", "FALSE")
    remark = "The pair is remembered and never raised again; the next pass creates an account of its own."
    return DecisionPlan(f"{case.name} is a different company", (write,), (remark,), stamp=_stamp(case))


def plan_stop(case: Case) -> DecisionPlan:
    write = PlannedWrite("Workbooks", f"organisation {case.crm_id} {case.name}", "Sync to Outreach", "FALSE")
    return DecisionPlan(f"Stop syncing {case.name}", (write,), ("Nothing is changed or deleted in Outreach.",), stamp=_stamp(case))


def _account_url(case: Case, peer_id: str) -> str:
    return case.sync_pass.peer.page_address_template.replace("{id}", peer_id)


def duplicate_link(decision: Decision, peer_id: str, *, move: bool = False) -> Binding:
    """Binds the organisation to the account, writes Id and URL back and clears the flag. Fields follow *leave
    differences* (D25). Raises DecisionRefused, Busy, ConnectorError."""
    case = _check_fresh(decision)
    if peer_id not in {c["peer_id"] for c in case.candidates}:
        raise DecisionRefused("This account is not among the candidates of the case.")
    with at_work(case.sync_pass, by=str(decision.user), what=f"Link {case.name} to account {peer_id}.", wiring=decision.wiring) as context:
        record = _read_organisation(context, case)
        account = gather.accounts_by_id(context.peer.connector, context.terms.mapping, [peer_id]).get(peer_id)
        if account is None:
            raise DecisionRefused(f"Account {peer_id} is not in Outreach any more. Choose another decision.")
        _free_holder(context, case, peer_id, move=move)
        binding = _bind(context, case, record, account)
        write = crm_writes.owed_write_back(context, binding, record.version)
        clear: dict[str, Value] = {context.terms.columns.duplicate: False}
        _write(context, [CrmWrite("write_back", case.crm_id, case.name, {**write.fields, **clear}, record.version, "Linked by staff.")])
        people.relate(context, [case.crm_id])
        _resolve(decision, case, "link", peer_id)
    return binding


def _read_organisation(context: RunContext, case: Case) -> Record:
    terms = context.terms
    columns = ["name", *terms.columns.names, *terms.mapping.crm_fields]
    found = context.crm.connector.read(ORGANISATION, [case.crm_id], list(dict.fromkeys(columns)))
    if not found or found[0].is_deleted:
        raise DecisionRefused("The organisation was deleted in Workbooks. The case will close by itself.")
    return found[0]


def _free_holder(context: RunContext, case: Case, peer_id: str, *, move: bool) -> None:
    """Takes the account from the organisation that holds it, when the person said so."""
    rows = Binding.objects.filter(sync_pass=case.sync_pass, peer_type=ACCOUNT, peer_id=peer_id, is_tombstone=False)
    holder = rows.exclude(crm_id=case.crm_id).first()
    if holder is None:
        return
    if not move:
        raise DecisionRefused(
            f"Account {peer_id} is linked to organisation {holder.crm_id} {holder.name}. Choose Move the link to take it over."
        )
    columns = context.terms.columns
    fields: dict[str, Value] = {columns.peer_id: None, columns.peer_url: None, columns.sync: False}
    _write(context, [CrmWrite("flag", holder.crm_id, holder.name, fields, "", "The link was moved by staff.")])
    Binding.objects.filter(pk=holder.pk).update(is_tombstone=True, is_write_back_due=False, are_people_due=False)


def _bind(context: RunContext, case: Case, record: Record, account: Record) -> Binding:
    """Stores the binding; each side's present values become its own base (leave differences)."""
    terms, now, name = context.terms, context.wiring.now(), str(record.fields.get("name") or "")
    binding, _ = Binding.objects.update_or_create(
        sync_pass=case.sync_pass,
        crm_type=ORGANISATION,
        crm_id=case.crm_id,
        defaults={
            "peer_type": ACCOUNT,
            "peer_id": account.ref.id,
            "name": name[:255],
            "name_key": normalise_name(name)[:255],
            "crm_base": pick(record.fields, terms.mapping.crm_fields),
            "peer_base": encode_fields({n: account.fields.get(n) for n in terms.mapping.peer_fields}),
            "crm_version": record.version,
            "peer_version": account.version,
            "is_write_back_due": True,
            "are_people_due": True,
            "owed_since": now,
            "how": "linked",
            "is_tombstone": False,
            "bound_at": now,
            "synced_at": now,
        },
    )
    return binding


def duplicate_different(decision: Decision) -> None:
    """Remembers that none of the candidates is this organisation and clears the flag; the next pass creates."""
    case = _check_fresh(decision)
    with at_work(case.sync_pass, by=str(decision.user), what=f"{case.name} is a different company.", wiring=decision.wiring) as context:
        pairs = [
            RememberedPair(sync_pass=case.sync_pass, crm_id=case.crm_id, peer_id=c["peer_id"], decided_by=decision.user)
            for c in case.candidates
        ]
        RememberedPair.objects.bulk_create(pairs, ignore_conflicts=True)
        fields: dict[str, Value] = {context.terms.columns.duplicate: False}
        _write(context, [CrmWrite("flag", case.crm_id, case.name, fields, "", "A different company, by staff.")])
        _resolve(decision, case, "different", "")


def duplicate_stop(decision: Decision) -> None:
    """Unticks *Sync to Outreach* of the organisation: it is the same as another, or not wanted."""
    case = _check_fresh(decision)
    with at_work(case.sync_pass, by=str(decision.user), what=f"Stop syncing {case.name}.", wiring=decision.wiring) as context:
        fields: dict[str, Value] = {context.terms.columns.sync: False}
        _write(context, [CrmWrite("flag", case.crm_id, case.name, fields, "", "Stopped by staff.")])
        _resolve(decision, case, "unticked", "")


def duplicate_later(decision: Decision) -> None:
    """Keeps the case open with a note."""
    case = _check_fresh(decision)
    Case.objects.filter(pk=case.pk, state=Case.State.OPEN).update(note=decision.reason)


def _write(context: RunContext, writes: list[CrmWrite]) -> None:
    """Carries out the writes. Raises DecisionRefused when Workbooks did not take one."""
    left = crm_writes.write_all(context, writes)
    if left:
        raise DecisionRefused(
            f"Workbooks did not take the change of organisation {left[0]}. Look at the journal for its answer, then try again."
        )


def _resolve(decision: Decision, case: Case, what: str, detail: str) -> None:
    with transaction.atomic():
        won = Case.objects.filter(pk=case.pk, state=Case.State.OPEN).update(
            state=Case.State.RESOLVED,
            decision=what,
            decided_by=decision.user,
            note=" ".join(filter(None, (detail, decision.reason))),
            closed_at=timezone.now(),
        )
    if not won:
        raise DecisionRefused("Somebody else closed this case at the same moment.")


def reference(case: Case) -> Ref:
    """Returns the organisation of a case."""
    return Ref(case.sync_pass.crm.system, ORGANISATION, case.crm_id)

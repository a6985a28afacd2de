"""Takes a decision about a duplicate back, checked against what is there now; what stays is said first (engine-rules 17)."""

from __future__ import annotations

from django.db import transaction

from connectors.contract import Value
from reconciliation.core.operations import Intent
from reconciliation.core.values import is_blank, is_same
from reconciliation.engine import crm_writes
from reconciliation.engine.context import RunContext
from reconciliation.engine.crm_writes import CrmWrite
from reconciliation.models import Binding, Case, Operation, RememberedPair
from reconciliation.passes.organisations import ORGANISATION, PROSPECT
from reconciliation.services.audit import audit
from reconciliation.services.duplicates import (
    Decision,
    DecisionPlan,
    DecisionRefused,
    PlannedWrite,
    case_subject,
    deciding,
    read_organisations,
    stamp_of,
    write,
)
from reconciliation.store import decode

UNDOABLE = ("link", "different", "unticked")


def plan_undo(case: Case) -> DecisionPlan | None:
    """Returns what taking the decision back will write, None when there is nothing to take back. Reads nothing remote."""
    if case.state != Case.State.RESOLVED or case.decision not in UNDOABLE:
        return None
    name = f"organisation {case.crm_id} {case.name}"
    if case.decision == "unticked":
        return _plan(case, [("Sync to Outreach", "TRUE")], "The case opens again.", name)
    if case.decision == "different":
        remark = "The pair is forgotten and the case opens again. An account created meanwhile must be taken back first, in its run."
        return _plan(case, [("Outreach Duplicate", "TRUE")], remark, name)
    writes = [("Outreach Id", "(blank)"), ("Outreach URL", "(blank)"), ("Outreach Duplicate", "TRUE")]
    remark = f"The link to account {case.decided.get('peer_id')} is dissolved, prospects it moved go back, and the case opens again."
    remark += " Field values that later runs wrote to the account stay; undo those runs for them."
    plan = _plan(case, writes, remark, name)
    if moved_from := case.decided.get("moved_from"):
        other = f"organisation {moved_from}"
        url = case.sync_pass.peer.page_address_template.replace("{id}", str(case.decided.get("peer_id")))
        again = [("Outreach Id", str(case.decided.get("peer_id"))), ("Outreach URL", url), ("Sync to Outreach", "TRUE")]
        plan = DecisionPlan(plan.title, (*plan.writes, *_writes(other, again)), plan.remarks, stamp=plan.stamp)
    return plan


def _plan(case: Case, writes: list[tuple[str, str]], remark: str, record: str) -> DecisionPlan:
    return DecisionPlan(f"Undo the decision about {case.name}", _writes(record, writes), (remark,), stamp=stamp_of(case))


def _writes(record: str, writes: list[tuple[str, str]]) -> tuple[PlannedWrite, ...]:
    return tuple(PlannedWrite("Workbooks", record, field, value) for field, value in writes)


def duplicate_undo(decision: Decision) -> None:
    """Takes the decision back and opens the case again. Raises DecisionRefused, Busy, ConnectorError."""
    with deciding(decision, f"Undo the decision about {decision.case.name}.", _check_decided) as (context, case):
        {"link": _undo_link, "different": _undo_different, "unticked": _undo_stop}[case.decision](context, case)
        _open_again(decision, case)
        audit(decision.user, "duplicate: undo", case_subject(case), decision=case.decision)


def _check_decided(decision: Decision) -> Case:
    """Returns the case as it is now. Raises DecisionRefused when its decision cannot be taken back (any more)."""
    case = Case.objects.select_related("sync_pass__crm", "sync_pass__peer", "sync_pass__mapping").get(pk=decision.case.pk)
    if plan_undo(case) is None:
        raise DecisionRefused("This decision was already taken back, or it is of a kind that cannot be. Nothing was done.")
    if decision.stamp and decision.stamp != stamp_of(case):
        raise DecisionRefused("This case changed while you were looking at it. Look at it again, then decide.")
    if Case.objects.filter(sync_pass=case.sync_pass, kind=case.kind, crm_id=case.crm_id, state=Case.State.OPEN).exists():
        raise DecisionRefused("A newer case of this organisation is open. Decide that one instead.")
    return case


def created_since(case: Case) -> Operation | None:
    """Returns the create of the account that "different company" led to, which has to be taken back first."""
    if case.state != Case.State.RESOLVED or case.decision != "different":
        return None
    binding = Binding.objects.filter(sync_pass=case.sync_pass, crm_type=ORGANISATION, crm_id=case.crm_id, is_tombstone=False).first()
    if binding is None:
        return None
    rows = Operation.objects.filter(kind=Operation.Kind.CREATE, target_id=binding.peer_id, state=Operation.State.CONFIRMED)
    return rows.filter(connection=case.sync_pass.peer_id).order_by("-pk").first()


def _undo_stop(context: RunContext, case: Case) -> None:
    fields: dict[str, Value] = {context.terms.columns.sync: True}
    write(context, [CrmWrite("flag", case.crm_id, case.name, fields, "", "A decision was taken back.")])


def _undo_different(context: RunContext, case: Case) -> None:
    created = Binding.objects.filter(sync_pass=case.sync_pass, crm_type=ORGANISATION, crm_id=case.crm_id, is_tombstone=False).first()
    if created is not None:
        raise DecisionRefused(f"Account {created.peer_id} was created for it since. Undo that create in its run first.")
    fields: dict[str, Value] = {context.terms.columns.duplicate: True}
    write(context, [CrmWrite("flag", case.crm_id, case.name, fields, "", "A decision was taken back.")])
    ids = [c["peer_id"] for c in case.candidates]
    RememberedPair.objects.filter(sync_pass=case.sync_pass, crm_id=case.crm_id, peer_id__in=ids).delete()


def _undo_link(context: RunContext, case: Case) -> None:
    peer_id, columns = str(case.decided.get("peer_id", "")), context.terms.columns
    binding = Binding.objects.filter(sync_pass=case.sync_pass, crm_type=ORGANISATION, crm_id=case.crm_id, is_tombstone=False).first()
    if binding is None or binding.peer_id != peer_id:
        raise DecisionRefused("This link is not there any more. Nothing was done.")
    record = read_organisations(context, [case.crm_id]).get(case.crm_id)
    stored = record.fields.get(columns.peer_id) if record is not None else None
    if not is_blank(stored) and str(stored) != peer_id:
        raise DecisionRefused(f"Workbooks names account {stored} for it by now; that is not overwritten. Nothing was done.")
    fields: dict[str, Value] = {columns.peer_id: None, columns.peer_url: None, columns.duplicate: True}
    write(context, [CrmWrite("flag", case.crm_id, case.name, fields, "", "A link was taken back.")])
    _prospects_back(context, case)
    _give_back(context, case, binding)
    Binding.objects.filter(pk=binding.pk).end()


def _give_back(context: RunContext, case: Case, binding: Binding) -> None:
    """Links the account to the organisation from which the decision had moved it. Both bindings change together: an
    account has one at a time. A refusal or an outage before that leaves the link as it was, to be taken back again."""
    rows = Binding.objects.filter(sync_pass=case.sync_pass, crm_type=ORGANISATION, crm_id=case.decided.get("moved_from", ""))
    holder = rows.filter(peer_id=binding.peer_id, is_tombstone=True).first()
    if holder is None:
        return
    owed = crm_writes.owed_write_back(context, holder)
    fields: dict[str, Value] = {**owed.fields, context.terms.columns.sync: True}
    write(context, [CrmWrite("flag", holder.crm_id, holder.name, fields, "", "A moved link was taken back.")])
    with transaction.atomic():
        Binding.objects.filter(pk=binding.pk).end()
        rows.filter(pk=holder.pk).update(is_tombstone=False, are_people_due=True)


def _prospects_back(context: RunContext, case: Case) -> None:
    """Hangs the prospects that the decision moved where they were, unless somebody moved them again since."""
    moves = Operation.objects.filter(run_id=case.decided.get("run"), kind=Operation.Kind.MOVE_PROSPECT, state=Operation.State.CONFIRMED)
    by_id = {op.target_id: op for op in moves}
    if not by_id:
        return
    now = context.peer.connector.read(PROSPECT, list(by_id), ["account"])
    standing = [r for r in now if is_same(r.fields.get("account"), decode(by_id[r.ref.id].after.get("account")))]
    intents = [
        Intent(
            Operation.Kind.MOVE_PROSPECT.value,
            "peer",
            PROSPECT,
            by_id[r.ref.id].source_ref,
            after={"account": decode(by_id[r.ref.id].replaced("account"))},
            before={"account": r.fields.get("account")},
            target_id=r.ref.id,
            reason=f"Undo of operation {by_id[r.ref.id].pk}.",
            origin={**context.staff_origin(), **by_id[r.ref.id].origin},
        )
        for r in standing
    ]
    operations = [op for op in context.executor.intend(intents) if op is not None]
    context.executor.send("peer", operations, lambda done: None)


def _open_again(decision: Decision, case: Case) -> None:
    Case.objects.filter(pk=case.pk).update(
        state=Case.State.OPEN,
        decision="",
        decided={},
        decided_by=None,
        closed_at=None,
        flag=Case.Flag.WRITTEN,
        note=f"Opened again: {decision.user} took back “{case.decision}”.",
    )

"""Makes again what was deleted: an organisation that somebody deleted in Workbooks, an account that an undo deleted.

What cannot come back is said first. The new record is made through the executor under the pass's lease, and carries a key
of its own (an organisation) or goes through the pass's own search (an account), so that a repeated click makes no second."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from django.contrib.auth.models import AbstractBaseUser

from connectors.contract import Fields, Record, Ref, Value
from connectors.errors import ConnectorError
from reconciliation.core.operations import Intent
from reconciliation.core.spellings import has_forgotten
from reconciliation.core.values import is_blank, is_same
from reconciliation.engine import recovery, search_index
from reconciliation.engine.context import RunContext
from reconciliation.engine.crm_writes import CrmWrite
from reconciliation.engine.executor import Done
from reconciliation.engine.organisations import process_page
from reconciliation.engine.pair_terms import KINDS
from reconciliation.engine.restored import account_for, bind_again, mark_restored
from reconciliation.engine.staff import at_work
from reconciliation.engine.wiring import Wiring
from reconciliation.models import Binding, Operation, SyncPass, Tombstone
from reconciliation.passes.organisations import ACCOUNT, ORGANISATION, Terms, decide_new
from reconciliation.services import sync_again
from reconciliation.services.audit import audit
from reconciliation.services.duplicates import DecisionRefused, PlannedWrite, read_organisations, write
from reconciliation.store import decode_fields, mapping_of, organisation_columns

PLUGIN_WORDS = {"sync": "Sync to Outreach", "peer_id": "Outreach Id", "peer_url": "Outreach URL"}


@dataclass(frozen=True, slots=True)
class RestorePlan:
    """What restoring will write, what it cannot bring back, and why it cannot be done at all ("" when it can)."""

    writes: tuple[PlannedWrite, ...] = ()
    not_back: tuple[str, ...] = ()
    remarks: tuple[str, ...] = ()
    refusal: str = ""
    button: str = ""


@dataclass(frozen=True, slots=True)
class _Desk:
    """What a plan rests on: it reads, and takes no lease."""

    tombstone: Tombstone
    sync_pass: SyncPass
    crm: Any
    peer: Any

    @property
    def terms(self) -> Terms:
        database = str(self.sync_pass.crm.settings.get("database_id", ""))
        return Terms(organisation_columns(self.sync_pass), mapping_of(self.sync_pass.mapping, self.sync_pass.peer), database)


def restore_plan(tombstone: Tombstone, *, wiring: Wiring | None = None) -> RestorePlan:
    """Returns what restoring would do now. Reads only. Raises ConnectorError."""
    if tombstone.sync_pass.kind in KINDS:
        return _plan_of_two_ways(tombstone)
    wiring, sync_pass = wiring or Wiring(), tombstone.sync_pass
    crm = wiring.open_connector(sync_pass.crm)
    try:
        peer = wiring.open_connector(sync_pass.peer)
        try:
            return _plan(_Desk(tombstone, sync_pass, crm, peer))
        finally:
            peer.close()
    finally:
        crm.close()


def _plan_of_two_ways(tombstone: Tombstone) -> RestorePlan:
    if refusal := sync_again.refusal_of(tombstone):
        return RestorePlan(refusal=refusal)
    return RestorePlan(remarks=sync_again.remarks_of(tombstone), button=sync_again.BUTTON)


def _plan(desk: _Desk) -> RestorePlan:
    if desk.tombstone.restored_at is not None:
        return RestorePlan(refusal=f"It was restored already, as {desk.tombstone.restored_as}.")
    return _plan_organisation(desk) if desk.tombstone.why == Tombstone.Why.CRM else _plan_account(desk)


def _read_organisation(desk: _Desk) -> Record | None:
    columns = desk.terms.columns
    wanted = list(dict.fromkeys(["name", *columns.names, *desk.terms.mapping.crm_fields]))
    return next(iter(desk.crm.read(ORGANISATION, [desk.tombstone.crm_id], wanted)), None)


def _plan_organisation(desk: _Desk) -> RestorePlan:
    stone = desk.tombstone
    now = _read_organisation(desk)
    if now is not None and not now.is_deleted:
        return RestorePlan(refusal="It is there again in Workbooks; the next pass takes it up.")
    fields, lost = _creatable(desk)
    if is_blank(fields.get("name")):
        return RestorePlan(refusal="Its last values hold no name, and Workbooks takes no organisation without one.")
    target = account_for(desk.sync_pass, desk.peer, desk.terms.mapping, stone)
    plugin = plugin_values(desk, target)
    record = f"a new organisation {fields['name']}"
    writes = [PlannedWrite("Workbooks", record, name, str(value)) for name, value in fields.items()]
    writes += [
        PlannedWrite("Workbooks", record, PLUGIN_WORDS[name], "TRUE" if value is True else str(value)) for name, value in plugin.items()
    ]
    not_back = [
        f"Its Workbooks id {stone.crm_id} and its reference: the new organisation gets new ones.",
        "Fields that no mapping carries, activities, opportunities and documents in Workbooks.",
        "Who is employed there: people name the deleted organisation as their employer and must be pointed to the new one.",
    ]
    not_back += [f"{name}: Workbooks lets nobody set it on a new record." for name in lost]
    not_back += [f"{name}: it was forgotten on request." for name, value in stone.crm_values.items() if has_forgotten(value)]
    remarks = []
    if target is not None:
        remarks.append(
            f"It is linked to account {stone.peer_id} again, with the prospects that hang on it; nothing is written in Outreach."
        )
    elif stone.peer_id:
        remarks.append(f"Account {stone.peer_id} is gone or linked elsewhere: the next pass searches the name and creates an account.")
    return RestorePlan(tuple(writes), tuple(not_back), tuple(remarks), button="Make the organisation again")


def _creatable(desk: _Desk) -> tuple[dict[str, Value], list[str]]:
    """Returns the last values that Workbooks takes on a new organisation, and the names of those it does not."""
    values = {n: v for n, v in decode_fields(desk.tombstone.crm_values).items() if not is_blank(v) and not has_forgotten(v)}
    known = desk.crm.schema(ORGANISATION).attributes
    lost = [n for n in values if n in known and not known[n].is_creatable]
    fields = {n: v for n, v in values.items() if n not in lost}
    name = "" if has_forgotten(desk.tombstone.name) else desk.tombstone.name
    return {"name": name, **fields}, lost


def plugin_values(desk: _Desk, account: Record | None) -> dict[str, Value]:
    """Returns what the plugin's columns get: switched on, with Id and URL of the account that is still there."""
    values: dict[str, Value] = {"sync": True}
    if account is not None:
        values["peer_id"] = account.ref.id
        if url := desk.peer.web_url(account.ref):
            values["peer_url"] = url
    return values


def _plan_account(desk: _Desk) -> RestorePlan:
    stone, columns = desk.tombstone, desk.terms.columns
    now = _read_organisation(desk)
    if now is None or now.is_deleted:
        return RestorePlan(refusal="Its organisation is not in Workbooks any more; restore that one.")
    if not is_blank(now.fields.get(columns.peer_id)):
        return RestorePlan(refusal=f"Workbooks names account {now.fields.get(columns.peer_id)} for it by now.")
    if now.fields.get(columns.error) or now.fields.get(columns.duplicate):
        return RestorePlan(refusal="The organisation is flagged in Workbooks. Decide its case first.")
    intent = decide_new(now, [], None, desk.terms, {}).intent
    after = dict(intent.after) if intent is not None else {}
    writes = [PlannedWrite("Workbooks", f"organisation {stone.crm_id} {stone.name}", "Sync to Outreach", "TRUE")]
    writes += [PlannedWrite("Outreach", f"a new account {after.get('name')}", name, str(value)) for name, value in after.items()]
    last = decode_fields(stone.peer_values)
    changed = [n for n, v in last.items() if not is_blank(v) and n != "owner" and not is_same(v, after.get(n))]
    not_back = [
        f"Its Outreach id {stone.peer_id} and its address: the new account gets new ones.",
        "Tasks, sequences and other things that hung on it in Outreach.",
        *(f"{name}: it held {last[name]}; the new account gets what Workbooks holds now." for name in changed),
    ]
    remark = "The name is searched first: an account that bears it by now makes a duplicate case instead of a second account."
    return RestorePlan(tuple(writes), tuple(not_back), (remark,), button="Make the account again")


def restore(tombstone: Tombstone, user: AbstractBaseUser, *, reason: str = "", wiring: Wiring | None = None) -> str:
    """Makes the record again and returns what became of it, in words. Raises DecisionRefused, Busy, ConnectorError."""
    if tombstone.sync_pass.kind in KINDS:
        return sync_again.sync_again(tombstone, user, reason=reason, wiring=wiring)
    kind = "organisation" if tombstone.why == Tombstone.Why.CRM else "account"
    what = f"Restore {kind} of {tombstone.name}."
    with at_work(tombstone.sync_pass, by=user.get_username(), what=what, reason=reason, wiring=wiring) as context:
        begun = _settle_begun(context, tombstone)
        # As it is now: somebody may have restored it while this waited for the pass, or forgotten a value of it.
        stone = Tombstone.objects.select_related("sync_pass__crm", "sync_pass__peer", "sync_pass__mapping", "binding").get(pk=tombstone.pk)
        desk = _Desk(stone, stone.sync_pass, context.crm.connector, context.peer.connector)
        made = begun if begun is not None else _make(context, desk)
        subject = f"organisation {made.id if kind == 'organisation' else stone.crm_id} {stone.name}"
        audit(user, f"restore {kind}", subject, restored=str(stone.pk), made=str(made), run=context.run.pk, reason=reason)
        return f"{'Organisation' if kind == 'organisation' else 'Account'} {made.id} was made in its place."


def _settle_begun(context: RunContext, stone: Tombstone) -> Ref | None:
    """Settles what an earlier attempt sent and nobody saw answered: no pass may do so for long. Returns the organisation
    that it made, None when it made none. Raises DecisionRefused while that cannot be told."""
    source = Ref(context.crm.connector.system, ORGANISATION, stone.crm_id)
    doubtful = list(recovery.creates_in_doubt(context.sync_pass).filter(source_ref=str(source)).select_related("connection"))
    recovery.settle_creates(context, doubtful)
    for operation in doubtful:
        system, sent_at = operation.connection.get_system_display(), operation.sent_at
        if operation.state == Operation.State.SENT:
            raise DecisionRefused(
                f"It was begun before: {system} was asked at {sent_at:%H:%M:%S} UTC, did not answer, and may still be at it. "
                "Try again in a minute. Nothing was done."
            )
        if operation.state == Operation.State.CONFIRMED and operation.marker == stone.marker:
            return Ref(operation.connection.system, ORGANISATION, operation.target_id)
    return None


def _make(context: RunContext, desk: _Desk) -> Ref:
    plan = _plan(desk)
    if plan.refusal:
        raise DecisionRefused(f"{plan.refusal} Nothing was done.")
    if desk.tombstone.why == Tombstone.Why.CRM:
        return _make_organisation(context, desk)
    made = _make_account(context, desk.tombstone)
    mark_restored(context, desk.tombstone, made, context.run.started_by)
    return made


def _make_organisation(context: RunContext, desk: _Desk) -> Ref:
    """Creates the organisation, or finds the one that an unanswered attempt made, and links it to its account."""
    stone, columns = desk.tombstone, context.terms.columns
    fields, _ = _creatable(desk)
    account = account_for(desk.sync_pass, desk.peer, desk.terms.mapping, stone)
    fields |= {getattr(columns, name): value for name, value in plugin_values(desk, account).items()}
    marker_field = context.crm.connector.marker_field
    found = context.crm.connector.find(ORGANISATION, marker_field, [stone.marker], ["name"])
    ref = found[0].ref if found else _create(context, stone, fields, account)
    record = read_organisations(context, [ref.id]).get(ref.id)
    if account is not None and record is not None:
        bind_again(context, record, account)
    mark_restored(context, stone, ref, context.run.started_by)
    search_index.note_names(context.sync_pass, [(str(ref), search_index.NAME, stone.name)], context.wiring.now())
    return ref


def _create(context: RunContext, stone: Tombstone, fields: Fields, account: Record | None) -> Ref:
    """Creates the organisation; what follows from it is stored with the create, so that no pass takes it for a new one."""
    source = Ref(context.crm.connector.system, ORGANISATION, stone.crm_id)
    intent = Intent(
        Operation.Kind.CREATE.value,
        "crm",
        ORGANISATION,
        str(source),
        after=fields,
        marker=stone.marker,
        reason=f"Restored: it was deleted in Workbooks{f' by {stone.deleted_by}' if stone.deleted_by else ''}.",
        origin={"name": stone.name, "tombstone": stone.pk},
    )
    (operation,) = context.executor.intend([intent])
    if operation is None:
        raise DecisionRefused("Somebody else is restoring it just now. Nothing was done.")
    context.executor.send("crm", [operation], lambda done: _settle(context, done, stone, account))
    if operation.state != Operation.State.CONFIRMED or not operation.target_id:
        raise DecisionRefused(f"Workbooks did not take it: {operation.error or operation.get_state_display()}.")
    return Ref(source.system, ORGANISATION, operation.target_id)


def _settle(context: RunContext, done: list[Done], stone: Tombstone, account: Record | None) -> None:
    """Links what was made, by what was sent and answered until it is read back; a refusal's own words go to the journal."""
    for item in done:
        if isinstance(item.error, ConnectorError):
            item.operation.error = item.error.sentence
        elif item.record is not None:
            made = replace(item.record, fields={**decode_fields(item.operation.after), **item.record.fields})
            if account is not None:
                bind_again(context, made, account)
            mark_restored(context, stone, made.ref, context.run.started_by)


def _make_account(context: RunContext, stone: Tombstone) -> Ref:
    """Switches the organisation on again and sends it down the pass's own road: search by name, create, write back."""
    columns = context.terms.columns
    fields: dict[str, Value] = {columns.sync: True}
    write(context, [CrmWrite("flag", stone.crm_id, stone.name, fields, "", "Its account is restored.")])
    record = read_organisations(context, [stone.crm_id])[stone.crm_id]
    decision = process_page(context, [record])[stone.crm_id]
    binding = Binding.objects.filter(sync_pass=context.sync_pass, crm_type=ORGANISATION, crm_id=stone.crm_id, is_tombstone=False).first()
    if binding is None:
        raise DecisionRefused(f"It is switched on again, but no account was made: {decision.sentence or decision.reason}")
    return Ref(context.peer.connector.system, ACCOUNT, binding.peer_id)

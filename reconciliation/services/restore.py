"""Makes again what was deleted: an organisation that somebody deleted in Workbooks, an account that an undo deleted.

What cannot come back is said first. The new record is made through the executor under the pass's lease, and carries a key
of its own (an organisation) or goes through the pass's own search (an account), so that a repeated click makes no second."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from django.contrib.auth.models import AbstractBaseUser
from django.utils import timezone

from connectors.contract import Fields, Record, Ref, Value
from connectors.errors import ConnectorError
from reconciliation.core.operations import Intent
from reconciliation.core.spellings import has_forgotten
from reconciliation.core.values import is_blank, is_same, name_key
from reconciliation.engine import gather, search_index
from reconciliation.engine.context import RunContext
from reconciliation.engine.crm_writes import CrmWrite
from reconciliation.engine.executor import Done
from reconciliation.engine.organisations import process_page
from reconciliation.engine.staff import at_work
from reconciliation.engine.wiring import Wiring
from reconciliation.models import Binding, Operation, SyncPass, Tombstone
from reconciliation.passes.organisations import ACCOUNT, ORGANISATION, Terms, decide_new
from reconciliation.services.audit import audit
from reconciliation.services.duplicates import DecisionRefused, PlannedWrite, read_organisations, write
from reconciliation.store import decode_fields, encode_fields, mapping_of, organisation_columns, pick

PLUGIN_WORDS = {"sync": "Sync to Outreach", "peer_id": "Outreach Id", "peer_url": "Outreach URL"}


@dataclass(frozen=True, slots=True)
class RestorePlan:
    """What restoring will write, what it cannot bring back, and why it cannot be done at all ("" when it can)."""

    writes: tuple[PlannedWrite, ...] = ()
    not_back: tuple[str, ...] = ()
    remarks: tuple[str, ...] = ()
    refusal: str = ""


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
    target = _account_for(desk)
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
    return RestorePlan(tuple(writes), tuple(not_back), tuple(remarks))


def _creatable(desk: _Desk) -> tuple[dict[str, Value], list[str]]:
    """Returns the last values that Workbooks takes on a new organisation, and the names of those it does not."""
    values = {n: v for n, v in decode_fields(desk.tombstone.crm_values).items() if not is_blank(v) and not has_forgotten(v)}
    known = desk.crm.schema(ORGANISATION).attributes
    lost = [n for n in values if n in known and not known[n].is_creatable]
    fields = {n: v for n, v in values.items() if n not in lost}
    name = "" if has_forgotten(desk.tombstone.name) else desk.tombstone.name
    return {"name": name, **fields}, lost


def _account_for(desk: _Desk) -> Record | None:
    """Returns the account that the organisation was linked to, None when it is gone or another one's by now."""
    stone = desk.tombstone
    if not stone.peer_id or gather.bound_organisations(desk.sync_pass, [stone.peer_id]):
        return None
    return gather.accounts_by_id(desk.peer, desk.terms.mapping, [stone.peer_id]).get(stone.peer_id)


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
    return RestorePlan(tuple(writes), tuple(not_back), (remark,))


def restore(tombstone: Tombstone, user: AbstractBaseUser, *, reason: str = "", wiring: Wiring | None = None) -> str:
    """Makes the record again and returns what became of it, in words. Raises DecisionRefused, Busy, ConnectorError."""
    stone = Tombstone.objects.select_related("sync_pass__crm", "sync_pass__peer", "sync_pass__mapping", "binding").get(pk=tombstone.pk)
    kind = "organisation" if stone.why == Tombstone.Why.CRM else "account"
    with at_work(stone.sync_pass, by=user.get_username(), what=f"Restore {kind} of {stone.name}.", reason=reason, wiring=wiring) as context:
        stone.refresh_from_db(fields=["restored_at", "restored_as"])  # somebody may have restored it while this waited
        desk = _Desk(stone, stone.sync_pass, context.crm.connector, context.peer.connector)
        plan = _plan(desk)
        if plan.refusal:
            raise DecisionRefused(f"{plan.refusal} Nothing was done.")
        made = _make_organisation(context, desk) if kind == "organisation" else _make_account(context, stone)
        mark_restored(stone, made, user.get_username())
        subject = f"organisation {made.id if kind == 'organisation' else stone.crm_id} {stone.name}"
        audit(user, f"restore {kind}", subject, restored=str(stone.pk), made=str(made), run=context.run.pk, reason=reason)
        return f"{'Organisation' if kind == 'organisation' else 'Account'} {made.id} was made in its place."


def mark_restored(stone: Tombstone, made: Ref, by: str) -> None:
    Tombstone.objects.filter(pk=stone.pk).update(restored_at=timezone.now(), restored_by=by[:150], restored_as=str(made))


def _make_organisation(context: RunContext, desk: _Desk) -> Ref:
    """Creates the organisation, or finds the one that an unanswered attempt made, and links it to its account."""
    stone, columns = desk.tombstone, context.terms.columns
    fields, _ = _creatable(desk)
    account = _account_for(desk)
    fields |= {getattr(columns, name): value for name, value in plugin_values(desk, account).items()}
    marker_field = context.crm.connector.marker_field
    found = context.crm.connector.find(ORGANISATION, marker_field, [stone.marker], ["name"])
    ref = found[0].ref if found else _create(context, stone, fields)
    record = read_organisations(context, [ref.id]).get(ref.id)
    if account is not None and record is not None:
        _bind_again(context, record, account)
    search_index.note_names(context.sync_pass, [(str(ref), search_index.NAME, stone.name)], context.wiring.now())
    return ref


def _create(context: RunContext, stone: Tombstone, fields: Fields) -> Ref:
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
    context.executor.send("crm", [operation], _leave)
    if operation.state != Operation.State.CONFIRMED or not operation.target_id:
        raise DecisionRefused(f"Workbooks did not take it: {operation.error or operation.get_state_display()}.")
    return Ref(source.system, ORGANISATION, operation.target_id)


def _leave(done: list[Done]) -> None:
    """The refusal's own words go to the journal; nothing else follows from the create before it was read back."""
    for item in done:
        if isinstance(item.error, ConnectorError):
            item.operation.error = item.error.sentence


def _bind_again(context: RunContext, record: Record, account: Record) -> None:
    """Links both; each side's present values become its own base, so that nothing is written (leave differences)."""
    terms, now = context.terms, context.wiring.now()
    name = str(record.fields.get("name") or "")
    Binding.objects.update_or_create(
        sync_pass=context.sync_pass,
        crm_type=ORGANISATION,
        crm_id=record.ref.id,
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
            "are_people_due": True,
            "how": "restored",
            "bound_at": now,
            "synced_at": now,
        },
    )


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

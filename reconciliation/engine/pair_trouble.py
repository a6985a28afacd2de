"""What a page of a two-way pass leaves behind: mapping rows that are held, records owed a second look, and pointers that
the peer's records still lack."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from django.db.models import Q

from connectors.contract import Record, Ref
from connectors.errors import ConnectorError, RecordGone, StaleVersion
from reconciliation.core.ledger import Outcome
from reconciliation.core.operations import CaseOpening, Intent
from reconciliation.core.values import is_same
from reconciliation.engine import cases, mapping_trouble
from reconciliation.engine.context import RunContext
from reconciliation.engine.executor import Done
from reconciliation.engine.pair_cases import POINTER
from reconciliation.engine.pair_work import PairWork
from reconciliation.models import Binding, Case, FieldRule, LookAgain, Operation, SyncPass, Tombstone
from reconciliation.models.bulk import insert_rows, update_rows
from reconciliation.passes.items import TWIN, WOULD_MAIL
from reconciliation.passes.pairs import ASKED, KEPT, NOT_VISIBLE, PairDecision
from reconciliation.store import decode_fields

WAITS_FOR_A_PERSON = {"conflict", WOULD_MAIL, "deletion_others", "deletion_edited_in_crm", "deletion_edited_here"}  # a case has them
NOT_OWED = {"interrupted", "brake", *WAITS_FOR_A_PERSON}  # the first two come back by themselves


def look_at(context: RunContext, work: PairWork) -> None:
    """Holds what the page's answers say is wrong with the mapping: one row, or creating in the CRM; nothing else stops
    (C31, C32)."""
    _hold_equal_refusals(work)
    told: set[tuple[str, str, str]] = set()
    for id_, decision in work.decisions.items():
        error = work.mapping_errors.get(id_)
        if error is None or (key := (error.system, error.field, error.detail)) in told:
            continue
        told.add(key)
        hold(context, error, decision)


def _hold_equal_refusals(work: PairWork) -> None:
    """Ten records refused in a row with the same words are one case of the mapping (engine-rules 3)."""
    last = {id_: operations[-1] for id_, operations in work.operations.items() if operations}
    errors = mapping_trouble.equal_refusals((op, work.refusals.get(id_)) for id_, op in last.items())
    for id_, operation in last.items():
        if operation.pk in errors and work.decisions[id_].reason == "refused":
            work.mapping_errors[id_] = errors[operation.pk]
            work.decide(replace(work.decisions[id_], outcome=Outcome.HELD, reason="mapping", case=None))


def hold(context: RunContext, error: ConnectorError, decision: PairDecision) -> None:
    """Holds the mapping row that the error names; a field that no row names holds the making of new records."""
    column = "crm_field" if error.system == context.crm.connector.system else "peer_field"
    tables = context.sync_pass.whole.record_types.values_list("mapping", flat=True)
    is_row = error.field and FieldRule.objects.filter(table__in=tables, **{column: error.field}).exists()
    making = next((i for i in decision.intents if i.kind == "create" and i.side == "crm"), None)
    if is_row or making is None:
        mapping_trouble.hold(context, error)
        return
    context.sync_pass.whole.record_types.filter(crm_object=making.object_type).update(held_reason=error.sentence)
    context.renew_terms()
    sentence = f"New {making.object_type}s are not made: {error.sentence}"
    remedy = "Open the mapping table, map the field or give it a default, then save. Everything else goes on."
    opening = CaseOpening("mapping", "mapping", sentence, remedy)
    record = Record(Ref(context.crm.connector.system, making.object_type, f"create:{making.object_type}"), {"name": making.object_type})
    cases.open_case(context, record, opening, flag=Case.Flag.NONE)


def owe(context: RunContext, work: PairWork) -> None:
    """Notes the records that are held for a while, or kept away by the link of another: no edit brings them back, since the
    cursor goes by."""
    held = {i: d for i, d in work.decisions.items() if d.outcome is Outcome.HELD and d.reason not in NOT_OWED}
    held |= {i: d for i, d in work.decisions.items() if d.reason in (KEPT, ASKED) and d.kept_on}
    now = context.wiring.now()
    rows = [
        LookAgain(
            sync_pass=context.sync_pass,
            side=work.side,
            object_type=d.record.ref.object_type,
            record_id=id_,
            reason=d.reason,
            since=now,
            waits_for=d.kept_on if d.reason in (KEPT, ASKED) else "",
        )
        for id_, d in held.items()
    ]
    twins = [id_ for id_, d in held.items() if d.reason == TWIN]
    if twins:  # they wait from now on, whatever they waited for before
        waiting = LookAgain.objects.filter(sync_pass=context.sync_pass, side=work.side, record_id__in=twins)
        waiting.exclude(reason=TWIN).update(since=now)
    insert_rows(rows, unique=["sync_pass", "side", "object_type", "record_id"], update=["reason", "waits_for"])
    LookAgain.objects.take_up([d.crm.ref.id for d in work.decisions.values() if d.crm is not None and _writes_a_key(context, d)])


def _writes_a_key(context: RunContext, decision: PairDecision) -> bool:
    keys = set(context.terms.kind.key_fields.values())
    return any(intent.kind == "update" and keys & set(intent.after) for intent in decision.intents)


HANDED = "handed_over"  # why a record is looked at: it differs from what was agreed in the link before


def look_again(context: RunContext, side: str, refs: Iterable[Ref], reason: str) -> None:
    """Has the next run look at these records of one side, whatever becomes of this one."""
    common = {"sync_pass": context.sync_pass, "side": side, "reason": reason, "since": context.wiring.now()}
    rows = [LookAgain(object_type=ref.object_type, record_id=ref.id, **common) for ref in refs]
    insert_rows(rows, unique=["sync_pass", "side", "object_type", "record_id"], update=["reason", "tries", "due_at", "waits_for"])


def tell_not_visible(context: RunContext, side: str, ids: Iterable[str]) -> None:
    """Opens a case for links whose CRM record could not be seen in run after run. It was deleted so long ago that the recycle
    bin forgot it, or our user may not see it: nothing is deleted for that (I8), and nobody else would ever hear of it."""
    for binding in Binding.objects.filter(sync_pass=context.sync_pass, is_tombstone=False, **{f"{side}_id__in": set(ids)}):
        about = {"crm_type": binding.crm_type, "crm_id": binding.crm_id, "peer_id": binding.peer_id}
        sentence = (
            f"{binding.crm_type} {binding.crm_id} cannot be seen by our user: it was deleted for good, or hidden from us. It is linked "
            f"to {binding.peer_type} {binding.peer_id}, which was left as it is."
        )
        remedy = "Let our user see it; this case closes by itself then. If it is gone for good, delete its counterpart, too."
        opening = CaseOpening("error", NOT_VISIBLE, sentence, remedy)
        record = Record(Ref(context.crm.connector.system, binding.crm_type, binding.crm_id), {})
        cases.open_case(context, record, opening, flag=Case.Flag.NONE, ids=about, name=binding.name)


def release(sync_pass: SyncPass) -> None:
    """Has the next run look at everything that waits: what it waited for may be mended."""
    of_whole = LookAgain.objects.filter(Q(sync_pass=sync_pass.pk) | Q(sync_pass__parent=sync_pass.pk))  # mailboxes' rows, too
    of_whole.update(tries=0, due_at=None)


def write_pointers(
    context: RunContext, owed: Iterable[tuple[Binding, Ref, Record]], origins: Mapping[int, dict[str, Any]] | None = None
) -> None:
    """Writes into the peer's records which CRM record each belongs to, where they do not say so yet. `origins` are those of
    links that a person chose, by the binding's key."""
    intents: list[Intent] = []
    by_peer: dict[str, Binding] = {}
    settled: list[int] = []
    for binding, crm, peer in owed:
        wanted = context.terms.kind.missing(crm, peer, context.terms)
        if not wanted:
            settled.append(binding.pk)
            continue
        before = {name: peer.fields.get(name) for name in wanted}
        reason = f"It belongs to {crm.object_type} {crm.id}."
        by_peer[peer.ref.id] = binding
        # Of a mailbox's item that its user drags out just now we would write into a personal contact (I7).
        version = peer.version if context.terms.kind.is_mailbox else ""
        common = {"target_id": peer.ref.id, "version": version, "reason": reason, "origin": (origins or {}).get(binding.pk, {})}
        intents.append(Intent("update", "peer", peer.ref.object_type, str(crm), wanted, before, **common))
    _paid(context, settled)
    operations = [op for op in context.executor.intend(intents) if op is not None]
    context.executor.send("peer", operations, lambda done: _settle_pointers(context, by_peer, done))


def _settle_pointers(context: RunContext, by_peer: dict[str, Binding], done: list[Done]) -> None:
    _paid(context, _written(by_peer, done))
    for item in done:
        if isinstance(item.error, ConnectorError) and item.error.scope == "record" and not _is_moving(context, item.error):
            _tell_refused(context, by_peer[item.operation.target_id], item.error)


def _is_moving(context: RunContext, error: ConnectorError) -> bool:
    """Tells whether the item of a mailbox was changed or moved meanwhile; the next run looks where it is then."""
    return context.terms.kind.is_mailbox and isinstance(error, StaleVersion | RecordGone)


def _tell_refused(context: RunContext, binding: Binding, error: ConnectorError) -> None:
    """A pointer that is refused is nobody's loss, but nothing tells the peer's users where the record belongs: a person is
    asked, and it is not sent again before that (engine-rules 14)."""
    what = f"{binding.peer_type.capitalize()} {binding.peer_id}"
    ids = {"crm_type": binding.crm_type, "crm_id": binding.crm_id, "peer_id": binding.peer_id}
    sentence = f"{what} does not take the id of {binding.crm_type} {binding.crm_id} that it belongs to: {error.sentence}"
    if binding.is_tombstone:  # it gave its record up: no record of the CRM is concerned
        ids |= {"crm_type": "", "crm_id": ""}
        sentence = f"{what} still names the {binding.crm_type} that it belonged to: {error.sentence}"
    opening = CaseOpening("error", POINTER, sentence, error.remedy or "Correct it in its system, then press Retry.")
    record = Record(Ref(context.crm.connector.system, binding.crm_type, binding.crm_id), {})
    cases.open_case(context, record, opening, flag=Case.Flag.NONE, ids=ids, name=binding.name)


def chosen(context: RunContext, owed: Sequence[tuple[Binding, Ref, Record]]) -> dict[int, dict[str, Any]]:
    """Returns the origin of writes of staff that were not answered, by the key of the link whose pointer they were to
    write: the remap can be taken back whoever writes it in the end."""
    keys = {(str(crm), peer.ref.id): binding.pk for binding, crm, peer in owed}
    rows = Operation.objects.filter(run__sync_pass=context.sync_pass, state=Operation.State.VOID, origin__has_key="remap")
    rows = rows.filter(source_ref__in={ref for ref, _ in keys}).order_by("pk")
    found = rows.values_list("source_ref", "target_id", "origin")
    return {keys[ref, target]: origin for ref, target, origin in found if (ref, target) in keys}


def give_up_pointers(context: RunContext, owed: Sequence[tuple[Binding, Record]]) -> None:
    """Writes what was asked and not answered when links moved away: the pointer that each of these records gives up. One
    that is linked again, or that somebody pointed elsewhere meanwhile, keeps what it holds."""
    asked = _asked(binding for binding, _ in owed)
    ids = [peer.ref.id for _, peer in owed]
    linked = set(Binding.objects.filter(sync_pass=context.sync_pass, is_tombstone=False, peer_id__in=ids).values_list("peer_id", flat=True))
    intents: list[Intent] = []
    by_peer: dict[str, Binding] = {}
    settled: list[int] = []
    for binding, peer in owed:
        op = asked.get(binding.pk)
        before = decode_fields(op.before) if op is not None else {}
        if op is None or peer.ref.id in linked or not all(is_same(peer.fields.get(name), value) for name, value in before.items()):
            settled.append(binding.pk)
            continue
        by_peer[peer.ref.id] = binding
        common = {"target_id": peer.ref.id, "version": peer.version, "reason": op.reason, "origin": op.origin}
        intents.append(Intent("update", "peer", peer.ref.object_type, str(peer.ref), decode_fields(op.after), before, **common))
    _paid(context, settled)
    operations = [op for op in context.executor.intend(intents) if op is not None]
    context.executor.send("peer", operations, lambda done: _settle_pointers(context, by_peer, done))


def _asked(bindings: Iterable[Binding]) -> dict[int, Operation]:
    """Returns the write with which each link moved away, by the binding's key."""
    stones = Tombstone.objects.filter(binding__in=[b.pk for b in bindings], why=Tombstone.Why.MOVED).order_by("pk")
    keys = dict(stones.values_list("binding_id", "operation_id"))
    known = Operation.objects.in_bulk([key for key in keys.values() if key is not None])
    return {binding: known[key] for binding, key in keys.items() if key in known}


def _written(by_peer: dict[str, Binding], done: list[Done]) -> list[int]:
    """Notes the versions that our own writes made: they date nobody's edit."""
    rows = []
    for item in done:
        if item.error is None:
            row = by_peer[item.operation.target_id]
            row.is_write_back_due = False
            row.peer_version = item.record.version if item.record is not None and item.record.version else row.peer_version
            rows.append(row)
    update_rows(rows, ["peer_version"])
    return [row.pk for row in rows]


def _paid(context: RunContext, keys: list[int]) -> None:
    if keys:
        Binding.objects.filter(pk__in=keys).update(is_write_back_due=False, owed_since=None)
        told = Case.objects.filter(sync_pass=context.sync_pass, reason=POINTER, state=Case.State.OPEN)
        paid = Binding.objects.filter(pk__in=keys)
        told = told.filter(Q(crm_id__in=paid.values("crm_id")) | Q(crm_id="", peer_id__in=paid.filter(is_tombstone=True).values("peer_id")))
        told.update(state=Case.State.CLOSED, decision="solved", note="It was written.", closed_at=context.wiring.now())

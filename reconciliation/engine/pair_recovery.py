"""Settles what an earlier run of a two-way pass left in doubt, before a new one reads anything (design section 6).

Creates that were sent and not answered are asked for: in the CRM by our key in its external-id field, in the peer by the
pointer, found through the person's addresses. Found once = adopted; absent = void after time-out and settle time, and the
source is looked at again. Then the pointers that are owed."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from django.db import transaction

from connectors.contract import Op, Record, Ref, Test, Write
from connectors.mailboxes import INSIDE, PLACE
from reconciliation.core.operations import CaseOpening
from reconciliation.engine import cases, pair_bases, pair_cases, pair_reads, pair_trouble, people_recovery, recovery
from reconciliation.engine.context import RunContext
from reconciliation.models import Binding, Case, LookAgain, Operation, Tombstone
from reconciliation.models.work_left import WorkLeft
from reconciliation.passes.organisations import CLOCKS_DIFFER
from reconciliation.passes.pairs import ADOPTED
from reconciliation.store import decode_fields

OWED_A_RUN = 1000
BRING_IN = "bring_in"  # why an item of a mailbox is looked at again: it is to be moved into our folder


def recover(context: RunContext, left: WorkLeft) -> None:
    """Brings the journal to rest as far as the remote systems allow. Raises ConnectionTrouble."""
    if left.open_operations:
        _look_again_at_updates(context)
        recovery.void_unsent(context)
        if context.terms.kind.is_mailbox:
            people_recovery.recover(context)
        if not context.wiring.switches.names_before_journal:
            _settle_creates(context)
    if left.open_operations or left.write_backs:
        _point(context)


def _look_again_at_updates(context: RunContext) -> None:
    """What was sent and not answered is compared anew, whether it was done or not."""
    rows = Operation.objects.filter(run__sync_pass=context.sync_pass, state=Operation.State.SENT).exclude(run=context.run)
    for op in rows.exclude(kind=Operation.Kind.CREATE):
        _look_again(context, Ref.parse(op.source_ref), BRING_IN if PLACE in op.after else "in_doubt")


def _settle_creates(context: RunContext) -> None:
    sent = list(recovery.creates_in_doubt(context.sync_pass).select_related("connection"))
    if context.wiring.switches.resends_in_doubt:
        for op in sent:
            _void(context, op)
        return
    groups: dict[tuple[str, str], list[Operation]] = {}
    for op in sent:
        side = "crm" if op.connection_id == context.crm.connection.pk else "peer"
        groups.setdefault((side, op.object_type), []).append(op)
    for (side, object_type), operations in groups.items():
        found = _found(context, side, object_type, operations)
        for op in operations:
            _settle(context, side, op, found.get(op.pk, []))


def _found(context: RunContext, side: str, object_type: str, operations: Sequence[Operation]) -> dict[int, list[Record]]:
    """Returns the records that these creates made, by operation."""
    connector, terms = pair_reads.side_of(context, side).connector, context.terms
    columns = pair_reads.columns(terms, object_type)
    since = min(op.intended_at for op in operations) - CLOCKS_DIFFER
    if side == "peer" and not terms.kind.marker_is_pointer:
        return _pointing(context, object_type, operations, since)
    if side == "peer" and not getattr(connector, "has_marker", True):  # nothing of ours is stored there: it is known by what it holds
        writes = [Write(str(op.pk), None, decode_fields(op.after), marker=op.marker) for op in operations]
        made = connector.find_made(writes, since)
        return {op.pk: list(made.get(str(op.pk), ())) for op in operations}
    marked = connector.find_marked(object_type, [op.marker for op in operations], columns, since=since)
    field = _marker_field(context, side, object_type)
    if field:
        return {op.pk: [r for r in marked if str(r.fields.get(field)) == op.marker] for op in operations}
    mine = connector.made_by_us(object_type, columns, since=since)  # the guarantee is weaker: by our user, time and key (rule 35)
    return {op.pk: [r for r in mine if set(terms.kind.keys(r)) & set(_keys(context, op))] for op in operations}


def _pointing(context: RunContext, object_type: str, operations: Sequence[Operation], since: datetime) -> dict[int, list[Record]]:
    """Returns the peer's records that name the sources of these creates: searched by key, and among all that were made since
    where that finds none, for somebody may have changed the key meanwhile (rule 35)."""
    kind, columns = context.terms.kind, pair_reads.columns(context.terms, object_type)
    sources = {op.pk: Ref.parse(op.source_ref).id for op in operations}
    found = pair_reads.by_keys(context, "peer", [object_type], (k for op in operations for k in _keys(context, op)))
    by_source: dict[str, list[Record]] = {}
    for record in found:
        by_source.setdefault(kind.pointer_of(record), []).append(record)
    missing = set(sources.values()) - by_source.keys()
    if missing:
        for page in context.peer.connector.scan(object_type, where=Test("createdAt", Op.GE, since), columns=columns):
            for record in page.records:
                if kind.pointer_of(record) in missing:
                    by_source.setdefault(kind.pointer_of(record), []).append(record)
    return {pk: by_source.get(source, []) for pk, source in sources.items()}


def _marker_field(context: RunContext, side: str, object_type: str) -> str:
    connector = pair_reads.side_of(context, side).connector
    field_of = getattr(connector, "marker_field_of", None)
    return field_of(object_type) if field_of is not None else connector.marker_field


def _keys(context: RunContext, op: Operation) -> tuple[str, ...]:
    record = Record(Ref(op.connection.system, op.object_type, "0"), decode_fields(op.after))
    return context.terms.kind.keys(record) or ((op.name_key,) if op.name_key else ())


def _not_of_before(context: RunContext, side: str, op: Operation, found: Sequence[Record]) -> list[Record]:
    """Returns those that this create can have made: a record that an earlier one made, or whose link ended, bears the same marker
    still, in the bin above all."""
    ids = [r.ref.id for r in found]
    made = Operation.objects.filter(connection=op.connection, kind=Operation.Kind.CREATE, state=Operation.State.CONFIRMED)
    known = set(made.filter(object_type=op.object_type, target_id__in=ids).values_list("target_id", flat=True))
    ended = Tombstone.objects.filter(sync_pass=context.sync_pass, **{f"{side}_id__in": ids})
    known.update(ended.values_list(f"{side}_id", flat=True))
    return [r for r in found if r.ref.id not in known]


def _settle(context: RunContext, side: str, op: Operation, found: Sequence[Record]) -> None:
    if found and context.terms.kind.is_mailbox:
        found = _not_of_before(context, side, op, found)
    taken, own = pair_reads.holders(context, side, [r.ref.id for r in found]), Ref.parse(op.source_ref).id
    # One that the sweep of its own side met first is bound to our source already: it was made all the same.
    free = sorted((r for r in found if taken.get(r.ref.id, own) == own), key=lambda r: (r.is_deleted, r.ref.id not in taken, r.ref.id))
    connector = pair_reads.side_of(context, side).connector
    with transaction.atomic():
        if free:
            _adopt(context, side, op, free)
        elif found:  # it was made all the same, and is another one's by now
            _confirm(context, op, found[0])
            _look_again(context, Ref.parse(op.source_ref), "adopted")
        elif recovery.may_be_sent_again(context, op, connector):
            _void(context, op)


def _void(context: RunContext, op: Operation) -> None:
    op.state, op.settled_at, op.error = Operation.State.VOID, context.wiring.now(), "Not found; may be sent again."
    op.save(update_fields=["state", "settled_at", "error"])
    _look_again(context, Ref.parse(op.source_ref), "not_made")


def _adopt(context: RunContext, side: str, op: Operation, found: Sequence[Record]) -> None:
    """Takes up what was made without an answer. What was sent counts as agreed where it stands still, or was changed by a
    person since; of the rest nobody knows, so that the next look compares it."""
    record, source = found[0], Ref.parse(op.source_ref)
    _confirm(context, op, record)
    other = Record(source, {})
    crm, peer = (record, other) if side == "crm" else (other, record)
    type_ = context.terms.type_of(crm.ref.object_type)
    if type_ is None or pair_reads.holders(context, "peer" if side == "crm" else "crm", [source.id]):
        return
    binding = pair_bases.new_binding(context, type_, crm, peer, how=ADOPTED, is_pointer_due=side == "crm")
    pair_bases.agree_sent(binding, type_, side, decode_fields(op.after), record, context)
    pair_bases.save_new([binding])
    _look_again(context, source, "adopted")
    found = [r for r in found if not r.is_deleted]
    if len(found) > 1:
        sentence = f"{len(found)} records were made for this one: {', '.join(r.ref.id for r in found)}; {record.ref.id} is linked."
        opening = CaseOpening("remap", "several", sentence, "Merge or delete the others.")
        ids = {"crm_type": crm.ref.object_type, "crm_id": crm.ref.id, "peer_id": peer.ref.id}
        cases.open_case(context, crm, opening, flag=Case.Flag.NONE, ids=ids, name=binding.name)


def _confirm(context: RunContext, op: Operation, record: Record) -> None:
    op.state, op.settled_at, op.target_id, op.error = Operation.State.CONFIRMED, context.wiring.now(), record.ref.id, ""
    op.save(update_fields=["state", "settled_at", "target_id", "error"])


def _look_again(context: RunContext, ref: Ref, reason: str) -> None:
    side = "crm" if ref.system == context.crm.connector.system else "peer"
    LookAgain.objects.update_or_create(
        sync_pass=context.sync_pass,
        side=side,
        object_type=ref.object_type,
        record_id=ref.id,
        defaults={"reason": reason, "since": context.wiring.now(), "tries": 0, "due_at": None, "waits_for": ""},
    )


def _point(context: RunContext) -> None:
    """Writes the pointers that earlier runs still owe to records of the peer."""
    refused = Case.objects.filter(sync_pass=context.sync_pass, reason=pair_cases.POINTER, state=Case.State.OPEN)
    due = Binding.objects.filter(sync_pass=context.sync_pass, is_write_back_due=True)
    due = due.exclude(crm_id__in=refused.values("crm_id"))
    due = due.exclude(is_tombstone=True, peer_id__in=refused.filter(crm_id="").values("peer_id"))
    rows = list(due.order_by("owed_since", "pk")[:OWED_A_RUN])
    if not rows:
        return
    peers = pair_reads.read(context, "peer", context.terms.kind.peer_object, (b.peer_id for b in rows))
    # An item that left our folder is personal, or is brought back with what it lacks: nothing is written into it (I7).
    peers = {id_: peer for id_, peer in peers.items() if peer.fields.get(PLACE, INSIDE) == INSIDE}
    system = context.crm.connector.system
    there = [b for b in rows if b.peer_id in peers]
    # Who gives a record up comes before who takes it.
    pair_trouble.give_up_pointers(context, [(b, peers[b.peer_id]) for b in there if b.is_tombstone])
    owed = [(b, Ref(system, b.crm_type, b.crm_id), peers[b.peer_id]) for b in there if not b.is_tombstone]
    pair_trouble.write_pointers(context, owed, pair_trouble.chosen(context, owed))
    gone = [b.pk for b in rows if b.peer_id not in peers]
    Binding.objects.filter(pk__in=gone).update(is_write_back_due=False, owed_since=None)

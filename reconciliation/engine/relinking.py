"""Lets prospects point to other records of the CRM: links and pointers, nothing else (engine-rules 33).

The links move first, with the pointers owed, and then the pointers are written: a crash or a lost answer in between leaves
pointers that the next run writes. What the peer refuses puts every link of the change back as it was."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from django.db import IntegrityError, transaction
from django.db.models import QuerySet

from connectors.contract import Record, Value
from connectors.errors import ConnectorError
from reconciliation.core.operations import Intent
from reconciliation.core.values import is_same
from reconciliation.engine import pair_bases, pair_differences, pair_trouble, search_index
from reconciliation.engine.context import RunContext
from reconciliation.engine.executor import Done
from reconciliation.engine.stop import WritesStopped
from reconciliation.models import Binding, Operation, RememberedPair, Tombstone
from reconciliation.models.bulk import insert_rows
from reconciliation.passes.pairs import TypeTerms, does_consent_differ

LINKED, REMAPPED = "linked", "remapped"
KEPT = [f.attname for f in Binding._meta.concrete_fields if not f.primary_key]


class NotRelinked(Exception):
    """Nothing was changed; the sentence says why."""


@dataclass(slots=True)
class Step:
    """One prospect and where it points afterwards: to a record of the CRM, or to none. `pointer` is what is written, where
    that is not what the record asks for: an earlier pointer that is put back."""

    peer: Record
    binding: Binding | None
    crm: Record | None = None
    type: TypeTerms | None = None
    pointer: Mapping[str, Value] | None = None
    reason: str = ""
    origin: dict[str, Any] = field(default_factory=dict)
    operation: Operation | None = None


@dataclass(frozen=True, slots=True)
class Beside:
    """What a person's decision stores beside the links: `store` runs in the transaction that moves them, `put_back` in the
    one that puts them back, with the sentence that says why."""

    store: Callable[[], None] = lambda: None
    put_back: Callable[[str], None] = lambda why: None


def carry(context: RunContext, steps: Sequence[Step], beside: Beside | None = None) -> list[Step]:
    """Carries the steps out in their order: who gives a record up comes before who takes it. Raises NotRelinked when
    Outreach, another link or another writer stands against it, ConnectionTrouble, WritesStopped; then nothing has changed,
    unless the answer was lost, when the links have moved and the next run writes what is owed."""
    _intend(context, steps)
    beside = beside or Beside()
    before = _Before(beside)
    try:
        with transaction.atomic():
            context.lease.renew()
            _move_all(context, steps, before)
            beside.store()
    except NotRelinked:
        _void(context, steps)
        raise
    done: list[Step] = []
    for step in steps:
        refusals: list[str] = []
        ready = [step.operation] if step.operation is not None else []
        try:
            context.executor.send("peer", ready, lambda items, s=step, r=refusals: _settle(context, s, items, r))
        except ConnectorError as error:
            if step.operation is None or step.operation.state != Operation.State.SENT:  # not in doubt: it never arrived
                before.put_back(context, done, error.sentence)
            raise
        except WritesStopped as refusal:
            before.put_back(context, done, str(refusal))
            raise
        if refusals:
            before.put_back(context, done, refusals[0])
            _void(context, [s for s in steps if s is not step and s not in done])
            raise NotRelinked(refusals[0])
        done.append(step)
    return done


def _void(context: RunContext, steps: Sequence[Step]) -> None:
    left = [step.operation.pk for step in steps if step.operation is not None]
    Operation.objects.filter(pk__in=left).update(state=Operation.State.VOID, settled_at=context.wiring.now())


def _intend(context: RunContext, steps: Sequence[Step]) -> None:
    intents, owners = [], []
    for step in steps:
        wanted = _wanted(context, step)
        if not wanted:
            continue
        owners.append(step)
        intents.append(
            Intent(
                Operation.Kind.UPDATE.value,
                "peer",
                step.peer.ref.object_type,
                str(step.crm.ref if step.crm is not None else step.peer.ref),
                after=wanted,
                before={name: step.peer.fields.get(name) for name in wanted},
                target_id=step.peer.ref.id,
                version=step.peer.version,
                reason=step.reason,
                origin={"name": context.terms.kind.name_of(step.peer)[:255], **step.origin},
            )
        )
    operations = context.executor.intend(intents)
    if None in operations:
        Operation.objects.filter(pk__in=[op.pk for op in operations if op is not None]).update(state=Operation.State.VOID)
        raise NotRelinked("Somebody else is writing this prospect just now; try again in a moment.")
    for step, operation in zip(owners, operations, strict=True):
        step.operation = operation


def _wanted(context: RunContext, step: Step) -> dict[str, Value]:
    """Returns the pointer fields that the prospect does not hold as they shall be."""
    pointer = step.pointer
    if pointer is None:
        blank = dict.fromkeys(context.terms.kind.pointer(step.peer.ref))
        pointer = context.terms.kind.pointer(step.crm.ref) if step.crm is not None else blank
    return {name: value for name, value in pointer.items() if not is_same(step.peer.fields.get(name), value)}


@dataclass(slots=True)
class _Before:
    """The links as they were, to put them back in reverse order: two of them must never hold one record at once."""

    beside: Beside
    rows: list[tuple[Binding, dict[str, Any] | None]] = field(default_factory=list)
    steps: list[Step] = field(default_factory=list)
    refused: list[RememberedPair] = field(default_factory=list)
    ended: list[tuple[Binding, list[int]]] = field(default_factory=list)  # ended links that make room, with their tombstones

    def keep(self, context: RunContext, step: Step) -> None:
        self.steps.append(step)
        self.refused += _refusals(context, step)
        if step.crm is not None:
            rows = Binding.objects.filter(crm_type=step.crm.ref.object_type, crm_id=step.crm.ref.id, is_tombstone=True)
            self.ended += [(row, list(row.tombstones.values_list("pk", flat=True))) for row in rows.filter(sync_pass=context.sync_pass)]
        known = {name: getattr(step.binding, name) for name in KEPT} if step.binding is not None else None
        self.rows.append((step.binding or Binding(), known))

    def put_back(self, context: RunContext, done: Sequence[Step], why: str) -> None:
        """Puts the links back; a pointer that was changed by then is owed again."""
        with transaction.atomic():
            context.lease.renew()
            for step, (row, known) in reversed(list(zip(self.steps, self.rows, strict=True))):
                if known is None:
                    if step.binding is not None and step.binding.pk:
                        step.binding.tombstones.update(binding=None)
                        step.binding.delete()
                    continue
                for name, value in known.items():
                    setattr(row, name, value)
                if step in done and step.operation is not None and not row.is_tombstone:
                    row.is_write_back_due, row.owed_since = True, context.wiring.now()
                row.save(update_fields=KEPT)
                Tombstone.objects.filter(binding=row, why=Tombstone.Why.MOVED, run=context.run).delete()
            for row, stones in self.ended:
                row.save(force_insert=True)
                Tombstone.objects.filter(pk__in=stones).update(binding=row)
            insert_rows(self.refused)
            self.beside.put_back(why)


def _refusals(context: RunContext, step: Step) -> QuerySet[RememberedPair]:
    """Returns what a person said before against the link that the step makes: not to this record, or to none at all."""
    ids = [step.crm.ref.id, ""] if step.crm is not None else []
    return RememberedPair.objects.filter(sync_pass=context.sync_pass, peer_id=step.peer.ref.id, crm_id__in=ids)


def _move_all(context: RunContext, steps: Sequence[Step], before: _Before) -> None:
    for step in steps:
        before.keep(context, step)
        try:
            _move(context, step)
        except IntegrityError as error:  # the database knows of a link that was made since the plan was shown
            raise NotRelinked("One of the two is linked to another record by now.") from error


def _move(context: RunContext, step: Step) -> None:
    if step.crm is None:
        _let_go(context, step)
        return
    assert step.type is not None
    now, is_new = context.wiring.now(), step.binding is None
    if step.binding is None:
        step.binding = pair_bases.new_binding(context, step.type, step.crm, step.peer, how=LINKED, is_pointer_due=True)
    binding = step.binding
    binding.crm_type, binding.crm_id, binding.is_tombstone = step.crm.ref.object_type, step.crm.ref.id, False
    binding.crm_base, binding.peer_base, binding.crm_version, binding.peer_version = {}, {}, "", ""
    pair_bases.agree(binding, step.type.mapping.rules, step.crm.fields, step.peer.fields)  # leave differences (D25)
    pair_bases.seen(context, binding, step.type, step.crm, step.peer)
    binding.is_write_back_due, binding.owed_since, binding.bound_at = step.operation is not None, now, now
    pair_bases.make_room(context, binding)
    if is_new:
        binding.save(force_insert=True)  # a link that holds is never taken over unsaid
    else:
        binding.how = REMAPPED
        binding.save(update_fields=KEPT)
    _refusals(context, step).delete()
    if does_consent_differ(step.type, step.crm.fields, step.peer.fields):  # S2.7 leaves every field but this as it is
        pair_trouble.look_again(context, "peer", [step.peer.ref], "consent")
    pair_differences.note_left(context, step.type, binding, set(pair_differences.differing(context, step.type, binding)))
    search_index.note_names(context.sync_pass, [(str(step.peer.ref), search_index.NAME, binding.name)], now)


def _let_go(context: RunContext, step: Step) -> None:
    """Ends a link. Its row stays, so that no pass makes a new record for the prospect, and gives the CRM's id free."""
    binding = step.binding
    if binding is None:
        return
    Tombstone.objects.create(
        sync_pass=context.sync_pass,
        binding=binding,
        why=Tombstone.Why.MOVED,
        crm_id=binding.crm_id,
        peer_id=binding.peer_id,
        name=binding.name,
        found_at=context.wiring.now(),
        run=context.run,
        operation_id=step.operation.pk if step.operation is not None else None,
        crm_values=binding.crm_base,
        peer_values=binding.peer_base,
    )
    binding.crm_id, binding.is_tombstone = released(binding.crm_id, binding.peer_id), True
    pair_bases.make_room(context, binding)  # it gave the same record up before
    is_owed = step.operation is not None
    binding.is_write_back_due, binding.owed_since = is_owed, context.wiring.now() if is_owed else None
    binding.save(update_fields=KEPT)


def released(crm_id: str, peer_id: str) -> str:
    """Returns what the row of an ended link says instead of the CRM's id, which another link holds from now on."""
    return f"{crm_id}.{peer_id}"[:64]


def taken_from(crm_id: str, peer_id: str) -> str:
    """Returns the CRM's id that the row of an ended link gave free, "" for a row that did not: it ended otherwise."""
    return crm_id.removesuffix(f".{peer_id}") if crm_id.endswith(f".{peer_id}") else ""


def _settle(context: RunContext, step: Step, done: list[Done], refusals: list[str]) -> None:
    for item in done:
        if item.error is None:
            if step.binding is not None:
                step.binding.is_write_back_due, step.binding.owed_since = False, None
                if item.record is not None and item.record.version:
                    step.binding.peer_version = item.record.version
                step.binding.save(update_fields=["is_write_back_due", "owed_since", "peer_version"])
        elif not item.is_in_doubt:
            refusals.append(item.error.sentence if isinstance(item.error, ConnectorError) else str(item.error))

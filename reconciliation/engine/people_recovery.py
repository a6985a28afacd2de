"""Creates of people and accounts that were sent and not answered, or that a run left behind (engine-rules 12, 13).

Each is made under a key of the address, or of the domain, so that it is the same in every mailbox. Found by that key: it was made.
Not there once it cannot turn up any more: its claim is given up, and the address counts as unknown again."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from datetime import timedelta

from django.db import transaction
from django.db.models import Q

from connectors.contract import Record, Ref
from reconciliation.core.new_people import EMAIL_FIELD, NewKind
from reconciliation.core.values import is_same
from reconciliation.engine.context import RunContext
from reconciliation.engine.pair_terms import database_of
from reconciliation.models import MadePerson, Operation, Run
from reconciliation.passes.organisations import CLOCKS_DIFFER
from reconciliation.passes.pairs import marker_of
from reconciliation.store import decode_fields

SOURCE = "people"  # stands for the system in the refs of what people and accounts are made of
ADDRESS, DOMAIN = "address", "domain"
PERSON_CONTACT = "PersonContactId"
LOST_AFTER = timedelta(minutes=30)  # longer than a run may be under way between an intent and its answer
ROWS_AT_ONCE = 500


def address_ref(key: str) -> Ref:
    return Ref(SOURCE, ADDRESS, key)


def domain_ref(domain: str) -> Ref:
    return Ref(SOURCE, DOMAIN, domain)


def marker(context: RunContext, ref: Ref) -> str:
    """Returns the key that a record made of an address or a domain carries: a digest, which fits every field for keys and tells
    nobody an address that was taken off the record since."""
    digest = hashlib.sha256(ref.id.encode()).hexdigest()[:40]
    return marker_of(database_of(context.crm.connection), Ref(ref.system, ref.object_type, digest))


def is_ours(operation: Operation) -> bool:
    """Tells whether a create is one of a person or an account that was made of an address."""
    return operation.source_ref.startswith(f"{SOURCE}:")


def recover(context: RunContext) -> None:
    """Brings to rest what earlier runs of the pass left of people they made. Raises ConnectionTrouble."""
    mine = Operation.objects.filter(run__sync_pass=context.sync_pass, source_ref__startswith=f"{SOURCE}:", kind=Operation.Kind.CREATE)
    settle(context, mine.filter(state=Operation.State.SENT).exclude(run=context.run))
    _give_up_unsent(MadePerson.objects.filter(connection=context.crm.connection, state=MadePerson.State.MAKING))


def settle_left(context: RunContext, refs: Iterable[Ref]) -> None:
    """Brings to rest what any run left of these addresses and domains, as far as that run is over. Raises ConnectionTrouble."""
    sources, now = [str(ref) for ref in refs], context.wiring.now()
    for start in range(0, len(sources), ROWS_AT_ONCE):
        some = sources[start : start + ROWS_AT_ONCE]
        left = Operation.objects.filter(
            ~Q(run__state=Run.State.RUNNING) | Q(intended_at__lt=now - LOST_AFTER),
            connection=context.crm.connection,
            kind=Operation.Kind.CREATE,
            source_ref__in=some,
        ).exclude(run=context.run)
        # Its run finds nothing to claim any more, should it wake up again.
        left.filter(state=Operation.State.INTENDED).update(state=Operation.State.VOID, settled_at=now, error="Never sent.")
        settle(context, left.filter(state=Operation.State.SENT))
        keys = [ref.removeprefix(f"{SOURCE}:{ADDRESS}:") for ref in some]
        _give_up_unsent(MadePerson.objects.filter(connection=context.crm.connection, state=MadePerson.State.MAKING, address__in=keys))


def settle(context: RunContext, operations: Iterable[Operation]) -> None:
    """Asks by our keys whether these creates happened."""
    by_type: dict[str, list[Operation]] = {}
    for operation in operations:
        by_type.setdefault(operation.object_type, []).append(operation)
    for object_type, sent in by_type.items():
        found = _found(context, object_type, sent)
        for operation in sent:
            with transaction.atomic():
                if operation.pk in found:
                    _confirm(context, operation, found[operation.pk])
                elif _may_be_sent_again(context, operation):
                    _void(context, operation)


def _may_be_sent_again(context: RunContext, operation: Operation) -> bool:
    connector = context.crm.connector
    waits = timedelta(seconds=connector.request_timeout + connector.settle_seconds)
    return operation.sent_at is not None and context.wiring.now() - operation.sent_at >= waits


def _found(context: RunContext, object_type: str, sent: Sequence[Operation]) -> Mapping[int, Record]:
    """Returns what these creates made, by operation; what was deleted since was made all the same."""
    connector = context.crm.connector
    since = min(op.intended_at for op in sent) - CLOCKS_DIFFER
    columns = [PERSON_CONTACT] if any(_is_person_account(op) for op in sent) else []
    field = connector.marker_field_of(object_type)  # type: ignore[attr-defined]  # of a CRM with keys
    if field:
        marked = connector.find_marked(object_type, [op.marker for op in sent], columns, since=since)
        by_marker = {str(r.fields.get(field)): r for r in sorted(marked, key=lambda r: not r.is_deleted)}
        return {op.pk: by_marker[op.marker] for op in sent if op.marker in by_marker}
    own = [name for name in (*EMAIL_FIELD.values(), "Website", "LastName") if any(name in op.after for op in sent)]
    mine = list(connector.made_by_us(object_type, [*own, *columns], since=since))  # type: ignore[attr-defined]
    return {op.pk: record for op in sent if (record := _same(mine, op, own)) is not None}


def _same(mine: Sequence[Record], operation: Operation, names: Sequence[str]) -> Record | None:
    after = decode_fields(operation.after)
    return next((r for r in mine if all(is_same(r.fields.get(name), after.get(name)) for name in names)), None)


def _is_person_account(operation: Operation) -> bool:
    return EMAIL_FIELD[NewKind.PERSON_ACCOUNT] in operation.after


def _confirm(context: RunContext, operation: Operation, record: Record) -> None:
    values = {"state": Operation.State.CONFIRMED, "settled_at": context.wiring.now(), "target_id": record.ref.id, "error": ""}
    if Operation.objects.filter(pk=operation.pk, state=Operation.State.SENT).update(**values):
        for row in MadePerson.objects.filter(operation_id=operation.pk, state=MadePerson.State.MAKING):
            finish(row, record)


def finish(row: MadePerson, record: Record) -> None:
    """Writes down that a person was made."""
    row.state, row.record_id = MadePerson.State.MADE, record.ref.id
    if row.kind == NewKind.PERSON_ACCOUNT:
        row.account_id, row.record_id = record.ref.id, str(record.fields.get(PERSON_CONTACT) or "")
    row.save(update_fields=["state", "record_id", "account_id"])


def _void(context: RunContext, operation: Operation) -> None:
    values = {"state": Operation.State.VOID, "settled_at": context.wiring.now(), "error": "Not found; may be sent again."}
    if Operation.objects.filter(pk=operation.pk, state=Operation.State.SENT).update(**values):
        MadePerson.objects.filter(operation_id=operation.pk, state=MadePerson.State.MAKING).delete()


def _give_up_unsent(rows: Iterable[MadePerson]) -> None:
    """Gives up claims whose create is over without a record: it was never sent, or its end was written down without ours."""
    claims = {row.operation_id: row for row in rows}
    states = dict(Operation.objects.filter(pk__in=[pk for pk in claims if pk]).values_list("pk", "state"))
    over = (Operation.State.VOID, Operation.State.REJECTED)
    gone = [row.pk for pk, row in claims.items() if pk is not None and states.get(pk, Operation.State.VOID) in over]
    MadePerson.objects.filter(pk__in=gone, state=MadePerson.State.MAKING).delete()

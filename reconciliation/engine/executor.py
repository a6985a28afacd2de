"""The only place that writes to a remote system.

intend -> claim -> send -> settle: an operation stands in the journal before its call, is claimed by a guarded update
that carries the lease's fencing token, and is settled in one transaction with what follows from it. A crash leaves it
*intended* (never sent: void) or *sent* (in doubt: `recovery` asks by marker).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from itertools import islice

from django.db import IntegrityError, transaction

from connectors.contract import Connector, Record, Ref, Write, WriteResult
from connectors.errors import ConnectionTrouble, ConnectorError, OutcomeUnknown, ServerTrouble
from reconciliation.core.operations import Intent
from reconciliation.core.overwritten import unseen_values
from reconciliation.core.spellings import has_forgotten
from reconciliation.engine import stop
from reconciliation.engine.lease import Lease, LeaseLost
from reconciliation.engine.threads import crew
from reconciliation.engine.wiring import Wiring
from reconciliation.models import Connection, Operation, Run
from reconciliation.models.bulk import insert_rows, update_rows
from reconciliation.models.journal import LOSERS, VERSION
from reconciliation.store import decode_fields, encode_fields, exchange_of

CHUNK = 200  # rows a transaction, so that SQLite's writers get their turn


@dataclass(frozen=True, slots=True)
class Done:
    """One settled operation: `record` as the system answered, or the `error`; `is_in_doubt` when nobody knows."""

    operation: Operation
    record: Record | None
    error: Exception | None
    is_in_doubt: bool = False
    is_alone: bool = False  # its neighbours went through: the trouble may be this record's own
    found_unseen: bool = False  # it replaced an edit that nobody could know of, kept as a loser


Settle = Callable[[list[Done]], None]
Answer = Callable[[], list[Done]]  # waits for what became of one call


@dataclass(slots=True)
class Side:
    """One side of a pass while a run is under way."""

    connection: Connection
    connector: Connector


class _Waves:
    """Operations that wait for their turn, so many at a time."""

    def __init__(self, operations: Sequence[Operation], size: int) -> None:
        self._waiting, self._size = iter(operations), size

    def take(self) -> list[Operation]:
        return list(islice(self._waiting, self._size))

    def rest(self) -> Iterator[Operation]:
        return self._waiting


@dataclass(slots=True)
class _Progress:
    """What the waves of one send have shown of the connection so far. `apart` is the write set apart last, while no other
    went through after it."""

    went_through: int = 0
    apart: Done | None = None
    trouble: ConnectionTrouble | None = None


class Executor:
    """Writes the operations of one run, for one holder of the lease."""

    def __init__(self, run: Run, lease: Lease, crm: Side, peer: Side, wiring: Wiring) -> None:
        self.run = run
        self.lease = lease
        self.sides = {"crm": crm, "peer": peer}
        self.wiring = wiring
        self.staff_origin: dict[str, str] = {}  # who decided it and why, when a person did

    def intend(self, intents: Sequence[Intent]) -> list[Operation | None]:
        """Writes the intents to the journal and returns their operations, in order; None where another writer has
        the record (engine-rules 20)."""
        rows = [self._row(intent) for intent in intents]
        if self.wiring.switches.keeps_no_intent:
            return list(rows)
        made: list[Operation | None] = []
        for start in range(0, len(rows), CHUNK):
            made.extend(self._insert(rows[start : start + CHUNK]))
        return made

    def _insert(self, rows: list[Operation]) -> list[Operation | None]:
        try:
            with transaction.atomic():
                insert_rows(rows)
                return list(rows)
        except IntegrityError:
            return [self._insert_one(row) for row in rows]

    @staticmethod
    def _insert_one(row: Operation) -> Operation | None:
        row.pk = None
        row._state.adding = True
        try:
            with transaction.atomic():
                row.save(force_insert=True)
        except IntegrityError:
            return None
        return row

    def _row(self, intent: Intent) -> Operation:
        row = self._stored(intent)
        row.unstored, row.files = intent.unstored, intent.files
        return row

    def _stored(self, intent: Intent) -> Operation:
        return Operation(
            run=self.run,
            connection=self.sides[intent.side].connection,
            kind=intent.kind,
            state=Operation.State.INTENDED,
            object_type=intent.object_type,
            target_id=intent.target_id,
            source_ref=intent.source_ref,
            writer_key=intent.writer_key,
            marker=intent.marker,
            name_key=intent.name_key,
            before=encode_fields(intent.before),
            # A mark that stands for a forgotten person's value is written nowhere.
            after=encode_fields({name: value for name, value in intent.after.items() if not has_forgotten(value)}),
            context={"also_read": list(intent.also_read)} if intent.also_read else {},
            origin={**self.staff_origin, **intent.origin, **_losers(intent)},
            rests_on=intent.version,
            reason=intent.reason,
            lease_token=self.lease.token,
            intended_at=self.wiring.now(),
        )

    def send(self, side: str, operations: Sequence[Operation], settle: Settle) -> None:
        """Sends the operations of one object type and calls `settle` with each wave's results, inside its
        transaction. Raises ConnectionTrouble after settling when the connection failed, WritesStopped while an admin has
        stopped all writes; what was not sent is void."""
        if not operations:
            return
        target = self.sides[side]
        object_type = operations[0].object_type
        is_create = operations[0].kind == Operation.Kind.CREATE
        size = target.connector.batch_size(object_type, is_create=is_create)
        width = max(1, min(target.connector.concurrency, self.wiring.workers or 1))
        waves = _Waves(operations, size * width * (4 if size == 1 < width else 1))
        call = partial(_call, target.connector, object_type)
        progress = _Progress()
        if self.wiring.workers > 1 and len(operations) > size:
            with crew(width) as start:
                self._send_ahead(waves, target, size, lambda part: start(call, part).result, progress, settle)
        else:
            while wave := self._next(waves, target, progress):
                self._look_at([d for part in _slices(wave, size) for d in call(part)], progress, settle)
        if progress.trouble is not None:
            raise progress.trouble

    def _send_ahead(
        self, waves: _Waves, target: Side, size: int, start: Callable[[list[Operation]], Answer], progress: _Progress, settle: Settle
    ) -> None:
        """Settles each wave while the next is on its way: the database does not wait for the network, nor the network for
        it."""
        under_way: list[Answer] = []
        try:
            while wave := self._next(waves, target, progress):
                before, under_way = under_way, [start(part) for part in _slices(wave, size)]
                self._look_at(_answers(before), progress, settle)
        except stop.WritesStopped:
            self._look_at(_answers(under_way), progress, settle)
            raise
        self._look_at(_answers(under_way), progress, settle)

    def _next(self, waves: _Waves, target: Side, progress: _Progress) -> list[Operation]:
        """Returns the next wave, claimed; none when there is no more, or the connection failed: then the rest is void. Raises
        WritesStopped, LeaseLost."""
        wave = waves.take()
        if wave and progress.trouble is not None:
            self._void([*wave, *waves.rest()])
            return []
        if wave:
            self.lease.guard(target.connector.request_timeout)
            try:
                self._claim(wave)
            except stop.WritesStopped:
                self._void([*wave, *waves.rest()])
                raise
        return wave

    def _look_at(self, done: list[Done], progress: _Progress, settle: Settle) -> None:
        """Settles a wave and notes what it says of the connection."""
        if not done:
            return
        succeeded = sum(d.error is None for d in done)
        progress.went_through += succeeded
        apart = progress.apart
        # Two in a row with nothing between them are no record's own trouble.
        if apart is None or succeeded:
            done = _set_apart(done, progress.went_through)
        self._settle(done, settle)
        trouble = next((d.error for d in done if isinstance(d.error, ConnectionTrouble) and not d.is_alone), None)
        if trouble is not None and apart is not None and not succeeded:
            _join_again(apart)
        progress.trouble = progress.trouble or trouble
        progress.apart = next((d for d in done if d.is_alone), None if succeeded else apart)

    def _claim(self, wave: list[Operation]) -> None:
        """Marks the wave as sent. Raises LeaseLost when a newer holder has voided our intents (engine-rules 21), and
        WritesStopped while the switch is on, which the same statement asks."""
        now = self.wiring.now()
        if not self.wiring.switches.keeps_no_intent:
            ids = [op.pk for op in wave]
            # Our own token proves nothing when this process slept beyond its lease: the lease itself is asked.
            mine = Operation.objects.filter(self.lease.is_ours(), pk__in=ids, state=Operation.State.INTENDED, lease_token=self.lease.token)
            won = mine.filter(stop.are_allowed()).update(state=Operation.State.SENT, sent_at=now)
            if won != len(ids):
                stop.refuse_while_stopped()
                raise LeaseLost(self.lease.name)
        for op in wave:
            op.state, op.sent_at = Operation.State.SENT, now

    def _settle(self, done: list[Done], settle: Settle) -> None:
        now = self.wiring.now()
        with transaction.atomic():
            self.lease.renew()  # a holder that was frozen meanwhile must not overwrite what its successor settled
            for item in done:
                _mark(item, now)
            if not self.wiring.switches.keeps_no_intent:
                update_rows([d.operation for d in done], ["state", "target_id", "settled_at", "error", "exchange"])
                update_rows([d.operation for d in done if d.found_unseen], ["origin"])
            settle(done)
        for item in done:
            if item.error is None:  # whole answers, which a page of a thousand writes would hold all at once
                item.operation.exchange = {}
            item.operation.unstored, item.operation.files = {}, ()

    def withdraw(self, operations: Sequence[Operation]) -> None:
        """Takes back what was intended and not sent."""
        if operations:
            self._void(operations)

    def _void(self, operations: Sequence[Operation]) -> None:
        Operation.objects.filter(pk__in=[op.pk for op in operations], state=Operation.State.INTENDED).update(
            state=Operation.State.VOID, settled_at=self.wiring.now()
        )


def _slices(wave: list[Operation], size: int) -> list[list[Operation]]:
    return [wave[start : start + size] for start in range(0, len(wave), size)]


def _answers(under_way: Sequence[Answer]) -> list[Done]:
    return [done for answer in under_way for done in answer()]


def _losers(intent: Intent) -> dict[str, object]:
    return {LOSERS: encode_fields(intent.losers)} if intent.losers else {}


def _write_of(op: Operation) -> Write:
    ref = Ref(op.connection.system, op.object_type, op.target_id) if op.target_id else None
    is_delete = op.kind == Operation.Kind.DELETE
    return Write(
        op.object_type,
        {**decode_fields(op.after), **op.unstored},
        key=op.source_ref,
        ref=ref,
        version=op.rests_on,
        marker=op.marker,
        is_delete=is_delete,
        also_read=tuple(op.context.get("also_read", ())),
        files=op.files,
    )


def _call(connector: Connector, object_type: str, part: list[Operation]) -> list[Done]:
    try:
        results = connector.write(object_type, [_write_of(op) for op in part])
    except ConnectorError as error:
        results = [WriteResult(op.source_ref, error=error, exchange=error.exchange) for op in part]
    return [_done(op, result) for op, result in zip(part, results, strict=True)]


def _done(op: Operation, result: WriteResult) -> Done:
    in_doubt = isinstance(result.error, ConnectorError) and result.error.may_have_happened
    op.exchange = exchange_of(result.exchange)
    if result.record is not None and result.record.version:
        op.exchange[VERSION] = result.record.version
    unseen = unseen_values(result.stood, decode_fields(op.before), decode_fields(op.after)) if result.stood else {}
    if unseen:
        op.origin = {**op.origin, LOSERS: {**op.origin.get(LOSERS, {}), **encode_fields(unseen)}}
    return Done(op, result.record, result.error, in_doubt, found_unseen=bool(unseen))


def _set_apart(done: list[Done], went_through: int) -> list[Done]:
    """Marks the one write of a wave that met a failing answer while others went through: it must not stop the pass
    for its neighbours (engine-rules 1)."""
    failing = [d for d in done if isinstance(d.error, ConnectionTrouble)]
    if len(failing) != 1 or not went_through or not isinstance(failing[0].error, ServerTrouble | OutcomeUnknown):
        return done
    failing[0].operation.context["alone"] = True
    Operation.objects.filter(pk=failing[0].operation.pk).update(context=failing[0].operation.context)
    return [replace(d, is_alone=d is failing[0]) for d in done]


def _join_again(apart: Done) -> None:
    """The write that was set apart failed for the same cause as the next one: it counts no strike against its record."""
    apart.operation.context.pop("alone", None)
    Operation.objects.filter(pk=apart.operation.pk).update(context=apart.operation.context)


def _mark(item: Done, now: object) -> None:
    op = item.operation
    if item.error is None:
        op.state = Operation.State.CONFIRMED
        op.target_id = item.record.ref.id if item.record is not None else op.target_id
    elif item.is_in_doubt:
        op.error = str(item.error)
        return
    else:
        op.state = Operation.State.VOID if isinstance(item.error, ConnectionTrouble) else Operation.State.REJECTED
        op.error = str(item.error)
    op.settled_at = now  # type: ignore[assignment]

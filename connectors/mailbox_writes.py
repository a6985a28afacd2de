"""What becomes of writes to mailboxes, whatever mail system they live in."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Protocol, TypeVar

from connectors.contract import Exchange, Record, Write, WriteResult
from connectors.errors import ConnectionTrouble, ConnectorError, not_sent


class Said(Protocol):
    """What a system said to one write of several that went out in a call."""

    @property
    def is_good(self) -> bool: ...

    @property
    def exchange(self) -> Exchange | None: ...


Answer = TypeVar("Answer", bound=Said)
AnswerIn = TypeVar("AnswerIn", bound=Said, contravariant=True)


class Judges(Protocol[AnswerIn]):
    """The client of a mail system, as far as it knows what an answer other than a good one means."""

    def error_of(self, answer: AnswerIn, /, *, is_read: bool) -> ConnectorError: ...

    def unreadable(self, answer: AnswerIn, /, *, is_read: bool) -> ConnectorError: ...


def result_of(
    client: Judges[Answer], write: Write, answer: Answer | ConnectorError, written: Callable[[Answer], Record | None]
) -> WriteResult:
    """Returns what became of a write. `written` returns the record that a good answer tells, None for one that cannot be read; a
    delete is told by itself."""
    if isinstance(answer, ConnectorError):
        return failed(write, answer)
    if not answer.is_good:
        return WriteResult(write.key, error=client.error_of(answer, is_read=False), exchange=answer.exchange)
    if write.is_delete and write.ref is not None:
        return WriteResult(write.key, Record(write.ref, {}, is_deleted=True), exchange=answer.exchange)
    record = written(answer)
    if record is None or (write.ref is not None and record.ref.id != write.ref.id):
        return WriteResult(write.key, error=client.unreadable(answer, is_read=False), exchange=answer.exchange)
    return WriteResult(write.key, record, exchange=answer.exchange)


def failed(write: Write, error: ConnectorError) -> WriteResult:
    return WriteResult(write.key, error=error, exchange=error.exchange)


def write_in_turn(writes: Sequence[Write], write_one: Callable[[Write], WriteResult]) -> list[WriteResult]:
    """Returns the results of writes that are calls of their own. Trouble with one leaves those behind it unsent; that of a single one
    is raised."""
    results: list[WriteResult] = []
    for at, write in enumerate(writes):
        try:
            results.append(write_one(write))
        except ConnectionTrouble as trouble:
            if len(writes) == 1:
                raise
            return [*results, failed(write, trouble), *(failed(later, not_sent(trouble)) for later in writes[at + 1 :])]
        except ConnectorError as error:
            results.append(failed(write, error))
    return results


Row = TypeVar("Row")
Told = TypeVar("Told")


def in_halves(
    send: Callable[[Sequence[Row]], Sequence[Told | ConnectorError]], rows: Sequence[Row], refusals: tuple[type[ConnectorError], ...]
) -> list[Told | ConnectorError]:
    """Returns what was answered to each row of a call. A refusal of the whole call names no row, and nothing was done: the rows are sent
    again in halves. Trouble with a half is the answer to its rows alone, as the first half may be done; what follows it is not sent."""
    try:
        return list(send(rows))
    except refusals as refusal:
        if len(rows) == 1:
            return [refusal]
    answers: list[Told | ConnectorError] = []
    for half in (rows[: len(rows) // 2], rows[len(rows) // 2 :]):
        met = trouble_in(answers)
        try:
            answers += in_halves(send, half, refusals) if met is None else [not_sent(met) for _ in half]
        except ConnectionTrouble as trouble:
            answers += [trouble for _ in half]
    return answers


def trouble_in(answers: Iterable[object]) -> ConnectionTrouble | None:
    """Returns the first trouble of the connection among answers to rows."""
    return next((answer for answer in answers if isinstance(answer, ConnectionTrouble)), None)


def raise_common_trouble(results: Sequence[WriteResult]) -> None:
    """Raises the trouble that met all writes of a call, where none was done."""
    troubles = [result.error for result in results if isinstance(result.error, ConnectionTrouble)]
    if troubles and len(troubles) == len(results) and not any(trouble.may_have_happened for trouble in troubles):
        raise max(troubles, key=lambda trouble: trouble.retry_after or 0.0)

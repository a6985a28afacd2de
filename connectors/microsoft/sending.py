"""Sends writes to one Microsoft mailbox, twenty a call, each once."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from connectors.contract import Write, WriteResult
from connectors.errors import ConnectionTrouble, ConnectorError, not_sent
from connectors.mailbox_writes import failed, trouble_in
from connectors.microsoft.client import GraphClient, Part, Reply
from connectors.microsoft.settings import PARTS_A_CALL


def prepared(writes: Sequence[Write], part_of: Callable[[Write], Part | None], settled: dict[int, WriteResult]) -> dict[int, Part]:
    """Returns what is sent of each write by where it stands, nothing where `part_of` says None. What cannot be sent is settled."""
    parts: dict[int, Part] = {}
    for at, write in enumerate(writes):
        try:
            part = part_of(write)
        except ConnectorError as error:
            settled[at] = failed(write, error)
        else:
            parts |= {at: part} if part is not None else {}
    return parts


def send(
    client: GraphClient,
    writes: Sequence[Write],
    parts: Mapping[int, Part],
    settled: dict[int, WriteResult],
    result_of: Callable[[Write, Reply | ConnectorError], WriteResult],
) -> None:
    """Sends what was prepared and settles what came of each. What follows a trouble of the connection is not sent. Raises where the
    only call of all failed as a whole."""
    order = sorted(parts)
    for start in range(0, len(order), PARTS_A_CALL):
        some, later = order[start : start + PARTS_A_CALL], order[start + PARTS_A_CALL :]
        try:
            answers = client.write_all([parts[at] for at in some])
        except ConnectionTrouble as trouble:
            if len(some) == len(writes):
                raise
            settled |= {at: failed(writes[at], trouble) for at in some}
            settled |= {at: failed(writes[at], not_sent(trouble)) for at in later}
            return
        settled |= {at: result_of(writes[at], answer) for at, answer in zip(some, answers, strict=True)}
        if (met := trouble_in(answers)) is not None:
            settled |= {at: failed(writes[at], not_sent(met)) for at in later}
            return

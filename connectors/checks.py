"""Carries out a connection test line by line."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from connectors.contract import Check
from connectors.errors import ConnectionTrouble, ConnectorError, NeedsAttention, connection_sentence


@dataclass(frozen=True, slots=True)
class Try:
    """One thing to try: what the line is called, what it says when all is well, and the call."""

    name: str
    good: str
    call: Callable[[], object]


def run_checks(tries: Iterable[Try]) -> list[Check]:
    """Returns a line per try, up to the first that finds nothing, or another system, at the address: the others would
    only say so again."""
    lines = []
    for step in tries:
        try:
            step.call()
        except ConnectorError as error:
            lines.append(Check(step.name, False, connection_sentence(error)))
            if isinstance(error, ConnectionTrouble) and not isinstance(error, NeedsAttention):
                break
        else:
            lines.append(Check(step.name, True, step.good))
    return lines

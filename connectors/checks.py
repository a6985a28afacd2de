"""Carries out a connection test line by line."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from connectors.contract import Check
from connectors.errors import ConnectionTrouble, ConnectorError, NeedsAttention, connection_sentence


def no_remedy(error: ConnectorError) -> str:
    """Knows no more than the error itself."""
    return ""


@dataclass(frozen=True, slots=True)
class Try:
    """One thing to try: what the line is called, what it says when all is well, and the call, which may return a line of
    its own. `remedy` says what to do about a refusal and who can do it, "" to say what the error says."""

    name: str
    good: str
    call: Callable[[], object]
    remedy: Callable[[ConnectorError], str] = no_remedy


def run_checks(tries: Iterable[Try]) -> list[Check]:
    """Returns a line per try, up to the first that finds nothing, or another system, at the address: the others would
    only say so again."""
    lines = []
    for step in tries:
        try:
            found = step.call()
        except ConnectorError as error:
            remedy = step.remedy(error)
            passes = isinstance(error, ConnectionTrouble) and not isinstance(error, NeedsAttention)
            sentence = f"{error.sentence}." if remedy else connection_sentence(error)
            lines.append(Check(step.name, False, sentence, remedy, passes=passes))
            if passes:
                break
        else:
            lines.append(found if isinstance(found, Check) else Check(step.name, True, step.good))
    return lines

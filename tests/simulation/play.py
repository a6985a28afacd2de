"""Plays histories, each in a transaction that is rolled back: thousands leave no trace and need no clean-up."""

from __future__ import annotations

from django.db import transaction

from reconciliation.engine.wiring import Switches
from tests.simulation.history import History


def play(seed: int, switches: Switches | None = None) -> list[str]:
    """Returns what the history of this seed broke."""
    with transaction.atomic():
        history = History(seed, switches or Switches())
        try:
            return history.play()
        finally:
            transaction.set_rollback(True)


def tell(seed: int, switches: Switches | None = None) -> str:
    """Returns the story of one seed, for the person who looks for the fault."""
    with transaction.atomic():
        history = History(seed, switches or Switches())
        try:
            broken = history.play()
        finally:
            transaction.set_rollback(True)
        return "\n".join([f"seed {seed}", *history.log, "broken:", *(broken or ["nothing"])])

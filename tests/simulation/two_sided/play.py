"""Plays histories of two-way passes, each in a transaction that is rolled back."""

from __future__ import annotations

from django.db import transaction

from reconciliation.engine.wiring import Switches
from tests.simulation.two_sided.story import Story


def play(seed: int, switches: Switches | None = None) -> Story:
    """Returns the history of this seed, played to its end."""
    with transaction.atomic():
        story = Story(seed, switches or Switches())
        try:
            story.play()
        finally:
            transaction.set_rollback(True)
        return story


def tell(seed: int, switches: Switches | None = None) -> str:
    """Returns the story of one seed, for the person who looks for the fault."""
    story = play(seed, switches)
    return "\n".join([f"seed {seed}", *story.log, "broken:", *(story.broken or ["nothing"])])

"""How long what happened is kept, and which persons were forgotten."""

from __future__ import annotations

from django.conf import settings
from django.db import models
from django.utils import timezone

from reconciliation.models.encrypted import EncryptedJSONField


class Retention(models.Model):
    """One row: for how many days each kind of history is kept, and how far pruning came."""

    id = models.PositiveSmallIntegerField(primary_key=True, default=1)
    write_days = models.PositiveIntegerField(default=400)
    loser_days = models.PositiveIntegerField(default=400)
    decision_days = models.PositiveIntegerField(default=400)
    quiet_event_days = models.PositiveIntegerField(default=14)
    event_days = models.PositiveIntegerField(default=400)
    run_days = models.PositiveIntegerField(default=400)
    # Runs up to these have no quiet, or no other, events left: the next round begins behind them.
    quiet_done_to = models.BigIntegerField(default=0, editable=False)
    events_done_to = models.BigIntegerField(default=0, editable=False)
    pruned_at = models.DateTimeField(null=True, blank=True, editable=False)
    removed = models.JSONField(default=dict, editable=False)

    def __str__(self) -> str:
        return f"writes {self.write_days} days, events {self.event_days} days"


class Forgetting(models.Model):
    """One person forgotten: by whom and when, never whom. The words that are looked for are kept, encrypted, only until
    the work is done."""

    class State(models.TextChoices):
        COUNTING = "counting", "Being counted"
        COUNTED = "counted", "Counted, waits for confirmation"
        RUNNING = "running", "Running"
        FINISHED = "finished", "Finished"
        DROPPED = "dropped", "Not done"

    state = models.CharField(max_length=10, choices=State.choices, default=State.COUNTING)
    asked_by = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.SET_NULL, null=True, related_name="+")
    asked_by_name = models.CharField(max_length=150, blank=True)
    asked_at = models.DateTimeField(default=timezone.now)
    ended_at = models.DateTimeField(null=True, blank=True)
    terms = EncryptedJSONField(default=dict, blank=True, editable=False)
    counts = models.JSONField(default=dict)
    position = models.JSONField(default=dict)  # table -> the row up to which it was done
    untouched = models.JSONField(default=list)  # names of the connections where nothing was changed

    class Meta:
        ordering = ["-id"]

    def __str__(self) -> str:
        return f"Forgetting {self.pk}"

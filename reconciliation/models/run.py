"""Runs and what happened to each record in them."""

from __future__ import annotations

from typing import Any

from django.db import models

from reconciliation.models.sync_pass import SyncPass


class Run(models.Model):
    """One execution of a pass. The counts add up: seen = created + updated + unchanged + excluded + duplicates + failed + held."""

    class Kind(models.TextChoices):
        SCHEDULED = "scheduled", "Scheduled"
        MANUAL = "manual", "Run by hand"
        PREVIEW = "preview", "Preview"
        APPLY = "apply", "Preview applied"
        STAFF = "staff", "Decision by staff"
        PILOT = "pilot", "Pilot"

    class State(models.TextChoices):
        RUNNING = "running", "Running"
        FINISHED = "finished", "Finished"
        PARTIAL = "partial", "Partial: continues"
        HELD = "held", "Held"
        INTERRUPTED = "interrupted", "Interrupted"
        FAILED = "failed", "Failed"
        REFUSED = "refused", "Refused"  # a person's order that could not be carried out as it was given

    sync_pass = models.ForeignKey(SyncPass, on_delete=models.PROTECT, related_name="runs")
    kind = models.CharField(max_length=10, choices=Kind.choices, default=Kind.SCHEDULED)
    state = models.CharField(max_length=12, choices=State.choices, default=State.RUNNING)
    started_at = models.DateTimeField()
    ended_at = models.DateTimeField(null=True, blank=True)
    is_full = models.BooleanField(default=False)
    seen = models.PositiveIntegerField(default=0)
    created = models.PositiveIntegerField(default=0)
    updated = models.PositiveIntegerField(default=0)
    unchanged = models.PositiveIntegerField(default=0)
    excluded = models.JSONField(default=dict)
    duplicates = models.PositiveIntegerField(default=0)
    failed = models.PositiveIntegerField(default=0)
    held = models.PositiveIntegerField(default=0)
    related = models.JSONField(default=dict)
    calls = models.JSONField(default=dict)
    expected = models.PositiveIntegerField(null=True, blank=True)  # how many it will have seen, as far as it was counted
    note = models.TextField(blank=True)
    applies = models.BigIntegerField(null=True, blank=True, db_index=True)  # the preview whose plan it carries out
    started_by = models.CharField(max_length=150, blank=True)
    rests_on = models.JSONField(default=dict, blank=True)  # a first preview: the mapping and fields it was made with
    lease_token = models.BigIntegerField(default=0)

    class Meta:
        indexes = [
            models.Index(fields=["sync_pass", "-id"], name="run_pass_newest"),
            models.Index(fields=["-started_at"], name="run_started"),
            models.Index(fields=["sync_pass"], condition=models.Q(state="running"), name="run_running"),
        ]
        ordering = ["-id"]

    def __str__(self) -> str:
        return f"Run {self.pk} of {self.sync_pass_id}"

    @property
    def title(self) -> str:
        """What the page of the run is called."""
        if self.kind == self.Kind.PREVIEW and self.state in (self.State.FINISHED, self.State.HELD):
            return "a plan, nothing written"
        if self.kind == self.Kind.PILOT:
            return f"a pilot, {self.get_state_display().lower()}"
        return self.get_state_display()

    @property
    def total(self) -> int | None:
        """How many records a run under way will have seen at its end, None when nobody counted."""
        return max(self.expected, self.seen) if self.expected and self.state == self.State.RUNNING else None

    @property
    def is_by_staff(self) -> bool:
        """Whether it is a person's decision, which has writes and no ledger of its own."""
        return self.kind == self.Kind.STAFF and not self.seen

    def applied_by(self) -> Run | None:
        """Returns the run that carried this plan out, if one did."""
        is_plan = self.kind == self.Kind.PREVIEW or self.state == self.State.HELD
        return Run.objects.filter(applies=self.pk).order_by("-pk").first() if is_plan else None

    @property
    def seconds(self) -> float | None:
        return round((self.ended_at - self.started_at).total_seconds(), 3) if self.ended_at else None

    def as_dict(self) -> dict[str, Any]:
        """Returns the ledger in the form that `runpass --json` prints (stable)."""
        return {
            "run": self.pk,
            "state": self.state,
            "seen": self.seen,
            "created": self.created,
            "updated": self.updated,
            "unchanged": self.unchanged,
            "excluded": self.excluded,
            "duplicates": self.duplicates,
            "failed": self.failed,
            "held": self.held,
            "related": self.related,
            "calls": self.calls,
            "seconds": self.seconds,
        }


class RunEvent(models.Model):
    """What happened to one record in one run, with the reason a person can read."""

    class Outcome(models.TextChoices):
        CREATED = "created", "Created"
        UPDATED = "updated", "Updated"
        UNCHANGED = "unchanged", "Unchanged"
        EXCLUDED = "excluded", "Excluded"
        DUPLICATE = "duplicate", "Duplicate"
        FAILED = "failed", "Failed"
        HELD = "held", "Held"

    run = models.ForeignKey(Run, on_delete=models.CASCADE, related_name="events")
    crm_ref = models.CharField(max_length=320)
    name = models.CharField(max_length=255, blank=True)
    name_key = models.CharField(max_length=255, blank=True)
    outcome = models.CharField(max_length=10, choices=Outcome.choices)
    reason = models.CharField(max_length=60, blank=True)
    sentence = models.TextField(blank=True)
    peer_ref = models.CharField(max_length=320, blank=True)
    operation_id = models.BigIntegerField(null=True, blank=True)
    at = models.DateTimeField()

    class Meta:
        indexes = [
            models.Index(fields=["run", "outcome", "-id"], name="event_run_outcome"),
            models.Index(fields=["crm_ref", "-id"], name="event_record"),
            models.Index(fields=["run", "name_key"], opclasses=["int8_ops", "varchar_pattern_ops"], name="event_run_name"),
        ]

    def __str__(self) -> str:
        return f"{self.crm_ref} {self.outcome}"

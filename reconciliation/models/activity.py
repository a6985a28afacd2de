"""What users did in the peer and what became of it in the CRM: one row for each activity that was carried, or waits."""

from __future__ import annotations

from django.db import models

from reconciliation.models.sync_pass import SyncPass


class ActivityFeed(models.Model):
    """The activities of one type of the peer, read by (time, id). The cursor is its own: a pass reads several types, and one that
    was left unfinished keeps no other from its place."""

    sync_pass = models.ForeignKey(SyncPass, on_delete=models.CASCADE, related_name="activity_feeds")
    object_type = models.CharField(max_length=40)
    order = models.PositiveSmallIntegerField(default=0)
    last_run_time = models.DateTimeField(null=True, blank=True)
    sweep_started_at = models.DateTimeField(null=True, blank=True)
    sweep_is_full = models.BooleanField(default=False)
    position_at = models.DateTimeField(null=True, blank=True)
    position_id = models.CharField(max_length=64, blank=True)

    class Meta:
        ordering = ["order", "id"]
        constraints = [models.UniqueConstraint(fields=["sync_pass", "object_type"], name="one_feed_per_activity_type")]

    def __str__(self) -> str:
        return f"{self.object_type}s"


class Activity(models.Model):
    """One activity of the peer, by its type and id. What was carried is remembered for good: it is never made twice, whatever
    becomes of it on either side. Rows are kept however old they are (engine-rules 26)."""

    class State(models.TextChoices):
        WAITING = "waiting", "Waits"
        REFUSED = "refused", "Refused"
        CARRIED = "carried", "In the CRM"
        TAKEN_BACK = "taken_back", "Taken back"

    sync_pass = models.ForeignKey(SyncPass, on_delete=models.CASCADE, related_name="activities")
    object_type = models.CharField(max_length=40)
    activity_id = models.CharField(max_length=64)
    state = models.CharField(max_length=10, choices=State.choices, default=State.WAITING)
    version = models.CharField(max_length=64, blank=True)  # as it was seen last
    prospect_id = models.CharField(max_length=64, blank=True)
    task_id = models.CharField(max_length=64, blank=True)  # what was made of it in the CRM
    # Of what was carried the journal tells, as long as it is kept; a name stands here only while it is work for somebody.
    name = models.CharField(max_length=255, blank=True)
    reason = models.CharField(max_length=60, blank=True)
    sentence = models.TextField(blank=True)
    since = models.DateTimeField()
    tries = models.PositiveSmallIntegerField(default=0)
    due_at = models.DateTimeField(null=True, blank=True)  # when a waiting one is looked at again by itself

    class Meta:
        verbose_name_plural = "activities"
        constraints = [models.UniqueConstraint(fields=["sync_pass", "object_type", "activity_id"], name="one_row_per_activity")]
        indexes = [
            models.Index(fields=["sync_pass", "due_at"], condition=models.Q(state="waiting"), name="activity_waits"),
            models.Index(fields=["sync_pass", "-id"], condition=models.Q(state__in=["waiting", "refused"]), name="activity_open"),
            models.Index(fields=["sync_pass", "task_id"], condition=~models.Q(task_id=""), name="activity_task"),
        ]

    def __str__(self) -> str:
        return f"{self.object_type} {self.activity_id}: {self.state}"

    @property
    def peer_ref(self) -> str:
        return f"{self.sync_pass.peer.system}:{self.object_type}:{self.activity_id}"

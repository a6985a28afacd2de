"""Records of a two-way pass that must be looked at again although nobody edits them: their cursor has gone by."""

from __future__ import annotations

from django.db import models

from reconciliation.models.sync_pass import SyncPass


class LookAgain(models.Model):
    """One record of either side. The next run reads it and decides anew; the row goes when it came to an end."""

    sync_pass = models.ForeignKey(SyncPass, on_delete=models.CASCADE, related_name="+")
    side = models.CharField(max_length=4)  # "crm" or "peer"
    object_type = models.CharField(max_length=40)
    record_id = models.CharField(max_length=64)
    reason = models.CharField(max_length=60)
    since = models.DateTimeField()
    tries = models.PositiveSmallIntegerField(default=0)  # runs that looked and held it again
    due_at = models.DateTimeField(null=True, blank=True)  # None: in the next run

    class Meta:
        indexes = [models.Index(fields=["sync_pass", "due_at"], name="look_again_due")]
        constraints = [models.UniqueConstraint(fields=["sync_pass", "side", "object_type", "record_id"], name="one_look_again_per_record")]

    def __str__(self) -> str:
        return f"{self.object_type} {self.record_id}: {self.reason}"

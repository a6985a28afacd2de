"""Records of a two-way pass that must be looked at again although nobody edits them: their cursor has gone by."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Self

from django.db import models

from reconciliation.models.sync_pass import SyncPass

AT_ONCE = 500


class LookAgainRows(models.QuerySet["LookAgain"]):
    """Records that are owed a second look."""

    def due(self) -> Self:
        return self.filter(waits_for="")

    def take_up(self, crm_ids: Sequence[str]) -> None:
        """Has the next run look at what waited for these records of the CRM: their links ended, or their keys changed."""
        for start in range(0, len(crm_ids), AT_ONCE):
            some = list(crm_ids[start : start + AT_ONCE])
            self.filter(waits_for__in=some).exclude(waits_for="").update(waits_for="", tries=0, due_at=None)


class LookAgain(models.Model):
    """One record of either side. The next run reads it and decides anew; the row goes when it came to an end."""

    sync_pass = models.ForeignKey(SyncPass, on_delete=models.CASCADE, related_name="+")
    side = models.CharField(max_length=4)  # "crm" or "peer"
    object_type = models.CharField(max_length=40)
    record_id = models.CharField(max_length=255)
    reason = models.CharField(max_length=60)
    since = models.DateTimeField()
    tries = models.PositiveSmallIntegerField(default=0)  # runs that looked and held it again
    due_at = models.DateTimeField(null=True, blank=True)  # None: in the next run
    waits_for = models.CharField(max_length=64, blank=True)  # id of the linked CRM record that has its key: not due before that

    objects = LookAgainRows.as_manager()

    class Meta:
        indexes = [
            models.Index(fields=["sync_pass", "due_at"], name="look_again_due"),
            models.Index(fields=["waits_for"], condition=~models.Q(waits_for=""), name="look_again_waits"),
        ]
        constraints = [models.UniqueConstraint(fields=["sync_pass", "side", "object_type", "record_id"], name="one_look_again_per_record")]

    def __str__(self) -> str:
        return f"{self.object_type} {self.record_id}: {self.reason}"

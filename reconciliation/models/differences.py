"""Fields in which a binding's sides differ and nobody decided it yet: left since linking (D25), or a blank held back (D30)."""

from __future__ import annotations

from django.db import models

from reconciliation.models.binding import Binding
from reconciliation.models.sync_pass import SyncPass


class Difference(models.Model):
    """One field of one binding. Kept by the engine when it links or compares; a field that agrees once is gone."""

    class Kind(models.TextChoices):
        LINKED = "linked", "Different since linking"
        BLANK = "blank", "Blank held back"

    sync_pass = models.ForeignKey(SyncPass, on_delete=models.CASCADE, related_name="+")
    binding = models.ForeignKey(Binding, on_delete=models.CASCADE, related_name="differences")
    kind = models.CharField(max_length=10, choices=Kind.choices)
    name_key = models.CharField(max_length=255, blank=True)  # of the organisation, so that a search stays a range
    crm_field = models.CharField(max_length=120)
    peer_field = models.CharField(max_length=120)
    crm_value = models.JSONField(null=True)
    peer_value = models.JSONField(null=True)
    noted_at = models.DateTimeField()

    class Meta:
        constraints = [models.UniqueConstraint(fields=["binding", "peer_field"], name="one_difference_per_field")]
        indexes = [
            models.Index(fields=["kind", "-id"], name="difference_kind"),
            models.Index(fields=["kind", "peer_field", "-id"], name="difference_field"),
            models.Index(fields=["kind", "name_key"], opclasses=["varchar_pattern_ops", "varchar_pattern_ops"], name="difference_name"),
        ]

    def __str__(self) -> str:
        return f"{self.crm_field} / {self.peer_field} of binding {self.binding_id}"


class CoverageCount(models.Model):
    """What Workbooks itself counted when somebody asked: one row a pass."""

    sync_pass = models.OneToOneField(SyncPass, on_delete=models.CASCADE, related_name="+")
    counts = models.JSONField(default=dict)
    counted_at = models.DateTimeField()
    counted_by = models.CharField(max_length=150, blank=True)

    def __str__(self) -> str:
        return f"coverage of {self.sync_pass_id}"

"""Fields that were changed on both sides to different values and wait for a person."""

from __future__ import annotations

from django.db import models

from reconciliation.models.cases import Case


class ConflictField(models.Model):
    """One field of an open conflict case: what both sides agreed on last, what each holds now, who changed it and when.
    The field is written nowhere until somebody decides; the other fields of the record flow on (D10)."""

    class State(models.TextChoices):
        OPEN = "open", "Open"
        CRM = "crm", "The CRM's value was taken"
        PEER = "peer", "The peer's value was taken"
        TYPED = "typed", "Another value was entered"
        AGREED = "agreed", "The sides agree by now"

    case = models.ForeignKey(Case, on_delete=models.CASCADE, related_name="fields")
    rule_id = models.BigIntegerField(default=0)
    crm_field = models.CharField(max_length=120)
    peer_field = models.CharField(max_length=120)
    crm_base = models.JSONField(null=True)
    peer_base = models.JSONField(null=True)
    crm_value = models.JSONField(null=True)
    peer_value = models.JSONField(null=True)
    crm_changed_at = models.DateTimeField(null=True, blank=True)
    crm_changed_by = models.CharField(max_length=255, blank=True)
    peer_changed_at = models.DateTimeField(null=True, blank=True)
    peer_changed_by = models.CharField(max_length=255, blank=True)
    why = models.CharField(max_length=200, blank=True)  # why no rule decided it
    state = models.CharField(max_length=10, choices=State.choices, default=State.OPEN)
    decided_value = models.JSONField(null=True)
    decided_by = models.CharField(max_length=150, blank=True)
    decided_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["case", "peer_field"], name="one_conflict_per_field")]
        indexes = [models.Index(fields=["peer_field", "-id"], condition=models.Q(state="open"), name="conflict_open_field")]

    def __str__(self) -> str:
        return f"{self.crm_field} / {self.peer_field}: {self.get_state_display()}"

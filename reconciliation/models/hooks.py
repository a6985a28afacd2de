"""Deliveries of webhooks: stored before they are answered, worked off afterwards (engine-rules 32)."""

from __future__ import annotations

from django.db import models

from reconciliation.models.connection import Connection


class HookDelivery(models.Model):
    """One delivery, kept whole. Two with the same digest are the same event, delivered twice."""

    class State(models.TextChoices):
        WAITING = "waiting", "Waiting"
        DONE = "done", "Done"
        REFUSED = "refused", "Refused"

    connection = models.ForeignKey(Connection, on_delete=models.CASCADE, related_name="deliveries")
    digest = models.CharField(max_length=64)  # SHA-256 of the body
    state = models.CharField(max_length=10, choices=State.choices, default=State.WAITING)
    object_type = models.CharField(max_length=40, blank=True)
    object_id = models.CharField(max_length=64, blank=True)
    action = models.CharField(max_length=20, blank=True)
    happened_at = models.DateTimeField(null=True, blank=True)
    body = models.JSONField(default=dict)
    received_at = models.DateTimeField()
    worked_at = models.DateTimeField(null=True, blank=True)
    note = models.CharField(max_length=300, blank=True)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["connection", "digest"], name="one_row_per_delivery")]
        indexes = [
            models.Index(fields=["connection", "id"], condition=models.Q(state="waiting"), name="delivery_waiting"),
            models.Index(fields=["connection", "object_type", "object_id", "-id"], name="delivery_object"),
        ]

    def __str__(self) -> str:
        return f"{self.action} of {self.object_type} {self.object_id}"

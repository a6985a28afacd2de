"""Mapping tables and their field rules, as rows that staff edit."""

from __future__ import annotations

from django.db import models


class MappingTable(models.Model):
    """The field rules of one object pair. `version` grows with every change of a rule."""

    name = models.CharField(max_length=100, unique=True)
    crm_object = models.CharField(max_length=40)
    peer_object = models.CharField(max_length=40)
    on_first_link = models.CharField(
        max_length=20,
        default="fill_blanks",
        choices=[
            ("leave", "Leave differences"),
            ("fill_blanks", "Fill blanks only"),
            ("crm", "CRM wins"),
            ("peer", "Peer wins"),
        ],
        help_text="What happens to fields that differ when two existing records are bound automatically.",
    )
    version = models.PositiveIntegerField(default=1, editable=False)

    def __str__(self) -> str:
        return self.name


class FieldRule(models.Model):
    """One row: a CRM field, a peer field, a direction, a transform."""

    class Direction(models.TextChoices):
        TO_PEER = "to_peer", "CRM to peer"
        TO_CRM = "to_crm", "Peer to CRM"
        BOTH = "both", "Both ways"
        NONE = "none", "Only when forced"

    class Survivorship(models.TextChoices):
        LATEST = "latest", "Latest change wins"
        CRM = "crm", "CRM wins"
        PEER = "peer", "Peer wins"
        ASK = "ask", "Ask"
        RESTRICTIVE = "restrictive", "Most restrictive wins"

    table = models.ForeignKey(MappingTable, on_delete=models.CASCADE, related_name="rules")
    crm_field = models.CharField(max_length=120)
    peer_field = models.CharField(max_length=120)
    direction = models.CharField(max_length=10, choices=Direction.choices, default=Direction.TO_PEER)
    transform = models.CharField(max_length=40, default="same")
    survivorship = models.CharField(max_length=12, choices=Survivorship.choices, default=Survivorship.LATEST)
    blank_to_peer = models.BooleanField("blank overrides in peer", default=False)
    blank_to_crm = models.BooleanField("blank overrides in CRM", default=False)
    # [[CRM value, peer value], …] for the conversion "value map"
    value_map = models.JSONField(default=list, blank=True)
    # What a new record gets where the other side is blank: a placeholder for fields that must not be.
    default_in_peer = models.CharField(max_length=255, blank=True)
    default_in_crm = models.CharField(max_length=255, blank=True)
    is_enabled = models.BooleanField("enabled", default=True)
    is_standard = models.BooleanField(default=False, editable=False)
    # The table's version that gave the row its present meaning: bindings of an earlier one are compared anew.
    since_version = models.PositiveIntegerField(default=0, editable=False)
    held_reason = models.TextField(blank=True, editable=False)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["table", "peer_field"], name="one_rule_per_peer_field")]
        ordering = ["id"]

    def __str__(self) -> str:
        return f"{self.crm_field} → {self.peer_field}"

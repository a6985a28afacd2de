"""The object types of a two-way pass: in which order they count, and what may happen in each direction."""

from __future__ import annotations

from django.db import models

from reconciliation.models.mapping import MappingTable
from reconciliation.models.sync_pass import SyncPass


class RecordType(models.Model):
    """One CRM object type that a pass keeps in agreement with one of the peer's. The first in order wins where two types
    hold the same key (S2.12). *Inbound* means into the peer, *outbound* into the CRM. The cursor is that of the CRM's side;
    the peer's stands with the pass."""

    sync_pass = models.ForeignKey(SyncPass, on_delete=models.CASCADE, related_name="record_types")
    crm_object = models.CharField(max_length=40)
    peer_object = models.CharField(max_length=40)
    mapping = models.ForeignKey(MappingTable, on_delete=models.PROTECT, related_name="record_types")
    order = models.PositiveSmallIntegerField(default=0)
    is_on = models.BooleanField("synced", default=True)
    inbound_create = models.BooleanField(default=True)
    inbound_update = models.BooleanField(default=True)
    outbound_create = models.BooleanField(default=False)
    outbound_update = models.BooleanField(default=True)
    # [[field, test, value], …] of the CRM's records; all must hold. Tests: those of `core.conditions`.
    conditions = models.JSONField(default=list, blank=True)
    held_reason = models.TextField(blank=True, editable=False)  # why nothing is made in the CRM just now (C32)
    last_run_time = models.DateTimeField(null=True, blank=True, editable=False)
    sweep_started_at = models.DateTimeField(null=True, blank=True, editable=False)
    sweep_is_full = models.BooleanField(default=False, editable=False)
    position_at = models.DateTimeField(null=True, blank=True, editable=False)
    position_id = models.CharField(max_length=64, blank=True, editable=False)

    class Meta:
        ordering = ["order", "id"]
        constraints = [models.UniqueConstraint(fields=["sync_pass", "crm_object"], name="one_row_per_record_type")]

    def __str__(self) -> str:
        return f"{self.crm_object} ⇄ {self.peer_object}"


class UserPair(models.Model):
    """A user of the CRM and the user of the peer who is the same person: found by equal e-mail, or chosen by staff (C34)."""

    class How(models.TextChoices):
        EMAIL = "email", "Same e-mail address"
        STAFF = "staff", "Chosen by staff"

    sync_pass = models.ForeignKey(SyncPass, on_delete=models.CASCADE, related_name="user_pairs")
    crm_user_id = models.CharField(max_length=64, blank=True)
    crm_name = models.CharField(max_length=255, blank=True)
    peer_user_id = models.CharField(max_length=64, blank=True)  # "": nobody there; so remembered for a day
    peer_name = models.CharField(max_length=255, blank=True)
    how = models.CharField(max_length=10, choices=How.choices, default=How.EMAIL)
    read_at = models.DateTimeField()

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["sync_pass", "crm_user_id"], condition=~models.Q(crm_user_id=""), name="one_pair_per_crm_user"),
            models.UniqueConstraint(
                fields=["sync_pass", "peer_user_id"], condition=~models.Q(peer_user_id=""), name="one_pair_per_peer_user"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.crm_name} = {self.peer_name}"

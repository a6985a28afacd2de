"""What was ever seen of each record, for one search over everything, and what was deleted where."""

from __future__ import annotations

from django.db import models

from reconciliation.models.binding import Binding
from reconciliation.models.sync_pass import SyncPass


class SearchKey(models.Model):
    """One name or e-mail that a record bears or once bore. A record's id is part of its ref, so that the index on
    (pass, ref) finds ids too; present names of accounts stand in PeerName."""

    class Kind(models.TextChoices):
        NAME = "name", "Name"
        FORMER = "former", "Former name"
        EMAIL = "email", "E-mail"

    sync_pass = models.ForeignKey(SyncPass, on_delete=models.CASCADE, related_name="+")
    ref = models.CharField(max_length=320)
    kind = models.CharField(max_length=10, choices=Kind.choices)
    key = models.CharField(max_length=255)
    text = models.CharField(max_length=255)  # as it was written
    about = models.CharField(max_length=320, blank=True)  # the record whose page tells of it: a prospect's person
    seen_at = models.DateTimeField()

    class Meta:
        constraints = [models.UniqueConstraint(fields=["sync_pass", "ref", "key"], name="one_search_key_per_record")]
        indexes = [models.Index(fields=["sync_pass", "key"], opclasses=["int8_ops", "varchar_pattern_ops"], name="search_key")]

    def __str__(self) -> str:
        return f"{self.text}: {self.ref}"


class Tombstone(models.Model):
    """One record that was deleted: where, by whom as the system says, how we learnt of it, and its last values."""

    class Why(models.TextChoices):
        CRM = "crm", "Deleted in Workbooks"
        UNDO = "undo", "Made by a run and deleted by its undo"
        GONE = "gone", "Deleted in the CRM"
        PEER = "peer", "Deleted in Outreach"
        MERGED = "merged", "Merged in the CRM into a record that is linked elsewhere"
        MOVED = "moved", "Its link was moved to another record"
        # Of mailboxes
        TAKEN_OUT = "taken_out", "Taken out of the folder: personal again"
        MADE_AGAIN = "again", "Deleted in the mailbox, made again from the CRM"
        MAILBOX = "mailbox", "Deleted in the mailbox"
        VIEW = "view", "Left the view and was removed from the mailbox"
        HANDED = "handed", "A colleague's mailbox carries it on"
        CANCELLED = "cancelled", "Cancelled in the mailbox"
        PRIVATE = "private", "Turned private in the mailbox"

    sync_pass = models.ForeignKey(SyncPass, on_delete=models.CASCADE, related_name="+")
    # None: it waited to be synced and was never linked
    binding = models.ForeignKey(Binding, on_delete=models.CASCADE, null=True, blank=True, related_name="tombstones")
    why = models.CharField(max_length=10, choices=Why.choices)
    crm_id = models.CharField(max_length=64)
    peer_id = models.CharField(max_length=255, blank=True)
    name = models.CharField(max_length=255, blank=True)
    deleted_by = models.CharField(max_length=255, blank=True)  # as the system says, or our colleague
    deleted_at = models.DateTimeField(null=True, blank=True)
    found_at = models.DateTimeField()
    run = models.ForeignKey("reconciliation.Run", on_delete=models.SET_NULL, null=True, blank=True, related_name="+")
    operation_id = models.BigIntegerField(null=True, blank=True)
    crm_values = models.JSONField(default=dict)
    peer_values = models.JSONField(default=dict)
    restored_at = models.DateTimeField(null=True, blank=True)
    restored_by = models.CharField(max_length=150, blank=True)
    restored_as = models.CharField(max_length=320, blank=True)  # the ref of what was made instead

    class Meta:
        indexes = [
            models.Index(fields=["sync_pass", "crm_id", "-id"], name="tombstone_record"),
            models.Index(fields=["sync_pass", "peer_id"], name="tombstone_peer"),
        ]

    def __str__(self) -> str:
        return f"{self.name} ({self.get_why_display()})"

    @property
    def crm_type(self) -> str:
        """What kind of record it was in the CRM: as its link says, where that still names this record."""
        own = self.binding
        return own.crm_type if own is not None and own.crm_id == self.crm_id else self.sync_pass.mapping.crm_object

    @property
    def peer_type(self) -> str:
        return self.sync_pass.mapping.peer_object

    @property
    def ref(self) -> str:
        return f"{self.sync_pass.crm.system}:{self.crm_type}:{self.crm_id}"

    @property
    def marker(self) -> str:
        """Our key on what is made instead, so that a lost answer never makes a second one."""
        return f"restore-{self.crm_id}-{self.pk}"

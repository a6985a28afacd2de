"""Bindings with the bases of both sides, and what we remember of the peer to match against."""

from __future__ import annotations

from django.db import models

from reconciliation.models.look_again import LookAgain
from reconciliation.models.sync_pass import SyncPass


class BindingRows(models.QuerySet["Binding"]):
    """Bindings, with what is done to many at once."""

    def end(self) -> int:
        """Makes them tombstones: what was bound once is remembered, and nothing is owed any more. Who was kept away by
        these links is looked at in the next run."""
        ids = list(self.values_list("crm_id", flat=True))
        LookAgain.objects.take_up(ids)
        return self.update(is_tombstone=True, is_write_back_due=False, are_people_due=False)


class Binding(models.Model):
    """Two records that are the same thing, with the values both sides held at the last agreement.

    Steps still owed (write-back of Id and URL, people) stand here; an unfinished one overrules echo and equal fields
    (engine-rules 11)."""

    sync_pass = models.ForeignKey(SyncPass, on_delete=models.PROTECT, related_name="bindings")
    crm_type = models.CharField(max_length=40, default="organisation")
    crm_id = models.CharField(max_length=64)
    peer_type = models.CharField(max_length=40, default="account")
    peer_id = models.CharField(max_length=255)
    name = models.CharField(max_length=255, blank=True)
    name_key = models.CharField(max_length=255, blank=True, db_index=True)
    crm_base = models.JSONField(default=dict)
    peer_base = models.JSONField(default=dict)
    crm_version = models.CharField(max_length=255, blank=True)
    peer_version = models.CharField(max_length=255, blank=True)
    mapping_version = models.PositiveIntegerField(default=0)
    owner_text = models.CharField(max_length=255, blank=True)
    is_without_owner = models.BooleanField(default=False)
    is_write_back_due = models.BooleanField(default=False)
    are_people_due = models.BooleanField(default=False)
    is_retry_due = models.BooleanField(default=False)
    is_out_of_view = models.BooleanField(default=False)  # the CRM's record left the view of its mailbox; the link stays (D8)
    # What a contact that a mailbox made in the CRM lacks, names of the CRM's fields with commas; NULL: nothing, or not one of those.
    lacks = models.CharField(max_length=255, null=True, blank=True)  # noqa: DJ001  # a column that no table is copied for
    owed_tries = models.PositiveIntegerField(default=0)
    owed_since = models.DateTimeField(null=True, blank=True)
    is_tombstone = models.BooleanField(default=False)
    how = models.CharField(max_length=20, default="created")
    bound_at = models.DateTimeField()
    synced_at = models.DateTimeField()

    objects = BindingRows.as_manager()

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["sync_pass", "crm_type", "crm_id"], name="one_binding_per_crm_record"),
            models.UniqueConstraint(
                fields=["sync_pass", "peer_type", "peer_id"], condition=models.Q(is_tombstone=False), name="one_binding_per_peer_record"
            ),
        ]
        indexes = [
            models.Index(fields=["sync_pass"], condition=models.Q(is_write_back_due=True), name="binding_write_back_due"),
            models.Index(fields=["sync_pass"], condition=models.Q(are_people_due=True), name="binding_people_due"),
            models.Index(fields=["sync_pass"], condition=models.Q(is_retry_due=True), name="binding_retry_due"),
            models.Index(fields=["-id"], condition=models.Q(is_without_owner=True), name="binding_without_owner"),
            models.Index(fields=["-id"], condition=models.Q(lacks__isnull=False), name="binding_incomplete"),
        ]

    def __str__(self) -> str:
        return f"{self.crm_id} = {self.peer_id}"

    @property
    def peer_url(self) -> str:
        """The address of the account's page for people (S0.28), "" when no template is set."""
        return self.sync_pass.peer.page_address_template.replace("{id}", self.peer_id.removeprefix("people/"))

    @property
    def crm_ref(self) -> str:
        return f"{self.sync_pass.crm.system}:{self.crm_type}:{self.crm_id}"

    @property
    def peer_ref(self) -> str:
        return f"{self.sync_pass.peer.system}:{self.peer_type}:{self.peer_id}"

    @property
    def state_word(self) -> str:
        """How the link stands, in words; a list says with it what waits for a person."""
        if self.is_tombstone:
            return "Not linked any more"
        return (
            "Waits for a choice"
            if getattr(self, "is_asked", False)
            else "Pointer still to be written"
            if self.is_write_back_due
            else "Linked"
        )

    @property
    def crm_url(self) -> str:
        address = self.sync_pass.crm.page_address_template
        return address.replace("{object}", self.crm_type).replace("{id}", self.crm_id)


class PeerName(models.Model):
    """Name of one existing record of the peer, kept for the duplicate check (D2)."""

    sync_pass = models.ForeignKey(SyncPass, on_delete=models.CASCADE, related_name="+")
    peer_id = models.CharField(max_length=255)
    name = models.CharField(max_length=255)
    name_key = models.CharField(max_length=255)
    marker = models.CharField(max_length=255, blank=True)
    seen_at = models.DateTimeField()

    class Meta:
        constraints = [models.UniqueConstraint(fields=["sync_pass", "peer_id"], name="one_name_per_peer_record")]
        indexes = [models.Index(fields=["sync_pass", "name_key"], opclasses=["int8_ops", "varchar_pattern_ops"], name="peer_name_key")]

    def __str__(self) -> str:
        return self.name


class RemoteUser(models.Model):
    """A user of a peer, for the exact username match of owners (S0.24). An empty `user_id` remembers that nobody has
    this username, so that the question is not asked again for a day."""

    connection = models.ForeignKey("reconciliation.Connection", on_delete=models.CASCADE, related_name="users")
    user_id = models.CharField(max_length=64, blank=True)
    username = models.CharField(max_length=255)
    email = models.CharField(max_length=255, blank=True)
    read_at = models.DateTimeField()

    class Meta:
        constraints = [models.UniqueConstraint(fields=["connection", "username"], name="one_row_per_remote_username")]

    def __str__(self) -> str:
        return self.username

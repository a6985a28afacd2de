"""Mailboxes, the groups that give them settings, and what of the CRM every mailbox is told: its changes and its views."""

from __future__ import annotations

from collections.abc import Iterable

from django.contrib.auth.models import User
from django.db import models

from connectors.contract import MINE
from reconciliation.models.connection import Connection
from reconciliation.models.encrypted import EncryptedJSONField


class MailboxGroup(models.Model):
    """Mailboxes that begin with the same settings."""

    name = models.CharField(max_length=100, unique=True)
    settings = models.JSONField(default=dict, blank=True)  # name -> value, as `core.mailbox_settings` knows them

    def __str__(self) -> str:
        return self.name


# What a mailbox holds when nobody gave it tokens or a link to sign in.
NO_SECRETS = {
    "secrets": {},
    "token_lock_until": None,
    "renewal_begun_at": None,
    "refresh_used_at": None,
    "link_digest": "",
    "link_ends_at": None,
    "link_sent_at": None,
}


class Mailbox(models.Model):
    """One person's mailbox: where it is, whose it is in the CRM, and how its sync stands."""

    class State(models.TextChoices):
        NEW = "new", "New: waits for its preview"
        ACTIVE = "active", "Active"
        PAUSED = "paused", "Paused"
        SUSPENDED = "suspended", "Suspended"
        LEFT = "left", "Left"
        ENDED = "ended", "Ended"

    RUNNING = (State.NEW, State.ACTIVE)
    GONE = (State.LEFT, State.ENDED)

    connection = models.ForeignKey(Connection, on_delete=models.PROTECT, related_name="mailboxes")
    address = models.CharField(max_length=254)
    name = models.CharField(max_length=255, blank=True)
    crm_user_id = models.CharField(max_length=64, blank=True)
    crm_user_name = models.CharField(max_length=255, blank=True)
    crm_user_chosen = models.BooleanField(default=False)  # by staff: no match by e-mail changes it
    group = models.ForeignKey(MailboxGroup, null=True, blank=True, on_delete=models.SET_NULL, related_name="mailboxes")
    user = models.OneToOneField(User, null=True, blank=True, on_delete=models.SET_NULL, related_name="mailbox")
    state = models.CharField(max_length=10, choices=State.choices, default=State.NEW)
    state_reason = models.TextField(blank=True)
    state_by = models.CharField(max_length=150, blank=True)
    state_at = models.DateTimeField(null=True, blank=True)
    is_planned_first = models.BooleanField(default=False)  # in a sandbox, too, its first run only plans
    settings = models.JSONField(default=dict, blank=True)  # what its user chose; admin settings bound it
    folder_id = models.CharField(max_length=255, blank=True)  # of "Salesforce Contacts"
    failed_runs = models.PositiveIntegerField(default=0)  # in a row, of the connection kind (D11)
    secrets = EncryptedJSONField(default=dict, blank=True, editable=False)  # tokens of this mailbox alone
    token_lock_until = models.DateTimeField(null=True, editable=False)
    renewal_begun_at = models.DateTimeField(null=True, editable=False)
    refresh_used_at = models.DateTimeField(null=True, editable=False)
    checks = models.JSONField(default=list, blank=True, editable=False)  # the lines of its last test
    tested_at = models.DateTimeField(null=True, editable=False)
    matched_at = models.DateTimeField(null=True, editable=False)  # when its user in the CRM was last looked for
    match_says = models.TextField(blank=True)  # why nobody was found, "" where somebody was
    link_digest = models.CharField(max_length=64, blank=True, editable=False)  # of the one-time link to sign in
    link_ends_at = models.DateTimeField(null=True, editable=False)
    link_sent_at = models.DateTimeField(null=True, editable=False)
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ["address"]
        constraints = [models.UniqueConstraint(fields=["connection", "address"], name="one_row_per_mailbox")]
        indexes = [
            models.Index(fields=["state"], name="mailbox_state"),
            models.Index(fields=["crm_user_id"], condition=~models.Q(crm_user_id=""), name="mailbox_crm_user"),
            models.Index(fields=["link_digest"], condition=~models.Q(link_digest=""), name="mailbox_link"),
        ]

    def __str__(self) -> str:
        return self.address

    @property
    def crm_user(self) -> str:
        """What its user in the CRM is called, "" where nobody is known."""
        return self.crm_user_name or self.crm_user_id

    @property
    def is_ended(self) -> bool:
        """Whether its sync was ended: it is kept for what is known of it, and begins anew when it is added again."""
        return self.state == self.State.ENDED

    @property
    def is_running(self) -> bool:
        """Whether passes go over it."""
        return self.state in self.RUNNING


class CrmFeed(models.Model):
    """Where the one reader of the CRM's changes stands: it reads for every mailbox of the connection."""

    connection = models.ForeignKey(Connection, on_delete=models.CASCADE, related_name="+")
    object_type = models.CharField(max_length=40)
    last_run_time = models.DateTimeField(null=True)
    read_at = models.DateTimeField(null=True)  # our clock, when a read came to its end
    pruned_to = models.BigIntegerField(default=0)  # the last of its changes that is kept no more

    class Meta:
        constraints = [models.UniqueConstraint(fields=["connection", "object_type"], name="one_feed_per_object_type")]

    def __str__(self) -> str:
        return f"{self.object_type} of {self.connection_id}"


class FeedChange(models.Model):
    """One record of the CRM that changed, or entered or left a view, for mailboxes to look at. The key is the order."""

    feed = models.ForeignKey(CrmFeed, on_delete=models.CASCADE, related_name="changes")
    record_id = models.CharField(max_length=64)
    owner_id = models.CharField(max_length=64, blank=True)
    version = models.CharField(max_length=64, blank=True)
    is_deleted = models.BooleanField(default=False)
    at = models.DateTimeField()

    class Meta:
        indexes = [models.Index(fields=["feed", "record_id"], name="feed_change_record")]

    def __str__(self) -> str:
        return self.record_id


class CrmView(models.Model):
    """A saved view of the CRM that mailboxes mirror, as its own query says. `where` blank: nothing but its scope."""

    connection = models.ForeignKey(Connection, on_delete=models.CASCADE, related_name="+")
    object_type = models.CharField(max_length=40)
    view_id = models.CharField(max_length=64)
    title = models.CharField(max_length=200, blank=True)
    scope = models.CharField(max_length=20, default="everything")  # "mine" or "everything"
    where = models.TextField(blank=True)
    fingerprint = models.CharField(max_length=64, blank=True)
    why_not = models.TextField(blank=True)  # why it cannot be used, "" where it can
    described_at = models.DateTimeField(null=True)
    compared_at = models.DateTimeField(null=True)  # all its members were read
    users = models.JSONField(default=list)  # CRM users whose own records were read then, of a view of scope "mine"

    class Meta:
        constraints = [models.UniqueConstraint(fields=["connection", "object_type", "view_id"], name="one_row_per_crm_view")]

    def is_read_for(self, users: Iterable[str]) -> bool:
        """Tells whether the members that these users see are known."""
        return self.scope != MINE or not self.where or set(users) <= set(self.users)

    def __str__(self) -> str:
        return self.title or self.view_id


class ViewMember(models.Model):
    """One record that is in a view with conditions of its own."""

    view = models.ForeignKey(CrmView, on_delete=models.CASCADE, related_name="members")
    record_id = models.CharField(max_length=64)
    owner_id = models.CharField(max_length=64, blank=True)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["view", "record_id"], name="one_row_per_view_member")]
        indexes = [models.Index(fields=["view", "owner_id"], name="view_member_owner")]

    def __str__(self) -> str:
        return self.record_id
